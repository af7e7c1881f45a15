//! Bindings: which name of a project belongs to which directory, so that two projects of one name are noticed.
//!
//! A name selects the files of the configuration, so two projects that share one share their settings, too. Each name is bound to
//! the first root that has files under it. Worktrees and clones of one repository are one project here ([`crate::repository`] knows
//! them). What comes of a clash is the caller's: a load is never held up by it.
//!
//! The bindings are one JSON file, written through [`crate::store`]: `{ config_dir: { name: { root, identity } } }`, for people to
//! read, and to mend. A file that is not like that is told of and left alone.

mod binding;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{Instant as TokioInstant, timeout_at};

use crate::calls::Look;
use crate::error::{Error, ErrorKind, Result};
use crate::file_cache::FileCache;
use crate::json::{self, Change, Edit, Value};
use crate::name::ProjectName;
use crate::open::{ConfigDir, Limits, Place};
use crate::pipeline::{Request, Stop, resolve_directory};
use crate::plan::{Plan, Project};
use crate::repository;
use crate::store;
use binding::{Binding, place_of};

/// How long another editor's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_millis(1500);

/// How often the file is read anew because another editor has bound the same name meanwhile.
const ATTEMPTS: usize = 8;

/// Far more than the bindings of all projects of a user.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Two projects of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The name, as users see it.
    pub name: OsString,
    /// The root that has the name, too.
    pub root: PathBuf,
    /// The root that the name is bound to.
    pub other_root: PathBuf,
    /// A name for `root` that is not bound to any other.
    pub proposal: OsString,
}

/// Whose name is checked, and what decides whether another one's is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The outermost project of a plan.
    pub project: Project,
    config_dir: PathBuf,
    /// The user's own names, not resolved.
    names: Vec<(PathBuf, ProjectName)>,
}

/// A name to be checked: that of the outermost project of a plan.
#[derive(Debug)]
pub struct Check {
    subject: Subject,
    file: PathBuf,
    limits: Limits,
    timeout: Duration,
}

impl Check {
    /// The check for a plan that was made of this request, against the bindings in `file`. `None` where nothing can clash: no file is
    /// chosen by the name, or the user has given it.
    pub fn of(plan: &Plan, request: &Request, file: PathBuf) -> Option<Self> {
        if plan.named || !has_files(plan, request) {
            return None;
        }
        Some(Self {
            subject: Subject {
                project: plan.projects.first()?.clone(),
                config_dir: request.config_dir.clone(),
                names: request.naming.names.clone(),
            },
            file,
            // Not the user's limit: it is about the files of the configuration.
            limits: Limits { max_file_size: LARGEST, ..request.limits },
            timeout: request.timeout,
        })
    }

    /// What it is about.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Binds the name, if nothing is in the way; the answer is the clash, if there is one. Has to be called inside a tokio runtime with
    /// time; what blocks is done on its blocking threads, and left to itself when the time is up.
    ///
    /// # Errors
    /// Each names the path. As [`store::save`] for the file; `Syntax` where it is not as it was written here; `Timeout` with the
    /// path that was being looked at.
    pub async fn perform(self, cache: Arc<FileCache>) -> Result<Option<Clash>> {
        let calls = Arc::clone(&cache.disk().calls);
        let deadline = TokioInstant::now() + self.timeout;
        let after_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let late = |path: &Path| Err(Error::new(ErrorKind::Timeout { after_ms }).at(path));
        let file = self.file.clone();
        let check = Arc::new(self);
        loop {
            let look = Look::new(&calls);
            let watch = look.watch();
            let (check, cache) = (Arc::clone(&check), Arc::clone(&cache));
            let attempt = tokio::task::spawn_blocking(move || check.attempt(&cache, &look));
            match timeout_at(deadline, attempt).await {
                Err(_) => return late(&watch.path().unwrap_or(file)),
                Ok(Err(panic)) => {
                    let text = format!("a defect of the check of names: {panic}; please report it");
                    return Err(Error::new(ErrorKind::Runtime(text)).at(file));
                }
                Ok(Ok(Err(Stop::Blocked(path)))) => {
                    if timeout_at(deadline, calls.released(&path)).await.is_err() {
                        return late(&path);
                    }
                }
                Ok(Ok(Err(Stop::Failed(error)))) => return Err(error),
                Ok(Ok(Ok(clash))) => return Ok(clash),
            }
        }
    }

    /// All of it, blocking.
    fn attempt(&self, cache: &FileCache, look: &Look) -> Result<Option<Clash>, Stop> {
        let began = Instant::now();
        let own = Binding {
            root: self.subject.project.root.clone(),
            identity: repository::identity(&self.subject.project.root, look)?,
        };
        for _ in 0..ATTEMPTS {
            look.at(&self.file)?;
            let document = self.read(cache)?;
            let bound = self.bound(&document)?;
            match self.judge(&own, bound.as_ref(), look)? {
                Judged::Fine => return Ok(None),
                Judged::Clash(other_root) => {
                    let (name, root) = (self.subject.project.name.clone(), own.root);
                    let proposal = self.proposal(&document);
                    return Ok(Some(Clash { name, root, other_root, proposal }));
                }
                Judged::Bind => {
                    look.at(&self.file)?;
                    if self.bind(cache, &own, bound.as_ref())? {
                        return Ok(None);
                    }
                }
            }
        }
        let after_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Err(Error::new(ErrorKind::Contended { after_ms }).at(&*self.file).into())
    }

