//! The rules of a save, on real files; what faults and kills leave is in `tests/store_faults.rs`.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, XattrFlags, flock, fsetxattr, getxattr};
use rustix::io::Errno;
use rustix::process::geteuid;
use tempfile::TempDir;

use super::*;
use crate::json::{Value, parse};
use crate::time_step::Step;

const LIMITS: Limits = Limits { max_file_size: 1024 * 1024, trust_mtime: true };

/// No user of any machine that runs these tests.
const STRANGER: u32 = 54_321;

const OLD: &[u8] = b"{ \"a\": 1 }\n";
const NEW: &[u8] = b"{ \"a\": 2, \"b\": [] }\n";

fn options() -> Options {
    Options { limits: LIMITS, lock_deadline: Instant::now() + Duration::from_secs(10), durable: true }
}

/// A directory with `a.json` in it.
fn scene() -> (TempDir, PathBuf) {
    let tmp = TempDir::new().unwrap();
    let path = tmp.path().join("a.json");
    fs::write(&path, OLD).unwrap();
    (tmp, path)
}

fn write(path: &Path, content: &[u8]) -> Result<Saved> {
    save(path, &options(), &mut |_| Ok(Some(content.to_vec())))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// The names in the directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

/// The error of a save, which names `path` and has left `a.json` and nothing else behind.
fn refusal(tmp: &TempDir, path: &Path) -> Error {
    let before = names(tmp.path());
    let error = write(path, NEW).unwrap_err();
    assert_eq!(error.path(), Some(path), "{error}");
    assert_eq!(names(tmp.path()), before);
    error
}

#[test]
fn replaces_the_content_and_tells_both() {
    let (tmp, path) = scene();
    let mut seen = None;
    let saved = save(&path, &options(), &mut |text| {
        seen = text.map(<[u8]>::to_vec);
        Ok(Some(NEW.to_vec()))
    });
    let saved = saved.unwrap();
    assert_eq!((seen.as_deref(), saved.before.as_deref(), saved.written), (Some(OLD), Some(OLD), true));
    assert_eq!(fs::read(&path).unwrap(), NEW);
    assert_eq!(names(tmp.path()), ["a.json"]);
    let dir = ConfigDir::open(tmp.path()).unwrap().unwrap();
    let loaded = dir.read(&dir.place("a.json").unwrap(), Links::Follow, &LIMITS).unwrap().unwrap();
    let snapshot = saved.snapshot.unwrap();
    assert_eq!((&snapshot.content, snapshot.fingerprint), (&loaded.content, loaded.fingerprint));
    assert!(snapshot.fingerprint.is_racy(snapshot.read_at, Step::COARSEST), "somebody may write it in the same moment");
}

#[test]
fn each_state_is_younger_than_the_one_before() {
    let (_tmp, path) = scene();
    let mut before = fs::metadata(&path).unwrap().modified().unwrap();
    for round in 0..50 {
        write(&path, format!("{{\"round\":{}}}", round % 10).as_bytes()).unwrap();
        let after = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(after > before, "round {round}");
        before = after;
    }
    let future = SystemTime::now() + Duration::from_secs(3600);
    File::options().write(true).open(&path).unwrap().set_modified(future).unwrap();
    write(&path, b"{}").unwrap();
    assert!(fs::metadata(&path).unwrap().modified().unwrap() < future);
}

#[test]
fn makes_a_file_that_does_not_exist() {
    let (tmp, _) = scene();
    let path = tmp.path().join("b.json");
    let saved = write(&path, NEW).unwrap();
    assert_eq!((saved.before, saved.written), (None, true));
    assert_eq!(fs::read(&path).unwrap(), NEW);
    assert_eq!(names(tmp.path()), ["a.json", "b.json"]);
}

#[test]
fn replaces_and_makes_the_same_without_waiting_for_the_disk() {
    let (tmp, path) = scene();
    fs::hard_link(&path, tmp.path().join("linked.json")).unwrap();
    let options = Options { durable: false, ..options() };
    for path in [tmp.path().join("new/b.json"), tmp.path().join("new/b.json"), path] {
        for content in [NEW, OLD, OLD] {
            save(&path, &options, &mut |_| Ok(Some(content.to_vec()))).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }
    assert_eq!(names(tmp.path()), ["a.json", "linked.json", "new"]);
}

#[test]
fn makes_no_directory_for_nothing() {
    let (tmp, _) = scene();
    let path = tmp.path().join("missing/a.json");
    let saved = save(&path, &options(), &mut |text| {
        assert_eq!(text, None);
        Ok(None)
    });
    let saved = saved.unwrap();
    assert!(saved.before.is_none() && saved.snapshot.is_none() && !saved.written);
    let failed = save(&path, &options(), &mut |_| Err(ErrorKind::UnsupportedValue("no".into()).into()));
    assert_eq!(failed.unwrap_err().path(), Some(&*path));
    assert_eq!(names(tmp.path()), ["a.json"]);
}

#[test]
fn names_what_is_in_the_way_of_a_directory() {
    let (tmp, _) = scene();
    symlink("nowhere", tmp.path().join("dangling")).unwrap();
    for (way, code) in [("a.json", "not_a_file"), ("dangling", "not_found")] {
        let error = write(&tmp.path().join(way).join("b.json"), NEW).unwrap_err();
        assert_eq!((error.kind.code(), error.path()), (code, Some(&*tmp.path().join(way))), "{error}");
    }
    let error = write(&tmp.path().join("dangling/deeper/b.json"), NEW).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BrokenLink, "{error}");
    assert_eq!(names(tmp.path()), ["a.json", "dangling"]);
}

#[test]
fn what_is_there_already_is_not_written() {
    let (tmp, path) = scene();
    fs::write(tmp.path().join(".a.json.npc-tmp"), "of a killed save").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    for after in [Some(OLD.to_vec()), None] {
        let saved = save(&path, &options(), &mut |_| Ok(after.clone())).unwrap();
        assert!(!saved.written);
        assert_eq!(saved.before.as_deref(), Some(OLD));
        assert_eq!(saved.snapshot.unwrap().content, OLD);
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(names(tmp.path()), ["a.json"]);
    }
}

#[test]
fn an_error_of_the_edit_leaves_the_file_and_no_orphan() {
    let (tmp, path) = scene();
    fs::write(tmp.path().join(".a.json.npc-tmp"), "of a killed save").unwrap();
    let elsewhere = Path::new("/elsewhere");
    let edits = [(Error::new(ErrorKind::Encoding), &*path), (Error::new(ErrorKind::Encoding).at(elsewhere), elsewhere)];
    for (error, named) in edits {
        let failed = save(&path, &options(), &mut |_| Err(error.clone())).unwrap_err();
        assert_eq!((failed.kind, failed.path.as_deref()), (ErrorKind::Encoding, Some(named)));
        assert_eq!(fs::read(&path).unwrap(), OLD);
        assert_eq!(names(tmp.path()), ["a.json"]);
    }
}

#[test]
fn an_orphan_is_replaced_even_a_link() {
    let (tmp, path) = scene();
    let orphan = tmp.path().join(".a.json.npc-tmp");
    fs::write(tmp.path().join("other"), "untouched").unwrap();
    fs::write(&orphan, "a killed save has left much more text than this one will write").unwrap();
    write(&path, NEW).unwrap();
    symlink("other", &orphan).unwrap();
    write(&path, OLD).unwrap();
    assert_eq!(fs::read(&path).unwrap(), OLD);
    assert_eq!(fs::read(tmp.path().join("other")).unwrap(), b"untouched");
    assert_eq!(names(tmp.path()), ["a.json", "other"]);
}

#[test]
fn a_link_stays_a_link() {
    let (tmp, path) = scene();
    let far = tmp.path().join("far");
    fs::create_dir(&far).unwrap();
    let first = far.join("first.json");
    symlink("../a.json", &first).unwrap();
    symlink("far", tmp.path().join("near")).unwrap();
    let second = tmp.path().join("second.json");
    symlink("near/first.json", &second).unwrap();
    for (link, content) in [(&first, NEW), (&second, OLD), (&tmp.path().join("near/first.json"), NEW)] {
        assert!(write(link, content).unwrap().written);
        assert_eq!(fs::read(&path).unwrap(), content);
        assert!(first.is_symlink() && second.is_symlink());
    }
    assert_eq!(names(&far), ["first.json"]);
    assert_eq!(names(tmp.path()), ["a.json", "far", "near", "second.json"]);
    assert_eq!(backup_path(&second), path.canonicalize().unwrap().with_file_name(".a.json.npc-backup"));
}

#[test]
fn refuses_links_that_lead_nowhere_or_to_no_file() {
    let (tmp, _) = scene();
    let at = |name: &str| tmp.path().join(name);
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    symlink("nowhere.json", at("dangling")).unwrap();
    symlink("a.json/below", at("through-a-file")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("fifo", at("to-fifo")).unwrap();
    for name in ["dangling", "through-a-file", "loop"] {
        assert_eq!(refusal(&tmp, &at(name)).kind, ErrorKind::BrokenLink, "{name}");
    }
    for name in ["fifo", "to-fifo"] {
        assert_eq!(refusal(&tmp, &at(name)).kind, ErrorKind::NotAFile("a FIFO"), "{name}");
    }
    assert_eq!(refusal(&tmp, tmp.path()).kind, ErrorKind::NotAFile("a directory"));
}

#[test]
fn takes_absolute_paths_of_files_only() {
    for path in ["a.json", "/", "/tmp/..", ""] {
        for result in [write(Path::new(path), NEW).map(|_| ()), recover(Path::new(path), &options()).map(|_| ())] {
            assert_eq!(result.unwrap_err().kind.code(), "invalid_argument", "{path}");
        }
    }
}

#[test]
fn mode_owner_and_extended_attributes_stay() {
    let (_tmp, path) = scene();
    set_mode(&path, 0o6751);
    let marked = fsetxattr(File::open(&path).unwrap(), "user.npc", &[b'x'; 2000], XattrFlags::empty());
    if geteuid().is_root() {
        chown(path.parent().unwrap(), Some(STRANGER), None).unwrap();
        chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    let before = fs::metadata(&path).unwrap();
    write(&path, NEW).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!((before.uid(), before.gid()), (after.uid(), after.gid()));
    assert_eq!(mode(&path), 0o751, "what it may do, but never as its owner");
    match marked {
        Ok(()) => {
            let mut value = vec![0; 4096];
            assert_eq!(getxattr(&path, "user.npc", &mut value[..]), Ok(2000));
        }
        Err(error) => assert_eq!(error, Errno::NOTSUP, "the file system has none"),
    }
}

/// An access list as Linux stores it: version 2, then tag, rights and user for each entry.
#[cfg(target_os = "linux")]
fn access_list(user: u32) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries = [(0x01_u16, 6_u16, NOBODY), (0x02, 4, user), (0x04, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY)];
    let entry = |(tag, rights, user): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &user.to_le_bytes()].concat()
    };
    2_u32.to_le_bytes().into_iter().chain(entries.into_iter().flat_map(entry)).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn an_access_list_stays_and_the_one_for_new_files_does_not_come() {
    const ACCESS: &str = "system.posix_acl_access";
    let (tmp, path) = scene();
    let list = access_list(STRANGER);
    match fsetxattr(File::open(&path).unwrap(), ACCESS, &list, XattrFlags::empty()) {
        Err(Errno::NOTSUP) => return eprintln!("skipped: the file system has no access lists"),
        result => result.unwrap(),
    }
    let kept = |path: &Path| {
        let mut value = [0; 256];
        getxattr(path, ACCESS, &mut value[..]).map(|length| value[..length].to_vec())
    };
    write(&path, NEW).unwrap();
    assert_eq!((kept(&path), mode(&path)), (Ok(list), 0o640));
    // From now on new files in the directory get one.
    let default = access_list(STRANGER + 1);
    fsetxattr(File::open(tmp.path()).unwrap(), "system.posix_acl_default", &default, XattrFlags::empty()).unwrap();
    fs::write(tmp.path().join("b.json"), OLD).unwrap();
    let plain = tmp.path().join("b.json");
    rustix::fs::removexattr(&plain, ACCESS).unwrap();
    set_mode(&plain, 0o600);
    write(&plain, NEW).unwrap();
    assert_eq!((kept(&plain), mode(&plain)), (Err(Errno::NODATA), 0o600));
}

#[test]
fn hard_links_stay_linked() {
    let (tmp, path) = scene();
    let other = tmp.path().join("other.json");
    fs::hard_link(&path, &other).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let long = [NEW, b" ".repeat(100_000).as_slice()].concat();
    for content in [NEW, &long, OLD, b"", NEW] {
        let saved = write(&path, content).unwrap();
        let snapshot = saved.snapshot.unwrap();
        assert_eq!(snapshot.content, content);
        assert_eq!((snapshot.fingerprint.ino, snapshot.fingerprint.size), (inode, content.len() as u64));
        assert_eq!(fs::read(&other).unwrap(), content);
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(names(tmp.path()), ["a.json", "other.json"]);
    }
}

/// Runs `act` under an ordinary user of group `group`: root's own thread gives up its rights and ends with them.
#[cfg(target_os = "linux")]
fn as_ordinary_user<T: Send>(group: u32, act: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    if !geteuid().is_root() {
        return act();
    }
    std::thread::scope(|scope| {
        let in_thread = || {
            let (user, group) = (Uid::from_raw(ORDINARY), Gid::from_raw(group));
            set_thread_groups(&[]).unwrap();
            set_thread_res_gid(group, group, group).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
            act()
        };
        scope.spawn(in_thread).join().unwrap()
    })
}

const ORDINARY: u32 = 65_534;

#[cfg(target_os = "linux")]
#[test]
fn a_file_whose_owner_cannot_be_given_is_written_in_place() {
    if !geteuid().is_root() {
        return eprintln!("skipped: only root can make a file of another user");
    }
    let (tmp, path) = scene();
    set_mode(tmp.path(), 0o775);
    chown(tmp.path(), None, Some(STRANGER)).unwrap();
    chown(&path, None, Some(STRANGER)).unwrap();
    set_mode(&path, 0o660);
    let before = fs::metadata(&path).unwrap();
    as_ordinary_user(STRANGER, || write(&path, NEW).unwrap());
    let after = fs::metadata(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), NEW);
    assert_eq!((before.ino(), before.uid(), before.gid()), (after.ino(), after.uid(), after.gid()));
    assert_eq!((mode(&path), names(tmp.path())), (0o660, vec!["a.json".into()]));
}

