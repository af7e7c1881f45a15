//! JSON files that the user's executors merge into a context: sources like those of a plan, but found while its files run.
//!
//! A load does not know which files its executors will merge. So what they merged last stays among the context's sources when it is
//! loaded again, until the run ends: whatever has not been merged anew by then goes ([`Task::ForgetUnmerged`]). Who waits gets the answer when the
//! context shows the file's values. The disk is read by [`super::job`], what a file holds is known by [`super::back`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::back::Back;
use super::job::{Job, Merge};
use super::{Author, Event, Front, Origin, Settings, Source, Sources, Task, Ticket};
use crate::contexts::ContextId;
use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileEntry;
use crate::plan::Plan;

/// A JSON file that an executor merges.
#[derive(Debug, Clone)]
pub struct Merging {
    /// Absolute.
    pub path: Arc<Path>,
    /// As the load has read it; `None`: it is to be read.
    pub entry: Option<Arc<FileEntry>>,
    /// Its position among the plan's files, and whether it belongs to the innermost project; `None` for any other file: it comes after all
    /// of them, and counts as the innermost project's.
    pub place: Option<(usize, bool)>,
    /// The load whose executor merges it. What is merged by nobody's stays until the context is left.
    pub run: Option<u64>,
}

/// Somebody waits until the context shows what counts as this epoch.
#[derive(Debug)]
pub(super) struct Wait {
    ticket: Ticket,
    context: ContextId,
    epoch: u64,
    target: PathBuf,
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Merges {
    /// To be read or parsed, oldest first.
    queue: Vec<(ContextId, Ticket, Merging)>,
    /// Not answered, with the job that works for them.
    open: HashMap<Ticket, (ContextId, Option<Ticket>, Arc<Path>)>,
    /// What jobs read now, and whether it hangs.
    reading: HashMap<Arc<Path>, Option<Error>>,
    waits: Vec<Wait>,
}

impl Sources {
    /// The file that gets new settings: what executors have merged counts as if the plan had.
    pub(super) fn json_target(&self) -> PathBuf {
        let merged = self.files.iter().filter(|source| source.own && source.run().is_some());
        self.target.path(merged.map(|source| (source.at.unwrap_or(usize::MAX), &*source.path)))
    }

    /// Puts a source where it belongs: planned ones in their order, then the others. `after` is the position that it has to follow.
    fn insert(&mut self, source: Source, after: usize) {
        let place = source.at.map_or(self.files.len(), |at| {
            self.files.iter().position(|other| other.at.is_none_or(|other| other > at)).unwrap_or(self.files.len())
        });
        self.files.insert(place.max(after).min(self.files.len()), source);
    }

    /// Keeps what executors had merged before this plan, until its own have run. Returns what is no more: a file of the last plan that is
    /// neither in this one nor a problem of it.
    pub(super) fn keep_merged(&mut self, before: &[Source], plan: &Plan) -> Vec<Arc<Path>> {
        let mut gone = Vec::new();
        if before.iter().all(|source| source.run().is_none()) {
            return gone;
        }
        let planned: HashMap<_, _> =
            plan.files.iter().enumerate().map(|(at, file)| (file.path.as_os_str(), (at, file.layer))).collect();
        let innermost = plan.projects.len() - 1;
        let mut last = 0;
        for source in before {
            let now = planned.get(source.path.as_os_str());
            if let (Some(_), false) = (source.run(), self.has(&source.path)) {
                let is_above = |problem: &Error| problem.path().is_some_and(|above| source.path.starts_with(above));
                let source = match (now, source.at) {
                    (Some((at, layer)), _) => Source { at: Some(*at), own: *layer == innermost, ..source.clone() },
                    (None, None) => source.clone(),
                    (None, Some(_)) if plan.problems.iter().any(is_above) => {
                        Source { at: Some(last), ..source.clone() }
                    }
                    (None, Some(_)) => {
                        gone.push(Arc::clone(&source.path));
                        continue;
                    }
                };
                self.insert(source, 0);
            }
            last = now.map_or(last, |(at, _)| *at);
        }
        gone
    }

