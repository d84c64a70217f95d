//! The sketch that a pickle holds, whichever it is.
//!
//! Tests: `tests/python/unit`.

use pyo3::PyClass;
use pyo3::prelude::*;

use crate::python::bottom_k::PyBottomK;
use crate::python::errors::Class;
use crate::python::g_counter::PyGCounter;
use crate::python::hyperloglog::PyHyperLogLog;
use crate::python::morris::PyMorris;
use crate::python::reservoir::PyReservoir;
use crate::python::sketch::{self, Face};
use crate::python::top_k::PyTopK;

/// The sketch that was pickled: the name of its class, and its bytes.
#[pyfunction]
pub fn _restore_sketch<'py>(kind: &str, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match kind {
        PyBottomK::NAME => restore::<PyBottomK>(data),
        PyGCounter::NAME => restore::<PyGCounter>(data),
        PyHyperLogLog::NAME => restore::<PyHyperLogLog>(data),
        PyMorris::NAME => restore::<PyMorris>(data),
        PyReservoir::NAME => restore::<PyReservoir>(data),
        PyTopK::NAME => restore::<PyTopK>(data),
        other => Err(Class::Snapshot.error(
            data.py(),
            format_args!("this pickle holds a sketch of the unknown kind {other:?}; upgrade hitring"),
        )),
    }
}

fn restore<'py, F: Face>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    Ok(Bound::new(data.py(), sketch::read::<F>(data)?)?.into_any())
}
