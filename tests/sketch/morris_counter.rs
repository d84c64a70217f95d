//! `Morris`: unbiased alone, under threads and merged; nothing is counted twice or lost on the way.

use hitring::{Morris, Outcome, SketchError, SnapshotError};

use super::Sample;

fn counter(error: f64, seed: u64) -> Morris {
    Morris::with_error(error).expect("a possible error").seeded(seed)
}

#[test]
fn estimates_are_unbiased_and_as_far_off_as_stated() {
    for (error, amounts) in [(0.5, [1, 1, 100, 7, 900]), (0.05, [1_000, 1, 1, 50_000, 3])] {
        let truth: u64 = amounts.iter().sum();
        let estimates: Vec<f64> = (0..3_000)
            .map(|seed| {
                let counter = counter(error, seed);
                amounts.iter().for_each(|&amount| assert_eq!(counter.record(amount), Outcome::Counted));
                assert!((counter.error() - error).abs() < 1e-9);
                counter.estimate()
            })
            .collect();
        let sample = Sample::of(&estimates);
        assert!(sample.off(truth as f64) < 4.0, "{error}: {sample:?}");
        let relative = sample.variance.sqrt() / truth as f64;
        assert!((0.8 * error..1.1 * error).contains(&relative), "{error}: {relative}");
    }
}

/// Single hits by real threads. A hit that was decided twice, or for another register, shows in the mean.
#[test]
fn threads_leave_no_bias() {
    const EACH: u64 = 500;
    for base in [2.0, 1.1] {
        let estimates: Vec<f64> = (0..crate::threads::rounds(1_500) as u64)
            .map(|seed| {
                let counter = Morris::with_base(base).expect("a possible base").seeded(seed);
                crate::threads::together(3, |_| (0..EACH).for_each(|_| assert!(counter.record(1).is_counted())));
                counter.estimate()
            })
            .collect();
        let sample = Sample::of(&estimates);
        assert!(sample.off((3 * EACH) as f64) < 5.0, "{base}: {sample:?}");
    }
}

#[test]
fn merged_estimates_add_and_merging_again_changes_nothing() {
    let estimates: Vec<f64> = (0..2_000)
        .map(|round| {
            let [a, b, c] = [0, 1, 2].map(|part| counter(0.1, 3 * round + part));
            for (counter, hits) in [(&a, 10), (&b, 3_000), (&c, 400)] {
                counter.record(hits);
            }
            let own = a.estimate() + b.estimate() + c.estimate();
            for (into, from) in [(&b, &c), (&a, &b), (&a, &b), (&a, &c), (&b, &a), (&a, &b), (&a, &a)] {
                into.merge(from).expect("the same base");
            }
            assert!((a.estimate() - own).abs() < 1e-6 * own);
            assert_eq!(a.registers(), b.registers());
            // Bytes of before take nothing back and double nothing.
            let before = Morris::from_bytes(&a.to_bytes()).expect("its own bytes");
            assert_eq!(before.registers(), a.registers());
            a.record(90);
            let after = a.estimate();
            a.merge(&before).expect("the same base");
            assert_eq!(a.estimate(), after);
            after
        })
        .collect();
    let sample = Sample::of(&estimates);
    assert!(sample.off(3_500.0) < 4.0, "{sample:?}");
}

#[test]
fn a_copy_goes_on_for_itself() {
    let original = counter(0.05, 1);
    original.record(1_000);
    let copy = original.clone();
    assert_eq!(copy.estimate(), original.estimate());
    let (here, there) = (original.estimate(), copy.estimate());
    original.record(1_000);
    copy.record(1_000);
    let grown = (original.estimate() - here) + (copy.estimate() - there);
    original.merge(&copy).expect("the same base");
    assert!((original.estimate() - here - grown).abs() < 1e-6 * grown);
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let counter = counter(0.1, 1);
    assert_eq!(counter.record(u64::MAX), Outcome::Saturated);
    assert_eq!((counter.record(0), counter.estimate()), (Outcome::Counted, 0.0));
    let mut counted = 0;
    while counter.record(i64::MAX as u64).is_counted() {
        counted += 1;
        assert!(counted < 10, "the register never fills");
    }
    let full = counter.estimate();
    assert_eq!(counter.record(i64::MAX as u64), Outcome::Saturated);
    assert_eq!(counter.estimate(), full);
}

#[test]
fn other_bases_and_bytes_are_refused_with_a_cure() {
    let error = counter(0.1, 1).merge(&counter(0.05, 1)).expect_err("refused");
    assert!(matches!(error, SketchError::OtherBase { .. }) && error.to_string().contains("the same error"), "{error}");
    assert!(Morris::with_error(0.9).is_err() && Morris::with_base(3.0).is_err());
    let counter = counter(0.1, 1);
    counter.record(1_000);
    let bytes = counter.to_bytes();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 4;
        assert!(Morris::from_bytes(&bad).is_err(), "byte {at}");
        assert!(Morris::from_bytes(&bytes[..at]).is_err(), "{at} bytes");
    }
    let other = hitring::GCounter::new("a").expect("a name").to_bytes();
    assert!(matches!(Morris::from_bytes(&other), Err(SnapshotError::OtherKind { .. })));
}
