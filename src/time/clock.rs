//! The only reader of the operating system's clocks.
//!
//! A [`Clock`] says what time it is: the system's, one that a test moves by hand, or one of the caller's own. A
//! [`TickClock`] turns it into ticks for one counter and keeps them from running backwards.
//!
//! # The system clock
//! On Linux the coarse real-time clock is read (it moves every 1 to 10 ms), unless a tick is narrower than twice its
//! step: then the precise one is. No thread ticks in the background, so a fork needs no care. Elsewhere the standard
//! library's `SystemTime` is read.
//!
//! | read | moves every | costs | read for |
//! |---|---|---|---|
//! | whole seconds of the coarse clock, by glibc's `time` | second | 2 ns | ticks of a second, on Linux with glibc |
//! | the coarse clock | 1 to 10 ms | 3 to 6 ns | other ticks, down to two of its steps |
//! | the precise clock | | 20 ns and more | narrower ticks, and all of them elsewhere |
//!
//! `time` and the coarse clock are the same clock with glibc (elsewhere `time` may read the precise one, and then ticks of
//! two counters could be told apart for some milliseconds).
//!
//! # Steps of the clock
//! | the clock | ticks |
//! |---|---|
//! | goes on | go on |
//! | steps back by at most `max_skew` | stand still until it has caught up |
//! | steps back by more | follow it; hits whose slot holds a newer tick are [`Late`](crate::Outcome::Late), none is miscounted |
//! | steps ahead | follow it |
//!
//! Tests: below, `tests/registry`.

#![allow(clippy::disallowed_methods)]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::sync::{Mutex, Ordering, Typed};
use crate::time::error::TimeError;
use crate::time::{Resolution, Tick, Timestamp};

/// The operating system's real-time clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemClock;

impl SystemClock {
    /// The time now, by the precise clock. A clock set before 1970 reads as 1970, one beyond 9999 as the end of 9999.
    #[must_use]
    pub fn now(self) -> Timestamp {
        match Timestamp::try_from(SystemTime::now()) {
            Ok(now) => now,
            Err(TimeError::Negative) => Timestamp::ZERO,
            Err(TimeError::TooLate) => Timestamp::MAX,
        }
    }

    /// The time now, at most one step of the coarse clock ago.
    #[inline]
    fn coarse(self) -> Timestamp {
        #[cfg(target_os = "linux")]
        {
            let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: `now` is a valid timespec for the call to fill.
            let failed = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
            if failed == 0
                && let (Ok(secs), Ok(nanos)) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec))
                && let Ok(time) = Timestamp::new(secs, nanos)
            {
                return time;
            }
        }
        self.now()
    }

    /// The seconds of [`coarse`](Self::coarse), where they can be had for less.
    #[inline]
    fn coarse_seconds(self) -> u64 {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        {
            // SAFETY: `time` writes nothing when it is given no place for it.
            let seconds = unsafe { libc::time(std::ptr::null_mut()) };
            if let Ok(seconds) = u64::try_from(seconds)
                && seconds <= Timestamp::MAX.secs()
            {
                return seconds;
            }
        }
        self.seconds_of_coarse()
    }

    #[inline(never)]
    fn seconds_of_coarse(self) -> u64 {
        self.coarse().secs()
    }

    /// The step of the coarse clock, where there is one.
    fn coarse_step() -> Option<Duration> {
        #[cfg(target_os = "linux")]
        {
            let mut step = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: `step` is a valid timespec for the call to fill.
            if unsafe { libc::clock_getres(libc::CLOCK_REALTIME_COARSE, &raw mut step) } == 0 {
                return Some(Duration::new(u64::try_from(step.tv_sec).ok()?, u32::try_from(step.tv_nsec).ok()?));
            }
        }
        None
    }
}

/// The operating system's clock that is never set (`CLOCK_MONOTONIC`): only differences of its times mean something.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock;

