//! Estimates: what takes less room than a count and says how far it may be off.
//!
//! | sketch | what it answers | memory | stated error |
//! |---|---|---|---|
//! | [`morris`] | how many hits | 6 to 24 bits | relative standard error of one estimate |
//! | [`morris_ring`] | how many hits in each tick, and of all time | as many bits a tick, and a share of a lap | the same, of any sum of ticks |
//! | [`morris_counter`] | how many hits, by any threads, merged | a word a writer | the same |
//! | [`reservoir`] | `k` of the items that were added | `k` items a writer | none: each has the same chance |
//! | [`bottom_k`] | the same, merged in any order | `k` items and tags | none: as above |
//! | `top_k` | the most frequent items | `k` items a thread, at most 16, and `k` a writer | for each count, how much of it may be others' |
//! | [`hyperloglog`] | how many different items | 56 bytes, then up to 6 bits a register | relative standard error of an estimate of many |
//! | [`uniques`] | how many different items in the last N seconds, and ever | 80 bytes, then a HyperLogLog for each sixteenth of the window | that of HyperLogLog |
//!
//! [`draw`] is where random numbers come from.
//!
//! Tests: `tests/sketch`.

pub mod draw;
pub mod bottom_k;
pub mod g_counter;
pub mod hyperloglog;
pub mod morris;
pub mod morris_counter;
pub mod morris_ring;
pub mod reservoir;
pub mod space_saving;
pub mod top_k;
pub mod uniques;

use crate::error::SketchError;

/// `k` itself, if a sample or a list may have room for so many items.
fn size(k: usize) -> Result<usize, SketchError> {
    if (1..=1 << 20).contains(&k) { Ok(k) } else { Err(SketchError::Size { given: k }) }
}
