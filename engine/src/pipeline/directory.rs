//! One directory of a walk: reached from the start directory, and asked which names it holds.
//!
//! What the names mean is decided in `detect`; in which order directories come is `walk`'s. On Linux a level of a walk costs
//! an open and one listing (asking for each marker takes twice that), and a single `stat` where an earlier listing still
//! holds; elsewhere, and where a directory may not be listed, names are asked for one by one, by path.

#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::sync::Arc;

use super::aside::Later;
use super::listings::Known;
use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::Fingerprint;
use crate::matcher;

/// An open directory; cheap to clone.
pub(super) type Handle = sys::Handle;

/// On a slow disk, directories are large of which not all names come in so many fetches: some thousand entries.
#[cfg(target_os = "linux")]
const MOST_FETCHES: usize = 4;

/// The start directory, resolved.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) path: PathBuf,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "never made there"))]
    opened: Option<(Handle, Fingerprint)>,
}

/// The start directory, open, and what the kernel calls it; that this leads here has yet to be seen.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) handle: Handle,
    pub(super) path: PathBuf,
}

impl Opened {
    /// `None` where that does not work out: no /proc, no permission to list, not on Linux.
    pub(super) fn open(given: &Path) -> Option<Self> {
        let handle = Handle::open(given)?;
        Some(Self { path: handle.path()?, handle })
    }

    /// What is believed until somebody has seen to it that the path leads here ([`Opened::leads_here`]).
    pub(super) fn believe(&self) -> Option<Start> {
        let fingerprint = self.handle.fingerprint(Path::new(""))?;
        Some(Start { path: self.path.clone(), opened: Some((self.handle.clone(), fingerprint)) })
    }

    pub(super) fn leads_here(&self) -> bool {
        self.handle.fingerprint_of_what_is_at(&self.path).is_some()
    }

    /// `None` where the path does not lead here: an unreachable or deleted directory.
    pub(super) fn verify(self) -> Option<Start> {
        let fingerprint = self.handle.fingerprint_of_what_is_at(&self.path)?;
        Some(Start { path: self.path, opened: Some((self.handle, fingerprint)) })
    }
}

impl Start {
    /// The open directory itself.
    pub(super) fn handle(&self) -> Option<&Handle> {
        self.opened.as_ref().map(|(handle, _)| handle)
    }

    /// Resolves a directory, in a handful of calls however deep it is.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `Permission` and the like, with the path as it was given.
    pub(super) fn resolve(given: &Path) -> Result<Self> {
        Opened::open(given).and_then(Opened::verify).map_or_else(|| Self::resolve_by_path(given), Ok)
    }

    /// As `realpath` does it, a call for every component.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `Permission` and the like, with the path as it was given.
    pub(super) fn resolve_by_path(given: &Path) -> Result<Self> {
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
    /// In how many fetches a directory is listed.
    #[cfg(target_os = "linux")]
    fetches: usize,
    /// Whether anything was remembered when the walk began: where nothing is, nobody has to ask.
    #[cfg(target_os = "linux")]
    remembers: Option<bool>,
}

/// A directory, and what it holds.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    names: Names,
    /// Taken before the names were.
    fingerprint: Option<Fingerprint>,
    /// What a large one holds, where that is asked.
    listing: OnceCell<Vec<OsString>>,
}

/// What a listing has shown of directories in a directory.
#[derive(Debug)]
pub(super) struct Subdirectories {
    /// Their names.
    pub(super) names: Vec<OsString>,
    /// That of the directory they are in, taken before they were listed.
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Small directories are listed in one go; in large ones the few names that matter are asked for.
#[derive(Debug)]
enum Names {
    /// Every entry's name, each followed by a slash if it is a directory, and a NUL. An empty name with a slash: kinds are not
    /// known.
    #[cfg(target_os = "linux")]
    Listed(Arc<[u8]>),
    #[cfg(target_os = "linux")]
    Large(Handle),
    ByPath,
}

impl Directory {
    /// The directory at `path`, of which nothing is opened or listed.
    pub(super) fn by_path(path: PathBuf) -> Self {
        Self::with(path, Names::ByPath)
    }

    /// The directory at `path`, listed if it can be, as on a slow disk.
    pub(super) fn list(path: PathBuf) -> Self {
        #[cfg(target_os = "linux")]
        if let Some(handle) = Handle::open(&path) {
            return Self::with(path, Names::list(handle, None, MOST_FETCHES));
        }
        Self::by_path(path)
    }

    /// The directory at `path`, reached from the root. Without `known`, no earlier listing of it is believed.
    #[cfg(target_os = "linux")]
    pub(super) fn open(path: PathBuf, known: Option<Known<'_>>) -> Self {
        if let Some(known) = known
            && let Some(names) = fingerprint(&path).and_then(|fingerprint| known.memory.walked.get(&fingerprint))
        {
            return Self::with(path, Names::Listed(names));
        }
        let Some(handle) = Handle::open(&path) else { return Self::by_path(path) };
        let fingerprint = known.and_then(|_| handle.fingerprint(Path::new("")));
        let names = Names::list(handle, known.zip(fingerprint), 1);
        Self { fingerprint, ..Self::with(path, names) }
    }

