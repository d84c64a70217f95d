//! Figures of sketches and limiters, beside governor.
//!
//! `cargo bench --bench sketches`, on a machine that does nothing else. Without `--bench`, as tests run it, every row runs
//! once with little to do, and says nothing about speed.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, missing_docs)]

// The very hash of the sketches, which no public name leads to.
#[path = "../../src/sketch/hyperloglog/hash.rs"]
mod hash;
#[path = "../medians/mod.rs"]
mod medians;
#[allow(dead_code, reason = "other benches use the rest")]
#[path = "../registry/report.rs"]
mod report;
#[allow(dead_code, reason = "other benches use the rest")]
#[path = "../row/mod.rs"]
mod row;

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::{Quota, RateLimiter};
use hash::murmur;
use hitring::{
    BottomK, GCounter, HyperLogLog, KeyedLimiter, Limiter, Morris, Rate, Registry, Reservoir, Strategy, TopK,
    WhenKeysFull, WindowedUniques,
};
use medians::Medians;
use report::Report;
use row::Row;

const ROUNDS: usize = 31;
const ITEMS: usize = 1 << 16;
const KEYS: u64 = 1_000;
/// So much that nothing is refused while it is measured.
const PLENTY: u64 = 100_000_000;

fn items() -> Vec<[u8; 16]> {
    (0..ITEMS as u64).map(|item| [item.to_le_bytes(), (!item).to_le_bytes()].concat().try_into().expect("16")).collect()
}

fn each(n: u64, mut call: impl FnMut(usize)) {
    for index in 0..n as usize {
        call(index);
    }
}

/// In a minute, by parts of a second.
fn plenty() -> Rate {
    Rate::new(PLENTY, Duration::from_secs(60)).expect("a possible rate")
}

/// One in a day.
fn none() -> Rate {
    Rate::new(1, Duration::from_secs(86_400)).expect("a possible rate")
}

fn sketches(rows: &mut Vec<Row>) {
    let of = items();
    rows.push(Row::new("hash of 16 bytes", 1, move |_, n| {
        each(n, |index| _ = black_box(murmur(&of[index % ITEMS])));
    }));
    for (name, filled) in
        [("HyperLogLog add, dense", ITEMS), ("HyperLogLog add, 100 items", 100), ("HyperLogLog add, 8 items", 8)]
    {
        let (of, sketch) = (items(), HyperLogLog::new());
        of[..filled].iter().for_each(|item| _ = sketch.add(item));
        rows.push(Row::new(name, 1, move |_, n| each(n, |index| _ = black_box(sketch.add(&of[index % filled])))));
    }
    let sketch = HyperLogLog::new();
    rows.push(Row::new("HyperLogLog add, dense, all new", 1, move |thread, n| {
        each(n, |index| _ = black_box(sketch.add(&(index as u64 ^ (thread as u64) << 60).to_le_bytes())));
    }));
    let (of, uniques) = (items(), WindowedUniques::new());
    rows.push(Row::new("WindowedUniques add", 1, move |_, n| {
        each(n, |index| _ = black_box(uniques.add(of[index % ITEMS])));
    }));
    let registry = Registry::builder().strategy(Strategy::Adaptive).build().expect("the defaults are possible");
    let (of, home) = (items(), registry.counter("/home").expect("there is room"));
    rows.push(Row::new("handle record_visit, 8 visitors", 1, move |_, n| {
        each(n, |index| _ = black_box(home.record_visit(of[index % 8], 1)));
    }));
    let counter = GCounter::new("here").expect("a possible name");
    rows.push(Row::new("GCounter record", 1, move |_, n| each(n, |_| _ = black_box(counter.record(1)))));
    let counter = Morris::with_error(0.05).expect("a possible error");
    rows.push(Row::new("Morris record", 1, move |_, n| each(n, |_| _ = black_box(counter.record(1)))));
    let sample = Reservoir::new(100).expect("a possible size");
    rows.push(Row::new("Reservoir add", 1, move |_, n| each(n, |index| sample.add(index))));
    let sample = BottomK::new(100).expect("a possible size");
    rows.push(Row::new("BottomK add", 1, move |_, n| each(n, |index| sample.add(index))));
    let (list, names) = (TopK::<String>::new(100).expect("a possible size"), names(100));
    rows.push(Row::new("TopK add", 1, move |_, n| {
        each(n, |index| _ = black_box(list.add(names[index % 100].as_str(), 1)));
    }));
}

fn names(many: usize) -> Vec<String> {
    (0..many).map(|number| format!("/api/v1/items/{number:06}")).collect()
}

