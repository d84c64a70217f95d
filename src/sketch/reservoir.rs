//! A sample of fixed size, uniform over everything that was added, by any threads.
//!
//! Use it to keep a few examples of very many, and to know how many those were: the counter that tells it
//! ([`seen`](Reservoir::seen)) is what an add pays for. Where that is not asked, or samples are merged between many replicas,
//! use [`BottomK`](super::bottom_k::BottomK): its adds share no word, and it carries one state in all, not one for each writer.
//!
//! Algorithm L (Li, "Reservoir-Sampling Algorithms of Time Complexity O(n(1 + log(N/n)))", 1994): the first `k` items fill
//! the places. From then on not each item is drawn for, but how many are *skipped* until the next *chosen* one, which
//! replaces a place drawn evenly. Of `n` items about `k ln(n / k)` are chosen, and an item that is not pays no random
//! number.
//!
//! # Threads
//! The algorithm knows items by their position alone. Here the position of an item is what its add takes from one atomic
//! counter, so positions are a total order whatever threads do, and the sample is that of the sequential algorithm over
//! that order: **uniform under threads**, because the chosen positions are drawn by random numbers that never see an item.
//! What is left is to bring each chosen item to its place although adds overtake each other:
//!
//! ```text
//! next = the next chosen position, and whether chosen ones were passed over (one word)
//!
//! add: position = seen++
//!      position < k                     fills its place, under the lock
//!      position < next, none passed     not chosen: done, without the lock   <- nearly all
//!      otherwise, under the lock:
//!        next < position                passes over `next`: notes its place for the add that is still on its way,
//!                                       draws the one after, and looks again
//!        next = position                is chosen: takes its place, draws the next
//!        noted as passed over           takes the place that was noted for it
//!        else                           not chosen
//! ```
//!
//! | a place's owner | item in it | an add that comes for the place |
//! |---|---|---|
//! | the add's position | an older position's, or none | writes its item |
//! | a later position | any | drops its item: in the order of positions it was replaced already |
//!
//! * If an add is passed over before it reads `next`, it must not take itself for skipped. The word that shows a later
//!   `next` shows in the same load that one was passed over, until the last of those has come; meanwhile every add takes
//!   the lock. (Mutant `ReservoirForgetsPassed`.)
//! * If two chosen positions drew the same place and the later comes first, the earlier must not replace it. (Mutant
//!   `ReservoirTakesBack`.)
//! * A thread never waits for an add that is on its way, only for the lock.
//!
//! One load decides, of one word that changes under the lock alone, so all its accesses are `Relaxed`: an old value sends
//! the add to the lock, never past it.
//!
//! # Guarantees
//! | method | progress | steps | beside writers |
//! |---|---|---|---|
//! | `add`, not chosen | wait-free where `fetch_add` is (x86-64, AArch64 with LSE) | two loads, one `fetch_add` | |
//! | `add`, chosen, or while a chosen one is on its way | locks | one step for each position passed over | |
//! | `items` | locks | one step a place and writer | a uniform sample of what was added, but a chosen add still under way has not taken its place |
//! | `seen` | locks | one step a writer | adds under way are counted |
//!
//! # Merging
//! A reservoir is not a join. Each has a writer's state of its own and keeps the others' beside it ([`PerWriter`]). To read
//! several, places are filled one by one: the stream is drawn by how much of each is not drawn yet, the item evenly from that
//! stream's sample. That is a uniform sample without replacement of all streams, however unequal. The numbers come from a seed made
//! of the writers and what they have seen, so all replicas that know the same states read the same sample.
//!
//! A copy begins as a new writer with nothing of its own, beside what its original had. So does a forked child with its
//! first add; do not fork while another thread may hold the lock.
//!
//! # Bytes
//! The frame of `src/cell/frame.rs`, kind 6, for samples of texts; see `docs/formats.md`.
//!
//! Tests: `tests/sketch/reservoir.rs`, `tests/models/reservoir.rs`.

use std::fmt;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::cell::frame::{In, Kind, Out};
use crate::cell::merge::PerWriter;
use crate::cell::writer::{Replica, Writer};
use crate::error::{SketchError, SnapshotError};
use crate::sketch::{draw, size};
use crate::sync::mutant::mutated;
use crate::sync::stamp;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Where skips end that are longer than any stream.
const NEVER: u64 = 1 << 62;

/// What one writer shows of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sample<T> {
    /// As many as the stream has, at most `k`.
    items: Vec<T>,
    seen: u64,
}

