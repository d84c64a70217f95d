//! How many lives have begun, and which places are kept for a merge: one word.
//!
//! ```text
//! tail   [ closed: 1 bit ][ kept: 31 bits ][ begun: 32 bits ]
//! ```
//! | part | is | changed by |
//! |---|---|---|
//! | `begun` | how many lives have begun: the next one begins there | a process that finds a name in that place, upwards by 1 |
//! | `kept` | how many places are kept for the merge that is under way | the merge: down by 1 with each life that it begins, to 0 at its end |
//! | `closed` | whether another file has taken this one's place | a restore |
//!
//! A merge changes all or nothing. So it keeps the places that it needs before other processes can see any of it. They find the
//! file full when only kept places are free. (Mutant `KeptPlacesTaken`.) A process that read the word before may still take the
//! place at `begun`, but not another, because all places before it have names. So the merge begins its first life before other
//! processes can see any of it, and checks at each try whether the room is still enough. Once it has begun a life, other processes
//! cannot take its places any more. (Mutant `KeptPlacesTrusted`: it does not check.)
//!
//! From the begin of a life of the merge until the merge notes it (`used`), one place counts twice. Meanwhile a file that is full
//! but for one place may refuse a name.
//!
//! A killed merge leaves its places kept. A process that finds the file full because of them gives them back, if it gets the
//! file's lock.
//!
//! Tests: `tests/models/shared.rs`, `tests/shared/room.rs`.

use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};

const CLOSED: u64 = 1 << 63;
const BEGUN: u64 = (1 << 32) - 1;
const KEPT: u64 = !(CLOSED | BEGUN);
const ONE_KEPT: u64 = 1 << 32;

/// The word.
#[derive(Clone, Copy, Debug)]
pub struct Tail<'a>(pub &'a AtomicU64);

/// The word as it was read.
#[derive(Clone, Copy, Debug)]
pub struct State(u64);

impl State {
    /// How many lives have begun according to the word, which damage may have changed.
    pub fn begun(self) -> u64 {
        self.0 & BEGUN
    }

    /// How many places are kept for a merge.
    pub fn kept(self) -> u64 {
        (self.0 & KEPT) / ONE_KEPT
    }

    /// Whether another file has taken this one's place.
    pub fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Where the next life begins, if there are `places` of which so many are `kept`.
    pub fn next(self, places: usize, kept: u64) -> Option<usize> {
        let is_free = !self.is_closed() && self.begun() + kept < places as u64;
        is_free.then_some(self.begun() as usize)
    }
}

impl<'a> Tail<'a> {
    /// The word as it is now.
    pub fn state(self) -> State {
        State(self.0.load(Ordering::Acquire))
    }

    /// Moves on, now that the place at `index` has its name, unless another process has done so, or the file is closed.
    pub fn advance(self, index: usize) {
        let mut word = self.0.load(Ordering::Relaxed);
        while !State(word).is_closed() && State(word).begun() == index as u64 {
            match self.0.compare_exchange(word, word + 1, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
    }

    /// Closes it; answers the state before.
    pub fn close(self) -> State {
        // unnoticed: a process that finds it closed looks for the file that took its place
        State(self.0.fetch_or(CLOSED, Ordering::Release))
    }

    /// Keeps `wanted` of all `places`; `None` if they are not free. Under the file's lock.
    pub fn keep(self, wanted: usize, places: usize) -> Option<Kept<'a>> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let begun = State(word).begun();
            let is_free = begun.saturating_add(wanted as u64) <= places as u64 && wanted as u64 <= KEPT / ONE_KEPT;
            if State(word).is_closed() || !is_free {
                return None;
            }
            // Overwrites the places that a killed merge kept.
            let kept = begun | (wanted as u64 * ONE_KEPT);
            match self.0.compare_exchange(word, kept, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(Kept { tail: self, left: wanted as u64 }),
                Err(now) => word = now,
            }
        }
    }

    /// Gives back the kept places. Under the file's lock, because no merge is under way then.
    pub fn give_back(self) {
        self.0.fetch_and(!KEPT, Ordering::Relaxed);
    }
}

/// Places that are kept; given back when dropped.
#[derive(Debug)]
pub struct Kept<'a> {
    tail: Tail<'a>,
    /// How many of them are left.
    left: u64,
}

impl Kept<'_> {
    /// Where the next life begins, if all places that are left still fit into `places`.
    pub fn next(&self, places: usize) -> Option<usize> {
        let others = if mutated!(KeptPlacesTrusted) { 0 } else { self.left.checked_sub(1)? };
        self.tail.state().next(places, others)
    }

    /// Notes that one of them is used.
    pub fn used(&mut self) {
        self.left = self.left.saturating_sub(1);
        let mut word = self.tail.0.load(Ordering::Relaxed);
        // Damage may have made it 0. Less than 0 would change the bits beside it.
        while State(word).kept() > 0 {
            match self.tail.0.compare_exchange(word, word - ONE_KEPT, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.tail.give_back();
    }
}
