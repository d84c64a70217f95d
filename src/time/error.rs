//! [`TimeError`] and [`ResolutionError`]: why a number is not a point in time, or a width no resolution.
//!
//! Tests: `tests/surface`, `tests/python/unit/test_times.py`.

use std::error::Error;
use std::fmt;
use std::time::Duration;

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

/// Why a width cannot be a [`Resolution`](crate::Resolution): it is not a whole number of microseconds from one millisecond to a
/// century.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolutionError {
    /// What was asked for.
    pub given: Duration,
}

impl fmt::Display for ResolutionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given } = self;
        write!(
            f,
            "a resolution of {given:?} is not possible; give a whole number of microseconds, at least 1ms and at \
             most a century"
        )
    }
}

impl Error for ResolutionError {}
