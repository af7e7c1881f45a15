//! What a save leaves when processes are killed or stopped, system calls fail and disks are full: the old file or the new one.
//!
//! The processes are those of `examples/save.rs`, which cargo builds with the tests of the package (not with `--test` alone).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is what a panic is for")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::error::Result;
use engine::json::{Value, parse};
use engine::open::Limits;
use engine::store::{Options, Saved, backup_path, recover, save};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::json;
use tempfile::TempDir;

fn example() -> Command {
    let path = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("save");
    assert!(path.exists(), "cargo build --package nvim-project-config-engine --example save");
    Command::new(path)
}

fn options(patience: Duration) -> Options {
    let limits = Limits { max_file_size: 1 << 20, trust_mtime: true };
    Options { limits, lock_deadline: Instant::now() + patience, durable: true }
}

fn set(path: &Path, key: &str, value: Value, patience: Duration) -> Result<Saved> {
    save(path, &options(patience), &mut |text| {
        let mut document = text.map(parse).transpose()?.flatten().unwrap_or(json!({}));
        document[key] = value.clone();
        Ok(Some(text_of(&document)))
    })
}

fn text_of(document: &Value) -> Vec<u8> {
    format!("{document:#}\n").into_bytes()
}

fn read(path: &Path) -> Value {
    parse(&fs::read(path).unwrap()).unwrap().unwrap()
}

/// The files that a save has left beside its target.
fn orphans(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".npc-")).collect()
}

/// Calls `check` with each case, several at a time.
fn for_each<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(case);
                }
            });
        }
    });
}

/// What is saved: the key `key` of a document, in one of these situations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ordinary,
    /// Neither the file nor its directory exists.
    New,
    /// A killed save has left its temporary file.
    Orphaned,
    /// With two hard links, the new content longer or shorter.
    Growing,
    Shrinking,
    /// A killed write in place has torn it.
    Torn,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Ordinary, Self::New, Self::Orphaned, Self::Growing, Self::Shrinking, Self::Torn];

    fn old_value(self) -> Value {
        match self {
            Self::New => json!({}),
            Self::Shrinking => json!({ "fill": "x".repeat(900), "key": "y".repeat(5000), "end": true }),
            _ => json!({ "fill": "x".repeat(900), "key": 1, "end": true }),
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Growing => json!("z".repeat(5000)),
            _ => json!(2),
        }
    }

    fn new_value(self) -> Value {
        let mut value = self.old_value();
        value["key"] = self.value();
        value
    }

    /// Makes it in the empty `directory`; the path of the file.
    fn lay_out(self, directory: &Path) -> PathBuf {
        let path = match self {
            Self::New => return directory.join("new/a.json"),
            _ => directory.join("a.json"),
        };
        fs::write(&path, text_of(&self.old_value())).unwrap();
        match self {
            Self::Orphaned => fs::write(directory.join(".a.json.npc-tmp"), "{").unwrap(),
            Self::Growing | Self::Shrinking | Self::Torn => {
                fs::hard_link(&path, directory.join("linked")).unwrap();
            }
            Self::Ordinary | Self::New => {}
        }
        if self == Self::Torn {
            tear(&path);
        }
        path
    }

    /// The command that saves.
    fn save(self, mut command: Command, path: &Path) -> Output {
        command.arg(path).args(["key", &self.value().to_string()]).output().unwrap()
    }

    /// What has to hold whatever has happened: old or new, one orphan, and the next save ends it.
    fn check_after_kill(self, path: &Path, what: &str) {
        let directory = path.parent().unwrap();
        let found = orphans(directory);
        assert!(found.len() <= 1, "{what}: {found:?}");
        if self == Self::Torn {
            // It does not parse as long as nobody has put it back.
            recover(path, &options(Duration::ZERO)).unwrap();
        }
        let new = self.new_value();
        let value = fs::read(path).map_or(json!({}), |text| parse(&text).expect(what).expect(what));
        assert!(value == self.old_value() || value == new, "{what}: {value}");
        self.check_next_save(path, what);
    }

    fn check_next_save(self, path: &Path, what: &str) {
        set(path, "key", self.value(), Duration::ZERO).expect(what);
        set(path, "next", json!(1), Duration::ZERO).expect(what);
        let mut new = self.new_value();
        new["next"] = json!(1);
        assert_eq!(read(path), new, "{what}");
        assert_eq!(orphans(path.parent().unwrap()), Vec::<String>::new(), "{what}");
        let linked = path.with_file_name("linked");
        if linked.exists() {
            assert_eq!(fs::read(linked).unwrap(), fs::read(path).unwrap(), "{what}");
        }
    }
}

