//! The functions that Lua calls: the border of the module.
//!
//! Each returns at once. Errors that can be expected come back as `nil, err`, never raised; so do panics. What comes later comes
//! through `drain`, one reply a call.

use std::ffi::{OsStr, OsString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use engine::contexts::ContextId;
use engine::error::{Error, ErrorKind};
use engine::json::Piece;
use engine::loads::{Asked, Origin, RequestId, RunId};
use engine::name::ProjectName;
use engine::plan::Plan;
use mlua::{AnyUserData, FromLuaMulti, Function, IntoLuaMulti, Lua, LuaString, MultiValue, Nil, Table, Value};

use crate::convert::{Bytes, ERROR_METATABLE, LoadRequest, LuaError, invalid, os_string};
use crate::main_loop::Reply;
use crate::session::Session;

/// Where Lua keeps the functions that wait for an answer, by request id.
const CALLBACKS: &str = "nvim-project-config.callbacks";

/// What Lua and this library have agreed on; [`attach`] and everything after it is only used when both say the same.
/// Change it with every change of what crosses the border.
const INTERFACE: u32 = 1;

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
        ("load", export(lua, load)?),
        ("load_await", export(lua, load_await)?),
        ("commit", export(lua, commit)?),
        ("file", export(lua, file)?),
        ("file_names", export(lua, file_names)?),
        ("change", export(lua, change)?),
        ("edits", export(lua, edits)?),
        ("piece", export(lua, piece)?),
        ("show", export(lua, show)?),
        ("resume", export(lua, resume)?),
        ("finish", export(lua, finish)?),
        ("is_live", export(lua, is_live)?),
        ("clear", export(lua, clear)?),
        ("check_wait", export(lua, check_wait)?),
        ("refuse_busy", export(lua, refuse_busy)?),
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
    let Some(reply) = session.main_loop.take() else { return Ok(MultiValue::new()) };
    match reply {
        Reply::Planned(run) => ("planned", run.0).into_lua_multi(lua),
        Reply::Failed(run, error) => ("failed", run.0, LuaError(error)).into_lua_multi(lua),
        Reply::Loaded(run) => ("loaded", run.0).into_lua_multi(lua),
        Reply::Answer(request, run) => ("answer", request.0, run.0).into_lua_multi(lua),
        Reply::Refuse(request, error) => ("refuse", request.0, LuaError(error)).into_lua_multi(lua),
        Reply::Done(run) => ("done", run.0).into_lua_multi(lua),
        Reply::Resume(run) => ("resume", run.0).into_lua_multi(lua),
        Reply::CheckWait(request) => ("check_wait", request.0).into_lua_multi(lua),
    }
}

/// `setup()`: ends every load, drops every context, and returns the id of a new, unbound one.
fn setup(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<u64> {
    Ok(session.setup().0)
}

/// `create_context()`: the id of a new, unbound context.
fn create_context(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<u64> {
    Ok(session.create_context().0)
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
    session.load(request.request, request.options, origin)
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
    let projects = plan.projects.iter().map(|project| {
        let entry = lua.create_table()?;
        entry.raw_set("root", bytes(project.root.as_os_str()))?;
        entry.raw_set("name", bytes(&project.name))?;
        Ok(entry)
    });
    table.raw_set("projects", lua.create_sequence_from(projects.collect::<mlua::Result<Vec<_>>>()?)?)?;
    table.raw_set("stem", bytes(plan.stem.as_os_str()))?;
    table.raw_set("json_target", bytes(plan.json_target().as_os_str()))?;
    table.raw_set("files", plan.files.len())?;
    table.raw_set("problems", lua.create_sequence_from(plan.problems.iter().cloned().map(LuaError))?)?;
    table.raw_set("timings", timings(lua, plan)?)?;
    table.raw_set("json", session.with_planned(run, |planned| planned.change.name()))?;
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

/// `file(run, index)`: path, name of its kind, and content of the run's file number `index` (from 1). A file that was merged into the
/// JSON comes without its content. `nil, err` if the run was cancelled.
fn file(session: &'static Session, lua: &Lua, (run, index): (u64, usize)) -> mlua::Result<MultiValue> {
    let plan = planned(session, run)?;
    let file = index.checked_sub(1).and_then(|index| plan.files.get(index)).ok_or_else(|| invalid("no such file"))?;
    let kind = plan.kind(file);
    let content = if kind.merged { None } else { Some(lua.create_string(&file.entry.content)?) };
    (bytes(file.path.as_os_str()), kind.name.as_str(), content).into_lua_multi(lua)
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

/// `change(run)`: what has to happen to the JSON, as `commit` says it: to be asked again after `show` has said false. Nil if the run
/// was cancelled.
fn change(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<Option<&'static str>> {
    Ok(session.with_planned(RunId(run), |planned| planned.change.name()))
}

/// `edits(run)`: the paths that `"edits"` stands for, `{ { key, … }, … }`; to be asked for once. The new values are built by the
/// pieces; what gets none is deleted. Nil if the run was cancelled.
fn edits(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<Option<Vec<Vec<String>>>> {
    Ok(session.with_planned(RunId(run), |planned| planned.change.take_edits()))
}

/// `piece(run)`: the next step of building the run's JSON: `"fill", text`, `"open", array, len` or `"close", key?`; nothing at the end.
fn piece(session: &'static Session, lua: &Lua, run: u64) -> mlua::Result<MultiValue> {
    match session.with_planned(RunId(run), |planned| planned.change.next_piece()).flatten() {
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

/// `show(run, context)`: true if the context's JSON counts as that of the run from now on: the caller puts the values in place before
/// anything else can run. False if it shows something else than what the change was computed for: a `"resume"` reply comes
/// when there is a new `change`, to be built from its beginning. Nil if the run was cancelled.
fn show(session: &'static Session, _: &Lua, (run, context): (u64, u64)) -> mlua::Result<Option<bool>> {
    Ok(session.show(RunId(run), ContextId(context)))
}

/// `resume(run)`: a `"resume"` reply for the run, in a later iteration of the loop.
fn resume(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<()> {
    session.main_loop.post([Reply::Resume(RunId(run))]);
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

/// `clear(context, runs?)`: ends these runs and those that wait for them (without `runs`: all), and unbinds the context.
fn clear(session: &'static Session, _: &Lua, (context, runs): (u64, Option<Vec<u64>>)) -> mlua::Result<()> {
    let runs: Option<Vec<RunId>> = runs.map(|runs| runs.into_iter().map(RunId).collect());
    session.clear(ContextId(context), runs.as_deref());
    Ok(())
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
