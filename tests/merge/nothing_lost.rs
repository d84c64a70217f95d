//! A copy never answers less than its original without saying so.

use hitring::{HitCounter, Outcome, QueryError, Strategy, Timestamp};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(5);

fn at(secs: u32) -> Timestamp {
    Timestamp::from(secs)
}

fn sliding(max_hits: u64) -> HitCounter {
    HitCounter::builder()
        .window(WINDOW)
        .strategy(Strategy::Sliding { max_hits })
        .build()
        .expect("a valid configuration")
}

/// The largest amount that one tick of an empty copy of `counter` takes.
fn largest_amount(counter: &HitCounter) -> u64 {
    let counts = |amount: u64| counter.clone().record_at(at(100), amount) == Outcome::Counted;
    (0..63).map(|bit| 1u64 << bit).rev().fold(0, |sum, bit| if counts(sum + bit) { sum + bit } else { sum })
}

#[test]
fn a_tick_that_two_stripes_filled_survives_a_copy() {
    let counter = HitCounter::builder()
        .window(Duration::from_millis(300))
        .resolution(Duration::from_millis(1))
        .build()
        .expect("a valid configuration");
    let most = largest_amount(&counter);
    // This thread lives on while the other begins, so each has a stripe of its own.
    assert_eq!(counter.record_at(at(100), most), Outcome::Counted);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(counter.record_at(at(100), most), Outcome::Counted));
    });
    let live = counter.count_at(at(100), Duration::from_millis(300));
    assert_eq!(live, Ok(2 * most));
    assert_eq!(counter.clone().count_at(at(100), Duration::from_millis(300)), live);
}

#[test]
fn a_tick_of_a_wider_ring_survives_a_merge() {
    let of_slack = |slack| {
        HitCounter::builder().resolution(Duration::from_millis(1)).window(Duration::from_millis(300)).slack(slack)
    };
    let wide = of_slack(1 << 20).build().expect("a valid configuration");
    let narrow = of_slack(0).build().expect("a valid configuration");
    let more = largest_amount(&narrow) + 1;
    assert_eq!(wide.record_at(at(100), more), Outcome::Counted);
    match narrow.merge(&wide.snapshot()) {
        Ok(()) => assert_eq!(narrow.count_at(at(100), Duration::from_millis(300)), Ok(more)),
        Err(refused) => assert_eq!(narrow.count_at(at(100), Duration::from_millis(300)), Ok(0), "{refused}"),
    }
}

#[test]
fn a_later_snapshot_adds_to_a_large_count() {
    let counter = sliding(100);
    let large = largest_amount(&counter) / 2 + 1;
    assert_eq!(counter.record_at(at(100), large), Outcome::Counted);
    let copy = counter.clone();
    assert_eq!(counter.record_at(at(100), 1), Outcome::Counted);
    assert_eq!(copy.merge(&counter.snapshot()), Ok(()));
    assert_eq!(copy.count_at(at(100), WINDOW), Ok(large + 1));
}

#[test]
fn a_log_with_less_room_does_not_merge_a_part() {
    let (large, small) = (sliding(100), sliding(10));
    for micros in 0..50 {
        let time = at(100).saturating_add(Duration::from_micros(micros));
        assert_eq!(large.record_at(time, 1), Outcome::Counted);
    }
    match small.merge(&large.snapshot()) {
        Ok(()) => assert!(!matches!(small.count_at(at(101), WINDOW), Ok(count) if count != 50)),
        Err(refused) => assert_eq!(small.count_at(at(101), WINDOW), Ok(0), "{refused}"),
    }
}

#[test]
fn hits_dropped_for_room_are_expired_in_a_copy_too() {
    let counter = sliding(1);
    assert_eq!(counter.record_at(at(10), 1), Outcome::Counted);
    assert_eq!(counter.record_at(at(210), 1), Outcome::Counted);
    let live = counter.count_at(at(10), WINDOW);
    assert!(matches!(live, Err(QueryError::WindowExpired { .. })), "{live:?}");
    assert_eq!(counter.clone().count_at(at(10), WINDOW), live);
}
