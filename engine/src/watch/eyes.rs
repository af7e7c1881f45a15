//! The watcher of the system, and the directories that it watches: made the same as what is wanted, by the difference.
//!
//! It blocks, and asks for no path to be watched that this thread has not just looked at: the watcher's own thread, which all directories
//! share, must not hang. Which directories these are is found out in `places.rs`; what comes of events in `filter.rs`.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::places::{self, Identity};
use crate::calls::{Blocked, Look};
use crate::error::{Error, ErrorKind};

/// How often what cannot be watched is looked at.
const POLL: Duration = Duration::from_secs(2);

pub(super) type AnyWatcher = Box<dyn Watcher + Send>;
pub(super) type Handler = Box<dyn FnMut(notify::Result<Event>) + Send>;

/// What the operating system does.
pub(super) struct System {
    pub(super) open: Box<dyn Fn(Handler) -> notify::Result<AnyWatcher> + Send + Sync>,
    pub(super) is_remote: Box<dyn Fn(&Path) -> bool + Send + Sync>,
    pub(super) poll: Duration,
}

impl Default for System {
    fn default() -> Self {
        let open = |handler| Ok(Box::new(RecommendedWatcher::new(handler, Config::default())?) as AnyWatcher);
        Self { open: Box::new(open), is_remote: Box::new(places::is_remote), poll: POLL }
    }
}

/// A directory that is to be watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) identity: Identity,
    /// Whether somebody has just looked at it. Else it is not known to answer, and stays as it is.
    pub(super) is_fresh: bool,
}

/// What has come of an adjustment.
#[derive(Debug, Default)]
pub(super) struct Adjusted {
    /// Something is watched that was not before.
    pub(super) has_new: bool,
    /// Something was gone by the time it was to be watched.
    pub(super) has_missed: bool,
    /// Not watched yet, since somebody else looks at it.
    pub(super) blocked: Vec<Blocked>,
    /// Why something that exists is not watched.
    pub(super) problem: Option<Error>,
}

/// A watcher with what it watches. Dropped, it leaves nothing behind.
#[derive(Default)]
pub(super) struct Eyes {
    watcher: Option<AnyWatcher>,
    watched: HashMap<PathBuf, Identity>,
}

impl Eyes {
    /// Watches these directories and no others. Watches at and below `ended` are renewed.
    pub(super) fn adjust(
        &mut self,
        open: &dyn Fn() -> notify::Result<AnyWatcher>,
        wanted: &BTreeMap<PathBuf, Sight>,
        ended: &[PathBuf],
        (look, calls): (&Look, &AtomicU64),
    ) -> Adjusted {
        let mut adjusted = Adjusted::default();
        let is_kept = |path: &Path, identity: &Identity| {
            let has_ended = ended.iter().any(|ended| path.starts_with(ended));
            !has_ended && wanted.get(path).is_some_and(|sight| !sight.is_fresh || sight.identity == *identity)
        };
        let superfluous: Vec<PathBuf> =
            self.watched.extract_if(|path, identity| !is_kept(path, identity)).map(|(path, _)| path).collect();
        for path in superfluous {
            // It may have ended by itself.
            let _ = self.ask(|watcher| watcher.unwatch(&path));
        }
        for (path, sight) in wanted {
            if !sight.is_fresh || self.watched.contains_key(path) {
                continue;
            }
            if let Err(problem) = self.ensure(open) {
                adjusted.problem = Some(unwatchable(path, problem));
                break;
            }
            if let Err(blocked) = look.at(path) {
                adjusted.blocked.push(blocked);
                continue;
            }
            calls.fetch_add(1, Ordering::Relaxed);
            may_be_read(path);
            calls.fetch_add(1, Ordering::Relaxed);
            match self.ask(|watcher| watcher.watch(path, RecursiveMode::NonRecursive)) {
                Ok(()) => {
                    self.watched.insert(path.clone(), sight.identity);
                    adjusted.has_new = true;
                }
                Err(error) if is_missing(&error) => adjusted.has_missed = true,
                Err(error) => adjusted.problem = adjusted.problem.or_else(|| Some(unwatchable(path, error))),
            }
        }
        look.rest();
        adjusted
    }

