//! [`Aging`]: which hits of a registry are no longer known, and when to look for idle endpoints again; [`Roll`]: where
//! to look first.
//!
//! Tests: `tests/registry`.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use crate::sync::{AtomicU64, Mutex, Ordering, Typed};
use crate::time::Tick;

/// Which hits of a registry's endpoints are no longer known, and when to look for idle endpoints again.
#[derive(Debug)]
pub struct Aging {
    /// The first tick that is known for names without an endpoint.
    forgotten: Typed<Tick>,
    /// When a merge prunes again.
    pub(super) due: Typed<Tick>,
    /// When new endpoints begin a round again.
    pub(super) round: Typed<Tick>,
    pub(super) roll: Mutex<Roll>,
    pruned_hits: AtomicU64,
    pruned_endpoints: AtomicU64,
}

impl Aging {
    pub fn new() -> Self {
        let tick = || Typed::new(Tick(0));
        Self {
            forgotten: tick(),
            due: tick(),
            round: tick(),
            roll: Mutex::new(Roll::default()),
            pruned_hits: AtomicU64::new(0),
            pruned_endpoints: AtomicU64::new(0),
        }
    }

    /// The first tick that is known for names without an endpoint.
    pub fn forgotten(&self) -> Tick {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Notes that ticks before `tick` are not known for names without an endpoint.
    pub fn forget_before(&self, tick: Tick) {
        self.forgotten.raise(tick, Ordering::Release);
    }

    /// How many hits and how many endpoints were pruned.
    pub fn pruned(&self) -> (u64, u64) {
        (self.pruned_hits.load(Ordering::Acquire), self.pruned_endpoints.load(Ordering::Acquire))
    }

    pub(super) fn note(&self, hits: u64, endpoints: u64) {
        self.pruned_hits.fetch_add(hits, Ordering::Release);
        self.pruned_endpoints.fetch_add(endpoints, Ordering::Release);
    }
}

/// A place in a [`Roll`]: the tick since which an endpoint is known to be idle, and the hash of its name.
pub type Place = (Tick, u64);

/// The tick of an endpoint that has a handle.
pub const HELD: Tick = Tick(u64::MAX);

/// The hashes of the names of all endpoints, the idlest first, by what was known when each endpoint was last looked at.
///
/// | the tick of a place | means |
/// |---|---|
/// | 0 | the endpoint was not looked at yet |
/// | up to the newest hit of the registry | the newest hit of the endpoint, when it was looked at |
/// | one beyond it | the endpoint had no hit yet, or could not be ended, when it was looked at |
/// | [`HELD`] | the endpoint had a handle, when it was looked at |
///
/// A hit does not move a place, nor does a dropped handle. Newest hits only become newer, so an endpoint whose newest
/// hit is that of the first place is the idlest of all without a handle. The hash of a removed endpoint stays until a
/// look finds it. An endpoint that was made anew may be here twice, until both places were looked at.
#[derive(Debug, Default)]
pub struct Roll {
    places: BTreeSet<Place>,
    /// The place that the round has reached.
    at: Place,
    /// How many looks are left in the round.
    left: usize,
    /// The last held endpoint that was checked for handles.
    held: u64,
    /// How many looks there ever were.
    #[cfg(test)]
    pub(super) looks: usize,
}

impl Roll {
    pub(super) fn enter(&mut self, place: Place) {
        self.places.insert(place);
    }

    pub(super) fn leave(&mut self, place: Place) {
        self.places.remove(&place);
    }

    pub(super) fn first(&self) -> Option<Place> {
        self.places.first().copied()
    }

    /// Returns the next held endpoint. Returns `None` after the last, and the next call begins with the first again.
    pub(super) fn next_held(&mut self) -> Option<Place> {
        let next = self.after((HELD, self.held));
        self.held = next.map_or(0, |(_, hash)| hash);
        next
    }

    fn after(&self, place: Place) -> Option<Place> {
        self.places.range((Excluded(place), Unbounded)).next().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Begins a round over all places, unless a round is under way. A place may move ahead of the round, so the looks
    /// are bounded.
    pub(super) fn begin(&mut self) {
        if self.left == 0 {
            (self.at, self.left) = ((Tick(0), 0), 2 * self.len());
        }
    }

    /// The next place of the round.
    pub(super) fn next(&mut self) -> Option<Place> {
        self.left = self.left.checked_sub(1)?;
        let next = self.after(self.at);
        match next {
            Some(place) => self.at = place,
            None => self.left = 0,
        }
        next
    }
}
