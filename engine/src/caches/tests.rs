//! Many requests at once on real files: who is answered with what, when, and at which cost.

use std::collections::HashMap;
use std::fs;
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;

const LIMITS: Limits = Limits { max_file_size: 1 << 20, trust_mtime: true };

/// Longer than anything takes on a disk that works.
const LONG: Duration = Duration::from_secs(60);

/// Long enough for a thread to be started, short enough to wait for.
const SHORT: Duration = Duration::from_secs(1);

/// A directory, caches, and all that they tell.
struct Scene {
    directory: TempDir,
    caches: Arc<Caches>,
    told: Receiver<Vec<(CacheTicket, Answer)>>,
    answers: HashMap<CacheTicket, Answer>,
    last: u64,
    runtime: Runtime,
}

impl Scene {
    fn new() -> Self {
        Self::with_memory(1 << 20)
    }

    fn with_memory(max_bytes: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let (tell, told) = channel();
        let caches = Caches::on(Disk::default(), max_bytes, move |answers| tell.send(answers).unwrap());
        Self { directory: TempDir::new().unwrap(), caches, told, answers: HashMap::new(), last: 0, runtime }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fs::write(self.at(name), content).unwrap();
    }

    fn ticket(&mut self) -> CacheTicket {
        self.last += 1;
        CacheTicket(self.last)
    }

    fn ask(&mut self, name: &str, timeout: Duration) -> CacheTicket {
        let ticket = self.ticket();
        self.caches.get_file(self.runtime.handle(), ticket, self.at(name), LIMITS, timeout);
        ticket
    }

    fn ask_directory(&mut self, name: &str, timeout: Duration) -> CacheTicket {
        let ticket = self.ticket();
        self.caches.get_directory(self.runtime.handle(), ticket, self.at(name), true, timeout);
        ticket
    }

    fn ask_to_write(&mut self, name: &str, content: &str, json: Option<Value>, timeout: Duration) -> CacheTicket {
        let ticket = self.ticket();
        let content = content.as_bytes().to_vec();
        self.caches.write(self.runtime.handle(), ticket, self.at(name), content, json, LIMITS, timeout);
        ticket
    }

    /// The answer; each comes once.
    fn answer(&mut self, ticket: CacheTicket) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&ticket) {
                return answer;
            }
            for (ticket, answer) in self.told.recv_timeout(LONG).expect("an answer") {
                assert!(self.answers.insert(ticket, answer).is_none(), "{ticket:?} was answered twice");
            }
        }
    }

    fn file(&mut self, ticket: CacheTicket) -> Result<FileState> {
        let Answer::File(state) = self.answer(ticket) else { panic!("no file") };
        state
    }

    fn get(&mut self, name: &str) -> Result<FileState> {
        let ticket = self.ask(name, LONG);
        self.file(ticket)
    }

    fn content(&mut self, name: &str) -> String {
        String::from_utf8(self.get(name).unwrap().entry.content.clone()).unwrap()
    }

    fn list(&mut self, name: &str) -> Result<Arc<DirectoryEntry>> {
        let ticket = self.ask_directory(name, LONG);
        let Answer::Directory(entry) = self.answer(ticket) else { panic!("no directory") };
        entry
    }

    fn write(&mut self, name: &str, content: &str, json: Option<Value>) -> Result<()> {
        let ticket = self.ask_to_write(name, content, json, LONG);
        let Answer::Written(result) = self.answer(ticket) else { panic!("nothing was written") };
        result
    }

    /// Somebody else looks at the path, and does not come back before this is dropped.
    fn hang(&self, name: &str) -> Look {
        let look = Look::new(&self.caches.disk.calls);
        look.at(&self.at(name)).unwrap();
        look
    }
}

#[test]
fn a_file_is_read_and_known_again() {
    let mut scene = Scene::new();
    scene.put("a.lua", "return 1");
    let first = scene.get("a.lua").unwrap();
    assert_eq!((&*first.entry.path, &*first.entry.content), (&*scene.at("a.lua"), &b"return 1"[..]));
    let again = scene.get("a.lua").unwrap();
    assert!(again.id == first.id && Arc::ptr_eq(&again.entry, &first.entry));
    scene.put("a.lua", "return 2");
    let changed = scene.get("a.lua").unwrap();
    assert_eq!(changed.entry.content, b"return 2");
    assert_ne!(changed.id, first.id);
}

