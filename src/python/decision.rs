//! `Decision`.
//!
//! Seconds are a `float`, so what is not a whole microsecond is rounded up to one: times from Python are microseconds, and a cost
//! that comes after exactly that wait is let through.
//!
//! Tests: `tests/python/unit/test_limiter.py`.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::limit::decision::Decision;
use crate::limit::plan::Version;
use crate::limit::rate::Rate;
use crate::time::Timestamp;

/// What a limiter says, and of which limit it is.
#[pyclass(eq, frozen, hash, module = "hitring", name = "Decision")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PyDecision {
    pub decision: Decision,
    pub rate: Rate,
    pub burst: Option<u64>,
    pub is_one_of_several: bool,
}

impl PyDecision {
    /// The decision of a limiter whose rates are those of `version`.
    #[inline(always)]
    pub fn of(decision: Decision, version: &Version) -> Self {
        let (rate, burst, is_one_of_several) =
            (version.rate(decision.which), version.form.burst, version.has_several());
        Self { decision, rate, burst, is_one_of_several }
    }
}

#[pymethods]
impl PyDecision {
    /// Whether the cost was let through.
    #[getter]
    const fn allowed(&self) -> bool {
        self.decision.allowed
    }

    /// How much more would be.
    #[getter]
    const fn remaining(&self) -> u64 {
        self.decision.remaining
    }

    /// How many seconds to wait.
    #[getter]
    fn retry_after(&self) -> Option<f64> {
        let nanos = self.decision.retry_after?.as_nanos();
        #[expect(clippy::cast_precision_loss, reason = "fewer microseconds than 2^53 are less than 285 years")]
        Some(nanos.div_ceil(1_000) as f64 / 1e6)
    }

    /// Whether the cost was refused for its time.
    #[getter]
    const fn is_future(&self) -> bool {
        self.decision.is_future
    }

    /// Which of several limits it is about.
    #[getter]
    const fn which(&self) -> u8 {
        self.decision.which
    }

    /// Header fields of an answer.
    #[pyo3(signature = (name = "default"))]
    fn headers<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        // A name always means the same policy.
        let own = self.is_one_of_several.then(|| format!("{name}-{}", self.decision.which));
        let name = own.as_deref().unwrap_or(name);
        headers.set_item("RateLimit-Policy", self.rate.policy(name, self.burst))?;
        headers.set_item("RateLimit", self.decision.rate_limit(name))?;
        if let Some(seconds) = self.decision.retry_after_seconds() {
            headers.set_item("Retry-After", seconds.to_string())?;
        }
        Ok(headers)
    }

    /// The parts by name.
    fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let parts = PyDict::new(py);
        parts.set_item("allowed", self.allowed())?;
        parts.set_item("remaining", self.remaining())?;
        parts.set_item("retry_after", self.retry_after())?;
        Ok(parts)
    }

    const fn __bool__(&self) -> bool {
        self.decision.allowed
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let parts = (self.allowed(), self.remaining(), self.retry_after()).into_pyobject(py)?;
        Ok(parts.try_iter()?.into_any())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let allowed = if self.allowed() { "True" } else { "False" };
        let (remaining, retry_after) = (self.remaining(), self.retry_after().into_pyobject(py)?.repr()?);
        let future = if self.is_future() { ", is_future=True" } else { "" };
        Ok(format!("Decision(allowed={allowed}, remaining={remaining}, retry_after={retry_after}{future})"))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let Decision { allowed, remaining, retry_after, is_future, which } = self.decision;
        let parts = |time: Duration| (time.as_secs(), time.subsec_nanos());
        let (limit, window) = (self.rate.limit(), parts(self.rate.window()));
        let of = (limit, window, self.burst, self.is_one_of_several);
        let arguments = (allowed, remaining, retry_after.map(parts), is_future, which, of);
        Ok((py.import("hitring._hitring")?.getattr("_restore_decision")?, arguments.into_pyobject(py)?))
    }
}

/// The decision that was pickled with these parts.
#[pyfunction]
pub fn _restore_decision(
    allowed: bool,
    remaining: u64,
    retry_after: Option<(u64, u32)>,
    is_future: bool,
    which: u8,
    of: (u64, (u64, u32), Option<u64>, bool),
) -> PyResult<PyDecision> {
    let (limit, window, burst, is_one_of_several) = of;
    let wrong =
        |error: String| PyValueError::new_err(format!("these are not the parts of a pickled Decision: {error}"));
    let time = |(secs, nanos)| {
        Timestamp::new(secs, nanos).map(Timestamp::as_duration).map_err(|error| wrong(error.to_string()))
    };
    let rate = Rate::new(limit, time(window)?).map_err(|error| wrong(error.to_string()))?;
    let retry_after = retry_after.map(time).transpose()?;
    Ok(PyDecision {
        decision: Decision { allowed, remaining, retry_after, is_future, which },
        rate,
        burst,
        is_one_of_several,
    })
}
