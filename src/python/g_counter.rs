//! `GCounter`: each method converts, calls and converts.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::g_counter::GCounter;
use crate::python::bytes;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::number::or_one;
use crate::python::outcome::member;

/// A count of all time, of many replicas.
#[pyclass(frozen, weakref, module = "hitring", name = "GCounter")]
#[derive(Debug)]
pub struct PyGCounter {
    pub counter: GCounter,
}

#[pymethods]
impl PyGCounter {
    #[new]
    fn new(replica: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name = crate::python::endpoint::text(replica, "replica")?;
        let counter = GCounter::new(&*name).map_err(|error| errors::sketch(replica.py(), &error))?;
        Ok(Self { counter })
    }

    /// Count `amount`.
    #[pyo3(signature = (amount = Given::NOTHING), text_signature = "($self, amount=1)")]
    fn record<'py>(&self, py: Python<'py>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        Ok(member(py, self.counter.record(or_one(&amount)?)))
    }

    /// What all replicas have counted, as far as is known here.
    fn count(&self) -> u64 {
        self.counter.count()
    }

    /// Take in what another one, or its bytes, knows.
    fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(other) = other.cast::<Self>() {
            self.counter.merge(&other.get().counter);
            return Ok(());
        }
        let bytes = bytes::snapshot(other)?;
        let other = GCounter::from_bytes(bytes.as_bytes()).map_err(|error| errors::snapshot(bytes.py(), &error))?;
        self.counter.merge(&other);
        Ok(())
    }

    /// What is known, as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.counter.to_bytes())
    }

    /// What bytes hold, under the replica's name in a new generation.
    #[staticmethod]
    fn from_bytes(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bytes = bytes::snapshot(data)?;
        let counter = GCounter::from_bytes(bytes.as_bytes());
        Ok(Self { counter: counter.map_err(|error| errors::snapshot(data.py(), &error))? })
    }

    /// The replica's name.
    #[getter]
    fn replica(&self) -> &str {
        self.counter.replica()
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

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<hitring.GCounter {}: {}>", self.replica().into_pyobject(py)?.repr()?, self.count()))
    }
}
