//! The pipeline that a user has put together, as the engine's stages.

use engine::matcher::Matcher;
use engine::pipeline::{Detect, Direction, Stage};
use mlua::{LuaString, Table, Value};

use crate::convert::{invalid, os_string};

/// The stages of `ctx.pipeline`: a list of tables made by `nvim-project-config.stages.*`; nil is the default pipeline.
pub(crate) fn from_lua(stages: Option<Table>) -> mlua::Result<Vec<Stage>> {
    let Some(stages) = stages else { return Ok(Stage::default_pipeline()) };
    stages.sequence_values::<Value>().map(|stage| stage_from_lua(&stage?)).collect()
}

fn stage_from_lua(value: &Value) -> mlua::Result<Stage> {
    let Value::Table(stage) = value else {
        return Err(invalid(format!(
            "pipeline: expected a stage made by require(\"nvim-project-config.stages.…\"), got {}",
            value.type_name()
        )));
    };
    let matcher = matcher(stage.raw_get("matcher")?)?;
    let name: String = stage.raw_get::<Option<String>>("stage")?.unwrap_or_default();
    Ok(match name.as_str() {
        "walk" => Stage::Walk { direction: direction(&stage.raw_get::<String>("direction")?)?, matcher },
        "detect" => Stage::Detect(match matcher {
            Some(matcher) => Detect::Matching { matcher, override_: stage.raw_get("override")? },
            None => Detect::Default,
        }),
        "find_files" => Stage::FindFiles { extensions: stage.raw_get("extensions")?, matcher },
        "execute" => Stage::Execute,
        other => {
            return Err(invalid(format!(
                "pipeline: there is no stage '{other}'; known are walk, detect, find_files, execute"
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

fn matcher(value: Value) -> mlua::Result<Option<Matcher>> {
    match value {
        Value::Nil => Ok(None),
        Value::String(name) => Ok(Some(literal(&name))),
        Value::Table(names) => {
            let names = names.sequence_values::<LuaString>().map(|name| Ok(literal(&name?)));
            Ok(Some(Matcher::Any(names.collect::<mlua::Result<_>>()?)))
        }
        other => Err(invalid(format!("matcher: expected a name or a list of names, got {}", other.type_name()))),
    }
}

fn literal(name: &LuaString) -> Matcher {
    Matcher::Literal(os_string(&name.as_bytes()))
}
