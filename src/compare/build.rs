//! New JSON out of what the user has put into the table.

use engine::json::{MAX_DEPTH, Value as Json};
use serde_json::Map;

use super::place::{Key, Place, Trouble};
use super::shape::Kind;
use super::{MAX_NEW_BYTES, Walk, number};
use crate::raw::{Raw, RawTable};

/// About what a value takes in a file beside the text of a string and of its key: punctuation, the digits of a number.
const BYTES_AROUND: usize = 8;

/// However much has turned out too large, this much is still looked at: most new values are small.
const MIN_BUDGET: usize = 64 * 1024;

impl Walk<'_> {
    /// The JSON for `value`, or `None` once it is refused.
    pub(super) fn new_value(&mut self, known: Option<&Json>, value: Raw<'_>, place: &Place<'_>) -> Option<Json> {
        let before = self.found.refused.len();
        match self.spend(value, place).and_then(|()| self.build(known, value, place)) {
            Ok(json) => Some(json),
            Err(trouble) => {
                self.refuse_whole(trouble, place, before);
                None
            }
        }
    }

    /// Takes the length of a new value off the budget.
    fn spend(&mut self, value: Raw<'_>, place: &Place<'_>) -> Result<(), Trouble> {
        let mut left = self.budget;
        if measure(value, place, &mut left).is_some() {
            self.budget = left;
            return Ok(());
        }
        // Finding out takes its time, so the next one gets less of it.
        self.budget = (self.budget / 2).max(MIN_BUDGET);
        Err(Trouble::too_large(MAX_NEW_BYTES))
    }

    /// Refuses a value in place of everything that was refused in it.
    fn refuse_whole(&mut self, trouble: Trouble, place: &Place<'_>, before: usize) {
        self.found.refused.truncate(before);
        self.refuse(trouble, place);
    }

    /// The JSON for `value`. `known`, what the document has there, gives numbers that are the same their text, and stands in for what
    /// JSON cannot hold.
    fn build(&mut self, known: Option<&Json>, value: Raw<'_>, place: &Place<'_>) -> Result<Json, Trouble> {
        match value {
            Raw::Table(table) => self.table(known, table, place),
            Raw::Boolean(value) => Ok(Json::Bool(value)),
            Raw::Number(value) => match known {
                Some(Json::Number(known)) if number::is_nearest(known, value) => Ok(Json::Number(known.clone())),
                _ => number::number(value).map(Json::Number).ok_or_else(|| Trouble::at(place, unlike_json(value))),
            },
            Raw::String(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| Trouble::at(place, "is not valid UTF-8"))?;
                Ok(Json::String(text.to_owned()))
            }
            value if self.neovim.is_null(value) => Ok(Json::Null),
            Raw::Nil => Err(Trouble::at(place, "is nil; use vim.NIL")),
            Raw::Userdata(_) => Err(Trouble::at(place, "is a userdata")),
            Raw::Function => Err(Trouble::at(place, "is a function")),
            Raw::Thread => Err(Trouble::at(place, "is a thread")),
            Raw::Cdata => Err(Trouble::at(place, "is a cdata; use tonumber() if it is a number")),
        }
    }

    fn table(&mut self, known: Option<&Json>, table: RawTable<'_>, place: &Place<'_>) -> Result<Json, Trouble> {
        place.check_new_cycle()?;
        if place.depth >= MAX_DEPTH {
            return Err(Trouble::too_deep());
        }
        match self.kind(known, table, place)? {
            Kind::Object => self.new_object(known.and_then(Json::as_object), table, place),
            Kind::List(len) => self.new_list(known.and_then(Json::as_array), table, len, place),
        }
    }

    /// An object without its members that JSON cannot hold. It keeps the known order; new keys follow in the order of their bytes.
    fn new_object(
        &mut self,
        known: Option<&Map<String, Json>>,
        table: RawTable<'_>,
        place: &Place<'_>,
    ) -> Result<Json, Trouble> {
        let mut members = Vec::new();
        table.try_for_each(|key, value| {
            // What is no text has been refused by `kind`.
            let Raw::String(key) = key else { return Ok(()) };
            let Ok(key) = std::str::from_utf8(key) else {
                if known.is_none() {
                    return Err(Trouble::key_without_text());
                }
                self.refuse_key(key, place);
                return Ok(());
            };
            let stand_in = known.and_then(|known| known.get(key));
            let here = place.child(Key::Name(key), value);
            let before = self.found.refused.len();
            match self.build(stand_in, value, &here) {
                Ok(value) => members.push((key.to_owned(), value)),
                Err(trouble) if known.is_none() && trouble.concerns_all() => return Err(trouble),
                Err(trouble) => {
                    self.refuse_whole(trouble, &here, before);
                    members.extend(stand_in.map(|value| (key.to_owned(), value.clone())));
                }
            }
            Ok(())
        })?;
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let Some(known) = known else { return Ok(Json::Object(members.into_iter().collect())) };
        let mut object = Map::with_capacity(members.len());
        for key in known.keys() {
            if let Ok(at) = members.binary_search_by(|(member, _)| member.cmp(key)) {
                object.insert(key.clone(), members[at].1.take());
            }
        }
        for (key, value) in members {
            if !known.contains_key(&key) {
                object.insert(key, value);
            }
        }
        Ok(Json::Object(object))
    }

    /// A list whose elements all are JSON, or stand in the document.
    fn new_list(
        &mut self,
        known: Option<&Vec<Json>>,
        table: RawTable<'_>,
        len: usize,
        place: &Place<'_>,
    ) -> Result<Json, Trouble> {
        let mut elements = Vec::with_capacity(len);
        for position in 1..=len {
            let stand_in = known.and_then(|known| known.get(position - 1));
            let before = self.found.refused.len();
            let element = table.at(position, |value| {
                let here = place.child(Key::Position(position), value);
                self.build(stand_in, value, &here).or_else(|trouble| {
                    let Some(stand_in) = stand_in else { return Err(trouble.in_list(place)) };
                    self.refuse_whole(trouble, &here, before);
                    Ok(stand_in.clone())
                })
            })?;
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }
}

/// Takes about the length of the text of `value` off `left`; `None` if that is not enough. What is refused later is not gone into.
fn measure(value: Raw<'_>, place: &Place<'_>, left: &mut usize) -> Option<()> {
    let own = match value {
        Raw::String(bytes) => bytes.len(),
        Raw::Table(_) => BYTES_AROUND,
        _ => 0,
    };
    *left = left.checked_sub(BYTES_AROUND + own + place.key_len())?;
    let Raw::Table(table) = value else { return Some(()) };
    if place.depth >= MAX_DEPTH || place.around().is_some() {
        return Some(());
    }
    table
        .try_for_each(|key, value| {
            let name = if let Raw::String(key) = key { key.len() } else { 0 };
            *left = left.checked_sub(name).ok_or(())?;
            measure(value, &place.child(Key::Position(0), value), left).ok_or(())
        })
        .ok()
}

fn unlike_json(number: f64) -> &'static str {
    if number.is_nan() {
        "is NaN"
    } else if number > 0.0 {
        "is infinite"
    } else {
        "is negatively infinite"
    }
}
