//! Estimates against their stated errors.
//!
//! The runs have fixed seeds, so a test that passes once passes always; the one with real threads allows five standard
//! errors.

mod morris;
mod morris_ring;

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
