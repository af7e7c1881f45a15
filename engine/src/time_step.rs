//! The step in which a file system counts time: how much older than a read a time stamp has to be to prove something.
//!
//! Two seconds, the coarsest there is, until a probe of the device has found a smaller one. The rule itself is
//! [`Fingerprint::is_racy`](crate::fingerprint::Fingerprint::is_racy)'s; who runs probes, and when, is [`crate::caches`]'s affair. Loads
//! go by what is known and probe nothing: what they read twice in two seconds is small, and a write would have to be explained.

use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// No step is taken to be smaller: the clock of a common system counts in 10 ms at most, and one that gives finer stamps to files
/// that somebody has looked at, as Linux does, forgets who has looked when memory is short.
const LEAST: Duration = Duration::from_millis(20);

/// In so many directories of a device a probe is tried: the user may be allowed to write in one and not in another.
const MOST_TRIES: u8 = 4;

/// How far the time stamps of a file system can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A change gets a stamp that is at most so much older than the moment of the change.
    Of(Duration),
    /// Its clock is not the system's: the content is to be compared, always.
    Unreliable,
}

impl Step {
    /// FAT's two seconds, which cover HFS+ (one) too: for every file system as long as it has not been probed.
    pub const COARSEST: Self = Self::Of(Duration::from_secs(2));
}

/// The steps of the devices that have been probed.
#[derive(Debug, Default)]
pub struct Steps {
    /// A handful, so that a scan is cheaper than a map.
    devices: RwLock<Vec<Device>>,
}

#[derive(Debug)]
struct Device {
    dev: u64,
    step: Step,
    /// Whether more can come to be known.
    tries_left: u8,
    /// A probe is under way.
    probing: bool,
}

impl Steps {
    /// The step of a device, as far as it is known.
    pub fn of(&self, dev: u64) -> Step {
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        devices.iter().find(|device| device.dev == dev).map_or(Step::COARSEST, |device| device.step)
    }

    /// Whether a probe of the device could find out more. Not where devices have no numbers.
    pub(crate) fn is_open(&self, dev: u64) -> bool {
        let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
        let known = devices.iter().find(|device| device.dev == dev);
        dev != 0 && known.is_none_or(|device| device.tries_left > 0 && !device.probing)
    }

    /// Probes the device by a file in `directory`, unless that has been done or is being done. Blocking, 150 ms at most on a disk that
    /// works.
    pub(crate) fn probe(&self, dev: u64, directory: &Path) {
        if !self.claim(dev) {
            return;
        }
        let found = sys::probe(dev, directory);
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = devices.iter_mut().find(|device| device.dev == dev) {
            device.probing = false;
            match found {
                Found::Step(step) => (device.step, device.tries_left) = (step, 0),
                Found::Nothing => device.tries_left = 0,
                Found::NoFile => {}
            }
        }
    }

    /// Whether the caller is the one to probe.
    fn claim(&self, dev: u64) -> bool {
        if !self.is_open(dev) {
            return false;
        }
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        let at = devices.iter().position(|device| device.dev == dev).unwrap_or_else(|| {
            devices.push(Device { dev, step: Step::COARSEST, tries_left: MOST_TRIES, probing: false });
            devices.len() - 1
        });
        let device = &mut devices[at];
        if device.probing || device.tries_left == 0 {
            return false;
        }
        device.probing = true;
        device.tries_left -= 1;
        true
    }

    #[cfg(test)]
    pub(crate) fn set(&self, dev: u64, step: Step) {
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        devices.retain(|device| device.dev != dev);
        devices.push(Device { dev, step, tries_left: 0, probing: false });
    }
}

/// What a probe found out.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has files without names"))]
enum Found {
    Step(Step),
    /// Time did not move on.
    Nothing,
    /// No file could be made here, or only one on another device.
    NoFile,
}

/// The step that follows from three stamps in a row and the clock before and after.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has files without names"))]
fn judge(stamps: [Duration; 3], began: Duration, ended: Duration) -> Step {
    let [first, second, third] = stamps;
    let step = (third.saturating_sub(second)).max(second.saturating_sub(first)).saturating_mul(2).max(LEAST);
    let is_ours = first + step >= began && third <= ended && first <= second && second <= third;
    if is_ours { Step::Of(step) } else { Step::Unreliable }
}

/// What follows from a stamp that has not changed for some time.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has files without names"))]
fn stood_still(stamp: Duration, began: Duration, ended: Duration) -> Found {
    let Step::Of(coarsest) = Step::COARSEST else { return Found::Nothing };
    let is_ours = stamp + coarsest >= began && stamp <= ended;
    if is_ours { Found::Nothing } else { Found::Step(Step::Unreliable) }
}

#[cfg(target_os = "linux")]
mod sys {
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use rustix::fs::{Mode, OFlags, fstat, open};

