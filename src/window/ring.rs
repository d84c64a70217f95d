//! The ring that all threads share: one packed word a slot, changed by compare-and-exchange.
//!
//! Use it where many counters are kept, or few threads write to each. Where a few hot counters are written by many
//! threads, [`striped`](crate::window::striped) shares nothing and scales.
//!
//! # Why an exchange
//! `fetch_add` after a look at the lap invents ghosts: the slot may have moved on in between, and the hit lands in a
//! tick in which it never happened; taking it back would show a count that goes down. An exchange whose expected value
//! holds lap *and* count cannot. (Mutants `SlotLoadStore` and `SlotFetchAdd`.)
//!
//! # Remembered sums
//! A query at tick `t` needs the closed ticks (those before `t`) and the one that is still being written. The sum of
//! the closed ticks is remembered, so that a second query in the same tick reads one slot. A hit that still arrives in
//! a closed tick must make the remembered sum void. Reader and writer meet in the slot's word:
//!
//! ```text
//! reader, on a new tick t               writer of tick k, in a ring of n slots
//! ---------------------------------     --------------------------------------------------------
//!    settled == announced? (Acquire)    sealed > k - n?                                (Acquire)
//!    closed := t           (Release)    word = slot                                    (Acquire)
//!    read what leaves the sum           k < closed, or k begins and its slot was
//!    turn over the seal of every        not sealed a lap ago?  announced += 1          (Release)
//!    slot it closes         (AcqRel)    exchange word -> word + amount                 (AcqRel)
//!    sealed := t           (Release)    announced?  settled += 1                       (Release)
//!    remember sum under `announced`
//! ```
//!
//! * If the exchange comes before the seal is turned over, the turning reads the hit: it is in the sum.
//! * If it comes after, the writer's word must have been read after it too, or the exchange would fail on the seal. So
//!   the writer's look at `closed` sees `t`, and it announces the hit before it makes it. (Mutants `RingNoSeal` and
//!   `RingNoAnnounce`.)
//! * `announced` is compared on every recall: a sum that misses an announced hit is never used, not even before that
//!   hit's call returns, so one reader's answers for a time never go down. (Mutant `RingAnnounceLate`.)
//! * Slots that were sealed by an earlier query are read plainly: hits in them have been announced, and those announced
//!   before the sum was begun have settled.
//! * In a new tick the last sum is taken on: plus the slots closed since, minus those that left the span. The slots that
//!   left still hold what the sum has of them, or a hit into them was announced, and then the sum is not used. (Mutant
//!   `RingLeavingUnchecked`.)
//!
//! # Two turnings
//! A seal that is turned over twice looks as it did before, so a writer that stands still meanwhile is not noticed by its
//! exchange. A slot is turned over once a lap: for tick `k - n`, then for `k`, then for `k + n`. The writer of `k` read the
//! word while `k` was open, so the second of two turnings is either that of `k` or that of `k + n`:
//!
//! | turnings behind the writer's read | the word it read is | why no sum is wrong |
//! |---|---|---|
//! | `k - n`, `k` | of an older lap | the writer begins `k`. It read `sealed <= k - n` before the word, or the first turning would lie before its read. So it announces the hit before it makes it. (Mutants `RingBeginsUnannounced`, `RingSealedEarly`) |
//! | `k - n`, `k` | of `k`'s lap | does not happen: a slot of a newer lap is not turned over. (Mutant `RingTurnsNewer`) |
//! | `k`, `k + n` | any | the hit lies in a tick that no sum has any more: what leaves the last sum is read before any slot is turned over for the new one, and a sum that is not replaced is forgotten. (Mutant `RingLeavesLate`) |
//!
//! The price is that of the announcement: the first hit of a tick takes 29 ns instead of 19, where no query came for nearly a lap
//! (`cargo bench --bench figures`). With queries nothing is announced.
//!
//! `closed` and `sealed` never go back, not even over a reset: the table needs that no tick is sealed twice.
//!
//! A query changes nothing for writers but the seal, `closed` and `sealed`: what a hit becomes does not depend on them.
//!
//! # Guarantees
//! | method | progress | steps | a reader beside writers |
//! |---|---|---|---|
//! | `record` | lock-free on every target: a failed exchange means that another hit, or a seal, came in (on targets with load-linked, also a spurious failure) | one exchange uncontended; two more read-modify-writes in a tick a query has closed, and for the first hit of a tick if no query has come for nearly a lap | |
//! | `sum` | wait-free | one slot in a tick already asked for; in a new one a read-modify-write for each tick closed since and a load for each that left the span; at most one of each a slot | sees every hit whose call returned before it began, none that began after it ended; a later reader never sees less |
//! | `cells`, `outcomes` | wait-free | one load a slot | the same, slot by slot |
//! | `reset` | waits for a reader that is remembering (bounded by one pass) | one exchange a slot | drops what returned before it began, keeps what began after it returned |
//!
//! Assumption: a thread that is stopped between two steps is continued some time, or the process ends; nothing waits for
//! it either way, but `reset`.
//!
//! Tests: `tests/models/ring.rs`.

