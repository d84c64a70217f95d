//! The most frequent items: every bound against exact counts, alone, under threads and merged.

use std::collections::HashMap;

use hitring::{Outcome, SketchError, SnapshotError, TopK};
use proptest::prelude::*;

type Exact = HashMap<u16, u64>;

fn top(k: usize) -> TopK<u16> {
    TopK::new(k).expect("a possible size")
}

/// What is wrong with `items`, for hits that were exactly `exact`.
fn broken_bounds(k: usize, items: &[(u16, u64, u64)], exact: &Exact) -> Vec<String> {
    let hits: u64 = exact.values().sum();
    let mut wrong = Vec::new();
    let mut rule = |kept: bool, what: String| {
        if !kept {
            wrong.push(what);
        }
    };
    rule(items.len() == k.min(exact.len()), format!("{} items of {}", items.len(), exact.len()));
    rule(items.is_sorted_by(|(_, larger, _), (_, smaller, _)| larger >= smaller), "not in order".to_owned());
    for &(item, count, error) in items {
        let truth = exact.get(&item).copied().unwrap_or(0);
        rule(truth <= count && count - error <= truth, format!("{item}: {truth} is not {count} less {error}"));
        rule(error <= hits / k as u64, format!("{item}: off by up to {error} of {hits}"));
    }
    for (item, truth) in exact {
        let listed = items.iter().any(|(other, ..)| other == item);
        rule(listed || *truth <= hits / k as u64, format!("{item} with {truth} of {hits} is not listed"));
    }
    if exact.len() <= k {
        rule(items.iter().all(|(item, count, error)| *error == 0 && *count == exact[item]), "not exact".to_owned());
    }
    wrong
}

/// Few items are hit much more than the many.
fn hits() -> impl Strategy<Value = Vec<(u16, u64)>> {
    let item = prop_oneof![3 => 0u16..4, 2 => 0u16..20, 1 => 0u16..200];
    proptest::collection::vec((item, 0u64..20), 0..300)
}

fn add(top: &TopK<u16>, exact: &mut Exact, hits: &[(u16, u64)]) {
    for &(item, amount) in hits {
        assert_eq!(top.add(&item, amount), Outcome::Counted);
        if amount > 0 {
            *exact.entry(item).or_default() += amount;
        }
    }
}

