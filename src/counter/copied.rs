//! The cells of another writer, as a counter holds them that merged a snapshot.
//!
//! A plain map from tick to count, under the counter's lock: merging is rare, and counts of several stripes together may
//! be more than a slot can hold. It keeps to the rules of the ring they come from: a tick whose slot was reused by a
//! newer one is gone and known to be gone, so a query over it is expired and never silently low.
//!
//! Merging takes the larger count of each tick. That is commutative, associative and idempotent, whatever the order in
//! which snapshots of the writer arrive.
//!
//! Tests: `tests/conformance`.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::form::{Cell, Form, Measure};
use crate::cell::removal::Voids;
use crate::sketch::morris::Base;
use crate::time::{Resolution, Tick};
use crate::window::{Reading, Span};

/// A writer's cells and what is known to be missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    form: Form,
    /// Hits by grain, or registers.
    cells: BTreeMap<u64, u64>,
    /// Ticks whose hits the writer dropped for room.
    dropped: BTreeSet<u64>,
}

impl Copied {
    /// No cells, of `form`.
    pub fn new(form: Form) -> Self {
        Self { form, cells: BTreeMap::new(), dropped: BTreeSet::new() }
    }

    /// Takes in what a snapshot knows of the writer.
    pub fn merge(&mut self, cells: &[Cell], dropped: &[Tick]) {
        for cell in cells {
            let count = self.cells.entry(cell.tick.0).or_default();
            *count = cell.count.max(*count);
        }
        self.dropped.extend(dropped.iter().map(|tick| tick.0));
        let Form { slots, grains, .. } = self.form;
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
        let Form { slots, grains, .. } = self.form;
        let count = hits_of(self.form, self.cells.range(span.first.0..=span.to.0).map(|(_, &number)| number));
        let (first, to) = (span.first.0 / grains, span.to.0 / grains);
        let dropped = self.dropped.range(first..=to).next().is_some();
        // A tick of the span is gone if its slot has a newer tick.
        let newer = self.cells.range((to + 1) * grains..).map(|(grain, _)| grain / grains);
        let newer = newer.chain(self.dropped.range(to + 1..).copied());
        let gone = newer.map(|tick| (tick - first) % slots).any(|ahead| ahead <= to - first);
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

    /// How the cells are to be read.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The newest tick that has a cell, in grains.
    pub fn newest(&self) -> Tick {
        Tick(self.cells.last_key_value().map_or(0, |(&tick, _)| tick))
    }

    /// Drops the cells before `grain`, which callers do not ask for any more; answers whether any are left.
    pub fn prune_before(&mut self, grain: Tick) -> bool {
        self.cells = self.cells.split_off(&grain.0);
        self.dropped = self.dropped.split_off(&(grain.0 / self.form.grains));
        !self.cells.is_empty()
    }

    /// Drops the cells of which no hits count.
    pub fn drop_void(&mut self, voids: Voids<'_>, resolution: Resolution) {
        let kept = voids.kept(&self.cells(), self.form, resolution);
        self.cells = kept.into_iter().map(|cell| (cell.tick.0, cell.count)).collect();
    }

    /// The same without void hits.
    pub fn left(&self, voids: Voids<'_>, resolution: Resolution) -> Self {
        let left = voids.left(&self.cells(), self.form, resolution);
        let cells = left.into_iter().map(|cell| (cell.tick.0, cell.count)).collect();
        Self { cells, ..self.clone() }
    }

    /// The hits of all cells.
    pub fn hits(&self) -> u64 {
        hits_of(self.form, self.cells.values().copied())
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// About how many bytes the cells take.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 24 * self.cells.len() + 12 * self.dropped.len()
    }
}

/// The hits that the numbers of cells of `form` stand for together.
pub fn hits_of(form: Form, numbers: impl Iterator<Item = u64>) -> u64 {
    match form.measure {
        Measure::Count => numbers.fold(0, u64::saturating_add),
        Measure::Morris { base } => sum_of_estimates(base, numbers),
    }
}

/// What Morris registers of `base` stand for together.
fn sum_of_estimates(base: f64, registers: impl Iterator<Item = u64>) -> u64 {
    let Ok(base) = Base::new(base) else { return 0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate is not negative; the cast holds"
    )]
    let sum = registers.map(|register| base.estimate(register)).sum::<f64>().round() as u64;
    sum
}
