//! Several limits that are decided together: all let a cost through, or none is touched.
//!
//! "5/second;100/hour" is one state with the words of both limits beside it:
//!
//! ```text
//! state      [ tick | units let through ever ]      one exchange decides for all
//! beside     [ words of the first | words of the second | ... ]
//! ```
//!
//! Each limit is a [`log`] or a sliding window ([`sliding`]). Both work from the number of units that were let through ever and
//! from words beside it. That number is the same for all limits, because a cost passes all of them or none. So a decision reads
//! what each limit says of one state, and one exchange takes the cost from all limits. The first limit never takes a cost that the
//! second refuses, not even for a moment. (Mutants `LimitLoadStore`, `LimitStartsLate`.)
//!
//! | step of a decision on `cost` at time `now` | |
//! |---|---|
//! | 1 | Load `state`. The decision is as of `now`, or of the latest time that a limit has noted |
//! | 2 | Ask each limit whether the cost fits. If it does not fit into a limit and `state` is unchanged, the cost is refused; the wait is the longest of all |
//! | 3 | Raise the words of all limits |
//! | 4 | Exchange `state`. Begin again if it has changed |
//!
//! The ticks of a sliding window are whole multiples of those of the next narrower window, so the state needs the finest tick alone. They
//! are no wider than those of the window alone, so there may be twice as many, and as they need not divide the window, a unit that
//! leaves it may be noticed up to two of them later. A log has a power of two of words, so that its units keep
//! their slots where the count wraps.
//!
//! Tests: `tests/models/limit.rs`, `tests/limit`.

use std::time::Duration;

use super::place::{Beside, LAST, Place, Words};
use super::{log, sliding};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::history::History;
use crate::limit::rate::{Rate, Rates};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering, relax};

/// How windows of one of the limits are kept.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Log(log::Plan),
    Sliding(sliding::Plan),
}

/// One of the limits.
#[derive(Clone, Copy, Debug)]
struct Part {
    kind: Kind,
    limit: u64,
    /// Where its words begin.
    from: u64,
}

/// How several limits are kept together.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    parts: [Part; Rates::MOST],
    len: usize,
    count_bits: u32,
    /// The finest tick, if there is a sliding window.
    finest: Option<sliding::Plan>,
    has_log: bool,
    words: u64,
}

/// The words of one limit.
#[derive(Debug)]
struct View<'a, P>(&'a P, u64);

impl<P: Beside> Place for View<'_, P> {
    const LOAD: Ordering = P::LOAD;
    const EXCHANGE: Ordering = P::EXCHANGE;
    const MOST: u64 = P::MOST;

    fn state(&self) -> &AtomicU64 {
        self.0.state()
    }

    fn mask(&self) -> u64 {
        self.0.mask()
    }
}

impl<P: Beside> Beside for View<'_, P> {
    fn beside(&self) -> &[AtomicU64] {
        &self.0.beside()[self.1 as usize..]
    }

    fn raise(&self, slot: u64, word: u64, seen: u64) -> bool {
        self.0.raise(self.1 + slot, word, seen)
    }

    fn raise_of(&self, slot: u64, word: u64, seen: u64) -> bool {
        self.0.raise_of(self.1 + slot, word, seen)
    }
}

/// What one limit says of a cost.
enum Says {
    /// There is room, and for so many units in all.
    Room(u64),
    /// There is room for so many, and for the cost at that nanosecond; `None` is never.
    Full(u64, Option<u64>),
    /// A cost was decided as of that nanosecond, which is later.
    Later(u64),
}

