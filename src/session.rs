//! The session: the tokio runtime, the engine, and the state of all loads. Everything that happens off the main thread starts here.
//!
//! Nothing in this file knows a Lua value; [`crate::exports`] is the border. There is one session a process, started at the first use
//! and never dropped: dropping the runtime would join threads that may be stuck in a dead mount.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use engine::caches::{Answer, CacheTicket, Caches};
use engine::contexts::{ContextId, Contexts, FamilyId};
use engine::error::{Error, ErrorKind};
use engine::loads::{Asked, Key, Loads, Origin, RequestId, RunId};
use engine::pipeline::Request;
use engine::plan::Plan;
use engine::settings::{Author, Event, Merging, Prepared, Reading, Settings, Ticket};

use tokio::runtime::{Handle, Runtime};

use crate::caches::AllCaches;
use crate::compare::Refused;
use crate::document::Change;
use crate::early::Early;
use crate::family::Family;
use crate::host::{Questions, RunHost};
use crate::main_loop::{MainLoop, Reply};

/// How long the disk may take when the editor leaves. A save takes about a millisecond; more than a hundred times that and something is wrong.
const EXIT_PATIENCE: Duration = Duration::from_millis(1600);

/// How long the disk may take to note what was lost.
const LOG_PATIENCE: Duration = Duration::from_millis(200);

/// Memory that the session's caches may hold, in bytes.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) struct Session {
    /// Made by the first load, on a thread of its own: making threads takes longer than all else that `setup` does.
    tokio: OnceLock<Runtime>,
    /// What came before there was a runtime.
    early: Early,
    /// That of all contexts but the independent ones.
    family: Arc<Family>,
    pub(crate) caches: AllCaches,
    /// What contexts show, and what is saved.
    pub(crate) settings: Arc<Settings>,
    pub(crate) main_loop: MainLoop,
    /// The user's home directory by the system's records, which may be on a network: looked up by the first load's thread.
    home: OnceLock<Option<PathBuf>>,
    state: Mutex<State>,
    /// Values that were refused and told of, by context.
    refused: Mutex<HashMap<ContextId, HashSet<Refused>>>,
    /// Where losses are written down; set when there can be any.
    log: OnceLock<PathBuf>,
    at_exit: Once,
    leaving: Mutex<Leaving>,
    /// What pipelines have asked of the user's code.
    pub(crate) questions: Questions,
    garbage: Mutex<Garbage>,
}

/// What waits for a thread that frees it.
#[derive(Default)]
struct Garbage {
    items: Vec<Box<dyn Send>>,
    /// A thread is at it.
    is_collected: bool,
}

/// What the end of the editor, which comes in steps, has taken so far.
#[derive(Default)]
struct Leaving {
    waited: Duration,
    /// Files and changes whose loss is written down.
    logged: HashSet<(PathBuf, Vec<String>)>,
}

#[derive(Default)]
struct State {
    loads: Loads,
    contexts: Contexts,
    /// What runs that wait for an equal run will do.
    queued: HashMap<RunId, (Request, Arc<Family>)>,
    /// Runs whose plan is being made, with what ends that once it is known. Whoever removes a run tells the main loop, once.
    planning: HashMap<RunId, Option<tokio::task::AbortHandle>>,
    /// Runs that the main loop executes.
    planned: HashMap<RunId, Planned>,
    /// Contexts whose JSON has changed elsewhere.
    changed: HashMap<ContextId, Update>,
}

/// A plan on its way into a context.
pub(crate) struct Planned {
    pub(crate) plan: Arc<Plan>,
    pub(crate) update: Update,
}

/// Settings on their way into a context.
pub(crate) struct Update {
    /// What has to happen to the context's JSON.
    pub(crate) change: Change,
    /// Whose doing it is.
    pub(crate) author: Author,
    pub(crate) prepared: Prepared,
}

impl Update {
    fn new(mut prepared: Prepared, author: Author) -> Self {
        // The base is not kept: the first change would have to copy it.
        let base = prepared.base.take();
        Self { change: Change::between(base.as_ref(), &prepared.value), author, prepared }
    }
}

/// What is on its way into a context: a load's settings, or what has changed without a load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrival {
    Run(RunId),
    Context(ContextId),
}

/// A run that found its project.
pub(crate) struct Committed {
    pub(crate) context: ContextId,
    /// Whether the context becomes the current one.
    pub(crate) current: bool,
    pub(crate) plan: Arc<Plan>,
}

