//! The time of limiters: nanoseconds since 30 years before they were first asked, which never go back.
//!
//! A limiter that stood still, or opened, since somebody set the wall clock would be none. So the system's time is what the
//! wall clock said when the limiter was made, plus what a steady clock (`CLOCK_MONOTONIC`) counted since. Times that
//! callers give, and clocks of their own, are taken as they are; whoever is behind the newest time that was used gets that.
//!
//! | clock | is read | costs |
//! |---|---|---|
//! | the system's, coarse | where its steps of 1 to 10 ms are fine enough for the limit | 3 to 6 ns |
//! | the system's, precise | otherwise | 20 ns and more |
//! | one of the caller's | as it is | |
//!
//! Tests: below, `tests/limit`.

use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};
use crate::time::Timestamp;
use crate::time::clock::{Clock, SteadyClock};

/// How much earlier than the first time that was used time begins, so that earlier ones are told apart, too.
const BEFORE: Duration = Duration::from_secs(30 * 366 * 86_400);

/// Turns clocks and timestamps into nanoseconds.
#[derive(Debug)]
pub struct Scale {
    clock: Clock,
    is_coarse: bool,
    lag: Duration,
    /// How far times may lie ahead of the clock; `None` is any far.
    max_skew: Option<Duration>,
    /// The time when the scale was made, in microseconds since 1970, and by the steady clock.
    made: u64,
    steady: u64,
    /// When time begins, in microseconds since 1970, plus 1: [`BEFORE`] the first time that was ever used. 0 before that.
    origin: AtomicU64,
}

impl Scale {
    /// The time of `clock`, read so that steps of `fine` are told apart. Times that lie ahead of it by more than `max_skew` are from
    /// the future.
    pub fn new(clock: Clock, fine: Duration, max_skew: Option<Duration>) -> Self {
        let is_coarse = SteadyClock::coarse_step().is_some_and(|step| step * 2 <= fine);
        let made = micros(clock.now());
        let is_lagging = is_coarse && matches!(clock, Clock::System);
        // A step, and another because a busy system, or a virtual one, moves its coarse clock on late.
        let lag = if is_lagging { SteadyClock::coarse_step().unwrap_or_default() * 2 } else { Duration::ZERO };
        Self { clock, is_coarse, lag, max_skew, made, steady: SteadyClock.nanos(is_coarse), origin: AtomicU64::new(0) }
    }

    /// How long after the time that was read it may already be.
    #[inline]
    pub fn lag(&self) -> Duration {
        self.lag
    }

    /// Whether times from the future are refused.
    pub fn is_guarded(&self) -> bool {
        self.max_skew.is_some()
    }

    /// Whether `at` lies further ahead of the clock than it may.
    pub fn is_future(&self, at: Timestamp) -> bool {
        self.max_skew.is_some_and(|skew| at.as_duration().saturating_sub(skew) > self.clock.now().as_duration())
    }

    /// Now.
    #[inline]
    pub fn now(&self) -> u64 {
        let origin = self.origin.load(Ordering::Relaxed);
        if origin == 0 || !matches!(self.clock, Clock::System) {
            return self.now_other();
        }
        let since = SteadyClock.nanos(self.is_coarse).saturating_sub(self.steady);
        (self.made.saturating_sub(origin - 1)).saturating_mul(1_000).saturating_add(since)
    }

    #[inline(never)]
    fn now_other(&self) -> u64 {
        match &self.clock {
            Clock::System => {
                let since = SteadyClock.nanos(self.is_coarse).saturating_sub(self.steady);
                let origin = self.origin(self.made + since / 1_000);
                (self.made.saturating_sub(origin)).saturating_mul(1_000).saturating_add(since)
            }
            clock => self.at(clock.now()),
        }
    }

    /// `at`: before time began it is that.
    pub fn at(&self, at: Timestamp) -> u64 {
        let origin = self.origin(micros(at));
        let since = at.as_duration().saturating_sub(Duration::from_micros(origin));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The origin, which is set if there was none.
    fn origin(&self, first: u64) -> u64 {
        let first = first.saturating_sub(BEFORE.as_micros() as u64);
        match self.origin.compare_exchange(0, first + 1, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => first,
            Err(origin) => origin - 1,
        }
    }
}

fn micros(at: Timestamp) -> u64 {
    // At most 2.6e17, in the year 9999.
    at.as_duration().as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock::ManualClock;

    fn at(secs: u32) -> Timestamp {
        Timestamp::from(secs)
    }

    #[test]
    fn time_begins_thirty_years_before_the_first() {
        let begins = 30 * 366 * 86_400;
        let scale = Scale::new(Clock::System, Duration::from_secs(1), None);
        let (first, second) = (begins + 1_000, 1_000_000_000);
        let seen = [first, first - 1, first + 1, 1_000, 999, 0].map(|secs| scale.at(at(secs)));
        let since = |secs: u32| u64::from(secs) * second;
        assert_eq!(seen, [since(begins), since(begins - 1), since(begins + 1), 0, 0, 0]);
        assert!(scale.now() > 1_000_000_000_000_000_000, "the clock is in this century");
        // 1970 is the earliest.
        let early = Scale::new(Clock::System, Duration::from_secs(1), None);
        assert_eq!([5, 4, 0].map(|secs| early.at(at(secs))), [since(5), since(4), 0]);
    }

    #[test]
    fn the_systems_time_goes_on_and_is_near_the_wall_clock() {
        for fine in [Duration::from_nanos(1), Duration::from_secs(1)] {
            // A thread that is interrupted between the two finds a later time, so the least of some is looked at.
            let begun = (0..100).map(|_| Scale::new(Clock::System, fine, None)).map(|scale| (scale.now(), scale));
            let (first, scale) = begun.min_by_key(|&(first, _)| first).expect("there are a hundred");
            let begun = BEFORE.as_nanos() as u64;
            assert!(first - begun < 1_000, "{first}");
            std::thread::sleep(Duration::from_millis(30));
            let then = scale.now() - begun;
            assert!((10_000_000..10_000_000_000).contains(&then), "{then}");
            let wall = scale.at(Clock::System.now());
            assert!(wall.abs_diff(scale.now()) < 1_000_000_000, "{wall}");
        }
    }

    #[test]
    fn a_clock_of_the_callers_is_taken_as_it_is() {
        let manual = ManualClock::new(at(50));
        let scale = Scale::new(manual.clone().into(), Duration::from_secs(1), None);
        // 30 years before lies before 1970.
        assert_eq!((scale.now(), scale.lag()), (50_000_000_000, Duration::ZERO));
        manual.set(at(51));
        assert_eq!(scale.now(), 51_000_000_000);
    }
}
