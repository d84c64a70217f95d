//! `Registry`: each method converts, calls and converts.
//!
//! Only waiting for a disk (`save`, `load`) releases the GIL. Walks over all endpoints (`metrics`, `top`, `total`,
//! `snapshot`, `restore`, `merge`, `prune`) hold it, although a million endpoints take a tenth of a second: they hold locks
//! of the registry too, and if another thread forked the process meanwhile, the child would wait for those for ever. Without
//! a GIL the registry is what keeps threads apart.
//!
//! Tests: `tests/python/unit/test_registry.py`, `tests/python/unit/test_registry_properties.py`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::cell::hits::Hits;
use crate::error::{ConfigError, EndpointError};
use crate::python::clock::deepcopy;
use crate::python::configured::{configured, number, slots, when_full, when_full_name, within};
use crate::python::counter::PyCounter;
use crate::python::endpoint::name;
use crate::python::errors::{self, Class};
use crate::python::events;
use crate::python::exchange::{self, Configuration};
use crate::python::given::Given;
use crate::python::hits;
use crate::python::number::type_name;
use crate::python::registries::{Endpoints, Face};
use crate::python::registry_methods::{self, methods};
use crate::python::strategy::{self, shape, strategy};
use crate::python::time::{moment, seconds};
use crate::python::written;
use crate::registry::Registry;
use crate::time::Timestamp;

/// Counts hits by endpoint.
#[pyclass(frozen, weakref, module = "hitring", name = "Registry")]
#[derive(Debug)]
pub struct PyRegistry {
    pub registry: Registry,
    /// The clock that was given.
    pub clock: Option<Py<PyAny>>,
}

impl PyRegistry {
    /// The hits of some endpoints, each once. Looks each name up, so that a pruned name raises `WindowExpired` instead of
    /// counting as 0.
    fn total_of(&self, endpoints: &Bound<'_, PyAny>, (past, at): (Duration, Option<Timestamp>)) -> PyResult<Hits> {
        let py = endpoints.py();
        let not_names = || {
            PyTypeError::new_err(format!(
                "endpoints must be an iterable of names, not {}; for those that begin alike give prefix",
                type_name(endpoints)
            ))
        };
        if endpoints.is_instance_of::<PyString>() || endpoints.is_instance_of::<PyBytes>() {
            return Err(not_names());
        }
        let mut names = BTreeSet::new();
        for (index, endpoint) in endpoints.try_iter().map_err(|_| not_names())?.enumerate() {
            names.insert(name(&endpoint?, &format!("endpoints[{index}]"))?.into_owned());
        }
        let mut total = Hits::NONE;
        for name in names {
            let hits = self.registry.hits(&name, at, past);
            total = total.plus(hits.map_err(|error| errors::query(py, &error))?);
        }
        Ok(total)
    }
}

impl Face for PyRegistry {
    type Registry = Registry;

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn uniques_error(&self) -> f64 {
        self.registry.uniques_error()
    }

    fn endpoint_error(&self, py: Python<'_>, error: &EndpointError) -> PyErr {
        errors::endpoint(py, error)
    }
}

