//! [`WindowedUniques`]: how many different items there were in the last N seconds, under a clock of its own.
//!
//! The sketches, their states and their memory are [`uniques`](crate::sketch::uniques)'s; this adds the clock, what may be
//! asked, merging and bytes.
//!
//! # As bytes, version 1
//! The frame is that of `src/cell/frame.rs`, the kind 8.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | resolution in microseconds |
//! | 4 + 4 | window in ticks, slack in slots |
//! | 4 | precision |
//! | ... | the items, see [`form`] |
//!
//! Tests: `tests/conformance`, `tests/merge`.

use std::time::Duration;

use crate::cell::frame::{In, Kind, Out};
use crate::cell::outcome::Outcome;
use crate::counter::query::{Query, Times, When};
use crate::error::{ConfigError, QueryError, SnapshotError};
use crate::sketch::hyperloglog::hash::murmur;
use crate::sketch::hyperloglog::precision::Precision;
use crate::sketch::uniques::{Parts, Uniques, form};
use crate::time::clock::Clock;
use crate::time::{Resolution, Timestamp};
use crate::window::geometry::Geometry;

/// How many different items there were in the last N seconds, about, from any number of threads, without a lock.
///
/// The window is cut into sixteenths (of a second at least); an answer is of those that it touches, so it takes in items of
/// up to one sixteenth before what was asked for. [`error`](Self::error) says how good the estimate is.
///
/// | method | progress |
/// |---|---|
/// | `add`, `add_at` | lock-free; the first item of a sixteenth allocates |
/// | `count`, `count_last`, `count_at`, `ever`, `to_bytes` | wait-free but for the allocator; every item whose `add` returned before is in, none that began after |
/// | `merge` | as `add`, for each register of the other |
///
/// Memory: 150 bytes and the clock for up to eight items; then 56 to 100 bytes a sixteenth with few items, and at most 16 KB
/// a sixteenth, 290 KB in all.
///
/// ```
/// use hitring::{ManualClock, WindowedUniques};
/// use std::time::Duration;
///
/// let clock = ManualClock::new(1_700_000_000u32.into());
/// let visitors = WindowedUniques::builder().clock(clock.clone()).build()?;
/// visitors.add("198.51.100.7");
/// visitors.add("2001:db8::1");
/// visitors.add("198.51.100.7");
/// assert_eq!(visitors.count(), 2);
/// clock.advance(Duration::from_secs(600))?;
/// assert_eq!((visitors.count(), visitors.ever()), (0, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WindowedUniques {
    times: Times,
    geometry: Geometry,
    parts: Parts,
    uniques: Uniques,
}

impl WindowedUniques {
    /// Those of the last 300 seconds, told apart by 14 bits, by the system clock.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }

    /// Another window, resolution, precision or clock.
    pub fn builder() -> UniquesBuilder {
        UniquesBuilder::default()
    }

    /// Adds an item now.
    pub fn add(&self, item: impl AsRef<[u8]>) -> Outcome {
        self.add_when(self.now(), item.as_ref())
    }

    /// Adds an item at `at`: `Late` if its sixteenth of the window is gone, `Future` if it lies further ahead of the clock
    /// than `max_skew` and a clock or `max_skew` was given.
    pub fn add_at(&self, at: Timestamp, item: impl AsRef<[u8]>) -> Outcome {
        let when = self.times.at(at);
        if when.is_future() { Outcome::Future } else { self.add_when(when, item.as_ref()) }
    }

    fn add_when(&self, when: When<'_>, item: &[u8]) -> Outcome {
        self.uniques.add(self.parts, when.tick(), murmur(item))
    }