    /// The directory at `path`.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn open(path: PathBuf, _: Option<Known<'_>>) -> Self {
        Self::by_path(path)
    }

    fn with(path: PathBuf, names: Names) -> Self {
        Self { path, names, fingerprint: None, listing: OnceCell::new() }
    }

    /// The directories in it, links apart; `None` where it was not listed, or without kinds.
    pub(super) fn subdirectories(&self) -> Option<Subdirectories> {
        #[cfg(target_os = "linux")]
        if let Names::Listed(entries) = &self.names {
            use std::os::unix::ffi::OsStrExt;
            let directories = || entries.split(|byte| *byte == 0).filter_map(|entry| entry.strip_suffix(b"/"));
            let names = || directories().map(|name| OsStr::from_bytes(name).to_owned()).collect();
            let all_known = directories().all(|name| !name.is_empty());
            return all_known.then(|| Subdirectories { names: names(), fingerprint: self.fingerprint });
        }
        None
    }

    /// The directory so many levels above `start`, on a slow disk: in calls one after the other it costs as little as may be,
    /// at whatever length. `path` is its path. Without `fingerprints` it is not kept for later walks; what is to be closed when nobody waits any more is added to `later`.
    #[cfg(target_os = "linux")]
    pub(super) fn above(
        start: &Handle,
        levels: usize,
        path: PathBuf,
        known: Option<Known<'_>>,
        fingerprints: bool,
        later: &mut Later,
    ) -> Self {
        let up = "../".repeat(levels);
        let up = Path::new(&up);
        if let Some(known) = known.filter(|known| !known.memory.walked.is_empty())
            && let Some(fingerprint) = start.fingerprint(up)
            && let Some(names) = known.memory.walked.get(&fingerprint)
        {
            return Self { fingerprint: Some(fingerprint), ..Self::with(path, Names::Listed(names)) };
        }
        let Some(handle) = start.open_below(up) else { return Self::by_path(path) };
        later.close(handle.clone());
        // A call that everybody waits for.
        let fingerprint = known.filter(|_| fingerprints).and_then(|_| handle.fingerprint(Path::new("")));
        let names = Names::list(handle, known.zip(fingerprint), MOST_FETCHES);
        Self { fingerprint, ..Self::with(path, names) }
    }

    /// Never called here, where there are no handles.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn above(start: &Handle, _: usize, _: PathBuf, _: Option<Known<'_>>, _: bool, _: &mut Later) -> Self {
        match *start {}
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
}

impl matcher::Names for Directory {
    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn holds(&self, name: &OsStr) -> bool {
        // A path, `.` or the empty string is no entry's name, whichever way it is asked for.
        Path::new(name).file_name() == Some(name) && Directory::holds(self, name)
    }

    /// One that cannot be listed seems empty.
    fn any(&self, condition: &mut dyn FnMut(&OsStr) -> bool) -> bool {
        #[cfg(target_os = "linux")]
        if let Names::Listed(entries) = &self.names {
            use std::os::unix::ffi::OsStrExt;
            let mut names = names_in(entries).filter(|name| !name.is_empty());
            return names.any(|name| condition(OsStr::from_bytes(name)));
        }
        let list = || {
            let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).collect()
        };
        self.listing.get_or_init(list).iter().any(|name| condition(name))
    }
}

#[cfg(target_os = "linux")]
impl Ascent {
    /// So many levels up at most.
    const STEP: usize = 8;
    const UP: &str = "../../../../../../../../";

    pub(super) fn from(start: &Start, is_slow: bool) -> Self {
        let anchor = start.opened.as_ref().map(|(start, _)| start.clone());
        let fetches = if is_slow { MOST_FETCHES } else { 1 };
        Self { start: start.opened.clone(), anchor, levels: 0, fetches, remembers: None }
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
        let remembers =
            *self.remembers.get_or_insert_with(|| known.is_some_and(|known| !known.memory.walked.is_empty()));
        if let Some(known) = known.filter(|_| remembers) {
            let fingerprint = match (&start, &self.anchor) {
                (Some((_, fingerprint)), _) => Some(*fingerprint),
                (None, Some(anchor)) => anchor.fingerprint(up),
                (None, None) => None,
            };
            if let Some(names) = fingerprint.and_then(|fingerprint| known.memory.walked.get(&fingerprint)) {
                return Directory { fingerprint, ..Directory::with(path, Names::Listed(names)) };
            }
        }
        // What may be entered but not listed cannot be opened.
        let (handle, fingerprint) = match (start, &self.anchor) {
            (Some((start, fingerprint)), _) => (Some(start), Some(fingerprint)),
            (None, Some(anchor)) => (anchor.open_below(up), None),
            (None, None) => (Handle::open(&path), None),
        };
        let Some(handle) = handle else { return Directory::by_path(path) };
        // Taken of what is listed: `..` may have become another directory since the last look.
        let fingerprint = known.and_then(|_| fingerprint.or_else(|| handle.fingerprint(Path::new(""))));
        let names = Names::list(handle, known.zip(fingerprint), self.fetches);
        Directory { fingerprint, ..Directory::with(path, names) }
    }

