//! The way from a pipeline that is being planned to the user's code in it, and back: questions with ids, and streams of batches.
//!
//! The engine asks on a worker thread; the question goes to the main loop as a reply, and its answer comes through an export. What the code is
//! called with, and what becomes of its errors, is Lua's (`host.lua`); what follows from an answer is the engine's. A question whose
//! asker has gone (the load was cancelled) is forgotten, and an answer to it goes nowhere.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::loads::RunId;
use engine::pipeline::host::{Asker, Batch, Host, Matched, Question, Subject, Test};
use engine::plan::Project;
use mlua::{IntoLua, Lua, LuaString, Nil, Table, Value};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::TryRecvError, error::TrySendError};
use tokio::sync::oneshot;

use crate::convert::{Bytes, invalid, os_string};
use crate::main_loop::{MainLoop, Reply};

/// Answers a run's questions through the main loop.
pub(crate) struct RunHost {
    pub(crate) run: RunId,
    pub(crate) questions: &'static Questions,
    pub(crate) main_loop: &'static MainLoop,
}

/// All questions without an answer, by id.
#[derive(Default)]
pub(crate) struct Questions {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last_id: u64,
    waiting: HashMap<u64, Waiting>,
}

/// Who waits for an answer.
enum Waiting {
    Match(oneshot::Sender<Vec<bool>>, Vec<Test>),
    OnMatch(oneshot::Sender<Matched>),
    Find(oneshot::Sender<Vec<PathBuf>>),
    Name(oneshot::Sender<Option<OsString>>),
    Run(Arc<Stream>),
}

impl Waiting {
    /// Nobody does any more.
    fn is_closed(&self) -> bool {
        match self {
            Self::Match(answer, _) => answer.is_closed(),
            Self::OnMatch(answer) => answer.is_closed(),
            Self::Find(answer) => answer.is_closed(),
            Self::Name(answer) => answer.is_closed(),
            Self::Run(stream) => {
                let ends = stream.ends();
                let is_over = |items: &mpsc::Receiver<Batch>| items.is_closed() && items.is_empty();
                let no_more = ends.closed || ends.items.as_ref().is_some_and(is_over);
                no_more && ends.out.as_ref().is_none_or(mpsc::Sender::is_closed)
            }
        }
    }
}

/// The two ends of functions in a row.
struct Stream {
    run: RunId,
    id: u64,
    main_loop: &'static MainLoop,
    ends: Mutex<Ends>,
}

struct Ends {
    /// `None` while a task waits for the next batch.
    items: Option<mpsc::Receiver<Batch>>,
    /// What that task has brought.
    arrived: Option<Arrived>,
    /// The first of the functions has ended: whoever sends to it is to know.
    closed: bool,
    /// `None` once the functions have ended.
    out: Option<mpsc::Sender<Batch>>,
}

enum Arrived {
    Batch(Batch),
    End,
}

/// What the main loop is asked, without the one who waits for it.
pub(crate) enum Asked {
    Match { asker: Asker, count: usize },
    OnMatch { stage: usize, dir: PathBuf, projects: Vec<Project> },
    Find { stage: usize, projects: Option<Vec<Project>> },
    Name { root: PathBuf, start_dir: PathBuf },
    Run { stage: usize, count: usize },
}

impl Host for RunHost {
    fn ask(&self, question: Question) {
        let mut open = self.questions.open();
        open.waiting.retain(|_, waiting| !waiting.is_closed());
        open.last_id += 1;
        let id = open.last_id;
        let (waiting, asked) = match question {
            Question::Match { asker, tests, answer } => {
                let count = tests.len();
                (Waiting::Match(answer, tests), Asked::Match { asker, count })
            }
            Question::OnMatch { stage, dir, projects, answer } => {
                (Waiting::OnMatch(answer), Asked::OnMatch { stage, dir, projects })
            }
            Question::Find { stage, projects, answer } => (Waiting::Find(answer), Asked::Find { stage, projects }),
            Question::Name { root, start_dir, answer } => (Waiting::Name(answer), Asked::Name { root, start_dir }),
            Question::Run { stages, items, out } => {
                let ends = Mutex::new(Ends { items: Some(items), arrived: None, closed: false, out: Some(out) });
                let stream = Arc::new(Stream { run: self.run, id, main_loop: self.main_loop, ends });
                (Waiting::Run(stream), Asked::Run { stage: stages.start, count: stages.len() })
            }
        };
        open.waiting.insert(id, waiting);
        drop(open);
        self.main_loop.post([Reply::Ask(self.run, id, asked)]);
    }
}

