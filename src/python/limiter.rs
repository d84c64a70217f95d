//! `Limiter` and `KeyedLimiter`: each method converts, calls and converts.
//!
//! Tests: `tests/python/unit/test_limiter.py`.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::error::LimitError;
use crate::limit::WhenKeysFull;
use crate::limit::decision::Decision;
use crate::limit::keyed::KeyedLimiter;
use crate::limit::rate::{Rate, Rates};
use crate::limit::{Limiter, LimiterBuilder};
use crate::python::clock::clock;
use crate::python::configured::{number, span_of};
use crate::python::decision::PyDecision;
use crate::python::errors::Class;
use crate::python::given::Given;
use crate::python::item;
use crate::python::number::{Integer, integer, or_one, real, type_name};
use crate::python::time::{moment, seconds};
use crate::python::written;

/// The most keys by default.
const MAX_KEYS: usize = 100_000;

/// What all limiters are built with.
pub struct Parts<'a, 'py> {
    pub limit: &'a Bound<'py, PyAny>,
    pub window: Option<&'a Bound<'py, PyAny>>,
    pub burst: Option<&'a Bound<'py, PyAny>>,
    pub resolution: Option<&'a Bound<'py, PyAny>>,
    pub max_skew: Option<&'a Bound<'py, PyAny>>,
    pub clock: Option<&'a Bound<'py, PyAny>>,
}

impl Parts<'_, '_> {
    pub fn rates(&self) -> PyResult<Rates> {
        let py = self.limit.py();
        let refused = |error: LimitError| Class::Limit.error(py, error);
        match (self.limit.cast::<PyString>(), self.window) {
            (Ok(text), None) => text.to_cow()?.parse().map_err(refused),
            (Ok(_), Some(_)) => {
                Err(PyTypeError::new_err("a rate like '100/minute' has its window in it; leave out window"))
            }
            (Err(_), None) => Err(PyTypeError::new_err(
                "a limit needs a window in seconds; or give a rate like '100/minute' for both",
            )),
            (Err(_), Some(window)) => {
                let window = span_of(window, "window", Class::Limit)?;
                Ok(Rate::new(units(self.limit, "limit")?, window).map_err(refused)?.into())
            }
        }
    }

    fn burst(&self) -> PyResult<Option<u64>> {
        self.burst.map(|burst| units(burst, "burst")).transpose()
    }

    /// The only rate, and the burst.
    pub fn one(&self) -> PyResult<(Rate, Option<u64>)> {
        let rates = self.rates()?;
        let [rate] = *rates else {
            let message = format!("a limiter in a file keeps one rate, not {}; make a limiter for each", rates.len());
            return Err(Class::Limit.error(self.limit.py(), message));
        };
        Ok((rate, self.burst()?))
    }

    fn builder(&self) -> PyResult<LimiterBuilder> {
        let mut builder = Limiter::together(self.rates()?);
        if let Some(burst) = self.burst()? {
            builder = builder.burst(burst);
        }
        if let Some(resolution) = self.resolution {
            builder = builder.resolution(span_of(resolution, "resolution", Class::Limit)?);
        }
        if let Some(max_skew) = self.max_skew {
            builder = builder.max_skew(span_of(max_skew, "max_skew", Class::Limit)?);
        }
        if let Some(given) = self.clock {
            builder = builder.clock(clock(given)?);
        }
        Ok(builder)
    }
}

/// A number of units; which are possible is the limiter's to say.
pub fn units(value: &Bound<'_, PyAny>, name: &str) -> PyResult<u64> {
    match integer(value)? {
        Some(Integer::Fits(units @ 0..)) => Ok(units.unsigned_abs()),
        Some(_) => Err(Class::Limit.error(value.py(), format_args!("that {name} is not possible; give 1 to 2**32"))),
        None => Err(PyTypeError::new_err(format!("{name} must be an int, not {}", type_name(value)))),
    }
}

/// Lets through no more than so much in so much time.
#[pyclass(frozen, weakref, module = "hitring", name = "Limiter")]
#[derive(Debug)]
pub struct PyLimiter {
    pub limiter: Box<Limiter>,
}

