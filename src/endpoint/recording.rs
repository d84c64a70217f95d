//! Recording hits, and changing the generation that takes them.
//!
//! Tests: `tests/registry`, `tests/models/endpoint.rs`.

use std::ptr;

use super::generation::{FEW, Generation, Gone, REMOVED, REPLACED, Shared, TAGS, Word};
use super::reach::{Head, Reach};
use super::state::{ADAPTIVE, FEW_CELLS, Shape};
use crate::cell::outcome::Outcome;
use crate::counter::Counter;
use crate::counter::query::{Query, When};
use crate::counter::strategy::Strategy;
use crate::error::ConfigError;
use crate::sync::Ordering;
use crate::sync::mutant::mutated;
use crate::time::Tick;
use crate::window::geometry::Geometry;
use crate::window::sparse::{Added, CROWDED};

impl Reach<'_> {
    /// Counts `amount` hits at `tick`, if the tick has hits and room: the short way of [`record`](Self::record).
    /// Otherwise it changes nothing.
    #[inline(always)]
    pub fn record_current(self, geometry: &Geometry, tick: Tick, amount: u64) -> bool {
        let head = self.head();
        let Some(generation) = self.current(head) else {
            return self.record_current_few(head, geometry, tick, amount);
        };
        generation.counter().record_current(geometry, tick, amount)
    }

    #[inline(never)]
    fn record_current_few(self, head: Head<'_>, geometry: &Geometry, tick: Tick, amount: u64) -> bool {
        !head.has(REMOVED | REPLACED) && self.in_line().record_current(geometry, tick, amount)
    }

    /// Counts `amount` hits at `when`.
    pub fn record(self, shared: Shared<'_>, when: When<'_>, amount: u64) -> Result<Outcome, Gone> {
        if amount == 0 {
            return self.gone().map_or(Ok(Outcome::Counted), Err);
        }
        if !self.gate.enter() {
            return Err(self.gone().unwrap_or(Gone::Removed));
        }
        let outcome = loop {
            let head = self.head();
            if let Some(gone) = head.gone() {
                break Err(gone);
            }
            let added = if let Some(generation) = self.current(head) {
                let counter = generation.counter();
                counter.record(shared.geometry, when.input(counter), amount)
            } else {
                let note = |outcome, amount| shared.tally.add(outcome, amount);
                self.in_line().record(shared.geometry, when.tick(), amount, note)
            };
            match added {
                Added::Done(outcome) => {
                    self.relieve(head, shared);
                    break Ok(outcome);
                }
                Added::Full => self.promote(head, shared),
            }
        };
        self.gate.leave();
        outcome
    }

    /// Puts the next larger shape in front of the full one, or a ring at once if threads were in each other's way. If
    /// several threads do so, the first one's takes effect.
    fn promote(self, head: Head<'_>, shared: Shared<'_>) {
        let counter = if head.has(FEW) && !self.in_line().is_crowded() {
            Counter::sparse()
        } else {
            Counter::Ring(crate::window::ring::Ring::new(shared.geometry))
        };
        self.push(head, counter, shared);
    }

    /// Gives an adaptive endpoint stripes if threads are in each other's way in its ring.
    fn relieve(self, head: Head<'_>, shared: Shared<'_>) {
        if let Some(Counter::Ring(ring)) = self.current(head).map(Generation::counter)
            && ring.is_crowded()
            && self.is_adaptive()
        {
            self.push(head, Counter::Striped(Box::default()), shared);
        }
    }

    /// Puts a new generation in front, if `head` has not changed.
    fn push(self, head: Head<'_>, counter: Counter, shared: Shared<'_>) -> bool {
        let former = if mutated!(EndpointSwapForgets) { ptr::null_mut() } else { head.chain() };
        let generation = Box::into_raw(Generation::boxed(counter, former, shared));
        let pushed = self.exchange(*head, Word(generation));
        if !pushed {
            // SAFETY: the exchange failed, so no other thread has ever seen it.
            drop(unsafe { Box::from_raw(generation) });
        }
        pushed
    }

    /// The strategy that was asked for.
    pub fn strategy(self) -> Strategy {
        let first = self.first(self.head()).filter(|_| !self.is_adaptive());
        first.map_or(Strategy::Adaptive, |generation| generation.counter().strategy())
    }

    /// The shape that takes the hits, and why.
    pub fn shape(self) -> Shape {
        let head = self.head();
        if !self.is_adaptive() {
            return Shape::Asked;
        }
        let Some(generation) = self.first(head).filter(|_| !head.has(FEW)) else { return Shape::Few };
        match generation.counter() {
            Counter::Sparse(_) => Shape::Sparse,
            Counter::Striped(_) => Shape::Striped,
            _ => Shape::Ring,
        }
    }

    /// Lets a new generation of `strategy` take the hits. Returns the strategy before, or `None` if `strategy` was set
    /// already.
    ///
    /// # Errors
    /// [`ConfigError`] if the strategy does not suit the geometry; nothing was changed.
    pub fn swap(self, strategy: &Strategy, shared: Shared<'_>) -> Result<Option<Strategy>, ConfigError> {
        loop {
            let head = self.head();
            let old = self.strategy();
            if old == *strategy || head.has(REMOVED | REPLACED) {
                return Ok(None);
            }
            // The flag is cleared before a ring that must not grow is put in front, and set after an adaptive shape was
            // put there.
            let swapped = if *strategy == Strategy::Adaptive {
                self.uses.fetch_and(!CROWDED, Ordering::Relaxed);
                let swapped = self.exchange(*head, head.with(FEW));
                if swapped {
                    self.uses.fetch_or(ADAPTIVE, Ordering::AcqRel);
                }
                swapped
            } else {
                let counter = Counter::new(strategy, shared.geometry)?;
                // `Relaxed`: a thread that finds the new generation has acquired the head that `push` releases.
                self.uses.fetch_and(!ADAPTIVE, Ordering::Relaxed);
                self.push(head, counter, shared)
            };
            if swapped {
                return Ok(Some(old));
            }
        }
    }

    /// Lets the cells in line take the hits of an adaptive endpoint again, if they have room for the ticks of the last
    /// window; returns whether it did.
    pub fn demote(self, shared: Shared<'_>, query: &Query<'_>) -> bool {
        let head = self.head();
        if !self.is_adaptive() || head.has(TAGS) {
            return false;
        }
        let Ok(Some(span)) = query.ticks() else { return false };
        let most = FEW_CELLS / 2;
        let busy = self.generations().try_fold(0, |busy, generation| {
            let busy = busy + generation.counter().cells_since(shared.geometry, span.first, most + 1 - busy);
            if busy > most { None } else { Some(busy) }
        });
        if busy.is_none() {
            return false;
        }
        self.uses.fetch_and(!CROWDED, Ordering::Relaxed);
        self.exchange(*head, head.with(FEW))
    }

    /// Whether the endpoint has a former generation whose hits all lie at least one ring behind `horizon`.
    pub fn has_former_behind(self, shared: Shared<'_>, horizon: impl FnOnce() -> Tick) -> bool {
        let current = usize::from(!self.head().has(FEW));
        let mut former = self.generations().skip(current).peekable();
        former.peek().is_some() && {
            let horizon = horizon();
            former.any(|generation| generation.is_behind(shared, horizon))
        }
    }

    /// Reads the endpoint's first word. A walk over many endpoints reads the words of several at once, so that it waits
    /// for memory only once.
    pub fn touch(self) -> usize {
        self.head().0.addr()
    }

    /// The same for the current generation, which lies behind that word.
    pub fn touch_generation(self) -> usize {
        self.first(self.head()).map_or(0, |generation| generation.counter().touch())
    }
}
