//! When an entry is the same, when it is another one, and what that costs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;

const LIMITS: Limits = Limits { max_file_size: 1024 * 1024, trust_mtime: true };

struct Fixture {
    tmp: TempDir,
    dir: ConfigDir,
    cache: FileCache,
}

impl Fixture {
    fn new() -> Self {
        Self::with_memory(1024 * 1024)
    }

    fn with_memory(max_bytes: u64) -> Self {
        let tmp = TempDir::new().unwrap();
        let dir = ConfigDir::open(tmp.path()).unwrap().unwrap();
        Self { tmp, dir, cache: FileCache::new(max_bytes) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.at(name), content).unwrap();
    }

    fn try_load(&self, name: &str, limits: &Limits) -> Result<Option<Arc<FileEntry>>> {
        self.cache.config_file(&self.dir, &self.dir.place(name).unwrap(), limits)
    }

    fn load_with(&self, name: &str, limits: &Limits) -> Arc<FileEntry> {
        self.try_load(name, limits).unwrap().unwrap()
    }

    fn load(&self, name: &str) -> Arc<FileEntry> {
        self.load_with(name, &LIMITS)
    }

    fn bytes_kept(&self) -> u64 {
        self.cache.bytes()
    }
}

/// Moves the read on by a minute, as if the file had been old when it was read.
fn age(entry: &FileEntry) {
    lock(&entry.verified).read_at.secs += 60;
}

#[test]
fn caches_cross_threads() {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<FileCache>();
    crosses_threads::<ConfigDir>();
    crosses_threads::<Arc<FileEntry>>();
}

#[test]
fn an_unchanged_file_is_the_same_entry() {
    let fixture = Fixture::new();
    fixture.write("a.lua", "return 1");
    let first = fixture.load("a.lua");
    assert_eq!(*first.path, *fixture.at("a.lua"));
    assert_eq!(first.content, b"return 1");
    assert!(Arc::ptr_eq(&first, &fixture.load("a.lua")), "read again, for it is young");
    age(&first);
    assert!(Arc::ptr_eq(&first, &fixture.load("a.lua")), "proved by its fingerprint");
    assert!(Arc::ptr_eq(&first, &fixture.load_with("a.lua", &Limits { trust_mtime: false, ..LIMITS })));
}

#[test]
fn edits_of_the_same_size_within_one_clock_tick_are_seen() {
    let fixture = Fixture::new();
    for edit in 1000..2000 {
        let content = edit.to_string();
        fixture.write("a.lua", &content);
        assert_eq!(fixture.load("a.lua").content, content.as_bytes());
    }
}

#[test]
fn an_edit_that_leaves_the_fingerprint_as_it_was_is_seen_while_the_file_is_young() {
    let fixture = Fixture::new();
    fixture.write("a.lua", "old");
    let first = fixture.load("a.lua");
    fixture.write("a.lua", "new");
    // What a file system with a coarse clock would have said the first time, too.
    lock(&first.verified).fingerprint = Fingerprint::of(&rustix::fs::stat(fixture.at("a.lua")).unwrap());
    assert_eq!(fixture.load("a.lua").content, b"new");
}

#[test]
fn without_trust_in_times_an_edit_is_seen_whatever_they_say() {
    let fixture = Fixture::new();
    fixture.write("a.lua", "old");
    let first = fixture.load("a.lua");
    fixture.write("a.lua", "new");
    lock(&first.verified).fingerprint = Fingerprint::of(&rustix::fs::stat(fixture.at("a.lua")).unwrap());
    age(&first);
    assert_eq!(fixture.load("a.lua").content, b"old", "a forged proof");
    assert_eq!(fixture.load_with("a.lua", &Limits { trust_mtime: false, ..LIMITS }).content, b"new");
}

