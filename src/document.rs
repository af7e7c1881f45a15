//! What has to happen to a context's live JSON table so that it shows another document: decided on a worker thread, carried out in
//! Lua piece by piece.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::json::{self, Change as EditChange, Edit, Piece, Value};

/// Text of at most this many bytes is decoded without looking at the clock: about 1 ms of the main loop.
const PIECE_BYTES: usize = 64 * 1024;

/// With more differences than this, the table is filled anew instead of being edited.
const MAX_EDITS: usize = 1000;

/// The way from one document to another.
#[derive(Debug)]
pub(crate) enum Change {
    /// Both are the same.
    None,
    /// The pieces build the whole new document.
    Whole(VecDeque<Piece>),
    /// Single paths change. The pieces build one object with the new values, under the position of their edit (from 1).
    Edits {
        /// The paths, in the order in which they change. One for which there is no new value is deleted.
        edits: Vec<Vec<String>>,
        pieces: VecDeque<Piece>,
    },
}

/// A single value as text for Lua's decoder: `{"value":…}`.
pub(crate) fn text(value: Value) -> String {
    whole(&Value::Object([("value".to_owned(), value)].into_iter().collect()))
}

/// The same of a value that is somebody else's: what may be large is not copied for it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => format!("{{\"value\":{}}}", whole(value)),
        _ => text(value.clone()),
    }
}

/// The text of an object or array.
fn whole(value: &Value) -> String {
    let pieces = json::pieces(value, usize::MAX);
    pieces.into_iter().filter_map(|piece| if let Piece::Fill(text) = piece { Some(text) } else { None }).collect()
}

/// The JSON value that a text is, comments and all: not only an object.
pub(crate) fn value(text: &[u8]) -> Option<Value> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.trim_ascii_end().ends_with(b",") {
        return None;
    }
    // In a list: `1, "value": 2` and `1, 2` are no values.
    let wrapped = [b"{\"values\":[", text, b"\n]}"].concat();
    let Ok(Some(Value::Object(mut members))) = json::parse(&wrapped) else { return None };
    let is_alone = members.len() == 1;
    match members.remove("values") {
        Some(Value::Array(mut values)) if is_alone && values.len() == 1 => values.pop(),
        _ => None,
    }
}

impl Change {
    /// How a table that shows `base` (`None`: nothing yet) gets to show `document`.
    pub(crate) fn between(base: Option<&Arc<Value>>, document: &Arc<Value>) -> Self {
        let Some(base) = base else { return Self::whole(document) };
        if Arc::ptr_eq(base, document) {
            return Self::None;
        }
        let edits = json::diff(base, document);
        match edits.len() {
            0 => Self::None,
            1..=MAX_EDITS => Self::edits(edits),
            _ => Self::whole(document),
        }
    }

    fn whole(document: &Value) -> Self {
        Self::Whole(json::pieces(document, PIECE_BYTES).into())
    }

    fn edits(edits: Vec<Edit>) -> Self {
        let mut values = serde_json::Map::new();
        let edits = edits
            .into_iter()
            .enumerate()
            .map(|(index, Edit { path, change })| {
                if let EditChange::Set(value) = change {
                    values.insert((index + 1).to_string(), value);
                }
                path
            })
            .collect();
        let pieces = json::pieces(&Value::Object(values), PIECE_BYTES).into();
        Self::Edits { edits, pieces }
    }

    /// Its name in Lua.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Whole(_) => "whole",
            Self::Edits { .. } => "edits",
        }
    }

    /// Takes the list of paths; it is needed once.
    pub(crate) fn take_edits(&mut self) -> Vec<Vec<String>> {
        match self {
            Self::None | Self::Whole(_) => Vec::new(),
            Self::Edits { edits, .. } => std::mem::take(edits),
        }
    }

    /// Takes the next piece.
    pub(crate) fn next_piece(&mut self) -> Option<Piece> {
        match self {
            Self::None => None,
            Self::Whole(pieces) | Self::Edits { pieces, .. } => pieces.pop_front(),
        }
    }
}
