//! Watching: tells that something may have changed in `config_dir`, or in what its links lead to.
//!
//! What is told is a hint: whoever gets it compares fingerprints. Here are the task that waits for events and times, and the thread that
//! finds out what is to be watched. Which directories that are is in `watch/places.rs`, the watcher of the system in `watch/eyes.rs`,
//! which events matter in `watch/filter.rs`, when they are told in `watch/pulse.rs`.
//!
//! # Who looks at the disk
//!
//! One blocking thread at a time, which says where it looks ([`crate::calls`]). If it does not come back, it is left alone, and the next
//! one goes on without the path that hangs. The watcher belongs to the thread while it is adjusted, so one that hangs is lost with
//! it, and replaced.
//!
//! # Known limits
//!
//! - A directory above `config_dir` that is renamed is noticed with the next [`Watch::look`], except for the one right above.
//! - So is a file system that is mounted or unmounted: the system tells nobody.

mod eyes;
mod filter;
mod places;
mod pulse;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::Event;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{timeout, timeout_at};

use crate::calls::{Blocked, Calls, Look};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind};
use eyes::{Adjusted, AnyWatcher, Eyes, Sight, System};
use filter::{Filter, Interest};
use places::{Found, Identity, Item, Place, Survey};
use pulse::{Due, Pulse};

/// A thread whose call takes longer than this, twice at most, is taken not to come back.
const PATIENCE: Duration = Duration::from_millis(500);

/// As often it is looked again whether all that has come to be watched meanwhile is what is there. Twice is the rule.
const ROUNDS: usize = 8;

/// What is watched for one `config_dir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// As asked for: it may be a link, or not exist.
    pub config_dir: PathBuf,
    /// Those of loaded projects, below `config_dir`. They need not exist.
    pub directories: Vec<PathBuf>,
    /// Loaded files. Where one is a link, the directory of its target is watched, for that name only.
    pub files: Vec<PathBuf>,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something may have changed.
    Hint,
    /// Something cannot be watched, or not reliably; the error says what, why and what to do. There is a hint every 2 s for as long as
    /// that is so. Told once; again only after everything could be watched in between.
    Blind(Error),
}

type Tell = dyn Fn(Told) + Send + Sync;

/// Watches the directories that somebody wants to know about. Nothing here blocks.
pub struct Watch {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// One that watches nothing yet. `tell` is called on a worker thread, by one at a time and never inside one of these functions; it must
    /// not block. The runtime needs time.
    pub fn new(runtime: Handle, tell: impl Fn(Told) + Send + Sync + 'static) -> Arc<Self> {
        Self::on(Disk::of_process(), System::default(), runtime, tell)
    }

    fn on(disk: Disk, system: System, runtime: Handle, tell: impl Fn(Told) + Send + Sync + 'static) -> Arc<Self> {
        let (state, poked, tell) = (Mutex::default(), Notify::new(), Box::new(tell));
        Arc::new(Self { inner: Arc::new(Inner { runtime, calls: disk.calls, system, tell, state, poked }) })
    }

    /// Watches this and nothing else; where it is nothing, no thread, descriptor or timer is left. Events are told when there have been
    /// none for `debounce`, 10 s after the first at the latest. A directory that has come to be watched is a hint too: something may have
    /// happened before.
    ///
    /// Paths that are not absolute are left out.
    pub fn want(self: &Arc<Self>, wanted: Vec<Wanted>, debounce: Duration) {
        self.inner.want(&wanted, debounce);
    }

    /// Gives a hint at once, if anything is wanted, and looks whether the right directories are watched.
    pub fn look(self: &Arc<Self>) {
        let mut state = self.inner.state();
        if !state.items.is_empty() {
            state.pulse.ask();
            drop(state);
            self.inner.poked.notify_one();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.inner.want(&[], Duration::ZERO);
    }
}

struct Inner {
    runtime: Handle,
    calls: Arc<Calls>,
    system: System,
    tell: Box<Tell>,
    state: Mutex<State>,
    /// Wakes the one who waits for events and times.
    poked: Notify,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    pulse: Pulse,
    filter: Filter,
    /// Somebody waits for events and times.
    is_driven: bool,
    /// All that was due is done and told.
    #[cfg(all(test, target_os = "linux"))]
    rests: bool,
    /// That of the thread whose results count.
    turn: u64,
    /// What was found last, also where a disk has not answered since.
    known: HashMap<Item, Vec<Place>>,
    /// Away while a thread adjusts them.
    eyes: Eyes,
    is_blind: bool,
    /// Who waits for paths that others look at.
    waiting: HashMap<PathBuf, AbortHandle>,
}

/// What a thread has found out.
#[derive(Default)]
struct Surveyed {
    has_new: bool,
    problem: Option<Error>,
}

/// Which directories are to be watched, and which watches have ended.
struct Plan {
    eyes: Eyes,
    sights: BTreeMap<PathBuf, Sight>,
    ended: Vec<PathBuf>,
    problem: Option<Error>,
}

impl Inner {
    /// Held for computing only. Every state between two statements under it is a valid one, so a panic elsewhere does no harm.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn want(self: &Arc<Self>, wanted: &[Wanted], debounce: Duration) {
        let items = Item::all(wanted);
        let mut state = self.state();
        state.items = items;
        state.pulse.debounce = debounce;
        state.pulse.survey();
        // It is the one who drives that ends it all.
        let must_drive = !state.items.is_empty() && !state.is_driven;
        state.is_driven |= must_drive;
        drop(state);
        if must_drive {
            self.runtime.spawn(Arc::clone(self).drive());
        }
        self.poked.notify_one();
    }

