//! Count hits from any thread without a lock, and ask how many there were in the last N seconds.
//!
//! [`HitCounter`] is the counter; [`Builder`] makes it of another window, resolution, [`Strategy`] or [`Clock`].
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
//! | 0 | `sync`, `mutant`, [`error`](TimeError), `time`, `clock`, `threads`, `table` |
//! | 1 | [`outcome`](Outcome), `writer`, [`window`] |
//! | 2 | `copied`, `counter`, `snapshot`, `builder`, `hit_counter` |
//! | 6 | `cli`, `python` |
//!
//! # Features
//! None is on by default. `cli` builds the `hitring` program, `python` the extension module that maturin packs.

#![warn(missing_docs)]
#![doc(html_no_source)]

mod builder;
mod clock;
mod copied;
mod counter;
mod error;
mod hit_counter;
#[doc(hidden)]
pub mod mutant;
mod outcome;
mod snapshot;
#[doc(hidden)]
pub mod sync;
#[doc(hidden)]
pub mod table;
#[doc(hidden)]
pub mod threads;
mod time;
#[doc(hidden)]
pub mod window;
mod writer;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "python")]
mod python;

pub use builder::Builder;
pub use clock::{Clock, ManualClock, SystemClock};
pub use counter::{Strategy, UnknownStrategy};
pub use error::{ConfigError, QueryError, SnapshotError, TimeError};
pub use hit_counter::{Bucket, HitCounter};
pub use outcome::{Outcome, Outcomes};
pub use snapshot::Snapshot;
pub use time::{Resolution, Tick, Timestamp};

/// The README's examples are compiled and run with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
