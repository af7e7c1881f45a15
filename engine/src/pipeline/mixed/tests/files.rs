//! Which files are found, named, and read, and in which order.

use std::os::unix::fs::PermissionsExt;

use super::host::short;
use super::*;
use crate::matcher::Glob;
use crate::pipeline::Kind;
use crate::pipeline::host::Subject;

fn finding(matcher: Matcher) -> Stage {
    Stage::FindFiles { extensions: None, matcher: Some(matcher), finder: false }
}

const FINDER: Stage = Stage::FindFiles { extensions: None, matcher: None, finder: true };

/// Sends these instead of what it gets.
fn sending(items: Vec<OsString>) -> impl FnOnce(Items) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    move |mut stage: Items| {
        Box::pin(async move {
            while stage.next().await.is_some() {}
            for item in items {
                stage.send(item).await;
            }
        })
    }
}

fn layers(plan: &Plan) -> Vec<(&str, usize)> {
    files(plan).into_iter().zip(plan.files.iter().map(|file| file.layer)).collect()
}

#[test]
fn a_function_between_finding_and_executing_sees_the_files_in_the_order_in_which_they_run() {
    let scene =
        Scene::new(&[("app.lua", ""), ("app.json", "{}"), ("app/b.lua", ""), ("app/a.json", "{}"), ("app/c", "")]);
    let (tell, told) = std::sync::mpsc::channel();
    let look = move |mut items: Items| async move {
        while let Some(item) = items.next().await {
            tell.send(PathBuf::from(&item)).unwrap();
            items.send(item).await;
        }
    };
    let host = Scripted::new(&scene.runtime).function(3..4, look).arc();
    let plan = scene.run("app", vec![UP, DETECT, FIND, Stage::Call, EXECUTE], &host);
    let told: Vec<String> = told.iter().map(|path| scene.told(path)).collect();
    assert_eq!(told, ["config/app.json", "config/app/a.json", "config/app.lua", "config/app/b.lua"]);
    assert_eq!(files(&plan), ["app.json", "a.json", "app.lua", "b.lua"]);
}

#[test]
fn files_run_by_kind_and_then_as_they_came_each_once() {
    let scene = Scene::new(&[("app.lua", ""), ("app/a.json", "{}"), ("app/b.lua", ""), ("app/c.lua", "")]);
    let items = ["config/app/c.lua", "config/app/b.lua", "config/app/a.json", "config//app/./c.lua", "config/app.lua"];
    let items = items.map(|item| scene.item(item)).to_vec();
    let host = Scripted::new(&scene.runtime).function(2..3, sending(items)).arc();
    let plan = scene.run("app", vec![UP, DETECT, Stage::Call, EXECUTE], &host);
    assert_eq!(files(&plan), ["a.json", "c.lua", "b.lua", "app.lua"]);
    assert!(plan.problems.is_empty(), "{:?}", plan.problems);
}

#[test]
fn a_named_file_belongs_to_the_project_at_whose_place_it_lies() {
    let scene = Scene::new(&[
        ("app.lua", ""),
        ("app/app.lua", ""),
        ("app/pack.lua", ""),
        ("app/other.lua", ""),
        ("stray.lua", ""),
    ]);
    scene.make(&["app/pack", "config/app/pack", "elsewhere"]);
    for file in ["app/pack/go.mod", "config/app/pack/own.lua", "elsewhere/far.lua"] {
        fs::write(scene.path(file), "").unwrap();
    }
    let names =
        ["config/app.lua", "config/app/app.lua", "config/app/pack.lua", "config/app/other.lua", "config/stray.lua"];
    let names = names.iter().chain(&["config/app/pack/own.lua", "elsewhere/far.lua"]);
    let items = names.map(|item| scene.item(item)).collect();
    let host = Scripted::new(&scene.runtime).function(2..3, sending(items)).arc();
    let plan = scene.run("app/pack", vec![UP, DETECT, Stage::Call, EXECUTE], &host);
    let expected = [
        ("app.lua", 0),
        ("app.lua", 0),
        ("pack.lua", 1),
        ("other.lua", 0),
        ("stray.lua", 1),
        ("own.lua", 1),
        ("far.lua", 1),
    ];
    assert_eq!(layers(&plan), expected);
}

