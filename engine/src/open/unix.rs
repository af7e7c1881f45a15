//! The system calls of [`super`] on Unix: everything relative to a descriptor, nothing that can block on a FIFO or a device.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::geteuid;

use super::{A_DIRECTORY, Distrust, Kind, Links, Listed, Listing, Owners, Stat};
use crate::dir_cache::{DirectoryItem, ItemKind};
use crate::error::ErrorKind;
use crate::fingerprint::Fingerprint;

const ROOT: u32 = 0;

#[derive(Debug)]
pub(super) struct Dir {
    descriptor: OwnedFd,
    /// The users whose files are read: the own one, root, the directory's owner.
    pub(super) trusted: [u32; 3],
    owners: Owners,
}

impl Dir {
    pub(super) fn open(path: &Path, owners: Owners) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = retry_on_intr(|| fs::open(path, flags, Mode::empty()))?;
        let owner = fs::fstat(&descriptor)?.st_uid;
        Ok(Self { descriptor, trusted: [geteuid().as_raw(), ROOT, owner], owners })
    }

    /// No longer reads files because they are the directory's owner's.
    pub(super) fn distrust_owner(&mut self) {
        self.trusted[2] = ROOT;
    }

    pub(super) fn directory_distrust(&self, relative: &Path) -> Option<Distrust> {
        // Not every Unix has a look at the descriptor itself by an empty path.
        let stat = if relative.as_os_str().is_empty() {
            fs::fstat(&self.descriptor)
        } else {
            fs::statat(&self.descriptor, relative, AtFlags::empty())
        };
        distrust_of_directory(&stat.ok()?)
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    pub(super) fn stat(&self, relative: &Path) -> io::Result<Stat> {
        Ok(self.describe(&fs::statat(&self.descriptor, relative, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    pub(super) fn stat_target(&self, relative: &Path) -> io::Result<Stat> {
        Ok(self.describe(&fs::statat(&self.descriptor, relative, AtFlags::empty())?))
    }

    pub(super) fn stat_file(&self, file: &File) -> io::Result<Stat> {
        Ok(self.describe(&fs::fstat(file)?))
    }

    pub(super) fn open_file(&self, relative: &Path, links: Links) -> io::Result<File> {
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        flags.set(OFlags::NOFOLLOW, links == Links::Refuse);
        let descriptor = retry_on_intr(|| fs::openat(&self.descriptor, relative, flags, Mode::empty()))?;
        Ok(File::from(descriptor))
    }

    /// All entries in no order, `.` and `..` perhaps among them.
    pub(super) fn list(&self, relative: &Path) -> io::Result<Listing> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = retry_on_intr(|| fs::openat(&self.descriptor, relative, flags, Mode::empty()))?;
        let entry = |entry: rustix::io::Result<fs::DirEntry>| {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            Ok(Listed { name, is_file: entry.file_type() == FileType::RegularFile })
        };
        let stat = fs::fstat(&descriptor)?;
        let entries = fs::Dir::new(descriptor)?.map(entry).collect::<io::Result<_>>()?;
        let distrust = distrust_of_directory(&stat);
        Ok(Listing { entries, fingerprint: Some(Fingerprint::of(&stat)), distrust })
    }

    /// As [`Dir::list`], but the entries are told in parts as they come.
    pub(super) fn list_by_parts(
        &self,
        relative: &Path,
        fingerprint: bool,
        tell: &mut dyn FnMut(Vec<Listed>),
    ) -> io::Result<Listing> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = retry_on_intr(|| fs::openat(&self.descriptor, relative, flags, Mode::empty()))?;
        let before = if fingerprint { Some(fs::fstat(&descriptor)?) } else { None };
        list_parts(&descriptor, tell)?;
        let stat = before.map_or_else(|| fs::fstat(&descriptor), Ok)?;
        let distrust = distrust_of_directory(&stat);
        Ok(Listing { entries: Vec::new(), fingerprint: before.as_ref().map(Fingerprint::of), distrust })
    }

    pub(super) fn directory_fingerprint(&self, relative: &Path) -> Option<Fingerprint> {
        fs::statat(&self.descriptor, relative, AtFlags::empty()).ok().as_ref().map(Fingerprint::of)
    }

    fn describe(&self, stat: &fs::Stat) -> Stat {
        let distrust = if self.owners == Owners::Any {
            None
        } else if !self.trusted.contains(&stat.st_uid) {
            Some(Distrust::Owner(stat.st_uid))
        } else if Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH) {
            Some(Distrust::WorldWritable)
        } else {
            None
        };
        Stat { distrust, ..describe(stat) }
    }
}

fn describe(stat: &fs::Stat) -> Stat {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::Regular,
        FileType::Symlink => Kind::Link,
        FileType::Directory => Kind::Other(A_DIRECTORY),
        FileType::Fifo => Kind::Other("a FIFO"),
        FileType::Socket => Kind::Other("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Kind::Other("a device"),
        _ => Kind::Other("of an unknown kind"),
    };
    Stat { kind, distrust: None, fingerprint: Fingerprint::of(stat) }
}

/// What lies at an absolute path, links followed, whoever owns it.
pub(super) fn stat_path(path: &Path) -> io::Result<Stat> {
    Ok(describe(&fs::stat(path)?))
}

/// As [`stat_path`], of an open file.
pub(super) fn stat_open(file: &File) -> io::Result<Stat> {
    Ok(describe(&fs::fstat(file)?))
}

/// The file at an absolute path, links followed.
pub(super) fn open_path(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(File::from(retry_on_intr(|| fs::open(path, flags, Mode::empty()))?))
}

/// All entries in no order, without `.` and `..`, and the directory's fingerprint before and after.
pub(super) fn list_path(path: &Path) -> io::Result<(Vec<DirectoryItem>, [Fingerprint; 2])> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let descriptor = retry_on_intr(|| fs::open(path, flags, Mode::empty()))?;
    let before = Fingerprint::of(&fs::fstat(&descriptor)?);
    let mut items = Vec::new();
    for entry in fs::Dir::read_from(&descriptor)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            items.push(DirectoryItem { name: OsStr::from_bytes(name).to_owned(), kind: kind_of(entry.file_type()) });
        }
    }
    Ok((items, [before, Fingerprint::of(&fs::fstat(&descriptor)?)]))
}

