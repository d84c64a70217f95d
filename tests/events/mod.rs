//! Events reach every listener, in order and without delaying the thread that emits them; thresholds are crossed once.

mod bus;
#[cfg(all(target_os = "linux", not(hitring_tsan)))]
mod forks;
mod metrics;
mod subscriptions;
mod thresholds;
mod thresholds_threads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hitring::events::Bus;
use hitring::{Event, EventKind};

use crate::threads::{rounds, together};

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

fn bus() -> Arc<Bus> {
    Arc::new(Bus::new())
}
