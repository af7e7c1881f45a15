//! What a linked git worktree is called: the name of its main checkout, read from `.git`, `gitdir` and `commondir` as git
//! does.
//!
//! Git itself is never run. Whatever these files hold came with the directory, so nothing here fails or waits: what is not
//! as git writes it means "no linked worktree", and the directory's own name counts. A submodule has such a `.git` file too,
//! but no `commondir`: it is a repository of its own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Stop;
use super::calls::Look;
use super::directory::Start;

/// More than any path that git writes.
const LIMIT: u64 = 16 * 1024;

/// The name of the main checkout (or bare repository) that the worktree at `root` belongs to; `None` where it is no linked
/// worktree.
pub(super) fn name_of_main_checkout(root: &Path, look: &Look) -> Result<Option<OsString>, Stop> {
    let Some(gitdir) = read_small_file(&root.join(".git")).and_then(|text| named_in(&text, b"gitdir: ")) else {
        return Ok(None);
    };
    let gitdir = root.join(gitdir);
    look.at(&gitdir)?;
    let Some(common) = read_small_file(&gitdir.join("commondir")).and_then(|text| named_in(&text, b"")) else {
        return Ok(None);
    };
    let common = Start::resolve(&gitdir.join(common)).ok().map(|common| common.path);
    Ok(common.and_then(|common| checkout_name(&common)))
}

/// `…/repo/.git` and `…/repo/.bare` belong to `repo`; a bare repository is `foo.git`, or just `foo`.
fn checkout_name(common: &Path) -> Option<OsString> {
    let name = common.file_name()?;
    if name == ".git" || name == ".bare" {
        return Some(common.parent()?.file_name()?.to_owned());
    }
    let path = Path::new(name);
    let stem = if path.extension() == Some(OsStr::new("git")) { path.file_stem()? } else { name };
    Some(stem.to_owned())
}

/// The path in a file of one line.
fn named_in(text: &[u8], prefix: &[u8]) -> Option<PathBuf> {
    let path = text.strip_prefix(prefix)?.trim_ascii_end();
    (!path.is_empty() && !path.contains(&0) && !path.contains(&b'\n')).then(|| to_path(path))?
}

#[cfg(unix)]
fn to_path(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn to_path(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

fn read_small_file(path: &Path) -> Option<Vec<u8>> {
    let file = open(path)?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return None;
    }
    let mut text = Vec::new();
    // A file that grows meanwhile stays limited.
    file.take(LIMIT).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Opens without waiting: a FIFO without a writer would else hold the thread for ever.
#[cfg(unix)]
fn open(path: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).ok().map(File::from)
}

#[cfg(not(unix))]
fn open(path: &Path) -> Option<File> {
    File::open(path).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::calls::Calls;
    use super::*;

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
        huge.resize(LIMIT as usize + 1, b' ');
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
}
