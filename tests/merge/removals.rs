//! Removals and merges: hits up to a removal stay removed, hits after it count, wherever either was recorded.

use std::time::Duration;

use hitring::{ManualClock, Outcome, Registry, RegistrySnapshot, Strategy};

use crate::registry::at;

const WINDOW: Duration = Duration::from_secs(300);

fn registry(clock: &ManualClock) -> Registry {
    Registry::builder().clock(clock.clone()).build().expect("the defaults are possible")
}

fn record(registry: &Registry, amount: u64) {
    assert_eq!(registry.record_hit("/a", amount), Ok(Outcome::Counted));
}

fn count(registry: &Registry) -> u64 {
    registry.query_hits("/a", WINDOW).expect("the window is known").count
}

/// A registry in which "/a" was hit once and removed.
fn removed(clock: &ManualClock) -> Registry {
    let registry = registry(clock);
    record(&registry, 1);
    assert!(registry.remove("/a"));
    registry
}

#[test]
fn hits_after_a_removal_count_whichever_registry_took_them() {
    let clock = ManualClock::new(at(1_000));
    let home = removed(&clock);
    clock.set(at(1_100));
    let shard = registry(&clock);
    record(&shard, 3);
    assert_eq!(home.merge(&shard.snapshot()), Ok(0));
    assert_eq!(count(&home), 3);
}

#[test]
fn hits_of_the_tick_of_a_removal_stay_if_the_removal_did_not_find_their_writer() {
    let clock = ManualClock::new(at(1_100));
    // The name lives again, and another registry, which never heard of the removal, has hits of the same second.
    let home = removed(&clock);
    record(&home, 10);
    let shard = registry(&clock);
    record(&shard, 3);
    assert_eq!(home.merge(&shard.snapshot()), Ok(0));
    assert_eq!(count(&home), 13);
    // The other way round: the removal is the shard's.
    let home = registry(&clock);
    record(&home, 10);
    let shard = removed(&clock);
    record(&shard, 3);
    assert_eq!(home.merge(&shard.snapshot()), Ok(0));
    assert_eq!(count(&home), 13);
}

#[test]
fn clearing_does_not_shut_other_registries_out() {
    let clock = ManualClock::new(at(1_000));
    let home = registry(&clock);
    record(&home, 1);
    home.clear();
    let shard = registry(&clock);
    record(&shard, 3);
    assert_eq!(home.merge(&shard.snapshot()), Ok(0));
    assert_eq!(count(&home), 3);
}

#[test]
fn an_aggregator_that_removed_a_name_counts_what_its_workers_count_later() {
    let clock = ManualClock::new(at(1_000));
    let total = registry(&clock);
    let mut workers = vec![registry(&clock), registry(&clock)];
    let turn = |workers: &[Registry]| -> u64 {
        workers
            .iter()
            .map(|worker| {
                record(worker, 10);
                total.merge(&worker.snapshot()).expect("it fits")
            })
            .sum()
    };
    assert_eq!(turn(&workers), 0);
    assert_eq!(count(&total), 20);
    assert!(total.remove("/a"));
    assert_eq!(count(&total), 0);
    for minute in 1..=3 {
        clock.advance(Duration::from_secs(60)).expect("it goes on");
        assert_eq!(turn(&workers), 20, "the hits of before the removal are left out each time");
        assert_eq!(count(&total), 20 * minute);
    }
    workers = vec![registry(&clock), registry(&clock)];
    assert_eq!(turn(&workers), 0);
    assert_eq!(count(&total), 80);
}

#[test]
fn what_was_removed_does_not_come_back_by_any_way() {
    let clock = ManualClock::new(at(1_000));
    let worker = registry(&clock);
    record(&worker, 5);
    let before = worker.snapshot();
    let other = registry(&clock);
    other.merge(&before).expect("it fits");
    let total = registry(&clock);
    total.merge(&before).expect("it fits");
    assert!(total.remove("/a"));
    // The snapshot of before, one that went by another registry, and one of a registry that hears of the removal first.
    assert_eq!(total.merge(&before), Ok(5));
    assert_eq!(total.merge(&other.snapshot()), Ok(5));
    let late = registry(&clock);
    late.merge(&total.snapshot()).expect("it fits");
    assert_eq!(late.merge(&before), Ok(5));
    other.merge(&total.snapshot()).expect("it fits");
    for registry in [&total, &late, &other] {
        assert_eq!(count(registry), 0);
    }
}

