//! One batch of orders: a transaction of the database, then the ring.
//!
//! | step | what a start finds if the server was killed after it |
//! |---|---|
//! | create: the endpoint begins in the ring | an endpoint without hits whose id is one of ours: the start removes it |
//! | create: its row is committed | both; if the ring was not on the disk and the machine failed, the row: the start begins the endpoint |
//! | delete: the row is gone and the removal is noted, in one commit | the removal: the start ends it |
//! | delete: the endpoint is out of the ring, and the ring is on the disk | the removal: nothing is left to do |
//! | hit: its numbers and its answer are committed | the numbers: the start raises them (ledger.rs) |
//! | hit: the ring is raised | nothing is left to do |
//! | the client is answered | |
//! | delete: the note goes, with the next batch | nothing |
//!
//! A removal names the epoch of the life that goes. An endpoint that begins after the removal is of a later epoch, so a removal that is
//! ended late takes none of its hits. (Clients may count under the name again, and so may other processes while the server is down.)
//!
//! The removal is noted first, because the ring does not remember removals for ever: a compaction forgets old ones.
//!
//! Tests: `tests/store`.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{ErrorCode, Transaction, TransactionBehavior};

use super::keys::{Keys, Known, Limits};
use super::ledger::{Hit, Ledger};
use super::open::{Database, OpenError};
use super::resources;
use crate::cell::writer::Writer;
use crate::error::EndpointError;
use crate::shared::SharedRegistry;
use crate::store::{Act, Answer, Answered, Done, Effect, Order, StoreError};
use crate::sync::Mutex;

/// An order that waits, and who waits for it.
pub struct Waiting {
    pub order: Order,
    pub done: Done,
}

/// What the transaction made of an order.
pub enum Plan {
    /// It is done; this is left to do in the ring.
    Done(Answer, Show),
    /// It was done before.
    Replay(Answer),
    /// Nothing of it is done.
    Refused(StoreError),
}

/// What is left to do in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Nothing.
    Nothing,
    /// The endpoint goes, with the hits of this epoch, if the ring has it.
    Remove(Option<u64>),
    /// Hits are shown with the ledger.
    Hit(Hit),
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
    ledger: Ledger,
    keys: Keys,
    /// Removals that have ended, and whose notes are still there.
    ended: Vec<(String, u64)>,
    /// What a batch makes or removes.
    pub under_way: UnderWay,
}

/// Endpoints that a batch makes or removes: the ring and the database do not agree on them until it is done.
#[derive(Clone, Debug)]
pub struct UnderWay(Arc<Mutex<HashSet<String>>>);

impl UnderWay {
    /// Whether `endpoint` is one of them.
    pub fn has(&self, endpoint: &str) -> bool {
        self.0.lock().contains(endpoint)
    }

    fn add(&self, endpoint: &str) {
        self.0.lock().insert(endpoint.to_owned());
    }
}

impl Committer {
    /// The ledger of `ring`. What the database has is not shown yet: see [`recover`](Self::recover).
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(database: Database, ring: Arc<SharedRegistry>, limits: Limits) -> Result<Self, OpenError> {
        let writer = Writer { replica: database.ledger()?, generation: 0 };
        let failed = |why: String| OpenError::Failed { path: database.path().into(), why };
        let shared = ring.ledger(writer).map_err(|error| failed(error.to_string()))?;
        let keys = Keys::new(&database.connection, limits).map_err(|error| database.error(error))?;
        let ledger = Ledger::new(shared, &ring);
        let under_way = UnderWay(Arc::new(Mutex::new(HashSet::new())));
        Ok(Self { database, ring, ledger, keys, ended: Vec::new(), under_way })
    }

    /// How many of `waiting` go into one batch: an order about an endpoint that one before it removes goes into the next.
    pub fn batch(waiting: &[Waiting]) -> usize {
        let mut removed = HashSet::new();
        for (number, Waiting { order, .. }) in waiting.iter().enumerate() {
            let endpoint = order.act.endpoint();
            if removed.contains(endpoint) {
                return number;
            }
            if matches!(order.act, Act::Delete { .. }) {
                removed.insert(endpoint);
            }
        }
        waiting.len()
    }

    /// Does a batch and answers each order. If the transaction failed, they are given back.
    pub fn run(&mut self, mut batch: Vec<Waiting>) -> Result<(), (Failure, Vec<Waiting>)> {
        let ran = match self.transact(&mut batch) {
            Ok(plans) => {
                self.show(batch, plans);
                Ok(())
            }
            Err(failure) => {
                self.ledger.forget();
                for Waiting { order, .. } in &batch {
                    // What it began in the ring has no row. Nobody knows its id.
                    if let Act::Create { endpoint, .. } = &order.act {
                        let _ = self.ring.remove(endpoint);
                    }
                }
                Err((failure, batch))
            }
        };
        self.under_way.0.lock().clear();
        ran
    }

