//! The span editor: edits carried out in the text of a document, so that what no edit touches keeps its bytes.
//!
//! The law: reading the edited text gives what the edits make of the value that was read from the text before. Comments, the order
//! of keys, indentation, line ends, trailing commas, the byte order mark and the text of numbers stay. The text is parsed once and
//! written once; the edits are folded into one tree beforehand (`patch`). How members come and go is in `members`, how new ones
//! are laid out in `layout`. Which file an edit goes to and how the text gets to the disk is not known here.
//!
//! Of keys that come twice the last one counts, as for the reader: it is the one that is edited. Deleting removes all of them.

mod layout;
mod members;
mod patch;
mod trivia;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use serde_json::Map;

use self::layout::{Style, colon, deeper, newline};
use self::members::{Act, Container, NewMember, Place};
use self::patch::{Inside, Patch};
use self::trivia::{gap, line_indent};
use super::parse::{BYTE_ORDER_MARK, position, text_of, tree_of};
use super::{Edit, Value};
use crate::error::Result;

/// The text with the edits carried out in it, in order; what no edit touches keeps its bytes.
///
/// `Set` makes the objects on the way that are missing and replaces what is no object there; setting a container where the text has
/// one of the same kind touches only the members that differ. A number of the text stays as it is written where the new one is
/// equal: integers by their digits, anything with a fraction or an exponent as a double. `Delete` of what is not there does nothing,
/// of the root it empties it. A member is deleted together with a comment behind it in its line; comments in lines of their own stay.
///
/// Setting a new key and deleting it again gives the bytes from before.
///
/// A text with nothing but white space and comments has no document: a new one is laid out with two spaces, below the comments.
///
/// ```
/// use engine::json::{Change, Edit, edit_text};
/// let text = b"{\n\t\"lsp\": { \"on\": true }, // servers\n}";
/// let edit = Edit { path: vec!["lsp".into(), "log".into()], change: Change::Set("off".into()) };
/// let edited = edit_text(text, &[edit]).unwrap();
/// assert_eq!(edited, b"{\n\t\"lsp\": { \"on\": true, \"log\": \"off\" }, // servers\n}");
/// ```
///
/// # Errors
///
/// Those of [`parse`](super::parse()) for the text. Without a position: `Depth` where an edit asks for deeper nesting than
/// [`MAX_DEPTH`](super::MAX_DEPTH); `UnsupportedValue` where the root shall be something else than an object.
pub fn edit(bytes: &[u8], edits: &[Edit]) -> Result<Vec<u8>> {
    let text = text_of(bytes)?;
    let tree = tree_of(text)?.map(ast::Value::Object);
    let patch = Patch::of(edits)?;
    let edited = match &tree {
        Some(root) => {
            let out = String::with_capacity(text.len());
            let mut editor = Editor { text, root, style: OnceCell::new(), out, copied: 0 };
            let emptied = Value::Object(Map::new());
            let target = Target::of(&patch).unwrap_or(Target::Value(&emptied));
            editor.change(root, target, Place { own_line: true, open: root.start(), colon: None });
            editor.finish()
        }
        None => match patch.made() {
            Some(value) => new_document(text, &value),
            None => text.to_owned(),
        },
    };
    let mark = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK } else { b"" };
    Ok([mark, edited.as_bytes()].concat())
}

/// The line (from 1) of the key at `path`, the last one where it comes twice; the line of the opening brace for the empty path. What leads
/// into an array is the number of an element, from 1, whose own line it is. `None` where nothing is there or the text has an error.
pub fn line_of(bytes: &[u8], path: &[impl AsRef<str>]) -> Option<u32> {
    let text = text_of(bytes).ok()?;
    let root = ast::Value::Object(tree_of(text).ok()??);
    let mut value = &root;
    let mut at = root.start();
    for key in path.iter().map(AsRef::as_ref) {
        if let Some(array) = value.as_array() {
            value = array.elements.get(key.parse::<usize>().ok()?.checked_sub(1)?)?;
            at = value.start();
        } else {
            let property = value.as_object()?.properties.iter().rfind(|property| property.name.as_str() == key)?;
            value = &property.value;
            at = property.start();
        }
    }
    Some(position(text.as_bytes(), at).0)
}

