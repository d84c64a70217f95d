//! The finds of removals elsewhere: how many hits of a writer in a tick are void (cell/removal.rs). The finds of removals in this
//! file are in the lives that are over.
//!
//! ```text
//! entry   [ version ][ name ][ replica: process, sequence ][ generation ][ tick ][ hits ][ - ]   one line
//! ```
//! | version | the entry | moved by |
//! |---|---|---|
//! | 0 | is empty | a merge, to the next odd version |
//! | odd | is being written, or its writer was killed; readers skip it | a merge, to the next even version |
//! | even | is complete; `hits` may rise | a merge, to the next odd version, once the tick is out of every window |
//!
//! Merges take turns under the file's lock. Readers do not take turns. A reader that finds the version changed after it read the
//! words skips the entry, because the old one is out of every window and the merge that writes the new one is not done. (Mutant
//! `FindUnversioned`: the version stays while the words change.)
//!
//! **Progress.** Reading is wait-free: one pass.
//!
//! Tests: below, `tests/models/finds.rs`, `tests/shared/exchange.rs`.

use std::collections::BTreeMap;

use crate::cell::writer::{Replica, Writer};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Tick;

/// The words of an entry.
pub const FIND: usize = 8;

const VERSION: usize = 0;
const HITS: usize = 6;

/// How many entries a file has room for if the removals are not known yet. Few removals find hits of many writers.
pub fn room_for(endpoints: u32) -> u64 {
    u64::from(endpoints).max(64)
}

/// The entries of a file.
#[derive(Clone, Copy, Debug)]
pub struct Finds<'a>(pub &'a [AtomicU64]);

/// The key of an entry: a name, by its unit, a writer and a tick.
pub type Key = (u64, Writer, Tick);

/// A merge's way to write entries.
#[derive(Debug)]
pub struct Writing<'a> {
    finds: Finds<'a>,
    told: BTreeMap<Key, usize>,
    /// Entries that may be written, the last one first.
    free: Vec<usize>,
}

impl<'a> Finds<'a> {
    fn entries(self) -> impl Iterator<Item = &'a [AtomicU64; FIND]> {
        self.0.as_chunks().0.iter()
    }

    /// The complete entries, with their hits.
    pub fn iter(self) -> impl Iterator<Item = (Key, u64)> {
        self.entries().filter_map(read)
    }

    /// Begins to write entries: into empty ones first, then over those whose ticks lie before `expired`. Under the file's lock.
    pub fn write(self, expired: Tick) -> Writing<'a> {
        let (mut told, mut free, mut old) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (index, entry) in self.entries().enumerate() {
            match read(entry) {
                Some((key, _)) if key.2 < expired => old.push(index),
                Some((key, _)) => _ = told.insert(key, index),
                None => free.push(index),
            }
        }
        free.reverse();
        old.extend(free);
        Writing { finds: self, told, free: old }
    }
}

impl Writing<'_> {
    /// Writes that `hits` were found. Answers false if the entry does not fit.
    pub fn tell(&mut self, key: Key, hits: u64) -> bool {
        let entries = self.finds.0.as_chunks::<FIND>().0;
        if let Some(&index) = self.told.get(&key) {
            entries[index][HITS].fetch_max(hits, Ordering::AcqRel);
            return true;
        }
        let Some(index) = self.free.pop() else { return false };
        write(&entries[index], key, hits);
        self.told.insert(key, index);
        true
    }
}

fn write(entry: &[AtomicU64; FIND], (name, writer, tick): Key, hits: u64) {
    let version = entry[VERSION].load(Ordering::Relaxed) | 1;
    if !mutated!(FindUnversioned) {
        // `Relaxed`: the words that follow release it.
        entry[VERSION].store(version, Ordering::Relaxed);
    }
    let Writer { replica: Replica { process, sequence }, generation } = writer;
    for (word, said) in entry[1..].iter().zip([name, process, sequence, generation, tick.0, hits]) {
        word.store(said, Ordering::Release);
    }
    entry[VERSION].store(version.wrapping_add(1), Ordering::Release);
}

fn read(entry: &[AtomicU64; FIND]) -> Option<(Key, u64)> {
    let version = entry[VERSION].load(Ordering::Acquire);
    if version == 0 || version & 1 == 1 {
        return None;
    }
    // `Acquire`: a reader that sees a word of a later write sees that write's odd version, too.
    let word = |index: usize| entry[index].load(Ordering::Acquire);
    let writer = Writer { replica: Replica { process: word(2), sequence: word(3) }, generation: word(4) };
    let told = ((word(1), writer, Tick(word(5))), word(HITS));
    (entry[VERSION].load(Ordering::Relaxed) == version).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sequence: u64, tick: u64) -> Key {
        (1, Writer { replica: Replica { process: 7, sequence }, generation: 1 }, Tick(tick))
    }

    #[test]
    fn entries_are_raised_and_those_out_of_every_window_are_written_again() {
        let words: Vec<AtomicU64> = (0..FIND * 2).map(|_| AtomicU64::new(0)).collect();
        let finds = Finds(&words);
        let mut writing = finds.write(Tick(0));
        assert!(writing.tell(key(1, 10), 5) && writing.tell(key(2, 20), 6));
        assert!(writing.tell(key(1, 10), 7) && writing.tell(key(1, 10), 3), "they are told already");
        assert!(!writing.tell(key(3, 30), 1), "the table is full");
        assert_eq!(finds.iter().collect::<Vec<_>>(), [(key(1, 10), 7), (key(2, 20), 6)]);
        // The first is out of every window.
        let mut writing = finds.write(Tick(11));
        assert!(writing.tell(key(3, 30), 1) && !writing.tell(key(4, 40), 1));
        assert_eq!(finds.iter().collect::<Vec<_>>(), [(key(3, 30), 1), (key(2, 20), 6)]);
        // A process that is killed while it writes leaves an odd version.
        words[VERSION].fetch_add(1, Ordering::Relaxed);
        assert_eq!(finds.iter().collect::<Vec<_>>(), [(key(2, 20), 6)]);
        assert!(finds.write(Tick(11)).tell(key(5, 50), 2));
        assert_eq!(finds.iter().collect::<Vec<_>>(), [(key(5, 50), 2), (key(2, 20), 6)]);
    }
}