#[test]
fn a_directory_is_listed_and_known_again() {
    let mut scene = Scene::new();
    scene.put(".hidden", "");
    scene.put("b", "");
    fs::create_dir(scene.at("a")).unwrap();
    let items = |entry: &DirectoryEntry| {
        let item = |item: &DirectoryItem| (item.name.to_str().unwrap().to_owned(), item.kind.as_str());
        entry.entries.iter().map(item).collect::<Vec<_>>()
    };
    let first = scene.list("").unwrap();
    assert_eq!(items(&first), [(".hidden".into(), "file"), ("a".into(), "directory"), ("b".into(), "file")]);
    assert!(Arc::ptr_eq(&first, &scene.list("").unwrap()));
    fs::remove_file(scene.at("b")).unwrap();
    assert_eq!(items(&scene.list("").unwrap()).len(), 2);
}

#[test]
fn what_is_written_is_on_disk_and_in_the_cache() {
    let mut scene = Scene::new();
    scene.write("new/a.lua", "return 1", Some(Value::from("given"))).unwrap();
    assert_eq!(fs::read(scene.at("new/a.lua")).unwrap(), b"return 1");
    let state = scene.get("new/a.lua").unwrap();
    assert_eq!(state.entry.content, b"return 1");
    assert_eq!(*state.entry.shown_json().unwrap().unwrap(), Value::from("given"));
    scene.write("new/a.lua", "return 1", None).unwrap();
    let raw = scene.get("new/a.lua").unwrap();
    assert_ne!(raw.id, state.id);
    assert!(raw.entry.shown_json().unwrap().is_none());
}

#[test]
fn a_path_that_hangs_is_a_time_out_for_each_who_waits() {
    let mut scene = Scene::new();
    scene.put("a.lua", "1");
    let hung = scene.hang("a.lua");
    let tickets = [scene.ask("a.lua", SHORT), scene.ask("a.lua", SHORT / 2)];
    let errors = tickets.map(|ticket| scene.file(ticket).unwrap_err());
    assert_eq!(errors[0], Error::new(ErrorKind::Timeout { after_ms: 1000 }).at(scene.at("a.lua")));
    assert_eq!(errors[1], Error::new(ErrorKind::Timeout { after_ms: 500 }).at(scene.at("a.lua")));
    let waiting = scene.ask("a.lua", LONG);
    drop(hung);
    assert_eq!(scene.file(waiting).unwrap().entry.content, b"1");
}

#[test]
fn whoever_asks_for_a_path_is_answered_by_a_look_that_began_later() {
    let mut scene = Scene::new();
    for round in 0..500 {
        scene.put("a.lua", &format!("{round:03}"));
        let first = scene.ask("a.lua", LONG);
        let content = format!("{:03}", round + 500);
        scene.put("a.lua", &content);
        let second = scene.ask("a.lua", LONG);
        assert_eq!(scene.file(second).unwrap().entry.content, content.as_bytes());
        scene.file(first).unwrap();
    }
}

#[test]
fn requests_of_a_blocked_path_share_the_look_that_follows() {
    let mut scene = Scene::new();
    scene.put("a.lua", "old");
    let hung = scene.hang("a.lua");
    let tickets: Vec<_> = (0..1000).map(|_| scene.ask("a.lua", LONG)).collect();
    scene.put("a.lua", "new");
    drop(hung);
    let states: Vec<_> = tickets.into_iter().map(|ticket| scene.file(ticket).unwrap()).collect();
    assert!(states.iter().all(|state| state.id == states[0].id && state.entry.content == b"new"));
}

#[test]
fn a_path_that_hangs_does_not_hold_back_others() {
    let mut scene = Scene::new();
    scene.put("a.lua", "1");
    let hung: Vec<_> = (0..100).map(|index| scene.hang(&format!("dead-{index}"))).collect();
    let waiting: Vec<_> = (0..100).map(|index| scene.ask(&format!("dead-{index}"), LONG)).collect();
    assert_eq!(scene.content("a.lua"), "1");
    drop(hung);
    assert!(waiting.into_iter().all(|ticket| scene.file(ticket).is_err_and(|error| error.kind == ErrorKind::NotFound)));
}

