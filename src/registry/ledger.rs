//! Who counts here, what was removed, and what was ever counted.

use std::collections::BTreeMap;

use super::core::Core;
use super::map::Found;
use crate::endpoint::Gone;
use crate::sync::MutexGuard;
use crate::time::Tick;
use crate::totals::Totals;
use crate::writer::Replica;

/// What only rare operations need; they take turns under its lock.
#[derive(Debug)]
pub struct Ledger {
    /// Under which this registry's generations are known elsewhere. A restore and a fork begin another.
    pub replica: Replica,
    /// The process that `replica` counts in.
    process: u32,
    /// Whether this is a forked child's copy that has not been cleared since.
    forked: bool,
    /// Replicas whose hits were inherited over forks, and are among this registry's own.
    pub inherited: Vec<Replica>,
    /// Totals of other replicas; those of this one's former lives among them.
    pub totals: BTreeMap<Replica, Totals>,
    /// What this registry's own tallies stood at when `replica` began.
    pub began: Totals,
    /// The largest totals ever answered: while hits move from an endpoint to the tallies they are missing for a moment.
    floor: Totals,
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Graves {
    /// The highest epoch seen.
    pub epoch: u64,
    /// By name: the epoch that begins after it, and when that was.
    pub removed: BTreeMap<Box<str>, (u64, Tick)>,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            replica: Replica::new(),
            process: std::process::id(),
            forked: false,
            inherited: Vec::new(),
            totals: BTreeMap::new(),
            began: Totals::default(),
            floor: Totals::default(),
        }
    }

    /// Begins another life, whose own totals begin at `own`.
    pub fn begin(&mut self, own: Totals) {
        self.replica = Replica::new();
        self.began = own;
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
        let others = ledger.totals.values().fold(Totals::default(), |sum, &totals| sum.plus(totals));
        ledger.floor = ledger.floor.max(self.own_totals().minus(ledger.began).plus(others));
        ledger.floor
    }

    /// The epoch in which an endpoint of `name` begins.
    pub fn epoch_of_removed(&self, name: &str) -> u64 {
        self.graves.lock().removed.get(name).map_or(0, |&(epoch, _)| epoch)
    }

    /// Keeps no more removals in mind than there may be endpoints, as long as those that go are out of every window.
    ///
    /// Not earlier: a registry that forgot a removal begins the name's next endpoint in the first epoch, and a merge with
    /// one that remembers it takes that endpoint for an older one.
    pub fn forget_graves(&self, horizon: Tick) {
        let slots = self.geometry().slots() as u64;
        let mut graves = self.graves.lock();
        if graves.removed.len() > self.max_endpoints() {
            graves.removed.retain(|_, &mut (_, at)| at.0 + slots > horizon.0);
        }
    }

    /// Notes that the lives of `name` before `epoch` are over.
    pub fn note_epoch(&self, name: &str, epoch: u64, at: Tick) {
        let mut graves = self.graves.lock();
        let grave = graves.removed.entry(name.into()).or_insert((epoch, at));
        *grave = (grave.0.max(epoch), grave.1.max(at));
    }

    pub fn remove(&self, name: &str) -> bool {
        let guard = self.guard();
        let Some(endpoint) = self.get(name, &guard).map(Found::reach) else { return false };
        {
            // Before the endpoint ends: whoever makes the next one of the name sees the epoch.
            let mut graves = self.graves.lock();
            graves.epoch += 1;
            let grave = (graves.epoch, self.newest().max(self.times().tick()));
            graves.removed.insert(name.into(), grave);
        }
        let _ = endpoint.end(Gone::Removed, self.shared());
        self.take_out(name, endpoint)
    }

    pub fn clear(&self) {
        let mut ledger = self.ledger();
        let guard = self.guard();
        let mut names: Vec<Box<str>> = self.all(&guard).map(|(name, _)| name.into()).collect();
        // In an order that can be told afterwards.
        names.sort_unstable();
        for name in names {
            if !ledger.forked {
                self.remove(&name);
            } else if let Some(endpoint) = self.get(&name, &guard).map(Found::reach) {
                let _ = endpoint.end(Gone::Removed, self.shared());
                self.take_out(&name, endpoint);
            }
        }
        if ledger.forked {
            ledger.forked = false;
            ledger.inherited.clear();
        }
    }
}
