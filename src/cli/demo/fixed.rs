//! Scenario 1: whole buckets.
//!
//! Tests: `tests/demo`.

use std::time::Duration;

use super::page::Page;
use super::{after, registry};
use crate::counter::strategy::Strategy;

const MINUTE: Duration = Duration::from_secs(60);

pub fn play(page: &mut Page) {
    page.title(
        "A fixed window: record and query",
        "The fixed strategy counts in whole buckets, here of a minute: 0 s to 59 s, 60 s to 119 s, and so on. It keeps one \
         number a bucket, however many hits there are.",
    );
    let (builder, clock) = registry();
    let strategy = Strategy::Fixed { window_size: MINUTE };
    let registry = builder.strategy(strategy).build().expect("a minute suits five");
    for (second, endpoint, amount) in [(10, "/home", 20), (50, "/home", 5), (50, "/about", 1), (70, "/home", 3)] {
        clock.set(after(second));
        let outcome = registry.record_hit(endpoint, amount).expect("the name is possible");
        page.step(&format!("at {second:>3} s  record_hit({endpoint:?}, {amount}): {outcome}"));
    }
    for second in [70, 100, 118, 119] {
        clock.set(after(second));
        let ask = |endpoint| registry.query_hits(endpoint, MINUTE).expect("a minute is within the window").count;
        let (home, about) = (ask("/home"), ask("/about"));
        page.step(&format!("at {second:>3} s  hits of the last 60 s: /home {home}, /about {about}"));
    }
    let metrics = registry.metrics();
    page.step(&format!(
        "metrics: {} hits of {} endpoints in {} buckets, strategy {}",
        metrics.total_hits, metrics.endpoints_count, metrics.memory_entries, metrics.strategy
    ));
    page.because(
        "A query counts every bucket that it touches. At 100 s the last 60 seconds are 41 s to 100 s, which touch both \
         buckets: the 20 hits at 10 s are counted too, though they are 90 seconds old. At 118 s the first bucket is still \
         touched by its last second; at 119 s it is not, and all its hits are gone at once. The count is never too low, \
         and what it counts too much is less than one bucket older than was asked for.",
    );
}
