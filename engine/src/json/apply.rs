//! An edit carried out in one document, and the value at a path.
//!
//! The counterpart of [`diff`](super::diff), for values. The same for the text of a file is the span editor's; which of several
//! documents gets an edit is decided in [`layers`](super::layers).

use serde_json::Map;

use super::{Change, Edit, Value};

/// Carries an edit out; false if nothing changed.
///
/// Every edit can be carried out: what is set gets the objects that are missing above it, and they replace whatever else is there;
/// deleting what is not there does nothing. The empty path is the document itself, which is deleted by emptying it.
///
/// ```
/// use engine::json::{Change, Edit, apply};
/// use serde_json::json;
/// let mut value = json!({ "a": 1 });
/// let edit = Edit { path: vec!["a".into(), "b".into()], change: Change::Set(json!(2)) };
/// assert!(apply(&mut value, &edit));
/// assert_eq!(value, json!({ "a": { "b": 2 } }));
/// ```
pub fn apply(document: &mut Value, edit: &Edit) -> bool {
    match &edit.change {
        Change::Set(value) => set(document, &edit.path, value),
        Change::Delete => delete(document, &edit.path),
    }
}

/// The value at a path of keys. Nothing is found in an array: its elements have no paths.
pub fn get<'a>(document: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(document, |value, key| value.as_object()?.get(key))
}

pub(super) fn set(document: &mut Value, path: &[String], value: &Value) -> bool {
    if get(document, path) == Some(value) {
        return false;
    }
    let mut place = document;
    for key in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let object = place.as_object_mut().expect("anything else has just been replaced");
        place = object.entry(key.as_str()).or_insert(Value::Null);
    }
    *place = value.clone();
    true
}

pub(super) fn delete(document: &mut Value, path: &[String]) -> bool {
    let Some((last, above)) = path.split_last() else {
        return set(document, path, &Value::Object(Map::new()));
    };
    let parent = above.iter().try_fold(document, |value, key| value.as_object_mut()?.get_mut(key));
    // Keeping the order of the others would take time for each of them, and order is the text's: nothing is written in this one.
    parent.and_then(Value::as_object_mut).is_some_and(|object| object.swap_remove(last).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::diff;
    use crate::json::testing::objects;

    fn edit(path: &[&str], change: Change) -> Edit {
        Edit { path: path.iter().map(|&key| key.to_owned()).collect(), change }
    }

    /// The document afterwards, as text: the order of the keys counts.
    fn after(document: &Value, path: &[&str], change: Change) -> (bool, String) {
        let mut document = document.clone();
        (apply(&mut document, &edit(path, change)), document.to_string())
    }

    #[test]
    fn what_is_set_gets_objects_above_it() {
        let set = |document: Value, path: &[&str]| after(&document, path, Change::Set(json!(9)));
        let yes = |text: &str| (true, text.to_owned());
        assert_eq!(set(json!({}), &["a"]), yes(r#"{"a":9}"#));
        assert_eq!(set(json!({ "a": 1, "b": 2 }), &["a"]), yes(r#"{"a":9,"b":2}"#));
        assert_eq!(set(json!({ "x": 1 }), &["a", "b", "c"]), yes(r#"{"x":1,"a":{"b":{"c":9}}}"#));
        assert_eq!(set(json!({ "a": { "x": 1 } }), &["a", "b"]), yes(r#"{"a":{"x":1,"b":9}}"#));
        for other in [json!(null), json!(1), json!("text"), json!([{ "b": 1 }])] {
            assert_eq!(set(json!({ "a": other }), &["a", "b"]), yes(r#"{"a":{"b":9}}"#));
        }
        assert_eq!(set(json!({ "a": 1 }), &["", "a.b", ""]), yes(r#"{"a":1,"":{"a.b":{"":9}}}"#));
    }

    #[test]
    fn what_is_deleted_leaves_the_rest_as_it_was() {
        let document = json!({ "z": 1, "a": { "b": 1, "c": [{ "d": 1 }] }, "m": null });
        // The order of the keys is not kept.
        let delete = |path: &[&str]| {
            let (changed, text) = after(&document, path, Change::Delete);
            (changed, serde_json::from_str::<Value>(&text).expect("an edited document is JSON"))
        };
        assert_eq!(delete(&["z"]), (true, json!({ "a": { "b": 1, "c": [{ "d": 1 }] }, "m": null })));
        assert_eq!(delete(&["m"]), (true, json!({ "z": 1, "a": { "b": 1, "c": [{ "d": 1 }] } })));
        assert_eq!(delete(&["a", "b"]), (true, json!({ "z": 1, "a": { "c": [{ "d": 1 }] }, "m": null })));
        for absent in [&["x"] as &[&str], &["z", "x"], &["x", "y"], &["a", "c", "0"], &["a", "c", "d"], &["m", "x"]] {
            assert_eq!(delete(absent), (false, document.clone()));
        }
    }

    #[test]
    fn the_empty_path_is_the_document() {
        let document = json!({ "a": 1 });
        assert_eq!(after(&document, &[], Change::Set(json!({ "b": 2 }))), (true, r#"{"b":2}"#.into()));
        assert_eq!(after(&document, &[], Change::Set(document.clone())), (false, document.to_string()));
        assert_eq!(after(&document, &[], Change::Delete), (true, "{}".into()));
        assert_eq!(after(&json!({}), &[], Change::Delete), (false, "{}".into()));
    }

    #[test]
    fn setting_what_is_there_changes_nothing() {
        let document = json!({ "a": { "b": null } });
        assert_eq!(after(&document, &["a", "b"], Change::Set(json!(null))), (false, document.to_string()));
        assert_eq!(after(&document, &["a"], Change::Set(json!({ "b": null }))), (false, document.to_string()));
        assert_eq!(
            after(&document, &["a", "c"], Change::Set(json!(null))),
            (true, r#"{"a":{"b":null,"c":null}}"#.into())
        );
    }

    #[test]
    fn null_is_a_value_and_not_an_absence() {
        let document = json!({ "a": null });
        let path = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
        assert_eq!(get(&document, &path(&["a"])), Some(&Value::Null));
        assert_eq!(get(&document, &path(&["b"])), None);
        assert_eq!(get(&document, &path(&["a", "b"])), None);
        assert_eq!(get(&document, &[]), Some(&document));
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_new_document(old in objects(), new in objects()) {
            let mut value = old.clone();
            for edit in diff(&old, &new) {
                prop_assert!(apply(&mut value, &edit));
            }
            prop_assert_eq!(value, new);
        }
    }
}
