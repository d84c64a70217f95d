//! Random numbers for estimates: one small generator for each thread, and never the same in two processes.
//!
//! A generator is xoshiro256++ (`rand`'s `SmallRng`), seeded with 32 bytes of the system's, at a thread's first draw. It
//! is fast and statistically good, and no secret: whoever must not foresee an estimate needs another.
//!
//! # Forks
//! A child that went on with its parent's generators would draw what its parent draws, and their errors would add up
//! instead of averaging out. So each generator carries the *stamp* of the process that seeded it:
//!
//! | generator's stamp | process's stamp | a draw |
//! |---|---|---|
//! | the same | not 0 | goes on |
//! | any | 0: nobody has drawn in this process | gives the process a new random stamp, then as below |
//! | another, or none | not 0 | seeds the generator anew |
//!
//! On Linux the process's stamp lies in a page of its own that the kernel hands to a child emptied
//! (`MADV_WIPEONFORK`, since 4.14), so a fork resets it and a draw pays one load that every core has in its cache.
//! Elsewhere, and where the kernel gives no such page, the stamp is the process's number: a system call a draw on some.
//!
//! **Progress.** Wait-free; a thread's first draw in a process makes a system call or two.

use std::cell::RefCell;
use std::hash::BuildHasher;

use rand::rngs::{SmallRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

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
    GENERATOR.with_borrow_mut(|generator| {
        let stamp = stamp::read();
        match &mut generator.random {
            Some(random) if generator.stamp == stamp && stamp != 0 => to_unit(random.next_u64()),
            _ => seed(generator),
        }
    })
}

#[cold]
#[inline(never)]
fn seed(generator: &mut Generator) -> f64 {
    let mut random = SmallRng::from_seed(system_bytes());
    let drawn = to_unit(random.next_u64());
    *generator = Generator { stamp: stamp::read_or_make(), random: Some(random) };
    drawn
}

/// Maps the 2^64 words evenly onto `(0, 1]`.
#[inline]
pub fn to_unit(word: u64) -> f64 {
    const STEP: f64 = 1.0 / (1u128 << 64) as f64;
    (word as f64 + 1.0) * STEP
}

/// Random bytes of the system's; without those, hashes under the keys that the standard library draws for itself.
fn system_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    if SysRng.try_fill_bytes(&mut bytes).is_err() {
        let hashes = std::hash::RandomState::new();
        for (i, word) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *word = hashes.hash_one((std::process::id(), i)).to_le_bytes();
        }
    }
    bytes
}

/// The stamp of the process.
mod stamp {
    use crate::sync::{Ordering, process};

    #[cfg(not(target_os = "linux"))]
    fn word() -> Option<&'static process::AtomicU64> {
        None
    }

    /// The word that is 0 again in a child, if the system has such words.
    #[cfg(target_os = "linux")]
    #[inline]
    fn word() -> Option<&'static process::AtomicU64> {
        static WORD: std::sync::OnceLock<Option<&process::AtomicU64>> = std::sync::OnceLock::new();
        *WORD.get_or_init(map)
    }

    #[cfg(target_os = "linux")]
    fn map() -> Option<&'static process::AtomicU64> {
        const BYTES: usize = size_of::<process::AtomicU64>();
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping that overlaps nothing; the kernel rounds it up to a page.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), BYTES, access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the page was mapped above, and nothing is in it yet.
        if unsafe { libc::madvise(page, BYTES, libc::MADV_WIPEONFORK) } != 0 {
            // SAFETY: the page was mapped above, and nobody knows of it.
            unsafe { libc::munmap(page, BYTES) };
            return None;
        }
        // SAFETY: the page is zeroed, aligned, and never unmapped from here on; only this word is in it.
        Some(unsafe { &*page.cast::<process::AtomicU64>() })
    }

    /// The stamp of this process; 0 when nobody has drawn in it.
    #[inline]
    pub fn read() -> u64 {
        // A child begins with one thread, and what it sees of the page was emptied before it ran: `Relaxed`.
        word().map_or_else(|| u64::from(std::process::id()), |word| word.load(Ordering::Relaxed))
    }

    /// The same, given now if nobody has drawn in it.
    pub fn read_or_make() -> u64 {
        let stamp = read();
        let Some(word) = word().filter(|_| stamp == 0) else { return stamp };
        // Random, as the number of the process might be an ancestor's again.
        let random = super::system_bytes().into_iter().fold(0, |all, byte| all << 8 | u64::from(byte));
        let made = random.max(1);
        word.compare_exchange(0, made, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|theirs| theirs, |_| made)
    }
}

#[cfg(all(test, not(any(hitring_loom, hitring_shuttle))))]
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
    fn threads_draw_different_numbers() {
        let here: Vec<u64> = (0..4).map(|_| unit().to_bits()).collect();
        let there = std::thread::spawn(|| (0..4).map(|_| unit().to_bits()).collect::<Vec<_>>());
        assert_ne!(here, there.join().expect("the thread ends"));
    }
}
