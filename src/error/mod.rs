//! Errors, one type for each kind of operation, each message in the caller's terms and with its cure.
//!
//! | operation | error |
//! |---|---|
//! | making a point in time, a resolution | [`TimeError`](crate::TimeError), [`ResolutionError`](crate::ResolutionError), in `time` |
//! | building a counter, watching a threshold | [`ConfigError`] |
//! | asking for a count | [`QueryError`] |
//! | reading or merging a snapshot | [`SnapshotError`] |
//! | making, merging, reading or writing a sketch | [`SketchError`] |
//! | subscribing to events | [`SubscribeError`] |
//! | building a limiter, reading a rate | [`LimitError`] |
//! | making, opening or changing a shared file | [`SharedError`] |
//!
//! Recording does not fail: it returns an [`Outcome`](crate::Outcome).
//!
//! Tests: `tests/surface`.

mod limit;
mod shared;
mod sketch;

pub use limit::LimitError;
pub use shared::SharedError;
pub use sketch::SketchError;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::time::Timestamp;
use crate::time::error::ResolutionError;

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
        /// The finest resolution of whole milliseconds at which that window fits and is a whole number of ticks.
        coarser: Duration,
    },
    /// More than 2^20 slots of slack.
    SlackTooLong {
        /// What was asked for.
        slack: u32,
    },
    /// The skew is larger than the slack, so an accepted hit could push a hit out that is still in the window.
    SkewBeyondSlack {
        /// What was asked for.
        max_skew: Duration,
        /// The largest skew that this slack allows.
        limit: Duration,
    },
    /// The sliding log was given room for no hit at all.
    NoHits,
    /// A threshold of no hits, which every count reaches. Give a limit of at least 1.
    NoLimit,
    /// A threshold over no time, which no count reaches. Give at least one tick (one resolution).
    NoSpan,
    /// The buckets of the fixed strategy are not a whole number of ticks, or are longer than the window.
    WindowSize {
        /// The width of a bucket that was asked for.
        window_size: Duration,
        /// The width of a tick.
        resolution: Duration,
        /// The window.
        window: Duration,
    },
    /// A registry needs room for at least one endpoint.
    NoEndpoints,
    /// Different items are told apart by 4 to 18 bits.
    Precision {
        /// What was asked for.
        given: u8,
    },
    /// A threshold over more than the window.
    ThresholdTooLong {
        /// What was asked for.
        last: Duration,
        /// The window.
        window: Duration,
    },
    /// The relative error of an approximate count is not from 0.001 to 0.5.
    MorrisError {
        /// What was asked for, as text, because it may not be a number.
        given: String,
    },
    /// The base of an approximate count is not from 1.000002 (an error of 0.001) to 2 (an error of 0.71).
    MorrisBase {
        /// What was asked for, as text, because it may not be a number.
        given: String,
    },
    /// The registers of so small an error do not fit beside the time. Take the larger error that the message names, a
    /// coarser resolution or a longer window.
    MorrisTooFine {
        /// The width of a tick.
        resolution: Duration,
        /// The smallest error that fits, in thousandths.
        thousandths: u32,
    },
    /// A single counter does not have this strategy; a registry has it.
    NeedsRegistry {
        /// The strategy's name.
        strategy: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLimit => write!(f, "every count reaches a limit of 0; give a limit of at least 1"),
            Self::NoSpan => write!(f, "no count over no time reaches a limit; give at least one tick (one resolution)"),
            Self::Resolution { given } => ResolutionError { given: *given }.fmt(f),
            Self::WindowNotWhole { window, resolution } => write!(
                f,
                "a window of {window:?} is not a whole number of ticks of {resolution:?}; give a multiple of the \
                 resolution or a finer resolution"
            ),
            Self::WindowEmpty => write!(f, "the window is empty; give at least one tick (one resolution)"),
            Self::WindowTooLong { window, coarser } => write!(
                f,
                "a window of {window:?} has more than 2^20 ticks at this resolution; use a resolution of {coarser:?}"
            ),
            Self::SlackTooLong { slack } => {
                write!(f, "a slack of {slack} slots is more than 2^20; give fewer or use a coarser resolution")
            }
            Self::SkewBeyondSlack { max_skew, limit } => write!(
                f,
                "a max_skew of {max_skew:?} is more than the slack of {limit:?}; raise the slack or lower max_skew"
            ),
            Self::WindowSize { window_size, resolution, window } => write!(
                f,
                "buckets of {window_size:?} do not suit ticks of {resolution:?} and a window of {window:?}; give a \
                 window_size that is a multiple of the resolution and no longer than the window"
            ),
            Self::Precision { given } => write!(f, "a precision of {given} is not possible; give one from 4 to 18"),
            Self::NoEndpoints => write!(f, "a registry needs room for at least one endpoint; raise max_endpoints"),
            Self::ThresholdTooLong { last, window } => {
                write!(
                    f,
                    "a threshold over {last:?} is longer than the window of {window:?}; give less or a longer window"
                )
            }
            Self::MorrisError { given } => {
                write!(f, "a relative error of {given} is not possible; give one from 0.001 to 0.5")
            }
            Self::MorrisBase { given } => write!(
                f,
                "a base of {given} is not possible; give one from 1.000002 (an error of 0.001) to 2 (an error of 0.71)"
            ),
            Self::MorrisTooFine { resolution, thousandths } => write!(
                f,
                "registers of so small an error do not fit beside ticks of {resolution:?}; take an error of at least \
                 {}, a coarser resolution or a longer window",
                f64::from(*thousandths) / 1_000.0
            ),
            Self::NeedsRegistry { strategy } => write!(
                f,
                "a single counter has no strategy {strategy:?}; choose striped, ring or sliding, or use a Registry"
            ),
            Self::NoHits => write!(f, "a sliding log needs room for at least one hit; raise max_hits"),
        }
    }
}

