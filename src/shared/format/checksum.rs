//! The checksum of words that are written at once.
//!
//! Tests: `tests/shared/flips.rs`.

/// The CRC-32 (IEEE) of `words`.
pub fn checksum(words: impl Iterator<Item = u64>) -> u64 {
    let mut sum = crc32fast::Hasher::new();
    words.for_each(|word| sum.update(&word.to_le_bytes()));
    sum.finalize().into()
}