impl PyLimiter {
    #[inline(always)]
    pub fn decision(&self, decision: Decision) -> PyDecision {
        self.limiter.version(|version| PyDecision::of(decision, version))
    }
}

#[pymethods]
impl PyLimiter {
    #[new]
    #[pyo3(signature = (limit, window = None, *, burst = None, resolution = None, max_skew = None, clock = None))]
    fn new(
        limit: &Bound<'_, PyAny>,
        window: Option<&Bound<'_, PyAny>>,
        burst: Option<&Bound<'_, PyAny>>,
        resolution: Option<&Bound<'_, PyAny>>,
        max_skew: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let builder = Parts { limit, window, burst, resolution, max_skew, clock }.builder()?;
        let limiter = builder.build().map_err(|error| Class::Limit.error(limit.py(), error))?;
        Ok(Self { limiter: Box::new(limiter) })
    }

    /// Let `cost` through at `at`, or now, or refuse it whole.
    #[pyo3(signature = (cost = Given::NOTHING, *, at = None), text_signature = "($self, cost=1, *, at=None)")]
    fn allow(&self, cost: Given<'_>, at: Option<&Bound<'_, PyAny>>) -> PyResult<PyDecision> {
        let cost = or_one(&cost).map_err(costs)?;
        Ok(self.decision(match moment(at, "at")? {
            Some(at) => self.limiter.allow_at(at, cost),
            None => self.limiter.allow(cost),
        }))
    }

    /// Let `cost` through as soon as there is room for it.
    #[pyo3(signature = (cost = Given::NOTHING, *, timeout = None), text_signature = "($self, cost=1, *, timeout=None)")]
    fn acquire<'py>(
        slf: &Bound<'py, Self>,
        cost: Given<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        waits(slf, "acquire", (or_one(&cost).map_err(costs)?,), timeout)
    }

    /// The same in asyncio.
    #[pyo3(signature = (cost = Given::NOTHING, *, timeout = None), text_signature = "($self, cost=1, *, timeout=None)")]
    fn acquire_async<'py>(
        slf: &Bound<'py, Self>,
        cost: Given<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        waits(slf, "acquire_async", (or_one(&cost).map_err(costs)?,), timeout)
    }

    /// What `allow` would say, but with all that remains.
    #[pyo3(signature = (cost = Given::NOTHING, *, at = None), text_signature = "($self, cost=1, *, at=None)")]
    fn peek(&self, cost: Given<'_>, at: Option<&Bound<'_, PyAny>>) -> PyResult<PyDecision> {
        let cost = or_one(&cost).map_err(costs)?;
        Ok(self.decision(match moment(at, "at")? {
            Some(at) => self.limiter.peek_at(at, cost),
            None => self.limiter.peek(cost),
        }))
    }

    /// Change the rate; what was let through counts on.
    #[pyo3(
        signature = (limit, window = None, *, burst = None, at = None),
        text_signature = "($self, limit, window=None, *, burst=None, at=None)"
    )]
    fn set_rate(
        &self,
        limit: &Bound<'_, PyAny>,
        window: Option<&Bound<'_, PyAny>>,
        burst: Option<&Bound<'_, PyAny>>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let parts = Parts { limit, window, burst, resolution: None, max_skew: None, clock: None };
        let (rates, burst) = (parts.rates()?, parts.burst()?);
        let at = moment(at, "at")?;
        let changed = limit.py().detach(|| match at {
            Some(at) => self.limiter.set_rate_at(at, rates, burst),
            None => self.limiter.set_rate(rates, burst),
        });
        changed.map_err(|error| Class::Limit.error(limit.py(), error))
    }

    /// Forget what was let through.
    fn reset(&self) {
        self.limiter.reset();
    }

    /// All rates, as a text.
    #[getter]
    fn rate(&self) -> String {
        self.limiter.rates().to_string()
    }

    /// How much.
    #[getter]
    fn limit(&self) -> u64 {
        self.limiter.rate().limit()
    }

    /// In how many seconds.
    #[getter]
    fn window<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.limiter.rate().window())
    }

    fn __sizeof__(&self) -> usize {
        self.limiter.memory_bytes()
    }

    fn __repr__(&self) -> String {
        format!("<hitring.Limiter of {}>", self.limiter.rates())
    }
}

