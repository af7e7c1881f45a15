//! What Lua calls for loads: asking for one, committing it, its files, its end; and contexts.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::contexts::ContextId;
use engine::error::{Error, ErrorKind};
use engine::loads::{Asked, RequestId, RunId};
use engine::name::ProjectName;
use engine::plan::Plan;
use engine::verdict;
use mlua::{AnyUserData, FromLua, Function, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};

use super::{CALLBACKS, bytes};
use crate::convert::{LoadRequest, LuaError, invalid, os_string};
use crate::family::LuaFamily;
use crate::main_loop::Reply;
use crate::session::Session;
use crate::{caches, host};

/// So many paths are handed over at a time.
const FILES: usize = 200;

/// `setup()`: ends every load, drops every context, and returns the id of a new, unbound one. Independent contexts are left alone.
pub(super) fn setup(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<u64> {
    Ok(session.setup().0)
}

/// `create_context()`: the id of a new, unbound context.
pub(super) fn create_context(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<u64> {
    Ok(session.create_context().0)
}

/// `create_family(caches)`: the family of an independent context, whose loads read through these caches: to be passed with its loads, and
/// kept for as long as there can be any.
pub(super) fn create_family(session: &'static Session, _: &Lua, caches: AnyUserData) -> mlua::Result<LuaFamily> {
    Ok(LuaFamily::new(session.create_family(caches::of(&caches)?)))
}

/// `load(request)`: request id, run id, and the id of the run it has to wait for, if any. See [`LoadRequest`].
pub(super) fn load(session: &'static Session, _: &Lua, request: LoadRequest) -> mlua::Result<(u64, u64, Option<u64>)> {
    let Asked { request, run, behind, .. } = submit(session, request);
    Ok((request.0, run.0, behind.map(|run| run.0)))
}

/// `load_await(request)`: an awaitable, then what `load` returns. The awaitable takes the `step` that gets the result.
pub(super) fn load_await(
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

pub(super) fn submit(session: &'static Session, request: LoadRequest) -> Asked {
    session.load(request.request, request.family, request.options, request.reason)
}

/// `commit(run, draft)`: binds the planned run to its context and returns what it found; nil if the run was cancelled, or has been overtaken and
/// comes as a `"stayed"` reply. Where it `merges`, only its settings are shown, and `problems` are those that `standing` ones are not among.
pub(super) fn commit(session: &'static Session, lua: &Lua, (run, draft): (u64, u64)) -> mlua::Result<Option<Table>> {
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
    let mut problems = plan.problems_to_tell();
    if let Some(shown) = &committed.merged_into {
        let news = verdict::new_problems(plan, shown);
        let (news, standing) = problems.into_iter().partition(|problem| news.contains(&problem));
        problems = news;
        table.raw_set("standing", errors(lua, standing)?)?;
    }
    table.raw_set("problems", errors(lua, problems)?)?;
    table.raw_set("reason", committed.reason.as_str())?;
    table.raw_set("merges", committed.merged_into.is_some())?;
    table.raw_set("timings", timings(lua, plan)?)?;
    table.raw_set("json", session.with_planned(run, |planned| planned.update.change.name()))?;
    Ok(Some(table))
}

pub(super) fn errors(lua: &Lua, errors: Vec<Error>) -> mlua::Result<Table> {
    lua.create_sequence_from(errors.into_iter().map(LuaError))
}

/// `paths(run)`: the files that the run will merge and run, in this order; of one that merges, those whose settings have changed.
pub(super) fn paths(session: &'static Session, lua: &Lua, run: u64) -> mlua::Result<Table> {
    let paths = session.paths(RunId(run)).ok_or_else(|| mlua::Error::external(Error::from(ErrorKind::Cancelled)))?;
    lua.create_sequence_from(paths.iter().map(|path| bytes(path.as_os_str())))
}

/// Milliseconds.
pub(super) fn timings(lua: &Lua, plan: &Plan) -> mlua::Result<Table> {
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let table = lua.create_table()?;
    table.raw_set("detect_ms", milliseconds(plan.timings.detect))?;
    table.raw_set("read_ms", milliseconds(plan.timings.read))?;
    table.raw_set("merge_ms", milliseconds(plan.timings.merge))?;
    Ok(table)
}

pub(super) fn planned(session: &'static Session, run: u64) -> mlua::Result<Arc<Plan>> {
    session
        .with_planned(RunId(run), |planned| Arc::clone(&planned.plan))
        .ok_or_else(|| mlua::Error::external(Error::from(ErrorKind::Cancelled)))
}

/// `files(run, first)`: the run's files from number `first` (from 1) on, as far as one answer is for all of them: the name of their kind, whether
/// they were merged into the JSON, the router's route that they take (from 1), and a list of their paths. `nil, err` if the run was
/// cancelled.
pub(super) fn files(session: &'static Session, lua: &Lua, (run, first): (u64, usize)) -> mlua::Result<MultiValue> {
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
pub(super) fn content(
    session: &'static Session,
    lua: &Lua,
    (run, file): (u64, Value),
) -> mlua::Result<Option<LuaString>> {
    let plan = planned(session, run)?;
    let file = match file {
        Value::String(path) => plan.file(&PathBuf::from(os_string(&path.as_bytes()))).map(|(_, file)| file),
        number => usize::from_lua(number, lua)?.checked_sub(1).and_then(|index| plan.files.get(index)),
    };
    file.map(|file| lua.create_string(&file.entry.content)).transpose()
}

/// `file_names(project_name)`: where the files of a project are, below the directory of the configuration: its own files without
/// their extension, and its directory. `nil, err` for what is no name.
pub(super) fn file_names(_: &'static Session, lua: &Lua, name: LuaString) -> mlua::Result<MultiValue> {
    let name = name.as_bytes();
    let components: Vec<_> = name.split(|byte| *byte == b'/').map(os_string).collect();
    let name =
        ProjectName::from_components(components.iter().map(OsString::as_os_str)).map_err(mlua::Error::external)?;
    (bytes(name.file_stem().as_os_str()), bytes(name.directory().as_os_str())).into_lua_multi(lua)
}

/// `resume(run)`: a `"resume"` reply for the run, in a later iteration of the loop.
pub(super) fn resume(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<()> {
    session.main_loop.post([Reply::Resume(RunId(run))]);
    Ok(())
}

/// `finish(run, succeeded)`: ends the run; false if it was cancelled before. `on_load` and the answers come through `drain`.
pub(super) fn finish(session: &'static Session, _: &Lua, (run, succeeded): (u64, bool)) -> mlua::Result<bool> {
    Ok(session.finish(RunId(run), succeeded))
}

/// `is_live(run)`: whether the run has neither ended nor been cancelled.
pub(super) fn is_live(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<bool> {
    Ok(session.is_live(RunId(run)))
}

/// `clear(context, runs?)`: as `stop`, and unbinds the context.
pub(super) fn clear(session: &'static Session, _: &Lua, (context, runs): (u64, Option<Vec<u64>>)) -> mlua::Result<()> {
    session.clear(ContextId(context), run_ids(runs).as_deref());
    Ok(())
}

/// `stop(runs?)`: ends these runs and those that wait for them; without `runs` all but those of independent contexts.
pub(super) fn stop(session: &'static Session, _: &Lua, runs: Option<Vec<u64>>) -> mlua::Result<()> {
    session.stop(run_ids(runs).as_deref());
    Ok(())
}

pub(super) fn run_ids(runs: Option<Vec<u64>>) -> Option<Vec<RunId>> {
    runs.map(|runs| runs.into_iter().map(RunId).collect())
}

/// `check_wait(request)`: a `"check_wait"` reply for the request.
pub(super) fn check_wait(session: &'static Session, _: &Lua, request: u64) -> mlua::Result<()> {
    session.main_loop.post([Reply::CheckWait(RequestId(request))]);
    Ok(())
}

/// `refuse_busy(request)`: answers the request with `busy`; false if it has been answered.
pub(super) fn refuse_busy(session: &'static Session, _: &Lua, request: u64) -> mlua::Result<bool> {
    Ok(session.refuse_busy(RequestId(request)))
}
