//! A short way into methods.
//!
//! PyO3, built for the stable ABI of Python 3.9, has its methods called with a tuple of their arguments. Making the
//! tuple takes longer than counting a hit. CPython's other convention (`METH_FASTCALL`) passes the arguments where they
//! lie; it has been the same since Python 3.7, and belongs to the stable ABI from 3.10 on.
//!
//! So a method that implements [`Fast`] is entered twice. The entry here knows usual arguments only. Everything else,
//! and with it every error, is left to the method that PyO3 made, which stays reachable from here alone:
//!
//! ```text
//! counter.hit(5)    ->  entry::<Hit>  ->  HitCounter::hit
//! counter.hit(5.5)  ->  entry::<Hit>  ->  PyO3's hit  ->  HitCounter::hit
//! counter.hit("5")  ->  entry::<Hit>  ->  PyO3's hit  ->  TypeError
//! ```
//!
//! A caller cannot tell which way was taken.
//!
//! Tests: `tests/python/unit`.

use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{mem, ptr, slice};

use pyo3::PyClass;
use pyo3::exceptions::PySystemError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

/// What was given for each parameter of a method.
pub type Given<'a, 'py> = [Option<&'a Bound<'py, PyAny>>; 4];

/// A method's short way.
pub trait Fast {
    type Class: PyClass<Frozen = True> + Sync;
    /// The method's name in Python.
    const NAME: &str;
    /// The names of its parameters.
    const PARAMETERS: &[&CStr];
    /// How many of them may be given by position; the others by name only.
    const POSITIONAL: usize;

    /// The method that PyO3 made.
    fn general() -> &'static PyOnceLock<Py<PyAny>>;

    /// The method for usual arguments; `None` leaves the call to PyO3's method, and then nothing has been counted.
    fn call<'py>(this: &Self::Class, given: Given<'_, 'py>, py: Python<'py>) -> Option<Bound<'py, PyAny>>;
}

/// The convention by which [`entry`] is called, together with `METH_KEYWORDS`. PyO3 declares neither it nor the type of
/// its functions for the stable ABI of 3.9.
const METH_FASTCALL: c_int = 0x80;

type Entry = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// What CPython calls instead of PyO3's method.
///
/// # Safety
/// As CPython calls the function of a method descriptor: attached, on an instance of the descriptor's class, with
/// `given` arguments by position and after them the values of those in the tuple `names`, which may be null.
unsafe extern "C" fn entry<M: Fast>(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    given: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // A panic must not unwind into C.
    let answer = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the caller is attached.
        let py = unsafe { Python::assume_attached() };
        // SAFETY: the caller holds a reference to `this` and has checked its class.
        let this = unsafe { Borrowed::from_ptr(py, this).cast_unchecked::<M::Class>() };
        // SAFETY: so the caller promises.
        let named = unsafe { sort::<M>(py, &arguments, given, names) };
        if let Some(answer) = named.and_then(|named| M::call(this.get(), named, py)) {
            return Ok(answer.into_ptr());
        }
        // SAFETY: so the caller promises.
        unsafe { general(M::general(), this.as_any(), arguments, given, names) }.map(Bound::into_ptr)
    }));
    let error = match answer {
        Ok(Ok(answer)) => return answer,
        Ok(Err(error)) => error,
        Err(_) => PySystemError::new_err("hitring panicked; please report it"),
    };
    // SAFETY: the caller is attached.
    error.restore(unsafe { Python::assume_attached() });
    ptr::null_mut()
}

