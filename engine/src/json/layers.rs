//! Which of a context's JSON files gets which edit, so that all of them merged are what the user left.
//!
//! The rule: a value that exists is edited in the last of the project's own files that has it; a new one, and one that only an
//! outer project's file has, goes to the write target; what is deleted is deleted in each own file. Files lie over each other,
//! though: a later one can hide what is written, and what is taken away can uncover an earlier one. So each edit is a wish about
//! the merged document; after the rule has been followed, the merged document is compared with the wish below the paths that were
//! touched, what differs is mended by the same rule, and what no own file can change is told as inherited.
//!
//! Nothing is read or written here. Edits become text in the span editor, files in the store.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde_json::Map;

use super::apply::{delete, set};
use super::{Change, Edit, Value, apply, diff, get, merge, overlay};

/// One JSON file of a context.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The file.
    pub path: Arc<Path>,
    /// Whether it belongs to the innermost project and so may be written.
    pub own: bool,
    /// What it holds; `{}` for an empty or missing file.
    pub document: Arc<Value>,
}

/// Where edits went. See [`distribute`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// The edits of the single documents, each with the index of its layer, in the order in which they were made.
    pub edits: Vec<(usize, Edit)>,
    /// Paths whose value stays as it was, because a layer that is not the project's own gives it: its index.
    pub inherited: Vec<(Vec<String>, usize)>,
}

/// The documents laid over each other, late comers winning. One document, however large, is shared and not copied.
pub fn merged(layers: &[Layer]) -> Arc<Value> {
    overlay(layers.iter().map(|layer| &layer.document))
}

/// The layer that gives the value at `path`: the last one that has it, unless a later one hides it. Of an object, which several
/// may give together, it is the last one that has the object.
pub fn origin(layers: &[Layer], path: &[String]) -> Option<usize> {
    match decisive(layers, path)? {
        (at, Reach::Value(_)) => Some(at),
        _ => None,
    }
}

/// Decides where edits of the merged document go, and carries them out in the layers' documents.
///
/// `target` is the index of the write target, which is one of the own layers. The edits are one change: only what the last of them
/// leaves counts. Afterwards [`merged`] gives what was wanted, except at the inherited paths: these are told when an own file can
/// neither delete nor override what another one gives.
///
/// Costs about as much as the values at the edited paths, times the layers. A document that is shared is copied before it changes.
///
/// ```
/// use std::path::Path;
/// use std::sync::Arc;
/// use engine::json::{Change, Edit, Layer, distribute};
/// use serde_json::json;
/// let mut layers = [
///     Layer { path: Path::new("outer.json").into(), own: false, document: Arc::new(json!({ "a": 1 })) },
///     Layer { path: Path::new("own.json").into(), own: true, document: Arc::new(json!({ "a": 2 })) },
/// ];
/// let edit = Edit { path: vec!["a".into()], change: Change::Delete };
/// let distribution = distribute(&mut layers, 1, std::slice::from_ref(&edit));
/// assert_eq!(distribution.edits, [(1, edit.clone())]);
/// assert_eq!(distribution.inherited, [(edit.path, 0)]);
/// ```
pub fn distribute(layers: &mut [Layer], target: usize, edits: &[Edit]) -> Distribution {
    let wishes = grouped(layers, edits);
    let mut work = Work { layers, target, done: Distribution::default() };
    for (root, edits) in wishes {
        let (root, wanted) = wish(work.layers, root, &edits);
        work.settle(root, wanted.as_ref());
    }
    work.done
}

/// How far a document knows a path.
enum Reach<'a> {
    /// It has this value there.
    Value(&'a Value),
    /// It has nothing there, but may have it: there are only objects above.
    Nothing,
    /// At this length of the path it has something that is no object and so hides what earlier documents have below.
    Blocked(usize),
}

fn reach<'a>(layer: &'a Layer, path: &[String]) -> Reach<'a> {
    let mut value = &*layer.document;
    for (length, key) in path.iter().enumerate() {
        let Some(object) = value.as_object() else { return Reach::Blocked(length) };
        let Some(below) = object.get(key) else { return Reach::Nothing };
        value = below;
    }
    Reach::Value(value)
}

/// The last layer that has a value at `path` or hides what earlier ones have there. What an earlier one gets has no effect, unless
/// all the values are objects.
fn decisive<'a>(layers: &'a [Layer], path: &[String]) -> Option<(usize, Reach<'a>)> {
    let reached = layers.iter().map(|layer| reach(layer, path)).enumerate();
    reached.rev().find(|(_, reach)| !matches!(reach, Reach::Nothing))
}

/// The merged value at `path`, copied only where several layers give it together.
fn given<'a>(layers: &'a [Layer], path: &[String]) -> Option<Cow<'a, Value>> {
    let mut parts = Vec::new();
    for layer in layers.iter().rev() {
        match reach(layer, path) {
            Reach::Value(value) => parts.push(value),
            Reach::Blocked(_) => break,
            Reach::Nothing => continue,
        }
        if parts.last().is_some_and(|value| !value.is_object()) {
            break;
        }
    }
    let mut value = Cow::Borrowed(parts.pop()?);
    while let Some(over) = parts.pop() {
        merge(value.to_mut(), over.clone());
    }
    Some(value)
}

