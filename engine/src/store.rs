//! The durable replacement of one file: taken under a lock, read, given to an edit, written beside and put in its place; old or new
//! at any moment, whatever kills the process or stops the disk.
//!
//! What is written is not known here (that is `settings`' and the JSON span editor's), nor is anything remembered or tried again:
//! an error leaves the old file, and the caller has its edit still. Opening and checking is [`crate::open`]'s. Who waits for the
//! lock and how is in `store/lock.rs`, what a killed write in place leaves in `store/backup.rs`; what the platforms do differently
//! in `store/unix.rs` and `store/portable.rs`. All calls block; only the wait for the lock has a deadline.
//!
//! # Who does not know the lock
//!
//! An editor may replace the file by a renaming, or write into it, at any moment. So the new file and the target change places in
//! one step, and what was displaced is looked at then: if it is not what was read and edited, it gets its place back, and the save
//! begins anew with it. Where the file system or the system has no such step (NFS, Windows), the file is looked at just before the
//! renaming.
//!
//! # What a kill can leave
//!
//! One hidden file beside the target at most, under a fixed name, so that the next save finds it: `.NAME.npc-tmp` (before the
//! exchange the new content, complete or not; after it the old one) or, for files that have to be written in place,
//! `.NAME.npc-backup` (see [`recover`]).
//!
//! # Known limits
//!
//! - What an editor without the lock writes is lost where it has opened the file before the exchange and writes after it; where
//!   there is no exchange, also what it writes between the last look and the renaming, some microseconds; in files that are
//!   written in place, what it writes meanwhile. So is, before Linux 6.13, what it writes into the same file within the clock's step (4 ms)
//!   after another write, without changing the size.
//! - A save that is killed, or whose disk fails, in the microseconds in which somebody else's version is displaced leaves that
//!   as `.NAME.npc-tmp`. The next save cannot tell it from its own kind of leftover, and removes it.
//! - A file with hard links in two directories has two locks.
//! - Without Unix modes (Windows) owners, access lists and hard links are not kept.

mod backup;
mod lock;
#[cfg(any(not(unix), test))]
#[cfg_attr(unix, allow(dead_code, reason = "compiled for its tests only"))]
mod portable;
#[cfg(test)]
#[cfg(unix)]
mod tests;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use portable as platform;
#[cfg(unix)]
use unix as platform;

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::{Fingerprint, Timestamp};
use crate::open::{self, ConfigDir, Limits, Links, Owners, Place, Snapshot};
use backup::Backup;

/// How often a save begins anew because somebody without the lock wrote the file meanwhile, or replaced its directory.
const ATTEMPTS: usize = 16;

/// More than the step of a common system's clock: 10 ms at most.
const CLOCK_STEP: Duration = Duration::from_millis(50);

/// What common file systems take for a name, in bytes.
const LONGEST_NAME: usize = 255;

/// How long, how large and how durable.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What may be read, and so what may be written: a file larger than that could not be loaded again.
    pub limits: Limits,
    /// Until when the lock is waited for.
    pub lock_deadline: Instant,
    /// Whether the disk has confirmed everything before a save returns. `false` is for measurements only.
    pub durable: bool,
}

/// What a save left behind.
#[derive(Debug)]
pub struct Saved {
    /// The content before, read under the lock; `None`: the file did not exist.
    pub before: Option<Vec<u8>>,
    /// The file as it is now; `None`: it does not exist and the edit left nothing to write.
    pub snapshot: Option<Snapshot>,
    /// Whether anything was written.
    pub written: bool,
}

/// Computes what a file shall hold from what it holds (`None`: it does not exist); `Ok(None)` leaves it as it is.
pub type EditText<'a> = dyn FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>> + 'a;

