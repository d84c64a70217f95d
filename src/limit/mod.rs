//! Rate limits: whether something may be done now, so that no more is done than so much in so much time.
//!
//! | form | made by | lets through | memory |
//! |---|---|---|---|
//! | log ([`log`]) | a rate of up to 64 | at most the limit in *any* span of the window, and all of it | 8 bytes for each unit of the limit |
//! | sliding window ([`sliding`]) | a higher rate, or a `resolution` | the same, but what leaves the window is noticed up to one of its 60 parts later | 8 bytes for each part |
//! | several together ([`many`]) | several rates | what all of these let through | 8 bytes for each word of theirs |
//! | token bucket ([`bucket`]) | a rate and a `burst` | at most `burst + time * rate` in any time | 8 bytes |
//!
//! [`divisor`] and [`units`] divide quickly, [`keyed`] has one of these for each key, [`rate`] reads rates, [`scale`] is the time of
//! all.
//! Their words lie in a [`place`]: in memory, or in a [`slot`] of the words that [`shared`] shares between processes.
//!
//! # Under threads
//! A count of a window cannot limit: a reader that saw room may find it taken before it acts on what it saw. Here the word
//! that a decision is made on is the word that it changes, by one exchange that expects it unchanged: of two who want the
//! last unit one is refused. A cost that is refused changes nothing.
//!
//! # Guarantees
//! | method | progress |
//! |---|---|
//! | `allow`, `peek` | lock-free: an exchange is lost only to a cost that was let through; a sliding window notes each part of the window that began since the last cost, at most all of them, a log each unit of the cost |
//! | `KeyedLimiter::allow` | the same, after a lock-free look-up; a new key allocates, may drop up to 32 others, and may wait for another new key |
//!
//! Tests: `tests/models/limit.rs`.

pub mod divisor;
pub mod place;
pub mod rate;
pub mod decision;
pub mod wait;
pub mod units;
pub mod bucket;
pub mod scale;
pub mod keyed;
pub mod log;
pub mod sliding;
pub mod many;
pub mod slot;
pub mod shared;

use std::future::Future;
use std::time::Duration;

use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::place::{Place, Words};
use crate::limit::rate::{Rate, Rates};
use crate::limit::scale::Scale;
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Timestamp;
use crate::time::clock::Clock;

/// The word of what was dropped. No time and no state comes to it.
const CLOSED: u64 = u64::MAX;

/// What happens to a new key when there are as many as may be, and no idle one is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenKeysFull {
    /// Its costs are refused: nothing gets past the limit.
    #[default]
    Refuse,
    /// Its costs are let through, unlimited.
    Allow,
}

/// Into how many parts a sliding window is cut, unless told otherwise.
const TICKS: u64 = 60;

