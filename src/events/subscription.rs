//! A thread that empties a listener's queue into a callback.
//!
//! | subscription | becomes so by | the thread |
//! |---|---|---|
//! | open | [`Bus::subscribe`] | calls back with each event in order, and with the metrics when they are due |
//! | closing | [`Subscription::close`] or drop | finishes the call it is in and makes no other; what waited is dropped |
//! | ended | closing, or the bus was dropped and the queue is empty | has ended, and the callback has been dropped |
//!
//! Closing waits for the end, except in the callback itself. In a forked child, which has no such thread, closing and
//! dropping do nothing.
//!
//! Tests: `tests/events`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};

use super::bus::Bus;
use super::event::{Event, EventSet};
use super::listener::{Closer, Listener, Received};
use crate::error::SubscribeError;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Calls back with events until it is closed or dropped.
pub struct Subscription {
    closer: Closer,
    failed: Arc<AtomicU64>,
    pump: ThreadId,
    /// Taken by the first that joins it.
    handle: Arc<Mutex<Option<JoinHandle<()>>>>,
    process: u32,
}

impl Bus {
    /// Calls `callback` with every event of the kinds in `wants`, of which up to `capacity` may wait, in a thread of the
    /// subscription's own.
    ///
    /// `metrics` returns the total of hits and the number of entries for [`Event::MetricsUpdated`]. It is called in the
    /// same thread, and only if that kind is wanted. It should not own the owner of the bus, or neither is ever
    /// dropped.
    ///
    /// A callback that panics is counted in [`Subscription::failed`] and called again with the next event; so is
    /// `metrics`. A callback that never returns fills its own queue and no other, but closing waits for it.
    ///
    /// # Errors
    /// [`SubscribeError::Capacity`] unless `capacity` is from 1 to 2^20, [`SubscribeError::Thread`] if no thread can be
    /// started.
    pub fn subscribe(
        self: &Arc<Self>,
        wants: EventSet,
        capacity: usize,
        metrics: impl Fn() -> (u64, u64) + Send + 'static,
        callback: impl FnMut(&Event) + Send + 'static,
    ) -> Result<Subscription, SubscribeError> {
        let listener = self.listen(wants, capacity)?;
        let closer = listener.closer();
        let failed = Arc::new(AtomicU64::new(0));
        let failures = Arc::clone(&failed);
        let handle = std::thread::Builder::new()
            .name("hitring-events".to_owned())
            .spawn(move || pump(&listener, &failures, metrics, callback))
            .map_err(|error| SubscribeError::Thread { kind: error.kind() })?;
        let pump = handle.thread().id();
        let handle = Arc::new(Mutex::new(Some(handle)));
        Ok(Subscription { closer, failed, pump, handle, process: std::process::id() })
    }
}

fn pump(listener: &Listener, failed: &AtomicU64, metrics: impl Fn() -> (u64, u64), mut callback: impl FnMut(&Event)) {
    loop {
        // A state that a panic leaves half changed belongs to the callback.
        let called = match listener.recv() {
            Received::Event(event) => catch_unwind(AssertUnwindSafe(|| callback(&event))),
            Received::MetricsDue => catch_unwind(AssertUnwindSafe(|| {
                let (total_hits, memory_entries) = metrics();
                callback(&Event::MetricsUpdated { total_hits, memory_entries });
            })),
            Received::Idle => Ok(()),
            Received::Closed => return,
        };
        if called.is_err() {
            failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Subscription {
    /// How many events were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.closer.ledger.dropped.load(Ordering::Relaxed)
    }

    /// How many calls panicked.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Ends the subscription: after the return no call is under way and none follows. A call from the callback itself
    /// returns at once, and that run of the callback is the last.
    pub fn close(&self) {
        if self.is_inherited() {
            return;
        }
        self.closer.close();
        if std::thread::current().id() != self.pump {
            // Held while waiting, so that a second thread that closes at the same time waits, too. The callback never
            // takes it.
            let mut handle = self.handle.lock();
            if let Some(handle) = handle.take() {
                // An error is a panic while the callback was dropped; the thread has ended.
                let _ = handle.join();
            }
        }
    }

    fn is_inherited(&self) -> bool {
        self.process != std::process::id()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if self.is_inherited() {
            // A forked child does not have the thread, so it has nothing to detach from.
            std::mem::forget(Arc::clone(&self.handle));
        } else {
            self.close();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("dropped", &self.dropped())
            .field("failed", &self.failed())
            .finish_non_exhaustive()
    }
}
