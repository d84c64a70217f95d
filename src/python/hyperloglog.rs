//! `HyperLogLog`: each method converts, calls and converts.
//!
//! Tests: `tests/python/unit/test_hyperloglog.py`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::python::bytes;
use crate::python::configured::within;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::item;
use crate::python::sketch::{self, Face, face};
use crate::sketch::hyperloglog::HyperLogLog;
use crate::sketch::hyperloglog::hash::murmur;

/// How Redis's bytes begin.
const REDIS: &[u8] = b"HYLL";

/// How many different items there were, about.
#[pyclass(frozen, weakref, module = "hitring", name = "HyperLogLog")]
#[derive(Debug)]
pub struct PyHyperLogLog(pub Box<HyperLogLog>);

face!(HyperLogLog, own_or_redis => impl PyHyperLogLog {
    #[new]
    #[pyo3(signature = (precision = Given::NOTHING), text_signature = "(precision=14)")]
    fn new(py: Python<'_>, precision: Given<'_>) -> PyResult<Self> {
        let Some(precision) = precision.0 else { return Ok(Self::of(HyperLogLog::new())) };
        let precision = within(&precision, "precision", 4..=18)? as u8;
        HyperLogLog::with_precision(precision).map(Self::of).map_err(|error| errors::sketch(py, &error))
    }

    /// Add an item, and say whether that changed anything.
    fn add(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.0.add(&item::bytes(item, "item")?))
    }

    /// Add several items, or none if one of them is bad.
    fn update(&self, items: &Bound<'_, PyAny>) -> PyResult<()> {
        let hashes = item::each(items, |item, name| Ok(murmur(&item::bytes(item, name)?)))?;
        hashes.into_iter().for_each(|hash| _ = self.0.add_hash(hash));
        Ok(())
    }

    /// How many different items were added, about.
    fn count(&self) -> u64 {
        self.0.count()
    }

    /// The relative standard error of `count`.
    #[getter]
    fn error(&self) -> f64 {
        self.0.error()
    }

    /// The number of bits that choose a register.
    #[getter]
    fn precision(&self) -> u8 {
        self.0.precision()
    }

    /// The sketch as Redis keeps it.
    fn to_redis<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.to_redis().map_err(|error| errors::sketch(py, &error))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The sketch of what Redis answers to GET.
    #[staticmethod]
    fn from_redis(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bytes = bytes::given(data, "data must be bytes, as Redis's GET answers them undecoded")?;
        let read = HyperLogLog::from_redis(bytes.as_bytes());
        read.map(Self::of).map_err(|error| errors::sketch(data.py(), &error))
    }

    fn __sizeof__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let object: usize = slf.get_type().getattr("__basicsize__")?.extract()?;
        Ok(object + slf.get().0.bytes())
    }

    fn __repr__(&self) -> String {
        format!("HyperLogLog(precision={})", self.precision())
    }
});

/// The sketch in bytes that `to_bytes` returned, or Redis.
fn own_or_redis(py: Python<'_>, bytes: &[u8]) -> PyResult<HyperLogLog> {
    if bytes.starts_with(REDIS) {
        HyperLogLog::from_redis(bytes).map_err(|error| errors::sketch(py, &error))
    } else {
        sketch::own::<PyHyperLogLog>(py, bytes)
    }
}
