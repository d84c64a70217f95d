//! The methods that are entered the short way (see `entry`): those that are called for every hit.
//!
//! Each knows the usual arguments only: integers that are exactly `int`, texts that are exactly `str`. Adding one is a `fast!` and a line in
//! [`install`].

use std::ffi::CStr;
use std::time::Duration;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyString};

use crate::cell::hits::Hits;
use crate::error::QueryError;
use crate::limit::Decision;
use crate::python::bottom_k::PyBottomK;
use crate::python::counter::PyCounter;
use crate::python::endpoint::borrowed;
use crate::python::entry::{Fast, Given, put};
use crate::python::floor::FastFloor;
use crate::python::g_counter::PyGCounter;
use crate::python::hit_counter::PyHitCounter;
use crate::python::hits;
use crate::python::hyperloglog::PyHyperLogLog;
use crate::python::item::{self, borrowed_bytes};
use crate::python::limiter::{PyDecision, PyKeyedLimiter, PyLimiter};
use crate::python::morris::PyMorris;
use crate::python::number::plain;
use crate::python::outcome::member;
use crate::python::registry::PyRegistry;
use crate::python::reservoir::PyReservoir;
#[cfg(target_os = "linux")]
use crate::python::shared::PySharedRegistry;
#[cfg(target_os = "linux")]
use crate::python::shared_handles::{PySharedCounter, PySharedLimiter};
use crate::python::time::whole;
use crate::python::top_k::PyTopK;
use crate::time::Timestamp;

macro_rules! fast {
    ($method:ident = $class:ty, $name:literal, $parameters:expr, $this:ident, $given:ident, $py:ident => $body:expr) => {
        struct $method;

        impl Fast for $method {
            type Class = $class;
            const NAME: &str = $name;
            const PARAMETERS: &[&CStr] = &$parameters;

            fn general() -> &'static PyOnceLock<Py<PyAny>> {
                static GENERAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                &GENERAL
            }

            #[inline(always)]
            fn call<'py>($this: &$class, $given: Given<'_, 'py>, $py: Python<'py>) -> Option<Bound<'py, PyAny>> {
                $body
            }
        }
    };
}

fast!(Hit = PyHitCounter, "hit", [c"timestamp"], this, given, py => {
    match given {
        [Some(timestamp), ..] => this.counter.hit(time(timestamp)?),
        [None, ..] => _ = this.counter.record(1),
    }
    none(py)
});

fast!(GetHits = PyHitCounter, "getHits", [c"timestamp"], this, given, py => match given {
    [Some(timestamp), ..] => int(py, this.counter.get_hits(time(timestamp)?)),
    [None, ..] => int(py, this.counter.get_hits_now()),
});

fast!(Record = PyHitCounter, "record", [c"amount"], this, given, py => match given {
    [None, ..] => Some(member(py, this.counter.record(1))),
    [Some(amount), ..] => Some(member(py, this.counter.record(natural(amount)?))),
});

fast!(RecordAt = PyHitCounter, "record_at", [c"timestamp", c"amount"], this, given, py => match given {
    [Some(timestamp), None, ..] => Some(member(py, this.counter.record_at(time(timestamp)?, 1))),
    [Some(timestamp), Some(amount), ..] => {
        let (at, amount) = (time(timestamp)?, natural(amount)?);
        Some(member(py, this.counter.record_at(at, amount)))
    }
    [None, ..] => None,
});

fast!(Count = PyHitCounter, "count", [c"last"], this, given, py => match given {
    [None, ..] => int(py, this.counter.count().ok()?),
    [Some(last), ..] => int(py, this.counter.count_last(span(last)?).ok()?),
});

fast!(CountAt = PyHitCounter, "count_at", [c"timestamp", c"last"], this, given, py => match given {
    [Some(timestamp), None, ..] => int(py, this.counter.count_at(time(timestamp)?, this.counter.window()).ok()?),
    [Some(timestamp), Some(last), ..] => int(py, this.counter.count_at(time(timestamp)?, span(last)?).ok()?),
    [None, ..] => None,
});

