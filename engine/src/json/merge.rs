//! Several documents to one: late comers win.
//!
//! Which documents, and in which order, is the pipeline's to say; how they differ from what was loaded before is
//! [`diff`](super::diff)'s.

use std::sync::Arc;

use serde_json::Map;
use serde_json::map::Entry;

use super::Value;

/// Lays `over` on `base`: objects are merged recursively, anything else (arrays and `null` too) is replaced as a whole.
///
/// Keys of `base` keep their places, new ones follow in their order. The empty object is neutral on both sides.
///
/// ```
/// use serde_json::json;
/// let mut value = json!({ "lsp": { "a": 1, "b": [1, 2] } });
/// engine::json::merge(&mut value, json!({ "lsp": { "b": [3], "c": null } }));
/// assert_eq!(value, json!({ "lsp": { "a": 1, "b": [3], "c": null } }));
/// ```
pub fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.entry(key) {
                    Entry::Occupied(mut entry) => merge(entry.get_mut(), value),
                    Entry::Vacant(entry) => {
                        entry.insert(value);
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}

/// Documents laid over each other in their order. One that stands alone among empty ones is shared, not copied.
pub(crate) fn overlay<'a>(documents: impl IntoIterator<Item = &'a Arc<Value>>) -> Arc<Value> {
    let is_empty = |document: &Value| document.as_object().is_some_and(Map::is_empty);
    documents.into_iter().fold(Arc::new(Value::Object(Map::new())), |mut base, over| {
        if is_empty(&base) {
            return Arc::clone(over);
        }
        if !(is_empty(over) && base.is_object()) {
            merge(Arc::make_mut(&mut base), Value::clone(over));
        }
        base
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::testing::objects;

    fn merged(mut base: Value, over: &Value) -> Value {
        merge(&mut base, over.clone());
        base
    }

    /// Every value in `merged` is `over`'s, where `over` says something, and `base`'s elsewhere; and nothing of either is lost.
    fn late_comer_wins(base: Option<&Value>, over: Option<&Value>, merged: Option<&Value>) -> bool {
        match (base, over) {
            (Some(Value::Object(a)), Some(Value::Object(b))) => {
                let Some(Value::Object(m)) = merged else {
                    return false;
                };
                m.keys().all(|key| a.contains_key(key) || b.contains_key(key))
                    && a.keys().chain(b.keys()).all(|key| late_comer_wins(a.get(key), b.get(key), m.get(key)))
            }
            (base, over) => merged == over.or(base),
        }
    }

    #[test]
    fn objects_merge_and_everything_else_is_replaced() {
        let base = json!({ "o": { "x": 1, "y": 2 }, "a": [1, 2, 3], "n": null, "s": "t", "keep": true });
        let over = json!({ "o": { "y": null }, "a": [], "n": {}, "s": { "deep": 1 } });
        assert_eq!(
            merged(base, &over),
            json!({ "o": { "x": 1, "y": null }, "a": [], "n": {}, "s": { "deep": 1 }, "keep": true })
        );
    }

    #[test]
    fn keys_keep_their_places_and_new_ones_follow() {
        let base = json!({ "z": 1, "m": { "q": 1, "b": 1 }, "a": 1 });
        let over = json!({ "y": 2, "a": 2, "m": { "c": 2, "b": 2 }, "b": 2 });
        assert_eq!(merged(base, &over).to_string(), r#"{"z":1,"m":{"q":1,"b":2,"c":2},"a":2,"y":2,"b":2}"#);
    }

    #[test]
    fn a_document_alone_among_empty_ones_is_shared() {
        let document = Arc::new(json!({ "a": 1 }));
        let empty = Arc::new(json!({}));
        for documents in [vec![&document], vec![&empty, &document], vec![&document, &empty, &empty]] {
            assert!(Arc::ptr_eq(&overlay(documents), &document));
        }
        assert_eq!(*overlay([]), json!({}));
        assert_eq!(*overlay([&document, &Arc::new(json!({ "b": 2 })), &empty]), json!({ "a": 1, "b": 2 }));
    }

    proptest! {
        #[test]
        fn the_empty_object_is_neutral(value in objects()) {
            // As text: the key order must be kept too.
            prop_assert_eq!(merged(value.clone(), &json!({})).to_string(), value.to_string());
            prop_assert_eq!(merged(json!({}), &value).to_string(), value.to_string());
        }

        #[test]
        fn the_late_comer_wins_at_every_leaf(base in objects(), over in objects()) {
            let result = merged(base.clone(), &over);
            prop_assert!(late_comer_wins(Some(&base), Some(&over), Some(&result)));
        }

        #[test]
        fn merging_twice_changes_nothing(base in objects(), over in objects()) {
            let once = merged(base, &over);
            prop_assert_eq!(merged(once.clone(), &over), once);
        }

        /// Holds as long as no key changes its kind from object to something else and back.
        #[test]
        fn the_end_result_does_not_depend_on_grouping(a in objects(), b in objects(), c in objects()) {
            prop_assume!(same_kinds(&a, &b) && same_kinds(&b, &c) && same_kinds(&a, &c));
            let left = merged(merged(a.clone(), &b), &c);
            let right = merged(a, &merged(b, &c));
            prop_assert_eq!(left.to_string(), right.to_string());
        }
    }

    fn same_kinds(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) => {
                a.iter().all(|(key, value)| b.get(key).is_none_or(|other| same_kinds(value, other)))
            }
            (a, b) => !a.is_object() && !b.is_object(),
        }
    }
}
