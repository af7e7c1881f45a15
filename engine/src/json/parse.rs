//! Text to [`Value`]: strict JSON, plus the two things that editors allow in settings: comments, and one comma after the last
//! member.
//!
//! jsonc-parser does the work, with each of its other leniencies off; [`check`](super::check) refuses beforehand what it has no
//! switch for. Its syntax tree carries spans; here only the values are taken out of it, [`text`](super::text) edits by them. Reading
//! and merging files is not done here.

use jsonc_parser::ast;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, ParseStringErrorKind, parse_to_ast};
use serde_json::{Map, Number};

use super::check::{Fault, check};
use super::{MAX_DEPTH, Value};
use crate::error::{Error, ErrorKind, Result};

/// U+FEFF in UTF-8, which some editors put before the text.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Parses the bytes of a settings file. `None` is a file that holds nothing but white space and comments; otherwise the value is an
/// object. A byte order mark at the start is skipped. Of keys that come twice the last one counts.
///
/// ```
/// let value = engine::json::parse(b"{ \"tab\": 4, /* wide */ }").unwrap().unwrap();
/// assert_eq!(value["tab"].to_string(), "4");
/// ```
///
/// # Errors
///
/// One error with line and column (both from 1, the column in bytes, a byte order mark not counted) and without a path: `Syntax`;
/// `Encoding` where the bytes are not UTF-8; `Depth` beyond [`MAX_DEPTH`]; `UnsupportedValue` where the text is valid but not an
/// object.
pub fn parse(bytes: &[u8]) -> Result<Option<Value>> {
    Ok(tree_of(text_of(bytes)?)?.map(object))
}

/// The text in the bytes, without the byte order mark. Everything that is placed in a file counts from its start.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let fault = Fault { at: error.valid_up_to(), kind: ErrorKind::Encoding };
        placed(bytes, fault)
    })
}

/// The text's syntax tree, whose ranges are byte offsets into `text`; `None` where there is no document.
pub(super) fn tree_of(text: &str) -> Result<Option<ast::Object<'_>>> {
    syntax_tree(text).map_err(|fault| placed(text.as_bytes(), fault))
}

fn syntax_tree(text: &str) -> Result<Option<ast::Object<'_>>, Fault> {
    match check(text) {
        Ok(()) => {}
        Err(fault) if matches!(fault.kind, ErrorKind::Depth { .. }) => return Err(fault),
        Err(found) => {
            return Err(match strict_tree(text) {
                Err(cause) if cause.at < found.at => cause,
                _ => found,
            });
        }
    }
    match strict_tree(text)? {
        None => Ok(None),
        Some(ast::Value::Object(object)) => Ok(Some(object)),
        Some(other) => Err(Fault {
            at: jsonc_parser::common::Ranged::start(&other),
            kind: ErrorKind::UnsupportedValue("settings must be an object: wrap it in { }".into()),
        }),
    }
}

fn strict_tree(text: &str) -> Result<Option<ast::Value<'_>>, Fault> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    match parse_to_ast(text, &CollectOptions::default(), &options) {
        Ok(result) => Ok(result.value),
        Err(error) => Err(fault(text, &error)),
    }
}

fn object(object: ast::Object<'_>) -> Value {
    let mut map = Map::with_capacity(object.properties.len());
    for property in object.properties {
        map.insert(property.name.into_string(), value(property.value));
    }
    Value::Object(map)
}

fn value(tree: ast::Value<'_>) -> Value {
    match tree {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
        // `str::parse` would rewrite exponents (`1E5` to `1e+5`). The parser has made sure that it is a JSON number.
        ast::Value::NumberLit(literal) => Value::Number(Number::from_string_unchecked(literal.value.to_owned())),
        ast::Value::StringLit(literal) => Value::String(literal.value.into_owned()),
        ast::Value::Array(array) => Value::Array(array.elements.into_iter().map(value).collect()),
        ast::Value::Object(tree) => object(tree),
    }
}

/// The error for a fault, with line and column. Lines end at `\n`, as in the editor.
fn placed(bytes: &[u8], fault: Fault) -> Error {
    let (line, column) = position(bytes, fault.at);
    Error::new(fault.kind).at_position(line, column)
}

