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
//!
//! Tests: `tests/shared/exchange.rs`, `tests/shared/fleet.rs`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::format::frozen::{Frozen, Shares};
use super::format::layout::Hot;
use super::format::lives::Life;
use super::format::names::Names;
use super::format::sections::hash;
use crate::cell::form::{Cell, Measure, in_order};
use crate::cell::removal::{self, Removal};
use crate::cell::writer::Writer;
use crate::error::SnapshotError;
use crate::registry::snapshot::{EndpointCells, RegistrySnapshot, Removed, WriterCells};
use crate::sync::Ordering;
use crate::time::Tick;
use crate::window::geometry::Geometry;

impl<'a> Book<'a> {
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
        let names: BTreeSet<u64> =
            snapshot.endpoints.iter().filter_map(|theirs| self.find(&theirs.name)).map(|name| name.unit()).collect();
        let frozen = self.frozen_of(|life| names.contains(&life.name()));
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
        self.check_room(&kept, &frozen)?;
        // Before anything that is seen: the room that was found for names is not left to removals, or to others that record.
        for theirs in &kept {
            self.find_or_insert(&theirs.name)?;
        }
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
        let geometry = &self.header.layout.geometry;
        let mut others = self.known();
        others.hear(snapshot, self.header.replica, geometry, now);
        self.others().write(others, ring_before(now, geometry));
        Ok(left_out)
    }

    /// Whether there is room for all of it: a merge is whole or none.
    fn check_room(self, kept: &[Cow<'_, EndpointCells>], frozen: &Frozen) -> Result<(), SnapshotError> {
        let lives = self.sections.lives;
        let mut wanted = 0;
        for theirs in kept {
            let ours = self.find(&theirs.name).and_then(|name| lives.alive(name));
            let known: BTreeSet<Writer> =
                ours.into_iter().flat_map(|life| self.merged(life)).filter_map(Life::writer).collect();
            let foreign = theirs.writers.iter().filter(|cells| {
                let writer = cells.writer;
                let shares = ours.and_then(|life| frozen.get(&life.index()));
                writer.replica != self.header.replica && !known.contains(&writer) && !beyond(cells, shares).is_empty()
            });
            wanted += usize::from(ours.is_none()) + foreign.count();
        }
        // Removals take room as well, but only what these leave.
        let names = lives.names;
        let new_names = kept.iter().filter(|theirs| self.find(&theirs.name).is_none());
        let bytes: usize = new_names.map(|theirs| Names::room(&theirs.name) * 8).sum();
        let free = names.arena.len() * 8 - (names.used.load(Ordering::Relaxed) as usize * 8).min(names.arena.len() * 8);
        if bytes > free {
            return Err(SnapshotError::NoNameRoom { bytes, free });
        }
        let (endpoints, max_endpoints) = (lives.begun() + wanted, lives.capacity());
        if endpoints > max_endpoints {
            return Err(SnapshotError::NoRoom { endpoints, max_endpoints });
        }
        Ok(())
    }

    fn find(self, name: &str) -> Option<super::format::names::Name<'a>> {
        self.sections.lives.names.find(hash(self.header.key, name), name)
    }

    fn find_or_insert(self, name: &str) -> Result<super::format::names::Name<'a>, SnapshotError> {
        let lives = self.sections.lives;
        let (endpoints, max_endpoints) = (lives.begun() + 1, lives.capacity());
        let found = lives.names.find_or_insert(hash(self.header.key, name), name);
        found.map_err(|_| SnapshotError::NoRoom { endpoints, max_endpoints })
    }

    /// Takes in removals elsewhere at `now`. Lives of the names outlive them, without the hits that they void.
    ///
    /// Where there is no room for what they found, the whole tick of a removal is void.
    pub fn hear_of(self, removed: &[Removed], now: Tick) {
        let expired = ring_before(now, &self.header.layout.geometry);
        let mut finds = self.sections.finds.write(expired);
        let names = self.sections.lives.names;
        let has_room = || names.used.load(Ordering::Relaxed) <= names.arena.len() as u64 / 2;
        for Removed { name, removal } in removed {
            // Of a name that never was here the epoch is kept for a life that may come, but not in more than half of the room.
            let Some(name) = self.find(name).or_else(|| has_room().then(|| self.find_or_insert(name).ok())?) else {
                continue;
            };
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
                if let Some(writer) = other.writer() {
                    other.void_before(removal.voids(writer, other.epoch()).before());
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
            let known = self.merged(life).find(|other| other.writer() == Some(cells.writer));
            let other = match known {
                Some(other) => other,
                None if cells_beyond.is_empty() => continue,
                None => self.add_writer(life, name, cells.writer, cells.epoch).ok_or_else(full)?,
            };
            cells_beyond.into_iter().for_each(|cell| other.row().raise(geometry, cell));
        }
        self.sections.visitors.join(life, &theirs.seen);
        Ok(())
    }

    /// A life for the hits of `writer` in `life`, which it counted in `epoch`.
    pub fn add_writer(
        self,
        life: Life<'a>,
        name: super::format::names::Name<'a>,
        writer: Writer,
        epoch: u64,
    ) -> Option<Life<'a>> {
        let other = self.sections.lives.begin_merged(name).ok()?;
        other.set_writer(writer, epoch);
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

/// The first tick of the ring of `geometry` that ends with `now`.
pub fn ring_before(now: Tick, geometry: &Geometry) -> Tick {
    Tick((now.0 + 1).saturating_sub(geometry.slots() as u64))
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
