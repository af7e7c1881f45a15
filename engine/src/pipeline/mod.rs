//! The pipeline: from a start directory to a [`Plan`].
//!
//! ```text
//! start_dir ─ walk ─▶ dirs ─ detect ─▶ nest ─ find_files ─▶ candidates ─ execute ─▶ plan
//! ```
//!
//! Each stage is a file here and hands the next one what it found, as it is asked for it. All native stages run in one trip
//! to a blocking thread (`runner`). Nothing of the user's is run: that is for the Neovim module, with the plan in its hand.

mod ahead;
mod aside;
mod detect;
mod directory;
mod execute;
mod find_files;
pub mod host;
mod listings;
mod mixed;
mod naming;
mod pace;
mod packages;
mod parts;
mod resolve;
mod runner;
#[cfg(test)]
mod slow_disk;
mod stops;
#[cfg(test)]
mod tests;
mod walk;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileCache;
use crate::fingerprint::Timestamp;
use crate::matcher::Matcher;
use crate::open::{ConfigDir, Limits};
use crate::plan::{Plan, Project};

use crate::calls::{self, Blocked, Calls, Look};
use ahead::Ahead;
use aside::Aside;
use directory::{Directory, Opened, Start};
use execute::Work;
use find_files::{Filter, Search};
use host::Host;
use listings::{Known, Memory};
use mixed::Tail;
use naming::{Found, LookedUp};
pub use naming::{NameFrom, Naming};
use pace::Pace;
use walk::Dirs;

/// One load, as asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the walk begins; absolute.
    pub start_dir: PathBuf,
    /// It may be a file or not exist: then the walk begins at the nearest directory above it.
    pub near: bool,
    /// Where the user's files are; absolute. It need not exist.
    pub config_dir: PathBuf,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// The kinds of files, in the order in which they run.
    pub kinds: Vec<Kind>,
    /// What files may be like, and whether the cache may trust their times.
    pub limits: Limits,
    /// How long the disk may take, for everything together; where the user's code has a part in the stages, for each stretch between
    /// two calls of it.
    pub timeout: Duration,
    /// The user's home directory, which no stray manifest makes a project.
    pub home: Option<PathBuf>,
    /// What projects are called, and which directories are none.
    pub naming: Naming,
}

impl Request {
    /// The directory that is to be resolved and walked from.
    fn first_dir(&self, look: &Look) -> Result<&Path, Stop> {
        if !self.near {
            look.at(&self.start_dir)?;
            return Ok(&self.start_dir);
        }
        let is_passed_over = |dir: &Path| match dir.metadata() {
            Ok(metadata) => !metadata.is_dir(),
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        let mut dir = self.start_dir.as_path();
        loop {
            look.at(dir)?;
            match dir.parent().filter(|_| is_passed_over(dir)) {
                Some(parent) => dir = parent,
                None => return Ok(dir),
            }
        }
    }

    /// Whether the user's code has a part in finding the project or its files.
    pub fn needs_host(&self) -> bool {
        mixed::is_needed(self)
    }

    /// The same start and rules, as far as they decide which project it is: no file is searched.
    #[must_use]
    pub fn of_project(&self) -> Self {
        let decides = |stage: &&Stage| matches!(stage, Stage::Walk { .. } | Stage::Detect { .. });
        Self { stages: self.stages.iter().filter(decides).cloned().collect(), ..self.clone() }
    }

    /// Whether files in `config_dir` are searched and read.
    fn reads_files(&self) -> bool {
        let is_any = |wanted: fn(&Stage) -> bool| self.stages.iter().any(wanted);
        is_any(|stage| matches!(stage, Stage::FindFiles { .. }))
            && is_any(|stage| matches!(stage, Stage::Execute { .. }))
    }
}

/// A kind of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// `json`, `lua`, `vim`, or one of the user's own.
    pub name: String,
    /// Its extensions with their dot, in the order in which a project's own files run. One that an earlier kind has is that
    /// one's.
    pub extensions: Vec<String>,
    /// Its files are JSON, parsed and merged into [`Plan::json`].
    pub merged: bool,
}

/// A stage of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Hands on directories, from the start directory on. Without it the following stages see the start directory only.
    Walk {
        /// Which way.
        direction: Direction,
        /// Only directories that match are handed on.
        matcher: Option<Matcher>,
    },
    /// Decides which of the directories is the project. Where none does, the start directory is the project.
    Detect {
        /// How.
        how: Detect,
        /// The host is asked about each directory that would be the project.
        on_match: bool,
    },
    /// Names the project's files. Several such stages add up; each file is found once.
    FindFiles {
        /// Extensions with their dot; `None`: those of all kinds.
        extensions: Option<Vec<String>>,
        /// Only files whose name matches.
        matcher: Option<Matcher>,
        /// The host names the files, instead of the search in `config_dir`.
        finder: bool,
    },
    /// Reads the files. Without it the plan names projects and no files.
    Execute {
        /// Conditions on a file's name. The first that matches is the file's [`crate::plan::PlannedFile::route`].
        routes: Vec<Matcher>,
    },
    /// A function of the user's.
    Call,
}

