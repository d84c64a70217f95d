//! Reads the lives of a file for a flusher: the total of each life, and the counts of all its slots.
//!
//! As for [`changed`](super::changed), recorders do no extra work. The flusher remembers what it has written of each life, by its number.
//!
//! Tests: `tests/store`.

use super::changed::Now;
use super::format::lives::Life;
use super::ledger::SharedLedger;
use crate::cell::writer::Writer;
use crate::time::Tick;

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
    /// What the slots have from former writers.
    pub former: Vec<(Writer, Vec<(Tick, u64)>)>,
}

impl SharedLedger {
    /// How many lives have begun in the file. Their numbers are below that.
    pub(crate) fn lives(&self) -> usize {
        self.core().lives().begun()
    }

    /// The tick of now.
    pub(crate) fn now(&self) -> Tick {
        self.core().times.tick()
    }

    /// Whether the life takes hits.
    pub(crate) fn is_living(&self, life: usize) -> bool {
        self.core().lives().get(life).is_some_and(Life::is_alive)
    }

    /// Calls `each` with the number and the total, as in [`LifeCells`], of every life of the file's own.
    pub(crate) fn look(&self, mut each: impl FnMut(usize, Option<u64>)) {
        for life in self.core().lives().iter().filter(|life| !life.is_merged() && life.name() != 0) {
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
        self.core().each_life(wanted, |Now { life, endpoint, writer, total, cells, shares }| {
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
}
