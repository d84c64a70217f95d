//! Hits of a ledger: shown beside those of the file, raised twice as once, and carried to every file that follows.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hitring::shared::{Inspection, LedgerEntry, NoEntry, SharedLedger, Wanted, compact};
use hitring::{EndpointError, ManualClock, Outcome, Registry, Replica, SharedRegistry, Tick, Writer};

use super::exchange::alone;
use super::processes::{fork, random, signal, wait};
use super::{Folder, MINUTE, Made, START, at, made, small};

const WRITER: Writer = Writer { replica: Replica { process: 7, sequence: 8 }, generation: 0 };

fn ledger(registry: &SharedRegistry) -> SharedLedger {
    registry.ledger(WRITER).expect("it can be written")
}

/// Raises an endpoint's hits at the start, and all its hits, to `count`.
fn raised(ledger: &SharedLedger, endpoint: &str, count: u64) -> LedgerEntry {
    let entry = ledger.entry(endpoint).expect("there is room");
    ledger.raise(entry, Tick(START), count);
    ledger.raise_total(entry, count);
    entry
}

fn hits(registry: &SharedRegistry, endpoint: &str) -> (u64, u64) {
    (registry.query_hits(endpoint, MINUTE).expect("exact").count, registry.total_ever(endpoint))
}

fn faults(path: &Path) -> Vec<String> {
    Inspection::open(path).and_then(|file| file.faults()).expect("it is whole")
}

#[test]
fn every_query_has_them() {
    let made = made();
    let ledger = ledger(&made);
    assert_eq!(made.record_hit("/a", 2), Ok(Outcome::Counted));
    let entry = raised(&ledger, "/a", 5);
    assert_eq!((ledger.count(entry, Tick(START)), ledger.total(entry)), (5, 5));
    for _ in 0..2 {
        // Twice is once, and less is nothing.
        raised(&ledger, "/a", 5);
        raised(&ledger, "/a", 3);
        assert_eq!(hits(&made, "/a"), (7, 7));
    }
    raised(&ledger, "/b", 4);
    let reader = SharedRegistry::builder().clock(made.clock.clone()).read(made.path()).expect("it is whole");
    for registry in [&*made, &reader] {
        assert_eq!((hits(registry, "/a"), hits(registry, "/b")), ((7, 7), (4, 4)));
        assert_eq!(registry.total(MINUTE).expect("exact").count, 11);
        let top: Vec<_> =
            registry.top(9, MINUTE).expect("exact").into_iter().map(|(name, hits)| (name, hits.count)).collect();
        assert_eq!(top, [("/a".to_owned(), 7), ("/b".to_owned(), 4)]);
        assert_eq!(registry.metrics().total_hits, 11);
        let mut totals = registry.totals_ever();
        totals.sort();
        assert_eq!(totals, [("/a".to_owned(), 7), ("/b".to_owned(), 4)]);
    }
    assert_eq!(made.counter("/a").expect("known").total_ever(), 7);
    let report = Inspection::open(made.path()).and_then(|file| file.report(Some(at(START)))).expect("it is whole");
    assert_eq!(report.top.iter().map(|line| line.total).collect::<Vec<_>>(), [7, 4]);
    // A late hit of the ledger that has left its slot counts in the total alone.
    made.set(START + 500);
    ledger.raise(entry, Tick(START + 320), 1);
    ledger.raise(entry, Tick(START), 6);
    ledger.raise_total(entry, 7);
    assert_eq!((ledger.count(entry, Tick(START)), made.total_ever("/a")), (0, 9));
}

#[test]
fn a_removed_endpoint_begins_anew() {
    let made = made();
    let ledger = ledger(&made);
    let old = raised(&ledger, "/a", 5);
    assert!(ledger.is_alive(old) && made.remove("/a").expect("it can be written"));
    assert_eq!((ledger.is_alive(old), hits(&made, "/a")), (false, (0, 0)));
    assert_eq!(ledger.check(old, None, 1, |_| 0), Err(Outcome::Refused));
    let new = ledger.entry("/a").expect("there is room");
    assert!(new != old && ledger.epoch(new) > ledger.epoch(old));
    // Numbers of the old life go nowhere.
    ledger.raise(old, Tick(START), 9);
    ledger.raise_total(old, 9);
    assert_eq!(hits(&made, "/a"), (0, 0));
    raised(&ledger, "/a", 2);
    assert_eq!(hits(&made, "/a"), (2, 2));
    // What was counted before the removal was counted.
    assert_eq!(made.metrics().total_hits, 11);
    assert_eq!(faults(&made.path()), Vec::<String>::new());
}

