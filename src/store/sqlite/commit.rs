//! One batch of orders: a transaction of the database, then the ring.
//!
//! | step | what a start finds if the server was killed after it |
//! |---|---|
//! | create: the endpoint begins in the ring | an endpoint without hits whose id a server made: the start removes it |
//! | create: its row is committed | both; if the ring was not on the disk and the machine failed, the row: the start begins the endpoint |
//! | delete: the rows are gone and the removal is noted, in one commit | the removal: the start ends it |
//! | delete: the endpoint is out of the ring, and the ring is on the disk | the removal: the step is complete |
//! | set: the endpoint begins in the ring | an endpoint without hits |
//! | set: the base is committed | the base: the start takes it up |
//! | hit: its numbers and its answer are committed | the numbers: the start raises them (ledger.rs) |
//! | hit: the ring is raised | the step is complete |
//! | the client is answered | |
//! | delete: the note is deleted, with the next batch | the step is complete |
//!
//! A removal names the epoch of the life that is removed. An endpoint that begins after the removal is of a later epoch, so a
//! removal that is ended late does not take its hits. (Clients may count under the name again, and so may other processes while
//! the server is down.)
//!
//! A set does not change hits. It notes the difference between the value and the hits: `base = value - hits`. A hit that was
//! acknowledged before the set is among these hits, and a hit that is acknowledged after the set is not. A reader of the value
//! reads the base first, then the hits.
//!
//! The removal is noted first, because the ring does not remember removals for ever: a compaction forgets old ones.
//!
//! Tests: `tests/store`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{ErrorCode, Transaction, TransactionBehavior};

use super::flush::Progress;
use super::flushed::Rows;
use super::keys::{Keys, Known, Limits};
use super::ledger::{Hit, Ledger};
use super::open::{Database, OpenError};
use super::{endpoints, resources};
use crate::cell::writer::Writer;
use crate::error::{EndpointError, SharedError};
use crate::shared::{SharedLedger, SharedRegistry};
use crate::store::{Act, Answer, Answered, Base, Done, Effect, Order, StoreError};
use crate::sync::{Mutex, Ordering};

/// An order that waits, and the callback for its answer.
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
    /// The endpoint is removed, with the hits of this epoch, if the ring has it.
    Remove(Option<u64>),
    /// Hits are shown with the ledger.
    Hit(Hit),
    /// The value differs from the hits from now on.
    Set(Base),
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
    pub(super) ring: Arc<SharedRegistry>,
    pub(super) ledger: Ledger,
    keys: Keys,
    /// Removals that have ended, and whose notes are still there.
    ended: Vec<(String, u64)>,
    /// What a batch makes or removes.
    pub under_way: UnderWay,
    /// Of endpoints whose value was set.
    pub bases: Bases,
    /// How far the ring is written down, and into which rows.
    pub progress: Arc<Progress>,
    pub(super) rows: Rows,
    /// For how many ticks cells are kept.
    pub(super) keep: u64,
}

/// What values that were set differ from the hits by.
#[derive(Clone, Debug)]
pub struct Bases(Arc<Mutex<HashMap<String, Base>>>);

impl Bases {
    /// That of `endpoint`.
    pub fn find(&self, endpoint: &str) -> Option<Base> {
        self.0.lock().get(endpoint).copied()
    }

    pub(super) fn set(&self, endpoint: &str, base: Base) {
        self.0.lock().insert(endpoint.to_owned(), base);
    }

    fn remove(&self, endpoint: &str) {
        self.0.lock().remove(endpoint);
    }

    /// Removes the base of `endpoint`, unless it is of an epoch after `last`.
    pub(super) fn remove_before(&self, endpoint: &str, last: u64) {
        let mut bases = self.0.lock();
        if bases.get(endpoint).is_some_and(|base| base.epoch <= last) {
            bases.remove(endpoint);
        }
    }
}

/// Endpoints that a batch makes or removes: the ring and the database need not agree on them. The batch adds each endpoint before it
/// commits. It clears the set when the ring shows what was committed, and before it answers the first order. So a client that has its
/// answer, and makes the name again, finds it.
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

    fn clear(&self) {
        self.0.lock().clear();
    }
}

impl Committer {
    /// The database of `ring`. It keeps the hits of a tick for as long as `keep`, and as long as the ring does. What it has is not shown
    /// yet: see [`recover`](Self::recover).
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(
        mut database: Database,
        ring: Arc<SharedRegistry>,
        limits: Limits,
        keep: Duration,
    ) -> Result<Self, OpenError> {
        database.own()?;
        let shared = ledger_of(&database, &ring)?;
        let keys = Keys::new(&database.connection, limits).map_err(|error| database.error(error))?;
        let ticks = |time: Duration| (time.as_nanos() / ring.resolution().as_nanos().max(1)) as u64;
        let keep = ticks(keep).max(ticks(ring.window()) + u64::from(ring.slack()));
        let progress = Arc::new(Progress::new(shared.clone()));
        let ledger = Ledger::new(shared, keep);
        let under_way = UnderWay(Arc::new(Mutex::new(HashSet::new())));
        Ok(Self {
            database,
            ring,
            ledger,
            keys,
            ended: Vec::new(),
            under_way,
            bases: Bases(Arc::new(Mutex::new(HashMap::new()))),
            progress,
            rows: Rows::new(),
            keep,
        })
    }

