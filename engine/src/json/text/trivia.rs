//! White space and comments: what stands between the tokens of a text that has been parsed.
//!
//! A line comment ends at `\n` or `\r`, as for the parser. All positions are byte offsets; every function trusts that the text is
//! valid and that `at` lies between two tokens.

use std::ops::Range;

/// What stands between one token and the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// The byte after the token before.
    pub(super) start: usize,
    /// The byte after the last comment; `start` where there is none. From here on there is only white space.
    pub(super) space: usize,
    /// The first byte of the next token, or the end of the text.
    pub(super) end: usize,
    /// The last comment, if there is one, ends with its line.
    pub(super) line_comment: bool,
}

impl Gap {
    pub(super) fn has_comment(self) -> bool {
        self.space > self.start
    }

    /// The white space directly before the next token.
    pub(super) fn last_space(self) -> Range<usize> {
        self.space..self.end
    }
}

/// The gap that begins at `start`.
pub(super) fn gap(text: &str, start: usize) -> Gap {
    let mut gap = Gap { start, space: start, end: space_end(text, start), line_comment: false };
    while let Some((end, is_line)) = comment_end(text, gap.end) {
        gap = Gap { start, space: end, end: space_end(text, end), line_comment: is_line };
    }
    gap
}

/// The first byte from `at` on that is no white space.
pub(super) fn space_end(text: &str, at: usize) -> usize {
    let rest = &text.as_bytes()[at..];
    at + rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(rest.len())
}

/// The byte after the comment that begins at `at`, and whether it is a line comment; `None` where none begins.
fn comment_end(text: &str, at: usize) -> Option<(usize, bool)> {
    let rest = &text[at..];
    if rest.starts_with("//") {
        Some((at + rest.find(['\n', '\r']).unwrap_or(rest.len()), true))
    } else {
        let body = rest.strip_prefix("/*")?;
        let length = body.find("*/").expect("a comment that is not closed does not parse");
        Some((at + "/*".len() + length + "*/".len(), false))
    }
}

/// The end of the comments that stand behind `at` in its line and belong to what ends there; `at` where there are none, or where
/// another member follows in the line, which they may belong to as well.
pub(super) fn remarks_end(text: &str, at: usize) -> usize {
    let mut end = at;
    loop {
        let next = space_end(text, end);
        if text[end..next].contains(['\n', '\r']) {
            return end;
        }
        match comment_end(text, next) {
            Some((comment, _)) => end = comment,
            None if text[next..].starts_with(['}', ']']) => return end,
            None => return at,
        }
    }
}

/// The blanks at the beginning of the line that `at` is in.
pub(super) fn line_indent(text: &str, at: usize) -> &str {
    let line = &text[text[..at].rfind('\n').map_or(0, |newline| newline + 1)..at];
    &line[..line.find(|next| !matches!(next, ' ' | '\t')).unwrap_or(line.len())]
}