use crate::cell::form::Cell;
use crate::cell::outcome::{Outcome, Outcomes, Tally};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering, Typed, relax};
use crate::time::Tick;
use crate::window::geometry::{Geometry, Place};
use crate::window::remembered::{Key, Remembered, Replacing, Sum};
use crate::window::slots::{Next, Slots, View, exchange, next, reading, view};
use crate::window::{Reading, Span};

/// A ring of slots that any thread may write.
#[derive(Debug)]
pub struct Ring {
    slots: Slots,
    /// Ticks before it are closed. Written by the reader that holds `memory`, once a tick; read by every writer.
    closed: Typed<Tick>,
    memory: Remembered<1>,
    rare: Rare,
}

/// What is not touched by a hit into a tick that already has hits.
#[derive(Debug)]
struct Rare {
    /// Hits into closed ticks that may be about to change a slot. Writers add to it before they do.
    announced: AtomicU64,
    /// Hits into closed ticks that are in their slot, or were refused.
    settled: AtomicU64,
    /// The newest tick with a hit.
    newest: Typed<Tick>,
    /// Exchanges that were lost since a tick was begun.
    lost: AtomicU64,
    tally: Tally,
}

/// So many lost exchanges in a tick say that threads are in each other's way.
const CROWDED: u64 = 256;

/// What became of a short way's exchange.
enum Step {
    Added,
    /// It was not tried: the tick is closed, or has no hits or no room.
    Closed,
    /// The slot held this by then.
    Lost(u64),
}

