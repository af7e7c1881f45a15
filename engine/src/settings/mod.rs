//! The settings of all contexts while they are in use: what each one shows, what has been changed there and is not on disk yet,
//! and the saves.
//!
//! Two halves with a lock each. The *front* is what the editor's main thread touches: what every context shows, and a queue of
//! what there is to do; it is never held for longer than it takes to copy a pointer or to carry out a few edits. The *back*
//! ([`back`]) knows the files; only worker threads wait for it, and no disk works while it is held. How a file is written is
//! [`crate::store`]'s, which file gets which edit [`crate::json::distribute`]'s.

mod back;
mod job;
mod merges;
#[cfg(test)]
#[cfg(unix)]
mod tests;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::contexts::ContextId;
use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileCache;
use crate::json::{self, Edit, Value};
use crate::open::Limits;
use crate::plan::{JsonTarget, Plan};

use back::{Answer, Back};
use job::Job;
pub use merges::Merging;
use merges::Wait;
use watch::Watched;

/// Documents with more text than this, in bytes, are compared only when it is asked for, and copied only by workers.
pub const LARGE: u64 = 256 * 1024;

/// One call that waits for the disk. Never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Who made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    /// This session.
    Local,
    /// Somebody else, on disk.
    Disk,
}

/// What the main thread has to be told.
#[derive(Debug)]
pub enum Event {
    /// The context's settings have changed elsewhere: show them.
    Changed(ContextId, Prepared, Author),
    /// The file has been written: at this path, which leads to the other one.
    Saved(Arc<Path>, PathBuf),
    /// A change was refused or could not be saved. Told once for one cause; what could not be saved is tried again.
    Failed(ContextId, Error),
    /// Everything that had been changed when `flush` was called is on disk, or could not be saved.
    Flushed(Ticket, Result<()>),
    /// What lies at the path of an update at this moment: call the user's function, and then [`Settings::update_to`].
    UpdateRead(Ticket, Option<Value>),
    /// The update is on disk, or has failed.
    Updated(Ticket, Result<()>),
    /// A file that was merged is shown, or what was to be taken away is gone: the file that gets new settings now.
    Merged(Ticket, Result<PathBuf>),
}

/// Where a context's settings come from, and where new ones go.
#[derive(Debug, Clone)]
pub struct Sources {
    files: Vec<Source>,
    config_dir: PathBuf,
    limits: Limits,
    timeout: Duration,
    target: JsonTarget,
    /// What the context's files are read through.
    cache: Arc<FileCache>,
}

#[derive(Debug, Clone)]
struct Source {
    path: Arc<Path>,
    /// It belongs to the innermost project, so it may be written.
    own: bool,
    origin: Origin,
    /// Its position among the files of the plan; those that have none come after all others.
    at: Option<usize>,
}

/// Why a file is a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A load has found it.
    Plan,
    /// It is a write target, of whose absence from a plan nothing follows.
    Target,
    /// An executor of this run has merged it, as the change of this number.
    Executor { run: u64, serial: u64 },
}

/// How a load has read its files.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The directory of the configuration files.
    pub config_dir: PathBuf,
    /// What files may be like.
    pub limits: Limits,
    /// How long the disk may take.
    pub timeout: Duration,
    /// What they were read through.
    pub cache: Arc<FileCache>,
    /// When it began.
    pub began: Instant,
}

/// What a load knows of the files.
#[derive(Debug, Clone)]
struct Opening {
    sources: Sources,
    /// When the load began.
    began: Instant,
    /// The last change that it knows of.
    serial: u64,
}

/// Settings on their way into a context.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What the context is to show.
    pub value: Arc<Value>,
    /// What it showed when this was prepared; `None`: nothing yet.
    pub base: Option<Arc<Value>>,
    /// What the base counts as.
    revision: Option<u64>,
    /// What the files' documents counted as when they were merged.
    epoch: u64,
    /// Bytes of the texts it was merged from.
    size: u64,
    /// For a load: what is known of the files.
    opening: Option<Opening>,
}

impl Prepared {
    /// Of a load that has not been shown: the file that gets new settings.
    pub fn json_target(&self) -> Option<PathBuf> {
        self.opening.as_ref().map(|opening| opening.sources.json_target())
    }
}

/// What a context shows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// As far as the editor and this module have agreed on it.
    pub value: Arc<Value>,
    /// Whether it is too large to be compared at every occasion.
    pub is_large: bool,
}

