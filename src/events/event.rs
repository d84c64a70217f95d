//! What happens in a registry: [`Event`], the [`EventKind`] of each, and an [`EventSet`] of kinds.
//!
//! Adding an event: a variant of [`Event`], one of [`EventKind`] in [`EventKind::ALL`] with its name, one arm in
//! [`Event::kind`] and one in [`Event::endpoint`]. The position in [`EventKind::ALL`] is the kind's bit.
//!
//! Tests: below, `tests/events`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;

/// Something that happened in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Hits were counted.
    HitRecorded {
        /// The endpoint that counted them.
        endpoint: Arc<str>,
        /// The time they were counted at.
        at: Timestamp,
        /// How many.
        amount: u64,
    },
    /// Hits that had left the window were removed from memory.
    Pruned {
        /// The endpoint that they belonged to.
        endpoint: Arc<str>,
        /// How many.
        removed: u64,
    },
    /// The strategy changed.
    StrategySwapped {
        /// The endpoint; `None` is the whole registry.
        endpoint: Option<Arc<str>>,
        /// The strategy until then.
        old: String,
        /// The strategy from then on.
        new: String,
    },
    /// A snapshot was taken.
    SnapshotTaken {
        /// How many endpoints it holds.
        endpoints_count: u64,
    },
    /// A snapshot replaced everything that had been counted.
    SnapshotRestored,
    /// The figures have changed.
    MetricsUpdated {
        /// All hits ever counted.
        total_hits: u64,
        /// How many entries are in memory.
        memory_entries: u64,
    },
    /// An endpoint's count rose from below a limit to the limit or above.
    ThresholdCrossed {
        /// The endpoint.
        endpoint: Arc<str>,
        /// Its count.
        hits: u64,
        /// The limit.
        limit: u64,
        /// The length of the range that is counted.
        last: Duration,
        /// The watch that saw it, where several may watch the same endpoint.
        watch: u64,
    },
    /// An endpoint was recorded under for the first time.
    EndpointCreated {
        /// The endpoint.
        endpoint: Arc<str>,
    },
    /// The registry is full and refused an endpoint.
    EndpointRefused {
        /// The endpoint.
        endpoint: Arc<str>,
    },
}

impl Event {
    /// The event's kind.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::HitRecorded { .. } => EventKind::HitRecorded,
            Self::Pruned { .. } => EventKind::Pruned,
            Self::StrategySwapped { .. } => EventKind::StrategySwapped,
            Self::SnapshotTaken { .. } => EventKind::SnapshotTaken,
            Self::SnapshotRestored => EventKind::SnapshotRestored,
            Self::MetricsUpdated { .. } => EventKind::MetricsUpdated,
            Self::ThresholdCrossed { .. } => EventKind::ThresholdCrossed,
            Self::EndpointCreated { .. } => EventKind::EndpointCreated,
            Self::EndpointRefused { .. } => EventKind::EndpointRefused,
        }
    }

    /// The endpoint it happened at, unless it happened to the whole registry.
    #[must_use]
    pub const fn endpoint(&self) -> Option<&Arc<str>> {
        match self {
            Self::HitRecorded { endpoint, .. }
            | Self::Pruned { endpoint, .. }
            | Self::ThresholdCrossed { endpoint, .. }
            | Self::EndpointCreated { endpoint }
            | Self::EndpointRefused { endpoint } => Some(endpoint),
            Self::StrategySwapped { endpoint, .. } => endpoint.as_ref(),
            Self::SnapshotTaken { .. } | Self::SnapshotRestored | Self::MetricsUpdated { .. } => None,
        }
    }
}

/// A kind of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventKind {
    /// [`Event::HitRecorded`].
    HitRecorded,
    /// [`Event::Pruned`].
    Pruned,
    /// [`Event::StrategySwapped`].
    StrategySwapped,
    /// [`Event::SnapshotTaken`].
    SnapshotTaken,
    /// [`Event::SnapshotRestored`].
    SnapshotRestored,
    /// [`Event::MetricsUpdated`].
    MetricsUpdated,
    /// [`Event::ThresholdCrossed`].
    ThresholdCrossed,
    /// [`Event::EndpointCreated`].
    EndpointCreated,
    /// [`Event::EndpointRefused`].
    EndpointRefused,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::HitRecorded,
        Self::Pruned,
        Self::StrategySwapped,
        Self::SnapshotTaken,
        Self::SnapshotRestored,
        Self::MetricsUpdated,
        Self::ThresholdCrossed,
        Self::EndpointCreated,
        Self::EndpointRefused,
    ];

    /// The kind's name, as [`FromStr`] reads it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HitRecorded => "hit_recorded",
            Self::Pruned => "pruned",
            Self::StrategySwapped => "strategy_swapped",
            Self::SnapshotTaken => "snapshot_taken",
            Self::SnapshotRestored => "snapshot_restored",
            Self::MetricsUpdated => "metrics_updated",
            Self::ThresholdCrossed => "threshold_crossed",
            Self::EndpointCreated => "endpoint_created",
            Self::EndpointRefused => "endpoint_refused",
        }
    }

    /// The kind's bit in [`EventSet::bits`].
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self as u64
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a name that no kind of event has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent(String);

impl fmt::Display for UnknownEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an event; choose from {}", self.0, EventKind::ALL.map(EventKind::name).join(", "))
    }
}

impl std::error::Error for UnknownEvent {}

impl FromStr for EventKind {
    type Err = UnknownEvent;

    fn from_str(name: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownEvent(name.to_owned()))
    }
}

/// A set of kinds of events.
///
/// ```
/// use hitring::{EventKind, EventSet};
///
/// let set = EventSet::from_iter([EventKind::Pruned, "snapshot_taken".parse()?]);
/// assert!(set.contains(EventKind::SnapshotTaken));
/// assert!(!set.contains(EventKind::HitRecorded));
/// # Ok::<(), hitring::UnknownEvent>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EventSet(u64);

impl EventSet {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Every kind.
    pub const ALL: Self = Self((1 << EventKind::ALL.len()) - 1);

    /// Whether `kind` is among them.
    #[must_use]
    #[inline]
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The kinds that are in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds.
    pub fn iter(self) -> impl Iterator<Item = EventKind> {
        EventKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// The sum of the kinds' bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl From<EventKind> for EventSet {
    fn from(kind: EventKind) -> Self {
        Self(kind.bit())
    }
}

impl FromIterator<EventKind> for EventSet {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, |set, kind| set.union(kind.into()))
    }
}

impl fmt::Debug for EventSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_bit_and_a_name_of_its_own() {
        let mut seen = EventSet::NONE;
        for (position, kind) in EventKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.bit(), 1 << position);
            assert!(!seen.contains(kind));
            seen = seen.union(kind.into());
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!(seen, EventSet::ALL);
        assert!(seen.iter().eq(EventKind::ALL));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "hit".parse::<EventKind>().expect_err("it is not an event").to_string();
        assert!(error.contains("\"hit\""), "{error}");
        for kind in EventKind::ALL {
            assert!(error.contains(kind.name()), "{error}");
        }
    }
}
