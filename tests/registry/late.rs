//! Which hits are late: those whose slot has a newer tick, and no others, whatever was pruned before. And those of the future.

use std::time::Duration;

use hitring::{Hits, ManualClock, Outcome, QueryError, Registry, Strategy};
use proptest::prelude::*;

use super::at;
use super::conformance::strategies;

/// A registry of the last 300 seconds that believes every stamp.
fn unclocked(strategy: &Strategy) -> Registry {
    Registry::builder().strategy(strategy.clone()).build().expect("every strategy suits 300 seconds")
}

fn hit(registry: &Registry, name: &str, second: u64) -> Outcome {
    registry.record_hit_at(name, at(second), 1).expect("the name is possible")
}

fn expired(told: Result<Hits, QueryError>) -> bool {
    matches!(told, Err(QueryError::WindowExpired { .. }))
}

const MINUTE: Duration = Duration::from_secs(60);

/// Three hours apart.
const OLD: u64 = 807_249_608;
const NEW: u64 = 807_260_408;

#[test]
fn what_was_pruned_makes_no_hit_of_another_name_late() {
    for strategy in strategies() {
        let registry = unclocked(&strategy);
        let hits = [("a", OLD), ("b", NEW), ("c", OLD), ("b", NEW - 1), ("c", OLD + 1), ("b", OLD + 2)];
        for (name, second) in hits {
            assert_eq!(hit(&registry, name, second), Outcome::Counted, "{strategy}: {name} at {second}");
        }
        assert_eq!((registry.metrics().total_hits, registry.metrics().late), (6, 0), "{strategy}");
    }
}

#[test]
fn what_was_forgotten_is_expired_though_its_hits_are_counted() {
    for strategy in strategies() {
        let registry = unclocked(&strategy);
        let _ = (hit(&registry, "a", OLD), hit(&registry, "b", NEW));
        assert_eq!((registry.prune(), registry.endpoints()), (1, vec!["b".to_owned()]), "{strategy}");
        let asked = |name, second| registry.query_hits_at(name, at(second), MINUTE);
        assert!(expired(asked("a", OLD)) && expired(asked("never", OLD)), "{strategy}");
        // Made again: the pruned hit is missing, so an answer would be too low.
        assert_eq!([hit(&registry, "a", OLD), hit(&registry, "a", OLD + 1)], [Outcome::Counted; 2], "{strategy}");
        assert!(expired(asked("a", OLD)) && expired(asked("a", OLD + 1)), "{strategy}");
        // What is younger is known.
        assert_eq!(hit(&registry, "a", OLD + 120), Outcome::Counted, "{strategy}");
        assert_eq!(asked("a", OLD + 120).map(u64::from), Ok(1), "{strategy}");
    }
}

/// A tick that was dropped from a cell begins again as another writer's, not at a smaller count.
#[test]
fn no_cell_begins_again_at_a_smaller_count() {
    let (ours, theirs) = (unclocked(&Strategy::Adaptive), unclocked(&Strategy::Adaptive));
    for second in [OLD, OLD, OLD, OLD + 1, OLD + 2, OLD + 3] {
        assert_eq!(hit(&ours, "a", second), Outcome::Counted);
    }
    theirs.merge(&ours.snapshot()).expect("they are of one kind");
    assert_eq!(hit(&ours, "a", NEW), Outcome::Counted);
    assert!(expired(ours.query_hits_at("a", at(OLD), MINUTE)), "the oldest cell is dropped");
    assert_eq!(hit(&ours, "a", OLD), Outcome::Counted);
    assert!(expired(ours.query_hits_at("a", at(OLD), MINUTE)));
    assert_eq!(ours.merge(&theirs.snapshot()), Ok(0), "it claims no more than there was");
    assert_eq!(theirs.merge(&ours.snapshot()), Ok(0));
    assert!(expired(theirs.query_hits_at("a", at(OLD), MINUTE)));
    assert_eq!(theirs.query_hits_at("a", at(NEW), MINUTE), Ok(Hits::exact(1)));
    assert_eq!((ours.metrics().total_hits, theirs.metrics().total_hits), (8, 8));
}

/// A hit of one of three names, or a prune; and where in the ring, in which of six.
fn stamps() -> impl proptest::strategy::Strategy<Value = Vec<(usize, u64, u64)>> {
    prop::collection::vec((0..4usize, 0..9u64, 0..6u64), 1..80)
}

proptest! {
    /// In any order of stamps: `adaptive` counts what `ring` counts, and no answer is wrong.
    #[test]
    fn adaptive_refuses_nothing_that_a_ring_counts(stamps in stamps()) {
        let registry = |strategy: &Strategy| {
            let builder = Registry::builder().window(MINUTE).slack(4).strategy(strategy.clone());
            builder.build().expect("a minute is possible")
        };
        let (ring, adaptive) = (registry(&Strategy::Ring), registry(&Strategy::Adaptive));
        let mut counted: Vec<(&str, u64)> = Vec::new();
        for (which, place, lap) in stamps {
            let second = OLD + 7 * place + 64 * lap;
            let Some(&name) = ["a", "b", "c"].get(which) else {
                prop_assert_eq!(ring.prune(), adaptive.prune());
                continue;
            };
            let (strict, told) = (hit(&ring, name, second), hit(&adaptive, name, second));
            prop_assert!(told == Outcome::Counted || told == strict, "{} at {}: {} and {}", name, second, strict, told);
            if told == Outcome::Counted {
                counted.push((name, second));
            }
            for name in ["a", "b", "c"] {
                for to in [second, OLD + 200] {
                    let exact = counted.iter().filter(|hit| hit.0 == name && (to - 59..=to).contains(&hit.1)).count();
                    match adaptive.query_hits_at(name, at(to), MINUTE) {
                        Ok(told) => prop_assert_eq!(told, Hits::exact(exact as u64), "{} at {}", name, to),
                        Err(error) => prop_assert!(expired(Err(error))),
                    }
                }
            }
        }
        prop_assert_eq!(adaptive.metrics().total_hits, counted.len() as u64);
    }
}

#[test]
fn a_refused_hit_of_a_new_name_makes_no_endpoint() {
    let clock = ManualClock::new(at(1_000));
    let registry = Registry::builder().clock(clock).build().expect("the defaults are possible");
    assert_eq!(registry.record_hit_at("/ahead", at(2_000), 1), Ok(Outcome::Future));
    assert_eq!(registry.record_visit_at("/ahead", "ann", at(2_000), 1), Ok(Outcome::Future));
    assert_eq!((registry.len(), registry.metrics().future), (0, 2));
    assert!(registry.record_hit_at("", at(2_000), 1).is_err(), "the name is looked at first");
}
