//! [`Keys`]: the states of keys, of which there are never more than so many, and how a new rate comes to all of them.
//!
//! # What becomes of a key
//! | its state | may be moved by | |
//! |---|---|---|
//! | in the map | a thread that lets a cost through, by an exchange of its word | |
//! | in the map, as good as a new one | a sweep, by an exchange of the word that it looked at, to *forgotten* | the state takes no more costs: a thread that finds it takes it out and makes another |
//! | in the map, of an older version of the rates | any thread: it freezes the state, makes its successor and puts it into the place | a thread that finds it frozen does the same |
//! | forgotten, or replaced | | |
//!
//! A key is dropped only when a new one would decide the same, so dropping changes no decision. If a key is dropped while a thread
//! is about to let a cost through, the thread loses the exchange and asks again with the new one. (Mutant `LimitDropsOpen`.)
//!
//! # A change of the rates
//! | step | |
//! |---|---|
//! | 1 | the new version becomes the current one, under a lock that is held for no longer |
//! | 2 | for each state in the map that is of another version: freeze it, carry what it let through to a successor, put that in its place if it is still there |
//!
//! A thread puts a state into the map under the same lock, and only if it is of the current version. So step 2 finds all states of older
//! versions, and none comes into the map after it: when the change is done, all decisions that begin then are of the new version. Changes
//! come one after another.
//!
//! # When there are as many as may be
//! `order` holds every state with its key. Each new key looks at the next 32 of them, drops the idle ones and puts the
//! others back at the end; those that are closed leave it. All are looked at once in a sixtieth of the window, and not more often. If no
//! room was found by then, the key is refused or let through unlimited, as was asked for; both are counted. So one decision takes a bounded
//! time, and an idle key may be found only by a later one. A new key may wait for another to be put into `order` or taken out of
//! it; a known key has nothing to do with it.
//!
//! Tests: `tests/limit/keyed.rs`, `tests/limit/changed.rs`.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use papaya::{Compute, Guard, HashMap, Operation, ResizeMode};
use seize::Collector;

use super::plan::{State, Version};
use crate::limit::decision::Decision;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};

/// How many keys a new key looks at when the limiter is full.
const LOOKS: usize = 32;

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

/// A state, and the rates it is of.
#[derive(Debug)]
struct Held {
    version: Arc<Version>,
    state: State,
}

type Entry<K> = (K, Arc<Held>);

/// The states of keys.
pub struct Keys<K> {
    current: Mutex<Arc<Version>>,
    changing: Mutex<()>,
    map: HashMap<K, Arc<Held>, foldhash::fast::RandomState>,
    len: AtomicUsize,
    max_keys: usize,
    when_full: WhenKeysFull,
    /// The states, those first that were looked at longest ago. A thread that looks at one holds it meanwhile.
    order: (Sender<Entry<K>>, Receiver<Entry<K>>),
    /// When a sweep is worth it again.
    sweep: AtomicU64,
    /// How many keys are still to be looked at in this sweep.
    left: AtomicUsize,
    /// The newest time as of which keys were dropped: what was let through to them is not known to a thread that comes with an
    /// older one, so new keys begin at it.
    newest: AtomicU64,
    pub refused: AtomicU64,
    pub unlimited: AtomicU64,
    pub dropped: AtomicU64,
}

impl<K> fmt::Debug for Keys<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("len", &self.len).field("max_keys", &self.max_keys).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Send + Sync> Keys<K> {
    /// No keys, of at most `max_keys`.
    pub fn new(version: Version, max_keys: usize, when_full: WhenKeysFull) -> Self {
        let map = HashMap::builder()
            .hasher(foldhash::fast::RandomState::default())
            .resize_mode(ResizeMode::Incremental(64))
            .collector(Collector::new())
            .build();
        let count = || AtomicU64::new(0);
        Self {
            current: Mutex::new(Arc::new(version)),
            changing: Mutex::new(()),
            map,
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
        }
    }

