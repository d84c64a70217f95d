//! Removing endpoints, here and elsewhere. The registry keeps a [`Removal`] for each removed name.
//!
//! | what | does |
//! |---|---|
//! | a removal here | ends the endpoint and its handles; the next hit of the name makes another endpoint, in a higher epoch |
//! | a removal elsewhere, found in a merge | voids the hits here up to it; the endpoint stays in its epoch, with its handles |
//!
//! Tests: `tests/merge/removals.rs`, `tests/registry/fleet.rs`.

use std::collections::BTreeMap;

use super::map::Found;
use super::state::{Core, Registry};
use crate::cell::form::{Cell, Form};
use crate::cell::removal::{FoundHits, Removal, find};
use crate::cell::writer::{Replica, Writer};
use crate::endpoint::{Gone, Reach};
use crate::time::Tick;

impl Registry {
    /// Removes `endpoint` with its hits; returns whether it existed. From then on its handles answer `Refused`, and a
    /// later hit makes a new endpoint.
    ///
    /// No merge brings the removed hits back. Hits after the removal count, also those of other registries that do not
    /// know of it. In the tick of the removal itself, and in later ones, the removal covers the hits that this registry
    /// had.
    pub fn remove(&self, endpoint: &str) -> bool {
        let replica = self.core.ledger().replica;
        self.core.remove_as(endpoint, replica)
    }

    /// Removes every endpoint, as [`remove`](Self::remove) does. In a forked child the first call only drops inherited
    /// hits, so that the child's snapshots can be merged with the parent's.
    pub fn clear(&self) {
        let mut ledger = self.core.ledger();
        let guard = self.core.guard();
        let mut names: Vec<Box<str>> = self.core.all(&guard).map(|(name, _)| name.into()).collect();
        // Sorted, so that the order does not depend on the map.
        names.sort_unstable();
        for name in names {
            if !ledger.forked {
                self.core.remove_as(&name, ledger.replica);
            } else if let Some(endpoint) = self.core.get(&name, &guard).map(Found::reach) {
                let _ = endpoint.end(Gone::Removed, self.core.shared());
                self.core.take_out(&name, endpoint);
            }
        }
        if ledger.forked {
            ledger.forked = false;
            ledger.inherited.clear();
        }
    }
}

impl Core {
    /// The epoch in which an endpoint of `name` begins.
    pub fn epoch_of_removed(&self, name: &str) -> u64 {
        self.graves.lock().removed.get(name).map_or(0, |removal| removal.epoch)
    }

    /// The known removals of `name`.
    pub fn removal_of(&self, name: &str) -> Removal {
        self.graves.lock().removed.get(name).cloned().unwrap_or_default()
    }

    /// Keeps no more removals than there may be endpoints, and forgets only removals that lie before every window.
    ///
    /// If a removal were forgotten earlier, a merge with an older snapshot would bring the removed hits back.
    pub fn forget_graves(&self, horizon: Tick) {
        let slots = self.geometry().slots() as u64;
        let mut graves = self.graves.lock();
        if graves.removed.len() > self.max_endpoints() {
            graves.removed.retain(|_, removal| removal.at.0 + slots > horizon.0);
        }
    }

    /// Notes a removal of `name`; returns it joined with those that were known.
    fn note_removal(&self, name: &str, removal: &Removal) -> Removal {
        let mut graves = self.graves.lock();
        graves.epoch = graves.epoch.max(removal.epoch);
        let known = graves.removed.entry(name.into()).or_default();
        known.join(removal);
        known.clone()
    }

    fn remove_as(&self, name: &str, replica: Replica) -> bool {
        let guard = self.guard();
        let Some(endpoint) = self.get(name, &guard).map(Found::reach) else { return false };
        let at = self.horizon();
        // Before the endpoint ends, so that a hit that makes the next endpoint of the name sees the epoch.
        let epoch = {
            let mut graves = self.graves.lock();
            // A snapshot cannot give a higher epoch.
            graves.epoch = (graves.epoch + 1).min(i64::MAX as u64);
            let epoch = graves.epoch;
            let removal = Removal { epoch, at, found: BTreeMap::new() };
            graves.removed.entry(name.into()).or_default().join(&removal);
            epoch
        };
        let _ = endpoint.end(Gone::Removed, self.shared());
        // After the end, so that no writer here adds another hit.
        let found = self.found_from(endpoint, at, replica);
        let _ = self.note_removal(name, &Removal { epoch, at, found });
        self.take_out(name, endpoint)
    }

    /// The hits from `at` on in `endpoint`, by writer.
    fn found_from(&self, endpoint: Reach<'_>, at: Tick, replica: Replica) -> BTreeMap<Writer, FoundHits> {
        let exported = endpoint.export(self.shared());
        let find = |form: Form, cells: &[Cell]| find(cells, form, self.geometry().resolution(), at);
        let own = exported.own.into_iter().map(|own| {
            let writer = Writer { replica, generation: own.number };
            (writer, find(own.form, &own.cells))
        });
        let others = exported.others.into_iter();
        let others = others.map(|(writer, other)| (writer, find(other.cells.form(), &other.cells.cells())));
        own.chain(others).filter(|(_, found)| !found.is_empty()).collect()
    }

    /// Takes in a removal elsewhere. An endpoint of the name outlives it, without the hits that it voids.
    pub fn hear_of(&self, name: &str, removal: &Removal, replica: Replica) {
        // The endpoint uses all known removals together, as every registry does that learns of this one later.
        let removal = self.note_removal(name, removal);
        let guard = self.guard();
        if let Some(endpoint) = self.get(name, &guard).map(Found::reach) {
            endpoint.outlive(&removal, replica, self.shared());
        }
    }
}
