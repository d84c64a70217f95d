//! What is measured. A counter has the default window, and is hit in one second, as a busy one is.
//!
//! | row | a call |
//! |---|---|
//! | `fetch_add` | adds 1 to one atomic: the base |
//! | Mutex + deque | the textbook's counter: a deque of (second, count) under a lock |
//! | ring, striped, sliding | `record_at` of a counter with that strategy |
//! | record with the clock | `record` of a striped counter |
//! | query, same second / new second | `get_hits` of a striped counter with 300 full slots; with a hit before it |
//! | clock | the time now |
//! | registry by name, by handle | `record_hit_at` of 1,000 names in turn; `record_at` of a handle |
//! | shared file by name, by handle | the same in a file |
//! | limiter | `allow`: always within the limit |
//!
//! Tests: `tests/bench`.

use std::collections::VecDeque;
#[cfg(target_os = "linux")]
use std::path::Path;

use super::measure::Row;
use crate::cli::failure::Failure;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::time::clock::SystemClock;
use crate::{HitCounter, Limiter, Rate, Registry, Strategy, Timestamp};

/// Some second.
const NOW: u32 = 1_700_000_000;
/// Names that are hit in turn.
const NAMES: u64 = 1_000;

/// More hits than a minute has.
const PLENTY: u64 = 100_000_000;

/// On its own cache line, as a counter in use is.
#[repr(align(128))]
struct Alone<T>(T);

/// All rows, for each of the numbers of `threads`.
pub(super) fn rows(threads: &[usize]) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for &threads in threads {
        let word = Alone(AtomicU64::new(0));
        rows.push(Row::new(super::BASE, threads, move |_, _| word.0.fetch_add(1, Ordering::Relaxed)));
        let deque = Mutex::new(VecDeque::from([(u64::from(NOW), 0_u64)]));
        rows.push(Row::new("Mutex + deque", threads, move |_, _| push(&deque)));
        for (name, strategy) in
            [("ring", Strategy::Ring), ("striped", Strategy::Striped), ("sliding", Strategy::SLIDING)]
        {
            let counter = counter(strategy);
            rows.push(Row::new(name, threads, move |_, _| counter.record_at(Timestamp::from(NOW), 1)));
        }
        let counter = counter(Strategy::Striped);
        rows.push(Row::new("striped, with the clock", threads, move |_, _| counter.record(1)));
        registry(&mut rows, threads)?;
        #[cfg(target_os = "linux")]
        shared(&mut rows, threads)?;
        let rate = Rate::new(PLENTY, std::time::Duration::from_secs(60)).map_err(|error| failed(&error))?;
        let limiter = Limiter::builder(rate).build().map_err(|error| failed(&error))?;
        rows.push(Row::new("limiter", threads, move |_, _| limiter.allow(1)));
    }
    queries(&mut rows);
    Ok(rows)
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::Message(error.to_string())
}

fn counter(strategy: Strategy) -> HitCounter {
    HitCounter::builder().strategy(strategy).build().expect("the defaults are valid")
}

/// The textbook's hit: the newest entry has the second, or a new one begins.
fn push(deque: &Mutex<VecDeque<(u64, u64)>>) {
    let mut deque = deque.lock();
    let now = std::hint::black_box(u64::from(NOW));
    while deque.front().is_some_and(|(second, _)| second + 300 <= now) {
        deque.pop_front();
    }
    match deque.back_mut() {
        Some((second, count)) if *second == now => *count += 1,
        _ => deque.push_back((now, 1)),
    }
}

fn names() -> Vec<String> {
    (0..NAMES).map(|number| format!("/endpoint/{number}")).collect()
}

/// The name of a call, of which each thread begins with another.
fn turn(names: &[String], thread: usize, number: u64) -> &str {
    &names[((number + thread as u64 * 7) % NAMES) as usize]
}

fn registry(rows: &mut Vec<Row>, threads: usize) -> Result<(), Failure> {
    let at = Timestamp::from(NOW);
    let by_name = Registry::builder().strategy(Strategy::Adaptive).build().map_err(|error| failed(&error))?;
    let handle = by_name.counter("/handle").map_err(|error| failed(&error))?;
    let names = names();
    rows.push(Row::new("registry by name", threads, move |thread, number| {
        by_name.record_hit_at(turn(&names, thread, number), at, 1).is_ok()
    }));
    rows.push(Row::new("registry by handle", threads, move |_, _| handle.record_at(at, 1)));
    Ok(())
}

#[cfg(target_os = "linux")]
fn shared(rows: &mut Vec<Row>, threads: usize) -> Result<(), Failure> {
    let folder = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
    let path = folder.join(format!("hitring-bench-{}-{threads}.ring", std::process::id()));
    let registry = crate::SharedRegistry::create(&path).map_err(|error| Failure::of_shared(&error))?;
    // It stays until it is closed, and nothing is left if the program is killed.
    let _ = std::fs::remove_file(&path);
    let handle = registry.counter("/handle").map_err(|error| failed(&error))?;
    let names = names();
    rows.push(Row::new("shared file by name", threads, move |thread, number| {
        registry.record_hit(turn(&names, thread, number), 1).is_ok()
    }));
    rows.push(Row::new("shared file by handle", threads, move |_, _| handle.record(1)));
    Ok(())
}

/// A counter with a hit in each of the 300 seconds up to `NOW`.
fn full() -> HitCounter {
    let counter = counter(Strategy::Striped);
    (NOW - 299..=NOW).for_each(|second| counter.hit(Timestamp::from(second)));
    counter
}

fn queries(rows: &mut Vec<Row>) {
    let counter = full();
    rows.push(Row::new("query, same second", 1, move |_, _| counter.get_hits(Timestamp::from(NOW))));
    let (counter, second) = (full(), AtomicU64::new(u64::from(NOW)));
    rows.push(Row::new("hit and query, new second", 1, move |_, _| {
        let now = Timestamp::try_from(second.fetch_add(1, Ordering::Relaxed)).unwrap_or(Timestamp::MAX);
        counter.hit(now);
        counter.get_hits(now)
    }));
    rows.push(Row::new("clock", 1, |_, _| SystemClock.now()));
}