#[test]
fn what_cannot_be_run_is_one_problem_each_and_the_rest_loads() {
    let scene = Scene::new(&[("app.lua", ""), ("notes.txt", "")]);
    let items = ["config/notes.txt", "config/missing.lua", "nowhere/a.lua", "config/app.lua", "config", ""];
    let mut items = items.map(|item| scene.item(item)).to_vec();
    items.push("relative.lua".into());
    let host = Scripted::new(&scene.runtime).function(2..3, sending(items)).arc();
    let plan = scene.run("app", vec![UP, DETECT, Stage::Call, EXECUTE], &host);
    assert_eq!(files(&plan), ["app.lua"]);
    let codes: Vec<_> = plan.problems.iter().map(|problem| problem.kind.code()).collect();
    let refused = "invalid_argument";
    assert_eq!(codes, [refused, refused, refused, refused, "not_found", "not_found"]);
    let texts = problems(&plan);
    let notes = format!(
        "pipeline stage 4 (execute): no executor takes files like '{}'; give executors.<kind> for its extension",
        scene.path("config/notes.txt").display()
    );
    assert_eq!(texts[0], notes);
    assert_eq!(texts[3], "pipeline stage 4 (execute): expected an absolute path, got 'relative.lua'");
    assert!(texts[4].starts_with(&scene.path("config/missing.lua").display().to_string()), "{}", texts[4]);
}

#[test]
fn files_elsewhere_are_read_with_the_same_checks() {
    let scene = Scene::new(&[]);
    scene.make(&["there", "open", "config/open/below"]);
    for file in ["there/good.lua", "there/writable.lua", "open/a.lua", "config/open/b.lua", "config/open/below/c.lua"] {
        fs::write(scene.path(file), "").unwrap();
    }
    scene.make(&["there/directory.lua"]);
    let mode = |path: &str, mode| fs::set_permissions(scene.path(path), fs::Permissions::from_mode(mode)).unwrap();
    mode("there/writable.lua", 0o666);
    mode("open", 0o777);
    mode("config/open", 0o777);
    let items = [
        "there/good.lua",
        "there/writable.lua",
        "open/a.lua",
        "config/open/b.lua",
        "config/open/below/c.lua",
        "there/directory.lua",
    ];
    let stages = vec![UP, DETECT, Stage::Call, EXECUTE];
    for _ in 0..2 {
        let items = items.map(|item| scene.item(item)).to_vec();
        let host = Scripted::new(&scene.runtime).function(2..3, sending(items)).arc();
        let plan = scene.run("app", stages.clone(), &host);
        assert_eq!(files(&plan), ["good.lua"]);
        let told: Vec<_> =
            plan.problems.iter().map(|problem| (problem.kind.code(), scene.told(problem.path().unwrap()))).collect();
        let untrusted = |path: &str| ("untrusted", path.to_owned());
        let directory = ("not_a_file", "there/directory.lua".to_owned());
        let open = [untrusted("open"), untrusted("config/open"), untrusted("config/open")];
        assert_eq!(told, [&[untrusted("there/writable.lua")], &open[..], &[directory]].concat());
    }
    // Who may add files for everybody, but not replace them, does no harm.
    mode("open", 0o1777);
    let host = Scripted::new(&scene.runtime).function(2..3, sending(vec![scene.item("open/a.lua")])).arc();
    assert_eq!(files(&scene.run("app", stages, &host)), ["a.lua"]);
}

