//! The map from names to endpoints, and the ways into it.
//!
//! # A hit by name
//! | the name | what happens |
//! |---|---|
//! | has an endpoint that takes hits | the hit goes there |
//! | has one that is gone | it is taken out of the map, and the name has none |
//! | has none | an endpoint is made, if there is room; else the hit is refused |
//!
//! Room is taken from `len` before an endpoint is put into the map, and given back by whoever takes it out, so there are
//! never more than `max_endpoints`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use papaya::{Guard, LocalGuard};

use super::WhenFull;
use super::aging::Aging;
use super::graves::Graves;
use super::ledger::Ledger;
use super::map::{Endpoints, Found};
use crate::cell::hits::Hits;
use crate::cell::outcome::{Outcome, Outcomes, Tally};
use crate::counter::query::{Query, Times, When};
use crate::counter::strategy::Strategy;
use crate::endpoint::{Endpoint, Gone, Reach, Shared};
use crate::error::{ConfigError, EndpointError, QueryError};
use crate::events::watch::Watch;
use crate::events::{Event, EventKind};
use crate::sketch::hyperloglog::precision::Precision;
use crate::sketch::uniques::Parts;
use crate::sync::table::Table;
use crate::sync::threads;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, Typed};
use crate::time::{Tick, Timestamp};
use crate::window::geometry::Geometry;

/// The most bytes a name may have.
pub const MAX_NAME: usize = 1_024;
/// After so many new endpoints the map's outgrown tables are given back.
const FLUSH_EVERY: usize = 1 << 15;
/// So many endpoints are asked for at a time in a walk over all.
const BATCH: usize = 32;

/// What a registry is made of.
pub struct Core {
    times: Times,
    geometry: Geometry,
    /// How the time of visitors is cut.
    parts: Parts,
    pub(super) watch: Watch,
    pub(super) map: Endpoints,
    /// What was counted and is not held any more, and what was refused; by thread.
    tallies: Table<CachePadded<Tally>>,
    /// The same, of threads without an id.
    tally: Tally,
    generations: AtomicU64,
    /// The newest tick that has a hit.
    newest: Typed<Tick>,
    len: AtomicUsize,
    max_endpoints: usize,
    when_full: WhenFull,
    strategy: Mutex<Strategy>,
    pub(super) aging: Aging,
    /// What was removed; held for a moment only.
    pub(super) graves: Mutex<Graves>,
    pub(super) ledger: Mutex<Ledger>,
}

impl Core {
    pub fn new(
        geometry: Geometry,
        times: Times,
        precision: Precision,
        strategy: Strategy,
        max_endpoints: usize,
        when_full: WhenFull,
    ) -> Self {
        Self {
            times,
            parts: Parts::new(&geometry, precision),
            geometry,
            watch: Watch::new(),
            map: Endpoints::new(),
            tallies: Table::new(),
            tally: Tally::default(),
            generations: AtomicU64::new(0),
            newest: Typed::new(Tick(0)),
            len: AtomicUsize::new(0),
            max_endpoints,
            when_full,
            strategy: Mutex::new(strategy),
            aging: Aging::new(),
            graves: Mutex::new(Graves::default()),
            ledger: Mutex::new(Ledger::new()),
        }
    }

    pub fn times(&self) -> &Times {
        &self.times
    }

    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The first tick that is known of names without an endpoint.
    pub fn forgotten(&self) -> Tick {
        self.aging.forgotten()
    }

    pub fn parts(&self) -> Parts {
        self.parts
    }

    pub fn window(&self) -> Duration {
        self.geometry.resolution().width() * self.geometry.window()
    }

    pub fn max_endpoints(&self) -> usize {
        self.max_endpoints
    }

    pub fn when_full(&self) -> WhenFull {
        self.when_full
    }

    pub fn strategy(&self) -> Strategy {
        self.strategy.lock().clone()
    }

    pub fn set_strategy(&self, strategy: &Strategy) {
        *self.strategy.lock() = strategy.clone();
    }

    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The newest hit's tick, as far as the long way has seen it.
    pub fn newest(&self) -> Tick {
        self.newest.load(Ordering::Acquire)
    }

