//! Uniques: no item is lost where a part begins, where a ring comes round, or on the way out of the first words.
//!
//! Under the models there is one first word, and a sketch of precision 5 has two cells.

use std::time::Duration;

use hitring::sketch::hyperloglog::precision::Precision;
use hitring::sketch::uniques::{Parts, Uniques};
use hitring::sync::mutant::Mutant;
use hitring::window::geometry::Geometry;
use hitring::window::{Reading, Span};
use hitring::{Resolution, Tick};

use crate::explorer::{Arc, JoinHandle, check, fails, spawn};

const LOST: &str = "an item was lost";
const INVENTED: &str = "an item was invented";

/// A window of 16 parts of a second each.
fn parts() -> Parts {
    let second = Resolution::new(Duration::from_secs(1)).expect("a second is possible");
    let geometry = Geometry::new(second, Duration::from_secs(16), 0).expect("16 seconds are possible");
    Parts::new(&geometry, Precision::new(5).expect("5 is possible"))
}

/// The item that raises register `index` to 1, of precision 5.
fn item(index: u64) -> u64 {
    1 << 5 | index
}

fn count(uniques: &Uniques, first: u64, to: u64) -> Reading {
    uniques.count(parts(), Span { first: Tick(first), to: Tick(to) })
}

/// The first word is taken and every slot is of an older lap.
fn used() -> Arc<Uniques> {
    let uniques = Uniques::new();
    for part in 0..18 {
        let _ = uniques.add(parts(), Tick(part), item(part % 2));
    }
    Arc::new(uniques)
}

fn adder(uniques: &Arc<Uniques>, part: u64, index: u64) -> JoinHandle<()> {
    let uniques = Arc::clone(uniques);
    spawn(move || _ = uniques.add(parts(), Tick(part), item(index)))
}

/// Two threads begin the same part, in a slot of an older one.
fn a_part_is_begun_by_two() {
    let uniques = used();
    let threads = [adder(&uniques, 20, 5), adder(&uniques, 20, 6)];
    let _ = threads.map(|thread| thread.join().expect("a model thread ends"));
    let reading = count(&uniques, 20, 20);
    assert!(reading.count >= 2, "{LOST}: {reading:?}");
    assert!(reading.exact && reading.count <= 3, "{INVENTED}: {reading:?}");
}

/// An older and a newer part want one slot; a reader looks on.
fn the_newer_part_has_the_slot() {
    let uniques = used();
    let threads = [adder(&uniques, 20, 5), adder(&uniques, 38, 6)];
    let reader = {
        let uniques = Arc::clone(&uniques);
        spawn(move || {
            let reading = count(&uniques, 20, 20);
            assert!(reading.count <= 1, "{INVENTED}: {reading:?}");
        })
    };
    let _ = threads.map(|thread| thread.join().expect("a model thread ends"));
    reader.join().expect("a model thread ends");
    assert_eq!(count(&uniques, 38, 38), Reading::exact(1), "{LOST}");
    assert!(!count(&uniques, 20, 20).exact, "{LOST}");
}

/// The last first word, wanted by two; a reader joins both places.
fn no_room_in_the_first_words() {
    let uniques = Arc::new(Uniques::new());
    let threads = [adder(&uniques, 3, 5), adder(&uniques, 3, 6)];
    let _ = threads.map(|thread| thread.join().expect("a model thread ends"));
    let reading = count(&uniques, 3, 3);
    assert!(reading.count >= 2, "{LOST}: {reading:?}");
    assert_eq!(uniques.ever(parts()), reading.count, "{LOST}");
}

/// One item, brought in two parts at once: it was last in the later one.
fn one_item_in_two_parts() {
    let uniques = Arc::new(Uniques::new());
    let threads = [adder(&uniques, 3, 5), adder(&uniques, 4, 5)];
    let _ = threads.map(|thread| thread.join().expect("a model thread ends"));
    assert_eq!(count(&uniques, 4, 4), Reading::exact(1), "{LOST}");
    assert_eq!(count(&uniques, 3, 4), Reading::exact(1), "{LOST}");
    assert!(!count(&uniques, 3, 3).exact, "{LOST}");
}

#[test]
fn a_part_begun_by_two_threads_has_the_items_of_both() {
    check(a_part_is_begun_by_two);
    fails(Mutant::PartsLoadStore, LOST, a_part_is_begun_by_two);
}

#[test]
fn an_older_part_never_takes_a_slot_from_a_newer_one() {
    check(the_newer_part_has_the_slot);
    fails(Mutant::PartsLoadStore, LOST, the_newer_part_has_the_slot);
}

#[test]
fn who_finds_no_room_in_the_first_words_is_counted_with_those_who_did() {
    check(no_room_in_the_first_words);
    fails(Mutant::ManyForgetsFirst, LOST, no_room_in_the_first_words);
}

#[test]
fn an_item_is_last_seen_in_the_latest_of_its_parts() {
    check(one_item_in_two_parts);
}
