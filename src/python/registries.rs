//! What the faces of `Registry` and of `SharedRegistry` have in common.

use std::time::Duration;

use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

use crate::error::{ConfigError, SubscribeError};
use crate::events::{EventSet, Listener};
use crate::registry::{Metrics, Registry};
#[cfg(target_os = "linux")]
use crate::shared::SharedRegistry;

/// A class of Python that is the face of a registry.
pub trait Face: PyClass<Frozen = True> + Sync {
    type Registry: Endpoints;

    fn registry(&self) -> &Self::Registry;
}

/// Declares [`Endpoints`], and implements it by the registries' own methods of the same names.
macro_rules! endpoints {
    ($(fn $method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// What both registries can do.
        pub trait Endpoints: Sync {
            $(fn $method(&self, $($argument: $type),*) -> $answer;)*
        }

        impl Endpoints for Registry {
            $(fn $method(&self, $($argument: $type),*) -> $answer {
                self.$method($($argument),*)
            })*
        }

        #[cfg(target_os = "linux")]
        impl Endpoints for SharedRegistry {
            $(fn $method(&self, $($argument: $type),*) -> $answer {
                self.$method($($argument),*)
            })*
        }
    };
}

endpoints! {
    fn metrics() -> Metrics;
    fn listen(wants: EventSet, capacity: usize) -> Result<Listener, SubscribeError>;
    fn watch(pattern: &str, last: Duration, limit: u64) -> Result<u64, ConfigError>;
    fn unwatch(watch: u64) -> bool;
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
    py.import("hitring._metrics")?.getattr("Metrics")?.call1(fields.to_tuple()?)
}
