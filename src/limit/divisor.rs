//! Division by a number that is known beforehand: a multiplication instead.
//!
//! For a divisor `d` with `2^s < d <= 2^(s+1)` the multiplier `m = ceil(2^(64+s) / d)` fits into 64 bits, and exceeds
//! `2^(64+s) / d` by less than 1. So `n * m >> (64 + s)` exceeds `n / d` by less than `n / 2^(64+s)`, which is less than `1 / d` for
//! every `n < 2^63`: the whole part is the same. (Granlund and Montgomery, "Division by invariant integers using
//! multiplication", 1994.)
//!
//! Tests: below, `tests/limit`.

/// A number to divide by.
#[derive(Clone, Copy, Debug)]
pub struct Divisor {
    multiplier: u64,
    shift: u32,
    number: u64,
}

impl Divisor {
    /// `number`, from 1 to 2^63.
    pub const fn new(number: u64) -> Self {
        if number < 2 {
            return Self { multiplier: 0, shift: 0, number: 1 };
        }
        let shift = (number - 1).ilog2();
        Self { multiplier: (1u128 << (64 + shift)).div_ceil(number as u128) as u64, shift, number }
    }

    /// The number.
    #[inline]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// How often it goes into `n`, which is less than 2^63.
    #[inline]
    pub const fn divide(self, n: u64) -> u64 {
        if self.number == 1 { n } else { ((n as u128 * self.multiplier as u128) >> 64) as u64 >> self.shift }
    }

    /// What is left of `n`, which is less than 2^63.
    #[inline]
    pub const fn rest(self, n: u64) -> u64 {
        n - self.divide(n) * self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn at_the_edges_it_is_division() {
        let edges = |at: u64| [at.saturating_sub(1).max(1), at, at + 1];
        let all = [1, 2, 3, 7, 60, 62, 1_000_000_007, 1 << 20, 1 << 32, 1 << 62];
        for number in all.into_iter().flat_map(edges) {
            let divisor = Divisor::new(number);
            let last = (1u64 << 63) - 1;
            for n in [0, 1, number - 1, number, last / number * number - 1, last / number * number, last] {
                assert_eq!((divisor.divide(n), divisor.rest(n)), (n / number, n % number), "{n} / {number}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_division(number in 1u64..=1 << 63, n in 0u64..1 << 63, small in 1u64..100_000) {
            for number in [number, small] {
                let divisor = Divisor::new(number);
                prop_assert_eq!((divisor.divide(n), divisor.rest(n)), (n / number, n % number));
            }
        }
    }
}
