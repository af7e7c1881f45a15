//! Members that come and go: of objects and, in the same way, of arrays.
//!
//! A member that is put at the end of a container and deleted again must leave the bytes from before, whatever white space and
//! comments were there. What is deleted shows only the text after the insertion, so both follow rules that fit each other:
//!
//! - A new last member stands behind the last comment of the container: nothing but white space separates it from what was there,
//!   and the white space that was there follows it. If no comma ended the container, one is put directly behind the last value.
//!   Deleting the last member takes the white space before it, and the comma before it where none follows.
//! - The first member of an empty container without comments gets white space of its own on both sides, which [`left_empty`] tells
//!   from the white space that was there. So `{}` becomes `{`, the member in its line, and `}`, and comes back as `{}`. Blanks that
//!   were between the brackets stay behind the first one; line breaks stay in front of the second, as an empty line, which is what
//!   tells `{` and `}` in two lines from `{}`.
//!
//! Everything else is a matter of looks, and of never letting a line comment swallow what follows.

use std::borrow::Cow;
use std::ops::Range;

use jsonc_parser::ast;

use super::layout::Style;
use super::trivia::{Gap, gap, line_indent, remarks_end, space_end};
use super::{Editor, Target, deeper, newline};
use crate::json::Value;

/// What ends a line comment.
const LINE_ENDS: [char; 2] = ['\n', '\r'];

/// An object or array of the text.
pub(super) struct Container<'t> {
    /// Where its bracket opens and closes.
    pub(super) open: usize,
    pub(super) close: usize,
    /// From key to value.
    pub(super) members: Vec<Range<usize>>,
    pub(super) values: Vec<&'t ast::Value<'t>>,
    /// From the last key to its value, if that is nothing special.
    pub(super) colon: Option<&'t str>,
}

/// Where a value stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    /// Its member begins a line, so that its own members may have lines too.
    pub(super) own_line: bool,
    /// The bracket that opens the container it is in.
    pub(super) open: usize,
    /// From its key to itself.
    pub(super) colon: Option<&'t str>,
}

/// What happens to a member.
#[derive(Clone, Copy)]
pub(super) enum Act<'p> {
    Keep,
    Change(Target<'p>),
    Delete,
}

/// A member that comes; in arrays it has no key.
pub(super) struct NewMember<'v> {
    pub(super) key: Option<&'v str>,
    pub(super) value: Cow<'v, Value>,
}

/// How new members are laid out beside the ones that are there.
struct Neighbours<'t> {
    /// Between a comma, or a comment behind it, and the next member.
    separator: Cow<'t, str>,
    /// The indentation, where members have lines of their own.
    line: Option<Cow<'t, str>>,
    style: Style<'t>,
}

impl Neighbours<'_> {
    fn write(&self, out: &mut String, member: &NewMember<'_>) {
        self.style.write_member(out, member.key, &member.value, self.line.as_deref());
    }

    /// The members with commas and separators between them.
    fn write_all(&self, members: &[NewMember<'_>]) -> String {
        let mut out = String::new();
        for (at, member) in members.iter().enumerate() {
            if at > 0 {
                out.push(',');
                out.push_str(&self.separator);
            }
            self.write(&mut out, member);
        }
        out
    }
}

