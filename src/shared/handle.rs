//! [`SharedHandle`]: one endpoint of a shared file, without looking its name up.
//!
//! Tests: `tests/shared`.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::format::lives::Life;
use crate::cell::hits::Hits;
use crate::cell::outcome::Outcome;
use crate::error::{EndpointError, QueryError};
use crate::sketch::hyperloglog::hash::murmur;
use crate::time::{Tick, Timestamp};

/// One endpoint of a [`SharedRegistry`](crate::SharedRegistry): records with two exchanges and asks with one pass over its
/// slots.
///
/// Once any process has removed the endpoint, the handle answers `Refused` and 0 hits, for good; a new handle is of the new
/// endpoint.
#[derive(Debug)]
pub struct SharedHandle {
    /// Lies in the mapping of `core`, which is dropped after it.
    life: Life<'static>,
    core: Arc<Core>,
    name: Arc<str>,
}

impl SharedHandle {
    pub(super) fn new(core: &Arc<Core>, name: &str) -> Result<Self, EndpointError> {
        let index = core.begin(name)?.index();
        let life = core.lives().get(index).ok_or(EndpointError::ReadOnly)?;
        // SAFETY: the words live as long as the mapping, which `core` keeps; a life is only handed out for as long as the
        // handle is borrowed.
        let life: Life<'static> = unsafe { std::mem::transmute::<Life<'_>, Life<'static>>(life) };
        Ok(Self { life, core: Arc::clone(core), name: name.into() })
    }

    /// Counts `amount` hits now; `Refused` if the endpoint was removed, or the file was opened for reading.
    #[inline]
    pub fn record(&self, amount: u64) -> Outcome {
        let core = &*self.core;
        if core.file.is_writable() {
            let tick = core.times.tick();
            if core.record_short(self.life, tick, amount) {
                return Outcome::Counted;
            }
            return self.record_other(tick, amount);
        }
        Outcome::Refused
    }

    // Out of line and with few arguments, so that the fast path spills no registers.
    #[cold]
    #[inline(never)]
    fn record_other(&self, tick: Tick, amount: u64) -> Outcome {
        let when = self.core.times.now(tick);
        self.core.record_other(self.life, &self.name, when, amount).unwrap_or_else(|_| self.refuse(amount))
    }

    /// Counts `amount` hits at `at`.
    pub fn record_at(&self, at: Timestamp, amount: u64) -> Outcome {
        if !self.core.file.is_writable() {
            return Outcome::Refused;
        }
        self.core.record_at(self.life, &self.name, at, amount).unwrap_or_else(|_| self.refuse(amount))
    }

    #[cold]
    fn refuse(&self, amount: u64) -> Outcome {
        self.core.note(Outcome::Refused, amount);
        Outcome::Refused
    }

    /// Counts `amount` hits now, by `visitor`. See [`Registry::record_visit`](crate::Registry::record_visit).
    pub fn record_visit(&self, visitor: impl AsRef<[u8]>, amount: u64) -> Outcome {
        let tick = self.core.times.tick();
        let outcome = self.record(amount);
        if outcome.is_counted() && amount > 0 {
            self.core.see(self.life, tick, murmur(visitor.as_ref()));
        }
        outcome
    }

    /// The same at `at`.
    pub fn record_visit_at(&self, visitor: impl AsRef<[u8]>, at: Timestamp, amount: u64) -> Outcome {
        let outcome = self.record_at(at, amount);
        if outcome.is_counted() && amount > 0 {
            self.core.see(self.life, self.core.times.at(at).tick(), murmur(visitor.as_ref()));
        }
        outcome
    }

    /// The hits in the window up to now.
    ///
    /// # Errors
    /// As [`count_last`](Self::count_last).
    pub fn count(&self) -> Result<Hits, QueryError> {
        self.count_last(self.core.window())
    }

    /// The hits in the `last` up to now.
    ///
    /// # Errors
    /// [`QueryError`]: see [`Registry::query_hits`](crate::Registry::query_hits).
    pub fn count_last(&self, last: Duration) -> Result<Hits, QueryError> {
        let query = self.core.query_now(last)?;
        if self.is_removed() { query.ticks().map(|_| Hits::NONE) } else { self.core.sum(self.life, &query) }
    }

    /// The hits in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`count_last`](Self::count_last).
    pub fn count_at(&self, at: Timestamp, last: Duration) -> Result<Hits, QueryError> {
        let query = self.core.query_at(at, last)?;
        if self.is_removed() { query.ticks().map(|_| Hits::NONE) } else { self.core.sum(self.life, &query) }
    }

    /// About how many different visitors there were. See [`Registry::query_uniques`](crate::Registry::query_uniques).
    ///
    /// # Errors
    /// As [`SharedRegistry::query_uniques`](crate::SharedRegistry::query_uniques).
    pub fn uniques(&self, last: Duration) -> Result<u64, QueryError> {
        let query = self.core.query_now(last)?;
        if self.is_removed() { Ok(0) } else { self.core.uniques(self.life, &query) }
    }

    /// About how many different visitors there ever were.
    ///
    /// # Errors
    /// As [`SharedRegistry::uniques_ever`](crate::SharedRegistry::uniques_ever).
    pub fn uniques_ever(&self) -> Result<u64, QueryError> {
        if self.is_removed() { Ok(0) } else { self.core.uniques_ever(self.life) }
    }

    /// The hits that were ever counted here.
    #[must_use]
    pub fn total_ever(&self) -> u64 {
        if self.is_removed() { 0 } else { self.core.book().total(self.life) }
    }

    /// Whether the endpoint was removed.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        !self.life.is_alive()
    }

    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
