//! Snapshots of registries as bytes: what is broken, foreign or forged is refused, and nothing is changed.

use std::time::Duration;

use hitring::{HitCounter, ManualClock, Outcome, Registry, RegistrySnapshot, Snapshot, SnapshotError, Strategy};
use proptest::prelude::*;

use super::{START, at};

/// A registry with something of everything.
fn full() -> Registry {
    let registry = Registry::builder().window(Duration::from_secs(60)).build().expect("a minute is possible");
    let strategies = [
        Strategy::Ring,
        Strategy::Adaptive,
        Strategy::FIXED,
        Strategy::Sliding { max_hits: 3 },
        Strategy::morris_base(2.0).expect("the seed's base"),
    ];
    for (index, strategy) in strategies.iter().enumerate() {
        let handle = registry.counter_with(&format!("/{index}"), strategy).expect("there is room");
        for second in 0..4 {
            let _ = handle.record_at(at(START + 100 * second), 3);
        }
    }
    let _ = registry.record_hit("/removed", 1);
    registry.remove("/removed");
    registry.clone()
}

/// Makes length and checksum fit again.
fn mend(bytes: &mut [u8]) {
    if bytes.len() < 24 {
        return;
    }
    let length = bytes.len() as u64;
    bytes[12..20].copy_from_slice(&length.to_le_bytes());
    let body = bytes.len() - 4;
    let checksum = crc(&bytes[..body]);
    bytes[body..].copy_from_slice(&checksum.to_le_bytes());
}

/// CRC-32 (IEEE), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn bytes_hold_the_snapshot() {
    let snapshot = full().snapshot();
    let bytes = snapshot.to_bytes();
    let read = RegistrySnapshot::from_bytes(&bytes).expect("bytes that were just made");
    assert_eq!((&read, read.to_bytes()), (&snapshot, bytes));
    assert_eq!((read.endpoints(), read.window(), read.resolution().as_secs()), (5, Duration::from_secs(60), 1));
}

#[test]
fn a_small_endpoint_takes_few_bytes() {
    let registry = Registry::builder().strategy(Strategy::Adaptive).build().expect("the defaults are possible");
    for index in 0..10_000 {
        for second in 0..2 {
            let _ = registry.record_hit_at(&format!("/api/v1/items/{index:06}"), at(START + second), 1);
        }
    }
    let bytes = registry.snapshot().to_bytes().len();
    // Of which 20 are the name.
    assert!(bytes < 103 * 10_000, "{bytes}");
}

#[test]
fn whatever_is_missing_or_flipped_is_refused() {
    let bytes = full().snapshot().to_bytes();
    for length in 0..bytes.len() {
        let error = RegistrySnapshot::from_bytes(&bytes[..length]).expect_err("something is missing");
        let expected = if length == 0 { SnapshotError::Foreign } else { SnapshotError::Truncated };
        assert_eq!(error, expected, "{length} bytes");
    }
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << bit;
            assert!(RegistrySnapshot::from_bytes(&flipped).is_err(), "bit {bit} of byte {index}");
        }
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(RegistrySnapshot::from_bytes(&longer).err(), Some(SnapshotError::Truncated));
}

#[test]
fn snapshots_of_other_things_say_what_they_are() {
    let (registry, counter) = (Registry::new().snapshot().to_bytes(), HitCounter::new().snapshot().to_bytes());
    let other = |found, wanted| Some(SnapshotError::OtherKind { found, wanted });
    assert_eq!(RegistrySnapshot::from_bytes(&counter).err(), other("HitCounter", "Registry"));
    assert_eq!(Snapshot::from_bytes(&registry).err(), other("Registry", "HitCounter"));
    let mut newer = registry.clone();
    newer[8] = 9;
    let newer = RegistrySnapshot::from_bytes(&newer).err();
    assert_eq!(newer, Some(SnapshotError::Newer { version: 9, supported: 2 }));
    assert_eq!(RegistrySnapshot::from_bytes(b"PK\x03\x04").err(), Some(SnapshotError::Foreign));
}

