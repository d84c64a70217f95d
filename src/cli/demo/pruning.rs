//! Scenario 4: a log that stays as long as its window.
//!
//! Tests: `tests/demo`.

use std::time::Duration;

use super::page::{Page, bar};
use super::{after, registry};
use crate::counter::strategy::Strategy;
use crate::time::Timestamp;

/// Hits a second of the burst.
const RATE: u64 = 200;

pub fn play(page: &mut Page) {
    page.title(
        "Many hits, and pruning",
        "A sliding log keeps every hit, so what left the window has to go. 200 hits a second arrive until 600 s, each at a \
         time of its own, into a window of 300 s; then none.",
    );
    let (builder, clock) = registry();
    let registry = builder.strategy(Strategy::SLIDING).build().expect("the defaults are possible");
    let mut rows = Vec::new();
    let mut row = |second: u64| {
        let metrics = registry.metrics();
        let hits = registry.query_hits("/burst", registry.window()).map_or(0, |hits| hits.count);
        let kept = metrics.memory_entries;
        rows.push(vec![
            format!("{second} s"),
            metrics.total_hits.to_string(),
            hits.to_string(),
            metrics.pruned_events.to_string(),
            kept.to_string(),
            format!("{:<22}", bar(kept, RATE * 400, 22)),
        ]);
    };
    for second in 0..=1_000 {
        clock.set(after(second));
        if second < 600 {
            for hit in 0..RATE {
                let at = Timestamp::from_duration(after(second).as_duration() + Duration::from_micros(hit * 5_000));
                let at = at.expect("before the year 9999");
                registry.record_hit_at("/burst", at, 1).expect("the name is possible");
            }
        }
        if second == 1_000 {
            registry.prune();
        }
        if second % 100 == 0 {
            row(second);
        }
    }
    page.table(&["at", "recorded", "in the window", "pruned", "kept in memory", ""], &rows);
    let metrics = registry.metrics();
    page.step(&format!("prune() at 1000 s: {} endpoints are left", metrics.endpoints_count));
    page.because(
        "At 0 s the 200 hits of that second are recorded, and the window ends at its very beginning, so only the first of \
         them is in it. The log is a ring of seconds, the window and 20 more. A hit of a new second takes the place of the oldest one, \
         whose hits are pruned: each record pays for its own second, and no thread has to come by to clean up. When no \
         hits come nothing is pruned, but nothing grows, and the answer falls all the same. An endpoint that has been idle \
         for as long goes as a whole, by prune() or when another one needs the room.",
    );
}
