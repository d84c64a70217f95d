//! How the cells of a writer are to be read. Counts that leave a counter carry their form with them.
//!
//! Tests: `tests/merge`, `tests/registry/bytes.rs`.

use std::time::Duration;

use crate::time::{Resolution, Tick};

/// The meaning of a cell's number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// A count.
    Count,
    /// The register of a Morris counter of this base, see [`morris`](crate::sketch::morris).
    Morris {
        /// The factor by which an increment multiplies the estimate.
        base: f64,
    },
}

/// How the cells of a writer are to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// The width of the ticks that cells are given in.
    pub grain: Duration,
    /// The slots of the writer's ring: a tick of the ring is lost once its slot has a newer one.
    pub slots: u64,
    /// How wide a slot is, in grains: 1, or more for the sliding log, which keeps exact times within a tick.
    pub grains: u64,
    /// The meaning of the cells' numbers.
    pub measure: Measure,
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

/// The absolute count of a tick, as it leaves a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The tick, in the strategy's own grain.
    pub tick: Tick,
    /// All hits of the tick; never 0.
    pub count: u64,
}

/// Cells by tick, each tick once.
pub fn in_order(mut cells: Vec<Cell>) -> Vec<Cell> {
    cells.sort_unstable();
    cells.dedup_by(|next, kept| {
        let same = next.tick == kept.tick;
        if same {
            kept.count = kept.count.saturating_add(next.count);
        }
        same
    });
    cells
}
