//! [`Registry`]: a counter for each endpoint.
//!
//! ```text
//! Registry, Handle --> Core -- map: name --> Endpoint --> Generation (ring, stripes, log, registers, cells)
//!                        |---- clock, geometry, events
//!                        +---- ledger: replica, epoch, what was removed, totals        (rare, one lock)
//! ```
//!
//! | file | what |
//! |---|---|
//! | `map` | names and endpoints, and the guard under which they are read |
//! | `core` | recording and asking by name, creating |
//! | `handle` | [`Handle`]: one endpoint without looking its name up |
//! | `visitors` | different visitors of an endpoint |
//! | `aging` | pruning what is idle, room when full |
//! | `graves` | what was removed |
//! | `ledger` | which replica counts here, what was ever counted |
//! | `replicas` | what other replicas have counted |
//! | `exchange` | snapshot, restore, merge, clone |
//! | `watch` | events and thresholds |
//! | `metrics` | [`Metrics`] |
//! | `builder` | [`RegistryBuilder`] |
//!
//! # Guarantees
//! | method | progress | what a reader beside writers sees |
//! |---|---|---|
//! | [`Handle::record`] | that of the endpoint's strategy: wait-free when striped, lock-free otherwise, `sliding` takes a lock | |
//! | `record_hit` of a known name | the same, after a lock-free look-up | |
//! | `record_hit` of a new name | makes the endpoint; may prune others | |
//! | `query_hits`, `total`, `top` | wait-free per endpoint; one lock for endpoints that hold merged or restored hits, and for `sliding` | every hit whose call returned before it began, none whose call began after it ended |
//! | `swap_strategy`, `prune` | lock-free per endpoint | the same |
//! | `remove`, `snapshot`, `restore`, `merge`, `metrics` | one lock against each other, none against recorders | the same, endpoint by endpoint |

mod aging;
mod builder;
mod core;
mod exchange;
mod graves;
mod handle;
mod ledger;
mod map;
mod metrics;
mod replicas;
pub(crate) mod snapshot;
mod visitors;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use builder::{RegistryBuilder, WhenFull};
pub use handle::Handle;
pub use metrics::Metrics;

use self::core::Core;
use crate::cell::hits::Hits;
use crate::cell::outcome::Outcome;
use crate::counter::query::Query;
use crate::counter::strategy::Strategy;
use crate::endpoint::Shape;
use crate::error::{ConfigError, EndpointError, QueryError};
use crate::time::Timestamp;
use crate::time::clock::Clock;

