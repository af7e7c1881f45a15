//! Where in a document a comparison is, and what is wrong there. Places lie on the stack, one a level; a path is only made of one
//! when there is something to say about it.

use std::borrow::Cow;

use engine::json::MAX_DEPTH;

use super::Refused;
use crate::raw::Raw;

/// The way from a value to the one that holds it.
#[derive(Clone, Copy)]
pub(super) enum Key<'p> {
    /// Here the comparison began.
    Start(&'p [String]),
    Name(&'p str),
    /// From 1.
    Position(usize),
}

pub(super) struct Place<'p> {
    key: Key<'p>,
    above: Option<&'p Place<'p>>,
    /// How many keys and positions lead here from the root.
    pub(super) depth: usize,
    /// The identity of the table here; 0 for other values.
    table: usize,
}

impl<'p> Place<'p> {
    pub(super) fn start(path: &'p [String], value: Raw<'_>) -> Self {
        Self { key: Key::Start(path), above: None, depth: path.len(), table: identity(value) }
    }

    pub(super) fn child<'c>(&'c self, key: Key<'c>, value: Raw<'_>) -> Place<'c> {
        Place { key, above: Some(self), depth: self.depth + 1, table: identity(value) }
    }

    pub(super) fn is_root(&self) -> bool {
        self.depth == 0
    }

    /// How much text its key is.
    pub(super) fn key_len(&self) -> usize {
        match self.key {
            Key::Name(name) => name.len(),
            Key::Start(_) | Key::Position(_) => 0,
        }
    }

    /// Keys and positions from the root.
    pub(super) fn path(&self) -> Vec<String> {
        // Room for one more key: the path of a member is often made of that of its object.
        let mut path = Vec::with_capacity(self.depth + 1);
        self.write_to(&mut path);
        path
    }

    fn write_to(&self, path: &mut Vec<String>) {
        if let Some(above) = self.above {
            above.write_to(path);
        }
        match self.key {
            Key::Start(keys) => path.extend_from_slice(keys),
            Key::Name(name) => path.push(name.to_owned()),
            Key::Position(position) => path.push(position.to_string()),
        }
    }

    /// As a sentence names it.
    fn name(&self) -> String {
        if self.is_root() { "the root of the settings".into() } else { format!("`{}`", self.path().join(".")) }
    }

    /// The place around this one whose table is the same.
    pub(super) fn around(&self) -> Option<&Place<'p>> {
        let mut above = self.above;
        while let Some(place) = above {
            if place.table == self.table {
                return Some(place);
            }
            above = place.above;
        }
        None
    }

    /// # Errors
    ///
    /// The table here is one of those around it.
    pub(super) fn check_cycle(&self) -> Result<(), Trouble> {
        self.around().map_or(Ok(()), |place| {
            Err(Trouble::at(self, format!("contains itself: it is the same table as {}", place.name())))
        })
    }

    /// The same for a value that is new: as JSON, it would have no end.
    ///
    /// # Errors
    ///
    /// As [`Place::check_cycle`], for all that is new.
    pub(super) fn check_new_cycle(&self) -> Result<(), Trouble> {
        let itself =
            |place: &Place<'_>| Trouble::with_all(format!("contains itself: {} is {}", self.name(), place.name()));
        self.around().map_or(Ok(()), |place| Err(itself(place)))
    }
}

fn identity(value: Raw<'_>) -> usize {
    if let Raw::Table(table) = value { table.identity() } else { 0 }
}

/// Why a value cannot be taken over.
pub(super) struct Trouble {
    /// `None`: no single value is to blame; the outermost one that is new is refused.
    path: Option<Vec<String>>,
    what: Cow<'static, str>,
    names_list: bool,
}

impl Trouble {
    pub(super) fn at(place: &Place<'_>, what: impl Into<Cow<'static, str>>) -> Self {
        Self { path: Some(place.path()), what: what.into(), names_list: false }
    }

    pub(super) fn too_deep() -> Self {
        Self::with_all(format!("is nested too deeply: {MAX_DEPTH} levels are allowed in the settings"))
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::with_all(format!("is too large: more than {} MiB of new settings", limit >> 20))
    }

    pub(super) fn key_without_text() -> Self {
        Self::with_all("has a key that is not valid UTF-8".to_owned())
    }

    fn with_all(what: String) -> Self {
        Self { path: None, what: what.into(), names_list: false }
    }

    /// Whether it concerns everything that is new around the value it was found in.
    pub(super) fn concerns_all(&self) -> bool {
        self.path.is_none()
    }

    /// The same for the element of a list that cannot be without it.
    #[must_use]
    pub(super) fn in_list(mut self, list: &Place<'_>) -> Self {
        if !self.names_list && !self.concerns_all() {
            self.what = format!("{}; the list {} cannot be saved without it", self.what, list.name()).into();
            self.names_list = true;
        }
        self
    }

    /// `place` is that of the value that is refused.
    pub(super) fn into_refused(self, place: &Place<'_>) -> Refused {
        Refused { path: self.path.unwrap_or_else(|| place.path()), what: self.what.into_owned() }
    }
}
