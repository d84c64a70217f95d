//! A ring of Morris registers: an estimate for each tick, and one of all time.
//!
//! Use it where very many endpoints are watched for trends and a stated error will do. Not where counts must be exact,
//! and not for errors below 0.05 to save memory: what a register takes is read off the table, and a whole word is what an
//! exact slot takes.
//!
//! ```text
//! 63              30 29    24 23    18 17    12 11     6 5      0     (320 slots of a second, base 2)
//! +-----------------+--------+--------+--------+--------+--------+
//! |       lap       |  k-1   |        |        |        |   0    |    k = 5 neighbouring ticks share a word
//! +-----------------+--------+--------+--------+--------+--------+
//! tick = (lap * words + index) * k + register
//! ```
//!
//! As many registers share a word as fit beside a lap that reaches the year 9999:
//!
//! | error (320 slots of a second) | bits | registers a word | words | bytes a tick |
//! |---|---|---|---|---|
//! | base 2 | 6 | 5 | 65 | 1.6 |
//! | 0.5 | 7 | 4 | 81 | 2.0 |
//! | 0.1 | 11 | 3 | 108 | 2.7 |
//! | 0.05 | 13 | 2 | 161 | 4.0 |
//! | 0.01 | 18 | 1 | 320 | 8.0, as an exact slot |
//!
//! **Words.** The ticks of a word are recycled together, by the first hit into any of its next lap's. If that is the
//! newest tick and the first of its word, the words before it hold `k * (words - 1)` ticks and its own word adds only that
//! one. So there are `ceil((slots - 1) / k) + 1` words: the window and the whole slack are there, wherever in its word the
//! newest tick lies.
//!
//! # States of a word
//! With `L` the lap of the tick that is recorded or asked for, and `c` its register in the word:
//!
//! | word's lap | the word is | a hit | a query of that tick |
//! |---|---|---|---|
//! | `< L` | older, or never used | replaces it whole: lap `L`, the tick's register raised from 0, the others 0 | 0 hits |
//! | `= L` | these ticks' | raises `c` by what it draws, often by nothing: then nothing is written; or `Saturated`, refused whole | the estimate of `c` |
//! | `> L` | recycled | is `Late` and changes nothing | not known: expired |
//!
//! A lap never goes down and, within a lap, a register never goes down. What was counted in older laps is in the all-time
//! register, a word of its own, which each counted hit raises with a chance of its own after the tick's.
//!
//! # A lost exchange decides again, by the same number
//! A hit that draws a raise makes it by an exchange. If the exchange fails, the raise was decided for a register that has changed.
//! The hit decides again, for the register that is there then; but it keeps the number `u` that it drew first:
//!
//! * Keeping the *step* would raise the new register with the larger chance of the old one, so the estimate would be too high.
//!   (Mutant `MorrisKeepsStep`.)
//! * Drawing a new `u` would make the estimate too low. Only a hit that drew a raise reaches an exchange, and if it loses, it has
//!   to draw the raise twice, while a hit that drew no raise returns at once. (Mutant `MorrisDrawsAnew`.) Two hits that both find
//!   `base^-c = 1/2` would leave 15/16 of the true mean; and a hit that lost only because a neighbour in the word was raised would
//!   count with the square of its chance.
//! * With the same `u`, a hit is raised if `u` says so for the register at the moment it is counted. A hit that drew no raise would
//!   draw none from any larger register either, so it does not matter when it looked. The chance is the true one. Numbers after the
//!   first do not decide whether an exchange is made, and are drawn anew.
//!
//! # Guarantees
//! | method | progress | steps | a reader beside writers |
//! |---|---|---|---|
//! | `record` | lock-free on every target: a lost exchange means that a register of the word was raised (on targets with load-linked, also a spurious failure) | two divisions; for each turn a step of `Base::advance` for each raise drawn; the same for the all-time register. Most hits of a busy tick write nothing | |
//! | `sum`, `cells` | wait-free | one load a word, one power a register that is not 0 | every hit whose call returned before it began has been decided, none that began after it ended; a later reader never sees less |
//! | `outcomes` | wait-free | six loads | the all-time register may lag by the hits under way |
//! | `reset` | wait-free | one store a word | drops what returned before it began, keeps what began after it returned |
//!
//! The sum of independent estimates has no larger relative error than each, so the stated error holds for every span.
//!
//! Tests: `tests/sketch/morris_ring.rs`.

