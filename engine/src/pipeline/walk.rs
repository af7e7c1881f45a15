//! The first stage: directories from the start directory up to `/` (or down from it), one after the other, as they are asked
//! for.
//!
//! What they mean is decided in `detect`. Nothing is read further than the next stage asks, so a walk ends at the
//! repository.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::ahead::Levels;
use super::calls::Look;
use super::directory::{Ascent, Directory, Start, Subdirectories};
use super::listings::Known;
use super::stops::Stops;
use super::{Direction, Job, Stop};
use crate::matcher::Matcher;

/// Directories that hold other people's code: nothing below them is a package of this project.
const FOREIGN: [&str; 3] = ["node_modules", "vendor", "target"];

/// A walk down ends after this many directories: it would else read a whole disk for an answer that is near the top or
/// nowhere.
pub(super) const MOST_DOWN: usize = 10_000;

/// The directories of a walk, in order, kept once seen (several stages may look at them).
pub(super) struct Dirs<'a> {
    job: &'a Job,
    look: &'a Look,
    known: Option<Known<'a>>,
    seen: Vec<Directory>,
    rest: Rest,
    /// The levels above the start directory, where they have been begun.
    levels: Option<Levels>,
    matcher: Option<Matcher>,
    /// Directories that are no project.
    exclude: Option<Matcher>,
    stops: Stops,
}

#[derive(Debug)]
enum Rest {
    Nothing,
    Up {
        next: PathBuf,
        ascent: Ascent,
    },
    /// On a slow disk, above the start directory.
    SideBySide(Levels),
    Down {
        queue: VecDeque<PathBuf>,
        left: usize,
    },
}

impl<'a> Dirs<'a> {
    /// The start directory alone: what the stages see without a walk.
    pub(super) fn only(job: &'a Job, look: &'a Look, start: PathBuf, exclude: Option<Matcher>) -> Self {
        Self {
            job,
            look,
            known: None,
            seen: vec![Directory::by_path(start)],
            rest: Rest::Nothing,
            levels: None,
            matcher: None,
            exclude,
            stops: Stops::default(),
        }
    }

    /// A walk that begins with `start`; directories that do not match are passed over. `levels`: those above it, on a slow disk.
    pub(super) fn walk(
        job: &'a Job,
        look: &'a Look,
        start: Start,
        direction: Direction,
        matcher: Option<Matcher>,
        levels: Option<Levels>,
    ) -> Self {
        let stops = match direction {
            Direction::Up => Stops::of(&job.request, &start.path),
            Direction::Down => Stops::default(),
        };
        let rest = match direction {
            Direction::Up if stops.ends_before(&start.path) => Rest::Nothing,
            Direction::Up => Rest::Up { ascent: Ascent::from(&start, levels.is_some()), next: start.path },
            Direction::Down => Rest::Down { queue: VecDeque::from([start.path]), left: MOST_DOWN },
        };
        let known = job.known();
        Self { job, look, known, seen: Vec::new(), rest, levels, matcher, exclude: None, stops }
    }

    /// The same walk, but that directories which match cannot be projects.
    pub(super) fn without(self, exclude: Option<Matcher>) -> Self {
        Self { exclude, ..self }
    }

    /// Whether the directory at `index`, which looks like a project, may be one. If it is beyond the end of the walk, that has ended before
    /// it.
    ///
    /// # Errors
    /// `Blocked`: somebody else is looking at where the walk may end.
    pub(super) fn admits(&mut self, index: usize) -> Result<bool, Stop> {
        let Some(directory) = self.seen.get(index) else { return Ok(false) };
        if self.stops.are_passed_by(&directory.path, self.job, self.look)? {
            self.seen.truncate(index);
            (self.rest, self.levels) = (Rest::Nothing, None);
            return Ok(false);
        }
        Ok(!self.exclude.as_ref().is_some_and(|exclude| exclude.matches(directory)))
    }

    /// The directory at `index`, reading on as far as needed; `None` beyond the last.
    pub(super) fn get(&mut self, index: usize) -> Result<Option<&Directory>, Stop> {
        while self.seen.len() <= index {
            let Some(directory) = self.advance()? else { return Ok(None) };
            if self.matcher.as_ref().is_none_or(|matcher| matcher.matches(&directory)) {
                self.seen.push(directory);
            }
        }
        Ok(self.seen.get(index))
    }

    /// As [`Directory::subdirectories`], if the walk has come to the directory at `path`.
    pub(super) fn subdirectories_of(&self, path: &Path) -> Option<Subdirectories> {
        self.seen.iter().find(|directory| directory.path == path)?.subdirectories()
    }

    fn advance(&mut self) -> Result<Option<Directory>, Stop> {
        match &mut self.rest {
            Rest::Nothing => Ok(None),
            Rest::Up { next, ascent } => {
                self.look.at(next)?;
                let path = std::mem::take(next);
                let parent = self.stops.above(&path);
                let directory = ascent.next(path, self.known);
                match (parent, self.levels.take()) {
                    (_, Some(levels)) => self.rest = Rest::SideBySide(levels),
                    (Some(parent), None) => *next = parent,
                    (None, None) => self.rest = Rest::Nothing,
                }
                Ok(Some(directory))
            }
            Rest::SideBySide(levels) => levels.next(self.look),
            Rest::Down { queue, left } => {
                let Some(path) = queue.pop_front() else { return Ok(None) };
                self.look.at(&path)?;
                let mut below = subdirectories(&path).unwrap_or_default();
                below.sort();
                below.truncate(*left);
                *left -= below.len();
                queue.extend(below.iter().map(|name| path.join(name)));
                Ok(Some(Directory::by_path(path)))
            }
        }
    }
}

/// The names of the directories in `path` that may be packages, in no order: nothing hidden, no links, nothing foreign.
///
/// # Errors
/// When it cannot be listed.
pub(super) fn subdirectories(path: &Path) -> io::Result<Vec<OsString>> {
    let directories = std::fs::read_dir(path)?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name())
        .filter(|name| may_be_package(name));
    Ok(directories.collect())
}

/// Whether a directory of this name may be a package.
pub(super) fn may_be_package(name: &OsStr) -> bool {
    !name.as_encoded_bytes().starts_with(b".") && !is_foreign(name)
}

/// Whether a directory of this name holds other people's code.
pub(super) fn is_foreign(name: &OsStr) -> bool {
    FOREIGN.iter().any(|foreign| name == *foreign)
}
