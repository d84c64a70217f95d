//! Resources and removals as rows of the database.
//!
//! Tests: `tests/store`.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::store::Resource;
use crate::time::Timestamp;

/// Adds a resource.
pub fn insert(connection: &Connection, resource: &Resource) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO resource (id, name, created) VALUES (?1, ?2, ?3)")?;
    insert.execute((&resource.id, &resource.name, micros(resource.created))).map(drop)
}

/// Takes a resource away; answers whether there was one.
pub fn delete(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    let mut delete = connection.prepare_cached("DELETE FROM resource WHERE id = ?1")?;
    Ok(delete.execute([id])? > 0)
}

/// The resource `id`.
pub fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<Resource>> {
    let mut find = connection.prepare_cached("SELECT id, name, created FROM resource WHERE id = ?1")?;
    find.query_row([id], resource).optional()
}

/// The first `most` resources after `after`, by id.
pub fn after(connection: &Connection, after: &str, most: usize) -> rusqlite::Result<Vec<Resource>> {
    let mut list =
        connection.prepare_cached("SELECT id, name, created FROM resource WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    list.query_map((after, most as i64), resource)?.collect()
}

/// Calls `each` with the id of every resource.
pub fn each_id(connection: &Connection, mut each: impl FnMut(&str)) -> rusqlite::Result<()> {
    let mut list = connection.prepare("SELECT id FROM resource ORDER BY id")?;
    let mut rows = list.query([])?;
    while let Some(row) = rows.next()? {
        each(row.get_ref(0)?.as_str()?);
    }
    Ok(())
}

/// Notes that the hits of `endpoint` up to `epoch` are to go from the ring.
pub fn remove(connection: &Connection, endpoint: &str, epoch: u64) -> rusqlite::Result<()> {
    let mut remove = connection.prepare_cached("INSERT OR REPLACE INTO removal (endpoint, epoch) VALUES (?1, ?2)")?;
    remove.execute((endpoint, epoch as i64)).map(drop)
}

/// Notes that they are gone.
pub fn removed(connection: &Connection, endpoint: &str, epoch: u64) -> rusqlite::Result<()> {
    let mut removed = connection.prepare_cached("DELETE FROM removal WHERE endpoint = ?1 AND epoch = ?2")?;
    removed.execute((endpoint, epoch as i64)).map(drop)
}

/// The removals that did not end.
pub fn removals(connection: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut list = connection.prepare("SELECT endpoint, epoch FROM removal ORDER BY endpoint")?;
    list.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?.collect()
}

fn resource(row: &Row<'_>) -> rusqlite::Result<Resource> {
    let micros: i64 = row.get(2)?;
    let micros = u64::try_from(micros).unwrap_or(0);
    let created = Timestamp::new(micros / 1_000_000, (micros % 1_000_000) as u32 * 1_000).unwrap_or(Timestamp::MAX);
    Ok(Resource { id: row.get(0)?, name: row.get(1)?, created })
}

fn micros(time: Timestamp) -> i64 {
    time.as_duration().as_micros() as i64
}
