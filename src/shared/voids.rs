//! [`Voids`]: how many hits in the slots of each life are void, though their ticks are not before the first that counts.
//!
//! A slot keeps its full count, as copies of it elsewhere do (cell/removal.rs), and readers subtract the void hits. Their number
//! follows from the removals and the shares, so it is not stored. Each process computes it when it reads a life that has void
//! hits in the span, and keeps it until the next merge into the file.
//!
//! | life | void at a tick |
//! |---|---|
//! | of the file's own | the finds of a removal of its own writer, and the hits of each frozen share that the removal voids |
//! | of merged hits | the finds of a removal of the writer, less the void hits in that writer's frozen share |
//!
//! Tests: `tests/shared/exchange.rs`, `tests/shared/fleet.rs`.

use std::collections::BTreeMap;

use super::book::Book;
use super::format::layout::Hot;
use super::format::lives::Life;
use crate::cell::removal;
use crate::sync::Ordering;
use crate::time::Tick;
use crate::window::geometry::Geometry;
use crate::window::{Reading, Span};

/// See the module's header.
#[derive(Debug, Default)]
pub struct Voids {
    /// The number of merges into the file when this was computed.
    pub heard: u64,
    /// By life and tick.
    lives: BTreeMap<usize, removal::FoundHits>,
}

impl Voids {
    /// The counts of the ticks of `span` that count.
    pub fn sum(&self, life: Life<'_>, geometry: &Geometry, span: Span) -> Reading {
        let Some(void) = self.lives.get(&life.index()) else { return life.sum(geometry, span) };
        let mut sum = Reading::NONE;
        // Each slot is read once, so that a concurrent hit is in both numbers or in neither.
        let mut first = span.first;
        for (&tick, &hits) in void.range(span.first..=span.to) {
            if first < tick {
                sum = sum.plus(life.sum(geometry, Span { first, to: Tick(tick.0 - 1) }));
            }
            let of_tick = life.sum(geometry, Span { first: tick, to: tick });
            sum = sum.plus(Reading { count: of_tick.count.saturating_sub(hits), ..of_tick });
            first = Tick(tick.0 + 1);
        }
        if first <= span.to { sum.plus(life.sum(geometry, Span { first, to: span.to })) } else { sum }
    }
}

#[cfg(feature = "cli")]
impl Voids {
    /// Adds the count of each tick of `span` that counts to that of `sums` which is as far from the first.
    pub fn add_to(&self, life: Life<'_>, geometry: &Geometry, span: Span, sums: &mut [u64]) {
        if !self.lives.contains_key(&life.index()) {
            return life.add_to(geometry, span, sums);
        }
        for (tick, sum) in (span.first.0..=span.to.0).map(Tick).zip(sums) {
            *sum = sum.saturating_add(self.sum(life, geometry, Span { first: tick, to: tick }).count);
        }
    }
}

impl Book<'_> {
    /// The void hits of all lives that are alive.
    pub fn voids(self) -> Voids {
        let heard = self.sections.hot(Hot::Heard).load(Ordering::Acquire);
        let removals = self.removals();
        let frozen = self.frozen_of(|life| removals.contains_key(&life.name()));
        let form = self.form();
        let resolution = self.header.layout.geometry.resolution();
        let mut lives = BTreeMap::new();
        for life in self.alive() {
            let Some(removal) = removals.get(&life.name()).filter(|removal| removal.epoch > 0) else { continue };
            let shares = frozen.get(&life.index());
            let own = removal.voids(self.own(life), life.epoch());
            let mut void: removal::FoundHits = own.found().cloned().unwrap_or_default();
            for (&writer, share) in shares.into_iter().flatten() {
                let voids = removal.voids(writer, share.epoch);
                let left = voids.left(&share.to_cells(), form, resolution);
                let mut of = share.cells.clone();
                left.iter().for_each(|cell| *of.entry(cell.tick).or_default() -= cell.count);
                of.retain(|_, hits| *hits > 0);
                for (tick, hits) in of {
                    let sum = void.entry(tick).or_default();
                    *sum = sum.saturating_add(hits);
                }
            }
            if !void.is_empty() {
                lives.insert(life.index(), void);
            }
            for other in self.merged(life) {
                let Some(writer) = other.writer() else { continue };
                let voids = removal.voids(writer, other.epoch());
                let share = shares.and_then(|shares| shares.get(&writer));
                let in_share = |tick: &Tick| share.and_then(|share| share.cells.get(tick)).copied().unwrap_or(0);
                let rest = |(&tick, &hits): (&Tick, &u64)| (tick, hits.saturating_sub(in_share(&tick)));
                let mut void: removal::FoundHits = voids.found().into_iter().flatten().map(rest).collect();
                void.retain(|_, hits| *hits > 0);
                if !void.is_empty() {
                    lives.insert(other.index(), void);
                }
            }
        }
        Voids { heard, lives }
    }

    /// Notes which lives have void hits, and tells all processes that the removals have changed.
    pub fn tell_voids(self) {
        for (&index, void) in &self.voids().lives {
            if let (Some(life), Some((&last, _))) = (self.sections.lives.get(index), void.last_key_value()) {
                life.void_until(last);
            }
        }
        self.sections.hot(Hot::Heard).fetch_add(1, Ordering::AcqRel);
    }
}