/// Waits with `function` of `hitring._waiting` until `limiter` allows what `arguments` ask for.
pub fn waits<'py>(
    limiter: &Bound<'py, PyAny>,
    function: &str,
    arguments: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
    timeout: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = limiter.py();
    let timeout = timeout.map(|timeout| real(timeout, "timeout")).transpose()?;
    let allow = limiter.getattr(intern!(py, "allow"))?;
    let arguments = [allow].into_iter().chain(arguments.into_pyobject(py)?.iter()).collect::<Vec<_>>();
    let allow = py.import("functools")?.getattr("partial")?.call1(PyTuple::new(py, arguments)?)?;
    py.import("hitring._waiting")?.getattr(function)?.call1((allow, timeout))
}

/// An error of an amount, of what is called a cost here.
pub fn costs(error: PyErr) -> PyErr {
    Python::attach(|py| {
        let message = error.value(py).to_string().replacen("amount", "cost", 1);
        let message = message.replace("hits are only ever added: ", "").replace("; record it in parts", "");
        let message = message.replace("; hits are counted whole", "");
        if error.is_instance_of::<PyTypeError>(py) {
            PyTypeError::new_err(message)
        } else {
            PyValueError::new_err(message)
        }
    })
}

/// A limit for each key.
#[pyclass(frozen, weakref, module = "hitring", name = "KeyedLimiter")]
#[derive(Debug)]
pub struct PyKeyedLimiter {
    pub limiter: Box<KeyedLimiter<Vec<u8>>>,
}

impl PyKeyedLimiter {
    #[inline(always)]
    pub fn decision(&self, decision: Decision) -> PyDecision {
        PyDecision::of(decision, &self.limiter.version())
    }
}

