//! `TopK`, of texts: each method converts, calls and converts.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{SketchError, SnapshotError};
use crate::python::configured::within;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::item;
use crate::python::number::or_one;
use crate::python::outcome::member;
use crate::python::sketch::{self, Face, Reduced};
use crate::sketch::top_k::TopK;

/// The `k` most frequent items.
#[pyclass(frozen, weakref, module = "hitring", name = "TopK")]
#[derive(Debug)]
pub struct PyTopK(pub Box<TopK>);

impl Face for PyTopK {
    type Sketch = TopK;

    fn of(sketch: TopK) -> Self {
        Self(Box::new(sketch))
    }

    fn sketch(&self) -> &TopK {
        &self.0
    }

    fn to_bytes(sketch: &TopK) -> Vec<u8> {
        sketch.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<TopK, SnapshotError> {
        TopK::from_bytes(bytes)
    }

    fn merge(sketch: &TopK, other: &TopK) -> Result<(), SketchError> {
        sketch.merge(other);
        Ok(())
    }
}

#[pymethods]
impl PyTopK {
    #[new]
    fn new(k: &Bound<'_, PyAny>) -> PyResult<Self> {
        let size = within(k, "k", 1..=1 << 20)? as usize;
        TopK::new(size).map(Self::of).map_err(|error| errors::sketch(k.py(), &error))
    }

    /// Count `amount` hits of `item`.
    #[pyo3(signature = (item, amount = Given::NOTHING), text_signature = "($self, item, amount=1)")]
    fn add<'py>(&self, item: &Bound<'py, PyAny>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        let (text, amount) = (item::text(item, "item")?, or_one(&amount)?);
        Ok(member(item.py(), self.0.add(&*text, amount)))
    }

    /// Item, count and error of the most frequent items.
    fn items(&self) -> Vec<(String, u64, u64)> {
        self.0.items()
    }

    /// Take in another, or the bytes of one.
    fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        sketch::merge(self, other)
    }

    /// The most items that are listed.
    #[getter]
    fn k(&self) -> usize {
        self.0.k()
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

    fn __repr__(&self) -> String {
        format!("TopK({})", self.k())
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
