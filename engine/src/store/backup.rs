//! What a write in place keeps beside the file, and what it tells about a file that a killed one has left. No I/O.
//!
//! It holds both contents. With the one before alone, a torn file (the head of the new content, the rest of the old one) that
//! parses would look complete, and a file that somebody has edited since would look torn.

use std::borrow::Cow;

use crate::json::parse;

const HEADER: &str = "nvim-project-config: a save was interrupted. Bytes before, bytes after:";

/// Longer than any header line.
const HEADER_ROOM: u64 = 128;

/// No device writes less than this at once, and no kernel stops within it: what a kill or a power cut tears, it tears here.
const BLOCK: usize = 512;

/// The content of a file before and after a write in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backup<'a> {
    pub(super) before: &'a [u8],
    pub(super) after: &'a [u8],
}

/// What a file is that lies beside a backup.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State<'a> {
    /// It needs no backup: one of the two contents, or a document of somebody else.
    Complete,
    /// The write was interrupted; this is what was there before.
    Torn(&'a [u8]),
    /// Neither a complete document, nor what this write can have left. Nobody but the user can tell what it should be, so
    /// both stay.
    Foreign,
}

impl<'a> Backup<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let header = format!("{HEADER} {} {}\n", self.before.len(), self.after.len());
        [header.as_bytes(), self.before, self.after].concat()
    }

    /// `None` for what [`Backup::encode`] has not made.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (header, contents) = bytes.split_at(end);
        let lengths = std::str::from_utf8(header).ok()?.strip_prefix(HEADER)?.trim_start();
        let (before, after) = lengths.split_once(' ')?;
        let (before, after): (usize, usize) = (before.parse().ok()?, after.parse().ok()?);
        let contents = &contents[1..];
        if before.checked_add(after)? != contents.len() {
            return None;
        }
        let (before, after) = contents.split_at(before);
        Some(Self { before, after })
    }

    pub(super) fn judge(&self, content: &[u8]) -> State<'a> {
        if content == self.before || content == self.after {
            State::Complete
        } else if self.is_mixed(content, BLOCK) {
            State::Torn(self.before)
        } else if parse(content).is_ok() {
            State::Complete
        } else if self.is_mixed(content, 1) {
            // A write can stop at any byte while its process is alive, and that can be killed before it goes on.
            State::Torn(self.before)
        } else {
            State::Foreign
        }
    }

    /// Whether each block is that of the old content, that of the new one, or was never written to the disk; cut off anywhere.
    fn is_mixed(&self, content: &[u8], block: usize) -> bool {
        let written = padded(self.after, self.before.len());
        if content.len() > written.len() {
            return false;
        }
        let mut before = Cow::Borrowed(self.before);
        if before.len() < written.len() {
            before.to_mut().resize(written.len(), 0);
        }
        let blocks = content.chunks(block).zip(before.chunks(block).zip(written.chunks(block)));
        blocks.into_iter().all(|(found, (before, written))| {
            let length = found.len();
            found == &before[..length] || found == &written[..length] || found.iter().all(|byte| *byte == 0)
        })
    }
}

/// `content`, followed by empty lines up to `length`: the same document.
pub(super) fn padded(content: &[u8], length: usize) -> Cow<'_, [u8]> {
    let mut padded = Cow::Borrowed(content);
    if padded.len() < length {
        padded.to_mut().resize(length, b'\n');
    }
    padded
}

