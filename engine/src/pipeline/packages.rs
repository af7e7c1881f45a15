//! Which names are those of a project's packages: their files, kept in the project's directory, are theirs alone.
//!
//! Asked by `find_files`, once for all candidates of one directory. A package is a directory with a manifest at most two
//! levels below the root (`root/x`, `root/packages/x`): not hidden, not below `node_modules`, `vendor` or `target`, not a
//! link, and neither a repository nor inside another package, whose names would be others.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::detect::{MANIFESTS, VCS_MARKERS};
use super::directory::Base;
use super::walk::{is_foreign, subdirectories};

/// Second levels are searched as long as that takes at most so many looks (directories × names, about 0.5 µs each). In roots
/// with more, packages are found directly below the root only.
const MOST_LOOKS: usize = 20_000;

/// Those of `names` (directory names, not encoded) that belong to a package of the project at `root`.
pub(super) fn among(root: &Path, names: impl Iterator<Item = OsString>) -> HashSet<OsString> {
    let mut packages = HashSet::new();
    let directories = subdirectories(root);
    if directories.is_empty() {
        return packages;
    }
    let names: HashSet<OsString> = names.collect();
    let root = Base::open(root);
    packages.extend(directories.iter().filter(|name| names.contains(*name) && is_package(&root, name)).cloned());
    let open = names.iter().filter(|name| !packages.contains(*name) && may_be_package(name));
    let open: Vec<&OsString> = open.collect();
    if open.len().saturating_mul(directories.len()) > MOST_LOOKS {
        return packages;
    }
    for parent in &directories {
        let mut below = open.iter().filter(|name| is_package(&root, Path::new(parent).join(name))).peekable();
        let names_itself = |marker: &&str| root.holds(&Path::new(parent).join(marker));
        if below.peek().is_some() && !MANIFESTS.iter().chain(&VCS_MARKERS).any(names_itself) {
            packages.extend(below.map(|name| OsString::clone(name)));
        }
    }
    packages
}

fn may_be_package(name: &OsStr) -> bool {
    !name.as_encoded_bytes().starts_with(b".") && !is_foreign(name)
}

fn is_package(root: &Base<'_>, path: impl AsRef<Path>) -> bool {
    let holds = |name: &&str| root.holds(&path.as_ref().join(name));
    root.holds_directory(path.as_ref()) && MANIFESTS.iter().any(holds) && !VCS_MARKERS.iter().any(holds)
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
        let found = among(root.path(), all.map(OsString::from).into_iter());
        assert_eq!(found, ["backend", "frontend"].map(OsString::from).into());
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
        assert_eq!(among(root.path(), few.iter().cloned()), few);
        let many = few.iter().cloned().chain((0..200).map(|index| format!("name-{index}").into()));
        assert_eq!(among(root.path(), many), ["near"].map(OsString::from).into());
    }
}
