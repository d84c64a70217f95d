//! Sorted cells: how many hits each key has, in one sorted vector.
//!
//! A key is added by appending it to `pending`; when that is full it is sorted, equal keys become one cell, and the cells
//! are merged into the sorted ones, in place. `pending` may hold half as many keys as there are cells (and at least
//! [`LEAST_PENDING`]), so a key is moved a bounded number of times on average, and memory follows the number of
//! **distinct** keys, not the number of hits: a log of a billion lines with few paths stays small.
//!
//! Keys are two ids in 64 bits ([`key`]): (path, second) with the number of hits, (path, client) with nothing.
//!
//! Tests: below, `tests/replay`.

use super::names::Id;

/// Keys that are sorted at once at least. Small enough to be sorted in the cache.
const LEAST_PENDING: usize = 1 << 15;

/// The key of a pair. Pairs with the same first id lie together, ordered by the second.
pub(super) fn key(first: Id, second: Id) -> u64 {
    u64::from(first) << 32 | u64::from(second)
}

/// What a cell keeps beside its key.
pub(super) trait Kept: Copy {
    /// For the first hit of a key.
    const ONE: Self;
    /// For more hits of it.
    fn add(&mut self, more: Self);
}

/// The number of hits.
impl Kept for u64 {
    const ONE: u64 = 1;
    fn add(&mut self, more: u64) {
        *self += more;
    }
}

/// Nothing: the key alone matters.
impl Kept for () {
    const ONE: () = ();
    fn add(&mut self, (): ()) {}
}

/// Cells under construction.
pub(super) struct Cells<K> {
    /// Sorted by key, each key once.
    sorted: Vec<(u64, K)>,
    pending: Vec<u64>,
}

impl<K: Kept> Cells<K> {
    pub(super) fn new() -> Cells<K> {
        Cells { sorted: Vec::new(), pending: Vec::with_capacity(LEAST_PENDING) }
    }

    /// Counts one hit of `key`.
    pub(super) fn add(&mut self, key: u64) {
        if self.pending.len() == self.pending.capacity() {
            self.settle();
        }
        self.pending.push(key);
    }

    /// All cells, sorted by key.
    pub(super) fn into_sorted(mut self) -> Vec<(u64, K)> {
        self.settle();
        self.sorted
    }

    /// How many cells are sorted.
    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The sorted cells, and none pending.
    pub(super) fn settled(&mut self) -> &[(u64, K)] {
        self.settle();
        &self.sorted
    }

    /// Gives pairs new ids, or drops those that get none. Pairs that become equal become one cell.
    pub(super) fn renumber(&mut self, new: impl Fn(Id, Id) -> Option<(Id, Id)>) {
        self.settle();
        let old = std::mem::take(&mut self.sorted);
        self.put(renumbered(old, new).collect());
    }

    /// Adds the cells of others, whose pairs get new ids.
    pub(super) fn merge(&mut self, other: Cells<K>, new: impl Fn(Id, Id) -> Option<(Id, Id)>) {
        self.settle();
        let mut cells = std::mem::take(&mut self.sorted);
        cells.extend(renumbered(other.into_sorted(), new));
        self.put(cells);
    }

    /// Takes cells in any order. Those of equal pairs become one.
    fn put(&mut self, mut cells: Vec<(u64, K)>) {
        cells.sort_unstable_by_key(|cell| cell.0);
        cells.dedup_by(|next, cell| {
            let same = next.0 == cell.0;
            if same {
                cell.1.add(next.1);
            }
            same
        });
        cells.shrink_to_fit();
        self.sorted = cells;
        self.pending = Vec::with_capacity(LEAST_PENDING.max(self.sorted.len() / 2));
    }

    /// Merges what is pending into the sorted cells.
    fn settle(&mut self) {
        self.pending.sort_unstable();
        let fresh = self.add_to_known_keys();
        self.insert(&fresh);
        self.pending.clear();
        self.pending.reserve_exact(self.sorted.len() / 2);
    }

    /// Adds the pending hits of keys that have a cell, and returns new cells for the others.
    fn add_to_known_keys(&mut self) -> Vec<(u64, K)> {
        let mut fresh: Vec<(u64, K)> = Vec::new();
        let mut known = self.sorted.iter_mut().peekable();
        for equal in self.pending.chunk_by(|a, b| a == b) {
            let mut hits = K::ONE;
            equal[1..].iter().for_each(|_| hits.add(K::ONE));
            while known.next_if(|cell| cell.0 < equal[0]).is_some() {}
            match known.next_if(|cell| cell.0 == equal[0]) {
                Some(cell) => cell.1.add(hits),
                None => fresh.push((equal[0], hits)),
            }
        }
        fresh
    }

