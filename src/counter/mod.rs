//! The strategies at work behind one face.
//!
//! Adding a strategy is a file in `window/` or `sketch/`, a variant of [`Strategy`] and of [`Counter`], and a row in the
//! conformance battery of the tests.
//!
//! Hits and queries are given in the *input* ticks of a counter: ticks of the resolution, or microseconds for those that
//! keep exact times. What leaves it is in the grain of its [`Form`]. The layout is not part of a counter, as a registry
//! has very many of the same: each call is given the [`Geometry`] that the counter was made with.
//!
//! Tests: `tests/conformance`.

pub(crate) mod copied;
pub mod query;
pub(crate) mod strategy;

use std::sync::Arc;
use std::time::Duration;

use crate::cell::form::{Cell, Form, Measure};
use crate::cell::outcome::{Outcome, Outcomes, Tally};
use crate::counter::strategy::{CustomCounter, CustomStrategy, Strategy};
use crate::error::ConfigError;
use crate::sketch::morris_ring::MorrisRing;
use crate::sync::{AtomicU64, Ordering, Typed};
use crate::time::{Resolution, Tick};
use crate::window::fixed::Fixed;
use crate::window::geometry::Geometry;
use crate::window::ring::Ring;
use crate::window::sliding::Sliding;
use crate::window::sparse::{Added, Sparse};
use crate::window::striped::Striped;
use crate::window::{Reading, Span};

/// The cells of a [`Counter::Sparse`].
#[cfg(not(hitring_model))]
pub const SPARSE_CELLS: usize = 16;
/// Models need few.
#[cfg(hitring_model)]
pub const SPARSE_CELLS: usize = 1;

/// A strategy at work. The ring lies in line, since a box would cost every record a load; the rest is large or slow.
#[derive(Debug)]
#[cfg_attr(hitring_model, allow(clippy::large_enum_variant, reason = "the model checkers' atomics are large"))]
pub enum Counter {
    /// See [`Striped`].
    Striped(Box<Striped>),
    /// See [`Ring`].
    Ring(Ring),
    /// See [`Fixed`].
    Fixed(Box<Fixed>),
    /// See [`Sliding`].
    Sliding(Box<Sliding>),
    /// See [`MorrisRing`].
    Morris(Box<MorrisRing>),
    /// See [`Sparse`].
    Sparse(Cells),
    /// See [`CustomStrategy`].
    Custom(Box<Custom>),
}

/// The words of a sparse counter that has outgrown the few of its endpoint.
#[derive(Debug)]
pub struct Cells {
    words: [AtomicU64; SPARSE_CELLS],
    forgotten: Typed<Tick>,
    /// Hits whose word was taken by another tick.
    retired: AtomicU64,
    /// Hits that were late.
    late: AtomicU64,
    /// See [`sparse::CROWDED`](crate::window::sparse::CROWDED).
    marks: AtomicU64,
}

impl Cells {
    fn sparse(&self) -> Sparse<'_> {
        Sparse { words: &self.words, forgotten: &self.forgotten, marks: &self.marks }
    }

    fn record(&self, geometry: &Geometry, tick: Tick, amount: u64) -> Added {
        self.sparse().record(geometry, tick, amount, |outcome, amount| self.note(outcome, amount))
    }

    fn note(&self, outcome: Outcome, amount: u64) {
        let word = if outcome.is_counted() { &self.retired } else { &self.late };
        word.fetch_add(amount, Ordering::Release);
    }
}

/// A counter of the caller's own.
#[derive(Debug)]
pub struct Custom {
    strategy: Arc<dyn CustomStrategy>,
    counter: Box<dyn CustomCounter>,
    /// What was refused; what was counted it tells itself.
    tally: Tally,
}

