//! Scenario 2: buckets against a window that slides.
//!
//! Tests: `tests/demo`.

use std::time::Duration;

use super::page::{Page, bar};
use super::{after, registry};
use crate::counter::strategy::Strategy;
use crate::registry::Registry;

const MINUTE: Duration = Duration::from_secs(60);

pub fn play(page: &mut Page) {
    page.title(
        "A sliding window against a fixed one",
        "The same hits go into three registries: buckets of a minute, a sliding log that keeps the time of every hit, and \
         a ring of seconds. One hit a second until 89\u{a0}s, then none. All are asked for the last 60 seconds.",
    );
    let strategies = [Strategy::Fixed { window_size: MINUTE }, Strategy::SLIDING, Strategy::Ring];
    let all = strategies.map(|strategy| {
        let (builder, clock) = registry();
        (builder.strategy(strategy).build().expect("it suits five minutes"), clock)
    });
    let mut rows = Vec::new();
    let mut most_off = 0;
    for second in 0..=180 {
        let counts = all.each_ref().map(|(registry, clock)| {
            clock.set(after(second));
            if second < 90 {
                registry.record_hit("/home", 1).expect("the name is possible");
            }
            count(registry)
        });
        let [fixed, sliding, ring] = counts;
        most_off = most_off.max(fixed.abs_diff(sliding));
        if second % 20 == 19 {
            let mut row = vec![format!("{second} s")];
            row.extend([fixed, sliding, ring, fixed.abs_diff(sliding)].map(|count| count.to_string()));
            row.push(format!("{:<23}", bar(fixed.abs_diff(sliding), 60, 23)));
            rows.push(row);
        }
    }
    page.table(&["at", "fixed", "sliding", "ring", "fixed is off by", ""], &rows);
    let entries = all.each_ref().map(|(registry, _)| registry.metrics().memory_entries);
    page.step(&format!(
        "what they keep for it: {} buckets, {} times, {} slots. Asked every second, not only at those of the table, fixed \
         was off by up to {most_off}",
        entries[0], entries[1], entries[2]
    ));
    page.because(
        "Buckets leave as a whole, so while a window lies across two of them the older hits of the first one are counted \
         as well. The log forgets each hit when it is 60 seconds old, to the microsecond, and takes 16 bytes for each \
         distinct time. The ring is exact to its resolution of a second, and takes 8 bytes a second however many hits \
         there are: it is what hitring uses unless told otherwise.",
    );
}

fn count(registry: &Registry) -> u64 {
    registry.query_hits("/home", MINUTE).expect("a minute is within the window").count
}
