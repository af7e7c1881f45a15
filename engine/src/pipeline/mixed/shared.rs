//! What the segments of one load share: the nest as it is now, which detect stages have not decided, what went wrong.
//!
//! The nest is changed by detect stages and by the user's code; the last one to say something counts, and the host is told of
//! what it does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};

use super::super::calls::Look;
use super::super::detect::{Level, Nest};
use super::super::directory::{Directory, Start};
use super::super::find_files::to_os_string;
use super::super::host::{Asker, Host, Question, Subject};
use super::super::naming::{Found, LookedUp, NameFrom};
use super::super::{Job, Stage, Stop, naming};
use super::ask;
use super::decide::Waiting;
use super::survey::{Sight, names_in};
use super::trip::{self, Trip};
use crate::error::{Error, ErrorKind, Result};
use crate::matcher::{Leaf, Verdict};
use crate::name::ProjectName;
use crate::plan::Project;

/// So many things that a stage has named are told one by one.
const MOST_REFUSED: usize = 10;

pub(super) struct Shared {
    pub(super) job: Arc<Job>,
    pub(super) host: Arc<dyn Host>,
    pub(super) began: Instant,
    state: Mutex<State>,
    /// A detect stage has decided.
    decided: Notify,
    errands: Mutex<Vec<Errand>>,
}

/// Something to do on a thread that may block.
pub(super) type Errand = Box<dyn FnOnce() + Send>;

#[derive(Debug, Default)]
struct State {
    /// The start directory, resolved.
    start: Option<PathBuf>,
    nest: Option<Nest>,
    /// What counts while there is no nest, once that is needed.
    fallback: Option<Nest>,
    /// What was looked up for names, and what the host has said, by outermost root.
    names: BTreeMap<PathBuf, (LookedUp, Option<ProjectName>)>,
    /// What leaves have said of directories, of whether they can be no projects.
    excluded: BTreeMap<PathBuf, bool>,
    /// The detect stage that has changed the nest since the host was told.
    news: Option<usize>,
    undecided: BTreeSet<usize>,
    /// By the stage where each was found.
    problems: Vec<(usize, Error)>,
    /// How many things that each stage has named were unusable.
    refused: BTreeMap<usize, usize>,
}

impl Shared {
    pub(super) fn new(job: Arc<Job>, host: Arc<dyn Host>) -> Self {
        let stages = job.request.stages.iter().enumerate();
        let undecided = stages.filter(|(_, stage)| matches!(stage, Stage::Detect { .. })).map(|(index, _)| index);
        let state = Mutex::new(State { undecided: undecided.collect(), ..State::default() });
        let (decided, errands) = (Notify::new(), Mutex::default());
        Self { job, host, began: Instant::now(), state, decided, errands }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has something done on the thread that polls, after that.
    pub(super) fn send(&self, errand: Errand) {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner).push(errand);
    }

