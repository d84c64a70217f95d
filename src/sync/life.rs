//! The one word that a writer counts in, a new one in each forked process.
//!
//! Max merges two copies of a word only if one of them continues the other. After a fork, parent and child both count
//! in their copies, so neither copy continues the other. So each word belongs to a *life*: the writer's stay in one
//! process, under a generation of its own.
//!
//! | life | its process's stamp | who writes its word | what others may do with it |
//! |---|---|---|---|
//! | current | this process's | any thread of this process, only upwards | read |
//! | inherited | an ancestor's | no thread of this process; the ancestor writes its own copy | read: it was true at the fork |
//!
//! A life takes no lock, so a fork at any instant leaves nothing locked. Between a fork and the child's first look no
//! life is current; a thread that finds no current life begins one ([`Lives::begin`]).
//!
//! **Progress.** [`Lives::here`]: wait-free, two loads in a process that has not been forked, two more for each ancestor
//! that counted. [`Lives::begin`]: wait-free but for the allocator and a system call.
//!
//! Tests: `tests/models`.

use crate::sync::mutant::mutated;
use crate::sync::stamp;
use crate::sync::table::Table;
use crate::sync::{AtomicU64, Ordering};

/// A writer's word in one process.
#[derive(Debug)]
pub struct Life {
    /// The stamp of the process whose threads write the word.
    stamp: u64,
    generation: u64,
    word: AtomicU64,
}

impl Life {
    /// A random number that no other life has.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The word. `Acquire`: a reader that learns of a hit by the word also sees what its writer did before.
    #[inline]
    pub fn read(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    /// Replaces `seen` by `raised`, or returns the word as it is instead; may fail spuriously.
    #[inline]
    pub fn exchange(&self, seen: u64, raised: u64) -> Result<u64, u64> {
        if mutated!(LifeLoadStore) {
            self.word.store(raised, Ordering::Release);
            return Ok(seen);
        }
        // `Release` pairs with `read`. On failure only the value is used.
        self.word.compare_exchange_weak(seen, raised, Ordering::Release, Ordering::Relaxed)
    }
}

/// The lives of a writer in a line of forks.
#[derive(Debug)]
pub struct Lives {
    lives: Table<Life>,
}

impl Lives {
    /// One life, of this process, under `generation`.
    pub fn with_generation(generation: u64) -> Self {
        let lives = Self { lives: Table::new() };
        lives.begin_as(generation);
        lives
    }

    /// One life, of this process.
    pub fn new() -> Self {
        Self::with_generation(stamp::random())
    }

    /// The life of this process.
    #[inline]
    pub fn here(&self) -> Option<&Life> {
        let stamp = stamp::read();
        match self.lives.get(0) {
            // A life's stamp is never 0, so no life is found by a process that has no stamp.
            Some(first) if first.stamp == stamp => Some(first),
            _ => self.lives.iter().find(|life| life.stamp == stamp),
        }
    }

    /// Returns the life of this process, and begins it if the process has not begun one. Two threads that begin one at
    /// once get the same.
    pub fn begin(&self) -> &Life {
        self.begin_as(stamp::random())
    }

    fn begin_as(&self, generation: u64) -> &Life {
        let stamp = stamp::read_or_make();
        let make = || Life { stamp, generation, word: AtomicU64::new(0) };
        (0..Table::<Life>::CAPACITY)
            .map_while(|index| self.lives.get_or_insert_with(index, make))
            .find(|life| life.stamp == stamp)
            .expect("no line of forks is as long as the table")
    }

    /// All lives, this process's and the inherited.
    pub fn iter(&self) -> impl Iterator<Item = &Life> {
        self.lives.iter()
    }
}
