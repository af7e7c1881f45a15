//! What becomes of loads that nobody has called for: each case plans, changes something on disk, plans again and asks for the verdict.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed test is what a panic is for")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::file_cache::FileCache;
use engine::loads::Reason;
use engine::open::Limits;
use engine::pipeline::host::NoHost;
use engine::pipeline::{Engine, Kind, Naming, Request, Stage};
use engine::plan::Plan;
use engine::verdict::{self, Standing, Verdict, judge};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A project with a JSON and a Lua file, and a directory that is none.
struct Scene {
    directory: TempDir,
    engine: Engine,
    runtime: Runtime,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for path in ["src/proj/.git", "src/plain", "config/proj"] {
            fs::create_dir_all(directory.path().join(path)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let scene = Self { directory, engine: Engine::new(Arc::new(FileCache::new(1 << 20))), runtime };
        scene.write("proj.json", r#"{"a":1}"#);
        scene.write("proj.lua", "one()");
        scene
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("config").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    fn plan(&self, start: &str, shown: Option<&Plan>) -> Plan {
        let root = self.directory.path().canonicalize().unwrap();
        let kind = |name: &str, merged| Kind { name: name.into(), extensions: vec![format!(".{name}")], merged };
        let request = Request {
            start_dir: root.join("src").join(start),
            near: true,
            config_dir: root.join("config"),
            stages: Stage::default_pipeline(),
            kinds: vec![kind("json", true), kind("lua", false)],
            limits: Limits { max_file_size: 64, trust_mtime: false },
            timeout: Duration::from_secs(20),
            home: None,
            naming: Naming::default(),
        };
        let shown = shown.cloned().map(Arc::new);
        self.runtime.block_on(self.engine.plan(request, move |_| shown.clone(), Arc::new(NoHost))).unwrap()
    }

    /// The verdict on what lies on disk now, for the project whose context is the current one and shows `shown`.
    fn check(&self, shown: &Plan, is_current: bool) -> (Verdict, Plan) {
        let plan = self.plan("proj", Some(shown));
        let has_new_settings = plan.json != shown.json;
        let standing = Standing { shown: Some(shown), is_current, has_new_settings };
        (judge(Reason::ConfigDir, &plan, standing), plan)
    }
}

const NOWHERE: Standing<'static> = Standing { shown: None, is_current: false, has_new_settings: true };

#[test]
fn what_was_asked_for_always_runs() {
    let scene = Scene::new();
    let plan = scene.plan("proj", None);
    let standing = Standing { shown: Some(&plan), is_current: true, has_new_settings: false };
    for reason in [Reason::Manual, Reason::Startup] {
        assert_eq!(judge(reason, &plan, standing), Verdict::Run);
        assert_eq!(judge(reason, &plan, NOWHERE), Verdict::Run);
    }
}

#[test]
fn who_follows_the_user_loads_another_project_and_not_the_one_that_he_is_in() {
    let scene = Scene::new();
    let plan = scene.plan("proj", None);
    for reason in [Reason::Cwd, Reason::Buffer] {
        assert_eq!(judge(reason, &plan, NOWHERE), Verdict::Run);
        let loaded = Standing { shown: Some(&plan), is_current: false, has_new_settings: false };
        assert_eq!(judge(reason, &plan, loaded), Verdict::Run);
        assert_eq!(judge(reason, &plan, Standing { is_current: true, ..loaded }), Verdict::Stay);
        assert_eq!(judge(reason, &plan, Standing { is_current: true, ..NOWHERE }), Verdict::Stay, "it is being loaded");
    }
}

#[test]
fn a_file_that_lies_just_anywhere_leads_nowhere_unless_there_is_something_to_load() {
    let scene = Scene::new();
    let plan = scene.plan("plain/file.txt", None);
    assert_eq!(judge(Reason::Buffer, &plan, NOWHERE), Verdict::Stay);
    assert_eq!(judge(Reason::Cwd, &plan, NOWHERE), Verdict::Run);
    let loaded = Standing { shown: Some(&plan), ..NOWHERE };
    assert_eq!(judge(Reason::Buffer, &plan, loaded), Verdict::Run, "somebody has loaded it");
    scene.write("plain.lua", "");
    assert_eq!(judge(Reason::Buffer, &scene.plan("plain/file.txt", None), NOWHERE), Verdict::Run);
    scene.write("plain.lua", &"x".repeat(65));
    assert_eq!(
        judge(Reason::Buffer, &scene.plan("plain/file.txt", None), NOWHERE),
        Verdict::Run,
        "of which one has to be told"
    );
}

#[test]
fn what_has_not_changed_is_nobodys_business() {
    let scene = Scene::new();
    let shown = scene.plan("proj", None);
    scene.write("other.lua", "two()");
    scene.write("proj.lua", "one()");
    scene.write("proj.json", r#"{ "a": 1 } // the same"#);
    assert_eq!(scene.check(&shown, true).0, Verdict::Stay);
}

#[test]
fn settings_are_merged_and_code_runs_where_the_user_is() {
    let scene = Scene::new();
    let shown = scene.plan("proj", None);
    scene.write("proj.json", r#"{"a":2}"#);
    assert_eq!(scene.check(&shown, true).0, Verdict::Merge);
    assert_eq!(scene.check(&shown, false).0, Verdict::Merge);
    scene.write("proj.lua", "two()");
    assert_eq!(scene.check(&shown, true).0, Verdict::Run);
    assert_eq!(scene.check(&shown, false).0, Verdict::Merge);
    scene.write("proj.json", r#"{"a":1}"#);
    assert_eq!(scene.check(&shown, false).0, Verdict::Stay, "code of another project runs when it is entered");
}

#[test]
fn files_that_come_and_go_count_as_changes() {
    let scene = Scene::new();
    let shown = scene.plan("proj", None);
    scene.write("proj/more.lua", "");
    assert_eq!(scene.check(&shown, true).0, Verdict::Run);
    fs::remove_file(scene.file("proj/more.lua")).unwrap();
    scene.write("proj/more.json", r#"{"a":1}"#);
    let (verdict, plan) = scene.check(&shown, true);
    assert_eq!(verdict, Verdict::Merge, "what deletes `a` has to delete it there too");
    assert_eq!(verdict::changed_settings(&plan, &shown), [scene.file("proj/more.json")]);
    fs::remove_file(scene.file("proj/more.json")).unwrap();
    fs::remove_file(scene.file("proj.lua")).unwrap();
    assert_eq!(scene.check(&shown, true).0, Verdict::Run);
}

#[test]
fn a_problem_is_told_once_and_leaves_in_force_what_was() {
    let scene = Scene::new();
    let shown = scene.plan("proj", None);
    scene.write("proj.json", r#"{"a":"#);
    let (verdict, broken) = scene.check(&shown, true);
    assert_eq!(verdict, Verdict::Merge);
    assert_eq!(verdict::new_problems(&broken, &shown).len(), 1);
    assert_eq!(broken.json, shown.json);
    assert_eq!(scene.check(&broken, true).0, Verdict::Stay);
}

#[test]
fn code_that_is_out_of_reach_for_the_moment_stays_in_force() {
    let scene = Scene::new();
    let shown = scene.plan("proj", None);
    scene.write("proj.lua", &"x".repeat(65));
    let (verdict, without) = scene.check(&shown, true);
    assert_eq!(verdict, Verdict::Merge);
    let kept = verdict::with_code_of(without, &shown);
    let paths: Vec<&Path> = kept.files.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, [scene.file("proj.json"), scene.file("proj.lua")]);
    scene.write("proj.lua", "one()");
    let (verdict, mended) = scene.check(&kept, true);
    assert_eq!(verdict, Verdict::Merge, "it is what it was and does not run, but nothing is wrong any more");
    let mended = verdict::with_code_of(mended, &kept);
    assert_eq!(mended.problems, []);
    assert_eq!(scene.check(&mended, true).0, Verdict::Stay);
}

#[test]
fn all_at_once_may_mean_that_the_disk_has_gone() {
    let scene = Scene::new();
    let shown = scene.plan("proj", None);
    fs::remove_file(scene.file("proj.lua")).unwrap();
    assert!(!verdict::has_lost_everything(&scene.check(&shown, true).1, &shown));
    fs::remove_dir_all(scene.file("")).unwrap();
    assert!(verdict::has_lost_everything(&scene.check(&shown, true).1, &shown));
}