/// Reads the file at the absolute `path` under the lock, gives its content to `edit`, and replaces it by what that returns.
///
/// `edit` runs under the lock and must not wait for anybody. It may run several times (the file changed meanwhile; its directory was
/// not there); what it returned last counts. Where it returns `Ok(None)`, or what the file holds already, nothing is written, but an earlier
/// save is still made durable: when a save succeeds, what the file holds is on the disk. Errors of `edit` end the save.
///
/// Links stay links: what they lead to is replaced. Missing directories are made. Mode, owner, group, extended attributes and access
/// lists are kept; a file that has several hard links, or whose owner or access list cannot be given to another one, is written in place
/// after a synced backup.
///
/// # Errors
///
/// With `path` (a directory in the way of it, or a leftover of another user is named itself) and the system's number. Until the new
/// file is in place the old one is byte-identical and no other is left; an error after that (the directory could not be synced) is
/// reported too, and a further save that finds nothing to write makes up for it.
///
/// `Locked` at the deadline; `InvalidArgument` for a path that is not absolute or has no name; `BrokenLink`, `NotAFile`,
/// `NotADirectory`, `TooLarge` (also for what `edit` returned), `Untrusted`, `Permission`, `NotWritable`, `Io`.
pub fn save(path: &Path, options: &Options, edit: &mut EditText<'_>) -> Result<Saved> {
    save_for(path, options, Owners::Trusted, edit)
}

/// As [`save`], for a file that a user names: whatever it holds becomes `content`, whoever owns it. The snapshot is always there.
///
/// # Errors
///
/// As [`save`], without `Untrusted`.
pub(crate) fn replace(path: &Path, options: &Options, content: &[u8]) -> Result<Saved> {
    save_for(path, options, Owners::Any, &mut |_| Ok(Some(content.to_vec())))
}

fn save_for(path: &Path, options: &Options, owners: Owners, edit: &mut EditText<'_>) -> Result<Saved> {
    let directory = directory_of(path)?;
    for _ in 0..ATTEMPTS {
        let Some(target) = Target::find(path, options, owners)? else {
            if edit(None).map_err(|error| error.at(path))?.is_none() {
                return Ok(Saved { before: None, snapshot: None, written: false });
            }
            make_directories(directory, options).map_err(|error| not_its_fault(error, path))?;
            continue;
        };
        let _lock = target.lock()?;
        if let Some(saved) = target.save(edit)? {
            return Ok(saved);
        }
    }
    let text = "is written by another program all the time; the change is kept and tried again";
    Err(Error::new(ErrorKind::Io(text.into())).at(path))
}

/// Puts the file at the absolute `path` back to what it was before a save that was killed while it wrote it in place; the answer
/// says whether that was so. Each [`save`] does this itself; a loader that finds a file it cannot parse does it if there is something at
/// [`backup_path`].
///
/// Only what a killed write can have left is replaced: what somebody has edited since is theirs.
///
/// # Errors
///
/// As [`save`].
pub fn recover(path: &Path, options: &Options) -> Result<bool> {
    directory_of(path)?;
    let Some(target) = Target::find(path, options, Owners::Trusted)? else { return Ok(false) };
    if target.dir.stat_itself(&target.dir.place(&target.backup)?)?.is_none() {
        return Ok(false);
    }
    let _lock = target.lock()?;
    target.restore()
}

/// Where a save that has to write the file at `path` in place keeps what it held; beside what a link leads to, if `path` is
/// one to be followed.
pub fn backup_path(path: &Path) -> PathBuf {
    let resolved = path.is_symlink().then(|| fs::canonicalize(path).ok()).flatten();
    let path = resolved.as_deref().unwrap_or(path);
    path.with_file_name(beside(path.file_name().unwrap_or_default(), Beside::Backup))
}

/// The directory in which the file at `path` is to be.
fn directory_of(path: &Path) -> Result<&Path> {
    match path.parent() {
        Some(directory) if path.is_absolute() && path.file_name().is_some() => Ok(directory),
        _ => {
            let text = format!("{} is not the absolute path of a file", path.display());
            Err(ErrorKind::InvalidArgument(text).into())
        }
    }
}

/// The hidden files beside a target.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Temporary,
    Backup,
    Lock,
}

impl Beside {
    const ALL: [Self; 3] = [Self::Temporary, Self::Backup, Self::Lock];

