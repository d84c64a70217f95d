//! Rows of sketches, with the hash that HyperLogLog takes as their floor.

use hitring::{BottomK, GCounter, HyperLogLog, Morris, Registry, Reservoir, Strategy, TopK, WindowedUniques};

use crate::harness::Reach::AtMost;
use crate::harness::Run;
use crate::hash::murmur;
use crate::registry::names::names;
use crate::row::{Row, threads};

const ITEMS: usize = 1 << 16;

/// Measures and judges the rows.
pub fn figures(run: &mut Run) {
    run.measure(&rows());
    for kind in ["dense", "100 items", "8 items"] {
        let beyond = run.one(&format!("HyperLogLog add, {kind}")) - run.one("hash of 16 bytes");
        run.figure(format!("HyperLogLog add beyond the hash, {kind}, ns"), beyond, AtMost(5.0));
    }
    let bytes = memory(if run.is_whole { 100_000 } else { 1_000 });
    run.figure("endpoints with 3 visitors each, bytes each by the registry's own word", bytes, AtMost(300.0));
}

fn items() -> Vec<[u8; 16]> {
    (0..ITEMS as u64).map(|item| [item.to_le_bytes(), (!item).to_le_bytes()].concat().try_into().expect("16")).collect()
}

fn adaptive() -> Registry {
    Registry::builder().strategy(Strategy::Adaptive).build().expect("the defaults are possible")
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let of = items();
    rows.push(Row::new("hash of 16 bytes", 1, move |_, index| murmur(&of[index % ITEMS])));
    for (name, filled) in
        [("HyperLogLog add, dense", ITEMS), ("HyperLogLog add, 100 items", 100), ("HyperLogLog add, 8 items", 8)]
    {
        let (of, sketch) = (items(), HyperLogLog::new());
        of[..filled].iter().for_each(|item| _ = sketch.add(item));
        rows.push(Row::new(name, 1, move |_, index| sketch.add(&of[index % filled])));
    }
    let sketch = HyperLogLog::new();
    rows.push(Row::new("HyperLogLog add, dense, all new", 1, move |_, index| sketch.add(&index.to_le_bytes())));
    let (of, uniques) = (items(), WindowedUniques::new());
    rows.push(Row::new("WindowedUniques add", 1, move |_, index| uniques.add(of[index % ITEMS])));
    let (of, home) = (items(), adaptive().counter("/home").expect("there is room"));
    rows.push(Row::new("handle record_visit, 8 visitors", 1, move |_, index| home.record_visit(of[index % 8], 1)));
    let counter = GCounter::new("here").expect("a possible name");
    rows.push(Row::new("GCounter record", 1, move |_, _| counter.record(1)));
    let counter = Morris::with_error(0.05).expect("a possible error");
    rows.push(Row::new("Morris record", 1, move |_, _| counter.record(1)));
    for threads in threads() {
        let sample = Reservoir::new(100).expect("a possible size");
        rows.push(Row::new("Reservoir add", threads, move |_, index| sample.add(index)));
        let sample = BottomK::new(100).expect("a possible size");
        rows.push(Row::new("BottomK add", threads, move |_, index| sample.add(index)));
        // A reservoir knows how many there were; here a counter has to.
        let (sample, seen) =
            (BottomK::new(100).expect("a possible size"), GCounter::new("here").expect("a possible name"));
        rows.push(Row::new("BottomK add, and a count of all", threads, move |_, index| {
            sample.add(index);
            seen.record(1)
        }));
    }
    let (list, names) = (TopK::<String>::new(100).expect("a possible size"), names(100));
    rows.push(Row::new("TopK add", 1, move |_, index| list.add(names[index % 100].as_str(), 1)));
    rows
}

/// Bytes an endpoint, by the registry's own word, when each has a hit of each of a few visitors.
fn memory(endpoints: usize) -> f64 {
    let registry = adaptive();
    for name in names(endpoints) {
        for visitor in ["198.51.100.7", "198.51.100.8", "2001:db8::1"] {
            let outcome = registry.record_visit(&name, visitor, 1).expect("a possible name");
            assert!(outcome.is_counted(), "{outcome:?}");
        }
    }
    registry.metrics().memory_bytes as f64 / endpoints as f64
}
