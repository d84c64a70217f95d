//! Counts over the last N seconds.
//!
//! Every strategy counts hits per tick and answers sums over spans of ticks. They differ in what a hit and a query cost:
//!
//! | strategy | record | several threads | query | memory |
//! |---|---|---|---|---|
//! | [`ring`] | lock-free, one exchange | one cache line is shared | one pass, then remembered | 8 bytes a slot |
//! | [`striped`] | wait-free, a load and a store | nothing is shared | one pass a stripe, then remembered | 8 bytes a slot and live thread |
//! | [`sparse`] | lock-free, a few loads and one exchange | shared | a few loads | 8 bytes a tick that has hits, a handful at most |
//! | [`fixed`] | as [`ring`], by division | as [`ring`] | whole buckets: inexact at the boundary | 8 bytes a bucket |
//! | [`sliding`] | one lock, nearly always uncontended | a shard for each | one lock a shard | 16 bytes a distinct microsecond |
//!
//! All keep the same rules for late hits and expired queries, because all have a ring of slots with laps underneath;
//! only the sliding log keeps the exact time of a hit within its tick.
//!
//! Tests: `tests/conformance`, `tests/oracle`.

pub mod geometry;
pub mod remembered;
pub mod slots;
pub mod ring;
pub mod fixed;
pub mod sliding;
pub mod sparse;
pub mod stripe;
pub mod striped;

use crate::time::Tick;

/// The ticks `first ..= to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The oldest tick.
    pub first: Tick,
    /// The newest tick.
    pub to: Tick,
}

impl Span {
    /// The `len` ticks that end with `to`, or those of them since tick 0; `None` if `len` is 0.
    #[must_use]
    #[inline]
    pub fn ending(to: Tick, len: u64) -> Option<Self> {
        if len == 0 { None } else { Some(Self { first: Tick((to.0 + 1).saturating_sub(len)), to }) }
    }

    /// Its ticks from `first` on, if there are any.
    #[must_use]
    #[inline]
    pub fn since(self, first: Tick) -> Option<Self> {
        let first = self.first.max(first);
        if first <= self.to { Some(Self { first, to: self.to }) } else { None }
    }

    /// The number of ticks.
    #[must_use]
    #[inline]
    pub const fn len(self) -> u64 {
        self.to.0 - self.first.0 + 1
    }
}

/// What a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The hits that are still there.
    pub count: u64,
    /// Whether that is all there were: no slot of the span belonged to a newer lap.
    pub exact: bool,
}

impl Reading {
    /// No hits, exactly.
    pub const NONE: Self = Self { count: 0, exact: true };

    /// An exact count.
    #[must_use]
    #[inline]
    pub const fn exact(count: u64) -> Self {
        Self { count, exact: true }
    }

    /// The hits of both.
    #[must_use]
    #[inline]
    pub const fn plus(self, other: Self) -> Self {
        Self { count: self.count.saturating_add(other.count), exact: self.exact & other.exact }
    }
}
