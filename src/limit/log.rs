//! A log of the last units that were let through: a sliding window that is exact, for small limits.
//!
//! ```text
//! state      [ n: units let through ever ]          one exchange decides
//! beside[k]  [ leaves | lap 1 ]                     for each k below the limit: a unit u with u % limit = k
//! ```
//!
//! Units are numbered in the order in which they are let through. Unit `u` may be let through when unit `u - limit` has left the
//! window, and the two units have the same word. `leaves` is the nanosecond at which the unit leaves the window. `lap` is the last bit of
//! `u / limit`, so a thread that knows `n` knows which of the two units a word is of.
//!
//! | step of a decision on `cost` at time `now` | |
//! |---|---|
//! | 1 | Load `state`: `n`. The decision is as of `now`, or of the newest unit if that is later, because time does not go back |
//! | 2 | Read the word of unit `n + cost - 1`. If it is the word of the unit before, and that unit has not left, the cost is refused, unless `state` has changed |
//! | 3 | Raise the words of the units `n .. n + cost` to those of the units to come. Begin again if `state` has changed, or if a greater word is that of the unit before (see below) |
//! | 4 | Exchange `state` for `n + cost`. Begin again if it has changed |
//!
//! # States of a word, for a thread that found `n`
//! | word `k` is of | it says | it changes when |
//! |---|---|---|
//! | unit `u < n`, the newest with that slot | when the unit leaves the window | a thread wants unit `u + limit`, after `u` has left: step 3 |
//! | unit `u >= n` | a thread found, as of a time, that unit `u - limit` had left. A thread that takes `u` decides as of that time, if it is later than its own | a thread takes `u` at a later time |
//!
//! Step 3 comes before step 4, so a thread that finds `n` finds the words of all units before it. (Mutant `LimitStartsLate`.) A thread
//! whose exchange fails leaves words of the second kind. (Mutant `LimitForgetsLap`: without the lap they look as if the unit before had
//! just come.) A cost is refused only if `state` is still the same after the words were read, because a word may be of a later lap
//! otherwise. (Mutant `LimitRefusesUnseen`.)
//!
//! # Late threads
//! A thread may be stopped between step 2 and step 3 while others take units at other times. So step 3 raises a word only while
//! `state` is what step 1 read: a word that was read in a later state may be of a later lap. (Mutant `LimitRaisesUnseen`: the word of a
//! unit that came meanwhile is lost, and one more unit is let through.) If `state` changes right after that check, the late thread
//! raises the word of the unit that was taken in its place, and that unit leaves at the late thread's time. The word of the next lap
//! may then be the lesser one, so its thread begins again and waits for that time.
//!
//! # Exactness
//! By the times of the decisions this is a log: a cost is let through exactly when it fits beside everything that was let through
//! in the `window` before it. If threads decide at the same time, the word of a unit may have the latest of their times.
//!
//! # Progress
//! Lock-free: an attempt is at most `2 * cost + log2(limit) + 4` reads and exchanges of words, and fails only if another cost was
//! let through.
//!
//! Tests: `tests/models/limit.rs`, `tests/limit`.

use std::time::Duration;

use super::Rate;
use super::place::{Beside, LAST, Words};
use crate::limit::decision::Decision;
use crate::limit::divisor::Divisor;
use crate::limit::history::History;
use crate::sync::mutant::mutated;
use crate::sync::{Ordering, relax};

/// The largest limit that is kept as a log.
pub const MOST: u64 = 64;

/// How a limiter keeps logs.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    limit: u64,
    window: u64,
    /// How many words there are: as many as the limit, or more.
    slots: Divisor,
    /// The bits of the state that count units.
    mask: u64,
}

/// The slot and the lap of a unit.
#[derive(Clone, Copy)]
struct Unit {
    slot: u64,
    lap: u64,
}

impl Plan {
    /// Logs of `rate` that know at least `known` units. That and the limit are at most [`MOST`].
    pub fn new(rate: Rate, known: u64) -> Self {
        debug_assert!(rate.limit().max(known) <= MOST);
        Self::with(rate, rate.limit().max(known), i64::MAX as u64)
    }

    /// Logs that share their state, whose counts have so many bits, with other limits. They have a power of two of words, so that
    /// units keep their slots where counts wrap.
    pub fn beside_others(rate: Rate, known: u64, count_bits: u32) -> Self {
        Self::with(rate, rate.limit().max(known).next_power_of_two(), (1 << count_bits) - 1)
    }

    const fn with(rate: Rate, slots: u64, mask: u64) -> Self {
        // A window is at most 100 years.
        Self { limit: rate.limit(), window: rate.window().as_nanos() as u64, slots: Divisor::new(slots), mask }
    }

    /// The differences in time that matter: all.
    pub const fn fine(&self) -> Duration {
        Duration::ZERO
    }

    /// A log that let nothing through up to `now`.
    pub fn log(&self, now: u64) -> Words {
        Words::new(0, self.slots(), self.first(now))
    }

    /// The first words: of units to come, so those before them have left as of `now`.
    pub fn first(&self, now: u64) -> u64 {
        self.word(now.min(LAST), 0)
    }

    /// How many words there are beside the state.
    pub const fn slots(&self) -> u64 {
        self.slots.number()
    }

    /// Until when a cost counts that is let through at `now`.
    pub const fn until(&self, now: u64) -> u64 {
        now.saturating_add(self.window)
    }

    /// What a new log says, of which nothing is taken.
    pub const fn fresh(&self, cost: u64) -> Decision {
        if cost <= self.limit { Decision::allowed(self.limit) } else { Decision::never(self.limit) }
    }

    const fn word(&self, at: u64, lap: u64) -> u64 {
        at.saturating_add(self.window) << 1 | lap
    }