use crate::cell::form::Cell;
use crate::cell::outcome::{Outcome, Outcomes, Tally};
use crate::error::ConfigError;
use crate::sketch::draw;
use crate::sketch::morris::{Base, Kept};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering, Typed};
use crate::time::Tick;
use crate::window::geometry::Geometry;
use crate::window::slots::Slots;
use crate::window::{Reading, Span};

/// A ring of registers that any thread may write.
#[derive(Debug)]
pub struct MorrisRing {
    base: Base,
    layout: Layout,
    max_register: u64,
    words: Slots,
    /// The register of all time. Raised after the tick's register; kept over a reset.
    ever: AtomicU64,
    /// The newest tick with a hit.
    newest: Typed<Tick>,
    /// What was refused. What was counted is in `ever`.
    tally: Tally,
}

/// How the registers lie in the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    words: u32,
    /// Registers a word.
    registers: u32,
    /// Bits a register.
    bits: u32,
}

/// Where a tick lives.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: usize,
    lap: u64,
    /// Where its register begins in the word.
    shift: u32,
}

/// A word seen from a tick.
enum View {
    /// The word belongs to an older lap.
    Older,
    /// The word belongs to the tick, whose register this is.
    Ours(u64),
    /// The word belongs to a newer lap.
    Recycled,
}

impl Layout {
    /// The layout with the most registers a word, if one fits at all.
    fn of(geometry: &Geometry, bits: u32) -> Option<Self> {
        (1..=u64::BITS / bits).rev().find_map(|registers| {
            let words = (geometry.slots() as u32 - 1).div_ceil(registers) + 1;
            let max_lap = geometry.resolution().last_tick().0 / (u64::from(words) * u64::from(registers));
            let lap_bits = u64::BITS - max_lap.leading_zeros();
            (lap_bits + registers * bits <= u64::BITS).then_some(Self { words, registers, bits })
        })
    }

    const fn ticks(self) -> u64 {
        self.words as u64 * self.registers as u64
    }

    #[inline]
    const fn place(self, tick: Tick) -> Place {
        let (lap, within) = (tick.0 / self.ticks(), (tick.0 % self.ticks()) as u32);
        Place { index: (within / self.registers) as usize, lap, shift: within % self.registers * self.bits }
    }

    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    /// Where the lap begins in a word.
    const fn lap_shift(self) -> u32 {
        self.registers * self.bits
    }

    #[inline]
    const fn register(self, word: u64, shift: u32) -> u64 {
        word >> shift & self.mask()
    }

    #[inline]
    const fn view(self, word: u64, place: Place) -> View {
        let lap = word >> self.lap_shift();
        if lap == place.lap {
            View::Ours(self.register(word, place.shift))
        } else if lap < place.lap {
            View::Older
        } else {
            View::Recycled
        }
    }
}

impl MorrisRing {
    /// Whether registers of `base` fit beside the laps of `geometry`.
    ///
    /// # Errors
    /// [`ConfigError::MorrisTooFine`] if not even one fits.
    pub fn check(geometry: &Geometry, base: Base) -> Result<(), ConfigError> {
        if Layout::of(geometry, base.bits()).is_some() {
            return Ok(());
        }
        let fits = |thousandths: &u32| {
            let base = Base::with_error(f64::from(*thousandths) / 1_000.0);
            base.is_ok_and(|base| Layout::of(geometry, base.bits()).is_some())
        };
        let thousandths = (1..=500).find(fits).unwrap_or(500);
        Err(ConfigError::MorrisTooFine { resolution: geometry.resolution().width(), thousandths })
    }

