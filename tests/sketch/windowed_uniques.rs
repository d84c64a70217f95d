//! [`WindowedUniques`] from outside.

use std::time::Duration;

use hitring::{ConfigError, ManualClock, Outcome, QueryError, SnapshotError, Timestamp, WindowedUniques};
use proptest::prelude::*;

use crate::threads::together;

const START: u64 = 1_700_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp::try_from(START + second).expect("before the year 9999")
}

/// Parts of 20 seconds.
fn clocked() -> (WindowedUniques, ManualClock) {
    let clock = ManualClock::new(at(0));
    let builder = WindowedUniques::builder().window(Duration::from_secs(320)).clock(clock.clone());
    (builder.build().expect("it is possible"), clock)
}

#[test]
fn items_leave_with_their_part() {
    let (uniques, clock) = clocked();
    for second in 0..640 {
        clock.set(at(second));
        assert_eq!(uniques.add((second / 20).to_le_bytes()), Outcome::Counted);
    }
    assert_eq!((uniques.count(), uniques.ever(), uniques.part()), (16, 32, Duration::from_secs(20)));
    assert_eq!(uniques.count_last(Duration::from_secs(20)), Ok(1));
    assert_eq!(uniques.count_last(Duration::from_millis(20_001)), Ok(2), "a tick that is touched counts");
    assert_eq!(uniques.count_at(at(619), Duration::from_secs(20)), Ok(1));
    assert_eq!(uniques.count_last(Duration::ZERO), Ok(0));
    let (last, window) = (Duration::from_secs(321), Duration::from_secs(320));
    assert_eq!(uniques.count_last(last), Err(QueryError::LongerThanWindow { last, window }));
    assert!(matches!(uniques.count_at(at(100), Duration::from_secs(50)), Err(QueryError::WindowExpired { .. })));
    assert_eq!(uniques.add_at(at(0), "late"), Outcome::Late);
    assert_eq!(uniques.add_at(at(700), "future"), Outcome::Future);
    assert_eq!(uniques.ever(), 32);
}

#[test]
fn many_are_estimated_within_their_error() {
    let (uniques, _) = clocked();
    (0..100_000u64).for_each(|item| _ = uniques.add(item.to_le_bytes()));
    let off = uniques.count() as f64 / 100_000.0 - 1.0;
    assert!(off.abs() < 4.0 * uniques.error(), "{off}");
    assert!(uniques.memory_bytes() < 40 * 1_024, "{}", uniques.memory_bytes());
    assert_eq!((uniques.precision(), WindowedUniques::new().count()), (14, 0));
}

#[test]
fn what_is_asked_wrongly_says_so() {
    let build = |builder: hitring::UniquesBuilder| builder.build().err();
    let builder = WindowedUniques::builder;
    assert_eq!(build(builder().precision(3)), Some(ConfigError::Precision { given: 3 }));
    assert_eq!(build(builder().window(Duration::ZERO)), Some(ConfigError::WindowEmpty));
    assert!(matches!(build(builder().resolution(Duration::ZERO)), Some(ConfigError::Resolution { .. })));
    let skew = build(builder().max_skew(Duration::from_secs(30)));
    assert!(matches!(skew, Some(ConfigError::SkewBeyondSlack { .. })));
    let [ours, theirs] = [14, 12].map(|bits| builder().precision(bits).build().expect("it is possible"));
    theirs.add("somebody");
    let error = ours.merge(&theirs).expect_err("precisions differ");
    assert_eq!(error, SnapshotError::OtherGeometry { what: "precision 12, not 14".to_owned() });
    assert_eq!(ours.ever(), 0);
}

#[test]
fn bytes_hold_everything_and_what_is_broken_is_refused() {
    let (uniques, clock) = clocked();
    for second in (0..300).step_by(30) {
        clock.set(at(second));
        (0..second).for_each(|item| _ = uniques.add(item.to_le_bytes()));
    }
    let bytes = uniques.to_bytes();
    let read = WindowedUniques::from_bytes_with(&bytes, Some(clock.clone().into())).expect("bytes that were just made");
    assert_eq!((read.count(), read.ever(), read.to_bytes()), (uniques.count(), uniques.ever(), bytes.clone()));
    for length in 0..bytes.len() {
        assert!(WindowedUniques::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    for (index, _) in bytes.iter().enumerate().step_by(7) {
        let mut flipped = bytes.clone();
        flipped[index] ^= 1 << (index % 8);
        assert!(WindowedUniques::from_bytes(&flipped).is_err(), "byte {index}");
    }
    let other = hitring::HitCounter::new().snapshot().to_bytes();
    assert!(matches!(WindowedUniques::from_bytes(&other), Err(SnapshotError::OtherKind { .. })));
}

#[test]
fn a_copy_goes_on_by_itself() {
    let (uniques, _) = clocked();
    uniques.add("somebody");
    let copy = uniques.clone();
    copy.add("another");
    assert_eq!((uniques.count(), copy.count()), (1, 2));
}

#[test]
fn threads_do_not_lose_an_item() {
    let (uniques, clock) = clocked();
    together(4, |thread| {
        for item in 0..5_000u64 {
            if thread == 0 && item % 1_000 == 0 {
                clock.set(at(item / 50));
            }
            assert_eq!(uniques.add((item * 4 + thread as u64).to_le_bytes()), Outcome::Counted);
        }
    });
    let (alone, _) = clocked();
    (0..20_000u64).for_each(|item| _ = alone.add(item.to_le_bytes()));
    assert_eq!((uniques.count(), uniques.ever()), (alone.count(), alone.ever()));
}

type Added = Vec<(u64, u16)>;

fn of(added: &Added) -> WindowedUniques {
    let (uniques, clock) = clocked();
    for (second, item) in added {
        clock.set(at(*second));
        uniques.add(item.to_le_bytes());
    }
    clock.set(at(300));
    uniques
}

fn joined(ours: &WindowedUniques, theirs: &WindowedUniques) -> WindowedUniques {
    let joined = ours.clone();
    joined.merge(theirs).expect("the same window");
    joined
}

proptest! {
    /// Merging is a join: in any order, any grouping, any number of times.
    #[test]
    fn merging_obeys_the_laws(
        a in proptest::collection::vec((0u64..300, 0u16..40), 0..60),
        b in proptest::collection::vec((0u64..300, 0u16..40), 0..60),
        c in proptest::collection::vec((0u64..300, 0u16..40), 0..60),
    ) {
        let [a, b, c] = [&a, &b, &c].map(of);
        let answers = |uniques: &WindowedUniques| {
            let of = |last| uniques.count_last(Duration::from_secs(last));
            ([1, 40, 160, 320].map(of), uniques.ever())
        };
        let all = answers(&joined(&joined(&a, &b), &c));
        prop_assert_eq!(&all, &answers(&joined(&a, &joined(&b, &c))));
        prop_assert_eq!(answers(&joined(&a, &b)), answers(&joined(&b, &a)));
        prop_assert_eq!(answers(&joined(&a, &a)), answers(&a));
        prop_assert_eq!(&all, &answers(&joined(&joined(&joined(&a, &b), &c), &b)));
    }
}