/// The text of a document where there was none. Comments stay above it.
fn new_document(text: &str, value: &Value) -> String {
    let style = Style::of(text, None);
    let mut out = text[..gap(text, 0).space].to_owned();
    if !out.is_empty() {
        out.push_str(style.newline);
    }
    style.write(&mut out, value, Some(""));
    out.push_str(style.newline);
    out
}

/// What a value of the text shall become.
#[derive(Clone, Copy)]
enum Target<'p> {
    Value(&'p Value),
    Inside(&'p Inside<'p>),
}

impl<'p> Target<'p> {
    /// `None` for a deletion.
    fn of(patch: &'p Patch<'_>) -> Option<Self> {
        match patch {
            Patch::Set(value) => Some(Self::Value(value)),
            Patch::Inside(inside) => Some(Self::Inside(inside)),
            Patch::Delete => None,
        }
    }
}

/// One pass over the text, from its beginning to its end.
struct Editor<'t> {
    text: &'t str,
    root: &'t ast::Value<'t>,
    /// Looked for at the first new member.
    style: OnceCell<Style<'t>>,
    out: String,
    /// How far the text has been copied, or left out.
    copied: usize,
}

impl<'t> Editor<'t> {
    /// Puts `with` in the place of a range, which must not lie before what has been done already.
    fn splice(&mut self, range: Range<usize>, with: &str) {
        debug_assert!(self.copied <= range.start && range.start <= range.end, "edits go forward");
        self.out.push_str(&self.text[self.copied..range.start]);
        self.out.push_str(with);
        self.copied = range.end;
    }

    fn finish(mut self) -> String {
        self.splice(self.text.len()..self.text.len(), "");
        self.out
    }

