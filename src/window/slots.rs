//! Slots: one 64-bit word for each tick of the ring, and the states it goes through.
//!
//! ```text
//! 63                    34  33   32                     0      (320 slots of a second)
//! +-----------------------+----+-----------------------+
//! |          lap          |seal|         count         |
//! +-----------------------+----+-----------------------+
//! ```
//!
//! With `L` the lap of the tick that is recorded or asked for:
//!
//! | word's lap | the slot is | a hit | a query of that tick |
//! |---|---|---|---|
//! | `< L` | older, or never used | makes it `L`, count = amount; the old lap's count is retired | 0 hits |
//! | `= L` | this tick's | adds its amount, or is `Saturated` and changes nothing | the count |
//! | `> L` | recycled | is `Late` and changes nothing | not known: expired |
//!
//! Stamp and count share one word because two words for one fact lose hits: between the change of the one and of the
//! other, another thread sees a count under the wrong stamp. A count never carries into the lap, since a hit that does
//! not fit is refused whole. A lap never goes down and, within a lap, a count never goes down: no word ever shows a
//! value that is taken back.
//!
//! The seal is not part of the value. Readers of a shared ring turn it over to make a writer notice that the tick was closed (see
//! `ring.rs`). All other code masks it.
//!
//! The array begins at a cache line, so that no neighbour's writes slow it down.
//!
//! Tests: below, `tests/models/slot.rs`.

use crate::cell::form::Cell;
use crate::cell::outcome::Outcome;
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering, pause};
use crate::time::Tick;
use crate::window::geometry::{Geometry, Place};
use crate::window::{Reading, Span};

#[cfg(not(hitring_model))]
const LINE_WORDS: usize = 8;
/// A checked atomic is larger, and where it lies is of no interest.
#[cfg(hitring_model)]
const LINE_WORDS: usize = 1;

/// A word seen from a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The slot belongs to an older lap, which had this many hits.
    Older(u64),
    /// The slot belongs to the tick and has this many hits.
    Ours(u64),
    /// The slot belongs to a newer lap.
    Recycled,
}

/// What `word` is for the tick that `place` belongs to.
#[inline]
pub fn view(geometry: &Geometry, place: Place, word: u64) -> View {
    let word = word & !geometry.seal();
    let count = word.wrapping_sub(place.base);
    if count <= geometry.max_count() {
        View::Ours(count)
    } else if word < place.base {
        View::Older(word & geometry.max_count())
    } else {
        View::Recycled
    }
}

/// What `word` tells of the tick that `place` belongs to.
#[inline]
pub fn reading(geometry: &Geometry, place: Place, word: u64) -> Reading {
    match view(geometry, place, word) {
        View::Ours(count) => Reading::exact(count),
        View::Older(_) => Reading::NONE,
        View::Recycled => Reading { count: 0, exact: false },
    }
}

/// The slots of one ring.
#[derive(Debug)]
pub struct Slots {
    lines: Box<[Line]>,
}

/// Slots that share a cache line.
#[derive(Debug)]
#[cfg_attr(not(hitring_model), repr(C, align(64)))]
#[cfg_attr(hitring_model, repr(C))]
struct Line([AtomicU64; LINE_WORDS]);

// Nothing lies between the slots of two lines, so the lines are one array of slots.
const _: () = assert!(size_of::<Line>() == LINE_WORDS * size_of::<AtomicU64>());

impl Slots {
    /// `len` slots that were never used, and some more to fill up the last cache line.
    pub fn new(len: usize) -> Self {
        let line = |_| Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { lines: (0..len.div_ceil(LINE_WORDS)).map(line).collect() }
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: a line is `repr(C)` and nothing but its words (asserted above), so `n` lines are `n * LINE_WORDS`
        // words, as long and as aligned.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE_WORDS) }
    }

    /// The slot at `index`.
    #[inline]
    pub fn at(&self, index: usize) -> &AtomicU64 {
        &self.words()[index]
    }

    /// All of them.
    #[inline]
    pub fn row(&self) -> Row<'_> {
        Row(self.words())
    }

    /// The bytes of the slots.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }
}

/// The slots of a ring, wherever they lie: in memory of its own, or in a file that processes share.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a>(pub &'a [AtomicU64]);

