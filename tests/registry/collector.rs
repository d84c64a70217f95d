//! A registry that merges snapshots of many short-lived ones: what stays of each, and for how long.

use std::time::Duration;

use hitring::{Hits, ManualClock, Outcome, QueryError, Registry, RegistrySnapshot};

use super::{START, at};

const MINUTE: Duration = Duration::from_secs(60);
/// Workers of the first part; there are four times as many in all.
const WORKERS: u64 = if cfg!(debug_assertions) { 1_300 } else { 2_000 };
/// So many come before all of them have left the window.
const AT_ONCE: u64 = 100;

fn at_clock(clock: &ManualClock) -> Registry {
    Registry::builder().window(MINUTE).clock(clock.clone()).build().expect("a minute is possible")
}

fn worker(clock: &ManualClock) -> Registry {
    let worker = at_clock(clock);
    assert_eq!(worker.record_hit("a", 1), Ok(Outcome::Counted));
    worker
}

fn merge(collector: &Registry, snapshot: &RegistrySnapshot) {
    collector.merge(snapshot).expect("they are of one kind");
}

/// The bytes of a snapshot, and the cells that a merge walks.
fn size(collector: &Registry) -> (usize, u64) {
    (collector.snapshot().to_bytes().len(), collector.metrics().memory_entries)
}

#[test]
fn a_collector_does_not_grow_with_workers_long_gone() {
    let clock = ManualClock::new(at(START));
    let collector = at_clock(&clock);
    let mut first = Vec::new();
    let mut sizes = Vec::new();
    let long_lived = worker(&clock);
    merge(&collector, &long_lived.snapshot());
    for number in 1..=4 * WORKERS {
        let snapshot = worker(&clock).snapshot();
        merge(&collector, &snapshot);
        if first.len() < 50 {
            first.push(snapshot);
        }
        if number % AT_ONCE == 0 {
            assert_eq!(collector.query_hits("a", MINUTE).map(u64::from), Ok(AT_ONCE + u64::from(number == AT_ONCE)));
            clock.advance(Duration::from_secs(100)).expect("before 9999");
        }
        if number % WORKERS == 0 {
            sizes.push(size(&collector));
        }
    }
    let total = |collector: &Registry| collector.metrics().total_hits;
    assert_eq!(total(&collector), 4 * WORKERS + 1);
    let ((few_bytes, few_cells), (bytes, cells)) = (sizes[0], sizes[3]);
    assert!(bytes < 3 * few_bytes, "{sizes:?}");
    assert!(cells <= few_cells + AT_ONCE && cells <= 2 * AT_ONCE, "{sizes:?}");
    // Old snapshots change nothing, however often they are merged.
    for _ in 0..2 {
        for snapshot in &first {
            merge(&collector, snapshot);
        }
        assert_eq!(total(&collector), 4 * WORKERS + 1);
        assert_eq!(collector.query_hits("a", MINUTE), Ok(Hits::NONE));
    }
    // A worker that was silent for all that time adds just what is new.
    assert_eq!(long_lived.record_hit("a", 2), Ok(Outcome::Counted));
    for _ in 0..2 {
        merge(&collector, &long_lived.snapshot());
        assert_eq!((total(&collector), collector.query_hits("a", MINUTE)), (4 * WORKERS + 3, Ok(Hits::exact(2))));
    }
    // Restored, it is the same; merged again, too.
    let meanwhile = worker(&clock).snapshot();
    clock.advance(Duration::from_secs(1)).expect("before 9999");
    let restored = at_clock(&clock);
    restored.restore(&collector.snapshot()).expect("a copy fits");
    for registry in [&collector, &restored] {
        first.iter().chain([&long_lived.snapshot()]).for_each(|snapshot| merge(registry, snapshot));
        assert_eq!((total(registry), registry.query_hits("a", MINUTE)), (4 * WORKERS + 3, Ok(Hits::exact(2))));
    }
    // A worker is new whose hit is younger than all that were folded.
    for _ in 0..2 {
        merge(&restored, &meanwhile);
        assert_eq!((total(&restored), restored.query_hits("a", MINUTE)), (4 * WORKERS + 4, Ok(Hits::exact(3))));
    }
    clock.advance(Duration::from_secs(10_000)).expect("before 9999");
    assert_eq!((collector.prune(), collector.len(), total(&collector)), (1, 0, 4 * WORKERS + 3));
    let (empty, cells) = size(&collector);
    assert!(empty < 80_000 && cells == 0, "{empty} bytes, {cells} cells");
}

#[test]
fn merged_hits_that_went_are_known_to_be_gone() {
    let clock = ManualClock::new(at(START));
    let collector = at_clock(&clock);
    let handle = collector.counter("a").expect("there is room");
    merge(&collector, &worker(&clock).snapshot());
    assert_eq!(handle.count(), Ok(Hits::exact(1)));
    clock.advance(Duration::from_secs(1_000)).expect("before 9999");
    assert_eq!((collector.prune(), collector.len()), (0, 1));
    let then = handle.count_at(at(START), MINUTE);
    assert!(matches!(then, Err(QueryError::WindowExpired { .. })), "{then:?}");
    assert_eq!(handle.count(), Ok(Hits::NONE));
}

#[test]
fn without_a_clock_the_newest_merged_hit_is_now() {
    for restored in [false, true] {
        let registry = || Registry::builder().window(MINUTE).build().expect("a minute is possible");
        let (collector, worker) = (registry(), registry());
        for (name, second) in [("old", 1), ("new", 500)] {
            assert_eq!(worker.record_hit_at(name, at(second), 1), Ok(Outcome::Counted));
        }
        let snapshot = worker.snapshot();
        if restored {
            collector.restore(&snapshot).expect("it fits");
        } else {
            merge(&collector, &snapshot);
        }
        assert_eq!((collector.prune(), collector.endpoints()), (1, vec!["new".to_owned()]), "restored: {restored}");
    }
}
