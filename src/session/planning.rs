//! From a load that was asked for to its plan, and what is to be done with it: all of it on worker threads.
//!
//! The stages are the engine's, the verdict [`engine::verdict`]'s. The main loop hears of a plan through one reply, whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use engine::contexts::{ContextId, FamilyId};
use engine::error::{Error, ErrorKind};
use engine::loads::{Reason, RunId};
use engine::pipeline::Request;
use engine::plan::Plan;
use engine::settings::{Author, Prepared, Reading};
use engine::verdict::{self, Standing, Verdict};
use tokio::runtime::Runtime;

use super::runtime::no_thread;
use super::showing::Update;
use super::{Session, defect};
use crate::family::Family;
use crate::host::RunHost;
use crate::main_loop::Reply;

/// A plan on its way into a context.
pub(crate) struct Planned {
    pub(crate) plan: Arc<Plan>,
    pub(crate) update: Update,
    pub(super) request: Arc<Request>,
    pub(super) verdict: Verdict,
    /// The plan that the verdict compares with.
    pub(super) compared_with: Option<Arc<Plan>>,
}

impl Planned {
    /// A plan with the settings that come of it, and what is to be done with it.
    fn new(plan: Plan, prepared: Prepared, request: Arc<Request>, reason: Reason, known: &Known) -> Self {
        let shown = known.shown.as_deref();
        // Not asked of other loads, and may take its time.
        let has_new_settings = reason == Reason::ConfigDir && prepared.base.as_ref() != Some(&prepared.value);
        let verdict = verdict::judge(reason, &plan, Standing { shown, is_current: known.is_current, has_new_settings });
        let plan = match shown {
            Some(shown) if verdict == Verdict::Merge => verdict::with_code_of(plan, shown),
            _ => plan,
        };
        let (plan, compared_with) = (Arc::new(plan), known.shown.clone());
        Self { plan, update: Update::new(prepared, Author::Disk), request, verdict, compared_with }
    }
}

/// What is known of the context that a plan is for.
#[derive(Default)]
pub(super) struct Known {
    pub(super) context: Option<ContextId>,
    pub(super) shown: Option<Arc<Plan>>,
    /// What `shown` was asked for with.
    pub(super) request: Option<Arc<Request>>,
    pub(super) is_current: bool,
}

impl Known {
    /// What stays in force if the configuration turns out to be out of reach: nobody has asked for what there is now, and the plan has found
    /// nothing any more, by the same rules.
    fn kept(&self, plan: &Plan, request: &Request, reason: Reason) -> Option<(ContextId, Arc<Plan>)> {
        let (context, shown, before) = (self.context?, self.shown.as_ref()?, self.request.as_ref()?);
        let is_kept = (reason == Reason::ConfigDir || reason.follows())
            && verdict::has_lost_everything(plan, shown)
            && before.config_dir == request.config_dir
            && before.stages == request.stages
            && before.kinds == request.kinds;
        is_kept.then(|| (context, Arc::clone(shown)))
    }

    /// Notes that the files of the context can be looked at, if this plan has.
    fn note_look(&self, session: &Session, plan: &Plan) {
        let has_lost = self.shown.as_ref().is_some_and(|shown| verdict::has_lost_everything(plan, shown));
        if let Some(context) = self.context.filter(|_| !has_lost && plan.problems.is_empty()) {
            session.is_well(context);
        }
    }
}

impl Session {
    pub(super) fn start_run(&'static self, run: RunId, request: Request, family: Arc<Family>) {
        self.state().planning.insert(run, None);
        match self.tokio.get() {
            Some(tokio) => self.plan(tokio, run, request, &family),
            None => self.on_thread(run, move || match self.runtime() {
                Ok(tokio) => self.plan(tokio, run, request, &family),
                Err(error) => self.fail(run, no_thread(&error)),
            }),
        }
    }

