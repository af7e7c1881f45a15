//! The driver of pipelines in which the user's code has a part: functions, `on_match`, finders, leaves of matchers.
//!
//! The stages are cut into segments with bounded channels between them (see `layout`): directories (`segment`), functions (the
//! host's), files (`files`). What touches the disk is done in trips (`trip`), each with a deadline; no thread waits for the
//! user's code (`driver`). What is left at the end, to read the files, is the same work as that of a native pipeline (`tail`,
//! `runner`, `execute`). What a stage means is decided in `decide`, for native pipelines in `detect`.

mod ask;
mod decide;
mod driver;
mod files;
mod layout;
mod link;
mod segment;
mod shared;
mod survey;
mod tail;
#[cfg(test)]
mod tests;
mod trip;

use std::ffi::OsString;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::host::{Batch, Host, Question};
use super::runner::{self, Deliver};
use super::{Job, Request, Stage};
use crate::error::{ErrorKind, Result};
use crate::plan::Plan;

use driver::{CancelOnDrop, Driver};
use layout::{End, Layout, Segment};
use link::Link;
use shared::Shared;
pub(super) use tail::Tail;

/// So many batches wait between two stages.
const BATCHES: usize = 2;

/// So many items are in a batch at most.
const MOST_ITEMS: usize = 64;

/// A segment at work.
type Task = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// What watches over the rest of a load.
type Watch = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What comes out of the last segment.
type Output = Arc<Mutex<Vec<OsString>>>;

/// Whether the user's code has a part in it.
pub(super) fn is_needed(request: &Request) -> bool {
    let stages = &request.stages;
    let last = stages.iter().position(|stage| matches!(stage, Stage::Execute { .. }));
    // What comes after `execute` is the business of whoever executes.
    let has_part = |stage: &Stage| match stage {
        Stage::Call => true,
        Stage::Walk { matcher, .. } => has_leaves(matcher.as_ref()),
        Stage::Detect { on_match, how } => *on_match || how.matcher().is_some_and(|matcher| matcher.has_leaves()),
        Stage::FindFiles { matcher, finder, .. } => *finder || has_leaves(matcher.as_ref()),
        Stage::Execute { routes } => routes.iter().any(|route| route.has_leaves()),
    };
    request.naming.asks_host() || stages[..last.map_or(stages.len(), |last| last + 1)].iter().any(has_part)
}

fn has_leaves(matcher: Option<&crate::matcher::Matcher>) -> bool {
    matcher.is_some_and(|matcher| matcher.has_leaves())
}

/// Starts the job at once, and has its result delivered once. The future has to be driven; dropping it ends the load: all
/// channels close, and all answers are dropped.
pub(super) fn start(job: Arc<Job>, host: Arc<dyn Host>, deliver: Deliver) -> impl Future<Output = ()> + Send {
    let Layout { segments, end } = Layout::of(&job.request.stages);
    let shared = Arc::new(Shared::new(job, host));
    let (segments, output) = connect(&shared, segments, &end);
    let (go_on, tail) = oneshot::channel();
    let finish = {
        let shared = Arc::clone(&shared);
        move |ended| finish(&shared, ended, end, &output, go_on, deliver)
    };
    let all = {
        let shared = Arc::clone(&shared);
        async move {
            driver::join(segments).await?;
            shared.settled_nest().await.map(drop)
        }
    };
    let driver = CancelOnDrop(Driver::start(shared, Box::pin(all), Box::new(finish)));
    async move {
        let tail = tail.await;
        drop(driver);
        if let Ok(tail) = tail {
            tail.await;
        }
    }
}

/// Connects the segments, each fed by the one before.
fn connect(shared: &Arc<Shared>, segments: Vec<Segment>, end: &End) -> (Vec<Task>, Output) {
    let mut tasks: Vec<Task> = Vec::new();
    let mut source: Option<mpsc::Receiver<Batch>> = None;
    let output = Output::default();
    let mut last = 0;
    let mut rest = segments.into_iter().peekable();
    while let Some(segment) = rest.next() {
        let (sender, receiver) = mpsc::channel(BATCHES);
        // Nobody reads what native stages send to the end.
        let is_read = rest.peek().is_some() || !matches!(segment, Segment::Directories(_));
        let shared = Arc::clone(shared);
        match segment {
            Segment::Directories(stages) => {
                let link = if is_read { Link::new(sender, stages.end) } else { Link::last() };
                tasks.push(Box::pin(segment::run(shared, stages, source.take(), link)));
            }
            Segment::Files { stages, forward } => {
                let link = Link::new(sender, stages.end);
                tasks.push(Box::pin(files::run(shared, stages, forward, source.take(), link)));
            }
            Segment::Functions(stages) => {
                last = stages.end - 1;
                let Some(items) = source.take() else { continue };
                shared.host.ask(Question::Run { stages, items, out: sender });
            }
        }
        source = is_read.then_some(receiver);
    }
    if let Some(source) = source {
        let shared = Arc::clone(shared);
        tasks.push(Box::pin(drain(shared, source, last, end.stage().is_some(), Arc::clone(&output))));
    }
    (tasks, output)
}

/// Takes what comes out at the end, so that nobody waits for room there.
async fn drain(
    shared: Arc<Shared>,
    mut source: mpsc::Receiver<Batch>,
    by: usize,
    wanted: bool,
    output: Output,
) -> Result<()> {
    while let Some(Batch { items, projects }) = source.recv().await {
        shared.adopt(projects, by, "").await?;
        if wanted {
            output.lock().unwrap_or_else(PoisonError::into_inner).extend(items);
        }
    }
    Ok(())
}

/// Does the rest on this thread, when the segments have ended. `go_on` gets what watches over it.
fn finish(
    shared: &Arc<Shared>,
    ended: Result<()>,
    end: End,
    output: &Output,
    go_on: oneshot::Sender<Watch>,
    deliver: Deliver,
) {
    let named = std::mem::take(&mut *output.lock().unwrap_or_else(PoisonError::into_inner));
    let tail = match ended.and_then(|()| Tail::new(shared, end, named)) {
        Ok(tail) => tail,
        Err(error) => return deliver(Err(error)),
    };
    let (detect, problems) = (shared.began.elapsed(), shared.take_problems());
    let complete = move |result: Result<Plan>| {
        result.map(|mut plan| {
            plan.timings.detect = detect;
            plan.problems.splice(0..0, problems);
            plan
        })
    };
    let job = Arc::new(shared.job.tail(tail));
    if !job.request.has_open_routes() {
        let (watch, run) = runner::start_here(job, Box::new(move |result| deliver(complete(result))));
        if go_on.send(Box::pin(watch)).is_ok() {
            run();
        }
        return;
    }
    let (planned, plan) = oneshot::channel();
    let (watch, run) = runner::start_here(job, Box::new(move |result| drop(planned.send(result))));
    let shared = Arc::clone(shared);
    let watch = async move {
        watch.await;
        let lost = || ErrorKind::Runtime("the result of a load was lost".into()).into();
        let mut result = plan.await.unwrap_or_else(|_| Err(lost()));
        if let Ok(plan) = &mut result {
            ask::routes(&shared, plan).await;
        }
        deliver(complete(result));
    };
    if go_on.send(Box::pin(watch)).is_ok() {
        run();
    }
}
