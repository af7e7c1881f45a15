//! One directory of a walk: reached from the start directory, and asked which names it holds.
//!
//! What the names mean is decided in `detect`; in which order directories come is `walk`'s. On Linux a level of a walk costs
//! an open and one listing (asking for each marker takes twice that), and a single `stat` where an earlier listing still
//! holds; elsewhere, and where a directory may not be listed, names are asked for one by one, by path.

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::sync::Arc;

use super::listings::Known;
use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::Fingerprint;
use crate::matcher::Matcher;

/// An open directory; cheap to clone.
type Handle = sys::Handle;

/// The start directory, resolved.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) path: PathBuf,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "never made there"))]
    opened: Option<(Handle, Fingerprint)>,
}

impl Start {
    /// Resolves the directory that a user gave.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `Permission` and the like, with the path as it was given.
    pub(super) fn resolve(given: &Path) -> Result<Self> {
        if let Some((path, handle, fingerprint)) = sys::open_and_resolve(given) {
            return Ok(Self { path, opened: Some((handle, fingerprint)) });
        }
        let failed = |error| Error::io(given, &error);
        let path = std::fs::canonicalize(given).map_err(failed)?;
        if !std::fs::metadata(&path).map_err(failed)?.is_dir() {
            return Err(Error::new(ErrorKind::NotADirectory).at(given));
        }
        Ok(Self { path, opened: None })
    }
}

/// The way from the start directory up to the root.
///
/// A path of `..` costs by its length, so it is never longer than `STEP`: further up, it begins at a directory on the way.
#[derive(Debug)]
pub(super) struct Ascent {
    #[cfg(target_os = "linux")]
    start: Option<(Handle, Fingerprint)>,
    /// Where paths of `..` begin.
    #[cfg(target_os = "linux")]
    anchor: Option<Handle>,
    /// How many levels above the anchor the next directory is.
    #[cfg(target_os = "linux")]
    levels: usize,
}

/// A directory, and what it holds.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    names: Names,
}

/// Small directories are listed in one go; in large ones the few names that matter are asked for.
#[derive(Debug)]
enum Names {
    /// Every entry's name, each followed by a slash if it is a directory, and a NUL.
    #[cfg(target_os = "linux")]
    Listed(Arc<[u8]>),
    #[cfg(target_os = "linux")]
    Large(Handle),
    ByPath,
}

impl Directory {
    /// The directory at `path`, of which nothing is opened or listed.
    pub(super) fn by_path(path: PathBuf) -> Self {
        Self { path, names: Names::ByPath }
    }

    /// Whether a listing says that it has a directory of this name, which is then no link. Where it does not say so, there may
    /// still be one.
    #[cfg_attr(not(target_os = "linux"), allow(unused_variables, reason = "nothing is listed there"))]
    pub(super) fn lists_directory(&self, name: &str) -> bool {
        match &self.names {
            #[cfg(target_os = "linux")]
            Names::Listed(names) => {
                names.split(|byte| *byte == 0).any(|entry| entry.strip_suffix(b"/") == Some(name.as_bytes()))
            }
            _ => false,
        }
    }

    /// Whether it has an entry of this name, of any kind (a link that leads nowhere counts too).
    pub(super) fn holds(&self, name: &OsStr) -> bool {
        match &self.names {
            #[cfg(target_os = "linux")]
            Names::Listed(entries) => names_in(entries).any(|entry| entry == name.as_encoded_bytes()),
            #[cfg(target_os = "linux")]
            Names::Large(handle) => handle.has(name),
            Names::ByPath => std::fs::symlink_metadata(self.path.join(name)).is_ok(),
        }
    }

    /// Whether it has one of these entries.
    pub(super) fn holds_any(&self, names: &[&str]) -> bool {
        match &self.names {
            // One pass over the entries: nearly all differ from all names in length or first byte.
            #[cfg(target_os = "linux")]
            Names::Listed(entries) => names_in(entries).any(|entry| names.iter().any(|name| name.as_bytes() == entry)),
            _ => names.iter().any(|name| self.holds(OsStr::new(name))),
        }
    }

    /// Whether the matcher takes it.
    pub(super) fn matches(&self, matcher: &Matcher) -> bool {
        // A path, `.` or the empty string is no entry's name, whichever way it is asked for.
        matcher.matches_directory(&|name| Path::new(name).file_name() == Some(name) && self.holds(name))
    }
}

#[cfg(target_os = "linux")]
impl Ascent {
    /// So many levels up at most.
    const STEP: usize = 8;
    const UP: &str = "../../../../../../../../";

