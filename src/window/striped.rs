//! One single-writer ring for each live thread, summed on read. The default of `HitCounter`.
//!
//! Recording shares nothing with other threads, so it costs the same on one core and on many. Do not use it for very
//! many counters that many threads touch: each pair of counter and thread has a ring of its own.
//!
//! ```text
//! thread id --> table --> Stripe (owner: that thread)        sum = stripe 0 + stripe 1 + ... + shared
//! no id ----------------> shared Ring
//! ```
//!
//! * A thread's stripe is made at its first hit. When the thread ends, the next new thread takes over its id, and so its stripe
//!   with the counts; stripes are never folded, moved or emptied by another thread.
//! * A thread that has no id (a destructor of a thread-local ran after the id was given back, or more than 65,536
//!   threads are alive) records into a shared [`Ring`].
//! * Late is decided by the stripe: a thread that runs behind may still count a hit whose tick is recycled in another
//!   stripe. A query over such a tick is expired as soon as one stripe has recycled it.
//!
//! # Guarantees
//! | method | progress | steps |
//! |---|---|---|
//! | `record` of a thread with an id and a stripe | wait-free on every target | see [`Stripe::record`]; two loads to find the stripe |
//! | `record`, first of a thread on this counter | wait-free but for the allocator | making a stripe |
//! | `record` without an id | lock-free | see [`Ring::record`] |
//! | `sum`, `cells`, `outcomes` | wait-free | as for one stripe, times the stripes |
//! | `reset` | wait-free for stripes; as [`Ring::reset`] where a shared ring is in use | one addition |
//!
//! A reader beside writers sees every hit whose call returned before it began and none that began after it ended, and
//! a later reader never sees less. While no thread writes, the count is exact.
//!
//! Tests: `tests/models/striped.rs`.

use crate::cell::form::Cell;
use crate::cell::outcome::{Outcome, Outcomes};
use crate::sync::table::{Once, Table};
use crate::sync::threads;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Tick;
use crate::window::geometry::Geometry;
use crate::window::ring::Ring;
use crate::window::stripe::Stripe;
use crate::window::{Reading, Span};

/// A counter with a stripe for each thread.
#[derive(Debug)]
pub struct Striped {
    /// Which life of the counter this is; a reset begins the next.
    generation: AtomicU64,
    stripes: Table<Stripe>,
    /// Made when a thread without an id records.
    shared: Once<Ring>,
}

impl Default for Striped {
    fn default() -> Self {
        Self::new()
    }
}

impl Striped {
    /// A counter without hits.
    pub fn new() -> Self {
        Self { generation: AtomicU64::new(0), stripes: Table::new(), shared: Once::new() }
    }

    /// Counts `amount` hits at `tick`, if this thread has a stripe, `tick` is current in it and has room: the short way
    /// of [`record`](Self::record). Otherwise it changes nothing.
    #[inline(always)]
    pub fn record_current(&self, geometry: &Geometry, tick: Tick, amount: u64) -> bool {
        let generation = self.generation.load(Ordering::Acquire);
        match threads::cached().and_then(|id| self.stripes.near(id)) {
            Some(stripe) => stripe.record_current(geometry, generation, tick, amount),
            None => false,
        }
    }

    /// Counts `amount` hits at `tick`.
    #[inline(never)]
    pub fn record(&self, geometry: &Geometry, tick: Tick, amount: u64) -> Outcome {
        match threads::current() {
            Some(id) => self.record_as(geometry, id, tick, amount),
            None => self.shared(geometry).record(geometry, tick, amount),
        }
    }

    /// Counts `amount` hits at `tick` as the thread that owns `id`.
    pub fn record_as(&self, geometry: &Geometry, id: usize, tick: Tick, amount: u64) -> Outcome {
        // unnoticed: a hit beside a reset counts before or after it; the number alone is used
        let generation = self.generation.load(Ordering::Acquire);
        match self.stripes.get(id) {
            Some(stripe) => stripe.record(geometry, generation, tick, amount),
            None => match self.stripes.get_or_insert_with(id, || Stripe::new(geometry, generation)) {
                Some(stripe) => stripe.record(geometry, generation, tick, amount),
                None => self.shared(geometry).record(geometry, tick, amount),
            },
        }
    }

