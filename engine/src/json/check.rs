//! What JSON forbids and jsonc-parser lets pass, found in one scan over the text: raw control characters in strings, white space
//! beyond JSON's four, and nesting that would cost stack.
//!
//! Not a parser: everything else that can be wrong is left to [`parse`](super::parse). The scan only knows where strings and
//! comments begin and end, keeps no state per level, and so survives any input.

use super::MAX_DEPTH;
use crate::error::ErrorKind;

/// A problem and the byte of the text it is at.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) kind: ErrorKind,
}

impl Fault {
    pub(super) fn syntax(at: usize, text: impl Into<String>) -> Self {
        Self { at, kind: ErrorKind::Syntax(text.into()) }
    }
}

/// Refuses what the parser would wrongly accept.
///
/// # Errors
///
/// `Depth` wherever in the text it is: such a text must not reach the parser. Otherwise the first `Syntax` fault. In a text that also
/// breaks the rules that the parser checks, it may be a mere consequence (a quote that is missing makes strings of what is between
/// strings); the earlier of both is the cause.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let mut first = None;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' => end_of_string(bytes, at, &mut first),
            b'/' => end_of_comment(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Fault { at, kind: ErrorKind::Depth { limit: MAX_DEPTH } });
                }
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            0x0b | 0x0c | 0x80.. => {
                let character = text[at..].chars().next().expect("the scan stops at whole characters");
                if character.is_whitespace() {
                    first.get_or_insert_with(|| foreign_space(at, character));
                }
                at + character.len_utf8()
            }
            _ => at + 1,
        };
    }
    first.map_or(Ok(()), Err)
}

fn foreign_space(at: usize, character: char) -> Fault {
    let code = u32::from(character);
    Fault::syntax(at, format!("the white space U+{code:04X} is not allowed outside of strings; use an ordinary space"))
}

/// The byte after the string that begins at `start`; the text's end where it is not closed (which the parser reports).
fn end_of_string(bytes: &[u8], start: usize, first: &mut Option<Fault>) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' if bytes.get(at + 1).is_some_and(|&next| next >= 0x20) => at += 2,
            0..0x20 => {
                first.get_or_insert_with(|| raw_control(at, byte));
                at += 1;
            }
            _ => at += 1,
        }
    }
    at
}

fn raw_control(at: usize, byte: u8) -> Fault {
    if matches!(byte, b'\n' | b'\r') {
        Fault::syntax(at, "the line ends within a string; close it with `\"`, or write the line break as `\\n`")
    } else {
        Fault::syntax(at, format!("a raw control character in a string; write it as `\\u{byte:04x}`"))
    }
}

/// The byte after the comment that begins at `start`, or after the slash if none does. Ends where jsonc-parser ends it.
fn end_of_comment(bytes: &[u8], start: usize) -> usize {
    let body = start + 2;
    let rest = bytes.get(body..).unwrap_or_default();
    let length = match bytes.get(start + 1) {
        Some(b'/') => rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')),
        Some(b'*') => rest.windows(2).position(|pair| pair == b"*/").map(|found| found + 2),
        _ => return start + 1,
    };
    length.map_or(bytes.len(), |length| body + length)
}
