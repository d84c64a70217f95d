//! Merges snapshots of other registries into a file.
//!
//! A file's own hits are those of its replica, under one generation for each life. Hits of other writers lie in lives of their
//! own, one for each endpoint and writer. A merge raises their slots to the counts of the snapshot, so merging it again changes
//! nothing. Merges take turns under the file's lock, and do not hold up recorders and readers. A merge that finds too little
//! room changes nothing, because it keeps the places that it needs before other processes can see any of it (tail.rs).
//! | a snapshot says | here |
//! |---|---|
//! | a name was removed | the hits here that this voids do not count any more ([`Removal`]); the life stays alive |
//! | hits that are void by a removal which the file or the snapshot knows | left out; `merge` answers how many there were |
//! | cells of this file's replica | left out: the slots have them |
//! | cells of a writer from before this file's replica | only the part that exceeds the frozen share (frozen.rs) |
//! | cells by the microsecond | added up by tick |
//! | cells of buckets longer than a tick, estimates | refused: a slot holds the hits of one tick, counted |
//!
//! Tests: `tests/shared/exchange.rs`, `tests/shared/fleet.rs`, `tests/shared/room.rs`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::book::Book;
use super::format::frozen::Shares;
use super::format::layout::Hot;
use super::format::lives::Life;
use super::format::names::{Full, Name, Names};
use super::format::sections::hash;
use super::format::tail::Kept;
use crate::cell::form::{Cell, Measure, in_order};
use crate::cell::removal::{self, Removal};
use crate::cell::writer::Writer;
use crate::error::SnapshotError;
use crate::registry::snapshot::{EndpointCells, RegistrySnapshot, Removed, WriterCells};
use crate::sync::Ordering;
use crate::time::Tick;
use crate::window::geometry::Geometry;

