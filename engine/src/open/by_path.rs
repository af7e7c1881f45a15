//! Files and directories that users name by an absolute path: links are followed, and only kind and size are checked.
//!
//! What is read here is for the user's code to look at; what is run goes through [`ConfigDir`](super::ConfigDir). Reading itself is
//! [`super`]'s, the system calls are the platforms'.

use std::io;
use std::path::Path;

use super::{A_DIRECTORY, ATTEMPTS, Kind, Limits, Snapshot, check, is_link, located, platform, read_checked};
use crate::dir_cache::DirectoryItem;
use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::{Fingerprint, Timestamp};

/// What is at an absolute path that a user names, links followed; checked for kind and size only. One system call.
///
/// # Errors
///
/// `NotFound`, `BrokenLink`, `NotAFile`, `TooLarge`, `Permission`, `Io`.
pub(crate) fn stat_file(path: &Path, limits: &Limits) -> Result<Fingerprint> {
    let stat = platform::stat_path(path).map_err(|error| missing_or(path, &error))?;
    check(&stat, path, limits)?;
    Ok(stat.fingerprint)
}

/// Reads the file at an absolute path that a user names. Call [`stat_file`] first: to open a device can have effects of its own.
///
/// # Errors
///
/// As [`stat_file`]; `Io` also for a file that keeps changing while it is read.
pub(crate) fn read_file(path: &Path, limits: &Limits) -> Result<Snapshot> {
    let found = read_checked(path, limits, || platform::open_path(path), platform::stat_open)?;
    found.map(|(_, snapshot)| snapshot).ok_or_else(|| missing(path))
}

/// The fingerprint of the directory at an absolute path, links followed. One system call.
///
/// # Errors
///
/// `NotFound`, `BrokenLink`, `NotADirectory`, `Permission`, `Io`.
pub(crate) fn stat_directory(path: &Path) -> Result<Fingerprint> {
    let stat = platform::stat_path(path).map_err(|error| missing_or(path, &error))?;
    if stat.kind == Kind::Other(A_DIRECTORY) {
        Ok(stat.fingerprint)
    } else {
        Err(Error::new(ErrorKind::NotADirectory).at(path))
    }
}

/// What the directory at an absolute path holds, in byte order of the names, hidden ones too.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) items: Vec<DirectoryItem>,
    /// The directory's own, taken before it was listed.
    pub(crate) fingerprint: Fingerprint,
    /// Just before that.
    pub(crate) read_at: Timestamp,
    /// Whether it was the same after the listing.
    pub(crate) is_settled: bool,
}

/// Lists it, again if it changes meanwhile. One that never stops changing is returned as it was found last.
///
/// # Errors
///
/// As [`stat_directory`].
pub(crate) fn list_directory(path: &Path) -> Result<Contents> {
    let mut attempt = 1;
    loop {
        let read_at = Timestamp::now();
        let (mut items, [fingerprint, after]) = platform::list_path(path).map_err(|error| missing_or(path, &error))?;
        let is_settled = fingerprint == after;
        if is_settled || attempt == ATTEMPTS {
            items.sort_unstable_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
            return Ok(Contents { items, fingerprint, read_at, is_settled });
        }
        attempt += 1;
    }
}

/// The error for a path at which there is nothing.
fn missing(path: &Path) -> Error {
    Error::new(if is_link(path) { ErrorKind::BrokenLink } else { ErrorKind::NotFound }).at(path)
}

fn missing_or(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename => {
            Error { errno: error.raw_os_error(), ..missing(path) }
        }
        _ => located(path, error),
    }
}
