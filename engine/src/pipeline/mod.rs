//! The pipeline: from a start directory to a [`Plan`].
//!
//! ```text
//! start_dir ─ walk ─▶ dirs ─ detect ─▶ nest ─ find_files ─▶ candidates ─ execute ─▶ plan
//! ```
//!
//! Each stage is a file here and hands the next one what it found, as it is asked for it. All native stages run in one trip
//! to a blocking thread (`runner`). Nothing of the user's is run: that is for the Neovim module, with the plan in its hand.

mod calls;
mod detect;
mod directory;
mod execute;
mod find_files;
mod listings;
mod packages;
mod runner;
mod walk;
mod worktree;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileCache;
use crate::fingerprint::Timestamp;
use crate::matcher::Matcher;
use crate::open::{ConfigDir, Limits};
use crate::plan::{Plan, Project};

use calls::{Blocked, Calls, Look};
use detect::Nest;
use directory::Start;
use execute::Work;
use find_files::{Filter, Search};
use listings::{Known, Memory};
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
    /// Its extensions with their dot, in the order in which a project's own files run. One that an earlier kind has is that
    /// one's.
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
    /// To all directories below, the nearest first, in byte order; not into hidden ones, links, `node_modules`, `vendor`,
    /// `target`, and no more than 10,000.
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

/// What all loads share: the file cache, the directories seen, and the calls to the disk that are out.
#[derive(Debug)]
pub struct Engine {
    cache: Arc<FileCache>,
    calls: Arc<Calls>,
    memory: Arc<Memory>,
}

impl Engine {
    /// An engine that reads through `cache`.
    pub fn new(cache: Arc<FileCache>) -> Self {
        Self { cache, calls: Arc::default(), memory: Arc::default() }
    }

    /// Starts to find the project and to read its files; `deliver` gets the result once, on whichever thread has it. Has to be
    /// called inside a tokio runtime with time; all blocking work happens on its blocking threads. The future that is returned
    /// watches over the load: spawn it, or its deadline does not hold. Dropping it cancels the load.
    ///
    /// `shown` says which plan is shown for a project at the moment: a JSON file that cannot be read now keeps the values it
    /// had there, and JSON of which nothing has changed stays the same `Arc`. It is asked once, on another thread, when the
    /// project is known.
    ///
    /// # Errors
    /// Delivered is only what keeps a load from starting: a start directory that does not exist or is none, a `config_dir` that
    /// cannot be opened, `Timeout` with the path that was being looked at when the time was up before a project was found.
    /// What is wrong with a file is in [`Plan::problems`].
    pub fn start<S, D>(&self, request: Request, shown: S, deliver: D) -> impl Future<Output = ()> + Send + use<S, D>
    where
        S: Fn(&Project) -> Option<Arc<Plan>> + Send + Sync + 'static,
        D: FnOnce(Result<Plan>) + Send + 'static,
    {
        let (cache, calls, memory) = (Arc::clone(&self.cache), Arc::clone(&self.calls), Arc::clone(&self.memory));
        runner::start(Arc::new(Job { request, cache, calls, memory, shown: Box::new(shown) }), Box::new(deliver))
    }

    /// As [`Engine::start`], for one who only waits.
    ///
    /// # Errors
    /// What `start` delivers.
    pub async fn plan(
        &self,
        request: Request,
        shown: impl Fn(&Project) -> Option<Arc<Plan>> + Send + Sync + 'static,
    ) -> Result<Plan> {
        let (deliver, delivered) = oneshot::channel();
        let watch = self.start(request, shown, |result| drop(deliver.send(result)));
        watch.await;
        delivered.await.unwrap_or_else(|_| Err(ErrorKind::Runtime("the result of a load was lost".into()).into()))
    }
}

/// A request with all it needs, on its way through the threads.
struct Job {
    request: Request,
    cache: Arc<FileCache>,
    calls: Arc<Calls>,
    memory: Arc<Memory>,
    shown: Box<Shown>,
}

impl Job {
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
    let known = job.known();
    let start = Start::resolve(&request.start_dir)?;

