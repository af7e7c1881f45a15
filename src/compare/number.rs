//! Numbers: when a Lua number still is what the text of a JSON number says, and the text of a new one.

use serde_json::Number;

/// Beyond this, not every integer is a Lua number; the digits of one would promise a precision that it does not have.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether Neovim's decoder gives `value` for the text: its nearest float, which is infinite for `1e400`. The sign of a zero counts.
pub(super) fn is_nearest(known: &Number, value: f64) -> bool {
    known.as_str().parse::<f64>().is_ok_and(|nearest| nearest.to_bits() == value.to_bits())
}

/// The shortest text that is read as `value` again; `None` if JSON has none.
pub(super) fn number(value: f64) -> Option<Number> {
    #[expect(clippy::cast_possible_truncation, reason = "it counts only where it gives the same number back")]
    let integer = value as i64;
    #[expect(clippy::cast_precision_loss, reason = "integers up to 2^53 are exact, and others do not count")]
    let is_exact = value.abs() <= MAX_EXACT && (integer as f64).to_bits() == value.to_bits();
    if is_exact { Some(Number::from(integer)) } else { Number::from_f64(value) }
}
