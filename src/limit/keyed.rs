//! A limiter for each key, of which there are never more than so many.
//!
//! Tests: `tests/limit/keyed.rs`.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::keys::{Keys, WhenKeysFull};
use super::plan::Version;
use super::{LimiterBuilder, wait};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::rate::{Rate, Rates};
use crate::limit::scale::Scale;
use crate::sync::Ordering;
use crate::time::Timestamp;

/// Into how many parts the windows of keys are cut: their memory counts.
const TICKS: u64 = 12;

/// A limit for each key: for a user, an address, a tenant.
///
/// Keeps at most `max_keys` keys, and forgets those that are as good as new. A key takes itself twice and about 120 bytes and 8 for
/// each unit of a limit of up to 64, 220 bytes with a higher limit, whose window slides in twelfths, and 100 in a token bucket.
///
/// ```
/// use hitring::KeyedLimiter;
///
/// let limiter = KeyedLimiter::<String>::new("100/minute".parse()?, 10_000)?;
/// assert!(limiter.allow("198.51.100.7", 1).allowed);
/// assert_eq!(limiter.allow("198.51.100.7", 1).remaining, 98);
/// assert_eq!(limiter.allow("2001:db8::1", 1).remaining, 99);
/// # Ok::<(), hitring::LimitError>(())
/// ```
pub struct KeyedLimiter<K> {
    scale: Scale,
    keys: Keys<K>,
}

impl<K: Hash + Eq + Send + Sync> fmt::Debug for KeyedLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rates, keys, max_keys) = (self.rates(), self.len(), self.max_keys());
        f.debug_struct("KeyedLimiter").field("rates", &rates).field("keys", &keys).field("max_keys", &max_keys).finish()
    }
}

/// What a [`KeyedLimiter`] holds and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedMetrics {
    /// Keys there are.
    pub keys: u64,
    /// Keys that were dropped, being idle.
    pub dropped: u64,
    /// Costs of new keys that were refused since there was no room.
    pub refused: u64,
    /// Costs of new keys that were let through unlimited since there was no room.
    pub unlimited: u64,
    /// The bytes that all keys take, what they hold themselves not included.
    pub memory_bytes: u64,
}

impl<K: Hash + Eq + Send + Sync> KeyedLimiter<K> {
    /// Sliding windows of `rate`, for at most `max_keys` keys, by the system clock. Further keys are refused.
    ///
    /// # Errors
    /// [`LimitError`] if the rate cannot be kept so, or the keys do not fit.
    pub fn new(rate: Rate, max_keys: usize) -> Result<Self, LimitError> {
        super::Limiter::builder(rate).keyed(max_keys, WhenKeysFull::Refuse)
    }

