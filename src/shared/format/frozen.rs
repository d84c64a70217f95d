//! Cells of the writers that this file's slots had before its own writer began.
//!
//! A file that was copied, or is opened on another boot, gets a new writer (origin.rs). Its slots hold the hits of both writers.
//! The former writer's share is written here, once, before the new one begins, and never changes:
//!
//! ```text
//! [ life, plus 1 ][ replica: process, sequence ][ generation ][ epoch ][ n ] ( [ tick ][ count ] ) x n   ...   0 ...   [ CRC-32 ]
//! ```
//! The new writer's own share of a slot is the slot less these. Queries do not read the shares, unless hits were removed, because
//! only hits that leave the file or come into it are told apart by writer.
//!
//! Tests: `tests/shared`.

use std::collections::BTreeMap;

use super::checksum::checksum;
use super::names::LAST_EPOCH;
use crate::cell::form::Cell;
use crate::cell::writer::{Replica, Writer};
use crate::sync::{AtomicU64, Ordering};
use crate::time::Tick;

/// A writer's hits in a life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The epoch in which it counted.
    pub epoch: u64,
    /// The hits of each tick.
    pub cells: BTreeMap<Tick, u64>,
}

/// By writer.
pub type Shares = BTreeMap<Writer, Share>;

/// By life and writer.
pub type Frozen = BTreeMap<usize, Shares>;

/// The most hits of a cell.
pub const MOST: u64 = i64::MAX as u64;

impl Share {
    /// Its cells.
    pub fn to_cells(&self) -> Vec<Cell> {
        self.cells.iter().map(|(&tick, &count)| Cell { tick, count }).collect()
    }
}

/// The shares in `words`, life by life, without cells that do not fit into them or lie beyond `last`.
pub fn lives(words: &[AtomicU64], last: Tick) -> impl Iterator<Item = (usize, Shares)> {
    let mut words = words.iter().map(|word| word.load(Ordering::Relaxed));
    let entries = std::iter::from_fn(move || {
        let life = words.next()?.checked_sub(1)?;
        let [process, sequence, generation, epoch, number] = [(); 5].map(|()| words.next());
        let writer = Writer { replica: Replica { process: process?, sequence: sequence? }, generation: generation? };
        let mut cells = BTreeMap::new();
        for _ in 0..number? {
            let (Some(tick), Some(count)) = (words.next(), words.next()) else { break };
            if (1..=MOST).contains(&count) && Tick(tick) <= last {
                cells.insert(Tick(tick), count);
            }
        }
        Some((life as usize, writer, Share { epoch: epoch?.min(LAST_EPOCH), cells }))
    });
    let mut entries = entries.peekable();
    std::iter::from_fn(move || {
        let (life, writer, share) = entries.next()?;
        let mut shares = Shares::from([(writer, share)]);
        while let Some((_, writer, share)) = entries.next_if(|&(next, ..)| next == life) {
            shares.insert(writer, share);
        }
        Some((life, shares))
    })
}

/// The same, of all lives.
pub fn read(words: &[AtomicU64], last: Tick) -> Frozen {
    lives(words, last).collect()
}

/// The words of one life.
pub fn words_of(life: usize, shares: &Shares) -> impl Iterator<Item = u64> {
    shares.iter().flat_map(move |(writer, Share { epoch, cells })| {
        let Writer { replica: Replica { process, sequence }, generation } = *writer;
        let head = [life as u64 + 1, process, sequence, generation, *epoch, cells.len() as u64];
        head.into_iter().chain(cells.iter().flat_map(|(tick, &count)| [tick.0, count]))
    })
}

/// How many words all of it takes; 0 if it is empty.
pub fn room_for(frozen: &Frozen) -> u64 {
    let words: usize = frozen.iter().map(|(&life, shares)| words_of(life, shares).count()).sum();
    // The end and the checksum.
    if words == 0 { 0 } else { words as u64 + 2 }
}

/// Writes all of it to `words`, which have room for as much or more.
pub fn write(words: &[AtomicU64], frozen: &Frozen) {
    let Some((sum, words)) = words.split_last() else { return };
    let said = frozen.iter().flat_map(|(&life, shares)| words_of(life, shares)).chain(std::iter::repeat(0));
    words.iter().zip(said).for_each(|(word, said)| word.store(said, Ordering::Relaxed));
    sum.store(checksum(words.iter().map(|word| word.load(Ordering::Relaxed))), Ordering::Relaxed);
}

/// Whether `words` match their checksum.
pub fn is_whole(words: &[AtomicU64]) -> bool {
    words.split_last().is_none_or(|(sum, words)| {
        sum.load(Ordering::Relaxed) == checksum(words.iter().map(|word| word.load(Ordering::Relaxed)))
    })
}

/// The rest of `cells`, those of a life, without the frozen ones of its `frozen` shares.
pub fn without(cells: impl Iterator<Item = Cell>, frozen: Option<&Shares>) -> Vec<Cell> {
    let of = |tick: Tick| -> u64 {
        frozen
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter_map(|share| share.cells.get(&tick))
            .fold(0, |sum, &count| sum.saturating_add(count))
    };
    let rest = cells.map(|cell| Cell { count: cell.count.saturating_sub(of(cell.tick)), ..cell });
    rest.filter(|cell| cell.count > 0).collect()
}
