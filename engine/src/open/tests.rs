//! What lies in the directory instead of an honest file, and what it gets.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::geteuid;
use tempfile::TempDir;

use super::*;
use crate::file_cache::FileCache;

const LIMITS: Limits = Limits { max_file_size: 1024 * 1024, trust_mtime: true };

/// No user of any machine that runs these tests.
const STRANGER: u32 = 54_321;

fn config_dir() -> (TempDir, ConfigDir) {
    let directory = TempDir::new().unwrap();
    let held = ConfigDir::open(directory.path()).unwrap().unwrap();
    (directory, held)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What a load gets: nothing is kept, so that each call goes to the disk. A file that a listing has named gets the same, even
/// where the listing was wrong by the time it was opened.
fn load(dir: &ConfigDir, relative: &str) -> Result<Option<Vec<u8>>> {
    let found = load_as(dir, relative, false);
    assert_eq!(found, load_as(dir, relative, true), "{relative}");
    found
}

fn load_as(dir: &ConfigDir, relative: &str, listed: bool) -> Result<Option<Vec<u8>>> {
    let place = dir.place(relative)?.listed_as_file(listed);
    let entry = FileCache::new(0).config_file(dir, &place, &LIMITS)?;
    Ok(entry.map(|entry| entry.content.clone()))
}

fn read(dir: &ConfigDir, relative: &str) -> Result<Option<Snapshot>> {
    dir.read(&dir.place(relative)?, Links::Follow, &LIMITS)
}

fn refusal(dir: &ConfigDir, relative: &str) -> ErrorKind {
    let error = load(dir, relative).unwrap_err();
    assert_eq!(error.path(), Some(dir.path().join(relative).as_path()), "{error}");
    error.kind
}

/// What the descriptor says, for files that were put in place after the first look.
fn refusal_on_the_descriptor(dir: &ConfigDir, relative: &str) -> ErrorKind {
    let error = read(dir, relative).unwrap_err();
    assert_eq!(error.path(), Some(dir.path().join(relative).as_path()), "{error}");
    error.kind
}

#[test]
fn reads_plain_empty_linked_and_nested_files() {
    let (tmp, dir) = config_dir();
    fs::write(tmp.path().join("a.lua"), "return 1").unwrap();
    fs::write(tmp.path().join("empty.json"), "").unwrap();
    symlink("a.lua", tmp.path().join("link.lua")).unwrap();
    fs::create_dir(tmp.path().join("big-repo")).unwrap();
    fs::write(tmp.path().join("big-repo/frontend.lua"), [0, 0xff]).unwrap();
    assert_eq!(load(&dir, "a.lua").unwrap().unwrap(), b"return 1");
    assert_eq!(load(&dir, "link.lua").unwrap().unwrap(), b"return 1");
    assert_eq!(load(&dir, "empty.json").unwrap().unwrap(), b"");
    assert_eq!(load(&dir, "big-repo/frontend.lua").unwrap().unwrap(), [0, 0xff]);
}

#[test]
fn where_nothing_can_be_there_is_nothing() {
    let (tmp, dir) = config_dir();
    fs::write(tmp.path().join("a.lua"), "").unwrap();
    let too_long = format!("{}.lua", "x".repeat(300));
    for absent in ["b.lua", "no/b.lua", "a.lua/b.lua", &too_long] {
        assert_eq!(load(&dir, absent), Ok(None), "{absent}");
        assert!(read(&dir, absent).unwrap().is_none(), "{absent}");
    }
}

#[test]
fn refuses_what_is_not_a_regular_file_without_waiting_for_it() {
    let (tmp, dir) = config_dir();
    let at = |name: &str| tmp.path().join(name);
    assert!(Command::new("mkfifo").arg(at("fifo.lua")).status().unwrap().success());
    let _listener = UnixListener::bind(at("socket.lua")).unwrap();
    symlink("/dev/zero", at("zero.lua")).unwrap();
    symlink("fifo.lua", at("link.lua")).unwrap();
    fs::create_dir(at("directory.lua")).unwrap();
    for (name, what) in [
        ("fifo.lua", "a FIFO"),
        ("link.lua", "a FIFO"),
        ("socket.lua", "a socket"),
        ("zero.lua", "a device"),
        ("directory.lua", "a directory"),
    ] {
        assert_eq!(refusal(&dir, name), ErrorKind::NotAFile(what), "{name}");
        assert_eq!(refusal_on_the_descriptor(&dir, name), ErrorKind::NotAFile(what), "{name}");
    }
}

#[test]
fn names_links_that_lead_nowhere_or_in_a_circle() {
    let (tmp, dir) = config_dir();
    symlink("nowhere", tmp.path().join("dangling.lua")).unwrap();
    symlink("loop.lua", tmp.path().join("loop.lua")).unwrap();
    fs::write(tmp.path().join("file"), "").unwrap();
    symlink("file/below", tmp.path().join("through-a-file.lua")).unwrap();
    for name in ["dangling.lua", "loop.lua", "through-a-file.lua"] {
        assert_eq!(refusal(&dir, name), ErrorKind::BrokenLink, "{name}");
    }
    assert_eq!(refusal_on_the_descriptor(&dir, "loop.lua"), ErrorKind::BrokenLink);
}

#[test]
fn refuses_a_huge_file_unread() {
    let (tmp, dir) = config_dir();
    let size = 1 << 30;
    fs::File::create(tmp.path().join("sparse.json")).unwrap().set_len(size).unwrap();
    let expected = ErrorKind::TooLarge { size, limit: LIMITS.max_file_size };
    assert_eq!(refusal(&dir, "sparse.json"), expected);
    assert_eq!(refusal_on_the_descriptor(&dir, "sparse.json"), expected);
}

#[test]
fn the_limit_itself_is_within_the_limit() {
    let (tmp, dir) = config_dir();
    let largest = vec![b'x'; LIMITS.max_file_size as usize];
    fs::write(tmp.path().join("a.lua"), &largest).unwrap();
    assert_eq!(load(&dir, "a.lua").unwrap().unwrap(), largest);
    fs::OpenOptions::new().append(true).open(tmp.path().join("a.lua")).unwrap().write_all(b"x").unwrap();
    assert_eq!(refusal(&dir, "a.lua").code(), "too_large");
}

#[test]
fn refuses_a_file_that_others_may_write_and_says_what_to_do() {
    let (tmp, dir) = config_dir();
    let path = tmp.path().join("a.lua");
    fs::write(&path, "").unwrap();
    symlink("a.lua", tmp.path().join("link.lua")).unwrap();
    for mode in [0o666, 0o602] {
        set_mode(&path, mode);
        for name in ["a.lua", "link.lua"] {
            let ErrorKind::Untrusted(text) = refusal(&dir, name) else { panic!("mode {mode:o} was accepted") };
            assert!(text.contains("chmod o-w"), "{text}");
        }
        assert_eq!(refusal_on_the_descriptor(&dir, "a.lua").code(), "untrusted");
    }
    for mode in [0o600, 0o664] {
        set_mode(&path, mode);
        assert!(load(&dir, "a.lua").unwrap().is_some(), "mode {mode:o}");
    }
}

#[test]
fn refuses_a_file_of_a_user_who_is_not_trusted() {
    let (tmp, mut dir) = config_dir();
    fs::write(tmp.path().join("a.lua"), "").unwrap();
    dir.dir.trusted = [STRANGER; 3];
    let ErrorKind::Untrusted(text) = refusal(&dir, "a.lua") else { panic!("it was accepted") };
    assert!(text.contains(&format!("user {}", geteuid().as_raw())) && text.contains("chown"), "{text}");
    assert_eq!(refusal_on_the_descriptor(&dir, "a.lua").code(), "untrusted");
}

#[test]
fn trusts_oneself_root_and_the_owner_of_the_directory() {
    let (tmp, dir) = config_dir();
    let path = tmp.path().join("a.lua");
    fs::write(&path, "mine").unwrap();
    assert_eq!(load(&dir, "a.lua").unwrap().unwrap(), b"mine");
    symlink("/etc/passwd", tmp.path().join("root.lua")).unwrap();
    assert!(load(&dir, "root.lua").unwrap().is_some(), "root's file");
    if !geteuid().is_root() {
        // Only root can give files away; nobody else can make the rest of this case.
        assert_eq!(chown(&path, Some(STRANGER), None).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        return;
    }
    chown(&path, Some(STRANGER), None).unwrap();
    assert_eq!(refusal(&dir, "a.lua").code(), "untrusted");
    chown(tmp.path(), Some(STRANGER), None).unwrap();
    let dir = ConfigDir::open(tmp.path()).unwrap().unwrap();
    assert_eq!(load(&dir, "a.lua").unwrap().unwrap(), b"mine");
}

#[test]
fn a_file_that_may_not_be_read_is_a_permission_error() {
    let (tmp, dir) = config_dir();
    let path = tmp.path().join("a.lua");
    fs::write(&path, "secret").unwrap();
    set_mode(&path, 0o000);
    assert_eq!(as_ordinary_user(|| refusal(&dir, "a.lua")), ErrorKind::Permission);
}

#[test]
fn a_directory_that_may_not_be_entered_is_a_permission_error() {
    let (tmp, dir) = config_dir();
    let inner = tmp.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("a.lua"), "").unwrap();
    set_mode(tmp.path(), 0o755);
    set_mode(&inner, 0o000);
    as_ordinary_user(|| {
        assert_eq!(refusal(&dir, "inner/a.lua"), ErrorKind::Permission);
        assert_eq!(dir.list(Path::new("inner")).unwrap_err().kind, ErrorKind::Permission);
        assert_eq!(ConfigDir::open(&inner).unwrap_err().kind, ErrorKind::Permission);
    });
    set_mode(&inner, 0o700);
}

/// Runs `act` under a user whom modes bind: root's own thread gives up its rights and ends with them.
fn as_ordinary_user<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    if !geteuid().is_root() {
        return act();
    }
    #[cfg(target_os = "linux")]
    return std::thread::scope(|scope| {
        let in_thread = || {
            let nobody = rustix::thread::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            act()
        };
        scope.spawn(in_thread).join().unwrap()
    });
    #[cfg(not(target_os = "linux"))]
    panic!("run the tests as an ordinary user: root is bound by no mode");
}

