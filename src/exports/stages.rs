//! What Lua calls for the user's code in a pipeline: answers to questions, and what passes through functions.

use engine::matcher::Glob;
use engine::pipeline::host::Batch;
use mlua::{IntoLuaMulti, Lua, LuaString, MultiValue, Nil, Table, Value};

use crate::convert::{invalid, os_string};
use crate::host;
use crate::session::Session;

/// `glob_problem(glob)`: what is wrong with a glob; nil if nothing is.
pub(super) fn glob_problem(_: &'static Session, _: &Lua, glob: LuaString) -> mlua::Result<Option<String>> {
    let problem = match glob.to_str() {
        Ok(glob) => Glob::new(&glob).err().map(|error| error.to_string()),
        Err(_) => Some("expected a glob in UTF-8".to_owned()),
    };
    Ok(problem)
}

/// `answer(question, value, projects?)`: to a question of kind `match` (a list of booleans), `on_match` (whether the directory counts; the
/// projects, if they have been changed) or `find` (a list of paths).
pub(super) fn answer(
    session: &'static Session,
    _: &Lua,
    (id, value, projects): (u64, Value, Option<Table>),
) -> mlua::Result<()> {
    session.questions.answer(id, &value, host::projects_from_lua(projects)?)
}

pub(super) fn runtime(session: &'static Session) -> mlua::Result<&'static tokio::runtime::Handle> {
    session.runtime_handle().ok_or_else(|| invalid("nothing has been loaded yet"))
}

/// `tests(question, first, count)`: what the question is about from the `first` test (from 1) on; nil if its load has ended.
pub(super) fn tests(
    session: &'static Session,
    lua: &Lua,
    (id, first, count): (u64, usize, usize),
) -> mlua::Result<Option<Table>> {
    session.questions.tests(lua, id, first.saturating_sub(1), count)
}

/// `stage_items(question)`: the next items for the functions of this question (nil: none now, an `"items"` reply will tell), whether they were
/// the last ones, and the projects where they have changed.
pub(super) fn stage_items(session: &'static Session, lua: &Lua, id: u64) -> mlua::Result<MultiValue> {
    let (batch, ended) = session.questions.items(id, runtime(session)?);
    let Some(batch) = batch else { return (Nil, ended).into_lua_multi(lua) };
    let projects = host::optional_projects(lua, batch.projects.as_deref())?;
    (host::items_table(lua, &batch.items)?, ended, projects).into_lua_multi(lua)
}

/// `stage_send(question, items, projects?)`: hands on what the functions have sent. True if more may follow at once; false if a `"room"` reply
/// will tell when; nil if nobody takes it.
pub(super) fn stage_send(
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
pub(super) fn stage_close(session: &'static Session, _: &Lua, id: u64) -> mlua::Result<()> {
    session.questions.close(id);
    Ok(())
}

/// `stage_end(question, projects?)`: the functions send no more.
pub(super) fn stage_end(session: &'static Session, _: &Lua, (id, projects): (u64, Option<Table>)) -> mlua::Result<()> {
    session.questions.end(id, host::projects_from_lua(projects)?, runtime(session)?);
    Ok(())
}
