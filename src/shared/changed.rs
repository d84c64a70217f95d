//! What has more hits than last time, for those who keep the counts elsewhere: in a database, at another host.
//!
//! Whoever asks remembers the total of each life ([`Marks`], 8 bytes a life in its own memory), and is told of those whose total is
//! another now. Recorders do nothing for it.
//!
//! | what is told | is |
//! |---|---|
//! | a cell | all hits of its writer in that tick, so a later one replaces it, and telling it twice changes nothing |
//! | the total | of all hits since the life began; read before the cells, so that no hit of it is missing in them |
//! | a hit that comes meanwhile | in the cells or not; its total is another, so the endpoint is told again next time |
//! | a hit whose process was killed between slot and total | not told until the next hit. [`Marks::forget`] lets all be told, now and then |
//!
//! Hits that were merged into the file are their own registry's to tell. Those of the file's former writers, from before a boot,
//! are told under these once more when marks begin anew.
//!
//! Tests: `tests/shared/changed.rs`.

use super::book::Book;
use super::core::Core;
use super::format::frozen::{self, Share, Shares};
use super::format::lives::Life;
use super::registry::SharedRegistry;
use crate::cell::writer::{Replica, Writer};
use crate::time::Tick;

/// What was told of a registry, for [`SharedRegistry::changed`].
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Of which file it is.
    replica: Option<Replica>,
    /// The total of each life, as it was told.
    totals: Vec<u64>,
}

impl Marks {
    /// Nothing was told yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything be told once more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// An endpoint that has other hits than it was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed<'a> {
    /// Its name.
    pub endpoint: &'a str,
    /// Who counted these hits: the file, and which of its lives, from 1 on. Cells of one writer and tick only grow.
    pub writer: Writer,
    /// In which it counts: a number that grows with each removal in the file, and is larger after one of this name than before.
    pub epoch: u64,
    /// All hits of the life, also those from before a boot; of a former writer, those that are told. A few that come meanwhile may be in
    /// the cells, and not in this.
    pub total: u64,
    /// The hits of each tick that has some, from the tick that was asked for on, oldest first. Ticks are those of the registry's
    /// resolution since 1970.
    pub cells: &'a [(Tick, u64)],
}

impl SharedRegistry {
    /// Tells of every endpoint whose total is not what `marks` remembers, with its hits in the ticks from `since` on, and
    /// remembers it; answers how many there were.
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

    /// Under which the hits of this file are known elsewhere. A copy that was opened for writing, and the file after a boot or a
    /// restore, has another.
    #[must_use]
    pub fn replica(&self) -> Replica {
        self.core().header.replica
    }

    /// Which file it is: compacting, copying and restoring it leave this as it is. Another file has another.
    #[cfg(feature = "server")]
    pub(crate) fn lineage(&self) -> [u8; 16] {
        self.core().header.lineage()
    }

    /// Whether little room is left, and a fourth of what is taken is of removed endpoints.
    #[cfg(feature = "server")]
    pub(crate) fn is_wasteful(&self) -> bool {
        super::renew::is_wasteful(self.core().book())
    }

    /// Who counts the hits of `endpoint` here, now; `None` if there is no such endpoint.
    #[must_use]
    pub fn writer(&self, endpoint: &str) -> Option<Writer> {
        let core = self.core();
        core.alive(endpoint).map(|life| core.book().own(life))
    }

    /// In which epoch the hits of `endpoint` are counted, 0 if there is no such endpoint: a number that grows with each removal in the
    /// file, and is larger after one of this name than before.
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
    /// What was read of it first.
    pub total: T,
    /// Its own hits, all that the slots have, oldest first.
    pub cells: &'a [(Tick, u64)],
    /// What the slots have from former writers.
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
            // One that has begun since then comes next time.
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

    /// Tells of every life of the file's own for which `wanted` answers something, a total say, with its hits, which are read after that.
    pub(super) fn each_life<T>(&self, mut wanted: impl FnMut(Life<'_>) -> Option<T>, mut tell: impl FnMut(Now<'_, T>)) {
        let book: Book<'_> = self.book();
        // Most files have none.
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
