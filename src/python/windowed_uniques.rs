//! `WindowedUniques`: each method converts, calls and converts.
//!
//! Tests: `tests/python/unit`.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::error::QueryError;
use crate::hit_counter::windowed_uniques::WindowedUniques;
use crate::python::bytes;
use crate::python::clock::{clock, deepcopy};
use crate::python::configured::{configured, last, slots, within};
use crate::python::errors::{self, Class};
use crate::python::given::Given;
use crate::python::hits;
use crate::python::item;
use crate::python::outcome::member;
use crate::python::time::{self, seconds};

/// How many different items there were in the last N seconds, about.
#[pyclass(frozen, weakref, module = "hitring", name = "WindowedUniques")]
#[derive(Debug)]
pub struct PyWindowedUniques {
    uniques: WindowedUniques,
    /// The clock that was given.
    clock: Option<Py<PyAny>>,
}

impl PyWindowedUniques {
    fn answer<'py>(&self, py: Python<'py>, count: Result<u64, QueryError>) -> PyResult<Bound<'py, PyAny>> {
        hits::estimate(py, count.map_err(|error| errors::query(py, &error))?, self.uniques.error())
    }

    fn restored(py: Python<'_>, data: &Bound<'_, PyAny>, with_clock: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let bytes = bytes::snapshot(data)?;
        let of_its_own = with_clock.as_ref().map(clock).transpose()?;
        let uniques = WindowedUniques::from_bytes_with(bytes.as_bytes(), of_its_own);
        let uniques = uniques.map_err(|error| errors::snapshot(py, &error))?;
        Ok(Self { uniques, clock: with_clock.map(Bound::unbind) })
    }
}

#[pymethods]
impl PyWindowedUniques {
    #[new]
    #[pyo3(
        signature = (
            window = Given::NOTHING, *, resolution = Given::NOTHING, slack = Given::NOTHING,
            precision = Given::NOTHING, max_skew = None, clock = None,
        ),
        text_signature = "(window=300, *, resolution=1, slack=20, precision=14, max_skew=None, clock=None)"
    )]
    fn new(
        py: Python<'_>,
        window: Given<'_>,
        resolution: Given<'_>,
        slack: Given<'_>,
        precision: Given<'_>,
        max_skew: Option<Bound<'_, PyAny>>,
        clock: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut builder = WindowedUniques::builder();
        if let Some(window) = window.0 {
            builder = builder.window(configured(&window, "window")?);
        }
        if let Some(resolution) = resolution.0 {
            builder = builder.resolution(configured(&resolution, "resolution")?);
        }
        if let Some(given) = slack.0 {
            builder = builder.slack(slots(&given)?);
        }
        if let Some(given) = precision.0 {
            builder = builder.precision(within(&given, "precision", 4..=18)? as u8);
        }
        if let Some(max_skew) = max_skew {
            builder = builder.max_skew(configured(&max_skew, "max_skew")?);
        }
        if let Some(given) = &clock {
            builder = builder.clock(self::clock(given)?);
        }
        let uniques = builder.build().map_err(|error| Class::Config.error(py, error))?;
        Ok(Self { uniques, clock: clock.map(Bound::unbind) })
    }

    /// Add an item at `timestamp`, or now.
    #[pyo3(signature = (item, timestamp = None))]
    fn add<'py>(&self, item: &Bound<'py, PyAny>, timestamp: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let bytes = item::bytes(item, "item")?;
        let outcome = match timestamp {
            Some(at) => self.uniques.add_at(time::timestamp(at, "timestamp")?, &*bytes),
            None => self.uniques.add(&*bytes),
        };
        Ok(member(item.py(), outcome))
    }

    /// How many different items the `last` seconds up to `at`, or now, have.
    #[pyo3(signature = (last = None, at = None))]
    fn count<'py>(
        &self,
        py: Python<'py>,
        last: Option<&Bound<'py, PyAny>>,
        at: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let past = self::last(last, "last", self.uniques.window())?;
        let count = match at {
            Some(at) => self.uniques.count_at(time::timestamp(at, "at")?, past),
            None => self.uniques.count_last(past),
        };
        self.answer(py, count)
    }

    /// How many different items were ever added.
    fn ever<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        hits::estimate(py, self.uniques.ever(), self.uniques.error())
    }

    /// Add the items of another one, or of its bytes.
    fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        let merged = if let Ok(other) = other.cast::<Self>() {
            self.uniques.merge(&other.get().uniques)
        } else {
            let bytes = bytes::snapshot(other)?;
            WindowedUniques::from_bytes(bytes.as_bytes()).and_then(|other| self.uniques.merge(&other))
        };
        merged.map_err(|error| errors::snapshot(other.py(), &error))
    }

    /// What is held, as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.uniques.to_bytes())
    }

    /// What bytes hold.
    #[staticmethod]
    #[pyo3(signature = (data, *, clock = None))]
    fn from_bytes(data: &Bound<'_, PyAny>, clock: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        Self::restored(data.py(), data, clock)
    }

    /// The relative standard error of an estimate of many.
    #[getter]
    fn error(&self) -> f64 {
        self.uniques.error()
    }

    /// The number of bits that tell items apart.
    #[getter]
    fn precision(&self) -> u8 {
        self.uniques.precision()
    }

    /// The window in seconds.
    #[getter]
    fn window<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.uniques.window())
    }

    /// The width of a tick in seconds.
    #[getter]
    fn resolution<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.uniques.resolution())
    }

    /// How many seconds more than was asked for an answer may cover.
    #[getter]
    fn part<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.uniques.part())
    }

    fn __copy__(&self, py: Python<'_>) -> Self {
        Self { uniques: self.uniques.clone(), clock: self.clock.as_ref().map(|clock| clock.clone_ref(py)) }
    }

    fn __deepcopy__(&self, memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = memo.py();
        let clock = deepcopy(self.clock.as_ref(), memo)?;
        Self::restored(py, self.to_bytes(py).as_any(), clock)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let clock = self.clock.as_ref().map(|clock| clock.bind(py));
        let state = (self.to_bytes(py), clock).into_pyobject(py)?;
        Ok((py.import("hitring._hitring")?.getattr("_restore_uniques")?, state))
    }

    fn __sizeof__(&self) -> usize {
        self.uniques.memory_bytes()
    }

    fn __repr__(&self) -> String {
        format!("<hitring.WindowedUniques: about {} in {:?}>", self.uniques.count(), self.uniques.window())
    }
}

/// The uniques that were pickled.
#[pyfunction]
pub fn _restore_uniques(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    clock: Option<Bound<'_, PyAny>>,
) -> PyResult<PyWindowedUniques> {
    PyWindowedUniques::restored(py, data, clock)
}
