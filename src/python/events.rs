//! What a subscription's thread waits for: the events of a registry, as a name and a dict.
//!
//! The thread and the calls are Python's (`hitring/_events.py`). Waiting is all that it does here, with the GIL released:
//! a recorder never waits for it, and nothing that a forked child needs is locked meanwhile.
//!
//! | a listener ends | by |
//! |---|---|
//! | at once | `close` |
//! | when what waits is told | the end of the registry and of its counters |
//! | | a fork, in the child |

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyWeakrefMethods, PyWeakrefReference};

use crate::events::{self, Event, EventKind, EventSet, Received};
use crate::python::endpoint::text;
use crate::python::errors::Class;
use crate::python::number::type_name;
use crate::python::registry::PyRegistry;
#[cfg(target_os = "linux")]
use crate::python::shared::PySharedRegistry;
use crate::python::time::seconds;
use crate::registry::Metrics;

/// A queue of events, iterated over by the thread that calls back.
#[pyclass(frozen, module = "hitring._hitring", name = "_Listener")]
#[derive(Debug)]
pub struct Listener {
    listener: events::Listener,
    /// Weak, or the thread would keep what it waits for alive for ever.
    registry: Py<PyWeakrefReference>,
    /// The threshold whose crossings are wanted alone.
    watch: Option<u64>,
}

impl Listener {
    /// `registry` is a `Registry` or a `SharedRegistry`.
    pub fn new(registry: &Bound<'_, PyAny>, listener: events::Listener, watch: Option<u64>) -> PyResult<Self> {
        Ok(Self { listener, registry: PyWeakrefReference::new(registry)?.unbind(), watch })
    }

    fn registry<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.registry.bind(py).upgrade()
    }

    /// What the registry holds, if there still is one.
    fn metrics(&self, py: Python<'_>) -> Option<Metrics> {
        let registry = self.registry(py)?;
        #[cfg(target_os = "linux")]
        if let Ok(shared) = registry.cast::<PySharedRegistry>() {
            return Some(shared.get().registry.metrics());
        }
        Some(registry.cast::<PyRegistry>().ok()?.get().registry.metrics())
    }

    fn unwatch(&self, py: Python<'_>, watch: u64) {
        let Some(registry) = self.registry(py) else { return };
        #[cfg(target_os = "linux")]
        if let Ok(shared) = registry.cast::<PySharedRegistry>() {
            shared.get().registry.unwatch(watch);
        }
        if let Ok(registry) = registry.cast::<PyRegistry>() {
            registry.get().registry.unwatch(watch);
        }
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
                    let Some(metrics) = self.metrics(py) else { continue };
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
            self.unwatch(py, watch);
        }
    }

    /// How many events were dropped because the queue was full.
    #[getter]
    fn dropped(&self) -> u64 {
        self.listener.dropped()
    }
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
/// `TypeError` or `ConfigError` for what is no name of an event.
pub fn kinds(events: Option<&Bound<'_, PyAny>>) -> PyResult<EventSet> {
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
pub fn callable(callback: &Bound<'_, PyAny>) -> PyResult<()> {
    if callback.is_callable() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "callback must be callable with an event's name and its fields, not {}",
        type_name(callback)
    )))
}
