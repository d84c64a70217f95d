//! A limiter for each key, of which there are never more than so many.
//!
//! # What becomes of a key
//! | its state | who may move it | |
//! |---|---|---|
//! | in the map | whoever lets a cost through, by an exchange of its word | |
//! | in the map, as good as a new one | a sweep, by an exchange of the word that it looked at, to `CLOSED` | nobody counts on it any more: whoever finds it closed takes it out and makes another |
//! | closed | nobody | |
//!
//! A key is dropped only when a new one would decide the same, so dropping changes no decision. Whoever is about to let a
//! cost through while it is dropped loses the exchange and comes again with the new one. (Mutant `LimitDropsOpen`.)
//!
//! # When there are as many as may be
//! `order` holds every open state with its key. Each new key looks at the next 32 of them, drops the idle ones and puts the
//! others back at the end (one that was reset is closed, and leaves it); all are looked at once in a sixtieth of the window, and not more often. If no room was found by
//! then, the key is refused or let through unlimited, as was asked for; both are counted. So one decision takes a bounded
//! time, and an idle key may be found only by a later one. A new key may wait for another to be put into `order` or taken out of
//! it; a known key has nothing to do with it.
//!
//! Tests: `tests/limit/keyed.rs`.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use papaya::{Guard, HashMap, ResizeMode};
use seize::Collector;

use super::{LimiterBuilder, Plan, Rate, Rates, State, WhenKeysFull, wait};
use crate::error::LimitError;
use crate::limit::decision::Decision;
use crate::limit::scale::Scale;
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use crate::time::Timestamp;

/// Into how many parts the windows of keys are cut: their memory counts.
const TICKS: u64 = 12;
/// How many keys a new key looks at when there is no room.
const LOOKS: usize = 32;

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
    rates: Rates,
    burst: Option<u64>,
    plan: Plan,
    scale: Scale,
    keys: HashMap<K, Arc<State>, foldhash::fast::RandomState>,
    len: AtomicUsize,
    max_keys: usize,
    when_full: WhenKeysFull,
    /// The open states, those first that were looked at longest ago. A thread that looks at one holds it meanwhile.
    order: (Sender<Entry<K>>, Receiver<Entry<K>>),
    /// When a sweep is worth it again.
    sweep: AtomicU64,
    /// How many keys are still to be looked at in this sweep.
    left: AtomicUsize,
    /// The newest time as of which keys were dropped: what was let through to them is not known to whoever comes with an
    /// older one, so new keys begin at it.
    newest: AtomicU64,
    refused: AtomicU64,
    unlimited: AtomicU64,
    dropped: AtomicU64,
}

type Entry<K> = (K, Arc<State>);

