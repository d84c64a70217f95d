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
//! # Floors
//! A module uses only those above it in this list (a test keeps it true):
//!
//! | floor | modules |
//! |---|---|
//! | 0 | `sync`, `mutant`, `stamp`, [`error`](TimeError), `time`, `clock`, `threads`, `table`, `per_process` |
//! | 1 | [`outcome`](Outcome), `writer`, `form`, `bytes`, [`merge`](Merge), `life`, [`g_counter`](GCounter), [`window`], [`sketch`], [`hits`](Hits), `gate`, `totals`, `file`, [`limit`](Limiter) |
//! | 2 | [`strategy`](Strategy), [`counter`], [`moment`], `copied`, `removal`, [`endpoint`], `snapshot`, `registry_snapshot`, `builder`, `hit_counter`, [`windowed_uniques`](WindowedUniques) |
//! | 3 | [`events`](Event), `threshold`, `watch`, [`registry`](Registry), [`shared`](SharedRegistry) |
//! | 6 | `cli`, `python` |
//!
//! # Features
//! None is on by default. `cli` builds the `hitring` program, `python` the extension module that maturin packs.

#![warn(missing_docs)]
#![doc(html_no_source)]

mod builder;
mod bytes;
mod clock;
mod copied;
#[doc(hidden)]
pub mod counter;
#[doc(hidden)]
pub mod endpoint;
mod error;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
#[doc(hidden)]
pub mod events;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
mod file;
#[doc(hidden)]
pub mod form;
#[doc(hidden)]
pub mod g_counter;
mod gate;
mod hit_counter;
mod hits;
mod life;
#[doc(hidden)]
pub mod limit;
mod merge;
#[doc(hidden)]
pub mod moment;
#[doc(hidden)]
pub mod mutant;
#[doc(hidden)]
pub mod outcome;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
mod per_process;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
mod registry;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
mod registry_snapshot;
mod removal;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod shared;
#[doc(hidden)]
pub mod sketch;
mod snapshot;
mod stamp;
mod strategy;
#[doc(hidden)]
pub mod sync;
#[doc(hidden)]
pub mod table;
#[doc(hidden)]
pub mod threads;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
#[doc(hidden)]
pub mod threshold;
mod time;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
mod totals;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
mod watch;
#[doc(hidden)]
pub mod window;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
mod windowed_uniques;
mod writer;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "python")]
mod python;

pub use builder::Builder;
pub use clock::{Clock, ManualClock, SystemClock};
pub use endpoint::Shape;
pub use error::{
    ConfigError, EndpointError, LimitError, QueryError, SharedError, SketchError, SnapshotError, SubscribeError,
    TimeError,
};
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
pub use events::{Event, EventKind, EventSet, Listener, Received, Subscription, UnknownEvent};
pub use g_counter::GCounter;
pub use hit_counter::{Bucket, HitCounter};
pub use hits::{Accuracy, Hits};
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
pub use limit::keyed::{KeyedLimiter, KeyedMetrics};
pub use limit::rate::Rate;
pub use limit::{Decision, Limiter, LimiterBuilder, WhenKeysFull};
pub use merge::{Merge, PerWriter};
pub use outcome::{Outcome, Outcomes};
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
pub use registry::{Handle, Metrics, Registry, RegistryBuilder, WhenFull};
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
pub use registry_snapshot::RegistrySnapshot;
#[cfg(all(target_os = "linux", not(any(hitring_loom, hitring_shuttle))))]
pub use shared::{SharedBuilder, SharedHandle, SharedLimiter, SharedRegistry, SharedRoom};
pub use sketch::bottom_k::BottomK;
pub use sketch::hyperloglog::HyperLogLog;
pub use sketch::morris_counter::Morris;
pub use sketch::reservoir::Reservoir;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
pub use sketch::top_k::TopK;
pub use snapshot::Snapshot;
pub use strategy::{CustomCounter, CustomStrategy, Strategy, StrategyError};
pub use time::{Resolution, Tick, Timestamp};
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
pub use watch::Threshold;
#[cfg(not(any(hitring_loom, hitring_shuttle)))]
pub use windowed_uniques::{UniquesBuilder, WindowedUniques};
pub use writer::{Replica, Writer};

/// The README's examples are compiled and run with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