#[cfg(target_os = "linux")]
#[test]
fn what_may_not_be_written_is_not_replaced() {
    let (tmp, path) = scene();
    if geteuid().is_root() {
        chown(tmp.path(), Some(ORDINARY), Some(ORDINARY)).unwrap();
        chown(&path, Some(ORDINARY), Some(ORDINARY)).unwrap();
    }
    let refused = |path: &Path| {
        let error = as_ordinary_user(ORDINARY, || refusal(&tmp, path));
        assert_eq!(error.errno, Some(Errno::ACCESS.raw_os_error()));
        assert!(error.to_string().contains("writable"), "{error}");
        assert_eq!((error.kind.code(), error.kind), ("permission", ErrorKind::NotWritable));
    };
    set_mode(&path, 0o444);
    refused(&path);
    set_mode(&path, 0o644);
    set_mode(tmp.path(), 0o555);
    refused(&path);
    refused(&tmp.path().join("new.json"));
    assert_eq!(fs::read(&path).unwrap(), OLD);
    as_ordinary_user(ORDINARY, || {
        assert!(!write(&path, OLD).unwrap().written, "nothing to write, nothing to refuse");
        let error = write(&tmp.path().join("new/a.json"), NEW).unwrap_err();
        assert_eq!((error.kind, error.path), (ErrorKind::NotWritable, Some(tmp.path().join("new"))));
    });
    set_mode(tmp.path(), 0o755);
    as_ordinary_user(ORDINARY, || assert!(write(&path, NEW).unwrap().written));
}

