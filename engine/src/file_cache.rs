//! The file cache: the content of config files, and the proof that it is still what lies on disk.
//!
//! It reads through [`crate::open`] and judges by [`crate::fingerprint`]. It does not know which files belong to a project (the
//! pipeline does), and two who ask for the same path at once both read it. No lock is held while a disk works.

#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use lru::LruCache;

use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, Timestamp};
use crate::json::{self, Value};
use crate::open::{ConfigDir, Limits, Links, Place, Snapshot};

/// What an entry costs beside its content and path, in bytes.
const ENTRY_OVERHEAD: u64 = 512;

/// How many times the size of its text a parsed document takes: 2 to 20, 8 for nested settings. Entries that may carry one are counted as if they did:
/// it is parsed when somebody asks, long after the entry was put in.
const DOCUMENT_FACTOR: u64 = 8;

/// One file as it was read. Shared; its content never changes.
#[derive(Debug)]
pub struct FileEntry {
    /// Absolute path.
    pub path: Arc<Path>,
    /// Its bytes.
    pub content: Vec<u8>,
    verified: Mutex<Verified>,
    json: OnceLock<Result<Option<Arc<Value>>>>,
}

/// That a file had an entry's content at some time.
#[derive(Debug, Clone, Copy)]
struct Verified {
    fingerprint: Fingerprint,
    /// Just before the content was read.
    read_at: Timestamp,
    /// When it was last seen to be there, by a clock that never goes back.
    seen: Instant,
}

impl Verified {
    fn of(snapshot: &Snapshot, seen: Instant) -> Self {
        Self { fingerprint: snapshot.fingerprint, read_at: snapshot.read_at, seen }
    }
}

impl FileEntry {
    fn new(path: Arc<Path>, snapshot: Snapshot, seen: Instant) -> Self {
        let verified = Mutex::new(Verified::of(&snapshot, seen));
        Self { path, content: snapshot.content, verified, json: OnceLock::new() }
    }

    /// When the file was last seen to have this content: of two different entries of one file, the later one counts.
    pub(crate) fn seen(&self) -> Instant {
        lock(&self.verified).seen
    }

    /// The file's fingerprint when it was last found to have this content. It is younger than the entry where the file was
    /// touched or replaced without being changed.
    pub fn fingerprint(&self) -> Fingerprint {
        lock(&self.verified).fingerprint
    }

    /// The document in it, parsed at the first call; `None` for a file without any (empty, or comments only).
    ///
    /// # Errors
    ///
    /// As [`crate::json::parse`], with the path.
    pub fn json(&self) -> &Result<Option<Arc<Value>>, Error> {
        self.json.get_or_init(|| match json::parse(&self.content) {
            Ok(document) => Ok(document.map(Arc::new)),
            Err(error) => Err(error.at(&*self.path)),
        })
    }

    /// Whether the fingerprint, taken at `seen`, proves that the file has this content.
    fn is_proved_by(&self, fingerprint: &Fingerprint, seen: Instant) -> bool {
        let mut verified = lock(&self.verified);
        let is_proved = verified.fingerprint == *fingerprint && !fingerprint.is_racy(verified.read_at);
        if is_proved {
            verified.seen = seen;
        }
        is_proved
    }

    /// What it takes, in bytes, by estimate.
    fn weight(&self) -> u64 {
        let content = self.content.len() as u64;
        let may_be_parsed = self.path.extension().is_some_and(|kind| kind == "json" || kind == "jsonc");
        let content = if may_be_parsed { content.saturating_mul(DOCUMENT_FACTOR) } else { content };
        content.saturating_add(ENTRY_OVERHEAD).saturating_add(self.path.as_os_str().len() as u64)
    }
}

/// The content of config files by absolute path. When the memory is used up, the least recently used ones go.
#[derive(Debug)]
pub struct FileCache {
    max_bytes: u64,
    kept: Mutex<Kept>,
}

/// A path, compared byte by byte: `Path` takes itself to components each time it is hashed, and all paths here are made in one
/// way.
#[derive(Debug, Clone)]
struct Key(Arc<Path>);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_os_str() == other.0.as_os_str()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_os_str().hash(state);
    }
}