impl Questions {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an answer to the one who waits for it, if he still does.
    pub(crate) fn answer(&self, id: u64, value: &Value, projects: Option<Vec<Project>>) -> mlua::Result<()> {
        let Some(waiting) = self.open().waiting.remove(&id) else { return Ok(()) };
        match (waiting, value) {
            (Waiting::Match(answer, _), Value::Table(results)) => {
                let results = results.sequence_values().collect::<mlua::Result<_>>()?;
                let _ = answer.send(results);
            }
            (Waiting::OnMatch(answer), Value::Boolean(accepted)) => {
                let _ = answer.send(Matched { accepted: *accepted, projects });
            }
            (Waiting::Find(answer), Value::Table(paths)) => {
                let path = |path: mlua::Result<LuaString>| Ok(PathBuf::from(os_string(&path?.as_bytes())));
                let paths = paths.sequence_values().map(path).collect::<mlua::Result<_>>()?;
                let _ = answer.send(paths);
            }
            (Waiting::Name(answer), Value::String(name)) => {
                let _ = answer.send(Some(os_string(&name.as_bytes())));
            }
            (Waiting::Name(answer), Value::Boolean(false)) => {
                let _ = answer.send(None);
            }
            _ => return Err(invalid("no answer to this question")),
        }
        Ok(())
    }

    /// Some of the tests of a question, counted from 0; nil if nobody waits for the answer any more. There may be very many in all.
    pub(crate) fn tests(&self, lua: &Lua, id: u64, first: usize, count: usize) -> mlua::Result<Option<Table>> {
        let open = self.open();
        let Some(Waiting::Match(_, tests)) = open.waiting.get(&id) else { return Ok(None) };
        let list = lua.create_table()?;
        for test in tests.iter().skip(first).take(count) {
            list.raw_push(test_table(lua, test)?)?;
        }
        Ok(Some(list))
    }

    fn stream(&self, id: u64) -> Option<Arc<Stream>> {
        match self.open().waiting.get(&id) {
            Some(Waiting::Run(stream)) => Some(Arc::clone(stream)),
            _ => None,
        }
    }

    /// The next batch for the functions, if there is one, and whether no more come. Where neither is so, the main loop is told when it is.
    pub(crate) fn items(&self, id: u64, runtime: &Handle) -> (Option<Batch>, bool) {
        let Some(stream) = self.stream(id) else { return (None, true) };
        let mut ends = stream.ends();
        if ends.closed {
            return (None, true);
        }
        match ends.arrived.take() {
            Some(Arrived::Batch(batch)) => return (Some(batch), false),
            Some(Arrived::End) => return (None, true),
            None => {}
        }
        let Some(mut items) = ends.items.take() else { return (None, false) };
        match items.try_recv() {
            Ok(batch) => {
                ends.items = Some(items);
                (Some(batch), false)
            }
            Err(TryRecvError::Disconnected) => (None, true),
            Err(TryRecvError::Empty) => {
                drop(ends);
                runtime.spawn(async move {
                    let next = items.recv().await;
                    let mut ends = stream.ends();
                    if ends.closed {
                        return;
                    }
                    ends.arrived = Some(next.map_or(Arrived::End, Arrived::Batch));
                    ends.items = Some(items);
                    drop(ends);
                    stream.main_loop.post([Reply::Items(stream.run, stream.id)]);
                });
                (None, false)
            }
        }
    }

    /// Hands on what the functions have sent. True if there is room for more; false if the main loop will be told when there is; `None` if
    /// nobody takes any more.
    pub(crate) fn send(&self, id: u64, batch: Batch, runtime: &Handle) -> Option<bool> {
        let stream = self.stream(id)?;
        let out = stream.ends().out.clone()?;
        match out.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return None,
            // Whoever waits for room sends nothing.
            Err(TrySendError::Full(_)) => return Some(false),
        }
        if out.capacity() > 0 {
            return Some(true);
        }
        runtime.spawn(async move {
            // Closed is told as room, too: the next batch finds out.
            let _ = out.reserve().await;
            stream.main_loop.post([Reply::Room(stream.run, stream.id)]);
        });
        Some(false)
    }

    /// The first of the functions takes no more. Whoever sends to it finds out with the next batch, or where he waits for room.
    pub(crate) fn close(&self, id: u64) {
        if let Some(stream) = self.stream(id) {
            let mut ends = stream.ends();
            ends.closed = true;
            let unread = (ends.items.take(), ends.arrived.take());
            drop(ends);
            drop(unread);
        }
    }

    /// The functions send no more, but for what they have made of the projects. What they receive may go on.
    pub(crate) fn end(&self, id: u64, projects: Option<Vec<Project>>, runtime: &Handle) {
        let Some(stream) = self.stream(id) else { return };
        let Some(out) = stream.ends().out.take() else { return };
        if let Some(projects) = projects {
            let last = Batch { items: Vec::new(), projects: Some(projects) };
            if let Err(TrySendError::Full(last)) = out.try_send(last) {
                runtime.spawn(async move { drop(out.send(last).await) });
            }
        }
    }
}

