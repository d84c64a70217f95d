//! `Strategy`, and what is taken for one: an instance, or a name with its option or without.
//!
//! Tests: `tests/python/unit`.

use std::hash::{Hash, Hasher};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::counter::strategy::Strategy;
use crate::endpoint::Shape;
use crate::error::ConfigError;
use crate::python::configured::{configured, number};
use crate::python::errors::Class;
use crate::python::given::Given;
use crate::python::number::{real, type_name};
use crate::python::time::seconds;

/// How hits are counted.
#[pyclass(eq, frozen, hash, weakref, module = "hitring", name = "Strategy")]
#[derive(Debug, PartialEq)]
pub struct PyStrategy(Strategy);

impl Hash for PyStrategy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_text().hash(state);
    }
}

#[pymethods]
impl PyStrategy {
    /// One ring for all threads.
    #[staticmethod]
    const fn ring() -> Self {
        Self(Strategy::Ring)
    }

    /// A ring for each thread.
    #[staticmethod]
    const fn striped() -> Self {
        Self(Strategy::Striped)
    }

    /// Whole buckets.
    #[staticmethod]
    #[pyo3(signature = (window_size = Given::NOTHING), text_signature = "(window_size=60)")]
    fn fixed(window_size: Given<'_>) -> PyResult<Self> {
        let Some(given) = window_size.0 else { return Ok(Self(Strategy::FIXED)) };
        let window_size = configured(&given, "window_size")?;
        if window_size.is_zero() {
            let message = "a window_size of 0 seconds is not possible; give the width of a bucket, in whole ticks";
            return Err(Class::Config.error(given.py(), message));
        }
        Ok(Self(Strategy::Fixed { window_size }))
    }

    /// Every hit at its exact time.
    #[staticmethod]
    #[pyo3(signature = (max_hits = Given::NOTHING), text_signature = "(max_hits=1048576)")]
    fn sliding(max_hits: Given<'_>) -> PyResult<Self> {
        let Some(given) = max_hits.0 else { return Ok(Self(Strategy::SLIDING)) };
        match number(&given, "max_hits")? as u64 {
            0 => Err(Class::Config.error(given.py(), ConfigError::NoHits)),
            max_hits => Ok(Self(Strategy::Sliding { max_hits })),
        }
    }

    /// Estimates.
    #[staticmethod]
    #[pyo3(signature = (error = None, *, base = None))]
    fn morris(py: Python<'_>, error: Option<Bound<'_, PyAny>>, base: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let strategy = match (error, base) {
            (Some(_), Some(_)) => {
                return Err(Class::Config.error(py, "give error or base, not both"));
            }
            (Some(error), None) => Strategy::morris(real(&error, "error")?),
            (None, Some(base)) => Strategy::morris_base(real(&base, "base")?),
            (None, None) => Strategy::morris(0.05),
        };
        Ok(Self(strategy.map_err(|error| Class::Config.error(py, error))?))
    }

    /// Few cells at first, then a ring, then stripes.
    #[staticmethod]
    const fn adaptive() -> Self {
        Self(Strategy::Adaptive)
    }

    /// The strategy's name.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The options, by name.
    #[getter]
    fn options<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let options = PyDict::new(py);
        match &self.0 {
            Strategy::Fixed { window_size } => options.set_item("window_size", seconds(py, *window_size)?)?,
            Strategy::Sliding { max_hits } => options.set_item("max_hits", max_hits)?,
            Strategy::Morris { base } => options.set_item("base", base.get())?,
            _ => {}
        }
        Ok(options)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let option = match self.options(py)?.iter().next() {
            Some((name, value)) => format!("{name}={}", value.repr()?),
            None => String::new(),
        };
        Ok(format!("Strategy.{}({option})", self.name()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((py.import("hitring._hitring")?.getattr("_restore_strategy")?, (self.0.to_text(),)))
    }
}

/// The strategy that was pickled.
#[pyfunction]
pub fn _restore_strategy(py: Python<'_>, text: &str) -> PyResult<PyStrategy> {
    Ok(PyStrategy(text.parse().map_err(|error| Class::Config.error(py, error))?))
}

/// The strategy that `value` is or names.
///
/// # Errors
/// `TypeError` if it is neither a `Strategy` nor a `str`, `ConfigError` if the text does not name a strategy.
pub fn strategy(value: &Bound<'_, PyAny>) -> PyResult<Strategy> {
    if let Ok(strategy) = value.cast::<PyStrategy>() {
        return Ok(strategy.get().0.clone());
    }
    let Ok(name) = value.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!(
            "strategy must be a name, as 'ring', or a hitring.Strategy, not {}",
            type_name(value)
        )));
    };
    name.to_cow()?.parse().map_err(|error| Class::Config.error(value.py(), error))
}

/// The text that [`strategy`] reads as `strategy`: its name, with the option only if that is not the usual one.
pub fn text(strategy: &Strategy) -> String {
    let name = strategy.name();
    if name.parse().as_ref() == Ok(strategy) { name.to_owned() } else { strategy.to_text() }
}

/// What takes an endpoint's hits, if it is adaptive, and why.
pub const fn shape(shape: Shape) -> (Option<&'static str>, &'static str) {
    match shape {
        Shape::Few => (Some("few"), "hits in at most 4 ticks of the window"),
        Shape::Sparse => (Some("sparse"), "hits in more than 4 ticks"),
        Shape::Ring => (Some("ring"), "hits in more than 16 ticks, or more in one tick than a cell holds"),
        Shape::Striped => (Some("striped"), "threads were in each other's way"),
        Shape::Asked => (None, "asked for"),
    }
}
