//! Keys of writes, and what they were answered.
//!
//! An answer is in the transaction of the write itself, so the key is known if and only if the write was done. Only writes that were
//! done are kept: one that was refused may be tried again.
//!
//! Answers are forgotten when they are older than [`Limits::age`], and the oldest when there are more than [`Limits::most`]. Age is the time
//! that servers ran: a clock that is set a day ahead forgets no key.
//!
//! Tests: `tests/store`.

use std::hash::Hasher;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::store::{Answer, Key};
use crate::time::clock::SteadyClock;

/// How many old answers go at a time.
const AT_ONCE: i64 = 100;

/// How long answers are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For how long a server ran since.
    pub age: Duration,
    /// How many.
    pub most: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { age: Duration::from_secs(24 * 60 * 60), most: 1_000_000 }
    }
}

/// The kept answers of a database.
#[derive(Debug)]
pub struct Keys {
    secret: [u8; 16],
    limits: Limits,
    /// `meta.age` when this server began, in seconds.
    before: u64,
    begun: u64,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    No,
    /// The same request was done, and answered so.
    Done(Answer),
    /// Another request was.
    Other,
}

impl Keys {
    pub fn new(connection: &Connection, limits: Limits) -> rusqlite::Result<Self> {
        let meta =
            connection.query_row("SELECT secret, age FROM meta", [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
        let (secret, before) = meta?;
        Ok(Self { secret, limits, before: before as u64, begun: SteadyClock.nanos(true) })
    }

    /// How long servers have run on this database, in seconds.
    pub fn age(&self) -> i64 {
        let running = SteadyClock.nanos(true).saturating_sub(self.begun) / 1_000_000_000;
        i64::try_from(self.before.saturating_add(running)).unwrap_or(i64::MAX)
    }

    fn print(&self, key: &Key) -> [u8; 16] {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(&key.request);
        hasher.finish128().as_bytes()
    }

    /// What is known of `key`.
    pub fn find(&self, connection: &Connection, key: &Key) -> rusqlite::Result<Known> {
        let mut find = connection
            .prepare_cached("SELECT print, status, headers, body FROM answer WHERE key = ?1 AND age >= ?2")?;
        let oldest = self.age().saturating_sub(self.limits.age.as_secs() as i64);
        let found = find.query_row((&key.key, oldest), |row| {
            let answer =
                Answer { status: row.get(1)?, headers: headers_of(&row.get::<_, String>(2)?), body: row.get(3)? };
            Ok((row.get::<_, [u8; 16]>(0)?, answer))
        });
        Ok(match found.optional()? {
            None => Known::No,
            Some((print, answer)) if print == self.print(key) => Known::Done(answer),
            Some(_) => Known::Other,
        })
    }

    /// Keeps an answer, and lets old ones go.
    pub fn keep(&self, connection: &Connection, key: &Key, answer: &Answer) -> rusqlite::Result<()> {
        let headers: serde_json::Map<String, serde_json::Value> =
            answer.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let headers = serde_json::Value::Object(headers).to_string();
        let mut keep = connection.prepare_cached(
            "INSERT OR REPLACE INTO answer (key, print, status, headers, body, age) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let age = self.age();
        keep.execute((&key.key, self.print(key), answer.status, headers, &answer.body, age))?;
        let newest = connection.last_insert_rowid();
        // Every hundredth time, so that each need not look.
        if newest % AT_ONCE == 0 {
            let oldest = age.saturating_sub(self.limits.age.as_secs() as i64);
            let first = newest.saturating_sub(i64::try_from(self.limits.most).unwrap_or(i64::MAX));
            let mut old = connection.prepare_cached(
                "DELETE FROM answer
                 WHERE n IN (SELECT n FROM answer ORDER BY n LIMIT ?3) AND (n <= ?1 OR age < ?2)",
            )?;
            old.execute((first, oldest, 2 * AT_ONCE))?;
        }
        Ok(())
    }
}

fn headers_of(text: &str) -> Vec<(String, String)> {
    let headers: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    headers.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}
