//! The laws of snapshots: merging is idempotent, commutative and associative; bytes are read as they were written or not
//! at all.

use std::time::Duration;

use hitring::{HitCounter, Snapshot, SnapshotError, Strategy, Timestamp};
use proptest::prelude::*;

const STRATEGIES: [Strategy; 3] = [Strategy::Striped, Strategy::Ring, Strategy::SLIDING];

fn counter(strategy: Strategy) -> HitCounter {
    HitCounter::builder().window(Duration::from_secs(60)).strategy(strategy).build().expect("a valid geometry")
}

fn at(second: u64) -> Timestamp {
    Timestamp::try_from(second).expect("before the year 9999")
}

fn hits() -> impl proptest::strategy::Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((1_000u64..1_100, 1u64..1_000), 0..40)
}

fn filled(strategy: Strategy, hits: &[(u64, u64)]) -> HitCounter {
    let counter = counter(strategy);
    for &(second, amount) in hits {
        let _ = counter.record_at(at(second), amount);
    }
    counter
}

/// What a counter answers at every second at which it could.
fn answers(counter: &HitCounter) -> Vec<Option<u64>> {
    (990..1_200).map(|second| counter.count_at(at(second), Duration::from_secs(60)).ok()).collect()
}

proptest! {
    #[test]
    fn merging_again_or_in_another_order_changes_nothing(
        strategy in prop::sample::select(&STRATEGIES[..]), a in hits(), b in hits(), c in hits(), more in hits(),
    ) {
        let [a, b, c] = [a, b, c].map(|hits| filled(strategy, &hits));
        let early = a.snapshot();
        for &(second, amount) in &more {
            let _ = a.record_at(at(second), amount);
        }
        let all = [early, a.snapshot(), b.snapshot(), c.snapshot()];
        let forward = counter(strategy);
        for snapshot in &all {
            forward.merge(snapshot)?;
        }
        let backward = counter(strategy);
        for snapshot in all.iter().rev().chain(&all) {
            backward.merge(snapshot)?;
        }
        let nested = counter(strategy);
        let inner = counter(strategy);
        inner.merge(&all[2])?;
        inner.merge(&all[3])?;
        nested.merge(&inner.snapshot())?;
        nested.merge(&all[1])?;
        prop_assert_eq!(answers(&forward), answers(&backward));
        prop_assert_eq!(answers(&forward), answers(&nested));
        prop_assert_eq!(forward.outcomes(), backward.outcomes());
    }

    #[test]
    fn a_clone_counts_on_by_itself_and_takes_in_only_what_is_new(
        strategy in prop::sample::select(&STRATEGIES[..]), before in hits(), ours in hits(), theirs in hits(),
    ) {
        let original = filled(strategy, &before);
        let clone = original.clone();
        prop_assert_eq!(answers(&original), answers(&clone));
        prop_assert_eq!(original.outcomes(), clone.outcomes());
        let counted = |counter: &HitCounter, hits: &[(u64, u64)]| {
            hits.iter().filter(|(second, n)| counter.record_at(at(*second), *n).is_counted()).map(|(_, n)| n).sum::<u64>()
        };
        let (mine, yours) = (counted(&clone, &ours), counted(&original, &theirs));
        clone.merge(&original.snapshot())?;
        let all: u64 = filled(strategy, &before).outcomes().counted + mine + yours;
        prop_assert_eq!(clone.outcomes().counted, all);
    }

    #[test]
    fn bytes_are_read_as_they_were_written_or_not_at_all(
        strategy in prop::sample::select(&STRATEGIES[..]), a in hits(), b in hits(), cut in any::<prop::sample::Index>(), bit in 0usize..8,
    ) {
        let counter = filled(strategy, &a);
        counter.merge(&filled(strategy, &b).snapshot())?;
        let bytes = counter.snapshot().to_bytes();
        prop_assert_eq!(Snapshot::from_bytes(&bytes)?, counter.snapshot());
        let place = cut.index(bytes.len());
        prop_assert!(Snapshot::from_bytes(&bytes[..place]).is_err());
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << bit;
        prop_assert!(Snapshot::from_bytes(&flipped).is_err(), "byte {} bit {}", place, bit);
        let mut longer = bytes.clone();
        longer.push(0);
        prop_assert_eq!(Snapshot::from_bytes(&longer), Err(SnapshotError::Truncated));
    }
}

#[test]
fn foreign_and_newer_bytes_are_named() {
    assert_eq!(Snapshot::from_bytes(b""), Err(SnapshotError::Foreign));
    assert_eq!(Snapshot::from_bytes(b"PK\x03\x04 no snapshot"), Err(SnapshotError::Foreign));
    let mut bytes = counter(Strategy::Ring).snapshot().to_bytes();
    bytes[8] = 2;
    assert_eq!(Snapshot::from_bytes(&bytes), Err(SnapshotError::Newer { version: 2, supported: 1 }));
}

#[test]
fn a_refused_snapshot_changes_nothing() {
    let ours = filled(Strategy::Ring, &[(1_000, 3)]);
    let before = answers(&ours);
    let theirs = HitCounter::builder().window(Duration::from_secs(30)).build().expect("a valid geometry");
    assert!(matches!(ours.merge(&theirs.snapshot()), Err(SnapshotError::OtherGeometry { .. })));
    assert!(matches!(ours.merge(&counter(Strategy::SLIDING).snapshot()), Err(SnapshotError::OtherGeometry { .. })));
    let old = filled(Strategy::Ring, &[(1_000, 5)]).snapshot();
    assert_eq!(answers(&ours), before);
    ours.reset();
    assert_eq!(ours.merge(&old), Err(SnapshotError::OlderEpoch { theirs: 0, ours: 1 }));
    assert_eq!(ours.count_at(at(1_000), Duration::from_secs(60)), Ok(0));
    let newer = ours.snapshot();
    let other = filled(Strategy::Ring, &[(1_000, 5)]);
    other.merge(&newer).expect("a later epoch is taken up");
    assert_eq!(other.count_at(at(1_000), Duration::from_secs(60)), Ok(0));
}
