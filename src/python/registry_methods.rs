//! The methods that `Registry` and `SharedRegistry` have in common: each converts, calls and converts.
//!
//! Tests: `tests/python/unit`.

use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList};

use crate::python::configured::{last, number};
use crate::python::endpoint::{name, text};
use crate::python::errors;
use crate::python::given::Given;
use crate::python::hits;
use crate::python::item;
use crate::python::number::or_one;
use crate::python::outcome::member;
use crate::python::registries::{Endpoints, Face};
use crate::python::time::moment;
use crate::python::written;
use crate::registry::Metrics;
use crate::time::Timestamp;

/// Makes the methods of a class: its own, and after them those that both classes have.
macro_rules! methods {
    (impl $class:ident { $($own:tt)* }) => {
        #[pymethods]
        impl $class {
            $($own)*

            /// Count `amount` hits of `endpoint` at `timestamp`, or now, by `visitor` if one is given.
            #[pyo3(
                signature = (endpoint, timestamp = None, amount = Given::NOTHING, *, visitor = None),
                text_signature = "($self, endpoint, timestamp=None, amount=1, *, visitor=None)"
            )]
            fn record_hit<'py>(
                &self,
                endpoint: &Bound<'py, PyAny>,
                timestamp: Option<&Bound<'py, PyAny>>,
                amount: Given<'_>,
                visitor: Option<&Bound<'py, PyAny>>,
            ) -> PyResult<Bound<'py, PyAny>> {
                registry_methods::record_hit(self, endpoint, timestamp, &amount, visitor)
            }

            /// Count the calls of a function, or the entries of a block.
            #[pyo3(
                signature = (endpoint, amount = Given::NOTHING),
                text_signature = "($self, endpoint, amount=1)"
            )]
            fn count<'py>(
                slf: &Bound<'py, Self>,
                endpoint: &Bound<'py, PyAny>,
                amount: Given<'py>,
            ) -> PyResult<Bound<'py, PyAny>> {
                registry_methods::count(slf, endpoint, &amount)
            }

            /// The counter of the endpoint `name` with these labels.
            #[pyo3(signature = (name, /, **labels))]
            fn labels<'py>(
                slf: &Bound<'py, Self>,
                name: &Bound<'py, PyAny>,
                labels: Option<&Bound<'py, pyo3::types::PyDict>>,
            ) -> PyResult<Bound<'py, PyAny>> {
                registry_methods::labels(slf, name, labels)
            }

            /// What it holds, in the text format of Prometheus.
            fn to_prometheus<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                written::TO_PROMETHEUS.get(slf.py())?.call1((slf,))
            }

            /// What it holds, in OpenMetrics.
            fn to_openmetrics<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                written::TO_OPENMETRICS.get(slf.py())?.call1((slf,))
            }

            /// The hits of `endpoint` in the `last_seconds` up to `at`, or now.
            #[pyo3(signature = (endpoint, last_seconds = None, at = None))]
            fn query_hits<'py>(
                &self,
                endpoint: &Bound<'py, PyAny>,
                last_seconds: Option<&Bound<'py, PyAny>>,
                at: Option<&Bound<'py, PyAny>>,
            ) -> PyResult<Bound<'py, PyAny>> {
                registry_methods::query_hits(self, endpoint, last_seconds, at)
            }

            /// How many different visitors `endpoint` had in the `last_seconds` up to `at`, or now.
            #[pyo3(signature = (endpoint, last_seconds = None, at = None))]
            fn query_uniques<'py>(
                &self,
                endpoint: &Bound<'py, PyAny>,
                last_seconds: Option<&Bound<'py, PyAny>>,
                at: Option<&Bound<'py, PyAny>>,
            ) -> PyResult<Bound<'py, PyAny>> {
                registry_methods::query_uniques(self, endpoint, last_seconds, at)
            }

            /// The `n` endpoints with the most hits in the `last_seconds` up to `at`, or now.
            #[pyo3(signature = (n, last_seconds = None, at = None))]
            fn top<'py>(
                &self,
                n: &Bound<'py, PyAny>,
                last_seconds: Option<&Bound<'py, PyAny>>,
                at: Option<&Bound<'py, PyAny>>,
            ) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
                registry_methods::top(self, n, last_seconds, at)
            }

            /// The names of all endpoints, in order.
            fn endpoints(&self) -> Vec<String> {
                self.registry.endpoints()
            }

            fn __contains__(&self, endpoint: &Bound<'_, PyAny>) -> PyResult<bool> {
                Ok(self.registry.contains(&name(endpoint, "endpoint")?))
            }

            fn __len__(&self) -> usize {
                self.registry.len()
            }

            /// A registry is there, also without an endpoint.
            const fn __bool__(&self) -> bool {
                true
            }

            fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyIterator>> {
                registry_methods::iterate(self, py)
            }

            /// What the registry has done and holds.
            fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                registry_methods::metrics(py, self.registry.metrics())
            }

            /// Call `callback` with every event of the kinds in `events`.
            #[pyo3(
                signature = (callback, events = None, *, capacity = Given::NOTHING),
                text_signature = "($self, callback, events=None, *, capacity=1024)"
            )]
            fn subscribe<'py>(
                slf: &Bound<'py, Self>,
                callback: &Bound<'py, PyAny>,
                events: Option<&Bound<'py, PyAny>>,
                capacity: Given<'_>,
            ) -> PyResult<Bound<'py, PyAny>> {
                events::subscribe(slf, callback, events, &capacity)
            }

            /// Call `callback` when the hits of an endpoint reach `limit`.
            fn on_threshold<'py>(
                slf: &Bound<'py, Self>,
                endpoint_or_glob: &Bound<'py, PyAny>,
                last_seconds: &Bound<'py, PyAny>,
                limit: &Bound<'py, PyAny>,
                callback: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                events::on_threshold(slf, endpoint_or_glob, last_seconds, limit, callback)
            }

            /// What the registry holds, as bytes that can be restored and merged.
            fn snapshot<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
                PyBytes::new(py, &self.registry.snapshot().to_bytes())
            }

            /// The longest span that can be asked for, in seconds.
            #[getter]
            fn window<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                seconds(py, self.registry.window())
            }

            /// The width of a tick, in seconds.
            #[getter]
            fn resolution<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                seconds(py, self.registry.resolution())
            }

            /// How many slots there are beyond the window.
            #[getter]
            fn slack(&self) -> u32 {
                self.registry.slack()
            }

            /// The clock that was given.
            #[getter(clock)]
            fn its_clock<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
                self.clock.as_ref().map(|clock| clock.bind(py).clone())
            }
        }
    };
}
pub(crate) use methods;

