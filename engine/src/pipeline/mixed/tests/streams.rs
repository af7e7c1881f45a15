//! What passes between stages, and how it begins and ends.

use std::sync::Mutex;

use super::*;
use crate::pipeline::host::{Batch, Question};

fn summary(scene: &Scene, plan: &Plan) -> (Vec<String>, Vec<String>, String, usize) {
    let files = plan.files.iter().map(|file| format!("{} {} {}", file.kind, file.layer, scene.told(&file.path)));
    (scene.roots(plan), files.collect(), plan.json.to_string(), plan.problems.len())
}

#[test]
fn a_function_that_sends_on_what_it_gets_changes_nothing_wherever_it_stands() {
    let scene = Scene::new(&[
        ("app.json", r#"{"a": 1}"#),
        ("app.lua", ""),
        ("app/b.json", r#"{"b": 1}"#),
        ("app/b.lua", ""),
        ("app/pack.lua", ""),
        ("app/more.lua", ""),
    ]);
    scene.make(&["app/pack/src", "config/app/pack"]);
    fs::write(scene.path("app/pack/go.mod"), "").unwrap();
    scene.write("app/pack/own.json", "[1]");
    let native = vec![UP, DETECT, FIND, EXECUTE];
    let host = Scripted::new(&scene.runtime).arc();
    let expected = summary(&scene, &scene.run("app/pack/src", native.clone(), &host));
    assert_eq!(expected.0, ["app", "app/pack"]);
    assert_eq!(expected.1.len(), 6);
    for place in 0..native.len() {
        let mut stages = native.clone();
        stages.insert(place, Stage::Call);
        let host = Scripted::new(&scene.runtime).function(place..place + 1, pass).arc();
        let plan = scene.run("app/pack/src", stages, &host);
        assert_eq!(summary(&scene, &plan), expected, "before stage {place}");
        assert_eq!(plan.start_dir, scene.path("app/pack/src"));
    }
}

#[test]
fn functions_see_the_directories_in_order_and_learn_of_the_projects_with_them() {
    let scene = Scene::new(&[]);
    scene.make(&["app/src"]);
    let (told, telling) = (Arc::new(Mutex::new(Vec::new())), scene.project("app", "app"));
    let tell = Arc::clone(&told);
    let look = move |mut items: Items| async move {
        while let Some(item) = items.next().await {
            tell.lock().unwrap().push((PathBuf::from(item), items.news.clone()));
        }
    };
    let host = Scripted::new(&scene.runtime).function(2..4, look).arc();
    let plan = scene.run("app/src", vec![UP, DETECT, Stage::Call, Stage::Call, FIND, EXECUTE], &host);
    assert_eq!(scene.roots(&plan), ["app"]);
    let told = told.lock().unwrap();
    let expected: Vec<&Path> = told[0].0.ancestors().collect();
    assert_eq!(told.iter().map(|(path, _)| path.as_path()).collect::<Vec<_>>(), expected);
    assert_eq!(told[0], (scene.path("app/src"), Some(vec![telling])));
}

#[test]
fn news_of_a_project_found_at_the_very_end_comes_without_items() {
    let scene = Scene::new(&[]);
    let (tell, told) = std::sync::mpsc::channel();
    let look = move |mut items: Items| async move {
        while let Some(_item) = items.next().await {}
        tell.send(items.news.clone()).unwrap();
    };
    let host = Scripted::new(&scene.runtime).function(2..3, look).arc();
    scene.run("app", vec![UP, overriding(literal("config")), Stage::Call], &host);
    assert_eq!(
        told.recv().unwrap().unwrap(),
        [scene.project("", &scene.path("").file_name().unwrap().to_string_lossy())]
    );
}

#[test]
fn a_function_that_fails_is_the_end_of_the_stream() {
    let scene = Scene::new(&[("app.lua", ""), ("src.lua", "")]);
    scene.make(&["app/src"]);
    // The host drops both ends.
    let host = || Scripted::new(&scene.runtime).arc();
    let plan = scene.run("app/src", vec![UP, Stage::Call, DETECT, FIND, EXECUTE], &host());
    assert_eq!((scene.roots(&plan), files(&plan)), (vec!["app/src".into()], vec!["src.lua"]));
    // What came before it is not undone.
    let plan = scene.run("app/src", vec![UP, DETECT, Stage::Call, FIND, EXECUTE], &host());
    assert_eq!((scene.roots(&plan), files(&plan)), (vec!["app".into()], vec!["app.lua"]));
    let plan = scene.run("app/src", vec![UP, DETECT, FIND, Stage::Call, EXECUTE], &host());
    assert_eq!((scene.roots(&plan), files(&plan)), (vec!["app".into()], vec![]));
}

#[test]
fn a_function_may_end_its_output_and_go_on_reading() {
    let scene = Scene::new(&[]);
    scene.make(&["app/a/b"]);
    let first = |mut items: Items| async move {
        let item = items.next().await.unwrap();
        assert!(items.send(item).await);
        items.done();
        while items.next().await.is_some() {}
    };
    let host = Scripted::new(&scene.runtime).function(1..2, first).arc();
    let plan = scene.run("app/a/b", vec![UP, Stage::Call, matching(literal("b")), FIND, EXECUTE], &host);
    assert_eq!(scene.roots(&plan), ["app/a/b"]);
}

#[test]
fn a_function_that_returns_early_takes_no_more() {
    let scene = Scene::new(&[]);
    let names: Vec<String> = (0..500).map(|index| format!("app/many/{index:03}")).collect();
    scene.make(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let produce = |mut items: Items| async move {
        let item = items.next().await.unwrap();
        let mut sent = 0;
        while items.send(item.clone()).await {
            sent += 1;
            assert!(sent < 10_000, "nobody takes it");
        }
    };
    let host = Scripted::new(&scene.runtime).function(0..1, produce).function(2..3, |_| async {}).arc();
    let plan = scene.run("app", vec![Stage::Call, DOWN, Stage::Call, FIND, EXECUTE], &host);
    assert_eq!(scene.roots(&plan), ["app"]);
}

#[test]
fn a_walk_begins_anew_with_each_directory_that_comes_in() {
    let scene = Scene::new(&[]);
    scene.make(&["one/a/b", "one/.hidden", "one/node_modules/x", "one/only-here", "two/c"]);
    let (one, two, missing) = (scene.item("one"), scene.item("two"), scene.item("missing"));
    let produce = move |mut items: Items| async move {
        for item in [one, missing, "relative".into(), two, "a\0b".into()] {
            items.send(item).await;
        }
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let look = |seen: &Arc<Mutex<Vec<PathBuf>>>| {
        let seen = Arc::clone(seen);
        move |mut items: Items| async move {
            while let Some(item) = items.next().await {
                seen.lock().unwrap().push(item.into());
            }
        }
    };
    let host = Scripted::new(&scene.runtime).function(0..1, produce.clone()).function(2..3, look(&seen)).arc();
    let plan = scene.run("app", vec![Stage::Call, DOWN, Stage::Call], &host);
    let told: Vec<String> = seen.lock().unwrap().drain(..).map(|path| scene.told(path)).collect();
    assert_eq!(told, ["one", "one/a", "one/only-here", "one/a/b", "two", "two/c"]);
    assert!(plan.problems.iter().all(|problem| problem.kind.code() == "invalid_argument"));
    let missing = format!(
        "{}: pipeline stage 2 (walk): does not exist; create it, or give another path",
        scene.path("missing").display()
    );
    let relative = "pipeline stage 2 (walk): expected an absolute path, got 'relative'".into();
    let nul = r#"pipeline stage 2 (walk): expected a path without NUL, got "a\0b""#.into();
    assert_eq!(problems(&plan), [missing, relative, nul]);

    let host = Scripted::new(&scene.runtime).function(0..1, produce).function(2..3, look(&seen)).arc();
    let up = Stage::Walk { direction: Direction::Up, matcher: Some(literal("only-here")) };
    scene.run("app", vec![Stage::Call, up, Stage::Call], &host);
    assert_eq!(seen.lock().unwrap().drain(..).map(|path| scene.told(path)).collect::<Vec<_>>(), ["one"]);
}

#[test]
fn a_million_items_pass_in_order() {
    const COUNT: usize = 1_000_000;
    let scene = Scene::new(&[]);
    let produce = |mut items: Items| async move {
        for start in (0..COUNT).step_by(64) {
            let end = (start + 64).min(COUNT);
            let batch = (start..end).map(|index| OsString::from(format!("/{index}"))).collect();
            assert!(items.send_batch(Batch { items: batch, projects: None }).await);
        }
    };
    let (tell, told) = std::sync::mpsc::channel();
    let count = move |mut items: Items| async move {
        let mut expected = 0;
        while let Some(item) = items.next().await {
            assert_eq!(item.to_str(), Some(&*format!("/{expected}")));
            expected += 1;
        }
        tell.send(expected).unwrap();
    };
    let host = Scripted::new(&scene.runtime).function(0..1, produce).function(2..3, count).arc();
    // It has a project after the first directory, and so looks at no other.
    let stage = matching(Matcher::Not(Box::new(literal("absent"))));
    scene.run("app", vec![Stage::Call, stage, Stage::Call], &host);
    assert_eq!(told.recv().unwrap(), COUNT);
}

#[test]
fn what_nobody_reads_is_waited_with() {
    let scene = Scene::new(&[]);
    let names: Vec<String> = (0..2000).map(|index| format!("app/{index:04}")).collect();
    scene.make(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let host = Scripted::new(&scene.runtime).keeping().arc();
    let request = scene.request_with("app", vec![DOWN, Stage::Call, DETECT], SHORT);
    scene.runtime.block_on(async {
        let mut load = std::pin::pin!(scene.engine.plan(request, |_| None, Arc::clone(&host) as _));
        // No deadline ends it, as nothing waits for a disk.
        assert!(tokio::time::timeout(SHORT * 2, &mut load).await.is_err());
        let Ok([Question::Run { mut items, out, .. }]) = <[_; 1]>::try_from(host.take_kept()) else { panic!() };
        let mut waiting = 0;
        while let Ok(batch) = items.try_recv() {
            waiting += batch.items.len();
        }
        assert!((64..=4 * 64).contains(&waiting), "{waiting}");
        drop((items, out));
        assert_eq!(scene.roots(&load.await.unwrap()), ["app"]);
    });
}
