//! The third stage: which files in `config_dir` belong to the projects of the nest.
//!
//! A project's own files have known names, so they are asked for and `config_dir` itself is never listed, however full it
//! is; only the projects' directories are. Whether a file is there and fit to be read is found out when it is read, in
//! `execute`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use super::calls::Look;
use super::detect::{Level, Nest};
use super::listings::Known;
use super::packages::Packages;
use super::{Kind, Stop, packages};
use crate::error::Result;
use crate::matcher::Matcher;
use crate::open::{ConfigDir, Listed, Place};

/// What one `find_files` stage lets through.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) extensions: Option<Vec<String>>,
    pub(super) matcher: Option<Matcher>,
}

/// Where to look, and for what.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) config_dir: ConfigDir,
    pub(super) filters: Vec<Filter>,
}

/// A file that may exist.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    /// It does not lie in `config_dir`: its place is one of the directory it lies in.
    pub(super) elsewhere: bool,
    /// Its place in the order of execution.
    pub(super) rank: Rank,
}

impl Candidate {
    /// Its name without the extension.
    pub(super) fn stem(&self) -> Option<&OsStr> {
        self.place.path().file_name().map(stem)
    }
}

/// The order of execution: by kind, then outermost project first, own file before directory, then as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) kind: usize,
    /// The place in the order in which files were named one by one; 0 for those that were searched for.
    arrival: usize,
    pub(super) layer: usize,
    pub(super) in_directory: bool,
    position: usize,
}

impl Candidate {
    /// Whether it was named, not searched for.
    pub(super) fn is_named(&self) -> bool {
        self.rank.arrival > 0
    }
}

impl Rank {
    /// Of a file in a directory, whose place there is told by its name.
    pub(super) fn by_name(kind: usize, layer: usize) -> Self {
        Self { kind, arrival: 0, layer, in_directory: true, position: 0 }
    }

    /// Where a directory itself stands: what is wrong with it is told before what is wrong with files.
    pub(super) fn of_directory(layer: usize) -> Self {
        Self { kind: 0, arrival: 0, layer, in_directory: false, position: 0 }
    }

    /// Where a file stands that was named, not searched for.
    pub(super) fn of_named(kind: usize, arrival: usize, layer: usize) -> Self {
        Self { kind, arrival, layer, in_directory: false, position: 0 }
    }
}

impl Search {
    /// The names that the projects' own files would have.
    pub(super) fn own_files(&self, nest: &Nest, kinds: &[Kind]) -> Result<Vec<Candidate>> {
        let mut candidates = Vec::new();
        for (layer, level) in nest.levels.iter().enumerate() {
            let stem = level.name.file_stem();
            for (kind, position, extension) in extensions(kinds) {
                let mut relative = stem.clone().into_os_string();
                relative.push(extension);
                if Path::new(&relative).file_name().is_some_and(|name| self.lets_through(name, extension)) {
                    let rank = Rank { kind, arrival: 0, layer, in_directory: false, position };
                    candidates.push(Candidate { place: self.config_dir.place(relative)?, elsewhere: false, rank });
                }
            }
        }
        Ok(candidates)
    }

    /// The files in the directory of a layer's project, those of its packages left out.
    pub(super) fn in_directory(
        &self,
        nest: &Nest,
        layer: usize,
        kinds: &[Kind],
        known: Option<Known<'_>>,
        look: &Look,
    ) -> Result<Vec<Candidate>, Stop> {
        let level = &nest.levels[layer];
        let directory = level.name.directory();
        look.at(&self.config_dir.path().join(&directory))?;
        let entries = self.entries(&directory, known)?;
        let mut files = self.files_among(&entries, nest, layer, kinds);
        if nest.has_packages && !files.is_empty() {
            let stems = files.iter().map(|(entry, _)| stem(&entry.name));
            let foreign = packages_among(level, stems, |names| {
                look.at(&level.root)?;
                Ok(packages::among(&level.root, names, known))
            })?;
            files.retain(|(entry, _)| !foreign.contains(stem(&entry.name)));
        }
        let candidate = |(position, (entry, kind)): (usize, (&Listed, usize))| {
            let place = self.config_dir.place(directory.join(&entry.name))?.listed_as_file(entry.is_file);
            Ok(Candidate {
                place,
                elsewhere: false,
                rank: Rank { kind, arrival: 0, layer, in_directory: true, position },
            })
        };
        files.into_iter().enumerate().map(candidate).collect()
    }

    /// Those of the entries of a layer's directory that its project may run, with their kinds; the files of the package that is the
    /// next layer are left out.
    pub(super) fn files_among<'e>(
        &self,
        entries: &'e [Listed],
        nest: &Nest,
        layer: usize,
        kinds: &[Kind],
    ) -> Vec<(&'e Listed, usize)> {
        let package = nest.levels.get(layer + 1).map(|package| package.name.file_stem());
        let is_here = |package: &&Path| package.parent() == Some(&nest.levels[layer].name.directory());
        let package = package.as_deref().filter(is_here).and_then(Path::file_name);
        let file = |entry: &'e Listed| {
            let extension = extension(&entry.name)?;
            let kind = kind_of(kinds, extension)?;
            let is_own = package != Some(stem(&entry.name));
            (is_own && self.lets_through(&entry.name, extension)).then_some((entry, kind))
        };
        entries.iter().filter_map(file).collect()
    }

    /// What a directory of `config_dir` holds; nothing where there is none.
    fn entries(&self, directory: &Path, known: Option<Known<'_>>) -> Result<Arc<[Listed]>> {
        if let Some(known) = known
            && let Some(fingerprint) = self.config_dir.fingerprint(directory)
            && let Some(entries) = known.memory.config.get(&fingerprint)
        {
            return Ok(entries);
        }
        let Some(listing) = self.config_dir.list(directory)? else { return Ok(Arc::default()) };
        let entries = Arc::from(listing.entries);
        if let (Some(known), Some(fingerprint)) = (known, listing.fingerprint) {
            known.memory.config.keep(fingerprint, known.read_at, &entries);
        }
        Ok(entries)
    }

    fn lets_through(&self, name: &OsStr, extension: &str) -> bool {
        self.filters.iter().any(|filter| {
            filter.takes_extension(extension) && filter.matcher.as_ref().is_none_or(|matcher| matcher.matches(name))
        })
    }
}

