//! [`Handle`]: one endpoint of a registry, without looking its name up.
//!
//! Tests: `tests/registry`.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Core, Registry};
use super::visitors::Visit;
use crate::cell::hits::Hits;
use crate::cell::outcome::Outcome;
use crate::counter::query::Query;
use crate::counter::strategy::Strategy;
use crate::endpoint::{Endpoint, Gone, Reach, Shape};
use crate::error::{EndpointError, QueryError};
use crate::sketch::hyperloglog::hash::murmur;
use crate::time::{Tick, Timestamp};

/// One endpoint of a [`Registry`](crate::Registry): records and counts as fast as a [`HitCounter`](crate::HitCounter).
///
/// It keeps its endpoint from being pruned. When the endpoint is removed, the handle answers `Refused` and no hits, for
/// good; a new handle reaches the new endpoint. When the registry is restored, the handle continues with the endpoint
/// that replaces its own, until that is removed; it looks that endpoint up by name.
///
/// ```
/// use hitring::{Outcome, Registry};
/// use std::time::Duration;
///
/// let registry = Registry::new();
/// let home = registry.counter("/home")?;
/// assert_eq!(home.record(2), Outcome::Counted);
/// assert_eq!(home.count()?, 2);
/// registry.remove("/home");
/// assert_eq!(home.record(1), Outcome::Refused);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Handle {
    core: Arc<Core>,
    endpoint: Arc<Endpoint>,
    name: Arc<str>,
}

impl Handle {
    pub(super) fn new(core: &Arc<Core>, name: &str, strategy: Option<&Strategy>) -> Result<Self, EndpointError> {
        loop {
            let guard = core.guard();
            let endpoint = core.find_or_create(name, strategy, &guard)?;
            if endpoint.acquire().is_ok() {
                return Ok(Self { core: Arc::clone(core), endpoint: endpoint.keep(), name: name.into() });
            }
            core.take_out(name, endpoint.reach());
        }
    }

    /// The endpoint with its generations.
    #[inline(always)]
    fn reach(&self) -> Reach<'_> {
        // SAFETY: `endpoint` was acquired when this handle was made, and is released when it is dropped.
        unsafe { self.endpoint.reach() }
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Runs `ask` on the endpoint, or on the one that replaced it at a restore; `None` if it was removed.
    pub(super) fn with<R>(&self, ask: impl FnOnce(Reach<'_>) -> R) -> Option<R> {
        match self.endpoint.gone() {
            None => Some(ask(self.reach())),
            Some(Gone::Removed) => None,
            Some(Gone::Replaced) => self.core.with_heir(&self.name, &self.endpoint, ask),
        }
    }

    /// The endpoint's name.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.name
    }

    /// Counts `amount` hits now. See [`HitCounter::record`](crate::HitCounter::record).
    // Always, or it is not inlined where it is used often, and saving registers for a call is a fifth of the work.
    #[inline(always)]
    pub fn record(&self, amount: u64) -> Outcome {
        let tick = self.core.tick();
        if self.core.record_short(self.reach(), tick, amount) {
            Outcome::Counted
        } else {
            self.record_other(tick, amount)
        }
    }

    #[inline(never)]
    fn record_other(&self, tick: Tick, amount: u64) -> Outcome {
        match self.core.record_other(self.reach(), &self.name, tick, amount) {
            Ok(outcome) => outcome,
            Err(gone) => self.record_gone(gone, None, amount),
        }
    }

    /// Counts `amount` hits at `at`.
    pub fn record_at(&self, at: Timestamp, amount: u64) -> Outcome {
        match self.core.record_into_at(self.reach(), &self.name, at, amount) {
            Ok(outcome) => outcome,
            Err(gone) => self.record_gone(gone, Some(at), amount),
        }
    }

    #[cold]
    fn record_gone(&self, gone: Gone, at: Option<Timestamp>, amount: u64) -> Outcome {
        self.again(gone, amount, |heir| match at {
            None => self.core.record_into(heir, &self.name, amount),
            Some(at) => self.core.record_into_at(heir, &self.name, at, amount),
        })
    }

    pub(super) fn visit(&self, visit: &Visit) -> Outcome {
        match self.core.visit(self.reach(), &self.name, visit) {
            Ok(outcome) => outcome,
            Err(gone) => self.again(gone, visit.amount, |heir| self.core.visit(heir, &self.name, visit)),
        }
    }