fast!(CounterRecord = PyCounter, "record", [c"amount"], this, given, py => match given {
    [None, ..] => Some(member(py, this.handle.record(1))),
    [Some(amount), ..] => Some(member(py, this.handle.record(natural(amount)?))),
});

fast!(CounterRecordAt = PyCounter, "record_at", [c"timestamp", c"amount"], this, given, py => match given {
    [Some(timestamp), None, ..] => Some(member(py, this.handle.record_at(time(timestamp)?, 1))),
    [Some(timestamp), Some(amount), ..] => {
        let (at, amount) = (time(timestamp)?, natural(amount)?);
        Some(member(py, this.handle.record_at(at, amount)))
    }
    [None, ..] => None,
});

fast!(CounterCount = PyCounter, "count", [c"last"], this, given, py => match given {
    [None, ..] => number(py, this.handle.count()),
    [Some(last), ..] => number(py, this.handle.count_last(span(last)?)),
});

fast!(CounterCountAt = PyCounter, "count_at", [c"timestamp", c"last"], this, given, py => match given {
    [Some(timestamp), None, ..] => number(py, this.handle.count_at(time(timestamp)?, this.window)),
    [Some(timestamp), Some(last), ..] => number(py, this.handle.count_at(time(timestamp)?, span(last)?)),
    [None, ..] => None,
});

fast!(RecordHit = PyRegistry, "record_hit", [c"endpoint", c"timestamp", c"amount", c"visitor"], this, given, py => {
    let [Some(endpoint), timestamp, amount, visitor] = given else { return None };
    let at = match timestamp {
        Some(timestamp) if !timestamp.is_none() => Some(time(timestamp)?),
        _ => None,
    };
    let amount = match amount {
        Some(amount) => natural(amount)?,
        None => 1,
    };
    let endpoint = borrowed(endpoint)?;
    let visitor = match visitor {
        Some(visitor) if !visitor.is_none() => Some(borrowed_bytes(visitor)?),
        _ => None,
    };
    let outcome = match (at, visitor) {
        (None, None) => this.registry.record_hit(endpoint, amount),
        (Some(at), None) => this.registry.record_hit_at(endpoint, at, amount),
        (None, Some(visitor)) => this.registry.record_visit(endpoint, visitor, amount),
        (Some(at), Some(visitor)) => this.registry.record_visit_at(endpoint, visitor, at, amount),
    };
    Some(member(py, outcome.ok()?))
});

fast!(QueryHits = PyRegistry, "query_hits", [c"endpoint", c"last_seconds", c"at"], this, given, py => {
    let [Some(endpoint), Some(last), at, _] = given else { return None };
    let (endpoint, last) = (borrowed(endpoint)?, span(last)?);
    match at {
        Some(at) if !at.is_none() => number(py, this.registry.query_hits_at(endpoint, time(at)?, last)),
        _ => number(py, this.registry.query_hits(endpoint, last)),
    }
});

fast!(AddDifferent = PyHyperLogLog, "add", [c"item"], this, given, py => match given {
    [Some(item), ..] => Some(PyBool::new(py, this.0.add(borrowed_bytes(item)?)).to_owned().into_any()),
    [None, ..] => None,
});

fast!(AddSampled = PyReservoir, "add", [c"item"], this, given, py => {
    let [Some(item), ..] = given else { return None };
    let item = item::borrowed(item)?;
    this.0.add_with(|| item.to_owned());
    none(py)
});

fast!(AddTagged = PyBottomK, "add", [c"item"], this, given, py => {
    let [Some(item), ..] = given else { return None };
    let item = item::borrowed(item)?;
    this.0.add_with(|| item.to_owned());
    none(py)
});

fast!(AddFrequent = PyTopK, "add", [c"item", c"amount"], this, given, py => match given {
    [Some(item), None, ..] => Some(member(py, this.0.add(item::borrowed(item)?, 1))),
    [Some(item), Some(amount), ..] => {
        let (item, amount) = (item::borrowed(item)?, natural(amount)?);
        Some(member(py, this.0.add(item, amount)))
    }
    [None, ..] => None,
});

