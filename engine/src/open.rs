//! Config files, opened relative to a held directory and checked on the descriptor: what is checked is what is read.
//!
//! Nothing is remembered here; [`crate::file_cache`] does that. What the platforms do differently is in one small file each
//! (`open/unix.rs`; `open/portable.rs` for the rest), without any decisions. All calls block.

#[cfg(any(not(unix), test))]
#[cfg_attr(unix, allow(dead_code, reason = "compiled for its tests only"))]
mod portable;
#[cfg(test)]
#[cfg(unix)]
mod tests;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use portable as platform;
#[cfg(unix)]
use unix as platform;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::{Fingerprint, Timestamp};

/// How often a file that changes while it is read is read anew.
const ATTEMPTS: usize = 5;

/// What a config file may cost, and what counts as proof that it is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest file that is read, in bytes (`cache.max_file_size`).
    pub max_file_size: u64,
    /// Whether an equal fingerprint that is not racy proves a file unchanged; otherwise it is read each time
    /// (`cache.trust_mtime`).
    pub trust_mtime: bool,
}

/// The directory of the user's config files, held open: another one that takes its place is not seen until the next
/// [`ConfigDir::open`]. (On Windows it is a path only.)
#[derive(Debug)]
pub struct ConfigDir {
    dir: platform::Dir,
    path: PathBuf,
}

/// Where a file of a [`ConfigDir`] is, or may be: a path that does not lead out of it.
#[derive(Debug)]
pub struct Place {
    relative: PathBuf,
    path: Arc<Path>,
    listed: bool,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: OsString,
    /// The listing itself says that it is a regular file. Where this is `false`, it may still be one.
    pub(crate) is_file: bool,
}

/// What a directory holds.
#[derive(Debug)]
pub(crate) struct Listing {
    /// In byte order of their names.
    pub(crate) entries: Vec<Listed>,
    /// The directory's own, taken before it was listed; `None` where that proves nothing.
    pub(crate) fingerprint: Option<Fingerprint>,
    distrust: Option<Distrust>,
}

impl Place {
    /// The absolute path.
    pub fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Says that a listing called it a regular file, so that it may be opened without a look before.
    pub(crate) fn listed_as_file(self, listed: bool) -> Self {
        Self { listed, ..self }
    }

    pub(crate) fn is_listed_as_file(&self) -> bool {
        self.listed
    }
}

/// What a `stat` says of something in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    kind: Kind,
    distrust: Option<Distrust>,
    pub(crate) fingerprint: Fingerprint,
}

