//! G-Counters: no hit is lost or counted twice between threads, copies and merges.

use hitring::sync::mutant::Mutant;
use hitring::{GCounter, Outcome};

use crate::explorer::{Arc, check, fails, spawn};

const LOST: &str = "a hit was lost or invented";
const MAX: u64 = i64::MAX as u64;

/// A counter that knows of another's hit and has counted one itself.
fn used() -> Arc<GCounter> {
    let (counter, other) = (GCounter::new("a").expect("a name"), GCounter::new("b").expect("a name"));
    assert_eq!([counter.record(1), other.record(1)], [Outcome::Counted; 2]);
    counter.merge(&other);
    Arc::new(counter)
}

/// Two threads record; a reader's counts lie between, and never go down.
fn recorders() {
    let counter = used();
    let writers = [1, 10].map(|amount| {
        let counter = Arc::clone(&counter);
        spawn(move || assert_eq!(counter.record(amount), Outcome::Counted))
    });
    let reader = {
        let counter = Arc::clone(&counter);
        spawn(move || [counter.count(), counter.count()])
    };
    writers.into_iter().for_each(|writer| writer.join().expect("a model thread ends"));
    let [first, second] = reader.join().expect("a model thread ends");
    assert!(2 <= first && first <= second && second <= 13, "{LOST}: {first}, {second}");
    assert_eq!(counter.count(), 13, "{LOST}");
}

/// Room is left for one of two hits.
fn last_room() {
    let counter = Arc::new(GCounter::new("a").expect("a name"));
    assert_eq!(counter.record(MAX - 1), Outcome::Counted);
    let writers = [0, 1].map(|_| {
        let counter = Arc::clone(&counter);
        spawn(move || counter.record(1))
    });
    let counted = writers.into_iter().map(|writer| writer.join().expect("a model thread ends"));
    assert_eq!(counted.filter(|outcome| outcome.is_counted()).count(), 1, "{LOST}");
    assert_eq!(counter.count(), MAX, "{LOST}");
}

/// A copy is taken beside a writer, and both count on; then they hear of each other, each way at once.
fn copies() {
    let counter = used();
    let writer = {
        let counter = Arc::clone(&counter);
        spawn(move || assert_eq!(counter.record(10), Outcome::Counted))
    };
    let copier = {
        let counter = Arc::clone(&counter);
        spawn(move || {
            let copy = (*counter).clone();
            assert_eq!(copy.record(100), Outcome::Counted);
            counter.merge(&copy);
            copy
        })
    };
    writer.join().expect("a model thread ends");
    let copy = copier.join().expect("a model thread ends");
    copy.merge(&counter);
    assert_eq!([counter.count(), copy.count()], [112; 2], "{LOST}");
}

/// Two counters that merge each other at the same time do not wait for each other.
fn mutual() {
    let (one, other) = (used(), used());
    let merges = [(&one, &other), (&other, &one)].map(|(into, from)| {
        let (into, from) = (Arc::clone(into), Arc::clone(from));
        spawn(move || into.merge(&from))
    });
    merges.into_iter().for_each(|merge| merge.join().expect("a model thread ends"));
    assert_eq!([one.count(), other.count()], [4; 2], "{LOST}");
}

#[test]
fn no_hit_is_lost_between_threads() {
    check(recorders);
    check(last_room);
    fails(Mutant::LifeLoadStore, LOST, recorders);
    fails(Mutant::LifeLoadStore, LOST, last_room);
}

#[test]
fn no_hit_is_lost_to_a_copy() {
    check(copies);
    check(mutual);
    fails(Mutant::CopyKeepsGeneration, LOST, copies);
}
