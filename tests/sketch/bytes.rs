//! Sketches as hitring's own bytes: whole again, or refused.

use hitring::{BottomK, HyperLogLog, Reservoir, SnapshotError};

/// Refuses every cut and every changed byte, and the bytes of something else.
fn only_whole<S>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<S, SnapshotError>) {
    assert!(read(bytes).is_ok());
    for at in 0..bytes.len() {
        assert!(read(&bytes[..at]).is_err(), "{at} bytes");
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        assert!(read(&changed).is_err(), "byte {at}");
    }
    let other = hitring::GCounter::new("a").expect("a name").to_bytes();
    assert!(matches!(read(&other), Err(SnapshotError::OtherKind { .. })));
}

#[test]
fn hyperloglogs_of_every_precision_come_back() {
    for precision in 4..=18 {
        for items in [0u32, 1, 5, 9, 100, 3_000, 60_000] {
            let sketch = HyperLogLog::with_precision(precision).expect("a possible precision");
            (0..items).for_each(|item| _ = sketch.add(&item.to_le_bytes()));
            let bytes = sketch.to_bytes();
            assert!(bytes.len() <= 32 + sketch.registers().count() * 4);
            assert!(bytes.len() <= 32 + (1 << precision) / 4 * 3);
            let back = HyperLogLog::from_bytes(&bytes).expect("its own bytes");
            assert!(back.registers().eq(sketch.registers()), "{items} items at precision {precision}");
            assert_eq!((back.count(), back.precision()), (sketch.count(), precision));
            assert_eq!(back.to_bytes(), bytes);
        }
    }
    let few = HyperLogLog::new();
    few.add(b"one");
    assert!(HyperLogLog::from_bytes(&few.to_bytes()).expect("its own bytes").is_sparse());
    only_whole(&few.to_bytes(), HyperLogLog::from_bytes);
}

#[test]
fn reservoirs_know_what_was_seen_and_go_on_as_another() {
    let sample = Reservoir::with_seed(5, 1).expect("a size");
    (0..1_000).for_each(|item| sample.add(format!("item {item}")));
    let back = Reservoir::from_bytes(&sample.to_bytes()).expect("its own bytes");
    assert_eq!((back.items(), back.seen(), back.k()), (sample.items(), 1_000, 5));
    (0..10).for_each(|_| back.add("new".to_owned()));
    sample.merge(&back).expect("the same k");
    sample.merge(&back).expect("the same k");
    assert_eq!((sample.seen(), back.seen()), (1_010, 1_010));
    assert_eq!(sample.items(), back.items(), "all who know the same read the same");
    only_whole(&sample.to_bytes(), Reservoir::from_bytes);
    let empty = Reservoir::<String>::new(1).expect("a size");
    assert_eq!(Reservoir::from_bytes(&empty.to_bytes()).expect("its own bytes").seen(), 0);
}

#[test]
fn samples_by_tags_come_back_and_merge_once() {
    let sample = BottomK::with_seed(5, 1).expect("a size");
    (0..1_000).for_each(|item| sample.add(format!("item {item}")));
    let back = BottomK::from_bytes(&sample.to_bytes()).expect("its own bytes");
    assert_eq!(back.tagged(), sample.tagged());
    back.merge(&sample).expect("the same k");
    assert_eq!(back.tagged(), sample.tagged());
    // It goes on, and only by what is smaller than the largest tag that came with the bytes.
    (0..100_000).for_each(|_| back.add("new".to_owned()));
    assert_eq!(back.items().len(), 5);
    assert!(back.tagged() < sample.tagged());
    only_whole(&sample.to_bytes(), BottomK::from_bytes);
}

#[test]
fn items_that_are_not_chosen_are_not_made() {
    let (mut few, mut some) = (0, 0);
    let (reservoir, bottom_k) =
        (Reservoir::with_seed(2, 1).expect("a size"), BottomK::with_seed(2, 1).expect("a size"));
    for item in 0..10_000 {
        reservoir.add_with(|| {
            few += 1;
            item
        });
        bottom_k.add_with(|| {
            some += 1;
            item
        });
    }
    assert_eq!(reservoir.seen(), 10_000);
    assert!((2..100).contains(&few) && (2..100).contains(&some), "{few}, {some}");
}
