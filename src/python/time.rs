//! Points in time and spans, from Python and back.
//!
//! | a timestamp | is taken |
//! |---|---|
//! | `int`, or anything with `__index__` | as seconds since 1970 |
//! | `float`, NumPy's floats of any width | the same, to the nearest microsecond: 1700000000.001 lies in the millisecond that begins there, although as a `float` it is a little less |
//! | aware `datetime` | exactly |
//! | `bool`, `None`, `str`, naive `datetime`, NaN, infinity, before 1970, beyond 9999 | not at all |
//!
//! A span (`window`, `resolution`, `last`, ...) is the same without the calendar: `int`, `float` or `timedelta`.
//! What leaves is an `int` where it is whole seconds, else the nearest `float`.
//!
//! Tests: `tests/python/unit/test_times.py`.

use std::fmt::Display;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDateTime, PyDelta, PyFloat};

use crate::python::errors::Class;
use crate::python::number::{Integer, float, integer, plain, type_name};
use crate::time::Timestamp;
use crate::time::error::TimeError;

const MICROS_PER_SEC: u32 = 1_000_000;
const MAX_SECS: u64 = Timestamp::MAX.secs();

/// The point in time that `value` stands for; `name` is what an error calls it.
///
/// # Errors
/// `TypeError` or `ValueError`, as the table in the module header says.
#[inline(always)]
pub fn timestamp(value: &Bound<'_, PyAny>, name: impl Display) -> PyResult<Timestamp> {
    match plain(value).and_then(whole) {
        Some(at) => Ok(at),
        None => timestamp_of_other(value, name),
    }
}

/// The time that `value` is; `None` is now.
pub fn moment(value: Option<&Bound<'_, PyAny>>, name: &str) -> PyResult<Option<Timestamp>> {
    value.map(|value| timestamp(value, name)).transpose()
}

/// `secs` seconds since 1970, if that is a timestamp.
#[inline(always)]
pub fn whole(secs: i64) -> Option<Timestamp> {
    Timestamp::try_from(u64::try_from(secs).ok()?).ok()
}

#[inline(never)]
fn timestamp_of_other(value: &Bound<'_, PyAny>, name: impl Display) -> PyResult<Timestamp> {
    if let Some(float) = float(value)? {
        return of_float(float).map_err(|error| error.raise(name));
    }
    if let Ok(datetime) = value.cast::<PyDateTime>() {
        return of_datetime(datetime, name);
    }
    match integer(value)? {
        Some(integer) => of_integer(integer).map_err(|error| error.raise(name)),
        None => Err(wrong_type(value, name)),
    }
}

#[cold]
fn wrong_type(value: &Bound<'_, PyAny>, name: impl Display) -> PyErr {
    let cure = if value.is_instance_of::<PyBool>() {
        "a truth value is not a time"
    } else if value.is_none() {
        "use the method without a timestamp to mean now"
    } else {
        "convert it first"
    };
    PyTypeError::new_err(format!(
        "{name} must be seconds since 1970 (int or float) or an aware datetime, not {}; {cure}",
        type_name(value)
    ))
}

/// Why a number is not a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotATime {
    /// It lies outside of the range.
    Range(TimeError),
    /// NaN or an infinity.
    NotFinite,
}

impl From<TimeError> for NotATime {
    fn from(error: TimeError) -> Self {
        Self::Range(error)
    }
}

impl NotATime {
    /// The exception; `name` is what it calls the number.
    pub fn raise(self, name: impl Display) -> PyErr {
        PyValueError::new_err(match self {
            Self::Range(TimeError::Negative) => {
                format!("{name} lies before 1970-01-01T00:00:00 UTC; give seconds since then")
            }
            Self::Range(TimeError::TooLate) => {
                format!("{name} lies beyond the year 9999; give seconds since 1970, not milliseconds or nanoseconds")
            }
            Self::NotFinite => format!("{name} is NaN or infinite; give finite seconds since 1970"),
        })
    }
}

/// The point in time so many seconds after 1970.
pub fn of_integer(secs: Integer) -> Result<Timestamp, NotATime> {
    match secs {
        Integer::Fits(secs) => match u64::try_from(secs) {
            Ok(secs) => Ok(Timestamp::try_from(secs)?),
            Err(_) => Err(TimeError::Negative.into()),
        },
        Integer::Below => Err(TimeError::Negative.into()),
        Integer::Above => Err(TimeError::TooLate.into()),
    }
}

/// The microsecond nearest to so many seconds after 1970.
pub fn of_float(secs: f64) -> Result<Timestamp, NotATime> {
    if !secs.is_finite() {
        return Err(NotATime::NotFinite);
    }
    if secs < 0.0 {
        return Err(TimeError::Negative.into());
    }
    Ok(Timestamp::from_duration(nearest_microsecond(secs).ok_or(TimeError::TooLate)?)?)
}

