//! What takes time to be freed is freed on another thread: 10 MB of JSON take 50 ms.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{MutexGuard, PoisonError};

use super::Session;
use super::planning::Planned;

/// What waits for a thread that frees it.
#[derive(Default)]
pub(super) struct Garbage {
    items: Vec<Box<dyn Send>>,
    /// A thread is at it.
    is_collected: bool,
}

impl Session {
    pub(super) fn discard_runs(&self, dead: Vec<Planned>) {
        if !dead.is_empty() {
            self.discard(dead);
        }
    }

    /// Frees something that may be big on another thread, if there is one: 10 MB of JSON take 50 ms.
    pub(crate) fn discard(&self, garbage: impl Send + 'static) {
        // Without a thread it is freed here, or later.
        let Some(tokio) = self.tokio.get() else { return };
        let mut waiting = self.garbage();
        waiting.items.push(Box::new(garbage));
        if !waiting.is_collected {
            // One thread for all: the collector of Lua may free a thousand contexts at once.
            let collect = || while Session::get().collect_garbage() {};
            waiting.is_collected = catch_unwind(AssertUnwindSafe(|| tokio.spawn_blocking(collect))).is_ok();
        }
    }

    /// False if there was none: then nobody collects it any more.
    pub(super) fn collect_garbage(&self) -> bool {
        let mut waiting = self.garbage();
        let garbage = std::mem::take(&mut waiting.items);
        waiting.is_collected = !garbage.is_empty();
        drop(waiting);
        // A defect in freeing one thing must not keep the rest for ever.
        let free = |item| drop(catch_unwind(AssertUnwindSafe(|| drop(item))));
        let had_some = !garbage.is_empty();
        garbage.into_iter().for_each(free);
        had_some
    }

    pub(super) fn garbage(&self) -> MutexGuard<'_, Garbage> {
        self.garbage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
