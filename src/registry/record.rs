//! Recording hits, by name and into an endpoint that was found.
//!
//! Tests: `tests/registry`.

use super::create::check_name;
use super::state::{Core, Registry};
use crate::cell::outcome::Outcome;
use crate::counter::query::When;
use crate::endpoint::{Gone, Reach};
use crate::error::EndpointError;
use crate::time::{Tick, Timestamp};

impl Registry {
    /// Counts `amount` hits of `endpoint` now. See [`HitCounter::record`](crate::HitCounter::record) for amounts and
    /// outcomes; `Refused` here also means that the registry has no room for another endpoint.
    ///
    /// # Errors
    /// [`EndpointError::Name`] unless the name has 1 to 1,024 bytes.
    #[inline]
    pub fn record_hit(&self, endpoint: &str, amount: u64) -> Result<Outcome, EndpointError> {
        match self.core.record_known_now(endpoint, amount) {
            Some(outcome) => Ok(outcome),
            None => {
                self.core.record_new(endpoint, None, amount, |found| self.core.record_into(found, endpoint, amount))
            }
        }
    }

    /// Counts `amount` hits of `endpoint` at `at`.
    ///
    /// # Errors
    /// As [`record_hit`](Self::record_hit).
    pub fn record_hit_at(&self, endpoint: &str, at: Timestamp, amount: u64) -> Result<Outcome, EndpointError> {
        match self.core.record_known_at(endpoint, at, amount) {
            Some(outcome) => Ok(outcome),
            None => self
                .core
                .record_new(endpoint, Some(at), amount, |found| self.core.record_into_at(found, endpoint, at, amount)),
        }
    }
}

impl Core {
    /// Counts in `endpoint`, of which the caller has a handle or the guard, if the tick has hits there and room for
    /// these, and if neither a listener nor a threshold wants them. Otherwise it changes nothing, and the caller uses
    /// [`record_other`](Self::record_other).
    #[inline(always)]
    pub fn record_short(&self, endpoint: Reach<'_>, tick: Tick, amount: u64) -> bool {
        !self.watch.wants_hits() && endpoint.record_current(&self.geometry, tick, amount)
    }

    /// Counts in `endpoint`, of which the caller has a handle or the guard, if the short way did not apply.
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

    /// Reports counted hits to listeners and thresholds.
    #[inline(never)]
    fn tell(&self, endpoint: Reach<'_>, name: &str, when: When<'_>, amount: u64) {
        if amount > 0 {
            self.tell_counted(endpoint, name, when, amount);
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
        at: Option<Timestamp>,
        amount: u64,
        record: impl Fn(Reach<'_>) -> Result<Outcome, Gone>,
    ) -> Result<Outcome, EndpointError> {
        check_name(name)?;
        // A hit that is refused does not take a place.
        if amount > 0 && at.is_some_and(|at| self.times().at(at).is_future()) {
            self.note(Outcome::Future, amount);
            return Ok(Outcome::Future);
        }
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
}
