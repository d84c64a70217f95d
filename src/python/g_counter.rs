//! `GCounter`: each method converts, calls and converts.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{SketchError, SnapshotError};
use crate::python::endpoint;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::number::or_one;
use crate::python::outcome::member;
use crate::python::sketch::{self, Face, Reduced};
use crate::sketch::g_counter::GCounter;

/// A count that replicas keep apart and merge.
#[pyclass(frozen, weakref, module = "hitring", name = "GCounter")]
#[derive(Debug)]
pub struct PyGCounter(pub Box<GCounter>);

impl Face for PyGCounter {
    type Sketch = GCounter;

    fn of(sketch: GCounter) -> Self {
        Self(Box::new(sketch))
    }

    fn sketch(&self) -> &GCounter {
        &self.0
    }

    fn to_bytes(sketch: &GCounter) -> Vec<u8> {
        sketch.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<GCounter, SnapshotError> {
        GCounter::from_bytes(bytes)
    }

    fn merge(sketch: &GCounter, other: &GCounter) -> Result<(), SketchError> {
        sketch.merge(other);
        Ok(())
    }
}

#[pymethods]
impl PyGCounter {
    #[new]
    fn new(replica: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name = endpoint::text(replica, "replica")?;
        GCounter::new(name).map(Self::of).map_err(|error| errors::sketch(replica.py(), &error))
    }

    /// Count `amount` hits.
    #[pyo3(signature = (amount = Given::NOTHING), text_signature = "($self, amount=1)")]
    fn record<'py>(&self, py: Python<'py>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        Ok(member(py, self.0.record(or_one(&amount)?)))
    }

    /// The hits of all replicas that are known here.
    fn count(&self) -> u64 {
        self.0.count()
    }

    /// Take in another, or the bytes of one.
    fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        sketch::merge(self, other)
    }

    /// The replica's name.
    #[getter]
    fn replica(&self) -> &str {
        self.0.replica()
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
        Ok(format!("GCounter({})", self.replica().into_pyobject(py)?.repr()?))
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
