//! The system calls of [`super`] on Unix: everything relative to the directory's descriptor.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{self, AtFlags, FlockOperation, Gid, Mode, OFlags, Uid};
use rustix::io::{Errno, retry_on_intr};

use super::Renamed;
use super::lock::Attempt;
use crate::open::ConfigDir;

/// What the user's `umask` allows, but nothing that every user may write: it would not be loaded.
const NEW_FILE: Mode = Mode::from_raw_mode(0o664);
const NEW_DIRECTORY: u32 = 0o775;

/// Who may open a file while it is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Its owner only.
    Private,
    /// As any new file of the user.
    AsNew,
}

pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(NEW_DIRECTORY).create(path)
}

/// A directory that may be locked.
pub(super) type Directory = OwnedFd;

pub(super) fn descriptor(dir: &ConfigDir) -> BorrowedFd<'_> {
    dir.descriptor()
}

/// The directory above; `None` for the root, which is above itself.
pub(super) fn open_above(dir: &ConfigDir) -> io::Result<Option<Directory>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = fs::openat(dir.descriptor(), "..", flags, Mode::empty())?;
    let (upper, lower) = (fs::fstat(&above)?, fs::fstat(dir.descriptor())?);
    let is_root = (upper.st_dev, upper.st_ino) == (lower.st_dev, lower.st_ino);
    Ok((!is_root).then_some(above))
}

pub(super) fn lock(directory: impl AsFd) -> io::Result<Attempt> {
    match retry_on_intr(|| fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(Attempt::Taken),
        Err(Errno::WOULDBLOCK) => Ok(Attempt::HeldByAnother),
        // NFS: no lock on what is not open for writing, or none at all.
        Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(Attempt::Unsupported),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn unlock(directory: impl AsFd) -> io::Result<()> {
    Ok(fs::flock(directory, FlockOperation::Unlock)?)
}

pub(super) fn open_lock_file(dir: &ConfigDir, name: &OsStr) -> io::Result<File> {
    open(dir, name, OFlags::RDWR | OFlags::CREATE, NEW_FILE)
}

pub(super) fn is_removed(dir: &ConfigDir) -> io::Result<bool> {
    Ok(fs::fstat(dir.descriptor())?.st_nlink == 0)
}

pub(super) fn may_write(dir: &ConfigDir, name: &OsStr) -> io::Result<()> {
    Ok(fs::accessat(dir.descriptor(), name, fs::Access::WRITE_OK, AtFlags::EACCESS)?)
}

/// A file that was not there before.
pub(super) fn create(dir: &ConfigDir, name: &OsStr, access: Access) -> io::Result<File> {
    let mode = match access {
        Access::Private => Mode::RUSR | Mode::WUSR,
        Access::AsNew => NEW_FILE,
    };
    open(dir, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)
}

pub(super) fn open_for_writing(dir: &ConfigDir, name: &OsStr) -> io::Result<File> {
    open(dir, name, OFlags::WRONLY, Mode::empty())
}

fn open(dir: &ConfigDir, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| fs::openat(dir.descriptor(), name, flags, mode))?.into())
}

pub(super) fn rename(dir: &ConfigDir, from: &OsStr, to: &OsStr) -> io::Result<()> {
    Ok(fs::renameat(dir.descriptor(), from, dir.descriptor(), to)?)
}

/// Gives a file a name that nothing has.
pub(super) fn rename_to_free(dir: &ConfigDir, from: &OsStr, to: &OsStr) -> io::Result<Renamed> {
    atomic::rename_to_free(dir.descriptor(), from, to)
}

/// Lets two names change places in one step.
pub(super) fn exchange(dir: &ConfigDir, one: &OsStr, other: &OsStr) -> io::Result<Renamed> {
    atomic::exchange(dir.descriptor(), one, other)
}

pub(super) fn remove(dir: &ConfigDir, name: &OsStr) -> io::Result<()> {
    Ok(retry_on_intr(|| fs::unlinkat(dir.descriptor(), name, AtFlags::empty()))?)
}

