//! What is left when all stages before `execute` have come to their end: the files are found (or known by name) and read.
//!
//! It is the beginning of the work that native pipelines do, too (`execute`, on the threads of `runner`).

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::super::calls::Look;
use super::super::detect::Nest;
use super::super::execute::Work;
use super::super::find_files::{Candidate, Filter, Rank, extension, kind_of};
use super::super::{Job, Kind, Stop, search};
use super::layout::End;
use super::shared::Shared;
use crate::error::Result;
use crate::open::{ConfigDir, Place};

#[derive(Debug)]
pub(in super::super) struct Tail {
    start: PathBuf,
    nest: Nest,
    files: Files,
}

#[derive(Debug)]
enum Files {
    Search(Vec<Filter>),
    Named(Vec<Named>),
}

/// A file that a stage has named.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    kind: usize,
}

impl Tail {
    /// `named` is what has come out of the last segment.
    pub(super) fn new(shared: &Shared, end: End, named: Vec<OsString>) -> Result<Self> {
        let files = match end {
            End::Nothing => Files::Search(Vec::new()),
            End::Search(filters) => Files::Search(filters),
            End::Named(stage) => Files::Named(usable(shared, stage, named)),
        };
        Ok(Self { start: shared.start(), nest: shared.nest()?, files })
    }

    pub(in super::super) fn begin(&self, job: &Arc<Job>, look: &Look) -> Result<Work, Stop> {
        let began = Instant::now();
        let (start, nest) = (self.start.clone(), self.nest.clone());
        match &self.files {
            Files::Search(filters) => {
                let search = search(job, look, filters.clone(), None)?;
                look.rest();
                Ok(Work::new(Arc::clone(job), start, nest, search, None, began)?)
            }
            Files::Named(files) => {
                let path = &job.request.config_dir;
                look.at(path)?;
                let config_dir = ConfigDir::open(path)?;
                look.rest();
                let candidate =
                    |(index, file)| self.candidate(file, index + 1, config_dir.as_ref(), &job.request.kinds);
                let files = files.iter().enumerate().filter_map(candidate).collect();
                Ok(Work::of_files(Arc::clone(job), start, nest, config_dir, began, files))
            }
        }
    }

    fn candidate(
        &self,
        file: &Named,
        arrival: usize,
        config_dir: Option<&ConfigDir>,
        kinds: &[Kind],
    ) -> Option<Candidate> {
        let innermost = self.nest.levels.len() - 1;
        let inside = config_dir.and_then(|config_dir| {
            let relative = file.path.strip_prefix(config_dir.path()).ok()?;
            Some((config_dir.place(relative).ok()?, self.layer(relative, kinds)))
        });
        let (place, layer, elsewhere) = match inside {
            Some((place, layer)) => (place, layer.unwrap_or(innermost), false),
            None => (Place::by_itself(&file.path)?, innermost, true),
        };
        Some(Candidate { place, elsewhere, rank: Rank::of_named(file.kind, arrival, layer) })
    }

    /// The project whose file lies at this place in `config_dir`.
    fn layer(&self, relative: &Path, kinds: &[Kind]) -> Option<usize> {
        let name = relative.file_name()?;
        let extension = extension(name).filter(|extension| kind_of(kinds, extension).is_some())?;
        let levels = || self.nest.levels.iter().enumerate().rev();
        let is_own = |stem: PathBuf| {
            let mut own = stem.into_os_string();
            own.push(extension);
            own == relative.as_os_str()
        };
        let own = levels().find(|(_, level)| is_own(level.name.file_stem()));
        let by_directory = || levels().find(|(_, level)| Some(&*level.name.directory()) == relative.parent());
        own.or_else(by_directory).map(|(layer, _)| layer)
    }
}

/// Those that can be read, each once; what is wrong with the others is told.
fn usable(shared: &Shared, stage: usize, named: Vec<OsString>) -> Vec<Named> {
    let kinds = &shared.job.request.kinds;
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for path in named {
        match absolute(&path).and_then(|path| Ok((kind_of_file(&path, kinds)?, path))) {
            Ok((kind, path)) => {
                if seen.insert(path.clone()) {
                    files.push(Named { path, kind });
                }
            }
            Err(what) => shared.refuse(stage, &what),
        }
    }
    files
}

/// The path that an item is, in one spelling.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn absolute(item: &OsStr) -> Result<PathBuf, String> {
    if item.as_encoded_bytes().contains(&0) {
        return Err(format!("expected a path without NUL, got {item:?}"));
    }
    let path = Path::new(item);
    if !path.is_absolute() {
        return Err(format!("expected an absolute path, got '{}'", path.display()));
    }
    Ok(path.components().filter(|component| !matches!(component, Component::CurDir)).collect())
}

/// The kind of a file by its extension.
///
/// # Errors
/// What is wrong with its name, in words.
fn kind_of_file(path: &Path, kinds: &[Kind]) -> Result<usize, String> {
    let kind = path.file_name().and_then(|name| kind_of(kinds, extension(name)?));
    kind.ok_or_else(|| {
        format!("no executor takes files like '{}'; give executors.<kind> for its extension", path.display())
    })
}
