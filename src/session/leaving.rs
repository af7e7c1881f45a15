//! The end of the editor: what is not on disk is saved, within a time, and what is lost is written down.

use std::collections::HashSet;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Session;

/// How long the disk may take when the editor leaves. A save takes about a millisecond; more than a hundred times that and something is wrong.
const EXIT_PATIENCE: Duration = Duration::from_millis(1600);

/// How long the disk may take to note what was lost.
const LOG_PATIENCE: Duration = Duration::from_millis(200);

/// What the end of the editor, which comes in steps, has taken so far.
#[derive(Default)]
pub(super) struct Leaving {
    waited: Duration,
    /// Files and changes whose loss is written down.
    logged: HashSet<(PathBuf, Vec<String>)>,
}

impl Session {
    /// Has everything flushed that is not saved when the process ends. Losses go to the file `log`.
    pub(crate) fn flush_at_exit(&'static self, log: PathBuf) {
        if self.log.set(log).is_ok() {
            self.save_at_exit();
        }
    }

    /// Has the end of the process wait for what is being saved and written.
    pub(crate) fn save_at_exit(&'static self) {
        self.at_exit.call_once(|| crate::sys::at_exit(at_exit));
    }

    /// Saves what has been taken up, waits for it and for what is being written, and writes down what is lost. Something else has taken `waited` of the time for leaving.
    pub(crate) fn leave(&'static self, waited: Duration) {
        // Should the process end in the middle of it, this is not waited for.
        let Ok(mut leaving) = self.leaving.try_lock() else { return };
        let began = Instant::now();
        let patience = EXIT_PATIENCE.saturating_sub(leaving.waited + waited);
        let mut lost = self.settings.flush_and_wait(patience);
        let left = || patience.saturating_sub(began.elapsed());
        // What waits for the runtime is not known to the caches yet.
        self.early.wait(left());
        self.caches.wait_for_writes(left());
        leaving.waited += waited + began.elapsed();
        // The reason may be another one by now.
        lost.retain(|loss| leaving.logged.insert((loss.path.clone(), loss.changes.clone())));
        if let Some(log) = self.log.get().filter(|_| !lost.is_empty()) {
            engine::log::append(log, &lost, LOG_PATIENCE);
        }
    }
}

/// For exits that fire no event. No Lua any more.
extern "C" fn at_exit() {
    let _ = catch_unwind(|| Session::get().leave(Duration::ZERO));
}
