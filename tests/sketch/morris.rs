//! The mathematics of a register: unbiased, as exact as stated, and the same by skips as hit by hit.

use hitring::sketch::morris::Base;

use super::{Sample, base, numbers, with_error};

/// The estimates of `runs` registers after `hits` hits given as `amounts` of so many each.
fn estimates(base: Base, hits: u64, amount: u64, runs: u64) -> Vec<f64> {
    let mut draw = numbers(hits ^ amount << 32);
    let run = |_| {
        let (mut register, mut left) = (0, hits);
        while left > 0 {
            register = base.advance(register, amount.min(left), &mut draw);
            left -= amount.min(left);
        }
        base.estimate(register)
    };
    (0..runs).map(run).collect()
}

#[test]
fn the_mean_is_the_number_of_hits() {
    for base in [base(2.0), base(1.5), with_error(0.1), with_error(0.05), with_error(0.001)] {
        for (hits, amount) in [(1, 1), (2, 1), (10, 1), (1_000, 1), (1_000, 7), (1_000, 1_000), (1_000_000, 1_000_000)]
        {
            let sample = Sample::of(&estimates(base, hits, amount, if hits > 1_000 { 200 } else { 2_000 }));
            // The deviation of theory: a base near 1 is off so rarely that a sample may have none of it.
            let deviation = base.error() * ((hits * (hits - 1)) as f64).sqrt();
            let off = (sample.mean - hits as f64).abs() / (deviation / sample.size.sqrt()).max(1e-9);
            assert!(off < 4.0, "{base:?} {hits} by {amount}: {sample:?}");
        }
    }
}

#[test]
fn the_stated_error_holds() {
    for error in [0.02, 0.05, 0.1, 0.3] {
        let base = with_error(error);
        for hits in [10, 1_000, 100_000] {
            let sample = Sample::of(&estimates(base, hits, hits, 4_000));
            let seen = sample.variance.sqrt() / hits as f64;
            let exact = error * (1.0 - 1.0 / hits as f64).sqrt();
            // The deviation of 4,000 runs is itself off by about 1/90, more where the base is large.
            assert!((seen / exact - 1.0).abs() < 0.1, "{error} {hits}: {seen}, not {exact}");
            assert!(seen < error * 1.1, "{error} {hits}: {seen}");
        }
    }
}

/// Two samples of registers have the same distribution: chi-square of homogeneity over the registers that both have.
fn assert_alike(ours: &[u64], theirs: &[u64], what: &str) {
    assert_eq!(ours.len(), theirs.len());
    let most = ours.iter().chain(theirs).max().copied().unwrap_or(0) as usize;
    let counts = |registers: &[u64]| {
        let mut counts = vec![0.0; most + 1];
        registers.iter().for_each(|&register| counts[register as usize] += 1.0);
        counts
    };
    // Bins of at least 20 of both together; what is left over at the end goes into the last.
    let mut bins: Vec<(f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0);
    for (a, b) in counts(ours).into_iter().zip(counts(theirs)) {
        open = (open.0 + a, open.1 + b);
        if open.0 + open.1 >= 20.0 {
            bins.push(std::mem::take(&mut open));
        }
    }
    if let Some(last) = bins.last_mut() {
        *last = (last.0 + open.0, last.1 + open.1);
    }
    let chi: f64 = bins.iter().map(|(a, b)| (a - b).powi(2) / (a + b)).sum();
    let freedom = bins.len() as f64 - 1.0;
    assert!(freedom >= 2.0, "{what}: too few bins to say anything");
    assert!(chi < freedom + 4.0 * (2.0 * freedom).sqrt(), "{what}: chi-square {chi} at {freedom}");
}

