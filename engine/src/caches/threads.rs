//! How many threads there should be, and which of them do not come back: rules without I/O.
//!
//! A disk that works is served by one thread; where a call takes long more join, and those that are lost in a dead mount are not counted any
//! more. What the threads do is [`super::desk`]'s to say.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A look that takes longer lets another thread join: long for a disk that works, short for a person.
pub(super) const SLOW: Duration = Duration::from_millis(1);

/// So many threads at most look, or write, at the same time.
const MOST_LOOKING: usize = 16;
const MOST_WRITING: usize = 4;

/// So many queued writes are looked through for one in a directory where nobody writes.
const MOST_SEEN: usize = 16;

/// So many threads share a long queue on a disk that works.
const ENOUGH_LOOKING: usize = 2;
const LONG_QUEUE: usize = 256;

/// A thread that does not come back for so long is not counted any more, so that a dead mount does not take all the others' places.
pub(super) const LOST: Duration = Duration::from_secs(1);

/// Where so many are lost in one directory, no more are sent there: it may be a dead mount, and not only full of links into one.
const MOST_LOST_IN_DIRECTORY: usize = 8;

/// Lost ones included, so many threads at most are out.
pub(super) const MOST_THREADS: usize = 64;

/// What threads take from: a slow write is not in the way of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Looks,
    Writes,
}

/// One thread's number, and what it takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thread {
    pub(super) lane: Lane,
    number: u64,
}

/// The threads of one lane, and the paths that wait for one.
#[derive(Debug)]
pub(super) struct Pool {
    lane: Lane,
    pub(super) queue: VecDeque<Arc<Path>>,
    out: Vec<Out>,
    last: u64,
}

/// A thread at work.
#[derive(Debug)]
struct Out {
    number: u64,
    /// Since when it has been at what it does.
    since: Instant,
    /// `None` before it has begun.
    path: Option<Arc<Path>>,
}

impl Out {
    fn is_lost(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= LOST
    }
}

impl Pool {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, queue: VecDeque::new(), out: Vec::new(), last: 0 }
    }

    /// How many more threads there should be: one where nobody is about to take what is queued, twice as many where all are slow, two
    /// for a long queue.
    pub(super) fn missing(&self, now: Instant) -> usize {
        let queued = self.queue.len();
        if queued == 0 {
            return 0;
        }
        let busy = self.out.iter().filter(|out| !out.is_lost(now)).count();
        let is_quick = || self.out.iter().any(|out| now.saturating_duration_since(out.since) < SLOW);
        let (missing, most) = match self.lane {
            Lane::Looks if is_quick() => {
                (usize::from(queued > LONG_QUEUE && self.out.len() < ENOUGH_LOOKING), MOST_LOOKING)
            }
            Lane::Looks => (busy.max(1), MOST_LOOKING),
            // Each waits for the disk, so that none is quick. To look at all of a long queue each time would take too long.
            Lane::Writes => {
                (self.queue.iter().take(MOST_SEEN).filter(|path| !self.is_taken(path)).count(), MOST_WRITING)
            }
        };
        let room = most.saturating_sub(busy).min(MOST_THREADS.saturating_sub(self.out.len()));
        missing.min(queued).min(room)
    }

    /// Whether something that has just been queued needs a thread at once. Where all are slow, that may be the processor's fault, and
    /// [`Pool::missing`] says so a moment later.
    pub(super) fn is_short(&self, now: Instant) -> bool {
        let is_served = self.lane == Lane::Looks && self.out.iter().any(|out| !out.is_lost(now));
        !is_served && self.missing(now) > 0
    }

    /// Counts one more thread, which the caller starts.
    pub(super) fn start(&mut self, now: Instant) -> Thread {
        self.last += 1;
        self.out.push(Out { number: self.last, since: now, path: None });
        Thread { lane: self.lane, number: self.last }
    }

    /// Whether the thread had been given up.
    pub(super) fn was_lost(&self, thread: Thread, now: Instant) -> bool {
        self.out.iter().any(|out| out.number == thread.number && out.is_lost(now))
    }

    /// The thread goes to this path now.
    pub(super) fn send(&mut self, thread: Thread, path: &Arc<Path>, now: Instant) {
        if let Some(out) = self.out.iter_mut().find(|out| out.number == thread.number) {
            (out.since, out.path) = (now, Some(Arc::clone(path)));
        }
    }

    /// The thread is at no path any more.
    pub(super) fn rest(&mut self, thread: Thread) {
        if let Some(out) = self.out.iter_mut().find(|out| out.number == thread.number) {
            out.path = None;
        }
    }

    /// Whether somebody writes in the path's directory, which would only keep another writer waiting for its lock.
    pub(super) fn is_taken(&self, path: &Path) -> bool {
        let directory = path.parent();
        let is_beside = |out: &Out| out.path.as_deref().is_some_and(|other| other.parent() == directory);
        self.lane == Lane::Writes && self.out.iter().any(is_beside)
    }

    /// The thread ends.
    pub(super) fn leave(&mut self, thread: Thread) {
        self.out.retain(|out| out.number != thread.number);
    }

    /// Whether too many are lost in the path's directory for another one to be sent there.
    pub(super) fn is_barred(&self, path: &Path, now: Instant) -> bool {
        let mut lost = self.out.iter().filter(|out| out.is_lost(now)).peekable();
        if lost.peek().is_none() {
            return false;
        }
        let directory = path.parent();
        let is_beside = |out: &&Out| out.path.as_deref().is_some_and(|lost| lost.parent() == directory);
        lost.filter(is_beside).count() >= MOST_LOST_IN_DIRECTORY
    }

    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.out.len()
    }
}