fast!(RecordReplica = PyGCounter, "record", [c"amount"], this, given, py => match given {
    [None, ..] => Some(member(py, this.0.record(1))),
    [Some(amount), ..] => Some(member(py, this.0.record(natural(amount)?))),
});

fast!(RecordAbout = PyMorris, "record", [c"amount"], this, given, py => match given {
    [None, ..] => Some(member(py, this.0.record(1))),
    [Some(amount), ..] => Some(member(py, this.0.record(natural(amount)?))),
});

#[cfg(target_os = "linux")]
fast!(SharedRecord = PySharedCounter, "record", [c"amount"], this, given, py => match given {
    [None, ..] => Some(member(py, this.handle.record(1))),
    [Some(amount), ..] => Some(member(py, this.handle.record(natural(amount)?))),
});

#[cfg(target_os = "linux")]
fast!(SharedCount = PySharedCounter, "count", [c"last"], this, given, py => match given {
    [None, ..] => number(py, this.handle.count_last(this.window)),
    [Some(last), ..] => number(py, this.handle.count_last(span(last)?)),
});

#[cfg(target_os = "linux")]
fast!(SharedRecordHit = PySharedRegistry, "record_hit", [c"endpoint", c"timestamp", c"amount", c"visitor"], this, given, py => {
    let [Some(endpoint), timestamp, amount, visitor] = given else { return None };
    let at = match timestamp {
        Some(timestamp) if !timestamp.is_none() => Some(time(timestamp)?),
        _ => None,
    };
    let amount = amount.map_or(Some(1), natural)?;
    let endpoint = borrowed(endpoint)?;
    let visitor = match visitor {
        Some(visitor) if !visitor.is_none() => Some(borrowed_bytes(visitor)?),
        _ => None,
    };
    let outcome = match (at, visitor) {
        (None, None) => this.registry.record_hit(endpoint, amount),
        (Some(at), None) => this.registry.record_hit_at(endpoint, at, amount),
        (None, Some(visitor)) => this.registry.record_visit(endpoint, visitor, amount),
        (Some(at), Some(visitor)) => this.registry.record_visit_at(endpoint, visitor, at, amount),
    };
    Some(member(py, outcome.ok()?))
});

#[cfg(target_os = "linux")]
fast!(SharedQueryHits = PySharedRegistry, "query_hits", [c"endpoint", c"last_seconds", c"at"], this, given, py => {
    let [Some(endpoint), Some(last), at, _] = given else { return None };
    let (endpoint, last) = (borrowed(endpoint)?, span(last)?);
    match at {
        Some(at) if !at.is_none() => number(py, this.registry.query_hits_at(endpoint, time(at)?, last)),
        _ => number(py, this.registry.query_hits(endpoint, last)),
    }
});

#[cfg(target_os = "linux")]
fast!(SharedLimiterAllow = PySharedLimiter, "allow", [c"key", c"cost", c"at"], this, given, py => {
    let [Some(key), cost, at, _] = given else { return None };
    let (key, cost) = (item::borrowed_bytes(key)?, cost.map_or(Some(1), natural)?);
    decision(py, match at {
        Some(at) if !at.is_none() => this.limiter.allow_at(key, time(at)?, cost),
        _ => this.limiter.allow(key, cost),
    })
});

fast!(LimiterAllow = PyLimiter, "allow", [c"cost", c"at"], this, given, py => {
    let [cost, at, ..] = given;
    let cost = cost.map_or(Some(1), natural)?;
    decision(py, match at {
        Some(at) if !at.is_none() => this.limiter.allow_at(time(at)?, cost),
        _ => this.limiter.allow(cost),
    })
});

fast!(KeyedLimiterAllow = PyKeyedLimiter, "allow", [c"key", c"cost", c"at"], this, given, py => {
    let [Some(key), cost, at, _] = given else { return None };
    let (key, cost) = (item::borrowed_bytes(key)?, cost.map_or(Some(1), natural)?);
    decision(py, match at {
        Some(at) if !at.is_none() => this.limiter.allow_at(key, time(at)?, cost),
        _ => this.limiter.allow(key, cost),
    })
});

