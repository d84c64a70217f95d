//! Values that belong to one process and not to the children that fork from it.
//!
//! A child inherits the memory of its parent, but only the one thread that forked. So a lock that another thread held
//! stays locked for ever in the child, and a queue that another thread emptied is never emptied again. Such values are
//! kept in a [`PerProcess`], which shows each process only the value that the process itself put in.
//!
//! | value | put in by | seen by | dropped by |
//! |---|---|---|---|
//! | ours | this process | this process | the thread that drops the [`PerProcess`] |
//! | inherited | a process that this one forked from | no thread | no thread: its locks may be locked, so it is leaked |
//!
//! A process is known by its number. If a descendant gets the number of a dead ancestor while it still holds the
//! ancestor's value, it sees that value.
//!
//! **Progress.** It takes no lock, so a fork at any instant leaves nothing locked. [`PerProcess::here`]: wait-free, one
//! system call and two loads for each process of the line that put a value in.
//!
//! Tests: below, `tests/events/forks.rs`, `tests/sketch/forks.rs`.

use std::sync::Arc;

use crate::sync::table::Table;

/// A value for each process of a line of forks.
#[derive(Debug)]
pub struct PerProcess<T> {
    values: Table<Owned<T>>,
}

#[derive(Debug)]
struct Owned<T> {
    process: u32,
    value: Arc<T>,
}

impl<T> PerProcess<T> {
    /// No value for any process.
    pub fn new() -> Self {
        Self { values: Table::new() }
    }

    /// The value that this process put in.
    pub fn here(&self) -> Option<&T> {
        let process = std::process::id();
        self.values.iter().find(|owned| owned.process == process).map(|owned| &*owned.value)
    }

    /// Returns the value that this process put in; the first call makes it with `make`. If two threads make one at
    /// once, one of the values is dropped.
    pub fn here_or_make(&self, make: impl Fn() -> T) -> &T {
        let process = std::process::id();
        let own = || Owned { process, value: Arc::new(make()) };
        (0..Table::<Owned<T>>::CAPACITY)
            .map_while(|index| self.values.get_or_insert_with(index, own))
            .find(|owned| owned.process == process)
            .map(|owned| &*owned.value)
            .expect("no line of forks is as long as the table")
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(Arc::clone(&self.value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_value_and_drops_it() {
        let counted = Arc::new(());
        let values = PerProcess::new();
        assert!(values.here().is_none());
        let first = std::ptr::from_ref(values.here_or_make(|| Arc::clone(&counted)));
        assert_eq!(first, std::ptr::from_ref(values.here_or_make(|| unreachable!("there is one"))));
        assert_eq!(values.here().map(std::ptr::from_ref), Some(first));
        assert_eq!(Arc::strong_count(&counted), 2);
        drop(values);
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    fn what_another_process_put_in_is_neither_seen_nor_dropped() {
        let counted = Arc::new(());
        let values = PerProcess::new();
        let inherited = || Owned { process: 0, value: Arc::new(Arc::clone(&counted)) };
        assert!(values.values.get_or_insert_with(0, inherited).is_some());
        assert!(values.here().is_none());
        values.here_or_make(|| Arc::clone(&counted));
        assert!(values.here().is_some());
        assert_eq!(Arc::strong_count(&counted), 3);
        drop(values);
        assert_eq!(Arc::strong_count(&counted), 2, "ours is dropped, the inherited one leaked");
    }
}
