//! A segment of `find_files` stages that does more than a search by name: one with leaves or a finder, or one whose files go
//! through a function.
//!
//! It takes directories to their end, when the project is known, and then sends the files that are there, in the order in which
//! they run. Whether a file is fit to be read is for whoever reads it to say (`execute`).

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::super::calls::Look;
use super::super::detect::Nest;
use super::super::find_files::{Candidate, Filter, Search, extension, kind_of};
use super::super::host::{Asker, Batch, Question, Subject};
use super::super::{Job, Stage, Stop};
use super::ask;
use super::link::Link;
use super::shared::Shared;
use super::tail::absolute;
use super::trip::{self, Trip};
use crate::error::{Error, Result};
use crate::matcher::{Matcher, Verdict};
use crate::open::ConfigDir;

/// Runs it to its end.
///
/// # Errors
/// `Timeout`, and a `config_dir` that cannot be opened.
pub(super) async fn run(
    shared: Arc<Shared>,
    stages: Range<usize>,
    forward: bool,
    source: Option<mpsc::Receiver<Batch>>,
    mut link: Link,
) -> Result<()> {
    let mut sent = HashSet::new();
    if let Some(mut source) = source {
        while let Some(Batch { items, projects }) = source.recv().await {
            shared.adopt(projects, stages.start.saturating_sub(1), "").await?;
            if forward {
                sent.extend(items.iter().cloned());
                link.send(&shared, items).await;
            }
        }
    }
    shared.decided_before(stages.start).await;
    for files in [searched(&shared, stages.clone()).await?, named(&shared, stages).await] {
        let new: Vec<OsString> = files.into_iter().map(PathBuf::into_os_string).collect();
        let new: Vec<OsString> = new.into_iter().filter(|file| sent.insert(file.clone())).collect();
        link.send(&shared, new).await;
    }
    Ok(())
}

/// One `find_files` stage.
struct Finding<'a> {
    stage: usize,
    filter: Filter,
    matcher: Option<&'a Matcher>,
}

/// Those of the stages that search, or else those with a finder.
fn findings(shared: &Shared, stages: Range<usize>, with_finder: bool) -> Vec<Finding<'_>> {
    let finding = |stage: usize| match &shared.job.request.stages[stage] {
        Stage::FindFiles { extensions, matcher, finder } if *finder == with_finder => {
            // The matcher is asked later, with its leaves.
            let filter = Filter { extensions: extensions.clone(), matcher: None };
            Some(Finding { stage, filter, matcher: matcher.as_ref() })
        }
        _ => None,
    };
    stages.filter_map(finding).collect()
}

impl Finding<'_> {
    /// Which of these files it lets through.
    async fn lets_through(&self, shared: &Shared, files: &[&Path]) -> Vec<bool> {
        let kinds = &shared.job.request.kinds;
        let judge = |path: &&Path| {
            let name = path.file_name().unwrap_or_default();
            let extension = extension(name).filter(|extension| self.filter.takes_extension(extension));
            match (extension.and_then(|extension| kind_of(kinds, extension)), self.matcher) {
                (None, _) => Verdict::No,
                (Some(_), None) => Verdict::Yes,
                (Some(_), Some(matcher)) => matcher.judge(name),
            }
        };
        let verdicts: Vec<Verdict> = files.iter().map(judge).collect();
        let subject = |index: usize, _| {
            let path: &Path = files[index];
            let name: &OsStr = path.file_name().unwrap_or_default();
            Subject::File { name: name.to_owned(), path: path.to_path_buf() }
        };
        ask::settle(shared, Asker::Stage(self.stage), verdicts.iter(), subject).await
    }
}

/// The files that the searching stages find, those of all together in the order in which they run.
async fn searched(shared: &Shared, stages: Range<usize>) -> Result<Vec<PathBuf>> {
    let first = stages.start;
    let findings = findings(shared, stages, false);
    if findings.is_empty() {
        return Ok(Vec::new());
    }
    let filters = findings.iter().map(|finding| finding.filter.clone()).collect();
    let trip = Finds { nest: shared.settled_nest().await?, filters, found: Vec::new(), problems: Vec::new() };
    let Finds { found, problems, .. } = trip::make(shared, trip).await?;
    problems.into_iter().for_each(|problem| shared.problem(first, problem));
    let paths: Vec<&Path> = found.iter().map(|candidate| &**candidate.place.path()).collect();
    let mut taken = vec![false; paths.len()];
    for finding in &findings {
        let open: Vec<usize> = (0..paths.len()).filter(|index| !taken[*index]).collect();
        let asked: Vec<&Path> = open.iter().map(|index| paths[*index]).collect();
        for (index, yes) in open.into_iter().zip(finding.lets_through(shared, &asked).await) {
            taken[index] = yes;
        }
    }
    Ok(paths.into_iter().zip(taken).filter(|(_, taken)| *taken).map(|(path, _)| path.to_path_buf()).collect())
}

/// The files that finders name, in their order.
async fn named(shared: &Shared, stages: Range<usize>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for finding in findings(shared, stages, true) {
        let (answer, answered) = oneshot::channel();
        let projects = shared.take_news(finding.stage);
        shared.host.ask(Question::Find { stage: finding.stage, projects, answer });
        let mut paths = Vec::new();
        for path in answered.await.unwrap_or_default() {
            match absolute(path.as_os_str()) {
                Ok(path) => paths.push(path),
                Err(what) => shared.refuse(finding.stage, &format!("finder: {what}")),
            }
        }
        let asked: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let taken = finding.lets_through(shared, &asked).await;
        files.extend(paths.into_iter().zip(taken).filter(|(_, taken)| *taken).map(|(path, _)| path));
    }
    files
}

/// The trip that looks which files are there.
struct Finds {
    nest: Nest,
    filters: Vec<Filter>,
    found: Vec<Candidate>,
    problems: Vec<Error>,
}

impl Trip for Finds {
    fn run(&mut self, job: &Job, look: &Look) -> Result<(), Stop> {
        // From the beginning, when it was blocked.
        self.found.clear();
        self.problems.clear();
        let request = &job.request;
        look.at(&request.config_dir)?;
        let Some(config_dir) = ConfigDir::open(&request.config_dir)? else { return Ok(()) };
        let search = Search { config_dir, filters: self.filters.clone() };
        for candidate in search.own_files(&self.nest, &request.kinds)? {
            look.at(candidate.place.path())?;
            // What is wrong with one is told when it is read.
            if !matches!(search.config_dir.stat_itself(&candidate.place), Ok(None)) {
                self.found.push(candidate);
            }
        }
        for layer in 0..self.nest.levels.len() {
            match search.in_directory(&self.nest, layer, &request.kinds, job.known(), look) {
                Ok(candidates) => self.found.extend(candidates),
                Err(Stop::Failed(error)) => self.problems.push(error),
                Err(blocked) => return Err(blocked),
            }
        }
        self.found.sort_by_key(|candidate| candidate.rank);
        Ok(())
    }
}
