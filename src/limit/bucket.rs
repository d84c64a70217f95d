//! A token bucket in one word: the time at which it will be full again.
//!
//! A bucket of `burst` tokens that is refilled at the rate is told by a single time: when it will be full (the *theoretical
//! arrival time* of the generic cell rate algorithm, ITU-T I.371). A token is a whole number of the [units](Units) of that time,
//! so taking one is an addition, and refilling is time that passes.
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
//! # Exactness
//! In any time `t` at most `burst + t / interval` is let through, where `interval` is exactly `window / limit` and `t` is measured in
//! units: a token may come earlier than its time by less than one unit, which is less than 2 ns or one token. The error does not add up, so
//! over `t` the rate is right to one part in `t / 2 ns`. A bucket that was emptied is full again, with every token, `burst * interval`
//! later, rounded up to a nanosecond, or a nanosecond before that if a unit is longer than one.
//!
//! # Words wrap
//! A word has 63 bits (60 in a file), and the time of fast rates does not fit: 2^32 tokens a millisecond come round in 25 days. So words
//! are compared modulo their bits. A word that lies ahead of `now` by more than `furthest` is an old one of a bucket that has been
//! full for long.
//!
//! | a token comes | `furthest` | what follows |
//! |---|---|---|
//! | at most every nanosecond | half of all words | in memory all times lie within that half; in a file, a bucket that is not asked for 18 years looks like one from the future |
//! | more often | the burst and a minute | a time that lies back by more than a minute finds a full bucket; a bucket that was idle for a lap of all words but less than a minute may refuse for a minute |
//!
//! Time ends 116 years after a limiter's first time, and 36 years after a file was made: buckets are no longer refilled then.
//!
//! Tests: `tests/limit`.

use std::time::Duration;

use super::Rate;
use super::place::{LAST, Place};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::divisor::Divisor;
use crate::limit::units::Units;
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering, relax};

/// How far time may go back where more than one token comes in a nanosecond.
const BACK: Duration = Duration::from_secs(60);

/// What is missing in a bucket, in units of which `token` are one token.
#[derive(Clone, Copy, Debug)]
pub struct Debt {
    missing: u64,
    token: u64,
}

/// How buckets of a limiter are filled.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    units: Units,
    token: Divisor,
    burst: u64,
    /// Units that a full bucket is worth.
    full: u64,
    /// A word that lies further ahead is an old one.
    furthest: u64,
}

impl Plan {
    /// Buckets of `burst` tokens, in memory.
    ///
    /// # Errors
    /// [`LimitError::Burst`] unless the burst is 1 to 2^32 and filled within 100 years.
    pub fn new(rate: Rate, burst: u64) -> Result<Self, LimitError> {
        Self::within(63, Rate::LONGEST, rate, burst)
    }

    /// Buckets whose words have `bits`, and that are filled within `longest`, of which the words hold two.
    ///
    /// # Errors
    /// [`LimitError::Burst`] unless the burst is 1 to 2^32 and filled in that time.
    pub fn within(bits: u32, longest: Duration, rate: Rate, burst: u64) -> Result<Self, LimitError> {
        let fills = u128::from(burst) * rate.window().as_nanos() / u128::from(rate.limit());
        if !(1..=1 << 32).contains(&burst) || fills > longest.as_nanos() {
            return Err(LimitError::Burst { given: burst });
        }
        let units = Units::new(rate);
        let (full, half) = (burst * units.token(), 1 << (bits - 1));
        let furthest = if units.nanos(half) >= half { half } else { full + units.at(BACK.as_nanos() as u64) };
        Ok(Self { units, token: Divisor::new(units.token()), burst, full, furthest })
    }

    /// The differences in time that matter.
    pub fn fine(&self) -> Duration {
        Duration::from_nanos(self.units.nanos(self.full) / 16)
    }

    /// The word of a bucket that is full at `now`.
    pub fn word(&self, now: u64) -> u64 {
        self.units.at(now.min(LAST)) & i64::MAX as u64
    }

    /// Whether the bucket is full at `now`: as good as a new one.
    pub fn is_fresh(&self, word: u64, now: u64) -> bool {
        self.missing::<AtomicU64>(word, self.word(now)) == 0
    }

    /// The tokens that are missing at `now`.
    pub fn debt<P: Place>(&self, word: u64, now: u64) -> Debt {
        Debt { missing: self.missing::<P>(word, self.word(now)), token: self.token.number() }
    }

    /// When it is full again.
    pub fn full_at<P: Place>(&self, word: u64, now: u64) -> u64 {
        self.units.after(now.min(LAST), self.missing::<P>(word, self.word(now)))
    }

