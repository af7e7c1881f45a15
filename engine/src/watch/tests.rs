//! Real directories, the system's real watcher; what no machine does on demand (limits, hangs) is done by one of ours.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{self, Receiver};

use notify::{RecursiveMode, Watcher};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::eyes::Handler;
use super::*;

/// Nothing takes so long here.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(20);
/// Longer than a test takes: what is pending stays so.
const NEVER: Duration = Duration::from_secs(3600);

struct Scene {
    directory: TempDir,
    /// Watched too, whatever becomes of the rest.
    beside: TempDir,
    marks: AtomicUsize,
    watch: Arc<Watch>,
    told: Receiver<Told>,
    /// The paths of all events, each after it was heard.
    seen: Receiver<PathBuf>,
    disk: Disk,
    // The last to go.
    _runtime: Runtime,
}

type Opened = notify::Result<AnyWatcher>;

impl Scene {
    fn new() -> Self {
        Self::with(|handler| (System::default().open)(handler), |_| false)
    }

    fn with(
        open: impl Fn(Handler) -> Opened + Send + Sync + 'static,
        is_remote: impl Fn(&Path) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (see, seen) = mpsc::channel();
        let open = move |mut handler: Handler| {
            let see = see.clone();
            open(Box::new(move |event| {
                let paths = event.as_ref().map_or(Vec::new(), |event: &Event| event.paths.clone());
                handler(event);
                paths.into_iter().for_each(|path| drop(see.send(path)));
            }))
        };
        let (tell, told) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let system = System { open: Box::new(open), is_remote: Box::new(is_remote), poll: SHORT };
        let disk = Disk::default();
        let watch = Watch::on(disk.clone(), system, runtime.handle().clone(), move |what| drop(tell.send(what)));
        let [directory, beside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::create_dir(beside.path().join("watched")).unwrap();
        Self { directory, beside, marks: AtomicUsize::new(0), watch, told, seen, disk, _runtime: runtime }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(path)
    }

    fn make(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.path(path), content).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn link(&self, target: &str, link: &str) {
        symlink(self.path(target), self.path(link)).unwrap();
    }

    fn wanted(&self, config_dir: &str, directories: &[&str], files: &[&str]) -> Wanted {
        let paths = |paths: &[&str]| paths.iter().map(|path| self.path(path)).collect();
        Wanted { config_dir: self.path(config_dir), directories: paths(directories), files: paths(files) }
    }

    /// Has it watched, and waits until it is.
    fn want(&self, config_dir: &str, directories: &[&str], files: &[&str], debounce: Duration) {
        self.watch.want(self.and_beside(self.wanted(config_dir, directories, files)), debounce);
        self.hint("the watches are new");
    }

    fn and_beside(&self, wanted: Wanted) -> Vec<Wanted> {
        let beside = Wanted { config_dir: self.beside().join("watched"), directories: vec![], files: vec![] };
        vec![wanted, beside]
    }

    fn beside(&self) -> PathBuf {
        self.beside.path().canonicalize().unwrap()
    }

    /// Waits until all events of what was done up to now were heard: they come in order, and the last one is of a file that is not heeded.
    #[track_caller]
    fn all_is_heard(&self) {
        let number = self.marks.fetch_add(1, Ordering::SeqCst);
        let mark = self.beside().join(format!("watched/.{number}.json.npc-tmp"));
        let began = Instant::now();
        while began.elapsed() < LONG {
            fs::write(&mark, "").unwrap();
            // Where its directory is watched anew just now, it has no event.
            while let Ok(seen) = self.seen.recv_timeout(SHORT) {
                if seen == mark {
                    return;
                }
            }
        }
        panic!("no event of {}", mark.display());
    }

    /// Waits until nothing more comes of what was done up to now, and forgets what has.
    #[track_caller]
    fn comes_to_rest(&self) {
        self.all_is_heard();
        let began = Instant::now();
        let rests = || {
            let state = self.watch.inner.state();
            state.rests && !state.pulse.is_pending() && !state.pulse.is_unsurveyed()
        };
        while !rests() {
            assert!(began.elapsed() < LONG, "it does not come to rest");
            std::thread::yield_now();
        }
        self.told.try_iter().for_each(drop);
    }

    #[track_caller]
    fn hint(&self, why: &str) {
        assert_eq!(self.told.recv_timeout(LONG).as_ref(), Ok(&Told::Hint), "{why}");
    }

    #[track_caller]
    fn blind(&self) -> String {
        match self.told.recv_timeout(LONG) {
            Ok(Told::Blind(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until an event of this path was heard.
    #[track_caller]
    fn heard(&self, path: &str) {
        let path = self.path(path);
        while self.seen.recv_timeout(LONG).unwrap_or_else(|_| panic!("no event of {}", path.display())) != path {}
    }

    /// Writes a file until that is heard. Its directory may have been made anew just now: then it comes to be watched, which is a hint.
    #[track_caller]
    fn comes_to_be_heard(&self, path: &str) {
        let wanted = self.path(path);
        let began = Instant::now();
        while began.elapsed() < LONG {
            self.write(path, "");
            while self.told.try_recv().is_err() && began.elapsed() < LONG {
                if self.seen.recv_timeout(SHORT).is_ok_and(|seen| seen == wanted) {
                    return;
                }
            }
        }
        panic!("no event of {path}");
    }

    fn is_pending(&self) -> bool {
        self.watch.inner.state().pulse.is_pending()
    }

    fn watched(&self) -> Vec<PathBuf> {
        let (state, beside) = (self.watch.inner.state(), self.beside());
        state.filter.directories.keys().filter(|path| !path.starts_with(&beside)).cloned().collect()
    }

    /// Each of these, one after the other, is told of; those that name a path have an event of it.
    #[track_caller]
    fn each_is_a_hint(&self, changes: &[(&str, &dyn Fn())]) {
        for (what, change) in changes {
            // Hints and events of what was before count for nothing.
            self.comes_to_rest();
            change();
            if let Some((_, path)) = what.split_once(": ") {
                self.heard(path);
            }
            self.hint(what);
        }
        self.comes_to_rest();
    }

    /// None of these is heeded. Each has an event of this path.
    #[track_caller]
    fn none_is_a_hint(&self, changes: &[(&str, &dyn Fn())]) {
        for (path, change) in changes {
            change();
            self.heard(path);
            assert!(!self.is_pending(), "{path}");
        }
        assert_eq!(self.told.try_recv().ok(), None);
    }
}

#[test]
fn every_kind_of_change_is_told() {
    let scene = Scene::new();
    scene.make("config/rad");
    scene.want("config", &["config/rad"], &[], SHORT);
    scene.each_is_a_hint(&[
        ("create: config/rad.lua", &|| scene.write("config/rad.lua", "1")),
        ("write: config/rad.lua", &|| scene.write("config/rad.lua", "22")),
        ("rename over", &|| {
            scene.write("config/new", "3");
            scene.rename("config/new", "config/rad.lua");
        }),
        ("rename", &|| scene.rename("config/rad.lua", "config/other.lua")),
        ("move away: config/other.lua", &|| scene.rename("config/other.lua", "other.lua")),
        ("move here: config/rad.lua", &|| scene.rename("other.lua", "config/rad.lua")),
        ("remove: config/rad.lua", &|| fs::remove_file(scene.path("config/rad.lua")).unwrap()),
        ("create in a project's directory: config/rad/a.json", &|| scene.write("config/rad/a.json", "{}")),
        ("write in a project's directory: config/rad/a.json", &|| scene.write("config/rad/a.json", "{ }")),
        ("link: config/link.lua", &|| scene.link("other", "config/link.lua")),
    ]);
}

/// On a machine that has other things to do it may have pauses, or take more than the 10 s after which events are told in any case.
#[test]
fn a_burst_is_one_hint() {
    let debounce = Duration::from_millis(300);
    let pauses = Arc::new(AtomicU64::new(0));
    let paused = Arc::clone(&pauses);
    let scene = Scene::with(
        move |mut handler| {
            let (pauses, mut last) = (Arc::clone(&paused), Instant::now());
            let measure = move |event: notify::Result<Event>| {
                let is_counted = event.as_ref().is_ok_and(|event| !event.kind.is_access());
                let begun = Instant::now();
                handler(event);
                if is_counted {
                    // From before the last one to after this one: not less than there was between them.
                    let is_pause = last.elapsed() > debounce * 9 / 10;
                    pauses.fetch_add(is_pause.into(), Ordering::SeqCst);
                    last = begun;
                }
            };
            (System::default().open)(Box::new(measure))
        },
        |_| false,
    );
    scene.make("config");
    scene.want("config", &[], &[], debounce);
    let begun = Instant::now();
    scene.write("config/a.lua", "");
    scene.heard("config/a.lua");
    pauses.store(0, Ordering::SeqCst);
    for index in 0..20_000 {
        scene.write("config/a.lua", if index % 2 == 0 { "x" } else { "" });
    }
    scene.write("config/last", "");
    scene.all_is_heard();
    let longest = begun.elapsed().as_secs() / 10;
    let mut hints = 0;
    while hints == 0 || scene.is_pending() {
        scene.hint("the burst");
        hints += 1;
    }
    hints += scene.told.try_iter().count() as u64;
    let most = 1 + longest + pauses.load(Ordering::SeqCst);
    assert!(hints <= most, "{hints} hints instead of {most}");
}

/// Nobody reads the events meanwhile, so the system forgets some, among them those of a directory that is removed.
#[test]
fn events_that_are_lost_are_a_hint() {
    let gate = Arc::new(Mutex::new(()));
    let entrance = Arc::clone(&gate);
    let scene = Scene::with(
        move |mut handler| {
            let gate = Arc::clone(&entrance);
            let wait = move |event| {
                drop(gate.lock().unwrap());
                handler(event);
            };
            (System::default().open)(Box::new(wait))
        },
        |_| false,
    );
    scene.make("config/rad");
    scene.want("config", &["config/rad"], &[], SHORT);
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    let closed = gate.lock().unwrap();
    // Two files, since the system takes equal events in a row for one.
    for _ in 0..limit / 2 + 1 {
        scene.write("config/a.lua", "");
        scene.write("config/b.lua", "");
    }
    fs::remove_dir(scene.path("config/rad")).unwrap();
    scene.make("config/rad");
    drop(closed);
    scene.hint("the events");
    scene.each_is_a_hint(&[("file: config/rad/a.lua", &|| scene.write("config/rad/a.lua", ""))]);
}

#[test]
fn what_is_not_wanted_or_our_own_is_no_hint() {
    let scene = Scene::new();
    scene.make("config/rad");
    scene.make("elsewhere");
    scene.write("elsewhere/a.json", "{}");
    scene.link("elsewhere/a.json", "config/a.json");
    scene.want("config", &["config/rad"], &["config/a.json"], NEVER);
    scene.none_is_a_hint(&[
        ("beside", &|| scene.write("beside", "")),
        ("config/.rad.json.npc-tmp", &|| scene.write("config/.rad.json.npc-tmp", "")),
        ("config/rad/.a.json.npc-lock", &|| scene.write("config/rad/.a.json.npc-lock", "")),
        ("config/rad/.a.json.npc-backup", &|| scene.write("config/rad/.a.json.npc-backup", "")),
        ("elsewhere/b.json", &|| scene.write("elsewhere/b.json", "{}")),
        ("config/rad", &|| assert!(fs::read_dir(scene.path("config/rad")).unwrap().count() > 0)),
        ("elsewhere/a.json", &|| drop(fs::read(scene.path("config/a.json")).unwrap())),
    ]);
}

#[test]
fn the_target_of_a_linked_file_is_watched() {
    let scene = Scene::new();
    for directory in ["config/rad", "one", "two"] {
        scene.make(directory);
    }
    scene.write("one/a.json", "{}");
    scene.write("two/a.json", "{}");
    scene.link("one/a.json", "middle");
    scene.link("middle", "config/rad/a.json");
    scene.want("config", &["config/rad"], &["config/rad/a.json"], SHORT);
    scene.each_is_a_hint(&[
        ("write: one/a.json", &|| scene.write("one/a.json", "{ }")),
        ("rename over", &|| {
            scene.write("one/new", "[]");
            scene.rename("one/new", "one/a.json");
        }),
        ("the link in the middle leads elsewhere", &|| {
            scene.link("two/a.json", "new");
            scene.rename("new", "middle");
        }),
        ("write there: two/a.json", &|| scene.write("two/a.json", "{ }")),
        ("remove", &|| fs::remove_dir_all(scene.path("two")).unwrap()),
        ("made anew", &|| scene.make("two")),
        ("its file: two/a.json", &|| scene.write("two/a.json", "")),
    ]);
    assert!(!scene.watched().contains(&scene.path("one")));
}

#[test]
fn a_config_dir_that_is_made_anew_is_found_again_level_by_level() {
    let scene = Scene::new();
    scene.make("a/b/config/rad");
    scene.want("a/b/config", &["a/b/config/rad"], &[], SHORT);
    for round in 0..3 {
        scene.each_is_a_hint(&[
            ("gone", &|| fs::remove_dir_all(scene.path("a")).unwrap()),
            ("first level", &|| scene.make("a")),
            ("second level", &|| scene.make("a/b")),
            ("itself", &|| scene.make("a/b/config")),
            ("file: a/b/config/rad.lua", &|| scene.write("a/b/config/rad.lua", "")),
            ("project's directory", &|| scene.make("a/b/config/rad")),
            ("its file: a/b/config/rad/a.lua", &|| scene.write("a/b/config/rad/a.lua", "")),
        ]);
        let again = |what: &str, root: &str| {
            let file = format!("a/b/config/rad/{round} {what}.lua"); // no event of before is of this one
            scene.each_is_a_hint(&[(what, &|| {
                fs::remove_dir_all(scene.path(root)).unwrap();
                scene.make("a/b/config/rad");
            })]);
            scene.comes_to_be_heard(&file);
        };
        again("all at once", "a");
        again("project's directory anew", "a/b/config/rad");
    }
}

#[test]
fn a_config_dir_that_does_not_exist_yet_is_found() {
    let scene = Scene::new();
    scene.want("a/config", &["a/config/rad"], &["a/config/rad.lua"], SHORT);
    assert_eq!(scene.watched(), [scene.path("")]);
    scene.each_is_a_hint(&[
        ("all levels", &|| scene.make("a/config/rad")),
        ("file: a/config/rad/a.lua", &|| scene.write("a/config/rad/a.lua", "")),
    ]);
}

#[test]
fn a_config_dir_that_was_moved_away_and_back_is_watched_with_all_in_it() {
    let scene = Scene::new();
    scene.make("config/rad");
    scene.want("config", &["config/rad"], &[], SHORT);
    scene.each_is_a_hint(&[
        ("away and back", &|| {
            scene.rename("config", "aside");
            scene.rename("aside", "config");
        }),
        ("file: config/a.lua", &|| scene.write("config/a.lua", "")),
        ("project's file: config/rad/a.lua", &|| scene.write("config/rad/a.lua", "")),
        ("away", &|| scene.rename("config", "aside")),
        ("another one", &|| scene.make("config/rad")),
        ("project's file: config/rad/a.lua", &|| scene.write("config/rad/a.lua", "")),
    ]);
    assert!(scene.watched().contains(&scene.path("config/rad")));
}

#[test]
fn a_link_that_leads_elsewhere_is_followed() {
    let scene = Scene::new();
    for directory in ["one/config", "two/config", "three"] {
        scene.make(directory);
    }
    // config -> way/config, way -> one
    scene.link("one", "way");
    scene.link("way/config", "config");
    scene.want("config", &[], &[], SHORT);
    scene.each_is_a_hint(&[
        ("in the first: one/config/a.lua", &|| scene.write("one/config/a.lua", "")),
        ("the link in the middle", &|| {
            scene.link("two", "new");
            scene.rename("new", "way");
        }),
        ("in the second: two/config/a.lua", &|| scene.write("two/config/a.lua", "")),
        ("the link itself", &|| {
            scene.link("three", "new");
            scene.rename("new", "config");
        }),
        ("in the third: three/a.lua", &|| scene.write("three/a.lua", "")),
        ("no link", &|| fs::remove_file(scene.path("config")).unwrap()),
        ("a directory", &|| scene.make("config")),
        ("in it: config/a.lua", &|| scene.write("config/a.lua", "")),
    ]);
    let mut watched = scene.watched();
    watched.sort();
    assert_eq!(watched, [scene.path(""), scene.path("config")].map(|path| path.components().collect::<PathBuf>()));
}

#[test]
fn links_in_a_circle_are_no_way() {
    let scene = Scene::new();
    scene.link("two", "one");
    scene.link("one", "two");
    scene.want("one", &[], &[], SHORT);
    scene.each_is_a_hint(&[
        ("repaired", &|| {
            fs::remove_file(scene.path("one")).unwrap();
            scene.make("one");
        }),
        ("file: one/a.lua", &|| scene.write("one/a.lua", "")),
    ]);
}

#[test]
fn who_asks_gets_a_hint_at_once() {
    let scene = Scene::new();
    scene.watch.look();
    scene.make("config");
    scene.want("config", &[], &[], NEVER);
    assert_eq!(scene.told.try_recv().ok(), None, "nothing was wanted yet");
    scene.watch.look();
    scene.hint("asked for");
    scene.write("config/a.lua", "");
    scene.all_is_heard();
    assert!(scene.is_pending());
    scene.watch.look();
    scene.hint("asked for again");
    assert!(!scene.is_pending(), "the event is told with it");
}

#[test]
fn the_same_again_is_no_hint_and_something_new_is() {
    let scene = Scene::new();
    scene.make("config/rad");
    scene.want("config", &[], &[], NEVER);
    scene.watch.want(scene.and_beside(scene.wanted("config", &[], &[])), NEVER);
    scene.want("config", &["config/rad"], &[], NEVER);
    assert_eq!(scene.told.try_recv().ok(), None, "the first of these two is no hint");
    scene.write("config/rad/a.lua", "");
    scene.heard("config/rad/a.lua");
    assert!(scene.is_pending());
}

type Before = dyn Fn(&Path) -> notify::Result<()> + Send + Sync;

/// The real one, and what happens just before it watches a path.
struct Meddled {
    real: AnyWatcher,
    before: Arc<Before>,
}

impl std::fmt::Debug for Meddled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddled")
    }
}

impl Watcher for Meddled {
    fn new<F: notify::EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
        unreachable!()
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> notify::Result<()> {
        (self.before)(path)?;
        self.real.watch(path, mode)
    }

    fn unwatch(&mut self, path: &Path) -> notify::Result<()> {
        self.real.unwatch(path)
    }

    fn kind() -> notify::WatcherKind {
        unreachable!()
    }
}

impl Scene {
    fn meddled(before: impl Fn(&Path) -> notify::Result<()> + Send + Sync + 'static) -> Self {
        let before: Arc<Before> = Arc::new(before);
        let open = move |handler| {
            let real = (System::default().open)(handler)?;
            Ok(Box::new(Meddled { real, before: Arc::clone(&before) }) as AnyWatcher)
        };
        Self::with(open, |_| false)
    }
}

/// Blind once, hints again and again, and neither when it can see again.
#[track_caller]
fn polls_until_it_can_see(scene: &Scene, blind: &str, refuses: &AtomicBool) {
    for _ in 0..2 {
        let text = scene.blind();
        assert!(text.contains(blind) && text.contains(scene.directory.path().to_str().unwrap()), "{text}");
        for _ in 0..3 {
            scene.hint("polled");
        }
        refuses.store(false, Ordering::SeqCst);
        while scene.watch.inner.state().is_blind {
            std::thread::yield_now();
        }
        // What was new is a hint, and told before the one below.
        while !scene.watch.inner.state().rests {
            std::thread::yield_now();
        }
        assert!(scene.told.try_iter().all(|told| told == Told::Hint));
        scene.write("config/a.lua", "");
        scene.hint("it is watched");
        refuses.store(true, Ordering::SeqCst);
        scene.watch.want(vec![], SHORT);
        while scene.watch.inner.state().is_driven {
            std::thread::yield_now();
        }
        assert!(scene.told.try_iter().all(|told| told == Told::Hint));
        scene.watch.want(vec![scene.wanted("config", &["config/rad"], &[])], SHORT);
    }
}

#[test]
fn where_no_more_can_be_watched_it_is_polled() {
    let refuses = Arc::new(AtomicBool::new(true));
    let refusing = Arc::clone(&refuses);
    let scene = Scene::meddled(move |_| match refusing.load(Ordering::SeqCst) {
        true => Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch)),
        false => Ok(()),
    });
    scene.make("config/rad");
    scene.watch.want(vec![scene.wanted("config", &["config/rad"], &[])], SHORT);
    polls_until_it_can_see(&scene, "fs.inotify.max_user_watches", &refuses);
}

#[test]
fn where_there_is_no_watcher_it_is_polled() {
    let refuses = Arc::new(AtomicBool::new(true));
    let refusing = Arc::clone(&refuses);
    let scene = Scene::with(
        move |handler| {
            if refusing.load(Ordering::SeqCst) {
                return Err(notify::Error::io(rustix::io::Errno::MFILE.into()));
            }
            (System::default().open)(handler)
        },
        |_| false,
    );
    scene.make("config/rad");
    scene.watch.want(vec![scene.wanted("config", &["config/rad"], &[])], SHORT);
    polls_until_it_can_see(&scene, "fs.inotify.max_user_instances", &refuses);
}

#[test]
fn a_remote_file_system_is_watched_and_polled() {
    let scene = Scene::with(|handler| (System::default().open)(handler), |_| true);
    scene.make("config");
    scene.watch.want(vec![scene.wanted("config", &[], &[])], NEVER);
    assert!(scene.blind().contains("network or FUSE"));
    scene.hint("new, or polled");
    scene.hint("polled");
    scene.write("config/a.lua", "");
    scene.heard("config/a.lua");
}

/// What happens after a look and before the watch has no event.
#[test]
fn what_comes_between_looking_and_watching_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let scene = Scene::meddled(move |path| {
        if path == root {
            fs::create_dir_all(root.join("a/config")).unwrap();
        } else if path == root.join("a") {
            fs::create_dir_all(root.join("a/config/rad")).unwrap();
        }
        Ok(())
    });
    let scene = Scene { directory, ..scene };
    scene.want("a/config", &["a/config/rad"], &[], SHORT);
    scene.each_is_a_hint(&[("file: a/config/rad/a.lua", &|| scene.write("a/config/rad/a.lua", ""))]);
}

