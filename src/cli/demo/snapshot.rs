//! Scenario 5: a snapshot, more hits, and back.
//!
//! Tests: `tests/demo`.

use std::time::Duration;

use super::page::Page;
use super::{after, registry};
use crate::counter::strategy::Strategy;
use crate::registry::Registry;
use crate::registry::snapshot::RegistrySnapshot;

const MINUTES: Duration = Duration::from_secs(300);

pub fn play(page: &mut Page) {
    page.title(
        "Snapshot, mutate, restore",
        "A snapshot holds everything: the hits of every endpoint, its strategy, and the metrics. Restoring replaces \
         everything; merging adds what is not known yet.",
    );
    let (builder, clock) = registry();
    let registry = builder.clone().strategy(Strategy::Adaptive).build().expect("the defaults are possible");
    let handle = registry.counter("/home").expect("there is room");
    handle.record(40);
    registry.record_hit("/about", 2).expect("the name is possible");
    page.step(&format!("recorded: {}", state(&registry)));
    let bytes = registry.snapshot().to_bytes();
    page.step(&format!("snapshot(): {} bytes", bytes.len()));
    clock.set(after(60));
    handle.record(1_000);
    registry.remove("/about");
    registry.record_hit("/new", 7).expect("the name is possible");
    page.step(&format!("at 60 s more hits, /about removed: {}", state(&registry)));
    let snapshot = RegistrySnapshot::from_bytes(&bytes).expect("the bytes that were just made");
    registry.restore(&snapshot).expect("it is of this registry's window");
    page.step(&format!("restore(): {}", state(&registry)));
    handle.record(1);
    page.step(&format!("a hit by the handle from before: {}", state(&registry)));
    let other = builder.build().expect("the defaults are possible");
    other.record_hit("/home", 100).expect("the name is possible");
    for _ in 0..2 {
        other.merge(&snapshot).expect("it is of another registry");
    }
    page.step(&format!("merged, twice, into another registry with 100 hits of /home: {}", state(&other)));
    let mut broken = bytes;
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    let told = RegistrySnapshot::from_bytes(&broken).map_or_else(|error| error.to_string(), |_| "taken".to_owned());
    page.step(&format!("one bit of the snapshot flipped: {told}"));
    page.because(
        "A snapshot says who counted what: each life of a counter is a writer, whose numbers only grow. So merging takes \
         the larger of what is known of each writer, and the same snapshot twice adds nothing. After a restore the registry \
         counts under a new life, so that what it counts from then on is told apart from what was restored.",
    );
}

fn state(registry: &Registry) -> String {
    let mut endpoints = registry.top(9, MINUTES).expect("the window can be asked for");
    endpoints.sort_by(|(ours, _), (theirs, _)| ours.cmp(theirs));
    let shown: Vec<String> = endpoints.iter().map(|(name, hits)| format!("{name} {}", hits.count)).collect();
    format!("{} (total_hits {})", shown.join(", "), registry.metrics().total_hits)
}
