//! Lists the endpoints whose totals have changed since the last call, for callers that keep the counts in a database or on
//! another host.
//!
//! The caller remembers the total of each life ([`Marks`], 8 bytes a life in its own memory), and gets the lives whose total is
//! different now. Recorders do no extra work for it.
//!
//! | reported | is |
//! |---|---|
//! | a cell | all hits of its writer in that tick, so a later one replaces it, and reporting it twice changes nothing |
//! | the total | all hits since the life began; read before the cells, so that the cells have every hit of it |
//! | a hit that comes meanwhile | in the cells or not; it changes the total, so the endpoint is reported again next time |
//! | a hit whose process was killed between slot and total | not reported until the next hit, or the next [`Marks::forget`] |
//!
//! Hits that were merged into the file are not reported, because their own registry reports them. Hits of the file's former
//! writers, from before a boot, are reported once more under these writers when marks begin anew.
//!
//! Tests: `tests/shared/changed.rs`.

use super::book::Book;
use super::core::Core;
use super::format::frozen::{self, Share, Shares};
use super::format::lives::Life;
use super::registry::SharedRegistry;
use crate::cell::writer::{Replica, Writer};
use crate::time::Tick;

/// The totals that were reported of a registry, for [`SharedRegistry::changed`].
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// The file that they are of.
    replica: Option<Replica>,
    /// The total of each life, as it was reported.
    totals: Vec<u64>,
}

impl Marks {
    /// Marks without totals, with which the next call reports everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next call report everything once more. Call it now and then.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// An endpoint whose hits have changed since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed<'a> {
    /// Its name.
    pub endpoint: &'a str,
    /// The writer that counted these hits: the file, and which of its lives, from 1 on. Cells of one writer and tick only grow.
    pub writer: Writer,
    /// The epoch in which it counts. It grows with each removal in the file, so that it is larger after a removal of this name.
    pub epoch: u64,
    /// All hits of the life, also those from before a boot; of a former writer, the hits that are reported. A few hits that come
    /// meanwhile may be in the cells, and not in the total.
    pub total: u64,
    /// The hits of each tick that has some, from the tick that was asked for on, oldest first. Ticks are those of the registry's
    /// resolution since 1970.
    pub cells: &'a [(Tick, u64)],
}

impl SharedRegistry {
    /// Reports every endpoint whose total is not what `marks` remembers, with its hits in the ticks from `since` on, and remembers
    /// the new total; answers how many reports there were.
    ///
    /// Hits may come late, by the slack: ask for that much more than the time since the last time. Marks of another file, or of
    /// this one before a restore or a boot, begin anew. Wait-free but for the allocator; reads the totals of all lives, and the
    /// slots of those that have changed.
    ///
    /// ```
    /// use hitring::{SharedRegistry, Tick, shared::Marks};
    ///
    /// let path = std::env::temp_dir().join(format!("changed-{}.ring", std::process::id()));
    /// let registry = SharedRegistry::builder().max_endpoints(10).create(&path)?;
    /// let mut marks = Marks::new();
    /// registry.record_hit("/home", 2)?;
    /// let told = registry.changed(&mut marks, Tick(0), |changed| {
    ///     assert_eq!((changed.endpoint, changed.total), ("/home", 2));
    ///     assert_eq!(changed.cells.iter().map(|(_, hits)| hits).sum::<u64>(), 2);
    /// });
    /// assert_eq!((told, registry.changed(&mut marks, Tick(0), |_| ())), (1, 0));
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn changed(&self, marks: &mut Marks, since: Tick, tell: impl FnMut(Changed<'_>)) -> usize {
        self.core().changed(marks, since, tell)
    }

    /// The replica under which other registries know the hits of this file. A copy that was opened for writing, and the file after
    /// a boot or a restore, has another.
    #[must_use]
    pub fn replica(&self) -> Replica {
        self.core().header.replica
    }

    /// The number of the file. Compacting, copying and restoring it keep the number. Other files have other numbers.
    #[cfg(feature = "server")]
    pub(crate) fn lineage(&self) -> [u8; 16] {
        self.core().header.lineage()
    }

    /// Whether little room is left, and removed endpoints have a fourth of the room that is taken.
    #[cfg(feature = "server")]
    pub(crate) fn is_wasteful(&self) -> bool {
        super::renew::is_wasteful(self.core().book())
    }

    /// The writer that counts the hits of `endpoint` here now; `None` if the endpoint does not exist.
    #[must_use]
    pub fn writer(&self, endpoint: &str) -> Option<Writer> {
        let core = self.core();
        core.alive(endpoint).map(|life| core.book().own(life))
    }

    /// The epoch in which the hits of `endpoint` are counted; 0 if the endpoint does not exist. It grows with each removal in the
    /// file, so that it is larger after a removal of this name.
    #[must_use]
    pub fn epoch(&self, endpoint: &str) -> u64 {
        self.core().alive(endpoint).map_or(0, |life| life.epoch())
    }

    /// Every endpoint with its hits of all time ([`total_ever`](Self::total_ever)), in one pass, in no order.
    #[must_use]
    pub fn totals_ever(&self) -> Vec<(String, u64)> {
        let core = self.core();
        core.book().alive().filter_map(|life| Some((core.name_of(life)?, core.book().total(life)))).collect()
    }
}

/// A life of the file's own as it is now.
#[derive(Debug)]
pub(super) struct Now<'a, T> {
    pub life: Life<'a>,
    pub endpoint: &'a str,
    pub writer: Writer,
    /// The answer of `wanted`, which was read before the cells.
    pub total: T,
    /// Its own hits, all that the slots have, oldest first.
    pub cells: &'a [(Tick, u64)],
    /// The hits of former writers in the slots.
    pub shares: Option<&'a Shares>,
}

