//! Random numbers for estimates: one small generator for each thread, and never the same in two processes.
//!
//! A generator is xoshiro256++ (`rand`'s `SmallRng`), seeded with 32 bytes of the system's, at a thread's first draw. It is fast
//! and statistically good, but not secure. Where an attacker must not foresee an estimate, use another generator.
//!
//! # Forks
//! A child that kept its parent's generators would draw what its parent draws, and their errors would add up instead of averaging
//! out. So each generator carries the stamp (`src/sync/stamp.rs`) of the process that seeded it, and is seeded anew where that is another:
//! one load a draw.
//!
//! **Progress.** Wait-free; a thread's first draw in a process makes a system call or two.
//!
//! Tests: below, `tests/sketch`.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::sync::stamp;
use crate::sync::{AtomicU64, Ordering};

struct Generator {
    /// Of the process that seeded it; 0 before that.
    stamp: u64,
    random: Option<SmallRng>,
}

thread_local! {
    // Without a destructor, so that the destructors of others may still draw.
    static GENERATOR: RefCell<Generator> = const { RefCell::new(Generator { stamp: 0, random: None }) };
}

/// A number drawn evenly from `(0, 1]`, in steps of 2^-64 near 0: the chance of an increment may be as small as 2^-63.
#[inline]
pub fn unit() -> f64 {
    to_unit(word())
}

/// A number drawn evenly from all words.
#[inline]
pub fn word() -> u64 {
    GENERATOR.with_borrow_mut(|generator| {
        let stamp = stamp::read();
        match &mut generator.random {
            Some(random) if generator.stamp == stamp && stamp != 0 => random.next_u64(),
            _ => seed(generator),
        }
    })
}

#[cold]
#[inline(never)]
fn seed(generator: &mut Generator) -> u64 {
    let mut random = SmallRng::from_seed(stamp::system_bytes());
    let drawn = random.next_u64();
    *generator = Generator { stamp: stamp::read_or_make(), random: Some(random) };
    drawn
}

/// Maps the 2^64 words evenly onto `(0, 1]`.
#[inline]
pub fn to_unit(word: u64) -> f64 {
    const STEP: f64 = 1.0 / (1u128 << 64) as f64;
    (word as f64 + 1.0) * STEP
}

/// Where a sketch's numbers come from.
#[derive(Debug)]
pub enum Source {
    /// The generator of the thread that draws.
    Threads,
    /// A seed: the same numbers in the same order each time, whichever threads draw them. SplitMix64 (Steele, Lea and
    /// Flood, "Fast Splittable Pseudorandom Number Generators", 2014), whose state is a counter, so that a draw is one
    /// `fetch_add`. Forked processes go on alike.
    Seed(AtomicU64),
}

impl Source {
    /// By `seed`, if one is given.
    #[must_use]
    pub fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::Threads, |seed| Self::Seed(AtomicU64::new(seed)))
    }

    /// A number drawn evenly from all words.
    #[inline]
    pub fn word(&self) -> u64 {
        match self {
            Self::Threads => word(),
            // `Relaxed`: no other word is read by it.
            Self::Seed(state) => mix(state.fetch_add(STEP, Ordering::Relaxed)),
        }
    }

    /// A number drawn evenly from `(0, 1]`.
    #[inline]
    pub fn unit(&self) -> f64 {
        to_unit(self.word())
    }

    /// A source of other numbers, by a seed that is drawn here if this has one.
    #[must_use]
    pub fn split(&self) -> Self {
        match self {
            Self::Threads => Self::Threads,
            Self::Seed(_) => Self::new(Some(self.word())),
        }
    }
}

/// 2^64 divided by the golden ratio: the steps visit every word.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: each bit of the answer depends on each of `word`.
#[must_use]
pub fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(STEP);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_above_0_and_at_most_1() {
        assert!(to_unit(0) > 0.0 && to_unit(0) <= (0.5f64).powi(63));
        assert_eq!(to_unit(u64::MAX), 1.0);
        let mean = (0..100_000).map(|_| unit()).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 5.0 * (1.0f64 / 12.0 / 1e5).sqrt(), "{mean}");
    }

    #[test]
    fn a_seed_gives_the_same_numbers_and_splits_into_others() {
        let drawn = |source: Source| (0..8).map(|_| source.word()).collect::<Vec<_>>();
        assert_eq!(drawn(Source::new(Some(7))), drawn(Source::new(Some(7))));
        assert_ne!(drawn(Source::new(Some(7))), drawn(Source::new(Some(8))));
        assert_ne!(drawn(Source::new(Some(7)).split()), drawn(Source::new(Some(7))));
        // The published sequence of SplitMix64 from seed 1234567.
        assert_eq!(drawn(Source::new(Some(1_234_567)))[..2], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn threads_draw_different_numbers() {
        let here: Vec<u64> = (0..4).map(|_| unit().to_bits()).collect();
        let there = std::thread::spawn(|| (0..4).map(|_| unit().to_bits()).collect::<Vec<_>>());
        assert_ne!(here, there.join().expect("the thread ends"));
    }
}