    /// The rates that hold now.
    pub fn version(&self) -> Arc<Version> {
        Arc::clone(&self.current.lock())
    }

    /// Makes another version the current one, which `next` makes of it, and says so to `holds`. `now` is the time.
    ///
    /// # Errors
    /// That of `next`; then nothing is changed.
    pub fn change<E>(
        &self,
        next: impl FnOnce(&Version) -> Result<Version, E>,
        now: impl Fn() -> u64,
        holds: impl FnOnce(&Version),
    ) -> Result<(), E>
    where
        K: Clone,
    {
        let _changing = self.changing.lock();
        let before = self.version();
        let next = next(&before)?;
        if next.is_same(&before) {
            // It may be the first one, of which `holds` does not know.
            holds(&before);
            return Ok(());
        }
        let version = Arc::new(next);
        *self.current.lock() = Arc::clone(&version);
        // A sweep was worth it again by the old window.
        self.sweep.store(0, Ordering::Relaxed);
        let guard = self.map.guard();
        for (key, held) in self.map.iter(&guard).filter(|(_, held)| !Arc::ptr_eq(&held.version, &version)) {
            self.renew(|| key.clone(), held, &now, &guard);
        }
        holds(&version);
        Ok(())
    }

    /// Puts the successor of a state, of the current version, into its place.
    #[cold]
    fn renew(&self, key: impl Fn() -> K, held: &Arc<Held>, now: impl Fn() -> u64, guard: &impl Guard) {
        if !held.state.freeze() {
            return self.take_out(&key(), held, guard);
        }
        loop {
            let version = self.version();
            let state = version.carry(&held.version, &held.state, self.newest.load(Ordering::Acquire), now());
            let next = Arc::new(Held { version, state });
            let replace = |entry: Option<(&K, &Arc<Held>)>| match entry {
                Some((_, current)) if Arc::ptr_eq(current, held) => Operation::Insert(Arc::clone(&next)),
                _ => Operation::Abort(()),
            };
            // Held, so that a change that is over left no state of an older version that comes into the map.
            let current = self.current.lock();
            if !Arc::ptr_eq(&next.version, &current) {
                continue;
            }
            let done = self.map.compute(key(), replace, guard);
            drop(current);
            if let Compute::Updated { .. } = done {
                self.put((key(), next));
                self.tidy();
            }
            return;
        }
    }

    /// Puts a state that another plan let through into the map as that of `key`, which has none.
    pub fn adopt(&self, key: impl Fn() -> K, before: &Version, state: &State, now: u64) {
        let version = self.version();
        let state = version.carry(before, state, 0, now);
        let held = Arc::new(Held { version, state });
        self.len.fetch_add(1, Ordering::AcqRel);
        self.map.pin().insert(key(), Arc::clone(&held));
        self.put((key(), held));
    }

