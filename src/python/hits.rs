//! Counts, as Python has them: an `int`, or an `Estimate` (`hitring/_estimate.py`), which is an `int` too.
//!
//! Tests: `tests/python/unit`.

use std::time::Duration;

use pyo3::prelude::*;

use crate::cell::hits::{Accuracy, Bucket, Hits};
use crate::error::QueryError;
use crate::python::errors;
use crate::python::time::{fraction, seconds};
use crate::python::written;

/// `count` as exact as it is.
///
/// # Errors
/// None but for want of memory.
pub fn number(py: Python<'_>, hits: Hits) -> PyResult<Bound<'_, PyAny>> {
    match hits.accuracy {
        Accuracy::Estimate { error } => estimate(py, hits.count, error),
        Accuracy::Exact | Accuracy::Buckets { .. } | Accuracy::AtLeast => Ok(hits.count.into_pyobject(py)?.into_any()),
    }
}

/// The same for a query that may have failed; raises its error.
pub fn answer(py: Python<'_>, hits: Result<Hits, QueryError>) -> PyResult<Bound<'_, PyAny>> {
    number(py, hits.map_err(|error| errors::query(py, &error))?)
}

/// The start and the hits of each bucket of that width; the starts are all of one type.
pub fn pairs(py: Python<'_>, width: Duration, buckets: Vec<Bucket>) -> PyResult<Vec<(Bound<'_, PyAny>, u64)>> {
    let start = if width.subsec_nanos() == 0 { seconds } else { fraction };
    buckets.into_iter().map(|bucket| Ok((start(py, bucket.start.as_duration())?, bucket.count))).collect()
}

/// An estimate of `count` with a relative standard error of `error`.
pub fn estimate(py: Python<'_>, count: u64, error: f64) -> PyResult<Bound<'_, PyAny>> {
    written::ESTIMATE.get(py)?.call1((count, error))
}
