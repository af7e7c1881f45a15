//! Runs a load's native stages on blocking threads, with a deadline that no disk can break.
//!
//! One thread does everything as long as the disk answers: one hop there, one event back. When it does not get on for a
//! moment, more threads join it; when the time is up, what has not answered is reported and the thread is left to itself
//! (its paths stay registered in `calls`, so that nobody follows it there). What is done on the threads is the stages'
//! affair.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::calls::{Calls, Look, Watch};
use super::execute::{Work, defect};
use super::{Job, Stop, detect_and_find};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Plan;

/// No progress for this long, and one more thread takes part: long for a disk that works, short for a person.
const STALL: Duration = Duration::from_millis(2);

/// So many threads share a long list of files on a disk that works.
const ENOUGH_THREADS: usize = 2;

/// So many at most work for one load on a disk that does not.
const MOST_THREADS: usize = 16;

pub(super) type Events = mpsc::UnboundedSender<Event>;

/// What the threads of a load report.
pub(super) enum Event {
    /// The project is known; this is the rest of the work, which more threads can join.
    Found(Arc<Work>),
    /// Somebody else is looking at `path`; it concerns this unit of the work, or all before it was found.
    Blocked { path: PathBuf, unit: Option<usize> },
    /// That path is free again.
    Released { unit: Option<usize> },
    /// The last unit was answered.
    Planned(Box<Plan>),
    /// The load cannot start.
    Failed(Error),
}

/// Runs the job to its plan. Dropping the future ends the load: its threads stop after the call they are in.
pub(super) async fn run(job: Arc<Job>) -> Result<Plan> {
    let deadline = Instant::now() + job.request.timeout;
    let (events, mut reports) = mpsc::unbounded_channel();
    let mut beginning = begin(&job, &events);
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
            Ok(Some(Event::Planned(plan))) => return Ok(*plan),
            Ok(Some(Event::Failed(error))) => return Err(error),
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
            Ok(None) => return Err(ErrorKind::Runtime("the threads of a load have vanished".into()).into()),
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
    match work {
        // Here and not on a blocking thread: there may be none left, and what is parsed is only merged.
        Some(work) => Ok(work.plan()),
        None => {
            let path = awaited.or_else(|| beginning.path()).unwrap_or_else(|| job.request.start_dir.clone());
            Err(Error::new(ErrorKind::Timeout { after_ms }).at(path))
        }
    }
}

/// Starts the thread that does all stages.
fn begin(job: &Arc<Job>, events: &Events) -> Watch {
    let look = Look::new(&job.calls);
    let watch = look.watch();
    let job = Arc::clone(job);
    on_a_thread(events, move |events| match detect_and_find(&job, &look) {
        Ok(work) => {
            let work = Arc::new(work);
            let _ = events.send(Event::Found(Arc::clone(&work)));
            work.run(&look, events);
        }
        Err(Stop::Blocked(path)) => {
            let _ = events.send(Event::Blocked { path, unit: None });
        }
        Err(Stop::Failed(error)) => {
            let _ = events.send(Event::Failed(error));
        }
    });
    watch
}

/// Starts one more thread on the work, with this unit first.
fn join(work: &Arc<Work>, unit: Option<usize>, calls: &Arc<Calls>, events: &Events) {
    let look = Look::new(calls);
    let work = Arc::clone(work);
    on_a_thread(events, move |events| {
        if let Some(unit) = unit {
            work.handle(unit, &look, events);
        }
        work.run(&look, events);
    });
}

/// Runs it on a blocking thread; a panic becomes an event, so that a reply is never lost.
fn on_a_thread(events: &Events, run: impl FnOnce(&Events) + Send + 'static) {
    let events = events.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&events))) {
            let _ = events.send(Event::Failed(defect(&*panic)));
        }
    });
}

async fn report_release(calls: Arc<Calls>, path: PathBuf, unit: Option<usize>, events: Events, deadline: Instant) {
    if timeout_at(deadline, calls.released(&path)).await.is_ok() {
        let _ = events.send(Event::Released { unit });
    }
}
