//! From what is wanted to the directories to be watched: each path is followed component by component, and each link on the way and the
//! end of it give a name in a directory.
//!
//! It blocks, and says beforehand what it looks at ([`Look`]). Nothing is watched here: that is `eyes.rs`'s.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::Wanted;
use crate::calls::{Blocked, Look};
use crate::error::Error;

/// As many links in a path as the system follows.
const MOST_LINKS: usize = 40;

/// One path that somebody wants to know about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Item {
    path: PathBuf,
    /// Whether everything in it matters; else only the path itself.
    is_directory: bool,
}

impl Item {
    /// Each path once.
    pub(super) fn all(wanted: &[Wanted]) -> Vec<Self> {
        let mut seen = HashSet::new();
        let items = wanted.iter().flat_map(|Wanted { config_dir, directories, files }| {
            let directories = std::iter::once(config_dir).chain(directories);
            let item = |is_directory| move |path: &PathBuf| Self { path: path.clone(), is_directory };
            directories.map(item(true)).chain(files.iter().map(item(false)))
        });
        items.filter(|item| item.path.is_absolute() && seen.insert(item.clone())).collect()
    }
}

/// Tells a directory from another one that has taken its place, also where the number of the old one is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    dev: u64,
    ino: u64,
    born: Option<SystemTime>,
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self { dev: metadata.dev(), ino: metadata.ino(), born: metadata.created().ok() }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { dev: 0, ino: 0, born: metadata.created().ok() }
    }

    /// Whether another path can lead to the same directory without a link; not known where there are no numbers.
    pub(super) fn is_unique(&self) -> bool {
        self.ino != 0
    }
}

/// A directory to be watched.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) identity: Identity,
    /// The only name in it that matters; `None`: all.
    pub(super) name: Option<OsString>,
    /// Its file system does not tell of what others change.
    pub(super) is_remote: bool,
}

/// What came of following a path.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    /// Why it could not be followed to its end, if not because there is nothing.
    pub(super) problem: Option<Error>,
}

/// One component, as it is itself.
#[derive(Debug, Clone)]
enum Node {
    Directory { identity: Identity, is_remote: bool },
    Link(PathBuf),
    Other,
    Missing,
    Unknown(Error),
}

/// One round of looking; each path is looked at once.
pub(super) struct Survey<'a> {
    look: &'a Look,
    /// Counts the calls, for whoever looks whether they come back.
    calls: &'a AtomicU64,
    is_remote: &'a dyn Fn(&Path) -> bool,
    nodes: HashMap<PathBuf, Node>,
    remote: HashMap<u64, bool>,
}

impl<'a> Survey<'a> {
    pub(super) fn new(look: &'a Look, calls: &'a AtomicU64, is_remote: &'a dyn Fn(&Path) -> bool) -> Self {
        Self { look, calls, is_remote, nodes: HashMap::new(), remote: HashMap::new() }
    }

    /// The directories to be watched for `item`.
    pub(super) fn follow(&mut self, item: &Item) -> Result<Found, Blocked> {
        let mut found = Found::default();
        let mut at = PathBuf::new();
        let mut left: VecDeque<OsString> = components(&item.path);
        let mut links = 0;
        loop {
            let Some(component) = left.pop_front() else {
                self.end(&mut found, &at, item.is_directory)?;
                break;
            };
            if component == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&component);
            match self.node(&next)? {
                Node::Directory { .. } => at = next,
                Node::Link(target) => {
                    self.place(&mut found, &at, Some(&component))?;
                    links += 1;
                    if links > MOST_LINKS {
                        break;
                    }
                    if target.is_absolute() {
                        at = PathBuf::new();
                    }
                    for component in components(&target).into_iter().rev() {
                        left.push_front(component);
                    }
                }
                Node::Other | Node::Missing => {
                    self.place(&mut found, &at, Some(&component))?;
                    break;
                }
                Node::Unknown(error) => {
                    self.place(&mut found, &at, Some(&component))?;
                    found.problem = Some(error);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The path ends at `directory`.
    fn end(&mut self, found: &mut Found, directory: &Path, is_wanted: bool) -> Result<(), Blocked> {
        if let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) {
            self.place(found, parent, Some(name))?;
        }
        if is_wanted { self.place(found, directory, None) } else { Ok(()) }
    }

    fn place(&mut self, found: &mut Found, directory: &Path, name: Option<&OsStr>) -> Result<(), Blocked> {
        if let Node::Directory { identity, is_remote } = self.node(directory)? {
            let (directory, name) = (directory.to_owned(), name.map(OsStr::to_owned));
            found.places.push(Place { directory, identity, name, is_remote });
        }
        Ok(())
    }

    fn node(&mut self, path: &Path) -> Result<Node, Blocked> {
        if let Some(node) = self.nodes.get(path) {
            return Ok(node.clone());
        }
        self.look.at(path)?;
        let node = self.inspect(path).unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => Node::Missing,
            _ => Node::Unknown(Error::io(path, &error)),
        });
        self.look.rest();
        self.nodes.insert(path.to_owned(), node.clone());
        Ok(node)
    }

    fn inspect(&mut self, path: &Path) -> io::Result<Node> {
        self.call();
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_symlink() {
            self.call();
            return Ok(Node::Link(fs::read_link(path)?));
        }
        if !metadata.is_dir() {
            return Ok(Node::Other);
        }
        let identity = Identity::of(&metadata);
        let is_remote = self.remote.get(&identity.dev).copied().unwrap_or_else(|| {
            self.call();
            (self.is_remote)(path)
        });
        self.remote.insert(identity.dev, is_remote);
        Ok(Node::Directory { identity, is_remote })
    }

    fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// The root first, without those that say nothing.
fn components(path: &Path) -> VecDeque<OsString> {
    let mut prefix = PathBuf::new();
    let mut components = VecDeque::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) => prefix.push(component),
            Component::RootDir => {
                prefix.push(component);
                components.push_back(std::mem::take(&mut prefix).into_os_string());
            }
            Component::CurDir => {}
            Component::ParentDir | Component::Normal(_) => components.push_back(component.as_os_str().to_owned()),
        }
    }
    components
}

/// Whether changes that other machines (or the program behind a FUSE mount) make in the file system at `directory` go unnoticed.
#[cfg(target_os = "linux")]
pub(super) fn is_remote(directory: &Path) -> bool {
    /// The numbers are those of statfs(2) and linux/magic.h.
    const REMOTE: [u32; 16] = [
        0x6969,      // NFS
        0x517B,      // SMB
        0xFF53_4D42, // CIFS
        0xFE53_4D42, // SMB2
        0x6573_5546, // FUSE, virtiofs
        0x0102_1997, // 9p
        0x5346_414F, // OpenAFS
        0x6B41_4653, // AFS
        0x00C3_6400, // Ceph
        0x7375_7245, // Coda
        0x0BD0_0BD0, // Lustre
        0x4750_4653, // GPFS
        0x0116_1970, // GFS2
        0x7461_636F, // OCFS2
        0x786F_4256, // VirtualBox
        0xBACB_ACBC, // VMware
    ];
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "32 bits count"
    )]
    rustix::fs::statfs(directory).is_ok_and(|stat| REMOTE.contains(&(stat.f_type as u32)))
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_remote(_: &Path) -> bool {
    false
}
