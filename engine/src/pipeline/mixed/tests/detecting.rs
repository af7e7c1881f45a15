//! What detect stages make of directories, with the user's say.

use std::sync::Mutex;

use super::host::short;
use super::*;
use crate::matcher::Glob;
use crate::pipeline::host::{Batch, Matched, Subject};

const ACCEPTED: Matched = Matched { accepted: true, projects: None };
const REJECTED: Matched = Matched { accepted: false, projects: None };

/// `app/.git`, `app/pack/go.mod`, `app/pack/src/.marker`, and a stray `.marker` beside `app`.
fn nested() -> Scene {
    let scene = Scene::new(&[]);
    scene.make(&["app/pack/src"]);
    for file in ["app/pack/go.mod", "app/pack/src/.marker", ".marker"] {
        fs::write(scene.path(file), "").unwrap();
    }
    scene
}

/// The directories for which `on_match` was called, with the names of the nest.
type Calls = Arc<Mutex<Vec<(PathBuf, Vec<OsString>)>>>;

/// A host whose `on_match` says `accept` of directories of these names.
fn accepting(scene: &Scene, accepted: &'static [&'static str]) -> (Arc<Scripted>, Calls) {
    let calls = Calls::default();
    let note = Arc::clone(&calls);
    let host = Scripted::new(&scene.runtime).on_match(move |dir, projects| {
        let names = projects.iter().map(|project| project.name.clone()).collect();
        note.lock().unwrap().push((dir.to_path_buf(), names));
        if accepted.iter().any(|name| dir.ends_with(name)) { ACCEPTED } else { REJECTED }
    });
    (host.arc(), calls)
}

fn called(scene: &Scene, calls: &Calls) -> Vec<String> {
    let calls = std::mem::take(&mut *calls.lock().unwrap());
    calls.into_iter().map(|(dir, _)| scene.told(dir)).collect()
}

#[test]
fn leaves_are_asked_in_one_batch_and_only_where_names_do_not_decide() {
    let scene = nested();
    let ask = |matcher: Matcher| {
        let host = Scripted::new(&scene.runtime).matches(|test| short(test).1 == "app").arc();
        let plan = scene.run("app/pack/src", vec![UP, matching(matcher)], &host);
        let tests = std::mem::take(&mut *host.tests.lock().unwrap());
        let tests: Vec<Vec<(usize, String)>> = tests
            .iter()
            .map(|(stage, tests)| (*stage == 1).then(|| tests.iter().map(short).collect()).unwrap())
            .collect();
        (scene.roots(&plan), tests)
    };
    let (roots, tests) = ask(leaf(7));
    assert_eq!((roots, tests.len()), (vec!["app".into()], 1));
    assert_eq!(tests[0][..3], [(7, "src".into()), (7, "pack".into()), (7, "app".into())]);
    // A name decides at once: nobody is asked.
    assert_eq!(ask(Matcher::Any(vec![leaf(7), literal(".marker")])), (vec!["app/pack/src".into()], vec![]));
    // Asked up to the first that is sure, and not where the rest says no.
    let sure = Matcher::Any(vec![literal("go.mod"), leaf(7)]);
    assert_eq!(ask(sure), (vec!["app/pack".into()], vec![vec![(7, "src".into())]]));
    let git = Matcher::All(vec![literal(".git"), leaf(7)]);
    assert_eq!(ask(git), (vec!["app".into()], vec![vec![(7, "app".into())]]));
}

#[test]
fn leaves_of_names_get_all_names_and_others_the_path_alone() {
    let scene = nested();
    fs::write(scene.path("app/.hidden"), "").unwrap();
    let host = Scripted::new(&scene.runtime).matches(|_| false).arc();
    let matcher = Matcher::All(vec![literal(".git"), Matcher::Any(vec![leaf_of_names(1), leaf(2)])]);
    scene.run("app", vec![UP, matching(matcher)], &host);
    let tests = host.tests.lock().unwrap();
    let subject = |names| Subject::Directory { path: scene.path("app"), names };
    let names = [".git", ".hidden", "pack"].map(OsString::from).to_vec();
    assert_eq!(
        tests[0].1.iter().map(|test| (test.leaf, test.subject.clone())).collect::<Vec<_>>(),
        [(1, subject(Some(names))), (2, subject(None))]
    );
}

