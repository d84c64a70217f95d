//! Rows of one counter, beside a bare atomic and the textbook's deque under a lock.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hitring::{Clock, HitCounter, Strategy, Timestamp};

use crate::harness::Reach::{AtLeast, AtMost};
use crate::harness::Run;
use crate::row::{Row, coarse, counter, threads};

const NOW: u32 = 1_700_000_000;
/// Calls of a row that queries.
const QUERIES: u64 = 20_000;

/// Measures and judges the rows.
pub fn figures(run: &mut Run) {
    run.measure(&rows());
    run.doubt_two_threads();
    let add = run.one("fetch_add");
    for (what, figure, reach) in [
        ("striped record / fetch_add", run.one("striped record_at") / add, AtMost(0.3)),
        (
            "striped, 2 threads: rate of one counter / rate of two counters",
            run.two("striped record_at, a counter for each thread") / run.two("striped record_at"),
            AtLeast(0.95),
        ),
        ("ring record / fetch_add", run.one("ring record_at") / add, AtMost(1.15)),
        ("ring record / fetch_add, 2 threads on one", run.two("ring record_at") / run.two("fetch_add"), AtMost(2.0)),
        ("ring query in the same tick / fetch_add", run.one("ring query, same tick") / add, AtMost(0.5)),
        ("striped query in the same tick / fetch_add", run.one("striped query, same tick") / add, AtMost(0.5)),
        // These rows take their seconds from a `fetch_add`.
        ("ring hit and query at a new tick, ns", run.one("ring hit and query, new tick") - add, AtMost(150.0)),
        ("striped hit and query at a new tick, ns", run.one("striped hit and query, new tick") - add, AtMost(150.0)),
        (
            "striped record with its clock - record - clock, ns",
            run.one("striped record") - run.one("striped record_at") - run.one("coarse clock"),
            AtMost(2.0),
        ),
        (
            "ring record with its clock - record - clock, ns",
            run.one("ring record") - run.one("ring record_at") - run.one("coarse clock"),
            AtMost(2.0),
        ),
    ] {
        run.figure(what, figure, reach);
    }
}

/// A counter with a hit in each of the last 300 seconds before and at `NOW`.
fn full(strategy: Strategy) -> HitCounter {
    let counter = counter(strategy);
    for second in NOW - 299..=NOW {
        counter.hit(Timestamp::from(second));
    }
    counter
}

/// The time of a second.
fn at(second: u64) -> Timestamp {
    Timestamp::try_from(second).expect("before the year 9999")
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for threads in threads() {
        rows.push(Row::fetch_add("fetch_add", threads, 1));
        rows.push(Row::fetch_add("fetch_add, a counter for each thread", threads, threads));
        let queue = Mutex::new((VecDeque::from([(u64::from(NOW), 0u64)]), 0u64));
        rows.push(Row::new("Mutex around a deque of (second, count)", threads, move |_, _| {
            let (queue, total) = &mut *queue.lock().expect("no row panics");
            let now = black_box(u64::from(NOW));
            match queue.back_mut() {
                Some((second, count)) if *second == now => *count += 1,
                _ => queue.push_back((now, 1)),
            }
            *total += 1;
        }));
        let record_at = |counter: &HitCounter| counter.record_at(Timestamp::from(NOW), 1);
        for (strategy, name) in [
            (Strategy::Striped, "striped record_at"),
            (Strategy::Ring, "ring record_at"),
            (Strategy::SLIDING, "sliding record_at"),
        ] {
            rows.push(Row::of(name, threads, vec![counter(strategy)], record_at));
        }
        let counters = (0..threads).map(|_| counter(Strategy::Striped)).collect();
        rows.push(Row::of("striped record_at, a counter for each thread", threads, counters, record_at));
    }
    rows.push(Row::new("coarse clock", 1, |_, _| coarse()));
    rows.push(Row::new("precise clock", 1, |_, _| Clock::System.now()));
    for (strategy, name) in [(Strategy::Striped, "striped record"), (Strategy::Ring, "ring record")] {
        let counter = counter(strategy);
        rows.push(Row::new(name, 1, move |_, _| counter.record(1)));
    }
    // No query seals a tick: the first hit of each tick is announced.
    for (strategy, name) in [
        (Strategy::Striped, "striped record_at, each hit begins a tick"),
        (Strategy::Ring, "ring record_at, each hit begins a tick"),
    ] {
        let (counter, second) = (counter(strategy), AtomicU64::new(u64::from(NOW)));
        rows.push(Row::timed(name, 1, move |calls| {
            let first = second.fetch_add(calls, Ordering::Relaxed);
            let start = Instant::now();
            for second in first..first + calls {
                let _ = black_box(counter.record_at(at(second), 1));
            }
            start.elapsed()
        }));
    }
    for (strategy, same, new) in [
        (Strategy::Striped, "striped query, same tick", "striped hit and query, new tick"),
        (Strategy::Ring, "ring query, same tick", "ring hit and query, new tick"),
        (Strategy::SLIDING, "sliding query, same tick", "sliding hit and query, new tick"),
    ] {
        let counter = full(strategy.clone());
        rows.push(Row::new(same, 1, move |_, _| counter.get_hits(Timestamp::from(NOW))).calls(QUERIES));
        let (counter, second) = (full(strategy), AtomicU64::new(u64::from(NOW)));
        let hit_and_query = move |_, _| {
            let now = at(second.fetch_add(1, Ordering::Relaxed));
            counter.hit(now);
            counter.get_hits(now)
        };
        rows.push(Row::new(new, 1, hit_and_query).calls(QUERIES));
    }
    rows
}
