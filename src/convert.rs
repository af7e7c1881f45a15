//! Between Lua values and the engine's: errors, paths, requests.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::compare::Refused;
use crate::family::{Family, LuaFamily};
use crate::{kinds, stages};
use engine::error::{Error, ErrorKind};
use engine::loads::Reason;
use engine::name::ProjectName;
use engine::open::Limits;
use engine::pipeline::{NameFrom, Naming, Request};
use mlua::{AnyUserData, FromLua, IntoLua, Lua, Table, Value};

/// Where [`crate::exports`] keeps the metatable of errors.
pub(crate) const ERROR_METATABLE: &str = "nvim-project-config.error";

/// An error as Lua sees it: `{ code, message, path?, line?, column?, errno? }`.
pub(crate) struct LuaError(pub(crate) Error);

impl IntoLua for LuaError {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let Self(error) = self;
        let table = lua.create_table()?;
        table.raw_set("code", error.kind.code())?;
        table.raw_set("message", error.to_string())?;
        table.raw_set("path", error.path.as_deref().map(|path| Bytes(path.as_os_str())))?;
        table.raw_set("line", error.line)?;
        table.raw_set("column", error.column)?;
        table.raw_set("errno", error.errno)?;
        table.set_metatable(lua.named_registry_value(ERROR_METATABLE)?)?;
        Ok(Value::Table(table))
    }
}

impl From<Refused> for Error {
    fn from(Refused { path, what }: Refused) -> Self {
        let place = if path.is_empty() { "ctx.json".to_owned() } else { format!("`{}` in ctx.json", path.join(".")) };
        ErrorKind::UnsupportedValue(format!("{place} {what}; settings are JSON, so it is not saved")).into()
    }
}

/// A path or name as a Lua string: its bytes on Unix, UTF-8 elsewhere.
pub(crate) struct Bytes<'a>(pub(crate) &'a OsStr);

impl Bytes<'_> {
    pub(crate) fn as_slice(&self) -> Cow<'_, [u8]> {
        #[cfg(unix)]
        return Cow::Borrowed(std::os::unix::ffi::OsStrExt::as_bytes(self.0));
        #[cfg(not(unix))]
        return match self.0.to_string_lossy() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
    }
}

impl IntoLua for Bytes<'_> {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_string(self.as_slice()).map(Value::String)
    }
}

/// A path or name from a Lua string.
pub(crate) fn os_string(bytes: &[u8]) -> OsString {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec());
    #[cfg(not(unix))]
    return String::from_utf8_lossy(bytes).into_owned().into();
}

/// What Lua asks for when it asks for a load.
pub(crate) struct LoadRequest {
    pub(crate) request: Request,
    /// Whose contexts it is for; `None`: the session's.
    pub(crate) family: Option<Arc<Family>>,
    /// Identity of the options in force.
    pub(crate) options: u64,
    /// Why there is a load.
    pub(crate) reason: Reason,
}

impl FromLua for LoadRequest {
    fn from_lua(value: Value, lua: &Lua) -> mlua::Result<Self> {
        let table = Table::from_lua(value, lua)?;
        let bytes = |key: &str| -> mlua::Result<PathBuf> {
            Ok(os_string(&table.raw_get::<mlua::LuaString>(key)?.as_bytes()).into())
        };
        let stages: Option<Table> = table.raw_get("stages")?;
        let kinds = kinds::from_lua(lua, &table.raw_get("executors")?, stages.as_ref())?;
        let mut leaves = Vec::new();
        let stages = stages::from_lua(stages, &mut leaves)?;
        let naming = match table.raw_get::<Option<Table>>("naming")? {
            Some(naming) => naming_from_lua(&naming, &mut leaves)?,
            None => Naming::default(),
        };
        if !leaves.is_empty() {
            // Lua keeps them and runs them; here they are numbers.
            table.raw_set("leaves", lua.create_sequence_from(leaves)?)?;
        }
        let request = Request {
            start_dir: bytes("start_dir")?,
            near: table.raw_get::<Option<bool>>("near")?.unwrap_or(false),
            config_dir: bytes("config_dir")?,
            kinds,
            stages,
            limits: Limits {
                max_file_size: table.raw_get("max_file_size")?,
                trust_mtime: table.raw_get("trust_mtime")?,
            },
            timeout: Duration::from_millis(table.raw_get("timeout_ms")?),
            home: home(),
            naming,
        };
        let family = table.raw_get::<Option<AnyUserData>>("family")?;
        let family = family.map(|family| family.borrow::<LuaFamily>().map(|family| family.get())).transpose()?;
        let reason = table.raw_get::<Option<String>>("reason")?;
        let reason = match reason.as_deref() {
            None => Reason::Manual,
            Some(name) => Reason::named(name).ok_or_else(|| invalid(format!("reason: no `{name}`")))?,
        };
        Ok(Self { request, family, options: table.raw_get("options")?, reason })
    }
}

/// What `naming.lua` has made of the options.
fn naming_from_lua(table: &Table, leaves: &mut Vec<Value>) -> mlua::Result<Naming> {
    let path = |text: mlua::LuaString| PathBuf::from(os_string(&text.as_bytes()));
    let mut names = Vec::new();
    for given in table.raw_get::<Table>("names")?.sequence_values::<Table>() {
        let given = given?;
        let name = given.raw_get::<mlua::LuaString>(2)?;
        let components: Vec<OsString> = name.as_bytes().split(|byte| *byte == b'/').map(os_string).collect();
        let name = ProjectName::from_components(components.iter().map(OsString::as_os_str));
        names.push((path(given.raw_get(1)?), name.map_err(mlua::Error::external)?));
    }
    let exclude = match table.raw_get::<Value>("exclude")? {
        Value::Nil => None,
        exclude => Some(stages::matcher(&exclude, "exclude", leaves, 0)?),
    };
    let stop_at = match table.raw_get::<Option<Table>>("stop_at")? {
        Some(dirs) => Some(dirs.sequence_values().map(|dir| dir.map(path)).collect::<mlua::Result<_>>()?),
        None => None,
    };
    let from = match table.raw_get::<String>("from")?.as_str() {
        "remote" => NameFrom::Remote,
        "host" => NameFrom::Host,
        _ => NameFrom::Directory,
    };
    Ok(Naming { from, names, exclude, stop_at })
}

/// The user's home directory as the environment has it. Without that, it is for a thread to ask the system.
fn home() -> Option<PathBuf> {
    let variable = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    std::env::var_os(variable).filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The Lua error for a value that the Lua side must not send.
pub(crate) fn invalid(text: impl Into<String>) -> mlua::Error {
    mlua::Error::external(Error::from(ErrorKind::InvalidArgument(text.into())))
}
