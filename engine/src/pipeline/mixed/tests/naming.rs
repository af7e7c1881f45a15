//! Names and excluded directories, with the user's say and without: the same rules as in native pipelines.

use std::ffi::OsStr;
use std::sync::Mutex;

use super::host::{EXCLUDE, short};
use super::*;
use crate::name::ProjectName;
use crate::pipeline::{NameFrom, Naming};

/// `app/.git`, `app/pack/go.mod`, `app/pack/src`, and a `.git` beside `app`.
fn nested() -> Scene {
    let scene = Scene::new(&[]);
    scene.make(&["app/pack/src", ".git"]);
    fs::write(scene.path("app/pack/go.mod"), "").unwrap();
    scene
}

impl Scene {
    fn run_named(&self, start: &str, stages: Vec<Stage>, naming: Naming, host: &Arc<Scripted>) -> Result<Plan> {
        let request = Request { naming, ..self.request_with(start, stages, LONG) };
        self.runtime.block_on(self.engine.plan(request, |_| None, Arc::clone(host) as _))
    }
}

fn name(text: &str) -> ProjectName {
    ProjectName::from_components(text.split('/').map(OsStr::new)).unwrap()
}

#[test]
fn the_host_names_the_outermost_project_once_a_load() {
    let scene = nested();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&asked);
    let host = Scripted::new(&scene.runtime).name(move |root, start| {
        note.lock().unwrap().push((root.to_path_buf(), start.to_path_buf()));
        Some("group/name".into())
    });
    let host = host.on_match(|_, _| crate::pipeline::host::Matched { accepted: false, projects: None }).arc();
    let by_host = || Naming { from: NameFrom::Host, ..Naming::default() };
    // Each candidate is rejected: pack, and then app; the start directory is left.
    let stages = vec![UP, with_on_match(DETECT), FIND, EXECUTE];
    let plan = scene.run_named("app/pack/src", stages, by_host(), &host).unwrap();
    assert!(plan.fallback && !plan.named);
    assert_eq!(names(&plan), ["group/name"]);
    let roots: Vec<String> = asked.lock().unwrap().drain(..).map(|(root, _)| scene.told(root)).collect();
    assert_eq!(roots, ["app", "", "app/pack/src"]);
    let plan = scene.run_named("app/pack/src", vec![UP, DETECT, FIND, EXECUTE], by_host(), &host).unwrap();
    assert_eq!(names(&plan), ["group/name", "group/name/pack"]);
    assert_eq!(asked.lock().unwrap().drain(..).collect::<Vec<_>>(), [(scene.path("app"), scene.path("app/pack/src"))]);
    // A name that is given is nothing to ask about.
    let given = Naming { names: vec![(scene.path("app"), name("given"))], ..by_host() };
    let plan = scene.run_named("app/pack", vec![UP, DETECT], given, &host).unwrap();
    assert_eq!((names(&plan), plan.named), (vec!["given", "given/pack"], true));
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn a_name_that_is_none_is_told_and_the_directory_counts() {
    let scene = nested();
    for (answer, told) in [(Some("a//b"), 1), (Some(""), 1), (None, 0)] {
        let host = Scripted::new(&scene.runtime).name(move |_, _| answer.map(OsString::from)).arc();
        let naming = Naming { from: NameFrom::Host, ..Naming::default() };
        let plan = scene.run_named("app", vec![UP, DETECT], naming, &host).unwrap();
        assert_eq!((names(&plan), plan.problems.len()), (vec!["app"], told));
        assert!(problems(&plan).iter().all(|problem| problem.starts_with("project_name: ")), "{:?}", problems(&plan));
    }
}

#[test]
fn a_directory_is_asked_about_once_and_only_if_it_could_be_a_project() {
    let scene = nested();
    let host = Scripted::new(&scene.runtime).matches(|test| short(test).1 == "app").arc();
    let naming = Naming { exclude: Some(leaf(3)), ..Naming::default() };
    let stages = vec![UP, matching(literal(".none")), matching(literal(".git")), DETECT, FIND, EXECUTE];
    let plan = scene.run_named("app/pack/src", stages, naming, &host).unwrap();
    assert_eq!(scene.roots(&plan), [""]);
    let tests: Vec<_> = host.tests.lock().unwrap().drain(..).collect();
    assert!(tests.iter().all(|(stage, _)| *stage == EXCLUDE));
    let mut asked: Vec<_> = tests.iter().flat_map(|(_, tests)| tests.iter().map(short)).collect();
    let count = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!(count, asked.len());
    assert!(asked.iter().all(|(_, name)| name != "src"));
}

#[test]
fn an_excluded_start_directory_ends_a_load_that_finds_nothing_else() {
    let scene = Scene::new(&[]);
    scene.make(&["plain"]);
    for exclude in [leaf(0), leaf_of_names(1), Matcher::Path(scene.path("plain"))] {
        for stages in [vec![UP, DETECT, FIND, EXECUTE], vec![FIND, EXECUTE], vec![UP, Stage::Call], vec![]] {
            let host =
                Scripted::new(&scene.runtime).matches(|test| short(test).1 == "plain").function(1..2, pass).arc();
            let naming = Naming { exclude: Some(exclude.clone()), ..Naming::default() };
            let error = scene.run_named("plain", stages, naming, &host).unwrap_err();
            assert_eq!((error.kind.code(), error.path()), ("no_project", Some(&*scene.path("plain"))));
        }
    }
}

#[test]
fn the_rules_are_those_of_native_pipelines() {
    let scene = nested();
    let at = |path: &str| scene.path(path);
    let namings = [
        Naming { exclude: Some(Matcher::Path(at("app"))), ..Naming::default() },
        Naming { exclude: Some(Matcher::Path(at("app/pack"))), ..Naming::default() },
        Naming { exclude: Some(Matcher::Any(vec![literal("go.mod"), literal(".git")])), ..Naming::default() },
        Naming { stop_at: Some(vec![at("app")]), ..Naming::default() },
        Naming { stop_at: Some(vec![at("app/pack/src"), at("app")]), ..Naming::default() },
        Naming { stop_at: Some(Vec::new()), ..Naming::default() },
        Naming { names: vec![(at("app/pack"), name("p/q")), (at("app"), name("a"))], ..Naming::default() },
        Naming { from: NameFrom::Remote, ..Naming::default() },
    ];
    for (index, naming) in namings.into_iter().enumerate() {
        for rule in
            [DETECT, matching(Matcher::Any(vec![literal(".git"), literal("go.mod")])), overriding(literal(".git"))]
        {
            for start in ["app", "app/pack", "app/pack/src"] {
                let host = Scripted::new(&scene.runtime).function(1..2, pass).arc();
                let run = |stages| {
                    let plan = scene.run_named(start, stages, naming.clone(), &host);
                    plan.map(|plan| (plan.projects, plan.named, plan.fallback))
                };
                let (native, mixed) = (run(vec![UP, rule.clone()]), run(vec![UP, Stage::Call, rule.clone()]));
                assert_eq!(native, mixed, "{index} {rule:?} {start}");
            }
        }
    }
}
