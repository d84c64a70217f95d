//! Recovery: makes the ring and the database agree before the server listens.
//!
//! | step | needed because |
//! |---|---|
//! | adopt the ring | the ring file is another one than before and has epochs of its own; the rows take them over |
//! | end removals | the server was killed during a removal |
//! | delete rows of removed names | another process removed the names while no server ran |
//! | end lives of earlier epochs | the ring is an older one, without the removal that the rows record |
//! | begin a new ledger | another database was beside the ring meanwhile, or a snapshot was restored: hits of the ledger lie in other lives |
//! | take back lost cells | the ring was renewed (after a boot, or in a copy) or is new, so the database may have more hits |
//! | show the rows: the ledger, and totals that the ring lost | the server was killed between a commit and the ring, or the ring is an older one |
//! | begin the endpoints of rows and resources | the same |
//! | remove strays | the server was killed before it committed a resource: its endpoint has an id that a server made, but hits and a row are missing |
//!
//! # What a ring can lose
//! The kernel owns the pages of the ring, so a killed server loses nothing. A machine that fails loses the pages that were not written
//! back, and a file can be deleted or be put back from a backup. So a start compares every total: `endpoint.counted` is how many hits of
//! the name were ever seen in any ring. The hits that the ring lacks are shown in the life of the ledger (`restored`), so that the ring's
//! own total and these are `counted` again. That is right for every ring that is put in the place, and doing it twice changes nothing. If
//! another process records before the server starts, as many of its hits may stand in for lost ones; the value is never too high.
//!
//! If the ring counts under another replica than `meta.writer` names, cells may be missing, too. The flushed cells inside the window are
//! merged, each under the replica that counted it. Merging them twice changes nothing.
//!
//! A start that is killed during any step leaves the step to the next start.
//!
//! Tests: `tests/store`.

use std::collections::HashSet;

use rusqlite::Connection;

use super::commit::Committer;
use super::endpoints;
use super::open::OpenError;
use super::{flushed, resources};
use crate::shared::{SharedRegistry, Told};
use crate::store::{Base, StoreError};

/// How many cells one merge takes back.
const CELLS: usize = 4_000_000;

/// What a start found left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Removals that it ended.
    pub removals: usize,
    /// Rows of names that were removed by others.
    pub dead: usize,
    /// Resources whose endpoints it began.
    pub begun: usize,
    /// Endpoints that it removed, as the making of their resources was not committed.
    pub uncommitted: usize,
    /// Hits that the ring's totals had lost.
    pub lost: u64,
    /// Names whose hits do not fit the ring. Their values would be wrong.
    pub unshown: usize,
    /// Resources that do not fit the ring.
    pub without_room: usize,
}

