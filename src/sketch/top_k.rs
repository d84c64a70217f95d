//! The most frequent items, by any threads, with a bound on what each count may be off.
//!
//! Use it to find what is hit most among more names than can be counted one by one. Not to count names that are known: a
//! counter each is exact.
//!
//! [`space_saving`](super::space_saving) has the algorithm and its bounds. Here are the threads and the travelling.
//!
//! # Threads
//! Each thread adds to one of 16 lists, by its number; each list has a lock. Up to 16 threads meet no other adder there: an
//! add takes a lock that is free and in the core's cache, a look-up and O(log k) steps. More threads share. A reader folds
//! the lists, one lock after the other, so it stops an adder for the time of copying one list. The fold's bounds are those
//! of one list of all `n` hits: an item with more than `n / k` of them is listed, and no count is off by more than `n / k`.
//!
//! Every `add` takes a lock. **Progress:** `add` waits for at most the adders of the same list and one reader.
//!
//! # Travelling
//! A list is not a join, because folding it twice counts it twice. So each counter is a writer whose list travels whole, the newer
//! in place of the older ([`PerWriter`]), and lists of several writers are folded on read alone. Merging the same again changes
//! nothing, and merging an older copy takes nothing back. A copy, and a counter read from bytes, begin as a new writer with an
//! empty list beside those they know.
//!
//! A list's version is the number of its adds. States are taken one after the other, and in each the lists of all threads
//! are at least as far as in the one before: equal versions are equal states.
//!
//! A forked child continues as a new writer. Its first call freezes the lists that it inherited as its ancestor's. Do not fork
//! while another thread may hold one of the locks.
//!
//! # Bytes
//! The frame of `src/cell/frame.rs`, kind 4, for lists of texts; see `docs/formats.md`.
//!
//! Tests: `tests/sketch/top_k.rs`.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use crossbeam_utils::CachePadded;

use crate::cell::frame::{In, Kind, Out};
use crate::cell::merge::PerWriter;
use crate::cell::outcome::Outcome;
use crate::cell::writer::{Replica, Writer};
use crate::error::{SketchError, SnapshotError};
use crate::sketch::size;
use crate::sketch::space_saving::{MAX, SpaceSaving, Summary};
use crate::sync::stamp;
use crate::sync::table::Table;
use crate::sync::threads;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// A power of two.
const LISTS: usize = 16;

/// The `k` most frequent items.
///
/// ```
/// let top = hitring::TopK::new(2)?;
/// for (path, hits) in [("/a", 50), ("/b", 30), ("/c", 1)] {
///     top.add(path, hits);
/// }
/// let items: Vec<(String, u64, u64)> = top.items();
/// assert_eq!(items[0], ("/a".to_owned(), 50, 0));
/// assert_eq!(items[1], ("/c".to_owned(), 31, 30)); // between 1 and 31 hits
/// # Ok::<(), hitring::SketchError>(())
/// ```
pub struct TopK<T = String> {
    k: usize,
    /// Of the process whose adds are in `lists`. Stored under `known`.
    stamp: AtomicU64,
    lists: Table<CachePadded<Mutex<SpaceSaving<T>>>>,
    /// Locked before any list.
    known: Mutex<Known<T>>,
}

struct Known<T> {
    writer: Writer,
    others: PerWriter<Summary<T>>,
}

impl<T: Eq + Hash + Ord + Clone> TopK<T> {
    /// An empty list of at most `k` items. What is not listed has at most one in `k` of all hits.
    ///
    /// # Errors
    /// [`SketchError::Size`] unless `k` is from 1 to 2^20.
    pub fn new(k: usize) -> Result<Self, SketchError> {
        Ok(Self::of(size(k)?, PerWriter::new()))
    }

    fn of(k: usize, others: PerWriter<Summary<T>>) -> Self {
        let writer = Writer { replica: Replica::new(), generation: 0 };
        Self {
            k,
            stamp: AtomicU64::new(stamp::read_or_make()),
            lists: Table::new(),
            known: Mutex::new(Known { writer, others }),
        }
    }

    /// The most items that are listed.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Counts `amount` hits of `item`, or answers [`Saturated`](Outcome::Saturated) and counts none of them, if this
    /// thread's list would have more than 2^63 - 1 in all.
    pub fn add<Q>(&self, item: &Q, amount: u64) -> Outcome
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = T> + ?Sized,
    {
        // `Acquire`: a thread that sees this process's stamp also finds the lists that were emptied before it was stored.
        if self.stamp.load(Ordering::Acquire) != stamp::read() {
            self.begin();
        }
        // A thread that is ending has no number any more.
        let list = threads::current().unwrap_or(0) % LISTS;
        let list = self
            .lists
            .get_or_insert_with(list, || CachePadded::new(Mutex::new(SpaceSaving::new(self.k))))
            .expect("the table has places for all lists");
        if list.lock().add(item, amount) { Outcome::Counted } else { Outcome::Saturated }
    }

