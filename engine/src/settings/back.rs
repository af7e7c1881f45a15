//! The files behind the settings: what is known of each, which changes are not on disk yet, and who waits for them. A state machine
//! without I/O: [`super`] carries out its jobs and sends its events. What becomes of an update is in [`updates`].

mod updates;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::job::{self, Done, Found, Job, JobId, Save, Saved};
use updates::Update;

use super::merges::Merges;
use super::{Author, Event, Origin, Prepared, Source, Sources, Task, Ticket, Unsaved};
use crate::contexts::ContextId;
use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileEntry;
use crate::json::{self, Change, Edit, Layer, Value};
use crate::open::Limits;
use crate::plan::{JsonSource, Plan};

#[derive(Debug, Default)]
pub(super) struct Back {
    files: HashMap<Arc<Path>, File>,
    pub(super) open: HashMap<ContextId, Sources>,
    pub(super) merges: Merges,
    flushes: Vec<Flush>,
    updates: HashMap<Ticket, Update>,
    /// Updates whose sources have to be read.
    to_read: Vec<Ticket>,
    /// Contexts that may show something else than what their files say.
    pub(super) stale: HashMap<ContextId, Author>,
    pub(super) events: Vec<Event>,
    /// Grows with every change of a document.
    epoch: Arc<AtomicU64>,
    pub(super) last_serial: u64,
}

/// One JSON file as this session knows it.
#[derive(Debug)]
struct File {
    /// What lies on disk, as last seen; `None`: no file.
    entry: Option<Arc<FileEntry>>,
    /// When that was seen.
    seen: Option<Instant>,
    /// That, with what is not saved yet.
    document: Arc<Value>,
    /// Not on disk, oldest first.
    pending: VecDeque<Pending>,
    /// The number of the save under way, and how many of `pending` are in it.
    saving: Option<(u64, usize)>,
    /// The save under way has not ended within its time: what to tell those who come meanwhile.
    hung: Option<Error>,
    /// What is pending is to be saved at the next opportunity.
    due: bool,
    /// Why the last save failed, told already.
    failed: Option<Error>,
    /// Whose change is pending.
    context: ContextId,
}

/// A change that is not on disk.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    serial: u64,
    pub(super) edit: Edit,
    /// Only if this holds. Such a change is not in [`File::document`] yet.
    pub(super) condition: Option<Condition>,
}

/// What an update expects to find.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) ticket: Ticket,
    pub(super) expected: Option<Value>,
}

/// So many files that nobody has loaded any more are remembered.
const MOST_UNUSED: usize = 100;

/// Who gets the answer to a flush.
#[derive(Debug)]
pub(super) enum Answer {
    Event(Ticket),
    Channel(mpsc::Sender<()>),
}

#[derive(Debug)]
struct Flush {
    answer: Answer,
    /// What is pending in these files up to these serials.
    waits: HashMap<Arc<Path>, u64>,
    /// What has a greater number began later.
    since: u64,
    error: Option<Error>,
}

impl Sources {
    pub(super) fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|source| *source.path == *path)
    }
}

impl Default for File {
    fn default() -> Self {
        Self {
            entry: None,
            seen: None,
            document: job::document(None),
            pending: VecDeque::new(),
            saving: None,
            hung: None,
            due: false,
            failed: None,
            context: ContextId(0),
        }
    }
}

impl File {
    fn rebase(&mut self, entry: Option<Arc<FileEntry>>, seen: Instant) {
        self.seen = Some(seen);
        self.document = self.with_pending(entry.as_ref());
        self.entry = entry;
    }

    /// The document in a state of the file, with what is not saved yet.
    fn with_pending(&self, entry: Option<&Arc<FileEntry>>) -> Arc<Value> {
        let mut document = job::document(entry);
        for pending in self.pending.iter().filter(|pending| pending.condition.is_none()) {
            json::apply(Arc::make_mut(&mut document), &pending.edit);
        }
        document
    }

