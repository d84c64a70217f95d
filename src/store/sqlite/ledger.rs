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
//! | any, but there are no hits | the row is of no use, and begins anew |
//! | below the ring's | the name was removed from the ring: the row is of no use, and begins anew |
//! | the ring's | the ring is raised to it |
//! | above the ring's | the ring is an older one, or a new one: its life of the name ends, and the next one is raised |
//!
//! Tests: `tests/store`.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::cell::outcome::Outcome;
use crate::error::EndpointError;
use crate::shared::{LedgerEntry, NoEntry, SharedLedger, SharedRegistry};
use crate::store::StoreError;
use crate::time::{Tick, Timestamp};

/// For how many ticks the database keeps the hits of a tick, at least.
const KEPT: u64 = 3_600;

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
    /// Whether the batch made rows, or found the lock of the ring taken.
    made_rows: bool,
    is_locked: bool,
    /// The ticks of a ring.
    span: u64,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    id: i64,
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

/// What a row of the database is to the ring.
enum Agreed {
    /// The ring shows it.
    Shown(i64, LedgerEntry),
    /// It has no hits, or is of an earlier epoch than the ring's.
    Dead,
    /// The ring cannot show it.
    NoEntry(StoreError),
}

/// Why hits do not count, or the error of SQLite.
type Taken<T> = rusqlite::Result<Result<T, StoreError>>;

impl Ledger {
    pub fn new(shared: SharedLedger, ring: &SharedRegistry) -> Self {
        let span = (ring.window().as_nanos() / ring.resolution().as_nanos().max(1)) as u64 + u64::from(ring.slack());
        Self { shared, rows: HashMap::new(), pending: HashMap::new(), made_rows: false, is_locked: false, span }
    }

    /// A batch begins.
    pub fn begin(&mut self) {
        self.pending.clear();
        (self.made_rows, self.is_locked) = (false, false);
    }

    /// The batch is rolled back, and nothing of it failed.
    pub fn roll_back(&mut self) {
        if self.made_rows {
            self.forget();
        }
        self.pending.clear();
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
        // A hit that is refused takes no place.
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
        self.pending.get(endpoint).map_or(shown, |pending| {
            shown.saturating_sub(self.shared.total(pending.row.entry)).saturating_add(pending.total)
        })
    }