proptest! {
    #[test]
    fn the_true_count_lies_within_the_bounds(k in 1usize..20, hits in hits()) {
        let (top, mut exact) = (top(k), Exact::new());
        add(&top, &mut exact, &hits);
        let wrong = broken_bounds(k, &top.items(), &exact);
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn merged_lists_keep_the_bounds(
        k in 1usize..12,
        streams in [hits(), hits(), hits()],
        merges in proptest::collection::vec((0usize..3, 0usize..3), 0..12),
    ) {
        let (tops, mut exact) = ([top(k), top(k), top(k)], Exact::new());
        for (top, hits) in tops.iter().zip(&streams) {
            add(top, &mut exact, &hits[..hits.len() / 2]);
        }
        for (into, from) in merges {
            tops[into].merge(&tops[from]);
        }
        for (top, hits) in tops.iter().zip(&streams) {
            add(top, &mut exact, &hits[hits.len() / 2..]);
        }
        for pair in 0..18 {
            tops[pair / 3 % 3].merge(&tops[pair % 3]);
        }
        for top in &tops {
            let wrong = broken_bounds(k, &top.items(), &exact);
            prop_assert!(wrong.is_empty(), "{wrong:?}");
            prop_assert_eq!(top.items(), tops[0].items());
        }
        // A copy takes nothing twice, either.
        let copy = tops[1].clone();
        copy.merge(&tops[0]);
        tops[2].merge(&copy);
        prop_assert_eq!(tops[2].items(), tops[0].items());
    }

    #[test]
    fn bytes_that_come_again_or_late_change_nothing(hits in hits(), more in hits()) {
        let (top, mut exact) = (TopK::new(5).expect("a size"), Exact::new());
        let mut add = |hits: &[(u16, u64)]| for (item, amount) in hits {
            top.add(item.to_string().as_str(), *amount);
            if *amount > 0 {
                *exact.entry(*item).or_default() += amount;
            }
        };
        add(&hits);
        let early = top.to_bytes();
        add(&more);
        let late = top.to_bytes();
        let reader = TopK::<String>::new(5).expect("a size");
        for bytes in [&late, &early, &late, &late] {
            reader.merge(&TopK::from_bytes(bytes).expect("its own bytes"));
        }
        prop_assert_eq!(reader.items(), top.items());
        prop_assert_eq!(reader.to_bytes(), late);
        let items: Vec<_> =
            reader.items().into_iter().map(|(item, count, error)| (item.parse().expect("a number"), count, error)).collect();
        let wrong = broken_bounds(5, &items, &exact);
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }
}

#[test]
fn the_bounds_can_fail() {
    let exact = Exact::from([(1, 10), (2, 5), (3, 1)]);
    assert!(broken_bounds(2, &[(1, 10, 0), (2, 6, 1)], &exact).is_empty());
    for wrong in [
        &[(1, 9, 0), (2, 6, 1)][..],
        &[(1, 11, 0), (2, 6, 1)],
        &[(2, 6, 1), (1, 10, 0)],
        &[(2, 6, 1), (3, 1, 0)],
        &[(1, 10, 0)],
        &[(1, 20, 10), (2, 6, 1)],
    ] {
        assert!(!broken_bounds(2, wrong, &exact).is_empty(), "{wrong:?}");
    }
}

/// Each thread has a list of its own; more threads than lists share.
#[test]
fn threads_keep_the_bounds() {
    for threads in [3, 20] {
        let k = 8;
        let top = top(k);
        let counted = crate::threads::together(threads, |thread| {
            let mut exact = Exact::new();
            for hit in 0..2_000usize {
                let item = if hit % 3 == 0 { 1 } else { (hit * (thread + 7) % 97) as u16 };
                assert_eq!(top.add(&item, 1 + hit as u64 % 3), Outcome::Counted);
                *exact.entry(item).or_default() += 1 + hit as u64 % 3;
                if hit % 500 == thread {
                    assert!(top.items().len() <= k);
                }
            }
            exact
        });
        let mut exact = Exact::new();
        counted.into_iter().flatten().for_each(|(item, hits)| *exact.entry(item).or_default() += hits);
        let wrong = broken_bounds(k, &top.items(), &exact);
        assert!(wrong.is_empty(), "{threads} threads: {wrong:?}");
        assert_eq!(top.items()[0].0, 1);
        assert_eq!(top.clone().items(), top.items());
    }
}

#[test]
fn lists_of_different_sizes_merge() {
    let (small, large) = (top(2), top(10));
    for item in 0..10u16 {
        assert_eq!([small.add(&item, 1), large.add(&item, 2)], [Outcome::Counted; 2]);
    }
    large.merge(&small);
    small.merge(&large);
    assert_eq!((small.items().len(), large.items().len()), (2, 10));
    for (item, count, error) in large.items().into_iter().chain(small.items()) {
        assert!((count - error..=count).contains(&3), "{item}: {count} less {error}");
    }
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let top = top(2);
    assert_eq!(top.add(&1, i64::MAX as u64), Outcome::Counted);
    assert_eq!((top.add(&2, 1), top.add(&1, u64::MAX)), (Outcome::Saturated, Outcome::Saturated));
    assert_eq!((top.add(&2, 0), top.items()), (Outcome::Counted, vec![(1, i64::MAX as u64, 0)]));
    let other = top.clone();
    other.add(&1, 5);
    top.merge(&other);
    assert_eq!(top.items(), [(1, i64::MAX as u64, 0)], "sums of counts hold at the end");
    assert_eq!(TopK::<u8>::new(0).expect_err("refused"), SketchError::Size { given: 0 });
}

#[test]
fn other_bytes_are_refused() {
    let top = TopK::<String>::new(3).expect("a size");
    for (item, hits) in [("a", 5), ("b", 3), ("\u{e9}t\u{e9}", 2), ("", 1)] {
        top.add(item, hits);
    }
    let bytes = top.to_bytes();
    assert_eq!(TopK::from_bytes(&bytes).expect("its own bytes").to_bytes(), bytes);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 4;
        assert!(TopK::from_bytes(&bad).is_err(), "byte {at}");
        assert!(TopK::from_bytes(&bytes[..at]).is_err(), "{at} bytes");
    }
    let other = hitring::GCounter::new("a").expect("a name").to_bytes();
    assert!(matches!(TopK::from_bytes(&other), Err(SnapshotError::OtherKind { .. })));
}
