//! Which events may matter: those in a watched directory, or of one name in it; never reading, nor what saves keep beside their target.
//!
//! Pure data, asked once an event, so cheap. Which directories these are is found out in `places.rs`. Here it is also noted which watches an
//! event has ended: they die with their directory, and `notify` drops those at and below a path that is moved or removed.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use notify::event::{Event, EventKind, ModifyKind};

use crate::store;

/// What matters in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Interest {
    /// Every name.
    All,
    /// These names.
    Names(BTreeSet<OsString>),
}

impl Interest {
    /// Adds a name; `None`: all.
    pub(super) fn add(&mut self, name: Option<&OsStr>) {
        match (&mut *self, name) {
            (Self::All, _) => {}
            (Self::Names(names), Some(name)) => drop(names.insert(name.to_owned())),
            (Self::Names(_), None) => *self = Self::All,
        }
    }

    fn covers(&self, name: &OsStr) -> bool {
        match self {
            Self::All => !store::is_beside(name),
            Self::Names(names) => names.contains(name),
        }
    }
}

/// The directories in force, and the watches that have ended.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) directories: HashMap<PathBuf, Interest>,
    ended: Vec<PathBuf>,
}

impl Filter {
    /// Whether something may have changed.
    pub(super) fn heeds(&mut self, event: &notify::Result<Event>) -> bool {
        let Some(event) = event.as_ref().ok().filter(|event| !event.need_rescan()) else {
            // Among what was lost can be the end of any.
            self.ended = self.directories.keys().cloned().collect();
            return true;
        };
        if event.kind.is_access() {
            return false;
        }
        let is_gone = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        // One without a path could be about anything.
        let mut heeds = event.paths.is_empty();
        for path in &event.paths {
            heeds |= self.heeds_itself(path, is_gone) || self.heeds_name(path);
        }
        heeds
    }

    /// The watches that have ended since this was asked for; also those below have.
    pub(super) fn take_ended(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.ended)
    }

    fn heeds_itself(&mut self, path: &Path, is_gone: bool) -> bool {
        let Some(interest) = self.directories.get(path) else { return false };
        if is_gone && !self.ended.iter().any(|ended| ended == path) {
            self.ended.push(path.to_owned());
        }
        is_gone || *interest == Interest::All
    }

    fn heeds_name(&self, path: &Path) -> bool {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return false };
        match self.directories.get(directory) {
            Some(interest) => interest.covers(name),
            // Other systems give paths in spellings of their own; a hint too many is cheap.
            None => !cfg!(target_os = "linux") && !store::is_beside(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, Flag, RemoveKind, RenameMode};

    use super::*;

    fn filter() -> Filter {
        let names = Interest::Names(BTreeSet::from(["config".into()]));
        let directories = [("/home".into(), names), ("/home/config".into(), Interest::All)];
        Filter { directories: directories.into(), ..Filter::default() }
    }

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[test]
    fn what_lies_in_a_directory_counts_and_beside_it_only_its_name() {
        let modified = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for (path, heeds) in [
            ("/home/config", true),
            ("/home/config/a.json", true),
            ("/home/config/.a.json.npc-tmp", false),
            ("/home/config/.a.json.npc-backup", false),
            ("/home/config/.a.json.npc-lock", false),
            ("/home/config/.npc-tmp.json", true),
            ("/home", false),
            ("/home/other", false),
        ] {
            assert_eq!(filter().heeds(&event(modified, path)), heeds, "{path}");
            let read = EventKind::Access(AccessKind::Read);
            assert!(!filter().heeds(&event(read, path)));
        }
    }

    #[test]
    fn what_could_be_anything_counts() {
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        for event in [Ok(overflow), Err(notify::Error::generic("lost"))] {
            let mut filter = filter();
            assert!(filter.heeds(&event));
            assert_eq!(filter.take_ended().len(), 2, "any watch may have ended unheard");
        }
    }

    #[test]
    fn a_save_counts_by_the_name_that_it_replaces() {
        let both = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        let event =
            Event::new(both).add_path("/home/config/.a.json.npc-tmp".into()).add_path("/home/config/a.json".into());
        assert!(filter().heeds(&Ok(event)));
    }

    #[test]
    fn watches_end_with_their_directory() {
        let mut filter = filter();
        for kind in [EventKind::Remove(RemoveKind::Folder), EventKind::Modify(ModifyKind::Name(RenameMode::From))] {
            assert!(filter.heeds(&event(kind, "/home/config")) && filter.heeds(&event(kind, "/home/config")));
            assert_eq!(filter.take_ended(), [Path::new("/home/config")]);
        }
        assert!(filter.heeds(&event(EventKind::Remove(RemoveKind::Folder), "/home")));
        filter.heeds(&event(EventKind::Create(CreateKind::File), "/home/config/a"));
        assert_eq!(filter.take_ended(), [Path::new("/home")]);
    }
}