/// Closes what is in `seen`, unless somebody changed it.
fn close(word: &AtomicU64, seen: u64) -> bool {
    // unnoticed: a closed state is closed for good, and a thread that finds it uses nothing else
    mutated!(LimitDropsOpen) || word.compare_exchange(seen, CLOSED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// How a limiter limits.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub enum Plan {
    Bucket(bucket::Plan),
    Log(log::Plan),
    Sliding(sliding::Plan),
    Many(Box<many::Plan>),
}

/// What it needs for each of those it limits.
#[derive(Debug)]
#[doc(hidden)]
pub enum State {
    Bucket(AtomicU64),
    Window(Words),
}

impl State {
    fn word(&self) -> &AtomicU64 {
        match self {
            Self::Bucket(word) => word,
            Self::Window(words) => words.state(),
        }
    }

    /// Whether it was closed, for good.
    pub fn is_closed(&self) -> bool {
        // unnoticed: nothing else is read after it
        self.word().load(Ordering::Relaxed) == CLOSED
    }

    /// Closes it, whatever it says: a cost that is on its way finds it closed, and counts in the next one.
    pub fn close_at_once(&self) {
        // unnoticed: a closed state is closed for good, and a thread that finds it uses nothing else
        self.word().swap(CLOSED, Ordering::AcqRel);
    }
}

impl Plan {
    /// Nothing was let through up to `now`.
    pub fn state(&self, now: u64) -> State {
        match self {
            Self::Bucket(plan) => State::Bucket(AtomicU64::new(plan.word(now))),
            Self::Log(plan) => State::Window(plan.log(now)),
            Self::Sliding(plan) => State::Window(plan.window(now)),
            Self::Many(plan) => State::Window(plan.words(now)),
        }
    }

    /// Decides on `cost` at `now`, and takes it with `take`; `None` if the state was closed.
    #[inline(always)]
    pub fn decide(&self, state: &State, now: u64, cost: u64, take: bool) -> Option<Decision> {
        match (self, state) {
            (Self::Bucket(plan), State::Bucket(word)) => plan.decide(word, now, cost, take),
            (Self::Log(plan), State::Window(words)) => plan.decide(words, now, cost, take),
            (Self::Sliding(plan), State::Window(words)) => plan.decide(words, now, cost, take),
            (Self::Many(plan), State::Window(words)) => plan.decide(words, now, cost, take),
            _ => unreachable!("a state is of its plan"),
        }
    }

    /// Whether a state is as good as a new one.
    pub fn is_fresh(&self, state: &State, now: u64) -> bool {
        let word = state.word().load(Ordering::Acquire);
        match (self, state) {
            (Self::Bucket(plan), State::Bucket(_)) => plan.is_fresh(word, now),
            (Self::Log(plan), State::Window(words)) => plan.is_fresh(words, word, now),
            (Self::Sliding(plan), State::Window(_)) => plan.is_fresh(word, now),
            (Self::Many(plan), State::Window(words)) => plan.is_fresh(words, word, now),
            _ => unreachable!("a state is of its plan"),
        }
    }

    /// Closes a state that is as good as a new one, unless somebody comes meanwhile.
    pub fn close(&self, state: &State, now: u64) -> bool {
        let word = state.word().load(Ordering::Acquire);
        word != CLOSED && self.is_fresh(state, now) && close(state.word(), word)
    }

    fn bytes(&self) -> usize {
        let bytes = |words: u64| size_of::<State>() + words as usize * size_of::<AtomicU64>();
        match self {
            Self::Bucket(_) => size_of::<State>(),
            Self::Log(plan) => bytes(plan.slots()),
            Self::Sliding(plan) => bytes(plan.slots()),
            Self::Many(plan) => bytes(plan.slots()),
        }
    }

    fn fine(&self) -> Duration {
        match self {
            Self::Bucket(plan) => plan.fine(),
            Self::Log(plan) => plan.fine(),
            Self::Sliding(plan) => plan.fine(),
            Self::Many(plan) => plan.fine(),
        }
    }
}

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
    rates: Rates,
    burst: Option<u64>,
    plan: Plan,
    scale: Scale,
    state: State,
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
        self.plan.decide(&self.state, now, cost, take).expect("only keyed limiters close states")
    }

    /// How much in how much time; of several rates the first.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rates[0]
    }

    /// All rates that it keeps together.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// How much may come at once, in a token bucket.
    #[must_use]
    pub fn burst(&self) -> Option<u64> {
        self.burst
    }

    /// The bytes it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.plan.bytes()
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
        let burst = self.burst;
        let (rates, plan, scale) = self.parts(TICKS)?;
        let state = plan.state(0);
        Ok(Limiter { rates, burst, plan, scale, state })
    }

    fn parts(self, ticks: u64) -> Result<(Rates, Plan, Scale), LimitError> {
        let (rate, rates) = (self.rates[0], self.rates);
        let window = rate.window();
        let plan = match (self.burst, self.resolution) {
            (None, None) if rates.len() > 1 => Plan::Many(Box::new(many::Plan::new(rates, ticks)?)),
            _ if rates.len() > 1 => return Err(LimitError::Several),
            (Some(_), Some(given)) => return Err(LimitError::BucketResolution { given }),
            (Some(burst), None) => Plan::Bucket(bucket::Plan::new(rate, burst)?),
            (None, None) if rate.limit() <= log::MOST => Plan::Log(log::Plan::new(rate)),
            (None, None) => Plan::Sliding(sliding::Plan::new(rate, ticks)?),
            (None, Some(given)) => {
                let ticks = window.as_nanos().div_ceil(given.as_nanos().max(1));
                if given.is_zero() || given > window || ticks > 1 << 16 {
                    return Err(LimitError::Resolution { given, window });
                }
                Plan::Sliding(sliding::Plan::new(rate, ticks as u64)?)
            }
        };
        let is_guarded = self.clock.is_some() || self.max_skew.is_some();
        let max_skew = is_guarded.then(|| self.max_skew.unwrap_or(window));
        let scale = Scale::new(self.clock.unwrap_or_default(), plan.fine(), max_skew);
        Ok((rates, plan, scale))
    }
}
