//! Settings on their way into a context: what a load has found, and what has changed without one.
//!
//! What a context is to show was computed for what it showed then; if that is something else by now, it is computed anew. How it gets into
//! the Lua table is Lua's.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use engine::contexts::ContextId;
use engine::loads::{RequestId, RunId};
use engine::settings::{Author, Event, Merging, Prepared, Ticket};

use super::Session;
use crate::compare::Refused;
use crate::document::Change;
use crate::main_loop::Reply;

/// Settings on their way into a context.
pub(crate) struct Update {
    /// What has to happen to the context's JSON.
    pub(crate) change: Change,
    /// Whose doing it is.
    pub(crate) author: Author,
    pub(crate) prepared: Prepared,
}

impl Update {
    pub(super) fn new(mut prepared: Prepared, author: Author) -> Self {
        // The base is not kept: the first change would have to copy it.
        let base = prepared.base.take();
        Self { change: Change::between(base.as_ref(), &prepared.value), author, prepared }
    }
}

/// What is on its way into a context: a load's settings, or what has changed without a load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrival {
    Run(RunId),
    Context(ContextId),
}

impl From<RunId> for Arrival {
    fn from(run: RunId) -> Self {
        Self::Run(run)
    }
}

impl Session {
    /// Merges a JSON file into what the context shows, for the executor of a run, if it is one's.
    pub(crate) fn merge(&self, context: ContextId, path: PathBuf, run: Option<RunId>) -> RequestId {
        let request = self.new_request();
        let plan = run.and_then(|run| self.with_planned(run, |planned| Arc::clone(&planned.plan)));
        let file = plan.as_ref().and_then(|plan| plan.file(&path));
        let place = plan.as_ref().zip(file).map(|(plan, (at, file))| (at, file.layer == plan.projects.len() - 1));
        let entry = file.map(|(_, file)| Arc::clone(&file.entry));
        let merging = Merging { path: path.into(), entry, place, run: run.map(|run| run.0) };
        self.settings.merge(Ticket(request.0), context, merging);
        request
    }

    /// The executors of a run have done their work: what only earlier ones have merged goes. `None` if there is nothing of the kind.
    pub(crate) fn forget_unmerged(&self, context: ContextId, run: RunId) -> Option<RequestId> {
        let request = self.new_request();
        self.settings.forget_unmerged(Ticket(request.0), context, run.0).then_some(request)
    }

    /// Works on the settings that arrive; `None` if they do not any more.
    pub(crate) fn with_update<T>(&self, arrival: Arrival, work: impl FnOnce(&mut Update) -> T) -> Option<T> {
        self.state().update(arrival).map(work)
    }

    /// Notes that the context's JSON is what has arrived, unless it is not what the change was computed against: then false, and a reply
    /// when the change has been computed anew; `at_once` it has been when this returns. `None` if nothing arrives any more.
    pub(crate) fn show(&'static self, arrival: Arrival, context: ContextId, at_once: bool) -> Option<bool> {
        let mut state = self.state();
        if let Arrival::Context(context) = arrival
            && self.settings.shown(context).is_none()
        {
            // It has been left meanwhile.
            let left = state.changed.remove(&context);
            drop(state);
            self.discard(left);
            return None;
        }
        let update = state.update(arrival)?;
        if !self.settings.show(context, &mut update.prepared) {
            let (prepared, author) = (update.prepared.clone(), update.author);
            drop(state);
            // A change in the editor was faster, or another load of the project.
            let prepare = move || Update::new(self.settings.prepare_again(prepared, context), author);
            if at_once {
                let update = prepare();
                self.with_update(arrival, |outdated| *outdated = update);
            } else {
                self.on_thread(arrival, move || self.arrive_again(arrival, prepare()));
            }
            return Some(false);
        }
        match arrival {
            Arrival::Run(run) => {
                let replaced = state.planned.get(&run).map(|planned| Arc::clone(&planned.plan));
                let replaced = replaced.and_then(|plan| state.contexts.show(context, plan));
                drop(state);
                if replaced.is_some() {
                    self.discard(replaced);
                }
            }
            Arrival::Context(context) => drop(state.changed.remove(&context)),
        }
        Some(true)
    }

    pub(super) fn arrive_again(&self, arrival: Arrival, update: Update) {
        match arrival {
            Arrival::Context(context) => self.main_loop.post([Reply::Changed(context, Box::new(update))]),
            Arrival::Run(run) => {
                let outdated = self.with_planned(run, |planned| std::mem::replace(&mut planned.update, update));
                if outdated.is_some() {
                    self.main_loop.post([Reply::Resume(run)]);
                }
            }
        }
    }

    /// Takes over a change that the main loop is about to show. It may be in the middle of an older one, which is of no use any more.
    pub(crate) fn begin_change(&self, context: ContextId, update: Update) {
        if self.settings.shown(context).is_none() {
            // The context was left while the change was on its way; it would come back to life.
            return self.discard(update);
        }
        let outdated = self.state().changed.insert(context, update);
        if outdated.is_some() {
            self.discard(outdated);
        }
    }

    /// What the settings have to say to the main loop.
    pub(super) fn tell(&self, events: Vec<Event>) {
        let replies = events.into_iter().map(|event| match event {
            Event::Changed(context, prepared, author) => {
                Reply::Changed(context, Box::new(Update::new(prepared, author)))
            }
            Event::Saved(path, target) => Reply::Saved(path, target),
            Event::Failed(context, error) => Reply::NotSaved(context, error),
            Event::Flushed(ticket, result) => Reply::Flushed(ticket, result),
            Event::UpdateRead(ticket, old) => Reply::UpdateRead(ticket, old),
            Event::Updated(ticket, result) => Reply::Updated(ticket, result),
            Event::Merged(ticket, result) => Reply::Merged(RequestId(ticket.0), result),
        });
        let replies: Vec<_> = replies.collect();
        if !replies.is_empty() {
            self.main_loop.post(replies);
        }
    }

    /// Notes what a comparison has refused, and returns what was not refused before.
    pub(crate) fn refused(&self, context: ContextId, refused: Vec<Refused>) -> Vec<Refused> {
        let mut known = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_empty() {
            known.remove(&context);
            return refused;
        }
        let before = known.remove(&context).unwrap_or_default();
        let news = refused.iter().filter(|refused| !before.contains(refused)).cloned().collect();
        known.insert(context, refused.into_iter().collect());
        news
    }
}
