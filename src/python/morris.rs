//! `Morris`: each method converts, calls and converts.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat};

use crate::error::{SketchError, SnapshotError};
use crate::python::configured::seed as a_seed;
use crate::python::errors::Class;
use crate::python::given::Given;
use crate::python::number::{or_one, real};
use crate::python::outcome::member;
use crate::python::sketch::{self, Face, Reduced};
use crate::sketch::morris_counter::Morris;

/// An approximate count in a word.
#[pyclass(frozen, weakref, module = "hitring", name = "Morris")]
#[derive(Debug)]
pub struct PyMorris(pub Box<Morris>);

impl Face for PyMorris {
    type Sketch = Morris;

    fn of(sketch: Morris) -> Self {
        Self(Box::new(sketch))
    }

    fn sketch(&self) -> &Morris {
        &self.0
    }

    fn to_bytes(sketch: &Morris) -> Vec<u8> {
        sketch.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Morris, SnapshotError> {
        Morris::from_bytes(bytes)
    }

    fn merge(sketch: &Morris, other: &Morris) -> Result<(), SketchError> {
        sketch.merge(other)
    }
}

#[pymethods]
impl PyMorris {
    #[new]
    #[pyo3(signature = (error = None, base = None, seed = None))]
    fn new(
        py: Python<'_>,
        error: Option<Bound<'_, PyAny>>,
        base: Option<Bound<'_, PyAny>>,
        seed: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let counter = match (error, base) {
            (Some(_), Some(_)) => {
                return Err(PyValueError::new_err("error and base say the same; give one of them"));
            }
            (Some(error), None) => Morris::with_error(real(&error, "error")?),
            (None, Some(base)) => Morris::with_base(real(&base, "base")?),
            (None, None) => Morris::with_error(0.05),
        };
        let counter = counter.map_err(|error| Class::Config.error(py, error))?;
        Ok(Self::of(match seed {
            Some(seed) => counter.seeded(a_seed(&seed)?),
            None => counter,
        }))
    }

    /// Count `amount` hits.
    #[pyo3(signature = (amount = Given::NOTHING), text_signature = "($self, amount=1)")]
    fn record<'py>(&self, py: Python<'py>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        Ok(member(py, self.0.record(or_one(&amount)?)))
    }

    /// How many hits there were, about.
    fn estimate(&self) -> f64 {
        self.0.estimate()
    }

    /// Take in another, or the bytes of one.
    fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        sketch::merge(self, other)
    }

    /// The relative standard error of the estimate.
    #[getter]
    fn error(&self) -> f64 {
        self.0.error()
    }

    /// What a raise of the register multiplies the estimate by, about.
    #[getter]
    fn base(&self) -> f64 {
        self.0.base()
    }

    /// What it knows, as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        sketch::write(py, self)
    }

    /// One that knows what `data` holds.
    #[staticmethod]
    fn from_bytes(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        sketch::read(data)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Morris(base={})", PyFloat::new(py, self.base()).repr()?))
    }

    /// The same, which goes on by itself.
    fn __copy__(&self) -> Self {
        Self(self.0.clone())
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.__copy__()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        sketch::reduce(py, self)
    }
}
