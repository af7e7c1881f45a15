//! Golden plans: each file in `golden/` describes a tree and what is planned in it.
//!
//! The tree is made in a temporary directory and planned with the public API. `UPDATE_GOLDEN=1` writes what came out; the
//! change is then to be read like code.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed test is what a panic is for")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::file_cache::FileCache;
use engine::matcher::{Glob, Matcher};
use engine::name::ProjectName;
use engine::open::Limits;
use engine::pipeline::host::NoHost;
use engine::pipeline::{Detect, Direction, Engine, Kind, NameFrom, Naming, Request, Stage};
use engine::plan::Plan;

const EXPECTED: &str = "== plan";

#[test]
fn plans_are_as_described() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut failures = String::new();
    let mut cases: Vec<PathBuf> = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        let (description, expected) = text.split_once(EXPECTED).expect("a case has an expected plan");
        let found = plan_described_by(description);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&case, format!("{description}{EXPECTED}\n{found}")).unwrap();
        } else if expected.trim() != found.trim() {
            writeln!(failures, "{}:\n--- expected{expected}--- found\n{found}", case.display()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Too long to be told in a golden file, and the longest there can be.
#[test]
fn a_name_of_255_bytes_has_files_too() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let start_dir = root.join("n".repeat(255));
    fs::create_dir_all(start_dir.join(".git")).unwrap();
    let name = engine::name::ProjectName::from_components([start_dir.file_name().unwrap()]).unwrap();
    let mut own_file = root.join("config").join(name.file_stem()).into_os_string();
    own_file.push(".jsonc");
    fs::create_dir_all(root.join("config").join(name.directory())).unwrap();
    fs::write(&own_file, r#"{"found": 1}"#).unwrap();
    fs::write(root.join("config").join(name.directory()).join("more.lua"), "").unwrap();
    let plan = plan(Request { start_dir, ..request(&root) }).unwrap();
    assert_eq!((plan.files.len(), plan.files[0].path.as_os_str()), (2, &*own_file));
    assert!(plan.problems.is_empty());
}

/// Lines of a description, in which `\n`, `\\` and `\xNN` stand for bytes of a name:
///
/// ```text
/// # a remark
/// dir/                a directory, with all above it
/// file                an empty file
/// file: content       a file with one line; `$ROOT` is the directory that all is in
/// link -> target      a symbolic link
/// pipe |              a FIFO
/// dir ! 777           the mode of what has been made
/// start = dir         where the walk begins
/// home = dir          the home directory
/// stop_at = dir dir   where the walk ends
/// exclude = a|/dir    names that a directory holds, and directories, that are no project
/// names = dir>name    what the project in a directory is called
/// named = remote      after the repository's remote
/// stages = …          names, see `stages`
/// ```
///
/// The configuration is in `config/`.
fn plan_described_by(description: &str) -> String {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let mut settings = BTreeMap::new();
    for line in description.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once(" = ") {
            settings.insert(key, value);
        } else {
            make(&root, line);
        }
    }
    let request = Request {
        start_dir: root.join(unescape(settings["start"])),
        home: settings.get("home").map(|home| root.join(home)),
        naming: naming(&root, &settings),
        stages: settings.get("stages").map_or_else(Stage::default_pipeline, |stages| stages_called(stages)),
        ..request(&root)
    };
    match plan(request) {
        Ok(plan) => describe(&root, &plan),
        Err(error) => format!("error {} {}\n", error.kind.code(), shown(&root, error.path().unwrap())),
    }
}

fn make(root: &Path, line: &str) {
    let at = |name: &str| {
        let path = root.join(unescape(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    if let Some((link, target)) = line.split_once(" -> ") {
        std::os::unix::fs::symlink(target.replace("$ROOT", root.to_str().unwrap()), at(link)).unwrap();
    } else if let Some(pipe) = line.strip_suffix(" |") {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at(pipe), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    } else if let Some((path, mode)) = line.split_once(" ! ") {
        let mode = fs::Permissions::from_mode(u32::from_str_radix(mode, 8).unwrap());
        fs::set_permissions(at(path), mode).unwrap();
    } else if let Some((file, content)) = line.split_once(": ") {
        fs::write(at(file), format!("{}\n", content.replace("$ROOT", root.to_str().unwrap()))).unwrap();
    } else if let Some(directory) = line.strip_suffix('/') {
        fs::create_dir_all(at(directory)).unwrap();
    } else {
        fs::write(at(line), "").unwrap();
    }
}

fn naming(root: &Path, settings: &BTreeMap<&str, &str>) -> Naming {
    let words = |key: &str| settings.get(key).map(|text| text.split_whitespace());
    let path = |word: &str| match word.strip_prefix('/') {
        Some("") => PathBuf::from("/"),
        Some(below) => root.join(below),
        None => root.join(word),
    };
    let condition = |word: &str| match word.starts_with('/') {
        true if word.contains('*') => Matcher::PathGlob(Glob::new(path(word).to_str().unwrap()).unwrap()),
        true => Matcher::Path(path(word)),
        false => Matcher::Literal(word.into()),
    };
    let given = |word: &str| {
        let (dir, name) = word.split_once('>').unwrap();
        (path(dir), ProjectName::from_components(name.split('/').map(OsStr::new)).unwrap())
    };
    Naming {
        from: settings.get("named").map_or(NameFrom::Directory, |_| NameFrom::Remote),
        names: words("names").map(|words| words.map(given).collect()).unwrap_or_default(),
        exclude: words("exclude").map(|words| Matcher::Any(words.map(condition).collect())),
        stop_at: words("stop_at").map(|words| words.map(path).collect()),
    }
}

fn stages_called(names: &str) -> Vec<Stage> {
    let markers = |names: &str| Matcher::Any(names.split('|').map(|name| Matcher::Literal(name.into())).collect());
    let matching = |names: &str, override_| Stage::Detect {
        how: Detect::Matching { matcher: markers(names), override_ },
        on_match: false,
    };
    let stage = |word: &str| match word.split_once(':').unwrap_or((word, "")) {
        ("up", _) => Stage::Walk { direction: Direction::Up, matcher: None },
        ("up-with", names) => Stage::Walk { direction: Direction::Up, matcher: Some(markers(names)) },
        ("down", _) => Stage::Walk { direction: Direction::Down, matcher: None },
        ("detect", "") => Stage::Detect { how: Detect::Default { override_: false }, on_match: false },
        ("detect", names) => matching(names, false),
        ("override", names) => matching(names, true),
        ("find", "") => Stage::FindFiles { extensions: None, matcher: None, finder: false },
        ("find", names) => {
            let extensions = names.split('|').map(String::from).collect();
            Stage::FindFiles { extensions: Some(extensions), matcher: None, finder: false }
        }
        ("find-called", names) => Stage::FindFiles { extensions: None, matcher: Some(markers(names)), finder: false },
        ("execute", _) => Stage::Execute { routes: Vec::new() },
        (other, _) => panic!("no stage is called {other}"),
    };
    names.split_whitespace().map(stage).collect()
}

fn request(root: &Path) -> Request {
    let kind = |name: &str, extensions: &[&str]| Kind {
        name: name.into(),
        extensions: extensions.iter().map(|extension| String::from(*extension)).collect(),
        merged: name == "json",
    };
    Request {
        start_dir: root.to_path_buf(),
        near: false,
        config_dir: root.join("config"),
        stages: Stage::default_pipeline(),
        kinds: vec![kind("json", &[".json", ".jsonc"]), kind("lua", &[".lua"]), kind("vim", &[".vim"])],
        limits: Limits { max_file_size: 1 << 20, trust_mtime: true },
        timeout: Duration::from_secs(60),
        home: None,
        naming: Default::default(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
}

fn plan(request: Request) -> engine::error::Result<Plan> {
    runtime().block_on(Engine::new(Arc::new(FileCache::new(1 << 20))).plan(request, |_| None, Arc::new(NoHost)))
}

fn describe(root: &Path, plan: &Plan) -> String {
    let mut text = String::new();
    for project in &plan.projects {
        writeln!(text, "project {} in {}", escape(&project.name), shown(root, &project.root)).unwrap();
    }
    writeln!(text, "stem {}", shown(root, &plan.stem)).unwrap();
    for file in &plan.files {
        let kind = ["json", "lua", "vim"][file.kind];
        assert_eq!(file.path, file.entry.path);
        writeln!(text, "{kind} of {}: {}", escape(&plan.projects[file.layer].name), shown(root, &file.path)).unwrap();
    }
    writeln!(text, "merged {}", plan.json).unwrap();
    for problem in &plan.problems {
        writeln!(text, "problem {} {}", problem.kind.code(), shown(root, problem.path().unwrap())).unwrap();
    }
    text
}

fn shown(root: &Path, path: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(inside) if inside.as_os_str().is_empty() => ".".into(),
        Ok(inside) => escape(inside.as_os_str()),
        Err(_) => panic!("{} lies outside the case's directory", path.display()),
    }
}

fn escape(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\").replace('\n', "\\n"));
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02X}").unwrap();
        }
    }
    text
}

fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => bytes.push(other.unwrap()),
        }
    }
    OsString::from_vec(bytes).into()
}