    /// Adds what executors have merged since the change `serial`.
    pub(super) fn add_merged_since(&mut self, serial: u64, current: &[Source]) {
        for source in current {
            let is_later = matches!(source.origin, Origin::Executor { serial: merged, .. } if merged > serial);
            if is_later && !self.has(&source.path) {
                self.insert(source.clone(), 0);
            }
        }
    }

    /// Makes a merged file one of the sources.
    fn add_merged(&mut self, merging: &Merging, serial: u64) {
        let run = merging.run.unwrap_or(u64::MAX);
        let known = self.files.iter().position(|source| *source.path == *merging.path);
        let own = merging.place.is_none_or(|(_, own)| own);
        let mut source = match known.map(|index| (index, self.files[index].clone())) {
            Some((_, Source { origin: Origin::Plan, .. })) => return,
            Some((index, source)) => {
                let is_settled = source.run() == Some(run) || self.is_in_order(index, run);
                let is_at_home = source.run().is_some() && source.at == merging.place.map(|(at, _)| at);
                if is_at_home && (source.at.is_some() || is_settled) {
                    self.files[index].origin = Origin::Executor { run, serial };
                    return;
                }
                self.files.remove(index);
                source
            }
            None => Source { path: Arc::clone(&merging.path), own, origin: Origin::Plan, at: None },
        };
        source.origin = Origin::Executor { run, serial };
        source.at = merging.place.map(|(at, _)| at);
        source.own |= own;
        // What the same run has merged before lies below.
        let is_before = |other: &Source| source.at.is_none() && other.at.is_none() && other.run() == Some(run);
        let after = self.files.iter().rposition(is_before).map_or(0, |index| index + 1);
        self.insert(source, after);
    }

    /// Whether nothing that this run has merged outside of its plan lies above the file.
    fn is_in_order(&self, index: usize, run: u64) -> bool {
        !self.files[index + 1..].iter().any(|other| other.at.is_none() && other.run() == Some(run))
    }
}

impl Source {
    /// The run whose executor has merged it.
    fn run(&self) -> Option<u64> {
        if let Origin::Executor { run, .. } = self.origin { Some(run) } else { None }
    }
}

impl Back {
    pub(super) fn begin_merge(&mut self, ticket: Ticket, context: ContextId, merging: Merging) {
        if !self.open.contains_key(&context) {
            return self.events.push(Event::Merged(ticket, Err(ErrorKind::NoProject.into())));
        }
        if let Some(Some(error)) = self.merges.reading.get(&merging.path) {
            return self.events.push(Event::Merged(ticket, Err(error.clone())));
        }
        self.merges.open.insert(ticket, (context, None, Arc::clone(&merging.path)));
        self.merges.queue.push((context, ticket, merging));
    }

    /// The jobs for merges: one for all files that a load has read, one for each of the others; never two for one path.
    pub(super) fn merge_jobs(&mut self) -> Vec<Job> {
        let mut jobs: Vec<Merge> = Vec::new();
        let mut later = Vec::new();
        for (context, ticket, merging) in std::mem::take(&mut self.merges.queue) {
            let Some(sources) = self.open.get(&context) else { continue };
            let is_read = merging.entry.is_some();
            if !is_read {
                if self.merges.reading.contains_key(&merging.path) {
                    later.push((context, ticket, merging));
                    continue;
                }
                self.merges.reading.insert(Arc::clone(&merging.path), None);
            }
            let with = jobs.iter_mut().find(|job| is_read && job.is_read && job.context == context);
            let number = match with {
                Some(job) => {
                    job.files.push((ticket, merging));
                    job.number
                }
                None => {
                    let Sources { config_dir, limits, timeout, cache, .. } = sources;
                    jobs.push(Merge {
                        number: ticket,
                        context,
                        is_read,
                        files: vec![(ticket, merging)],
                        config_dir: config_dir.clone(),
                        limits: *limits,
                        timeout: *timeout,
                        cache: Arc::clone(cache),
                    });
                    ticket
                }
            };
            if let Some((_, job, _)) = self.merges.open.get_mut(&ticket) {
                *job = Some(number);
            }
        }
        self.merges.queue = later;
        jobs.into_iter().map(Job::Merge).collect()
    }