#[test]
fn skips_are_as_hit_by_hit() {
    const RUNS: usize = 5_000;
    for (base, hits) in [(base(2.0), 500), (base(1.5), 300), (with_error(0.1), 1_000), (with_error(0.05), 400)] {
        let mut draw = numbers(hits);
        let by_skips: Vec<u64> = (0..RUNS).map(|_| base.advance(0, hits, &mut draw)).collect();
        let single = |_| (0..hits).fold(0, |register, _| base.advance(register, 1, &mut draw));
        let by_hits: Vec<u64> = (0..RUNS).map(single).collect();
        assert_alike(&by_skips, &by_hits, &format!("{base:?} {hits}"));
        let of = |registers: &[u64]| Sample::of(&registers.iter().map(|&r| base.estimate(r)).collect::<Vec<_>>());
        let (ours, theirs) = (of(&by_skips), of(&by_hits));
        let apart = (ours.mean - theirs.mean) / ((ours.variance + theirs.variance) / RUNS as f64).sqrt();
        assert!(apart.abs() < 4.0, "{base:?}: {ours:?} {theirs:?}");
        assert!((0.75..1.33).contains(&(ours.variance / theirs.variance)), "{base:?}: {ours:?} {theirs:?}");
    }
}

/// The seed's own words: raise with chance 1 / 2^c, estimate 2^c - 1.
#[test]
fn base_2_is_the_seeds_counter() {
    let two = base(2.0);
    for register in 0..=53 {
        assert_eq!(two.estimate(register), ((1u64 << register) - 1) as f64);
    }
    const RUNS: usize = 5_000;
    let mut draw = numbers(2);
    let ours: Vec<u64> = (0..RUNS).map(|_| two.advance(0, 300, &mut draw)).collect();
    let mut coin = numbers(3);
    let seeds = |_| (0..300).fold(0u64, |c, _| c + u64::from(coin() * (1u64 << c) as f64 <= 1.0));
    let seeds: Vec<u64> = (0..RUNS).map(seeds).collect();
    assert_alike(&ours, &seeds, "base 2");
}

/// Chances far below the 2^-53 that numbers between 1/2 and 1 are apart.
#[test]
fn the_smallest_chances_are_met() {
    let two = base(2.0);
    let (register, runs) = (56, 400);
    let mut draw = numbers(4);
    // One raise is expected in 2^56 hits.
    let raised = (0..runs).filter(|_| two.advance(register, 1 << 56, &mut draw) > register).count() as f64;
    let chance = 1.0 - (-1.0f64).exp();
    let (mean, deviation) = (chance * f64::from(runs), (f64::from(runs) * chance * (1.0 - chance)).sqrt());
    assert!((raised - mean).abs() < 4.0 * deviation, "{raised}, not {mean}");
    // A single hit: only the very smallest numbers raise.
    assert_eq!(two.advance(60, 1, &mut || hitring::sketch::draw::to_unit(14)), 61);
    assert_eq!(two.advance(60, 1, &mut || hitring::sketch::draw::to_unit(16)), 60);
}

/// The reason in the ring's header: two hits that both look at chance 1/2 before either is counted, in every way their
/// numbers can fall. Deciding again by the same number leaves the mean; by a new number or not at all, it does not.
#[test]
fn only_the_same_number_leaves_the_mean() {
    const STEPS: u32 = 16;
    let number = |step: u32| (f64::from(step) + 0.5) / f64::from(STEPS);
    let two = base(2.0);
    let (mut kept, mut anew, mut step) = (0.0, 0.0, 0.0);
    for (a, b, c) in (0..STEPS.pow(3)).map(|i| (i % STEPS, i / STEPS % STEPS, i / STEPS / STEPS)) {
        let raise = |register, drawn| two.advance(register, 1, &mut || number(drawn));
        let winner = raise(1, a);
        let tries = raise(1, b) > 1;
        // The thread that tries second loses, unless the winner has written nothing.
        let lost = winner > 1 && tries;
        let estimate = |register| two.estimate(register);
        let plain = winner.max(raise(1, b));
        kept += estimate(if lost { raise(winner, b) } else { plain });
        anew += estimate(if lost { raise(winner, c) } else { plain });
        step += estimate(if lost { winner + 1 } else { plain });
    }
    // Both hits add 1 to the estimate of register 1, which is 1.
    let runs = f64::from(STEPS.pow(3));
    assert_eq!(kept / runs, 3.0);
    assert_eq!(anew / runs, 2.75, "plus 1 it is 15/16 of what it should be");
    assert_eq!(step / runs, 3.5);
}
