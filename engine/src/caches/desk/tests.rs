//! The rules of the desk, with a clock that moves when it is told to.

use super::*;
use crate::caches::threads::{LOST, MOST_THREADS, SLOW};

const LOOK: What = What::File(Limits { max_file_size: 1, trust_mtime: true });
const TIMEOUT: Duration = Duration::from_secs(5);

fn write() -> What {
    let limits = Limits { max_file_size: 1, trust_mtime: true };
    What::Write { content: Vec::new(), json: None, limits, timeout: TIMEOUT }
}

/// A desk with a clock that moves when it is told to.
struct Scene {
    desk: Desk,
    now: Instant,
    last: u64,
    threads: Vec<Thread>,
}

impl Scene {
    fn new() -> Self {
        Self { desk: Desk::default(), now: Instant::now(), last: 0, threads: Vec::new() }
    }

    fn ask(&mut self, path: &str, what: What) -> u64 {
        self.last += 1;
        let deadline = self.now + TIMEOUT;
        let waiter = Waiter { ticket: CacheTicket(self.last), deadline, timeout: TIMEOUT };
        let thread = self.desk.ask(path.into(), what, waiter, self.now);
        self.threads.extend(thread);
        self.last
    }

    fn begin(&mut self, thread: Thread) -> Option<String> {
        self.desk.begin(thread, self.now).map(|job| job.path.display().to_string())
    }

    fn end(&mut self, path: &str) -> Vec<u64> {
        self.desk.end(Path::new(path), &Answer::Written(Ok(())));
        self.told()
    }

    fn told(&mut self) -> Vec<u64> {
        self.desk.outgoing(self.now, false).into_iter().map(|(CacheTicket(ticket), _)| ticket).collect()
    }
}

#[test]
fn whoever_asks_during_a_look_gets_the_next_one_and_shares_it() {
    let mut scene = Scene::new();
    let early = [scene.ask("/a", LOOK), scene.ask("/a", LOOK)];
    let thread = scene.threads[0];
    assert_eq!(scene.begin(thread).unwrap(), "/a");
    let late = [scene.ask("/a", LOOK), scene.ask("/a", LOOK), scene.ask("/a", LOOK)];
    scene.now += SLOW;
    scene.ask("/a", LOOK);
    assert_eq!(scene.threads.len(), 1, "there is no second look at a path");
    assert_eq!(scene.end("/a"), early);
    assert_eq!(scene.begin(thread).unwrap(), "/a");
    assert_eq!(scene.end("/a"), [late[0], late[1], late[2], late[2] + 1]);
    assert_eq!(scene.begin(thread), None);
    assert!(scene.desk.is_idle() && scene.desk.looks.threads() == 0);
}

#[test]
fn tasks_of_a_path_keep_their_order() {
    let mut scene = Scene::new();
    let tickets = [LOOK, write(), LOOK, LOOK, write(), write()].map(|what| scene.ask("/a", what));
    let looking = scene.threads[0];
    scene.begin(looking).unwrap();
    assert_eq!(scene.end("/a"), [tickets[0]]);
    assert_eq!(scene.begin(looking), None, "a write is next");
    let writing = scene.desk.reinforce(scene.now)[0];
    scene.begin(writing).unwrap();
    assert_eq!(scene.end("/a"), [tickets[1]]);
    assert_eq!((scene.begin(writing), scene.desk.writes_left()), (None, 2));
    let looking = scene.desk.reinforce(scene.now)[0];
    scene.begin(looking).unwrap();
    assert_eq!(scene.end("/a"), [tickets[2], tickets[3]]);
    let writing = scene.desk.reinforce(scene.now)[0];
    for ticket in [tickets[4], tickets[5]] {
        scene.begin(writing).unwrap();
        assert_eq!(scene.end("/a"), [ticket]);
    }
    assert_eq!(scene.desk.writes_left(), 0);
}

