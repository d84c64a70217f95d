//! The integration tests: one binary, one folder for each subject.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg(not(hitring_model))]

mod conformance;
#[cfg(feature = "cli")]
mod demo;
mod events;
mod floors;
mod limit;
mod merge;
mod oracle;
mod registry;
#[cfg(feature = "cli")]
mod replay;
#[cfg(target_os = "linux")]
mod shared;
mod sketch;
mod stress;
mod surface;