/// Changes of a file that are not on disk.
#[derive(Debug)]
pub struct Unsaved {
    /// The file they go to.
    pub path: PathBuf,
    /// Why they are not there; `None` if the disk has not answered yet.
    pub error: Option<Error>,
    /// One after the other, in words: `lsp.level = 2`, `lsp.name removed`.
    pub changes: Vec<String>,
}

impl std::fmt::Display for Unsaved {
    /// `path: unsaved changes (what): why`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: unsaved changes ({}): ", self.path.display(), self.changes.join(", "))?;
        match &self.error {
            Some(error) => error.fmt(f),
            None => f.write_str("the disk did not answer"),
        }
    }
}

#[derive(Debug)]
enum Task {
    Open { context: ContextId, sources: Sources, epoch: u64, serial: u64 },
    Edit { context: ContextId, edits: Arc<Vec<Edit>>, target: PathBuf },
    Close(ContextId),
    Flush(Answer),
    Retry,
    Update { ticket: Ticket, context: ContextId, path: Vec<String>, target: PathBuf },
    UpdateTo(Ticket, Option<Result<Option<Value>>>),
    Merge { ticket: Ticket, context: ContextId, merging: Merging },
    ForgetUnmerged { ticket: Ticket, context: ContextId, run: u64 },
}

#[derive(Debug, Default)]
struct Front {
    tasks: VecDeque<Task>,
    mirrors: HashMap<ContextId, Mirror>,
    /// What executors have merged into the contexts, and in which run.
    merged: HashMap<ContextId, HashMap<Arc<Path>, u64>>,
    /// Who waits for something to be shown.
    waits: Vec<Wait>,
    /// A worker has been asked for and has not looked at the tasks yet.
    called: bool,
    last_ticket: u64,
    last_revision: u64,
}

/// What a context shows, as the main thread knows it.
#[derive(Debug)]
struct Mirror {
    shown: Arc<Value>,
    /// Taken and not carried out in `shown` yet: whoever needs it first does that, usually a worker.
    taken: Vec<Arc<Vec<Edit>>>,
    /// Never the same for two states.
    revision: u64,
    /// The state of the files that it shows.
    epoch: u64,
    size: u64,
}

impl Mirror {
    fn shown(&mut self) -> &Arc<Value> {
        for edits in self.taken.drain(..) {
            let shown = Arc::make_mut(&mut self.shown);
            for edit in edits.iter() {
                json::apply(shown, edit);
            }
        }
        &self.shown
    }
}

impl Front {
    fn next_revision(&mut self) -> u64 {
        self.last_revision += 1;
        self.last_revision
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }
}

/// The settings of a session. Nothing here blocks, except where it says so.
pub struct Settings {
    cache: Arc<FileCache>,
    tokio: OnceLock<Handle>,
    front: Mutex<Front>,
    back: Mutex<Back>,
    /// That of the back.
    epoch: Arc<AtomicU64>,
    watched: Mutex<Watched>,
    tell: Box<dyn Fn(Vec<Event>) + Send + Sync>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

impl Settings {
    /// No settings yet. `tell` is called on worker threads. What is saved for a context that has been left goes through `cache`.
    pub fn new(cache: Arc<FileCache>, tell: impl Fn(Vec<Event>) + Send + Sync + 'static) -> Arc<Self> {
        let (back, tokio, front) = (Back::default(), OnceLock::new(), Mutex::default());
        let epoch = back.shared_epoch();
        let (back, watched) = (Mutex::new(back), Mutex::default());
        Arc::new(Self { cache, tokio, front, back, epoch, watched, tell: Box::new(tell) })
    }

    /// Gives it threads to work on: those of this runtime, which needs time.
    pub fn attach(&self, runtime: Handle) {
        // A second one is as good as the first.
        let _ = self.tokio.set(runtime);
    }

    /// What the context shows; `None` for one that has shown nothing yet.
    pub fn shown(&self, context: ContextId) -> Option<Shown> {
        let mut front = self.front();
        let mirror = front.mirrors.get_mut(&context)?;
        Some(Shown { value: Arc::clone(mirror.shown()), is_large: mirror.size > LARGE })
    }

    /// Takes up what has been changed in a context: it counts as shown from now on, and is saved after [`Settings::kick`]. New paths go
    /// to the file `target`. Nothing happens for a context that has shown nothing.
    pub fn take(&self, context: ContextId, edits: Vec<Edit>, target: PathBuf) {
        let mut front = self.front();
        let revision = front.next_revision();
        let Some(mirror) = front.mirrors.get_mut(&context) else { return };
        mirror.revision = revision;
        let edits = Arc::new(edits);
        mirror.taken.push(Arc::clone(&edits));
        front.tasks.push_back(Task::Edit { context, edits, target });
    }