#[test]
fn a_file_whose_size_is_never_what_is_read_is_given_up() {
    let (tmp, dir) = config_dir();
    // The kernel calls these regular files of no bytes.
    symlink("/proc/version", tmp.path().join("a.lua")).unwrap();
    if cfg!(target_os = "linux") {
        let ErrorKind::Io(text) = refusal(&dir, "a.lua") else { panic!("it was accepted") };
        assert!(text.contains("not the size that the system tells"), "{text}");
    } else {
        assert_eq!(refusal(&dir, "a.lua"), ErrorKind::BrokenLink);
    }
}

#[test]
fn a_file_that_grows_is_read_whole_or_refused_but_never_without_end() {
    let (tmp, dir) = config_dir();
    let path = tmp.path().join("a.lua");
    fs::write(&path, "").unwrap();
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            while !enough.load(Ordering::Relaxed) {
                file.write_all(&[b'x'; 4096]).unwrap();
            }
        });
        loop {
            match read(&dir, "a.lua") {
                Ok(snapshot) => {
                    let snapshot = snapshot.unwrap();
                    assert_eq!(snapshot.content.len() as u64, snapshot.fingerprint.size);
                }
                Err(error) if error.kind.code() == "too_large" => break,
                Err(error) => assert_eq!(error.kind.code(), "io", "{error}"),
            }
        }
        enough.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_file_replaced_by_rename_is_always_seen_whole() {
    let (tmp, dir) = config_dir();
    let path = tmp.path().join("a.lua");
    let states = [vec![b'a'; 10], vec![b'b'; 70_000]];
    fs::write(&path, &states[0]).unwrap();
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let beside = tmp.path().join("beside");
            for state in states.iter().cycle() {
                fs::write(&beside, state).unwrap();
                fs::rename(&beside, &path).unwrap();
                if enough.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let read = |index| load_as(&dir, "a.lua", index % 2 == 0);
        let results: Vec<_> = (0..300).map(read).collect();
        enough.store(true, Ordering::Relaxed);
        for result in results {
            assert!(states.contains(&result.unwrap().unwrap()), "a torn read");
        }
    });
}

