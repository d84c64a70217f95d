//! What is counted under one name: a chain of generations, of which one takes the hits.
//!
//! ```text
//! head --> Generation 7 (ring) --> Generation 3 (16 cells) --> end        the first takes the hits
//! head --> few cells in line,      Generation 7 --> Generation 3          with FEW set: the cells in line take them
//! ```
//!
//! A swap, a promotion and a demotion are one exchange of `head`. The hits stay where they are: every query adds up the
//! cells in line and all generations, each hit is in exactly one of them, and nothing is ever moved. A generation leaves
//! the chain when all its hits have left the window.
//!
//! | head | hits go to | who moves it |
//! |---|---|---|
//! | generation | it | swap, promotion: to a new generation in front of it |
//! | chain, `FEW` | the cells in line | a hit that finds them full: to a new generation in front of the chain |
//! | `REMOVED` set | nowhere; the endpoint is gone | remove, prune, for good |
//! | `REPLACED` set | the endpoint that the restore put in its place, as long as that is there (`heir.rs`) | restore, for good |
//!
//! # Two ways in
//! The **short way** adds to a tick that has hits already, in the generation that `head` names. The **long way** brings new
//! ticks; it passes the `Gate` first and reads `head` behind it.
//!
//! # When a generation may go
//! A thread that read `head` long ago may still write to a generation that has been swapped out. It is dropped when
//! 1. it is not the first any more, and the gate was seen empty after that: nobody who may know it is on the long way;
//! 2. all its hits lie at least one ring behind. The short way adds only to ticks that have hits, so what a straggler may
//!    still bring lies as far behind.
//!
//! So no other thread's ring is ever frozen, folded or emptied, striped ones included. An idle endpoint is dropped by the
//! same rule, with the gate sealed: a hit that comes too late is turned away and goes to a new endpoint of the name.
//! (Mutants `EndpointDropsUnseen`, `EndpointDropsInside`.)
//!
//! # Memory
//! Dropping from the chain frees nothing: short ways and readers may still be inside. A thread that comes by name holds a
//! guard of the registry's collector, which waits for it. A thread that comes by a handle holds none, so nothing is
//! unlinked while there is a handle: `uses` counts the handles, and unlinking locks it at 0. Every method that follows a
//! pointer of the chain is a method of [`Reach`], the proof of the one or the other.
//!
//! # Guarantees
//! | method | progress | steps |
//! |---|---|---|
//! | `record_current` | that of the strategy | two loads more |
//! | `record` | that of the strategy, and lock-free over swaps: it starts again when another thread changed `head` | two read-modify-writes more |
//! | `sum`, `cells`, `newest` | that of the strategies; one lock where hits of other registries were merged in | the cells in line and one load a generation more |
//! | `acquire` | waits while generations are being unlinked (bounded by the chain) | one read-modify-write |
//! | all others | lock-free | |

mod heir;
mod leaving;
mod outlived;
mod reach;
mod reading;

use std::collections::BTreeMap;
use std::ptr;

pub use reach::{Generation, Reach, Unlinked};

use self::heir::Former;
use self::outlived::Outlived;
use self::reach::{Head, Word};
use crate::cell::form::{Cell, Form};
use crate::cell::outcome::{Outcome, Tally};
use crate::cell::writer::Writer;
use crate::counter::Counter;
use crate::counter::copied::Copied;
use crate::counter::query::{Query, When};
use crate::counter::strategy::Strategy;
use crate::error::ConfigError;
use crate::sketch::uniques::{Parts, Seen, Uniques};
use crate::sync::gate::Gate;
use crate::sync::mutant::mutated;
use crate::sync::table::Once;
use crate::sync::{AtomicPtr, AtomicU64, Mutex, Ordering, Typed};
use crate::time::Tick;
use crate::window::geometry::Geometry;
use crate::window::sparse::{Added, CROWDED, Sparse};

/// How many cells an endpoint has in line.
#[cfg(not(hitring_model))]
pub const FEW_CELLS: usize = 4;
/// Models need few.
#[cfg(hitring_model)]
pub const FEW_CELLS: usize = 2;

/// What all endpoints of a registry share.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// The layout of all counters.
    pub geometry: &'a Geometry,
    /// Where hits are noted that no counter holds any more, or ever held.
    pub tally: &'a Tally,
    /// The next generation's number.
    pub generations: &'a AtomicU64,
}

