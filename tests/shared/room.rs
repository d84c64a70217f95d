//! The last places of a file: a merge has all that it needs or changes nothing, and what it kept is free again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use hitring::{ManualClock, Outcome, Registry, SharedError, SharedRegistry, SnapshotError};

use super::{Folder, MINUTE, START, at, small};
use crate::threads::together;

const PLACES: u64 = 64;
/// Where the file says how many places are kept: the upper half of the word at 512.
const KEPT_AT: u64 = 516;

/// Counts a hit of each of the `names` that there is room for; answers how many.
fn fill(registry: &SharedRegistry, names: impl Iterator<Item = u64>) -> u64 {
    let counted = names.filter(|number| {
        let outcome = registry.record_hit(&format!("/own/{number}"), 1).expect("a name");
        assert!(matches!(outcome, Outcome::Counted | Outcome::Refused));
        outcome == Outcome::Counted
    });
    counted.count() as u64
}

#[test]
fn a_merge_beside_names_that_fill_the_file_is_whole_or_changes_nothing() {
    const NAMES: u64 = 20;
    let clock = ManualClock::new(at(START));
    let other = Registry::builder().window(MINUTE).clock(clock.clone()).build().expect("it is possible");
    assert_eq!(other.record_hit("/gone", 1), Ok(Outcome::Counted));
    assert!(other.remove("/gone"));
    // Each takes a place for its name and one for the hits of the other registry.
    (0..NAMES).for_each(|number| assert_eq!(other.record_hit(&format!("/merged/{number}"), 2), Ok(Outcome::Counted)));
    let snapshot = other.snapshot();
    let folder = Folder::in_memory();
    let (mut whole, mut nothing, mut last) = (0, 0, Duration::ZERO);
    for round in 0..400usize {
        let path = folder.file(&format!("{round}.ring"));
        let registry = small().clock(clock.clone()).create(&path).expect("it can be made");
        assert_eq!(registry.record_hit_at("/gone", at(START - 10), 3), Ok(Outcome::Counted));
        // With 23 names more there is room for the merge.
        let (before, beside) = [(0, 23), (24, 10), (0, 24), (23, 1)][round % 4];
        fill(&registry, 0..before);
        let merged = together(2, |thread| {
            if thread == 0 {
                let begun = Instant::now();
                return Some((registry.merge(&snapshot), begun.elapsed()));
            }
            // Each time at another step of the merge.
            let begun = Instant::now();
            while begun.elapsed() < last.mul_f64(round as f64 / 400.0) {
                std::hint::spin_loop();
            }
            fill(&registry, 100..100 + beside);
            None
        });
        let hits = |name: &str| registry.query_hits(name, MINUTE).expect("exact").count;
        let names = registry.endpoints();
        let merged_names = names.iter().filter(|name| name.starts_with("/merged/")).count() as u64;
        let (merged, took) = merged.into_iter().flatten().next().expect("the merge's");
        match merged {
            Ok(left_out) => {
                assert_eq!((left_out, merged_names, hits("/gone")), (0, NAMES, 0));
                assert!((0..NAMES).all(|number| hits(&format!("/merged/{number}")) == 2));
                whole += 1;
                last = took;
            }
            Err(error) => {
                assert!(matches!(error, SharedError::Snapshot(SnapshotError::NoRoom { .. })), "{error}");
                assert_eq!((merged_names, hits("/gone")), (0, 3));
                nothing += 1;
            }
        }
        // Nothing is kept any more, and no place is lost.
        let own = registry.endpoints().len() as u64 - merged_names;
        let free = PLACES - own - 2 * merged_names;
        assert_eq!(fill(&registry, 200..264), free);
        std::fs::remove_file(&path).expect("it is there");
    }
    assert!(whole > 0 && nothing > 0, "{whole} were whole and {nothing} changed nothing");
}

#[test]
fn what_a_killed_merge_kept_is_given_back() {
    let folder = Folder::new();
    let path = folder.file("hits.ring");
    let registry = small().create(&path).expect("it can be made");
    assert_eq!(fill(&registry, 0..60), 60);
    let file = File::options().read(true).write(true).open(&path).expect("it can be written");
    let mut begun = [0; 4];
    file.read_exact_at(&mut begun, KEPT_AT - 4).expect("it is long enough");
    assert_eq!(u32::from_le_bytes(begun), 60);
    file.write_all_at(&4u32.to_le_bytes(), KEPT_AT).expect("it can be written");
    assert_eq!(fill(&registry, 60..70), 4);
    assert_eq!(fill(&registry, 70..71), 0, "it is full");
}
