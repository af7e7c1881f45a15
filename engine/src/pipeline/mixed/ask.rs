//! Questions to the user's code about names: all leaves of all subjects of a stage in one batch.

use tokio::sync::oneshot;

use super::super::host::{Asker, Question, Subject, Test};
use super::shared::Shared;
use crate::matcher::{Leaf, Verdict};
use crate::plan::{Plan, PlannedFile};

/// Which of these verdicts come out true. `subject` says what a leaf of the verdict at an index is asked about.
pub(super) async fn settle<'v, V>(
    shared: &Shared,
    asker: Asker,
    verdicts: V,
    subject: impl Fn(usize, Leaf) -> Subject,
) -> Vec<bool>
where
    V: Iterator<Item = &'v Verdict> + Clone,
{
    let mut tests = Vec::new();
    for (index, verdict) in verdicts.clone().enumerate() {
        let test = |leaf: Leaf| Test { leaf: leaf.id, subject: subject(index, leaf) };
        tests.extend(verdict.leaves().into_iter().map(test));
    }
    let answers = if tests.is_empty() { Vec::new() } else { ask(shared, asker, tests).await };
    let mut answers = answers.into_iter();
    let settled = verdicts.map(|verdict| {
        let known: Vec<(Leaf, bool)> =
            verdict.leaves().into_iter().map(|leaf| (leaf, answers.next().unwrap_or(false))).collect();
        verdict.settle(&mut |leaf| known.iter().any(|(asked, yes)| *asked == leaf && *yes))
    });
    settled.collect()
}

async fn ask(shared: &Shared, asker: Asker, tests: Vec<Test>) -> Vec<bool> {
    let (answer, answered) = oneshot::channel();
    shared.host.ask(Question::Match { asker, tests, answer });
    answered.await.unwrap_or_default()
}

/// Chooses the route of each file.
pub(super) async fn routes(shared: &Shared, plan: &mut Plan) {
    let Some((stage, routes)) = shared.job.request.routes().filter(|(_, routes)| !routes.is_empty()) else {
        return;
    };
    let files: Vec<&PlannedFile> = plan.files.iter().chain(plan.unsettled.iter().map(|(_, file)| file)).collect();
    let name_of = |file: &PlannedFile| file.path.file_name().unwrap_or_default().to_owned();
    let mut verdicts = Vec::with_capacity(files.len() * routes.len());
    for file in &files {
        let mut decided = false;
        for route in routes {
            // What comes after the first that matches for certain is not asked.
            let verdict = if decided { Verdict::No } else { route.judge(&*name_of(file)) };
            decided |= verdict == Verdict::Yes;
            verdicts.push(verdict);
        }
    }
    let subject = |index: usize, _| {
        let file = files[index / routes.len()];
        Subject::File { name: name_of(file), path: file.path.to_path_buf() }
    };
    let taken = settle(shared, Asker::Stage(stage), verdicts.iter(), subject).await;
    plan.take_routes(taken.chunks(routes.len()).map(|taken| taken.iter().position(|yes| *yes)));
}