#[test]
fn each_is_told_when_its_own_time_is_up() {
    let mut scene = Scene::new();
    let first = scene.ask("/a", LOOK);
    let thread = scene.threads[0];
    scene.begin(thread).unwrap();
    scene.now += TIMEOUT / 2;
    let second = scene.ask("/a", LOOK);
    let third = scene.ask("/a", write());
    scene.now += TIMEOUT / 2;
    scene.desk.expire(scene.now);
    assert_eq!(scene.told(), [first]);
    assert_eq!(scene.desk.earliest(), Some(scene.now + TIMEOUT / 2));
    scene.now += TIMEOUT / 2;
    scene.desk.expire(scene.now);
    assert_eq!((scene.told(), scene.desk.writes_left()), (vec![second, third], 0));
    assert!(scene.desk.is_idle() && !scene.desk.lines.is_empty(), "the look is still out");
    assert_eq!(scene.end("/a"), [0; 0]);
    assert_eq!((scene.begin(thread), scene.desk.lines.len()), (None, 0));
}

#[test]
fn a_blocked_task_comes_back_first() {
    let mut scene = Scene::new();
    let first = scene.ask("/a", LOOK);
    let thread = scene.threads[0];
    let job = scene.desk.begin(thread, scene.now).unwrap();
    scene.desk.block(job);
    let second = scene.ask("/a", LOOK);
    assert_eq!(scene.begin(thread), None);
    let thread = scene.desk.release(Path::new("/a"), scene.now).unwrap();
    scene.begin(thread).unwrap();
    assert_eq!(scene.end("/a"), [first, second]);
}

#[test]
fn a_blocked_path_that_nobody_waits_for_any_more_is_forgotten_at_its_release() {
    let mut scene = Scene::new();
    scene.ask("/a", LOOK);
    let thread = scene.threads[0];
    let job = scene.desk.begin(thread, scene.now).unwrap();
    scene.desk.block(job);
    assert_eq!(scene.begin(thread), None);
    scene.now += TIMEOUT;
    scene.desk.expire(scene.now);
    scene.told();
    assert!(scene.desk.is_idle());
    assert_eq!(scene.desk.release(Path::new("/a"), scene.now), None);
    assert!(scene.desk.lines.is_empty());
}

#[test]
fn one_thread_looks_as_long_as_it_is_quick_and_more_where_the_disk_is_slow() {
    let mut scene = Scene::new();
    for index in 0..100 {
        scene.ask(&format!("/{index}"), LOOK);
    }
    assert_eq!(scene.threads.len(), 1);
    scene.begin(scene.threads[0]).unwrap();
    assert_eq!(scene.desk.reinforce(scene.now), []);
    let mut all = 1;
    for more in [1, 2, 4, 8, 0] {
        scene.now += SLOW;
        let threads = scene.desk.reinforce(scene.now);
        assert_eq!(threads.len(), more, "beside {all}");
        all += more;
        for thread in threads {
            scene.begin(thread).unwrap();
        }
    }
    scene.now += LOST;
    assert_eq!(scene.desk.reinforce(scene.now).len(), 1, "those that do not come back are not counted");
}

#[test]
fn threads_are_bounded_however_many_are_lost() {
    let mut scene = Scene::new();
    for index in 0..1000 {
        scene.ask(&format!("/{index}/a"), LOOK);
    }
    let mut threads = scene.threads.len();
    for _ in 0..100 {
        scene.now += LOST;
        threads += scene.desk.reinforce(scene.now).len();
    }
    assert_eq!(threads, MOST_THREADS);
}

#[test]
fn a_long_queue_is_shared_by_two() {
    let mut scene = Scene::new();
    for index in 0..1000 {
        scene.ask(&format!("/{index}"), LOOK);
    }
    assert_eq!((scene.threads.len(), scene.desk.reinforce(scene.now).len()), (1, 1));
    assert_eq!(scene.desk.reinforce(scene.now), []);
}