/// A directory that goes before it is watched is no reason to be blind.
#[test]
fn what_goes_between_looking_and_watching_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().canonicalize().unwrap().join("config");
    fs::create_dir(&config).unwrap();
    let scene = Scene::meddled(move |path| {
        if path == config {
            let _ = fs::remove_dir(path);
        }
        Ok(())
    });
    let scene = Scene { directory, ..scene };
    scene.want("config", &[], &[], SHORT);
    assert_eq!(scene.watched(), [scene.directory.path().canonicalize().unwrap()]);
    assert!(!scene.watch.inner.state().is_blind);
}

#[test]
fn a_path_that_hangs_does_not_hold_back_the_others() {
    let scene = Scene::new();
    for directory in ["dead/config", "alive/config"] {
        scene.make(directory);
    }
    let held = Look::new(&scene.disk.calls);
    held.at(&scene.path("dead")).unwrap();
    let both = vec![scene.wanted("dead/config", &[], &[]), scene.wanted("alive/config", &[], &[])];
    scene.watch.want(both, SHORT);
    scene.hint("one is watched");
    scene.write("alive/config/a.lua", "");
    scene.hint("an event");
    assert!(!scene.watched().contains(&scene.path("dead/config")));
    drop(held);
    scene.hint("the other one is watched");
    scene.write("dead/config/a.lua", "");
    scene.hint("an event there");
}

