//! [`Registry`]: a counter for each endpoint.
//!
//! ```text
//! Registry, Handle --> Core -- map: name --> Endpoint --> Generation (ring, stripes, log, registers, cells)
//!                        |---- clock, geometry, events
//!                        +---- ledger: replica, epoch, what was removed, totals        (rare, one lock)
//! ```
//!
//! | file | concept |
//! |---|---|
//! | `map` | names and endpoints, and the guard under which they are read |
//! | `snapshot`, `written` | the contents of a registry, as bytes; its cells, to be read |
//! | `replicas`, `ledger`, `graves`, `aging` | parts of the state: the totals of other replicas; the replica that counts here; the removals; the idle endpoints |
//! | `state` | the parts of a registry |
//! | `create` | making endpoints |
//! | `record`, `query`, `change`, `prune`, `remove` | the operations on it |
//! | `metrics` | [`Metrics`], and the totals of all that was ever counted |
//! | `exchange` | snapshot, restore, merge, clone |
//! | `visitors` | different visitors of an endpoint |
//! | `watch` | events and thresholds |
//! | `handle` | [`Handle`]: one endpoint without looking its name up |
//! | `builder` | [`RegistryBuilder`] |
//!
//! # Guarantees
//! | method | progress | what a reader beside writers sees |
//! |---|---|---|
//! | [`Handle::record`] | that of the endpoint's strategy: wait-free when striped, lock-free otherwise, `sliding` takes a lock | |
//! | `record_hit` of a known name | the same, after a lock-free look-up | |
//! | `record_hit` of a new name | makes the endpoint and prunes a few others, under a lock for a bounded number of looks | |
//! | `query_hits`, `total`, `top` | wait-free per endpoint; one lock for endpoints that hold merged or restored hits, and for `sliding` | every hit whose call returned before it began, none whose call began after it ended |
//! | `swap_strategy`, `prune` | lock-free per endpoint | the same |
//! | `remove`, `snapshot`, `restore`, `merge`, `metrics` | one lock against each other, none against recorders | the same, endpoint by endpoint |
//!
//! Tests: `tests/registry`, `tests/merge`.

mod map;
pub(crate) mod snapshot;
mod written;
pub(crate) mod replicas;
mod ledger;
mod graves;
mod aging;
mod state;
mod create;
mod record;
mod query;
mod change;
mod prune;
mod remove;
mod metrics;
mod exchange;
mod visitors;
mod watch;
mod handle;
mod builder;

pub use builder::RegistryBuilder;
pub use handle::Handle;
pub use metrics::Metrics;
pub use state::{Registry, WhenFull};
pub use written::WrittenCells;
