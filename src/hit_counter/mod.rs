//! [`HitCounter`]: one window, one clock, one strategy.
//!
//! Tests: `tests/conformance`, `tests/merge`.

mod ledger;
pub(crate) mod snapshot;
mod exchange;
pub(crate) mod builder;
pub(crate) mod windowed_uniques;

use std::fmt;
use std::time::Duration;

use self::ledger::Ledger;
use crate::cell::form::Form;
use crate::cell::hits::Bucket;
use crate::cell::outcome::{Outcome, Outcomes};
use crate::counter::Counter;
use crate::counter::copied::Copied;
use crate::counter::strategy::Strategy;
use crate::error::QueryError;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::time::clock::{Clock, TickClock};
use crate::time::{Resolution, Tick, Timestamp};
use crate::window::geometry::Geometry;
use crate::window::sparse::Added;
use crate::window::{Reading, Span};

/// Counts hits from any thread and answers how many there were in the last N seconds.
///
/// A query at time `t` over `last` counts the ticks in `(t - last, t]`: with a window of 300 seconds a hit at second 1
/// is counted at second 300 and no longer at 301. (Some limiters and textbooks close the window on both sides; this
/// one does not.)
///
/// Recording with the default strategy is wait-free and shares nothing between threads. A count taken beside writers
/// includes every hit whose call returned before the query began, and none whose call began after it ended. While no thread writes,
/// the count is exact. A count is never silently low: a range that newer hits have overwritten is an error.
///
/// ```
/// use hitring::{HitCounter, Outcome, Timestamp};
/// use std::time::Duration;
///
/// let counter = HitCounter::new();
/// let _ = counter.record(1);                      // now
/// assert_eq!(counter.count()?, 1);
///
/// // With timestamps of your own:
/// let counter = HitCounter::new();
/// let at = |secs: u32| Timestamp::from(secs);
/// for second in [1, 2, 3, 300] {
///     assert_eq!(counter.record_at(at(second), 1), Outcome::Counted);
/// }
/// assert_eq!(counter.count_at(at(300), Duration::from_secs(300))?, 4);
/// assert_eq!(counter.count_at(at(301), Duration::from_secs(300))?, 3);
/// # Ok::<(), hitring::QueryError>(())
/// ```
pub struct HitCounter {
    clock: TickClock,
    /// Whether hits with timestamps of their own are held against the clock.
    guarded: bool,
    /// Ticks are seconds and nothing is held against the clock: hits may go to the counter as they are.
    plain: bool,
    geometry: Geometry,
    counter: Counter,
    /// The window in ticks of the counter's grain.
    window: u64,
    /// How many other writers' cells have been merged in; read by every query, so that those without pay one load.
    merged: AtomicU64,
    ledger: Mutex<Ledger>,
}

impl HitCounter {
    pub(crate) fn from_parts(clock: TickClock, guarded: bool, geometry: Geometry, counter: Counter) -> Self {
        let window = geometry.resolution().width() * geometry.window();
        let grain = counter.input(&geometry);
        let window = grain.ticks(window).expect("a tick is a whole number of grains");
        let plain = !guarded && grain.is_second();
        Self {
            clock,
            guarded,
            plain,
            geometry,
            counter,
            window,
            merged: AtomicU64::new(0),
            ledger: Mutex::new(Ledger::new()),
        }
    }

    /// Counts `amount` hits now.
    ///
    /// `amount` is from 0 to 2^63 - 1; 0 is `Counted` and does nothing else, one that does not fit into the tick is
    /// `Saturated` and not counted in part.
    ///
    /// Wait-free with the striped strategy and the system clock; see the guarantee table.
    #[inline]
    pub fn record(&self, amount: u64) -> Outcome {
        self.record_tick(self.clock.now(), amount)
    }

    #[inline(always)]
    fn record_tick(&self, tick: Tick, amount: u64) -> Outcome {
        if self.counter.record_current(&self.geometry, tick, amount) {
            Outcome::Counted
        } else {
            self.record_any(tick, amount)
        }
    }

    #[inline(never)]
    fn record_any(&self, tick: Tick, amount: u64) -> Outcome {
        match self.counter.record(&self.geometry, tick, amount) {
            Added::Done(outcome) => outcome,
            // Only the sparse form of a registry's endpoint is ever full in this sense.
            Added::Full => Outcome::Refused,
        }
    }

    /// Counts `amount` hits at `at`.
    ///
    /// Times need not come in order. A hit is `Late` when its slot already belongs to a newer tick: more than
    /// `slots() - 1` ticks behind the newest hit at the same place of the ring. Where a clock or a `max_skew` was
    /// given, a hit further ahead of the clock than `max_skew` is `Future`; without, a hit stamped far ahead is
    /// believed, and spoils one slot until the ring has come round to it.
    #[inline(always)]
    pub fn record_at(&self, at: Timestamp, amount: u64) -> Outcome {
        if self.plain { self.record_tick(Tick(at.secs()), amount) } else { self.record_at_other(at, amount) }
    }