    /// The word of a bucket in which so much is missing at `now`. That may be more than it holds, if another held more.
    pub fn word_of<P: Place>(&self, debt: Debt, now: u64) -> u64 {
        let units = |missing: u64| {
            let units = u128::from(missing) * u128::from(self.token.number());
            u64::try_from(units.div_ceil(debt.token.into())).unwrap_or(u64::MAX)
        };
        let missing = units(debt.missing).min(self.furthest);
        self.word(now).wrapping_add(missing) & P::MOST
    }

    /// Until when `cost` counts that is let through at `now` by a full bucket.
    pub fn until(&self, now: u64, cost: u64) -> u64 {
        now.saturating_add(self.units.nanos(cost.saturating_mul(self.units.token()).min(self.full)))
    }

    /// What a full bucket says, of which nothing is taken.
    pub fn fresh(&self, cost: u64) -> Decision {
        let all = self.token.divide(self.full);
        if cost <= all { Decision::allowed(all) } else { Decision::never(all) }
    }

    /// How many units lie between `now` and a full bucket.
    #[inline(always)]
    fn missing<P: Place>(&self, word: u64, now: u64) -> u64 {
        let ahead = word.wrapping_sub(now) & P::MOST;
        if ahead > self.furthest { 0 } else { ahead }
    }

    /// Decides on `cost` at `now`, and takes it with `take`; `None` if the bucket is closed.
    #[inline(always)]
    pub fn decide<P: Place>(&self, place: &P, now: u64, cost: u64, take: bool) -> Option<Decision> {
        match if take { self.take(place, now, cost) } else { None } {
            Some(remaining) => Some(Decision::allowed(remaining)),
            None => self.decide_slowly(place, now, cost, take),
        }
    }

    /// Takes a cost that fits, at the first attempt; what remains, or `None` if it is not taken.
    #[inline(never)]
    fn take<P: Place>(&self, place: &P, now: u64, cost: u64) -> Option<u64> {
        // The mutants of an exchange are below.
        if mutated!(LimitLoadStore) {
            return None;
        }
        if mutated!(SharedKeepsLate) || cost.wrapping_sub(1) >= self.burst {
            return None;
        }
        let (nanos, wanted) = (now.min(LAST), cost * self.token.number());
        let (now, seen) = (self.units.at(nanos), place.seen()?);
        let missing = self.missing::<P>(seen, now);
        if missing > self.full - wanted {
            return None;
        }
        place.keep(|| self.units.after(nanos, missing + wanted));
        let is_taken = place.exchange(seen, now.wrapping_add(missing + wanted) & P::MOST);
        is_taken.then(|| self.token.divide(self.full - missing - wanted))
    }

    /// Not in line, so that callers are spared the registers of all that happens seldom.
    #[inline(never)]
    fn decide_slowly<P: Place>(&self, place: &P, now: u64, cost: u64, take: bool) -> Option<Decision> {
        let (full, nanos) = (self.full, now.min(LAST));
        let now = self.units.at(nanos);
        let Some(wanted) = cost.checked_mul(self.token.number()).filter(|&wanted| wanted <= full) else {
            return self.never(place, now);
        };
        loop {
            let seen = place.seen()?;
            let missing = self.missing::<P>(seen, now);
            if missing > full - wanted {
                let remaining = self.token.divide(full.saturating_sub(missing));
                let wait = |wait| Decision::refused(remaining, wait);
                return Some(self.wait(nanos, missing - (full - wanted)).map_or(Decision::never(remaining), wait));
            }
            if !take || cost == 0 {
                return Some(Decision::allowed(self.token.divide(full - missing)));
            }
            let next = now.wrapping_add(missing + wanted) & P::MOST;
            let decision = Decision::allowed(self.token.divide(full - missing - wanted));
            if mutated!(LimitLoadStore) {
                place.state().store(next ^ place.mask(), Ordering::Relaxed);
                return Some(decision);
            }
            if !mutated!(SharedKeepsLate) {
                place.keep(|| self.units.after(nanos, missing + wanted));
            }
            if place.exchange(seen, next) {
                if mutated!(SharedKeepsLate) {
                    place.keep(|| self.units.after(nanos, missing + wanted));
                }
                return Some(decision);
            }
            // The loser of an exchange pauses for a moment, as in a ring.
            relax();
        }
    }

    /// How long after `nanos` so many units have passed, and not a nanosecond longer; `None` is after the end of time.
    #[inline(never)]
    fn wait(&self, nanos: u64, units: u64) -> Option<Duration> {
        let then = self.units.after(nanos, units);
        (then <= LAST).then(|| Duration::from_nanos(then - nanos))
    }

    /// A cost that is more than a full bucket.
    #[cold]
    #[inline(never)]
    fn never<P: Place>(&self, place: &P, now: u64) -> Option<Decision> {
        let seen = place.seen()?;
        let remaining = self.token.divide(self.full.saturating_sub(self.missing::<P>(seen, now)));
        Some(Decision::never(remaining))
    }
}