#[pymethods]
impl PyKeyedLimiter {
    #[new]
    #[pyo3(
        signature = (
            limit, window = None, *, max_keys = Given::NOTHING, when_full = Given::NOTHING, burst = None,
            resolution = None, max_skew = None, clock = None,
        ),
        text_signature = "(limit, window=None, *, max_keys=100000, when_full='refuse', burst=None, resolution=None, \
            max_skew=None, clock=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they are Python's, by name")]
    fn new(
        limit: &Bound<'_, PyAny>,
        window: Option<&Bound<'_, PyAny>>,
        max_keys: Given<'_>,
        when_full: Given<'_>,
        burst: Option<&Bound<'_, PyAny>>,
        resolution: Option<&Bound<'_, PyAny>>,
        max_skew: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let builder = Parts { limit, window, burst, resolution, max_skew, clock }.builder()?;
        let max_keys = max_keys.0.map_or(Ok(MAX_KEYS), |given| number(&given, "max_keys"))?;
        let when_full = when_full.0.map_or(Ok(WhenKeysFull::Refuse), |given| self::when_full(&given))?;
        let limiter = builder.keyed(max_keys, when_full).map_err(|error| Class::Limit.error(limit.py(), error))?;
        Ok(Self { limiter: Box::new(limiter) })
    }

    /// Let a cost of `key` through at `at`, or now, or refuse it whole.
    #[pyo3(signature = (key, cost = Given::NOTHING, *, at = None), text_signature = "($self, key, cost=1, *, at=None)")]
    fn allow(&self, key: &Bound<'_, PyAny>, cost: Given<'_>, at: Option<&Bound<'_, PyAny>>) -> PyResult<PyDecision> {
        let (cost, key) = (or_one(&cost).map_err(costs)?, item::bytes(key, "key")?);
        Ok(self.decision(match moment(at, "at")? {
            Some(at) => self.limiter.allow_at(&*key, at, cost),
            None => self.limiter.allow(&*key, cost),
        }))
    }

    /// Let a cost of `key` through as soon as there is room for it.
    #[pyo3(
        signature = (key, cost = Given::NOTHING, *, timeout = None),
        text_signature = "($self, key, cost=1, *, timeout=None)"
    )]
    fn acquire<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        cost: Given<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        waits(slf, "acquire", (key, or_one(&cost).map_err(costs)?), timeout)
    }

    /// The same in asyncio.
    #[pyo3(
        signature = (key, cost = Given::NOTHING, *, timeout = None),
        text_signature = "($self, key, cost=1, *, timeout=None)"
    )]
    fn acquire_async<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        cost: Given<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        waits(slf, "acquire_async", (key, or_one(&cost).map_err(costs)?), timeout)
    }

    /// What `allow` would say, but with all that remains.
    #[pyo3(signature = (key, cost = Given::NOTHING, *, at = None), text_signature = "($self, key, cost=1, *, at=None)")]
    fn peek(&self, key: &Bound<'_, PyAny>, cost: Given<'_>, at: Option<&Bound<'_, PyAny>>) -> PyResult<PyDecision> {
        let (cost, key) = (or_one(&cost).map_err(costs)?, item::bytes(key, "key")?);
        Ok(self.decision(match moment(at, "at")? {
            Some(at) => self.limiter.peek_at(&*key, at, cost),
            None => self.limiter.peek(&*key, cost),
        }))
    }

    /// Forget what was let through of `key`.
    fn reset(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.limiter.reset(&*item::bytes(key, "key")?))
    }

    /// Drop every key that is as good as a new one.
    #[pyo3(signature = (*, at = None))]
    fn prune(&self, at: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        Ok(match moment(at, "at")? {
            Some(at) => self.limiter.prune_at(at),
            None => self.limiter.prune(),
        })
    }

    /// What the limiter holds and did.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let metrics = self.limiter.metrics();
        written::KEYED_METRICS.get(py)?.call1((
            metrics.keys,
            metrics.dropped,
            metrics.refused,
            metrics.unlimited,
            metrics.memory_bytes,
        ))
    }

    /// Change the rate; what was let through counts on.
    #[pyo3(
        signature = (limit, window = None, *, burst = None, at = None),
        text_signature = "($self, limit, window=None, *, burst=None, at=None)"
    )]
    fn set_rate(
        &self,
        limit: &Bound<'_, PyAny>,
        window: Option<&Bound<'_, PyAny>>,
        burst: Option<&Bound<'_, PyAny>>,
        at: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let parts = Parts { limit, window, burst, resolution: None, max_skew: None, clock: None };
        let (rates, burst) = (parts.rates()?, parts.burst()?);
        let at = moment(at, "at")?;
        let changed = limit.py().detach(|| match at {
            Some(at) => self.limiter.set_rate_at(at, rates, burst),
            None => self.limiter.set_rate(rates, burst),
        });
        changed.map_err(|error| Class::Limit.error(limit.py(), error))
    }

    /// All rates, as a text.
    #[getter]
    fn rate(&self) -> String {
        self.limiter.rates().to_string()
    }

    /// How much.
    #[getter]
    fn limit(&self) -> u64 {
        self.limiter.rate().limit()
    }

    /// In how many seconds.
    #[getter]
    fn window<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.limiter.rate().window())
    }

    /// The most keys there may be.
    #[getter]
    fn max_keys(&self) -> usize {
        self.limiter.max_keys()
    }

    fn __len__(&self) -> usize {
        self.limiter.len()
    }

    /// A limiter is there, also without a key.
    const fn __bool__(&self) -> bool {
        true
    }

    fn __sizeof__(&self) -> usize {
        self.limiter.metrics().memory_bytes as usize
    }

    fn __repr__(&self) -> String {
        format!("<hitring.KeyedLimiter of {} for each of {} keys>", self.limiter.rates(), self.limiter.len())
    }
}

/// What happens when there are as many keys as may be, by name.
pub fn when_full(value: &Bound<'_, PyAny>) -> PyResult<WhenKeysFull> {
    let Ok(name) = value.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!("when_full must be 'refuse' or 'allow', not {}", type_name(value))));
    };
    match &*name.to_cow()? {
        "refuse" => Ok(WhenKeysFull::Refuse),
        "allow" => Ok(WhenKeysFull::Allow),
        other => Err(Class::Limit
            .error(value.py(), format_args!("when_full cannot be {other:?}; choose \"refuse\" or \"allow\""))),
    }
}
