//! How quick the disk is in one load, as far as it has shown: what decides whether threads work side by side.
//!
//! On a quick disk one thread is soonest done: to hand work over costs more than the work. Where a call takes a millisecond,
//! its time is what a load consists of. Measured are the load's first calls, before it has threads whose locks it could wait for;
//! what a busy machine and the work itself take is not the disk's time. Files that take long make `runner` start threads, whatever
//! is measured here. Beyond the load it is only remembered that a disk was slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// From so long a call on, a disk is slow: a thread is started in a twentieth of it.
pub(super) const SLOW_CALL: Duration = Duration::from_millis(1);

/// So many slow calls in a row make a slow disk: one can have met a lock, or somebody else's write.
const SLOW_CALLS: u32 = 2;

/// A call so many times slower than a slow one is enough.
const FAR_SLOWER: u32 = 2;

/// As well, where nobody knows what the thread has done meanwhile.
const UNEXPLAINED: u32 = 50;

#[derive(Debug)]
pub(super) struct Pace {
    slow: AtomicBool,
    /// Slow calls in a row.
    slow_calls: AtomicU32,
    slow_call: Duration,
    /// Whether an earlier load was slow, and where that is noted.
    was_slow: bool,
    any_slow: Arc<AtomicBool>,
}

impl Pace {
    /// `slow_call`: [`SLOW_CALL`], but in tests.
    pub(super) fn new(slow_call: Duration, any_slow: &Arc<AtomicBool>) -> Self {
        let (was_slow, slow_calls) = (any_slow.load(Ordering::Relaxed), AtomicU32::new(0));
        Self { slow: AtomicBool::new(false), slow_calls, slow_call, was_slow, any_slow: Arc::clone(any_slow) }
    }

    /// As at the beginning, for what comes after a pause.
    pub(super) fn again(&self) -> Self {
        Self::new(self.slow_call, &self.any_slow)
    }

    /// Takes note that this thread has made at least so many calls since `began`, and returns the time from which on to measure the
    /// next ones.
    pub(super) fn measure(&self, began: Instant, calls: u32) -> Instant {
        let now = Instant::now();
        let (elapsed, limit) = (now.saturating_duration_since(began), self.slow_call * calls);
        if elapsed >= limit {
            self.judge(elapsed, limit, time_not_waiting());
            // What was explained until here must not be in the next call's time.
            return Instant::now();
        }
        if self.slow_calls.load(Ordering::Relaxed) > 0 {
            self.slow_calls.store(0, Ordering::Relaxed);
        }
        now
    }

    /// `explained`: how much of that the thread did not wait, or only for a processor, if anybody knows.
    fn judge(&self, elapsed: Duration, limit: Duration, explained: Option<Duration>) {
        let waited = elapsed.saturating_sub(explained.unwrap_or_default());
        if waited < limit {
            return self.slow_calls.store(0, Ordering::Relaxed);
        }
        let in_a_row = self.slow_calls.fetch_add(1, Ordering::Relaxed) + 1;
        let is_slow = match explained {
            Some(_) => in_a_row >= SLOW_CALLS || waited >= limit * FAR_SLOWER,
            None => waited >= limit * UNEXPLAINED,
        };
        if is_slow {
            self.slow.store(true, Ordering::Relaxed);
            self.any_slow.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Whether this load takes the fingerprints that later ones save calls by. The first one on a slow disk does not: it costs a
    /// call more at each directory before what is in it is known.
    pub(super) fn takes_fingerprints(&self) -> bool {
        self.was_slow || !self.is_slow()
    }
}

/// How long this thread has run, or could have run and did not, since it was last asked this; the first time since it was started,
/// so that may be more than is asked for, and never is less. `None` where the system does not count it.
#[cfg(target_os = "linux")]
fn time_not_waiting() -> Option<Duration> {
    use std::cell::Cell;

    use rustix::time::{ClockId, clock_gettime};

    thread_local!(static UNTIL_NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) });
    // Time running, which may be old here; time waiting for a processor; number of turns.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let waiting = Duration::from_nanos(text.split(' ').nth(1)?.parse().ok()?);
    let total = waiting + Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()?;
    Some(total.saturating_sub(UNTIL_NOW.replace(total)))
}

#[cfg(not(target_os = "linux"))]
fn time_not_waiting() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = SLOW_CALL;

    fn pace() -> Pace {
        Pace::new(SLOW_CALL, &Arc::default())
    }

    #[test]
    fn slow_calls_in_a_row_make_a_slow_disk_and_one_far_slower_does() {
        let twice = pace();
        twice.judge(LIMIT, LIMIT, Some(Duration::ZERO));
        assert!(!twice.is_slow());
        twice.judge(LIMIT, LIMIT, Some(Duration::ZERO));
        assert!(twice.is_slow());
        assert!(!twice.takes_fingerprints() && twice.again().takes_fingerprints());
        let once = pace();
        once.judge(LIMIT * FAR_SLOWER, LIMIT, Some(Duration::ZERO));
        assert!(once.is_slow());
    }

    #[test]
    fn a_quick_call_between_slow_ones_ends_the_row() {
        let pace = pace();
        for _ in 0..10 {
            pace.judge(LIMIT, LIMIT, Some(Duration::ZERO));
            // No call can take a day.
            pace.measure(Instant::now(), 86_400_000);
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn what_a_busy_machine_and_the_work_itself_take_is_not_the_disks() {
        let pace = pace();
        for _ in 0..10 {
            pace.judge(LIMIT * 100, LIMIT, Some(LIMIT * 100));
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn where_nobody_knows_what_a_thread_did_it_takes_a_longer_call() {
        let pace = pace();
        for _ in 0..10 {
            pace.judge(LIMIT * (UNEXPLAINED - 1), LIMIT, None);
        }
        assert!(!pace.is_slow());
        pace.judge(LIMIT * UNEXPLAINED, LIMIT, None);
        assert!(pace.is_slow());
    }

    /// Four threads on each processor, none of which waits for anything.
    #[cfg(target_os = "linux")]
    #[test]
    fn to_compute_on_a_busy_machine_is_not_to_wait() {
        let threads = 4 * std::thread::available_parallelism().unwrap().get();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let pace = pace();
                    let mut began = Instant::now();
                    for _ in 0..50 {
                        while began.elapsed() < LIMIT * 2 {
                            std::hint::black_box(began);
                        }
                        began = pace.measure(began, 1);
                    }
                    assert!(!pace.is_slow());
                });
            }
        });
    }
}
