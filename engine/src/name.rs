//! The name of a project, and the file names it stands for.
//!
//! A name comes from directories, hooks or remotes, so whoever wrote a repository may have chosen it, and it selects which of the
//! user's files run. Hence a type that only validation makes: whatever the name, what comes out is a relative path of plain
//! components. Nothing here touches a disk; [`crate::open`] opens the paths, the pipeline finds the names.
//!
//! # Known limits
//!
//! Where the file system itself takes two names for one (upper and lower case, Unicode normal forms), so does it here.
//! Directories are kept apart from files of the [kinds the plugin ships](EXTENSIONS) only, not from kinds of the user's own.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::error::{ErrorKind, Result};

/// Longest encoded component that is kept whole, in bytes. With the hash of a longer one and the longest extension it stays
/// below the 255 that file systems allow.
const LONGEST: usize = 200;

/// Stands before the hash of a component that was cut. No regular encoding contains it: there a `%` precedes two digits.
const CUT: &str = "%~";

/// Bytes of the SHA-256 that a cut component carries.
const HASH_BYTES: usize = 16;

/// Extensions that a directory must not seem to have, see [`ProjectName::directory`].
const EXTENSIONS: [&str; 4] = [".json", ".jsonc", ".lua", ".vim"];

/// The name of a project: one or more components, outermost first (`big-repo/frontend`).
///
/// # Encoding
///
/// `%XX` (upper case, byte by byte) replaces controls, `% / \ : * ? " < > |`, dots and spaces at the end, and what is not
/// UTF-8; so `.` and `..` are encoded whole. A component of more than 200 bytes after that is cut at a character and gets `%~` and
/// 32 hexadecimal digits of the SHA-256 of the raw one. On Windows the first letter of a device name (`NUL`, `com1.x`) is encoded
/// too. The encoding is injective, and a leading dot stays what it is: the project `.dotfiles` has the file `.dotfiles.lua`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProjectName {
    components: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Component {
    raw: OsString,
    encoded: String,
    /// The encoding as the name of a directory, where it differs.
    directory: Option<String>,
}

impl ProjectName {
    /// The name that is made of directory names, outermost first: each one raw path component (bytes on Unix).
    ///
    /// # Errors
    ///
    /// `InvalidName` where no component is given, or one is empty or contains `/` or NUL, which no directory name does.
    pub fn from_components<'a>(components: impl IntoIterator<Item = &'a OsStr>) -> Result<Self> {
        let components = components.into_iter().map(Component::new).collect::<Result<Vec<_>>>()?;
        if components.is_empty() {
            return Err(ErrorKind::InvalidName("a project name cannot be empty".into()).into());
        }
        Ok(Self { components })
    }

    /// The name of the project that lies in this one under one more directory name.
    ///
    /// # Errors
    ///
    /// As [`ProjectName::from_components`].
    pub fn child(&self, component: &OsStr) -> Result<Self> {
        let mut components = self.components.clone();
        components.push(Component::new(component)?);
        Ok(Self { components })
    }

    /// The name without its innermost component; none for a name of one component.
    pub fn parent(&self) -> Option<Self> {
        let (_, outer) = self.components.split_last()?;
        (!outer.is_empty()).then(|| Self { components: outer.to_vec() })
    }

    /// What users see: the raw components joined by `/`.
    pub fn display(&self) -> OsString {
        let mut joined = OsString::new();
        for (index, component) in self.components.iter().enumerate() {
            if index > 0 {
                joined.push("/");
            }
            joined.push(&component.raw);
        }
        joined
    }

    /// The path of the project's own files relative to `config_dir`, without the extension: an extension with its dot is to be
    /// appended (`big-repo/frontend` + `.json`), never set, for the name may contain dots.
    pub fn file_stem(&self) -> PathBuf {
        self.components().collect()
    }

    /// The path of the project's directory relative to `config_dir`.
    ///
    /// It is [`ProjectName::file_stem`], except for a name that ends like a config file, whose last dot is encoded here: the
    /// directory of the project `fzf.vim` is `fzf%2Evim`. Else it would have the path of the Vim file of a project `fzf`,
    /// and the one would be an error of the other.
    pub fn directory(&self) -> PathBuf {
        self.components.iter().map(Component::as_directory).collect()
    }

    /// The components of [`ProjectName::file_stem`], outermost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        let innermost = self.components.len() - 1;
        self.components.iter().enumerate().map(move |(index, component)| {
            if index == innermost { &component.encoded } else { component.as_directory() }
        })
    }
}

