//! `GCounter`: each method converts, calls and converts.
//!
//! Tests: `tests/python/unit/test_g_counter.py`.

use pyo3::prelude::*;

use crate::python::endpoint;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::number::or_one;
use crate::python::outcome::member;
use crate::python::sketch::{Face, face};
use crate::sketch::g_counter::GCounter;

/// A count that replicas keep apart and merge.
#[pyclass(frozen, weakref, module = "hitring", name = "GCounter")]
#[derive(Debug)]
pub struct PyGCounter(pub Box<GCounter>);

face!(GCounter => impl PyGCounter {
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

    /// The replica's name.
    #[getter]
    fn replica(&self) -> &str {
        self.0.replica()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("GCounter({})", self.replica().into_pyobject(py)?.repr()?))
    }
});