impl Shared<'_> {
    fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// The first input tick of `counter` in the tick `tick` of the resolution.
    fn input(&self, counter: &Counter, tick: Tick) -> Tick {
        counter.input(self.geometry).tick(self.geometry.resolution().start(tick))
    }

    /// The tick of the resolution in which the input tick `tick` of `counter` lies.
    fn tick(&self, counter: &Counter, tick: Tick) -> Tick {
        self.geometry.resolution().tick(counter.input(self.geometry).start(tick))
    }
}

/// The endpoint takes no hits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was removed or pruned.
    Removed,
    /// The registry was restored, and put another one of the name in its place.
    Replaced,
}

/// What takes an adaptive endpoint's hits, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// A few cells within the endpoint: hits in at most 4 ticks of the window.
    Few,
    /// 16 cells: there were hits in more than 4 ticks.
    Sparse,
    /// A ring: there were hits in more than 16 ticks, or more in one than a cell holds.
    Ring,
    /// A stripe for each thread: threads were in each other's way.
    Striped,
    /// What was asked for; the endpoint is not adaptive.
    Asked,
}

/// See the module's header.
#[derive(Debug)]
pub struct Endpoint {
    head: AtomicPtr<Generation>,
    gate: Gate,
    /// How many handles there are, and two flags.
    uses: AtomicU64,
    /// Which of the name's lives this is: removing begins a higher one.
    epoch: u64,
    /// The generation of the cells in line.
    first: u64,
    few: [AtomicU64; FEW_CELLS],
    /// The first tick that is still known.
    forgotten: Typed<Tick>,
    rare: Once<Rare>,
}

/// What few endpoints have, so that the others pay a word for it.
#[derive(Debug, Default)]
struct Rare {
    /// Cells that came from other registries.
    others: Once<Mutex<BTreeMap<Writer, Other>>>,
    /// Who came, where that was said.
    uniques: Uniques,
    /// The removals elsewhere that it outlived.
    outlived: Once<Mutex<Outlived>>,
    /// The endpoints whose handles go on here.
    formers: Once<Vec<Former>>,
}

/// The cells of another writer.
#[derive(Clone, Debug)]
pub struct Other {
    /// In which it counted.
    pub epoch: u64,
    /// What it counted.
    pub cells: Copied,
}

const FEW: usize = 1;
const REMOVED: usize = 2;
const REPLACED: usize = 4;
const TAGS: usize = FEW | REMOVED | REPLACED;

