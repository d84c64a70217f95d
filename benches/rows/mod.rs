//! The rows of one counter, for `counter` and `figures`.
//!
//! Baselines stand beside hitring's rows, so that every figure can be read as a ratio of one run.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hitring::{Clock, HitCounter, Strategy, Timestamp};

use crate::row::{Alone, Row, coarse};

const NOW: u32 = 1_700_000_000;

fn counter(strategy: Strategy) -> HitCounter {
    HitCounter::builder().strategy(strategy).build().expect("the defaults are valid")
}

/// A counter with a hit in each of the last 300 seconds before and at `NOW`.
fn full(strategy: Strategy) -> HitCounter {
    let counter = counter(strategy);
    for second in NOW - 299..=NOW {
        counter.hit(Timestamp::from(second));
    }
    counter
}

/// All rows.
pub fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for threads in [1, 2] {
        let word = Alone(AtomicU64::new(0));
        rows.push(Row::new("fetch_add", threads, move |_, n| {
            for _ in 0..n {
                word.0.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let words = [Alone(AtomicU64::new(0)), Alone(AtomicU64::new(0))];
        rows.push(Row::new("fetch_add, a counter for each thread", threads, move |thread, n| {
            for _ in 0..n {
                words[thread].0.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let queue = Mutex::new((VecDeque::from([(u64::from(NOW), 0u64)]), 0u64));
        rows.push(Row::new("Mutex around a deque of (second, count)", threads, move |_, n| {
            for _ in 0..n {
                let (queue, total) = &mut *queue.lock().expect("no row panics");
                let now = black_box(u64::from(NOW));
                match queue.back_mut() {
                    Some((second, count)) if *second == now => *count += 1,
                    _ => queue.push_back((now, 1)),
                }
                *total += 1;
            }
        }));
        for (strategy, name) in [
            (Strategy::Striped, "striped record_at"),
            (Strategy::Ring, "ring record_at"),
            (Strategy::SLIDING, "sliding record_at"),
        ] {
            let counter = counter(strategy);
            rows.push(Row::new(name, threads, move |_, n| {
                for _ in 0..n {
                    let _ = black_box(counter.record_at(Timestamp::from(NOW), 1));
                }
            }));
        }
        let counters = [counter(Strategy::Striped), counter(Strategy::Striped)];
        rows.push(Row::new("striped record_at, a counter for each thread", threads, move |thread, n| {
            for _ in 0..n {
                let _ = black_box(counters[thread].record_at(Timestamp::from(NOW), 1));
            }
        }));
    }
    rows.push(Row::new("coarse clock", 1, |_, n| {
        for _ in 0..n {
            black_box(coarse());
        }
    }));
    rows.push(Row::new("precise clock", 1, |_, n| {
        for _ in 0..n {
            black_box(Clock::System.now());
        }
    }));
    for (strategy, name) in [(Strategy::Striped, "striped record"), (Strategy::Ring, "ring record")] {
        let counter = counter(strategy);
        rows.push(Row::new(name, 1, move |_, n| {
            for _ in 0..n {
                let _ = black_box(counter.record(1));
            }
        }));
    }
    // Nothing is ever asked, so no tick is sealed: the first hit of each is announced.
    for (strategy, name) in [
        (Strategy::Striped, "striped record_at, each hit begins a tick"),
        (Strategy::Ring, "ring record_at, each hit begins a tick"),
    ] {
        let (counter, second) = (counter(strategy), AtomicU64::new(u64::from(NOW)));
        rows.push(Row::new(name, 1, move |_, n| {
            let first = second.fetch_add(n, Ordering::Relaxed) % 10_000_000_000;
            for now in first..first + n {
                let now = Timestamp::try_from(now).expect("before the year 9999");
                let _ = black_box(counter.record_at(now, 1));
            }
        }));
    }
    for (strategy, same, new) in [
        (Strategy::Striped, "striped query, same tick", "striped hit and query, new tick"),
        (Strategy::Ring, "ring query, same tick", "ring hit and query, new tick"),
        (Strategy::SLIDING, "sliding query, same tick", "sliding hit and query, new tick"),
    ] {
        let counter = full(strategy.clone());
        rows.push(Row::new(same, 1, move |_, n| {
            for _ in 0..n {
                black_box(counter.get_hits(Timestamp::from(NOW)));
            }
        }));
        let (counter, second) = (full(strategy), AtomicU64::new(u64::from(NOW)));
        rows.push(Row::new(new, 1, move |_, n| {
            for _ in 0..n {
                let now = second.fetch_add(1, Ordering::Relaxed) % 10_000_000_000;
                let now = Timestamp::try_from(now).expect("before the year 9999");
                counter.hit(now);
                black_box(counter.get_hits(now));
            }
        }));
    }
    rows
}
