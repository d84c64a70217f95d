//! Where the server keeps what it counts: a directory on the disk, with the ring file and a database.
//!
//! | file | what |
//! |---|---|
//! | `data` | the directory: which server has it, and the names of its files |
//! | `sqlite` | the database |
//!
//! Most hits go into the ring and never wait for the database. An [`Order`] does: a resource that is made or removed, a hit that has to
//! survive a power failure, and any write that has to be done once however often it is sent. It is handed to a [`Store`], which calls
//! back when it is done. So this module does not contain async code, and the caller chooses what to wait on.
//!
//! Tests: `tests/store`, `tests/python/integration/test_serve_resources.py`.

pub mod data;
pub mod sqlite;

use std::fmt;
use std::time::Duration;

use crate::cell::outcome::Outcome;
use crate::time::Timestamp;

/// A resource that was made, not one that its first hit made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its id, which no other has.
    pub id: String,
    /// What its maker calls it.
    pub name: String,
    /// When it was made, to the microsecond.
    pub created: Timestamp,
}

/// A write that the database decides on.
pub struct Order {
    /// What is to be done.
    pub act: Act,
    /// With a key it is done once, however often it is sent.
    pub key: Option<Key>,
    /// Whether it is on the disk before it is answered.
    pub is_disk: bool,
    /// Makes the answer to what was done.
    pub answer: Box<dyn FnOnce(Effect) -> Answer + Send>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make `resource`, whose hits are those of `endpoint`.
    Create {
        /// It.
        resource: Resource,
        /// Where its hits are.
        endpoint: String,
    },
    /// Remove all hits of `endpoint`, and the resource `id` whose hits they are, if they are of one.
    Delete {
        /// Its id.
        id: Option<String>,
        /// Where its hits are.
        endpoint: String,
    },
    /// Set the value of `endpoint`. Its hits stay.
    Set {
        /// Whose value it is.
        endpoint: String,
        /// The value, at most 2^53 - 1.
        value: u64,
    },
    /// Count hits of `endpoint`.
    Hit {
        /// Where they count.
        endpoint: String,
        /// How many.
        count: u64,
        /// When; `None` is now.
        at: Option<Timestamp>,
        /// The visitor, if the client names one.
        visitor: Option<String>,
        /// Whether the endpoint is made if it does not exist.
        creates: bool,
    },
}

/// Names a write that is to be done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub key: String,
    /// What is asked for. The same key with another request is refused.
    pub request: Vec<u8>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The resource is made.
    Created,
    /// The hits are gone.
    Deleted,
    /// The value is what was given.
    Set,
    /// The hits count.
    Counted {
        /// The value of the endpoint: all its hits, these included, and what [`Act::Set`] made it differ by.
        value: u64,
    },
}

/// An answer that is kept under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// Whether the order was done before, and this is the answer of that time.
    pub is_replay: bool,
}

/// The difference between a value that was set and the hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The epoch of the endpoint. After a removal the base no longer counts.
    pub epoch: u64,
    /// The difference.
    pub base: i64,
}

/// Called once, from another thread, when an order is done.
pub type Done = Box<dyn FnOnce(Result<Answered, StoreError>) + Send>;

/// Does orders. Nothing waits in these functions.
pub trait Store: fmt::Debug + Send + Sync {
    /// Hands over an order.
    fn submit(&self, order: Order, done: Done);

    /// The resource `id`, if it was made.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn resource(&self, id: &str) -> Result<Option<Resource>, StoreError>;

    /// The first `most` resources whose ids come after `after`, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    fn resources(&self, after: &str, most: usize) -> Result<Vec<Resource>, StoreError>;

    /// Whether an order that makes or removes `endpoint` is under way: the ring and the database need not agree on it. Once the order
    /// is answered, it is not under way.
    fn is_under_way(&self, endpoint: &str) -> bool;

    /// The base of `endpoint`, if its value was set.
    fn base(&self, endpoint: &str) -> Option<Base>;

    /// Whether orders are taken, and the last one did not fail because of the disk.
    ///
    /// # Errors
    /// [`StoreError::Unsettled`], [`StoreError::Lost`]; what the last one was refused for: [`StoreError::Disk`],
    /// [`StoreError::Locked`], [`StoreError::Failed`].
    fn check(&self) -> Result<(), StoreError>;

    /// Looks whether the database was removed or replaced. If so, no orders are taken until it is back.
    fn look(&self);

    /// How many orders wait.
    fn waiting(&self) -> usize;

    /// How many hits of the ring are not flushed to the database now. Reads all endpoints.
    fn unflushed(&self) -> u64;

    /// How many hits are, or will be, in the totals of the database without their seconds.
    fn untimed(&self) -> u64;

    /// How long the last flush took.
    fn took(&self) -> Duration;

    /// For how long the running flush has run, and how many endpoints it has flushed; `None` if no flush runs.
    fn pass(&self) -> Option<(Duration, u64)>;

    /// Does the orders that wait, flushes once more, and takes no orders afterwards.
    fn close(&self);
}

/// Why an order was not done. Nothing of it was, but for [`Later`](Self::Later).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The endpoint does not exist.
    Unknown,
    /// The ring does not take the hit: late, future or saturated.
    Refused(Outcome),
    /// The key was used for another request.
    KeyReused,
    /// Too many orders wait.
    Busy,
    /// Another process holds the lock of the database.
    Locked,
    /// Another process holds the lock of the ring file.
    RingLocked,
    /// Another endpoint does not fit the ring.
    NoRoom,
    /// The disk is full.
    Full,
    /// The disk does not write.
    Disk {
        /// What it said.
        why: String,
    },
    /// The database was removed or replaced while it was open.
    Lost,
    /// It is not known yet what became of an earlier order, because the disk does not answer.
    Unsettled,
    /// A removal is committed, but could not be shown in the ring. The next start does it.
    Later {
        /// What the ring said.
        why: String,
    },
    /// The ring file or the database could not be used.
    Failed {
        /// What it said.
        why: String,
    },
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { act, key, is_disk, answer: _ } = self;
        f.debug_struct("Order").field("act", act).field("key", key).field("is_disk", is_disk).finish_non_exhaustive()
    }
}

impl Act {
    /// The endpoint whose hits it is about.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self {
            Self::Create { endpoint, .. }
            | Self::Delete { endpoint, .. }
            | Self::Set { endpoint, .. }
            | Self::Hit { endpoint, .. } => endpoint,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the name does not exist"),
            Self::Refused(outcome) => write!(f, "the ring does not take the hit: {}", outcome.as_str()),
            Self::KeyReused => f.write_str("the key was used for another request; give each request a key of its own"),
            Self::Busy => f.write_str("too many writes wait for the disk; try again later"),
            Self::Locked => f.write_str(
                "another process holds the lock of hitring.db, as `sqlite3` does within a transaction; end that, and try again",
            ),
            Self::RingLocked => f.write_str(
                "another process holds the lock of hits.ring, as one that merges into it, so a new name cannot be made; try again",
            ),
            Self::NoRoom => f.write_str("the ring file has no room for another name"),
            Self::Full => f.write_str("the disk is full; make room on it"),
            Self::Disk { why } => write!(f, "the disk does not take the write: {why}"),
            Self::Lost => f.write_str("hitring.db was removed or replaced; put it back, or restart the server"),
            Self::Unsettled => f.write_str(
                "the disk does not answer, so it is not known what became of an earlier write; the server tries again each second",
            ),
            Self::Later { why } => write!(f, "the resource is removed, but its hits go at the next start of the server: {why}"),
            Self::Failed { why } => write!(f, "the database could not be used: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}
