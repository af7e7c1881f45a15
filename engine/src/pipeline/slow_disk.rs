//! What a load does on a slow disk, made one by taking every call for slow: the same as on a quick one, whichever thread is
//! first, and whatever path hangs.

use std::collections::BTreeSet;
use std::fs;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::host::NoHost;
use super::*;

/// Long enough for a load that does not hang, short enough to wait for one that does.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

/// A directory with `config` for the user's files in it.
struct Scene {
    directory: TempDir,
    runtime: Runtime,
}

impl Scene {
    /// Paths that end in a slash are directories.
    fn new(paths: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let scene = Self { directory, runtime };
        for path in paths {
            scene.make(path);
        }
        scene
    }

    fn make(&self, path: &str) {
        let full = self.path(path);
        fs::create_dir_all(if path.ends_with('/') { &full } else { full.parent().unwrap() }).unwrap();
        if !path.ends_with('/') {
            fs::write(full, if path.ends_with(".json") { "{}" } else { "" }).unwrap();
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(path)
    }

    fn quick(&self) -> Engine {
        Engine { slow_call: LONG, ..Engine::new(Arc::new(FileCache::new(1 << 20))) }
    }

    fn slow(&self) -> Engine {
        Engine { slow_call: Duration::ZERO, ..self.quick() }
    }

    fn request(&self, start_dir: &str, timeout: Duration) -> Request {
        let kind = |name: &str, merged| Kind { name: name.into(), extensions: vec![format!(".{name}")], merged };
        Request {
            start_dir: self.path(start_dir),
            near: false,
            config_dir: self.path("config"),
            stages: Stage::default_pipeline(),
            kinds: vec![kind("json", true), kind("lua", false), kind("vim", false)],
            limits: Limits { max_file_size: 1 << 20, trust_mtime: true },
            timeout,
            home: None,
            naming: Naming::default(),
        }
    }

    fn plan(&self, engine: &Engine, start_dir: &str, timeout: Duration) -> Result<Plan> {
        self.runtime.block_on(engine.plan(self.request(start_dir, timeout), |_| None, Arc::new(NoHost)))
    }

    fn hold(&self, engine: &Engine, path: &str) -> Look {
        let held = Look::new(&engine.calls);
        held.at(&self.path(path)).unwrap();
        held
    }

    fn time_out(&self, path: &str) -> Error {
        let after_ms = u64::try_from(SHORT.as_millis()).unwrap();
        Error::new(ErrorKind::Timeout { after_ms }).at(self.path(path))
    }
}

fn files(plan: &Plan) -> Vec<&str> {
    plan.files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect()
}

/// What two loads of the same tree have to agree in.
#[derive(Debug, PartialEq)]
struct Outcome {
    projects: Vec<Project>,
    files: Vec<(PathBuf, usize, usize)>,
    problems: BTreeSet<String>,
    json: String,
}

fn outcome(plan: &Plan) -> Outcome {
    Outcome {
        projects: plan.projects.clone(),
        files: plan.files.iter().map(|file| (file.path.to_path_buf(), file.kind, file.layer)).collect(),
        problems: plan.problems.iter().map(ToString::to_string).collect(),
        json: plan.json.to_string(),
    }
}

/// A repository with packages on both levels, some of which have files of their own.
const MONOREPO: [&str; 27] = [
    "repo/.git/",
    "repo/backend/Cargo.toml",
    "repo/docs/guide/",
    "repo/packages/frontend/package.json",
    "repo/packages/frontend/src/deep/",
    "repo/packages/plain/",
    "repo/service/go.mod",
    "repo/service/inner/go.mod",
    "repo/vendor/theirs/package.json",
    "config/repo.json",
    "config/repo.lua",
    "config/repo/.hidden.lua",
    "config/repo/a.lua",
    "config/repo/b.json",
    "config/repo/b.vim",
    "config/repo/backend.lua",
    "config/repo/frontend.json",
    "config/repo/frontend.lua",
    "config/repo/frontend/keys.lua",
    "config/repo/frontend/more.lua",
    "config/repo/guide.lua",
    "config/repo/inner.lua",
    "config/repo/notes.txt",
    "config/repo/plain.lua",
    "config/repo/theirs.lua",
    "config/repo/directory.lua/",
    "config/other.lua",
];

#[test]
fn a_plan_is_the_same_on_every_disk() {
    let scene = Scene::new(&MONOREPO);
    let (quick, slow) = (scene.quick(), scene.slow());
    let starts = ["repo", "repo/docs/guide", "repo/packages/frontend/src/deep", "repo/service/inner", "config/repo"];
    // Cold, then with what the first loads remember, then with changes.
    for change in ["config/repo/c.lua", "config/repo/new.lua", "repo/docs/new/package.json", "repo/a/Gemfile"] {
        for start in starts {
            let plan = scene.plan(&slow, start, LONG).unwrap();
            assert_eq!(outcome(&plan), outcome(&scene.plan(&quick, start, LONG).unwrap()), "{start} before {change}");
            assert_eq!(outcome(&plan), outcome(&scene.plan(&slow, start, LONG).unwrap()), "{start} before {change}");
        }
        scene.make(change);
    }
    let plan = scene.plan(&slow, "repo/docs", LONG).unwrap();
    let expected =
        ["repo.json", "b.json", "repo.lua", "c.lua", "guide.lua", "inner.lua", "plain.lua", "theirs.lua", "b.vim"];
    assert_eq!(files(&plan), expected);
}

#[test]
fn more_files_and_names_than_threads_keep_their_order() {
    let scene = Scene::new(&["repo/.git/", "config/repo/"]);
    for index in 0..300 {
        scene.make(&format!("config/repo/{index:03}.lua"));
        scene.make(&format!("repo/directory-{:02}/{index:03}/", index % 50));
    }
    scene.make("repo/directory-07/007/package.json");
    let plan = scene.plan(&scene.slow(), "repo", LONG).unwrap();
    let expected: Vec<String> = (0..300).filter(|index| *index != 7).map(|index| format!("{index:03}.lua")).collect();
    assert_eq!(files(&plan), expected);
}

#[test]
fn a_way_that_is_longer_than_there_are_threads_is_walked_to_its_end() {
    let deep = "deep/".repeat(60);
    let scene = Scene::new(&["repo/.git/", "config/repo.lua", &format!("repo/{deep}")]);
    let plan = scene.plan(&scene.slow(), &format!("repo/{deep}"), LONG).unwrap();
    assert_eq!((plan.projects[0].root.clone(), files(&plan)), (scene.path("repo"), vec!["repo.lua"]));
}

#[test]
fn large_directories_on_the_way_are_asked_as_on_a_quick_disk() {
    let scene = Scene::new(&["repo/.git/", "repo/package/Cargo.toml", "config/repo.lua", "config/repo/package.lua"]);
    for index in 0..400 {
        scene.make(&format!("repo/package/some-longish-file-name-{index}"));
        scene.make(&format!("repo/some-longish-file-name-{index}"));
    }
    let plan = scene.plan(&scene.slow(), "repo/package", LONG).unwrap();
    assert_eq!(outcome(&plan), outcome(&scene.plan(&scene.quick(), "repo/package", LONG).unwrap()));
    assert_eq!(files(&plan), ["repo.lua", "package.lua"]);
}

#[cfg(unix)]
#[test]
fn a_start_directory_behind_a_link_is_resolved() {
    let scene = Scene::new(&["repo/.git/", "repo/src/", "config/repo.lua"]);
    std::os::unix::fs::symlink(scene.path("repo/src"), scene.path("link")).unwrap();
    let plan = scene.plan(&scene.slow(), "link", LONG).unwrap();
    assert_eq!((plan.start_dir.clone(), files(&plan)), (scene.path("repo/src"), vec!["repo.lua"]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_start_directory_that_is_gone_is_told_as_on_a_quick_disk() {
    let scene = Scene::new(&["repo/.git/", "repo/src/"]);
    let open = fs::File::open(scene.path("repo/src")).unwrap();
    fs::remove_dir(scene.path("repo/src")).unwrap();
    let start = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
    let errors = [scene.slow(), scene.quick()].map(|engine| scene.plan(&engine, &start, LONG).unwrap_err());
    assert_eq!(errors[0], errors[1]);
    assert_eq!(errors[0].kind.code(), "not_found");
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_not_about_the_start_directory_is_no_plan_when_the_time_is_up() {
    let scene = Scene::new(&["repo/.git/", "repo/src/", "config/repo.lua", "config/repo/a.lua"]);
    let open = fs::File::open(scene.path("repo/src")).unwrap();
    fs::remove_dir(scene.path("repo/src")).unwrap();
    let start = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
    let engine = scene.slow();
    let _held = scene.hold(&engine, "config/repo.lua");
    let error = scene.plan(&engine, &start, SHORT).unwrap_err();
    assert_eq!((error.kind.code(), error.path()), ("timeout", Some(start.as_ref())));
}

#[test]
fn what_lies_beyond_the_end_of_a_walk_is_not_waited_for() {
    let scene = Scene::new(&["above/repo/.git/", "above/repo/src/", "config/repo.lua"]);
    let engine = scene.slow();
    let _held = scene.hold(&engine, "above");
    let plan = scene.plan(&engine, "above/repo/src", LONG).unwrap();
    assert_eq!(files(&plan), ["repo.lua"]);
}

#[test]
fn a_load_that_cannot_find_its_project_in_time_names_the_path_that_hangs() {
    let scene = Scene::new(&["repo/.git/", "repo/a/b/", "config/repo.lua"]);
    for path in ["repo", "repo/a", "repo/a/b", "config"] {
        let engine = scene.slow();
        let held = scene.hold(&engine, path);
        assert_eq!(scene.plan(&engine, "repo/a/b", SHORT).unwrap_err(), scene.time_out(path));
        drop(held);
        assert_eq!(files(&scene.plan(&engine, "repo/a/b", LONG).unwrap()), ["repo.lua"]);
    }
}

/// The path that a thread of the load itself hangs at: the one that waits for it says so.
#[test]
fn who_waits_for_a_thread_gives_up_at_the_deadline() {
    let scene = Scene::new(&["mount/"]);
    let engine = scene.slow();
    let request = scene.request("mount", SHORT);
    let job = Arc::new(engine.job(request, |_| None));
    let (answer, hang) = std::sync::mpsc::channel::<()>();
    let guard = scene.runtime.enter();
    let aside = aside::Aside::begin(&job, scene.path("mount"), move |_, _| {
        let _ = hang.recv();
        Ok(())
    });
    let look = Look::new(&job.calls);
    let watch = look.watch();
    let watched = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| aside.wait(&job, &look));
        let watched = loop {
            let path = watch.path();
            if path.is_some() || waiting.is_finished() {
                break path;
            }
            std::thread::yield_now();
        };
        let Err(Stop::Failed(error)) = waiting.join().unwrap() else { panic!("it has not failed") };
        assert_eq!(error, scene.time_out("mount"));
        watched
    });
    assert_eq!(watched, Some(scene.path("mount")));
    // Nobody follows it there meanwhile.
    look.at(&scene.path("mount")).unwrap_err();
    drop((answer, guard));
}

#[test]
fn a_file_or_directory_that_hangs_does_not_hold_back_the_rest() {
    let scene = Scene::new(&MONOREPO);
    let all =
        ["repo.json", "b.json", "repo.lua", "a.lua", "guide.lua", "inner.lua", "plain.lua", "theirs.lua", "b.vim"];
    let without = |missing: &str| all.into_iter().filter(|file| *file != missing).collect();
    for (path, expected) in [
        ("config/repo/a.lua", without("a.lua")),
        ("config/repo", vec!["repo.json", "repo.lua"]),
        ("config/repo.lua", without("repo.lua")),
        // Without it nobody knows which files are those of packages.
        ("repo/packages", vec!["repo.json", "repo.lua"]),
    ] {
        let engine = scene.slow();
        let _held = scene.hold(&engine, path);
        let plan = scene.plan(&engine, "repo", SHORT).unwrap();
        assert_eq!(files(&plan), expected, "{path}");
        let told = if path == "repo/packages" { "repo" } else { path };
        let timed_out: Vec<&Error> = plan.problems.iter().filter(|error| error.kind.code() == "timeout").collect();
        assert_eq!(timed_out, [&scene.time_out(told)], "{path}");
    }
}

#[test]
fn a_load_goes_on_when_the_path_it_waits_for_is_released() {
    let scene = Scene::new(&MONOREPO);
    let expected = outcome(&scene.plan(&scene.quick(), "repo/docs/guide", LONG).unwrap());
    let paths = ["repo", "repo/docs", "repo/docs/guide", "repo/packages", "config", "config/repo", "config/repo/a.lua"];
    for path in paths {
        let engine = scene.slow();
        let held = scene.hold(&engine, path);
        let plan = std::thread::scope(|scope| {
            let planning = scope.spawn(|| scene.plan(&engine, "repo/docs/guide", LONG));
            // Released when the load is waiting for it, or before it has come so far: it must end either way.
            std::thread::yield_now();
            drop(held);
            planning.join().unwrap().unwrap()
        });
        assert_eq!(outcome(&plan), expected, "{path}");
    }
}

#[test]
fn loads_at_the_same_time_end() {
    let scene = Scene::new(&MONOREPO);
    let engine = scene.slow();
    let expected = outcome(&scene.plan(&scene.quick(), "repo/docs/guide", LONG).unwrap());
    let plans = std::thread::scope(|scope| {
        let load = || scope.spawn(|| scene.plan(&engine, "repo/docs/guide", LONG).unwrap());
        let loads: Vec<_> = (0..20).map(|_| load()).collect();
        loads.into_iter().map(|load| load.join().unwrap()).collect::<Vec<_>>()
    });
    for plan in plans {
        assert_eq!(outcome(&plan), expected);
    }
}

#[cfg(unix)]
#[test]
fn a_directory_that_every_user_may_write_to_bars_its_files() {
    use std::os::unix::fs::PermissionsExt;

    let scene = Scene::new(&["repo/.git/", "config/repo.lua", "config/repo/more.lua"]);
    fs::set_permissions(scene.path("config/repo"), fs::Permissions::from_mode(0o777)).unwrap();
    let plan = scene.plan(&scene.slow(), "repo", LONG).unwrap();
    assert_eq!(files(&plan), ["repo.lua"]);
    assert_eq!(plan.problems[0].kind.code(), "untrusted");
    assert_eq!(outcome(&plan), outcome(&scene.plan(&scene.quick(), "repo", LONG).unwrap()));
}

#[test]
fn names_excluded_directories_and_ends_of_walks_are_the_same_on_every_disk() {
    let scene = Scene::new(&MONOREPO);
    scene.make(".git/");
    let path = |path: &str| Matcher::Path(scene.path(path));
    let name = |name: &str| crate::name::ProjectName::from_components([OsStr::new(name)]).unwrap();
    let namings = [
        Naming { exclude: Some(path("repo")), ..Naming::default() },
        Naming {
            exclude: Some(Matcher::Any(vec![path("repo/service"), path("repo/docs/guide")])),
            ..Naming::default()
        },
        Naming { exclude: Some(Matcher::Literal(".git".into())), ..Naming::default() },
        Naming { stop_at: Some(vec![scene.path("nowhere"), scene.path("repo")]), ..Naming::default() },
        Naming { stop_at: Some(vec![scene.path("repo/service/inner")]), ..Naming::default() },
        Naming { stop_at: Some(vec![scene.path("")]), exclude: Some(path("repo")), ..Naming::default() },
        Naming {
            names: vec![(scene.path("repo"), name("other")), (scene.path("repo/service"), name("s"))],
            ..Naming::default()
        },
        Naming { from: NameFrom::Remote, ..Naming::default() },
    ];
    for (index, naming) in namings.into_iter().enumerate() {
        for start in ["repo", "repo/docs/guide", "repo/packages/frontend/src/deep", "repo/service/inner"] {
            let plan = |engine: &Engine| {
                let request = Request { naming: naming.clone(), ..scene.request(start, LONG) };
                scene.runtime.block_on(engine.plan(request, |_| None, Arc::new(NoHost))).map(|plan| outcome(&plan))
            };
            assert_eq!(plan(&scene.slow()), plan(&scene.quick()), "{index} {start}");
        }
    }
}

#[test]
fn what_lies_above_the_end_of_a_walk_is_not_looked_at() {
    let scene = Scene::new(&["home/app/src/", "home/.git/", "config/src.lua"]);
    let engine = scene.slow();
    let held: Vec<Look> = ["home", "."].iter().map(|path| scene.hold(&engine, path)).collect();
    let request = Request { home: Some(scene.path("home")), ..scene.request("home/app/src", LONG) };
    let plan = scene.runtime.block_on(engine.plan(request, |_| None, Arc::new(NoHost))).unwrap();
    assert_eq!(files(&plan), ["src.lua"]);
    assert!(plan.fallback);
    drop(held);
}
