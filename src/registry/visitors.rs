//! Visitors: how many different ones an endpoint had, in the last N seconds and ever.
//!
//! A visitor is noted beside the hit, after it was counted, under the same tick. So a reader that sees a visitor has
//! seen the hit, and a hit that was refused leaves no visitor. [`uniques`](crate::sketch::uniques) says what is kept,
//! and how far off an estimate may be. An endpoint's visitors are dropped when it is removed or pruned; a change of
//! strategy does not affect them.
//!
//! Tests: `tests/registry/visitors.rs`.

use std::time::Duration;

use super::state::{Core, Registry};
use crate::cell::outcome::Outcome;
use crate::counter::query::Query;
use crate::endpoint::{Gone, Reach};
use crate::error::{EndpointError, QueryError};
use crate::sketch::hyperloglog::hash::murmur;
use crate::time::{Tick, Timestamp};

impl Registry {
    /// Counts `amount` hits of `endpoint` now, as [`record_hit`](Self::record_hit) does, by `visitor`: an address, a user, a
    /// session, any bytes. The registry keeps only a few bits of a hash of them.
    ///
    /// Lock-free as the endpoint's strategy is; the first visitors of a time allocate.
    ///
    /// ```
    /// use hitring::Registry;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// for visitor in ["198.51.100.7", "2001:db8::1", "198.51.100.7"] {
    ///     registry.record_visit("/home", visitor, 1)?;
    /// }
    /// assert_eq!(registry.query_hits("/home", Duration::from_secs(60))?, 3);
    /// assert_eq!(registry.query_uniques("/home", Duration::from_secs(60))?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`record_hit`](Self::record_hit).
    pub fn record_visit(
        &self,
        endpoint: &str,
        visitor: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Outcome, EndpointError> {
        self.core.record_visit(endpoint, &Visit { visitor: murmur(visitor.as_ref()), at: None, amount })
    }

    /// Counts `amount` hits of `endpoint` at `at`, by `visitor`.
    ///
    /// # Errors
    /// As [`record_hit`](Self::record_hit).
    pub fn record_visit_at(
        &self,
        endpoint: &str,
        visitor: impl AsRef<[u8]>,
        at: Timestamp,
        amount: u64,
    ) -> Result<Outcome, EndpointError> {
        self.core.record_visit(endpoint, &Visit { visitor: murmur(visitor.as_ref()), at: Some(at), amount })
    }

    /// About how many different visitors `endpoint` had in the `last` up to now, and in up to a sixteenth of the window
    /// before that; [`uniques_error`](Self::uniques_error) says how good the estimate is. 0 if the endpoint does not
    /// exist, or if its hits were recorded without visitors.
    ///
    /// # Errors
    /// [`QueryError::LongerThanWindow`]; [`QueryError::WindowExpired`] if part of the range is not known any more.
    pub fn query_uniques(&self, endpoint: &str, last: Duration) -> Result<u64, QueryError> {
        self.core.uniques(endpoint, &self.core.query_now(last)?)
    }

    /// About how many different visitors `endpoint` had in `(at - last, at]`; see
    /// [`query_uniques`](Self::query_uniques).
    ///
    /// # Errors
    /// As [`query_uniques`](Self::query_uniques).
    pub fn query_uniques_at(&self, endpoint: &str, at: Timestamp, last: Duration) -> Result<u64, QueryError> {
        self.core.uniques(endpoint, &self.core.query_at(at, last)?)
    }

    /// About how many different visitors `endpoint` ever had, since it was made.
    #[must_use]
    pub fn uniques_ever(&self, endpoint: &str) -> u64 {
        self.core.with(endpoint, |endpoint| self.core.ever_of(endpoint)).unwrap_or_default()
    }

    /// The number of bits that tell visitors apart.
    #[must_use]
    pub fn precision(&self) -> u8 {
        self.core.parts().precision().bits()
    }

    /// The relative standard error of estimates of many visitors; of up to a few hundred they are nearly exact.
    #[must_use]
    pub fn uniques_error(&self) -> f64 {
        self.core.parts().precision().error()
    }
}

/// Hits of one visitor.
#[derive(Debug)]
pub struct Visit {
    /// The hash of the visitor.
    pub visitor: u64,
    /// `None` is now.
    pub at: Option<Timestamp>,
    pub amount: u64,
}

impl Core {
    fn record_visit(&self, name: &str, visit: &Visit) -> Result<Outcome, EndpointError> {
        match self.record_known_visit(name, visit) {
            Some(outcome) => Ok(outcome),
            None => self.record_new(name, visit.at, visit.amount, |endpoint| self.visit(endpoint, name, visit)),
        }
    }

    /// As [`record_visit`](Self::record_visit), if the name has an endpoint that takes hits.
    pub fn record_known_visit(&self, name: &str, visit: &Visit) -> Option<Outcome> {
        let guard = self.guard();
        self.visit(self.get(name, &guard)?.reach(), name, visit).ok()
    }

    /// Counts a visit in `endpoint`, of which the caller has a handle or the guard.
    pub fn visit(&self, endpoint: Reach<'_>, name: &str, visit: &Visit) -> Result<Outcome, Gone> {
        let (tick, outcome) = match visit.at {
            None => {
                let tick = self.tick();
                let counted = self.record_short(endpoint, tick, visit.amount);
                (tick, if counted { Outcome::Counted } else { self.record_other(endpoint, name, tick, visit.amount)? })
            }
            Some(at) => (self.times().at(at).tick(), self.record_into_at(endpoint, name, at, visit.amount)?),
        };
        if outcome.is_counted() && visit.amount > 0 {
            endpoint.see(self.parts(), tick, visit.visitor);
        }
        Ok(outcome)
    }

    fn uniques(&self, name: &str, query: &Query<'_>) -> Result<u64, QueryError> {
        match self.with(name, |endpoint| self.uniques_of(endpoint, query)) {
            Some(uniques) => uniques,
            // The name may have been pruned, and ticks before `forgotten` are not known for pruned names.
            None if query.touched().is_some_and(|span| span.first < self.forgotten()) => Err(query.expired()),
            None => Ok(0),
        }
    }

    pub fn uniques_of(&self, endpoint: Reach<'_>, query: &Query<'_>) -> Result<u64, QueryError> {
        let Some(span) = query.touched() else { return Ok(0) };
        if span.first < endpoint.forgotten() {
            return Err(query.expired());
        }
        let Some(uniques) = endpoint.uniques() else { return Ok(0) };
        let removed_before = endpoint.removed_before();
        let (parts, width) = (self.parts(), self.parts().width());
        // The part that a removal cuts is left out, as in a merge.
        let first =
            if removed_before == Tick(0) { removed_before } else { Tick((parts.part(removed_before) + 1) * width) };
        let Some(span) = span.since(first) else { return Ok(0) };
        let reading = uniques.count(self.parts(), span);
        if reading.exact { Ok(reading.count) } else { Err(query.expired()) }
    }

    pub fn ever_of(&self, endpoint: Reach<'_>) -> u64 {
        endpoint.uniques().map_or(0, |uniques| uniques.ever(self.parts()))
    }
}
