//! The file cache: the content of config files, and the proof that it is still what lies on disk.
//!
//! It reads through [`crate::open`], judges by [`crate::fingerprint`] and keeps on a [`crate::shelf`]. It does not know which files
//! belong to a project (the pipeline does), and two who ask for the same path at once both read it ([`crate::caches`] sees to it that
//! users' requests share). No lock is held while a disk works.

#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::{Fingerprint, Timestamp};
use crate::json::{self, Value};
use crate::open::{self, ConfigDir, Limits, Links, Place, Snapshot};
use crate::shelf::{Garbage, Read, Shared, Shelf};
use crate::time_step::Step;

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
    /// What was given with the content when a user wrote it.
    given: Option<Arc<Value>>,
}

impl Shared for Arc<FileEntry> {
    type Weak = Weak<FileEntry>;

    fn downgrade(&self) -> Weak<FileEntry> {
        Self::downgrade(self)
    }

    fn upgrade(weak: &Weak<FileEntry>) -> Option<Self> {
        weak.upgrade()
    }
}

/// One state of a file: an entry, and the fingerprint that the file had with it.
#[derive(Debug, Clone)]
pub struct FileState {
    /// Equal for equal states, never given twice in a process.
    pub id: u64,
    /// The content.
    pub entry: Arc<FileEntry>,
    /// That of the file.
    pub fingerprint: Fingerprint,
}

/// A number for a state of a file or a directory that no other has had.
pub(crate) fn new_state() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// That a file had an entry's content at some time.
#[derive(Debug, Clone, Copy)]
struct Verified {
    /// Names this fingerprint with this content.
    state: u64,
    fingerprint: Fingerprint,
    /// Just before the content was read.
    read_at: Timestamp,
    /// When it was last seen to be there, by a clock that never goes back.
    seen: Instant,
}

impl Verified {
    fn of(snapshot: &Snapshot, seen: Instant) -> Self {
        Self { state: new_state(), fingerprint: snapshot.fingerprint, read_at: snapshot.read_at, seen }
    }
}

impl FileEntry {
    fn new(path: Arc<Path>, snapshot: Snapshot, given: Option<Value>, seen: Instant) -> Self {
        let verified = Mutex::new(Verified::of(&snapshot, seen));
        Self { path, content: snapshot.content, verified, json: OnceLock::new(), given: given.map(Arc::new) }
    }

    /// Takes note that the file has this entry's content still. The state stays the same if the fingerprint does.
    fn verify(self: &Arc<Self>, snapshot: &Snapshot, seen: Instant) -> FileState {
        let mut verified = lock(&self.verified);
        let is_same = verified.fingerprint == snapshot.fingerprint;
        let state = if is_same { verified.state } else { new_state() };
        *verified = Verified { state, fingerprint: snapshot.fingerprint, read_at: snapshot.read_at, seen };
        FileState { id: verified.state, entry: Arc::clone(self), fingerprint: verified.fingerprint }
    }

    /// When the file was last seen to have this content: of two different entries of one file, the later one counts.
    pub(crate) fn seen(&self) -> Instant {
        lock(&self.verified).seen
    }

    fn state(self: &Arc<Self>) -> FileState {
        let verified = lock(&self.verified);
        FileState { id: verified.state, entry: Arc::clone(self), fingerprint: verified.fingerprint }
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

    /// What users see as the entry's `json`: what was given when it was written, else the document in a JSON file.
    ///
    /// # Errors
    ///
    /// As [`FileEntry::json`].
    pub fn shown_json(&self) -> Result<Option<Arc<Value>>> {
        match &self.given {
            Some(given) => Ok(Some(Arc::clone(given))),
            None if self.is_json() => self.json().clone(),
            None => Ok(None),
        }
    }

    /// Whether it is of a kind that is JSON.
    pub fn is_json(&self) -> bool {
        self.path.extension().is_some_and(|kind| kind == "json" || kind == "jsonc")
    }

    /// The state of the file, if the fingerprint, taken at `seen`, proves that it has this content.
    fn proved_by(self: &Arc<Self>, fingerprint: &Fingerprint, step: Step, seen: Instant) -> Option<FileState> {
        let mut verified = lock(&self.verified);
        let is_proved = verified.fingerprint == *fingerprint && !fingerprint.is_racy(verified.read_at, step);
        is_proved.then(|| {
            verified.seen = seen;
            FileState { id: verified.state, entry: Arc::clone(self), fingerprint: *fingerprint }
        })
    }

    /// What it takes, in bytes, by estimate.
    fn weight(&self) -> u64 {
        let content = self.content.len() as u64;
        let content = if self.is_json() { content.saturating_mul(DOCUMENT_FACTOR) } else { content };
        let given = self.given.as_deref().map_or(0, weight_of);
        content.saturating_add(given).saturating_add(ENTRY_OVERHEAD).saturating_add(self.path.as_os_str().len() as u64)
    }
}

/// What a document takes, in bytes, by estimate.
fn weight_of(document: &Value) -> u64 {
    let own = (size_of::<Value>() * 2) as u64;
    match document {
        Value::String(text) => own + text.len() as u64,
        Value::Number(number) => own + number.as_str().len() as u64,
        Value::Array(items) => own + items.iter().map(weight_of).sum::<u64>(),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| own + key.len() as u64 + weight_of(value);
            own + members.iter().map(member).sum::<u64>()
        }
        _ => own,
    }
}

/// The content of files by absolute path. When the memory is used up, the least recently used ones go.
#[derive(Debug)]
pub struct FileCache {
    disk: Disk,
    shelf: Shelf<Arc<FileEntry>>,
}

