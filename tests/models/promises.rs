//! What a hit carries along: a thread that sees it also sees what its writer did before, and no hit is seen in two places.

use hitring::sketch::morris::Base;
use hitring::sketch::morris_ring::MorrisRing;
use hitring::sync::{AtomicU64, Typed};
use hitring::window::sparse::Sparse;
use hitring::{GCounter, Morris, Outcome, Tick};

use super::{Ring, Striped, geometry, record, span};
use crate::explorer::{Arc, ModelWord, Ordering, check, spawn};

const UNSEEN: &str = "a hit is seen without what its writer did before";
const TWICE: &str = "a hit is seen in two places";
const INEXACT: &str = "the count is not exact";

/// A writer notes something of its own, then counts; a reader that finds the hit must find the note.
fn carries<T: Send + Sync + 'static>(counter: T, count: fn(&T), sees: fn(&T) -> bool) {
    let (counter, note) = (Arc::new(counter), Arc::new(ModelWord::new(0)));
    let writer = {
        let (counter, note) = (Arc::clone(&counter), Arc::clone(&note));
        spawn(move || {
            note.store(1, Ordering::Relaxed);
            count(&counter);
        })
    };
    let reader = spawn(move || {
        if sees(&counter) {
            assert_eq!(note.load(Ordering::Relaxed), 1, "{UNSEEN}");
        }
    });
    writer.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
}

fn ring() -> Ring {
    let ring = Ring::new(geometry(3, 4));
    for tick in [0, 1, 2, 3, 4] {
        let _ = ring.record(Tick(tick), 7);
    }
    ring
}

/// The ring with a remembered sum.
fn recalled(ring: Ring) -> Ring {
    assert_eq!(ring.sum(span(3, 4), true).count, 14);
    ring
}

/// Whether the hit was there when all were forgotten.
fn after_a_reset(ring: &Ring) -> bool {
    ring.reset();
    ring.outcomes().counted > 35 && ring.cells().next().is_none()
}

fn striped() -> Striped {
    let striped = Striped::new(geometry(3, 4));
    for tick in [0, 1, 2, 3, 4] {
        let _ = striped.record_as(0, Tick(tick), 7);
    }
    striped
}

fn morris() -> MorrisRing {
    MorrisRing::new(&geometry(2, 3), Base::new(2.0).expect("the seed's base"))
}

fn hit_morris(ring: &MorrisRing) {
    assert_eq!(ring.record_with(&geometry(2, 3), Tick(1), 1, &mut || 0.1), Outcome::Counted);
}

fn take_in(counter: &GCounter) {
    let other = GCounter::new("b").expect("a name");
    assert_eq!(other.record(1), Outcome::Counted);
    counter.merge(&other);
}

struct Few([AtomicU64; 2], Typed<Tick>, AtomicU64);

impl Few {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)), Typed::new(Tick(0)), AtomicU64::new(0))
    }

    /// With a hit in tick 1.
    fn used() -> Self {
        let few = Self::new();
        let _ = few.sparse().record(&geometry(2, 3), Tick(1), 1, |_, _| {});
        few
    }

    fn sparse(&self) -> Sparse<'_> {
        Sparse { words: &self.0, forgotten: &self.1, marks: &self.2 }
    }
}