    pub(super) fn take_errands(&self) -> Vec<Errand> {
        std::mem::take(&mut self.errands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_start(&self, path: PathBuf) {
        self.state().start = Some(path);
    }

    pub(super) fn start(&self) -> PathBuf {
        self.state().start.clone().unwrap_or_else(|| self.job.request.start_dir.clone())
    }

    /// The projects as they are, when something has been found or [`Self::settled_nest`] was asked.
    ///
    /// # Errors
    /// `Excluded`, when neither is so.
    pub(super) fn nest(&self) -> Result<Nest> {
        let state = self.state();
        let nest = state.nest.as_ref().or(state.fallback.as_ref()).cloned();
        drop(state);
        nest.ok_or_else(|| Error::new(ErrorKind::Excluded).at(self.start()))
    }

    /// The projects as they are: where nothing says what they are, the start directory is the one.
    ///
    /// # Errors
    /// `Excluded`, if that is to be none; `Timeout`, when it does not answer.
    pub(super) async fn settled_nest(&self) -> Result<Nest> {
        let known = |state: &State| state.nest.is_some() || state.fallback.is_some();
        if !known(&self.state()) {
            let start = self.start();
            if self.job.request.naming.exclude.is_some() {
                let trip = trip::make(self, AtStart { path: start.clone(), seen: None }).await?;
                let seen: Vec<Waiting> = trip.seen.into_iter().collect();
                if self.excluded(seen.iter()).await.contains(&true) {
                    return Err(Error::new(ErrorKind::Excluded).at(start));
                }
            }
            let nest = self.named(Found::fallback(start)).await?;
            self.state().fallback = Some(nest);
        }
        self.nest()
    }

    /// What was found, with its names.
    ///
    /// # Errors
    /// `Timeout`, when a disk does not answer that has to be asked; `InvalidName`.
    pub(super) async fn named(&self, found: Found) -> Result<Nest> {
        let naming = &self.job.request.naming;
        let root = found.roots.first().cloned().unwrap_or_default();
        let known = self.state().names.get(&root).cloned();
        let (looked_up, by_host) = match known {
            Some(known) => known,
            None => {
                let mut looked_up = LookedUp::default();
                if naming.needs_disk() {
                    let trip = trip::make(self, LookUp { outermost: root.clone(), found: None }).await?;
                    looked_up = trip.found.unwrap_or_default();
                }
                let mut by_host = None;
                if naming.from == NameFrom::Host && looked_up.given(&root).is_none() {
                    by_host = self.ask_name(root.clone()).await;
                }
                self.state().names.insert(root, (looked_up.clone(), by_host.clone()));
                (looked_up, by_host)
            }
        };
        found.named(&looked_up, by_host)
    }

    /// What the user's code calls the project with this root; what is unusable is a problem.
    async fn ask_name(&self, root: PathBuf) -> Option<ProjectName> {
        let (answer, answered) = oneshot::channel();
        self.host.ask(Question::Name { root, start_dir: self.start(), answer });
        match name_of(&answered.await.ok()??) {
            Ok(name) => Some(name),
            Err(error) => {
                let text = format!("project_name: {error}");
                self.problem(0, ErrorKind::InvalidName(text).into());
                None
            }
        }
    }

    /// Which of these directories can be no projects, when the leaves have been asked: each once.
    pub(super) async fn excluded<'w, W>(&self, directories: W) -> Vec<bool>
    where
        W: Iterator<Item = &'w Waiting> + Clone,
    {
        let open: Vec<&Waiting> = {
            let state = self.state();
            let is_open = |waiting: &&Waiting| {
                matches!(waiting.excluded, Verdict::Open(_)) && !state.excluded.contains_key(&waiting.path)
            };
            directories.clone().filter(is_open).collect()
        };
        if !open.is_empty() {
            let subject = |index: usize, leaf: Leaf| {
                let Waiting { path, names, .. } = open[index];
                let names = leaf.of_names.then(|| names.as_deref().unwrap_or_default().to_vec());
                Subject::Directory { path: path.clone(), names }
            };
            let verdicts = open.iter().map(|waiting| &waiting.excluded);
            let settled = ask::settle(self, Asker::Exclude, verdicts, subject).await;
            self.state().excluded.extend(open.iter().map(|waiting| waiting.path.clone()).zip(settled));
        }
        let state = self.state();
        let is_excluded = |waiting: &Waiting| match waiting.excluded {
            Verdict::Yes => true,
            Verdict::No => false,
            Verdict::Open(_) => state.excluded.get(&waiting.path).copied().unwrap_or(false),
        };
        directories.map(is_excluded).collect()
    }

    pub(super) fn found(&self) -> Option<Nest> {
        self.state().nest.clone()
    }

    pub(super) fn has_found(&self) -> bool {
        self.state().nest.is_some()
    }

    /// Sets what a detect stage has found; `news` says that the host does not know it.
    pub(super) fn set_nest(&self, stage: usize, nest: Option<Nest>, news: bool) {
        let mut state = self.state();
        state.nest = nest;
        if news {
            state.news = Some(stage);
        }
    }

    /// The projects, for a stage after the one that has changed them, unless the host knows them.
    pub(super) fn take_news(&self, stage: usize) -> Option<Vec<Project>> {
        let mut state = self.state();
        state.news.take_if(|by| *by < stage)?;
        Some(state.nest.iter().flat_map(|nest| &nest.levels).map(Level::project).collect())
    }

    /// The host was not told what [`Self::take_news`] gave for this stage.
    pub(super) fn keep_news(&self, stage: usize) {
        self.state().news.get_or_insert(stage.saturating_sub(1));
    }

    /// Takes over what the code of the stage `by` (`part` says which, in words) has made of the projects. What is unusable is a
    /// problem, and the nest stays.
    ///
    /// # Errors
    /// `Timeout`, when a root does not answer.
    pub(super) async fn adopt(&self, projects: Option<Vec<Project>>, by: usize, part: &str) -> Result<()> {
        let Some(projects) = projects else { return Ok(()) };
        let before = self.found();
        let nest = match self.nest_of(projects, before.as_ref()).await {
            Ok(nest) => nest,
            Err(error) => {
                let text = format!("{}: {part}{error}", self.called(by));
                let kind = match &error.kind {
                    ErrorKind::InvalidArgument(_) => ErrorKind::InvalidArgument(text),
                    ErrorKind::InvalidName(_) => ErrorKind::InvalidName(text),
                    _ => return Err(error),
                };
                self.problem(by, kind.into());
                return Ok(());
            }
        };
        let mut state = self.state();
        (state.nest, state.news) = (Some(nest), None);
        Ok(())
    }

    async fn nest_of(&self, projects: Vec<Project>, before: Option<&Nest>) -> Result<Nest> {
        let known = before.map(|nest| nest.levels.iter().map(|level| &level.root).collect::<Vec<_>>());
        let invalid = |text: String| Error::new(ErrorKind::InvalidArgument(text));
        if projects.is_empty() {
            return Err(invalid("ctx.projects: expected at least one project".into()));
        }
        let outermost = projects[0].clone();
        let mut roots = Vec::new();
        let mut names = Vec::new();
        for Project { root, name } in projects {
            if !root.is_absolute() {
                return Err(invalid(format!("ctx.project_root: expected an absolute path, got '{}'", root.display())));
            }
            names.push(name_of(&name)?);
            roots.push(root);
        }
        if known.is_none_or(|known| known.into_iter().ne(&roots)) {
            let roots_trip = trip::make(self, Roots { asked: roots, resolved: Vec::new() }).await?;
            roots = roots_trip
                .resolved
                .into_iter()
                .collect::<Result<_>>()
                .map_err(|error| invalid(format!("ctx.project_root: expected a directory: {error}")))?;
        }
        let has_packages = before.is_some_and(|nest| nest.has_packages && nest.levels[0].root == roots[0]);
        let levels = roots.into_iter().zip(names).map(|(root, name)| Level { root, name }).collect();
        let named = before.is_some_and(|nest| nest.named && nest.levels[0].project() == outermost);
        Ok(Nest { levels, has_packages, named, fallback: false })
    }

    /// Waits until all detect stages before this one have decided.
    pub(super) async fn decided_before(&self, stage: usize) {
        loop {
            let mut decided = pin!(self.decided.notified());
            // Registered before the look, so that a decision between the two is not missed.
            decided.as_mut().enable();
            if self.is_decided_before(stage) {
                return;
            }
            decided.await;
        }
    }

    pub(super) fn is_decided_before(&self, stage: usize) -> bool {
        self.state().undecided.first().is_none_or(|first| *first >= stage)
    }

    pub(super) fn decide(&self, stage: usize) {
        self.state().undecided.remove(&stage);
        self.decided.notify_waiters();
    }

    pub(super) fn problem(&self, stage: usize, error: Error) {
        self.state().problems.push((stage, error));
    }

    /// Notes that something that the user's code has sent is unusable. A mistake in it soon is one of a million items.
    pub(super) fn refuse(&self, stage: usize, what: &str) {
        let mut state = self.state();
        let refused = state.refused.entry(stage).or_default();
        *refused += 1;
        if *refused > MOST_REFUSED {
            return;
        }
        drop(state);
        let text = format!("{}: {what}", self.called(stage));
        self.problem(stage, ErrorKind::InvalidArgument(text).into());
    }

    pub(super) fn is_function(&self, stage: usize) -> bool {
        matches!(self.job.request.stages.get(stage), Some(Stage::Call))
    }

    /// What a stage is called in messages.
    pub(super) fn called(&self, stage: usize) -> String {
        format!("pipeline stage {} ({})", stage + 1, self.job.request.stages[stage].name())
    }

    pub(super) fn take_problems(&self) -> Vec<Error> {
        let mut state = self.state();
        let (mut problems, refused) = (std::mem::take(&mut state.problems), std::mem::take(&mut state.refused));
        drop(state);
        for (stage, count) in refused.into_iter().filter(|(_, count)| *count > MOST_REFUSED) {
            let text = format!("{}: {} more of its items are unusable", self.called(stage), count - MOST_REFUSED);
            problems.push((stage, ErrorKind::InvalidArgument(text).into()));
        }
        problems.sort_by_key(|(stage, _)| *stage);
        problems.into_iter().map(|(_, error)| error).collect()
    }
}

/// The name whose components are joined by slashes.
fn name_of(name: &OsStr) -> Result<ProjectName> {
    let components = name.as_encoded_bytes().split(|byte| *byte == b'/').map(|part| to_os_string(part.to_vec()));
    let components: Option<Vec<OsString>> = components.collect();
    ProjectName::from_components(components.unwrap_or_default().iter().map(OsString::as_os_str))
}

/// Looks whether roots that the user's code has named are directories.
struct Roots {
    asked: Vec<PathBuf>,
    resolved: Vec<Result<PathBuf>>,
}

impl Trip for Roots {
    fn run(&mut self, _: &Job, look: &Look) -> Result<(), Stop> {
        while let Some(root) = self.asked.get(self.resolved.len()) {
            look.at(root)?;
            self.resolved.push(Start::resolve(root).map(|start| start.path));
        }
        Ok(())
    }
}

/// Looks up what has to be known for the names of a nest.
struct LookUp {
    outermost: PathBuf,
    found: Option<LookedUp>,
}

impl Trip for LookUp {
    fn run(&mut self, job: &Job, look: &Look) -> Result<(), Stop> {
        self.found = Some(LookedUp::of(&self.outermost, job, look)?);
        Ok(())
    }
}

/// Looks whether the start directory can be no project.
struct AtStart {
    path: PathBuf,
    seen: Option<Waiting>,
}

impl Trip for AtStart {
    fn run(&mut self, job: &Job, look: &Look) -> Result<(), Stop> {
        let Some(exclude) = naming::exclude(job, look)? else { return Ok(()) };
        look.at(&self.path)?;
        let directory = Directory::open(self.path.clone(), job.known());
        let excluded = exclude.judge(&directory);
        let names = excluded.leaves().iter().any(|leaf| leaf.of_names).then(|| names_in(&directory));
        let (path, sight) = (self.path.clone(), Sight::Levels(Vec::new()));
        self.seen = Some(Waiting { path, sight, excluded, names });
        Ok(())
    }
}
