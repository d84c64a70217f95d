//! Totals of the registries whose hits came here: merged ones, and the file that this one was made from.
//!
//! ```text
//! row   [ replica: process, sequence ][ counted, late, future, saturated, refused ][ pruned hits, pruned endpoints ]
//! ```
//! Rows are added under the file's lock, after their words are written; each word after the replica only grows.
//!
//! Tests: `tests/shared`.

use super::layout::OTHER;
use crate::cell::outcome::Outcomes;
use crate::cell::totals::Totals;
use crate::cell::writer::Replica;
use crate::sync::{AtomicU64, Ordering};

/// The rows of a file.
#[derive(Clone, Copy, Debug)]
pub struct Others<'a> {
    pub words: &'a [AtomicU64],
    /// How many there are.
    pub used: &'a AtomicU64,
}

impl<'a> Others<'a> {
    fn row(self, index: usize) -> Option<&'a [AtomicU64]> {
        self.words.get(index.checked_mul(OTHER)?..)?.get(..OTHER)
    }

    /// How many there are.
    pub fn len(self) -> usize {
        (self.used.load(Ordering::Acquire) as usize).min(self.words.len() / OTHER)
    }

    /// The registry of row `index`.
    pub fn replica(self, index: usize) -> Option<Replica> {
        let row = self.row(index).filter(|_| index < self.len())?;
        Some(Replica { process: row[0].load(Ordering::Relaxed), sequence: row[1].load(Ordering::Relaxed) })
    }

    /// Where `replica` is.
    pub fn position(self, replica: Replica) -> Option<usize> {
        (0..self.len()).find(|&index| self.replica(index) == Some(replica))
    }

    /// Every row.
    pub fn iter(self) -> impl Iterator<Item = (Replica, Totals)> {
        (0..self.len()).filter_map(move |index| {
            let row = self.row(index)?;
            let word = |at: usize| row[at].load(Ordering::Acquire);
            let outcomes = Outcomes::from_array([word(2), word(3), word(4), word(5), word(6)]);
            Some((self.replica(index)?, Totals { outcomes, pruned_events: word(7), pruned_endpoints: word(8) }))
        })
    }

    /// Where `replica` is, with a row if there is room. Under the file's lock.
    pub fn find_or_add(self, replica: Replica) -> Option<usize> {
        if let Some(index) = self.position(replica) {
            return Some(index);
        }
        let index = self.len();
        let row = self.row(index)?;
        row[0].store(replica.process, Ordering::Relaxed);
        row[1].store(replica.sequence, Ordering::Relaxed);
        self.used.store(index as u64 + 1, Ordering::Release);
        Some(index)
    }

    /// Raises the totals of row `index`.
    pub fn raise(self, index: usize, totals: Totals) {
        let Some(row) = self.row(index) else { return };
        let [counted, late, future, saturated, refused] = totals.outcomes.to_array();
        let said = [counted, late, future, saturated, refused, totals.pruned_events, totals.pruned_endpoints];
        for (word, said) in row[2..].iter().zip(said) {
            word.fetch_max(said, Ordering::AcqRel);
        }
    }

    /// The totals of all together.
    pub fn sum(self) -> Totals {
        self.iter().fold(Totals::default(), |sum, (_, totals)| sum.plus(totals))
    }
}