#[test]
fn what_would_not_count_is_said_and_noted() {
    let made = made();
    let ledger = ledger(&made);
    let entry = ledger.entry("/a").expect("there is room");
    assert_eq!(ledger.check(entry, None, 3, |_| 0), Ok(Tick(START)));
    assert_eq!(ledger.check(entry, Some(at(START - 30)), 3, |_| 0), Ok(Tick(START - 30)));
    assert_eq!(ledger.check(entry, Some(at(START + 500)), 3, |_| 0), Err(Outcome::Future));
    assert_eq!(ledger.check(entry, Some(at(START + 500)), 0, |_| 0), Ok(Tick(START + 500)));
    assert_eq!(ledger.check(entry, None, 1 << 62, |_| 0), Err(Outcome::Saturated));
    assert_eq!(ledger.check(entry, None, 4, |_| 1 << 62), Err(Outcome::Saturated));
    made.set(START + 1_000);
    ledger.raise(entry, Tick(START + 1_000), 1);
    // A ring of a minute has 80 slots.
    assert_eq!(ledger.check(entry, Some(at(START + 1_000 - 80)), 5, |_| 0), Err(Outcome::Late));
    let outcomes = made.outcomes();
    assert_eq!((outcomes.future, outcomes.saturated, outcomes.late), (3, (1 << 62) + 4, 5));
    assert_eq!(outcomes.counted, 0, "the ledger has raised no total");
}

/// Of a file at `path`, by another clock.
fn opened(made: &Made, path: &Path) -> SharedRegistry {
    made.open(path)
}

#[test]
fn files_that_follow_have_them() {
    alone(carried);
}

fn carried() {
    let made = made();
    let (folder, ring) = (&made.folder, made.path());
    {
        let ledger = ledger(&made);
        raised(&ledger, "/a", 5);
        raised(&ledger, "/gone", 9);
        assert!(made.remove("/gone").expect("it can be written"));
        assert_eq!(made.record_hit("/a", 2), Ok(Outcome::Counted));
    }
    let is_right = |registry: &SharedRegistry, what: &str| {
        assert_eq!(hits(registry, "/a"), (7, 7), "{what}");
        assert_eq!(registry.metrics().total_hits, 16, "{what}");
        let ledger = ledger(registry);
        // The same numbers again, as a start raises them.
        let entry = raised(&ledger, "/a", 5);
        assert_eq!((ledger.count(entry, Tick(START)), ledger.total(entry)), (5, 5), "{what}");
        assert_eq!(hits(registry, "/a"), (7, 7), "{what}");
        assert_eq!(registry.metrics().total_hits, 16, "{what}");
    };
    let copy = folder.file("copy.ring");
    fs::copy(&ring, &copy).expect("it can be copied");
    is_right(&opened(&made, &copy), "a copy, which is a new writer's");
    is_right(&opened(&made, &copy), "the same again");
    drop(made.registry);
    let smaller = folder.file("compact.ring");
    compact(&ring, &smaller, Wanted::default()).expect("it fits");
    let registry = small().clock(made.clock.clone()).open(&smaller).expect("it is whole");
    is_right(&registry, "compacted");
    // Out of the window: the total stays.
    made.clock.set(at(START + 1_000));
    assert_eq!(hits(&registry, "/a"), (0, 7));
    // A compaction goes by the newest hit.
    assert_eq!(registry.record_hit("/new", 1), Ok(Outcome::Counted));
    drop(registry);
    let again = folder.file("again.ring");
    compact(&smaller, &again, Wanted::default()).expect("it fits");
    let registry = small().clock(made.clock.clone()).open(&again).expect("it is whole");
    assert_eq!((hits(&registry, "/a"), registry.metrics().total_hits), ((0, 7), 17));
    let ledger = ledger(&registry);
    assert_eq!(ledger.total(ledger.entry("/a").expect("it is there")), 5);
}

