//! Many edits folded into one tree, so that a text is gone through once, however many there are.
//!
//! No text is known here. What comes later wins, exactly as if the edits were carried out one after the other.

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::error::{Error, ErrorKind, Result};
use crate::json::{Change, Edit, MAX_DEPTH, Value, apply};

/// What shall become of one path.
#[derive(Debug)]
pub(super) enum Patch<'e> {
    Set(Cow<'e, Value>),
    Delete,
    Inside(Inside<'e>),
}

/// What shall become of some of an object's keys; the others stay.
#[derive(Debug, Default)]
pub(super) struct Inside<'e> {
    /// Something is set below: what is no object becomes one. Where there are only deletions, it stays what it is.
    pub(super) makes: bool,
    pub(super) members: IndexMap<&'e str, Patch<'e>>,
}

impl<'e> Patch<'e> {
    /// The edits as one patch of the root.
    ///
    /// # Errors
    ///
    /// `Depth` where an edit asks for deeper nesting than a text may have; `UnsupportedValue` where the root shall be no object.
    pub(super) fn of(edits: &'e [Edit]) -> Result<Self> {
        let mut root = Self::Inside(Inside::default());
        for Edit { path, change } in edits {
            match change {
                Change::Set(value) if path.len() > MAX_DEPTH || !fits(value, MAX_DEPTH - path.len()) => {
                    return Err(Error::new(ErrorKind::Depth { limit: MAX_DEPTH }));
                }
                Change::Set(value) => root.set(path, value),
                // Nothing can be there.
                Change::Delete if path.len() > MAX_DEPTH => {}
                Change::Delete => root.delete(path),
            }
        }
        match root {
            Self::Set(value) if !value.is_object() => {
                Err(Error::new(ErrorKind::UnsupportedValue("settings must be an object: wrap it in { }".into())))
            }
            root => Ok(root),
        }
    }

    fn set(&mut self, path: &'e [String], new: &'e Value) {
        let Some((key, below)) = path.split_first() else {
            *self = Self::Set(Cow::Borrowed(new));
            return;
        };
        match self {
            Self::Set(value) => {
                apply::set(value.to_mut(), path, new);
            }
            Self::Delete => {
                let mut value = Value::Null;
                apply::set(&mut value, path, new);
                *self = Self::Set(Cow::Owned(value));
            }
            Self::Inside(inside) => {
                inside.makes = true;
                inside.members.entry(key).or_default().set(below, new);
            }
        }
    }

    fn delete(&mut self, path: &'e [String]) {
        let Some((key, below)) = path.split_first() else {
            *self = Self::Delete;
            return;
        };
        match self {
            Self::Set(value) => {
                apply::delete(value.to_mut(), path);
            }
            Self::Delete => {}
            Self::Inside(inside) => inside.members.entry(key).or_default().delete(below),
        }
    }

    /// The value where there was nothing before; `None` where there is nothing afterwards either.
    pub(super) fn made(&self) -> Option<Cow<'_, Value>> {
        match self {
            Self::Set(value) => Some(Cow::Borrowed(&**value)),
            Self::Inside(inside) if inside.makes => Some(Cow::Owned(inside.made())),
            Self::Delete | Self::Inside(_) => None,
        }
    }
}

impl Default for Patch<'_> {
    fn default() -> Self {
        Self::Inside(Inside::default())
    }
}

impl Inside<'_> {
    /// The object where there was none before.
    pub(super) fn made(&self) -> Value {
        let made = self.members.iter().filter_map(|(&key, patch)| Some((key, patch.made()?)));
        Value::Object(made.map(|(key, value)| (key.to_owned(), value.into_owned())).collect())
    }
}

/// Whether the value nests at most `levels` deep.
fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(map) => levels > 0 && map.values().all(|value| fits(value, levels - 1)),
        Value::Array(list) => levels > 0 && list.iter().all(|value| fits(value, levels - 1)),
        _ => true,
    }
}