    fn hear(&self, event: &notify::Result<Event>) {
        let mut state = self.state();
        if state.filter.heeds(event) && state.pulse.event(Instant::now()) {
            drop(state);
            self.poked.notify_one();
        }
    }

    fn tell(&self, told: Told) {
        // What goes wrong there is told there.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.tell)(told)));
    }

    /// Does what is due, until nothing is wanted.
    async fn drive(self: Arc<Self>) {
        while let Some(due) = self.due() {
            match due {
                Due::Nothing => self.poked.notified().await,
                Due::At(at) => drop(timeout_at(at.into(), self.poked.notified()).await),
                Due::Tell => self.tell(Told::Hint),
                Due::Survey => self.survey(false).await,
                Due::SurveyAndTell => self.survey(true).await,
            }
        }
    }

    /// `None`: nothing is wanted any more, and nothing is left of what was.
    fn due(&self) -> Option<Due> {
        let mut state = self.state();
        if !state.items.is_empty() {
            let due = state.pulse.take(Instant::now());
            #[cfg(all(test, target_os = "linux"))]
            {
                state.rests = due == Due::Nothing;
            }
            return Some(due);
        }
        let next = State { turn: state.turn + 1, ..State::default() };
        let left = std::mem::replace(&mut *state, next);
        drop(state);
        left.waiting.values().for_each(AbortHandle::abort);
        None
    }

    /// Looks at what there is to watch, and tells what comes of it; a hint in any case if `must_tell`.
    async fn survey(self: &Arc<Self>, must_tell: bool) {
        let surveyed = self.look_in_time().await;
        let mut state = self.state();
        if state.items.is_empty() {
            return;
        }
        let mut must_tell = must_tell;
        let mut blind = None;
        match surveyed {
            Some(Surveyed { has_new, problem }) => {
                state.pulse.poll_at(problem.is_some().then(|| Instant::now() + self.system.poll));
                let was_blind = std::mem::replace(&mut state.is_blind, problem.is_some());
                blind = problem.filter(|_| !was_blind);
                // If one is on its way, it comes later than that what is new is watched.
                must_tell |= has_new && !state.pulse.is_pending();
            }
            // The next one gets by without what hangs.
            None => state.pulse.survey(),
        }
        drop(state);
        if let Some(error) = blind {
            self.tell(Told::Blind(error));
        }
        if must_tell {
            self.tell(Told::Hint);
        }
    }

    /// Has a thread look; `None`: it does not come back.
    async fn look_in_time(self: &Arc<Self>) -> Option<Surveyed> {
        let turn = self.next_turn();
        let calls = Arc::new(AtomicU64::new(0));
        let run = {
            let (inner, calls) = (Arc::clone(self), Arc::clone(&calls));
            move || inner.run(turn, &calls)
        };
        // It panics when the system gives no thread.
        let Ok(mut thread) = catch_unwind(AssertUnwindSafe(|| self.runtime.spawn_blocking(run))) else {
            self.next_turn();
            return Some(Surveyed::failed("the system gives no thread to look at the disk; close some programs"));
        };
        let mut seen = 0;
        loop {
            match timeout(PATIENCE, &mut thread).await {
                Ok(Ok(surveyed)) => return surveyed,
                Ok(Err(_)) => return Some(Surveyed::failed("a defect of watching; please report it")),
                Err(_) => {}
            }
            let now = calls.load(Ordering::Relaxed);
            // One that has not begun waits for a thread, not for a disk.
            if now != 0 && now == seen {
                self.next_turn();
                return None;
            }
            seen = now;
        }
    }

    fn next_turn(&self) -> u64 {
        let mut state = self.state();
        state.turn += 1;
        state.turn
    }