impl Stream {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question as Lua sees it. Stages and leaves count from 1.
impl Asked {
    pub(crate) fn into_table(self, lua: &Lua, id: u64) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.raw_set("id", id)?;
        match self {
            Self::Match { asker, count } => {
                table.raw_set("kind", "match")?;
                if let Asker::Stage(stage) = asker {
                    table.raw_set("stage", stage + 1)?;
                }
                table.raw_set("count", count)?;
            }
            Self::OnMatch { stage, dir, projects } => {
                table.raw_set("kind", "on_match")?;
                table.raw_set("stage", stage + 1)?;
                table.raw_set("dir", Bytes(dir.as_os_str()))?;
                table.raw_set("projects", projects_table(lua, &projects)?)?;
            }
            Self::Find { stage, projects } => {
                table.raw_set("kind", "find")?;
                table.raw_set("stage", stage + 1)?;
                table.raw_set("projects", optional_projects(lua, projects.as_deref())?)?;
            }
            Self::Name { root, start_dir } => {
                table.raw_set("kind", "name")?;
                table.raw_set("root", Bytes(root.as_os_str()))?;
                table.raw_set("start_dir", Bytes(start_dir.as_os_str()))?;
            }
            Self::Run { stage, count } => {
                table.raw_set("kind", "run")?;
                table.raw_set("stage", stage + 1)?;
                table.raw_set("count", count)?;
            }
        }
        Ok(table)
    }
}

fn test_table(lua: &Lua, Test { leaf, subject }: &Test) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("leaf", leaf + 1)?;
    match subject {
        Subject::Directory { path, names } => {
            table.raw_set("path", Bytes(path.as_os_str()))?;
            if let Some(names) = names {
                table.raw_set("names", lua.create_sequence_from(names.iter().map(|name| Bytes(name)))?)?;
            }
        }
        Subject::File { name, path } => {
            table.raw_set("name", Bytes(name))?;
            table.raw_set("path", Bytes(path.as_os_str()))?;
        }
    }
    Ok(table)
}

/// `{ { root, name }, … }`.
pub(crate) fn projects_table(lua: &Lua, projects: &[Project]) -> mlua::Result<Table> {
    let list = lua.create_table_with_capacity(projects.len(), 0)?;
    for project in projects {
        list.raw_push(project_table(lua, project)?)?;
    }
    Ok(list)
}

/// `{ root, name }`.
pub(crate) fn project_table(lua: &Lua, project: &Project) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("root", Bytes(project.root.as_os_str()))?;
    table.raw_set("name", Bytes(&project.name))?;
    Ok(table)
}

pub(crate) fn optional_projects(lua: &Lua, projects: Option<&[Project]>) -> mlua::Result<Value> {
    projects.map_or(Ok(Nil), |projects| projects_table(lua, projects)?.into_lua(lua))
}

/// Projects that the user's code has named; what is no text is left out, so that the engine says what is missing.
pub(crate) fn projects_from_lua(projects: Option<Table>) -> mlua::Result<Option<Vec<Project>>> {
    let Some(projects) = projects else { return Ok(None) };
    let text = |entry: &Table, key: &str| -> mlua::Result<OsString> {
        match entry.raw_get::<Value>(key)? {
            Value::String(text) => Ok(os_string(&text.as_bytes())),
            _ => Ok(OsString::new()),
        }
    };
    let mut named = Vec::new();
    for entry in projects.sequence_values::<Value>() {
        if let Value::Table(entry) = entry? {
            named.push(Project { root: Path::new(&text(&entry, "root")?).to_path_buf(), name: text(&entry, "name")? });
        }
    }
    Ok(Some(named))
}

/// Items for Lua.
pub(crate) fn items_table(lua: &Lua, items: &[OsString]) -> mlua::Result<Table> {
    lua.create_sequence_from(items.iter().map(|item| Bytes(OsStr::new(item))))
}