pub fn record_hit<'py>(
    face: &impl Face,
    endpoint: &Bound<'py, PyAny>,
    timestamp: Option<&Bound<'py, PyAny>>,
    amount: &Given<'_>,
    visitor: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (at, amount) = (moment(timestamp, "timestamp")?, or_one(amount)?);
    let visitor = visitor.map(|visitor| item::bytes(visitor, "visitor")).transpose()?;
    let (py, endpoint) = (endpoint.py(), name(endpoint, "endpoint")?);
    let outcome = face.registry().record(&endpoint, at, visitor.as_deref(), amount);
    Ok(member(py, outcome.map_err(|error| face.endpoint_error(py, &error))?))
}

/// Counts the calls of what it decorates, or the entries of its block.
pub fn count<'py, F: Face>(
    face: &Bound<'py, F>,
    endpoint: &Bound<'py, PyAny>,
    amount: &Given<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let endpoint = name(endpoint, "endpoint")?;
    written::COUNTED.get(face.py())?.call1((face, &*endpoint, or_one(amount)?))
}

/// The counter of the endpoint that has these labels in its name.
pub fn labels<'py, F: Face>(
    face: &Bound<'py, F>,
    name: &Bound<'py, PyAny>,
    labels: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, name) = (face.py(), text(name, "name")?);
    let endpoint = written::LABELLED.get(py)?.call((&*name,), labels)?;
    face.as_any().call_method1(intern!(py, "counter"), (endpoint,))
}

