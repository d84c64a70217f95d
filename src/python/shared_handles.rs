//! `SharedCounter` and `SharedLimiter`: what a `SharedRegistry` hands out. Each method converts, calls and converts.
//!
//! Tests: `tests/python/unit`.

use std::time::Duration;

use pyo3::prelude::*;

use crate::limit::decision::Decision;
use crate::limit::shared_rate::SharedRate;
use crate::python::configured;
use crate::python::decision::PyDecision;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::hits;
use crate::python::item;
use crate::python::limiter::{Parts, costs, waits};
use crate::python::number::or_one;
use crate::python::outcome::member;
use crate::python::time::{self, moment, seconds};
use crate::shared::{SharedHandle, SharedLimiter};

/// One endpoint of a shared registry.
#[pyclass(frozen, weakref, module = "hitring", name = "SharedCounter")]
#[derive(Debug)]
pub struct PySharedCounter {
    pub handle: SharedHandle,
    /// The registry's.
    pub window: Duration,
    /// That of its visitors' estimates.
    pub error: f64,
}

#[pymethods]
impl PySharedCounter {
    /// Count `amount` hits now.
    #[pyo3(
        signature = (amount = Given::NOTHING, *, visitor = None),
        text_signature = "($self, amount=1, *, visitor=None)"
    )]
    fn record<'py>(
        &self,
        py: Python<'py>,
        amount: Given<'_>,
        visitor: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let amount = or_one(&amount)?;
        let outcome = match visitor {
            Some(visitor) => self.handle.record_visit(item::bytes(visitor, "visitor")?, amount),
            None => self.handle.record(amount),
        };
        Ok(member(py, outcome))
    }

    /// Count `amount` hits at `timestamp`.
    #[pyo3(
        signature = (timestamp, amount = Given::NOTHING, *, visitor = None),
        text_signature = "($self, timestamp, amount=1, *, visitor=None)"
    )]
    fn record_at<'py>(
        &self,
        timestamp: &Bound<'py, PyAny>,
        amount: Given<'_>,
        visitor: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (at, amount) = (time::timestamp(timestamp, "timestamp")?, or_one(&amount)?);
        let outcome = match visitor {
            Some(visitor) => self.handle.record_visit_at(item::bytes(visitor, "visitor")?, at, amount),
            None => self.handle.record_at(at, amount),
        };
        Ok(member(timestamp.py(), outcome))
    }

    /// The hits of the `last` seconds up to now.
    #[pyo3(signature = (last = None))]
    fn count<'py>(&self, py: Python<'py>, last: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        hits::answer(py, self.handle.count_last(configured::last(last, "last", self.window)?))
    }

    /// The hits of the `last` seconds up to `timestamp`.
    #[pyo3(signature = (timestamp, last = None))]
    fn count_at<'py>(
        &self,
        timestamp: &Bound<'py, PyAny>,
        last: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let at = time::timestamp(timestamp, "timestamp")?;
        hits::answer(timestamp.py(), self.handle.count_at(at, configured::last(last, "last", self.window)?))
    }

    /// How many hits the file ever counted here.
    fn total_ever(&self) -> u64 {
        self.handle.total_ever()
    }

    /// How many different visitors the `last` seconds up to now had.
    #[pyo3(signature = (last = None))]
    fn uniques<'py>(&self, py: Python<'py>, last: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let uniques = self.handle.uniques(configured::last(last, "last", self.window)?);
        hits::estimate(py, uniques.map_err(|error| errors::query(py, &error))?, self.error)
    }

    /// How many different visitors there ever were.
    fn uniques_ever<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let ever = self.handle.uniques_ever().map_err(|error| errors::query(py, &error))?;
        hits::estimate(py, ever, self.error)
    }

    /// The endpoint's name.
    #[getter]
    fn endpoint(&self) -> &str {
        self.handle.name()
    }

    /// Whether hits are still taken.
    #[getter]
    fn alive(&self) -> bool {
        !self.handle.is_removed()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let gone = if self.alive() { "" } else { ", removed" };
        Ok(format!("<hitring.SharedCounter of {}{gone}>", self.endpoint().into_pyobject(py)?.repr()?))
    }
}

/// A limiter that processes keep together.
#[pyclass(frozen, weakref, module = "hitring", name = "SharedLimiter")]
#[derive(Debug)]
pub struct PySharedLimiter {
    pub limiter: Box<SharedLimiter>,
}