    fn holds(&self, entry: Option<&Arc<FileEntry>>) -> bool {
        match (&self.entry, entry) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    fn is_unsaved(&self) -> bool {
        self.pending.iter().any(|pending| pending.condition.is_none())
    }

    fn is_in_use(&self) -> bool {
        self.saving.is_some() || !self.pending.is_empty()
    }

    /// Leaves out what later changes undo, so that a disk that is full for hours does not fill the memory. Not what is being saved.
    fn compact(&mut self) {
        let in_flight = self.saving.map_or(0, |(_, count)| count);
        let mut set: HashSet<&[String]> = HashSet::new();
        let mut keep = vec![true; self.pending.len()];
        for (index, pending) in self.pending.iter().enumerate().skip(in_flight).rev() {
            let path = pending.edit.path.as_slice();
            keep[index] = pending.condition.is_some() || !(0..=path.len()).any(|length| set.contains(&path[..length]));
            if pending.condition.is_none() && job::is_set(&pending.edit) {
                set.insert(path);
            }
        }
        let mut keep = keep.into_iter();
        self.pending.retain(|_| keep.next().unwrap_or(true));
    }
}

impl Back {
    pub(super) fn run(&mut self, task: Task) {
        match task {
            Task::Open { context, mut sources, epoch, serial } => {
                if let Some(current) = self.open.get(&context) {
                    sources.add_merged_since(serial, &current.files);
                }
                self.open.insert(context, sources);
                // Not at once: a load that began earlier must not bring back what is gone.
                if self.files.len() > MOST_UNUSED + self.open.values().map(|sources| sources.files.len()).sum::<usize>()
                {
                    self.forget_unused();
                }
                if epoch != self.epoch() {
                    self.stale.entry(context).or_insert(Author::Local);
                }
            }
            Task::Edit { context, edits, target } => self.edit(context, &edits, &target),
            Task::Close(context) => self.close(context),
            Task::Flush(answer) => self.flush(answer),
            Task::Retry => self.files.values_mut().for_each(|file| file.due = true),
            Task::Update { ticket, context, path, target } => {
                self.begin_update(ticket, context, path, target);
            }
            Task::UpdateTo(ticket, value) => self.update_to(ticket, value),
            Task::Merge { ticket, context, merging } => self.begin_merge(ticket, context, merging),
            Task::ForgetUnmerged { ticket, context, run } => self.forget_unmerged(ticket, context, run),
        }
    }

    /// Makes the sources of a load known; `sources` gets what is not on disk yet. Returns the settings, the size of their texts, and the
    /// epoch.
    pub(super) fn load(
        &mut self,
        context: Option<ContextId>,
        sources: &mut Sources,
        plan: &Plan,
        began: Instant,
    ) -> (Arc<Value>, u64, u64) {
        for JsonSource { entry, outdated, .. } in &plan.json_sources {
            // The last good state of a file may be older than what is known of it by now.
            if !outdated || !self.files.contains_key(&entry.path) {
                self.found(&entry.path, Some(entry), entry.seen(), context);
            }
        }
        let before = context.and_then(|context| self.open.get(&context)).map_or(Vec::new(), |open| open.files.clone());
        for path in sources.keep_merged(&before, plan) {
            self.found(&path, None, began, context);
        }
        for Source { path, origin, .. } in before {
            let is_above = |problem: &Error| problem.path().is_some_and(|above| path.starts_with(above));
            // What cannot be seen need not be gone.
            if origin == Origin::Plan && !sources.has(&path) && !plan.problems.iter().any(is_above) {
                self.found(&path, None, began, context);
            }
        }
        if let Some(context) = context {
            self.add_newer(context, sources, began, self.last_serial);
        }
        for source in &sources.files {
            if let Some(file) = self.files.get_mut(&source.path) {
                // A load is an opportunity to save what could not be saved.
                file.due |= file.is_in_use();
            }
        }
        let as_planned = sources.files.len() == plan.json_sources.len()
            && plan.json_sources.iter().all(|JsonSource { entry, .. }| {
                let file = self.files.get(&entry.path);
                file.is_some_and(|file| Arc::ptr_eq(&file.document, &job::document(Some(entry))))
            });
        let value = if as_planned { Arc::clone(&plan.json) } else { self.merged(sources) };
        (value, self.size(sources), self.epoch())
    }

