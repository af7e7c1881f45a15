//! Bindings of real directories and repositories, in a real file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::*;
use crate::pipeline::host::NoHost;
use crate::pipeline::{Engine, Kind, Naming, Stage};

struct Scene {
    _dir: tempfile::TempDir,
    root: PathBuf,
    cache: Arc<FileCache>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        Self { _dir: dir, root, cache: Arc::new(FileCache::new(1 << 20)) }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Another editor, that remembers nothing.
    fn anew(&mut self) {
        self.cache = Arc::new(FileCache::new(1 << 20));
    }

    fn file(&self) -> PathBuf {
        self.at("state/plugin/names.json")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn check(&self, root: &Path) -> Check {
        Check {
            subject: Subject {
                project: Project { root: root.to_owned(), name: root.file_name().unwrap().to_owned() },
                config_dir: self.at("config"),
                names: Vec::new(),
            },
            file: self.file(),
            limits: Limits { max_file_size: LARGEST, trust_mtime: true },
            timeout: Duration::from_secs(20),
        }
    }

    fn perform(&self, check: Check) -> Result<Option<Clash>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        runtime.block_on(check.perform(Arc::clone(&self.cache)))
    }

    /// The root that the project at `path` clashes with.
    fn clash(&self, path: &str) -> Option<PathBuf> {
        self.perform(self.check(&self.at(path))).unwrap().map(|clash| clash.other_root)
    }

    fn repository(&self, path: &str, remote: Option<&str>) {
        self.git(&self.root, &["init", "-q", path]);
        if let Some(remote) = remote {
            self.git(&self.at(path), &["remote", "add", "origin", remote]);
        }
    }