impl<K> fmt::Debug for KeyedLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rates, keys, max_keys) = (self.rates, &self.len, self.max_keys);
        f.debug_struct("KeyedLimiter").field("rates", &rates).field("keys", keys).field("max_keys", &max_keys).finish()
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
    /// [`LimitError`] if the rate cannot be kept so, or there is no room for a key.
    pub fn new(rate: Rate, max_keys: usize) -> Result<Self, LimitError> {
        super::Limiter::builder(rate).keyed(max_keys, WhenKeysFull::Refuse)
    }

    /// Lets a cost of `key` through now, or refuses it whole.
    pub fn allow<Q>(&self, key: &Q, cost: u64) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.decide(key, self.scale.now(), cost, true).later(self.scale.lag())
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
        self.decide(key, self.scale.now(), cost, false).later(self.scale.lag())
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
        let guard = self.keys.guard();
        let Some(state) = self.keys.get(key, &guard) else { return false };
        state.close_at_once();
        self.take_out(key, state, &guard);
        // One more closed state is in `order` now. Looking at two keeps them fewer than the open ones.
        for entry in self.order.1.try_iter().take(2).filter(|(_, state)| !state.is_closed()) {
            self.put(entry);
        }
        true
    }

    fn decide_at<Q>(&self, key: &Q, at: Timestamp, cost: u64, take: bool) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.scale.is_future(at) {
            return Decision::future(self.decide(key, self.scale.now(), 0, false).remaining);
        }
        self.decide(key, self.scale.at(at), cost, take)
    }

    fn decide<Q>(&self, key: &Q, now: u64, cost: u64, take: bool) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        let guard = self.keys.guard();
        loop {
            if let Some(state) = self.keys.get(key, &guard) {
                match self.plan.decide(state, now, cost, take) {
                    Some(decision) => return decision,
                    None => self.take_out(key, state, &guard),
                }
                continue;
            }
            if !take || cost == 0 {
                return self.fresh(now, cost);
            }
            if !self.take_room(now) {
                return self.full(now, cost);
            }
            let state = Arc::new(self.state());
            match self.keys.try_insert(key.into(), Arc::clone(&state), &guard) {
                Ok(_) => self.put((key.into(), state)),
                Err(_) => self.give_room(),
            }
        }
    }

    /// What a key without a state is told, when nothing is taken.
    fn fresh(&self, now: u64, cost: u64) -> Decision {
        self.plan.decide(&self.state(), now, cost, false).expect("a new state is open")
    }

    fn state(&self) -> State {
        self.plan.state(self.newest.load(Ordering::Acquire))
    }

    #[cold]
    fn full(&self, now: u64, cost: u64) -> Decision {
        let fresh = self.fresh(now, cost);
        match self.when_full {
            WhenKeysFull::Refuse => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                // Nobody looks again before the next sweep.
                let wait =
                    Duration::from_nanos(self.sweep.load(Ordering::Relaxed).saturating_sub(now)).max(self.pause());
                if fresh.allowed { Decision::refused(0, wait) } else { Decision { remaining: 0, ..fresh } }
            }
            WhenKeysFull::Allow => {
                self.unlimited.fetch_add(1, Ordering::Relaxed);
                fresh
            }
        }
    }

    /// How long it takes until another sweep may find something.
    fn pause(&self) -> Duration {
        self.rate().window() / 60
    }

    /// Takes room for one key, if there is any or can be made.
    fn take_room(&self, now: u64) -> bool {
        loop {
            if self.len.fetch_add(1, Ordering::AcqRel) < self.max_keys {
                return true;
            }
            self.give_room();
            let due = self.sweep.load(Ordering::Relaxed);
            let next = now.saturating_add(self.pause().as_nanos() as u64);
            if now >= due && self.sweep.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                self.left.store(self.max_keys, Ordering::Relaxed);
            }
            if !self.take_looks() || self.drop_idle(now, LOOKS) == 0 {
                return false;
            }
        }
    }

    /// Takes the next of the keys that are still to be looked at, if there are any.
    fn take_looks(&self) -> bool {
        let mut left = self.left.load(Ordering::Relaxed);
        while left > 0 {
            let rest = left.saturating_sub(LOOKS);
            match self.left.compare_exchange_weak(left, rest, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(newer) => left = newer,
            }
        }
        false
    }

    fn give_room(&self) {
        self.len.fetch_sub(1, Ordering::AcqRel);
    }

    fn take_out<Q>(&self, key: &Q, state: &Arc<State>, guard: &impl Guard)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Ok(Some(_)) = self.keys.remove_if(key, |_, current| Arc::ptr_eq(current, state), guard) {
            self.give_room();
        }
    }

    /// Drops every key that is as good as a new one; answers how many.
    pub fn prune(&self) -> usize {
        self.drop_idle(self.scale.now(), self.order.1.len())
    }

    /// The same as of `at`; where times from the future are refused, as of now if that is earlier.
    pub fn prune_at(&self, at: Timestamp) -> usize {
        let now = if self.scale.is_guarded() { self.scale.now() } else { u64::MAX };
        self.drop_idle(self.scale.at(at).min(now), self.order.1.len())
    }

    /// Puts an open state at the end of those to be looked at.
    fn put(&self, entry: Entry<K>) {
        let put = self.order.0.send(entry);
        debug_assert!(put.is_ok(), "the other end is in the limiter, too");
    }

    /// Looks at the next `looks` keys and drops those that are as good as new; answers how many.
    fn drop_idle(&self, now: u64, looks: usize) -> usize {
        let guard = self.keys.guard();
        let mut dropped = 0;
        for (key, state) in self.order.1.try_iter().take(looks) {
            let is_fresh = self.plan.is_fresh(&state, now);
            if is_fresh {
                // Said before it is dropped, so that the next state of the key begins then.
                self.newest.fetch_max(now, Ordering::AcqRel);
            }
            if is_fresh && self.plan.close(&state, now) {
                self.take_out(&key, &state, &guard);
                dropped += 1;
            } else if !state.is_closed() {
                self.put((key, state));
            }
        }
        self.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
        dropped
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        // A thread that looks for room has taken it before.
        self.len.load(Ordering::Acquire).min(self.max_keys)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much in how much time each key may; of several rates the first.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rates[0]
    }

    /// All rates that are kept together.
    #[must_use]
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// How much may come at once, in token buckets.
    #[must_use]
    pub fn burst(&self) -> Option<u64> {
        self.burst
    }

    /// The most keys there may be.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.max_keys
    }

    /// What it holds and did.
    #[must_use]
    pub fn metrics(&self) -> KeyedMetrics {
        // The state behind its `Arc`, the entry, its place in the map, and its place in the order.
        let each = self.plan.bytes() + 16 + size_of::<(K, usize)>() + 18 + size_of::<(K, usize, usize)>();
        KeyedMetrics {
            keys: self.len() as u64,
            dropped: self.dropped.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            unlimited: self.unlimited.load(Ordering::Relaxed),
            memory_bytes: (size_of::<Self>() + self.len() * each) as u64,
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
        let burst = self.burst;
        let (rates, plan, scale) = self.parts(TICKS)?;
        let keys = HashMap::builder()
            .hasher(foldhash::fast::RandomState::default())
            .resize_mode(ResizeMode::Incremental(64))
            .collector(Collector::new())
            .build();
        let count = || AtomicU64::new(0);
        Ok(KeyedLimiter {
            rates,
            burst,
            plan,
            scale,
            keys,
            len: AtomicUsize::new(0),
            max_keys,
            when_full,
            order: crossbeam_channel::unbounded(),
            sweep: count(),
            left: AtomicUsize::new(0),
            newest: count(),
            refused: count(),
            unlimited: count(),
            dropped: count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Limiter;

    #[test]
    fn keys_that_are_reset_leave_nothing_behind() {
        let rate = "5/minute".parse().expect("a rate");
        let limiter: KeyedLimiter<String> = Limiter::builder(rate).keyed(100, WhenKeysFull::Refuse).expect("it fits");
        for turn in 0..10_000 {
            let key = format!("key {}", turn % 10);
            assert!(limiter.allow(key.as_str(), 1).allowed);
            // Some stay.
            if turn % 10 > 3 {
                assert!(limiter.reset(key.as_str()));
            } else if turn % 40 < 10 {
                assert!(limiter.reset(key.as_str()) && limiter.allow(key.as_str(), 1).allowed);
            }
            assert!(limiter.order.1.len() <= 2 * limiter.len() + 2, "{turn}: {}", limiter.order.1.len());
            if turn % 20 == 19 {
                (0..4).for_each(|key| _ = limiter.reset(format!("key {key}").as_str()));
            }
        }
    }
}
