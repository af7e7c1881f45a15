//! The pipeline that a user has put together, as the engine's stages.
//!
//! What is wrong with an option was said when the stage was made (`lua/nvim-project-config/stages/`); here it is only about the whole,
//! and about what somebody has written into the tables since. What only Lua can decide is numbered and collected, not kept.

use engine::matcher::{Glob, Leaf, Matcher};
use engine::pipeline::{Detect, Direction, Stage};
use mlua::{LuaString, Table, Value};

use crate::convert::{invalid, os_string};

/// As deep as `matchers.lua` lets them become: tables may have been changed since, and could hold themselves.
const MAX_DEPTH: usize = 100;

/// The stages of `ctx.pipeline`: a list of functions and of tables made by `nvim-project-config.stages.*`; nil is the default pipeline.
///
/// `leaves` gets the matchers' parts that the main loop has to be asked for; a leaf's id is its index there.
pub(crate) fn from_lua(stages: Option<Table>, leaves: &mut Vec<Value>) -> mlua::Result<Vec<Stage>> {
    let Some(stages) = stages else { return Ok(Stage::default_pipeline()) };
    let mut result = Vec::new();
    for (index, stage) in stages.sequence_values::<Value>().enumerate() {
        let at = format!("pipeline[{}]", index + 1);
        let stage = match stage? {
            Value::Function(_) => Stage::Call,
            Value::Table(table) => native(&table, &at, leaves)?,
            other => {
                return Err(invalid(format!(
                    "{at}: expected a function or a stage made by require(\"nvim-project-config.stages.…\"), got {}",
                    other.type_name()
                )));
            }
        };
        let executes = |stage: &Stage| matches!(stage, Stage::Execute { .. });
        if !matches!(stage, Stage::Call) && result.iter().any(executes) {
            return Err(invalid(format!("{at}: after execute only functions can follow; move it before execute")));
        }
        result.push(stage);
    }
    Ok(result)
}

fn native(stage: &Table, at: &str, leaves: &mut Vec<Value>) -> mlua::Result<Stage> {
    let is_given = |key: &str| -> mlua::Result<bool> { Ok(!stage.raw_get::<Value>(key)?.is_nil()) };
    let mut matcher = || optional(stage.raw_get("matcher")?, &format!("{at}: matcher"), leaves);
    let name: String = stage.raw_get::<Option<String>>("stage")?.unwrap_or_default();
    Ok(match name.as_str() {
        "walk" => Stage::Walk { direction: direction(&stage.raw_get::<String>("direction")?)?, matcher: matcher()? },
        "detect" => Stage::Detect {
            how: match matcher()? {
                Some(matcher) => Detect::Matching { matcher, override_: stage.raw_get("override")? },
                None => Detect::Default { override_: stage.raw_get("override")? },
            },
            on_match: is_given("on_match")?,
        },
        "find_files" => Stage::FindFiles {
            extensions: stage.raw_get("extensions")?,
            matcher: matcher()?,
            finder: is_given("finder")?,
        },
        "execute" => Stage::Execute { routes: routes(stage.raw_get("routes")?, at, leaves)? },
        other => {
            return Err(invalid(format!(
                "{at}: there is no stage '{other}'; known are walk, detect, find_files, execute"
            )));
        }
    })
}

fn direction(text: &str) -> mlua::Result<Direction> {
    match text {
        "up" => Ok(Direction::Up),
        "down" => Ok(Direction::Down),
        other => Err(invalid(format!("stages.walk: direction: expected \"up\" or \"down\", got '{other}'"))),
    }
}

/// The matchers of a router's list part.
fn routes(routes: Option<Table>, at: &str, leaves: &mut Vec<Value>) -> mlua::Result<Vec<Matcher>> {
    let Some(routes) = routes else { return Ok(Vec::new()) };
    let mut result = Vec::new();
    for route in routes.sequence_values::<Table>() {
        let at = format!("{at}: router[{}]", result.len() + 1);
        result.push(matcher(&route?.raw_get("matcher")?, &at, leaves, 0)?);
    }
    Ok(result)
}

fn optional(value: Value, at: &str, leaves: &mut Vec<Value>) -> mlua::Result<Option<Matcher>> {
    if value.is_nil() { Ok(None) } else { matcher(&value, at, leaves, 0).map(Some) }
}

/// A node of `matchers.lua`: its operation in `op`, its arguments in the list part.
///
/// `leaves` as in [`from_lua`]; `depth` is 0 for the whole of it.
pub(crate) fn matcher(value: &Value, at: &str, leaves: &mut Vec<Value>, depth: usize) -> mlua::Result<Matcher> {
    let Value::Table(node) = value else {
        return Err(invalid(format!("{at}: expected a matcher as its stage has made it, got {}", value.type_name())));
    };
    if depth > MAX_DEPTH {
        return Err(invalid(format!("{at}: expected a matcher that is nested at most {MAX_DEPTH} deep")));
    }
    let all = |leaves: &mut Vec<Value>| -> mlua::Result<Vec<Matcher>> {
        node.sequence_values::<Value>().map(|item| matcher(&item?, at, leaves, depth + 1)).collect()
    };
    let name: String = node.raw_get::<Option<String>>("op")?.unwrap_or_default();
    Ok(match name.as_str() {
        // A slash: it is about a directory's path, not about what it holds.
        "literal" => match os_string(&node.raw_get::<LuaString>(1)?.as_bytes()) {
            path if path.as_encoded_bytes().contains(&b'/') => Matcher::Path(path.into()),
            name => Matcher::Literal(name),
        },
        "glob" => match Glob::new(&node.raw_get::<String>(1)?).map_err(mlua::Error::external)? {
            glob if glob.text().contains('/') => Matcher::PathGlob(glob),
            glob => Matcher::Glob(glob),
        },
        "any" => Matcher::Any(all(leaves)?),
        "all" => Matcher::All(all(leaves)?),
        "priority" => Matcher::Priority(all(leaves)?),
        "not" => Matcher::Not(Box::new(matcher(&node.raw_get(1)?, at, leaves, depth + 1)?)),
        "pattern" | "regex" | "fn" => {
            leaves.push(value.clone());
            Matcher::Leaf(Leaf { id: leaves.len() - 1, of_names: name != "fn" })
        }
        _ => return Err(invalid(format!("{at}: expected a matcher as its stage has made it, got another table"))),
    })
}