impl Session {
    /// The session of this process.
    pub(crate) fn get() -> &'static Self {
        static SESSION: LazyLock<Session> = LazyLock::new(|| {
            // The default hook prints to stderr, which is the user's screen. Panics are reported where they are caught.
            std::panic::set_hook(Box::new(|_| {}));
            let caches = AllCaches::new(CACHE_BYTES, answer);
            Session {
                tokio: OnceLock::new(),
                early: Early::new(),
                settings: Settings::new(Arc::clone(caches.shared().files()), |events| Session::get().tell(events)),
                family: Arc::new(Family::new(FamilyId::SESSION, Arc::clone(caches.shared()))),
                caches,
                main_loop: MainLoop::new(),
                home: OnceLock::new(),
                state: Mutex::default(),
                refused: Mutex::default(),
                log: OnceLock::new(),
                at_exit: Once::new(),
                leaving: Mutex::default(),
                questions: Questions::default(),
                garbage: Mutex::default(),
            }
        });
        &SESSION
    }

    /// Begins anew: ends every load, forgets every context, and makes the first one. Independent contexts are left alone.
    pub(crate) fn setup(&self) -> ContextId {
        let mut state = self.state();
        let cancelled = state.loads.cancel_all(FamilyId::SESSION);
        let bound = state.contexts.all_bound(FamilyId::SESSION);
        let garbage = (state.forget_dead_runs(), state.contexts.clear(FamilyId::SESSION));
        let context = state.contexts.create();
        drop(state);
        for context in bound {
            self.settings.close(context);
            self.refused(context, Vec::new());
        }
        self.discard(garbage);
        self.refuse_cancelled(cancelled);
        context
    }

    /// A new, unbound context.
    pub(crate) fn create_context(&self) -> ContextId {
        self.state().contexts.create()
    }

    /// A new family, whose loads read through these caches.
    pub(crate) fn create_family(&self, caches: Arc<Caches>) -> Arc<Family> {
        let id = self.state().contexts.create_family();
        Arc::new(Family::new(id, caches))
    }

    /// The number of a call that is no load.
    pub(crate) fn new_request(&self) -> RequestId {
        self.state().loads.new_request()
    }

    /// Merges a JSON file into what the context shows, for the executor of a run, if it is one's.
    pub(crate) fn merge(&self, context: ContextId, path: PathBuf, run: Option<RunId>) -> RequestId {
        let request = self.new_request();
        let plan = run.and_then(|run| self.with_planned(run, |planned| Arc::clone(&planned.plan)));
        let file = plan.as_ref().and_then(|plan| plan.file(&path));
        let place = plan.as_ref().zip(file).map(|(plan, (at, file))| (at, file.layer == plan.projects.len() - 1));
        let entry = file.map(|(_, file)| Arc::clone(&file.entry));
        let merging = Merging { path: path.into(), entry, place, run: run.map(|run| run.0) };
        self.settings.merge(Ticket(request.0), context, merging);
        request
    }

    /// The executors of a run have done their work: what only earlier ones have merged goes. `None` if there is nothing of the kind.
    pub(crate) fn forget_unmerged(&self, context: ContextId, run: RunId) -> Option<RequestId> {
        let request = self.new_request();
        self.settings.forget_unmerged(Ticket(request.0), context, run.0).then_some(request)
    }

    /// Does `work` now if there is a runtime, else on the thread that makes one; in the order of the calls. It gets the error if
    /// there is none.
    pub(crate) fn with_runtime(&'static self, work: impl FnOnce(Result<&Handle, Error>) + Send + 'static) {
        if let Some(tokio) = self.tokio.get().filter(|_| !self.early.is_busy()) {
            return work(Ok(tokio.handle()));
        }
        if !self.early.push(Box::new(work)) {
            return;
        }
        let run = || {
            crate::sys::yield_to_editor();
            let runtime = self.runtime();
            self.early.run(&runtime.map(Runtime::handle).map_err(|error| no_thread(&error)));
        };
        if let Err(error) = thread::Builder::new().name("project-config".into()).spawn(run) {
            self.early.run(&Err(no_thread(&error)));
        }
    }

    /// Starts a load for a context of this family (the session's, if none is given), or joins the run that will answer it.
    pub(crate) fn load(
        &'static self,
        request: Request,
        family: Option<Arc<Family>>,
        options: u64,
        origin: Origin,
    ) -> Asked {
        let family = family.unwrap_or_else(|| Arc::clone(&self.family));
        let (start_dir, config_dir) = (request.start_dir.clone(), request.config_dir.clone());
        let key = Key { family: family.id, start_dir, config_dir, options };
        let mut state = self.state();
        let asked = state.loads.ask(key, origin);
        let dead = state.forget_dead_runs();
        let to_start = match asked.behind {
            None => Some((request, family)),
            // The newest request wins: equal keys make equal requests, apart from the moment they were made.
            Some(_) => {
                state.queued.insert(asked.run, (request, family));
                None
            }
        };
        drop(state);
        self.discard_runs(dead);
        if let Some((request, family)) = to_start {
            self.start_run(asked.run, request, family);
        }
        self.refuse_cancelled(asked.superseded.iter().copied());
        asked
    }

    fn start_run(&'static self, run: RunId, request: Request, family: Arc<Family>) {
        self.state().planning.insert(run, None);
        match self.tokio.get() {
            Some(tokio) => self.plan(tokio, run, request, &family),
            None => self.on_thread(run, move || match self.runtime() {
                Ok(tokio) => self.plan(tokio, run, request, &family),
                Err(error) => self.fail(run, no_thread(&error)),
            }),
        }
    }

    /// The runtime, made now if need be, with all that loads need; by one thread, should several come at once.
    fn runtime(&self) -> std::io::Result<&Runtime> {
        if self.tokio.get().is_none() {
            self.home.get_or_init(std::env::home_dir);
            let build = || {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("project-config")
                    .on_thread_start(crate::sys::yield_to_editor)
                    .enable_time()
                    .build()
            };
            // It panics when the system gives no thread, and whoever waits for the runtime would wait for ever.
            let runtime = catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|_| Err(no_worker()))?;
            self.settings.attach(runtime.handle().clone());
            // Another first load may have been quicker; its runtime is as good.
            if let Err(superfluous) = self.tokio.set(runtime) {
                superfluous.shutdown_background();
            }
        }
        Ok(self.tokio.get().expect("it has just been set"))
    }

    /// The runtime, where something has been asked of it already.
    pub(crate) fn runtime_handle(&self) -> Option<&tokio::runtime::Handle> {
        self.tokio.get().map(tokio::runtime::Runtime::handle)
    }

    /// Starts to plan. To be called without the state: the result may be there before this returns.
    fn plan(&'static self, tokio: &Runtime, run: RunId, mut request: Request, family: &Family) {
        request.home = request.home.or_else(|| self.home.get().cloned().flatten());
        let promise = Promise { session: self, run, kept: false };
        let id = family.id;
        let reading = Reading {
            config_dir: request.config_dir.clone(),
            limits: request.limits,
            timeout: request.timeout,
            cache: Arc::clone(family.caches.files()),
            began: Instant::now(),
        };
        let start = move || {
            let _context = tokio.enter();
            let shown = move |project: &_| self.state().contexts.shown(id, project);
            let host = RunHost { run, questions: &self.questions, main_loop: &self.main_loop };
            let watch = family.engine.start(request, shown, Arc::new(host), move |result| {
                promise.keep(result.map(|plan| {
                    let context = self.state().contexts.bound(id, plan.project());
                    let prepared = self.settings.prepare(&plan, reading, context);
                    Planned { plan: Arc::new(plan), update: Update::new(prepared, Author::Disk) }
                }));
            });
            tokio.spawn(watch).abort_handle()
        };
        // It panics when the system gives no thread.
        match catch_unwind(AssertUnwindSafe(start)) {
            Ok(watch) => match self.state().planning.get_mut(&run) {
                Some(slot) => *slot = Some(watch),
                None => watch.abort(),
            },
            Err(reason) => {
                let reason = reason.downcast_ref::<String>().map_or("no reason given", String::as_str);
                self.fail(run, no_thread(&std::io::Error::other(reason)));
            }
        }
    }

    /// Tells the main loop that a run could not be planned, unless it was cancelled or has its plan.
    fn fail(&self, run: RunId, error: Error) {
        if self.state().planning.remove(&run).is_some() {
            self.main_loop.post([Reply::Failed(run, error)]);
        }
    }

    /// Binds a planned run to its context. `None` if the run was cancelled.
    pub(crate) fn commit(&self, run: RunId, draft: ContextId) -> Option<Committed> {
        let mut state = self.state();
        let plan = Arc::clone(&state.planned.get(&run)?.plan);
        let family = state.loads.family(run)?;
        let context = state.contexts.bind(family, draft, plan.project());
        Some(Committed { context, current: state.loads.commit(run), plan })
    }

    /// Works on a planned run; `None` if it was cancelled.
    pub(crate) fn with_planned<T>(&self, run: RunId, work: impl FnOnce(&mut Planned) -> T) -> Option<T> {
        self.state().planned.get_mut(&run).map(work)
    }

    /// Works on the settings that arrive; `None` if they do not any more.
    pub(crate) fn with_update<T>(&self, arrival: Arrival, work: impl FnOnce(&mut Update) -> T) -> Option<T> {
        self.state().update(arrival).map(work)
    }

    /// Notes that the context's JSON is what has arrived, unless it is not what the change was computed against: then false, and a reply
    /// when the change has been computed anew; `at_once` it has been when this returns. `None` if nothing arrives any more.
    pub(crate) fn show(&'static self, arrival: Arrival, context: ContextId, at_once: bool) -> Option<bool> {
        let mut state = self.state();
        if let Arrival::Context(context) = arrival
            && self.settings.shown(context).is_none()
        {
            // It has been left meanwhile.
            let left = state.changed.remove(&context);
            drop(state);
            self.discard(left);
            return None;
        }
        let update = state.update(arrival)?;
        if !self.settings.show(context, &mut update.prepared) {
            let (prepared, author) = (update.prepared.clone(), update.author);
            drop(state);
            // A change in the editor was faster, or another load of the project.
            let prepare = move || Update::new(self.settings.prepare_again(prepared, context), author);
            if at_once {
                let update = prepare();
                self.with_update(arrival, |outdated| *outdated = update);
            } else {
                self.on_thread(arrival, move || self.arrive_again(arrival, prepare()));
            }
            return Some(false);
        }
        match arrival {
            Arrival::Run(run) => {
                let replaced = state.planned.get(&run).map(|planned| Arc::clone(&planned.plan));
                let replaced = replaced.and_then(|plan| state.contexts.show(context, plan));
                drop(state);
                if replaced.is_some() {
                    self.discard(replaced);
                }
            }
            Arrival::Context(context) => drop(state.changed.remove(&context)),
        }
        Some(true)
    }

    fn arrive_again(&self, arrival: Arrival, update: Update) {
        match arrival {
            Arrival::Context(context) => self.main_loop.post([Reply::Changed(context, Box::new(update))]),
            Arrival::Run(run) => {
                let outdated = self.with_planned(run, |planned| std::mem::replace(&mut planned.update, update));
                if outdated.is_some() {
                    self.main_loop.post([Reply::Resume(run)]);
                }
            }
        }
    }

    /// Takes over a change that the main loop is about to show. It may be in the middle of an older one, which is of no use any more.
    pub(crate) fn begin_change(&self, context: ContextId, update: Update) {
        if self.settings.shown(context).is_none() {
            // The context was left while the change was on its way; it would come back to life.
            return self.discard(update);
        }
        let outdated = self.state().changed.insert(context, update);
        if outdated.is_some() {
            self.discard(outdated);
        }
    }

    /// What the settings have to say to the main loop.
    fn tell(&self, events: Vec<Event>) {
        let replies = events.into_iter().map(|event| match event {
            Event::Changed(context, prepared, author) => {
                Reply::Changed(context, Box::new(Update::new(prepared, author)))
            }
            Event::Saved(path, target) => Reply::Saved(path, target),
            Event::Failed(context, error) => Reply::NotSaved(context, error),
            Event::Flushed(ticket, result) => Reply::Flushed(ticket, result),
            Event::UpdateRead(ticket, old) => Reply::UpdateRead(ticket, old),
            Event::Updated(ticket, result) => Reply::Updated(ticket, result),
            Event::Merged(ticket, result) => Reply::Merged(RequestId(ticket.0), result),
        });
        let replies: Vec<_> = replies.collect();
        if !replies.is_empty() {
            self.main_loop.post(replies);
        }
    }

    /// Works for a run or a context on a thread of its own. The run fails if there is none, or if the work panics.
    fn on_thread(&'static self, arrival: impl Into<Arrival>, work: impl FnOnce() + Send + 'static) {
        let arrival = arrival.into();
        let failed = move |error| {
            self.main_loop.post([match arrival {
                Arrival::Run(run) => Reply::Failed(run, error),
                Arrival::Context(context) => Reply::NotSaved(context, error),
            }]);
        };
        let work = move || {
            crate::sys::yield_to_editor();
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                failed(defect());
            }
        };
        if let Err(error) = thread::Builder::new().name("project-config".into()).spawn(work) {
            failed(no_thread(&error));
        }
    }

    /// Ends a run, has its calls answered, after `on_load` if it `succeeded`, and starts the one that waited for it. False if the run
    /// was cancelled before.
    pub(crate) fn finish(&'static self, run: RunId, succeeded: bool) -> bool {
        let mut state = self.state();
        if !state.loads.is_live(run) {
            return false;
        }
        let ended = state.loads.end(run);
        let dead = state.forget_dead_runs();
        drop(state);
        let loaded = succeeded.then_some(Reply::Loaded(run));
        let answers = ended.answered.into_iter().map(|request| Reply::Answer(request, run));
        self.main_loop.post(loaded.into_iter().chain(answers).chain([Reply::Done(run)]));
        // Only now: its plan may be ready at once, and must not reach the context before those who wait for this run have seen it.
        self.discard_runs(dead);
        if let Some((next, queued)) = ended.next.and_then(|next| Some((next, self.state().queued.remove(&next)?))) {
            self.start_run(next, queued.0, queued.1);
        }
        true
    }

    /// Whether the results of a run still count.
    pub(crate) fn is_live(&self, run: RunId) -> bool {
        self.state().loads.is_live(run)
    }

    /// Ends these runs (or, with `None`, all of the session's) and unbinds the context.
    pub(crate) fn clear(&self, context: ContextId, runs: Option<&[RunId]>) {
        self.stop(runs);
        let mut state = self.state();
        let garbage = (state.contexts.unbind(context), state.changed.remove(&context));
        drop(state);
        self.settings.close(context);
        self.refused(context, Vec::new());
        self.discard(garbage);
    }

    /// Ends these runs, or, with `None`, all of the session's.
    pub(crate) fn stop(&self, runs: Option<&[RunId]>) {
        let mut state = self.state();
        let cancelled = match runs {
            Some(runs) => state.loads.cancel(runs),
            None => state.loads.cancel_all(FamilyId::SESSION),
        };
        let dead = state.forget_dead_runs();
        drop(state);
        self.discard_runs(dead);
        self.refuse_cancelled(cancelled);
    }

    /// Answers a call that can never be answered by its run with `busy`; false if it has been answered.
    pub(crate) fn refuse_busy(&self, request: RequestId) -> bool {
        let mut state = self.state();
        let withdrawn = state.loads.withdraw(request);
        let dead = state.forget_dead_runs();
        drop(state);
        self.discard_runs(dead);
        if withdrawn {
            self.main_loop.post([Reply::Refuse(request, ErrorKind::Busy.into())]);
        }
        withdrawn
    }

    fn refuse_cancelled(&self, requests: impl IntoIterator<Item = RequestId>) {
        let mut refusals =
            requests.into_iter().map(|request| Reply::Refuse(request, ErrorKind::Cancelled.into())).peekable();
        if refusals.peek().is_some() {
            self.main_loop.post(refusals);
        }
    }

    /// Notes what a comparison has refused, and returns what was not refused before.
    pub(crate) fn refused(&self, context: ContextId, refused: Vec<Refused>) -> Vec<Refused> {
        let mut known = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_empty() {
            known.remove(&context);
            return refused;
        }
        let before = known.remove(&context).unwrap_or_default();
        let news = refused.iter().filter(|refused| !before.contains(refused)).cloned().collect();
        known.insert(context, refused.into_iter().collect());
        news
    }

    /// Has everything flushed that is not saved when the process ends. Losses go to the file `log`.
    pub(crate) fn flush_at_exit(&'static self, log: PathBuf) {
        if self.log.set(log).is_ok() {
            self.save_at_exit();
        }
    }

    /// Has the end of the process wait for what is being saved and written.
    pub(crate) fn save_at_exit(&'static self) {
        self.at_exit.call_once(|| crate::sys::at_exit(at_exit));
    }

    /// Saves what has been taken up, waits for it and for what is being written, and writes down what is lost. Something else has taken `waited` of the time for leaving.
    pub(crate) fn leave(&'static self, waited: Duration) {
        // Should the process end in the middle of it, this is not waited for.
        let Ok(mut leaving) = self.leaving.try_lock() else { return };
        let began = Instant::now();
        let patience = EXIT_PATIENCE.saturating_sub(leaving.waited + waited);
        let mut lost = self.settings.flush_and_wait(patience);
        let left = || patience.saturating_sub(began.elapsed());
        // What waits for the runtime is not known to the caches yet.
        self.early.wait(left());
        self.caches.wait_for_writes(left());
        leaving.waited += waited + began.elapsed();
        // The reason may be another one by now.
        lost.retain(|loss| leaving.logged.insert((loss.path.clone(), loss.changes.clone())));
        if let Some(log) = self.log.get().filter(|_| !lost.is_empty()) {
            engine::log::append(log, &lost, LOG_PATIENCE);
        }
    }

    fn discard_runs(&self, dead: Vec<Planned>) {
        if !dead.is_empty() {
            self.discard(dead);
        }
    }

    /// Frees something that may be big on another thread, if there is one: 10 MB of JSON take 50 ms.
    pub(crate) fn discard(&self, garbage: impl Send + 'static) {
        // Without a thread it is freed here, or later.
        let Some(tokio) = self.tokio.get() else { return };
        let mut waiting = self.garbage();
        waiting.items.push(Box::new(garbage));
        if !waiting.is_collected {
            // One thread for all: the collector of Lua may free a thousand contexts at once.
            let collect = || while Session::get().collect_garbage() {};
            waiting.is_collected = catch_unwind(AssertUnwindSafe(|| tokio.spawn_blocking(collect))).is_ok();
        }
    }

    /// False if there was none: then nobody collects it any more.
    fn collect_garbage(&self) -> bool {
        let mut waiting = self.garbage();
        let garbage = std::mem::take(&mut waiting.items);
        waiting.is_collected = !garbage.is_empty();
        drop(waiting);
        // A defect in freeing one thing must not keep the rest for ever.
        let free = |item| drop(catch_unwind(AssertUnwindSafe(|| drop(item))));
        let had_some = !garbage.is_empty();
        garbage.into_iter().for_each(free);
        had_some
    }

    fn garbage(&self) -> MutexGuard<'_, Garbage> {
        self.garbage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never held across a call to the engine or to Lua.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<RunId> for Arrival {
    fn from(run: RunId) -> Self {
        Self::Run(run)
    }
}

