//! What leaves a file and comes into it: snapshots, merges.
//!
//! A file's own hits are those of its replica, under one generation for each life. Hits of other writers lie in lives of their
//! own, one for each endpoint and writer, whose slots are raised to what a snapshot says: taking the same in again changes
//! nothing. Merges take turns under the file's lock; recorders and readers go on beside them.
//!
//! | a snapshot says | here |
//! |---|---|
//! | a name was removed | what that voids of its hits here counts no more ([`Removal`]); the life goes on |
//! | hits that a removal voids, which one of the two knows | left out; `merge` answers how many that were |
//! | cells of this file's replica | left out: the slots have them |
//! | cells of a writer from before this file's replica | only what is more than the frozen share (frozen.rs) |
//! | cells by the microsecond | added up by tick |
//! | cells of buckets longer than a tick, estimates | refused: a slot holds the hits of one tick, counted |

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::core::{Sections, hash};
use super::frozen::{self, Frozen, Shares};
use super::header::Header;
use super::layout::Hot;
use super::lives::Life;
use super::names::LAST_EPOCH;
use super::others::Others;
use crate::cell::form::{Cell, Form, Measure, in_order};
use crate::cell::removal::{self, Removal};
use crate::cell::totals::Totals;
use crate::cell::writer::{Replica, Writer};
use crate::counter::strategy::Strategy;
use crate::error::SnapshotError;
use crate::registry::snapshot::{EndpointCells, RegistrySnapshot, Removed, WriterCells};
use crate::sketch::uniques::Parts;
use crate::sync::Ordering;
use crate::time::Tick;
use crate::window::geometry::Geometry;

/// A file's sections with what its header says of them.
#[derive(Clone, Copy, Debug)]
pub struct Book<'a> {
    pub sections: Sections<'a>,
    pub header: &'a Header,
}

