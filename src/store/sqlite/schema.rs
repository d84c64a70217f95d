//! What the database looks like, and how one of an earlier version becomes one of this.
//!
//! `application_id` tells a database of hitring from any other, `user_version` its version. Version N is made from N - 1 by the
//! Nth of [`STEPS`], in one transaction with the number, so a process that is killed leaves the one or the other.
//!
//! Tests: below.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// `application_id`: "HITR".
pub const APPLICATION: u32 = 0x4849_5452;

/// What makes each version from the one before. A step is never changed once it is released.
pub const STEPS: &[&str] = &[include_str!("1.sql")];

/// The version that this program writes.
pub const VERSION: u32 = STEPS.len() as u32;

/// The version of an open database.
pub fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Takes the database to the last of `steps`.
pub fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let done = version(connection)? as usize;
    for (number, step) in steps.iter().enumerate().skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", number as u32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// What is not as this version makes it, if anything is not. Others may have added tables and indices of their own.
pub fn differs(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut right = Connection::open_in_memory()?;
    migrate(&mut right, STEPS)?;
    let mut tables = right.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")?;
    let mut tables = tables.query([])?;
    while let Some(table) = tables.next()? {
        let (name, sql): (String, String) = (table.get(0)?, table.get(1)?);
        let mut found =
            connection.prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
        let found: Option<String> = found.query_row([&name], |row| row.get(0)).optional()?;
        if found != Some(sql) {
            return Ok(Some(format!("its table {name} is not the one of version {VERSION}")));
        }
    }
    let rows: i64 = connection.query_row("SELECT count(*) FROM meta", [], |row| row.get(0))?;
    Ok((rows != 1).then(|| format!("its table meta has {rows} rows")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_leaves_the_version_before() {
        let mut database = Connection::open_in_memory().expect("memory");
        let steps = ["CREATE TABLE one (a) STRICT", "CREATE TABLE two (a INTEGER) STRICT; INSERT INTO none VALUES (1)"];
        migrate(&mut database, &steps).expect_err("a column without a type, in a strict table");
        assert_eq!(version(&database), Ok(0));
        let steps = ["CREATE TABLE one (a INTEGER) STRICT; INSERT INTO one VALUES (7)", steps[1]];
        migrate(&mut database, &steps).expect_err("the table none does not exist");
        assert_eq!(version(&database), Ok(1));
        let tables = "SELECT count(*) FROM sqlite_schema";
        assert_eq!(database.query_row(tables, [], |row| row.get(0)), Ok(1));
        // The mended step continues from there, and is done once.
        let steps = [steps[0], "ALTER TABLE one ADD b INTEGER NOT NULL DEFAULT 5", "UPDATE one SET a = a + b"];
        migrate(&mut database, &steps).expect("it fits");
        migrate(&mut database, &steps).expect("nothing is left to do");
        assert_eq!(version(&database), Ok(3));
        assert_eq!(database.query_row("SELECT a, b FROM one", [], |row| Ok((row.get(0)?, row.get(1)?))), Ok((12, 5)));
    }

    #[test]
    fn every_column_has_its_comment_in_the_database() {
        let mut database = Connection::open_in_memory().expect("memory");
        migrate(&mut database, STEPS).expect("it fits");
        let mut tables = database.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").expect("a query");
        let tables = tables.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        let tables: Vec<String> = tables.collect::<rusqlite::Result<_>>().expect("rows");
        assert_eq!(tables.len(), 7);
        for table in tables {
            assert!(table.lines().nth(1).is_some_and(|line| line.trim().starts_with("--")), "{table}");
            assert!(table.ends_with("STRICT") || table.ends_with("STRICT, WITHOUT ROWID"), "{table}");
        }
    }

    /// Version 1 has 20,000 rows, and version 2 changes each of them.
    const MANY: [&str; 2] = [
        "CREATE TABLE many (a INTEGER, b TEXT) STRICT;
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO many SELECT i, hex(zeroblob(100)) FROM n;",
        "ALTER TABLE many ADD c INTEGER NOT NULL DEFAULT 0; UPDATE many SET c = a + 1, b = b || 'x';",
    ];

    /// The file that the process migrates which the test starts.
    const TASK: &str = "HITRING_TEST_MIGRATES";

    #[test]
    fn a_migration_that_is_killed_leaves_the_version_before_or_the_next() {
        if let Some(path) = std::env::var_os(TASK) {
            let mut database = Connection::open(path).expect("it is whole");
            migrate(&mut database, &MANY).expect("it fits");
            // As killed right afterwards: without an orderly end.
            // SAFETY: always allowed.
            unsafe { libc::_exit(0) };
        }
        let folder = std::env::temp_dir().join(format!("hitring-migrate-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("it can be made");
        let mut found = [0, 0];
        for round in 0..40u64 {
            let path = folder.join(format!("{round}.db"));
            let mut database = Connection::open(&path).expect("it can be made");
            database.pragma_update(None, "journal_mode", "WAL").expect("it is known");
            migrate(&mut database, &MANY[..1]).expect("it fits");
            drop(database);
            let name = concat!(module_path!(), "::a_migration_that_is_killed_leaves_the_version_before_or_the_next");
            let name = name.split_once("::").expect("a crate and a path").1;
            let mut command = std::process::Command::new(std::env::current_exe().expect("it runs"));
            let command = command.args(["--exact", name, "--nocapture"]).env(TASK, &path);
            let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("it can be started");
            // Some go on to the end.
            if round % 4 != 3 {
                std::thread::sleep(std::time::Duration::from_millis(2 * round));
                let _ = child.kill();
            }
            let status = child.wait().expect("it is ours");
            assert!(status.code().is_none_or(|code| code == 0), "{status}");
            let mut database = Connection::open(&path).expect("it is whole");
            let version = version(&database).expect("it is whole");
            found[version as usize - 1] += 1;
            migrate(&mut database, &MANY).expect("it goes on from there");
            let sums = "SELECT count(*), sum(c - a), sum(length(b)) FROM many";
            let sums = database.query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            assert_eq!(sums, Ok((20_000, 20_000, 201 * 20_000)), "version {version}");
            let check = database.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
            assert_eq!(check, Ok("ok".to_owned()));
        }
        assert!(found[0] > 0 && found[1] >= 10, "{found:?}");
        std::fs::remove_dir_all(folder).expect("it is ours");
    }
}