    /// Forgets what was let through of `key`, and says whether there was anything.
    pub fn reset<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let guard = self.map.guard();
        while let Some(held) = self.map.get(key, &guard) {
            let is_forgotten = held.state.forget();
            // One that was frozen may have a successor by now, which has to be forgotten, too.
            if self.remove(key, held, &guard) || is_forgotten {
                self.tidy();
                return true;
            }
        }
        false
    }

    /// Decides on a cost of `key`, and takes it with `take`.
    pub fn decide<Q>(&self, key: &Q, now: u64, cost: u64, take: bool) -> Decision
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
        Q: Hash + Eq + ?Sized,
    {
        let guard = self.map.guard();
        loop {
            if let Some(held) = self.map.get(key, &guard) {
                match held.version.plan.decide(&held.state, now, cost, take) {
                    Some(decision) => return decision,
                    None => self.renew(|| key.into(), held, || now, &guard),
                }
                continue;
            }
            let version = self.version();
            if !take || cost == 0 {
                return self.fresh(&version, now, cost);
            }
            if !self.take_room(&version, now) {
                return self.full(&version, now, cost);
            }
            let held = Arc::new(Held { state: self.state(&version), version });
            let current = self.current.lock();
            let is_in = Arc::ptr_eq(&held.version, &current)
                && self.map.try_insert(key.into(), Arc::clone(&held), &guard).is_ok();
            drop(current);
            if is_in {
                self.put((key.into(), held));
            } else {
                self.give_room();
            }
        }
    }

    /// What a key without a state is told, when nothing is taken.
    fn fresh(&self, version: &Version, now: u64, cost: u64) -> Decision {
        version.plan.decide(&self.state(version), now, cost, false).expect("a new state is open")
    }

    fn state(&self, version: &Version) -> State {
        version.plan.state(self.newest.load(Ordering::Acquire))
    }

    #[cold]
    fn full(&self, version: &Version, now: u64, cost: u64) -> Decision {
        let fresh = self.fresh(version, now, cost);
        match self.when_full {
            WhenKeysFull::Refuse => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                // No key is looked at before the next sweep.
                let due = Duration::from_nanos(self.sweep.load(Ordering::Relaxed).saturating_sub(now));
                let wait = due.max(pause(version));
                if fresh.allowed { Decision::refused(0, wait) } else { Decision { remaining: 0, ..fresh } }
            }
            WhenKeysFull::Allow => {
                self.unlimited.fetch_add(1, Ordering::Relaxed);
                fresh
            }
        }
    }

    /// Takes room for one key, if there is any or can be made.
    fn take_room(&self, version: &Version, now: u64) -> bool {
        loop {
            if self.len.fetch_add(1, Ordering::AcqRel) < self.max_keys {
                return true;
            }
            self.give_room();
            let due = self.sweep.load(Ordering::Relaxed);
            let next = now.saturating_add(pause(version).as_nanos() as u64);
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

    fn take_out<Q>(&self, key: &Q, held: &Arc<Held>, guard: &impl Guard)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let _ = self.remove(key, held, guard);
    }

    /// Takes a state out of the map if it is in it.
    fn remove<Q>(&self, key: &Q, held: &Arc<Held>, guard: &impl Guard) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let removed = self.map.remove_if(key, |_, current| Arc::ptr_eq(current, held), guard);
        let is_removed = matches!(removed, Ok(Some(_)));
        if is_removed {
            self.give_room();
        }
        is_removed
    }

    /// Drops every key that is as good as a new one; answers how many.
    pub fn prune(&self, now: u64) -> usize {
        self.drop_idle(now, self.order.1.len())
    }

    /// Puts an open state at the end of those to be looked at.
    fn put(&self, entry: Entry<K>) {
        let put = self.order.0.send(entry);
        debug_assert!(put.is_ok(), "the other end is here, too");
    }

    /// Looks at two states because one more is closed now. So the closed ones in `order` stay fewer than the open ones.
    fn tidy(&self) {
        for entry in self.order.1.try_iter().take(2).filter(|(_, held)| !held.state.is_closed()) {
            self.put(entry);
        }
    }

    /// Looks at the next `looks` keys and drops those that are as good as new; answers how many.
    fn drop_idle(&self, now: u64, looks: usize) -> usize {
        let (guard, current) = (self.map.guard(), self.version());
        let mut dropped = 0;
        for (key, held) in self.order.1.try_iter().take(looks) {
            let plan = &held.version.plan;
            // By the rates of before it may be idle earlier.
            let is_fresh = Arc::ptr_eq(&held.version, &current) && plan.is_fresh(&held.state, now);
            if is_fresh {
                // Said before it is dropped, so that the next state of the key begins then.
                self.newest.fetch_max(now, Ordering::AcqRel);
            }
            if is_fresh && plan.close(&held.state, now) {
                self.take_out(&key, &held, &guard);
                dropped += 1;
            } else if !held.state.is_closed() {
                self.put((key, held));
            }
        }
        self.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
        dropped
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        // A thread that looks for room has taken it before.
        self.len.load(Ordering::Acquire).min(self.max_keys)
    }

    /// The most keys there may be.
    pub const fn max_keys(&self) -> usize {
        self.max_keys
    }

    /// The bytes of all keys, but what they hold themselves.
    pub fn bytes(&self) -> usize {
        // The state behind its `Arc`, with the rates it is of, the entry, its place in the map, and its place in the order.
        let state = self.version().plan.bytes() + size_of::<Arc<Version>>() + 16;
        self.len() * (state + size_of::<(K, usize)>() + 18 + size_of::<(K, usize, usize)>())
    }
}