#[test]
fn registries_that_merge_have_them_once() {
    let made = made();
    let ledger = ledger(&made);
    assert_eq!(made.record_hit("/a", 2), Ok(Outcome::Counted));
    raised(&ledger, "/a", 5);
    let memory = Registry::builder().window(MINUTE).clock(made.clock.clone()).build().expect("it is possible");
    memory.merge(&made.snapshot()).expect("it fits");
    assert_eq!(memory.query_hits("/a", MINUTE).map(u64::from), Ok(7));
    assert_eq!(memory.record_hit("/a", 1), Ok(Outcome::Counted));
    raised(&ledger, "/a", 6);
    for _ in 0..2 {
        made.merge(&memory.snapshot()).expect("it fits");
        assert_eq!(hits(&made, "/a"), (9, 8));
        memory.merge(&made.snapshot()).expect("it fits");
        assert_eq!(memory.query_hits("/a", MINUTE).map(u64::from), Ok(9));
    }
}

#[test]
fn epochs_begin_where_the_database_says() {
    let made = made();
    let ledger = ledger(&made);
    raised(&ledger, "/a", 5);
    let epoch = ledger.next_epoch();
    assert!(ledger.next_epoch() > epoch && epoch > made.epoch("/a"));
    ledger.begin_epoch("/a", epoch).expect("there is room");
    assert_eq!(hits(&made, "/a"), (0, 0));
    let entry = raised(&ledger, "/a", 3);
    assert_eq!((ledger.epoch(entry), hits(&made, "/a")), (epoch, (3, 3)));
    // Of a life that is of it, or of a later one, nothing changes.
    for epoch in [epoch, epoch - 1, 0] {
        ledger.begin_epoch("/a", epoch).expect("there is room");
        assert_eq!(hits(&made, "/a"), (3, 3));
    }
    // Also before there is one.
    ledger.begin_epoch("/new", 1_000).expect("there is room");
    assert!(!made.contains("/new"));
    assert_eq!(ledger.epoch(raised(&ledger, "/new", 1)), 1_000);
    assert!(made.remove("/a").expect("it can be written"));
    assert_eq!(made.record_hit("/a", 1), Ok(Outcome::Counted));
    assert!(made.epoch("/a") > 1_000);
    assert_eq!(faults(&made.path()), Vec::<String>::new());
}

#[test]
fn without_room_nothing_is_shown() {
    let folder = Folder::new();
    let registry = small().max_endpoints(3).create(folder.file("hits.ring")).expect("it can be made");
    let ledger = ledger(&registry);
    raised(&ledger, "/a", 5);
    assert_eq!(ledger.entry("/b"), Err(NoEntry::Endpoint(EndpointError::Full { max_endpoints: 3 })));
    assert_eq!(["/a", "/b"].map(|name| registry.total_ever(name)), [5, 0]);
    // The last place is left to a name that needs no other.
    assert!(!registry.contains("/b"));
    assert_eq!(registry.record_hit("/c", 1), Ok(Outcome::Counted));
    assert_eq!(ledger.entry(""), Err(NoEntry::Endpoint(EndpointError::Name { length: 0 })));
}

#[test]
fn a_process_that_is_killed_in_an_entry_does_not_stop_the_next_one() {
    let mut random = random();
    for _ in 0..20 {
        let folder = Folder::in_memory();
        let path = folder.file("hits.ring");
        let clock = ManualClock::new(at(START));
        let open = || small().max_endpoints(2_000).clock(clock.clone()).create(&path).expect("it can be made");
        drop(open());
        let child = fork(|| {
            let registry = open();
            let ledger = ledger(&registry);
            (0..900).for_each(|number| _ = raised(&ledger, &format!("/{number}"), 3));
        });
        std::thread::sleep(Duration::from_micros(random(4_000)));
        signal(child, libc::SIGKILL);
        wait(child);
        let registry = open();
        let ledger = ledger(&registry);
        (0..900).for_each(|number| _ = raised(&ledger, &format!("/{number}"), 3));
        assert!((0..900).all(|number| hits(&registry, &format!("/{number}")) == (3, 3)));
        // Of the entry that was under way one place may be lost.
        assert!((1_800..=1_801).contains(&registry.room().lives));
        assert_eq!(faults(&path), Vec::<String>::new());
    }
}
