//! Matchers: which directories count as a project's root, which file names count as its files.
//!
//! A matcher looks at names only and never at a disk; who asks it (`pipeline::walk`, `pipeline::find_files`) brings the
//! names.

use std::ffi::{OsStr, OsString};

/// A condition on names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Matcher {
    /// A directory that holds an entry of exactly this name; a file that has it.
    Literal(OsString),
    /// At least one of these matches.
    Any(Vec<Matcher>),
}

impl Matcher {
    /// Whether it matches a directory, of which `holds` says what entries it has.
    pub fn matches_directory(&self, holds: &dyn Fn(&OsStr) -> bool) -> bool {
        match self {
            Self::Literal(name) => holds(name),
            Self::Any(matchers) => matchers.iter().any(|matcher| matcher.matches_directory(holds)),
        }
    }

    /// Whether it matches a file of this name.
    pub fn matches_name(&self, name: &OsStr) -> bool {
        self.matches_directory(&|wanted| wanted == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_matches_when_one_of_its_names_does() {
        let matcher = Matcher::Any(vec![Matcher::Literal(".git".into()), Matcher::Literal(".hg".into())]);
        assert!(matcher.matches_directory(&|name| name == ".hg"));
        assert!(!matcher.matches_directory(&|name| name == "hg"));
        assert!(matcher.matches_name(OsStr::new(".git")));
        assert!(!Matcher::Any(vec![]).matches_name(OsStr::new(".git")));
    }
}
