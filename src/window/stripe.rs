//! A ring with one writer: the thread that owns it.
//!
//! Because no other thread writes, a hit is a plain load and store of its slot, wait-free on every target. Any thread may read. The
//! owner changes when a thread ends and its id passes to the next; [`threads`](crate::sync::threads) orders the two.
//!
//! # What the owner tells readers
//! | word | meaning | order |
//! |---|---|---|
//! | `generation` | which life of the counter the slots belong to | stored last when a new one is taken up |
//! | `current` | the newest tick; all before it are closed | stored **before** the slot of a newer tick |
//! | `late` | even: settled; odd: a closed tick is being written | made odd before that slot's store, even after it |
//!
//! A reader remembers the sum of the ticks before `current` under (`current`, `late`), if `late` is even.
//!
//! * Hits into a tick that was current come before the store that closes it: a reader that sees the later `current` sees
//!   them. They are in the sum. (Mutant `StripeClosesRelaxed`.)
//! * Hits into a closed tick change `late`. A reader that saw such a hit saw the odd `late` before it, so it never goes
//!   back to a sum without the hit. (Mutants `StripeNoLate`, `StripeLateAfter`.)
//! * In a new tick the last sum is taken on, as in `ring.rs`: plus the ticks closed since, minus those that left the
//!   span, if `late` is still the same after these were read. (Mutant `StripeLeavingUnchecked`.)
//! * A reader that saw a hit in a newer tick sees the newer `current` too, so it does not fall back to a sum and one
//!   open slot that miss it. (Mutant `StripeTickAfterSlot`.)
//!
//! # A new generation
//! A reset cannot empty the stripe from outside: the owner may be between its load and its store. It only begins a new
//! generation; the owner, on its next hit, empties the slots itself and takes the generation up. Until then readers of
//! the new generation skip the stripe. (Mutant `StripeResetByReader`.)
//!
//! # Guarantees
//! | method | called by | progress | steps |
//! |---|---|---|---|
//! | `record` | owner | wait-free on every target | one load and one store of the slot, three loads, in a new or a closed tick up to five more stores; once after a reset, one store a slot |
//! | `sum` | any | wait-free | one slot in a tick already asked for; in a new one a load for each tick closed since and each that left the span; at most two a slot |
//! | `cells`, `outcomes` | any | wait-free | one load a slot |
//!
//! Tests: `tests/conformance`, `tests/models`.

use crossbeam_utils::CachePadded;

use crate::cell::form::Cell;
use crate::cell::outcome::{Outcome, Outcomes, Tally};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicPtr, AtomicU64, Ordering, Typed};
use crate::time::Tick;
use crate::window::geometry::Geometry;
use crate::window::remembered::{Key, Remembered, Sum};
use crate::window::slots::{Slots, View, view};
use crate::window::{Reading, Span};

/// A ring that one thread writes.
#[derive(Debug)]
pub struct Stripe {
    owned: CachePadded<Owned>,
    memory: CachePadded<Remembered<2>>,
}

/// What only the owner writes.
#[derive(Debug)]
struct Owned {
    generation: AtomicU64,
    current: Typed<Tick>,
    /// The slot of `current`, so that another hit in the same tick need not look for it. Only the owner reads it.
    open: AtomicPtr<AtomicU64>,
    late: AtomicU64,
    slots: Slots,
    tally: Tally,
}

impl Stripe {
    /// A stripe without hits, of `generation`.
    pub fn new(geometry: &Geometry, generation: u64) -> Self {
        let slots = Slots::new(geometry.slots());
        Self {
            owned: CachePadded::new(Owned {
                generation: AtomicU64::new(generation),
                current: Typed::new(Tick(0)),
                open: AtomicPtr::new(std::ptr::from_ref(slots.at(0)).cast_mut()),
                late: AtomicU64::new(0),
                slots,
                tally: Tally::default(),
            }),
            memory: CachePadded::new(Remembered::new()),
        }
    }

