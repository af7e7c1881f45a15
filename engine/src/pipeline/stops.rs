//! Where walks up end: before the directories that the user has named, or else before the home directory.
//!
//! A walk's path is resolved, so a stop that lies on it by its spelling alone is there: nobody has to ask the disk. Others may be
//! links that lead there; they are resolved when something was found that they might cut off.

use std::path::{Path, PathBuf};

use super::calls::Look;
use super::resolve::all_resolved;
use super::{Job, Request, Stop};

/// The ends of one walk up.
#[derive(Debug, Clone, Default)]
pub(super) struct Stops {
    start: PathBuf,
    /// The first one on the way.
    end: Option<PathBuf>,
    /// Those that may be links to directories on the way.
    open: Vec<PathBuf>,
}

impl Stops {
    /// Those of a walk from `start`, which is resolved.
    pub(super) fn of(request: &Request, start: &Path) -> Self {
        let given = request.naming.stop_at.as_deref().unwrap_or(request.home.as_slice());
        let mut stops = Self { start: start.to_path_buf(), ..Self::default() };
        for stop in given {
            if !stops.take(stop) {
                stops.open.push(stop.clone());
            }
        }
        stops
    }

    /// Whether it is on the way.
    fn take(&mut self, stop: &Path) -> bool {
        let is_on_the_way = self.start.starts_with(stop);
        if is_on_the_way && self.end.as_ref().is_none_or(|end| stop.starts_with(end)) {
            self.end = Some(stop.components().collect());
        }
        is_on_the_way
    }

    /// Whether a walk that comes to this directory ends before it, as far as that is known.
    pub(super) fn ends_before(&self, dir: &Path) -> bool {
        self.end.as_deref() == Some(dir)
    }

    /// The directory above, if the walk goes there, as far as that is known.
    pub(super) fn above(&self, dir: &Path) -> Option<PathBuf> {
        dir.parent().filter(|parent| !self.ends_before(parent)).map(Path::to_path_buf)
    }

    /// Whether this directory of the walk lies at or above its end.
    ///
    /// # Errors
    /// As [`Stops::settle`].
    pub(super) fn are_passed_by(&mut self, dir: &Path, job: &Job, look: &Look) -> Result<bool, Stop> {
        self.settle(job, look)?;
        Ok(self.end.as_ref().is_some_and(|end| end.starts_with(dir)))
    }

    /// Finds out where links among them lead.
    ///
    /// # Errors
    /// `Blocked`: somebody else is looking at the home directory.
    pub(super) fn settle(&mut self, job: &Job, look: &Look) -> Result<(), Stop> {
        if let Some(home) = &job.request.home
            && self.open.contains(home)
        {
            let resolved = job.memory.home.resolved(home, look)?;
            self.open.retain(|stop| stop != home);
            self.take(&resolved);
        }
        for stop in all_resolved(&std::mem::take(&mut self.open), job, look) {
            self.take(&stop);
        }
        Ok(())
    }
}
