//! What the package has written in Python, which is looked up once: when the package is imported. Later, as in a
//! `__del__` while the interpreter ends, nothing can be imported.
//!
//! Tests: `tests/python/unit/test_objects.py`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A class or a function that is written in Python.
pub struct Written {
    module: &'static str,
    name: &'static str,
    object: PyOnceLock<Py<PyAny>>,
}

pub static CHANGED: Written = Written::new("hitring._changed", "Changed");
pub static COUNTED: Written = Written::new("hitring._counting", "Counted");
pub static ESTIMATE: Written = Written::new("hitring._estimate", "Estimate");
pub static KEYED_METRICS: Written = Written::new("hitring._metrics", "KeyedMetrics");
pub static LABELLED: Written = Written::new("hitring._labels", "labelled");
pub static TO_OPENMETRICS: Written = Written::new("hitring._exposition", "to_openmetrics");
pub static TO_PROMETHEUS: Written = Written::new("hitring._exposition", "to_prometheus");
pub static METRICS: Written = Written::new("hitring._metrics", "Metrics");
pub static SHARED_ROOM: Written = Written::new("hitring._metrics", "SharedRoom");
pub static STRATEGY_OF: Written = Written::new("hitring._metrics", "StrategyOf");

impl Written {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, object: PyOnceLock::new() }
    }

    /// The class or the function.
    pub fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        self.object.import(py, self.module, self.name)
    }
}

/// Looks all of them up, at the end of the package's import.
#[pyfunction]
pub fn _look_up(py: Python<'_>) -> PyResult<()> {
    for written in [&CHANGED, &COUNTED, &ESTIMATE, &KEYED_METRICS, &LABELLED, &METRICS, &SHARED_ROOM, &STRATEGY_OF] {
        written.get(py)?;
    }
    Ok(())
}
