//! What the directories of earlier walks held, for as long as their fingerprints stay the same.
//!
//! Listing a directory costs more than opening it; a walk that goes the same way again, from 60 levels deep, takes half the
//! time. Small directories only (`directory` says which); what the names mean is `detect`'s.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fingerprint::{Fingerprint, Timestamp};

/// When so many are kept, all are dropped: some megabytes at most, and years of an ordinary session.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Listings {
    kept: Mutex<HashMap<(u64, u64), Listing>>,
}

#[derive(Debug)]
struct Listing {
    fingerprint: Fingerprint,
    names: Arc<[u8]>,
}

impl Listings {
    fn kept(&self) -> MutexGuard<'_, HashMap<(u64, u64), Listing>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names in the directory with this fingerprint.
    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<Arc<[u8]>> {
        let kept = self.kept();
        let listing = kept.get(&(fingerprint.dev, fingerprint.ino))?;
        (listing.fingerprint == *fingerprint).then(|| Arc::clone(&listing.names))
    }

    /// Keeps names that were listed after the fingerprint was taken, which was after `read_at`; unless it proves nothing.
    pub(super) fn keep(&self, fingerprint: Fingerprint, read_at: Timestamp, names: &Arc<[u8]>) {
        if fingerprint.is_racy(read_at) {
            return;
        }
        let mut kept = self.kept();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert((fingerprint.dev, fingerprint.ino), Listing { fingerprint, names: Arc::clone(names) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_for_an_unchanged_fingerprint_that_proves_something() {
        let old = Timestamp { secs: 100, nanos: 0 };
        let fingerprint = Fingerprint { dev: 1, ino: 2, size: 3, mtime: old, ctime: old };
        let names: Arc<[u8]> = Arc::from(&b".git\0"[..]);
        let listings = Listings::default();
        listings.keep(fingerprint, Timestamp { secs: 101, nanos: 0 }, &names);
        assert_eq!(listings.get(&fingerprint), None);
        listings.keep(fingerprint, Timestamp { secs: 1000, nanos: 0 }, &names);
        assert_eq!(listings.get(&fingerprint), Some(names));
        assert_eq!(listings.get(&Fingerprint { mtime: Timestamp { secs: 100, nanos: 1 }, ..fingerprint }), None);
    }
}
