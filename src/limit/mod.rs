//! Rate limits: whether something may be done now, so that no more is done than so much in so much time.
//!
//! | form | made by | lets through | memory |
//! |---|---|---|---|
//! | log ([`log`]) | a rate of up to 64 | at most the limit in *any* span of the window, and all of it | 8 bytes for each unit of the limit |
//! | sliding window ([`sliding`]) | a higher rate, or a `resolution` | the same, but what leaves the window is noticed up to one of its 60 parts later | 8 bytes for each part |
//! | several together ([`many`]) | several rates | what all of these let through | 8 bytes for each word of theirs |
//! | token bucket ([`bucket`]) | a rate and a `burst` | at most `burst + time * rate` in any time | 8 bytes |
//!
//! [`divisor`] and [`units`] divide quickly, [`plan`] is any of the forms, [`keyed`] has a state for each of its [`keys`], [`rate`] reads
//! rates, [`history`] carries what was let through to another rate, [`scale`] is the time of all.
//! Their words lie in a [`place`]: in memory, or in a [`slot`] of the words that [`shared`] shares between processes, which agree upon a
//! [rate](shared_rate).
//!
//! # Under threads
//! A count of a window cannot limit, because a reader that saw room may find it taken before it acts on what it saw. Here the word
//! that a decision is made on is the word that it changes, by one exchange that expects it unchanged. So if two threads want the
//! last unit, one of them is refused. A cost that is refused changes nothing.
//!
//! # Guarantees
//! | method | progress |
//! |---|---|
//! | `allow`, `peek` | lock-free: an exchange is lost only to a cost that was let through; a sliding window notes each part of the window that began since the last cost, at most all of them, a log each unit of the cost |
//! | `KeyedLimiter::allow` | the same, after a lock-free look-up; a new key allocates, may drop up to 32 others, and may wait for another new key |
//! | `set_rate` | waits for another change. Decisions do not wait for it: one that finds a state of the old rate makes its successor itself |
//!
//! Tests: `tests/models/limit.rs`.

pub mod divisor;
pub mod place;
pub mod rate;
pub mod decision;
pub mod wait;
pub mod units;
pub mod history;
pub mod bucket;
pub mod log;
pub mod sliding;
pub mod many;
pub mod plan;
pub mod scale;
pub mod keys;
pub mod keyed;
pub mod slot;
pub mod shared;
pub mod shared_rate;

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

pub use self::keys::WhenKeysFull;

use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::keys::Keys;
use crate::limit::plan::{Form, State, Version};
use crate::limit::rate::{Rate, Rates};
use crate::limit::scale::Scale;
use crate::time::Timestamp;
use crate::time::clock::Clock;

/// Into how many parts a sliding window is cut, unless told otherwise.
const TICKS: u64 = 60;

/// Lets through no more than so much in so much time, exactly, from any number of threads, without a lock.
///
/// ```
/// use hitring::{Limiter, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new(1_700_000_000u32.into());
/// let limiter = Limiter::builder("2/minute".parse()?).clock(clock.clone()).build()?;
/// assert!(limiter.allow(1).allowed);
/// assert_eq!(limiter.allow(1).remaining, 0);
/// let refused = limiter.allow(1);
/// assert!(!refused.allowed && refused.retry_after == Some(Duration::from_secs(60)));
/// clock.advance(Duration::from_secs(60))?;
/// assert!(limiter.allow(2).allowed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A limit of up to 64 is exact: a cost is let through if it fits beside what came in the window before it. A higher one may
/// refuse for up to a sixtieth of the window longer, which [`LimiterBuilder::resolution`] changes.
#[derive(Debug)]
pub struct Limiter {
    first: Version,
    scale: Scale,
    state: State,
    changed: OnceLock<Box<Changed>>,
}

/// What a limiter is from its first change on.
#[derive(Debug)]
struct Changed {
    /// The rates of the first change. They are known before the first state is frozen.
    second: Version,
    keys: OnceLock<Keys<Only>>,
}

/// The key of a limiter without keys, after its rate was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Only;

impl From<&Self> for Only {
    fn from(only: &Self) -> Self {
        *only
    }
}

impl Limiter {
    /// At most `limit` in any `window`, by the system clock.
    ///
    /// # Errors
    /// [`LimitError`] unless the limit is 1 to 2^32, the window 1 ms to 100 years, and both fit together.
    pub fn new(limit: u64, window: Duration) -> Result<Self, LimitError> {
        Self::builder(Rate::new(limit, window)?).build()
    }

    /// A token bucket, another resolution or another clock.
    pub fn builder(rate: Rate) -> LimiterBuilder {
        Self::together(rate.into())
    }

