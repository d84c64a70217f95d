//! Points in time and their division into ticks.
//!
//! A [`Timestamp`] is seconds and nanoseconds since 1970-01-01T00:00:00 UTC, from there to the end of the year 9999. A
//! [`Resolution`] cuts time into ticks: `tick = floor(time / resolution)`, in integers all the way, so no hit ever
//! lands in a neighbouring tick through rounding.
//!
//! This module reads no clock; see [`clock`](crate::time::clock).
//!
//! Tests: below, `tests/surface`.

pub(crate) mod error;
pub(crate) mod clock;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::error::{ResolutionError, TimeError};

const NANOS_PER_SEC: u32 = 1_000_000_000;

/// A point in time between 1970-01-01T00:00:00 UTC and the end of the year 9999, to the nanosecond.
///
/// ```
/// use hitring::Timestamp;
///
/// let t = Timestamp::from(1_700_000_000u32);
/// assert_eq!(t, Timestamp::try_from(1_700_000_000u64)?);
/// assert!(Timestamp::try_from(u64::MAX).is_err());
/// # Ok::<(), hitring::TimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    secs: u64,
    nanos: u32,
}

impl Timestamp {
    /// 1970-01-01T00:00:00 UTC.
    pub const ZERO: Self = Self { secs: 0, nanos: 0 };
    /// The last nanosecond of the year 9999.
    pub const MAX: Self = Self { secs: 253_402_300_799, nanos: NANOS_PER_SEC - 1 };

    /// `secs` seconds and `nanos` nanoseconds after 1970-01-01T00:00:00 UTC.
    ///
    /// # Errors
    /// [`TimeError::TooLate`] beyond the year 9999 (`nanos` of a billion and more are carried into the seconds).
    pub fn new(secs: u64, nanos: u32) -> Result<Self, TimeError> {
        let secs = secs.saturating_add(u64::from(nanos / NANOS_PER_SEC));
        let time = Self { secs, nanos: nanos % NANOS_PER_SEC };
        if time > Self::MAX { Err(TimeError::TooLate) } else { Ok(time) }
    }

    /// The time that lies `after` past the epoch.
    ///
    /// # Errors
    /// [`TimeError::TooLate`] beyond the year 9999.
    pub fn from_duration(after: Duration) -> Result<Self, TimeError> {
        Self::new(after.as_secs(), after.subsec_nanos())
    }

    /// Whole seconds since the epoch.
    #[must_use]
    #[inline]
    pub const fn secs(self) -> u64 {
        self.secs
    }

    /// Nanoseconds within the second, `0 .. 1_000_000_000`.
    #[must_use]
    #[inline]
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// The time since the epoch.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::new(self.secs, self.nanos)
    }

    /// `self` moved by `by`, held within the range of timestamps.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        self.as_duration().checked_add(by).and_then(|t| Self::from_duration(t).ok()).unwrap_or(Self::MAX)
    }
}

impl From<u32> for Timestamp {
    fn from(secs: u32) -> Self {
        Self { secs: u64::from(secs), nanos: 0 }
    }
}

impl TryFrom<u64> for Timestamp {
    type Error = TimeError;

    fn try_from(secs: u64) -> Result<Self, TimeError> {
        Self::new(secs, 0)
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = TimeError;

    fn try_from(time: SystemTime) -> Result<Self, TimeError> {
        time.duration_since(UNIX_EPOCH).map_err(|_| TimeError::Negative).and_then(Self::from_duration)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            write!(f, "{}", self.secs)
        } else {
            let digits = format!("{:09}", self.nanos);
            write!(f, "{}.{}", self.secs, digits.trim_end_matches('0'))
        }
    }
}

/// The number of a tick: `floor(time / resolution)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Tick(pub u64);

// SAFETY: `repr(transparent)` over `u64`: every value of its bytes is one, and none is uninitialised.
unsafe impl bytemuck::Zeroable for Tick {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for Tick {}

/// The width of a tick: a whole number of microseconds, from one millisecond up (the sliding log alone uses one
/// microsecond inside).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    nanos: u64,
    division: Division,
}

/// The cheapest exact way to divide a timestamp by the resolution.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Division {
    /// One second: the seconds are the tick.
    Second,
    /// A whole number of seconds.
    Seconds(u64),
    /// A whole number of ticks a second, each of so many nanoseconds.
    PerSecond { ticks: u64, nanos: u32 },
    /// Anything else, in 128-bit nanoseconds.
    Any,
}

impl Resolution {
    /// The finest width a caller may ask for.
    pub const FINEST: Duration = Duration::from_millis(1);
    pub(crate) const MICROSECOND: Self =
        Self { nanos: 1_000, division: Division::PerSecond { ticks: 1_000_000, nanos: 1_000 } };

