//! One slot of the shared ring: no hit is lost, none is invented, none carries into the lap.

use hitring::Outcome;
use hitring::sync::mutant::Mutant;

use super::{Ring, geometry, record, span};
use crate::explorer::{Arc, check, fails, spawn};

const LOST: &str = "a hit was lost or invented";

/// A ring of three slots, each with three hits of lap 0.
fn used() -> Arc<Ring> {
    let ring = Ring::new(geometry(2, 3));
    for tick in 0..3 {
        assert_eq!(record(&ring, tick, 3), Outcome::Counted);
    }
    Arc::new(ring)
}

/// Two threads hit the same new tick at once; both must be in it, and none of the older lap's hits.
fn rollover() {
    let ring = used();
    let threads = [1, 2].map(|amount| {
        let ring = Arc::clone(&ring);
        spawn(move || assert_eq!(record(&ring, 4, amount), Outcome::Counted))
    });
    threads.into_iter().for_each(|thread| thread.join().expect("a model thread ends"));
    assert_eq!(ring.sum(span(4, 4), false).count, 3, "{LOST}");
    assert_eq!(ring.outcomes().counted, 12, "{LOST}");
}

/// A slow writer of lap 1 against two rollovers by another: it is counted in its tick or late, never in a later tick.
fn stale_writer() {
    let ring = used();
    let _ = record(&ring, 3, 1);
    let slow = {
        let ring = Arc::clone(&ring);
        spawn(move || record(&ring, 3, 1))
    };
    let fast = {
        let ring = Arc::clone(&ring);
        spawn(move || {
            assert_eq!(record(&ring, 6, 1), Outcome::Counted);
            assert_eq!(record(&ring, 9, 1), Outcome::Counted);
        })
    };
    let outcome = slow.join().expect("a model thread ends");
    fast.join().expect("a model thread ends");
    assert_eq!(ring.sum(span(9, 9), false).count, 1, "{LOST}");
    assert!(!ring.sum(span(6, 6), false).exact && !ring.sum(span(3, 3), false).exact, "{LOST}");
    let counted = if outcome == Outcome::Counted { 1 } else { 0 };
    assert_eq!(ring.outcomes().counted, 9 + 1 + 2 + counted, "{LOST}");
    assert_eq!(ring.outcomes().late, 1 - counted, "{LOST}");
}

/// Two amounts of which only one fits: one is refused whole, and the lap stays.
fn saturation() {
    let ring = used();
    let most = geometry(2, 3).max_count();
    let threads = [most, most - 1].map(|amount| {
        let ring = Arc::clone(&ring);
        spawn(move || (amount, record(&ring, 4, amount)))
    });
    let outcomes = threads.map(|thread| thread.join().expect("a model thread ends"));
    let fitted: Vec<u64> = outcomes.iter().filter(|(_, o)| *o == Outcome::Counted).map(|(amount, _)| *amount).collect();
    assert!(outcomes.iter().any(|(_, o)| *o == Outcome::Saturated), "{LOST}");
    assert_eq!(fitted.len(), 1, "{LOST}");
    assert_eq!(ring.sum(span(4, 4), false).count, fitted[0], "{LOST}");
    assert_eq!(ring.sum(span(2, 2), false).count, 3, "{LOST}");
}

#[test]
fn no_hit_is_lost_at_a_rollover() {
    check(rollover);
    fails(Mutant::SlotLoadStore, LOST, rollover);
}

#[test]
fn no_hit_of_a_stale_writer_lands_in_a_later_lap() {
    check(stale_writer);
    fails(Mutant::SlotFetchAdd, LOST, stale_writer);
    fails(Mutant::SlotLoadStore, LOST, stale_writer);
}

#[test]
fn an_amount_fits_or_is_refused_whole() {
    check(saturation);
    fails(Mutant::SlotLoadStore, LOST, saturation);
}