impl Plan {
    /// Several limits, of which sliding windows are cut into `ticks` parts. The longest window knows at least `known` units.
    ///
    /// # Errors
    /// [`LimitError::TooFineTogether`] if the finest ticks of a sliding window and the counts of the highest limit do not fit into a word for
    /// a hundred years.
    pub fn new(rates: Rates, ticks: u64, known: u64) -> Result<Self, LimitError> {
        let longest = rates.iter().map(|rate| rate.window()).max().unwrap_or_default();
        let known_by = |rate: Rate| if rate.window() == longest { known } else { 0 };
        let rates = rates.iter().copied();
        // By the width of their ticks, as each is a multiple of the one before.
        let is_sliding = |rate: &Rate| rate.limit().max(known_by(*rate)) > log::MOST;
        let mut windows: Vec<_> = rates.clone().filter(is_sliding).collect();
        windows.sort_by_key(|rate| rate.window());
        let highest = rates.clone().map(|rate| rate.limit()).fold(known, u64::max);
        // A state without a tick may use all bits for its count, so that no count comes twice.
        let count_bits = if windows.is_empty() { 63 } else { sliding::Plan::count_bits(highest) };
        let mut every = Vec::new();
        let finest = windows.first().map(|rate| rate.window().as_nanos().div_ceil(u128::from(ticks)) as u64);
        for rate in &windows {
            let before = every.last().copied().unwrap_or(1);
            let width = rate.window().as_nanos().div_ceil(u128::from(ticks)) as u64;
            // Rounded down, so that no tick is wider than it would be alone; then there are up to twice as many.
            every.push((width / (finest.unwrap_or(width) * before)).max(1) * before);
        }
        let coarsest = every.last().copied().unwrap_or(1);
        let mut words = 0;
        let parts = rates.map(|rate| {
            let kind = if is_sliding(&rate) {
                let place = windows.iter().position(|other| *other == rate).expect("it is one of them");
                let (finest, shortest) = (finest.unwrap_or(1), windows[0].window());
                let shared = sliding::Shared { count_bits, finest, every: every[place], coarsest, highest, shortest };
                Kind::Sliding(sliding::Plan::beside_others(rate, shared)?)
            } else {
                Kind::Log(log::Plan::beside_others(rate, known_by(rate), count_bits))
            };
            let part = Part { kind, limit: rate.limit(), from: words };
            words += part.words();
            Ok(part)
        });
        let parts = parts.collect::<Result<Vec<_>, LimitError>>()?;
        let ticking = parts.iter().find_map(|part| match part.kind {
            Kind::Sliding(plan) if plan.is_finest() => Some(plan),
            _ => None,
        });
        let (first, len) = (parts[0], parts.len());
        let all = std::array::from_fn(|nth| parts.get(nth).copied().unwrap_or(first));
        Ok(Self { parts: all, len, count_bits, finest: ticking, has_log: windows.len() < len, words })
    }

    fn parts(&self) -> &[Part] {
        &self.parts[..self.len]
    }

    /// The differences in time that matter.
    pub fn fine(&self) -> Duration {
        let fine = |part: &Part| match part.kind {
            Kind::Log(plan) => plan.fine(),
            Kind::Sliding(plan) => plan.fine(),
        };
        self.parts().iter().map(fine).min().unwrap_or_default()
    }

    /// How many words there are beside the state.
    pub const fn slots(&self) -> u64 {
        self.words
    }

    /// The words of limits that let nothing through up to `now`.
    pub fn words(&self, now: u64) -> Words {
        let words = Words::new(self.state(self.tick(now), 0), self.words, 0);
        for part in self.parts() {
            let view = View(&words, part.from);
            match part.kind {
                Kind::Log(plan) => {
                    let seen = self.state(self.tick(now), 0);
                    (0..plan.slots()).for_each(|slot| _ = view.raise(slot, plan.first(now), seen));
                }
                Kind::Sliding(plan) => plan.begun(&view, plan.of_finest(self.tick(now))),
            }
        }
        words
    }

    fn state(&self, tick: u64, count: u64) -> u64 {
        tick << self.count_bits | count & ((1 << self.count_bits) - 1)
    }

    fn count_of(&self, state: u64) -> u64 {
        state & ((1 << self.count_bits) - 1)
    }

