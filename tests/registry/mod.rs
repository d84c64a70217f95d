//! Registries, seen from outside.
//!
//! * [`conformance`]: one battery for every strategy, against a list of all hits;
//! * [`fleet`]: registries that record, swap, remove, prune, snapshot, restore, merge and clone in any order;
//! * [`behaviour`]: what the documentation promises, one by one;
//! * [`handles`]: which endpoint a handle is of, after removals and restores;
//! * [`late`]: which hits are late;
//! * [`collector`]: a registry that merges snapshots of many short-lived ones;
//! * [`bytes`]: snapshots that are broken, foreign or forged;
//! * [`visitors`]: how many visitors came;
//! * [`threads`]: real threads against swaps, prunes, removals and evictions;
//! * [`reclamation`]: a former generation is not freed while a thread reads it.

mod behaviour;
mod bytes;
mod collector;
mod conformance;
mod custom;
pub mod fleet;
mod handles;
mod late;
mod reclamation;
mod threads;
mod visitors;

use hitring::Timestamp;

/// Seconds since 1970.
pub fn at(secs: u64) -> Timestamp {
    Timestamp::try_from(secs).expect("a time of the tests is before the year 10000")
}

/// A usual time.
const START: u64 = 1_700_000_000;
