//! Whole buckets: the textbook's fixed window, as a ring of coarse ticks.
//!
//! Use it for the least memory where a boundary error is fine: a window of an hour in buckets of a minute is a ring of 64
//! slots. Where it is not, every other strategy is exact.
//!
//! ```text
//! asked:              (at - last ................. at]
//! buckets:      |  b0  |  b1  |  b2  |  b3  |  b4  |       counted: all of b0 .. b4
//! ```
//!
//! **The boundary error.** A query counts every bucket that its span touches. So it never misses a hit of the span, and
//! counts at most those besides that lie less than one `window_size` before its beginning or after its end:
//! `exact(span) <= answer <= exact(span widened by less than a bucket on both sides)`. (Tested in `tests/conformance`.)
//!
//! Progress, late hits and what a reader sees beside writers are those of [`Ring`], in buckets instead of ticks.
//!
//! Tests: `tests/conformance`, `tests/models`.

use std::time::Duration;

use crate::cell::form::Cell;
use crate::cell::outcome::{Outcome, Outcomes};
use crate::error::ConfigError;
use crate::time::{Resolution, Tick};
use crate::window::geometry::Geometry;
use crate::window::ring::Ring;
use crate::window::{Reading, Span};

/// A ring of buckets that are several ticks wide.
#[derive(Debug)]
pub struct Fixed {
    /// Ticks a bucket.
    width: u64,
    /// The layout in buckets.
    buckets: Geometry,
    ring: Ring,
}

impl Fixed {
    /// A counter without hits, with buckets of `window_size`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn new(geometry: &Geometry, window_size: Duration) -> Result<Self, ConfigError> {
        let (width, buckets) = layout(geometry, window_size)?;
        Ok(Self { width, buckets, ring: Ring::new(&buckets) })
    }

    /// Whether buckets of `window_size` suit `geometry`.
    ///
    /// # Errors
    /// [`ConfigError`] unless it is a whole number of ticks, and no longer than the window.
    pub fn check(geometry: &Geometry, window_size: Duration) -> Result<(), ConfigError> {
        layout(geometry, window_size).map(|_| ())
    }

    /// The width of a bucket.
    pub fn window_size(&self) -> Duration {
        self.buckets.resolution().width()
    }

    /// The number of buckets.
    pub fn slots(&self) -> usize {
        self.buckets.slots()
    }

    fn bucket(&self, tick: Tick) -> Tick {
        Tick(tick.0 / self.width)
    }

    fn buckets_of(&self, span: Span) -> Span {
        Span { first: self.bucket(span.first), to: self.bucket(span.to) }
    }

    /// As [`Ring::record_current`].
    #[inline]
    pub fn record_current(&self, tick: Tick, amount: u64) -> bool {
        self.ring.record_current(&self.buckets, self.bucket(tick), amount)
    }

    /// As [`Ring::record`].
    pub fn record(&self, tick: Tick, amount: u64) -> Outcome {
        self.ring.record(&self.buckets, self.bucket(tick), amount)
    }

    /// As [`Ring::refuse`].
    pub fn refuse(&self, outcome: Outcome, amount: u64) {
        self.ring.refuse(outcome, amount);
    }

    /// The last tick of the newest bucket that has a hit.
    pub fn newest(&self) -> Tick {
        match self.ring.newest() {
            Tick(0) => Tick(0),
            Tick(bucket) => Tick(bucket * self.width + self.width - 1),
        }
    }

    /// The hits of every bucket that has a tick of `span`.
    pub fn sum(&self, span: Span, remember: bool) -> Reading {
        self.ring.sum(&self.buckets, self.buckets_of(span), remember)
    }

    /// The buckets that have hits; a cell's tick is the number of the bucket.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.ring.cells(&self.buckets)
    }

    /// As [`Ring::outcomes`].
    pub fn outcomes(&self) -> Outcomes {
        self.ring.outcomes(&self.buckets)
    }

    /// As [`Ring::reset`].
    pub fn reset(&self) {
        self.ring.reset(&self.buckets);
    }

    /// The bytes the counter takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Ring>() + self.ring.bytes()
    }
}

/// Ticks a bucket, and the ring of buckets.
fn layout(geometry: &Geometry, window_size: Duration) -> Result<(u64, Geometry), ConfigError> {
    let resolution = geometry.resolution();
    let window = resolution.width() * geometry.window();
    let unfit = || ConfigError::WindowSize { window_size, resolution: resolution.width(), window };
    let width = resolution.ticks(window_size).filter(|&width| width > 0).ok_or_else(unfit)?;
    if window_size > window {
        return Err(unfit());
    }
    let buckets = Resolution::new(window_size).map_err(|_| unfit())?;
    // A span that does not begin with a bucket touches one more; the slack covers at least as many ticks as asked for.
    let ticks = u64::from(geometry.window()).div_ceil(width) + 1;
    let slack = u64::from(geometry.slack()).div_ceil(width);
    let (ticks, slack) = (u32::try_from(ticks).map_err(|_| unfit())?, u32::try_from(slack).map_err(|_| unfit())?);
    Ok((width, Geometry::new(buckets, window_size * ticks, slack)?))
}