    fn tick(&self, now: u64) -> u64 {
        self.finest.map_or(0, |plan| plan.tick(now))
    }

    /// The time as of which a decision at `now` is made: the time of the newest unit if that is later.
    fn as_of<P: Beside>(&self, place: &P, state: u64, now: u64) -> u64 {
        if !self.has_log {
            return now;
        }
        let newest = |part: &Part| match part.kind {
            Kind::Log(plan) => plan.newest(&View(place, part.from), self.count_of(state)),
            Kind::Sliding(_) => 0,
        };
        self.parts().iter().map(newest).max().unwrap_or_default().max(now)
    }

    /// Decides on `cost` at `now`, and takes it from all limits with `take`; `None` if the state is closed.
    pub fn decide<P: Beside>(&self, place: &P, now: u64, cost: u64, take: bool) -> Option<Decision> {
        match if take { self.take(place, now, cost) } else { None } {
            Some((remaining, which)) => Some(Decision { which, ..Decision::allowed(remaining) }),
            None => self.decide_slowly(place, now, cost, take),
        }
    }

    /// Takes a cost that fits, in the tick of the state and at the first attempt; what remains, and of which limit, or `None` if it
    /// is not taken.
    #[inline(never)]
    fn take<P: Beside>(&self, place: &P, now: u64, cost: u64) -> Option<(u64, u8)> {
        let state = place.seen()?;
        let (at, count) = (self.as_of(place, state, now.min(LAST)), self.count_of(state));
        let tick = self.tick(at);
        // The mutants of an exchange are below.
        if mutated!(LimitLoadStore) {
            return None;
        }
        if mutated!(LimitStartsLate) || tick != state >> self.count_bits || cost == 0 {
            return None;
        }
        let (mut least, mut which) = (u64::MAX, 0);
        for (nth, part) in self.parts().iter().enumerate() {
            let view = View(place, part.from);
            let left = match part.kind {
                Kind::Log(plan) => {
                    let room = plan.room_for(&view, count, cost, at);
                    if room == Ok(at) { plan.free(&view, count, cost, at) } else { 0 }
                }
                Kind::Sliding(plan) => {
                    part.limit.saturating_sub(plan.used_at(&view, state, plan.of_finest(tick)).ok()?)
                }
            };
            if left < least {
                (least, which) = (left, nth as u8);
            }
        }
        // Sliding windows have the beginning of this tick.
        let raise = |part: &Part| match part.kind {
            Kind::Log(plan) => plan.raise(&View(place, part.from), count, state, cost, at),
            Kind::Sliding(_) => true,
        };
        let is_taken =
            cost <= least && self.parts().iter().all(raise) && place.exchange(state, self.state(tick, count + cost));
        is_taken.then(|| (least - cost, which))
    }

    #[inline(never)]
    fn decide_slowly<P: Beside>(&self, place: &P, now: u64, cost: u64, take: bool) -> Option<Decision> {
        let (now, mut floor) = (now.min(LAST), 0);
        loop {
            let state = place.seen()?;
            let at = self.as_of(place, state, now.max(floor));
            let tick = self.tick(at).max(state >> self.count_bits);
            let (mut decision, mut later) = (Decision::allowed(u64::MAX), None);
            for (which, part) in self.parts().iter().enumerate() {
                let told = match part.says(place, state, self.count_of(state), at, tick, cost) {
                    Says::Room(free) => Decision::allowed(free),
                    Says::Full(free, Some(then)) => {
                        Decision::refused(free, Duration::from_nanos(then.saturating_sub(now)))
                    }
                    Says::Full(free, None) => Decision::never(free),
                    Says::Later(then) => {
                        later = Some(then);
                        break;
                    }
                };
                decision = decision.and(Decision { which: which as u8, ..told });
            }
            if let Some(later) = later {
                floor = later;
                continue;
            }
            if !decision.allowed || !take || cost == 0 {
                if place.seen()? == state {
                    return Some(decision);
                }
                continue;
            }
            let decision = Decision { remaining: decision.remaining - cost, ..decision };
            if !mutated!(LimitStartsLate) && !self.raise(place, state, at, tick, cost) {
                continue;
            }
            let next = self.state(tick, self.count_of(state) + cost);
            if mutated!(LimitLoadStore) {
                place.state().store(next, Ordering::Release);
                return Some(decision);
            }
            if place.exchange(state, next) {
                if mutated!(LimitStartsLate) {
                    self.raise(place, state, at, tick, cost);
                }
                return Some(decision);
            }
            // The loser of an exchange pauses for a moment, as in a ring.
            relax();
        }
    }