impl FileCache {
    /// An empty cache that keeps at most about `max_bytes` (parsed documents counted by estimate). No file counts as more than
    /// half of that: which ones are too large is for [`Limits`] to say, and all others are kept, even beside small ones. What
    /// others still hold of it is theirs and not counted.
    pub fn new(max_bytes: u64) -> Self {
        Self::on(Disk::default(), max_bytes)
    }

    pub(crate) fn on(disk: Disk, max_bytes: u64) -> Self {
        Self { disk, shelf: Shelf::new(max_bytes) }
    }

    /// What all share who read through this cache.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
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
        let cached = self.shelf.get(place.path());
        // Most files of a first load: what could be seen before they are opened is seen on the descriptor too. Whatever is
        // not as listed takes the long way, which says what is wrong.
        if cached.is_none() && place.is_listed_as_file() {
            let read = self.shelf.read(place.path());
            if let Ok(Some(snapshot)) = dir.read(place, Links::Refuse, limits) {
                return Ok(Some(self.take_up(place.path(), read, None, snapshot, seen).entry));
            }
        }
        let Some(stat) = dir.stat(place)? else { return Ok(None) };
        ConfigDir::check(&stat, place, limits)?;
        if let Some(state) = self.proved(cached.as_ref(), &stat.fingerprint, limits, seen) {
            return Ok(Some(state.entry));
        }
        let read = self.shelf.read(place.path());
        let Some(snapshot) = dir.read(place, Links::Follow, limits)? else { return Ok(None) };
        Ok(Some(self.take_up(place.path(), read, cached, snapshot, seen).entry))
    }

    /// The current state of the file at the absolute `path`, links followed, whoever owns it. Blocking.
    ///
    /// # Errors
    ///
    /// Each names the path. `NotFound`, `BrokenLink`, `NotAFile`, `TooLarge` (unread), `Permission`, `Io`.
    pub(crate) fn file(&self, path: &Arc<Path>, limits: &Limits) -> Result<FileState> {
        let seen = Instant::now();
        let cached = self.shelf.get(path);
        let fingerprint = open::stat_file(path, limits).inspect_err(|error| {
            if matches!(error.kind, ErrorKind::NotFound | ErrorKind::BrokenLink) {
                drop(self.shelf.remove(path));
            }
        })?;
        if let Some(state) = self.proved(cached.as_ref(), &fingerprint, limits, seen) {
            return Ok(state);
        }
        let read = self.shelf.read(path);
        let snapshot = open::read_file(path, limits)?;
        Ok(self.take_up(path, read, cached, snapshot, seen))
    }

    fn proved(
        &self,
        cached: Option<&Arc<FileEntry>>,
        fingerprint: &Fingerprint,
        limits: &Limits,
        seen: Instant,
    ) -> Option<FileState> {
        let entry = cached.filter(|_| limits.trust_mtime)?;
        entry.proved_by(fingerprint, self.disk.steps.of(fingerprint.dev), seen)
    }

    /// What was read: the entry that was cached, if it says the same, or a new one.
    fn take_up(
        &self,
        path: &Arc<Path>,
        read: Read<'_, Arc<FileEntry>>,
        cached: Option<Arc<FileEntry>>,
        snapshot: Snapshot,
        seen: Instant,
    ) -> FileState {
        if let Some(entry) = cached.filter(|entry| entry.content == snapshot.content) {
            return entry.verify(&snapshot, seen);
        }
        let entry = Arc::new(FileEntry::new(Arc::clone(path), snapshot, None, seen));
        read.keep(Arc::clone(&entry), self.weight(&entry));
        entry.state()
    }

    /// Takes note of what this process has just written to the file at `path`. The same `Arc` as before means the same content.
    pub(crate) fn written(&self, path: &Arc<Path>, snapshot: Snapshot) -> Arc<FileEntry> {
        let seen = Instant::now();
        let cached = self.shelf.get(path);
        if let Some(entry) = cached.filter(|entry| entry.content == snapshot.content) {
            return entry.verify(&snapshot, seen).entry;
        }
        self.put(path, snapshot, None, seen)
    }

    /// As [`FileCache::written`], for what a user wrote, with the document that was given with it: always a new entry.
    pub(crate) fn written_by_user(&self, path: &Arc<Path>, snapshot: Snapshot, json: Option<Value>) -> Arc<FileEntry> {
        self.put(path, snapshot, json, Instant::now())
    }

    fn put(&self, path: &Arc<Path>, snapshot: Snapshot, given: Option<Value>, seen: Instant) -> Arc<FileEntry> {
        let entry = Arc::new(FileEntry::new(Arc::clone(path), snapshot, given, seen));
        self.shelf.put(path, Arc::clone(&entry), self.weight(&entry));
        entry
    }

    /// Forgets a file. What is being read of it is not kept. The caller frees it.
    pub(crate) fn invalidate(&self, path: &Path) -> Option<(Arc<FileEntry>, u64)> {
        self.shelf.remove(path)
    }

    /// Forgets all; the caller frees it. It takes about so many bytes.
    pub(crate) fn clear(&self) -> (Garbage<Arc<FileEntry>>, u64) {
        self.shelf.clear()
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.shelf.bytes()
    }

    /// What an entry counts as.
    fn weight(&self, entry: &FileEntry) -> u64 {
        entry.weight().min(self.shelf.max_bytes() / 2).max(ENTRY_OVERHEAD)
    }
}

/// Every state between two statements under these locks is a valid one, so a panic elsewhere does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
