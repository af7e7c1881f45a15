//! How a document crosses to Lua: as texts of bounded size, and a small stack program that puts them together.
//!
//! Neovim's `vim.json.decode` builds tables faster than anything that calls into Lua from outside, but one call for a large document
//! stalls the editor. Here, off the main thread, the document is cut; the Neovim module runs the program, in slices of time.

use super::Value;

/// One instruction. A stack of tables is kept; the root table lies on it from the start and is never closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Push a new table, with room for `len` members.
    Open {
        /// Whether it is an array's table; an object's otherwise.
        array: bool,
        /// How many members it will get, at least one.
        len: usize,
    },
    /// Strict JSON, of the same kind (object or array) as the table on top: move its members there; an array's go to the end.
    Fill(String),
    /// Pop the table on top, which is complete, and put it into the one below.
    Close {
        /// Where in the object below; `None`: it is appended to the array below.
        key: Option<String>,
    },
}

/// The program that builds `value`, which must be an object, out of texts of about `max_bytes` each.
///
/// A document whose compact text is no longer than that is exactly one `Fill`. Otherwise each object or array that is too long by
/// itself is opened, and the rest travels together with its neighbours. The members in one `Fill`, its outer brackets not counted,
/// are longer than `max_bytes` only where it is a single one. Empty objects and arrays are never opened, so that the decoder decides
/// what table stands for them.
///
/// Numbers are written so that `vim.json.decode` gives their nearest float: it cuts integers beyond 64 bits and drops the sign of
/// `-0` unless an exponent follows.
///
/// ```
/// use engine::json::{Piece, pieces};
/// use serde_json::json;
/// let fill = |text: &str| Piece::Fill(text.into());
///
/// let value = json!({ "a": 1, "long": [10, 20, [], 30], "z": {} });
/// assert_eq!(pieces(&value, 100), [fill(r#"{"a":1,"long":[10,20,[],30],"z":{}}"#)]);
/// assert_eq!(pieces(&value, 9), [
///     fill(r#"{"a":1}"#),
///     Piece::Open { array: true, len: 4 },
///     fill("[10,20,[]]"),
///     fill("[30]"),
///     Piece::Close { key: Some("long".into()) },
///     fill(r#"{"z":{}}"#),
/// ]);
/// ```
pub fn pieces(value: &Value, max_bytes: usize) -> Vec<Piece> {
    let root = Container { array: value.is_array(), len: 0, key: None, start: 0, text: 0, body: 0 };
    let mut cutter =
        Cutter { max_bytes, text: Vec::new(), run: 0, containers: vec![root], opened: 1, pieces: Vec::new() };
    cutter.members(value);
    if cutter.pieces.is_empty() || cutter.text.len() > cutter.run {
        cutter.fill(cutter.text.len());
    }
    cutter.pieces
}

/// Writes the document once, front to back, and cuts as soon as it knows that it must.
struct Cutter<'a> {
    max_bytes: usize,
    /// The compact text so far, without the outer brackets of what has been opened.
    text: Vec<u8>,
    /// Where in `text` the members begin that the innermost opened container has not been filled with yet.
    run: usize,
    /// What is being written, from the root inwards.
    containers: Vec<Container<'a>>,
    /// How many of `containers`, from the root, have been opened. The others may still turn out small enough to be plain text.
    opened: usize,
    pieces: Vec<Piece>,
}

/// An object or array that is being written. Positions are bytes of [`Cutter::text`].
struct Container<'a> {
    array: bool,
    len: usize,
    /// Its key in the object around it.
    key: Option<&'a str>,
    /// Where it begins as a member: at its key, if it has one.
    start: usize,
    /// Where its own text begins: at its bracket.
    text: usize,
    /// Where its members begin.
    body: usize,
}

impl<'a> Cutter<'a> {
    fn members(&mut self, value: &'a Value) {
        match value {
            Value::Array(array) => array.iter().for_each(|value| self.member(None, value)),
            Value::Object(object) => {
                object.iter().for_each(|(key, value)| self.member(Some(key), value));
            }
            _ => {}
        }
    }

