//! Events reach whoever listens, in order and without holding up whoever emits them; thresholds are crossed once.

mod bus;
#[cfg(all(target_os = "linux", not(hitring_tsan)))]
mod forks;
mod metrics;
mod subscriptions;
mod thresholds;
mod thresholds_threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hitring::events::Bus;
use hitring::{Event, EventKind};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event that is known by its number.
fn numbered(number: u64) -> Event {
    Event::SnapshotTaken { endpoints_count: number }
}

fn number(event: &Event) -> u64 {
    match event {
        Event::SnapshotTaken { endpoints_count } => *endpoints_count,
        other => panic!("{other:?} has no number"),
    }
}

fn emit(bus: &Bus, number: u64) {
    bus.emit(EventKind::SnapshotTaken, || numbered(number));
}

fn no_metrics() -> (u64, u64) {
    panic!("nobody wants metrics")
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what} has not happened");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Runs `body` in `threads` threads that begin together.
fn together<T: Send>(threads: usize, body: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let waiting = AtomicUsize::new(threads);
    let waiting = &waiting;
    let body = &body;
    std::thread::scope(|scope| {
        let begun: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    waiting.fetch_sub(1, Ordering::AcqRel);
                    while waiting.load(Ordering::Acquire) > 0 {
                        std::thread::yield_now();
                    }
                    body(thread)
                })
            })
            .collect();
        begun.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    })
}

fn rounds(rounds: usize) -> usize {
    let times = std::env::var("HITRING_STRESS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    if cfg!(hitring_tsan) { rounds.div_ceil(10) * times } else { rounds * times }
}

fn bus() -> Arc<Bus> {
    Arc::new(Bus::new())
}
