//! How an endpoint and its generations are dropped, and the handles that keep them.
//!
//! The header of the module above says when each of them may be dropped, and why no hit is lost with it.
//!
//! Tests: `tests/registry`, `tests/models/endpoint.rs`.

use std::ptr;

use super::generation::{FEW, Generation, Gone, REMOVED, REPLACED, Shared, TAGS, Unlinked, Word, is_behind, last_tick};
use super::outlived::Outlived;
use super::reach::Reach;
use super::state::{ADAPTIVE, Endpoint, LOCKED, Other, Rare, handles};
use crate::cell::form::{Cell, Measure};
use crate::cell::outcome::Outcome;
use crate::cell::removal::Removal;
use crate::cell::writer::Replica;
use crate::sync::gate::Sole;
use crate::sync::mutant::mutated;
use crate::sync::{Mutex, Ordering, relax};
use crate::time::{Resolution, Tick};
use crate::window::sparse::CROWDED;

impl Endpoint {
    /// Lets the endpoint outlive a removal of its name elsewhere: hits that `removal` voids do not count any more, and
    /// the endpoint stays in its epoch. `replica` is the registry's.
    pub fn outlive(&self, removal: &Removal, replica: Replica, shared: Shared<'_>) {
        if removal.epoch == 0 {
            return;
        }
        let outlived = &self.rare.get_or_make(Rare::default).outlived;
        let mut outlived = outlived.get_or_make(|| Mutex::new(Outlived::default())).lock();
        outlived.join(removal, self.epoch, replica);
        if let Some(others) = self.others() {
            let resolution = shared.geometry.resolution();
            others.lock().retain(|&writer, Other { epoch, cells }| {
                cells.drop_void(outlived.of(writer, *epoch), resolution);
                cells.len() > 0
            });
        }
    }

    /// Adds a handle.
    ///
    /// # Errors
    /// [`Gone`] if the endpoint takes no hits any more; then it has no further handle.
    pub fn acquire(&self) -> Result<(), Gone> {
        // `Acquire`, as of a lock: it has no writes to release, and the addition continues the release sequences of
        // other threads.
        let mut uses = self.uses.fetch_add(1, Ordering::Acquire);
        while uses & LOCKED != 0 {
            relax();
            uses = self.uses.load(Ordering::Acquire);
        }
        match self.gone() {
            None => Ok(()),
            Some(gone) => {
                self.release();
                Err(gone)
            }
        }
    }