#[test]
fn what_would_not_be_loaded_is_not_written() {
    let (tmp, path) = scene();
    let untrusted = |path: &Path| assert_eq!(refusal(&tmp, path).kind.code(), "untrusted");
    let link = tmp.path().join("link.json");
    symlink("a.json", &link).unwrap();
    set_mode(&path, 0o666);
    untrusted(&path);
    untrusted(&link);
    set_mode(&path, 0o644);
    if geteuid().is_root() {
        chown(&path, Some(STRANGER), None).unwrap();
        untrusted(&path);
        // The owner of the directory is trusted.
        chown(tmp.path(), Some(STRANGER), None).unwrap();
        assert!(write(&path, NEW).unwrap().written);
    }
    let size = LIMITS.max_file_size + 1;
    let error = write(&path, &vec![b' '; size as usize]).unwrap_err();
    assert_eq!(error, Error::new(ErrorKind::TooLarge { size, limit: LIMITS.max_file_size }).at(&path));
    assert!(write(&path, &vec![b' '; LIMITS.max_file_size as usize]).unwrap().written);
    File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
    assert_eq!(refusal(&tmp, &path).kind.code(), "too_large");
}

#[test]
fn names_of_any_length_have_names_beside_them() {
    let (tmp, _) = scene();
    for length in [1, 200, 245, 246, 247, 248, 255] {
        let path = tmp.path().join("é".repeat(length / 2) + &"x".repeat(length % 2));
        for content in [OLD, NEW] {
            assert!(write(&path, content).unwrap().written, "{length}");
        }
        fs::hard_link(&path, tmp.path().join("linked")).unwrap();
        assert!(write(&path, OLD).unwrap().written, "{length}");
        assert!(backup_path(&path).file_name().unwrap().len() <= LONGEST_NAME);
        fs::remove_file(tmp.path().join("linked")).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(names(tmp.path()), ["a.json"], "{length}");
    }
    let error = refusal(&tmp, &tmp.path().join("x".repeat(256)));
    assert_eq!(error.errno, Some(Errno::NAMETOOLONG.raw_os_error()));
    let beside = |name: &str| beside(name.as_ref(), Beside::Temporary);
    assert_ne!(beside(&"x".repeat(254)), beside(&"x".repeat(255)));
}

