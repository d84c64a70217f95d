//! `TopK`: each method converts, calls and converts.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::python::bytes;
use crate::python::configured::number;
use crate::python::endpoint::text;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::number::or_one;
use crate::python::outcome::member;
use crate::sketch::top_k::TopK;

/// The most frequent items.
#[pyclass(frozen, weakref, module = "hitring", name = "TopK")]
#[derive(Debug)]
pub struct PyTopK {
    list: TopK<String>,
}

#[pymethods]
impl PyTopK {
    #[new]
    fn new(k: &Bound<'_, PyAny>) -> PyResult<Self> {
        let list = TopK::new(number(k, "k")?).map_err(|error| errors::sketch(k.py(), &error))?;
        Ok(Self { list })
    }

    /// Count `amount` of `item`.
    #[pyo3(signature = (item, amount = Given::NOTHING), text_signature = "($self, item, amount=1)")]
    fn add<'py>(&self, item: &Bound<'py, PyAny>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        let amount = or_one(&amount)?;
        Ok(member(item.py(), self.list.add(&*text(item, "item")?, amount)))
    }

    /// The most frequent items, each with its count and how much of that may be others'.
    fn items(&self) -> Vec<(String, u64, u64)> {
        self.list.items()
    }

    /// Take in what another one, or its bytes, knows.
    fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(other) = other.cast::<Self>() {
            self.list.merge(&other.get().list);
            return Ok(());
        }
        let bytes = bytes::snapshot(other)?;
        let other = TopK::from_bytes(bytes.as_bytes()).map_err(|error| errors::snapshot(bytes.py(), &error))?;
        self.list.merge(&other);
        Ok(())
    }

    /// What is known, as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.list.to_bytes())
    }

    /// What bytes hold.
    #[staticmethod]
    fn from_bytes(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bytes = bytes::snapshot(data)?;
        let list = TopK::from_bytes(bytes.as_bytes());
        Ok(Self { list: list.map_err(|error| errors::snapshot(data.py(), &error))? })
    }

    /// How many items are listed.
    #[getter]
    fn k(&self) -> usize {
        self.list.k()
    }

    fn __copy__(&self) -> Self {
        Self { list: self.list.clone() }
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.__copy__()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Self>().getattr("from_bytes")?, (self.to_bytes(py),).into_pyobject(py)?))
    }

    fn __repr__(&self) -> String {
        format!("<hitring.TopK of {} items>", self.k())
    }
}
