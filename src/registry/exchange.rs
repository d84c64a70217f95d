//! Moving the contents of a registry out and in: snapshot, merge, restore, clone.
//!
//! A snapshot holds absolute cells under the writers that counted them. So it may be merged anywhere, any number of
//! times and in any order:
//!
//! | their cells are of | become |
//! |---|---|
//! | hits that a removal voids, which one of the two knows ([`Removal`](crate::cell::removal::Removal)) | nothing; `merge` returns how many hits that were |
//! | a writer that is not known here | a copy under that writer |
//! | a writer of which there is a copy here | the larger count of each tick |
//! | a generation that is alive here | nothing, as this registry has at least as much; a larger count is false, and refused |
//!
//! A removal that a snapshot reports voids hits here, too. An endpoint outlives it, with its handles: its later hits
//! count.
//!
//! Visitors have no writers. A register only grows, so the larger of two is right, whichever writer raised it. Visitors
//! have parts of the window instead of ticks. Of an endpoint of a lower epoch the parts that begin after the removal
//! are joined. A part that the removal cuts is left out, as its visitors may have come before.
//!
//! Everything is checked before anything is changed.
//!
//! A restore replaces everything: endpoints, totals, removals. The restored hits stay under their own writers, and this
//! registry counts under a new replica. Hits that are recorded during the restore may or may not be kept.
//!
//! Tests: `tests/registry`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use papaya::LocalGuard;

use super::ledger::Ledger;
use super::map::Found;
use super::replicas::MOST;
use super::state::{Core, Registry};
use crate::cell::form::{Cell, Form, Measure};
use crate::cell::removal::{self, Removal};
use crate::cell::writer::{Replica, Writer};
use crate::counter::strategy::Strategy;
use crate::endpoint::{Endpoint, Gone, Other, Reach};
use crate::error::SnapshotError;
use crate::events::{Event, EventKind};
use crate::registry::snapshot::{EndpointCells, RegistrySnapshot, Removed, WriterCells};
use crate::time::Tick;
use crate::window::fixed::Fixed;

impl Registry {
    /// Takes a snapshot: absolute counts that can be merged anywhere, any number of times.
    #[must_use]
    pub fn snapshot(&self) -> RegistrySnapshot {
        let snapshot = self.core.snapshot();
        self.core
            .watch
            .emit(EventKind::SnapshotTaken, || Event::SnapshotTaken { endpoints_count: snapshot.endpoints() as u64 });
        snapshot
    }

    /// Replaces everything the registry holds by `snapshot`, totals included. Later hits are counted in new
    /// generations. A handle continues with the endpoint that replaces its own. If the snapshot does not have the
    /// handle's name, the handle answers `Refused`, for good.
    ///
    /// # Errors
    /// [`SnapshotError::OtherGeometry`] unless resolution and window are the same; [`SnapshotError::NoRoom`] if it has more
    /// endpoints than there may be. Nothing is changed then.
    pub fn restore(&self, snapshot: &RegistrySnapshot) -> Result<(), SnapshotError> {
        self.core.restore(snapshot)?;
        self.core.watch.emit(EventKind::SnapshotRestored, || Event::SnapshotRestored);
        self.core.watch.changed();
        Ok(())
    }

    /// Adds the hits of another registry that `snapshot` holds. Merging the same snapshot again changes nothing, and a
    /// later one adds just its new hits.
    ///
    /// A merge takes over removals, too. Hits up to a removal that either side knows of stay removed, and hits after it
    /// count, wherever they were recorded. Returns how many hits were left out because they were removed, though the
    /// snapshot counts them.
    ///
    /// Hits of other registries are dropped when they have left the window and the slack, as idle endpoints are pruned
    /// when new ones are made. Their totals stay in the metrics. Of more than 1,024 registries those that were silent
    /// the longest are put together in one sum, if that is longer than the window and the slack. From then on the
    /// metrics may miss hits that are as old as those in the sum, if their registry is merged for the first time or was
    /// put into the sum itself. No total counts a hit twice. The sum is not passed on by merges, only by restores.
    ///
    /// # Errors
    /// As [`restore`](Self::restore); [`SnapshotError::Own`] if the snapshot is this registry's own and its generations are
    /// still counting, or claims more of them than there is; [`SnapshotError::Forked`] if it comes from the other side of a
    /// fork. Nothing is changed then.
    pub fn merge(&self, snapshot: &RegistrySnapshot) -> Result<u64, SnapshotError> {
        let left_out = self.core.merge(snapshot)?;
        self.core.watch.changed();
        Ok(left_out)
    }

