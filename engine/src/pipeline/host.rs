//! The user's code, as a pipeline sees it: questions that a [`Host`] has answered, in its own time.
//!
//! Who answers (the Neovim module, on the main loop) and how is not known here. Nothing here has a deadline: deadlines are
//! for disks. Who asks is `mixed`.

use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use crate::plan::Project;

/// Whoever runs the user's code for a pipeline.
pub trait Host: Send + Sync {
    /// Takes a question and returns at once; it is answered later, from any thread. It is called on any thread, too: functions
    /// are asked for in [`super::Engine::start`]. A dropped `answer` or channel means that
    /// the pipeline was cancelled (seen by the host), or that the user's code failed (seen by the pipeline), which then goes
    /// on as without it.
    fn ask(&self, question: Question);
}

/// The host of pipelines that ask nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn ask(&self, question: Question) {
        drop(question);
    }
}

/// What is asked of the user's code. `stage` counts from 0 in [`super::Request::stages`].
#[derive(Debug)]
pub enum Question {
    /// Which of these hold?
    Match {
        /// Whose matcher it is.
        asker: Asker,
        /// What is asked.
        tests: Vec<Test>,
        /// One answer for each test, in their order; what is missing is false, and so is all without an answer.
        answer: oneshot::Sender<Vec<bool>>,
    },
    /// Call the `on_match` of a detect stage.
    OnMatch {
        /// The detect stage.
        stage: usize,
        /// The directory that matches.
        dir: PathBuf,
        /// The nest as it is now, outermost first.
        projects: Vec<Project>,
        /// Without an answer, the directory is accepted.
        answer: oneshot::Sender<Matched>,
    },
    /// Call the function that gives the outermost project its name.
    Name {
        /// The outermost project's root.
        root: PathBuf,
        /// Where the walk began, resolved.
        start_dir: PathBuf,
        /// Its name, the components joined by slashes; without one, it is named after its directory.
        answer: oneshot::Sender<Option<OsString>>,
    },
    /// Call the finder of a `find_files` stage.
    Find {
        /// The `find_files` stage.
        stage: usize,
        /// The nest, outermost first, where it has changed since the host was last told.
        projects: Option<Vec<Project>>,
        /// Absolute paths; without an answer, none.
        answer: oneshot::Sender<Vec<PathBuf>>,
    },
    /// Run the functions of these stages, in a row.
    Run {
        /// The stages.
        stages: Range<usize>,
        /// What the first of them receives; closed at the end.
        items: mpsc::Receiver<Batch>,
        /// What the last one sends; to be closed (dropped) at the end.
        out: mpsc::Sender<Batch>,
    },
}

/// Whose matcher a leaf belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// This stage's.
    Stage(usize),
    /// [`super::Naming::exclude`].
    Exclude,
}

/// A leaf of a matcher and what it is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// [`crate::matcher::Leaf::id`].
    pub leaf: usize,
    /// What it is asked about.
    pub subject: Subject,
}

/// What a leaf is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A directory.
    Directory {
        /// Its absolute path.
        path: PathBuf,
        /// The names of its entries, for leaves that are asked with names.
        names: Option<Vec<OsString>>,
    },
    /// A file.
    File {
        /// Its name.
        name: OsString,
        /// Its absolute path.
        path: PathBuf,
    },
}

/// Items on their way between stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The items, in order; none where there is only news of the projects.
    pub items: Vec<OsString>,
    /// The nest, outermost first, where it has changed since the other side was told; empty where none is known any more.
    pub projects: Option<Vec<Project>>,
}

/// What an `on_match` has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Whether the directory is the project; otherwise the nest is again what it was before, and the search goes on.
    pub accepted: bool,
    /// The nest, where the function has changed it.
    pub projects: Option<Vec<Project>>,
}