/// Leaves a file with two names as a save does that is killed in the middle of its write in place: with a backup, which a
/// killed save has made, and half of the new content.
fn tear(path: &Path) {
    let old = fs::read(path).unwrap();
    let output = Kind::Growing.save(strace(path, &["-e", "inject=unlinkat:signal=KILL:when=1"]), path);
    assert!(!output.status.success(), "{output:?}");
    let new = fs::read(path).unwrap();
    assert!(backup_path(path).exists() && new.len() > old.len());
    fs::write(path, &new[..new.len() - 20]).unwrap();
}

/// The example under strace, which writes what it sees beside the directory of `path`.
fn strace(path: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.arg("-o").arg(log_of(path)).args(options).arg(example().get_program());
    command
}

fn log_of(path: &Path) -> PathBuf {
    path.parent().unwrap().with_extension("log")
}

fn strace_works() -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        eprintln!("*** NOT TESTED: strace is missing, or may not trace here ***");
    }
    works
}

/// One system call of a save.
#[derive(Debug, Clone)]
struct Call {
    name: String,
    /// Which of this name it is in the whole process, from 1.
    number: usize,
    /// Whether the lock is taken before it.
    under_lock: bool,
    /// Whether the new content is in place before it.
    after_commit: bool,
}

/// What a process does that is none of the save's business.
const OTHER: [&str; 12] = [
    "brk",
    "execve",
    "exit_group",
    "fcntl",
    "geteuid",
    "getrandom",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "sigaltstack",
    "madvise",
];

/// The system calls of a save of this kind.
fn calls(kind: Kind) -> Vec<Call> {
    let tmp = TempDir::new().unwrap();
    let path = lay_out(kind, tmp.path(), "calls");
    let output = kind.save(strace(&path, &[]), &path);
    assert!(output.status.success(), "{output:?}");
    let log = fs::read_to_string(log_of(&path)).unwrap();
    let lines: Vec<_> = log.lines().collect();
    let first = lines.iter().position(|line| is_first(line, &path)).unwrap();
    let commits = |line: &&str| line.starts_with("rename") || line.starts_with("unlink");
    let commit = lines.iter().rposition(commits).unwrap();
    let lock = lines.iter().rposition(|line| line.starts_with("flock") && line.contains("LOCK_EX")).unwrap();
    let mut seen = HashMap::new();
    let mut calls = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((name, _)) = line.split_once('(') else { continue };
        let number = seen.entry(name).and_modify(|number| *number += 1).or_insert(1);
        if index >= first && !OTHER.contains(&name) {
            let (under_lock, after_commit) = (index > lock, index > commit);
            calls.push(Call { name: name.into(), number: *number, under_lock, after_commit });
        }
    }
    calls
}

/// Whether this is the first system call of a save.
fn is_first(line: &str, path: &Path) -> bool {
    line.starts_with("open") && line.contains(path.parent().unwrap().to_str().unwrap())
}

/// Lays the situation out in a new directory below `directory`, and below one of its own: saves lock that too.
fn lay_out(kind: Kind, directory: &Path, name: &str) -> PathBuf {
    let directory = directory.join(name).join("config");
    fs::create_dir_all(&directory).unwrap();
    kind.lay_out(&directory)
}

