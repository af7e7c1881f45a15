//! What saving one key costs beyond understanding the text: pairs of a save without fsync and a parse of the same file, in
//! nanoseconds, as JSON. `benches/save_cost.lua` runs it and owns the limit.
//!
//! ```sh
//! cargo run --release --example save_cost -- FILE PAIRS
//! ```
//!
//! The file, an absolute path, is changed: the first number in the middle member of its first object gets other values.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use engine::json::{self, Change, Edit, Value};
use engine::open::Limits;
use engine::store::{self, Options};
use serde_json::json;

/// The first ones find cold caches.
const WARM_UP: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, pairs] = arguments.as_slice() else { return Err("expected FILE and PAIRS".into()) };
    let (file, pairs) = (Path::new(file), pairs.parse::<usize>()?);
    let path = path_to_number(&json::parse(&std::fs::read(file)?)?.ok_or("the file is empty")?)?;

    let mut samples = Vec::with_capacity(pairs);
    for index in 0..WARM_UP + pairs {
        let edit = Edit { path: path.clone(), change: Change::Set(json!(index)) };
        // Every second pair the other way round, as in benches/stats.lua.
        let (ours, floor) = if index % 2 == 0 {
            let ours = time_save(file, &edit)?;
            (ours, time_parse(file)?)
        } else {
            let floor = time_parse(file)?;
            (time_save(file, &edit)?, floor)
        };
        if index >= WARM_UP {
            samples.push(json!({ "ours": ours, "floor": floor }));
        }
    }
    println!("{}", Value::from(samples));
    Ok(())
}

/// A path into the middle of the document.
fn path_to_number(document: &Value) -> Result<Vec<String>, &'static str> {
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (outer, object) = members(document).into_iter().next().ok_or("no object in the document")?;
    let object = members(&object);
    let (middle, inner) = object.iter().nth(object.len() / 2).ok_or("no object in the first member")?;
    let (key, _) = members(inner).into_iter().find(|(_, value)| value.is_number()).ok_or("no number in the middle")?;
    Ok(vec![outer, middle.clone(), key])
}

fn time_save(file: &Path, edit: &Edit) -> Result<u64, Box<dyn Error>> {
    let options = Options {
        limits: Limits { max_file_size: u64::MAX, trust_mtime: true },
        lock_deadline: Instant::now() + Duration::from_secs(1),
        durable: false,
    };
    let began = Instant::now();
    let saved = store::save(file, &options, &mut |text| {
        json::edit_text(text.unwrap_or_default(), std::slice::from_ref(edit)).map(Some)
    })?;
    let elapsed = began.elapsed();
    if !saved.written {
        return Err("nothing was saved".into());
    }
    Ok(elapsed.as_nanos().try_into()?)
}

/// Neither reading the file nor freeing the value is part of it.
fn time_parse(file: &Path) -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read(file)?;
    let began = Instant::now();
    let value = black_box(json::parse(&text)?);
    let elapsed = began.elapsed();
    drop(value);
    Ok(elapsed.as_nanos().try_into()?)
}
