//! What counters and registries are built with: spans, numbers of slots and endpoints.
//!
//! Tests: `tests/python/unit`.

use std::ops::RangeInclusive;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::python::errors::Class;
use crate::python::number::{Integer, integer, type_name};
use crate::python::time::{Span, span};
use crate::registry::WhenFull;

/// A span of the configuration.
pub fn configured(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Duration> {
    span_of(value, name, Class::Config)
}

/// A span, whose errors are of `class`.
pub fn span_of(value: &Bound<'_, PyAny>, name: &str, class: Class) -> PyResult<Duration> {
    match span(value, name, class)? {
        Span::Of(span) => Ok(span),
        Span::Endless => Err(class.error(value.py(), format_args!("{name} is longer than all of time; give less"))),
    }
}

/// How much of the past is asked for; `None` is the whole `window`.
pub fn last(value: Option<&Bound<'_, PyAny>>, name: &str, window: Duration) -> PyResult<Duration> {
    let Some(value) = value else { return Ok(window) };
    match span(value, name, Class::Query)? {
        Span::Of(last) => Ok(last),
        Span::Endless => Err(Class::Query.error(
            value.py(),
            format_args!("{name} is more than the window of {window:?}; ask for less or build a longer window"),
        )),
    }
}

/// A number of slots; whether that many are possible is the builder's to say.
pub fn slots(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    let out_of_range =
        |what| Err(Class::Config.error(value.py(), format_args!("slack is {what}; give 0 to 2**20 slots")));
    match integer(value)? {
        Some(Integer::Fits(slots @ 0..)) => u32::try_from(slots).or_else(|_| out_of_range("more than 2**20")),
        Some(Integer::Fits(_) | Integer::Below) => out_of_range("negative"),
        Some(Integer::Above) => out_of_range("more than 2**20"),
        None => Err(PyTypeError::new_err(format!("slack must be a number of slots (int), not {}", type_name(value)))),
    }
}

/// How many of something, called `name`: held to what a `usize` can be.
pub fn number(value: &Bound<'_, PyAny>, name: &str) -> PyResult<usize> {
    match integer(value)? {
        Some(Integer::Fits(number @ 0..)) => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        Some(Integer::Above) => Ok(usize::MAX),
        Some(Integer::Fits(_) | Integer::Below) => {
            Err(Class::Config.error(value.py(), format_args!("{name} is negative; give 0 or more")))
        }
        None => Err(PyTypeError::new_err(format!("{name} must be an int, not {}", type_name(value)))),
    }
}

/// An integer in a range, called `name`.
pub fn within(value: &Bound<'_, PyAny>, name: &str, range: RangeInclusive<i64>) -> PyResult<i64> {
    let found = match integer(value)? {
        Some(Integer::Fits(number)) if range.contains(&number) => return Ok(number),
        Some(Integer::Fits(number)) => number.to_string(),
        Some(Integer::Below) => "so far below 0".to_owned(),
        Some(Integer::Above) => "2**63 or more".to_owned(),
        None => return Err(PyTypeError::new_err(format!("{name} must be an int, not {}", type_name(value)))),
    };
    let (from, to) = range.into_inner();
    Err(Class::Config.error(value.py(), format_args!("{name} cannot be {found}; give {from} to {to}")))
}

/// A seed of random numbers.
pub fn seed(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let out_of_range = |_| Class::Config.error(value.py(), "seed does not fit; give 0 to 2**64 - 1, or None");
    match integer(value)? {
        Some(Integer::Fits(seed)) => u64::try_from(seed).map_err(|_| out_of_range(())),
        Some(Integer::Above | Integer::Below) => value.extract().map_err(|_| out_of_range(())),
        None => Err(PyTypeError::new_err(format!("seed must be an int or None, not {}", type_name(value)))),
    }
}

/// What happens when a registry is full, by name.
pub fn when_full(value: &Bound<'_, PyAny>) -> PyResult<WhenFull> {
    let Ok(name) = value.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!("when_full must be 'refuse' or 'prune', not {}", type_name(value))));
    };
    match &*name.to_cow()? {
        "refuse" => Ok(WhenFull::Refuse),
        "prune" => Ok(WhenFull::Prune),
        other => Err(Class::Config
            .error(value.py(), format_args!("when_full cannot be {other:?}; choose \"refuse\" or \"prune\""))),
    }
}

/// The name that [`when_full`] reads.
pub fn when_full_name(when_full: WhenFull) -> &'static str {
    match when_full {
        WhenFull::Refuse => "refuse",
        WhenFull::Prune => "prune",
    }
}