    pub(super) fn has_merges(&self) -> bool {
        let is_free = |merging: &Merging| merging.entry.is_some() || !self.merges.reading.contains_key(&merging.path);
        self.merges.queue.iter().any(|(_, _, merging)| is_free(merging))
    }

    /// A job for merges has ended.
    pub(super) fn merged_all(&mut self, merge: Merge, results: Vec<Result<Arc<FileEntry>>>) {
        for ((ticket, merging), result) in merge.files.into_iter().zip(results) {
            if !merge.is_read {
                self.merges.reading.remove(&merging.path);
            }
            // Else it has been told that it took too long, or the context has been left.
            if self.merges.open.remove(&ticket).is_some() {
                self.take_merged(ticket, merge.context, &merging, result);
            }
        }
    }

    fn take_merged(&mut self, ticket: Ticket, context: ContextId, merging: &Merging, result: Result<Arc<FileEntry>>) {
        self.last_serial += 1;
        let serial = self.last_serial;
        match result {
            Ok(entry) => {
                self.found(&merging.path, Some(&entry), entry.seen(), None);
                let Some(sources) = self.open.get_mut(&context) else { return };
                sources.add_merged(merging, serial);
                let target = sources.json_target();
                self.wait_for_show(ticket, context, target);
            }
            Err(error) => {
                self.keep_or_drop(context, merging, serial, &error);
                self.events.push(Event::Merged(ticket, Err(error)));
            }
        }
    }

    /// A file that cannot be read now keeps its last values, as in a plan; one that is gone does not.
    fn keep_or_drop(&mut self, context: ContextId, merging: &Merging, serial: u64, error: &Error) {
        let is_unsaved = self.is_unsaved(&merging.path);
        let Some(sources) = self.open.get_mut(&context) else { return };
        let index = sources.files.iter().position(|source| *source.path == *merging.path && source.run().is_some());
        let Some(index) = index else { return };
        if crate::plan::is_gone(error) && !is_unsaved {
            sources.files.remove(index);
            self.reshow(context);
        } else {
            sources.files[index].origin = Origin::Executor { run: merging.run.unwrap_or(u64::MAX), serial };
        }
    }

    /// The run has ended: what earlier ones have merged and it has not goes, unless there is something to save in it.
    pub(super) fn forget_unmerged(&mut self, ticket: Ticket, context: ContextId, run: u64) {
        let Some(mut sources) = self.open.remove(&context) else {
            return self.events.push(Event::Merged(ticket, Err(ErrorKind::Cancelled.into())));
        };
        sources.files.retain(|source| source.run().is_none_or(|by| by >= run) || self.is_unsaved(&source.path));
        let target = sources.json_target();
        self.open.insert(context, sources);
        self.wait_for_show(ticket, context, target);
    }

    fn reshow(&mut self, context: ContextId) {
        self.next_epoch();
        self.stale.entry(context).or_insert(Author::Disk);
    }

    fn wait_for_show(&mut self, ticket: Ticket, context: ContextId, target: PathBuf) {
        self.reshow(context);
        let epoch = self.epoch();
        self.merges.waits.push(Wait { ticket, context, epoch, target });
    }

    /// Who waits for contexts to show something.
    pub(super) fn take_waits(&mut self) -> Vec<Wait> {
        std::mem::take(&mut self.merges.waits)
    }

