//! Who waits for which path, and what is to be done for them next: a state machine without I/O.
//!
//! The rules: at most one task a path is under way; tasks of a path are done in the order in which they were asked for; whoever asks joins the last
//! task of the path if that has not begun, so that all who wait share it and nobody gets a state from before the call. How many threads
//! there should be is said in [`super::threads`]; threads, timers and telling are [`super`]'s.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::threads::{Lane, Pool, Thread};
use super::{Answer, CacheTicket};
use crate::error::{Error, ErrorKind};
use crate::json::Value;
use crate::open::Limits;
use crate::shelf::Key;

/// Answers are collected for so long, or until there is nothing else to do; the first one after a rest goes out at once.
const COLLECTING: Duration = Duration::from_micros(200);

/// What is asked for.
#[derive(Debug)]
pub(super) enum What {
    File(Limits),
    Directory { trust_mtime: bool },
    Write { content: Vec<u8>, json: Option<Value>, limits: Limits, timeout: Duration },
}

impl What {
    fn lane(&self) -> Lane {
        if matches!(self, Self::Write { .. }) { Lane::Writes } else { Lane::Looks }
    }

    fn can_be_shared_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(limits), Self::File(others)) => limits == others,
            (Self::Directory { trust_mtime }, Self::Directory { trust_mtime: others }) => trust_mtime == others,
            _ => false,
        }
    }
}

/// Somebody who waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    pub(super) ticket: CacheTicket,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
}

/// A task that a thread is to do.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: Arc<Path>,
    pub(super) what: What,
}

#[derive(Debug)]
struct Task {
    what: What,
    waiting: Vec<Waiter>,
}

/// What is asked for of one path.
#[derive(Debug)]
struct Line {
    path: Arc<Path>,
    tasks: VecDeque<Task>,
    state: State,
}

impl Line {
    fn is_blocked(&self) -> bool {
        matches!(self.state, State::Blocked)
    }
}

#[derive(Debug)]
enum State {
    /// In the queue of the first task's lane.
    Queued,
    /// A thread is at it, for these.
    Running { waiting: Vec<Waiter>, asked: Asked },
    /// Somebody else is looking at the path; [`Desk::release`] follows.
    Blocked,
    /// Threads are lost beside it.
    Barred,
}

/// Which kind of answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    File,
    Directory,
    Write,
}

impl Asked {
    fn of(what: &What) -> Self {
        match what {
            What::File(_) => Self::File,
            What::Directory { .. } => Self::Directory,
            What::Write { .. } => Self::Write,
        }
    }

    fn refuse(self, error: Error) -> Answer {
        match self {
            Self::File => Answer::File(Err(error)),
            Self::Directory => Answer::Directory(Err(error)),
            Self::Write => Answer::Written(Err(error)),
        }
    }
}

/// All requests that are not answered.
#[derive(Debug)]
pub(super) struct Desk {
    lines: HashMap<Key, Line>,
    looks: Pool,
    writes: Pool,
    /// Paths in directories where too many threads are lost.
    barred: Vec<Arc<Path>>,
    outbox: Vec<(CacheTicket, Answer)>,
    told: Option<Instant>,
    /// No waiter's deadline is earlier.
    earliest: Option<Instant>,
    /// Grows with all that happens.
    changes: u64,
    /// Writes that have not ended.
    writes_left: usize,
    /// When the one who watches looks next; `None`: nobody does.
    pub(super) watched: Option<Instant>,
}

