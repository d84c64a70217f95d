//! `BottomK`, of texts: each method converts, calls and converts.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{SketchError, SnapshotError};
use crate::python::configured::{seed as a_seed, within};
use crate::python::errors;
use crate::python::item;
use crate::python::sketch::{self, Face, Reduced};
use crate::sketch::bottom_k::BottomK;

/// A uniform sample of at most `k` items, merged in any order.
#[pyclass(frozen, weakref, module = "hitring", name = "BottomK")]
#[derive(Debug)]
pub struct PyBottomK(pub Box<BottomK<String>>);

impl Face for PyBottomK {
    type Sketch = BottomK<String>;

    fn of(sketch: BottomK<String>) -> Self {
        Self(Box::new(sketch))
    }

    fn sketch(&self) -> &BottomK<String> {
        &self.0
    }

    fn to_bytes(sketch: &BottomK<String>) -> Vec<u8> {
        sketch.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<BottomK<String>, SnapshotError> {
        BottomK::from_bytes(bytes)
    }

    fn merge(sketch: &BottomK<String>, other: &BottomK<String>) -> Result<(), SketchError> {
        sketch.merge(other)
    }
}

#[pymethods]
impl PyBottomK {
    #[new]
    #[pyo3(signature = (k, seed = None))]
    fn new(k: &Bound<'_, PyAny>, seed: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let size = within(k, "k", 1..=1 << 20)? as usize;
        let sample = match seed {
            Some(seed) => BottomK::with_seed(size, a_seed(&seed)?),
            None => BottomK::new(size),
        };
        sample.map(Self::of).map_err(|error| errors::sketch(k.py(), &error))
    }

    /// Add an item.
    fn add(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let item = item::text(item, "item")?;
        self.0.add_with(|| item.into_owned());
        Ok(())
    }

    /// Add several items, or none if one of them is bad.
    fn update(&self, items: &Bound<'_, PyAny>) -> PyResult<()> {
        let items = item::each(items, |item, name| Ok(item::text(item, name)?.into_owned()))?;
        items.into_iter().for_each(|item| self.0.add(item));
        Ok(())
    }

    /// The sample.
    fn items(&self) -> Vec<String> {
        self.0.items()
    }

    /// Take in another, or the bytes of one.
    fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        sketch::merge(self, other)
    }

    /// The most items of a sample.
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
        format!("BottomK({})", self.k())
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