#[test]
fn what_is_watched_stays_so_while_its_disk_hangs() {
    let scene = Scene::new();
    scene.make("config");
    scene.make("other");
    scene.want("config", &[], &[], SHORT);
    let held = Look::new(&scene.disk.calls);
    held.at(&scene.path("config")).unwrap();
    let both = vec![scene.wanted("config", &[], &[]), scene.wanted("other", &[], &[])];
    scene.watch.want(both, SHORT);
    scene.hint("another is watched");
    scene.write("config/a.lua", "");
    scene.hint("an event");
    scene.write("other/a.lua", "");
    scene.hint("an event there");
}

#[test]
fn a_watcher_that_hangs_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().canonicalize().unwrap().join("dead");
    let (go_on, until) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let until = Mutex::new(until);
    let scene = Scene::meddled(move |path| {
        if path == at {
            begun.send(()).unwrap();
            let _ = until.lock().unwrap().recv();
        }
        Ok(())
    });
    let scene = Scene { directory, ..scene };
    scene.make("config");
    scene.make("dead");
    let both = vec![scene.wanted("config", &[], &[]), scene.wanted("dead", &[], &[])];
    scene.watch.want(both, SHORT);
    begins.recv_timeout(LONG).unwrap();
    scene.hint("one is watched");
    scene.write("config/a.lua", "");
    scene.hint("an event");
    scene.watch.look();
    scene.hint("asked for");
    assert!(begins.try_recv().is_err(), "no other thread is stuck there");
    drop(go_on);
    scene.hint("the other one is watched");
    scene.write("dead/a.lua", "");
    scene.hint("an event there");
}

#[test]
fn a_panic_of_whoever_is_told_is_nobody_elses() {
    let scene = Scene::new();
    let (tell, told) = mpsc::channel();
    let runtime = scene.watch.inner.runtime.clone();
    let watch = Watch::new(runtime, move |what| {
        tell.send(what).unwrap();
        panic!("on purpose");
    });
    scene.make("config");
    watch.want(vec![scene.wanted("config", &[], &[])], SHORT);
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Hint));
    scene.write("config/a.lua", "");
    assert_eq!(told.recv_timeout(LONG), Ok(Told::Hint));
}
