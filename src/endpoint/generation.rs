//! [`Generation`]: one life of an endpoint's counter, and the words that lead from one to the next.
//!
//! Tests: `tests/registry`, `tests/models/endpoint.rs`.

use std::ptr;

use crate::cell::form::Form;
use crate::cell::outcome::Tally;
use crate::counter::Counter;
use crate::sync::{AtomicPtr, AtomicU64, Ordering, Watched};
use crate::time::Tick;
use crate::window::geometry::Geometry;

/// The state that all endpoints of a registry share.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// The layout of all counters.
    pub geometry: &'a Geometry,
    /// The tally of hits that no counter holds any more, or ever held.
    pub tally: &'a Tally,
    /// The next generation's number.
    pub generations: &'a AtomicU64,
}

impl Shared<'_> {
    pub(super) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// The first input tick of `counter` in the tick `tick` of the resolution.
    pub(super) fn input(&self, counter: &Counter, tick: Tick) -> Tick {
        counter.input(self.geometry).tick(self.geometry.resolution().start(tick))
    }

    /// The tick of the resolution in which the input tick `tick` of `counter` lies.
    pub(super) fn tick(&self, counter: &Counter, tick: Tick) -> Tick {
        self.geometry.resolution().tick(counter.input(self.geometry).start(tick))
    }
}

/// Why an endpoint takes no hits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was removed or pruned.
    Removed,
    /// The registry was restored, and another endpoint of the name replaced it.
    Replaced,
}

pub(super) const FEW: usize = 1;
pub(super) const REMOVED: usize = 2;
pub(super) const REPLACED: usize = 4;
pub(super) const TAGS: usize = FEW | REMOVED | REPLACED;

/// One life of a counter.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    counter: Counter,
    /// The generation before it.
    pub(super) next: AtomicPtr<Generation>,
    /// Lets a model checker notice a read after the generation was freed.
    pub(super) watched: Watched,
}

/// A value of an endpoint's first word: the address of the chain's first generation, and tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub *mut Generation);

impl Word {
    /// The word of an endpoint with cells in line and without a generation.
    pub fn few() -> Self {
        Self(ptr::null_mut()).with(FEW)
    }

    pub fn has(self, tag: usize) -> bool {
        self.0.addr() & tag != 0
    }

    pub fn with(self, tag: usize) -> Self {
        Self(self.0.map_addr(|address| address | tag))
    }

    pub fn chain(self) -> *mut Generation {
        self.0.map_addr(|address| address & !TAGS)
    }

    pub fn gone(self) -> Option<Gone> {
        if self.has(REMOVED) {
            Some(Gone::Removed)
        } else if self.has(REPLACED) {
            Some(Gone::Replaced)
        } else {
            None
        }
    }
}

/// A generation that was taken out of the chain. Threads that found it before may still read it, so it is freed later; if
/// it is dropped, it is never freed.
#[derive(Debug)]
#[must_use = "a generation that is not freed leaks"]
pub struct Unlinked(*mut Generation);

// SAFETY: it is the only owner of the generation, whose counter is `Send` and `Sync`.
unsafe impl Send for Unlinked {}

impl Unlinked {
    /// Wraps a generation that has just been taken out of the chain. To be called by the thread that took it out.
    pub(super) fn new(generation: &Generation) -> Self {
        Self(ptr::from_ref(generation).cast_mut())
    }

    /// The generation, as `Box::into_raw` gave it. No later thread finds it.
    #[must_use]
    pub fn into_raw(self) -> *mut Generation {
        self.0
    }
}

impl Generation {
    pub(super) fn boxed(counter: Counter, next: *mut Self, shared: Shared<'_>) -> Box<Self> {
        let (number, next) = (shared.next_generation(), AtomicPtr::new(next));
        Box::new(Self { number, counter, next, watched: Watched::new() })
    }

    /// Its number in the registry.
    pub fn number(&self) -> u64 {
        self.number
    }

    #[inline(always)]
    pub(super) fn counter(&self) -> &Counter {
        self.watched.look();
        &self.counter
    }

    /// Links the generation behind `this` in place of `this`. Only the thread that unlinks may call it.
    pub(super) fn skip(&self, this: &Self) {
        // unnoticed: the load, as the head that led here has all behind `this`
        self.next.store(this.next.load(Ordering::Acquire), Ordering::Release);
    }

    /// The next generation of the chain, for the thread that unlinks.
    pub(super) fn next(&self) -> *mut Self {
        self.watched.look();
        self.next.load(Ordering::Acquire)
    }

    /// The next generation of the chain, for the endpoint that drops it.
    pub(super) fn into_next(self) -> *mut Self {
        // `Relaxed`: the endpoint is being dropped, so every use of the chain is ordered before this.
        self.next.load(Ordering::Relaxed)
    }

    /// Whether its hits all lie at least one ring behind `horizon`.
    pub(super) fn is_behind(&self, shared: Shared<'_>, horizon: Tick) -> bool {
        let newest = shared.tick(self.counter(), self.counter().newest(shared.geometry));
        is_behind(newest, shared.geometry, horizon)
    }

    /// Tells the model checker that the generation is freed here.
    #[cfg(hitring_model)]
    pub fn watch_free(&self) {
        self.watched.free();
    }
}

pub(super) fn is_behind(newest: Tick, geometry: &Geometry, horizon: Tick) -> bool {
    newest.0 + geometry.slots() as u64 <= horizon.0
}

/// The last tick of the resolution that a cell at `tick` may have hits of; 0 if `tick` is 0, which means that there are
/// no cells.
pub(super) fn last_tick(form: Form, tick: Tick, geometry: &Geometry) -> Tick {
    if tick.0 == 0 { tick } else { form.ticks(tick, geometry.resolution()).1 }
}