#[test]
fn a_path_that_hangs_is_waited_for_by_one_task_however_often_it_is_asked_for() {
    let mut scene = Scene::new();
    let hung = scene.hang("a.lua");
    let before = scene.runtime.metrics().num_alive_tasks();
    for _ in 0..20 {
        let ticket = scene.ask("a.lua", Duration::from_millis(2));
        assert_eq!(scene.file(ticket).unwrap_err().kind, ErrorKind::Timeout { after_ms: 2 });
    }
    // The one that watches, and the one that waits for the path; one that has nothing to do any more may still be about to end.
    let until = Instant::now() + LONG;
    while scene.runtime.metrics().num_alive_tasks() > before + 2 {
        assert!(Instant::now() < until, "{} tasks", scene.runtime.metrics().num_alive_tasks());
        std::thread::yield_now();
    }
    drop(hung);
    scene.put("a.lua", "1");
    assert_eq!(scene.content("a.lua"), "1");
}

#[test]
fn what_is_no_file_says_so() {
    let mut scene = Scene::new();
    let directory = scene.directory.path().to_path_buf();
    let refusal = |scene: &mut Scene, name: &str| {
        let error = scene.get(name).unwrap_err();
        assert_eq!(error.path(), Some(&*directory.join(name)), "{error}");
        error.kind
    };
    assert_eq!(refusal(&mut scene, "missing"), ErrorKind::NotFound);
    scene.put("file", "");
    assert_eq!(refusal(&mut scene, "file/below"), ErrorKind::NotADirectory);
    std::os::unix::fs::symlink("nowhere", scene.at("broken")).unwrap();
    assert_eq!(refusal(&mut scene, "broken"), ErrorKind::BrokenLink);
    std::os::unix::fs::symlink("circle", scene.at("circle")).unwrap();
    assert_eq!(refusal(&mut scene, "circle"), ErrorKind::BrokenLink);
    fs::create_dir(scene.at("directory")).unwrap();
    assert_eq!(refusal(&mut scene, "directory"), ErrorKind::NotAFile("a directory"));
    assert!(std::process::Command::new("mkfifo").arg(scene.at("fifo")).status().unwrap().success());
    assert_eq!(refusal(&mut scene, "fifo"), ErrorKind::NotAFile("a FIFO"));
    let _socket = std::os::unix::net::UnixListener::bind(scene.at("socket")).unwrap();
    assert_eq!(refusal(&mut scene, "socket"), ErrorKind::NotAFile("a socket"));
    scene.put("large", &"x".repeat((1 << 20) + 1));
    assert_eq!(refusal(&mut scene, "large"), ErrorKind::TooLarge { size: (1 << 20) + 1, limit: 1 << 20 });
    assert_eq!(scene.list("file").unwrap_err().kind, ErrorKind::NotADirectory);
    assert_eq!(scene.list("missing").unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn a_relative_path_is_refused() {
    let mut scene = Scene::new();
    let ticket = scene.ticket();
    scene.caches.get_file(scene.runtime.handle(), ticket, "a.lua".into(), LIMITS, LONG);
    assert_eq!(scene.file(ticket).unwrap_err().kind.code(), "invalid_argument");
}

#[test]
fn anybodys_file_is_read_and_written() {
    use std::os::unix::fs::PermissionsExt;
    let mut scene = Scene::new();
    scene.put("a.lua", "1");
    fs::set_permissions(scene.at("a.lua"), fs::Permissions::from_mode(0o606)).unwrap();
    assert_eq!(scene.content("a.lua"), "1");
    scene.write("a.lua", "2", None).unwrap();
    assert_eq!(scene.content("a.lua"), "2");
    assert_eq!(fs::metadata(scene.at("a.lua")).unwrap().permissions().mode() & 0o777, 0o606);
}

#[test]
fn each_limit_gets_an_answer_of_its_own() {
    let mut scene = Scene::new();
    scene.put("a.lua", "12345678");
    let hung = scene.hang("a.lua");
    let tickets = [4, 1 << 20, 4].map(|max_file_size| {
        let ticket = scene.ticket();
        let limits = Limits { max_file_size, ..LIMITS };
        scene.caches.get_file(scene.runtime.handle(), ticket, scene.at("a.lua"), limits, LONG);
        ticket
    });
    let directory = scene.ask_directory("a.lua", LONG);
    drop(hung);
    let results = tickets.map(|ticket| scene.file(ticket).is_ok());
    assert_eq!(results, [false, true, false]);
    assert!(matches!(scene.answer(directory), Answer::Directory(Err(_))));
}

#[test]
fn what_is_forgotten_is_another_state_next_time() {
    let mut scene = Scene::new();
    scene.write("a.lua", "1", Some(Value::Bool(true))).unwrap();
    let first = scene.get("a.lua").unwrap();
    assert_eq!(scene.get("a.lua").unwrap().id, first.id);
    scene.caches.invalidate_file(&scene.at("a.lua"));
    let second = scene.get("a.lua").unwrap();
    assert_ne!(second.id, first.id);
    assert!(second.entry.shown_json().unwrap().is_none(), "only the disk is left");
    scene.caches.clear_files();
    assert_ne!(scene.get("a.lua").unwrap().id, second.id);
    let listed = scene.list("").unwrap();
    scene.caches.invalidate_directory(scene.directory.path());
    let again = scene.list("").unwrap();
    assert!(again.id != listed.id && again.entries == listed.entries);
    scene.caches.clear_directories();
    assert_ne!(scene.list("").unwrap().id, again.id);
}

#[test]
fn writes_of_a_path_are_done_in_order_and_seen_by_who_asks_later() {
    let mut scene = Scene::new();
    let tickets: Vec<_> = (0..30)
        .map(|round| {
            let write = scene.ask_to_write("a.lua", &round.to_string(), None, LONG);
            (write, scene.ask("a.lua", LONG))
        })
        .collect();
    for (round, (write, get)) in tickets.into_iter().enumerate() {
        assert!(matches!(scene.answer(write), Answer::Written(Ok(()))));
        assert_eq!(scene.file(get).unwrap().entry.content, round.to_string().as_bytes());
    }
    assert_eq!(fs::read(scene.at("a.lua")).unwrap(), b"29");
}

#[test]
fn many_paths_are_written_at_once_and_waited_for() {
    let mut scene = Scene::new();
    let tickets: Vec<_> = (0..100).map(|index| scene.ask_to_write(&format!("{index}"), "1", None, LONG)).collect();
    assert!(scene.caches.wait_for_writes(LONG));
    assert_eq!(fs::read_dir(scene.directory.path()).unwrap().count(), 100);
    for ticket in tickets {
        assert!(matches!(scene.answer(ticket), Answer::Written(Ok(()))));
    }
}

#[test]
fn a_write_that_fails_leaves_file_and_entry() {
    let mut scene = Scene::new();
    scene.write("a.lua", "old", Some(Value::Bool(true))).unwrap();
    let before = scene.get("a.lua").unwrap();
    let large = "x".repeat((1 << 20) + 1);
    let error = scene.write("a.lua", &large, None).unwrap_err();
    assert_eq!((error.kind.code(), error.path()), ("too_large", Some(&*scene.at("a.lua"))));
    assert_eq!(fs::read(scene.at("a.lua")).unwrap(), b"old");
    assert_eq!(scene.get("a.lua").unwrap().id, before.id);
    fs::create_dir(scene.at("directory")).unwrap();
    assert_eq!(scene.write("directory", "", None).unwrap_err().kind, ErrorKind::NotAFile("a directory"));
    assert_eq!(scene.write("a.lua/below", "", None).unwrap_err().kind.code(), "not_a_file");
}

#[test]
fn a_write_keeps_a_link_and_forgets_the_listing() {
    let mut scene = Scene::new();
    scene.put("target", "old");
    std::os::unix::fs::symlink("target", scene.at("link")).unwrap();
    assert_eq!(scene.list("").unwrap().entries.len(), 2);
    scene.write("link", "new", None).unwrap();
    assert!(fs::symlink_metadata(scene.at("link")).unwrap().is_symlink());
    assert_eq!((scene.content("link"), scene.content("target")), ("new".into(), "new".into()));
    assert_eq!(scene.list("").unwrap().entries.len(), 2);
    assert!(scene.caches.directories.is_kept(scene.directory.path()));
    scene.write("b", "", None).unwrap();
    assert!(!scene.caches.directories.is_kept(scene.directory.path()));
    assert_eq!(scene.list("").unwrap().entries.len(), 3);
}

#[test]
fn a_write_whose_time_was_up_before_it_began_is_not_done() {
    let mut scene = Scene::new();
    scene.put("a.lua", "old");
    let hung = scene.hang("a.lua");
    let (first, second) =
        (scene.ask_to_write("a.lua", "new", None, SHORT), scene.ask_to_write("a.lua", "newer", None, SHORT));
    assert!(!scene.caches.wait_for_writes(Duration::ZERO));
    for ticket in [first, second] {
        let Answer::Written(Err(error)) = scene.answer(ticket) else { panic!("it was written") };
        assert_eq!(error, Error::new(ErrorKind::Timeout { after_ms: 1000 }).at(scene.at("a.lua")));
    }
    assert!(scene.caches.wait_for_writes(Duration::ZERO));
    drop(hung);
    assert_eq!(scene.content("a.lua"), "old");
}

#[test]
fn the_document_that_was_given_stays_with_what_was_written() {
    let mut scene = Scene::new();
    let given = Value::from(vec![1, 2]);
    scene.write("a.json", "{ \"b\": 1 }", Some(given.clone())).unwrap();
    let state = scene.get("a.json").unwrap();
    assert_eq!(*state.entry.shown_json().unwrap().unwrap(), given);
    assert_eq!(state.entry.json().as_ref().unwrap().as_ref().unwrap()["b"], 1, "a load goes by the content");
    // Touched, and the same still.
    fs::File::options().write(true).open(scene.at("a.json")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let touched = scene.get("a.json").unwrap();
    assert_ne!(touched.id, state.id);
    assert_eq!(*touched.entry.shown_json().unwrap().unwrap(), given);
    fs::remove_file(scene.at("a.json")).unwrap();
    assert_eq!(scene.get("a.json").unwrap_err().kind, ErrorKind::NotFound);
    scene.put("a.json", "{ \"b\": 2 }");
    assert_eq!(scene.get("a.json").unwrap().entry.shown_json().unwrap().unwrap()["b"], 2);
    scene.put("a.json", "{");
    assert_eq!(scene.get("a.json").unwrap().entry.shown_json().unwrap_err().kind.code(), "syntax");
}

#[test]
fn memory_is_bounded_whatever_is_asked_for() {
    let mut scene = Scene::with_memory(100_000);
    for index in 0..50 {
        let name = index.to_string();
        scene.put(&name, &"x".repeat(10_000));
        scene.get(&name).unwrap();
        scene.write(&format!("{name}.json"), "1", Some("y".repeat(10_000).into())).unwrap();
        fs::create_dir(scene.at(&format!("directory-{index}"))).unwrap();
        scene.list(&format!("directory-{index}")).unwrap();
        scene.list("").unwrap();
    }
    assert!(scene.caches.files.bytes() > 80_000 && scene.caches.files.bytes() <= 100_000);
    assert!(scene.caches.directories.bytes() > 10_000 && scene.caches.directories.bytes() <= 100_000);
}

#[test]
fn caches_that_nobody_uses_end() {
    let mut scene = Scene::new();
    scene.put("a.lua", "1");
    scene.content("a.lua");
    let Scene { caches, told, runtime, .. } = scene;
    drop(caches);
    // The sender goes with the caches.
    assert!(told.recv_timeout(LONG).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Disconnected));
    drop(runtime);
}

#[test]
fn a_device_is_probed_when_a_young_file_was_asked_for() {
    let mut scene = Scene::new();
    scene.put("a.lua", "1");
    let dev = scene.get("a.lua").unwrap().fingerprint.dev;
    let steps = Arc::clone(&scene.caches.disk.steps);
    let until = Instant::now() + LONG;
    while steps.is_open(dev) {
        assert!(Instant::now() < until, "no probe was made");
        scene.put("a.lua", "1");
        scene.get("a.lua").unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn many_requests_for_few_paths_read_each_once() {
    use std::mem::MaybeUninit;

    use rustix::fs::inotify;
    use rustix::io::Errno;

    let mut scene = Scene::new();
    for index in 0..100 {
        scene.put(&index.to_string(), "x");
    }
    let youngest = Fingerprint::of(&rustix::fs::stat(scene.at("99")).unwrap());
    scene.caches.disk.steps.set(youngest.dev, Step::Of(Duration::from_millis(20)));
    while youngest.is_racy(Timestamp::now(), Step::Of(Duration::from_millis(20))) {
        std::thread::yield_now();
    }
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, scene.directory.path(), inotify::WatchFlags::OPEN).unwrap();
    let tickets: Vec<_> = (0..10_000).map(|index| scene.ask(&(index % 100).to_string(), LONG)).collect();
    for ticket in tickets {
        assert_eq!(scene.file(ticket).unwrap().entry.content, b"x");
    }
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(&watch, &mut buffer);
    let mut opened = 0;
    loop {
        match reader.next() {
            Ok(event) => opened += usize::from(event.events().contains(inotify::ReadFlags::OPEN)),
            Err(Errno::AGAIN) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(opened, 100);
}

#[test]
fn a_load_and_a_cache_do_not_both_get_stuck_on_a_path() {
    use crate::pipeline::host::NoHost;
    use crate::pipeline::{Engine, Request, Stage};

    let scene = Scene::new();
    let engine = Engine::new(Arc::clone(scene.caches.files()));
    let hung = scene.hang("start");
    let request = Request {
        start_dir: scene.at("start"),
        near: false,
        config_dir: scene.at("config"),
        stages: Stage::default_pipeline(),
        kinds: Vec::new(),
        limits: LIMITS,
        timeout: SHORT,
        home: None,
        naming: Default::default(),
    };
    let error = scene.runtime.block_on(engine.plan(request, |_| None, Arc::new(NoHost))).unwrap_err();
    assert_eq!(error, Error::new(ErrorKind::Timeout { after_ms: 1000 }).at(scene.at("start")));
    drop(hung);
}

#[test]
fn where_the_system_gives_no_thread_each_request_is_answered_once_and_deadlines_hold() {
    let mut scene = Scene::new();
    scene.put("a", "a");
    // No thread has so much room.
    let poor = tokio::runtime::Builder::new_current_thread().thread_stack_size(1 << 50).enable_time().build().unwrap();
    let mut tickets = Vec::new();
    for _ in 0..2 {
        let ticket = scene.ticket();
        scene.caches.get_file(poor.handle(), ticket, scene.at("a"), LIMITS, SHORT);
        tickets.push(ticket);
    }
    // It does its work only here.
    let answered = async {
        while scene.answers.len() < tickets.len() {
            for (ticket, answer) in scene.told.try_iter().flatten() {
                assert!(scene.answers.insert(ticket, answer).is_none(), "{ticket:?} was answered twice");
            }
            tokio::task::yield_now().await;
        }
    };
    poor.block_on(async { tokio::time::timeout(LONG, answered).await.unwrap() });
    for ticket in tickets {
        assert_eq!(
            scene.file(ticket).unwrap_err(),
            Error::new(ErrorKind::Timeout { after_ms: 1000 }).at(scene.at("a"))
        );
    }
    assert!(scene.told.try_recv().is_err());
}

#[test]
fn what_is_forgotten_and_takes_its_time_to_be_freed_is_not_freed_where_it_is_forgotten() {
    let mut scene = Scene::with_memory(64 << 20);
    let mut one = tokio::runtime::Builder::new_multi_thread();
    scene.runtime = one.worker_threads(1).max_blocking_threads(1).enable_time().build().unwrap();
    fs::create_dir(scene.at("names")).unwrap();
    (0..1500).for_each(|index| scene.put(&format!("names/{index:0200}"), ""));
    scene.put("large.json", &format!("[{}0]", "0,".repeat(200_000)));
    for forget in [
        &|caches: &Caches, scene: &Scene| caches.invalidate_file(&scene.at("large.json")),
        &|caches: &Caches, _: &Scene| caches.clear_files(),
        &|caches: &Caches, scene: &Scene| caches.invalidate_directory(&scene.at("names")),
        &|caches: &Caches, _: &Scene| caches.clear_directories(),
    ] as [&dyn Fn(&Caches, &Scene); 4]
    {
        let file = Arc::downgrade(&scene.get("large.json").unwrap().entry);
        let directory = Arc::downgrade(&scene.list("names").unwrap());
        // The one thread that could free it is kept busy.
        let (go, gone) = channel::<()>();
        scene.runtime.spawn_blocking(move || gone.recv());
        forget(&scene.caches, &scene);
        let is_freed = || file.strong_count() == 0 || directory.strong_count() == 0;
        let at_once = is_freed();
        drop(go);
        while !is_freed() {
            std::thread::yield_now();
        }
        assert!(!at_once);
    }
}
