//! [`Removal`]: which hits of a name were removed.
//!
//! A removal is an epoch and a tick. It voids the hits of lower epochs up to its tick, and no later ones. So a removal
//! does not void hits that come after it, and removed hits do not come back, however late it arrives. A writer that
//! never learns of the removal stays in its old epoch, and its later hits count.
//!
//! Hits of the very tick of the removal may have come before it or after, and hits stamped ahead lie behind it. So the
//! removal records, for each writer and each tick from its own on, how many hits it found. That many are removed; later
//! hits of the same writer in such a tick count.
//!
//! | hits of writer `w` in epoch `e` | are |
//! |---|---|
//! | `e` is the removal's epoch, or higher | kept |
//! | they lie before the tick of the removal | void |
//! | the removal found `n` hits of `w` in their tick | the first `n` are void |
//! | else | kept |
//!
//! Cells are absolute counts, and copies of a cell merge by the larger count. So void hits are never taken out of a
//! cell: it keeps its full count in every copy, the removal travels with it, and [`Voids::left`] subtracts the void
//! hits where hits are read.
//!
//! Removals of one name [`join`](Removal::join): the higher epoch, the later tick, and for each writer and tick from
//! there on the larger number that was found. That is commutative, associative and idempotent, so registries agree in
//! whatever order they learn of removals. If two registries removed a name at different times, hits up to the later
//! time are void if their epoch is lower than either's.
//!
//! Tests: `tests/merge/removals.rs`, `tests/registry/fleet.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::cell::form::{Cell, Form, Measure};
use crate::cell::writer::Writer;
use crate::time::{Resolution, Tick};

/// How many hits of each tick were found.
pub type FoundHits = BTreeMap<Tick, u64>;

/// All hits of a tick. The number of void hits cannot be subtracted from a Morris register, so all of its hits are
/// void.
const ALL: u64 = u64::MAX;

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// The epoch that begins after it.
    pub epoch: u64,
    /// The time of the removal, in ticks of the resolution.
    pub at: Tick,
    /// The hits that it found of each writer from `at` on. The hits of a cell longer than a tick lie in its last tick.
    pub found: BTreeMap<Writer, FoundHits>,
}

/// A removal that voids no hits.
pub static NONE: Removal = Removal { epoch: 0, at: Tick(0), found: BTreeMap::new() };

/// Which hits of one writer are void.
#[derive(Clone, Copy, Debug)]
pub struct Voids<'a> {
    /// Hits before this tick are void.
    before: Tick,
    /// In each of the ticks from there on, this many hits are void.
    found: Option<&'a FoundHits>,
}

impl Removal {
    /// Takes in another removal of the name.
    pub fn join(&mut self, other: &Self) {
        self.epoch = self.epoch.max(other.epoch);
        self.at = self.at.max(other.at);
        for (&writer, found) in &other.found {
            join(self.found.entry(writer).or_default(), found);
        }
        // Ticks before the removal need no numbers, because all of their hits are void.
        self.forget_before(self.at);
    }

    /// Forgets hits that were found before `tick`.
    pub fn forget_before(&mut self, tick: Tick) {
        self.found.retain(|_, found| {
            *found = found.split_off(&tick);
            !found.is_empty()
        });
    }

    /// The void hits among those that `writer` counted in `epoch`.
    #[must_use]
    pub fn voids(&self, writer: Writer, epoch: u64) -> Voids<'_> {
        if epoch < self.epoch { Voids::new(self.at, self.found.get(&writer)) } else { Voids::NONE }
    }
}

/// Raises the numbers of found hits to those of `other`.
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
    /// No void hits.
    pub const NONE: Self = Self { before: Tick(0), found: None };

    /// Voids the hits before `before`, and those that were found.
    #[must_use]
    pub fn new(before: Tick, found: Option<&'a FoundHits>) -> Self {
        Self { before, found }
    }

    /// The first tick in which hits count.
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
        // If a tick has many cells, the first ones are void.
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

    /// The cells, ascending, of the ticks that still have hits after the void ones, with their full counts.
    #[must_use]
    pub fn kept(self, cells: &[Cell], form: Form, resolution: Resolution) -> Vec<Cell> {
        let tick = |cell: &Cell| form.ticks(cell.tick, resolution).1;
        let kept: BTreeSet<Tick> = self.left(cells, form, resolution).iter().map(tick).collect();
        cells.iter().filter(|cell| kept.contains(&tick(cell))).copied().collect()
    }
}
