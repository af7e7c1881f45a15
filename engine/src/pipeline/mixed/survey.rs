//! The trip of a segment of directories: walks on, and looks at each directory once, for all detect stages that want to know.
//!
//! What is seen means nothing here; `decide` makes projects of it. A trip ends when a batch is full, so a walk is never further
//! ahead than there is room for.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::calls::Look;
use super::super::detect::Marks;
use super::super::directory::{Directory, Start};
use super::super::stops::Stops;
use super::super::walk::{MOST_DOWN, subdirectories};
use super::super::{Direction, Job, Stop, naming};
use super::MOST_ITEMS;
use super::trip::Trip;
use crate::error::Error;
use crate::matcher::{Matcher, Names, Verdict};
use crate::repository;

/// Where the directories come from, and what is to be seen in them.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) walk: Option<(Direction, Option<Matcher>)>,
    /// By detect stage of the segment; `None` for one that wants to know nothing (any more).
    pub(super) wanted: Vec<Option<Wanted>>,
    pub(super) incoming: VecDeque<Incoming>,
    ahead: Ahead,
    stops: Stops,
    /// Directories that are no project; `None` until the first trip.
    exclude: Option<Option<Matcher>>,
    /// What the last trip has brought.
    pub(super) seen: Vec<Seen>,
    /// What is wrong with incoming directories.
    pub(super) problems: Vec<Error>,
    /// The start directory, resolved, when it was among the incoming.
    pub(super) start: Option<PathBuf>,
}

#[derive(Debug)]
pub(super) enum Incoming {
    /// The request's start directory; a load without it fails.
    Start,
    /// An item of the stage before, and the path that it is.
    Item(OsString, PathBuf),
}

/// What a detect stage wants to know of a directory.
#[derive(Debug)]
pub(super) enum Wanted {
    Marks,
    /// What each of the matchers says.
    Levels {
        matchers: Vec<Matcher>,
        /// The last directory that matches counts, not the first.
        last: bool,
    },
}

/// A directory that was looked at.
#[derive(Debug)]
pub(super) struct Seen {
    /// What is sent on.
    pub(super) item: OsString,
    /// Its path; resolved if it may be a project's root.
    pub(super) path: PathBuf,
    /// Whether the walk hands it on.
    pub(super) walked: Verdict,
    /// As in [`Survey::wanted`].
    pub(super) sights: Vec<Option<Sight>>,
    /// What it holds, where leaves are asked of names.
    pub(super) names: Option<Arc<[OsString]>>,
    /// Whether it can be no project.
    pub(super) excluded: Verdict,
}

#[derive(Debug, Clone)]
pub(super) enum Sight {
    Marks {
        marks: Marks,
        /// It is the user's home directory, which no manifest makes a project by itself.
        is_home: bool,
        /// What a linked worktree is called.
        main_checkout: Option<OsString>,
    },
    Levels(Vec<Verdict>),
}

#[derive(Debug, Default)]
enum Ahead {
    #[default]
    Nothing,
    /// This one, which came in as this item.
    Only(OsString, PathBuf),
    Up(PathBuf),
    Down {
        queue: VecDeque<PathBuf>,
        left: usize,
    },
}

impl Survey {
    /// The rest of a walk up in which nobody wants to see anything (any more), as far as there is room beside `taken` others: it
    /// takes no disk.
    pub(super) fn climb(&mut self, taken: usize) -> Vec<OsString> {
        let mut items = Vec::new();
        if self.wants() || !matches!(self.walk, Some((Direction::Up, None))) {
            return items;
        }
        while taken + items.len() < MOST_ITEMS
            && let Ahead::Up(path) = &self.ahead
        {
            let above = self.stops.above(path).map_or(Ahead::Nothing, Ahead::Up);
            if let Ahead::Up(path) = std::mem::replace(&mut self.ahead, above) {
                items.push(path.into_os_string());
            }
        }
        items
    }

    /// Whether all that came in has been walked and looked at.
    pub(super) fn is_exhausted(&self) -> bool {
        self.incoming.is_empty() && matches!(self.ahead, Ahead::Nothing)
    }

    /// Whether it has to go to the disk for its directories.
    pub(super) fn needs_disk(&self) -> bool {
        self.begins() || self.walk.is_some() || self.wants()
    }

    /// Whether the start directory has still to be looked for.
    pub(super) fn begins(&self) -> bool {
        matches!(self.incoming.front(), Some(Incoming::Start))
    }