/// How long it takes until another sweep may find something.
fn pause(version: &Version) -> Duration {
    version.rate(0).window() / 60
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::plan::Form;

    fn version(limit: &str) -> Version {
        let form = Form { burst: None, resolution: None, ticks: 12, known: 0 };
        Version::new(limit.parse().expect("rates"), form).expect("they fit")
    }

    /// Each open state is in `order`, once.
    fn looks_at_all(keys: &Keys<String>) {
        let open = |entry: Entry<String>| (!entry.1.state.is_closed()).then_some(entry.0);
        let mut looked_at: Vec<String> = keys.order.1.try_iter().filter_map(open).collect();
        let mut all: Vec<String> = keys.map.pin().keys().cloned().collect();
        looked_at.sort();
        all.sort();
        assert_eq!(looked_at, all);
    }

    #[test]
    fn keys_that_are_reset_or_renewed_leave_nothing_behind() {
        let keys = Keys::<String>::new(version("5/minute"), 100, WhenKeysFull::Refuse);
        for turn in 0..10_000 {
            let key = format!("key {}", turn % 10);
            let allow = || keys.decide(key.as_str(), 0, 1, true).allowed;
            assert!(allow() || turn % 10 < 4 || keys.reset(key.as_str()));
            // Some stay.
            if turn % 40 < 10 {
                assert!(keys.reset(key.as_str()) && allow());
            }
            if turn % 7 == 0 {
                let rate = format!("{}/minute", 5 + turn % 3);
                keys.change(|before| before.changed(rate.parse()?, None, 0), || 0, |_| ()).expect("it fits");
                let changed = keys.version();
                assert!(keys.map.pin().values().all(|held| Arc::ptr_eq(&held.version, &changed)));
            }
            assert!(keys.order.1.len() <= 2 * keys.len() + 2, "{turn}: {}", keys.order.1.len());
            if turn % 20 == 19 {
                (0..4).for_each(|key| _ = keys.reset(format!("key {key}").as_str()));
            }
        }
        looks_at_all(&keys);
    }

    #[test]
    fn threads_leave_the_order_as_the_map() {
        let keys = Keys::<String>::new(version("5/minute"), 8, WhenKeysFull::Refuse);
        let now = AtomicU64::new(1);
        std::thread::scope(|scope| {
            for thread in 0..5 {
                let (keys, now) = (&keys, &now);
                scope.spawn(move || {
                    for turn in 0..5_000u64 {
                        let (key, at) = (format!("{}", (turn * 7 + thread) % 11), now.load(Ordering::Relaxed));
                        match (thread, turn % 5) {
                            (0, _) => {
                                let rate = ["5/minute", "100/minute", "3/s;70/minute", "64/minute"][turn as usize % 4];
                                let next = |before: &Version| before.changed(rate.parse()?, None, at);
                                keys.change(next, || 0, |_| ()).expect("it fits");
                            }
                            (1, 0) => _ = keys.reset(key.as_str()),
                            (1, 1) => _ = now.fetch_add(turn % 30 * 1_000_000_000, Ordering::Relaxed),
                            (2, 0) => _ = keys.prune(at),
                            _ => _ = keys.decide(key.as_str(), at, turn % 3, true),
                        }
                        assert!(keys.order.1.len() < 60, "{}", keys.order.1.len());
                    }
                });
            }
        });
        assert_eq!(keys.len.load(Ordering::Relaxed), keys.map.len());
        looks_at_all(&keys);
    }
}