#[test]
fn what_changes_while_it_is_edited_is_edited_again() {
    let (tmp, path) = scene();
    let new = tmp.path().join("new.json");
    for path in [&path, &new] {
        let mut rounds = 0;
        let saved = save(path, &options(), &mut |text| {
            rounds += 1;
            // Another editor, which knows nothing of the lock.
            match rounds {
                1 => {
                    fs::write(tmp.path().join("theirs"), "theirs").unwrap();
                    fs::rename(tmp.path().join("theirs"), path).unwrap();
                }
                2 => fs::write(path, "theirs, in place").unwrap(),
                _ => {}
            }
            Ok(Some([text.unwrap_or_default(), b" + ours"].concat()))
        });
        assert_eq!(saved.unwrap().before.unwrap(), b"theirs, in place");
        assert_eq!((fs::read(path).unwrap(), rounds), (b"theirs, in place + ours".to_vec(), 3));
    }
    fs::hard_link(&path, tmp.path().join("linked.json")).unwrap();
    let mut rounds = 0;
    save(&path, &options(), &mut |text| {
        rounds += 1;
        if rounds == 1 {
            fs::write(&path, "linked").unwrap();
        }
        Ok(Some([text.unwrap_or_default(), b" + ours"].concat()))
    })
    .unwrap();
    assert_eq!((fs::read(&path).unwrap(), rounds), (b"linked + ours".to_vec(), 2));
    assert_eq!(names(tmp.path()), ["a.json", "linked.json", "new.json"]);
}

