//! The ledger: hits that the database decides on. The ring shows them.
//!
//! | where | endpoint.committed | cell | the ring's ledger life |
//! |---|---|---|---|
//! | what | all hits of the endpoint in its epoch | its hits of each tick | both, as far as they were raised |
//! | written | in the transaction of a batch | the same | after the commit |
//!
//! All numbers are absolute: what the ring has, plus the hits of the batch. So a batch that was committed and not shown is made good by
//! raising the numbers of the database again, and raising them twice changes nothing.
//!
//! # Epochs
//! A row counts only in its epoch. When an endpoint is taken up, by its first order or at the start:
//!
//! | the row's epoch is | so |
//! |---|---|
//! | below the ring's | the name was removed from the ring: the row begins anew with the next hit |
//! | the ring's | the ring is raised to it |
//! | above the ring's | the ring is an older one: its life of the name ends, and the next one is raised |
//!
//! Tests: `tests/store`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rusqlite::Connection;

use super::endpoints::{self, Found};
use crate::cell::form::Cell;
use crate::cell::outcome::Outcome;
use crate::error::EndpointError;
use crate::shared::{LedgerEntry, NoEntry, SharedLedger, SharedRegistry};
use crate::store::StoreError;
use crate::time::{Tick, Timestamp};

/// How often the lock of the ring is tried: with growing pauses, for 190 ms.
const TRIES: u64 = 20;
/// How often a start begins that anew.
const PATIENCE: u32 = 25;

/// The ledger, in the thread that writes it.
#[derive(Debug)]
pub struct Ledger {
    shared: SharedLedger,
    /// Endpoints whose rows agree with the ring.
    rows: HashMap<String, Row>,
    /// What the batch adds.
    pending: HashMap<String, Pending>,
    /// Whether the batch found the lock of the ring taken.
    is_locked: bool,
    /// For how many ticks the database keeps the hits of a tick, at least.
    keep: u64,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// `None` until it is written.
    id: Option<i64>,
    entry: LedgerEntry,
    /// The cells before this tick are gone.
    kept: u64,
}

#[derive(Debug)]
struct Pending {
    row: Row,
    /// The hits of each tick, absolute.
    cells: BTreeMap<Tick, u64>,
    /// All hits, absolute.
    total: u64,
}

/// Hits that count when the batch is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    entry: LedgerEntry,
    tick: Tick,
    /// All hits of the endpoint, these included.
    pub total: u64,
}

/// Why hits do not count, or the error of SQLite.
type Taken<T> = rusqlite::Result<Result<T, StoreError>>;

impl Ledger {
    /// The ledger of a ring. Its cells are kept for `keep` ticks.
    pub fn new(shared: SharedLedger, keep: u64) -> Self {
        Self { shared, rows: HashMap::new(), pending: HashMap::new(), is_locked: false, keep }
    }

    /// A batch begins.
    pub fn begin(&mut self) {
        self.pending.clear();
        self.is_locked = false;
    }

    /// The entry of `endpoint` in the ring. For the lock of merges it waits a moment, once a batch.
    fn entry(&mut self, endpoint: &str) -> Result<LedgerEntry, StoreError> {
        for pause in 0..TRIES {
            match self.shared.entry(endpoint) {
                Ok(entry) => return Ok(entry),
                Err(NoEntry::Endpoint(EndpointError::Full { .. })) => return Err(StoreError::NoRoom),
                Err(NoEntry::InUse) if self.is_locked => break,
                Err(NoEntry::InUse) => std::thread::sleep(Duration::from_millis(pause)),
                Err(error) => return Err(StoreError::Failed { why: format!("{error:?}") }),
            }
        }
        self.is_locked = true;
        Err(StoreError::RingLocked)
    }

