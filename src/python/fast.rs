//! The methods that are entered the short way (see `entry`): those that are called for every hit.
//!
//! Each knows the usual arguments only: integers that are exactly `int`, texts that are exactly `str`. Adding one is a
//! line in the table. In it a parameter is what was given for it, if anything was (those behind a semicolon by name only), and a `?` on what is not usual leaves
//! the call to the method that PyO3 made.
//!
//! Tests: `tests/python/unit`.

use std::ffi::CStr;
use std::time::Duration;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBool;

use crate::cell::hits::Hits;
use crate::cell::outcome::Outcome;
use crate::error::QueryError;
use crate::python::bottom_k::PyBottomK;
use crate::python::counter::PyCounter;
use crate::python::decision::PyDecision;
use crate::python::endpoint::borrowed;
use crate::python::entry::{Fast, Given, put};
use crate::python::g_counter::PyGCounter;
use crate::python::hit_counter::PyHitCounter;
use crate::python::hits;
use crate::python::hyperloglog::PyHyperLogLog;
use crate::python::item::{self, borrowed_bytes};
use crate::python::limiter::{PyKeyedLimiter, PyLimiter};
use crate::python::morris::PyMorris;
use crate::python::number::plain;
use crate::python::outcome::member;
use crate::python::registries::{Endpoints, Face};
use crate::python::registry::PyRegistry;
use crate::python::reservoir::PyReservoir;
#[cfg(target_os = "linux")]
use crate::python::shared::PySharedRegistry;
#[cfg(target_os = "linux")]
use crate::python::shared_handles::{PySharedCounter, PySharedLimiter};
use crate::python::time::whole;
use crate::python::top_k::PyTopK;
use crate::time::Timestamp;

/// Makes `install` of a table of methods, in which the object is called `$this` and the token of Python `$py`.
macro_rules! entries {
    ($this:ident, $py:ident: $(
        $(#[$only:meta])?
        $class:ident.$method:ident($($parameter:ident),* $(; $($named:ident),+)?) => $body:expr;
    )*) => {
        /// Puts the short ways in front of the methods of the classes.
        pub fn install(py: Python<'_>) -> PyResult<()> {
            if py.import("sys")?.getattr("implementation")?.getattr("name")?.extract::<String>()? != "cpython" {
                return Ok(());
            }
            $(
                $(#[$only])?
                {
                    struct Method;

                    impl Fast for Method {
                        type Class = $class;
                        const NAME: &str = stringify!($method);
                        const PARAMETERS: &[&CStr] = &[
                            $(c_str(concat!(stringify!($parameter), "\0")),)*
                            $($(c_str(concat!(stringify!($named), "\0")),)+)?
                        ];
                        const POSITIONAL: usize = [$(stringify!($parameter)),*].len();

                        fn general() -> &'static PyOnceLock<Py<PyAny>> {
                            static GENERAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                            &GENERAL
                        }

                        #[inline(always)]
                        fn call<'py>(
                            $this: &$class,
                            [$($parameter,)* $($($named,)+)? ..]: Given<'_, 'py>,
                            $py: Python<'py>,
                        ) -> Option<Bound<'py, PyAny>> {
                            $body
                        }
                    }

                    put::<Method>(py)?;
                }
            )*
            Ok(())
        }
    };
}

entries! {
    this, py:

    PyHitCounter.hit(timestamp) => {
        match timestamp {
            Some(timestamp) => this.counter.hit(time(timestamp)?),
            None => _ = this.counter.record(1),
        }
        none(py)
    };
    PyHitCounter.getHits(timestamp) => int(py, match timestamp {
        Some(timestamp) => this.counter.get_hits(time(timestamp)?),
        None => this.counter.get_hits_now(),
    });
    PyHitCounter.record(amount) => outcome(py, this.counter.record(or_one(amount)?));
    PyHitCounter.record_at(timestamp, amount) =>
        outcome(py, this.counter.record_at(time(timestamp?)?, or_one(amount)?));
    PyHitCounter.count(last) => int(py, match last {
        Some(last) => this.counter.count_last(span(last)?).ok()?,
        None => this.counter.count().ok()?,
    });
    PyHitCounter.count_at(timestamp, last) =>
        int(py, this.counter.count_at(time(timestamp?)?, or_all(last, this.counter.window())?).ok()?);

    PyCounter.record(amount) => outcome(py, this.handle.record(or_one(amount)?));
    PyCounter.record_at(timestamp, amount) =>
        outcome(py, this.handle.record_at(time(timestamp?)?, or_one(amount)?));
    PyCounter.count(last) => number(py, match last {
        Some(last) => this.handle.count_last(span(last)?),
        None => this.handle.count(),
    });
    PyCounter.count_at(timestamp, last) =>
        number(py, this.handle.count_at(time(timestamp?)?, or_all(last, this.window)?));
    #[cfg(target_os = "linux")]
    PySharedCounter.record(amount) => outcome(py, this.handle.record(or_one(amount)?));
    #[cfg(target_os = "linux")]
    PySharedCounter.count(last) => number(py, this.handle.count_last(or_all(last, this.window)?));

    PyRegistry.record_hit(endpoint, timestamp, amount; visitor) =>
        record_hit(this, py, [endpoint, timestamp, amount, visitor]);
    PyRegistry.query_hits(endpoint, last_seconds, at) => query_hits(this, py, endpoint?, last_seconds?, at);
    #[cfg(target_os = "linux")]
    PySharedRegistry.record_hit(endpoint, timestamp, amount; visitor) =>
        record_hit(this, py, [endpoint, timestamp, amount, visitor]);
    #[cfg(target_os = "linux")]
    PySharedRegistry.query_hits(endpoint, last_seconds, at) => query_hits(this, py, endpoint?, last_seconds?, at);

    PyHyperLogLog.add(item) =>
        Some(PyBool::new(py, this.0.add(borrowed_bytes(item?)?)).to_owned().into_any());
    PyReservoir.add(item) => {
        let item = item::borrowed(item?)?;
        this.0.add_with(|| item.to_owned());
        none(py)
    };
    PyBottomK.add(item) => {
        let item = item::borrowed(item?)?;
        this.0.add_with(|| item.to_owned());
        none(py)
    };
    PyTopK.add(item, amount) => outcome(py, this.0.add(item::borrowed(item?)?, or_one(amount)?));
    PyGCounter.record(amount) => outcome(py, this.0.record(or_one(amount)?));
    PyMorris.record(amount) => outcome(py, this.0.record(or_one(amount)?));

    PyLimiter.allow(cost; at) => {
        let (limiter, cost) = (&this.limiter, or_one(cost)?);
        let decision = match moment(at)? {
            Some(at) => limiter.allow_at(at, cost),
            None => limiter.allow(cost),
        };
        decided(py, this.decision(decision))
    };
    PyKeyedLimiter.allow(key, cost; at) => {
        let (limiter, key, cost) = (&this.limiter, borrowed_bytes(key?)?, or_one(cost)?);
        let decision = match moment(at)? {
            Some(at) => limiter.allow_at(key, at, cost),
            None => limiter.allow(key, cost),
        };
        decided(py, this.decision(decision))
    };
    #[cfg(target_os = "linux")]
    PySharedLimiter.allow(key, cost; at) => {
        let (limiter, key, cost) = (&this.limiter, borrowed_bytes(key?)?, or_one(cost)?);
        let decision = match moment(at)? {
            Some(at) => limiter.allow_at(key, at, cost),
            None => limiter.allow(key, cost),
        };
        decided(py, this.decision(decision))
    };
}

