//! Fuzz targets for what reads and changes text that strangers may have written: the parser, the span editor, merging and
//! comparing.
//!
//! `cargo test` runs each for a moment with random input; a failure names the seed, and `BOLERO_RANDOM_SEED` repeats it. With
//! coverage, after `cargo install cargo-bolero`: `cargo +nightly bolero test span_editor --package nvim-project-config-engine`
//! (libFuzzer; `--engine afl` for AFL). Inputs that fail are kept in `__fuzz__/` beside this file, and run again by `cargo test`
//! from then on. What the laws mean one by one is in the modules' own tests.

use std::time::Duration;

use bolero::{TypeGenerator, check};
use engine::json::{Change, Edit, Value, apply, diff, edit_text, line_of, merge, parse};
use serde::Deserialize;
use serde_json::{Number, json};

/// How long a target runs as an ordinary test; `BOLERO_RANDOM_TEST_TIME_MS` overrides it.
const MOMENT: Duration = Duration::from_secs(2);

/// What the texts begin as.
const EXAMPLES: [&str; 10] = [
    include_str!("texts/compiler.jsonc"),
    include_str!("texts/editor-settings.jsonc"),
    include_str!("texts/gnu.jsonc"),
    include_str!("texts/luarc.json"),
    include_str!("texts/minified.json"),
    include_str!("texts/opened.jsonc"),
    include_str!("texts/package.json"),
    include_str!("texts/runtime.jsonc"),
    include_str!("texts/small.json"),
    include_str!("texts/windows.json"),
];

/// Pieces that make a text of another kind.
#[rustfmt::skip]
const PIECES: [&str; 32] = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "//", "/*", "*/", "\n", "\r", "\r\n", " ", "\t", "\u{feff}", "\0",
    "\"a\": 1,", "\"a\": {}, ", "{ }", "[]", "null", "-0", "1e400", "0.10", "// c\n", "/* c */", "\\ud800", "é", "\"\"", "{\"a\":{\"a\":[",
];

/// An example text, damaged.
#[derive(Debug, TypeGenerator)]
struct Text {
    example: u8,
    damages: Vec<Damage>,
}

/// Positions count from the beginning, and go round at the end.
#[derive(Debug, TypeGenerator)]
enum Damage {
    Piece { at: u16, piece: u8 },
    Bytes { at: u16, bytes: [u8; 2] },
    Cut { at: u16, length: u8 },
    Copy { from: u16, length: u8, to: u16 },
}

impl Text {
    /// The text with the first few damages: more leave little that can be read.
    fn bytes(&self, at_most: usize) -> Vec<u8> {
        let mut bytes = EXAMPLES[usize::from(self.example) % EXAMPLES.len()].as_bytes().to_vec();
        for damage in self.damages.iter().take(at_most) {
            let place = |at: u16| usize::from(at) % (bytes.len() + 1);
            let part = |at: u16, length: u8| place(at)..(place(at) + usize::from(length)).min(bytes.len());
            match *damage {
                Damage::Piece { at, piece } => {
                    let piece = PIECES[usize::from(piece) % PIECES.len()];
                    bytes.splice(place(at)..place(at), piece.bytes());
                }
                Damage::Bytes { at, bytes: new } => drop(bytes.splice(place(at)..place(at), new)),
                Damage::Cut { at, length } => drop(bytes.drain(part(at, length))),
                Damage::Copy { from, length, to } => {
                    let copy = bytes[part(from, length)].to_vec();
                    bytes.splice(place(to)..place(to), copy);
                }
            }
        }
        bytes
    }

    /// The text and its document, if it can still be read.
    fn document(&self) -> Option<(Vec<u8>, Value)> {
        let bytes = self.bytes(3);
        let value = parse(&bytes).ok()??;
        Some((bytes, value))
    }
}

/// An edit whose path leads through the document it is made for.
#[derive(Debug, TypeGenerator)]
struct Step {
    keys: Vec<u8>,
    /// Which example the new value is taken out of, and where it is there; a deletion without one.
    new: Option<(u8, Vec<u8>)>,
}

impl Step {
    fn edit(&self, document: &Value) -> Edit {
        let (path, _) = walk(document, &self.keys);
        let change = match &self.new {
            None => Change::Delete,
            Some((example, keys)) => {
                let text = EXAMPLES[usize::from(*example) % EXAMPLES.len()];
                let example = parse(text.as_bytes()).expect("examples parse").expect("examples are no empty files");
                let (_, value) = walk(&example, keys);
                Change::Set(value.cloned().unwrap_or(json!([null, {}, "\u{2028}"])))
            }
        };
        match change {
            Change::Set(value) if path.is_empty() && !value.is_object() => Edit { path, change: Change::Delete },
            change => Edit { path, change },
        }
    }
}

/// The path that the numbers choose, where one beyond an object's keys is a new key; and what is there.
fn walk<'v>(document: &'v Value, keys: &[u8]) -> (Vec<String>, Option<&'v Value>) {
    let mut path = Vec::new();
    let mut place = Some(document);
    for &key in keys.iter().take(4) {
        let object = place.and_then(Value::as_object);
        let known = object.and_then(|object| object.iter().nth(usize::from(key) % (object.len() + 1)));
        path.push(known.map_or_else(|| format!("new {}", key % 3), |(name, _)| name.clone()));
        place = known.map(|(_, value)| value);
    }
    (path, place)
}