/// The arguments by parameter; `None` if an argument is given twice or is not a parameter.
///
/// # Safety
/// As for [`entry`].
#[inline(always)]
unsafe fn sort<'a, 'py, M: Fast>(
    py: Python<'py>,
    arguments: &'a *const *mut ffi::PyObject,
    given: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> Option<Given<'a, 'py>> {
    if !names.is_null() {
        // SAFETY: the caller promises it.
        return unsafe { sort_named::<M>(py, arguments, given, names) };
    }
    // SAFETY: the caller promises so many.
    match unsafe { objects(py, arguments, given) } {
        [] => Some([None; 4]),
        [first] => Some([Some(first), None, None, None]),
        [first, second] if M::POSITIONAL >= 2 => Some([Some(first), Some(second), None, None]),
        [first, second, third] if M::POSITIONAL >= 3 => Some([Some(first), Some(second), Some(third), None]),
        _ => None,
    }
}

/// [`sort`] where some are given by name.
///
/// # Safety
/// As for [`entry`], and `names` is not null.
#[inline(never)]
unsafe fn sort_named<'a, 'py, M: Fast>(
    py: Python<'py>,
    arguments: &'a *const *mut ffi::PyObject,
    given: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> Option<Given<'a, 'py>> {
    // SAFETY: `names` is a tuple.
    let named = unsafe { ffi::PyTuple_Size(names) };
    // SAFETY: the caller promises so many, those with names at the end.
    let (positional, values) = unsafe { objects(py, arguments, given + named) }.split_at(usize::try_from(given).ok()?);
    let mut sorted = [None; 4];
    if positional.len() > M::POSITIONAL {
        return None;
    }
    for (place, argument) in sorted.iter_mut().zip(positional) {
        *place = Some(argument);
    }
    for (index, value) in values.iter().enumerate() {
        // SAFETY: the tuple has as many names as there are values; the name is borrowed from it.
        let name = unsafe { ffi::PyTuple_GetItem(names, index as ffi::Py_ssize_t) };
        // SAFETY: `name` is a str; the call raises nothing.
        let is = |parameter: &&CStr| unsafe { ffi::PyUnicode_CompareWithASCIIString(name, parameter.as_ptr()) } == 0;
        let place = &mut sorted[M::PARAMETERS.iter().position(is)?];
        if place.replace(value).is_some() {
            return None;
        }
    }
    Some(sorted)
}

/// The `n` objects at `first`.
///
/// # Safety
/// The objects must exist, and each must stay referenced for `'a`. If `n` is 0, `first` may be anything.
#[inline(always)]
unsafe fn objects<'a, 'py>(
    _: Python<'py>,
    first: &'a *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
) -> &'a [Bound<'py, PyAny>] {
    match usize::try_from(n) {
        // SAFETY: the caller promises them; a `Bound` is a transparent pointer to an object.
        Ok(n @ 1..) => unsafe { slice::from_raw_parts(first.cast(), n) },
        _ => &[],
    }
}

/// Calls the method that PyO3 made.
///
/// # Safety
/// As for [`entry`].
#[cold]
unsafe fn general<'py>(
    method: &PyOnceLock<Py<PyAny>>,
    this: &Bound<'py, PyAny>,
    arguments: *const *mut ffi::PyObject,
    given: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> PyResult<Bound<'py, PyAny>> {
    let py = this.py();
    let method = method.get(py).expect("put has set it").bind(py);
    // SAFETY: null, or a tuple that the caller holds.
    let names = unsafe { Bound::from_borrowed_ptr_or_opt(py, names) };
    let names = names.map(|names| names.cast_into::<PyTuple>()).transpose()?;
    let named = names.as_ref().map_or(0, |names| names.len());
    // SAFETY: the caller promises so many arguments.
    let arguments = unsafe { objects(py, &arguments, given + named as ffi::Py_ssize_t) };
    let (positional, values) = arguments.split_at(arguments.len() - named);
    let with_self = [this].into_iter().chain(positional);
    let positional = PyTuple::new(py, with_self.collect::<Vec<_>>())?;
    let Some(names) = names else { return method.call1(positional) };
    let keywords = PyDict::new(py);
    for (name, value) in names.iter().zip(values) {
        keywords.set_item(name, value)?;
    }
    method.call(positional, Some(&keywords))
}

/// Puts one short way in front of the method that PyO3 made, under the same name, signature and documentation.
pub fn put<M: Fast>(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<M::Class>();
    let general = M::general().get_or_try_init(py, || class.getattr(M::NAME).map(Bound::unbind))?.bind(py);
    let (signature, doc) = (general.getattr("__text_signature__")?, general.getattr("__doc__")?);
    let definition = ffi::PyMethodDef {
        ml_name: CString::new(M::NAME)?.into_raw(),
        // SAFETY: CPython reads the flags first, and calls the pointer as what they say it is.
        ml_meth: unsafe { mem::transmute::<Entry, ffi::PyMethodDefPointer>(entry::<M>) },
        ml_flags: METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: CString::new(format!("{}{signature}\n--\n\n{doc}", M::NAME))?.into_raw(),
    };
    // The definition must live as long as the class, and that lives as long as the process.
    let definition = Box::into_raw(Box::new(definition));
    // SAFETY: the definition is whole and never freed, and its function is for instances of `class`.
    let method = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition)) }?;
    class.setattr(M::NAME, method)
}