/// A uniform sample of at most `k` of everything that was added.
///
/// ```
/// let sample = hitring::Reservoir::with_seed(3, 7)?;
/// for visitor in 0..1_000 {
///     sample.add(visitor);
/// }
/// assert_eq!((sample.items().len(), sample.seen()), (3, 1_000));
/// # Ok::<(), hitring::SketchError>(())
/// ```
pub struct Reservoir<T> {
    k: usize,
    /// Of the process whose adds are in `own`. Stored under the lock.
    stamp: AtomicU64,
    /// How many positions were taken: the next add's position.
    seen: AtomicU64,
    /// The next chosen position, shifted by one; the lowest bit says that a chosen one has been passed over. Stored
    /// under the lock.
    next: AtomicU64,
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    own: Own<T>,
    others: PerWriter<Sample<T>>,
    /// Whether the numbers come from a seed, and go on from it in a forked child.
    seeded: bool,
}

struct Own<T> {
    writer: Writer,
    places: Vec<Option<T>>,
    /// By place, the position whose item belongs there.
    owners: Vec<u64>,
    /// Chosen positions that were passed over, and their places: never more than adds under way.
    passed: Vec<(u64, usize)>,
    /// The next chosen position.
    next: u64,
    /// The natural logarithm of Li's W: the largest of `k` random numbers that all seen items have drawn.
    ln_w: f64,
    random: Xoshiro256PlusPlus,
    /// How often an item was put into a place.
    changes: u64,
}

impl<T> Reservoir<T> {
    /// A sample of at most `k` items, by random numbers of the system's.
    ///
    /// # Errors
    /// [`SketchError::Size`] unless `k` is from 1 to 2^20.
    pub fn new(k: usize) -> Result<Self, SketchError> {
        Self::with(k, draw::word(), false)
    }

    /// The same, by a seed: the same items in the same order give the same sample.
    ///
    /// # Errors
    /// [`SketchError::Size`] unless `k` is from 1 to 2^20.
    pub fn with_seed(k: usize, seed: u64) -> Result<Self, SketchError> {
        Self::with(k, seed, true)
    }

    fn with(k: usize, seed: u64, seeded: bool) -> Result<Self, SketchError> {
        Ok(Self::of(size(k)?, PerWriter::new(), seed, seeded))
    }

    fn of(k: usize, others: PerWriter<Sample<T>>, seed: u64, seeded: bool) -> Self {
        let own = Own::new(k, Xoshiro256PlusPlus::seed_from_u64(seed));
        Self {
            k,
            stamp: AtomicU64::new(stamp::read_or_make()),
            seen: AtomicU64::new(0),
            next: AtomicU64::new(own.word()),
            inner: Mutex::new(Inner { own, others, seeded }),
        }
    }

    /// The most items of a sample.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Adds an item.
    #[inline]
    pub fn add(&self, item: T) {
        self.place(item);
    }

    /// Adds the item that `make` makes, which is asked only for one that may be chosen.
    #[doc(hidden)]
    #[inline]
    pub fn add_with(&self, make: impl FnOnce() -> T) {
        let position = self.take();
        self.bring_with(position, make);
    }

    /// Adds an item and answers its position, from 0.
    #[doc(hidden)]
    #[inline]
    pub fn place(&self, item: T) -> u64 {
        let position = self.take();
        self.bring(position, item);
        position
    }

    /// The first half of an add: takes a position.
    #[doc(hidden)]
    #[inline]
    pub fn take(&self) -> u64 {
        // `Acquire`: a thread that sees this process's stamp also sees the words that were emptied before it was stored.
        // unnoticed: no model forks, so the stamp never changes there
        if self.stamp.load(Ordering::Acquire) != stamp::read() {
            self.begin();
        }
        self.seen.fetch_add(1, Ordering::Relaxed)
    }

    /// The second half: brings the item of a position that was taken, once, to its place, if it has one.
    #[doc(hidden)]
    #[inline]
    pub fn bring(&self, position: u64, item: T) {
        self.bring_with(position, || item);
    }

    #[inline]
    fn bring_with(&self, position: u64, make: impl FnOnce() -> T) {
        let next = self.next.load(Ordering::Relaxed);
        // Positions below `k` are below every `next` but fill a place each.
        let skipped = next & 1 == 0 && position < next >> 1 && position >= self.k as u64;
        if !skipped {
            self.choose(position, make());
        }
    }

    #[cold]
    fn choose(&self, position: u64, item: T) {
        let replaced = {
            let mut inner = self.inner.lock();
            let own = &mut inner.own;
            let place = own.place_of(position);
            self.next.store(own.word(), Ordering::Relaxed);
            place.and_then(|place| own.put(place, position, item))
        };
        drop(replaced); // outside the lock: what it does when dropped is not ours to know
    }