    #[inline(never)]
    fn record_at_other(&self, at: Timestamp, amount: u64) -> Outcome {
        let tick = self.clock.tick(at);
        if self.guarded && tick.0 > self.clock.now().0.saturating_add(self.clock.skew()) && amount > 0 {
            self.counter.refuse(&self.geometry, Outcome::Future, amount);
            return Outcome::Future;
        }
        self.record_any(tick, amount)
    }

    /// The hits of the whole window up to now.
    ///
    /// # Errors
    /// [`QueryError::WindowExpired`] if hits stamped in the future have overwritten part of the window, which cannot
    /// happen with a configured clock.
    #[inline]
    pub fn count(&self) -> Result<u64, QueryError> {
        self.count_now(self.window)
    }

    /// The hits of the `last` up to now.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at).
    pub fn count_last(&self, last: Duration) -> Result<u64, QueryError> {
        self.count_now(self.ticks(last)?)
    }

    #[inline]
    fn count_now(&self, ticks: u64) -> Result<u64, QueryError> {
        let now = self.clock.now();
        match self.recall(now, ticks) {
            Some(count) => Ok(count),
            None => self.count_now_any(now, ticks),
        }
    }

    #[inline(never)]
    fn count_now_any(&self, mut now: Tick, ticks: u64) -> Result<u64, QueryError> {
        loop {
            let reading = self.sum(now, ticks, || true);
            if reading.exact {
                return Ok(reading.count);
            }
            // A reader that was stopped for longer than the slack asks about a time that is gone by now.
            let later = self.clock.now();
            if later == now {
                return Err(self.expired(now, ticks));
            }
            now = later;
        }
    }

    /// The hits in `(at - last, at]`.
    ///
    /// # Errors
    /// [`QueryError::WindowExpired`] if newer hits have overwritten part of that range,
    /// [`QueryError::LongerThanWindow`] or [`QueryError::NotWhole`] if `last` is not possible.
    #[inline]
    pub fn count_at(&self, at: Timestamp, last: Duration) -> Result<u64, QueryError> {
        let (to, ticks) = (self.clock.tick(at), self.ticks(last)?);
        match self.recall(to, ticks) {
            Some(count) => Ok(count),
            None => self.count_at_any(to, ticks),
        }
    }

    #[inline(never)]
    fn count_at_any(&self, to: Tick, ticks: u64) -> Result<u64, QueryError> {
        let reading = self.sum(to, ticks, || self.is_past(to));
        if reading.exact { Ok(reading.count) } else { Err(self.expired(to, ticks)) }
    }

    /// Counts one hit at `at`, as LeetCode 362 asks; [`outcomes`](Self::outcomes) tells what became of it.
    #[inline]
    pub fn hit(&self, at: Timestamp) {
        let _ = self.record_at(at, 1);
    }

    /// The hits of the window up to `at` that are still there, as LeetCode 362 asks. Unlike
    /// [`count_at`](Self::count_at) it answers without those that newer hits have overwritten.
    #[must_use]
    #[inline]
    pub fn get_hits(&self, at: Timestamp) -> u64 {
        let to = if self.plain { Tick(at.secs()) } else { self.clock.tick(at) };
        match self.recall(to, self.window) {
            Some(count) => count,
            None => self.get_hits_any(to),
        }
    }

    #[inline(never)]
    fn get_hits_any(&self, to: Tick) -> u64 {
        self.sum(to, self.window, || self.is_past(to)).count
    }

    /// [`get_hits`](Self::get_hits) now.
    #[must_use]
    pub fn get_hits_now(&self) -> u64 {
        let now = self.clock.now();
        self.recall(now, self.window).unwrap_or_else(|| self.sum(now, self.window, || true).count)
    }

    /// The hits of each tick in the `last` up to now, oldest first.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at); `last` must be a whole number of ticks, whatever the strategy.
    pub fn buckets(&self, last: Duration) -> Result<Vec<Bucket>, QueryError> {
        self.buckets_to(self.clock.now(), last)
    }

    /// The hits of each tick in `(at - last, at]`, oldest first; that of `at` itself holds the hits up to `at`.
    ///
    /// # Errors
    /// As [`buckets`](Self::buckets).
    pub fn buckets_at(&self, at: Timestamp, last: Duration) -> Result<Vec<Bucket>, QueryError> {
        self.buckets_to(self.clock.tick(at), last)
    }

    fn buckets_to(&self, to: Tick, last: Duration) -> Result<Vec<Bucket>, QueryError> {
        let resolution = self.geometry.resolution();
        let ticks = resolution.ticks(last).ok_or(QueryError::NotWhole { last, resolution: resolution.width() })?;
        let grains = self.ticks(last)?;
        let width = self.grain().ticks(resolution.width()).expect("a tick is a whole number of grains");
        let newest = to.0 / width;
        let mut buckets = Vec::new();
        for tick in (newest + 1).saturating_sub(ticks)..=newest {
            if ticks == 0 {
                break;
            }
            let span = Span { first: Tick(tick * width), to: Tick((tick * width + width - 1).min(to.0)) };
            let reading = self.sum_span(span, false);
            if !reading.exact {
                return Err(self.expired(to, grains));
            }
            buckets.push(Bucket { start: resolution.start(Tick(tick)), count: reading.count });
        }
        Ok(buckets)
    }

