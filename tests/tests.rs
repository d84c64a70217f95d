//! The integration tests: one binary, one folder for each subject.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![cfg(not(any(hitring_loom, hitring_shuttle)))]

mod conformance;
mod floors;
mod merge;
mod oracle;
#[cfg(feature = "cli")]
mod replay;
mod stress;
mod surface;