/// Saves with this fault at `call`; `None` where another call was hit, because the start of the process took another course.
fn save_with_fault(kind: Kind, call: &Call, fault: &str, path: &Path) -> Option<Output> {
    let trace = format!("trace=?open,?openat,{}", call.name);
    let inject = format!("inject={}:{fault}:when={}", call.name, call.number);
    let output = kind.save(strace(path, &["-e", &trace, "-e", &inject]), path);
    let log = fs::read_to_string(log_of(path)).unwrap();
    let first = log.lines().position(|line| is_first(line, path))?;
    let hit = log.lines().position(|line| line.contains("INJECTED")).unwrap_or(usize::MAX);
    (hit >= first).then_some(output)
}

/// What no kill can show: a power cut takes back whatever was not synced, in any order.
#[test]
fn nothing_relies_on_what_is_not_on_the_disk_yet() {
    if !strace_works() {
        return;
    }
    let order = |kind| {
        let durable = ["mkdir", "write", "ftruncate", "fsync", "rename", "unlink"];
        // Some machines have `mkdir`, all have `mkdirat`.
        let name = |call: Call| call.name.trim_end_matches(char::is_numeric).trim_end_matches("at").to_owned();
        let mut names: Vec<_> = calls(kind).into_iter().map(name).collect();
        // The example's own, to its output.
        assert_eq!(names.pop().as_deref(), Some("write"));
        names.retain(|name| durable.contains(&name.as_str()));
        names.join(" ")
    };
    let replace = "write fsync rename fsync";
    // The old file is gone before the second `fsync`, which covers that too.
    assert_eq!(order(Kind::Ordinary), "write fsync rename unlink fsync");
    assert_eq!(order(Kind::New), format!("mkdir fsync {replace}"));
    assert_eq!(order(Kind::Growing), format!("{replace} write fsync unlink"));
    assert_eq!(order(Kind::Shrinking), format!("{replace} write ftruncate fsync unlink"));
    assert_eq!(order(Kind::Torn), format!("write ftruncate fsync unlink {replace} write fsync unlink"));
}

#[test]
fn a_kill_at_any_system_call_leaves_the_old_file_or_the_new_one() {
    if !strace_works() {
        return;
    }
    let tmp = TempDir::new().unwrap();
    let cases = |kind| calls(kind).into_iter().map(move |call| (kind, call));
    let cases: Vec<_> = Kind::ALL.into_iter().flat_map(cases).collect();
    let killed = AtomicUsize::new(0);
    for_each(&cases, |(kind, call)| {
        let what = format!("{kind:?}-{}-{}", call.name, call.number);
        let path = lay_out(*kind, tmp.path(), &what);
        let output = save_with_fault(*kind, call, "signal=KILL", &path).expect(&what);
        killed.fetch_add(usize::from(!output.status.success()), Ordering::Relaxed);
        kind.check_after_kill(&path, &what);
    });
    assert_eq!(killed.into_inner(), cases.len());
}

