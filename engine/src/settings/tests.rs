//! The settings as the session uses them: real files, a real runtime, and a main thread that shows what it is told. Where the order of
//! events matters, the test is the worker, and carries out the jobs when it wants to.

mod merges;
#[cfg(unix)]
mod users_writes;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::job::Done;
use super::*;
use crate::file_cache::FileEntry;
use crate::json::Change;
use crate::open::ConfigDir;
use crate::plan::{JsonSource, Project, Timings};

const LIMITS: Limits = Limits { max_file_size: 1 << 20, trust_mtime: true };
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

const A: ContextId = ContextId(1);
const B: ContextId = ContextId(2);

/// What the main thread was told, apart from what it has answered itself.
#[derive(Debug)]
enum Told {
    Changed(ContextId, Author),
    Saved,
    Failed(Error),
    Flushed(Ticket, Result<()>),
    Read(Ticket, Option<Value>),
    Updated(Ticket, Result<()>),
    Merged(Ticket, Result<PathBuf>),
}

/// Names with the project they belong to, outermost first.
type Files = Vec<(&'static str, usize)>;

struct Scene {
    directory: TempDir,
    cache: Arc<FileCache>,
    settings: Arc<Settings>,
    events: mpsc::Receiver<Event>,
    told: VecDeque<Told>,
    /// The files of each context, and its write target.
    contexts: HashMap<ContextId, (Files, &'static str)>,
    last_good: HashMap<&'static str, Arc<FileEntry>>,
    timeout: Duration,
    runtime: Option<Runtime>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn keys(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn set(path: &str, value: Value) -> Edit {
    Edit { path: keys(path), change: Change::Set(value) }
}

fn delete(path: &str) -> Edit {
    Edit { path: keys(path), change: Change::Delete }
}

impl Scene {
    /// Somebody has to carry out the jobs.
    fn by_hand(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let cache = Arc::new(FileCache::new(1 << 24));
        let (sender, events) = mpsc::channel();
        let tell = move |told: Vec<Event>| told.into_iter().for_each(|event| sender.send(event).unwrap_or(()));
        let settings = Settings::new(Arc::clone(&cache), tell);
        let scene = Self {
            directory,
            cache,
            settings,
            events,
            told: VecDeque::new(),
            contexts: HashMap::new(),
            last_good: HashMap::new(),
            timeout: TIMEOUT,
            runtime: None,
        };
        files.iter().for_each(|(name, text)| scene.write(name, text));
        scene
    }

    fn new(files: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let mut scene = Self::by_hand(files);
        scene.settings.attach(runtime.handle().clone());
        scene.runtime = Some(runtime);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        // As editors do: a new file in the old one's place, so that its times say nothing wrong.
        let beside = self.path("written");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path(name)).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn on_disk(&self, name: &str) -> Value {
        json::parse(self.text(name).as_bytes()).unwrap().unwrap()
    }

    /// As the pipeline makes it.
    fn plan(&mut self, context: ContextId) -> Plan {
        let directory = self.path("");
        let dir = ConfigDir::open(&directory).unwrap().unwrap();
        let (files, _) = &self.contexts[&context];
        let innermost = files.iter().map(|(_, layer)| *layer).max().unwrap_or(0);
        let (mut json_sources, mut problems) = (Vec::new(), Vec::new());
        for (name, layer) in files {
            let found = self.cache.config_file(&dir, &dir.place(name).unwrap(), &LIMITS);
            let found = found.and_then(|entry| match entry.as_ref().map(|entry| entry.json().clone()) {
                Some(Err(error)) => Err(error),
                _ => Ok(entry),
            });
            match found {
                Ok(None) => {}
                Ok(Some(entry)) => {
                    self.last_good.insert(name, Arc::clone(&entry));
                    json_sources.push(JsonSource { layer: *layer, entry, outdated: false });
                }
                Err(error) => {
                    let is_gone = matches!(error.kind, ErrorKind::NotAFile(_));
                    if let Some(entry) = self.last_good.get(name).filter(|_| !is_gone) {
                        json_sources.push(JsonSource { layer: *layer, entry: Arc::clone(entry), outdated: true });
                    }
                    problems.push(error);
                }
            }
        }
        let documents = json_sources.iter().filter_map(|source| source.entry.json().as_ref().ok()?.as_ref());
        Plan {
            start_dir: directory.clone(),
            projects: vec![Project { root: directory.clone(), name: "app".into() }; innermost + 1],
            named: false,
            fallback: false,
            is_configuration: false,
            stem: directory.join("app"),
            files: Vec::new(),
            json: json::overlay(documents),
            json_sources,
            unread_json: Vec::new(),
            kinds: Vec::new(),
            problems,
            timings: Timings::default(),
            unsettled: Vec::new(),
        }
    }

    fn prepare(&self, context: ContextId, plan: &Plan, began: Instant) -> Prepared {
        let known = self.settings.shown(context).map(|_| context);
        self.settings.prepare(plan, self.reading(self.timeout, began), known)
    }

    fn reading(&self, timeout: Duration, began: Instant) -> Reading {
        Reading { config_dir: self.path(""), limits: LIMITS, timeout, cache: Arc::clone(&self.cache), began }
    }

    fn begin_load(&mut self, context: ContextId) -> Prepared {
        let began = Instant::now();
        let plan = self.plan(context);
        self.prepare(context, &plan, began)
    }

    /// Whether it could be shown at once.
    fn show(&self, context: ContextId, mut prepared: Prepared) -> bool {
        let mut at_once = true;
        while !self.settings.show(context, &mut prepared) {
            at_once = false;
            prepared = self.settings.prepare_again(prepared, context);
        }
        at_once
    }

    fn load(&mut self, context: ContextId) {
        let prepared = self.begin_load(context);
        self.show(context, prepared);
    }

    fn open(&mut self, context: ContextId, files: &[(&'static str, usize)], target: &'static str) {
        self.contexts.insert(context, (files.to_vec(), target));
        self.load(context);
    }

    fn shown(&self, context: ContextId) -> Value {
        Value::clone(&self.settings.shown(context).unwrap().value)
    }

    fn take(&self, context: ContextId, edit: Edit) {
        self.settings.take(context, vec![edit], self.target(context));
        self.settings.kick();
    }

    fn target(&self, context: ContextId) -> PathBuf {
        self.path(self.contexts[&context].1)
    }

    /// Takes one event from the queue, and does what the session does about it.
    fn receive(&mut self, event: Event) {
        let told = match event {
            Event::Changed(context, prepared, author) => {
                if self.settings.shown(context).is_some() {
                    self.show(context, prepared);
                }
                Told::Changed(context, author)
            }
            Event::Saved(..) => Told::Saved,
            Event::Failed(_, error) => Told::Failed(error),
            Event::Flushed(ticket, result) => Told::Flushed(ticket, result),
            Event::UpdateRead(ticket, old) => Told::Read(ticket, old),
            Event::Updated(ticket, result) => Told::Updated(ticket, result),
            Event::Merged(ticket, result) => Told::Merged(ticket, result),
        };
        self.told.push_back(told);
    }

    /// Waits until it is told what `pick` accepts, and takes it out; the rest is kept.
    fn wait<T>(&mut self, pick: impl Fn(&Told) -> Option<T>) -> T {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some((index, picked)) = self.told.iter().enumerate().find_map(|(at, told)| Some((at, pick(told)?))) {
                self.told.remove(index);
                return picked;
            }
            let left = until.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("not told; but {:?}", self.told));
            self.receive(event);
        }
    }

    /// Takes what has been told so far.
    fn take_told(&mut self) -> Vec<Told> {
        while let Ok(event) = self.events.try_recv() {
            self.receive(event);
        }
        self.told.drain(..).collect()
    }

    fn wait_changed(&mut self, context: ContextId) -> Author {
        self.wait(|told| match told {
            Told::Changed(of, author) if *of == context => Some(*author),
            _ => None,
        })
    }

    fn wait_shown(&mut self, context: ContextId, value: &Value) {
        while self.shown(context) != *value {
            self.wait_changed(context);
        }
    }

    fn wait_flushed(&mut self, ticket: Ticket) -> Result<()> {
        self.wait(|told| match told {
            Told::Flushed(of, result) if *of == ticket => Some(result.clone()),
            _ => None,
        })
    }

    fn wait_read(&mut self, ticket: Ticket) -> Option<Value> {
        self.wait(|told| match told {
            Told::Read(of, old) if *of == ticket => Some(old.clone()),
            _ => None,
        })
    }

    fn wait_updated(&mut self, ticket: Ticket) -> Result<()> {
        self.wait(|told| match told {
            Told::Updated(of, result) if *of == ticket => Some(result.clone()),
            _ => None,
        })
    }

    fn wait_failed(&mut self) -> Error {
        self.wait(|told| if let Told::Failed(error) = told { Some(error.clone()) } else { None })
    }

    fn flush(&mut self) -> Result<()> {
        let ticket = self.settings.flush();
        self.wait_flushed(ticket)
    }

    fn update(&mut self, context: ContextId, path: &str) -> Ticket {
        self.settings.update(context, keys(path), self.target(context))
    }

    /// Errors that were told until now.
    fn failures(&mut self) -> Vec<Error> {
        let failed = |told| if let Told::Failed(error) = told { Some(error) } else { None };
        self.take_told().into_iter().filter_map(failed).collect()
    }
}

/// The test as the worker.
impl Scene {
    fn jobs(&mut self) -> Vec<Job> {
        let settings = Arc::clone(&self.settings);
        let mut back = settings.back();
        settings.run_tasks(&mut back);
        let (jobs, events) = (back.jobs(), back.take_events());
        drop(back);
        events.into_iter().for_each(|event| self.receive(event));
        jobs
    }

    /// The only job that there is.
    fn job(&mut self) -> Job {
        let mut jobs = self.jobs();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    fn perform(&self, job: &Job) -> Result<Done> {
        job.perform(&self.cache)
    }

    fn finish(&mut self, job: Job, result: Result<Done>) {
        self.settings.back().finish(job, result);
    }

    fn carry_out(&mut self, job: Job) {
        let result = self.perform(&job);
        self.finish(job, result);
    }

    /// Works until there is nothing to do.
    fn work(&mut self) {
        loop {
            let jobs = self.jobs();
            if jobs.is_empty() {
                return;
            }
            jobs.into_iter().for_each(|job| self.carry_out(job));
        }
    }

    fn hang(&mut self, job: &Job) {
        self.settings.back().overdue(job.id(), self.timeout);
    }

    fn ask_flush(&mut self) -> Ticket {
        let ticket = self.settings.front().ticket();
        self.settings.ask(Task::Flush(Answer::Event(ticket)));
        ticket
    }

    fn ask_update(&mut self, context: ContextId, path: &str) -> Ticket {
        let (ticket, target) = (self.settings.front().ticket(), self.target(context));
        self.settings.ask(Task::Update { ticket, context, path: keys(path), target });
        ticket
    }
}

/// The cause of an error, as users match on it.
fn code(result: Result<()>) -> &'static str {
    result.unwrap_err().kind.code()
}

#[test]
fn what_was_taken_is_on_disk_after_a_flush() {
    let mut scene = Scene::new(&[("a.json", "{\n  // kept\n  \"x\": 1\n}\n")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("x", json!(2)));
    scene.take(A, set("y.z", json!([1])));
    scene.flush().unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 2, "y": { "z": [1] } }));
    assert!(scene.text("a.json").contains("// kept"));
    assert_eq!(scene.shown(A), json!({ "x": 2, "y": { "z": [1] } }));
}

#[test]
fn the_first_setting_makes_the_file_and_survives_a_load_that_knew_none() {
    let mut scene = Scene::by_hand(&[]);
    scene.open(A, &[("new/a.json", 0)], "new/a.json");
    let (began, plan) = (Instant::now(), scene.plan(A));
    let early = scene.prepare(A, &plan, began);
    scene.take(A, set("x", json!(1)));
    assert!(!scene.show(A, early), "it was prepared before the change");
    assert_eq!(scene.shown(A), json!({ "x": 1 }));
    scene.work();
    assert_eq!(scene.on_disk("new/a.json"), json!({ "x": 1 }));
    let late = scene.prepare(A, &plan, began);
    scene.show(A, late);
    assert_eq!(scene.shown(A), json!({ "x": 1 }), "the file is younger than the plan");
    scene.load(A);
    assert_eq!(scene.shown(A), json!({ "x": 1 }));
}

#[test]
fn changes_during_a_save_come_in_the_next_one_in_order() {
    let mut scene = Scene::by_hand(&[("a.json", "{}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("x", json!(1)));
    let first = scene.job();
    scene.take(A, set("x", json!(2)));
    scene.take(A, set("y", json!(1)));
    scene.take(A, delete("y"));
    assert!(scene.jobs().is_empty(), "one save of a file at a time");
    let result = scene.perform(&first);
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 1 }));
    scene.finish(first, result);
    let second = scene.job();
    scene.carry_out(second);
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 2 }));
    assert_eq!(scene.shown(A), json!({ "x": 2 }));
    assert!(scene.jobs().is_empty());
}

