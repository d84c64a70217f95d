//! The map from names to endpoints, and what keeps an endpoint's memory while it is read.
//!
//! The map is papaya's: look-ups take no lock, and an endpoint that is taken out is freed when no reader can see it any
//! more. Generations that were unlinked from an endpoint wait for the same readers, so they are retired to the map's own
//! collector.
//!
//! [`Found`] is an endpoint that was found under a guard. Only this file makes one, from a reference that papaya hands out
//! for as long as the guard lives, so [`Found::reach`] needs no promise of its caller. papaya refuses a guard of another
//! collector, and so does [`retire`](Endpoints::retire).
//!
//! Tests: `tests/registry/reclamation.rs`, `tests/registry/threads.rs`.

use std::ops::Deref;
use std::sync::Arc;

use papaya::{Guard, HashMap, LocalGuard, ResizeMode};
use seize::Collector;

use crate::endpoint::{Endpoint, Reach, Unlinked};

type Map = HashMap<Box<str>, Arc<Endpoint>, foldhash::fast::RandomState>;

/// The endpoints of a registry by name.
pub struct Endpoints(Map);

/// An endpoint, found in the map for as long as a guard lives.
#[derive(Clone, Copy)]
pub struct Found<'g>(&'g Arc<Endpoint>);

impl<'g> Found<'g> {
    /// The endpoint with its generations.
    #[inline(always)]
    pub fn reach(self) -> Reach<'g> {
        // SAFETY: papaya handed the reference out for as long as a guard of the map's collector lives, and `retire` gives
        // what the map's endpoints unlink to that collector.
        unsafe { self.0.reach() }
    }

    /// The endpoint, which the caller keeps. Without a guard its generations may not be read.
    pub fn keep(self) -> Arc<Endpoint> {
        Arc::clone(self.0)
    }
}

impl<'g> Deref for Found<'g> {
    type Target = Endpoint;

    #[inline(always)]
    fn deref(&self) -> &Endpoint {
        self.0
    }
}

impl Endpoints {
    pub fn new() -> Self {
        let map = HashMap::builder()
            .hasher(foldhash::fast::RandomState::default())
            // Growing step by step makes every look-up meanwhile search two tables.
            .resize_mode(ResizeMode::Blocking)
            .collector(Collector::new())
            .build();
        Self(map)
    }

    /// Keeps what is found under it from being freed.
    #[inline(always)]
    pub fn guard(&self) -> LocalGuard<'_> {
        self.0.guard()
    }

    /// The endpoint of `name`.
    #[inline(always)]
    pub fn get<'g>(&self, name: &str, guard: &'g LocalGuard<'_>) -> Option<Found<'g>> {
        self.0.get(name, guard).map(Found)
    }

    /// All endpoints, in no order.
    pub fn iter<'g>(&self, guard: &'g LocalGuard<'_>) -> impl Iterator<Item = (&'g str, Found<'g>)> {
        self.0.iter(guard).map(|(name, endpoint)| (&**name, Found(endpoint)))
    }

    /// Puts an endpoint in; the other one if there is one of the name.
    pub fn insert<'g>(
        &self,
        name: &str,
        endpoint: Endpoint,
        guard: &'g LocalGuard<'_>,
    ) -> Result<Found<'g>, Found<'g>> {
        match self.0.try_insert(name.into(), Arc::new(endpoint), guard) {
            Ok(ours) => Ok(Found(ours)),
            Err(theirs) => Err(Found(theirs.current)),
        }
    }

    /// Takes `endpoint` out; false if another thread did.
    pub fn remove(&self, name: &str, endpoint: &Endpoint, guard: &LocalGuard<'_>) -> bool {
        matches!(self.0.remove_if(name, |_, current| std::ptr::eq(&**current, endpoint), guard), Ok(Some(_)))
    }

    /// Frees generations that an endpoint of this map unlinked while the caller held `guard`.
    pub fn retire(&self, guard: &LocalGuard<'_>, unlinked: Vec<Unlinked>) {
        assert!(guard.collector() == self.0.guard().collector(), "the guard is of another map");
        for generation in unlinked.into_iter().map(Unlinked::into_raw) {
            // SAFETY: the generation came from `Box::into_raw` and is unlinked, so no thread that comes later finds it, and
            // there was no handle: a thread that may still see it holds a guard of this collector.
            unsafe { guard.defer_retire(generation, seize::reclaim::boxed) };
        }
    }
}
