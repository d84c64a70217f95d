//! Arguments that may be left out, but not be `None`.
//!
//! Tests: `tests/python/unit`.

use std::convert::Infallible;

use pyo3::prelude::*;

/// What was given for such an argument, or `NOTHING`.
#[derive(Debug)]
pub struct Given<'py>(pub Option<Bound<'py, PyAny>>);

impl Given<'_> {
    pub const NOTHING: Self = Self(None);
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = Infallible;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self(Some(value.to_owned())))
    }
}