    /// In a forked child: what its ancestor sampled becomes a state like those of others, and a new writer begins.
    #[cold]
    fn begin(&self) {
        let mut inner = self.inner.lock();
        let stamp = stamp::read_or_make();
        if self.stamp.load(Ordering::Relaxed) == stamp {
            return; // another thread of the child was quicker
        }
        let Inner { own, others, seeded } = &mut *inner;
        let random = if *seeded {
            Xoshiro256PlusPlus::seed_from_u64(own.random.next_u64())
        } else {
            Xoshiro256PlusPlus::seed_from_u64(draw::word())
        };
        let begun = Own::new(self.k, random);
        let ended = std::mem::replace(own, begun);
        let seen = self.seen.load(Ordering::Relaxed);
        let (writer, version) = (ended.writer, ended.version(seen));
        if seen > 0 {
            others.put(writer, version, Sample { items: ended.places.into_iter().flatten().collect(), seen });
        }
        self.seen.store(0, Ordering::Relaxed);
        self.next.store(own.word(), Ordering::Relaxed);
        self.stamp.store(stamp, Ordering::Release);
    }

    /// How many items were added, here and where others that were merged came from.
    #[must_use]
    pub fn seen(&self) -> u64 {
        let inner = self.inner.lock();
        let own = self.seen.load(Ordering::Relaxed);
        inner.others.fold(own, |all, sample| all.saturating_add(sample.seen))
    }
}

impl<T: Clone> Reservoir<T> {
    /// The sample: all items, while there are at most `k`. In no order that means anything.
    #[must_use]
    pub fn items(&self) -> Vec<T> {
        let states = self.states();
        match states.iter().next() {
            Some((_, _, only)) if states.len() == 1 => only.items.clone(),
            _ => fold(self.k, &states),
        }
    }

    /// Takes in what `other` has seen. Taking it in again changes nothing.
    ///
    /// # Errors
    /// [`SketchError::OtherSize`] unless both have the same `k`.
    pub fn merge(&self, other: &Self) -> Result<(), SketchError> {
        if other.k != self.k {
            return Err(SketchError::OtherSize { theirs: other.k, ours: self.k });
        }
        let theirs = other.states(); // with the other's lock released, so that two that merge each other do not deadlock
        let mut inner = self.inner.lock();
        let Inner { own, others, .. } = &mut *inner;
        others.merge_except(&theirs, own.writer);
        Ok(())
    }

    /// The states of all writers, its own included.
    fn states(&self) -> PerWriter<Sample<T>> {
        let inner = self.inner.lock();
        let mut states = inner.others.clone();
        let seen = self.seen.load(Ordering::Relaxed);
        if seen > 0 {
            let items = inner.own.places.iter().flatten().cloned().collect();
            states.put(inner.own.writer, inner.own.version(seen), Sample { items, seen });
        }
        states
    }
}

impl Reservoir<String> {
    /// What it has seen and sampled, as bytes that can be kept, sent, and merged as often as one likes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let states = self.states();
        let mut out = Out::new(Kind::Reservoir);
        out.u32(self.k as u32);
        out.many(states.len());
        for (writer, version, sample) in states.iter() {
            out.writer(writer);
            out.u64(version);
            out.u64(sample.seen);
            out.many(sample.items.len());
            sample.items.iter().for_each(|item| out.long_text(item));
        }
        out.finish()
    }

    /// A sample that knows what `bytes` hold and continues as a writer of its own, by random numbers of the system's.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) of this or an older hitring made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut from = In::open(bytes, Kind::Reservoir)?;
        let invalid = |what| SnapshotError::Invalid { what };
        let k = size(from.u32()? as usize).map_err(|_| invalid("k"))?;
        let mut states = PerWriter::new();
        for _ in 0..from.many(24 + 8 + 8 + 4)? {
            let (writer, version, seen) = (from.writer()?, from.u64()?, from.u64()?);
            if states.iter().next_back().is_some_and(|(before, ..)| before >= writer) {
                return Err(invalid("order of writers"));
            }
            if seen == 0 || seen > i64::MAX as u64 || version < seen {
                return Err(invalid("number of adds"));
            }
            let items = from.many(4)?;
            if items as u64 > seen.min(k as u64) {
                return Err(invalid("number of items"));
            }
            let items = (0..items).map(|_| from.long_text().map(str::to_owned)).collect::<Result<_, _>>()?;
            states.put(writer, version, Sample { items, seen });
        }
        if from.is_empty() { Ok(Self::of(k, states, draw::word(), false)) } else { Err(invalid("length")) }
    }
}