    fn suffix(self) -> &'static str {
        match self {
            Self::Temporary => ".npc-tmp",
            Self::Backup => ".npc-backup",
            Self::Lock => ".npc-lock",
        }
    }
}

/// Whether a file of this name is one that saves keep beside their target.
pub(crate) fn is_beside(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && Beside::ALL.iter().any(|which| name.ends_with(which.suffix().as_bytes()))
}

/// The one name of this hidden file beside the file `name`.
fn beside(name: &OsStr, which: Beside) -> OsString {
    let suffix = which.suffix();
    let mut hidden = OsString::from(".");
    if 1 + name.len() + suffix.len() <= LONGEST_NAME {
        hidden.push(name);
    } else {
        let digest = Sha256::digest(name.as_encoded_bytes());
        digest.iter().for_each(|byte| hidden.push(format!("{byte:02x}")));
    }
    hidden.push(suffix);
    hidden
}

/// What came of a renaming that expects something to be, or not to be, under the new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renamed {
    Done,
    NotAsExpected,
    /// The system or this file system has none.
    Unsupported,
}

/// Makes `directory` and those above it that are missing, each of them durable.
fn make_directories(directory: &Path, options: &Options) -> Result<()> {
    let mut missing = Vec::new();
    for path in directory.ancestors() {
        if path.try_exists().map_err(|error| refused(path, &error))? {
            break;
        }
        missing.push(path);
    }
    for path in missing.into_iter().rev() {
        match platform::make_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            // What is there and yet is not: a link that leads nowhere.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::new(ErrorKind::BrokenLink).at(path));
            }
            Err(error) => return Err(refused(path, &error)),
            Ok(()) => {}
        }
        let above = path.parent().map(ConfigDir::open).transpose()?.flatten();
        if let Some(above) = above.filter(|_| options.durable) {
            platform::sync_directory(&above).map_err(|error| refused(path, &error))?;
        }
    }
    Ok(())
}

/// The error for a file at `path` that was to be written.
fn refused(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Error { errno: error.raw_os_error(), ..Error::new(ErrorKind::NotWritable) }.at(path)
        }
        _ => open::located(path, error),
    }
}

/// What happened to a directory or a leftover on the way to `path`, but to any other too: a failing disk, too many open files.
fn not_its_fault(error: Error, path: &Path) -> Error {
    match error.kind {
        ErrorKind::Io(_) => Error { path: Some(path.to_owned()), ..error },
        _ => error,
    }
}

/// The file to be replaced, all links resolved, in its directory, which is held open: the lock is on it.
struct Target<'a> {
    /// As the user knows it.
    path: &'a Path,
    options: &'a Options,
    dir: ConfigDir,
    name: OsString,
    place: Place,
    temporary: OsString,
    backup: OsString,
    /// What may be somebody else's has the temporary's name.
    keeps_displaced: Cell<bool>,
}

/// The target as it was read under the lock.
struct Found {
    file: File,
    snapshot: Snapshot,
}