/// Equal, where numbers count as doubles: one that is equal may stay as it is written.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Number(a), Value::Number(b)) => {
            // serde_json's own reader rewrites exponents, which is all there is to compare beyond the largest double.
            let text = |number: &Number| number.as_str().replace('E', "e").replace("e+", "e");
            text(a) == text(b) || a.as_f64().is_some_and(|a| Some(a) == b.as_f64())
        }
        _ => a == b,
    }
}

/// Edits the text; what comes out must say what the edits mean.
fn edited(text: &[u8], document: &Value, edits: &[Edit]) -> Vec<u8> {
    let after = edit_text(text, edits).expect("what parses can be edited");
    let mut expected = document.clone();
    for edit in edits {
        apply(&mut expected, edit);
    }
    let found = parse(&after).expect("what was edited parses").expect("a document stays one");
    assert!(alike(&found, &expected), "{edits:?} made\n{}", String::from_utf8_lossy(&after));
    after
}

/// The text as plain JSON: without comments and without commas before closing brackets.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|next| {
                    let closes = next == '"' && !escaped;
                    escaped = next == '\\' && !escaped;
                    closes
                });
                end.expect("a string is closed") + 2
            }
            '/' => {
                rest = match rest.strip_prefix("/*") {
                    Some(body) => body.split_once("*/").expect("a comment is closed").1,
                    None => &rest[rest.find(['\n', '\r']).unwrap_or(rest.len())..],
                };
                continue;
            }
            '}' | ']' => {
                let end = out.trim_end().len();
                if out[..end].ends_with(',') {
                    out.truncate(end - 1);
                }
                1
            }
            next => next.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// Nothing panics. What is refused is refused within the text; what is accepted is what serde_json finds in the plain text.
fn reads_strictly(bytes: &[u8]) {
    let value = match parse(bytes) {
        Ok(Some(value)) => value,
        Ok(None) => return,
        Err(error) => {
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() + 1;
            assert!(error.line.is_some_and(|line| line >= 1 && line as usize <= lines), "{error:?}");
            return;
        }
    };
    let text = std::str::from_utf8(bytes).expect("accepted");
    let text = plain(text.trim_start_matches('\u{feff}'));
    let mut reader = serde_json::Deserializer::from_str(&text);
    match serde_json::Value::deserialize(&mut reader) {
        // The reader gives up at half of our limit, and has a key of its own.
        Err(error) if error.to_string().contains("recursion") || text.contains("$serde_json") => {}
        theirs => assert!(alike(&value, &theirs.expect("serde_json accepts it")), "{text}"),
    }
    let again = parse(value.to_string().as_bytes()).expect("what was written parses");
    assert_eq!(again, Some(value));
}

#[test]
fn parser() {
    check!().with_test_time(MOMENT).for_each(reads_strictly);
}

#[test]
fn parser_on_damaged_texts() {
    check!().with_test_time(MOMENT).with_type::<Text>().for_each(|text| reads_strictly(&text.bytes(8)));
}

#[test]
fn span_editor() {
    check!().with_test_time(MOMENT).with_type::<(Text, Vec<Step>)>().for_each(|(text, steps)| {
        let Some((bytes, document)) = text.document() else { return };
        let edits: Vec<_> = steps.iter().take(12).map(|step| step.edit(&document)).collect();
        edited(&bytes, &document, &edits);
        for Edit { path, change } in edits {
            let before = path.iter().try_fold(&document, |value, key| value.as_object()?.get(key));
            assert_eq!(line_of(&bytes, &path).is_some(), before.is_some(), "{path:?}");
            let parent = path.len().checked_sub(2).and_then(|_| {
                path[..path.len() - 1].iter().try_fold(&document, |value, key| value.as_object()?.get(key))
            });
            if before.is_none() && (path.len() == 1 || parent.is_some_and(Value::is_object)) {
                let set = Edit { path: path.clone(), change };
                let with = edited(&bytes, &document, &[set]);
                let without = edit_text(&with, &[Edit { path, change: Change::Delete }]).expect("it parses");
                assert!(without == bytes, "by way of\n{}", String::from_utf8_lossy(&with));
            }
        }
    });
}

#[test]
fn merging_and_comparing() {
    check!().with_test_time(MOMENT).with_type::<(Text, Text, Vec<Step>)>().for_each(|(text, other, steps)| {
        let (Some((bytes, old)), Some((_, other))) = (text.document(), other.document()) else { return };
        let mut new = old.clone();
        for step in steps {
            apply(&mut new, &step.edit(&old));
        }
        for new in [&new, &other] {
            let edits = diff(&old, new);
            let mut applied = old.clone();
            edits.iter().for_each(|edit| assert!(apply(&mut applied, edit), "{edit:?} changes nothing"));
            assert_eq!(&applied, new);
            edited(&bytes, &old, &edits);

            let mut merged = old.clone();
            merge(&mut merged, new.clone());
            let deletions = |edits: Vec<Edit>| edits.iter().all(|edit| edit.change == Change::Delete);
            assert!(deletions(diff(&merged, new)), "merging loses something of what comes later");
            let once = merged.clone();
            merge(&mut merged, new.clone());
            assert_eq!(merged, once);
        }
    });
}