#[test]
fn an_error_of_any_system_call_leaves_the_old_file_and_is_told() {
    if !strace_works() {
        return;
    }
    let errors = [
        ("EIO", Errno::IO),
        ("EROFS", Errno::ROFS),
        ("EACCES", Errno::ACCESS),
        ("EDQUOT", Errno::DQUOT),
        ("ENOSPC", Errno::NOSPC),
        ("EMFILE", Errno::MFILE),
        ("EINTR", Errno::INTR),
    ];
    let tmp = TempDir::new().unwrap();
    let kinds = [Kind::Ordinary, Kind::New, Kind::Orphaned, Kind::Growing, Kind::Shrinking];
    let cases = kinds.into_iter().flat_map(|kind| calls(kind).into_iter().map(move |call| (kind, call)));
    let cases: Vec<_> = cases.flat_map(|(kind, call)| errors.map(|error| (kind, call.clone(), error))).collect();
    let [failed, transparent] = [const { AtomicUsize::new(0) }; 2];
    for_each(&cases, |(kind, call, (name, errno))| {
        let what = format!("{kind:?}-{}-{}-{name}", call.name, call.number);
        let path = lay_out(*kind, tmp.path(), &what);
        let before = fs::read(&path).ok();
        let output = save_with_fault(*kind, call, &format!("error={name}"), &path).expect(&what);
        let told = String::from_utf8(output.stderr).unwrap();
        let after = fs::read(&path).ok();
        let is_new = after.as_deref() == Some(&text_of(&kind.new_value()));
        if output.status.success() {
            transparent.fetch_add(1, Ordering::Relaxed);
            assert!(is_new, "{what}: nothing told, nothing saved");
        } else {
            failed.fetch_add(1, Ordering::Relaxed);
            assert!(told.contains(&format!("errno=Some({})", errno.raw_os_error())), "{what}: {told}");
            // What may not be read or written is named itself.
            let named = if *name == "EACCES" { &tmp.path().join(&what) } else { &path };
            assert!(told.contains(named.to_str().unwrap()), "{what}: {told}");
            assert!(after == before || is_new && call.after_commit, "{what}: {told}");
        }
        // Before, an orphan is nobody's to remove.
        if call.under_lock && !call.name.starts_with("unlink") {
            assert_eq!(orphans(path.parent().unwrap()), Vec::<String>::new(), "{what}: {told}");
        }
        kind.check_next_save(&path, &what);
    });
    let (failed, transparent) = (failed.into_inner(), transparent.into_inner());
    println!("{failed} faults told, {transparent} transparent");
    assert!(failed > 10 * errors.len() && transparent > errors.len());
}

#[test]
fn a_disk_that_fails_for_good_leaves_what_the_next_save_mends() {
    if !strace_works() {
        return;
    }
    let tmp = TempDir::new().unwrap();
    let kinds = [Kind::Ordinary, Kind::Growing, Kind::Shrinking];
    let cases: Vec<_> =
        kinds.into_iter().flat_map(|kind| calls(kind).into_iter().map(move |call| (kind, call))).collect();
    for_each(&cases, |(kind, call)| {
        let what = format!("{kind:?}-{}-{}", call.name, call.number);
        let path = lay_out(*kind, tmp.path(), &what);
        let call = Call { name: call.name.clone(), ..*call };
        let inject = format!("inject={}:error=EIO:when={}+", call.name, call.number);
        kind.save(strace(&path, &["-e", &inject]), &path);
        kind.check_after_kill(&path, &what);
    });
}

#[test]
fn where_no_directory_can_be_locked_a_file_beside_is() {
    if !strace_works() {
        return;
    }
    let tmp = TempDir::new().unwrap();
    let errors = ["EBADF", "ENOLCK", "EOPNOTSUPP", "EINVAL", "ENOSYS"];
    for error in errors {
        let path = lay_out(Kind::Ordinary, tmp.path(), error);
        // As on NFS: those of the directory above and of the directory are refused, that of a file is not.
        let inject = format!("inject=flock:error={error}:when=1..2");
        let saves = || Kind::Ordinary.save(strace(&path, &["-e", &inject]), &path);
        assert!(saves().status.success(), "{error}");
        assert_eq!(read(&path), Kind::Ordinary.new_value(), "{error}");
        assert_eq!(orphans(path.parent().unwrap()), [".a.json.npc-lock"], "{error}");
        if error == errors[0] {
            let lock = fs::File::open(path.with_file_name(".a.json.npc-lock")).unwrap();
            lock.lock().unwrap();
            let told = saves().stderr;
            assert!(String::from_utf8_lossy(&told).contains("code=timeout"), "{told:?}");
        }
    }
}

