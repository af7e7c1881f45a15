//! Following the user and the disk: which contexts have been overtaken by what lies on disk, which projects have gone, where paths belong.
//!
//! All of it runs on worker threads and ends there, unnoticed by the editor, where nothing has changed. What is watched and when there is a
//! hint is [`engine::watch`]'s; what becomes of a plan, [`engine::verdict`]'s; a context that is stale is loaded again by Lua.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::contexts::{ContextId, FamilyId};
use engine::error::{Error, ErrorKind, Gone};
use engine::loads::{Reason, RequestId};
use engine::pipeline::Request;
use engine::pipeline::host::NoHost;
use engine::plan::{Plan, Project};
use engine::presence;
use engine::verdict::{self, Standing, Verdict};
use engine::watch::{Told, Wanted, Watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Session, defect};
use crate::main_loop::Reply;

/// How long one project's disk holds up the others: long for a look at what is cached.
const PATIENCE: Duration = Duration::from_millis(100);

/// How `config_dir` is watched, and what was found there.
#[derive(Default)]
pub(super) struct Watching {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watch: Option<Arc<Watch>>,
    /// How long nothing may happen before there is a hint; `None`: nothing is watched.
    debounce: Option<Duration>,
    checks: Turns,
    wants: Turns,
    drops: Turns,
    /// The contexts that are being checked: where a disk hangs, longer than a turn.
    checked: HashMap<ContextId, Turns>,
    /// What was told of contexts whose files cannot be looked at, until they can.
    told: HashMap<ContextId, Error>,
    /// The device of each `config_dir` when it was last seen to hold something.
    devices: HashMap<PathBuf, u64>,
}

/// Work that is done by one at a time; what is asked for meanwhile is one further turn.
#[derive(Default)]
struct Turns {
    under_way: bool,
    again: bool,
}

impl Turns {
    /// Whether the caller has to begin; otherwise who is at it takes another turn.
    fn begin(&mut self) -> bool {
        self.again = self.under_way;
        !std::mem::replace(&mut self.under_way, true)
    }

    /// Whether there is no further turn.
    fn end(&mut self) -> bool {
        self.under_way = std::mem::take(&mut self.again);
        !self.under_way
    }
}

/// A context as it stands.
struct Bound {
    context: ContextId,
    request: Arc<Request>,
    shown: Arc<Plan>,
    is_current: bool,
}

impl Session {
    /// Watches the directories of the configuration of all contexts; `None`: not any more.
    pub(crate) fn watch(&'static self, debounce: Option<Duration>) {
        self.watching().debounce = debounce;
        self.look_after_contexts();
    }

    /// Whether anything is watched.
    fn is_watching(&self) -> bool {
        self.watching().debounce.is_some()
    }

    /// Looks now: something may have escaped the watch, and projects may have gone.
    pub(crate) fn look(&'static self) {
        let watch = self.watching().watch.clone();
        if let Some(watch) = watch {
            watch.look();
        }
        self.look_for_lost_projects();
    }

    /// Says, in reply to this request, in which projects these paths lie, by the rules of `request`.
    pub(crate) fn locate(&'static self, id: RequestId, request: &Request, paths: Vec<PathBuf>) {
        let request = request.of_project();
        self.with_runtime(move |runtime| {
            let Ok(runtime) = runtime else {
                return self.main_loop.post([Reply::Located(id, paths.iter().map(|_| None).collect())]);
            };
            runtime.spawn(async move {
                let mut looks = Vec::with_capacity(paths.len());
                for path in paths {
                    let request = Request { start_dir: path, near: true, ..request.clone() };
                    // In a task of its own, so that there is an answer even if that panics.
                    let mut look = tokio::spawn(self.family.engine.plan(request, |_| None, Arc::new(NoHost)));
                    // One after the other as long as the disk answers; one that hangs is waited for when all have begun.
                    looks.push(match timeout(PATIENCE, &mut look).await {
                        Ok(plan) => Ok(plan),
                        Err(_) => Err(look),
                    });
                }
                let mut projects = Vec::with_capacity(looks.len());
                for look in looks {
                    let plan = match look {
                        Ok(plan) => plan,
                        Err(look) => look.await,
                    };
                    projects.push(plan.ok().and_then(Result::ok).map(|plan| plan.project().clone()));
                }
                self.main_loop.post([Reply::Located(id, projects)]);
            });
        });
    }

    /// The contexts are others, or show something else: what is watched has to be, too, and of those that nobody is in, some may have gone.
    pub(super) fn look_after_contexts(&'static self) {
        let state = self.watching();
        let watches = state.debounce.is_some() || state.watch.is_some();
        drop(state);
        if watches {
            self.take_turns(
                |state| &mut state.wants,
                move || async move { drop(spawn_blocking(|| self.want()).await) },
            );
        }
        self.look_for_lost_projects();
    }

    /// Of the projects that nobody is in, some may not be on disk any more.
    fn look_for_lost_projects(&'static self) {
        if self.state().requests.len() > 1 {
            self.take_turns(|state| &mut state.drops, move || self.drop_lost());
        }
    }