impl State {
    fn update(&mut self, arrival: Arrival) -> Option<&mut Update> {
        match arrival {
            Arrival::Run(run) => self.planned.get_mut(&run).map(|planned| &mut planned.update),
            Arrival::Context(context) => self.changed.get_mut(&context),
        }
    }

    /// Returns the plans that are of no use any more, to be freed without the state.
    #[must_use]
    fn forget_dead_runs(&mut self) -> Vec<Planned> {
        let Self { loads, queued, planning, planned, .. } = self;
        queued.retain(|run, _| loads.is_live(*run));
        let dead = planned.extract_if(|run, _| !loads.is_live(*run)).map(|(_, planned)| planned).collect();
        planning.retain(|run, task| {
            let live = loads.is_live(*run);
            if let (false, Some(task)) = (live, task) {
                task.abort();
            }
            live
        });
        dead
    }
}

/// What the caches have to say to the main loop.
fn answer(answers: Vec<(CacheTicket, Answer)>) {
    let replies = answers.into_iter().map(|(ticket, answer)| Reply::Got(RequestId(ticket.0), answer));
    Session::get().main_loop.post(replies);
}

/// For exits that fire no event. No Lua any more.
extern "C" fn at_exit() {
    let _ = catch_unwind(|| Session::get().leave(Duration::ZERO));
}

fn no_thread(error: &std::io::Error) -> Error {
    Error { errno: error.raw_os_error(), ..ErrorKind::Runtime(format!("the system gives no thread: {error}")).into() }
}

fn no_worker() -> std::io::Error {
    std::io::Error::other("the runtime could not be started")
}

fn defect() -> Error {
    ErrorKind::Runtime("a defect of nvim-project-config stopped this load; please report what you did".into()).into()
}

/// The duty to tell the main loop how planning ended, kept even when planning panics.
struct Promise {
    session: &'static Session,
    run: RunId,
    kept: bool,
}

impl Promise {
    fn keep(mut self, result: Result<Planned, Error>) {
        self.kept = true;
        self.deliver(result);
    }

    fn deliver(&self, result: Result<Planned, Error>) {
        let planned = match result {
            Ok(planned) => planned,
            Err(error) => return self.session.fail(self.run, error),
        };
        let mut state = self.session.state();
        if state.planning.remove(&self.run).is_some() {
            state.planned.insert(self.run, planned);
            drop(state);
            self.session.main_loop.post([Reply::Planned(self.run)]);
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.deliver(Err(defect()));
        }
    }
}
