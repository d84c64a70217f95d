//! HyperLogLog: no raise of a register is lost, in a cell, in a word or on the way from one form to the other.
//!
//! Under the models a sketch of precision 5 has two cells, then two more, then four words of ten registers.

use hitring::HyperLogLog;
use hitring::sync::mutant::Mutant;

use crate::explorer::{Arc, JoinHandle, check, fails, spawn};

const LOST: &str = "a register was lost or invented";
const DOWN: &str = "a register was lost or invented: it went down";
const UNTOLD: &str = "nobody was told of a change";

/// With these registers, each at value 1.
fn with(indices: &[u32]) -> Arc<HyperLogLog> {
    let sketch = HyperLogLog::with_precision(5).expect("a possible precision");
    for &index in indices {
        assert!(raise(&sketch, index, 1));
    }
    Arc::new(sketch)
}

fn raise(sketch: &HyperLogLog, index: u32, value: u8) -> bool {
    sketch.raise(index, value).expect("an item could")
}

fn value(sketch: &HyperLogLog, index: u32) -> u8 {
    sketch.registers().find(|&(found, _)| found == index).map_or(0, |(_, value)| value)
}

fn writer(sketch: &Arc<HyperLogLog>, index: u32, value: u8) -> JoinHandle<bool> {
    let sketch = Arc::clone(sketch);
    spawn(move || raise(&sketch, index, value))
}

/// Reads twice; `indices` never go down.
fn reader(sketch: &Arc<HyperLogLog>, indices: &'static [u32]) -> JoinHandle<bool> {
    let sketch = Arc::clone(sketch);
    spawn(move || {
        let read = || indices.iter().map(|&index| value(&sketch, index)).collect::<Vec<_>>();
        let (first, second) = (read(), read());
        assert!(first.iter().zip(&second).all(|(first, second)| first <= second), "{DOWN}: {first:?} {second:?}");
        true
    })
}

fn end<const N: usize>(threads: [JoinHandle<bool>; N]) -> [bool; N] {
    threads.map(|thread| thread.join().expect("a model thread ends"))
}

/// Registers whose cells are full, so that the next is the first of the second table, or of the dense form.
const FEW: &[u32] = &[1, 2];
const ALL: &[u32] = &[1, 2, 3, 4];

/// Two values of one register of `sketch`, and a reader.
fn one_register(sketch: Arc<HyperLogLog>) {
    end([writer(&sketch, 5, 3), writer(&sketch, 5, 2), reader(&sketch, &[5])]);
    assert_eq!(value(&sketch, 5), 3, "{LOST}");
    assert_eq!(sketch.registers().filter(|&(index, _)| index == 5).count(), 1, "{LOST}");
}

fn one_register_in_a_cell() {
    one_register(with(&[]));
}

fn one_register_in_a_cell_that_it_has() {
    one_register(with(&[5]));
}

fn one_register_in_a_word() {
    one_register(with(&[1, 2, 3, 4, 5]));
}

/// Two registers that want the same cells in the same order, and share a word; and a reader.
fn neighbours(sketch: Arc<HyperLogLog>) {
    let told = end([writer(&sketch, 6, 2), writer(&sketch, 8, 3), reader(&sketch, &[6, 8])]);
    assert_eq!((value(&sketch, 6), value(&sketch, 8)), (2, 3), "{LOST}");
    assert_eq!(told[..2], [true, true], "{UNTOLD}");
}

fn neighbours_in_cells() {
    neighbours(with(&[]));
}

fn neighbours_at_the_last_cell() {
    neighbours(with(&[1]));
}

fn neighbours_that_append_a_table() {
    let sketch = with(FEW);
    neighbours(Arc::clone(&sketch));
    assert!(sketch.is_sparse(), "{LOST}");
}

fn neighbours_that_make_it_dense() {
    let sketch = with(&[1, 2, 3]);
    neighbours(Arc::clone(&sketch));
    assert!(!sketch.is_sparse(), "{LOST}");
}

fn neighbours_in_a_word() {
    neighbours(with(&[1, 2, 3, 4, 5]));
}

/// Two threads raise the same new register: the sketch holds it once, and at least one thread is told of the change.
fn twice(sketch: Arc<HyperLogLog>) {
    let told = end([writer(&sketch, 6, 2), writer(&sketch, 6, 2), reader(&sketch, &[1, 6])]);
    assert_eq!(sketch.registers().filter(|&register| register == (6, 2)).count(), 1, "{LOST}");
    assert!(told[0] || told[1], "{UNTOLD}");
    assert!(!raise(&sketch, 6, 2), "{LOST}");
}

fn twice_in_a_cell() {
    twice(with(&[1]));
}

fn twice_in_a_table() {
    twice(with(FEW));
}

fn twice_in_the_first_word() {
    twice(with(ALL));
}

/// One thread makes it dense while another, which may not know that, raises what has a cell. A third reads both.
fn a_cell_beside_dense() {
    let sketch = with(ALL);
    let told = end([writer(&sketch, 1, 4), writer(&sketch, 6, 2), reader(&sketch, &[1, 6])]);
    assert!(!sketch.is_sparse(), "{LOST}");
    assert_eq!((value(&sketch, 1), value(&sketch, 6)), (4, 2), "{LOST}");
    assert_eq!(told[..2], [true, true], "{UNTOLD}");
    assert!(ALL[1..].iter().all(|&index| value(&sketch, index) == 1), "{LOST}");
    // Wherever the register is: a copy has it, and to bring it again changes nothing.
    assert_eq!(value(&HyperLogLog::clone(&sketch), 1), 4, "{LOST}");
    assert!(!raise(&sketch, 1, 4), "a register was told to be new twice");
}

/// A merge into a sketch that is being raised, from one that is, too.
fn merges() {
    let (ours, theirs) = (with(&[1, 2, 3, 4, 5]), with(&[1, 2, 3, 4, 6]));
    let merging = {
        let (ours, theirs) = (Arc::clone(&ours), Arc::clone(&theirs));
        spawn(move || ours.merge(&theirs).is_ok())
    };
    end([merging, writer(&ours, 7, 3), writer(&theirs, 7, 2)]);
    assert_eq!((value(&ours, 5), value(&ours, 6), value(&ours, 7)), (1, 1, 3), "{LOST}");
    assert_eq!((value(&theirs, 5), value(&theirs, 7)), (0, 2), "{LOST}");
}

#[test]
fn the_larger_value_of_a_register_stays() {
    for model in [one_register_in_a_cell, one_register_in_a_cell_that_it_has, one_register_in_a_word] {
        check(model);
        fails(Mutant::RegisterLoadStore, LOST, model);
    }
}

#[test]
fn a_register_is_not_lost_to_a_neighbour() {
    for model in
        [neighbours_in_cells, neighbours_at_the_last_cell, neighbours_that_append_a_table, neighbours_in_a_word]
    {
        check(model);
        fails(Mutant::RegisterLoadStore, LOST, model);
    }
    check(neighbours_that_make_it_dense);
}

#[test]
fn an_index_has_one_cell() {
    check(twice_in_a_cell);
    check(twice_in_a_table);
    check(twice_in_the_first_word);
}

#[test]
fn a_cell_that_is_written_beside_the_dense_form_counts() {
    check(a_cell_beside_dense);
    fails(Mutant::DenseForgetsCells, LOST, a_cell_beside_dense);
}

#[test]
fn a_merge_loses_nothing() {
    check(merges);
}