#[test]
fn a_file_that_never_rests_is_given_up() {
    let (tmp, path) = scene();
    let mut rounds = 0;
    let result = save(&path, &options(), &mut |_| {
        rounds += 1;
        fs::write(&path, "x".repeat(rounds)).unwrap();
        Ok(Some(NEW.to_vec()))
    });
    let error = result.unwrap_err();
    assert_eq!((error.kind.code(), error.path(), rounds), ("io", Some(&*path), ATTEMPTS));
    assert_eq!((fs::read(&path).unwrap(), names(tmp.path())), (b"x".repeat(ATTEMPTS), vec!["a.json".into()]));
}

#[test]
fn a_directory_that_is_replaced_while_the_lock_is_waited_for_is_opened_anew() {
    let (tmp, _) = scene();
    let directory = tmp.path().join("projects");
    let path = directory.join("a.json");
    fs::create_dir(&directory).unwrap();
    let held = File::open(&directory).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    std::thread::scope(|scope| {
        let saving = scope.spawn(|| write(&path, NEW).unwrap());
        // It waits for the lock of the old one, finds the new one, or makes it.
        fs::remove_dir(&directory).unwrap();
        fs::create_dir_all(&directory).unwrap();
        drop(held);
        assert!(saving.join().unwrap().written);
    });
    assert_eq!(fs::read(&path).unwrap(), NEW);
}

#[test]
fn a_lock_that_is_held_ends_the_save_at_the_deadline() {
    let (tmp, path) = scene();
    let holder = File::open(tmp.path()).unwrap();
    flock(&holder, FlockOperation::LockExclusive).unwrap();
    let wait = Duration::from_millis(30);
    let begun = Instant::now();
    let options = Options { lock_deadline: begun + wait, ..options() };
    let error = save(&path, &options, &mut |_| panic!("without the lock")).unwrap_err();
    assert!(begun.elapsed() >= wait);
    assert_eq!((error.kind.code(), error.path()), ("timeout", Some(&*path)));
    assert!(error.to_string().contains("another editor"), "{error}");
    drop(holder);
    // Also with a deadline in the past: there is always one try.
    assert!(save(&path, &options, &mut |_| Ok(Some(NEW.to_vec()))).unwrap().written);
}

#[test]
fn who_saves_without_a_pause_lets_others_in() {
    let (tmp, _) = scene();
    // In a directory of its own, since saves lock the one above too.
    let path = tmp.path().join("config/a.json");
    write(&path, OLD).unwrap();
    let enough = AtomicBool::new(false);
    let saves = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                let saved = save(&path, &options(), &mut |_| {
                    // As a slow disk: between two saves there is next to no time.
                    std::thread::sleep(Duration::from_millis(10));
                    Ok(None)
                });
                saved.unwrap();
                saves.fetch_add(1, Ordering::Relaxed);
            }
        });
        let waited_for = |content: &[u8]| {
            let before = saves.load(Ordering::Relaxed);
            // The other one has the lock again.
            while saves.load(Ordering::Relaxed) == before {
                std::thread::yield_now();
            }
            write(&path, content).unwrap();
            saves.load(Ordering::Relaxed) - before
        };
        let waited_for: Vec<_> = (0..10).map(|round| waited_for(&b" ".repeat(round))).collect();
        enough.store(true, Ordering::Relaxed);
        assert!(waited_for.iter().all(|saves| *saves < 10), "{waited_for:?}");
    });
}

