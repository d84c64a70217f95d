//! One batch of writes: a transaction of the database, then the ring.
//!
//! | step | what a start finds if the server was killed after it |
//! |---|---|
//! | create: its row is committed | the row: the start begins the endpoint |
//! | create: the endpoint begins in the ring | both |
//! | delete: the row is gone and the removal is noted, in one commit | the removal: the start ends it |
//! | delete: the endpoint is out of the ring, and the ring is on the disk | the removal: nothing is left to do |
//! | the client is answered | |
//! | delete: the note goes, with the next batch | nothing |
//!
//! A removal names the epoch of the life that goes. An endpoint that begins after the removal is of a later epoch, so a removal that is
//! ended late takes none of its hits. (Clients may count under the name again, and so may other processes while the server is down.)
//!
//! The removal is noted first, because the ring does not remember removals for ever: a compaction forgets old ones.
//!
//! Tests: `tests/python/integration/test_serve_resources.py`.

use std::sync::Arc;

use rusqlite::{ErrorCode, Transaction, TransactionBehavior};

use super::open::{Database, OpenError};
use super::resources;
use crate::error::EndpointError;
use crate::shared::SharedRegistry;
use crate::store::{Done, Resource, StoreError};

/// A write that waits.
pub enum Write {
    /// A resource to make.
    Create {
        /// It.
        resource: Resource,
        /// Where its hits are.
        endpoint: String,
        /// Who waits.
        done: Done<()>,
    },
    /// A resource to take away, with its hits.
    Delete {
        /// Its id.
        id: String,
        /// Where its hits are.
        endpoint: String,
        /// Who waits.
        done: Done<bool>,
    },
}

/// What the transaction made of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A resource has its row.
    Created,
    /// The ring has no room for its endpoint.
    NoRoom,
    /// A resource has lost its row, and the hits of this epoch are noted.
    Removed {
        /// The epoch, if the ring has the endpoint.
        epoch: Option<u64>,
    },
    /// There is neither a resource nor an endpoint.
    Unknown,
}

/// Why a transaction was not done.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is not in the database, and never will be.
    Undone(StoreError),
    /// SQLite tried to commit it and failed. It may still be in the log, where a later start would find it.
    Unsettled(StoreError),
}

/// The database and the ring, in the thread that writes both.
#[derive(Debug)]
pub struct Committer {
    pub database: Database,
    ring: Arc<SharedRegistry>,
    /// Removals that have ended, and whose notes are still there.
    ended: Vec<(String, u64)>,
}

impl Committer {
    pub fn new(database: Database, ring: Arc<SharedRegistry>) -> Self {
        Self { database, ring, ended: Vec::new() }
    }

    /// Does `writes` and answers each. If the transaction failed, they are given back.
    pub fn run(&mut self, writes: Vec<Write>) -> Result<(), (Failure, Vec<Write>)> {
        match self.transact(&writes) {
            Ok(outcomes) => {
                self.show(writes, outcomes);
                Ok(())
            }
            Err(failure) => Err((failure, writes)),
        }
    }

