//! A segment of directories: a walk, if there is one, and the detect stages behind it.
//!
//! All directories go on to the next segment, whatever the detect stages make of them. Each of those decides when those before
//! it have: until then it keeps what was seen.

use std::ffi::OsString;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::super::Stage;
use super::super::detect::Level;
use super::super::host::{Asker, Batch, Matched, Question, Subject};
use super::super::naming::Found;
use super::ask;
use super::decide::{Detecting, Waiting};
use super::link::Link;
use super::shared::Shared;
use super::survey::{Incoming, Seen, Sight, Survey};
use super::tail::absolute;
use super::trip;
use crate::error::{Error, ErrorKind, Result};
use crate::matcher::Verdict;

/// Runs it to its end. Without a source it begins with the start directory.
///
/// # Errors
/// What keeps a load from its project: `Timeout`, or what is wrong with the start directory.
pub(super) async fn run(
    shared: Arc<Shared>,
    stages: Range<usize>,
    source: Option<mpsc::Receiver<Batch>>,
    link: Link,
) -> Result<()> {
    let mut segment = Segment::new(&shared, stages, source.is_none());
    segment.run(source, link).await
}

struct Segment<'a> {
    shared: &'a Shared,
    first: usize,
    survey: Survey,
    detects: Vec<Detecting>,
}

impl<'a> Segment<'a> {
    fn new(shared: &'a Shared, stages: Range<usize>, begins: bool) -> Self {
        let mut survey = Survey::default();
        let mut detects = Vec::new();
        for index in stages.clone() {
            match &shared.job.request.stages[index] {
                Stage::Walk { direction, matcher } => survey.walk = Some((*direction, matcher.clone())),
                Stage::Detect { how, on_match } => {
                    survey.wanted.push(Some(Detecting::wanted(how)));
                    detects.push(Detecting::new(index, how, *on_match));
                }
                Stage::FindFiles { .. } | Stage::Execute { .. } | Stage::Call => {}
            }
        }
        survey.incoming.extend(begins.then_some(Incoming::Start));
        Self { shared, first: stages.start, survey, detects }
    }

    async fn run(&mut self, mut source: Option<mpsc::Receiver<Batch>>, mut link: Link) -> Result<()> {
        loop {
            self.settle_idle();
            if link.is_closed() && self.detects.iter().all(|detect| detect.done) && !self.survey.begins() {
                // Nobody wants to know more of directories. What functions make of the projects still counts.
                if let Some(source) = source.as_mut().filter(|_| link.is_last()) {
                    while let Some(Batch { projects, .. }) = source.recv().await {
                        self.shared.adopt(projects, self.first.saturating_sub(1), "").await?;
                    }
                }
                break;
            }
            if self.survey.is_exhausted() {
                let Some(batch) = (match &mut source {
                    Some(source) => source.recv().await,
                    None => None,
                }) else {
                    break;
                };
                self.receive(batch).await?;
                if !self.survey.needs_disk() {
                    let incoming = std::mem::take(&mut self.survey.incoming);
                    let items = incoming.into_iter().filter_map(|incoming| match incoming {
                        Incoming::Item(item, _) => Some(item),
                        Incoming::Start => None,
                    });
                    link.send(self.shared, items).await;
                    continue;
                }
            }
            self.look_on().await?;
            let seen = self.walked().await;
            self.distribute(&seen);
            for index in 0..self.detects.len() {
                if self.shared.is_decided_before(self.detects[index].stage) {
                    self.advance(index, false).await?;
                }
            }
            let mut items: Vec<OsString> = seen.into_iter().map(|seen| seen.item).collect();
            if !link.is_closed() {
                items.append(&mut self.survey.climb(items.len()));
            }
            link.send(self.shared, items).await;
        }
        drop(source);
        for index in 0..self.detects.len() {
            self.shared.decided_before(self.detects[index].stage).await;
            self.advance(index, true).await?;
            self.done(index);
        }
        // What was decided at the end is news, too.
        link.send(self.shared, []).await;
        Ok(())
    }

    async fn receive(&mut self, Batch { items, projects }: Batch) -> Result<()> {
        self.shared.adopt(projects, self.first.saturating_sub(1), "").await?;
        for item in items {
            match absolute(&item) {
                Ok(path) => self.survey.incoming.push_back(Incoming::Item(item, path)),
                Err(what) => self.shared.refuse(self.first, &what),
            }
        }
        self.settle_idle();
        Ok(())
    }

    /// Goes to the disk for the next directories.
    async fn look_on(&mut self) -> Result<()> {
        let survey = std::mem::take(&mut self.survey);
        self.survey = trip::make(self.shared, survey).await?;
        if let Some(start) = self.survey.start.take() {
            self.shared.set_start(start);
        }
        for error in std::mem::take(&mut self.survey.problems) {
            let Error { path, .. } = error.clone();
            let what = Error { path: None, ..error };
            let text = format!("{}: {what}", self.shared.called(self.first));
            let problem = Error { path, ..ErrorKind::InvalidArgument(text).into() };
            self.shared.problem(self.first, problem);
        }
        Ok(())
    }

    /// What the last trip has brought, without what the walk's leaves do not want.
    async fn walked(&mut self) -> Vec<Seen> {
        let mut seen = std::mem::take(&mut self.survey.seen);
        let subject = |index: usize, leaf| of_directory(&seen[index], leaf);
        let taken =
            ask::settle(self.shared, Asker::Stage(self.first), seen.iter().map(|seen| &seen.walked), subject).await;
        let mut taken = taken.into_iter();
        seen.retain(|_| taken.next().unwrap_or(false));
        seen
    }

