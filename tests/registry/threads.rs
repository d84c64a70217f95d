//! Real threads against swaps, prunes, removals, evictions and snapshots: what was acknowledged is counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hitring::{ManualClock, Outcome, Registry, Strategy, WhenFull};

use super::{START, at};
use crate::threads::{SetAtEnd, rounds, together};

const WINDOW: Duration = Duration::from_secs(60);
const NAMES: [&str; 4] = ["/a", "/b", "/c", "/d"];

fn registry(strategy: &Strategy) -> Registry {
    Registry::builder().window(WINDOW).strategy(strategy.clone()).build().expect("a minute is possible")
}

/// Three threads record, by name and by handle, while the fourth swaps strategies as fast as it can.
#[test]
fn swaps_lose_no_hit() {
    let strategies = [Strategy::Ring, Strategy::Striped, Strategy::SLIDING, Strategy::Adaptive];
    for round in 0..rounds(20) as u64 {
        let registry = registry(&strategies[round as usize % 4]);
        // An older lap in every slot.
        for second in 0..90 {
            let _ = registry.record_hit_at("/a", at(START - 200 + second), 1_000);
        }
        let done = AtomicU64::new(0);
        together(4, |thread| {
            if thread == 3 {
                let mut turn = 0;
                // Each swap that was used keeps a generation for as long as the window: not endlessly many.
                while done.load(Ordering::Acquire) < 3 && turn < 2_000 {
                    turn += 1;
                    let strategy = &strategies[turn % 4];
                    if turn % 2 == 0 {
                        registry.swap_strategy(strategy).expect("it suits");
                    } else {
                        registry.swap_endpoint("/a", strategy).expect("it suits");
                    }
                    std::thread::yield_now();
                }
                return;
            }
            let handle = registry.counter("/a").expect("there is room");
            for hit in 0..3_000u64 {
                let then = at(START + hit / 100);
                let outcome = if hit % 2 == 0 {
                    handle.record_at(then, 1)
                } else {
                    record_at(&registry, "/a", START + hit / 100)
                };
                assert_eq!(outcome, Outcome::Counted);
            }
            done.fetch_add(1, Ordering::Release);
        });
        let count = registry.query_hits_at("/a", at(START + 30), WINDOW).expect("nothing was recycled");
        assert_eq!(count, hitring::Hits::exact(9_000));
        assert_eq!(registry.metrics().total_hits, 9_000 + 90_000);
    }
}

fn record_at(registry: &Registry, name: &str, second: u64) -> Outcome {
    registry.record_hit_at(name, at(second), 1).expect("the name is possible")
}