/// `secs`, not negative and finite, to the nearest microsecond; `None` if it is longer than all of time.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are checked to be in range")]
fn nearest_microsecond(secs: f64) -> Option<Duration> {
    // The fraction of a float is a float, so nothing is rounded but the multiplication and its result.
    let micros = (secs.fract() * f64::from(MICROS_PER_SEC)).round_ties_even() as u64;
    (secs < 1e15).then(|| Duration::from_secs(secs as u64) + Duration::from_micros(micros))
}

fn of_datetime(datetime: &Bound<'_, PyDateTime>, name: impl Display) -> PyResult<Timestamp> {
    let py = datetime.py();
    if datetime.call_method0(intern!(py, "utcoffset"))?.is_none() {
        return Err(PyValueError::new_err(format!(
            "{name} is a datetime without a time zone, so it could be any of 24 hours; give it its zone with \
             datetime.replace(tzinfo=...)"
        )));
    }
    let since = datetime.sub(epoch(py)?)?;
    let time = match u64::try_from(microseconds(&since)?) {
        Ok(micros) => Timestamp::from_duration(Duration::from_micros(micros)),
        Err(_) => Err(TimeError::Negative),
    };
    time.map_err(|error| NotATime::from(error).raise(name))
}

/// 1970-01-01T00:00:00 UTC as a datetime.
fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let epoch = EPOCH.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        datetime.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc)).map(Bound::unbind)
    })?;
    Ok(epoch.bind(py))
}

/// The length of a timedelta, exactly.
fn microseconds(delta: &Bound<'_, PyAny>) -> PyResult<i128> {
    let py = delta.py();
    let days: i64 = delta.getattr(intern!(py, "days"))?.extract()?;
    let seconds: i64 = delta.getattr(intern!(py, "seconds"))?.extract()?;
    let micros: i64 = delta.getattr(intern!(py, "microseconds"))?.extract()?;
    let seconds = i128::from(days) * 86_400 + i128::from(seconds);
    Ok(seconds * i128::from(MICROS_PER_SEC) + i128::from(micros))
}

/// A span of time from Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// So long.
    Of(Duration),
    /// Longer than all of time.
    Endless,
}

/// The span that `value` stands for, to the nearest microsecond; errors of value are of `class` and call it `name`.
///
/// # Errors
/// `TypeError` unless it is a number or a timedelta, `class` if it is negative, NaN or infinite.
pub fn span(value: &Bound<'_, PyAny>, name: &str, class: Class) -> PyResult<Span> {
    let py = value.py();
    let negative = || class.error(py, format_args!("{name} is negative; give seconds, 0 or more"));
    if let Some(secs) = float(value)? {
        if !secs.is_finite() {
            return Err(class.error(py, format_args!("{name} is NaN or infinite; give finite seconds")));
        }
        if secs < 0.0 {
            return Err(negative());
        }
        return Ok(nearest_microsecond(secs).map_or(Span::Endless, Span::Of));
    }
    if value.is_instance_of::<PyDelta>() {
        let micros = microseconds(value)?;
        return match u64::try_from(micros) {
            Ok(micros) => Ok(Span::Of(Duration::from_micros(micros))),
            Err(_) if micros < 0 => Err(negative()),
            Err(_) => Ok(Span::Endless),
        };
    }
    match integer(value)? {
        Some(Integer::Fits(secs)) => match u64::try_from(secs) {
            Ok(secs) if secs <= MAX_SECS => Ok(Span::Of(Duration::from_secs(secs))),
            Ok(_) => Ok(Span::Endless),
            Err(_) => Err(negative()),
        },
        Some(Integer::Above) => Ok(Span::Endless),
        Some(Integer::Below) => Err(negative()),
        None => Err(PyTypeError::new_err(format!(
            "{name} must be seconds (int or float) or a timedelta, not {}",
            type_name(value)
        ))),
    }
}

/// So many seconds as Python has them: an `int` if it is whole, else the nearest `float`.
pub fn seconds<'py>(py: Python<'py>, time: Duration) -> PyResult<Bound<'py, PyAny>> {
    if time.subsec_nanos() == 0 { Ok(time.as_secs().into_pyobject(py)?.into_any()) } else { fraction(py, time) }
}

/// So many seconds as the nearest `float`.
pub fn fraction<'py>(py: Python<'py>, time: Duration) -> PyResult<Bound<'py, PyAny>> {
    /// Up to there, in 2255, microseconds are exact in a float.
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    let micros = time.as_micros();
    #[expect(clippy::cast_precision_loss, reason = "numbers up to EXACT lose no precision")]
    let secs = if micros <= EXACT {
        micros as f64 / f64::from(MICROS_PER_SEC)
    } else {
        // Two roundings would miss the nearest.
        format!("{}.{:06}", time.as_secs(), time.subsec_micros()).parse()?
    };
    Ok(PyFloat::new(py, secs).into_any())
}
