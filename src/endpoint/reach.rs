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
//! seize requires its `Guard::protect` where a pointer is loaded under a guard: a plain `Acquire` load may be reordered
//! before the entry into the guard on processors that have a weaker acquire (Apple silicon). [`PROTECTED`] is that
//! order. On x86 the load is the same instruction.
//!
//! Tests: `tests/models/reclamation.rs`, `tests/registry/reclamation.rs`.

use std::marker::PhantomData;
use std::ops::Deref;

use super::generation::{Generation, TAGS, Word};
use super::state::Endpoint;
use crate::sync::PROTECTED;

/// An endpoint whose generations may be read during `'a`. See the file's header.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a>(&'a Endpoint);

impl Endpoint {
    /// The endpoint with its generations.
    ///
    /// # Safety
    /// As long as the result is used, the caller has a handle of this endpoint ([`acquire`](Self::acquire) answered
    /// `Ok`, and [`release`](Self::release) was not called for it), or a guard under which the endpoint was found. That
    /// guard is of the collector that frees the generations that this endpoint unlinks.
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

    /// The generation that takes the hits; `None` if the cells in line take them, or if the endpoint was removed or
    /// replaced.
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