/// Threads record while another moves the clock on and prunes: endpoints come and go.
#[test]
fn prunes_lose_no_hit_of_the_window() {
    for strategy in [Strategy::Adaptive, Strategy::Ring, Strategy::Striped] {
        let all_pruned = AtomicU64::new(0);
        for _ in 0..rounds(10) {
            let clock = ManualClock::new(at(START));
            let registry = Registry::builder()
                .window(WINDOW)
                .strategy(strategy.clone())
                .clock(clock.clone())
                .build()
                .expect("a minute is possible");
            let done = AtomicU64::new(0);
            let logs = together(3, |thread| {
                let mut log = Vec::new();
                if thread == 2 {
                    let mut pruned = 0;
                    for turn in 0.. {
                        clock.advance(Duration::from_secs(if turn % 3 == 0 { 81 } else { 1 })).expect("before 9999");
                        pruned += registry.prune();
                        if done.load(Ordering::Acquire) == 2 {
                            break;
                        }
                        std::thread::yield_now();
                    }
                    all_pruned.fetch_add(pruned as u64, Ordering::Relaxed);
                    return log;
                }
                for hit in 0..4_000 {
                    let (name, now) = (NAMES[hit % 4], clock.now());
                    if registry.record_hit_at(name, now, 1) == Ok(Outcome::Counted) {
                        log.push((name, now.secs()));
                    }
                    if hit % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
                done.fetch_add(1, Ordering::Release);
                log
            });
            let now = clock.now().secs();
            for name in NAMES {
                let hits = logs.iter().flatten().filter(|(n, then)| *n == name && *then + 60 > now).count() as u64;
                assert_eq!(registry.query_hits(name, WINDOW), Ok(hitring::Hits::exact(hits)), "{strategy} {name}");
            }
        }
        assert!(all_pruned.into_inner() > 0, "nothing was ever idle");
    }
}

/// An endpoint that has a handle is never pruned, and its handle never refuses.
#[test]
fn a_handle_outlives_every_prune() {
    let clock = ManualClock::new(at(START));
    let registry = Registry::builder().window(WINDOW).clock(clock.clone()).build().expect("a minute is possible");
    let done = AtomicBool::new(false);
    together(3, |thread| {
        if thread == 0 {
            let _end = SetAtEnd(&done);
            for _ in 0..2_000 * rounds(1) {
                clock.advance(Duration::from_secs(200)).expect("before 9999");
                registry.prune();
            }
            return;
        }
        while !done.load(Ordering::Acquire) {
            let handle = registry.counter("/a").expect("there is room");
            // Late, if the clock moved on by a ring since it was read.
            assert_ne!(handle.clone().record(1), Outcome::Refused);
            assert!(handle.is_live());
        }
    });
}

/// However many threads bring new names, there are never more endpoints than may be, and every hit has an outcome.
#[test]
fn the_bound_on_endpoints_holds() {
    for when_full in [WhenFull::Refuse, WhenFull::Prune] {
        let registry = Registry::builder()
            .window(WINDOW)
            .strategy(Strategy::Adaptive)
            .max_endpoints(20)
            .when_full(when_full)
            .build()
            .expect("a minute is possible");
        let told = together(4, |thread| {
            let (mut counted, mut refused) = (0u64, 0u64);
            for hit in 0..3_000 * rounds(1) {
                let name = format!("/{}", (hit * 7 + thread * 13) % 50);
                match registry.record_hit(&name, 1).expect("the name is possible") {
                    Outcome::Counted => counted += 1,
                    Outcome::Refused => refused += 1,
                    other => panic!("{other}"),
                }
                assert!(registry.endpoints().len() <= 20);
            }
            (counted, refused)
        });
        let refused: u64 = told.iter().map(|(_, refused)| refused).sum();
        assert_eq!(registry.metrics().refused, refused);
        assert_eq!(registry.len(), registry.endpoints().len());
        assert_eq!(when_full == WhenFull::Refuse, refused > 0, "{when_full:?}");
    }
}

/// Threads record while another removes. A hit that is acknowledged after the last removal is found.
#[test]
fn a_removed_name_begins_anew() {
    for round in 0..rounds(200) as u64 {
        let registry = registry(if round % 2 == 0 { &Strategy::Ring } else { &Strategy::Adaptive });
        let (removed, after) = (AtomicBool::new(false), AtomicU64::new(0));
        together(3, |thread| {
            if thread == 2 {
                for _ in 0..20 {
                    registry.remove("/a");
                }
                removed.store(true, Ordering::Release);
                return;
            }
            for hit in 0.. {
                let was_removed = removed.load(Ordering::Acquire);
                assert_eq!(record_at(&registry, "/a", START + hit % 3), Outcome::Counted);
                after.fetch_add(u64::from(was_removed), Ordering::Relaxed);
                if was_removed && hit > 50 {
                    break;
                }
            }
        });
        let count = registry.query_hits_at("/a", at(START + 3), WINDOW).expect("nothing was recycled").count;
        assert!(count >= after.load(Ordering::Relaxed), "{count} of {}", after.load(Ordering::Relaxed));
    }
}

/// Snapshots that are taken beside recorders and merged elsewhere, in any order, come to the same.
#[test]
fn snapshots_beside_recorders_merge_to_the_total() {
    for strategy in [Strategy::Adaptive, Strategy::Striped, Strategy::SLIDING] {
        let (source, sink) = (registry(&strategy), registry(&Strategy::Ring));
        let done = AtomicU64::new(0);
        together(3, |thread| {
            if thread == 2 {
                let mut kept = Vec::new();
                while done.load(Ordering::Acquire) < 2 {
                    let snapshot = source.snapshot();
                    sink.merge(&snapshot).expect("both are alike");
                    kept.push(snapshot);
                }
                // Older ones change nothing.
                kept.iter().for_each(|snapshot| _ = sink.merge(snapshot).expect("both are alike"));
                return;
            }
            for hit in 0..5_000u64 {
                let name = NAMES[hit as usize % 4];
                assert_eq!(record_at(&source, name, START + hit / 200), Outcome::Counted);
            }
            done.fetch_add(1, Ordering::Release);
        });
        sink.merge(&source.snapshot()).expect("both are alike");
        sink.merge(&source.snapshot()).expect("both are alike");
        for name in NAMES {
            let count = |registry: &Registry| registry.query_hits_at(name, at(START + 25), WINDOW).map(u64::from);
            assert_eq!((count(&source), count(&sink)), (Ok(2_500), Ok(2_500)), "{strategy}");
        }
    }
}