    /// A job for merges has not ended within its time.
    pub(super) fn merge_overdue(&mut self, number: Ticket, timeout: Duration) {
        let after_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let error = |path: &Arc<Path>| Error::new(ErrorKind::Timeout { after_ms }).at(&**path);
        let mut hung = Vec::new();
        for (ticket, (_, _, path)) in self.merges.open.extract_if(|_, (_, job, _)| *job == Some(number)) {
            self.events.push(Event::Merged(ticket, Err(error(&path))));
            hung.push(path);
        }
        for path in hung {
            let Some(reading) = self.merges.reading.get_mut(&path) else { continue };
            *reading = Some(error(&path));
            // They would only wait for the same.
            for (_, ticket, _) in self.merges.queue.extract_if(.., |(_, _, merging)| *merging.path == *path) {
                self.merges.open.remove(&ticket);
                self.events.push(Event::Merged(ticket, Err(error(&path))));
            }
        }
    }

    /// Answers all who wait for merges, those of one context or all.
    pub(super) fn end_merges(&mut self, context: Option<ContextId>, error: &Error) {
        let is_meant = |other: ContextId| context.is_none_or(|context| context == other);
        let open = self.merges.open.extract_if(|_, (of, _, _)| is_meant(*of)).map(|(ticket, _)| ticket);
        let waits = self.merges.waits.extract_if(.., |wait| is_meant(wait.context)).map(|wait| wait.ticket);
        let events = open.chain(waits).map(|ticket| Event::Merged(ticket, Err(error.clone())));
        self.events.extend(events);
        self.merges.queue.retain(|(of, _, _)| !is_meant(*of));
    }
}

impl Front {
    /// The context shows all that counts as this epoch. Returns the answers for those who have waited for it.
    pub(super) fn is_shown(&mut self, context: ContextId, epoch: u64) -> Vec<Event> {
        if let Some(mirror) = self.mirrors.get_mut(&context) {
            mirror.epoch = mirror.epoch.max(epoch);
        }
        let shown = self.waits.extract_if(.., |wait| wait.context == context && wait.epoch <= epoch);
        shown.map(|wait| Event::Merged(wait.ticket, Ok(wait.target))).collect()
    }

    /// Answers those who wait for contexts that show nothing any more.
    pub(super) fn end_waits(&mut self) -> Vec<Event> {
        let left = self.waits.extract_if(.., |wait| !self.mirrors.contains_key(&wait.context));
        left.map(|wait| Event::Merged(wait.ticket, Err(ErrorKind::Cancelled.into()))).collect()
    }
}

impl Settings {
    /// Merges a JSON file into what the context shows. [`Event::Merged`] tells the end: the values are shown.
    pub fn merge(self: &Arc<Self>, ticket: Ticket, context: ContextId, merging: Merging) {
        let mut front = self.front();
        if !front.mirrors.contains_key(&context) {
            drop(front);
            return (self.tell)(vec![Event::Merged(ticket, Err(ErrorKind::NoProject.into()))]);
        }
        let run = merging.run.unwrap_or(u64::MAX);
        front.merged.entry(context).or_default().insert(Arc::clone(&merging.path), run);
        front.tasks.push_back(Task::Merge { ticket, context, merging });
        self.call(&mut front);
    }

    /// A run's executors have done their work: what only earlier runs have merged is taken away. [`Event::Merged`] tells the end; false if
    /// there is nothing to take away, and no event follows.
    pub fn forget_unmerged(self: &Arc<Self>, ticket: Ticket, context: ContextId, run: u64) -> bool {
        let mut front = self.front();
        let Some(merged) = front.merged.get_mut(&context) else { return false };
        let before = merged.len();
        merged.retain(|_, by| *by >= run);
        if merged.len() == before {
            return false;
        }
        front.tasks.push_back(Task::ForgetUnmerged { ticket, context, run });
        self.call(&mut front);
        true
    }
}
