//! Approximate counting: a register of a few bits that stands for very many hits.
//!
//! The register `c` is raised by a hit with the chance `base^-c` and stands for `(base^c - 1) / (base - 1)` hits (Morris,
//! "Counting Large Numbers of Events in Small Registers", 1978; analysed by Flajolet, "Approximate Counting: A Detailed
//! Analysis", 1985). A raise adds `base^c` to the estimate, so a hit adds 1 to it on average: it is unbiased, whatever
//! the order and the sizes of the amounts. After `n` hits its variance is `(base - 1) n (n - 1) / 2`, so the relative
//! standard error is below `sqrt((base - 1) / 2)` for every `n`, and 0 for one hit.
//!
//! | error | base | largest register | bits |
//! |---|---|---|---|
//! | 0.71 | 2, the seed's: chance `1 / 2^c`, estimate `2^c - 1` | 63 | 6 |
//! | 0.5 | 1.5 | 106 | 7 |
//! | 0.1 | 1.02 | 2,008 | 11 |
//! | 0.05 | 1.005 | 7,694 | 13 |
//! | 0.01 | 1.0002 | 175,773 | 18 |
//! | 0.001 | 1.000002 | 15,272,970 | 24 |
//!
//! The largest register is the first whose estimate reaches 2^63, the end of what a count may be.
//!
//! # Amounts
//! An amount is so many single hits. They are not drawn one by one: from register `c`, the hits up to and including the
//! next raise have a geometric distribution of parameter `base^-c`, so one number `u` in `(0, 1]` gives them as
//! `ceil(ln(1 - u) / ln(1 - base^-c))`. `u <= base^-c` is a raise by the very next hit. The same `u` never raises a larger
//! register sooner than a smaller one; the ring depends on it.
//!
//! Tests: below, `tests/sketch/morris.rs`, `tests/models/morris.rs`.

use crate::error::ConfigError;
use crate::sync::mutant::mutated;

/// The smallest base, of the smallest error.
const LEAST_BASE: f64 = 1.000_002;
const ERRORS: std::ops::RangeInclusive<f64> = 0.001..=0.5;

/// What a raise of the register multiplies the estimate by (after adding `1 / (base - 1)` to it).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Base {
    base: f64,
    /// Its natural logarithm: `base^-c` is one `exp` then.
    ln: f64,
}

impl Base {
    /// The base itself: 2 is the coarsest, the nearer to 1 the more exact.
    ///
    /// # Errors
    /// [`ConfigError::MorrisBase`] unless it is from 1.000002 to 2.
    pub fn new(base: f64) -> Result<Self, ConfigError> {
        if (LEAST_BASE..=2.0).contains(&base) {
            Ok(Self { base, ln: base.ln() })
        } else {
            Err(ConfigError::MorrisBase { given: base.to_string() })
        }
    }

    /// The base whose estimates have a relative standard error of `error`.
    ///
    /// # Errors
    /// [`ConfigError::MorrisError`] unless it is from 0.001 to 0.5.
    pub fn with_error(error: f64) -> Result<Self, ConfigError> {
        if ERRORS.contains(&error) {
            // `max`: rounding must not take the smallest error out of the range of bases.
            Self::new((1.0 + 2.0 * error * error).max(LEAST_BASE))
        } else {
            Err(ConfigError::MorrisError { given: error.to_string() })
        }
    }

    /// The base as a number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.base
    }

    /// The relative standard error of an estimate, and of any sum of estimates: never more than this.
    #[must_use]
    pub fn error(self) -> f64 {
        // As it was asked for: what rounding the base left is far behind.
        const PLACES: f64 = 1e10;
        (((self.base - 1.0) / 2.0).sqrt() * PLACES).round() / PLACES
    }

    /// The hits that `register` stands for.
    #[must_use]
    pub fn estimate(self, register: u64) -> f64 {
        (self.base.powf(register as f64) - 1.0) / (self.base - 1.0)
    }

    /// The largest register that is used: the first whose estimate reaches 2^63.
    #[must_use]
    pub fn max_register(self) -> u64 {
        let end = (1u64 << 63) as f64;
        // The logarithm may be off by one through rounding, so the last steps are taken by the estimate itself.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 62 to some millions")]
        let near = (((self.base - 1.0) * end).ln_1p() / self.ln) as u64 - 1;
        (near..).find(|&register| self.estimate(register) >= end).unwrap_or(near)
    }

    /// The bits that the largest register takes.
    #[must_use]
    pub fn bits(self) -> u32 {
        u64::BITS - self.max_register().leading_zeros()
    }

    /// The register after `amount` more hits: one step for each raise. `draw` gives numbers drawn evenly from `(0, 1]`;
    /// it is not asked for a raise that is certain (from register 0). The answer may lie above the largest register.
    /// Amounts are at most 2^63 - 1.
    #[must_use]
    #[inline]
    pub fn advance(self, mut register: u64, amount: u64, draw: &mut impl FnMut() -> f64) -> u64 {
        let mut left = amount;
        if register == 0 && left > 0 {
            (register, left) = (1, left - 1);
        }
        while left > 0 {
            let chance = (-(register as f64) * self.ln).exp();
            let drawn = draw();
            let hits = if drawn <= chance {
                1
            } else if left == 1 {
                break;
            } else {
                // Infinite for `drawn` = 1; the cast then holds at `u64::MAX`.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at least 1; the cast holds"
                )]
                let hits = ((-drawn).ln_1p() / (-chance).ln_1p()).ceil() as u64;
                hits
            };
            match left.checked_sub(hits) {
                Some(rest) => (register, left) = (register + 1, rest),
                None => break,
            }
        }
        register
    }
}

