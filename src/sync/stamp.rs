//! The stamp of a process: a number that its forked children do not have.
//!
//! A value that must differ between two processes (a generator of random numbers, the writer of a cell) keeps the stamp
//! of the process that made it. A process that finds another stamp there makes the value anew:
//!
//! | stamp of the process | means | who moves it |
//! |---|---|---|
//! | 0 | this process has not asked for its stamp yet | the kernel, in a forked child |
//! | any other | this process | the first thread that asks for it ([`read_or_make`]) |
//!
//! On Linux the stamp lies in a page of its own. The kernel empties the page in a child (`MADV_WIPEONFORK`, since
//! 4.14), so a fork resets the stamp, and [`read`] is one load that every core has in its cache. On other systems, and
//! where the kernel refuses such a page, the stamp is the process's number. Reading that is a system call on some
//! systems, and a descendant may get the number of a dead ancestor.
//!
//! **Progress.** Wait-free; the first call in a process makes a system call or two.
//!
//! Tests: `tests/models`.

use std::hash::BuildHasher;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::sync::{Ordering, process};

/// The stamp of this process; 0 while it has not been made.
#[inline]
#[must_use]
pub fn read() -> u64 {
    // `Relaxed`: a child begins with one thread, and the kernel emptied the page before that thread ran.
    word().map_or_else(|| u64::from(std::process::id()), |word| word.load(Ordering::Relaxed))
}

/// The stamp of this process, which the first call makes; never 0.
#[must_use]
pub fn read_or_make() -> u64 {
    let stamp = read();
    let Some(word) = word().filter(|_| stamp == 0) else { return stamp };
    // Random, because the number of the process might be that of an ancestor.
    let made = random().max(1);
    word.compare_exchange(0, made, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|theirs| theirs, |_| made)
}

/// A random number from the system.
#[must_use]
pub fn random() -> u64 {
    let [word, ..] = *system_bytes().as_chunks().0 else { unreachable!("there are four words") };
    u64::from_le_bytes(word)
}

/// Random bytes from the system; if it has none, hashes under the keys that the standard library draws for itself.
#[must_use]
pub fn system_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    if SysRng.try_fill_bytes(&mut bytes).is_err() {
        let hashes = std::hash::RandomState::new();
        for (i, word) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *word = hashes.hash_one((std::process::id(), i)).to_le_bytes();
        }
    }
    bytes
}

#[cfg(not(target_os = "linux"))]
fn word() -> Option<&'static process::AtomicU64> {
    None
}

/// The word that the kernel sets to 0 in a child, if the system has such words.
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
        // SAFETY: the page was mapped above, and no other code has its address.
        unsafe { libc::munmap(page, BYTES) };
        return None;
    }
    // SAFETY: the page is zeroed, aligned, and never unmapped from here on; only this word is in it.
    Some(unsafe { &*page.cast::<process::AtomicU64>() })
}