    /// Counts `amount` hits at `tick`, in the counter's `generation`, if `tick` is current and has room: the short way
    /// of [`record`](Self::record). Otherwise it changes nothing. For the owner alone.
    #[inline(always)]
    pub fn record_current(&self, geometry: &Geometry, generation: u64, tick: Tick, amount: u64) -> bool {
        let owned = &*self.owned;
        if owned.current.load(Ordering::Relaxed) != tick || owned.generation.load(Ordering::Relaxed) != generation {
            return false;
        }
        // SAFETY: `open` always points to one of `owned.slots`, which live as long as `self`.
        let slot = unsafe { &*owned.open.load(Ordering::Relaxed) };
        // The slot of the current tick belongs to its lap, because only this thread could have recycled it.
        let word = slot.load(Ordering::Relaxed);
        let max = geometry.max_count();
        let fits = amount <= max - (word & max);
        if fits {
            slot.store(word + amount, Ordering::Release);
        }
        fits
    }

    /// Counts `amount` hits at `tick`, in the counter's `generation`. For the owner alone.
    pub fn record(&self, geometry: &Geometry, generation: u64, tick: Tick, amount: u64) -> Outcome {
        if self.record_current(geometry, generation, tick, amount) {
            return Outcome::Counted;
        }
        if amount == 0 {
            return Outcome::Counted;
        }
        let owned = &*self.owned;
        if owned.generation.load(Ordering::Relaxed) != generation {
            self.take_up(geometry, generation);
        }
        let place = geometry.place(tick);
        let slot = owned.slots.at(place.index);
        let (before, retired) = match view(geometry, place, slot.load(Ordering::Relaxed)) {
            View::Older(retired) => (0, retired),
            View::Ours(count) => (count, 0),
            View::Recycled => return self.refuse(Outcome::Late, amount),
        };
        let Some(after) = before.checked_add(amount).filter(|&sum| sum <= geometry.max_count()) else {
            return self.refuse(Outcome::Saturated, amount);
        };
        let current = owned.current.load(Ordering::Relaxed);
        let late = owned.late.load(Ordering::Relaxed);
        let (silent, tardy) = (mutated!(StripeNoLate), mutated!(StripeLateAfter));
        if tick < current && !silent {
            // unnoticed: the slot below releases it
            owned.late.store(if tardy { late } else { late + 1 }, Ordering::Release);
        }
        if tick > current {
            self.set_open(slot);
            let order = if mutated!(StripeClosesRelaxed) { Ordering::Relaxed } else { Ordering::Release };
            owned.current.store(if mutated!(StripeTickAfterSlot) { current } else { tick }, order);
        }
        slot.store(place.base | after, Ordering::Release);
        if tick > current && mutated!(StripeTickAfterSlot) {
            owned.current.store(tick, Ordering::Release);
        }
        if tick < current && !silent {
            owned.late.store(late + 2, Ordering::Release);
        }
        if retired != 0 {
            // After the slot, see `Ring::change`.
            owned.tally.add_owned(Outcome::Counted, retired);
        }
        Outcome::Counted
    }

    /// Makes `slot`, one of this stripe's, the one of `current`.
    fn set_open(&self, slot: &AtomicU64) {
        self.owned.open.store(std::ptr::from_ref(slot).cast_mut(), Ordering::Relaxed);
    }

    /// Empties the slots and takes up `generation`.
    fn take_up(&self, geometry: &Geometry, generation: u64) {
        let owned = &*self.owned;
        let late = owned.late.load(Ordering::Relaxed);
        // unnoticed: each slot below releases it
        owned.late.store(late + 1, Ordering::Release);
        if mutated!(StripeResetByReader) {
            owned.generation.store(generation, Ordering::Release);
        }
        for index in 0..geometry.slots() {
            let slot = owned.slots.at(index);
            let hits = slot.load(Ordering::Relaxed) & geometry.max_count();
            slot.store(0, Ordering::Release);
            owned.tally.add_owned(Outcome::Counted, hits);
        }
        self.set_open(owned.slots.at(0));
        owned.current.store(Tick(0), Ordering::Release);
        owned.late.store(late + 2, Ordering::Release);
        owned.generation.store(generation, Ordering::Release);
    }

    /// Notes hits that were refused. For the owner alone.
    pub fn refuse(&self, outcome: Outcome, amount: u64) -> Outcome {
        self.owned.tally.add_owned(outcome, amount);
        outcome
    }