impl Filter {
    pub(super) fn takes_extension(&self, extension: &str) -> bool {
        self.extensions.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| wanted == extension))
    }
}

/// Those of these stems that are named after packages of the level's project; `ask` says which names are those of packages.
pub(super) fn packages_among<'s>(
    level: &Level,
    stems: impl Iterator<Item = &'s OsStr>,
    ask: impl FnOnce(&mut dyn Iterator<Item = OsString>) -> Result<Arc<Packages>, Stop>,
) -> Result<HashSet<OsString>, Stop> {
    let stem_of = |package: &OsStr| -> Option<OsString> {
        Some(level.name.child(package).ok()?.file_stem().file_name()?.to_owned())
    };
    // A stem that no name is encoded to belongs to no package. (One without `%` is the encoding of itself or of nothing; the
    // last line tells.)
    let is_encoded = |stem: &OsStr| stem.as_encoded_bytes().contains(&b'%');
    let mut names = stems.filter_map(|stem| {
        decode(stem).filter(|package| !is_encoded(stem) || stem_of(package).as_deref() == Some(stem))
    });
    let packages = ask(&mut names)?;
    Ok(packages.found.iter().filter_map(|package| stem_of(package)).collect())
}

/// The directory name that a file's stem is the encoding of, if it is one. (Of a name that had to be cut it is not; such a
/// package's files are recognised when the package is the next level.)
fn decode(stem: &OsStr) -> Option<OsString> {
    let bytes = stem.as_encoded_bytes();
    if !bytes.contains(&b'%') {
        return Some(stem.to_owned());
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(*rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            decoded.push((digit()? << 4) | digit()?);
        } else {
            decoded.push(byte);
        }
    }
    to_os_string(decoded)
}

#[cfg(unix)]
pub(super) fn to_os_string(bytes: Vec<u8>) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    Some(OsString::from_vec(bytes))
}

#[cfg(not(unix))]
pub(super) fn to_os_string(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}

/// Every extension of every kind once, in order: kind, position within the kind, extension.
fn extensions(kinds: &[Kind]) -> impl Iterator<Item = (usize, usize, &str)> {
    kinds.iter().enumerate().flat_map(move |(kind, known)| {
        let own = known.extensions.iter().enumerate();
        own.map(move |(position, extension)| (kind, position, extension.as_str()))
            // An extension that two kinds claim is the first one's, and no file runs twice.
            .filter(move |(kind, position, extension)| place_of(kinds, extension) == Some((*kind, *position)))
    })
}

fn place_of(kinds: &[Kind], extension: &str) -> Option<(usize, usize)> {
    kinds.iter().enumerate().find_map(|(kind, known)| {
        let position = known.extensions.iter().position(|own| own == extension)?;
        Some((kind, position))
    })
}

pub(super) fn kind_of(kinds: &[Kind], extension: &str) -> Option<usize> {
    place_of(kinds, extension).map(|(kind, _)| kind)
}

/// `.lua` of `a.b.lua`; a dot at the start begins no extension.
pub(super) fn extension(name: &OsStr) -> Option<&str> {
    let (_, extension) = name.as_encoded_bytes().split_at(dot(name)?);
    std::str::from_utf8(extension).ok()
}

/// `a.b` of `a.b.lua`.
fn stem(name: &OsStr) -> &OsStr {
    Path::new(name).file_stem().unwrap_or(name)
}

fn dot(name: &OsStr) -> Option<usize> {
    name.as_encoded_bytes().iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_dot_makes_the_extension() {
        for (name, expected) in
            [("a.lua", Some(".lua")), ("a.b.lua", Some(".lua")), ("a.", Some(".")), (".lua", None), ("lua", None)]
        {
            assert_eq!(extension(OsStr::new(name)), expected, "{name}");
        }
        assert_eq!(stem(OsStr::new("a.b.lua")), "a.b");
    }

    #[test]
    fn an_extension_belongs_to_the_first_kind_that_claims_it() {
        let kind = |name: &str, extensions: &[&str]| Kind {
            name: name.into(),
            extensions: extensions.iter().map(|extension| (*extension).into()).collect(),
            merged: false,
        };
        let kinds = [kind("json", &[".json", ".jsonc"]), kind("other", &[".jsonc", ".toml", ".toml"])];
        let all: Vec<_> = extensions(&kinds).collect();
        assert_eq!(all, [(0, 0, ".json"), (0, 1, ".jsonc"), (1, 1, ".toml")]);
    }

    #[test]
    fn a_stem_is_decoded_to_the_name_it_stands_for() {
        assert_eq!(decode(OsStr::new("plain")), Some("plain".into()));
        assert_eq!(decode(OsStr::new("a%0Ab%25")), Some("a\nb%".into()));
        for broken in ["%", "a%4", "%zz", "%~00"] {
            assert_eq!(decode(OsStr::new(broken)), None);
        }
    }
}
