//! Whether a table is an object or a list, by its keys and by what the document has in its place.

use std::borrow::Cow;

use engine::json::Value as Json;

use super::Walk;
use super::place::{Key, Place, Trouble};
use crate::raw::{Raw, RawTable};

/// What JSON makes of a table.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Object,
    /// Of the elements at the positions up to this one.
    List(usize),
}

/// How many keys a table has, by their sort.
#[derive(Default)]
struct Shape {
    names: usize,
    positions: usize,
    last_position: usize,
    others: usize,
}

/// The key as a position of a list, from 1.
pub(super) fn position(key: Raw<'_>) -> Option<usize> {
    let Raw::Number(number) = key else { return None };
    // LuaJIT has no longer lists. What is not such an integer is changed by the conversion.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "that is what tells them apart")]
    let position = number as u32;
    (position > 0 && f64::from(position) == number).then_some(position as usize)
}

impl Shape {
    fn of(table: RawTable<'_>) -> Self {
        let mut shape = Self::default();
        table.for_each(|key, _| match key {
            Raw::String(_) => shape.names += 1,
            key => match position(key) {
                Some(position) => {
                    shape.positions += 1;
                    shape.last_position = shape.last_position.max(position);
                }
                None => shape.others += 1,
            },
        });
        shape
    }

    fn has_holes(&self) -> bool {
        self.positions != self.last_position
    }
}

impl Walk<'_> {
    /// The kind of a table. `known` is the document's value there: an empty table keeps its kind, and keys that do not fit to it are
    /// refused one by one, so that the others are saved.
    ///
    /// # Errors
    ///
    /// The table as a whole is neither an object nor a list.
    pub(super) fn kind(
        &mut self,
        known: Option<&Json>,
        table: RawTable<'_>,
        place: &Place<'_>,
    ) -> Result<Kind, Trouble> {
        let shape = Shape::of(table);
        match (&shape, known) {
            (Shape { names: 0, positions: 0, others: 0, .. }, known) => {
                let object = matches!(known, Some(Json::Object(_))) || self.neovim.is_empty_dict(table);
                Ok(if object { Kind::Object } else { Kind::List(0) })
            }
            (Shape { positions: 0, others: 0, .. }, _) => Ok(Kind::Object),
            (Shape { names: 0, others: 0, .. }, _) if !shape.has_holes() => Ok(Kind::List(shape.positions)),
            (Shape { names: 1.., .. }, Some(Json::Object(_))) => {
                self.refuse_strays(table, None, place);
                Ok(Kind::Object)
            }
            (Shape { positions: 1.., .. }, Some(Json::Array(known))) => {
                let len = length(table, shape.positions);
                if len == 0 || len < shape.positions && len < known.len() {
                    return Err(hole(table, len, place));
                }
                self.refuse_strays(table, Some(len), place);
                Ok(Kind::List(len))
            }
            (Shape { names: 1.., positions: 1.., .. }, _) => Err(Trouble::at(
                place,
                "has text keys and positions (numbers as keys) side by side; use one of them, or write the positions as text",
            )),
            (Shape { others: 1.., .. }, _) => Err(odd_key(table, place)),
            _ => Err(hole(table, length(table, shape.positions), place)),
        }
    }

    /// Refuses each key that does not fit: in an object (`list` is `None`) what is no text, in a list what is no position up to its
    /// length.
    pub(super) fn refuse_strays(&mut self, table: RawTable<'_>, list: Option<usize>, place: &Place<'_>) {
        let _ = table.try_for_each(|key, value| {
            let what: Cow<'static, str> = match (list, key, position(key)) {
                (None, Raw::String(_), _) => return Ok(()),
                (Some(len), _, Some(position)) if position <= len => return Ok(()),
                (Some(len), _, Some(_)) => format!("comes after a hole: position {} has no value", len + 1).into(),
                (Some(_), Raw::String(_), _) => "is a text key in a list".into(),
                (None, _, Some(_)) => "is a position (a number as key) in an object; write the key as text".into(),
                _ => "has a key that is no text".into(),
            };
            let text = text(key);
            let here = place.child(Key::Name(&text), value);
            self.refuse(Trouble::at(&here, what), &here);
            if self.refuses_no_more() { Err(()) } else { Ok(()) }
        });
    }
}

/// Up to which position each has a value; at most `positions`.
fn length(table: RawTable<'_>, positions: usize) -> usize {
    (1..=positions).take_while(|&position| table.at(position, |value| !matches!(value, Raw::Nil))).count()
}

fn hole(table: RawTable<'_>, len: usize, place: &Place<'_>) -> Trouble {
    let mut next = usize::MAX;
    table.for_each(|key, _| {
        if let Some(position) = position(key)
            && position > len
        {
            next = next.min(position);
        }
    });
    let missing = len + 1;
    Trouble::at(
        place,
        format!("is a list with a hole: position {missing} has no value, but {next} has one; use vim.NIL"),
    )
}

fn odd_key(table: RawTable<'_>, place: &Place<'_>) -> Trouble {
    let odd = table.try_for_each(|key, _| match key {
        Raw::String(_) => Ok(()),
        key if position(key).is_some() => Ok(()),
        key => Err(text(key)),
    });
    let key = odd.err().unwrap_or_default();
    Trouble::at(place, format!("has the key `{key}`, which is no text"))
}

/// A key as the user would write it.
fn text(key: Raw<'_>) -> String {
    match key {
        Raw::Number(number) => number.to_string(),
        Raw::Boolean(boolean) => boolean.to_string(),
        Raw::String(text) => String::from_utf8_lossy(text).into_owned(),
        Raw::Nil => "nil".into(),
        Raw::Table(_) => "a table".into(),
        Raw::Userdata(_) => "a userdata".into(),
        Raw::Function => "a function".into(),
        Raw::Thread => "a thread".into(),
        Raw::Cdata => "a cdata".into(),
    }
}
