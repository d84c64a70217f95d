//! Which endpoint a handle is of, after removals and restores.

use std::time::Duration;

use hitring::{Handle, Hits, ManualClock, Outcome, Registry, Strategy};

use super::{START, at};
use crate::threads::SetAtEnd;

const MINUTE: Duration = Duration::from_secs(60);

/// A registry of a minute, a handle of its endpoint `a` with five hits, and its clock.
fn used() -> (Registry, Handle, ManualClock) {
    let clock = ManualClock::new(at(START));
    let registry = Registry::builder().window(MINUTE).clock(clock.clone()).build().expect("a minute is possible");
    let handle = registry.counter("a").expect("there is room");
    assert_eq!(handle.record_visit("visitor", 5), Outcome::Counted);
    (registry, handle, clock)
}

fn restore(registry: &Registry) {
    registry.restore(&registry.snapshot()).expect("its own snapshot fits");
}

/// The handle refuses and knows nothing, although the name has an endpoint with hits and a visitor.
fn stays_dead(registry: &Registry, handle: &Handle) {
    for new in [false, true] {
        if new {
            let new = registry.counter("a").expect("there is room");
            assert_eq!(new.record_visit("another", 7), Outcome::Counted);
        }
        let before = registry.snapshot();
        assert!(!handle.is_live(), "new: {new}");
        assert_eq!([handle.record(1), handle.record_at(at(START), 1)], [Outcome::Refused; 2], "new: {new}");
        let visits = [handle.record_visit("more", 1), handle.record_visit_at("more", at(START), 1)];
        assert_eq!(visits, [Outcome::Refused; 2], "new: {new}");
        let counts = (handle.count(), handle.count_at(at(START), MINUTE));
        assert_eq!(counts, (Ok(Hits::NONE), Ok(Hits::NONE)), "new: {new}");
        assert_eq!((handle.uniques(MINUTE), handle.uniques_ever()), (Ok(0), 0), "new: {new}");
        assert_eq!(registry.snapshot().endpoints(), before.endpoints(), "new: {new}");
        assert_eq!(registry.query_hits("a", MINUTE), Ok(Hits::exact(if new { 7 } else { 0 })));
    }
}

fn lives_on(registry: &Registry, handle: &Handle, hits: u64) {
    assert!(handle.is_live());
    assert_eq!((handle.count(), registry.query_hits("a", MINUTE)), (Ok(Hits::exact(hits)), Ok(Hits::exact(hits))));
    assert_eq!((handle.record_visit("visitor", 1), handle.record(1)), (Outcome::Counted, Outcome::Counted));
    assert_eq!((handle.count(), handle.uniques(MINUTE)), (Ok(Hits::exact(hits + 2)), Ok(1)));
}

#[test]
fn a_dead_handle_stays_dead_whatever_was_restored_before() {
    let remove: fn(&Registry) = |registry| assert!(registry.remove("a"));
    let restores: fn(&Registry) = |registry| restore(registry);
    for restores in [&[][..], &[restores], &[restores; 3]] {
        for end in [remove, Registry::clear] {
            let (registry, handle, _) = used();
            restores.iter().for_each(|restore| restore(&registry));
            end(&registry);
            stays_dead(&registry, &handle);
            restore(&registry);
            stays_dead_again(&registry, &handle);
        }
    }
}

/// Restoring the new endpoint wakes no handle of the old one.
fn stays_dead_again(registry: &Registry, handle: &Handle) {
    assert_eq!((handle.is_live(), handle.record(1)), (false, Outcome::Refused));
    assert_eq!(registry.query_hits("a", MINUTE), Ok(Hits::exact(7)));
}

#[test]
fn a_snapshot_without_the_name_ends_a_handle_for_good() {
    for before in [false, true] {
        let (registry, handle, _) = used();
        let saved = registry.snapshot();
        if before {
            restore(&registry);
        }
        let empty = Registry::builder().window(MINUTE).build().expect("a minute is possible").snapshot();
        registry.restore(&empty).expect("an empty snapshot fits");
        stays_dead(&registry, &handle);
        registry.restore(&saved).expect("its own snapshot fits");
        assert_eq!((handle.is_live(), handle.record(1)), (false, Outcome::Refused));
        assert_eq!(registry.query_hits("a", MINUTE), Ok(Hits::exact(5)));
    }
}

#[test]
fn a_handle_outlives_restores_and_changes_of_strategy() {
    let (registry, handle, _) = used();
    restore(&registry);
    lives_on(&registry, &handle, 5);
    let younger = registry.counter("a").expect("there is room");
    registry.swap_endpoint("a", &Strategy::Adaptive).expect("it suits");
    assert_eq!(handle.strategy(), younger.strategy());
    restore(&registry);
    restore(&registry);
    lives_on(&registry, &handle, 7);
    lives_on(&registry, &younger, 9);
    lives_on(&registry, &handle.clone(), 11);
    assert_eq!(handle.strategy(), registry.strategy_of("a").expect("there is an endpoint"));
}

#[test]
fn a_handle_keeps_the_restored_endpoint_from_being_pruned() {
    for restores in [1, 3] {
        let (registry, handle, clock) = used();
        (0..restores).for_each(|_| restore(&registry));
        let copy = handle.clone();
        drop(handle);
        clock.advance(Duration::from_secs(1_000)).expect("before 9999");
        assert_eq!((registry.prune(), registry.contains("a"), copy.is_live()), (0, true, true));
        assert_eq!((copy.record(2), registry.query_hits("a", MINUTE)), (Outcome::Counted, Ok(Hits::exact(2))));
        clock.advance(Duration::from_secs(1_000)).expect("before 9999");
        drop(copy);
        assert_eq!((registry.prune(), registry.contains("a")), (1, false));
    }
}

#[test]
fn a_handle_keeps_the_restored_endpoint_from_making_room() {
    let clock = ManualClock::new(at(START));
    let builder = Registry::builder().window(MINUTE).clock(clock).max_endpoints(2).when_full(hitring::WhenFull::Prune);
    let registry = builder.build().expect("a minute is possible");
    let handle = registry.counter("a").expect("there is room");
    let _ = (handle.record(1), registry.record_hit_at("b", at(START + 1), 1));
    restore(&registry);
    assert_eq!(registry.record_hit("c", 1), Ok(Outcome::Counted));
    assert_eq!(registry.endpoints(), ["a", "c"]);
    drop(handle);
    assert_eq!(registry.record_hit_at("d", at(START + 2), 1), Ok(Outcome::Counted));
    assert_eq!(registry.len(), 2);
}

#[test]
fn handles_live_through_restores_beside_hits() {
    let (registry, handle, _) = used();
    let saved = registry.snapshot();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                // Makes the endpoint if it is missing at that moment; its handle goes on, too.
                let other = registry.counter("a").expect("there is room");
                let _ = (registry.record_hit("a", 1), other.record(1), handle.record(1));
            }
        });
        let _end = SetAtEnd(&done);
        for _ in 0..200 {
            registry.restore(&saved).expect("its own snapshot fits");
            assert!(handle.is_live());
        }
    });
    let count = registry.query_hits("a", MINUTE).expect("the window is known").count;
    lives_on(&registry, &handle, count);
    assert!(registry.remove("a"));
    stays_dead(&registry, &handle);
}