    /// Notes that there is a hit at `tick`.
    pub fn raise_newest(&self, tick: Tick) {
        self.newest.raise(tick, Ordering::Release);
    }

    pub fn guard(&self) -> LocalGuard<'_> {
        self.map.guard()
    }

    pub fn shared(&self) -> Shared<'_> {
        Shared { geometry: &self.geometry, tally: self.own_tally(), generations: &self.generations }
    }

    fn own_tally(&self) -> &Tally {
        let own = threads::current().and_then(|id| self.tallies.get_or_insert_with(id, CachePadded::default));
        own.map_or(&self.tally, |tally| tally)
    }

    /// Notes hits that no endpoint took.
    pub fn note(&self, outcome: Outcome, amount: u64) {
        self.own_tally().add(outcome, amount);
    }

    /// What is noted outside of the endpoints.
    pub fn noted(&self) -> Outcomes {
        self.tallies.iter().map(|tally| tally.read()).fold(self.tally.read(), Outcomes::plus)
    }

    // ------------------------------------------------------------------------------------------------------ recording

    /// The tick now.
    #[inline(always)]
    pub fn tick(&self) -> Tick {
        self.times.tick()
    }

    /// Counts in `endpoint`, of which the caller has a handle or the guard, if the tick has hits there, with room for
    /// these, and nobody wants to know of them. Otherwise it changes nothing, and [`record_other`](Self::record_other) is
    /// the way.
    #[inline(always)]
    pub fn record_short(&self, endpoint: Reach<'_>, tick: Tick, amount: u64) -> bool {
        !self.watch.wants_hits() && endpoint.record_current(&self.geometry, tick, amount)
    }

    /// Counts in `endpoint`, of which the caller has a handle or the guard, what has no short way.
    #[inline(never)]
    pub fn record_other(&self, endpoint: Reach<'_>, name: &str, tick: Tick, amount: u64) -> Result<Outcome, Gone> {
        let when = self.times.now(tick);
        if self.watch.wants_hits() && endpoint.record_current(&self.geometry, tick, amount) {
            self.tell(endpoint, name, when, amount);
            return Ok(Outcome::Counted);
        }
        self.record_long(endpoint, name, when, amount)
    }

    #[inline(always)]
    pub fn record_into(&self, endpoint: Reach<'_>, name: &str, amount: u64) -> Result<Outcome, Gone> {
        let tick = self.tick();
        if self.record_short(endpoint, tick, amount) {
            return Ok(Outcome::Counted);
        }
        self.record_other(endpoint, name, tick, amount)
    }

    pub fn record_into_at(&self, endpoint: Reach<'_>, name: &str, at: Timestamp, amount: u64) -> Result<Outcome, Gone> {
        let when = self.times.at(at);
        if amount > 0 && when.is_future() {
            self.note(Outcome::Future, amount);
            return Ok(Outcome::Future);
        }
        if !endpoint.record_current(&self.geometry, when.tick(), amount) {
            return self.record_long(endpoint, name, when, amount);
        }
        if self.watch.wants_hits() {
            self.tell(endpoint, name, when, amount);
        }
        Ok(Outcome::Counted)
    }

    fn record_long(&self, endpoint: Reach<'_>, name: &str, when: When<'_>, amount: u64) -> Result<Outcome, Gone> {
        let outcome = endpoint.record(self.shared(), when, amount)?;
        if outcome.is_counted() && amount > 0 {
            self.raise_newest(when.tick());
            if endpoint.has_former_behind(self.shared(), || self.horizon()) {
                self.prune_former(endpoint);
            }
            let removed = endpoint.take_pushed_out();
            if removed > 0 {
                self.note_pruned(name, removed);
            }
            if self.watch.wants_hits() {
                self.tell(endpoint, name, when, amount);
            }
        }
        Ok(outcome)
    }

    /// Tells of hits that were counted.
    #[inline(never)]
    fn tell(&self, endpoint: Reach<'_>, name: &str, when: When<'_>, amount: u64) {
        if amount > 0 {
            self.tell_counted(endpoint, name, when, amount);
        }
    }

    #[inline]
    pub fn record_now(&self, name: &str, amount: u64) -> Result<Outcome, EndpointError> {
        match self.record_known_now(name, amount) {
            Some(outcome) => Ok(outcome),
            None => self.record_new(name, amount, |endpoint| self.record_into(endpoint, name, amount)),
        }
    }

    pub fn record_at(&self, name: &str, at: Timestamp, amount: u64) -> Result<Outcome, EndpointError> {
        match self.record_known_at(name, at, amount) {
            Some(outcome) => Ok(outcome),
            None => self.record_new(name, amount, |endpoint| self.record_into_at(endpoint, name, at, amount)),
        }
    }

    /// As [`record_now`](Self::record_now), if the name has an endpoint that takes hits.
    #[inline]
    pub fn record_known_now(&self, name: &str, amount: u64) -> Option<Outcome> {
        let guard = self.map.guard();
        let endpoint = self.map.get(name, &guard)?;
        self.record_into(endpoint.reach(), name, amount).ok()
    }

    pub fn record_known_at(&self, name: &str, at: Timestamp, amount: u64) -> Option<Outcome> {
        let guard = self.map.guard();
        let endpoint = self.map.get(name, &guard)?;
        self.record_into_at(endpoint.reach(), name, at, amount).ok()
    }

    #[cold]
    pub fn record_new(
        &self,
        name: &str,
        amount: u64,
        record: impl Fn(Reach<'_>) -> Result<Outcome, Gone>,
    ) -> Result<Outcome, EndpointError> {
        loop {
            let guard = self.map.guard();
            match self.find_or_create(name, None, &guard) {
                Ok(endpoint) => match record(endpoint.reach()) {
                    Ok(outcome) => return Ok(outcome),
                    Err(_) => _ = self.take_out(name, endpoint.reach()),
                },
                Err(EndpointError::Full { .. }) => {
                    self.note(Outcome::Refused, amount);
                    return Ok(Outcome::Refused);
                }
                Err(error) => return Err(error),
            }
        }
    }

    // ------------------------------------------------------------------------------------------------------- creating

    /// The endpoint of `name`, made if there is none, then with `strategy` or the registry's own. It may be gone by the
    /// time it is used.
    pub fn find_or_create<'g>(
        &self,
        name: &str,
        strategy: Option<&Strategy>,
        guard: &'g LocalGuard<'_>,
    ) -> Result<Found<'g>, EndpointError> {
        if let Some(endpoint) = self.map.get(name, guard) {
            return Ok(endpoint);
        }
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(EndpointError::Name { length: name.len() });
        }
        self.sweep();
        if !self.take_room() {
            self.watch.emit(EventKind::EndpointRefused, || Event::EndpointRefused { endpoint: name.into() });
            return Err(EndpointError::Full { max_endpoints: self.max_endpoints });
        }
        let epoch = self.epoch_of_removed(name);
        let made = match strategy {
            Some(strategy) => Endpoint::new(strategy, epoch, self.aging.forgotten(), self.shared()),
            None => Endpoint::new(&self.strategy(), epoch, self.aging.forgotten(), self.shared()),
        };
        let endpoint = made.inspect_err(|_| self.give_room()).map_err(EndpointError::Strategy)?;
        Ok(match self.insert(name, endpoint, guard) {
            Ok(endpoint) => {
                self.watch.emit(EventKind::EndpointCreated, || Event::EndpointCreated { endpoint: name.into() });
                endpoint
            }
            Err(theirs) => {
                self.give_room();
                theirs
            }
        })
    }

    /// Puts an endpoint for which there is room into the map; the other one if there is one of the name.
    pub fn insert<'g>(
        &self,
        name: &str,
        endpoint: Endpoint,
        guard: &'g LocalGuard<'_>,
    ) -> Result<Found<'g>, Found<'g>> {
        let inserted = self.map.insert(name, endpoint, guard);
        if inserted.is_ok() && self.len().is_multiple_of(FLUSH_EVERY) {
            guard.flush();
        }
        inserted
    }

    /// Takes room for one endpoint, if there is any or can be made.
    pub fn take_room(&self) -> bool {
        loop {
            if self.len.fetch_add(1, Ordering::AcqRel) < self.max_endpoints {
                return true;
            }
            self.give_room();
            if !self.make_room() {
                return false;
            }
        }
    }

    pub fn give_room(&self) {
        self.len.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes `endpoint` out of the map and gives its room back; false if another thread did.
    pub fn unmap(&self, name: &str, endpoint: &Endpoint) -> bool {
        let removed = self.map.remove(name, endpoint, &self.map.guard());
        if removed {
            self.give_room();
        }
        removed
    }

    /// The endpoint of `name`.
    #[inline]
    pub fn get<'g>(&self, name: &str, guard: &'g LocalGuard<'_>) -> Option<Found<'g>> {
        self.map.get(name, guard)
    }

    /// All endpoints, in no order.
    pub fn all<'g>(&self, guard: &'g LocalGuard<'_>) -> impl Iterator<Item = (&'g str, Found<'g>)> {
        self.map.iter(guard)
    }

    // --------------------------------------------------------------------------------------------------------- asking

    pub fn query_now(&self, last: Duration) -> Result<Query<'_>, QueryError> {
        Query::new(self.times.now(self.times.tick()), last, &self.geometry)
    }

    pub fn query_at(&self, at: Timestamp, last: Duration) -> Result<Query<'_>, QueryError> {
        Query::new(self.times.at(at), last, &self.geometry)
    }

    pub fn query(&self, at: Option<Timestamp>, last: Duration) -> Result<Query<'_>, QueryError> {
        at.map_or_else(|| self.query_now(last), |at| self.query_at(at, last))
    }

    /// What `ask` finds in the endpoint of `name`.
    pub fn with<R>(&self, name: &str, ask: impl FnOnce(Reach<'_>) -> R) -> Option<R> {
        let guard = self.map.guard();
        self.map.get(name, &guard).map(|endpoint| ask(endpoint.reach()))
    }

    /// What `ask` finds in the endpoint that took over the handles of `former`.
    pub fn with_heir<R>(&self, name: &str, former: &Endpoint, ask: impl FnOnce(Reach<'_>) -> R) -> Option<R> {
        let guard = self.map.guard();
        let heir = self.map.get(name, &guard).filter(|endpoint| endpoint.is_heir_of(former))?;
        Some(ask(heir.reach()))
    }

    pub fn sum(&self, name: &str, query: &Query<'_>) -> Result<Hits, QueryError> {
        match self.with(name, |endpoint| endpoint.sum(self.shared(), query)) {
            Some(hits) => hits,
            // Of a name that was pruned nothing is known up to then.
            None if query.touched().is_some_and(|span| span.first < self.aging.forgotten()) => Err(query.expired()),
            None => self.none(query),
        }
    }

    /// The hits of nobody: what cannot be asked of an endpoint is not answered without one either.
    pub fn none(&self, query: &Query<'_>) -> Result<Hits, QueryError> {
        query.check(matches!(self.strategy(), Strategy::Sliding { .. } | Strategy::Custom(_))).map(|()| Hits::NONE)
    }

    /// The hits of an endpoint of which the caller has a handle.
    pub fn sum_of(&self, endpoint: Reach<'_>, name: &str, query: &Query<'_>) -> Result<Hits, QueryError> {
        match endpoint.gone() {
            None => endpoint.sum(self.shared(), query),
            Some(Gone::Removed) => self.none(query),
            Some(Gone::Replaced) => self
                .with_heir(name, &endpoint, |heir| heir.sum(self.shared(), query))
                .unwrap_or_else(|| self.none(query)),
        }
    }

    /// Calls `visit` for each endpoint, in no order, until it fails.
    pub fn each<E>(&self, visit: impl FnMut(&str, Found<'_>) -> Result<(), E>) -> Result<(), E> {
        let guard = self.map.guard();
        self.walk(&guard, visit)
    }

    /// As [`each`](Self::each). The name is only looked at by whoever wants it: most of a walk is waiting for memory, so
    /// endpoints are asked for several at a time.
    fn walk<'g, E>(
        &self,
        guard: &'g LocalGuard<'_>,
        mut visit: impl FnMut(&'g str, Found<'g>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut all = self.map.iter(guard);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.clear();
            batch.extend(all.by_ref().take(BATCH));
            if batch.is_empty() {
                return Ok(());
            }
            for touch in [Reach::touch, Reach::touch_generation] {
                let touched = batch.iter().map(|(_, endpoint)| touch(endpoint.reach())).fold(0, usize::wrapping_add);
                std::hint::black_box(touched);
            }
            for &(name, endpoint) in &batch {
                if endpoint.gone().is_none() {
                    visit(name, endpoint)?;
                }
            }
        }
    }

    pub fn top(&self, n: usize, query: &Query<'_>) -> Result<Vec<(String, Hits)>, QueryError> {
        let guard = self.map.guard();
        let (shared, query) = (self.shared(), query.of_all());
        // The least of those kept is on top: fewer hits, then the later name.
        let mut best: BinaryHeap<Reverse<Ranked<'_>>> = BinaryHeap::new();
        if n == 0 || self.len() == 0 {
            return self.none(&query).map(|_| Vec::new());
        }
        self.walk(&guard, |name, endpoint| {
            let hits = endpoint.reach().sum(shared, &query)?;
            let least = if best.len() == n { best.peek() } else { None };
            // The name only decides between equals.
            if hits.count == 0 || least.is_some_and(|least| hits.count < least.0.count) {
                return Ok(());
            }
            let ranked = Ranked { count: hits.count, name: Reverse(name), hits };
            match least {
                Some(least) if least.0 >= ranked => return Ok(()),
                Some(_) => _ = best.pop(),
                None => {}
            }
            best.push(Reverse(ranked));
            Ok(())
        })?;
        let busiest_first = best.into_sorted_vec();
        Ok(busiest_first.into_iter().map(|Reverse(ranked)| (ranked.name.0.to_owned(), ranked.hits)).collect())
    }

    // ------------------------------------------------------------------------------------------------------- changing

    pub fn swap(&self, name: &str, strategy: &Strategy) -> Result<bool, ConfigError> {
        let guard = self.map.guard();
        let Some(endpoint) = self.map.get(name, &guard) else {
            return strategy.check(&self.geometry).map(|()| false);
        };
        let old = endpoint.reach().swap(strategy, self.shared())?;
        if let Some(old) = &old {
            self.watch.emit(EventKind::StrategySwapped, || Event::StrategySwapped {
                endpoint: Some(name.into()),
                old: old.name().to_owned(),
                new: strategy.name().to_owned(),
            });
        }
        Ok(old.is_some())
    }

    pub fn swap_all(&self, strategy: &Strategy) -> Result<usize, ConfigError> {
        strategy.check(&self.geometry)?;
        let old = std::mem::replace(&mut *self.strategy.lock(), strategy.clone());
        let mut swapped = 0;
        self.each(|_, endpoint| {
            swapped += usize::from(endpoint.reach().swap(strategy, self.shared())?.is_some());
            Ok::<(), ConfigError>(())
        })?;
        if old != *strategy || swapped > 0 {
            self.watch.emit(EventKind::StrategySwapped, || Event::StrategySwapped {
                endpoint: None,
                old: old.name().to_owned(),
                new: strategy.name().to_owned(),
            });
        }
        Ok(swapped)
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// An endpoint by its rank.
#[derive(PartialEq)]
struct Ranked<'a> {
    count: u64,
    name: Reverse<&'a str>,
    hits: Hits,
}

impl Eq for Ranked<'_> {}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.count, self.name).cmp(&(other.count, other.name))
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
