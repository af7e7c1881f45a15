//! The calls to the disk that are out: which thread is looking at which path, now.
//!
//! A call into a dead mount cannot be taken back, so the thread that makes it may be lost. This registry sees to it that a
//! path costs one thread at most: whoever wants to look at a path that somebody is looking at is told so ([`Blocked`]),
//! leaves the blocking pool and waits on the async side ([`Calls::released`]). It reads nothing itself; the waiting is done by
//! `pipeline/runner` and [`crate::caches`].

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Somebody else is looking at this path.
#[derive(Debug)]
pub(crate) struct Blocked(pub(super) PathBuf);

/// One seat for each thread that looks at something; shared by all loads and caches of a process.
#[derive(Debug, Default)]
pub(crate) struct Calls {
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
    /// Somebody waits for the path: to wake them all at each move would cost more than the looks.
    awaited: bool,
    /// Where another thread of the load looks, for which this one waits.
    waits_for: PathBuf,
}

impl Seat {
    /// Leaves the path; whether somebody waits for that.
    fn leave(&mut self) -> bool {
        self.path.clear();
        self.waits_for.clear();
        std::mem::take(&mut self.awaited)
    }
}

impl Calls {
    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seat of whoever looks at it.
    fn find<'a>(seats: &'a mut [Seat], path: &Path) -> Option<&'a mut Seat> {
        // Byte equality: what was resolved or joined by this crate is in one spelling, and users mostly keep to one.
        seats.iter_mut().find(|seat| seat.path.as_os_str() == path.as_os_str())
    }

    fn wake(&self, awaited: bool) {
        if awaited {
            self.moved.notify_waiters();
        }
    }

    /// Waits until nobody looks at `path`. Cancel-safe, and without a deadline of its own.
    pub(crate) async fn released(&self, path: &Path) {
        loop {
            let mut moved = pin!(self.moved.notified());
            // Registered before the look, so that a release between the two is not missed.
            moved.as_mut().enable();
            match Self::find(&mut self.seats(), path) {
                Some(seat) => seat.awaited = true,
                None => return,
            }
            moved.await;
        }
    }
}

/// A thread's seat in [`Calls`]; given up when dropped.
#[derive(Debug)]
pub(crate) struct Look {
    calls: Arc<Calls>,
    seat: usize,
}

impl Look {
    pub(crate) fn new(calls: &Arc<Calls>) -> Self {
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
    pub(crate) fn at(&self, path: &Path) -> Result<(), Blocked> {
        let mut seats = self.calls.seats();
        let awaited = seats[self.seat].leave();
        let blocked = Calls::find(&mut seats, path).is_some();
        if !blocked {
            seats[self.seat].path.as_mut_os_string().push(path);
        }
        drop(seats);
        self.calls.wake(awaited);
        if blocked { Err(Blocked(path.to_path_buf())) } else { Ok(()) }
    }

    /// Says that this thread looks at nothing for now.
    pub(crate) fn rest(&self) {
        let awaited = self.calls.seats()[self.seat].leave();
        self.calls.wake(awaited);
    }

    /// Says that this thread looks at nothing, but waits for one that looks at `path`.
    pub(crate) fn wait_for(&self, path: &Path) {
        let mut seats = self.calls.seats();
        let awaited = seats[self.seat].leave();
        seats[self.seat].waits_for.as_mut_os_string().push(path);
        drop(seats);
        self.calls.wake(awaited);
    }

    /// A view of this seat for whoever waits for the thread.
    pub(crate) fn watch(&self) -> Watch {
        Watch { calls: Arc::clone(&self.calls), seat: self.seat }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut seats = self.calls.seats();
        let awaited = seats[self.seat].leave();
        seats[self.seat].taken = false;
        drop(seats);
        self.calls.wake(awaited);
    }
}

/// Tells what the thread in one seat is looking at, or waits for.
#[derive(Debug)]
pub(crate) struct Watch {
    calls: Arc<Calls>,
    seat: usize,
}

impl Watch {
    /// The path, if there is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let seats = self.calls.seats();
        let Seat { path, waits_for, .. } = &seats[self.seat];
        [path, waits_for].into_iter().find(|path| !path.as_os_str().is_empty()).cloned()
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
    fn who_waits_for_another_thread_names_its_path_and_leaves_it_free() {
        let calls = Arc::new(Calls::default());
        let (waiting, looking) = (Look::new(&calls), Look::new(&calls));
        waiting.wait_for(Path::new("/mnt/slow"));
        looking.at(Path::new("/mnt/slow")).unwrap();
        assert_eq!(waiting.watch().path().unwrap(), Path::new("/mnt/slow"));
        waiting.rest();
        assert_eq!(waiting.watch().path(), None);
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
