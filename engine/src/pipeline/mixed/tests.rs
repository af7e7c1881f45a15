//! Pipelines with the user's code in real directories; the user's code is closures, run by a host on the same runtime.

mod detecting;
mod disks;
mod files;
mod host;
mod naming;
mod streams;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::tests::{SHORT, Scene, files};
use super::super::{Detect, Direction, Request, Stage};
use crate::error::Result;
use crate::matcher::{Leaf, Matcher};
use crate::plan::{Plan, Project};
use host::{Items, Scripted};

const LONG: Duration = Duration::from_secs(60);

const UP: Stage = Stage::Walk { direction: Direction::Up, matcher: None };
const DOWN: Stage = Stage::Walk { direction: Direction::Down, matcher: None };
const DETECT: Stage = Stage::Detect { how: Detect::Default { override_: false }, on_match: false };
const FIND: Stage = Stage::FindFiles { extensions: None, matcher: None, finder: false };
const EXECUTE: Stage = Stage::Execute { routes: Vec::new() };

fn literal(name: &str) -> Matcher {
    Matcher::Literal(name.into())
}

/// A function of the user's of a directory's path, or of a file.
fn leaf(id: usize) -> Matcher {
    Matcher::Leaf(Leaf { id, of_names: false })
}

/// A pattern of the user's.
fn leaf_of_names(id: usize) -> Matcher {
    Matcher::Leaf(Leaf { id, of_names: true })
}

fn matching(matcher: Matcher) -> Stage {
    Stage::Detect { how: Detect::Matching { matcher, override_: false }, on_match: false }
}

fn overriding(matcher: Matcher) -> Stage {
    Stage::Detect { how: Detect::Matching { matcher, override_: true }, on_match: false }
}

fn with_on_match(stage: Stage) -> Stage {
    match stage {
        Stage::Detect { how, .. } => Stage::Detect { how, on_match: true },
        other => other,
    }
}

impl Scene {
    fn make(&self, directories: &[&str]) {
        for directory in directories {
            fs::create_dir_all(self.path(directory)).unwrap();
        }
    }

    fn request_with(&self, start: &str, stages: Vec<Stage>, timeout: Duration) -> Request {
        Request { start_dir: self.path(start), stages, ..self.request(timeout) }
    }

    /// The plan for `start`.
    fn run(&self, start: &str, stages: Vec<Stage>, host: &Arc<Scripted>) -> Plan {
        self.run_within(start, stages, host, LONG).unwrap()
    }

    fn run_within(&self, start: &str, stages: Vec<Stage>, host: &Arc<Scripted>, timeout: Duration) -> Result<Plan> {
        let request = self.request_with(start, stages, timeout);
        self.runtime.block_on(self.engine.plan(request, |_| None, Arc::clone(host) as _))
    }

    /// A path as it is told in tests: from the directory of the scene.
    fn told(&self, path: impl AsRef<Path>) -> String {
        let root = self.directory.path().canonicalize().unwrap();
        let path = path.as_ref();
        path.strip_prefix(root).unwrap_or(path).display().to_string()
    }

    fn roots(&self, plan: &Plan) -> Vec<String> {
        plan.projects.iter().map(|project| self.told(&project.root)).collect()
    }

    fn item(&self, path: &str) -> OsString {
        self.path(path).into_os_string()
    }

    fn project(&self, root: &str, name: &str) -> Project {
        Project { root: self.path(root), name: name.into() }
    }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.projects.iter().map(|project| project.name.to_str().unwrap()).collect()
}

fn problems(plan: &Plan) -> Vec<String> {
    plan.problems.iter().map(ToString::to_string).collect()
}

/// A function that sends on what it gets.
async fn pass(mut items: Items) {
    while let Some(item) = items.next().await {
        items.send(item).await;
    }
}