    /// What was let through up to `state`, as far as one of the limits knows it.
    pub fn history<P: Beside>(&self, place: &P, state: u64, now: u64) -> History {
        History::merged(self.parts().iter().map(|part| {
            let view = View(place, part.from);
            match part.kind {
                Kind::Log(plan) => plan.history(&view, self.count_of(state)),
                Kind::Sliding(plan) => plan.history(&view, state, now),
            }
        }))
    }

    /// The state after `units` that were let through at `at`, in words that no other thread knows.
    pub fn record<P: Beside>(&self, place: &P, state: u64, units: u64, at: u64) -> u64 {
        let tick = self.tick(at).max(state >> self.count_bits);
        for part in self.parts() {
            let view = View(place, part.from);
            match part.kind {
                Kind::Log(plan) => _ = plan.record(&view, self.count_of(state), units, at),
                Kind::Sliding(plan) => _ = plan.begin(&view, state, plan.of_finest(tick)),
            }
        }
        self.state(tick, self.count_of(state) + units)
    }

    /// Whether all limits are as good as new ones.
    pub fn is_fresh<P: Beside>(&self, place: &P, state: u64, now: u64) -> bool {
        self.parts().iter().all(|part| match part.kind {
            Kind::Log(plan) => plan.is_fresh(&View(place, part.from), self.count_of(state), now),
            Kind::Sliding(plan) => plan.is_fresh(state, now),
        })
    }

    fn raise<P: Beside>(&self, place: &P, state: u64, at: u64, tick: u64, cost: u64) -> bool {
        self.parts().iter().all(|part| {
            let view = View(place, part.from);
            match part.kind {
                Kind::Log(plan) => plan.raise(&view, self.count_of(state), state, cost, at),
                Kind::Sliding(plan) => plan.begin(&view, state, plan.of_finest(tick)),
            }
        })
    }
}

impl Part {
    fn words(&self) -> u64 {
        match self.kind {
            Kind::Log(plan) => plan.slots(),
            Kind::Sliding(plan) => plan.slots(),
        }
    }

    /// What the limit says of `cost` at `at`, which is in `tick`.
    fn says<P: Beside>(&self, place: &P, state: u64, count: u64, at: u64, tick: u64, cost: u64) -> Says {
        let view = View(place, self.from);
        match self.kind {
            Kind::Log(plan) => match if cost == 0 { Ok(at) } else { plan.room_for(&view, count, cost, at) } {
                Ok(then) if then > at => Says::Later(then),
                Ok(_) => Says::Room(plan.free(&view, count, cost, at)),
                Err(then) => Says::Full(plan.free(&view, count, 0, at), then.filter(|&then| then <= LAST)),
            },
            Kind::Sliding(plan) => {
                let wanted = plan.of_finest(tick);
                let (found, used) = plan.used(&view, state, wanted);
                if found > wanted {
                    return Says::Later(plan.begins(found));
                }
                let free = self.limit.saturating_sub(used);
                if cost <= free {
                    Says::Room(free)
                } else {
                    let is_possible = cost <= self.limit;
                    Says::Full(free, is_possible.then(|| plan.fits_at(&view, state, found, cost)).flatten())
                }
            }
        }
    }
}
