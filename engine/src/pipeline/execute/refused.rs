//! Projects' directories that could not be read: what that means for the files in them, and for what is told of them.
//!
//! They are found and told by [`super`].

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};

/// The projects' directories that could not be read, and why.
#[derive(Debug, Default)]
pub(super) struct Refused {
    directories: Vec<(PathBuf, ErrorKind)>,
}

impl Refused {
    pub(super) fn add(&mut self, directory: PathBuf, kind: ErrorKind) {
        self.directories.push((directory, kind));
    }

    /// Whether nothing at `path` is to be used, for every user may have put it there.
    pub(super) fn bars(&self, path: &Path) -> bool {
        let untrusted = |kind: &ErrorKind| matches!(kind, ErrorKind::Untrusted(_));
        self.directories.iter().any(|(directory, kind)| untrusted(kind) && path.starts_with(directory))
    }

    /// Whether the error is what is wrong with a directory above `path`, told already: directories come before what is below
    /// them. Time-outs each have a cause of their own.
    pub(super) fn explains(&self, path: &Path, error: &Error) -> bool {
        let is_cause = |(directory, kind): &(PathBuf, ErrorKind)| *kind == error.kind && path.starts_with(directory);
        !matches!(error.kind, ErrorKind::Timeout { .. }) && self.directories.iter().any(is_cause)
    }
}
