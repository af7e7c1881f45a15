//! What touches the disk for [`super`]: one save, or reading what lies at a path for an update. Blocking; without any lock of the settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Map;

use super::back::Pending;
use super::{Merging, Sources, Ticket};
use crate::contexts::ContextId;
use crate::error::{Error, ErrorKind, Gone, Result};
use crate::file_cache::{FileCache, FileEntry};
use crate::json::{self, Change, Edit, Value};
use crate::open::{ConfigDir, Limits, Place};
use crate::presence::has_gone;
use crate::store;

/// How long another editor's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_millis(1500);

/// Names one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JobId {
    Save(Arc<Path>, u64),
    Read(Ticket),
    Merge(Ticket),
}

/// Work for a thread that may block.
#[derive(Debug)]
pub(super) enum Job {
    Save(Save),
    Read { ticket: Ticket, sources: Sources, began: Instant },
    Merge(Merge),
}

/// Files that executors merge.
#[derive(Debug)]
pub(super) struct Merge {
    /// That of its first file.
    pub(super) number: Ticket,
    pub(super) context: ContextId,
    /// A load has read them, so that no disk is waited for.
    pub(super) is_read: bool,
    pub(super) files: Vec<(Ticket, Merging)>,
    pub(super) config_dir: PathBuf,
    pub(super) limits: Limits,
    pub(super) timeout: Duration,
    /// The context's.
    pub(super) cache: Arc<FileCache>,
}

/// One save of one file.
#[derive(Debug)]
pub(super) struct Save {
    pub(super) path: Arc<Path>,
    /// Unique among the saves of this file.
    pub(super) number: u64,
    pub(super) batch: Vec<Pending>,
    /// What the file was known to hold when the save began.
    pub(super) known: Option<Arc<FileEntry>>,
    pub(super) limits: Limits,
    pub(super) timeout: Duration,
    /// That of whoever has loaded the file.
    pub(super) cache: Option<Arc<FileCache>>,
}

/// What a job found out.
#[derive(Debug)]
pub(super) enum Done {
    Saved(Saved),
    /// Every file of the sources as it is now.
    Read(Vec<Found>),
    /// Each file, in the order of the job.
    Merged(Vec<Result<Arc<FileEntry>>>),
}

/// A file that was looked at.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: Arc<Path>,
    /// `None`: there is no file.
    pub(super) state: Result<Option<Arc<FileEntry>>>,
}

/// A file after a save.
#[derive(Debug)]
pub(super) struct Saved {
    /// What it holds now; `None`: there is no file.
    pub(super) entry: Option<Arc<FileEntry>>,
    /// Somebody else had changed it since it was read.
    pub(super) changed_by_others: bool,
    /// Whether anything was written, and where the path leads.
    pub(super) written: Option<PathBuf>,
    /// Updates whose condition held.
    pub(super) met: Vec<Ticket>,
}

impl Job {
    pub(super) fn id(&self) -> JobId {
        match self {
            Self::Save(save) => JobId::Save(Arc::clone(&save.path), save.number),
            Self::Read { ticket, .. } => JobId::Read(*ticket),
            Self::Merge(merge) => JobId::Merge(merge.number),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        match self {
            Self::Save(save) => save.timeout,
            Self::Read { sources, .. } => sources.timeout,
            Self::Merge(merge) => merge.timeout,
        }
    }

    /// `cache` is for what was changed in a context that has been left since.
    pub(super) fn perform(&self, cache: &FileCache) -> Result<Done> {
        match self {
            Self::Save(save) => save.perform(save.cache.as_deref().unwrap_or(cache)).map(Done::Saved),
            Self::Read { sources, .. } => {
                let Sources { files, config_dir, limits, cache, .. } = sources;
                let found =
                    |path: &Arc<Path>| Found { path: Arc::clone(path), state: read(cache, config_dir, path, limits) };
                Ok(Done::Read(files.iter().map(|source| found(&source.path)).collect()))
            }
            Self::Merge(merge) => {
                Ok(Done::Merged(merge.files.iter().map(|(_, merging)| merge.perform(merging)).collect()))
            }
        }
    }
}

impl Merge {
    fn perform(&self, merging: &Merging) -> Result<Arc<FileEntry>> {
        let Self { config_dir, limits, timeout, cache, .. } = self;
        let path = &merging.path;
        let read = || read(cache, config_dir, path, limits)?.ok_or_else(|| Error::new(ErrorKind::NotFound).at(&**path));
        let found = match &merging.entry {
            Some(entry) => entry.json().as_ref().map(|_| Arc::clone(entry)).map_err(Error::clone),
            None => read(),
        };
        let is_torn = |error: &Error| error.line.is_some() && store::backup_path(path).exists();
        match found {
            // As a load does: a save that was killed may have torn it.
            Err(error) if is_torn(&error) => {
                let lock_deadline = Instant::now() + LOCK_WAIT.min(*timeout);
                let options = store::Options { limits: *limits, lock_deadline, durable: true };
                if store::recover(path, &options).is_ok() { read() } else { Err(error) }
            }
            found => found,
        }
    }
}

impl Save {
    fn perform(&self, cache: &FileCache) -> Result<Saved> {
        let options = store::Options {
            limits: self.limits,
            lock_deadline: Instant::now() + LOCK_WAIT.min(self.timeout),
            durable: true,
        };
        // What was there has gone with its directory: a new one, with nothing else in it, would be taken for what is in force.
        if let Some(directory) = self.path.parent().filter(|directory| self.known.is_some() && has_gone(directory)) {
            return Err(Error::new(ErrorKind::Gone(Gone::ConfigDir)).at(directory));
        }
        let mut met = Vec::new();
        let saved = store::save(&self.path, &options, &mut |current| {
            let text = current.unwrap_or_default();
            let edits = self.edits(text, &mut met)?;
            let is_needless = if current.is_some() { edits.is_empty() } else { leave_nothing(&edits) };
            if is_needless { Ok(None) } else { json::edit_text(text, &edits).map(Some) }
        });
        let saved = saved.map_err(|error| error.at(&*self.path))?;
        let known = self.known.as_ref().map(|entry| &entry.content);
        let changed_by_others = known != saved.before.as_ref();
        let entry = saved.snapshot.map(|snapshot| cache.written(&self.path, snapshot));
        if let Some(entry) = entry.as_ref().filter(|_| changed_by_others || !met.is_empty()) {
            // Parsed here, where nobody waits for it.
            let _ = entry.json();
        }
        let target = || std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.to_path_buf());
        Ok(Saved { entry, changed_by_others, written: saved.written.then(target), met })
    }

