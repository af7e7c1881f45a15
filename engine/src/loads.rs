//! Which loads run, which wait, and who is answered: the rules for many loads at once, as a state machine without I/O.
//!
//! An equal load (same family of contexts, same directory, same options) that is asked for while one runs is answered by one further
//! run, shared by all that ask meanwhile; unequal loads are independent. What runs *in* a load is not known here: see [`crate::pipeline`] and the
//! module's executors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::contexts::FamilyId;

/// One call that wants an answer. Later calls have greater numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One execution of a load; the generation of its results. A run that is not [`Loads::is_live`] has no effect any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// What makes two loads equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose contexts it is for.
    pub family: FamilyId,
    /// Where the walk begins, as asked for.
    pub start_dir: PathBuf,
    /// The directory of the configuration files.
    pub config_dir: PathBuf,
    /// Identity of the options in force, given out by whoever can compare them.
    pub options: u64,
}

/// Who asked for a load, and so who may end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A user or a plugin: only `clear()` and `setup()` end it.
    User,
    /// Start-up, lazy loading, a watcher: gives way to a newer automatic load.
    Automatic,
}

/// The answer to [`Loads::ask`].
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// The number of this call.
    pub request: RequestId,
    /// The run that will answer it.
    pub run: RunId,
    /// The running run it has to wait for; `None`: the run starts now, and the caller has to start it.
    pub behind: Option<RunId>,
    /// Automatic requests that this one ended.
    pub superseded: Vec<RequestId>,
}

/// The answer to [`Loads::end`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The calls that this run answers, in the order in which they were made.
    pub answered: Vec<RequestId>,
    /// The run that waited for this one and starts now.
    pub next: Option<RunId>,
}

#[derive(Debug)]
struct Run {
    key: Key,
    requests: Vec<(RequestId, Origin)>,
    /// The run that answers equal loads asked for while this one runs.
    next: Option<RunId>,
    /// Waiting for an equal run to end.
    queued: bool,
}

impl Run {
    fn is_automatic(&self) -> bool {
        self.requests.iter().all(|(_, origin)| *origin == Origin::Automatic)
    }
}

/// All loads that are under way.
#[derive(Debug, Default)]
pub struct Loads {
    runs: BTreeMap<RunId, Run>,
    last_id: u64,
    /// The latest request of the session's whose run was committed; decides which project is current.
    committed: Option<RequestId>,
}

impl Loads {
    /// The number of a call that asks for something else than a load.
    pub fn new_request(&mut self) -> RequestId {
        RequestId(self.new_id())
    }

    /// Asks for a load.
    pub fn ask(&mut self, key: Key, origin: Origin) -> Asked {
        let superseded = match origin {
            Origin::User => Vec::new(),
            Origin::Automatic => {
                let gives_way = self.automatic_runs(&key);
                self.cancel_where(|id, _| gives_way.contains(&id))
            }
        };
        let request = RequestId(self.new_id());
        let running = self.runs.iter().find(|(_, run)| !run.queued && run.key == key).map(|(id, _)| *id);
        let waiting = running.and_then(|id| self.runs[&id].next);
        let run = match waiting {
            Some(id) => id,
            None => {
                let id = RunId(self.new_id());
                if let Some(run) = running.and_then(|id| self.runs.get_mut(&id)) {
                    run.next = Some(id);
                }
                self.runs.insert(id, Run { key, requests: Vec::new(), next: None, queued: running.is_some() });
                id
            }
        };
        if let Some(run) = self.runs.get_mut(&run) {
            run.requests.push((request, origin));
        }
        Asked { request, run, behind: running, superseded }
    }

    /// Ends a run: who is answered by it, and what starts now. Nothing for a run that is not live.
    pub fn end(&mut self, run: RunId) -> Ended {
        let Some(ended) = self.runs.remove(&run) else { return Ended::default() };
        if let Some(next) = ended.next.and_then(|id| self.runs.get_mut(&id)) {
            next.queued = false;
        }
        Ended { answered: requests(&ended).collect(), next: ended.next }
    }

    /// Takes one call out of its run; false if it was answered or cancelled before. A run that has not begun and that nobody waits for
    /// any more is dropped: a file that asks for its own load would otherwise run again, and ask again, for ever.
    pub fn withdraw(&mut self, request: RequestId) -> bool {
        let Some(run) = self.runs.values_mut().find(|run| requests(run).any(|id| id == request)) else { return false };
        run.requests.retain(|(id, _)| *id != request);
        self.cancel_where(|_, run| run.queued && run.requests.is_empty());
        true
    }

