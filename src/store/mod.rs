//! Where the server keeps what it counts: a directory on the disk, with the ring file and a database.
//!
//! | file | what |
//! |---|---|
//! | `data` | the directory: which server has it, and the names of its files |
//! | `sqlite` | the database |
//!
//! Hits go into the ring and never wait for the database. The database decides on what has to be exact after a power failure, too.
//! Such a write is handed to a [`Store`], which calls back when it is on the disk. So this floor has no async code: the caller
//! chooses what to wait on.
//!
//! Tests: `tests/python/integration/test_serve_resources.py`.

pub mod data;
pub mod sqlite;

use std::fmt;

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

/// Called once, from another thread, when a write is done.
pub type Done<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// Keeps what has to be exact after a power failure. Functions that write return at once.
pub trait Store: fmt::Debug + Send + Sync {
    /// Makes `resource`, whose hits are those of `endpoint`. It is on the disk when `done` is called.
    fn create(&self, resource: Resource, endpoint: String, done: Done<()>);

    /// Removes the resource `id` and all hits of `endpoint`. Both are gone from the disk when `done` is called, which is told whether
    /// there was such a resource, or such an endpoint.
    fn delete(&self, id: String, endpoint: String, done: Done<bool>);

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

    /// Whether writes are taken.
    ///
    /// # Errors
    /// [`StoreError::Unsettled`].
    fn check(&self) -> Result<(), StoreError>;

    /// How many writes wait.
    fn waiting(&self) -> usize;

    /// Does the writes that wait, and takes none afterwards.
    fn close(&self);
}

/// Why a write was not done. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Too many writes wait.
    Busy,
    /// Another process holds the lock of the database.
    Locked,
    /// The ring has no room for another endpoint.
    NoRoom,
    /// The disk is full, or does not write.
    Disk {
        /// What it said.
        why: String,
    },
    /// It is not known yet what became of an earlier write, because the disk does not answer.
    Unsettled,
    /// The ring file or the database could not be used.
    Failed {
        /// What it said.
        why: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many writes wait for the disk; try again later"),
            Self::Locked => f.write_str(
                "another process holds the lock of hitring.db, as `sqlite3` does within a transaction; end that, and try again",
            ),
            Self::NoRoom => f.write_str("the ring file has no room for another name"),
            Self::Disk { why } => write!(f, "the disk does not take the write ({why}); make room on it"),
            Self::Unsettled => f.write_str(
                "the disk does not answer, so it is not known what became of an earlier write; the server tries again each second",
            ),
            Self::Failed { why } => write!(f, "the database could not be used: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}