#[test]
fn a_host_that_does_not_answer_or_answers_too_little_matches_nothing() {
    let scene = nested();
    let stages = vec![UP, matching(leaf(1))];
    let plan = scene.run("app/pack", stages, &Scripted::new(&scene.runtime).arc());
    assert_eq!(scene.roots(&plan), ["app/pack"]);
    let not = vec![UP, matching(Matcher::All(vec![literal(".git"), Matcher::Not(Box::new(leaf(1)))]))];
    let plan = scene.run("app/pack", not, &Scripted::new(&scene.runtime).arc());
    assert_eq!(scene.roots(&plan), ["app"]);
}

#[test]
fn the_leaves_of_a_walk_choose_what_goes_on() {
    let scene = nested();
    let host = Scripted::new(&scene.runtime).matches(|test| short(test).1 != "src").arc();
    let walk = Stage::Walk { direction: Direction::Up, matcher: Some(leaf(1)) };
    let plan = scene.run("app/pack/src", vec![walk, matching(literal(".marker"))], &host);
    assert_eq!(scene.roots(&plan), [""]);
}

#[test]
fn globs_and_priorities_decide_alike_with_and_without_the_users_code() {
    let scene = nested();
    let glob = |text: &str| Matcher::Glob(Glob::new(text).unwrap());
    let not = |matcher| Matcher::Not(Box::new(matcher));
    for (matcher, nearest, last) in [
        (glob("*.mod"), "app/pack", "app/pack"),
        (glob(".m*"), "app/pack/src", ""),
        (Matcher::All(vec![not(literal(".marker")), not(glob("*.mod"))]), "app", "/"),
        (Matcher::Priority(vec![literal("go.mod"), literal(".marker")]), "app/pack", "app/pack"),
        (Matcher::Priority(vec![literal("absent"), literal(".marker"), literal("go.mod")]), "app/pack/src", ""),
        (Matcher::Any(vec![Matcher::Priority(vec![literal("go.mod")]), literal(".marker")]), "app/pack/src", ""),
        (Matcher::Priority(vec![]), "app/pack/src", "app/pack/src"),
    ] {
        for (stage, expected) in [(matching(matcher.clone()), nearest), (overriding(matcher.clone()), last)] {
            let host = || Scripted::new(&scene.runtime).function(1..2, pass).on_match(|_, _| ACCEPTED).arc();
            for stages in
                [vec![UP, stage.clone()], vec![UP, Stage::Call, stage.clone()], vec![UP, with_on_match(stage.clone())]]
            {
                assert_eq!(scene.roots(&scene.run("app/pack/src", stages, &host())), [expected], "{stage:?}");
            }
        }
    }
}

#[test]
fn a_rejected_directory_is_not_the_project_and_the_search_goes_on() {
    let scene = nested();
    let stages = |stage| vec![UP, with_on_match(stage)];
    let markers = || literal(".marker");
    let (host, calls) = accepting(&scene, &["src"]);
    assert_eq!(scene.roots(&scene.run("app/pack/src", stages(matching(markers())), &host)), ["app/pack/src"]);
    assert_eq!(*calls.lock().unwrap(), [(scene.path("app/pack/src"), vec!["src".into()])]);
    let root: &'static str = Box::leak(scene.path("").display().to_string().into_boxed_str());
    let (host, calls) = accepting(&scene, Box::leak(Box::new([root.trim_end_matches('/')])));
    assert_eq!(scene.roots(&scene.run("app/pack/src", stages(matching(markers())), &host)), [""]);
    assert_eq!(called(&scene, &calls), ["app/pack/src", ""]);
    // None is left: the start directory.
    let (host, calls) = accepting(&scene, &[]);
    assert_eq!(scene.roots(&scene.run("app/pack", stages(matching(markers())), &host)), ["app/pack"]);
    assert_eq!(called(&scene, &calls), [""]);
    // The last first, where that is wanted; and what comes second in priority after all that comes first.
    let (host, calls) = accepting(&scene, &[]);
    scene.run("app/pack/src", stages(overriding(markers())), &host);
    assert_eq!(called(&scene, &calls), ["", "app/pack/src"]);
    let (host, calls) = accepting(&scene, &[]);
    scene.run("app/pack/src", stages(matching(Matcher::Priority(vec![literal("go.mod"), markers()]))), &host);
    assert_eq!(called(&scene, &calls), ["app/pack", "app/pack/src", ""]);
}