    fn style(&self) -> Style<'t> {
        *self.style.get_or_init(|| Style::of(self.text, Some(self.root)))
    }

    /// The text's habits, as far as the neighbours of `place` do not show others.
    fn style_at(&self, place: &Place<'t>, start: usize) -> Style<'t> {
        let style = self.style();
        let unit = if place.own_line { deeper(self.text, place.open, start) } else { None };
        Style { unit: unit.unwrap_or(style.unit), colon: place.colon.unwrap_or(style.colon), ..style }
    }

    fn change(&mut self, value: &'t ast::Value<'t>, target: Target<'_>, place: Place<'t>) {
        match (value, target) {
            (ast::Value::Object(object), Target::Value(Value::Object(map))) => {
                let present: HashSet<_> = object.properties.iter().map(|property| property.name.as_str()).collect();
                let new = map.iter().filter(|(key, _)| !present.contains(key.as_str()));
                let new = new.map(|(key, value)| NewMember { key: Some(key), value: Cow::Borrowed(value) }).collect();
                self.change_object(
                    object,
                    |key| map.get(key).map_or(Act::Delete, |v| Act::Change(Target::Value(v))),
                    new,
                    place,
                );
            }
            (ast::Value::Object(object), Target::Inside(inside)) => {
                let mut missing: HashSet<_> = inside.members.keys().copied().collect();
                for property in &object.properties {
                    missing.remove(property.name.as_str());
                }
                let new = inside.members.iter().filter(|(key, _)| missing.contains(**key));
                let new = new.filter_map(|(key, patch)| Some(NewMember { key: Some(key), value: patch.made()? }));
                let new = new.collect();
                let act = |key: &str| match inside.members.get(key) {
                    Some(patch) => Target::of(patch).map_or(Act::Delete, Act::Change),
                    None => Act::Keep,
                };
                self.change_object(object, act, new, place);
            }
            (ast::Value::Array(array), Target::Value(Value::Array(list))) => self.change_array(array, list, place),
            (old, Target::Value(new)) => {
                if !same(old, new) {
                    self.replace(old, new, &place);
                }
            }
            (old, Target::Inside(inside)) => {
                if inside.makes {
                    self.replace(old, &inside.made(), &place);
                }
            }
        }
    }

    fn replace(&mut self, old: &ast::Value<'_>, new: &Value, place: &Place<'t>) {
        let start = old.start();
        let mut out = String::new();
        let line = if place.own_line { Some(line_indent(self.text, start)) } else { None };
        self.style_at(place, start).write(&mut out, new, line);
        self.splice(start..old.end(), &out);
    }

    fn change_object<'p>(
        &mut self,
        object: &'t ast::Object<'t>,
        act: impl Fn(&str) -> Act<'p>,
        new: Vec<NewMember<'_>>,
        place: Place<'t>,
    ) {
        let properties = &object.properties;
        let mut acts = Vec::with_capacity(properties.len());
        let mut later = HashSet::new();
        for property in properties.iter().rev() {
            let key = property.name.as_str();
            acts.push(match act(key) {
                // An earlier one of the same key counts for nothing.
                Act::Change(_) if !later.insert(key) => Act::Keep,
                act => act,
            });
        }
        acts.reverse();
        let container = Container {
            open: object.range.start,
            close: object.range.end - 1,
            members: properties.iter().map(|property| property.start()..property.end()).collect(),
            values: properties.iter().map(|property| &property.value).collect(),
            colon: properties.last().and_then(|last| colon(self.text, last)),
        };
        self.edit_members(&container, &acts, properties.len(), new, place);
    }

    /// Elements at both ends that are the same stay where they are; in between, pairs are changed and the rest comes or goes.
    fn change_array(&mut self, array: &'t ast::Array<'t>, new: &[Value], place: Place<'t>) {
        let old = &array.elements;
        let (mut before, mut after) = (0, 0);
        // As many as before are all pairs, and comparing them first would compare what is nested deep once for each level.
        if old.len() != new.len() {
            before = old.iter().zip(new).take_while(|(old, new)| same(old, new)).count();
            let rest = old[before..].iter().rev().zip(new[before..].iter().rev());
            after = rest.take_while(|(old, new)| same(old, new)).count();
        }
        let (old_end, new_end) = (old.len() - after, new.len() - after);
        let paired = old_end.min(new_end);
        let act = |at: usize| match at {
            at if at < before || at >= old_end => Act::Keep,
            at if at < paired => Act::Change(Target::Value(&new[at])),
            _ => Act::Delete,
        };
        let acts: Vec<_> = (0..old.len()).map(act).collect();
        let added =
            new[paired..new_end].iter().map(|value| NewMember { key: None, value: Cow::Borrowed(value) }).collect();
        let container = Container {
            open: array.range.start,
            close: array.range.end - 1,
            members: old.iter().map(|element| element.start()..element.end()).collect(),
            values: old.iter().collect(),
            colon: None,
        };
        self.edit_members(&container, &acts, paired, added, place);
    }
}

/// Whether the text's value is the given one already.
fn same(old: &ast::Value<'_>, new: &Value) -> bool {
    match (old, new) {
        (ast::Value::NullKeyword(_), Value::Null) => true,
        (ast::Value::BooleanLit(old), Value::Bool(new)) => old.value == *new,
        (ast::Value::NumberLit(old), Value::Number(new)) => same_number(old.value, new.as_str()),
        (ast::Value::StringLit(old), Value::String(new)) => old.value == *new,
        (ast::Value::Array(old), Value::Array(new)) => {
            old.elements.len() == new.len() && old.elements.iter().zip(new).all(|(old, new)| same(old, new))
        }
        (ast::Value::Object(old), Value::Object(new)) => {
            let old: HashMap<_, _> = old.properties.iter().map(|last| (last.name.as_str(), &last.value)).collect();
            old.len() == new.len() && old.iter().all(|(key, old)| new.get(*key).is_some_and(|new| same(old, new)))
        }
        _ => false,
    }
}

/// Whether a number may stay as the text has it. A number that went through a double has lost its form (`1.0` has become `1`), but
/// integers are kept exactly, also beyond 2^53; and a number that is no double (`1e400`) is only itself.
fn same_number(old: &str, new: &str) -> bool {
    let is_integer = |text: &str| !text.contains(['.', 'e', 'E']);
    if old == new || (is_integer(old) && is_integer(new)) {
        return old == new;
    }
    match (old.parse::<f64>(), new.parse::<f64>()) {
        (Ok(old), Ok(new)) => old.is_finite() && old.to_bits() == new.to_bits(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