impl SteadyClock {
    /// Nanoseconds since some time in the past, the same for both clocks; with `coarse`, at most one step of the coarse clock ago.
    #[inline]
    pub fn nanos(self, coarse: bool) -> u64 {
        #[cfg(target_os = "linux")]
        return self.since_boot(coarse);
        #[cfg(not(target_os = "linux"))]
        {
            let _ = coarse;
            static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
            u64::try_from(FIRST.get_or_init(std::time::Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
        }
    }

    /// The same since the machine booted: a time that all its processes agree on.
    #[cfg(target_os = "linux")]
    #[inline]
    pub fn since_boot(self, coarse: bool) -> u64 {
        let clock = if coarse { libc::CLOCK_MONOTONIC_COARSE } else { libc::CLOCK_MONOTONIC };
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a valid timespec for the call to fill; it stays 0 where the clock does not exist.
        unsafe { libc::clock_gettime(clock, &raw mut now) };
        (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
    }

    /// The step of the coarse clock, where there is one.
    pub fn coarse_step() -> Option<Duration> {
        #[cfg(target_os = "linux")]
        {
            let mut step = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: `step` is a valid timespec for the call to fill.
            if unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut step) } == 0 {
                return Some(Duration::new(u64::try_from(step.tv_sec).ok()?, u32::try_from(step.tv_nsec).ok()?));
            }
        }
        None
    }
}

/// A clock that stands still until it is moved: for tests, replays and simulations. Clones share the time.
///
/// ```
/// use hitring::{HitCounter, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new(1_000u32.into());
/// let counter = HitCounter::builder().clock(clock.clone()).build()?;
/// assert!(counter.record(1).is_counted());
/// clock.advance(Duration::from_secs(299))?;
/// assert_eq!(counter.count()?, 1);
/// clock.advance(Duration::from_secs(1))?;
/// assert_eq!(counter.count()?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    /// The time the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.0.lock()
    }

    /// Sets the clock, ahead or back.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock() = to;
    }

    /// Moves the clock ahead and answers the new time.
    ///
    /// # Errors
    /// [`TimeError::TooLate`] beyond the year 9999; the clock stays where it was.
    pub fn advance(&self, by: Duration) -> Result<Timestamp, TimeError> {
        let mut now = self.0.lock();
        let to = now.as_duration().checked_add(by).ok_or(TimeError::TooLate)?;
        *now = Timestamp::from_duration(to)?;
        Ok(*now)
    }

    /// Whether both show the same time for ever, because one is a clone of the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock({})", self.now())
    }
}

/// Where a counter takes the time from.
#[derive(Clone, Default)]
pub enum Clock {
    /// The operating system's clock.
    #[default]
    System,
    /// A clock that is moved by hand.
    Manual(ManualClock),
    /// A function of the caller's. It is called on every record and count, so it should be fast, and it must not
    /// panic.
    Custom(Arc<dyn Fn() -> Timestamp + Send + Sync>),
}

impl Clock {
    /// The time now, as precisely as the clock can tell.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => SystemClock.now(),
            Self::Manual(clock) => clock.now(),
            Self::Custom(clock) => clock(),
        }
    }
}

impl From<SystemClock> for Clock {
    fn from(_: SystemClock) -> Self {
        Self::System
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self::Manual(clock)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("SystemClock"),
            Self::Manual(clock) => clock.fmt(f),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// What a [`TickClock`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The system's, in seconds.
    Seconds,
    /// The system's, coarsely.
    Coarse,
    /// The clock as it is.
    Clock,
}

/// The ticks of a [`Clock`] for one counter.
///
/// `latest` is the newest tick handed out. It is written once a tick, so that reading it costs no cache miss; a
/// thread that reads an older time is given `latest` instead, as the table in the module header says.
#[derive(Debug)]
pub struct TickClock {
    clock: Clock,
    resolution: Resolution,
    source: Source,
    skew: u64,
    latest: Typed<Tick>,
}

impl TickClock {
    /// Ticks of `resolution` by `clock`, which may step back by `skew` ticks before the ticks follow it.
    pub fn new(clock: Clock, resolution: Resolution, skew: u64) -> Self {
        let is_fine = || SystemClock::coarse_step().is_none_or(|step| resolution.width() < step * 2);
        let source = match clock {
            Clock::System if is_fine() => Source::Clock,
            Clock::System if resolution.is_second() => Source::Seconds,
            Clock::System => Source::Coarse,
            Clock::Manual(_) | Clock::Custom(_) => Source::Clock,
        };
        Self { clock, resolution, source, skew, latest: Typed::new(Tick(0)) }
    }

