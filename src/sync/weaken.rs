//! Loom's atomics with orderings that a test can weaken, one at a time and without compiling anew.
//!
//! Each method knows the place in the source that calls it. [`sites`] tells which orderings a model reaches, and
//! [`with`] runs a model while one of them is weaker than written; `tests/sweep` does so with all of them.
//!
//! Tests: `tests/models`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::Location;

use loom::sync::atomic::{self, Ordering};

/// One ordering in the source that is not `Relaxed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The file, as the compiler was given it.
    pub file: &'static str,
    /// The line of the operation's name.
    pub line: u32,
    /// The column of the operation's name, from 1.
    pub column: u32,
    /// Which ordering of the operation: 1 is the one on failure, 0 any other.
    pub argument: u8,
    /// The ordering.
    pub order: &'static str,
}

/// One ordering, and its replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakening {
    /// As of [`Site::file`].
    pub file: String,
    /// As of [`Site::line`].
    pub line: u32,
    /// As of [`Site::column`].
    pub column: u32,
    /// As of [`Site::argument`].
    pub argument: u8,
    /// The weaker ordering.
    pub order: Ordering,
}

// Loom runs all threads of a model on one OS thread.
thread_local! {
    static LISTING: Cell<bool> = const { Cell::new(false) };
    static SEEN: RefCell<BTreeSet<Site>> = const { RefCell::new(BTreeSet::new()) };
    static WEAK: RefCell<Option<Weakening>> = const { RefCell::new(None) };
}

/// Runs `model` and lists the orderings that it reaches in this OS thread.
pub fn sites(model: impl FnOnce()) -> BTreeSet<Site> {
    SEEN.take();
    LISTING.set(true);
    model();
    LISTING.set(false);
    SEEN.take()
}

/// Runs `model` with one ordering weakened in this OS thread.
pub fn with(weakening: Weakening, model: impl FnOnce()) {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            WEAK.set(None);
        }
    }
    WEAK.set(Some(weakening));
    let _off = Off;
    model();
}

/// Returns the ordering to use in place of `order` for the operation at `place`.
fn weakened(order: Ordering, place: &'static Location<'static>, argument: u8) -> Ordering {
    let name = match order {
        Ordering::Acquire => "Acquire",
        Ordering::Release => "Release",
        Ordering::AcqRel => "AcqRel",
        _ => return order,
    };
    if LISTING.get() {
        let (file, line, column) = (place.file(), place.line(), place.column());
        SEEN.with_borrow_mut(|seen| seen.insert(Site { file, line, column, argument, order: name }));
    }
    WEAK.with_borrow(|weak| match weak {
        Some(weak)
            if weak.line == place.line()
                && weak.column == place.column()
                && weak.argument == argument
                && weak.file == place.file() =>
        {
            weak.order
        }
        _ => order,
    })
}

/// Methods of all atomics.
macro_rules! words {
    ($value:ty) => {
        /// Reads the word.
        #[track_caller]
        pub fn load(&self, order: Ordering) -> $value {
            self.0.load(weakened(order, Location::caller(), 0))
        }

        /// Overwrites the word.
        #[track_caller]
        pub fn store(&self, value: $value, order: Ordering) {
            self.0.store(value, weakened(order, Location::caller(), 0));
        }

        /// Overwrites the word and returns its old value.
        #[track_caller]
        pub fn swap(&self, value: $value, order: Ordering) -> $value {
            self.0.swap(value, weakened(order, Location::caller(), 0))
        }

        /// Replaces `seen` by `value`.
        #[track_caller]
        pub fn compare_exchange(
            &self,
            seen: $value,
            value: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            let (success, failure) =
                (weakened(success, Location::caller(), 0), weakened(failure, Location::caller(), 1));
            self.0.compare_exchange(seen, value, success, failure)
        }

        /// Replaces `seen` by `value`; never fails spuriously under loom.
        #[track_caller]
        pub fn compare_exchange_weak(
            &self,
            seen: $value,
            value: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            self.compare_exchange(seen, value, success, failure)
        }
    };
}

/// An atomic integer.
macro_rules! integer {
    ($name:ident, $value:ty, $($operation:ident)*) => {
        /// An atomic integer.
        #[derive(Debug, Default)]
        pub struct $name(atomic::$name);

        impl $name {
            /// A word that holds `value`.
            #[track_caller]
            pub fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            words!($value);

            $(
                /// Changes the word and returns its old value.
                #[track_caller]
                pub fn $operation(&self, value: $value, order: Ordering) -> $value {
                    self.0.$operation(value, weakened(order, Location::caller(), 0))
                }
            )*
        }
    };
}

integer!(AtomicU32, u32, fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min);
integer!(AtomicU64, u64, fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min);
integer!(AtomicUsize, usize, fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min);

/// An atomic pointer.
#[derive(Debug)]
pub struct AtomicPtr<T>(atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    /// A word that holds `value`.
    #[track_caller]
    pub fn new(value: *mut T) -> Self {
        Self(atomic::AtomicPtr::new(value))
    }

    words!(*mut T);
}
