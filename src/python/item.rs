//! Items of sketches and keys of limiters, from Python.
//!
//! | given | is |
//! |---|---|
//! | `bytes` | themselves |
//! | `str` | its UTF-8, borrowed where that is possible; one with lone surrogates has none: `ValueError` |
//! | anything else | `TypeError` |
//!
//! So an item is the same whether it comes as `str` or as the `bytes` of its UTF-8.

use std::borrow::Cow;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::python::endpoint::text;
use crate::python::number::type_name;

/// The bytes that `value` is; `what` is what an error calls it.
///
/// # Errors
/// `TypeError` or `ValueError`, as the table in the module header says.
#[inline]
pub fn item<'a>(value: &'a Bound<'_, PyAny>, what: &str) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    if !value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!("{what} must be a str or bytes, not {}", type_name(value))));
    }
    Ok(match text(value, what)? {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// The bytes of a usual item, without copying them; `None` for all else.
#[inline(always)]
pub fn borrowed<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        return Some(bytes.as_bytes());
    }
    crate::python::endpoint::utf8(value.cast_exact::<PyString>().ok()?).map(str::as_bytes)
}
