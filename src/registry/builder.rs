//! Building a [`Registry`], and reading its settings.
//!
//! Tests: `tests/registry`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::state::{Core, Registry, WhenFull};
use crate::counter::query::Times;
use crate::counter::strategy::Strategy;
use crate::error::ConfigError;
use crate::sketch::hyperloglog::precision::Precision;
use crate::time::Resolution;
use crate::time::clock::Clock;
use crate::window::geometry::Geometry;

/// The parts of a [`Registry`] before it is built.
///
/// ```
/// use hitring::{Registry, Strategy, WhenFull};
/// use std::time::Duration;
///
/// let registry = Registry::builder()
///     .window(Duration::from_secs(60))
///     .strategy(Strategy::Adaptive)
///     .max_endpoints(1_000_000)
///     .when_full(WhenFull::Prune)
///     .build()?;
/// assert_eq!(registry.max_endpoints(), 1_000_000);
/// # Ok::<(), hitring::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RegistryBuilder {
    window: Duration,
    resolution: Duration,
    slack: u32,
    precision: u8,
    strategy: Strategy,
    max_endpoints: usize,
    when_full: WhenFull,
    max_skew: Option<Duration>,
    clock: Option<Clock>,
}

impl Default for RegistryBuilder {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            resolution: Duration::from_secs(1),
            slack: 20,
            precision: Precision::REDIS.bits(),
            strategy: Strategy::Ring,
            max_endpoints: 100_000,
            when_full: WhenFull::default(),
            max_skew: None,
            clock: None,
        }
    }
}

impl RegistryBuilder {
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

    /// How many slots there are beyond the window, 20 by default; see [`Builder::slack`](crate::Builder::slack).
    pub fn slack(mut self, slack: u32) -> Self {
        self.slack = slack;
        self
    }

    /// How hits are counted in endpoints without a strategy of their own: rings by default.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How finely the visitors of [`Registry::record_visit`] are told apart: by 4 to 18 bits. The default, 14, makes
    /// estimates of many visitors 0.81 % off. See [`HyperLogLog`](crate::HyperLogLog) for the cost of other precisions.
    pub fn precision(mut self, precision: u8) -> Self {
        self.precision = precision;
        self
    }

    /// The most endpoints that the registry may have, 100,000 by default.
    pub fn max_endpoints(mut self, max_endpoints: usize) -> Self {
        self.max_endpoints = max_endpoints;
        self
    }

    /// What happens when the registry has `max_endpoints` endpoints; by default it refuses further ones.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// How far ahead of the clock a hit may be stamped, and how far back the clock may step before ticks follow it;
    /// rounded down to whole ticks, at most the slack, which is also the default. With a skew or a clock, hits from the
    /// future are refused.
    pub fn max_skew(mut self, max_skew: Duration) -> Self {
        self.max_skew = Some(max_skew);
        self
    }

    /// The source of the time; the system clock by default. With a clock, even the system's, hits from the future are
    /// refused, and [`prune`](Registry::prune) uses it.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// [`ConfigError`] if the parts do not fit together; it names the part and a value that fits.
    pub fn build(self) -> Result<Registry, ConfigError> {
        let resolution = Resolution::new(self.resolution)?;
        let geometry = Geometry::new(resolution, self.window, self.slack)?;
        let given = self.precision;
        let precision = Precision::new(given).map_err(|_| ConfigError::Precision { given })?;
        self.strategy.check(&geometry)?;
        if self.max_endpoints == 0 {
            return Err(ConfigError::NoEndpoints);
        }
        let limit = resolution.width() * self.slack;
        let max_skew = self.max_skew.unwrap_or(limit);
        if max_skew > limit {
            return Err(ConfigError::SkewBeyondSlack { max_skew, limit });
        }
        let whole = u32::try_from(max_skew.as_nanos() / resolution.width().as_nanos()).unwrap_or(self.slack);
        let guarded = self.clock.is_some() || self.max_skew.is_some();
        let times = Times::new(&self.clock.unwrap_or_default(), resolution, resolution.width() * whole, guarded);
        let core = Core::new(geometry, times, precision, self.strategy, self.max_endpoints, self.when_full);
        Ok(Registry { core: Arc::new(core) })
    }
}

impl Registry {
    /// A registry of the last 300 seconds, by the second, of rings, by the system clock, for 100,000 endpoints.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }

    /// A registry of another window, resolution, strategy, clock or size.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.resolution() * self.core.geometry().window()
    }

    /// The width of a tick.
    #[must_use]
    pub fn resolution(&self) -> Duration {
        self.core.geometry().resolution().width()
    }

    /// The slack, in slots.
    #[must_use]
    pub fn slack(&self) -> u32 {
        self.core.geometry().slack()
    }

    /// The most endpoints that the registry may have.
    #[must_use]
    pub fn max_endpoints(&self) -> usize {
        self.core.max_endpoints()
    }

    /// What happens when the registry has `max_endpoints` endpoints.
    #[must_use]
    pub fn when_full(&self) -> WhenFull {
        self.core.when_full()
    }

    /// How far ahead of the clock a hit may be stamped, if that is checked at all.
    #[must_use]
    pub fn max_skew(&self) -> Option<Duration> {
        let times = self.core.times();
        times.is_guarded().then(|| self.core.geometry().resolution().width() * (times.skew() as u32))
    }

    /// The source of the time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.core.times().clock()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("window", &self.window())
            .field("resolution", &self.resolution())
            .field("slack", &self.slack())
            .field("strategy", &self.strategy())
            .field("endpoints", &self.len())
            .field("max_endpoints", &self.max_endpoints())
            .field("when_full", &self.when_full())
            .field("max_skew", &self.max_skew())
            .field("clock", self.clock())
            .finish_non_exhaustive()
    }
}
