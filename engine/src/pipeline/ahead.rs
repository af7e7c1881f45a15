//! What a load on a slow disk begins before it is asked for: all levels of the way up, and the opening of `config_dir`.
//!
//! A walk takes the levels in their order, as it takes those that it looks at itself; what lies beyond its end was looked at in
//! vain, and nobody waits for it. Which directories there are, and what is in them, is for `directory` to say.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aside::{self, Aside};
use super::calls::Look;
use super::directory::{Directory, Handle};
use super::stops::Stops;
use super::{Direction, Job, Stage, Stop};
use crate::open::ConfigDir;

pub(super) struct Ahead {
    pub(super) levels: Option<Levels>,
    pub(super) config_dir: Option<Aside<Option<ConfigDir>>>,
}

impl Ahead {
    /// Nothing is begun.
    pub(super) fn nothing() -> Self {
        Self { levels: None, config_dir: None }
    }

    /// Begins all that the job's stages will want to know, from the start directory on.
    pub(super) fn begin(job: &Arc<Job>, start: &Path, opened: &Handle) -> Self {
        let stages = &job.request.stages;
        let goes_up = |stage: &Stage| matches!(stage, Stage::Walk { direction: Direction::Up, .. });
        let config_dir = &job.request.config_dir;
        // Two threads of one load must not want the same path: the second would wait for the first, and begin the load anew.
        let is_on_the_way = start.starts_with(config_dir);
        let config_dir = (job.request.reads_files() && !is_on_the_way).then(|| {
            let path = config_dir.clone();
            Aside::begin(job, path.clone(), move |_, _| Ok(ConfigDir::open(&path)?))
        });
        let levels = stages.iter().any(goes_up).then(|| Levels::begin(job, start, opened));
        Self { levels, config_dir }
    }
}

/// The directories above the start directory, looked at side by side.
pub(super) struct Levels {
    job: Arc<Job>,
    start: Handle,
    /// The lowest level that has not been begun, and its path.
    next: Option<(usize, PathBuf)>,
    stops: Stops,
    begun: VecDeque<Aside<Directory>>,
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").field("begun", &self.begun).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Levels {
    fn begin(job: &Arc<Job>, start: &Path, opened: &Handle) -> Self {
        let stops = Stops::of(&job.request, start);
        let next = (!stops.ends_before(start)).then(|| stops.above(start)).flatten().map(|above| (1, above));
        let mut levels = Self { job: Arc::clone(job), start: opened.clone(), next, stops, begun: VecDeque::new() };
        while levels.begun.len() < aside::MOST && levels.begin_next() {}
        levels
    }

    fn begin_next(&mut self) -> bool {
        let Some((level, path)) = self.next.take() else { return false };
        self.next = self.stops.above(&path).map(|above| (level + 1, above));
        let start = self.start.clone();
        self.begun.push_back(Aside::begin(&self.job, path.clone(), move |job, later| {
            let directory = Directory::above(&start, level, path, job.known(), job.pace.takes_fingerprints(), later);
            later.close(start);
            Ok(directory)
        }));
        true
    }

    /// The next level; `None` above the root.
    ///
    /// # Errors
    /// As [`Aside::wait`].
    pub(super) fn next(&mut self, look: &Look) -> Result<Option<Directory>, Stop> {
        let Some(level) = self.begun.pop_front() else { return Ok(None) };
        let directory = level.wait(&self.job, look)?;
        self.begin_next();
        Ok(Some(directory))
    }
}