    fn up(levels: usize) -> &'static Path {
        Path::new(&Self::UP["../".len() * (Self::STEP - levels)..])
    }
}

#[cfg(not(target_os = "linux"))]
impl Ascent {
    pub(super) fn from(_: &Start, _: bool) -> Self {
        Self {}
    }

    /// The next directory; `path` is its path.
    pub(super) fn next(&mut self, path: PathBuf, _: Option<Known<'_>>) -> Directory {
        Directory::by_path(path)
    }
}

#[cfg(target_os = "linux")]
impl Names {
    /// The names in an open directory; kept for later walks with the fingerprint that was taken of it before.
    fn list(handle: Handle, known: Option<(Known<'_>, Fingerprint)>, fetches: usize) -> Self {
        match handle.list(fetches) {
            sys::Listing::Whole(names) => {
                let names = Arc::from(names);
                if let Some((known, fingerprint)) = known {
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
    use std::sync::Arc;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};

    use crate::fingerprint::Fingerprint;

    const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    /// To be gone through only: that takes no permission to list.
    const ANCHOR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

    /// Directories whose listing is longer than this many bytes are large: some hundred entries, fetched in one call.
    const SMALL: usize = 4096;

    /// An entry that says: not each directory has its slash, because this file system does not tell what is one.
    const KINDS_UNKNOWN: &[u8] = b"/\0";

    #[derive(Debug, Clone)]
    pub(crate) struct Handle(Arc<OwnedFd>);

    pub(super) enum Listing {
        Whole(Vec<u8>),
        Large,
        Failed,
    }

    pub(super) fn fingerprint(path: &Path) -> Option<Fingerprint> {
        rustix::fs::lstat(path).ok().as_ref().map(Fingerprint::of)
    }

    impl Handle {
        pub(crate) fn open(path: &Path) -> Option<Self> {
            rustix::fs::open(path, FLAGS, Mode::empty()).ok().map(|fd| Self(Arc::new(fd)))
        }

        /// What the kernel calls it: `realpath` in one call, however deep it is (realpath itself asks for every component).
        pub(super) fn path(&self) -> Option<PathBuf> {
            let mut link = String::with_capacity(24);
            write!(link, "/proc/self/fd/{}", self.0.as_raw_fd()).ok()?;
            let path = PathBuf::from(OsString::from_vec(rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes()));
            path.is_absolute().then_some(path)
        }

        /// Its fingerprint, if it is what `path` leads to. (The kernel marks what is deleted or unreachable in the text itself.)
        pub(super) fn fingerprint_of_what_is_at(&self, path: &Path) -> Option<Fingerprint> {
            let (here, there) = (rustix::fs::fstat(&*self.0).ok()?, rustix::fs::stat(path).ok()?);
            let same = here.st_dev == there.st_dev && here.st_ino == there.st_ino;
            same.then(|| Fingerprint::of(&here))
        }

        pub(super) fn open_below(&self, relative: &Path) -> Option<Self> {
            rustix::fs::openat(&*self.0, relative, FLAGS, Mode::empty()).ok().map(|fd| Self(Arc::new(fd)))
        }

        /// Where further paths begin; it cannot be listed.
        pub(super) fn anchor_at(&self, relative: &Path) -> Option<Self> {
            rustix::fs::openat(&*self.0, relative, ANCHOR, Mode::empty()).ok().map(|fd| Self(Arc::new(fd)))
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

        /// Whole if all names come in so many fetches.
        pub(super) fn list(&self, most_fetches: usize) -> Listing {
            let mut small = [MaybeUninit::uninit(); SMALL];
            let mut large = Vec::new();
            let buffer = if most_fetches == 1 {
                &mut small[..]
            } else {
                large.reserve_exact(8 * SMALL);
                large.spare_capacity_mut()
            };
            let mut entries = RawDir::new(&*self.0, buffer);
            let mut names = Vec::with_capacity(256);
            let mut fetches = 0;
            let mut all_known = true;
            // Some file systems fill the buffer in part only, so the list has ended when a further call says so.
            while let Some(entry) = entries.next() {
                let Ok(entry) = entry else { return Listing::Failed };
                if fetches >= most_fetches {
                    return Listing::Large;
                }
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    names.extend_from_slice(name);
                    names.extend_from_slice(if entry.file_type() == FileType::Directory { b"/\0" } else { b"\0" });
                    all_known &= entry.file_type() != FileType::Unknown;
                }
                if entries.is_buffer_empty() {
                    fetches += 1;
                }
            }
            if !all_known {
                names.extend_from_slice(KINDS_UNKNOWN);
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

    pub(super) fn fingerprint(_: &Path) -> Option<Fingerprint> {
        None
    }

    impl Handle {
        pub(crate) fn open(_: &Path) -> Option<Self> {
            None
        }

        pub(super) fn path(&self) -> Option<PathBuf> {
            match *self {}
        }

        pub(super) fn fingerprint_of_what_is_at(&self, _: &Path) -> Option<Fingerprint> {
            match *self {}
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