#[test]
fn never_leaves_the_directory() {
    let (tmp, dir) = config_dir();
    for path in ["/etc/passwd", "../a.lua", "a/../../b", ".."] {
        assert_eq!(load(&dir, path).unwrap_err().kind.code(), "invalid_argument", "{path}");
        assert_eq!(dir.list(Path::new(path)).unwrap_err().kind.code(), "invalid_argument", "{path}");
    }
    drop(tmp);
}

#[test]
fn holds_the_directory_that_was_opened() {
    let (tmp, _) = config_dir();
    let path = tmp.path().join("projects");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.lua"), "first").unwrap();
    let dir = ConfigDir::open(&path).unwrap().unwrap();
    fs::rename(&path, tmp.path().join("moved")).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.lua"), "second").unwrap();
    assert_eq!(load(&dir, "a.lua").unwrap().unwrap(), b"first");
}

#[test]
fn tells_a_missing_config_dir_from_an_unusable_one() {
    let (tmp, _) = config_dir();
    let at = |name: &str| tmp.path().join(name);
    fs::write(at("file"), "").unwrap();
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    symlink("nowhere", at("dangling")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink(tmp.path(), at("link")).unwrap();
    assert!(ConfigDir::open(&at("missing")).unwrap().is_none());
    assert!(ConfigDir::open(&at("missing/deeper")).unwrap().is_none());
    assert_eq!(ConfigDir::open(&at("link")).unwrap().unwrap().path(), at("link"));
    for (name, kind) in [
        ("file", ErrorKind::NotADirectory),
        ("fifo", ErrorKind::NotADirectory),
        ("dangling", ErrorKind::BrokenLink),
        ("loop", ErrorKind::BrokenLink),
    ] {
        let error = ConfigDir::open(&at(name)).unwrap_err();
        assert_eq!((error.kind, error.path), (kind, Some(at(name))), "{name}");
    }
    assert_eq!(ConfigDir::open(Path::new("relative")).unwrap_err().kind.code(), "invalid_argument");
}

#[test]
fn lists_names_in_byte_order_without_hidden_ones_and_tells_files() {
    let (tmp, dir) = config_dir();
    let inner = tmp.path().join("inner");
    fs::create_dir(&inner).unwrap();
    for name in ["b.lua", "B.lua", "é.lua", "10.lua", "9.lua", ".hidden.lua", "a.lua"] {
        fs::write(inner.join(name), "").unwrap();
    }
    fs::create_dir(inner.join("directory")).unwrap();
    fs::write(tmp.path().join("file"), "").unwrap();
    symlink("inner", tmp.path().join("link")).unwrap();
    symlink("nowhere", tmp.path().join("dangling")).unwrap();
    symlink("loop", tmp.path().join("loop")).unwrap();
    symlink("a.lua", inner.join("link.lua")).unwrap();
    let expected =
        [("10.lua", true), ("9.lua", true), ("B.lua", true), ("a.lua", true), ("b.lua", true), ("directory", false)];
    let expected = expected.into_iter().chain([("link.lua", false), ("é.lua", true)]);
    let expected: Vec<_> = expected.map(|(name, is_file)| Listed { name: name.into(), is_file }).collect();
    for name in ["inner", "link"] {
        assert_eq!(dir.list(Path::new(name)).unwrap().unwrap().entries, expected, "{name}");
    }
    for name in ["missing", "missing/deeper", "file", "dangling"] {
        assert!(dir.list(Path::new(name)).unwrap().is_none(), "{name}");
    }
    assert_eq!(dir.list(Path::new("loop")).unwrap_err().kind, ErrorKind::BrokenLink);
}

/// The back end of other systems answers like this one, as far as it can tell things apart.
mod portable_back_end {
    use super::super::portable::Dir;
    use super::*;

    #[test]
    fn tells_kinds_and_sizes() {
        let (tmp, _) = config_dir();
        let at = |name: &str| tmp.path().join(name);
        fs::write(at("a.lua"), "12345").unwrap();
        fs::create_dir(at("directory.lua")).unwrap();
        symlink("a.lua", at("link.lua")).unwrap();
        symlink("nowhere", at("dangling.lua")).unwrap();
        let dir = Dir::open(tmp.path(), Owners::Trusted).unwrap();
        let stat = dir.stat(Path::new("a.lua")).unwrap();
        assert_eq!((stat.kind, stat.fingerprint.size, stat.distrust), (Kind::Regular, 5, None));
        assert_eq!(dir.stat(Path::new("link.lua")).unwrap().kind, Kind::Link);
        assert_eq!(dir.stat_target(Path::new("link.lua")).unwrap(), stat);
        assert_eq!(dir.stat(Path::new("directory.lua")).unwrap().kind, Kind::Other("a directory"));
        for absent in [dir.stat(Path::new("missing")), dir.stat_target(Path::new("dangling.lua"))] {
            assert!(is_absent(&absent.unwrap_err()));
        }
    }

    #[test]
    fn reads_what_it_described() {
        let (tmp, _) = config_dir();
        fs::write(tmp.path().join("a.lua"), "12345").unwrap();
        let dir = Dir::open(tmp.path(), Owners::Trusted).unwrap();
        let file = dir.open_file(Path::new("a.lua"), Links::Follow).unwrap();
        let stat = dir.stat_file(&file).unwrap();
        assert_eq!(stat, dir.stat(Path::new("a.lua")).unwrap());
        assert_eq!(read_sized(&file, stat.fingerprint.size).unwrap(), b"12345");
        fs::write(tmp.path().join("a.lua"), "123456").unwrap();
        assert_ne!(stat.fingerprint, dir.stat(Path::new("a.lua")).unwrap().fingerprint);
    }

    #[test]
    fn lists_directories_only() {
        let (tmp, _) = config_dir();
        fs::create_dir(tmp.path().join("inner")).unwrap();
        fs::write(tmp.path().join("inner/a.lua"), "").unwrap();
        fs::write(tmp.path().join("file"), "").unwrap();
        let dir = Dir::open(tmp.path(), Owners::Trusted).unwrap();
        assert_eq!(dir.list(Path::new("inner")).unwrap().entries, [Listed { name: "a.lua".into(), is_file: true }]);
        for absent in ["file", "missing"] {
            assert!(is_absent(&dir.list(Path::new(absent)).unwrap_err()), "{absent}");
        }
        assert_eq!(
            Dir::open(&tmp.path().join("file"), Owners::Trusted).unwrap_err().kind(),
            io::ErrorKind::NotADirectory
        );
    }
}

#[test]
fn elsewhere_only_the_user_and_root_are_trusted() {
    let (tmp, dir) = config_dir();
    fs::write(tmp.path().join("a.lua"), "a").unwrap();
    let elsewhere = || ConfigDir::open_elsewhere(tmp.path());
    let own = geteuid().as_raw();
    assert!(load(&elsewhere().unwrap().unwrap(), "a.lua").is_ok());
    assert_eq!(elsewhere().unwrap().unwrap().dir.trusted, [own, 0, 0]);
    assert_eq!(dir.dir.trusted[2], own);
    if own == 0 {
        for path in [tmp.path().join("a.lua"), tmp.path().to_path_buf()] {
            chown(path, Some(STRANGER), None).unwrap();
        }
        assert!(load(&ConfigDir::open(tmp.path()).unwrap().unwrap(), "a.lua").is_ok());
        assert_eq!(refusal(&elsewhere().unwrap().unwrap(), "a.lua").code(), "untrusted");
    }
    for (mode, trusted) in [(0o777, false), (0o1777, true), (0o755, true)] {
        set_mode(tmp.path(), mode);
        assert_eq!(elsewhere().is_ok(), trusted, "{mode:o}");
        assert_eq!(dir.check_directory(Path::new("")).is_ok(), trusted, "{mode:o}");
    }
    assert!(ConfigDir::open_elsewhere(&tmp.path().join("none")).unwrap().is_none());
}
