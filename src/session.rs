//! The session: the tokio runtime, the engine, and the state of all loads. Everything that happens off the main thread starts here.
//!
//! Nothing in this file knows a Lua value; [`crate::exports`] is the border. There is one session a process, started at the first use
//! and never dropped: dropping the runtime would join threads that may be stuck in a dead mount.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use engine::contexts::{ContextId, Contexts};
use engine::error::{Error, ErrorKind};
use engine::file_cache::FileCache;
use engine::json::Value;
use engine::loads::{Asked, Key, Loads, Origin, RequestId, RunId};
use engine::pipeline::{Engine, Request};
use engine::plan::Plan;

use crate::document::Change;
use crate::main_loop::{MainLoop, Reply};

/// Memory that the file cache may hold, in bytes.
const FILE_CACHE_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) struct Session {
    /// Made by the first load, on a thread of its own: making threads takes longer than all else that `setup` does.
    tokio: OnceLock<tokio::runtime::Runtime>,
    engine: Engine,
    pub(crate) main_loop: MainLoop,
    /// The user's home directory by the system's records, which may be on a network: looked up by the first load's thread.
    home: OnceLock<Option<PathBuf>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    loads: Loads,
    contexts: Contexts,
    /// What runs that wait for an equal run will do.
    queued: HashMap<RunId, Request>,
    /// Runs whose plan is being made, with what ends that once it is known. Whoever removes a run tells the main loop, once.
    planning: HashMap<RunId, Option<tokio::task::AbortHandle>>,
    /// Runs that the main loop executes.
    planned: HashMap<RunId, Planned>,
}

/// A plan on its way into a context.
pub(crate) struct Planned {
    pub(crate) plan: Arc<Plan>,
    /// What has to happen to the context's JSON so that it becomes the plan's.
    pub(crate) change: Change,
    /// What the change was computed against.
    base: Option<Weak<Value>>,
}

impl Planned {
    fn new(plan: Arc<Plan>, shown: Option<&Arc<Plan>>) -> Self {
        let base = shown.map(|shown| &shown.json);
        Self { change: Change::between(base, &plan.json), base: base.map(Arc::downgrade), plan }
    }

