//! The laws of the editor, over texts of any layout and over texts as people write them.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::json::testing::{numbers, objects};
use crate::json::{apply, diff};

/// What the edits mean, on values.
fn apply_all(value: &mut Value, edits: &[Edit]) {
    for edit in edits {
        apply(value, edit);
    }
}

/// Equal, where numbers are equal that may stay as they are written.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Number(a), Value::Number(b)) => same_number(a.as_str(), b.as_str()),
        _ => a == b,
    }
}

/// The text after the edits, once it is sure that it says what they mean.
fn lawful(text: &str, edits: &[Edit]) -> Result<String, TestCaseError> {
    let Some(mut expected) = parse(text.as_bytes()).unwrap() else {
        return Err(TestCaseError::reject("no document"));
    };
    let after = edited(text, edits);
    let found = match parse(after.as_bytes()) {
        Ok(found) => found.expect("a document stays one"),
        Err(error) => return Err(TestCaseError::fail(format!("{error}\n{text:?}\n{after:?}"))),
    };
    apply_all(&mut expected, edits);
    prop_assert!(alike(&found, &expected), "{:?}\nbecame {:?}\nby {:?}", text, after, edits);
    Ok(after)
}

/// White space and comments.
fn trivia() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just(" "),
        2 => Just("\n"),
        2 => Just("\n  "),
        1 => Just("\t"),
        1 => Just("\r\n"),
        1 => Just("\r"),
        1 => Just("// c \n"),
        1 => Just("// \"c\": 1,\r\n"),
        1 => Just("// c\r"),
        1 => Just("/* c */"),
        1 => Just("/* c\n // } */"),
    ];
    prop_oneof![3 => Just(String::new()), 2 => Just(" ".to_owned()), 3 => vec(piece, 0..4).prop_map(|all| all.concat())]
}

/// The text of an object, laid out in any way; keys may come twice.
fn texts() -> impl Strategy<Value = String> {
    let mark = prop_oneof![4 => Just(""), 1 => Just("\u{feff}")];
    (mark, trivia(), object_texts(value_texts().boxed()), trivia())
        .prop_map(|(mark, before, object, after)| [mark, &before, &object, &after].concat())
}

/// A string that the texts write with an escape it does not need.
const SPELLED_OUT: &str = "a \"//";

fn value_texts() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        numbers(),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"\\u0061 \\\"//\"".to_owned()),
        any::<String>().prop_map(|text| json!(text).to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| prop_oneof![object_texts(inner.clone().boxed()), array_texts(inner.boxed())])
}

fn object_texts(values: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let member = ("[a-d]", trivia(), trivia(), values)
        .prop_map(|(key, before, after, value)| format!("\"{key}\"{before}:{after}{value}"));
    container_texts(member.boxed()).prop_map(|inner| format!("{{{inner}}}"))
}

fn array_texts(values: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    container_texts(values).prop_map(|inner| format!("[{inner}]"))
}

fn container_texts(member: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let members = vec((trivia(), member, trivia()), 0..4);
    (members, any::<bool>(), trivia()).prop_map(|(members, trailing, last)| {
        let is_empty = members.is_empty();
        let members: Vec<_> = members.into_iter().map(|(before, member, after)| before + &member + &after).collect();
        members.join(",") + if trailing && !is_empty { "," } else { "" } + &last
    })
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let values = objects().prop_map(|object| object.get("a").cloned().unwrap_or(object));
    let change = prop_oneof![values.prop_map(Change::Set), Just(Change::Delete)];
    let whole = prop_oneof![objects().prop_map(Change::Set), Just(Change::Delete)];
    let edit = prop_oneof![
        12 => (vec("[a-d]", 1..4), change).prop_map(|(path, change)| Edit { path, change }),
        1 => whole.prop_map(|change| Edit { path: vec![], change }),
    ];
    vec(edit, 0..6)
}

