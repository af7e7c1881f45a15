//! The last native stage: reads what `find_files` named, parses and merges the JSON, and puts the plan together.
//!
//! The work is a list of units that any number of threads take from, so one that hangs holds up nobody; which threads there
//! are, and for how long they are waited for, is `runner`'s to say. What is read here is run by the Neovim module, not here.
//! Nothing is written here either, but one thing: what a killed save has torn is put back by [`crate::store`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::calls::Look;
use super::detect::{Level, Nest};
use super::find_files::{Candidate, Rank, Search};
use super::runner::Events;
use super::{Job, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileEntry;
use crate::json::{self, Value};
use crate::plan::{JsonSource, Plan, PlannedFile, Timings};
use crate::store;

/// How long a save of a file that does not parse is waited for: it may be just writing it, and that is soon done.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// The part of a load that comes after detection.
pub(super) struct Work {
    job: Arc<Job>,
    /// The plan that is shown for the project so far.
    previous: Option<Arc<Plan>>,
    start_dir: PathBuf,
    nest: Nest,
    /// `None` where there is no `config_dir`, or nothing to look for in it.
    search: Option<Search>,
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
    planned: bool,
}

impl Queue {
    fn take(&mut self) -> Option<(usize, Arc<Unit>)> {
        let (unit, _) = self.units.get(self.next)?;
        self.next += 1;
        Some((self.next - 1, Arc::clone(unit)))
    }
}

#[derive(Debug)]
enum Unit {
    File(Candidate),
    /// The directory of a layer's project, which may bring more files.
    Directory(usize),
}

#[derive(Debug)]
enum Outcome {
    Read(Arc<FileEntry>),
    /// No such file; or a directory, whose files are units now.
    Nothing,
    Failed(Error),
}

impl Work {
    pub(super) fn new(
        job: Arc<Job>,
        start_dir: PathBuf,
        nest: Nest,
        search: Option<Search>,
        began: Instant,
    ) -> Result<Self> {
        let mut units: Vec<(Arc<Unit>, Option<Outcome>)> = Vec::new();
        if let Some(search) = &search {
            let files = search.own_files(&nest, &job.request.kinds)?.into_iter().map(Unit::File);
            let directories = (0..nest.levels.len()).map(Unit::Directory);
            units.extend(files.chain(directories).map(|unit| (Arc::new(unit), None)));
        }
        let left = units.len();
        let queue = Mutex::new(Queue { units, next: 0, left, planned: false });
        let previous = nest.levels.last().and_then(|level| (job.shown)(&level.project()));
        Ok(Self { job, previous, start_dir, nest, search, began, detect: began.elapsed(), queue })
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
    pub(super) fn run(&self, first: Option<usize>, look: &Look, events: &Events) {
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
        // Nobody listens once a load has been cancelled.
        while let Some((index, unit)) = task.take().filter(|_| !events.is_closed()) {
            let mut more = Vec::new();
            let outcome = match catch_unwind(AssertUnwindSafe(|| self.perform(&unit, look, &mut more))) {
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
            queue.left += more.len();
            queue.left -= 1;
            queue.units.extend(more.into_iter().map(|candidate| (Arc::new(Unit::File(candidate)), None)));
            if queue.left == 0 {
                drop(queue);
                look.rest();
                return self.finish(events);
            }
            task = queue.take();
        }
    }

    fn finish(&self, events: &Events) {
        if let Some(plan) = self.plan() {
            events.end(Ok(plan));
        }
    }

    fn perform(&self, unit: &Unit, look: &Look, more: &mut Vec<Candidate>) -> Result<Outcome, Stop> {
        let Some(search) = &self.search else { return Ok(Outcome::Nothing) };
        let request = &self.job.request;
        match unit {
            Unit::File(candidate) => {
                look.at(candidate.place.path())?;
                let entry = self.job.cache.config_file(&search.config_dir, &candidate.place, &request.limits)?;
                let Some(entry) = entry else { return Ok(Outcome::Nothing) };
                let merged = request.kinds[candidate.rank.kind].merged;
                // Parsed here, side by side with other reads; the entry keeps it.
                if merged && entry.json().is_err() && self.put_back(candidate.place.path()) {
                    let entry = self.job.cache.config_file(&search.config_dir, &candidate.place, &request.limits)?;
                    return Ok(entry.map_or(Outcome::Nothing, Outcome::Read));
                }
                Ok(Outcome::Read(entry))
            }
            Unit::Directory(layer) => {
                more.extend(search.in_directory(&self.nest, *layer, &request.kinds, self.job.known(), look)?);
                Ok(Outcome::Nothing)
            }
        }
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

    fn path(&self, unit: &Unit) -> PathBuf {
        match unit {
            Unit::File(candidate) => candidate.place.path().to_path_buf(),
            Unit::Directory(layer) => self.job.request.config_dir.join(self.nest.levels[*layer].name.directory()),
        }
    }

    fn rank(unit: &Unit) -> Rank {
        match unit {
            Unit::File(candidate) => candidate.rank,
            Unit::Directory(layer) => Rank::of_directory(*layer),
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
        units.sort_by_key(|(unit, _)| Self::rank(unit));
        let read = self.began.elapsed().saturating_sub(self.detect);
        let merging = Instant::now();

        let (mut files, mut problems, mut json_sources) = (Vec::new(), Vec::new(), Vec::new());
        let mut unread_json = Vec::new();
        let mut refused = Refused::default();
        for (unit, outcome) in units {
            let outcome = outcome.unwrap_or_else(|| Outcome::Failed(ErrorKind::Timeout { after_ms }.into()));
            let Unit::File(candidate) = &*unit else {
                if let Outcome::Failed(error) = outcome {
                    let path = self.path(&unit);
                    if !refused.explains(&path, &error) {
                        refused.directories.push((path.clone(), error.kind.clone()));
                        problems.push(error.at(path));
                    }
                }
                continue;
            };
            if refused.bars(candidate.place.path()) {
                continue;
            }
            let merged = request.kinds[candidate.rank.kind].merged;
            let problem = match outcome {
                Outcome::Nothing => continue,
                Outcome::Failed(error) => error,
                Outcome::Read(entry) => match merged.then(|| entry.json()) {
                    Some(Err(error)) => error.clone(),
                    document => {
                        let Rank { kind, layer, .. } = candidate.rank;
                        if document.is_some() {
                            json_sources.push(JsonSource { layer, entry: Arc::clone(&entry), outdated: false });
                        }
                        files.push(PlannedFile { path: Arc::clone(&entry.path), kind, layer, entry });
                        continue;
                    }
                },
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
            stem: request.config_dir.join(stem),
            files,
            json,
            json_sources,
            unread_json,
            kinds: request.kinds.clone(),
            problems,
            timings: Timings { detect: self.detect, read, merge: merging.elapsed() },
        })
    }
}

/// The projects' directories that could not be read, and why.
#[derive(Debug, Default)]
struct Refused {
    directories: Vec<(PathBuf, ErrorKind)>,
}

impl Refused {
    /// Whether nothing at `path` is to be used, for every user may have put it there.
    fn bars(&self, path: &Path) -> bool {
        let untrusted = |kind: &ErrorKind| matches!(kind, ErrorKind::Untrusted(_));
        self.directories.iter().any(|(directory, kind)| untrusted(kind) && path.starts_with(directory))
    }

    /// Whether the error is what is wrong with a directory above `path`, told already: directories come before what is below
    /// them. Time-outs each have a cause of their own.
    fn explains(&self, path: &Path, error: &Error) -> bool {
        let is_cause = |(directory, kind): &(PathBuf, ErrorKind)| *kind == error.kind && path.starts_with(directory);
        !matches!(error.kind, ErrorKind::Timeout { .. }) && self.directories.iter().any(is_cause)
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

/// Whether the error says that there is no file of this name any more, so that its last values have gone with it.
fn is_gone(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::NotFound | ErrorKind::BrokenLink | ErrorKind::NotAFile(_) | ErrorKind::NotADirectory
    )
}

/// What a panic becomes.
pub(super) fn defect(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ErrorKind::Runtime(format!("a defect in nvim-project-config: {}", text.unwrap_or("panic without a message"))).into()
}
