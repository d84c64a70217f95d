//! [`Totals`]: how many hits a replica has counted, refused and pruned in all.
//!
//! Tests: `tests/registry`.

use crate::cell::outcome::Outcomes;

/// How many hits a replica has counted, refused and pruned in all. The numbers only grow, so that copies merge by the
/// larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Totals {
    /// The outcomes of the hits.
    pub outcomes: Outcomes,
    /// Hits that pruning dropped.
    pub pruned_events: u64,
    /// Endpoints that were pruned.
    pub pruned_endpoints: u64,
}

impl Totals {
    /// The sums of both, number by number.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, Outcomes::plus, u64::saturating_add)
    }

    /// The differences to `other`, number by number.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.with(other, Outcomes::minus, u64::saturating_sub)
    }

    /// The larger of both, number by number.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.with(other, Outcomes::max, Ord::max)
    }

    fn with(self, other: Self, outcomes: fn(Outcomes, Outcomes) -> Outcomes, number: fn(u64, u64) -> u64) -> Self {
        Self {
            outcomes: outcomes(self.outcomes, other.outcomes),
            pruned_events: number(self.pruned_events, other.pruned_events),
            pruned_endpoints: number(self.pruned_endpoints, other.pruned_endpoints),
        }
    }
}