pub fn query_hits<'py>(
    face: &impl Face,
    endpoint: &Bound<'py, PyAny>,
    last_seconds: Option<&Bound<'py, PyAny>>,
    at: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (past, at) = asked(face, last_seconds, at)?;
    let (py, endpoint) = (endpoint.py(), name(endpoint, "endpoint")?);
    hits::answer(py, face.registry().hits(&endpoint, at, past))
}

pub fn query_uniques<'py>(
    face: &impl Face,
    endpoint: &Bound<'py, PyAny>,
    last_seconds: Option<&Bound<'py, PyAny>>,
    at: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (past, at) = asked(face, last_seconds, at)?;
    let (py, endpoint, registry) = (endpoint.py(), name(endpoint, "endpoint")?, face.registry());
    let count = match at {
        Some(at) => registry.query_uniques_at(&endpoint, at, past),
        None => registry.query_uniques(&endpoint, past),
    };
    hits::estimate(py, count.map_err(|error| errors::query(py, &error))?, face.uniques_error())
}

pub fn top<'py>(
    face: &impl Face,
    n: &Bound<'py, PyAny>,
    last_seconds: Option<&Bound<'py, PyAny>>,
    at: Option<&Bound<'py, PyAny>>,
) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
    let (py, n, registry) = (n.py(), number(n, "n")?, face.registry());
    let top = match asked(face, last_seconds, at)? {
        (past, Some(at)) => registry.top_at(n, at, past),
        (past, None) => registry.top(n, past),
    };
    let top = top.map_err(|error| errors::query(py, &error))?;
    top.into_iter().map(|(name, hits)| Ok((name, hits::number(py, hits)?))).collect()
}

/// The hits of all endpoints, or of those whose names begin with `prefix`.
pub fn total<'py>(
    face: &impl Face,
    py: Python<'py>,
    (past, at): (Duration, Option<Timestamp>),
    prefix: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let registry = face.registry();
    let total = match (prefix, at) {
        (Some(prefix), at) => {
            let prefix = text(prefix, "prefix")?;
            registry.total_where(at, past, &mut |name| name.starts_with(&*prefix))
        }
        (None, Some(at)) => registry.total_at(at, past),
        (None, None) => registry.total(past),
    };
    hits::answer(py, total)
}

pub fn iterate<'py>(face: &impl Face, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
    PyList::new(py, face.registry().endpoints())?.try_iter()
}

/// How much of the past is asked for, and up to when; `None` is now.
pub fn asked(
    face: &impl Face,
    last_seconds: Option<&Bound<'_, PyAny>>,
    at: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Duration, Option<Timestamp>)> {
    Ok((last(last_seconds, "last_seconds", face.registry().window())?, moment(at, "at")?))
}

/// `metrics` as Python has them.
pub fn metrics(py: Python<'_>, metrics: Metrics) -> PyResult<Bound<'_, PyAny>> {
    let Metrics {
        total_hits,
        endpoints_count,
        pruned_events,
        pruned_endpoints,
        memory_entries,
        memory_bytes,
        strategy,
        late,
        future,
        saturated,
        refused,
        dropped_events,
    } = metrics;
    let held = (total_hits, endpoints_count, pruned_events, pruned_endpoints, memory_entries, memory_bytes);
    let rest = (strategy, late, future, saturated, refused, dropped_events);
    let fields = held.into_pyobject(py)?.into_sequence().concat(rest.into_pyobject(py)?.as_sequence())?;
    written::METRICS.get(py)?.call1(fields.to_tuple()?)
}
