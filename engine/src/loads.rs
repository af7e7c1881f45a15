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
    /// It only looks at what has changed for a project that is loaded ([`Reason::ConfigDir`]), which answers nobody else.
    pub is_check: bool,
}

/// Why there is a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A file of the project's configuration has changed.
    ConfigDir,
    /// The user has entered a buffer.
    Buffer,
    /// The current directory has changed.
    Cwd,
    /// The editor starts, or has come to its first file.
    Startup,
    /// A user or a plugin has asked for it.
    Manual,
}

impl Reason {
    /// Its name for users.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigDir => "config_dir",
            Self::Buffer => "buffer",
            Self::Cwd => "cwd",
            Self::Startup => "startup",
            Self::Manual => "manual",
        }
    }

    /// The reason of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::ConfigDir, Self::Buffer, Self::Cwd, Self::Startup, Self::Manual];
        all.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Whether the load goes where the user is, and so gives way to a newer one that does. Others are ended by `clear()` and `setup()` only.
    fn gives_way(self) -> bool {
        matches!(self, Self::Buffer | Self::Cwd | Self::Startup)
    }

    /// Whether the load is of use only where the user has come to another project.
    pub fn follows(self) -> bool {
        matches!(self, Self::Buffer | Self::Cwd)
    }
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

/// The answer to [`Loads::commit`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Its project becomes the current one.
    pub current: bool,
    /// Automatic requests whose files ran until now.
    pub superseded: Vec<RequestId>,
}

#[derive(Debug)]
struct Run {
    key: Key,
    requests: Vec<(RequestId, Reason)>,
    /// The run that answers equal loads asked for while this one runs.
    next: Option<RunId>,
    /// Waiting for an equal run to end.
    queued: bool,
    /// It has found its project, and its files may be running.
    committed: bool,
}

impl Run {
    fn gives_way(&self) -> bool {
        self.requests.iter().all(|(_, reason)| reason.gives_way())
    }