/// Waiters whose time is up leave, each with an answer.
fn expire(
    waiting: &mut Vec<Waiter>,
    now: Instant,
    asked: Asked,
    path: &Path,
    outbox: &mut Vec<(CacheTicket, Answer)>,
    earliest: &mut Option<Instant>,
) {
    waiting.retain(|waiter| {
        let is_in_time = waiter.deadline > now;
        if is_in_time {
            *earliest = Some(earliest.map_or(waiter.deadline, |earliest| earliest.min(waiter.deadline)));
        } else {
            let after_ms = u64::try_from(waiter.timeout.as_millis()).unwrap_or(u64::MAX);
            let error = Error::new(ErrorKind::Timeout { after_ms }).at(path);
            outbox.push((waiter.ticket, asked.refuse(error)));
        }
        is_in_time
    });
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            looks: Pool::new(Lane::Looks),
            writes: Pool::new(Lane::Writes),
            barred: Vec::new(),
            outbox: Vec::new(),
            told: None,
            earliest: None,
            changes: 0,
            writes_left: 0,
            watched: None,
        }
    }
}

impl Desk {
    fn pool(&mut self, lane: Lane) -> &mut Pool {
        match lane {
            Lane::Looks => &mut self.looks,
            Lane::Writes => &mut self.writes,
        }
    }

    /// Takes up a request. A thread that is returned is to be started.
    pub(super) fn ask(&mut self, path: PathBuf, what: What, waiter: Waiter, now: Instant) -> Option<Thread> {
        self.changes += 1;
        self.earliest = Some(self.earliest.map_or(waiter.deadline, |earliest| earliest.min(waiter.deadline)));
        let lane = what.lane();
        self.writes_left += usize::from(lane == Lane::Writes);
        let Some(line) = self.lines.get_mut(path.as_os_str()) else {
            let path: Arc<Path> = path.into();
            let tasks = VecDeque::from([Task { what, waiting: vec![waiter] }]);
            let line = Line { path: Arc::clone(&path), tasks, state: State::Queued };
            self.lines.insert(Key(Arc::clone(&path)), line);
            self.pool(lane).queue.push_back(path);
            return self.thread(lane, now);
        };
        match line.tasks.back_mut() {
            Some(last) if last.what.can_be_shared_with(&what) => last.waiting.push(waiter),
            _ => line.tasks.push_back(Task { what, waiting: vec![waiter] }),
        }
        self.thread(lane, now)
    }

    fn thread(&mut self, lane: Lane, now: Instant) -> Option<Thread> {
        let pool = self.pool(lane);
        pool.is_short(now).then(|| pool.start(now))
    }

    /// Threads that are to be started for what nobody takes.
    pub(super) fn reinforce(&mut self, now: Instant) -> Vec<Thread> {
        let mut threads = Vec::new();
        for pool in [&mut self.looks, &mut self.writes] {
            threads.extend((0..pool.missing(now)).map(|_| pool.start(now)));
        }
        threads
    }

    /// The next task for a thread, which leaves when there is none.
    pub(super) fn begin(&mut self, thread: Thread, now: Instant) -> Option<Job> {
        // Where it was, it can go again, and so perhaps can others.
        let is_back = self.pool(thread.lane).was_lost(thread, now);
        if is_back {
            self.lift_bars();
        }
        self.pool(thread.lane).rest(thread);
        let mut at = 0;
        while let Some(path) = self.pool(thread.lane).queue.get(at).cloned() {
            if self.pool(thread.lane).is_taken(&path) {
                // Whoever writes in this directory takes it next.
                at += 1;
                continue;
            }
            self.pool(thread.lane).queue.remove(at);
            let is_barred = !is_back && self.pool(thread.lane).is_barred(&path, now);
            let Some(line) = self.lines.get_mut(path.as_os_str()) else { continue };
            let Some(task) = line.tasks.front() else {
                self.lines.remove(path.as_os_str());
                continue;
            };
            let lane = task.what.lane();
            if lane != thread.lane {
                // What it was queued for has expired.
                self.pool(lane).queue.push_back(path);
                continue;
            }
            if is_barred {
                line.state = State::Barred;
                self.barred.push(path);
                continue;
            }
            let Some(Task { what, waiting }) = line.tasks.pop_front() else { continue };
            line.state = State::Running { waiting, asked: Asked::of(&what) };
            self.pool(thread.lane).send(thread, &path, now);
            return Some(Job { path, what });
        }
        self.pool(thread.lane).leave(thread);
        None
    }

