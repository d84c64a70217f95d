//! MurmurHash64A with the seed that Redis gives it, so that both put an item into the same register.
//!
//! The function is Austin Appleby's. It does not defend against chosen items, because an attacker with the seed can make items that
//! fall into one register and drive an estimate up. Redis has the same weakness, and with another seed the bytes would not be
//! exchangeable.
//!
//! Tests: `tests/sketch`.

const SEED: u64 = 0xadc8_3b19;
const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;

const fn mix(word: u64) -> u64 {
    let word = word.wrapping_mul(MULTIPLIER);
    (word ^ word >> SHIFT).wrapping_mul(MULTIPLIER)
}

/// The hash of `item`, the same on every target.
#[inline]
pub fn murmur(item: &[u8]) -> u64 {
    let mut hash = SEED ^ (item.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = item.as_chunks::<8>();
    for word in words {
        hash = (hash ^ mix(u64::from_le_bytes(*word))).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}
