//! Repositories as git makes them, and directories that only pretend to be one.

use std::sync::Arc;

use super::*;
use crate::calls::Calls;

/// The name that a directory gets whose `.git` `make` puts there.
fn name(make: impl FnOnce(&Path)) -> Option<OsString> {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("main/.git/worktrees/linked")).unwrap();
    std::fs::write(root.join("main/.git/worktrees/linked/commondir"), "../..\n").unwrap();
    std::fs::create_dir(root.join("linked")).unwrap();
    make(&root.join("linked"));
    name_of_main_checkout(&root.join("linked"), &Look::new(&Arc::new(Calls::default()))).unwrap()
}

fn name_for(text: impl AsRef<[u8]>) -> Option<OsString> {
    name(|linked| std::fs::write(linked.join(".git"), text).unwrap())
}

#[test]
fn a_worktree_is_called_as_its_main_checkout() {
    let expected = Some(OsString::from("main"));
    assert_eq!(name_for("gitdir: ../main/.git/worktrees/linked\n"), expected);
    assert_eq!(name_for("gitdir: ../main/.git/worktrees/linked"), expected);
    let absolute = |linked: &Path| {
        let gitdir = linked.with_file_name("main/.git/worktrees/linked");
        std::fs::write(linked.join(".git"), format!("gitdir: {}\r\n", gitdir.display())).unwrap();
    };
    assert_eq!(name(absolute), expected);
}

#[test]
fn a_bare_repository_gives_its_name_without_git() {
    assert_eq!(checkout_name(Path::new("/src/foo.git")), Some("foo".into()));
    assert_eq!(checkout_name(Path::new("/src/foo")), Some("foo".into()));
    assert_eq!(checkout_name(Path::new("/src/foo/.bare")), Some("foo".into()));
    assert_eq!(checkout_name(Path::new("/.git")), None);
}

#[test]
fn what_git_would_not_write_is_no_worktree() {
    for text in [
        "",
        "gitdir:",
        "gitdir: ",
        "gitdir: \n",
        "gitdir: ..",
        "gitdir: .git",
        "gitdir: /dev/zero",
        "gitdir: /nowhere",
        "gitdir: ../main/.git/worktrees/linked\nmore",
        "gitdir: ../main/.git/worktrees/linked\0",
        "worktree: ../main/.git/worktrees/linked",
        "\u{feff}gitdir: ../main/.git/worktrees/linked",
    ] {
        assert_eq!(name_for(text), None, "{text:?}");
    }
    assert_eq!(name_for(b"gitdir: \xff\xfe"), None);
    let mut huge = b"gitdir: ../main/.git/worktrees/linked".to_vec();
    huge.resize(LONGEST_PATH as usize + 1, b' ');
    assert_eq!(name_for(huge), None);
    assert_eq!(name(|linked| std::fs::create_dir(linked.join(".git")).unwrap()), None);
}

#[cfg(unix)]
#[test]
fn a_git_entry_that_would_block_or_loop_is_no_worktree() {
    let fifo = |path: &Path| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    assert_eq!(name(|linked| fifo(&linked.join(".git"))), None);
    assert_eq!(name(|linked| std::os::unix::fs::symlink(".git", linked.join(".git")).unwrap()), None);
    assert_eq!(name(|linked| std::os::unix::fs::symlink("/dev/zero", linked.join(".git")).unwrap()), None);
    let commondir_is_a_fifo = |linked: &Path| {
        std::fs::create_dir(linked.join("fake")).unwrap();
        fifo(&linked.join("fake/commondir"));
        std::fs::write(linked.join(".git"), "gitdir: fake").unwrap();
    };
    assert_eq!(name(commondir_is_a_fifo), None);
}

/// A repository that git itself has made, with what `config` says.
fn repository(root: &Path, config: &[[&str; 2]]) {
    git(root.parent().unwrap(), &["init", "-q", root.file_name().unwrap().to_str().unwrap()]);
    for [key, value] in config {
        git(root, &["config", "--add", key, value]);
    }
}

fn git(dir: &Path, arguments: &[&str]) {
    let settings = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "protocol.file.allow=always"];
    let mut command = std::process::Command::new("git");
    let command = command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.args(settings).args(arguments).current_dir(dir).output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn look() -> Look {
    Look::new(&Arc::new(Calls::default()))
}

struct Scene {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        Self { _dir: dir, root }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn identity(&self, path: &str) -> (Option<PathBuf>, Option<String>) {
        let Identity { common_dir, remote } = identity(&self.at(path), &look()).unwrap();
        (common_dir, remote)
    }
}

#[test]
fn a_clone_knows_where_it_comes_from() {
    let scene = Scene::new();
    repository(&scene.at("one"), &[["remote.origin.url", "git@Example.org:me/app.git"]]);
    repository(&scene.at("two"), &[["remote.origin.url", "https://me:secret@example.org/me/app"]]);
    assert_eq!(scene.identity("one"), (Some(scene.at("one/.git")), Some("example.org/me/app".into())));
    assert_eq!(scene.identity("two"), (Some(scene.at("two/.git")), Some("example.org/me/app".into())));
    assert_eq!(remote_path(&scene.at("two"), &look()).unwrap(), Some(vec!["me".into(), "app".into()]));
}