impl Committer {
    /// Does what a killed server left. `endpoint_of` says where the hits of a resource are, and `is_made` whether an endpoint is of an id
    /// that a server made.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn recover(
        &mut self,
        endpoint_of: impl Fn(&str) -> Option<String>,
        is_made: impl Fn(&str) -> bool,
    ) -> Result<Recovered, OpenError> {
        let mut recovered = Recovered::default();
        self.adopt()?;
        self.end_removals(&mut recovered)?;
        self.remove_dead_rows(&mut recovered)?;
        self.align_epochs()?;
        self.check_ledger()?;
        self.take_back(&mut recovered)?;
        self.show_rows(&mut recovered)?;
        self.begin_resources(&mut recovered, endpoint_of, is_made)?;
        Ok(recovered)
    }

    /// Gives the rows the epochs of another ring. The removals name epochs of the former ring, so they are deleted.
    fn adopt(&mut self) -> Result<(), OpenError> {
        let (known, lineage) = (self.database.ring()?, self.ring.lineage());
        if known == Some(lineage) {
            return Ok(());
        }
        self.change(|connection, ledger| {
            connection.execute("UPDATE meta SET ring = ?1", [lineage])?;
            if known.is_none() {
                // The rows belong to no other ring.
                return Ok(());
            }
            connection.execute("DELETE FROM removal", [])?;
            let mut others = Vec::new();
            endpoints::each(connection, |name, found| {
                let epoch = ledger.epoch_of(name);
                others.extend((epoch != found.epoch).then_some((found.id, epoch)));
                Ok::<_, rusqlite::Error>(())
            })?;
            let mut adopt = connection.prepare("UPDATE endpoint SET epoch = ?2 WHERE id = ?1")?;
            for (id, epoch) in others {
                adopt.execute((id, epoch as i64))?;
            }
            Ok(())
        })
    }

    fn end_removals(&mut self, recovered: &mut Recovered) -> Result<(), OpenError> {
        let ring = &self.ring;
        let in_ring = |error: &dyn std::fmt::Display| OpenError::Ring {
            why: format!("a removal could not be ended in the ring: {error}"),
        };
        let removals = resources::removals(&self.database.connection).map_err(|error| self.database.error(error))?;
        for (endpoint, epoch) in &removals {
            if ring.contains(endpoint) && ring.epoch(endpoint) <= *epoch {
                ring.remove(endpoint).map_err(|error| in_ring(&error))?;
                recovered.removals += 1;
            }
        }
        if recovered.removals > 0 {
            ring.sync().map_err(|error| in_ring(&error))?;
        }
        if removals.is_empty() {
            return Ok(());
        }
        self.change(|connection, _| connection.execute("DELETE FROM removal", []).map(drop))
    }

    fn remove_dead_rows(&mut self, recovered: &mut Recovered) -> Result<(), OpenError> {
        let mut dead = Vec::new();
        let each = endpoints::each(&self.database.connection, |name, found| {
            if found.epoch < self.ledger.epoch_of(name) {
                dead.push((name.to_owned(), found.epoch));
            }
            Ok::<_, rusqlite::Error>(())
        });
        each.map_err(|error| self.database.error(error))?;
        recovered.dead = dead.len();
        if dead.is_empty() {
            return Ok(());
        }
        self.change(|connection, _| {
            dead.iter().try_for_each(|(name, epoch)| endpoints::remove(connection, name, *epoch))
        })
    }

    /// Ends lives in the ring that are of an earlier epoch than their rows. The ring is an older one: a removal is missing in it.
    fn align_epochs(&mut self) -> Result<(), OpenError> {
        let mut later = Vec::new();
        let each = endpoints::each(&self.database.connection, |name, found| {
            later.extend((found.epoch > self.ledger.epoch_of(name)).then(|| (name.to_owned(), found.epoch)));
            Ok::<_, rusqlite::Error>(())
        });
        each.map_err(|error| self.database.error(error))?;
        // A name without room is found again when its row is shown.
        later.iter().for_each(|(name, epoch)| _ = self.ledger.begin_epoch(name, *epoch));
        Ok(())
    }

    /// Takes back the cells that the ring lost, if it may have lost some.
    fn take_back(&mut self, recovered: &mut Recovered) -> Result<(), OpenError> {
        let is_same = |former, ring: &SharedRegistry| former == Some(ring.replica());
        if is_same(self.database.writer()?, &self.ring) {
            return Ok(());
        }
        if self.ledger.is_frozen() {
            self.begin_ledger()?;
        }
        if self.database.writer()?.is_some() {
            self.take_back_cells(recovered)?;
        }
        // Else the next start takes them back, in a larger ring.
        if recovered.unshown == 0 {
            let replica = self.ring.replica();
            self.change(|connection, _| flushed::set_writer(connection, replica))?;
        }
        self.attach()
    }

    /// Begins a ledger of its own, because the ring has hits of the former one that are not in its life.
    fn begin_ledger(&mut self) -> Result<(), OpenError> {
        self.change(|connection, _| flushed::begin_ledger(connection))?;
        self.attach()
    }

    /// Another database may have been beside the ring. What it took over from this ledger must not be shown a second time.
    fn check_ledger(&mut self) -> Result<(), OpenError> {
        let mut is_superseded = false;
        let each = endpoints::each(&self.database.connection, |name, found| {
            is_superseded = is_superseded || found.committed > 0 && self.ledger.is_superseded(name);
            Ok::<_, rusqlite::Error>(())
        });
        each.map_err(|error| self.database.error(error))?;
        if is_superseded { self.begin_ledger() } else { Ok(()) }
    }

    fn take_back_cells(&mut self, recovered: &mut Recovered) -> Result<(), OpenError> {
        let database = &self.database;
        let mut told: Vec<Told> = Vec::new();
        let (mut cells, mut without_cells) = (0, 0);
        let mut give = |told: &mut Vec<Told>| {
            let back = std::mem::take(told);
            self.ring
                .take_back(&back)
                .map(|without| without_cells += without)
                .map_err(|error| OpenError::Ring { why: error.to_string() })
        };
        let failed = |error| database.error(error);
        let mut error = Ok(());
        flushed::each(&database.connection, self.ring.oldest(), |of| {
            cells += of.cells.len();
            let is_next = told.last().is_none_or(|last| last.endpoint != of.endpoint);
            if is_next && cells > CELLS && error.is_ok() {
                error = give(&mut told);
                cells = 0;
            }
            told.push(of);
        })
        .map_err(failed)?;
        error?;
        give(&mut told)?;
        recovered.unshown = without_cells;
        Ok(())
    }

    /// Shows what the database has, and begins the endpoints of rows that the ring has not.
    fn show_rows(&mut self, recovered: &mut Recovered) -> Result<(), OpenError> {
        let Self { database, ring, ledger, bases, .. } = self;
        let (mut rows, mut unshown) = (Vec::new(), 0);
        let each = endpoints::each(&database.connection, |name, found| {
            rows.push((name.to_owned(), found));
            Ok::<_, rusqlite::Error>(())
        });
        each.map_err(|error| database.error(error))?;
        for (name, found) in rows {
            if found.epoch < ledger.epoch_of(&name) {
                // Another process has removed the name since the rows were compared. The next flush deletes its row.
                continue;
            }
            let missing = found.counted.saturating_sub(ledger.counted(&name));
            let shown = if found.committed > 0 || missing > 0 {
                ledger.show_row(&database.connection, &name, found).map_err(|error| database.error(error))?
            } else {
                let begun = ledger.begin_epoch(&name, found.epoch);
                begun.and_then(|()| ring.counter(&name).map(drop).map_err(|_| StoreError::NoRoom))
            };
            match shown {
                Ok(()) => recovered.lost += missing,
                Err(StoreError::RingLocked) => {
                    return Err(OpenError::Ring { why: StoreError::RingLocked.to_string() });
                }
                Err(_) => unshown += 1,
            }
            if found.base != 0 {
                bases.set(&name, Base { epoch: found.epoch, base: found.base });
            }
        }
        // The same names, if their cells do not fit either.
        recovered.unshown = recovered.unshown.max(unshown);
        Ok(())
    }

    fn begin_resources(
        &mut self,
        recovered: &mut Recovered,
        endpoint_of: impl Fn(&str) -> Option<String>,
        is_made: impl Fn(&str) -> bool,
    ) -> Result<(), OpenError> {
        let Self { database, ring, .. } = self;
        let mut endpoints = HashSet::new();
        let begin = |id: &str| {
            let Some(endpoint) = endpoint_of(id) else { return };
            if !ring.contains(&endpoint) {
                let begun = ring.counter(&endpoint);
                recovered.begun += usize::from(begun.is_ok());
                recovered.without_room += usize::from(begun.is_err());
            }
            endpoints.insert(endpoint);
        };
        resources::each_id(&database.connection, begin).map_err(|error| database.error(error))?;
        for endpoint in ring.endpoints() {
            if is_made(&endpoint) && !endpoints.contains(&endpoint) && ring.total_ever(&endpoint) == 0 {
                let removed = ring.remove(&endpoint);
                removed.map_err(|error| OpenError::Ring { why: error.to_string() })?;
                recovered.uncommitted += 1;
            }
        }
        Ok(())
    }

    /// Does `change` in one transaction, which is on the disk afterwards.
    fn change(
        &mut self,
        change: impl FnOnce(&Connection, &super::ledger::Ledger) -> rusqlite::Result<()>,
    ) -> Result<(), OpenError> {
        let Self { database, ledger, .. } = self;
        let changed = database.connection.pragma_update(None, "synchronous", "FULL").and_then(|()| {
            let transaction = database.connection.transaction()?;
            change(&transaction, ledger)?;
            transaction.commit()
        });
        changed.map_err(|error| database.error(error))
    }
}
