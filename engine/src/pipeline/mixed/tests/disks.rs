//! Disks that hang, hosts that take their time, and loads that are cancelled.

use super::super::driver::Driver;
use super::super::shared::Shared;
use super::super::trip::{self, Trip};
use super::*;
use crate::error::{Error, ErrorKind};
use crate::pipeline::calls::Look;
use crate::pipeline::host::{Matched, NoHost, Question};
use crate::pipeline::{Job, Stop};

fn timeout(path: PathBuf) -> Error {
    Error::new(ErrorKind::Timeout { after_ms: SHORT.as_millis().try_into().unwrap() }).at(path)
}

fn finding() -> Stage {
    Stage::FindFiles { extensions: None, matcher: Some(Matcher::Not(Box::new(leaf(0)))), finder: false }
}

/// For each kind of trip: the pipeline, and a path that it looks at.
fn trips() -> Vec<(Vec<Stage>, &'static str)> {
    vec![
        (vec![Stage::Call, DETECT, FIND, EXECUTE], "app"),
        (vec![UP, Stage::Call, FIND, EXECUTE], "app/src"),
        (vec![UP, Stage::Call, DETECT, FIND, EXECUTE], "app"),
        (vec![DOWN, matching(leaf(0)), FIND, EXECUTE], "app/src/deep"),
        (vec![UP, DETECT, finding(), EXECUTE], "config"),
        (vec![UP, DETECT, finding(), EXECUTE], "config/app.lua"),
        (vec![UP, DETECT, finding(), EXECUTE], "config/app"),
    ]
}

fn scene() -> Scene {
    let scene = Scene::new(&[("app.lua", ""), ("src.lua", ""), ("app/more.lua", "")]);
    scene.make(&["app/src/deep"]);
    scene
}

fn host(scene: &Scene) -> Arc<Scripted> {
    Scripted::new(&scene.runtime).function(0..1, pass).function(1..2, pass).matches(|_| false).arc()
}

/// Somebody else is looking at the path, and does not come back.
#[test]
fn a_path_that_hangs_elsewhere_ends_the_load_and_is_named() {
    let scene = scene();
    for (stages, path) in trips() {
        let hung = Look::new(&scene.engine.calls);
        hung.at(&scene.path(path)).unwrap();
        let start = if path == "app" { "app" } else { "app/src" };
        let error = scene.run_within(start, stages.clone(), &host(&scene), SHORT).unwrap_err();
        assert_eq!(error, timeout(scene.path(path)), "{stages:?}");
    }
}

#[test]
fn a_load_goes_on_when_the_path_it_waits_for_is_released() {
    let scene = scene();
    for (stages, path) in trips() {
        let hung = Look::new(&scene.engine.calls);
        hung.at(&scene.path(path)).unwrap();
        let plan = std::thread::scope(|scope| {
            let planning = scope.spawn(|| scene.run("app/src", stages.clone(), &host(&scene)));
            std::thread::yield_now();
            drop(hung);
            planning.join().unwrap()
        });
        assert!(plan.problems.is_empty() && !plan.files.is_empty(), "{stages:?}");
    }
}

