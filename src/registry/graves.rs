//! [`Graves`]: what was removed, so that no snapshot brings removed hits back.
//!
//! Tests: `tests/registry`.

use std::collections::BTreeMap;

use crate::cell::removal::Removal;

/// What was removed.
#[derive(Debug, Default)]
pub struct Graves {
    /// The highest epoch seen.
    pub epoch: u64,
    pub removed: BTreeMap<Box<str>, Removal>,
}