fast!(FloorHit = FastFloor, "hit", [c"timestamp"], _this, given, py => {
    if let [Some(timestamp), ..] = given {
        let _ = plain(timestamp)?;
    }
    none(py)
});

fast!(FloorGetHits = FastFloor, "getHits", [c"timestamp"], _this, given, py => {
    if let [Some(timestamp), ..] = given {
        let _ = plain(timestamp)?;
    }
    none(py)
});

fast!(FloorRecord = FastFloor, "record", [c"amount"], _this, given, py => {
    if let [Some(amount), ..] = given {
        let _ = plain(amount)?;
    }
    none(py)
});

fast!(FloorRecordHit = FastFloor, "record_hit", [c"endpoint", c"timestamp", c"amount"], _this, given, py => {
    match given {
        [Some(endpoint), None, None, None] if endpoint.is_exact_instance_of::<PyString>() => none(py),
        _ => None,
    }
});

/// Puts the short ways in front of the methods of the classes.
pub fn install(py: Python<'_>) -> PyResult<()> {
    if py.import("sys")?.getattr("implementation")?.getattr("name")?.extract::<String>()? != "cpython" {
        return Ok(());
    }
    put::<Hit>(py)?;
    put::<GetHits>(py)?;
    put::<Record>(py)?;
    put::<RecordAt>(py)?;
    put::<Count>(py)?;
    put::<CountAt>(py)?;
    put::<CounterRecord>(py)?;
    put::<CounterRecordAt>(py)?;
    put::<CounterCount>(py)?;
    put::<CounterCountAt>(py)?;
    put::<RecordHit>(py)?;
    put::<QueryHits>(py)?;
    put::<AddDifferent>(py)?;
    put::<AddSampled>(py)?;
    put::<AddTagged>(py)?;
    put::<AddFrequent>(py)?;
    put::<RecordReplica>(py)?;
    put::<RecordAbout>(py)?;
    put::<LimiterAllow>(py)?;
    put::<KeyedLimiterAllow>(py)?;
    #[cfg(target_os = "linux")]
    {
        put::<SharedRecord>(py)?;
        put::<SharedCount>(py)?;
        put::<SharedRecordHit>(py)?;
        put::<SharedQueryHits>(py)?;
        put::<SharedLimiterAllow>(py)?;
    }
    put::<FloorHit>(py)?;
    put::<FloorGetHits>(py)?;
    put::<FloorRecord>(py)?;
    put::<FloorRecordHit>(py)
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

/// A usual span.
#[inline(always)]
fn span(last: &Bound<'_, PyAny>) -> Option<Duration> {
    natural(last).map(Duration::from_secs)
}

/// A usual amount.
#[inline(always)]
fn natural(amount: &Bound<'_, PyAny>) -> Option<u64> {
    u64::try_from(plain(amount)?).ok()
}

/// A decision; `None` if there is no memory for it.
#[inline(always)]
fn decision(py: Python<'_>, decision: Decision) -> Option<Bound<'_, PyAny>> {
    Bound::new(py, PyDecision { decision }).ok().map(Bound::into_any)
}

/// A count of a registry; `None` if there is none, which the long way says.
#[inline(always)]
fn number(py: Python<'_>, hits: Result<Hits, QueryError>) -> Option<Bound<'_, PyAny>> {
    let hits = hits.ok()?;
    if hits.is_exact() { int(py, hits.count) } else { hits::number(py, hits).ok() }
}

/// A count as an `int`; `None` if there is no memory for one.
#[inline(always)]
fn int(py: Python<'_>, count: u64) -> Option<Bound<'_, PyAny>> {
    // CPython makes an `int` of a signed number in fewer steps.
    let count = i64::try_from(count).ok()?;
    // SAFETY: the call returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromLongLong(count)) }.ok()
}