/// What hits would make of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The slot is to hold this word.
    Word {
        /// The word.
        word: u64,
        /// The hits that the tick had before.
        before: u64,
        /// The hits of an older lap that go.
        retired: u64,
    },
    /// The slot stays as it is, for this reason.
    Not(Outcome),
}

/// What `amount` hits of the tick at `place` make of a slot that holds `word`.
#[inline]
pub fn next(geometry: &Geometry, place: Place, word: u64, amount: u64) -> Next {
    let (before, retired) = match view(geometry, place, word) {
        View::Older(retired) => (0, retired),
        View::Ours(count) => (count, 0),
        View::Recycled => return Next::Not(Outcome::Late),
    };
    if amount > geometry.max_count() - before {
        return Next::Not(Outcome::Saturated);
    }
    Next::Word { word: place.base | (word & geometry.seal()) | (before + amount), before, retired }
}

/// Replaces `word` by `next` in `slot`, or answers what is there instead.
#[inline(always)]
pub fn exchange(slot: &AtomicU64, word: u64, next: u64) -> Result<(), u64> {
    if mutated!(SlotLoadStore) {
        slot.store(next, Ordering::Release);
        return Ok(());
    }
    // unnoticed: success, where the word was acquired when it was read, or is all that is used
    slot.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire).map(|_| ())
}

