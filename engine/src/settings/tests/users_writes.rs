//! Files that a context has loaded and the user's code writes through a cache, past the settings: neither loses the other's.

use super::*;
use crate::store;

impl Scene {
    /// As `file_cache:write` does it.
    fn replace(&self, name: &str, content: &str) {
        let lock_deadline = Instant::now() + TIMEOUT;
        let options = store::Options { limits: LIMITS, lock_deadline, durable: true };
        let path: Arc<Path> = self.path(name).into();
        let saved = store::replace(&path, &options, content.as_bytes()).unwrap();
        self.cache.written_by_user(&path, saved.snapshot.unwrap(), None);
    }
}

#[test]
fn a_change_that_is_not_saved_yet_goes_into_what_the_user_has_written() {
    let mut scene = Scene::by_hand(&[("own.json", r#"{"x": 1}"#)]);
    scene.open(A, &[("own.json", 0)], "own.json");
    scene.take(A, set("y", json!(2)));
    let save = scene.job();
    scene.replace("own.json", r#"{"x": 3, "written": true}"#);
    scene.carry_out(save);
    let both = json!({ "x": 3, "written": true, "y": 2 });
    assert_eq!(scene.on_disk("own.json"), both);
    scene.work();
    assert_eq!(scene.shown(A), both);
}

#[test]
fn what_the_user_has_written_stays_when_something_else_is_saved_and_counts_at_the_next_load() {
    let mut scene = Scene::new(&[("own.json", r#"{"x": 1}"#)]);
    scene.open(A, &[("own.json", 0)], "own.json");
    scene.take(A, set("y", json!(2)));
    scene.flush().unwrap();
    scene.replace("own.json", r#"{"written": true}"#);
    scene.load(A);
    assert_eq!(scene.shown(A), json!({ "written": true }));
    scene.take(A, set("z", json!(3)));
    scene.flush().unwrap();
    assert_eq!(scene.on_disk("own.json"), json!({ "written": true, "z": 3 }));
}