    /// Adds a handle to an endpoint that has one already.
    pub fn acquire_another(&self) {
        self.uses.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether this endpoint, or one that it replaced, has a handle.
    pub fn is_used(&self) -> bool {
        handles(self.uses.load(Ordering::Acquire)) != 0 || self.has_inherited_handles()
    }

    /// Takes a handle away.
    pub fn release(&self) {
        self.uses.fetch_sub(1, Ordering::Release);
    }

    /// Runs `work` while the endpoint has no handle and cannot get one; `None` if it has a handle, or if another thread
    /// runs such work.
    pub(crate) fn without_handles<R>(&self, work: impl FnOnce(&Sole) -> R) -> Option<R> {
        if mutated!(EndpointIgnoresHandles) {
            return Some(work(&Sole::locked()));
        }
        let uses = self.uses.load(Ordering::Relaxed) & (ADAPTIVE | CROWDED);
        self.uses.compare_exchange(uses, uses | LOCKED, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let done = work(&Sole::locked());
        self.uses.fetch_and(!LOCKED, Ordering::Release);
        Some(done)
    }
}

impl Reach<'_> {
    /// Whether all hits lie at least one ring behind `horizon`.
    fn is_behind(self, shared: Shared<'_>, horizon: Tick) -> bool {
        is_behind(self.newest(shared), shared.geometry, horizon)
    }

    /// Ends the endpoint if it has no handle and all its hits lie at least one ring behind `horizon`. Returns how many
    /// cells and hits it still held; `None` if it was not ended.
    pub fn end_if_idle(self, shared: Shared<'_>, horizon: Tick) -> Option<u64> {
        self.without_handles(|sole| {
            if self.has_inherited_handles() || !self.is_behind(shared, horizon) {
                return None;
            }
            let closing = self.gate.try_close(sole)?;
            // A second look, because a writer that left the gate before it closed may have brought a hit.
            if !self.is_behind(shared, horizon) && !mutated!(EndpointDropsUnseen) {
                return None;
            }
            if !closing.try_seal() {
                return None;
            }
            Some(self.end(Gone::Removed, shared))
        })?
    }

    /// Ends the endpoint if it has no handle, even if it holds hits.
    pub fn end_if_unused(self, shared: Shared<'_>) -> Option<u64> {
        self.without_handles(|_| (!self.has_inherited_handles()).then(|| self.end(Gone::Removed, shared)))?
    }

    /// Ends the endpoint: no hit whose call begins later is taken. Returns how many hits it held.
    pub fn end(self, how: Gone, shared: Shared<'_>) -> u64 {
        self.gate.seal();
        let tag = if how == Gone::Removed { REMOVED } else { REPLACED };
        while !mutated!(EndpointEndsQuietly) {
            let head = self.head();
            if head.gone().is_some() || self.exchange(*head, head.with(tag)) {
                break;
            }
        }
        let own = self.in_line().cells(shared.geometry).map(|cell| cell.count).fold(0, u64::saturating_add);
        let held = |g: &Generation| match g.counter().form(shared.geometry).measure {
            Measure::Count => {
                let cells = g.counter().cells(shared.geometry);
                g.counter().take_pushed_out() + cells.iter().map(|cell| cell.count).sum::<u64>()
            }
            Measure::Morris { .. } => g.counter().outcomes(shared.geometry).counted,
        };
        let own = self.generations().map(held).fold(own, u64::saturating_add);
        let Some(others) = self.others() else { return own };
        others.lock().values().map(|other| other.cells.hits()).fold(own, u64::saturating_add)
    }

    /// How many hits were pushed out by later ones since the last call, in a strategy that keeps each hit by itself.
    pub fn take_pushed_out(self) -> u64 {
        self.current(self.head()).map_or(0, |generation| generation.counter().take_pushed_out())
    }

    /// Takes those generations out of the chain whose hits all lie at least one ring behind `horizon`, and drops other
    /// hits that are as far behind. Returns how many hits were dropped, and the generations. These may be freed when
    /// every thread that found the endpoint by name before has left.
    pub fn prune(self, shared: Shared<'_>, horizon: Tick) -> (u64, Vec<Unlinked>) {
        let (mut removed, mut pruned) = (0, 0);
        let before = Tick((horizon.0 + 1).saturating_sub(shared.geometry.slots() as u64));
        for generation in self.generations() {
            removed += generation.counter().take_pushed_out();
            pruned += generation.counter().prune(before);
        }
        if pruned > 0 {
            self.forget_before(before);
            removed += pruned;
        }
        if let Some(outlived) = self.outlived() {
            outlived.lock().forget_before(before);
        }
        if let Some(others) = self.others() {
            others.lock().retain(|_, Other { cells: copied, .. }| {
                let form = copied.form();
                let micros = Resolution::MICROSECOND.tick(shared.geometry.resolution().start(before));
                let grain = if form.grain < shared.geometry.resolution().width() { micros } else { Tick(0) };
                let newest = last_tick(form, copied.newest(), shared.geometry);
                if is_behind(newest, shared.geometry, horizon) {
                    self.forget_before(Tick(newest.0 + 1));
                    return false;
                }
                let held = copied.len();
                let stays = grain.0 == 0 || copied.prune_before(grain);
                if copied.len() < held {
                    self.forget_before(before);
                }
                stays
            });
        }
        let unlinked =
            self.without_handles(|sole| self.unlink(shared, horizon, &mut removed, sole)).unwrap_or_default();
        (removed, unlinked)
    }

    fn unlink(self, shared: Shared<'_>, horizon: Tick, removed: &mut u64, _: &Sole) -> Vec<Unlinked> {
        let mut unlinked = Vec::new();
        let head = self.head();
        // A writer that enters later sees a head at least as new as this one.
        if !self.gate.is_empty() && !mutated!(EndpointDropsInside) {
            return unlinked;
        }
        // Only this thread unlinks, as it alone holds `uses` locked.
        let mut before = self.first(head);
        if head.has(FEW) {
            while let Some(first) = before.filter(|g| g.is_behind(shared, horizon)) {
                let (seen, rest) = (self.head(), first.next());
                let is_first = ptr::eq(seen.chain(), first) && seen.has(FEW);
                if !is_first {
                    return unlinked;
                }
                self.forget(first, shared);
                if !self.exchange(*seen, Word(rest).with(seen.0.addr() & TAGS)) {
                    return unlinked;
                }
                before = self.after(first);
                unlinked.push(self.take_leave(first, shared, removed));
            }
        }
        while let Some(previous) = before {
            before = self.after(previous);
            if let Some(generation) = before.filter(|g| g.is_behind(shared, horizon)) {
                self.forget(generation, shared);
                if !mutated!(EndpointRetiresLinked) {
                    previous.skip(generation);
                }
                unlinked.push(self.take_leave(generation, shared, removed));
                before = if mutated!(EndpointRetiresLinked) { None } else { Some(previous) };
            }
        }
        unlinked
    }

    /// Adds the outcomes of a generation that has just been unlinked to the registry's tally, and its hits to
    /// `removed`.
    fn take_leave(self, generation: &Generation, shared: Shared<'_>, removed: &mut u64) -> Unlinked {
        let (counter, geometry) = (generation.counter(), shared.geometry);
        let outcomes = counter.outcomes(geometry);
        for (outcome, amount) in Outcome::ALL.into_iter().zip(outcomes.to_array()) {
            if amount > 0 {
                shared.tally.add(outcome, amount);
            }
        }
        if mutated!(EndpointForgetsLate) {
            self.forget_ticks(generation, shared);
        }
        if counter.form(geometry).measure == Measure::Count {
            *removed += counter.take_pushed_out() + counter.cells(geometry).iter().map(|cell| cell.count).sum::<u64>();
        }
        Unlinked::new(generation)
    }

    /// Notes that the ticks of a generation are not known any more. It is done before the generation is unlinked, and a
    /// query asks after it has walked the chain, so a query that does not find the generation finds this note. (Mutant
    /// `EndpointForgetsLate`.) If another thread moves the head meanwhile, the generation stays in the chain, but its
    /// ticks are unknown all the same.
    fn forget(self, generation: &Generation, shared: Shared<'_>) {
        if !mutated!(EndpointForgetsLate) {
            self.forget_ticks(generation, shared);
        }
    }

    fn forget_ticks(self, generation: &Generation, shared: Shared<'_>) {
        let (counter, geometry) = (generation.counter(), shared.geometry);
        let form = counter.form(geometry);
        let last = |cell: &Cell| last_tick(form, cell.tick, geometry);
        if let Some(newest) = counter.cells(geometry).iter().map(last).max() {
            self.forget_before(Tick(newest.0 + 1));
        }
        self.forget_before(counter.forgotten());
    }
}
