//! A place that is filled once, and a table of them that only grows: values by small index, readable for ever.
//!
//! ```text
//! first     [place] x 32                 a place is null, then points to its value until the table is dropped
//! buckets   [place][place] ...           bucket b has 32 << b places, allocated when first needed
//!              |      +-> [place] x 64
//!              +-> [place] x 32
//! ```
//!
//! | place | who may move it | what it unlocks |
//! |---|---|---|
//! | null | any thread, by one exchange (`Release`); the loser frees its own value | |
//! | set | no thread, until it is dropped | reading the value, after an `Acquire` load |
//!
//! `len` is one more than the largest index that any thread began to put in. It is raised before the exchange, so a
//! reader that sees a value also sees a `len` beyond it, and a reader of the whole table need not look further.
//!
//! If a reader's load comes after the exchange, the exchange's release makes the value's contents visible to it. If the
//! load comes before, the reader sees null and finds no value yet. (Relaxing the exchange: mutant
//! `TableRelaxedPublish`.)
//!
//! **Progress.** [`Table::get`]: wait-free, one load, or two from the 33rd index on. [`Table::get_or_insert_with`]:
//! wait-free but for the allocator, at most two exchanges, none repeated, and raising `len`. [`Table::iter`]: wait-free,
//! two loads an entry up to `len`.
//!
//! Tests: below, `tests/models/table.rs`.

use std::marker::PhantomData;
use std::ptr;

use crate::sync::mutant::mutated;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};

const FIRST: usize = 32;
const BUCKETS: usize = 12;

/// A place that is filled once.
pub struct Once<T> {
    value: AtomicPtr<T>,
    owns: PhantomData<T>,
}

// SAFETY: a place hands out `&T` to every thread and drops `T` in the thread that drops the place, as an `Arc<T>` does.
unsafe impl<T: Send + Sync> Send for Once<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// An empty place.
    pub fn new() -> Self {
        Self { value: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }

    /// The value, if there is one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: the pointer is null or came from `Box::into_raw` and is freed in `drop` alone; `Acquire` pairs with
        // the exchange in `get_or_make`.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the value; the first call makes it with `make`. If two threads make one at once, one of the values is
    /// dropped.
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let ours = Box::into_raw(Box::new(make()));
        let order = if mutated!(TableRelaxedPublish) { Ordering::Relaxed } else { Ordering::Release };
        match self.value.compare_exchange(ptr::null_mut(), ours, order, Ordering::Acquire) {
            // SAFETY: `ours` is valid and stays so until the place is dropped.
            Ok(_) => unsafe { &*ours },
            Err(theirs) => {
                // SAFETY: the exchange failed, so no other thread has ever seen `ours`.
                drop(unsafe { Box::from_raw(ours) });
                // SAFETY: another thread's value, read with `Acquire`.
                unsafe { &*theirs }
            }
        }
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        // `Relaxed`: `&mut self`, so every use of the value is ordered before this.
        let value = self.value.load(Ordering::Relaxed);
        if !value.is_null() {
            // SAFETY: `&mut self`: no reference to the value is left, and the pointer came from `Box::into_raw`.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// A table of up to [`Table::CAPACITY`] values.
pub struct Table<T> {
    first: [Once<T>; FIRST],
    buckets: [Once<Box<[Once<T>]>>; BUCKETS],
    len: AtomicUsize,
}

impl<T> Table<T> {
    /// One more than the largest index.
    pub const CAPACITY: usize = FIRST << BUCKETS;

    /// An empty table; it allocates nothing.
    pub fn new() -> Self {
        Self {
            first: std::array::from_fn(|_| Once::new()),
            buckets: std::array::from_fn(|_| Once::new()),
            len: AtomicUsize::new(0),
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
        self.first.get(index)?.get()
    }

    /// One more than the largest index that may have been put in.
    #[inline]
    pub fn len(&self) -> usize {
        // unnoticed: it is raised with `Relaxed`; a value is acquired at its own place
        self.len.load(Ordering::Acquire)
    }

    /// The value at `index`, if it was put in.
    pub fn get(&self, index: usize) -> Option<&T> {
        match self.first.get(index) {
            Some(entry) => entry.get(),
            None => {
                let (bucket, place) = Self::place(index);
                self.buckets.get(bucket)?.get()?.get(place)?.get()
            }
        }
    }

    /// Returns the value at `index`; the first call makes it with `make`. If two threads make one at once, one of the
    /// values is dropped.
    ///
    /// `None` beyond the table's capacity.
    pub fn get_or_insert_with(&self, index: usize, make: impl FnOnce() -> T) -> Option<&T> {
        let entry = match self.first.get(index) {
            Some(entry) => entry,
            None => {
                let (bucket, place) = Self::place(index);
                let places = || (0..FIRST << bucket).map(|_| Once::new()).collect();
                self.buckets.get(bucket)?.get_or_make(places).get(place)?
            }
        };
        self.len.fetch_max(index + 1, Ordering::Relaxed);
        Some(entry.get_or_make(make))
    }

    /// The values that have been put in, in the order of their indices. A value put in meanwhile may be missing.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|index| self.get(index))
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

#[cfg(test)]
#[allow(clippy::disallowed_types)]
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
                    while !go.load(std::sync::atomic::Ordering::Acquire) {
                        std::hint::spin_loop();
                    }
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
