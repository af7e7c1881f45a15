//! The file cache.

use std::path::PathBuf;

use crate::fingerprint::Fingerprint;

/// One file as it was read. Shared, never changed.
#[derive(Debug)]
pub struct FileEntry {
    /// Absolute path.
    pub path: PathBuf,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Taken before and after the read, and equal.
    pub fingerprint: Fingerprint,
}
