//! How many registers there are, and which of them a hash raises to what.
//!
//! ```text
//! 63                          p p-1          0        p = 14: 16,384 registers, values 1 to 51
//! +----------------------------+-------------+
//! |  zeros from here on  <--   |    index    |        value = zeros from bit p upwards, plus 1
//! +----------------------------+-------------+
//! ```
//! Of the items that fall into a register, one in `2^v` has a value of `v` or more: a large value tells of many items.
//!
//! Tests: `tests/sketch`.

use crate::error::SketchError;

/// The number of bits that choose the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision(u8);

/// One register that is not zero, or what an item would make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Register {
    /// Which one.
    pub index: u32,
    /// The most zeros of an item that fell into it, plus 1.
    pub value: u8,
}

impl Precision {
    /// The only one that Redis knows.
    pub const REDIS: Self = Self(14);

    /// `bits` from 4 to 18.
    ///
    /// # Errors
    /// [`SketchError::Precision`] otherwise.
    pub fn new(bits: u8) -> Result<Self, SketchError> {
        if (4..=18).contains(&bits) { Ok(Self(bits)) } else { Err(SketchError::Precision { given: bits }) }
    }

    /// The number of bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// How many registers there are.
    pub const fn registers(self) -> usize {
        1 << self.0
    }

    /// The value of a hash whose other bits are all zero.
    pub const fn max_value(self) -> u8 {
        65 - self.0
    }

    /// The relative standard error of an estimate of many.
    pub fn error(self) -> f64 {
        1.04 / (self.registers() as f64).sqrt()
    }

    /// The register that `hash` raises, and to what.
    #[inline]
    pub const fn register(self, hash: u64) -> Register {
        let index = hash as u32 & ((1 << self.0) - 1);
        // The bit ends the zeros of a hash that has no other.
        let zeros = (hash >> self.0 | 1 << (64 - self.0)).trailing_zeros();
        Register { index, value: zeros as u8 + 1 }
    }

    /// Whether an item could have made `register` so.
    pub const fn allows(self, register: Register) -> bool {
        (register.index as usize) < self.registers() && 0 < register.value && register.value <= self.max_value()
    }
}