    use super::{Found, judge, stood_still};

    /// A clock that stands still for so long counts in seconds.
    const PATIENCE: Duration = Duration::from_millis(50);

    /// Between two looks at a clock that does not move on with each write.
    const PAUSE: Duration = Duration::from_micros(500);

    pub(super) fn probe(dev: u64, directory: &Path) -> Found {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let Ok(descriptor) = open(directory, flags, Mode::RUSR | Mode::WUSR) else { return Found::NoFile };
        let mut file = File::from(descriptor);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut stamps = Vec::with_capacity(3);
        let (began, mut moved) = (now(), Instant::now());
        loop {
            // Before the write: if this thread is stopped, the clock may have moved on since.
            let looked = Instant::now();
            if file.write_all(b"x").is_err() {
                return Found::NoFile;
            }
            let Ok(stat) = fstat(&file) else { return Found::NoFile };
            #[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between platforms")]
            if stat.st_dev as u64 != dev {
                return Found::NoFile;
            }
            let secs = u64::try_from(stat.st_mtime).unwrap_or(0);
            let stamp = Duration::new(secs, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
            if stamps.last() != Some(&stamp) {
                stamps.push(stamp);
                moved = Instant::now();
            }
            if let [first, second, third] = stamps[..] {
                return Found::Step(judge([first, second, third], began, now()));
            }
            if looked >= moved + PATIENCE {
                return stood_still(stamps[0], began, now());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod sys {
    use std::path::Path;

    use super::Found;

    pub(super) fn probe(_: u64, _: &Path) -> Found {
        Found::NoFile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(1_700_000_000_000 + ms)
    }

    #[test]
    fn a_step_is_twice_what_the_clock_moved_on_at_once_and_never_tiny() {
        let step = |stamps: [u64; 3]| judge(stamps.map(ms), ms(1000), ms(4000));
        assert_eq!(step([1000, 1010, 1020]), Step::Of(Duration::from_millis(20)));
        assert_eq!(step([1000, 1400, 1500]), Step::Of(Duration::from_millis(800)));
        assert_eq!(step([1000, 1001, 1002]), Step::Of(LEAST));
        assert_eq!(step([990, 1000, 1010]), Step::Of(LEAST), "the first stamp may be a step old");
    }

    #[test]
    fn a_clock_that_is_not_the_systems_is_not_trusted() {
        let step = |stamps: [u64; 3]| judge(stamps.map(ms), ms(100_000), ms(100_100));
        assert_eq!(step([0, 10, 20]), Step::Unreliable, "behind");
        assert_eq!(step([100_090, 100_100, 100_110]), Step::Unreliable, "ahead");
        assert_eq!(step([100_010, 100_000, 100_020]), Step::Unreliable, "backwards");
        assert_eq!(stood_still(ms(97_999), ms(100_000), ms(100_050)), Found::Step(Step::Unreliable));
        assert_eq!(stood_still(ms(101_000), ms(100_000), ms(100_050)), Found::Step(Step::Unreliable));
        assert_eq!(stood_still(ms(99_000), ms(100_000), ms(100_050)), Found::Nothing);
    }

    #[test]
    fn where_no_file_can_be_made_the_coarsest_step_stays() {
        let steps = Steps::default();
        for directory in ["/proc", "/nowhere", "/dev/null", "/sys"] {
            assert!(steps.is_open(7));
            steps.probe(7, Path::new(directory));
            assert_eq!(steps.of(7), Step::COARSEST);
        }
        assert!(!steps.is_open(7), "it has been tried often enough");
    }

    #[test]
    fn devices_without_a_number_are_not_probed() {
        assert!(!Steps::default().is_open(0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_probed_once() {
        let directory = tempfile::tempdir().unwrap();
        let dev = rustix::fs::stat(directory.path()).unwrap().st_dev;
        let steps = Steps::default();
        steps.probe(dev + 1, directory.path());
        assert_eq!(steps.of(dev + 1), Step::COARSEST, "the file was on another device");
        steps.probe(dev, directory.path());
        let Step::Of(step) = steps.of(dev) else { panic!("the clocks disagree") };
        assert!(step >= LEAST && step <= Duration::from_secs(2));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_in_memory_has_the_step_of_the_system() {
        let directory = Path::new("/dev/shm");
        let Ok(stat) = rustix::fs::stat(directory) else { return };
        let steps = Steps::default();
        steps.probe(stat.st_dev, directory);
        let Step::Of(step) = steps.of(stat.st_dev) else { panic!("the clocks disagree") };
        assert!(step < Duration::from_secs(1), "{step:?}");
        assert!(!steps.is_open(stat.st_dev));
    }

    #[test]
    fn one_probe_at_a_time() {
        let steps = Steps::default();
        assert!(steps.claim(7));
        assert!(!steps.is_open(7) && !steps.claim(7));
    }
}