    /// Whether the context's files have been changed by somebody else since they were last seen. Of those that are being saved whoever saves
    /// them finds out.
    pub(super) fn has_news(&self, context: ContextId, plan: &Plan) -> bool {
        let is_news = |source: &JsonSource| match self.files.get(&source.entry.path) {
            Some(file) => {
                let is_newer = file.saving.is_none() && file.seen.is_none_or(|seen| seen < source.entry.seen());
                is_newer && !has_same_content(file.entry.as_ref(), Some(&source.entry))
            }
            None => true,
        };
        let has_gone = |source: &&Source| {
            let is_above = |problem: &Error| problem.path().is_some_and(|above| source.path.starts_with(above));
            let was_there = |file: &File| file.saving.is_none() && file.entry.is_some();
            self.files.get(&source.path).is_some_and(was_there)
                && !plan.json_sources.iter().any(|found| found.entry.path == source.path)
                && !plan.problems.iter().any(is_above)
        };
        let known = self.open.get(&context).map_or(&[][..], |sources| &sources.files);
        let of_loads = known.iter().filter(|source| !matches!(source.origin, Origin::Executor { .. }));
        plan.json_sources.iter().filter(|source| !source.outdated).any(is_news)
            || of_loads.clone().any(|source| has_gone(&source))
    }

    /// Adds what a load that began at `began` cannot have found, but the context has: files with unsaved changes, and files that were seen
    /// later; and what executors have merged since the change `serial`.
    pub(super) fn add_newer(&self, context: ContextId, sources: &mut Sources, began: Instant, serial: u64) {
        if let Some(open) = self.open.get(&context) {
            sources.add_merged_since(serial, &open.files);
        }
        for source in self.open.get(&context).map_or(&[][..], |open| &open.files) {
            let is_newer = |file: &File| {
                (source.own && file.is_unsaved())
                    || (file.entry.is_some() && file.seen.is_some_and(|seen| seen > began))
            };
            if !sources.has(&source.path) && self.files.get(&source.path).is_some_and(is_newer) {
                sources.files.push(Source { at: None, ..source.clone() });
            }
        }
    }

    fn size(&self, sources: &Sources) -> u64 {
        let entries = sources.files.iter().filter_map(|source| self.files.get(&source.path)?.entry.as_ref());
        entries.map(|entry| entry.content.len() as u64).sum()
    }

    fn layers(&self, sources: &Sources) -> Vec<Layer> {
        let layer = |source: &Source| Layer {
            path: Arc::clone(&source.path),
            own: source.own,
            document: match self.files.get(&source.path) {
                Some(file) => Arc::clone(&file.document),
                None => job::document(None),
            },
        };
        sources.files.iter().map(layer).collect()
    }

    pub(super) fn merged(&self, sources: &Sources) -> Arc<Value> {
        json::merged(&self.layers(sources))
    }

    pub(super) fn merged_of(&self, context: ContextId) -> Option<Arc<Value>> {
        self.open.get(&context).map(|sources| self.merged(sources))
    }

