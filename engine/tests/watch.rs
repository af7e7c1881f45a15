//! What watching leaves of itself. A process for itself: the threads and descriptors of others would count too.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is what a panic is for")]

use std::fs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use engine::watch::{Told, Wanted, Watch};

const LONG: Duration = Duration::from_secs(30);

/// The threads of the system's watcher.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    // One may have ended meanwhile.
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("notify-rs")).count()
}

/// The descriptors of watchers and of what wakes them.
fn descriptors() -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("inotify")).count()
}

fn all_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn nothing_is_left_when_nothing_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (tell, told) = mpsc::channel();
    let watch = Watch::new(runtime.handle().clone(), move |what| drop(tell.send(what)));
    let before = all_descriptors();
    let wanted = Wanted { config_dir: directory.path().to_path_buf(), directories: vec![], files: vec![] };
    for _ in 0..100 {
        watch.want(vec![wanted.clone()], Duration::ZERO);
        assert_eq!(told.recv_timeout(LONG), Ok(Told::Hint));
        assert_eq!((threads(), descriptors()), (1, 1));
        watch.want(vec![], Duration::ZERO);
        // Who tells the thread to end may close what he has told it by after that.
        soon("the thread ends", || threads() == 0 && descriptors() == 0 && all_descriptors() == before);
    }
    watch.want(vec![wanted.clone()], Duration::ZERO);
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Hint));
    drop(watch);
    soon("it ends with its owner", || threads() == 0 && all_descriptors() == before);

    let watch = Watch::new(runtime.handle().clone(), |_| {});
    for _ in 0..1_000 {
        watch.want(vec![wanted.clone()], Duration::ZERO);
        watch.want(vec![], Duration::ZERO);
    }
    soon("it ends, however quickly one changes one's mind", || threads() == 0 && all_descriptors() == before);
}