    /// Has the work done, and once more if it is asked for meanwhile.
    fn take_turns<F>(&'static self, turns: fn(&mut State) -> &mut Turns, work: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(runtime) = self.runtime_handle() else { return };
        if !turns(&mut self.watching()).begin() {
            return;
        }
        runtime.spawn(async move {
            loop {
                // In a task of its own: should it panic, this turn is over, and not all to come.
                let _ = tokio::spawn(work()).await;
                if turns(&mut self.watching()).end() {
                    return;
                }
            }
        });
    }

    fn want(&self) {
        let bound = self.bound();
        let mut state = self.watching();
        let watch = state
            .watch
            .get_or_insert_with(|| Watch::new(tokio::runtime::Handle::current(), |told| Session::get().told(told)));
        let watch = Arc::clone(watch);
        let debounce = state.debounce;
        if debounce.is_none() {
            (state.watch, state.told, state.devices) = (None, HashMap::new(), HashMap::new());
        }
        drop(state);
        watch.want(if debounce.is_some() { wanted(&bound) } else { Vec::new() }, debounce.unwrap_or_default());
    }

    fn told(&'static self, told: Told) {
        match told {
            Told::Hint => self.check_all(),
            Told::Blind(error) => self.main_loop.post([Reply::Blind(error)]),
        }
    }

    /// Finds out which contexts are not what their files say.
    fn check_all(&'static self) {
        self.take_turns(
            |state| &mut state.checks,
            move || async move {
                let bound = self.bound();
                self.watching().told.retain(|context, _| bound.iter().any(|bound| bound.context == *context));
                for bound in bound {
                    let context = bound.context;
                    if !self.watching().checked.entry(context).or_default().begin() {
                        continue;
                    }
                    let check = tokio::spawn(async move {
                        let _ = tokio::spawn(self.check(bound)).await;
                        let turns = self.watching().checked.remove(&context);
                        if turns.is_some_and(|turns| turns.again) {
                            self.check_all();
                        }
                    });
                    // One after the other as long as the disk answers; one that hangs does not hold up the others.
                    let _ = timeout(PATIENCE, check).await;
                }
            },
        );
    }

    async fn check(&'static self, bound: Bound) {
        if !self.is_watching() {
            return;
        }
        let context = bound.context;
        if bound.request.needs_host() {
            // Only the user's code can tell.
            return self.main_loop.post([Reply::Stale(context)]);
        }
        let judged = self.judge(&bound).await;
        if !self.is_shown(context, bound.shown.project()) {
            return;
        }
        match judged {
            Ok(verdict) => {
                self.is_well(context);
                if verdict != Verdict::Stay {
                    self.main_loop.post([Reply::Stale(context)]);
                }
            }
            Err(error) => self.trouble(context, bound.is_current, error),
        }
    }

    /// What is to be done about what lies on disk for a context.
    ///
    /// # Errors
    /// Its files cannot be looked at.
    async fn judge(&'static self, bound: &Bound) -> Result<Verdict, Error> {
        let Bound { context, request, shown, is_current } = bound;
        let (context, is_current) = (*context, *is_current);
        let root = &shown.project().root;
        let request = Request { start_dir: root.clone(), near: false, ..Request::clone(request) };
        let (config_dir, patience) = (request.config_dir.clone(), request.timeout);
        let known = Arc::clone(shown);
        let shown_for = move |project: &Project| (known.project() == project).then(|| Arc::clone(&known));
        let planned = self.family.engine.plan(request, shown_for, Arc::new(NoHost)).await;
        let plan = planned.map_err(|error| gone(error, root, Gone::Root))?;
        if verdict::has_lost_everything(&plan, shown) && !self.look_for(shown, &config_dir, patience).await? {
            return Ok(Verdict::Stay);
        }
        let (path, shown) = (config_dir.clone(), Arc::clone(shown));
        let judged = spawn_blocking(move || {
            self.note_device(&path);
            if plan.project() != shown.project() {
                return Verdict::Stay;
            }
            let has_new_settings = self.settings.has_news(context, &plan);
            let standing = Standing { shown: Some(&shown), is_current, has_new_settings };
            verdict::judge(Reason::ConfigDir, &plan, standing)
        });
        // What the plan did not need to look at may hang all the same.
        let judged = timeout(patience, judged).await.map_err(|_| late(patience, &config_dir))?;
        judged.map_err(|_| defect())
    }

    /// Tells once what keeps a context's files from being looked at; of one that nobody is in, only that its project has gone.
    pub(super) fn trouble(&self, context: ContextId, is_current: bool, error: Error) {
        let reply = match (is_current, &error.kind) {
            (true, _) => {
                let before = self.watching().told.insert(context, error.clone());
                (before.as_ref() != Some(&error)).then_some(Reply::Trouble(context, Some(error)))
            }
            (false, ErrorKind::Gone(Gone::Root)) => Some(Reply::Gone(context)),
            (false, _) => None,
        };
        if let Some(reply) = reply {
            self.main_loop.post([reply]);
        }
    }

