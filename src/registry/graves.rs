//! [`Graves`]: the removals of a registry, kept so that a snapshot cannot bring removed hits back.
//!
//! Tests: `tests/registry`.

use std::collections::BTreeMap;

use crate::cell::removal::Removal;

/// The removals of a registry.
#[derive(Debug, Default)]
pub struct Graves {
    /// The highest epoch seen.
    pub epoch: u64,
    pub removed: BTreeMap<Box<str>, Removal>,
}
