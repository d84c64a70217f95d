//! The laws of `Merge`, for each implementation, over states that random steps have led to: records, merges, copies,
//! restarts.

use std::collections::BTreeMap;
use std::fmt::Debug;

use hitring::{BottomK, GCounter, Merge, Outcome, PerWriter, Replica, SketchError, SnapshotError, Writer};
use proptest::prelude::*;

/// `a` after merging `b`.
fn joined<T: Merge + Clone>(a: &T, b: &T) -> T {
    let mut joined = a.clone();
    joined.merge(b);
    joined
}

/// What is wrong with the laws for these three; `view` is what a state holds.
fn broken_laws<T: Merge + Clone, V: PartialEq + Debug>(states: [&T; 3], view: impl Fn(&T) -> V) -> Vec<&'static str> {
    let [a, b, c] = states;
    let laws = [
        ("commutative", view(&joined(a, b)) == view(&joined(b, a))),
        ("associative", view(&joined(&joined(a, b), c)) == view(&joined(a, &joined(b, c)))),
        ("idempotent", view(&joined(a, a)) == view(a)),
        ("absorbing", view(&joined(&joined(a, b), b)) == view(&joined(a, b))),
    ];
    laws.into_iter().filter(|(_, kept)| !kept).map(|(law, _)| law).collect()
}

