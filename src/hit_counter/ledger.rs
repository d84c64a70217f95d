//! [`Ledger`]: the writer that a counter counts as, and the counts that came from other writers.
//!
//! Tests: `tests/conformance`, `tests/merge`.

use std::collections::BTreeMap;

use crate::cell::outcome::Outcomes;
use crate::cell::writer::{Replica, Writer};
use crate::counter::copied::Copied;

/// What only rare operations need.
#[derive(Debug)]
pub struct Ledger {
    pub(super) writer: Writer,
    /// The process that `writer` counts in. A forked child counts on under a writer of its own.
    pub(super) process: u32,
    /// Whether this is a forked child's copy that has not been reset since: a reset then only drops the copy, and does
    /// not begin an epoch, which would empty the parent's counter when the two are merged.
    pub(super) forked: bool,
    /// The writers whose hits were inherited over forks, and are among the counter's own.
    pub(super) inherited: Vec<Writer>,
    pub(super) epoch: u64,
    pub(super) others: BTreeMap<Writer, Copied>,
    /// Tallies of other writers' counters; they outlive a reset.
    pub(super) tallies: BTreeMap<Replica, Outcomes>,
    /// The largest tallies ever answered: while a slot is being reused its hits are missing from a sum for a moment.
    pub(super) floor: Outcomes,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            writer: Writer { replica: Replica::new(), generation: 0 },
            process: std::process::id(),
            forked: false,
            inherited: Vec::new(),
            epoch: 0,
            others: BTreeMap::new(),
            tallies: BTreeMap::new(),
            floor: Outcomes::default(),
        }
    }
}