    /// Has everything saved that has been taken.
    pub fn kick(self: &Arc<Self>) {
        let mut front = self.front();
        if !front.tasks.is_empty() {
            self.call(&mut front);
        }
    }

    /// Tries again to save what could not be saved.
    pub fn retry(self: &Arc<Self>) {
        if self.tokio.get().is_some() {
            self.ask(Task::Retry);
        }
    }

    /// Has everything saved that has been taken so far, also what could not be saved before. [`Event::Flushed`] tells the end.
    pub fn flush(self: &Arc<Self>) -> Ticket {
        let mut front = self.front();
        let ticket = front.ticket();
        if self.tokio.get().is_none() {
            drop(front);
            (self.tell)(vec![Event::Flushed(ticket, Ok(()))]);
            return ticket;
        }
        front.tasks.push_back(Task::Flush(Answer::Event(ticket)));
        self.call(&mut front);
        ticket
    }

    /// As [`Settings::flush`], and waits, at most for `timeout`. Returns what has not reached the disk. Blocking.
    pub fn flush_and_wait(self: &Arc<Self>, timeout: Duration) -> Vec<Unsaved> {
        let until = Instant::now() + timeout;
        if self.tokio.get().is_none() {
            return Vec::new();
        }
        let (answer, answered) = mpsc::channel();
        self.ask(Task::Flush(Answer::Channel(answer)));
        let in_time = answered.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok();
        // The back is held for computing only, so this cannot take long either. What no worker has taken up is lost too.
        let mut back = self.back();
        self.run_tasks(&mut back);
        let lost = back.unsaved(in_time);
        self.release(back);
        lost
    }

    /// What is not on disk at the moment. Waits for what workers compute.
    pub fn unsaved(self: &Arc<Self>) -> Vec<Unsaved> {
        let mut back = self.back();
        self.run_tasks(&mut back);
        let unsaved = back.unsaved(true);
        self.release(back);
        unsaved
    }

    /// Reads what lies on disk at a path of a context's settings. [`Event::UpdateRead`] hands it over.
    pub fn update(self: &Arc<Self>, context: ContextId, path: Vec<String>, target: PathBuf) -> Ticket {
        let mut front = self.front();
        let ticket = front.ticket();
        if self.tokio.get().is_none() {
            drop(front);
            (self.tell)(vec![Event::Updated(ticket, Err(ErrorKind::NoProject.into()))]);
            return ticket;
        }
        front.tasks.push_back(Task::Update { ticket, context, path, target });
        self.call(&mut front);
        ticket
    }

    /// What the value that [`Event::UpdateRead`] handed over becomes: `Ok(None)` deletes the path, an error ends the update, `None` gives
    /// it up without an answer. If somebody else has changed the path meanwhile, it is read again.
    pub fn update_to(self: &Arc<Self>, ticket: Ticket, value: Option<Result<Option<Value>>>) {
        self.ask(Task::UpdateTo(ticket, value));
    }

    /// Forgets what a context shows. What was taken is saved all the same.
    pub fn close(self: &Arc<Self>, context: ContextId) {
        let mut front = self.front();
        let mirror = front.mirrors.remove(&context);
        front.merged.remove(&context);
        let left = front.end_waits();
        if mirror.is_some() {
            front.tasks.push_back(Task::Close(context));
            self.call(&mut front);
        }
        drop(front);
        if !left.is_empty() {
            (self.tell)(left);
        }
        if mirror.is_some() {
            self.discard(mirror);
        }
    }

    /// The file that gives the value at `path`, and the line of what lies at `rest` in it, which leads on from an array; the line is known
    /// once the file has been read or written with this value. Waits for what workers compute.
    pub fn origin(
        self: &Arc<Self>,
        context: ContextId,
        path: &[String],
        rest: &[String],
    ) -> Option<(PathBuf, Option<u32>)> {
        let mut back = self.back();
        self.run_tasks(&mut back);
        let origin = back.origin(context, path, rest);
        self.release(back);
        origin
    }

    /// The settings that come of a plan and of what is not saved yet. `context` is the one of its project, if there is one. Waits for what
    /// other workers compute.
    pub fn prepare(self: &Arc<Self>, plan: &Plan, reading: Reading, context: Option<ContextId>) -> Prepared {
        let mut back = self.back();
        let (base, revision) = self.settle(&mut back, context);
        let Reading { config_dir, limits, timeout, cache, began } = reading;
        let (files, target) = (planned_sources(plan), JsonTarget::of(plan));
        let mut sources = Sources { files, config_dir, limits, timeout, target, cache };
        let (value, size, epoch) = back.load(context, &mut sources, plan, began);
        let serial = back.last_serial();
        self.release(back);
        let value = if size > LARGE { Arc::new(Value::clone(&value)) } else { value };
        Prepared { value, base, revision, epoch, size, opening: Some(Opening { sources, began, serial }) }
    }

