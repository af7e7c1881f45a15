//! What executors merge: order, reloads, disks that hang, contexts that are left.

use super::*;
use crate::plan::PlannedFile;

/// A run; later ones have greater numbers.
type Run = u64;

impl Scene {
    fn merge(&self, ticket: u64, name: &str, place: Option<usize>, run: Run) -> Ticket {
        let merging =
            Merging { path: self.path(name).into(), entry: None, place: place.map(|at| (at, true)), run: Some(run) };
        self.settings.merge(Ticket(ticket), A, merging);
        Ticket(ticket)
    }

    fn wait_merged(&mut self, ticket: Ticket) -> Result<PathBuf> {
        self.wait(|told| match told {
            Told::Merged(of, result) if *of == ticket => Some(result.clone()),
            _ => None,
        })
    }

    fn merge_now(&mut self, ticket: u64, name: &str, place: Option<usize>, run: Run) -> Result<PathBuf> {
        let ticket = self.merge(ticket, name, place, run);
        self.wait_merged(ticket)
    }

    fn forget(&mut self, ticket: u64, run: Run) -> bool {
        let is_waited_for = self.settings.forget_unmerged(Ticket(ticket), A, run);
        if is_waited_for {
            self.wait_merged(Ticket(ticket)).unwrap();
        }
        is_waited_for
    }
}