impl<'a> Row<'a> {
    /// The slot at `index`.
    #[inline]
    pub fn at(self, index: usize) -> &'a AtomicU64 {
        &self.0[index]
    }

    /// The count of the tick whose place is `place`.
    #[inline]
    pub fn read(self, geometry: &Geometry, place: Place) -> Reading {
        reading(geometry, place, self.at(place.index).load(Ordering::Acquire))
    }

    /// The counts of the ticks `first .. end`, at most as many as the ring has slots.
    pub fn sum_before(self, geometry: &Geometry, first: Tick, end: Tick) -> Reading {
        if first < end { self.sum(geometry, Span { first, to: Tick(end.0 - 1) }) } else { Reading::NONE }
    }

    /// The counts of the ticks of `span`, which is at most as long as the ring.
    ///
    /// One load a tick, in two runs of constant lap, without a branch that depends on the words. `Acquire`: a reader that saw a hit
    /// also sees what the hit's writer announced before it.
    #[inline]
    pub fn sum(self, geometry: &Geometry, span: Span) -> Reading {
        debug_assert!(span.len() <= geometry.slots() as u64, "a span is at most as long as the ring");
        let start = geometry.place(span.first);
        let len = span.len() as usize;
        let before_wrap = len.min(geometry.slots() - start.index);
        let lap = geometry.base(1);
        self.run(geometry, start, before_wrap).plus(self.run(
            geometry,
            Place { index: 0, base: start.base + lap },
            len - before_wrap,
        ))
    }

    /// Adds the count of each tick of `span`, which is at most as long as the ring, to the element of `sums` at the same distance
    /// from the first.
    #[cfg(feature = "cli")]
    pub fn add_to(self, geometry: &Geometry, span: Span, sums: &mut [u64]) {
        let start = geometry.place(span.first);
        let before_wrap = sums.len().min(geometry.slots() - start.index);
        let (keep, max) = (!geometry.seal(), geometry.max_count());
        let (first, second) = sums.split_at_mut(before_wrap);
        let add = |sums: &mut [u64], start: Place| {
            for (sum, word) in sums.iter_mut().zip(&self.0[start.index..]) {
                let count = (word.load(Ordering::Acquire) & keep).wrapping_sub(start.base);
                *sum = sum.saturating_add(if count <= max { count } else { 0 });
            }
        };
        add(first, start);
        add(second, Place { index: 0, base: start.base + geometry.base(1) });
    }

    #[inline]
    fn run(self, geometry: &Geometry, start: Place, len: usize) -> Reading {
        let (keep, max) = (!geometry.seal(), geometry.max_count());
        // Four of each, so that no addition or comparison waits for the one before. No sum overflows: all slots
        // together hold at most `i64::MAX`.
        let (mut sums, mut newest) = ([0u64; 4], [0u64; 4]);
        let (fours, rest) = self.0[start.index..start.index + len].as_chunks::<4>();
        let mut add = |lane: usize, word: &AtomicU64| {
            let word = word.load(Ordering::Acquire) & keep;
            let count = word.wrapping_sub(start.base);
            sums[lane] += if count <= max { count } else { 0 };
            newest[lane] = newest[lane].max(word);
        };
        for four in fours {
            for (lane, word) in four.iter().enumerate() {
                add(lane, word);
            }
        }
        for word in rest {
            add(0, word);
        }
        let newest = newest.into_iter().fold(0, u64::max);
        Reading { count: sums.iter().sum(), exact: newest <= start.base + max }
    }

    /// Every tick that has hits, in the order of the slots.
    pub fn cells(self, geometry: &'a Geometry) -> impl Iterator<Item = Cell> + 'a {
        (0..geometry.slots()).filter_map(move |index| {
            let word = self.at(index).load(Ordering::Acquire);
            let count = word & geometry.max_count();
            if count == 0 { None } else { Some(Cell { tick: geometry.tick(index, word), count }) }
        })
    }

    /// Reads a word of each cache line: a processor waits for more of these at a time than of the lines of a sum, which it
    /// has to add up on the way.
    pub fn touch(self) {
        if cfg!(hitring_model) {
            return; // The values of these loads are not used, and a model would have to try each.
        }
        let words = self.0.iter().step_by(LINE_WORDS);
        let touched = words.map(|word| word.load(Ordering::Relaxed)).fold(0, u64::wrapping_add);
        std::hint::black_box(touched);
    }

    /// Counts `amount` hits at `tick`, where sums are not remembered: lock-free, an exchange is lost only to another hit.
    #[inline]
    pub fn add(self, geometry: &Geometry, tick: Tick, amount: u64) -> Outcome {
        let place = geometry.place(tick);
        let slot = self.at(place.index);
        // `Relaxed`: only the word is used, and the exchange confirms it.
        let mut seen = slot.load(Ordering::Relaxed);
        loop {
            match next(geometry, place, seen, amount) {
                Next::Not(outcome) => return outcome,
                Next::Word { word, .. } => match exchange(slot, seen, word) {
                    Ok(()) => return Outcome::Counted,
                    Err(_) => {
                        // The loser pauses for a moment, so that the cache line passes to and fro less often.
                        pause();
                        seen = slot.load(Ordering::Relaxed);
                    }
                },
            }
        }
    }

    /// What [`add`](Self::add) would answer.
    pub fn would(self, geometry: &Geometry, tick: Tick, amount: u64) -> Outcome {
        let place = geometry.place(tick);
        match next(geometry, place, self.at(place.index).load(Ordering::Acquire), amount) {
            Next::Not(outcome) => outcome,
            Next::Word { .. } => Outcome::Counted,
        }
    }

    /// Raises the count of `cell`'s tick to its count: a copy of another writer's slot, which only grows. An older tick
    /// than the slot's is gone.
    pub fn raise(self, geometry: &Geometry, cell: Cell) {
        let place = geometry.place(cell.tick);
        let slot = self.at(place.index);
        let word = place.base | cell.count.min(geometry.max_count());
        if mutated!(RaiseAdds) {
            slot.fetch_add(cell.count, Ordering::AcqRel);
            return;
        }
        // Of two words of one slot the larger is of the later lap, or of the same with more hits.
        slot.fetch_max(word, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Resolution;
    use std::time::Duration;

    #[test]
    fn the_first_slot_begins_a_cache_line() {
        for len in [64, 65, 300, 320, 1_000] {
            let slots = Slots::new(len);
            assert_eq!(std::ptr::from_ref(slots.at(0)).addr() % 64, 0);
            slots.at(len - 1).store(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_row_of_the_state_table() {
        let resolution = Resolution::new(Duration::from_secs(1)).expect("one second is a resolution");
        let geometry = Geometry::new(resolution, Duration::from_secs(300), 20).expect("the default geometry");
        let place = geometry.place(Tick(320 * 5 + 7));
        for seal in [0, geometry.seal()] {
            assert_eq!(view(&geometry, place, seal), View::Older(0));
            assert_eq!(view(&geometry, place, geometry.base(4) | seal | 9), View::Older(9));
            assert_eq!(view(&geometry, place, geometry.base(5) | seal), View::Ours(0));
            assert_eq!(
                view(&geometry, place, geometry.base(5) | seal | geometry.max_count()),
                View::Ours(geometry.max_count())
            );
            assert_eq!(view(&geometry, place, geometry.base(6) | seal), View::Recycled);
        }
        let zero = geometry.place(Tick(7));
        assert_eq!(view(&geometry, zero, 0), View::Ours(0));
    }
}
