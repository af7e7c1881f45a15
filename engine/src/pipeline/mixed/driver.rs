//! Who runs the segments: a thread that is on the disk's business anyway, or else one that is called for.
//!
//! All segments of a load are one future. It is polled on blocking threads, and what it wants of the disk is an *errand*, which
//! the same thread runs right after: from trip to trip without a change of threads, which would cost more than the trips. While a
//! thread is away on an errand, any other may poll, so deadlines hold and a load can be cancelled whatever the disk does. No
//! thread waits for anything else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::Handle;

use super::super::execute::defect;
use super::shared::Shared;
use crate::error::{ErrorKind, Result};

/// The segments of a load.
type Segments = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// What is to be done when they have ended.
type Finish = Box<dyn FnOnce(Result<()>) + Send>;

/// Nobody polls, and nobody has to.
const IDLE: u8 = 0;
/// Somebody is about to poll.
const CALLED: u8 = 1;
const POLLING: u8 = 2;
/// Somebody polls, and has to do so again.
const AGAIN: u8 = 3;

pub(super) struct Driver {
    shared: Arc<Shared>,
    runtime: Handle,
    turn: AtomicU8,
    /// `None` once they have ended, or were cancelled.
    running: Mutex<Option<(Segments, Finish)>>,
}

impl Driver {
    /// Starts the segments on a blocking thread of this runtime.
    pub(super) fn start(shared: Arc<Shared>, segments: Segments, finish: Finish) -> Arc<Self> {
        let running = Mutex::new(Some((segments, finish)));
        let driver = Arc::new(Self { shared, runtime: Handle::current(), turn: AtomicU8::new(IDLE), running });
        Arc::clone(&driver).wake();
        driver
    }

    /// Drops the segments, and with them all that they wait for.
    pub(super) fn cancel(&self) {
        drop(self.take());
        self.shared.take_errands();
    }

    /// Ends it: what is returned is to be dropped without any lock. A poll is soon over, as none touches a disk.
    fn take(&self) -> Option<(Segments, Finish)> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes the turn to poll, if nobody has it; who has it is told to poll again.
    fn take_turn(&self) -> bool {
        let next = |turn| match turn {
            IDLE => Some(CALLED),
            POLLING => Some(AGAIN),
            _ => None,
        };
        self.turn.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE)
    }

    /// Polls and runs errands, as long as there is something to do. The turn is the caller's.
    fn run(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        loop {
            loop {
                self.turn.store(POLLING, Ordering::Release);
                if let Some((finish, result)) = self.poll(&waker) {
                    return finish(result);
                }
                if self.turn.compare_exchange(POLLING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    break;
                }
            }
            let mut errands = self.shared.take_errands().into_iter();
            let Some(mine) = errands.next() else { return };
            for errand in errands {
                let driver = Arc::clone(&self);
                self.runtime.spawn_blocking(move || {
                    errand();
                    if driver.take_turn() {
                        driver.run();
                    }
                });
            }
            mine();
            if !self.take_turn() {
                return;
            }
        }
    }

    /// What the segments have come to, if they have ended.
    fn poll(&self, waker: &Waker) -> Option<(Finish, Result<()>)> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let (segments, _) = running.as_mut()?;
        let mut context = Context::from_waker(waker);
        let polled = catch_unwind(AssertUnwindSafe(|| segments.as_mut().poll(&mut context)));
        let result = match polled {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(result)) => result,
            Err(panic) => Err(defect(&*panic)),
        };
        let ended = running.take();
        drop(running);
        ended.map(|(_, finish)| (finish, result))
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        if self.take_turn() {
            let driver = Arc::clone(&self);
            let called = catch_unwind(AssertUnwindSafe(|| self.runtime.spawn_blocking(move || driver.run())));
            // It panics when the system gives no thread.
            if called.is_err()
                && let Some((_, finish)) = self.take()
            {
                finish(Err(ErrorKind::Runtime("the system gives no thread".into()).into()));
            }
        }
    }
}

/// All of these side by side; the first error ends it.
pub(super) async fn join(mut segments: Vec<Segments>) -> Result<()> {
    std::future::poll_fn(|context| {
        let mut result = Ok(());
        segments.retain_mut(|segment| match segment.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                if result.is_ok() {
                    result = ended;
                }
                false
            }
        });
        match result {
            Ok(()) if !segments.is_empty() => Poll::Pending,
            result => Poll::Ready(result),
        }
    })
    .await
}

/// Cancels what it drives when it is dropped.
pub(super) struct CancelOnDrop(pub(super) Arc<Driver>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
