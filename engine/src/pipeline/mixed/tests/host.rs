//! A host that runs closures.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::pipeline::host::{Asker, Batch, Host, Matched, Question, Subject, Test};
use crate::plan::Project;

type Matches = Box<dyn Fn(&Test) -> bool + Send + Sync>;
type OnMatch = Box<dyn Fn(&Path, &[Project]) -> Matched + Send + Sync>;
type Name = Box<dyn Fn(&Path, &Path) -> Option<OsString> + Send + Sync>;
type Function = Box<dyn FnOnce(Items) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Stands for a stage.
pub(super) const EXCLUDE: usize = usize::MAX;

/// The user's code. What is not given drops what it is asked.
pub(super) struct Scripted {
    runtime: Handle,
    functions: Mutex<HashMap<Range<usize>, Function>>,
    matches: Option<Matches>,
    on_match: Option<OnMatch>,
    finder: Option<Box<dyn Fn() -> Vec<PathBuf> + Send + Sync>>,
    name: Option<Name>,
    /// All tests, a list for each question, with the stage; [`EXCLUDE`] of those about excluded directories.
    pub(super) tests: Mutex<Vec<(usize, Vec<Test>)>>,
    /// Questions that nobody answers are kept here, if so wanted.
    kept: Option<Mutex<Vec<Question>>>,
}

impl Scripted {
    pub(super) fn new(runtime: &tokio::runtime::Runtime) -> Self {
        Self {
            runtime: runtime.handle().clone(),
            functions: Mutex::default(),
            matches: None,
            on_match: None,
            finder: None,
            name: None,
            tests: Mutex::default(),
            kept: None,
        }
    }

    pub(super) fn function<F, R>(self, stages: Range<usize>, function: F) -> Self
    where
        F: FnOnce(Items) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.functions.lock().unwrap().insert(stages, Box::new(|items| Box::pin(function(items))));
        self
    }

    pub(super) fn matches(self, matches: impl Fn(&Test) -> bool + Send + Sync + 'static) -> Self {
        Self { matches: Some(Box::new(matches)), ..self }
    }

    pub(super) fn on_match(self, on_match: impl Fn(&Path, &[Project]) -> Matched + Send + Sync + 'static) -> Self {
        Self { on_match: Some(Box::new(on_match)), ..self }
    }

    pub(super) fn finder(self, finder: impl Fn() -> Vec<PathBuf> + Send + Sync + 'static) -> Self {
        Self { finder: Some(Box::new(finder)), ..self }
    }

    pub(super) fn name(self, name: impl Fn(&Path, &Path) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self { name: Some(Box::new(name)), ..self }
    }

    /// Keeps what it is asked and answers nothing.
    pub(super) fn keeping(self) -> Self {
        Self { kept: Some(Mutex::default()), ..self }
    }

    pub(super) fn arc(self) -> Arc<Self> {
        Arc::new(self)
    }

    pub(super) fn take_kept(&self) -> Vec<Question> {
        self.kept.as_ref().map(|kept| std::mem::take(&mut *kept.lock().unwrap())).unwrap_or_default()
    }
}

impl Host for Scripted {
    fn ask(&self, question: Question) {
        if let Some(kept) = &self.kept {
            return kept.lock().unwrap().push(question);
        }
        match question {
            Question::Match { asker, tests, answer } => {
                if let Some(matches) = &self.matches {
                    let answers = tests.iter().map(matches).collect();
                    let stage = match asker {
                        Asker::Stage(stage) => stage,
                        Asker::Exclude => EXCLUDE,
                    };
                    self.tests.lock().unwrap().push((stage, tests));
                    drop(answer.send(answers));
                }
            }
            Question::OnMatch { dir, projects, answer, .. } => {
                if let Some(on_match) = &self.on_match {
                    drop(answer.send(on_match(&dir, &projects)));
                }
            }
            Question::Name { root, start_dir, answer } => {
                if let Some(name) = &self.name {
                    drop(answer.send(name(&root, &start_dir)));
                }
            }
            Question::Find { answer, .. } => {
                if let Some(finder) = &self.finder {
                    drop(answer.send(finder()));
                }
            }
            Question::Run { stages, items, out } => {
                if let Some(function) = self.functions.lock().unwrap().remove(&stages) {
                    self.runtime.spawn(function(Items { items, waiting: VecDeque::new(), out: Some(out), news: None }));
                }
            }
        }
    }
}

/// What a function sees of its stage.
pub(super) struct Items {
    items: mpsc::Receiver<Batch>,
    waiting: VecDeque<OsString>,
    out: Option<mpsc::Sender<Batch>>,
    /// The projects as it was told of them last.
    pub(super) news: Option<Vec<Project>>,
}

impl Items {
    pub(super) async fn next(&mut self) -> Option<OsString> {
        while self.waiting.is_empty() {
            let Batch { items, projects } = self.items.recv().await?;
            assert!(items.len() <= 64 && (!items.is_empty() || projects.is_some()));
            self.waiting.extend(items);
            if projects.is_some() {
                self.news = projects;
            }
        }
        self.waiting.pop_front()
    }

    /// Sends one item; false if nobody takes it.
    pub(super) async fn send(&mut self, item: OsString) -> bool {
        self.send_batch(Batch { items: vec![item], projects: None }).await
    }

    pub(super) async fn send_batch(&mut self, batch: Batch) -> bool {
        match &self.out {
            Some(out) => out.send(batch).await.is_ok(),
            None => false,
        }
    }

    /// Ends the output.
    pub(super) fn done(&mut self) {
        self.out = None;
    }
}

/// What is asked, shortened: the leaf, and the last part of the path.
pub(super) fn short(test: &Test) -> (usize, String) {
    let path = match &test.subject {
        Subject::Directory { path, .. } | Subject::File { path, .. } => path,
    };
    (test.leaf, path.file_name().unwrap_or_default().to_str().unwrap().to_owned())
}
