//! What was found in directories, for as long as their fingerprints stay the same.
//!
//! Asking what a directory's state is costs one call; listing it, or looking for names in it, several. Every way to add,
//! remove or replace an entry changes the fingerprint, and what was found while that was too young to prove anything is not
//! kept. What the finds mean is for those to say who keep them: `directory`, `find_files`, `packages`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::packages::Packages;
use super::resolve::Home;
use crate::fingerprint::{Fingerprint, Timestamp};
use crate::open::Listed;
use crate::time_step::Steps;

/// When so many bytes are kept of one kind, all are dropped: years of an ordinary session.
const MOST_BYTES: usize = 4 << 20;

/// What a find costs beside its own bytes.
const OVERHEAD: usize = 128;

/// All that loads remember of directories.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) steps: Arc<Steps>,
    pub(super) home: Home,
    /// What small directories of a walk hold; see `directory`.
    #[cfg(target_os = "linux")]
    pub(super) walked: Finds<[u8]>,
    /// What projects' directories in `config_dir` hold.
    pub(super) config: Finds<[Listed]>,
    /// The packages below a root.
    pub(super) packages: Finds<Packages>,
}

impl Memory {
    /// An empty one.
    pub(super) fn with(steps: &Arc<Steps>) -> Self {
        Self {
            steps: Arc::clone(steps),
            home: Home::default(),
            #[cfg(target_os = "linux")]
            walked: Finds::with(steps),
            config: Finds::with(steps),
            packages: Finds::with(steps),
        }
    }
}

/// The memory, for one load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) memory: &'a Memory,
    /// When this load began to look.
    pub(super) read_at: Timestamp,
}

/// Finds of one kind by device and inode.
#[derive(Debug)]
pub(super) struct Finds<T: ?Sized> {
    steps: Arc<Steps>,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T: ?Sized> {
    finds: HashMap<(u64, u64), Find<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Find<T: ?Sized> {
    fingerprint: Fingerprint,
    found: Arc<T>,
}

/// How much memory something takes, roughly.
pub(super) trait Weigh {
    fn bytes(&self) -> usize;
}

impl<T: ?Sized> Default for Finds<T> {
    fn default() -> Self {
        Self::with(&Arc::default())
    }
}

impl<T: ?Sized> Finds<T> {
    fn with(steps: &Arc<Steps>) -> Self {
        Self { steps: Arc::clone(steps), kept: Mutex::new(Kept { finds: HashMap::new(), bytes: 0 }) }
    }
}

impl<T: ?Sized + Weigh> Finds<T> {
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is kept, so that there is no reason to ask for a fingerprint.
    pub(super) fn is_empty(&self) -> bool {
        self.kept().finds.is_empty()
    }

    /// What was found in the directory when it had this fingerprint, too.
    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<Arc<T>> {
        let kept = self.kept();
        let find = kept.finds.get(&(fingerprint.dev, fingerprint.ino))?;
        (find.fingerprint == *fingerprint).then(|| Arc::clone(&find.found))
    }

    /// Keeps what was found after the fingerprint was taken, which was after `read_at`; unless it proves nothing.
    pub(super) fn keep(&self, fingerprint: Fingerprint, read_at: Timestamp, found: &Arc<T>) {
        if fingerprint.is_racy(read_at, self.steps.of(fingerprint.dev)) {
            return;
        }
        let mut kept = self.kept();
        let bytes = found.bytes() + OVERHEAD;
        if kept.bytes + bytes > MOST_BYTES {
            (kept.finds, kept.bytes) = (HashMap::new(), 0);
        }
        if bytes > MOST_BYTES {
            return;
        }
        let find = Find { fingerprint, found: Arc::clone(found) };
        let replaced = kept.finds.insert((fingerprint.dev, fingerprint.ino), find);
        kept.bytes = kept.bytes + bytes - replaced.map_or(0, |find| find.found.bytes() + OVERHEAD);
    }
}

impl Weigh for [u8] {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Weigh for [Listed] {
    fn bytes(&self) -> usize {
        self.iter().map(|entry| size_of_val(entry) + entry.name.len()).sum()
    }
}

impl Weigh for Packages {
    fn bytes(&self) -> usize {
        let names = self.names.iter().chain(&self.found).map(|name| size_of::<OsString>() + name.len());
        let looked_into = self.looked_into.iter().map(|seen| size_of_val(seen) + seen.0.as_os_str().len());
        names.chain(looked_into).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Timestamp = Timestamp { secs: 100, nanos: 0 };
    const LATER: Timestamp = Timestamp { secs: 1000, nanos: 0 };

    fn fingerprint(ino: u64) -> Fingerprint {
        Fingerprint { dev: 1, ino, size: 3, mtime: OLD, ctime: OLD }
    }

    #[test]
    fn finds_are_kept_for_an_unchanged_fingerprint_that_proves_something() {
        let found: Arc<[u8]> = Arc::from(&b".git/\0"[..]);
        let finds = Finds::default();
        finds.keep(fingerprint(2), Timestamp { secs: 101, nanos: 0 }, &found);
        assert_eq!(finds.get(&fingerprint(2)), None);
        finds.keep(fingerprint(2), LATER, &found);
        assert_eq!(finds.get(&fingerprint(2)), Some(found));
        assert_eq!(finds.get(&Fingerprint { mtime: Timestamp { secs: 100, nanos: 1 }, ..fingerprint(2) }), None);
    }

    #[test]
    fn memory_is_bounded_whatever_is_kept() {
        let finds = Finds::<[u8]>::default();
        for ino in 0..100 {
            finds.keep(fingerprint(ino), LATER, &vec![0; MOST_BYTES / 10].into());
            finds.keep(fingerprint(0), LATER, &Arc::from(&b"again"[..]));
            let kept = finds.kept();
            assert!(kept.bytes <= MOST_BYTES);
            assert_eq!(kept.bytes, kept.finds.values().map(|find| find.found.bytes() + OVERHEAD).sum::<usize>());
        }
        assert!(finds.get(&fingerprint(99)).is_some());
        finds.keep(fingerprint(100), LATER, &vec![0; MOST_BYTES + 1].into());
        assert!(finds.get(&fingerprint(100)).is_none());
    }
}
