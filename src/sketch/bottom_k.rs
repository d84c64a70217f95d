//! A sample of fixed size that merges: the `k` items whose random tags are the smallest.
//!
//! Use it for a uniform sample of hits that were added in several places, sent about and merged in any order. An add is cheaper than
//! that of a [`Reservoir`](super::reservoir::Reservoir), too, above all from several threads, which share no word here.
//! It does not know how many hits there were: a counter beside it makes it the dearer of the two.
//!
//! It samples *hits*, not distinct items: an item that is added twice has two tags and may be in the sample twice. (Bottom-k
//! by a hash of the item would sample the distinct ones; Cohen and Kaplan, "Summarizing Data using Bottom-k Sketches",
//! 2007.)
//!
//! # Tags
//! | part | bits | what for |
//! |---|---|---|
//! | priority | 64 | drawn evenly for each add; the smallest stay |
//! | origin | 64 | random, one for each sampler in each process (a copy and a forked child have their own) |
//! | sequence | 64 | the samples of an origin, in the order they were taken |
//!
//! The items with the `k` smallest of `n` independent priorities are a uniform sample of the `n`. Of a union they are the
//! smallest of both parts' `k` smallest, so the parts' samples are enough, however unequal the streams are. Origin and
//! sequence make a tag unique: the same tag is the same add, and a copy that comes twice is taken once. So merging is a
//! join (see [`Merge`]).
//!
//! Two samplers by the same seed draw the same priorities: each by itself is uniform, their union is not. Give them
//! different seeds.
//!
//! # Guarantees
//! | method | progress | steps | beside writers |
//! |---|---|---|---|
//! | `add`, rejected | wait-free | one load (by a seed: and one `fetch_add`), one random number | |
//! | `add`, taken | locks | O(log k); of `n` adds about `k ln(n / k)` | |
//! | `items`, `merge`, `clone` | lock, one sampler at a time | O(k log k) | the smallest tags of all adds that had returned, and perhaps of some under way |
//!
//! `kth` is the largest priority of a full sample and only falls. A thread that reads an old value reads a larger one, so it takes
//! the lock, where the priority is compared again. So `kth` is `Relaxed`. Do not fork while another thread may hold the lock.
//!
//! # Bytes
//! The frame of `src/cell/frame.rs`, kind 7, for samples of texts; see `docs/formats.md`.
//!
//! Tests: `tests/sketch/bottom_k.rs`.

use std::collections::BTreeMap;
use std::fmt;

use crate::cell::frame::{In, Kind, Out};
use crate::cell::merge::Merge;
use crate::error::{SketchError, SnapshotError};
use crate::sketch::draw::Source;
use crate::sketch::size;
use crate::sync::stamp;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// What an add drew, and which add it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    priority: u64,
    origin: u64,
    sequence: u64,
}

/// A uniform sample of at most `k` hits that can be merged with others in any order, as often as one likes.
///
/// ```
/// use hitring::BottomK;
///
/// let (few, many) = (BottomK::new(10)?, BottomK::new(10)?);
/// (0..20).for_each(|hit| few.add(("few", hit)));
/// (0..20_000).for_each(|hit| many.add(("many", hit)));
/// few.merge(&many)?; // of 20,020 hits, each with the same chance
/// assert_eq!(few.items().len(), 10);
/// # Ok::<(), hitring::SketchError>(())
/// ```
pub struct BottomK<T> {
    k: usize,
    origin: u64,
    source: Source,
    /// The largest priority of a full sample; before it is full, the largest of all numbers. Stored under the lock.
    kth: AtomicU64,
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    sample: BTreeMap<Tag, T>,
    /// How many tags were given.
    tags: u64,
}

impl<T> BottomK<T> {
    /// A sample of at most `k` items, by random numbers of the system's.
    ///
    /// # Errors
    /// [`SketchError::Size`] unless `k` is from 1 to 2^20.
    pub fn new(k: usize) -> Result<Self, SketchError> {
        Ok(Self::of(size(k)?, Source::new(None), BTreeMap::new()))
    }

    /// The same, by a seed: the same items in the same order give the same sample. Samplers that are to be merged need
    /// different seeds.
    ///
    /// # Errors
    /// [`SketchError::Size`] unless `k` is from 1 to 2^20.
    pub fn with_seed(k: usize, seed: u64) -> Result<Self, SketchError> {
        Ok(Self::of(size(k)?, Source::new(Some(seed)), BTreeMap::new()))
    }

    fn of(k: usize, source: Source, sample: BTreeMap<Tag, T>) -> Self {
        let kth = AtomicU64::new(kth(k, &sample));
        Self { k, origin: stamp::random(), source, kth, inner: Mutex::new(Inner { sample, tags: 0 }) }
    }

