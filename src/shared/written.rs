//! What a database writes down of a file: each life of its own, with all hits of its slots.
//!
//! As for [`changed`](super::changed), recorders do nothing for it: whoever writes remembers what it knows of each life, by its number.
//!
//! Tests: `tests/store`.

use super::changed::Now;
use super::format::lives::Life;
use super::ledger::SharedLedger;
use crate::cell::writer::Writer;
use crate::time::Tick;

/// What there is to write down of a life.
#[derive(Debug)]
pub struct Written<'a> {
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

    /// Looks at every life of the file's own: its number, and its total as in [`Written`].
    pub(crate) fn look(&self, mut each: impl FnMut(usize, Option<u64>)) {
        for life in self.core().lives().iter().filter(|life| !life.is_merged() && life.name() != 0) {
            each(life.index(), self.standing(life));
        }
    }

    /// Tells of every life that is `wanted`, by its number and its total.
    pub(crate) fn write_down(
        &self,
        mut wanted: impl FnMut(usize, Option<u64>) -> bool,
        mut tell: impl FnMut(&Written<'_>),
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
            tell(&Written { life: life.index(), endpoint, epoch: life.epoch(), writer, total, cells, former });
        });
    }

    fn standing(&self, life: Life<'_>) -> Option<u64> {
        life.is_alive().then(|| self.counted_in(life))
    }
}
