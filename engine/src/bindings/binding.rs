//! One binding, and how it is written: paths and names as JSON texts that lead back to the same bytes.
//!
//! What a binding means is [`super`]'s; the document around it, too.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, json};

use crate::json::Value;
use crate::repository::Identity;

/// What a name is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) root: PathBuf,
    /// What the repository there was known by when the name was bound.
    pub(super) identity: Identity,
}

impl Binding {
    pub(super) fn to_value(&self) -> Value {
        let Identity { common_dir, remote } = &self.identity;
        let mut identity = Map::new();
        if let Some(common_dir) = common_dir {
            identity.insert("common_dir".into(), text_of(common_dir.as_os_str()).into());
        }
        if let Some(remote) = remote {
            identity.insert("remote".into(), remote.as_str().into());
        }
        json!({ "root": text_of(self.root.as_os_str()), "identity": identity })
    }

    /// `None` for what [`Binding::to_value`] does not write.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let path = |value: &Value| from_text(value.as_str()?).map(PathBuf::from).filter(|path| path.is_absolute());
        let root = path(value.get("root")?)?;
        let identity = value.get("identity")?.as_object()?;
        let common_dir = match identity.get("common_dir") {
            Some(value) => Some(path(value)?),
            None => None,
        };
        let remote = match identity.get("remote") {
            Some(value) => Some(value.as_str()?.to_owned()),
            None => None,
        };
        Some(Self { root, identity: Identity { common_dir, remote } })
    }
}

/// The keys that lead to the binding of a name: names select files in one `config_dir`.
pub(super) fn place_of(config_dir: &Path, name: &OsStr) -> [String; 2] {
    [text_of(config_dir.as_os_str()), text_of(name)]
}

/// `%XX` in place of `%` and of bytes that are not UTF-8.
fn text_of(path: &OsStr) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.as_encoded_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The counterpart of [`text_of`].
fn from_text(text: &str) -> Option<OsString> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    #[cfg(unix)]
    return Some(std::os::unix::ffi::OsStringExt::from_vec(bytes));
    #[cfg(not(unix))]
    return String::from_utf8(bytes).ok().map(OsString::from);
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_path_is_the_same_after_it_was_written(bytes in prop::collection::vec(prop_oneof![Just(b'%'), any::<u8>()], 0..20)) {
            let path = OsStr::from_bytes(&bytes);
            prop_assert_eq!(from_text(&text_of(path)).unwrap(), path);
        }

        #[test]
        fn any_text_is_a_path_or_none(text in "(%|[0-9A-F]|\\PC){0,12}") {
            let _ = from_text(&text);
        }
    }
}