    /// Whether the plan brings settings of the context's files that somebody else has written. Waits for what workers compute.
    pub fn has_news(self: &Arc<Self>, context: ContextId, plan: &Plan) -> bool {
        let mut back = self.back();
        self.run_tasks(&mut back);
        let has_news = back.has_news(context, plan);
        self.release(back);
        has_news
    }

    /// Carries out all tasks, and says what the context shows, in one step with seeing that there is no task: a change that is in the one
    /// is in the other too.
    fn settle(&self, back: &mut Back, context: Option<ContextId>) -> (Option<Arc<Value>>, Option<u64>) {
        loop {
            self.run_tasks(back);
            let mut front = self.front();
            if front.tasks.is_empty() {
                let mirror = context.and_then(|context| front.mirrors.get_mut(&context));
                return mirror.map_or((None, None), |mirror| (Some(Arc::clone(mirror.shown())), Some(mirror.revision)));
            }
        }
    }

    /// Ends what somebody other than a worker has done: tells what there is to tell, and has a worker do what there is to do. Whoever wants
    /// to call one finds no tasks any more.
    fn release(self: &Arc<Self>, mut back: MutexGuard<'_, Back>) {
        let (has_work, events) = (back.has_work(), back.take_events());
        drop(back);
        if !events.is_empty() {
            (self.tell)(events);
        }
        let mut front = self.front();
        if has_work || !front.tasks.is_empty() {
            self.call(&mut front);
        }
    }

    /// Prepares the same settings for what the context shows now.
    #[must_use]
    pub fn prepare_again(self: &Arc<Self>, mut prepared: Prepared, context: ContextId) -> Prepared {
        let mut back = self.back();
        let (base, revision) = self.settle(&mut back, Some(context));
        let value = match &mut prepared.opening {
            Some(Opening { sources, began, serial }) => {
                back.add_newer(context, sources, *began, *serial);
                *serial = back.last_serial();
                back.merged(sources)
            }
            None => back.merged_of(context).unwrap_or(prepared.value),
        };
        let epoch = back.epoch();
        self.release(back);
        let value = if prepared.size > LARGE { Arc::new(Value::clone(&value)) } else { value };
        Prepared { value, base, revision, epoch, ..prepared }
    }

    /// Notes that the context shows this from now on, and takes the value. False if it shows something else by now than it was prepared for.
    pub fn show(self: &Arc<Self>, context: ContextId, prepared: &mut Prepared) -> bool {
        let mut front = self.front();
        let mirror = front.mirrors.get(&context);
        // What was prepared without a load may have been overtaken by something that changes nothing, and so was never sent.
        let is_overtaken = prepared.opening.is_none() && mirror.is_some_and(|mirror| mirror.epoch > prepared.epoch);
        if mirror.map(|mirror| mirror.revision) != prepared.revision || is_overtaken {
            return false;
        }
        // So that the first change copies nothing.
        prepared.base = None;
        let mirror = Mirror {
            shown: std::mem::take(&mut prepared.value),
            taken: Vec::new(),
            revision: front.next_revision(),
            epoch: prepared.epoch,
            size: prepared.size,
        };
        let replaced = front.mirrors.insert(context, mirror);
        let epoch = prepared.epoch;
        let answers = front.is_shown(context, epoch);
        if let Some(Opening { sources, serial, .. }) = prepared.opening.take() {
            front.tasks.push_back(Task::Open { context, sources, epoch, serial });
            if epoch != self.epoch.load(Ordering::Acquire) {
                // What has changed since it was prepared has been told to those only that were open then.
                self.call(&mut front);
            }
        }
        drop(front);
        if !answers.is_empty() {
            (self.tell)(answers);
        }
        if replaced.is_some() {
            self.discard(replaced);
        }
        true
    }

    fn ask(self: &Arc<Self>, task: Task) {
        let mut front = self.front();
        front.tasks.push_back(task);
        self.call(&mut front);
    }

