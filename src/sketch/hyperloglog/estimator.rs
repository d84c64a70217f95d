//! How many items there were, from how many registers have which value.
//!
//! Otmar Ertl's improved estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017, algorithm 6),
//! which Redis uses too. It needs no table of corrections and no second method for few items: `sigma` accounts for the
//! registers that nothing fell into, `tau` for those that can rise no further. The operations are done in Redis's order,
//! so that the same registers give the same number.
//!
//! Tests: `tests/sketch`.

use crate::sketch::hyperloglog::precision::Precision;

/// How many registers have each value.
#[derive(Clone, Debug)]
pub struct Histogram([u32; 64]);

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.5 / std::f64::consts::LN_2;

/// The share of the registers that are zero. `x` is from 0 to 1; infinite at 1, where no item is left to explain.
fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut weight, mut sum) = (x, 1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// The share of the registers that are below the largest value. `x` is from 0 to 1.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut x, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x).powi(2) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

impl Histogram {
    /// Of the registers that are not zero, by their `values`; of those that are, or not all need be given.
    pub fn of(precision: Precision, values: impl Iterator<Item = u8>) -> Self {
        // Neighbours are often equal; by turns they need not wait for each other's count.
        let mut turns = [[0u32; 64]; 4];
        for (turn, value) in values.enumerate() {
            turns[turn % 4][usize::from(value & 63)] += 1;
        }
        let mut counts: [u32; 64] = std::array::from_fn(|value| turns.iter().map(|counts| counts[value]).sum());
        counts[0] = precision.registers() as u32 - counts[1..].iter().sum::<u32>();
        Self(counts)
    }

    /// The estimate.
    pub fn estimate(&self, precision: Precision) -> u64 {
        let Self(counts) = self;
        let registers = precision.registers() as f64;
        let max = usize::from(precision.max_value());
        let mut sum = registers * tau((registers - f64::from(counts[max])) / registers);
        for value in (1..max).rev() {
            sum = (sum + f64::from(counts[value])) * 0.5;
        }
        sum += registers * sigma(f64::from(counts[0]) / registers);
        (ALPHA * registers * registers / sum).round() as u64
    }
}
