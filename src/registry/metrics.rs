//! [`Metrics`]: the figures of a registry.
//!
//! Tests: `tests/registry`.

use super::ledger::Ledger;
use super::state::{Core, Registry};
use crate::cell::totals::Totals;
use crate::sync::MutexGuard;

/// How much a registry holds, and the outcomes of the hits that it was given. The names are seed words of hit counters.
/// All numbers only grow, also over removals and prunes, apart from those of what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Hits that were counted, those of merged and restored registries included (see [`Registry::merge`] for very many
    /// registries). Of `morris` endpoints it is an estimate.
    pub total_hits: u64,
    /// Endpoints that the registry has.
    pub endpoints_count: u64,
    /// Hits that were dropped by pruning: those of idle endpoints and of former strategies, and those that newer ones
    /// pushed out of a `sliding` log. (A ring that reuses a slot does not drop a hit that it still kept.)
    pub pruned_events: u64,
    /// Endpoints that were pruned.
    pub pruned_endpoints: u64,
    /// Cells, timestamps and registers that hold something.
    pub memory_entries: u64,
    /// About how many bytes all that takes.
    pub memory_bytes: u64,
    /// The strategy of new endpoints.
    pub strategy: String,
    /// Hits that were refused because their tick was no longer kept.
    pub late: u64,
    /// Hits that were refused because they lay in the future.
    pub future: u64,
    /// Hits that were refused because they did not fit into their tick.
    pub saturated: u64,
    /// Hits that were refused because the registry or the log of their endpoint was full, or because the endpoint of
    /// their handle was removed.
    pub refused: u64,
    /// Events that were not delivered because a subscriber was too slow.
    pub dropped_events: u64,
}

/// The bytes of an endpoint besides itself: its place in the map, the map's entry, the head of its `Arc`, its place in
/// the roll.
const BESIDES: usize = 18 + size_of::<(Box<str>, usize)>() + 16 + 24;

impl Registry {
    /// The figures of the registry. Walks over all endpoints.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }
}

impl Core {
    /// The ledger, under a replica of this process.
    ///
    /// A forked child has its parent's hits in its own memory and adds to them. It becomes a replica of its own, whose
    /// hits include the inherited ones. Merging them with the parent's would count those twice, so the ledger notes the
    /// parent's replica.
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

    /// The totals that this registry has counted by itself, in all its lives.
    pub fn own_totals(&self) -> Totals {
        let (shared, mut outcomes) = (self.shared(), self.noted());
        let guard = self.guard();
        for (_, endpoint) in self.all(&guard) {
            outcomes = outcomes.plus(endpoint.reach().outcomes(shared));
        }
        let (pruned_events, pruned_endpoints) = self.aging.pruned();
        Totals { outcomes, pruned_events, pruned_endpoints }
    }

    /// The totals of this registry and all others; they never decrease except by a restore.
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
