//! The system calls of [`super`] where only the standard library is at hand (Windows): by path, without owners and modes.
//!
//! There a file in a directory cannot be a FIFO, a socket that blocks or a device, and access lists, not modes, say who may
//! write; so nothing is found untrusted.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{A_DIRECTORY, Distrust, Kind, Links, Listed, Listing, Owners, Stat};
use crate::dir_cache::{DirectoryItem, ItemKind};
use crate::error::ErrorKind;
use crate::fingerprint::Fingerprint;

#[derive(Debug)]
pub(super) struct Dir {
    path: PathBuf,
}

impl Dir {
    pub(super) fn open(path: &Path, _: Owners) -> io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path: path.to_owned() })
    }

    pub(super) fn distrust_owner(&mut self) {}

    pub(super) fn directory_distrust(&self, _: &Path) -> Option<Distrust> {
        None
    }

    pub(super) fn stat(&self, relative: &Path) -> io::Result<Stat> {
        describe(&fs::symlink_metadata(self.path.join(relative))?)
    }

    pub(super) fn stat_target(&self, relative: &Path) -> io::Result<Stat> {
        describe(&fs::metadata(self.path.join(relative))?)
    }

    pub(super) fn stat_file(&self, file: &File) -> io::Result<Stat> {
        describe(&file.metadata()?)
    }

    /// Links are followed in any case: the worst that can be at the end of one is a file.
    pub(super) fn open_file(&self, relative: &Path, _: Links) -> io::Result<File> {
        File::open(self.path.join(relative))
    }

    /// All entries in no order.
    pub(super) fn list(&self, relative: &Path) -> io::Result<Listing> {
        let path = self.path.join(relative);
        // Listing a file has an error of its own on each system.
        if !fs::metadata(&path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok(Listed { name: entry.file_name(), is_file: entry.file_type().is_ok_and(|kind| kind.is_file()) })
        };
        let entries = fs::read_dir(path)?.map(entry).collect::<io::Result<_>>()?;
        Ok(Listing { entries, fingerprint: None, distrust: None })
    }

    /// As [`Dir::list`], told at once.
    pub(super) fn list_by_parts(
        &self,
        relative: &Path,
        _: bool,
        tell: &mut dyn FnMut(Vec<Listed>),
    ) -> io::Result<Listing> {
        let mut listing = self.list(relative)?;
        tell(std::mem::take(&mut listing.entries));
        Ok(listing)
    }

    /// None: without an inode, two directories made at the same time would be one.
    pub(super) fn directory_fingerprint(&self, _: &Path) -> Option<Fingerprint> {
        None
    }
}

fn describe(metadata: &Metadata) -> io::Result<Stat> {
    let kind = if metadata.is_file() {
        Kind::Regular
    } else if metadata.is_symlink() {
        Kind::Link
    } else if metadata.is_dir() {
        Kind::Other(A_DIRECTORY)
    } else {
        Kind::Other("a device")
    };
    let mtime = metadata.modified()?.into();
    // Not every file system knows it; then there is one proof less.
    let ctime = metadata.created().map_or(mtime, Into::into);
    Ok(Stat { kind, distrust: None, fingerprint: Fingerprint { dev: 0, ino: 0, size: metadata.len(), mtime, ctime } })
}

/// What lies at an absolute path, links followed.
pub(super) fn stat_path(path: &Path) -> io::Result<Stat> {
    describe(&fs::metadata(path)?)
}

/// As [`stat_path`], of an open file.
pub(super) fn stat_open(file: &File) -> io::Result<Stat> {
    describe(&file.metadata()?)
}

/// The file at an absolute path, links followed.
pub(super) fn open_path(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// All entries in no order, and the directory's fingerprint before and after.
pub(super) fn list_path(path: &Path) -> io::Result<(Vec<DirectoryItem>, [Fingerprint; 2])> {
    let before = fs::metadata(path)?;
    // Listing a file has an error of its own on each system.
    if !before.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let item = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        let kind = match entry.file_type() {
            Ok(kind) if kind.is_file() => ItemKind::File,
            Ok(kind) if kind.is_dir() => ItemKind::Directory,
            Ok(kind) if kind.is_symlink() => ItemKind::Link,
            _ => ItemKind::Unknown,
        };
        Ok(DirectoryItem { name: entry.file_name(), kind })
    };
    let items = fs::read_dir(path)?.map(item).collect::<io::Result<_>>()?;
    Ok((items, [describe(&before)?.fingerprint, describe(&fs::metadata(path)?)?.fingerprint]))
}

/// What only the number of an error tells.
pub(super) fn special_error(error: &io::Error) -> Option<ErrorKind> {
    const CANNOT_RESOLVE_FILENAME: i32 = 1921;
    (cfg!(windows) && error.raw_os_error() == Some(CANNOT_RESOLVE_FILENAME)).then_some(ErrorKind::BrokenLink)
}
