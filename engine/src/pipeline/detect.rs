//! The second stage: which of the walked directories are the project's roots, and what the projects are called.
//!
//! It decides from the names that `walk` found; only a linked worktree's name is read from disk (`worktree`). A user's own
//! condition makes one project; the default rule makes a nest of them, a repository and its packages.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::calls::Look;
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
#[derive(Debug, Default)]
pub(super) struct Nest {
    pub(super) levels: Vec<Level>,
    /// Whether the outermost one is a repository, in which directories with a manifest are projects of their own.
    pub(super) has_packages: bool,
}

/// One project of the nest.
#[derive(Debug)]
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
        Detect::Default => {
            let marked = marked(dirs)?;
            match &marked.repository {
                Some(root) => {
                    let main_checkout = match marked.is_main_checkout {
                        true => None,
                        false => worktree::name_of_main_checkout(root, look)?,
                    };
                    Ok(Some(repository(root, main_checkout.as_deref(), &marked.manifests)?))
                }
                None => match nearest_manifest(&marked, look, home)? {
                    Some(root) => Ok(Some(Nest::single(root)?)),
                    None => Ok(None),
                },
            }
        }
        Detect::Matching { matcher, override_ } => {
            let mut root = None;
            let mut index = 0;
            while let Some(directory) = dirs.get(index)? {
                if directory.matches(matcher) {
                    root = Some(directory.path.clone());
                    if !override_ {
                        break;
                    }
                }
                index += 1;
            }
            Ok(root.map(|root| Nest::single(&root)).transpose()?)
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
        if directory.holds_any(&VCS_MARKERS) {
            marked.repository = Some(directory.path.clone());
            marked.is_main_checkout = directory.lists_directory(GIT);
            break;
        }
        let has_manifest = directory.holds_any(&MANIFESTS);
        if has_manifest {
            marked.manifests.push(directory.path.clone());
        }
        if has_manifest || directory.holds(OsStr::new(MAKEFILE)) {
            marked.buildable.push(directory.path.clone());
        }
        index += 1;
    }
    Ok(marked)
}

/// The repository and, nested in it, its packages on the way to the start directory.
fn repository(root: &Path, main_checkout: Option<&OsStr>, manifests: &[PathBuf]) -> Result<Nest> {
    let name = ProjectName::from_components([main_checkout.unwrap_or_else(|| own_name(root))])?;
    let mut levels = vec![Level { root: root.to_path_buf(), name: name.clone() }];
    let mut name = name;
    for package in manifests.iter().rev().filter(|package| is_own_code(root, package)) {
        name = name.child(own_name(package))?;
        levels.push(Level { root: package.clone(), name: name.clone() });
    }
    Ok(Nest { levels, has_packages: true })
}

/// Without a repository: the nearest directory with a manifest or a Makefile, other people's code apart. What is not "other
/// people's" is measured from the outermost such directory: above it a `vendor` is just somebody's name.
fn nearest_manifest<'m>(marked: &'m Marked, look: &Look, home: Option<&Path>) -> Result<Option<&'m Path>, Stop> {
    let mut candidates: Vec<&PathBuf> = marked.buildable.iter().filter(|dir| dir.parent().is_some()).collect();
    if let (Some(home), false) = (home, candidates.is_empty()) {
        look.at(home)?;
        let home = std::fs::canonicalize(home).unwrap_or_else(|_| home.to_path_buf());
        candidates.retain(|dir| **dir != home);
    }
    let outermost = candidates.last().copied();
    Ok(outermost.and_then(|outermost| {
        candidates.into_iter().find(|dir| *dir == outermost || is_own_code(outermost, dir)).map(PathBuf::as_path)
    }))
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