#[test]
fn a_change_by_others_of_another_key_survives_a_save_and_is_told() {
    let mut scene = Scene::new(&[("a.json", r#"{"x":1,"y":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.write("a.json", r#"{"x":1,"y":2}"#);
    scene.take(A, set("x", json!(2)));
    scene.flush().unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 2, "y": 2 }));
    assert_eq!(scene.wait_changed(A), Author::Disk);
    assert_eq!(scene.shown(A), json!({ "x": 2, "y": 2 }));
}

#[test]
fn an_unsaved_change_wins_over_one_by_others_of_the_same_key() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"x":1,"y":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.write("a.json", r#"{"x":7,"y":7}"#);
    let early = scene.begin_load(A);
    scene.take(A, set("x", json!(2)));
    assert!(!scene.show(A, early), "it was prepared before the change");
    assert_eq!(scene.shown(A), json!({ "x": 2, "y": 7 }));
    scene.work();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 2, "y": 7 }));
    assert_eq!(scene.shown(A), json!({ "x": 2, "y": 7 }));
}

#[test]
fn a_load_while_a_save_is_under_way_shows_the_change() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"x":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("x", json!(2)));
    let save = scene.job();
    scene.load(A);
    assert_eq!(scene.shown(A), json!({ "x": 2 }));
    let result = scene.perform(&save);
    // What the save has written is seen before it has told so.
    scene.load(A);
    assert_eq!(scene.shown(A), json!({ "x": 2 }));
    scene.take(A, set("x", json!(3)));
    scene.finish(save, result);
    scene.work();
    assert_eq!((scene.on_disk("a.json"), scene.shown(A)), (json!({ "x": 3 }), json!({ "x": 3 })));
    assert!(!scene.take_told().iter().any(|told| matches!(told, Told::Changed(..))), "nobody else changed anything");
}

