//! Items of sketches, from Python.
//!
//! | given | for `HyperLogLog` is | for samples and lists is |
//! |---|---|---|
//! | `str` | its UTF-8; `ValueError` for a `str` with lone surrogates, which cannot be UTF-8 | the same |
//! | `bytes` | themselves | the `str` that they are the UTF-8 of; others: `ValueError` |
//! | anything else | `TypeError` | `TypeError` |
//!
//! Several at once are read and checked whole before the first is added.
//!
//! Tests: `tests/python/unit`.

use std::borrow::Cow;
use std::fmt::{Arguments, Display};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

pub use crate::python::endpoint::{borrowed_text as borrowed, text};

use crate::python::endpoint;
use crate::python::number::type_name;

/// How often an iteration looks whether Ctrl-C was pressed.
const SIGNALS_EVERY: usize = 1 << 16;

/// The bytes of a usual item: of a `str` or `bytes`, without copying them; `None` for all else.
#[inline(always)]
pub fn borrowed_bytes<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    match borrowed(value) {
        Some(text) => Some(text.as_bytes()),
        None => value.cast::<PyBytes>().ok().map(PyBytesMethods::as_bytes),
    }
}

/// The bytes of an item; `what` is what an error calls it.
pub fn bytes<'a>(value: &'a Bound<'_, PyAny>, what: impl Display) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    let Ok(string) = value.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!(
            "{what} must be a str or bytes, not {}; convert it first, always in the same way",
            type_name(value)
        )));
    };
    Ok(match endpoint::of_str(string, what)? {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// What `read` makes of each of `items`, whose name it is given.
///
/// # Errors
/// An error that `read` or the iteration raises; `TypeError` if `items` is not iterable, or is text, which is iterable by mistake.
pub fn each<'py, T>(
    items: &Bound<'py, PyAny>,
    mut read: impl FnMut(&Bound<'py, PyAny>, Arguments<'_>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let py = items.py();
    let wrong = || {
        PyTypeError::new_err(format!(
            "items must be an iterable of str or bytes, not {}; for one, call add",
            type_name(items)
        ))
    };
    if items.is_instance_of::<PyString>()
        || items.is_instance_of::<PyBytes>()
        || items.is_instance_of::<PyByteArray>()
        || items.is_instance_of::<PyMemoryView>()
    {
        return Err(wrong());
    }
    let iterator =
        items.try_iter().map_err(|error| if error.is_instance_of::<PyTypeError>(py) { wrong() } else { error })?;
    let mut all = Vec::with_capacity(iterator.size_hint().0.min(SIGNALS_EVERY));
    for (index, item) in iterator.enumerate() {
        if index % SIGNALS_EVERY == SIGNALS_EVERY - 1 {
            py.check_signals()?;
        }
        all.push(read(&item?, format_args!("items[{index}]"))?);
    }
    Ok(all)
}
