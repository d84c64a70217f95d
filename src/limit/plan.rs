//! [`Plan`] and [`State`]: the forms of limits as one type, and what becomes of a state when its rate is changed.
//!
//! # States of a state
//! | its word | what it is | a decision | may be moved by |
//! |---|---|---|---|
//! | at most 2^63 - 1 | open | is made on it | a cost that is let through, by an exchange. A change of the rate: [`freeze`](State::freeze). The end of its key: `close` |
//! | the same, with the top bit | frozen: final, says what was let through | needs the [successor](Version::carry), which begins with that | the end of its key |
//! | [`CLOSED`] | forgotten | needs a new state | |
//!
//! A frozen word can be read and cannot be exchanged. So all threads that make a successor of a state make the same one, and a cost is
//! let through either by the state, and its successor knows of it, or by the successor. (Mutant `LimitCarriesOpen`.)
//!
//! # What a successor knows
//! What a bucket lacks, in parts of a token, as of the time of the change, also if it is more than it holds. Of windows the newest units, with their times
//! ([`history`](super::history)): as many as the highest limit that there ever was, so that a limit that is lowered and raised again
//! forgets nothing. A limit of up to 64 that was higher before therefore stays a sliding window. A window that was made longer does not
//! know what had left the shorter one before.
//!
//! Tests: `tests/models/limit.rs`, `tests/limit/changed.rs`.

use std::time::Duration;

use super::{bucket, log, many, sliding};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::history::History;
use crate::limit::place::{Place, Words};
use crate::limit::rate::{Rate, Rates};
use crate::sync::mutant::mutated;
use crate::sync::{AtomicU64, Ordering};

/// The word of what was dropped. No time and no state comes to it: of a frozen bucket only the one that is full 2^63 - 1 units after
/// the beginning.
const CLOSED: u64 = u64::MAX;

/// The bit of a frozen word.
const FROZEN: u64 = 1 << 63;

/// The largest word of an open state.
const MOST: u64 = FROZEN - 1;

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

    /// Whether it was frozen or forgotten, for good.
    pub fn is_closed(&self) -> bool {
        // A bucket is decided on without an order, so this acquires what its freezing released.
        self.word().load(Ordering::Acquire) > MOST
    }

    /// Makes it say for good what was let through; `false` if it was forgotten.
    pub fn freeze(&self) -> bool {
        if mutated!(LimitCarriesOpen) {
            return true;
        }
        // unnoticed: a frozen state is so for good, and its words beside are raised before the exchange that this one follows
        self.word().fetch_or(FROZEN, Ordering::AcqRel) != CLOSED
    }

    /// Forgets it, whatever it says: a cost that is on its way finds it closed, and counts in the next one. `false` if it was closed.
    pub fn forget(&self) -> bool {
        // unnoticed: a closed state is closed for good, and a thread that finds it uses nothing else
        self.word().swap(CLOSED, Ordering::AcqRel) <= MOST
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

    /// Whether an open state is as good as a new one.
    pub fn is_fresh(&self, state: &State, now: u64) -> bool {
        self.is_fresh_at(state, state.word().load(Ordering::Acquire), now)
    }

    fn is_fresh_at(&self, state: &State, word: u64, now: u64) -> bool {
        word <= MOST
            && match (self, state) {
                (Self::Bucket(plan), State::Bucket(_)) => plan.is_fresh(word, now),
                (Self::Log(plan), State::Window(words)) => plan.is_fresh(words, word, now),
                (Self::Sliding(plan), State::Window(_)) => plan.is_fresh(word, now),
                (Self::Many(plan), State::Window(words)) => plan.is_fresh(words, word, now),
                _ => unreachable!("a state is of its plan"),
            }
    }

    /// Forgets an open state that is as good as a new one, unless a cost comes meanwhile.
    pub fn close(&self, state: &State, now: u64) -> bool {
        let word = state.word().load(Ordering::Acquire);
        // unnoticed: a closed state is closed for good, and a thread that finds it uses nothing else
        let close = || state.word().compare_exchange(word, CLOSED, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        self.is_fresh_at(state, word, now) && (mutated!(LimitDropsOpen) || close())
    }

    /// What windows let through, up to a frozen `word`.
    fn history(&self, words: &Words, word: u64, now: u64) -> History {
        match self {
            Self::Log(plan) => plan.history(words, word),
            Self::Sliding(plan) => plan.history(words, word, now),
            Self::Many(plan) => plan.history(words, word, now),
            Self::Bucket(_) => unreachable!("a bucket has no words beside its own"),
        }
    }

    /// Windows that let this through; if it is nothing, then up to `newest`.
    fn remembering(&self, history: &History, newest: u64) -> State {
        let state = self.state(history.oldest_first().next().map_or(newest, |passed| passed.at));
        let State::Window(words) = &state else { unreachable!("a bucket has no history") };
        for passed in history.oldest_first() {
            // No other thread knows it yet.
            let word = words.state().load(Ordering::Relaxed);
            let next = match self {
                Self::Log(plan) => plan.record(words, word, passed.units, passed.at),
                Self::Sliding(plan) => plan.record(words, word, passed.units, passed.at),
                Self::Many(plan) => plan.record(words, word, passed.units, passed.at),
                Self::Bucket(_) => unreachable!("a bucket has no words beside its own"),
            };
            words.state().store(next, Ordering::Relaxed);
        }
        state
    }

    pub(super) fn bytes(&self) -> usize {
        let bytes = |words: u64| size_of::<State>() + words as usize * size_of::<AtomicU64>();
        match self {
            Self::Bucket(_) => size_of::<State>(),
            Self::Log(plan) => bytes(plan.slots()),
            Self::Sliding(plan) => bytes(plan.slots()),
            Self::Many(plan) => bytes(plan.slots()),
        }
    }

    /// The differences in time that matter.
    pub(super) fn fine(&self) -> Duration {
        match self {
            Self::Bucket(plan) => plan.fine(),
            Self::Log(plan) => plan.fine(),
            Self::Sliding(plan) => plan.fine(),
            Self::Many(plan) => plan.fine(),
        }
    }
}

/// What a plan is made of beside rates.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Form {
    pub burst: Option<u64>,
    pub resolution: Option<Duration>,
    /// Into how many parts a window is cut without a resolution.
    pub ticks: u64,
    /// How many units windows know at least: as many as the highest limit that there was.
    pub known: u64,
}

