//! What Lua calls for settings: showing what has arrived, taking up what was changed, saving.

use std::time::Duration;

use engine::contexts::ContextId;
use engine::error::{Error, ErrorKind};
use engine::json;
use engine::json::{Change, Edit, Piece};
use engine::loads::RunId;
use engine::settings::Ticket;
use mlua::{IntoLuaMulti, Lua, LuaString, MultiValue, Nil, Table, Value};

use super::bytes;
use crate::compare::Comparison;
use crate::convert::{LuaError, os_string};
use crate::session::{Arrival, Session};
use crate::{compare, document};

/// Whose settings arrive: those of a run, or (without one) what has changed in the context elsewhere.
pub(super) fn arrival(run: Option<u64>, context: u64) -> Arrival {
    run.map_or(Arrival::Context(ContextId(context)), |run| Arrival::Run(RunId(run)))
}

/// `change(run)`: what has to happen to the JSON, as `commit` says it: to be asked again after `show` has said false. Nil if the run
/// was cancelled.
pub(super) fn change(session: &'static Session, _: &Lua, run: u64) -> mlua::Result<Option<&'static str>> {
    Ok(session.with_planned(RunId(run), |planned| planned.update.change.name()))
}

/// `edits(run?, context)`: the paths that `"edits"` stands for, `{ { key, … }, … }`; to be asked for once. The new values are built by the
/// pieces; what gets none is deleted. Nil if the run was cancelled.
pub(super) fn edits(
    session: &'static Session,
    _: &Lua,
    (run, context): (Option<u64>, u64),
) -> mlua::Result<Option<Vec<Vec<String>>>> {
    Ok(session.with_update(arrival(run, context), |update| update.change.take_edits()))
}

/// `piece(run?, context)`: the next step of building the JSON: `"fill", text`, `"open", array, len` or `"close", key?`; nothing at the
/// end.
pub(super) fn piece(
    session: &'static Session,
    lua: &Lua,
    (run, context): (Option<u64>, u64),
) -> mlua::Result<MultiValue> {
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
pub(super) fn show(
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
pub(super) fn compare(
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

pub(super) fn taken(
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
pub(super) fn keys(path: &[LuaString]) -> mlua::Result<Vec<String>> {
    let key = |key: &LuaString| String::from_utf8(key.as_bytes().to_vec());
    path.iter().map(key).collect::<Result<_, _>>().map_err(|_| {
        let text = "the path has a key that is not valid UTF-8; settings are JSON, so it is not saved";
        mlua::Error::external(Error::from(ErrorKind::UnsupportedValue(text.into())))
    })
}

/// `set(context, path, value, target, wants_paths)`: takes up the value at one path, whole or not at all; nil deletes. Returns
/// what has changed, as `compare`, and an error if the value was refused.
pub(super) fn set(
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
pub(super) fn kick(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<()> {
    session.settings.kick();
    Ok(())
}

/// `retry()`: tries again to save what could not be saved.
pub(super) fn retry(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<()> {
    session.settings.retry();
    Ok(())
}

/// `flush()`: as `kick` and `retry`; a `"flushed"` reply for the ticket that is returned tells the end.
pub(super) fn flush(session: &'static Session, _: &Lua, (): ()) -> mlua::Result<u64> {
    Ok(session.settings.flush().0)
}

/// `update(context, path, target)`: a ticket. `"update_read"` replies hand over what lies on disk at the path, as `{"value":…}` or nil;
/// each is answered by `update_to` or `update_drop`. An `"updated"` reply tells the end.
pub(super) fn update(
    session: &'static Session,
    _: &Lua,
    (context, path, target): (u64, Vec<LuaString>, LuaString),
) -> mlua::Result<u64> {
    Ok(session.settings.update(ContextId(context), keys(&path)?, os_string(&target.as_bytes()).into()).0)
}

/// `update_to(ticket, path, value)`: what the value at the path becomes; nil deletes it.
pub(super) fn update_to(
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
pub(super) fn update_drop(session: &'static Session, _: &Lua, ticket: u64) -> mlua::Result<()> {
    session.settings.update_to(Ticket(ticket), None);
    Ok(())
}

/// `merge(context, path, run?)`: merges a JSON file into the context's, for an executor of the run. A `"merged"` reply for the request that is
/// returned tells the end: the file that gets new settings, or nil and an error.
pub(super) fn merge(
    session: &'static Session,
    _: &Lua,
    (context, path, run): (u64, LuaString, Option<u64>),
) -> mlua::Result<u64> {
    Ok(session.merge(ContextId(context), os_string(&path.as_bytes()).into(), run.map(RunId)).0)
}

/// `forget_unmerged(context, run)`: the run's files have run: what only earlier ones have merged goes. As `merge`; nil if there is nothing to
/// wait for.
pub(super) fn forget_unmerged(
    session: &'static Session,
    _: &Lua,
    (context, run): (u64, u64),
) -> mlua::Result<Option<u64>> {
    Ok(session.forget_unmerged(ContextId(context), RunId(run)).map(|request| request.0))
}

/// `unsaved()`: `{ { path, changes, message? }, … }`: the files whose changes are not on disk, what they are, and what was wrong.
pub(super) fn unsaved(session: &'static Session, lua: &Lua, (): ()) -> mlua::Result<Table> {
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
pub(super) fn json_value(_: &'static Session, _: &Lua, text: LuaString) -> mlua::Result<Option<String>> {
    Ok(document::value(&text.as_bytes()).map(document::text))
}

/// `origin(context, path, rest)`: the file and the line that give what is shown at the path, and in an array there, at the `rest`. The
/// line is nil as long as it is not saved.
pub(super) fn origin(
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
pub(super) fn flush_at_exit(session: &'static Session, _: &Lua, log: LuaString) -> mlua::Result<()> {
    session.flush_at_exit(os_string(&log.as_bytes()).into());
    Ok(())
}

/// `leave(waited_ms)`: saves what has been taken up, and waits for it. Losses are written to the log. Leaving has taken `waited_ms` so far,
/// which counts.
pub(super) fn leave(session: &'static Session, _: &Lua, waited_ms: u64) -> mlua::Result<()> {
    session.leave(Duration::from_millis(waited_ms));
    Ok(())
}
