//! The session: the state of all loads and contexts. Everything that happens off the main thread starts here.
//!
//! Nothing here knows a Lua value; [`crate::exports`] is the border. There is one session a process, started at the first use and never
//! dropped. What it does lies in files of its own: making plans, showing settings, following the disk, ending.

mod garbage;
mod leaving;
mod names;
mod planning;
mod runtime;
mod showing;
mod watching;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, OnceLock, PoisonError};

use engine::caches::{Answer, CacheTicket, Caches};
use engine::contexts::{ContextId, Contexts, FamilyId};
use engine::error::{Error, ErrorKind};
use engine::loads::{Asked, Key, Loads, Reason, RequestId, RunId};
use engine::pipeline::Request;
use engine::plan::{Plan, Project};
use engine::settings::Settings;
use engine::verdict::{self, Verdict};

use tokio::runtime::Runtime;

use crate::caches::AllCaches;
use crate::compare::Refused;
use crate::early::Early;
use crate::family::Family;
use crate::host::Questions;
use crate::main_loop::{MainLoop, Reply};
use garbage::Garbage;
use leaving::Leaving;
use names::Names;
use planning::{Known, Planned};
pub(crate) use showing::{Arrival, Update};
use watching::Watching;

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
    watching: Watching,
    names: Names,
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
    /// The context of the project that the user is in.
    current: Option<ContextId>,
    /// The last load of each of the session's contexts, as it was asked for.
    requests: HashMap<ContextId, Arc<Request>>,
}

/// A run that found its project.
pub(crate) struct Committed {
    pub(crate) context: ContextId,
    /// Whether the context becomes the current one.
    pub(crate) current: bool,
    pub(crate) reason: Reason,
    /// The plan that the context shows so far, if no more than the settings changes.
    pub(crate) merged_into: Option<Arc<Plan>>,
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
                watching: Watching::default(),
                names: Names::default(),
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
        (state.current, state.requests) = (None, HashMap::new());
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

