//! A gate that is closed only when no writer is inside.
//!
//! Writers pass it before they bring a tick that has no hits yet. A thread that wants to drop what is behind the gate closes
//! it, looks once more, and then seals it for good, unless a writer came in between.
//!
//! | word | state | a writer enters | the closer |
//! |---|---|---|---|
//! | `n` | open, `n` inside | `n + 1` | `n = 0`: may go to `closing`; else gives up |
//! | `closing`, 0 inside | the closer looks | takes `closing` away and is inside | may go to `sealed` by one exchange, which fails if a writer entered, even if it has left again |
//! | `sealed` | for good | is turned away | |
//!
//! A writer that is inside when the gate is sealed by [`seal`](Gate::seal) stays there; later ones are turned away.
//!
//! If the writer's entry comes before the closer's exchange to `closing`, it either is still inside (and the closer
//! gives up), or it has left, by a release that this exchange acquires: the closer sees what it wrote. If it comes
//! after, it takes `closing` away, and the closer does not seal. (Mutant `GateKeepsClosing`.)
//!
//! **One closer.** If a second thread closed the gate after a writer took `closing` away, the first would take the
//! second's `closing` for its own and seal a state that it had not looked at. So closing takes a [`Sole`], which only
//! the thread has that locked the endpoint's `uses`.
//!
//! **Progress.** Every method is wait-free: at most two read-modify-writes, none repeated.
//!
//! Tests: `tests/models/endpoint.rs`.

use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};

const SEALED: u64 = 1 << 63;
const CLOSING: u64 = 1 << 62;
const INSIDE: u64 = CLOSING - 1;

/// See the module's header.
#[derive(Debug)]
pub struct Gate(AtomicU64);

/// The proof that no other thread closes the same gate meanwhile.
#[derive(Debug)]
pub struct Sole(());

impl Sole {
    /// For the thread that holds the lock under which a gate is closed, as long as it holds it.
    pub fn locked() -> Self {
        Self(())
    }
}

/// A gate that is closing. It opens again unless it is sealed.
#[derive(Debug)]
#[must_use = "a gate that is not sealed opens again"]
pub struct Closing<'a>(&'a Gate);

impl Gate {
    /// An open gate.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Goes in, unless the gate is sealed. A writer that went in must [`leave`](Self::leave).
    #[must_use]
    pub fn enter(&self) -> bool {
        // `Acquire`: a writer that enters has not written anything yet that other threads look for; see `is_empty`.
        let before = self.0.fetch_add(1, Ordering::Acquire);
        if before & SEALED != 0 {
            self.leave();
            return false;
        }
        if before & CLOSING != 0 && !mutated!(GateKeepsClosing) {
            // `Relaxed`: the closer asks the word alone.
            self.0.fetch_and(!CLOSING, Ordering::Relaxed);
        }
        true
    }

    /// Goes out.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Release);
    }

    /// Begins to close the gate, if it is open and no writer is inside.
    pub fn try_close<'a>(&'a self, _: &'a Sole) -> Option<Closing<'a>> {
        // `Acquire`: a writer that has left has released what it wrote. The closer itself has nothing for later writers.
        let closed = self.0.compare_exchange(0, CLOSING, Ordering::Acquire, Ordering::Relaxed);
        closed.is_ok().then_some(Closing(self))
    }

    /// Seals the gate, also while writers are inside.
    pub fn seal(&self) {
        // `Acquire`: what is read next has the hits of the writers that have left.
        // unnoticed: no answer tells which writers had left by then
        self.0.fetch_or(SEALED, Ordering::Acquire);
    }

    /// Whether no writer is inside at this moment. A writer that enters later sees what the caller did before.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.fetch_add(0, Ordering::AcqRel) & INSIDE == 0
    }
}

impl Closing<'_> {
    /// Seals the gate; false if a writer entered meanwhile, and then it is open.
    #[must_use]
    pub fn try_seal(self) -> bool {
        // `Relaxed`: it succeeds on the closer's own word only, and a writer that is turned away needs no more than the word.
        self.0.0.compare_exchange(CLOSING, SEALED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        // Does nothing if the gate was sealed, or if a writer has taken `closing` away.
        self.0.0.fetch_and(!CLOSING, Ordering::Relaxed);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
