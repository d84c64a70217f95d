//! Building a [`HitCounter`].
//!
//! Tests: `tests/conformance`, `tests/merge`.

use std::time::Duration;

use crate::counter::Counter;
use crate::counter::strategy::Strategy;
use crate::error::ConfigError;
use crate::hit_counter::HitCounter;
use crate::time::Resolution;
use crate::time::clock::{Clock, TickClock};
use crate::window::geometry::Geometry;

/// The parts of a [`HitCounter`] before it is built.
///
/// ```
/// use hitring::{HitCounter, Strategy};
/// use std::time::Duration;
///
/// let counter = HitCounter::builder()
///     .window(Duration::from_secs(60))
///     .resolution(Duration::from_millis(100))
///     .strategy(Strategy::Ring)
///     .build()?;
/// assert_eq!(counter.slots(), 620);
/// # Ok::<(), hitring::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    window: Duration,
    resolution: Duration,
    slack: u32,
    strategy: Strategy,
    max_skew: Option<Duration>,
    clock: Option<Clock>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            resolution: Duration::from_secs(1),
            slack: 20,
            strategy: Strategy::default(),
            max_skew: None,
            clock: None,
        }
    }
}

impl Builder {
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

    /// How many slots there are beyond the window, 20 by default: so many ticks may writers be ahead of a reader, and
    /// hits behind the window still find their slot. A ring never has fewer than 64 slots in all.
    pub fn slack(mut self, slack: u32) -> Self {
        self.slack = slack;
        self
    }

    /// How hits are counted: striped, ring or sliding; the other strategies answer inexactly or grow, and are a
    /// [`Registry`](crate::Registry)'s.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How far ahead of the clock a hit may be stamped, and how far back the clock may step before ticks follow it;
    /// rounded down to whole ticks, at most the slack, which is also the default. Giving it, or a clock, makes
    /// [`record_at`](HitCounter::record_at) refuse hits from the future.
    pub fn max_skew(mut self, max_skew: Duration) -> Self {
        self.max_skew = Some(max_skew);
        self
    }

    /// Where the time comes from; the system clock by default. Giving a clock, even the system's, makes
    /// [`record_at`](HitCounter::record_at) refuse hits from the future.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// The counter.
    ///
    /// # Errors
    /// [`ConfigError`] if the parts do not fit together; it says which and what would.
    pub fn build(self) -> Result<HitCounter, ConfigError> {
        let resolution = Resolution::new(self.resolution)?;
        let geometry = Geometry::new(resolution, self.window, self.slack)?;
        if !matches!(self.strategy, Strategy::Striped | Strategy::Ring | Strategy::Sliding { .. }) {
            return Err(ConfigError::NeedsRegistry { strategy: self.strategy.name().to_owned() });
        }
        let counter = Counter::new(&self.strategy, &geometry)?;
        let limit = resolution.width() * self.slack;
        let max_skew = self.max_skew.unwrap_or(limit);
        if max_skew > limit {
            return Err(ConfigError::SkewBeyondSlack { max_skew, limit });
        }
        let skew = max_skew.as_nanos() / resolution.width().as_nanos() * resolution.width().as_nanos();
        let skew = (skew / counter.input(&geometry).width().as_nanos()) as u64;
        let guarded = self.clock.is_some() || self.max_skew.is_some();
        let clock = TickClock::new(self.clock.unwrap_or_default(), counter.input(&geometry), skew);
        Ok(HitCounter::from_parts(clock, guarded, geometry, counter))
    }
}

impl HitCounter {
    /// A counter of the last 300 seconds, by the second, with the default strategy and the system clock.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }

    /// A counter of another window, resolution, strategy or clock.
    pub fn builder() -> Builder {
        Builder::default()
    }
}