    /// Starts a load for a context of this family (the session's, if none is given), or joins the run that will answer it.
    pub(crate) fn load(
        &'static self,
        request: Request,
        family: Option<Arc<Family>>,
        options: u64,
        reason: Reason,
    ) -> Asked {
        let family = family.unwrap_or_else(|| Arc::clone(&self.family));
        let (start_dir, config_dir) = (request.start_dir.clone(), request.config_dir.clone());
        let key = Key { family: family.id, start_dir, config_dir, options, is_check: reason == Reason::ConfigDir };
        let mut state = self.state();
        let asked = state.loads.ask(key, reason);
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

    /// Binds a planned run to its context. `None` if the run was cancelled, or if another one has done its work since it was planned: then
    /// the main loop hears that it has stayed.
    pub(crate) fn commit(&self, run: RunId, draft: ContextId) -> Option<Committed> {
        let mut state = self.state();
        if let Some((overtaken, replies)) = state.take_overtaken(run) {
            drop(state);
            self.main_loop.post(replies);
            self.discard(overtaken);
            return None;
        }
        let Planned { plan, request, verdict, .. } = state.planned.get(&run)?;
        let (plan, request, verdict) = (Arc::clone(plan), Arc::clone(request), *verdict);
        let (family, reason) = (state.loads.family(run)?, state.loads.reason(run)?);
        let shown = state.contexts.shown(family, plan.project());
        let context = state.contexts.bind(family, draft, plan.project());
        let engine::loads::Committed { current, superseded } = state.loads.commit(run);
        if current {
            state.current = Some(context);
        }
        if family == FamilyId::SESSION {
            state.requests.insert(context, request);
        }
        // The user may have gone to another project meanwhile.
        let merges = reason == Reason::ConfigDir && (verdict == Verdict::Merge || state.current != Some(context));
        if let Some(planned) = state.planned.get_mut(&run).filter(|_| merges) {
            planned.verdict = Verdict::Merge;
        }
        let dead = state.forget_dead_runs();
        drop(state);
        self.discard_runs(dead);
        self.refuse_cancelled(superseded);
        Some(Committed { context, current, reason, merged_into: shown.filter(|_| merges), plan })
    }

    /// The files of a planned run, or those of which it shows other settings; `None` if it was cancelled.
    pub(crate) fn paths(&self, run: RunId) -> Option<Vec<PathBuf>> {
        let state = self.state();
        let Planned { plan, verdict, .. } = state.planned.get(&run)?;
        let (plan, merges) = (Arc::clone(plan), *verdict == Verdict::Merge);
        let shown = state.contexts.shown(state.loads.family(run)?, plan.project()).filter(|_| merges);
        drop(state);
        Some(match shown {
            Some(shown) => verdict::changed_settings(&plan, &shown).into_iter().map(PathBuf::from).collect(),
            None => plan.files.iter().map(|file| file.path.to_path_buf()).collect(),
        })
    }

    /// Works on a planned run; `None` if it was cancelled.
    pub(crate) fn with_planned<T>(&self, run: RunId, work: impl FnOnce(&mut Planned) -> T) -> Option<T> {
        self.state().planned.get_mut(&run).map(work)
    }

    /// Ends a run, has its calls answered, after `on_load` if it `succeeded`, and starts the one that waited for it. False if the run
    /// was cancelled before.
    pub(crate) fn finish(&'static self, run: RunId, succeeded: bool) -> bool {
        let mut state = self.state();
        if !state.loads.is_live(run) {
            return false;
        }
        let ended = state.loads.end(run);
        // One that has stayed has changed nothing.
        let was_planned = state.planned.contains_key(&run);
        let dead = state.forget_dead_runs();
        drop(state);
        let answers = ended.answered.into_iter().map(|request| Reply::Answer(request, run));
        let loaded = succeeded.then_some(Reply::Loaded(run));
        self.main_loop.post(loaded.into_iter().chain(answers).chain([Reply::Done(run)]));
        // Only now: its plan may be ready at once, and must not reach the context before those who wait for this run have seen it.
        self.discard_runs(dead);
        if let Some((next, queued)) = ended.next.and_then(|next| Some((next, self.state().queued.remove(&next)?))) {
            self.start_run(next, queued.0, queued.1);
        }
        if was_planned {
            self.look_after_contexts();
        }
        true
    }

    /// Whether the results of a run still count.
    pub(crate) fn is_live(&self, run: RunId) -> bool {
        self.state().loads.is_live(run)
    }

    /// Ends these runs (or, with `None`, all of the session's) and unbinds the context.
    pub(crate) fn clear(&'static self, context: ContextId, runs: Option<&[RunId]>) {
        self.stop(runs);
        let mut state = self.state();
        let garbage = (state.contexts.unbind(context), state.changed.remove(&context), state.requests.remove(&context));
        state.current = state.current.filter(|current| *current != context);
        drop(state);
        self.settings.close(context);
        self.refused(context, Vec::new());
        self.discard(garbage);
        self.look_after_contexts();
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

    /// Never held across a call to the engine or to Lua.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is known of a project's context in a family.
    fn known(&self, family: FamilyId, project: &Project) -> Known {
        let context = self.contexts.bound(family, project);
        let shown = self.contexts.shown(family, project);
        let request = context.and_then(|context| self.requests.get(&context).cloned());
        Known { context, shown, request, is_current: context.is_some() && context == self.current }
    }

    /// Takes a planned run whose verdict is no longer right, since other runs have been carried out meanwhile: what follows the user has come
    /// to the project that he is in now, or what a look at the disk was compared with is not shown any more.
    fn take_overtaken(&mut self, run: RunId) -> Option<(Planned, Vec<Reply>)> {
        let planned = self.planned.get(&run)?;
        let (family, reason) = (self.loads.family(run)?, self.loads.reason(run)?);
        let Known { context, shown, is_current, .. } = self.known(family, planned.plan.project());
        let has_changed = || planned.compared_with.as_ref().map(Arc::as_ptr) != shown.as_ref().map(Arc::as_ptr);
        let mut replies = Vec::new();
        if reason.follows() && is_current {
            self.loads.stay(run);
            replies.push(Reply::Stayed(run, context));
        } else if reason == Reason::ConfigDir && has_changed() {
            replies.push(Reply::Stayed(run, None));
            // It is for another look to say what is news now.
            replies.extend(context.filter(|_| shown.is_some()).map(Reply::Stale));
        } else {
            return None;
        }
        Some((self.planned.remove(&run)?, replies))
    }

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

fn defect() -> Error {
    ErrorKind::Runtime("a defect of nvim-project-config stopped this load; please report what you did".into()).into()
}