/// One sample of several streams' samples.
fn fold<T: Clone>(k: usize, states: &PerWriter<Sample<T>>) -> Vec<T> {
    let mut seed = 0;
    let mut streams: Vec<(Vec<T>, u64)> = Vec::with_capacity(states.len());
    for (writer, _, sample) in states.iter() {
        for word in [writer.replica.process, writer.replica.sequence, writer.generation, sample.seen] {
            seed = draw::mix(seed ^ word);
        }
        // Fewer than `k` are all there are; an add that is on its way to its place is not there yet.
        let items = sample.items.clone();
        let seen = if items.len() < k { items.len() as u64 } else { sample.seen };
        streams.push((items, seen));
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut left: u128 = streams.iter().map(|(_, seen)| u128::from(*seen)).sum();
    let mut folded = Vec::with_capacity(k.min(usize::try_from(left).unwrap_or(k)));
    while folded.len() < k && left > 0 {
        let mut drawn = below(&mut random, left);
        let stream = streams.iter_mut().find(|(_, seen)| {
            let here = drawn < u128::from(*seen);
            drawn = drawn.saturating_sub(if here { 0 } else { u128::from(*seen) });
            here
        });
        let Some((items, seen)) = stream else { break };
        // A stream of `n` items is drawn at most `min(n, k)` times, and so many of them are in its sample.
        let index = below(&mut random, items.len() as u128) as usize;
        folded.push(items.swap_remove(index));
        *seen -= 1;
        left -= 1;
    }
    folded
}

/// A number drawn from `0..end`, evenly but for a share of `end / 2^64`, which no sample can show.
fn below(random: &mut Xoshiro256PlusPlus, end: u128) -> u128 {
    (u128::from(random.next_u64()) * (end & u128::from(u64::MAX))) >> 64
}

impl<T> Own<T> {
    fn new(k: usize, random: Xoshiro256PlusPlus) -> Self {
        let mut own = Self {
            writer: Writer { replica: Replica::new(), generation: 0 },
            places: std::iter::repeat_with(|| None).take(k).collect(),
            owners: (0..k as u64).collect(),
            passed: Vec::new(),
            next: k as u64 - 1,
            ln_w: 0.0,
            random,
            changes: 0,
        };
        own.skip();
        own
    }

    /// What `Reservoir::next` holds.
    fn word(&self) -> u64 {
        let passed = !self.passed.is_empty() && !mutated!(ReservoirForgetsPassed);
        self.next << 1 | u64::from(passed)
    }

    /// Both only grow, and states are shown one after the other: equal versions are equal states.
    fn version(&self, seen: u64) -> u64 {
        seen.saturating_add(self.changes)
    }

    fn unit(&mut self) -> f64 {
        draw::to_unit(self.random.next_u64())
    }

    /// Draws the chosen position after this one.
    fn skip(&mut self) {
        self.ln_w += self.unit().ln() / self.places.len() as f64;
        let skipped = self.unit().ln() / (-self.ln_w.exp()).ln_1p();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; the cast holds")]
        let skipped = skipped as u64;
        self.next = self.next.saturating_add(skipped).saturating_add(1).min(NEVER);
    }

    /// The place that the item of `position` was chosen for. Asked for once a position.
    fn place_of(&mut self, position: u64) -> Option<usize> {
        if position < self.places.len() as u64 {
            return Some(position as usize);
        }
        if position < self.next {
            let noted = self.passed.iter().position(|(passed, _)| *passed == position)?;
            return Some(self.passed.swap_remove(noted).1);
        }
        loop {
            // At most the position, here and after each turn.
            let chosen = self.next;
            let place = below(&mut self.random, self.places.len() as u128) as usize;
            self.owners[place] = chosen;
            self.skip();
            if chosen == position {
                return Some(place);
            }
            self.passed.push((chosen, place));
            if self.next > position {
                return None;
            }
        }
    }

    /// Puts the item of `position` into its place, unless a later position owns that. Answers the item that the sample does not
    /// keep.
    fn put(&mut self, place: usize, position: u64, item: T) -> Option<T> {
        if self.owners[place] != position && !mutated!(ReservoirTakesBack) {
            return Some(item);
        }
        self.changes += 1;
        self.places[place].replace(item)
    }
}

/// A copy has the same sample and continues as a writer of its own.
impl<T: Clone> Clone for Reservoir<T> {
    fn clone(&self) -> Self {
        let states = self.states();
        let mut inner = self.inner.lock();
        let seeded = inner.seeded;
        let seed = if seeded { inner.own.random.next_u64() } else { draw::word() };
        drop(inner);
        Self::of(self.k, states, seed, seeded)
    }
}

impl<T> fmt::Debug for Reservoir<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservoir").field("k", &self.k).field("seen", &self.seen()).finish_non_exhaustive()
    }
}
