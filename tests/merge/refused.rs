//! What cannot be read or merged is refused with an error that says why, and changes nothing.

use std::time::Duration;

use hitring::{HitCounter, Outcome, QueryError, Snapshot, SnapshotError, Strategy, Timestamp};
use proptest::prelude::*;

const WINDOW: Duration = Duration::from_secs(60);
const STRATEGIES: [Strategy; 3] = [Strategy::Striped, Strategy::Ring, Strategy::Sliding { max_hits: 3 }];

fn at(second: u32) -> Timestamp {
    Timestamp::from(second)
}

fn counter(strategy: Strategy) -> HitCounter {
    HitCounter::builder().window(WINDOW).strategy(strategy).build().expect("a valid geometry")
}

/// A counter with hits of its own, of another writer and of a third, after a reset; the log has dropped some.
fn full(strategy: Strategy) -> HitCounter {
    let (ours, theirs) = (counter(strategy.clone()), counter(strategy));
    ours.reset();
    theirs.reset();
    for second in [1_000, 1_001, 1_200, 1_201, 1_202] {
        assert_eq!(theirs.record_at(at(second), u64::from(second)), Outcome::Counted);
    }
    let copy = theirs.clone();
    assert_eq!(copy.record_at(at(1_203), 7), Outcome::Counted);
    assert_eq!(ours.record_at(at(1_203), 1), Outcome::Counted);
    ours.merge(&copy.snapshot()).expect("of one kind");
    ours
}

/// What a counter answers while it has hits, before and after.
fn answers(counter: &HitCounter) -> Vec<Result<u64, QueryError>> {
    (955..1_350).step_by(8).map(|second| counter.count_at(at(second), WINDOW)).collect()
}

/// `bytes` with the checksum that belongs to them.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 4;
    let checksum = crc32(&bytes[..body]);
    bytes[body..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// CRC-32 (IEEE), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    for strategy in STRATEGIES {
        let bytes = full(strategy.clone()).snapshot().to_bytes();
        assert_eq!(sealed(bytes.clone()), bytes, "the checksum is CRC-32");
        for len in 0..bytes.len() {
            let told = Snapshot::from_bytes(&bytes[..len]);
            let short = matches!(told, Err(SnapshotError::Truncated)) || len == 0;
            assert!(short && told.is_err(), "{len} of {} bytes: {told:?}", bytes.len());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Snapshot::from_bytes(&longer), Err(SnapshotError::Truncated));
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let told = Snapshot::from_bytes(&flipped);
            match (bit / 8, &told) {
                (0..8, Err(SnapshotError::Foreign)) => {}
                (8..10, Err(SnapshotError::Newer { .. } | SnapshotError::Invalid { .. })) => {}
                (12..20, Err(SnapshotError::Truncated)) => {}
                (10..12 | 20.., Err(SnapshotError::Corrupt)) => {}
                _ => panic!("bit {bit} of {}: {told:?}", bytes.len()),
            }
        }
    }
}

/// Bytes that another program wrote, with a checksum that fits, are refused or merged, never more.
#[test]
fn a_field_that_fits_the_checksum_is_checked_by_itself() {
    for strategy in STRATEGIES {
        let original = full(strategy);
        let (before, bytes) = (answers(&original), original.snapshot().to_bytes());
        let mut accepted = 0;
        for bit in 8 * 10..8 * (bytes.len() - 4) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = sealed(flipped);
            let Ok(snapshot) = Snapshot::from_bytes(&flipped) else { continue };
            accepted += 1;
            assert_eq!(Snapshot::from_bytes(&snapshot.to_bytes()), Ok(snapshot.clone()), "bit {bit}");
            let ours = original.clone();
            match ours.merge(&snapshot) {
                Ok(()) => {
                    let _ = (answers(&ours), ours.count_at(Timestamp::MAX, WINDOW), ours.outcomes(), ours.clone());
                }
                Err(_) => assert_eq!(answers(&ours), before, "bit {bit} was refused"),
            }
        }
        assert!(accepted > 100, "most bits of a count make another count");
    }
}

/// The bytes of a snapshot of one hit in a ring, where `field` lies `at`.
fn with_field(place: usize, field: &[u8]) -> Result<Snapshot, SnapshotError> {
    let counter = counter(Strategy::Ring);
    for second in [1_000, 1_001] {
        assert_eq!(counter.record_at(at(second), 1), Outcome::Counted);
    }
    let mut bytes = counter.snapshot().to_bytes();
    bytes[place..place + field.len()].copy_from_slice(field);
    Snapshot::from_bytes(&sealed(bytes))
}