    /// The edits of the batch, without those whose condition does not hold. Fills in the updates whose condition does.
    fn edits(&self, text: &[u8], met: &mut Vec<Ticket>) -> Result<Vec<Edit>> {
        met.clear();
        if self.batch.iter().all(|pending| pending.condition.is_none()) {
            return Ok(self.batch.iter().map(|pending| pending.edit.clone()).collect());
        }
        let mut document = json::parse(text)?.unwrap_or_else(|| Value::Object(Default::default()));
        let mut edits = Vec::with_capacity(self.batch.len());
        for Pending { edit, condition, .. } in &self.batch {
            if let Some(condition) = condition {
                if json::get(&document, &edit.path) != condition.expected.as_ref() {
                    continue;
                }
                met.push(condition.ticket);
            }
            json::apply(&mut document, edit);
            edits.push(edit.clone());
        }
        Ok(edits)
    }
}

/// The file's present state; `None` where there is none.
///
/// # Errors
///
/// As [`FileCache::config_file`] and [`FileEntry::json`]; `Untrusted` also where every user may replace the file.
pub(super) fn read(
    cache: &FileCache,
    config_dir: &Path,
    path: &Arc<Path>,
    limits: &Limits,
) -> Result<Option<Arc<FileEntry>>> {
    let (dir, place) = match path.strip_prefix(config_dir) {
        Ok(relative) => {
            let Some(dir) = ConfigDir::open(config_dir)? else { return Ok(None) };
            let place = dir.place(relative)?;
            // What a load finds by listing has been checked like this; an executor may name any.
            if !place.parent().as_os_str().is_empty() {
                dir.check_directory(place.parent())?;
            }
            (dir, place)
        }
        Err(_) => {
            let Some(place) = Place::by_itself(path) else { return Ok(None) };
            let Some(dir) = ConfigDir::open_elsewhere(path.parent().unwrap_or(path))? else { return Ok(None) };
            (dir, place)
        }
    };
    let entry = cache.config_file(&dir, &place, limits)?;
    if let Some(Err(error)) = entry.as_ref().map(|entry| entry.json()) {
        return Err(error.clone());
    }
    Ok(entry)
}

/// Whether a file that does not exist need not be made for these.
fn leave_nothing(edits: &[Edit]) -> bool {
    let mut document = Value::Object(Default::default());
    for edit in edits {
        json::apply(&mut document, edit);
    }
    document.as_object().is_some_and(Map::is_empty)
}

/// The document in a file's last known state.
pub(super) fn document(entry: Option<&Arc<FileEntry>>) -> Arc<Value> {
    let document = entry.and_then(|entry| entry.json().as_ref().ok()?.clone());
    document.unwrap_or_else(|| Arc::new(Value::Object(Default::default())))
}

/// Whether the edit makes or changes something.
pub(super) fn is_set(edit: &Edit) -> bool {
    matches!(edit.change, Change::Set(_))
}