#[test]
fn the_default_rules_ask_about_the_innermost_project() {
    let scene = nested();
    let stages = || vec![UP, with_on_match(DETECT), FIND, EXECUTE];
    let run = |accepted| {
        let (host, calls) = accepting(&scene, accepted);
        let plan = scene.run("app/pack/src", stages(), &host);
        let names: Vec<String> = names(&plan).into_iter().map(String::from).collect();
        (names, called(&scene, &calls))
    };
    assert_eq!(run(&["pack"]), (vec!["app".into(), "app/pack".into()], vec!["app/pack".into()]));
    assert_eq!(run(&["app"]), (vec!["app".into()], vec!["app/pack".into(), "app".into()]));
    assert_eq!(run(&[]).0, ["src"]);
    fs::remove_dir(scene.path("app/.git")).unwrap();
    fs::write(scene.path("app/Makefile"), "").unwrap();
    assert_eq!(run(&["app"]), (vec!["app".into()], vec!["app/pack".into(), "app".into()]));
}

#[test]
fn a_known_project_stays_and_on_match_is_called_all_the_same() {
    let scene = nested();
    let (host, calls) = accepting(&scene, &["src"]);
    let plan = scene.run("app/pack/src", vec![UP, DETECT, with_on_match(matching(literal(".marker")))], &host);
    assert_eq!(names(&plan), ["app", "app/pack"]);
    let expected = vec!["app".into(), "app/pack".into()];
    assert_eq!(*calls.lock().unwrap(), [(scene.path("app/pack/src"), expected)]);
}

#[test]
fn an_earlier_stage_decides_first_however_late() {
    let scene = nested();
    fs::remove_dir(scene.path("app/.git")).unwrap();
    let host = || Scripted::new(&scene.runtime).function(2..3, pass).arc();
    for between in [vec![], vec![Stage::Call]] {
        // Without a repository, the default rules know at the end only; the marker is seen at once.
        for (later, expected) in [
            (matching(literal(".marker")), "app/pack"),
            (overriding(literal(".marker")), ""),
            (with_on_match(matching(literal(".marker"))), "app/pack"),
        ] {
            let stages = [vec![UP, DETECT], between.clone(), vec![later]].concat();
            assert_eq!(scene.roots(&scene.run("app/pack/src", stages, &host())), [expected]);
        }
        let stages = [vec![UP, matching(literal("absent"))], between, vec![matching(literal(".marker"))]].concat();
        assert_eq!(scene.roots(&scene.run("app/pack/src", stages, &host())), ["app/pack/src"]);
    }
}

#[test]
fn directories_that_a_function_names_are_detected_like_walked_ones() {
    let scene = nested();
    std::os::unix::fs::symlink(scene.path("app"), scene.path("linked")).unwrap();
    for (item, start, expected) in [
        ("app/pack", "config", vec!["pack"]),
        ("linked", "config", vec!["app"]),
        ("app/pack/../.", "config", vec!["app"]),
        ("nowhere", "config", vec!["config"]),
    ] {
        let item = scene.item(item);
        let produce = move |mut items: Items| async move {
            items.send(item).await;
        };
        let host = Scripted::new(&scene.runtime).function(0..1, produce).arc();
        let plan = scene.run(start, vec![Stage::Call, DETECT], &host);
        assert_eq!(names(&plan), expected);
        assert_eq!(plan.start_dir, scene.path(start));
        assert!(plan.projects[0].root.ends_with(expected[0]));
    }
}

