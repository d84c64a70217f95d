//! The README's figures: every row in one run, in turns, as nanoseconds a call and as ratios.
//!
//! `cargo bench --bench figures`. Rows are measured round after round, so that a change of the machine's speed meets all
//! of them; the figure is the median of the rounds. Run it on a machine that does nothing else.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, missing_docs)]

mod medians;
#[allow(dead_code, reason = "other benches use the rest")]
mod row;
mod rows;

use medians::Medians;

const ROUNDS: usize = 31;

fn main() {
    // Figures of a build for tests would mean nothing.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let medians = Medians::of(&rows::all(), ROUNDS, |row| if row.name.contains("query") { 20_000 } else { 200_000 });
    medians.print();
    let figure = |name: &str, threads: usize| medians.get(name, threads);
    let add = figure("fetch_add", 1);
    let new_tick = |name: &str, record: &str| figure(name, 1) - figure(record, 1);
    println!("\n{:72} {:>8}", "ratio of this run", "");
    for (what, ratio, reach) in [
        ("striped record / fetch_add", figure("striped record_at", 1) / add, "0.3"),
        (
            "striped, 2 threads: rate of one counter / rate of two counters",
            figure("striped record_at, a counter for each thread", 2) / figure("striped record_at", 2),
            "0.95 or more",
        ),
        ("ring record / fetch_add", figure("ring record_at", 1) / add, "1.15"),
        ("ring record / fetch_add, 2 threads on one", figure("ring record_at", 2) / figure("fetch_add", 2), "2"),
        ("ring query in the same tick / fetch_add", figure("ring query, same tick", 1) / add, "0.5"),
        ("striped query in the same tick / fetch_add", figure("striped query, same tick", 1) / add, "0.5"),
    ] {
        println!("{what:72} {ratio:>8.2}   (to reach: {reach})");
    }
    for (what, nanos, reach) in [
        ("ring hit and query at a new tick, ns", new_tick("ring hit and query, new tick", "fetch_add"), 150.0),
        ("striped hit and query at a new tick, ns", new_tick("striped hit and query, new tick", "fetch_add"), 150.0),
        (
            "striped record with its clock - record - clock, ns",
            figure("striped record", 1) - figure("striped record_at", 1) - figure("coarse clock", 1),
            2.0,
        ),
        (
            "ring record with its clock - record - clock, ns",
            figure("ring record", 1) - figure("ring record_at", 1) - figure("coarse clock", 1),
            2.0,
        ),
    ] {
        println!("{what:72} {nanos:>8.2}   (to reach: {reach})");
    }
}
