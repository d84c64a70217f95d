//! A sliding window in one word, and what it said at the beginning of each tick.
//!
//! ```text
//! state      [ tick | let through ever ]            one exchange decides
//! start[k]   [ tick | let through before it ]       one for each tick of the window, and two more
//! ```
//!
//! The window is cut into `ticks` parts. At tick `T` it covers the whole ticks `T - ticks .. T` and the running one: what was
//! let through ever, less what was let through before tick `T - ticks`.
//!
//! | step of a decision at time `now` | |
//! |---|---|
//! | 1 | load `state`: tick `t`, count `n`; the tick is `T = max(now, t)`: time does not go back |
//! | 2 | `used = n -` what `start` says of tick `T - ticks`; nothing, if that is after `t` |
//! | 3 | more than fits: refused, nothing is changed |
//! | 4 | `T > t`: raise `start` of each tick after `t` up to `T` to `n` |
//! | 5 | exchange `state` for `T, n + cost`; if it moved meanwhile, from the beginning |
//!
//! Step 5 expects the state that step 2 counted, so a decision is that one exchange, and the sum of any `ticks + 1` ticks in
//! a row stays within the limit whatever threads do. (Mutant `LimitLoadStore`.)
//!
//! Step 4 comes before step 5, so that a thread that sees a state finds the beginnings of all its ticks. (Mutant `LimitStartsLate`:
//! a tick without its beginning looks as if everything was let through in that tick.) A thread whose exchange fails has written a
//! beginning that is too low, or beginnings of ticks that the state has not reached. The first thread whose exchange reaches a tick
//! has raised the tick's beginning to the true count, and no later thread raises it further, since `n` only grows. A thread far
//! ahead of the others may overwrite a beginning that they need. Then they decide as of its time.
//!
//! Ticks and counts wrap within their bits, which are so many that a window never sees it: see [`Plan::new`].
//!
//! # Exactness
//! No span of `window` holds more than the limit, anywhere. In return, a cost may wait for up to one tick longer than under a log
//! of all costs. So a caller that asks all the time gets `limit` in each `window + window / ticks`.
//!
//! Tests: `tests/models/sliding.rs`.

use std::time::Duration;

use super::Rate;
use super::place::{Beside, LAST, Words};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::divisor::Divisor;
use crate::limit::history::History;
use crate::sync::mutant::mutated;
use crate::sync::{Ordering, relax};

/// How windows of a limiter slide.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    limit: u64,
    /// Nanoseconds a tick.
    width: Divisor,
    ticks: u64,
    slots: Divisor,
    count_bits: u32,
    /// The last tick that a word has room for. Time stands still there.
    last: u64,
    /// The tick in which time begins: so late that no tick lies before 0.
    lap: u64,
    /// How many ticks of the state a tick is: 1, unless the state is shared with windows of finer ticks.
    every: Divisor,
}

/// What windows have in common whose limits are decided together.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// The bits of counts.
    pub count_bits: u32,
    /// The nanoseconds of the finest tick, which is the state's.
    pub finest: u64,
    /// How many of them a tick of this window is.
    pub every: u64,
    /// How many of them the coarsest is.
    pub coarsest: u64,
    /// The highest limit and the shortest of these windows, for an error.
    pub highest: u64,
    pub shortest: Duration,
}

impl Plan {
    /// The bits that counts of `limit` have: enough for eight limits.
    pub const fn count_bits(limit: u64) -> u32 {
        u64::BITS - limit.leading_zeros() + 3
    }

    /// A window that shares its state with others, in memory.
    ///
    /// # Errors
    /// [`LimitError::TooFineTogether`] if the ticks would not last a hundred years.
    pub fn beside_others(rate: Rate, shared: Shared) -> Result<Self, LimitError> {
        let Shared { count_bits, finest, every, coarsest, .. } = shared;
        let width = finest * every;
        let ticks = rate.window().as_nanos().div_ceil(u128::from(width)) as u64;
        // A whole number of the coarsest ticks, so that all ticks begin with time.
        let lap = coarsest * 128;
        let longest = (Rate::LONGEST.as_nanos() / u128::from(finest)) as u64 + lap + 3 * ticks * every;
        if u64::BITS - longest.leading_zeros() + count_bits > 63 {
            return Err(LimitError::TooFineTogether { limit: shared.highest, window: shared.shortest });
        }
        let (width, slots) = (Divisor::new(width), Divisor::new(ticks + 2));
        let last = ((1 << (63 - count_bits)) - 1) / every;
        Ok(Self {
            limit: rate.limit(),
            width,
            ticks,
            slots,
            count_bits,
            last,
            lap: lap / every,
            every: Divisor::new(every),
        })
    }