#[test]
fn an_older_plan_does_not_bring_back_what_is_known_to_be_replaced() {
    for by_others in [false, true] {
        let mut scene = Scene::by_hand(&[("a.json", r#"{"x":1}"#)]);
        scene.open(A, &[("a.json", 0)], "a.json");
        let (began, older) = (Instant::now(), scene.plan(A));
        if by_others {
            scene.write("a.json", r#"{"x":2}"#);
            scene.load(A);
        } else {
            scene.take(A, set("x", json!(2)));
            scene.work();
        }
        let prepared = scene.prepare(A, &older, began);
        scene.show(A, prepared);
        assert_eq!(scene.shown(A), json!({ "x": 2 }), "by others: {by_others}");
    }
}

#[test]
fn a_file_that_does_not_parse_keeps_the_change_until_it_is_mended() {
    let mut scene = Scene::new(&[("a.json", r#"{"x":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.write("a.json", "{");
    scene.take(A, set("x", json!(2)));
    assert_eq!(code(scene.flush()), "syntax");
    assert_eq!(scene.text("a.json"), "{");
    assert_eq!(code(scene.flush()), "syntax");
    scene.load(A);
    assert_eq!(scene.shown(A), json!({ "x": 2 }));
    assert_eq!(code(scene.flush()), "syntax");
    let failures = scene.failures();
    assert_eq!(failures.len(), 1, "one cause is told once: {failures:?}");
    scene.write("a.json", "[");
    assert_eq!(code(scene.flush()), "syntax");
    scene.write("a.json", "{\n\n\"a\" 1}");
    assert_eq!(code(scene.flush()), "syntax");
    let failures = scene.failures();
    assert!(failures.iter().any(|error| error.line == Some(3)), "another cause is told: {failures:?}");
    scene.write("a.json", r#"{"y":1}"#);
    scene.flush().unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({ "y": 1, "x": 2 }));
    scene.write("a.json", "{\n\n\"a\" 1}");
    scene.take(A, set("x", json!(3)));
    assert_eq!(code(scene.flush()), "syntax");
    assert_eq!(scene.failures().len(), 1, "after a save it is told again");
}

#[test]
fn what_could_not_be_saved_is_tried_again_by_retry_and_by_a_load() {
    for by_load in [false, true] {
        let mut scene = Scene::new(&[]);
        fs::create_dir(scene.path("a.json")).unwrap();
        scene.open(A, &[("a.json", 0)], "a.json");
        scene.take(A, set("x", json!(1)));
        assert_eq!(scene.wait_failed().kind.code(), "not_a_file");
        fs::remove_dir(scene.path("a.json")).unwrap();
        if by_load {
            scene.load(A);
        } else {
            scene.settings.retry();
        }
        scene.wait(|told| matches!(told, Told::Saved).then_some(()));
        assert_eq!(scene.on_disk("a.json"), json!({ "x": 1 }));
    }
}

#[test]
fn a_change_reaches_every_context_that_shares_the_file() {
    let mut scene = Scene::new(&[("outer.json", r#"{"x":1}"#), ("inner.json", r#"{"y":1}"#)]);
    scene.open(A, &[("outer.json", 0), ("inner.json", 1)], "inner.json");
    scene.open(B, &[("outer.json", 0)], "outer.json");
    scene.take(B, set("x", json!(2)));
    assert_eq!(scene.wait_changed(A), Author::Local);
    assert_eq!(scene.shown(A), json!({ "x": 2, "y": 1 }));
    scene.flush().unwrap();
    scene.take(A, set("x", json!(3)));
    scene.flush().unwrap();
    assert_eq!(scene.shown(B), json!({ "x": 2 }), "an inner project does not write to an outer one's file");
    assert_eq!(
        (scene.on_disk("outer.json"), scene.on_disk("inner.json")),
        (json!({ "x": 2 }), json!({ "y": 1, "x": 3 }))
    );
    scene.write("outer.json", r#"{"x":2,"z":1}"#);
    scene.load(B);
    scene.wait_shown(A, &json!({ "x": 3, "y": 1, "z": 1 }));
    fs::remove_file(scene.path("outer.json")).unwrap();
    scene.load(B);
    scene.wait_shown(A, &json!({ "x": 3, "y": 1 }));
}

#[test]
fn a_write_target_that_no_load_of_a_context_finds_stays_in_those_that_do() {
    let mut scene = Scene::by_hand(&[("a.json", "{}"), ("b.json", r#"{"x":1}"#)]);
    scene.open(A, &[("a.json", 0)], "b.json");
    scene.open(B, &[("b.json", 0)], "b.json");
    scene.take(A, set("y", json!(2)));
    scene.work();
    assert_eq!(scene.on_disk("b.json"), json!({ "x": 1, "y": 2 }));
    assert_eq!(scene.shown(B), json!({ "x": 1, "y": 2 }));
    scene.load(A);
    scene.work();
    assert_eq!(scene.shown(B), json!({ "x": 1, "y": 2 }));
}

#[test]
fn what_an_outer_project_gives_comes_back_with_an_error() {
    let mut scene = Scene::new(&[("outer.json", r#"{"x":1}"#), ("inner.json", "{}")]);
    scene.open(A, &[("outer.json", 0), ("inner.json", 1)], "inner.json");
    scene.take(A, delete("x"));
    let error = scene.wait_failed();
    assert_eq!((error.kind.code(), error.path()), ("inherited", Some(&*scene.path("outer.json"))));
    scene.wait_shown(A, &json!({ "x": 1 }));
    scene.flush().unwrap();
    assert_eq!((scene.text("outer.json"), scene.text("inner.json")), (r#"{"x":1}"#.into(), "{}".into()));
}

#[test]
fn a_file_that_is_deleted_gets_only_what_is_unsaved() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"x":1,"y":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("x", json!(2)));
    fs::remove_file(scene.path("a.json")).unwrap();
    scene.load(A);
    assert_eq!(scene.shown(A), json!({ "x": 2 }));
    scene.work();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 2 }));
    scene.take(A, delete("x"));
    fs::remove_file(scene.path("a.json")).unwrap();
    scene.work();
    assert!(!scene.path("a.json").exists(), "a deletion makes no file");
    assert_eq!(scene.shown(A), json!({}));
}

#[test]
fn a_flush_is_answered_where_nothing_was_ever_loaded() {
    let mut scene = Scene::by_hand(&[]);
    scene.flush().unwrap();
    scene.contexts.insert(A, (Vec::new(), "a.json"));
    let ticket = scene.update(A, "x");
    assert_eq!(code(scene.wait_updated(ticket)), "no_project");
    scene.settings.retry();
    assert!(scene.settings.front().tasks.is_empty());
    assert!(scene.settings.flush_and_wait(DEADLINE).is_empty());
}

#[test]
fn what_origin_has_carried_out_is_saved_too() {
    let mut scene = Scene::new(&[("a.json", "{\n  \"x\": 1\n}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    assert_eq!(scene.settings.origin(A, &keys("x"), &[]), Some((scene.path("a.json"), Some(2))));
    // Often enough that no worker happens to be at it each time.
    for round in 2..50 {
        scene.settings.take(A, vec![set("x", json!(round))], scene.target(A));
        assert_eq!(scene.settings.origin(A, &keys("x"), &[]).unwrap().0, scene.path("a.json"));
        scene.settings.kick();
        scene.wait(|told| matches!(told, Told::Saved).then_some(()));
        assert_eq!(scene.on_disk("a.json"), json!({ "x": round }));
    }
    assert_eq!(scene.settings.origin(A, &keys("y"), &[]), None);
}

#[test]
fn the_line_is_unknown_until_it_is_saved() {
    let mut scene = Scene::by_hand(&[("a.json", "{\n  \"x\": 1\n}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("y", json!(2)));
    assert_eq!(scene.settings.origin(A, &keys("y"), &[]), Some((scene.path("a.json"), None)));
    scene.work();
    assert_eq!(scene.settings.origin(A, &keys("y"), &[]), Some((scene.path("a.json"), Some(3))));
}

#[test]
fn what_was_taken_is_saved_after_the_context_has_been_closed() {
    let mut scene = Scene::new(&[("a.json", "{}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.settings.take(A, vec![set("x", json!(1))], scene.target(A));
    scene.settings.close(A);
    assert!(scene.settings.shown(A).is_none());
    scene.flush().unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 1 }));
    scene.load(A);
    assert_eq!(scene.shown(A), json!({ "x": 1 }));
}

#[test]
fn an_update_writes_what_follows_from_the_disk() {
    let mut scene = Scene::new(&[("a.json", r#"{"n":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.write("a.json", r#"{"n":5}"#);
    let ticket = scene.update(A, "n");
    assert_eq!(scene.wait_read(ticket), Some(json!(5)));
    scene.settings.update_to(ticket, Some(Ok(Some(json!(6)))));
    scene.wait_updated(ticket).unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({ "n": 6 }));
    scene.wait_shown(A, &json!({ "n": 6 }));
    let ticket = scene.update(A, "n");
    assert_eq!(scene.wait_read(ticket), Some(json!(6)));
    scene.settings.update_to(ticket, Some(Ok(None)));
    scene.wait_updated(ticket).unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({}));
    scene.wait_shown(A, &json!({}));
}

#[test]
fn an_update_runs_again_when_others_change_the_path() {
    let mut scene = Scene::new(&[("a.json", r#"{"n":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let ticket = scene.update(A, "n");
    for round in 1..5 {
        assert_eq!(scene.wait_read(ticket), Some(json!(round)));
        scene.write("a.json", &json!({ "n": round + 1 }).to_string());
        scene.settings.update_to(ticket, Some(Ok(Some(json!(round + 100)))));
    }
    assert_eq!(scene.wait_read(ticket), Some(json!(5)));
    scene.settings.update_to(ticket, Some(Ok(Some(json!(105)))));
    scene.wait_updated(ticket).unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({ "n": 105 }));
    scene.flush().unwrap();
    assert!(!scene.take_told().iter().any(|told| matches!(told, Told::Updated(..))), "one answer");
}

#[test]
fn two_updates_of_one_path_both_count() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"n":0}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let tickets = [scene.ask_update(A, "n"), scene.ask_update(A, "n")];
    scene.work();
    for ticket in tickets {
        let old = scene.wait_read(ticket).unwrap();
        assert_eq!(old, json!(0));
        scene.settings.update_to(ticket, Some(Ok(Some(json!(1)))));
    }
    scene.work();
    scene.wait_updated(tickets[0]).unwrap();
    assert_eq!(scene.wait_read(tickets[1]), Some(json!(1)));
    scene.settings.update_to(tickets[1], Some(Ok(Some(json!(2)))));
    scene.work();
    scene.wait_updated(tickets[1]).unwrap();
    assert_eq!((scene.on_disk("a.json"), scene.shown(A)), (json!({ "n": 2 }), json!({ "n": 2 })));
}

#[test]
fn a_change_that_comes_after_an_update_counts() {
    for in_the_same_save in [true, false] {
        let mut scene = Scene::by_hand(&[("a.json", r#"{"n":0}"#)]);
        scene.open(A, &[("a.json", 0)], "a.json");
        let ticket = scene.ask_update(A, "n");
        scene.work();
        scene.wait_read(ticket);
        scene.settings.update_to(ticket, Some(Ok(Some(json!(1)))));
        let early = if in_the_same_save { None } else { Some(scene.job()) };
        scene.take(A, set("n", json!(9)));
        early.into_iter().for_each(|save| scene.carry_out(save));
        scene.work();
        scene.wait_updated(ticket).unwrap();
        assert_eq!((scene.on_disk("a.json"), scene.shown(A)), (json!({ "n": 9 }), json!({ "n": 9 })));
    }
}

#[test]
fn an_update_that_deletes_uncovers_nothing() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"n":1}"#), ("b.json", r#"{"n":2}"#)]);
    scene.open(A, &[("a.json", 0), ("b.json", 0)], "b.json");
    let ticket = scene.ask_update(A, "n");
    scene.work();
    assert_eq!(scene.wait_read(ticket), Some(json!(2)));
    scene.settings.update_to(ticket, Some(Ok(None)));
    scene.work();
    scene.wait_updated(ticket).unwrap();
    assert_eq!((scene.on_disk("a.json"), scene.on_disk("b.json"), scene.shown(A)), (json!({}), json!({}), json!({})));
}

#[test]
fn an_update_of_a_new_file_is_shown_though_a_load_came_between() {
    let mut scene = Scene::by_hand(&[]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let early = scene.begin_load(A);
    let ticket = scene.ask_update(A, "n");
    scene.work();
    assert_eq!(scene.wait_read(ticket), None);
    assert!(scene.show(A, early));
    scene.settings.update_to(ticket, Some(Ok(Some(json!(1)))));
    scene.work();
    scene.wait_updated(ticket).unwrap();
    assert_eq!((scene.on_disk("a.json"), scene.shown(A)), (json!({ "n": 1 }), json!({ "n": 1 })));
}

#[test]
fn an_update_ends_with_an_error_when_others_keep_changing_the_path() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"n":0}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let ticket = scene.ask_update(A, "n");
    scene.work();
    scene.wait_read(ticket);
    scene.settings.back().age(ticket);
    scene.write("a.json", r#"{"n":5}"#);
    scene.settings.update_to(ticket, Some(Ok(Some(json!(1)))));
    scene.work();
    assert_eq!(code(scene.wait_updated(ticket)), "timeout");
    assert_eq!((scene.on_disk("a.json"), scene.shown(A)), (json!({ "n": 5 }), json!({ "n": 5 })));
}

#[test]
fn an_update_of_what_cannot_be_read_or_written_ends_with_the_error() {
    let mut scene = Scene::new(&[("a.json", r#"{"n":0,"s":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let ticket = scene.update(A, "s.t");
    assert_eq!(code(scene.wait_updated(ticket)), "invalid_argument");
    let ticket = scene.update(A, "n");
    scene.wait_read(ticket);
    scene.write("a.json", "{");
    scene.settings.update_to(ticket, Some(Ok(Some(json!(1)))));
    assert_eq!(code(scene.wait_updated(ticket)), "syntax");
    let ticket = scene.update(A, "n");
    assert_eq!(code(scene.wait_updated(ticket)), "syntax");
    scene.flush().unwrap();
    assert_eq!((scene.text("a.json"), scene.shown(A)), ("{".into(), json!({ "n": 0, "s": 1 })));
    assert!(scene.take_told().is_empty());
}

#[test]
fn an_update_of_what_an_outer_project_gives_overrides_it_and_does_not_delete_it() {
    let mut scene = Scene::new(&[("outer.json", r#"{"x":1}"#), ("inner.json", "{}")]);
    scene.open(A, &[("outer.json", 0), ("inner.json", 1)], "inner.json");
    let ticket = scene.update(A, "x");
    assert_eq!(scene.wait_read(ticket), Some(json!(1)));
    scene.settings.update_to(ticket, Some(Ok(None)));
    assert_eq!(code(scene.wait_updated(ticket)), "inherited");
    let ticket = scene.update(A, "x");
    scene.wait_read(ticket);
    scene.settings.update_to(ticket, Some(Ok(Some(json!(2)))));
    scene.wait_updated(ticket).unwrap();
    assert_eq!((scene.text("outer.json"), scene.on_disk("inner.json")), (r#"{"x":1}"#.into(), json!({ "x": 2 })));
}

#[test]
fn an_update_in_a_context_that_is_closed_is_answered_once() {
    for closed_after_read in [false, true] {
        let mut scene = Scene::by_hand(&[("a.json", r#"{"n":0}"#)]);
        scene.open(A, &[("a.json", 0)], "a.json");
        let ticket = scene.ask_update(A, "n");
        if closed_after_read {
            scene.work();
            scene.wait_read(ticket);
            scene.settings.close(A);
            scene.settings.update_to(ticket, Some(Ok(Some(json!(1)))));
            scene.work();
            scene.wait_updated(ticket).unwrap();
            assert_eq!(scene.on_disk("a.json"), json!({ "n": 1 }));
        } else {
            let read = scene.job();
            scene.settings.close(A);
            scene.jobs();
            scene.carry_out(read);
            scene.work();
            assert_eq!(code(scene.wait_updated(ticket)), "no_project");
        }
        assert!(!scene.take_told().iter().any(|told| matches!(told, Told::Updated(..))));
    }
}

#[test]
fn an_update_that_is_given_up_has_no_answer_and_no_effect() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"n":0}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let (dropped, failed) = (scene.ask_update(A, "n"), scene.ask_update(A, "n"));
    scene.work();
    scene.settings.update_to(dropped, None);
    scene.settings.update_to(failed, Some(Err(ErrorKind::UnsupportedValue("a function".into()).into())));
    scene.work();
    assert_eq!(code(scene.wait_updated(failed)), "unsupported_value");
    assert!(!scene.take_told().iter().any(|told| matches!(told, Told::Updated(..))));
    assert_eq!(scene.on_disk("a.json"), json!({ "n": 0 }));
}

#[test]
fn a_flush_behind_a_save_that_hangs_is_answered_with_the_error_and_the_save_counts_later() {
    let mut scene = Scene::by_hand(&[("a.json", "{}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("x", json!(1)));
    let waiting = scene.ask_flush();
    let save = scene.job();
    let result = scene.perform(&save);
    scene.hang(&save);
    scene.work();
    assert_eq!(code(scene.wait_flushed(waiting)), "timeout");
    assert_eq!(scene.wait_failed().kind.code(), "timeout");
    scene.take(A, set("y", json!(2)));
    let behind = scene.ask_flush();
    scene.work();
    assert_eq!(code(scene.wait_flushed(behind)), "timeout");
    assert_eq!(scene.settings.back().unsaved(true).len(), 1);
    assert!(scene.take_told().is_empty(), "one cause is told once");
    scene.finish(save, result);
    scene.work();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 1, "y": 2 }));
    let after = scene.ask_flush();
    scene.work();
    scene.wait_flushed(after).unwrap();
    assert!(scene.settings.back().unsaved(true).is_empty());
}

#[test]
fn everything_behind_an_update_whose_save_hangs_is_answered() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"n":0,"m":0,"o":0}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let [saving, behind, later] = ["n", "m", "o"].map(|path| scene.ask_update(A, path));
    scene.work();
    scene.settings.update_to(saving, Some(Ok(Some(json!(1)))));
    let save = scene.job();
    let result = scene.perform(&save);
    scene.settings.update_to(behind, Some(Ok(Some(json!(1)))));
    scene.jobs();
    scene.hang(&save);
    scene.settings.update_to(later, Some(Ok(Some(json!(1)))));
    scene.work();
    for ticket in [saving, behind, later] {
        assert_eq!(code(scene.wait_updated(ticket)), "timeout");
    }
    scene.take(A, set("x", json!(1)));
    let flush = scene.ask_flush();
    scene.work();
    assert_eq!(code(scene.wait_flushed(flush)), "timeout");
    assert_eq!(scene.wait_failed().kind.code(), "timeout", "what nobody flushes is told too");
    scene.finish(save, result);
    scene.work();
    assert!(!scene.take_told().iter().any(|told| matches!(told, Told::Updated(..) | Told::Flushed(..))));
    let saved = json!({ "n": 1, "m": 0, "o": 0, "x": 1 });
    assert_eq!((scene.on_disk("a.json"), scene.shown(A)), (saved.clone(), saved));
}

#[test]
fn a_save_that_hangs_for_hours_does_not_fill_the_memory() {
    let mut scene = Scene::by_hand(&[("a.json", "{}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("x", json!("first")));
    let save = scene.job();
    scene.hang(&save);
    for round in 0..1000 {
        scene.take(A, set("x", json!(round)));
        scene.jobs();
    }
    let pending = scene.settings.back().pending(&scene.path("a.json"));
    assert!(pending < 100, "{pending}");
    scene.carry_out(save);
    scene.work();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 999 }));
}

#[test]
fn a_flush_counts_the_save_that_it_asked_for() {
    let mut scene = Scene::by_hand(&[]);
    fs::create_dir(scene.path("a.json")).unwrap();
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("x", json!(1)));
    let save = scene.job();
    let result = scene.perform(&save);
    fs::remove_dir(scene.path("a.json")).unwrap();
    let flush = scene.ask_flush();
    scene.jobs();
    scene.finish(save, result);
    scene.work();
    scene.wait_flushed(flush).unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 1 }));
}

#[test]
fn a_lock_that_others_hold_is_a_time_out_and_the_change_is_saved_later() {
    let mut scene = Scene::new(&[("a.json", "{}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let lock = fs::File::open(scene.path("")).unwrap();
    lock.lock().unwrap();
    scene.take(A, set("x", json!(1)));
    assert_eq!(code(scene.flush()), "timeout");
    let lost = scene.settings.flush_and_wait(DEADLINE);
    assert_eq!(lost.len(), 1);
    assert_eq!((&lost[0].path, lost[0].error.as_ref().unwrap().kind.code()), (&scene.path("a.json"), "timeout"));
    assert_eq!(scene.failures().len(), 1, "one cause is told once");
    assert_eq!(scene.text("a.json"), "{}");
    lock.unlock().unwrap();
    assert!(scene.settings.flush_and_wait(DEADLINE).is_empty());
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 1 }));
}

#[test]
fn what_no_worker_has_taken_up_is_told_as_lost() {
    let mut scene = Scene::new(&[("a.json", "{}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.flush().unwrap();
    // As if the system gave no thread.
    scene.settings.front().called = true;
    scene.settings.take(A, vec![set("x", json!(1))], scene.target(A));
    let lost = scene.settings.flush_and_wait(Duration::ZERO);
    assert_eq!(lost.len(), 1);
    assert!(lost[0].error.is_none());
    assert_eq!(
        lost[0].to_string(),
        format!("{}: unsaved changes (x = 1): the disk did not answer", lost[0].path.display())
    );
}

#[test]
fn a_change_between_preparing_and_showing_reaches_a_context_that_opens() {
    let mut scene = Scene::new(&[("a.json", r#"{"x":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.contexts.insert(B, (vec![("a.json", 0)], "a.json"));
    let prepared = scene.begin_load(B);
    scene.take(A, set("x", json!(2)));
    scene.flush().unwrap();
    scene.show(B, prepared);
    scene.wait_shown(B, &json!({ "x": 2 }));
}

#[test]
fn no_reload_hides_a_change_that_is_made_while_it_is_prepared() {
    let mut scene = Scene::new(&[("a.json", r#"{"x":0}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let plan = scene.plan(A);
    let (settings, reading) = (Arc::clone(&scene.settings), scene.reading(TIMEOUT, Instant::now()));
    let (sender, reloads) = mpsc::sync_channel(0);
    let loader = std::thread::spawn(move || {
        let prepare = || settings.prepare(&plan, Reading { began: Instant::now(), ..reading.clone() }, Some(A));
        while sender.send(prepare()).is_ok() {}
    });
    for round in 1..2000 {
        scene.take(A, set("x", json!(round)));
        // The next one is begun at once, so that the next change comes while it is prepared.
        scene.show(A, reloads.recv().unwrap());
        assert_eq!(scene.shown(A), json!({ "x": round }));
    }
    drop(reloads);
    loader.join().unwrap();
    scene.flush().unwrap();
    assert_eq!(scene.on_disk("a.json"), json!({ "x": 1999 }));
}

#[test]
fn a_defect_loses_no_document_and_nobody_waits() {
    let mut scene = Scene::by_hand(&[("a.json", r#"{"n":0}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    scene.take(A, set("x", json!(1)));
    let (update, flush) = (scene.ask_update(A, "n"), scene.ask_flush());
    scene.jobs();
    {
        let mut back = scene.settings.back();
        back.take_documents();
        back.recover(Some(A), &defect());
    }
    scene.jobs();
    assert_eq!(code(scene.wait_updated(update)), "runtime");
    assert_eq!(code(scene.wait_flushed(flush)), "runtime");
    assert_eq!(scene.wait_failed().kind.code(), "runtime");
    assert_eq!(scene.shown(A), json!({ "n": 0, "x": 1 }));
    assert_eq!(scene.settings.back().unsaved(true).len(), 1);
}

/// One step of a random session with the files `0.json` to `2.json`. Both contexts have all of them; the last one is the target.
#[derive(Debug, Clone)]
enum Step {
    Take(ContextId, Edit),
    /// Somebody else's edit of a file.
    Foreign(usize, Edit),
    Load(ContextId),
    Close(ContextId),
    /// The file cannot be written until it is mended.
    Break(usize),
    Mend(usize),
    Retry,
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let context = || prop_oneof![Just(A), Just(B)];
    // No path is above another, so that only edits of the same path can disagree.
    let path = || prop_oneof![Just("a"), Just("b.c"), Just("b.d"), Just("e.f.g")];
    let edit = move || {
        (path(), proptest::option::weighted(0.8, 0..1000_u32)).prop_map(|(path, value)| match value {
            Some(value) => set(path, json!(value)),
            None => delete(path),
        })
    };
    let step = prop_oneof![
        8 => (context(), edit()).prop_map(|(context, edit)| Step::Take(context, edit)),
        3 => (0..3_usize, edit()).prop_map(|(file, edit)| Step::Foreign(file, edit)),
        3 => context().prop_map(Step::Load),
        1 => context().prop_map(Step::Close),
        1 => (0..3_usize).prop_map(Step::Break),
        1 => (0..3_usize).prop_map(Step::Mend),
        1 => Just(Step::Retry),
        2 => Just(Step::Flush),
    ];
    proptest::collection::vec(step, 1..40)
}

const NAMES: [&str; 3] = ["0.json", "1.json", "2.json"];

fn merged(scene: &Scene, files: usize) -> Value {
    let mut merged = json!({});
    for name in &NAMES[..files] {
        if scene.path(name).exists() {
            json::merge(&mut merged, scene.on_disk(name));
        }
    }
    merged
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_change_is_on_disk_in_the_end(steps in steps(), files in 1..=3_usize) {
        let mut scene = Scene::new(&[]);
        let all: Vec<_> = NAMES[..files].iter().map(|name| (*name, 0)).collect();
        for context in [A, B] {
            scene.open(context, &all, NAMES[files - 1]);
        }
        // The contexts that know what all files say. One that does not may take another file for the place of a change.
        let mut informed = vec![A, B];
        // What each path has to be in the end; `None` for one that others have changed since.
        let mut wanted: BTreeMap<Vec<String>, Option<Change>> = BTreeMap::new();
        let mut broken: HashMap<usize, Option<String>> = HashMap::new();
        let mend = |scene: &Scene, broken: &mut HashMap<usize, Option<String>>, file: usize| {
            let Some(text) = broken.remove(&file) else { return };
            match text {
                Some(text) => scene.write(NAMES[file], &text),
                None => fs::remove_dir(scene.path(NAMES[file])).unwrap(),
            }
        };
        for step in steps {
            match step {
                Step::Take(context, edit) => {
                    if scene.settings.shown(context).is_some() {
                        // As a comparison would: what is shown already is no change.
                        let shown = scene.shown(context);
                        let mut after = shown.clone();
                        if json::apply(&mut after, &edit) {
                            scene.take(context, edit.clone());
                            wanted.insert(edit.path, Some(edit.change).filter(|_| files == 1 || informed.contains(&context)));
                        }
                    }
                }
                Step::Foreign(file, edit) if file < files && !broken.contains_key(&file) => {
                    // Which of two is quicker is not known.
                    prop_assert!(scene.flush().is_ok() || !broken.is_empty());
                    let path = scene.path(NAMES[file]);
                    let mut document = if path.exists() { scene.on_disk(NAMES[file]) } else { json!({}) };
                    json::apply(&mut document, &edit);
                    scene.write(NAMES[file], &document.to_string());
                    wanted.insert(edit.path, None);
                    informed.clear();
                }
                Step::Load(context) => {
                    scene.load(context);
                    if broken.is_empty() {
                        informed.push(context);
                    }
                }
                Step::Close(context) => scene.settings.close(context),
                Step::Break(file) if file < files && !broken.contains_key(&file) => {
                    let path = scene.path(NAMES[file]);
                    prop_assert!(scene.flush().is_ok() || !broken.is_empty());
                    let text = path.exists().then(|| scene.text(NAMES[file]));
                    match text {
                        Some(_) => scene.write(NAMES[file], "{"),
                        None => fs::create_dir(path).unwrap(),
                    }
                    broken.insert(file, text);
                    informed.clear();
                }
                Step::Mend(file) => {
                    informed.clear();
                    mend(&scene, &mut broken, file);
                }
                Step::Retry => scene.settings.retry(),
                Step::Flush => {
                    let result = scene.flush();
                    prop_assert!(result.is_ok() || !broken.is_empty(), "{:?}", result);
                }
                Step::Foreign(..) | Step::Break(_) => {}
            }
        }
        for file in 0..files {
            mend(&scene, &mut broken, file);
        }
        scene.flush().unwrap();
        prop_assert!(scene.settings.flush_and_wait(DEADLINE).is_empty());
        let disk = merged(&scene, files);
        for (path, change) in &wanted {
            let Some(change) = change else { continue };
            let value = if let Change::Set(value) = change { Some(value) } else { None };
            prop_assert_eq!(json::get(&disk, path), value, "{:?} in {}", path, disk);
        }
        for context in [A, B] {
            scene.load(context);
            scene.wait_shown(context, &disk);
        }
    }
}

#[test]
fn the_same_content_read_through_another_cache_is_no_change() {
    let mut scene = Scene::new(&[("a.json", r#"{"x":1}"#)]);
    scene.open(A, &[("a.json", 0)], "a.json");
    let epoch = scene.settings.back().epoch();
    scene.cache = Arc::new(FileCache::new(1 << 24));
    scene.open(B, &[("a.json", 0)], "a.json");
    scene.settings.unsaved();
    assert_eq!(scene.settings.back().epoch(), epoch);
    assert_eq!(scene.shown(B), json!({ "x": 1 }));
    scene.take(B, set("x", json!(2)));
    scene.flush().unwrap();
    scene.wait_shown(A, &json!({ "x": 2 }));
}

#[test]
fn files_that_nobody_has_loaded_any_more_are_forgotten_in_the_end() {
    let mut scene = Scene::new(&[("a.json", "{}")]);
    scene.open(A, &[("a.json", 0)], "a.json");
    for number in 0..1000 {
        let name: &'static str = format!("{number}.json").leak();
        scene.write(name, r#"{"x":1}"#);
        scene.open(A, &[("a.json", 0), (name, 0)], "a.json");
        fs::remove_file(scene.path(name)).unwrap();
    }
    scene.load(A);
    assert_eq!(scene.shown(A), json!({}));
    // All that is to be done has been.
    scene.flush().unwrap();
    assert!(scene.settings.back().known_files() < 200);
}