impl Core {
    fn changed(&self, marks: &mut Marks, since: Tick, mut tell: impl FnMut(Changed<'_>)) -> usize {
        let replica = self.header.replica;
        let is_new = marks.replica != Some(replica);
        if is_new {
            *marks = Marks { replica: Some(replica), totals: Vec::new() };
        }
        marks.totals.resize(marks.totals.len().max(self.lives().begun()), 0);
        let mut told = 0;
        let totals = std::cell::Cell::from_mut(&mut marks.totals[..]).as_slice_of_cells();
        let wanted = |life: Life<'_>| {
            // A life that has begun since then is reported next time.
            let mark = totals.get(life.index())?.get();
            Some(life.total()).filter(|&total| total != mark && life.is_alive())
        };
        self.each_life(wanted, |Now { life, endpoint, writer, total, cells, shares }| {
            for (&writer, Share { epoch, cells: former }) in shares.into_iter().flatten().filter(|_| is_new) {
                let cells: Vec<(Tick, u64)> = former.range(since..).map(|(&tick, &count)| (tick, count)).collect();
                let total = cells.iter().fold(0u64, |sum, &(_, count)| sum.saturating_add(count));
                tell(Changed { endpoint, writer, epoch: *epoch, total, cells: &cells });
                told += 1;
            }
            let cells = &cells[cells.partition_point(|&(tick, _)| tick < since)..];
            tell(Changed { endpoint, writer, epoch: life.epoch(), total, cells });
            totals[life.index()].set(total);
            told += 1;
        });
        told
    }

    /// Reports every life of the file's own for which `wanted` answers something, a total say. Reads the hits after that.
    pub(super) fn each_life<T>(&self, mut wanted: impl FnMut(Life<'_>) -> Option<T>, mut tell: impl FnMut(Now<'_, T>)) {
        let book: Book<'_> = self.book();
        // Most files do not have frozen cells.
        let mut frozen = book.frozen_lives().peekable();
        let mut cells = Vec::new();
        for life in self.lives().iter() {
            if life.is_merged() || life.name() == 0 {
                continue;
            }
            let Some(total) = wanted(life) else { continue };
            let Some(name) = self.name_of(life) else { continue };
            while frozen.next_if(|&(of, _)| of < life.index()).is_some() {}
            let shares = frozen.next_if(|&(of, _)| of == life.index()).map(|(_, shares)| shares);
            cells.clear();
            let own = frozen::without(book.row(life), shares.as_ref());
            cells.extend(own.into_iter().map(|cell| (cell.tick, cell.count)));
            cells.sort_unstable();
            let writer = book.own(life);
            tell(Now { life, endpoint: &name, writer, total, cells: &cells, shares: shares.as_ref() });
        }
    }
}
