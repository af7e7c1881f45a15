//! What projects are called and what is none: the user's options for it.
//!
//! Which directories look like projects is for `detect` to say, where walks end for `stops`, and how a name becomes file names for
//! [`crate::name`]. The host is asked in `mixed`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::calls::Look;
use super::detect::{Level, Nest};
use super::resolve::all_resolved;
use super::{Job, Stop};
use crate::error::Result;
use crate::matcher::Matcher;
use crate::name::ProjectName;
use crate::repository;

/// How projects get their names, which directories are none, and where walks up end.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Where the outermost project's name comes from.
    pub from: NameFrom,
    /// The whole names of the projects with these roots, at any level; absolute, not resolved. The first one for a root counts.
    pub names: Vec<(PathBuf, ProjectName)>,
    /// Directories that are no project.
    pub exclude: Option<Matcher>,
    /// A walk up ends before these directories; absolute, not resolved. `None`: before [`super::Request::home`].
    pub stop_at: Option<Vec<PathBuf>>,
}

/// Where the outermost project of a nest has its name from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NameFrom {
    /// Its directory; for a linked git worktree the one of its main checkout.
    #[default]
    Directory,
    /// The path of its git remote, `owner/repo`; without one, as [`NameFrom::Directory`].
    Remote,
    /// The host is asked; without an answer, as [`NameFrom::Directory`].
    Host,
}

/// The roots of a nest that have no names yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// Outermost first; never empty.
    pub(super) roots: Vec<PathBuf>,
    /// What the main checkout of the outermost one is called, if that is a linked worktree.
    pub(super) main_checkout: Option<OsString>,
    /// As [`Nest::has_packages`].
    pub(super) has_packages: bool,
    /// As [`Nest::fallback`].
    pub(super) fallback: bool,
}

/// What was looked up for the names of a nest.
#[derive(Debug, Clone, Default)]
pub(super) struct LookedUp {
    /// [`Naming::names`], resolved.
    names: Vec<(PathBuf, ProjectName)>,
    remote: Option<ProjectName>,
}

impl Naming {
    /// Whether names have to be looked up on the disk.
    pub(super) fn needs_disk(&self) -> bool {
        !self.names.is_empty() || self.from == NameFrom::Remote
    }

    /// Whether the user's code has a part in it.
    pub(super) fn asks_host(&self) -> bool {
        self.from == NameFrom::Host || self.exclude.as_ref().is_some_and(Matcher::has_leaves)
    }
}

impl Found {
    /// One project.
    pub(super) fn single(root: PathBuf) -> Self {
        Self { roots: vec![root], ..Self::default() }
    }

    /// The start directory, where nothing was found.
    pub(super) fn fallback(start: PathBuf) -> Self {
        Self { fallback: true, ..Self::single(start) }
    }

    /// The nest. `by_host`: what the host says, if it was asked.
    ///
    /// # Errors
    /// `InvalidName`, of a directory whose name cannot be a project's.
    pub(super) fn named(self, looked_up: &LookedUp, by_host: Option<ProjectName>) -> Result<Nest> {
        let Self { roots, main_checkout, has_packages, fallback } = self;
        let mut levels: Vec<Level> = Vec::with_capacity(roots.len());
        let named = roots.first().is_some_and(|root| looked_up.given(root).is_some());
        let outermost = by_host.or_else(|| looked_up.remote.clone());
        for root in roots {
            let name = match (looked_up.given(&root), levels.last(), &outermost) {
                (Some(given), _, _) => given.clone(),
                (None, Some(outer), _) => outer.name.child(own_name(&root))?,
                (None, None, Some(name)) => name.clone(),
                (None, None, None) => {
                    ProjectName::from_components([main_checkout.as_deref().unwrap_or_else(|| own_name(&root))])?
                }
            };
            levels.push(Level { root, name });
        }
        Ok(Nest { levels, has_packages, named, fallback })
    }
}

impl LookedUp {
    /// What has to be known for the names of a nest with this outermost root.
    ///
    /// # Errors
    /// `Blocked`: somebody else is looking at one of the paths.
    pub(super) fn of(outermost: &Path, job: &Job, look: &Look) -> Result<Self, Stop> {
        let naming = &job.request.naming;
        let (roots, names): (Vec<_>, Vec<_>) = naming.names.iter().cloned().unzip();
        let names = all_resolved(&roots, job, look).into_iter().zip(names).collect();
        let mut looked_up = Self { names, ..Self::default() };
        if naming.from == NameFrom::Remote && looked_up.given(outermost).is_none() {
            let path = repository::remote_path(outermost, look)?;
            let name = path.map(|path| ProjectName::from_components(path.iter().map(OsString::as_os_str)));
            looked_up.remote = name.and_then(Result::ok);
        }
        Ok(looked_up)
    }

    /// The name that the user has given the project with this root.
    pub(super) fn given(&self, root: &Path) -> Option<&ProjectName> {
        self.names.iter().find(|(given, _)| given == root).map(|(_, name)| name)
    }
}

/// [`Naming::exclude`] with paths as a walk comes across them, where they lie in the home directory. Elsewhere they are taken as they
/// are: one on a disk that hangs is no load's business.
///
/// # Errors
/// `Blocked`: somebody else is looking at the home directory.
pub(super) fn exclude(job: &Job, look: &Look) -> Result<Option<Matcher>, Stop> {
    let request = &job.request;
    let Some(exclude) = &request.naming.exclude else { return Ok(None) };
    Ok(Some(match &request.home {
        Some(home) if exclude.has_paths_in(home) => exclude.moved(home, &job.memory.home.resolved(home, look)?),
        _ => exclude.clone(),
    }))
}

/// The name of a directory; that of `/`, which has none, is `.` (no directory can be called that, so the name is nobody
/// else's).
fn own_name(root: &Path) -> &OsStr {
    root.file_name().unwrap_or(OsStr::new("."))
}
