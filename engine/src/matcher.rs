//! Matchers: which directories count as a project's root, which file names count as its files.
//!
//! A matcher looks at names only and never at a disk; who asks it (`pipeline`) brings the names. What only the user's code
//! can answer is a [`Leaf`]; a matcher says which leaves matter ([`Verdict::Open`]), and somebody else asks them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{ErrorKind, Result};

/// A condition on names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// A directory that holds an entry of exactly this name; a file that has it.
    Literal(OsString),
    /// A directory that holds an entry whose name has this form; a file whose name has it.
    Glob(Glob),
    /// The directory with exactly this absolute path.
    Path(PathBuf),
    /// A directory whose absolute path has this form.
    PathGlob(Glob),
    /// At least one of these matches.
    Any(Vec<Matcher>),
    /// All of these match.
    All(Vec<Matcher>),
    /// This one does not match.
    Not(Box<Matcher>),
    /// As [`Matcher::Any`]. As the whole matcher of a detect stage: the first of these that matches any directory at all, and
    /// the directory that it matches.
    Priority(Vec<Matcher>),
    /// What the user's code answers.
    Leaf(Leaf),
}

/// A condition that the user's code answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// Its number, given by whoever can ask it.
    pub id: usize,
    /// It is asked with the names in a directory; otherwise with the directory's path only. (Of a file it gets both.)
    pub of_names: bool,
}

/// The form of a name: `*`, `?`, `[a-z]`, `{a,b}`. No wildcard matches a slash.
#[derive(Debug, Clone)]
pub struct Glob(GlobMatcher);

/// The names that a matcher is asked about: the entries of a directory, or a file's own one.
pub trait Names {
    /// The absolute path of the directory whose entries they are.
    fn path(&self) -> Option<&Path> {
        None
    }
    /// Whether one of them is exactly this.
    fn holds(&self, name: &OsStr) -> bool;
    /// Whether the condition holds for one of them.
    fn any(&self, condition: &mut dyn FnMut(&OsStr) -> bool) -> bool;
}

/// A file's own name.
impl Names for OsStr {
    fn holds(&self, name: &OsStr) -> bool {
        self == name
    }

    fn any(&self, condition: &mut dyn FnMut(&OsStr) -> bool) -> bool {
        condition(self)
    }
}

/// What a matcher says before its leaves have been asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It matches, whatever the leaves say.
    Yes,
    /// It does not match, whatever the leaves say.
    No,
    /// It depends on leaves: of the matcher, only they are left.
    Open(Matcher),
}

impl Verdict {
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Open(rest) => Self::Open(Matcher::Not(Box::new(rest))),
        }
    }

    /// What comes out once the leaves have answered.
    pub fn settle(&self, answer: &mut dyn FnMut(Leaf) -> bool) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::Open(rest) => rest.settle(answer),
        }
    }

    /// The leaves that it depends on, each once.
    pub fn leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        if let Self::Open(rest) = self {
            rest.each_leaf(&mut |leaf| {
                if !leaves.contains(&leaf) {
                    leaves.push(leaf);
                }
            });
        }
        leaves
    }
}

impl Matcher {
    /// What it says of these names.
    pub fn judge(&self, names: &(impl Names + ?Sized)) -> Verdict {
        let whether = |yes| if yes { Verdict::Yes } else { Verdict::No };
        match self {
            Self::Literal(name) => whether(names.holds(name)),
            Self::Glob(glob) => whether(names.any(&mut |name| glob.is_match(name))),
            Self::Path(path) => whether(names.path() == Some(path)),
            Self::PathGlob(glob) => whether(names.path().is_some_and(|path| glob.is_match(path.as_os_str()))),
            Self::Any(matchers) | Self::Priority(matchers) => {
                Self::judge_until(matchers, names, &Verdict::Yes, Matcher::Any)
            }
            Self::All(matchers) => Self::judge_until(matchers, names, &Verdict::No, Matcher::All),
            Self::Not(matcher) => matcher.judge(names).not(),
            Self::Leaf(_) => Verdict::Open(self.clone()),
        }
    }

    /// `decisive` if one of them says that; else what is open, put together; else the opposite.
    fn judge_until(
        matchers: &[Self],
        names: &(impl Names + ?Sized),
        decisive: &Verdict,
        together: fn(Vec<Self>) -> Self,
    ) -> Verdict {
        let mut open = Vec::new();
        for matcher in matchers {
            match matcher.judge(names) {
                verdict if verdict == *decisive => return verdict,
                Verdict::Open(rest) => open.push(rest),
                _ => {}
            }
        }
        match open.len() {
            0 => decisive.clone().not(),
            1 => Verdict::Open(open.remove(0)),
            _ => Verdict::Open(together(open)),
        }
    }