impl PySharedLimiter {
    #[inline(always)]
    pub fn decision(&self, decision: Decision) -> PyDecision {
        self.limiter.agreed(|&SharedRate { rate, burst, .. }| PyDecision {
            decision,
            rate,
            burst,
            is_one_of_several: false,
        })
    }
}

#[pymethods]
impl PySharedLimiter {
    /// Let a cost of `key` through at `at`, or now, or refuse it whole.
    #[pyo3(
        signature = (key = None, cost = Given::NOTHING, *, at = None),
        text_signature = "($self, key='', cost=1, *, at=None)"
    )]
    fn allow(
        &self,
        key: Option<&Bound<'_, PyAny>>,
        cost: Given<'_>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyDecision> {
        let cost = or_one(&cost).map_err(costs)?;
        let key = key.map(|key| item::bytes(key, "key")).transpose()?.unwrap_or_default();
        Ok(self.decision(match moment(at, "at")? {
            Some(at) => self.limiter.allow_at(key, at, cost),
            None => self.limiter.allow(key, cost),
        }))
    }

    /// Let a cost of `key` through as soon as there is room for it.
    #[pyo3(
        signature = (key = None, cost = Given::NOTHING, *, timeout = None),
        text_signature = "($self, key='', cost=1, *, timeout=None)"
    )]
    fn acquire<'py>(
        slf: &Bound<'py, Self>,
        key: Option<&Bound<'py, PyAny>>,
        cost: Given<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        waits(slf, "acquire", (key, or_one(&cost).map_err(costs)?), timeout)
    }

    /// The same in asyncio.
    #[pyo3(
        signature = (key = None, cost = Given::NOTHING, *, timeout = None),
        text_signature = "($self, key='', cost=1, *, timeout=None)"
    )]
    fn acquire_async<'py>(
        slf: &Bound<'py, Self>,
        key: Option<&Bound<'py, PyAny>>,
        cost: Given<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        waits(slf, "acquire_async", (key, or_one(&cost).map_err(costs)?), timeout)
    }

    /// What `allow` would say, but with all that remains.
    #[pyo3(
        signature = (key = None, cost = Given::NOTHING, *, at = None),
        text_signature = "($self, key='', cost=1, *, at=None)"
    )]
    fn peek(
        &self,
        key: Option<&Bound<'_, PyAny>>,
        cost: Given<'_>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyDecision> {
        let cost = or_one(&cost).map_err(costs)?;
        let key = key.map(|key| item::bytes(key, "key")).transpose()?.unwrap_or_default();
        Ok(self.decision(match moment(at, "at")? {
            Some(at) => self.limiter.peek_at(key, at, cost),
            None => self.limiter.peek(key, cost),
        }))
    }

    /// Forget what was let through of `key`.
    #[pyo3(signature = (key = None), text_signature = "($self, key='')")]
    fn reset(&self, key: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        Ok(self.limiter.reset(key.map(|key| item::bytes(key, "key")).transpose()?.unwrap_or_default()))
    }

    /// Change the rate for all processes; what was let through counts on.
    #[pyo3(
        signature = (limit, window = None, *, burst = None),
        text_signature = "($self, limit, window=None, *, burst=None)"
    )]
    fn set_rate(
        &self,
        limit: &Bound<'_, PyAny>,
        window: Option<&Bound<'_, PyAny>>,
        burst: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (rate, burst) = Parts { limit, window, burst, resolution: None, max_skew: None, clock: None }.one()?;
        self.limiter.set_rate(rate, burst).map_err(|error| errors::shared(limit.py(), &error))
    }

    /// The rate, as a text.
    #[getter]
    fn rate(&self) -> String {
        self.limiter.rate().to_string()
    }

    /// The limiter's name.
    #[getter]
    fn name(&self) -> &str {
        self.limiter.name()
    }

    /// How much.
    #[getter]
    fn limit(&self) -> u64 {
        self.limiter.rate().limit()
    }

    /// In how many seconds.
    #[getter]
    fn window<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.limiter.rate().window())
    }

    /// How many keys of all limiters of the file are in use.
    #[getter]
    fn keys_in_use(&self) -> usize {
        self.limiter.keys_in_use()
    }

    /// How many costs were refused, and let through unlimited, since there was no room for their key.
    #[getter]
    fn without_room(&self) -> (u64, u64) {
        self.limiter.without_room()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self.name().into_pyobject(py)?.repr()?;
        Ok(format!("<hitring.SharedLimiter {name} of {}>", self.limiter.rate()))
    }
}