    /// Writes all of them into the database.
    pub(super) fn transact(&mut self, writes: &[Write]) -> Result<Vec<Outcome>, Failure> {
        let undone = |error: rusqlite::Error| Failure::Undone(store_error(&error));
        let room = self.ring.room();
        let mut places = room.max_endpoints.saturating_sub(room.lives);
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.database.connection.transaction_with_behavior(behavior).map_err(undone)?;
        for (endpoint, epoch) in &self.ended {
            resources::removed(&transaction, endpoint, *epoch).map_err(undone)?;
        }
        let outcomes = writes.iter().map(|write| apply(&transaction, &self.ring, write, &mut places));
        let outcomes = outcomes.collect::<rusqlite::Result<Vec<Outcome>>>().map_err(undone)?;
        let changes = |outcome: &Outcome| matches!(outcome, Outcome::Created | Outcome::Removed { .. });
        if !outcomes.iter().any(changes) {
            return transaction.rollback().map_err(undone).map(|()| outcomes);
        }
        transaction.execute("UPDATE meta SET batch = batch + 1", []).map_err(undone)?;
        transaction.commit().map_err(|error| {
            let why = store_error(&error);
            // A frame did not fit, so the last one, which makes a transaction of them, was not written.
            let is_undone = matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy));
            if is_undone { Failure::Undone(why) } else { Failure::Unsettled(why) }
        })?;
        self.ended.clear();
        Ok(outcomes)
    }

    /// Takes what is committed to the ring, and answers.
    fn show(&mut self, writes: Vec<Write>, outcomes: Vec<Outcome>) {
        let failed = |error: &dyn std::fmt::Display| StoreError::Failed { why: error.to_string() };
        let mut removed = Vec::new();
        for (write, outcome) in writes.into_iter().zip(outcomes) {
            match (write, outcome) {
                (Write::Create { done, .. }, Outcome::NoRoom) => done(Err(StoreError::NoRoom)),
                (Write::Create { resource, endpoint, done }, _) => match self.ring.counter(&endpoint) {
                    Ok(_) => done(Ok(())),
                    // Other processes have taken the last places since.
                    Err(EndpointError::Full { .. }) => {
                        let undone = resources::delete(&self.database.connection, &resource.id);
                        done(Err(undone.map_or_else(|error| store_error(&error), |_| StoreError::NoRoom)));
                    }
                    Err(error) => done(Err(failed(&error))),
                },
                (Write::Delete { done, .. }, Outcome::Removed { epoch: None }) => done(Ok(true)),
                (Write::Delete { endpoint, done, .. }, Outcome::Removed { epoch: Some(epoch) }) => {
                    match self.ring.remove(&endpoint) {
                        Ok(_) => removed.push((endpoint, epoch, done)),
                        Err(error) => done(Err(failed(&error))),
                    }
                }
                (Write::Delete { done, .. }, _) => done(Ok(false)),
            }
        }
        if removed.is_empty() {
            return;
        }
        let synced = self.ring.sync().map_err(|error| failed(&error));
        for (endpoint, epoch, done) in removed {
            if synced.is_ok() {
                self.ended.push((endpoint, epoch));
            }
            done(synced.clone().map(|()| true));
        }
    }

    /// Makes sure that a transaction whose commit failed is never found: commits another one in its place.
    pub fn settle(&mut self) -> rusqlite::Result<()> {
        self.database.connection.execute("UPDATE meta SET age = age", []).map(drop)
    }
}

/// Writes one of them; `places` is how many endpoints the ring still has room for.
fn apply(
    transaction: &Transaction<'_>,
    ring: &SharedRegistry,
    write: &Write,
    places: &mut u64,
) -> rusqlite::Result<Outcome> {
    match write {
        Write::Create { .. } if *places == 0 => Ok(Outcome::NoRoom),
        Write::Create { resource, .. } => {
            *places -= 1;
            resources::insert(transaction, resource).map(|()| Outcome::Created)
        }
        Write::Delete { id, endpoint, .. } => {
            let has_row = resources::delete(transaction, id)?;
            let epoch = ring.contains(endpoint).then(|| ring.epoch(endpoint));
            if let Some(epoch) = epoch {
                resources::remove(transaction, endpoint, epoch)?;
            }
            Ok(if has_row || epoch.is_some() { Outcome::Removed { epoch } } else { Outcome::Unknown })
        }
    }
}

/// What an error of SQLite is to the caller of a write.
pub fn store_error(error: &rusqlite::Error) -> StoreError {
    let why = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            StoreError::Disk { why }
        }
        _ => StoreError::Failed { why },
    }
}

/// What a start found left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Removals that it ended.
    pub removals: usize,
    /// Resources whose endpoints it began.
    pub begun: usize,
    /// Resources that the ring has no room for.
    pub without_room: usize,
}

/// Does what a killed server left: ends removals, and begins the endpoints of resources that have none. `endpoint_of` says where the
/// hits of a resource are.
///
/// # Errors
/// [`OpenError`].
pub fn recover(
    database: &mut Database,
    ring: &SharedRegistry,
    endpoint_of: impl Fn(&str) -> Option<String>,
) -> Result<Recovered, OpenError> {
    let in_ring = |database: &Database, error: &dyn std::fmt::Display| OpenError::Failed {
        path: database.path().into(),
        why: format!("a removal could not be ended in the ring: {error}"),
    };
    let mut recovered = Recovered::default();
    let removals = resources::removals(&database.connection).map_err(|error| database.error(error))?;
    for (endpoint, epoch) in &removals {
        if ring.contains(endpoint) && ring.epoch(endpoint) <= *epoch {
            ring.remove(endpoint).map_err(|error| in_ring(database, &error))?;
            recovered.removals += 1;
        }
    }
    if recovered.removals > 0 {
        ring.sync().map_err(|error| in_ring(database, &error))?;
    }
    if !removals.is_empty() {
        database.connection.execute("DELETE FROM removal", []).map_err(|error| database.error(error))?;
    }
    let begin = |id: &str| {
        let Some(endpoint) = endpoint_of(id) else { return };
        if !ring.contains(&endpoint) {
            let begun = ring.counter(&endpoint);
            recovered.begun += usize::from(begun.is_ok());
            recovered.without_room += usize::from(begun.is_err());
        }
    };
    resources::each_id(&database.connection, begin).map_err(|error| database.error(error))?;
    Ok(recovered)
}