fn kind_of(kind: FileType) -> ItemKind {
    match kind {
        FileType::RegularFile => ItemKind::File,
        FileType::Directory => ItemKind::Directory,
        FileType::Symlink => ItemKind::Link,
        FileType::Fifo => ItemKind::Fifo,
        FileType::Socket => ItemKind::Socket,
        FileType::CharacterDevice => ItemKind::Char,
        FileType::BlockDevice => ItemKind::Block,
        _ => ItemKind::Unknown,
    }
}

/// Whether every user may replace what is in the directory.
fn distrust_of_directory(directory: &fs::Stat) -> Option<Distrust> {
    let mode = Mode::from_raw_mode(directory.st_mode);
    let is_open = mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX);
    is_open.then_some(Distrust::WorldWritableDirectory)
}

/// All entries of an open directory, in parts as the system gives them.
#[cfg(target_os = "linux")]
fn list_parts(descriptor: &OwnedFd, tell: &mut dyn FnMut(Vec<Listed>)) -> io::Result<()> {
    const PART: usize = 32 * 1024;
    let mut buffer = Vec::with_capacity(PART);
    let mut entries = fs::RawDir::new(descriptor, buffer.spare_capacity_mut());
    let mut part = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
        part.push(Listed { name, is_file: entry.file_type() == FileType::RegularFile });
        if entries.is_buffer_empty() {
            tell(std::mem::take(&mut part));
        }
    }
    Ok(())
}

/// All entries of an open directory, at once.
#[cfg(not(target_os = "linux"))]
fn list_parts(descriptor: &OwnedFd, tell: &mut dyn FnMut(Vec<Listed>)) -> io::Result<()> {
    let entry = |entry: rustix::io::Result<fs::DirEntry>| {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
        Ok(Listed { name, is_file: entry.file_type() == FileType::RegularFile })
    };
    tell(fs::Dir::read_from(descriptor)?.map(entry).collect::<io::Result<_>>()?);
    Ok(())
}

/// What only the number of an error tells.
pub(super) fn special_error(error: &io::Error) -> Option<ErrorKind> {
    match Errno::from_io_error(error)? {
        Errno::LOOP => Some(ErrorKind::BrokenLink),
        // What Linux and macOS say to opening a socket.
        Errno::NXIO | Errno::OPNOTSUPP => Some(ErrorKind::NotAFile("a socket")),
        _ => None,
    }
}
