//! Estimates against their stated errors.
//!
//! The runs have fixed seeds, so a test that passes once passes always; those with real threads or
//! the system's numbers allow five standard errors, or six of a chi-square statistic, whose tail is longer.

mod bottom_k;
mod bytes;
#[cfg(all(target_os = "linux", not(hitring_tsan)))]
mod forks;
mod hyperloglog;
mod morris;
mod morris_counter;
mod morris_ring;
mod redis_form;
mod redis_server;
mod reservoir;
mod top_k;
mod uniques;
mod windowed_uniques;

use hitring::sketch::draw::to_unit;
use hitring::sketch::morris::Base;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// Numbers from `(0, 1]`, the same for the same seed.
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    move || to_unit(random.next_u64())
}

fn base(base: f64) -> Base {
    Base::new(base).expect("a possible base")
}

fn with_error(error: f64) -> Base {
    Base::with_error(error).expect("a possible error")
}

/// The mean and the variance of what is given.
#[derive(Clone, Copy, Debug)]
struct Sample {
    size: f64,
    mean: f64,
    variance: f64,
}

impl Sample {
    fn of(values: &[f64]) -> Self {
        let size = values.len() as f64;
        let mean = values.iter().sum::<f64>() / size;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (size - 1.0);
        Self { size, mean, variance }
    }

    /// How many standard errors of the mean `expected` is away from the mean.
    fn off(self, expected: f64) -> f64 {
        (self.mean - expected).abs() / (self.variance / self.size).sqrt().max(1e-9 * expected)
    }
}

/// How often each of so many items was in samples of `k`.
struct Drawn {
    k: u64,
    samples: u64,
    times: Vec<u64>,
}

impl Drawn {
    fn new(items: usize, k: u64) -> Self {
        Self { k, samples: 0, times: vec![0; items] }
    }

    fn add(&mut self, sample: &[usize]) {
        assert_eq!(sample.len() as u64, self.k, "a full sample");
        self.samples += 1;
        sample.iter().for_each(|&item| self.times[item] += 1);
    }

    /// By how many standard deviations the chi-square statistic exceeds what is expected if every item has the same
    /// chance. An item is in a sample or not, and the sample is full: hence the variance and the factor.
    fn off(&self) -> f64 {
        let items = self.times.len() as f64;
        let chance = self.k as f64 / items;
        let (expected, variance) = (self.samples as f64 * chance, self.samples as f64 * chance * (1.0 - chance));
        let squares: f64 = self.times.iter().map(|&times| (times as f64 - expected).powi(2)).sum();
        (squares / variance * (items - 1.0) / items - (items - 1.0)) / (2.0 * (items - 1.0)).sqrt()
    }
}

#[test]
fn the_chi_square_test_can_fail() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let (mut fair, mut unfair) = (Drawn::new(20, 1), Drawn::new(20, 1));
    for _ in 0..10_000 {
        let item = (random.next_u64() % 20) as usize;
        fair.add(&[item]);
        // One of 50 samples has item 0 instead of what was drawn.
        unfair.add(&[if random.next_u64().is_multiple_of(50) { 0 } else { item }]);
    }
    assert!(fair.off().abs() < 4.0, "{}", fair.off());
    assert!(unfair.off() > 5.0, "{}", unfair.off());
}
