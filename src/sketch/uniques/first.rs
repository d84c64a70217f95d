//! The first few items, each in a word with the part in which it came last. States: see the folder's header.
//!
//! ```text
//! 63                      24 23          6 5     0
//! +-------------------------+-------------+-------+
//! |          part           |    index    | value |      0: free
//! +-------------------------+-------------+-------+
//! ```
//! A word that is taken never becomes 0 again and never holds another item. So a thread that finds its item has found it for good,
//! and a thread that finds all words taken finds them taken for ever. Orders are `Relaxed`, because a thread reads all it needs
//! from one word.
//!
//! Tests: `tests/sketch`.

use crate::sketch::hyperloglog::precision::Register;
use crate::sync::{AtomicU64, Ordering};

/// Models need few.
const WORDS: usize = if cfg!(hitring_model) { 1 } else { 8 };
const VALUE_BITS: u32 = 6;
const PART_SHIFT: u32 = 24;

/// The first few items.
#[derive(Debug)]
pub struct First([AtomicU64; WORDS]);

impl Default for First {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

fn word(part: u64, register: Register) -> u64 {
    part << PART_SHIFT | u64::from(register.index) << VALUE_BITS | u64::from(register.value)
}

const fn part(word: u64) -> u64 {
    word >> PART_SHIFT
}

const fn register(word: u64) -> Register {
    let low = word as u32 & ((1 << PART_SHIFT) - 1);
    Register { index: low >> VALUE_BITS, value: (low & ((1 << VALUE_BITS) - 1)) as u8 }
}

impl First {
    /// How many items there is room for.
    pub const ROOM: usize = WORDS;

    /// Whether the item has a word, which says `part` or a later one.
    pub fn add(&self, in_part: u64, item: Register) -> bool {
        let wanted = word(in_part, item);
        self.0.iter().any(|place| {
            let mut seen = place.load(Ordering::Relaxed);
            if seen == 0 {
                match place.compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return true,
                    Err(theirs) => seen = theirs,
                }
            }
            let is_ours = register(seen) == item;
            if is_ours && part(seen) < in_part {
                // Of one item, the larger word is of the later part.
                place.fetch_max(wanted, Ordering::Relaxed);
            }
            is_ours
        })
    }

    /// Whether the item has a word.
    pub fn has(&self, item: Register) -> bool {
        self.iter().any(|(_, register)| register == item)
    }

    /// The items and their parts.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Register)> {
        let words = self.0.iter().map(|place| place.load(Ordering::Relaxed));
        words.filter(|&word| word != 0).map(|word| (part(word), register(word)))
    }
}
