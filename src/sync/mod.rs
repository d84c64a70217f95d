//! The only door to atomics, locks and model checkers.
//!
//! Every other module takes its atomics from here, so that one `--cfg` swaps the whole crate under a model checker:
//!
//! | build | atomics | what it proves |
//! |---|---|---|
//! | ordinary | `std`, typed words through the `atomic` crate | |
//! | `--cfg hitring_model --cfg hitring_loom` | `loom`, through `weaken` | every interleaving *and* every value the C11 memory model allows, for small models |
//! | `--cfg hitring_model --cfg hitring_shuttle` | `shuttle` | randomised and depth-first interleavings of larger models, sequentially consistent |
//!
//! No algorithm here needs a single total order, so nothing uses `SeqCst`, which loom cannot check. The exception is
//! [`PROTECTED`], the order in which a pointer is loaded whose target a collector may free: the collector's own fences need it.
//!
//! [`Typed`] is an atomic 64-bit word that holds a newtype such as [`Tick`](crate::time::Tick), so that a tick cannot
//! be stored where a count is meant.
//!
//! Tests: `tests/models`.

#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod mutant;
pub(crate) mod gate;
pub(crate) mod stamp;
pub mod table;
pub(crate) mod life;
pub(crate) mod per_process;
pub mod threads;
#[cfg(hitring_loom)]
pub mod weaken;

pub use std::sync::atomic::Ordering;

use bytemuck::Pod;

#[cfg(hitring_loom)]
use loom::sync as locks;
#[cfg(hitring_shuttle)]
use shuttle::sync as locks;
#[cfg(not(hitring_model))]
use std::sync as locks;

#[cfg(not(hitring_loom))]
use locks::atomic as words;
#[cfg(hitring_loom)]
use weaken as words;

// Aliases, not exports: the lint that forbids the types elsewhere would see through an export.

/// An atomic pointer.
pub type AtomicPtr<T> = words::AtomicPtr<T>;
/// An atomic `u32`.
pub type AtomicU32 = words::AtomicU32;
/// An atomic `u64`.
pub type AtomicU64 = words::AtomicU64;
/// An atomic `usize`.
pub type AtomicUsize = words::AtomicUsize;

/// Atomics for words of the whole process, which no model has.
pub mod process {
    /// An atomic `u64`, under a model checker too.
    pub type AtomicU64 = std::sync::atomic::AtomicU64;
}

/// The order of a load whose target may be freed by a collector, as seize's `Guard::protect` has it. An `Acquire` load that
/// is not sequentially consistent may be reordered before the entry into the guard (`ldapr` on ARM), and then the collector
/// does not know of the reader. On x86 both are the same instruction.
#[cfg(not(hitring_model))]
pub const PROTECTED: Ordering = Ordering::SeqCst;
/// The models have collectors of their own, which lock.
#[cfg(hitring_model)]
pub const PROTECTED: Ordering = Ordering::Acquire;

/// Lies in memory that a collector frees, so that a model checker notices a read that is not before it.
#[derive(Debug)]
pub struct Watched {
    #[cfg(hitring_loom)]
    freed: loom::cell::UnsafeCell<bool>,
    #[cfg(hitring_shuttle)]
    freed: std::sync::atomic::AtomicBool,
}

// SAFETY: under loom only `free` writes the cell, and loom itself checks that no read overlaps that write or follows
// it.
#[cfg(hitring_loom)]
unsafe impl Sync for Watched {}
// SAFETY: it holds nothing.
#[cfg(hitring_loom)]
unsafe impl Send for Watched {}

impl Default for Watched {
    fn default() -> Self {
        Self::new()
    }
}

impl Watched {
    /// For memory that has not been freed.
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            #[cfg(hitring_loom)]
            freed: loom::cell::UnsafeCell::new(false),
            #[cfg(hitring_shuttle)]
            freed: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Notes that the memory is read.
    #[inline(always)]
    pub fn look(&self) {
        #[cfg(hitring_loom)]
        // SAFETY: loom panics unless every write is ordered before this read.
        let freed = self.freed.with(|freed| unsafe { *freed });
        #[cfg(hitring_shuttle)]
        let freed = self.freed.load(Ordering::Relaxed);
        #[cfg(hitring_model)]
        assert!(!freed, "Causality violation: freed memory was read");
    }

    /// Notes that the memory is freed.
    #[cfg(hitring_model)]
    pub fn free(&self) {
        #[cfg(hitring_loom)]
        // SAFETY: loom panics unless every read is ordered before this write.
        self.freed.with_mut(|freed| unsafe { *freed = true });
        #[cfg(hitring_shuttle)]
        self.freed.store(true, Ordering::Relaxed);
    }
}

/// Lets the other side run while the caller waits for a bounded critical section of it.
pub fn relax() {
    #[cfg(hitring_loom)]
    loom::thread::yield_now();
    #[cfg(hitring_shuttle)]
    shuttle::thread::yield_now();
    #[cfg(not(hitring_model))]
    std::thread::yield_now();
}

/// Pauses for less than a microsecond without leaving the core. Used after an exchange that was lost to another
/// process: that process has the cache line and makes several exchanges of its own before it has to give the line back.
pub fn pause() {
    #[cfg(hitring_loom)]
    loom::thread::yield_now();
    #[cfg(hitring_shuttle)]
    shuttle::thread::yield_now();
    #[cfg(not(hitring_model))]
    for _ in 0..50 {
        std::hint::spin_loop();
    }
}

