//! Errors, one type for each kind of operation, each message in the caller's terms and with its cure.
//!
//! | operation | error |
//! |---|---|
//! | making a point in time | [`TimeError`] |
//! | building a counter | [`ConfigError`] |
//! | asking for a count | [`QueryError`] |
//! | reading or merging a snapshot | [`SnapshotError`] |
//!
//! Recording has no error: it answers an [`Outcome`](crate::Outcome).

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::time::Timestamp;

/// Why a point in time cannot be a [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeError {
    /// Before 1970-01-01T00:00:00 UTC. Hits are counted from there on; give a time since then.
    Negative,
    /// Beyond the year 9999. Give seconds, not milliseconds or nanoseconds.
    TooLate,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Negative => "the time lies before 1970-01-01T00:00:00 UTC; give seconds since then",
            Self::TooLate => {
                "the time lies beyond the year 9999; give seconds since 1970, not milliseconds or nanoseconds"
            }
        })
    }
}

impl Error for TimeError {}

/// Why a counter cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The resolution is not a whole number of microseconds from one millisecond to a century.
    Resolution {
        /// What was asked for.
        given: Duration,
    },
    /// The window is not a whole number of ticks. Give a multiple of the resolution, or a finer resolution.
    WindowNotWhole {
        /// The window that was asked for.
        window: Duration,
        /// The width of a tick.
        resolution: Duration,
    },
    /// The window is empty.
    WindowEmpty,
    /// The window has more than 2^20 ticks. Take the coarser resolution that the error names.
    WindowTooLong {
        /// The window that was asked for.
        window: Duration,
        /// The finest whole number of milliseconds at which that window fits.
        coarser: Duration,
    },
    /// More than 2^20 slots of slack.
    SlackTooLong {
        /// What was asked for.
        slack: u32,
    },
    /// The skew is larger than the slack, so an accepted hit could push one out that is still in the window.
    SkewBeyondSlack {
        /// What was asked for.
        max_skew: Duration,
        /// The largest skew that this slack allows.
        limit: Duration,
    },
    /// The sliding log was given room for no hit at all.
    NoHits,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolution { given } => write!(
                f,
                "a resolution of {given:?} is not possible; give a whole number of microseconds, at least 1ms and at \
                 most a century"
            ),
            Self::WindowNotWhole { window, resolution } => write!(
                f,
                "a window of {window:?} is not a whole number of ticks of {resolution:?}; give a multiple of the \
                 resolution or a finer resolution"
            ),
            Self::WindowEmpty => write!(f, "the window is empty; give at least one tick (one resolution)"),
            Self::WindowTooLong { window, coarser } => write!(
                f,
                "a window of {window:?} has more than 2^20 ticks at this resolution; use a resolution of {coarser:?} \
                 or coarser"
            ),
            Self::SlackTooLong { slack } => {
                write!(f, "a slack of {slack} slots is more than 2^20; give fewer or use a coarser resolution")
            }
            Self::SkewBeyondSlack { max_skew, limit } => write!(
                f,
                "a max_skew of {max_skew:?} is more than the slack of {limit:?}; raise the slack or lower max_skew"
            ),
            Self::NoHits => write!(f, "a sliding log needs room for at least one hit; raise max_hits"),
        }
    }
}

impl Error for ConfigError {}

/// Why a count cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryError {
    /// Part of the range was already overwritten by newer hits, so the exact count is no longer known. Ask for a later
    /// time, or build the counter with a longer window or more slack. Where hits come with timestamps of their own, a
    /// stamp far in the future does this too: a configured clock refuses such hits.
    WindowExpired {
        /// The end of the range that was asked for.
        at: Timestamp,
        /// Its length.
        last: Duration,
    },
    /// The range is longer than the window.
    LongerThanWindow {
        /// What was asked for.
        last: Duration,
        /// The window of this counter.
        window: Duration,
    },
    /// The range is not a whole number of ticks.
    NotWhole {
        /// What was asked for.
        last: Duration,
        /// The width of a tick.
        resolution: Duration,
    },
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowExpired { at, last } => write!(
                f,
                "part of the {last:?} up to {at} has already been overwritten by newer hits; ask for a later time, or \
                 use a longer window, more slack or a clock that refuses hits from the future"
            ),
            Self::LongerThanWindow { last, window } => {
                write!(f, "{last:?} is more than the window of {window:?}; ask for less or build a longer window")
            }
            Self::NotWhole { last, resolution } => write!(
                f,
                "{last:?} is not a whole number of ticks of {resolution:?}; ask for a multiple of the resolution, or \
                 use a finer resolution or the sliding strategy"
            ),
        }
    }
}

impl Error for QueryError {}

/// Why bytes are not a snapshot, or why a snapshot cannot be merged. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not begin as a hitring snapshot does.
    Foreign,
    /// The snapshot was written by a newer hitring. Upgrade this one.
    Newer {
        /// The format version of the bytes.
        version: u16,
        /// The newest version that can be read.
        supported: u16,
    },
    /// The bytes end too early or go on too long.
    Truncated,
    /// The checksum does not match the contents.
    Corrupt,
    /// A field holds what no counter could have written.
    Invalid {
        /// Which field.
        what: &'static str,
    },
    /// The snapshot counts in other ticks than this counter.
    OtherGeometry {
        /// What differs, theirs first.
        what: String,
    },
    /// The snapshot comes from a forked process and holds hits that this counter has itself. Call `reset` in the child
    /// right after the fork, so that it counts only its own.
    Forked,
    /// The snapshot was taken before a reset that this counter knows of.
    OlderEpoch {
        /// The epoch of the snapshot.
        theirs: u64,
        /// The epoch of the counter.
        ours: u64,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(f, "these bytes are not a hitring snapshot"),
            Self::Newer { version, supported } => write!(
                f,
                "this snapshot has format version {version}, the newest that can be read is {supported}; upgrade \
                 hitring"
            ),
            Self::Truncated => write!(f, "this snapshot is not complete; take it again"),
            Self::Corrupt => write!(f, "this snapshot fails its checksum; take it again"),
            Self::Invalid { what } => write!(f, "this snapshot holds an impossible {what}; take it again"),
            Self::OtherGeometry { what } => {
                write!(f, "this snapshot counts otherwise than this counter: {what}; build both alike")
            }
            Self::Forked => write!(
                f,
                "this snapshot comes from a forked process and holds hits that this counter has itself; call reset() \
                 in the child right after the fork"
            ),
            Self::OlderEpoch { theirs, ours } => write!(
                f,
                "this snapshot is of epoch {theirs}, before the reset that began epoch {ours}; take a new one"
            ),
        }
    }
}

impl Error for SnapshotError {}
