//! The integration tests: one binary, one folder for each subject. Those of `tests/internals` are in the library's own tests.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg(not(hitring_model))]

#[cfg(feature = "cli")]
mod bench;
mod conformance;
#[cfg(feature = "cli")]
mod demo;
mod floors;
mod merge;
mod oracle;
mod registry;
#[cfg(feature = "cli")]
mod replay;
#[cfg(target_os = "linux")]
mod shared;
mod stress;
mod surface;
mod threads;
#[cfg(feature = "cli")]
mod top;
