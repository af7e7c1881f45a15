//! Runs a load's native stages on blocking threads, with a deadline that no disk can break.
//!
//! One thread does everything as long as the disk answers: one hop there, one event back. When it does not get on for a
//! moment, or its first calls were slow (`pace`), more threads join it; when the time is up, what has not answered is reported and
//! the thread is left to itself (its paths stay registered in `calls`, so that nobody follows it there). What is done on the
//! threads is the stages' affair.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::calls::{Calls, Look, Watch};
use super::execute::{Work, defect};
use super::{Job, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Plan;

/// No progress for this long, and one more thread takes part: long for a disk that works, short for a person.
const STALL: Duration = Duration::from_millis(2);

/// So many threads share a long list of files on a disk that works.
const ENOUGH_THREADS: usize = 2;

/// So many at most work for one load on a disk that does not.
pub(super) const MOST_THREADS: usize = 16;

/// What becomes of a load's result.
pub(super) type Deliver = Box<dyn FnOnce(Result<Plan>) + Send>;

/// The way from the threads of a load to the one who waits for it, and to the one who watches over it.
#[derive(Clone)]
pub(super) struct Events {
    watcher: mpsc::UnboundedSender<Event>,
    /// Taken by whoever has the result first: the last thread, or the deadline.
    deliver: Arc<Mutex<Option<Deliver>>>,
}

impl Events {
    fn send(&self, event: Event) {
        // Without a watcher the load was cancelled.
        let _ = self.watcher.send(event);
    }

    /// Whether the load was cancelled, so that nobody waits for it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.watcher.is_closed()
    }

    pub(super) fn blocked(&self, path: PathBuf, unit: Option<usize>) {
        self.send(Event::Blocked { path, unit });
    }

    /// Says that what was found is about something else.
    pub(super) fn anew(&self) {
        self.send(Event::Anew);
    }

    /// Delivers the result from here: one hop less than through the watcher.
    pub(super) fn end(&self, result: Result<Plan>) {
        let deliver = self.deliver.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(deliver) = deliver {
            deliver(result);
        }
        self.send(Event::Ended);
    }
}

/// What the threads of a load report.
pub(super) enum Event {
    /// The project is known; this is the rest of the work, which more threads can join.
    Found(Arc<Work>),
    /// Somebody else is looking at `path`; it concerns this unit of the work, or all before it was found.
    Blocked { path: PathBuf, unit: Option<usize> },
    /// That path is free again.
    Released { unit: Option<usize> },
    /// All was in vain, and has to be done again.
    Anew,
    /// The result was delivered.
    Ended,
}

/// Starts the job at once, and has its result delivered once. The future watches over it: it has to be driven for the deadline to
/// hold, and dropping it ends the load, whose threads stop after the call they are in.
pub(super) fn start(job: Arc<Job>, deliver: Deliver) -> impl Future<Output = ()> + Send {
    let deadline = Instant::from_std(job.deadline);
    let (watcher, reports) = mpsc::unbounded_channel();
    let events = Events { watcher, deliver: Arc::new(Mutex::new(Some(deliver))) };
    let beginning = begin(&job, &events);
    watch(job, events, reports, beginning, deadline)
}

/// As [`start`], but on the thread that calls the function which is returned too.
pub(super) fn start_here(job: Arc<Job>, deliver: Deliver) -> (impl Future<Output = ()> + Send, impl FnOnce() + Send) {
    let deadline = Instant::from_std(job.deadline);
    let (watcher, reports) = mpsc::unbounded_channel();
    let events = Events { watcher, deliver: Arc::new(Mutex::new(Some(deliver))) };
    let (beginning, run) = prepare(&job);
    let here = events.clone();
    (watch(job, events, reports, beginning, deadline), move || reporting(&here, run))
}

