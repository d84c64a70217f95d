//! The classes of the package that are written in Python, which are looked up once: when the package is imported. Later, as in a
//! `__del__` while the interpreter ends, nothing can be imported.
//!
//! Tests: `tests/python/unit/test_objects.py`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// A class that is written in Python.
pub struct Written {
    module: &'static str,
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

pub static CHANGED: Written = Written::new("hitring._changed", "Changed");
pub static ESTIMATE: Written = Written::new("hitring._estimate", "Estimate");
pub static KEYED_METRICS: Written = Written::new("hitring._metrics", "KeyedMetrics");
pub static METRICS: Written = Written::new("hitring._metrics", "Metrics");
pub static SHARED_ROOM: Written = Written::new("hitring._metrics", "SharedRoom");
pub static STRATEGY_OF: Written = Written::new("hitring._metrics", "StrategyOf");

impl Written {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, class: PyOnceLock::new() }
    }

    /// The class.
    pub fn class<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        self.class.import(py, self.module, self.name)
    }
}

/// Looks all of them up, at the end of the package's import.
#[pyfunction]
pub fn _look_up(py: Python<'_>) -> PyResult<()> {
    for written in [&CHANGED, &ESTIMATE, &KEYED_METRICS, &METRICS, &SHARED_ROOM, &STRATEGY_OF] {
        written.class(py)?;
    }
    Ok(())
}
