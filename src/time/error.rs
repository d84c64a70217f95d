//! [`TimeError`]: why a number is not a point in time.
//!
//! Tests: `tests/surface`, `tests/python/unit/test_times.py`.

use std::error::Error;
use std::fmt;

/// Why a point in time cannot be a [`Timestamp`](crate::Timestamp).
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
