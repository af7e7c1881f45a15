//! Whether directories are still there, for those who keep something in force that came from them.
//!
//! A disk that does not answer says nothing: what lies on it counts as there.

use std::io;
use std::path::Path;

use crate::calls::Look;
use crate::disk::Disk;

/// Whether there is nothing at the path; false where that cannot be seen. For those who go there next: where somebody else is looking, it
/// looks all the same, and may hang.
pub fn has_gone(path: &Path) -> bool {
    path.metadata().is_err_and(|error| is_gone(&error))
}

/// Whether there is nothing at the path, or an empty directory on another device than before: that of what it lay on is left. `None` where
/// somebody else is looking at it just now.
pub fn has_been_lost(path: &Path, device_before: Option<u64>) -> Option<bool> {
    look(path, || match path.metadata() {
        Ok(metadata) => device_before.is_some_and(|before| before != device_of(&metadata)) && is_empty(path),
        Err(error) => is_gone(&error),
    })
}

/// The device that the directory lies on; `None` where there is none, or nothing in it, or it cannot be seen.
pub fn device(path: &Path) -> Option<u64> {
    look(path, || path.metadata().ok().filter(|_| !is_empty(path)).map(|metadata| device_of(&metadata))).flatten()
}

/// Returns when nobody is looking at the path. Without a deadline.
pub async fn released(path: &Path) {
    Disk::of_process().calls.released(path).await;
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn is_empty(path: &Path) -> bool {
    path.read_dir().is_ok_and(|mut entries| entries.next().is_none())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_lost_if_it_is_not_there_or_an_empty_one_is_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("projects");
        assert_eq!((has_gone(&path), has_been_lost(&path, None), device(&path)), (true, Some(true), None));
        std::fs::create_dir(&path).unwrap();
        assert_eq!((has_gone(&path), device(&path)), (false, None));
        std::fs::write(path.join("a.json"), "{}").unwrap();
        let here = device(&path).unwrap();
        assert_eq!(has_been_lost(&path, Some(here + 1)), Some(false));
        std::fs::remove_file(path.join("a.json")).unwrap();
        for (before, is_lost) in [(None, false), (Some(here), false), (Some(here + 1), true)] {
            assert_eq!(has_been_lost(&path, before), Some(is_lost), "{before:?}");
        }
    }

    #[test]
    fn where_somebody_else_is_looking_it_is_not_known_until_he_has_done() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("projects");
        let look = Look::new(&Disk::of_process().calls);
        look.at(&path).unwrap();
        assert_eq!((has_been_lost(&path, None), has_gone(&path)), (None, true));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let is_released = |ms| {
            let released = async { tokio::time::timeout(std::time::Duration::from_millis(ms), released(&path)).await };
            runtime.block_on(released).is_ok()
        };
        assert!(!is_released(1));
        drop(look);
        assert!(is_released(60_000));
        assert_eq!(has_been_lost(&path, None), Some(true));
    }
}
