//! [`Book`]: a file as a reader finds it, with its hits by name, writer and tick, and its removals.
//!
//! Tests: `tests/shared/exchange.rs`, `tests/shared/fleet.rs`.

use std::collections::BTreeMap;

use super::format::frozen::{self, Frozen, Shares};
use super::format::header::Header;
use super::format::layout::Hot;
use super::format::lives::Life;
use super::format::names::LAST_EPOCH;
use super::format::others::Others;
use super::format::sections::{Sections, hash};
use crate::cell::form::{Cell, Form, Measure, in_order};
use crate::cell::removal::{self, Removal};
use crate::cell::totals::Totals;
use crate::cell::writer::Writer;
use crate::counter::strategy::Strategy;
use crate::registry::replicas::Replicas;
use crate::registry::snapshot::{EndpointCells, RegistrySnapshot, Removed, WriterCells};
use crate::sketch::uniques::Parts;
use crate::sync::Ordering;
use crate::time::Tick;

/// A file's sections with what its header says of them.
#[derive(Clone, Copy, Debug)]
pub struct Book<'a> {
    pub sections: Sections<'a>,
    pub header: &'a Header,
}

impl<'a> Book<'a> {
    pub fn others(self) -> Others<'a> {
        Others { words: self.sections.others, merges: self.sections.hot(Hot::Others) }
    }

    /// The totals of other registries. Leaves out this file's own, which are there if a process was killed before it began a new
    /// writer.
    pub fn known(self) -> Replicas {
        let mut known = self.others().read();
        known.known.remove(&self.header.replica);
        known
    }

    pub fn parts(self) -> Parts {
        Parts::new(&self.header.layout.geometry, self.header.layout.precision)
    }

    /// How its cells are to be read.
    pub fn form(self) -> Form {
        let geometry = &self.header.layout.geometry;
        let (grain, slots) = (geometry.resolution().width(), geometry.slots() as u64);
        Form { grain, slots, grains: 1, measure: Measure::Count }
    }

    /// The name of a life.
    pub fn name_of(self, life: Life<'_>) -> Option<String> {
        let name = self.sections.lives.names.get(life.name())?;
        name.text(|name| hash(self.header.key, name))
    }

    /// The last possible tick. Later ticks, from damaged words, do not leave the file, because they could not be read back.
    fn last_tick(self) -> Tick {
        self.header.layout.geometry.resolution().last_tick()
    }

    /// The slots of a life that have hits which count.
    pub fn row(self, life: Life<'a>) -> impl Iterator<Item = Cell> + 'a {
        let last = self.last_tick();
        let from = life.from();
        life.row().cells(&self.header.layout.geometry).filter(move |cell| cell.tick <= last && cell.tick >= from)
    }

    /// The frozen cells of each life.
    pub fn frozen(self) -> Frozen {
        frozen::read(self.sections.frozen, self.last_tick())
    }

    /// The frozen cells of the `wanted` lives.
    pub fn frozen_of(self, wanted: impl Fn(Life<'a>) -> bool) -> Frozen {
        self.frozen_lives().filter(|&(life, _)| self.sections.lives.get(life).is_some_and(&wanted)).collect()
    }

    /// The frozen cells, life by life.
    pub fn frozen_lives(self) -> impl Iterator<Item = (usize, Shares)> + use<'a> {
        frozen::lives(self.sections.frozen, self.last_tick())
    }

    /// Every living life of the file's own.
    pub fn alive(self) -> impl Iterator<Item = Life<'a>> {
        let lives = self.sections.lives;
        lives.iter().filter(|life| life.is_alive() && !life.is_merged() && life.name() != 0)
    }

    /// The lives of merged hits that belong to `life`.
    pub fn merged(self, life: Life<'a>) -> impl Iterator<Item = Life<'a>> {
        let lives = self.sections.lives;
        let mut next = life.merged().load(Ordering::Acquire);
        // Each was linked after those behind it, so their numbers go down: a damaged link makes no circle.
        let mut before = u64::MAX;
        std::iter::from_fn(move || {
            let index = next.checked_sub(1).filter(|&index| index < before)?;
            before = index;
            let life = lives.get(index as usize)?;
            next = life.merged().load(Ordering::Acquire);
            Some(life)
        })
    }

    /// The lives of former ledgers that belong to `life` and whose ticks have left the window: their totals can be added to that of
    /// `life`. The latest ledger's life stays.
    pub fn former_ledgers(self, life: Life<'a>, expired: Tick) -> Vec<usize> {
        let ledgers = self.merged(life).filter(|other| other.total() > 0).skip(1);
        let is_over = |other: &Life<'a>| self.row(*other).all(|cell| cell.tick < expired);
        ledgers.filter(is_over).map(Life::index).collect()
    }

    /// All hits that were ever counted in `life`, or decided on for it by a ledger.
    pub fn total(self, life: Life<'a>) -> u64 {
        if life.merged().load(Ordering::Relaxed) == 0 {
            return life.total();
        }
        self.merged(life).map(Life::total).fold(life.total(), u64::saturating_add)
    }

    /// The writer of a life's own hits.
    pub fn own(self, life: Life<'_>) -> Writer {
        Writer { replica: self.header.replica, generation: life.index() as u64 + 1 }
    }

    /// The cells of a life, by writer.
    pub fn cells(self, life: Life<'a>, frozen: &Frozen) -> BTreeMap<Writer, Vec<Cell>> {
        let shares = frozen.get(&life.index());
        let mut cells: BTreeMap<Writer, Vec<Cell>> = BTreeMap::new();
        cells.insert(self.own(life), frozen::without(self.row(life), shares));
        for (&writer, share) in shares.into_iter().flatten() {
            cells.entry(writer).or_default().extend(share.to_cells());
        }
        for other in self.merged(life) {
            if let Some(writer) = other.writer() {
                cells.entry(writer).or_default().extend(self.row(other));
            }
        }
        cells.values_mut().for_each(|cells| *cells = in_order(std::mem::take(cells)));
        cells.values_mut().flatten().for_each(|cell| cell.count = cell.count.min(frozen::MOST));
        cells.retain(|_, cells| !cells.is_empty());
        cells
    }

    /// The hits that this file's own replica has counted and refused.
    pub fn own_totals(self) -> Totals {
        let outcomes = self.sections.outcomes().minus(self.header.began);
        Totals { outcomes, ..Totals::default() }
    }

    /// What the file holds.
    pub fn snapshot(self) -> RegistrySnapshot {
        let (layout, lives) = (&self.header.layout, self.sections.lives);
        let (geometry, parts) = (&layout.geometry, self.parts());
        let (width, last_tick) = (geometry.resolution().width(), self.last_tick());
        let form = self.form();
        let frozen = self.frozen();
        // Read before the cells, so that the cells have every hit of the totals.
        let own = self.own_totals();
        let mut totals = self.known().totals();
        totals.insert(self.header.replica, own);
        let mut endpoints = BTreeMap::new();
        for life in self.alive() {
            let Some(name) = self.name_of(life) else { continue };
            let shares = frozen.get(&life.index()).into_iter().flatten();
            let mut epochs: BTreeMap<Writer, u64> = shares.map(|(&writer, share)| (writer, share.epoch)).collect();
            let merged = self.merged(life);
            epochs.extend(merged.filter_map(|other| Some((other.writer()?, other.epoch()))));
            let writers = self.cells(life, &frozen).into_iter().map(|(writer, cells)| WriterCells {
                writer,
                epoch: epochs.get(&writer).copied().unwrap_or_else(|| life.epoch()),
                form,
                ever: 0,
                cells,
                dropped: Vec::new(),
            });
            let cells = EndpointCells {
                name: name.clone().into(),
                epoch: life.epoch(),
                forgotten: Tick(life.known().load(Ordering::Acquire).min(last_tick.0 + 1)),
                strategy: Strategy::Ring.to_string(),
                writers: writers.collect(),
                seen: self.sections.visitors.cells(life, parts, parts.part(last_tick)),
            };
            endpoints.insert(name, cells);
        }
        let removed = self.removals().into_iter().filter_map(|(unit, removal)| {
            let name = lives.names.get(unit)?.text(|name| hash(self.header.key, name))?;
            Some((name.clone(), Removed { name: name.into(), removal }))
        });
        let removed: BTreeMap<String, Removed> = removed.collect();
        RegistrySnapshot {
            resolution: width,
            window: width * geometry.window(),
            slack: geometry.slack(),
            strategy: Strategy::Ring.to_string(),
            epoch: self.sections.hot(Hot::Epoch).load(Ordering::Acquire).min(LAST_EPOCH),
            origin: self.header.replica,
            inherited: Vec::new(),
            forgotten: Tick(0),
            precision: layout.precision,
            endpoints: endpoints.into_values().collect(),
            removed: removed.into_values().collect(),
            totals,
        }
    }

    /// The removals, by the unit of the name. Their finds are in the lives that are over, and in the finds.
    pub fn removals(self) -> BTreeMap<u64, Removal> {
        let (lives, last_tick) = (self.sections.lives, self.last_tick());
        let (form, resolution) = (self.form(), self.header.layout.geometry.resolution());
        let mut removals = BTreeMap::new();
        for record in lives.names.iter() {
            let last = lives.last(record).filter(|life| !life.is_alive()).map_or(0, Life::removed);
            let epoch = record.ended().max(last);
            let at = Tick(record.ended_at().load(Ordering::Acquire).min(last_tick.0));
            if epoch > 0 {
                removals.insert(record.unit(), Removal { epoch, at, found: BTreeMap::new() });
            }
        }
        let is_over = |life: Life<'_>| !life.is_alive() && !life.is_merged();
        let frozen = self.frozen_of(is_over);
        for life in lives.iter().filter(|&life| is_over(life)) {
            let Some(removal) = removals.get_mut(&life.name()) else { continue };
            for (writer, cells) in self.cells(life, &frozen) {
                let found = removal::find(&cells, form, resolution, removal.at);
                if !found.is_empty() {
                    removal::join(removal.found.entry(writer).or_default(), &found);
                }
            }
        }
        for ((unit, writer, tick), hits) in self.sections.finds.iter() {
            if let Some(removal) = removals.get_mut(&unit).filter(|removal| (removal.at..=last_tick).contains(&tick)) {
                removal::join(removal.found.entry(writer).or_default(), &[(tick, hits)].into());
            }
        }
        removals
    }
}
