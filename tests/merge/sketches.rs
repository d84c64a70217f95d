//! Forged bytes of sketches, with the right checksum: refused, or read as what they say and merged without harm.

use hitring::{BottomK, GCounter, HyperLogLog, Morris, Reservoir, SnapshotError, TopK};
use proptest::prelude::*;

use super::refused::sealed;

fn g_counter() -> GCounter {
    let counter = GCounter::new("a").expect("a name");
    for (replica, hits) in [("b", 1), ("longer", 2), ("a", 3)] {
        let other = GCounter::new(replica).expect("a name");
        other.record(hits);
        counter.merge(&other);
    }
    counter.record(4);
    counter
}

fn top_k() -> TopK {
    let top = TopK::new(3).expect("a size");
    for writer in 0..3u64 {
        let other = TopK::<String>::new(3).expect("a size");
        for (item, hits) in [("a", 9), ("b", 1 + writer), ("longer", 5), ("c", writer)] {
            other.add(item, hits);
        }
        top.merge(&other);
    }
    top
}

fn morris() -> Morris {
    let counter = Morris::with_error(0.1).expect("a possible error");
    for hits in [1, 1_000] {
        let other = counter.clone();
        other.record(hits);
        counter.merge(&other).expect("the same base");
    }
    counter
}

fn reservoir() -> Reservoir<String> {
    let sample = Reservoir::with_seed(3, 7).expect("a size");
    for of in ["first", "second"] {
        (0..5).for_each(|item| sample.add(format!("{of} {item}")));
        sample.merge(&sample.clone()).expect("the same size");
        let other = Reservoir::with_seed(3, 8).expect("a size");
        other.add(of.to_owned());
        sample.merge(&other).expect("the same size");
    }
    sample
}

fn bottom_k() -> BottomK<String> {
    let sample = BottomK::with_seed(4, 7).expect("a size");
    (0..9).for_each(|item| sample.add(format!("item {item}")));
    sample
}

/// Sparse with few items, dense with many.
fn hyperloglog(precision: u8, items: u32) -> HyperLogLog {
    let sketch = HyperLogLog::with_precision(precision).expect("a possible precision");
    (0..items).for_each(|item| _ = sketch.add(&item.to_le_bytes()));
    sketch
}

/// Changed at some places of the body, which begins at byte 20, and cut or grown there.
fn forged(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)], length: i8) -> Vec<u8> {
    bytes.truncate(bytes.len() - 4);
    let length = (bytes.len() as i64 + i64::from(length)).max(20) as usize;
    bytes.resize(length, 0);
    if length > 20 {
        for (at, byte) in changes {
            bytes[20 + at.index(length - 20)] = *byte;
        }
    }
    bytes.extend([0; 4]);
    let whole = bytes.len() as u64;
    bytes[12..20].copy_from_slice(&whole.to_le_bytes());
    sealed(bytes)
}

fn changes() -> impl Strategy<Value = (Vec<(prop::sample::Index, u8)>, i8)> {
    let byte = prop_oneof![0u8..4, 250u8..=255, any::<u8>()];
    (proptest::collection::vec((any::<prop::sample::Index>(), byte), 1..4), prop_oneof![4 => Just(0i8), 1 => -40i8..40])
}

proptest! {
    #[test]
    fn g_counters((changes, length) in changes()) {
        let bytes = forged(g_counter().to_bytes(), &changes, length);
        if let Ok(counter) = GCounter::from_bytes(&bytes) {
            prop_assert_eq!(counter.to_bytes(), bytes);
            let ours = g_counter();
            let before = ours.count();
            ours.merge(&counter);
            prop_assert!(ours.count() >= before.max(counter.count()));
            counter.record(1);
        }
    }

    #[test]
    fn lists_of_the_most_frequent((changes, length) in changes()) {
        let bytes = forged(top_k().to_bytes(), &changes, length);
        if let Ok(top) = TopK::from_bytes(&bytes) {
            prop_assert_eq!(top.to_bytes(), bytes.clone());
            let items = top.items();
            prop_assert!(items.iter().all(|(_, count, error)| error <= count && *count <= i64::MAX as u64));
            top.merge(&TopK::from_bytes(&bytes).expect("it was read before"));
            prop_assert_eq!(top.items(), items);
            top.add("d", 1);
            top_k().merge(&top);
        }
    }

    #[test]
    fn approximate_counts((changes, length) in changes()) {
        let bytes = forged(morris().to_bytes(), &changes, length);
        if let Ok(counter) = Morris::from_bytes(&bytes) {
            prop_assert_eq!(counter.to_bytes(), bytes);
            prop_assert!(counter.estimate().is_finite());
            counter.record(1);
            let _ = morris().merge(&counter);
        }
    }
}

