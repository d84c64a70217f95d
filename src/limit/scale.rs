//! The time of limiters: nanoseconds since 30 years before they were first asked, which never go back.
//!
//! If the wall clock is set, a limiter must neither stand still nor open. So the system's time is the time that the wall clock said
//! when the limiter was made, plus the time that a steady clock (`CLOCK_MONOTONIC`) counted since. Times that callers give, and
//! clocks of their own, are taken as they are. A time that is behind the newest one that was used is replaced by that.
//!
//! | clock | is read | costs |
//! |---|---|---|
//! | the system's, coarse | where its steps of 1 to 10 ms are fine enough for the limit | 3 to 6 ns |
//! | the system's, precise | otherwise | 20 ns and more |
//! | one of the caller's | as it is | |
//!
//! Tests: below, `tests/limit`.

use std::time::Duration;

use super::plan::Version;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::time::Timestamp;
use crate::time::clock::{Clock, SteadyClock};

/// How much earlier than the first time that was used time begins, so that earlier ones are told apart, too.
const BEFORE: Duration = Duration::from_secs(30 * 366 * 86_400);

/// Turns clocks and timestamps into nanoseconds.
#[derive(Debug)]
pub struct Scale {
    clock: Clock,
    /// Whether the coarse clock is fine enough for the rates: 1 if so.
    is_coarse: AtomicU32,
    /// How long after its time the coarse clock may still show it; none for a clock of the caller's.
    coarse_lag: Duration,
    /// How far times may lie ahead of the clock, in nanoseconds, or `ANY_FAR`.
    max_skew: AtomicU64,
    /// The same as it was given; else it is the window.
    given_skew: Option<Duration>,
    /// The time when the scale was made, in microseconds since 1970, and by the steady clock.
    made: u64,
    steady: u64,
    /// When time begins, in microseconds since 1970, plus 1: [`BEFORE`] the first time that was ever used. 0 before that.
    origin: AtomicU64,
}

/// No time lies too far ahead.
const ANY_FAR: u64 = u64::MAX;

impl Scale {
    /// The time of `clock`, or the system's, for the rates of `version`. If one of the first two is given, times that lie ahead of the
    /// clock by more than `max_skew`, or a window, are from the future.
    pub fn new(clock: Option<Clock>, max_skew: Option<Duration>, version: &Version) -> Self {
        let is_guarded = clock.is_some() || max_skew.is_some();
        let clock = clock.unwrap_or_default();
        let step = if matches!(clock, Clock::System) { SteadyClock::coarse_step() } else { None };
        let made = micros(clock.now());
        let scale = Self {
            clock,
            is_coarse: AtomicU32::new(0),
            // A step, and another because a busy system, or a virtual one, moves its coarse clock on late.
            coarse_lag: step.unwrap_or_default() * 2,
            max_skew: AtomicU64::new(if is_guarded { 0 } else { ANY_FAR }),
            given_skew: max_skew,
            made,
            steady: SteadyClock.nanos(false),
            origin: AtomicU64::new(0),
        };
        scale.suit(version);
        scale
    }

    /// Chooses the clock and the skew that suit the rates of `version`.
    pub fn suit(&self, version: &Version) {
        let is_coarse = SteadyClock::coarse_step().is_some_and(|step| step * 2 <= version.plan.fine());
        self.is_coarse.store(is_coarse.into(), Ordering::Relaxed);
        if self.is_guarded() {
            let max_skew = self.given_skew.unwrap_or(version.rate(0).window());
            self.max_skew.store(max_skew.as_nanos().min(u128::from(ANY_FAR - 1)) as u64, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn is_coarse(&self) -> bool {
        self.is_coarse.load(Ordering::Relaxed) > 0
    }

    /// How long after the time that was read it may already be.
    #[inline]
    pub fn lag(&self) -> Duration {
        if self.is_coarse() { self.coarse_lag } else { Duration::ZERO }
    }

    /// Whether times from the future are refused.
    pub fn is_guarded(&self) -> bool {
        self.max_skew.load(Ordering::Relaxed) < ANY_FAR
    }

    /// Whether `at` lies further ahead of the clock than it may.
    pub fn is_future(&self, at: Timestamp) -> bool {
        let skew = self.max_skew.load(Ordering::Relaxed);
        skew < ANY_FAR && at.as_duration().saturating_sub(Duration::from_nanos(skew)) > self.clock.now().as_duration()
    }

    /// Now.
    #[inline]
    pub fn now(&self) -> u64 {
        let origin = self.origin.load(Ordering::Relaxed);
        if origin == 0 || !matches!(self.clock, Clock::System) {
            return self.now_other();
        }
        let since = SteadyClock.nanos(self.is_coarse()).saturating_sub(self.steady);
        (self.made.saturating_sub(origin - 1)).saturating_mul(1_000).saturating_add(since)
    }

    #[inline(never)]
    fn now_other(&self) -> u64 {
        match &self.clock {
            Clock::System => {
                let since = SteadyClock.nanos(self.is_coarse()).saturating_sub(self.steady);
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
    use crate::limit::plan::Form;
    use crate::limit::rate::Rate;
    use crate::time::clock::ManualClock;

    fn at(secs: u32) -> Timestamp {
        Timestamp::from(secs)
    }

    fn version(limit: u64) -> Version {
        let rate = Rate::new(limit, Duration::from_secs(60)).expect("a possible rate");
        Version::new(rate.into(), Form { burst: None, resolution: None, ticks: 60, known: 0 }).expect("it fits")
    }

    fn scale(clock: Option<Clock>, limit: u64) -> Scale {
        Scale::new(clock, None, &version(limit))
    }

    #[test]
    fn time_begins_thirty_years_before_the_first() {
        let begins = 30 * 366 * 86_400;
        let scale = scale(None, 10);
        let (first, second) = (begins + 1_000, 1_000_000_000);
        let seen = [first, first - 1, first + 1, 1_000, 999, 0].map(|secs| scale.at(at(secs)));
        let since = |secs: u32| u64::from(secs) * second;
        assert_eq!(seen, [since(begins), since(begins - 1), since(begins + 1), 0, 0, 0]);
        assert!(scale.now() > 1_000_000_000_000_000_000, "the clock is in this century");
        // 1970 is the earliest.
        let early = self::scale(None, 10);
        assert_eq!([5, 4, 0].map(|secs| early.at(at(secs))), [since(5), since(4), 0]);
    }

    #[test]
    fn the_systems_time_goes_on_and_is_near_the_wall_clock() {
        // A log reads the precise clock, and a window of seconds the coarse one.
        for limit in [1, 100] {
            // A thread that is interrupted between the two finds a later time, so the least of some is looked at.
            let begun = (0..100).map(|_| scale(None, limit)).map(|scale| (scale.now(), scale));
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
        let scale = scale(Some(manual.clone().into()), 100);
        // 30 years before lies before 1970.
        assert_eq!((scale.now(), scale.lag()), (50_000_000_000, Duration::ZERO));
        manual.set(at(51));
        assert_eq!(scale.now(), 51_000_000_000);
    }

    #[test]
    fn the_clock_suits_the_rates() {
        let lag = SteadyClock::coarse_step().unwrap_or_default() * 2;
        let scale = scale(None, 100);
        assert_eq!((scale.is_coarse(), scale.lag()), (lag > Duration::ZERO, lag));
        let before = scale.now();
        scale.suit(&version(1));
        assert_eq!((scale.is_coarse(), scale.lag()), (false, Duration::ZERO));
        assert!((before..before + 1_000_000_000).contains(&scale.now()));
        assert!(!scale.is_guarded());
    }
}
