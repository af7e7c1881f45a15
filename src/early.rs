//! Work that came before there was a runtime: kept in the order of the calls until a thread of its own has made one.
//!
//! What the work is, is not known here. Neighbours: [`crate::session`], which owns the runtime, and [`crate::caches`], whose calls
//! may be the first thing that a session does. Loads have a way of their own, since each may wait on its own thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::error::Error;
use tokio::runtime::Handle;

/// What is done once there is a runtime, or once it is clear that there is none. It answers for itself, also where it panics.
pub(crate) type Work = Box<dyn FnOnce(Result<&Handle, Error>) + Send>;

/// The work that waits.
pub(crate) struct Early {
    works: Mutex<Vec<Work>>,
    /// A thread makes the runtime, or does what waited for it: what comes now has to queue up. Set and unset under the lock.
    busy: AtomicBool,
    done: Condvar,
}

impl Early {
    pub(crate) const fn new() -> Self {
        Self { works: Mutex::new(Vec::new()), busy: AtomicBool::new(false), done: Condvar::new() }
    }

    /// Whether what comes now has to queue up.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Adds to the queue. True if nobody works on it: then the caller has to see to it that [`Early::run`] is called.
    pub(crate) fn push(&self, work: Work) -> bool {
        let mut works = self.works();
        works.push(work);
        !self.busy.swap(true, Ordering::AcqRel)
    }

    /// Does what has queued up, and what comes meanwhile.
    pub(crate) fn run(&self, runtime: &Result<&Handle, Error>) {
        loop {
            let mut works = self.works();
            if works.is_empty() {
                self.busy.store(false, Ordering::Release);
                self.done.notify_all();
                return;
            }
            let batch = std::mem::take(&mut *works);
            drop(works);
            for work in batch {
                let runtime = runtime.clone();
                // One that panics in spite of its promise does not take the others with it.
                let _ = catch_unwind(AssertUnwindSafe(|| work(runtime)));
            }
        }
    }

    /// Waits until everything that has queued up has begun. False if that takes longer.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let mut works = self.works();
        while self.is_busy() {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return false };
            works = self.done.wait_timeout(works, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn works(&self) -> MutexGuard<'_, Vec<Work>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
