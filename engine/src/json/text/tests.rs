//! The rules of the editor one by one; laws over generated texts are in [`properties`].

mod properties;

use serde_json::{Number, json};

use super::*;
use crate::error::ErrorKind;
use crate::json::{Change, MAX_DEPTH, parse};

fn set(path: &str, value: Value) -> Edit {
    Edit { path: keys(path), change: Change::Set(value) }
}

fn delete(path: &str) -> Edit {
    Edit { path: keys(path), change: Change::Delete }
}

/// The keys of a path, divided by dots.
fn keys(path: &str) -> Vec<String> {
    path.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// A value from its text, whose numbers keep their form.
fn value(text: &str) -> Value {
    parse(format!("{{\"value\":{text}}}").as_bytes()).unwrap().unwrap()["value"].clone()
}

fn edited(text: &str, edits: &[Edit]) -> String {
    String::from_utf8(edit(text.as_bytes(), edits).unwrap_or_else(|error| panic!("{text:?}: {error}"))).unwrap()
}

/// Each row is a text, what happens to it, and the text afterwards.
#[track_caller]
fn check<const N: usize>(rows: [(&str, &[Edit], &str); N]) {
    for (before, edits, after) in rows {
        assert_eq!(edited(before, edits), after, "{edits:?} in\n{before}");
    }
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    check([
        ("{ \"a\" : 1 , \"b\": 2 }", &[set("a", json!("x"))], "{ \"a\" : \"x\" , \"b\": 2 }"),
        ("{\n  // first\n  \"a\": 1 // one\n}\n", &[set("a", json!(2))], "{\n  // first\n  \"a\": 2 // one\n}\n"),
        ("{\"a\":{\"b\":{\"c\":null}}}", &[set("a.b.c", json!(true))], "{\"a\":{\"b\":{\"c\":true}}}"),
        ("{\"a\":[1]}", &[set("a", json!({}))], "{\"a\":{}}"),
        ("{\"a\":{ /* lost */ }}", &[set("a", json!(null))], "{\"a\":null}"),
        ("{\"\":1}", &[Edit { path: vec![String::new()], change: Change::Set(json!(2)) }], "{\"\":2}"),
    ]);
}

#[test]
fn what_is_equal_is_not_touched() {
    check([
        ("{ \"a\": \"\\u0041\\/\" }", &[set("a", json!("A/"))], "{ \"a\": \"\\u0041\\/\" }"),
        ("{\"a\":[1 , {\"b\" :2}]}", &[set("a", json!([1, { "b": 2 }]))], "{\"a\":[1 , {\"b\" :2}]}"),
        ("{ \"b\": 1,\n\"a\": 2 }", &[set("", json!({ "a": 2, "b": 1 }))], "{ \"b\": 1,\n\"a\": 2 }"),
        ("{}", &[set("", json!({}))], "{}"),
    ]);
}

#[test]
fn equal_numbers_keep_their_text() {
    #[rustfmt::skip]
    let rows = [
        ("1.0", "1", "1.0"),
        ("1E3", "1000", "1E3"),
        ("1.50", "1.5", "1.50"),
        ("9007199254740993", "9007199254740993", "9007199254740993"),
        ("9007199254740993", "9007199254740992", "9007199254740992"),
        ("18446744073709551615", "18446744073709551616", "18446744073709551616"),
        ("9007199254740993", "9.007199254740992e15", "9007199254740993"),
        ("0.1000000000000000055511151231257827", "0.1", "0.1000000000000000055511151231257827"),
        ("-0", "0", "0"),
        ("0", "-0.0", "-0.0"),
        ("-0", "-0.0", "-0"),
        ("1e400", "1e400", "1e400"),
        ("1e400", "1e500", "1e500"),
    ];
    for (before, new, after) in rows {
        let new = Value::Number(Number::from_string_unchecked(new.to_owned()));
        let text = format!("{{ \"n\": [{before}] }}");
        assert_eq!(
            edited(&text, &[set("n", Value::Array(vec![new.clone()]))]),
            format!("{{ \"n\": [{after}] }}"),
            "{before} to {new}"
        );
    }
}

#[test]
fn a_new_key_is_laid_out_as_its_neighbours_are() {
    check([
        ("{\"a\":1}", &[set("b", json!([1, { "c": 2 }]))], "{\"a\":1,\"b\":[1,{\"c\":2}]}"),
        ("{ \"a\": 1 }", &[set("b", json!([1, { "c": 2 }]))], "{ \"a\": 1, \"b\": [1, { \"c\": 2 }] }"),
        ("{ \"a\" : 1,  \"b\" : 2 }", &[set("c", json!(3))], "{ \"a\" : 1,  \"b\" : 2,  \"c\" : 3 }"),
        ("{\n  \"a\": 1\n}\n", &[set("b", json!(2))], "{\n  \"a\": 1,\n  \"b\": 2\n}\n"),
        ("{\n  \"a\": 1,\n}", &[set("b", json!(2)), set("c", json!(3))], "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3,\n}"),
        (
            "{\r\n\t\"a\": 1\r\n}",
            &[set("b", json!({ "c": [] }))],
            "{\r\n\t\"a\": 1,\r\n\t\"b\": {\r\n\t\t\"c\": []\r\n\t}\r\n}",
        ),
        (
            "{\n    \"a\": {\n        \"b\": 1\n    }\n}",
            &[set("a.c", json!([1, {}]))],
            "{\n    \"a\": {\n        \"b\": 1,\n        \"c\": [\n            1,\n            {}\n        ]\n    }\n}",
        ),
        // A blank line is not repeated.
        ("{\n  \"a\": 1,\n\n  \"b\": 2\n}", &[set("c", json!(3))], "{\n  \"a\": 1,\n\n  \"b\": 2,\n  \"c\": 3\n}"),
        // A one-line object in a document of many lines.
        ("{\n  \"a\": {\"b\":1}\n}", &[set("a.c", json!({ "d": 1 }))], "{\n  \"a\": {\"b\":1,\"c\":{\"d\":1}}\n}"),
        // Commas in front.
        ("{ \"a\": 1\n, \"b\": 2\n}", &[set("c", json!(3))], "{ \"a\": 1\n, \"b\": 2, \"c\": 3\n}"),
    ]);
}

#[test]
fn parents_are_made_as_they_are_missing() {
    check([
        ("{}", &[set("a.b", json!(1))], "{\n  \"a\": {\n    \"b\": 1\n  }\n}"),
        ("{ \"x\": 1 }", &[set("a.b", json!(1)), set("a.c", json!(2))], "{ \"x\": 1, \"a\": { \"b\": 1, \"c\": 2 } }"),
        ("{\n\t\"a\": 5\n}", &[set("a.b", json!(1))], "{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}"),
        ("{ \"a\": [1] }", &[set("a.b", json!(1))], "{ \"a\": { \"b\": 1 } }"),
        ("{ \"x\": 1 }", &[set("a.b", json!(1)), delete("a.b")], "{ \"x\": 1, \"a\": {} }"),
    ]);
}

#[test]
fn a_comment_swallows_no_comma() {
    check([
        ("{\n  \"a\": 1 // c\n}", &[set("b", json!(2))], "{\n  \"a\": 1, // c\n  \"b\": 2\n}"),
        ("{\n  \"a\": 1, // c\n}", &[set("b", json!(2))], "{\n  \"a\": 1, // c\n  \"b\": 2,\n}"),
        ("{\n  \"a\": 1\n  // \"x\": 0\n}", &[set("b", json!(2))], "{\n  \"a\": 1,\n  // \"x\": 0\n  \"b\": 2\n}"),
        ("{ \"a\": 1 /* c */ }", &[set("b", json!(2))], "{ \"a\": 1, /* c */ \"b\": 2 }"),
        ("{ \"a\": 1 // c\n}", &[set("b", json!(2))], "{ \"a\": 1, // c\n\"b\": 2\n}"),
        ("{ \"a\": 1 // c\r}", &[set("b", json!(2))], "{ \"a\": 1, // c\n\"b\": 2\r}"),
        ("{ // c\n}", &[set("a", json!(1))], "{ // c\n  \"a\": 1\n}"),
        ("{ /* c */ }", &[set("a", json!(1))], "{ /* c */ \"a\": 1 }"),
        ("{\n  // c\n}", &[set("a", json!(1))], "{\n  // c\n  \"a\": 1\n}"),
    ]);
}

#[test]
fn an_empty_container_opens_up_where_there_are_lines() {
    check([
        ("{}", &[set("a", json!(1))], "{\n  \"a\": 1\n}"),
        ("{}\r\n", &[set("a", json!([]))], "{\r\n  \"a\": []\r\n}\r\n"),
        ("{\n\t\"a\": {},\n}", &[set("a.b", json!(1))], "{\n\t\"a\": {\n\t\t\"b\": 1\n\t},\n}"),
        ("{ \"a\": {} }", &[set("a.b", json!(1))], "{ \"a\": { \"b\": 1 } }"),
        ("{\"a\":{},\"b\":[]}", &[set("a.b", json!(1)), set("b", json!([1, 2]))], "{\"a\":{\"b\":1},\"b\":[1,2]}"),
        // What tells it apart from `{}`.
        ("{\n}", &[set("a", json!(1))], "{\n  \"a\": 1\n\n}"),
        ("{ }", &[set("a", json!(1))], "{ \n  \"a\": 1\n}"),
        ("{\n    // c\n}", &[set("a", json!(1))], "{\n    // c\n    \"a\": 1\n}"),
    ]);
}

#[test]
fn a_member_goes_with_its_line_and_its_remark() {
    check([
        ("{\n  \"a\": 1, // c\n  \"b\": 2\n}", &[delete("a")], "{\n  \"b\": 2\n}"),
        ("{\n  \"a\": 1,\n  \"b\": 2 // c\n}", &[delete("b")], "{\n  \"a\": 1\n}"),
        ("{\n  \"a\": 1,\n  \"b\": 2, /* c */ // d\n}", &[delete("b")], "{\n  \"a\": 1,\n}"),
        ("{\n  \"a\": 1, // c\n  \"b\": 2\n}", &[delete("b")], "{\n  \"a\": 1 // c\n}"),
        (
            "{\n  // Head\n  \"a\": 1,\n\n  // Next\n  \"b\": 2\n}",
            &[delete("a")],
            "{\n  // Head\n\n  // Next\n  \"b\": 2\n}",
        ),
        ("{\n  \"a\": 1,\n  // Last\n  \"b\": 2\n}", &[delete("b")], "{\n  \"a\": 1\n  // Last\n}"),
        ("{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", &[delete("b")], "{\n  \"a\": 1,\n  \"c\": 3\n}"),
        ("{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", &[delete("b"), delete("c")], "{\n  \"a\": 1\n}"),
        ("{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", &[delete("a"), delete("b")], "{\n  \"c\": 3\n}"),
        ("{ \"a\": 1, \"b\": 2, \"c\": 3 }", &[delete("a")], "{ \"b\": 2, \"c\": 3 }"),
        ("{ \"a\": 1, \"b\": 2, \"c\": 3 }", &[delete("b")], "{ \"a\": 1, \"c\": 3 }"),
        ("{ \"a\": 1, \"b\": 2, \"c\": 3 }", &[delete("c")], "{ \"a\": 1, \"b\": 2 }"),
        ("{ \"a\": 1, \"b\": 2, \"c\": 3 }", &[delete("c"), delete("a"), delete("b")], "{}"),
        ("{\"a\": 1, \"b\": 2, }", &[delete("b")], "{\"a\": 1, }"),
        // The remark may be about what follows.
        ("{ \"a\": 1, /* c */ \"b\": 2 }", &[delete("a")], "{ /* c */ \"b\": 2 }"),
        ("{\n  \"a\": {\n    \"b\": 1\n  }\n}\n", &[delete("a.b")], "{\n  \"a\": {}\n}\n"),
        ("{\n  \"a\": 1 // c\n}", &[delete("a")], "{}"),
        ("{ \"a\": 1 }", &[delete("a.b"), delete("c"), delete("c.d")], "{ \"a\": 1 }"),
    ]);
}

#[test]
fn a_deletion_lets_no_comment_swallow_what_follows() {
    check([
        ("{ \"a\": 1, // c\n \"b\": 2 }", &[delete("b")], "{ \"a\": 1 // c\n }"),
        ("{ \"a\": 1, // c\n \"b\": 2, \"c\": 3 }", &[delete("b")], "{ \"a\": 1, // c\n \"c\": 3 }"),
        ("{ // c\n \"b\": 2 }", &[delete("b")], "{ // c\n }"),
        (
            "{ \"a\": 1,\n// c\n\"b\": 2,\n// d\n\"c\": 3, \"d\": 4 }",
            &[delete("b"), delete("c")],
            "{ \"a\": 1,\n// c\n// d\n\"d\": 4 }",
        ),
        ("{ \"a\": 1 // c\n, \"b\": 2 }", &[delete("b")], "{ \"a\": 1 // c\n }"),
        ("{ \"a\": 1 // c\n, \"b\": 2 }", &[delete("a")], "{ \"b\": 2 }"),
    ]);
}

#[test]
fn new_keys_take_the_place_of_a_last_one_that_goes() {
    check([
        ("{\n  \"a\": 1,\n  \"b\": 2 // c\n}", &[delete("b"), set("c", json!(3))], "{\n  \"a\": 1,\n  \"c\": 3\n}"),
        ("{ \"a\": 1, }", &[set("", json!({ "b": 2, "c": 3 }))], "{ \"b\": 2, \"c\": 3, }"),
    ]);
}

#[test]
fn of_keys_that_come_twice_the_last_one_counts() {
    check([
        ("{ \"a\": 1, \"a\": 2 }", &[set("a", json!(3))], "{ \"a\": 1, \"a\": 3 }"),
        ("{ \"a\": 1, \"b\": 0, \"\\u0061\": 2 }", &[delete("a")], "{ \"b\": 0 }"),
        ("{ \"a\": { \"b\": 1 }, \"a\": {} }", &[set("a.b", json!(2))], "{ \"a\": { \"b\": 1 }, \"a\": { \"b\": 2 } }"),
        ("{ \"a\": { \"b\": 1 }, \"a\": { \"b\": 2 } }", &[delete("a.b")], "{ \"a\": { \"b\": 1 }, \"a\": {} }"),
    ]);
}

#[test]
fn elements_that_stay_keep_their_comments() {
    let text = "{\n  \"l\": [\n    1, // one\n    2, // two\n    3 // three\n  ]\n}";
    check([
        (
            text,
            &[set("l", json!([1, 2, 3, 4]))],
            "{\n  \"l\": [\n    1, // one\n    2, // two\n    3, // three\n    4\n  ]\n}",
        ),
        (
            text,
            &[set("l", json!([0, 1, 2, 3]))],
            "{\n  \"l\": [\n    0,\n    1, // one\n    2, // two\n    3 // three\n  ]\n}",
        ),
        (
            text,
            &[set("l", json!([1, 5, 2, 3]))],
            "{\n  \"l\": [\n    1, // one\n    5,\n    2, // two\n    3 // three\n  ]\n}",
        ),
        (text, &[set("l", json!([1, 3]))], "{\n  \"l\": [\n    1, // one\n    3 // three\n  ]\n}"),
        (text, &[set("l", json!([1, 9, 3]))], "{\n  \"l\": [\n    1, // one\n    9, // two\n    3 // three\n  ]\n}"),
        (text, &[set("l", json!([]))], "{\n  \"l\": []\n}"),
        ("{\"l\": [1, // c\n2, 3]}", &[set("l", json!([1, 9, 2, 3]))], "{\"l\": [1, // c\n9,\n2, 3]}"),
        ("{\"l\": [1, 3]}", &[set("l", json!([1, 2, 3]))], "{\"l\": [1, 2, 3]}"),
        ("{\"l\": [1]}", &[set("l", json!([0, 1]))], "{\"l\": [0, 1]}"),
        ("{\"l\":[{\"a\" :1, \"b\": 2}]}", &[set("l", json!([{ "a": 1, "b": 3 }]))], "{\"l\":[{\"a\" :1, \"b\": 3}]}"),
    ]);
}

#[test]
fn edits_build_on_each_other() {
    check([
        ("{ \"a\": 1 }", &[set("b", json!({})), set("b.c", json!(1)), delete("b")], "{ \"a\": 1 }"),
        ("{ \"a\": { \"b\": 1 } }", &[delete("a"), set("a.c", json!(2))], "{ \"a\": { \"c\": 2 } }"),
        (
            "{ \"a\": 1 }",
            &[set("a", json!({ "x": 1, "y": 2 })), delete("a.x"), delete("a.z.z")],
            "{ \"a\": { \"y\": 2 } }",
        ),
        ("{ \"a\": 1 }", &[set("", json!({ "b": 1 })), set("c.d", json!(2))], "{ \"b\": 1, \"c\": { \"d\": 2 } }"),
        ("{ \"a\": 1 }", &[set("", json!(5)), set("c", json!(2))], "{ \"c\": 2 }"),
        ("{ \"a\": 1 }", &[delete("a"), delete("a")], "{}"),
        ("{ \"a\": 1, \"b\": 2 }", &[delete(""), set("b", json!(3))], "{ \"b\": 3 }"),
        ("{ \"a\": 1, \"b\": 2 }", &[delete("")], "{}"),
    ]);
}

#[test]
fn a_text_without_a_document_gets_one() {
    check([
        ("", &[set("a.b", json!(1))], "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n"),
        ("// Mine\n\n", &[set("a", json!(1))], "// Mine\n{\n  \"a\": 1\n}\n"),
        ("// Mine", &[set("a", json!(1))], "// Mine\n{\n  \"a\": 1\n}\n"),
        ("// Mine \r\n", &[set("a", json!(1))], "// Mine \r\n{\r\n  \"a\": 1\r\n}\r\n"),
        (" \n", &[set("", json!({}))], "{}\n"),
        ("\u{feff}", &[set("a", json!(1))], "\u{feff}{\n  \"a\": 1\n}\n"),
        (" // nothing", &[delete("a"), delete("")], " // nothing"),
    ]);
}

#[test]
fn the_byte_order_mark_and_the_ends_of_the_text_stay() {
    check([
        ("\u{feff}{\"a\":1}", &[set("a", json!(2))], "\u{feff}{\"a\":2}"),
        (" /* a */ {\"a\":1} // b", &[delete("a")], " /* a */ {} // b"),
    ]);
}

#[test]
fn strings_are_escaped_as_json_asks() {
    let text = "\"\\ / \u{8}\u{c}\n\r\t \u{0}\u{1f}\u{7f} \u{2028}\u{2029} é😀";
    check([(
        "{ \"a\": 1 }",
        &[set("a", json!(text)), Edit { path: vec!["\"k\"".into()], change: Change::Set(json!(text)) }],
        "{ \"a\": \"\\\"\\\\ / \\b\\f\\n\\r\\t \\u0000\\u001f\u{7f} \u{2028}\u{2029} é😀\", \
         \"\\\"k\\\"\": \"\\\"\\\\ / \\b\\f\\n\\r\\t \\u0000\\u001f\u{7f} \u{2028}\u{2029} é😀\" }",
    )]);
}

#[test]
fn a_text_that_cannot_be_read_is_not_edited() {
    for bytes in [&b"{ \"a\": 1"[..], b"[1]", b"{\xff}", b"\xef\xbb\xbf\n{ x }"] {
        let error = edit(bytes, &[set("a", json!(1))]).unwrap_err();
        assert_eq!(error, parse(bytes).unwrap_err());
        assert_eq!(line_of(bytes, &["a"]), None);
    }
}

#[test]
fn the_root_stays_an_object() {
    for value in [json!([]), json!(null), json!("text")] {
        let error = edit(b"{}", &[set("", value)]).unwrap_err();
        assert_eq!(error.kind.code(), "unsupported_value");
    }
}

#[test]
fn nothing_nests_deeper_than_a_text_may() {
    let path = |length: usize| vec!["k".to_owned(); length];
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    for (length, depth) in [(MAX_DEPTH, 0), (MAX_DEPTH - 1, 1), (1, MAX_DEPTH - 1)] {
        let deepest = edit(b"{}", &[Edit { path: path(length), change: Change::Set(nested(depth)) }]).unwrap();
        assert!(parse(&deepest).is_ok());
        assert_eq!(edit(&deepest, &[delete("k")]).unwrap(), b"{}");
        let deeper = Edit { path: path(length), change: Change::Set(nested(depth + 1)) };
        let error = edit(b"{}", &[deeper]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Depth { limit: MAX_DEPTH });
    }
    let far = Edit { path: path(1_000_000), change: Change::Set(json!(1)) };
    assert_eq!(edit(b"{}", &[far]).unwrap_err().kind, ErrorKind::Depth { limit: MAX_DEPTH });
    let far = Edit { path: path(1_000_000), change: Change::Delete };
    assert_eq!(edit(b"{}", &[far]).unwrap(), b"{}");
}

#[test]
fn the_line_of_a_key_is_the_last_ones() {
    let text = "\u{feff}// c\r\n{\r\n  \"a\": 1,\n  \"b\": { \"c\":\n  2, \"a.b\": [\n{ \"x\": 1 }] }, \"a\":\n 3\n}";
    let line = |path: &[&str]| line_of(text.as_bytes(), path);
    assert_eq!(line(&[]), Some(2));
    assert_eq!(line(&["a"]), Some(6));
    assert_eq!(line(&["b"]), Some(4));
    assert_eq!(line(&["b", "c"]), Some(4));
    assert_eq!(line(&["b", "a.b"]), Some(5));
    assert_eq!(line(&["b", "a.b", "1"]), Some(6));
    assert_eq!(line(&["b", "a.b", "1", "x"]), Some(6));
    for none in ["x", "0", "2", "-1", "01x"] {
        assert_eq!(line(&["b", "a.b", none]), None);
    }
    assert_eq!(line(&["x"]), None);
    assert_eq!(line_of(b"// nothing", &["a"]), None);
}

#[test]
fn numbers_in_new_values_keep_their_text() {
    let new = value("[1.0, 1E5, 123456789012345678901234567890]");
    assert_eq!(edited("{\"a\":1}", &[set("a", new)]), "{\"a\":[1.0,1E5,123456789012345678901234567890]}");
}