#[test]
fn an_endpoint_outlives_a_removal_elsewhere() {
    let clock = ManualClock::new(at(1_000));
    let worker = registry(&clock);
    let handle = worker.counter("/a").expect("there is room");
    assert_eq!(handle.record(5), Outcome::Counted);
    let total = registry(&clock);
    total.merge(&worker.snapshot()).expect("it fits");
    assert!(total.remove("/a"));
    clock.set(at(1_010));
    assert_eq!(handle.record(7), Outcome::Counted);
    // The worker hears of the removal after its later hits.
    assert_eq!(worker.merge(&total.snapshot()), Ok(0));
    assert_eq!(count(&worker), 7);
    assert!(handle.is_live());
    assert_eq!(handle.record(1), Outcome::Counted);
    assert_eq!((count(&worker), handle.count().map(u64::from)), (8, Ok(8)));
    assert_eq!(total.merge(&worker.snapshot()), Ok(0));
    assert_eq!(count(&total), 8);
    // What leaves it has no more than what counts.
    let copy = registry(&clock);
    copy.restore(&worker.snapshot()).expect("it fits");
    assert_eq!(count(&copy), 8);
    // A removal here ends the endpoint and its handles.
    assert!(worker.remove("/a"));
    assert_eq!((handle.is_live(), handle.record(1), count(&worker)), (false, Outcome::Refused, 0));
}

#[test]
fn a_hit_that_was_stamped_ahead_takes_no_later_ones_along() {
    let (clock, ahead) = (ManualClock::new(at(1_000)), ManualClock::new(at(1_200)));
    let worker = Registry::builder().clock(ahead.clone()).build().expect("the defaults are possible");
    let total = registry(&clock);
    record(&worker, 1);
    total.merge(&worker.snapshot()).expect("it fits");
    assert!(total.remove("/a"));
    // The worker's clock is set right.
    for (hits, second) in [(1, 1_010), (2, 1_100), (3, 1_199), (4, 1_250)] {
        [&clock, &ahead].into_iter().for_each(|clock| clock.set(at(second)));
        record(&worker, 1);
        assert_eq!(total.merge(&worker.snapshot()), Ok(1), "the one that was removed");
        assert_eq!(count(&total), hits, "at {second}");
    }
}

#[test]
fn a_hit_after_a_removal_counts_in_the_same_tick() {
    let clock = ManualClock::new(at(1_000));
    for strategy in [Strategy::Adaptive, Strategy::Ring, Strategy::Striped, Strategy::SLIDING] {
        let worker = Registry::builder().strategy(strategy.clone()).clock(clock.clone()).build().expect("it suits");
        let total = registry(&clock);
        record(&worker, 5);
        total.merge(&worker.snapshot()).expect("it fits");
        assert!(total.remove("/a"));
        record(&worker, 7);
        assert_eq!(total.merge(&worker.snapshot()), Ok(5), "{strategy:?}");
        assert_eq!(worker.merge(&total.snapshot()), Ok(0), "{strategy:?}");
        assert_eq!((count(&total), count(&worker)), (7, 7), "{strategy:?}");
        record(&worker, 1);
        assert_eq!(count(&worker), 8, "{strategy:?}");
        // Wherever it goes from there.
        let third = registry(&clock);
        third.merge(&worker.snapshot()).expect("it fits");
        let copy = third.clone();
        total.merge(&copy.snapshot()).expect("it fits");
        assert_eq!((count(&third), count(&copy), count(&total)), (8, 8, 8), "{strategy:?}");
        clock.advance(Duration::from_secs(300)).expect("it goes on");
        assert_eq!((count(&third), count(&worker)), (0, 0), "{strategy:?}");
    }
}

#[test]
fn hits_that_were_stamped_ahead_of_a_removal_are_void_where_they_were_recorded() {
    let clock = ManualClock::new(at(1_000));
    for (second, strategy) in [(1_000, Strategy::Adaptive), (2_000, Strategy::Striped), (3_000, Strategy::SLIDING)] {
        clock.set(at(second));
        let worker = Registry::builder().strategy(strategy.clone()).clock(clock.clone()).build().expect("it suits");
        let total = registry(&clock);
        assert_eq!(worker.record_hit_at("/a", at(second + 5), 3), Ok(Outcome::Counted));
        total.merge(&worker.snapshot()).expect("it fits");
        assert!(total.remove("/a"));
        worker.merge(&total.snapshot()).expect("it fits");
        clock.advance(Duration::from_secs(5)).expect("it goes on");
        record(&worker, 2);
        total.merge(&worker.snapshot()).expect("it fits");
        assert_eq!((count(&worker), count(&total)), (2, 2), "{strategy:?}");
    }
}

