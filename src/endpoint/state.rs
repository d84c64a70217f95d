//! [`Endpoint`]: its words, and the methods that read them without following the chain.
//!
//! Tests: `tests/registry`, `tests/models/endpoint.rs`.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;

use super::generation::{Generation, Gone, Shared, Word};
use super::outlived::Outlived;
use crate::cell::form::{Cell, Form};
use crate::cell::writer::Writer;
use crate::counter::Counter;
use crate::counter::copied::Copied;
use crate::counter::strategy::Strategy;
use crate::error::ConfigError;
use crate::sketch::uniques::{Parts, Seen, Uniques};
use crate::sync::gate::Gate;
use crate::sync::table::Once;
use crate::sync::{AtomicPtr, AtomicU64, Mutex, Ordering, Typed};
use crate::time::Tick;
use crate::window::sparse::{CROWDED, Sparse};

/// How many cells an endpoint has in line.
#[cfg(not(hitring_model))]
pub const FEW_CELLS: usize = 4;
/// Models need few.
#[cfg(hitring_model)]
pub const FEW_CELLS: usize = 2;

/// The shape that takes an adaptive endpoint's hits, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// A few cells within the endpoint: hits in at most 4 ticks of the window.
    Few,
    /// 16 cells: there were hits in more than 4 ticks.
    Sparse,
    /// A ring: there were hits in more than 16 ticks, or more hits in one tick than a cell holds.
    Ring,
    /// A stripe for each thread: threads were in each other's way.
    Striped,
    /// The strategy that was asked for; the endpoint is not adaptive.
    Asked,
}

/// See the module's header.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) head: AtomicPtr<Generation>,
    pub(super) gate: Gate,
    /// How many handles there are, and two flags.
    pub(super) uses: AtomicU64,
    /// Which of the name's lives this is; a removal begins a life with a higher number.
    pub(super) epoch: u64,
    /// The generation of the cells in line.
    pub(super) first: u64,
    pub(super) few: [AtomicU64; FEW_CELLS],
    /// The first tick that is still known.
    pub(super) forgotten: Typed<Tick>,
    pub(super) rare: Once<Rare>,
}

/// Parts that few endpoints have, so that the others pay only a word for them.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Cells that came from other registries.
    pub(super) others: Once<Mutex<BTreeMap<Writer, Other>>>,
    /// The visitors, if hits were recorded with them.
    pub(super) uniques: Uniques,
    /// The removals elsewhere that it outlived.
    pub(super) outlived: Once<Mutex<Outlived>>,
    /// The endpoints whose handles continue with this one.
    pub(super) formers: Once<Vec<Former>>,
}

/// The cells of another writer.
#[derive(Clone, Debug)]
pub struct Other {
    /// The epoch in which it counted.
    pub epoch: u64,
    /// Its counts.
    pub cells: Copied,
}

// `uses` has another flag: `CROWDED`, which belongs to the cells in line.
pub(super) const LOCKED: u64 = 1 << 63;
pub(super) const ADAPTIVE: u64 = 1 << 62;

impl Endpoint {
    /// An endpoint without hits.
    ///
    /// # Errors
    /// [`ConfigError`] if the strategy does not suit the geometry.
    pub fn new(strategy: &Strategy, epoch: u64, forgotten: Tick, shared: Shared<'_>) -> Result<Self, ConfigError> {
        let adaptive = *strategy == Strategy::Adaptive;
        let endpoint = Self {
            head: AtomicPtr::new(Word::few().0),
            gate: Gate::new(),
            uses: AtomicU64::new(if adaptive { ADAPTIVE } else { 0 }),
            epoch,
            first: shared.next_generation(),
            few: std::array::from_fn(|_| AtomicU64::new(0)),
            forgotten: Typed::new(forgotten),
            rare: Once::new(),
        };
        if !adaptive {
            let generation = Generation::boxed(Counter::new(strategy, shared.geometry)?, ptr::null_mut(), shared);
            // `Relaxed`: no other thread knows the endpoint yet.
            endpoint.head.store(Box::into_raw(generation), Ordering::Relaxed);
        }
        Ok(endpoint)
    }

