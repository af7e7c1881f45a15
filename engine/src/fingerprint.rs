//! A file's fingerprint: what `fstat` says of it, and whether that alone proves that the content is the same.
//!
//! Pure data: [`crate::open`] takes fingerprints, [`crate::file_cache`] compares them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time_step::Step;

/// A point in time of the file system: whole seconds and nanoseconds (0 to 999,999,999) within them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since the epoch.
    pub secs: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

impl Timestamp {
    /// The present moment by the system's clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The moment that lies so long before.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        let borrow = self.nanos < by.subsec_nanos();
        let nanos = if borrow { self.nanos + 1_000_000_000 } else { self.nanos } - by.subsec_nanos();
        let secs = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        Self { secs: self.secs.saturating_sub(secs).saturating_sub(i64::from(borrow)), nanos }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self { secs: after.as_secs().cast_signed(), nanos: after.subsec_nanos() },
            Err(error) => {
                let before = error.duration();
                let borrow = i64::from(before.subsec_nanos() > 0);
                let nanos = (1_000_000_000 - before.subsec_nanos()) % 1_000_000_000;
                Self { secs: -before.as_secs().cast_signed() - borrow, nanos }
            }
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(Timestamp { secs, nanos }: Timestamp) -> Self {
        let seconds = Duration::from_secs(secs.unsigned_abs());
        let whole = if secs < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds };
        whole + Duration::from_nanos(nanos.into())
    }
}

/// What identifies one state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Device; 0 on Windows.
    pub dev: u64,
    /// Inode; 0 on Windows.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of the content.
    pub mtime: Timestamp,
    /// Time of the last change of the inode, which no program can set; on Windows the time of creation.
    pub ctime: Timestamp,
}

impl Fingerprint {
    /// The fingerprint in what `fstat` or `fstatat` said.
    #[cfg(unix)]
    #[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between platforms")]
    pub fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: stat.st_size as u64,
            mtime: Timestamp { secs: stat.st_mtime as i64, nanos: stat.st_mtime_nsec as u32 },
            ctime: Timestamp { secs: stat.st_ctime as i64, nanos: stat.st_ctime_nsec as u32 },
        }
    }

    /// Whether it is the state of `other` under another name: a renaming changes `ctime`, and nothing else.
    pub(crate) fn is_renamed(&self, other: &Self) -> bool {
        Self { ctime: other.ctime, ..*self } == *other
    }

    /// Whether a change after `read_at`, the moment just before the content was read, could have left this very fingerprint:
    /// `mtime` or `ctime` is not older than the read by more than the file system's `step`. Then an equal fingerprint proves
    /// nothing, and the content is to be read again and compared. So it is for times in the future. (Git's rule for racy entries.)
    ///
    /// # Known limits
    ///
    /// The file system's clock is compared with the system's. A server whose step could not be found, whose clock lags by more than
    /// two seconds *and* counts in whole ones can hide a second edit of the same size within one second.
    pub fn is_racy(&self, read_at: Timestamp, step: Step) -> bool {
        let Step::Of(step) = step else { return true };
        let border = read_at.before(step);
        self.mtime >= border || self.ctime >= border
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64, nanos: u32) -> Timestamp {
        Timestamp { secs, nanos }
    }

    fn fingerprint(mtime: Timestamp, ctime: Timestamp) -> Fingerprint {
        Fingerprint { dev: 1, ino: 2, size: 3, mtime, ctime }
    }

    #[test]
    fn only_times_older_than_the_step_prove_something() {
        let read_at = at(100, 500);
        let old = at(98, 499);
        assert!(!fingerprint(old, old).is_racy(read_at, Step::COARSEST));
        for recent in [at(98, 500), at(99, 0), read_at, at(101, 0)] {
            assert!(fingerprint(recent, old).is_racy(read_at, Step::COARSEST), "mtime {recent:?}");
            assert!(fingerprint(old, recent).is_racy(read_at, Step::COARSEST), "ctime {recent:?}");
        }
    }

    #[test]
    fn a_renamed_file_is_the_same_but_for_its_ctime() {
        let before = fingerprint(at(98, 0), at(98, 0));
        assert!(Fingerprint { ctime: at(100, 0), ..before }.is_renamed(&before));
        let others = [
            Fingerprint { dev: 9, ..before },
            Fingerprint { ino: 9, ..before },
            Fingerprint { size: 9, ..before },
            Fingerprint { mtime: at(98, 1), ..before },
        ];
        assert!(others.iter().all(|other| !other.is_renamed(&before)));
    }

    #[test]
    fn times_in_the_future_are_racy() {
        let future = Timestamp { secs: Timestamp::now().secs + 3600, nanos: 0 };
        assert!(fingerprint(future, at(0, 0)).is_racy(Timestamp::now(), Step::COARSEST));
    }

    #[test]
    fn a_smaller_step_proves_more_and_a_clock_of_its_own_nothing() {
        let old = at(100, 0);
        let step = Step::Of(Duration::from_millis(20));
        assert!(!fingerprint(old, old).is_racy(at(100, 20_000_001), step));
        assert!(fingerprint(old, old).is_racy(at(100, 20_000_000), step));
        assert!(fingerprint(old, old).is_racy(at(1_000_000, 0), Step::Unreliable));
    }

    #[test]
    fn the_moment_before_borrows_from_the_seconds() {
        assert_eq!(at(5, 3).before(Duration::from_nanos(2)), at(5, 1));
        assert_eq!(at(5, 1).before(Duration::from_nanos(2)), at(4, 999_999_999));
        assert_eq!(at(0, 0).before(Duration::from_millis(2_500)), at(-3, 500_000_000));
        assert_eq!(at(i64::MIN, 0).before(Duration::from_secs(1)).secs, i64::MIN);
    }

    #[test]
    fn a_time_comes_back_as_it_was() {
        for time in [at(0, 0), at(-1, 999_000_000), at(1_700_000_000, 123_456_789)] {
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
    }

    #[test]
    fn times_before_the_epoch_count_nanoseconds_forward() {
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_millis(1)), at(-1, 999_000_000));
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), at(-1, 0));
        assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_millis(1500)), at(1, 500_000_000));
    }
}
