//! What can go wrong, as data: a kind with its facts, and the place (path, line, column) added on the way up.
//!
//! Wording and remedy are decided here and nowhere else; so is the code that users match on. Errors are cloned to everybody who
//! waits for the same work, so they hold the facts of an [`std::io::Error`] (errno and text), not the value itself.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, without the place. [`ErrorKind::code`] is the stable name users match on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument of a public call is unusable; the text says which and why.
    InvalidArgument(String),
    /// A project name that cannot be made into file names.
    InvalidName(String),
    /// Nothing exists at the path.
    NotFound,
    /// A symbolic link that leads nowhere, or in a circle.
    BrokenLink,
    /// Something exists that is not a regular file; the text names what it is ("a directory", "a FIFO").
    NotAFile(&'static str),
    /// Something exists where a directory is needed.
    NotADirectory,
    /// At a path that somebody has asked for is something else than he wants.
    OtherThanAsked {
        /// What is there ("a directory"); `None`: not known.
        found: Option<&'static str>,
        /// What is wanted ("a regular file").
        wanted: &'static str,
    },
    /// The file is larger than `limit` bytes and was not read.
    TooLarge {
        /// Size in bytes.
        size: u64,
        /// The limit in bytes (`cache.max_file_size`).
        limit: u64,
    },
    /// The file may have been written by somebody else; the text says why and what to do.
    Untrusted(String),
    /// The operating system refused access.
    Permission,
    /// The operating system refused to let a file be written or replaced.
    NotWritable,
    /// The text is not valid in its language.
    Syntax(String),
    /// The bytes are not valid UTF-8.
    Encoding,
    /// Nested deeper than `limit` levels.
    Depth {
        /// The deepest nesting that is accepted.
        limit: usize,
    },
    /// A value that settings cannot hold.
    UnsupportedValue(String),
    /// A value that cannot be deleted: an outer project's file gives it, which is the error's path.
    Inherited {
        /// The keys that lead to the value.
        keys: Vec<String>,
    },
    /// The disk did not answer within the time (milliseconds).
    Timeout {
        /// `cache.timeout_ms` in force.
        after_ms: u64,
    },
    /// Somebody else held the lock of the file's directory for the whole time (milliseconds).
    Locked {
        /// How long it was waited for.
        after_ms: u64,
    },
    /// `clear()` or `setup()` ended it, or a newer automatic load took its place.
    Cancelled,
    /// The context belongs to no project, so there is no file for its settings.
    NoProject,
    /// Nothing makes the start directory part of a project, and the user wants it to be none.
    Excluded,
    /// The directory of the configuration, or a project's own one, was there and is not any more.
    Gone(Gone),
    /// Others have changed the same path again and again for this time (milliseconds).
    Contended {
        /// How long it was tried.
        after_ms: u64,
    },
    /// Waiting for it could never end: the one who waits is part of it.
    Busy,
    /// A defect of this plugin or an error in the user's code.
    Runtime(String),
    /// Any other error of the operating system.
    Io(String),
}

/// What has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// `config_dir`.
    ConfigDir,
    /// The root of the current project.
    Root,
}

impl ErrorKind {
    /// The stable name of this kind of error in the Lua API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidArgument(_) => "invalid_argument",
            Self::InvalidName(_) => "invalid_name",
            Self::NotFound | Self::BrokenLink | Self::Gone(_) => "not_found",
            Self::NotAFile(_) | Self::NotADirectory | Self::OtherThanAsked { .. } => "not_a_file",
            Self::TooLarge { .. } => "too_large",
            Self::Untrusted(_) => "untrusted",
            Self::Permission | Self::NotWritable => "permission",
            Self::Syntax(_) => "syntax",
            Self::Encoding => "encoding",
            Self::Depth { .. } => "depth",
            Self::UnsupportedValue(_) => "unsupported_value",
            Self::Inherited { .. } => "inherited",
            Self::NoProject | Self::Excluded => "no_project",
            Self::Timeout { .. } | Self::Contended { .. } | Self::Locked { .. } => "timeout",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::Runtime(_) => "runtime",
            Self::Io(_) => "io",
        }
    }
}

