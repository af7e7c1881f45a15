//! What Lua calls to follow the user and the disk: watching, looking, locating, names that clash.

use std::time::Duration;

use engine::bindings::Clash;
use engine::contexts::ContextId;
use engine::plan::Project;
use mlua::{Lua, LuaString, Table};

use super::bytes;
use crate::convert::{LoadRequest, invalid, os_string};
use crate::host;
use crate::session::Session;

/// `check_name(context, state_dir)`: finds out on a thread whether another project has the name of the context's, and binds the name if not.
/// What comes of it, if anything, is a `"name_clash"` reply with what [`clash_table`] makes and whether that is news; or one without it,
/// where what was told of before is no more.
pub(super) fn check_name(
    session: &'static Session,
    _: &Lua,
    (context, state_dir): (u64, LuaString),
) -> mlua::Result<()> {
    session.check_name(ContextId(context), os_string(&state_dir.as_bytes()).into());
    Ok(())
}

/// `{ name, root, other_root, proposal }`
pub(super) fn clash_table(lua: &Lua, clash: &Clash) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("name", bytes(&clash.name))?;
    table.raw_set("root", bytes(clash.root.as_os_str()))?;
    table.raw_set("other_root", bytes(clash.other_root.as_os_str()))?;
    table.raw_set("proposal", bytes(&clash.proposal))?;
    Ok(table)
}

/// `watch(debounce_ms?)`: has the directories of the configuration watched; nil: not any more. Contexts that are not what their files say any
/// more come as `"stale"` replies.
pub(super) fn watch(session: &'static Session, _: &Lua, debounce_ms: Option<f64>) -> mlua::Result<()> {
    let debounce = debounce_ms.map(|debounce| Duration::try_from_secs_f64(debounce / 1000.0));
    session.watch(debounce.transpose().map_err(|error| invalid(format!("loading.watch.debounce_ms: {error}")))?);
    Ok(())
}

/// `look()`: looks now whether contexts are what their files say, if they are watched, and whether projects have gone.
pub(super) fn look(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<()> {
    session.look();
    Ok(())
}

/// `locate(request, paths)`: in which projects the paths lie, by the rules of a load: a `"located"` reply for the request that is returned, with
/// `{ root, name }` or false for each. An error where only the user's code can tell.
pub(super) fn locate(
    session: &'static Session,
    _: &Lua,
    (load, paths): (LoadRequest, Vec<LuaString>),
) -> mlua::Result<u64> {
    if load.request.needs_host() {
        return Err(invalid("pipeline: projects are found by code of yours here, which only a load runs"));
    }
    let id = session.new_request();
    session.locate(id, &load.request, paths.iter().map(|path| os_string(&path.as_bytes()).into()).collect());
    Ok(id.0)
}

pub(super) fn located(lua: &Lua, projects: Vec<Option<Project>>) -> mlua::Result<Table> {
    let list = lua.create_table_with_capacity(projects.len(), 0)?;
    for project in projects {
        match project {
            Some(project) => list.raw_push(host::project_table(lua, &project)?)?,
            None => list.raw_push(false)?,
        }
    }
    Ok(list)
}
