//! Different visitors of endpoints: what becomes of them where the hits are recorded, removed, pruned, saved and merged.

use std::collections::BTreeSet;
use std::time::Duration;

use hitring::{
    ConfigError, ManualClock, Outcome, QueryError, Registry, RegistryBuilder, RegistrySnapshot, SnapshotError, Strategy,
};
use proptest::prelude::*;

use super::{START, at};
use crate::threads::together;

const WINDOW: Duration = Duration::from_secs(320);

/// A registry of 16 parts of 20 seconds, that begins with one.
fn clocked() -> (RegistryBuilder, ManualClock) {
    let clock = ManualClock::new(at(START));
    (Registry::builder().window(WINDOW).strategy(Strategy::Adaptive).clock(clock.clone()), clock)
}

fn made() -> (Registry, ManualClock) {
    let (builder, clock) = clocked();
    (builder.build().expect("it is possible"), clock)
}

fn visit(registry: &Registry, endpoint: &str, visitor: u32) -> Outcome {
    registry.record_visit(endpoint, visitor.to_le_bytes(), 1).expect("the name is possible")
}

fn uniques(registry: &Registry, endpoint: &str) -> u64 {
    registry.query_uniques(endpoint, WINDOW).expect("the window can be asked for")
}

#[test]
fn visitors_are_told_apart_and_hits_are_counted() {
    let (registry, _) = made();
    for visitor in 0..300 {
        assert_eq!(visit(&registry, "/home", visitor % 100), Outcome::Counted);
    }
    assert_eq!(visit(&registry, "/about", 7), Outcome::Counted);
    assert_eq!(registry.query_hits("/home", WINDOW).expect("exact"), 300);
    let counted = uniques(&registry, "/home");
    assert!((97..=103).contains(&counted), "{counted}");
    assert_eq!((uniques(&registry, "/about"), uniques(&registry, "/never")), (1, 0));
    assert_eq!((registry.uniques_ever("/about"), registry.uniques_ever("/never")), (1, 0));
    assert!((registry.uniques_error() - 0.008_125).abs() < 1e-6);
    // A hit without a visitor does not add one.
    let _ = registry.record_hit("/plain", 1);
    assert_eq!((uniques(&registry, "/plain"), registry.uniques_ever("/plain")), (0, 0));
}

#[test]
fn a_hit_that_is_not_counted_does_not_add_a_visitor() {
    let (registry, _) = made();
    let record = |second, amount| registry.record_visit_at("/home", "somebody", at(second), amount);
    assert_eq!(record(START, 0), Ok(Outcome::Counted));
    assert_eq!(record(START + 1_000, 1), Ok(Outcome::Future));
    assert_eq!(registry.uniques_ever("/home"), 0);
    assert_eq!(record(START, 1), Ok(Outcome::Counted));
    assert_eq!(registry.uniques_ever("/home"), 1);
    let handle = registry.counter("/home").expect("there is room");
    registry.remove("/home");
    assert_eq!(handle.record_visit("another", 1), Outcome::Refused);
    assert_eq!((handle.uniques(WINDOW), handle.uniques_ever()), (Ok(0), 0));
    assert!(registry.record_visit("", "somebody", 1).is_err());
}

#[test]
fn visitors_leave_with_their_part_of_the_window_and_not_ever() {
    let (registry, clock) = made();
    for second in 0..640 {
        clock.set(at(START + second));
        visit(&registry, "/home", (second / 20) as u32);
    }
    // Each part has a visitor of its own; the span touches 16 parts when it begins with one.
    let ask = |second, last| registry.query_uniques_at("/home", at(START + second), Duration::from_secs(last));
    assert_eq!(ask(639, 320), Ok(16));
    assert_eq!(ask(639, 20), Ok(1));
    assert_eq!(ask(639, 21), Ok(2));
    assert_eq!(ask(639, 0), Ok(0));
    assert_eq!(registry.uniques_ever("/home"), 32);
    let long = Duration::from_secs(321);
    assert_eq!(registry.query_uniques("/home", long), Err(QueryError::LongerThanWindow { last: long, window: WINDOW }));
    assert!(matches!(ask(100, 100), Err(QueryError::WindowExpired { .. })));
    clock.set(at(START + 1_300));
    assert_eq!((uniques(&registry, "/home"), registry.uniques_ever("/home")), (0, 32));
}

