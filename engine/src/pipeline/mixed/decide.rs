//! What one detect stage makes of the directories it is shown: a state machine without I/O.
//!
//! It is shown directories in order, and says which nest they make, as soon as that is certain; one that is rejected is left
//! out, and the next one counts. The rules are those of `detect`.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::Detect;
use super::super::detect::{Marks, nearest_own, repository};
use super::super::naming::Found as Roots;
use super::survey::{Sight, Wanted};
use crate::matcher::Verdict;

/// A detect stage at work.
#[derive(Debug)]
pub(super) struct Detecting {
    pub(super) stage: usize,
    pub(super) on_match: bool,
    /// Also where an earlier stage has found a project.
    pub(super) override_: bool,
    /// The last directory that matches, not the first.
    takes_last: bool,
    pub(super) done: bool,
    /// Directories that have been looked at and not been shown yet: an earlier stage has not decided, or leaves are to be
    /// asked.
    pub(super) waiting: VecDeque<Waiting>,
    found: Found,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) path: PathBuf,
    pub(super) sight: Sight,
    /// Whether it can be no project.
    pub(super) excluded: Verdict,
    pub(super) names: Option<Arc<[OsString]>>,
}

#[derive(Debug)]
enum Found {
    Default {
        repository: Option<(PathBuf, Option<OsString>)>,
        manifests: Vec<PathBuf>,
        /// Those with a manifest or a Makefile, other than the home directory.
        buildable: Vec<PathBuf>,
    },
    /// By priority, the directories that match.
    Levels(Vec<Vec<PathBuf>>),
}

impl Detecting {
    pub(super) fn new(stage: usize, how: &Detect, on_match: bool) -> Self {
        let (override_, takes_last, found) = match how {
            Detect::Default { override_ } => {
                let found = Found::Default { repository: None, manifests: Vec::new(), buildable: Vec::new() };
                (*override_, false, found)
            }
            Detect::Matching { matcher, override_ } => {
                (*override_, *override_, Found::Levels(vec![Vec::new(); matcher.by_priority().len()]))
            }
        };
        Self { stage, on_match, override_, takes_last, done: false, waiting: VecDeque::new(), found }
    }

    pub(super) fn wanted(how: &Detect) -> Wanted {
        match how {
            Detect::Default { .. } => Wanted::Marks,
            Detect::Matching { matcher, override_ } => {
                Wanted::Levels { matchers: matcher.by_priority().to_vec(), last: *override_ }
            }
        }
    }

    /// How many of those that wait are to be shown next: up to the first that decides for certain, so that nobody is asked
    /// about what comes after it.
    pub(super) fn next(&self) -> usize {
        let decides = |waiting: &Waiting| !self.takes_last && waiting.sight.is_decisive();
        self.waiting.iter().position(decides).map_or(self.waiting.len(), |position| position + 1)
    }

    /// Shows it a directory; `levels` is what the matchers say, if it has some.
    pub(super) fn show(&mut self, path: PathBuf, sight: &Sight, levels: &[bool]) {
        match (&mut self.found, sight) {
            (Found::Default { repository, manifests, buildable }, Sight::Marks { marks, is_home, main_checkout }) => {
                match marks {
                    Marks::Repository { .. } => *repository = Some((path, main_checkout.clone())),
                    Marks::Manifest => {
                        manifests.push(path.clone());
                        buildable.extend((!is_home).then_some(path));
                    }
                    Marks::Makefile => buildable.extend((!is_home).then_some(path)),
                    Marks::Nothing => {}
                }
            }
            (Found::Levels(found), _) => {
                for (found, _) in found.iter_mut().zip(levels).filter(|(_, matches)| **matches) {
                    // Who cannot be rejected needs no successor.
                    if self.on_match || found.is_empty() {
                        found.push(path.clone());
                    } else if self.takes_last {
                        found[0].clone_from(&path);
                    }
                }
            }
            (Found::Default { .. }, Sight::Levels(_)) => {}
        }
    }

    /// The nest that counts now; before the end of all directories only one that nothing more can change.
    pub(super) fn candidate(&self, at_end: bool) -> Option<Roots> {
        match &self.found {
            Found::Default { repository: Some((root, main_checkout)), manifests, .. } => {
                Some(repository(root, main_checkout.clone(), manifests))
            }
            Found::Default { buildable, .. } if at_end => {
                nearest_own(buildable, None).map(|root| Roots::single(root.to_path_buf()))
            }
            Found::Levels(found) if at_end => {
                let chosen = |found: &Vec<PathBuf>| if self.takes_last { found.last() } else { found.first() }.cloned();
                found.iter().find_map(chosen).map(Roots::single)
            }
            Found::Levels(found) if !self.takes_last => {
                found.first().and_then(|found| found.first()).cloned().map(Roots::single)
            }
            _ => None,
        }
    }

    /// Leaves out the innermost root of the candidate.
    pub(super) fn reject(&mut self, root: &Path) {
        match &mut self.found {
            Found::Default { repository, manifests, buildable } => {
                if !manifests.iter().any(|manifest| manifest == root) {
                    repository.take_if(|(repository, _)| repository == root);
                }
                manifests.retain(|manifest| manifest != root);
                buildable.retain(|buildable| buildable != root);
            }
            Found::Levels(found) => found.iter_mut().for_each(|found| found.retain(|found| found != root)),
        }
    }
}