#[test]
fn where_names_cannot_change_places_the_file_is_renamed() {
    if !strace_works() {
        return;
    }
    let tmp = TempDir::new().unwrap();
    for error in ["EINVAL", "ENOSYS", "EOPNOTSUPP"] {
        for kind in [Kind::Ordinary, Kind::New, Kind::Orphaned] {
            let what = format!("{kind:?}-{error}");
            let path = lay_out(kind, tmp.path(), &what);
            let output = kind.save(strace(&path, &["-e", &format!("inject=renameat2:error={error}")]), &path);
            assert!(output.status.success(), "{what}: {output:?}");
            assert!(fs::read_to_string(log_of(&path)).unwrap().contains("INJECTED"), "{what}");
            assert_eq!(read(&path), kind.new_value(), "{what}");
            assert_eq!(orphans(path.parent().unwrap()), Vec::<String>::new(), "{what}");
        }
    }
}

/// Saves the file at `path`, which another program, without the lock, replaces by `theirs` just before the exchange.
fn save_displacing(path: &Path, theirs: &Value, options: &[&str]) -> Output {
    let calls = calls(Kind::Ordinary);
    let exchange = calls.iter().position(|call| call.name == "renameat2").unwrap();
    let look = &calls[exchange - 1];
    let stop = format!("inject={}:signal=STOP:when={}", look.name, look.number);
    let mut command = strace(path, &[&["-e", &stop], options].concat());
    command.arg(path).args(["key", "2"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut strace = command.spawn().unwrap();
    while !fs::read_to_string(log_of(path)).is_ok_and(|log| log.contains("stopped by SIGSTOP")) {
        assert_eq!(strace.try_wait().unwrap(), None, "it was not stopped");
        std::thread::yield_now();
    }
    let other = path.with_file_name("theirs");
    fs::write(&other, text_of(theirs)).unwrap();
    fs::rename(other, path).unwrap();
    let traced = fs::read_to_string(format!("/proc/{0}/task/{0}/children", strace.id())).unwrap();
    kill_process(Pid::from_raw(traced.trim().parse().unwrap()).unwrap(), Signal::CONT).unwrap();
    strace.wait_with_output().unwrap()
}

#[test]
fn what_somebody_else_wrote_is_put_back_and_edited() {
    if !strace_works() {
        return;
    }
    let tmp = TempDir::new().unwrap();
    let theirs = json!({ "theirs": true, "key": 1 });
    let both = json!({ "theirs": true, "key": 2 });
    let path = lay_out(Kind::Ordinary, tmp.path(), "merged");
    let output = save_displacing(&path, &theirs, &[]);
    assert!(output.status.success(), "{output:?}");
    let log = fs::read_to_string(log_of(&path)).unwrap();
    assert_eq!(log.matches("RENAME_EXCHANGE").count(), 3, "there, back, and there again: {log}");
    assert_eq!((read(&path), orphans(path.parent().unwrap())), (both.clone(), vec![]));

    // Nothing is gone where it cannot be put back, and nobody is told that it was saved.
    for (index, fault) in ["error=EIO", "signal=KILL"].into_iter().enumerate() {
        let path = lay_out(Kind::Ordinary, tmp.path(), fault);
        let output = save_displacing(&path, &theirs, &["-e", &format!("inject=renameat2:{fault}:when=2")]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert_eq!(told.contains(&format!("errno=Some({})", Errno::IO.raw_os_error())), index == 0, "{told}");
        let displaced = path.with_file_name(".a.json.npc-tmp");
        assert_eq!((read(&path), read(&displaced)), (Kind::Ordinary.new_value(), theirs.clone()));
        fs::rename(displaced, &path).unwrap();
        Kind::Ordinary.save(example(), &path);
        assert_eq!((read(&path), orphans(path.parent().unwrap())), (both.clone(), vec![]));
    }
}

mod a_load {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use engine::file_cache::FileCache;
    use engine::pipeline::host::NoHost;
    use engine::pipeline::{Engine, Kind as FileKind, Request, Stage};
    use engine::plan::Plan;

    use super::*;

    /// A project and its file, torn, with the values that it had.
    fn torn() -> (TempDir, PathBuf, Value) {
        let tmp = TempDir::new().unwrap();
        fs::create_dir_all(tmp.path().join("repo/.git")).unwrap();
        fs::create_dir(tmp.path().join("config")).unwrap();
        let path = tmp.path().join("config/repo.json");
        let old = Kind::Growing.old_value();
        fs::write(&path, text_of(&old)).unwrap();
        fs::hard_link(&path, path.with_file_name("linked")).unwrap();
        tear(&path);
        assert!(parse(&fs::read(&path).unwrap()).is_err());
        (tmp, path, old)
    }

    fn load(tmp: &TempDir) -> Plan {
        let json = FileKind { name: "json".into(), extensions: vec![".json".into()], merged: true };
        let request = Request {
            start_dir: tmp.path().join("repo"),
            near: false,
            config_dir: tmp.path().join("config"),
            stages: Stage::default_pipeline(),
            kinds: vec![json],
            limits: Limits { max_file_size: 1 << 20, trust_mtime: true },
            timeout: Duration::from_secs(60),
            home: None,
            naming: Default::default(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        runtime
            .block_on(Engine::new(Arc::new(FileCache::new(1 << 20))).plan(request, |_| None, Arc::new(NoHost)))
            .unwrap()
    }

    #[test]
    fn puts_back_what_a_killed_save_has_torn() {
        if !strace_works() {
            return;
        }
        let (tmp, path, old) = torn();
        let plan = load(&tmp);
        assert_eq!((&*plan.json, plan.problems), (&old, vec![]));
        assert_eq!((fs::read(&path).unwrap(), backup_path(&path).exists()), (text_of(&old), false));
        assert_eq!(&*plan.files[0].entry.content, text_of(&old));
    }

    #[test]
    fn tells_what_does_not_parse_where_it_cannot_be_put_back() {
        if !strace_works() {
            return;
        }
        let hindrances: [fn(&Path) -> Option<fs::File>; 3] = [
            |path| {
                let lock = fs::File::open(path.parent().unwrap()).unwrap();
                lock.lock().unwrap();
                Some(lock)
            },
            |path| {
                fs::set_permissions(backup_path(path), fs::Permissions::from_mode(0o666)).unwrap();
                None
            },
            |path| {
                fs::remove_file(backup_path(path)).unwrap();
                None
            },
        ];
        for hindrance in hindrances {
            let (tmp, path, _) = torn();
            let torn = fs::read(&path).unwrap();
            let _kept = hindrance(&path);
            let plan = load(&tmp);
            let problems: Vec<_> = plan.problems.iter().map(|problem| (problem.kind.code(), problem.path())).collect();
            assert_eq!(problems, [("syntax", Some(&*path))]);
            assert_eq!((&*plan.json, fs::read(&path).unwrap()), (&json!({}), torn));
        }
    }
}

/// A loop of saves in another process.
struct Saver {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Saver {
    fn start(path: &Path, key: &str, value: &str, count: u64) -> Self {
        let mut command = example();
        command.arg(path).args([key, value, &count.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// One that holds the lock now.
    fn holding_the_lock(path: &Path) -> Self {
        let mut saver = Self::start(path, "held", "wait", 1);
        assert_eq!(saver.line(), "locked\n");
        saver
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The last number that it has printed: so many saves were acknowledged.
    fn acknowledged(&mut self) -> u64 {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text.lines().last().map_or(0, |line| line.parse().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

#[test]
fn processes_lose_no_update() {
    const ROUNDS: u64 = 100;
    let tmp = TempDir::new().unwrap();
    let path = tmp.path().join("a.json");
    let savers: Vec<_> = (0..4).map(|_| Saver::start(&path, "count", "+", ROUNDS)).collect();
    for mut saver in savers {
        assert!(saver.process.wait().unwrap().success());
    }
    assert_eq!(read(&path), json!({ "count": 4 * ROUNDS }));
    assert_eq!(orphans(tmp.path()), Vec::<String>::new());
}

#[test]
fn kills_at_random_moments_lose_nothing_that_was_acknowledged() {
    const KILLS: usize = 500;
    let tmp = TempDir::new().unwrap();
    let [ordinary, linked] = ["ordinary", "linked"].map(|name| {
        fs::create_dir(tmp.path().join(name)).unwrap();
        tmp.path().join(name).join("a.json")
    });
    // Longer than a page, so that a kill can tear it.
    set(&linked, "fill", json!("x".repeat(20_000)), Duration::ZERO).unwrap();
    fs::hard_link(&linked, linked.with_file_name("other")).unwrap();
    let counts: Vec<_> = [ordinary, linked].into_iter().collect();
    let mut with_orphan = 0;
    let started = Instant::now();
    for path in &counts {
        let mut least = 0;
        for kill in 0..KILLS / 2 {
            let mut saver = Saver::start(path, "count", "+", u64::MAX);
            // Some before the first save, some after; then at any moment of one.
            if kill % 4 != 0 {
                saver.line();
            }
            let moment = Instant::now() + Duration::from_micros(kill as u64 * 37 % 2000);
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            saver.kill();
            let found = orphans(path.parent().unwrap());
            assert!(found.len() <= 1, "{found:?}");
            with_orphan += found.len();
            recover(path, &options(Duration::ZERO)).unwrap();
            let acknowledged = u64::from(kill % 4 != 0).max(saver.acknowledged());
            let count =
                fs::read(path).map_or(0, |text| parse(&text).unwrap().unwrap()["count"].as_u64().unwrap_or_default());
            let possible = least + acknowledged..=least + acknowledged + 1;
            assert!(possible.contains(&count), "{count} is not in {possible:?}");
            least = count;
        }
        set(path, "last", json!(true), Duration::ZERO).unwrap();
        assert_eq!(read(path)["count"], json!(least));
        assert_eq!(orphans(path.parent().unwrap()), Vec::<String>::new());
        assert!(least > 0);
    }
    println!("{KILLS} kills in {:?}, {with_orphan} of them left an orphan", started.elapsed());
    assert!(with_orphan > 0, "no save was hit");
}

#[test]
fn a_killed_holder_of_the_lock_costs_no_wait() {
    let tmp = TempDir::new().unwrap();
    let path = tmp.path().join("a.json");
    set(&path, "a", json!(1), Duration::ZERO).unwrap();
    let mut holder = Saver::holding_the_lock(&path);
    assert_eq!(set(&path, "a", json!(2), Duration::ZERO).unwrap_err().kind.code(), "timeout");
    holder.kill();
    set(&path, "a", json!(2), Duration::ZERO).unwrap();
    assert_eq!(read(&path), json!({ "a": 2 }));
}

#[test]
fn a_stopped_holder_of_the_lock_is_an_error_by_the_deadline_and_no_loss() {
    let tmp = TempDir::new().unwrap();
    let path = tmp.path().join("a.json");
    set(&path, "a", json!(1), Duration::ZERO).unwrap();
    let mut holder = Saver::holding_the_lock(&path);
    holder.signal(Signal::STOP);
    let begun = Instant::now();
    let error = set(&path, "a", json!(2), Duration::from_secs(1)).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!((error.kind.code(), error.path()), ("timeout", Some(&*path)));
    holder.signal(Signal::CONT);
    drop(holder.process.stdin.take());
    set(&path, "a", json!(2), Duration::from_secs(10)).unwrap();
    assert!(holder.process.wait().unwrap().success());
    assert_eq!(read(&path), json!({ "a": 2, "held": true }));
}

#[test]
fn new_files_and_directories_follow_the_umask_but_are_never_writable_for_all() {
    let tmp = TempDir::new().unwrap();
    for (umask, file, directory) in [("000", 0o664, 0o775), ("022", 0o644, 0o755), ("077", 0o600, 0o700)] {
        let path = tmp.path().join(umask).join("deeper/a.json");
        // The umask is the whole process's, so another one has it.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(example().get_program());
        assert!(Kind::New.save(shell, &path).status.success());
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let directories = [path.parent().unwrap(), &tmp.path().join(umask)].map(mode);
        assert_eq!((mode(&path), directories), (file, [directory; 2]), "{umask}");
    }
}

/// Said to the process that has mounts of its own.
const INSIDE: &str = "STORE_FAULTS_INSIDE";

#[test]
fn a_disk_full_at_any_size_leaves_the_old_file() {
    const NAME: &str = "a_disk_full_at_any_size_leaves_the_old_file";
    if std::env::var_os(INSIDE).is_some() {
        return fill_disks();
    }
    let own_mounts = if geteuid().is_root() { "-m" } else { "-rm" };
    let unshare =
        |arguments: &[&str]| Command::new("unshare").args([own_mounts, "--"]).args(arguments).env(INSIDE, "").output();
    if !unshare(&["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: this user may not mount");
    }
    let this = std::env::current_exe().unwrap();
    let output = unshare(&[this.to_str().unwrap(), "--exact", NAME, "--nocapture"]).unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}

/// Saves on disks of all sizes: 0 to twice the file more than there has to be for the old one.
fn fill_disks() {
    const PAGE: usize = 4096;
    let tmp = TempDir::new().unwrap();
    let mount = |options: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(tmp.path());
        assert!(mount.status().unwrap().success(), "{options}");
    };
    let path = tmp.path().join("a.json");
    let value = |pages: usize, fill: &str| json!(fill.repeat(pages * PAGE - 100));
    let [mut full, mut saved] = [0, 0];
    for (linked, old_pages, new_pages) in [(false, 0, 4), (false, 4, 4), (false, 4, 7), (true, 2, 5), (true, 5, 2)] {
        for room in 0..=2 * new_pages.max(old_pages) + 1 {
            let what = format!("linked {linked}, {old_pages} to {new_pages} pages, room for {room}");
            // Of no size at all would be one of any size.
            mount(&format!("size={}", (old_pages + room).max(1) * PAGE));
            if old_pages > 0 {
                fs::write(&path, text_of(&json!({ "key": value(old_pages, "o") }))).unwrap();
            }
            if linked {
                fs::hard_link(&path, tmp.path().join("linked")).unwrap();
            }
            let old = fs::read(&path).ok();
            match set(&path, "key", value(new_pages, "n"), Duration::ZERO) {
                Ok(done) => {
                    saved += 1;
                    assert_eq!(fs::read(&path).unwrap(), done.snapshot.unwrap().content, "{what}");
                }
                Err(error) => {
                    full += 1;
                    assert_eq!(error.errno, Some(Errno::NOSPC.raw_os_error()), "{what}: {error}");
                    assert!(error.to_string().contains("make room"), "{error}");
                    assert_eq!(fs::read(&path).ok(), old, "{what}");
                }
            }
            assert_eq!(orphans(tmp.path()), Vec::<String>::new(), "{what}");
            mount(&format!("remount,size={}", 64 * PAGE));
            set(&path, "key", value(new_pages, "n"), Duration::ZERO).expect(&what);
            assert_eq!(read(&path)["key"], value(new_pages, "n"), "{what}");
            assert!(Command::new("umount").arg(tmp.path()).status().unwrap().success());
        }
    }
    println!("{full} full, {saved} saved");
    assert!(full > 20 && saved > 20, "{full} full, {saved} saved");
}
