//! A table that only grows: values by small index, put in once, readable for ever.
//!
//! ```text
//! first     [ptr] x 32 -> T              an entry is null, then points to its value until the table is dropped
//! buckets   [ptr][ptr][ptr] ...          bucket b has 32 << b entries, allocated when first needed
//!             |    +-> [ptr] x 64
//!             +-> [ptr] x 32 -> T
//! ```
//!
//! | pointer | who may move it | what it unlocks |
//! |---|---|---|
//! | null | any thread, by one exchange (`Release`); the loser frees its own | |
//! | set | nobody, until the table is dropped | reading what it points to, after an `Acquire` load |
//!
//! `len` is one more than the largest index that anybody began to put in; it is raised before the exchange, so whoever
//! sees a value also sees a `len` beyond it, and a reader of the whole table need not look further.
//!
//! If a reader's load comes after the exchange, the exchange's release makes the value's contents visible to it; if it
//! comes before, the reader sees null and there is no value yet. (Relaxing the exchange: mutant `TableRelaxedPublish`.)
//!
//! **Progress.** [`Table::get`]: wait-free, one load, or two from the 33rd index on. [`Table::get_or_insert_with`]: wait-free but for the allocator,
//! at most two exchanges, none repeated, and raising `len`. [`Table::iter`]: wait-free, two loads an entry up to `len`.

use std::marker::PhantomData;
use std::ptr;

use crate::mutant::mutated;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};

const FIRST: usize = 32;
const BUCKETS: usize = 12;

struct Bucket<T> {
    entries: Box<[AtomicPtr<T>]>,
}

impl<T> Bucket<T> {
    fn new(len: usize) -> Self {
        Self { entries: (0..len).map(|_| AtomicPtr::new(ptr::null_mut())).collect() }
    }
}

/// A table of up to [`Table::CAPACITY`] values.
pub struct Table<T> {
    first: [AtomicPtr<T>; FIRST],
    buckets: [AtomicPtr<Bucket<T>>; BUCKETS],
    len: AtomicUsize,
    owns: PhantomData<T>,
}

// SAFETY: the table hands out `&T` to every thread and drops `T` in whichever thread drops the table, as an `Arc<T>`
// does.
unsafe impl<T: Send + Sync> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Table<T> {}

impl<T> Table<T> {
    /// One more than the largest index.
    pub const CAPACITY: usize = FIRST << BUCKETS;

    /// An empty table; it allocates nothing.
    pub fn new() -> Self {
        Self {
            first: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            buckets: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            len: AtomicUsize::new(0),
            owns: PhantomData,
        }
    }

    /// The bucket of an `index` that is not among the first, and the place in it.
    fn place(index: usize) -> (usize, usize) {
        let bucket = (index.ilog2() - FIRST.ilog2()) as usize;
        (bucket, index - (FIRST << bucket))
    }

    /// The value at `index`, if it was put in and `index` is among the first 32, which take one load and no call.
    #[inline]
    pub fn near(&self, index: usize) -> Option<&T> {
        // SAFETY: as in `get`.
        unsafe { self.first.get(index)?.load(Ordering::Acquire).as_ref() }
    }

    /// One more than the largest index that may have been put in.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether nothing was ever put in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`, if it was put in.
    pub fn get(&self, index: usize) -> Option<&T> {
        match self.first.get(index) {
            // SAFETY: a pointer in a table is null or came from `Box::into_raw` and is freed in `drop` alone; `Acquire`
            // pairs with the exchange in `publish`.
            Some(entry) => unsafe { entry.load(Ordering::Acquire).as_ref() },
            None => self.get_further(index),
        }
    }

    #[inline(never)]
    fn get_further(&self, index: usize) -> Option<&T> {
        let (bucket, place) = Self::place(index);
        // SAFETY: as in `get`.
        let bucket = unsafe { self.buckets.get(bucket)?.load(Ordering::Acquire).as_ref() }?;
        // SAFETY: as in `get`.
        unsafe { bucket.entries.get(place)?.load(Ordering::Acquire).as_ref() }
    }

