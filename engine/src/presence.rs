//! Whether directories are still there, for those who keep something in force that came from them.
//!
//! A disk that does not answer says nothing: what lies on it counts as there. All of this blocks, at most one thread a path.

use std::io;
use std::path::Path;

use crate::calls::Look;
use crate::disk::Disk;

/// Whether there is nothing at the path; false where that cannot be seen.
pub fn has_gone(path: &Path) -> bool {
    let gone = |error: io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    look(path, || path.metadata().err().is_some_and(gone)).unwrap_or(false)
}

/// The device that the directory lies on; `None` where there is none, or it cannot be seen.
pub fn device(path: &Path) -> Option<u64> {
    look(path, || path.metadata().ok().map(|metadata| device_of(&metadata))).flatten()
}

/// Whether the directory holds nothing; false where that cannot be seen.
pub fn is_empty(path: &Path) -> bool {
    look(path, || path.read_dir().is_ok_and(|mut entries| entries.next().is_none())).unwrap_or(false)
}

fn look<T>(path: &Path, work: impl FnOnce() -> T) -> Option<T> {
    let look = Look::new(&Disk::of_process().calls);
    look.at(path).ok()?;
    Some(work())
}

#[cfg(unix)]
fn device_of(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

#[cfg(not(unix))]
fn device_of(_: &std::fs::Metadata) -> u64 {
    0
}