    /// Calls a worker, unless one has been called already. Without a runtime nothing has been loaded, and there is nothing to do.
    fn call(self: &Arc<Self>, front: &mut Front) {
        if front.called {
            return;
        }
        if let Some(tokio) = self.tokio.get() {
            let settings = Arc::clone(self);
            // It panics when the system gives no thread; then the next call tries again.
            let spawned = catch_unwind(AssertUnwindSafe(|| tokio.spawn_blocking(move || settings.work(None))));
            front.called = spawned.is_ok();
        }
    }

    /// A worker's life: everything that there is to compute, then one job after the other. Jobs that others can do are handed on.
    fn work(self: &Arc<Self>, mut job: Option<Job>) {
        loop {
            if let Some(job) = job.take() {
                self.perform(job);
            }
            let computed = catch_unwind(AssertUnwindSafe(|| {
                let mut back = self.back();
                self.run_tasks(&mut back);
                (back.jobs(), back.take_events())
            }));
            let Ok((jobs, events)) = computed else { return self.give_up() };
            if !events.is_empty() {
                (self.tell)(events);
            }
            let mut jobs = jobs.into_iter();
            job = jobs.next();
            for other in jobs {
                let settings = Arc::clone(self);
                let work = move || settings.work(Some(other));
                // Where the system gives no thread, it waits for one that is busy.
                let _ = catch_unwind(AssertUnwindSafe(|| Handle::current().spawn_blocking(work)));
            }
            if job.is_none() {
                return;
            }
        }
    }

    fn perform(self: &Arc<Self>, job: Job) {
        let id = job.id();
        self.watch_over(id.clone(), job.timeout());
        let result = catch_unwind(AssertUnwindSafe(|| job.perform(&self.cache))).unwrap_or_else(|_| Err(defect()));
        self.watched().forget(&id);
        if catch_unwind(AssertUnwindSafe(|| self.back().finish(job, result))).is_err() {
            self.give_up();
        }
    }

    /// A defect must not leave anybody waiting.
    fn give_up(&self) {
        let mut back = self.back();
        back.recover(None, &defect());
        let events = back.take_events();
        drop(back);
        (self.tell)(events);
    }

    /// Carries out all tasks, and prepares what contexts have to show because of them.
    fn run_tasks(&self, back: &mut Back) {
        loop {
            let mut front = self.front();
            front.called = false;
            let tasks = std::mem::take(&mut front.tasks);
            // Here, so that the main thread finds it done.
            for mirror in front.mirrors.values_mut() {
                mirror.shown();
            }
            if tasks.is_empty() {
                front.waits.extend(back.take_waits());
                back.add_events(front.end_waits());
                // In one step with seeing that there is no task: what is shown and what is known of the files fit together.
                let stale: Vec<_> = back
                    .take_stale()
                    .filter_map(|(context, author)| {
                        let mirror = front.mirrors.get_mut(&context)?;
                        Some((context, author, Arc::clone(mirror.shown()), mirror.revision))
                    })
                    .collect();
                drop(front);
                let epoch = back.epoch();
                for (context, author, shown, revision) in stale {
                    if !back.prepare_change(context, author, shown, revision) {
                        let answers = self.front().is_shown(context, epoch);
                        back.add_events(answers);
                    }
                }
                return;
            }
            drop(front);
            for task in tasks {
                let context = if let Task::Edit { context, .. } = &task { Some(*context) } else { None };
                // The tasks behind it are not lost with it.
                if catch_unwind(AssertUnwindSafe(|| back.run(task))).is_err() {
                    back.recover(context, &defect());
                }
            }
        }
    }

    /// Frees something that may be large, on another thread.
    fn discard(&self, garbage: impl Send + 'static) {
        if let Some(tokio) = self.tokio.get() {
            let _ = catch_unwind(AssertUnwindSafe(|| tokio.spawn_blocking(|| drop(garbage))));
        }
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn back(&self) -> MutexGuard<'_, Back> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a load has found.
fn planned_sources(plan: &Plan) -> Vec<Source> {
    let innermost = plan.projects.len() - 1;
    let (mut at, mut files) = (0, plan.files.iter().enumerate());
    let sources = plan.json_sources.iter().map(|source| {
        // A file that cannot be read has no position of its own.
        if !source.outdated
            && let Some((found, _)) = files.find(|(_, file)| Arc::ptr_eq(&file.entry, &source.entry))
        {
            at = found;
        }
        let path = Arc::clone(&source.entry.path);
        Source { path, own: source.layer == innermost, origin: Origin::Plan, at: Some(at) }
    });
    sources.collect()
}

fn defect() -> Error {
    ErrorKind::Runtime("a defect of nvim-project-config stopped a save; please report what you did".into()).into()
}
