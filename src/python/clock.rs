//! `ManualClock` and `SystemClock`, as a counter can be given them.
//!
//! Tests: `tests/python/unit/test_clock.py`.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::python::errors::Class;
use crate::python::given::Given;
use crate::python::number::type_name;
use crate::python::time::{self, NotATime, Span};
use crate::time::Timestamp;
use crate::time::clock::{Clock, ManualClock, SystemClock};

/// A clock that stands still until it is moved.
#[pyclass(frozen, weakref, module = "hitring", name = "ManualClock")]
#[derive(Debug)]
pub struct PyManualClock(ManualClock);

#[pymethods]
impl PyManualClock {
    #[new]
    #[pyo3(signature = (start = Given::NOTHING), text_signature = "(start=0)")]
    fn new(start: Given<'_>) -> PyResult<Self> {
        let start = start.0.map_or(Ok(Timestamp::ZERO), |start| time::timestamp(&start, "start"))?;
        Ok(Self(ManualClock::new(start)))
    }

    /// The time that the clock shows, in seconds since 1970.
    fn now<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time::seconds(py, self.0.now().as_duration())
    }

    /// Set the clock, ahead or back.
    fn set(&self, timestamp: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.set(time::timestamp(timestamp, "timestamp")?);
        Ok(())
    }

    /// Move the clock ahead and return the new time.
    fn advance<'py>(&self, seconds: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let by = match time::span(seconds, "seconds", Class::Value)? {
            Span::Of(by) => by,
            Span::Endless => Duration::MAX,
        };
        let now =
            self.0.advance(by).map_err(|error| NotATime::from(error).raise("the time that the clock would show"))?;
        time::seconds(seconds.py(), now.as_duration())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("ManualClock({})", self.now(py)?.repr()?))
    }

    /// A copy shows the same time and is moved by itself; within one pickle or deep copy, those who shared a clock
    /// share its copy.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (u64, u32))> {
        let now = self.0.now();
        Ok((py.import("hitring._hitring")?.getattr("_restore_clock")?, (now.secs(), now.subsec_nanos())))
    }
}

/// The clock that was pickled when it showed so many seconds and nanoseconds.
#[pyfunction]
pub fn _restore_clock(secs: u64, nanos: u32) -> PyResult<PyManualClock> {
    let now =
        Timestamp::new(secs, nanos).map_err(|error| NotATime::from(error).raise("the time of a pickled clock"))?;
    Ok(PyManualClock(ManualClock::new(now)))
}

/// The operating system's clock.
#[pyclass(frozen, weakref, module = "hitring", name = "SystemClock")]
#[derive(Debug)]
pub struct PySystemClock;

#[pymethods]
impl PySystemClock {
    #[new]
    const fn new() -> Self {
        Self
    }

    /// The time now, in seconds since 1970.
    fn now<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time::fraction(py, SystemClock.now().as_duration())
    }

    const fn __repr__(&self) -> &'static str {
        "SystemClock()"
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyAny>, ()) {
        (py.get_type::<Self>().into_any(), ())
    }
}

/// A deep copy of the clock that was given, if one was.
pub fn deepcopy<'py>(clock: Option<&Py<PyAny>>, memo: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(clock) = clock else { return Ok(None) };
    memo.py().import("copy")?.getattr("deepcopy")?.call1((clock, memo)).map(Some)
}

/// The clock that `value` is.
///
/// # Errors
/// `TypeError` if `value` is not a clock.
pub fn clock(value: &Bound<'_, PyAny>) -> PyResult<Clock> {
    if let Ok(manual) = value.cast::<PyManualClock>() {
        return Ok(manual.get().0.clone().into());
    }
    if value.is_instance_of::<PySystemClock>() {
        return Ok(SystemClock.into());
    }
    Err(PyTypeError::new_err(format!(
        "clock must be a hitring.ManualClock or a hitring.SystemClock, not {}",
        type_name(value)
    )))
}
