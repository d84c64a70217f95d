//! Queries: of one endpoint by name, of all together, of the busiest.
//!
//! Tests: `tests/registry`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use papaya::LocalGuard;

use super::map::Found;
use super::state::{Core, Registry};
use crate::cell::hits::Hits;
use crate::counter::query::Query;
use crate::counter::strategy::Strategy;
use crate::endpoint::{Endpoint, Gone, Reach};
use crate::error::QueryError;
use crate::time::Timestamp;

/// A walk over all endpoints asks for this many at a time.
const BATCH: usize = 32;

impl Registry {
    /// The hits of `endpoint` in the `last` up to now; 0 if the endpoint does not exist.
    ///
    /// # Errors
    /// [`QueryError::LongerThanWindow`]; [`QueryError::NotWhole`] unless `last` is a whole number of ticks (of
    /// microseconds for `sliding`); [`QueryError::WindowExpired`] if part of the range is not known any more.
    pub fn query_hits(&self, endpoint: &str, last: Duration) -> Result<Hits, QueryError> {
        self.core.sum(endpoint, &self.core.query_now(last)?)
    }

    /// The hits of `endpoint` in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn query_hits_at(&self, endpoint: &str, at: Timestamp, last: Duration) -> Result<Hits, QueryError> {
        self.core.sum(endpoint, &self.core.query_at(at, last)?)
    }

    /// The hits of all endpoints in the `last` up to now.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total(&self, last: Duration) -> Result<Hits, QueryError> {
        self.total_of(&self.core.query_now(last)?, |_| true)
    }

    /// The hits of all endpoints in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total_at(&self, at: Timestamp, last: Duration) -> Result<Hits, QueryError> {
        self.total_of(&self.core.query_at(at, last)?, |_| true)
    }

    /// The hits of all endpoints whose names `wanted` accepts, in the `last` up to `at`, or up to now.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total_where(
        &self,
        at: Option<Timestamp>,
        last: Duration,
        wanted: impl FnMut(&str) -> bool,
    ) -> Result<Hits, QueryError> {
        self.total_of(&self.core.query(at, last)?, wanted)
    }

    fn total_of(&self, query: &Query<'_>, mut wanted: impl FnMut(&str) -> bool) -> Result<Hits, QueryError> {
        if self.is_empty() {
            return self.core.none(query);
        }
        let mut total = Hits::NONE;
        self.core.each(|name, endpoint| {
            if wanted(name) {
                total = total.plus(endpoint.reach().sum(self.core.shared(), &query.of_all())?);
            }
            Ok(())
        })?;
        Ok(total)
    }

    /// The `n` endpoints with the most hits in the `last` up to now, the busiest first, equals by name. Endpoints
    /// without hits are left out.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn top(&self, n: usize, last: Duration) -> Result<Vec<(String, Hits)>, QueryError> {
        self.top_of(n, &self.core.query_now(last)?)
    }

    /// The `n` endpoints with the most hits in `(at - last, at]`, as [`top`](Self::top).
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn top_at(&self, n: usize, at: Timestamp, last: Duration) -> Result<Vec<(String, Hits)>, QueryError> {
        self.top_of(n, &self.core.query_at(at, last)?)
    }

    fn top_of(&self, n: usize, query: &Query<'_>) -> Result<Vec<(String, Hits)>, QueryError> {
        let guard = self.core.guard();
        let (shared, query) = (self.core.shared(), query.of_all());
        // The heap has the least of the kept ones on top: the one with fewer hits, of equals the one with the later
        // name.
        let mut best: BinaryHeap<Reverse<Ranked<'_>>> = BinaryHeap::new();
        if n == 0 || self.core.len() == 0 {
            return self.core.none(&query).map(|_| Vec::new());
        }
        self.core.walk(&guard, |name, endpoint| {
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

    /// The names of all endpoints, in order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let mut names = Vec::new();
        let walked: Result<(), QueryError> = self.core.each(|name, _| {
            names.push(name.to_owned());
            Ok(())
        });
        debug_assert!(walked.is_ok());
        names.sort_unstable();
        names
    }

    /// Whether the endpoint exists.
    #[must_use]
    pub fn contains(&self, endpoint: &str) -> bool {
        self.core.with(endpoint, |_| ()).is_some()
    }

    /// How many endpoints the registry has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether the registry has no endpoints.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Core {
    pub fn query_now(&self, last: Duration) -> Result<Query<'_>, QueryError> {
        Query::new(self.times.now(self.times.tick()), last, &self.geometry)
    }

    pub fn query_at(&self, at: Timestamp, last: Duration) -> Result<Query<'_>, QueryError> {
        Query::new(self.times.at(at), last, &self.geometry)
    }

    pub fn query(&self, at: Option<Timestamp>, last: Duration) -> Result<Query<'_>, QueryError> {
        at.map_or_else(|| self.query_now(last), |at| self.query_at(at, last))
    }

    /// Runs `ask` on the endpoint of `name`.
    pub fn with<R>(&self, name: &str, ask: impl FnOnce(Reach<'_>) -> R) -> Option<R> {
        let guard = self.map.guard();
        self.map.get(name, &guard).map(|endpoint| ask(endpoint.reach()))
    }

    /// Runs `ask` on the endpoint that took over the handles of `former`.
    pub fn with_heir<R>(&self, name: &str, former: &Endpoint, ask: impl FnOnce(Reach<'_>) -> R) -> Option<R> {
        let guard = self.map.guard();
        let heir = self.map.get(name, &guard).filter(|endpoint| endpoint.is_heir_of(former))?;
        Some(ask(heir.reach()))
    }

    pub fn sum(&self, name: &str, query: &Query<'_>) -> Result<Hits, QueryError> {
        match self.with(name, |endpoint| endpoint.sum(self.shared(), query)) {
            Some(hits) => hits,
            // The name may have been pruned, and ticks before `forgotten` are not known for pruned names.
            None if query.touched().is_some_and(|span| span.first < self.aging.forgotten()) => Err(query.expired()),
            None => self.none(query),
        }
    }

    /// Returns 0 for a name without an endpoint, but fails where the query would fail for an endpoint of the registry's
    /// strategy.
    pub fn none(&self, query: &Query<'_>) -> Result<Hits, QueryError> {
        query.check(matches!(self.strategy(), Strategy::Sliding { .. } | Strategy::Custom(_))).map(|()| Hits::NONE)
    }

    /// The hits of an endpoint that the caller has a handle of.
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

    /// As [`each`](Self::each). The walk itself does not read the names. A walk mostly waits for memory, so it asks for
    /// several endpoints at a time.
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
