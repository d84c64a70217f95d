//! Events and thresholds of a registry, and their subscribers.
//!
//! Tests: `tests/registry`.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Core, Registry};
use crate::counter::query::When;
use crate::endpoint::Reach;
use crate::error::{ConfigError, SubscribeError};
use crate::events::threshold::Gauge;
use crate::events::watch::Threshold;
use crate::events::{Event, EventSet, Listener, Subscription};
use crate::time::{Resolution, Tick, Timestamp};

impl Core {
    /// Reports counted hits to listeners and thresholds.
    #[inline(never)]
    pub fn tell_counted(&self, endpoint: Reach<'_>, name: &str, when: When<'_>, amount: u64) {
        self.watch.counted(name, when, amount, &EndpointGauge { core: self, endpoint, when });
    }
}

/// Answers the questions of thresholds about the endpoint that was hit.
struct EndpointGauge<'a> {
    core: &'a Core,
    endpoint: Reach<'a>,
    when: When<'a>,
}

impl EndpointGauge<'_> {
    /// The last microsecond of `tick`.
    fn end(&self, tick: Tick) -> Timestamp {
        let next = self.core.geometry().resolution().start(Tick(tick.0 + 1));
        let micros = Resolution::MICROSECOND;
        micros.start(Tick(micros.tick(next).0.saturating_sub(1)))
    }
}

impl Gauge for EndpointGauge<'_> {
    fn now(&self) -> Tick {
        let newest = self.core.newest().max(self.when.tick());
        if self.core.times().is_guarded() { newest.max(self.core.times().tick()) } else { newest }
    }

    fn count(&self, until: Tick, last: Duration) -> Option<u64> {
        let query = self.core.query_at(self.end(until), last).ok()?;
        self.endpoint.sum(self.core.shared(), &query).ok().map(u64::from)
    }

    fn before(&self, tick: Tick, last: Duration) -> Option<u64> {
        let rest = last.saturating_sub(self.core.geometry().resolution().width());
        if rest.is_zero() || tick.0 == 0 {
            return Some(0);
        }
        self.count(Tick(tick.0 - 1), rest)
    }
}

impl Registry {
    /// Calls `callback` with every event of the kinds in `wants`, in a thread of the subscription's own. Up to
    /// `capacity` events wait for it; further ones are dropped and counted. A recorder never waits for the callback.
    ///
    /// [`Event::MetricsUpdated`] comes at most once for all hits since the last one was delivered.
    ///
    /// # Errors
    /// [`SubscribeError`] unless `capacity` is from 1 to 2^20, or if no thread can be started.
    pub fn subscribe(
        &self,
        wants: EventSet,
        capacity: usize,
        callback: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Subscription, SubscribeError> {
        self.core.watch.subscribe(wants, capacity, self.figures(), callback)
    }

    /// Returns a closure that reads the figures of [`Event::MetricsUpdated`].
    fn figures(&self) -> impl Fn() -> (u64, u64) + Send + 'static {
        let core = Arc::downgrade(&self.core);
        move || {
            let metrics = core.upgrade().map(|core| core.metrics());
            metrics.map_or((0, 0), |metrics| (metrics.total_hits, metrics.memory_entries))
        }
    }

    /// A queue of every event of the kinds in `wants`, for the caller to empty. For
    /// [`EventKind::MetricsUpdated`](crate::EventKind) it reports that [`metrics`](Registry::metrics) are due.
    ///
    /// # Errors
    /// [`SubscribeError::Capacity`] unless `capacity` is from 1 to 2^20.
    pub fn listen(&self, wants: EventSet, capacity: usize) -> Result<Listener, SubscribeError> {
        self.core.watch.listen(wants, capacity)
    }

    /// Watches the endpoints that `pattern` names and returns the watch's number, which each
    /// [`Event::ThresholdCrossed`] carries. The event comes when the hits of an endpoint in the `last` reach `limit`,
    /// and again when they have fallen below and risen again. In a pattern `*` stands for any characters and `?` for
    /// any one character.
    ///
    /// # Errors
    /// [`ConfigError`] if `limit` or `last` is 0, or `last` is longer than the window or not a whole number of ticks.
    pub fn watch(&self, pattern: &str, last: Duration, limit: u64) -> Result<u64, ConfigError> {
        self.core.watch.add(self.core.geometry(), pattern, last, limit)
    }

    /// Ends a watch; returns whether it existed.
    pub fn unwatch(&self, watch: u64) -> bool {
        self.core.watch.remove(watch)
    }

    /// Calls `callback` when the hits of an endpoint that `pattern` names reach `limit` in the `last`; see
    /// [`watch`](Self::watch).
    ///
    /// ```
    /// use hitring::Registry;
    /// use std::sync::mpsc::channel;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let (sender, crossed) = channel();
    /// let threshold = registry.on_threshold("/api/*", Duration::from_secs(60), 3, move |event| {
    ///     let _ = sender.send(event.clone());
    /// })?;
    /// registry.record_hit("/api/users", 5)?;
    /// assert!(crossed.recv_timeout(Duration::from_secs(5)).is_ok());
    /// threshold.close();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SubscribeError::Watch`] with the error of [`watch`](Self::watch); [`SubscribeError::Thread`] if no thread can be
    /// started.
    pub fn on_threshold(
        &self,
        pattern: &str,
        last: Duration,
        limit: u64,
        callback: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Threshold, SubscribeError> {
        self.core.watch.on_threshold(self.core.geometry(), (pattern, last, limit), callback)
    }
}
