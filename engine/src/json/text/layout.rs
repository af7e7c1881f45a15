//! How new values are laid out: what a text's own habits are, and writing by them.
//!
//! Where a value goes is [`members`](super::members)' to say.

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;

use super::trivia::line_indent;
use crate::json::Value;

/// The habits of a text. Each is a slice of it, or what is usual where the text shows none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'t> {
    pub(super) newline: &'t str,
    /// What one level adds to the indentation.
    pub(super) unit: &'t str,
    /// From the end of a key to its value.
    pub(super) colon: &'t str,
    /// From a comma to the next member, in containers of one line.
    pub(super) comma: &'t str,
    /// Inside the braces of an object of one line.
    pub(super) object_pad: &'t str,
    /// Inside the brackets of an array of one line.
    pub(super) array_pad: &'t str,
}

/// What has been seen of a text's habits so far.
#[derive(Default)]
struct Survey<'t> {
    unit: Option<&'t str>,
    colon: Option<&'t str>,
    comma: Option<&'t str>,
    object_pad: Option<&'t str>,
    array_pad: Option<&'t str>,
}

impl<'t> Style<'t> {
    /// The habits of `text`; of each the first example counts.
    pub(super) fn of(text: &'t str, root: Option<&ast::Value<'_>>) -> Self {
        let mut seen = Survey::default();
        if let Some(root) = root {
            seen.look_at(text, root);
        }
        let colon = seen.colon.unwrap_or(": ");
        let loose = if colon.ends_with(':') { "" } else { " " };
        Self {
            newline: text.find('\n').map_or("\n", |at| newline(text, at)),
            unit: seen.unit.unwrap_or("  "),
            colon,
            comma: seen.comma.unwrap_or(loose),
            object_pad: seen.object_pad.unwrap_or(loose),
            array_pad: seen.array_pad.unwrap_or(""),
        }
    }

    /// Writes a value. `line` is the indentation of the line it begins in, where its members get lines of their own; without it all
    /// is written in one line.
    pub(super) fn write(&self, out: &mut String, value: &Value, line: Option<&str>) {
        match value {
            Value::Object(map) => {
                let members = map.iter().map(|(key, value)| (Some(key.as_str()), value));
                self.write_all(out, ["{", "}"], self.object_pad, members, line);
            }
            Value::Array(list) => {
                let members = list.iter().map(|value| (None, value));
                self.write_all(out, ["[", "]"], self.array_pad, members, line);
            }
            // The number's own text; strings with the escapes that JSON asks for.
            scalar => out.push_str(&scalar.to_string()),
        }
    }

    /// Writes one member of an object, or of an array where it has no key.
    pub(super) fn write_member(&self, out: &mut String, key: Option<&str>, value: &Value, line: Option<&str>) {
        if let Some(key) = key {
            out.push_str(&Value::from(key).to_string());
            out.push_str(self.colon);
        }
        self.write(out, value, line);
    }

    fn write_all<'v>(
        &self,
        out: &mut String,
        [open, close]: [&str; 2],
        pad: &str,
        members: impl ExactSizeIterator<Item = (Option<&'v str>, &'v Value)>,
        line: Option<&str>,
    ) {
        let inner = line.map(|indent| format!("{indent}{}", self.unit));
        let is_empty = members.len() == 0;
        out.push_str(open);
        for (at, (key, value)) in members.enumerate() {
            if at > 0 {
                out.push(',');
            }
            match &inner {
                Some(indent) => out.extend([self.newline, indent]),
                None => out.push_str(if at > 0 { self.comma } else { pad }),
            }
            self.write_member(out, key, value, inner.as_deref());
        }
        match line {
            _ if is_empty => {}
            Some(indent) => out.extend([self.newline, indent]),
            None => out.push_str(pad),
        }
        out.push_str(close);
    }
}

impl<'t> Survey<'t> {
    fn look_at(&mut self, text: &'t str, value: &ast::Value<'_>) {
        match value {
            ast::Value::Object(object) => {
                if let Some(first) = object.properties.first() {
                    self.colon = self.colon.or_else(|| colon(text, first));
                }
                let starts = object.properties.iter().map(Ranged::range);
                Self::look_inside(text, value.start(), starts, &mut self.unit, &mut self.object_pad, &mut self.comma);
                self.look_deeper(text, object.properties.iter().map(|property| &property.value));
            }
            ast::Value::Array(array) => {
                let starts = array.elements.iter().map(Ranged::range);
                Self::look_inside(text, value.start(), starts, &mut self.unit, &mut self.array_pad, &mut self.comma);
                self.look_deeper(text, array.elements.iter());
            }
            _ => {}
        }
    }

    fn look_deeper<'v>(&mut self, text: &'t str, values: impl Iterator<Item = &'v ast::Value<'v>>) {
        for value in values {
            if self.is_complete() {
                return;
            }
            self.look_at(text, value);
        }
    }

    fn look_inside(
        text: &'t str,
        open: usize,
        mut members: impl Iterator<Item = jsonc_parser::common::Range>,
        unit: &mut Option<&'t str>,
        pad: &mut Option<&'t str>,
        comma: &mut Option<&'t str>,
    ) {
        let Some(first) = members.next() else { return };
        let before = &text[open + 1..first.start];
        if before.contains('\n') {
            *unit = unit.or_else(|| deeper(text, open, first.start));
        } else if is_blank(before) {
            pad.get_or_insert(before);
        }
        if let Some(second) = members.next() {
            let between = text[first.end..second.start].strip_prefix(',').filter(|between| is_blank(between));
            *comma = comma.or(between);
        }
    }

    fn is_complete(&self) -> bool {
        [self.unit, self.colon, self.comma, self.object_pad, self.array_pad].iter().all(Option::is_some)
    }
}

/// What is between a key and its value, where it is a colon and blanks alone.
pub(super) fn colon<'t>(text: &'t str, property: &ast::ObjectProp<'_>) -> Option<&'t str> {
    let between = &text[property.name.end()..property.value.start()];
    between.chars().all(|next| matches!(next, ' ' | '\t' | ':')).then_some(between)
}

/// What the line of `at` is indented by more than the line of `open`.
pub(super) fn deeper(text: &str, open: usize, at: usize) -> Option<&str> {
    line_indent(text, at).strip_prefix(line_indent(text, open)).filter(|more| !more.is_empty())
}

/// The line end whose `\n` is at `at`.
pub(super) fn newline(text: &str, at: usize) -> &'static str {
    if text[..at].ends_with('\r') { "\r\n" } else { "\n" }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|next| matches!(next, ' ' | '\t'))
}