    /// Merges cells with new keys into the sorted ones, from the back, so that no cell is moved twice.
    fn insert(&mut self, fresh: &[(u64, K)]) {
        let (mut old_left, mut fresh_left) = (self.sorted.len(), fresh.len());
        self.sorted.reserve_exact(fresh.len());
        self.sorted.extend_from_slice(fresh);
        for to in (0..self.sorted.len()).rev() {
            if fresh_left == 0 {
                break; // What is left of the old cells is in its place.
            }
            if old_left > 0 && self.sorted[old_left - 1].0 > fresh[fresh_left - 1].0 {
                old_left -= 1;
                self.sorted[to] = self.sorted[old_left];
            } else {
                fresh_left -= 1;
                self.sorted[to] = fresh[fresh_left];
            }
        }
    }
}

/// Cells whose pairs get new ids, without those that get none.
fn renumbered<K>(cells: Vec<(u64, K)>, new: impl Fn(Id, Id) -> Option<(Id, Id)>) -> impl Iterator<Item = (u64, K)> {
    cells.into_iter().filter_map(move |(pair, kept)| {
        let (first, second) = new((pair >> 32) as Id, pair as Id)?;
        Some((key(first, second), kept))
    })
}

/// The cells of all pairs whose first id is `first`.
pub(super) fn of_first<K>(cells: &[(u64, K)], first: Id) -> &[(u64, K)] {
    let from = cells.partition_point(|cell| cell.0 < key(first, 0));
    let to = cells.partition_point(|cell| cell.0 <= key(first, Id::MAX));
    &cells[from..to]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn counted(keys: &[u64]) -> Vec<(u64, u64)> {
        let mut counts = BTreeMap::new();
        keys.iter().for_each(|&key| *counts.entry(key).or_insert(0) += 1);
        counts.into_iter().collect()
    }

    #[test]
    fn many_keys_through_many_merges() {
        // A multiplier that is coprime to the modulus visits every residue: 100,000 keys, 9 hits each.
        let keys: Vec<u64> = (0..900_000).map(|step| step * 7_919 % 100_000).collect();
        let mut cells = Cells::<u64>::new();
        keys.iter().for_each(|&key| cells.add(key));
        assert_eq!(cells.into_sorted(), (0..100_000).map(|key| (key, 9)).collect::<Vec<_>>());
    }

    #[test]
    fn the_cells_of_one_id_are_found() {
        let mut cells = Cells::<()>::new();
        for (first, second) in [(1, Id::MAX), (0, 7), (1, 0), (2, 0), (Id::MAX, Id::MAX), (1, 0)] {
            cells.add(key(first, second));
        }
        let cells = cells.into_sorted();
        let seconds = |first| of_first(&cells, first).iter().map(|cell| cell.0 as Id).collect::<Vec<_>>();
        assert_eq!(seconds(0), [7]);
        assert_eq!(seconds(1), [0, Id::MAX]);
        assert_eq!(seconds(3), [0; 0]);
        assert_eq!(seconds(Id::MAX), [Id::MAX]);
    }

    #[test]
    fn pairs_get_new_ids() {
        let mut cells = Cells::<u64>::new();
        for (first, second) in [(5, 1), (5, 2), (3, 1), (3, 3), (3, 3), (4, 3), (9, 0)] {
            cells.add(key(first, second));
        }
        cells.renumber(|first, second| (first != 9).then_some((first / 5, second / 2)));
        cells.add(key(1, 1));
        assert_eq!(cells.into_sorted(), [(key(0, 0), 1), (key(0, 1), 3), (key(1, 0), 1), (key(1, 1), 2)]);
    }

    proptest! {
        #[test]
        fn cells_count_like_a_map(batches in proptest::collection::vec(
            proptest::collection::vec(0_u64..40, 0..30), 0..6)) {
            let mut cells = Cells::<u64>::new();
            for batch in &batches {
                batch.iter().for_each(|&key| cells.add(key));
                cells.settle();
            }
            prop_assert_eq!(cells.into_sorted(), counted(&batches.concat()));
        }
    }
}