    /// Adds `count` hits of `endpoint` at `at`, or now, to the batch. The transaction is that of `connection`.
    pub fn hit(
        &mut self,
        connection: &Connection,
        ring: &SharedRegistry,
        endpoint: &str,
        count: u64,
        at: Option<Timestamp>,
    ) -> Taken<Hit> {
        // Before a row is made, so that a refused hit does not use one.
        if count > 0 && at.is_some_and(|at| self.shared.is_future(at)) {
            return Ok(Err(StoreError::Refused(Outcome::Future)));
        }
        let row = match self.row(connection, endpoint)? {
            Ok(row) => row,
            Err(error) => return Ok(Err(error)),
        };
        let shared = &self.shared;
        let pending = self.pending.entry(endpoint.to_owned()).or_insert_with(|| Pending {
            row,
            cells: BTreeMap::new(),
            total: shared.total(row.entry),
        });
        let added = |tick: Tick| {
            pending.cells.get(&tick).map_or(0, |count| count.saturating_sub(shared.count(row.entry, tick)))
        };
        let tick = match shared.check(row.entry, at, count, added) {
            Ok(tick) => tick,
            // Another process has removed it since.
            Err(Outcome::Refused) => return Ok(Err(StoreError::Unknown)),
            Err(outcome) => return Ok(Err(StoreError::Refused(outcome))),
        };
        // A later tick of the batch has its slot.
        let has_its_slot = |later: Tick| later > tick && (later.0 - tick.0).is_multiple_of(shared.slots());
        if pending.cells.keys().any(|&later| has_its_slot(later)) {
            return Ok(Err(StoreError::Refused(Outcome::Late)));
        }
        *pending.cells.entry(tick).or_insert_with(|| shared.count(row.entry, tick)) += count;
        pending.total = pending.total.saturating_add(count);
        let others = ring.total_ever(endpoint).saturating_sub(shared.total(row.entry));
        Ok(Ok(Hit { entry: row.entry, tick, total: others.saturating_add(pending.total) }))
    }

    /// All hits of `endpoint`, those of the batch included.
    pub fn total(&self, ring: &SharedRegistry, endpoint: &str) -> u64 {
        let shown = ring.total_ever(endpoint);
        self.pending.get(endpoint).filter(|pending| self.shared.is_alive(pending.row.entry)).map_or(shown, |pending| {
            shown.saturating_sub(self.shared.total(pending.row.entry)).saturating_add(pending.total)
        })
    }

