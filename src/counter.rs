//! The strategies behind one face.
//!
//! [`Strategy`] is the name with its options, [`Counter`] what it builds. Adding a strategy is a file in `window/`, a
//! variant here, and a row in the conformance battery of the tests.
//!
//! Every strategy counts in ticks of its own *grain*: a tick of the resolution, or a microsecond for the sliding log.

use std::fmt;
use std::str::FromStr;

use crate::outcome::{Outcome, Outcomes};
use crate::time::{Resolution, Tick};
use crate::window::geometry::Geometry;
use crate::window::ring::Ring;
use crate::window::sliding::{self, Sliding};
use crate::window::striped::Striped;
use crate::window::{Cell, Reading, Span};

/// How a counter counts. See the guarantee table in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// A single-writer ring for each live thread: wait-free records that share nothing.
    #[default]
    Striped,
    /// One ring for all threads: lock-free records, the least memory.
    Ring,
    /// Every hit at its exact microsecond, in shards behind locks.
    Sliding {
        /// The most distinct microseconds it holds, 16 bytes each.
        max_hits: u64,
    },
}

impl Strategy {
    /// The sliding log with room for 1,048,576 distinct microseconds (16 MiB).
    pub const SLIDING: Self = Self::Sliding { max_hits: sliding::DEFAULT_MAX_HITS };

    /// The strategy's name, without its options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Striped => "striped",
            Self::Ring => "ring",
            Self::Sliding { .. } => "sliding",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no strategy has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStrategy(String);

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no strategy {:?}; choose \"striped\", \"ring\" or \"sliding\"", self.0)
    }
}

impl std::error::Error for UnknownStrategy {}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        match name {
            "striped" => Ok(Self::Striped),
            "ring" => Ok(Self::Ring),
            "sliding" => Ok(Self::SLIDING),
            other => Err(UnknownStrategy(other.to_owned())),
        }
    }
}

/// A strategy at work. In line, since a box would cost every record a load.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Counter {
    /// See [`Striped`].
    Striped(Striped),
    /// See [`Ring`].
    Ring(Ring),
    /// See [`Sliding`].
    Sliding(Sliding),
}

/// Calls the same method of whichever strategy it is.
macro_rules! each {
    ($counter:expr, $inner:ident => $call:expr) => {
        match $counter {
            Counter::Striped($inner) => $call,
            Counter::Ring($inner) => $call,
            Counter::Sliding($inner) => $call,
        }
    };
}

impl Counter {
    /// A counter without hits.
    #[must_use]
    pub fn new(strategy: Strategy, geometry: Geometry) -> Self {
        match strategy {
            Strategy::Striped => Self::Striped(Striped::new(geometry)),
            Strategy::Ring => Self::Ring(Ring::new(geometry)),
            Strategy::Sliding { max_hits } => Self::Sliding(Sliding::new(geometry, max_hits, 0)),
        }
    }

    /// The strategy and its options.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        match self {
            Self::Striped(_) => Strategy::Striped,
            Self::Ring(_) => Strategy::Ring,
            Self::Sliding(log) => Strategy::Sliding { max_hits: log.max_hits() },
        }
    }

    /// The layout that was asked for.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        each!(self, counter => counter.geometry())
    }

    /// The width of the ticks that hits and queries are given in.
    #[must_use]
    pub fn grain(&self) -> Resolution {
        match self {
            Self::Striped(_) | Self::Ring(_) => self.geometry().resolution(),
            Self::Sliding(_) => Sliding::grain(),
        }
    }

    /// The slots of one ring of the strategy.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self {
            Self::Striped(_) | Self::Ring(_) => self.geometry().slots(),
            Self::Sliding(log) => log.slots(),
        }
    }

    /// The short way of [`record`](Self::record), where there is one: counts `amount` hits at `tick`, or changes
    /// nothing.
    #[inline(always)]
    pub fn record_current(&self, tick: Tick, amount: u64) -> bool {
        match self {
            Self::Striped(striped) => striped.record_current(tick, amount),
            // In line down to the exchange: that waits for every store before it, and a call is at least one.
            Self::Ring(ring) => ring.record_current(tick, amount),
            Self::Sliding(_) => false,
        }
    }

    /// Counts `amount` hits at `tick`.
    #[inline(never)]
    pub fn record(&self, tick: Tick, amount: u64) -> Outcome {
        each!(self, counter => counter.record(tick, amount))
    }

    /// Notes hits that were refused before they came here.
    pub fn refuse(&self, outcome: Outcome, amount: u64) {
        each!(self, counter => counter.refuse(outcome, amount));
    }

    /// The hits of `span`, if the last query's sum serves, exactly.
    #[inline]
    pub fn recall(&self, span: Span) -> Option<u64> {
        match self {
            Self::Striped(striped) => striped.recall(span),
            Self::Ring(ring) => ring.recall(span),
            Self::Sliding(_) => None,
        }
    }

    /// The hits of `span`; with `remember` what is found may be kept for the next query.
    pub fn sum(&self, span: Span, remember: bool) -> Reading {
        match self {
            Self::Striped(striped) => striped.sum(span, remember),
            Self::Ring(ring) => ring.sum(span, remember),
            Self::Sliding(log) => log.sum(span),
        }
    }

    /// The newest tick that has a hit.
    #[must_use]
    pub fn newest(&self) -> Tick {
        each!(self, counter => counter.newest())
    }

    /// The ticks that have hits; one may come several times, its hits then add up.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        each!(self, counter => counter.cells().collect())
    }

    /// Ticks of the resolution whose hits were dropped for room.
    #[must_use]
    pub fn dropped(&self) -> Vec<Tick> {
        match self {
            Self::Striped(_) | Self::Ring(_) => Vec::new(),
            Self::Sliding(log) => log.dropped(),
        }
    }

    /// What became of all hits since the counter was made.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        each!(self, counter => counter.outcomes())
    }

    /// Forgets all hits, but not what became of them.
    pub fn reset(&self) {
        each!(self, counter => counter.reset());
    }

    /// The bytes the counter takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        each!(self, counter => counter.bytes())
    }
}