/// Counts hits by endpoint, and answers how many each had in the last N seconds.
///
/// An endpoint is any name of 1 to 1,024 bytes. It comes into being with its first hit, and goes when it has been idle for
/// longer than the window and room is needed, or when [`prune`](Self::prune) is called.
///
/// ```
/// use hitring::{Registry, Strategy};
/// use std::time::Duration;
///
/// let registry = Registry::builder().strategy(Strategy::Adaptive).build()?;
/// registry.record_hit("/home", 1)?;
/// registry.record_hit("/about", 2)?;
/// assert_eq!(registry.query_hits("/home", Duration::from_secs(60))?, 1);
/// assert_eq!(registry.total(Duration::from_secs(60))?, 3);
///
/// let home = registry.counter("/home")?; // no look-up from here on
/// assert!(home.record(1).is_counted());
/// assert_eq!(registry.top(1, Duration::from_secs(60))?[0].0, "/about");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry {
    core: Arc<Core>,
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

    /// Counts `amount` hits of `endpoint` now. See [`HitCounter::record`](crate::HitCounter::record) for amounts and
    /// outcomes; `Refused` here also means that there is no room for another endpoint.
    ///
    /// # Errors
    /// [`EndpointError::Name`] unless the name has 1 to 1,024 bytes.
    #[inline]
    pub fn record_hit(&self, endpoint: &str, amount: u64) -> Result<Outcome, EndpointError> {
        self.core.record_now(endpoint, amount)
    }

    /// Counts `amount` hits of `endpoint` at `at`.
    ///
    /// # Errors
    /// As [`record_hit`](Self::record_hit).
    pub fn record_hit_at(&self, endpoint: &str, at: Timestamp, amount: u64) -> Result<Outcome, EndpointError> {
        self.core.record_at(endpoint, at, amount)
    }

    /// The hits of `endpoint` in the `last` up to now; none if there is no such endpoint.
    ///
    /// # Errors
    /// [`QueryError::LongerThanWindow`]; [`QueryError::NotWhole`] unless `last` is a whole number of ticks (of
    /// microseconds for `sliding`); [`QueryError::WindowExpired`] if part of the range is not known any more.
    pub fn query_hits(&self, endpoint: &str, last: Duration) -> Result<Hits, QueryError> {
        self.core.sum(endpoint, &self.core.query_now(last)?)
    }

    /// The hits of `endpoint` in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn query_hits_at(&self, endpoint: &str, at: Timestamp, last: Duration) -> Result<Hits, QueryError> {
        self.core.sum(endpoint, &self.core.query_at(at, last)?)
    }

    /// A handle of `endpoint`, which is made if there is none. An endpoint that has handles is never pruned, and keeps the
    /// memory of its former strategies until the last one is dropped.
    ///
    /// # Errors
    /// [`EndpointError`] if the name is not possible or there is no room.
    pub fn counter(&self, endpoint: &str) -> Result<Handle, EndpointError> {
        Handle::new(&self.core, endpoint, None)
    }

    /// The same with a strategy of its own; an endpoint that has another is swapped to it.
    ///
    /// # Errors
    /// As [`counter`](Self::counter); [`EndpointError::Strategy`] if the strategy does not suit the window.
    pub fn counter_with(&self, endpoint: &str, strategy: &Strategy) -> Result<Handle, EndpointError> {
        let handle = Handle::new(&self.core, endpoint, Some(strategy))?;
        self.swap_endpoint(endpoint, strategy).map_err(EndpointError::Strategy)?;
        Ok(handle)
    }

    /// The hits of all endpoints in the `last` up to now.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total(&self, last: Duration) -> Result<Hits, QueryError> {
        self.total_of(&self.core.query_now(last)?, |_| true)
    }

    /// The hits of all endpoints in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total_at(&self, at: Timestamp, last: Duration) -> Result<Hits, QueryError> {
        self.total_of(&self.core.query_at(at, last)?, |_| true)
    }

    /// The hits of all endpoints whose names `wanted` says yes to, in the `last` up to `at`, or up to now.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total_where(
        &self,
        at: Option<Timestamp>,
        last: Duration,
        wanted: impl FnMut(&str) -> bool,
    ) -> Result<Hits, QueryError> {
        self.total_of(&self.core.query(at, last)?, wanted)
    }

    fn total_of(&self, query: &Query<'_>, mut wanted: impl FnMut(&str) -> bool) -> Result<Hits, QueryError> {
        if self.is_empty() {
            return self.core.none(query);
        }
        let mut total = Hits::NONE;
        self.core.each(|name, endpoint| {
            if wanted(name) {
                total = total.plus(endpoint.reach().sum(self.core.shared(), &query.of_all())?);
            }
            Ok(())
        })?;
        Ok(total)
    }

    /// The `n` endpoints with the most hits in the `last` up to now, the busiest first, those with as many by name.
    /// Endpoints without hits are left out.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn top(&self, n: usize, last: Duration) -> Result<Vec<(String, Hits)>, QueryError> {
        self.core.top(n, &self.core.query_now(last)?)
    }

    /// The same in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn top_at(&self, n: usize, at: Timestamp, last: Duration) -> Result<Vec<(String, Hits)>, QueryError> {
        self.core.top(n, &self.core.query_at(at, last)?)
    }

    /// The names of all endpoints, in order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let mut names = Vec::new();
        let walked: Result<(), QueryError> = self.core.each(|name, _| {
            names.push(name.to_owned());
            Ok(())
        });
        debug_assert!(walked.is_ok());
        names.sort_unstable();
        names
    }

    /// Whether there is such an endpoint.
    #[must_use]
    pub fn contains(&self, endpoint: &str) -> bool {
        self.core.with(endpoint, |_| ()).is_some()
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes `endpoint` with its hits; answers whether there was one. Its handles answer `Refused` from then on, and a hit
    /// that comes later makes a new endpoint.
    ///
    /// No merge brings the removed hits back. Hits after the removal count, also those of other registries that never heard of
    /// it. Of the tick of the removal itself, and of later ones, those hits are removed that this registry had.
    pub fn remove(&self, endpoint: &str) -> bool {
        self.core.remove(endpoint)
    }

    /// Removes every endpoint, as [`remove`](Self::remove) does. In a forked child the first call only drops what was inherited, so that the child's
    /// snapshots can be merged with the parent's.
    pub fn clear(&self) {
        self.core.clear();
    }

    /// Lets generations of `strategy` take the hits of all endpoints, and of those that come. What was counted before
    /// stays countable until it leaves the window. Answers how many endpoints were swapped.
    ///
    /// # Errors
    /// [`ConfigError`] if the strategy does not suit the window; nothing was changed.
    pub fn swap_strategy(&self, strategy: &Strategy) -> Result<usize, ConfigError> {
        self.core.swap_all(strategy)
    }

    /// The same for one endpoint; answers whether there was one of another strategy.
    ///
    /// # Errors
    /// As [`swap_strategy`](Self::swap_strategy).
    pub fn swap_endpoint(&self, endpoint: &str, strategy: &Strategy) -> Result<bool, ConfigError> {
        self.core.swap(endpoint, strategy)
    }

    /// The strategy of an endpoint, and what takes its hits if that is adaptive.
    #[must_use]
    pub fn strategy_of(&self, endpoint: &str) -> Option<(Strategy, Shape)> {
        self.core.with(endpoint, |endpoint| (endpoint.strategy(), endpoint.shape()))
    }

    /// The strategy of new endpoints.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.core.strategy()
    }

    /// Drops every endpoint without handles whose hits all left the window (and the slack) before now, and what others
    /// hold that is as old. Answers how many endpoints were dropped. Without a clock of its own a registry takes the newest
    /// hit for now, unless that is in the future.
    pub fn prune(&self) -> usize {
        self.core.prune(self.core.horizon())
    }

    /// The same as of `now`.
    pub fn prune_at(&self, now: Timestamp) -> usize {
        self.core.prune(self.core.times().at(now).tick())
    }

    /// What the registry has done and holds. Walks over all endpoints.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
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

    /// The most endpoints there may be.
    #[must_use]
    pub fn max_endpoints(&self) -> usize {
        self.core.max_endpoints()
    }

    /// What happens when there are as many.
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

    /// Where the time comes from.
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
