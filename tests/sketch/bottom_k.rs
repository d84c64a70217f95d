//! Bottom-k: a uniform sample of hits, before and after merging. Its laws are in `tests/merge/laws.rs`.

use hitring::{BottomK, Merge, SketchError};

use super::Drawn;

fn filled(k: usize, seed: u64, items: std::ops::Range<usize>) -> BottomK<usize> {
    let sample = BottomK::with_seed(k, seed).expect("a possible size");
    items.for_each(|item| sample.add(item));
    sample
}

#[test]
fn every_hit_has_the_same_chance() {
    for (k, items) in [(1, 10), (5, 60), (10, 11)] {
        let mut drawn = Drawn::new(items, k as u64);
        (0..20_000).for_each(|seed| drawn.add(&filled(k, seed, 0..items).items()));
        assert!(drawn.off() < 4.0, "k {k} of {items}: {}", drawn.off());
    }
}

#[test]
fn merged_samples_of_unequal_streams_are_uniform() {
    let parts = [0..5, 5..47, 47..50, 50..90];
    let mut drawn = Drawn::new(90, 6);
    for round in 0..30_000 {
        let streams: Vec<_> =
            (0..).zip(&parts).map(|(part, items)| filled(6, 4 * round + part, items.clone())).collect();
        streams[1].merge(&streams[2]).expect("the same size");
        for other in [1, 3, 1, 2] {
            streams[0].merge(&streams[other]).expect("the same size");
        }
        drawn.add(&streams[0].items());
    }
    assert!(drawn.off() < 4.0, "{}", drawn.off());
}

#[test]
fn a_sample_that_goes_on_after_a_merge_is_uniform() {
    let mut drawn = Drawn::new(60, 5);
    for round in 0..30_000 {
        let (one, other) = (filled(5, 2 * round, 0..20), filled(5, 2 * round + 1, 20..30));
        one.merge(&other).expect("the same size");
        let copy = one.clone();
        (30..40).for_each(|item| one.add(item));
        (40..60).for_each(|item| copy.add(item));
        one.merge(&copy).expect("the same size");
        drawn.add(&one.items());
    }
    assert!(drawn.off() < 4.0, "{}", drawn.off());
}

#[test]
fn it_samples_hits_not_distinct_items() {
    let sample = BottomK::with_seed(10, 1).expect("a possible size");
    (0..1_000).for_each(|_| sample.add("the same"));
    assert_eq!(sample.items(), ["the same"; 10]);
    let tags: std::collections::BTreeSet<_> = sample.tagged().into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(tags.len(), 10);
}

#[test]
fn threads_leave_it_uniform() {
    const EACH: usize = 16;
    let mut drawn = Drawn::new(3 * EACH, 6);
    for seed in 0..crate::threads::rounds(4_000) {
        let sample = BottomK::with_seed(6, seed as u64).expect("a possible size");
        crate::threads::together(3, |thread| (0..EACH).for_each(|item| sample.add(thread * EACH + item)));
        let mut distinct = sample.items();
        distinct.sort_unstable();
        distinct.dedup();
        drawn.add(&distinct);
    }
    assert!(drawn.off() < 6.0, "{}", drawn.off());
}

#[test]
fn sizes() {
    assert!(filled(4, 1, 0..0).items().is_empty());
    assert_eq!(filled(4, 1, 0..3).items().len(), 3);
    let error = filled(4, 1, 0..3).merge(&filled(5, 2, 0..3)).expect_err("refused");
    assert_eq!(error, SketchError::OtherSize { theirs: 5, ours: 4 });
    // The join of the trait never fails: it is of the smaller size.
    let mut larger = filled(5, 2, 0..50);
    Merge::merge(&mut larger, &filled(4, 1, 50..90));
    assert_eq!((larger.k(), larger.items().len()), (4, 4));
    for k in [0, (1 << 20) + 1] {
        assert_eq!(BottomK::<u8>::new(k).expect_err("refused"), SketchError::Size { given: k });
    }
}