#[test]
fn a_repository_without_a_remote_elsewhere_has_no_path_of_one() {
    let scene = Scene::new();
    repository(&scene.at("lonely"), &[]);
    repository(&scene.at("copy"), &[["remote.origin.url", "/srv/git/app.git"]]);
    assert_eq!(scene.identity("lonely"), (Some(scene.at("lonely/.git")), None));
    assert_eq!(scene.identity("copy"), (Some(scene.at("copy/.git")), Some("/srv/git/app.git".into())));
    for path in ["lonely", "copy", "nowhere"] {
        assert_eq!(remote_path(&scene.at(path), &look()).unwrap(), None, "{path}");
    }
    assert_eq!(scene.identity("nowhere"), (None, None));
}

#[test]
fn origin_comes_before_other_remotes_and_the_first_url_before_others() {
    let scene = Scene::new();
    let remote = |config: &[[&str; 2]]| {
        let dir = tempfile::tempdir_in(&scene.root).unwrap();
        repository(dir.path(), config);
        identity(dir.path(), &look()).unwrap().remote
    };
    let (fork, upstream) = (["remote.fork.url", "host:fork/r"], ["remote.upstream.url", "host:up/r"]);
    assert_eq!(remote(&[fork, upstream]).unwrap(), "host/fork/r");
    assert_eq!(remote(&[fork, ["remote.origin.url", "host:o/r"]]).unwrap(), "host/o/r");
    assert_eq!(remote(&[["remote.origin.fetch", "+a:b"], upstream]).unwrap(), "host/up/r");
    assert_eq!(remote(&[fork, ["remote.fork.url", "host:other/r"]]).unwrap(), "host/fork/r");
    assert_eq!(remote(&[fork, ["remote.fork.url", ""], ["remote.fork.url", "host:other/r"]]).unwrap(), "host/other/r");
    assert_eq!(remote(&[["remote.pushdefault", "fork"]]), None);
}

#[test]
fn worktrees_and_separate_git_directories_share_what_their_repository_has() {
    let scene = Scene::new();
    repository(&scene.at("main"), &[["remote.origin.url", "host:o/r"]]);
    git(&scene.at("main"), &["commit", "-q", "--allow-empty", "-m", "m"]);
    git(&scene.at("main"), &["worktree", "add", "-q", "../linked"]);
    git(&scene.root, &["clone", "-q", "--bare", "main", "bare.git"]);
    git(&scene.at("bare.git"), &["worktree", "add", "-q", "../of-bare"]);
    git(&scene.root, &["init", "-q", "--separate-git-dir", "elsewhere", "apart"]);
    let expected = (Some(scene.at("main/.git")), Some("host/o/r".into()));
    assert_eq!(scene.identity("main"), expected);
    assert_eq!(scene.identity("linked"), expected);
    assert_eq!(scene.identity("of-bare").0, Some(scene.at("bare.git")));
    assert_eq!(scene.identity("apart"), (Some(scene.at("elsewhere")), None));
}

#[test]
fn a_submodule_is_a_repository_of_its_own() {
    let scene = Scene::new();
    for name in ["library", "main"] {
        repository(&scene.at(name), &[]);
        git(&scene.at(name), &["commit", "-q", "--allow-empty", "-m", "m"]);
    }
    git(&scene.at("main"), &["submodule", "add", "-q", scene.at("library").to_str().unwrap(), "sub"]);
    let (common_dir, remote) = scene.identity("main/sub");
    assert_eq!(common_dir, Some(scene.at("main/.git/modules/sub")));
    assert_eq!(remote.as_deref(), scene.at("library").to_str());
    assert_eq!(name_of_main_checkout(&scene.at("main/sub"), &look()).unwrap(), None);
}

#[test]
fn a_jujutsu_workspace_has_the_identity_of_the_git_repository_in_it() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.at("main/.jj/repo/store")).unwrap();
    std::fs::create_dir_all(scene.at("second/.jj")).unwrap();
    git(&scene.root, &["init", "-q", "--bare", "main/.jj/repo/store/git"]);
    git(&scene.at("main/.jj/repo/store/git"), &["config", "remote.origin.url", "host:o/r"]);
    std::fs::write(scene.at("main/.jj/repo/store/git_target"), "git").unwrap();
    std::fs::write(scene.at("second/.jj/repo"), "../../main/.jj/repo").unwrap();
    let expected = (Some(scene.at("main/.jj/repo/store/git")), Some("host/o/r".into()));
    assert_eq!(scene.identity("main"), expected);
    assert_eq!(scene.identity("second"), expected);
}

#[test]
fn a_configuration_that_is_not_gits_says_nothing() {
    let scene = Scene::new();
    repository(&scene.at("app"), &[]);
    let config = scene.at("app/.git/config");
    for text in
        ["[remote \"origin\"]\nurl = host:o/r\n]", "[remote \"origin\"]\nurl", "\0", "[remote \"origin\"]\nurl = \"\n"]
    {
        std::fs::write(&config, text).unwrap();
        assert_eq!(scene.identity("app").1, None, "{text:?}");
    }
    let mut huge = b"[remote \"origin\"]\nurl = host:o/r\n".to_vec();
    huge.resize(LARGEST_CONFIG as usize + 1, b'\n');
    std::fs::write(&config, &huge).unwrap();
    assert_eq!(scene.identity("app").1, None);
    huge.pop();
    std::fs::write(&config, &huge).unwrap();
    assert_eq!(scene.identity("app").1.as_deref(), Some("host/o/r"));
    std::fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &config).unwrap();
    assert_eq!(scene.identity("app").1, None);
}
