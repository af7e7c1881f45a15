//! Config files, opened relative to a held directory and checked on the descriptor: what is checked is what is read. What users
//! ask for by its path is opened in `open/by_path.rs`.
//!
//! Nothing is remembered here; [`crate::file_cache`] does that. What the platforms do differently is in one small file each
//! (`open/unix.rs`; `open/portable.rs` for the rest), without any decisions. All calls block.

mod by_path;
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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use by_path::{Contents, list_directory, read_file, stat_directory, stat_file};

use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::{Fingerprint, Timestamp};

/// What a directory is called in an error.
const A_DIRECTORY: &str = "a directory";

/// How often a file that changes while it is read is read anew: with the pauses before it, for about 60 ms.
const ATTEMPTS: u32 = 8;

/// How long the first pause is; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_micros(500);

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
    /// Files that have been read and are still to be closed; `None` where they are closed at once.
    read: Option<Mutex<Vec<ReadFile>>>,
}

/// A file that has been read, and where it is.
type ReadFile = (Arc<Path>, File);

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

    /// The place of the file at the absolute `path` in the directory it lies in; `None` where it has no name.
    pub(crate) fn by_itself(path: &Path) -> Option<Self> {
        let relative = PathBuf::from(path.file_name()?);
        Some(Self { relative, path: path.into(), listed: false })
    }

    /// The directory it lies in, as seen from the one it is a place of.
    pub(crate) fn parent(&self) -> &Path {
        self.relative.parent().unwrap_or(Path::new(""))
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

/// Whose files are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Those of the user, root and the owner of the directory, if not every user may write them: config files, which are run.
    Trusted,
    /// Anybody's: what a user asks for by its path.
    Any,
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
        Self::open_for(path, Owners::Trusted)
    }

    /// As [`ConfigDir::open`], for files of these owners.
    ///
    /// # Errors
    ///
    /// As [`ConfigDir::open`].
    pub(crate) fn open_for(path: &Path, owners: Owners) -> Result<Option<Self>> {
        if !path.is_absolute() {
            let text = format!("config_dir must be an absolute path, not {}", path.display());
            return Err(ErrorKind::InvalidArgument(text).into());
        }
        match platform::Dir::open(path, owners) {
            Ok(dir) => Ok(Some(Self { dir, path: path.to_owned(), read: None })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_link(path) {
                    Err(Error::new(ErrorKind::BrokenLink).at(path))
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(located(path, &error)),
        }
    }

    /// The same, but whoever reads a file has to close it: [`ConfigDir::take_read`].
    pub(crate) fn closing_later(self) -> Self {
        Self { read: Some(Mutex::default()), ..self }
    }

    /// What was opened to read the file at `place`, still to be closed.
    pub(crate) fn take_read(&self, place: &Place) -> Vec<File> {
        let Some(read) = &self.read else { return Vec::new() };
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        read.extract_if(.., |(path, _)| Arc::ptr_eq(path, &place.path)).map(|(_, file)| file).collect()
    }

    /// The directory of a file that lies elsewhere: its owner is not trusted for owning it, and nothing in it is where every user
    /// may replace files.
    ///
    /// # Errors
    ///
    /// As [`ConfigDir::open`], and `Untrusted`.
    pub(crate) fn open_elsewhere(path: &Path) -> Result<Option<Self>> {
        let Some(mut dir) = Self::open(path)? else { return Ok(None) };
        dir.dir.distrust_owner();
        dir.check_directory(Path::new(""))?;
        Ok(Some(dir))
    }

    /// Whether only those who are trusted can replace files in the sub-directory `relative`, or the directories on the way there. The empty
    /// path stands for the directory itself, which is not looked at for any other.
    ///
    /// # Errors
    ///
    /// `Untrusted`; what is not there, or cannot be looked at, is told by whoever opens it.
    pub(crate) fn check_directory(&self, relative: &Path) -> Result<()> {
        let itself = relative.as_os_str().is_empty();
        for directory in relative.ancestors().filter(|directory| itself || !directory.as_os_str().is_empty()) {
            if let Some(distrust) = self.dir.directory_distrust(directory) {
                return Err(Error::new(ErrorKind::Untrusted(distrust.to_string())).at(self.path.join(directory)));
            }
        }
        Ok(())
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
                retain_shown(&mut listing.entries);
                listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                Ok(Some(listing))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(located(&self.path.join(relative), &error)),
        }
    }

    /// As [`ConfigDir::list`], but the entries are told in parts as they come, in no order. What has been told does not count if
    /// this fails. Without `fingerprint` there is none: to take it comes before all else.
    ///
    /// # Errors
    ///
    /// As [`ConfigDir::list`].
    pub(crate) fn list_by_parts(
        &self,
        relative: &Path,
        fingerprint: bool,
        tell: &mut dyn FnMut(Vec<Listed>),
    ) -> Result<Option<Listing>> {
        self.require_below(relative)?;
        let mut tell_shown = |mut entries: Vec<Listed>| {
            retain_shown(&mut entries);
            tell(entries);
        };
        match self.dir.list_by_parts(relative, fingerprint, &mut tell_shown) {
            Ok(Listing { distrust: Some(distrust), .. }) => {
                Err(Error::new(ErrorKind::Untrusted(distrust.to_string())).at(self.path.join(relative)))
            }
            Ok(listing) => Ok(Some(listing)),
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
        check(stat, &place.path, limits)
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
        let Some((file, snapshot)) = self.open_and_read(place, links, limits)? else { return Ok(None) };
        if let Some(read) = &self.read {
            read.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::clone(&place.path), file));
        }
        Ok(Some(snapshot))
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
        let open = || self.dir.open_file(&place.relative, links);
        read_checked(&place.path, limits, open, |file| self.dir.stat_file(file))
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

/// Leaves hidden entries out, `.` and `..` among them.
fn retain_shown(entries: &mut Vec<Listed>) {
    entries.retain(|entry| !entry.name.as_encoded_bytes().starts_with(b"."));
}

/// Whether what `stat` describes may be read as `path`.
fn check(stat: &Stat, path: &Path, limits: &Limits) -> Result<()> {
    let size = stat.fingerprint.size;
    let kind = match (stat.kind, stat.distrust) {
        (Kind::Other(what), _) => ErrorKind::NotAFile(what),
        (Kind::Link, _) => ErrorKind::NotAFile("a symbolic link"),
        (Kind::Regular, _) if size > limits.max_file_size => ErrorKind::TooLarge { size, limit: limits.max_file_size },
        (Kind::Regular, Some(distrust)) => ErrorKind::Untrusted(distrust.to_string()),
        (Kind::Regular, None) => return Ok(()),
    };
    Err(Error::new(kind).at(path))
}

/// Opens, checks on the descriptor and reads, again if the file changes meanwhile; `None` where there is nothing.
fn read_checked(
    path: &Path,
    limits: &Limits,
    open: impl Fn() -> io::Result<File>,
    stat: impl Fn(&File) -> io::Result<Stat>,
) -> Result<Option<(File, Snapshot)>> {
    let located = |error| located(path, &error);
    let mut is_made_up = false;
    for attempt in 1..=ATTEMPTS {
        let read_at = Timestamp::now();
        let file = match open() {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(located(error)),
        };
        let before = stat(&file).map_err(located)?;
        check(&before, path, limits)?;
        let fingerprint = before.fingerprint;
        let content = read_sized(&file, fingerprint.size).map_err(located)?;
        let after = stat(&file).map_err(located)?;
        // Others may rename or replace it all the time, which changes the inode and not what was read. The older fingerprint proves
        // nothing then, so that the next one reads it again.
        let is_settled =
            after.fingerprint == fingerprint || attempt == ATTEMPTS && after.fingerprint.is_renamed(&fingerprint);
        if is_settled && content.len() as u64 == fingerprint.size {
            return Ok(Some((file, Snapshot { content, fingerprint, read_at })));
        }
        is_made_up = is_settled;
        if attempt < ATTEMPTS && !is_settled {
            // Whoever writes it is soon done, and not within microseconds.
            std::thread::sleep(FIRST_PAUSE * 2_u32.pow(attempt - 1));
        }
    }
    let text = if is_made_up {
        "has not the size that the system tells, as what it makes up (/proc, /sys) has not; read it in another way"
    } else {
        "keeps changing while it is read; try again when nothing writes to it"
    };
    Err(Error::new(ErrorKind::Io(text.into())).at(path))
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
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
