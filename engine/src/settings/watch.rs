//! Looks whether jobs end in time. One that does not is left to itself, and [`super::back`] answers those who wait for it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::Settings;
use super::job::JobId;

/// How often it is looked whether a job has ended in time.
const WATCH_STEP: Duration = Duration::from_millis(100);

/// The jobs under way.
#[derive(Debug, Default)]
pub(super) struct Watched {
    jobs: Vec<WatchedJob>,
    /// Somebody looks at them.
    has_watch: bool,
}

#[derive(Debug)]
struct WatchedJob {
    id: JobId,
    timeout: Duration,
    until: Instant,
}

impl Watched {
    /// The job has ended.
    pub(super) fn forget(&mut self, id: &JobId) {
        self.jobs.retain(|job| job.id != *id);
    }

    /// The jobs that should have ended by now. `None` if there are no jobs: then nobody looks any more.
    fn take_overdue(&mut self) -> Option<Vec<WatchedJob>> {
        self.has_watch = !self.jobs.is_empty();
        let now = Instant::now();
        self.has_watch.then(|| self.jobs.extract_if(.., |job| job.until <= now).collect())
    }
}

impl Settings {
    /// Has somebody look whether the job ends in time: one for all jobs, who goes on for as long as there are any. One for each would have
    /// to be woken up twice, for every save.
    pub(super) fn watch_over(self: &Arc<Self>, id: JobId, timeout: Duration) {
        let mut watched = self.watched();
        watched.jobs.push(WatchedJob { id, timeout, until: Instant::now() + timeout });
        if !std::mem::replace(&mut watched.has_watch, true) {
            let settings = Arc::clone(self);
            Handle::current().spawn(async move {
                loop {
                    tokio::time::sleep(WATCH_STEP).await;
                    let Some(overdue) = settings.watched().take_overdue() else { return };
                    if overdue.is_empty() {
                        continue;
                    }
                    let mut back = settings.back();
                    for job in overdue {
                        back.overdue(job.id, job.timeout);
                    }
                    let events = back.take_events();
                    drop(back);
                    (settings.tell)(events);
                }
            });
        }
    }

    pub(super) fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