#[test]
fn files_are_written_whole() {
    let path = std::env::temp_dir().join(format!("hitring-registry-{}", std::process::id()));
    let registry = full();
    registry.snapshot_to(&path).expect("temporary files can be written");
    let restored = Registry::builder().window(Duration::from_secs(60)).build().expect("a minute is possible");
    let bytes = std::fs::read(&path).expect("the file is there");
    restored.restore(&RegistrySnapshot::from_bytes(&bytes).expect("a whole file")).expect("both are alike");
    assert_eq!(restored.endpoints(), registry.endpoints());
    std::fs::remove_file(path).expect("it is ours");
}

proptest! {
    /// A forged body with the right checksum: an error or a snapshot, never a panic or a huge allocation; and what is read
    /// can be merged or is refused, without harm to what is there.
    #[test]
    fn forged_bodies_do_no_harm(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0u8), Just(255), any::<u8>()]), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = full().snapshot().to_bytes();
        for (index, value) in edits {
            let index = 20 + index.index(bytes.len() - 24);
            bytes[index] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(24 + cut.index(bytes.len() - 24));
        }
        mend(&mut bytes);
        if let Ok(snapshot) = RegistrySnapshot::from_bytes(&bytes) {
            prop_assert_eq!(RegistrySnapshot::from_bytes(&snapshot.to_bytes()), Ok(snapshot.clone()));
            let registry = Registry::builder().window(Duration::from_secs(60)).build().expect("a minute is possible");
            let _ = registry.record_hit_at("/0", at(START), 7);
            let before = registry.metrics();
            if registry.merge(&snapshot).is_err() {
                prop_assert_eq!(registry.metrics(), before);
            }
            let _ = (registry.total_at(at(START + 300), Duration::from_secs(60)), registry.snapshot(), registry.prune());
            let _ = registry.restore(&snapshot);
            registry.remove("/0");
            let _ = registry.record_hit_at("/0", at(START + 300), 7);
        }
    }
}

/// A copy of this process's memory that went on elsewhere would say so: it is refused, though it came by way of another.
#[test]
fn more_hits_of_a_life_that_goes_on_here_than_there_are_is_refused() {
    const HITS: u64 = 123_456_789;
    let minute = Registry::builder().window(Duration::from_secs(60));
    let (ours, theirs) = (minute.clone().build(), minute.build());
    let (ours, theirs) = (ours.expect("a minute is possible"), theirs.expect("a minute is possible"));
    let _ = ours.record_hit_at("/a", at(START), HITS);
    theirs.merge(&ours.snapshot()).expect("it can be merged");
    let mut bytes = theirs.snapshot().to_bytes();
    ours.merge(&RegistrySnapshot::from_bytes(&bytes).expect("as it was made")).expect("it says what is known");
    for (claimed, refused) in [(HITS - 1, false), (HITS + 1, true)] {
        // Cells first: the totals may say the same number.
        let place =
            bytes.windows(8).position(|word| [HITS, HITS - 1].map(u64::to_le_bytes).iter().any(|of| of == word));
        let place = place.expect("the cell is in the bytes");
        bytes[place..place + 8].copy_from_slice(&claimed.to_le_bytes());
        mend(&mut bytes);
        let forged = RegistrySnapshot::from_bytes(&bytes).expect("it is well formed");
        let told = ours.merge(&forged);
        assert_eq!(told == Err(SnapshotError::Own), refused, "{claimed}: {told:?}");
        let hits = ours.query_hits_at("/a", at(START), Duration::from_secs(60)).expect("nothing was recycled");
        assert_eq!(hits, HITS);
    }
}

