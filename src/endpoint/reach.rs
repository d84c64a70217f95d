//! [`Reach`]: the proof that an endpoint's generations may be read.
//!
//! A generation that was unlinked is freed, so a pointer into the chain may be followed only by a thread that keeps the
//! chain from being freed. There are two ways to do that:
//!
//! | proof | why nothing is freed | what makes the `Reach` |
//! |---|---|---|
//! | a handle | `uses` is not 0, so no generation is unlinked at all | [`Handle`](crate::Handle) |
//! | a guard of the registry's collector, under which the endpoint was found in the map | what is unlinked waits for the guard | the registry's map |
//!
//! Every method that follows a pointer of the chain is a method of `Reach`. The compiler therefore asks each caller for the
//! proof. [`Endpoint::reach`] is the only way to make one, and it is `unsafe`.
//!
//! # Order of the loads
//! seize asks for its `Guard::protect` where a pointer is loaded under a guard: a plain `Acquire` load may be reordered
//! before the entry into the guard on processors that have a weaker acquire (Apple silicon). [`PROTECTED`] is that order.
//! On x86 the load is the same instruction.
//!
//! Tests: `tests/models/reclamation.rs`, `tests/registry/reclamation.rs`.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

use super::{Endpoint, FEW, Gone, REMOVED, REPLACED, Shared, TAGS};
use crate::counter::Counter;
use crate::sync::{AtomicPtr, Ordering, PROTECTED, Watched};

/// One life of a counter.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    counter: Counter,
    /// The one before it.
    next: AtomicPtr<Generation>,
    /// Where a model checker notices a read after the generation was freed.
    watched: Watched,
}

/// An endpoint whose generations may be read for as long as `'a`. See the file's header.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a>(&'a Endpoint);

impl Endpoint {
    /// The endpoint with its generations.
    ///
    /// # Safety
    /// As long as the answer is used, the caller has a handle of this endpoint ([`acquire`](Self::acquire) answered `Ok`,
    /// and [`release`](Self::release) was not called for it), or a guard under which the endpoint was found. That guard is
    /// of the collector that frees what this endpoint unlinks.
    #[inline(always)]
    pub unsafe fn reach(&self) -> Reach<'_> {
        Reach(self)
    }
}

impl Deref for Reach<'_> {
    type Target = Endpoint;

    #[inline(always)]
    fn deref(&self) -> &Endpoint {
        self.0
    }
}

/// A value of an endpoint's first word: where the chain begins, and tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub *mut Generation);

impl Word {
    /// The cells in line and no generation.
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

/// A word that was read while the chain could be reached for `'a`, so its generation may be read. Only `Reach::head` makes one.
#[derive(Clone, Copy)]
pub(super) struct Head<'a>(Word, PhantomData<&'a Generation>);

impl Deref for Head<'_> {
    type Target = Word;

    #[inline(always)]
    fn deref(&self) -> &Word {
        &self.0
    }
}

impl<'a> Reach<'a> {
    #[inline(always)]
    pub(super) fn head(self) -> Head<'a> {
        Head(Word(self.0.head.load(PROTECTED)), PhantomData)
    }

    /// The generation that takes the hits; `None` if the cells in line do, or if the endpoint is gone.
    #[inline(always)]
    pub(super) fn current(self, head: Head<'a>) -> Option<&'a Generation> {
        if head.has(TAGS) {
            return None;
        }
        // SAFETY: a word without tags points to a generation. It was read through a `Reach` of `'a`, which keeps what it
        // found from being freed for `'a`.
        Some(unsafe { &*head.0.0 })
    }

    /// The first generation of the chain behind `head`.
    #[inline]
    pub(super) fn first(self, head: Head<'a>) -> Option<&'a Generation> {
        // SAFETY: null, or a generation that was in the chain when `head` was read through a `Reach` of `'a`, which keeps it
        // from being freed for `'a`.
        unsafe { head.chain().as_ref() }
    }

    /// The generation behind `generation`.
    #[inline]
    pub(super) fn after(self, generation: &'a Generation) -> Option<&'a Generation> {
        generation.watched.look();
        // SAFETY: null, or a generation that is in the chain behind one that `self` reached, and `self` keeps it from being
        // freed for `'a`.
        unsafe { generation.next.load(PROTECTED).as_ref() }
    }

    /// All generations, the newest first.
    pub(super) fn generations(self) -> impl Iterator<Item = &'a Generation> {
        let mut next = self.first(self.head());
        std::iter::from_fn(move || {
            let generation = next?;
            next = self.after(generation);
            Some(generation)
        })
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
    /// Of a generation that has just been taken out of the chain, by the thread that took it out.
    pub(super) fn new(generation: &Generation) -> Self {
        Self(ptr::from_ref(generation).cast_mut())
    }

    /// The generation, as `Box::into_raw` gave it. No thread that comes later finds it.
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

    /// Lets the generation behind `this` follow, instead of `this`. Only the thread that unlinks may call it.
    pub(super) fn skip(&self, this: &Self) {
        // unnoticed: the load, as the head that led here has all behind `this`
        self.next.store(this.next.load(Ordering::Acquire), Ordering::Release);
    }

    /// Where the chain goes on, for the thread that unlinks.
    pub(super) fn next(&self) -> *mut Self {
        self.watched.look();
        self.next.load(Ordering::Acquire)
    }

    /// Where the chain goes on, for the endpoint that drops it.
    pub(super) fn into_next(self) -> *mut Self {
        // `Relaxed`: the endpoint is being dropped, so all that was done with the chain lies before.
        self.next.load(Ordering::Relaxed)
    }

    /// Tells the model checker that the generation is freed here.
    #[cfg(hitring_model)]
    pub fn watch_free(&self) {
        self.watched.free();
    }
}
