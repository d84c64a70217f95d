//! The changes that a flusher reads. A table that takes the larger number of each cell holds what was counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use hitring::shared::Marks;
use hitring::{Bucket, Outcome, QueryError, Registry, SharedRegistry, Tick, Writer};

use super::exchange::alone;
use super::{MINUTE, Made, START, at, made, small};
use crate::threads::{SetAtEnd, together};

/// A flusher's table: hits by endpoint, writer and tick, and totals.
#[derive(Default)]
struct Table {
    marks: Marks,
    cells: BTreeMap<(String, Writer, Tick), u64>,
    totals: BTreeMap<(String, Writer), u64>,
}

impl Table {
    fn flush(&mut self, registry: &SharedRegistry, since: u64) -> usize {
        let Self { marks, cells, totals } = self;
        registry.changed(marks, Tick(since), |changed| {
            for &(tick, hits) in changed.cells {
                let cell = cells.entry((changed.endpoint.to_owned(), changed.writer, tick)).or_default();
                *cell = hits.max(*cell);
            }
            let total = totals.entry((changed.endpoint.to_owned(), changed.writer)).or_default();
            *total = changed.total.max(*total);
        })
    }

    fn hits(&self, endpoint: &str) -> u64 {
        self.cells.iter().filter(|((name, ..), _)| name == endpoint).map(|(_, hits)| hits).sum()
    }
}

#[test]
fn only_what_has_changed_is_told() {
    let made = made();
    let mut table = Table::default();
    assert_eq!(table.flush(&made, 0), 0);
    for (name, amount) in [("/a", 1), ("/b", 2), ("/c", 3)] {
        assert_eq!(made.record_hit(name, amount), Ok(Outcome::Counted));
    }
    assert_eq!((table.flush(&made, 0), table.flush(&made, 0)), (3, 0));
    made.set(START + 2);
    assert_eq!(made.record_hit("/b", 5), Ok(Outcome::Counted));
    assert_eq!((table.flush(&made, START + 1), table.hits("/b"), table.hits("/c")), (1, 7, 3));
    // A late hit in a tick before the queried ones is reported with the rest, sooner or later.
    assert_eq!(made.record_hit_at("/c", at(START), 4), Ok(Outcome::Counted));
    assert_eq!((table.flush(&made, START + 1), table.hits("/c")), (1, 3));
    table.marks.forget();
    assert_eq!((table.flush(&made, 0), table.hits("/c")), (3, 7));
    // A name that was removed and made again belongs to another writer. Each writer reports its own hits.
    let before = made.writer("/a").expect("there is one");
    assert!(made.remove("/a").expect("it is there"));
    assert_eq!((made.writer("/a"), made.epoch("/a")), (None, 0));
    assert_eq!(table.flush(&made, 0), 0);
    assert_eq!(made.record_hit("/a", 9), Ok(Outcome::Counted));
    let memory = Registry::builder().window(MINUTE).clock(made.clock.clone()).build().expect("it is small");
    assert_eq!(memory.record_hit("/b", 100), Ok(Outcome::Counted));
    made.merge(&memory.snapshot()).expect("it fits");
    assert_eq!((table.flush(&made, 0), table.hits("/a"), table.hits("/b")), (1, 10, 7));
    let after = made.writer("/a").expect("there is one");
    assert!(before.replica == after.replica && before.generation < after.generation && made.epoch("/a") == 1);
    assert_eq!(after.replica, made.replica());
    let mut totals = made.totals_ever();
    totals.sort();
    assert_eq!(totals, [("/a", 9), ("/b", 7), ("/c", 7)].map(|(name, total)| (name.to_owned(), total)));
}

#[test]
fn over_copies_and_restores_each_hit_is_told_under_one_writer() {
    alone(|| {
        let Made { mut registry, clock, folder } = made();
        let mut table = Table::default();
        let mut all = 0;
        for turn in 1..6u64 {
            for name in ["/a", "/b"] {
                assert_eq!(registry.record_hit(name, turn), Ok(Outcome::Counted));
            }
            all += turn;
            table.flush(&registry, 0);
            // Hits of the same tick before and after.
            if turn % 2 == 0 {
                registry.restore(&registry.snapshot()).expect("it is alone");
            } else {
                let copy = folder.file(&format!("{turn}.ring"));
                std::fs::copy(registry.path(), &copy).expect("it can be copied");
                registry = small().clock(clock.clone()).open(&copy).expect("it is whole");
            }
            assert_eq!(registry.query_hits("/a", MINUTE).map(u64::from), Ok(all));
            table.flush(&registry, 0);
            assert_eq!((table.hits("/a"), table.hits("/b")), (all, all), "turn {turn}");
        }
        assert!(table.totals.len() > 2);
    });
}

