//! The functions that Lua calls: the border of the module.
//!
//! Each returns at once. Errors that can be expected come back as `nil, err`, never raised; so do panics. What comes later comes
//! through `drain`, one reply a call.

use std::ffi::{OsStr, OsString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::contexts::ContextId;
use engine::error::{Error, ErrorKind};
use engine::json::{self, Change, Edit, Piece};
use engine::loads::{Asked, Origin, RequestId, RunId};
use engine::matcher::Glob;
use engine::name::ProjectName;
use engine::pipeline::host::Batch;
use engine::plan::Plan;
use engine::settings::{Author, Ticket};
use mlua::{AnyUserData, FromLua, FromLuaMulti, Function, IntoLuaMulti, Lua, LuaString, MultiValue, Nil, Table, Value};

use crate::caches;
use crate::compare::{self, Comparison};
use crate::convert::{Bytes, ERROR_METATABLE, LoadRequest, LuaError, invalid, os_string};
use crate::document;
use crate::family::LuaFamily;
use crate::host;
use crate::main_loop::Reply;
use crate::session::{Arrival, Session};

/// Where Lua keeps the functions that wait for an answer, by request id.
const CALLBACKS: &str = "nvim-project-config.callbacks";

/// So many paths are handed over at a time.
const FILES: usize = 200;

/// What Lua and this library have agreed on; [`attach`] and everything after it is only used when both say the same.
/// Change it with every change of what crosses the border.
const INTERFACE: u32 = 4;

pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("version", env!("CARGO_PKG_VERSION"))?;
    table.raw_set("interface", INTERFACE)?;
    let functions = [
        ("attach", export(lua, attach)?),
        ("detach", export(lua, detach)?),
        ("wait", export(lua, wait)?),
        ("wake", export(lua, wake)?),
        ("has_replies", export(lua, has_replies)?),
        ("drain", export(lua, drain)?),
        ("setup", export(lua, setup)?),
        ("create_context", export(lua, create_context)?),
        ("create_family", export(lua, create_family)?),
        ("load", export(lua, load)?),
        ("load_await", export(lua, load_await)?),
        ("commit", export(lua, commit)?),
        ("files", export(lua, files)?),
        ("content", export(lua, content)?),
        ("file_names", export(lua, file_names)?),
        ("change", export(lua, change)?),
        ("edits", export(lua, edits)?),
        ("piece", export(lua, piece)?),
        ("show", export(lua, show)?),
        ("compare", export(lua, compare)?),
        ("set", export(lua, set)?),
        ("kick", export(lua, kick)?),
        ("retry", export(lua, retry)?),
        ("flush", export(lua, flush)?),
        ("update", export(lua, update)?),
        ("update_to", export(lua, update_to)?),
        ("update_drop", export(lua, update_drop)?),
        ("merge", export(lua, merge)?),
        ("forget_unmerged", export(lua, forget_unmerged)?),
        ("unsaved", export(lua, unsaved)?),
        ("json_value", export(lua, json_value)?),
        ("glob_problem", export(lua, glob_problem)?),
        ("origin", export(lua, origin)?),
        ("flush_at_exit", export(lua, flush_at_exit)?),
        ("leave", export(lua, leave)?),
        ("resume", export(lua, resume)?),
        ("answer", export(lua, answer)?),
        ("tests", export(lua, tests)?),
        ("stage_items", export(lua, stage_items)?),
        ("stage_send", export(lua, stage_send)?),
        ("stage_close", export(lua, stage_close)?),
        ("stage_end", export(lua, stage_end)?),
        ("finish", export(lua, finish)?),
        ("is_live", export(lua, is_live)?),
        ("clear", export(lua, clear)?),
        ("stop", export(lua, stop)?),
        ("check_wait", export(lua, check_wait)?),
        ("refuse_busy", export(lua, refuse_busy)?),
        ("caches", export(lua, caches::caches)?),
        ("cache_get_file", export(lua, caches::get_file)?),
        ("cache_get_directory", export(lua, caches::get_directory)?),
        ("cache_write", export(lua, caches::write)?),
        ("cache_invalidate", export(lua, caches::invalidate)?),
        ("cache_entry", export(lua, caches::entry)?),
        ("entry_json", export(lua, caches::entry_json)?),
        ("directory_items", export(lua, caches::directory_items)?),
    ];
    for (name, function) in functions {
        table.raw_set(name, function)?;
    }
    Ok(table)
}

