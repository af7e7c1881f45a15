//! Which names are those of a project's packages: their files, kept in the project's directory, are theirs alone.
//!
//! Asked by `find_files`, once for all candidates of one directory. A package is a directory with a manifest at most two
//! levels below the root (`root/x`, `root/packages/x`): not hidden, not below `node_modules`, `vendor` or `target`, not a
//! link, and neither a repository nor inside another package, whose names would be others.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aside;
use super::calls::Look;
use super::detect::{MANIFESTS, VCS_MARKERS};
use super::directory::{self, Base, Directory, Subdirectories};
use super::listings::Known;
use super::walk::{may_be_package, subdirectories};
use super::{Job, Stop};
use crate::fingerprint::Fingerprint;

/// Second levels are searched as long as that takes at most so many looks (directories × names, about 0.5 µs each). In roots
/// with more, packages are found directly below the root only.
const MOST_LOOKS: usize = 20_000;

/// What a search found, and what it is to be believed on.
#[derive(Debug, Default)]
pub(super) struct Packages {
    /// The names that were asked for, in the order of the asking.
    pub(super) names: Vec<OsString>,
    /// Those of them that belong to a package.
    pub(super) found: HashSet<OsString>,
    /// The directories below the root that were looked into, by their paths from there. While their fingerprints and that of
    /// the root stay the same, so does the answer.
    pub(super) looked_into: Vec<(PathBuf, Fingerprint)>,
}

/// Which of `names` (directory names, not encoded) belong to a package of the project at `root`.
pub(super) fn among(root: &Path, names: impl Iterator<Item = OsString>, known: Option<Known<'_>>) -> Arc<Packages> {
    let names: Vec<OsString> = names.collect();
    if let Some(known) = known
        && let Some(fingerprint) = directory::fingerprint(root)
        && let Some(packages) = known.memory.packages.get(&fingerprint)
        && packages.names == names
        && packages.looked_into.iter().all(|(path, before)| directory::fingerprint(&root.join(path)) == Some(*before))
    {
        return packages;
    }
    let base = Base::open(root);
    // Taken anew, of what is searched: the path may lead to another directory by now.
    let fingerprint = known.and_then(|known| Some((known, base.fingerprint(Path::new(""))?)));
    let Ok(directories) = subdirectories(root) else { return Arc::default() };
    let mut search = Search { base, looked_into: Vec::new(), unproved: false };
    let found = if directories.is_empty() { HashSet::new() } else { search.run(&directories, names.iter().collect()) };
    let packages = Arc::new(Packages { names, found, looked_into: search.looked_into });
    if let Some((known, fingerprint)) = fingerprint
        && !search.unproved
    {
        packages.keep(known, fingerprint);
    }
    packages
}

/// So many names are asked for one by one in a directory on a slow disk; for more, listing it is sooner done.
const FEW_NAMES: usize = 2;