impl<'t> Editor<'t> {
    /// Does to each member what `acts` says; the new ones come before the member `new_at`, or at the end.
    pub(super) fn edit_members(
        &mut self,
        container: &Container<'t>,
        acts: &[Act<'_>],
        new_at: usize,
        new: Vec<NewMember<'_>>,
        place: Place<'t>,
    ) {
        let count = acts.len();
        if count == 0 {
            if !new.is_empty() {
                self.fill(container, &new, &place);
            }
            return;
        }
        // New members take the place of a last one that goes: its commas are right already.
        let takes_over = !new.is_empty() && new_at == count && matches!(acts[count - 1], Act::Delete);
        let deletable = if takes_over { count - 1 } else { count };
        let mut at = 0;
        while at < count {
            if at == new_at && !new.is_empty() {
                self.insert_before(container, at, &new);
            }
            match acts[at] {
                Act::Keep => at += 1,
                Act::Change(target) => {
                    self.change_member(container, at, target, &place);
                    at += 1;
                }
                Act::Delete if at < deletable => {
                    let more = acts[at..deletable].iter().take_while(|act| matches!(act, Act::Delete)).count();
                    self.delete(container, at..at + more);
                    at += more;
                }
                Act::Delete => {
                    self.take_over(container, &new);
                    at += 1;
                }
            }
        }
        if new_at == count && !new.is_empty() && !takes_over {
            self.append(container, &new);
        }
    }

    fn change_member(&mut self, container: &Container<'t>, at: usize, target: Target<'_>, place: &Place<'t>) {
        let lead = self.lead(container, at);
        let own_line = self.text[lead.start..lead.end].contains('\n');
        let colon = container.colon.or(place.colon);
        self.change(container.values[at], target, Place { own_line, open: container.open, colon });
    }

    /// The comma behind a member.
    fn comma(&self, container: &Container<'_>, at: usize) -> Option<usize> {
        let end = gap(self.text, container.members[at].end).end;
        (self.text.as_bytes()[end] == b',').then_some(end)
    }

    /// What stands before a member, from the comma or the opening bracket on.
    fn lead(&self, container: &Container<'_>, at: usize) -> Gap {
        let before = match at.checked_sub(1) {
            None => container.open,
            Some(previous) => self.comma(container, previous).expect("a comma is between two members"),
        };
        gap(self.text, before + 1)
    }

    /// How members are laid out beside the last one. `breaks` where the line must end before a new one.
    fn neighbours(&self, container: &Container<'t>, breaks: bool) -> Neighbours<'t> {
        let text = self.text;
        let style = self.style();
        let last = container.members.len() - 1;
        let lead = self.lead(container, last);
        let before = &text[lead.start..lead.end];
        let newline = before.rfind('\n').map_or(style.newline, |at| newline(before, at));
        let colon = container.colon.unwrap_or(style.colon);
        let start = container.members[last].start;
        if breaks || before.contains('\n') {
            let indent = line_indent(text, start);
            let unit = deeper(text, container.open, start).unwrap_or(style.unit);
            Neighbours {
                separator: format!("{newline}{indent}").into(),
                line: Some(indent.into()),
                style: Style { newline, unit, colon, ..style },
            }
        } else {
            let separator = match container.colon {
                _ if last > 0 => &text[lead.last_space()],
                // The one member there is shows whether this container is written tightly.
                Some(colon) if colon != style.colon => {
                    if colon.ends_with(':') {
                        ""
                    } else {
                        " "
                    }
                }
                _ => style.comma,
            };
            Neighbours { separator: separator.into(), line: None, style: Style { colon, ..style } }
        }
    }

    /// Puts members behind the last one, which stays.
    fn append(&mut self, container: &Container<'t>, new: &[NewMember<'_>]) {
        let last = container.members.len() - 1;
        let end = container.members[last].end;
        let comma = self.comma(container, last);
        let tail = gap(self.text, comma.map_or(end, |comma| comma + 1));
        let neighbours = self.neighbours(container, tail.line_comment);
        if comma.is_none() {
            self.splice(end..end, ",");
        }
        let trailing = if comma.is_some() { "," } else { "" };
        let written = format!("{}{}{trailing}", neighbours.separator, neighbours.write_all(new));
        self.splice(tail.space..tail.space, &written);
    }

    /// Puts members in the place of the last one, which goes.
    fn take_over(&mut self, container: &Container<'t>, new: &[NewMember<'_>]) {
        let last = container.members.len() - 1;
        let written = self.neighbours(container, false).write_all(new);
        self.splice(container.members[last].clone(), &written);
        let end = self.comma(container, last).map_or(container.members[last].end, |comma| comma + 1);
        self.splice(end..remarks_end(self.text, end), "");
    }