    /// The weightiest one; of two that follow the user, the later one.
    fn reason(&self) -> Option<Reason> {
        let weight = |reason: Reason| if reason.follows() { Reason::Buffer } else { reason };
        self.requests.iter().map(|(_, reason)| *reason).max_by_key(|reason| weight(*reason))
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
    pub fn ask(&mut self, key: Key, reason: Reason) -> Asked {
        let mut superseded = Vec::new();
        if reason.gives_way() {
            // One whose files run goes on: this one may find that the user is where he was. So does what start-up loads: where he is may be no
            // project at all.
            let stays = |run: &Run| run.committed || (reason.follows() && run.reason() == Some(Reason::Startup));
            superseded = self.supersede(|run| run.key != key && !stays(run));
        }
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
                self.runs.insert(
                    id,
                    Run { key, requests: Vec::new(), next: None, queued: running.is_some(), committed: false },
                );
                id
            }
        };
        if let Some(run) = self.runs.get_mut(&run) {
            run.requests.push((request, reason));
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

    /// Why the run takes place; `None` if it is not live.
    pub fn reason(&self, run: RunId) -> Option<Reason> {
        self.runs.get(&run).and_then(Run::reason)
    }

    /// Notes that the run found its project; true if that project becomes the current one, which it does unless a load that was
    /// asked for later was committed before. Only the session's family has a current one, and who only looks at what has changed makes none.
    pub fn commit(&mut self, run: RunId) -> Committed {
        let Some(committed) = self.runs.get_mut(&run) else { return Committed::default() };
        committed.committed = true;
        if committed.key.is_check || committed.key.family != FamilyId::SESSION {
            return Committed::default();
        }
        let (key, asked) = (committed.key.clone(), requests(committed).max());
        if asked < self.committed {
            return Committed::default();
        }
        self.committed = asked;
        // Should an older one run its files after this one, they would be those of a project that the user has left.
        let is_older = |run: &Run| run.committed || requests(run).max() < asked;
        Committed { current: true, superseded: self.supersede(|run| run.key != key && is_older(run)) }
    }

    /// Notes that the run has found that the user is where he was: a load that was asked for earlier does not lead away any more.
    pub fn stay(&mut self, run: RunId) {
        let asked = self.runs.get(&run).and_then(|run| requests(run).max());
        self.committed = self.committed.max(asked);
    }

    /// Ends those of these runs that nobody waits for. A run that a user waits behind is not among them: what waits starts only when it
    /// ends.
    fn supersede(&mut self, may_end: impl Fn(&Run) -> bool) -> Vec<RequestId> {
        let gives_way = |id: &RunId| self.runs.get(id).is_some_and(Run::gives_way);
        let ends =
            |(id, run): &(&RunId, &Run)| may_end(run) && gives_way(id) && run.next.as_ref().is_none_or(gives_way);
        let given_up: Vec<RunId> = self.runs.iter().filter(ends).map(|(id, _)| *id).collect();
        self.cancel_where(|id, _| given_up.contains(&id))
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
        Key {
            family: FamilyId::SESSION,
            start_dir: dir.into(),
            config_dir: "/config".into(),
            options: 1,
            is_check: false,
        }
    }

    #[test]
    fn equal_loads_share_one_further_run() {
        let mut loads = Loads::default();
        let first = loads.ask(key("/a"), Reason::Manual);
        let rest: Vec<Asked> = (0..49).map(|_| loads.ask(key("/a"), Reason::Manual)).collect();
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
        let first = loads.ask(key("/a"), Reason::Manual);
        let second = loads.ask(key("/a"), Reason::Manual);
        loads.end(first.run);
        let third = loads.ask(key("/a"), Reason::Manual);
        assert_eq!(third.behind, Some(second.run));
        assert_eq!(loads.end(second.run).next, Some(third.run));
    }

    #[test]
    fn loads_of_different_directories_or_options_are_independent() {
        let mut loads = Loads::default();
        loads.ask(key("/a"), Reason::Manual);
        assert_eq!(loads.ask(key("/b"), Reason::Manual).behind, None);
        assert_eq!(loads.ask(Key { options: 2, ..key("/a") }, Reason::Manual).behind, None);
    }

    #[test]
    fn the_load_asked_for_last_becomes_current_whatever_ends_first() {
        let mut loads = Loads::default();
        let a = loads.ask(key("/a"), Reason::Manual);
        let b = loads.ask(key("/b"), Reason::Manual);
        assert!(loads.commit(b.run).current);
        assert!(!loads.commit(a.run).current);
    }

    #[test]
    fn an_automatic_load_gives_way_to_a_newer_one_and_a_users_load_does_not() {
        let mut loads = Loads::default();
        let automatic = loads.ask(key("/a"), Reason::Startup);
        let user = loads.ask(key("/b"), Reason::Manual);
        let newer = loads.ask(key("/c"), Reason::Startup);
        assert_eq!(newer.superseded, [automatic.request]);
        assert!(!loads.is_live(automatic.run));
        assert!(loads.is_live(user.run));
    }

    #[test]
    fn an_automatic_run_that_a_user_waits_behind_does_not_give_way() {
        let mut loads = Loads::default();
        let running = loads.ask(key("/a"), Reason::Startup);
        let user = loads.ask(key("/a"), Reason::Manual);
        assert_eq!(loads.ask(key("/b"), Reason::Startup).superseded, []);
        assert_eq!(loads.end(running.run).next, Some(user.run));
    }

    #[test]
    fn an_automatic_load_queued_behind_a_users_gives_way_alone() {
        let mut loads = Loads::default();
        let user = loads.ask(key("/a"), Reason::Manual);
        let automatic = loads.ask(key("/a"), Reason::Startup);
        assert_eq!(loads.ask(key("/b"), Reason::Startup).superseded, [automatic.request]);
        assert_eq!(loads.end(user.run), Ended { answered: vec![user.request], next: None });
    }

    #[test]
    fn cancelling_ends_the_run_and_those_behind_it_once() {
        let mut loads = Loads::default();
        let a = loads.ask(key("/a"), Reason::Manual);
        let queued = loads.ask(key("/a"), Reason::Manual);
        let b = loads.ask(key("/b"), Reason::Manual);
        assert_eq!(loads.cancel(&[a.run]), [a.request, queued.request]);
        assert_eq!(loads.cancel_all(FamilyId::SESSION), [b.request]);
        assert_eq!(loads.cancel_all(FamilyId::SESSION), []);
        assert_eq!(loads.end(a.run), Ended::default());
    }

    #[test]
    fn families_neither_share_nor_cancel_each_others_loads_and_only_the_session_has_a_current_project() {
        let mut loads = Loads::default();
        let family = crate::contexts::Contexts::default().create_family();
        let own = loads.ask(key("/a"), Reason::Manual);
        let other = loads.ask(Key { family, ..key("/a") }, Reason::Manual);
        assert_eq!(other.behind, None);
        assert!(!loads.commit(other.run).current);
        assert!(loads.commit(own.run).current);
        assert_eq!(loads.cancel_all(FamilyId::SESSION), [own.request]);
        assert!(loads.is_live(other.run));
        assert_eq!(loads.cancel_all(family), [other.request]);
    }

    #[test]
    fn a_withdrawn_call_is_not_answered_again() {
        let mut loads = Loads::default();
        let running = loads.ask(key("/a"), Reason::Manual);
        let withdrawn = loads.ask(key("/a"), Reason::Manual);
        let other = loads.ask(key("/a"), Reason::Manual);
        assert!(loads.withdraw(withdrawn.request));
        assert!(!loads.withdraw(withdrawn.request));
        assert_eq!(loads.end(running.run).next, Some(other.run));
        assert_eq!(loads.end(other.run).answered, [other.request]);
    }

    #[test]
    fn a_queued_run_whose_every_call_was_withdrawn_does_not_start() {
        let mut loads = Loads::default();
        let running = loads.ask(key("/a"), Reason::Manual);
        let queued = loads.ask(key("/a"), Reason::Manual);
        let other = loads.ask(key("/a"), Reason::Manual);
        assert!(loads.withdraw(other.request));
        assert!(loads.withdraw(queued.request));
        assert!(!loads.is_live(queued.run));
        assert_eq!(loads.end(running.run), Ended { answered: vec![running.request], next: None });
    }

    #[test]
    fn a_look_at_what_has_changed_neither_gives_way_nor_makes_a_project_current() {
        let mut loads = Loads::default();
        let check = loads.ask(Key { is_check: true, ..key("/a") }, Reason::ConfigDir);
        let follow = loads.ask(key("/b"), Reason::Buffer);
        assert_eq!(follow.superseded, []);
        let later = loads.ask(Key { is_check: true, ..key("/c") }, Reason::ConfigDir);
        assert_eq!(later.superseded, []);
        assert!(!loads.commit(later.run).current);
        assert!(loads.commit(follow.run).current, "what only looks is not the last load that was asked for");
        assert!(!loads.commit(check.run).current);
    }

    #[test]
    fn a_look_at_what_has_changed_answers_no_load_of_the_same_directory() {
        let mut loads = Loads::default();
        loads.ask(Key { is_check: true, ..key("/a") }, Reason::ConfigDir);
        assert_eq!(loads.ask(key("/a"), Reason::Manual).behind, None);
    }

    #[test]
    fn who_shares_a_run_with_a_user_gets_what_the_user_wants() {
        let mut loads = Loads::default();
        loads.ask(key("/a"), Reason::Manual);
        let shared = loads.ask(key("/a"), Reason::Cwd);
        assert_eq!(loads.reason(shared.run), Some(Reason::Cwd));
        loads.ask(key("/a"), Reason::Buffer);
        assert_eq!(loads.reason(shared.run), Some(Reason::Buffer), "the latest of the two decides");
        loads.ask(key("/a"), Reason::Manual);
        loads.ask(key("/a"), Reason::Cwd);
        assert_eq!(loads.reason(shared.run), Some(Reason::Manual));
    }

    #[test]
    fn reasons_are_found_by_their_names() {
        for reason in [Reason::ConfigDir, Reason::Buffer, Reason::Cwd, Reason::Startup, Reason::Manual] {
            assert_eq!(Reason::named(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::named(""), None);
    }

    #[test]
    fn an_automatic_load_whose_files_run_gives_way_only_to_one_that_leads_elsewhere() {
        let mut loads = Loads::default();
        let running = loads.ask(key("/a"), Reason::Startup);
        loads.commit(running.run);
        let same = loads.ask(key("/a/deep"), Reason::Buffer);
        assert_eq!(same.superseded, []);
        loads.stay(same.run);
        loads.end(same.run);
        assert!(loads.is_live(running.run));
        let other = loads.ask(key("/b"), Reason::Buffer);
        assert_eq!(loads.commit(other.run), Committed { current: true, superseded: vec![running.request] });
        assert!(!loads.is_live(running.run));
    }

    #[test]
    fn who_follows_to_where_the_user_was_before_he_asked_for_another_project_gives_way_to_that() {
        let mut loads = Loads::default();
        let follow = loads.ask(key("/b"), Reason::Buffer);
        let user = loads.ask(key("/a"), Reason::Manual);
        assert_eq!(user.superseded, []);
        assert_eq!(loads.commit(user.run), Committed { current: true, superseded: vec![follow.request] });
        assert!(!loads.is_live(follow.run));
    }

    #[test]
    fn what_start_up_loads_gives_way_only_to_one_that_has_found_where_the_user_is() {
        let mut loads = Loads::default();
        let start = loads.ask(key("/a"), Reason::Startup);
        let nowhere = loads.ask(key("/tmp"), Reason::Buffer);
        assert_eq!(nowhere.superseded, []);
        loads.end(nowhere.run);
        assert!(loads.is_live(start.run));
        let elsewhere = loads.ask(key("/b"), Reason::Buffer);
        assert_eq!(elsewhere.superseded, []);
        assert_eq!(loads.commit(elsewhere.run), Committed { current: true, superseded: vec![start.request] });
        assert_eq!(loads.ask(key("/c"), Reason::Startup).superseded, [], "its files run");
    }

    #[test]
    fn what_follows_the_user_gives_way_to_a_later_load_that_is_committed_before_it() {
        let mut loads = Loads::default();
        let follow = loads.ask(key("/slow"), Reason::Buffer);
        let user = loads.ask(key("/b"), Reason::Manual);
        assert_eq!(user.superseded, []);
        let later = loads.ask(key("/c"), Reason::Buffer);
        assert_eq!(later.superseded, [follow.request]);
        assert_eq!(loads.commit(user.run), Committed { current: true, superseded: vec![] });
        assert!(loads.commit(later.run).current, "it was asked for after the user's");

        let follow = loads.ask(key("/slow"), Reason::Cwd);
        let user = loads.ask(key("/b"), Reason::Manual);
        let check = loads.ask(Key { is_check: true, ..key("/slow") }, Reason::ConfigDir);
        assert_eq!(loads.commit(user.run).superseded, [later.request, follow.request]);
        assert!(!loads.is_live(follow.run));
        assert!(loads.is_live(check.run));
    }

    #[test]
    fn who_finds_that_the_user_is_where_he_was_keeps_an_earlier_load_from_leading_away() {
        let mut loads = Loads::default();
        let away = loads.ask(key("/b"), Reason::Manual);
        let back = loads.ask(key("/a"), Reason::Buffer);
        loads.stay(back.run);
        assert!(!loads.commit(away.run).current);
    }
}