#[test]
fn a_removal_voids_those_generations_that_it_found() {
    let clock = ManualClock::new(at(1_000));
    for strategy in [Strategy::Adaptive, Strategy::Striped, Strategy::SLIDING] {
        let (worker, total) = (registry(&clock), registry(&clock));
        record(&worker, 1);
        total.merge(&worker.snapshot()).expect("it fits");
        assert!(total.remove("/a"));
        // Another generation counts in the tick of the removal.
        assert_eq!(worker.swap_endpoint("/a", &strategy), Ok(true));
        record(&worker, 7);
        assert_eq!(total.merge(&worker.snapshot()), Ok(1));
        assert_eq!(worker.merge(&total.snapshot()), Ok(0));
        assert_eq!((count(&total), count(&worker)), (7, 7), "{strategy:?}");
    }
}

#[test]
fn removals_are_joined_in_any_order() {
    let clock = ManualClock::new(at(1_000));
    let worker = registry(&clock);
    let sites = [registry(&clock), registry(&clock)];
    for (second, site) in [(1_001, &sites[0]), (1_003, &sites[1])] {
        clock.set(at(second));
        record(&worker, 1);
        site.merge(&worker.snapshot()).expect("it fits");
        assert!(site.remove("/a"));
    }
    clock.set(at(1_005));
    record(&worker, 100);
    let snapshots = [worker.snapshot(), sites[0].snapshot(), sites[1].snapshot()];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let total = registry(&clock);
        for index in order {
            let bytes = snapshots[index].to_bytes();
            total.merge(&RegistrySnapshot::from_bytes(&bytes).expect("bytes of now")).expect("it fits");
        }
        assert_eq!(count(&total), 100, "{order:?}");
    }
}

#[test]
fn visitors_after_a_removal_count_from_the_next_part_of_the_window_on() {
    let clock = ManualClock::new(at(1_000));
    let (total, worker) = (registry(&clock), registry(&clock));
    let visit = |who: &str| assert_eq!(worker.record_visit("/a", who, 1), Ok(Outcome::Counted));
    visit("ann");
    total.merge(&worker.snapshot()).expect("it fits");
    assert!(total.remove("/a"));
    clock.set(at(1_100));
    visit("bob");
    visit("cem");
    total.merge(&worker.snapshot()).expect("it fits");
    assert_eq!((total.query_uniques("/a", WINDOW), total.uniques_ever("/a")), (Ok(2), 2));
    worker.merge(&total.snapshot()).expect("it fits");
    assert_eq!(worker.query_uniques("/a", WINDOW), Ok(2));
}

#[test]
fn removed_visitors_do_not_come_back_in_a_copy() {
    let clock = ManualClock::new(at(1_000));
    let (total, worker) = (registry(&clock), registry(&clock));
    assert_eq!(worker.record_visit("/a", "ann", 1), Ok(Outcome::Counted));
    total.merge(&worker.snapshot()).expect("it fits");
    assert!(total.remove("/a"));
    clock.set(at(1_100));
    record(&worker, 1);
    worker.merge(&total.snapshot()).expect("it fits");
    assert_eq!(worker.query_uniques("/a", WINDOW), Ok(0));
    let copy = worker.clone();
    assert_eq!((copy.query_uniques("/a", WINDOW), count(&copy)), (Ok(0), 1));
    record(&copy, 1);
    let third = registry(&clock);
    third.merge(&copy.snapshot()).expect("it fits");
    assert_eq!((third.query_uniques("/a", WINDOW), third.uniques_ever("/a"), count(&third)), (Ok(0), 0, 2));
}

#[test]
fn a_registry_reads_its_own_bytes_after_the_last_epoch() {
    let clock = ManualClock::new(at(1_000));
    let worker = registry(&clock);
    record(&worker, 1);
    let mut bytes = worker.snapshot().to_bytes();
    bytes[36..44].copy_from_slice(&(i64::MAX as u64).to_le_bytes());
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    let total = registry(&clock);
    total.merge(&RegistrySnapshot::from_bytes(&bytes).expect("an epoch")).expect("it fits");
    assert!(total.remove("/a"));
    assert!(RegistrySnapshot::from_bytes(&total.snapshot().to_bytes()).is_ok());
}

#[test]
fn merged_writers_go_also_after_the_clock_was_set_back() {
    let clock = ManualClock::new(at(4_000_000_000));
    let total = registry(&clock);
    let _handle = total.counter("/a").expect("there is room");
    let mut lengths = Vec::new();
    for turn in 0..20 {
        clock.set(at(1_000_000 + 1_000 * turn));
        let worker = registry(&clock);
        record(&worker, 1);
        total.merge(&worker.snapshot()).expect("it fits");
        lengths.push(total.snapshot().to_bytes().len());
    }
    // The totals of a worker take 72 bytes.
    assert_eq!(lengths[19] - lengths[9], 720);
}