    pub(super) fn from(start: &Start) -> Self {
        let anchor = start.opened.as_ref().map(|(start, _)| start.clone());
        Self { start: start.opened.clone(), anchor, levels: 0 }
    }

    /// The next directory, the start directory first; `path` is its path. Without `known`, no earlier listing of it is
    /// believed.
    pub(super) fn next(&mut self, path: PathBuf, known: Option<Known<'_>>) -> Directory {
        if self.levels > Self::STEP {
            self.anchor = self.anchor.as_ref().and_then(|anchor| anchor.anchor_at(Self::up(Self::STEP)));
            self.levels -= Self::STEP;
        }
        let start = self.start.take();
        let up = Self::up(self.levels);
        self.levels += 1;
        if let Some(known) = known {
            let fingerprint = match (&start, &self.anchor) {
                (Some((_, fingerprint)), _) => Some(*fingerprint),
                (None, Some(anchor)) => anchor.fingerprint(up),
                (None, None) => None,
            };
            if let Some(names) = fingerprint.and_then(|fingerprint| known.memory.walked.get(&fingerprint)) {
                return Directory { path, names: Names::Listed(names) };
            }
        }
        // What may be entered but not listed cannot be opened.
        let handle = match (start, &self.anchor) {
            (Some((start, _)), _) => Some(start),
            (None, Some(anchor)) => anchor.open_below(up),
            (None, None) => Handle::open(&path),
        };
        let names = handle.map_or(Names::ByPath, |handle| Names::list(handle, known));
        Directory { path, names }
    }

    fn up(levels: usize) -> &'static Path {
        Path::new(&Self::UP["../".len() * (Self::STEP - levels)..])
    }
}

#[cfg(not(target_os = "linux"))]
impl Ascent {
    pub(super) fn from(_: &Start) -> Self {
        Self {}
    }

    /// The next directory; `path` is its path.
    pub(super) fn next(&mut self, path: PathBuf, _: Option<Known<'_>>) -> Directory {
        Directory::by_path(path)
    }
}

#[cfg(target_os = "linux")]
impl Names {
    /// The names in an open directory; kept for later walks in `known`.
    fn list(handle: Handle, known: Option<Known<'_>>) -> Self {
        // Taken anew, of what is listed: `..` may have become another directory since the last look.
        let fingerprint = known.and_then(|known| Some((known, handle.fingerprint(Path::new(""))?)));
        match handle.list_if_small() {
            sys::Listing::Whole(names) => {
                let names = Arc::from(names);
                if let Some((known, fingerprint)) = fingerprint {
                    known.memory.walked.keep(fingerprint, known.read_at, &names);
                }
                Self::Listed(names)
            }
            sys::Listing::Large => Self::Large(handle),
            sys::Listing::Failed => Self::ByPath,
        }
    }
}

#[cfg(target_os = "linux")]
fn names_in(entries: &[u8]) -> impl Iterator<Item = &[u8]> {
    entries.split(|byte| *byte == 0).map(|entry| entry.strip_suffix(b"/").unwrap_or(entry))
}

/// The fingerprint of the directory at `path`, or of what is there else; a link at its end is not followed. `None` where
/// fingerprints of directories prove nothing, too.
pub(super) fn fingerprint(path: &Path) -> Option<Fingerprint> {
    sys::fingerprint(path)
}

/// A directory that is asked for paths below it.
#[derive(Debug)]
pub(super) struct Base<'a> {
    path: &'a Path,
    handle: Option<Handle>,
}

impl<'a> Base<'a> {
    pub(super) fn open(path: &'a Path) -> Self {
        Self { path, handle: Handle::open(path) }
    }

    /// Whether there is anything at this path; a link at its end is not followed.
    pub(super) fn holds(&self, relative: &Path) -> bool {
        match &self.handle {
            Some(handle) => handle.has(relative.as_os_str()),
            None => std::fs::symlink_metadata(self.path.join(relative)).is_ok(),
        }
    }

    /// As [`fingerprint`], of what is at this path, the empty one standing for itself.
    pub(super) fn fingerprint(&self, relative: &Path) -> Option<Fingerprint> {
        self.handle.as_ref()?.fingerprint(relative)
    }

    /// Whether a directory is at this path, and not a link to one.
    pub(super) fn holds_directory(&self, relative: &Path) -> bool {
        match &self.handle {
            Some(handle) => handle.has_directory(relative),
            None => std::fs::symlink_metadata(self.path.join(relative)).is_ok_and(|metadata| metadata.is_dir()),
        }
    }
}

