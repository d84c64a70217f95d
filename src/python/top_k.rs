//! `TopK`, of texts: each method converts, calls and converts.
//!
//! Tests: `tests/python/unit/test_top_k.py`.

use pyo3::prelude::*;

use crate::python::configured::within;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::item;
use crate::python::number::or_one;
use crate::python::outcome::member;
use crate::python::sketch::{Face, face};
use crate::sketch::top_k::TopK;

/// The `k` most frequent items.
#[pyclass(frozen, weakref, module = "hitring", name = "TopK")]
#[derive(Debug)]
pub struct PyTopK(pub Box<TopK>);

face!(TopK => impl PyTopK {
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

    /// The most items that are listed.
    #[getter]
    fn k(&self) -> usize {
        self.0.k()
    }

    fn __repr__(&self) -> String {
        format!("TopK({})", self.k())
    }
});
