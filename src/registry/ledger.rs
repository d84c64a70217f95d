//! The replica that counts here, and the totals of all that was ever counted.
//!
//! Tests: `tests/registry`.

use super::replicas::Replicas;
use crate::cell::totals::Totals;
use crate::cell::writer::Replica;

/// State that only rare operations need; they take turns under its lock.
#[derive(Debug)]
pub struct Ledger {
    /// The replica under which other registries know this one's generations. A restore and a fork begin another.
    pub replica: Replica,
    /// The process that `replica` counts in.
    pub(super) process: u32,
    /// Whether this is a forked child's copy that has not been cleared since.
    pub forked: bool,
    /// Replicas whose hits were inherited over forks, and are among this registry's own.
    pub inherited: Vec<Replica>,
    /// Totals of other replicas.
    pub others: Replicas,
    /// This registry's own tallies when `replica` began.
    pub began: Totals,
    /// The largest own totals seen since then: while hits move from an endpoint to the tallies they are missing for a moment.
    pub own: Totals,
    /// The largest totals ever answered.
    pub(super) floor: Totals,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            replica: Replica::new(),
            process: std::process::id(),
            forked: false,
            inherited: Vec::new(),
            others: Replicas::default(),
            began: Totals::default(),
            own: Totals::default(),
            floor: Totals::default(),
        }
    }

    /// Begins another life, whose own totals begin at `own`.
    pub fn begin(&mut self, own: Totals) {
        self.replica = Replica::new();
        self.began = own;
        self.own = Totals::default();
        self.floor = Totals::default();
    }
}