#[test]
fn swaps_leave_visitors_alone_and_prunes_take_them() {
    let (registry, clock) = made();
    for visitor in 0..20 {
        visit(&registry, "/home", visitor);
    }
    for strategy in [Strategy::Ring, Strategy::Striped, Strategy::SLIDING, Strategy::Adaptive] {
        registry.swap_strategy(&strategy).expect("it suits");
        visit(&registry, "/home", 3);
        assert_eq!((uniques(&registry, "/home"), registry.uniques_ever("/home")), (20, 20), "{strategy}");
    }
    clock.set(at(START + 2_000));
    assert_eq!(registry.prune(), 1);
    assert_eq!((uniques(&registry, "/home"), registry.uniques_ever("/home")), (0, 0));
    assert!(matches!(
        registry.query_uniques_at("/home", at(START), Duration::from_secs(20)),
        Err(QueryError::WindowExpired { .. })
    ));
    visit(&registry, "/home", 1);
    assert_eq!(registry.uniques_ever("/home"), 1);
}

#[test]
fn snapshots_have_them_and_merging_twice_changes_nothing() {
    let (builder, _) = clocked();
    let [ours, theirs] = [0, 1].map(|_| builder.clone().build().expect("it is possible"));
    for visitor in 0..600 {
        visit(&ours, "/home", visitor);
        visit(&theirs, "/home", visitor + 300);
        visit(&theirs, "/theirs", visitor % 5);
    }
    let alone = uniques(&theirs, "/home");
    let bytes = theirs.snapshot().to_bytes();
    let snapshot = RegistrySnapshot::from_bytes(&bytes).expect("bytes that were just made");
    assert_eq!((&snapshot, snapshot.to_bytes()), (&theirs.snapshot(), bytes));
    let mut after = Vec::new();
    for _ in 0..3 {
        ours.merge(&snapshot).expect("it is of another registry");
        after.push((uniques(&ours, "/home"), ours.uniques_ever("/home"), uniques(&ours, "/theirs")));
    }
    assert!(after.iter().all(|now| *now == after[0]), "{after:?}");
    assert!((875..=925).contains(&after[0].0) && after[0].0 == after[0].1 && after[0].2 == 5, "{after:?}");
    let copy = ours.clone();
    assert_eq!((uniques(&copy, "/home"), copy.uniques_ever("/theirs")), (after[0].0, 5));
    ours.restore(&snapshot).expect("it is of the same window");
    assert_eq!((uniques(&ours, "/home"), uniques(&ours, "/theirs")), (alone, 5));
    visit(&ours, "/theirs", 77);
    assert_eq!(uniques(&ours, "/theirs"), 6);
}

#[test]
fn a_handle_goes_on_after_a_restore() {
    let (registry, _) = made();
    let handle = registry.counter("/home").expect("there is room");
    assert_eq!(handle.record_visit("somebody", 2), Outcome::Counted);
    let snapshot = registry.snapshot();
    registry.restore(&snapshot).expect("it is its own");
    assert_eq!(handle.record_visit_at("another", at(START), 1), Outcome::Counted);
    assert_eq!((handle.uniques(WINDOW), handle.uniques_ever()), (Ok(2), 2));
    assert_eq!(handle.uniques_at(at(START), Duration::from_secs(1)), Ok(2));
    assert_eq!(handle.count().expect("exact"), 3);
}

