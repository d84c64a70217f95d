//! Events and thresholds of a registry: who is told what.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Registry;
use super::core::Core;
use crate::endpoint::Endpoint;
use crate::error::{ConfigError, SubscribeError};
use crate::events::{Bus, Event, EventKind, EventSet, Listener, Subscription};
use crate::moment::When;
use crate::threshold::{Gauge, Thresholds};
use crate::time::{Resolution, Tick, Timestamp};

/// How many events wait for a threshold's callback.
const THRESHOLD_QUEUE: usize = 1_024;

/// Who wants to know what happens.
#[derive(Debug)]
pub struct Watch {
    bus: Arc<Bus>,
    thresholds: Thresholds,
}

impl Watch {
    pub fn new() -> Self {
        Self { bus: Arc::new(Bus::new()), thresholds: Thresholds::new() }
    }

    /// Whether anybody wants to know of hits: all that a recorder asks.
    #[inline(always)]
    pub fn wants_hits(&self) -> bool {
        self.bus.wants_hits()
    }

    pub fn emit(&self, kind: EventKind, make: impl FnOnce() -> Event) {
        self.bus.emit(kind, make);
    }

    /// Says that the metrics have changed.
    pub fn changed(&self) {
        self.bus.metrics_due();
    }

    pub fn dropped(&self) -> u64 {
        self.bus.dropped()
    }

    /// Forgets an endpoint that is gone.
    pub fn forget(&self, name: &str) {
        self.thresholds.forget(name);
    }

    /// Tells of hits that were counted.
    #[inline(never)]
    pub fn counted(&self, core: &Core, endpoint: &Endpoint, name: &str, when: When<'_>, amount: u64) {
        self.bus.emit(EventKind::HitRecorded, || Event::HitRecorded {
            endpoint: name.into(),
            at: when.timestamp(),
            amount,
        });
        self.bus.metrics_due();
        if self.thresholds.matches_any(name) {
            let gauge = EndpointGauge { core, endpoint, when };
            for crossing in self.thresholds.check(&name.into(), when.tick(), &gauge) {
                self.bus.emit(EventKind::ThresholdCrossed, || crossing);
            }
        }
    }
}

/// What thresholds ask of the endpoint that was hit.
struct EndpointGauge<'a> {
    core: &'a Core,
    endpoint: &'a Endpoint,
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

/// A watch over endpoints; it ends when this is closed or dropped.
pub struct Threshold {
    core: Weak<Core>,
    id: u64,
    subscription: Subscription,
}

impl Threshold {
    /// Ends the watch: after the return there is no call under way and none follows.
    pub fn close(&self) {
        if let Some(core) = self.core.upgrade() {
            core.watch.thresholds.remove(self.id);
            core.tell_bus();
        }
        self.subscription.close();
    }

    /// The subscription that calls back.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }
}

impl Drop for Threshold {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threshold").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Core {
    /// Tells the bus whether there are thresholds. Under the ledger, as such calls must not overlap.
    fn tell_bus(&self) {
        let _ledger = self.ledger.lock();
        self.watch.bus.thresholds(!self.watch.thresholds.is_empty());
    }
}

impl Registry {
    /// Calls `callback` with every event of the kinds in `wants`, in a thread of the subscription's own. Up to `capacity`
    /// events wait for it; further ones are dropped and counted. It never keeps a recorder waiting.
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
        self.core.watch.bus.subscribe(wants, capacity, self.figures(), callback)
    }

    /// What [`Event::MetricsUpdated`] tells.
    fn figures(&self) -> impl Fn() -> (u64, u64) + Send + 'static {
        let core = Arc::downgrade(&self.core);
        move || {
            let metrics = core.upgrade().map(|core| core.metrics());
            metrics.map_or((0, 0), |metrics| (metrics.total_hits, metrics.memory_entries))
        }
    }

    /// A queue of every event of the kinds in `wants`, for the caller to empty. For [`EventKind::MetricsUpdated`] it
    /// says that [`metrics`](Registry::metrics) are due.
    ///
    /// # Errors
    /// [`SubscribeError::Capacity`] unless `capacity` is from 1 to 2^20.
    pub fn listen(&self, wants: EventSet, capacity: usize) -> Result<Listener, SubscribeError> {
        self.core.watch.bus.listen(wants, capacity)
    }

    /// Watches the endpoints that `pattern` names and answers the watch's number, which is told with each
    /// [`Event::ThresholdCrossed`]: once when the hits of an endpoint in the `last` reach `limit`, and again when they have
    /// fallen below and risen again. In a pattern `*` stands for any characters and `?` for any one.
    ///
    /// # Errors
    /// [`ConfigError`] if `limit` or `last` is 0, or `last` is longer than the window or no whole number of ticks.
    pub fn watch(&self, pattern: &str, last: Duration, limit: u64) -> Result<u64, ConfigError> {
        let geometry = self.core.geometry();
        let resolution = geometry.resolution();
        if !last.is_zero() && resolution.ticks(last).is_none() {
            return Err(ConfigError::WindowNotWhole { window: last, resolution: resolution.width() });
        }
        if last > self.window() {
            return Err(ConfigError::ThresholdTooLong { last, window: self.window() });
        }
        let id = self.core.watch.thresholds.add(pattern, last, limit)?;
        self.core.tell_bus();
        Ok(id)
    }

    /// Ends a watch; answers whether there was one.
    pub fn unwatch(&self, watch: u64) -> bool {
        let removed = self.core.watch.thresholds.remove(watch);
        self.core.tell_bus();
        removed
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
    /// [`SubscribeError::Watch`] with what [`watch`](Self::watch) refuses; [`SubscribeError::Thread`] if no thread can be
    /// started.
    pub fn on_threshold(
        &self,
        pattern: &str,
        last: Duration,
        limit: u64,
        mut callback: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Threshold, SubscribeError> {
        let id = self.watch(pattern, last, limit)?;
        let ours = move |event: &Event| {
            if matches!(event, Event::ThresholdCrossed { watch, .. } if *watch == id) {
                callback(event);
            }
        };
        match self.subscribe(EventKind::ThresholdCrossed.into(), THRESHOLD_QUEUE, ours) {
            Ok(subscription) => Ok(Threshold { core: Arc::downgrade(&self.core), id, subscription }),
            Err(error) => {
                self.unwatch(id);
                Err(error)
            }
        }
    }
}