/// Field by field of the table in `snapshot.rs`: header 20, resolution 8, window 4, slack 4, grain 4, epoch 8, forks 4,
/// writers 4, writer 24, slots 4, cells 4, tick 8, count 8, tick 8, count 8.
#[test]
fn what_no_counter_could_have_written_is_invalid() {
    let word = u64::to_le_bytes;
    let refused = [
        (10, &word(0xffff)[..2]),
        (20, &word(0)),
        (20, &word(999)),
        (28, &word(0)[..4]),
        (28, &word((1 << 20) + 1)[..4]),
        (32, &word((1 << 20) + 1)[..4]),
        (36, &word(2)[..4]),
        // More cells, fewer cells and more forks than there are.
        (84, &word(3)[..4]),
        (84, &word(1)[..4]),
        (48, &word(1)[..4]),
        // Slots of a ring shorter than the window.
        (80, &word(59)[..4]),
        (80, &word((1 << 21) + 2)[..4]),
        // The second tick not after the first, and one beyond the year 9999.
        (104, &word(1_000)),
        (104, &word(999)),
        (104, &word(253_402_300_800)),
        (112, &word(0)),
        (112, &word(1 << 63)),
    ];
    for (place, field) in refused {
        let told = with_field(place, field);
        assert!(
            matches!(told, Err(SnapshotError::Invalid { .. } | SnapshotError::Truncated)),
            "{field:?} at {place}: {told:?}"
        );
    }
    // Bytes that belong to no field, though length and checksum count them.
    let mut longer = counter(Strategy::Ring).snapshot().to_bytes();
    longer.extend([0; 4]);
    let len = longer.len() as u64;
    longer[12..20].copy_from_slice(&len.to_le_bytes());
    assert_eq!(Snapshot::from_bytes(&sealed(longer)), Err(SnapshotError::Invalid { what: "length" }));
    for (place, field) in [(80, 60), (104, 1_002), (112, i64::MAX as u64)] {
        let width = if place == 80 { 4 } else { 8 };
        assert!(with_field(place, &word(field)[..width]).is_ok(), "{field} at {place}");
    }
}

/// Every life of a counter is a writer of its own: the replica stays, the generation goes up with each reset.
#[test]
fn a_reset_begins_a_generation() {
    let counter = counter(Strategy::Ring);
    let written = || {
        let bytes = counter.snapshot().to_bytes();
        let word = |place: usize| u64::from_le_bytes(bytes[place..place + 8].try_into().expect("eight bytes"));
        ([word(56), word(64)], word(72), word(40))
    };
    let (replica, generation, epoch) = written();
    for n in 1..3 {
        counter.reset();
        assert_eq!(written(), (replica, generation + n, epoch + n));
    }
}

#[test]
fn foreign_and_newer_bytes_are_named() {
    assert_eq!(Snapshot::from_bytes(b""), Err(SnapshotError::Foreign));
    assert_eq!(Snapshot::from_bytes(b"PK\x03\x04 no snapshot at all"), Err(SnapshotError::Foreign));
    assert_eq!(Snapshot::from_bytes(b"HITRINGS and more than that"), Err(SnapshotError::Foreign));
    let bytes = counter(Strategy::Ring).snapshot().to_bytes();
    for version in [2u16, 3, 256, u16::MAX] {
        let mut newer = bytes.clone();
        newer[8..10].copy_from_slice(&version.to_le_bytes());
        // Whatever follows in a format that is not known.
        for newer in [newer.clone(), sealed(newer.clone()), newer[..10].to_vec(), [&newer[..], b"more"].concat()] {
            assert_eq!(Snapshot::from_bytes(&newer), Err(SnapshotError::Newer { version, supported: 1 }));
        }
    }
}

#[test]
fn a_refused_snapshot_changes_nothing() {
    for strategy in STRATEGIES {
        let ours = full(strategy.clone());
        let (before, outcomes) = (answers(&ours), ours.outcomes());
        let builder = || HitCounter::builder().window(WINDOW).strategy(strategy.clone());
        let other_grain = if strategy == Strategy::Ring { Strategy::SLIDING } else { Strategy::Ring };
        let mut refused = vec![
            builder().window(Duration::from_secs(30)).build().expect("a valid geometry"),
            builder().resolution(Duration::from_millis(500)).build().expect("a valid geometry"),
        ];
        // Striped and ring count in the same ticks.
        if strategy != Strategy::Striped {
            refused.push(counter(other_grain));
        }
        for theirs in &refused {
            // A higher epoch must not get as far as emptying the counter.
            for _ in 0..3 {
                theirs.reset();
            }
            assert_eq!(theirs.record_at(at(1_203), 5), Outcome::Counted);
            let told = ours.merge(&theirs.snapshot());
            assert!(matches!(told, Err(SnapshotError::OtherGeometry { .. })), "{told:?}");
        }
        let old = counter(strategy.clone());
        assert_eq!(old.record_at(at(1_203), 5), Outcome::Counted);
        assert_eq!(ours.merge(&old.snapshot()), Err(SnapshotError::OlderEpoch { theirs: 0, ours: 1 }));
        assert_eq!((answers(&ours), ours.outcomes()), (before, outcomes));
        assert_eq!(ours.snapshot().to_bytes().len(), full(strategy.clone()).snapshot().to_bytes().len());
    }
}

proptest! {
    #[test]
    fn any_bytes_at_all_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), begun in 0usize..100) {
        prop_assert!(Snapshot::from_bytes(&bytes).is_err());
        let mut begun = full(Strategy::Ring).snapshot().to_bytes()[..begun].to_vec();
        begun.extend(&bytes);
        prop_assert!(Snapshot::from_bytes(&begun).is_err());
    }
}
