//! The sum that the last query found, kept for the next one.
//!
//! A sequence lock over plain atomics: readers never wait, and a reader that would have to write while another does
//! goes without. It holds the sum of the *closed* ticks of one span, under a key that changes whenever a hit may have
//! been added to a closed tick; what closes a tick, and what the key is, is the ring's or the stripe's affair.
//!
//! | version | state | may be moved by |
//! |---|---|---|
//! | even | readable, if not overtaken while being read | any reader, to odd, by one exchange (`Acquire`) |
//! | odd | being replaced | the reader that made it odd, to the next even number (`Release`) |
//!
//! [`recall`](Remembered::recall) loads the version, the entry and the version again. Each field is stored with
//! `Release` after the version became odd; if one of the loads (`Acquire`) saw a field of a later replacement, the
//! second load of the version sees that it moved on, and the entry is not used. (Leaving that check out: mutant
//! `RecallUnchecked`.)
//!
//! **Progress.** Both operations are wait-free: a fixed number of loads, and at most one exchange, never repeated.
//!
//! Tests: `tests/models/remembered.rs`.

use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use crate::time::Tick;
use crate::window::Span;
use crate::window::geometry::Place;

/// What a remembered sum is valid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<const N: usize> {
    /// The span the sum belongs to.
    pub span: Span,
    /// The state of the writers in which it was taken.
    pub state: [u64; N],
}

/// A remembered sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The hits of the span's closed ticks.
    pub closed: u64,
    /// Where the span's open tick is, whose hits are not in the sum.
    pub open: Place,
}

/// One remembered sum.
#[derive(Debug)]
pub struct Remembered<const N: usize> {
    version: AtomicU64,
    first: AtomicU64,
    to: AtomicU64,
    state: [AtomicU64; N],
    closed: AtomicU64,
    index: AtomicUsize,
    base: AtomicU64,
    /// Ticks before it have been closed slot by slot. Written under an odd version only; it never goes back.
    sealed: AtomicU64,
}

/// The right to replace the entry; released when dropped.
#[derive(Debug)]
pub struct Replacing<'a, const N: usize> {
    memory: &'a Remembered<N>,
    version: u64,
}

impl<const N: usize> Remembered<N> {
    /// Nothing remembered.
    pub fn new() -> Self {
        let word = AtomicU64::new;
        Self {
            version: word(0),
            // No span ends before it begins, so this entry matches no key.
            first: word(1),
            to: word(0),
            state: std::array::from_fn(|_| word(0)),
            closed: word(0),
            index: AtomicUsize::new(0),
            base: word(0),
            sealed: word(0),
        }
    }

    /// The sum for `key`, if that is what is remembered.
    #[inline]
    pub fn recall(&self, key: Key<N>) -> Option<Sum> {
        let version = self.version.load(Ordering::Acquire);
        let found = self.to.load(Ordering::Acquire) == key.span.to.0
            && self.first.load(Ordering::Acquire) == key.span.first.0
            && self.state.iter().zip(key.state).all(|(word, state)| word.load(Ordering::Acquire) == state);
        if !found {
            return None;
        }
        let sum = self.sum();
        let steady = version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        if steady || mutated!(RecallUnchecked) { Some(sum) } else { None }
    }

    #[inline]
    fn sum(&self) -> Sum {
        Sum {
            closed: self.closed.load(Ordering::Acquire),
            open: Place { index: self.index.load(Ordering::Acquire), base: self.base.load(Ordering::Acquire) },
        }
    }

    /// The tick before which all have been closed slot by slot, for a thread that does not close.
    #[inline]
    pub fn sealed(&self) -> Tick {
        Tick(self.sealed.load(Ordering::Acquire))
    }

    /// The right to replace the entry, unless another reader has it.
    pub fn replace(&self) -> Option<Replacing<'_, N>> {
        let version = self.version.load(Ordering::Relaxed);
        if !version.is_multiple_of(2) {
            return None;
        }
        self.version.compare_exchange(version, version + 1, Ordering::Acquire, Ordering::Relaxed).ok()?;
        Some(Replacing { memory: self, version: version + 1 })
    }
}

impl<const N: usize> Default for Remembered<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Replacing<'_, N> {
    /// The newest tick of the entry's span.
    pub fn to(&self) -> Tick {
        Tick(self.memory.to.load(Ordering::Relaxed))
    }

    /// What is remembered, if `span` can be had from it by adding ticks at its end and taking some away at its
    /// beginning, and that is less work than adding up the span.
    pub fn extendable_to(&self, span: Span) -> Option<(Key<N>, Sum)> {
        let (first, to) = (self.memory.first.load(Ordering::Relaxed), self.memory.to.load(Ordering::Relaxed));
        let extends = first <= to && first <= span.first.0 && span.first.0 <= to && to <= span.to.0;
        if !extends || (span.first.0 - first) + (span.to.0 - to) >= span.len() {
            return None;
        }
        let state = std::array::from_fn(|i| self.memory.state[i].load(Ordering::Relaxed));
        Some((Key { span: Span { first: Tick(first), to: Tick(to) }, state }, self.memory.sum()))
    }

    /// The tick before which all have been closed slot by slot.
    pub fn sealed(&self) -> Tick {
        Tick(self.memory.sealed.load(Ordering::Relaxed))
    }

    /// Says that the ticks before `to` have been closed slot by slot. A thread that reads it sees how.
    pub fn set_sealed(&self, to: Tick) {
        self.memory.sealed.store(to.0, Ordering::Release);
    }

    /// Replaces the entry.
    pub fn set(&self, key: Key<N>, sum: Sum) {
        let memory = self.memory;
        memory.first.store(key.span.first.0, Ordering::Release);
        memory.to.store(key.span.to.0, Ordering::Release);
        for (word, state) in memory.state.iter().zip(key.state) {
            word.store(state, Ordering::Release);
        }
        memory.closed.store(sum.closed, Ordering::Release);
        memory.index.store(sum.open.index, Ordering::Release);
        memory.base.store(sum.open.base, Ordering::Release);
    }

    /// Forgets the entry: no span begins that late.
    pub fn forget(&self) {
        // `Relaxed`: a reader that finds it uses nothing of the entry.
        self.memory.first.store(u64::MAX, Ordering::Relaxed);
    }
}

impl<const N: usize> Drop for Replacing<'_, N> {
    fn drop(&mut self) {
        self.memory.version.store(self.version.wrapping_add(1), Ordering::Release);
    }
}