/// Makes the directory's entries durable, where its file system can.
pub(super) fn sync_directory(dir: &ConfigDir) -> io::Result<()> {
    match retry_on_intr(|| fs::fsync(dir.descriptor())) {
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whose a file is and who may do what with it.
#[derive(Debug)]
pub(super) struct Attributes {
    stat: fs::Stat,
}

#[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between platforms")]
impl Attributes {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self { stat: fs::fstat(file)? })
    }

    /// How many names it has.
    pub(super) fn links(&self) -> u64 {
        self.stat.st_nlink as u64
    }

    /// Gives owner, group, extended attributes, access list and mode of `from`, whose attributes these are, to the private file
    /// `to`; `false` where the system does not let this user do so. Files do not become set-user-ID.
    pub(super) fn give(&self, from: &File, to: &File) -> io::Result<bool> {
        let own = fs::fstat(to)?;
        let owner = (self.stat.st_uid != own.st_uid).then(|| Uid::from_raw(self.stat.st_uid));
        let group = (self.stat.st_gid != own.st_gid).then(|| Gid::from_raw(self.stat.st_gid));
        if owner.is_some() || group.is_some() {
            match fs::fchown(to, owner, group) {
                Ok(()) => {}
                // `EINVAL`: a user or group that this container does not know.
                Err(Errno::PERM | Errno::INVAL) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        if !extended::copy(from, to)? {
            return Ok(false);
        }
        // After the access list, which comes with bits of the mode.
        let mode = Mode::from_raw_mode(self.stat.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
        fs::fchmod(to, mode)?;
        Ok(true)
    }
}

/// Renaming that depends on what is there, where the system knows it.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
mod atomic {
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::BorrowedFd;

    use rustix::fs::{RenameFlags, renameat_with};
    use rustix::io::{Errno, Result};

    use super::super::Renamed;

    pub(super) fn rename_to_free(dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> io::Result<Renamed> {
        outcome(renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE))
    }

    pub(super) fn exchange(dir: BorrowedFd<'_>, one: &OsStr, other: &OsStr) -> io::Result<Renamed> {
        outcome(renameat_with(dir, one, dir, other, RenameFlags::EXCHANGE))
    }

    fn outcome(result: Result<()>) -> io::Result<Renamed> {
        match result {
            Ok(()) => Ok(Renamed::Done),
            Err(Errno::EXIST | Errno::NOENT) => Ok(Renamed::NotAsExpected),
            // By the file system (NFS, for one) or by the kernel.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(Renamed::Unsupported),
            Err(error) => Err(error.into()),
        }
    }
}

/// There is none.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod atomic {
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::BorrowedFd;

    use super::super::Renamed;

    pub(super) fn rename_to_free(_: BorrowedFd<'_>, _: &OsStr, _: &OsStr) -> io::Result<Renamed> {
        Ok(Renamed::Unsupported)
    }

    pub(super) fn exchange(_: BorrowedFd<'_>, _: &OsStr, _: &OsStr) -> io::Result<Renamed> {
        Ok(Renamed::Unsupported)
    }
}

/// Extended attributes; on Linux the access list is one of them.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
mod extended {
    use std::fs::File;
    use std::io;

    use rustix::buffer::spare_capacity;
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
    use rustix::io::{Errno, Result};

    /// Enough for nearly all; asked for again otherwise.
    const ROOM: usize = 512;

    /// Linux has no larger list and no larger value.
    const MOST: usize = 64 * 1024;

    /// Makes those of `to` the ones of `from`; `false` where one that counts may not be set.
    pub(super) fn copy(from: &File, to: &File) -> io::Result<bool> {
        let (wanted, present) = (names(from)?, names(to)?);
        for name in split(&wanted) {
            let copied = grow(|value| fgetxattr(from, name, spare_capacity(value)))
                .and_then(|value| fsetxattr(to, name, &value, XattrFlags::empty()));
            if !is_copied(name, copied)? {
                return Ok(false);
            }
        }
        // A directory gives access lists to its new files.
        for name in split(&present).filter(|name| counts(name) && !split(&wanted).any(|wanted| wanted == *name)) {
            if !is_copied(name, fremovexattr(to, name))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_copied(name: &[u8], result: Result<()>) -> io::Result<bool> {
        match result {
            Ok(()) => Ok(true),
            // Labels of the system, which sets them itself.
            Err(_) if !counts(name) => Ok(true),
            Err(Errno::NOTSUP | Errno::NODATA) => Ok(true),
            Err(Errno::PERM | Errno::ACCESS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is the user's or an access list.
    fn counts(name: &[u8]) -> bool {
        name.starts_with(b"user.") || name.starts_with(b"system.")
    }

    fn names(file: &File) -> io::Result<Vec<u8>> {
        match grow(|list| flistxattr(file, spare_capacity(list))) {
            Err(Errno::NOTSUP) => Ok(Vec::new()),
            result => Ok(result?),
        }
    }

    fn split(names: &[u8]) -> impl Iterator<Item = &[u8]> {
        names.split(|byte| *byte == 0).filter(|name| !name.is_empty())
    }

    /// What `get` puts into a buffer that is large enough.
    fn grow(get: impl Fn(&mut Vec<u8>) -> Result<usize>) -> Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(ROOM);
        match get(&mut buffer) {
            Err(Errno::RANGE) => {
                buffer.reserve_exact(MOST);
                get(&mut buffer)?;
            }
            result => {
                result?;
            }
        }
        Ok(buffer)
    }
}

/// There are none that could be copied.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod extended {
    pub(super) fn copy(_: &std::fs::File, _: &std::fs::File) -> std::io::Result<bool> {
        Ok(true)
    }
}
