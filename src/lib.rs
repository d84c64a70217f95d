//! Count hits from any thread without a lock, and ask how many there were in the last N seconds.
//!
//! [`HitCounter`] is the counter; [`Builder`] makes it of another window, resolution, [`Strategy`] or [`Clock`].
//! [`Registry`] has one for each endpoint, with strategies that can be swapped, snapshots, metrics and events.
//!
//! ```
//! use hitring::HitCounter;
//! use std::time::Duration;
//!
//! let counter = HitCounter::new(); // the last 300 seconds, by the second
//! std::thread::scope(|scope| {
//!     for _ in 0..4 {
//!         scope.spawn(|| {
//!             for _ in 0..1_000 {
//!                 assert!(counter.record(1).is_counted());
//!             }
//!         });
//!     }
//! });
//! assert_eq!(counter.count()?, 4_000);
//! assert_eq!(counter.count_last(Duration::from_secs(60))?, 4_000);
//! # Ok::<(), hitring::QueryError>(())
//! ```
//!
//! # What there is
//! | to | use |
//! |---|---|
//! | count one thing, from any thread | [`HitCounter`] |
//! | count by name, with the busiest names, snapshots, merging and events | [`Registry`], [`Handle`] |
//! | do the same from several processes (Linux) | [`SharedRegistry`], [`SharedHandle`], [`SharedLimiter`]: a file that a `kill -9` does not harm |
//! | let through so many in any window | [`Limiter`], [`KeyedLimiter`]: exact sliding windows, or token buckets |
//! | estimate how many different visitors there were | [`HyperLogLog`], [`WindowedUniques`], and by endpoint [`Handle::record_visit`] |
//! | estimate the most frequent ones, a sample, a very large count | [`TopK`], [`Reservoir`] and [`BottomK`], [`Morris`] |
//! | add up what several hosts count | [`RegistrySnapshot`], [`GCounter`] |
//! | count in another way | [`CustomStrategy`] |
//!
//! Shared files need Linux. Everything else works on every platform that Rust's standard library supports. The crate's repository has
//! runnable programs in `examples`, and pages on the design, the tests and the file formats in `docs`.
//!
//! # Features
//! None is on by default. `cli` builds the `hitring` program, `server` the same with `hitring serve` (on Linux), `python` the
//! extension module that maturin packs.
//!
//! Tests: `tests`.

// A module uses only modules above it in this list, and `tests/floors` keeps that true:
//
// | floor | modules |
// |---|---|
// | 0 | `sync`, `time`, `error` |
// | 1 | `cell`, `limit`, `window`, `sketch` |
// | 2 | `counter`, `hit_counter`, `endpoint` |
// | 3 | `events`, `registry`, `shared` |
// | 4 | `store` |
// | 5 | `service` |
// | 6 | `server`, `cli`, `python` |

#![warn(missing_docs)]
#![cfg_attr(
    any(hitring_model, fuzzing),
    allow(missing_docs, clippy::len_without_is_empty, reason = "public for the models and fuzz targets alone")
)]

cfg_if::cfg_if! {
    if #[cfg(hitring_model)] {
        // The models look at every room.
        pub mod cell;
        pub mod counter;
        pub mod endpoint;
        pub mod events;
        pub mod limit;
        pub mod sketch;
        pub mod sync;
        pub mod window;
    } else {
        mod cell;
        mod counter;
        mod endpoint;
        mod events;
        mod limit;
        mod sketch;
        mod sync;
        mod window;
    }
}
mod error;
mod hit_counter;
mod registry;
#[cfg(target_os = "linux")]
pub mod shared;
mod time;

cfg_if::cfg_if! {
    if #[cfg(all(feature = "server", target_os = "linux", fuzzing))] {
        // tests/fuzz sends requests without a socket.
        pub mod server;
        pub mod service;
        pub mod store;
    } else if #[cfg(all(feature = "server", target_os = "linux"))] {
        mod server;
        mod service;
        mod store;
    }
}

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "python")]
mod python;

pub use cell::hits::{Accuracy, Bucket, Hits};
pub use cell::merge::{Merge, PerWriter};
pub use cell::outcome::{Outcome, Outcomes};
pub use cell::writer::{Replica, Writer};
pub use counter::strategy::{CustomCounter, CustomStrategy, Strategy, StrategyError};
pub use endpoint::Shape;
pub use error::{
    ConfigError, EndpointError, LimitError, QueryError, SharedError, SketchError, SnapshotError, SubscribeError,
};
pub use events::watch::Threshold;
pub use events::{Event, EventKind, EventSet, Listener, Received, Subscription, UnknownEvent};
pub use hit_counter::HitCounter;
pub use hit_counter::builder::Builder;
pub use hit_counter::snapshot::Snapshot;
pub use hit_counter::windowed_uniques::{UniquesBuilder, WindowedUniques};
pub use limit::decision::Decision;
pub use limit::keyed::{KeyedLimiter, KeyedMetrics};
pub use limit::rate::{Rate, Rates};
pub use limit::{Limiter, LimiterBuilder, WhenKeysFull};
pub use registry::snapshot::RegistrySnapshot;
pub use registry::{Handle, Metrics, Registry, RegistryBuilder, WhenFull, WrittenCells};
#[cfg(target_os = "linux")]
pub use shared::{SharedBuilder, SharedHandle, SharedLimiter, SharedRegistry, SharedRoom};
pub use sketch::bottom_k::BottomK;
pub use sketch::g_counter::GCounter;
pub use sketch::hyperloglog::HyperLogLog;
pub use sketch::morris_counter::Morris;
pub use sketch::reservoir::Reservoir;
pub use sketch::top_k::TopK;
pub use time::clock::{Clock, ManualClock, SystemClock};
pub use time::error::{ResolutionError, TimeError};
pub use time::{Resolution, Tick, Timestamp};

/// The README's examples are compiled and run with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

// The suites that look behind the public names say `hitring` as others do.
#[cfg(test)]
extern crate self as hitring;
#[cfg(test)]
#[path = "../tests/internals/mod.rs"]
mod internals;
#[cfg(test)]
use internals::threads;
