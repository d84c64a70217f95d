//! Events and thresholds: of the hits that this process records.
//!
//! Tests: `tests/shared`.

use std::sync::Arc;
use std::time::Duration;

use super::SharedRegistry;
use super::core::Core;
use super::format::lives::Life;
use crate::counter::query::When;
use crate::error::{ConfigError, SubscribeError};
use crate::events::threshold::Gauge;
use crate::events::watch::Threshold;
use crate::events::{Event, EventSet, Listener, Subscription};
use crate::time::{Resolution, Tick, Timestamp};

impl Core {
    /// Tells of hits that were counted.
    #[inline(never)]
    pub fn tell_counted(&self, life: Life<'_>, name: &str, when: When<'_>, amount: u64) {
        self.watch.counted(name, when, amount, &LifeGauge { core: self, life, when });
    }
}

/// Answers thresholds for the endpoint that was hit.
struct LifeGauge<'a> {
    core: &'a Core,
    life: Life<'a>,
    when: When<'a>,
}

impl LifeGauge<'_> {
    /// The last microsecond of `tick`.
    fn end(&self, tick: Tick) -> Timestamp {
        let next = self.core.geometry().resolution().start(Tick(tick.0 + 1));
        let micros = Resolution::MICROSECOND;
        micros.start(Tick(micros.tick(next).0.saturating_sub(1)))
    }
}

impl Gauge for LifeGauge<'_> {
    fn now(&self) -> Tick {
        self.core.times.tick().max(self.when.tick())
    }

    fn count(&self, until: Tick, last: Duration) -> Option<u64> {
        let query = self.core.query_at(self.end(until), last).ok()?;
        self.core.sum(self.life, &query).ok().map(u64::from)
    }

    fn before(&self, tick: Tick, last: Duration) -> Option<u64> {
        let rest = last.saturating_sub(self.core.geometry().resolution().width());
        if rest.is_zero() || tick.0 == 0 {
            return Some(0);
        }
        self.count(Tick(tick.0 - 1), rest)
    }
}

/// Events are of this process: of hits that it records, endpoints that it makes or refuses. See [`Event`] for what each says.
impl SharedRegistry {
    /// Calls `callback` with every event of the kinds in `wants`. See [`Registry::subscribe`](crate::Registry::subscribe).
    ///
    /// # Errors
    /// As there.
    pub fn subscribe(
        &self,
        wants: EventSet,
        capacity: usize,
        callback: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Subscription, SubscribeError> {
        let inner = Arc::downgrade(&self.inner);
        let figures = move || {
            let metrics = inner.upgrade().map(|inner| inner.core().metrics());
            metrics.map_or((0, 0), |metrics| (metrics.total_hits, metrics.memory_entries))
        };
        self.core().watch.subscribe(wants, capacity, figures, callback)
    }

    /// A queue of every event of the kinds in `wants`. See [`Registry::listen`](crate::Registry::listen).
    ///
    /// # Errors
    /// As there.
    pub fn listen(&self, wants: EventSet, capacity: usize) -> Result<Listener, SubscribeError> {
        self.core().watch.listen(wants, capacity)
    }

    /// Watches the endpoints that `pattern` names: checked by each hit that *this* process records, against the hits of all.
    /// See [`Registry::watch`](crate::Registry::watch).
    ///
    /// # Errors
    /// As there.
    pub fn watch(&self, pattern: &str, last: Duration, limit: u64) -> Result<u64, ConfigError> {
        self.core().watch.add(self.core().geometry(), pattern, last, limit)
    }

    /// Ends a watch; answers whether there was one.
    pub fn unwatch(&self, watch: u64) -> bool {
        self.core().watch.remove(watch)
    }

    /// Calls `callback` when the hits of an endpoint that `pattern` names reach `limit` in the `last`. See
    /// [`watch`](Self::watch).
    ///
    /// # Errors
    /// As [`Registry::on_threshold`](crate::Registry::on_threshold).
    pub fn on_threshold(
        &self,
        pattern: &str,
        last: Duration,
        limit: u64,
        callback: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Threshold, SubscribeError> {
        self.core().watch.on_threshold(self.core().geometry(), (pattern, last, limit), callback)
    }
}