    fn lift_bars(&mut self) {
        for path in std::mem::take(&mut self.barred) {
            self.go_on(&path);
        }
    }

    /// Answers all who wait for the task that is under way at the path.
    pub(super) fn end(&mut self, path: &Path, answer: &Answer) {
        self.changes += 1;
        let Some(line) = self.lines.get_mut(path.as_os_str()) else { return };
        if let State::Running { waiting, asked } = std::mem::replace(&mut line.state, State::Blocked) {
            self.outbox.extend(waiting.into_iter().map(|waiter| (waiter.ticket, answer.clone())));
            self.writes_left -= usize::from(asked == Asked::Write);
        }
        self.go_on(path);
    }

    /// Puts a task back that could not begin, for somebody else is looking at its path.
    pub(super) fn block(&mut self, job: Job) {
        let Some(line) = self.lines.get_mut(job.path.as_os_str()) else { return };
        if let State::Running { waiting, .. } = std::mem::replace(&mut line.state, State::Blocked) {
            line.tasks.push_front(Task { what: job.what, waiting });
        }
    }

    /// The path is free again.
    pub(super) fn release(&mut self, path: &Path, now: Instant) -> Option<Thread> {
        self.changes += 1;
        let lane = self.go_on(path)?;
        self.thread(lane, now)
    }

    fn go_on(&mut self, path: &Path) -> Option<Lane> {
        let line = self.lines.get_mut(path.as_os_str())?;
        let Some(next) = line.tasks.front() else {
            self.lines.remove(path.as_os_str());
            return None;
        };
        line.state = State::Queued;
        let (lane, path) = (next.what.lane(), Arc::clone(&line.path));
        self.pool(lane).queue.push_back(path);
        Some(lane)
    }

    /// Answers all whose time is up. A write that has not begun is not done any more.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        let (mut earliest, mut given_up) = (None, 0);
        for line in self.lines.values_mut() {
            if let State::Running { waiting, asked } = &mut line.state {
                expire(waiting, now, *asked, &line.path, &mut self.outbox, &mut earliest);
            }
            line.tasks.retain_mut(|Task { what, waiting }| {
                let asked = Asked::of(what);
                expire(waiting, now, asked, &line.path, &mut self.outbox, &mut earliest);
                given_up += usize::from(waiting.is_empty() && asked == Asked::Write);
                !waiting.is_empty()
            });
        }
        self.earliest = earliest;
        self.writes_left -= given_up;
        let lines = &mut self.lines;
        self.barred.retain(|path| {
            let is_wanted = lines.get(path.as_os_str()).is_some_and(|line| !line.tasks.is_empty());
            if !is_wanted {
                lines.remove(path.as_os_str());
            }
            is_wanted
        });
    }

    /// The answers to be told now: all there are, or none while more are soon to come.
    pub(super) fn outgoing(&mut self, now: Instant, more_to_come: bool) -> Vec<(CacheTicket, Answer)> {
        let is_recent = self.told.is_some_and(|told| now.saturating_duration_since(told) < COLLECTING);
        if self.outbox.is_empty() || more_to_come && is_recent {
            return Vec::new();
        }
        self.told = Some(now);
        std::mem::take(&mut self.outbox)
    }

    /// Whether nobody waits. Threads may be lost all the same.
    pub(super) fn is_idle(&self) -> bool {
        let is_running_for_nobody =
            |line: &Line| matches!(&line.state, State::Running { waiting, .. } if waiting.is_empty());
        let is_idle = |line: &Line| line.tasks.is_empty() && (is_running_for_nobody(line) || line.is_blocked());
        self.outbox.is_empty() && self.lines.values().all(is_idle)
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    pub(super) fn writes_left(&self) -> usize {
        self.writes_left
    }
}
