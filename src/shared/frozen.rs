//! Cells of the writers that this file's slots had before its own writer began.
//!
//! A file that was copied, or woke up on another boot, goes on under another writer (origin.rs). Its slots hold what both
//! counted; what is the former writer's share is written here, once, when the file is made, and never changes:
//!
//! ```text
//! [ life, plus 1 ][ replica: process, sequence ][ generation ][ n ] ( [ tick ][ count ] ) x n   ...   0
//! ```
//! The writer's own share of a slot is the slot less these. Nobody needs it to count: only what leaves the file, or comes into
//! it, is by writer.

use std::collections::BTreeMap;

use crate::cell::writer::{Replica, Writer};
use crate::sync::{AtomicU64, Ordering};
use crate::time::Tick;
use crate::window::Cell;

/// By life and writer: the hits of each tick.
pub type Frozen = BTreeMap<usize, BTreeMap<Writer, BTreeMap<Tick, u64>>>;

/// The most hits of a cell.
pub const MOST: u64 = i64::MAX as u64;

/// What `words` say; what does not fit into them, or lies beyond `last`, is left out.
pub fn read(words: &[AtomicU64], last: Tick) -> Frozen {
    let mut frozen = Frozen::new();
    let mut words = words.iter().map(|word| word.load(Ordering::Relaxed));
    while let Some(life) = words.next().and_then(|life| life.checked_sub(1)) {
        let (Some(process), Some(sequence), Some(generation), Some(cells)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            break;
        };
        let writer = Writer { replica: Replica { process, sequence }, generation };
        let of = frozen.entry(life as usize).or_default().entry(writer).or_default();
        for _ in 0..cells {
            let (Some(tick), Some(count)) = (words.next(), words.next()) else { break };
            if (1..=MOST).contains(&count) && Tick(tick) <= last {
                of.insert(Tick(tick), count);
            }
        }
    }
    frozen
}

/// The words that say it.
pub fn write(frozen: &Frozen) -> Vec<u64> {
    let mut words = Vec::new();
    for (&life, writers) in frozen {
        for (writer, cells) in writers {
            let Writer { replica: Replica { process, sequence }, generation } = *writer;
            words.extend([life as u64 + 1, process, sequence, generation, cells.len() as u64]);
            words.extend(cells.iter().flat_map(|(tick, &count)| [tick.0, count]));
        }
    }
    if !words.is_empty() {
        words.push(0);
    }
    words
}

/// What is left of `cells`, those of a life, without what is frozen of it.
pub fn without(cells: impl Iterator<Item = Cell>, frozen: Option<&BTreeMap<Writer, BTreeMap<Tick, u64>>>) -> Vec<Cell> {
    let of = |tick: Tick| -> u64 {
        frozen
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter_map(|cells| cells.get(&tick))
            .fold(0, |sum, &count| sum.saturating_add(count))
    };
    let rest = cells.map(|cell| Cell { count: cell.count.saturating_sub(of(cell.tick)), ..cell });
    rest.filter(|cell| cell.count > 0).collect()
}
