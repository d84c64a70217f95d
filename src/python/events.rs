//! What a subscription's thread waits for: the events of a registry, as a name and a dict.
//!
//! The thread and the calls are Python's (`hitring/_events.py`). The thread only waits here, with the GIL released. So a
//! recorder never waits for it, and a lock that a forked child needs is not held meanwhile.
//!
//! | a listener ends | by |
//! |---|---|
//! | at once | `close` |
//! | once it has received all waiting events | the end of the registry and of its counters |
//! | | a fork, in the child |
//!
//! Tests: `tests/python/unit/test_events.py`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyWeakrefMethods, PyWeakrefReference};

use crate::events::{self, Event, EventKind, EventSet, Received};
use crate::python::configured::{configured, number};
use crate::python::endpoint::{name, text};
use crate::python::errors::Class;
use crate::python::given::Given;
use crate::python::number::type_name;
use crate::python::registries::{Endpoints, Face};
use crate::python::time::seconds;

/// How many events wait for a subscriber by default.
const CAPACITY: usize = 1_024;

/// A queue of events, iterated over by the thread that calls back.
#[pyclass(frozen, module = "hitring._hitring", name = "_Listener")]
#[derive(Debug)]
pub struct Listener {
    listener: events::Listener,
    /// Weak, or the thread would keep what it waits for alive for ever.
    registry: Py<PyWeakrefReference>,
    /// The registry that an object of the registry's class is the face of.
    registry_of: RegistryOf,
    /// The threshold whose crossings are wanted alone.
    watch: Option<u64>,
}

type RegistryOf = for<'a, 'py> fn(&'a Bound<'py, PyAny>) -> Option<&'a dyn Endpoints>;

impl Listener {
    fn new<F: Face>(face: &Bound<'_, F>, listener: events::Listener, watch: Option<u64>) -> PyResult<Self> {
        let registry = PyWeakrefReference::new(face.as_any())?.unbind();
        Ok(Self { listener, registry, registry_of: |face| Some(face.cast::<F>().ok()?.get().registry()), watch })
    }

    /// What `ask` answers of the registry, if there still is one.
    fn ask<R>(&self, py: Python<'_>, ask: impl FnOnce(&dyn Endpoints) -> R) -> Option<R> {
        let face = self.registry.bind(py).upgrade()?;
        (self.registry_of)(&face).map(ask)
    }

    fn wants(&self, event: &Event) -> bool {
        match (self.watch, event) {
            (Some(wanted), Event::ThresholdCrossed { watch, .. }) => wanted == *watch,
            _ => true,
        }
    }
}

#[pymethods]
impl Listener {
    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The next event's name and fields; the iteration ends when there will be none.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(&'static str, Bound<'py, PyDict>)>> {
        loop {
            match py.detach(|| self.listener.recv()) {
                Received::Event(event) if self.wants(&event) => {
                    return Ok(Some((event.kind().name(), fields(py, &event)?)));
                }
                Received::MetricsDue => {
                    let Some(metrics) = self.ask(py, |registry| registry.metrics()) else { continue };
                    let (total_hits, memory_entries) = (metrics.total_hits, metrics.memory_entries);
                    let event = Event::MetricsUpdated { total_hits, memory_entries };
                    return Ok(Some((event.kind().name(), fields(py, &event)?)));
                }
                Received::Event(_) | Received::Idle => {}
                Received::Closed => return Ok(None),
            }
        }
    }

    /// Listen no more.
    fn close(&self, py: Python<'_>) {
        self.listener.close();
        if let Some(watch) = self.watch {
            self.ask(py, |registry| registry.unwatch(watch));
        }
    }

    /// How many events were dropped because the queue was full.
    #[getter]
    fn dropped(&self) -> u64 {
        self.listener.dropped()
    }
}

/// Calls `callback` with every event of the kinds that `events` names.
pub fn subscribe<'py, F: Face>(
    face: &Bound<'py, F>,
    callback: &Bound<'py, PyAny>,
    events: Option<&Bound<'py, PyAny>>,
    capacity: &Given<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    callable(callback)?;
    let capacity = capacity.0.as_ref().map_or(Ok(CAPACITY), |capacity| number(capacity, "capacity"))?;
    subscription(face, kinds(events)?, capacity, None, callback)
}