impl<'a> Book<'a> {
    pub fn others(self) -> Others<'a> {
        Others { words: self.sections.others, used: self.sections.hot(Hot::Others) }
    }

    fn parts(self) -> Parts {
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

    /// The last tick that there is: what a damaged word says beyond it leaves no file, as nobody could read it back.
    fn last_tick(self) -> Tick {
        self.header.layout.geometry.resolution().last_tick()
    }

    /// The slots of a life that have hits which count.
    pub fn row(self, life: Life<'a>) -> impl Iterator<Item = Cell> + 'a {
        let last = self.last_tick();
        let from = life.from();
        life.row().cells(&self.header.layout.geometry).filter(move |cell| cell.tick <= last && cell.tick >= from)
    }

    /// What is frozen of each life.
    pub fn frozen(self) -> Frozen {
        frozen::read(self.sections.frozen, self.header.version, self.last_tick())
    }

    /// Every living life of the file's own.
    pub fn alive(self) -> impl Iterator<Item = Life<'a>> {
        let lives = self.sections.lives;
        lives.iter().filter(|life| life.is_alive() && !life.is_foreign() && life.name() != 0)
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

    /// Who counted in a life of merged hits.
    pub fn writer_of(self, life: Life<'_>) -> Option<Writer> {
        let replica = self.others().replica(life.lost().load(Ordering::Acquire).checked_sub(1)? as usize)?;
        Some(Writer { replica, generation: life.known().load(Ordering::Acquire) })
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
            if let Some(writer) = self.writer_of(other) {
                cells.entry(writer).or_default().extend(self.row(other));
            }
        }
        cells.values_mut().for_each(|cells| *cells = in_order(std::mem::take(cells)));
        cells.values_mut().flatten().for_each(|cell| cell.count = cell.count.min(frozen::MOST));
        cells.retain(|_, cells| !cells.is_empty());
        cells
    }

    /// What this file's own replica has counted and refused.
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
        // Before the cells, so that no total is without its cells' hits.
        let own = self.own_totals();
        let mut totals: BTreeMap<_, _> = self.others().iter().collect();
        totals.insert(self.header.replica, own);
        let mut endpoints = BTreeMap::new();
        for life in self.alive() {
            let Some(name) = self.name_of(life) else { continue };
            let shares = frozen.get(&life.index()).into_iter().flatten();
            let mut epochs: BTreeMap<Writer, u64> =
                shares.map(|(&writer, share)| (writer, share.epoch_in(life))).collect();
            let merged = self.merged(life);
            epochs.extend(merged.filter_map(|other| Some((self.writer_of(other)?, self.epoch_of(other, life)))));
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

    /// The epoch in which the writer of `other` counted, a life of merged hits that belongs to `life`. A file of version 1
    /// does not say it.
    pub fn epoch_of(self, other: Life<'_>, life: Life<'_>) -> u64 {
        other.epoch_of_writer().unwrap_or_else(|| life.epoch())
    }

    /// What was removed, by the unit of the name. Which hits were found is in the lives that are over, and in the finds.
    pub fn removals(self) -> BTreeMap<u64, Removal> {
        let (lives, last_tick, frozen) = (self.sections.lives, self.last_tick(), self.frozen());
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
        for life in lives.iter().filter(|life| !life.is_alive() && !life.is_foreign()) {
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

    // -------------------------------------------------------------------------------------------------------- merging

    /// Whether `snapshot` can be taken in at all.
    pub fn check(self, snapshot: &RegistrySnapshot) -> Result<(), SnapshotError> {
        let other = |what| Err(SnapshotError::OtherGeometry { what });
        let layout = &self.header.layout;
        let resolution = layout.geometry.resolution().width();
        let window = resolution * layout.geometry.window();
        if snapshot.resolution != resolution {
            return other(format!("resolution {:?}, not {resolution:?}", snapshot.resolution));
        }
        if snapshot.window != window {
            return other(format!("window {:?}, not {window:?}", snapshot.window));
        }
        if snapshot.precision != layout.precision && snapshot.endpoints.iter().any(|of| !of.seen.is_empty()) {
            let (theirs, ours) = (snapshot.precision.bits(), layout.precision.bits());
            return other(format!("visitors told apart by {theirs} bits, not {ours}"));
        }
        for cells in snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.writers) {
            if cells.form.measure != Measure::Count {
                return other("estimates (morris), which a file of rings cannot hold".to_owned());
            }
            if cells.form.grain > resolution {
                return other(format!("buckets of {:?} (fixed), not of a tick", cells.form.grain));
            }
            // As `Registry`: only microseconds are added up by tick, each by as many as a tick has.
            let grains = (resolution.as_nanos() / cells.form.grain.as_nanos().max(1)) as u64;
            let is_micros = cells.form.grain == crate::time::Resolution::MICROSECOND.width();
            if cells.form.grains != grains || (cells.form.grain < resolution && !is_micros) {
                return other(format!("cells of {:?}", cells.form.grain));
            }
        }
        if snapshot.origin == self.header.replica {
            return Err(SnapshotError::Own);
        }
        if snapshot.inherited.contains(&self.header.replica) {
            return Err(SnapshotError::Forked);
        }
        Ok(())
    }

    /// Takes in `snapshot` at `now`, and answers how many of its hits were left out because they were removed. Under the file's
    /// lock.
    pub fn merge(self, snapshot: &RegistrySnapshot, now: Tick) -> Result<u64, SnapshotError> {
        self.check(snapshot)?;
        let frozen = self.frozen();
        let known = self.removals();
        let heard: BTreeMap<&str, &Removal> =
            snapshot.removed.iter().map(|removed| (&*removed.name, &removed.removal)).collect();
        let (parts, resolution) = (self.parts(), self.header.layout.geometry.resolution());
        let mut left_out = 0;
        let kept = snapshot.endpoints.iter().filter_map(|theirs| {
            let name = self.find(&theirs.name);
            let heard = heard.get(&*theirs.name).copied().unwrap_or(&removal::NONE);
            let mut removal = name.and_then(|name| known.get(&name.unit())).cloned().unwrap_or_default();
            removal.join(heard);
            let kept = theirs.without_removed(&removal, heard, resolution, parts, &mut left_out);
            let is_removed = kept.is_empty() && theirs.epoch < removal.epoch;
            (!is_removed).then_some((kept, removal))
        });
        let (kept, before): (Vec<Cow<'_, EndpointCells>>, Vec<Removal>) = kept.unzip();
        self.check_room(snapshot, &kept, &frozen)?;
        self.sections.hot(Hot::Epoch).fetch_max(snapshot.epoch, Ordering::AcqRel);
        self.hear_of(&snapshot.removed, now);
        for theirs in &kept {
            // So that a life that begins now is of no lower epoch.
            self.find_or_insert(&theirs.name)?.raise_ended(theirs.epoch);
        }
        let mut known = self.removals();
        for (theirs, before) in kept.iter().zip(&before) {
            self.take_in(theirs, before, &frozen, &mut known, &mut left_out)?;
        }
        self.tell_voids();
        for (&replica, &totals) in &snapshot.totals {
            if replica != self.header.replica
                && replica != Replica::FOLDED
                && let Some(row) = self.others().find_or_add(replica)
            {
                self.others().raise(row, totals);
            }
        }
        Ok(left_out)
    }

    /// Whether there is room for all of it: a merge is whole or none.
    fn check_room(
        self,
        snapshot: &RegistrySnapshot,
        kept: &[Cow<'_, EndpointCells>],
        frozen: &Frozen,
    ) -> Result<(), SnapshotError> {
        let (lives, others) = (self.sections.lives, self.others());
        let mut wanted = 0;
        let mut replicas: BTreeSet<_> =
            snapshot.totals.keys().copied().filter(|&replica| replica != Replica::FOLDED).collect();
        for theirs in kept {
            let ours = self.find(&theirs.name).and_then(|name| lives.alive(name));
            let known: BTreeSet<Writer> =
                ours.into_iter().flat_map(|life| self.merged(life)).filter_map(|life| self.writer_of(life)).collect();
            let foreign = theirs.writers.iter().filter(|cells| {
                let writer = cells.writer;
                let shares = ours.and_then(|life| frozen.get(&life.index()));
                writer.replica != self.header.replica && !known.contains(&writer) && !beyond(cells, shares).is_empty()
            });
            wanted += usize::from(ours.is_none()) + foreign.count();
            replicas.extend(theirs.writers.iter().map(|cells| cells.writer.replica));
        }
        let new =
            replicas.iter().filter(|&&replica| replica != self.header.replica && others.position(replica).is_none());
        let (endpoints, max_endpoints) = (lives.begun() + wanted, lives.capacity());
        if endpoints > max_endpoints || others.len() + new.count() > others.words.len() / super::layout::OTHER {
            return Err(SnapshotError::NoRoom { endpoints, max_endpoints });
        }
        Ok(())
    }

    fn find(self, name: &str) -> Option<super::names::Name<'a>> {
        self.sections.lives.names.find(hash(self.header.key, name), name)
    }

    fn find_or_insert(self, name: &str) -> Result<super::names::Name<'a>, SnapshotError> {
        let lives = self.sections.lives;
        let (endpoints, max_endpoints) = (lives.begun() + 1, lives.capacity());
        let found = lives.names.find_or_insert(hash(self.header.key, name), name);
        found.map_err(|_| SnapshotError::NoRoom { endpoints, max_endpoints })
    }

    /// Takes in removals elsewhere at `now`. Lives of the names outlive them, without the hits that they void.
    ///
    /// Where there is no room for what they found, the whole tick of a removal is void.
    pub fn hear_of(self, removed: &[Removed], now: Tick) {
        let slots = self.header.layout.geometry.slots() as u64;
        let expired = Tick((now.0 + 1).saturating_sub(slots));
        let mut finds = self.sections.finds.write(expired);
        for Removed { name, removal } in removed {
            // Of a name that never was here the epoch is kept for a life that may come, as long as there is room for names.
            let Ok(name) = self.find_or_insert(name) else { continue };
            let found = removal.found.iter().flat_map(|(&writer, found)| found.iter().map(move |of| (writer, of)));
            let wanted = found.filter(|&(_, (&tick, _))| tick >= expired);
            let told = wanted.map(|(writer, (&tick, &hits))| finds.tell((name.unit(), writer, tick), hits));
            let is_told = told.fold(true, |all, told| all & told);
            name.ended_at().fetch_max(removal.at.0 + u64::from(!is_told), Ordering::AcqRel);
            name.raise_ended(removal.epoch);
            let (epoch, at) = (name.ended(), Tick(name.ended_at().load(Ordering::Acquire)));
            let removal = Removal { epoch, at, found: BTreeMap::new() };
            let Some(life) = self.sections.lives.alive(name) else { continue };
            life.void_before(removal.voids(self.own(life), life.epoch()).before());
            for other in self.merged(life) {
                if let Some(writer) = self.writer_of(other) {
                    other.void_before(removal.voids(writer, self.epoch_of(other, life)).before());
                }
            }
        }
    }

    /// Takes in what is left of an endpoint without what `before` voids.
    fn take_in(
        self,
        theirs: &EndpointCells,
        before: &Removal,
        frozen: &Frozen,
        known: &mut BTreeMap<u64, Removal>,
        left_out: &mut u64,
    ) -> Result<(), SnapshotError> {
        let lives = self.sections.lives;
        let (endpoints, max_endpoints) = (lives.begun() + 1, lives.capacity());
        let full = || SnapshotError::NoRoom { endpoints, max_endpoints };
        let name = self.find_or_insert(&theirs.name)?;
        let life = lives.begin(name).map_err(|_| full())?;
        // Another process may have removed the name since `known` was read. A life that began after a removal is of its epoch, and
        // must not be given what the removal voids. Of a life that is removed later all goes.
        if life.epoch() > known.get(&name.unit()).map_or(0, |removal| removal.epoch) {
            *known = self.removals();
        }
        let (parts, resolution) = (self.parts(), self.header.layout.geometry.resolution());
        let removal = known.get(&name.unit()).cloned().unwrap_or_default();
        let theirs = theirs.without_removed(&removal, before, resolution, parts, left_out);
        life.known().fetch_max(theirs.forgotten.0, Ordering::AcqRel);
        for cells in theirs.writers.iter().filter(|cells| cells.writer.replica != self.header.replica) {
            let cells_beyond = beyond(cells, frozen.get(&life.index()));
            let geometry = &self.header.layout.geometry;
            life.known().fetch_max(forgotten_by(cells, geometry), Ordering::AcqRel);
            let known = self.merged(life).find(|&other| self.writer_of(other) == Some(cells.writer));
            let other = match known {
                Some(other) => other,
                None if cells_beyond.is_empty() => continue,
                None => self.add_writer(life, name, cells.writer, Some(cells.epoch)).ok_or_else(full)?,
            };
            cells_beyond.into_iter().for_each(|cell| other.row().raise(geometry, cell));
        }
        self.sections.visitors.join(life, &theirs.seen);
        Ok(())
    }

    /// A life for the hits of `writer` in `life`.
    pub fn add_writer(
        self,
        life: Life<'a>,
        name: super::names::Name<'a>,
        writer: Writer,
        epoch: Option<u64>,
    ) -> Option<Life<'a>> {
        let row = self.others().find_or_add(writer.replica)?;
        let other = self.sections.lives.begin_foreign(name).ok()?;
        other.known().store(writer.generation, Ordering::Relaxed);
        other.lost().store(row as u64 + 1, Ordering::Relaxed);
        if let Some(epoch) = epoch {
            other.set_epoch(epoch);
        }
        other.merged().store(life.merged().load(Ordering::Acquire), Ordering::Relaxed);
        // Whoever follows the link sees what it leads to.
        life.merged().store(other.index() as u64 + 1, Ordering::Release);
        Some(other)
    }
}

/// A writer's cells by tick, those by the microsecond added up.
pub fn by_tick(cells: &WriterCells) -> Vec<Cell> {
    let grains = cells.form.grains.max(1);
    in_order(cells.cells.iter().map(|cell| Cell { tick: Tick(cell.tick.0 / grains), count: cell.count }).collect())
}

/// What of a writer's cells is more than its share in `frozen`, those of a life.
fn beyond(cells: &WriterCells, frozen: Option<&Shares>) -> Vec<Cell> {
    let share = frozen.and_then(|shares| shares.get(&cells.writer));
    let of = |tick: Tick| share.and_then(|share| share.cells.get(&tick)).copied().unwrap_or(0);
    let rest = by_tick(cells).into_iter().map(|cell| Cell { count: cell.count.saturating_sub(of(cell.tick)), ..cell });
    rest.filter(|cell| cell.count > 0).collect()
}

/// The first tick that is known of a writer: a ring of fewer slots, or a log that was full, has forgotten what a ring of
/// `geometry` would take for no hits.
pub fn forgotten_by(cells: &WriterCells, geometry: &Geometry) -> u64 {
    let dropped = cells.dropped.last().map_or(0, |tick| tick.0 + 1);
    let slots = cells.form.slots.max(1);
    if slots >= geometry.slots() as u64 {
        return dropped;
    }
    let newest = by_tick(cells).last().map_or(0, |cell| cell.tick.0);
    dropped.max((newest + 1).saturating_sub(slots))
}