    /// Whether its ticks are the state's.
    pub const fn is_finest(&self) -> bool {
        self.every.number() == 1
    }

    /// The tick of a tick of the state.
    pub const fn of_finest(&self, tick: u64) -> u64 {
        self.every.divide(tick)
    }

    /// The nanosecond at which a tick begins.
    pub const fn begins(&self, tick: u64) -> u64 {
        tick.saturating_sub(self.lap).saturating_mul(self.width.number())
    }

    /// Counts have room for eight limits: a beginning is at most two windows and four ticks old when it is used. Ticks have
    /// the rest.
    ///
    /// # Errors
    /// [`LimitError::TooFine`] if the ticks would not last a hundred years.
    pub fn new(rate: Rate, ticks: u64) -> Result<Self, LimitError> {
        Self::knowing(rate, ticks, 0)
    }

    /// The same for windows that know at least `known` units.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn knowing(rate: Rate, ticks: u64, known: u64) -> Result<Self, LimitError> {
        // One bit is left for states that are frozen or closed.
        Self::within(63, Rate::LONGEST, rate, ticks, known)
    }

    /// A plan of windows that know at least `known` units, whose words have `bits`, so that the ticks last for `longest`, which is at least as long as the window.
    ///
    /// # Errors
    /// [`LimitError::TooFine`] if they would not.
    pub fn within(bits: u32, longest: Duration, rate: Rate, ticks: u64, known: u64) -> Result<Self, LimitError> {
        let width = rate.window().as_nanos().div_ceil(u128::from(ticks)) as u64;
        let count_bits = Self::count_bits(rate.limit().max(known));
        let longest = (longest.as_nanos() / u128::from(width)) as u64 + 3 * ticks;
        if u64::BITS - longest.leading_zeros() + count_bits > bits {
            return Err(LimitError::TooFine { limit: rate.limit(), window: rate.window() });
        }
        let (width, slots) = (Divisor::new(width), Divisor::new(ticks + 2));
        let last = (1 << (bits - count_bits)) - 1;
        let (lap, every) = (slots.number(), Divisor::new(1));
        Ok(Self { limit: rate.limit(), width, ticks, slots, count_bits, last, lap, every })
    }

    /// The differences in time that matter.
    pub fn fine(&self) -> Duration {
        Duration::from_nanos(self.width.number())
    }

    /// A window that let nothing through up to `now`.
    pub fn window(&self, now: u64) -> Words {
        let words = Words::new(self.word(self.tick(now), 0), self.slots(), 0);
        self.begun(&words, self.tick(now));
        words
    }

    /// Notes in a window that no other thread knows that nothing was let through before `tick`.
    pub fn begun<P: Beside>(&self, place: &P, tick: u64) {
        place.beside()[self.slots.rest(tick) as usize].store(self.word(tick, 0) ^ place.mask(), Ordering::Relaxed);
    }

    /// How many beginnings a window has.
    pub const fn slots(&self) -> u64 {
        self.slots.number()
    }

    /// The state after `units` that were let through at `at`, in a window that no other thread knows.
    pub fn record<P: Beside>(&self, place: &P, state: u64, units: u64, at: u64) -> u64 {
        let tick = self.tick(at).max(self.tick_of(state));
        self.begin(place, state, tick);
        self.word(tick, self.count_of(state) + units)
    }

    /// The tick of a time.
    pub fn tick(&self, now: u64) -> u64 {
        (self.width.divide(now.min(LAST)) + self.lap).min(self.last)
    }

    const fn word(&self, tick: u64, count: u64) -> u64 {
        tick << self.count_bits | count & ((1 << self.count_bits) - 1)
    }

    const fn tick_of_state(&self, state: u64) -> u64 {
        self.every.divide(self.tick_of(state))
    }

    const fn tick_of(&self, word: u64) -> u64 {
        word >> self.count_bits
    }

    const fn count_of(&self, word: u64) -> u64 {
        word & ((1 << self.count_bits) - 1)
    }

    const fn since(&self, count: u64, start: u64) -> u64 {
        count.wrapping_sub(start) & ((1 << self.count_bits) - 1)
    }

    /// Whether nothing that was let through counts any more: as good as a new one.
    pub fn is_fresh(&self, state: u64, now: u64) -> bool {
        self.tick_of_state(state) + self.ticks < self.tick(now)
    }

    /// Until when a cost counts that is let through at `now`: the beginning of the first tick that finds nothing of it.
    pub fn until(&self, now: u64) -> u64 {
        self.until_of(self.tick(now))
    }

    fn until_of(&self, tick: u64) -> u64 {
        let after = tick.saturating_add(self.ticks + 1);
        if after > self.last { u64::MAX } else { self.begins(after) }
    }

    /// What a new window says, of which nothing is taken.
    pub fn fresh(&self, cost: u64) -> Decision {
        if cost <= self.limit { Decision::allowed(self.limit) } else { Decision::never(self.limit) }
    }

    /// Decides on `cost` at `now`, and takes it with `take`; `None` if the window is closed.
    #[inline(always)]
    pub fn decide<P: Beside>(&self, place: &P, now: u64, cost: u64, take: bool) -> Option<Decision> {
        match if take { self.take(place, now, cost) } else { None } {
            Some(remaining) => Some(Decision::allowed(remaining)),
            None => self.decide_slowly(place, now, cost, take),
        }
    }

    /// Takes a cost that fits, in the tick of the state and at the first attempt; what remains, or `None` if it is not taken.
    #[inline(never)]
    fn take<P: Beside>(&self, place: &P, now: u64, cost: u64) -> Option<u64> {
        let state = place.seen()?;
        let tick = self.tick_of(state);
        if self.tick(now) != tick || cost == 0 || mutated!(LimitLoadStore) {
            return None;
        }
        let used = self.used_at(place, state, tick).ok()?;
        let left = self.limit.saturating_sub(used);
        if cost > left || !place.is_still(state) {
            return None;
        }
        place.keep(|| self.until_of(tick));
        place.exchange(state, self.word(tick, self.count_of(state) + cost)).then_some(left - cost)
    }

    /// Not in line, so that callers are spared the registers of all that happens seldom.
    #[inline(never)]
    fn decide_slowly<P: Beside>(&self, place: &P, now: u64, cost: u64, take: bool) -> Option<Decision> {
        let now = now.min(LAST);
        let now_tick = self.tick(now);
        loop {
            let state = place.seen()?;
            let (tick, used) = self.used(place, state, now_tick);
            if !place.is_still(state) {
                continue;
            }
            let left = self.limit.saturating_sub(used);
            if cost > left {
                if cost > self.limit {
                    return Some(Decision::never(left));
                }
                let fits_at = self.fits_at(place, state, tick, cost);
                if !place.is_still(state) {
                    continue;
                }
                let wait = |fits_at: u64| Decision::refused(left, Duration::from_nanos(fits_at.saturating_sub(now)));
                return Some(fits_at.map_or(Decision::never(left), wait));
            }
            if !take || cost == 0 {
                return Some(Decision::allowed(left));
            }
            let next = self.word(tick, self.count_of(state) + cost);
            if tick > self.tick_of_state(state) && !mutated!(LimitStartsLate) && !self.begin(place, state, tick) {
                continue;
            }
            if mutated!(LimitLoadStore) {
                place.state().store(next ^ place.mask(), Ordering::Release);
                return Some(Decision::allowed(left - cost));
            }
            place.keep(|| self.until_of(tick));
            if place.exchange(state, next) {
                if mutated!(LimitStartsLate) {
                    self.begin(place, state, tick);
                }
                return Some(Decision::allowed(left - cost));
            }
            // The loser of an exchange pauses for a moment, as in a ring.
            relax();
        }
    }

    /// The tick to decide in, and what is used of the window then.
    #[inline(always)]
    pub fn used<P: Beside>(&self, place: &P, state: u64, now: u64) -> (u64, u64) {
        let tick = now.max(self.tick_of_state(state));
        match self.used_at(place, state, tick) {
            Ok(used) => (tick, used),
            Err(ahead) => self.used_later(place, state, ahead),
        }
    }

    /// How much of the window is used at `tick`; or the later tick of another thread, which has overwritten the beginning.
    #[inline(always)]
    pub fn used_at<P: Beside>(&self, place: &P, state: u64, tick: u64) -> Result<u64, u64> {
        // A damaged beginning in a file may say any tick.
        let first = tick.saturating_sub(self.ticks);
        if first > self.tick_of_state(state) {
            return Ok(0);
        }
        let start = place.read(self.slots.rest(first));
        if self.tick_of(start) <= first {
            // An older one: nothing was let through before, as all ticks since the first have their beginning.
            Ok(self.since(self.count_of(state), self.count_of(start)))
        } else {
            Err(self.tick_of(start))
        }
    }

    #[cold]
    #[inline(never)]
    fn used_later<P: Beside>(&self, place: &P, state: u64, mut tick: u64) -> (u64, u64) {
        loop {
            // A beginning of another tenancy may say anything.
            if !place.is_still(state) {
                return (tick, self.limit);
            }
            match self.used_at(place, state, tick) {
                Ok(used) => return (tick, used),
                // Later by two ticks at least, so this ends.
                Err(ahead) if ahead > tick => tick = ahead,
                // A damaged one.
                Err(_) => return (tick, self.limit),
            }
        }
    }

    /// Notes what `state` had let through at the beginning of the ticks after it, up to `tick`; `false` if the state has moved on.
    #[inline(never)]
    pub fn begin<P: Beside>(&self, place: &P, state: u64, tick: u64) -> bool {
        let (newest, count) = (self.tick_of_state(state), self.count_of(state));
        ((newest + 1).max((tick + 1).saturating_sub(self.slots()))..=tick)
            .all(|begun| place.raise(self.slots.rest(begun), self.word(begun, count), state))
    }

    /// What was let through in the ticks of the window that ends with the tick of `state`. Each tick counts as of its end, and the
    /// one that is running as of `now`.
    pub fn history<P: Beside>(&self, place: &P, state: u64, now: u64) -> History {
        let (newest, mut history) = (self.tick_of_state(state), History::default());
        let first = newest.saturating_sub(self.ticks);
        let end = |tick: u64| {
            let last = self.begins(tick + 1).saturating_sub(1);
            // One that lies ahead of `now` is not known better.
            if now < self.begins(tick) { last } else { last.min(now) }
        };
        let (mut count, mut at) = (self.count_of(state), end(newest));
        for tick in (first..=newest).rev() {
            let start = place.read(self.slots.rest(tick));
            // One that is not known is taken together with the tick after it. Before the first, only an older one says the same.
            if self.tick_of(start) == tick || tick == first && self.tick_of(start) < first {
                history.push(at, self.since(count, self.count_of(start)));
                (count, at) = (self.count_of(start), end(tick.saturating_sub(1)));
            }
        }
        history.others(self.begins(first).saturating_sub(1))
    }

    /// The nanosecond at which `cost` fits, if no other comes: the first tick whose window begins after enough has left. `None` is
    /// after the end of time.
    #[cold]
    #[inline(never)]
    pub fn fits_at<P: Beside>(&self, place: &P, state: u64, tick: u64, cost: u64) -> Option<u64> {
        let (newest, count) = (self.tick_of_state(state), self.count_of(state));
        // What is not known is taken for used.
        let fits = |start: u64, first: u64| {
            self.tick_of(start) == first && self.since(count, self.count_of(start)) + cost <= self.limit
        };
        let mut first = tick + 1 - self.ticks;
        let begins = self.slots.rest(first) as usize;
        let (wrapped, starts) = place.beside()[..self.slots() as usize].split_at(begins);
        for start in starts.iter().chain(wrapped) {
            // unnoticed: it makes an estimate, and no decision
            if first > newest || fits(start.load(Ordering::Acquire) ^ place.mask(), first) {
                break;
            }
            first += 1;
        }
        let tick = first + self.ticks;
        Some(self.begins(tick)).filter(|&begins| tick <= self.last && begins <= LAST)
    }
}