#[test]
fn the_first_answer_goes_out_at_once_and_others_together() {
    let mut scene = Scene::new();
    let tickets = ["/a", "/b", "/c", "/d"].map(|path| scene.ask(path, LOOK));
    let thread = scene.threads[0];
    let mut told: Vec<Vec<u64>> = Vec::new();
    for path in ["/a", "/b", "/c", "/d"] {
        scene.begin(thread).unwrap();
        scene.desk.end(Path::new(path), &Answer::Written(Ok(())));
        let is_last = path == "/d";
        told.push(scene.desk.outgoing(scene.now, !is_last).into_iter().map(|(ticket, _)| ticket.0).collect());
        if path == "/b" {
            scene.now += COLLECTING;
        }
    }
    assert_eq!(told, [vec![tickets[0]], vec![], vec![tickets[1], tickets[2]], vec![tickets[3]]]);
}

/// Lets every thread that there should be begin and not come back, for some time.
fn lose_threads(scene: &mut Scene) -> Vec<(Thread, String)> {
    let mut lost = Vec::new();
    let mut threads = std::mem::take(&mut scene.threads);
    for pause in [SLOW; 8].into_iter().chain([LOST]) {
        lost.extend(threads.into_iter().filter_map(|thread| Some((thread, scene.begin(thread)?))));
        scene.now += pause;
        threads = scene.desk.reinforce(scene.now);
    }
    scene.threads = threads;
    lost
}

#[test]
fn a_dead_directory_does_not_take_all_threads() {
    let mut scene = Scene::new();
    for index in 0..1000 {
        scene.ask(&format!("/dead/{index}"), LOOK);
    }
    let alive = scene.ask("/alive/a", LOOK);
    let lost = lose_threads(&mut scene);
    assert_eq!(lost.len(), 16);
    let thread = scene.threads[0];
    assert_eq!(scene.begin(thread).unwrap(), "/alive/a");
    assert_eq!(scene.end("/alive/a"), [alive]);
    assert_eq!(scene.begin(thread), None);
    let late = scene.ask("/dead/late", LOOK);
    let thread = scene.threads.pop().unwrap();
    assert_eq!(scene.begin(thread), None, "nobody else is sent there");

    let (thread, path) = &lost[0];
    scene.end(path);
    assert!(scene.begin(*thread).unwrap().starts_with("/dead/"), "one has come back");
    scene.now += TIMEOUT;
    scene.desk.expire(scene.now);
    assert!(scene.told().contains(&late));
    let thread = scene.desk.reinforce(scene.now)[0];
    assert_eq!((scene.begin(thread), scene.desk.is_idle()), (None, true));
}

#[test]
fn what_is_barred_is_forgotten_when_its_time_is_up() {
    let mut scene = Scene::new();
    for index in 0..100 {
        scene.ask(&format!("/dead/{index}"), LOOK);
    }
    let lost = lose_threads(&mut scene);
    let thread = scene.threads[0];
    assert_eq!(scene.begin(thread), None);
    assert_eq!(scene.desk.barred.len(), 100 - lost.len());
    scene.now += TIMEOUT;
    scene.desk.expire(scene.now);
    assert_eq!(scene.told().len(), 100);
    assert_eq!((scene.desk.barred.len(), scene.desk.lines.len()), (0, lost.len()));
}

#[test]
fn writes_in_one_directory_do_not_wait_for_each_others_lock() {
    let mut scene = Scene::new();
    for path in ["/a/1", "/a/2", "/b/1", "/a/3"] {
        scene.ask(path, write());
    }
    let [in_a, in_b, needless, _] = scene.threads[..] else { panic!("nobody has begun") };
    assert_eq!(scene.begin(in_a).unwrap(), "/a/1");
    assert_eq!(scene.begin(in_b).unwrap(), "/b/1");
    assert_eq!(scene.begin(needless), None);
    assert_eq!(scene.desk.reinforce(scene.now), []);
    scene.end("/b/1");
    assert_eq!(scene.begin(in_b), None);
    for path in ["/a/2", "/a/3"] {
        scene.end("/a/1");
        assert_eq!(scene.begin(in_a).unwrap(), path);
        scene.end(path);
    }
    assert_eq!(scene.begin(in_a), None);
    assert!(scene.desk.is_idle());
}
