//! `save PATH KEY VALUE [COUNT]`: saves one key of a JSON file as the engine does, `COUNT` times, and prints how often after each
//! time. For tests that need real processes.
//!
//! `VALUE` is JSON; `+` adds one to the number that is there, and `wait` prints `locked` and keeps the lock until its input ends.
//! An error is printed with its number and code.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use engine::error::{Error, ErrorKind, Result};
use engine::json::{Value, parse};
use engine::open::Limits;
use engine::store::{Options, save};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path, key, value, count @ ..] = &*arguments else {
        eprintln!("save PATH KEY VALUE [COUNT]");
        return ExitCode::from(2);
    };
    let count: u64 = count.first().map_or(1, |count| count.parse().expect("COUNT is a number"));
    for done in 1..=count {
        if let Err(error) = save_one(path, key, value) {
            eprintln!("errno={:?} code={} {error}", error.errno, error.kind.code());
            return ExitCode::FAILURE;
        }
        // Whoever reads may be gone or, in a test, the disk it goes to.
        let _ = writeln!(std::io::stdout(), "{done}");
    }
    ExitCode::SUCCESS
}

fn save_one(path: &str, key: &str, value: &str) -> Result<()> {
    let limits = Limits { max_file_size: 64 << 20, trust_mtime: true };
    let lock_deadline = Instant::now() + Duration::from_secs(2);
    let options = Options { limits, lock_deadline, durable: true };
    save(path.as_ref(), &options, &mut |text| {
        let document = text.map(parse).transpose()?.flatten();
        let mut document = document.unwrap_or_else(|| Value::Object(Default::default()));
        document[key] = match value {
            "+" => (document[key].as_u64().unwrap_or_default() + 1).into(),
            "wait" => {
                println!("locked");
                let ended = std::io::stdin().read_to_end(&mut Vec::new());
                ended.map_err(|error| Error::io("stdin", &error))?;
                true.into()
            }
            json => serde_json::from_str(json)
                .map_err(|error| ErrorKind::InvalidArgument(format!("VALUE is not JSON: {error}")))?,
        };
        Ok(Some(format!("{document:#}\n").into_bytes()))
    })?;
    Ok(())
}
