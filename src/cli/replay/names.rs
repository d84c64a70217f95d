//! Names with small numbers: every path and every client is stored once and is an id from then on.
//!
//! The bytes of all names lie in one vector, in the order of their ids, and a hash table holds the ids. A name of n
//! bytes costs n + 8 bytes and some 16 in the table, and no allocation of its own. The table keeps 32 bits of each hash,
//! so that growing it reads no name, and a name is compared only when those agree.
//!
//! Tests: below, `tests/replay`.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

/// The number of a name. Ids are given out from 0 in the order in which names first appear.
pub(super) type Id = u32;

/// The hash of all names. Threads that draw names by it draw the same ones, so that what they drew can be merged.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// Distinct byte strings, numbered.
#[derive(Default)]
pub(super) struct Names {
    table: HashTable<Entry>,
    bytes: Vec<u8>,
    /// Where each name ends in `bytes`; it begins where the one before ends.
    ends: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    id: Id,
}

impl Entry {
    /// The table takes its index from the low bits and its tag from the highest, so both must hold the hash.
    fn spread(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}

impl Names {
    /// The id of `name`, which is stored when it is new.
    pub(super) fn id(&mut self, name: &[u8]) -> Id {
        let hash = Self::hash(name);
        if let Some(entry) = self.table.find(Entry::spread(hash), |entry| self.is(*entry, hash, name)) {
            return entry.id;
        }
        let id = Id::try_from(self.ends.len()).expect("a tally keeps fewer");
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len());
        self.table.insert_unique(Entry::spread(hash), Entry { hash, id }, |entry| Entry::spread(entry.hash));
        id
    }

    /// Adds the names of others, and returns the id here of each of theirs.
    pub(super) fn merge(&mut self, other: &Names) -> Vec<Id> {
        self.table.reserve(other.len(), |entry| Entry::spread(entry.hash));
        (0..).take(other.len()).map(|id| self.id(other.name(id))).collect()
    }

    /// Keeps the names of which `keep` is true, under new ids in the same order. Returns the new id of each old one.
    pub(super) fn retain(&mut self, keep: impl Fn(Id, &[u8]) -> bool) -> Vec<Option<Id>> {
        let mut kept = Names::default();
        let ids = (0..).take(self.len());
        let new = ids.map(|id| {
            let name = self.name(id);
            keep(id, name).then(|| kept.id(name))
        });
        let new = new.collect();
        *self = kept;
        new
    }

    /// Whether a name is among those that are drawn: one in 2^`halvings`, always the same ones, and all that are drawn for
    /// more halvings.
    pub(super) fn is_drawn(name: &[u8], halvings: u32) -> bool {
        // The table has the upper half of the hash.
        (HASHES.hash_one(name) as u32).trailing_zeros() >= halvings
    }

    /// The bytes of all names.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The id of `name` when it has one.
    pub(super) fn find(&self, name: &[u8]) -> Option<Id> {
        let hash = Self::hash(name);
        self.table.find(Entry::spread(hash), |entry| self.is(*entry, hash, name)).map(|entry| entry.id)
    }

    /// The name that `id` stands for.
    pub(super) fn name(&self, id: Id) -> &[u8] {
        let at = id as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn hash(name: &[u8]) -> u32 {
        (HASHES.hash_one(name) >> 32) as u32
    }

    fn is(&self, entry: Entry, hash: u32, name: &[u8]) -> bool {
        entry.hash == hash && self.name(entry.id) == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_names_come_back() {
        let mut names = Names::default();
        for (name, id) in [(&b"/a"[..], 0), (b"", 1), (b"/b", 2), (b"/a", 0), (b"\0", 3), (b"", 1), (b"\xff", 4)] {
            assert_eq!(names.id(name), id);
            assert_eq!(names.name(id), name);
        }
        assert_eq!((names.len(), names.find(b"/b"), names.find(b"/c")), (5, Some(2), None));
    }

    #[test]
    fn many_names_stay_apart_while_the_table_grows() {
        // So many that some ten pairs of them share the 32 bits of their hashes.
        let mut names = Names::default();
        for round in 0..2 {
            for number in 0..300_000_u32 {
                let id = names.id(format!("/{number}").as_bytes());
                assert_eq!(id, number, "round {round}");
            }
        }
        assert_eq!(names.len(), 300_000);
        assert_eq!(names.name(299_999), b"/299999");
    }

    #[test]
    fn names_are_forgotten() {
        let mut names = Names::default();
        for name in ["a", "b", "c", "d"] {
            names.id(name.as_bytes());
        }
        let new = names.retain(|id, name| id == 3 || name == b"b");
        assert_eq!(new, [None, Some(0), None, Some(1)]);
        assert_eq!((names.len(), names.bytes(), names.find(b"a"), names.find(b"d")), (2, 2, None, Some(1)));
        assert_eq!(names.id(b"a"), 2);
    }

    #[test]
    fn about_half_of_the_names_are_drawn_each_time() {
        let drawn = |halvings| (0..4_096).filter(|n| Names::is_drawn(format!("{n}").as_bytes(), halvings)).count();
        assert_eq!(drawn(0), 4_096);
        // Ten standard deviations.
        assert!(drawn(1).abs_diff(2_048) < 320 && drawn(2).abs_diff(1_024) < 280, "{} {}", drawn(1), drawn(2));
        assert!((0..=255).all(|n| !Names::is_drawn(&[n], 3) || Names::is_drawn(&[n], 2)));
    }
}