    fn shared(&self, geometry: &Geometry) -> &Ring {
        self.shared.get_or_make(|| Ring::new(geometry))
    }

    /// Notes hits that were refused before they came to a stripe.
    pub fn refuse(&self, geometry: &Geometry, outcome: Outcome, amount: u64) {
        let generation = self.generation.load(Ordering::Acquire);
        match threads::current()
            .and_then(|id| self.stripes.get_or_insert_with(id, || Stripe::new(geometry, generation)))
        {
            Some(stripe) => {
                let _ = stripe.refuse(outcome, amount);
            }
            None => self.shared(geometry).refuse(outcome, amount),
        }
    }

    /// The newest tick that has a hit.
    pub fn newest(&self) -> Tick {
        let generation = self.generation.load(Ordering::Acquire);
        let stripes = self.stripes.iter().map(|stripe| stripe.newest(generation));
        stripes.chain(self.shared.get().into_iter().map(Ring::newest)).max().unwrap_or_default()
    }

    /// The hits of `span`, if they can be had by reading one slot a stripe, exactly, and no shared ring is in use.
    #[inline]
    pub fn recall(&self, geometry: &Geometry, span: Span) -> Option<u64> {
        // unnoticed: a reader beside a reset is before or after it, and each stripe is asked for its own number
        let generation = self.generation.load(Ordering::Acquire);
        if self.shared.get().is_some() {
            return None;
        }
        if self.stripes.len() == 1 {
            return self.stripes.near(0)?.recall(geometry, generation, span);
        }
        self.recall_all(geometry, generation, span)
    }

    #[inline(never)]
    fn recall_all(&self, geometry: &Geometry, generation: u64, span: Span) -> Option<u64> {
        let mut count = 0;
        for id in 0..self.stripes.len() {
            if let Some(stripe) = self.stripes.get(id) {
                count += stripe.recall(geometry, generation, span)?;
            }
        }
        Some(count)
    }

    /// The hits of `span`; with `remember` the sums are kept for the next query, which must not be for a span that ends
    /// in the future.
    pub fn sum(&self, geometry: &Geometry, span: Span, remember: bool) -> Reading {
        // unnoticed: as in `recall`
        let generation = self.generation.load(Ordering::Acquire);
        let stripes = self.stripes.iter().map(|stripe| stripe.sum(geometry, generation, span, remember));
        let shared = self.shared.get().into_iter().map(|ring| ring.sum(geometry, span, remember));
        stripes.chain(shared).fold(Reading::NONE, Reading::plus)
    }

    /// The ticks that have hits, stripe by stripe: a tick may come several times.
    pub fn cells<'a>(&'a self, geometry: &'a Geometry) -> impl Iterator<Item = Cell> + 'a {
        // unnoticed: as in `recall`
        let generation = self.generation.load(Ordering::Acquire);
        let stripes = self.stripes.iter().flat_map(move |stripe| stripe.cells(geometry, generation));
        stripes.chain(self.shared.get().into_iter().flat_map(|ring| ring.cells(geometry)))
    }

    /// What became of all hits since the counter was made.
    pub fn outcomes(&self, geometry: &Geometry) -> Outcomes {
        let stripes = self.stripes.iter().map(|stripe| stripe.outcomes(geometry));
        stripes
            .chain(self.shared.get().into_iter().map(|ring| ring.outcomes(geometry)))
            .fold(Outcomes::default(), Outcomes::plus)
    }

    /// Forgets all hits, but not what became of them. Each stripe is emptied by its owner's next hit.
    pub fn reset(&self, geometry: &Geometry) {
        // unnoticed: a new number is all that a reset says; the owners empty their stripes themselves
        self.generation.fetch_add(1, Ordering::AcqRel);
        if let Some(ring) = self.shared.get() {
            ring.reset(geometry);
        }
    }

    /// The bytes the counter takes.
    pub fn bytes(&self) -> usize {
        let stripes: usize = self.stripes.iter().map(Stripe::bytes).sum();
        size_of::<Self>() + stripes + self.shared.get().into_iter().map(Ring::bytes).sum::<usize>()
    }
}