/// One problem: what, where, and (through its `Display`) what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The file or directory it is about.
    pub path: Option<PathBuf>,
    /// Line in the file, from 1.
    pub line: Option<u32>,
    /// Column in the line in bytes, from 1.
    pub column: Option<u32>,
    /// The operating system's number, where it gave one.
    pub errno: Option<i32>,
}

impl Error {
    /// An error without a place.
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind, path: None, line: None, column: None, errno: None }
    }

    /// The error that the operating system gave for `path`.
    pub fn io(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied => ErrorKind::Permission,
            Io::NotADirectory => ErrorKind::NotADirectory,
            Io::IsADirectory => ErrorKind::NotAFile("a directory"),
            Io::TimedOut => ErrorKind::Io("the disk reported a time-out".into()),
            _ => match remedy(error) {
                Some(remedy) => ErrorKind::Io(format!("{error}; {remedy}")),
                None => ErrorKind::Io(error.to_string()),
            },
        };
        Self { errno: error.raw_os_error(), ..Self::new(kind) }.at(path)
    }

    /// The same error, about `path`, unless it names one already.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.path.get_or_insert_with(|| path.into());
        self
    }

    /// The same error at a line and column (both from 1, the column in bytes).
    #[must_use]
    pub fn at_position(mut self, line: u32, column: u32) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }

    /// The same error for one who has asked for the path: he can ask for another one, and had better not remove what is there.
    #[must_use]
    pub fn as_asked(mut self) -> Self {
        self.kind = match self.kind {
            ErrorKind::NotAFile(found) => ErrorKind::OtherThanAsked { found: Some(found), wanted: "a regular file" },
            ErrorKind::NotADirectory => ErrorKind::OtherThanAsked { found: None, wanted: "a directory" },
            kind => kind,
        };
        self
    }

    /// The file or directory it is about.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

