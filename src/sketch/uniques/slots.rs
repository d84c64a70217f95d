//! The parts that have a sketch of their own, in a ring. States: see the folder's header.
//!
//! A sketch that was pushed out of its slot is freed when every thread that may be reading it has left. A thread that reads
//! a slot holds a guard of one collector that all rings share (seize), and [`Slots::look`] asks for it. The model checkers do
//! not know seize: under them a pushed-out sketch is kept until the ring is dropped.
//!
//! Tests: `tests/sketch`.

use std::ops::RangeInclusive;
use std::ptr;

use crate::sketch::hyperloglog::HyperLogLog;
use crate::sketch::hyperloglog::precision::{Precision, Register};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicPtr, Ordering};

/// A part and its items.
#[derive(Debug)]
struct Part {
    number: u64,
    items: HyperLogLog,
}

/// A ring of parts.
#[derive(Debug)]
pub struct Slots {
    slots: Box<[AtomicPtr<Part>]>,
    garbage: garbage::Garbage<Part>,
}

impl Slots {
    /// A ring of `slots` parts without items.
    pub fn new(slots: usize) -> Self {
        let empty = || AtomicPtr::new(ptr::null_mut());
        Self { slots: (0..slots).map(|_| empty()).collect(), garbage: garbage::Garbage::default() }
    }

    fn slot(&self, number: u64) -> &AtomicPtr<Part> {
        &self.slots[(number % self.slots.len() as u64) as usize]
    }

    /// The part in a slot, and the pointer to it for an exchange.
    fn look<'g>(&self, slot: &AtomicPtr<Part>, guard: &'g garbage::Guard<'_>) -> (*mut Part, Option<&'g Part>) {
        let found = self.garbage.protect(guard, slot);
        // SAFETY: null or a part that was in the slot after the guard was entered; what is pushed out is retired to the
        // guard's collector, which waits for the guard.
        (found, unsafe { found.as_ref() })
    }

    /// Adds an item to a part, unless a newer one has its slot.
    pub fn add(&self, precision: Precision, number: u64, item: Register) -> bool {
        let (slot, guard) = (self.slot(number), self.garbage.enter());
        let mut made: Option<Box<Part>> = None;
        loop {
            // Pairs with the exchange below.
            let (found, part) = self.look(slot, &guard);
            match part {
                Some(part) if part.number > number => return false,
                Some(part) if part.number == number => {
                    part.items.put(item);
                    return true;
                }
                _ => {}
            }
            let part = made.take().unwrap_or_else(|| {
                let items = HyperLogLog::of(precision);
                items.put(item);
                Box::new(Part { number, items })
            });
            let ours = Box::into_raw(part);
            if mutated!(PartsLoadStore) {
                slot.store(ours, Ordering::Release);
                return true;
            }
            match slot.compare_exchange(found, ours, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    // SAFETY: it was in the slot, a thread that comes later does not find it there, and it is pushed out only once.
                    unsafe { self.garbage.retire(&guard, found) };
                    return true;
                }
                // SAFETY: no other thread has seen it.
                Err(_) => made = Some(unsafe { Box::from_raw(ours) }),
            }
        }
    }

    /// Adds the items of the parts to `union`; answers whether all of them were still there.
    pub fn join(&self, parts: RangeInclusive<u64>, union: &HyperLogLog) -> bool {
        let mut whole = true;
        let guard = self.garbage.enter();
        for number in parts {
            match self.look(self.slot(number), &guard).1 {
                Some(part) if part.number == number => union.merge(&part.items).expect("the precision is the same"),
                Some(part) if part.number > number => whole = false,
                _ => {}
            }
        }
        whole
    }

    /// Shows every part.
    pub fn each(&self, mut show: impl FnMut(u64, &HyperLogLog)) {
        let guard = self.garbage.enter();
        for slot in &self.slots {
            if let Some(part) = self.look(slot, &guard).1 {
                show(part.number, &part.items);
            }
        }
    }

    /// What is allocated.
    pub fn bytes(&self) -> usize {
        let mut bytes = size_of_val(&*self.slots);
        self.each(|_, items| bytes += size_of::<Part>() - size_of::<HyperLogLog>() + items.bytes());
        bytes
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for slot in &self.slots {
            // `Relaxed`: `&mut self`, so all that was done with the part lies before.
            let part = slot.load(Ordering::Relaxed);
            if !part.is_null() {
                // SAFETY: `&mut self`: no other thread reads it, and it came from `Box::into_raw`.
                drop(unsafe { Box::from_raw(part) });
            }
        }
    }
}