/// Makes a Lua function of `work`: errors and panics come back as `nil, err`.
fn export<A: FromLuaMulti + 'static, R: IntoLuaMulti + 'static>(
    lua: &Lua,
    work: fn(&'static Session, &Lua, A) -> mlua::Result<R>,
) -> mlua::Result<Function> {
    lua.create_function(move |lua, arguments: MultiValue| {
        let call = || work(Session::get(), lua, A::from_lua_multi(arguments, lua)?)?.into_lua_multi(lua);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(error)) => (Nil, LuaError(own_error(&error))).into_lua_multi(lua),
            Err(_) => {
                (Nil, LuaError(ErrorKind::Runtime("a defect of nvim-project-config; please report it".into()).into()))
                    .into_lua_multi(lua)
            }
        }
    })
}

fn own_error(error: &mlua::Error) -> Error {
    error.downcast_ref::<Error>().cloned().unwrap_or_else(|| ErrorKind::Runtime(error.to_string()).into())
}

/// `attach(async, callbacks, error_metatable, in_thread)`: true if the library wakes the loop through `async` itself, false if a
/// Lua thread has to do it with `wait` (the host does not export what it takes, or `in_thread` asks for it).
fn attach(
    session: &'static Session,
    lua: &Lua,
    (handle, callbacks, error_metatable, in_thread): (AnyUserData, Table, Table, bool),
) -> mlua::Result<bool> {
    lua.set_named_registry_value(CALLBACKS, callbacks)?;
    lua.set_named_registry_value(ERROR_METATABLE, error_metatable)?;
    let wake = &session.main_loop.wake;
    let direct = !in_thread && wake.attach_handle(Value::UserData(handle).to_pointer());
    if !direct {
        wake.attach_thread();
    }
    Ok(direct)
}