#[test]
fn threads_lose_no_update() {
    const ROUNDS: usize = 100;
    let (tmp, path) = scene();
    fs::write(&path, "0").unwrap();
    let barrier = Barrier::new(2);
    let increment = |text: Option<&[u8]>| {
        let number: usize = std::str::from_utf8(text.unwrap()).unwrap().parse().unwrap();
        Ok(Some((number + 1).to_string().into_bytes()))
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..ROUNDS {
                    save(&path, &options(), &mut |text| increment(text)).unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_to_string(&path).unwrap(), (2 * ROUNDS).to_string());
    assert_eq!(names(tmp.path()), ["a.json"]);
}

/// The moments between the last look at the file and the end of a save.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
mod at_the_exchange {
    use super::*;

    const THEIRS: &[u8] = b"{ \"theirs\": 1 }\n";

    /// As another editor, which knows nothing of the lock.
    fn replace(path: &Path, content: &[u8]) {
        let other = path.with_file_name("theirs");
        fs::write(&other, content).unwrap();
        fs::rename(&other, path).unwrap();
    }

    type Case = (fn(&Path), Option<&'static [u8]>);

    /// What comes of an exchange before which this happens: whether the new file stayed, and whether the temporary
    /// name is said to be another's.
    fn exchange_after(happens: impl FnOnce(&Path)) -> (TempDir, bool, bool) {
        let (tmp, path) = scene();
        let options = options();
        let target = Target::find(&path, &options, Owners::Trusted).unwrap().unwrap();
        let found = target.read().unwrap().unwrap().snapshot.fingerprint;
        let file = target.write_beside(platform::Access::AsNew, NEW).unwrap();
        happens(&path);
        let stayed = target.exchange(&found, &file).unwrap();
        (tmp, stayed, target.keeps_displaced.get())
    }

    fn content(tmp: &TempDir, name: &str) -> Option<Vec<u8>> {
        fs::read(tmp.path().join(name)).ok()
    }

    #[test]
    fn nothing_came_in_between() {
        let (tmp, stayed, _) = exchange_after(|_| {});
        assert!(stayed);
        assert_eq!((content(&tmp, "a.json").as_deref(), names(tmp.path())), (Some(NEW), vec!["a.json".into()]));
    }

    #[test]
    fn what_came_in_between_gets_its_place_back() {
        let cases: [Case; 3] = [
            (|path| replace(path, THEIRS), Some(THEIRS)),
            (|path| fs::write(path, THEIRS).unwrap(), Some(THEIRS)),
            (|path| fs::remove_file(path).unwrap(), None),
        ];
        for (happens, expected) in cases {
            let (tmp, stayed, keeps) = exchange_after(happens);
            assert!(!stayed && !keeps);
            assert_eq!(
                (content(&tmp, "a.json").as_deref(), content(&tmp, ".a.json.npc-tmp").as_deref()),
                (expected, Some(NEW))
            );
        }
    }

    #[test]
    fn who_replaces_the_file_while_it_is_put_back_comes_last() {
        let (tmp, path) = scene();
        let options = options();
        let target = Target::find(&path, &options, Owners::Trusted).unwrap().unwrap();
        let temporary = tmp.path().join(&target.temporary);
        let file = target.write_beside(platform::Access::AsNew, NEW).unwrap();
        // This save's file was in place, and what it displaced, THEIRS, is beside; then that was replaced too.
        fs::write(&temporary, THEIRS).unwrap();
        let displaced = target.displaced().unwrap();
        replace(&path, b"newer");
        target.keeps_displaced.set(true);
        target.put_back(displaced, &file).unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&temporary).unwrap()), (b"newer".to_vec(), THEIRS.to_vec()));
        assert!(!target.keeps_displaced.get());
    }

    #[test]
    fn what_nobody_could_look_at_is_not_removed() {
        let (tmp, path) = scene();
        let options = options();
        let target = Target::find(&path, &options, Owners::Trusted).unwrap().unwrap();
        let file = target.write_beside(platform::Access::AsNew, NEW).unwrap();
        fs::rename(tmp.path().join(&target.temporary), tmp.path().join("ours")).unwrap();
        fs::write(tmp.path().join(&target.temporary), THEIRS).unwrap();
        target.keeps_displaced.set(true);
        target.put_back(None, &file).unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), content(&tmp, ".a.json.npc-tmp").unwrap()),
            (THEIRS.to_vec(), OLD.to_vec())
        );
        assert!(target.keeps_displaced.get());
    }

    #[test]
    fn a_file_that_somebody_else_makes_is_not_replaced() {
        let (tmp, _) = scene();
        let (path, options) = (tmp.path().join("new.json"), options());
        let target = Target::find(&path, &options, Owners::Trusted).unwrap().unwrap();
        let file = target.write_beside(platform::Access::AsNew, NEW).unwrap();
        replace(&path, THEIRS);
        assert!(target.put_in_place(None, file).unwrap().is_none());
        assert_eq!(fs::read(&path).unwrap(), THEIRS);
    }
}

