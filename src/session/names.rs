//! Names that two projects share: asked after each load, told once a session.
//!
//! What is bound to what, and what a clash is, is [`engine::bindings`]'s; how users are told, Lua's.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::bindings::{Check, Clash, Subject};
use engine::contexts::ContextId;
use engine::error::{Error, Result};
use engine::plan::Project;

use super::Session;
use crate::main_loop::Reply;

/// What users know of names.
#[derive(Default)]
pub(super) struct Names {
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// Pairs of roots that share a name, the lesser one first.
    pairs: HashSet<[PathBuf; 2]>,
    /// Contexts that show a clash.
    contexts: HashSet<ContextId>,
    /// What is bound: a project that is loaded again has not to be looked at again.
    bound: HashMap<Project, Subject>,
    /// What is wrong with the bindings, until they have been all right again.
    error: Option<Error>,
    /// What is to be checked, one after the other: loads may come by the thousand.
    pending: Vec<(ContextId, Check)>,
    /// Somebody is at it.
    is_checking: bool,
}

impl Session {
    /// Finds out whether another project has the name of the context's one, and binds it if not; the bindings are below `state_dir`. Nothing
    /// for contexts that are not the session's.
    pub(crate) fn check_name(&'static self, context: ContextId, state_dir: PathBuf) {
        let state = self.state();
        let shown = state.contexts.plan(context).zip(state.requests.get(&context).map(Arc::clone));
        drop(state);
        let Some((plan, request)) = shown else { return };
        let check = Check::of(&plan, &request, state_dir.join("nvim-project-config").join("names.json"));
        let Some(check) = check else { return self.tell_name(context, Ok(None)) };
        // What has loaded something, has a runtime.
        let Some(runtime) = self.runtime_handle() else { return };
        let mut names = self.known_names();
        if names.bound.get(&check.subject().project) == Some(check.subject()) {
            return;
        }
        names.pending.retain(|(pending, _)| *pending != context);
        names.pending.push((context, check));
        if !names.is_checking {
            // It panics when the system gives no thread: the next load asks again.
            let spawn = || drop(runtime.spawn(async { Session::get().check_names().await }));
            names.is_checking = catch_unwind(AssertUnwindSafe(spawn)).is_ok();
        }
    }

    async fn check_names(&self) {
        while let Some((context, check)) = self.next_check() {
            let subject = check.subject().clone();
            let checked = check.perform(Arc::clone(self.family.caches.files())).await;
            let mut names = self.known_names();
            if checked.is_ok() {
                names.error = None;
            }
            if let Ok(None) = checked {
                // A name that has come from elsewhere is not any more whose it was.
                names.bound.retain(|project, _| project.name != subject.project.name);
                names.bound.insert(subject.project.clone(), subject);
            }
            drop(names);
            self.tell_name(context, checked);
        }
    }

    fn next_check(&self) -> Option<(ContextId, Check)> {
        let mut names = self.known_names();
        let next = if names.pending.is_empty() { None } else { Some(names.pending.remove(0)) };
        names.is_checking = next.is_some();
        next
    }

    fn tell_name(&self, context: ContextId, checked: Result<Option<Clash>>) {
        let mut told = self.known_names();
        let reply = match checked {
            Err(error) => {
                let is_news = told.error.as_ref() != Some(&error);
                told.error = Some(error.clone());
                is_news.then_some(Reply::Complaint(context, error))
            }
            Ok(None) => told.contexts.remove(&context).then_some(Reply::NameClash(context, None, false)),
            Ok(Some(clash)) => {
                let mut pair = [clash.root.clone(), clash.other_root.clone()];
                pair.sort_unstable();
                told.contexts.insert(context);
                Some(Reply::NameClash(context, Some(clash), told.pairs.insert(pair)))
            }
        };
        drop(told);
        if let Some(reply) = reply {
            self.main_loop.post([reply]);
        }
    }

    fn known_names(&self) -> MutexGuard<'_, Told> {
        self.names.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
