//! Reservoirs: each item has the same chance, whichever thread adds it, and in whatever pieces the stream comes.

use hitring::{Reservoir, SketchError};

use super::Drawn;

fn reservoir(k: usize, seed: u64) -> Reservoir<usize> {
    Reservoir::with_seed(k, seed).expect("a possible size")
}

fn filled(k: usize, seed: u64, items: std::ops::Range<usize>) -> Reservoir<usize> {
    let sample = reservoir(k, seed);
    items.for_each(|item| sample.add(item));
    sample
}

#[test]
fn every_item_has_the_same_chance() {
    for (k, items) in [(1, 10), (3, 40), (10, 11), (20, 200)] {
        let mut drawn = Drawn::new(items, k as u64);
        (0..20_000).for_each(|seed| drawn.add(&filled(k, seed, 0..items).items()));
        assert!(drawn.off() < 4.0, "k {k} of {items}: {}", drawn.off());
    }
}

#[test]
fn pairs_have_the_same_chance() {
    // Of 6 items 15 pairs.
    let mut drawn = Drawn::new(15, 1);
    for seed in 0..30_000 {
        let mut pair = filled(2, seed, 0..6).items();
        pair.sort_unstable();
        drawn.add(&[pair[0] * (11 - pair[0]) / 2 + pair[1] - pair[0] - 1]);
    }
    assert!(drawn.off() < 4.0, "{}", drawn.off());
}

#[test]
fn all_is_kept_while_there_is_room_and_a_seed_repeats() {
    for added in 0..=5 {
        let mut items = filled(5, 1, 0..added).items();
        items.sort_unstable();
        assert_eq!(items, (0..added).collect::<Vec<_>>());
    }
    assert_eq!(filled(5, 3, 0..1_000).items(), filled(5, 3, 0..1_000).items());
    assert_ne!(filled(5, 3, 0..1_000).items(), filled(5, 4, 0..1_000).items());
    assert_eq!(filled(5, 3, 0..1_000).seen(), 1_000);
    let (one, other) = (Reservoir::new(20).expect("a size"), Reservoir::new(20).expect("a size"));
    (0..1_000).for_each(|item| (one.add(item), other.add(item)).0);
    assert_ne!(one.items(), other.items(), "without a seed the system's numbers");
}

#[test]
fn long_streams_are_skipped_through() {
    let sample = filled(2, 5, 0..5_000_000);
    assert_eq!((sample.items().len(), sample.seen()), (2, 5_000_000));
    assert!(sample.items().iter().any(|&item| item > 100_000), "{:?}", sample.items());
}

/// Which thread adds how many items varies. The chances of the items do not.
#[test]
fn threads_leave_it_uniform() {
    const EACH: usize = 16;
    let rounds = crate::threads::rounds(4_000);
    let mut drawn = Drawn::new(3 * EACH, 6);
    for seed in 0..rounds {
        let sample = reservoir(6, seed as u64);
        crate::threads::together(3, |thread| (0..EACH).for_each(|item| sample.add(thread * EACH + item)));
        let items = sample.items();
        let mut distinct = items.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((distinct.len(), sample.seen()), (6, 3 * EACH as u64), "no item twice, none lost");
        drawn.add(&items);
    }
    assert!(drawn.off() < 6.0, "{}", drawn.off());
}

/// The item in each place is the one that the order of positions puts there, however the adds overtook each other.
#[test]
fn threads_keep_the_sample_of_the_order_of_positions() {
    for seed in 0..crate::threads::rounds(300) {
        let sample = reservoir(4, seed as u64);
        let positions = crate::threads::together(4, |thread| {
            (0..200).map(|item| (sample.place(thread * 1_000 + item), thread * 1_000 + item)).collect::<Vec<_>>()
        });
        let mut added: Vec<_> = positions.into_iter().flatten().collect();
        added.sort_unstable();
        let alone = reservoir(4, seed as u64);
        for (at, (position, item)) in added.into_iter().enumerate() {
            assert_eq!(position, at as u64);
            alone.add(item);
        }
        assert_eq!(sample.items(), alone.items(), "seed {seed}");
    }
}

#[test]
fn merged_samples_of_unequal_streams_are_uniform() {
    let parts = [0..5, 5..47, 47..50, 50..90];
    let mut drawn = Drawn::new(90, 6);
    for round in 0..30_000 {
        let streams: Vec<_> =
            (0..).zip(&parts).map(|(part, items)| filled(6, 4 * round + part, items.clone())).collect();
        // In two steps and twice, as bytes of a fleet would come.
        streams[1].merge(&streams[2]).expect("the same size");
        for other in [1, 3, 1, 2] {
            streams[0].merge(&streams[other]).expect("the same size");
        }
        assert_eq!(streams[0].seen(), 90);
        drawn.add(&streams[0].items());
    }
    assert!(drawn.off() < 6.0, "{}", drawn.off());
}

#[test]
fn merging_again_changes_nothing_and_all_who_know_the_same_read_the_same() {
    let [a, b, c] = [filled(4, 1, 0..50), filled(4, 2, 50..53), filled(4, 3, 60..400)];
    for (into, from) in [(&a, &b), (&b, &c), (&c, &a), (&a, &b), (&b, &c), (&c, &a), (&a, &a), (&a, &c), (&b, &a)] {
        into.merge(from).expect("the same size");
    }
    assert_eq!([&a, &b, &c].map(Reservoir::seen), [393; 3]);
    assert_eq!(a.items(), b.items());
    assert_eq!(a.items(), c.items());
    // An older state takes nothing back.
    let older = a.clone();
    (0..100).for_each(|_| c.add(7));
    a.merge(&c).expect("the same size");
    a.merge(&older).expect("the same size");
    assert_eq!(a.seen(), 493);
    let error = a.merge(&reservoir(5, 1)).expect_err("refused");
    assert_eq!(error, SketchError::OtherSize { theirs: 5, ours: 4 });
    assert!(error.to_string().contains("the same k"), "{error}");
}

#[test]
fn a_copy_goes_on_for_itself() {
    let original = filled(3, 9, 0..2);
    let copy = original.clone();
    assert_eq!((copy.items(), copy.seen()), (original.items(), 2));
    copy.add(2);
    original.add(3);
    original.merge(&copy).expect("the same size");
    assert_eq!(original.seen(), 4);
    copy.merge(&original).expect("the same size");
    assert_eq!((copy.seen(), copy.items()), (4, original.items()));
}

#[test]
fn other_sizes_are_refused_with_a_cure() {
    for k in [0, (1 << 20) + 1, usize::MAX] {
        let error = Reservoir::<u8>::new(k).expect_err("refused");
        assert_eq!(error, SketchError::Size { given: k });
        assert!(error.to_string().contains("1 to 1048576"), "{error}");
    }
}