/// `detach()`: from now on nothing touches the handle given to `attach`.
fn detach(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<()> {
    session.main_loop.wake.detach();
    Ok(())
}

/// `wait()`: blocks until the loop has to be woken (true) or `detach` (false). Only for the thread that `attach` asked for.
fn wait(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<bool> {
    Ok(session.main_loop.wake.wait())
}

/// `wake()`: has `drain` called again in a later iteration of the loop.
fn wake(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<()> {
    session.main_loop.wake.wake();
    Ok(())
}

/// `has_replies()`: whether `drain` would return something.
fn has_replies(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<bool> {
    Ok(session.main_loop.has_replies())
}

/// `drain()`: the next reply as `event, id, …`, or nothing.
fn drain(session: &'static Session, lua: &Lua, (): ()) -> mlua::Result<MultiValue> {
    let Some(reply) = session.main_loop.take() else {
        session.caches.clear_taken();
        return Ok(MultiValue::new());
    };
    match reply {
        Reply::Planned(run) => ("planned", run.0).into_lua_multi(lua),
        Reply::Failed(run, error) => ("failed", run.0, LuaError(error)).into_lua_multi(lua),
        Reply::Loaded(run) => ("loaded", run.0).into_lua_multi(lua),
        Reply::Answer(request, run) => ("answer", request.0, run.0).into_lua_multi(lua),
        Reply::Refuse(request, error) => ("refuse", request.0, LuaError(error)).into_lua_multi(lua),
        Reply::Done(run) => ("done", run.0).into_lua_multi(lua),
        Reply::Resume(run) => ("resume", run.0).into_lua_multi(lua),
        Reply::Ask(run, id, asked) => ("ask", run.0, asked.into_table(lua, id)?).into_lua_multi(lua),
        Reply::Items(run, id) => ("items", run.0, id).into_lua_multi(lua),
        Reply::Room(run, id) => ("room", run.0, id).into_lua_multi(lua),
        Reply::Changed(context, update) => {
            let values = ("changed", context.0, update.change.name(), author(update.author)).into_lua_multi(lua);
            session.begin_change(context, *update);
            values
        }
        Reply::Saved(path, target) => ("saved", bytes(path.as_os_str()), bytes(target.as_os_str())).into_lua_multi(lua),
        Reply::NotSaved(context, error) => ("not_saved", context.0, LuaError(error)).into_lua_multi(lua),
        Reply::Flushed(ticket, result) => ("flushed", ticket.0, result.err().map(LuaError)).into_lua_multi(lua),
        Reply::UpdateRead(ticket, old) => ("update_read", ticket.0, old.map(document::text)).into_lua_multi(lua),
        Reply::Updated(ticket, result) => ("updated", ticket.0, result.err().map(LuaError)).into_lua_multi(lua),
        Reply::Merged(request, result) => {
            let (target, error) = (result.as_ref().ok().map(|target| bytes(target.as_os_str())), result.as_ref().err());
            ("merged", request.0, target, error.cloned().map(LuaError)).into_lua_multi(lua)
        }
        Reply::Got(request, answer) => caches::reply(session, lua, request, answer),
        Reply::CheckWait(request) => ("check_wait", request.0).into_lua_multi(lua),
    }
}

/// `glob_problem(glob)`: what is wrong with a glob; nil if nothing is.
fn glob_problem(_: &'static Session, _: &Lua, glob: LuaString) -> mlua::Result<Option<String>> {
    let problem = match glob.to_str() {
        Ok(glob) => Glob::new(&glob).err().map(|error| error.to_string()),
        Err(_) => Some("expected a glob in UTF-8".to_owned()),
    };
    Ok(problem)
}

/// `setup()`: ends every load, drops every context, and returns the id of a new, unbound one. Independent contexts are left alone.
fn setup(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<u64> {
    Ok(session.setup().0)
}

/// `create_context()`: the id of a new, unbound context.
fn create_context(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<u64> {
    Ok(session.create_context().0)
}

/// `create_family(caches)`: the family of an independent context, whose loads read through these caches: to be passed with its loads, and
/// kept for as long as there can be any.
fn create_family(session: &'static Session, _: &Lua, caches: AnyUserData) -> mlua::Result<LuaFamily> {
    Ok(LuaFamily::new(session.create_family(caches::of(&caches)?)))
}

/// `load(request)`: request id, run id, and the id of the run it has to wait for, if any. See [`LoadRequest`].
fn load(session: &'static Session, _: &Lua, request: LoadRequest) -> mlua::Result<(u64, u64, Option<u64>)> {
    let Asked { request, run, behind, .. } = submit(session, request);
    Ok((request.0, run.0, behind.map(|run| run.0)))
}

/// `load_await(request)`: an awaitable, then what `load` returns. The awaitable takes the `step` that gets the result.
fn load_await(
    session: &'static Session,
    lua: &Lua,
    request: LoadRequest,
) -> mlua::Result<(Function, u64, u64, Option<u64>)> {
    let Asked { request, run, behind, .. } = submit(session, request);
    let awaitable = lua.create_function(move |lua, step: Function| {
        lua.named_registry_value::<Table>(CALLBACKS)?.raw_set(request.0, step)
    })?;
    Ok((awaitable, request.0, run.0, behind.map(|run| run.0)))
}

fn submit(session: &'static Session, request: LoadRequest) -> Asked {
    let origin = if request.automatic { Origin::Automatic } else { Origin::User };
    session.load(request.request, request.family, request.options, origin)
}

/// `commit(run, draft)`: binds the planned run to its context and returns what it found; nil if the run was cancelled.
fn commit(session: &'static Session, lua: &Lua, (run, draft): (u64, u64)) -> mlua::Result<Option<Table>> {
    let run = RunId(run);
    let Some(committed) = session.commit(run, ContextId(draft)) else { return Ok(None) };
    let plan = &committed.plan;
    let table = lua.create_table()?;
    table.raw_set("context", committed.context.0)?;
    table.raw_set("current", committed.current)?;
    table.raw_set("project_root", bytes(plan.project().root.as_os_str()))?;
    table.raw_set("project_name", bytes(&plan.project().name))?;
    table.raw_set("projects", host::projects_table(lua, &plan.projects)?)?;
    table.raw_set("stem", bytes(plan.stem.as_os_str()))?;
    let json_target = session.with_planned(run, |planned| planned.update.prepared.json_target()).flatten();
    table.raw_set("json_target", bytes(json_target.unwrap_or_else(|| plan.json_target()).as_os_str()))?;
    table.raw_set("files", plan.files.len())?;
    table.raw_set("problems", lua.create_sequence_from(plan.problems_to_tell().into_iter().map(LuaError))?)?;
    table.raw_set("timings", timings(lua, plan)?)?;
    table.raw_set("json", session.with_planned(run, |planned| planned.update.change.name()))?;
    Ok(Some(table))
}

fn bytes(text: &OsStr) -> Bytes<'_> {
    Bytes(text)
}

/// Milliseconds.
fn timings(lua: &Lua, plan: &Plan) -> mlua::Result<Table> {
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let table = lua.create_table()?;
    table.raw_set("detect_ms", milliseconds(plan.timings.detect))?;
    table.raw_set("read_ms", milliseconds(plan.timings.read))?;
    table.raw_set("merge_ms", milliseconds(plan.timings.merge))?;
    Ok(table)
}

fn planned(session: &'static Session, run: u64) -> mlua::Result<Arc<Plan>> {
    session
        .with_planned(RunId(run), |planned| Arc::clone(&planned.plan))
        .ok_or_else(|| mlua::Error::external(Error::from(ErrorKind::Cancelled)))
}

/// `files(run, first)`: the run's files from number `first` (from 1) on, as far as one answer is for all of them: the name of their kind, whether
/// they were merged into the JSON, the router's route that they take (from 1), and a list of their paths. `nil, err` if the run was
/// cancelled.
fn files(session: &'static Session, lua: &Lua, (run, first): (u64, usize)) -> mlua::Result<MultiValue> {
    let plan = planned(session, run)?;
    let rest = first.checked_sub(1).and_then(|first| plan.files.get(first..)).unwrap_or_default();
    let one = rest.first().ok_or_else(|| invalid("no such file"))?;
    let alike = rest.iter().take(FILES).take_while(|file| file.kind == one.kind && file.route == one.route);
    let paths = lua.create_sequence_from(alike.map(|file| bytes(file.path.as_os_str())))?;
    let route = one.route.map(|route| route + 1);
    (plan.kind(one).name.as_str(), plan.is_merged(one), route, paths).into_lua_multi(lua)
}

/// `content(run, file)`: the bytes that the load has read and checked, of its file number `file` or of the file at this path. Nil if it is none
/// of the run's files, `nil, err` if the run was cancelled.
fn content(session: &'static Session, lua: &Lua, (run, file): (u64, Value)) -> mlua::Result<Option<LuaString>> {
    let plan = planned(session, run)?;
    let file = match file {
        Value::String(path) => plan.file(&PathBuf::from(os_string(&path.as_bytes()))).map(|(_, file)| file),
        number => usize::from_lua(number, lua)?.checked_sub(1).and_then(|index| plan.files.get(index)),
    };
    file.map(|file| lua.create_string(&file.entry.content)).transpose()
}

/// `file_names(project_name)`: where the files of a project are, below the directory of the configuration: its own files without
/// their extension, and its directory. `nil, err` for what is no name.
fn file_names(_: &'static Session, lua: &Lua, name: LuaString) -> mlua::Result<MultiValue> {
    let name = name.as_bytes();
    let components: Vec<_> = name.split(|byte| *byte == b'/').map(os_string).collect();
    let name =
        ProjectName::from_components(components.iter().map(OsString::as_os_str)).map_err(mlua::Error::external)?;
    (bytes(name.file_stem().as_os_str()), bytes(name.directory().as_os_str())).into_lua_multi(lua)
}

/// Whose settings arrive: those of a run, or (without one) what has changed in the context elsewhere.
fn arrival(run: Option<u64>, context: u64) -> Arrival {
    run.map_or(Arrival::Context(ContextId(context)), |run| Arrival::Run(RunId(run)))
}

fn author(author: Author) -> &'static str {
    match author {
        Author::Local => "local",
        Author::Disk => "disk",
    }
}

/// `change(run)`: what has to happen to the JSON, as `commit` says it: to be asked again after `show` has said false. Nil if the run
/// was cancelled.
fn change(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<Option<&'static str>> {
    Ok(session.with_planned(RunId(run), |planned| planned.update.change.name()))
}

/// `edits(run?, context)`: the paths that `"edits"` stands for, `{ { key, … }, … }`; to be asked for once. The new values are built by the
/// pieces; what gets none is deleted. Nil if the run was cancelled.
fn edits(
    session: &'static Session,
    _: &Lua,
    (run, context): (Option<u64>, u64),
) -> mlua::Result<Option<Vec<Vec<String>>>> {
    Ok(session.with_update(arrival(run, context), |update| update.change.take_edits()))
}

/// `piece(run?, context)`: the next step of building the JSON: `"fill", text`, `"open", array, len` or `"close", key?`; nothing at the
/// end.
fn piece(session: &'static Session, lua: &Lua, (run, context): (Option<u64>, u64)) -> mlua::Result<MultiValue> {
    match session.with_update(arrival(run, context), |update| update.change.next_piece()).flatten() {
        None => Ok(MultiValue::new()),
        Some(Piece::Fill(text)) => ("fill", text).into_lua_multi(lua),
        Some(Piece::Open { array, len }) => {
            let table =
                if array { lua.create_table_with_capacity(len, 0)? } else { lua.create_table_with_capacity(0, len)? };
            ("open", table, array).into_lua_multi(lua)
        }
        Some(Piece::Close { key }) => ("close", key).into_lua_multi(lua),
    }
}

/// `show(run?, context, at_once)`: true if the context's JSON counts as what has arrived from now on: the caller puts the values in
/// place before anything else can run. False if it shows something else than what the change was computed for: then the change comes anew, to be
/// built from its beginning (a `"resume"` reply and a new `change` for a run, else a `"changed"` reply); `at_once` it is returned here,
/// as a second value, and the main thread waits for it. Nil if nothing arrives any more.
fn show(
    session: &'static Session,
    _: &Lua,
    (run, context, at_once): (Option<u64>, u64, bool),
) -> mlua::Result<(Option<bool>, Option<&'static str>)> {
    let (arrival, context) = (arrival(run, context), ContextId(context));
    let shown = session.show(arrival, context, at_once);
    let again = if at_once && shown == Some(false) {
        session.with_update(arrival, |update| update.change.name())
    } else {
        None
    };
    Ok((shown, again))
}

/// `compare(context, json, urgent, target, wants_paths)`: takes up what the table says and the context does not show yet, to be saved
/// after `kick`; new settings go to the file `target`. Large documents are compared only if it is `urgent`. Returns what has changed (a list of
/// paths if they are wanted, else true; nil if nothing has), and a list of errors for values that were refused for the first time.
fn compare(
    session: &'static Session,
    lua: &Lua,
    (context, json, urgent, target, wants_paths): (u64, Value, bool, LuaString, bool),
) -> mlua::Result<MultiValue> {
    let context = ContextId(context);
    let Some(shown) = session.settings.shown(context).filter(|shown| urgent || !shown.is_large) else {
        return Ok(MultiValue::new());
    };
    let Comparison { edits, refused } = compare::compare(lua, Some(&shown.value), &json, &[])?;
    // The one owner changes it in place.
    drop(shown);
    let paths = taken(session, lua, context, edits, &target, wants_paths)?;
    let news = session.refused(context, refused);
    if news.is_empty() {
        return paths.into_lua_multi(lua);
    }
    let news: Vec<_> = news.into_iter().map(|refused| LuaError(refused.into())).collect();
    (paths, lua.create_sequence_from(news)?).into_lua_multi(lua)
}

fn taken(
    session: &'static Session,
    lua: &Lua,
    context: ContextId,
    edits: Vec<Edit>,
    target: &LuaString,
    wants_paths: bool,
) -> mlua::Result<Value> {
    if edits.is_empty() {
        return Ok(Nil);
    }
    let paths = if wants_paths {
        let paths = edits.iter().map(|edit| edit.path.as_slice());
        Value::Table(lua.create_sequence_from(paths)?)
    } else {
        Value::Boolean(true)
    };
    session.settings.take(context, edits, os_string(&target.as_bytes()).into());
    Ok(paths)
}

/// The keys of a path.
///
/// # Errors
///
/// One is no text.
fn keys(path: &[LuaString]) -> mlua::Result<Vec<String>> {
    let key = |key: &LuaString| String::from_utf8(key.as_bytes().to_vec());
    path.iter().map(key).collect::<Result<_, _>>().map_err(|_| {
        let text = "the path has a key that is not valid UTF-8; settings are JSON, so it is not saved";
        mlua::Error::external(Error::from(ErrorKind::UnsupportedValue(text.into())))
    })
}

/// `set(context, path, value, target, wants_paths)`: takes up the value at one path, whole or not at all; nil deletes. Returns
/// what has changed, as `compare`, and an error if the value was refused.
fn set(
    session: &'static Session,
    lua: &Lua,
    (context, path, value, target, wants_paths): (u64, Vec<LuaString>, Value, LuaString, bool),
) -> mlua::Result<(Value, Option<LuaError>)> {
    let (context, path) = (ContextId(context), keys(&path)?);
    let shown = session.settings.shown(context);
    let known = shown.as_ref().and_then(|shown| json::get(&shown.value, &path));
    let Comparison { edits, refused } = compare::compare(lua, known, &value, &path)?;
    if let Some(refused) = refused.into_iter().next() {
        return Ok((Nil, Some(LuaError(refused.into()))));
    }
    drop(shown);
    Ok((taken(session, lua, context, edits, &target, wants_paths)?, None))
}

/// `kick()`: has everything saved that was taken up.
fn kick(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<()> {
    session.settings.kick();
    Ok(())
}

/// `retry()`: tries again to save what could not be saved.
fn retry(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<()> {
    session.settings.retry();
    Ok(())
}

/// `flush()`: as `kick` and `retry`; a `"flushed"` reply for the ticket that is returned tells the end.
fn flush(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<u64> {
    Ok(session.settings.flush().0)
}

/// `update(context, path, target)`: a ticket. `"update_read"` replies hand over what lies on disk at the path, as `{"value":…}` or nil;
/// each is answered by `update_to` or `update_drop`. An `"updated"` reply tells the end.
fn update(
    session: &'static Session,
    _: &Lua,
    (context, path, target): (u64, Vec<LuaString>, LuaString),
) -> mlua::Result<u64> {
    Ok(session.settings.update(ContextId(context), keys(&path)?, os_string(&target.as_bytes()).into()).0)
}

/// `update_to(ticket, path, value)`: what the value at the path becomes; nil deletes it.
fn update_to(
    session: &'static Session,
    lua: &Lua,
    (ticket, path, value): (u64, Vec<String>, Value),
) -> mlua::Result<()> {
    let Comparison { mut edits, refused } = compare::compare(lua, None, &value, &path)?;
    let result = match (refused.into_iter().next(), edits.pop().map(|edit| edit.change)) {
        (Some(refused), _) => Err(refused.into()),
        (None, Some(Change::Set(value))) => Ok(Some(value)),
        (None, Some(Change::Delete) | None) => Ok(None),
    };
    session.settings.update_to(Ticket(ticket), Some(result));
    Ok(())
}

/// `update_drop(ticket)`: ends an update whose function has failed; no reply follows.
fn update_drop(session: &'static Session, _: &Lua, ticket: u64) -> mlua::Result<()> {
    session.settings.update_to(Ticket(ticket), None);
    Ok(())
}

/// `merge(context, path, run?)`: merges a JSON file into the context's, for an executor of the run. A `"merged"` reply for the request that is
/// returned tells the end: the file that gets new settings, or nil and an error.
fn merge(session: &'static Session, _: &Lua, (context, path, run): (u64, LuaString, Option<u64>)) -> mlua::Result<u64> {
    Ok(session.merge(ContextId(context), os_string(&path.as_bytes()).into(), run.map(RunId)).0)
}

/// `forget_unmerged(context, run)`: the run's files have run: what only earlier ones have merged goes. As `merge`; nil if there is nothing to
/// wait for.
fn forget_unmerged(session: &'static Session, _: &Lua, (context, run): (u64, u64)) -> mlua::Result<Option<u64>> {
    Ok(session.forget_unmerged(ContextId(context), RunId(run)).map(|request| request.0))
}

/// `unsaved()`: `{ { path, changes, message? }, … }`: the files whose changes are not on disk, what they are, and what was wrong.
fn unsaved(session: &'static Session, lua: &Lua, (): ()) -> mlua::Result<Table> {
    let list = lua.create_table()?;
    for unsaved in session.settings.unsaved() {
        let entry = lua.create_table()?;
        entry.raw_set("path", bytes(unsaved.path.as_os_str()))?;
        entry.raw_set("changes", unsaved.changes)?;
        entry.raw_set("message", unsaved.error.map(|error| error.to_string()))?;
        list.raw_push(entry)?;
    }
    Ok(list)
}

/// `json_value(text)`: `{"value":…}` if the text is a JSON value, comments and all; else nil.
fn json_value(_: &'static Session, _: &Lua, text: LuaString) -> mlua::Result<Option<String>> {
    Ok(document::value(&text.as_bytes()).map(document::text))
}

/// `origin(context, path, rest)`: the file and the line that give what is shown at the path, and in an array there, at the `rest`. The
/// line is nil as long as it is not saved.
fn origin(
    session: &'static Session,
    lua: &Lua,
    (context, path, rest): (u64, Vec<String>, Vec<String>),
) -> mlua::Result<MultiValue> {
    match session.settings.origin(ContextId(context), &path, &rest) {
        Some((file, line)) => (bytes(file.as_os_str()), line).into_lua_multi(lua),
        None => Ok(MultiValue::new()),
    }
}

/// `flush_at_exit(log)`: from now on, what has been taken up is saved when the process ends, however it does. What is lost is written to
/// the file `log`.
fn flush_at_exit(session: &'static Session, _: &Lua, log: LuaString) -> mlua::Result<()> {
    session.flush_at_exit(os_string(&log.as_bytes()).into());
    Ok(())
}

/// `leave(waited_ms)`: saves what has been taken up, and waits for it. Losses are written to the log. Leaving has taken `waited_ms` so far,
/// which counts.
fn leave(session: &'static Session, _: &Lua, waited_ms: u64) -> mlua::Result<()> {
    session.leave(Duration::from_millis(waited_ms));
    Ok(())
}

/// `resume(run)`: a `"resume"` reply for the run, in a later iteration of the loop.
fn resume(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<()> {
    session.main_loop.post([Reply::Resume(RunId(run))]);
    Ok(())
}

/// `answer(question, value, projects?)`: to a question of kind `match` (a list of booleans), `on_match` (whether the directory counts; the
/// projects, if they have been changed) or `find` (a list of paths).
fn answer(session: &'static Session, _: &Lua, (id, value, projects): (u64, Value, Option<Table>)) -> mlua::Result<()> {
    session.questions.answer(id, &value, host::projects_from_lua(projects)?)
}

fn runtime(session: &'static Session) -> mlua::Result<&'static tokio::runtime::Handle> {
    session.runtime_handle().ok_or_else(|| invalid("nothing has been loaded yet"))
}

/// `tests(question, first, count)`: what the question is about from the `first` test (from 1) on; nil if its load has ended.
fn tests(session: &'static Session, lua: &Lua, (id, first, count): (u64, usize, usize)) -> mlua::Result<Option<Table>> {
    session.questions.tests(lua, id, first.saturating_sub(1), count)
}

/// `stage_items(question)`: the next items for the functions of this question (nil: none now, an `"items"` reply will tell), whether they were
/// the last ones, and the projects where they have changed.
fn stage_items(session: &'static Session, lua: &Lua, id: u64) -> mlua::Result<MultiValue> {
    let (batch, ended) = session.questions.items(id, runtime(session)?);
    let Some(batch) = batch else { return (Nil, ended).into_lua_multi(lua) };
    let projects = host::optional_projects(lua, batch.projects.as_deref())?;
    (host::items_table(lua, &batch.items)?, ended, projects).into_lua_multi(lua)
}

/// `stage_send(question, items, projects?)`: hands on what the functions have sent. True if more may follow at once; false if a `"room"` reply
/// will tell when; nil if nobody takes it.
fn stage_send(
    session: &'static Session,
    _: &Lua,
    (id, items, projects): (u64, Table, Option<Table>),
) -> mlua::Result<Option<bool>> {
    let item = |item: mlua::Result<LuaString>| Ok(os_string(&item?.as_bytes()));
    let items = items.sequence_values().map(item).collect::<mlua::Result<_>>()?;
    let batch = Batch { items, projects: host::projects_from_lua(projects)? };
    Ok(session.questions.send(id, batch, runtime(session)?))
}

/// `stage_close(question)`: the first of the functions has ended and takes no more.
fn stage_close(session: &'static Session, _: &Lua, id: u64) -> mlua::Result<()> {
    session.questions.close(id);
    Ok(())
}

/// `stage_end(question, projects?)`: the functions send no more.
fn stage_end(session: &'static Session, _: &Lua, (id, projects): (u64, Option<Table>)) -> mlua::Result<()> {
    session.questions.end(id, host::projects_from_lua(projects)?, runtime(session)?);
    Ok(())
}

/// `finish(run, succeeded)`: ends the run; false if it was cancelled before. `on_load` and the answers come through `drain`.
fn finish(session: &'static Session, _: &Lua, (run, succeeded): (u64, bool)) -> mlua::Result<bool> {
    Ok(session.finish(RunId(run), succeeded))
}

/// `is_live(run)`: whether the run has neither ended nor been cancelled.
fn is_live(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<bool> {
    Ok(session.is_live(RunId(run)))
}

/// `clear(context, runs?)`: as `stop`, and unbinds the context.
fn clear(session: &'static Session, _: &Lua, (context, runs): (u64, Option<Vec<u64>>)) -> mlua::Result<()> {
    session.clear(ContextId(context), run_ids(runs).as_deref());
    Ok(())
}

/// `stop(runs?)`: ends these runs and those that wait for them; without `runs` all but those of independent contexts.
fn stop(session: &'static Session, _: &Lua, runs: Option<Vec<u64>>) -> mlua::Result<()> {
    session.stop(run_ids(runs).as_deref());
    Ok(())
}

fn run_ids(runs: Option<Vec<u64>>) -> Option<Vec<RunId>> {
    runs.map(|runs| runs.into_iter().map(RunId).collect())
}

/// `check_wait(request)`: a `"check_wait"` reply for the request.
fn check_wait(session: &'static Session, _: &Lua, request: u64) -> mlua::Result<()> {
    session.main_loop.post([Reply::CheckWait(RequestId(request))]);
    Ok(())
}

/// `refuse_busy(request)`: answers the request with `busy`; false if it has been answered.
fn refuse_busy(session: &'static Session, _: &Lua, request: u64) -> mlua::Result<bool> {
    Ok(session.refuse_busy(RequestId(request)))
}
