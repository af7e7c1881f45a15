//! Something that another thread finds out meanwhile: how a load on a slow disk makes independent calls side by side.
//!
//! Each such thread has a seat in `calls` for the path it looks at, so it counts as any other: a path that hangs costs it, and
//! nobody follows. Who waits for it does so to the load's deadline at most, and the path in question is then that thread's.
//! What is worth a thread is for those to say who begin one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use super::calls::Look;
use super::{Job, Stop};
use crate::error::{Error, ErrorKind};

/// What is closed when nobody waits any more: that is a call like any other.
#[derive(Default)]
pub(super) struct Later(Vec<Box<dyn Send>>);

impl Later {
    pub(super) fn close(&mut self, open: impl Send + 'static) {
        self.0.push(Box::new(open));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// So many threads at most look at things for one that waits.
pub(super) const MOST: usize = 16;

#[derive(Debug)]
pub(super) struct Aside<T> {
    path: PathBuf,
    result: Receiver<Result<T, Stop>>,
}

impl<T: Send + 'static> Aside<T> {
    /// Begins to look at `path` on a thread of its own. What nobody waits for any more is dropped there.
    pub(super) fn begin(
        job: &Arc<Job>,
        path: PathBuf,
        find: impl FnOnce(&Job, &mut Later) -> Result<T, Stop> + Send + 'static,
    ) -> Self {
        let (answer, result) = channel();
        let (job, looked_at) = (Arc::clone(job), path.clone());
        tokio::task::spawn_blocking(move || {
            let look = Look::new(&job.calls);
            let mut later = Later::default();
            let found = look.at(&looked_at).map_err(Stop::from).and_then(|()| find(&job, &mut later));
            drop(answer.send(found));
            // In this order: as long as something is being closed, the seat is taken.
            drop(later);
            drop(look);
        });
        Self { path, result }
    }

    /// Waits for it. `look` is the seat of the thread that waits: it looks at nothing meanwhile.
    ///
    /// # Errors
    /// What the other thread has met, `Blocked` too; `Timeout` with its path.
    pub(super) fn wait(self, job: &Job, look: &Look) -> Result<T, Stop> {
        look.wait_for(&self.path);
        match self.result.recv_timeout(job.deadline.saturating_duration_since(Instant::now())) {
            Ok(found) => found,
            Err(RecvTimeoutError::Timeout) => {
                let after_ms = u64::try_from(job.request.timeout.as_millis()).unwrap_or(u64::MAX);
                Err(Error::new(ErrorKind::Timeout { after_ms }).at(self.path).into())
            }
            Err(RecvTimeoutError::Disconnected) => {
                let text = "a defect in nvim-project-config: a thread has not answered";
                Err(Error::new(ErrorKind::Runtime(text.into())).at(self.path).into())
            }
        }
    }
}

/// Looks at all `paths` side by side; what was found is in their order.
///
/// # Errors
/// Those of the first path, in their order, that failed.
pub(super) fn each<T: Send + 'static>(
    job: &Arc<Job>,
    look: &Look,
    paths: impl IntoIterator<Item = PathBuf>,
    find: impl Fn(&Job, &Path) -> T + Clone + Send + 'static,
) -> Result<Vec<T>, Stop> {
    let begin = |path: PathBuf| {
        let find = find.clone();
        Aside::begin(job, path.clone(), move |job, _| Ok(find(job, &path)))
    };
    let mut begun = paths.into_iter().map(begin);
    let mut running: VecDeque<Aside<T>> = begun.by_ref().take(MOST).collect();
    let mut found = Vec::new();
    while let Some(aside) = running.pop_front() {
        found.push(aside.wait(job, look)?);
        running.extend(begun.next());
    }
    Ok(found)
}
