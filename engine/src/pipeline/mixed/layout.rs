//! How a list of stages is cut into segments, each of which is one task.
//!
//! A walk and the detect stages behind it look at the same directories, so they share their trips to the disk. Functions in a
//! row are one segment: what passes between them never leaves the host. `find_files` right before `execute` is no segment:
//! finding and reading are one work there (`tail`).

use std::ops::Range;

use super::super::Stage;
use super::super::find_files::Filter;
use super::has_leaves;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// At most one walk, at its beginning, and detect stages; none at all where only the start directory is sent.
    Directories(Range<usize>),
    /// Functions of the user's.
    Functions(Range<usize>),
    /// `find_files` stages.
    Files {
        stages: Range<usize>,
        /// What comes in are files that such a segment has found before: they are sent on.
        forward: bool,
    },
}

/// What comes after the segments.
#[derive(Debug)]
pub(super) enum End {
    /// No file is read.
    Nothing,
    /// The files that these let through are found and read.
    Search(Vec<Filter>),
    /// The files that come out of the last segment are read, by this `execute` stage.
    Named(usize),
}

#[derive(Debug)]
pub(super) struct Layout {
    pub(super) segments: Vec<Segment>,
    pub(super) end: End,
}

impl Layout {
    pub(super) fn of(stages: &[Stage]) -> Self {
        let execute = stages.iter().position(|stage| matches!(stage, Stage::Execute { .. }));
        let mut segments = Vec::new();
        for (index, stage) in stages[..execute.unwrap_or(stages.len())].iter().enumerate() {
            match (stage, segments.last_mut()) {
                (Stage::Detect { .. }, Some(Segment::Directories(before)))
                | (Stage::Call, Some(Segment::Functions(before)))
                | (Stage::FindFiles { .. }, Some(Segment::Files { stages: before, .. })) => before.end = index + 1,
                (Stage::Walk { .. } | Stage::Detect { .. }, _) => {
                    segments.push(Segment::Directories(index..index + 1));
                }
                (Stage::Call, _) => segments.push(Segment::Functions(index..index + 1)),
                (Stage::FindFiles { .. }, _) => {
                    let forward = segments.iter().any(|before| matches!(before, Segment::Files { .. }));
                    segments.push(Segment::Files { stages: index..index + 1, forward });
                }
                (Stage::Execute { .. }, _) => {}
            }
        }
        if !matches!(segments.first(), Some(Segment::Directories(_))) {
            segments.insert(0, Segment::Directories(0..0));
        }
        let end = match (execute, segments.last()) {
            (None, _) | (_, None | Some(Segment::Directories(_))) => End::Nothing,
            (Some(execute), Some(Segment::Files { stages: found, forward: false })) => {
                match filters(&stages[found.clone()]) {
                    Some(filters) => {
                        segments.pop();
                        End::Search(filters)
                    }
                    None => End::Named(execute),
                }
            }
            (Some(execute), Some(_)) => End::Named(execute),
        };
        Self { segments, end }
    }
}

/// What these stages let through; `None` where the user's code has a say in it.
fn filters(stages: &[Stage]) -> Option<Vec<Filter>> {
    let filter = |stage: &Stage| match stage {
        Stage::FindFiles { extensions, matcher, finder: false } if !has_leaves(matcher.as_ref()) => {
            Some(Filter { extensions: extensions.clone(), matcher: matcher.clone() })
        }
        _ => None,
    };
    stages.iter().map(filter).collect()
}

impl End {
    /// The stage that wants what comes out of the last segment.
    pub(super) fn stage(&self) -> Option<usize> {
        match self {
            Self::Named(stage) => Some(*stage),
            Self::Nothing | Self::Search(_) => None,
        }
    }
}