    /// Which of the name's lives this is.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The first tick that is still known.
    pub fn forgotten(&self) -> Tick {
        // unnoticed: only the value is used, after the cells were acquired
        self.forgotten.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(super) fn in_line(&self) -> Sparse<'_> {
        Sparse { words: &self.few, forgotten: &self.forgotten, marks: &self.uses }
    }

    /// Why no hits are taken any more, if so.
    pub fn gone(&self) -> Option<Gone> {
        self.word().gone()
    }

    /// The first word. Only its tags may be used.
    pub(super) fn word(&self) -> Word {
        // unnoticed: the tags are in the word itself, and nothing behind it is read
        Word(self.head.load(Ordering::Acquire))
    }

    pub(super) fn exchange(&self, seen: Word, new: Word) -> bool {
        // unnoticed: `seen` was acquired when it was read; `Acquire` is for a head that changed and came back
        self.head.compare_exchange(seen.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether the strategy is adaptive.
    pub fn is_adaptive(&self) -> bool {
        // unnoticed: only the flag is used, and the head orders it against the generations
        self.uses.load(Ordering::Acquire) & ADAPTIVE != 0
    }

    /// Takes in cells of another writer. Merging the same again changes nothing.
    pub fn merge(&self, writer: Writer, epoch: u64, form: Form, cells: &[Cell], dropped: &[Tick]) {
        let others = &self.rare.get_or_make(Rare::default).others;
        let mut others = others.get_or_make(|| Mutex::new(BTreeMap::new())).lock();
        let other = others.entry(writer).or_insert_with(|| Other { epoch, cells: Copied::new(form) });
        // Version 1 of a snapshot gives the epoch of the endpoint that held the cells, which may be a later one.
        other.epoch = other.epoch.min(epoch);
        other.cells.merge(cells, dropped);
    }

    pub(super) fn others(&self) -> Option<&Mutex<BTreeMap<Writer, Other>>> {
        self.rare.get()?.others.get()
    }

    #[inline]
    pub(super) fn outlived(&self) -> Option<&Mutex<Outlived>> {
        self.rare.get()?.outlived.get()
    }

    /// The first tick in which the endpoint's own hits count.
    pub fn removed_before(&self) -> Tick {
        self.outlived().map_or(Tick(0), |outlived| outlived.lock().before())
    }

    /// Notes that the item of `hash` came at `tick`.
    pub fn see(&self, parts: Parts, tick: Tick, hash: u64) {
        // A visitor that is too late here was counted as a hit all the same, as the parts reach further back than the
        // ring.
        let _ = self.rare.get_or_make(Rare::default).uniques.add(parts, tick, hash);
    }

    /// The visitors, if any hit was recorded with one.
    pub fn uniques(&self) -> Option<&Uniques> {
        Some(&self.rare.get()?.uniques)
    }

    /// Takes in the visitors of another registry's endpoint. Taking them in again changes nothing.
    pub fn join_uniques(&self, parts: Parts, seen: &[Seen]) {
        if !seen.is_empty() {
            self.rare.get_or_make(Rare::default).uniques.join(parts, seen);
        }
    }

    /// Notes that ticks before `forgotten` are not known.
    pub fn forget_before(&self, forgotten: Tick) {
        // unnoticed: the exchange that unlinks a generation releases it
        self.forgotten.raise(forgotten, Ordering::Release);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let mut next = self.word().chain();
        while !next.is_null() {
            // SAFETY: `&mut self`: no other thread uses the chain, and its generations came from `Box::into_raw`.
            next = unsafe { Box::from_raw(next) }.into_next();
        }
    }
}

// SAFETY: the chain is owned like a `Box`, and is only changed through atomics.
unsafe impl Send for Endpoint {}
// SAFETY: as above; counters are `Sync`.
unsafe impl Sync for Endpoint {}

/// How many handles `uses` says there are.
pub(super) fn handles(uses: u64) -> u64 {
    uses & !(LOCKED | ADAPTIVE | CROWDED)
}

/// An endpoint whose handles were taken over.
#[derive(Debug)]
pub(super) struct Former {
    /// Its first generation, which no other endpoint of the registry has.
    pub(super) number: u64,
    /// The endpoint, as long as it has handles.
    pub(super) used: Mutex<Option<Arc<Endpoint>>>,
}