// Beside them in `uses`: `CROWDED` of the cells in line.
const LOCKED: u64 = 1 << 63;
const ADAPTIVE: u64 = 1 << 62;

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
        // unnoticed: the value alone is used, after the cells were acquired
        self.forgotten.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn in_line(&self) -> Sparse<'_> {
        Sparse { words: &self.few, forgotten: &self.forgotten, marks: &self.uses }
    }

    /// Why no hits are taken any more, if so.
    pub fn gone(&self) -> Option<Gone> {
        self.word().gone()
    }

    /// The first word, of which only the tags are looked at.
    fn word(&self) -> Word {
        // unnoticed: the tags are in the word itself, and nothing behind it is read
        Word(self.head.load(Ordering::Acquire))
    }

    fn exchange(&self, seen: Word, new: Word) -> bool {
        // unnoticed: `seen` was acquired when it was read; it stays for a head that came back meanwhile
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
        // Version 1 of a snapshot says the epoch of the endpoint that held the cells, which may be a later one.
        other.epoch = other.epoch.min(epoch);
        other.cells.merge(cells, dropped);
    }

    fn others(&self) -> Option<&Mutex<BTreeMap<Writer, Other>>> {
        self.rare.get()?.others.get()
    }

    #[inline]
    fn outlived(&self) -> Option<&Mutex<Outlived>> {
        self.rare.get()?.outlived.get()
    }

    /// The first tick of which the endpoint's own hits count.
    pub fn removed_before(&self) -> Tick {
        self.outlived().map_or(Tick(0), |outlived| outlived.lock().before())
    }

    /// Notes that the item of `hash` came at `tick`.
    pub fn see(&self, parts: Parts, tick: Tick, hash: u64) {
        // What is late here was counted as a hit all the same: the parts reach further back than the ring.
        let _ = self.rare.get_or_make(Rare::default).uniques.add(parts, tick, hash);
    }

    /// Who came, if that was ever said.
    pub fn uniques(&self) -> Option<&Uniques> {
        Some(&self.rare.get()?.uniques)
    }

    /// Takes in who came to another registry's endpoint. Taking it in again changes nothing.
    pub fn join_uniques(&self, parts: Parts, seen: &[Seen]) {
        if !seen.is_empty() {
            self.rare.get_or_make(Rare::default).uniques.join(parts, seen);
        }
    }

    /// Notes that ticks before `forgotten` are not known.
    pub fn forget_before(&self, forgotten: Tick) {
        // unnoticed: what unlinks a generation releases it
        self.forgotten.raise(forgotten, Ordering::Release);
    }
}

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

    /// Grows: the next larger shape in front of what was full, or the ring at once where threads were in each other's way.
    /// Whoever is quicker wins.
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

    /// Puts a new generation in front, if `head` is still what it was.
    fn push(self, head: Head<'_>, counter: Counter, shared: Shared<'_>) -> bool {
        let former = if mutated!(EndpointSwapForgets) { ptr::null_mut() } else { head.chain() };
        let generation = Box::into_raw(Generation::boxed(counter, former, shared));
        let pushed = self.exchange(*head, Word(generation));
        if !pushed {
            // SAFETY: the exchange failed, so nobody else has ever seen it.
            drop(unsafe { Box::from_raw(generation) });
        }
        pushed
    }

    /// The strategy that was asked for.
    pub fn strategy(self) -> Strategy {
        let first = self.first(self.head()).filter(|_| !self.is_adaptive());
        first.map_or(Strategy::Adaptive, |generation| generation.counter().strategy())
    }

    /// What takes the hits, and why.
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

    /// Lets a new generation of `strategy` take the hits. Answers what it was before, or `None` if it is that already.
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
            // The flag is off before a ring is put in front that must not grow, and on after.
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

    /// Lets the cells in line take the hits of an adaptive endpoint again, if they would do for those of the last
    /// window; answers whether it did.
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

    /// Whether there is a former generation whose hits all lie at least one ring behind `horizon`.
    pub fn has_former_behind(self, shared: Shared<'_>, horizon: impl FnOnce() -> Tick) -> bool {
        let current = usize::from(!self.head().has(FEW));
        let mut former = self.generations().skip(current).peekable();
        former.peek().is_some() && {
            let horizon = horizon();
            former.any(|generation| generation.is_behind(shared, horizon))
        }
    }

    /// Reads the endpoint's first word. A walk over many endpoints asks for that of several at once, so that it waits for
    /// memory only once.
    pub fn touch(self) -> usize {
        self.head().0.addr()
    }

    /// The same for the current generation, which lies behind that word.
    pub fn touch_generation(self) -> usize {
        self.first(self.head()).map_or(0, |generation| generation.counter().touch())
    }
}

impl Generation {
    fn is_behind(&self, shared: Shared<'_>, horizon: Tick) -> bool {
        let newest = shared.tick(self.counter(), self.counter().newest(shared.geometry));
        is_behind(newest, shared.geometry, horizon)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let mut next = self.word().chain();
        while !next.is_null() {
            // SAFETY: `&mut self`: nobody else is here, and what is in the chain came from `Box::into_raw`.
            next = unsafe { Box::from_raw(next) }.into_next();
        }
    }
}

// SAFETY: the chain is owned like a `Box`, and is only changed through atomics.
unsafe impl Send for Endpoint {}
// SAFETY: as above; counters are `Sync`.
unsafe impl Sync for Endpoint {}

fn is_behind(newest: Tick, geometry: &Geometry, horizon: Tick) -> bool {
    newest.0 + geometry.slots() as u64 <= horizon.0
}

/// The last tick of the resolution that a cell at `tick` may have hits of; 0 where there is no cell.
fn last_tick(form: Form, tick: Tick, geometry: &Geometry) -> Tick {
    if tick.0 == 0 { tick } else { form.ticks(tick, geometry.resolution()).1 }
}
