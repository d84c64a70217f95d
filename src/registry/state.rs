//! The state of a registry, and the methods that all its operations need.
//!
//! Tests: `tests/registry`.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use papaya::LocalGuard;

use super::aging::Aging;
use super::graves::Graves;
use super::ledger::Ledger;
use super::map::{Endpoints, Found};
use crate::cell::outcome::{Outcome, Outcomes, Tally};
use crate::counter::query::Times;
use crate::counter::strategy::Strategy;
use crate::endpoint::Shared;
use crate::events::watch::Watch;
use crate::sketch::hyperloglog::precision::Precision;
use crate::sketch::uniques::Parts;
use crate::sync::table::Table;
use crate::sync::threads;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, Typed};
use crate::time::Tick;
use crate::window::geometry::Geometry;

/// What happens to the hit of a new endpoint when the registry is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// The hit is `Refused`, unless an idle endpoint is found. Each hit prunes 16 endpoints at most, so a hit may be
    /// refused before the idle ones are found.
    #[default]
    Refuse,
    /// The endpoint that has been idle for longest and has no handle is dropped, with its hits. Each hit looks at 32 at
    /// most. If all of those were hit since the last look, the idlest of the 32 is dropped.
    Prune,
}

/// Counts hits by endpoint, and reports how many each had in the last N seconds.
///
/// An endpoint is any name of 1 to 1,024 bytes. Its first hit creates it. It is dropped when it has been idle for
/// longer than the window and room is needed, or when [`prune`](Self::prune) is called.
///
/// ```
/// use hitring::{Registry, Strategy};
/// use std::time::Duration;
///
/// let registry = Registry::builder().strategy(Strategy::Adaptive).build()?;
/// registry.record_hit("/home", 1)?;
/// registry.record_hit("/about", 2)?;
/// assert_eq!(registry.query_hits("/home", Duration::from_secs(60))?, 1);
/// assert_eq!(registry.total(Duration::from_secs(60))?, 3);
///
/// let home = registry.counter("/home")?; // no look-up from here on
/// assert!(home.record(1).is_counted());
/// assert_eq!(registry.top(1, Duration::from_secs(60))?[0].0, "/about");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry {
    pub(super) core: Arc<Core>,
}

/// The state of a registry.
pub struct Core {
    pub(super) times: Times,
    pub(super) geometry: Geometry,
    /// How the time is divided for visitors.
    pub(super) parts: Parts,
    pub(super) watch: Watch,
    pub(super) map: Endpoints,
    /// Counted hits that are not held any more, and refused hits; by thread.
    pub(super) tallies: Table<CachePadded<Tally>>,
    /// The same, for threads without an id.
    pub(super) tally: Tally,
    pub(super) generations: AtomicU64,
    /// The newest tick that has a hit.
    pub(super) newest: Typed<Tick>,
    pub(super) len: AtomicUsize,
    pub(super) max_endpoints: usize,
    pub(super) when_full: WhenFull,
    pub(super) strategy: Mutex<Strategy>,
    pub(super) aging: Aging,
    /// The removals; locked for a moment only.
    pub(super) graves: Mutex<Graves>,
    pub(super) ledger: Mutex<Ledger>,
}

impl Core {
    pub fn new(
        geometry: Geometry,
        times: Times,
        precision: Precision,
        strategy: Strategy,
        max_endpoints: usize,
        when_full: WhenFull,
    ) -> Self {
        Self {
            times,
            parts: Parts::new(&geometry, precision),
            geometry,
            watch: Watch::new(),
            map: Endpoints::new(),
            tallies: Table::new(),
            tally: Tally::default(),
            generations: AtomicU64::new(0),
            newest: Typed::new(Tick(0)),
            len: AtomicUsize::new(0),
            max_endpoints,
            when_full,
            strategy: Mutex::new(strategy),
            aging: Aging::new(),
            graves: Mutex::new(Graves::default()),
            ledger: Mutex::new(Ledger::new()),
        }
    }

    pub fn times(&self) -> &Times {
        &self.times
    }

    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The first tick that is known for names without an endpoint.
    pub fn forgotten(&self) -> Tick {
        self.aging.forgotten()
    }

    pub fn parts(&self) -> Parts {
        self.parts
    }

    pub fn window(&self) -> Duration {
        self.geometry.resolution().width() * self.geometry.window()
    }

    pub fn max_endpoints(&self) -> usize {
        self.max_endpoints
    }

    pub fn when_full(&self) -> WhenFull {
        self.when_full
    }

    pub fn strategy(&self) -> Strategy {
        self.strategy.lock().clone()
    }

    pub fn set_strategy(&self, strategy: &Strategy) {
        *self.strategy.lock() = strategy.clone();
    }

    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The newest hit's tick, as far as the long way has seen it.
    pub fn newest(&self) -> Tick {
        self.newest.load(Ordering::Acquire)
    }

    /// Notes that there is a hit at `tick`.
    pub fn raise_newest(&self, tick: Tick) {
        self.newest.raise(tick, Ordering::Release);
    }

    /// The tick now.
    #[inline(always)]
    pub fn tick(&self) -> Tick {
        self.times.tick()
    }

    pub fn guard(&self) -> LocalGuard<'_> {
        self.map.guard()
    }

    pub fn shared(&self) -> Shared<'_> {
        Shared { geometry: &self.geometry, tally: self.own_tally(), generations: &self.generations }
    }

    fn own_tally(&self) -> &Tally {
        let own = threads::current().and_then(|id| self.tallies.get_or_insert_with(id, CachePadded::default));
        own.map_or(&self.tally, |tally| tally)
    }

    /// Notes hits that no endpoint took.
    pub fn note(&self, outcome: Outcome, amount: u64) {
        self.own_tally().add(outcome, amount);
    }

    /// The outcomes that were noted outside of the endpoints.
    pub fn noted(&self) -> Outcomes {
        self.tallies.iter().map(|tally| tally.read()).fold(self.tally.read(), Outcomes::plus)
    }

    /// The endpoint of `name`.
    #[inline]
    pub fn get<'g>(&self, name: &str, guard: &'g LocalGuard<'_>) -> Option<Found<'g>> {
        self.map.get(name, guard)
    }

    /// All endpoints, in no order.
    pub fn all<'g>(&self, guard: &'g LocalGuard<'_>) -> impl Iterator<Item = (&'g str, Found<'g>)> {
        self.map.iter(guard)
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("len", &self.len()).finish_non_exhaustive()
    }
}
