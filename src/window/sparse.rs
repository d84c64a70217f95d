//! A few cells, for the many endpoints that have few hits.
//!
//! A ring has a slot for each tick of its window, most of them empty where there is little traffic. Here a handful of words hold
//! the ticks that do have hits. If they do not suffice, a hit is answered with [`Full`](Added::Full), and the caller grows into a
//! ring.
//!
//! ```text
//! 63                      26  25                   0      (ticks of a second)
//! +-------------------------+-----------------------+
//! |          tick           |         count         |     0: empty
//! +-------------------------+-----------------------+
//! ```
//!
//! | the word | a hit of tick `t` | a query |
//! |---|---|---|
//! | holds `t` | adds its amount; if the sum does not fit, or others are quicker: [`Full`](Added::Full) | counts it, if the span has `t` |
//! | is empty | takes it, if no word holds `t` | nothing |
//! | holds a tick at least one ring behind `t` | takes it, if no word holds `t` or is empty; the older tick is forgotten | counts it, if the span has that tick |
//! | holds another tick | leaves it; if all words are such: `Full` | the same |
//!
//! `forgotten` is the first tick that is still known. It is raised **before** the exchange that takes a word from an older tick. So
//! a reader that sees the new word also sees that the old tick is gone, and a query over that tick is expired and never silently
//! low. (Mutant `SparseForgetsLate`.)
//!
//! A hit of a tick before `forgotten` that no word holds is `Full`. It must not take a word here, because the tick may have been
//! dropped from a word. A cell that began again at a smaller count would be taken for an older copy of itself by every merge. The
//! hit is not late either, because `forgotten` may also be what the registry forgot of other names. The caller's next larger
//! counter is another writer, where the tick begins as a new cell. Only a ring refuses a hit as late, when the hit's slot has a
//! newer tick.
//!
//! Two threads may bring the same new tick at once, each into a word of its own. Both words count; a word never changes
//! to another tick while that tick is younger than a ring, so no hit is lost or moved.
//!
//! **Crowded** words ([`CROWDED`]) are full for every thread. A hit that lost several exchanges in a row sets the bit, because
//! threads that are in each other's way do better in another counter. The bit is a hint: a thread that sees it late, or sets it
//! late, makes the caller grow a little later or sooner.
//!
//! A hit that saw `forgotten` before it was raised may still bring a tick that is being forgotten. Such a tick lies a
//! whole ring behind another hit, out of every window that has that hit.
//!
//! # Guarantees
//! | method | progress | steps |
//! |---|---|---|
//! | `record_current`, `record` | lock-free: a lost exchange means that another hit came in | one load a word, one exchange |
//! | `sum`, `cells`, `newest` | wait-free | one load a word, one more |
//!
//! A reader beside writers sees every hit whose call returned before it began and none that began after it ended.
//!
//! Tests: `tests/models/sparse.rs`.

use crate::cell::form::Cell;
use crate::cell::outcome::Outcome;
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering, Typed};
use crate::time::Tick;
use crate::window::geometry::Geometry;
use crate::window::{Reading, Span};

/// What became of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// Counted or refused.
    Done(Outcome),
    /// The words cannot take the hit; nothing was changed.
    Full,
}

/// The words, wherever they are kept.
#[derive(Clone, Copy, Debug)]
pub struct Sparse<'a> {
    /// Cells.
    pub words: &'a [AtomicU64],
    /// The first tick that is still known.
    pub forgotten: &'a Typed<Tick>,
    /// Has [`CROWDED`], and whatever else its owner keeps there.
    pub marks: &'a AtomicU64,
}

/// The bit that says that threads are in each other's way.
pub const CROWDED: u64 = 1 << 61;

/// How many exchanges in a row a hit may lose before it says so. Models have no patience.
const PATIENCE: u32 = if cfg!(hitring_model) { 0 } else { 3 };