    /// What comes first, what only where that matches nowhere, and so on: one matcher, but for [`Matcher::Priority`].
    pub fn by_priority(&self) -> &[Self] {
        match self {
            Self::Priority(matchers) => matchers,
            other => std::slice::from_ref(other),
        }
    }

    /// Whether the names match. A leaf, which nobody has asked, does not.
    pub fn matches(&self, names: &(impl Names + ?Sized)) -> bool {
        self.judge(names).settle(&mut |_| false)
    }

    /// Whether the user's code has a say in it.
    pub fn has_leaves(&self) -> bool {
        let mut any = false;
        self.each_leaf(&mut |_| any = true);
        any
    }

    fn each_leaf(&self, visit: &mut dyn FnMut(Leaf)) {
        match self {
            Self::Literal(_) | Self::Glob(_) | Self::Path(_) | Self::PathGlob(_) => {}
            Self::Any(matchers) | Self::All(matchers) | Self::Priority(matchers) => {
                matchers.iter().for_each(|matcher| matcher.each_leaf(visit));
            }
            Self::Not(matcher) => matcher.each_leaf(visit),
            Self::Leaf(leaf) => visit(*leaf),
        }
    }

    /// Whether it is about paths in this directory.
    pub(crate) fn has_paths_in(&self, directory: &Path) -> bool {
        match self {
            Self::Path(path) => path.starts_with(directory),
            Self::PathGlob(glob) => Path::new(glob.text()).starts_with(directory),
            Self::Any(matchers) | Self::All(matchers) | Self::Priority(matchers) => {
                matchers.iter().any(|matcher| matcher.has_paths_in(directory))
            }
            Self::Not(matcher) => matcher.has_paths_in(directory),
            Self::Literal(_) | Self::Glob(_) | Self::Leaf(_) => false,
        }
    }

    /// The same of paths that lie in the directory `to` instead of `from`.
    pub(crate) fn moved(&self, from: &Path, to: &Path) -> Self {
        let all = |matchers: &[Self]| matchers.iter().map(|matcher| matcher.moved(from, to)).collect();
        match self {
            Self::Path(path) => {
                Self::Path(path.strip_prefix(from).map_or_else(|_| path.clone(), |below| to.join(below)))
            }
            Self::PathGlob(glob) => Self::PathGlob(glob.moved(from, to).unwrap_or_else(|| glob.clone())),
            Self::Any(matchers) => Self::Any(all(matchers)),
            Self::All(matchers) => Self::All(all(matchers)),
            Self::Priority(matchers) => Self::Priority(all(matchers)),
            Self::Not(matcher) => Self::Not(Box::new(matcher.moved(from, to))),
            Self::Literal(_) | Self::Glob(_) | Self::Leaf(_) => self.clone(),
        }
    }

    /// For one that holds nothing but leaves.
    fn settle(&self, answer: &mut dyn FnMut(Leaf) -> bool) -> bool {
        match self {
            Self::Leaf(leaf) => answer(*leaf),
            Self::Not(matcher) => !matcher.settle(answer),
            Self::All(matchers) => matchers.iter().all(|matcher| matcher.settle(answer)),
            Self::Any(matchers) | Self::Priority(matchers) => matchers.iter().any(|matcher| matcher.settle(answer)),
            Self::Literal(_) | Self::Glob(_) | Self::Path(_) | Self::PathGlob(_) => false,
        }
    }
}

impl Glob {
    /// The glob in this text.
    ///
    /// # Errors
    /// `InvalidArgument` where it is none.
    pub fn new(text: &str) -> Result<Self> {
        match GlobBuilder::new(text).literal_separator(true).build() {
            Ok(glob) => Ok(Self(glob.compile_matcher())),
            Err(error) => {
                Err(ErrorKind::InvalidArgument(format!("the glob '{text}' is not valid: {}", error.kind())).into())
            }
        }
    }

    /// The same form below another directory; `None` where it is not below `from`.
    fn moved(&self, from: &Path, to: &Path) -> Option<Self> {
        let below = Path::new(self.text()).strip_prefix(from).ok()?;
        let to = globset::escape(to.to_str()?);
        Self::new(&format!("{}/{}", to.trim_end_matches('/'), below.to_str()?)).ok()
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.0.glob().glob()
    }

    /// Whether the name has this form.
    pub fn is_match(&self, name: &OsStr) -> bool {
        self.0.is_match(name)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Glob {}

#[cfg(test)]
mod tests;
