//! `Counter`: one endpoint of a registry, without looking its name up. Each method converts, calls and converts.
//!
//! No call releases the GIL, for the reason that `hit_counter` gives.
//!
//! Tests: `tests/python/unit`.

use std::time::Duration;

use pyo3::prelude::*;

use crate::python::configured;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::hits;
use crate::python::item;
use crate::python::number::or_one;
use crate::python::outcome::member;
use crate::python::strategy;
use crate::python::time;
use crate::registry::Handle;

/// One endpoint of a registry.
#[pyclass(frozen, weakref, module = "hitring", name = "Counter")]
#[derive(Debug)]
pub struct PyCounter {
    pub handle: Handle,
    /// The registry's.
    pub window: Duration,
    /// That of its visitors' estimates.
    pub error: f64,
}

#[pymethods]
impl PyCounter {
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

    /// How many different visitors the `last` seconds up to now had.
    #[pyo3(signature = (last = None))]
    fn uniques<'py>(&self, py: Python<'py>, last: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let uniques = self.handle.uniques(configured::last(last, "last", self.window)?);
        hits::estimate(py, uniques.map_err(|error| errors::query(py, &error))?, self.error)
    }

    /// How many different visitors there ever were.
    fn uniques_ever<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        hits::estimate(py, self.handle.uniques_ever(), self.error)
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

    /// The endpoint's name.
    #[getter]
    fn endpoint(&self) -> &str {
        self.handle.endpoint()
    }

    /// The endpoint's strategy.
    #[getter]
    fn strategy(&self) -> String {
        strategy::text(&self.handle.strategy().0)
    }

    /// Whether hits are still taken.
    #[getter]
    fn alive(&self) -> bool {
        self.handle.is_live()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let gone = if self.alive() { "" } else { ", removed" };
        Ok(format!("<hitring.Counter of {}{gone}>", self.endpoint().into_pyobject(py)?.repr()?))
    }
}
