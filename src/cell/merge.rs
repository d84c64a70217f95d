//! Merging what several writers have counted.
//!
//! # Joins
//! [`Merge`] is for states where merging is a *join*, and for nothing else. For all `a`, `b`, `c`, writing `a + b` for `a`
//! after merging `b`, and comparing what the states hold:
//!
//! | law | | so that |
//! |---|---|---|
//! | commutative | `a + b = b + a` | it does not matter which of two states merges the other |
//! | associative | `(a + b) + c = a + (b + c)` | neither order nor the number of stations matters |
//! | idempotent | `a + a = a` | a copy may come twice, or late |
//! | growing | `a + b` holds at least what `a` holds | no hit is taken back |
//!
//! Together they mean that replicas which have received the same states hold the same, in whatever order and however
//! often the states came. Property tests keep each law for each implementation.
//!
//! | implementation | joins |
//! |---|---|
//! | [`GCounter`](crate::GCounter) | cells by the larger count |
//! | [`BottomK`](crate::BottomK) | samples by union, of which the smallest tags stay |
//! | [`PerWriter`] | writers by the higher version |
//!
//! # States that do not join
//! Merging two Morris registers, two lists of the most frequent or two reservoirs adds them, so merging one twice
//! counts it twice. They travel as [`PerWriter`]: each writer's state beside the others', whole, and a newer state
//! replaces an older. They are put together (*folded*) only to be read, and a folded state is never sent to another
//! replica.
//!
//! The price is room for one state a writer. A program that creates writers without end (a copy of a copy of a copy,
//! each of which records) keeps all of their states.
//!
//! Tests: `tests/merge`.

use std::collections::BTreeMap;

use crate::cell::writer::Writer;

/// A state that joins with others of its kind: see the laws at the top of the module.
///
/// ```
/// use hitring::{GCounter, Merge};
///
/// fn all<T: Merge>(mut first: T, others: &[T]) -> T {
///     others.iter().for_each(|other| first.merge(other));
///     first
/// }
/// let (a, b) = (GCounter::new("a")?, GCounter::new("b")?);
/// a.record(2);
/// b.record(3);
/// assert_eq!(all(a, &[b.clone(), b]).count(), 5);
/// # Ok::<(), hitring::SketchError>(())
/// ```
pub trait Merge {
    /// Takes in the contents of `other`. Commutative, associative, idempotent, and growing.
    fn merge(&mut self, other: &Self);
}

/// States of several writers, the newest known of each.
///
/// A writer never gives two states the same version, and a later state has a higher one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerWriter<S> {
    states: BTreeMap<Writer, (u64, S)>,
}

impl<S> PerWriter<S> {
    /// Builds an empty map, without any writer.
    #[must_use]
    pub const fn new() -> Self {
        Self { states: BTreeMap::new() }
    }

    /// Takes in a writer's state, unless it has a state of that version or a higher. Returns whether it did.
    pub fn put(&mut self, writer: Writer, version: u64, state: S) -> bool {
        let is_newer = self.states.get(&writer).is_none_or(|(known, _)| *known < version);
        if is_newer {
            self.states.insert(writer, (version, state));
        }
        is_newer
    }

    /// The writers, ascending, with their states and the versions of these.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Writer, u64, &S)> + ExactSizeIterator {
        self.states.iter().map(|(&writer, (version, state))| (writer, *version, state))
    }

    /// Puts the states together, one after the other in the order of their writers.
    pub fn fold<A>(&self, start: A, step: impl FnMut(A, &S) -> A) -> A {
        self.states.values().map(|(_, state)| state).fold(start, step)
    }

    /// The number of writers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether it has no writers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Takes in the states of all writers but `except`.
    pub(crate) fn merge_except(&mut self, other: &Self, except: Writer)
    where
        S: Clone,
    {
        for (&writer, (version, state)) in &other.states {
            let known = self.states.get(&writer).map(|(known, _)| *known);
            if writer != except && known.is_none_or(|known| known < *version) {
                self.states.insert(writer, (*version, state.clone()));
            }
        }
    }
}

impl<S> Default for PerWriter<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone> Merge for PerWriter<S> {
    fn merge(&mut self, other: &Self) {
        for (&writer, (version, state)) in &other.states {
            if self.states.get(&writer).is_none_or(|(known, _)| known < version) {
                self.states.insert(writer, (*version, state.clone()));
            }
        }
    }
}