    fn read(&self, cache: &FileCache) -> Result<Value> {
        let empty = || Value::Object(Default::default());
        let directory = self.file.parent().unwrap_or(&self.file);
        let Some(place) = Place::by_itself(&self.file) else { return Ok(empty()) };
        let Some(dir) = ConfigDir::open(directory)? else { return Ok(empty()) };
        let Some(entry) = cache.config_file(&dir, &place, &self.limits)? else { return Ok(empty()) };
        Ok(entry.json().clone()?.map_or_else(empty, |document| Value::clone(&document)))
    }

    /// Where the name's binding is.
    fn place(&self) -> [String; 2] {
        place_of(&self.subject.config_dir, &self.subject.project.name)
    }

    /// What the name is bound to.
    fn bound(&self, document: &Value) -> Result<Option<Binding>> {
        let strange = |what: &str| {
            let text = format!("{what} is not as nvim-project-config writes it; mend or remove the file");
            Err(Error::new(ErrorKind::Syntax(text)).at(&*self.file))
        };
        let [group, name] = self.place();
        let Some(document) = document.as_object() else { return strange("the document") };
        let Some(names) = document.get(&group) else { return Ok(None) };
        let Some(names) = names.as_object() else { return strange(&format!("{group:?}")) };
        let Some(value) = names.get(&name) else { return Ok(None) };
        Binding::from_value(value).map_or_else(|| strange(&format!("{name:?}")), |binding| Ok(Some(binding)))
    }

    /// What is to be done about a binding.
    fn judge(&self, own: &Binding, bound: Option<&Binding>, look: &Look) -> Result<Judged, Stop> {
        let Some(bound) = bound else { return Ok(Judged::Bind) };
        if bound == own || (bound.root != own.root && bound.identity.is_of_same(&own.identity)) {
            return Ok(Judged::Fine);
        }
        if bound.root == own.root || is_gone(&bound.root, look)? || self.is_renamed(&bound.root, look)? {
            return Ok(Judged::Bind);
        }
        // It may have got a remote since.
        let now = repository::identity(&bound.root, look)?;
        Ok(if now.is_of_same(&own.identity) { Judged::Fine } else { Judged::Clash(bound.root.clone()) })
    }

    /// Whether the user calls the project at `root` something else.
    fn is_renamed(&self, root: &Path, look: &Look) -> Result<bool, Stop> {
        for (path, name) in &self.subject.names {
            if name.display() != self.subject.project.name {
                look.at(path)?;
                if resolve_directory(path).as_deref() == Some(root) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Binds the name. False where it is no longer what was judged: another editor was faster.
    fn bind(&self, cache: &FileCache, own: &Binding, judged: Option<&Binding>) -> Result<bool> {
        let lock_deadline = Instant::now() + LOCK_WAIT.min(self.timeout);
        let options = store::Options { limits: self.limits, lock_deadline, durable: true };
        let edit = Edit { path: self.place().into(), change: Change::Set(own.to_value()) };
        let mut is_as_judged = true;
        let saved = store::save(&self.file, &options, &mut |text| {
            let text = text.unwrap_or_default();
            let document = json::parse(text)?.unwrap_or_else(|| Value::Object(Default::default()));
            is_as_judged = self.bound(&document)?.as_ref() == judged;
            if is_as_judged { json::edit_text(text, std::slice::from_ref(&edit)).map(Some) } else { Ok(None) }
        })?;
        if let Some(snapshot) = saved.snapshot {
            cache.written(&self.file.as_path().into(), snapshot);
        }
        Ok(is_as_judged)
    }

    /// A name made of that of the directory around it, or of more of them, until nobody has it.
    fn proposal(&self, document: &Value) -> OsString {
        let Project { root, name } = &self.subject.project;
        let own = Path::new(name).file_name().unwrap_or(name);
        let mut proposal = own.to_owned();
        for directory in root.ancestors().skip(1).filter_map(Path::file_name) {
            let mut longer = directory.to_owned();
            longer.push("-");
            longer.push(&proposal);
            proposal = longer;
            if json::get(document, &place_of(&self.subject.config_dir, &proposal)).is_none() {
                return proposal;
            }
        }
        proposal.push("-2");
        proposal
    }
}

/// What is to be done about a binding.
#[derive(Debug)]
enum Judged {
    Fine,
    Bind,
    /// It belongs to this root.
    Clash(PathBuf),
}

/// Whether any file of the configuration was chosen by the outermost project's name, for itself or what lies in it; a user's own code
/// may have named others.
fn has_files(plan: &Plan, request: &Request) -> bool {
    let components = plan.projects.first().into_iter().flat_map(|project| Path::new(&project.name));
    let Ok(name) = ProjectName::from_components(components) else { return false };
    let (stem, directory) = (request.config_dir.join(name.file_stem()), request.config_dir.join(name.directory()));
    let own_file = stem.file_name().unwrap_or_default().as_encoded_bytes();
    plan.paths().any(|path| {
        let rest = path.file_name().and_then(|file| file.as_encoded_bytes().strip_prefix(own_file));
        let is_own_file = path.parent() == stem.parent() && rest.is_some_and(|rest| rest.starts_with(b"."));
        is_own_file || path.starts_with(&directory)
    })
}

/// Whether the directory is not there any more.
fn is_gone(root: &Path, look: &Look) -> Result<bool, Stop> {
    look.at(root)?;
    Ok(match std::fs::metadata(root) {
        Ok(metadata) => !metadata.is_dir(),
        Err(error) => matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory),
    })
}
