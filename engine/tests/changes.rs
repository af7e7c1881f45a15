//! What an engine remembers of earlier loads never hides a change.
//!
//! Each case loads, changes something, and loads again: the plan must be that of an engine which remembers nothing, and not
//! the one before.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is what a panic is for")]

use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::file_cache::FileCache;
use engine::open::Limits;
use engine::pipeline::host::NoHost;
use engine::pipeline::{Engine, Kind, Request, Stage};
use rustix::fs::inotify;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A repository with two packages, and files for it and for the inner package.
struct Scene {
    directory: TempDir,
    engine: Engine,
    runtime: Runtime,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for path in [
            "src/repo/.git",
            "src/repo/apps/inner/lib/deep",
            "src/repo/docs/keys",
            "src/repo/package",
            "src/other/.git",
            "config/repo/inner",
        ] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for path in ["src/repo/apps/inner/package.json", "src/other/go.mod", "src/repo/package/go.mod"] {
            fs::write(at(path), "").unwrap();
        }
        for file in ["repo.lua", "repo/keys.lua", "repo/apps.lua", "repo/lsp.lua", "repo/inner/more.lua", "other.lua"] {
            fs::write(at("config").join(file), "").unwrap();
        }
        symlink("repo/apps/inner/lib/deep", at("src/start")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        Self { directory, engine: new_engine(), runtime }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// What is planned, told by `engine`.
    fn plan(&self, engine: &Engine) -> (Vec<(PathBuf, String)>, Vec<PathBuf>) {
        let kind = Kind { name: "lua".into(), extensions: vec![".lua".into()], merged: false };
        let request = Request {
            start_dir: self.at("src/start"),
            near: false,
            config_dir: self.at("config"),
            stages: Stage::default_pipeline(),
            kinds: vec![kind],
            limits: Limits { max_file_size: 1 << 20, trust_mtime: true },
            timeout: Duration::from_secs(60),
            home: None,
            naming: Default::default(),
        };
        let plan = self.runtime.block_on(engine.plan(request, |_| None, Arc::new(NoHost))).unwrap();
        assert!(plan.problems.is_empty(), "{:?}", plan.problems);
        let projects = plan.projects.into_iter().map(|project| (project.root, project.name.into_string().unwrap()));
        (projects.collect(), plan.files.iter().map(|file| file.path.to_path_buf()).collect())
    }
}

fn new_engine() -> Engine {
    Engine::new(Arc::new(FileCache::new(1 << 20)))
}

/// Time stamps prove something from an age of two seconds on, and no program can set a `ctime` back. So it is waited for, once
/// for all scenes.
fn grow_old() {
    let old = SystemTime::now() + Duration::from_millis(2_100);
    while let Ok(left) = old.duration_since(SystemTime::now()) {
        std::thread::sleep(left);
    }
}

type Change = (&'static str, fn(&Scene));

const CHANGES: &[Change] = &[
    ("a marker is made in the start directory", |scene| {
        fs::create_dir(scene.at("src/repo/apps/inner/lib/deep/.hg")).unwrap();
    }),
    ("a marker is made half way up", |scene| fs::write(scene.at("src/repo/apps/.git"), "").unwrap()),
    ("the repository's marker is removed", |scene| fs::remove_dir(scene.at("src/repo/.git")).unwrap()),
    ("the repository becomes a linked worktree", |scene| {
        let gitdir = scene.at("src/other/.git/worktrees/repo");
        fs::create_dir_all(&gitdir).unwrap();
        fs::write(gitdir.join("commondir"), "../..").unwrap();
        fs::remove_dir(scene.at("src/repo/.git")).unwrap();
        fs::write(scene.at("src/repo/.git"), format!("gitdir: {}", gitdir.display())).unwrap();
    }),
    ("a manifest is made on the way up", |scene| fs::write(scene.at("src/repo/apps/inner/lib/go.mod"), "").unwrap()),
    ("a manifest on the way up is removed", |scene| {
        fs::remove_file(scene.at("src/repo/apps/inner/package.json")).unwrap();
    }),
    ("a directory becomes a package", |scene| fs::write(scene.at("src/repo/apps/go.mod"), "").unwrap()),
    ("a directory two levels down becomes a package", |scene| {
        fs::write(scene.at("src/repo/docs/keys/go.mod"), "").unwrap();
    }),
    ("a package is made two levels down", |scene| {
        fs::create_dir(scene.at("src/repo/docs/lsp")).unwrap();
        fs::write(scene.at("src/repo/docs/lsp/go.mod"), "").unwrap();
    }),
    ("a package is made in a directory of its own", |scene| {
        fs::create_dir(scene.at("src/repo/lsp")).unwrap();
        fs::write(scene.at("src/repo/lsp/go.mod"), "").unwrap();
    }),
    ("a file is added to the project's directory", |scene| fs::write(scene.at("config/repo/new.lua"), "").unwrap()),
    ("a file is removed from the project's directory", |scene| {
        fs::remove_file(scene.at("config/repo/lsp.lua")).unwrap()
    }),
    ("a file gets another name", |scene| {
        fs::rename(scene.at("config/repo/lsp.lua"), scene.at("config/repo/lsp.txt")).unwrap();
    }),
    ("files are named after a package and after none", |scene| {
        fs::write(scene.at("config/repo/package.lua"), "").unwrap();
        fs::write(scene.at("config/repo/none.lua"), "").unwrap();
    }),
    ("the directory of files is replaced", |scene| {
        fs::rename(scene.at("config/repo"), scene.at("config/old")).unwrap();
        fs::create_dir(scene.at("config/repo")).unwrap();
        fs::write(scene.at("config/repo/lsp.lua"), "").unwrap();
    }),
    ("the directory of files is made a link", |scene| {
        fs::rename(scene.at("config/repo"), scene.at("config/old")).unwrap();
        symlink("old/inner", scene.at("config/repo")).unwrap();
    }),
    ("the directory of files is removed", |scene| fs::remove_dir_all(scene.at("config/repo/inner")).unwrap()),
    ("the start path leads elsewhere", |scene| {
        fs::remove_file(scene.at("src/start")).unwrap();
        symlink("other", scene.at("src/start")).unwrap();
    }),
    ("the start path leads through a directory that was moved", |scene| {
        fs::rename(scene.at("src/repo"), scene.at("src/moved")).unwrap();
        symlink("moved", scene.at("src/repo")).unwrap();
    }),
    ("a directory on the way up is replaced", |scene| {
        fs::rename(scene.at("src/repo"), scene.at("src/old")).unwrap();
        fs::create_dir_all(scene.at("src/repo/apps/inner/lib/deep")).unwrap();
        fs::write(scene.at("src/repo/Makefile"), "").unwrap();
    }),
    ("a directory on the way up gets another name", |scene| {
        fs::rename(scene.at("src/repo/apps/inner"), scene.at("src/repo/apps/renamed")).unwrap();
        fs::remove_file(scene.at("src/start")).unwrap();
        symlink("repo/apps/renamed/lib/deep", scene.at("src/start")).unwrap();
    }),
];

#[test]
fn every_change_is_seen() {
    let scenes: Vec<(Scene, &Change)> = CHANGES.iter().map(|change| (Scene::new(), change)).collect();
    grow_old();
    for (scene, (name, change)) in &scenes {
        let before = scene.plan(&scene.engine);
        assert_eq!(scene.plan(&scene.engine), before, "{name}");
        change(scene);
        let after = scene.plan(&scene.engine);
        assert_ne!(after, before, "{name}");
        assert_eq!(after, scene.plan(&new_engine()), "{name}");
    }
}

#[test]
fn a_change_right_after_a_load_is_seen_while_all_is_young() {
    for (name, change) in CHANGES {
        let scene = Scene::new();
        scene.plan(&scene.engine);
        change(&scene);
        assert_eq!(scene.plan(&scene.engine), scene.plan(&new_engine()), "{name}");
    }
}

/// Else nothing would be remembered, and the tests above would show nothing.
#[test]
fn what_has_not_changed_is_not_opened_again() {
    let scene = Scene::new();
    grow_old();
    let before = scene.plan(&scene.engine);
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    for path in
        ["src/repo", "src/repo/.git", "src/repo/apps", "src/repo/apps/inner", "config/repo", "config/repo/inner"]
    {
        inotify::add_watch(&watch, scene.at(path), inotify::WatchFlags::OPEN).unwrap();
    }
    let is_opened = || {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        inotify::Reader::new(&watch, &mut buffer).next().is_ok()
    };
    assert_eq!(scene.plan(&scene.engine), before);
    assert!(!is_opened());
    assert_eq!(scene.plan(&new_engine()), before);
    assert!(is_opened());
}