#[test]
fn an_edit_is_seen_though_its_mtime_was_set_back() {
    let fixture = Fixture::new();
    fixture.write("a.lua", "old");
    let first = fixture.load("a.lua");
    age(&first);
    let before = fs::metadata(fixture.at("a.lua")).unwrap().modified().unwrap();
    fixture.write("a.lua", "new");
    fs::File::options().write(true).open(fixture.at("a.lua")).unwrap().set_modified(before).unwrap();
    assert_eq!(fs::metadata(fixture.at("a.lua")).unwrap().modified().unwrap(), before);
    assert_eq!(fixture.load("a.lua").content, b"new");
}

#[test]
fn another_file_at_the_path_is_seen() {
    let fixture = Fixture::new();
    fixture.write("a.lua", "old");
    fixture.write("b.lua", "new");
    symlink("a.lua", fixture.at("link.lua")).unwrap();
    age(&fixture.load("a.lua"));
    age(&fixture.load("link.lua"));
    fs::remove_file(fixture.at("link.lua")).unwrap();
    symlink("b.lua", fixture.at("link.lua")).unwrap();
    assert_eq!(fixture.load("link.lua").content, b"new", "the link leads elsewhere");
    fs::rename(fixture.at("b.lua"), fixture.at("a.lua")).unwrap();
    assert_eq!(fixture.load("a.lua").content, b"new", "renamed over");
    fs::remove_file(fixture.at("a.lua")).unwrap();
    assert!(fixture.try_load("a.lua", &LIMITS).unwrap().is_none(), "removed");
    fixture.write("a.lua", "newer");
    assert_eq!(fixture.load("a.lua").content, b"newer", "made anew");
}

#[test]
fn another_file_with_the_same_content_is_the_same_entry_with_a_younger_fingerprint() {
    let fixture = Fixture::new();
    fixture.write("a.lua", "same");
    fixture.write("b.lua", "same");
    let first = fixture.load("a.lua");
    let old = first.fingerprint();
    fs::rename(fixture.at("b.lua"), fixture.at("a.lua")).unwrap();
    let second = fixture.load("a.lua");
    assert!(Arc::ptr_eq(&first, &second));
    assert_ne!(second.fingerprint(), old);
    assert_eq!(second.fingerprint(), Fingerprint::of(&rustix::fs::stat(fixture.at("a.lua")).unwrap()));
}

#[test]
fn trust_and_size_are_judged_anew_each_time() {
    let fixture = Fixture::new();
    let path = fixture.at("a.lua");
    fixture.write("a.lua", "return 1");
    age(&fixture.load("a.lua"));
    let smaller = Limits { max_file_size: 7, ..LIMITS };
    let refused = |limits| fixture.try_load("a.lua", limits).unwrap_err().kind;
    assert_eq!(refused(&smaller), ErrorKind::TooLarge { size: 8, limit: 7 });
    fs::set_permissions(&path, fs::Permissions::from_mode(0o606)).unwrap();
    assert_eq!(refused(&LIMITS).code(), "untrusted");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(refused(&LIMITS), ErrorKind::NotAFile("a directory"));
}