    fn wants(&self) -> bool {
        self.wanted.iter().any(Option::is_some)
    }

    /// Takes the next of the incoming directories. Whoever names one has it looked for before it is walked.
    fn enter(&mut self, job: &Job, look: &Look) -> Result<(), Stop> {
        let (item, path) = match self.incoming.front() {
            None => return Ok(()),
            Some(Incoming::Start) => {
                let path = Start::resolve(job.request.first_dir(look)?)?.path;
                self.start = Some(path.clone());
                (path.clone().into_os_string(), path)
            }
            Some(Incoming::Item(item, path)) if self.walk.is_some() => {
                look.at(path)?;
                match Start::resolve(path) {
                    Ok(start) => (item.clone(), start.path),
                    Err(error) => {
                        self.problems.push(error);
                        self.incoming.pop_front();
                        return Ok(());
                    }
                }
            }
            Some(Incoming::Item(item, path)) => (item.clone(), path.clone()),
        };
        if matches!(self.walk, Some((Direction::Up, _))) {
            let mut stops = Stops::of(&job.request, &path);
            stops.settle(job, look)?;
            self.stops = stops;
        }
        self.incoming.pop_front();
        self.ahead = match self.walk {
            None => Ahead::Only(item, path),
            Some((Direction::Up, _)) if self.stops.ends_before(&path) => Ahead::Nothing,
            Some((Direction::Up, _)) => Ahead::Up(path),
            Some((Direction::Down, _)) => Ahead::Down { queue: VecDeque::from([path]), left: MOST_DOWN },
        };
        Ok(())
    }

    /// Whether a detect stage may want to see nothing more after this.
    fn is_decisive(&self, seen: &Seen) -> bool {
        let mut pairs = seen.sights.iter().zip(&self.wanted);
        pairs.any(|(sight, wanted)| match (sight, wanted) {
            (Some(sight), Some(Wanted::Levels { last: false, .. } | Wanted::Marks)) => sight.is_decisive(),
            _ => false,
        })
    }

    /// The next directory, with those below it where the walk leads there. Nothing has changed if it is blocked.
    fn step(&mut self, job: &Job, look: &Look) -> Result<(), Stop> {
        let matched = matches!(self.walk, Some((_, Some(_))));
        let (path, goes_down) = match &self.ahead {
            Ahead::Nothing => return self.enter(job, look),
            Ahead::Only(_, path) | Ahead::Up(path) => (path.clone(), false),
            Ahead::Down { queue, .. } => match queue.front() {
                Some(path) => (path.clone(), true),
                None => {
                    self.ahead = Ahead::Nothing;
                    return Ok(());
                }
            },
        };
        let mut below = Vec::new();
        if matched || goes_down || self.wants() {
            look.at(&path)?;
        }
        if goes_down {
            below = subdirectories(&path).unwrap_or_default();
        }
        let mut seen = if matched || self.wants() {
            self.look_at(path.clone(), job, look)?
        } else {
            let sights = self.wanted.iter().map(|_| None).collect();
            let (walked, excluded) = (Verdict::Yes, Verdict::No);
            Seen { item: OsString::new(), path: path.clone(), walked, sights, names: None, excluded }
        };
        self.ahead = match std::mem::take(&mut self.ahead) {
            Ahead::Only(item, _) => {
                seen.item = item;
                Ahead::Nothing
            }
            Ahead::Down { mut queue, mut left } => {
                queue.pop_front();
                below.sort();
                below.truncate(left);
                left -= below.len();
                queue.extend(below.iter().map(|name| path.join(name)));
                Ahead::Down { queue, left }
            }
            Ahead::Up(path) => self.stops.above(&path).map_or(Ahead::Nothing, Ahead::Up),
            Ahead::Nothing => Ahead::Nothing,
        };
        if seen.item.is_empty() {
            seen.item = path.into_os_string();
        }
        if seen.walked != Verdict::No {
            self.seen.push(seen);
        }
        Ok(())
    }