impl Error for ConfigError {}

impl From<ResolutionError> for ConfigError {
    fn from(ResolutionError { given }: ResolutionError) -> Self {
        Self::Resolution { given }
    }
}

/// Why a registry has no endpoint of a name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EndpointError {
    /// A name has 1 to 1,024 bytes.
    Name {
        /// How many were given.
        length: usize,
    },
    /// The registry has as many endpoints as it may. Raise `max_endpoints`, prune or remove some, or let the idlest be
    /// pruned.
    Full {
        /// How many there may be.
        max_endpoints: usize,
    },
    /// The strategy does not suit the registry's window.
    Strategy(ConfigError),
    /// The shared registry was opened for reading only. Open it for writing.
    ReadOnly,
}

/// What to do about a name of so many bytes, which are too few or too many.
pub(crate) fn cure(length: usize) -> &'static str {
    if length == 0 { "give a name" } else { "shorten or hash it" }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { length } => {
                write!(f, "the name of an endpoint has 1 to 1,024 bytes of UTF-8, not {length}; {}", cure(*length))
            }
            Self::Full { max_endpoints } => write!(
                f,
                "there are {max_endpoints} endpoints already; raise max_endpoints, remove some, or let the idlest be \
                 pruned when it is full"
            ),
            Self::Strategy(error) => error.fmt(f),
            Self::ReadOnly => f.write_str("the registry was opened for reading only; open it for writing"),
        }
    }
}

impl Error for EndpointError {}

/// Why a count cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryError {
    /// Part of the range was already overwritten by newer hits, so the exact count is not known any more. Ask for a
    /// later time, or build the counter with a longer window or more slack. If hits have timestamps of their own, a
    /// stamp far in the future has the same effect; a counter with a configured clock refuses such hits.
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
    /// The shared file had no room for some visitors, so their number is not known. Make a file with more room for
    /// visitors.
    VisitorsFull,
    /// The shared file was cut while it was open. Close the registry and open a whole file.
    FileLost,
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
            Self::VisitorsFull => f.write_str(
                "the file had no room for some visitors, so their number is not known; make a file with more room \
                 for visitors",
            ),
            Self::FileLost => {
                f.write_str("the file was cut while it was open; close the registry and open a whole file")
            }
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
    /// The bytes end too early, or further bytes follow the end.
    Truncated,
    /// The checksum does not match the contents.
    Corrupt,
    /// A field holds a value that no counter could have written.
    Invalid {
        /// Which field.
        what: &'static str,
    },
    /// The snapshot counts in other ticks than this counter.
    OtherGeometry {
        /// What differs, theirs first.
        what: String,
    },
    /// The snapshot is of another type. Give it to that type.
    OtherKind {
        /// The type that the snapshot is of.
        found: &'static str,
        /// The type that it was given to.
        wanted: &'static str,
    },
    /// The snapshot comes from a forked process and holds hits that this counter has itself. Call `reset` in the child
    /// right after the fork, so that it counts only its own.
    Forked,
    /// The snapshot holds generations that this registry is still counting in: it is the registry's own, or gives
    /// larger counts for them than they have. Merge it into another registry, or restore it.
    Own,
    /// The registry has no room for the snapshot's endpoints. Raise `max_endpoints`, or prune first.
    NoRoom {
        /// How many there would be.
        endpoints: usize,
        /// How many there may be.
        max_endpoints: usize,
    },
    /// The file has no room for the snapshot's names. Make a file with more room for names, or remove endpoints and
    /// compact it.
    NoNameRoom {
        /// How many bytes they take.
        bytes: usize,
        /// How many are left.
        free: usize,
    },
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
            Self::OtherKind { found, wanted } => {
                write!(f, "this is the snapshot of a {found}, not of a {wanted}; give it to a {found}")
            }
            Self::Own => write!(
                f,
                "the snapshot claims hits that this registry itself is still counting; merge it into another registry, \
                 or restore it"
            ),
            Self::NoRoom { endpoints, max_endpoints } => write!(
                f,
                "there would be {endpoints} endpoints, and room is for {max_endpoints}; raise max_endpoints, or prune \
                 first"
            ),
            Self::NoNameRoom { bytes, free } => write!(
                f,
                "its new names take {bytes} bytes, and room is for {free}; make a file with more room for names (name_bytes), \
                 or remove endpoints and compact it"
            ),
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

/// Why a subscription to events cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The threshold cannot be watched.
    Watch(ConfigError),
    /// The number of events that may wait is not from 1 to 2^20.
    Capacity {
        /// What was asked for.
        given: usize,
    },
    /// The system cannot start another thread. Close other subscriptions, or raise the limit on threads.
    Thread {
        /// What the system said.
        kind: std::io::ErrorKind,
    },
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch(error) => error.fmt(f),
            Self::Capacity { given } => {
                write!(f, "a queue of {given} events is not possible; give a capacity from 1 to 1048576")
            }
            Self::Thread { kind } => write!(
                f,
                "no thread can be started for the subscription ({kind}); close other subscriptions or raise the limit \
                 on threads"
            ),
        }
    }
}

impl Error for SubscribeError {}

impl From<ConfigError> for SubscribeError {
    fn from(error: ConfigError) -> Self {
        Self::Watch(error)
    }
}
