//! The system calls of [`super`] where only the standard library is at hand (Windows): by path, with a lock file, without owners
//! and hard links. Access lists come from the directory there.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use super::Renamed;
use super::lock::Attempt;
use crate::open::ConfigDir;

/// Who may open a file while it is being written: the directory says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Private,
    AsNew,
}

pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// A directory that may be locked: none may.
#[derive(Debug)]
pub(super) enum Directory {}

pub(super) fn descriptor(dir: &ConfigDir) -> &ConfigDir {
    dir
}

pub(super) fn open_above(_: &ConfigDir) -> io::Result<Option<Directory>> {
    Ok(None)
}

pub(super) fn lock<T>(_: &T) -> io::Result<Attempt> {
    Ok(Attempt::Unsupported)
}

pub(super) fn unlock<T>(_: &T) -> io::Result<()> {
    Ok(())
}

pub(super) fn open_lock_file(dir: &ConfigDir, name: &OsStr) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(at(dir, name))
}

pub(super) fn is_removed(dir: &ConfigDir) -> io::Result<bool> {
    dir.path().try_exists().map(|exists| !exists)
}

pub(super) fn may_write(dir: &ConfigDir, name: &OsStr) -> io::Result<()> {
    let readonly = fs::metadata(at(dir, name))?.permissions().readonly();
    if readonly { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

/// A file that was not there before.
pub(super) fn create(dir: &ConfigDir, name: &OsStr, _: Access) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(at(dir, name))
}

pub(super) fn open_for_writing(dir: &ConfigDir, name: &OsStr) -> io::Result<File> {
    OpenOptions::new().write(true).open(at(dir, name))
}

pub(super) fn rename(dir: &ConfigDir, from: &OsStr, to: &OsStr) -> io::Result<()> {
    fs::rename(at(dir, from), at(dir, to))
}

pub(super) fn rename_to_free(_: &ConfigDir, _: &OsStr, _: &OsStr) -> io::Result<Renamed> {
    Ok(Renamed::Unsupported)
}

pub(super) fn exchange(_: &ConfigDir, _: &OsStr, _: &OsStr) -> io::Result<Renamed> {
    Ok(Renamed::Unsupported)
}

pub(super) fn remove(dir: &ConfigDir, name: &OsStr) -> io::Result<()> {
    fs::remove_file(at(dir, name))
}

/// Windows has no such call: a directory is not opened as a file.
pub(super) fn sync_directory(_: &ConfigDir) -> io::Result<()> {
    Ok(())
}

fn at(dir: &ConfigDir, name: &OsStr) -> PathBuf {
    dir.path().join(name)
}

/// Who may do what with a file, as far as it can be told.
#[derive(Debug)]
pub(super) struct Attributes {
    permissions: Permissions,
}

impl Attributes {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self { permissions: file.metadata()?.permissions() })
    }

    /// One, as far as is known.
    pub(super) fn links(&self) -> u64 {
        1
    }

    /// Gives them to the file `to`; always possible.
    pub(super) fn give(&self, _: &File, to: &File) -> io::Result<bool> {
        to.set_permissions(self.permissions.clone())?;
        Ok(true)
    }
}