    /// The same ticks by the same clock, for another counter.
    pub fn copy(&self) -> Self {
        let copy = Self::new(self.clock.clone(), self.resolution, self.skew);
        copy.latest.raise(self.latest.load(Ordering::Relaxed), Ordering::Relaxed);
        copy
    }

    /// The clock behind the ticks.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The tick that holds `time`.
    #[inline]
    pub fn tick(&self, time: Timestamp) -> Tick {
        self.resolution.tick(time)
    }

    /// How many ticks the clock may step back, and a hit lie ahead.
    pub fn skew(&self) -> u64 {
        self.skew
    }

    /// The tick now.
    ///
    /// Wait-free with the system clock (assuming that the kernel's clock page is: its readers repeat while it is
    /// updated): one clock reading, one load, and on entering a new tick one exchange, repeated at most once for every
    /// tick that another thread entered meanwhile.
    #[inline]
    pub fn now(&self) -> Tick {
        let tick = if self.source == Source::Seconds { Tick(SystemClock.coarse_seconds()) } else { self.read() };
        let latest = self.latest.load(Ordering::Relaxed);
        if tick == latest { tick } else { self.turn(tick, latest) }
    }

    #[inline(never)]
    fn read(&self) -> Tick {
        self.resolution.tick(if self.source == Source::Coarse { SystemClock.coarse() } else { self.clock.now() })
    }

    #[cold]
    #[inline(never)]
    fn turn(&self, tick: Tick, latest: Tick) -> Tick {
        if tick > latest {
            self.latest.raise(tick, Ordering::Relaxed);
            tick
        } else if latest.0 - tick.0 <= self.skew {
            latest
        } else {
            // The clock was set back for good. A thread that sees a newer time raises `latest` again.
            self.latest.store(tick, Ordering::Relaxed);
            tick
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u32) -> Timestamp {
        Timestamp::from(secs)
    }

    #[test]
    fn ticks_stand_still_over_a_small_step_back_and_follow_a_large_one() {
        let manual = ManualClock::new(at(1_000));
        let resolution = Resolution::new(Duration::from_secs(1)).expect("one second is a resolution");
        let ticks = TickClock::new(manual.clone().into(), resolution, 20);
        let mut seen = Vec::new();
        for time in [1_000, 980, 999, 1_001, 981, 980, 979, 2_000, 1_979, 1_979] {
            manual.set(at(time));
            seen.push(ticks.now().0);
        }
        assert_eq!(seen, [1_000, 1_000, 1_000, 1_001, 1_001, 980, 980, 2_000, 1_979, 1_979]);
    }

    #[test]
    fn the_coarse_clock_is_close_to_the_precise_one() {
        let coarse = SystemClock.coarse();
        let precise = SystemClock.now();
        let step = SystemClock::coarse_step().unwrap_or_default() + Duration::from_millis(500);
        assert!(coarse.as_duration() <= precise.as_duration() + step);
        assert!(precise.as_duration() <= coarse.as_duration() + step);
    }

    #[test]
    fn its_seconds_are_the_coarse_clocks() {
        for _ in 0..1_000 {
            let before = SystemClock.coarse().secs();
            let seconds = SystemClock.coarse_seconds();
            assert!((before..=SystemClock.coarse().secs()).contains(&seconds), "{before} {seconds}");
        }
    }

    #[test]
    fn each_width_reads_the_clock_that_suits_it() {
        let source = |resolution, clock: Clock| TickClock::new(clock, resolution, 0).source;
        let seconds = |width| Resolution::new(Duration::from_secs(width)).expect("a resolution");
        assert_eq!(source(Resolution::MICROSECOND, Clock::System), Source::Clock);
        assert_eq!(source(seconds(1), ManualClock::new(at(1)).into()), Source::Clock);
        if SystemClock::coarse_step().is_some() {
            assert_eq!(source(seconds(1), Clock::System), Source::Seconds);
            assert_eq!(source(seconds(2), Clock::System), Source::Coarse);
        }
    }

    #[test]
    fn advancing_beyond_9999_changes_nothing() {
        let clock = ManualClock::new(Timestamp::MAX);
        assert_eq!(clock.advance(Duration::from_nanos(1)), Err(TimeError::TooLate));
        assert_eq!(clock.advance(Duration::MAX), Err(TimeError::TooLate));
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