    /// The most items of a sample.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Adds an item.
    #[inline]
    pub fn add(&self, item: T) {
        self.add_with(|| item);
    }

    /// Adds the item that `make` makes, which is asked only for one that is considered.
    #[doc(hidden)]
    #[inline]
    pub fn add_with(&self, make: impl FnOnce() -> T) {
        let priority = self.source.word();
        // An equal priority is decided by the rest of the tag.
        if priority <= self.kth.load(Ordering::Relaxed) {
            self.consider(priority, make());
        }
    }

    #[cold]
    fn consider(&self, priority: u64, item: T) {
        let mut inner = self.inner.lock();
        inner.tags += 1;
        let tag = Tag { priority, origin: self.origin ^ stamp::read_or_make(), sequence: inner.tags };
        inner.sample.insert(tag, item);
        let rejected = if inner.sample.len() > self.k { inner.sample.pop_last() } else { None };
        self.kth.store(kth(self.k, &inner.sample), Ordering::Relaxed);
        drop(inner);
        drop(rejected); // outside the lock: what it does when dropped is not ours to know
    }
}

fn kth<T>(k: usize, sample: &BTreeMap<Tag, T>) -> u64 {
    match sample.last_key_value() {
        Some((tag, _)) if sample.len() >= k => tag.priority,
        _ => u64::MAX,
    }
}

impl<T: Clone> BottomK<T> {
    /// The sample: all items, while there are at most `k`. The smallest tag first, which is an order drawn evenly.
    #[must_use]
    pub fn items(&self) -> Vec<T> {
        self.inner.lock().sample.values().cloned().collect()
    }

    /// The sample with its tags, ascending.
    #[must_use]
    #[doc(hidden)]
    pub fn tagged(&self) -> Vec<(Tag, T)> {
        self.inner.lock().sample.iter().map(|(tag, item)| (*tag, item.clone())).collect()
    }

    /// Takes in what `other` has sampled. Taking it in again changes nothing.
    ///
    /// # Errors
    /// [`SketchError::OtherSize`] unless both have the same `k`.
    pub fn merge(&self, other: &Self) -> Result<(), SketchError> {
        if other.k != self.k {
            return Err(SketchError::OtherSize { theirs: other.k, ours: self.k });
        }
        self.take(other.tagged()); // with the other's lock released, so that two that merge each other do not deadlock
        Ok(())
    }

    fn take(&self, tagged: Vec<(Tag, T)>) {
        let mut inner = self.inner.lock();
        inner.sample.extend(tagged);
        while inner.sample.len() > self.k {
            inner.sample.pop_last();
        }
        self.kth.store(kth(self.k, &inner.sample), Ordering::Relaxed);
    }
}

impl BottomK<String> {
    /// The sample as bytes that can be kept, sent, and merged as often as one likes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Out::new(Kind::BottomK);
        out.u32(self.k as u32);
        let tagged = self.tagged();
        out.many(tagged.len());
        for (Tag { priority, origin, sequence }, item) in &tagged {
            out.u64(*priority);
            out.u64(*origin);
            out.u64(*sequence);
            out.long_text(item);
        }
        out.finish()
    }

    /// The sample that `bytes` hold, which goes on with tags of its own, by random numbers of the system's.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) of this or an older hitring made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut from = In::open(bytes, Kind::BottomK)?;
        let invalid = |what| SnapshotError::Invalid { what };
        let k = size(from.u32()? as usize).map_err(|_| invalid("k"))?;
        let items = from.many(24 + 4)?;
        if items > k {
            return Err(invalid("number of items"));
        }
        let mut sample = BTreeMap::new();
        for _ in 0..items {
            let tag = Tag { priority: from.u64()?, origin: from.u64()?, sequence: from.u64()? };
            if sample.last_key_value().is_some_and(|(before, _)| *before >= tag) {
                return Err(invalid("order of tags"));
            }
            sample.insert(tag, from.long_text()?.to_owned());
        }
        if from.is_empty() { Ok(Self::of(k, Source::new(None), sample)) } else { Err(invalid("length")) }
    }
}

/// Joins samples of different sizes, too: into one of the smaller size.
impl<T: Clone> Merge for BottomK<T> {
    fn merge(&mut self, other: &Self) {
        self.k = self.k.min(other.k);
        self.take(other.tagged());
    }
}

/// A copy has the same sample and gives tags of its own.
impl<T: Clone> Clone for BottomK<T> {
    fn clone(&self) -> Self {
        Self::of(self.k, self.source.split(), self.tagged().into_iter().collect())
    }
}

impl<T> fmt::Debug for BottomK<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BottomK").field("k", &self.k).finish_non_exhaustive()
    }
}