/// Between the last look at the file and the exchange are some microseconds, which the rounds go through.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
#[test]
fn who_replaces_the_file_without_the_lock_loses_nothing() {
    const ROUNDS: u64 = 3000;
    let (tmp, path) = scene();
    let theirs = tmp.path().join("theirs");
    let options = Options { durable: false, ..options() };
    let barrier = Barrier::new(2);
    // The rounds in which they are ready, and in which the file is edited.
    let [ready, edited] = [const { AtomicU64::new(0) }; 2];
    let wait_for = |counter: &AtomicU64, round| {
        while counter.load(Ordering::Acquire) < round {
            std::hint::spin_loop();
        }
    };
    let quickest = AtomicU64::new(100_000);
    let (mut merged, mut lost) = (0, Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                fs::write(&theirs, format!("{{\"theirs\": {round}}}")).unwrap();
                barrier.wait();
                ready.store(round, Ordering::Release);
                wait_for(&edited, round);
                let moment =
                    Instant::now() + Duration::from_nanos(round * 7919 % (2 * quickest.load(Ordering::Relaxed)));
                while Instant::now() < moment {
                    std::hint::spin_loop();
                }
                fs::rename(&theirs, &path).unwrap();
                barrier.wait();
            }
        });
        for round in 1..=ROUNDS {
            barrier.wait();
            let inode = fs::metadata(&theirs).unwrap().ino();
            let mut edited_at = Instant::now();
            let saved = save(&path, &Options { lock_deadline: Instant::now(), ..options }, &mut |text| {
                let mut document = parse(text.unwrap()).unwrap().unwrap();
                document["ours"] = round.into();
                wait_for(&ready, round);
                edited_at = Instant::now();
                edited.store(round, Ordering::Release);
                Ok(Some(document.to_string().into_bytes()))
            });
            let saved = saved.unwrap();
            quickest.fetch_min(edited_at.elapsed().as_nanos() as u64, Ordering::Relaxed);
            barrier.wait();
            let document = parse(&fs::read(&path).unwrap()).unwrap().unwrap();
            // They may have come last; then it is they who did not look.
            let ours = document["ours"] == round || fs::metadata(&path).unwrap().ino() == inode;
            if document["theirs"] != round || !ours {
                lost.push(document);
            }
            let before = parse(&saved.before.unwrap()).unwrap().unwrap();
            merged += u64::from(before["theirs"] == round);
        }
    });
    println!("{merged} of {ROUNDS} merged, {} lost", lost.len());
    assert_eq!(lost, Vec::<Value>::new());
    assert!(merged > ROUNDS / 100 && merged < ROUNDS, "{merged} merged: the moments are not those of a save");
    assert_eq!(names(tmp.path()), ["a.json"]);
}

mod after_a_kill_in_place {
    use super::*;

    /// A file with two names, and the backup of a write from `OLD` to `NEW`.
    fn interrupted(content: &[u8]) -> (TempDir, PathBuf) {
        let (tmp, path) = scene();
        fs::hard_link(&path, tmp.path().join("linked")).unwrap();
        fs::write(&path, content).unwrap();
        fs::write(backup_path(&path), Backup { before: OLD, after: NEW }.encode()).unwrap();
        set_mode(&backup_path(&path), 0o600);
        (tmp, path)
    }

    fn torn() -> Vec<u8> {
        [&NEW[..NEW.len() - 5], b"\0\0\0"].concat()
    }

    #[test]
    fn a_torn_file_is_put_back() {
        let (tmp, path) = interrupted(&torn());
        assert!(recover(&path, &options()).unwrap());
        assert_eq!(fs::read(tmp.path().join("linked")).unwrap(), OLD);
        assert_eq!(names(tmp.path()), ["a.json", "linked"]);
        assert!(!recover(&path, &options()).unwrap(), "once");
    }