    /// The value at `index`, which `make` makes if there is none. Where two threads make one, one is dropped.
    ///
    /// `None` beyond the table's capacity.
    pub fn get_or_insert_with(&self, index: usize, make: impl FnOnce() -> T) -> Option<&T> {
        let entry = match self.first.get(index) {
            Some(entry) => entry,
            None => {
                let (bucket, place) = Self::place(index);
                publish(self.buckets.get(bucket)?, || Bucket::new(FIRST << bucket)).entries.get(place)?
            }
        };
        self.len.fetch_max(index + 1, Ordering::Relaxed);
        Some(publish(entry, make))
    }

    /// The values that are there, in the order of their indices. One put in meanwhile may be missing.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

/// What `entry` points to, made by `make` if that is nothing yet.
fn publish<T>(entry: &AtomicPtr<T>, make: impl FnOnce() -> T) -> &T {
    let seen = entry.load(Ordering::Acquire);
    // SAFETY: as in `get`.
    if let Some(value) = unsafe { seen.as_ref() } {
        return value;
    }
    let ours = Box::into_raw(Box::new(make()));
    let order = if mutated!(TableRelaxedPublish) { Ordering::Relaxed } else { Ordering::Release };
    match entry.compare_exchange(ptr::null_mut(), ours, order, Ordering::Acquire) {
        // SAFETY: `ours` is valid and stays so until the table is dropped.
        Ok(_) => unsafe { &*ours },
        Err(theirs) => {
            // SAFETY: the exchange failed, so nobody else has ever seen `ours`.
            drop(unsafe { Box::from_raw(ours) });
            // SAFETY: another thread's value, read with `Acquire`.
            unsafe { &*theirs }
        }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        for entry in &self.first {
            drop_value(entry);
        }
        for bucket in &self.buckets {
            let bucket = bucket.load(Ordering::Acquire);
            if bucket.is_null() {
                continue;
            }
            // SAFETY: `&mut self`: no reference into the table is left, and every pointer came from `Box::into_raw`.
            let bucket = unsafe { Box::from_raw(bucket) };
            bucket.entries.iter().for_each(drop_value);
        }
    }
}

fn drop_value<T>(entry: &AtomicPtr<T>) {
    let value = entry.load(Ordering::Acquire);
    if !value.is_null() {
        // SAFETY: only called by `drop`: no reference into the table is left, and the pointer came from
        // `Box::into_raw`.
        drop(unsafe { Box::from_raw(value) });
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(all(test, not(any(hitring_loom, hitring_shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn every_index_has_a_place_of_its_own() {
        let mut expected = FIRST;
        for bucket in 0..BUCKETS {
            for place in 0..FIRST << bucket {
                assert_eq!(Table::<u8>::place(expected), (bucket, place));
                expected += 1;
            }
        }
        assert_eq!(expected, Table::<u8>::CAPACITY);
        let table = Table::new();
        assert!(table.get_or_insert_with(Table::<u8>::CAPACITY, || 0u8).is_none());
        assert!(table.get(Table::<u8>::CAPACITY).is_none());
    }

    #[test]
    fn racing_makers_agree_and_everything_is_dropped_once() {
        let counted = Arc::new(());
        let table = Table::new();
        let go = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !go.load(std::sync::atomic::Ordering::Acquire) {}
                    for index in 0..2_000 {
                        let value = table.get_or_insert_with(index, || (index, Arc::clone(&counted)));
                        assert_eq!(value.map(|v| v.0), Some(index));
                    }
                });
            }
            go.store(true, std::sync::atomic::Ordering::Release);
        });
        assert!(table.iter().map(|v| v.0).eq(0..2_000));
        assert_eq!(Arc::strong_count(&counted), 2_001);
        drop(table);
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}
