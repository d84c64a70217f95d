//! From the recorders to every listener's queue.
//!
//! ```text
//! recorder -- watched() = 0 ? done : emit --> list of posts --+--> queue of listener 1 --> its owner, or its pump
//!                                                             +--> queue of listener 2 --> ...
//! ```
//!
//! The word that [`Bus::watched`] loads is the union of what all listeners want, with a bit more for thresholds. A
//! [`Post`] is the bus's end of a listener's queue.
//!
//! | post | who moves it | what it unlocks |
//! |---|---|---|
//! | in the list | `Bus::listen` (listener.rs), under the lock | events are offered; a full queue drops them and counts |
//! | gone | `close` or drop of the listener, drop of the bus | an emitter that copied the list before still offers; then the queue is cut off |
//!
//! The list is an immutable slice behind an `Arc`, replaced under the lock; an emitter holds the lock for as long as it
//! takes to copy that `Arc`. The list is [`PerProcess`], so a forked child neither waits for a lock that its parent
//! held nor fills queues that no thread empties.
//!
//! **Metrics due.** `due` is 1 from the first record that sets it until the listener takes it; both sides swap it. If
//! the record's swap is first, the listener's swap reads it (or a later one) and so sees the record's hit in the
//! figures that it fetches. If the listener's swap is first, the record finds 0 and wakes the listener again. The wake
//! has a queue of its own, with one place, so that it takes no place from an event and cannot be dropped.
//!
//! Tests: `tests/events/bus.rs`.

use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError};

use super::event::{Event, EventKind, EventSet};
use crate::sync::per_process::PerProcess;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The words that the bus and one listener share.
#[derive(Debug)]
pub struct Ledger {
    /// 1 while the listener should fetch the metrics. Swapped by both sides.
    pub due: AtomicU64,
    /// 1 once the listener is closed. Written by the thread that closes it, read by the listener.
    pub closed: AtomicU64,
    /// Events that the listener's queue had no place for. Added to by emitters.
    pub dropped: AtomicU64,
}

/// The bus's end of a listener's queue.
#[derive(Debug)]
struct Post {
    wants: EventSet,
    /// Declared before `wake`, so that it is cut off first: a listener that finds `wake` cut off finds `events` cut
    /// off, too.
    events: Sender<Event>,
    wake: Sender<()>,
    ledger: Arc<Ledger>,
}

type Posts = Mutex<Arc<[Arc<Post>]>>;

/// Hands events to listeners.
#[derive(Debug)]
pub struct Bus {
    /// The union of the kinds that listeners want, and [`Bus::THRESHOLDS`]. Loaded by every record; written under the
    /// lock of `posts`, and by [`Bus::thresholds`].
    wanted: AtomicU64,
    /// All drops of all listeners, closed ones included.
    dropped: AtomicU64,
    posts: PerProcess<Posts>,
}

impl Bus {
    /// The bit of [`Bus::watched`] that is set while there are thresholds to check.
    pub const THRESHOLDS: u64 = 1 << 31;

    /// A bus without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self { wanted: AtomicU64::new(0), dropped: AtomicU64::new(0), posts: PerProcess::new() }
    }

    /// The bits of all kinds that listeners want, and [`Bus::THRESHOLDS`]; 0 when a recorder has nothing to do. One
    /// relaxed load.
    #[must_use]
    #[inline]
    pub fn watched(&self) -> u64 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether a hit has to be reported: as an event, as a change of the figures, or to thresholds. One relaxed load.
    #[must_use]
    #[inline]
    pub fn wants_hits(&self) -> bool {
        const OF_HITS: u64 = EventKind::HitRecorded.bit()
            | EventKind::MetricsUpdated.bit()
            | EventKind::ThresholdCrossed.bit()
            | Bus::THRESHOLDS;
        self.watched() & OF_HITS != 0
    }

    /// Whether any listener wants `kind`.
    #[must_use]
    #[inline]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.watched() & kind.bit() != 0
    }

    /// Sets or clears [`Bus::THRESHOLDS`]. Calls must not overlap.
    pub fn thresholds(&self, any: bool) {
        if any {
            self.wanted.fetch_or(Self::THRESHOLDS, Ordering::Relaxed);
        } else {
            self.wanted.fetch_and(!Self::THRESHOLDS, Ordering::Relaxed);
        }
    }

    /// Offers an event of `kind` to each listener that wants it. `make` makes the event, once, if a listener wants it.
    ///
    /// Never waits for a listener. Does nothing in a child forked from the process that the listeners belong to.
    pub fn emit(&self, kind: EventKind, make: impl FnOnce() -> Event) {
        if !self.wants(kind) {
            return;
        }
        let Some(posts) = self.posts() else { return };
        let mut wanting = posts.iter().filter(|post| post.wants.contains(kind));
        let Some(mut post) = wanting.next() else { return };
        let event = make();
        debug_assert_eq!(event.kind(), kind);
        for next in wanting {
            self.offer(post, event.clone());
            post = next;
        }
        self.offer(post, event);
    }

    /// Tells the listeners that the metrics have changed. Call it after the change.
    pub fn metrics_due(&self) {
        if !self.wants(EventKind::MetricsUpdated) {
            return;
        }
        let Some(posts) = self.posts() else { return };
        for post in posts.iter().filter(|post| post.wants.contains(EventKind::MetricsUpdated)) {
            // `AcqRel`: see the module header.
            if post.ledger.due.swap(1, Ordering::AcqRel) == 0 {
                // The queue has a place, because the listener took the last wake before it set `due` to 0. The listener
                // may be gone.
                let _ = post.wake.try_send(());
            }
        }
    }

    /// How many events were dropped because a listener's queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Puts a post for events of the kinds in `wants` onto the list, with the bus's ends of a listener's queues.
    pub(super) fn join(&self, wants: EventSet, events: Sender<Event>, wake: Sender<()>) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger { due: AtomicU64::new(0), closed: AtomicU64::new(0), dropped: AtomicU64::new(0) });
        let post = Arc::new(Post { wants, events, wake, ledger: Arc::clone(&ledger) });
        let mut posts = self.posts.here_or_make(|| Mutex::new(Arc::new([]))).lock();
        *posts = posts.iter().cloned().chain([post]).collect();
        self.want(&posts);
        ledger
    }

    /// Takes the post with `ledger` off the list.
    pub(super) fn leave(&self, ledger: &Arc<Ledger>) {
        let Some(posts) = self.posts.here() else { return };
        let mut posts = posts.lock();
        let left: Arc<[_]> = posts.iter().filter(|post| !Arc::ptr_eq(&post.ledger, ledger)).cloned().collect();
        self.want(&left);
        let before = std::mem::replace(&mut *posts, left);
        // Events that wait in a queue are dropped outside the lock.
        drop(posts);
        drop(before);
    }

    /// Makes `wanted` the union of what `posts` want. Under the lock.
    fn want(&self, posts: &[Arc<Post>]) {
        let wanted = posts.iter().fold(EventSet::NONE, |wanted, post| wanted.union(post.wants)).bits();
        // A kind that is wanted before and after is never missing in between.
        self.wanted.fetch_or(wanted, Ordering::Relaxed);
        self.wanted.fetch_and(wanted | Self::THRESHOLDS, Ordering::Relaxed);
    }

    fn posts(&self) -> Option<Arc<[Arc<Post>]>> {
        Some(Arc::clone(&*self.posts.here()?.lock()))
    }

    fn offer(&self, post: &Post, event: Event) {
        match post.events.try_send(event) {
            // A listener that is gone does not miss the event.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                post.ledger.dropped.fetch_add(1, Ordering::Relaxed);
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}