/// Line and column (both from 1, the column in bytes) of the byte at `at`.
pub(super) fn position(bytes: &[u8], at: usize) -> (u32, u32) {
    let before = &bytes[..at];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// The parser's error in this project's words, at the place a reader should look at.
fn fault(text: &str, error: &ParseError) -> Fault {
    use ParseErrorKind as Kind;
    let start = error.range().start;
    let words = match error.kind() {
        Kind::NestingDepthExceeded => {
            return Fault { at: start, kind: ErrorKind::Depth { limit: MAX_DEPTH } };
        }
        Kind::UnterminatedObject | Kind::UnterminatedArray => {
            let (line, column) = position(text.as_bytes(), start);
            let bracket = &text[start..=start];
            return Fault::syntax(
                text.trim_end().len(),
                format!("the text ends, but the `{bracket}` at {line}:{column} is not closed"),
            );
        }
        Kind::ExpectedComma if is_leading_zero(text, start) => {
            "a number must not begin with a zero that other digits follow".into()
        }
        Kind::ExpectedComma => "a comma is missing here".into(),
        Kind::ExpectedColonAfterObjectKey => "a `:` must follow the key".into(),
        Kind::ExpectedObjectValue => "the text ends, but a value must follow the `:`".into(),
        Kind::ExpectedStringObjectProperty => "a key must be a string in double quotes".into(),
        Kind::MultipleRootJsonValues => {
            format!("{} comes after the end of the settings", shown(text, start))
        }
        Kind::UnexpectedComma => "a value is missing before this comma".into(),
        Kind::UnexpectedColon => "unexpected `:`; only a key has one after it".into(),
        Kind::UnexpectedCloseBrace | Kind::UnexpectedCloseBracket => {
            format!("unexpected {}; before it a value or a closing bracket is missing", shown(text, start))
        }
        Kind::UnexpectedTokenInObject => {
            format!("unexpected {}; a key in double quotes or `}}` must come here", shown(text, start))
        }
        Kind::UnexpectedWord | Kind::UnexpectedToken => unexpected(text, start),
        Kind::SingleQuotedStringsNotAllowed => "strings must be in double quotes".into(),
        Kind::UnterminatedCommentBlock => "this comment is not closed by `*/`".into(),
        Kind::BareDecimalPointNumbersNotAllowed => {
            "a number must have digits on both sides of its decimal point".into()
        }
        Kind::ExpectedDigitFollowingNegativeSign => "a digit must follow the `-`".into(),
        Kind::ExpectedDigit | Kind::ExpectedPlusMinusOrDigitInNumberLiteral => {
            "the digits of this number's exponent are missing".into()
        }
        Kind::HexadecimalNumbersNotAllowed => "hexadecimal numbers are not allowed".into(),
        Kind::NonFiniteNumbersNotAllowed => "infinite numbers and NaN are not allowed".into(),
        Kind::UnaryPlusNumbersNotAllowed => "a number must not begin with `+`".into(),
        Kind::String(kind) => match kind {
            ParseStringErrorKind::UnterminatedStringLiteral => "this string is not closed by `\"`".into(),
            ParseStringErrorKind::ExpectedFourHexDigits => "four hexadecimal digits must follow `\\u`".into(),
            ParseStringErrorKind::InvalidUnicodeEscapeSequence(_) => {
                "this `\\u` is half of a surrogate pair and no character by itself".into()
            }
            _ => "unknown escape; a backslash itself is written `\\\\`".into(),
        },
        other => other.to_string(),
    };
    Fault::syntax(start, words)
}

/// The second half of `01`, which the parser takes for two numbers without a comma between them.
fn is_leading_zero(text: &str, at: usize) -> bool {
    text[..at].ends_with('0') && text[at..].starts_with(|next: char| next.is_ascii_digit())
}

fn unexpected(text: &str, at: usize) -> String {
    let rest = &text[at..];
    if rest.starts_with("*/") {
        "this `*/` closes no comment; comments do not nest".into()
    } else if rest.starts_with(['/', '#']) {
        "a comment must begin with `//` or `/*`".into()
    } else if rest.starts_with(is_word) {
        format!("unexpected {}; strings and keys must be in double quotes", shown(text, at))
    } else {
        format!("unexpected {}", shown(text, at))
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

/// What stands at `at`, as a reader would name it: a word, a character, or the code of one that cannot be seen.
fn shown(text: &str, at: usize) -> String {
    const LONGEST: usize = 24;
    let rest = &text[at..];
    let word: String = rest.chars().take_while(|&next| is_word(next)).take(LONGEST).collect();
    match rest.chars().next() {
        _ if !word.is_empty() => format!("`{word}`"),
        Some(next) if next.is_ascii_graphic() => format!("`{next}`"),
        Some(next) => format!("character U+{:04X}", u32::from(next)),
        None => "end of the text".into(),
    }
}

#[cfg(test)]
mod tests;