async fn watch(
    job: Arc<Job>,
    events: Events,
    mut reports: mpsc::UnboundedReceiver<Event>,
    mut beginning: Watch,
    deadline: Instant,
) {
    // The path of somebody else's that the beginning waits for.
    let mut awaited = None;
    let mut work: Option<Arc<Work>> = None;
    let mut threads = 1;
    loop {
        let before = work.as_ref().map(|work| work.progress());
        let may_stall = threads < MOST_THREADS && before.is_some_and(|(_, open)| open);
        let wake = if may_stall { deadline.min(Instant::now() + STALL) } else { deadline };
        match timeout_at(wake, reports.recv()).await {
            Ok(Some(Event::Found(found))) => work = Some(found),
            Ok(Some(Event::Anew)) => {
                job.hindered.store(true, Ordering::Relaxed);
                (work, threads, beginning) = (None, 1, begin(&job, &events));
            }
            // The channel stays open as long as this function holds a sender.
            Ok(Some(Event::Ended) | None) => return,
            Ok(Some(Event::Blocked { path, unit })) => {
                if unit.is_none() {
                    awaited = Some(path.clone());
                }
                tokio::spawn(report_release(Arc::clone(&job.calls), path, unit, events.clone(), deadline));
            }
            Ok(Some(Event::Released { unit })) => match (unit, &work) {
                (Some(unit), Some(work)) => join(work, Some(unit), &job.calls, &events),
                _ => (awaited, beginning) = (None, begin(&job, &events)),
            },
            Err(_) if Instant::now() >= deadline => break,
            Err(_) => {
                if let Some(work) = &work
                    && (threads < ENOUGH_THREADS || before == Some(work.progress()))
                {
                    join(work, None, &job.calls, &events);
                    threads += 1;
                }
            }
        }
    }
    let after_ms = u64::try_from(job.request.timeout.as_millis()).unwrap_or(u64::MAX);
    // What is about another project must not run.
    let plannable = work.as_ref().filter(|work| !work.is_elsewhere());
    events.end(match plannable {
        // Here and not on a blocking thread: there may be none left, and what is parsed is only merged.
        Some(work) => match work.plan() {
            Some(plan) => Ok(plan),
            // The last thread is delivering it.
            None => return,
        },
        None => {
            let path = awaited.or_else(|| beginning.path()).unwrap_or_else(|| job.request.start_dir.clone());
            Err(Error::new(ErrorKind::Timeout { after_ms }).at(path))
        }
    });
    if let Some(work) = work {
        work.close();
    }
}

/// Starts the thread that does all stages.
fn begin(job: &Arc<Job>, events: &Events) -> Watch {
    let (watch, run) = prepare(job);
    on_a_thread(events, run);
    watch
}

fn prepare(job: &Arc<Job>) -> (Watch, impl FnOnce(&Events) + Send + use<>) {
    let look = Look::new(&job.calls);
    let watch = look.watch();
    let job = Arc::clone(job);
    (watch, move |events: &Events| match job.begin(&look) {
        Ok(work) => {
            let work = Arc::new(work);
            events.send(Event::Found(Arc::clone(&work)));
            work.run(None, &look, events);
        }
        Err(Stop::Blocked(path)) => {
            job.hindered.store(true, Ordering::Relaxed);
            events.blocked(path, None);
        }
        Err(Stop::Failed(error)) => events.end(Err(error)),
    })
}

/// Starts one more thread on the work, with this unit first.
pub(super) fn join(work: &Arc<Work>, unit: Option<usize>, calls: &Arc<Calls>, events: &Events) {
    let look = Look::new(calls);
    let work = Arc::clone(work);
    on_a_thread(events, move |events| {
        work.run(unit, &look, events);
    });
}

/// Runs it on a blocking thread.
fn on_a_thread(events: &Events, run: impl FnOnce(&Events) + Send + 'static) {
    let events = events.clone();
    tokio::task::spawn_blocking(move || reporting(&events, run));
}

/// Runs it; a panic becomes the result, so that a reply is never lost.
fn reporting(events: &Events, run: impl FnOnce(&Events)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(events))) {
        events.end(Err(defect(&*panic)));
    }
}

async fn report_release(calls: Arc<Calls>, path: PathBuf, unit: Option<usize>, events: Events, deadline: Instant) {
    if timeout_at(deadline, calls.released(&path)).await.is_ok() {
        events.send(Event::Released { unit });
    }
}
