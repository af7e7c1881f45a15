//! The result of planning a load, as data: which project, which files with their bytes in the order they will run, the merged
//! JSON, and what went wrong. Nothing has been run; a plan can also just be shown.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::file_cache::FileEntry;
use crate::json::{self, Value};
use crate::name::ProjectName;
use crate::pipeline::Kind;

/// So many problems are told one by one: each is a message to the user.
const MOST_TOLD: usize = 100;

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
    /// Index into the routes of the execute stage of the first that matches its name.
    pub route: Option<usize>,
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
    /// Whether the outermost project has its name from [`crate::pipeline::Naming::names`].
    pub named: bool,
    /// Whether nothing was found, and the start directory is the project only because of that.
    pub fallback: bool,
    /// Whether the start, of which only the nearest directory was asked for, lies in `config_dir`.
    pub is_configuration: bool,
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
    /// JSON files that do not parse, of which the user's code has yet to say whether they take a route, and their places among `files`.
    /// So far they are problems.
    pub(crate) unsettled: Vec<(usize, PlannedFile)>,
}

impl Plan {
    /// *The* project: the innermost one.
    pub fn project(&self) -> &Project {
        self.projects.last().expect("a plan is only made with at least one project")
    }

    /// Where files of its projects lie beside those at the top of `config_dir`.
    pub fn directories(&self, config_dir: &Path) -> Vec<PathBuf> {
        let directory = |project: &Project| {
            // No component holds a slash.
            let name = Path::new(&project.name);
            Some(config_dir.join(ProjectName::from_components(name.iter()).ok()?.directory()))
        };
        self.projects.iter().filter_map(directory).collect()
    }

    /// The files that it knows of: those that run or are merged, those whose former state is, and those with which something is wrong.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = self.files.iter().map(|file| &*file.path);
        let merged = self.json_sources.iter().map(|source| &*source.entry.path);
        files.chain(merged).chain(self.problems.iter().filter_map(Error::path))
    }

    /// The kind of one of its files.
    pub fn kind(&self, file: &PlannedFile) -> &Kind {
        &self.kinds[file.kind]
    }

    /// What went wrong, for telling the user: of very many, the first ones and how many there are beside.
    pub fn problems_to_tell(&self) -> Vec<Error> {
        let mut told: Vec<_> = self.problems.iter().take(MOST_TOLD).cloned().collect();
        if let Some(rest @ 1..) = self.problems.len().checked_sub(MOST_TOLD) {
            let text =
                format!("{rest} more of the load's files or items are unusable; see to those that are named first");
            told.push(ErrorKind::InvalidArgument(text).into());
        }
        told
    }

    /// The file at this path, and its position.
    pub fn file(&self, path: &Path) -> Option<(usize, &PlannedFile)> {
        let is_it = |file: &PlannedFile| file.path.as_os_str() == path.as_os_str();
        self.files.iter().enumerate().find(|(_, file)| is_it(file))
    }

    /// Whether one of its files is merged into [`Plan::json`], and not left to an executor.
    pub fn is_merged(&self, file: &PlannedFile) -> bool {
        self.kind(file).merged && file.route.is_none()
    }

    /// Gives each file its route, where that was not known when the JSON was merged: first to those of `files`, then to the unsettled ones.
    /// What takes a route is an executor's, whatever it holds.
    pub(crate) fn take_routes(&mut self, mut routes: impl Iterator<Item = Option<usize>>) {
        for file in &mut self.files {
            file.route = routes.next().flatten();
        }
        let mut added = 0;
        for (place, mut file) in std::mem::take(&mut self.unsettled) {
            file.route = routes.next().flatten();
            if file.route.is_some() {
                self.problems.retain(|problem| problem.path() != Some(&*file.path));
                self.unread_json.retain(|path| **path != *file.path);
                self.files.insert(place + added, file);
                added += 1;
            }
        }
        self.leave_routed_out();
    }

    /// Takes out of the JSON what belongs to files that take a route.
    fn leave_routed_out(&mut self) {
        let routed: HashSet<&OsStr> =
            self.files.iter().filter(|file| file.route.is_some()).map(|file| file.path.as_os_str()).collect();
        let before = self.json_sources.len();
        self.json_sources.retain(|source| !routed.contains(source.entry.path.as_os_str()));
        if self.json_sources.len() < before {
            let documents = self.json_sources.iter();
            self.json = json::overlay(documents.filter_map(|source| source.entry.json().as_ref().ok()?.as_ref()));
        }
    }

    /// The file that gets new settings.
    pub fn json_target(&self) -> PathBuf {
        JsonTarget::of(self).path(std::iter::empty())
    }
}

/// What decides which file gets new settings.
#[derive(Debug, Clone)]
pub(crate) struct JsonTarget {
    own_file: PathBuf,
    has_own_file: bool,
    /// The last one of the project's own, with its position.
    last: Option<(usize, PathBuf)>,
    unread: Option<PathBuf>,
}

impl JsonTarget {
    pub(crate) fn of(plan: &Plan) -> Self {
        // Not `with_extension`: a name may hold a dot.
        let mut own_file = plan.stem.clone().into_os_string();
        own_file.push(".json");
        let own_file = PathBuf::from(own_file);
        let innermost = plan.projects.len() - 1;
        let is_own = |file: &PlannedFile| plan.is_merged(file) && file.layer == innermost;
        let mut own = plan.files.iter().enumerate().filter(|(_, file)| is_own(file));
        let has_own_file = own.clone().any(|(_, file)| *file.path == *own_file);
        let last = own.next_back().map(|(at, file)| (at, file.path.to_path_buf()));
        Self { own_file, has_own_file, last, unread: plan.unread_json.last().cloned() }
    }

    /// The project's own JSON file if it was loaded, else the last JSON file of its own, else one of its own that is to be mended first,
    /// else `<stem>.json`, which does not exist yet. `merged` are the files that executors have merged, with their positions.
    pub(crate) fn path<'a>(&self, merged: impl Iterator<Item = (usize, &'a Path)>) -> PathBuf {
        let mut last = self.last.as_ref().map(|(at, path)| (*at, &**path));
        let mut has_own_file = self.has_own_file;
        for (at, path) in merged {
            has_own_file |= *path == *self.own_file;
            last = last.filter(|(latest, _)| *latest > at).or(Some((at, path)));
        }
        if has_own_file {
            return self.own_file.clone();
        }
        let last = last.map(|(_, path)| path.to_path_buf());
        last.or_else(|| self.unread.clone()).unwrap_or_else(|| self.own_file.clone())
    }
}

/// Whether the error says that there is no file of this name any more, so that its last values have gone with it.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::NotFound | ErrorKind::BrokenLink | ErrorKind::NotAFile(_) | ErrorKind::NotADirectory
    )
}