#[test]
fn a_file_that_hangs_is_a_problem_and_the_rest_loads() {
    let scene = scene();
    let hung = Look::new(&scene.engine.calls);
    hung.at(&scene.path("config/app.lua")).unwrap();
    for (stages, place) in [(vec![UP, DETECT, FIND, EXECUTE], 1), (vec![UP, DETECT, EXECUTE], 2)] {
        let mut stages = stages;
        stages.insert(place, Stage::Call);
        let items = [scene.item("config/app.lua"), scene.item("config/app/more.lua")];
        let send = move |mut stage: Items| async move {
            while let Some(item) = stage.next().await {
                if place == 1 {
                    stage.send(item).await;
                }
            }
            for item in items.into_iter().filter(|_| place == 2) {
                stage.send(item).await;
            }
        };
        let host = Scripted::new(&scene.runtime).function(place..place + 1, send).arc();
        let plan = scene.run_within("app", stages, &host, SHORT).unwrap();
        assert_eq!(files(&plan), ["more.lua"]);
        assert_eq!(plan.problems, [timeout(scene.path("config/app.lua"))]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_hangs_costs_one_thread_however_many_loads_want_it() {
    let scene = scene();
    let hung = Look::new(&scene.engine.calls);
    hung.at(&scene.path("app/src")).unwrap();
    let count = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        tasks.map(name).filter(|name| name.starts_with("mixed-hung")).count()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .thread_name("mixed-hung")
        .thread_keep_alive(Duration::from_millis(1))
        .build()
        .unwrap();
    runtime.block_on(async {
        let stages = vec![UP, matching(leaf(0)), Stage::Call];
        let loads: Vec<_> = (0..50)
            .map(|_| {
                let request = scene.request_with("app/src", stages.clone(), LONG);
                tokio::spawn(scene.engine.start(request, |_| None, Arc::new(NoHost), |_| {}))
            })
            .collect();
        // Each has met the path and left its thread.
        let deadline = std::time::Instant::now() + LONG;
        while count() > 1 {
            assert!(std::time::Instant::now() < deadline, "{} threads", count());
            tokio::task::yield_now().await;
        }
        loads.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

#[test]
fn time_in_the_users_code_does_not_count() {
    let scene = scene();
    let host = Scripted::new(&scene.runtime).keeping().arc();
    let stages = vec![UP, with_on_match(matching(leaf(0))), FIND, Stage::Execute { routes: vec![leaf(1)] }];
    let request = scene.request_with("app/src", stages, SHORT);
    let plan = scene.runtime.block_on(async {
        let (deliver, delivered) = tokio::sync::oneshot::channel();
        let deliver = |result| drop(deliver.send(result));
        let load = tokio::spawn(scene.engine.start(request, |_| None, Arc::clone(&host) as _, deliver));
        for expected in 0..3 {
            let question = loop {
                if let Some(question) = host.take_kept().pop() {
                    break question;
                }
                tokio::task::yield_now().await;
            };
            tokio::time::sleep(SHORT + SHORT / 2).await;
            match (expected, question) {
                (0, Question::Match { tests, answer, .. }) => {
                    let answers = tests.iter().map(|test| host::short(test).1 == "app").collect();
                    answer.send(answers).unwrap();
                }
                (1, Question::OnMatch { answer, .. }) => {
                    answer.send(Matched { accepted: true, projects: None }).unwrap();
                }
                (2, Question::Match { tests, answer, .. }) => answer.send(vec![true; tests.len()]).unwrap(),
                (_, question) => panic!("{question:?}"),
            }
        }
        load.await.unwrap();
        delivered.await.unwrap().unwrap()
    });
    assert_eq!((files(&plan), plan.files[0].route), (vec!["app.lua", "more.lua"], Some(0)));
}

#[test]
fn a_load_that_is_dropped_cancels_all_that_it_has_asked() {
    let scene = scene();
    for stages in [
        vec![UP, with_on_match(DETECT)],
        vec![UP, matching(leaf(0))],
        vec![UP, DETECT, Stage::FindFiles { extensions: None, matcher: None, finder: true }, EXECUTE],
        vec![UP, DETECT, FIND, Stage::Execute { routes: vec![leaf(0)] }],
        vec![UP, Stage::Call, DETECT, Stage::Call],
    ] {
        let host = Scripted::new(&scene.runtime).keeping().arc();
        let request = scene.request_with("app/src", stages.clone(), LONG);
        scene.runtime.block_on(async {
            let delivered = |_| panic!("a cancelled load has no result");
            let load = tokio::spawn(scene.engine.start(request, |_| None, Arc::clone(&host) as _, delivered));
            let mut questions = Vec::new();
            while questions.len() < stages.iter().filter(|stage| **stage == Stage::Call).count().max(1) {
                questions.extend(host.take_kept());
                tokio::task::yield_now().await;
            }
            load.abort();
            assert!(load.await.unwrap_err().is_cancelled());
            for question in questions {
                match question {
                    Question::Match { mut answer, .. } => answer.closed().await,
                    Question::OnMatch { mut answer, .. } => answer.closed().await,
                    Question::Name { mut answer, .. } => answer.closed().await,
                    Question::Find { mut answer, .. } => answer.closed().await,
                    Question::Run { mut items, out, .. } => {
                        while items.recv().await.is_some() {}
                        out.closed().await;
                    }
                }
            }
        });
    }
    assert!(!scene.run("app", vec![UP, DETECT, FIND, EXECUTE], &host(&scene)).files.is_empty());
}

#[test]
fn a_start_directory_that_is_none_ends_the_load_before_the_user_is_asked() {
    let scene = scene();
    for (start, code) in [("nowhere", "not_found"), ("config/app.lua", "not_a_file")] {
        for stages in [vec![Stage::Call, DETECT], vec![UP, Stage::Call], vec![with_on_match(DETECT)]] {
            let error = scene.run_within(start, stages, &host(&scene), LONG).unwrap_err();
            assert_eq!((error.kind.code(), error.path()), (code, Some(&*scene.path(start))));
        }
    }
}

#[test]
fn loads_at_the_same_time_do_not_hinder_each_other() {
    let scene = scene();
    let stages = vec![UP, Stage::Call, matching(Matcher::Any(vec![leaf(0), literal(".git")])), finding(), EXECUTE];
    std::thread::scope(|scope| {
        let loads: Vec<_> =
            (0..20).map(|_| scope.spawn(|| scene.run("app/src", stages.clone(), &host(&scene)))).collect();
        for load in loads {
            assert_eq!(files(&load.join().unwrap()), ["app.lua", "more.lua"]);
        }
    });
}

#[test]
fn what_lies_above_a_project_is_walked_and_not_looked_at() {
    let scene = scene();
    let hung = Look::new(&scene.engine.calls);
    hung.at(&scene.path("").components().collect::<PathBuf>()).unwrap();
    for stages in [
        vec![UP, DETECT, Stage::Call, FIND, EXECUTE],
        vec![UP, Stage::Call, DETECT, FIND, EXECUTE],
        vec![UP, Stage::Call, matching(literal(".git")), FIND, EXECUTE],
    ] {
        let place = stages.iter().position(|stage| *stage == Stage::Call).unwrap();
        let host = Scripted::new(&scene.runtime).function(place..place + 1, pass).arc();
        assert_eq!(files(&scene.run("app/src", stages, &host)), ["app.lua", "more.lua"]);
    }
}

/// A look at the disk that does not come back before it is let go.
struct Stuck(std::sync::mpsc::Receiver<()>);

impl Trip for Stuck {
    fn run(&mut self, _: &Job, look: &Look) -> Result<(), Stop> {
        look.at(Path::new("/mnt/dead"))?;
        let _ = self.0.recv();
        Ok(())
    }
}

/// A load of which nothing has begun.
fn shared(scene: &Scene, timeout: Duration) -> Arc<Shared> {
    let job = scene.engine.job(scene.request(timeout), |_| None);
    Arc::new(Shared::new(Arc::new(job), Arc::new(NoHost)))
}

#[test]
fn a_thread_that_is_stuck_holds_back_neither_deadline_nor_cancellation() {
    let scene = scene();
    for cancelled in [true, false] {
        scene.runtime.block_on(async {
            let shared = shared(&scene, if cancelled { LONG } else { SHORT });
            let (let_go, stuck) = std::sync::mpsc::channel();
            let (held, mut closed) = tokio::sync::mpsc::channel::<()>(1);
            let segment = {
                let shared = Arc::clone(&shared);
                async move {
                    let _held = held;
                    trip::make(&shared, Stuck(stuck)).await.map(drop)
                }
            };
            let (tell, ended) = tokio::sync::oneshot::channel();
            let driver = Driver::start(shared, Box::pin(segment), Box::new(|result| drop(tell.send(result))));
            if cancelled {
                let look = Look::new(&scene.engine.calls);
                while look.at(Path::new("/mnt/dead")).is_ok() {
                    look.rest();
                    tokio::task::yield_now().await;
                }
                driver.cancel();
                assert!(ended.await.is_err());
            } else {
                assert_eq!(ended.await.unwrap().unwrap_err(), timeout("/mnt/dead".into()));
            }
            assert_eq!(closed.recv().await, None);
            drop(let_go);
        });
    }
}

#[test]
fn a_defect_on_the_way_ends_the_load_and_is_told() {
    struct Broken;
    impl Trip for Broken {
        fn run(&mut self, _: &Job, _: &Look) -> Result<(), Stop> {
            panic!("broken")
        }
    }
    let scene = scene();
    scene.runtime.block_on(async {
        for on_a_trip in [true, false] {
            let shared = shared(&scene, LONG);
            let there = Arc::clone(&shared);
            let segment = async move {
                assert!(on_a_trip, "broken");
                trip::make(&there, Broken).await.map(drop)
            };
            let (tell, ended) = tokio::sync::oneshot::channel();
            let _driver = Driver::start(shared, Box::pin(segment), Box::new(|result| drop(tell.send(result))));
            let error = ended.await.unwrap().unwrap_err();
            assert_eq!(error.to_string(), "a defect in nvim-project-config: broken");
        }
    });
}
