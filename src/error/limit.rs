//! Why a limiter cannot be made, changed or found.
//!
//! Tests: `tests/surface`.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a limiter cannot be made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitError {
    /// The text is not a rate. Write it as `100/minute`, `5/s` or `10 per 30 seconds`.
    Rate {
        /// The text, its beginning if it is long.
        given: String,
    },
    /// A limit is 1 to 2^32.
    Limit {
        /// What was asked for.
        given: u64,
    },
    /// A window is 1 ms to 100 years.
    Window {
        /// What was asked for.
        given: Duration,
    },
    /// A burst is 1 to 2^32, and fills within 100 years at most.
    Burst {
        /// What was asked for.
        given: u64,
    },
    /// A window slides in steps that are at most as long as the window, and in at most 65,536 of them.
    Resolution {
        /// What was asked for.
        given: Duration,
        /// The window.
        window: Duration,
    },
    /// A token bucket has no resolution. Leave out the resolution or the burst.
    BucketResolution {
        /// What was asked for.
        given: Duration,
    },
    /// So high a limit of so short a window does not fit into a word. Give a coarser resolution, or a burst.
    TooFine {
        /// The limit.
        limit: u64,
        /// The window.
        window: Duration,
    },
    /// The ticks of so short a window and the counts of so high a limit do not fit into a word together. Give one of
    /// the two rates a limiter of its own.
    TooFineTogether {
        /// The highest limit.
        limit: u64,
        /// The shortest window that slides.
        window: Duration,
    },
    /// A limiter keeps 1 to 4 rates together.
    Rates {
        /// How many were given.
        given: usize,
    },
    /// Several rates together can have neither a burst nor a resolution. Leave both out, or give one rate.
    Several,
    /// The rate of a window is changed, but a burst was given. Leave it out, or make another limiter.
    NoBucket {
        /// The burst.
        given: u64,
    },
    /// The limiter of this name in the file is a token bucket, but no burst was given. Give one, or choose another name.
    Bucket {
        /// Its burst.
        burst: u64,
    },
    /// The file has no room for another limiter, or another rate of one. Compact it with room for more keys.
    NoRoom,
    /// A limiter of keys needs room for at least one key.
    NoKeys,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { given } => {
                write!(f, "{given:?} is not a rate; write it as '100/minute', '5/s' or '10 per 30 seconds'")
            }
            Self::Limit { given } => write!(f, "a limit of {given} is not possible; give 1 to 4294967296"),
            Self::Window { given } => write!(f, "a window of {given:?} is not possible; give 1 ms to 100 years"),
            Self::Burst { given } => write!(
                f,
                "a burst of {given} is not possible; give 1 to 4294967296, and no more than comes in 100 years"
            ),
            Self::Resolution { given, window } => write!(
                f,
                "a window of {window:?} cannot slide in steps of {given:?}; give a step of at most the window \
                 and at least a 65536th of it"
            ),
            Self::BucketResolution { given } => write!(
                f,
                "a token bucket has no resolution, but {given:?} was given; leave out the burst or the resolution"
            ),
            Self::TooFine { limit, window } => write!(
                f,
                "a sliding window of {limit} in {window:?} does not fit into a word; give a coarser resolution, or a burst"
            ),
            Self::TooFineTogether { limit, window } => write!(
                f,
                "a limit of {limit} and a window of {window:?} do not fit into a word together; give one of them a limiter of its own"
            ),
            Self::Rates { given } => write!(f, "{given} rates cannot be kept together; give 1 to 4"),
            Self::Several => {
                write!(f, "several rates together take no burst and no resolution; leave it out, or give one rate")
            }
            Self::NoBucket { given } => write!(
                f,
                "a burst of {given} is a token bucket's, and this limiter is a window; leave out the burst, or make another limiter"
            ),
            Self::Bucket { burst } => write!(
                f,
                "the limiter of this name is a token bucket with a burst of {burst}; give a burst, or choose another name"
            ),
            Self::NoRoom => {
                write!(f, "the file has no room for another limiter or rate; compact it with a higher number of limits")
            }
            Self::NoKeys => write!(f, "a limiter of keys needs room for at least one; raise max_keys"),
        }
    }
}

impl Error for LimitError {}