/// Every path of a document and its value.
fn paths(value: &Value) -> Vec<(Vec<String>, &Value)> {
    let mut all = Vec::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        all.push((vec![key.clone()], value));
        for (below, value) in paths(value) {
            all.push(([vec![key.clone()], below].concat(), value));
        }
    }
    all
}

fn with(path: &[String], change: Change) -> Edit {
    Edit { path: path.to_vec(), change }
}

/// A key that is nowhere, in every object of the document, and a path below it.
fn new_paths(value: &Value) -> Vec<Vec<String>> {
    let objects = paths(value).into_iter().filter(|(_, value)| value.is_object()).map(|(path, _)| path);
    objects.chain([vec![]]).map(|path| [path, vec!["new key".to_owned()]].concat()).collect()
}

fn scalars_and_containers() -> [Value; 5] {
    [json!("x"), json!([]), json!({}), json!([1, { "y": [2] }]), json!({ "y": { "z": [] }, "w": 1 })]
}

fn setting_and_deleting_leaves_nothing(text: &str) -> Result<(), TestCaseError> {
    let document = parse(text.as_bytes()).unwrap().expect("a document");
    for path in new_paths(&document) {
        for value in scalars_and_containers() {
            let changed = lawful(text, &[with(&path, Change::Set(value))])?;
            prop_assert_eq!(edited(&changed, &[with(&path, Change::Delete)]), text, "by way of {:?}", changed);
        }
        let below = [&path[..], &["below".to_owned()]].concat();
        let changed = lawful(text, &[with(&below, Change::Set(json!(1)))])?;
        prop_assert_eq!(edited(&changed, &[with(&path, Change::Delete)]), text, "by way of {:?}", changed);
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_edited_text_says_what_the_edits_mean(text in texts(), edits in edits()) {
        lawful(&text, &edits)?;
    }

    #[test]
    fn one_edit_after_the_other_says_the_same(text in texts(), edits in edits()) {
        let mut value = parse(text.as_bytes()).unwrap().unwrap();
        let mut after = text;
        for edit in &edits {
            after = lawful(&after, std::slice::from_ref(edit))?;
        }
        apply_all(&mut value, &edits);
        prop_assert!(alike(&parse(after.as_bytes()).unwrap().unwrap(), &value));
    }

    #[test]
    fn a_text_can_be_made_to_say_anything(text in texts(), new in objects()) {
        let whole = lawful(&text, &[set("", new.clone())])?;
        prop_assert_eq!(&edited(&whole, &[set("", new.clone())]), &whole);
        let old = parse(text.as_bytes()).unwrap().unwrap();
        lawful(&text, &diff(&old, &new))?;
    }

    #[test]
    fn equal_texts_stay(text in texts()) {
        let value = parse(text.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(edited(&text, &[set("", value)]), text.as_str());
        prop_assert_eq!(edited(&text, &[]), text.as_str());
    }

    #[test]
    fn setting_a_new_key_and_deleting_it_leaves_nothing(text in texts()) {
        setting_and_deleting_leaves_nothing(&text)?;
    }

    #[test]
    fn a_scalar_set_back_leaves_nothing(text in texts()) {
        let document = parse(text.as_bytes()).unwrap().unwrap();
        for (path, value) in paths(&document) {
            // A string may have been written with escapes that are not needed, which its value does not show.
            if value.is_object() || value.is_array() || value == SPELLED_OUT {
                continue;
            }
            for new in scalars_and_containers() {
                let changed = edited(&text, &[with(&path, Change::Set(new))]);
                prop_assert_eq!(&edited(&changed, &[with(&path, Change::Set(value.clone()))]), &text);
            }
        }
    }

    #[test]
    fn setting_several_new_keys_and_deleting_them_leaves_nothing(text in texts()) {
        let new = ["x", "y", "z"].map(|key| set(key, json!({ "deep": 1 })));
        let changed = lawful(&text, &new)?;
        let once = edited(&changed, &["x", "y", "z"].map(delete));
        prop_assert_eq!(&once, &text);
        let one_by_one = ["z", "y", "x"].iter().fold(changed, |text, key| edited(&text, &[delete(key)]));
        prop_assert_eq!(&one_by_one, &text);
    }

    #[test]
    fn an_element_put_at_the_end_and_taken_away_leaves_nothing(text in texts()) {
        let document = parse(text.as_bytes()).unwrap().unwrap();
        for (path, value) in paths(&document) {
            let Value::Array(old) = value else { continue };
            let longer = [&old[..], &[json!({ "new": [1] })]].concat();
            let changed = lawful(&text, &[with(&path, Change::Set(longer.into()))])?;
            prop_assert_eq!(&edited(&changed, &[with(&path, Change::Set(value.clone()))]), &text);
        }
    }

    #[test]
    fn elements_come_and_go_anywhere(text in texts(), at in any::<prop::sample::Index>()) {
        let document = parse(text.as_bytes()).unwrap().unwrap();
        for (path, value) in paths(&document) {
            let Value::Array(old) = value else { continue };
            let mut longer = old.clone();
            longer.splice(at.index(old.len() + 1)..at.index(old.len() + 1), [json!("new"), json!([])]);
            lawful(&text, &[with(&path, Change::Set(longer.into()))])?;
            let mut shorter = old.clone();
            shorter.drain(at.index(old.len() + 1)..(at.index(old.len() + 1) + 2).min(old.len()));
            lawful(&text, &[with(&path, Change::Set(shorter.into()))])?;
        }
    }

    #[test]
    fn a_text_without_a_document_says_what_is_set(text in trivia(), new in objects(), edits in edits()) {
        let laid_out = edited(&text, &[&[set("", new.clone())], &edits[..]].concat());
        let mut expected = new;
        apply_all(&mut expected, &edits);
        // Where nothing is left, there need not be a document.
        prop_assert_eq!(parse(laid_out.as_bytes()).unwrap().unwrap_or(json!({})), expected);
        prop_assert!(laid_out.starts_with(text.trim_end_matches([' ', '\t', '\r', '\n'])));
    }
}

/// Texts in the style of what editors, compilers and package managers are configured with.
fn examples() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/texts");
    let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<_> = files.map(|file| (file.display().to_string(), fs::read_to_string(&file).unwrap())).collect();
    assert!(examples.len() >= 10, "{} holds the examples", directory.display());
    examples
}

#[test]
fn every_path_of_the_examples_can_be_set_and_set_back() {
    for (name, text) in examples() {
        let document = parse(text.as_bytes()).unwrap().unwrap();
        for (path, value) in paths(&document) {
            for new in [json!("other"), json!(7), json!(null), json!([1, [2]]), json!({ "k": { "l": 1 } })] {
                let changed =
                    lawful(&text, &[with(&path, Change::Set(new))]).unwrap_or_else(|error| panic!("{name}: {error}"));
                let back = lawful(&changed, &[with(&path, Change::Set(value.clone()))]).unwrap();
                let is_canonical = text.contains(&value.to_string());
                if !value.is_object() && !value.is_array() && is_canonical {
                    assert_eq!(back, text, "{name}: {path:?} by way of\n{changed}");
                }
            }
        }
    }
}

#[test]
fn every_path_of_the_examples_can_be_deleted() {
    for (name, text) in examples() {
        let document = parse(text.as_bytes()).unwrap().unwrap();
        for (path, value) in paths(&document) {
            let without =
                lawful(&text, &[with(&path, Change::Delete)]).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(text.len() > without.len());
            lawful(&without, &[with(&path, Change::Set(value.clone()))]).unwrap();
            let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with("//")).count();
            if !value.is_object() && !value.is_array() {
                assert_eq!(comments(&without), comments(&text), "{name}: {path:?}\n{without}");
            }
        }
    }
}

#[test]
fn new_keys_in_the_examples_leave_nothing() {
    for (name, text) in examples() {
        setting_and_deleting_leaves_nothing(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
