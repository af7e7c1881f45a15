//! The result of planning a load, as data: which project, which files with their bytes in the order they will run, the merged
//! JSON, and what went wrong. Nothing has been run; a plan can also just be shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::file_cache::FileEntry;
use crate::json::Value;
use crate::pipeline::Kind;

/// One project of the nest in which the start directory lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Project {
    /// Its directory, resolved.
    pub root: PathBuf,
    /// Its full name as users see it (`big-repo/frontend`): directory names joined by `/`, not encoded; bytes on Unix.
    pub name: std::ffi::OsString,
}

/// One configuration file that belongs to the project.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    /// Absolute path below `config_dir`.
    pub path: Arc<Path>,
    /// Index into [`Plan::kinds`].
    pub kind: usize,
    /// Index into [`Plan::projects`] of the project it belongs to.
    pub layer: usize,
    /// The bytes that were read and checked; exactly these are run.
    pub entry: Arc<FileEntry>,
}

/// One of the documents that were merged.
#[derive(Debug, Clone)]
pub struct JsonSource {
    /// Index into [`Plan::projects`] of the project it belongs to.
    pub layer: usize,
    /// The file's state.
    pub entry: Arc<FileEntry>,
    /// Not the present one, which could not be read, but the one of the plan before.
    pub outdated: bool,
}

/// How long each part of planning took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Walking up and detecting the project.
    pub detect: Duration,
    /// Finding and reading its files.
    pub read: Duration,
    /// Parsing and merging the JSON.
    pub merge: Duration,
}

/// Everything a load needs to run, decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The directory the walk began in, resolved.
    pub start_dir: PathBuf,
    /// The nest of projects, outermost first; never empty. The last one is *the* project.
    pub projects: Vec<Project>,
    /// The project's own file without its extension: `<config_dir>/<encoded name>`.
    pub stem: PathBuf,
    /// The files in the order in which they run: by kind, then outermost project first, own file before directory, byte order.
    pub files: Vec<PlannedFile>,
    /// The JSON files merged, late comers winning; an empty object where there is none. The same `Arc` as in the previous plan
    /// if no source changed.
    pub json: Arc<Value>,
    /// The documents that `json` was merged from, in order: those in `files` and, for a file with an error, its last good state.
    pub json_sources: Vec<JsonSource>,
    /// The innermost project's own JSON files that are there and cannot be read, in order.
    pub unread_json: Vec<PathBuf>,
    /// The kinds of files of the request, in the order in which they run.
    pub kinds: Vec<Kind>,
    /// What went wrong file by file; each names its path. Such a file is not in `files`.
    pub problems: Vec<Error>,
    /// How long it took.
    pub timings: Timings,
}

impl Plan {
    /// *The* project: the innermost one.
    pub fn project(&self) -> &Project {
        self.projects.last().expect("a plan is only made with at least one project")
    }

    /// The kind of one of its files.
    pub fn kind(&self, file: &PlannedFile) -> &Kind {
        &self.kinds[file.kind]
    }

    /// The file that gets new settings: the project's own JSON file if it was loaded, else the last JSON file of its own, else one of its
    /// own that is to be mended first, else `<stem>.json`, which does not exist yet.
    pub fn json_target(&self) -> PathBuf {
        // Not `with_extension`: a name may hold a dot.
        let mut own_file = self.stem.clone().into_os_string();
        own_file.push(".json");
        let own_file = PathBuf::from(own_file);
        let innermost = self.projects.len() - 1;
        let own = self.files.iter().filter(|file| self.kind(file).merged && file.layer == innermost);
        let mut last = None;
        for file in own {
            if *file.path == *own_file {
                return own_file;
            }
            last = Some(&file.path);
        }
        last.map(|last| last.to_path_buf()).or_else(|| self.unread_json.last().cloned()).unwrap_or(own_file)
    }
}