impl Counter {
    /// A counter without hits. [`Strategy::Adaptive`] begins elsewhere and is a ring here.
    ///
    /// # Errors
    /// [`ConfigError`] if the strategy does not suit the geometry.
    pub fn new(strategy: &Strategy, geometry: &Geometry) -> Result<Self, ConfigError> {
        strategy.check(geometry)?;
        Ok(match strategy {
            Strategy::Striped => Self::Striped(Box::default()),
            Strategy::Ring | Strategy::Adaptive => Self::Ring(Ring::new(geometry)),
            Strategy::Fixed { window_size } => Self::Fixed(Box::new(Fixed::new(geometry, *window_size)?)),
            Strategy::Sliding { max_hits } => Self::Sliding(Box::new(Sliding::new(geometry, *max_hits, 0))),
            Strategy::Morris { base } => Self::Morris(Box::new(MorrisRing::new(geometry, *base))),
            Strategy::Custom(strategy) => {
                let resolution = geometry.resolution().width();
                let counter = strategy.counter(resolution * geometry.window(), resolution);
                Self::Custom(Box::new(Custom { strategy: Arc::clone(strategy), counter, tally: Tally::default() }))
            }
        })
    }

    /// A sparse counter without hits.
    #[must_use]
    pub fn sparse() -> Self {
        let words = std::array::from_fn(|_| AtomicU64::new(0));
        let word = || AtomicU64::new(0);
        Self::Sparse(Cells { words, forgotten: Typed::new(Tick(0)), retired: word(), late: word(), marks: word() })
    }

