//! The growing table: a value is seen whole or not at all, and all threads agree on it.

use hitring::sync::table::Table;

use crate::explorer::{Arc, check, spawn};

const DISAGREE: &str = "two threads have different values at one index";

/// Two threads put a value in at the same index while a third looks.
fn one_value() {
    let table = Arc::new(Table::<Value>::new());
    let threads = [1, 2].map(|mine| {
        let table = Arc::clone(&table);
        spawn(move || table.get_or_insert_with(0, || Value::new(mine)).expect("the table has an index 0").get())
    });
    let reader = {
        let table = Arc::clone(&table);
        spawn(move || table.iter().map(Value::get).next())
    };
    let seen = reader.join().expect("a model thread ends");
    let values = threads.map(|thread| thread.join().expect("a model thread ends"));
    assert_eq!(values[0], values[1], "{DISAGREE}");
    assert!(seen.is_none_or(|seen| seen == values[0]), "{DISAGREE}");
}

#[test]
fn a_value_is_seen_whole_or_not_at_all() {
    check(one_value);
    // A matter of memory order alone, which only loom explores.
    #[cfg(hitring_loom)]
    crate::explorer::fails(hitring::sync::mutant::Mutant::TableRelaxedPublish, "ausality", one_value);
}

/// A plain value whose accesses loom checks against the order of memory.
#[cfg(hitring_loom)]
struct Value(loom::cell::UnsafeCell<u64>);

#[cfg(hitring_loom)]
impl Value {
    fn new(value: u64) -> Self {
        let cell = loom::cell::UnsafeCell::new(0);
        // SAFETY: no other thread has the cell yet.
        cell.with_mut(|p| unsafe { *p = value });
        Self(cell)
    }

    fn get(&self) -> u64 {
        // SAFETY: a cell that is in a table is not written any more.
        self.0.with(|p| unsafe { *p })
    }
}

// SAFETY: after it was made the cell is only read; loom checks just that.
#[cfg(hitring_loom)]
unsafe impl Sync for Value {}
// SAFETY: a number.
#[cfg(hitring_loom)]
unsafe impl Send for Value {}

#[cfg(not(hitring_loom))]
struct Value(u64);

#[cfg(not(hitring_loom))]
impl Value {
    fn new(value: u64) -> Self {
        Self(value)
    }

    fn get(&self) -> u64 {
        self.0
    }
}
