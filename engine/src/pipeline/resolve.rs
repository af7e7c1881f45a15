//! Paths that users have written in their options, as a walk comes across them: with links resolved.
//!
//! They may lie anywhere, and most of them concern another project than the one that is loaded. So one whose disk hangs is not waited
//! for as long as for the load's own disk: what lies on that has just answered. What the paths are good for is for `naming` and `stops`.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::calls::Look;
use super::{Job, Stop};

/// A path that takes longer counts as it is written.
const PATIENCE: Duration = Duration::from_millis(500);

/// The same, once one has.
const LEFT_PATIENCE: Duration = Duration::from_millis(50);

/// The path, or itself where it does not exist.
///
/// # Errors
/// `Blocked`: somebody else is looking at it.
pub(super) fn resolved(path: &Path, look: &Look) -> Result<PathBuf, Stop> {
    look.at(path)?;
    Ok(canonical(path))
}

fn canonical(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The paths in their order; one that does not exist, or does not answer in time, as it is. `look` is the seat of the thread that
/// waits: it looks at nothing meanwhile.
pub(super) fn all_resolved(paths: &[PathBuf], job: &Job, look: &Look) -> Vec<PathBuf> {
    let mut found = Vec::with_capacity(paths.len());
    let longest = PATIENCE.min(job.request.timeout / 4);
    let mut patience = longest;
    if !paths.is_empty() {
        look.rest();
    }
    while found.len() < paths.len() {
        // One thread for all that are left, up to the first that hangs.
        let (answer, answers) = channel();
        let (begin, begun) = channel();
        let (calls, runtime, left) = (Arc::clone(&job.calls), Handle::current(), paths[found.len()..].to_vec());
        tokio::task::spawn_blocking(move || {
            let _ = begin.send(());
            let look = Look::new(&calls);
            for path in left {
                let mut is_free = true;
                while is_free && look.at(&path).is_err() {
                    is_free = runtime.block_on(async { timeout(patience, calls.released(&path)).await.is_ok() });
                }
                let resolved = if is_free { canonical(&path) } else { path };
                look.rest();
                if answer.send(resolved).is_err() {
                    return;
                }
            }
        });
        // That no thread is free says nothing of the paths.
        if begun.recv_timeout(longest).is_err() {
            found.extend_from_slice(&paths[found.len()..]);
            break;
        }
        while let Ok(path) = answers.recv_timeout(patience) {
            found.push(path);
        }
        if let Some(path) = paths.get(found.len()) {
            found.push(path.clone());
            patience = patience.min(LEFT_PATIENCE);
        }
    }
    found
}

/// The user's home directory, which is resolved once: most loads want to know.
#[derive(Debug, Default)]
pub(super) struct Home(Mutex<Option<(PathBuf, PathBuf)>>);

impl Home {
    /// # Errors
    /// As [`resolved`].
    pub(super) fn resolved(&self, home: &Path, look: &Look) -> Result<PathBuf, Stop> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, resolved)) = known().as_ref().filter(|(given, _)| given == home) {
            return Ok(resolved.clone());
        }
        let found = resolved(home, look)?;
        *known() = Some((home.to_path_buf(), found.clone()));
        Ok(found)
    }
}
