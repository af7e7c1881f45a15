//! One trip to the disk: a few looks there, within the request's time.
//!
//! It is an errand of `driver`. As everywhere, a path that somebody else looks at is not looked at: the trip comes back and waits
//! without a thread until it is released, for as long as its time lasts. Time in the user's code is between trips and does not
//! count.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::super::calls::Look;
use super::super::execute::defect;
use super::super::{Job, Stop};
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};

/// What is to be done on a trip. It holds its own results.
pub(super) trait Trip: Send + 'static {
    /// Does it, or goes on with it after having been blocked.
    fn run(&mut self, job: &Job, look: &Look) -> Result<(), Stop>;
}

/// Makes the trip, and returns it with its results.
///
/// # Errors
/// What `run` fails with, and `Timeout` with the path that does not answer.
pub(super) async fn make<T: Trip>(shared: &Shared, mut trip: T) -> Result<T> {
    let job = &shared.job;
    let deadline = Instant::now() + job.request.timeout;
    let after_ms = u64::try_from(job.request.timeout.as_millis()).unwrap_or(u64::MAX);
    let timeout = |path| Error::new(ErrorKind::Timeout { after_ms }).at(path);
    loop {
        let look = Look::new(&job.calls);
        let watch = look.watch();
        // Whoever runs an errand polls after it, so nobody has to be woken.
        let back = Arc::new(Mutex::new(None));
        let (result, there) = (Arc::clone(&back), Arc::clone(job));
        shared.send(Box::new(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let ended = trip.run(&there, &look);
                (trip, ended)
            }));
            drop(look);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        }));
        let arrived = poll_fn(|_| match back.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(ended) => Poll::Ready(ended),
            None => Poll::Pending,
        });
        let ended;
        (trip, ended) = match timeout_at(deadline, arrived).await {
            Ok(Ok(back)) => back,
            Ok(Err(panic)) => return Err(defect(&*panic)),
            Err(_) => return Err(timeout(watch.path().unwrap_or_else(|| job.request.start_dir.clone()))),
        };
        match ended {
            Ok(()) => return Ok(trip),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Blocked(path)) => {
                // A task of its own: it is woken by every call of anybody.
                let mut wait = JoinSet::new();
                let (calls, blocked) = (Arc::clone(&job.calls), path.clone());
                wait.spawn(async move { timeout_at(deadline, calls.released(&blocked)).await.is_ok() });
                if !matches!(wait.join_next().await, Some(Ok(true))) {
                    return Err(timeout(path));
                }
            }
        }
    }
}
