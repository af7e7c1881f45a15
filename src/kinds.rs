//! The kinds of files of a load: the built-in ones, and those that the user's options name.

use engine::pipeline::Kind;
use mlua::{Lua, Table, Value};

const BUILTIN: [(&str, &[&str]); 3] = [("json", &[".json", ".jsonc"]), ("lua", &[".lua"]), ("vim", &[".vim"])];

/// Where `require` keeps the built-in executor of JSON.
const JSON_EXECUTOR: &str = "nvim-project-config.executors.json";

/// What has been found out about the user's kinds.
struct Kinds {
    /// Kinds of the user's own.
    own: Vec<String>,
    /// `json` and `jsonc` where somebody has named executors for them, and whether these are others than the built-in one.
    json: Vec<(String, bool)>,
    /// The built-in executor, if anybody has got hold of it: where it alone is named, nothing is taken over.
    json_executor: Value,
}

/// The kinds in the order in which they run: JSON, Lua, Vim, then the user's own by name. `executors` and the routers of the
/// stages name kinds; JSON is merged by the engine unless they have a function for it that is not the built-in one.
pub(crate) fn from_lua(lua: &Lua, executors: &Table, stages: Option<&Table>) -> mlua::Result<Vec<Kind>> {
    let loaded: Table = lua.globals().get::<Table>("package")?.get("loaded")?;
    let mut kinds = Kinds { own: Vec::new(), json: Vec::new(), json_executor: loaded.raw_get(JSON_EXECUTOR)? };
    // Routers come first: they count before `executors`.
    for stage in stages.iter().flat_map(|stages| stages.sequence_values::<Value>()) {
        let Value::Table(stage) = stage? else { continue };
        let Some(router) = stage.raw_get::<Option<Table>>("router")? else { continue };
        for pair in router.pairs::<Value, Value>() {
            // The rest is its list part.
            if let (Value::String(key), runners) = pair? {
                let key = key.to_string_lossy();
                kinds.see(key.strip_prefix('.').unwrap_or(&key), &runners)?;
            }
        }
    }
    for pair in executors.pairs::<String, Table>() {
        let (name, executor) = pair?;
        kinds.see(&name, &executor.raw_get("run")?)?;
    }
    kinds.own.sort();
    Ok(kinds.in_order())
}

impl Kinds {
    fn see(&mut self, name: &str, runners: &Value) -> mlua::Result<()> {
        if BUILTIN[0].1.iter().any(|extension| extension[1..] == *name) {
            if !runners.is_nil() && !self.json.iter().any(|(known, _)| known == name) {
                let is_taken = !self.is_builtin(runners)?;
                self.json.push((name.to_owned(), is_taken));
            }
        } else if BUILTIN.iter().all(|(known, _)| *known != name) && !self.own.iter().any(|known| known == name) {
            self.own.push(name.to_owned());
        }
        Ok(())
    }

    /// Whether these runners are the built-in one and nothing else.
    fn is_builtin(&self, runners: &Value) -> mlua::Result<bool> {
        match runners {
            Value::Function(_) => Ok(*runners == self.json_executor),
            Value::Table(list) => Ok(list.raw_len() == 1 && list.raw_get::<Value>(1)? == self.json_executor),
            _ => Ok(false),
        }
    }

    fn in_order(self) -> Vec<Kind> {
        let Self { own, json, .. } = self;
        let named = |name: &str| json.iter().find(|(known, _)| known == name).map(|(_, is_taken)| *is_taken);
        let is_taken = named("json").unwrap_or(false);
        let mut kinds = Vec::new();
        for (name, extensions) in BUILTIN {
            kinds.push(Kind {
                name: name.into(),
                merged: name == "json" && !is_taken,
                extensions: extensions.iter().copied().map(Into::into).collect(),
            });
        }
        // `.jsonc` is JSON, unless it is named for itself and goes another way.
        if let Some(is_jsonc_taken) = named("jsonc").filter(|is_jsonc_taken| *is_jsonc_taken || is_taken) {
            kinds[0].extensions.retain(|extension| extension != ".jsonc");
            let jsonc = Kind { name: "jsonc".into(), extensions: vec![".jsonc".into()], merged: !is_jsonc_taken };
            kinds.insert(1, jsonc);
        }
        kinds.extend(own.into_iter().map(|name| Kind { extensions: vec![format!(".{name}")], merged: false, name }));
        kinds
    }
}