/// The largest backup of files that may have `max_file_size` bytes.
pub(super) fn size_limit(max_file_size: u64) -> u64 {
    max_file_size.saturating_mul(2).saturating_add(HEADER_ROOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[u8] = b"{\"a\": 1, \"b\": 1}";
    const NEW: &[u8] = b"{\"a\": 2, \"b\": 2, \"c\": [3]}";

    fn judge<'a>(before: &'a [u8], after: &'a [u8], content: &[u8]) -> State<'a> {
        Backup { before, after }.judge(content)
    }

    /// A document of some blocks, in which each value is `digit`.
    fn large(digit: u8, members: usize) -> Vec<u8> {
        let members: Vec<_> = (0..members).map(|index| format!("\"key{index:04}\": {digit}")).collect();
        format!("{{{}}}\n", members.join(", ")).into_bytes()
    }

    #[test]
    fn decodes_what_it_encodes_and_nothing_else() {
        for (before, after) in [(OLD, NEW), (b"", NEW), (OLD, b""), (b"\n1 2\n", b"\n")] {
            let backup = Backup { before, after };
            let encoded = backup.encode();
            assert_eq!(Backup::decode(&encoded), Some(backup));
            assert_eq!(Backup::decode(&encoded[..encoded.len() - 1]), None);
            assert!(encoded.len() as u64 <= (before.len() + after.len()) as u64 + HEADER_ROOM);
        }
        for other in [OLD, b"", b"\n", format!("{HEADER} 1\n").as_bytes(), format!("{HEADER} -1 1\n").as_bytes()] {
            assert_eq!(Backup::decode(other), None);
        }
        let huge = format!("{HEADER} {} {}\n", usize::MAX, usize::MAX);
        assert_eq!(Backup::decode(huge.as_bytes()), None);
        assert!((format!("{HEADER} {0} {0}\n", u64::MAX).len() as u64) < HEADER_ROOM);
    }

    #[test]
    fn both_contents_are_complete() {
        assert_eq!(judge(OLD, NEW, OLD), State::Complete);
        assert_eq!(judge(OLD, NEW, NEW), State::Complete);
        assert_eq!(judge(b"", NEW, b""), State::Complete);
    }

    #[test]
    fn every_place_at_which_a_write_can_stop_is_torn() {
        for (old, new) in
            [(OLD, NEW), (NEW, OLD), (&*large(1, 200), &*large(2, 150)), (&*large(1, 90), &*large(2, 190))]
        {
            let written = padded(new, old.len());
            for stop in 0..=written.len() {
                let mut content = old.to_vec();
                content.resize(content.len().max(stop), 0);
                content[..stop].copy_from_slice(&written[..stop]);
                let state = judge(old, new, &content);
                if content == old || content == new {
                    assert_eq!(state, State::Complete, "{stop}");
                } else if stop % BLOCK == 0 || stop == written.len() || parse(&content).is_err() {
                    assert_eq!(state, State::Torn(old), "{stop}");
                } else {
                    // Within a block, what parses may as well be a user's.
                    assert_ne!(state, State::Foreign, "{stop}");
                }
            }
        }
    }

    #[test]
    fn blocks_of_both_are_torn_even_if_they_parse() {
        let (old, new) = (large(1, 200), large(2, 200));
        let mut content = new.clone();
        content[BLOCK..2 * BLOCK].copy_from_slice(&old[BLOCK..2 * BLOCK]);
        assert!(parse(&content).is_ok());
        assert_eq!(judge(&old, &new, &content), State::Torn(&old));
        content[3 * BLOCK..].fill(0);
        assert_eq!(judge(&old, &new, &content), State::Torn(&old));
        assert_eq!(judge(&old, &new, b""), State::Torn(&old));
    }

    #[test]
    fn what_somebody_edited_since_is_theirs() {
        assert_eq!(judge(OLD, NEW, b"{\"a\": 2, \"b\": 1}"), State::Complete, "one of two values put back by hand");
        assert_eq!(judge(OLD, NEW, b"{\"mine\": true}"), State::Complete);
        assert_eq!(judge(OLD, NEW, b"{\"mine\": "), State::Foreign);
        assert_eq!(judge(OLD, NEW, &[NEW, b" // more".as_slice()].concat()), State::Complete);
        assert_eq!(judge(OLD, NEW, &[NEW, b" more".as_slice()].concat()), State::Foreign);
    }

    #[test]
    fn padding_ends_a_comment() {
        assert_eq!(&*padded(b"{} // end", 11), b"{} // end\n\n");
        assert_eq!(&*padded(b"{}", 1), b"{}");
    }
}
