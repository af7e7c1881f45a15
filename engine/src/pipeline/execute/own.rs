//! Which files are a project's own, where they were read before that was known: on a slow disk.
//!
//! What belongs to packages is found out in `packages`, side by side with the reading; [`super`] leaves out of the plan what is not
//! the project's.

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::Arc;

use super::{Candidate, Outcome, Unit};

/// Which of the files in projects' directories are the projects' own, where they have been read before that was known.
#[derive(Debug, Default)]
pub(super) struct Own {
    packages: Vec<(usize, HashSet<OsString>)>,
    /// Layers whose directories were not read to their end, or of which nobody knows what is the packages'.
    unknown: Vec<usize>,
}

impl Own {
    pub(super) fn of(units: &[(Arc<Unit>, Option<Outcome>)]) -> Self {
        let mut own = Self::default();
        for (unit, outcome) in units {
            match (&**unit, outcome) {
                (Unit::Packages(layer, _), Some(Outcome::Packages(stems))) => {
                    own.packages.push((*layer, stems.clone()))
                }
                (Unit::Packages(layer, _) | Unit::Directory(layer), None | Some(Outcome::Failed(_))) => {
                    own.unknown.push(*layer);
                }
                _ => {}
            }
        }
        own
    }

    pub(super) fn takes(&self, file: &Candidate) -> bool {
        let layer = file.rank.layer;
        let is_packages = |(of, stems): &(usize, HashSet<OsString>)| {
            *of == layer && file.stem().is_some_and(|stem| stems.contains(stem))
        };
        !file.rank.in_directory || !self.unknown.contains(&layer) && !self.packages.iter().any(is_packages)
    }
}
