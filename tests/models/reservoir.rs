//! Reservoirs: adds that overtake each other leave the sample of the order of their positions.
//!
//! Seeds are chosen so that both positions behind the filled ones are chosen; the models look that this is so.

use hitring::Reservoir;
use hitring::sync::mutant::Mutant;

use crate::explorer::{Arc, check, fails, spawn};

const WRONG: &str = "the sample is not that of the positions' order";

/// Both positions are chosen for the one place.
const SAME_PLACE: u64 = 12;
/// Both positions are chosen, for different places.
const OTHER_PLACES: u64 = 12;

/// The sample that items 0, 1, ... leave when they come one by one.
fn alone(k: usize, seed: u64, items: u64) -> Vec<u64> {
    let sample = Reservoir::with_seed(k, seed).expect("a possible size");
    (0..items).for_each(|item| sample.add(item));
    sample.items()
}

/// A sample whose places are filled, and what two more items will leave, by position.
fn filled(k: usize, seed: u64) -> (Arc<Reservoir<u64>>, Vec<u64>) {
    let filled = k as u64;
    let expected = alone(k, seed, filled + 2);
    assert!(alone(k, seed, filled + 1).contains(&filled) && expected.contains(&(filled + 1)), "choose another seed");
    let sample = Arc::new(Reservoir::with_seed(k, seed).expect("a possible size"));
    (0..filled).for_each(|item| sample.add(item));
    (sample, expected)
}

/// Two adds race, and a reader with them.
fn racing(k: usize, seed: u64) {
    let (sample, expected) = filled(k, seed);
    let adds = [100, 200].map(|item| {
        let sample = Arc::clone(&sample);
        spawn(move || (sample.place(item), item))
    });
    let reader = {
        let sample = Arc::clone(&sample);
        spawn(move || sample.items())
    };
    let added: Vec<(u64, u64)> = adds.map(|add| add.join().expect("a model thread ends")).into();
    assert_eq!(reader.join().expect("a model thread ends").len(), k, "{WRONG}");
    let item_at = |position| added.iter().find(|(at, _)| *at == position).map_or(position, |(_, item)| *item);
    assert_eq!(sample.items(), expected.into_iter().map(item_at).collect::<Vec<_>>(), "{WRONG}");
    assert_eq!(sample.seen(), k as u64 + 2, "{WRONG}");
}

/// Both have taken their positions when the threads start, that of the later position first: of two loads before a
/// store, loom turns only the last one behind it, so in [`racing`] it leaves out that an add is passed over between its
/// two halves.
fn overtaken(k: usize, seed: u64) {
    let (sample, expected) = filled(k, seed);
    let mut positions = [sample.take(), sample.take()];
    positions.reverse();
    let adds = positions.map(|position| {
        let sample = Arc::clone(&sample);
        spawn(move || sample.bring(position, position))
    });
    adds.into_iter().for_each(|add| add.join().expect("a model thread ends"));
    assert_eq!(sample.items(), expected, "{WRONG}");
}

fn same_place() {
    overtaken(1, SAME_PLACE);
}

fn other_places() {
    overtaken(2, OTHER_PLACES);
}

fn racing_for_one_place() {
    racing(1, SAME_PLACE);
}

fn racing_for_two_places() {
    racing(2, OTHER_PLACES);
}

#[test]
fn a_chosen_add_that_was_passed_over_takes_its_place() {
    check(other_places);
    check(racing_for_two_places);
    fails(Mutant::ReservoirForgetsPassed, WRONG, other_places);
}

#[test]
fn a_place_is_not_taken_back_from_a_later_position() {
    check(same_place);
    check(racing_for_one_place);
    fails(Mutant::ReservoirTakesBack, WRONG, same_place);
}
