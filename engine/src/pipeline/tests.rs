//! Native pipelines in real directories, and the scene that all tests of pipelines share.

use std::fs;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::name::ProjectName;

fn no_host() -> Arc<dyn Host> {
    Arc::new(host::NoHost)
}

/// A repository `app` with a `config` directory beside it.
pub(super) struct Scene {
    pub(super) directory: TempDir,
    pub(super) engine: Engine,
    pub(super) runtime: Runtime,
}

impl Scene {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
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

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(path)
    }

    pub(super) fn write(&self, file: &str, content: &str) {
        fs::write(self.path("config").join(file), content).unwrap();
    }

    pub(super) fn request(&self, timeout: Duration) -> Request {
        let kind = |name: &str, extension: &str, merged| Kind {
            name: name.into(),
            extensions: vec![extension.into()],
            merged,
        };
        Request {
            start_dir: self.path("app"),
            near: false,
            config_dir: self.path("config"),
            stages: Stage::default_pipeline(),
            kinds: vec![kind("json", ".json", true), kind("lua", ".lua", false)],
            limits: Limits { max_file_size: 1 << 20, trust_mtime: true },
            timeout,
            home: None,
            naming: Naming::default(),
        }
    }

    fn plan_within(&self, timeout: Duration, previous: Option<&Plan>) -> Result<Plan> {
        let previous = previous.cloned().map(Arc::new);
        self.runtime.block_on(self.engine.plan(self.request(timeout), move |_| previous.clone(), no_host()))
    }

    pub(super) fn plan(&self, previous: Option<&Plan>) -> Plan {
        self.plan_within(Duration::from_secs(60), previous).unwrap()
    }
}

pub(super) fn files(plan: &Plan) -> Vec<&str> {
    plan.files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect()
}

/// Long enough for a load that does not hang, short enough to wait for one that does.
pub(super) const SHORT: Duration = Duration::from_secs(1);

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
fn json_that_takes_a_route_is_an_executors_and_not_merged_whatever_it_holds() {
    let scene = Scene::new(&[("app/a.json", r#"{"a": 1}"#), ("app/b.json", r#"{"b": 1}"#), ("app/c.json", "{")]);
    let mut request = scene.request(Duration::from_secs(60));
    let routes = ["c.json", "b.json"].map(|name| Matcher::Literal(name.into())).to_vec();
    *request.stages.last_mut().unwrap() = Stage::Execute { routes };
    let plan = scene.runtime.block_on(scene.engine.plan(request, |_| None, no_host())).unwrap();
    assert_eq!(plan.json.to_string(), r#"{"a":1}"#);
    assert_eq!(files(&plan), ["a.json", "b.json", "c.json"]);
    assert_eq!(plan.files.iter().map(|file| file.route).collect::<Vec<_>>(), [None, Some(1), Some(0)]);
    assert!(plan.problems.is_empty());
    assert_eq!(plan.json_target(), scene.path("config/app/a.json"));
}

#[test]
fn a_repository_made_or_removed_between_loads_is_noticed() {
    let scene = Scene::new(&[]);
    let directory = scene.path("app/src");
    fs::create_dir(&directory).unwrap();
    let request = || Request { start_dir: directory.clone(), ..scene.request(Duration::from_secs(60)) };
    let name =
        || scene.runtime.block_on(scene.engine.plan(request(), |_| None, no_host())).unwrap().projects.remove(0).name;
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
    let expected = |file| Error::new(ErrorKind::Timeout { after_ms: 1000 }).at(scene.path(file));
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
    assert_eq!(plan.problems, [Error::new(ErrorKind::Timeout { after_ms: 1000 }).at(scene.path("config/app"))]);
}

#[test]
fn a_load_that_cannot_find_its_project_in_time_names_the_path_that_hangs() {
    let scene = Scene::new(&[]);
    for path in ["app", "config"].map(|path| scene.path(path)) {
        let hung = Look::new(&scene.engine.calls);
        hung.at(&path).unwrap();
        let error = scene.plan_within(SHORT, None).unwrap_err();
        assert_eq!(error, Error::new(ErrorKind::Timeout { after_ms: 1000 }).at(path));
    }
}

#[test]
#[cfg(unix)]
fn what_the_options_say_of_a_disk_that_hangs_holds_up_no_other_project() {
    let scene = Scene::new(&[("app.lua", ""), ("named.lua", "")]);
    std::os::unix::fs::symlink(scene.path("app"), scene.path("link")).unwrap();
    let name = |name: &str| ProjectName::from_components([OsStr::new(name)]).unwrap();
    let [away, link] = ["away", "link"].map(|path| scene.path(path));
    let hung = Look::new(&scene.engine.calls);
    hung.at(&away).unwrap();
    let mut request = scene.request(Duration::from_secs(60));
    request.naming.stop_at = Some(vec![away.clone()]);
    request.naming.names = vec![(away.clone(), name("away")), (away, name("away")), (link, name("named"))];
    let began = Instant::now();
    let plan = scene.runtime.block_on(scene.engine.plan(request, |_| None, no_host())).unwrap();
    assert_eq!(files(&plan), ["named.lua"]);
    assert!(began.elapsed() < Duration::from_secs(30));
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
        let load = scene.engine.plan(scene.request(Duration::from_secs(60)), |_| None, no_host());
        assert!(tokio::time::timeout(SHORT, load).await.is_err());
    });
    drop(hung);
    assert_eq!(files(&scene.plan(None)), ["app.lua"]);
}