fn limiters(rows: &mut Vec<Row>) {
    let most = NonZeroU32::MAX;
    for threads in [1, 2] {
        let sliding = Limiter::builder(plenty()).build().expect("it fits");
        rows.push(Row::new("Limiter allow, sliding window", threads, move |_, n| {
            each(n, |_| assert!(black_box(sliding.allow(1)).allowed));
        }));
        let bucket = Limiter::builder(plenty()).burst(PLENTY).build().expect("it fits");
        rows.push(Row::new("Limiter allow, token bucket", threads, move |_, n| {
            each(n, |_| assert!(black_box(bucket.allow(1)).allowed));
        }));
        let theirs = RateLimiter::direct(Quota::per_second(most));
        rows.push(Row::new("governor check", threads, move |_, n| {
            each(n, |_| _ = black_box(theirs.check().is_ok()));
        }));
    }
    let refusing = Limiter::builder(none()).build().expect("it fits");
    rows.push(Row::new("Limiter allow, refused, sliding window", 1, move |_, n| {
        each(n, |_| _ = black_box(refusing.allow(1)));
    }));
    let refusing = Limiter::builder(none()).burst(1).build().expect("it fits");
    rows.push(Row::new("Limiter allow, refused, token bucket", 1, move |_, n| {
        each(n, |_| _ = black_box(refusing.allow(1)));
    }));
    let day = NonZeroU32::new(1).expect("one");
    let theirs =
        RateLimiter::direct(Quota::with_period(Duration::from_secs(86_400)).expect("a period").allow_burst(day));
    rows.push(Row::new("governor check, refused", 1, move |_, n| {
        each(n, |_| _ = black_box(theirs.check().is_ok()));
    }));
    for (name, builder) in [
        ("KeyedLimiter allow, sliding windows", Limiter::builder(plenty())),
        ("KeyedLimiter allow, token buckets", Limiter::builder(plenty()).burst(PLENTY)),
    ] {
        let keyed: KeyedLimiter<String> = builder.keyed(10_000, WhenKeysFull::Refuse).expect("it fits");
        let keys = names(KEYS as usize);
        rows.push(Row::new(name, 1, move |_, n| {
            each(n, |index| assert!(black_box(keyed.allow(keys[index % KEYS as usize].as_str(), 1)).allowed));
        }));
    }
    let (theirs, keys) = (RateLimiter::keyed(Quota::per_second(most)), names(KEYS as usize));
    rows.push(Row::new("governor check_key", 1, move |_, n| {
        each(n, |index| _ = black_box(theirs.check_key(&keys[index % KEYS as usize]).is_ok()));
    }));
}

/// Bytes an endpoint, by the registry's own word: 100,000 of them, each with a hit of each of a few visitors.
fn memory(report: &mut Report, endpoints: usize) {
    let registry = Registry::builder().strategy(Strategy::Adaptive).build().expect("the defaults are possible");
    for name in names(endpoints) {
        for visitor in ["198.51.100.7", "198.51.100.8", "2001:db8::1"] {
            let outcome = registry.record_visit(&name, visitor, 1).expect("a possible name");
            assert!(outcome.is_counted(), "{outcome:?}");
        }
    }
    let each = registry.metrics().memory_bytes as f64 / endpoints as f64;
    report.at_most("endpoints with 3 visitors each, bytes each by the registry's own word", each, 300.0);
}

fn main() {
    let mut rows = Vec::new();
    sketches(&mut rows);
    limiters(&mut rows);
    let mut report = Report::default();
    if !std::env::args().any(|argument| argument == "--bench") {
        rows.iter().for_each(|row| _ = row.time(200));
        memory(&mut report, 1_000);
        println!("every row ran");
        return;
    }
    let medians = Medians::of(&rows, ROUNDS, |row| if row.threads == 1 { 200_000 } else { 100_000 });
    medians.print();
    let one = |name: &str| medians.get(name, 1);
    report.at_most(
        "HyperLogLog add beyond the hash, dense, ns",
        one("HyperLogLog add, dense") - one("hash of 16 bytes"),
        5.0,
    );
    report.at_most("the same with 100 items", one("HyperLogLog add, 100 items") - one("hash of 16 bytes"), 5.0);
    report.at_most("the same with 8 items", one("HyperLogLog add, 8 items") - one("hash of 16 bytes"), 5.0);
    memory(&mut report, 100_000);
    for kind in ["sliding window", "token bucket"] {
        let name = format!("Limiter allow, {kind}");
        report.at_most(format!("{name}, ns"), one(&name), 15.0);
        report.at_most(format!("{name} / governor"), one(&name) / one("governor check"), 1.0);
        report.at_most(
            format!("{name} / governor, two threads"),
            medians.get(&name, 2) / medians.get("governor check", 2),
            1.0,
        );
    }
    report.figure(
        "KeyedLimiter, token buckets / governor",
        one("KeyedLimiter allow, token buckets") / one("governor check_key"),
    );
    report.figure(
        "KeyedLimiter, sliding windows / governor",
        one("KeyedLimiter allow, sliding windows") / one("governor check_key"),
    );
    report.print();
}