/// A mutex without poisoning: no critical section of this crate can leave its data half changed by a panic.
#[derive(Debug)]
pub struct Mutex<T>(locks::Mutex<T>);

/// Holds a [`Mutex`] locked.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    inner: locks::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Self(locks::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.guard(match self.0.lock() {
            Ok(inner) => inner,
            Err(poisoned) => poisoned.into_inner(),
        })
    }

    /// Takes the lock if no thread holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(inner) => Some(self.guard(inner)),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(self.guard(poisoned.into_inner())),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    fn guard<'a>(&'a self, inner: locks::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        sanitizer::acquired(self);
        MutexGuard { mutex: self, inner }
    }
}

impl<T> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // Before `inner` is dropped, and with it the lock.
        sanitizer::releasing(self.mutex);
    }
}

/// Tells ThreadSanitizer of the locks. It does not see the standard library's, which is compiled without it.
mod sanitizer {
    #[cfg(hitring_tsan)]
    unsafe extern "C" {
        fn __tsan_acquire(address: *const std::ffi::c_void);
        fn __tsan_release(address: *const std::ffi::c_void);
    }

    /// `lock` has just been taken.
    #[inline(always)]
    pub fn acquired<T>(lock: &T) {
        let _ = lock;
        #[cfg(hitring_tsan)]
        // SAFETY: the address is only a name to the sanitizer.
        unsafe {
            __tsan_acquire(std::ptr::from_ref(lock).cast());
        }
    }

    /// `lock` is about to be given back.
    #[inline(always)]
    pub fn releasing<T>(lock: &T) {
        let _ = lock;
        #[cfg(hitring_tsan)]
        // SAFETY: as above.
        unsafe {
            __tsan_release(std::ptr::from_ref(lock).cast());
        }
    }
}

/// An atomic 64-bit word that holds a `T`.
#[cfg(not(hitring_model))]
pub struct Typed<T: Pod>(atomic::Atomic<T>);

/// An atomic 64-bit word that holds a `T`.
#[cfg(hitring_model)]
pub struct Typed<T: Pod>(AtomicU64, std::marker::PhantomData<T>);

#[cfg(not(hitring_model))]
impl<T: Pod> Typed<T> {
    /// A word that holds `value`.
    pub const fn new(value: T) -> Self {
        Self(atomic::Atomic::new(value))
    }

    /// Reads the word.
    #[inline]
    pub fn load(&self, order: Ordering) -> T {
        self.0.load(order)
    }

    /// Overwrites the word.
    #[inline]
    pub fn store(&self, value: T, order: Ordering) {
        self.0.store(value, order);
    }

    /// Replaces `seen` by `value`; may fail spuriously.
    #[inline]
    pub fn compare_exchange_weak(&self, seen: T, value: T, success: Ordering, failure: Ordering) -> Result<T, T> {
        self.0.compare_exchange_weak(seen, value, success, failure)
    }
}

#[cfg(hitring_model)]
impl<T: Pod> Typed<T> {
    /// A word that holds `value`.
    #[cfg_attr(hitring_loom, track_caller)]
    pub fn new(value: T) -> Self {
        Self(AtomicU64::new(bytemuck::cast(value)), std::marker::PhantomData)
    }

    /// Reads the word.
    #[cfg_attr(hitring_loom, track_caller)]
    pub fn load(&self, order: Ordering) -> T {
        bytemuck::cast(self.0.load(order))
    }

    /// Overwrites the word.
    #[cfg_attr(hitring_loom, track_caller)]
    pub fn store(&self, value: T, order: Ordering) {
        self.0.store(bytemuck::cast(value), order);
    }

    /// Replaces `seen` by `value`; may fail spuriously.
    #[cfg_attr(hitring_loom, track_caller)]
    pub fn compare_exchange_weak(&self, seen: T, value: T, success: Ordering, failure: Ordering) -> Result<T, T> {
        self.0
            .compare_exchange(bytemuck::cast(seen), bytemuck::cast(value), success, failure)
            .map(bytemuck::cast)
            .map_err(bytemuck::cast)
    }
}

impl<T: Pod + Ord> Typed<T> {
    /// Raises the word to `value` unless it is already there or above.
    ///
    /// A lost exchange means that another thread raised it, so the loop ends after at most as many turns as there are
    /// distinct values between the one seen and `value`.
    #[cfg_attr(hitring_loom, track_caller)]
    pub fn raise(&self, value: T, order: Ordering) {
        let mut seen = self.load(Ordering::Relaxed);
        while seen < value {
            match self.compare_exchange_weak(seen, value, order, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => seen = newer,
            }
        }
    }
}

impl<T: Pod + std::fmt::Debug> std::fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.load(Ordering::Relaxed).fmt(f)
    }
}

/// Adds to a word that only its owner writes: a plain load and store, no read-modify-write.
///
/// Must be called by the word's single writer only; any thread may read.
#[inline]
#[cfg_attr(hitring_loom, track_caller)]
pub fn add_owned(word: &AtomicU64, amount: u64, order: Ordering) {
    word.store(word.load(Ordering::Relaxed).saturating_add(amount), order);
}