#[test]
fn the_home_directory_is_no_project_by_its_manifest_here_either() {
    let scene = nested();
    fs::remove_dir(scene.path("app/.git")).unwrap();
    let host = Scripted::new(&scene.runtime).function(1..2, pass).arc();
    let mut request = scene.request_with("app/pack", vec![UP, Stage::Call, DETECT], LONG);
    request.home = Some(scene.path("app/pack"));
    request.naming.stop_at = Some(Vec::new());
    let plan = scene.runtime.block_on(scene.engine.plan(request, |_| None, host)).unwrap();
    assert_eq!(plan.projects[0].root, scene.path("app/pack"));
    fs::write(scene.path("app/Makefile"), "").unwrap();
    let host = Scripted::new(&scene.runtime).function(1..2, pass).arc();
    let mut request = scene.request_with("app/pack", vec![UP, Stage::Call, DETECT], LONG);
    request.home = Some(scene.path("app/pack"));
    request.naming.stop_at = Some(Vec::new());
    let plan = scene.runtime.block_on(scene.engine.plan(request, |_| None, host)).unwrap();
    assert_eq!(plan.projects[0].root, scene.path("app"));
}

#[test]
fn a_linked_worktree_has_the_name_of_its_main_checkout_here_too() {
    let scene = nested();
    scene.make(&["app/.git/worktrees/linked", "linked"]);
    fs::write(scene.path("app/.git/worktrees/linked/commondir"), "../..\n").unwrap();
    fs::write(scene.path("linked/.git"), "gitdir: ../app/.git/worktrees/linked\n").unwrap();
    let host = Scripted::new(&scene.runtime).function(1..2, pass).arc();
    let plan = scene.run("linked", vec![UP, Stage::Call, DETECT], &host);
    assert_eq!((names(&plan), scene.roots(&plan)), (vec!["app"], vec!["linked".into()]));
}

#[test]
fn on_match_may_change_the_projects() {
    let scene = nested();
    let changed = vec![scene.project("app", "big"), scene.project("app/pack", "big/small")];
    let host = Scripted::new(&scene.runtime)
        .on_match(move |_, _| Matched { accepted: true, projects: Some(changed.clone()) })
        .arc();
    scene.write("big.lua", "");
    let plan = scene.run("app/pack/src", vec![UP, with_on_match(matching(literal(".git"))), FIND, EXECUTE], &host);
    assert_eq!((names(&plan), files(&plan)), (vec!["big", "big/small"], vec!["big.lua"]));
    assert_eq!(scene.roots(&plan), ["app", "app/pack"]);
}

/// A function that sets the projects when it has got everything.
fn setting(projects: Vec<Project>) -> impl FnOnce(Items) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    move |mut items| {
        Box::pin(async move {
            while let Some(item) = items.next().await {
                items.send(item).await;
            }
            items.send_batch(Batch { items: vec![], projects: Some(projects) }).await;
        })
    }
}

#[test]
fn a_function_decides_the_project_and_later_stages_let_it_be() {
    let scene = nested();
    scene.write("other.lua", "");
    let run = |project: Project, stages: Vec<Stage>| {
        let host = Scripted::new(&scene.runtime).function(2..3, setting(vec![project])).arc();
        let plan = scene.run("app", [vec![UP, DETECT, Stage::Call], stages, vec![FIND, EXECUTE]].concat(), &host);
        (names(&plan).join(" "), scene.roots(&plan).join(" "), files(&plan).join(" "), problems(&plan))
    };
    let other = ("other".into(), "app/pack".into(), "other.lua".into(), vec![]);
    assert_eq!(run(scene.project("app/pack", "other"), vec![]), other);
    assert_eq!(run(scene.project("app/pack", "other"), vec![matching(literal("pack"))]), other);
    let app = || ("app".into(), "app".into(), String::new());
    for (project, problem) in [
        (scene.project("app", "a//b"), "the component \"\" of a project name is empty".to_owned()),
        (
            Project { root: "app".into(), name: "a".into() },
            "ctx.project_root: expected an absolute path, got 'app'".into(),
        ),
        (
            scene.project("nowhere", "a"),
            format!(
                "ctx.project_root: expected a directory: {}: does not exist; create it, or give another path",
                scene.path("nowhere").display()
            ),
        ),
        (
            scene.project(".marker", "a"),
            format!(
                "ctx.project_root: expected a directory: {}: is not a directory; rename or remove it",
                scene.path(".marker").display()
            ),
        ),
    ] {
        let (name, root, files) = app();
        assert_eq!(run(project, vec![]), (name, root, files, vec![format!("pipeline stage 3 (function): {problem}")]));
    }
}