    /// Ticks of width `width`.
    ///
    /// # Errors
    /// [`ResolutionError`] unless `width` is a whole number of microseconds, at least one millisecond and at
    /// most a century.
    pub fn new(width: Duration) -> Result<Self, ResolutionError> {
        const CENTURY: Duration = Duration::from_secs(100 * 366 * 86_400);
        if width < Self::FINEST || width > CENTURY || !width.subsec_nanos().is_multiple_of(1_000) {
            return Err(ResolutionError { given: width });
        }
        let nanos = u64::try_from(width.as_nanos()).map_err(|_| ResolutionError { given: width })?;
        let division = if nanos == u64::from(NANOS_PER_SEC) {
            Division::Second
        } else if width.subsec_nanos() == 0 {
            Division::Seconds(width.as_secs())
        } else if u64::from(NANOS_PER_SEC).is_multiple_of(nanos) {
            Division::PerSecond { ticks: u64::from(NANOS_PER_SEC) / nanos, nanos: width.subsec_nanos() }
        } else {
            Division::Any
        };
        Ok(Self { nanos, division })
    }

    /// The width of a tick.
    #[must_use]
    pub const fn width(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The tick that holds `time`.
    #[must_use]
    #[inline]
    pub fn tick(&self, time: Timestamp) -> Tick {
        if self.division == Division::Second { Tick(time.secs) } else { self.tick_of_other_width(time) }
    }

    #[inline(never)]
    fn tick_of_other_width(&self, time: Timestamp) -> Tick {
        Tick(match self.division {
            Division::Second => time.secs,
            Division::Seconds(width) => time.secs / width,
            Division::PerSecond { ticks, nanos } => time.secs * ticks + u64::from(time.nanos / nanos),
            // At most 2.5e20 ns over at least 1e6 ns: the quotient fits.
            Division::Any => (time.as_duration().as_nanos() / u128::from(self.nanos)) as u64,
        })
    }

    /// The first instant of `tick`.
    #[must_use]
    pub fn start(&self, tick: Tick) -> Timestamp {
        let nanos = u128::from(tick.0) * u128::from(self.nanos);
        let (secs, rest) = (nanos / u128::from(NANOS_PER_SEC), nanos % u128::from(NANOS_PER_SEC));
        u64::try_from(secs).ok().and_then(|secs| Timestamp::new(secs, rest as u32).ok()).unwrap_or(Timestamp::MAX)
    }

    /// Whether a tick is a second.
    #[must_use]
    pub fn is_second(&self) -> bool {
        self.division == Division::Second
    }

    /// How many ticks `span` is, if it is a whole number of them.
    #[must_use]
    #[inline]
    pub fn ticks(&self, span: Duration) -> Option<u64> {
        if self.division == Division::Second && span.subsec_nanos() == 0 {
            Some(span.as_secs())
        } else {
            self.ticks_of_other_width(span)
        }
    }

    #[inline(never)]
    fn ticks_of_other_width(&self, span: Duration) -> Option<u64> {
        let (nanos, width) = (span.as_nanos(), u128::from(self.nanos));
        if nanos.is_multiple_of(width) { u64::try_from(nanos / width).ok() } else { None }
    }

    /// The last tick of the year 9999.
    #[must_use]
    pub fn last_tick(&self) -> Tick {
        self.tick(Timestamp::MAX)
    }
}

impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.width().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_year_9999_is_the_end() {
        assert!(Timestamp::new(253_402_300_799, 999_999_999).is_ok());
        assert_eq!(Timestamp::new(253_402_300_800, 0), Err(TimeError::TooLate));
        assert_eq!(Timestamp::new(u64::MAX, u32::MAX), Err(TimeError::TooLate));
        assert_eq!(Timestamp::new(1, 1_500_000_000).map(|t| t.to_string()).as_deref(), Ok("2.5"));
    }

    #[test]
    fn odd_widths_are_refused() {
        for bad in [Duration::ZERO, Duration::from_micros(999), Duration::from_nanos(1_000_500)] {
            assert!(matches!(Resolution::new(bad), Err(ResolutionError { given }) if given == bad));
        }
    }

    proptest! {
        /// Each way of dividing agrees with plain 128-bit arithmetic, and a tick starts at its start.
        #[test]
        fn ticks_are_floors(
            secs in 0u64..=253_402_300_799, nanos in 0u32..1_000_000_000,
            width in prop_oneof![
                Just(1_000_000u64), Just(1_000_000_000), Just(60_000_000_000), Just(250_000_000), Just(1_500_000_000),
                (1_000u64..10_000_000).prop_map(|us| us * 1_000),
            ],
        ) {
            let time = Timestamp::new(secs, nanos)?;
            let resolution = Resolution::new(Duration::from_nanos(width))?;
            let exact = (u128::from(secs) * 1_000_000_000 + u128::from(nanos)) / u128::from(width);
            let tick = resolution.tick(time);
            prop_assert_eq!(u128::from(tick.0), exact);
            prop_assert!(resolution.start(tick) <= time);
            prop_assert_eq!(resolution.tick(resolution.start(tick)), tick);
        }
    }
}
