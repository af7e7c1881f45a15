//! The last native stage: reads what `find_files` named, parses and merges the JSON, and puts the plan together.
//!
//! The work is a list of units that any number of threads take from, so one that hangs holds up nobody; which threads there
//! are, and for how long they are waited for, is `runner`'s to say. What is read here is run by the Neovim module, not here.
//! Nothing is written here either, but one thing: what a killed save has torn is put back by [`crate::store`].

mod own;
mod refused;

use std::any::Any;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::aside::Later;
use super::calls::Look;
use super::detect::{Level, Nest};
use super::directory::{Opened, Subdirectories};
use super::find_files::{Candidate, Rank, Search, packages_among};
use super::packages;
use super::runner::{self, Events, MOST_THREADS};
use super::{Job, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileEntry;
use crate::json::{self, Value};
use crate::open::ConfigDir;
use crate::plan::{JsonSource, Plan, PlannedFile, Timings, is_gone};
use crate::store;

use own::Own;
use refused::Refused;

/// How long a save of a file that does not parse is waited for: it may be just writing it, and that is soon done.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// The part of a load that comes after detection.
pub(super) struct Work {
    job: Arc<Job>,
    /// The plan that is shown for the project so far.
    previous: Option<Arc<Plan>>,
    start_dir: PathBuf,
    nest: Nest,
    /// What a walk on a slow disk has seen in the levels' roots, as far as it has.
    roots: Vec<Option<Subdirectories>>,
    /// It begins at a file of the configuration.
    is_configuration: bool,
    /// `None` where there is no `config_dir`, or nothing to look for in it. Given up with the plan: it holds descriptors, and whoever
    /// watches over the load may be long in learning that it has ended.
    search: Mutex<Option<Arc<Search>>>,
    began: Instant,
    detect: Duration,
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// Empty when the plan is being made of them.
    units: Vec<(Arc<Unit>, Option<Outcome>)>,
    /// The first unit that nobody has taken.
    next: usize,
    /// Units without an outcome.
    left: usize,
    /// Threads that were started because the disk is slow.
    threads: usize,
    planned: bool,
}

impl Queue {
    fn add(&mut self, units: Vec<Unit>) {
        // Once planned, nobody asks for more.
        if !self.planned {
            self.left += units.len();
            self.units.extend(units.into_iter().map(|unit| (Arc::new(unit), None)));
        }
    }

    fn take(&mut self) -> Option<(usize, Arc<Unit>)> {
        let (unit, _) = self.units.get(self.next)?;
        self.next += 1;
        Some((self.next - 1, Arc::clone(unit)))
    }
}

#[derive(Debug)]
enum Unit {
    /// The start directory, of which it has yet to be seen that it is where it is believed to be: on a slow disk.
    Start(Mutex<Option<Opened>>),
    File(Candidate),
    /// The directory of a layer's project, which may bring more files.
    Directory(usize),
    /// Which of these stems of files in a layer's directory belong to packages: asked while the files are read, on a slow disk.
    Packages(usize, Vec<OsString>),
}

#[derive(Debug)]
enum Outcome {
    Read(Arc<FileEntry>),
    /// No such file; or a directory, whose files are units now.
    Nothing,
    /// Files of these stems are those of packages.
    Packages(HashSet<OsString>),
    /// The start directory is not where it was believed to be, so all of this is about another one.
    Elsewhere,
    Failed(Error),
}

impl Candidate {
    /// What it means that there is no such file: whoever has named it is told.
    fn absent(&self) -> Outcome {
        if self.is_named() { Outcome::Failed(ErrorKind::NotFound.into()) } else { Outcome::Nothing }
    }
}

impl Work {
    pub(super) fn new(
        job: Arc<Job>,
        start_dir: PathBuf,
        nest: Nest,
        search: Option<Search>,
        to_verify: Option<Opened>,
        began: Instant,
    ) -> Result<Self> {
        let mut units = Vec::new();
        if let Some(search) = &search {
            units.extend(search.own_files(&nest, &job.request.kinds)?.into_iter().map(Unit::File));
            units.extend((0..nest.levels.len()).map(Unit::Directory));
        }
        units.extend(to_verify.map(|opened| Unit::Start(Mutex::new(Some(opened)))));
        Ok(Self::of_units(job, start_dir, nest, search, began, units))
    }

    /// Reads these files and searches for none.
    pub(super) fn of_files(
        job: Arc<Job>,
        start_dir: PathBuf,
        nest: Nest,
        config_dir: Option<ConfigDir>,
        began: Instant,
        files: Vec<Candidate>,
    ) -> Self {
        let search = config_dir.map(|config_dir| Search { config_dir, filters: Vec::new() });
        Self::of_units(job, start_dir, nest, search, began, files.into_iter().map(Unit::File).collect())
    }

    fn of_units(
        job: Arc<Job>,
        start_dir: PathBuf,
        nest: Nest,
        search: Option<Search>,
        began: Instant,
        units: Vec<Unit>,
    ) -> Self {
        let units: Vec<_> = units.into_iter().map(|unit| (Arc::new(unit), None)).collect();
        let left = units.len();
        let queue = Mutex::new(Queue { units, next: 0, left, threads: 0, planned: false });
        let previous = nest.levels.last().and_then(|level| (job.shown)(&level.project()));
        let search = Mutex::new(search.map(Arc::new));
        let detect = began.elapsed();
        Self {
            job,
            previous,
            start_dir,
            nest,
            roots: Vec::new(),
            is_configuration: false,
            search,
            began,
            detect,
            queue,
        }
    }

    pub(super) fn with_roots(self, roots: Vec<Option<Subdirectories>>) -> Self {
        Self { roots, ..self }
    }

    pub(super) fn of_configuration(self, is_configuration: bool) -> Self {
        Self { is_configuration, ..self }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many units have been taken and answered, and whether some have not been taken: what tells a slow disk from a
    /// quick one.
    pub(super) fn progress(&self) -> ((usize, usize), bool) {
        let queue = self.queue();
        ((queue.next, queue.left), queue.next < queue.units.len())
    }

    /// Works on the unit `first`, if one is named, and then on all that nobody has taken; whoever answers the last one delivers
    /// the plan. Where a unit's path is being looked at by somebody else, an event says so and the unit stays open.
    pub(super) fn run(self: &Arc<Self>, first: Option<usize>, look: &Look, events: &Events) {
        let mut queue = self.queue();
        if queue.units.is_empty() {
            drop(queue);
            return self.finish(events);
        }
        let mut task = match first {
            Some(index) => queue.units.get(index).map(|(unit, _)| (index, Arc::clone(unit))),
            None => queue.take(),
        };
        drop(queue);
        self.spread(events);
        // Nobody listens once a load has been cancelled.
        while let Some((index, unit)) = task.take().filter(|_| !events.is_closed()) {
            let (mut more, mut later) = (Vec::new(), Later::default());
            let work = AssertUnwindSafe(|| self.perform(&unit, look, events, &mut more, &mut later));
            let outcome = match catch_unwind(work) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(Stop::Blocked(path))) => {
                    events.blocked(path, Some(index));
                    task = self.queue().take();
                    continue;
                }
                Ok(Err(Stop::Failed(error))) => Outcome::Failed(error),
                Err(panic) => Outcome::Failed(defect(&*panic)),
            };
            let mut queue = self.queue();
            let Some((_, answer)) = queue.units.get_mut(index) else { return };
            *answer = Some(outcome);
            queue.add(more);
            queue.left -= 1;
            let is_last = queue.left == 0;
            task = queue.take();
            drop(queue);
            if is_last && later.is_empty() {
                look.rest();
                return self.finish(events);
            }
            if is_last {
                self.finish(events);
            }
            drop(later);
        }
    }

    /// Starts a thread for each unit that nobody has taken, where the disk is slow.
    fn spread(self: &Arc<Self>, events: &Events) {
        if !self.job.pace.is_slow() {
            return;
        }
        let mut queue = self.queue();
        let open = queue.units.len() - queue.next.min(queue.units.len());
        let threads = open.min(MOST_THREADS.saturating_sub(queue.threads));
        queue.threads += threads;
        drop(queue);
        for _ in 0..threads {
            runner::join(self, None, &self.job.calls, events);
        }
    }

    /// Adds what a directory turned out to hold while it is still being read.
    fn add(self: &Arc<Self>, units: Vec<Unit>, events: &Events) {
        self.queue().add(units);
        self.spread(events);
    }

    /// Whether all of this has turned out to be about another directory than the start directory.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.queue().units.iter().any(|(_, outcome)| matches!(outcome, Some(Outcome::Elsewhere)))
    }

    fn finish(&self, events: &Events) {
        if self.is_elsewhere() {
            return events.anew();
        }
        if let Some(plan) = self.plan() {
            // Before, so that nothing is open any more when the load has ended; unless that is waited for.
            let is_slow = self.job.pace.is_slow();
            if !is_slow {
                self.close();
            }
            events.end(Ok(plan));
            if is_slow {
                self.close();
            }
        }
    }

    fn perform(
        self: &Arc<Self>,
        unit: &Unit,
        look: &Look,
        events: &Events,
        more: &mut Vec<Unit>,
        later: &mut Later,
    ) -> Result<Outcome, Stop> {
        match unit {
            Unit::Start(opened) => {
                look.at(&self.start_dir)?;
                let opened = opened.lock().unwrap_or_else(PoisonError::into_inner).take();
                let is_here = opened.as_ref().is_none_or(Opened::leads_here);
                later.close(opened);
                Ok(if is_here { Outcome::Nothing } else { Outcome::Elsewhere })
            }
            Unit::File(candidate) => {
                look.at(candidate.place.path())?;
                Ok(self.read(candidate, later)?)
            }
            Unit::Directory(layer) => {
                let Some(search) = self.search() else { return Ok(Outcome::Nothing) };
                if self.job.pace.is_slow() {
                    search.in_directory_by_parts(&self.job, &self.nest, *layer, look, &mut |files| {
                        let stems = files.iter().filter_map(Candidate::stem).map(OsStr::to_owned).collect();
                        let asked = self.nest.has_packages.then_some(Unit::Packages(*layer, stems));
                        self.add(files.into_iter().map(Unit::File).chain(asked).collect(), events);
                    })?;
                } else {
                    let kinds = &self.job.request.kinds;
                    let files = search.in_directory(&self.nest, *layer, kinds, self.job.known(), look)?;
                    more.extend(files.into_iter().map(Unit::File));
                }
                Ok(Outcome::Nothing)
            }
            Unit::Packages(layer, stems) => {
                let level = &self.nest.levels[*layer];
                let root = self.roots.get(*layer).and_then(Option::as_ref);
                let packages = packages_among(level, stems.iter().map(OsString::as_os_str), |names| {
                    packages::among_side_by_side(&self.job, look, &level.root, names.collect(), root)
                })?;
                Ok(Outcome::Packages(packages))
            }
        }
    }

    /// Reads a file. What has been opened for that is added to `later`, where the disk is slow.
    fn read(&self, candidate: &Candidate, later: &mut Later) -> Result<Outcome> {
        let request = &self.job.request;
        let (searched, elsewhere);
        let config_dir = if candidate.elsewhere {
            let parent = candidate.place.path().parent().unwrap_or(Path::new("/"));
            elsewhere = ConfigDir::open_elsewhere(parent)?;
            elsewhere.as_ref()
        } else {
            searched = self.search();
            searched.as_deref().map(|search| &search.config_dir)
        };
        let Some(config_dir) = config_dir else { return Ok(candidate.absent()) };
        let parent = candidate.place.parent();
        if candidate.is_named() && !parent.as_os_str().is_empty() {
            config_dir.check_directory(parent)?;
        }
        let mut read = || {
            let entry = self.job.cache.config_file(config_dir, &candidate.place, &request.limits);
            let read = config_dir.take_read(&candidate.place);
            if !read.is_empty() {
                later.close(read);
            }
            entry
        };
        let Some(entry) = read()? else { return Ok(candidate.absent()) };
        let merged = request.kinds[candidate.rank.kind].merged && self.route(candidate).is_none();
        // Parsed here, side by side with other reads; the entry keeps it.
        if merged && entry.json().is_err() && self.put_back(candidate.place.path()) {
            return Ok(read()?.map_or(Outcome::Nothing, Outcome::Read));
        }
        Ok(Outcome::Read(entry))
    }

    fn search(&self) -> Option<Arc<Search>> {
        self.search.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives up the search, and closes what it holds.
    pub(super) fn close(&self) {
        let search = self.search.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(search);
    }

    /// Undoes what a save that was killed, or is still at work, has done to the file that does not parse; whether it may be
    /// another one now.
    fn put_back(&self, path: &Path) -> bool {
        if !store::backup_path(path).exists() {
            return false;
        }
        let request = &self.job.request;
        let lock_deadline = (self.began + request.timeout).min(Instant::now() + LOCK_WAIT);
        let options = store::Options { limits: request.limits, lock_deadline, durable: true };
        // What else is wrong is for the next save to tell: the load tells that the file does not parse.
        store::recover(path, &options).is_ok()
    }

    /// The route that takes the file: then it is an executor's, whatever its kind.
    fn route(&self, candidate: &Candidate) -> Option<usize> {
        candidate.place.path().file_name().and_then(|name| self.job.request.route(name))
    }

    fn path(&self, unit: &Unit) -> PathBuf {
        match unit {
            Unit::Start(_) => self.start_dir.clone(),
            Unit::File(candidate) => candidate.place.path().to_path_buf(),
            Unit::Directory(layer) => self.job.request.config_dir.join(self.nest.levels[*layer].name.directory()),
            Unit::Packages(layer, _) => self.nest.levels[*layer].root.clone(),
        }
    }

    fn rank(unit: &Unit) -> Rank {
        match unit {
            Unit::File(candidate) => candidate.rank,
            Unit::Start(_) => Rank::of_directory(0),
            Unit::Directory(layer) | Unit::Packages(layer, _) => Rank::of_directory(*layer),
        }
    }

    /// The plan as far as it is known; a unit without an answer is a time-out. `None` where somebody has made it already.
    pub(super) fn plan(&self) -> Option<Plan> {
        let request = &self.job.request;
        let after_ms = u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX);
        let mut queue = self.queue();
        if std::mem::replace(&mut queue.planned, true) {
            return None;
        }
        let mut units = std::mem::take(&mut queue.units);
        drop(queue);
        // Files that were found side by side have no other order than that of their names.
        units.sort_by(|(a, _), (b, _)| Self::rank(a).cmp(&Self::rank(b)).then_with(|| a.name().cmp(&b.name())));
        let own = Own::of(&units);
        let read = self.began.elapsed().saturating_sub(self.detect);
        let merging = Instant::now();

        let (mut files, mut problems, mut json_sources) = (Vec::new(), Vec::new(), Vec::new());
        let mut unread_json = Vec::new();
        let mut refused = Refused::default();
        let (mut unsettled, has_open_routes) = (Vec::new(), request.has_open_routes());
        for (unit, outcome) in units {
            let outcome = outcome.unwrap_or_else(|| Outcome::Failed(ErrorKind::Timeout { after_ms }.into()));
            let Unit::File(candidate) = &*unit else {
                if let Outcome::Failed(error) = outcome {
                    let path = self.path(&unit);
                    if !refused.explains(&path, &error) {
                        refused.add(path.clone(), error.kind.clone());
                        problems.push(error.at(path));
                    }
                }
                continue;
            };
            if refused.bars(candidate.place.path()) || !own.takes(candidate) {
                continue;
            }
            let route = self.route(candidate);
            let merged = request.kinds[candidate.rank.kind].merged && route.is_none();
            let problem = match outcome {
                Outcome::Nothing | Outcome::Packages(_) | Outcome::Elsewhere => continue,
                Outcome::Failed(error) => error,
                Outcome::Read(entry) => {
                    let Rank { kind, layer, .. } = candidate.rank;
                    let file =
                        PlannedFile { path: Arc::clone(&entry.path), kind, layer, route, entry: Arc::clone(&entry) };
                    match merged.then(|| entry.json()) {
                        Some(Err(error)) => {
                            unsettled.extend(has_open_routes.then_some((files.len(), file)));
                            error.clone()
                        }
                        document => {
                            if document.is_some() {
                                json_sources.push(JsonSource { layer, entry, outdated: false });
                            }
                            files.push(file);
                            continue;
                        }
                    }
                }
            };
            let path = self.path(&unit);
            if merged && !is_gone(&problem) {
                if candidate.rank.layer == self.nest.levels.len() - 1 {
                    unread_json.push(path.clone());
                }
                let last_good = self.last_good(&path);
                json_sources.extend(last_good.map(|entry| JsonSource {
                    layer: candidate.rank.layer,
                    entry,
                    outdated: true,
                }));
            }
            if !refused.explains(&path, &problem) {
                problems.push(problem.at(path));
            }
        }
        let json = self.unchanged(&json_sources).unwrap_or_else(|| {
            let documents = json_sources.iter().filter_map(|source| source.entry.json().as_ref().ok()?.as_ref());
            json::overlay(documents)
        });

        let levels = &self.nest.levels;
        let stem = levels.last().map(|level| level.name.file_stem()).unwrap_or_default();
        Some(Plan {
            start_dir: self.start_dir.clone(),
            projects: levels.iter().map(Level::project).collect(),
            named: self.nest.named,
            fallback: self.nest.fallback,
            is_configuration: self.is_configuration,
            stem: request.config_dir.join(stem),
            files,
            json,
            json_sources,
            unread_json,
            kinds: request.kinds.clone(),
            problems,
            timings: Timings { detect: self.detect, read, merge: merging.elapsed() },
            unsettled,
        })
    }
}

impl Unit {
    /// The name of a file.
    fn name(&self) -> Option<&OsStr> {
        let Self::File(candidate) = self else { return None };
        candidate.place.path().file_name()
    }
}

impl Work {
    /// The last state of a JSON file that could be read.
    fn last_good(&self, path: &Path) -> Option<Arc<FileEntry>> {
        let mut sources = self.previous.as_ref()?.json_sources.iter().map(|source| &source.entry);
        sources.find(|entry| *entry.path == *path).cloned()
    }

    /// The JSON that is shown, if it was merged from exactly these.
    fn unchanged(&self, sources: &[JsonSource]) -> Option<Arc<Value>> {
        let previous = self.previous.as_ref()?;
        let before = &previous.json_sources;
        let same =
            before.len() == sources.len() && before.iter().zip(sources).all(|(a, b)| Arc::ptr_eq(&a.entry, &b.entry));
        same.then(|| Arc::clone(&previous.json))
    }
}

/// What a panic becomes.
pub(super) fn defect(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ErrorKind::Runtime(format!("a defect in nvim-project-config: {}", text.unwrap_or("panic without a message"))).into()
}
