//! Names of 23 bytes, and orders to hit them in that no branch predictor learns.

use std::fmt::Write;

/// The name of endpoint `index`, below a million.
pub fn name(index: usize) -> String {
    let mut name = String::new();
    write_name(&mut name, index);
    name
}

/// The same into a string that is there.
pub fn write_name(name: &mut String, index: usize) {
    name.clear();
    write!(name, "/api/v1/resource/{index:06}").expect("a string takes any text");
}

/// The names of the first `n` endpoints.
pub fn names(n: usize) -> Vec<String> {
    (0..n).map(name).collect()
}

/// SplitMix64 of a fixed seed: every run has the same order.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(42)
    }

    /// A number below `n`, which is far below 2^32.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((((mixed ^ (mixed >> 31)) >> 32) * n as u64) >> 32) as usize
    }

    /// `len` endpoints out of `n`, each as likely.
    pub fn uniform(&mut self, n: u16, len: usize) -> Vec<u16> {
        (0..len).map(|_| self.below(n.into()) as u16).collect()
    }

    /// `len` endpoints out of `n` by Zipf's law with s = 1: the k-th most popular has a share of 1 / (k x H), H being the
    /// sum of all 1 / k. Shares are rounded to a millionth of all hits; popularity and index have nothing in common.
    pub fn zipf(&mut self, n: u16, len: usize) -> Vec<u16> {
        const QUANTILES: usize = 1 << 20;
        let mut of_rank: Vec<u16> = (0..n).collect();
        for last in (1..of_rank.len()).rev() {
            of_rank.swap(last, self.below(last + 1));
        }
        let whole: f64 = (1..=n).map(|k| 1.0 / f64::from(k)).sum();
        let mut quantiles = Vec::with_capacity(QUANTILES);
        let mut share = 0.0;
        for (endpoint, k) in of_rank.into_iter().zip(1..=n) {
            share += 1.0 / f64::from(k) / whole;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^20")]
            quantiles.resize((share * QUANTILES as f64).round() as usize, endpoint);
        }
        (0..len).map(|_| quantiles[self.below(quantiles.len())]).collect()
    }
}
