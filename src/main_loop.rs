//! What worker threads hand to Neovim's main loop: a queue of plain values, and the wake-up.
//!
//! Lua takes replies one at a time (`drain`); nothing here calls into Lua.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use engine::bindings::Clash;
use engine::caches::Answer;
use engine::contexts::ContextId;
use engine::error::Error;
use engine::json::Value;
use engine::loads::{RequestId, RunId};
use engine::plan::Project;
use engine::settings::Ticket;

use crate::host::Asked;
use crate::session::Update;
use crate::sys::Wake;

/// One thing for the main loop to do.
pub(crate) enum Reply {
    /// The run has a plan: execute it.
    Planned(RunId),
    /// The run could not start.
    Failed(RunId, Error),
    /// The run executed its files and has ended: call `on_load`.
    Loaded(RunId),
    /// The run has found nothing to do: end it. With the context of its project, if that is the current one.
    Stayed(RunId, Option<ContextId>),
    /// A call gets the result of its run.
    Answer(RequestId, RunId),
    /// A call gets an error of its own.
    Refuse(RequestId, Error),
    /// All calls of the run have been answered: forget it.
    Done(RunId),
    /// The run gave the loop back in the middle of its own work: go on with it.
    Resume(RunId),
    /// The run's pipeline needs the user's code: answer this question.
    Ask(RunId, u64, Asked),
    /// There are items for the functions of this question, or no more come.
    Items(RunId, u64),
    /// What the functions of this question send is taken again.
    Room(RunId, u64),
    /// The context's JSON has changed elsewhere, or could be prepared again: show it.
    Changed(ContextId, Box<Update>),
    /// A file was written, at this path, which leads to the other one.
    Saved(Arc<Path>, PathBuf),
    /// A change of the context was refused or could not be saved.
    NotSaved(ContextId, Error),
    /// Everything that was to be saved is on disk, or could not be saved.
    Flushed(Ticket, Result<(), Error>),
    /// Call the function of an update with what lies on disk.
    UpdateRead(Ticket, Option<Value>),
    /// The update has ended.
    Updated(Ticket, Result<(), Error>),
    /// A file that was merged is shown, or could not be merged: the file that gets new settings.
    Merged(RequestId, Result<PathBuf, Error>),
    /// What a cache has found or written, for the one who asked.
    Got(RequestId, Answer),
    /// Something has changed on disk for the context: load it again.
    Stale(ContextId),
    /// Something is wrong with what is on disk for the context, which stays as it is; `None`: not any more.
    Trouble(ContextId, Option<Error>),
    /// Something is wrong beside the context's load: tell.
    Complaint(ContextId, Error),
    /// The project of the context, which is not the current one, is not on disk any more.
    Gone(ContextId),
    /// The context's project shares its name with another one, which is news or not; `None`: not any more.
    NameClash(ContextId, Option<Clash>, bool),
    /// Changes on disk are not told of, and looked for instead.
    Blind(Error),
    /// In which projects paths lie; `None`: that could not be found out.
    Located(RequestId, Vec<Option<Project>>),
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
