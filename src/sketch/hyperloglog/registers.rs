//! The dense form: every register, six bits each, ten to a word.
//!
//! ```text
//! 63  60 59    54 53                  11      6 5       0
//! +-----+--------+----         ----+--------+--------+
//! |  0  |   9    |       ...       |   1    |   0    |      register = 10 * word + place
//! +-----+--------+----         ----+--------+--------+
//! ```
//!
//! A register only goes up, and so does the word as ten registers. An exchange is lost only to a raise of one of the ten,
//! of which there are at most `10 * (65 - precision)` in the life of the word.
//!
//! Every order is `Relaxed`: a register says all there is to say by itself, and the coherence of one word is enough for
//! "never less than was seen before". What makes the words visible at all is the place they are published in.
//!
//! Tests: `tests/sketch`.

use crate::sketch::hyperloglog::precision::{Precision, Register};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};

const BITS: u32 = 6;
const MASK: u64 = (1 << BITS) - 1;
const A_WORD: usize = 10;

/// All registers of a sketch.
#[derive(Debug)]
pub struct Registers {
    words: Box<[AtomicU64]>,
}

/// The larger of each two registers.
fn join_words(ours: u64, theirs: u64) -> u64 {
    (0..A_WORD).fold(0, |word, place| {
        let lane = MASK << (place as u32 * BITS);
        word | (ours & lane).max(theirs & lane)
    })
}

impl Registers {
    /// What the words of a sketch take.
    pub const fn bytes_of(precision: Precision) -> usize {
        precision.registers().div_ceil(A_WORD) * size_of::<u64>()
    }

    /// Registers that are all zero.
    pub fn new(precision: Precision) -> Self {
        let words = precision.registers().div_ceil(A_WORD);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Raises a register, and says whether it was lower. One load if it was not.
    #[inline]
    pub fn raise(&self, register: Register) -> bool {
        let index = register.index as usize;
        let (word, shift) = (&self.words[index / A_WORD], (index % A_WORD) as u32 * BITS);
        let mut seen = word.load(Ordering::Relaxed);
        while (seen >> shift & MASK) < u64::from(register.value) {
            let raised = seen & !(MASK << shift) | u64::from(register.value) << shift;
            if mutated!(RegisterLoadStore) {
                word.store(raised, Ordering::Relaxed);
                return true;
            }
            match word.compare_exchange_weak(seen, raised, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(newer) => seen = newer,
            }
        }
        false
    }

    /// Raises every register to that of `other`, which must have as many.
    pub fn join(&self, other: &Self) {
        for (word, theirs) in self.words.iter().zip(&other.words) {
            let theirs = theirs.load(Ordering::Relaxed);
            let mut seen = word.load(Ordering::Relaxed);
            while join_words(seen, theirs) != seen {
                let joined = join_words(seen, theirs);
                match word.compare_exchange_weak(seen, joined, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => break,
                    Err(newer) => seen = newer,
                }
            }
        }
    }

    /// Raises `values`, one a register, to what is here.
    pub fn join_into(&self, values: &mut [u8]) {
        for (values, word) in values.chunks_mut(A_WORD).zip(&self.words) {
            let mut word = word.load(Ordering::Relaxed);
            for value in values {
                *value = (*value).max((word & MASK) as u8);
                word >>= BITS;
            }
        }
    }

    /// What is allocated.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.words)
    }
}