impl Component {
    fn new(raw: &OsStr) -> Result<Self> {
        let bytes = raw.as_encoded_bytes();
        let defect = if bytes.is_empty() {
            "is empty"
        } else if bytes.contains(&b'/') {
            "contains a slash"
        } else if bytes.contains(&0) {
            "contains a NUL byte"
        } else {
            let encoded = encode(bytes);
            let directory = encode_as_directory(&encoded);
            return Ok(Self { raw: raw.to_owned(), encoded, directory });
        };
        let text = format!("the component {raw:?} of a project name {defect}");
        Err(ErrorKind::InvalidName(text).into())
    }

    fn as_directory(&self) -> &str {
        self.directory.as_deref().unwrap_or(&self.encoded)
    }
}

/// The encoding of one component (see [`ProjectName`]): never empty, `.` or `..`, and without `/`, NUL and other controls.
fn encode(raw: &[u8]) -> String {
    let kept = raw.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |last| last + 1);
    let (body, dots_and_spaces) = raw.split_at(kept);
    let device = cfg!(windows) && is_device_name(raw);
    let mut encoded = String::with_capacity(raw.len());
    for chunk in body.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_hostile(character) || (device && encoded.is_empty()) {
                push_escaped(&mut encoded, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                encoded.push(character);
            }
        }
        push_escaped(&mut encoded, chunk.invalid());
    }
    push_escaped(&mut encoded, dots_and_spaces);
    if encoded.len() > LONGEST {
        encoded.truncate(cut_before(&encoded, LONGEST));
        encoded.push_str(CUT);
        for byte in &Sha256::digest(raw)[..HASH_BYTES] {
            push_hex(&mut encoded, *byte);
        }
    }
    encoded
}

/// The encoding of a component as the name of a directory, where [`EXTENSIONS`] make it another one. No regular encoding has an
/// encoded dot before its end, so this one is not another component's either.
fn encode_as_directory(encoded: &str) -> Option<String> {
    let ends_with = |extension: &str| {
        let dot = encoded.len().checked_sub(extension.len())?;
        encoded.get(dot..)?.eq_ignore_ascii_case(extension).then_some(dot)
    };
    let dot = EXTENSIONS.iter().copied().find_map(ends_with)?;
    Some(format!("{}%2E{}", &encoded[..dot], &encoded[dot + 1..]))
}