    /// Writes all of them into the database.
    pub fn transact(&mut self, batch: &mut [Waiting]) -> Result<Vec<Plan>, Failure> {
        let undone = |error: rusqlite::Error| Failure::Undone(store_error(&error));
        let is_disk = batch.iter().any(|Waiting { order, .. }| order.is_disk);
        let level = if is_disk { "FULL" } else { "NORMAL" };
        self.database.connection.pragma_update(None, "synchronous", level).map_err(undone)?;
        let Self { database, ring, ledger, keys, ended, under_way, .. } = self;
        let behavior = TransactionBehavior::Immediate;
        let transaction = database.connection.transaction_with_behavior(behavior).map_err(undone)?;
        ledger.begin();
        for (endpoint, epoch) in &*ended {
            resources::removed(&transaction, endpoint, *epoch).map_err(undone)?;
        }
        let plans = batch.iter_mut().map(|waiting| plan(&transaction, ring, ledger, keys, waiting, under_way));
        let plans = plans.collect::<rusqlite::Result<Vec<Plan>>>().map_err(undone)?;
        // A replay that asks for the disk may be of a write that did not.
        let is_to_commit = |(plan, Waiting { order, .. }): (&Plan, &Waiting)| {
            matches!(plan, Plan::Done(..)) || matches!(plan, Plan::Replay(_)) && order.is_disk
        };
        if !plans.iter().zip(&*batch).any(is_to_commit) {
            transaction.rollback().map_err(undone)?;
            ledger.roll_back();
            return Ok(plans);
        }
        ledger.write(&transaction).map_err(undone)?;
        transaction.execute("UPDATE meta SET batch = batch + 1, age = ?1", [keys.age()]).map_err(undone)?;
        transaction.commit().map_err(|error| {
            let why = store_error(&error);
            // A frame did not fit, so the last one, which makes a transaction of them, was not written.
            let is_undone = matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy));
            if is_undone { Failure::Undone(why) } else { Failure::Unsettled(why) }
        })?;
        ended.clear();
        Ok(plans)
    }

    /// Takes what is committed to the ring, and answers.
    fn show(&mut self, batch: Vec<Waiting>, plans: Vec<Plan>) {
        let later = |error: &dyn std::fmt::Display| StoreError::Later { why: error.to_string() };
        self.ledger.show();
        let mut removed = Vec::new();
        for (Waiting { order, done }, plan) in batch.into_iter().zip(plans) {
            let (answer, show) = match plan {
                Plan::Refused(error) => {
                    done(Err(error));
                    continue;
                }
                Plan::Replay(answer) => {
                    // A kill after the commit may have kept it from being noted. Twice is as good as once.
                    if let Act::Hit { endpoint, visitor: Some(visitor), at, .. } = &order.act {
                        self.ledger.note_again(&self.ring, endpoint, visitor, *at);
                    }
                    done(Ok(Answered { answer, is_replay: true }));
                    continue;
                }
                Plan::Done(answer, show) => (answer, show),
            };
            let shown = match (&order.act, show) {
                (Act::Delete { endpoint, .. }, Show::Remove(Some(epoch))) => match self.ring.remove(endpoint) {
                    Ok(_) => {
                        removed.push((endpoint.clone(), epoch, answer, done));
                        continue;
                    }
                    Err(error) => Err(later(&error)),
                },
                (Act::Hit { visitor, count, .. }, Show::Hit(hit)) => {
                    if let Some(visitor) = visitor.as_ref().filter(|_| *count > 0) {
                        self.ledger.note_visitor(hit, visitor);
                    }
                    Ok(())
                }
                _ => Ok(()),
            };
            done(shown.map(|()| Answered { answer, is_replay: false }));
        }
        if removed.is_empty() {
            return;
        }
        let synced = self.ring.sync().map_err(|error| later(&error));
        for (endpoint, epoch, answer, done) in removed {
            if synced.is_ok() {
                self.ended.push((endpoint, epoch));
            }
            done(synced.clone().map(|()| Answered { answer, is_replay: false }));
        }
    }

    /// What is kept of a write that was done, if `order` is one.
    pub fn replay(&self, order: &Order) -> Option<Answer> {
        match self.keys.find(&self.database.connection, order.key.as_ref()?) {
            Ok(Known::Done(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Makes sure that a transaction whose commit failed is never found: commits another one in its place.
    pub fn settle(&mut self) -> rusqlite::Result<()> {
        self.database.connection.pragma_update(None, "synchronous", "FULL")?;
        // It must change something: SQLite commits nothing otherwise, and overwrites nothing in its log.
        self.database.connection.execute("UPDATE meta SET batch = batch + 1", [])?;
        // A sync that failed may have left what lies before it in the log off the disk, too. It waits for no reader.
        let _ = self.database.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        Ok(())
    }

    /// Does what a killed server left: ends removals, shows the ledger, and begins the endpoints of resources that have none.
    /// `endpoint_of` says where the hits of a resource are, and `is_made` whether an endpoint is of an id that a server made.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn recover(
        &mut self,
        endpoint_of: impl Fn(&str) -> Option<String>,
        is_made: impl Fn(&str) -> bool,
    ) -> Result<Recovered, OpenError> {
        let Self { database, ring, ledger, .. } = self;
        let in_ring = |error: &dyn std::fmt::Display| OpenError::Ring {
            why: format!("a removal could not be ended in the ring: {error}"),
        };
        let mut recovered = Recovered::default();
        let removals = resources::removals(&database.connection).map_err(|error| database.error(error))?;
        for (endpoint, epoch) in &removals {
            if ring.contains(endpoint) && ring.epoch(endpoint) <= *epoch {
                ring.remove(endpoint).map_err(|error| in_ring(&error))?;
                recovered.removals += 1;
            }
        }
        if recovered.removals > 0 {
            ring.sync().map_err(|error| in_ring(&error))?;
        }
        if !removals.is_empty() {
            database.connection.execute("DELETE FROM removal", []).map_err(|error| database.error(error))?;
        }
        let shown = ledger.show_all(&database.connection).map_err(|error| database.error(error))?;
        recovered.without_room = shown.map_err(|error| OpenError::Ring { why: error.to_string() })?;
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
                ring.remove(&endpoint).map_err(|error| in_ring(&error))?;
                recovered.uncommitted += 1;
            }
        }
        Ok(recovered)
    }
}

