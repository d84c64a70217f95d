//! Small dense thread ids, handed from threads that ended to threads that begin.
//!
//! An id is a bit in a bitmap. A thread claims the lowest free bit at its first record and gives it back when it ends,
//! so the ids in use stay as low as the number of threads that live at once, and whatever is kept per id (a stripe) is
//! handed to the next thread with its contents.
//!
//! | bit | who may move it | what it unlocks |
//! |---|---|---|
//! | 0 free | any thread, by `fetch_or(Acquire)`; the one that saw 0 owns it | being the single writer of everything kept under the id |
//! | 1 owned | its owner, by `fetch_and(Release)`, after its last write under the id | the next claim |
//!
//! The release pairs with the claim: if the claim is later, it sees all that the last owner stored, although both use
//! plain loads and stores under the id. (Relaxing the release loses hits: mutant `IdsRelaxedRelease`.)
//!
//! Ids take no lock, so a fork in the middle of a claim leaves nothing locked in the child. Ids of threads that a fork
//! did not copy stay claimed in the child.
//!
//! **Progress.** [`current`] after a thread's first call: wait-free, one thread-local load. The first call: lock-free,
//! at most [`Ids::words`] words plus one retry for every claim that other threads make meanwhile; it allocates nothing.
//! In a destructor of another thread-local, after the id has been given back, [`current`] returns `None`. The 65,537th
//! living thread gets `None`, too.
//!
//! Tests: below, `tests/models`.

use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};

/// A bitmap of ids.
#[derive(Debug)]
pub struct Ids<const WORDS: usize> {
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Ids<WORDS> {
    /// All ids free.
    #[cfg(not(hitring_model))]
    pub const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; WORDS] }
    }

    /// All ids free.
    #[cfg(hitring_model)]
    pub fn new() -> Self {
        Self { words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// The lowest free id, from now on the caller's; `None` when all are taken.
    pub fn claim(&self) -> Option<usize> {
        for (i, word) in self.words.iter().enumerate() {
            let mut seen = word.load(Ordering::Relaxed);
            while seen != u64::MAX {
                let bit = (!seen).trailing_zeros();
                let before = word.fetch_or(1 << bit, Ordering::Acquire);
                if before & (1 << bit) == 0 || mutated!(IdsClaimUnchecked) {
                    return Some(i * 64 + bit as usize);
                }
                seen = before | (1 << bit);
            }
        }
        None
    }

    /// Gives `id` back. The caller must own it and never write under it again.
    pub fn release(&self, id: usize) {
        let order = if mutated!(IdsRelaxedRelease) { Ordering::Relaxed } else { Ordering::Release };
        self.words[id / 64].fetch_and(!(1 << (id % 64)), order);
    }
}

impl<const WORDS: usize> Default for Ids<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(hitring_model))]
pub use of_process::{cached, current};

/// Models give ids themselves.
#[cfg(hitring_model)]
pub fn current() -> Option<usize> {
    None
}

/// Models give ids themselves.
#[cfg(hitring_model)]
pub fn cached() -> Option<usize> {
    None
}

#[cfg(not(hitring_model))]
mod of_process {
    use super::Ids;
    use std::cell::Cell;

    static IDS: Ids<1024> = Ids::new();

    const UNCLAIMED: usize = usize::MAX;
    const ENDED: usize = usize::MAX - 1;
    const FIRST_SPECIAL: usize = ENDED;

    thread_local! {
        /// Has no destructor, so it can still be read while the thread's other locals are being destroyed.
        static ID: Cell<usize> = const { Cell::new(UNCLAIMED) };
        /// Gives the id back when the thread ends.
        static LEASE: Lease = const { Lease };
    }

    struct Lease;

    impl Drop for Lease {
        fn drop(&mut self) {
            let id = ID.replace(ENDED);
            if id < FIRST_SPECIAL {
                IDS.release(id);
            }
        }
    }

    /// The id of this thread, if it has asked for [`current`] before.
    #[inline]
    pub fn cached() -> Option<usize> {
        let id = ID.get();
        if id < FIRST_SPECIAL { Some(id) } else { None }
    }

    /// The id of this thread, or `None` once the thread has begun to end and when 65,536 threads are alive.
    #[inline]
    pub fn current() -> Option<usize> {
        cached().or_else(first)
    }

    #[cold]
    fn first() -> Option<usize> {
        if ID.get() == ENDED {
            return None;
        }
        let id = IDS.claim()?;
        // Without a lease the thread would never give the id back.
        if LEASE.try_with(|_| ()).is_err() {
            IDS.release(id);
            ID.set(ENDED);
            return None;
        }
        ID.set(id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dense_and_the_lowest_is_reused_first() {
        let ids = Ids::<2>::new();
        let all: Vec<_> = std::iter::from_fn(|| ids.claim()).collect();
        assert_eq!(all, (0..128).collect::<Vec<_>>());
        ids.release(70);
        ids.release(5);
        assert_eq!([ids.claim(), ids.claim(), ids.claim()], [Some(5), Some(70), None]);
    }

    #[test]
    fn a_thread_keeps_its_id_and_hands_it_on() {
        let ours = current();
        assert!(ours.is_some());
        assert_eq!(ours, current());
        let theirs = std::thread::spawn(current).join().expect("the thread does not panic");
        assert!(theirs.is_some());
        assert_ne!(ours, theirs);
    }

    #[test]
    fn a_destructor_after_the_lease_gets_no_id() {
        use std::sync::mpsc;
        struct Late(mpsc::Sender<Option<usize>>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.send(current()).expect("the test still listens");
            }
        }
        thread_local! {
            static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
        }
        let (sender, seen) = mpsc::channel();
        // Locals are destroyed in the order in which their destructors were registered, or in the reverse order. Trying
        // both orders makes sure that one of them runs the destructor after the lease.
        for lease_first in [true, false] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                if lease_first {
                    assert!(current().is_some());
                }
                LATE.with(|late| *late.borrow_mut() = Some(Late(sender)));
                assert!(current().is_some());
            })
            .join()
            .expect("the thread does not panic");
        }
        drop(sender);
        let seen: Vec<_> = seen.iter().collect();
        assert_eq!(seen.len(), 2);
        assert!(seen.contains(&None), "{seen:?}");
    }
}