    /// Item, count and error of the most frequent items, the largest count first: the item was hit at most `count` times
    /// and at least `count - error` times. Hits of others that were merged are in it.
    #[must_use]
    pub fn items(&self) -> Vec<(T, u64, u64)> {
        Summary::fold(self.k, self.states().iter().map(|(_, _, summary)| summary)).items
    }

    /// Takes in what `other` has counted. Taking it in again changes nothing. It may list more or fewer items than this.
    pub fn merge(&self, other: &Self) {
        let theirs = other.states(); // with the other's locks released, so that two that merge each other do not deadlock
        let mut known = self.known();
        let own = known.writer;
        known.others.merge_except(&theirs, own);
    }

    /// The summaries of all writers, its own included.
    fn states(&self) -> PerWriter<Summary<T>> {
        let known = self.known();
        let mut states = known.others.clone();
        // With `known` locked, so that versions follow the states.
        let (version, summary) = self.own();
        if version > 0 {
            states.put(known.writer, version, summary);
        }
        states
    }

    /// The lists of this process's threads as one, and how many adds they counted.
    fn own(&self) -> (u64, Summary<T>) {
        let mut version = 0;
        let mut summaries = Vec::new();
        for list in self.lists.iter() {
            let list = list.lock();
            version += list.adds();
            summaries.push(list.summary());
        }
        let summary = if summaries.len() == 1 { summaries.pop() } else { None };
        (version, summary.unwrap_or_else(|| Summary::fold(self.k, &summaries)))
    }

    /// What is known, locked, and the lists of this process alone.
    fn known(&self) -> crate::sync::MutexGuard<'_, Known<T>> {
        let mut known = self.known.lock();
        let stamp = stamp::read_or_make();
        if self.stamp.load(Ordering::Relaxed) != stamp {
            let (version, summary) = self.own();
            if version > 0 {
                let ended = known.writer;
                known.others.put(ended, version, summary);
            }
            for list in self.lists.iter() {
                *list.lock() = SpaceSaving::new(self.k);
            }
            known.writer = Writer { replica: Replica::new(), generation: 0 };
            self.stamp.store(stamp, Ordering::Release);
        }
        known
    }

    #[cold]
    fn begin(&self) {
        drop(self.known());
    }
}

impl TopK<String> {
    /// What it knows, as bytes that can be kept, sent, and merged as often as one likes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let states = self.states();
        let mut out = Out::new(Kind::TopK);
        out.u32(self.k as u32);
        out.many(states.len());
        for (writer, version, summary) in states.iter() {
            out.writer(writer);
            out.u64(version);
            out.u64(summary.floor);
            out.many(summary.items.len());
            for (item, count, error) in &summary.items {
                out.long_text(item);
                out.u64(*count);
                out.u64(*error);
            }
        }
        out.finish()
    }

    /// A list that knows what `bytes` hold and continues as a writer of its own.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) of this or an older hitring made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut from = In::open(bytes, Kind::TopK)?;
        let invalid = |what| SnapshotError::Invalid { what };
        let k = size(from.u32()? as usize).map_err(|_| invalid("k"))?;
        let mut states = PerWriter::new();
        for _ in 0..from.many(24 + 8 + 8 + 4)? {
            let (writer, version, floor) = (from.writer()?, from.u64()?, from.u64()?);
            if states.iter().next_back().is_some_and(|(before, ..)| before >= writer) {
                return Err(invalid("order of writers"));
            }
            if version == 0 || floor > MAX {
                return Err(invalid("summary"));
            }
            let mut items: Vec<(String, u64, u64)> = Vec::new();
            for _ in 0..from.many(4 + 8 + 8)? {
                let (item, count, error) = (from.long_text()?, from.u64()?, from.u64()?);
                let ascends = items.last().is_some_and(|(_, before, _)| *before < count);
                if !(1..=MAX).contains(&count) || error > count || ascends {
                    return Err(invalid("count"));
                }
                items.push((item.to_owned(), count, error));
            }
            let mut names: Vec<&str> = items.iter().map(|(item, ..)| item.as_str()).collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(invalid("item"));
            }
            states.put(writer, version, Summary { items, floor });
        }
        if from.is_empty() { Ok(Self::of(k, states)) } else { Err(invalid("length")) }
    }
}

/// A copy has the same list and continues as a writer of its own.
impl<T: Eq + Hash + Ord + Clone> Clone for TopK<T> {
    fn clone(&self) -> Self {
        Self::of(self.k, self.states())
    }
}

impl<T> fmt::Debug for TopK<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopK").field("k", &self.k).finish_non_exhaustive()
    }
}
