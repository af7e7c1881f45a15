//! The kinds of files of a load: the built-in ones, and those that the user's options name.

use engine::pipeline::Kind;
use mlua::{Table, Value};

const BUILTIN: [(&str, &[&str]); 3] = [("json", &[".json", ".jsonc"]), ("lua", &[".lua"]), ("vim", &[".vim"])];

/// The kinds in the order in which they run: JSON, Lua, Vim, then the user's own by name. `executors` and the routers of the
/// stages name kinds; JSON is merged by the engine unless one of them has a function for it.
pub(crate) fn from_lua(executors: &Table, stages: Option<&Table>) -> mlua::Result<Vec<Kind>> {
    let mut own = Vec::new();
    let mut merge_json = true;
    let mut see = |name: String, has_runner: bool| {
        if name == "json" && has_runner {
            merge_json = false;
        }
        if BUILTIN.iter().all(|(known, _)| *known != name) && !own.contains(&name) {
            own.push(name);
        }
    };
    for pair in executors.pairs::<String, Table>() {
        let (name, executor) = pair?;
        see(name, !executor.raw_get::<Value>("run")?.is_nil());
    }
    if let Some(stages) = stages {
        for stage in stages.sequence_values::<Value>() {
            let Value::Table(stage) = stage? else { continue };
            let Some(router) = stage.raw_get::<Option<Table>>("router")? else { continue };
            for pair in router.pairs::<String, Value>() {
                let (key, _) = pair?;
                see(key.strip_prefix('.').unwrap_or(&key).to_owned(), true);
            }
        }
    }
    own.sort();
    let builtin = BUILTIN.into_iter().map(|(name, extensions)| Kind {
        name: name.into(),
        merged: name == "json" && merge_json,
        extensions: extensions.iter().copied().map(Into::into).collect(),
    });
    let own: Vec<Kind> =
        own.into_iter().map(|name| Kind { extensions: vec![format!(".{name}")], merged: false, name }).collect();
    Ok(builtin.chain(own).collect())
}
