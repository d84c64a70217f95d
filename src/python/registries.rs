//! What the faces of `Registry` and of `SharedRegistry` have in common.
//!
//! Tests: `tests/python/unit`.

use std::time::Duration;

use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

use crate::cell::hits::Hits;
use crate::cell::outcome::Outcome;
use crate::error::{ConfigError, EndpointError, QueryError, SubscribeError};
use crate::events::{EventSet, Listener};
use crate::registry::{Metrics, Registry};
#[cfg(target_os = "linux")]
use crate::shared::SharedRegistry;
use crate::time::Timestamp;

/// A class of Python that is the face of a registry.
pub trait Face: PyClass<Frozen = True> + Sync {
    type Registry: Endpoints;

    fn registry(&self) -> &Self::Registry;

    /// The relative standard error of visitors' estimates.
    fn uniques_error(&self) -> f64;

    /// What Python raises for an endpoint that cannot be counted under.
    fn endpoint_error(&self, py: Python<'_>, error: &EndpointError) -> PyErr;
}

/// Declares [`Endpoints`], and implements it by the registries' own methods of the same names.
macro_rules! endpoints {
    ($(fn $method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// What both registries can do.
        pub trait Endpoints: Sync {
            $(fn $method(&self, $($argument: $type),*) -> $answer;)*

            /// Counts hits at `at`, or now, by `visitor` if there is one.
            #[inline(always)]
            fn record(
                &self,
                endpoint: &str,
                at: Option<Timestamp>,
                visitor: Option<&[u8]>,
                amount: u64,
            ) -> Result<Outcome, EndpointError> {
                match (at, visitor) {
                    (Some(at), None) => self.record_hit_at(endpoint, at, amount),
                    (None, None) => self.record_hit(endpoint, amount),
                    (Some(at), Some(visitor)) => self.record_visit_at(endpoint, visitor, at, amount),
                    (None, Some(visitor)) => self.record_visit(endpoint, visitor, amount),
                }
            }

            /// The hits of the `last` up to `at`, or now.
            #[inline(always)]
            fn hits(&self, endpoint: &str, at: Option<Timestamp>, last: Duration) -> Result<Hits, QueryError> {
                match at {
                    Some(at) => self.query_hits_at(endpoint, at, last),
                    None => self.query_hits(endpoint, last),
                }
            }
        }

        impl Endpoints for Registry {
            $(#[inline(always)]
            fn $method(&self, $($argument: $type),*) -> $answer {
                self.$method($($argument),*)
            })*
        }

        #[cfg(target_os = "linux")]
        impl Endpoints for SharedRegistry {
            $(#[inline(always)]
            fn $method(&self, $($argument: $type),*) -> $answer {
                self.$method($($argument),*)
            })*
        }
    };
}

endpoints! {
    fn record_hit(endpoint: &str, amount: u64) -> Result<Outcome, EndpointError>;
    fn record_hit_at(endpoint: &str, at: Timestamp, amount: u64) -> Result<Outcome, EndpointError>;
    fn record_visit(endpoint: &str, visitor: &[u8], amount: u64) -> Result<Outcome, EndpointError>;
    fn record_visit_at(endpoint: &str, visitor: &[u8], at: Timestamp, amount: u64) -> Result<Outcome, EndpointError>;
    fn query_hits(endpoint: &str, last: Duration) -> Result<Hits, QueryError>;
    fn query_hits_at(endpoint: &str, at: Timestamp, last: Duration) -> Result<Hits, QueryError>;
    fn query_uniques(endpoint: &str, last: Duration) -> Result<u64, QueryError>;
    fn query_uniques_at(endpoint: &str, at: Timestamp, last: Duration) -> Result<u64, QueryError>;
    fn total(last: Duration) -> Result<Hits, QueryError>;
    fn total_at(at: Timestamp, last: Duration) -> Result<Hits, QueryError>;
    fn total_where(
        at: Option<Timestamp>, last: Duration, wanted: &mut dyn FnMut(&str) -> bool
    ) -> Result<Hits, QueryError>;
    fn top(n: usize, last: Duration) -> Result<Vec<(String, Hits)>, QueryError>;
    fn top_at(n: usize, at: Timestamp, last: Duration) -> Result<Vec<(String, Hits)>, QueryError>;
    fn endpoints() -> Vec<String>;
    fn window() -> Duration;
    fn metrics() -> Metrics;
    fn listen(wants: EventSet, capacity: usize) -> Result<Listener, SubscribeError>;
    fn watch(pattern: &str, last: Duration, limit: u64) -> Result<u64, ConfigError>;
    fn unwatch(watch: u64) -> bool;
}
