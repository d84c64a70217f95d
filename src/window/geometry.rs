//! The layout of a ring: how many slots, which slot a tick has, and how a slot's word is split.
//!
//! ```text
//! tick   = lap * slots + index            the slot `index` of lap `lap`
//! word   = lap | seal | count             63 .. 0; see slot.rs
//! ```
//!
//! * **Slots**: the window plus the slack, never fewer than 64. With exactly as many slots as the window, the tick
//!   `t - window + 1` shares its slot with `t + 1`, and a reader at `t` would lose it the moment one writer crosses
//!   into `t + 1`; 20 slots of slack let hits run that far ahead of a reader.
//! * **Split**: the lap takes as many bits as it needs to reach the year 9999, the seal one, and the count the rest,
//!   but never so many that all slots together could exceed `i64::MAX`. 320 slots of a second: 30 | 1 | 33 bits, so up
//!   to 8.6 billion hits a second; 320 slots of a millisecond: 40 | 1 | 23 bits.
//! * **Index**: a multiplication by a precomputed reciprocal instead of a division; exact for every tick (Granlund and
//!   Montgomery, "Division by Invariant Integers using Multiplication", 1994).
//!
//! Tests: below, `tests/conformance`, `tests/models`.

use std::time::Duration;

use crate::error::ConfigError;
use crate::time::{Resolution, Tick};

/// The most ticks a window, and the most slots a slack may have.
pub const MAX_TICKS: u32 = 1 << 20;
const MIN_SLOTS: u32 = 64;

/// Where a tick lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The slot's index.
    pub index: usize,
    /// The word of an unsealed slot of this tick's lap without hits.
    pub base: u64,
}

/// The layout of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    resolution: Resolution,
    window: u32,
    slack: u32,
    slots: u32,
    /// The largest count of a slot: the mask of the count in a word.
    max_count: u64,
    /// Where the lap begins in a word; the seal is the bit below.
    lap_shift: u32,
    reciprocal: u64,
    shift: u32,
    /// Where the tick begins in a word of a sparse counter.
    tick_shift: u32,
}

impl Geometry {
    /// A ring for the last `window`, with `slack` more slots.
    ///
    /// # Errors
    /// [`ConfigError`] unless the window is a whole number of ticks from 1 to 2^20, and the slack at most 2^20.
    pub fn new(resolution: Resolution, window: Duration, slack: u32) -> Result<Self, ConfigError> {
        let width = resolution.width();
        if window.is_zero() {
            return Err(ConfigError::WindowEmpty);
        }
        let ticks = resolution.ticks(window).ok_or(ConfigError::WindowNotWhole { window, resolution: width })?;
        let ticks = u32::try_from(ticks)
            .ok()
            .filter(|&ticks| ticks <= MAX_TICKS)
            .ok_or_else(|| ConfigError::WindowTooLong { window, coarser: coarser(window) })?;
        if slack > MAX_TICKS {
            return Err(ConfigError::SlackTooLong { slack });
        }
        Ok(Self::with_slots(resolution, ticks, slack, (ticks + slack).max(MIN_SLOTS)))
    }

    /// A ring of exactly `slots` slots: models need few.
    #[doc(hidden)]
    #[must_use]
    pub fn with_slots(resolution: Resolution, window: u32, slack: u32, slots: u32) -> Self {
        let max_lap = resolution.last_tick().0 / u64::from(slots);
        let lap_bits = u64::BITS - max_lap.leading_zeros();
        let sum_bits = i64::BITS - 1 - slots.next_power_of_two().ilog2();
        let count_bits = (u64::BITS - lap_bits - 1).min(sum_bits);
        // For a divisor d with 2^s <= d < 2^(s+1), the multiplier m = ceil(2^(64+s) / d) exceeds 2^(64+s) / d by less
        // than d / d = 1, so (n * m) >> (64 + s) = floor(n / d) for every n < 2^63. For a power of two, s is one less
        // than its logarithm, so that m fits into 64 bits.
        let shift = if slots.is_power_of_two() { slots.ilog2() - 1 } else { slots.ilog2() };
        let reciprocal = (1u128 << (64 + shift)).div_ceil(u128::from(slots)) as u64;
        let (max_count, lap_shift) = ((1 << count_bits) - 1, count_bits + 1);
        let tick_shift = resolution.last_tick().0.leading_zeros().min(count_bits);
        Self { resolution, window, slack, slots, max_count, lap_shift, reciprocal, shift, tick_shift }
    }

    /// The width of a tick.
    #[must_use]
    pub const fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// The window in ticks.
    #[must_use]
    pub const fn window(&self) -> u32 {
        self.window
    }

    /// The slack that was asked for, in slots.
    #[must_use]
    pub const fn slack(&self) -> u32 {
        self.slack
    }