    /// Starts to plan. To be called without the state: the result may be there before this returns.
    pub(super) fn plan(&'static self, tokio: &Runtime, run: RunId, mut request: Request, family: &Family) {
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
        let asked = Arc::new(request.clone());
        let start = move || {
            let _context = tokio.enter();
            let shown = move |project: &_| self.state().contexts.shown(id, project);
            let host = RunHost { run, questions: &self.questions, main_loop: &self.main_loop };
            let watch = family.engine.start(request, shown, Arc::new(host), move |result| {
                let mut promise = promise;
                let plan = match result {
                    Ok(plan) if promise.stays(id, &plan) => return self.discard(plan),
                    Ok(plan) => plan,
                    Err(error) => return promise.keep(Err(error)),
                };
                let (known, reason) = {
                    let state = self.state();
                    (state.known(id, plan.project()), state.loads.reason(run))
                };
                // One that is not live any more has no reason, and ends in `deliver`.
                let reason = reason.unwrap_or(Reason::Manual);
                known.note_look(self, &plan);
                let (kept, request) = (known.kept(&plan, &asked, reason), Arc::clone(&asked));
                let finish = move |plan: Plan| {
                    let prepared = self.settings.prepare(&plan, reading, known.context);
                    promise.keep(Ok(Planned::new(plan, prepared, asked, reason, &known)));
                };
                let Some(kept) = kept else { return finish(plan) };
                // Not on a blocking thread: there may be none left.
                tokio::spawn(async move { finish(self.in_force(run, plan, kept, &request).await) });
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

    /// The plan, or what is shown where the configuration is out of reach; that is told, if the user is there.
    async fn in_force(&self, run: RunId, plan: Plan, kept: (ContextId, Arc<Plan>), request: &Request) -> Plan {
        let (context, shown) = kept;
        match self.look_for(&shown, &request.config_dir, request.timeout).await {
            // The user's code may have left out files that are there.
            Ok(is_right) if is_right || request.needs_host() => return plan,
            Ok(_) => {}
            Err(error) => {
                let (is_live, follows, is_current) = {
                    let state = self.state();
                    let follows = state.loads.reason(run).is_some_and(Reason::follows);
                    (state.planning.contains_key(&run), follows, state.current == Some(context))
                };
                if is_live && self.is_shown(context, shown.project()) {
                    self.trouble(context, follows || is_current, error);
                }
            }
        }
        verdict::in_force(plan, &shown)
    }

    /// Tells the main loop that a run could not be planned, unless it was cancelled or has its plan.
    pub(super) fn fail(&self, run: RunId, error: Error) {
        if self.state().planning.remove(&run).is_some() {
            self.main_loop.post([Reply::Failed(run, error)]);
        }
    }
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

    /// Ends a load that has followed the user to the project that he is in, before anything is made of its plan. Whether it was one.
    fn stays(&mut self, family: FamilyId, plan: &Plan) -> bool {
        let mut state = self.session.state();
        let known = state.known(family, plan.project());
        let stays = known.is_current && state.loads.reason(self.run).is_some_and(Reason::follows);
        if stays && state.planning.remove(&self.run).is_some() {
            state.loads.stay(self.run);
            drop(state);
            known.note_look(self.session, plan);
            self.stay(known.context);
        }
        self.kept |= stays;
        stays
    }

    /// Has the main loop end the load, as any other: one that has ended before would be taken for cancelled there.
    fn stay(&self, context: Option<ContextId>) {
        self.session.main_loop.post([Reply::Stayed(self.run, context)]);
    }

    fn deliver(&self, result: Result<Planned, Error>) {
        let planned = match result {
            Ok(planned) => planned,
            Err(error) => return self.fail(error),
        };
        let mut state = self.session.state();
        if state.planning.remove(&self.run).is_none() {
            return;
        }
        if planned.verdict == Verdict::Stay {
            drop(state);
            self.stay(None);
            return self.session.discard(planned);
        }
        state.planned.insert(self.run, planned);
        drop(state);
        self.session.main_loop.post([Reply::Planned(self.run)]);
    }

    fn fail(&self, error: Error) {
        let mut state = self.session.state();
        let is_asked_for = state.loads.reason(self.run).is_none_or(|reason| reason == Reason::Manual);
        if is_asked_for || error.kind != ErrorKind::Excluded {
            drop(state);
            return self.session.fail(self.run, error);
        }
        // The user has been somewhere that is to be no project: nothing to tell.
        if state.planning.remove(&self.run).is_some() {
            drop(state);
            self.stay(None);
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