    /// Ends every load of the family, and says whose calls are to be answered with `cancelled`.
    pub fn cancel_all(&mut self, family: FamilyId) -> Vec<RequestId> {
        self.cancel_where(|_, run| run.key.family == family)
    }

    /// Whose contexts the run is for; `None` if it is not live.
    pub fn family(&self, run: RunId) -> Option<FamilyId> {
        self.runs.get(&run).map(|run| run.key.family)
    }

    /// Ends these runs and those that wait for them.
    pub fn cancel(&mut self, runs: &[RunId]) -> Vec<RequestId> {
        let keys: Vec<Key> = runs.iter().filter_map(|id| self.runs.get(id)).map(|run| run.key.clone()).collect();
        self.cancel_where(|_, run| keys.contains(&run.key))
    }

    /// Whether the results of this run still count.
    pub fn is_live(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    /// Notes that the run found its project; true if that project becomes the current one, which it does unless a load that was
    /// asked for later was committed before. Only the session's family has a current one.
    pub fn commit(&mut self, run: RunId) -> bool {
        if self.family(run) != Some(FamilyId::SESSION) {
            return false;
        }
        let asked = self.runs.get(&run).and_then(|run| requests(run).max());
        let newest = asked >= self.committed;
        if newest {
            self.committed = asked;
        }
        newest
    }

    /// The runs that nobody but automation asked for, those of `key` left out. A run that a user waits behind is not among them: what
    /// waits starts only when it ends.
    fn automatic_runs(&self, key: &Key) -> Vec<RunId> {
        let automatic = |id: &RunId| self.runs.get(id).is_some_and(Run::is_automatic);
        self.runs
            .iter()
            .filter(|(id, run)| run.key != *key && automatic(id) && run.next.as_ref().is_none_or(automatic))
            .map(|(id, _)| *id)
            .collect()
    }

    fn cancel_where(&mut self, ends: impl Fn(RunId, &Run) -> bool) -> Vec<RequestId> {
        let mut cancelled = Vec::new();
        self.runs.retain(|id, run| {
            let end = ends(*id, run);
            if end {
                cancelled.extend(requests(run));
            }
            !end
        });
        let live: Vec<RunId> = self.runs.keys().copied().collect();
        for run in self.runs.values_mut() {
            run.next = run.next.filter(|next| live.contains(next));
        }
        cancelled.sort_unstable();
        cancelled
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

fn requests(run: &Run) -> impl Iterator<Item = RequestId> + '_ {
    run.requests.iter().map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(dir: &str) -> Key {
        Key { family: FamilyId::SESSION, start_dir: dir.into(), config_dir: "/config".into(), options: 1 }
    }

    #[test]
    fn equal_loads_share_one_further_run() {
        let mut loads = Loads::default();
        let first = loads.ask(key("/a"), Origin::User);
        let rest: Vec<Asked> = (0..49).map(|_| loads.ask(key("/a"), Origin::User)).collect();
        assert_eq!(first.behind, None);
        assert!(rest.iter().all(|asked| asked.behind == Some(first.run) && asked.run == rest[0].run));

        let ended = loads.end(first.run);
        assert_eq!(ended, Ended { answered: vec![first.request], next: Some(rest[0].run) });
        let ended = loads.end(rest[0].run);
        assert_eq!(ended.answered, rest.iter().map(|asked| asked.request).collect::<Vec<_>>());
        assert_eq!(ended.next, None);
    }

    #[test]
    fn a_load_asked_for_during_the_further_run_waits_for_that_one() {
        let mut loads = Loads::default();
        let first = loads.ask(key("/a"), Origin::User);
        let second = loads.ask(key("/a"), Origin::User);
        loads.end(first.run);
        let third = loads.ask(key("/a"), Origin::User);
        assert_eq!(third.behind, Some(second.run));
        assert_eq!(loads.end(second.run).next, Some(third.run));
    }

    #[test]
    fn loads_of_different_directories_or_options_are_independent() {
        let mut loads = Loads::default();
        loads.ask(key("/a"), Origin::User);
        assert_eq!(loads.ask(key("/b"), Origin::User).behind, None);
        assert_eq!(loads.ask(Key { options: 2, ..key("/a") }, Origin::User).behind, None);
    }

    #[test]
    fn the_load_asked_for_last_becomes_current_whatever_ends_first() {
        let mut loads = Loads::default();
        let a = loads.ask(key("/a"), Origin::User);
        let b = loads.ask(key("/b"), Origin::User);
        assert!(loads.commit(b.run));
        assert!(!loads.commit(a.run));
    }

    #[test]
    fn an_automatic_load_gives_way_to_a_newer_one_and_a_users_load_does_not() {
        let mut loads = Loads::default();
        let automatic = loads.ask(key("/a"), Origin::Automatic);
        let user = loads.ask(key("/b"), Origin::User);
        let newer = loads.ask(key("/c"), Origin::Automatic);
        assert_eq!(newer.superseded, [automatic.request]);
        assert!(!loads.is_live(automatic.run));
        assert!(loads.is_live(user.run));
    }

    #[test]
    fn an_automatic_run_that_a_user_waits_behind_does_not_give_way() {
        let mut loads = Loads::default();
        let running = loads.ask(key("/a"), Origin::Automatic);
        let user = loads.ask(key("/a"), Origin::User);
        assert_eq!(loads.ask(key("/b"), Origin::Automatic).superseded, []);
        assert_eq!(loads.end(running.run).next, Some(user.run));
    }

    #[test]
    fn an_automatic_load_queued_behind_a_users_gives_way_alone() {
        let mut loads = Loads::default();
        let user = loads.ask(key("/a"), Origin::User);
        let automatic = loads.ask(key("/a"), Origin::Automatic);
        assert_eq!(loads.ask(key("/b"), Origin::Automatic).superseded, [automatic.request]);
        assert_eq!(loads.end(user.run), Ended { answered: vec![user.request], next: None });
    }

    #[test]
    fn cancelling_ends_the_run_and_those_behind_it_once() {
        let mut loads = Loads::default();
        let a = loads.ask(key("/a"), Origin::User);
        let queued = loads.ask(key("/a"), Origin::User);
        let b = loads.ask(key("/b"), Origin::User);
        assert_eq!(loads.cancel(&[a.run]), [a.request, queued.request]);
        assert_eq!(loads.cancel_all(FamilyId::SESSION), [b.request]);
        assert_eq!(loads.cancel_all(FamilyId::SESSION), []);
        assert_eq!(loads.end(a.run), Ended::default());
    }

    #[test]
    fn families_neither_share_nor_cancel_each_others_loads_and_only_the_session_has_a_current_project() {
        let mut loads = Loads::default();
        let family = crate::contexts::Contexts::default().create_family();
        let own = loads.ask(key("/a"), Origin::User);
        let other = loads.ask(Key { family, ..key("/a") }, Origin::User);
        assert_eq!(other.behind, None);
        assert!(!loads.commit(other.run));
        assert!(loads.commit(own.run));
        assert_eq!(loads.cancel_all(FamilyId::SESSION), [own.request]);
        assert!(loads.is_live(other.run));
        assert_eq!(loads.cancel_all(family), [other.request]);
    }

    #[test]
    fn a_withdrawn_call_is_not_answered_again() {
        let mut loads = Loads::default();
        let running = loads.ask(key("/a"), Origin::User);
        let withdrawn = loads.ask(key("/a"), Origin::User);
        let other = loads.ask(key("/a"), Origin::User);
        assert!(loads.withdraw(withdrawn.request));
        assert!(!loads.withdraw(withdrawn.request));
        assert_eq!(loads.end(running.run).next, Some(other.run));
        assert_eq!(loads.end(other.run).answered, [other.request]);
    }

    #[test]
    fn a_queued_run_whose_every_call_was_withdrawn_does_not_start() {
        let mut loads = Loads::default();
        let running = loads.ask(key("/a"), Origin::User);
        let queued = loads.ask(key("/a"), Origin::User);
        let other = loads.ask(key("/a"), Origin::User);
        assert!(loads.withdraw(other.request));
        assert!(loads.withdraw(queued.request));
        assert!(!loads.is_live(queued.run));
        assert_eq!(loads.end(running.run), Ended { answered: vec![running.request], next: None });
    }
}
