//! The lock-sharded log: hits go into their own lap, queries see what returned before them.

use hitring::sync::mutant::Mutant;
use hitring::window::sliding::Sliding;
use hitring::{Outcome, Tick};

use super::{geometry, span};
use crate::explorer::{Arc, check, fails, spawn};

const SECOND: u64 = 1_000_000;
const LOST: &str = "a hit was lost or invented";
const DOWN: &str = "the count went down";

/// A log of four slots (three and the one that partial ticks take) in two shards, with hits of lap 0.
fn used() -> Arc<Sliding> {
    let log = Sliding::new(&geometry(2, 3), 100, 2);
    for tick in 0..4 {
        let _ = log.record_as(0, Tick(tick * SECOND), 7);
    }
    Arc::new(log)
}

/// A slow writer against the next lap of the same slot, in one shard: counted in its own tick or late.
fn stale_writer() {
    let log = used();
    let slow = {
        let log = Arc::clone(&log);
        spawn(move || log.record_as(0, Tick(5 * SECOND), 1))
    };
    let fast = {
        let log = Arc::clone(&log);
        spawn(move || log.record_as(0, Tick(9 * SECOND), 1))
    };
    let slow = slow.join().expect("a model thread ends");
    assert_eq!(fast.join().expect("a model thread ends"), Outcome::Counted);
    assert_eq!(log.sum(span(9 * SECOND, 9 * SECOND)).count, 1, "{LOST}");
    let counted = if slow == Outcome::Counted { 1 } else { 0 };
    assert_eq!(log.outcomes().counted, 28 + 1 + counted, "{LOST}");
}

/// Two shards are written while a reader asks both, twice.
fn two_shards() {
    let log = used();
    let threads = [0, 1].map(|id| {
        let log = Arc::clone(&log);
        spawn(move || {
            for at in [5 * SECOND + 7, 5 * SECOND + 3] {
                assert_eq!(log.record_as(id, Tick(at), 1), Outcome::Counted);
            }
        })
    });
    let window = span(4 * SECOND, 6 * SECOND - 1);
    let reader = {
        let log = Arc::clone(&log);
        spawn(move || {
            let first = log.sum(window).count;
            let second = log.sum(window).count;
            assert!(first <= second && second <= 4, "{DOWN}");
        })
    };
    threads.into_iter().for_each(|thread| thread.join().expect("a model thread ends"));
    reader.join().expect("a model thread ends");
    assert_eq!(log.sum(window).count, 4, "{LOST}");
    assert_eq!(log.sum(span(5 * SECOND + 4, 6 * SECOND - 1)).count, 2, "{LOST}");
}

/// Two threads of different shards want the last free entry: the bound holds, and one of them is refused.
fn bound() {
    let log = Arc::new(Sliding::new(&geometry(2, 3), 1, 2));
    let threads = [0, 1].map(|id| {
        let log = Arc::clone(&log);
        spawn(move || log.record_as(id, Tick(5 * SECOND), 1))
    });
    let outcomes = threads.map(|thread| thread.join().expect("a model thread ends"));
    assert!(outcomes.contains(&Outcome::Counted) && outcomes.contains(&Outcome::Refused), "{LOST}");
    assert_eq!(log.sum(span(5 * SECOND, 5 * SECOND)).count, 1, "{LOST}");
}

#[test]
fn a_hit_goes_into_its_own_lap() {
    check(stale_writer);
    fails(Mutant::SlidingTwoLocks, LOST, stale_writer);
}

#[test]
fn a_query_over_two_shards_never_goes_down() {
    check(two_shards);
}

#[test]
fn the_bound_holds_across_shards() {
    check(bound);
}
