//! What worker threads hand to Neovim's main loop: a queue of plain values, and the wake-up.
//!
//! Lua takes replies one at a time (`drain`); nothing here calls into Lua.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use engine::error::Error;
use engine::loads::{RequestId, RunId};

use crate::sys::Wake;

/// One thing for the main loop to do.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The run has a plan: execute it.
    Planned(RunId),
    /// The run could not start.
    Failed(RunId, Error),
    /// The run executed its files and has ended: call `on_load`.
    Loaded(RunId),
    /// A call gets the result of its run.
    Answer(RequestId, RunId),
    /// A call gets an error of its own.
    Refuse(RequestId, Error),
    /// All calls of the run have been answered: forget it.
    Done(RunId),
    /// The run gave the loop back in the middle of its own work: go on with it.
    Resume(RunId),
    /// Find out whether the one who made this call waits for it in a place where that can never end.
    CheckWait(RequestId),
}

/// The queue and the wake-up.
pub(crate) struct MainLoop {
    replies: Mutex<VecDeque<Reply>>,
    pub(crate) wake: Wake,
}

impl MainLoop {
    pub(crate) const fn new() -> Self {
        Self { replies: Mutex::new(VecDeque::new()), wake: Wake::new() }
    }

    /// Hands over replies, in this order, and wakes the loop once.
    pub(crate) fn post(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).extend(replies);
        self.wake.wake();
    }

    /// Whether there is anything to take: a wake-up may come for what has been taken already.
    pub(crate) fn has_replies(&self) -> bool {
        !self.replies.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes the oldest reply. If there are more, the loop is woken again: the receiver may run a callback that waits, and what
    /// it waits for may be among them.
    pub(crate) fn take(&self) -> Option<Reply> {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = replies.pop_front();
        let more = !replies.is_empty();
        drop(replies);
        if more {
            self.wake.wake();
        }
        reply
    }
}