    fn now(&self) -> When<'_> {
        self.times.now(self.times.tick())
    }

    /// About how many different items the window has up to now.
    #[must_use]
    pub fn count(&self) -> u64 {
        let query = Query::new(self.now(), self.window(), &self.geometry).expect("the window is as long as itself");
        // What is in the future is not known to be new, so there may be a little more.
        query.touched().map_or(0, |span| self.uniques.count(self.parts, span).count)
    }

    /// About how many the `last` up to now has.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at).
    pub fn count_last(&self, last: Duration) -> Result<u64, QueryError> {
        self.count_in(&Query::new(self.now(), last, &self.geometry)?)
    }

    /// About how many `(at - last, at]` has.
    ///
    /// # Errors
    /// [`QueryError::LongerThanWindow`]; [`QueryError::WindowExpired`] if part of the range is not known any more.
    pub fn count_at(&self, at: Timestamp, last: Duration) -> Result<u64, QueryError> {
        self.count_in(&Query::new(self.times.at(at), last, &self.geometry)?)
    }

    fn count_in(&self, query: &Query<'_>) -> Result<u64, QueryError> {
        let Some(span) = query.touched() else { return Ok(0) };
        let reading = self.uniques.count(self.parts, span);
        if reading.exact { Ok(reading.count) } else { Err(query.expired()) }
    }

    /// About how many different items were ever added.
    #[must_use]
    pub fn ever(&self) -> u64 {
        self.uniques.ever(self.parts)
    }

    /// The relative standard error of estimates of many items.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.parts.precision().error()
    }

    /// The number of bits that tell items apart.
    #[must_use]
    pub fn precision(&self) -> u8 {
        self.parts.precision().bits()
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.resolution() * self.geometry.window()
    }

    /// The width of a tick.
    #[must_use]
    pub fn resolution(&self) -> Duration {
        self.geometry.resolution().width()
    }

    /// How much more than was asked for an answer may cover.
    #[must_use]
    pub fn part(&self) -> Duration {
        Duration::from_nanos(self.parts.width() * self.resolution().as_nanos() as u64)
    }

    /// The bytes that are held.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Uniques>() + self.uniques.bytes()
    }

    /// Adds the items of another one, in any order, as often as one likes.
    ///
    /// # Errors
    /// [`SnapshotError::OtherGeometry`] unless window, resolution and precision are the same. Nothing is changed then.
    pub fn merge(&self, other: &Self) -> Result<(), SnapshotError> {
        let differs = |what| Err(SnapshotError::OtherGeometry { what });
        if other.resolution() != self.resolution() {
            return differs(format!("resolution {:?}, not {:?}", other.resolution(), self.resolution()));
        }
        if other.window() != self.window() {
            return differs(format!("window {:?}, not {:?}", other.window(), self.window()));
        }
        if other.precision() != self.precision() {
            return differs(format!("precision {}, not {}", other.precision(), self.precision()));
        }
        self.uniques.join(self.parts, &other.uniques.cells());
        Ok(())
    }

    /// Everything but the clock, as bytes. See the module's header, and `docs/formats.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out::new(Kind::WindowedUniques);
        out.u64(self.resolution().as_micros() as u64);
        out.u32(self.geometry.window());
        out.u32(self.geometry.slack());
        out.u32(self.precision().into());
        form::write(&self.uniques.cells(), &mut out);
        out.finish()
    }

    /// What `bytes` hold, under the system clock.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        Self::from_bytes_with(bytes, None)
    }

    /// The same under another clock, if one is given.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn from_bytes_with(bytes: &[u8], clock: Option<Clock>) -> Result<Self, SnapshotError> {
        let invalid = |what| SnapshotError::Invalid { what };
        let mut from = In::open(bytes, Kind::WindowedUniques)?;
        let resolution = Resolution::new(Duration::from_micros(from.u64()?)).map_err(|_| invalid("resolution"))?;
        let (window, slack, precision) = (from.u32()?, from.u32()?, from.u32()?);
        let builder = Self::builder().resolution(resolution.width()).window(resolution.width() * window).slack(slack);
        let builder = builder.precision(u8::try_from(precision).map_err(|_| invalid("precision"))?);
        let made = UniquesBuilder { clock, ..builder }.build().map_err(|_| invalid("window"))?;
        let seen = form::read(&mut from, made.parts, &resolution)?;
        if !from.is_empty() {
            return Err(invalid("length"));
        }
        made.uniques.join(made.parts, &seen);
        Ok(made)
    }
}

impl Default for WindowedUniques {
    fn default() -> Self {
        Self::new()
    }
}

/// The same items under the same clock. The copy continues on its own.
impl Clone for WindowedUniques {
    fn clone(&self) -> Self {
        let clone =
            Self { times: self.times.copy(), geometry: self.geometry, parts: self.parts, uniques: Uniques::new() };
        clone.uniques.join(self.parts, &self.uniques.cells());
        clone
    }
}

/// The parts of a [`WindowedUniques`] before it is built.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct UniquesBuilder {
    window: Duration,
    resolution: Duration,
    slack: u32,
    precision: u8,
    max_skew: Option<Duration>,
    clock: Option<Clock>,
}

impl Default for UniquesBuilder {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            resolution: Duration::from_secs(1),
            slack: 20,
            precision: Precision::REDIS.bits(),
            max_skew: None,
            clock: None,
        }
    }
}

impl UniquesBuilder {
    /// The longest span a query may cover, 300 seconds by default: a whole number of ticks, 1 to 2^20 of them.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The width of a tick, one second by default: a whole number of microseconds, at least one millisecond.
    pub fn resolution(mut self, resolution: Duration) -> Self {
        self.resolution = resolution;
        self
    }

    /// How many ticks items may be ahead of a reader, 20 by default.
    pub fn slack(mut self, slack: u32) -> Self {
        self.slack = slack;
        self
    }

    /// How finely items are told apart: by 4 to 18 bits, 14 by default.
    pub fn precision(mut self, precision: u8) -> Self {
        self.precision = precision;
        self
    }

    /// How far ahead of the clock an item may be stamped, and how far back the clock may step before ticks follow it; at
    /// most the slack, which is also the default. Giving it, or a clock, makes items from the future refused.
    pub fn max_skew(mut self, max_skew: Duration) -> Self {
        self.max_skew = Some(max_skew);
        self
    }

    /// Where the time comes from; the system clock by default. Giving a clock makes items from the future refused.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// Builds an empty `WindowedUniques`.
    ///
    /// # Errors
    /// [`ConfigError`] if the parts do not fit together; it says which and what would.
    pub fn build(self) -> Result<WindowedUniques, ConfigError> {
        let resolution = Resolution::new(self.resolution)?;
        let geometry = Geometry::new(resolution, self.window, self.slack)?;
        let given = self.precision;
        let precision = Precision::new(given).map_err(|_| ConfigError::Precision { given })?;
        let guarded = self.clock.is_some() || self.max_skew.is_some();
        let limit = resolution.width() * self.slack;
        let max_skew = self.max_skew.unwrap_or(limit);
        if max_skew > limit {
            return Err(ConfigError::SkewBeyondSlack { max_skew, limit });
        }
        let whole = u32::try_from(max_skew.as_nanos() / resolution.width().as_nanos()).unwrap_or(self.slack);
        let times = Times::new(&self.clock.unwrap_or_default(), resolution, resolution.width() * whole, guarded);
        Ok(WindowedUniques { times, geometry, parts: Parts::new(&geometry, precision), uniques: Uniques::new() })
    }
}