#[test]
fn a_hit_carries_what_came_before_it() {
    check(|| carries(ring(), |c| _ = record(c, 4, 1), |c| c.sum(span(3, 5), false).count > 14));
    check(|| carries(ring(), |c| _ = record(c, 5, 1), |c| c.cells().any(|cell| cell.tick == Tick(5))));
    check(|| carries(striped(), |c| _ = c.record_as(0, Tick(4), 1), |c| c.sum(span(3, 5), false).count > 14));
    check(|| carries(striped(), |c| _ = c.record_as(0, Tick(4), 1), |c| c.cells().any(|cell| cell.count == 8)));
    check(|| carries(recalled(ring()), |c| _ = record(c, 4, 1), |c| c.recall(span(3, 4)).is_some_and(|sum| sum > 14)));
    check(|| carries(ring(), |c| _ = record(c, 5, 1), |c| c.ring.newest() == Tick(5)));
    check(|| carries(ring(), |c| _ = record(c, 4, 1), |c| c.sum(span(3, 5), true).count > 14));
    check(|| carries(ring(), |c| _ = record(c, 4, 1), after_a_reset));
    check(|| {
        let striped = striped();
        assert_eq!(striped.sum(span(3, 4), true).count, 14);
        carries(striped, |c| _ = c.record_as(0, Tick(4), 1), |c| c.recall(span(3, 4)).is_some_and(|sum| sum > 14));
    });
    check(|| carries(GCounter::new("a").expect("a name"), |c| _ = c.record(1), |c| c.count() > 0));
    check(|| carries(GCounter::new("a").expect("a name"), take_in, |c| c.count() > 0));
    check(|| carries(Morris::with_base(2.0).expect("a base"), |c| _ = c.record(1), |c| c.estimate() > 0.0));
    check(|| carries(morris(), hit_morris, |c| c.sum(&geometry(2, 3), span(1, 2)).count > 0));
    check(|| carries(morris(), hit_morris, |c| !c.cells(&geometry(2, 3)).is_empty()));
    check(|| carries(morris(), hit_morris, |c| c.ever() > 0));
    check(|| carries(morris(), hit_morris, |c| c.newest() > Tick(0)));
    check(|| {
        carries(
            Few::new(),
            |c| _ = c.sparse().record(&geometry(2, 3), Tick(1), 1, |_, _| {}),
            |c| c.sparse().sum(&geometry(2, 3), span(1, 2)).count > 0,
        )
    });
    check(|| {
        carries(
            Few::used(),
            |c| assert!(c.sparse().record_current(&geometry(2, 3), Tick(1), 1)),
            |c| c.sparse().sum(&geometry(2, 3), span(1, 2)).count > 1,
        )
    });
    check(|| {
        carries(
            Few::new(),
            |c| _ = c.sparse().record(&geometry(2, 3), Tick(1), 1, |_, _| {}),
            |c| c.sparse().cells(&geometry(2, 3)).count() > 0,
        )
    });
    check(|| {
        carries(
            Few::new(),
            |c| _ = c.sparse().record(&geometry(2, 3), Tick(1), 1, |_, _| {}),
            |c| c.sparse().newest(&geometry(2, 3)) > Tick(0),
        )
    });
}

/// A slot with hits goes to a new lap, whose hits are one: all that were ever counted are so many and one.
fn retired<T: Send + Sync + 'static>(counter: T, count: fn(&T), all: fn(&T) -> u64) {
    let counter = Arc::new(counter);
    let most = all(&counter) + 1;
    let writer = {
        let counter = Arc::clone(&counter);
        spawn(move || count(&counter))
    };
    let reader = {
        let counter = Arc::clone(&counter);
        spawn(move || assert!(all(&counter) <= most, "{TWICE}"))
    };
    writer.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
    assert_eq!(all(&counter), most, "{TWICE}");
}

#[test]
fn what_leaves_a_slot_is_not_seen_twice() {
    check(|| retired(ring(), |c| _ = record(c, 5, 1), |c| c.outcomes().counted));
    check(|| retired(striped(), |c| _ = c.record_as(0, Tick(5), 1), |c| c.outcomes().counted));
}

/// The owner hits the current tick and then a new one: a sum that is remembered under the new tick has both.
fn a_tick_is_closed_with_its_hits(remembered: bool) {
    let striped = Arc::new(striped());
    assert_eq!(striped.sum(span(3, 5), remembered).count, 14, "{INEXACT}");
    let owner = {
        let striped = Arc::clone(&striped);
        spawn(move || [4, 5].map(|tick| _ = striped.record_as(0, Tick(tick), 1)))
    };
    let reader = {
        let striped = Arc::clone(&striped);
        spawn(move || _ = striped.sum(span(3, 5), true))
    };
    owner.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
    assert_eq!(striped.sum(span(3, 5), true).count, 16, "{INEXACT}");
}

#[test]
fn a_remembered_sum_has_what_was_current_before() {
    check(|| a_tick_is_closed_with_its_hits(true));
    check(|| a_tick_is_closed_with_its_hits(false));
}

/// A sum is replaced by one of another span, or of another tick, beside a reader that asks for the new one.
fn replaced(old: [u64; 2], hit: Option<u64>, new: [u64; 2], expected: u64) {
    let striped = Arc::new(striped());
    let _ = striped.record_as(0, Tick(5), 1);
    let _ = striped.sum(span(old[0], old[1]), true);
    if let Some(tick) = hit {
        assert_eq!(striped.record_as(0, Tick(tick), 1), Outcome::Counted);
    }
    let (first, to) = (new[0], new[1]);
    let replacer = {
        let striped = Arc::clone(&striped);
        spawn(move || assert_eq!(striped.sum(span(first, to), true).count, expected, "{INEXACT}"))
    };
    let reader = {
        let striped = Arc::clone(&striped);
        spawn(move || {
            let recalled = striped.recall(span(first, to));
            assert!(recalled.is_none_or(|recalled| recalled == expected), "{INEXACT}: {recalled:?}");
        })
    };
    replacer.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
}

#[test]
fn who_asks_for_the_new_sum_never_gets_the_old_one() {
    check(|| replaced([3, 5], Some(6), [3, 5], 15));
    check(|| replaced([3, 5], Some(4), [3, 5], 16));
    check(|| replaced([3, 4], None, [3, 5], 15));
    check(|| replaced([3, 5], None, [4, 5], 8));
}