/// The edits by the paths below which they change the merged document. No path is a prefix of another, so that the groups do not
/// depend on each other; they are in the order of their first edits.
fn grouped<'a>(layers: &[Layer], edits: &'a [Edit]) -> Vec<(&'a [String], Vec<&'a Edit>)> {
    let mut rooted: Vec<_> = edits.iter().enumerate().map(|(at, edit)| (root(layers, &edit.path), at)).collect();
    // A path comes right before all that it is a prefix of.
    rooted.sort_unstable();
    let mut groups: Vec<(&[String], Vec<usize>)> = Vec::new();
    for (root, at) in rooted {
        match groups.last_mut() {
            Some((above, members)) if root.starts_with(above) => members.push(at),
            _ => groups.push((root, vec![at])),
        }
    }
    groups.iter_mut().for_each(|(_, members)| members.sort_unstable());
    groups.sort_unstable_by_key(|(_, members)| members[0]);
    groups.into_iter().map(|(root, members)| (root, members.into_iter().map(|at| &edits[at]).collect())).collect()
}

/// The path below which an edit at `path` may change the merged document: `path`, or the part of it that leads to what hides earlier
/// layers and may have to become an object.
fn root<'a>(layers: &[Layer], path: &'a [String]) -> &'a [String] {
    let hides = match decisive(layers, path) {
        Some((_, reach @ Reach::Blocked(_))) => Some(reach),
        // What this one hides stays hidden, and later layers go on from there, unless it is the only one that can be written to.
        _ => layers.iter().rfind(|layer| layer.own).map(|layer| reach(layer, path)),
    };
    match hides {
        Some(Reach::Blocked(length)) => &path[..length],
        _ => path,
    }
}

/// What the edits, all of them at or below `root`, make of the merged value there, and where that is to be true: at `root`, or above
/// it if nothing is left of what they set but the object that it was set in.
fn wish<'a>(layers: &[Layer], root: &'a [String], edits: &[&Edit]) -> (&'a [String], Option<Value>) {
    let replaced = edits.first().is_some_and(|edit| edit.path.len() == root.len());
    let mut wanted = if replaced { None } else { given(layers, root).map(Cow::into_owned) };
    let mut was_set = false;
    for edit in edits {
        let below = &edit.path[root.len()..];
        match &edit.change {
            Change::Set(value) => {
                set(wanted.get_or_insert(Value::Null), below, value);
                was_set = true;
            }
            Change::Delete if below.is_empty() => wanted = None,
            Change::Delete => {
                wanted.as_mut().map(|wanted| delete(wanted, below));
            }
        }
    }
    let empty = || Some(Value::Object(Map::new()));
    match root.split_last() {
        Some((_, parent)) if was_set && wanted.is_none() && origin(layers, parent).is_none() => (parent, empty()),
        // There is always a document.
        None => (root, wanted.or_else(empty)),
        _ => (root, wanted),
    }
}

struct Work<'a> {
    layers: &'a mut [Layer],
    target: usize,
    done: Distribution,
}

impl Work<'_> {
    /// Makes the merged value at `root` what is wanted. A round may uncover what earlier layers have, which the next one removes.
    /// What no edit changes any more is inherited.
    fn settle(&mut self, root: &[String], wanted: Option<&Value>) {
        loop {
            let made = self.done.edits.len();
            let mut inherited = Vec::new();
            for edit in self.missing(root, wanted) {
                let path = edit.path.clone();
                inherited.extend(self.carry_out(edit).map(|layer| (path, layer)));
            }
            if self.done.edits.len() == made {
                return self.done.inherited.extend(inherited);
            }
        }
    }

    /// The edits of the merged document that are still to be made at `root` and below.
    fn missing(&self, root: &[String], wanted: Option<&Value>) -> Vec<Edit> {
        let at_root = |change| vec![Edit { path: root.to_vec(), change }];
        let Some(wanted) = wanted else {
            return origin(self.layers, root).map(|_| at_root(Change::Delete)).unwrap_or_default();
        };
        let Some(value) = given(self.layers, root) else { return at_root(Change::Set(wanted.clone())) };
        let below = |edit: Edit| Edit { path: [root, &edit.path].concat(), ..edit };
        diff(&value, wanted).into_iter().map(below).collect()
    }

    /// Edits own layers; if none can make the edit true, names the layer that is in the way.
    fn carry_out(&mut self, edit: Edit) -> Option<usize> {
        if matches!(edit.change, Change::Set(_)) {
            return match self.place(&edit.path) {
                Ok(layer) => {
                    self.make(layer, edit);
                    None
                }
                Err(layer) => Some(layer),
            };
        }
        let has = |layer: &Layer| layer.own && get(&layer.document, &edit.path).is_some();
        let own: Vec<usize> = (0..self.layers.len()).filter(|&at| has(&self.layers[at])).collect();
        if own.is_empty() {
            return origin(self.layers, &edit.path);
        }
        own.into_iter().for_each(|layer| self.make(layer, edit.clone()));
        None
    }

    /// The layer in which setting `path` has an effect; or the one that leaves none.
    fn place(&self, path: &[String]) -> Result<usize, usize> {
        let owns = |at: &usize| self.layers[*at].own;
        match decisive(self.layers, path) {
            None => Ok(self.target),
            Some((last, Reach::Value(_))) if owns(&last) => Ok(last),
            Some((last, _)) if self.target > last => Ok(self.target),
            Some((last, _)) => {
                let later = (last + 1..self.layers.len()).rfind(owns);
                later.or(Some(last).filter(owns)).ok_or(last)
            }
        }
    }

    fn make(&mut self, layer: usize, edit: Edit) {
        if apply(Arc::make_mut(&mut self.layers[layer].document), &edit) {
            self.done.edits.push((layer, edit));
        }
    }
}

#[cfg(test)]
mod tests;
