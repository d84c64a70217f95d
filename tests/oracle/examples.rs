//! Answers worked out by hand: what the oracle itself is held to.

use super::*;

const SECONDS: Geometry = (1_000_000, 300, 20);
const EXACT: fn(u128) -> Answer = |count| Answer { count, left: count, gone: false };

fn seconds(strategy: Strategy) -> Oracle {
    Oracle::new(&strategy, SECONDS)
}

#[test]
fn a_hit_at_1_is_out_at_301() {
    let mut oracle = seconds(Strategy::Ring);
    for second in [1, 2, 3, 300] {
        assert_eq!(oracle.record_grain(second, 1), Outcome::Counted);
    }
    assert_eq!([4, 300, 301].map(|to| oracle.read(to, 300)), [EXACT(3), EXACT(4), EXACT(3)]);
    // The hit at 301 has a slot of its own.
    assert_eq!(oracle.record_grain(301, 1), Outcome::Counted);
    assert_eq!(oracle.read(300, 300), EXACT(4));
    assert_eq!([oracle.read(300, 1), oracle.read(300, 0), oracle.read(0, 300)], [EXACT(1), EXACT(0), EXACT(0)]);
}

#[test]
fn a_slot_belongs_to_its_newest_tick() {
    let mut oracle = seconds(Strategy::Striped);
    assert_eq!(oracle.record_grain(1_000, 5), Outcome::Counted);
    assert_eq!(oracle.record_grain(1_320, 7), Outcome::Counted);
    assert_eq!(oracle.record_grain(1_000, 2), Outcome::Late);
    assert_eq!(oracle.record_grain(680, 2), Outcome::Late);
    assert_eq!(oracle.record_grain(1_320, 0), Outcome::Counted);
    assert_eq!(oracle.outcomes(), [12, 4, 0, 0, 0]);
    assert_eq!(oracle.read(1_000, 10), Answer { count: 5, left: 0, gone: true });
    // 680 was never hit, but this cannot be known any more.
    assert_eq!(oracle.read(680, 1), Answer { count: 0, left: 0, gone: true });
    assert_eq!(oracle.read(1_299, 299), EXACT(0));
    assert_eq!(oracle.read(1_320, 300), EXACT(7));
}

#[test]
fn a_clone_keeps_what_is_gone_and_has_slots_of_its_own() {
    let mut original = seconds(Strategy::Ring);
    original.record_grain(1_000, 5);
    original.record_grain(1_320, 7);
    let mut clone = original.cloned();
    assert_eq!(clone.record_grain(1_000, 1), Outcome::Counted);
    assert_eq!(clone.read(1_000, 1), Answer { count: 6, left: 1, gone: true });
    assert_eq!(clone.read(1_320, 1), Answer { count: 7, left: 7, gone: false });
    clone.reset();
    assert_eq!(clone.read(1_000, 1), EXACT(0));
    assert_eq!(clone.outcomes(), [13, 0, 0, 0, 0]);
}

#[test]
fn a_slot_holds_what_its_word_has_left() {
    let most = |strategy, geometry| Rules::new(&strategy, geometry).most;
    assert_eq!(most(Strategy::Ring, SECONDS), (1 << 33) - 1);
    assert_eq!(most(Strategy::Striped, (1_000, 300, 20)), (1 << 23) - 1);
    let mut oracle = seconds(Strategy::Ring);
    assert_eq!(oracle.record_grain(7, 1 << 33), Outcome::Saturated);
    assert_eq!(oracle.record_grain(7, (1 << 33) - 1), Outcome::Counted);
    assert_eq!(oracle.record_grain(7, 1), Outcome::Saturated);
    assert_eq!(oracle.record_grain(327, 1), Outcome::Counted);
}

#[test]
fn a_sliding_window_ends_to_the_microsecond() {
    let mut oracle = seconds(Strategy::SLIDING);
    assert_eq!(oracle.rules.slots, 321);
    assert_eq!(oracle.record(timestamp(1_500_000_999), 1), Outcome::Counted);
    let at = |micros: u64| oracle.read(micros, 300_000_000);
    assert_eq!([1_499_999, 1_500_000, 301_499_999, 301_500_000].map(at), [EXACT(0), EXACT(1), EXACT(1), EXACT(0)]);
}

#[test]
fn a_full_log_drops_what_lies_a_ring_behind() {
    let mut oracle = seconds(Strategy::Sliding { max_hits: 2 });
    for (micros, outcome) in [
        (10_000_000, Outcome::Counted),
        (10_000_001, Outcome::Counted),
        (10_000_001, Outcome::Counted),
        (10_000_002, Outcome::Refused),
        (330_000_000, Outcome::Refused),
        // A ring behind, in another slot than its own.
        (332_000_000, Outcome::Counted),
    ] {
        assert_eq!(oracle.record_grain(micros, 1), outcome, "{micros}");
    }
    assert_eq!(oracle.read(10_000_000, 1), Answer { count: 1, left: 0, gone: true });
    assert_eq!(oracle.read(9_999_999, 1), EXACT(0));
    assert_eq!(oracle.outcomes(), [4, 0, 0, 0, 2]);
}
