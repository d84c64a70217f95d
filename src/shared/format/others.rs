//! Totals of the registries whose hits came here: merged ones, and the file that this one was made from.
//!
//! ```text
//! table   [ rows ][ totals of folded registries: 7 ][ first tick after their hits ][ CRC-32 ] ( row ) x 512      twice
//! row     [ replica: process, sequence ][ totals: 7 ][ newest tick ][ first young tick if unsure, plus 1 ]
//! totals  [ counted, late, future, saturated, refused ][ pruned hits, pruned endpoints ]
//! ```
//! For what the words mean, and how registries are folded when there are too many, see `registry/replicas.rs`.
//!
//! The last bit of the number of merges says which of the two tables is read. A merge writes the other one whole and then counts
//! itself, so a process that is killed in between changes nothing. Merges take turns under the file's lock. A reader that finds
//! the number changed after it read the words reads again. (Mutant `OthersInPlace`: the table that is read is written.) The
//! checksum is of that number, too.
//!
//! **Progress.** Reading is lock-free: it is repeated only if a merge was done meanwhile.
//!
//! Tests: `tests/models/others.rs`, `tests/shared/boots.rs`, `tests/shared/fleet.rs`.

use std::collections::BTreeMap;

use super::checksum::checksum;
use super::layout::{OTHER, OTHERS, OTHERS_HEAD};
use crate::cell::outcome::Outcomes;
use crate::cell::totals::Totals;
use crate::cell::writer::Replica;
use crate::registry::replicas::{Known, Replicas};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Tick;

/// The word of the head that is the checksum.
const SUM: usize = OTHERS_HEAD - 1;

/// The totals of a file.
#[derive(Clone, Copy, Debug)]
pub struct Others<'a> {
    /// Both tables.
    pub words: &'a [AtomicU64],
    /// How many merges there were.
    pub merges: &'a AtomicU64,
}

impl<'a> Others<'a> {
    fn table(self, merges: u64) -> &'a [AtomicU64] {
        let (even, odd) = self.words.split_at(self.words.len() / 2);
        if merges & 1 == 0 { even } else { odd }
    }

    /// The words of the table that is read.
    pub fn words(self) -> Vec<u64> {
        loop {
            let merges = self.merges.load(Ordering::Acquire);
            // `Acquire`: a reader that sees a word of a later merge sees the number that the merge before it left.
            let words = self.table(merges).iter().map(|word| word.load(Ordering::Acquire)).collect();
            if self.merges.load(Ordering::Relaxed) == merges {
                return words;
            }
        }
    }

    /// Lets `words` be read instead, with zeroes behind them. Under the file's lock.
    pub fn put(self, words: impl Iterator<Item = u64>) {
        let merges = self.merges.load(Ordering::Relaxed);
        let next = if mutated!(OthersInPlace) { merges } else { merges.wrapping_add(1) };
        for (word, said) in self.table(next).iter().zip(words.chain(std::iter::repeat(0))) {
            word.store(said, Ordering::Release);
        }
        self.merges.store(next, Ordering::Release);
    }

    /// The totals of the registries.
    pub fn read(self) -> Replicas {
        let words = self.words();
        let (head, rows) = words.split_at(OTHERS_HEAD);
        let rows = rows.as_chunks::<OTHER>().0.iter().take(head[0] as usize);
        let known = rows.map(|row| {
            let replica = Replica { process: row[0], sequence: row[1] };
            (
                replica,
                Known { totals: totals(&row[2..]), newest: Tick(row[9]), unsure: row[10].checked_sub(1).map(Tick) },
            )
        });
        let known: BTreeMap<Replica, Known> = known.collect();
        Replicas { known, folded: totals(&head[1..]), folded_to: Tick(head[8]), tried: Tick(0) }
    }

    /// Lets `replicas` be read instead. Those that were silent since `since` are folded if there are too many, and if that is not
    /// enough, others, too. Under the file's lock.
    pub fn write(self, mut replicas: Replicas, since: Tick) {
        replicas.fold(OTHERS, since);
        replicas.fold(OTHERS, Tick(u64::MAX));
        let head = std::iter::once(replicas.known.len() as u64);
        let row = |(replica, known): (Replica, Known)| {
            let unsure = known.unsure.map_or(0, |tick| tick.0.saturating_add(1));
            let ends = [known.newest.0, unsure];
            [replica.process, replica.sequence].into_iter().chain(words_of(known.totals)).chain(ends)
        };
        let head: Vec<u64> = head.chain(words_of(replicas.folded)).chain([replicas.folded_to.0]).collect();
        let rows: Vec<u64> = replicas.known.into_iter().flat_map(row).collect();
        let number = self.merges.load(Ordering::Relaxed).wrapping_add(1);
        let sum = checksum(std::iter::once(number).chain(head.iter().chain(&rows).copied()));
        self.put(head.into_iter().chain([sum]).chain(rows));
    }

    /// Whether the table that is read matches its checksum. Beside a merge it may seem not to.
    pub fn is_whole(self) -> bool {
        let number = self.merges.load(Ordering::Acquire);
        let words = self.words();
        let (head, rows) = words.split_at(OTHERS_HEAD);
        let Some((rows, rest)) = rows.split_at_checked((head[0] as usize).saturating_mul(OTHER)) else { return false };
        let sum = checksum(std::iter::once(number).chain(head[..SUM].iter().chain(rows).copied()));
        let is_written = head[SUM] == sum && rest.iter().all(|&word| word == 0);
        is_written || number == 0 && words.iter().all(|&word| word == 0)
    }
}

fn totals(words: &[u64]) -> Totals {
    let [counted, late, future, saturated, refused] = [words[0], words[1], words[2], words[3], words[4]];
    let outcomes = Outcomes::from_array([counted, late, future, saturated, refused]);
    Totals { outcomes, pruned_events: words[5], pruned_endpoints: words[6] }
}

fn words_of(totals: Totals) -> impl Iterator<Item = u64> {
    totals.outcomes.to_array().into_iter().chain([totals.pruned_events, totals.pruned_endpoints])
}
