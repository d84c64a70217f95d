//! [`Outlived`]: the removals elsewhere that an endpoint outlived, and which of its hits they void.
//!
//! | hits | are void |
//! |---|---|
//! | of the endpoint's own generations, if the endpoint began in a lower epoch | as the removal says of this registry's writers |
//! | of another writer, if it counted them in a lower epoch | as the removal says of that writer |
//!
//! Void hits stay in their cells, as snapshots and other registries need full counts. Readers subtract them. As long as
//! a span has ticks in which a removal found hits, a query of the endpoint reads all its cells; before and after that a
//! query costs as much as usual.
//!
//! Tests: `tests/merge/removals.rs`, `tests/registry/fleet.rs`.

use std::collections::BTreeMap;

use crate::cell::removal::{FoundHits, Removal, Voids, join};
use crate::cell::writer::{Replica, Writer};
use crate::time::Tick;

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Outlived {
    removal: Removal,
    /// The first tick in which own hits count.
    before: Tick,
    /// The hits that removals found in own generations, by the numbers of these.
    own: BTreeMap<u64, FoundHits>,
}

impl Outlived {
    /// Takes in the known removals of an endpoint that began in `epoch`, in the registry `replica`.
    pub fn join(&mut self, removal: &Removal, epoch: u64, replica: Replica) {
        self.removal.join(removal);
        if epoch < self.removal.epoch {
            self.before = self.removal.at;
            for (writer, found) in self.removal.found.iter().filter(|(writer, _)| writer.replica == replica) {
                join(self.own.entry(writer.generation).or_default(), found);
            }
        }
    }

    /// The first tick in which own hits count.
    pub fn before(&self) -> Tick {
        self.before
    }

    /// Which hits of an own generation are void.
    pub fn of_own(&self, generation: u64) -> Voids<'_> {
        Voids::new(self.before, self.own.get(&generation))
    }

    /// Which hits of another writer are void.
    pub fn of(&self, writer: Writer, epoch: u64) -> Voids<'_> {
        self.removal.voids(writer, epoch)
    }

    /// Forgets hits that were found before `tick`, because no query reaches back so far any more.
    pub fn forget_before(&mut self, tick: Tick) {
        self.removal.forget_before(tick);
        self.own.retain(|_, found| {
            *found = found.split_off(&tick);
            !found.is_empty()
        });
    }
}
