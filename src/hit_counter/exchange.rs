//! What leaves a counter and comes into it: reset, snapshot, merge, clone.
//!
//! Tests: `tests/conformance`, `tests/merge`.

use super::HitCounter;
use super::ledger::Ledger;
use crate::cell::form::{Form, in_order};
use crate::cell::outcome::Outcomes;
use crate::cell::writer::{Replica, Writer};
use crate::counter::Counter;
use crate::counter::copied::Copied;
use crate::error::SnapshotError;
use crate::hit_counter::snapshot::{Cells, Snapshot};
use crate::sync::{MutexGuard, Ordering};

impl HitCounter {
    /// Forgets all hits and begins a new epoch; snapshots taken before can no longer be merged.
    ///
    /// Hits whose call returned before are gone, hits whose call begins after are counted; one that is being recorded
    /// meanwhile may be either. In a forked child the first reset only drops what was inherited, so that the child's
    /// snapshots can be merged with the parent's.
    pub fn reset(&self) {
        let mut ledger = self.ledger();
        let epoch = ledger.epoch + u64::from(!ledger.forked);
        self.begin_epoch(&mut ledger, epoch);
    }

    fn begin_epoch(&self, ledger: &mut MutexGuard<'_, Ledger>, epoch: u64) {
        self.counter.reset(&self.geometry);
        ledger.epoch = epoch;
        ledger.writer.generation += 1;
        ledger.forked = false;
        ledger.inherited.clear();
        ledger.others.clear();
        self.merged.store(0, Ordering::Release);
    }

    /// What the counter holds, as absolute counts that can be merged anywhere, any number of times.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut ledger = self.ledger();
        let _ = self.tallies(&mut ledger);
        let mut cells = vec![Cells {
            writer: ledger.writer,
            slots: self.form().slots,
            cells: in_order(self.counter.cells(&self.geometry)),
            dropped: self.counter.dropped(),
        }];
        cells.extend(ledger.others.iter().map(|(&writer, copied)| Cells {
            writer,
            slots: copied.form().slots,
            cells: copied.cells(),
            dropped: copied.dropped(),
        }));
        let others = ledger.tallies.values().fold(Outcomes::default(), |sum, &tally| sum.plus(tally));
        let mut tallies = ledger.tallies.clone();
        tallies.insert(ledger.writer.replica, ledger.floor.minus(others));
        Snapshot {
            resolution: self.resolution(),
            grain: self.grain().width(),
            window: self.window(),
            slack: self.slack(),
            epoch: ledger.epoch,
            inherited: ledger.inherited.clone(),
            cells,
            tallies,
        }
    }

    /// Adds the hits of another counter, as `snapshot` knows them. Merging the same snapshot again changes nothing, and
    /// a later one of the same counter adds just what is new.
    ///
    /// A snapshot of a later epoch (after a reset there) empties this counter first.
    ///
    /// # Errors
    /// [`SnapshotError::OtherGeometry`] unless resolution, window and kind of strategy are the same;
    /// [`SnapshotError::OlderEpoch`] if this counter was reset since; [`SnapshotError::Forked`] if the snapshot comes from
    /// the other side of a fork and holds hits that this counter has itself. Nothing is changed then.
    pub fn merge(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let other = |what| Err(SnapshotError::OtherGeometry { what });
        if snapshot.resolution != self.resolution() {
            return other(format!("resolution {:?}, not {:?}", snapshot.resolution, self.resolution()));
        }
        if snapshot.window != self.window() {
            return other(format!("window {:?}, not {:?}", snapshot.window, self.window()));
        }
        let grain = self.grain().width();
        if snapshot.grain != grain {
            return other(format!("times to {:?}, not {grain:?}", snapshot.grain));
        }
        let mut ledger = self.ledger();
        if snapshot.epoch < ledger.epoch {
            return Err(SnapshotError::OlderEpoch { theirs: snapshot.epoch, ours: ledger.epoch });
        }
        let counts = |writer: &Writer| *writer == ledger.writer || ledger.others.contains_key(writer);
        let ours_too =
            snapshot.cells.iter().map(|theirs| &theirs.writer).any(|writer| ledger.inherited.contains(writer));
        if snapshot.epoch == ledger.epoch && (snapshot.inherited.iter().any(counts) || ours_too) {
            return Err(SnapshotError::Forked);
        }
        if snapshot.epoch > ledger.epoch {
            self.begin_epoch(&mut ledger, snapshot.epoch);
        }
        for theirs in &snapshot.cells {
            // Our own cells hold at least what a copy of them does.
            if theirs.writer == ledger.writer || theirs.cells.is_empty() && theirs.dropped.is_empty() {
                continue;
            }
            let copied = ledger
                .others
                .entry(theirs.writer)
                .or_insert_with(|| Copied::new(Form { slots: theirs.slots, ..self.form() }));
            copied.merge(&theirs.cells, &theirs.dropped);
        }
        for (&replica, &tally) in &snapshot.tallies {
            if replica != ledger.writer.replica {
                let ours = ledger.tallies.entry(replica).or_default();
                *ours = ours.max(tally);
            }
        }
        for writer in &snapshot.inherited {
            if !ledger.inherited.contains(writer) {
                ledger.inherited.push(*writer);
            }
        }
        self.merged.store(ledger.others.len() as u64, Ordering::Release);
        Ok(())
    }

    /// The ledger, under a writer of this process.
    ///
    /// A forked child has its parent's hits in its own slots and counts on in them. It becomes a writer of its own, whose
    /// hits include the inherited ones; merging them with the parent's would count those twice, so they are noted.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger.lock();
        let process = std::process::id();
        if ledger.process != process {
            let parent = std::mem::replace(&mut ledger.writer, Writer { replica: Replica::new(), generation: 0 });
            ledger.inherited.push(parent);
            ledger.forked = true;
            ledger.process = process;
        }
        ledger
    }
}

/// A counter with the same configuration, clock and hits, that counts on by itself.
impl Clone for HitCounter {
    fn clone(&self) -> Self {
        let counter = Counter::new(&self.counter.strategy(), &self.geometry).expect("the original has them too");
        let clone = Self::from_parts(self.clock.copy(), self.guarded, self.geometry, counter);
        clone.merge(&self.snapshot()).expect("a clone has the geometry and no epoch of its own");
        clone
    }
}
