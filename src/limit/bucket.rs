//! A token bucket in one word: the time at which it will be full again.
//!
//! A bucket of `burst` tokens that is refilled at the rate is told by a single time: when it will be full (the *theoretical
//! arrival time* of the generic cell rate algorithm, ITU-T I.371). A token is `interval` nanoseconds of it, so taking is an
//! addition, and refilling is time going by.
//!
//! | word | state | a cost that fits | one that does not |
//! |---|---|---|---|
//! | at most `now` | full | exchanged for `now + cost` | refused, never fits |
//! | at most `now + burst` | as much is missing as it lies ahead | exchanged for itself `+ cost` | refused, unchanged |
//! | another's (in memory `CLOSED`, see [`Place`]) | its key was dropped | nothing: the caller makes another | |
//!
//! The exchange expects the word that the decision was made on, so of two that race for the last token one is refused.
//! (Mutant `LimitLoadStore`.)
//!
//! At the end of time (584 years in memory, 36 in a file, where 4 bits of a word are the file's) words would no longer grow,
//! and a cost would leave no trace; it is refused.
//!
//! # Exactness
//! In any time `t` at most `burst + t / interval` is let through. `interval` is `window / limit` in whole nanoseconds, rounded up:
//! the rate is never higher than asked for, and lower by at most one nanosecond a token (exact for 1,000,000 a second,
//! 0.02 % for 300,000). Nothing adds up: a full bucket forgets the past.
//!
//! Tests: `tests/limit`.

use std::time::Duration;

use super::place::Place;
use super::{Decision, Rate};
use crate::limit::divisor::Divisor;
use crate::sync::mutant::mutated;
use crate::sync::{Ordering, relax};

/// How buckets of a limiter are filled.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    interval: Divisor,
    /// Nanoseconds that a full bucket is worth.
    full: u64,
}

impl Plan {
    pub fn new(rate: Rate, burst: u64) -> Self {
        let interval = rate.window().as_nanos().div_ceil(u128::from(rate.limit())) as u64;
        Self { interval: Divisor::new(interval), full: interval.saturating_mul(burst) }
    }

    /// The differences in time that matter.
    pub fn fine(&self) -> Duration {
        Duration::from_nanos(self.full / 16)
    }

    /// Whether the bucket is full at `now`: as good as a new one.
    pub fn is_fresh(word: u64, now: u64) -> bool {
        word <= now
    }

    /// Nanoseconds that a full bucket is worth.
    pub fn full(&self) -> u64 {
        self.full
    }

    /// Until when `cost` counts that is let through at `now` by a full bucket.
    pub fn until(&self, now: u64, cost: u64) -> u64 {
        now.saturating_add(cost.saturating_mul(self.interval.number()))
    }

    /// What a full bucket says, of which nothing is taken.
    pub fn fresh(&self, cost: u64) -> Decision {
        let all = self.interval.divide(self.full);
        if cost <= all { Decision::allowed(all) } else { Decision::refused(all, Duration::MAX) }
    }

    /// Decides on `cost` at `now`, and takes it with `take`; `None` if the bucket is closed.
    #[inline(always)]
    pub fn decide<P: Place>(&self, place: &P, now: u64, cost: u64, take: bool) -> Option<Decision> {
        let full = self.full;
        let Some(wanted) = cost.checked_mul(self.interval.number()).filter(|&wanted| wanted <= full) else {
            return self.never(place, now);
        };
        loop {
            let seen = place.seen()?;
            let missing = seen.saturating_sub(now);
            if missing > full - wanted {
                let remaining = self.interval.divide(full.saturating_sub(missing));
                return Some(Decision::refused(remaining, Duration::from_nanos(missing - (full - wanted))));
            }
            let next = seen.max(now).saturating_add(wanted);
            if next > P::MOST {
                return Some(Decision::refused(0, Duration::MAX));
            }
            if !take || cost == 0 {
                return Some(Decision::allowed(self.interval.divide(full - missing)));
            }
            if mutated!(LimitLoadStore) {
                place.state().store(next ^ place.mask(), Ordering::Relaxed);
                return Some(Decision::allowed(self.interval.divide(full - missing - wanted)));
            }
            if !mutated!(SharedKeepsLate) {
                place.keep(next);
            }
            if place.exchange(seen, next) {
                if mutated!(SharedKeepsLate) {
                    place.keep(next);
                }
                return Some(Decision::allowed(self.interval.divide(full - missing - wanted)));
            }
            // Who lost lets the winner go on for a moment, as in a ring.
            relax();
        }
    }

    /// A cost that is more than a full bucket.
    #[cold]
    #[inline(never)]
    fn never<P: Place>(&self, place: &P, now: u64) -> Option<Decision> {
        let seen = place.seen()?;
        let remaining = self.interval.divide(self.full.saturating_sub(seen.saturating_sub(now)));
        Some(Decision::refused(remaining, Duration::MAX))
    }
}
