//! What a server's database needs of a file beside the [ledger](super::ledger): the lives to flush, and totals to restore.
//!
//! Reads the lives of a file for a flusher: the total of each life, and the counts of all its slots.
//!
//! As for [`changed`](super::changed), recorders do no extra work. The flusher remembers what it has written of each life, by its number.
//!
//! Tests: `tests/store`.

use super::changed::Now;
use super::format::lives::Life;
use super::ledger::{LedgerEntry, SharedLedger};
use crate::cell::form::Cell;
use crate::cell::writer::Writer;
use crate::sync::Ordering;
use crate::time::Tick;

/// The lane of the ledger's life with restored hits.
const RESTORED: usize = 1;

/// The totals and cells of one life.
#[derive(Debug)]
pub struct LifeCells<'a> {
    /// Its number.
    pub life: usize,
    pub endpoint: &'a str,
    pub epoch: u64,
    pub writer: Writer,
    /// All its hits that are not the ledger's; `None` if it has ended.
    pub total: Option<u64>,
    /// Its own hits, all that the slots have, oldest first. A few may have come after the total was read.
    pub cells: &'a [(Tick, u64)],
    /// The hits of former writers in the slots.
    pub former: Vec<(Writer, Vec<(Tick, u64)>)>,
}

impl SharedLedger {
    /// How many lives have begun in the file. Their numbers are below that.
    pub(crate) fn lives(&self) -> usize {
        self.core.lives().begun()
    }

    /// The tick of now.
    pub(crate) fn now(&self) -> Tick {
        self.core.times.tick()
    }

    /// Whether the life takes hits.
    pub(crate) fn is_living(&self, life: usize) -> bool {
        self.core.lives().get(life).is_some_and(Life::is_alive)
    }

    /// Calls `each` with the number and the total, as in [`LifeCells`], of every life of the file's own.
    pub(crate) fn look(&self, mut each: impl FnMut(usize, Option<u64>)) {
        for life in self.core.lives().iter().filter(|life| !life.is_merged() && life.name() != 0) {
            each(life.index(), self.standing(life));
        }
    }

    /// Calls `tell` with every life that is `wanted`, by its number and its total.
    pub(crate) fn read_lives(
        &self,
        mut wanted: impl FnMut(usize, Option<u64>) -> bool,
        mut tell: impl FnMut(&LifeCells<'_>),
    ) {
        let wanted = |life: Life<'_>| {
            let total = self.standing(life);
            wanted(life.index(), total).then_some(total)
        };
        self.core.each_life(wanted, |Now { life, endpoint, writer, total, cells, shares }| {
            let cells_of = |share: &super::format::frozen::Share| {
                share.cells.iter().map(|(&tick, &count)| (tick, count)).collect()
            };
            let former = shares.into_iter().flatten().map(|(&writer, share)| (writer, cells_of(share))).collect();
            tell(&LifeCells { life: life.index(), endpoint, epoch: life.epoch(), writer, total, cells, former });
        });
    }

    fn standing(&self, life: Life<'_>) -> Option<u64> {
        life.is_alive().then(|| self.counted_in(life))
    }

    /// All hits of `endpoint` that are not the ledger's.
    pub(crate) fn counted(&self, endpoint: &str) -> u64 {
        self.core.alive(endpoint).map_or(0, |life| self.counted_in(life))
    }

    /// All hits of a life that are not the ledger's.
    fn counted_in(&self, life: Life<'_>) -> u64 {
        if life.merged().load(Ordering::Relaxed) == 0 {
            return life.total();
        }
        let hits = self.core.book().merged(life).map(|other| match other.writer() {
            Some(writer) if writer == self.writer => other.lane(RESTORED).load(Ordering::Acquire),
            _ => other.total(),
        });
        hits.fold(life.total(), u64::saturating_add)
    }

    /// Raises the hits that are not the ledger's to `counted`, because the database has seen as many. Other processes may record meanwhile.
    pub(crate) fn restore_total(&self, entry: LedgerEntry, counted: u64) {
        let (Some(own), Some(ledger)) = (self.life(entry.own), self.life(entry.ledger)) else { return };
        let restored = ledger.lane(RESTORED);
        let without = self.counted_in(own).saturating_sub(restored.load(Ordering::Acquire));
        restored.fetch_max(counted.saturating_sub(without), Ordering::AcqRel);
    }

    /// Whether another ledger has shown hits of `endpoint` here since this one did: another database was beside the file.
    pub(crate) fn is_superseded(&self, endpoint: &str) -> bool {
        let Some(own) = self.core.alive(endpoint) else { return false };
        // The latest comes first.
        let latest = self.core.book().merged(own).find(|other| other.total() > 0);
        latest.is_some_and(|latest| latest.writer() != Some(self.writer))
    }

    /// Whether the slots of the file's own lives have cells of the ledger, as after a restore from a snapshot.
    pub(crate) fn is_frozen(&self) -> bool {
        self.core.book().frozen_lives().any(|(_, shares)| shares.contains_key(&self.writer))
    }

    /// The hits that the slots of the ledger have.
    pub(crate) fn cells(&self, entry: LedgerEntry) -> Vec<Cell> {
        self.life(entry.ledger).map_or_else(Vec::new, |life| self.core.book().row(life).collect())
    }

    /// The living life of `endpoint`, and its epoch.
    pub(crate) fn living(&self, endpoint: &str) -> Option<(usize, u64)> {
        self.core.alive(endpoint).map(|life| (life.index(), life.epoch()))
    }

    /// Whether the file was cut or replaced.
    pub(crate) fn is_gone(&self) -> bool {
        self.core.file.is_gone()
    }
}
