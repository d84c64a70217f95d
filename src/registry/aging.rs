//! [`Aging`]: what of a registry's endpoints has gone, and when to look again.
//!
//! Tests: `tests/registry`.

use std::collections::VecDeque;

use crate::sync::{AtomicU64, Mutex, Ordering, Typed};
use crate::time::Tick;

/// What of a registry's endpoints has gone, and when to look again.
#[derive(Debug)]
pub struct Aging {
    /// The first tick that is known of names without an endpoint.
    forgotten: Typed<Tick>,
    /// When new endpoints prune again.
    pub(super) due: Typed<Tick>,
    /// When a full registry pruned last, plus one.
    pub(super) tried: Typed<Tick>,
    /// The next to go, and their newest hits when that was found out.
    pub(super) idlest: Mutex<VecDeque<(Tick, Box<str>)>>,
    pruned_hits: AtomicU64,
    pruned_endpoints: AtomicU64,
}

impl Aging {
    pub fn new() -> Self {
        let tick = || Typed::new(Tick(0));
        Self {
            forgotten: tick(),
            due: tick(),
            tried: tick(),
            idlest: Mutex::new(VecDeque::new()),
            pruned_hits: AtomicU64::new(0),
            pruned_endpoints: AtomicU64::new(0),
        }
    }

    /// The first tick that is known of names without an endpoint.
    pub fn forgotten(&self) -> Tick {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Notes that nothing is known of ticks before `tick` of names without an endpoint.
    pub fn forget_before(&self, tick: Tick) {
        self.forgotten.raise(tick, Ordering::Release);
    }

    /// How many hits and how many endpoints were pruned.
    pub fn pruned(&self) -> (u64, u64) {
        (self.pruned_hits.load(Ordering::Acquire), self.pruned_endpoints.load(Ordering::Acquire))
    }

    pub(super) fn note(&self, hits: u64, endpoints: u64) {
        self.pruned_hits.fetch_add(hits, Ordering::Release);
        self.pruned_endpoints.fetch_add(endpoints, Ordering::Release);
    }
}