/// Calls `callback` when the hits of an endpoint reach `limit`.
pub fn on_threshold<'py, F: Face>(
    face: &Bound<'py, F>,
    endpoint_or_glob: &Bound<'py, PyAny>,
    last_seconds: &Bound<'py, PyAny>,
    limit: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    callable(callback)?;
    let (py, registry) = (face.py(), face.get().registry());
    let pattern = name(endpoint_or_glob, "endpoint_or_glob")?;
    let last = configured(last_seconds, "last_seconds")?;
    let watch = registry.watch(&pattern, last, number(limit, "limit")? as u64);
    let watch = watch.map_err(|error| Class::Config.error(py, error))?;
    subscription(face, EventKind::ThresholdCrossed.into(), CAPACITY, Some(watch), callback)
        .inspect_err(|_| _ = registry.unwatch(watch))
}

/// A thread that calls `callback` with what it hears.
fn subscription<'py, F: Face>(
    face: &Bound<'py, F>,
    kinds: EventSet,
    capacity: usize,
    watch: Option<u64>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = face.py();
    let listener = face.get().registry().listen(kinds, capacity);
    let listener = listener.map_err(|error| Class::Config.error(py, error))?;
    let listener = Bound::new(py, Listener::new(face, listener, watch)?)?;
    py.import("hitring._events")?.getattr("Subscription")?.call1((listener, callback))
}

/// What an event tells.
fn fields<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    match event {
        Event::HitRecorded { endpoint, at, amount } => {
            fields.set_item("endpoint", &**endpoint)?;
            fields.set_item("ts", seconds(py, at.as_duration())?)?;
            fields.set_item("amount", amount)?;
        }
        Event::Pruned { endpoint, removed } => {
            fields.set_item("endpoint", &**endpoint)?;
            fields.set_item("removed", removed)?;
        }
        Event::StrategySwapped { endpoint, old, new } => {
            fields.set_item("old", old)?;
            fields.set_item("new", new)?;
            fields.set_item("endpoint", endpoint.as_deref())?;
        }
        Event::SnapshotTaken { endpoints_count } => fields.set_item("endpoints_count", endpoints_count)?,
        Event::SnapshotRestored => {}
        Event::MetricsUpdated { total_hits, memory_entries } => {
            fields.set_item("total_hits", total_hits)?;
            fields.set_item("memory_entries", memory_entries)?;
        }
        Event::ThresholdCrossed { endpoint, hits, limit, last, .. } => {
            fields.set_item("endpoint", &**endpoint)?;
            fields.set_item("hits", hits)?;
            fields.set_item("limit", limit)?;
            fields.set_item("last", seconds(py, *last)?)?;
        }
        Event::EndpointCreated { endpoint } | Event::EndpointRefused { endpoint } => {
            fields.set_item("endpoint", &**endpoint)?;
        }
    }
    Ok(fields)
}

/// The kinds that `events` names: all of them if it is `None`, one if it is a name.
///
/// # Errors
/// `TypeError` if `events` is not text or an iterable of texts, `ConfigError` for a text that does not name an event.
fn kinds(events: Option<&Bound<'_, PyAny>>) -> PyResult<EventSet> {
    let Some(events) = events else { return Ok(EventSet::ALL) };
    let kind = |name: &Bound<'_, PyAny>| -> PyResult<EventKind> {
        text(name, "an event's name")?.parse().map_err(|error| Class::Config.error(name.py(), error))
    };
    if events.is_instance_of::<PyString>() {
        return Ok(kind(events)?.into());
    }
    let names = events.try_iter().map_err(|_| {
        PyTypeError::new_err(format!("events must be names of events, or None for all, not {}", type_name(events)))
    })?;
    let mut kinds = EventSet::NONE;
    for name in names {
        kinds = kinds.union(kind(&name?)?.into());
    }
    Ok(kinds)
}

/// # Errors
/// `TypeError` unless `callback` can be called.
fn callable(callback: &Bound<'_, PyAny>) -> PyResult<()> {
    if callback.is_callable() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "callback must be callable with an event's name and its fields, not {}",
        type_name(callback)
    )))
}
