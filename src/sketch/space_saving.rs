//! The most frequent items of one stream, in room for `k`, with a bound on what each count may be off.
//!
//! Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams",
//! 2005), with amounts. `k` items are counted. One that is not among them takes the place of the item with the smallest
//! count, and that count with it:
//!
//! ```text
//!            item  count  error                    item  count  error
//!            a       9      0     add(c, 1)        a       9      0
//! smallest   b       2      0     -------->        c       3      2      2 of the 3 may be others'
//! ```
//!
//! With `n` hits in all, what holds after each add:
//!
//! * the counts add up to `n`, so the smallest, the *floor* of a full list, is at most `n / k`;
//! * for a listed item, `count - error <= its hits <= count`, and `error <= floor`;
//! * an item that is not listed has at most `floor` hits. So every item with more than `n / k` hits is listed.
//!
//! # Several streams
//! [`Summary::fold`] (Agarwal, Cormode, Huang, Phillips, Wei and Yi, "Mergeable Summaries", 2012): counts add, errors add. A
//! stream that does not list the item adds its floor to both, as it may have had so many. The `k` largest stay, and the floor
//! `f` of the fold is the sum `s` of floors, or the largest count that was left out if that is more.
//!
//! The bounds above hold for the fold of `n` hits in all, and for folds of folds: what was left out has at most `f`, and
//! `f <= n / k`. For write `c - f` for what a count has above the floor: in one list these add up to `n - k f`, so in
//! several to `n - k s`. Leaving out the `k + 1`th, which has `l` above `s`, leaves at most `n - k s - l`; measured from
//! `f = s + l` instead of `s` that is `k l` less, at most `n - k f`; and none is negative.
//!
//! Folding adds, so it is not a join. A fold is read and thrown away, or travels as the list of one writer.
//!
//! # Layout
//! Entries in the order they came; a heap of their indices, the smallest count first; a hash map from item to index. An add
//! costs one look-up and O(log k) exchanges in the heap.
//!
//! Tests: `tests/sketch`.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// No count is larger.
pub const MAX: u64 = i64::MAX as u64;

/// The most frequent items of a stream.
#[derive(Debug)]
pub struct SpaceSaving<T> {
    k: usize,
    entries: Vec<Entry<T>>,
    /// Indices of entries; none has a smaller count than the one at half its place.
    heap: Vec<u32>,
    index: HashMap<T, u32, foldhash::fast::RandomState>,
    hits: u64,
    adds: u64,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    count: u64,
    error: u64,
    /// Where in the heap it is.
    place: u32,
}

/// What a stream, or several, has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary<T> {
    /// Item, count and error; the largest count first.
    pub items: Vec<(T, u64, u64)>,
    /// The most hits that an item which is not listed may have had.
    pub floor: u64,
}

impl<T: Eq + Hash + Ord + Clone> SpaceSaving<T> {
    /// An empty list of at most `k` items, at least 1.
    pub fn new(k: usize) -> Self {
        Self { k, entries: Vec::new(), heap: Vec::new(), index: HashMap::default(), hits: 0, adds: 0 }
    }

    /// How many adds it has counted.
    pub fn adds(&self) -> u64 {
        self.adds
    }

    /// Counts `amount` hits of `item`. Answers `false` and changes nothing, if all hits would be more than 2^63 - 1.
    #[must_use]
    pub fn add<Q>(&mut self, item: &Q, amount: u64) -> bool
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = T> + ?Sized,
    {
        let Some(hits) = self.hits.checked_add(amount).filter(|hits| *hits <= MAX) else { return false };
        if amount == 0 {
            return true;
        }
        self.hits = hits;
        self.adds += 1;
        if let Some(&known) = self.index.get(item) {
            let entry = &mut self.entries[known as usize];
            entry.count += amount;
            let place = entry.place;
            self.sink(place as usize);
        } else if self.entries.len() < self.k {
            let (new, item) = (self.entries.len() as u32, item.to_owned());
            self.entries.push(Entry { item: item.clone(), count: amount, error: 0, place: new });
            self.heap.push(new);
            self.index.insert(item, new);
            self.rise(new as usize);
        } else {
            let (smallest, item) = (self.heap[0], item.to_owned());
            let entry = &mut self.entries[smallest as usize];
            entry.error = entry.count;
            entry.count += amount;
            let replaced = std::mem::replace(&mut entry.item, item.clone());
            self.index.remove::<T>(&replaced);
            self.index.insert(item, smallest);
            self.sink(0);
        }
        true
    }

    /// What it has counted so far.
    pub fn summary(&self) -> Summary<T> {
        let mut items: Vec<_> = self.entries.iter().map(|e| (e.item.clone(), e.count, e.error)).collect();
        sort(&mut items);
        let floor = if self.entries.len() < self.k { 0 } else { self.count(0) };
        Summary { items, floor }
    }

    fn count(&self, place: usize) -> u64 {
        self.entries[self.heap[place] as usize].count
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for place in [a, b] {
            self.entries[self.heap[place] as usize].place = place as u32;
        }
    }

    /// Brings a count that was raised down to its place.
    fn sink(&mut self, mut place: usize) {
        while let Some(child) =
            (2 * place + 1..=2 * place + 2).filter(|c| *c < self.heap.len()).min_by_key(|c| self.count(*c))
        {
            if self.count(child) >= self.count(place) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    /// Brings a new count up to its place.
    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.count(place) < self.count((place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }
}

/// The largest count first; of equal ones the surer, then the smaller item.
fn sort<T: Ord>(items: &mut [(T, u64, u64)]) {
    items.sort_unstable_by(|(item, count, error), (other, others, off)| {
        others.cmp(count).then(error.cmp(off)).then_with(|| item.cmp(other))
    });
}

impl<T: Ord + Clone> Summary<T> {
    /// The `k` most frequent of several streams. The order of the streams makes no difference.
    pub fn fold<'a>(k: usize, streams: impl IntoIterator<Item = &'a Self>) -> Self
    where
        T: 'a,
    {
        let mut floor = 0u128;
        // What the streams that list the item add beyond their floors, which are added at the end.
        let mut listed: BTreeMap<&T, (i128, i128)> = BTreeMap::new();
        for stream in streams {
            let below = i128::from(stream.floor);
            floor += u128::from(stream.floor);
            for (item, count, error) in &stream.items {
                let (counts, errors) = listed.entry(item).or_default();
                *counts += i128::from(*count) - below;
                *errors += i128::from(*error) - below;
            }
        }
        let held = |number: i128| number.clamp(0, i128::from(MAX)) as u64;
        let floor = i128::try_from(floor).unwrap_or(i128::MAX);
        let mut items: Vec<_> = listed
            .into_iter()
            .map(|(item, (count, error))| (item.clone(), held(count + floor), held(error + floor)))
            .collect();
        sort(&mut items);
        let left_out = items.get(k).map_or(0, |(_, count, _)| *count);
        items.truncate(k);
        Self { items, floor: held(floor).max(left_out) }
    }
}