/// An endpoint of a snapshot that is to be taken in.
struct Wanted<'a, 's> {
    /// Its cells without the void hits.
    theirs: Cow<'s, EndpointCells>,
    /// The removal that voids those.
    before: Removal,
    /// Its life here, if it has one.
    ours: Option<Life<'a>>,
    /// The frozen shares of that life.
    shares: Shares,
    /// The writers that need a new life.
    new: Vec<Writer>,
}

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
        let mut left_out = 0;
        let wanted = self.wanted(snapshot, &mut left_out);
        // Before other processes can see any of the merge, because recorders and removals take room, too. Once the first life has
        // begun, there are places for all.
        self.check_names(&wanted)?;
        let mut places = self.keep(&wanted)?;
        for Wanted { theirs, .. } in &wanted {
            self.find_or_insert(&theirs.name)?;
        }
        let mut first = None;
        if let Some(Wanted { theirs, .. }) = wanted.iter().find(|wanted| !wanted.new.is_empty()) {
            first = Some(self.begin_merged(self.find_or_insert(&theirs.name)?, &mut places)?);
        }
        self.sections.hot(Hot::Epoch).fetch_max(snapshot.epoch, Ordering::AcqRel);
        let mut lives = Vec::with_capacity(wanted.len());
        for Wanted { theirs, before, ours, .. } in &wanted {
            let name = self.find_or_insert(&theirs.name)?;
            // So that a life that begins now is not of a lower epoch.
            name.raise_ended(theirs.epoch.max(before.epoch));
            lives.push(match ours {
                Some(life) => *life,
                None => self.sections.lives.begin_kept(name, &mut places).map_err(|Full| self.full())?,
            });
        }
        self.hear_of(&snapshot.removed, now);
        let mut known = self.removals();
        for (wanted, life) in wanted.iter().zip(lives) {
            let name = self.find_or_insert(&wanted.theirs.name)?;
            let begin = || match first.take_if(|life| life.name() == name.unit()) {
                Some(life) => Ok(life),
                None => self.begin_merged(name, &mut places),
            };
            self.take_in(wanted, life, &mut known, &mut left_out, begin)?;
        }
        drop(places);
        self.tell_voids();
        let geometry = &self.header.layout.geometry;
        let mut others = self.known();
        others.hear(snapshot, self.header.replica, geometry, now);
        self.others().write(others, ring_before(now, geometry));
        Ok(left_out)
    }

    /// The endpoints of `snapshot` that are to be taken in; adds the hits that are left out to `left_out`.
    fn wanted<'s>(self, snapshot: &'s RegistrySnapshot, left_out: &mut u64) -> Vec<Wanted<'a, 's>> {
        let names: BTreeSet<u64> =
            snapshot.endpoints.iter().filter_map(|theirs| self.find(&theirs.name)).map(|name| name.unit()).collect();
        let mut frozen = self.frozen_of(|life| names.contains(&life.name()));
        let known = self.removals();
        let heard: BTreeMap<&str, &Removal> =
            snapshot.removed.iter().map(|removed| (&*removed.name, &removed.removal)).collect();
        let (parts, resolution) = (self.parts(), self.header.layout.geometry.resolution());
        let wanted = snapshot.endpoints.iter().filter_map(|theirs| {
            let name = self.find(&theirs.name);
            let heard = heard.get(&*theirs.name).copied().unwrap_or(&removal::NONE);
            let mut before = name.and_then(|name| known.get(&name.unit())).cloned().unwrap_or_default();
            before.join(heard);
            let kept = theirs.without_removed(&before, heard, resolution, parts, left_out);
            if kept.is_empty() && theirs.epoch < before.epoch {
                return None;
            }
            let ours = name.and_then(|name| self.sections.lives.alive(name));
            let shares = ours.and_then(|life| frozen.remove(&life.index())).unwrap_or_default();
            let here: BTreeSet<Writer> =
                ours.into_iter().flat_map(|life| self.merged(life)).filter_map(Life::writer).collect();
            let is_new = |cells: &&WriterCells| {
                let is_foreign = cells.writer.replica != self.header.replica;
                is_foreign && !here.contains(&cells.writer) && !beyond(cells, &shares).is_empty()
            };
            let new = kept.writers.iter().filter(is_new).map(|cells| cells.writer).collect();
            Some(Wanted { theirs: kept, before, ours, shares, new })
        });
        wanted.collect()
    }

    /// Fails if the names do not fit.
    fn check_names(self, wanted: &[Wanted<'_, '_>]) -> Result<(), SnapshotError> {
        // Removals take room as well, but only the room that these leave.
        let names = self.sections.lives.names;
        let new_names = wanted.iter().filter(|wanted| self.find(&wanted.theirs.name).is_none());
        let bytes: usize = new_names.map(|wanted| Names::room(&wanted.theirs.name) * 8).sum();
        let free = names.arena.len() * 8 - (names.used.load(Ordering::Relaxed) as usize * 8).min(names.arena.len() * 8);
        if bytes > free { Err(SnapshotError::NoNameRoom { bytes, free }) } else { Ok(()) }
    }

    /// Keeps the places for all lives that have to begin.
    fn keep(self, wanted: &[Wanted<'_, '_>]) -> Result<Kept<'a>, SnapshotError> {
        let lives = self.sections.lives;
        let places: usize = wanted.iter().map(|wanted| usize::from(wanted.ours.is_none()) + wanted.new.len()).sum();
        let no_room = || SnapshotError::NoRoom { endpoints: lives.begun() + places, max_endpoints: lives.capacity() };
        lives.tail.keep(places, lives.capacity()).ok_or_else(no_room)
    }

    fn begin_merged(self, name: Name<'a>, places: &mut Kept<'_>) -> Result<Life<'a>, SnapshotError> {
        self.sections.lives.begin_merged_kept(name, places).map_err(|Full| self.full())
    }

    /// The error of a merge that needs one more place than the file has.
    fn full(self) -> SnapshotError {
        let lives = self.sections.lives;
        SnapshotError::NoRoom { endpoints: lives.begun() + 1, max_endpoints: lives.capacity() }
    }

    fn find(self, name: &str) -> Option<Name<'a>> {
        self.sections.lives.names.find(hash(self.header.key, name), name)
    }

    fn find_or_insert(self, name: &str) -> Result<Name<'a>, SnapshotError> {
        let found = self.sections.lives.names.find_or_insert(hash(self.header.key, name), name);
        found.map_err(|Full| self.full())
    }

    /// Takes in removals that happened in other registries, at `now`. The lives of their names stay alive, without the void hits.
    ///
    /// If the finds of a removal do not fit, the whole tick of the removal is void.
    pub fn hear_of(self, removed: &[Removed], now: Tick) {
        let expired = ring_before(now, &self.header.layout.geometry);
        let mut finds = self.sections.finds.write(expired);
        let names = self.sections.lives.names;
        let has_room = || names.used.load(Ordering::Relaxed) <= names.arena.len() as u64 / 2;
        for Removed { name, removal } in removed {
            // For a name that the file does not have, the epoch is kept for a later life, unless names take half of the room.
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

    /// Takes in an endpoint, without hits that were removed since `known` was read. `begin` begins a life for hits of a writer.
    ///
    /// If another process has ended `life` meanwhile, the hits end with it, as if the removal had come after the merge.
    fn take_in(
        self,
        wanted: &Wanted<'a, '_>,
        life: Life<'a>,
        known: &mut BTreeMap<u64, Removal>,
        left_out: &mut u64,
        mut begin: impl FnMut() -> Result<Life<'a>, SnapshotError>,
    ) -> Result<(), SnapshotError> {
        // A life that began after a removal is of its epoch, and must not get the hits that the removal voids.
        if life.epoch() > known.get(&life.name()).map_or(0, |removal| removal.epoch) {
            *known = self.removals();
        }
        let geometry = &self.header.layout.geometry;
        let removal = known.get(&life.name()).cloned().unwrap_or_default();
        let (parts, resolution) = (self.parts(), geometry.resolution());
        let theirs = wanted.theirs.without_removed(&removal, &wanted.before, resolution, parts, left_out);
        life.known().fetch_max(theirs.forgotten.0, Ordering::AcqRel);
        for cells in theirs.writers.iter().filter(|cells| cells.writer.replica != self.header.replica) {
            let beyond = beyond(cells, &wanted.shares);
            life.known().fetch_max(forgotten_by(cells, geometry), Ordering::AcqRel);
            let here = self.merged(life).find(|other| other.writer() == Some(cells.writer));
            let other = match here {
                Some(other) => other,
                None if beyond.is_empty() => continue,
                None => {
                    let other = begin()?;
                    life.link(other, cells.writer, cells.epoch);
                    other
                }
            };
            beyond.into_iter().for_each(|cell| other.row().raise(geometry, cell));
        }
        self.sections.visitors.join(life, &theirs.seen);
        Ok(())
    }
}

/// A writer's cells by tick, those by the microsecond added up.
pub fn by_tick(cells: &WriterCells) -> Vec<Cell> {
    let grains = cells.form.grains.max(1);
    in_order(cells.cells.iter().map(|cell| Cell { tick: Tick(cell.tick.0 / grains), count: cell.count }).collect())
}

/// The part of a writer's cells that exceeds its share.
fn beyond(cells: &WriterCells, shares: &Shares) -> Vec<Cell> {
    let share = shares.get(&cells.writer);
    let of = |tick: Tick| share.and_then(|share| share.cells.get(&tick)).copied().unwrap_or(0);
    let rest = by_tick(cells).into_iter().map(|cell| Cell { count: cell.count.saturating_sub(of(cell.tick)), ..cell });
    rest.filter(|cell| cell.count > 0).collect()
}

/// The first tick of the ring of `geometry` that ends with `now`.
pub fn ring_before(now: Tick, geometry: &Geometry) -> Tick {
    Tick((now.0 + 1).saturating_sub(geometry.slots() as u64))
}

/// The first tick that is known of a writer. A ring of fewer slots, or a log that was full, has forgotten earlier hits, which a
/// ring of `geometry` would count as 0.
pub fn forgotten_by(cells: &WriterCells, geometry: &Geometry) -> u64 {
    let dropped = cells.dropped.last().map_or(0, |tick| tick.0 + 1);
    let slots = cells.form.slots.max(1);
    if slots >= geometry.slots() as u64 {
        return dropped;
    }
    let newest = by_tick(cells).last().map_or(0, |cell| cell.tick.0);
    dropped.max((newest + 1).saturating_sub(slots))
}
