//! The second stage: which of the walked directories are the project's roots.
//!
//! It decides from the names that `walk` found; only a linked worktree's name is read from disk ([`crate::repository`]). A user's own
//! condition makes one project; the default rule makes a nest of them, a repository and its packages. What they are called is
//! `naming`'s.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::calls::Look;
use super::directory::Directory;
use super::naming::Found;
use super::walk::{Dirs, is_foreign};
use super::{Detect, Job, Stop};
use crate::name::ProjectName;
use crate::plan::Project;
use crate::repository;

/// Entries that make a directory a repository.
pub(super) const VCS_MARKERS: [&str; 4] = [GIT, ".hg", ".svn", ".jj"];

const GIT: &str = ".git";

/// Entries that make a directory a package.
///
/// Build files that many languages keep in *every* directory of one package (`CMakeLists.txt`, `meson.build`, `Makefile`)
/// are not among them: each sub-directory of a C project would become a project.
pub(super) const MANIFESTS: [&str; 18] = [
    "package.json",
    "Cargo.toml",
    "go.mod",
    "pyproject.toml",
    "setup.py",
    "composer.json",
    "Gemfile",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "mix.exs",
    "pubspec.yaml",
    "deno.json",
    "deno.jsonc",
    "build.sbt",
    "Package.swift",
    "stack.yaml",
    "gleam.toml",
];

/// Where there is no repository, this makes a project too.
const MAKEFILE: &str = "Makefile";

/// The projects that the start directory lies in, outermost first.
#[derive(Debug, Clone, Default)]
pub(super) struct Nest {
    pub(super) levels: Vec<Level>,
    /// Whether the outermost one is a repository, in which directories with a manifest are projects of their own.
    pub(super) has_packages: bool,
    /// Whether the user has given the outermost one its name.
    pub(super) named: bool,
    /// Whether nothing was found, and the start directory is the project.
    pub(super) fallback: bool,
}

/// One project of the nest.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) root: PathBuf,
    pub(super) name: ProjectName,
}

impl Level {
    pub(super) fn project(&self) -> Project {
        Project { root: self.root.clone(), name: self.name.display() }
    }
}

/// Applies one detect stage. `None`: no project found, what was detected before stays.
pub(super) fn detect(detect: &Detect, dirs: &mut Dirs<'_>, job: &Job, look: &Look) -> Result<Option<Found>, Stop> {
    match detect {
        Detect::Default { .. } => {
            let marked = marked(dirs)?;
            match &marked.repository {
                Some(root) => {
                    let main_checkout = match marked.is_main_checkout {
                        true => None,
                        false => repository::name_of_main_checkout(root, look)?,
                    };
                    Ok(Some(repository(root, main_checkout, &marked.manifests)))
                }
                None => {
                    Ok(nearest_manifest(&marked.buildable, job, look)?.map(|root| Found::single(root.to_path_buf())))
                }
            }
        }
        Detect::Matching { matcher, override_ } => {
            for matcher in matcher.by_priority() {
                let mut root = None;
                let mut index = 0;
                while let Some(directory) = dirs.get(index)? {
                    let path = matcher.matches(directory).then(|| directory.path.clone());
                    if path.is_some() && dirs.admits(index)? {
                        root = path;
                        if !override_ {
                            break;
                        }
                    }
                    index += 1;
                }
                if let Some(root) = root {
                    return Ok(Some(Found::single(root)));
                }
            }
            Ok(None)
        }
    }
}

/// What the default rule needs to know of the walk: it ends at the first repository.
struct Marked {
    repository: Option<PathBuf>,
    /// Its `.git` is known to be a directory, so it is no linked worktree.
    is_main_checkout: bool,
    /// Directories with a manifest, in the order of the walk.
    manifests: Vec<PathBuf>,
    /// Those with a manifest or a Makefile.
    buildable: Vec<PathBuf>,
}

fn marked(dirs: &mut Dirs<'_>) -> Result<Marked, Stop> {
    let mut marked = Marked { repository: None, is_main_checkout: false, manifests: Vec::new(), buildable: Vec::new() };
    let mut index = 0;
    while let Some(directory) = dirs.get(index)? {
        let marks = Marks::of(directory);
        if marks != Marks::Nothing {
            let path = directory.path.clone();
            match marks {
                _ if !dirs.admits(index)? => {}
                Marks::Repository { is_main_checkout } => {
                    marked.repository = Some(path);
                    marked.is_main_checkout = is_main_checkout;
                    break;
                }
                Marks::Manifest => {
                    marked.manifests.push(path.clone());
                    marked.buildable.push(path);
                }
                Marks::Makefile => marked.buildable.push(path),
                Marks::Nothing => {}
            }
        }
        index += 1;
    }
    Ok(marked)
}

/// What the default rule sees in one directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    Repository {
        /// Its `.git` is known to be a directory, so it is no linked worktree.
        is_main_checkout: bool,
    },
    Manifest,
    Makefile,
    Nothing,
}

impl Marks {
    pub(super) fn of(directory: &Directory) -> Self {
        if directory.holds_any(&VCS_MARKERS) {
            Self::Repository { is_main_checkout: directory.lists_directory(GIT) }
        } else if directory.holds_any(&MANIFESTS) {
            Self::Manifest
        } else if directory.holds(OsStr::new(MAKEFILE)) {
            Self::Makefile
        } else {
            Self::Nothing
        }
    }
}

/// The repository and, nested in it, its packages on the way to the start directory.
pub(super) fn repository(root: &Path, main_checkout: Option<OsString>, manifests: &[PathBuf]) -> Found {
    let mut roots = vec![root.to_path_buf()];
    roots.extend(manifests.iter().rev().filter(|package| is_own_code(root, package)).cloned());
    Found { roots, main_checkout, has_packages: true, fallback: false }
}

/// Without a repository: the nearest directory with a manifest or a Makefile.
fn nearest_manifest<'m>(buildable: &'m [PathBuf], job: &Job, look: &Look) -> Result<Option<&'m Path>, Stop> {
    let home = match &job.request.home {
        // Where the walk ends before it by its spelling, it is not among them.
        Some(home) if !buildable.is_empty() => Some(job.memory.home.resolved(home, look)?),
        _ => None,
    };
    Ok(nearest_own(buildable, home.as_deref()))
}

/// The nearest of these directories, other people's code apart. What is not "other people's" is measured from the outermost
/// of them: above it a `vendor` is just somebody's name.
pub(super) fn nearest_own<'m>(buildable: &'m [PathBuf], home: Option<&Path>) -> Option<&'m Path> {
    let may_be_project = |dir: &&PathBuf| dir.parent().is_some() && Some(dir.as_path()) != home;
    let candidates: Vec<&PathBuf> = buildable.iter().filter(may_be_project).collect();
    let outermost = candidates.last().copied()?;
    candidates.into_iter().find(|dir| *dir == outermost || is_own_code(outermost, dir)).map(PathBuf::as_path)
}

/// Whether `package` lies in `root` and not below a directory of other people's code.
fn is_own_code(root: &Path, package: &Path) -> bool {
    let Ok(below) = package.strip_prefix(root) else { return false };
    let Some(parents) = below.parent() else { return false };
    !parents.components().any(|component| is_foreign(component.as_os_str()))
}
