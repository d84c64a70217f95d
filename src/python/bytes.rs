//! Snapshots, and other bytes in hitring's formats, as Python passes them.
//!
//! Tests: `tests/python/unit`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use crate::python::number::type_name;

/// The bytes of a snapshot. What can be written to meanwhile is copied.
///
/// # Errors
/// `TypeError` unless they are `bytes`, a `bytearray` or a `memoryview`.
pub fn snapshot<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    given(value, "a snapshot is bytes, as snapshot() returns them")
}

/// As [`snapshot`], of other bytes; `wanted` says of which.
pub fn given<'py>(value: &Bound<'py, PyAny>, wanted: &str) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if value.is_instance_of::<PyByteArray>() || value.is_instance_of::<PyMemoryView>() {
        return Ok(PyMemoryView::from(value)?.call_method0("tobytes")?.cast_into()?);
    }
    Err(PyTypeError::new_err(format!("{wanted}, not {}", type_name(value))))
}