#[derive(Debug)]
struct Kept {
    entries: LruCache<Key, Arc<FileEntry>>,
    bytes: u64,
}

impl FileCache {
    /// An empty cache that keeps at most about `max_bytes` (parsed documents counted by estimate). No file counts as more than
    /// half of that: which ones are too large is for [`Limits`] to say, and all others are kept, even beside small ones. What
    /// others still hold of it is theirs and not counted.
    pub fn new(max_bytes: u64) -> Self {
        Self { max_bytes, kept: Mutex::new(Kept { entries: LruCache::unbounded(), bytes: 0 }) }
    }

    /// The current state of the config file at `place` in `dir`; `None` where there is nothing. Blocking.
    ///
    /// The same `Arc` as before means the same content: proved by the fingerprint, or read again and compared. Owner and mode are
    /// checked each time.
    ///
    /// # Errors
    ///
    /// Each names the path. `NotAFile`, `TooLarge` (unread), `Untrusted`, `BrokenLink`, `Permission`, `Io`.
    pub fn config_file(&self, dir: &ConfigDir, place: &Place, limits: &Limits) -> Result<Option<Arc<FileEntry>>> {
        let seen = Instant::now();
        let key = Key(Arc::clone(place.path()));
        let cached = lock(&self.kept).entries.get(&key).cloned();
        // Most files of a first load: what could be seen before they are opened is seen on the descriptor too. Whatever is
        // not as listed takes the long way, which says what is wrong.
        if cached.is_none()
            && place.is_listed_as_file()
            && let Ok(Some(snapshot)) = dir.read(place, Links::Refuse, limits)
        {
            return Ok(Some(self.keep_new(place.path(), snapshot, seen)));
        }
        let Some(stat) = dir.stat(place)? else { return Ok(None) };
        ConfigDir::check(&stat, place, limits)?;
        if limits.trust_mtime
            && let Some(entry) = &cached
            && entry.is_proved_by(&stat.fingerprint, seen)
        {
            return Ok(cached);
        }
        let Some(snapshot) = dir.read(place, Links::Follow, limits)? else { return Ok(None) };
        if let Some(entry) = cached.filter(|entry| entry.content == snapshot.content) {
            *lock(&entry.verified) = Verified::of(&snapshot, seen);
            return Ok(Some(entry));
        }
        Ok(Some(self.keep_new(place.path(), snapshot, seen)))
    }

    /// Takes note of what this process has just written to the file at `path`. The same `Arc` as before means the same content.
    pub(crate) fn written(&self, path: &Arc<Path>, snapshot: Snapshot) -> Arc<FileEntry> {
        let seen = Instant::now();
        let cached = lock(&self.kept).entries.get(&Key(Arc::clone(path))).cloned();
        if let Some(entry) = cached.filter(|entry| entry.content == snapshot.content) {
            *lock(&entry.verified) = Verified::of(&snapshot, seen);
            return entry;
        }
        self.keep_new(path, snapshot, seen)
    }

    fn keep_new(&self, path: &Arc<Path>, snapshot: Snapshot, seen: Instant) -> Arc<FileEntry> {
        let entry = Arc::new(FileEntry::new(Arc::clone(path), snapshot, seen));
        self.keep(Arc::clone(&entry));
        entry
    }

    fn keep(&self, entry: Arc<FileEntry>) {
        let mut kept = lock(&self.kept);
        kept.bytes += self.weight(&entry);
        let replaced = kept.entries.put(Key(Arc::clone(&entry.path)), entry);
        kept.bytes -= replaced.map_or(0, |replaced| self.weight(&replaced));
        while kept.bytes > self.max_bytes
            && let Some((_, oldest)) = kept.entries.pop_lru()
        {
            kept.bytes -= self.weight(&oldest);
        }
    }

    /// What an entry counts as.
    fn weight(&self, entry: &FileEntry) -> u64 {
        entry.weight().min(self.max_bytes / 2).max(ENTRY_OVERHEAD)
    }
}

/// Every state between two statements under these locks is a valid one, so a panic elsewhere does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