    /// The ring.
    #[must_use]
    pub fn ring(&self) -> &Arc<SharedRegistry> {
        &self.ring
    }

    /// Attaches the ledger of the database to the ring anew, because either of them has another ledger now.
    pub(super) fn attach(&mut self) -> Result<(), OpenError> {
        let shared = ledger_of(&self.database, &self.ring)?;
        self.progress = Arc::new(Progress::new(shared.clone()));
        self.ledger = Ledger::new(shared, self.keep);
        Ok(())
    }

    /// Gives up the ring and returns the database. The ring is closed, unless it has another holder.
    #[must_use]
    pub fn into_database(self) -> Database {
        self.database
    }

    /// How many of `waiting` go into one batch: an order about an endpoint that one before it removes or sets goes into the next.
    pub fn batch(waiting: &[Waiting]) -> usize {
        let mut changed = HashSet::new();
        for (number, Waiting { order, .. }) in waiting.iter().enumerate() {
            let endpoint = order.act.endpoint();
            if changed.contains(endpoint) {
                return number;
            }
            if matches!(order.act, Act::Delete { .. } | Act::Set { .. }) {
                changed.insert(endpoint);
            }
        }
        waiting.len()
    }

    /// Does a batch and answers each order. If the transaction failed, they are given back.
    pub fn run(&mut self, mut batch: Vec<Waiting>) -> Result<(), (Failure, Vec<Waiting>)> {
        match self.transact(&mut batch) {
            Ok(plans) => {
                self.show(batch, plans);
                Ok(())
            }
            Err(failure) => {
                self.ledger.forget();
                for Waiting { order, .. } in &batch {
                    // The endpoint began in the ring, but its row was not committed. It can be removed, because its id was not
                    // sent to a client yet.
                    if let Act::Create { endpoint, .. } = &order.act {
                        let _ = self.ring.remove(endpoint);
                    }
                }
                self.under_way.clear();
                Err((failure, batch))
            }
        }
    }