    /// The newest tick that has a hit of `generation`.
    pub fn newest(&self, generation: u64) -> Tick {
        if self.owned.generation.load(Ordering::Acquire) == generation {
            self.owned.current.load(Ordering::Acquire)
        } else {
            Tick(0)
        }
    }

    /// The hits of `span` in `generation`, if they can be had by reading one slot, exactly.
    #[inline]
    pub fn recall(&self, geometry: &Geometry, generation: u64, span: Span) -> Option<u64> {
        let owned = &*self.owned;
        if owned.generation.load(Ordering::Acquire) != generation {
            return Some(0);
        }
        // unnoticed: both are compared with an entry that is acquired itself, and are as new as any slot that was seen
        let late = owned.late.load(Ordering::Acquire);
        // unnoticed: as above
        let current = owned.current.load(Ordering::Acquire);
        if current < span.first {
            return Some(0);
        }
        let sum = self.memory.recall(Key { span, state: [late, current.0] })?;
        if current > span.to {
            return Some(sum.closed);
        }
        // An owner that has just published `current` may not have stored its first hit; that is over in a moment.
        match view(geometry, sum.open, owned.slots.at(sum.open.index).load(Ordering::Acquire)) {
            View::Ours(hits) => Some(sum.closed + hits),
            View::Older(_) | View::Recycled => None,
        }
    }

    /// The hits of `span` in `generation`; with `remember` the sum is kept for the next query.
    pub fn sum(&self, geometry: &Geometry, generation: u64, span: Span, remember: bool) -> Reading {
        if let Some(count) = self.recall(geometry, generation, span) {
            return Reading::exact(count);
        }
        let owned = &*self.owned;
        let late = owned.late.load(Ordering::Acquire);
        let current = owned.current.load(Ordering::Acquire);
        // The ticks before `end` are closed.
        let end = current.min(Tick(span.to.0 + 1));
        let open = owned.slots.row().sum_before(geometry, end.max(span.first), Tick(span.to.0 + 1));
        let replacing = if remember && late.is_multiple_of(2) { self.memory.replace() } else { None };
        let Some(replacing) = replacing.filter(|replacing| span.to >= replacing.to()) else {
            return owned.slots.row().sum_before(geometry, span.first, end).plus(open);
        };
        let closed = match replacing.extendable_to(span) {
            // As in `Ring::close`: the last sum, with the ticks closed since, without those that have left the span.
            Some((Key { span: old, state: [old_late, old_current] }, sum)) if old_late == late => {
                let old_end = Tick(old_current).min(Tick(old.to.0 + 1));
                let leaving = owned.slots.row().sum_before(geometry, old.first, span.first.min(old_end));
                let entering = owned.slots.row().sum_before(geometry, old_end.max(span.first), end);
                // unnoticed: asked last and only compared; the slots that leave were acquired
                let unchanged = leaving.exact && owned.late.load(Ordering::Acquire) == late;
                (unchanged || mutated!(StripeLeavingUnchecked))
                    .then(|| Reading { count: sum.closed - leaving.count + entering.count, exact: entering.exact })
            }
            _ => None,
        };
        let closed = closed.unwrap_or_else(|| owned.slots.row().sum_before(geometry, span.first, end));
        if closed.exact {
            let key = Key { span, state: [late, current.0] };
            replacing.set(key, Sum { closed: closed.count, open: geometry.place(current) });
        }
        closed.plus(open)
    }

    /// The ticks of `generation` that have hits.
    pub fn cells<'a>(&'a self, geometry: &'a Geometry, generation: u64) -> impl Iterator<Item = Cell> + 'a {
        let ours = self.owned.generation.load(Ordering::Acquire) == generation;
        ours.then(|| self.owned.slots.row().cells(geometry)).into_iter().flatten()
    }

    /// What became of all hits since the stripe was made, in any generation.
    pub fn outcomes(&self, geometry: &Geometry) -> Outcomes {
        let mut outcomes = self.owned.tally.read();
        for cell in self.owned.slots.row().cells(geometry) {
            outcomes.add(Outcome::Counted, cell.count);
        }
        outcomes
    }

    /// The bytes the stripe takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.owned.slots.bytes()
    }
}