    #[test]
    fn a_save_puts_it_back_first() {
        let (tmp, path) = interrupted(&torn());
        let saved = save(&path, &options(), &mut |_| Ok(Some(b"{}".to_vec()))).unwrap();
        assert_eq!(saved.before.as_deref(), Some(OLD));
        assert_eq!((fs::read(&path).unwrap(), names(tmp.path()).len()), (b"{}".to_vec(), 2));
        let (tmp, path) = interrupted(&torn());
        save(&path, &options(), &mut |_| Ok(None)).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(tmp.path()).len()), (OLD.to_vec(), 2));
    }

    #[test]
    fn a_complete_file_stays_and_the_backup_goes() {
        for content in [OLD, NEW, b"{ \"by\": \"hand\" }"] {
            let (tmp, path) = interrupted(content);
            assert!(!recover(&path, &options()).unwrap());
            assert_eq!((fs::read(&path).unwrap(), names(tmp.path()).len()), (content.to_vec(), 2));
        }
        let (tmp, path) = interrupted(NEW);
        fs::remove_file(&path).unwrap();
        assert!(!recover(&path, &options()).unwrap());
        assert_eq!(names(tmp.path()), ["linked"]);
    }

    #[test]
    fn what_nobody_can_tell_stays_with_its_backup() {
        let content = b"{ \"by\": \"ha";
        let (tmp, path) = interrupted(content);
        assert!(!recover(&path, &options()).unwrap());
        assert_eq!((fs::read(&path).unwrap(), names(tmp.path()).len()), (content.to_vec(), 3));
    }

    #[test]
    fn a_backup_that_others_could_have_written_is_refused() {
        let (_tmp, path) = interrupted(&torn());
        set_mode(&backup_path(&path), 0o666);
        for error in [recover(&path, &options()).unwrap_err(), write(&path, NEW).unwrap_err()] {
            assert_eq!((error.kind.code(), error.path()), ("untrusted", Some(&*backup_path(&path))));
        }
        assert_eq!(fs::read(&path).unwrap(), torn());
    }

    #[test]
    fn nothing_to_recover_is_no_error() {
        let (tmp, path) = scene();
        for path in [&path, &tmp.path().join("b.json"), &tmp.path().join("missing/b.json")] {
            assert!(!recover(path, &options()).unwrap());
        }
        assert_eq!(names(tmp.path()), ["a.json"]);
    }
}

/// The lock file takes the place of the directory's lock where there is none.
mod portable_back_end {
    use super::super::portable::*;
    use super::*;

    fn held() -> (TempDir, ConfigDir) {
        let (tmp, _) = scene();
        let dir = ConfigDir::open(tmp.path()).unwrap().unwrap();
        (tmp, dir)
    }

    #[test]
    fn locks_a_file_that_stays() {
        let (tmp, dir) = held();
        assert_eq!(lock(&dir).unwrap(), super::super::lock::Attempt::Unsupported);
        let name = beside("a.json".as_ref(), Beside::Lock);
        let first = open_lock_file(&dir, &name).unwrap();
        first.try_lock().unwrap();
        let second = open_lock_file(&dir, &name).unwrap();
        assert!(second.try_lock().is_err());
        drop(first);
        second.try_lock().unwrap();
        assert_eq!(names(tmp.path()), [".a.json.npc-lock", "a.json"]);
    }

    #[test]
    fn creates_once_replaces_and_removes() {
        let (tmp, dir) = held();
        let name = OsStr::new("beside");
        create(&dir, name, Access::Private).unwrap();
        let again = create(&dir, name, Access::AsNew).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        let mut file = open_for_writing(&dir, name).unwrap();
        file.write_all(NEW).unwrap();
        let attributes = Attributes::of(&file).unwrap();
        assert_eq!(attributes.links(), 1);
        assert!(attributes.give(&file, &File::open(tmp.path().join("a.json")).unwrap()).unwrap());
        for unsupported in [exchange, rename_to_free] {
            assert_eq!(unsupported(&dir, name, "a.json".as_ref()).unwrap(), Renamed::Unsupported);
        }
        rename(&dir, name, "a.json".as_ref()).unwrap();
        sync_directory(&dir).unwrap();
        assert_eq!(fs::read(tmp.path().join("a.json")).unwrap(), NEW);
        remove(&dir, "a.json".as_ref()).unwrap();
        assert!(names(tmp.path()).is_empty());
        make_directory(&tmp.path().join("inner")).unwrap();
        assert!(!is_removed(&dir).unwrap());
        drop(tmp);
        assert!(is_removed(&dir).unwrap());
    }

    #[test]
    fn tells_what_may_be_written() {
        let (tmp, dir) = held();
        let name = OsStr::new("a.json");
        may_write(&dir, name).unwrap();
        set_mode(&tmp.path().join(name), 0o444);
        assert_eq!(may_write(&dir, name).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}

#[test]
fn what_a_user_names_is_replaced_whoever_owns_it() {
    let (_tmp, path) = scene();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o606)).unwrap();
    let refused = save(&path, &options(), &mut |_| Ok(Some(NEW.to_vec()))).unwrap_err();
    assert_eq!(refused.kind.code(), "untrusted");
    if geteuid().is_root() {
        chown(&path, Some(STRANGER), None).unwrap();
    }
    let saved = replace(&path, &options(), NEW).unwrap();
    assert_eq!((saved.written, saved.snapshot.unwrap().content), (true, NEW.to_vec()));
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((fs::read(&path).unwrap(), metadata.mode() & 0o777), (NEW.to_vec(), 0o606));
    assert!(!geteuid().is_root() || metadata.uid() == STRANGER);
    let again = replace(&path, &options(), NEW).unwrap();
    assert!(!again.written && again.snapshot.is_some());
}
