//! [`Removal`]: which hits of a name were removed.
//!
//! A removal is an epoch and a tick. It voids the hits of lower epochs up to its tick, and no later ones, so a removal eats
//! nothing that comes after it, and nothing that was removed comes back, however late it arrives. A writer that never hears
//! of the removal goes on in its old epoch, and what it counts later counts.
//!
//! Hits of the very tick of the removal may have come before it or after, and hits stamped ahead lie behind it. So the removal
//! says, for each writer and each tick from its own on, how many hits it found. That many are removed; what the same writer
//! counts later in such a tick counts.
//!
//! | hits of writer `w` in epoch `e` | are |
//! |---|---|
//! | `e` is the removal's epoch, or higher | kept |
//! | they lie before the tick of the removal | void |
//! | the removal found `n` hits of `w` in their tick | the first `n` are void |
//! | else | kept |
//!
//! Cells are absolute counts, and copies of a cell merge by the larger count. So nobody takes void hits out of a cell: it keeps
//! its full count wherever it goes, the removal goes with it, and [`Voids::left`] takes the void hits off where hits are read.
//!
//! Removals of one name [`join`](Removal::join): the higher epoch, the later tick, and of each writer and tick from there on the
//! larger number that was found. That is commutative, associative and idempotent, so registries agree whatever the order in
//! which they hear of removals. Where two registries removed a name at different times, hits up to the later time are void if
//! their epoch is lower than either's.
//!
//! Tests: `tests/merge/removals.rs`, `tests/registry/fleet.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::form::{Cell, Form, Measure};
use crate::cell::writer::Writer;
use crate::time::{Resolution, Tick};

/// How many hits of each tick were found.
pub type FoundHits = BTreeMap<Tick, u64>;

/// All hits of a tick. A Morris register cannot be told how many of its hits are void.
const ALL: u64 = u64::MAX;

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// The epoch that begins after it.
    pub epoch: u64,
    /// When it was, in ticks of the resolution.
    pub at: Tick,
    /// What it found of each writer from `at` on. The hits of a cell longer than a tick lie in its last tick.
    pub found: BTreeMap<Writer, FoundHits>,
}

/// No hits were removed.
pub static NONE: Removal = Removal { epoch: 0, at: Tick(0), found: BTreeMap::new() };

/// Which hits of one writer are void.
#[derive(Clone, Copy, Debug)]
pub struct Voids<'a> {
    /// Those before it are.
    before: Tick,
    /// So many from there on.
    found: Option<&'a FoundHits>,
}

impl Removal {
    /// Takes in what is known of another removal of the name.
    pub fn join(&mut self, other: &Self) {
        self.epoch = self.epoch.max(other.epoch);
        self.at = self.at.max(other.at);
        for (&writer, found) in &other.found {
            join(self.found.entry(writer).or_default(), found);
        }
        // The tick of the removal alone says it of those before.
        self.forget_before(self.at);
    }

    /// Forgets what was found before `tick`.
    pub fn forget_before(&mut self, tick: Tick) {
        self.found.retain(|_, found| {
            *found = found.split_off(&tick);
            !found.is_empty()
        });
    }

    /// Which hits are void of `writer`, who counted them in `epoch`.
    #[must_use]
    pub fn voids(&self, writer: Writer, epoch: u64) -> Voids<'_> {
        if epoch < self.epoch { Voids::new(self.at, self.found.get(&writer)) } else { Voids::NONE }
    }
}

/// Raises what was found to what `other` says.
pub fn join(found: &mut FoundHits, other: &FoundHits) {
    for (&tick, &count) in other {
        let known = found.entry(tick).or_default();
        *known = count.max(*known);
    }
}

/// The hits of `cells` from the tick `at` on, as a removal finds them.
#[must_use]
pub fn find(cells: &[Cell], form: Form, resolution: Resolution, at: Tick) -> FoundHits {
    let mut found = FoundHits::new();
    for cell in cells {
        let tick = form.ticks(cell.tick, resolution).1;
        if tick >= at {
            let count = found.entry(tick).or_default();
            *count = if form.measure == Measure::Count { cell.count.saturating_add(*count) } else { ALL };
        }
    }
    found
}

impl<'a> Voids<'a> {
    /// No hits.
    pub const NONE: Self = Self { before: Tick(0), found: None };

    /// The hits before `before`, and those that were found.
    #[must_use]
    pub fn new(before: Tick, found: Option<&'a FoundHits>) -> Self {
        Self { before, found }
    }

    /// The first tick of which hits count.
    #[must_use]
    pub fn before(self) -> Tick {
        self.before
    }

    /// The hits that a removal found.
    #[must_use]
    pub fn found(self) -> Option<&'a FoundHits> {
        self.found
    }

    /// Whether some hits from `first` on are void although they are not before [`before`](Self::before).
    #[must_use]
    pub fn reach(self, first: Tick) -> bool {
        self.found.is_some_and(|found| found.last_key_value().is_some_and(|(&last, _)| first <= last))
    }

    /// The cells, ascending, without the void hits.
    #[must_use]
    pub fn left(self, cells: &[Cell], form: Form, resolution: Resolution) -> Vec<Cell> {
        // A tick may have many cells: then the first ones are void.
        let mut of_tick = (None, 0);
        let left = cells.iter().filter_map(|cell| {
            let tick = form.ticks(cell.tick, resolution).1;
            if of_tick.0 != Some(tick) {
                of_tick = (Some(tick), self.found.and_then(|found| found.get(&tick)).copied().unwrap_or(0));
            }
            let void = if form.measure == Measure::Count { of_tick.1.min(cell.count) } else { of_tick.1 };
            of_tick.1 -= void;
            let count = cell.count.saturating_sub(void);
            (tick >= self.before && count > 0).then_some(Cell { count, ..*cell })
        });
        left.collect()
    }

    /// The cells, ascending, of the ticks that have hits which count, with their full counts.
    #[must_use]
    pub fn kept(self, cells: &[Cell], form: Form, resolution: Resolution) -> Vec<Cell> {
        let tick = |cell: &Cell| form.ticks(cell.tick, resolution).1;
        let kept: BTreeSet<Tick> = self.left(cells, form, resolution).iter().map(tick).collect();
        cells.iter().filter(|cell| kept.contains(&tick(cell))).copied().collect()
    }
}