    /// Writes what the batch adds.
    pub fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for (endpoint, Pending { row, cells, total }) in &self.pending {
            // Another process has removed the endpoint since, with these hits.
            if !self.shared.is_alive(row.entry) {
                continue;
            }
            let id = match row.id {
                Some(id) => id,
                None => endpoints::enter(connection, endpoint, self.shared.epoch(row.entry))?,
            };
            let mut cell = connection.prepare_cached(
                "INSERT INTO cell (endpoint, writer, generation, level, start, count)
                 VALUES (?1, 0, 0, 0, ?2, ?3)
                 ON CONFLICT DO UPDATE SET count = excluded.count",
            )?;
            // Now and then, so that a name that is hit for years has no more rows than it needs.
            let newest = cells.last_key_value().map_or(0, |(tick, _)| tick.0);
            let kept = newest.saturating_sub(self.keep);
            if kept > row.kept.saturating_add(self.keep) {
                let mut old = connection.prepare_cached(
                    "DELETE FROM cell WHERE endpoint = ?1 AND writer = 0 AND level = 0 AND start < ?2",
                )?;
                old.execute((id, kept as i64))?;
                // The clock may have been ahead for a moment: what the ring has stays.
                for Cell { tick, count } in self.shared.cells(row.entry).into_iter().filter(|cell| cell.tick.0 < kept) {
                    cell.execute((id, tick.0 as i64, count as i64))?;
                }
            }
            for (tick, count) in cells {
                cell.execute((id, tick.0 as i64, *count as i64))?;
            }
            let mut committed = connection.prepare_cached("UPDATE endpoint SET committed = ?2 WHERE id = ?1")?;
            committed.execute((id, *total as i64))?;
            let Some(row) = self.rows.get_mut(endpoint) else { continue };
            row.id = Some(id);
            if kept > row.kept.saturating_add(self.keep) {
                row.kept = kept;
            }
        }
        Ok(())
    }

    /// The batch is committed: shows it.
    pub fn show(&mut self) {
        for Pending { row, cells, total } in std::mem::take(&mut self.pending).into_values() {
            for (tick, count) in cells {
                self.shared.raise(row.entry, tick, count);
            }
            self.shared.raise_total(row.entry, total);
        }
    }

    /// Notes the visitor of a hit, after the hit is shown.
    pub fn note_visitor(&self, hit: Hit, visitor: &str) {
        self.shared.note_visitor(hit.entry, visitor.as_bytes(), hit.tick);
    }

    /// The same for hits of `endpoint` at `at`, or now, that were shown before.
    pub fn note_again(&self, ring: &SharedRegistry, endpoint: &str, visitor: &str, at: Option<Timestamp>) {
        if ring.contains(endpoint)
            && let Ok(entry) = self.shared.entry(endpoint)
            && let Ok(tick) = self.shared.check(entry, at, 0, |_| 0)
        {
            self.shared.note_visitor(entry, visitor.as_bytes(), tick);
        }
    }

    /// The batch is not committed: rows that it wrote are not there. Names that it began in the ring stay: others may have counted under
    /// them since.
    pub fn forget(&mut self) {
        self.pending.clear();
        self.rows.clear();
    }

    /// Forgets the row of `endpoint`, within a batch.
    pub fn remove(&mut self, endpoint: &str) {
        self.pending.remove(endpoint);
        self.rows.remove(endpoint);
    }

    /// The row of `endpoint` is gone, unless it is of an epoch after `last`.
    pub fn remove_before(&mut self, endpoint: &str, last: u64) {
        if self.rows.get(endpoint).is_some_and(|row| self.shared.epoch(row.entry) <= last) {
            self.rows.remove(endpoint);
        }
    }

    /// Whether another ledger has shown hits of `endpoint` in the ring since this one did.
    pub fn is_superseded(&self, endpoint: &str) -> bool {
        self.shared.is_superseded(endpoint)
    }

    /// Whether the file has hits of the ledger among its own.
    pub fn is_frozen(&self) -> bool {
        self.shared.is_frozen()
    }

    /// The number of the life of `endpoint`.
    pub fn life(&self, endpoint: &str) -> Option<usize> {
        self.shared.living(endpoint).map(|(life, _)| life)
    }

    /// The row of `endpoint`, which agrees with the ring from then on.
    fn row(&mut self, connection: &Connection, endpoint: &str) -> Taken<Row> {
        if let Some(row) = self.rows.get(endpoint).filter(|row| self.shared.is_alive(row.entry)) {
            return Ok(Ok(*row));
        }
        // What the batch added to a life that has ended since is gone with it.
        self.pending.remove(endpoint);
        let found = endpoints::find(connection, endpoint)?;
        match found.filter(|found| found.epoch >= self.shared.epoch_of(endpoint)) {
            Some(found) => self.take_up(connection, endpoint, found),
            None => Ok(self.entry(endpoint).map(|entry| self.keep_row(endpoint, None, entry))),
        }
    }

    fn keep_row(&mut self, endpoint: &str, id: Option<i64>, entry: LedgerEntry) -> Row {
        let row = Row { id, entry, kept: 0 };
        self.rows.insert(endpoint.to_owned(), row);
        row
    }

    /// Raises the ring to a row that counts.
    fn take_up(&mut self, connection: &Connection, endpoint: &str, found: Found) -> Taken<Row> {
        let begun = self.begin_epoch(endpoint, found.epoch);
        let entry = match begun.and_then(|()| self.entry(endpoint)) {
            Ok(entry) => entry,
            Err(error) => return Ok(Err(error)),
        };
        if self.shared.epoch(entry) != found.epoch {
            // Another process has removed the endpoint meanwhile. The row begins anew with the next hit.
            return Ok(Ok(self.keep_row(endpoint, None, entry)));
        }
        let mut cells = connection.prepare_cached(
            "SELECT start, count FROM cell WHERE endpoint = ?1 AND writer = 0 AND generation = 0 AND level = 0",
        )?;
        let mut rows = cells.query([found.id])?;
        while let Some(row) = rows.next()? {
            self.shared.raise(entry, Tick(row.get::<_, i64>(0)? as u64), row.get::<_, i64>(1)? as u64);
        }
        self.shared.raise_total(entry, found.committed);
        self.shared.restore_total(entry, found.counted);
        let total = self.shared.total(entry);
        if total > found.committed {
            // A failure of the machine took commits that the ring had shown.
            endpoints::commit(connection, found.id, total)?;
        }
        Ok(Ok(self.keep_row(endpoint, Some(found.id), entry)))
    }

    /// Ends the life of `endpoint` in the ring if it is of an epoch before `epoch`.
    pub fn begin_epoch(&self, endpoint: &str, epoch: u64) -> Result<(), StoreError> {
        self.shared.begin_epoch(endpoint, epoch).map_err(|error| match error {
            EndpointError::Full { .. } => StoreError::NoRoom,
            error => StoreError::Failed { why: error.to_string() },
        })
    }

    /// Raises the ring to a row that counts, at the start. It waits longer for the lock of the ring: a merge of another process ends
    /// soon, and without its rows the server would answer less than was acknowledged.
    pub fn show_row(&mut self, connection: &Connection, endpoint: &str, found: Found) -> Taken<()> {
        for _ in 0..PATIENCE {
            self.is_locked = false;
            match self.take_up(connection, endpoint, found)? {
                Err(StoreError::RingLocked) => {}
                shown => return Ok(shown.map(drop)),
            }
        }
        Ok(Err(StoreError::RingLocked))
    }

    /// All hits of `endpoint` in the ring that are not the ledger's.
    pub fn counted(&self, endpoint: &str) -> u64 {
        self.shared.counted(endpoint)
    }

    /// In which epoch the hits of `endpoint` count in the ring, or those of its next life if it has none.
    pub fn epoch_of(&self, endpoint: &str) -> u64 {
        self.shared.epoch_of(endpoint)
    }
}