    /// Writes what the batch adds.
    pub fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for (endpoint, Pending { row, cells, total }) in &self.pending {
            let mut cell = connection.prepare_cached(
                "INSERT INTO cell (endpoint, epoch, writer, generation, level, start, count)
                 VALUES (?1, ?2, 0, 0, 0, ?3, ?4)
                 ON CONFLICT DO UPDATE SET count = excluded.count",
            )?;
            let epoch = self.shared.epoch(row.entry) as i64;
            for (tick, count) in cells {
                cell.execute((row.id, epoch, tick.0 as i64, *count as i64))?;
            }
            let mut committed = connection.prepare_cached("UPDATE endpoint SET committed = ?2 WHERE id = ?1")?;
            committed.execute((row.id, *total as i64))?;
            // Now and then, so that a name that is hit for years has no more rows than it needs.
            let newest = cells.last_key_value().map_or(0, |(tick, _)| tick.0);
            let kept = newest.saturating_sub(KEPT.max(self.span));
            if kept > row.kept.saturating_add(KEPT) {
                let mut old = connection.prepare_cached(
                    "DELETE FROM cell WHERE endpoint = ?1 AND writer = 0 AND level = 0 AND start < ?2",
                )?;
                old.execute((row.id, kept as i64))?;
                if let Some(row) = self.rows.get_mut(endpoint) {
                    row.kept = kept;
                }
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

    /// Notes who came, after it is shown.
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

    /// The batch is not committed: rows that it made are not there. Names that it began in the ring stay: others may have counted under
    /// them since.
    pub fn forget(&mut self) {
        self.pending.clear();
        self.rows.clear();
    }

    /// Takes the rows of `endpoint` away, within a batch.
    pub fn remove(&mut self, connection: &Connection, endpoint: &str) -> rusqlite::Result<()> {
        self.pending.remove(endpoint);
        self.rows.remove(endpoint);
        for delete in [
            "DELETE FROM cell WHERE endpoint = (SELECT id FROM endpoint WHERE name = ?1)",
            "DELETE FROM total WHERE endpoint = (SELECT id FROM endpoint WHERE name = ?1)",
            "DELETE FROM endpoint WHERE name = ?1",
        ] {
            connection.prepare_cached(delete)?.execute([endpoint])?;
        }
        Ok(())
    }

    /// The row of `endpoint`, which agrees with the ring from then on.
    fn row(&mut self, connection: &Connection, endpoint: &str) -> Taken<Row> {
        if let Some(row) = self.rows.get(endpoint).filter(|row| self.shared.is_alive(row.entry)) {
            return Ok(Ok(*row));
        }
        // What the batch added to a life that has ended since is gone with it.
        self.pending.remove(endpoint);
        let mut find = connection.prepare_cached("SELECT id, epoch, committed FROM endpoint WHERE name = ?1")?;
        let found = find.query_row([endpoint], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
        let found: Option<(i64, i64, i64)> = found.optional()?;
        let agreed = match found {
            Some((id, epoch, committed)) => self.agree(connection, endpoint, id, epoch as u64, committed as u64)?,
            None => Agreed::Dead,
        };
        let (id, entry) = match agreed {
            Agreed::Shown(id, entry) => (id, entry),
            Agreed::NoEntry(error) => return Ok(Err(error)),
            Agreed::Dead => {
                let entry = match self.entry(endpoint) {
                    Ok(entry) => entry,
                    Err(error) => return Ok(Err(error)),
                };
                self.made_rows = true;
                let epoch = self.shared.epoch(entry) as i64;
                let mut insert = connection.prepare_cached(
                    "INSERT INTO endpoint (name, epoch, committed) VALUES (?1, ?2, 0)
                     ON CONFLICT DO UPDATE SET epoch = excluded.epoch, committed = 0 RETURNING id",
                )?;
                (insert.query_row((endpoint, epoch), |row| row.get(0))?, entry)
            }
        };
        let row = Row { id, entry, kept: 0 };
        self.rows.insert(endpoint.to_owned(), row);
        Ok(Ok(row))
    }

    /// Raises the ring to a row, or takes the cells of a row away that is of no use.
    fn agree(
        &mut self,
        connection: &Connection,
        endpoint: &str,
        id: i64,
        epoch: u64,
        committed: u64,
    ) -> rusqlite::Result<Agreed> {
        // Without hits it is of no use, and must end no life of the ring.
        if committed == 0 || epoch < self.shared.epoch_of(endpoint) {
            connection.prepare_cached("DELETE FROM cell WHERE endpoint = ?1 AND writer = 0")?.execute([id])?;
            return Ok(Agreed::Dead);
        }
        if let Err(error) = self.shared.begin_epoch(endpoint, epoch) {
            let why = error.to_string();
            let is_full = matches!(error, EndpointError::Full { .. });
            return Ok(Agreed::NoEntry(if is_full { StoreError::NoRoom } else { StoreError::Failed { why } }));
        }
        let entry = match self.entry(endpoint) {
            Ok(entry) => entry,
            Err(error) => return Ok(Agreed::NoEntry(error)),
        };
        let mut cells = connection.prepare_cached(
            "SELECT start, count FROM cell WHERE endpoint = ?1 AND epoch = ?2 AND writer = 0 AND generation = 0 AND level = 0",
        )?;
        let mut rows = cells.query((id, epoch as i64))?;
        while let Some(row) = rows.next()? {
            self.shared.raise(entry, Tick(row.get::<_, i64>(0)? as u64), row.get::<_, i64>(1)? as u64);
        }
        self.shared.raise_total(entry, committed);
        Ok(Agreed::Shown(id, entry))
    }

    /// Raises the ring to all that the database has. Answers how many endpoints the ring has no room for; or why it cannot be
    /// raised at all.
    pub fn show_all(&mut self, connection: &Connection) -> Taken<usize> {
        let mut all = connection.prepare("SELECT id, name, epoch, committed FROM endpoint WHERE committed > 0")?;
        let mut rows = all.query([])?;
        let (mut without_room, mut dead) = (0, Vec::new());
        while let Some(row) = rows.next()? {
            let (id, epoch, committed) = (row.get(0)?, row.get::<_, i64>(2)? as u64, row.get::<_, i64>(3)? as u64);
            let endpoint = row.get_ref(1)?.as_str()?;
            let mut agreed = self.agree(connection, endpoint, id, epoch, committed)?;
            // A merge of another process ends soon. Without its rows the server would answer less than was acknowledged.
            for _ in 0..PATIENCE {
                if !matches!(agreed, Agreed::NoEntry(StoreError::RingLocked)) {
                    break;
                }
                self.is_locked = false;
                agreed = self.agree(connection, endpoint, id, epoch, committed)?;
            }
            match agreed {
                Agreed::NoEntry(error @ StoreError::RingLocked) => return Ok(Err(error)),
                Agreed::Shown(id, entry) => _ = self.rows.insert(endpoint.to_owned(), Row { id, entry, kept: 0 }),
                Agreed::NoEntry(_) => without_room += 1,
                Agreed::Dead => dead.push(id),
            }
        }
        for id in dead {
            connection.prepare_cached("UPDATE endpoint SET committed = 0 WHERE id = ?1")?.execute([id])?;
        }
        Ok(Ok(without_room))
    }
}