#[inline(always)]
fn record_hit<'py>(
    face: &impl Face,
    py: Python<'py>,
    [endpoint, timestamp, amount, visitor]: Given<'_, 'py>,
) -> Option<Bound<'py, PyAny>> {
    let (at, amount, endpoint) = (moment(timestamp)?, or_one(amount)?, borrowed(endpoint?)?);
    let visitor = match visitor {
        Some(visitor) if !visitor.is_none() => Some(borrowed_bytes(visitor)?),
        _ => None,
    };
    outcome(py, face.registry().record(endpoint, at, visitor, amount).ok()?)
}

#[inline(always)]
fn query_hits<'py>(
    face: &impl Face,
    py: Python<'py>,
    endpoint: &Bound<'py, PyAny>,
    last: &Bound<'py, PyAny>,
    at: Option<&Bound<'py, PyAny>>,
) -> Option<Bound<'py, PyAny>> {
    let (endpoint, last) = (borrowed(endpoint)?, span(last)?);
    number(py, face.registry().hits(endpoint, moment(at)?, last))
}

/// The name of a parameter, whose text ends with a NUL.
const fn c_str(text: &str) -> &CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a name has one NUL, at its end"),
    }
}

#[inline(always)]
fn none(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    Some(py.None().into_bound(py))
}

/// A usual timestamp.
#[inline(always)]
fn time(timestamp: &Bound<'_, PyAny>) -> Option<Timestamp> {
    whole(plain(timestamp)?)
}

/// A usual timestamp, or `Some(None)` for now.
#[inline(always)]
fn moment(timestamp: Option<&Bound<'_, PyAny>>) -> Option<Option<Timestamp>> {
    match timestamp {
        Some(timestamp) if !timestamp.is_none() => time(timestamp).map(Some),
        _ => Some(None),
    }
}

/// A usual span.
#[inline(always)]
fn span(last: &Bound<'_, PyAny>) -> Option<Duration> {
    natural(last).map(Duration::from_secs)
}

/// A usual span; the whole `window` by default.
#[inline(always)]
fn or_all(last: Option<&Bound<'_, PyAny>>, window: Duration) -> Option<Duration> {
    last.map_or(Some(window), span)
}

/// A usual amount.
#[inline(always)]
fn natural(amount: &Bound<'_, PyAny>) -> Option<u64> {
    u64::try_from(plain(amount)?).ok()
}

/// A usual amount; one by default.
#[inline(always)]
fn or_one(amount: Option<&Bound<'_, PyAny>>) -> Option<u64> {
    amount.map_or(Some(1), natural)
}

/// What became of a hit.
#[inline(always)]
fn outcome(py: Python<'_>, outcome: Outcome) -> Option<Bound<'_, PyAny>> {
    Some(member(py, outcome))
}

/// A decision; `None` if the object cannot be allocated.
#[inline(always)]
fn decided(py: Python<'_>, decision: PyDecision) -> Option<Bound<'_, PyAny>> {
    Bound::new(py, decision).ok().map(Bound::into_any)
}

/// A count of a registry; `None` if the query failed. The long way then raises the error.
#[inline(always)]
fn number(py: Python<'_>, hits: Result<Hits, QueryError>) -> Option<Bound<'_, PyAny>> {
    let hits = hits.ok()?;
    if hits.is_exact() { int(py, hits.count) } else { hits::number(py, hits).ok() }
}

/// A count as an `int`; `None` if the `int` cannot be allocated, or the count does not fit an `i64`.
#[inline(always)]
fn int(py: Python<'_>, count: u64) -> Option<Bound<'_, PyAny>> {
    // CPython makes an `int` of a signed number in fewer steps.
    let count = i64::try_from(count).ok()?;
    // SAFETY: the call returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromLongLong(count)) }.ok()
}
