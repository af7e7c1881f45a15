//! The caches as users see them: many requests at once, each with its deadline, answered by ticket.
//!
//! What is remembered, and what proves it, is in [`crate::file_cache`] and [`crate::dir_cache`]; who waits for what in `caches/desk.rs`.
//! Here are the threads that look and write, the one task that watches over all deadlines, and the probes of time steps. Nothing blocks
//! who asks, and a call into a dead mount costs one thread a path: loads and all caches share the registry of such calls ([`crate::calls`]).

mod desk;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout_at;

pub use crate::dir_cache::{DirectoryEntry, DirectoryItem, ItemKind};
pub use crate::file_cache::{FileEntry, FileState};

use crate::calls::Look;
use crate::dir_cache::DirCache;
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileCache;
use crate::fingerprint::{Fingerprint, Timestamp};
use crate::json::Value;
use crate::open::Limits;
use crate::store;
use crate::time_step::Step;
use desk::{Desk, Job, Waiter, What};
use threads::{SLOW, Thread};

/// How long another editor's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_millis(1500);

/// The one who watches looks again after this time, or twice as long as before where nothing has happened.
const TICK: Duration = SLOW;
const LONGEST_TICK: Duration = Duration::from_millis(64);

/// After so long without anything to do, the one who watches leaves.
const IDLE: Duration = Duration::from_millis(16);

/// Stands for times that no clock can hold.
const LONGEST: Duration = Duration::from_secs(1 << 30);

/// What takes more than so many bytes is freed aside.
const MUCH: u64 = 256 * 1024;

/// Names one request; given by the one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheTicket(pub u64);

/// What a request is answered with, once.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To [`Caches::get_file`].
    File(Result<FileState>),
    /// To [`Caches::get_directory`].
    Directory(Result<Arc<DirectoryEntry>>),
    /// To [`Caches::write`].
    Written(Result<()>),
}

type Tell = dyn Fn(Vec<(CacheTicket, Answer)>) + Send + Sync;

/// A file cache and a directory cache. Nothing here blocks, except where it says so.
pub struct Caches {
    files: Arc<FileCache>,
    directories: DirCache,
    disk: Disk,
    desk: Mutex<Desk>,
    /// Told when a write has ended.
    written: Condvar,
    /// Wakes the one who watches.
    poked: Notify,
    /// The last one that was given.
    runtime: OnceLock<Handle>,
    tell: Box<Tell>,
}

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caches").finish_non_exhaustive()
    }
}

impl Caches {
    /// Empty caches that keep at most about `max_bytes` each. `tell` gets the answers, on worker threads and never inside one of these
    /// functions; several together where many come at once.
    pub fn new(max_bytes: u64, tell: impl Fn(Vec<(CacheTicket, Answer)>) + Send + Sync + 'static) -> Arc<Self> {
        Self::on(Disk::of_process(), max_bytes, tell)
    }

