//! A queue of events that its owner empties.
//!
//! | listener | becomes so by | [`Listener::recv`] answers |
//! |---|---|---|
//! | open | [`Bus::listen`] | the events in order; with none waiting, that metrics are due; with neither, it waits |
//! | cut off | the bus is dropped | the events that still wait, then `Closed` |
//! | closed | [`Listener::close`], or it is in a forked child | `Closed`; what waited is dropped |
//!
//! Tests: `tests/events`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Select, TryRecvError, bounded};

use super::bus::{Bus, Ledger};
use super::event::{Event, EventSet};
use crate::error::SubscribeError;
use crate::sync::Ordering;

/// The most events that may wait for one listener.
const LARGEST_QUEUE: usize = 1 << 20;

impl Bus {
    /// Begins to listen to events of the kinds in `wants`, of which up to `capacity` may wait.
    ///
    /// # Errors
    /// [`SubscribeError::Capacity`] unless `capacity` is from 1 to 2^20.
    pub fn listen(self: &Arc<Self>, wants: EventSet, capacity: usize) -> Result<Listener, SubscribeError> {
        if !(1..=LARGEST_QUEUE).contains(&capacity) {
            return Err(SubscribeError::Capacity { given: capacity });
        }
        let (events, events_end) = bounded(capacity);
        let (wake, wake_end) = bounded(1);
        let ledger = self.join(wants, events, wake);
        Ok(Listener::new(Arc::downgrade(self), events_end, wake_end, ledger))
    }
}

/// The outcome of [`Listener::recv`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// An event.
    Event(Event),
    /// The metrics have changed since they were last due, and no event waits. Fetch them after this was received.
    MetricsDue,
    /// Nothing came in time.
    Idle,
    /// Nothing will come any more.
    Closed,
}

/// Listens to events, from when it was made until it is closed or dropped.
///
/// Any number of threads may call `recv`; each event is received by one of them.
#[derive(Debug)]
pub struct Listener {
    ends: Arc<Ends>,
    closer: Closer,
    process: u32,
}

/// The listener's ends of its queues.
#[derive(Debug)]
struct Ends {
    events: Receiver<Event>,
    wake: Receiver<()>,
}

impl Listener {
    fn new(bus: Weak<Bus>, events: Receiver<Event>, wake: Receiver<()>, ledger: Arc<Ledger>) -> Self {
        Self { ends: Arc::new(Ends { events, wake }), closer: Closer { bus, ledger }, process: std::process::id() }
    }

    /// Waits for the next event, or for metrics to be due. Never answers `Idle`.
    #[must_use]
    pub fn recv(&self) -> Received {
        self.wait(|select| {
            select.ready();
            true
        })
    }

    /// As [`recv`](Self::recv), but answers `Idle` when nothing came within `timeout`. If another thread receives an
    /// event first, this one waits for `timeout` anew.
    #[must_use]
    pub fn recv_timeout(&self, timeout: Duration) -> Received {
        self.wait(|select| select.ready_timeout(timeout).is_ok())
    }

    /// As [`recv`](Self::recv), but answers `Idle` when nothing waits.
    #[must_use]
    pub fn try_recv(&self) -> Received {
        self.wait(|_| false)
    }

    /// How many events were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.closer.ledger.dropped.load(Ordering::Relaxed)
    }

    /// Stops listening. Threads that wait in [`recv`](Self::recv) receive `Closed`.
    pub fn close(&self) {
        if !self.is_inherited() {
            self.closer.close();
        }
    }

    /// Returns a [`Closer`], with which another thread can close this listener.
    pub(super) fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Whether this is a forked child's copy. Its locks may be held by threads that the child does not have.
    fn is_inherited(&self) -> bool {
        self.process != std::process::id()
    }

    /// Takes what is there. If nothing is there, it calls `ready` to wait; `ready` returns whether to look again.
    fn wait(&self, ready: impl Fn(&mut Select<'_>) -> bool) -> Received {
        let Ends { events, wake } = &*self.ends;
        loop {
            if self.is_inherited() || self.closer.ledger.closed.load(Ordering::Acquire) != 0 {
                return Received::Closed;
            }
            match events.try_recv() {
                Ok(event) => return Received::Event(event),
                Err(TryRecvError::Disconnected) => return Received::Closed,
                Err(TryRecvError::Empty) => {}
            }
            if wake.try_recv().is_ok() {
                // `AcqRel`, and only after the wake was taken: see the header of `bus`.
                self.closer.ledger.due.swap(0, Ordering::AcqRel);
                return Received::MetricsDue;
            }
            let mut select = Select::new();
            select.recv(events);
            select.recv(wake);
            if !ready(&mut select) {
                return Received::Idle;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.is_inherited() {
            // Dropping the queues' ends would take their locks.
            std::mem::forget(Arc::clone(&self.ends));
        } else {
            self.close();
        }
    }
}

/// Closes a [`Listener`] that another thread owns.
#[derive(Clone, Debug)]
pub struct Closer {
    bus: Weak<Bus>,
    pub(super) ledger: Arc<Ledger>,
}

impl Closer {
    /// As [`Listener::close`], in the listener's process.
    pub fn close(&self) {
        self.ledger.closed.store(1, Ordering::Release);
        if let Some(bus) = self.bus.upgrade() {
            bus.leave(&self.ledger);
        }
    }
}
