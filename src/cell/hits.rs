//! [`Hits`]: a count that says how exact it is. [`Bucket`]: the count of one tick.
//!
//! Tests: below, `tests/registry`.

use std::fmt;
use std::time::Duration;

use crate::time::Timestamp;

/// The hits of one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When the tick begins.
    pub start: Timestamp,
    /// Its hits.
    pub count: u64,
}

/// How exact a count is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Accuracy {
    /// The exact number of hits.
    Exact,
    /// Whole buckets of the fixed strategy: hits of the span and at most those within one bucket of its ends.
    Buckets {
        /// The widest bucket.
        window_size: Duration,
    },
    /// An estimate.
    Estimate {
        /// Its relative standard error: two thirds of all estimates are no further off than that.
        error: f64,
    },
    /// A lower bound: hits of some endpoints are missing, because their slots no longer have the whole span.
    AtLeast,
}

/// How many hits, and how exactly that is known.
///
/// ```
/// use hitring::{Registry, Strategy};
/// use std::time::Duration;
///
/// let registry = Registry::builder().strategy(Strategy::morris(0.05)?).build()?;
/// registry.record_hit("/home", 1_000)?;
/// let hits = registry.query_hits("/home", Duration::from_secs(60))?;
/// assert!(!hits.is_exact() && (600..1_400).contains(&hits.count));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hits {
    /// The number of hits.
    pub count: u64,
    /// How exact it is.
    pub accuracy: Accuracy,
}

impl Hits {
    /// No hits, exactly.
    pub const NONE: Self = Self::exact(0);

    /// `count` hits, exactly.
    #[must_use]
    pub const fn exact(count: u64) -> Self {
        Self { count, accuracy: Accuracy::Exact }
    }

    /// `count` hits, with that accuracy.
    #[must_use]
    pub const fn new(count: u64, accuracy: Accuracy) -> Self {
        Self { count, accuracy }
    }

    /// Whether the count is exact.
    #[must_use]
    pub fn is_exact(self) -> bool {
        self.accuracy == Accuracy::Exact
    }

    /// The hits of both, as exact as the less exact one. (The relative error of a sum of independent estimates is at
    /// most the largest of theirs.) A count of 0 leaves the accuracy of the other as it is, because a bucket or
    /// register without hits is exact. With [`Accuracy::AtLeast`] it does not, because hits are missing.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        use Accuracy::{AtLeast, Buckets, Estimate, Exact};
        let blurs = |hits: Self| hits.count > 0 || hits.accuracy == AtLeast;
        if !blurs(other) {
            return self;
        }
        if !blurs(self) {
            return other;
        }
        let accuracy = match (self.accuracy, other.accuracy) {
            (AtLeast, _) | (_, AtLeast) => AtLeast,
            (Estimate { error: ours }, Estimate { error: theirs }) => Estimate { error: ours.max(theirs) },
            (estimate @ Estimate { .. }, _) | (_, estimate @ Estimate { .. }) => estimate,
            (Buckets { window_size: ours }, Buckets { window_size: theirs }) => {
                Buckets { window_size: ours.max(theirs) }
            }
            (buckets @ Buckets { .. }, Exact) | (Exact, buckets @ Buckets { .. }) => buckets,
            (Exact, Exact) => Exact,
        };
        Self { count: self.count.saturating_add(other.count), accuracy }
    }
}

impl PartialEq<u64> for Hits {
    fn eq(&self, count: &u64) -> bool {
        self.count == *count
    }
}

impl From<Hits> for u64 {
    fn from(hits: Hits) -> Self {
        hits.count
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.count.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_which_hits_are_missing_says_so() {
        let missing = |count| Hits::new(count, Accuracy::AtLeast);
        let estimate = Hits::new(5, Accuracy::Estimate { error: 0.1 });
        for (one, other, count) in [
            (Hits::NONE, missing(0), 0),
            (Hits::exact(3), missing(0), 3),
            (Hits::exact(3), missing(4), 7),
            (estimate, missing(1), 6),
        ] {
            assert_eq!((one.plus(other), other.plus(one)), (missing(count), missing(count)));
        }
        assert_eq!(Hits::exact(3).plus(Hits::NONE), Hits::exact(3));
    }
}
