//! [`Removal`]: which hits of a name were removed.
//!
//! A removal is an epoch and a tick. It voids the hits of lower epochs up to its tick, and no later ones, so a removal eats
//! nothing that comes after it, and nothing that was removed comes back, however late it arrives. A writer that never hears
//! of the removal goes on in its old epoch, and what it counts later counts.
//!
//! Hits of the very tick of the removal may have come before it or after, and hits stamped ahead lie behind it. The removal names
//! the writers that it found such hits of, and their ticks from its own on: these hits are removed. Others stay.
//!
//! | a cell of writer `w` in epoch `e` | is |
//! |---|---|
//! | `e` is the removal's epoch, or higher | kept |
//! | all of it lies before the tick of the removal | void |
//! | it has one of the ticks that the removal found of `w` | void |
//! | else | kept |
//!
//! Removals of one name [`join`](Removal::join): the higher epoch, the later tick, and all ticks that were found from there on. That
//! is commutative, associative and idempotent, so registries agree whatever the order in which they hear of removals. Where two
//! registries removed a name at different times, hits up to the later time are void if their epoch is lower than either's.
//!
//! Tests: `tests/merge/removals.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::form::Form;
use crate::cell::writer::Writer;
use crate::time::{Resolution, Tick};

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// The epoch that begins after it.
    pub epoch: u64,
    /// When it was, in ticks of the resolution.
    pub at: Tick,
    /// The writers of which hits from `at` on were found, and their ticks.
    pub found: BTreeMap<Writer, BTreeSet<Tick>>,
}

impl Removal {
    /// Takes in what is known of another removal of the name.
    pub fn join(&mut self, other: &Self) {
        self.epoch = self.epoch.max(other.epoch);
        self.at = self.at.max(other.at);
        for (&writer, ticks) in &other.found {
            self.found.entry(writer).or_default().extend(ticks);
        }
        let at = self.at;
        // The tick of the removal alone says it of those before.
        self.found.retain(|_, ticks| {
            *ticks = ticks.split_off(&at);
            !ticks.is_empty()
        });
    }

    /// The first tick of `writer`'s hits in `epoch` that the removal may leave.
    #[must_use]
    pub fn leaves_from(&self, writer: Writer, epoch: u64) -> Tick {
        if epoch >= self.epoch {
            return Tick(0);
        }
        let is_found = self.found.get(&writer).is_some_and(|ticks| ticks.contains(&self.at));
        Tick(self.at.0 + u64::from(is_found))
    }

    /// Whether a cell of `writer` in `epoch` that lies in the ticks `first ..= last` counts.
    #[must_use]
    pub fn keeps(&self, writer: Writer, epoch: u64, (first, last): (Tick, Tick)) -> bool {
        let is_found = || self.found.get(&writer).is_some_and(|ticks| ticks.range(first..=last).next().is_some());
        epoch >= self.epoch || (last >= self.at && !is_found())
    }
}

impl Form {
    /// The first and the last tick of the resolution that a cell at `tick` may have hits of.
    #[must_use]
    pub fn ticks(&self, tick: Tick, resolution: Resolution) -> (Tick, Tick) {
        let width = resolution.width();
        if self.grain > width {
            let buckets = (self.grain.as_nanos() / width.as_nanos()) as u64;
            let first = tick.0.saturating_mul(buckets);
            return (Tick(first), Tick(first.saturating_add(buckets - 1)));
        }
        let of = if self.grain < width { Tick(tick.0 / self.grains) } else { tick };
        (of, of)
    }
}