impl Stat {
    pub(crate) fn is_link(&self) -> bool {
        self.kind == Kind::Link
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Regular,
    Link,
    /// Anything else, in words ("a FIFO").
    Other(&'static str),
}

/// Whether a link in a file's place is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// Why a file's content may be somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "found on Unix only"))]
enum Distrust {
    /// It belongs to this user, who is neither the own one, nor root, nor the owner of the directory.
    Owner(u32),
    WorldWritable,
    /// So is the directory, and nothing protects one user's files in it from another.
    WorldWritableDirectory,
}

/// A file's content with the fingerprint it had before and after the read.
#[derive(Debug)]
pub struct Snapshot {
    /// All of it.
    pub content: Vec<u8>,
    /// What identifies this state of the file.
    pub fingerprint: Fingerprint,
    /// Just before the read began.
    pub read_at: Timestamp,
}

impl ConfigDir {
    /// Opens the directory at the absolute `path`, links followed; `None` where nothing exists.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a relative path, `NotADirectory`, `BrokenLink`, `Permission`, `Io`.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        if !path.is_absolute() {
            let text = format!("config_dir must be an absolute path, not {}", path.display());
            return Err(ErrorKind::InvalidArgument(text).into());
        }
        match platform::Dir::open(path) {
            Ok(dir) => Ok(Some(Self { dir, path: path.to_owned() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
                if is_link { Err(Error::new(ErrorKind::BrokenLink).at(path)) } else { Ok(None) }
            }
            Err(error) => Err(located(path, &error)),
        }
    }

    /// The path it was opened at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place at `relative`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a path that leads out of the directory.
    pub fn place(&self, relative: impl Into<PathBuf>) -> Result<Place> {
        let relative = relative.into();
        self.require_below(&relative)?;
        let mut path = PathBuf::with_capacity(self.path.as_os_str().len() + 1 + relative.as_os_str().len());
        path.extend([&self.path, &relative]);
        Ok(Place { path: path.into(), relative, listed: false })
    }

    /// The entries of the sub-directory `relative` in byte order of their names, hidden ones (leading dot) left out; `None` where
    /// there is no such directory, or something else in its place.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a path that leads out of the directory, `BrokenLink` for links in a circle, `Untrusted` for one in
    /// which every user may replace files, `Permission`, `Io`.
    pub(crate) fn list(&self, relative: &Path) -> Result<Option<Listing>> {
        self.require_below(relative)?;
        match self.dir.list(relative) {
            Ok(Listing { distrust: Some(distrust), .. }) => {
                Err(Error::new(ErrorKind::Untrusted(distrust.to_string())).at(self.path.join(relative)))
            }
            Ok(mut listing) => {
                listing.entries.retain(|entry| !entry.name.as_encoded_bytes().starts_with(b"."));
                listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                Ok(Some(listing))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(located(&self.path.join(relative), &error)),
        }
    }

    /// The fingerprint of the sub-directory `relative`, in one system call: while it is that of a [`Listing`], so are the
    /// entries. `None` where there is nothing, or it proves nothing.
    pub(crate) fn fingerprint(&self, relative: &Path) -> Option<Fingerprint> {
        self.require_below(relative).ok()?;
        self.dir.directory_fingerprint(relative)
    }

    /// What lies at `place`, a link not followed; `None` where there is nothing. One system call.
    ///
    /// # Errors
    ///
    /// `Permission`, `Io`.
    pub(crate) fn stat_itself(&self, place: &Place) -> Result<Option<Stat>> {
        match self.dir.stat(&place.relative) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(located(&place.path, &error)),
        }
    }

    /// What lies at `place`, links followed; `None` where there is nothing. One system call, two for a link.
    ///
    /// # Errors
    ///
    /// `BrokenLink` for a link that leads nowhere or in a circle, `Permission`, `Io`.
    pub(crate) fn stat(&self, place: &Place) -> Result<Option<Stat>> {
        let Some(stat) = self.stat_itself(place)? else { return Ok(None) };
        if !stat.is_link() {
            return Ok(Some(stat));
        }
        match self.dir.stat_target(&place.relative) {
            Ok(target) => Ok(Some(target)),
            Err(error) if is_absent(&error) => Err(Error::new(ErrorKind::BrokenLink).at(&*place.path)),
            Err(error) => Err(located(&place.path, &error)),
        }
    }

    /// Whether what `stat` describes may be read.
    ///
    /// # Errors
    ///
    /// `NotAFile`, `TooLarge`, `Untrusted`.
    pub(crate) fn check(stat: &Stat, place: &Place, limits: &Limits) -> Result<()> {
        let size = stat.fingerprint.size;
        let kind = match (stat.kind, stat.distrust) {
            (Kind::Other(what), _) => ErrorKind::NotAFile(what),
            (Kind::Link, _) => ErrorKind::NotAFile("a symbolic link"),
            (Kind::Regular, _) if size > limits.max_file_size => {
                ErrorKind::TooLarge { size, limit: limits.max_file_size }
            }
            (Kind::Regular, Some(distrust)) => ErrorKind::Untrusted(distrust.to_string()),
            (Kind::Regular, None) => return Ok(()),
        };
        Err(Error::new(kind).at(&*place.path))
    }

    /// Opens, checks on the descriptor and reads the file at `place`; `None` where there is nothing (any more).
    ///
    /// Call [`ConfigDir::stat`] and [`ConfigDir::check`] first: to open a device can have effects of its own. Only a place that
    /// is listed as a file may be opened without; a link that has come there meanwhile is not followed, but an error.
    ///
    /// # Errors
    ///
    /// As [`ConfigDir::check`], `BrokenLink`, `Permission`, and `Io`, also for a file that keeps changing while it is read.
    pub(crate) fn read(&self, place: &Place, links: Links, limits: &Limits) -> Result<Option<Snapshot>> {
        Ok(self.open_and_read(place, links, limits)?.map(|(_, snapshot)| snapshot))
    }

    /// As [`ConfigDir::read`], with the descriptor on which it was checked and read.
    ///
    /// # Errors
    ///
    /// As [`ConfigDir::read`].
    pub(crate) fn open_and_read(
        &self,
        place: &Place,
        links: Links,
        limits: &Limits,
    ) -> Result<Option<(File, Snapshot)>> {
        let located = |error| located(&place.path, &error);
        for _ in 0..ATTEMPTS {
            let read_at = Timestamp::now();
            let file = match self.dir.open_file(&place.relative, links) {
                Ok(file) => file,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(located(error)),
            };
            let before = self.dir.stat_file(&file).map_err(located)?;
            Self::check(&before, place, limits)?;
            let fingerprint = before.fingerprint;
            let content = read_sized(&file, fingerprint.size).map_err(located)?;
            let after = self.dir.stat_file(&file).map_err(located)?;
            if after.fingerprint == fingerprint && content.len() as u64 == fingerprint.size {
                return Ok(Some((file, Snapshot { content, fingerprint, read_at })));
            }
        }
        let text = "keeps changing while it is read; load again when nothing writes to it";
        Err(Error::new(ErrorKind::Io(text.into())).at(&*place.path))
    }

    /// The present fingerprint of an open file.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(crate) fn fingerprint_of(&self, file: &File) -> io::Result<Fingerprint> {
        Ok(self.dir.stat_file(file)?.fingerprint)
    }

    /// The directory itself, for system calls relative to it.
    #[cfg(unix)]
    pub(crate) fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.descriptor()
    }

