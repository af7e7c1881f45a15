//! A project's directory on a slow disk: its files are told as the listing comes, so that they are read while it goes on.
//!
//! What is found is the same as in `find_files`, which does it where a listing costs nothing. Which files are those of packages
//! is not known here yet; `execute` asks that side by side with the reading.

use std::collections::HashSet;
use std::sync::Arc;

use super::calls::Look;
use super::detect::Nest;
use super::find_files::{Candidate, Rank, Search};
use super::{Job, Stop};
use crate::error::Result;
use crate::open::Listed;

impl Search {
    /// Tells the files in the directory of a layer's project, those of its packages too, in parts.
    ///
    /// # Errors
    /// As for a listing; what has been told until then is not to be used.
    pub(super) fn in_directory_by_parts(
        &self,
        job: &Job,
        nest: &Nest,
        layer: usize,
        look: &Look,
        tell: &mut dyn FnMut(Vec<Candidate>),
    ) -> Result<(), Stop> {
        let directory = nest.levels[layer].name.directory();
        look.at(&self.config_dir.path().join(&directory))?;
        let mut told = HashSet::new();
        let mut failed = None;
        let mut part = |entries: &[Listed]| {
            let files = self.files_among(entries, nest, layer, &job.request.kinds).into_iter();
            // A directory that changes while it is listed may name an entry twice.
            let files = files.filter(|(entry, _)| told.insert(entry.name.clone())).map(|(entry, kind)| {
                let place = self.config_dir.place(directory.join(&entry.name))?.listed_as_file(entry.is_file);
                Ok(Candidate { place, elsewhere: false, rank: Rank::by_name(kind, layer) })
            });
            match files.collect::<Result<Vec<_>>>() {
                Ok(files) if files.is_empty() => {}
                Ok(files) => tell(files),
                Err(error) => failed = Some(error),
            }
        };
        let known = job.known();
        let remembered = known.filter(|known| !known.memory.config.is_empty()).and_then(|known| {
            let fingerprint = self.config_dir.fingerprint(&directory)?;
            known.memory.config.get(&fingerprint)
        });
        match remembered {
            Some(entries) => part(&entries),
            None => {
                let mut all = Vec::new();
                let fingerprints = known.is_some() && job.pace.takes_fingerprints();
                let listed = self.config_dir.list_by_parts(&directory, fingerprints, &mut |entries| {
                    part(&entries);
                    all.extend(entries);
                })?;
                if let (Some(known), Some(fingerprint)) = (known, listed.and_then(|listing| listing.fingerprint)) {
                    all.sort_unstable_by(|a: &Listed, b| a.name.cmp(&b.name));
                    known.memory.config.keep(fingerprint, known.read_at, &Arc::from(all));
                }
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}
