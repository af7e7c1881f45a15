//! The pipeline: from a start directory to a [`Plan`].
//!
//! ```text
//! start_dir ─ walk ─▶ dirs ─ detect ─▶ nest ─ find_files ─▶ candidates ─ execute ─▶ plan
//! ```
//!
//! Each stage is a file here and hands the next one what it found, as it is asked for it. All native stages run in one trip to a blocking thread
//! (`runner`). Nothing of the user's is run: that is for the Neovim module, with the plan in its hand.

mod calls;
mod detect;
mod directory;
mod execute;
mod find_files;
mod packages;
mod runner;
mod walk;
mod worktree;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::file_cache::FileCache;
use crate::matcher::Matcher;
use crate::open::{ConfigDir, Limits};
use crate::plan::{Plan, Project};

use calls::{Blocked, Calls, Look};
use detect::Nest;
use directory::Start;
use execute::Work;
use find_files::{Filter, Search};
use walk::Dirs;

/// One load, as asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the walk begins; absolute.
    pub start_dir: PathBuf,
    /// Where the user's files are; absolute. It need not exist.
    pub config_dir: PathBuf,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// The kinds of files, in the order in which they run.
    pub kinds: Vec<Kind>,
    /// What files may be like, and whether the cache may trust their times.
    pub limits: Limits,
    /// How long the disk may take, for everything together.
    pub timeout: Duration,
    /// The user's home directory, which no stray manifest makes a project.
    pub home: Option<PathBuf>,
}

/// A kind of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// `json`, `lua`, `vim`, or one of the user's own.
    pub name: String,
    /// Its extensions with their dot, in the order in which a project's own files run. One that an earlier kind has is that one's.
    pub extensions: Vec<String>,
    /// Its files are JSON, parsed and merged into [`Plan::json`].
    pub merged: bool,
}

/// A native stage of the pipeline.
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
    Detect(Detect),
    /// Names the project's files. Several such stages add up; each file is found once.
    FindFiles {
        /// Extensions with their dot; `None`: those of all kinds.
        extensions: Option<Vec<String>>,
        /// Only files whose name matches.
        matcher: Option<Matcher>,
    },
    /// Reads the files. Without it the plan names projects and no files.
    Execute,
}

/// Where a walk leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the parent, and on to the root of the file system.
    Up,
    /// To all directories below, the nearest first, in byte order; not into hidden ones, links, `node_modules`, `vendor`, `target`,
    /// and no more than 10,000.
    Down,
}

/// How a project is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detect {
    /// The nearest repository with the packages on the way to it, else the nearest manifest.
    Default,
    /// The first directory that matches, named after itself.
    Matching {
        /// The condition.
        matcher: Matcher,
        /// The last one instead, and also where an earlier stage has found a project.
        override_: bool,
    },
}

impl Stage {
    /// Walk up, detect, find the files of all kinds, execute.
    pub fn default_pipeline() -> Vec<Self> {
        vec![
            Self::Walk { direction: Direction::Up, matcher: None },
            Self::Detect(Detect::Default),
            Self::FindFiles { extensions: None, matcher: None },
            Self::Execute,
        ]
    }
}

/// What all loads share: the file cache, and the calls to the disk that are out.
#[derive(Debug)]
pub struct Engine {
    cache: Arc<FileCache>,
    calls: Arc<Calls>,
}

impl Engine {
    /// An engine that reads through `cache`.
    pub fn new(cache: Arc<FileCache>) -> Self {
        Self { cache, calls: Arc::new(Calls::default()) }
    }

    /// Finds the project and reads its files. Needs a tokio runtime with time; all blocking work happens on its blocking threads. Dropping the
    /// future cancels the load.
    ///
    /// `shown` says which plan is shown for a project at the moment: a JSON file that cannot be read now keeps the values it had there,
    /// and JSON of which nothing has changed stays the same `Arc`. It is asked once, on another thread, when the project is known.
    ///
    /// # Errors
    /// Only what keeps a load from starting: a start directory that does not exist or is none, a `config_dir` that cannot be opened,
    /// `Timeout` with the path that was being looked at when the time was up before a project was found. What is wrong with a
    /// file is in [`Plan::problems`].
    pub async fn plan(
        &self,
        request: Request,
        shown: impl Fn(&Project) -> Option<Arc<Plan>> + Send + Sync + 'static,
    ) -> Result<Plan> {
        let (cache, calls) = (Arc::clone(&self.cache), Arc::clone(&self.calls));
        runner::run(Arc::new(Job { request, cache, calls, shown: Box::new(shown) })).await
    }
}

/// A request with all it needs, on its way through the threads.
struct Job {
    request: Request,
    cache: Arc<FileCache>,
    calls: Arc<Calls>,
    shown: Box<Shown>,
}

/// Which plan is shown for a project.
type Shown = dyn Fn(&Project) -> Option<Arc<Plan>> + Send + Sync;

/// Why a thread cannot go on.
#[derive(Debug)]
enum Stop {
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
    look.at(&request.start_dir)?;
    let start = Start::resolve(&request.start_dir)?;

    let mut dirs = Dirs::only(look, start.path.clone());
    let mut nest: Option<Nest> = None;
    let mut filters = Vec::new();
    for stage in &request.stages {
        match stage {
            Stage::Walk { direction, matcher } => {
                dirs = Dirs::walk(look, start.clone(), *direction, matcher.clone());
            }
            Stage::Detect(how) => {
                if nest.is_none() || matches!(how, Detect::Matching { override_: true, .. }) {
                    nest = detect::detect(how, &mut dirs, look, request.home.as_deref())?.or(nest);
                }
            }
            Stage::FindFiles { extensions, matcher } => {
                filters.push(Filter { extensions: extensions.clone(), matcher: matcher.clone() });
            }
            Stage::Execute => {}
        }
    }
    let nest = match nest {
        Some(nest) => nest,
        None => Nest::single(&start.path)?,
    };

    let mut search = None;
    if !filters.is_empty() && request.stages.contains(&Stage::Execute) {
        look.at(&request.config_dir)?;
        search = ConfigDir::open(&request.config_dir)?.map(|config_dir| Search { config_dir, filters });
    }
    look.rest();
    Ok(Work::new(Arc::clone(job), start.path, nest, search, began))
}