#[test]
fn a_document_is_parsed_once_and_its_errors_name_the_file() {
    let fixture = Fixture::new();
    fixture.write("a.json", r#"{ "tab": 4 }"#);
    fixture.write("empty.json", "");
    fixture.write("bad.json", "{\n  oops\n}");
    let entry = fixture.load("a.json");
    let document = entry.json().as_ref().unwrap().as_ref().unwrap();
    assert_eq!(document["tab"].to_string(), "4");
    let again = fixture.load("a.json");
    assert!(Arc::ptr_eq(document, again.json().as_ref().unwrap().as_ref().unwrap()));
    assert!(fixture.load("empty.json").json().as_ref().unwrap().is_none());
    let bad = fixture.load("bad.json");
    let error = bad.json().as_ref().unwrap_err();
    assert_eq!((error.path(), error.line), (Some(fixture.at("bad.json").as_path()), Some(2)));
}

#[test]
fn memory_is_bounded_and_the_least_recently_used_go_first() {
    let weight = FileEntry::new(Path::new("/").into(), snapshot_of(10_000), None, Instant::now()).weight();
    let fixture = Fixture::with_memory(3 * weight + weight / 2);
    for name in ["a.lua", "b.lua", "c.lua", "d.lua"] {
        fixture.write(name, &"x".repeat(10_000));
    }
    let a = fixture.load("a.lua");
    let b = Arc::downgrade(&fixture.load("b.lua"));
    fixture.load("c.lua");
    fixture.load("a.lua");
    fixture.load("d.lua");
    assert!(fixture.bytes_kept() <= fixture.cache.shelf.max_bytes());
    assert!(Arc::ptr_eq(&a, &fixture.load("a.lua")), "used again, so kept");
    assert!(b.upgrade().is_none(), "the one that had to go");
}

#[test]
fn memory_is_accounted_for_when_entries_are_replaced() {
    let fixture = Fixture::with_memory(40_000);
    for size in [100, 10_000, 1, 15_000, 30_000, 0] {
        fixture.write("a.lua", &"x".repeat(size));
        let entry = fixture.load("a.lua");
        assert_eq!(fixture.bytes_kept(), fixture.cache.weight(&entry));
    }
}

#[test]
fn the_largest_file_that_may_be_read_is_kept_beside_others() {
    let fixture = Fixture::with_memory(64 << 20);
    let limits = Limits { max_file_size: 16 << 20, ..LIMITS };
    let text = "x".repeat(10 << 20);
    fixture.write("large.json", &format!(r#"{{"text": "{text}"}}"#));
    let large = fixture.load_with("large.json", &limits);
    for index in 0..100 {
        fixture.write(&format!("{index}.lua"), &"x".repeat(10_000));
        fixture.load(&format!("{index}.lua"));
    }
    assert!(Arc::ptr_eq(&large, &fixture.load_with("large.json", &limits)));
    assert!(fixture.bytes_kept() <= fixture.cache.shelf.max_bytes());
}

fn snapshot_of(size: usize) -> Snapshot {
    let time = Timestamp { secs: 0, nanos: 0 };
    let fingerprint = Fingerprint { dev: 0, ino: 0, size: size as u64, mtime: time, ctime: time };
    Snapshot { content: vec![b'x'; size], fingerprint, read_at: time }
}

#[cfg(target_os = "linux")]
mod opens {
    use std::mem::MaybeUninit;

    use rustix::fs::inotify;
    use rustix::io::Errno;

    use super::*;

    /// How often the kernel saw the file opened since the last call.
    fn count(watch: &rustix::fd::OwnedFd) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(watch, &mut buffer);
        let mut opened = 0;
        loop {
            match reader.next() {
                Ok(event) => opened += usize::from(event.events().contains(inotify::ReadFlags::OPEN)),
                Err(Errno::AGAIN) => return opened,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn only_a_young_or_mistrusted_file_is_opened_again() {
        let fixture = Fixture::new();
        fixture.write("a.lua", "return 1");
        symlink("a.lua", fixture.at("link.lua")).unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        // One watch an inode and one event an open: equal events in a row would be one.
        let events = inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE_NOWRITE;
        inotify::add_watch(&watch, fixture.at("a.lua"), events).unwrap();
        for name in ["a.lua", "link.lua"] {
            let entry = fixture.load(name);
            assert_eq!(count(&watch), 1, "{name}: cold");
            fixture.load(name);
            assert_eq!(count(&watch), 1, "{name}: young");
            age(&entry);
            fixture.load(name);
            assert_eq!(count(&watch), 0, "{name}: proved by its fingerprint");
            fixture.load_with(name, &Limits { trust_mtime: false, ..LIMITS });
            assert_eq!(count(&watch), 1, "{name}: not trusted");
        }
        fixture.try_load("a.lua", &Limits { max_file_size: 1, ..LIMITS }).unwrap_err();
        assert_eq!(count(&watch), 0, "too large");
    }
}

/// Files by absolute path, whoever owns them: what users ask for.
mod by_path {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::disk::Disk;

    struct Files {
        tmp: TempDir,
        cache: FileCache,
    }

    impl Files {
        /// On a device whose step has been looked for.
        fn probed(directory: &Path) -> Self {
            let tmp = TempDir::new_in(directory).unwrap();
            let disk = Disk::default();
            disk.steps.probe(stat(tmp.path()).dev, tmp.path());
            Self { tmp, cache: FileCache::on(disk, 1 << 20) }
        }

        fn new() -> Self {
            Self::probed(&std::env::temp_dir())
        }

        /// One for each file system at hand.
        fn everywhere() -> Vec<Self> {
            let mut all = vec![Self::new()];
            all.extend(Some(Path::new("/dev/shm")).filter(|shm| shm.exists()).map(Self::probed));
            all
        }

        fn at(&self, name: &str) -> PathBuf {
            self.tmp.path().join(name)
        }

        fn put(&self, name: &str, content: &str) {
            fs::write(self.at(name), content).unwrap();
        }

        fn get(&self, name: &str) -> FileState {
            self.cache.file(&self.at(name).into(), &LIMITS).unwrap()
        }

        fn content(&self, name: &str) -> String {
            String::from_utf8(self.get(name).entry.content.clone()).unwrap()
        }

        fn run(&self, command: &str, arguments: &[&str]) {
            assert!(Command::new(command).args(arguments).current_dir(self.tmp.path()).status().unwrap().success());
        }

        /// Waits until the file is so old that an equal fingerprint proves its content.
        fn settle(&self, name: &str) {
            let fingerprint = stat(&self.at(name));
            while fingerprint.is_racy(Timestamp::now(), self.cache.disk.steps.of(fingerprint.dev)) {
                std::thread::yield_now();
            }
            self.get(name);
        }
    }

    fn stat(path: &Path) -> Fingerprint {
        Fingerprint::of(&rustix::fs::stat(path).unwrap())
    }

    #[test]
    fn no_rewrite_of_the_same_size_is_missed_however_quickly_it_comes() {
        for files in Files::everywhere() {
            for round in 0..10_000 {
                let content = format!("{round:05}");
                files.put("a.lua", &content);
                assert_eq!(files.content("a.lua"), content, "{}", files.tmp.path().display());
            }
        }
    }

    #[test]
    fn no_rewrite_in_place_is_missed_after_a_read_that_proved_something() {
        let files = Files::new();
        files.put("a.lua", "0");
        for round in 0..20 {
            files.settle("a.lua");
            let content = (round % 10).to_string();
            files.put("a.lua", &content);
            assert_eq!(files.content("a.lua"), content);
        }
    }

    #[test]
    fn times_that_are_set_back_or_copied_do_not_deceive() {
        for files in Files::everywhere() {
            files.put("reference", "");
            for round in 0..10 {
                let (old, new) = (format!("old {round}"), format!("new {round}"));
                files.put("a.lua", &old);
                files.run("touch", &["-r", "reference", "a.lua"]);
                if round % 2 == 0 {
                    files.settle("a.lua");
                }
                assert_eq!(files.content("a.lua"), old);
                files.put("a.lua", &new);
                files.run("touch", &["-r", "reference", "a.lua"]);
                assert_eq!(files.content("a.lua"), new, "touch -r");

                files.put("b.lua", &old);
                files.run("touch", &["-r", "a.lua", "b.lua"]);
                files.run("cp", &["-p", "b.lua", "a.lua"]);
                assert_eq!(files.content("a.lua"), old, "cp -p");

                files.put("b.lua", &new);
                files.run("touch", &["-r", "a.lua", "b.lua"]);
                files.run("mv", &["b.lua", "a.lua"]);
                assert_eq!(files.content("a.lua"), new, "mv over it");
            }
        }
    }

    #[test]
    fn a_link_that_is_turned_to_another_file_is_seen() {
        for files in Files::everywhere() {
            files.put("old", "old");
            files.put("new", "new");
            files.run("touch", &["-r", "old", "new"]);
            for target in ["old", "new"].into_iter().cycle().take(20) {
                symlink(target, files.at("beside")).unwrap();
                fs::rename(files.at("beside"), files.at("link")).unwrap();
                assert_eq!(files.content("link"), target);
            }
            files.settle("old");
            files.settle("new");
            for target in ["old", "new"].into_iter().cycle().take(20) {
                symlink(target, files.at("beside")).unwrap();
                fs::rename(files.at("beside"), files.at("link")).unwrap();
                assert_eq!(files.content("link"), target);
            }
        }
    }

    #[test]
    fn a_time_in_the_future_proves_nothing() {
        let files = Files::new();
        files.put("a.lua", "old");
        let future = std::time::SystemTime::now() + Duration::from_secs(3600);
        let set = || fs::File::options().write(true).open(files.at("a.lua")).unwrap().set_modified(future).unwrap();
        set();
        let first = files.get("a.lua");
        files.put("a.lua", "new");
        set();
        // As if its inode had kept its time too.
        lock(&first.entry.verified).fingerprint = stat(&files.at("a.lua"));
        assert_eq!(files.content("a.lua"), "new");
    }

    #[test]
    fn on_a_file_system_with_a_clock_of_its_own_the_content_is_compared() {
        let files = Files::new();
        files.put("a.lua", "old");
        let first = files.get("a.lua");
        files.put("a.lua", "new");
        lock(&first.entry.verified).fingerprint = stat(&files.at("a.lua"));
        age(&first.entry);
        assert_eq!(files.content("a.lua"), "old", "a forged proof");
        files.cache.disk.steps.set(first.fingerprint.dev, Step::Unreliable);
        assert_eq!(files.content("a.lua"), "new");
    }

    #[test]
    fn a_state_is_named_by_content_and_fingerprint() {
        let files = Files::new();
        files.put("a.lua", "1");
        let first = files.get("a.lua");
        assert_eq!(files.get("a.lua").id, first.id, "young, and compared");
        files.settle("a.lua");
        assert_eq!(files.get("a.lua").id, first.id, "proved");
        files.run("touch", &["a.lua"]);
        let touched = files.get("a.lua");
        assert!(touched.id != first.id && Arc::ptr_eq(&touched.entry, &first.entry));
        assert_eq!(touched.fingerprint, stat(&files.at("a.lua")));
    }

    #[test]
    fn a_read_during_which_the_file_was_forgotten_is_not_kept() {
        let files = Files::new();
        let path: Arc<Path> = files.at("a.lua").into();
        let read = |forget: &dyn Fn()| {
            let read = files.cache.shelf.read(&path);
            forget();
            files.cache.take_up(&path, read, None, snapshot_of(1), Instant::now());
            files.cache.shelf.get(&path).is_some()
        };
        assert!(read(&|| {}));
        assert!(!read(&|| drop(files.cache.invalidate(&path))));
        assert!(!read(&|| drop(files.cache.clear())));
        let written = || drop(files.cache.written_by_user(&path, snapshot_of(2), None));
        assert!(read(&written));
        assert_eq!(files.cache.shelf.get(&path).unwrap().content.len(), 2, "what was written is newer");
    }

    #[test]
    fn what_is_given_with_a_write_counts_as_memory() {
        let files = Files::new();
        let path: Arc<Path> = files.at("a.lua").into();
        files.cache.written_by_user(&path, snapshot_of(1), None);
        let raw = files.cache.bytes();
        let given = serde_json::json!({ "key": ["x".repeat(1000), 1, null], "other": {} });
        files.cache.written_by_user(&path, snapshot_of(1), Some(given));
        assert!(files.cache.bytes() > raw + 1000 + 6 * size_of::<Value>() as u64);
        files.cache.invalidate(&path);
        assert_eq!(files.cache.bytes(), 0);
    }
}
