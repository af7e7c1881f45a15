//! The functions that Lua calls: the border of the module.
//!
//! Each returns at once. Errors that can be expected come back as `nil, err`, never raised; so do panics. What comes later comes
//! through `drain`, one reply a call.

mod following;
mod loads;
mod settings;
mod stages;

use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::error::{Error, ErrorKind};
use engine::settings::Author;
use mlua::{AnyUserData, FromLuaMulti, Function, IntoLuaMulti, Lua, MultiValue, Nil, Table, Value};

use crate::convert::{Bytes, ERROR_METATABLE, LuaError};
use crate::main_loop::Reply;
use crate::session::Session;
use crate::{caches, document};

/// Where Lua keeps the functions that wait for an answer, by request id.
const CALLBACKS: &str = "nvim-project-config.callbacks";

/// What Lua and this library have agreed on; [`attach`] and everything after it is only used when both say the same.
/// Change it with every change of what crosses the border.
const INTERFACE: u32 = 5;

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
        ("setup", export(lua, loads::setup)?),
        ("create_context", export(lua, loads::create_context)?),
        ("create_family", export(lua, loads::create_family)?),
        ("load", export(lua, loads::load)?),
        ("load_await", export(lua, loads::load_await)?),
        ("commit", export(lua, loads::commit)?),
        ("paths", export(lua, loads::paths)?),
        ("files", export(lua, loads::files)?),
        ("content", export(lua, loads::content)?),
        ("file_names", export(lua, loads::file_names)?),
        ("change", export(lua, settings::change)?),
        ("edits", export(lua, settings::edits)?),
        ("piece", export(lua, settings::piece)?),
        ("show", export(lua, settings::show)?),
        ("compare", export(lua, settings::compare)?),
        ("set", export(lua, settings::set)?),
        ("kick", export(lua, settings::kick)?),
        ("retry", export(lua, settings::retry)?),
        ("flush", export(lua, settings::flush)?),
        ("update", export(lua, settings::update)?),
        ("update_to", export(lua, settings::update_to)?),
        ("update_drop", export(lua, settings::update_drop)?),
        ("merge", export(lua, settings::merge)?),
        ("forget_unmerged", export(lua, settings::forget_unmerged)?),
        ("unsaved", export(lua, settings::unsaved)?),
        ("json_value", export(lua, settings::json_value)?),
        ("glob_problem", export(lua, stages::glob_problem)?),
        ("origin", export(lua, settings::origin)?),
        ("flush_at_exit", export(lua, settings::flush_at_exit)?),
        ("leave", export(lua, settings::leave)?),
        ("resume", export(lua, loads::resume)?),
        ("answer", export(lua, stages::answer)?),
        ("tests", export(lua, stages::tests)?),
        ("stage_items", export(lua, stages::stage_items)?),
        ("stage_send", export(lua, stages::stage_send)?),
        ("stage_close", export(lua, stages::stage_close)?),
        ("stage_end", export(lua, stages::stage_end)?),
        ("finish", export(lua, loads::finish)?),
        ("is_live", export(lua, loads::is_live)?),
        ("check_name", export(lua, following::check_name)?),
        ("watch", export(lua, following::watch)?),
        ("look", export(lua, following::look)?),
        ("locate", export(lua, following::locate)?),
        ("clear", export(lua, loads::clear)?),
        ("stop", export(lua, loads::stop)?),
        ("check_wait", export(lua, loads::check_wait)?),
        ("refuse_busy", export(lua, loads::refuse_busy)?),
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
        Reply::Stayed(run, context) => ("stayed", run.0, context.map(|context| context.0)).into_lua_multi(lua),
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
        Reply::Stale(context) => ("stale", context.0).into_lua_multi(lua),
        Reply::NameClash(context, clash, is_news) => {
            let clash = clash.map(|clash| following::clash_table(lua, &clash)).transpose()?;
            ("name_clash", context.0, clash, is_news).into_lua_multi(lua)
        }
        Reply::Trouble(context, error) => ("trouble", context.0, error.map(LuaError)).into_lua_multi(lua),
        Reply::Complaint(context, error) => ("complaint", context.0, LuaError(error)).into_lua_multi(lua),
        Reply::Gone(context) => ("gone", context.0).into_lua_multi(lua),
        Reply::Blind(error) => ("blind", LuaError(error)).into_lua_multi(lua),
        Reply::Located(request, projects) => {
            ("located", request.0, following::located(lua, projects)?).into_lua_multi(lua)
        }
        Reply::CheckWait(request) => ("check_wait", request.0).into_lua_multi(lua),
    }
}

fn bytes(text: &OsStr) -> Bytes<'_> {
    Bytes(text)
}

fn author(author: Author) -> &'static str {
    match author {
        Author::Local => "local",
        Author::Disk => "disk",
    }
}
