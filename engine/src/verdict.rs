//! What becomes of a load that nobody has called for, once its plan is there: decided by comparing the plan with what is shown.
//!
//! A fingerprint, not an event, says whether something has changed: who only looks after the user or after the disk ends here, unnoticed,
//! where nothing has. Nothing here looks at a disk itself; loads are run by the Neovim module.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::loads::Reason;
use crate::plan::{JsonSource, Plan, PlannedFile, is_gone};

/// What is to be done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its files run, and its project becomes the current one if nobody has asked for another one since.
    Run,
    /// Its settings are shown; no code runs.
    Merge,
    /// Nothing: what is in force is what it says.
    Stay,
}

/// What a plan is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The plan that the project's context shows, if it has one.
    pub shown: Option<&'a Plan>,
    /// That context is the current one.
    pub is_current: bool,
    /// The settings that the plan leads to are others than those that the context shows.
    pub has_new_settings: bool,
}

/// Whether and how a plan is carried out that was made for this reason.
pub fn judge(reason: Reason, plan: &Plan, standing: Standing<'_>) -> Verdict {
    match (reason, standing.shown) {
        (Reason::Manual | Reason::Startup, _) => Verdict::Run,
        (Reason::Cwd | Reason::Buffer, _) if standing.is_current => Verdict::Stay,
        // Who looks at a file of the configuration has not left his project.
        (Reason::Buffer, _) if plan.is_configuration => Verdict::Stay,
        // A file that lies just anywhere.
        (Reason::Buffer, None) if plan.fallback && plan.files.is_empty() && plan.problems.is_empty() => Verdict::Stay,
        (Reason::Cwd | Reason::Buffer, _) => Verdict::Run,
        // It has been left meanwhile.
        (Reason::ConfigDir, None) => Verdict::Stay,
        (Reason::ConfigDir, Some(shown)) => {
            if standing.is_current && has_other_code(plan, shown) {
                Verdict::Run
            } else if standing.has_new_settings || has_other_sources(plan, shown) || has_other_problems(plan, shown) {
                Verdict::Merge
            } else {
                Verdict::Stay
            }
        }
    }
}

/// A plan of which only the settings are shown, with the code that goes on being in force: that of the one that is shown so far.
#[must_use]
pub fn with_code_of(mut plan: Plan, shown: &Plan) -> Plan {
    let Plan { files, kinds, .. } = &mut plan;
    let kind_now = |file: &PlannedFile| kinds.iter().position(|kind| kind.name == shown.kind(file).name);
    let kept: Vec<_> =
        code(shown).filter_map(|file| Some(PlannedFile { kind: kind_now(file)?, ..file.clone() })).collect();
    files.retain(|file| kinds[file.kind].merged && file.route.is_none());
    files.extend(kept);
    files.sort_by_key(|file| file.kind);
    plan
}

/// What is shown, for a plan that has found nothing as it could not look: where the load began, and with what, is the plan's own.
#[must_use]
pub fn in_force(plan: Plan, shown: &Plan) -> Plan {
    let Plan { start_dir, is_configuration, timings, .. } = plan;
    Plan { start_dir, is_configuration, timings, ..Plan::clone(shown) }
}

/// The files whose settings are others than in the plan that is shown, or which have come or gone.
pub fn changed_settings<'a>(plan: &'a Plan, shown: &'a Plan) -> Vec<&'a Path> {
    let by_path = |plan: &'a Plan| -> HashMap<&Path, &JsonSource> {
        plan.json_sources.iter().map(|source| (&*source.entry.path, source)).collect()
    };
    let (now, before) = (by_path(plan), by_path(shown));
    let is_same =
        |source: &JsonSource| before.get(&*source.entry.path).is_some_and(|before| has_same_text(before, source));
    let changed = plan.json_sources.iter().filter(|source| !is_same(source));
    let gone = shown.json_sources.iter().filter(|source| !now.contains_key(&*source.entry.path));
    changed.chain(gone).map(|source| &*source.entry.path).collect()
}

fn place(problem: &Error) -> Option<&OsStr> {
    problem.path().map(Path::as_os_str)
}

fn is_same_file(one: &JsonSource, other: &JsonSource) -> bool {
    one.entry.path == other.entry.path
}

fn has_same_text(one: &JsonSource, other: &JsonSource) -> bool {
    Arc::ptr_eq(&one.entry, &other.entry) || one.entry.content == other.entry.content
}

/// What is wrong now and was not wrong in the plan that is shown.
pub fn new_problems<'a>(plan: &'a Plan, shown: &Plan) -> Vec<&'a Error> {
    // By path: all of a thousand broken files with all the others would hold the main thread for 30 ms.
    let mut known: HashMap<Option<&OsStr>, Vec<&Error>> = HashMap::new();
    for problem in &shown.problems {
        known.entry(place(problem)).or_default().push(problem);
    }
    let is_known = |problem: &Error| known.get(&place(problem)).is_some_and(|known| known.contains(&problem));
    plan.problems.iter().filter(|problem| !is_known(problem)).collect()
}

/// Whether something is wrong that was not, or is right again: then it is news when it is wrong the next time.
fn has_other_problems(plan: &Plan, shown: &Plan) -> bool {
    !new_problems(plan, shown).is_empty() || !new_problems(shown, plan).is_empty()
}

/// Whether other code would run. A file that cannot be looked at counts as unchanged: what it has done stays in force.
fn has_other_code(plan: &Plan, shown: &Plan) -> bool {
    let mut now = code(plan).peekable();
    for file in code(shown) {
        match now.next_if(|now| is_same(plan, now, shown, file)) {
            Some(_) => {}
            None if is_out_of_reach(plan, &file.path) => {}
            None => return true,
        }
    }
    now.peek().is_some()
}

fn code(plan: &Plan) -> impl Iterator<Item = &PlannedFile> {
    plan.files.iter().filter(|file| !plan.is_merged(file))
}

fn is_same(plan: &Plan, file: &PlannedFile, shown: &Plan, other: &PlannedFile) -> bool {
    file.path == other.path
        && file.route == other.route
        && plan.kind(file).name == shown.kind(other).name
        && (Arc::ptr_eq(&file.entry, &other.entry) || file.entry.content == other.entry.content)
}

/// Whether something that may come right by itself keeps the file, or the directory it lies in, from being read.
fn is_out_of_reach(plan: &Plan, file: &Path) -> bool {
    let keeps = |problem: &Error| !is_gone(problem) && problem.path().is_some_and(|path| file.starts_with(path));
    plan.problems.iter().any(keeps)
}

/// Whether the settings come from other files, even if they are the same.
fn has_other_sources(plan: &Plan, shown: &Plan) -> bool {
    let (now, before) = (&plan.json_sources, &shown.json_sources);
    now.len() != before.len() || now.iter().zip(before).any(|(now, before)| !is_same_file(now, before))
}

/// Whether all that the project had has gone at once: then the directory of the configuration may have gone, which is no reason to give up
/// what it held.
pub fn has_lost_everything(plan: &Plan, shown: &Plan) -> bool {
    !shown.files.is_empty() && plan.files.is_empty() && plan.problems.is_empty()
}