    /// Several rates that are decided together: a cost is let through if all let it through, and else takes nothing from any.
    ///
    /// ```
    /// use hitring::{Limiter, ManualClock};
    ///
    /// let clock = ManualClock::new(1_700_000_000u32.into());
    /// let limiter = Limiter::together("5/second;100/hour".parse()?).clock(clock).build()?;
    /// assert!(limiter.allow(5).allowed && !limiter.allow(1).allowed);
    /// assert_eq!(limiter.allow(1).which, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn together(rates: Rates) -> LimiterBuilder {
        LimiterBuilder { rates, burst: None, resolution: None, max_skew: None, clock: None }
    }

    /// Lets `cost` through now, or refuses it whole.
    #[inline(always)]
    pub fn allow(&self, cost: u64) -> Decision {
        self.decide(self.scale.now(), cost, true).later(self.scale.lag())
    }

    /// The same at `at`. Time does not go back: in a window what is earlier than the newest time at which something was let
    /// through is decided as of that; in a bucket it finds fewer tokens than there are.
    ///
    /// A time that lies ahead of the clock by more than [`max_skew`](LimiterBuilder::max_skew) is refused, as
    /// [`is_future`](Decision::is_future) says. Without a clock and a `max_skew` all times are taken, and one that lies in the far
    /// future shuts the limiter until then.
    pub fn allow_at(&self, at: Timestamp, cost: u64) -> Decision {
        self.decide_at(at, cost, true)
    }

    /// Lets `cost` through as soon as there is room for it, and sleeps until then; after `timeout`, or if waiting does not help, the
    /// decision that refused it.
    ///
    /// It is known beforehand whether a wait ends within the timeout, so a cost that would wait longer is refused at once. There is no
    /// queue: costs that wait ask again when they wake, beside those that come then.
    pub fn acquire(&self, cost: u64, timeout: Option<Duration>) -> Decision {
        wait::blocking(timeout, || self.allow(cost))
    }

    /// The same in a task, for any runtime: `sleep` is its timer, for example `tokio::time::sleep`.
    pub async fn acquire_async<F: Future<Output = ()>>(
        &self,
        cost: u64,
        timeout: Option<Duration>,
        sleep: impl FnMut(Duration) -> F,
    ) -> Decision {
        wait::sleeping(timeout, sleep, || self.allow(cost)).await
    }

    /// What `allow(cost)` would say now, but with all that remains; nothing is taken.
    pub fn peek(&self, cost: u64) -> Decision {
        self.decide(self.scale.now(), cost, false).later(self.scale.lag())
    }

    /// The same at `at`.
    pub fn peek_at(&self, at: Timestamp, cost: u64) -> Decision {
        self.decide_at(at, cost, false)
    }

    fn decide_at(&self, at: Timestamp, cost: u64, take: bool) -> Decision {
        if self.scale.is_future(at) {
            return Decision::future(self.decide(self.scale.now(), 0, false).remaining);
        }
        self.decide(self.scale.at(at), cost, take)
    }

    #[inline(always)]
    fn decide(&self, now: u64, cost: u64, take: bool) -> Decision {
        match self.first.plan.decide(&self.state, now, cost, take) {
            Some(decision) => decision,
            None => self.decide_changed(now, cost, take),
        }
    }

    #[cold]
    #[inline(never)]
    fn decide_changed(&self, now: u64, cost: u64, take: bool) -> Decision {
        // A bucket is read without an order: this one acquires what its freezing released.
        let _ = self.state.is_closed();
        let changed = self.changed.get().expect("it is known before the state is frozen");
        self.keys(changed, || now).decide(&Only, now, cost, take)
    }

    /// The state after the first change. Each thread that comes early makes one, of the same state, as of `now` at most. So a cost
    /// that came in the running tick after the change was asked for is not recorded as older than it is.
    fn keys<'a>(&self, changed: &'a Changed, now: impl FnOnce() -> u64) -> &'a Keys<Only> {
        if changed.keys.get().is_none() {
            let keys = Keys::new(changed.second.clone(), usize::MAX, WhenKeysFull::Refuse);
            self.state.freeze();
            keys.adopt(|| Only, &self.first, &self.state, now());
            // Another thread may have been quicker.
            let _ = changed.keys.set(keys);
        }
        changed.keys.get().expect("it was set")
    }

    /// The state after the first change, which is made if there was none.
    fn keys_after(&self, second: impl FnOnce() -> Version, now: impl FnOnce() -> u64) -> &Keys<Only> {
        self.keys(self.changed.get_or_init(|| Box::new(Changed { second: second(), keys: OnceLock::new() })), now)
    }

    /// Changes the rates while the limiter is used. What was let through counts on.
    ///
    /// ```
    /// use hitring::{Limiter, ManualClock, Rate};
    ///
    /// let clock = ManualClock::new(1_700_000_000u32.into());
    /// let limiter = Limiter::builder("10/minute".parse()?).clock(clock).build()?;
    /// assert!(limiter.allow(7).allowed);
    /// limiter.set_rate("8/minute".parse::<Rate>()?, None)?;
    /// assert_eq!(limiter.peek(1).remaining, 1);
    /// limiter.set_rate("5/minute".parse::<Rate>()?, None)?;
    /// assert!(!limiter.allow(1).allowed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A window counts what came within the new window, as far as it lies within the old one: what had left that is not known any
    /// more. From a window that slides in parts, a cost counts as of the end of its part, with each change of the window anew. A token bucket lacks as many tokens as
    /// before, also if that is more than it holds, and is refilled at the new rate from now on. It keeps its burst unless `burst` gives another. A limit of up
    /// to 64 that was higher before slides in parts, too, so that it still knows all of it if it is raised again.
    ///
    /// Decisions that begin after it returned are by the new rates. It waits for other changes, and decisions do not wait for it. After
    /// the first change a decision takes a few nanoseconds longer. The same rates again change nothing.
    ///
    /// # Errors
    /// [`LimitError`] if the rates cannot be kept so, or a burst is given for a window; then nothing is changed.
    pub fn set_rate(&self, rates: impl Into<Rates>, burst: Option<u64>) -> Result<(), LimitError> {
        self.change(rates.into(), burst, self.scale.now(), || self.scale.now())
    }

    /// The same as of `at`, for a limiter that is given the times of costs; no earlier than the newest of these.
    ///
    /// # Errors
    /// As [`set_rate`](Self::set_rate).
    pub fn set_rate_at(&self, at: Timestamp, rates: impl Into<Rates>, burst: Option<u64>) -> Result<(), LimitError> {
        let now = if self.scale.is_guarded() { self.scale.now() } else { u64::MAX };
        self.change(rates.into(), burst, self.scale.at(at).min(now), || 0)
    }

    fn change(&self, rates: Rates, burst: Option<u64>, since: u64, now: impl Fn() -> u64) -> Result<(), LimitError> {
        let keys = if let Some(changed) = self.changed.get() {
            self.keys(changed, &now)
        } else {
            let first = self.first.changed(rates, burst, since)?;
            if first.is_same(&self.first) {
                return Ok(());
            }
            // If another change is quicker, this one comes after it.
            self.keys_after(|| first, &now)
        };
        keys.change(|before| before.changed(rates, burst, since), now, |version| self.scale.suit(version))
    }

    /// Forgets what was let through. A cost that is decided meanwhile counts or does not.
    pub fn reset(&self) {
        self.keys_after(|| self.first.clone(), || 0).reset(&Only);
    }

    /// How much in how much time; of several rates the first.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.version(|version| version.rate(0))
    }

    /// All rates that it keeps together.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.version(Version::rates)
    }

    /// How much may come at once, in a token bucket.
    #[must_use]
    pub fn burst(&self) -> Option<u64> {
        self.version(|version| version.form.burst)
    }

    /// What `says` says of the rates that hold now.
    #[doc(hidden)]
    #[inline(always)]
    pub fn version<T>(&self, says: impl FnOnce(&Version) -> T) -> T {
        match self.changed.get() {
            None => says(&self.first),
            Some(changed) => says(&self.keys(changed, || self.scale.now()).version()),
        }
    }

    /// The bytes it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let changed = self
            .changed
            .get()
            .map_or(0, |changed| size_of::<Changed>() + self.keys(changed, || self.scale.now()).bytes());
        size_of::<Self>() + self.first.plan.bytes() + changed
    }
}

