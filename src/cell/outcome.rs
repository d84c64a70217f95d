//! The outcome of recording a hit.
//!
//! | outcome | the hit | when |
//! |---|---|---|
//! | [`Counted`](Outcome::Counted) | is in the count | |
//! | [`Late`](Outcome::Late) | was refused | its slot already belongs to a newer tick |
//! | [`Future`](Outcome::Future) | was refused | it lies further ahead of the clock than `max_skew` |
//! | [`Saturated`](Outcome::Saturated) | was refused whole | its tick's slot cannot hold the amount |
//! | [`Refused`](Outcome::Refused) | was refused | a bounded strategy is full |
//!
//! [`Outcomes`] adds the amounts up, per outcome, since the counter was created. The words behind it do not slow the
//! record path down: counted hits are added when their slot is reused, and refused ones where they are refused.
//!
//! Tests: `tests/conformance`.

use crate::sync::{AtomicU64, Ordering, add_owned};

/// The outcome of recording a hit. Only `Counted` hits are ever part of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The hit is in the count of its tick.
    Counted,
    /// The slot of the hit's tick already belongs to a newer tick. More slack accepts later hits.
    Late,
    /// The hit lies further ahead of the counter's clock than its `max_skew`.
    Future,
    /// The amount does not fit into the tick's slot; no part of it was counted.
    Saturated,
    /// The strategy is bounded and full.
    Refused,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcomes::to_array`].
    pub const ALL: [Self; 5] = [Self::Counted, Self::Late, Self::Future, Self::Saturated, Self::Refused];

    /// Whether the hit is in the count.
    #[must_use]
    #[inline]
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Counted)
    }

    /// The outcome's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Late => "late",
            Self::Future => "future",
            Self::Saturated => "saturated",
            Self::Refused => "refused",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many hits had each outcome (sums of amounts, held at `u64::MAX`). They only grow, also over a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Outcomes {
    /// Hits that were counted.
    pub counted: u64,
    /// Hits that were too late.
    pub late: u64,
    /// Hits too far in the future.
    pub future: u64,
    /// Hits whose amount did not fit.
    pub saturated: u64,
    /// Hits refused by a full strategy.
    pub refused: u64,
}

impl Outcomes {
    /// Adds `amount` to the tally of `outcome`.
    pub fn add(&mut self, outcome: Outcome, amount: u64) {
        let tally = match outcome {
            Outcome::Counted => &mut self.counted,
            Outcome::Late => &mut self.late,
            Outcome::Future => &mut self.future,
            Outcome::Saturated => &mut self.saturated,
            Outcome::Refused => &mut self.refused,
        };
        *tally = tally.saturating_add(amount);
    }

    /// The tallies as an array: counted, late, future, saturated, refused.
    #[must_use]
    pub const fn to_array(self) -> [u64; 5] {
        [self.counted, self.late, self.future, self.saturated, self.refused]
    }

    /// The inverse of [`to_array`](Self::to_array).
    #[must_use]
    pub const fn from_array([counted, late, future, saturated, refused]: [u64; 5]) -> Self {
        Self { counted, late, future, saturated, refused }
    }

    /// The sums of both, tally by tally.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (mut ours, theirs) = (self.to_array(), other.to_array());
        ours.iter_mut().zip(theirs).for_each(|(a, b)| *a = a.saturating_add(b));
        Self::from_array(ours)
    }

    /// The differences to `other`, tally by tally.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let (mut ours, theirs) = (self.to_array(), other.to_array());
        ours.iter_mut().zip(theirs).for_each(|(a, b)| *a = a.saturating_sub(b));
        Self::from_array(ours)
    }

    /// The larger of both, tally by tally.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let (mut ours, theirs) = (self.to_array(), other.to_array());
        ours.iter_mut().zip(theirs).for_each(|(a, b)| *a = (*a).max(b));
        Self::from_array(ours)
    }
}

/// The tallies of refused hits, and of counted hits whose slot has been reused.
#[derive(Debug, Default)]
pub struct Tally {
    words: [AtomicU64; 5],
}

const fn row(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Counted => 0,
        Outcome::Late => 1,
        Outcome::Future => 2,
        Outcome::Saturated => 3,
        Outcome::Refused => 4,
    }
}

impl Tally {
    /// Adds from any thread.
    pub fn add(&self, outcome: Outcome, amount: u64) {
        let word = &self.words[row(outcome)];
        if word.fetch_add(amount, Ordering::Release).checked_add(amount).is_none() {
            word.store(u64::MAX, Ordering::Release);
        }
    }

    /// Adds from the tally's only writer, without a read-modify-write.
    pub fn add_owned(&self, outcome: Outcome, amount: u64) {
        add_owned(&self.words[row(outcome)], amount, Ordering::Release);
    }

    /// The tallies so far. `Acquire`: read them before the slots, so that hits that were moved from a slot to the tally
    /// are never seen in both.
    pub fn read(&self) -> Outcomes {
        Outcomes::from_array(std::array::from_fn(|i| self.words[i].load(Ordering::Acquire)))
    }
}