    fn look_at(&mut self, path: PathBuf, job: &Job, look: &Look) -> Result<Seen, Stop> {
        let directory = Directory::open(path.clone(), job.known());
        let walked = match &self.walk {
            Some((_, Some(matcher))) => matcher.judge(&directory),
            _ => Verdict::Yes,
        };
        let mut sights = Vec::with_capacity(self.wanted.len());
        for wanted in &self.wanted {
            sights.push(match wanted {
                _ if walked == Verdict::No => None,
                None => None,
                Some(Wanted::Levels { matchers, .. }) => {
                    Some(Sight::Levels(matchers.iter().map(|level| level.judge(&directory)).collect()))
                }
                Some(Wanted::Marks) => {
                    Some(Sight::Marks { marks: Marks::of(&directory), is_home: false, main_checkout: None })
                }
            });
        }
        let may_be_root = sights.iter().flatten().any(Sight::is_of_interest);
        // What a walk leads to is resolved.
        let path = if may_be_root && self.walk.is_none() { resolve(path) } else { path };
        let excluded = match self.exclude.as_ref().and_then(Option::as_ref) {
            Some(exclude) if may_be_root => exclude.judge(&At { path: &path, directory: &directory }),
            _ => Verdict::No,
        };
        if excluded == Verdict::Yes {
            sights.iter_mut().for_each(|sight| *sight = None);
        }
        let names = of_names(&walked, &sights, &excluded).then(|| names_in(&directory));
        drop(directory);
        for sight in sights.iter_mut().flatten() {
            self.complete(sight, &path, job, look)?;
        }
        Ok(Seen { item: OsString::new(), path, walked, sights, names, excluded })
    }

    /// What the default rule wants to know beside the marks themselves.
    fn complete(&mut self, sight: &mut Sight, path: &Path, job: &Job, look: &Look) -> Result<(), Stop> {
        let Sight::Marks { marks, is_home, main_checkout } = sight else { return Ok(()) };
        match marks {
            Marks::Repository { is_main_checkout: false } => {
                *main_checkout = repository::name_of_main_checkout(path, look)?;
            }
            Marks::Manifest | Marks::Makefile => {
                if let Some(home) = &job.request.home {
                    *is_home = *path == job.memory.home.resolved(home, look)?;
                }
            }
            Marks::Repository { is_main_checkout: true } | Marks::Nothing => {}
        }
        Ok(())
    }
}

impl Trip for Survey {
    fn run(&mut self, job: &Job, look: &Look) -> Result<(), Stop> {
        if self.exclude.is_none() {
            self.exclude = Some(naming::exclude(job, look)?);
        }
        while self.seen.len() < MOST_ITEMS && !self.is_exhausted() {
            self.step(job, look)?;
            // What comes next may not have to be looked at: up there, directories can be large, and disks slow.
            if self.seen.last().is_some_and(|seen| self.is_decisive(seen)) {
                break;
            }
        }
        Ok(())
    }
}

impl Sight {
    /// Whether it ends the search for the first directory of its kind.
    pub(super) fn is_decisive(&self) -> bool {
        match self {
            Self::Marks { marks, .. } => matches!(marks, Marks::Repository { .. }),
            Self::Levels(levels) => levels.first() == Some(&Verdict::Yes),
        }
    }

    /// Whether the directory may be a project's root.
    pub(super) fn is_of_interest(&self) -> bool {
        match self {
            Self::Marks { marks, .. } => *marks != Marks::Nothing,
            Self::Levels(levels) => levels.iter().any(|level| *level != Verdict::No),
        }
    }
}

/// A directory with its resolved path.
struct At<'a> {
    path: &'a Path,
    directory: &'a Directory,
}

impl Names for At<'_> {
    fn path(&self) -> Option<&Path> {
        Some(self.path)
    }

    fn holds(&self, name: &OsStr) -> bool {
        Names::holds(self.directory, name)
    }

    fn any(&self, condition: &mut dyn FnMut(&OsStr) -> bool) -> bool {
        Names::any(self.directory, condition)
    }
}

/// Whether a leaf that these depend on is asked with names.
fn of_names(walked: &Verdict, sights: &[Option<Sight>], excluded: &Verdict) -> bool {
    let asked = |verdict: &Verdict| verdict.leaves().iter().any(|leaf| leaf.of_names);
    asked(walked)
        || asked(excluded)
        || sights.iter().flatten().any(|sight| match sight {
            Sight::Levels(levels) => levels.iter().any(asked),
            Sight::Marks { .. } => false,
        })
}

/// All entries of a directory, in byte order.
pub(super) fn names_in(directory: &Directory) -> Arc<[OsString]> {
    let mut names = Vec::new();
    Names::any(directory, &mut |name: &OsStr| {
        names.push(name.to_owned());
        false
    });
    names.sort_unstable();
    names.into()
}

fn resolve(path: PathBuf) -> PathBuf {
    match Start::resolve(&path) {
        Ok(start) => start.path,
        Err(_) => path,
    }
}
