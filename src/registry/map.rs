//! The map from names to endpoints, and the guards that keep an endpoint's memory while it is read.
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

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use papaya::{Equivalent, Guard, HashMap, LocalGuard, ResizeMode};
use seize::Collector;

use crate::endpoint::{Endpoint, Reach, Unlinked};

type Map = HashMap<Box<str>, Arc<Endpoint>, Names>;

/// Hashes names, and takes a known hash for that of a name, so that 8 bytes are enough to name an endpoint.
#[derive(Clone, Default)]
struct Names(foldhash::fast::RandomState);

/// The hasher of [`Names`].
struct NameHasher {
    name: <foldhash::fast::RandomState as BuildHasher>::Hasher,
    known: Option<u64>,
}

/// The name that has this hash, in a look-up.
struct Hashed<'a> {
    hash: u64,
    names: &'a Names,
}

impl BuildHasher for Names {
    type Hasher = NameHasher;

    #[inline(always)]
    fn build_hasher(&self) -> NameHasher {
        NameHasher { name: self.0.build_hasher(), known: None }
    }
}

impl Hasher for NameHasher {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        self.name.write(bytes);
    }

    #[inline(always)]
    fn write_u8(&mut self, byte: u8) {
        self.name.write_u8(byte);
    }

    /// Takes a known hash; a name never writes a `u64`.
    #[inline(always)]
    fn write_u64(&mut self, hash: u64) {
        self.known = Some(hash);
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.known.unwrap_or_else(|| self.name.finish())
    }
}

impl Hash for Hashed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Box<str>> for Hashed<'_> {
    fn equivalent(&self, name: &Box<str>) -> bool {
        self.names.hash_one(&**name) == self.hash
    }
}

/// The endpoints of a registry by name.
pub struct Endpoints(Map, Names);

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
        let names = Names::default();
        let map = HashMap::builder()
            .hasher(names.clone())
            // Step by step, so that no single hit copies all entries, which takes 10 to 30 ms with 100,000 of them.
            // Meanwhile a look-up searches two tables, which takes 22 ns instead of 19.
            .resize_mode(ResizeMode::Incremental(64))
            .collector(Collector::new())
            .build();
        Self(map, names)
    }

    /// A guard: an endpoint that is found under it is not freed.
    #[inline(always)]
    pub fn guard(&self) -> LocalGuard<'_> {
        self.0.guard()
    }

    /// The endpoint of `name`.
    #[inline(always)]
    pub fn get<'g>(&self, name: &str, guard: &'g LocalGuard<'_>) -> Option<Found<'g>> {
        self.0.get(name, guard).map(Found)
    }

    /// The hash of `name`.
    pub fn hash(&self, name: &str) -> u64 {
        self.1.hash_one(name)
    }

    /// The endpoint of the name that has this hash, and the name.
    pub fn get_hashed<'g>(&self, hash: u64, guard: &'g LocalGuard<'_>) -> Option<(&'g str, Found<'g>)> {
        let found = self.0.get_key_value(&Hashed { hash, names: &self.1 }, guard);
        found.map(|(name, endpoint)| (&**name, Found(endpoint)))
    }

    /// All endpoints, in no order.
    pub fn iter<'g>(&self, guard: &'g LocalGuard<'_>) -> impl Iterator<Item = (&'g str, Found<'g>)> {
        self.0.iter(guard).map(|(name, endpoint)| (&**name, Found(endpoint)))
    }

    /// Puts an endpoint in. If the name already has an endpoint, returns that one as `Err`.
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
            // SAFETY: the generation came from `Box::into_raw` and is unlinked, so no later thread finds it. The
            // endpoint had no handle, so a thread that may still see the generation holds a guard of this collector.
            unsafe { guard.defer_retire(generation, seize::reclaim::boxed) };
        }
    }
}