    fn on(disk: Disk, max_bytes: u64, tell: impl Fn(Vec<(CacheTicket, Answer)>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            files: Arc::new(FileCache::on(disk.clone(), max_bytes)),
            directories: DirCache::new(disk.clone(), max_bytes),
            disk,
            desk: Mutex::default(),
            written: Condvar::new(),
            poked: Notify::new(),
            runtime: OnceLock::new(),
            tell: Box::new(tell),
        })
    }

    /// The file cache, through which loads read too.
    pub fn files(&self) -> &Arc<FileCache> {
        &self.files
    }

    /// Asks for the state of the file at the absolute `path`: one that it has at or after this moment. The runtime needs time.
    ///
    /// Answered with [`Answer::File`]: `NotFound`, `BrokenLink`, `NotAFile`, `TooLarge`, `Permission`, `Io`, and `Timeout` after `timeout`;
    /// each error names the path.
    pub fn get_file(
        self: &Arc<Self>,
        runtime: &Handle,
        ticket: CacheTicket,
        path: PathBuf,
        limits: Limits,
        timeout: Duration,
    ) {
        self.ask(runtime, ticket, path, What::File(limits), timeout);
    }

    /// As [`Caches::get_file`], of a directory; with `NotADirectory` in place of `NotAFile`. Answered with [`Answer::Directory`].
    pub fn get_directory(
        self: &Arc<Self>,
        runtime: &Handle,
        ticket: CacheTicket,
        path: PathBuf,
        trust_mtime: bool,
        timeout: Duration,
    ) {
        self.ask(runtime, ticket, one_spelling(&path).to_path_buf(), What::Directory { trust_mtime }, timeout);
    }

    /// Asks for the file at the absolute `path` to hold `content`, durably: on the disk first, then in the cache, with `json` beside it. Links
    /// are followed, missing directories are made. Writes of one path are done in the order of the calls, and who asks for the file after
    /// this call gets what they wrote.
    ///
    /// Answered with [`Answer::Written`]: the errors of [`store::save`] without `Untrusted`, and `Timeout`. After an error the file and
    /// what is cached of it are as before; only a write that was under way when its time was up may still be done.
    #[allow(clippy::too_many_arguments, reason = "each is a thing of its own")]
    pub fn write(
        self: &Arc<Self>,
        runtime: &Handle,
        ticket: CacheTicket,
        path: PathBuf,
        content: Vec<u8>,
        json: Option<Value>,
        limits: Limits,
        timeout: Duration,
    ) {
        self.ask(runtime, ticket, path, What::Write { content, json, limits, timeout }, timeout);
    }

    /// Forgets a file. What is being read of it is not kept.
    pub fn invalidate_file(&self, path: &Path) {
        self.free(self.files.invalidate(path));
    }

    /// Forgets all files. What is being read is not kept.
    pub fn clear_files(&self) {
        self.free(Some(self.files.clear()));
    }

    /// Forgets a directory. What is being read of it is not kept.
    pub fn invalidate_directory(&self, path: &Path) {
        self.free(self.directories.invalidate(one_spelling(path)));
    }

    /// Forgets all directories. What is being read is not kept.
    pub fn clear_directories(&self) {
        self.free(Some(self.directories.clear()));
    }

    /// Waits until no write is left, at most for `timeout`; the answer says whether that is so. Blocking.
    pub fn wait_for_writes(&self, timeout: Duration) -> bool {
        let waited = self.written.wait_timeout_while(self.desk(), timeout, |desk| desk.writes_left() > 0);
        let (desk, _) = waited.unwrap_or_else(PoisonError::into_inner);
        desk.writes_left() == 0
    }

    /// Held for computing only. Every state between two statements under it is a valid one, so a panic elsewhere does no harm.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees it; where it takes so many bytes that this takes its time, on another thread.
    fn free<T: Send + 'static>(&self, garbage: Option<(T, u64)>) {
        if let Some((garbage, bytes)) = garbage
            && bytes > MUCH
            && let Some(runtime) = self.runtime.get()
        {
            // It panics when the system gives no thread, and keeps it for the next one.
            let _ = catch_unwind(AssertUnwindSafe(|| runtime.spawn_blocking(move || drop(garbage))));
        }
    }

    fn ask(self: &Arc<Self>, runtime: &Handle, ticket: CacheTicket, path: PathBuf, what: What, timeout: Duration) {
        let now = Instant::now();
        if self.runtime.get().is_none() {
            // A second one is as good as the first.
            let _ = self.runtime.set(runtime.clone());
        }
        let deadline = now.checked_add(timeout).unwrap_or(now + LONGEST);
        let waiter = Waiter { ticket, deadline, timeout };
        let mut desk = self.desk();
        let thread = desk.ask(path, what, waiter, now);
        let watched = desk.watched;
        let is_watched_well = watched.is_some_and(|next| next <= now + 2 * TICK);
        if !is_watched_well {
            desk.watched = Some(now + TICK);
        }
        drop(desk);
        match watched {
            None => drop(runtime.spawn(Arc::clone(self).watch())),
            Some(_) if !is_watched_well => self.poked.notify_one(),
            Some(_) => {}
        }
        if let Some(thread) = thread {
            self.start(runtime, thread);
        }
    }

    fn start(self: &Arc<Self>, runtime: &Handle, thread: Thread) {
        let caches = Arc::clone(self);
        // It panics when the system gives no thread. The work stays queued then, for the next thread that there is; until then, it
        // counts as one that does not come back.
        let _ = catch_unwind(AssertUnwindSafe(|| runtime.spawn_blocking(move || caches.work(thread))));
    }

    /// A thread: takes one task after the other until there is none.
    fn work(self: &Arc<Self>, thread: Thread) {
        let mut look = None;
        let mut done: Option<(Arc<Path>, Answer)> = None;
        loop {
            let now = Instant::now();
            let mut desk = self.desk();
            if let Some((path, answer)) = &done {
                desk.end(path, answer);
            }
            let job = desk.begin(thread, now);
            let answers = desk.outgoing(now, job.is_some());
            drop(desk);
            if done.take().is_some_and(|(_, answer)| matches!(answer, Answer::Written(_))) {
                self.written.notify_all();
            }
            if job.is_none() {
                // Before anybody is told: they may look at the same path at once.
                look = None;
            }
            self.tell(answers);
            let Some(job) = job else { return };
            let look: &Look = look.get_or_insert_with(|| Look::new(&self.disk.calls));
            if look.at(&job.path).is_err() {
                self.wait_for_release(job);
                continue;
            }
            let path = Arc::clone(&job.path);
            done = Some((path, self.perform(job)));
        }
    }

    /// A panic becomes the answer, so that none is lost.
    fn perform(self: &Arc<Self>, Job { path, what }: Job) -> Answer {
        let guarded = AssertUnwindSafe(&path);
        match what {
            What::File(limits) => {
                let state = attempt(guarded, |path| self.files.file(path, &limits));
                if let Ok(state) = &state {
                    self.probe_if_young(&state.fingerprint, path.parent(), limits.trust_mtime);
                }
                Answer::File(state)
            }
            What::Directory { trust_mtime } => {
                let entry = attempt(guarded, |path| self.directories.directory(path, trust_mtime));
                if let Ok(entry) = &entry {
                    self.probe_if_young(&entry.fingerprint, Some(&path), trust_mtime);
                }
                Answer::Directory(entry)
            }
            What::Write { content, json, limits, timeout } => {
                Answer::Written(attempt(guarded, |path| self.replace(path, &content, json, limits, timeout)))
            }
        }
    }

    fn replace(
        &self,
        path: &Arc<Path>,
        content: &[u8],
        json: Option<Value>,
        limits: Limits,
        timeout: Duration,
    ) -> Result<()> {
        let lock_deadline = Instant::now() + LOCK_WAIT.min(timeout);
        let options = store::Options { limits, lock_deadline, durable: true };
        let saved = store::replace(path, &options, content)?;
        if let Some(snapshot) = saved.snapshot {
            self.files.written_by_user(path, snapshot, json);
        }
        if let Some(directory) = path.parent() {
            drop(self.directories.invalidate(directory));
        }
        Ok(())
    }

    /// Has the device's time step looked for if the times of what was found prove nothing only because it is not known.
    fn probe_if_young(&self, fingerprint: &Fingerprint, directory: Option<&Path>, trust_mtime: bool) {
        let steps = &self.disk.steps;
        if !trust_mtime || !steps.is_open(fingerprint.dev) || !fingerprint.is_racy(Timestamp::now(), Step::COARSEST) {
            return;
        }
        let Some(directory) = directory.map(Path::to_path_buf) else { return };
        let (disk, dev) = (self.disk.clone(), fingerprint.dev);
        Handle::current().spawn_blocking(move || disk.steps.probe(dev, &directory));
    }

    /// Has the task done when whoever is looking at its path has come back.
    fn wait_for_release(self: &Arc<Self>, job: Job) {
        let path = Arc::clone(&job.path);
        self.desk().block(job);
        let caches = Arc::clone(self);
        tokio::spawn(async move {
            caches.disk.calls.released(&path).await;
            let thread = caches.desk().release(&path, Instant::now());
            if let Some(thread) = thread {
                caches.start(&Handle::current(), thread);
            }
        });
    }

    /// Watches over all requests: answers those whose time is up, has more threads join where the disk is slow, and hands out answers
    /// that a thread has left lying. Ends when there has been nothing to do for a moment.
    async fn watch(self: Arc<Self>) {
        let (mut pause, mut seen) = (TICK, 0);
        let mut wake = Instant::now() + TICK;
        loop {
            let is_poked = timeout_at(wake.into(), self.poked.notified()).await.is_ok();
            let now = Instant::now();
            let mut desk = self.desk();
            desk.expire(now);
            let threads = desk.reinforce(now);
            let answers = desk.outgoing(now, false);
            let has_moved = is_poked || desk.changes() != seen;
            pause = if has_moved { TICK } else { LONGEST_TICK.min(2 * pause) };
            seen = desk.changes();
            wake = desk.earliest().map_or(now + pause, |earliest| earliest.min(now + pause));
            let is_over = desk.is_idle() && pause > IDLE;
            desk.watched = if is_over { None } else { Some(wake) };
            // An expired write has ended too.
            let has_expired = !answers.is_empty();
            drop(desk);
            if has_expired {
                self.written.notify_all();
            }
            self.tell(answers);
            for thread in threads {
                self.start(&Handle::current(), thread);
            }
            if is_over {
                return;
            }
        }
    }

    fn tell(&self, answers: Vec<(CacheTicket, Answer)>) {
        if !answers.is_empty() {
            // What goes wrong there is told there; the threads here go on.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.tell)(answers)));
        }
    }
}

/// A directory's path without a slash at its end, as files name their directory.
fn one_spelling(directory: &Path) -> &Path {
    directory.components().as_path()
}

/// Runs it; a panic becomes an error about the path.
fn attempt<T>(path: AssertUnwindSafe<&Arc<Path>>, run: impl FnOnce(&Arc<Path>) -> Result<T>) -> Result<T> {
    if !path.is_absolute() {
        let text = format!("{} is not an absolute path", path.display());
        return Err(ErrorKind::InvalidArgument(text).into());
    }
    catch_unwind(AssertUnwindSafe(|| run(*path))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Error::new(ErrorKind::Runtime(format!("a defect of the cache: {text}"))).at(&***path))
    })
}