    /// The number of slots.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots as usize
    }

    /// The largest count of a slot; also the mask of the count in a word.
    #[must_use]
    #[inline]
    pub const fn max_count(&self) -> u64 {
        self.max_count
    }

    /// The bit of a word that a reader turns over when it closes the slot's tick.
    #[must_use]
    #[inline]
    pub const fn seal(&self) -> u64 {
        self.max_count + 1
    }

    /// How many times round the ring `tick` is.
    #[must_use]
    #[inline]
    pub const fn lap(&self, tick: Tick) -> u64 {
        ((tick.0 as u128 * self.reciprocal as u128) >> 64) as u64 >> self.shift
    }

    /// The slot of `tick`.
    #[must_use]
    #[inline]
    pub const fn place(&self, tick: Tick) -> Place {
        let lap = self.lap(tick);
        Place { index: (tick.0 - lap * self.slots as u64) as usize, base: self.base(lap) }
    }

    /// The word of an unsealed slot of lap `lap` without hits.
    #[must_use]
    #[inline]
    pub const fn base(&self, lap: u64) -> u64 {
        lap << self.lap_shift
    }

    /// The word of a sparse counter that holds `count` hits of `tick`.
    #[must_use]
    #[inline]
    pub const fn sparse_word(&self, tick: Tick, count: u64) -> u64 {
        tick.0 << self.tick_shift | count
    }

    /// The tick of a sparse counter's word.
    #[must_use]
    #[inline]
    pub const fn sparse_tick(&self, word: u64) -> Tick {
        Tick(word >> self.tick_shift)
    }

    /// The largest count of a sparse counter's word; also the mask of the count.
    #[must_use]
    #[inline]
    pub const fn sparse_max(&self) -> u64 {
        (1 << self.tick_shift) - 1
    }

    /// The tick that the slot `index` holds when its word is `word`.
    #[must_use]
    pub const fn tick(&self, index: usize, word: u64) -> Tick {
        Tick((word >> self.lap_shift) * self.slots as u64 + index as u64)
    }
}

/// The finest resolution of whole milliseconds that divides `window` into at most 2^20 ticks. If milliseconds do not divide it so,
/// the finest of microseconds.
fn coarser(window: Duration) -> Duration {
    let micros = window.as_micros();
    let divides = |ticks: u128, micro: u128| micros.is_multiple_of(ticks * micro).then(|| micros / ticks);
    let finest = |micro| (1..=u128::from(MAX_TICKS)).rev().find_map(|ticks| divides(ticks, micro));
    Duration::from_micros(finest(1_000).or_else(|| finest(1)).unwrap_or(micros) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn second() -> Resolution {
        Resolution::new(Duration::from_secs(1)).expect("one second is a resolution")
    }

    #[test]
    fn the_split_follows_from_the_geometry() {
        let seconds = Geometry::new(second(), Duration::from_secs(300), 20).expect("the default geometry");
        assert_eq!((seconds.slots(), seconds.lap_shift - 1), (320, 33));
        let millis = Resolution::new(Duration::from_millis(1)).expect("one millisecond is a resolution");
        let millis = Geometry::new(millis, Duration::from_millis(300), 20).expect("a geometry of milliseconds");
        assert_eq!((millis.slots(), millis.lap_shift - 1), (320, 23));
        let smallest = Geometry::new(second(), Duration::from_secs(1), 0).expect("a window of one tick");
        assert_eq!(smallest.slots(), 64);
        let bare = Geometry::new(second(), Duration::from_secs(300), 0).expect("a ring without slack");
        assert_eq!(bare.slots(), 300);
    }

    #[test]
    fn the_coarser_resolution_that_is_named_fits() {
        for secs in [1 << 20, 2_592_000, 31_536_000, 1_000_000_000, 2_592_001, 1_048_583] {
            let window = Duration::from_secs(secs + u64::from(secs == 1 << 20));
            let error = Geometry::new(second(), window, 20).expect_err("too many ticks");
            let ConfigError::WindowTooLong { coarser, .. } = error else { panic!("{error}") };
            let resolution = Resolution::new(coarser).expect("a resolution");
            assert!(Geometry::new(resolution, window, 20).is_ok(), "{window:?} in ticks of {coarser:?}");
        }
        assert_eq!(coarser(Duration::from_secs(2_592_000)), Duration::from_millis(2_500));
        assert_eq!(coarser(Duration::from_micros((1 << 40) + 1)), Duration::from_micros(4_278_255_361));
    }

    #[test]
    fn bad_windows_name_the_cure() {
        let refuse = |window, slack| Geometry::new(second(), window, slack).expect_err("refused");
        assert_eq!(refuse(Duration::ZERO, 0), ConfigError::WindowEmpty);
        assert!(matches!(refuse(Duration::from_millis(1_500), 0), ConfigError::WindowNotWhole { .. }));
        assert!(matches!(refuse(Duration::from_secs(1), MAX_TICKS + 1), ConfigError::SlackTooLong { .. }));
        let week = Duration::from_secs(1 << 21);
        let ConfigError::WindowTooLong { coarser, .. } = refuse(week, 0) else { panic!("too long") };
        assert_eq!(coarser, Duration::from_secs(2));
        let coarser = Resolution::new(coarser).expect("the cure is a resolution");
        assert!(Geometry::new(coarser, week, 0).is_ok());
    }

    proptest! {
        /// The reciprocal agrees with division on every tick up to the year 9999 at the finest resolution, and the
        /// word of the last lap does not overflow.
        #[test]
        fn places_are_exact(
            window in 1u32..=MAX_TICKS, slack in 0u32..=MAX_TICKS, millis in prop_oneof![Just(1u64), Just(1_000), 1u64..100_000],
            tick in prop_oneof![any::<u64>(), 0u64..100_000_000],
        ) {
            let resolution = Resolution::new(Duration::from_millis(millis))?;
            let geometry = Geometry::new(resolution, Duration::from_millis(millis) * window, slack)?;
            let slots = geometry.slots() as u64;
            for tick in [tick % (resolution.last_tick().0 + 1), resolution.last_tick().0, tick / slots * slots % (1 << 62)] {
                prop_assert_eq!(geometry.lap(Tick(tick)), tick / slots);
            }
            for tick in [Tick(tick % (resolution.last_tick().0 + 1)), resolution.last_tick()] {
                let place = geometry.place(tick);
                prop_assert_eq!(place.index as u64, tick.0 % slots);
                prop_assert_eq!(geometry.tick(place.index, place.base), tick);
                prop_assert_eq!(geometry.tick(place.index, place.base | geometry.max_count() | geometry.seal()), tick);
            }
            prop_assert!((geometry.max_count() as u128) * (slots as u128) <= i64::MAX as u128);
        }
    }
}