    /// Hands what was seen to the detect stages that want to know.
    fn distribute(&mut self, seen: &[Seen]) {
        for (index, detect) in self.detects.iter_mut().enumerate().filter(|(_, detect)| !detect.done) {
            let waiting = seen.iter().filter_map(|seen| {
                let sight = seen.sights.get(index)?.clone()?;
                let (names, excluded) = (seen.names.clone(), seen.excluded.clone());
                Some(Waiting { path: seen.path.clone(), sight, excluded, names })
            });
            detect.waiting.extend(waiting);
        }
    }

    /// Ends detect stages that have nothing to do, since a project is known.
    fn settle_idle(&mut self) {
        for index in 0..self.detects.len() {
            let detect = &self.detects[index];
            if !detect.done && self.shared.is_decided_before(detect.stage) && self.is_idle(index) {
                self.done(index);
            }
        }
    }

    fn is_idle(&self, index: usize) -> bool {
        let detect = &self.detects[index];
        !detect.on_match && !detect.override_ && self.shared.has_found()
    }

    fn done(&mut self, index: usize) {
        let detect = &mut self.detects[index];
        detect.done = true;
        detect.waiting.clear();
        self.survey.wanted[index] = None;
        self.shared.decide(detect.stage);
    }

    /// Has a detect stage decide as far as it can.
    async fn advance(&mut self, index: usize, at_end: bool) -> Result<()> {
        while !self.detects[index].done {
            if self.is_idle(index) {
                self.done(index);
                return Ok(());
            }
            let detect = &mut self.detects[index];
            if let Some(found) = detect.candidate(at_end && detect.waiting.is_empty()) {
                if self.accept(index, &found).await? {
                    self.done(index);
                } else if let Some(root) = found.roots.last() {
                    self.detects[index].reject(root);
                }
                continue;
            }
            if detect.waiting.is_empty() {
                return Ok(());
            }
            self.show_next(index).await;
        }
        Ok(())
    }

    /// Shows a detect stage some of what waits, when the leaves have been asked.
    async fn show_next(&mut self, index: usize) {
        let detect = &mut self.detects[index];
        let next = detect.next();
        let shown: Vec<Waiting> = detect.waiting.drain(..next).collect();
        let mut verdicts: Vec<(usize, &Verdict)> = Vec::new();
        for (at, waiting) in shown.iter().enumerate() {
            if let Sight::Levels(levels) = &waiting.sight {
                verdicts.extend(levels.iter().map(|level| (at, level)));
            }
        }
        let subject = |at: usize, leaf: crate::matcher::Leaf| {
            let waiting = &shown[verdicts[at].0];
            let names = leaf.of_names.then(|| waiting.names.as_deref().unwrap_or_default().to_vec());
            Subject::Directory { path: waiting.path.clone(), names }
        };
        let stage = detect.stage;
        let verdicts = verdicts.iter().map(|(_, verdict)| *verdict);
        let settled = ask::settle(self.shared, Asker::Stage(stage), verdicts, subject).await;
        let mut settled = settled.as_slice();
        let mut seen = Vec::with_capacity(shown.len());
        for waiting in &shown {
            let count = match &waiting.sight {
                Sight::Levels(levels) => levels.len(),
                Sight::Marks { .. } => 0,
            };
            let (levels, rest) = settled.split_at(count);
            settled = rest;
            let may_be_root = match &waiting.sight {
                Sight::Levels(_) => levels.contains(&true),
                marks @ Sight::Marks { .. } => marks.is_of_interest(),
            };
            if may_be_root {
                seen.push((waiting, levels));
            }
        }
        let excluded = self.shared.excluded(seen.iter().map(|(waiting, _)| *waiting)).await;
        let detect = &mut self.detects[index];
        for ((waiting, levels), _) in seen.into_iter().zip(excluded).filter(|(_, excluded)| !excluded) {
            detect.show(waiting.path.clone(), &waiting.sight, levels);
        }
    }

    /// Makes the nest the project, unless one is known that stays, and asks the user's code about it.
    async fn accept(&self, index: usize, found: &Found) -> Result<bool> {
        let Detecting { stage, on_match, override_, .. } = self.detects[index];
        let before = self.shared.found();
        let takes = override_ || before.is_none();
        if takes {
            let nest = self.shared.named(found.clone()).await?;
            self.shared.set_nest(stage, Some(nest), !on_match);
        }
        let Some(root) = found.roots.last().filter(|_| on_match) else { return Ok(true) };
        let (answer, answered) = oneshot::channel();
        let projects = self.shared.nest()?.levels.iter().map(Level::project).collect();
        self.shared.host.ask(Question::OnMatch { stage, dir: root.clone(), projects, answer });
        let Matched { accepted, projects } = answered.await.unwrap_or(Matched { accepted: true, projects: None });
        if accepted {
            self.shared.adopt(projects, stage, "on_match: ").await?;
        } else if takes {
            self.shared.set_nest(stage, before, true);
        }
        Ok(accepted)
    }
}

fn of_directory(seen: &Seen, leaf: crate::matcher::Leaf) -> Subject {
    let names = leaf.of_names.then(|| seen.names.as_deref().unwrap_or_default().to_vec());
    Subject::Directory { path: seen.path.clone(), names }
}