#[test]
fn a_merged_file_is_shown_when_it_is_answered_and_is_saved_to() {
    let mut scene = Scene::new(&[("own.json", r#"{"x": 1}"#), ("extra.json", "{\"x\": 2, \"e\": 1} // kept")]);
    scene.open(A, &[("own.json", 0)], "own.json");
    let target = scene.merge_now(100, "extra.json", None, 1).unwrap();
    assert_eq!(target, scene.path("extra.json"));
    assert_eq!(scene.shown(A), json!({ "x": 2, "e": 1 }));
    scene.take(A, set("e", json!(5)));
    scene.flush().unwrap();
    assert_eq!(scene.text("extra.json"), "{\"x\": 2, \"e\": 5} // kept");
    assert_eq!(scene.text("own.json"), r#"{"x": 1}"#);
}

#[test]
fn planned_files_lie_over_each_other_in_the_order_of_the_plan_whenever_they_are_merged() {
    let names = ["a.json", "b.json", "c.json"];
    let scene_of = |name: &&'static str| (*name, r#"{"x": "?"}"#);
    let mut scene = Scene::new(&names.iter().map(scene_of).collect::<Vec<_>>());
    names.iter().for_each(|name| scene.write(name, &json!({ "x": name }).to_string()));
    scene.open(A, &[], "own.json");
    for (ticket, (name, place)) in [("c.json", 2), ("a.json", 0), ("b.json", 1)].into_iter().enumerate() {
        scene.merge_now(ticket as u64, name, Some(place), 1).unwrap();
        assert_eq!(scene.shown(A), json!({ "x": "c.json" }));
    }
    scene.write("extra.json", r#"{"x": "extra"}"#);
    scene.merge_now(10, "extra.json", None, 1).unwrap();
    assert_eq!(scene.shown(A), json!({ "x": "extra" }));
    // Once more is once.
    scene.merge_now(11, "a.json", Some(0), 1).unwrap();
    assert_eq!(scene.shown(A), json!({ "x": "extra" }));
}

#[test]
fn what_was_merged_stays_through_a_load_until_its_executors_have_run() {
    let mut scene = Scene::new(&[("own.json", r#"{"x": 1}"#), ("a.json", r#"{"a": 1}"#), ("b.json", r#"{"b": 1}"#)]);
    scene.open(A, &[("own.json", 0)], "own.json");
    scene.merge_now(100, "a.json", None, 1).unwrap();
    scene.merge_now(101, "b.json", None, 1).unwrap();
    assert!(!scene.forget(102, 1));
    let all = json!({ "x": 1, "a": 1, "b": 1 });
    scene.load(A);
    assert_eq!(scene.shown(A), all);
    scene.merge_now(103, "b.json", None, 2).unwrap();
    assert_eq!(scene.shown(A), all);
    assert!(scene.forget(104, 2));
    assert_eq!(scene.shown(A), json!({ "x": 1, "b": 1 }));
    assert!(!scene.forget(105, 2));
}

#[test]
fn a_planned_file_that_is_gone_goes_with_the_plan() {
    let mut scene = Scene::new(&[("a.json", r#"{"a": 1}"#), ("b.json", r#"{"b": 1}"#)]);
    scene.open(A, &[], "own.json");
    scene.merge_now(100, "a.json", Some(0), 1).unwrap();
    scene.merge_now(101, "b.json", Some(1), 1).unwrap();
    let mut plan = scene.plan(A);
    let dir = ConfigDir::open(&scene.path("")).unwrap().unwrap();
    let entry = scene.cache.config_file(&dir, &dir.place("b.json").unwrap(), &LIMITS).unwrap().unwrap();
    plan.kinds.push(crate::pipeline::Kind { name: "json".into(), extensions: vec![".json".into()], merged: false });
    plan.files.push(PlannedFile { path: Arc::clone(&entry.path), kind: 0, layer: 0, route: None, entry });
    let prepared = scene.prepare(A, &plan, Instant::now());
    // What the executor has merged is where new settings go, before it has run again.
    assert_eq!(prepared.json_target(), Some(scene.path("b.json")));
    scene.show(A, prepared);
    assert_eq!(scene.shown(A), json!({ "b": 1 }));
}

#[test]
fn what_is_merged_while_another_load_is_on_its_way_is_not_lost_with_it() {
    let mut scene = Scene::new(&[("own.json", r#"{"x": 1}"#), ("a.json", r#"{"a": 1}"#)]);
    scene.open(A, &[("own.json", 0)], "own.json");
    let prepared = scene.begin_load(A);
    scene.merge_now(100, "a.json", None, 1).unwrap();
    scene.show(A, prepared);
    scene.wait_shown(A, &json!({ "x": 1, "a": 1 }));
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_values_and_one_that_is_gone_does_not() {
    let mut scene = Scene::new(&[("own.json", "{}"), ("a.json", r#"{"a": 1}"#)]);
    scene.open(A, &[("own.json", 0)], "own.json");
    scene.merge_now(100, "a.json", None, 1).unwrap();
    scene.write("a.json", "{");
    let error = scene.merge_now(101, "a.json", None, 2).unwrap_err();
    assert_eq!((error.kind.code(), error.path()), ("syntax", Some(&*scene.path("a.json"))));
    assert!(!scene.forget(102, 2));
    assert_eq!(scene.shown(A), json!({ "a": 1 }));
    fs::remove_file(scene.path("a.json")).unwrap();
    let error = scene.merge_now(103, "a.json", None, 3).unwrap_err();
    assert_eq!((error.kind.code(), error.path()), ("not_found", Some(&*scene.path("a.json"))));
    scene.wait_shown(A, &json!({}));
}

#[test]
fn a_disk_that_hangs_is_told_once_for_all_who_wait_and_its_late_answer_changes_nothing() {
    let mut scene = Scene::by_hand(&[("own.json", r#"{"x": 1}"#), ("a.json", r#"{"a": 1}"#)]);
    scene.open(A, &[("own.json", 0)], "own.json");
    let first = scene.merge(100, "a.json", None, 1);
    let job = scene.job();
    let second = scene.merge(101, "a.json", None, 1);
    assert!(scene.jobs().is_empty());
    scene.settings.back().overdue(job.id(), job.timeout());
    let third = scene.merge(102, "a.json", None, 1);
    assert!(scene.jobs().is_empty());
    for ticket in [first, second, third] {
        let error = scene.wait_merged(ticket).unwrap_err();
        assert_eq!((error.kind.code(), error.path()), ("timeout", Some(&*scene.path("a.json"))));
    }
    let result = scene.perform(&job);
    scene.finish(job, result);
    assert!(scene.jobs().is_empty());
    assert_eq!(scene.shown(A), json!({ "x": 1 }));
    // Now it answers.
    let again = scene.merge(103, "a.json", None, 1);
    let job = scene.job();
    let result = scene.perform(&job);
    scene.finish(job, result);
    assert!(scene.jobs().is_empty());
    scene.wait_merged(again).unwrap();
    assert_eq!(scene.shown(A), json!({ "x": 1, "a": 1 }));
}

#[test]
fn whoever_waits_is_told_when_the_context_is_left() {
    let mut scene = Scene::by_hand(&[("own.json", r#"{"x": 1}"#), ("a.json", r#"{"a": 1}"#)]);
    scene.open(A, &[("own.json", 0)], "own.json");
    let ticket = scene.merge(100, "a.json", None, 1);
    let job = scene.job();
    scene.settings.close(A);
    assert!(scene.jobs().is_empty());
    assert_eq!(scene.wait_merged(ticket).unwrap_err().kind.code(), "cancelled");
    let result = scene.perform(&job);
    scene.finish(job, result);
    assert!(scene.jobs().is_empty());
    assert!(scene.take_told().is_empty());
    let ticket = scene.merge(101, "a.json", None, 1);
    assert_eq!(scene.wait_merged(ticket).unwrap_err().kind.code(), "no_project");
}

/// A change is sent, and taken back before it is shown: the one that is on its way must not be shown after all.
#[test]
fn a_change_that_is_overtaken_by_its_undoing_is_not_shown() {
    let mut scene = Scene::by_hand(&[("own.json", r#"{"x": 1}"#), ("a.json", r#"{"a": 1}"#)]);
    scene.open(A, &[("own.json", 0)], "own.json");
    scene.merge(100, "a.json", None, 1);
    let job = scene.job();
    let result = scene.perform(&job);
    scene.finish(job, result);
    let settings = Arc::clone(&scene.settings);
    let mut back = settings.back();
    settings.run_tasks(&mut back);
    let sent = back.take_events();
    drop(back);
    assert!(settings.forget_unmerged(Ticket(101), A, 2));
    assert!(scene.jobs().is_empty());
    sent.into_iter().for_each(|event| scene.receive(event));
    assert_eq!(scene.shown(A), json!({ "x": 1 }));
    for ticket in [100, 101] {
        scene.wait_merged(Ticket(ticket)).unwrap();
    }
}

#[test]
#[cfg(unix)]
fn what_every_user_may_replace_is_not_merged_wherever_it_lies() {
    use std::os::unix::fs::PermissionsExt;

    let mut scene = Scene::new(&[("own.json", "{}")]);
    scene.open(A, &[("own.json", 0)], "own.json");
    for (ticket, directory) in ["open", "../open"].into_iter().enumerate() {
        // The second one is beside the directory of the configuration.
        let elsewhere = TempDir::new().unwrap();
        let directory = if directory == "open" { scene.path(directory) } else { elsewhere.path().join("open") };
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("extra.json"), r#"{"extra": 1}"#).unwrap();
        let name = directory.join("extra.json");
        let mut merge = |ticket| scene.merge_now(ticket, name.to_str().unwrap(), None, 1);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(merge(ticket as u64 * 2).unwrap_err().kind.code(), "untrusted", "{}", directory.display());
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        merge(ticket as u64 * 2 + 1).unwrap();
    }
    assert_eq!(scene.shown(A), json!({ "extra": 1 }));
}
