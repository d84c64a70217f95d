//! The checksum of words that are written at once.
//!
//! Tests: `tests/shared/flips.rs`.

/// The CRC-32 (IEEE) of `words`.
pub fn checksum(words: impl Iterator<Item = u64>) -> u64 {
    let mut sum = Checksum::default();
    words.for_each(|word| sum.add(&word.to_le_bytes()));
    sum.value()
}

/// A checksum of bytes that come one after the other.
#[derive(Clone, Debug, Default)]
pub struct Checksum(crc32fast::Hasher);

impl Checksum {
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn value(&self) -> u64 {
        self.0.clone().finalize().into()
    }
}