    fn member(&mut self, key: Option<&'a str>, value: &'a Value) {
        let body = self.pending().last().map_or(self.run, |container| container.body);
        if self.text.len() > body {
            self.text.push(b',');
        }
        let start = self.text.len();
        if let Some(key) = key {
            self.string(key);
            self.text.push(b':');
        }
        let text = self.text.len();
        let (array, len) = match value {
            Value::Array(array) => (true, array.len()),
            Value::Object(object) => (false, object.len()),
            _ => (false, 0),
        };
        if len == 0 {
            self.scalar(value);
        } else {
            self.text.push(if array { b'[' } else { b'{' });
            self.containers.push(Container { array, len, key, start, text, body: text + 1 });
            self.members(value);
            if self.opened == self.containers.len() {
                self.close();
                return;
            }
            self.containers.pop();
            self.text.push(if array { b']' } else { b'}' });
        }
        self.cut(start);
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Null => self.text.extend(b"null"),
            Value::Bool(true) => self.text.extend(b"true"),
            Value::Bool(false) => self.text.extend(b"false"),
            Value::Number(number) => self.number(number.as_str()),
            Value::String(text) => self.string(text),
            Value::Array(_) => self.text.extend(b"[]"),
            Value::Object(_) => self.text.extend(b"{}"),
        }
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.text, text).expect("memory takes every byte");
    }

    fn number(&mut self, number: &str) {
        self.text.extend(number.as_bytes());
        let is_integer = !number.contains(['.', 'e', 'E']);
        if is_integer && (number == "-0" || number.parse::<i64>().is_err()) {
            self.text.extend(b"e0");
        }
    }

    /// What is being written and not opened, outermost first.
    fn pending(&self) -> &[Container<'a>] {
        &self.containers[self.opened..]
    }

    /// Called when the member that began at `last` is complete: opens what has become too long, and fills what lies before.
    fn cut(&mut self, last: usize) {
        while let Some(outermost) = self.pending().first() {
            // Each of them still gets its closing bracket.
            let length = self.text.len() + self.pending().len() - outermost.text;
            if length <= self.max_bytes {
                return;
            }
            let Container { array, len, start, body, .. } = *outermost;
            if start > self.run {
                self.fill(start - 1);
            }
            self.pieces.push(Piece::Open { array, len });
            self.opened += 1;
            self.run = body;
        }
        if self.text.len() - self.run > self.max_bytes && last > self.run {
            self.fill(last - 1);
            self.run = last;
        }
    }

    /// Ends the innermost container, which has been opened.
    fn close(&mut self) {
        if self.text.len() > self.run {
            self.fill(self.text.len());
        }
        let container = self.containers.pop().expect("a container that was opened is still there");
        self.pieces.push(Piece::Close { key: container.key.map(str::to_owned) });
        self.opened -= 1;
        self.run = self.text.len();
    }

    /// The members from the run's begin to `end`, as text for the innermost opened container.
    fn fill(&mut self, end: usize) {
        let array = self.containers[self.opened - 1].array;
        let members =
            std::str::from_utf8(&self.text[self.run..end]).expect("JSON is cut only beside brackets and commas");
        let (open, close) = if array { ('[', ']') } else { ('{', '}') };
        self.pieces.push(Piece::Fill(format!("{open}{members}{close}")));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Number, json};

    use super::*;
    use crate::json::testing::{numbers, objects};

    fn decoded(text: &str) -> Value {
        let wrapped = format!("{{\"value\":{text}}}");
        let mut value = crate::json::parse(wrapped.as_bytes()).unwrap().unwrap();
        value["value"].take()
    }

    /// Runs the program as the Neovim module does, and checks what the module relies on.
    fn assemble(pieces: &[Piece]) -> Value {
        let mut stack = vec![(Value::Object(Map::new()), None)];
        for piece in pieces {
            match piece {
                Piece::Open { array: true, len } => stack.push((json!([]), Some(*len))),
                Piece::Open { array: false, len } => stack.push((json!({}), Some(*len))),
                Piece::Fill(text) => match (&mut stack.last_mut().unwrap().0, decoded(text)) {
                    (Value::Array(table), Value::Array(mut members)) => table.append(&mut members),
                    (Value::Object(table), Value::Object(members)) => table.extend(members),
                    (table, _) => panic!("{text} into {table}"),
                },
                Piece::Close { key } => {
                    let (table, len) = stack.pop().unwrap();
                    let count = table.as_array().map(Vec::len).or(table.as_object().map(Map::len));
                    assert_eq!(count, len, "the capacity that was announced");
                    match (&mut stack.last_mut().expect("the root is not closed").0, key) {
                        (Value::Array(below), None) => below.push(table),
                        (Value::Object(below), Some(key)) => {
                            assert!(below.insert(key.clone(), table).is_none());
                        }
                        (below, key) => panic!("{key:?} into {below}"),
                    }
                }
            }
        }
        assert_eq!(stack.len(), 1, "everything that was opened is closed");
        stack.pop().unwrap().0
    }

    /// Equal, the order of keys and of array members included, but for the exponent that numbers get for the decoder.
    fn assert_same(sent: &Value, arrived: &Value) {
        match (sent, arrived) {
            (Value::Array(a), Value::Array(b)) => {
                assert_eq!(a.len(), b.len());
                a.iter().zip(b).for_each(|(a, b)| assert_same(a, b));
            }
            (Value::Object(a), Value::Object(b)) => {
                assert!(a.keys().eq(b.keys()));
                a.values().zip(b.values()).for_each(|(a, b)| assert_same(a, b));
            }
            (Value::Number(a), Value::Number(b)) => {
                assert!(a == b || format!("{a}e0") == b.as_str(), "{a} became {b}");
            }
            (a, b) => assert_eq!(a, b),
        }
    }

    /// What `vim.json.decode` makes of a number: `strtoll` first, and `strtod` only where that stopped at one of these characters.
    fn as_decoded_by_neovim(text: &str) -> f64 {
        if text.contains(['.', 'e', 'E']) {
            return text.parse().unwrap();
        }
        let saturated = if text.starts_with('-') { i64::MIN } else { i64::MAX };
        text.parse::<i64>().unwrap_or(saturated) as f64
    }

    #[test]
    fn a_small_document_is_one_text() {
        assert_eq!(pieces(&json!({}), 1000), [Piece::Fill("{}".into())]);
        let value = json!({ "a": [1, { "b": [] }], "c": "\u{0}\n\"\\/é" });
        assert_eq!(pieces(&value, value.to_string().len()), [Piece::Fill(value.to_string())]);
        assert_eq!(decoded(&value.to_string()), value);
    }

    #[test]
    fn opened_members_of_an_array_keep_their_places() {
        let value = json!({ "list": [1, [22, 33, 44], 5, { "key": 66 }, [7], 8] });
        let fill = |text: &str| Piece::Fill(text.into());
        assert_eq!(
            pieces(&value, 7),
            [
                Piece::Open { array: true, len: 6 },
                fill("[1]"),
                Piece::Open { array: true, len: 3 },
                fill("[22,33]"),
                fill("[44]"),
                Piece::Close { key: None },
                fill("[5]"),
                Piece::Open { array: false, len: 1 },
                fill(r#"{"key":66}"#),
                Piece::Close { key: None },
                fill("[[7],8]"),
                Piece::Close { key: Some("list".into()) },
            ]
        );
    }

    #[test]
    fn a_container_is_opened_only_if_it_is_too_long_by_itself() {
        let value = json!({ "a": [1, 2, 3], "b": [4, 5, 6], "c": [7, 8, 9] });
        let fill = |text: &str| Piece::Fill(text.into());
        assert_eq!(pieces(&value, 11), [fill(r#"{"a":[1,2,3]}"#), fill(r#"{"b":[4,5,6]}"#), fill(r#"{"c":[7,8,9]}"#)]);
        assert_eq!(pieces(&value, 23).len(), 2);
        assert_eq!(pieces(&value, 6).len(), 9);
    }

    #[test]
    fn a_long_string_travels_alone() {
        let long = "x".repeat(100);
        let value = json!({ "a": 1, "long": long, "b": 2 });
        let fill = |value: Value| Piece::Fill(value.to_string());
        assert_eq!(
            pieces(&value, 10),
            [fill(json!({ "a": 1 })), fill(json!({ "long": long })), fill(json!({ "b": 2 }))]
        );
    }

    #[test]
    fn empty_containers_are_left_to_the_decoder() {
        let value = json!({ "a": {}, "b": [{}, []] });
        let opened = pieces(&value, 0).iter().filter(|piece| matches!(piece, Piece::Open { .. })).count();
        assert_eq!(opened, 1);
        assert_same(&value, &assemble(&pieces(&value, 0)));
    }

    #[test]
    fn the_deepest_document_crosses() {
        let depth = crate::json::MAX_DEPTH - 1;
        let text = format!("{{\"a\":{}{}}}", "[1,".repeat(depth), "2]".to_owned() + &",3]".repeat(depth - 1));
        let value = crate::json::parse(text.as_bytes()).unwrap().unwrap();
        for max_bytes in [0, 10, 500, 1000] {
            assert_same(&value, &assemble(&pieces(&value, max_bytes)));
        }
    }

    proptest! {
        #[test]
        fn assembling_the_pieces_gives_the_document(value in objects(), max_bytes in 0_usize..200) {
            assert_same(&value, &assemble(&pieces(&value, max_bytes)));
        }

        #[test]
        fn no_piece_is_longer_than_allowed_unless_it_holds_one_member(value in objects(), max_bytes in 0_usize..200) {
            for piece in pieces(&value, max_bytes) {
                let Piece::Fill(text) = piece else { continue };
                let members = match decoded(&text) {
                    Value::Array(members) => members.len(),
                    Value::Object(members) => members.len(),
                    other => panic!("{other} fills no table"),
                };
                prop_assert!(text.len() - 2 <= max_bytes || members == 1, "{text}");
            }
        }

        #[test]
        fn every_number_decodes_to_its_nearest_float(text in numbers()) {
            let value = json!({ "n": Number::from_string_unchecked(text.clone()) });
            let sent = assemble(&pieces(&value, 100))["n"].as_number().unwrap().as_str().to_owned();
            prop_assert_eq!(as_decoded_by_neovim(&sent).to_bits(), text.parse::<f64>().unwrap().to_bits());
        }
    }
}
