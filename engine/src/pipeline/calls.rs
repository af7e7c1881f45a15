//! The calls to the disk that are out: which thread is looking at which path, now.
//!
//! A call into a dead mount cannot be taken back, so the thread that makes it may be lost. This registry sees to it that a
//! path costs one thread at most: whoever wants to look at a path that somebody is looking at is told so ([`Blocked`]),
//! leaves the blocking pool and waits on the async side ([`Calls::released`]). It reads nothing itself; `runner` does the
//! waiting.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Somebody else is looking at this path.
#[derive(Debug)]
pub(super) struct Blocked(pub(super) PathBuf);

/// One seat for each thread that looks at something; shared by all loads of an engine.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// A scan of this short list is cheaper than a map, and a seat's path is overwritten in place: a walk allocates nothing
    /// here.
    seats: Mutex<Vec<Seat>>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Seat {
    taken: bool,
    /// Empty while its owner looks at nothing.
    path: PathBuf,
}

impl Calls {
    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_out(seats: &[Seat], path: &Path) -> bool {
        // Byte equality: every path here was resolved or joined by this crate, in one spelling.
        seats.iter().any(|seat| seat.path.as_os_str() == path.as_os_str())
    }

    /// Waits until nobody looks at `path`. Cancel-safe, and without a deadline of its own.
    pub(super) async fn released(&self, path: &Path) {
        loop {
            let mut moved = pin!(self.moved.notified());
            // Registered before the look, so that a release between the two is not missed.
            moved.as_mut().enable();
            if !Self::is_out(&self.seats(), path) {
                return;
            }
            moved.await;
        }
    }
}

/// A thread's seat in [`Calls`]; given up when dropped.
#[derive(Debug)]
pub(super) struct Look {
    calls: Arc<Calls>,
    seat: usize,
}

impl Look {
    pub(super) fn new(calls: &Arc<Calls>) -> Self {
        let mut seats = calls.seats();
        let seat = seats.iter().position(|seat| !seat.taken).unwrap_or_else(|| {
            seats.push(Seat::default());
            seats.len() - 1
        });
        seats[seat].taken = true;
        drop(seats);
        Self { calls: Arc::clone(calls), seat }
    }

    /// Says that this thread's next calls are about `path`, and no longer about the one before.
    pub(super) fn at(&self, path: &Path) -> Result<(), Blocked> {
        let mut seats = self.calls.seats();
        seats[self.seat].path.clear();
        let blocked = Calls::is_out(&seats, path);
        if !blocked {
            seats[self.seat].path.as_mut_os_string().push(path);
        }
        drop(seats);
        self.calls.moved.notify_waiters();
        if blocked { Err(Blocked(path.to_path_buf())) } else { Ok(()) }
    }

    /// Says that this thread looks at nothing for now.
    pub(super) fn rest(&self) {
        self.calls.seats()[self.seat].path.clear();
        self.calls.moved.notify_waiters();
    }

    /// A view of this seat for whoever waits for the thread.
    pub(super) fn watch(&self) -> Watch {
        Watch { calls: Arc::clone(&self.calls), seat: self.seat }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut seats = self.calls.seats();
        seats[self.seat].path.clear();
        seats[self.seat].taken = false;
        drop(seats);
        self.calls.moved.notify_waiters();
    }
}

/// Tells what the thread in one seat is looking at.
#[derive(Debug)]
pub(super) struct Watch {
    calls: Arc<Calls>,
    seat: usize,
}

impl Watch {
    /// The path, if the thread is looking at one.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let seats = self.calls.seats();
        Some(&seats[self.seat].path).filter(|path| !path.as_os_str().is_empty()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_looked_at_by_one_thread_at_a_time() {
        let calls = Arc::new(Calls::default());
        let (first, second) = (Look::new(&calls), Look::new(&calls));
        first.at(Path::new("/mnt/dead")).unwrap();
        assert_eq!(second.at(Path::new("/mnt/dead")).unwrap_err().0, Path::new("/mnt/dead"));
        second.at(Path::new("/mnt/alive")).unwrap();
        first.at(Path::new("/elsewhere")).unwrap();
        second.at(Path::new("/mnt/dead")).unwrap();
        drop(second);
        first.at(Path::new("/mnt/dead")).unwrap();
        assert_eq!(first.watch().path().unwrap(), Path::new("/mnt/dead"));
    }

    #[test]
    fn whoever_waits_for_a_path_goes_on_when_it_is_released() {
        let calls = Arc::new(Calls::default());
        let look = Look::new(&calls);
        look.at(Path::new("/mnt/slow")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let waiting = runtime.spawn({
            let calls = Arc::clone(&calls);
            async move { calls.released(Path::new("/mnt/slow")).await }
        });
        assert!(!waiting.is_finished());
        drop(look);
        runtime.block_on(waiting).unwrap();
    }
}