impl Sparse<'_> {
    /// Counts `amount` hits at `tick`, if that tick has hits and room: the short way of [`record`](Self::record).
    /// Otherwise it changes nothing.
    #[inline(always)]
    pub fn record_current(&self, geometry: &Geometry, tick: Tick, amount: u64) -> bool {
        self.add(geometry, tick, amount) == Some(true)
    }

    /// Whether threads were in each other's way.
    pub fn is_crowded(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & CROWDED != 0
    }

    /// Adds to the tick's word: `None` if no word holds it, false if the sum does not fit, or others are quicker.
    #[inline(always)]
    fn add(&self, geometry: &Geometry, tick: Tick, amount: u64) -> Option<bool> {
        let mut lost = 0;
        for slot in self.words {
            // `Relaxed`: only the word itself is used, and the exchange confirms it.
            let mut word = slot.load(Ordering::Relaxed);
            while word != 0 && geometry.sparse_tick(word) == tick {
                if amount > geometry.sparse_max() - (word & geometry.sparse_max()) {
                    return Some(false);
                }
                if mutated!(SlotLoadStore) {
                    slot.store(word + amount, Ordering::Release);
                    return Some(true);
                }
                // `Release`: only the word itself is used, whatever it holds by now.
                match slot.compare_exchange_weak(word, word + amount, Ordering::Release, Ordering::Relaxed) {
                    Ok(_) => return Some(true),
                    Err(seen) => {
                        // Not if it failed for no reason, as some targets' exchanges may.
                        lost += u32::from(seen != word);
                        if lost > PATIENCE {
                            self.marks.fetch_or(CROWDED, Ordering::Relaxed);
                            return Some(false);
                        }
                        word = seen;
                    }
                }
            }
        }
        None
    }

    /// Counts `amount` hits, more than none, at `tick`. Hits that are forgotten for it are told to `note`.
    pub fn record(&self, geometry: &Geometry, tick: Tick, amount: u64, note: impl Fn(Outcome, u64)) -> Added {
        loop {
            if self.is_crowded() {
                return Added::Full;
            }
            match self.add(geometry, tick, amount) {
                Some(true) => return Added::Done(Outcome::Counted),
                Some(false) => return Added::Full,
                None if amount > geometry.sparse_max() => return Added::Full,
                None => {}
            }
            // unnoticed: a hit that does not see it yet is allowed, see the header
            if tick < self.forgotten.load(Ordering::Acquire) {
                return Added::Full;
            }
            let Some((slot, word)) = self.free(geometry, tick) else { return Added::Full };
            let old = geometry.sparse_tick(word);
            // `Relaxed`: the exchange of the word releases it.
            let forget = || self.forgotten.raise(Tick(old.0 + 1), Ordering::Relaxed);
            if word != 0 && !mutated!(SparseForgetsLate) {
                forget();
            }
            let new = geometry.sparse_word(tick, amount);
            if mutated!(SlotLoadStore) {
                slot.store(new, Ordering::Release);
                return Added::Done(Outcome::Counted);
            }
            // unnoticed: `free` has acquired the word
            if slot.compare_exchange(word, new, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                if word != 0 {
                    note(Outcome::Counted, word & geometry.sparse_max());
                    if mutated!(SparseForgetsLate) {
                        forget();
                    }
                }
                return Added::Done(Outcome::Counted);
            }
        }
    }

    /// An empty word, else the one with the oldest tick at least one ring behind `tick`; and what it held.
    fn free(&self, geometry: &Geometry, tick: Tick) -> Option<(&AtomicU64, u64)> {
        let mut oldest: Option<(&AtomicU64, u64)> = None;
        for slot in self.words {
            // unnoticed: the exchange that takes the word acquires it, too
            let word = slot.load(Ordering::Acquire);
            if word == 0 {
                return Some((slot, 0));
            }
            let gone = geometry.sparse_tick(word).0 + geometry.slots() as u64 <= tick.0;
            if gone && oldest.is_none_or(|(_, before)| word < before) {
                oldest = Some((slot, word));
            }
        }
        oldest
    }

    /// The newest tick that has a hit.
    pub fn newest(&self, geometry: &Geometry) -> Tick {
        let tick = |word: &AtomicU64| geometry.sparse_tick(word.load(Ordering::Acquire));
        self.words.iter().map(tick).max().unwrap_or_default()
    }

    /// The hits of `span`.
    #[inline]
    pub fn sum(&self, geometry: &Geometry, span: Span) -> Reading {
        let mut count = 0;
        for slot in self.words {
            let word = slot.load(Ordering::Acquire);
            let tick = geometry.sparse_tick(word);
            if span.first <= tick && tick <= span.to {
                count += word & geometry.sparse_max();
            }
        }
        // After the words, see the header.
        // unnoticed: a reader that has acquired the word that took a tick's place finds it forgotten
        Reading { count, exact: self.forgotten.load(Ordering::Acquire) <= span.first }
    }

    /// The ticks that have hits; one may come twice, its hits then add up.
    pub fn cells(&self, geometry: &Geometry) -> impl Iterator<Item = Cell> {
        self.words
            .iter()
            .map(|slot| slot.load(Ordering::Acquire))
            .filter(|&word| word != 0)
            .map(|word| Cell { tick: geometry.sparse_tick(word), count: word & geometry.sparse_max() })
    }
}