    /// Whether the change leads from what is shown now.
    fn leads_from(&self, shown: Option<&Arc<Plan>>) -> bool {
        self.base.as_ref().map(Weak::as_ptr) == shown.map(|shown| Arc::as_ptr(&shown.json))
    }
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
            Session {
                tokio: OnceLock::new(),
                engine: Engine::new(Arc::new(FileCache::new(FILE_CACHE_BYTES))),
                main_loop: MainLoop::new(),
                home: OnceLock::new(),
                state: Mutex::default(),
            }
        });
        &SESSION
    }

    /// Begins anew: ends every load, forgets every context, and makes the first one.
    pub(crate) fn setup(&self) -> ContextId {
        let mut state = self.state();
        let cancelled = state.loads.cancel_all();
        let garbage = (state.forget_dead_runs(), state.contexts.clear());
        let context = state.contexts.create();
        drop(state);
        self.discard(garbage);
        self.refuse_cancelled(cancelled);
        context
    }

    /// A new, unbound context.
    pub(crate) fn create_context(&self) -> ContextId {
        self.state().contexts.create()
    }

    /// Starts a load, or joins the run that will answer it.
    pub(crate) fn load(&'static self, request: Request, options: u64, origin: Origin) -> Asked {
        let key = Key { start_dir: request.start_dir.clone(), config_dir: request.config_dir.clone(), options };
        let mut state = self.state();
        let asked = state.loads.ask(key, origin);
        let dead = state.forget_dead_runs();
        let to_start = match asked.behind {
            None => Some(request),
            // The newest request wins: equal keys make equal requests, apart from the moment they were made.
            Some(_) => {
                state.queued.insert(asked.run, request);
                None
            }
        };
        drop(state);
        self.discard_runs(dead);
        if let Some(request) = to_start {
            self.start_run(asked.run, request);
        }
        self.refuse_cancelled(asked.superseded.iter().copied());
        asked
    }

    fn start_run(&'static self, run: RunId, request: Request) {
        self.state().planning.insert(run, None);
        match self.tokio.get() {
            Some(tokio) => self.plan(tokio, run, request),
            None => self.on_thread(run, move || match self.runtime() {
                Ok(tokio) => self.plan(tokio, run, request),
                Err(error) => self.fail(run, no_thread(&error)),
            }),
        }
    }

    /// The runtime, made now if need be, with all that loads need; by one thread, should several come at once.
    fn runtime(&self) -> std::io::Result<&tokio::runtime::Runtime> {
        if self.tokio.get().is_none() {
            self.home.get_or_init(std::env::home_dir);
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("project-config")
                .on_thread_start(crate::sys::yield_to_editor)
                .enable_time()
                .build()?;
            // Another first load may have been quicker; its runtime is as good.
            if let Err(superfluous) = self.tokio.set(runtime) {
                superfluous.shutdown_background();
            }
        }
        Ok(self.tokio.get().expect("it has just been set"))
    }

    /// Starts to plan. To be called without the state: the result may be there before this returns.
    fn plan(&'static self, tokio: &tokio::runtime::Runtime, run: RunId, mut request: Request) {
        request.home = request.home.or_else(|| self.home.get().cloned().flatten());
        let promise = Promise { session: self, run, kept: false };
        let start = move || {
            let _context = tokio.enter();
            let shown = |project: &_| self.state().contexts.shown(project);
            let watch = self.engine.start(request, shown, move |result| {
                promise.keep(result.map(|plan| {
                    let base = self.state().contexts.shown(plan.project());
                    Planned::new(Arc::new(plan), base.as_ref())
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
        let context = state.contexts.bind(draft, plan.project());
        Some(Committed { context, current: state.loads.commit(run), plan })
    }

    /// Works on a planned run; `None` if it was cancelled.
    pub(crate) fn with_planned<T>(&self, run: RunId, work: impl FnOnce(&mut Planned) -> T) -> Option<T> {
        self.state().planned.get_mut(&run).map(work)
    }

    /// Notes that the context's JSON is that of the run's plan from now on, unless it is not what the change was computed against:
    /// then false, and a reply when the change has been computed anew. `None` if the run was cancelled.
    pub(crate) fn show(&'static self, run: RunId, context: ContextId) -> Option<bool> {
        let mut state = self.state();
        let planned = state.planned.get(&run)?;
        let plan = Arc::clone(&planned.plan);
        let shown = state.contexts.shown(plan.project());
        let current = planned.leads_from(shown.as_ref());
        if current {
            state.contexts.show(context, plan);
            drop(state);
            if let Some(replaced) = shown {
                self.discard(replaced);
            }
        } else {
            drop(state);
            // Another run of the same project was faster.
            self.on_thread(run, move || self.plan_change_again(run, Planned::new(plan, shown.as_ref())));
        }
        Some(current)
    }

    fn plan_change_again(&self, run: RunId, planned: Planned) {
        let mut state = self.state();
        let outdated = state.planned.get_mut(&run).map(|current| std::mem::replace(current, planned));
        drop(state);
        if outdated.is_some() {
            self.main_loop.post([Reply::Resume(run)]);
        }
    }

    /// Works for a run on a thread of its own. The run fails if there is none, or if the work panics.
    fn on_thread(&'static self, run: RunId, work: impl FnOnce() + Send + 'static) {
        let work = move || {
            crate::sys::yield_to_editor();
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                self.main_loop.post([Reply::Failed(run, defect())]);
            }
        };
        if let Err(error) = thread::Builder::new().name("project-config".into()).spawn(work) {
            self.main_loop.post([Reply::Failed(run, no_thread(&error))]);
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
        if let Some((next, request)) = ended.next.and_then(|next| Some((next, self.state().queued.remove(&next)?))) {
            self.start_run(next, request);
        }
        true
    }

    /// Whether the results of a run still count.
    pub(crate) fn is_live(&self, run: RunId) -> bool {
        self.state().loads.is_live(run)
    }

    /// Ends these runs (or, with `None`, all) and unbinds the context.
    pub(crate) fn clear(&self, context: ContextId, runs: Option<&[RunId]>) {
        let mut state = self.state();
        let cancelled = match runs {
            Some(runs) => state.loads.cancel(runs),
            None => state.loads.cancel_all(),
        };
        let garbage = (state.forget_dead_runs(), state.contexts.unbind(context));
        drop(state);
        self.discard(garbage);
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

    fn discard_runs(&self, dead: Vec<Planned>) {
        if !dead.is_empty() {
            self.discard(dead);
        }
    }

    /// Frees something that may be big on another thread, if there is one: 10 MB of JSON take 50 ms.
    fn discard(&self, garbage: impl Send + 'static) {
        if let Some(tokio) = self.tokio.get() {
            // Without a thread it is freed here, or later.
            let _ = catch_unwind(AssertUnwindSafe(|| tokio.spawn_blocking(|| drop(garbage))));
        }
    }

    /// Never held across a call to the engine or to Lua.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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

fn no_thread(error: &std::io::Error) -> Error {
    Error { errno: error.raw_os_error(), ..ErrorKind::Runtime(format!("the system gives no thread: {error}")).into() }
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