/// What a user can do about an error of the disk.
fn remedy(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind as Io;
    /// The same numbers on all Unix systems.
    const EIO: i32 = 5;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    match (error.kind(), error.raw_os_error()) {
        (Io::StorageFull, _) => Some("make room on the disk"),
        (Io::QuotaExceeded, _) => Some("remove files of yours, or have your quota raised"),
        (Io::ReadOnlyFilesystem, _) => Some("mount the file system writable"),
        (_, Some(EIO)) if cfg!(unix) => Some("check the disk and its connection"),
        (_, Some(EMFILE)) if cfg!(unix) => Some("raise the limit of open files (`ulimit -n`), or restart the editor"),
        (_, Some(ENFILE)) if cfg!(unix) => Some("the whole system has too many files open: close some programs"),
        _ => None,
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    /// `path:line:column: what went wrong; what to do`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}", path.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
                if let Some(column) = self.column {
                    write!(f, ":{column}")?;
                }
            }
            f.write_str(": ")?;
        }
        match &self.kind {
            ErrorKind::InvalidArgument(text)
            | ErrorKind::InvalidName(text)
            | ErrorKind::Untrusted(text)
            | ErrorKind::Syntax(text)
            | ErrorKind::UnsupportedValue(text)
            | ErrorKind::Runtime(text) => f.write_str(text),
            ErrorKind::NotFound => f.write_str("does not exist; create it, or give another path"),
            ErrorKind::BrokenLink => f.write_str("is a symbolic link that leads nowhere; repair or remove it"),
            ErrorKind::NotAFile(what) => {
                write!(f, "is {what}, not a regular file; rename or remove it")
            }
            ErrorKind::NotADirectory => f.write_str("is not a directory; rename or remove it"),
            ErrorKind::OtherThanAsked { found: Some(found), wanted } => {
                write!(f, "is {found}, not {wanted}; give another path")
            }
            ErrorKind::OtherThanAsked { found: None, wanted } => write!(f, "is not {wanted}; give another path"),
            ErrorKind::TooLarge { size, limit } => write!(
                f,
                "has {size} bytes, more than the limit of {limit}; make it smaller or raise `cache.max_file_size`"
            ),
            ErrorKind::Permission => f.write_str("permission denied; make it readable for your user"),
            ErrorKind::NotWritable => {
                f.write_str("permission denied; make it and its directory writable for your user")
            }
            ErrorKind::Encoding => f.write_str("is not valid UTF-8; save it as UTF-8"),
            ErrorKind::Depth { limit } => {
                write!(f, "is nested deeper than {limit} levels; flatten it")
            }
            ErrorKind::Inherited { keys } => {
                f.write_str("gives `")?;
                write_keys(f, keys)?;
                f.write_str(
                    "` and belongs to an outer project, so the value stays; edit it there, or override it with another value",
                )
            }
            ErrorKind::Timeout { after_ms } => {
                write!(f, "no answer from the disk within {after_ms} ms; check the mount, or raise `cache.timeout_ms`")
            }
            ErrorKind::NoProject => f.write_str(
                "no project is loaded here, so there is no file for these settings; they are kept, and saved once a load finds one",
            ),
            ErrorKind::Excluded => f.write_str(
                "lies in no project, and `exclude` says that it is none itself; load from another directory, or take it out of `exclude`",
            ),
            ErrorKind::Gone(Gone::ConfigDir) => f.write_str(
                "has gone; what was loaded from it stays in force until it is there again (or until `:ProjectConfig clear`)",
            ),
            ErrorKind::Gone(Gone::Root) => f.write_str(
                "the project's directory has gone; its configuration stays in force until you change to another project",
            ),
            ErrorKind::Contended { after_ms } => {
                write!(f, "others have kept changing the same setting for {after_ms} ms; try again")
            }
            ErrorKind::Locked { after_ms } => write!(
                f,
                "another editor has held the lock of its directory for {after_ms} ms; \
                 the change is kept and tried again"
            ),
            ErrorKind::Cancelled => f.write_str("cancelled by clear(), setup(), stop() or a newer load"),
            ErrorKind::Busy => f.write_str(
                "the load that runs this file cannot be waited for from within it; use load(callback) without waiting",
            ),
            ErrorKind::Io(text) => f.write_str(text),
        }
    }
}

/// The keys with dots between them, quoted where they would be misread.
fn write_keys(f: &mut fmt::Formatter<'_>, keys: &[String]) -> fmt::Result {
    for (at, key) in keys.iter().enumerate() {
        if at > 0 {
            f.write_str(".")?;
        }
        if key.is_empty() || key.contains(|c: char| matches!(c, '.' | '`' | '"') || c.is_whitespace() || c.is_control())
        {
            write!(f, "{key:?}")?;
        } else {
            f.write_str(key)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inherited_is_told_with_its_file_and_the_remedy() {
        let text = |keys: &[&str]| {
            let keys = keys.iter().map(|&key| key.to_owned()).collect();
            Error::new(ErrorKind::Inherited { keys }).at("/c/big.json").to_string()
        };
        assert_eq!(
            text(&["lsp", "enabled"]),
            "/c/big.json: gives `lsp.enabled` and belongs to an outer project, so the value stays; edit it there, or override it \
             with another value"
        );
        for (keys, shown) in [(&["a.b", "", "c"] as &[&str], r#"`"a.b"."".c`"#), (&["x y", "\n"], r#"`"x y"."\n"`"#)] {
            assert!(text(keys).contains(shown), "{}", text(keys));
        }
    }

    #[test]
    #[cfg(unix)]
    fn errors_of_the_disk_keep_their_number_and_say_what_to_do() {
        use rustix::io::Errno;
        for (errno, remedy) in [
            (Errno::NOSPC, "make room"),
            (Errno::DQUOT, "quota"),
            (Errno::ROFS, "mount the file system writable"),
            (Errno::IO, "check the disk"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "close some programs"),
        ] {
            let error = Error::io("/a", &errno.into());
            assert_eq!((error.kind.code(), error.errno), ("io", Some(errno.raw_os_error())));
            assert!(error.to_string().contains(remedy), "{error}");
        }
    }
}