    /// Lets a cost of `key` through now, or refuses it whole.
    pub fn allow<Q>(&self, key: &Q, cost: u64) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.keys.decide(key, self.scale.now(), cost, true).later(self.scale.lag())
    }

    /// The same at `at`. See [`Limiter::allow_at`](super::Limiter::allow_at).
    pub fn allow_at<Q>(&self, key: &Q, at: Timestamp, cost: u64) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.decide_at(key, at, cost, true)
    }

    /// Lets a cost of `key` through as soon as there is room for it. See [`Limiter::acquire`](super::Limiter::acquire).
    pub fn acquire<Q>(&self, key: &Q, cost: u64, timeout: Option<Duration>) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        wait::blocking(timeout, || self.allow(key, cost))
    }

    /// The same in a task. See [`Limiter::acquire_async`](super::Limiter::acquire_async).
    pub async fn acquire_async<Q, F>(
        &self,
        key: &Q,
        cost: u64,
        timeout: Option<Duration>,
        sleep: impl FnMut(Duration) -> F,
    ) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
        F: Future<Output = ()>,
    {
        wait::sleeping(timeout, sleep, || self.allow(key, cost)).await
    }

    /// What `allow(key, cost)` would say now, but with all that remains; nothing is taken and no key is made.
    pub fn peek<Q>(&self, key: &Q, cost: u64) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.keys.decide(key, self.scale.now(), cost, false).later(self.scale.lag())
    }

    /// The same at `at`.
    pub fn peek_at<Q>(&self, key: &Q, at: Timestamp, cost: u64) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.decide_at(key, at, cost, false)
    }

    /// Forgets what was let through of `key`, and says whether there was anything. A cost that is decided meanwhile counts or does
    /// not.
    pub fn reset<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.keys.reset(key)
    }

    /// Changes the rates of all keys, as [`Limiter::set_rate`](super::Limiter::set_rate) does.
    ///
    /// Takes about a microsecond for each key. Decisions go on meanwhile, by the old rates or the new ones; all that begin after it
    /// returned are by the new ones.
    ///
    /// # Errors
    /// [`LimitError`] if the rates cannot be kept so; then nothing is changed.
    pub fn set_rate(&self, rates: impl Into<Rates>, burst: Option<u64>) -> Result<(), LimitError>
    where
        K: Clone,
    {
        self.change(rates.into(), burst, self.scale.now(), || self.scale.now())
    }

    /// The same as of `at`, for a limiter that is given the times of costs; no earlier than the newest of these.
    ///
    /// # Errors
    /// As [`set_rate`](Self::set_rate).
    pub fn set_rate_at(&self, at: Timestamp, rates: impl Into<Rates>, burst: Option<u64>) -> Result<(), LimitError>
    where
        K: Clone,
    {
        let now = if self.scale.is_guarded() { self.scale.now() } else { u64::MAX };
        self.change(rates.into(), burst, self.scale.at(at).min(now), || 0)
    }

    fn change(&self, rates: Rates, burst: Option<u64>, since: u64, now: impl Fn() -> u64) -> Result<(), LimitError>
    where
        K: Clone,
    {
        self.keys.change(|before| before.changed(rates, burst, since), now, |version| self.scale.suit(version))
    }

    fn decide_at<Q>(&self, key: &Q, at: Timestamp, cost: u64, take: bool) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.scale.is_future(at) {
            return Decision::future(self.keys.decide(key, self.scale.now(), 0, false).remaining);
        }
        self.keys.decide(key, self.scale.at(at), cost, take)
    }

    /// Drops every key that is as good as a new one; answers how many.
    pub fn prune(&self) -> usize {
        self.keys.prune(self.scale.now())
    }

    /// The same as of `at`; where times from the future are refused, as of now if that is earlier.
    pub fn prune_at(&self, at: Timestamp) -> usize {
        let now = if self.scale.is_guarded() { self.scale.now() } else { u64::MAX };
        self.keys.prune(self.scale.at(at).min(now))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the limiter holds no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much in how much time each key may; of several rates the first.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.version().rate(0)
    }

    /// All rates that are kept together.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.version().rates()
    }

    /// How much may come at once, in token buckets.
    #[must_use]
    pub fn burst(&self) -> Option<u64> {
        self.version().form.burst
    }

    #[doc(hidden)]
    pub fn version(&self) -> Arc<Version> {
        self.keys.version()
    }

    /// The most keys there may be.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.keys.max_keys()
    }

    /// What it holds and did.
    #[must_use]
    pub fn metrics(&self) -> KeyedMetrics {
        KeyedMetrics {
            keys: self.len() as u64,
            dropped: self.keys.dropped.load(Ordering::Relaxed),
            refused: self.keys.refused.load(Ordering::Relaxed),
            unlimited: self.keys.unlimited.load(Ordering::Relaxed),
            memory_bytes: (size_of::<Self>() + self.keys.bytes()) as u64,
        }
    }
}

impl LimiterBuilder {
    /// A limiter for each of at most `max_keys` keys. Windows slide in twelfths unless told otherwise.
    ///
    /// # Errors
    /// As [`build`](Self::build); [`LimitError::NoKeys`] without room for a key.
    pub fn keyed<K: Hash + Eq + Send + Sync>(
        self,
        max_keys: usize,
        when_full: WhenKeysFull,
    ) -> Result<KeyedLimiter<K>, LimitError> {
        if max_keys == 0 {
            return Err(LimitError::NoKeys);
        }
        let (version, scale) = self.parts(TICKS)?;
        Ok(KeyedLimiter { scale, keys: Keys::new(version, max_keys, when_full) })
    }
}
