//! Which replica counts here, and what was ever counted.

use super::core::Core;
use super::replicas::Replicas;
use crate::cell::totals::Totals;
use crate::cell::writer::Replica;
use crate::sync::MutexGuard;

/// What only rare operations need; they take turns under its lock.
#[derive(Debug)]
pub struct Ledger {
    /// Under which this registry's generations are known elsewhere. A restore and a fork begin another.
    pub replica: Replica,
    /// The process that `replica` counts in.
    process: u32,
    /// Whether this is a forked child's copy that has not been cleared since.
    pub forked: bool,
    /// Replicas whose hits were inherited over forks, and are among this registry's own.
    pub inherited: Vec<Replica>,
    /// Totals of other replicas.
    pub others: Replicas,
    /// What this registry's own tallies stood at when `replica` began.
    pub began: Totals,
    /// The largest own totals seen since then: while hits move from an endpoint to the tallies they are missing for a moment.
    pub own: Totals,
    /// The largest totals ever answered.
    floor: Totals,
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

impl Core {
    /// The ledger, under a replica of this process.
    ///
    /// A forked child has its parent's hits in its own memory and counts on in it. It becomes a replica of its own, whose
    /// hits include the inherited ones; merging them with the parent's would count those twice, so they are noted.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger.lock();
        let process = std::process::id();
        if ledger.process != process {
            let parent = std::mem::take(&mut ledger.replica);
            ledger.inherited.push(parent);
            ledger.forked = true;
            ledger.process = process;
        }
        ledger
    }

    /// What this registry has counted by itself, in all its lives.
    pub fn own_totals(&self) -> Totals {
        let (shared, mut outcomes) = (self.shared(), self.noted());
        let guard = self.guard();
        for (_, endpoint) in self.all(&guard) {
            outcomes = outcomes.plus(endpoint.reach().outcomes(shared));
        }
        let (pruned_events, pruned_endpoints) = self.aging.pruned();
        Totals { outcomes, pruned_events, pruned_endpoints }
    }

    /// What was ever counted, here and elsewhere; it never goes down but over a restore.
    pub fn totals(&self, ledger: &mut Ledger) -> Totals {
        ledger.own = ledger.own.max(self.own_totals().minus(ledger.began));
        ledger.floor = ledger.floor.max(ledger.own.plus(ledger.others.sum()));
        ledger.floor
    }
}