methods!(impl PyRegistry {
    #[new]
    #[pyo3(
        signature = (
            window = Given::NOTHING, *, resolution = Given::NOTHING, slack = Given::NOTHING,
            strategy = Given::NOTHING, max_endpoints = Given::NOTHING, when_full = Given::NOTHING,
            precision = Given::NOTHING, max_skew = None, clock = None,
        ),
        text_signature = "(window=300, *, resolution=1, slack=20, strategy='ring', max_endpoints=100000, \
            when_full='refuse', precision=14, max_skew=None, clock=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they are Python's, by name")]
    fn new(
        py: Python<'_>,
        window: Given<'_>,
        resolution: Given<'_>,
        slack: Given<'_>,
        strategy: Given<'_>,
        max_endpoints: Given<'_>,
        when_full: Given<'_>,
        precision: Given<'_>,
        max_skew: Option<Bound<'_, PyAny>>,
        clock: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut builder = Registry::builder();
        if let Some(window) = window.0 {
            builder = builder.window(configured(&window, "window")?);
        }
        if let Some(resolution) = resolution.0 {
            builder = builder.resolution(configured(&resolution, "resolution")?);
        }
        if let Some(given) = slack.0 {
            builder = builder.slack(slots(&given)?);
        }
        if let Some(given) = strategy.0 {
            builder = builder.strategy(self::strategy(&given)?);
        }
        if let Some(given) = max_endpoints.0 {
            builder = builder.max_endpoints(number(&given, "max_endpoints")?);
        }
        if let Some(given) = when_full.0 {
            builder = builder.when_full(self::when_full(&given)?);
        }
        if let Some(given) = precision.0 {
            builder = builder.precision(within(&given, "precision", 4..=18)? as u8);
        }
        if let Some(max_skew) = max_skew {
            builder = builder.max_skew(configured(&max_skew, "max_skew")?);
        }
        let registry = exchange::build(py, builder, clock.as_ref())?;
        Ok(Self { registry, clock: clock.map(Bound::unbind) })
    }

    /// How many different visitors `endpoint` ever had.
    fn uniques_ever<'py>(&self, endpoint: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let ever = self.registry.uniques_ever(&name(endpoint, "endpoint")?);
        hits::estimate(endpoint.py(), ever, self.registry.uniques_error())
    }

    /// A handle of `endpoint`, which is made if it does not exist.
    #[pyo3(signature = (endpoint, strategy = None))]
    fn counter(&self, endpoint: &Bound<'_, PyAny>, strategy: Option<&Bound<'_, PyAny>>) -> PyResult<PyCounter> {
        let (py, endpoint) = (endpoint.py(), name(endpoint, "endpoint")?);
        let handle = match strategy {
            Some(given) => self.registry.counter_with(&endpoint, &self::strategy(given)?),
            None => self.registry.counter(&endpoint),
        };
        let handle = handle.map_err(|error| errors::endpoint(py, &error))?;
        let (window, error) = (self.registry.window(), self.registry.uniques_error());
        Ok(PyCounter { handle, window, error })
    }

    /// The hits of all endpoints, or of some, in the `last_seconds` up to `at`, or now.
    #[pyo3(signature = (last_seconds = None, *, prefix = None, endpoints = None, at = None))]
    fn total<'py>(
        &self,
        py: Python<'py>,
        last_seconds: Option<&Bound<'py, PyAny>>,
        prefix: Option<&Bound<'py, PyAny>>,
        endpoints: Option<&Bound<'py, PyAny>>,
        at: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let asked = registry_methods::asked(self, last_seconds, at)?;
        match (prefix, endpoints) {
            (Some(_), Some(_)) => Err(PyTypeError::new_err("give prefix or endpoints, not both")),
            (None, Some(endpoints)) => hits::number(py, self.total_of(endpoints, asked)?),
            (prefix, None) => registry_methods::total(self, py, asked, prefix),
        }
    }

    /// Remove an endpoint with its hits.
    fn remove(&self, endpoint: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.registry.remove(&name(endpoint, "endpoint")?))
    }

    /// Remove every endpoint.
    fn clear(&self) {
        self.registry.clear();
    }

    /// Let `strategy` take the hits of all endpoints, or of one.
    #[pyo3(signature = (strategy, endpoint = None))]
    fn swap_strategy(&self, strategy: &Bound<'_, PyAny>, endpoint: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let (py, strategy) = (strategy.py(), self::strategy(strategy)?);
        let config = |error: ConfigError| Class::Config.error(py, error);
        match endpoint {
            Some(given) => {
                let endpoint = name(given, "endpoint")?;
                self.registry.swap_endpoint(&endpoint, &strategy).map(usize::from).map_err(config)
            }
            None => self.registry.swap_strategy(&strategy).map_err(config),
        }
    }

    /// The strategy of an endpoint, what takes its hits, and why.
    fn strategy_of<'py>(&self, endpoint: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = endpoint.py();
        let Some((strategy, shape)) = self.registry.strategy_of(&name(endpoint, "endpoint")?) else {
            return Ok(None);
        };
        let (shape, why) = self::shape(shape);
        written::STRATEGY_OF.get(py)?.call1((strategy::text(&strategy), shape, why)).map(Some)
    }

    /// Drop every endpoint whose hits have all left the window.
    #[pyo3(signature = (now = None))]
    fn prune(&self, now: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        Ok(match moment(now, "now")? {
            Some(now) => self.registry.prune_at(now),
            None => self.registry.prune(),
        })
    }

    /// Replace everything by a snapshot.
    fn restore(&self, snapshot: &Bound<'_, PyAny>) -> PyResult<()> {
        exchange::take_in(snapshot, |snapshot| self.registry.restore(snapshot))
    }

    /// Add the hits of another registry's snapshot.
    fn merge(&self, snapshot: &Bound<'_, PyAny>) -> PyResult<u64> {
        exchange::take_in(snapshot, |snapshot| self.registry.merge(snapshot))
    }

    /// Write a snapshot to a file.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        exchange::save(py, &self.registry, path)
    }

    /// Restore the snapshot in a file.
    fn load(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        exchange::load(py, &self.registry, path)
    }

    /// The strategy of new endpoints, by name.
    #[getter(strategy)]
    fn its_strategy(&self) -> String {
        strategy::text(&self.registry.strategy())
    }

    /// The most endpoints there may be.
    #[getter]
    fn max_endpoints(&self) -> usize {
        self.registry.max_endpoints()
    }

    /// What happens when there are as many.
    #[getter(when_full)]
    fn when_it_is_full(&self) -> &'static str {
        when_full_name(self.registry.when_full())
    }

    /// How far ahead of the clock a hit may be stamped, in seconds; None if that is not checked.
    #[getter]
    fn max_skew<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.registry.max_skew().map(|skew| seconds(py, skew)).transpose()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (registry, defaults) = (&self.registry, Registry::new());
        let mut repr = format!("Registry(window={}", self.window(py)?.repr()?);
        // Writing to a String does not fail.
        if registry.resolution() != defaults.resolution() {
            let _ = write!(repr, ", resolution={}", self.resolution(py)?.repr()?);
        }
        if registry.slack() != defaults.slack() {
            let _ = write!(repr, ", slack={}", self.slack());
        }
        if registry.strategy() != defaults.strategy() {
            let _ = write!(repr, ", strategy='{}'", self.its_strategy());
        }
        if registry.max_endpoints() != defaults.max_endpoints() {
            let _ = write!(repr, ", max_endpoints={}", self.max_endpoints());
        }
        if registry.when_full() != defaults.when_full() {
            let _ = write!(repr, ", when_full='{}'", self.when_it_is_full());
        }
        let by_default = self.clock.as_ref().map(|_| registry.resolution() * registry.slack());
        if let Some(max_skew) = registry.max_skew().filter(|&skew| Some(skew) != by_default) {
            let _ = write!(repr, ", max_skew={}", seconds(py, max_skew)?.repr()?);
        }
        if let Some(clock) = &self.clock {
            let _ = write!(repr, ", clock={}", clock.bind(py).repr()?);
        }
        repr.push(')');
        Ok(repr)
    }

    fn __sizeof__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let object: usize = slf.get_type().getattr("__basicsize__")?.extract()?;
        Ok(object + slf.get().registry.metrics().memory_bytes as usize)
    }

    /// The same configuration, clock and hits; it counts on by itself.
    fn __copy__(&self, py: Python<'_>) -> Self {
        Self { registry: self.registry.clone(), clock: self.clock.as_ref().map(|clock| clock.clone_ref(py)) }
    }

    /// As `__copy__`, with a copy of the clock.
    fn __deepcopy__(&self, memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = memo.py();
        let clock = deepcopy(self.clock.as_ref(), memo)?;
        let registry = exchange::copy(py, &self.registry, clock.as_ref())?;
        Ok(Self { registry, clock: clock.map(Bound::unbind) })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        exchange::reduce(&self.registry, self.clock.as_ref(), py)
    }
});

/// The registry that was pickled.
#[pyfunction]
pub fn _restore_registry(
    py: Python<'_>,
    configuration: Configuration,
    clock: Option<Bound<'_, PyAny>>,
    snapshot: &Bound<'_, PyAny>,
) -> PyResult<PyRegistry> {
    let registry = exchange::restored(py, configuration, clock.as_ref(), snapshot)?;
    Ok(PyRegistry { registry, clock: clock.map(Bound::unbind) })
}

/// The process's registry.
#[pyfunction]
pub fn default_registry(py: Python<'_>) -> PyResult<Py<PyRegistry>> {
    static DEFAULT: PyOnceLock<Py<PyRegistry>> = PyOnceLock::new();
    let made = DEFAULT.get_or_try_init(py, || Py::new(py, PyRegistry { registry: Registry::new(), clock: None }))?;
    Ok(made.clone_ref(py))
}