impl<'a> Target<'a> {
    /// `None` where the directory of `path` does not exist.
    fn find(path: &'a Path, options: &'a Options, owners: Owners) -> Result<Option<Self>> {
        let Some(target) = Self::at(path, path, options, owners)? else { return Ok(None) };
        let Some(stat) = target.dir.stat_itself(&target.place)? else { return Ok(Some(target)) };
        if !stat.is_link() {
            // To open a FIFO or a device can have effects of its own.
            ConfigDir::check(&stat, &target.place, &options.limits)?;
            return Ok(Some(target));
        }
        let broken = || Error::new(ErrorKind::BrokenLink).at(path);
        let resolved = fs::canonicalize(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => broken(),
            _ => open::located(path, &error),
        })?;
        let target = Self::at(&resolved, path, options, owners)?.ok_or_else(broken)?;
        let stat = target.known_as(target.dir.stat_itself(&target.place))?.ok_or_else(broken)?;
        target.known_as(ConfigDir::check(&stat, &target.place, &options.limits))?;
        Ok(Some(target))
    }

    fn at(resolved: &Path, path: &'a Path, options: &'a Options, owners: Owners) -> Result<Option<Self>> {
        let directory = directory_of(resolved)?;
        let dir = ConfigDir::open_for(directory, owners).map_err(|error| not_its_fault(error, path))?;
        let Some(dir) = dir else { return Ok(None) };
        let name = resolved.file_name().unwrap_or_default().to_owned();
        let place = dir.place(&name)?;
        let (temporary, backup) = (beside(&name, Beside::Temporary), beside(&name, Beside::Backup));
        let keeps_displaced = Cell::new(false);
        Ok(Some(Self { path, options, dir, name, place, temporary, backup, keeps_displaced }))
    }

    fn lock(&self) -> Result<lock::Lock<'_>> {
        let beside = beside(&self.name, Beside::Lock);
        self.known_as(lock::take(&self.dir, &beside, self.options.lock_deadline))
    }

    /// `None`: the file changed meanwhile, or its directory was replaced before the lock was taken.
    fn save(&self, edit: &mut EditText<'_>) -> Result<Option<Saved>> {
        let result = match self.attempt(platform::is_removed(&self.dir)) {
            Ok(true) => return Ok(None),
            Ok(false) => self.restore().and_then(|_| self.read_and_replace(edit)),
            Err(error) => Err(error),
        };
        let is_written = matches!(&result, Ok(Some(Saved { written: true, .. })));
        if !is_written && !self.keeps_displaced.get() {
            // This save's own or that of a killed one; what went wrong is told already.
            let _ = platform::remove(&self.dir, &self.temporary);
        }
        result
    }

    fn read_and_replace(&self, edit: &mut EditText<'_>) -> Result<Option<Saved>> {
        let found = self.read()?;
        let before = found.as_ref().map(|found| &*found.snapshot.content);
        let after = edit(before).map_err(|error| error.at(self.path))?;
        let Some(after) = after.filter(|after| Some(&**after) != before) else {
            if found.is_some() {
                self.sync_directory()?;
            }
            let snapshot = found.map(|found| found.snapshot);
            let before = snapshot.as_ref().map(|snapshot| snapshot.content.clone());
            return Ok(Some(Saved { before, snapshot, written: false }));
        };
        let (size, limit) = (after.len() as u64, self.options.limits.max_file_size);
        if size > limit {
            return Err(Error::new(ErrorKind::TooLarge { size, limit }).at(self.path));
        }
        let file = self.replace(found.as_ref(), &after)?;
        let Some(file) = file else { return Ok(None) };
        let read_at = Timestamp::now();
        let fingerprint = self.attempt(self.dir.fingerprint_of(&file))?;
        Ok(Some(Saved {
            before: found.map(|found| found.snapshot.content),
            snapshot: Some(Snapshot { content: after, fingerprint, read_at }),
            written: true,
        }))
    }

    fn read(&self) -> Result<Option<Found>> {
        let found = self.known_as(self.dir.open_and_read(&self.place, Links::Refuse, &self.options.limits))?;
        Ok(found.map(|(file, snapshot)| Found { file, snapshot }))
    }

    /// The file that holds `after` in the place of what was found; `None`: something else is there by now.
    fn replace(&self, found: Option<&Found>, after: &[u8]) -> Result<Option<File>> {
        let Some(found) = found else {
            let file = self.write_beside(platform::Access::AsNew, after)?;
            return self.put_in_place(None, file);
        };
        self.attempt(platform::may_write(&self.dir, &self.name))?;
        let attributes = self.attempt(platform::Attributes::of(&found.file))?;
        if attributes.links() > 1 {
            return self.write_in_place(found, after);
        }
        let file = self.write_beside(platform::Access::Private, after)?;
        if !self.attempt(attributes.give(&found.file, &file))? {
            return self.write_in_place(found, after);
        }
        self.attempt(self.make_younger(&file, found.snapshot.fingerprint.mtime))?;
        self.put_in_place(Some(found), file)
    }

    /// Gives the file a later time than that of the state before. The system counts in steps of some milliseconds, and who looks at time
    /// and size only, as editors do, would not see a change within one.
    fn make_younger(&self, file: &File, before: Timestamp) -> io::Result<()> {
        let (before, now) = (SystemTime::from(before), SystemTime::from(self.dir.fingerprint_of(file)?.mtime));
        // A time in the future has been set by somebody; to outdo it would spread it.
        if before < now || before > now + CLOCK_STEP {
            return Ok(());
        }
        file.set_modified(before + Duration::from_micros(1))
    }

    /// A new temporary file that holds `content`.
    fn write_beside(&self, access: platform::Access, content: &[u8]) -> Result<File> {
        let create = || platform::create(&self.dir, &self.temporary, access);
        let file = create().or_else(|error| match error.kind() {
            // Nobody else is writing it, since the lock is held: its writer was killed.
            io::ErrorKind::AlreadyExists => platform::remove(&self.dir, &self.temporary).and_then(|()| create()),
            _ => Err(error),
        });
        let mut file = self.attempt(file)?;
        self.attempt(file.write_all(content))?;
        Ok(file)
    }

    /// Gives the temporary `file` the target's name; `None`: something else has it than what was found.
    fn put_in_place(&self, found: Option<&Found>, file: File) -> Result<Option<File>> {
        self.sync(&file)?;
        let found = found.map(|found| &found.snapshot.fingerprint);
        let is_in_place = match found {
            None => match self.attempt(platform::rename_to_free(&self.dir, &self.temporary, &self.name))? {
                Renamed::Done => true,
                Renamed::Unsupported if self.is_still(None)? => self.rename().map(|()| true)?,
                Renamed::Unsupported | Renamed::NotAsExpected => false,
            },
            // `fsync` takes so much longer than all else that whoever came in between came during it. Seen here, they need
            // not be put back, and a change of mode or owner is seen too.
            Some(found) => self.is_still(Some(found))? && self.exchange(found, &file)?,
        };
        if !is_in_place {
            return Ok(None);
        }
        self.sync_directory()?;
        Ok(Some(file))
    }

    /// Whether the target is what was found; `None`: nothing was.
    fn is_still(&self, found: Option<&Fingerprint>) -> Result<bool> {
        let now = self.known_as(self.dir.stat_itself(&self.place))?;
        Ok(now.map(|stat| stat.fingerprint).as_ref() == found)
    }

    /// Puts the temporary file in the target's place, whatever is there by now.
    fn rename(&self) -> Result<()> {
        self.attempt(platform::rename(&self.dir, &self.temporary, &self.name))
    }

    /// Lets the target and the temporary `file` change places, so that what was displaced can be looked at; where it is not
    /// what was found, everything is put back, and the answer is `false`.
    fn exchange(&self, found: &Fingerprint, file: &File) -> Result<bool> {
        match self.attempt(platform::exchange(&self.dir, &self.temporary, &self.name))? {
            Renamed::Done => {}
            Renamed::NotAsExpected => return Ok(false),
            Renamed::Unsupported => return self.rename().map(|()| true),
        }
        self.keeps_displaced.set(true);
        let displaced = self.displaced();
        if matches!(&displaced, Ok(displaced) if displaced.is_none_or(|displaced| displaced.is_renamed(found))) {
            // Before the directory is synced, which covers both, as it does where a plain renaming removes the old file: from
            // then on neither a kill nor a power cut leaves anything. If it stays, the next save removes it.
            let _ = platform::remove(&self.dir, &self.temporary);
            return Ok(true);
        }
        self.put_back(displaced.as_ref().ok().copied().flatten(), file)?;
        displaced.map(|_| false)
    }

    /// Gives the target's name back to `displaced` (`None`: nobody could tell what it is), in whose place `file` is. Whoever
    /// has replaced that in its turn keeps the name: the last one counts, as without this save.
    fn put_back(&self, mut displaced: Option<Fingerprint>, file: &File) -> Result<()> {
        let mut in_place = self.attempt(self.dir.fingerprint_of(file))?;
        // Goes on as long as others replace the file between each two of these calls.
        loop {
            if self.attempt(platform::exchange(&self.dir, &self.temporary, &self.name))? != Renamed::Done {
                // Somebody has removed the one or the other.
                return Ok(());
            }
            let newer = self.displaced().ok().flatten().filter(|newer| !newer.is_renamed(&in_place));
            if newer.is_none() {
                // Under the temporary's name is this save's own file, or one that others have replaced. Where the disk does not
                // tell, nobody is taken to have come between these two calls.
                self.keeps_displaced.set(false);
                return Ok(());
            }
            let Some(older) = displaced else { return Ok(()) };
            (in_place, displaced) = (older, newer);
        }
    }

    /// What is under the temporary's name.
    fn displaced(&self) -> Result<Option<Fingerprint>> {
        let place = self.dir.place(&self.temporary)?;
        let stat = self.dir.stat_itself(&place).map_err(|error| not_its_fault(error, self.path))?;
        Ok(stat.map(|stat| stat.fingerprint))
    }

    /// Writes into the very file that was found, after a backup of both contents.
    fn write_in_place(&self, found: &Found, after: &[u8]) -> Result<Option<File>> {
        let before = &*found.snapshot.content;
        let file = self.attempt(platform::open_for_writing(&self.dir, &self.name))?;
        let temporary = self.write_beside(platform::Access::Private, &Backup { before, after }.encode());
        // Under its own name it is complete, always.
        temporary.and_then(|temporary| self.sync(&temporary))?;
        self.attempt(platform::rename(&self.dir, &self.temporary, &self.backup))?;
        let discard = || {
            // If it stays, the next save finds a complete file beside it, and removes it.
            let _ = platform::remove(&self.dir, &self.backup);
        };
        let ready = self.sync_directory().and_then(|()| self.attempt(self.dir.fingerprint_of(&file)));
        if !ready.as_ref().is_ok_and(|now| *now == found.snapshot.fingerprint) {
            discard();
            return ready.map(|_| None);
        }
        let written = self.overwrite(&file, after);
        if written.is_ok() || self.overwrite(&file, before).is_ok() {
            discard();
        }
        written.map(|()| Some(file))
    }

    /// Makes `content` that of an open file. It is a complete document after each system call: the rest of a longer one is
    /// overwritten by empty lines before it is cut off.
    fn overwrite(&self, mut file: &File, content: &[u8]) -> Result<()> {
        let mut overwrite = || {
            let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
            file.rewind()?;
            file.write_all(&backup::padded(content, length))?;
            if length > content.len() { file.set_len(content.len() as u64) } else { Ok(()) }
        };
        self.attempt(overwrite())?;
        self.sync(file)
    }

    /// Ends what a write in place left half done, if there was one.
    fn restore(&self) -> Result<bool> {
        let limits =
            Limits { max_file_size: backup::size_limit(self.options.limits.max_file_size), ..self.options.limits };
        let place = self.dir.place(&self.backup)?;
        let kept = self.dir.open_and_read(&place, Links::Refuse, &limits);
        let Some((_, kept)) = kept.map_err(|error| not_its_fault(error, self.path))? else { return Ok(false) };
        let found = self.read()?;
        let state = match (Backup::decode(&kept.content), &found) {
            (Some(backup), Some(found)) => backup.judge(&found.snapshot.content),
            _ => backup::State::Complete,
        };
        match state {
            backup::State::Complete => {}
            backup::State::Foreign => return Ok(false),
            backup::State::Torn(before) => {
                let file = self.attempt(platform::open_for_writing(&self.dir, &self.name))?;
                self.overwrite(&file, before)?;
            }
        }
        self.attempt(platform::remove(&self.dir, &self.backup))?;
        Ok(matches!(state, backup::State::Torn(_)))
    }

    fn sync(&self, file: &File) -> Result<()> {
        if self.options.durable { self.attempt(file.sync_all()) } else { Ok(()) }
    }

    fn sync_directory(&self) -> Result<()> {
        if self.options.durable { self.attempt(platform::sync_directory(&self.dir)) } else { Ok(()) }
    }

    fn attempt<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|error| refused(self.path, &error))
    }

    /// Names the path that the user knows instead of the resolved one.
    fn known_as<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| Error { path: Some(self.path.to_owned()), ..error })
    }
}
