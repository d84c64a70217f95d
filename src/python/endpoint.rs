//! Names of endpoints, from Python.
//!
//! | given | is |
//! |---|---|
//! | `str` | its UTF-8, borrowed from the `str`; `ValueError` for a `str` with lone surrogates, which cannot be UTF-8 |
//! | `bytes` that are UTF-8 | the same name; others: `ValueError` |
//! | empty, or more than 1,024 bytes | `ValueError` |
//! | anything else | `TypeError` |
//!
//! # Borrowing
//! A hit by name must not copy the name. CPython keeps the UTF-8 of a `str` with it, and `PyUnicode_AsUTF8AndSize` tells
//! where; that call has been the same since Python 3.7 and belongs to the stable ABI from 3.10 on. So it is looked up when
//! the module is imported, not linked to. Where it is not found (Windows, where it would have to be looked up otherwise)
//! names are encoded anew for each call, with the same result.
//!
//! Tests: `tests/python/unit`.

use std::borrow::Cow;
use std::ffi::c_char;
use std::fmt::Display;
use std::slice;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};

use crate::error::EndpointError;
use crate::python::number::type_name;

/// The most bytes of a name.
const LONGEST: usize = 1_024;

type AsUtf8 = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::Py_ssize_t) -> *const c_char;

static AS_UTF8: PyOnceLock<Option<AsUtf8>> = PyOnceLock::new();

/// Looks CPython's call up, when the module is imported.
pub fn import(py: Python<'_>) {
    AS_UTF8.get_or_init(py, look_up);
}

#[cfg(unix)]
fn look_up() -> Option<AsUtf8> {
    // SAFETY: the name ends with a NUL; the call only reads it.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"PyUnicode_AsUTF8AndSize".as_ptr()) };
    // SAFETY: a function of that name in a process that runs CPython is CPython's, and of this type.
    (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut libc::c_void, AsUtf8>(found) })
}

#[cfg(not(unix))]
fn look_up() -> Option<AsUtf8> {
    None
}

/// The UTF-8 of a `str` of a possible length, without copying it; `None` for all else.
#[inline(always)]
pub fn borrowed<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    borrowed_text(value).filter(|name| (1..=LONGEST).contains(&name.len()))
}

/// As [`borrowed`], of any length.
#[inline(always)]
pub fn borrowed_text<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    value.cast_exact::<PyString>().ok().and_then(utf8)
}

/// The UTF-8 of a `str`, if it has any and can be borrowed.
#[inline(always)]
fn utf8<'a>(string: &'a Bound<'_, PyString>) -> Option<&'a str> {
    let py = string.py();
    let as_utf8 = (*AS_UTF8.get(py)?)?;
    let mut length = 0;
    // SAFETY: `py` says that the thread is attached, and `string` is an instance of `str`.
    let start = unsafe { as_utf8(string.as_ptr(), &raw mut length) };
    if start.is_null() {
        // The long way raises it again, in the user's terms.
        drop(PyErr::take(py));
        return None;
    }
    // SAFETY: there are `length` bytes of UTF-8, which stay as they are while the `str` lives; `string` keeps it alive.
    Some(unsafe { str::from_utf8_unchecked(slice::from_raw_parts(start.cast(), length.unsigned_abs())) })
}

/// The name that `value` is; `what` is what an error calls it.
///
/// # Errors
/// `TypeError` or `ValueError`, as the table in the module header says.
pub fn name<'a>(value: &'a Bound<'_, PyAny>, what: &str) -> PyResult<Cow<'a, str>> {
    let name = text(value, what)?;
    if (1..=LONGEST).contains(&name.len()) {
        Ok(name)
    } else {
        Err(PyValueError::new_err(EndpointError::Name { length: name.len() }.to_string()))
    }
}

/// As [`name`], of any length.
pub fn text<'a>(value: &'a Bound<'_, PyAny>, what: impl Display) -> PyResult<Cow<'a, str>> {
    if let Ok(string) = value.cast::<PyString>() {
        return of_str(string, what);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        let bytes = str::from_utf8(bytes.as_bytes());
        return bytes.map(Cow::Borrowed).map_err(|error| {
            PyValueError::new_err(format!("{what} is bytes that are not UTF-8 ({error}); decode it first"))
        });
    }
    Err(PyTypeError::new_err(format!("{what} must be a str, or bytes of UTF-8, not {}", type_name(value))))
}

/// The UTF-8 of a `str`.
pub fn of_str<'a>(string: &'a Bound<'_, PyString>, what: impl Display) -> PyResult<Cow<'a, str>> {
    if let Some(text) = utf8(string) {
        return Ok(Cow::Borrowed(text));
    }
    let surrogates = |_| {
        PyValueError::new_err(format!(
            "{what} has lone surrogates, which UTF-8 has not; decode it with errors=\"replace\", for example"
        ))
    };
    Ok(Cow::Owned(string.to_cow().map_err(surrogates)?.into_owned()))
}
