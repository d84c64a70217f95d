//! Subscriptions to the events of a registry, and thresholds over endpoints.
//!
//! All of it stays in the process: each process that has a registry's file open has its own subscriptions and
//! thresholds.
//!
//! Tests: `tests/events`.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::counter::query::When;
use crate::error::{ConfigError, SubscribeError};
use crate::events::threshold::{Gauge, Thresholds};
use crate::events::{Bus, Event, EventKind, EventSet, Listener, Subscription};
use crate::sync::Mutex;
use crate::window::geometry::Geometry;

/// How many events wait for a threshold's callback.
const THRESHOLD_QUEUE: usize = 1_024;

/// The subscribers and thresholds of a registry. Clones share them.
#[derive(Clone, Debug)]
pub struct Watch {
    bus: Arc<Bus>,
    thresholds: Arc<Thresholds>,
    /// Held by the thread that tells the bus whether thresholds exist, because calls of [`Bus::thresholds`] must not
    /// overlap.
    telling: Arc<Mutex<()>>,
}

impl Watch {
    pub fn new() -> Self {
        Self { bus: Arc::new(Bus::new()), thresholds: Arc::new(Thresholds::new()), telling: Arc::new(Mutex::new(())) }
    }

    /// Whether a hit has to be reported: all that a recorder asks.
    #[inline(always)]
    pub fn wants_hits(&self) -> bool {
        self.bus.wants_hits()
    }

    pub fn emit(&self, kind: EventKind, make: impl FnOnce() -> Event) {
        self.bus.emit(kind, make);
    }

    /// Tells the listeners that the metrics have changed.
    pub fn changed(&self) {
        self.bus.metrics_due();
    }

    pub fn dropped(&self) -> u64 {
        self.bus.dropped()
    }

    /// Forgets an endpoint that was removed.
    pub fn forget(&self, name: &str) {
        self.thresholds.forget(name);
    }

    /// Reports hits that were counted in the endpoint `name`; `gauge` answers the questions of the thresholds.
    pub fn counted(&self, name: &str, when: When<'_>, amount: u64, gauge: &impl Gauge) {
        self.bus.emit(EventKind::HitRecorded, || Event::HitRecorded {
            endpoint: name.into(),
            at: when.timestamp(),
            amount,
        });
        self.bus.metrics_due();
        if self.thresholds.matches_any(name) {
            for crossing in self.thresholds.check(&name.into(), when.tick(), gauge) {
                self.bus.emit(EventKind::ThresholdCrossed, || crossing);
            }
        }
    }

    /// Calls `callback` with every event of the kinds in `wants`; `figures` returns the figures of
    /// [`Event::MetricsUpdated`](crate::Event).
    pub fn subscribe(
        &self,
        wants: EventSet,
        capacity: usize,
        figures: impl Fn() -> (u64, u64) + Send + 'static,
        callback: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Subscription, SubscribeError> {
        self.bus.subscribe(wants, capacity, figures, callback)
    }

    /// A queue of every event of the kinds in `wants`.
    pub fn listen(&self, wants: EventSet, capacity: usize) -> Result<Listener, SubscribeError> {
        self.bus.listen(wants, capacity)
    }

    /// Watches the endpoints that `pattern` names.
    pub fn add(&self, geometry: &Geometry, pattern: &str, last: Duration, limit: u64) -> Result<u64, ConfigError> {
        let resolution = geometry.resolution();
        if !last.is_zero() && resolution.ticks(last).is_none() {
            return Err(ConfigError::WindowNotWhole { window: last, resolution: resolution.width() });
        }
        let window = resolution.width() * geometry.window();
        if last > window {
            return Err(ConfigError::ThresholdTooLong { last, window });
        }
        let id = self.thresholds.add(pattern, last, limit)?;
        self.tell_bus();
        Ok(id)
    }

    /// Ends a watch; returns whether it existed.
    pub fn remove(&self, watch: u64) -> bool {
        let removed = self.thresholds.remove(watch);
        self.tell_bus();
        removed
    }

    fn tell_bus(&self) {
        let _alone = self.telling.lock();
        self.bus.thresholds(!self.thresholds.is_empty());
    }

    /// Calls `callback` at each crossing of a watch.
    pub fn on_threshold(
        &self,
        geometry: &Geometry,
        (pattern, last, limit): (&str, Duration, u64),
        mut callback: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Threshold, SubscribeError> {
        let id = self.add(geometry, pattern, last, limit)?;
        let ours = move |event: &Event| {
            if matches!(event, Event::ThresholdCrossed { watch, .. } if *watch == id) {
                callback(event);
            }
        };
        match self.subscribe(EventKind::ThresholdCrossed.into(), THRESHOLD_QUEUE, || (0, 0), ours) {
            Ok(subscription) => Ok(Threshold { of: self.weak(), id, subscription }),
            Err(error) => {
                self.remove(id);
                Err(error)
            }
        }
    }

    fn weak(&self) -> WeakWatch {
        WeakWatch {
            bus: Arc::downgrade(&self.bus),
            thresholds: Arc::downgrade(&self.thresholds),
            telling: Arc::downgrade(&self.telling),
        }
    }
}

/// A [`Watch`] that may have been dropped.
struct WeakWatch {
    bus: Weak<Bus>,
    thresholds: Weak<Thresholds>,
    telling: Weak<Mutex<()>>,
}

impl WeakWatch {
    fn upgrade(&self) -> Option<Watch> {
        Some(Watch {
            bus: self.bus.upgrade()?,
            thresholds: self.thresholds.upgrade()?,
            telling: self.telling.upgrade()?,
        })
    }
}

/// A watch over endpoints; it ends when this is closed or dropped.
pub struct Threshold {
    of: WeakWatch,
    id: u64,
    subscription: Subscription,
}

impl Threshold {
    /// Ends the watch: after the return no call is under way and none follows.
    pub fn close(&self) {
        if let Some(watch) = self.of.upgrade() {
            watch.remove(self.id);
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

impl fmt::Debug for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threshold").field("id", &self.id).finish_non_exhaustive()
    }
}