    fn ensure(&mut self, open: &dyn Fn() -> notify::Result<AnyWatcher>) -> notify::Result<()> {
        if self.watcher.is_none() {
            self.watcher = Some(open()?);
        }
        Ok(())
    }

    /// A watcher whose thread has ended, or could not be started, panics. A new one is made with the next adjustment.
    fn ask(&mut self, ask: impl FnOnce(&mut dyn Watcher) -> notify::Result<()>) -> notify::Result<()> {
        let Some(watcher) = &mut self.watcher else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| ask(&mut **watcher))).unwrap_or_else(|_| {
            self.close();
            Err(notify::Error::generic("the thread of the watcher has ended"))
        })
    }

    fn close(&mut self) {
        self.watched.clear();
        let watcher = self.watcher.take();
        // As above: it says farewell to its thread.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(watcher)));
    }
}

impl Drop for Eyes {
    fn drop(&mut self) {
        self.close();
    }
}

/// Asks what the system asks before it watches a directory, so that a mount that has died meanwhile is found out by this thread.
fn may_be_read(path: &Path) {
    #[cfg(unix)]
    let _ = rustix::fs::access(path, rustix::fs::Access::READ_OK);
    #[cfg(not(unix))]
    let _ = path;
}

fn is_missing(error: &notify::Error) -> bool {
    use std::io::ErrorKind as Io;
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => matches!(error.kind(), Io::NotFound | Io::NotADirectory),
        _ => false,
    }
}

/// Why a directory is not watched, and what to do.
fn unwatchable(path: &Path, error: notify::Error) -> Error {
    use std::io::ErrorKind as Io;
    let (errno, why, remedy) = match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            (NO_SPACE, "the limit of watches is reached".to_owned(), "raise `fs.inotify.max_user_watches` (sysctl)")
        }
        notify::ErrorKind::Io(error) => {
            let remedy = match error.raw_os_error() {
                errno if errno.is_some() && errno == TOO_MANY => {
                    "raise `fs.inotify.max_user_instances` (sysctl) or the limit of open files (`ulimit -n`)"
                }
                _ if error.kind() == Io::PermissionDenied => "make it readable for your user",
                _ => "after a change there, use `:ProjectConfig load`",
            };
            (error.raw_os_error(), error.to_string(), remedy)
        }
        kind => {
            let text = notify::Error::new(kind).to_string();
            (None, text, "after a change there, use `:ProjectConfig load`")
        }
    };
    Error { errno, ..Error::new(polled(&format!("cannot be watched: {why}; {remedy}"))).at(path) }
}

/// Why a directory that is watched is looked at besides.
pub(super) fn unheard(path: &Path) -> Error {
    let text = "is on a file system (network or FUSE) that does not tell of changes made elsewhere; \
                keep `config_dir` on a local disk, or use `:ProjectConfig load`";
    Error::new(polled(text)).at(path)
}

/// What became of an error of the disk on the way to a directory.
pub(super) fn unreachable(error: Error) -> Error {
    let text = Error { path: None, line: None, column: None, ..error.clone() }.to_string();
    Error { kind: polled(&text), ..error }
}

/// What is done meanwhile.
fn polled(text: &str) -> ErrorKind {
    ErrorKind::Io(format!("{text}. Until then it is looked at every 2 s"))
}

#[cfg(unix)]
const NO_SPACE: Option<i32> = Some(rustix::io::Errno::NOSPC.raw_os_error());
#[cfg(unix)]
const TOO_MANY: Option<i32> = Some(rustix::io::Errno::MFILE.raw_os_error());
#[cfg(not(unix))]
const NO_SPACE: Option<i32> = None;
#[cfg(not(unix))]
const TOO_MANY: Option<i32> = None;
