//! The directory cache: what directories hold, and the proof that they still do.
//!
//! The counterpart of [`crate::file_cache`], with the same rule ([`crate::fingerprint`]): every way to add, remove or replace an entry
//! changes the directory's fingerprint. It reads through [`crate::open`]. Pipelines do not use it: they keep less, see `pipeline/listings`.
//!
//! # Known limits
//!
//! A file system that does not give a directory new times when its entries change (some of those without a disk, as /proc) is believed.
//! There, `trust_mtime = false` helps.

#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Weak};

use crate::disk::Disk;
use crate::error::Result;
use crate::file_cache::new_state;
use crate::fingerprint::{Fingerprint, Timestamp};
use crate::open::{self, Contents};
use crate::shelf::{Garbage, Shared, Shelf};

/// What an entry costs beside its names, in bytes.
const ENTRY_OVERHEAD: u64 = 512;

/// What the memory of a name costs beside its bytes.
const NAME_OVERHEAD: u64 = 16;

/// One state of a directory. Shared; never changes.
#[derive(Debug)]
pub struct DirectoryEntry {
    /// Equal for equal states, never given twice in a process.
    pub id: u64,
    /// Absolute path.
    pub path: Arc<Path>,
    /// What it holds, in byte order of the names; hidden ones too, without `.` and `..`.
    pub entries: Vec<DirectoryItem>,
    /// That of the directory itself, links followed.
    pub fingerprint: Fingerprint,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryItem {
    /// Its name, without the directory.
    pub name: OsString,
    /// What the directory says it is; a link is not followed.
    pub kind: ItemKind,
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// Something else, or the file system does not say.
    Unknown,
}

impl ItemKind {
    /// Its name, as in `vim.uv.fs_scandir`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Char => "char",
            Self::Block => "block",
            Self::Unknown => "unknown",
        }
    }
}

/// What directories hold, by absolute path. When the memory is used up, the least recently used ones go.
#[derive(Debug)]
pub(crate) struct DirCache {
    disk: Disk,
    shelf: Shelf<Known>,
}

/// An entry, and when it was read.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    entry: Arc<DirectoryEntry>,
    /// Just before it was listed.
    read_at: Timestamp,
}

impl Shared for Known {
    type Weak = (Weak<DirectoryEntry>, Timestamp);

    fn downgrade(&self) -> Self::Weak {
        (Arc::downgrade(&self.entry), self.read_at)
    }

    fn upgrade((entry, read_at): &Self::Weak) -> Option<Self> {
        Some(Self { entry: entry.upgrade()?, read_at: *read_at })
    }
}

impl DirCache {
    pub(crate) fn new(disk: Disk, max_bytes: u64) -> Self {
        Self { disk, shelf: Shelf::new(max_bytes) }
    }

    /// The current state of the directory at the absolute `path`. Blocking. The same `Arc` as before means the same state.
    ///
    /// # Errors
    ///
    /// Each names the path. `NotFound`, `BrokenLink`, `NotADirectory`, `Permission`, `Io`.
    pub(crate) fn directory(&self, path: &Arc<Path>, trust_mtime: bool) -> Result<Arc<DirectoryEntry>> {
        let known = self.shelf.get(path);
        let fingerprint = open::stat_directory(path).inspect_err(|_| drop(self.shelf.remove(path)))?;
        if trust_mtime
            && let Some(known) = &known
            && self.is_proved(known, &fingerprint)
        {
            return Ok(Arc::clone(&known.entry));
        }
        let read = self.shelf.read(path);
        let Contents { items, fingerprint, read_at, is_settled } = open::list_directory(path)?;
        let unchanged = known.filter(|known| known.entry.fingerprint == fingerprint && known.entry.entries == items);
        let is_known = unchanged.is_some();
        let entry = unchanged.map_or_else(
            || Arc::new(DirectoryEntry { id: new_state(), path: Arc::clone(path), entries: items, fingerprint }),
            |known| known.entry,
        );
        if is_settled || is_known {
            read.keep(Known { entry: Arc::clone(&entry), read_at }, self.weight(&entry));
        }
        Ok(entry)
    }

    fn is_proved(&self, known: &Known, fingerprint: &Fingerprint) -> bool {
        // Without an inode, two directories made at the same time would be one.
        fingerprint.ino != 0
            && known.entry.fingerprint == *fingerprint
            && !fingerprint.is_racy(known.read_at, self.disk.steps.of(fingerprint.dev))
    }

    /// What it takes, in bytes, by estimate; no directory counts as more than half of the memory.
    fn weight(&self, entry: &DirectoryEntry) -> u64 {
        let name = |item: &DirectoryItem| (size_of_val(item) + item.name.len()) as u64 + NAME_OVERHEAD;
        let bytes = ENTRY_OVERHEAD + entry.entries.iter().map(name).sum::<u64>();
        bytes.min(self.shelf.max_bytes() / 2).max(ENTRY_OVERHEAD)
    }

    /// Forgets a directory. What is being read of it is not kept. The caller frees it.
    pub(crate) fn invalidate(&self, path: &Path) -> Option<(Known, u64)> {
        self.shelf.remove(path)
    }

    /// Forgets all; the caller frees it. It takes about so many bytes.
    pub(crate) fn clear(&self) -> (Garbage<Known>, u64) {
        self.shelf.clear()
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.shelf.bytes()
    }

    #[cfg(test)]
    pub(crate) fn is_kept(&self, path: &Path) -> bool {
        self.shelf.get(path).is_some()
    }
}