/// Where a walk leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the parent, and on to the root of the file system.
    Up,
    /// To all directories below, the nearest first, in byte order; not into hidden ones, links, `node_modules`, `vendor`,
    /// `target`, and no more than 10,000.
    Down,
}

/// How a project is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detect {
    /// The nearest repository with the packages on the way to it, else the nearest manifest.
    Default {
        /// Also where an earlier stage has found a project.
        override_: bool,
    },
    /// The first directory that matches, named after itself.
    Matching {
        /// The condition.
        matcher: Matcher,
        /// The last one instead, and also where an earlier stage has found a project.
        override_: bool,
    },
}

impl Detect {
    fn matcher(&self) -> Option<&Matcher> {
        match self {
            Self::Default { .. } => None,
            Self::Matching { matcher, .. } => Some(matcher),
        }
    }
}

impl Stage {
    /// What it is called in messages.
    fn name(&self) -> &'static str {
        match self {
            Self::Walk { .. } => "walk",
            Self::Detect { .. } => "detect",
            Self::FindFiles { .. } => "find_files",
            Self::Execute { .. } => "execute",
            Self::Call => "function",
        }
    }

    /// Walk up, detect, find the files of all kinds, execute.
    pub fn default_pipeline() -> Vec<Self> {
        vec![
            Self::Walk { direction: Direction::Up, matcher: None },
            Self::Detect { how: Detect::Default { override_: false }, on_match: false },
            Self::FindFiles { extensions: None, matcher: None, finder: false },
            Self::Execute { routes: Vec::new() },
        ]
    }
}

/// What all loads share: the file cache, the directories seen, and the calls to the disk that are out.
#[derive(Debug)]
pub struct Engine {
    cache: Arc<FileCache>,
    calls: Arc<Calls>,
    memory: Arc<Memory>,
    /// From how long a call on a disk is slow, and whether one has been.
    slow_call: Duration,
    any_slow: Arc<AtomicBool>,
}

impl Engine {
    /// An engine that reads through `cache`.
    pub fn new(cache: Arc<FileCache>) -> Self {
        let (calls, memory) = (Arc::clone(&cache.disk().calls), Arc::new(Memory::with(&cache.disk().steps)));
        Self { cache, calls, memory, slow_call: pace::SLOW_CALL, any_slow: Arc::default() }
    }

    /// Starts to find the project and to read its files; `deliver` gets the result once, on whichever thread has it. Has to be
    /// called inside a tokio runtime with time; all blocking work happens on its blocking threads. The future that is returned
    /// watches over the load: spawn it, or its deadline does not hold. Dropping it cancels the load.
    ///
    /// `shown` says which plan is shown for a project at the moment: a JSON file that cannot be read now keeps the values it
    /// had there, and JSON of which nothing has changed stays the same `Arc`. It is asked once, on another thread, when the
    /// project is known. `host` runs the user's code, where stages are or have some.
    ///
    /// # Errors
    /// Delivered is only what keeps a load from starting: a start directory that does not exist or is none, a `config_dir` that
    /// cannot be opened, `Timeout` with the path that was being looked at when the time was up before a project was found.
    /// What is wrong with a file is in [`Plan::problems`].
    pub fn start<S, D>(
        &self,
        request: Request,
        shown: S,
        host: Arc<dyn Host>,
        deliver: D,
    ) -> impl Future<Output = ()> + Send + use<S, D>
    where
        S: Fn(&Project) -> Option<Arc<Plan>> + Send + Sync + 'static,
        D: FnOnce(Result<Plan>) + Send + 'static,
    {
        let job = Arc::new(self.job(request, shown));
        let started = if let Some(error) = misplaced(&job.request.stages) {
            Started::Refused(error, deliver)
        } else if mixed::is_needed(&job.request) {
            Started::Mixed(mixed::start(job, host, Box::new(deliver)))
        } else {
            Started::Native(runner::start(job, Box::new(deliver)))
        };
        async move {
            match started {
                Started::Native(load) => load.await,
                Started::Mixed(load) => load.await,
                Started::Refused(error, deliver) => deliver(Err(error)),
            }
        }
    }

    fn job(&self, request: Request, shown: impl Fn(&Project) -> Option<Arc<Plan>> + Send + Sync + 'static) -> Job {
        Job {
            cache: Arc::clone(&self.cache),
            calls: Arc::clone(&self.calls),
            memory: Arc::clone(&self.memory),
            shown: Arc::new(shown),
            begin: Begin::Stages,
            deadline: Instant::now() + request.timeout,
            pace: Pace::new(self.slow_call, &self.any_slow),
            hindered: AtomicBool::new(false),
            request: Arc::new(request),
        }
    }

