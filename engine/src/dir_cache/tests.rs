//! When a directory is the same, when it is another one, and what that costs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::time_step::Step;

struct Fixture {
    tmp: TempDir,
    cache: DirCache,
}

impl Fixture {
    fn new() -> Self {
        Self::in_directory(&std::env::temp_dir())
    }

    fn in_directory(directory: &Path) -> Self {
        let tmp = TempDir::new_in(directory).unwrap();
        Self { tmp, cache: DirCache::new(Disk::default(), 1 << 20) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    fn list(&self, path: &Path) -> Arc<DirectoryEntry> {
        self.cache.directory(&path.into(), true).unwrap()
    }

    fn itself(&self) -> Arc<DirectoryEntry> {
        self.list(self.tmp.path())
    }

    /// Moves the listing on by a minute, as if the directory had been old when it was listed.
    fn age(&self, entry: &DirectoryEntry) {
        let mut known = self.cache.shelf.get(&entry.path).unwrap();
        known.read_at.secs += 60;
        self.cache.shelf.put(&entry.path, known, 1);
    }
}

fn names(entry: &DirectoryEntry) -> Vec<&str> {
    entry.entries.iter().map(|item| item.name.to_str().unwrap()).collect()
}

#[test]
fn entries_come_in_byte_order_with_their_kinds() {
    let fixture = Fixture::new();
    for name in ["b", "B", "é", ".hidden", "a b", "..."] {
        fs::write(fixture.at(name), "").unwrap();
    }
    fs::create_dir(fixture.at("directory")).unwrap();
    symlink("nowhere", fixture.at("link")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(fixture.at("fifo")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(fixture.at("socket")).unwrap();
    let entry = fixture.itself();
    assert_eq!(names(&entry), ["...", ".hidden", "B", "a b", "b", "directory", "fifo", "link", "socket", "é"]);
    let kinds: Vec<_> = entry.entries.iter().map(|item| item.kind.as_str()).collect();
    assert_eq!(kinds, ["file", "file", "file", "file", "file", "directory", "fifo", "link", "socket", "file"]);
    assert_eq!(&*entry.path, fixture.tmp.path());
}

#[test]
fn devices_have_kinds_too() {
    let dev = DirCache::new(Disk::default(), 1 << 20).directory(&Path::new("/dev").into(), true).unwrap();
    let null = dev.entries.iter().find(|item| item.name == "null").unwrap();
    assert_eq!(null.kind, ItemKind::Char);
}

#[test]
fn an_unchanged_directory_is_the_same_entry() {
    let fixture = Fixture::new();
    let first = fixture.itself();
    assert!(Arc::ptr_eq(&first, &fixture.itself()), "listed again, for it is young");
    fixture.age(&first);
    assert!(Arc::ptr_eq(&first, &fixture.itself()), "proved by its fingerprint");
    assert!(Arc::ptr_eq(&first, &fixture.cache.directory(&first.path, false).unwrap()));
}

#[test]
fn the_same_names_at_another_time_are_another_state() {
    let fixture = Fixture::new();
    let first = fixture.itself();
    fs::write(fixture.at("a"), "").unwrap();
    fs::remove_file(fixture.at("a")).unwrap();
    let second = fixture.itself();
    assert_ne!(first.id, second.id);
    assert_eq!((&first.entries, second.fingerprint), (&second.entries, stat(fixture.tmp.path())));
}

fn stat(path: &Path) -> Fingerprint {
    Fingerprint::of(&rustix::fs::stat(path).unwrap())
}

#[test]
fn a_renaming_within_one_clock_tick_is_seen() {
    let shm = Path::new("/dev/shm");
    for directory in [std::env::temp_dir().as_path(), shm].into_iter().filter(|path| path.exists()) {
        let fixture = Fixture::in_directory(directory);
        fixture.cache.disk.steps.probe(stat(fixture.tmp.path()).dev, fixture.tmp.path());
        fs::write(fixture.at("a"), "").unwrap();
        for _ in 0..5_000 {
            for (from, to) in [("a", "b"), ("b", "a")] {
                fs::rename(fixture.at(from), fixture.at(to)).unwrap();
                assert_eq!(names(&fixture.itself()), [to], "{}", directory.display());
            }
        }
    }
}

#[test]
fn a_change_that_leaves_the_fingerprint_as_it_was_is_seen_while_the_directory_is_young() {
    let fixture = Fixture::new();
    let first = fixture.itself();
    fs::write(fixture.at("a"), "").unwrap();
    // What a file system with a coarse clock would have said the first time, too.
    let forge = |read_at| {
        let entry = DirectoryEntry {
            id: first.id,
            path: Arc::clone(&first.path),
            entries: Vec::new(),
            fingerprint: stat(&first.path),
        };
        fixture.cache.shelf.put(&first.path, Known { entry: Arc::new(entry), read_at }, 1);
    };
    let now = Timestamp::now();
    forge(Timestamp { secs: now.secs + 60, ..now });
    assert_eq!(names(&fixture.itself()), [""; 0], "a forged proof");
    fixture.cache.disk.steps.set(first.fingerprint.dev, Step::Unreliable);
    assert_eq!(names(&fixture.itself()), ["a"], "a clock that is not the system's");
    fixture.cache.disk.steps.set(first.fingerprint.dev, Step::Of(Duration::from_secs(2)));
    forge(now);
    assert_eq!(names(&fixture.itself()), ["a"]);
    forge(Timestamp { secs: now.secs + 60, ..now });
    assert_eq!(names(&fixture.cache.directory(&first.path, false).unwrap()), ["a"], "times are not trusted");
}

#[test]
fn another_directory_at_the_path_is_seen() {
    let fixture = Fixture::new();
    for (directory, file) in [("a", "in a"), ("b", "in b")] {
        fs::create_dir(fixture.at(directory)).unwrap();
        fs::write(fixture.at(directory).join(file), "").unwrap();
    }
    let link = fixture.at("link");
    symlink("a", &link).unwrap();
    let first = fixture.list(&link);
    assert_eq!(names(&first), ["in a"]);
    fixture.age(&first);
    fs::remove_file(&link).unwrap();
    symlink("b", &link).unwrap();
    assert_eq!(names(&fixture.list(&link)), ["in b"], "the link leads elsewhere");
    fixture.age(&fixture.list(&fixture.at("a")));
    fs::rename(fixture.at("a"), fixture.at("away")).unwrap();
    fs::rename(fixture.at("b"), fixture.at("a")).unwrap();
    assert_eq!(names(&fixture.list(&fixture.at("a"))), ["in b"], "renamed");
    fs::remove_dir_all(fixture.at("a")).unwrap();
    let error = fixture.cache.directory(&fixture.at("a").into(), true).unwrap_err();
    assert_eq!((error.kind.clone(), error.path()), (ErrorKind::NotFound, Some(&*fixture.at("a"))));
    assert!(!fixture.cache.is_kept(&fixture.at("a")));
}

#[test]
fn what_is_no_directory_says_so() {
    let fixture = Fixture::new();
    fs::write(fixture.at("file"), "").unwrap();
    symlink("nowhere", fixture.at("broken")).unwrap();
    let refusal = |name| fixture.cache.directory(&fixture.at(name).into(), true).unwrap_err().kind;
    assert_eq!(refusal("file"), ErrorKind::NotADirectory);
    assert_eq!(refusal("file/below"), ErrorKind::NotADirectory);
    assert_eq!(refusal("missing"), ErrorKind::NotFound);
    assert_eq!(refusal("broken"), ErrorKind::BrokenLink);
}

#[test]
fn memory_is_bounded_by_what_names_take() {
    let fixture = Fixture { cache: DirCache::new(Disk::default(), 20_000), ..Fixture::new() };
    for index in 0..20 {
        let directory = fixture.at(&index.to_string());
        fs::create_dir(&directory).unwrap();
        for name in 0..10 {
            fs::write(directory.join(format!("{name}{}", "x".repeat(200))), "").unwrap();
        }
        let entry = fixture.list(&directory);
        assert!(fixture.cache.weight(&entry) > 10 * 200);
        assert!(fixture.cache.is_kept(&directory));
    }
    assert!(fixture.cache.bytes() > 10_000 && fixture.cache.bytes() <= 20_000);
}
