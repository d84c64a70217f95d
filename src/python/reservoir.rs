//! `Reservoir`, of texts: each method converts, calls and converts.
//!
//! Tests: `tests/python/unit`.

use pyo3::prelude::*;

use crate::python::configured::{seed as a_seed, within};
use crate::python::errors;
use crate::python::item;
use crate::python::sketch::{Face, face};
use crate::sketch::reservoir::Reservoir;

/// A uniform sample of at most `k` of everything that was added.
#[pyclass(frozen, weakref, module = "hitring", name = "Reservoir")]
#[derive(Debug)]
pub struct PyReservoir(pub Box<Reservoir<String>>);

face!(Reservoir<String> => impl PyReservoir {
    #[new]
    #[pyo3(signature = (k, seed = None))]
    fn new(k: &Bound<'_, PyAny>, seed: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let size = within(k, "k", 1..=1 << 20)? as usize;
        let sample = match seed {
            Some(seed) => Reservoir::with_seed(size, a_seed(&seed)?),
            None => Reservoir::new(size),
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

    /// How many items were added.
    #[getter]
    fn seen(&self) -> u64 {
        self.0.seen()
    }

    /// The most items of a sample.
    #[getter]
    fn k(&self) -> usize {
        self.0.k()
    }

    fn __repr__(&self) -> String {
        format!("Reservoir({})", self.k())
    }
});
