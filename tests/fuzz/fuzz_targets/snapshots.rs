//! Any bytes as a snapshot: an error, or a snapshot that is written as it was read and does no harm.
//!
//! Length and checksum are made to fit, so that what lies behind them is reached: of the input, all but the first byte
//! is the frame's body; the first says of which kind and version.

#![no_main]

use std::time::Duration;

use hitring::{
    BottomK, GCounter, HitCounter, HyperLogLog, Morris, Registry, RegistrySnapshot, Reservoir, Snapshot, Timestamp,
    TopK, WindowedUniques,
};
use libfuzzer_sys::fuzz_target;

fn frame(version: u16, kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from(*b"HITRING\0");
    frame.extend(version.to_le_bytes());
    frame.extend(kind.to_le_bytes());
    frame.extend((body.len() as u64 + 24).to_le_bytes());
    frame.extend(body);
    frame.extend(crc32fast::hash(&frame).to_le_bytes());
    frame
}

fn registry(window: Duration, resolution: Duration) -> Option<Registry> {
    Registry::builder().window(window).resolution(resolution).max_endpoints(64).build().ok()
}

fn of_registry(bytes: &[u8]) {
    let Ok(snapshot) = RegistrySnapshot::from_bytes(bytes) else { return };
    let again = RegistrySnapshot::from_bytes(&snapshot.to_bytes()).expect("what was written can be read");
    assert_eq!(again, snapshot);
    // A window of many ticks takes long to ask about; the parser does not care.
    if snapshot.window() > snapshot.resolution() * 1_000 {
        return;
    }
    let Some(registry) = registry(snapshot.window(), snapshot.resolution()) else { return };
    let _ = registry.record_hit("a", 1);
    let merged = registry.merge(&snapshot);
    if merged.is_err() {
        assert_eq!(registry.endpoints(), ["a"]);
    }
    let again = registry.merge(&snapshot);
    assert_eq!(merged.is_ok(), again.is_ok(), "merging again changes nothing");
    let _ = (registry.total(registry.window()), registry.metrics(), registry.prune(), registry.snapshot().to_bytes());
    let _ = registry.restore(&snapshot);
    let _ = (registry.record_hit("a", 1), registry.total(registry.window()), registry.remove("a"));
}

fn of_counter(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::from_bytes(bytes) else { return };
    assert_eq!(snapshot.to_bytes(), bytes);
    if snapshot.window() > snapshot.resolution() * 1_000 {
        return;
    }
    let counter = HitCounter::builder().window(snapshot.window()).resolution(snapshot.resolution()).build();
    let Ok(counter) = counter else { return };
    let _ = counter.merge(&snapshot);
    let _ = (counter.get_hits(Timestamp::MAX), counter.count(), counter.outcomes(), counter.snapshot().to_bytes());
}

fn of_g_counter(bytes: &[u8]) {
    let Ok(counter) = GCounter::from_bytes(bytes) else { return };
    assert_eq!(counter.to_bytes(), bytes);
    let (count, _) = (counter.count(), counter.record(1));
    counter.merge(&GCounter::from_bytes(bytes).expect("it was read before"));
    assert!(counter.count() >= count);
}

fn of_top_k(bytes: &[u8]) {
    let Ok(top) = TopK::from_bytes(bytes) else { return };
    assert_eq!(top.to_bytes(), bytes);
    let items = top.items();
    top.merge(&TopK::from_bytes(bytes).expect("it was read before"));
    assert_eq!(top.items(), items, "merging again changes nothing");
    let _ = (top.add("a", 1), top.items());
}

fn of_morris(bytes: &[u8]) {
    let Ok(counter) = Morris::from_bytes(bytes) else { return };
    assert_eq!(counter.to_bytes(), bytes);
    assert!(counter.estimate().is_finite());
    let _ = (counter.record(1), counter.merge(&Morris::from_bytes(bytes).expect("it was read before")));
}

fn of_reservoir(bytes: &[u8]) {
    let Ok(sample) = Reservoir::from_bytes(bytes) else { return };
    assert_eq!(sample.to_bytes(), bytes);
    let items = sample.items();
    sample.merge(&Reservoir::from_bytes(bytes).expect("it was read before")).expect("the same k");
    assert_eq!(sample.items(), items, "merging again changes nothing");
    sample.add("a".to_owned());
    assert!(sample.items().len() <= sample.k());
}

fn of_bottom_k(bytes: &[u8]) {
    let Ok(sample) = BottomK::from_bytes(bytes) else { return };
    assert_eq!(sample.to_bytes(), bytes);
    sample.merge(&BottomK::from_bytes(bytes).expect("it was read before")).expect("the same k");
    assert_eq!(sample.to_bytes(), bytes, "merging again changes nothing");
    sample.add("a".to_owned());
}

fn of_uniques(bytes: &[u8]) {
    let Ok(uniques) = WindowedUniques::from_bytes(bytes) else { return };
    let again = WindowedUniques::from_bytes(&uniques.to_bytes()).expect("its own bytes");
    assert_eq!((again.ever(), again.count()), (uniques.ever(), uniques.count()));
    let ever = uniques.ever();
    uniques.merge(&again).expect("the same window");
    assert_eq!(uniques.ever(), ever, "merging again changes nothing");
    let _ = uniques.add("a");
}

fn of_hyperloglog(bytes: &[u8]) {
    let Ok(sketch) = HyperLogLog::from_bytes(bytes) else { return };
    assert_eq!(sketch.to_bytes(), bytes);
    let count = sketch.count();
    sketch.merge(&HyperLogLog::from_bytes(bytes).expect("it was read before")).expect("the same precision");
    assert_eq!(sketch.count(), count, "merging again changes nothing");
    let _ = (sketch.add(b"a"), sketch.to_redis());
}

fuzz_target!(|input: &[u8]| {
    let _ = (Snapshot::from_bytes(input), RegistrySnapshot::from_bytes(input));
    if let Some((kind, body)) = input.split_first() {
        const KINDS: [u16; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let first = usize::from(*kind);
        let kind = KINDS[first % KINDS.len()];
        let version = if kind == 2 && first / KINDS.len() % 2 == 1 { 2 } else { 1 };
        let framed = frame(version, kind, body);
        match kind {
            1 => of_counter(&framed),
            2 => of_registry(&framed),
            3 => of_g_counter(&framed),
            4 => of_top_k(&framed),
            5 => of_morris(&framed),
            6 => of_reservoir(&framed),
            7 => of_bottom_k(&framed),
            8 => of_uniques(&framed),
            _ => of_hyperloglog(&framed),
        }
    }
});
