//! The second stage: which of the walked directories are the project's roots, and what the projects are called.
//!
//! It decides from the names that `walk` found; only a linked worktree's name is read from disk (`worktree`). A user's own
//! condition makes one project; the default rule makes a nest of them, a repository and its packages.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::calls::Look;
use super::directory::Directory;
use super::walk::{Dirs, is_foreign};
use super::{Detect, Stop, worktree};
use crate::error::Result;
use crate::name::ProjectName;
use crate::plan::Project;

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

impl Nest {
    /// One project named after its directory.
    pub(super) fn single(root: &Path) -> Result<Self> {
        let level = Level { root: root.to_path_buf(), name: ProjectName::from_components([own_name(root)])? };
        Ok(Self { levels: vec![level], has_packages: false })
    }
}

/// Applies one detect stage. `None`: no project found, what was detected before stays.
pub(super) fn detect(
    detect: &Detect,
    dirs: &mut Dirs<'_>,
    look: &Look,
    home: Option<&Path>,
) -> Result<Option<Nest>, Stop> {
    match detect {
        Detect::Default { .. } => {
            let marked = marked(dirs)?;
            match &marked.repository {
                Some(root) => {
                    let main_checkout = match marked.is_main_checkout {
                        true => None,
                        false => worktree::name_of_main_checkout(root, look)?,
                    };
                    Ok(Some(repository(root, main_checkout.as_deref(), &marked.manifests)?))
                }
                None => match nearest_manifest(&marked.buildable, look, home)? {
                    Some(root) => Ok(Some(Nest::single(root)?)),
                    None => Ok(None),
                },
            }
        }
        Detect::Matching { matcher, override_ } => {
            for matcher in matcher.by_priority() {
                let mut root = None;
                let mut index = 0;
                while let Some(directory) = dirs.get(index)? {
                    if matcher.matches(directory) {
                        root = Some(directory.path.clone());
                        if !override_ {
                            break;
                        }
                    }
                    index += 1;
                }
                if let Some(root) = root {
                    return Ok(Some(Nest::single(&root)?));
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
        match Marks::of(directory) {
            Marks::Repository { is_main_checkout } => {
                marked.repository = Some(directory.path.clone());
                marked.is_main_checkout = is_main_checkout;
                break;
            }
            Marks::Manifest => {
                marked.manifests.push(directory.path.clone());
                marked.buildable.push(directory.path.clone());
            }
            Marks::Makefile => marked.buildable.push(directory.path.clone()),
            Marks::Nothing => {}
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
pub(super) fn repository(root: &Path, main_checkout: Option<&OsStr>, manifests: &[PathBuf]) -> Result<Nest> {
    let name = ProjectName::from_components([main_checkout.unwrap_or_else(|| own_name(root))])?;
    let mut levels = vec![Level { root: root.to_path_buf(), name: name.clone() }];
    let mut name = name;
    for package in manifests.iter().rev().filter(|package| is_own_code(root, package)) {
        name = name.child(own_name(package))?;
        levels.push(Level { root: package.clone(), name: name.clone() });
    }
    Ok(Nest { levels, has_packages: true })
}

/// Without a repository: the nearest directory with a manifest or a Makefile.
fn nearest_manifest<'m>(buildable: &'m [PathBuf], look: &Look, home: Option<&Path>) -> Result<Option<&'m Path>, Stop> {
    let home = match home {
        Some(home) if !buildable.is_empty() => Some(resolved_home(home, look)?),
        _ => None,
    };
    Ok(nearest_own(buildable, home.as_deref()))
}

/// The user's home directory as a walk comes across it.
pub(super) fn resolved_home(home: &Path, look: &Look) -> Result<PathBuf, Stop> {
    look.at(home)?;
    Ok(std::fs::canonicalize(home).unwrap_or_else(|_| home.to_path_buf()))
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

/// The name of a directory; that of `/`, which has none, is `.` (no directory can be called that, so the name is nobody
/// else's).
fn own_name(root: &Path) -> &OsStr {
    root.file_name().unwrap_or(OsStr::new("."))
}