#[test]
fn the_json_of_named_files_is_merged_and_keeps_its_last_good_state() {
    let scene = Scene::new(&[("app.json", r#"{"a": 1, "b": 1}"#)]);
    scene.make(&["there"]);
    fs::write(scene.path("there/more.json"), r#"{"b": 2}"#).unwrap();
    let plan = |previous: Option<Plan>| {
        let items = vec![scene.item("config/app.json"), scene.item("there/more.json")];
        let host = Scripted::new(&scene.runtime).function(2..3, sending(items)).arc();
        let request = scene.request_with("app", vec![UP, DETECT, Stage::Call, EXECUTE], LONG);
        let previous = previous.map(Arc::new);
        scene.runtime.block_on(scene.engine.plan(request, move |_| previous.clone(), host)).unwrap()
    };
    let first = plan(None);
    assert_eq!(first.json.to_string(), r#"{"a":1,"b":2}"#);
    fs::write(scene.path("there/more.json"), "{").unwrap();
    let second = plan(Some(first));
    assert_eq!((second.json.to_string(), second.problems.len()), (r#"{"a":1,"b":2}"#.into(), 1));
}

#[test]
fn leaves_choose_among_files_in_one_batch() {
    let scene = Scene::new(&[("app.lua", ""), ("app/a.lua", ""), ("app/b.lua", ""), ("app/b.json", "{}")]);
    let host = Scripted::new(&scene.runtime).matches(|test| short(test).1.starts_with('b')).arc();
    let glob = Matcher::Glob(Glob::new("*.lua").unwrap());
    let stages = vec![UP, DETECT, finding(Matcher::All(vec![glob, leaf_of_names(5)])), EXECUTE];
    assert_eq!(files(&scene.run("app", stages, &host)), ["b.lua"]);
    let tests = host.tests.lock().unwrap();
    assert_eq!(tests.len(), 1);
    let subjects: Vec<_> = tests[0].1.iter().map(|test| test.subject.clone()).collect();
    let subject = |name: &str, path: &str| Subject::File { name: name.into(), path: scene.path(path) };
    let expected = [
        subject("app.lua", "config/app.lua"),
        subject("a.lua", "config/app/a.lua"),
        subject("b.lua", "config/app/b.lua"),
    ];
    assert_eq!((tests[0].0, subjects), (2, expected.to_vec()));
}

#[test]
fn several_searches_add_up_whatever_stands_between_them() {
    let scene = Scene::new(&[("app.lua", ""), ("app/a.lua", ""), ("app/b.json", "{}")]);
    let by =
        |extension: &str| Stage::FindFiles { extensions: Some(vec![extension.into()]), matcher: None, finder: false };
    let host = || Scripted::new(&scene.runtime).function(3..4, pass).matches(|_| true).arc();
    for stages in [
        vec![UP, DETECT, by(".lua"), by(".json"), by(".lua"), EXECUTE],
        vec![UP, DETECT, by(".lua"), Stage::Call, by(".json"), by(".lua"), EXECUTE],
        vec![UP, DETECT, finding(leaf(0)), by(".json"), EXECUTE],
    ] {
        assert_eq!(files(&scene.run("app", stages, &host())), ["b.json", "app.lua", "a.lua"]);
    }
}

#[test]
fn a_finder_replaces_the_search_and_keeps_its_order() {
    let scene = Scene::new(&[("app.lua", ""), ("z.lua", ""), ("a.lua", ""), ("b.json", "{}"), ("c.txt", "")]);
    let found = ["z.lua", "b.json", "a.lua", "z.lua", "c.txt"].map(|name| scene.path("config").join(name));
    let host = move || {
        let found = [found.to_vec(), vec!["relative.lua".into()]].concat();
        Scripted::new(&scene_runtime()).finder(move || found.clone())
    };
    fn scene_runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }
    let plan = scene.run("app", vec![UP, DETECT, FINDER, EXECUTE], &host().arc());
    assert_eq!(files(&plan), ["b.json", "z.lua", "a.lua"]);
    assert_eq!(
        problems(&plan),
        ["pipeline stage 3 (find_files): finder: expected an absolute path, got 'relative.lua'"]
    );
    let filtered = Stage::FindFiles {
        extensions: Some(vec![".lua".into()]),
        matcher: Some(Matcher::Not(Box::new(leaf(3)))),
        finder: true,
    };
    let host = host().matches(|test| short(test) == (3, "z.lua".into())).arc();
    let plan = scene.run("app", vec![UP, DETECT, filtered, EXECUTE], &host);
    assert_eq!(files(&plan), ["a.lua"]);
    // Without an answer there are none.
    let plan = scene.run("app", vec![UP, DETECT, FINDER, EXECUTE], &Scripted::new(&scene.runtime).arc());
    assert_eq!(files(&plan), [""; 0]);
}

#[test]
fn a_project_directory_that_everybody_may_write_to_is_a_problem_here_too() {
    let scene = Scene::new(&[("app.lua", ""), ("app/a.lua", "")]);
    fs::set_permissions(scene.path("config/app"), fs::Permissions::from_mode(0o777)).unwrap();
    let host = Scripted::new(&scene.runtime).function(3..4, pass).arc();
    let plan = scene.run("app", vec![UP, DETECT, FIND, Stage::Call, EXECUTE], &host);
    assert_eq!(files(&plan), ["app.lua"]);
    assert_eq!(plan.problems[0].kind.code(), "untrusted");
    assert_eq!(plan.problems.len(), 1);
}

#[test]
fn the_first_route_that_matches_is_taken() {
    let scene = Scene::new(&[("app.lua", ""), ("app/a.lua", ""), ("app/b.lua", ""), ("app/c.json", "{}")]);
    let glob = |text: &str| Matcher::Glob(Glob::new(text).unwrap());
    let run = |routes: Vec<Matcher>, call: bool| {
        let host = Scripted::new(&scene.runtime)
            .function(2..3, pass)
            .matches(|test| test.leaf == 1 && ["a.lua", "c.json"].contains(&&*short(test).1));
        let host = host.arc();
        let stages = [vec![UP, DETECT], if call { vec![Stage::Call] } else { vec![] }, vec![FIND]].concat();
        let plan = scene.run("app", [stages, vec![Stage::Execute { routes }]].concat(), &host);
        let asked: Vec<_> = host.tests.lock().unwrap().iter().map(|(_, tests)| tests.len()).collect();
        (plan.files.iter().map(|file| file.route).collect::<Vec<_>>(), asked)
    };
    for call in [false, true] {
        let native = vec![literal("a.lua"), glob("?.lua"), Matcher::Not(Box::new(glob("*.lua")))];
        assert_eq!(run(native, call).0, [Some(2), None, Some(0), Some(1)]);
        // `b.lua` is taken before the leaf is asked.
        let (routes, asked) = run(vec![literal("b.lua"), leaf(1), leaf(2)], call);
        assert_eq!((routes, asked), (vec![Some(1), None, Some(1), Some(0)], vec![6]));
    }
}

#[test]
fn json_that_takes_a_route_by_the_users_code_is_not_merged_whatever_it_holds() {
    let scene = Scene::new(&[
        ("app.json", r#"{"a": 1}"#),
        ("app/b.json", r#"{"b": 1}"#),
        ("app/c.json", r#"{"c": 1}"#),
        ("app/d.json", r#"{"d": 1}"#),
    ]);
    let shown = Arc::new(scene.plan(None));
    for name in ["b", "c", "d"] {
        scene.write(&format!("app/{name}.json"), "{");
    }
    let host = Scripted::new(&scene.runtime).matches(|test| short(test).1 != "c.json" && short(test).1 != "app.json");
    let request = scene.request_with("app", vec![UP, DETECT, FIND, Stage::Execute { routes: vec![leaf(0)] }], LONG);
    let plan = scene.engine.plan(request, move |_| Some(Arc::clone(&shown)), host.arc());
    let plan = scene.runtime.block_on(plan).unwrap();
    assert_eq!(files(&plan), ["app.json", "b.json", "d.json"]);
    assert_eq!(plan.files.iter().map(|file| file.route).collect::<Vec<_>>(), [None, Some(0), Some(0)]);
    assert_eq!(plan.json.to_string(), r#"{"a":1,"c":1}"#, "what is neither taken nor readable keeps its last values");
    assert_eq!(
        plan.problems.iter().map(|problem| problem.path()).collect::<Vec<_>>(),
        [Some(&*scene.path("config/app/c.json"))]
    );
    assert_eq!(plan.unread_json, [scene.path("config/app/c.json")]);
}

#[test]
fn nothing_native_stands_behind_execute() {
    let scene = Scene::new(&[("app.lua", "")]);
    let host = Scripted::new(&scene.runtime).arc();
    for (stage, text) in [
        (FIND, "pipeline stage 6 (find_files): only functions may stand behind execute; move it before"),
        (EXECUTE, "pipeline stage 6 (execute): only functions may stand behind execute; move it before"),
    ] {
        let stages = vec![UP, DETECT, FIND, EXECUTE, Stage::Call, stage];
        let error = scene.run_within("app", stages, &host, LONG).unwrap_err();
        assert_eq!((error.kind.code(), error.to_string().as_str()), ("invalid_argument", text));
    }
    // Functions there get what has been run: that is for whoever runs it.
    let plan = scene.run("app", vec![UP, DETECT, FIND, EXECUTE, Stage::Call], &host);
    assert_eq!(files(&plan), ["app.lua"]);
}

#[test]
fn own_kinds_run_after_the_others() {
    let scene = Scene::new(&[("app.toml", ""), ("app.lua", "")]);
    let items = vec![scene.item("config/app.toml"), scene.item("config/app.lua")];
    let host = Scripted::new(&scene.runtime).function(2..3, sending(items)).arc();
    let mut request = scene.request_with("app", vec![UP, DETECT, Stage::Call, EXECUTE], LONG);
    request.kinds.push(Kind { name: "toml".into(), extensions: vec![".toml".into()], merged: false });
    let plan = scene.runtime.block_on(scene.engine.plan(request, |_| None, host)).unwrap();
    assert_eq!(files(&plan), ["app.lua", "app.toml"]);
}

#[test]
fn of_very_many_unusable_files_the_first_are_told_and_how_many_more_there_are() {
    let scene = Scene::new(&[("app.lua", "")]);
    let relative = (0..1000).map(|index| OsString::from(format!("{index}.lua")));
    let missing = (0..1000).map(|index| scene.item(&format!("config/missing/{index}.lua")));
    let items = relative.chain(missing).chain([scene.item("config/app.lua")]).collect();
    let host = Scripted::new(&scene.runtime).function(2..3, sending(items)).arc();
    let plan = scene.run("app", vec![UP, DETECT, Stage::Call, EXECUTE], &host);
    assert_eq!(files(&plan), ["app.lua"]);
    let told: Vec<String> = plan.problems_to_tell().iter().map(ToString::to_string).collect();
    assert_eq!(told[9], "pipeline stage 4 (execute): expected an absolute path, got '9.lua'");
    assert_eq!(told[10], "pipeline stage 4 (execute): 990 more of its items are unusable");
    assert!(told[11].starts_with(&scene.path("config/missing/0.lua").display().to_string()));
    assert!(told[100].starts_with("911 more of the load's files"));
    assert_eq!((told.len(), plan.problems.len()), (101, 1011));
}