    /// As [`Engine::start`], for one who only waits.
    ///
    /// # Errors
    /// What `start` delivers.
    pub async fn plan(
        &self,
        request: Request,
        shown: impl Fn(&Project) -> Option<Arc<Plan>> + Send + Sync + 'static,
        host: Arc<dyn Host>,
    ) -> Result<Plan> {
        let (deliver, delivered) = oneshot::channel();
        let watch = self.start(request, shown, host, |result| drop(deliver.send(result)));
        watch.await;
        delivered.await.unwrap_or_else(|_| Err(ErrorKind::Runtime("the result of a load was lost".into()).into()))
    }
}

/// A load on its way.
enum Started<N, M, D> {
    Native(N),
    Mixed(M),
    Refused(Error, D),
}

/// What is wrong with the order of the stages.
fn misplaced(stages: &[Stage]) -> Option<Error> {
    let execute = stages.iter().position(|stage| matches!(stage, Stage::Execute { .. }))?;
    let mut behind = stages.iter().enumerate().skip(execute + 1);
    let (index, stage) = behind.find(|(_, stage)| !matches!(stage, Stage::Call))?;
    let text = format!(
        "pipeline stage {} ({}): only functions may stand behind execute; move it before",
        index + 1,
        stage.name()
    );
    Some(ErrorKind::InvalidArgument(text).into())
}

/// A request with all it needs, on its way through the threads.
struct Job {
    request: Arc<Request>,
    cache: Arc<FileCache>,
    calls: Arc<Calls>,
    memory: Arc<Memory>,
    shown: Arc<Shown>,
    begin: Begin,
    /// Until when the disk is waited for.
    deadline: Instant,
    pace: Pace,
    /// Another load was at a path that this one looked at before its project was known.
    hindered: AtomicBool,
}

/// What comes before the work that threads can share.
enum Begin {
    /// All stages.
    Stages,
    /// What `mixed` has left to do.
    Tail(Arc<Tail>),
}

impl Request {
    /// Conditions on a file's name that lead to an executor, and the stage that has them.
    fn routes(&self) -> Option<(usize, &[Matcher])> {
        self.stages.iter().enumerate().find_map(|(index, stage)| match stage {
            Stage::Execute { routes } => Some((index, routes.as_slice())),
            _ => None,
        })
    }

    /// Whether the routes cannot be chosen without the user's code.
    fn has_open_routes(&self) -> bool {
        self.routes().is_some_and(|(_, routes)| routes.iter().any(Matcher::has_leaves))
    }

    /// The first of the routes that take a file of this name.
    fn route(&self, name: &OsStr) -> Option<usize> {
        self.routes()?.1.iter().position(|route| route.matches(name))
    }
}

impl Job {
    fn begin(self: &Arc<Self>, look: &Look) -> Result<Work, Stop> {
        match &self.begin {
            Begin::Stages => detect_and_find(self, look),
            Begin::Tail(tail) => tail.begin(self, look),
        }
    }

    /// What is left of it, with all the time for the disk again: what was between was not only the disk's.
    fn tail(&self, tail: Tail) -> Self {
        Self {
            request: Arc::clone(&self.request),
            cache: Arc::clone(&self.cache),
            calls: Arc::clone(&self.calls),
            memory: Arc::clone(&self.memory),
            shown: Arc::clone(&self.shown),
            begin: Begin::Tail(Arc::new(tail)),
            deadline: Instant::now() + self.request.timeout,
            pace: self.pace.again(),
            hindered: AtomicBool::new(false),
        }
    }

    /// Whether levels of the walk are looked at side by side. Two loads that do so could hinder each other for ever, so each does
    /// it once.
    fn looks_ahead(&self) -> bool {
        self.pace.is_slow() && !self.hindered.load(Ordering::Relaxed)
    }

    /// What earlier loads found, unless no time stamp is to be trusted.
    fn known(&self) -> Option<Known<'_>> {
        let known = || Known { memory: &self.memory, read_at: Timestamp::now() };
        self.request.limits.trust_mtime.then(known)
    }
}

/// Which plan is shown for a project.
type Shown = dyn Fn(&Project) -> Option<Arc<Plan>> + Send + Sync;

/// Why a thread cannot go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Somebody else is looking at this path; to be tried again when it is released.
    Blocked(PathBuf),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Blocked> for Stop {
    fn from(Blocked(path): Blocked) -> Self {
        Self::Blocked(path)
    }
}