/// Does an order within a transaction.
fn plan(
    transaction: &Transaction<'_>,
    ring: &SharedRegistry,
    ledger: &mut Ledger,
    keys: &Keys,
    waiting: &mut Waiting,
    under_way: &UnderWay,
) -> rusqlite::Result<Plan> {
    let Order { act, key, answer, .. } = &mut waiting.order;
    if let Some(key) = key {
        match keys.find(transaction, key)? {
            Known::No => {}
            Known::Done(answer) => return Ok(Plan::Replay(answer)),
            Known::Other => return Ok(Plan::Refused(StoreError::KeyReused)),
        }
    }
    let (effect, show) = match act {
        Act::Create { resource, endpoint } => {
            under_way.add(endpoint);
            match ring.counter(endpoint) {
                Ok(_) => {}
                Err(EndpointError::Full { .. }) => return Ok(Plan::Refused(StoreError::NoRoom)),
                Err(error) => return Ok(Plan::Refused(StoreError::Failed { why: error.to_string() })),
            }
            resources::insert(transaction, resource)?;
            (Effect::Created, Show::Nothing)
        }
        Act::Delete { id, endpoint } => {
            under_way.add(endpoint);
            let has_row = resources::delete(transaction, id)?;
            ledger.remove(transaction, endpoint)?;
            let epoch = ring.contains(endpoint).then(|| ring.epoch(endpoint));
            if !has_row && epoch.is_none() {
                return Ok(Plan::Refused(StoreError::Unknown));
            }
            if let Some(epoch) = epoch {
                resources::remove(transaction, endpoint, epoch)?;
            }
            (Effect::Deleted, Show::Remove(epoch))
        }
        Act::Hit { endpoint, creates: false, .. } if !ring.contains(endpoint) => {
            return Ok(Plan::Refused(StoreError::Unknown));
        }
        // Nothing is counted, so nothing is kept; but the name is made.
        Act::Hit { endpoint, count: 0, .. } => match ring.counter(endpoint) {
            Ok(_) => (Effect::Counted { total: ledger.total(ring, endpoint) }, Show::Nothing),
            Err(EndpointError::Full { .. }) => return Ok(Plan::Refused(StoreError::NoRoom)),
            Err(error) => return Ok(Plan::Refused(StoreError::Failed { why: error.to_string() })),
        },
        Act::Hit { endpoint, count, at, .. } => match ledger.hit(transaction, ring, endpoint, *count, *at)? {
            Ok(hit) => (Effect::Counted { total: hit.total }, Show::Hit(hit)),
            Err(error) => return Ok(Plan::Refused(error)),
        },
    };
    let answer = std::mem::replace(answer, Box::new(|_| unreachable!("an order is answered once")))(effect);
    if let Some(key) = key {
        keys.keep(transaction, key, &answer)?;
    }
    Ok(Plan::Done(answer, show))
}

/// What an error of SQLite is to the caller of a write.
pub fn store_error(error: &rusqlite::Error) -> StoreError {
    let why = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => StoreError::Disk { why },
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
    /// Endpoints that it removed, as the making of their resources was not committed.
    pub uncommitted: usize,
    /// Resources and endpoints of the ledger that the ring has no room for.
    pub without_room: usize,
}
