//! [`Units`]: time in units that divide a token evenly, so that no rate is rounded.
//!
//! A token of a bucket comes every `window / limit` nanoseconds, which need not be a whole number. So buckets count time in units
//! of their own: a token is `max(1, floor(window / limit))` of them, a whole number, and a unit is `1 / token` of the time of a token.
//! That is at least 1 and less than 2 ns, or exactly a token where more than one comes in a nanosecond.
//!
//! | rate | a token is | a unit is |
//! |---|---|---|
//! | 3 a second | 333,333,333 units | 1.000000001 ns |
//! | 1,000,000 a second | 1,000 units | 1 ns |
//! | 700,000,000 a second | 1 unit | 1.43 ns |
//! | 2^32 a second | 1 unit | 0.23 ns |
//!
//! # Exactness
//! [`at`](Units::at) is `floor(nanoseconds * limit * token / window)`, exactly. It starts from the same zero each time, so its
//! error is less than one unit, and does not add up. `window` nanoseconds are `limit * token` units, so two times that lie a
//! window apart differ by exactly the tokens of a window.
//!
//! The division is by a constant, so it is a multiplication. With `2^b >= window` and `k = 63 + b` the multiplier
//! `m = ceil(limit * token * 2^k / window)` exceeds the true factor by less than `2^-k`. For `n < 2^63` the product is too
//! large by less than `2^-b <= 1 / window`, and the fraction of the true value is at most `1 - 1 / window`, so the whole part is
//! right. (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994, for a fraction.)
//!
//! Tests: below, `tests/limit`.

use super::Rate;

/// Converts nanoseconds to the units of a rate, and back.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    multiplier: u128,
    /// By how much the upper half of the product is shifted.
    shift: u32,
    token: u64,
    /// A window in units, and in nanoseconds.
    units: u64,
    nanos: u64,
}

impl Units {
    /// The units of `rate`.
    pub fn new(rate: Rate) -> Self {
        // At most 100 years, which are less than 2^62.
        let nanos = rate.window().as_nanos() as u64;
        let token = (nanos / rate.limit()).max(1);
        let units = token * rate.limit();
        let shift = 63 + (nanos - 1).ilog2() + 1;
        Self { multiplier: shifted_quotient(units, shift, nanos), shift: shift - 64, token, units, nanos }
    }

    /// How many units a token is.
    pub const fn token(&self) -> u64 {
        self.token
    }

    /// The unit that has begun `nanos` after zero. `nanos` is less than 2^63; what does not fit into 64 bits wraps.
    #[inline(always)]
    pub const fn at(&self, nanos: u64) -> u64 {
        self.wide(nanos) as u64
    }

    #[inline(always)]
    const fn wide(&self, nanos: u64) -> u128 {
        let (nanos, high, low) = (nanos as u128, self.multiplier >> 64, self.multiplier as u64 as u128);
        (nanos * high + ((nanos * low) >> 64)) >> self.shift
    }

    /// The first nanosecond at which so many units have passed, at most `u64::MAX`.
    pub fn nanos(&self, units: u64) -> u64 {
        self.first_of(units.into())
    }

    /// The first nanosecond at which so many units have passed since the unit that has begun at `nanos`, at most `u64::MAX`.
    pub fn after(&self, nanos: u64, units: u64) -> u64 {
        self.first_of(self.wide(nanos) + u128::from(units))
    }

    /// At most `2^75 * 2^32`, or `2^64 * 2^62`: a unit is shorter than a nanosecond only if the window is shorter than 2^32 of them.
    fn first_of(&self, units: u128) -> u64 {
        u64::try_from((units * u128::from(self.nanos)).div_ceil(self.units.into())).unwrap_or(u64::MAX)
    }
}

/// `ceil(dividend * 2^shift / divisor)`, for a divisor below 2^63.
const fn shifted_quotient(dividend: u64, shift: u32, divisor: u64) -> u128 {
    let (mut quotient, mut rest, mut left) = ((dividend / divisor) as u128, dividend % divisor, shift);
    while left > 0 {
        let bits = if left < 64 { left } else { 64 };
        let shifted = (rest as u128) << bits;
        quotient = (quotient << bits) | (shifted / divisor as u128);
        rest = (shifted % divisor as u128) as u64;
        left -= bits;
    }
    if rest > 0 { quotient + 1 } else { quotient }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    fn units(limit: u64, nanos: u64) -> Units {
        Units::new(Rate::new(limit, Duration::from_nanos(nanos)).expect("a possible rate"))
    }

    /// The right value, by a long division: the product has up to 158 bits.
    fn exact(units: &Units, nanos: u64) -> u64 {
        let (whole, rest) = (nanos / units.nanos, nanos % units.nanos);
        (u128::from(whole) * u128::from(units.units)
            + u128::from(rest) * u128::from(units.units) / u128::from(units.nanos)) as u64
    }

    fn is_right(units: &Units, nanos: u64) {
        let at = units.at(nanos);
        assert_eq!(at, exact(units, nanos), "{units:?} at {nanos}");
        // Back it is the first nanosecond of that unit.
        let first = units.nanos(at);
        assert!(
            first <= nanos && units.at(first) == at && (first == 0 || units.at(first - 1) < at),
            "{units:?} at {nanos}"
        );
        if let Some(later) = nanos.checked_add(units.nanos).filter(|&later| later < 1 << 63) {
            assert_eq!(units.at(later).wrapping_sub(at), units.units, "{units:?}: a window after {nanos}");
        }
    }

    #[test]
    fn a_unit_is_a_nanosecond_or_two_or_a_token() {
        for (limit, token) in [(3, 333_333_333), (1_000_000, 1_000), (700_000_000, 1), (1 << 32, 1), (1, 1_000_000_000)]
        {
            let units = units(limit, 1_000_000_000);
            assert_eq!(units.token(), token, "{limit} a second");
            // So a unit is at least a nanosecond and less than two, unless a token is less.
            assert!(units.units <= units.nanos && units.nanos < 2 * units.units || token == 1, "{limit} a second");
        }
    }

    const LONGEST: u64 = Rate::LONGEST.as_nanos() as u64;

    #[test]
    fn at_the_edges_it_is_the_fraction() {
        for (limit, nanos) in
            [1, 2, 3, 7, 300_000, 700_000_000, 600_000_001, (1 << 32) - 1, 1 << 32].into_iter().flat_map(|limit| {
                [1_000_000, 1 << 20, 999_999_999, 1_000_000_000, 60_000_000_000, LONGEST].map(|n| (limit, n))
            })
        {
            let units = units(limit, nanos);
            // As far as it fits into 63 bits.
            let last = (u128::from(i64::MAX as u64) * u128::from(units.nanos) / u128::from(units.units))
                .min((1 << 63) - 2) as u64;
            for at in [0, 1, nanos - 1, nanos, nanos + 1, last / 2, last / 3, last] {
                is_right(&units, at.min(last));
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_the_fraction(limit in 1u64..=1 << 32, small in 1u64..1_000, nanos in 1_000_000..=LONGEST, at in 0..1u64 << 50) {
            for limit in [limit, small] {
                is_right(&units(limit, nanos), at);
            }
        }
    }
}