/// Bytes that hitring of format version 1 wrote: "/a" was removed at 1,000 in epoch 1 and hit twice at 1,001; three hits of "/b" at
/// 1,001 came from another registry.
const VERSION_1: &str = "\
48495452494e470001000200da0100000000000040420f000000000008000000\
04000000010000000000000043550822b502c659000000000000000000000000\
000000000e0000000000000001000000040072696e670200000043550822b502\
c659000000000000000043550822b502c6590100000000000000010000004042\
0f00000000004000000000000000010000000000000000000000000000000200\
000002002f610100000000000000000000000000000000000000010000000000\
000003000000000000000000000001000000e903000000000000020000000000\
00000000000002002f6200000000000000000000000000000000000000000100\
00000100000001000000000000000000000001000000e9030000000000000300\
000000000000000000000100000002002f610100000000000000e80300000000\
00000200000043550822b502c659000000000000000003000000000000000000\
0000000000000000000000000000000000000000000000000000000000000000\
000000000000000000000000000043550822b502c65901000000000000000300\
0000000000000000000000000000000000000000000000000000000000000000\
00000000000000000000000000000000000000000000718b95bc";

#[test]
fn version_1_is_still_read() {
    let digits = VERSION_1.as_bytes().as_chunks::<2>().0;
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
    let bytes: Vec<u8> = digits.iter().map(|&[high, low]| digit(high) << 4 | digit(low)).collect();
    let old = RegistrySnapshot::from_bytes(&bytes).expect("version 1");
    let clock = ManualClock::new(at(1_001));
    let window = Duration::from_secs(8);
    let registry = Registry::builder().window(window).slack(4).clock(clock).build().expect("it is possible");
    // A hit of before the removal that the bytes tell of.
    assert_eq!(registry.record_hit_at("/a", at(999), 100), Ok(Outcome::Counted));
    assert_eq!(registry.record_hit("/a", 10), Ok(Outcome::Counted));
    assert_eq!(registry.merge(&old), Ok(0));
    let count = |name| registry.query_hits(name, window).map(u64::from);
    assert_eq!((count("/a"), count("/b")), (Ok(12), Ok(3)));
    assert_eq!(RegistrySnapshot::from_bytes(&old.to_bytes()).as_ref(), Ok(&old), "it is written in today's version");
}

#[test]
fn the_cells_of_a_snapshot_are_what_its_writers_counted() {
    let clock = ManualClock::new(at(START));
    let [one, other] = [(); 2].map(|()| Registry::builder().clock(clock.clone()).build().expect("the default"));
    for (registry, amount) in [(&one, 3), (&other, 5)] {
        assert_eq!(registry.record_hit("/a", amount), Ok(Outcome::Counted));
        assert_eq!(registry.record_hit_at("/b", at(START - 7), amount * 10), Ok(Outcome::Counted));
    }
    let _ = one.merge(&other.snapshot()).expect("it fits");
    let snapshot = RegistrySnapshot::from_bytes(&one.snapshot().to_bytes()).expect("it is whole");
    let mut told = Vec::new();
    for cells in snapshot.cells() {
        let is_own = cells.writer.replica == snapshot.replica();
        assert_eq!((cells.width, cells.base, cells.epoch), (Duration::from_secs(1), None, 0));
        told.extend(cells.numbers().map(|cell| (cells.endpoint, is_own, cell.start, cell.count)));
    }
    told.sort_unstable();
    let (now, before) = (at(START), at(START - 7));
    let expected = [("/a", false, now, 5), ("/a", true, now, 3), ("/b", false, before, 50), ("/b", true, before, 30)];
    assert_eq!(told, expected);
    // Hits to the microsecond, whole buckets, and registers.
    let full = full().snapshot();
    let of = |name: &'static str| full.cells().filter(move |cells| cells.endpoint == name).collect::<Vec<_>>();
    assert!(of("/2").iter().all(|cells| cells.width > Duration::from_secs(1)));
    assert!(of("/3").iter().all(|cells| cells.width == Duration::from_micros(1)));
    assert!(of("/4").iter().all(|cells| cells.base == Some(2.0)) && !of("/4").is_empty());
    assert_eq!(of("/3")[0].numbers().last().expect("it has hits").start, at(START + 300));
    assert!(of("/removed").is_empty());
}