/// A step of a fleet of four.
#[derive(Clone, Debug)]
enum Step {
    Record(usize, u64),
    Merge(usize, usize),
    /// The first goes on as a copy of the second, and what it had is given to the second before.
    Copy(usize, usize),
    /// Goes on from its own bytes.
    Restart(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = 0usize..4;
    let step = prop_oneof![
        4 => (one.clone(), 1u64..10).prop_map(|(of, amount)| Step::Record(of, amount)),
        3 => (one.clone(), one.clone()).prop_map(|(into, from)| Step::Merge(into, from)),
        1 => (one.clone(), one.clone()).prop_map(|(of, original)| Step::Copy(of, original)),
        1 => one.prop_map(Step::Restart),
    ];
    proptest::collection::vec(step, 0..40)
}

fn g_counter(replica: usize) -> GCounter {
    GCounter::new(format!("replica-{replica}")).expect("a short name")
}

/// A fleet after `steps`, and all hits that it recorded.
fn g_counters(steps: &[Step]) -> ([GCounter; 4], u64) {
    let mut fleet = std::array::from_fn(g_counter);
    let mut recorded = 0;
    for step in steps {
        match *step {
            Step::Record(of, amount) => {
                assert_eq!(fleet[of].record(amount), Outcome::Counted);
                recorded += amount;
            }
            Step::Merge(into, from) => {
                let before = fleet[into].count().max(fleet[from].count());
                fleet[into].merge(&fleet[from]);
                assert!(fleet[into].count() >= before, "a merge took something back");
            }
            Step::Copy(of, original) => {
                fleet[original].merge(&fleet[of]);
                fleet[of] = fleet[original].clone();
            }
            Step::Restart(of) => fleet[of] = GCounter::from_bytes(&fleet[of].to_bytes()).expect("its own bytes"),
        }
    }
    (fleet, recorded)
}

fn exchange_all(fleet: &[GCounter], order: &[(usize, usize)]) {
    for &(into, from) in order {
        fleet[into].merge(&fleet[from]);
    }
}

proptest! {
    #[test]
    fn g_counters_are_joins(steps in steps()) {
        let (fleet, _) = g_counters(&steps);
        let broken = broken_laws([&fleet[0], &fleet[1], &fleet[2]], GCounter::cells);
        prop_assert!(broken.is_empty(), "{broken:?}");
    }

    #[test]
    fn replicas_that_exchanged_in_any_order_count_every_hit_once(
        steps in steps(),
        order in proptest::collection::vec((0usize..4, 0usize..4), 0..40),
    ) {
        let (fleet, recorded) = g_counters(&steps);
        let pairs: Vec<_> = (0..16).map(|pair| (pair / 4, pair % 4)).collect();
        exchange_all(&fleet, &order);
        exchange_all(&fleet, &pairs);
        exchange_all(&fleet, &pairs);
        prop_assert_eq!(fleet.each_ref().map(GCounter::count), [recorded; 4]);
        prop_assert!(fleet.iter().all(|counter| *counter == fleet[0]));
        prop_assert_eq!(fleet[0].cells().values().sum::<u64>(), recorded);
    }

    #[test]
    fn a_copy_counts_on_for_itself(before in 0u64..100, here in 0u64..100, there in 0u64..100) {
        let original = g_counter(0);
        original.record(before);
        let copy = original.clone();
        original.record(here);
        copy.record(there);
        let (ours, theirs) = (joined(&original, &copy), joined(&copy, &original));
        prop_assert_eq!([ours.count(), theirs.count()], [before + here + there; 2]);
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_replica_that_restarts_from_nothing_loses_nothing(first in 1u64..100, second in 1u64..100) {
        let (gone, other) = (g_counter(0), g_counter(1));
        gone.record(first);
        other.merge(&gone);
        drop(gone);
        let again = g_counter(0);
        again.record(second);
        other.merge(&again);
        prop_assert_eq!(other.count(), first + second);
    }

    #[test]
    fn states_by_writer_are_joins(versions in proptest::collection::vec((0usize..3, 0u64..4, 0u64..10), 0..20)) {
        // A writer's state of a version is always the same.
        let writers: Vec<_> = (0..4).map(|process| Writer {
            replica: Replica { process, sequence: 0 },
            generation: 0,
        }).collect();
        let mut states = [PerWriter::new(), PerWriter::new(), PerWriter::new()];
        let mut newest = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        for (into, writer, version) in versions {
            let state = writer * 100 + version;
            let is_newer = newest[into].get(&writer).is_none_or(|known| *known < version);
            prop_assert_eq!(states[into].put(writers[writer as usize], version, state), is_newer);
            if is_newer {
                newest[into].insert(writer, version);
            }
        }
        let [a, b, c] = &states;
        let broken = broken_laws([a, b, c], Clone::clone);
        prop_assert!(broken.is_empty(), "{broken:?}");
        // Against the oracle: of each writer the newest.
        let mut all = newest[0].clone();
        for (writer, version) in newest[1].iter().chain(&newest[2]) {
            let known = all.entry(*writer).or_insert(*version);
            *known = (*known).max(*version);
        }
        let expected: u64 = all.iter().map(|(writer, version)| writer * 100 + version).sum();
        prop_assert_eq!(joined(&joined(a, b), c).fold(0, |sum, state| sum + state), expected);
    }

    #[test]
    fn bottom_k_samples_are_joins(
        sizes in [1usize..6, 1usize..6, 1usize..6],
        steps in steps(),
    ) {
        let mut fleet: Vec<BottomK<u64>> = sizes.iter().chain([&3]).zip(1..)
            .map(|(&k, seed)| BottomK::with_seed(k, seed).expect("a possible size"))
            .collect();
        for (item, step) in (0u64..).zip(&steps) {
            match *step {
                Step::Record(of, hits) => (0..hits).for_each(|_| fleet[of].add(item)),
                Step::Merge(into, from) => fleet[into] = joined(&fleet[into], &fleet[from]),
                Step::Copy(of, original) => fleet[of] = fleet[original].clone(),
                Step::Restart(_) => {}
            }
        }
        let broken = broken_laws([&fleet[0], &fleet[1], &fleet[2]], |sample| (sample.k(), sample.tagged()));
        prop_assert!(broken.is_empty(), "{broken:?}");
    }

    #[test]
    fn bytes_are_taken_in_whole_or_refused(steps in steps(), flipped in any::<prop::sample::Index>(), bit in 0u32..8) {
        let (fleet, _) = g_counters(&steps);
        let mut bytes = fleet[0].to_bytes();
        let read = GCounter::from_bytes(&bytes).expect("its own bytes");
        prop_assert_eq!(read.replica(), fleet[0].replica());
        prop_assert_eq!(&read, &fleet[0]);
        prop_assert_eq!(read.to_bytes(), bytes.clone());
        for end in [0, bytes.len() / 2, bytes.len() - 1] {
            prop_assert!(GCounter::from_bytes(&bytes[..end]).is_err());
        }
        bytes[flipped.index(read.to_bytes().len())] ^= 1 << bit;
        prop_assert!(GCounter::from_bytes(&bytes).is_err());
    }
}

/// Sums are no joins: the check must say so.
#[test]
fn the_laws_can_fail() {
    #[derive(Clone)]
    struct Sum(u64);
    impl Merge for Sum {
        fn merge(&mut self, other: &Self) {
            self.0 += other.0;
        }
    }
    #[derive(Clone)]
    struct Last(u64);
    impl Merge for Last {
        fn merge(&mut self, other: &Self) {
            self.0 = other.0;
        }
    }
    assert_eq!(broken_laws([&Sum(1), &Sum(2), &Sum(3)], |sum| sum.0), ["idempotent", "absorbing"]);
    assert_eq!(broken_laws([&Last(1), &Last(2), &Last(3)], |last| last.0), ["commutative"]);
}

#[test]
fn amounts_that_do_not_fit_are_refused_whole() {
    const MAX: u64 = i64::MAX as u64;
    let (counter, other) = (g_counter(0), g_counter(1));
    assert_eq!(counter.record(MAX + 1), Outcome::Saturated);
    assert_eq!(counter.record(u64::MAX), Outcome::Saturated);
    assert_eq!(other.record(10), Outcome::Counted);
    counter.merge(&other);
    assert_eq!(counter.record(MAX - 9), Outcome::Saturated, "with the hits of others it is too much");
    assert_eq!((counter.record(MAX - 10), counter.count()), (Outcome::Counted, MAX));
    assert_eq!((counter.record(1), counter.record(0)), (Outcome::Saturated, Outcome::Counted));
    // Replicas that did not know of each other may exceed it together; the count holds.
    assert_eq!(other.record(MAX - 10), Outcome::Counted);
    counter.merge(&other);
    assert_eq!((counter.count(), counter.record(1)), (MAX, Outcome::Saturated));
}

#[test]
fn a_counter_may_be_merged_into_itself() {
    let counter = g_counter(0);
    counter.record(5);
    counter.merge(&counter);
    assert_eq!((counter.count(), counter.cells().len()), (5, 1));
}

#[test]
fn threads_lose_no_hit_while_others_merge_and_copy() {
    let (counter, other) = (g_counter(0), g_counter(1));
    other.record(7);
    let rounds = crate::threads::rounds(2_000) as u64;
    let copies = crate::threads::together(4, |thread| {
        let mut last = 0;
        (0..rounds).filter(|_| thread < 2).for_each(|_| assert!(counter.record(1).is_counted()));
        (0..rounds / 20).filter(|_| thread == 2).for_each(|_| counter.merge(&other));
        for _ in (0..rounds).filter(|_| thread == 3) {
            let count = counter.count();
            assert!(count >= last, "a count went down");
            last = count;
        }
        counter.clone()
    });
    assert_eq!(counter.count(), 2 * rounds + 7);
    for copy in copies {
        copy.record(1);
        counter.merge(&copy);
    }
    assert_eq!(counter.count(), 2 * rounds + 11);
}

#[test]
fn names_and_foreign_bytes_are_refused_with_a_cure() {
    for (name, cure) in [(String::new(), "give a name"), ("x".repeat(1_025), "shorten")] {
        let error = GCounter::new(name.clone()).expect_err("refused");
        assert_eq!(error, SketchError::ReplicaName { length: name.len() });
        assert!(error.to_string().contains(cure), "{error}");
    }
    assert!(GCounter::new("x".repeat(1_024)).is_ok());
    assert_eq!(GCounter::from_bytes(b"").expect_err("refused"), SnapshotError::Foreign);
    let snapshot = hitring::HitCounter::new().snapshot().to_bytes();
    let error = GCounter::from_bytes(&snapshot).expect_err("refused").to_string();
    assert!(error.contains("HitCounter") && error.contains("GCounter"), "{error}");
}
