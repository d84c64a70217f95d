//! Rows of the table `endpoint`: in which epoch the hits of a name count, how many there are, and what its value differs by.
//!
//! A row belongs to one epoch. The first write of a later epoch resets the row and deletes its cells. So a row never mixes the hits of two
//! lives, and removed hits cannot return with it.
//!
//! Tests: `tests/store`.

use rusqlite::{Connection, OptionalExtension};

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: i64,
    pub epoch: u64,
    /// The hits that were counted in the ring, as of the last flush.
    pub counted: u64,
    /// The hits of the ledger.
    pub committed: u64,
    /// What the value differs from the hits by.
    pub base: i64,
}

/// The row of `name`.
pub fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<Found>> {
    let mut find =
        connection.prepare_cached("SELECT id, epoch, counted, committed, base FROM endpoint WHERE name = ?1")?;
    find.query_row([name], |row| found(row, 0)).optional()
}

/// Calls `each` with every name and its row.
pub fn each<E: From<rusqlite::Error>>(
    connection: &Connection,
    mut each: impl FnMut(&str, Found) -> Result<(), E>,
) -> Result<(), E> {
    let mut all = connection.prepare("SELECT name, id, epoch, counted, committed, base FROM endpoint ORDER BY id")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let found = found(row, 1)?;
        each(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?, found)?;
    }
    Ok(())
}

fn found(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Found> {
    let number = |column| row.get::<_, i64>(at + column).map(|number| number as u64);
    Ok(Found {
        id: row.get(at)?,
        epoch: number(1)?,
        counted: number(2)?,
        committed: number(3)?,
        base: row.get(at + 4)?,
    })
}

/// The id of the row of `name` in `epoch`. Makes the row if it does not exist, and resets it if it is of an earlier epoch.
pub fn enter(connection: &Connection, name: &str, epoch: u64) -> rusqlite::Result<i64> {
    let found = find(connection, name)?;
    match found {
        Some(found) if found.epoch >= epoch => return Ok(found.id),
        Some(found) => clear(connection, found.id)?,
        None => {}
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO endpoint (name, epoch, counted, committed, base) VALUES (?1, ?2, 0, 0, 0)
         ON CONFLICT DO UPDATE SET epoch = excluded.epoch, counted = 0, committed = 0, base = 0 RETURNING id",
    )?;
    insert.query_row((name, epoch as i64), |row| row.get(0))
}

/// Raises the counted hits of a row.
pub fn count(connection: &Connection, id: i64, counted: u64) -> rusqlite::Result<()> {
    let mut count = connection.prepare_cached("UPDATE endpoint SET counted = max(counted, ?2) WHERE id = ?1")?;
    count.execute((id, counted as i64)).map(drop)
}

/// Raises the hits of the ledger of a row.
pub fn commit(connection: &Connection, id: i64, committed: u64) -> rusqlite::Result<()> {
    let mut commit = connection.prepare_cached("UPDATE endpoint SET committed = max(committed, ?2) WHERE id = ?1")?;
    commit.execute((id, committed as i64)).map(drop)
}

/// Sets the difference between the value and the hits of a row.
pub fn set(connection: &Connection, id: i64, base: i64) -> rusqlite::Result<()> {
    let mut set = connection.prepare_cached("UPDATE endpoint SET base = ?2 WHERE id = ?1")?;
    set.execute((id, base)).map(drop)
}

/// Deletes the row of `name` and its cells, unless its epoch is later than `last`.
pub fn remove(connection: &Connection, name: &str, last: u64) -> rusqlite::Result<()> {
    let Some(found) = find(connection, name)?.filter(|found| found.epoch <= last) else { return Ok(()) };
    clear(connection, found.id)?;
    connection.prepare_cached("DELETE FROM endpoint WHERE id = ?1")?.execute([found.id]).map(drop)
}

fn clear(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM cell WHERE endpoint = ?1")?.execute([id]).map(drop)
}