    /// A ring without hits.
    ///
    /// # Panics
    /// If [`check`](Self::check) refuses it.
    #[must_use]
    pub fn new(geometry: &Geometry, base: Base) -> Self {
        let layout = Layout::of(geometry, base.bits()).expect("`check` has passed");
        Self {
            base,
            layout,
            max_register: base.max_register(),
            words: Slots::new(layout.words as usize),
            ever: AtomicU64::new(0),
            newest: Typed::new(Tick(0)),
            tally: Tally::default(),
        }
    }

    /// The base of the registers.
    #[must_use]
    pub fn base(&self) -> Base {
        self.base
    }

    /// The ticks the ring has registers for.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.layout.ticks() as usize
    }

    /// How many neighbouring ticks share a word and are recycled together: those of equal `tick / neighbours`.
    #[cfg(any(test, hitring_model))]
    pub fn neighbours(&self) -> usize {
        self.layout.registers as usize
    }

    /// Counts `amount` hits at `tick`, if that tick has hits already, with room for these: the short way of
    /// [`record`](Self::record). Otherwise it changes nothing.
    #[inline]
    pub fn record_current(&self, _geometry: &Geometry, tick: Tick, amount: u64) -> bool {
        let place = self.layout.place(tick);
        let word = self.words.at(place.index).load(Ordering::Acquire);
        if !matches!(self.layout.view(word, place), View::Ours(register) if register > 0) {
            return false;
        }
        amount == 0 || self.change(place, tick, word, amount, &mut draw::unit) == Outcome::Counted
    }

    /// Counts `amount` hits at `tick`.
    pub fn record(&self, geometry: &Geometry, tick: Tick, amount: u64) -> Outcome {
        self.record_with(geometry, tick, amount, &mut draw::unit)
    }

    /// Counts `amount` hits at `tick` by the numbers that `draw` gives, which are drawn evenly from `(0, 1]`.
    pub fn record_with(
        &self,
        _geometry: &Geometry,
        tick: Tick,
        amount: u64,
        draw: &mut impl FnMut() -> f64,
    ) -> Outcome {
        if amount == 0 {
            return Outcome::Counted;
        }
        let place = self.layout.place(tick);
        // `Relaxed`: only the word is used, and the exchange confirms it.
        let word = self.words.at(place.index).load(Ordering::Relaxed);
        let outcome = self.change(place, tick, word, amount, draw);
        if outcome != Outcome::Counted {
            self.tally.add(outcome, amount);
        }
        outcome
    }

    /// Raises the register at `place`, whose word was `word`, and that of all time.
    #[inline]
    fn change(&self, place: Place, tick: Tick, mut word: u64, amount: u64, draw: &mut impl FnMut() -> f64) -> Outcome {
        let slot = self.words.at(place.index);
        let mut numbers = Kept::new(draw);
        let mut lost_step = None;
        loop {
            let (before, others) = match self.layout.view(word, place) {
                View::Older => (0, place.lap << self.layout.lap_shift()),
                View::Ours(register) => (register, word & !(self.layout.mask() << place.shift)),
                View::Recycled => return Outcome::Late,
            };
            let after = match lost_step {
                Some(step) if mutated!(MorrisKeepsStep) => before + step,
                _ => numbers.advance(self.base, before, amount),
            };
            if after > self.max_register {
                return Outcome::Saturated;
            }
            // Nothing to write: the hit is counted by having been decided for the word that was read.
            if after == before {
                break;
            }
            match exchange(slot, word, others | after << place.shift) {
                Ok(()) => {
                    if before == 0 {
                        self.newest.raise(tick, Ordering::Release);
                    }
                    break;
                }
                Err(seen) => (word, lost_step) = (seen, Some(after - before)),
            }
        }
        self.raise_ever(amount, draw);
        Outcome::Counted
    }

    /// Raises the register of all time; it holds at its end.
    #[inline]
    fn raise_ever(&self, amount: u64, draw: &mut impl FnMut() -> f64) {
        let mut numbers = Kept::new(draw);
        // `Relaxed`: what is read here decides only what the exchange below then confirms.
        let mut register = self.ever.load(Ordering::Relaxed);
        loop {
            let after = numbers.advance(self.base, register, amount).min(self.max_register);
            if after == register {
                return;
            }
            match exchange(&self.ever, register, after) {
                Ok(()) => return,
                Err(seen) => register = seen,
            }
        }
    }

    /// Notes hits that were refused before they came to the ring.
    pub fn refuse(&self, outcome: Outcome, amount: u64) {
        self.tally.add(outcome, amount);
    }

    /// The newest tick that has a hit.
    #[must_use]
    pub fn newest(&self) -> Tick {
        self.newest.load(Ordering::Acquire)
    }

    /// The estimate of the hits of `span`, which is at most as long as the ring: the sum of its ticks' estimates, rounded.
    /// `exact` says that no tick of it has been recycled.
    #[must_use]
    pub fn sum(&self, _geometry: &Geometry, span: Span) -> Reading {
        let (mut sum, mut exact) = (0.0, true);
        let (mut seen, mut word) = (None, 0);
        for tick in span.first.0..=span.to.0 {
            let place = self.layout.place(Tick(tick));
            if seen != Some(place.index) {
                (seen, word) = (Some(place.index), self.words.at(place.index).load(Ordering::Acquire));
            }
            match self.layout.view(word, place) {
                View::Ours(0) | View::Older => {}
                View::Ours(register) => sum += self.base.estimate(register),
                View::Recycled => exact = false,
            }
        }
        Reading { count: rounded(sum), exact }
    }

    /// Every tick that has hits, with its register for a count, in the order of the words.
    #[must_use]
    pub fn cells(&self, _geometry: &Geometry) -> Vec<Cell> {
        let Layout { words, registers, bits } = self.layout;
        let mut cells = Vec::new();
        for index in 0..words as usize {
            let word = self.words.at(index).load(Ordering::Acquire);
            let group = (word >> self.layout.lap_shift()) * u64::from(words) + index as u64;
            for which in 0..registers {
                let count = self.layout.register(word, which * bits);
                if count > 0 {
                    cells.push(Cell { tick: Tick(group * u64::from(registers) + u64::from(which)), count });
                }
            }
        }
        cells
    }

    /// The register of all time.
    #[must_use]
    pub fn ever(&self) -> u64 {
        self.ever.load(Ordering::Acquire)
    }

    /// What became of all hits since the ring was made. `counted` is the estimate of the all-time register; the others
    /// are exact.
    #[must_use]
    pub fn outcomes(&self, _geometry: &Geometry) -> Outcomes {
        let mut outcomes = self.tally.read();
        outcomes.add(Outcome::Counted, rounded(self.base.estimate(self.ever())));
        outcomes
    }

    /// Forgets all hits, but not what became of them.
    pub fn reset(&self, _geometry: &Geometry) {
        self.newest.store(Tick(0), Ordering::Release);
        for index in 0..self.layout.words as usize {
            self.words.at(index).store(0, Ordering::Release);
        }
    }

    /// The bytes the ring takes, its own struct included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.words.bytes()
    }
}

/// The whole number next to an estimate.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate is not negative; the cast holds"
)]
fn rounded(estimate: f64) -> u64 {
    estimate.round() as u64
}

/// Replaces `word` by `next` in `slot`, or answers what is there instead.
#[inline(always)]
fn exchange(slot: &AtomicU64, word: u64, next: u64) -> Result<(), u64> {
    if mutated!(SlotLoadStore) {
        slot.store(next, Ordering::Release);
        return Ok(());
    }
    // `Release`: what is found there is used for its value alone.
    slot.compare_exchange_weak(word, next, Ordering::Release, Ordering::Relaxed).map(|_| ())
}
