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

use super::{Distrust, Kind, Links, Listed, Listing, Stat};
use crate::error::ErrorKind;
use crate::fingerprint::Fingerprint;

const ROOT: u32 = 0;

#[derive(Debug)]
pub(super) struct Dir {
    descriptor: OwnedFd,
    /// The users whose files are read: the own one, root, the directory's owner.
    pub(super) trusted: [u32; 3],
}

impl Dir {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = retry_on_intr(|| fs::open(path, flags, Mode::empty()))?;
        let owner = fs::fstat(&descriptor)?.st_uid;
        Ok(Self { descriptor, trusted: [geteuid().as_raw(), ROOT, owner] })
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
        let mode = Mode::from_raw_mode(stat.st_mode);
        let is_open = mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX);
        let entries = fs::Dir::new(descriptor)?.map(entry).collect::<io::Result<_>>()?;
        let distrust = is_open.then_some(Distrust::WorldWritableDirectory);
        Ok(Listing { entries, fingerprint: Some(Fingerprint::of(&stat)), distrust })
    }

    pub(super) fn directory_fingerprint(&self, relative: &Path) -> Option<Fingerprint> {
        fs::statat(&self.descriptor, relative, AtFlags::empty()).ok().as_ref().map(Fingerprint::of)
    }

    fn describe(&self, stat: &fs::Stat) -> Stat {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::Regular,
            FileType::Symlink => Kind::Link,
            FileType::Directory => Kind::Other("a directory"),
            FileType::Fifo => Kind::Other("a FIFO"),
            FileType::Socket => Kind::Other("a socket"),
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Other("a device"),
            _ => Kind::Other("of an unknown kind"),
        };
        let distrust = if !self.trusted.contains(&stat.st_uid) {
            Some(Distrust::Owner(stat.st_uid))
        } else if Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH) {
            Some(Distrust::WorldWritable)
        } else {
            None
        };
        Stat { kind, distrust, fingerprint: Fingerprint::of(stat) }
    }
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