#[cfg(target_os = "linux")]
mod sys {
    use std::ffi::{OsStr, OsString};
    use std::fmt::Write as _;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::ffi::OsStringExt;
    use std::path::{Path, PathBuf};
    use std::rc::Rc;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};

    use crate::fingerprint::Fingerprint;

    const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    /// To be gone through only: that takes no permission to list.
    const ANCHOR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    /// Directories whose listing is longer than this many bytes are large: some hundred entries, fetched in one call.
    const SMALL: usize = 4096;

    #[derive(Debug, Clone)]
    pub(crate) struct Handle(Rc<OwnedFd>);

    pub(super) enum Listing {
        Whole(Vec<u8>),
        Large,
        Failed,
    }

    /// `realpath` in four calls, however deep the path is (realpath itself asks for every component). `None` where that does
    /// not work out: no /proc, no permission to list, an unreachable or deleted directory.
    pub(super) fn open_and_resolve(path: &Path) -> Option<(PathBuf, Handle, Fingerprint)> {
        let fd = rustix::fs::open(path, FLAGS, Mode::empty()).ok()?;
        let mut link = String::with_capacity(24);
        write!(link, "/proc/self/fd/{}", fd.as_raw_fd()).ok()?;
        let resolved = PathBuf::from(OsString::from_vec(rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes()));
        // The kernel marks what is deleted or unreachable in the text itself, so a path counts when it leads here again.
        let (here, there) = (rustix::fs::fstat(&fd).ok()?, rustix::fs::stat(&resolved).ok()?);
        let same = here.st_dev == there.st_dev && here.st_ino == there.st_ino;
        (same && resolved.is_absolute()).then(|| (resolved, Handle(Rc::new(fd)), Fingerprint::of(&here)))
    }

    pub(super) fn fingerprint(path: &Path) -> Option<Fingerprint> {
        rustix::fs::lstat(path).ok().as_ref().map(Fingerprint::of)
    }

    impl Handle {
        pub(crate) fn open(path: &Path) -> Option<Self> {
            rustix::fs::open(path, FLAGS, Mode::empty()).ok().map(|fd| Self(Rc::new(fd)))
        }

        pub(super) fn open_below(&self, relative: &Path) -> Option<Self> {
            rustix::fs::openat(&*self.0, relative, FLAGS, Mode::empty()).ok().map(|fd| Self(Rc::new(fd)))
        }

        /// Where further paths begin; it cannot be listed.
        pub(super) fn anchor_at(&self, relative: &Path) -> Option<Self> {
            rustix::fs::openat(&*self.0, relative, ANCHOR, Mode::empty()).ok().map(|fd| Self(Rc::new(fd)))
        }

        pub(super) fn has(&self, name: &OsStr) -> bool {
            rustix::fs::statat(&*self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        }

        pub(super) fn has_directory(&self, relative: &Path) -> bool {
            rustix::fs::statat(&*self.0, relative, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        }

        /// Of what is at this path, the empty one standing for the directory itself.
        pub(super) fn fingerprint(&self, relative: &Path) -> Option<Fingerprint> {
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
            rustix::fs::statat(&*self.0, relative, flags).ok().as_ref().map(Fingerprint::of)
        }

        pub(super) fn list_if_small(&self) -> Listing {
            let mut buffer = [MaybeUninit::uninit(); SMALL];
            let mut entries = RawDir::new(&*self.0, &mut buffer);
            let mut names = Vec::with_capacity(256);
            while let Some(entry) = entries.next() {
                let Ok(entry) = entry else { return Listing::Failed };
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    names.extend_from_slice(name);
                    names.extend_from_slice(if entry.file_type() == FileType::Directory { b"/\0" } else { b"\0" });
                }
                // Some file systems fill the buffer in part only, so the list has ended when a second call says so.
                if entries.is_buffer_empty() {
                    return if entries.next().is_none() { Listing::Whole(names) } else { Listing::Large };
                }
            }
            Listing::Whole(names)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod sys {
    use std::ffi::OsStr;
    use std::path::{Path, PathBuf};

    use crate::fingerprint::Fingerprint;

    /// Never made: everything goes by path here.
    #[derive(Debug, Clone)]
    pub(crate) enum Handle {}

    pub(super) fn open_and_resolve(_: &Path) -> Option<(PathBuf, Handle, Fingerprint)> {
        None
    }

    pub(super) fn fingerprint(_: &Path) -> Option<Fingerprint> {
        None
    }

    impl Handle {
        pub(crate) fn open(_: &Path) -> Option<Self> {
            None
        }

        pub(super) fn fingerprint(&self, _: &Path) -> Option<Fingerprint> {
            match *self {}
        }

        pub(super) fn has(&self, _: &OsStr) -> bool {
            match *self {}
        }

        pub(super) fn has_directory(&self, _: &Path) -> bool {
            match *self {}
        }
    }
}