    /// An absolute path would be opened as it is, whatever the directory.
    fn require_below(&self, relative: &Path) -> Result<()> {
        if relative.components().all(|component| matches!(component, Component::Normal(_))) {
            return Ok(());
        }
        let text = format!("{} is not a path below {}", relative.display(), self.path.display());
        Err(ErrorKind::InvalidArgument(text).into())
    }
}

impl std::fmt::Display for Distrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Owner(uid) => write!(
                f,
                "belongs to user {uid}, who is neither you, root nor the owner of the configuration directory; \
                 read it, then `chown` it to yourself"
            ),
            Self::WorldWritableDirectory => {
                f.write_str("lets every user replace the files in it; read them, then `chmod o-w` the directory")
            }
            Self::WorldWritable => f.write_str("may be written by every user; read it, then `chmod o-w` it"),
        }
    }
}

/// Nothing is there: the name, one of its directories, or even the possibility (a name too long to exist).
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    matches!(error.kind(), Io::NotFound | Io::NotADirectory | Io::InvalidFilename)
}

pub(crate) fn located(path: &Path, error: &io::Error) -> Error {
    match platform::special_error(error) {
        Some(kind) => Error { errno: error.raw_os_error(), ..Error::new(kind) }.at(path),
        None => Error::io(path, error),
    }
}

/// The content of a file of `size` bytes, as one read where the system gives it at once. A file that is longer by now gives one
/// byte more, never all it has; one that is shorter what is left.
fn read_sized(mut file: &File, size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let room = size.checked_add(1).ok_or(io::ErrorKind::OutOfMemory)?;
    let mut content = Vec::new();
    content.try_reserve_exact(room)?;
    content.resize(room, 0);
    let mut filled = 0;
    loop {
        match file.read(&mut content[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // No further read to see the end: the `fstat` that follows tells.
        if filled >= size {
            break;
        }
    }
    content.truncate(filled);
    Ok(content)
}