#[test]
fn nothing_is_missing_that_was_recorded_beside_a_flusher() {
    const EACH: u64 = 20_000;
    let made = made();
    let done = AtomicBool::new(false);
    let mut table = Table::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                table.flush(&made, START - 20);
            }
        });
        let _end = SetAtEnd(&done);
        together(2, |_| {
            for turn in 0..EACH {
                assert_eq!(made.record_hit(&format!("/{}", turn % 7), 1), Ok(Outcome::Counted));
                made.set(START + turn / 2_000);
            }
        });
    });
    table.flush(&made, START - 20);
    for (endpoint, total) in made.totals_ever() {
        assert_eq!((table.hits(&endpoint), table.totals.values().sum::<u64>()), (total, 2 * EACH), "{endpoint}");
    }
}

#[test]
fn the_buckets_of_an_endpoint_are_its_hits_by_tick() {
    let made = made();
    for (second, amount) in [(0, 3), (2, 5)] {
        made.set(START + second);
        assert_eq!(made.record_hit("/a", amount), Ok(Outcome::Counted));
    }
    let memory = Registry::builder().window(MINUTE).clock(made.clock.clone()).build().expect("it is small");
    assert_eq!(memory.record_hit("/a", 10), Ok(Outcome::Counted));
    made.merge(&memory.snapshot()).expect("it fits");
    let four = std::time::Duration::from_secs(4);
    let bucket = |second: u64, count| Bucket { start: at(second), count };
    let expected = [bucket(START - 1, 0), bucket(START, 3), bucket(START + 1, 0), bucket(START + 2, 15)];
    assert_eq!(made.buckets("/a", four).expect("known"), expected);
    assert_eq!(made.buckets_at("/a", at(START + 1), four / 2).expect("known"), expected[1..3]);
    let none = made.buckets("/none", four).expect("known");
    assert!(none.len() == 4 && none.iter().all(|bucket| bucket.count == 0));
    assert_eq!(made.buckets("/a", MINUTE).expect("known").len(), 60);
    assert!(matches!(made.buckets("/a", MINUTE * 2), Err(QueryError::LongerThanWindow { .. })));
    made.set(START + 300);
    assert_eq!(made.record_hit("/a", 1), Ok(Outcome::Counted));
    assert!(matches!(made.buckets_at("/a", at(START), MINUTE), Err(QueryError::WindowExpired { .. })));
}

#[test]
fn a_hit_beside_the_telling_is_told_next_time() {
    let made = made();
    let (mut marks, mut told) = (Marks::new(), Vec::new());
    assert_eq!(made.record_hit("/a", 1), Ok(Outcome::Counted));
    for turn in 0..3 {
        let number = made.changed(&mut marks, Tick(0), |changed| {
            told.push(changed.cells.iter().map(|&(_, hits)| hits).sum::<u64>());
            if turn == 0 {
                assert_eq!(made.record_hit("/a", 5), Ok(Outcome::Counted));
            }
        });
        assert_eq!(number, usize::from(turn < 2), "turn {turn}");
    }
    assert_eq!(told, [1, 6]);
}

#[test]
fn what_was_not_told_before_a_boot_is_told_after_it() {
    let Made { registry, clock, folder } = made();
    let mut table = Table::default();
    assert_eq!(registry.record_hit("/a", 3), Ok(Outcome::Counted));
    assert_eq!(table.flush(&registry, 0), 1);
    assert_eq!(registry.record_hit("/a", 4), Ok(Outcome::Counted));
    let copy = folder.file("copy.ring");
    std::fs::copy(registry.path(), &copy).expect("it can be copied");
    let after = small().clock(clock).open(&copy).expect("it is whole");
    assert_eq!(after.record_hit("/a", 1), Ok(Outcome::Counted));
    assert_eq!((table.flush(&after, 0), table.hits("/a"), table.flush(&after, 0)), (2, 8, 0));
    assert_eq!(after.total_ever("/a"), 8);
}
