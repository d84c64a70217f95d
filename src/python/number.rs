//! Python's numbers, and amounts.
//!
//! | a value | integer |
//! |---|---|
//! | `int` | itself |
//! | `bool`, NumPy's too | refused: it is nearly always a mistake |
//! | anything with `__index__` (NumPy's integers) | what that returns |
//! | anything else | none |
//!
//! Where a number need not be whole, NumPy's floats of any width are taken, too, by their `float()`.
//!
//! Tests: `tests/python/unit`.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt};

use crate::python::given::Given;

/// An integer of any size, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integer {
    /// Below every `i64`.
    Below,
    /// An `i64`.
    Fits(i64),
    /// Above every `i64`.
    Above,
}

/// The value of an `int` proper (no subclass, hence no `bool`) that fits: what nearly every call is given.
#[inline(always)]
pub fn plain(value: &Bound<'_, PyAny>) -> Option<i64> {
    if !value.is_exact_instance_of::<PyInt>() {
        return None;
    }
    match read(value) {
        Integer::Fits(integer) => Some(integer),
        Integer::Below | Integer::Above => None,
    }
}

/// The value of an instance of `int`.
#[inline(always)]
fn read(int: &Bound<'_, PyAny>) -> Integer {
    debug_assert!(int.is_instance_of::<PyInt>());
    let mut overflow = 0;
    // SAFETY: for an `int` the call has no error but overflow, which it reports without raising.
    let integer = unsafe { ffi::PyLong_AsLongLongAndOverflow(int.as_ptr(), &raw mut overflow) };
    match overflow {
        0 => Integer::Fits(integer),
        1.. => Integer::Above,
        _ => Integer::Below,
    }
}

/// The integer that `value` stands for; `None` if it does not stand for one.
///
/// # Errors
/// What `__index__` raises, unless that is a `TypeError`.
pub fn integer(value: &Bound<'_, PyAny>) -> PyResult<Option<Integer>> {
    let py = value.py();
    if value.is_instance_of::<PyBool>() {
        return Ok(None);
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(Some(read(value)));
    }
    // SAFETY: `value` is a valid object.
    let index = unsafe { ffi::PyIndex_Check(value.as_ptr()) } != 0;
    // NumPy 1 and 2.0 make an index of their truth values, with a warning.
    if !index || type_name(value).starts_with("bool") {
        return Ok(None);
    }
    // SAFETY: `value` is a valid object; the result is a new reference or null with an exception set.
    match unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyNumber_Index(value.as_ptr())) } {
        Ok(int) => Ok(Some(read(&int))),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many hits at once: 0 to 2^63 - 1.
///
/// # Errors
/// `TypeError` or `ValueError` for anything else.
#[inline(always)]
pub fn amount(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    match plain(value).map(u64::try_from) {
        Some(Ok(amount)) => Ok(amount),
        _ => amount_of_other(value),
    }
}

#[inline(never)]
fn amount_of_other(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    match integer(value)? {
        Some(Integer::Fits(amount @ 0..)) => Ok(amount.unsigned_abs()),
        Some(Integer::Fits(_) | Integer::Below) => {
            Err(PyValueError::new_err("amount is negative; hits are only ever added: give 0 or more"))
        }
        Some(Integer::Above) => Err(PyValueError::new_err("amount is more than 2**63 - 1; record it in parts")),
        None => Err(PyTypeError::new_err(format!(
            "amount must be an int, not {}; hits are counted whole",
            type_name(value)
        ))),
    }
}

/// How many hits at once, one by default.
///
/// # Errors
/// As [`amount`].
pub fn or_one(given: &Given<'_>) -> PyResult<u64> {
    given.0.as_ref().map_or(Ok(1), amount)
}

/// The `float` that `value` stands for; `None` if it is an integer, or no real number.
pub fn float(value: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    static CLASSES: PyOnceLock<[Py<PyAny>; 2]> = PyOnceLock::new();
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(Some(float.value()));
    }
    let py = value.py();
    // SAFETY: `value` is a valid object.
    if unsafe { ffi::PyIndex_Check(value.as_ptr()) } != 0 {
        return Ok(None);
    }
    let [real, rational] = CLASSES.get_or_try_init(py, || {
        let numbers = py.import("numbers")?;
        PyResult::Ok([numbers.getattr("Real")?.unbind(), numbers.getattr("Rational")?.unbind()])
    })?;
    let is_float = value.is_instance(real.bind(py))? && !value.is_instance(rational.bind(py))?;
    if is_float { value.extract().map(Some) } else { Ok(None) }
}

/// A number that need not be whole.
pub fn real(value: &Bound<'_, PyAny>, name: &str) -> PyResult<f64> {
    if let Some(float) = float(value)? {
        return Ok(float);
    }
    match integer(value)? {
        #[expect(clippy::cast_precision_loss, reason = "what is possible is far below")]
        Some(Integer::Fits(whole)) => Ok(whole as f64),
        Some(Integer::Below) => Ok(f64::NEG_INFINITY),
        Some(Integer::Above) => Ok(f64::INFINITY),
        None => Err(PyTypeError::new_err(format!("{name} must be a number, not {}", type_name(value)))),
    }
}

/// How an error message names the type of a value.
pub fn type_name(value: &Bound<'_, PyAny>) -> String {
    if value.is_none() {
        return "None".to_owned();
    }
    let name = value.get_type().qualname().map(|name| name.to_string());
    name.unwrap_or_else(|_| "an object".to_owned())
}