    /// Whether there are jobs.
    pub(super) fn has_work(&self) -> bool {
        let is_due = |file: &File| file.due && file.saving.is_none() && !file.pending.is_empty();
        !self.to_read.is_empty() || self.has_merges() || !self.stale.is_empty() || self.files.values().any(is_due)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn next_epoch(&mut self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn last_serial(&self) -> u64 {
        self.last_serial
    }

    pub(super) fn add_events(&mut self, events: Vec<Event>) {
        self.events.extend(events);
    }

    pub(super) fn is_unsaved(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(File::is_unsaved)
    }

    /// The epoch, to be read without the back.
    pub(super) fn shared_epoch(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.epoch)
    }

    pub(super) fn take_stale(&mut self) -> impl Iterator<Item = (ContextId, Author)> + use<> {
        std::mem::take(&mut self.stale).into_iter()
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Tells a context what it has to show; false if it shows that.
    pub(super) fn prepare_change(
        &mut self,
        context: ContextId,
        author: Author,
        shown: Arc<Value>,
        revision: u64,
    ) -> bool {
        let Some(sources) = self.open.get(&context) else { return false };
        let value = self.merged(sources);
        if Arc::ptr_eq(&value, &shown) || *value == *shown {
            return false;
        }
        let size = self.size(sources);
        let value = if size > super::LARGE { Arc::new(Value::clone(&value)) } else { value };
        let epoch = self.epoch();
        let prepared = Prepared { value, base: Some(shown), revision: Some(revision), epoch, size, opening: None };
        self.events.push(Event::Changed(context, prepared, author));
        true
    }

    /// Notes what was seen on disk at some time, unless something later is known. Not to be told to `except`, which is about to show it.
    pub(super) fn found(
        &mut self,
        path: &Arc<Path>,
        entry: Option<&Arc<FileEntry>>,
        seen: Instant,
        except: Option<ContextId>,
    ) {
        let file = self.files.entry(Arc::clone(path)).or_default();
        if file.seen.is_some_and(|latest| latest > seen) {
            return;
        }
        if file.seen.is_some() && file.holds(entry) {
            file.seen = Some(seen);
            return;
        }
        // As another cache has read it: the load that brings it merges this one.
        let is_known = file.seen.is_some() && has_same_content(file.entry.as_ref(), entry);
        file.rebase(entry.cloned(), seen);
        if !is_known {
            self.changed(path, Author::Disk, except);
        }
    }

    fn changed(&mut self, path: &Path, author: Author, except: Option<ContextId>) {
        self.next_epoch();
        for (context, sources) in &self.open {
            if Some(*context) != except && sources.has(path) {
                let stale = self.stale.entry(*context).or_insert(author);
                *stale = author.max(*stale);
            }
        }
    }

    /// The position of the write target among the context's sources. It is one of them from now on, and may be written.
    fn target(&mut self, context: ContextId, target: &Path) -> Option<usize> {
        let sources = self.open.get_mut(&context)?;
        if let Some(index) = sources.files.iter().position(|source| *source.path == *target) {
            sources.files[index].own = true;
            return Some(index);
        }
        sources.files.push(Source { path: target.into(), own: true, origin: Origin::Target, at: None });
        Some(sources.files.len() - 1)
    }

    fn edit(&mut self, context: ContextId, edits: &[Edit], target: &Path) {
        let Some(target) = self.target(context, target) else { return };
        let Some(sources) = self.open.get(&context) else { return };
        // Taken out, so that the only owner changes them in place.
        let mut layers: Vec<Layer> = sources
            .files
            .iter()
            .map(|source| {
                let file = self.files.entry(Arc::clone(&source.path)).or_default();
                let document = std::mem::take(&mut file.document);
                Layer { path: Arc::clone(&source.path), own: source.own, document }
            })
            .collect();
        let distribution = json::distribute(&mut layers, target, edits);
        let mut touched: Vec<Arc<Path>> = Vec::new();
        for (index, edit) in distribution.edits {
            let path = &layers[index].path;
            self.last_serial += 1;
            if let Some(file) = self.files.get_mut(path) {
                file.pending.push_back(Pending { serial: self.last_serial, edit, condition: None });
                (file.due, file.context) = (true, context);
            }
            if !touched.contains(path) {
                touched.push(Arc::clone(path));
            }
        }
        for (path, index) in distribution.inherited {
            let error = ErrorKind::Inherited { keys: path };
            self.events.push(Event::Failed(context, Error::new(error).at(&*layers[index].path)));
            // What the context has deleted comes back.
            self.stale.entry(context).or_insert(Author::Local);
        }
        for layer in layers {
            if let Some(file) = self.files.get_mut(&layer.path) {
                file.document = layer.document;
            }
        }
        for path in touched {
            self.changed(&path, Author::Local, Some(context));
            let Some(file) = self.files.get_mut(&path) else { continue };
            let Some(error) = file.hung.clone() else { continue };
            // Nothing else does it until the disk answers.
            if file.pending.len().is_power_of_two() {
                file.compact();
            }
            self.report(&path, &error);
        }
    }

    fn close(&mut self, context: ContextId) {
        self.open.remove(&context);
        self.stale.remove(&context);
        self.end_merges(Some(context), &ErrorKind::Cancelled.into());
        self.forget_unused();
    }

    /// Forgets files that no context has loaded and that have nothing to save.
    fn forget_unused(&mut self) {
        let used: HashSet<&Path> =
            self.open.values().flat_map(|sources| &sources.files).map(|source| &*source.path).collect();
        self.files.retain(|path, file| file.is_in_use() || used.contains(&**path));
    }

    fn flush(&mut self, answer: Answer) {
        let mut flush = Flush { answer, waits: HashMap::new(), since: self.last_serial, error: None };
        for (path, file) in &mut self.files {
            let Some(last) = file.pending.iter().rev().find(|pending| pending.condition.is_none()) else { continue };
            if let Some(error) = &file.hung {
                flush.error.get_or_insert_with(|| error.clone());
            } else {
                file.due = true;
                flush.waits.insert(Arc::clone(path), last.serial);
            }
        }
        self.flushes.push(flush);
        self.answer_flushes();
    }

    /// Answers those who wait for nothing any more.
    fn answer_flushes(&mut self) {
        for flush in self.flushes.extract_if(.., |flush| flush.waits.is_empty()) {
            match flush.answer {
                Answer::Event(ticket) => {
                    self.events.push(Event::Flushed(ticket, flush.error.map_or(Ok(()), Err)));
                }
                // Whoever has stopped waiting needs no answer.
                Answer::Channel(sender) => drop(sender.send(())),
            }
        }
    }

    /// The work that can begin now.
    pub(super) fn jobs(&mut self) -> Vec<Job> {
        let mut jobs = self.merge_jobs();
        for ticket in std::mem::take(&mut self.to_read) {
            let sources = self.updates.get(&ticket).and_then(|update| self.open.get(&update.context));
            match sources {
                Some(sources) => {
                    jobs.push(Job::Read { ticket, sources: sources.clone(), began: Instant::now() });
                }
                None => self.end_update(ticket, Err(ErrorKind::NoProject.into())),
            }
        }
        let limits_of = |path: &Path| {
            let mut open = self.open.values();
            let sources = open.find(|sources| sources.has(path));
            sources.map(|sources| (sources.limits, sources.timeout, Some(Arc::clone(&sources.cache))))
        };
        for (path, file) in &mut self.files {
            if !file.due || file.saving.is_some() || file.pending.is_empty() {
                continue;
            }
            // A context that has been left has left its changes behind.
            let (limits, timeout, cache) = limits_of(path).unwrap_or((LEFT.0, LEFT.1, None));
            self.last_serial += 1;
            file.saving = Some((self.last_serial, file.pending.len()));
            file.due = false;
            jobs.push(Job::Save(Save {
                path: Arc::clone(path),
                number: self.last_serial,
                batch: file.pending.iter().cloned().collect(),
                known: file.entry.clone(),
                limits,
                timeout,
                cache,
            }));
        }
        jobs
    }

    pub(super) fn finish(&mut self, job: Job, result: Result<Done>) {
        match (job, result) {
            (Job::Save(save), Ok(Done::Saved(saved))) => self.saved(&save, saved),
            (Job::Save(save), Err(error)) => self.not_saved(&save, &error),
            (Job::Read { ticket, began, .. }, Ok(Done::Read(found))) => {
                let mut unreadable = HashMap::new();
                for Found { path, state } in found {
                    match state {
                        Ok(entry) => {
                            let seen = entry.as_ref().map_or(began, |entry| entry.seen());
                            self.found(&path, entry.as_ref(), seen, None);
                        }
                        Err(error) => drop(unreadable.insert(path, error)),
                    }
                }
                self.offer(ticket, unreadable);
            }
            (Job::Read { ticket, .. }, Err(error)) => self.end_update(ticket, Err(error)),
            (Job::Merge(merge), Ok(Done::Merged(results))) => self.merged_all(merge, results),
            (Job::Merge(merge), Err(error)) => {
                let results = vec![Err(error); merge.files.len()];
                self.merged_all(merge, results);
            }
            (Job::Save(_) | Job::Read { .. } | Job::Merge(_), Ok(_)) => unreachable!("a job ends with its own result"),
        }
        self.answer_flushes();
    }

    fn saved(&mut self, save: &Save, saved: Saved) {
        let Saved { entry, changed_by_others, written, met } = saved;
        let Some(file) = self.files.get_mut(&save.path) else { return };
        let done: Vec<Pending> = file.pending.drain(..save.batch.len()).collect();
        (file.saving, file.hung, file.failed) = (None, None, None);
        let seen = entry.as_ref().map_or_else(Instant::now, |entry| entry.seen());
        file.due |= !file.pending.is_empty();
        if changed_by_others || !file.holds(save.known.as_ref()) {
            file.rebase(entry, seen);
            self.changed(&save.path, Author::Disk, None);
        } else if !met.is_empty() {
            // The document is without them, and has what came after them.
            file.rebase(entry, seen);
            self.changed(&save.path, Author::Local, None);
        } else {
            (file.entry, file.seen) = (entry, Some(seen));
        }
        if let Some(target) = written {
            self.events.push(Event::Saved(Arc::clone(&save.path), target));
        }
        for (index, Pending { edit, condition, .. }) in done.iter().enumerate() {
            let Some(Condition { ticket, .. }) = condition else { continue };
            if met.contains(ticket) {
                self.complete(*ticket, edit, &done[index + 1..]);
                self.end_update(*ticket, Ok(()));
            } else {
                self.offer(*ticket, HashMap::new());
            }
        }
        self.arrived(&save.path, None);
    }

    fn not_saved(&mut self, save: &Save, error: &Error) {
        let Some(file) = self.files.get_mut(&save.path) else { return };
        (file.saving, file.hung) = (None, None);
        let in_batch = |pending: &Pending| save.batch.iter().any(|other| other.serial == pending.serial);
        file.pending.retain(|pending| pending.condition.is_none() || !in_batch(pending));
        file.compact();
        let tickets = save.batch.iter().filter_map(|pending| pending.condition.as_ref());
        for condition in tickets {
            self.end_update(condition.ticket, Err(error.clone()));
        }
        self.report(&save.path, error);
        self.arrived(&save.path, Some((error, save.number)));
    }

    /// Tells why a file could not be saved, once. Changes that have come since the failed save began are tried at once.
    fn report(&mut self, path: &Arc<Path>, error: &Error) {
        let Some(file) = self.files.get_mut(path) else { return };
        if !file.is_unsaved() {
            return;
        }
        let is_known = file.failed.as_ref().is_some_and(|known| is_same_cause(known, error));
        file.failed = Some(error.clone());
        if !is_known {
            self.events.push(Event::Failed(file.context, error.clone()));
        }
    }

    /// A save of this file has ended, with an error the one of this number: flushes that wait for it have waited long enough. Not if it
    /// failed at once and had begun before the flush: then another one follows.
    fn arrived(&mut self, path: &Arc<Path>, error: Option<(&Error, u64)>) {
        let first = self.files.get(path).and_then(|file| file.pending.iter().find(|p| p.condition.is_none()));
        let first = first.map_or(u64::MAX, |pending| pending.serial);
        for flush in &mut self.flushes {
            let Some(last) = flush.waits.get(path) else { continue };
            let has_ended = match error {
                Some((error, number)) => number > flush.since || error.kind.code() == "timeout",
                None => first > *last,
            };
            if has_ended {
                flush.waits.remove(path);
                flush.error = flush.error.take().or_else(|| error.map(|(error, _)| error.clone()));
            }
        }
    }

    /// The job has not ended within its time. It is left to itself; nobody waits for it any more.
    pub(super) fn overdue(&mut self, id: JobId, timeout: Duration) {
        let timed_out =
            Error::new(ErrorKind::Timeout { after_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX) });
        match id {
            JobId::Save(path, number) => {
                let Some(file) = self.files.get_mut(&path) else { return };
                let Some((_, count)) = file.saving.filter(|(current, _)| *current == number) else { return };
                let error = timed_out.at(&*path);
                file.hung = Some(error.clone());
                let conditions = file.pending.iter().filter_map(|pending| pending.condition.as_ref());
                let tickets: Vec<Ticket> = conditions.map(|condition| condition.ticket).collect();
                // What is being saved stays as it is.
                let mut index = 0;
                file.pending.retain(|pending| {
                    index += 1;
                    index <= count || pending.condition.is_none()
                });
                for ticket in tickets {
                    self.end_update(ticket, Err(error.clone()));
                }
                self.report(&path, &error);
                self.arrived(&path, Some((&error, u64::MAX)));
                self.answer_flushes();
            }
            JobId::Read(ticket) => self.end_update(ticket, Err(timed_out)),
            JobId::Merge(number) => self.merge_overdue(number, timeout),
        }
    }

    /// After a defect: what was being worked on is put together anew, and nobody is left waiting. `context` is the one whose change may be
    /// lost; it is told.
    pub(super) fn recover(&mut self, context: Option<ContextId>, error: &Error) {
        for file in self.files.values_mut() {
            file.document = file.with_pending(file.entry.as_ref());
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        for context in self.open.keys() {
            self.stale.entry(*context).or_insert(Author::Local);
        }
        self.events.extend(context.map(|context| Event::Failed(context, error.clone())));
        self.end_merges(None, error);
        for ticket in self.updates.keys().copied().collect::<Vec<_>>() {
            self.end_update(ticket, Err(error.clone()));
        }
        for flush in &mut self.flushes {
            flush.waits.clear();
            flush.error = Some(error.clone());
        }
        self.answer_flushes();
    }

    /// What is not on disk. What `answered` in time has failed for its reason; the rest for want of an answer.
    pub(super) fn unsaved(&self, answered: bool) -> Vec<Unsaved> {
        let unsaved = self.files.iter().filter(|(_, file)| file.is_unsaved());
        let describe = |(path, file): (&Arc<Path>, &File)| Unsaved {
            path: path.to_path_buf(),
            error: file.failed.clone().filter(|_| answered || file.saving.is_none()),
            changes: file.pending.iter().filter(|pending| pending.condition.is_none()).map(in_words).collect(),
        };
        unsaved.map(describe).collect()
    }

    pub(super) fn origin(
        &self,
        context: ContextId,
        path: &[String],
        rest: &[String],
    ) -> Option<(PathBuf, Option<u32>)> {
        let layers = self.layers(self.open.get(&context)?);
        let layer = &layers[json::origin(&layers, path)?];
        let file = self.files.get(&layer.path)?;
        let is_about = |edit: &Edit| edit.path.starts_with(path) || path.starts_with(&edit.path);
        let unsaved = file.pending.iter().any(|pending| pending.condition.is_none() && is_about(&pending.edit));
        let entry = file.entry.as_ref().filter(|_| !unsaved);
        let line = entry.and_then(|entry| json::line_of(&entry.content, &[path, rest].concat()));
        Some((layer.path.to_path_buf(), line))
    }
}

fn has_same_content(a: Option<&Arc<FileEntry>>, b: Option<&Arc<FileEntry>>) -> bool {
    a.map(|entry| &entry.content) == b.map(|entry| &entry.content)
}

/// A change as a user would write it, on one line and not too long.
fn in_words(pending: &Pending) -> String {
    const LONGEST: usize = 200;
    let path = pending.edit.path.join(".");
    match &pending.edit.change {
        Change::Set(value) => {
            let value = value.to_string();
            let (short, dots) = match value.char_indices().nth(LONGEST) {
                Some((end, _)) => (&value[..end], "…"),
                None => (&*value, ""),
            };
            format!("{path} = {short}{dots}")
        }
        Change::Delete => format!("{path} removed"),
    }
}

/// Whether an error is no news: a disk that fails may do so at one step or the other.
fn is_same_cause(a: &Error, b: &Error) -> bool {
    let is_timeout = |error: &Error| error.kind.code() == "timeout";
    a.kind.code() == b.kind.code() && a.errno == b.errno && (a.errno.is_some() || is_timeout(a) || a == b)
}

/// The limits for what was changed in a context that has been left since: the defaults.
const LEFT: (Limits, Duration) =
    (Limits { max_file_size: 16 * 1024 * 1024, trust_mtime: true }, Duration::from_millis(5000));

/// What tests look at and bring about.
#[cfg(test)]
impl Back {
    /// How many changes wait for this file.
    pub(super) fn pending(&self, path: &Path) -> usize {
        self.files[path].pending.len()
    }

    /// How many files are remembered.
    pub(super) fn known_files(&self) -> usize {
        self.files.len()
    }

    /// As a panic in the middle of an edit leaves it.
    pub(super) fn take_documents(&mut self) {
        self.files.values_mut().for_each(|file| drop(std::mem::take(&mut file.document)));
    }
}
