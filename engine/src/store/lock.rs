//! The lock under which a file is replaced: on its directory, or on a file beside it where the system locks no directories (NFS,
//! Windows). Taken without blocking, so that the wait can end; a killed holder's is gone with it.
//!
//! Who only tries again and again is never let in by somebody who saves without a pause. So there is a queue of one before the
//! lock, on the directory above: who waits for the lock has it, and who comes back waits for that first. It is for fairness alone,
//! and does without where it cannot be had.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::{Duration, Instant};

use super::{platform, refused};
use crate::error::{ErrorKind, Result};
use crate::open::ConfigDir;

/// The pause between two tries for the lock, of which there is only one who makes them: a sixteenth of the time waited so far, so
/// that a quick save costs little and a long one few tries.
const SHORTEST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// The same for all in the queue, however long they have waited: a shorter one would be an advantage.
const PAUSE_IN_QUEUE: Duration = Duration::from_micros(200);

/// Long enough for many saves; short against the deadline, since the one before may have been stopped.
const PATIENCE_IN_QUEUE: Duration = Duration::from_millis(100);

/// What one try gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Taken,
    HeldByAnother,
    /// There are no such locks on this kind of file.
    Unsupported,
}

/// The lock, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock<'a> {
    dir: &'a ConfigDir,
    file: Option<File>,
}

impl Drop for Lock<'_> {
    /// Released by name: with the descriptor alone, a process that is being started (between `fork` and `exec`) would keep it.
    fn drop(&mut self) {
        // Where that fails, it is released with the descriptor.
        let _ = match &self.file {
            None => platform::unlock(platform::descriptor(self.dir)),
            Some(file) => file.unlock(),
        };
    }
}

/// The place at the head of the queue, until it is dropped.
struct Turn {
    above: platform::Directory,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = platform::unlock(&self.above);
    }
}

/// Takes the lock of the files in `dir`, or, if need be, that of the file beside which `lock_name` is.
///
/// # Errors
///
/// `Locked` at the deadline, without a path; those of the system, with the directory's.
pub(super) fn take<'a>(dir: &'a ConfigDir, lock_name: &OsStr, deadline: Instant) -> Result<Lock<'a>> {
    let begun = Instant::now();
    let _turn = queue(dir, deadline.min(begun + PATIENCE_IN_QUEUE));
    let mut file = None;
    loop {
        let attempt = match &file {
            None => platform::lock(platform::descriptor(dir)),
            Some(file) => lock_file(file),
        };
        let path = dir.path();
        match attempt.map_err(|error| refused(path, &error))? {
            Attempt::Taken => return Ok(Lock { dir, file }),
            Attempt::Unsupported => {
                // Never removed: another process may hold the lock of the one that this removes.
                file = Some(platform::open_lock_file(dir, lock_name).map_err(|error| refused(path, &error))?);
                continue;
            }
            Attempt::HeldByAnother => {}
        }
        if !pause_until(deadline, (begun.elapsed() / 16).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)) {
            let after_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            return Err(ErrorKind::Locked { after_ms }.into());
        }
    }
}

/// Waits for the turn to take the lock; `None` where there is no queue, or it does not move.
fn queue(dir: &ConfigDir, deadline: Instant) -> Option<Turn> {
    let above = platform::open_above(dir).ok().flatten()?;
    loop {
        match platform::lock(&above).ok()? {
            Attempt::Taken => return Some(Turn { above }),
            Attempt::Unsupported => return None,
            Attempt::HeldByAnother => {}
        }
        if !pause_until(deadline, PAUSE_IN_QUEUE) {
            return None;
        }
    }
}

fn lock_file(file: &File) -> io::Result<Attempt> {
    match file.try_lock() {
        Ok(()) => Ok(Attempt::Taken),
        Err(TryLockError::WouldBlock) => Ok(Attempt::HeldByAnother),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Sleeps between half and all of `pause`, so that those who wait do not come in step; `false` where the time is up.
fn pause_until(deadline: Instant, pause: Duration) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return false;
    }
    let random = RandomState::new().hash_one(()) >> 40;
    let pause = pause / 2 + (pause / 2).mul_f64(random as f64 / (1_u64 << 24) as f64);
    std::thread::sleep(pause.min(left));
    true
}