    /// The strategy and its options; adaptive for what only that uses.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        match self {
            Self::Striped(_) => Strategy::Striped,
            Self::Ring(_) => Strategy::Ring,
            Self::Fixed(fixed) => Strategy::Fixed { window_size: fixed.window_size() },
            Self::Sliding(log) => Strategy::Sliding { max_hits: log.max_hits() },
            Self::Morris(ring) => Strategy::Morris { base: ring.base() },
            Self::Sparse(_) => Strategy::Adaptive,
            Self::Custom(custom) => Strategy::Custom(Arc::clone(&custom.strategy)),
        }
    }

    /// Whether hits and queries are given to the microsecond, not in ticks of the resolution.
    #[must_use]
    pub fn is_exact_to_the_microsecond(&self) -> bool {
        matches!(self, Self::Sliding(_) | Self::Custom(_))
    }

    /// The width of the ticks that hits and queries are given in.
    #[must_use]
    pub fn input(&self, geometry: &Geometry) -> Resolution {
        if self.is_exact_to_the_microsecond() { Resolution::MICROSECOND } else { geometry.resolution() }
    }

    /// How [`cells`](Self::cells) are to be read.
    #[must_use]
    pub fn form(&self, geometry: &Geometry) -> Form {
        let resolution = geometry.resolution().width();
        let (grain, slots, grains, measure) = match self {
            Self::Striped(_) | Self::Ring(_) | Self::Sparse(_) => (resolution, geometry.slots(), 1, Measure::Count),
            Self::Fixed(fixed) => (fixed.window_size(), fixed.slots(), 1, Measure::Count),
            Self::Sliding(log) => {
                (Sliding::grain().width(), log.slots(), resolution.as_micros() as u64, Measure::Count)
            }
            Self::Morris(ring) => (resolution, ring.slots(), 1, Measure::Morris { base: ring.base().get() }),
            Self::Custom(_) => {
                (Resolution::MICROSECOND.width(), geometry.slots() + 1, resolution.as_micros() as u64, Measure::Count)
            }
        };
        Form { grain, slots: slots as u64, grains, measure }
    }

    /// The short way of [`record`](Self::record), where there is one: adds `amount` to a tick that has hits already, or
    /// changes nothing.
    #[inline(always)]
    pub fn record_current(&self, geometry: &Geometry, tick: Tick, amount: u64) -> bool {
        match self {
            Self::Striped(striped) => striped.record_current(geometry, tick, amount),
            // In line down to the exchange: that waits for every store before it, and a call is at least one.
            Self::Ring(ring) => ring.record_current(geometry, tick, amount),
            other => other.record_current_other(geometry, tick, amount),
        }
    }

    #[inline(never)]
    fn record_current_other(&self, geometry: &Geometry, tick: Tick, amount: u64) -> bool {
        match self {
            Self::Sparse(cells) => cells.sparse().record_current(geometry, tick, amount),
            Self::Fixed(fixed) => fixed.record_current(tick, amount),
            Self::Morris(ring) => ring.record_current(geometry, tick, amount),
            Self::Sliding(_) | Self::Custom(_) | Self::Striped(_) | Self::Ring(_) => false,
        }
    }

    /// Counts `amount` hits at `tick`.
    #[inline(never)]
    pub fn record(&self, geometry: &Geometry, tick: Tick, amount: u64) -> Added {
        Added::Done(match self {
            Self::Striped(striped) => striped.record(geometry, tick, amount),
            Self::Ring(ring) => ring.record(geometry, tick, amount),
            Self::Fixed(fixed) => fixed.record(tick, amount),
            Self::Sliding(log) => log.record(tick, amount),
            Self::Morris(ring) => ring.record(geometry, tick, amount),
            Self::Sparse(_) if amount == 0 => Outcome::Counted,
            Self::Sparse(cells) => return cells.record(geometry, tick, amount),
            Self::Custom(_) if amount == 0 => Outcome::Counted,
            Self::Custom(custom) => {
                let outcome = custom.counter.record(Resolution::MICROSECOND.start(tick), amount);
                if !outcome.is_counted() {
                    custom.tally.add(outcome, amount);
                }
                outcome
            }
        })
    }

    /// Notes hits that were refused before they came here.
    pub fn refuse(&self, geometry: &Geometry, outcome: Outcome, amount: u64) {
        match self {
            Self::Striped(striped) => striped.refuse(geometry, outcome, amount),
            Self::Ring(ring) => ring.refuse(outcome, amount),
            Self::Fixed(fixed) => fixed.refuse(outcome, amount),
            Self::Sliding(log) => log.refuse(outcome, amount),
            Self::Morris(ring) => ring.refuse(outcome, amount),
            Self::Sparse(cells) => cells.note(outcome, amount),
            Self::Custom(custom) => custom.tally.add(outcome, amount),
        }
    }

    /// The hits of `span`, if the last query's sum serves, exactly.
    #[inline]
    pub fn recall(&self, geometry: &Geometry, span: Span) -> Option<u64> {
        match self {
            Self::Striped(striped) => striped.recall(geometry, span),
            Self::Ring(ring) => ring.recall(geometry, span),
            _ => None,
        }
    }

    /// The hits of `span`; with `remember` what is found may be kept for the next query.
    pub fn sum(&self, geometry: &Geometry, span: Span, remember: bool) -> Reading {
        match self {
            Self::Striped(striped) => striped.sum(geometry, span, remember),
            Self::Ring(ring) => ring.sum(geometry, span, remember),
            Self::Fixed(fixed) => fixed.sum(span, remember),
            Self::Sliding(log) => log.sum(span),
            Self::Morris(ring) => ring.sum(geometry, span),
            Self::Sparse(cells) => cells.sparse().sum(geometry, span),
            Self::Custom(custom) => {
                let at = Resolution::MICROSECOND.start(span.to);
                match custom.counter.count(at, Duration::from_micros(span.len())) {
                    Some(count) => Reading::exact(count),
                    None => Reading { count: 0, exact: false },
                }
            }
        }
    }

    /// The newest input tick that has a hit.
    #[must_use]
    pub fn newest(&self, geometry: &Geometry) -> Tick {
        match self {
            Self::Striped(striped) => striped.newest(),
            Self::Ring(ring) => ring.newest(),
            Self::Fixed(fixed) => fixed.newest(),
            Self::Sliding(log) => log.newest(),
            Self::Morris(ring) => ring.newest(),
            Self::Sparse(cells) => cells.sparse().newest(geometry),
            Self::Custom(custom) => Resolution::MICROSECOND.tick(custom.counter.newest()),
        }
    }

    /// What is held, see [`form`](Self::form); a tick may come several times, its counts then add up.
    #[must_use]
    pub fn cells(&self, geometry: &Geometry) -> Vec<Cell> {
        match self {
            Self::Striped(striped) => striped.cells(geometry).collect(),
            Self::Ring(ring) => ring.cells(geometry).collect(),
            Self::Fixed(fixed) => fixed.cells().collect(),
            Self::Sliding(log) => log.cells().collect(),
            Self::Morris(ring) => ring.cells(geometry),
            Self::Sparse(cells) => cells.sparse().cells(geometry).collect(),
            Self::Custom(custom) => {
                let cell = |(at, count)| Cell { tick: Resolution::MICROSECOND.tick(at), count };
                custom.counter.cells().into_iter().map(cell).filter(|cell| cell.count > 0).collect()
            }
        }
    }

    /// The all-time register of a Morris counter, else 0.
    #[must_use]
    pub fn ever(&self) -> u64 {
        match self {
            Self::Morris(ring) => ring.ever(),
            _ => 0,
        }
    }

    /// The first tick of the resolution that is still known, where older ones were forgotten for room.
    #[must_use]
    pub fn forgotten(&self) -> Tick {
        match self {
            // unnoticed: the value alone is used
            Self::Sparse(cells) => cells.forgotten.load(Ordering::Acquire),
            _ => Tick(0),
        }
    }

    /// Ticks of the resolution whose hits were dropped for room.
    #[must_use]
    pub fn dropped(&self) -> Vec<Tick> {
        match self {
            Self::Sliding(log) => log.dropped(),
            _ => Vec::new(),
        }
    }

    /// How many cells, timestamps or registers hold something.
    #[must_use]
    pub fn entries(&self, geometry: &Geometry) -> u64 {
        match self {
            Self::Sliding(log) => log.entries(),
            other => other.cells(geometry).len() as u64,
        }
    }

    /// What became of all hits since the counter was made.
    #[must_use]
    pub fn outcomes(&self, geometry: &Geometry) -> Outcomes {
        match self {
            Self::Striped(striped) => striped.outcomes(geometry),
            Self::Ring(ring) => ring.outcomes(geometry),
            Self::Fixed(fixed) => fixed.outcomes(),
            Self::Sliding(log) => log.outcomes(),
            Self::Morris(ring) => ring.outcomes(geometry),
            Self::Sparse(cells) => {
                // Before the words, so that what was retired is never seen twice.
                let (retired, late) = (cells.retired.load(Ordering::Acquire), cells.late.load(Ordering::Acquire));
                let mut outcomes = Outcomes::from_array([retired, late, 0, 0, 0]);
                cells.sparse().cells(geometry).for_each(|cell| outcomes.add(Outcome::Counted, cell.count));
                outcomes
            }
            Self::Custom(custom) => {
                let mut outcomes = custom.tally.read();
                outcomes.add(Outcome::Counted, custom.counter.counted());
                outcomes
            }
        }
    }

    /// Reads a word of each cache line that a sum reads in line, so that the caller waits for those of several counters
    /// at once.
    pub fn touch(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.touch(),
            _ => 0,
        }
    }

    /// How many cells from `first` on there are, up to `most`: it stops there.
    pub fn cells_since(&self, geometry: &Geometry, first: Tick, most: usize) -> usize {
        let since = |cell: &Cell| first <= cell.tick;
        match self {
            Self::Striped(striped) => striped.cells(geometry).filter(since).take(most).count(),
            Self::Ring(ring) => ring.cells(geometry).filter(since).take(most).count(),
            other => other.cells(geometry).iter().filter(|cell| since(cell)).take(most).count(),
        }
    }

    /// How many hits records have pushed out since this was last asked, where each hit is kept by itself.
    pub fn take_pushed_out(&self) -> u64 {
        match self {
            Self::Sliding(sliding) => sliding.take_pushed_out(),
            _ => 0,
        }
    }

    /// Drops what left every window before `tick` of the resolution, where that frees memory; answers how many hits
    /// that were.
    pub fn prune(&self, tick: Tick) -> u64 {
        match self {
            Self::Sliding(log) => log.prune_before(tick),
            _ => 0,
        }
    }

    /// Forgets all hits, but not what became of them. Sparse and custom counters are never reset: they are dropped.
    pub fn reset(&self, geometry: &Geometry) {
        match self {
            Self::Striped(striped) => striped.reset(geometry),
            Self::Ring(ring) => ring.reset(geometry),
            Self::Fixed(fixed) => fixed.reset(),
            Self::Sliding(log) => log.reset(),
            Self::Morris(ring) => ring.reset(geometry),
            Self::Sparse(_) | Self::Custom(_) => {}
        }
    }

    /// The bytes the counter takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Striped(striped) => striped.bytes(),
                Self::Ring(ring) => ring.bytes() - size_of::<Ring>(),
                Self::Fixed(fixed) => fixed.bytes(),
                Self::Sliding(log) => log.bytes(),
                Self::Morris(ring) => ring.bytes(),
                Self::Sparse(_) => 0,
                Self::Custom(custom) => size_of::<Custom>() + custom.counter.memory_bytes(),
            }
    }
}
