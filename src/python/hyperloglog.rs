//! `HyperLogLog`: each method converts, calls and converts.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::python::bytes;
use crate::python::errors;
use crate::python::given::Given;
use crate::python::hits;
use crate::python::item::item;
use crate::python::number::precision;
use crate::sketch::hyperloglog::HyperLogLog;

/// How many different items there were, about.
#[pyclass(frozen, weakref, module = "hitring", name = "HyperLogLog")]
#[derive(Debug)]
pub struct PyHyperLogLog {
    pub sketch: HyperLogLog,
}

#[pymethods]
impl PyHyperLogLog {
    #[new]
    #[pyo3(signature = (precision = Given::NOTHING), text_signature = "(precision=14)")]
    fn new(py: Python<'_>, precision: Given<'_>) -> PyResult<Self> {
        let Some(given) = precision.0 else { return Ok(Self { sketch: HyperLogLog::new() }) };
        let sketch = HyperLogLog::with_precision(self::precision(&given)?);
        Ok(Self { sketch: sketch.map_err(|error| errors::sketch(py, &error))? })
    }

    /// Add an item, and say whether that changed anything.
    fn add(&self, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.sketch.add(&self::item(item, "item")?))
    }

    /// Add each of `items`, and say whether that changed anything.
    fn update(&self, items: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mut changed = false;
        for (index, item) in items.try_iter()?.enumerate() {
            changed |= self.sketch.add(&self::item(&item?, &format!("items[{index}]"))?);
        }
        Ok(changed)
    }

    /// How many different items there were, about.
    fn count<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        hits::estimate(py, self.sketch.count(), self.sketch.error())
    }

    /// Add the items of another one.
    fn merge(&self, other: &Bound<'_, Self>) -> PyResult<()> {
        self.sketch.merge(&other.get().sketch).map_err(|error| errors::sketch(other.py(), &error))
    }

    /// The sketch as the value of a key of Redis's.
    fn to_redis<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.sketch.to_redis().map_err(|error| errors::sketch(py, &error))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// What Redis keeps under a key.
    #[staticmethod]
    fn from_redis(data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let bytes = bytes::snapshot(data)?;
        let sketch = HyperLogLog::from_redis(bytes.as_bytes());
        Ok(Self { sketch: sketch.map_err(|error| errors::sketch(data.py(), &error))? })
    }

    /// The relative standard error of an estimate of many.
    #[getter]
    fn error(&self) -> f64 {
        self.sketch.error()
    }

    /// The number of bits that choose a register.
    #[getter]
    fn precision(&self) -> u8 {
        self.sketch.precision()
    }

    fn __copy__(&self) -> Self {
        Self { sketch: self.sketch.clone() }
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.__copy__()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let registers: Vec<u32> = self.sketch.registers().map(|(index, value)| index << 6 | u32::from(value)).collect();
        let state = (self.precision(), registers).into_pyobject(py)?;
        Ok((py.import("hitring._hitring")?.getattr("_restore_hyperloglog")?, state))
    }

    fn __sizeof__(&self) -> usize {
        self.sketch.bytes()
    }

    fn __repr__(&self) -> String {
        format!("<hitring.HyperLogLog of about {} items, precision {}>", self.sketch.count(), self.precision())
    }
}

/// The sketch that was pickled.
#[pyfunction]
pub fn _restore_hyperloglog(py: Python<'_>, precision: u8, registers: Vec<u32>) -> PyResult<PyHyperLogLog> {
    let restored = HyperLogLog::with_precision(precision).and_then(|sketch| {
        for word in registers {
            sketch.raise(word >> 6, (word & 63) as u8)?;
        }
        Ok(sketch)
    });
    Ok(PyHyperLogLog { sketch: restored.map_err(|error| errors::sketch(py, &error))? })
}