    /// Writes a [`snapshot`](Self::snapshot) to the file at `path`, whole or not at all.
    ///
    /// # Errors
    /// The system's error; a file that was there before is unchanged.
    pub fn snapshot_to(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        crate::cell::file::write(path.as_ref(), &self.snapshot().to_bytes())
    }
}

/// A registry with the same configuration, clock and hits, that counts independently.
impl Clone for Registry {
    fn clone(&self) -> Self {
        let core = &self.core;
        let (times, precision) = (core.times().copy(), core.parts().precision());
        let clone =
            Core::new(*core.geometry(), times, precision, core.strategy(), core.max_endpoints(), core.when_full());
        clone.restore(&core.snapshot()).expect("a copy has the geometry and the room");
        Self { core: Arc::new(clone) }
    }
}

impl Core {
    pub fn snapshot(&self) -> RegistrySnapshot {
        let mut ledger = self.ledger();
        let shared = self.shared();
        let guard = self.guard();
        let _ = self.totals(&mut ledger);
        let mut endpoints: Vec<EndpointCells> = Vec::with_capacity(self.len());
        for (name, endpoint) in self.all(&guard).filter(|(_, endpoint)| endpoint.gone().is_none()) {
            let endpoint = endpoint.reach();
            let exported = endpoint.export(shared);
            let mut writers: Vec<WriterCells> = Vec::new();
            for own in exported.own {
                if own.cells.is_empty() && own.dropped.is_empty() && own.ever == 0 {
                    continue;
                }
                let writer = Writer { replica: ledger.replica, generation: own.number };
                let (form, ever, cells, dropped) = (own.form, own.ever, own.cells, own.dropped);
                writers.push(WriterCells { writer, epoch: endpoint.epoch(), form, ever, cells, dropped });
            }
            for (writer, Other { epoch, cells: copied }) in exported.others {
                let (form, cells, dropped) = (copied.form(), copied.cells(), copied.dropped());
                writers.push(WriterCells { writer, epoch, form, ever: 0, cells, dropped });
            }
            endpoints.push(EndpointCells {
                name: name.into(),
                epoch: endpoint.epoch(),
                forgotten: exported.forgotten,
                strategy: endpoint.strategy().to_text(),
                writers,
                seen: exported.seen,
            });
        }
        endpoints.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        let mut totals = ledger.others.totals();
        totals.insert(ledger.replica, ledger.own);
        let graves = self.graves.lock();
        RegistrySnapshot {
            resolution: self.geometry().resolution().width(),
            window: self.window(),
            slack: self.geometry().slack(),
            strategy: self.strategy().to_text(),
            epoch: graves.epoch,
            origin: ledger.replica,
            inherited: ledger.inherited.clone(),
            forgotten: self.aging.forgotten(),
            precision: self.parts().precision(),
            endpoints,
            removed: graves
                .removed
                .iter()
                .map(|(name, removal)| Removed { name: name.clone(), removal: removal.clone() })
                .collect(),
            totals,
        }
    }

