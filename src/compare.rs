//! What the user has changed in a live JSON table: a Lua table against the document that it showed last.
//!
//! Nothing is changed here, neither in Lua nor in the document: edits and refusals come out, and who saves or reports them is the
//! caller's to say. How Lua's values are read is [`crate::raw`]'s. It runs on the main thread at the end of many a tick, so what is
//! equal costs no allocation.

mod build;
mod number;
mod order;
mod place;
mod shape;

use engine::json::{Change, Edit, MAX_DEPTH, Value as Json};
use mlua::{Lua, Table, Value};
use serde_json::Map;

use crate::raw::{Raw, RawTable, read};
use place::{Key, Place, Trouble};

/// New values of at most about this much text are taken in one comparison: more than a settings file may be long, and little enough
/// that a table which holds the same one in every place, over many levels, is found out soon.
const MAX_NEW_BYTES: usize = 16 * 1024 * 1024;

/// Of more refusals than this, the rest is left out: nobody reads them.
const MAX_REFUSED: usize = 1000;

/// What a live table says that the document does not.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Within one object: what is deleted, what has changed, then what is new by its key. No path is a prefix of another.
    pub(crate) edits: Vec<Edit>,
    pub(crate) refused: Vec<Refused>,
}

/// A value that JSON cannot hold, and where. The document's value at its path stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Refused {
    /// Keys and positions (from 1), as the user would write them.
    pub(crate) path: Vec<String>,
    /// The rest of a sentence that begins with the path: "is a function".
    pub(crate) what: String,
}

/// Compares what lies at `path` (keys of objects; empty: the root) in the document with `value`.
///
/// `known` is the document's value there, `None` where it has none. A `value` of nil is a deletion.
///
/// # Errors
///
/// Lua has no memory left, or the global `vim` is not Neovim's.
pub(crate) fn compare(lua: &Lua, known: Option<&Json>, value: &Value, path: &[String]) -> mlua::Result<Comparison> {
    let neovim = Neovim::of(lua)?;
    read(lua, value, MAX_DEPTH, |value| {
        let mut walk = Walk { neovim, path, budget: MAX_NEW_BYTES, found: Comparison::default() };
        walk.start(known, value);
        walk.found
    })
}

/// The identities of Neovim's two values that stand for something in JSON.
#[derive(Clone, Copy)]
struct Neovim {
    /// `vim.NIL`.
    null: usize,
    /// The metatable of `vim.empty_dict()`.
    empty_dict: usize,
}

/// Keeps what [`Neovim`] knows the addresses of.
struct Kept {
    _values: [Value; 2],
    neovim: Neovim,
}

impl Neovim {
    fn of(lua: &Lua) -> mlua::Result<Self> {
        if let Some(kept) = lua.app_data_ref::<Kept>() {
            return Ok(kept.neovim);
        }
        let vim: Table = lua.globals().raw_get("vim")?;
        let null: Value = vim.raw_get("NIL")?;
        let empty_dict: Value = vim.raw_get("_empty_dict_mt")?;
        let neovim = Self { null: null.to_pointer().addr(), empty_dict: empty_dict.to_pointer().addr() };
        lua.set_app_data(Kept { _values: [null, empty_dict], neovim });
        Ok(neovim)
    }

    /// Whether it is `vim.NIL`, or the light userdata that decoders other than Neovim's use.
    fn is_null(self, value: Raw<'_>) -> bool {
        matches!(value, Raw::Userdata(address) if address == self.null || address == 0)
    }

    fn is_empty_dict(self, table: RawTable<'_>) -> bool {
        table.metatable() == Some(self.empty_dict)
    }
}

/// One comparison under way.
struct Walk<'a> {
    neovim: Neovim,
    /// Where in the document it began.
    path: &'a [String],
    /// How much more new text is taken, in bytes.
    budget: usize,
    found: Comparison,
}

