//! The `hitring` program, for the console script of the wheel.
//!
//! Tests: `tests/python/integration/test_program.py`.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the program with `arguments`, the first of which is its name; answers its exit status.
///
/// The GIL is released: nothing of the program is Python's.
#[pyfunction]
pub fn _run(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| crate::cli::run(arguments))
}
