//! How the cells of a writer are to be read: what leaves a counter says it along with them.

use std::time::Duration;

/// What the number of a cell is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// A count.
    Count,
    /// The register of a Morris counter of this base, see [`morris`](crate::sketch::morris).
    Morris {
        /// What an increment multiplies the estimate by.
        base: f64,
    },
}

/// How the cells of a writer are to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// The width of the ticks that cells are given in.
    pub grain: Duration,
    /// The slots of the writer's ring: a tick of the ring is gone once its slot has a newer one.
    pub slots: u64,
    /// How wide a slot is, in grains: 1, or more for the sliding log, which keeps exact times within a tick.
    pub grains: u64,
    /// What the cells' numbers are.
    pub measure: Measure,
}
