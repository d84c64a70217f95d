//! A few cells: a word that is given to another tick, and a tick that two threads bring at once.

use hitring::sync::mutant::Mutant;
use hitring::sync::{AtomicU64, Typed};
use hitring::window::geometry::Geometry;
use hitring::window::sparse::{Added, Sparse};
use hitring::{Outcome, Tick};

use super::{geometry, span};
use crate::explorer::{Arc, check, fails, spawn};

const SILENT: &str = "a count is silently low";
const LOST: &str = "a hit was lost or invented";

struct Cells {
    geometry: Geometry,
    words: [AtomicU64; 2],
    forgotten: Typed<Tick>,
    marks: AtomicU64,
}

impl Cells {
    /// A ring has three slots; ticks 1 and 2 have seven hits each.
    fn used() -> Arc<Self> {
        let words = std::array::from_fn(|_| AtomicU64::new(0));
        let cells = Self { geometry: geometry(2, 3), words, forgotten: Typed::new(Tick(0)), marks: AtomicU64::new(0) };
        for tick in [1, 2] {
            assert_eq!(cells.record(tick, 7), Added::Done(Outcome::Counted));
        }
        Arc::new(cells)
    }

    fn sparse(&self) -> Sparse<'_> {
        Sparse { words: &self.words, forgotten: &self.forgotten, marks: &self.marks }
    }

    fn record(&self, tick: u64, amount: u64) -> Added {
        if self.sparse().record_current(&self.geometry, Tick(tick), amount) {
            return Added::Done(Outcome::Counted);
        }
        self.sparse().record(&self.geometry, Tick(tick), amount, |_, _| {})
    }
}

/// Tick 4 takes the word of tick 1 while a reader looks at ticks 1 and 2.
fn a_tick_is_forgotten() {
    let cells = Cells::used();
    let writer = {
        let cells = Arc::clone(&cells);
        spawn(move || assert_eq!(cells.record(4, 1), Added::Done(Outcome::Counted)))
    };
    let reader = {
        let cells = Arc::clone(&cells);
        spawn(move || {
            let reading = cells.sparse().sum(&cells.geometry, span(1, 2));
            assert!(!reading.exact || reading.count == 14, "{SILENT}: {reading:?}");
        })
    };
    writer.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
    assert_eq!(cells.sparse().sum(&cells.geometry, span(2, 4)).count, 8, "{LOST}");
}

/// Two threads bring ticks 5 and 6, or both tick 5.
fn new_ticks(ticks: [u64; 2]) {
    let cells = Cells::used();
    let writers = ticks.map(|tick| {
        let cells = Arc::clone(&cells);
        spawn(move || assert_eq!(cells.record(tick, 1), Added::Done(Outcome::Counted)))
    });
    for writer in writers {
        writer.join().expect("a model thread ends");
    }
    assert_eq!(cells.sparse().sum(&cells.geometry, span(5, 6)).count, 2, "{LOST}");
}

#[test]
fn what_was_forgotten_is_known_to_be_forgotten() {
    check(a_tick_is_forgotten);
    fails(Mutant::SparseForgetsLate, SILENT, a_tick_is_forgotten);
}

#[test]
fn new_ticks_do_not_push_each_other_out() {
    check(|| new_ticks([5, 6]));
    check(|| new_ticks([5, 5]));
    fails(Mutant::SlotLoadStore, LOST, || new_ticks([5, 5]));
}