    /// Checks the conditions that every snapshot has to meet.
    fn check(&self, snapshot: &RegistrySnapshot) -> Result<(), SnapshotError> {
        let other = |what| Err(SnapshotError::OtherGeometry { what });
        let (resolution, window) = (self.geometry().resolution().width(), self.window());
        if snapshot.resolution != resolution {
            return other(format!("resolution {:?}, not {resolution:?}", snapshot.resolution));
        }
        if snapshot.window != window {
            return other(format!("window {:?}, not {window:?}", snapshot.window));
        }
        for cells in snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.writers) {
            self.check_form(&cells.form)?;
        }
        let (theirs, ours) = (snapshot.precision, self.parts().precision());
        if theirs != ours && snapshot.endpoints.iter().any(|endpoint| !endpoint.seen.is_empty()) {
            return other(format!("visitors told apart by {} bits, not {}", theirs.bits(), ours.bits()));
        }
        Ok(())
    }

    /// Whether cells of `form` can be counted here.
    fn check_form(&self, form: &Form) -> Result<(), SnapshotError> {
        let resolution = self.geometry().resolution().width();
        let grains = (resolution.as_nanos() / form.grain.as_nanos().max(1)) as u64;
        let suits = if form.grain < resolution {
            form.grain == crate::time::Resolution::MICROSECOND.width() && form.grains == grains
        } else if form.grain > resolution {
            form.grains == 1 && form.measure == Measure::Count && Fixed::check(self.geometry(), form.grain).is_ok()
        } else {
            form.grains == 1
        };
        if suits { Ok(()) } else { Err(SnapshotError::OtherGeometry { what: format!("cells of {:?}", form.grain) }) }
    }

    /// Parses a strategy; returns the registry's own if the text does not name a strategy that suits this registry, as a
    /// custom one's does not.
    fn strategy_of(&self, text: &str) -> Strategy {
        let known = text.parse::<Strategy>().ok().filter(|strategy| strategy.check(self.geometry()).is_ok());
        known.unwrap_or_else(|| self.strategy())
    }

    pub fn restore(&self, snapshot: &RegistrySnapshot) -> Result<(), SnapshotError> {
        self.check(snapshot)?;
        if snapshot.endpoints.len() > self.max_endpoints() {
            let (endpoints, max_endpoints) = (snapshot.endpoints.len(), self.max_endpoints());
            return Err(SnapshotError::NoRoom { endpoints, max_endpoints });
        }
        let mut ledger = self.ledger();
        let kept: BTreeSet<&str> = snapshot.endpoints.iter().map(|endpoint| &*endpoint.name).collect();
        // The endpoints that have handles, by name. A name has two of them if a hit made another endpoint meanwhile.
        let mut formers: BTreeMap<Box<str>, Vec<Arc<Endpoint>>> = BTreeMap::new();
        {
            let guard = self.guard();
            for (name, endpoint) in self.all(&guard) {
                let how = if kept.contains(name) { Gone::Replaced } else { Gone::Removed };
                let _ = endpoint.reach().end(how, self.shared());
                self.take_out(name, endpoint.reach());
                // A removal may have ended it first.
                if endpoint.gone() == Some(Gone::Replaced) {
                    let used = Endpoint::bequeath(&endpoint.keep());
                    if !used.is_empty() {
                        formers.entry(name.into()).or_default().extend(used);
                    }
                }
            }
        }
        self.set_strategy(&self.strategy_of(&snapshot.strategy));
        self.aging.forget_before(snapshot.forgotten);
        {
            let mut graves = self.graves.lock();
            graves.epoch = graves.epoch.max(snapshot.epoch);
            graves.removed = removed_of(snapshot);
        }
        ledger.inherited.clone_from(&snapshot.inherited);
        self.note_newest(snapshot);
        ledger.others.restore(&snapshot.totals, self.horizon(), self.ring_before(self.horizon()));
        let own = self.own_totals();
        ledger.begin(own);
        let guard = self.guard();
        for theirs in &snapshot.endpoints {
            // A hit may have made an endpoint of the name meanwhile; then that endpoint takes the restored cells and
            // the handles.
            let formers = formers.get(&theirs.name).map_or(&[][..], Vec::as_slice);
            // A restored endpoint begins in the epoch after the removal that it outlived, so visitors before the
            // removal would count again.
            let (removal, resolution) = (self.removal_of(&theirs.name), self.geometry().resolution());
            let theirs = &*theirs.without_removed(&removal, &removal, resolution, self.parts(), &mut 0);
            let _ = self.endpoint_for(theirs, &guard, |endpoint| {
                endpoint.inherit(formers);
                endpoint.outlive(&removal, ledger.replica, self.shared());
                endpoint.join_uniques(self.parts(), &theirs.seen);
                take_in(endpoint, theirs);
            })?;
        }
        Ok(())
    }

    pub fn merge(&self, snapshot: &RegistrySnapshot) -> Result<u64, SnapshotError> {
        self.check(snapshot)?;
        let mut ledger = self.ledger();
        self.check_writers(snapshot, &ledger)?;
        let heard: BTreeMap<&str, &Removal> =
            snapshot.removed.iter().map(|removed| (&*removed.name, &removed.removal)).collect();
        let mut left_out = 0;
        let kept = snapshot.endpoints.iter().filter_map(|theirs| {
            let heard = heard.get(&*theirs.name).copied().unwrap_or(&removal::NONE);
            let mut removal = self.removal_of(&theirs.name);
            removal.join(heard);
            let resolution = self.geometry().resolution();
            let kept = theirs.without_removed(&removal, heard, resolution, self.parts(), &mut left_out);
            let is_removed = kept.is_empty() && theirs.epoch < removal.epoch;
            (!is_removed).then_some(kept)
        });
        let kept: Vec<Cow<'_, EndpointCells>> = kept.collect();
        // As for each new endpoint. Without this, merged hits would stay until `prune` is called.
        self.sweep();
        let guard = self.guard();
        let new = kept.iter().filter(|theirs| self.get(&theirs.name, &guard).is_none()).count();
        if self.len() + new > self.max_endpoints() {
            let (endpoints, max_endpoints) = (self.len() + new, self.max_endpoints());
            return Err(SnapshotError::NoRoom { endpoints, max_endpoints });
        }
        for Removed { name, removal } in &snapshot.removed {
            self.hear_of(name, removal, ledger.replica);
        }
        for theirs in &kept {
            let endpoint = self.endpoint_for(theirs, &guard, |_| ())?.reach();
            // An endpoint that was made just now has not taken in the removal.
            endpoint.outlive(&self.removal_of(&theirs.name), ledger.replica, self.shared());
            endpoint.join_uniques(self.parts(), &theirs.seen);
            self.take_in_others(endpoint, theirs, ledger.replica);
        }
        {
            let mut graves = self.graves.lock();
            graves.epoch = graves.epoch.max(snapshot.epoch);
        }
        self.aging.forget_before(snapshot.forgotten);
        self.note_newest(snapshot);
        let now = self.horizon();
        let ours = ledger.replica;
        ledger.others.hear(snapshot, ours, self.geometry(), now);
        ledger.others.fold(MOST, self.ring_before(now));
        for &replica in &snapshot.inherited {
            if !ledger.inherited.contains(&replica) {
                ledger.inherited.push(replica);
            }
        }
        Ok(left_out)
    }

    /// Checks that the counts which `snapshot` gives for each writer are possible.
    fn check_writers(&self, snapshot: &RegistrySnapshot, ledger: &Ledger) -> Result<(), SnapshotError> {
        if snapshot.origin == ledger.replica {
            return Err(SnapshotError::Own);
        }
        let mut known: BTreeSet<Replica> = [ledger.replica].into();
        let guard = self.guard();
        for (_, endpoint) in self.all(&guard) {
            known.extend(endpoint.merged_replicas());
        }
        let theirs = snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.writers).map(|cells| cells.writer.replica);
        let ours_too = theirs.clone().any(|replica| ledger.inherited.contains(&replica));
        if snapshot.inherited.iter().any(|replica| known.contains(replica)) || ours_too {
            return Err(SnapshotError::Forked);
        }
        for endpoint in &snapshot.endpoints {
            let Some(ours) = self.get(&endpoint.name, &guard).map(Found::reach) else { continue };
            for cells in endpoint.writers.iter().filter(|cells| cells.writer.replica == ledger.replica) {
                let Some(live) = ours.live(cells.writer.generation, self.shared()) else { continue };
                let live: BTreeMap<_, _> = live.into_iter().map(|cell| (cell.tick, cell.count)).collect();
                // A cell that is missing here was recycled. Only a larger count than the live one proves that it is not
                // a copy.
                let more = |cell: &&Cell| live.get(&cell.tick).is_some_and(|&count| count < cell.count);
                if cells.cells.iter().any(|cell| more(&cell)) {
                    return Err(SnapshotError::Own);
                }
            }
        }
        Ok(())
    }

    /// Takes in the cells of others, but not those of generations that are alive here.
    fn take_in_others(&self, endpoint: Reach<'_>, theirs: &EndpointCells, ours: Replica) {
        endpoint.forget_before(theirs.forgotten);
        for cells in &theirs.writers {
            let alive = cells.writer.replica == ours && endpoint.live(cells.writer.generation, self.shared()).is_some();
            if !alive {
                endpoint.merge(cells.writer, cells.epoch, cells.form, &cells.cells, &cells.dropped);
            }
        }
    }

    /// Notes how new the hits of `snapshot` are, because without a clock the newest hit is now.
    fn note_newest(&self, snapshot: &RegistrySnapshot) {
        let cells = snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.writers);
        if let Some(newest) = cells.map(|cells| cells.newest(self.geometry())).max() {
            self.raise_newest(newest);
        }
    }

    /// The first tick of the ring that ends with `now`.
    fn ring_before(&self, now: Tick) -> Tick {
        Tick((now.0 + 1).saturating_sub(self.geometry().slots() as u64))
    }

    /// Finds or makes the endpoint that `theirs` belongs to. `fill` fills it. A new endpoint is filled before it is put
    /// into the map, so that no thread sees it idle.
    fn endpoint_for<'g>(
        &self,
        theirs: &EndpointCells,
        guard: &'g LocalGuard<'_>,
        fill: impl Fn(&Endpoint),
    ) -> Result<Found<'g>, SnapshotError> {
        let no_room = || SnapshotError::NoRoom { endpoints: self.len() + 1, max_endpoints: self.max_endpoints() };
        if let Some(endpoint) = self.get(&theirs.name, guard) {
            fill(&endpoint);
            return Ok(endpoint);
        }
        if !self.take_room() {
            return Err(no_room());
        }
        let strategy = self.strategy_of(&theirs.strategy);
        let epoch = theirs.epoch.max(self.epoch_of_removed(&theirs.name));
        let made = Endpoint::new(&strategy, epoch, theirs.forgotten, self.shared());
        let Ok(endpoint) = made else {
            self.give_room();
            return Err(SnapshotError::Invalid { what: "strategy" });
        };
        fill(&endpoint);
        Ok(self.insert(&theirs.name, endpoint, guard).unwrap_or_else(|other| {
            self.give_room();
            fill(&other);
            other
        }))
    }
}

fn take_in(endpoint: &Endpoint, theirs: &EndpointCells) {
    endpoint.forget_before(theirs.forgotten);
    for cells in &theirs.writers {
        endpoint.merge(cells.writer, cells.epoch, cells.form, &cells.cells, &cells.dropped);
    }
}

fn removed_of(snapshot: &RegistrySnapshot) -> BTreeMap<Box<str>, Removal> {
    snapshot.removed.iter().map(|removed| (removed.name.clone(), removed.removal.clone())).collect()
}
