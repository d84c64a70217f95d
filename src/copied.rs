//! The cells of another writer, as a counter holds them that merged a snapshot.
//!
//! A plain map from tick to count, under the counter's lock: merging is rare, and counts of several stripes together may
//! be more than a slot can hold. It keeps to the rules of the ring they come from: a tick whose slot was reused by a
//! newer one is gone and known to be gone, so a query over it is expired and never silently low.
//!
//! Merging takes the larger count of each tick. That is commutative, associative and idempotent, whatever the order in
//! which snapshots of the writer arrive.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Tick;
use crate::window::{Cell, Reading, Span};

/// A writer's cells and what is known to be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The slots of the writer's ring.
    slots: u64,
    /// How many grains a tick has.
    grains: u64,
    /// Hits by grain.
    cells: BTreeMap<u64, u64>,
    /// Ticks whose hits the writer dropped for room.
    dropped: BTreeSet<u64>,
}

impl Copied {
    /// No cells of a ring of `slots` slots, in which a tick has `grains` grains.
    pub fn new(slots: u64, grains: u64) -> Self {
        Self { slots, grains, cells: BTreeMap::new(), dropped: BTreeSet::new() }
    }

    /// Takes in what a snapshot knows of the writer.
    pub fn merge(&mut self, cells: &[Cell], dropped: &[Tick]) {
        for cell in cells {
            let count = self.cells.entry(cell.tick.0).or_default();
            *count = cell.count.max(*count);
        }
        self.dropped.extend(dropped.iter().map(|tick| tick.0));
        let (slots, grains) = (self.slots, self.grains);
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        for tick in self.cells.keys().map(|grain| grain / grains).chain(self.dropped.iter().copied()) {
            let of_slot = newest.entry(tick % slots).or_default();
            *of_slot = tick.max(*of_slot);
        }
        let lives = |tick: u64| newest.get(&(tick % slots)) == Some(&tick);
        self.cells.retain(|grain, _| lives(grain / grains));
        self.dropped.retain(|&tick| lives(tick));
    }

    /// The hits of `span`.
    pub fn sum(&self, span: Span) -> Reading {
        let counts = self.cells.range(span.first.0..=span.to.0).map(|(_, &count)| count);
        let count = counts.fold(0, u64::saturating_add);
        let (first, to) = (span.first.0 / self.grains, span.to.0 / self.grains);
        let dropped = self.dropped.range(first..=to).next().is_some();
        // A tick of the span is gone if its slot has a newer tick.
        let newer = self.cells.range((to + 1) * self.grains..).map(|(grain, _)| grain / self.grains);
        let newer = newer.chain(self.dropped.range(to + 1..).copied());
        let gone = newer.map(|tick| (tick - first) % self.slots).any(|ahead| ahead <= to - first);
        Reading { count, exact: !dropped && !gone }
    }

    /// The cells, in the order of their ticks.
    pub fn cells(&self) -> Vec<Cell> {
        self.cells.iter().map(|(&tick, &count)| Cell { tick: Tick(tick), count }).collect()
    }

    /// The ticks whose hits were dropped, in order.
    pub fn dropped(&self) -> Vec<Tick> {
        self.dropped.iter().copied().map(Tick).collect()
    }

    /// The slots of the writer's ring.
    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// About how many bytes the cells take.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 24 * self.cells.len() + 12 * self.dropped.len()
    }
}