/// The numbers that decide a hit: the first is kept when the hit decides again (`morris_ring`, "by the same number").
#[derive(Debug)]
pub struct Kept<'a, D> {
    first: Option<f64>,
    draw: &'a mut D,
}

impl<'a, D: FnMut() -> f64> Kept<'a, D> {
    /// None drawn yet.
    pub fn new(draw: &'a mut D) -> Self {
        Self { first: None, draw }
    }

    /// [`Base::advance`] by these numbers.
    #[inline]
    pub fn advance(&mut self, base: Base, register: u64, amount: u64) -> u64 {
        let Self { first, draw } = self;
        if mutated!(MorrisDrawsAnew) {
            *first = None;
        }
        let mut is_first = true;
        base.advance(register, amount, &mut || {
            if std::mem::take(&mut is_first) { *first.get_or_insert_with(&mut **draw) } else { draw() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_error(error: f64) -> Base {
        Base::with_error(error).expect("a possible error")
    }

    #[test]
    fn the_table_of_the_header() {
        let two = Base::new(2.0).expect("the seed's base");
        let rows = [(two, 63, 6)].into_iter().chain(
            [(0.5, 106, 7), (0.1, 2_008, 11), (0.05, 7_694, 13), (0.01, 175_773, 18), (0.001, 15_272_970, 24)]
                .map(|(error, register, bits)| (with_error(error), register, bits)),
        );
        let wrong: Vec<_> = rows
            .map(|(base, register, bits)| (base.get(), (base.max_register(), base.bits()), (register, bits)))
            .filter(|(_, is, said)| is != said)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn the_largest_register_is_the_first_to_reach_the_end() {
        for thousandths in 1..=500 {
            let base = with_error(f64::from(thousandths) / 1_000.0);
            let (most, end) = (base.max_register(), (1u64 << 63) as f64);
            assert!(base.estimate(most) >= end && base.estimate(most - 1) < end, "{base:?}");
        }
    }

    #[test]
    fn the_error_and_the_base_say_the_same() {
        for error in [0.001, 0.01, 0.05, 0.1, 0.5] {
            let base = with_error(error);
            assert_eq!(base.error(), error);
            assert_eq!(Base::new(base.get()), Ok(base));
            assert_eq!(base.estimate(0), 0.0);
            assert!((base.estimate(1) - 1.0).abs() < 1e-9);
        }
        assert!(Base::new(1.000_002).is_ok());
    }

    #[test]
    fn other_errors_and_bases_name_the_cure() {
        for bad in [0.0, 0.000_9, 0.51, -0.1, f64::NAN, f64::INFINITY] {
            let error = Base::with_error(bad).expect_err("refused").to_string();
            assert!(error.contains("0.001") && error.contains("0.5"), "{error}");
        }
        for bad in [1.0, 1.000_001, 2.1, 0.5, -2.0, f64::NAN, f64::INFINITY] {
            let error = Base::new(bad).expect_err("refused").to_string();
            assert!(error.contains("1.000002") && error.contains("2"), "{error}");
        }
    }

    #[test]
    fn a_certain_raise_draws_nothing_and_no_hit_changes_nothing() {
        let base = with_error(0.05);
        let mut never = || -> f64 { unreachable!("nothing is to be decided") };
        assert_eq!(base.advance(0, 1, &mut never), 1);
        assert_eq!(base.advance(7, 0, &mut never), 7);
        assert_eq!(base.advance(7, i64::MAX as u64, &mut || 1.0), 7, "the largest number raises nothing");
    }

    /// What lets a hit that loses an exchange keep its number.
    #[test]
    fn a_number_never_raises_a_larger_register_sooner() {
        for base in [with_error(0.001), with_error(0.05), Base::new(2.0).expect("the seed's base")] {
            for amount in [1, 2, 10, 1_000] {
                for drawn in (1..=100).map(|percent| f64::from(percent) / 100.0) {
                    let mut first = |register| {
                        let mut given = Some(drawn);
                        base.advance(register, amount, &mut || given.take().unwrap_or(1.0)) > register
                    };
                    let raised: Vec<bool> = (1..60).map(&mut first).collect();
                    assert!(raised.is_sorted_by(|smaller, larger| smaller >= larger), "{base:?} {amount} {drawn}");
                }
            }
        }
    }
}