proptest! {
    #[test]
    fn reservoirs((changes, length) in changes()) {
        let bytes = forged(reservoir().to_bytes(), &changes, length);
        if let Ok(sample) = Reservoir::from_bytes(&bytes) {
            prop_assert_eq!(sample.to_bytes(), bytes.clone());
            let (items, seen) = (sample.items(), sample.seen());
            prop_assert!(items.len() <= sample.k());
            sample.merge(&Reservoir::from_bytes(&bytes).expect("it was read before")).expect("the same k");
            prop_assert_eq!((sample.items(), sample.seen()), (items, seen));
            sample.add("more".to_owned());
            let _ = reservoir().merge(&sample);
        }
    }

    #[test]
    fn samples_by_tags((changes, length) in changes()) {
        let bytes = forged(bottom_k().to_bytes(), &changes, length);
        if let Ok(sample) = BottomK::from_bytes(&bytes) {
            prop_assert_eq!(sample.to_bytes(), bytes.clone());
            sample.merge(&BottomK::from_bytes(&bytes).expect("it was read before")).expect("the same k");
            prop_assert_eq!(sample.to_bytes(), bytes);
            sample.add("more".to_owned());
            let _ = bottom_k().merge(&sample);
        }
    }

    #[test]
    fn sketches_of_different_items((changes, length) in changes(), items in prop_oneof![Just(3u32), Just(500)]) {
        let bytes = forged(hyperloglog(6, items).to_bytes(), &changes, length);
        if let Ok(sketch) = HyperLogLog::from_bytes(&bytes) {
            prop_assert_eq!(sketch.to_bytes(), bytes.clone());
            let count = sketch.count();
            sketch.merge(&HyperLogLog::from_bytes(&bytes).expect("it was read before")).expect("the same precision");
            prop_assert_eq!(sketch.count(), count);
            sketch.add(b"more");
            let _ = hyperloglog(6, 10).merge(&sketch);
        }
    }
}

/// The frame is right, and what is in it is impossible.
#[test]
fn impossible_fields_are_named() {
    let what = |result: Result<(), SnapshotError>| match result {
        Err(SnapshotError::Invalid { what }) => what,
        other => panic!("{other:?}"),
    };
    let change = |mut bytes: Vec<u8>, at: usize, to: &[u8]| {
        bytes[at..at + to.len()].copy_from_slice(to);
        sealed(bytes)
    };
    let g = g_counter().to_bytes();
    let read = |bytes: Vec<u8>| GCounter::from_bytes(&bytes).map(drop);
    assert_eq!(what(read(change(g.clone(), 20, &[0, 0]))), "name of a replica");
    assert_eq!(what(read(change(g.clone(), 22, &[0xff]))), "text");
    // The first cell: "a", a generation, a count.
    assert_eq!(what(read(change(g.clone(), 29, b"z"))), "order of cells");
    assert_eq!(what(read(change(g, 38, &[0; 8]))), "count");
    let top = top_k().to_bytes();
    let read = |bytes: Vec<u8>| TopK::from_bytes(&bytes).map(drop);
    assert_eq!(what(read(change(top.clone(), 20, &[0; 4]))), "k");
    assert_eq!(what(read(change(top.clone(), 28, &[0xff; 16]))), "order of writers");
    assert_eq!(what(read(change(top.clone(), 52, &[0; 8]))), "summary");
    // The first item's name: a second "b".
    assert_eq!(what(read(change(top, 76, b"b"))), "item");
    let morris = morris().to_bytes();
    let read = |bytes: Vec<u8>| Morris::from_bytes(&bytes).map(drop);
    assert_eq!(what(read(change(morris.clone(), 20, &[0; 8]))), "base");
    assert_eq!(what(read(change(morris, 56, &[0xff; 8]))), "register");
    let sample = reservoir().to_bytes();
    let read = |bytes: Vec<u8>| Reservoir::from_bytes(&bytes).map(drop);
    assert_eq!(what(read(change(sample.clone(), 20, &[0; 4]))), "k");
    // The first writer, its version, what it has seen, its number of items.
    assert_eq!(what(read(change(sample.clone(), 28, &[0xff; 24]))), "order of writers");
    assert_eq!(what(read(change(sample.clone(), 52, &[0; 8]))), "number of adds");
    assert_eq!(what(read(change(sample.clone(), 60, &[0; 8]))), "number of adds");
    assert_eq!(what(read(change(sample, 68, &[4, 0, 0, 0]))), "number of items");
    let sample = bottom_k().to_bytes();
    let read = |bytes: Vec<u8>| BottomK::from_bytes(&bytes).map(drop);
    assert_eq!(what(read(change(sample.clone(), 20, &[0; 4]))), "k");
    assert_eq!(what(read(change(sample.clone(), 20, &[3, 0, 0, 0]))), "number of items");
    assert_eq!(what(read(change(sample, 28, &[0xff; 8]))), "order of tags");
    let read = |bytes: Vec<u8>| HyperLogLog::from_bytes(&bytes).map(drop);
    let sparse = hyperloglog(14, 3).to_bytes();
    assert_eq!(what(read(change(sparse.clone(), 20, &[19]))), "precision");
    assert_eq!(what(read(change(sparse.clone(), 20, &[14, 1]))), "precision");
    assert_eq!(what(read(change(sparse.clone(), 24, &[0xff; 4]))), "number of registers");
    assert_eq!(what(read(change(sparse.clone(), 24, &[2, 0, 0, 0]))), "length");
    assert_eq!(what(read(change(sparse.clone(), 28, &[52]))), "register");
    assert_eq!(what(read(change(sparse.clone(), 28, &[0]))), "register");
    assert_eq!(what(read(change(sparse, 28, &[1, 0xff, 0xff, 0xff]))), "number of registers");
    let dense = hyperloglog(4, 500).to_bytes();
    assert_eq!(what(read(change(dense.clone(), 24, &[15]))), "number of registers");
    assert_eq!(what(read(change(dense, 28, &[0xff]))), "register");
}