/// The stages up to the point from which threads can share the work.
fn detect_and_find(job: &Arc<Job>, look: &Look) -> Result<Work, Stop> {
    let began = Instant::now();
    let request = &job.request;
    let start_dir = request.first_dir(look)?;
    let opened = Opened::open(start_dir);
    let measured = job.pace.measure(began, 1);
    let (start, mut ahead, to_verify) = match opened {
        Some(opened) if job.looks_ahead() => {
            let ahead = Ahead::begin(job, &opened.path, &opened.handle);
            (opened.believe(), ahead, Some(opened))
        }
        opened => {
            let start = opened.and_then(Opened::verify);
            job.pace.measure(measured, 2);
            let opened = start.as_ref().and_then(Start::handle).filter(|_| job.looks_ahead());
            let ahead = start.as_ref().zip(opened).map(|(start, handle)| Ahead::begin(job, &start.path, handle));
            (start, ahead.unwrap_or_else(Ahead::nothing), None)
        }
    };
    let start = match start {
        Some(start) => start,
        None => Start::resolve_by_path(start_dir)?,
    };

    let exclude = naming::exclude(job, look)?;
    let mut found: Option<Found> = None;
    let mut dirs = Dirs::only(job, look, start.path.clone(), exclude.clone());
    let mut filters = Vec::new();
    for stage in &request.stages {
        match stage {
            Stage::Walk { direction, matcher } => {
                let levels = ahead.levels.take_if(|_| *direction == Direction::Up);
                dirs =
                    Dirs::walk(job, look, start.clone(), *direction, matcher.clone(), levels).without(exclude.clone());
            }
            Stage::Detect { how, .. } => {
                if found.is_none()
                    || matches!(how, Detect::Matching { override_: true, .. } | Detect::Default { override_: true })
                {
                    found = detect::detect(how, &mut dirs, job, look)?.or(found);
                }
            }
            Stage::FindFiles { extensions, matcher, .. } => {
                filters.push(Filter { extensions: extensions.clone(), matcher: matcher.clone() });
            }
            Stage::Execute { .. } | Stage::Call => {}
        }
    }
    let found = match found {
        Some(found) => found,
        None if is_excluded(&start.path, exclude.as_ref(), job, look)? => {
            return Err(Error::new(ErrorKind::Excluded).at(start.path).into());
        }
        None => Found::fallback(start.path.clone()),
    };
    let nest = match request.naming.needs_disk() {
        true => found.clone().named(&LookedUp::of(&found.roots[0], job, look)?, None)?,
        false => found.named(&LookedUp::default(), None)?,
    };

    if !request.reads_files() {
        filters.clear();
    }
    let search = search(job, look, filters, ahead.config_dir.take())?;
    let is_configuration = request.near && lies_in(&start.path, &request.config_dir, look)?;
    look.rest();
    let mut roots = Vec::new();
    if job.pace.is_slow() {
        roots.extend(nest.levels.iter().map(|level| dirs.subdirectories_of(&level.root)));
    }
    let work = Work::new(Arc::clone(job), start.path, nest, search, to_verify, began)?;
    Ok(work.with_roots(roots).of_configuration(is_configuration))
}

/// Whether a resolved path lies in a directory.
fn lies_in(path: &Path, directory: &Path, look: &Look) -> Result<bool, Stop> {
    look.at(directory)?;
    Ok(directory.canonicalize().is_ok_and(|directory| path.starts_with(directory)))
}

/// The directory at `path`, links resolved; `None` where there is none.
pub(crate) fn resolve_directory(path: &Path) -> Option<PathBuf> {
    Start::resolve(path).ok().map(|start| start.path)
}

/// Whether the start directory is no project although nothing else is one.
fn is_excluded(start: &Path, exclude: Option<&Matcher>, job: &Job, look: &Look) -> Result<bool, Stop> {
    let Some(exclude) = exclude else { return Ok(false) };
    look.at(start)?;
    Ok(exclude.matches(&Directory::open(start.to_path_buf(), job.known())))
}

/// The search for files in `config_dir`, if there is anything to look for.
fn search(
    job: &Arc<Job>,
    look: &Look,
    filters: Vec<Filter>,
    begun: Option<Aside<Option<ConfigDir>>>,
) -> Result<Option<Search>, Stop> {
    if filters.is_empty() {
        return Ok(None);
    }
    let config_dir = match begun {
        Some(begun) => begun.wait(job, look)?,
        None => {
            let config_dir = &job.request.config_dir;
            look.at(config_dir)?;
            let opening = Instant::now();
            let opened = ConfigDir::open(config_dir)?;
            job.pace.measure(opening, 2);
            opened
        }
    };
    let config_dir = config_dir.map(|opened| if job.pace.is_slow() { opened.closing_later() } else { opened });
    Ok(config_dir.map(|config_dir| Search { config_dir, filters }))
}