#[cfg(not(hitring_model))]
mod garbage {
    use std::marker::PhantomData;
    use std::sync::LazyLock;

    use seize::{Collector, Guard as _, LocalGuard};

    use crate::sync::{AtomicPtr, Ordering};

    /// Keeps what is found under it.
    pub type Guard<'a> = LocalGuard<'a>;

    static COLLECTOR: LazyLock<Collector> = LazyLock::new(Collector::new);

    /// What was pushed out.
    #[derive(Debug)]
    pub struct Garbage<T>(PhantomData<T>);

    impl<T> Default for Garbage<T> {
        fn default() -> Self {
            Self(PhantomData)
        }
    }

    impl<T> Garbage<T> {
        /// Keeps what is found from now on from being freed.
        #[expect(clippy::unused_self, reason = "the models' own needs it")]
        pub fn enter(&self) -> LocalGuard<'static> {
            COLLECTOR.enter()
        }

        /// The pointer in a slot, whose target is not freed before `guard` is left.
        #[expect(clippy::unused_self, reason = "the models' own needs it")]
        pub fn protect(&self, guard: &LocalGuard<'_>, slot: &AtomicPtr<T>) -> *mut T {
            guard.protect(slot, Ordering::Acquire)
        }

        /// Frees `of` when every thread has left that may have found it.
        ///
        /// # Safety
        /// `of` is null, or came from `Box::into_raw` and can no longer be found. It is retired only once.
        #[expect(clippy::unused_self, reason = "the models' own needs it")]
        pub unsafe fn retire(&self, guard: &LocalGuard<'_>, of: *mut T) {
            if !of.is_null() {
                // SAFETY: the caller's promise.
                unsafe { guard.defer_retire(of, seize::reclaim::boxed) };
            }
        }
    }
}

#[cfg(hitring_model)]
mod garbage {
    use std::marker::PhantomData;

    use crate::sync::{AtomicPtr, Mutex, Ordering};

    /// What was pushed out.
    #[derive(Debug)]
    pub struct Garbage<T>(Mutex<Vec<Box<T>>>);

    impl<T> Default for Garbage<T> {
        fn default() -> Self {
            Self(Mutex::new(Vec::new()))
        }
    }

    /// Keeps nothing.
    #[derive(Debug)]
    pub struct Guard<'a>(PhantomData<&'a ()>);

    impl<T> Garbage<T> {
        /// Nothing is freed before the ring is.
        pub fn enter(&self) -> Guard<'_> {
            Guard(PhantomData)
        }

        /// The pointer in a slot.
        pub fn protect(&self, _: &Guard<'_>, slot: &AtomicPtr<T>) -> *mut T {
            slot.load(Ordering::Acquire)
        }

        /// Keeps `of` until the ring is dropped.
        ///
        /// # Safety
        /// `of` is null, or came from `Box::into_raw` and can no longer be found. It is retired only once.
        pub unsafe fn retire(&self, _: &Guard<'_>, of: *mut T) {
            if !of.is_null() {
                // SAFETY: the caller's promise; it is freed with the ring, which no thread reads then.
                self.0.lock().push(unsafe { Box::from_raw(of) });
            }
        }
    }
}