#[test]
fn other_precisions_do_not_mix_and_say_so() {
    let (builder, _) = clocked();
    let [fine, coarse] = [14, 10].map(|bits| builder.clone().precision(bits).build().expect("it is possible"));
    assert!((coarse.uniques_error() - 0.0325).abs() < 1e-4);
    let _ = coarse.record_hit("/home", 1);
    fine.merge(&coarse.snapshot()).expect("without visitors there is nothing to mix");
    visit(&coarse, "/home", 1);
    let error = fine.merge(&coarse.snapshot()).expect_err("they have visitors");
    assert!(matches!(&error, SnapshotError::OtherGeometry { what } if what.contains("10 bits, not 14")), "{error:?}");
    assert_eq!(uniques(&fine, "/home"), 0);
    for given in [0, 3, 19, 255] {
        assert_eq!(clocked().0.precision(given).build().err(), Some(ConfigError::Precision { given }));
    }
}

#[test]
fn a_few_visitors_take_little_memory() {
    let (registry, _) = made();
    let before = registry.metrics().memory_bytes;
    for endpoint in 0..1_000 {
        let name = format!("/endpoints/{endpoint:010}");
        for visitor in 0..8 {
            visit(&registry, &name, visitor);
        }
    }
    let each = (registry.metrics().memory_bytes - before) / 1_000;
    assert!((245..=305).contains(&each), "{each}");
}

#[test]
fn threads_that_bring_the_same_visitors_agree() {
    let (registry, _) = made();
    let handle = registry.counter("/home").expect("there is room");
    together(4, |thread| {
        for visitor in 0..2_000u32 {
            let visitor = (visitor + 500 * thread as u32) % 2_000;
            let outcome = if thread % 2 == 0 {
                handle.record_visit(visitor.to_le_bytes(), 1)
            } else {
                visit(&registry, "/home", visitor)
            };
            assert_eq!(outcome, Outcome::Counted);
        }
    });
    let alone = made().0;
    (0..2_000).for_each(|visitor| _ = visit(&alone, "/home", visitor));
    assert_eq!(uniques(&registry, "/home"), uniques(&alone, "/home"));
    assert_eq!(registry.uniques_ever("/home"), alone.uniques_ever("/home"));
    assert_eq!(registry.query_hits("/home", WINDOW).expect("exact"), 8_000);
}

proptest! {
    /// Few visitors are counted exactly, whatever happens to the registry in between: within whole parts.
    #[test]
    fn few_visitors_are_those_of_a_list(
        steps in proptest::collection::vec((0u64..40, 0u32..6, 0usize..2, 0u8..12), 1..80),
    ) {
        let (registry, clock) = made();
        let mut second = START;
        let mut seen: Vec<(u64, u32, usize)> = Vec::new();
        for (wait, visitor, endpoint, what) in steps {
            second += wait;
            clock.set(at(second));
            for (endpoint, name) in ["/a", "/b"].into_iter().enumerate() {
                let newest = seen.iter().filter(|&&(_, _, of)| of == endpoint).map(|&(at, ..)| at).max();
                if newest.is_some_and(|newest| newest + 340 <= second) {
                    // So idle that it goes when room is wanted for another: let it go now.
                    registry.remove(name);
                    seen.retain(|&(_, _, of)| of != endpoint);
                }
            }
            let name = ["/a", "/b"][endpoint];
            match what {
                0 => registry.restore(&registry.snapshot()).expect("its own"),
                1 => {
                    registry.remove(name);
                    seen.retain(|&(_, _, of)| of != endpoint);
                }
                2 => _ = registry.swap_strategy(&Strategy::Ring).expect("it suits"),
                3 => _ = registry.merge(&registry.clone().snapshot()).expect("a copy's"),
                _ => {
                    visit(&registry, name, visitor);
                    seen.push((second, visitor, endpoint));
                }
            }
            for (endpoint, name) in ["/a", "/b"].into_iter().enumerate() {
                let first = (second + 1 - 320) / 20 * 20;
                let of: Vec<_> = seen.iter().filter(|&&(_, _, of)| of == endpoint).collect();
                let within: BTreeSet<u32> = of.iter().filter(|(at, ..)| *at >= first).map(|(_, who, _)| *who).collect();
                let ever: BTreeSet<u32> = of.iter().map(|(_, who, _)| *who).collect();
                prop_assert_eq!(uniques(&registry, name), within.len() as u64);
                prop_assert_eq!(registry.uniques_ever(name), ever.len() as u64);
            }
        }
    }
}