    fn git(&self, dir: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        let settings = ["-c", "user.name=n", "-c", "user.email=n@example.org"];
        let command = command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = command.args(settings).args(arguments).current_dir(dir).output().expect("git");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Whether there is anything to check for the project that the default rule finds from `start`.
fn is_checked(scene: &Scene, start: &str) -> bool {
    let kind = |name: &str, merged| Kind { name: name.into(), extensions: vec![format!(".{name}")], merged };
    let request = Request {
        start_dir: scene.at(start),
        near: false,
        config_dir: scene.at("config"),
        stages: Stage::default_pipeline(),
        kinds: vec![kind("json", true), kind("lua", false)],
        limits: Limits { max_file_size: 64, trust_mtime: true },
        timeout: Duration::from_secs(20),
        home: None,
        naming: Naming::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let engine = Engine::new(Arc::clone(&scene.cache));
    let plan = runtime.block_on(engine.plan(request.clone(), |_| None, Arc::new(NoHost))).unwrap();
    let named = Plan { named: true, ..plan.clone() };
    assert!(Check::of(&named, &request, scene.file()).is_none());
    Check::of(&plan, &request, scene.file()).is_some()
}

#[test]
fn only_a_name_that_has_chosen_files_is_checked() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at("big/.git")).unwrap();
    fs::create_dir_all(scene.at("big/packages/web")).unwrap();
    fs::write(scene.at("big/packages/web/package.json"), "{}").unwrap();
    fs::create_dir_all(scene.at("config/big")).unwrap();
    fs::write(scene.at("config/bigger.lua"), "").unwrap();
    fs::write(scene.at("config/big/notes.txt"), "").unwrap();
    assert!(!is_checked(&scene, "big"));
    for (file, text) in [("big/web.lua", ""), ("big.json", "{"), ("big/any.lua", "")] {
        let path = scene.at("config").join(file);
        fs::write(&path, text).unwrap();
        assert!(is_checked(&scene, "big/packages/web"), "{file}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_name_belongs_to_the_first_root_that_has_it() {
    let mut scene = Scene::new();
    scene.repository("work/api", None);
    scene.repository("home/api", None);
    assert_eq!(scene.clash("work/api"), None);
    let text = scene.text();
    scene.anew();
    let clash = scene.perform(scene.check(&scene.at("home/api"))).unwrap().unwrap();
    let expected = Clash {
        name: "api".into(),
        root: scene.at("home/api"),
        other_root: scene.at("work/api"),
        proposal: "home-api".into(),
    };
    assert_eq!(clash, expected);
    assert_eq!(scene.text(), text);
    assert_eq!(scene.clash("work/api"), None);
}

#[test]
fn what_is_bound_is_not_written_again() {
    let scene = Scene::new();
    scene.repository("api", Some("host:o/api"));
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(scene.file()).unwrap());
    assert_eq!(scene.clash("api"), None);
    let before = inode();
    assert_eq!(scene.clash("api"), None);
    assert_eq!(inode(), before);
    scene.git(&scene.at("api"), &["remote", "set-url", "origin", "host:other/api"]);
    assert_eq!(scene.clash("api"), None);
    assert!(scene.text().contains("host/other/api"), "{}", scene.text());
}

#[test]
fn another_config_dir_gives_other_files_to_the_same_name() {
    let scene = Scene::new();
    scene.repository("work/api", None);
    scene.repository("home/api", None);
    assert_eq!(scene.clash("work/api"), None);
    let mut check = scene.check(&scene.at("home/api"));
    check.subject.config_dir = scene.at("other-config");
    assert_eq!(scene.perform(check).unwrap(), None);
}

#[test]
fn a_root_that_is_gone_gives_its_name_away() {
    let scene = Scene::new();
    scene.repository("work/api", None);
    scene.repository("home/api", None);
    assert_eq!(scene.clash("work/api"), None);
    fs::rename(scene.at("work/api"), scene.at("work/old-api")).unwrap();
    assert_eq!(scene.clash("home/api"), None);
    fs::rename(scene.at("work/old-api"), scene.at("work/api")).unwrap();
    assert_eq!(scene.clash("work/api"), Some(scene.at("home/api")));
}

#[test]
fn a_root_with_a_name_of_the_users_gives_its_own_away() {
    let scene = Scene::new();
    scene.repository("work/api", None);
    scene.repository("home/api", None);
    std::os::unix::fs::symlink("work", scene.at("link")).unwrap();
    assert_eq!(scene.clash("work/api"), None);
    let named = |path: &str, name: &str| {
        let name = ProjectName::from_components([OsStr::new(name)]).unwrap();
        let names = vec![(scene.at("nowhere"), name.clone()), (scene.at(path), name)];
        let mut check = scene.check(&scene.at("home/api"));
        check.subject.names = names;
        scene.perform(check).unwrap().map(|clash| clash.other_root)
    };
    assert_eq!(named("work", "work-api"), Some(scene.at("work/api")));
    // A name that is the same is none of its own.
    assert_eq!(named("link/api", "api"), Some(scene.at("work/api")));
    assert_eq!(named("link/api", "work-api"), None);
    assert!(scene.text().contains(scene.at("home/api").to_str().unwrap()));
}

#[test]
fn checkouts_of_one_repository_are_no_clash() {
    let scene = Scene::new();
    scene.repository("a/api", Some("git@example.org:o/api.git"));
    scene.git(&scene.at("a/api"), &["commit", "-q", "--allow-empty", "-m", "m"]);
    scene.git(&scene.at("a/api"), &["worktree", "add", "-q", "../../b/api"]);
    scene.repository("c/api", Some("https://me@example.org/o/api"));
    scene.repository("d/api", Some("https://example.org/fork/api"));
    scene.repository("e/api", None);
    assert_eq!(scene.clash("a/api"), None);
    let text = scene.text();
    assert_eq!(scene.clash("b/api"), None);
    assert_eq!(scene.clash("c/api"), None);
    assert_eq!(scene.clash("d/api"), Some(scene.at("a/api")));
    assert_eq!(scene.clash("e/api"), Some(scene.at("a/api")));
    // The one that was there first keeps the name, however often the others are loaded.
    assert_eq!(scene.text(), text);
}

#[test]
fn a_remote_that_came_after_the_binding_counts() {
    let scene = Scene::new();
    scene.repository("a/api", None);
    scene.repository("b/api", Some("host:o/api"));
    assert_eq!(scene.clash("a/api"), None);
    assert_eq!(scene.clash("b/api"), Some(scene.at("a/api")));
    scene.git(&scene.at("a/api"), &["remote", "add", "origin", "ssh://host/o/api.git"]);
    assert_eq!(scene.clash("b/api"), None);
}

#[test]
fn directories_that_are_no_repositories_can_clash_too() {
    let scene = Scene::new();
    for path in ["a/notes", "b/notes"] {
        fs::create_dir_all(scene.at(path)).unwrap();
    }
    assert_eq!(scene.clash("a/notes"), None);
    assert_eq!(scene.clash("b/notes"), Some(scene.at("a/notes")));
}

#[test]
fn the_proposed_name_is_nobody_elses() {
    let scene = Scene::new();
    for path in ["a/api", "x/work/api", "x/work-api", "x/x-work-api"] {
        fs::create_dir_all(scene.at(path)).unwrap();
    }
    let proposal = || scene.perform(scene.check(&scene.at("x/work/api"))).unwrap().unwrap().proposal;
    assert_eq!(scene.clash("a/api"), None);
    assert_eq!(proposal(), "work-api");
    assert_eq!(scene.clash("x/work-api"), None);
    assert_eq!(proposal(), "x-work-api");
    assert_eq!(scene.clash("x/x-work-api"), None);
    assert!(proposal().to_str().unwrap().ends_with("-x-work-api"));
}

#[test]
fn bytes_that_are_no_text_are_kept_apart() {
    let scene = Scene::new();
    let root = |parent: &[u8]| scene.root.join(OsStr::from_bytes(parent)).join(OsStr::from_bytes(b"a\xffp%i"));
    let (first, second) = (root(b"\xfe"), root(b"%FE"));
    fs::create_dir_all(&first).unwrap();
    fs::create_dir_all(&second).unwrap();
    assert_eq!(scene.perform(scene.check(&first)).unwrap(), None);
    assert_eq!(scene.perform(scene.check(&first)).unwrap(), None);
    assert_eq!(scene.perform(scene.check(&second)).unwrap().unwrap().other_root, first);
}

#[test]
fn bindings_that_were_not_written_here_are_told_of_and_left_alone() {
    let mut scene = Scene::new();
    scene.repository("api", None);
    fs::create_dir_all(scene.file().parent().unwrap()).unwrap();
    let config = scene.at("config").display().to_string();
    let binding = |value: &str| format!("{{\"{config}\": {{\"api\": {value}}}}}");
    for text in [
        "{".to_owned(),
        "[]".to_owned(),
        "\"names\"".to_owned(),
        "\u{0}".to_owned(),
        format!("{{\"{config}\": 1}}"),
        "[".repeat(100_000),
        binding("null"),
        binding("\"/somewhere\""),
        binding("{}"),
        binding("{\"root\": \"relative\", \"identity\": {}}"),
        binding("{\"root\": \"/a%zz\", \"identity\": {}}"),
        binding("{\"root\": \"/a\", \"identity\": []}"),
        binding("{\"root\": \"/a\", \"identity\": {\"remote\": 1}}"),
        binding("{\"root\": \"/a\", \"identity\": {\"common_dir\": \"b\"}}"),
    ] {
        fs::write(scene.file(), &text).unwrap();
        scene.anew();
        let error = scene.perform(scene.check(&scene.at("api"))).unwrap_err();
        assert_eq!(error.path(), Some(&*scene.file()), "{text:.80}");
        assert_eq!(scene.text(), text);
    }
    // What is beside it, is somebody's.
    fs::write(scene.file(), "// mine\n{ \"other\": [1], }\n").unwrap();
    scene.anew();
    assert_eq!(scene.clash("api"), None);
    assert!(scene.text().starts_with("// mine\n{ \"other\": [1],"), "{}", scene.text());
}

#[test]
fn what_is_no_file_or_no_directory_is_told_of() {
    let scene = Scene::new();
    scene.repository("api", None);
    fs::create_dir_all(scene.file()).unwrap();
    let error = || scene.perform(scene.check(&scene.at("api"))).unwrap_err();
    assert_eq!((error().path(), error().kind.code()), (Some(&*scene.file()), "not_a_file"));
    fs::remove_dir(scene.file()).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, scene.file(), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!((error().path(), error().kind.code()), (Some(&*scene.file()), "not_a_file"));
    fs::remove_dir_all(scene.at("state")).unwrap();
    fs::write(scene.at("state"), "").unwrap();
    assert_eq!(error().kind.code(), "not_a_file");
}

#[test]
fn of_many_that_come_at_once_one_gets_the_name() {
    let scene = Scene::new();
    let roots: Vec<_> = (0..12).map(|index| scene.at(&format!("{index}/api"))).collect();
    for root in &roots {
        fs::create_dir_all(root).unwrap();
    }
    let clashes: Vec<_> = std::thread::scope(|scope| {
        let one = |root: &PathBuf| {
            let (check, cache) = (scene.check(root), Arc::new(FileCache::new(1 << 20)));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
                runtime.unwrap().block_on(check.perform(cache)).unwrap()
            })
        };
        let threads: Vec<_> = roots.iter().map(one).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winner = clashes.iter().position(Option::is_none).unwrap();
    for (index, clash) in clashes.iter().enumerate().filter(|(index, _)| *index != winner) {
        assert_eq!(clash.as_ref().unwrap().other_root, roots[winner], "{index}");
    }
}

#[test]
fn names_that_are_bound_at_the_same_time_are_all_kept() {
    let scene = Scene::new();
    let names: Vec<_> = (0..12).map(|index| format!("project-{index}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            fs::create_dir(scene.at(name)).unwrap();
            let (check, cache) = (scene.check(&scene.at(name)), Arc::new(FileCache::new(1 << 20)));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
                runtime.unwrap().block_on(check.perform(cache)).unwrap()
            });
        }
    });
    for name in &names {
        assert!(scene.text().contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn a_path_that_somebody_hangs_on_is_named_when_the_time_is_up() {
    let scene = Scene::new();
    for path in ["a/api", "b/api"] {
        fs::create_dir_all(scene.at(path)).unwrap();
    }
    assert_eq!(scene.clash("a/api"), None);
    for path in [scene.file(), scene.at("a/api"), scene.at("b/api")] {
        let look = Look::new(&scene.cache.disk().calls);
        look.at(&path).unwrap();
        let check = Check { timeout: Duration::from_secs(1), ..scene.check(&scene.at("b/api")) };
        let error = scene.perform(check).unwrap_err();
        assert_eq!((error.path(), error.kind.code()), (Some(&*path), "timeout"));
        drop(look);
    }
    assert_eq!(scene.clash("b/api"), Some(scene.at("a/api")));
}
