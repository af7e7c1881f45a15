//! Updates: a value that is read, handed to the user's function, and written if nobody has changed it meanwhile.
//!
//! Their conditions travel with the pending edits of a file, see [`super`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Back, Condition, Pending};
use crate::contexts::ContextId;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Change, Edit, Value};
use crate::settings::{Author, Event, Ticket};

/// How long an update is repeated because others change the same path.
const UPDATE_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Update {
    pub(super) context: ContextId,
    path: Vec<String>,
    target: PathBuf,
    began: Instant,
    /// What was handed to the user's function, and what its file has there.
    old: Option<Value>,
    file: Option<(Arc<Path>, Option<Value>)>,
}

impl Back {
    pub(super) fn begin_update(&mut self, ticket: Ticket, context: ContextId, path: Vec<String>, target: PathBuf) {
        if self.open.contains_key(&context) {
            let began = Instant::now();
            self.updates.insert(ticket, Update { context, path, target, began, old: None, file: None });
            self.to_read.push(ticket);
        } else {
            self.events.push(Event::Updated(ticket, Err(ErrorKind::NoProject.into())));
        }
    }

    /// An update is in its file: what the context's other files have at its path must not show through, unless it has been changed since.
    pub(super) fn complete(&mut self, ticket: Ticket, edit: &Edit, later: &[Pending]) {
        let Some(Update { context, target, .. }) = self.updates.get(&ticket) else { return };
        let (context, target) = (*context, target.clone());
        if self.target(context, &target).is_none() {
            return;
        }
        self.stale.entry(context).or_insert(Author::Local);
        let sources = self.open.get(&context).map_or(&[][..], |sources| &sources.files);
        let own = sources.iter().filter(|source| source.own).filter_map(|source| self.files.get(&source.path));
        let unsaved = own.flat_map(|file| &file.pending).filter(|pending| pending.condition.is_none());
        let is_about = |other: &Edit| other.path.starts_with(&edit.path) || edit.path.starts_with(&other.path);
        if !unsaved.chain(later).any(|pending| is_about(&pending.edit)) {
            self.edit(context, std::slice::from_ref(edit), &target);
        }
    }

    /// Hands the present value at an update's path to the user's function. Not if it would go to a file that cannot be read.
    pub(super) fn offer(&mut self, ticket: Ticket, mut unreadable: HashMap<Arc<Path>, Error>) {
        let Some(Update { context, path, target, began, .. }) = self.updates.get(&ticket) else { return };
        if began.elapsed() > UPDATE_WAIT {
            let after_ms = u64::try_from(UPDATE_WAIT.as_millis()).unwrap_or(u64::MAX);
            return self.end_update(ticket, Err(ErrorKind::Contended { after_ms }.into()));
        }
        let (context, path, target) = (*context, path.clone(), target.clone());
        let index = self.target(context, &target);
        let (Some(index), Some(sources)) = (index, self.open.get(&context)) else {
            return self.end_update(ticket, Err(ErrorKind::NoProject.into()));
        };
        let layers = self.layers(sources);
        let merged = json::merged(&layers);
        let blocked =
            (1..path.len()).find(|length| json::get(&merged, &path[..*length]).is_some_and(|at| !at.is_object()));
        if let Some(length) = blocked {
            let text = format!("cannot be set: {} has no members", path[..length].join("."));
            return self.end_update(ticket, Err(ErrorKind::InvalidArgument(text).into()));
        }
        let defining = layers.iter().rposition(|layer| layer.own && json::get(&layer.document, &path).is_some());
        let layer = &layers[defining.unwrap_or(index)];
        if let Some(error) = unreadable.remove(&layer.path) {
            return self.end_update(ticket, Err(error));
        }
        let expected = json::get(&layer.document, &path).cloned();
        let old = json::get(&merged, &path).cloned();
        if let Some(update) = self.updates.get_mut(&ticket) {
            update.file = Some((Arc::clone(&layer.path), expected));
            update.old.clone_from(&old);
        }
        self.events.push(Event::UpdateRead(ticket, old));
    }

    pub(super) fn update_to(&mut self, ticket: Ticket, value: Option<Result<Option<Value>>>) {
        let Some(Update { context, path, old, file, .. }) = self.updates.get(&ticket) else { return };
        let value = match value {
            None => {
                self.updates.remove(&ticket);
                return;
            }
            Some(Err(error)) => return self.end_update(ticket, Err(error)),
            Some(Ok(value)) if value == *old => return self.end_update(ticket, Ok(())),
            Some(Ok(value)) => value,
        };
        let Some((path_of_file, expected)) = file.clone() else { return };
        let (context, path) = (*context, path.clone());
        if value.is_none() && expected.is_none() {
            // Only an outer project gives it.
            let layers = self.open.get(&context).map(|sources| self.layers(sources)).unwrap_or_default();
            let origin = json::origin(&layers, &path).map(|index| &layers[index].path);
            let error = Error::new(ErrorKind::Inherited { keys: path });
            let error = origin.map_or(error.clone(), |origin| error.at(&**origin));
            return self.end_update(ticket, Err(error));
        }
        let change = value.map_or(Change::Delete, Change::Set);
        self.last_serial += 1;
        let condition = Some(Condition { ticket, expected });
        let file = self.files.entry(path_of_file).or_default();
        if let Some(error) = file.hung.clone() {
            return self.end_update(ticket, Err(error));
        }
        file.pending.push_back(Pending { serial: self.last_serial, edit: Edit { path, change }, condition });
        file.due = true;
    }

    pub(super) fn end_update(&mut self, ticket: Ticket, result: Result<()>) {
        if self.updates.remove(&ticket).is_some() {
            self.events.push(Event::Updated(ticket, result));
        }
    }

    #[cfg(test)]
    /// As if the update had been repeated for all its time.
    pub(in crate::settings) fn age(&mut self, ticket: Ticket) {
        if let Some(update) = self.updates.get_mut(&ticket) {
            update.began -= UPDATE_WAIT + Duration::from_secs(1);
        }
    }
}