    let mut dirs = Dirs::only(look, start.path.clone());
    let mut nest: Option<Nest> = None;
    let mut filters = Vec::new();
    for stage in &request.stages {
        match stage {
            Stage::Walk { direction, matcher } => {
                dirs = Dirs::walk(look, known, start.clone(), *direction, matcher.clone());
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
    Ok(Work::new(Arc::clone(job), start.path, nest, search, began)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;
    use tokio::runtime::Runtime;

    use super::*;

    /// A repository `app` with a `config` directory beside it.
    struct Scene {
        directory: TempDir,
        engine: Engine,
        runtime: Runtime,
    }

    impl Scene {
        fn new(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            for directory in ["app/.git", "config/app"].map(|path| directory.path().join(path)) {
                fs::create_dir_all(directory).unwrap();
            }
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
            let engine = Engine::new(Arc::new(FileCache::new(1 << 20)));
            let scene = Self { directory, engine, runtime };
            for (file, content) in files {
                scene.write(file, content);
            }
            scene
        }

        fn path(&self, path: &str) -> PathBuf {
            self.directory.path().canonicalize().unwrap().join(path)
        }

        fn write(&self, file: &str, content: &str) {
            fs::write(self.path("config").join(file), content).unwrap();
        }

        fn request(&self, timeout: Duration) -> Request {
            let kind = |name: &str, extension: &str, merged| Kind {
                name: name.into(),
                extensions: vec![extension.into()],
                merged,
            };
            Request {
                start_dir: self.path("app"),
                config_dir: self.path("config"),
                stages: Stage::default_pipeline(),
                kinds: vec![kind("json", ".json", true), kind("lua", ".lua", false)],
                limits: Limits { max_file_size: 1 << 20, trust_mtime: true },
                timeout,
                home: None,
            }
        }

        fn plan_within(&self, timeout: Duration, previous: Option<&Plan>) -> Result<Plan> {
            let previous = previous.cloned().map(Arc::new);
            self.runtime.block_on(self.engine.plan(self.request(timeout), move |_| previous.clone()))
        }

        fn plan(&self, previous: Option<&Plan>) -> Plan {
            self.plan_within(Duration::from_secs(60), previous).unwrap()
        }
    }

    fn files(plan: &Plan) -> Vec<&str> {
        plan.files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect()
    }

    /// Long enough for a load that does not hang, short enough to wait for one that does.
    const SHORT: Duration = Duration::from_millis(200);

    #[test]
    fn the_json_is_the_same_while_nothing_changes() {
        let scene = Scene::new(&[("app.json", r#"{"a": 1}"#), ("app/b.json", r#"{"b": 1}"#)]);
        let first = scene.plan(None);
        let second = scene.plan(Some(&first));
        assert!(Arc::ptr_eq(&first.json, &second.json));
        scene.write("app/b.json", r#"{"b": 22}"#);
        let third = scene.plan(Some(&second));
        assert_eq!(third.json.to_string(), r#"{"a":1,"b":22}"#);
        fs::remove_file(scene.path("config/app.json")).unwrap();
        assert_eq!(scene.plan(Some(&third)).json.to_string(), r#"{"b":22}"#);
    }

    #[test]
    fn malformed_json_keeps_its_last_good_values_until_it_is_repaired_or_removed() {
        let scene = Scene::new(&[("app.json", r#"{"a": 1}"#), ("app/b.json", r#"{"b": 1}"#)]);
        let mut plan = scene.plan(None);
        scene.write("app.json", "{");
        for _ in 0..2 {
            let json = Arc::clone(&plan.json);
            plan = scene.plan(Some(&plan));
            assert!(Arc::ptr_eq(&plan.json, &json));
            assert_eq!(files(&plan), ["b.json"]);
            assert_eq!(plan.problems[0].path(), Some(&*scene.path("config/app.json")));
            assert_eq!(plan.problems[0].kind.code(), "syntax");
        }
        scene.write("app.json", r#"{"a": 333}"#);
        plan = scene.plan(Some(&plan));
        assert_eq!(plan.json.to_string(), r#"{"a":333,"b":1}"#);
        fs::remove_file(scene.path("config/app.json")).unwrap();
        fs::create_dir(scene.path("config/app.json")).unwrap();
        plan = scene.plan(Some(&plan));
        assert_eq!((plan.json.to_string(), plan.problems.len()), (r#"{"b":1}"#.into(), 1));
    }

    #[test]
    fn a_repository_made_or_removed_between_loads_is_noticed() {
        let scene = Scene::new(&[]);
        let directory = scene.path("app/src");
        fs::create_dir(&directory).unwrap();
        let request = || Request { start_dir: directory.clone(), ..scene.request(Duration::from_secs(60)) };
        let name = || scene.runtime.block_on(scene.engine.plan(request(), |_| None)).unwrap().projects.remove(0).name;
        for _ in 0..2 {
            assert_eq!((name(), name()), ("app".into(), "app".into()));
            fs::create_dir(directory.join(".hg")).unwrap();
            assert_eq!((name(), name()), ("src".into(), "src".into()));
            fs::remove_dir(directory.join(".hg")).unwrap();
        }
    }

    #[test]
    fn many_files_keep_their_order_whichever_thread_reads_them() {
        let names: Vec<String> = (0..2000).map(|index| format!("app/{index:04}.lua")).collect();
        let scene = Scene::new(&names.iter().map(|name| (name.as_str(), "")).collect::<Vec<_>>());
        let plan = scene.plan(None);
        assert!(plan.problems.is_empty());
        assert_eq!(files(&plan), names.iter().map(|name| &name[4..]).collect::<Vec<_>>());
    }

    /// Somebody else is looking at the path, and does not come back: what a load sees of another one that hangs.
    #[test]
    fn a_path_that_hangs_elsewhere_is_a_time_out_and_the_rest_loads() {
        let scene = Scene::new(&[("app.json", r#"{"a": 1}"#), ("app.lua", ""), ("app/more.lua", "")]);
        let before = scene.plan(None);
        let (hung_json, hung_lua) = (Look::new(&scene.engine.calls), Look::new(&scene.engine.calls));
        hung_json.at(&scene.path("config/app.json")).unwrap();
        hung_lua.at(&scene.path("config/app.lua")).unwrap();
        let plan = scene.plan_within(SHORT, Some(&before)).unwrap();
        assert_eq!(files(&plan), ["more.lua"]);
        assert_eq!(plan.json.to_string(), r#"{"a":1}"#);
        let expected = |file| Error::new(ErrorKind::Timeout { after_ms: 200 }).at(scene.path(file));
        assert_eq!(plan.problems, [expected("config/app.json"), expected("config/app.lua")]);
        drop((hung_json, hung_lua));
        assert_eq!(files(&scene.plan(None)), ["app.json", "app.lua", "more.lua"]);
    }

    #[test]
    fn a_directory_of_files_that_hangs_elsewhere_does_not_hold_back_the_rest() {
        let scene = Scene::new(&[("app.lua", ""), ("app/more.lua", "")]);
        let hung = Look::new(&scene.engine.calls);
        hung.at(&scene.path("config/app")).unwrap();
        let plan = scene.plan_within(SHORT, None).unwrap();
        assert_eq!(files(&plan), ["app.lua"]);
        assert_eq!(plan.problems, [Error::new(ErrorKind::Timeout { after_ms: 200 }).at(scene.path("config/app"))]);
    }

    #[test]
    fn a_load_that_cannot_find_its_project_in_time_names_the_path_that_hangs() {
        let scene = Scene::new(&[]);
        for path in ["app", "config"].map(|path| scene.path(path)) {
            let hung = Look::new(&scene.engine.calls);
            hung.at(&path).unwrap();
            let error = scene.plan_within(SHORT, None).unwrap_err();
            assert_eq!(error, Error::new(ErrorKind::Timeout { after_ms: 200 }).at(path));
        }
    }

    #[test]
    fn a_load_goes_on_when_the_path_it_waits_for_is_released() {
        let scene = Scene::new(&[("app.lua", "")]);
        for path in ["app", "config", "config/app", "config/app.lua"].map(|path| scene.path(path)) {
            let hung = Look::new(&scene.engine.calls);
            hung.at(&path).unwrap();
            let planned = std::thread::scope(|scope| {
                let planning = scope.spawn(|| scene.plan(None));
                // Released when the load is waiting for it, or before it has come so far: it must end either way.
                std::thread::yield_now();
                drop(hung);
                planning.join().unwrap()
            });
            assert_eq!(files(&planned), ["app.lua"]);
        }
    }

    #[test]
    fn loads_at_the_same_time_do_not_hinder_each_other() {
        let scene = Scene::new(&[("app.lua", ""), ("app.json", "{}"), ("app/more.lua", "")]);
        let plans = std::thread::scope(|scope| {
            let loads: Vec<_> = (0..20).map(|_| scope.spawn(|| scene.plan(None))).collect();
            loads.into_iter().map(|load| load.join().unwrap()).collect::<Vec<_>>()
        });
        for plan in plans {
            assert_eq!(files(&plan), ["app.json", "app.lua", "more.lua"]);
            assert!(plan.problems.is_empty());
        }
    }

    #[test]
    fn a_load_that_is_dropped_leaves_nothing_behind() {
        let scene = Scene::new(&[("app.lua", "")]);
        let hung = Look::new(&scene.engine.calls);
        hung.at(&scene.path("config/app.lua")).unwrap();
        scene.runtime.block_on(async {
            let load = scene.engine.plan(scene.request(Duration::from_secs(60)), |_| None);
            assert!(tokio::time::timeout(SHORT, load).await.is_err());
        });
        drop(hung);
        assert_eq!(files(&scene.plan(None)), ["app.lua"]);
    }
}
