//! The flushed cells of the ring, by endpoint, writer and tick.
//!
//! Tests: `tests/store`.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::cell::writer::{Replica, Writer};
use crate::shared::Told;
use crate::time::Tick;
use crate::time::clock::SteadyClock;

/// The rows of the ring's lives, as the commit thread remembers them.
#[derive(Debug)]
pub struct Rows {
    /// The id of each life's row, by the number of the life.
    pub ids: Vec<Option<i64>>,
    /// The cells of each life before this tick are deleted.
    pub kept: Vec<u64>,
    /// Another number in each process.
    pub seed: u64,
}

impl Rows {
    pub fn new() -> Self {
        Self { ids: Vec::new(), kept: Vec::new(), seed: SteadyClock.nanos(true) }
    }

    /// Forgets the row of a life, because it is deleted or made anew.
    pub fn forget(&mut self, life: usize) {
        if let Some(id) = self.ids.get_mut(life) {
            *id = None;
        }
    }
}

/// For how long cells are kept, unless something else is wanted.
pub const KEEP: Duration = Duration::from_secs(60 * 60);

/// Notes that the database is the file `origin`. If the noted file is another one, this file is a copy, and the original may go on with the
/// same ledger. So the copy begins a ledger of its own, and the hits of the former ledger become counted hits. The next recovery takes
/// back those that the ring does not show.
pub fn own(connection: &mut Connection, origin: [u8; 16]) -> rusqlite::Result<()> {
    let known: Option<[u8; 16]> = connection.query_row("SELECT origin FROM meta", [], |row| row.get(0))?;
    if known == Some(origin) {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    if known.is_some() {
        begin_ledger(&transaction)?;
    }
    transaction.execute("UPDATE meta SET origin = ?1", [origin])?;
    transaction.commit()
}

/// Begins another ledger. The hits of the former one become counted hits of its replica.
pub fn begin_ledger(connection: &Connection) -> rusqlite::Result<()> {
    let ledger = connection.query_row("SELECT ledger FROM meta", [], |row| row.get(0))?;
    let former = writer_id(connection, Replica::from_bytes(ledger))?;
    // A restored ring may have reported some of these cells before.
    connection.execute(
        "INSERT INTO cell SELECT endpoint, ?1, generation, level, start, count FROM cell WHERE writer = 0
         ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
        [former],
    )?;
    connection.execute("DELETE FROM cell WHERE writer = 0", [])?;
    connection.execute("UPDATE endpoint SET counted = counted + committed, committed = 0", [])?;
    // No ring has this replica, so the recovery compares the ring with the database.
    connection.execute("UPDATE meta SET ledger = ?1, writer = zeroblob(16)", [Replica::new().to_bytes()]).map(drop)
}

/// The replica of the ring at its last recovery.
pub fn writer(connection: &Connection) -> rusqlite::Result<Option<Replica>> {
    let writer = connection.query_row("SELECT writer FROM meta", [], |row| row.get::<_, Option<[u8; 16]>>(0))?;
    Ok(writer.map(Replica::from_bytes))
}

/// Notes that the ring counts under `replica`.
pub fn set_writer(connection: &Connection, replica: Replica) -> rusqlite::Result<()> {
    connection.execute("UPDATE meta SET writer = ?1", [replica.to_bytes()]).map(drop)
}

/// The id of `replica` in the table `writer`.
pub fn writer_id(connection: &Connection, replica: Replica) -> rusqlite::Result<i64> {
    let numbers = (replica.process.cast_signed(), replica.sequence.cast_signed());
    let mut find = connection.prepare_cached("SELECT id FROM writer WHERE process = ?1 AND sequence = ?2")?;
    if let Some(id) = find.query_row(numbers, |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let insert = "INSERT INTO writer (process, sequence) VALUES (?1, ?2) RETURNING id";
    connection.query_row(insert, numbers, |row| row.get(0))
}

/// Writes cells of an endpoint that `writer` counted. A cell that exists is only raised.
pub fn write(connection: &Connection, endpoint: i64, writer: Writer, cells: &[(Tick, u64)]) -> rusqlite::Result<()> {
    if cells.is_empty() {
        return Ok(());
    }
    let of = writer_id(connection, writer.replica)?;
    let mut write = connection.prepare_cached(
        "INSERT INTO cell (endpoint, writer, generation, level, start, count) VALUES (?1, ?2, ?3, 0, ?4, ?5)
         ON CONFLICT DO UPDATE SET count = excluded.count WHERE excluded.count > count",
    )?;
    for (tick, count) in cells {
        write.execute((endpoint, of, writer.generation as i64, tick.0 as i64, *count as i64))?;
    }
    Ok(())
}

/// How many hits of these cells are not in the database yet.
pub fn missing(connection: &Connection, endpoint: i64, writer: Writer, cells: &[(Tick, u64)]) -> rusqlite::Result<u64> {
    let of = writer_id(connection, writer.replica)?;
    let mut find = connection.prepare_cached(
        "SELECT count FROM cell WHERE endpoint = ?1 AND writer = ?2 AND generation = ?3 AND level = 0 AND start = ?4",
    )?;
    let mut missing = 0u64;
    for (tick, count) in cells {
        let key = (endpoint, of, writer.generation as i64, tick.0 as i64);
        let written = find.query_row(key, |row| row.get::<_, i64>(0)).optional()?;
        missing = missing.saturating_add(count.saturating_sub(written.unwrap_or(0) as u64));
    }
    Ok(missing)
}

/// Deletes the cells of an endpoint before `tick`, except those of the ledger.
pub fn forget_before(connection: &Connection, endpoint: i64, tick: Tick) -> rusqlite::Result<()> {
    let mut forget = connection
        .prepare_cached("DELETE FROM cell WHERE endpoint = ?1 AND writer > 0 AND level = 0 AND start < ?2")?;
    forget.execute((endpoint, tick.0 as i64)).map(drop)
}

/// Calls `each` with the cells of every endpoint and writer from `since` on, endpoint by endpoint.
pub fn each(connection: &Connection, since: Tick, mut each: impl FnMut(Told)) -> rusqlite::Result<()> {
    let mut all = connection.prepare(
        "SELECT name, endpoint.epoch, process, sequence, generation, start, count
         FROM cell CROSS JOIN endpoint ON endpoint.id = cell.endpoint CROSS JOIN writer ON writer.id = cell.writer
         WHERE level = 0 AND start >= ?1 ORDER BY cell.endpoint, cell.writer, generation, start",
    )?;
    let mut rows = all.query([since.0 as i64])?;
    let mut told: Option<Told> = None;
    while let Some(row) = rows.next()? {
        let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let endpoint = row.get_ref(0)?.as_str()?;
        let replica = Replica { process: number(2)?, sequence: number(3)? };
        let writer = Writer { replica, generation: number(4)? };
        let cell = (Tick(number(5)?), number(6)?);
        match &mut told {
            Some(told) if told.endpoint == endpoint && told.writer == writer => told.cells.push(cell),
            _ => {
                let next = Told { endpoint: endpoint.to_owned(), writer, epoch: number(1)?, cells: vec![cell] };
                if let Some(before) = told.replace(next) {
                    each(before);
                }
            }
        }
    }
    told.into_iter().for_each(each);
    Ok(())
}