    /// The unit that comes `nth` units after unit `n`; `nth` is less than the number of words.
    const fn unit(&self, n: u64, nth: u64) -> Unit {
        let (lap, slot, slots) = (self.slots.divide(n), self.slots.rest(n) + nth, self.slots.number());
        if slot < slots { Unit { slot, lap: lap & 1 } } else { Unit { slot: slot - slots, lap: (lap & 1) ^ 1 } }
    }

    /// The latest time as of which a unit was let through, or found to have left.
    pub fn newest<P: Beside>(&self, place: &P, n: u64) -> u64 {
        (place.read(self.unit(n, self.slots() - 1).slot) >> 1).saturating_sub(self.window)
    }

    /// As of when there is room for `cost`, no earlier than `at`; or when there will be, if ever.
    pub fn room_for<P: Beside>(&self, place: &P, n: u64, cost: u64, at: u64) -> Result<u64, Option<u64>> {
        if cost > self.limit { Err(None) } else { self.room(place, n, cost, at).map_err(Some) }
    }

    /// As of when there is room for the `nth` unit from now on (1 to the limit), no earlier than `at`; or when there will be.
    fn room<P: Beside>(&self, place: &P, n: u64, nth: u64, at: u64) -> Result<u64, u64> {
        // The unit that shares its word with the one that has to have left.
        let unit = self.unit((n + (self.slots() - self.limit)) & self.mask, nth - 1);
        let word = place.read(unit.slot);
        let leaves = word >> 1;
        if word & 1 == unit.lap && !mutated!(LimitForgetsLap) {
            Ok(at.max(leaves.saturating_sub(self.window)))
        } else if leaves <= at {
            Ok(at)
        } else {
            Err(leaves)
        }
    }

    /// For how many units there is room as of `at`, if there is for `least`.
    pub fn free<P: Beside>(&self, place: &P, n: u64, least: u64, at: u64) -> u64 {
        let limit = self.limit;
        if self.room(place, n, limit, at).is_ok() {
            return limit;
        }
        // The first to come is the first to leave.
        let (mut least, mut most) = (least, limit - 1);
        while least < most {
            let middle = (least + most).div_ceil(2);
            if self.room(place, n, middle, at).is_ok() { least = middle } else { most = middle - 1 }
        }
        least
    }

    /// Decides on `cost` at `now`, and takes it with `take`; `None` if the log is closed.
    #[inline(never)]
    pub fn decide<P: Beside>(&self, place: &P, now: u64, cost: u64, take: bool) -> Option<Decision> {
        let now = now.min(LAST);
        loop {
            let n = place.seen()?;
            let at = now.max(self.newest(place, n));
            let at = match if cost == 0 { Ok(at) } else { self.room_for(place, n, cost, at) } {
                Ok(at) => at,
                Err(leaves) => {
                    let remaining = self.free(place, n, 0, at);
                    if place.seen()? == n || mutated!(LimitRefusesUnseen) {
                        let wait = |leaves| Decision::refused(remaining, Duration::from_nanos(leaves - now));
                        return Some(leaves.filter(|&leaves| leaves <= LAST).map_or(Decision::never(remaining), wait));
                    }
                    continue;
                }
            };
            let free = self.free(place, n, cost, at);
            if !take || cost == 0 {
                if place.seen()? == n {
                    return Some(Decision::allowed(free));
                }
                continue;
            }
            // A word of another tenancy may say anything.
            if !place.is_still(n) || !mutated!(LimitStartsLate) && !self.raise(place, n, n, cost, at) {
                continue;
            }
            let decision = Decision::allowed(free - cost);
            if mutated!(LimitLoadStore) {
                place.state().store((n + cost) ^ place.mask(), Ordering::Release);
                return Some(decision);
            }
            place.keep(|| self.until(at));
            if place.exchange(n, n + cost) {
                if mutated!(LimitStartsLate) {
                    self.raise(place, n, n, cost, at);
                }
                return Some(decision);
            }
            // The loser of an exchange pauses for a moment, as in a ring.
            relax();
        }
    }

    /// Notes that the units from `n` on are let through at `at`; `false` if the state is not `seen` any more.
    pub fn raise<P: Beside>(&self, place: &P, n: u64, seen: u64, cost: u64, at: u64) -> bool {
        (0..cost).map(|nth| self.unit(n, nth)).all(|unit| place.raise_of(unit.slot, self.word(at, unit.lap), seen))
    }

    /// The units that were let through up to unit `n` and did not make room for others yet.
    pub fn history<P: Beside>(&self, place: &P, n: u64) -> History {
        let mut history = History::default();
        for back in 1..=self.slots() {
            // Where counts wrap, the words of units that never were have the other lap.
            let is_one = back <= n || self.mask < i64::MAX as u64;
            let unit = self.unit(n.wrapping_sub(back) & self.mask, 0);
            let word = place.read(unit.slot);
            if !is_one || word & 1 != unit.lap {
                break;
            }
            history.push((word >> 1).saturating_sub(self.window), 1);
        }
        history
    }

    /// The state after `units` that were let through at `at` from unit `n` on, in a log that no other thread knows.
    pub fn record<P: Beside>(&self, place: &P, n: u64, units: u64, at: u64) -> u64 {
        let newest = units.min(self.slots());
        for nth in 0..newest {
            let unit = self.unit((n + (units - newest) + nth) & self.mask, 0);
            place.beside()[unit.slot as usize].store(self.word(at, unit.lap) ^ place.mask(), Ordering::Relaxed);
        }
        (n + units) & self.mask
    }

    /// Whether all units have left at `now`, and that is known.
    pub fn is_fresh<P: Beside>(&self, place: &P, n: u64, now: u64) -> bool {
        self.room(place, n, self.limit, now) == Ok(now)
    }
}
