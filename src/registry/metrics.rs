//! [`Metrics`]: what a registry has done and holds.
//!
//! Tests: `tests/registry`.

use super::ledger::Ledger;
use super::state::{Core, Registry};
use crate::cell::totals::Totals;
use crate::sync::MutexGuard;

/// What a registry holds, and what became of the hits it was given. The names are seed words of hit counters; all numbers
/// but those of what is held only grow, also over removals and prunes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Hits that were counted, those of merged and restored registries included (see [`Registry::merge`] for those of very
    /// many). Of `morris` endpoints it is an estimate.
    pub total_hits: u64,
    /// Endpoints there are.
    pub endpoints_count: u64,
    /// Hits that were dropped by pruning: those of idle endpoints and of former strategies, and those that newer ones pushed
    /// out of a `sliding` log. (Slots of rings are used again, which drops nothing that was kept.)
    pub pruned_events: u64,
    /// Endpoints that were pruned.
    pub pruned_endpoints: u64,
    /// Cells, timestamps and registers that hold something.
    pub memory_entries: u64,
    /// About how many bytes all that takes.
    pub memory_bytes: u64,
    /// The strategy of new endpoints.
    pub strategy: String,
    /// Hits that were refused because their tick was gone.
    pub late: u64,
    /// Hits that were refused because they lay in the future.
    pub future: u64,
    /// Hits that were refused because they did not fit into their tick.
    pub saturated: u64,
    /// Hits that were refused because there was no room for their endpoint or in its log, or by a handle whose endpoint is
    /// gone.
    pub refused: u64,
    /// Events that were not delivered because a subscriber was too slow.
    pub dropped_events: u64,
}

/// What an endpoint takes besides itself: its place in the map, the map's entry, the head of its `Arc`, its place in the roll.
const BESIDES: usize = 18 + size_of::<(Box<str>, usize)>() + 16 + 24;

impl Registry {
    /// What the registry has done and holds. Walks over all endpoints.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }
}

impl Core {
    /// The ledger, under a replica of this process.
    ///
    /// A forked child has its parent's hits in its own memory and counts on in it. It becomes a replica of its own, whose
    /// hits include the inherited ones; merging them with the parent's would count those twice, so they are noted.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger.lock();
        let process = std::process::id();
        if ledger.process != process {
            let parent = std::mem::take(&mut ledger.replica);
            ledger.inherited.push(parent);
            ledger.forked = true;
            ledger.process = process;
        }
        ledger
    }

    /// What this registry has counted by itself, in all its lives.
    pub fn own_totals(&self) -> Totals {
        let (shared, mut outcomes) = (self.shared(), self.noted());
        let guard = self.guard();
        for (_, endpoint) in self.all(&guard) {
            outcomes = outcomes.plus(endpoint.reach().outcomes(shared));
        }
        let (pruned_events, pruned_endpoints) = self.aging.pruned();
        Totals { outcomes, pruned_events, pruned_endpoints }
    }

    /// What was ever counted, here and elsewhere; it never goes down but over a restore.
    pub fn totals(&self, ledger: &mut Ledger) -> Totals {
        ledger.own = ledger.own.max(self.own_totals().minus(ledger.began));
        ledger.floor = ledger.floor.max(ledger.own.plus(ledger.others.sum()));
        ledger.floor
    }

    pub fn metrics(&self) -> Metrics {
        let mut ledger = self.ledger();
        let totals = self.totals(&mut ledger);
        let shared = self.shared();
        let guard = self.guard();
        let (mut memory_entries, mut memory_bytes) = (0, size_of::<Registry>() + size_of::<Self>());
        for (name, endpoint) in self.all(&guard) {
            let endpoint = endpoint.reach();
            memory_entries += endpoint.entries(shared);
            memory_bytes += endpoint.bytes() + name.len() + BESIDES;
        }
        let [total_hits, late, future, saturated, refused] = totals.outcomes.to_array();
        Metrics {
            total_hits,
            endpoints_count: self.len() as u64,
            pruned_events: totals.pruned_events,
            pruned_endpoints: totals.pruned_endpoints,
            memory_entries,
            memory_bytes: memory_bytes as u64,
            strategy: self.strategy().name().to_owned(),
            late,
            future,
            saturated,
            refused,
            dropped_events: self.watch.dropped(),
        }
    }
}
