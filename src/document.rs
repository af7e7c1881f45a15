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
    let wrapped = Value::Object([("value".to_owned(), value)].into_iter().collect());
    let pieces = json::pieces(&wrapped, usize::MAX);
    pieces.into_iter().filter_map(|piece| if let Piece::Fill(text) = piece { Some(text) } else { None }).collect()
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