    /// Hits a second over the `last` up to now; 0 if `last` is 0.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at).
    pub fn rate(&self, last: Duration) -> Result<f64, QueryError> {
        Ok(per_second(self.count_last(last)?, last))
    }

    /// Hits a second in `(at - last, at]`; 0 if `last` is 0.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at).
    pub fn rate_at(&self, at: Timestamp, last: Duration) -> Result<f64, QueryError> {
        Ok(per_second(self.count_at(at, last)?, last))
    }

    /// What became of all hits since the counter was made, those of merged counters included. The tallies only grow,
    /// also over a [`reset`](Self::reset).
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.tallies(&mut self.ledger.lock())
    }

    fn tallies(&self, ledger: &mut Ledger) -> Outcomes {
        let others = ledger.tallies.values().fold(Outcomes::default(), |sum, &tally| sum.plus(tally));
        ledger.floor = ledger.floor.max(self.counter.outcomes(&self.geometry).plus(others));
        ledger.floor
    }

    /// The number of slots of a ring: window and slack in ticks, at least 64.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.form().slots as usize
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.geometry.resolution().width() * self.geometry.window()
    }

    /// The width of a tick.
    #[must_use]
    pub fn resolution(&self) -> Duration {
        self.geometry.resolution().width()
    }

    /// The slack, in slots.
    #[must_use]
    pub fn slack(&self) -> u32 {
        self.geometry.slack()
    }

    /// The strategy.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.counter.strategy()
    }

    /// How far ahead of the clock a hit may be stamped, if that is checked at all.
    #[must_use]
    pub fn max_skew(&self) -> Option<Duration> {
        self.guarded.then(|| self.skew())
    }

    fn skew(&self) -> Duration {
        self.grain().start(Tick(self.clock.skew())).as_duration()
    }

    /// Where the time comes from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.clock.clock()
    }

    /// The bytes the counter takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let others = self.ledger.lock().others.values().map(Copied::bytes).sum::<usize>();
        size_of::<Self>() + self.counter.bytes() + others
    }

    /// The width of the ticks that the counter is given.
    fn grain(&self) -> Resolution {
        self.counter.input(&self.geometry)
    }

    fn form(&self) -> Form {
        self.counter.form(&self.geometry)
    }

    /// How many grains `last` is.
    #[inline]
    fn ticks(&self, last: Duration) -> Result<u64, QueryError> {
        let grain = self.grain();
        let ticks = grain.ticks(last).ok_or(QueryError::NotWhole { last, resolution: grain.width() })?;
        if ticks > self.window {
            return Err(QueryError::LongerThanWindow { last, window: self.window() });
        }
        Ok(ticks)
    }

    /// The hits of the `ticks` that end with `to`, if the last query's sum serves.
    #[inline(always)]
    fn recall(&self, to: Tick, ticks: u64) -> Option<u64> {
        if self.merged.load(Ordering::Acquire) == 0 {
            self.counter.recall(&self.geometry, Span::ending(to, ticks)?)
        } else {
            None
        }
    }

    /// The hits of the `ticks` that end with `to`; `remember` is asked whether the next query may use the sum.
    fn sum(&self, to: Tick, ticks: u64, remember: impl FnOnce() -> bool) -> Reading {
        Span::ending(to, ticks).map_or(Reading::NONE, |span| self.sum_span(span, remember()))
    }

    fn sum_span(&self, span: Span, remember: bool) -> Reading {
        let reading = self.counter.sum(&self.geometry, span, remember);
        if self.merged.load(Ordering::Acquire) == 0 {
            return reading;
        }
        let ledger = self.ledger.lock();
        ledger.others.values().map(|copied| copied.sum(span)).fold(reading, Reading::plus)
    }

    /// Whether a query at `to` may leave a sum behind: one in the future would make every hit before it a hit into a
    /// closed tick. Without a clock to go by, the future begins after the tick that follows the newest hit.
    fn is_past(&self, to: Tick) -> bool {
        to <= if self.guarded { self.clock.now() } else { Tick(self.counter.newest(&self.geometry).0 + 1) }
    }

    #[cold]
    fn expired(&self, to: Tick, ticks: u64) -> QueryError {
        let grain = self.grain();
        let last = grain.start(Tick(ticks)).as_duration();
        QueryError::WindowExpired { at: grain.start(to), last }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is a float")]
fn per_second(count: u64, last: Duration) -> f64 {
    if last.is_zero() { 0.0 } else { count as f64 / last.as_secs_f64() }
}

impl Default for HitCounter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HitCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HitCounter")
            .field("window", &self.window())
            .field("resolution", &self.resolution())
            .field("slack", &self.slack())
            .field("strategy", &self.strategy())
            .field("max_skew", &self.max_skew())
            .field("clock", self.clock())
            .finish_non_exhaustive()
    }
}
