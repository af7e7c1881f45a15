//! What a repository's own files say of it: which main checkout a linked worktree belongs to, and where it was cloned from.
//!
//! Git itself is never run, and nothing outside the repository is read: no includes, no configuration of the user's or the
//! system's. Whatever these files hold came with the directory, so nothing here fails or waits: what is not as git writes it
//! says nothing. The text of git's configuration is `repository/config.rs`'s, that of a URL `repository/remote.rs`'s; what
//! the facts are good for is decided in [`crate::pipeline`] and [`crate::bindings`].

mod config;
mod remote;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::calls::{Blocked, Look};
use crate::pipeline::resolve_directory;
use remote::Remote;

/// More than any path that git writes.
const LONGEST_PATH: u64 = 16 * 1024;

/// More than any repository's configuration that somebody looks after.
const LARGEST_CONFIG: u64 = 1024 * 1024;

/// By what two checkouts are known to be of the same repository; nothing of it where there is none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// What all worktrees of a repository share, resolved.
    pub(crate) common_dir: Option<PathBuf>,
    /// Where it was cloned from, without what differs from user to user and from protocol to protocol (`host/owner/repo`); a
    /// local path or `file:` URL as it is written.
    pub(crate) remote: Option<String>,
}

impl Identity {
    /// Whether both are of one repository, or of clones of one.
    pub(crate) fn is_of_same(&self, other: &Self) -> bool {
        let is_same_remote = self.remote.is_some() && self.remote == other.remote;
        is_same_remote || (self.common_dir.is_some() && self.common_dir == other.common_dir)
    }
}

/// What is known of the repository at `root`.
///
/// # Errors
/// `Blocked`: somebody else is looking at one of its files.
pub(crate) fn identity(root: &Path, look: &Look) -> Result<Identity, Blocked> {
    let Some(common_dir) = common_dir(root, look)? else { return Ok(Identity::default()) };
    let remote = remote(&common_dir, look)?.map(|remote| remote.to_string());
    Ok(Identity { common_dir: Some(common_dir), remote })
}

/// The path of its remote, part by part (`owner`, `repo`); `None` where it has none, or one on this machine.
///
/// # Errors
/// `Blocked`: somebody else is looking at one of its files.
pub(crate) fn remote_path(root: &Path, look: &Look) -> Result<Option<Vec<OsString>>, Blocked> {
    let Some(common_dir) = common_dir(root, look)? else { return Ok(None) };
    Ok(match remote(&common_dir, look)? {
        Some(Remote::Elsewhere { path, .. }) => Some(path.into_iter().map(OsString::from).collect()),
        Some(Remote::Local(_)) | None => None,
    })
}

/// The name of the main checkout (or bare repository) that the worktree at `root` belongs to; `None` where it is no linked
/// worktree. A submodule has such a `.git` file too, but no `commondir`: it is a repository of its own.
///
/// # Errors
/// `Blocked`: somebody else is looking at one of its files.
pub(crate) fn name_of_main_checkout(root: &Path, look: &Look) -> Result<Option<OsString>, Blocked> {
    let Some(gitdir) = named_gitdir(root) else { return Ok(None) };
    let common = shared_by(&gitdir, look)?.and_then(|common| resolve_directory(&common));
    Ok(common.and_then(|common| checkout_name(&common)))
}

/// The directory that the `.git` file names, if it is one.
fn named_gitdir(root: &Path) -> Option<PathBuf> {
    let text = read_small_file(&root.join(".git"), LONGEST_PATH)?;
    Some(root.join(named_in(&text, b"gitdir: ")?))
}

/// What `gitdir` shares with the other worktrees; `None` where it is no linked worktree's.
fn shared_by(gitdir: &Path, look: &Look) -> Result<Option<PathBuf>, Blocked> {
    look.at(gitdir)?;
    let text = read_small_file(&gitdir.join("commondir"), LONGEST_PATH);
    Ok(text.and_then(|text| named_in(&text, b"")).map(|common| gitdir.join(common)))
}

/// Where the objects and the configuration of the repository at `root` are, resolved.
fn common_dir(root: &Path, look: &Look) -> Result<Option<PathBuf>, Blocked> {
    look.at(root)?;
    let git = match named_gitdir(root) {
        Some(gitdir) => shared_by(&gitdir, look)?.unwrap_or(gitdir),
        None => root.join(".git"),
    };
    if let Some(common) = resolve_directory(&git) {
        return Ok(Some(common));
    }
    let inside_jj = || {
        let jj = root.join(".jj");
        // A file in all workspaces but the first.
        let repo = match read_small_file(&jj.join("repo"), LONGEST_PATH) {
            Some(text) => jj.join(named_in(&text, b"")?),
            None => jj.join("repo"),
        };
        let store = repo.join("store");
        let target = read_small_file(&store.join("git_target"), LONGEST_PATH)?;
        resolve_directory(&store.join(named_in(&target, b"")?))
    };
    look.at(root)?;
    Ok(inside_jj())
}

/// `origin`, else the first one with a URL.
fn remote(common_dir: &Path, look: &Look) -> Result<Option<Remote>, Blocked> {
    look.at(common_dir)?;
    let text = read_small_file(&common_dir.join("config"), LARGEST_CONFIG);
    Ok(text.and_then(|text| remote::parse(&url(&config::parse(&text)?)?)))
}

fn url(settings: &[config::Setting]) -> Option<String> {
    let mut remotes: Vec<(&[u8], Option<&[u8]>)> = Vec::new();
    for setting in settings {
        let Some(name) = setting.key.strip_prefix(b"remote.").and_then(|rest| rest.strip_suffix(b".url")) else {
            continue;
        };
        let value = setting.value.as_deref().unwrap_or_default();
        let known = remotes.iter().position(|(known, _)| *known == name);
        let at = known.unwrap_or_else(|| {
            remotes.push((name, None));
            remotes.len() - 1
        });
        // A remote may have several: the first counts. An empty one takes back those before it.
        let url = &mut remotes[at].1;
        *url = if value.is_empty() { None } else { url.or(Some(value)) };
    }
    let with_url = |(name, url): &(&[u8], Option<&[u8]>)| url.map(|url| (name.to_vec(), url.to_vec()));
    let mut remotes: Vec<_> = remotes.iter().filter_map(with_url).collect();
    let chosen = remotes.iter().position(|(name, _)| name == b"origin").unwrap_or(0);
    (!remotes.is_empty()).then(|| remotes.swap_remove(chosen).1).and_then(|url| String::from_utf8(url).ok())
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

fn read_small_file(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let file = open(path)?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > limit {
        return None;
    }
    let mut text = Vec::new();
    // A file that grows meanwhile stays limited.
    file.take(limit).read_to_end(&mut text).ok()?;
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