    /// A thread: finds out what is to be watched and has it watched, until that is what is there. `None`: it was given up meanwhile.
    fn run(self: &Arc<Self>, turn: u64, calls: &AtomicU64) -> Option<Surveyed> {
        let look = Look::new(&self.calls);
        let mut surveyed = Surveyed::default();
        for _ in 0..ROUNDS {
            let items = self.of_turn(turn)?.items.clone();
            let mut survey = Survey::new(&look, calls, &*self.system.is_remote);
            let found = items.into_iter().map(|item| (survey.follow(&item), item)).collect();
            let Plan { mut eyes, sights, ended, problem } = self.plan(turn, found)?;
            let adjusted = eyes.adjust(&|| self.open(), &sights, &ended, (&look, calls));
            let Adjusted { has_new, has_missed, blocked, problem: unwatched } = adjusted;
            surveyed.has_new |= has_new;
            surveyed.problem = unwatched.or(problem);
            let mut state = self.of_turn(turn)?;
            state.eyes = eyes;
            self.wait_for(&mut state, blocked);
            drop(state);
            if !has_new && !has_missed {
                break;
            }
        }
        Some(surveyed)
    }

    fn open(self: &Arc<Self>) -> notify::Result<AnyWatcher> {
        let inner = Arc::downgrade(self);
        let hear = move |event| inner.upgrade().map_or((), |inner| inner.hear(&event));
        (self.system.open)(Box::new(hear))
    }

    /// The state, if the thread with this turn has not been given up.
    fn of_turn(&self, turn: u64) -> Option<MutexGuard<'_, State>> {
        Some(self.state()).filter(|state| state.turn == turn)
    }

    /// Keeps what was found, has events heeded accordingly, and hands the eyes to the caller. `None`: the caller was given up meanwhile.
    fn plan(self: &Arc<Self>, turn: u64, found: Vec<(Result<Found, Blocked>, Item)>) -> Option<Plan> {
        let mut state = self.of_turn(turn)?;
        let mut problem = None;
        let mut fresh = HashMap::new();
        let mut known = std::mem::take(&mut state.known);
        for (found, item) in found {
            match found {
                Ok(found) => {
                    problem = problem.or(found.problem.map(eyes::unreachable));
                    fresh.extend(found.places.iter().map(|place| (place.directory.clone(), place.identity)));
                    known.insert(item, found.places);
                }
                Err(blocked) => self.wait_for(&mut state, [blocked]),
            }
        }
        let mut sights = BTreeMap::new();
        let mut directories: HashMap<PathBuf, Interest> = HashMap::new();
        let mut names: HashMap<Identity, &Path> = HashMap::new();
        for Place { directory, identity, name, is_remote } in
            state.items.iter().filter_map(|item| known.get(item)).flatten()
        {
            if *is_remote {
                problem = problem.or_else(|| Some(eyes::unheard(directory)));
            }
            let identity = *fresh.get(directory).unwrap_or(identity);
            // One directory has one watch, whatever the paths to it.
            let known_as = names.entry(identity).or_insert(directory);
            let directory = if identity.is_unique() { known_as } else { &**directory };
            sights.insert(directory.to_owned(), Sight { identity, is_fresh: fresh.contains_key(directory) });
            let interest = directories.entry(directory.to_owned()).or_insert_with(|| Interest::Names([].into()));
            interest.add(name.as_deref());
        }
        let items: HashSet<&Item> = state.items.iter().collect();
        known.retain(|item, _| items.contains(item));
        state.known = known;
        state.filter.directories = directories;
        let (eyes, ended) = (std::mem::take(&mut state.eyes), state.filter.take_ended());
        Some(Plan { eyes, sights, ended, problem })
    }

    /// Looks again when nobody else looks at these paths any more.
    fn wait_for(self: &Arc<Self>, state: &mut State, blocked: impl IntoIterator<Item = Blocked>) {
        for Blocked(path) in blocked {
            if state.waiting.contains_key(&path) {
                continue;
            }
            let (inner, calls, waited) = (Arc::downgrade(self), Arc::clone(&self.calls), path.clone());
            let task = self.runtime.spawn(async move {
                calls.released(&waited).await;
                if let Some(inner) = inner.upgrade() {
                    let mut state = inner.state();
                    state.waiting.remove(&waited);
                    state.pulse.survey();
                    drop(state);
                    inner.poked.notify_one();
                }
            });
            state.waiting.insert(path, task.abort_handle());
        }
    }
}

impl Surveyed {
    fn failed(text: &str) -> Self {
        Self { has_new: false, problem: Some(Error::new(ErrorKind::Runtime(text.to_owned()))) }
    }
}