    /// Writes all of them into the database.
    pub fn transact(&mut self, batch: &mut [Waiting]) -> Result<Vec<Plan>, Failure> {
        let undone = |error: rusqlite::Error| Failure::Undone(store_error(&error));
        let is_disk = batch.iter().any(|Waiting { order, .. }| order.is_disk);
        let level = if is_disk { "FULL" } else { "NORMAL" };
        self.database.connection.pragma_update(None, "synchronous", level).map_err(undone)?;
        let Self { database, ring, ledger, keys, ended, under_way, bases, progress, .. } = self;
        let behavior = TransactionBehavior::Immediate;
        let transaction = database.connection.transaction_with_behavior(behavior).map_err(undone)?;
        ledger.begin();
        for (endpoint, epoch) in &*ended {
            resources::removed(&transaction, endpoint, *epoch).map_err(undone)?;
        }
        let plans = batch.iter_mut().map(|waiting| plan(&transaction, ring, ledger, keys, waiting, under_way, bases));
        let plans = plans.collect::<rusqlite::Result<Vec<Plan>>>().map_err(undone)?;
        // A replay that asks for the disk may be of a write that did not.
        let is_to_commit = |(plan, Waiting { order, .. }): (&Plan, &Waiting)| {
            matches!(plan, Plan::Done(..)) || matches!(plan, Plan::Replay(_)) && order.is_disk
        };
        if !plans.iter().zip(&*batch).any(is_to_commit) {
            transaction.rollback().map_err(undone)?;
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
        progress.unsynced.store(u32::from(!is_disk), Ordering::Release);
        ended.clear();
        Ok(plans)
    }

    /// Takes what is committed to the ring, and answers afterwards.
    fn show(&mut self, batch: Vec<Waiting>, plans: Vec<Plan>) {
        let later = |error: &dyn std::fmt::Display| StoreError::Later { why: error.to_string() };
        self.ledger.show();
        let (mut ends, mut removed) = (Vec::with_capacity(batch.len()), Vec::new());
        for (Waiting { order, done }, plan) in batch.into_iter().zip(plans) {
            let (answer, show) = match plan {
                Plan::Refused(error) => {
                    ends.push((done, Err(error)));
                    continue;
                }
                Plan::Replay(answer) => {
                    // A kill after the commit may have kept it from being noted. Twice is as good as once.
                    if let Act::Hit { endpoint, visitor: Some(visitor), at, .. } = &order.act {
                        self.ledger.note_again(&self.ring, endpoint, visitor, *at);
                    }
                    ends.push((done, Ok(Answered { answer, is_replay: true })));
                    continue;
                }
                Plan::Done(answer, show) => (answer, show),
            };
            let shown = match (&order.act, show) {
                (Act::Set { endpoint, .. }, Show::Set(base)) => {
                    self.bases.set(endpoint, base);
                    Ok(())
                }
                (Act::Delete { endpoint, .. }, Show::Remove(Some(epoch))) => match self.remove(endpoint) {
                    Ok(_) => {
                        self.bases.remove(endpoint);
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
            ends.push((done, shown.map(|()| Answered { answer, is_replay: false })));
        }
        // Before the first answer, because its client may make the name again at once.
        self.under_way.clear();
        for (done, end) in ends {
            done(end);
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

    /// Removes an endpoint from the ring whose rows are gone.
    fn remove(&mut self, endpoint: &str) -> Result<bool, SharedError> {
        if let Some(life) = self.ledger.life(endpoint) {
            // Also if it stays: its row is another one then.
            self.rows.forget(life);
        }
        self.ring.remove(endpoint)
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
}

fn ledger_of(database: &Database, ring: &SharedRegistry) -> Result<SharedLedger, OpenError> {
    let writer = Writer { replica: database.ledger()?, generation: 0 };
    ring.ledger(writer).map_err(|error| OpenError::Failed { path: database.path().into(), why: error.to_string() })
}

/// Does an order within a transaction.
fn plan(
    transaction: &Transaction<'_>,
    ring: &SharedRegistry,
    ledger: &mut Ledger,
    keys: &Keys,
    waiting: &mut Waiting,
    under_way: &UnderWay,
    bases: &Bases,
) -> rusqlite::Result<Plan> {
    let Order { act, key, answer, .. } = &mut waiting.order;
    if let Some(key) = key {
        match keys.find(transaction, key)? {
            Known::No => {}
            Known::Done(answer) => return Ok(Plan::Replay(answer)),
            Known::Other => return Ok(Plan::Refused(StoreError::KeyReused)),
        }
    }
    let begin = |endpoint: &str| match ring.counter(endpoint) {
        Ok(_) => Ok(()),
        Err(EndpointError::Full { .. }) => Err(StoreError::NoRoom),
        Err(error) => Err(StoreError::Failed { why: error.to_string() }),
    };
    // A base of an epoch that has ended since does not count.
    let value = |endpoint: &str, total: u64| match bases.find(endpoint) {
        Some(Base { epoch, base }) if epoch == ring.epoch(endpoint) => total.saturating_add_signed(base),
        _ => total,
    };
    let (effect, show) = match act {
        Act::Create { resource, endpoint } => {
            under_way.add(endpoint);
            if let Err(error) = begin(endpoint) {
                return Ok(Plan::Refused(error));
            }
            resources::insert(transaction, resource)?;
            (Effect::Created, Show::Nothing)
        }
        Act::Delete { id, endpoint } => {
            let has_row = match id {
                Some(id) => resources::delete(transaction, id)?,
                None => false,
            };
            ledger.remove(endpoint);
            endpoints::remove(transaction, endpoint, u64::MAX)?;
            let epoch = ring.contains(endpoint).then(|| ring.epoch(endpoint));
            if !has_row && epoch.is_none() {
                return Ok(Plan::Refused(StoreError::Unknown));
            }
            if let Some(epoch) = epoch {
                // An endpoint that the ring does not have is not under way: a hit that begins it meanwhile stays.
                under_way.add(endpoint);
                resources::remove(transaction, endpoint, epoch)?;
            }
            (Effect::Deleted, Show::Remove(epoch))
        }
        Act::Hit { endpoint, creates: false, .. } if !ring.contains(endpoint) => {
            return Ok(Plan::Refused(StoreError::Unknown));
        }
        Act::Set { endpoint, value } => {
            if let Err(error) = begin(endpoint) {
                return Ok(Plan::Refused(error));
            }
            let epoch = ring.epoch(endpoint);
            let total = ledger.total(ring, endpoint);
            let base = (*value).cast_signed().saturating_sub(total.cast_signed());
            let id = endpoints::enter(transaction, endpoint, epoch)?;
            endpoints::set(transaction, id, base)?;
            // After a failure of the machine the ring may have fewer hits than the base is of.
            endpoints::count(transaction, id, ledger.counted(endpoint))?;
            (Effect::Set, Show::Set(Base { epoch, base }))
        }
        // The count is 0, so the hit is not stored, but the name is made.
        Act::Hit { endpoint, count: 0, .. } => match begin(endpoint) {
            Ok(()) => (Effect::Counted { value: value(endpoint, ledger.total(ring, endpoint)) }, Show::Nothing),
            Err(error) => return Ok(Plan::Refused(error)),
        },
        Act::Hit { endpoint, count, at, .. } => match ledger.hit(transaction, ring, endpoint, *count, *at)? {
            Ok(hit) => (Effect::Counted { value: value(endpoint, hit.total) }, Show::Hit(hit)),
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