    /// Has the contexts left that nobody is in, and whose projects are not on disk any more.
    async fn drop_lost(&'static self) {
        for Bound { context, request, shown, .. } in self.bound().into_iter().filter(|bound| !bound.is_current) {
            let project = shown.project();
            let root = project.root.clone();
            // One that hangs is left alone, and passed over the next time: somebody looks at it already.
            let has_gone = timeout(request.timeout, spawn_blocking(move || presence::has_been_lost(&root, None))).await;
            if matches!(has_gone, Ok(Ok(Some(true)))) && self.is_shown(context, project) {
                self.main_loop.post([Reply::Gone(context)]);
            }
        }
    }

    /// Whether the context still shows this project: while its disk was looked at, it may have been left, and bound to another one.
    pub(super) fn is_shown(&self, context: ContextId, project: &Project) -> bool {
        self.state().contexts.plan(context).is_some_and(|plan| plan.project() == project)
    }

    /// Looks for the directory of the configuration, after a plan has found nothing there of what is shown. Whether the plan is right; else the
    /// files have come back meanwhile.
    ///
    /// # Errors
    /// It is not there: nor, perhaps, what it lay on, and then an empty one is in its place. Or the disk does not answer.
    pub(super) async fn look_for(
        &self,
        shown: &Arc<Plan>,
        config_dir: &Path,
        patience: Duration,
    ) -> Result<bool, Error> {
        let before = self.watching().devices.get(config_dir).copied();
        let look = async {
            loop {
                presence::released(config_dir).await;
                let (path, shown) = (config_dir.to_path_buf(), Arc::clone(shown));
                let look = move || {
                    let is_lost = presence::has_been_lost(&path, before)?;
                    Some((is_lost, shown.files.iter().all(|file| presence::has_gone(&file.path))))
                };
                match spawn_blocking(look).await {
                    Ok(Some(found)) => return Ok(found),
                    Ok(None) => {}
                    Err(_) => return Err(defect()),
                }
            }
        };
        match timeout(patience, look).await.map_err(|_| late(patience, config_dir))?? {
            (true, _) => Err(Error::new(ErrorKind::Gone(Gone::ConfigDir)).at(config_dir)),
            (false, are_gone) => Ok(are_gone),
        }
    }

    /// What has kept the context's files from being looked at is over.
    pub(super) fn is_well(&self, context: ContextId) {
        if self.watching().told.remove(&context).is_some() {
            self.main_loop.post([Reply::Trouble(context, None)]);
            // What could not be saved meanwhile can be now.
            self.settings.retry();
        }
    }

    fn note_device(&self, config_dir: &Path) {
        if let Some(device) = presence::device(config_dir) {
            self.watching().devices.insert(config_dir.to_path_buf(), device);
        }
    }

    /// The session's contexts that show something.
    fn bound(&self) -> Vec<Bound> {
        let state = self.state();
        let contexts = state.contexts.all_bound(FamilyId::SESSION);
        let bound = contexts.into_iter().filter_map(|context| {
            let (shown, request) = (state.contexts.plan(context)?, state.requests.get(&context)?);
            let is_current = state.current == Some(context);
            Some(Bound { context, request: Arc::clone(request), shown, is_current })
        });
        bound.collect()
    }

    fn watching(&self) -> MutexGuard<'_, State> {
        self.watching.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has to be watched for these contexts.
fn wanted(bound: &[Bound]) -> Vec<Wanted> {
    let mut wanted: BTreeMap<&Path, Wanted> = BTreeMap::new();
    for Bound { request, shown, .. } in bound {
        let config_dir = &request.config_dir;
        let none = || Wanted { config_dir: config_dir.clone(), directories: Vec::new(), files: Vec::new() };
        let wanted = wanted.entry(config_dir).or_insert_with(none);
        wanted.directories.extend(shown.directories(config_dir));
        // What could not be read too: a link that leads nowhere may lead somewhere again.
        let broken = shown.problems.iter().filter_map(|problem| problem.path());
        let broken = broken.filter(|path| path.starts_with(config_dir) && path != config_dir);
        wanted.files.extend(shown.paths().chain(broken).map(Path::to_path_buf));
    }
    let unique = |mut wanted: Wanted| {
        for paths in [&mut wanted.directories, &mut wanted.files] {
            paths.sort_unstable();
            paths.dedup();
        }
        wanted
    };
    wanted.into_values().map(unique).collect()
}

/// The disk with this path has not answered in time.
fn late(patience: Duration, path: &Path) -> Error {
    let after_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    Error::new(ErrorKind::Timeout { after_ms }).at(path)
}

/// The same error, if it is not that the directory has gone.
fn gone(error: Error, directory: &Path, gone: Gone) -> Error {
    let is_gone = matches!(error.kind, ErrorKind::NotFound | ErrorKind::BrokenLink | ErrorKind::NotADirectory);
    if is_gone && error.path() == Some(directory) {
        return Error { kind: ErrorKind::Gone(gone), ..error };
    }
    error
}