/// The parts of a [`Limiter`] or a [`KeyedLimiter`](keyed::KeyedLimiter) before it is built.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LimiterBuilder {
    rates: Rates,
    burst: Option<u64>,
    resolution: Option<Duration>,
    max_skew: Option<Duration>,
    clock: Option<Clock>,
}

impl LimiterBuilder {
    /// Makes it a token bucket: so many may come at once, and then as many in a window as the rate says.
    pub fn burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// The step in which the window slides. By default a limit of up to 64 has none, as it is kept as a log, and a higher one has a
    /// sixtieth of the window. Finer steps let a cost wait less long for what is about to leave, and take 8 bytes each. A token
    /// bucket has none.
    pub fn resolution(mut self, resolution: Duration) -> Self {
        self.resolution = Some(resolution);
        self
    }

    /// How far the time of a cost may lie ahead of the clock: a window by default. Giving it, or a clock, makes
    /// [`allow_at`](Limiter::allow_at) refuse costs from the future.
    pub fn max_skew(mut self, max_skew: Duration) -> Self {
        self.max_skew = Some(max_skew);
        self
    }

    /// Where the time comes from: a steady clock by default, that no change of the wall clock moves. Giving a clock, even the
    /// system's, makes [`allow_at`](Limiter::allow_at) refuse costs from the future.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// The limiter.
    ///
    /// # Errors
    /// [`LimitError`] if the parts do not fit together; it says which and what would.
    pub fn build(self) -> Result<Limiter, LimitError> {
        let (first, scale) = self.parts(TICKS)?;
        let state = first.plan.state(0);
        Ok(Limiter { first, scale, state, changed: OnceLock::new() })
    }

    fn parts(self, ticks: u64) -> Result<(Version, Scale), LimitError> {
        let form = Form { burst: self.burst, resolution: self.resolution, ticks, known: 0 };
        let version = Version::new(self.rates, form)?;
        let scale = Scale::new(self.clock, self.max_skew, &version);
        Ok((version, scale))
    }
}