impl Ring {
    /// A ring without hits.
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            slots: Slots::new(geometry.slots()),
            closed: Typed::new(Tick(0)),
            memory: Remembered::new(),
            rare: Rare {
                announced: AtomicU64::new(0),
                settled: AtomicU64::new(0),
                newest: Typed::new(Tick(0)),
                lost: AtomicU64::new(0),
                tally: Tally::default(),
            },
        }
    }

    /// Counts `amount` hits at `tick`, if that is an open tick that has hits, with room for these: the short way of
    /// [`record`](Self::record). Otherwise it changes nothing.
    ///
    /// What is in line is the one exchange that an uncontended hit needs, and no call that would have to keep its registers.
    #[inline(always)]
    pub fn record_current(&self, geometry: &Geometry, tick: Tick, amount: u64) -> bool {
        let place = geometry.place(tick);
        let slot = self.slots.at(place.index);
        match self.add(geometry, place, slot, tick, amount, slot.load(Ordering::Acquire)) {
            Step::Added => true,
            Step::Closed => false,
            Step::Lost(seen) => self.record_contended(geometry, tick, amount, seen),
        }
    }

    /// As [`record_current`](Self::record_current), after an exchange was lost to `word`.
    #[cold]
    #[inline(never)]
    fn record_contended(&self, geometry: &Geometry, tick: Tick, amount: u64, mut word: u64) -> bool {
        let place = geometry.place(tick);
        let slot = self.slots.at(place.index);
        // The hit that makes the ring crowded takes the long way, so that its caller may act on the crowding.
        while !self.lose() {
            match self.add(geometry, place, slot, tick, amount, word) {
                Step::Added => return true,
                Step::Closed => return false,
                Step::Lost(_) => {
                    // The loser pauses for a moment, so that the cache line passes to and fro less often. The winner and the loser
                    // are two to three times as fast then.
                    relax();
                    word = slot.load(Ordering::Acquire);
                }
            }
        }
        false
    }

    /// Adds `amount` to `word`, which the slot of `tick` held, if the tick is open and has hits and room.
    #[inline(always)]
    fn add(&self, geometry: &Geometry, place: Place, slot: &AtomicU64, tick: Tick, amount: u64, word: u64) -> Step {
        let count = (word & !geometry.seal()).wrapping_sub(place.base);
        let max = geometry.max_count();
        if mutated!(SlotFetchAdd) && (1..=max).contains(&count) {
            slot.fetch_add(amount, Ordering::AcqRel);
            return Step::Added;
        }
        // The order of the loads matters: `closed` after the word. A slot with hits of this tick is turned over once at most
        // while the tick is open (the header's second row), so the exchange notices it.
        let open = count.wrapping_sub(1) < max && amount <= max - count && tick >= self.closed.load(Ordering::Relaxed);
        if !open {
            return Step::Closed;
        }
        match exchange(slot, word, word + amount) {
            Ok(()) => Step::Added,
            Err(seen) => Step::Lost(seen),
        }
    }

    /// Notes a lost exchange; answers whether the ring has just become crowded. In a crowd it only looks: one more word that
    /// all of them write would make it worse.
    #[cold]
    #[inline(never)]
    fn lose(&self) -> bool {
        self.rare.lost.load(Ordering::Relaxed) <= CROWDED && self.rare.lost.fetch_add(1, Ordering::Relaxed) == CROWDED
    }

    /// Whether threads are in each other's way: so many exchanges were lost in the newest tick.
    pub fn is_crowded(&self) -> bool {
        self.rare.lost.load(Ordering::Relaxed) > CROWDED
    }

    /// Counts `amount` hits at `tick`.
    pub fn record(&self, geometry: &Geometry, tick: Tick, amount: u64) -> Outcome {
        if amount == 0 {
            return Outcome::Counted;
        }
        let outcome = self.change(geometry, tick, amount);
        if outcome != Outcome::Counted {
            self.rare.tally.add(outcome, amount);
        }
        outcome
    }

    fn change(&self, geometry: &Geometry, tick: Tick, amount: u64) -> Outcome {
        let place = geometry.place(tick);
        let slot = self.slots.at(place.index);
        // Before the word: if the slot is sealed for the tick a lap ago, the word read below has that turning behind it.
        let sealed = self.memory.sealed();
        let sealed_a_lap_ago = tick.0 < sealed.0.saturating_add(geometry.slots() as u64);
        let mut announced = false;
        let mut word = slot.load(Ordering::Acquire);
        let outcome = loop {
            let (next, before, retired) = match next(geometry, place, word, amount) {
                Next::Not(outcome) => break outcome,
                Next::Word { word, before, retired } => (word, before, retired),
            };
            let begins = before == 0 && !sealed_a_lap_ago && !mutated!(RingBeginsUnannounced);
            let must_announce = begins || tick < self.closed.load(Ordering::Relaxed);
            if !announced && must_announce && !mutated!(RingNoAnnounce) {
                announced = true;
                if !mutated!(RingAnnounceLate) {
                    // unnoticed: the exchange of the slot releases it
                    self.rare.announced.fetch_add(1, Ordering::Release);
                }
            }
            match exchange(slot, word, next) {
                Ok(()) => {
                    if before == 0 {
                        // The slot first, then the tally: a reader takes them the other way round and may miss the
                        // retired hits for a moment, but never sees them twice.
                        self.rare.newest.raise(tick, Ordering::Release);
                        self.rare.lost.store(0, Ordering::Relaxed);
                        if retired != 0 {
                            self.rare.tally.add(Outcome::Counted, retired);
                        }
                    }
                    break Outcome::Counted;
                }
                Err(seen) => {
                    let _ = self.lose();
                    word = seen;
                }
            }
        };
        if announced {
            if mutated!(RingAnnounceLate) {
                self.rare.announced.fetch_add(1, Ordering::Release);
            }
            self.rare.settled.fetch_add(1, Ordering::Release);
        }
        outcome
    }

    /// Notes hits that were refused before they came to the ring.
    pub fn refuse(&self, outcome: Outcome, amount: u64) {
        self.rare.tally.add(outcome, amount);
    }

    /// Reads a word of each cache line but those of the slots.
    pub fn touch(&self) -> usize {
        let words = [&self.rare.announced, &self.rare.lost];
        words.iter().map(|word| word.load(Ordering::Relaxed) as usize).fold(0, usize::wrapping_add)
    }

    /// The newest tick that has a hit.
    pub fn newest(&self) -> Tick {
        self.rare.newest.load(Ordering::Acquire)
    }

    /// The hits of `span`, if they can be had by reading one slot, exactly.
    #[inline]
    pub fn recall(&self, geometry: &Geometry, span: Span) -> Option<u64> {
        // unnoticed: it is compared with an entry that is acquired itself
        let state = [self.rare.announced.load(Ordering::Acquire)];
        let sum = self.memory.recall(Key { span, state })?;
        let open = self.slots.row().read(geometry, sum.open);
        if open.exact { Some(sum.closed + open.count) } else { None }
    }

    /// The hits of `span`; with `remember` the sum is kept for the next query, which must not be for a span that ends
    /// in the future.
    pub fn sum(&self, geometry: &Geometry, span: Span, remember: bool) -> Reading {
        if let Some(count) = self.recall(geometry, span) {
            return Reading::exact(count);
        }
        if remember
            && let Some(replacing) = self.memory.replace()
            && span.to >= replacing.to()
        {
            return self.close(geometry, span, &replacing);
        }
        // A caller that does not remember sums often asks many rings in turn, which are not in the cache.
        self.slots.row().touch();
        self.slots.row().sum(geometry, span)
    }

    /// Sums `span` up, closes the ticks before its last and remembers their sum.
    fn close(&self, geometry: &Geometry, span: Span, replacing: &Replacing<'_, 1>) -> Reading {
        // In this order: `settled` never passes `announced`, so if they are equal nothing was under way when
        // `announced` was read.
        let settled = self.rare.settled.load(Ordering::Acquire);
        // unnoticed: `settled` has acquired the hits that count, and this is compared with it
        let announced = self.rare.announced.load(Ordering::Acquire);
        if span.to > self.closed.load(Ordering::Relaxed) {
            // unnoticed: each turning below releases it
            self.closed.store(span.to, Ordering::Release);
        }
        // Every tick since the last closing, also those before the span, and each once. Not the tick one lap before `to`: its
        // slot is that of `to`.
        let lap_ago = (span.to.0 + 1).saturating_sub(geometry.slots() as u64);
        let sealed = Tick(replacing.sealed().0.max(lap_ago));
        let quiet = settled == announced;
        let last = replacing.extendable_to(span);
        let last = last.filter(|(old, _)| quiet && old.state == [announced] && old.span.to >= sealed);
        // The last sum without the ticks that have left the span. What is read of these is what the sum holds of them, if
        // no hit into a closed tick has been announced meanwhile.
        let staying = || {
            let (old, sum) = last?;
            let leaving = self.slots.row().sum_before(geometry, old.span.first, span.first);
            // unnoticed: asked last and only compared; the slots that leave were acquired
            let unchanged = leaving.exact && self.rare.announced.load(Ordering::Acquire) == announced;
            (unchanged || mutated!(RingLeavingUnchecked)).then(|| sum.closed - leaving.count)
        };
        // Before any slot is turned over: behind the next turning, a hit may come into a tick that leaves, unannounced.
        let mut kept = if mutated!(RingLeavesLate) { None } else { staying() };
        if mutated!(RingSealedEarly) {
            replacing.set_sealed(sealed.max(span.to));
        }
        let mut entering = Reading::NONE;
        for tick in sealed.0..span.to.0 {
            let hits = self.seal(geometry, geometry.place(Tick(tick)));
            if tick >= span.first.0 {
                entering = entering.plus(hits);
            }
        }
        replacing.set_sealed(sealed.max(span.to));
        if mutated!(RingLeavesLate) {
            kept = staying();
        }
        let place = geometry.place(span.to);
        let open = self.slots.row().read(geometry, place);
        let closed = match kept {
            Some(kept) => Reading { count: kept + entering.count, exact: entering.exact },
            None => self.slots.row().sum_before(geometry, span.first, sealed.min(span.to)).plus(entering),
        };
        if closed.exact && quiet {
            replacing.set(Key { span, state: [announced] }, Sum { closed: closed.count, open: place });
        } else {
            replacing.forget();
        }
        closed.plus(open)
    }

    /// Turns over the seal of the slot at `place`, unless it belongs to a newer lap, and reads it in the same step.
    fn seal(&self, geometry: &Geometry, place: Place) -> Reading {
        let slot = self.slots.at(place.index);
        // unnoticed: of a newer word nothing is used, and any other is acquired by the turning
        let seen = slot.load(Ordering::Acquire);
        let is_newer = |word| matches!(view(geometry, place, word), View::Recycled) && !mutated!(RingTurnsNewer);
        if is_newer(seen) || mutated!(RingNoSeal) {
            return reading(geometry, place, seen);
        }
        let word = slot.fetch_xor(geometry.seal(), Ordering::AcqRel);
        if is_newer(word) {
            // The tick a lap later began just now. Its seal goes back to what it was, as if it had not been touched.
            // unnoticed: it says nothing new, and goes on with what others have released
            slot.fetch_xor(geometry.seal(), Ordering::AcqRel);
        }
        reading(geometry, place, word)
    }

    /// The ticks that have hits.
    pub fn cells<'a>(&'a self, geometry: &'a Geometry) -> impl Iterator<Item = Cell> + 'a {
        self.slots.row().cells(geometry)
    }

    /// What became of all hits since the ring was made.
    pub fn outcomes(&self, geometry: &Geometry) -> Outcomes {
        let mut outcomes = self.rare.tally.read();
        for cell in self.cells(geometry) {
            outcomes.add(Outcome::Counted, cell.count);
        }
        outcomes
    }

    /// Forgets all hits, but not what became of them, nor which ticks are closed.
    pub fn reset(&self, geometry: &Geometry) {
        let replacing = loop {
            match self.memory.replace() {
                Some(replacing) => break replacing,
                None => relax(),
            }
        };
        replacing.forget();
        // unnoticed: a hit beside a reset comes before or after it
        self.rare.newest.store(Tick(0), Ordering::Release);
        for index in 0..geometry.slots() {
            // unnoticed: the tally below releases it
            let word = self.slots.at(index).swap(0, Ordering::AcqRel);
            self.rare.tally.add(Outcome::Counted, word & geometry.max_count());
        }
    }

    /// The bytes the ring takes, its own struct included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.slots.bytes()
    }
}