/// As [`among`], on a slow disk: independent calls are made side by side. `listed`: what the walk has seen in the root.
///
/// # Errors
/// What keeps a directory from being looked at: somebody else who does, the deadline.
pub(super) fn among_side_by_side(
    job: &Arc<Job>,
    look: &Look,
    root: &Path,
    names: Vec<OsString>,
    listed: Option<&Subdirectories>,
) -> Result<Arc<Packages>, Stop> {
    let known = job.known();
    if let Some(known) = known.filter(|known| !known.memory.packages.is_empty()) {
        let fingerprint = match listed.and_then(|listed| listed.fingerprint) {
            Some(fingerprint) => Some(fingerprint),
            None => {
                look.at(root)?;
                directory::fingerprint(root)
            }
        };
        if let Some(packages) = fingerprint.and_then(|fingerprint| known.memory.packages.get(&fingerprint))
            && packages.names == names
        {
            let paths = packages.looked_into.iter().map(|(path, _)| root.join(path));
            let now = aside::each(job, look, paths, |_, path| directory::fingerprint(path))?;
            if now.into_iter().eq(packages.looked_into.iter().map(|(_, before)| Some(*before))) {
                return Ok(packages);
            }
        }
    }
    let (mut directories, fingerprint) = match listed {
        Some(Subdirectories { names, fingerprint }) => (names.clone(), *fingerprint),
        None => {
            look.at(root)?;
            let fingerprint = known.and_then(|_| directory::fingerprint(root));
            let Ok(names) = subdirectories(root) else { return Ok(Arc::default()) };
            (names, fingerprint)
        }
    };
    directories.retain(|name| may_be_package(name));
    let open: Arc<[OsString]> = names.iter().filter(|name| may_be_package(name)).cloned().collect();
    if open.len().saturating_mul(directories.len()) > MOST_LOOKS {
        look.at(root)?;
        return Ok(among(root, names.into_iter(), known));
    }

    let paths = directories.iter().map(|name| root.join(name));
    let looks = aside::each(job, look, paths, move |_, path| LookInto::below(path, &open))?;
    let (mut looked_into, mut found, mut below) = (Vec::new(), HashSet::new(), Vec::new());
    for (name, look) in directories.into_iter().zip(looks) {
        looked_into.push((PathBuf::from(&name), look.fingerprint));
        below.extend(look.below.into_iter().map(|package| Path::new(&name).join(package)));
        found.extend(look.is_package.then_some(name));
    }
    // A name that is that of a package directly below the root is not asked for again.
    below.retain(|path| path.file_name().is_some_and(|name| !found.contains(name)));
    let paths: Vec<PathBuf> = below.iter().map(|path| root.join(path)).collect();
    let looks = aside::each(job, look, paths, |_, path| LookInto::at(path))?;
    for (path, look) in below.into_iter().zip(looks) {
        found.extend(path.file_name().filter(|_| look.is_package).map(ToOwned::to_owned));
        looked_into.push((path, look.fingerprint));
    }

    let proved: Option<Vec<_>> =
        looked_into.into_iter().map(|(path, fingerprint)| Some((path, fingerprint?))).collect();
    let is_proved = proved.is_some();
    let packages = Arc::new(Packages { names, found, looked_into: proved.unwrap_or_default() });
    if let (Some(known), Some(fingerprint), true) = (known, fingerprint, is_proved) {
        packages.keep(known, fingerprint);
    }
    Ok(packages)
}

impl Packages {
    /// Keeps the answer of a search that began with this fingerprint of the root, unless something in it proves nothing.
    fn keep(self: &Arc<Self>, known: Known<'_>, root: Fingerprint) {
        let is_racy = |seen: &Fingerprint| seen.is_racy(known.read_at, known.memory.steps.of(seen.dev));
        if !self.looked_into.iter().any(|(_, seen)| is_racy(seen)) {
            known.memory.packages.keep(root, known.read_at, self);
        }
    }
}

/// One directory below a root, looked into in as few calls one after the other as may be.
#[derive(Debug)]
struct LookInto {
    /// Taken before anything else.
    fingerprint: Option<Fingerprint>,
    /// Where that was asked.
    is_package: bool,
    /// Those of the names that are directories in it, where it is no project itself.
    below: Vec<OsString>,
}

impl LookInto {
    /// Whether the directory is a package.
    fn at(path: &Path) -> Self {
        let fingerprint = directory::fingerprint(path);
        let directory = Directory::list(path.to_path_buf());
        let is_package = directory.holds_any(&MANIFESTS) && !directory.holds_any(&VCS_MARKERS);
        Self { fingerprint, is_package, below: Vec::new() }
    }

    /// Whether the directory is a package of one of these names, and which of them may be packages in it.
    fn below(path: &Path, names: &[OsString]) -> Self {
        let fingerprint = directory::fingerprint(path);
        let listing = OnceCell::new();
        let list = || listing.get_or_init(|| Directory::list(path.to_path_buf()));
        let is_asked_for = path.file_name().is_some_and(|own| names.iter().any(|name| name == own));
        let is_package = is_asked_for && list().holds_any(&MANIFESTS) && !list().holds_any(&VCS_MARKERS);
        let is_directory =
            |name: &&OsString| path.join(name).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let known = if names.len() > FEW_NAMES { list().subdirectories() } else { None };
        let below: Vec<OsString> = match known {
            Some(known) => {
                let known: HashSet<_> = known.names.into_iter().collect();
                names.iter().filter(|name| known.contains(*name)).cloned().collect()
            }
            None => names.iter().filter(is_directory).cloned().collect(),
        };
        let is_project =
            |directory: &Directory| MANIFESTS.iter().chain(&VCS_MARKERS).any(|marker| directory.holds(marker.as_ref()));
        let below = if below.is_empty() || is_project(list()) { Vec::new() } else { below };
        Self { fingerprint, is_package, below }
    }
}

struct Search<'a> {
    base: Base<'a>,
    looked_into: Vec<(PathBuf, Fingerprint)>,
    /// A directory was looked into of which there is no fingerprint.
    unproved: bool,
}

