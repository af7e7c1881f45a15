//! What changed between two documents, as edits of single paths.
//!
//! A reload applies these to the user's live table, so that what did not change on disk is not touched there. Edits of the text of
//! a file are a different thing; no file is known here.

use super::Value;

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The keys from the root down; empty is the root itself.
    pub path: Vec<String>,
    /// What happens there.
    pub change: Change,
}

/// What happens at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key gets this value; the object it is in exists.
    Set(Value),
    /// The key goes away.
    Delete,
}

/// The edits that make `new` out of `old`: objects are compared recursively, any other value that differs is set as a whole.
///
/// Numbers are equal if their texts are; the order of keys does not count. Deletions of an object's keys come before what is set in
/// it, in `old`'s order; the rest is in `new`'s order. No path is a prefix of another.
///
/// ```
/// use engine::json::{Change, Edit, diff};
/// use serde_json::json;
/// let edits = diff(&json!({ "a": { "b": 1 }, "c": [1] }), &json!({ "a": {}, "c": [1, 2] }));
/// assert_eq!(edits, [
///     Edit { path: vec!["a".into(), "b".into()], change: Change::Delete },
///     Edit { path: vec!["c".into()], change: Change::Set(json!([1, 2])) },
/// ]);
/// ```
pub fn diff(old: &Value, new: &Value) -> Vec<Edit> {
    let mut edits = Vec::new();
    compare(old, new, &mut Vec::new(), &mut edits);
    edits
}

fn compare<'a>(old: &'a Value, new: &'a Value, path: &mut Vec<&'a str>, edits: &mut Vec<Edit>) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        if old != new {
            edits.push(edit(path, Change::Set(new.clone())));
        }
        return;
    };
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        path.push(key);
        edits.push(edit(path, Change::Delete));
        path.pop();
    }
    for (key, value) in new {
        path.push(key);
        match old.get(key) {
            Some(before) => compare(before, value, path, edits),
            None => edits.push(edit(path, Change::Set(value.clone()))),
        }
        path.pop();
    }
}

fn edit(path: &[&str], change: Change) -> Edit {
    Edit { path: path.iter().map(|&key| key.to_owned()).collect(), change }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::testing::objects;

    fn apply(value: &mut Value, edits: &[Edit]) {
        for Edit { path, change } in edits {
            let Some((last, above)) = path.split_last() else {
                let Change::Set(new) = change else { panic!("the root cannot be deleted") };
                *value = new.clone();
                continue;
            };
            let mut parent = value.as_object_mut().expect("a path leads through objects");
            for key in above {
                parent = parent[key].as_object_mut().expect("a path leads through objects");
            }
            match change {
                Change::Set(new) => {
                    parent.insert(last.clone(), new.clone());
                }
                Change::Delete => assert!(parent.shift_remove(last).is_some(), "deleted nothing"),
            }
        }
    }

    #[test]
    fn only_paths_that_differ_are_edited() {
        let old = json!({ "lsp": { "a": 1, "b": { "c": [1, { "d": 2 }] } }, "gone": 1, "same": [1] });
        let new = json!({ "same": [1], "lsp": { "b": { "c": [1, { "d": 3 }] }, "a": 1, "e": {} } });
        let path = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            diff(&old, &new),
            [
                Edit { path: path(&["gone"]), change: Change::Delete },
                Edit { path: path(&["lsp", "b", "c"]), change: Change::Set(json!([1, { "d": 3 }])) },
                Edit { path: path(&["lsp", "e"]), change: Change::Set(json!({})) },
            ]
        );
    }

    #[test]
    fn a_change_of_kind_is_one_edit() {
        for (old, new) in [(json!({ "a": 1 }), json!([])), (json!({}), json!(null)), (json!([]), json!({}))] {
            let edits = diff(&json!({ "k": old }), &json!({ "k": new }));
            assert_eq!(edits, [Edit { path: vec!["k".into()], change: Change::Set(new) }]);
        }
    }

    #[test]
    fn numbers_differ_when_their_texts_do() {
        let parse = |text: &str| crate::json::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(diff(&parse(r#"{"a":1.0}"#), &parse(r#"{"a":1.0}"#)), []);
        assert_eq!(diff(&parse(r#"{"a":1}"#), &parse(r#"{"a":1.0}"#)).len(), 1);
        assert_eq!(diff(&parse(r#"{"a":9007199254740993}"#), &parse(r#"{"a":9007199254740992}"#)).len(), 1);
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_new_document(old in objects(), new in objects()) {
            let mut value = old.clone();
            apply(&mut value, &diff(&old, &new));
            prop_assert_eq!(value, new);
        }

        #[test]
        fn nothing_differs_from_itself(value in objects()) {
            prop_assert_eq!(diff(&value, &value), []);
        }

        #[test]
        fn no_path_is_a_prefix_of_another(old in objects(), new in objects()) {
            let edits = diff(&old, &new);
            for (at, a) in edits.iter().enumerate() {
                for (other, b) in edits.iter().enumerate() {
                    prop_assert!(at == other || !b.path.starts_with(&a.path));
                }
            }
        }
    }
}