impl Walk<'_> {
    fn start(&mut self, known: Option<&Json>, value: Raw<'_>) {
        let place = Place::start(self.path, value);
        match (known, value) {
            _ if self.path.is_empty() => self.root(known, value, &place),
            (None, Raw::Nil) => {}
            (Some(_), Raw::Nil) => self.found.edits.push(Edit { path: place.path(), change: Change::Delete }),
            _ if self.path.len() > MAX_DEPTH => self.refuse(Trouble::too_deep(), &place),
            (None, _) => self.set(None, value, &place),
            (Some(known), _) => self.value(known, value, &place),
        }
    }

    fn root(&mut self, known: Option<&Json>, value: Raw<'_>, place: &Place<'_>) {
        let nothing = Map::new();
        match (known.and_then(Json::as_object).unwrap_or(&nothing), value) {
            (known, Raw::Table(table)) => self.object(known, table, place),
            _ => self.refuse(Trouble::at(place, "is no table; the settings must be one"), place),
        }
    }

    /// What the document has, against what is in the table now.
    fn value(&mut self, known: &Json, value: Raw<'_>, place: &Place<'_>) {
        match (known, value) {
            (Json::Object(members), Raw::Table(table)) => self.object(members, table, place),
            _ if self.equal(known, value) => {}
            _ => self.set(Some(known), value, place),
        }
    }

    fn object(&mut self, known: &Map<String, Json>, table: RawTable<'_>, place: &Place<'_>) {
        if let Err(trouble) = place.check_cycle() {
            return self.refuse(trouble, place);
        }
        let first_edit = self.found.edits.len();
        let (mut names, mut strays, mut known_names) = (0_usize, 0_usize, 0_usize);
        let mut new = Vec::new();
        table.for_each(|key, value| {
            let Raw::String(key) = key else {
                strays += 1;
                return;
            };
            names += 1;
            let Ok(key) = std::str::from_utf8(key) else { return self.refuse_key(key, place) };
            let here = place.child(Key::Name(key), value);
            match known.get(key) {
                Some(known) => {
                    known_names += 1;
                    self.value(known, value, &here);
                }
                None => new.extend(self.new_value(None, value, &here).map(|value| (key.to_owned(), value))),
            }
        });
        if strays > 0 && names == 0 {
            return self.other_kind(table, place);
        }
        if strays > 0 {
            self.refuse_strays(table, None, place);
        }
        if known_names < known.len() {
            self.deletions(known, table, place, first_edit);
        }
        self.new_members(new, place);
    }

    fn new_members(&mut self, mut new: Vec<(String, Json)>, place: &Place<'_>) {
        self.found.edits.extend(order::by_key(&new).into_iter().map(|at| {
            let (key, value) = std::mem::take(&mut new[at]);
            let mut path = place.path();
            path.push(key);
            Edit { path, change: Change::Set(value) }
        }));
    }

    /// Where an object was, there is a table without text keys that is not empty.
    fn other_kind(&mut self, table: RawTable<'_>, place: &Place<'_>) {
        if place.is_root() {
            return self.refuse(Trouble::at(place, "has no text keys; the settings must be an object"), place);
        }
        if let Some(new) = self.new_value(None, Raw::Table(table), place) {
            self.found.edits.push(Edit { path: place.path(), change: Change::Set(new) });
        }
    }

    /// Deletes what is known and not in the table, before the other edits of the object.
    fn deletions(&mut self, known: &Map<String, Json>, table: RawTable<'_>, place: &Place<'_>, first_edit: usize) {
        // Keys cannot be kept beyond the visit, but the addresses of what they stand for can.
        let mut there = Vec::new();
        table.for_each(|key, _| {
            if let Raw::String(key) = key
                && let Some(known) = std::str::from_utf8(key).ok().and_then(|key| known.get(key))
            {
                there.push(std::ptr::from_ref(known).addr());
            }
        });
        there.sort_unstable();
        let others = self.found.edits.len();
        for (key, value) in known {
            if there.binary_search(&std::ptr::from_ref(value).addr()).is_err() {
                let mut path = place.path();
                path.push(key.clone());
                self.found.edits.push(Edit { path, change: Change::Delete });
            }
        }
        let count = self.found.edits.len() - others;
        self.found.edits[first_edit..].rotate_right(count);
    }

    /// Sets what is no object in the document, or no table.
    fn set(&mut self, known: Option<&Json>, value: Raw<'_>, place: &Place<'_>) {
        if let Some(new) = self.new_value(known, value, place)
            // What JSON cannot hold may have been all that differs.
            && known != Some(&new)
        {
            self.found.edits.push(Edit { path: place.path(), change: Change::Set(new) });
        }
    }

    /// Whether the value is what the document has. Never looks at more of it than the document has.
    fn equal(&self, known: &Json, value: Raw<'_>) -> bool {
        match (known, value) {
            (Json::Null, value) => self.neovim.is_null(value),
            (Json::Bool(known), Raw::Boolean(value)) => *known == value,
            (Json::Number(known), Raw::Number(value)) => number::is_nearest(known, value),
            (Json::String(known), Raw::String(value)) => known.as_bytes() == value,
            (Json::Array(known), Raw::Table(table)) => {
                let mut count = 0;
                let same = table.try_for_each(|key, value| {
                    count += 1;
                    let known = shape::position(key).and_then(|position| known.get(position - 1)).ok_or(())?;
                    if self.equal(known, value) { Ok(()) } else { Err(()) }
                });
                same.is_ok() && count == known.len() && (count > 0 || !self.neovim.is_empty_dict(table))
            }
            (Json::Object(known), Raw::Table(table)) => {
                let mut count = 0;
                let same = table.try_for_each(|key, value| {
                    count += 1;
                    let Raw::String(key) = key else { return Err(()) };
                    let known = std::str::from_utf8(key).ok().and_then(|key| known.get(key)).ok_or(())?;
                    if self.equal(known, value) { Ok(()) } else { Err(()) }
                });
                same.is_ok() && count == known.len()
            }
            _ => false,
        }
    }

    fn refuse(&mut self, trouble: Trouble, place: &Place<'_>) {
        if !self.refuses_no_more() {
            self.found.refused.push(trouble.into_refused(place));
        }
    }

    fn refuses_no_more(&self) -> bool {
        self.found.refused.len() >= MAX_REFUSED
    }

    fn refuse_key(&mut self, key: &[u8], place: &Place<'_>) {
        let text = String::from_utf8_lossy(key);
        let here = place.child(Key::Name(&text), Raw::Nil);
        self.refuse(Trouble::at(&here, "is a key that is not valid UTF-8"), &here);
    }
}