impl Form {
    /// The plan of `rates`.
    ///
    /// # Errors
    /// [`LimitError`] if the parts do not fit together.
    pub fn plan(&self, rates: Rates) -> Result<Plan, LimitError> {
        let rate = rates[0];
        let window = rate.window();
        Ok(match (self.burst, self.resolution) {
            (None, None) if rates.len() > 1 => Plan::Many(Box::new(many::Plan::new(rates, self.ticks, self.known)?)),
            _ if rates.len() > 1 => return Err(LimitError::Several),
            (Some(_), Some(given)) => return Err(LimitError::BucketResolution { given }),
            (Some(burst), None) => Plan::Bucket(bucket::Plan::new(rate, burst)?),
            (None, None) if rate.limit().max(self.known) <= log::MOST => Plan::Log(log::Plan::new(rate, self.known)),
            (None, None) => Plan::Sliding(sliding::Plan::knowing(rate, self.ticks, self.known)?),
            (None, Some(given)) => {
                let ticks = window.as_nanos().div_ceil(given.as_nanos().max(1));
                if given.is_zero() || given > window || ticks > 1 << 16 {
                    return Err(LimitError::Resolution { given, window });
                }
                Plan::Sliding(sliding::Plan::knowing(rate, ticks as u64, self.known)?)
            }
        })
    }
}

/// The rates of a limiter, until they are changed.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Version {
    /// The first rate, and all of them if there are several.
    rate: Rate,
    several: Option<Box<Rates>>,
    pub form: Form,
    pub plan: Plan,
    /// As of when they hold.
    since: u64,
}

impl Version {
    /// The rates that a limiter begins with.
    ///
    /// # Errors
    /// As [`Form::plan`].
    pub fn new(rates: Rates, form: Form) -> Result<Self, LimitError> {
        let several = (rates.len() > 1).then(|| Box::new(rates));
        Ok(Self { rate: rates[0], several, form, plan: form.plan(rates)?, since: 0 })
    }

    /// Other rates as of `since`; a token bucket keeps its burst unless there is another.
    ///
    /// # Errors
    /// As [`Form::plan`], and [`LimitError::NoBucket`] for the burst of a window.
    pub fn changed(&self, rates: Rates, burst: Option<u64>, since: u64) -> Result<Self, LimitError> {
        if let (None, Some(given)) = (self.form.burst, burst) {
            return Err(LimitError::NoBucket { given });
        }
        let form = Form { burst: burst.or(self.form.burst), known: self.known(), ..self.form };
        Ok(Self { since, ..Self::new(rates, form)? })
    }

    /// Whether the rates are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.rates() == other.rates() && self.form.burst == other.form.burst
    }

    /// All rates.
    pub fn rates(&self) -> Rates {
        self.several.as_deref().copied().unwrap_or_else(|| self.rate.into())
    }

    /// Whether there is more than one rate.
    pub const fn has_several(&self) -> bool {
        self.several.is_some()
    }

    /// One of the rates, by its place.
    #[inline]
    pub fn rate(&self, which: u8) -> Rate {
        let rate = |rates: &Rates| rates.get(usize::from(which)).copied();
        self.several.as_deref().and_then(rate).unwrap_or(self.rate)
    }

    /// How many units its windows know: the highest limit that there ever was.
    fn known(&self) -> u64 {
        self.rates().iter().map(|rate| rate.limit()).fold(self.form.known, u64::max)
    }

    /// A state with what the frozen `state` of `before` let through up to `now`. If that is nothing it begins at `newest`.
    pub fn carry(&self, before: &Self, state: &State, newest: u64, now: u64) -> State {
        let word = state.word().load(Ordering::Acquire) & MOST;
        match (&self.plan, &before.plan, state) {
            (Plan::Bucket(plan), Plan::Bucket(before), _) => State::Bucket(AtomicU64::new(
                plan.word_of::<AtomicU64>(before.debt::<AtomicU64>(word, self.since), self.since),
            )),
            (_, before, State::Window(words)) => {
                self.plan.remembering(&before.history(words, word, self.since.max(now)).newest(self.known()), newest)
            }
            _ => unreachable!("a bucket stays a bucket"),
        }
    }
}