fn is_hostile(character: char) -> bool {
    character.is_control() || matches!(character, '%' | '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

fn push_escaped(encoded: &mut String, bytes: &[u8]) {
    for byte in bytes {
        encoded.push('%');
        push_hex(encoded, *byte);
    }
}

fn push_hex(encoded: &mut String, byte: u8) {
    write!(encoded, "{byte:02X}").expect("writing to a String cannot fail");
}

/// The last border between characters or escapes that is not behind `limit`.
fn cut_before(encoded: &str, limit: usize) -> usize {
    let border = (0..=limit).rev().find(|at| encoded.is_char_boundary(*at)).unwrap_or(0);
    encoded[..border].rfind('%').filter(|escape| escape + 3 > border).unwrap_or(border)
}

/// Whether Windows takes the name for a device, whatever follows its first dot.
fn is_device_name(raw: &[u8]) -> bool {
    let stem = raw.split(|byte| *byte == b'.').next().unwrap_or(raw).trim_ascii_end();
    let Ok(stem) = std::str::from_utf8(stem) else {
        return false;
    };
    let stem = stem.to_ascii_uppercase();
    let port = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|number| {
            let mut digits = number.chars();
            matches!(digits.next(), Some('0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}')) && digits.next().is_none()
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || port("COM") || port("LPT")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn name(components: &[&str]) -> ProjectName {
        ProjectName::from_components(components.iter().map(OsStr::new)).unwrap()
    }

    fn stem(component: &str) -> String {
        name(&[component]).file_stem().into_os_string().into_string().unwrap()
    }

    #[test]
    fn keeps_ordinary_names_as_they_are() {
        for ordinary in
            ["rad-project", ".dotfiles", "a.b", "fzf.vim", "Größe", "日本", "~", "#1 & 'two'", "$HOME", "-rf"]
        {
            assert_eq!(stem(ordinary), ordinary);
        }
        let nested = name(&["big-repo", "packages", "frontend"]);
        assert_eq!(nested.file_stem(), Path::new("big-repo/packages/frontend"));
        assert_eq!(nested.directory(), nested.file_stem());
        assert_eq!(nested.display(), "big-repo/packages/frontend");
        assert!(nested.components().eq(["big-repo", "packages", "frontend"]));
    }

    #[test]
    fn encodes_what_could_lead_elsewhere() {
        for (raw, encoded) in [
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("...", "%2E%2E%2E"),
            ("a. ", "a%2E%20"),
            (" a", " a"),
            ("a\nb", "a%0Ab"),
            ("a\u{7f}\u{85}", "a%7F%C2%85"),
            ("a%2Fb", "a%252Fb"),
            (r#"\:*?"<>|"#, "%5C%3A%2A%3F%22%3C%3E%7C"),
        ] {
            assert_eq!(stem(raw), encoded);
        }
    }

    #[test]
    fn refuses_what_no_directory_can_be_called() {
        for components in [&[][..], &[""], &["a", ""], &["a/b"], &["/"], &["a\0b"]] {
            let error = ProjectName::from_components(components.iter().map(OsStr::new)).unwrap_err();
            assert_eq!(error.kind.code(), "invalid_name", "{components:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn encodes_invalid_utf8_byte_by_byte_and_shows_it_raw() {
        use std::os::unix::ffi::OsStrExt;
        let raw = OsStr::from_bytes(b"caf\xe9-\xf0\x9f");
        let name = ProjectName::from_components([raw]).unwrap();
        assert_eq!(name.file_stem(), Path::new("caf%E9-%F0%9F"));
        assert_eq!(name.display(), raw);
    }

    #[test]
    fn cuts_long_components_between_characters_and_tells_them_apart() {
        assert_eq!(stem(&"x".repeat(200)), "x".repeat(200));
        let long = stem(&"x".repeat(255));
        assert_eq!(long.len(), 200 + 2 + 32);
        assert!(long.starts_with(&format!("{}%~", "x".repeat(200))));
        assert_ne!(stem(&format!("{}a", "x".repeat(254))), stem(&format!("{}b", "x".repeat(254))));
        // 200 is within the second of these two-byte characters, and within the last escape of these.
        assert!(stem(&format!("x{}", "é".repeat(120))).starts_with(&format!("x{}%~", "é".repeat(99))));
        assert!(stem(&"?".repeat(85)).starts_with(&format!("{}%~", "%3F".repeat(66))));
    }

    #[test]
    fn the_hash_of_a_cut_component_is_the_sha256_of_its_bytes() {
        // printf 'a%.0s' $(seq 201) | sha256sum
        let expected = "A92EFD82109373E58F9A2056DEE01E80";
        assert!(stem(&"a".repeat(201)).ends_with(&format!("%~{expected}")));
    }

    #[test]
    fn a_directory_never_has_the_path_of_a_neighbours_file() {
        for (raw, directory) in [
            ("fzf.vim", "fzf%2Evim"),
            ("a.json", "a%2Ejson"),
            ("a.JSONC", "a%2EJSONC"),
            ("a.b.lua", "a.b%2Elua"),
            (".lua", "%2Elua"),
            ("a.nvim", "a.nvim"),
            ("lua", "lua"),
        ] {
            let name = name(&[raw]);
            assert_eq!(name.directory(), Path::new(directory));
            assert_eq!(name.file_stem(), Path::new(raw));
            assert_eq!(name.child(OsStr::new("b")).unwrap().file_stem(), Path::new(directory).join("b"));
        }
    }

    #[test]
    fn knows_the_names_that_windows_takes_for_devices() {
        for device in ["nul", "NUL.txt", "con", "aux .x", "com1", "LPT9.json", "COM\u{b9}"] {
            assert!(is_device_name(device.as_bytes()), "{device}");
        }
        for ordinary in ["null", "com", "com10", "console", "xcon", ".con"] {
            assert!(!is_device_name(ordinary.as_bytes()), "{ordinary}");
        }
        #[cfg(windows)]
        assert_eq!(stem("nul.x"), "%6Eul.x");
        #[cfg(not(windows))]
        assert_eq!(stem("nul.x"), "nul.x");
    }

    #[test]
    fn parent_and_child_are_inverse() {
        let name = name(&["a", "b"]);
        let parent = name.parent().unwrap();
        assert_eq!(parent.display(), "a");
        assert_eq!(parent.child(OsStr::new("b")).unwrap(), name);
        assert_eq!(parent.parent(), None);
        assert!(parent.child(OsStr::new("b/c")).is_err());
    }

    /// Only on Unix is any sequence of bytes a name.
    #[cfg(unix)]
    mod properties {
        use std::collections::HashMap;
        use std::os::unix::ffi::OsStrExt;
        use std::path::Component as PathComponent;

        use proptest::prelude::*;

        use super::*;

        /// Bytes that no directory name excludes, with the ones that are encoded, cut or compared made likely.
        fn raw_component() -> impl Strategy<Value = Vec<u8>> {
            let piece = prop_oneof![
                8 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
                4 => any::<u8>().prop_map(|byte| vec![byte]),
                8 => prop::sample::select(vec!["%", "%2E", "%2F", "%~", ".", " ", "..", ".json", ".lua", "a", "A", "E", "2", "\u{85}"])
                    .prop_map(|text| text.as_bytes().to_vec()),
                1 => (150..260usize).prop_map(|count| vec![b'x'; count]),
            ];
            prop::collection::vec(piece, 1..8).prop_map(|pieces| {
                let mut bytes = pieces.concat();
                bytes.retain(|byte| !matches!(byte, b'/' | 0));
                if bytes.is_empty() { b"a".to_vec() } else { bytes }
            })
        }

        fn from_bytes(components: &[Vec<u8>]) -> ProjectName {
            ProjectName::from_components(components.iter().map(|raw| OsStr::from_bytes(raw))).unwrap()
        }

        proptest! {
            #[test]
            fn every_name_stays_below_the_config_dir(raw in prop::collection::vec(raw_component(), 1..4)) {
                let name = from_bytes(&raw);
                for path in [name.file_stem(), name.directory()] {
                    prop_assert_eq!(path.components().count(), raw.len());
                    for component in path.components() {
                        prop_assert!(matches!(component, PathComponent::Normal(_)));
                        let text = component.as_os_str().to_str().unwrap();
                        prop_assert!((1..=240).contains(&text.len()));
                        prop_assert!(!text.chars().any(char::is_control));
                        prop_assert!(!text.ends_with(['.', ' ']));
                    }
                }
                prop_assert_eq!(PathBuf::from_iter(name.components()), name.file_stem());
            }

            #[test]
            fn the_encoding_can_be_undone_unless_it_was_cut(raw in raw_component()) {
                let name = from_bytes(std::slice::from_ref(&raw));
                for encoded in [name.file_stem(), name.directory()] {
                    let encoded = encoded.to_str().unwrap();
                    if !encoded.contains(CUT) {
                        prop_assert_eq!(percent_decode(encoded.as_bytes()), raw.clone());
                    }
                }
            }

            #[test]
            fn two_names_never_share_a_path(raw in prop::collection::vec(prop::collection::vec(raw_component(), 1..3), 2..20)) {
                let mut owners: HashMap<PathBuf, ProjectName> = HashMap::new();
                for components in &raw {
                    let name = from_bytes(components);
                    let file = |extension: &str| {
                        let mut path = name.file_stem().into_os_string();
                        path.push(extension);
                        PathBuf::from(path)
                    };
                    for path in EXTENSIONS.iter().map(|extension| file(extension)).chain([name.directory()]) {
                        if let Some(owner) = owners.insert(path.clone(), name.clone()) {
                            prop_assert_eq!(&owner, &name, "{}", path.display());
                        }
                    }
                }
            }
        }

        fn percent_decode(encoded: &[u8]) -> Vec<u8> {
            match encoded {
                [] => Vec::new(),
                [b'%', high, low, rest @ ..] => {
                    let byte = u8::from_str_radix(std::str::from_utf8(&[*high, *low]).unwrap(), 16).unwrap();
                    [vec![byte], percent_decode(rest)].concat()
                }
                [byte, rest @ ..] => [vec![*byte], percent_decode(rest)].concat(),
            }
        }
    }
}