    /// Puts elements before one that stays.
    fn insert_before(&mut self, container: &Container<'t>, at: usize, new: &[NewMember<'_>]) {
        if at == 0 {
            let start = container.members[0].start;
            let neighbours = self.neighbours(container, false);
            let written = format!("{},{}", neighbours.write_all(new), neighbours.separator);
            self.splice(start..start, &written);
        } else {
            let lead = self.lead(container, at);
            let end = remarks_end(self.text, lead.start);
            let neighbours = self.neighbours(container, end > lead.start);
            let written = format!("{}{},", neighbours.separator, neighbours.write_all(new));
            self.splice(end..end, &written);
        }
    }

    /// Puts the first members into an empty container.
    fn fill(&mut self, container: &Container<'t>, new: &[NewMember<'_>], place: &Place<'t>) {
        let text = self.text;
        let inner = gap(text, container.open + 1);
        let style = self.style_at(place, container.open);
        let deeper_indent = || format!("{}{}", line_indent(text, container.open), style.unit);
        let lines = |indent: String| Neighbours {
            separator: format!("{}{indent}", style.newline).into(),
            line: Some(indent.into()),
            style,
        };
        let has_lines = text[inner.last_space()].contains(LINE_ENDS);
        if inner.has_comment() {
            let neighbours = if inner.line_comment && text[container.open..inner.space].contains('\n') {
                lines(line_indent(text, inner.space).to_owned())
            } else if inner.line_comment || has_lines {
                lines(deeper_indent())
            } else {
                Neighbours { separator: " ".into(), line: None, style }
            };
            let written = format!("{}{}", neighbours.separator, neighbours.write_all(new));
            self.splice(inner.space..inner.space, &written);
        } else if place.own_line || has_lines {
            let neighbours = lines(deeper_indent());
            let (at, indent) =
                if has_lines { (inner.start, "") } else { (inner.end, line_indent(text, container.open)) };
            let written = format!("{}{}{}{indent}", neighbours.separator, neighbours.write_all(new), style.newline);
            self.splice(at..at, &written);
        } else {
            let pad = if new[0].key.is_some() { style.object_pad } else { style.array_pad };
            let neighbours = Neighbours { separator: style.comma.into(), line: None, style };
            let written = format!("{pad}{}{pad}", neighbours.write_all(new));
            self.splice(inner.start..inner.start, &written);
        }
    }

    /// Removes members that follow each other, the first and last of which have neighbours that stay, or none.
    ///
    /// Comments in lines of their own stay. Between each two things that stay, the white space of one place is kept.
    fn delete(&mut self, container: &Container<'t>, which: Range<usize>) {
        let text = self.text;
        let count = container.members.len();
        if which.end == count && which.start > 0 && self.comma(container, count - 1).is_none() {
            let comma = self.comma(container, which.start - 1).expect("a comma is between two members");
            self.splice(comma..comma + 1, "");
        }
        let mut first = which.start;
        let mut lead = self.lead(container, first);
        for at in which.clone() {
            let end = self.comma(container, at).map_or(container.members[at].end, |comma| comma + 1);
            let end = remarks_end(text, end);
            let next = space_end(text, end);
            if at + 1 < which.end && next == container.members[at + 1].start {
                continue;
            }
            let (before, after) = (&text[lead.last_space()], &text[end..next]);
            let opens = first == 0 && !lead.has_comment();
            let closes = next == container.close;
            let keeps_last =
                if closes { !lead.line_comment || after.contains(LINE_ENDS) } else { !opens && after.contains('\n') };
            if opens && closes {
                let (front, back) = left_empty(before, after);
                self.splice(lead.space + front..next - back, "");
            } else if keeps_last {
                self.splice(lead.space..end, "");
            } else {
                self.splice(container.members[first].start..next, "");
            }
            if at + 1 < which.end {
                first = at + 1;
                lead = self.lead(container, first);
            }
        }
    }
}

/// How many bytes of the white space in front of a container's last member and of that behind it stay when the member goes.
///
/// The reverse of [`Editor::fill`]: with lines, what was there is followed by a line break and the indentation, or follows a line
/// break; in one line, it follows the same white space that was put before the member.
fn left_empty(before: &str, after: &str) -> (usize, usize) {
    let Some((blanks, _)) = before.split_once('\n') else {
        return (0, after.strip_prefix(before).map_or(0, str::len));
    };
    match after.split_once('\n') {
        Some((_, rest)) if rest.contains(LINE_ENDS) => (0, rest.len()),
        _ => (blanks.trim_end_matches('\r').len(), 0),
    }
}