    /// Records in the heir of the endpoint, which itself takes no hits any more. Without an heir the hits are refused.
    fn again(&self, gone: Gone, amount: u64, record: impl FnOnce(Reach<'_>) -> Result<Outcome, Gone>) -> Outcome {
        let heir = (gone == Gone::Replaced).then(|| self.core.with_heir(&self.name, &self.endpoint, record)).flatten();
        heir.and_then(Result::ok).unwrap_or_else(|| {
            self.core.note(Outcome::Refused, amount);
            Outcome::Refused
        })
    }

    /// The hits of the whole window up to now.
    ///
    /// # Errors
    /// As [`Registry::query_hits`](crate::Registry::query_hits).
    pub fn count(&self) -> Result<Hits, QueryError> {
        self.count_last(self.core.window())
    }

    /// The hits of the `last` up to now.
    ///
    /// # Errors
    /// As [`Registry::query_hits`](crate::Registry::query_hits).
    pub fn count_last(&self, last: Duration) -> Result<Hits, QueryError> {
        self.core.sum_of(self.reach(), &self.name, &self.core.query_now(last)?)
    }

    /// The hits in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`Registry::query_hits`](crate::Registry::query_hits).
    pub fn count_at(&self, at: Timestamp, last: Duration) -> Result<Hits, QueryError> {
        self.core.sum_of(self.reach(), &self.name, &self.core.query_at(at, last)?)
    }

    /// Whether the endpoint still takes hits, that is, was not removed.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.with(|_| ()).is_some()
    }

    /// The strategy, and the shape that takes the hits if the strategy is adaptive.
    #[must_use]
    pub fn strategy(&self) -> (Strategy, Shape) {
        let of = |endpoint: Reach<'_>| (endpoint.strategy(), endpoint.shape());
        self.with(of).unwrap_or_else(|| of(self.reach()))
    }
}

impl Handle {
    /// Counts `amount` hits now, by `visitor`. See [`Registry::record_visit`].
    pub fn record_visit(&self, visitor: impl AsRef<[u8]>, amount: u64) -> Outcome {
        self.visit(&Visit { visitor: murmur(visitor.as_ref()), at: None, amount })
    }

    /// Counts `amount` hits at `at`, by `visitor`.
    pub fn record_visit_at(&self, visitor: impl AsRef<[u8]>, at: Timestamp, amount: u64) -> Outcome {
        self.visit(&Visit { visitor: murmur(visitor.as_ref()), at: Some(at), amount })
    }

    /// About how many different visitors the endpoint had. See [`Registry::query_uniques`].
    ///
    /// # Errors
    /// As [`Registry::query_uniques`].
    pub fn uniques(&self, last: Duration) -> Result<u64, QueryError> {
        self.uniques_in(&self.core().query_now(last)?)
    }

    /// About how many different visitors the endpoint had in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`Registry::query_uniques`].
    pub fn uniques_at(&self, at: Timestamp, last: Duration) -> Result<u64, QueryError> {
        self.uniques_in(&self.core().query_at(at, last)?)
    }

    fn uniques_in(&self, query: &Query<'_>) -> Result<u64, QueryError> {
        self.with(|endpoint| self.core().uniques_of(endpoint, query)).unwrap_or(Ok(0))
    }

    /// About how many different visitors the endpoint ever had, since it was made.
    #[must_use]
    pub fn uniques_ever(&self) -> u64 {
        self.with(|endpoint| self.core().ever_of(endpoint)).unwrap_or_default()
    }
}

impl Registry {
    /// Returns a handle of `endpoint`, and makes the endpoint if it does not exist. An endpoint that has handles is
    /// never pruned, and keeps the memory of its former strategies until the last handle is dropped.
    ///
    /// # Errors
    /// [`EndpointError`] if the name is not possible or the registry is full.
    pub fn counter(&self, endpoint: &str) -> Result<Handle, EndpointError> {
        Handle::new(&self.core, endpoint, None)
    }

    /// As [`counter`](Self::counter), with a strategy for the endpoint; an endpoint that has another strategy is
    /// swapped to it.
    ///
    /// # Errors
    /// As [`counter`](Self::counter); [`EndpointError::Strategy`] if the strategy does not suit the window.
    pub fn counter_with(&self, endpoint: &str, strategy: &Strategy) -> Result<Handle, EndpointError> {
        let handle = Handle::new(&self.core, endpoint, Some(strategy))?;
        self.swap_endpoint(endpoint, strategy).map_err(EndpointError::Strategy)?;
        Ok(handle)
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        self.endpoint.acquire_another();
        Self { core: Arc::clone(&self.core), endpoint: Arc::clone(&self.endpoint), name: Arc::clone(&self.name) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.endpoint.release();
    }
}