impl Search<'_> {
    fn run(&mut self, directories: &[OsString], names: HashSet<&OsString>) -> HashSet<OsString> {
        let mut packages = HashSet::new();
        packages.extend(directories.iter().filter(|name| names.contains(name) && self.is_package(name)).cloned());
        let open = names.into_iter().filter(|name| !packages.contains(*name) && may_be_package(name));
        let open: Vec<&OsString> = open.collect();
        if open.len().saturating_mul(directories.len()) > MOST_LOOKS {
            return packages;
        }
        for parent in directories.iter().map(Path::new).filter(|_| !open.is_empty()) {
            self.look_into(parent);
            let below: Vec<_> = open.iter().filter(|name| self.is_package(parent.join(name))).collect();
            let names_itself = |marker: &&str| self.base.holds(&parent.join(marker));
            if !below.is_empty() && !MANIFESTS.iter().chain(&VCS_MARKERS).any(names_itself) {
                packages.extend(below.into_iter().map(|name| OsString::clone(name)));
            }
        }
        packages
    }

    fn is_package(&mut self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        if !self.base.holds_directory(path) {
            return false;
        }
        self.look_into(path);
        let holds = |name: &&str| self.base.holds(&path.join(name));
        MANIFESTS.iter().any(holds) && !VCS_MARKERS.iter().any(holds)
    }

    /// Before anything in it is asked for: what changes after that is seen the next time.
    fn look_into(&mut self, path: &Path) {
        match self.base.fingerprint(path) {
            Some(fingerprint) => self.looked_into.push((path.to_path_buf(), fingerprint)),
            None => self.unproved = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_packages_two_levels_down_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        for package in [
            "backend",
            "packages/frontend",
            "apps/three/deep",
            "backend/inner",
            ".hidden",
            ".github/action",
            "node_modules/left-pad",
            "vendor/lib",
            "module",
            "checkout/theirs",
        ] {
            std::fs::create_dir_all(root.path().join(package)).unwrap();
            std::fs::write(root.path().join(package).join("package.json"), "{}").unwrap();
        }
        std::fs::create_dir_all(root.path().join("plain/src")).unwrap();
        std::fs::write(root.path().join("module/.git"), "gitdir: ../.git/modules/module").unwrap();
        std::fs::create_dir(root.path().join("checkout/.hg")).unwrap();
        let all = [
            "backend", "frontend", "deep", "inner", ".hidden", "action", "left-pad", "lib", "module", "theirs",
            "plain", "src", "packages", "absent",
        ];
        let packages = among(root.path(), all.map(OsString::from).into_iter(), None);
        assert_eq!(packages.found, ["backend", "frontend"].map(OsString::from).into());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_search_is_believed_only_if_all_that_it_looked_into_was_old() {
        use super::super::listings::Memory;
        use crate::fingerprint::Timestamp;

        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let made = directory::fingerprint(root.path()).unwrap().ctime;
        while directory::fingerprint(&below).unwrap().ctime <= made {
            std::fs::write(below.join("file"), "").unwrap();
            std::fs::remove_file(below.join("file")).unwrap();
        }
        let memory = Memory::default();
        let search = |age_secs| {
            // So long after the root was made that it proves something, in the first case only just.
            let read_at = Timestamp { secs: made.secs + age_secs, nanos: made.nanos + 1 };
            among(root.path(), ["name".into()].into_iter(), Some(Known { memory: &memory, read_at }))
        };
        assert!(!Arc::ptr_eq(&search(2), &search(2)));
        assert!(Arc::ptr_eq(&search(1000), &search(1000)));
    }

    #[test]
    fn a_root_with_very_many_directories_is_searched_one_level_deep() {
        let root = tempfile::tempdir().unwrap();
        for index in 0..101 {
            std::fs::create_dir(root.path().join(format!("dir-{index}"))).unwrap();
        }
        for package in ["near", "dir-0/far"] {
            std::fs::create_dir(root.path().join(package)).unwrap();
            std::fs::write(root.path().join(package).join("go.mod"), "").unwrap();
        }
        let few: HashSet<OsString> = ["near", "far"].map(OsString::from).into();
        assert_eq!(among(root.path(), few.iter().cloned(), None).found, few);
        let many = few.iter().cloned().chain((0..200).map(|index| format!("name-{index}").into()));
        assert_eq!(among(root.path(), many, None).found, ["near"].map(OsString::from).into());
    }
}
