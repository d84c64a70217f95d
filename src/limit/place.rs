//! [`Place`]: where the words of a limiter lie, and what a thread that changes them has to check there.
//!
//! Buckets and windows decide in the same way wherever their words are; the places differ in this:
//!
//! | | a word of its own (bucket) | [`Words`] | a tenancy of a [`Slot`](super::slot::Slot) |
//! |---|---|---|---|
//! | words are stored | as they are | as they are | under the tenancy's mask |
//! | the largest | `2^63 - 1` | `2^63 - 1` | `2^60 - 1`: the top 4 bits are the tenancy's |
//! | belongs to another | when it is `CLOSED` | when it is `CLOSED` | when the tenancy is over |
//! | may belong to another after it was read | no | no | yes: [`is_still`](Place::is_still) tells |
//! | before a cost is let through | | | [`keep`](Place::keep) notes until when it counts |
//!
//! A place is chosen when the crate is compiled, so a place in memory does not pay for checks that it does not need.
//!
//! Tests: `tests/limit`.

use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};

/// The nanosecond at which time stands still in memory, 146 years after its beginning: a window more still fits into 63 bits.
pub const LAST: u64 = (1 << 62) - 1;

/// Where a state lies.
pub trait Place {
    /// How the state is read.
    const LOAD: Ordering;
    /// How it is exchanged.
    const EXCHANGE: Ordering;
    /// The largest state. A larger word belongs to another tenancy, or is closed.
    const MOST: u64;

    /// The word that decides.
    fn state(&self) -> &AtomicU64;

    /// What stored words differ in from what they say.
    fn mask(&self) -> u64 {
        0
    }

    /// Whether a state that was read just before is ours.
    fn is_ours(&self) -> bool {
        true
    }

    /// Whether the state is what it was when `seen` was read. Ask after other words were read, before they are used.
    fn is_still(&self, _seen: u64) -> bool {
        true
    }

    /// Notes, before a cost is let through, that it counts until the nanosecond `until`.
    fn keep(&self, _until: impl FnOnce() -> u64) {}

    /// The state; `None` if it is not ours any more.
    #[inline(always)]
    fn seen(&self) -> Option<u64> {
        let word = self.state().load(Self::LOAD) ^ self.mask();
        (word <= Self::MOST && self.is_ours()).then_some(word)
    }

    /// Exchanges `seen` for `next`, if the state is that; may fail without a reason.
    #[inline(always)]
    fn exchange(&self, seen: u64, next: u64) -> bool {
        let (seen, next) = (seen ^ self.mask(), next ^ self.mask());
        // unnoticed: `seen` has acquired the state
        self.state().compare_exchange_weak(seen, next, Self::EXCHANGE, Ordering::Relaxed).is_ok()
    }
}

/// A place that also has words beside the state: the beginnings of ticks, or the units of a log.
pub trait Beside: Place {
    /// These words: as many as the plan has slots, at least.
    fn beside(&self) -> &[AtomicU64];

    /// What one of them says.
    #[inline(always)]
    fn read(&self, slot: u64) -> u64 {
        // unnoticed: where it is of another tenancy, the exchange fails
        self.beside()[slot as usize].load(Ordering::Acquire) ^ self.mask()
    }

    /// Raises one of them to `word`, for a decision on `seen`; `false` if the state has moved on and it need not be. A later state's
    /// word must be the greater one, as it is if words begin with a tick.
    fn raise(&self, slot: u64, word: u64, seen: u64) -> bool;

    /// The same for words whose lowest bit says of which lap they are, of which one of a later lap may be the lesser. None is raised
    /// once the state has moved on, and one that is greater but of another lap is not taken for `word`: `false`, too.
    fn raise_of(&self, slot: u64, word: u64, seen: u64) -> bool;
}

/// A bucket that has a word to itself.
impl Place for AtomicU64 {
    // A bucket has only this word, so no order is needed beside its own.
    const LOAD: Ordering = Ordering::Relaxed;
    const EXCHANGE: Ordering = Ordering::Relaxed;
    const MOST: u64 = i64::MAX as u64;

    #[inline(always)]
    fn state(&self) -> &AtomicU64 {
        self
    }
}

/// A state that has words beside it, in memory.
#[derive(Debug)]
pub struct Words {
    state: AtomicU64,
    beside: Box<[AtomicU64]>,
}

impl Words {
    /// So many words that all are `word`, beside `state`.
    pub fn new(state: u64, many: u64, word: u64) -> Self {
        Self { state: AtomicU64::new(state), beside: (0..many).map(|_| AtomicU64::new(word)).collect() }
    }
}

impl Place for Words {
    // A thread that sees a state finds the words that were raised before it.
    const LOAD: Ordering = Ordering::Acquire;
    const EXCHANGE: Ordering = Ordering::AcqRel;
    const MOST: u64 = i64::MAX as u64;

    #[inline(always)]
    fn state(&self) -> &AtomicU64 {
        &self.state
    }
}

impl Beside for Words {
    #[inline(always)]
    fn beside(&self) -> &[AtomicU64] {
        &self.beside
    }

    fn raise(&self, slot: u64, word: u64, _seen: u64) -> bool {
        // `Relaxed`: the exchange of the state releases it.
        self.beside[slot as usize].fetch_max(word, Ordering::Relaxed);
        true
    }

    fn raise_of(&self, slot: u64, word: u64, seen: u64) -> bool {
        let raised = &self.beside[slot as usize];
        loop {
            let said = raised.load(Ordering::Acquire);
            // Checked after the word was read: a word that was read in a later state is of a later lap, and is not ours to raise.
            // If the state moves on after this, the words that were raised for it since differ from `said`, and the exchange fails.
            if self.state.load(Ordering::Acquire) != seen && !mutated!(LimitRaisesUnseen) {
                return false;
            }
            if said >= word {
                return said & 1 == word & 1;
            }
            // Released, so that a reader of the word that then reads the state does not find an older one than `seen`: a log
            // refuses by that.
            if raised.compare_exchange(said, word, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }
}
