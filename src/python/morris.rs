//! `Morris`: each method converts, calls and converts.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::python::bytes;
use crate::python::errors::{self, Class};
use crate::python::given::Given;
use crate::python::hits;
use crate::python::number::{or_one, seed};
use crate::python::outcome::member;
use crate::python::strategy::float;
use crate::sketch::morris_counter::Morris;

/// The relative standard error unless another is asked for.
const ERROR: f64 = 0.05;

/// A count of all time, about, in few bits.
#[pyclass(frozen, weakref, module = "hitring", name = "Morris")]
#[derive(Debug)]
pub struct PyMorris {
    counter: Morris,
}

#[pymethods]
impl PyMorris {
    #[new]
    #[pyo3(signature = (error = None, base = None, seed = None))]
    fn new(
        py: Python<'_>,
        error: Option<&Bound<'_, PyAny>>,
        base: Option<&Bound<'_, PyAny>>,
        seed: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let made = match (error, base) {
            (Some(_), Some(_)) => {
                return Err(PyTypeError::new_err("error and base both say how exact it is; give one of them"));
            }
            (Some(error), None) => Morris::with_error(float(error, "error")?),
            (None, Some(base)) => Morris::with_base(float(base, "base")?),
            (None, None) => Morris::with_error(ERROR),
        };
        let counter = made.map_err(|error| Class::Config.error(py, error))?;
        Ok(Self {
            counter: match seed {
                Some(given) => counter.seeded(self::seed(given)?),
                None => counter,
            },
        })
    }

    /// Count `amount`.
    #[pyo3(signature = (amount = Given::NOTHING), text_signature = "($self, amount=1)")]
    fn record<'py>(&self, py: Python<'py>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        Ok(member(py, self.counter.record(or_one(&amount)?)))
    }

    /// How much was counted, about.
    fn estimate<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        hits::estimate(py, self.counter.estimate().round() as u64, self.counter.error())
    }

    /// Take in what another one, or its bytes, knows.
    fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = other.py();
        let merged = if let Ok(other) = other.cast::<Self>() {
            self.counter.merge(&other.get().counter)
        } else {
            let bytes = bytes::snapshot(other)?;
            let other = Morris::from_bytes(bytes.as_bytes()).map_err(|error| errors::snapshot(py, &error))?;
            self.counter.merge(&other)
        };
        merged.map_err(|error| errors::sketch(py, &error))
    }

    /// What is known, as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.counter.to_bytes())
    }

    /// What bytes hold.
    #[staticmethod]
    fn from_bytes(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bytes = bytes::snapshot(data)?;
        let counter = Morris::from_bytes(bytes.as_bytes());
        Ok(Self { counter: counter.map_err(|error| errors::snapshot(data.py(), &error))? })
    }

    /// The relative standard error of an estimate.
    #[getter]
    fn error(&self) -> f64 {
        self.counter.error()
    }

    /// The base of the registers.
    #[getter]
    fn base(&self) -> f64 {
        self.counter.base()
    }

    fn __copy__(&self) -> Self {
        Self { counter: self.counter.clone() }
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.__copy__()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Self>().getattr("from_bytes")?, (self.to_bytes(py),).into_pyobject(py)?))
    }

    fn __repr__(&self) -> String {
        format!("<hitring.Morris: about {:.0}, base {}>", self.counter.estimate(), self.base())
    }
}
