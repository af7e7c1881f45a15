//! The text of a git configuration file, as git reads it: sections, names, quotes, escapes, continued lines.
//!
//! Only reading, only one file: nothing is included, and no value is interpreted. What a setting means is
//! [`super`]'s. (`gix-config` reads the same, with 48 further crates; a test compares this parser with git itself.)

/// One setting, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// `section.name` or `section.subsection.name`; section and name in lower case.
    pub(super) key: Vec<u8>,
    /// `None` for a name that stands alone.
    pub(super) value: Option<Vec<u8>>,
}

/// All settings; `None` where git would refuse the file.
pub(super) fn parse(text: &[u8]) -> Option<Vec<Setting>> {
    let mut rest = Reader { text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) };
    let mut section = Vec::new();
    let mut settings = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'#' | b';' => rest.skip_line(),
            b'[' => section = rest.section()?,
            byte if is_space(byte) => {}
            byte if byte.is_ascii_alphabetic() => {
                let mut key = section.clone();
                key.push(byte.to_ascii_lowercase());
                settings.push(rest.setting(key)?);
            }
            _ => return None,
        }
    }
    Some(settings)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

struct Reader<'a> {
    text: &'a [u8],
}

impl Reader<'_> {
    /// The next byte; the two of a line end of Windows are one.
    fn next(&mut self) -> Option<u8> {
        let text = self.text.strip_prefix(b"\r").filter(|rest| rest.starts_with(b"\n")).unwrap_or(self.text);
        let (&byte, rest) = text.split_first()?;
        self.text = rest;
        Some(byte)
    }

    /// As [`Reader::next`]; the end of the file ends a line, too.
    fn next_in_line(&mut self) -> u8 {
        self.next().unwrap_or(b'\n')
    }

    fn skip_line(&mut self) {
        while self.next_in_line() != b'\n' {}
    }

    /// What stands between brackets, with a dot behind it.
    fn section(&mut self) -> Option<Vec<u8>> {
        let mut section = Vec::new();
        loop {
            match self.next()? {
                b']' => break,
                byte if is_space(byte) => {
                    self.subsection(byte, &mut section)?;
                    break;
                }
                byte if is_in_name(byte) || byte == b'.' => section.push(byte.to_ascii_lowercase()),
                _ => return None,
            }
        }
        if section.is_empty() {
            return None;
        }
        section.push(b'.');
        Some(section)
    }

    /// `"…"]`, after the space before it.
    fn subsection(&mut self, mut byte: u8, section: &mut Vec<u8>) -> Option<()> {
        while is_space(byte) {
            if byte == b'\n' {
                return None;
            }
            byte = self.next()?;
        }
        if byte != b'"' {
            return None;
        }
        section.push(b'.');
        loop {
            byte = match self.next()? {
                b'"' => break,
                b'\\' => self.next()?,
                byte => byte,
            };
            if byte == b'\n' {
                return None;
            }
            section.push(byte);
        }
        (self.next()? == b']').then_some(())
    }

    /// The rest of a line whose `key` has begun.
    fn setting(&mut self, mut key: Vec<u8>) -> Option<Setting> {
        let mut byte = self.next_in_line();
        while is_in_name(byte) {
            key.push(byte.to_ascii_lowercase());
            byte = self.next_in_line();
        }
        while byte == b' ' || byte == b'\t' {
            byte = self.next_in_line();
        }
        let value = match byte {
            b'\n' => None,
            b'=' => Some(self.value()?),
            _ => return None,
        };
        Some(Setting { key, value })
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let mut quoted = false;
        // Where white space begins that is not the value's if nothing follows.
        let mut end = None;
        loop {
            match self.next_in_line() {
                b'\n' if quoted => return None,
                b'\n' => break,
                b'#' | b';' if !quoted => {
                    self.skip_line();
                    break;
                }
                byte if is_space(byte) && !quoted => {
                    if !value.is_empty() {
                        end.get_or_insert(value.len());
                        value.push(byte);
                    }
                }
                byte => {
                    end = None;
                    match byte {
                        b'"' => quoted = !quoted,
                        b'\\' => match self.next_in_line() {
                            b'\n' => {}
                            b't' => value.push(b'\t'),
                            b'b' => value.push(8),
                            b'n' => value.push(b'\n'),
                            escaped @ (b'\\' | b'"') => value.push(escaped),
                            _ => return None,
                        },
                        byte => value.push(byte),
                    }
                }
            }
        }
        value.truncate(end.unwrap_or(value.len()));
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What git itself makes of the text.
    fn by_git(text: &[u8]) -> Option<Vec<Setting>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let output =
            Command::new("git").args(["config", "-z", "--list", "--file"]).arg(file.path()).output().expect("git");
        let setting = |line: &[u8]| {
            let end = line.iter().position(|byte| *byte == b'\n');
            let (key, value) = end.map_or((line, None), |end| (&line[..end], Some(line[end + 1..].to_vec())));
            Setting { key: key.to_vec(), value }
        };
        let lines = output.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        output.status.success().then(|| lines.map(setting).collect())
    }

    fn agrees_with_git(text: &[u8]) -> Result<(), TestCaseError> {
        prop_assert_eq!(parse(text), by_git(text), "{:?}", String::from_utf8_lossy(text));
        Ok(())
    }

    #[test]
    fn a_file_says_what_it_says_to_git() {
        for text in [
            "",
            "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git@host:o/r.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            "[remote \"origin\"] url = a b  # comment\nfetch",
            "[remote \"a\\\"b\\\\c\\d\"]\r\n\tURL = \" x \"y  \r\n",
            "[Remote.Origin]\nurl=x;y\n",
            "\u{feff}[a]\nb = c\\\n  d\\\n",
            "[a]b=\\t\\n\\b\\\"\\\\",
            "[a]\nb = \"c\\\nd\"",
            "[a]\nb = c # \"\n",
            "[a]\nb = \"c\n",
            "[a]\nb = \\x\n",
            "[a\n]",
            "[a \"b\n\"]",
            "[a \"b\" ]",
            "[a b]",
            "[]\na=b",
            "[ \"x\"]\na=b",
            "[.]\na=b",
            "a = b",
            "[a]\nb c = d",
            "[a]\nb\r",
            "[a]\n=",
            "[a",
            "\u{feff}\u{feff}[a]\n",
        ] {
            agrees_with_git(text.as_bytes()).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_text_says_what_it_says_to_git(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("[remote \"origin\"]\n".to_owned()), Just("[".into()), Just("]".into()), Just("url".into()),
                    Just("=".into()), Just("\n".into()), Just("\r\n".into()), Just("\r".into()), Just("\"".into()),
                    Just("\\".into()), Just("\\n".into()), Just("\\\n".into()), Just(" ".into()), Just("\t".into()),
                    Just("#".into()), Just(";".into()), Just("[a]\n".into()), Just("b = c".into()), Just("A-1.".into()),
                    "[ -~]{0,4}", "\\PC",
                ],
                0..14,
            ),
            begins_with_section in any::<bool>(),
        ) {
            let text = if begins_with_section { "[a]\n" } else { "" }.to_owned() + &pieces.concat();
            agrees_with_git(text.as_bytes())?;
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
