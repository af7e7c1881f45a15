//! That directories are what they are called, however their names are asked for.

use super::*;
use crate::fingerprint::Timestamp;
use crate::matcher::Matcher;
use crate::pipeline::listings::Memory;

#[test]
fn small_large_and_unlisted_directories_answer_alike() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    for (count, expected_small) in [(0, true), (20, true), (300, false)] {
        let path = root.join(format!("with-{count}"));
        std::fs::create_dir_all(path.join(".git")).unwrap();
        for index in 0..count {
            std::fs::write(path.join(format!("some-longish-file-name-{index}")), "").unwrap();
        }
        let listed = Ascent::from(&Start::resolve(&path).unwrap(), false).next(path.clone(), None);
        assert!(!listed.lists_directory("some-longish-file-name-1"));
        #[cfg(target_os = "linux")]
        assert_eq!(matches!(listed.names, Names::Listed(_)), expected_small);
        #[cfg(not(target_os = "linux"))]
        let _ = expected_small;
        for directory in [listed, Directory::by_path(path)] {
            assert!(directory.holds(OsStr::new(".git")));
            assert!(!directory.holds(OsStr::new(".gi")));
            assert!(directory.holds_any(&[".hg", ".git"]));
            assert!(!directory.holds_any(&[".hg", "git"]));
            for no_name in ["", ".", "..", ".git/", "./.git"] {
                assert!(!Matcher::Literal(no_name.into()).matches(&directory));
            }
            let mut names = Vec::new();
            assert!(!matcher::Names::any(&directory, &mut |name| {
                names.push(name.to_owned());
                false
            }));
            assert_eq!(names.len(), count + 1);
            assert!(names.contains(&".git".into()));
        }
    }
}

#[test]
fn each_level_of_an_ascent_is_the_directory_of_its_path() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let names: Vec<String> = (0..30).map(|level| format!("level-{level}")).collect();
    let deepest = names.iter().fold(root, |path, name| path.join(name));
    std::fs::create_dir_all(&deepest).unwrap();
    let memory = Memory::default();
    // Later than all that has just been made, so that listings are remembered at once.
    let read_at = Timestamp { secs: Timestamp::now().secs + 60, nanos: 0 };
    for known in [None, Some(Known { memory: &memory, read_at }), Some(Known { memory: &memory, read_at })] {
        let mut ascent = Ascent::from(&Start::resolve(&deepest).unwrap(), false);
        let mut below = None;
        for path in deepest.ancestors() {
            let directory = ascent.next(path.to_path_buf(), known);
            for name in names.iter().map(OsStr::new) {
                assert_eq!(directory.holds(name), below == Some(name), "{}: {}", path.display(), name.display());
            }
            below = path.file_name();
        }
    }
}

#[test]
fn a_start_directory_is_resolved_through_links() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("real/deep")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
    assert_eq!(Start::resolve(&root.join("link/deep/../deep")).unwrap().path, root.join("real/deep"));
}

#[test]
fn what_is_no_directory_is_refused_with_the_path_as_given() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Start::resolve(&file).unwrap_err();
    assert_eq!((error.kind.clone(), error.path()), (ErrorKind::NotADirectory, Some(&*file)));
    let missing = root.path().join("./missing/..");
    let error = Start::resolve(&missing).unwrap_err();
    assert_eq!((error.kind.clone(), error.path()), (ErrorKind::NotFound, Some(&*missing)));
}
