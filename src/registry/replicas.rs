//! The totals of other replicas, kept in bounded room.
//!
//! Totals of a replica only grow, so its snapshots may be merged in any order, and again: the larger totals stay. For
//! that the registry must know the replica. A collector of short-lived workers would learn of one more replica with
//! each worker, for ever. So of more than [`MOST`] replicas those are **folded** into one sum that have been silent the
//! longest, if that is at least a ring.
//!
//! | a snapshot has totals of a replica that is | then |
//! |---|---|
//! | known | the larger of both stay |
//! | not known, and no replica was ever folded | it is known from then on, with all its totals |
//! | not known, and its cells show all hits that it counted, each younger than every hit that was folded | the same, because it cannot be one of the folded |
//! | not known, and other hits are among its totals | it may be one of the folded. Of its totals the sum counts up only the hits that its cells show in such young ticks |
//!
//! So a total never counts a hit twice. The price: when a replica is merged for the first time after others were
//! folded, and has hits that are as old as the folded ones, then those hits and its refused hits are missing in the
//! totals. They are late, as other hits are that arrive a ring late. A replica that had only refused hits when it was
//! folded adds nothing to the sum, because it could not be told from a new one.
//!
//! The last row takes the rest out of the sum and notes the replica with all its totals. If the cells show no such
//! young hit, the snapshot may be older than the fold, and the sum may still hold later hits of the replica. So the
//! replica is *unsure*: the same rule applies to every growth of its totals, until a snapshot of it shows a young hit.
//! That snapshot was taken after the fold, so everything that the sum can hold of the replica has been taken out of it.
//!
//! # In a snapshot
//! The sum stands beside the totals of replicas, under [`Replica::FOLDED`], and the unsure ones are in it. A restore takes it
//! back. A merge leaves it out, because the replicas in it may be known there.
//!
//! Tests: below, `tests/registry`.

use std::collections::BTreeMap;

use crate::cell::totals::Totals;
use crate::cell::writer::Replica;
use crate::counter::copied::hits_of;
use crate::registry::snapshot::{RegistrySnapshot, WriterCells};
use crate::time::Tick;
use crate::window::geometry::Geometry;

/// The registry knows up to this many replicas before it folds any.
pub const MOST: usize = 1_024;

/// Totals of other replicas; those of the registry's former lives among them.
#[derive(Debug, Default)]
pub struct Replicas {
    pub known: BTreeMap<Replica, Known>,
    pub folded: Totals,
    /// The first tick after all hits that were folded.
    pub folded_to: Tick,
    /// The tick up to which silent replicas were looked for last.
    pub tried: Tick,
}

/// The known totals of a replica.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub totals: Totals,
    /// No hit among the totals is younger.
    pub newest: Tick,
    /// The tick before which folded hits may be of this replica; `None` if that is not in doubt.
    pub unsure: Option<Tick>,
}

/// The totals that a snapshot gives for a replica.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub totals: Totals,
    /// The youngest tick that has a hit.
    pub newest: Tick,
}

impl Replicas {
    /// The totals of all together.
    pub fn sum(&self) -> Totals {
        self.known.values().fold(self.folded, |sum, known| sum.plus(known.totals))
    }

    /// The totals as a snapshot has them.
    pub fn totals(&self) -> BTreeMap<Replica, Totals> {
        let mut totals = BTreeMap::new();
        let mut folded = self.folded;
        for (&replica, known) in &self.known {
            if known.unsure.is_none() {
                totals.insert(replica, known.totals);
            } else {
                folded = folded.plus(known.totals);
            }
        }
        if folded != Totals::default() {
            totals.insert(Replica::FOLDED, folded);
        }
        totals
    }

    /// Takes over the totals of a snapshot that is restored `now`. Replicas that were folded had no hit at or after `since`.
    pub fn restore(&mut self, totals: &BTreeMap<Replica, Totals>, now: Tick, since: Tick) {
        let known = |(&replica, &totals): (&Replica, &Totals)| (replica, Known { totals, newest: now, unsure: None });
        self.known = totals.iter().map(known).collect();
        self.folded = self.known.remove(&Replica::FOLDED).map(|known| known.totals).unwrap_or_default();
        self.folded_to = if self.folded == Totals::default() { Tick(0) } else { since };
    }

    /// Notes the totals of `replica`, which was never among the folded.
    pub fn know(&mut self, replica: Replica, totals: Totals, newest: Tick) {
        let known = self.known.entry(replica).or_insert(Known { totals, newest, unsure: None });
        known.totals = known.totals.max(totals);
    }

    /// Takes in the totals that `snapshot`, which is merged `now`, gives for replicas other than `ours`.
    pub fn hear(&mut self, snapshot: &RegistrySnapshot, ours: Replica, geometry: &Geometry, now: Tick) {
        let mut written: BTreeMap<Replica, Vec<&WriterCells>> = BTreeMap::new();
        for cells in snapshot.endpoints.iter().flat_map(|endpoint| &endpoint.writers) {
            written.entry(cells.writer.replica).or_default().push(cells);
        }
        for (&replica, &totals) in snapshot.totals.iter().filter(|&(&replica, _)| replica != ours) {
            let written = written.get(&replica).map_or(&[][..], Vec::as_slice);
            let newest = written.iter().map(|cells| cells.newest(geometry)).max().unwrap_or_default();
            let since = |first: Tick| {
                let hits = written.iter().map(|cells| hits_since(cells, first, geometry));
                hits.fold(0, u64::saturating_add)
            };
            self.merge(replica, Said { totals, newest }, now, since);
        }
    }

    /// Takes in the totals that a snapshot, which is merged `now`, gives for `replica`. `since` returns how many hits
    /// its cells show from a tick on.
    pub fn merge(&mut self, replica: Replica, said: Said, now: Tick, since: impl FnOnce(Tick) -> u64) {
        if replica == Replica::FOLDED {
            return;
        }
        let never_folded = self.folded == Totals::default();
        let unsure = if never_folded { None } else { Some(self.folded_to) };
        let is_known = self.known.contains_key(&replica);
        let known = self.known.entry(replica).or_insert(Known { totals: Totals::default(), newest: Tick(0), unsure });
        let totals = known.totals.max(said.totals);
        let mut added = totals.minus(known.totals);
        if is_known && added == Totals::default() {
            return;
        }
        known.totals = totals;
        known.newest = known.newest.max(said.newest);
        let counted = added.outcomes.counted;
        let young = known.unsure.map(|first| since(first).min(counted));
        // Without a young hit the replica was silent, so it may be folded again at once.
        if young != Some(0) {
            known.unsure = None;
            known.newest = known.newest.max(now);
        }
        let Some(young) = young else { return };
        if is_known || young < counted || counted == 0 {
            added.outcomes.counted -= young;
            self.folded = self.folded.minus(added);
        }
    }

    /// If more than `most` replicas are known, folds those that have been silent the longest, down to half as many.
    /// Replicas that had a hit at or after `since` stay.
    pub fn fold(&mut self, most: usize, since: Tick) {
        // Once a tick, because each look is in vain while more than `most` are active.
        if self.known.len() <= most || self.tried == since {
            return;
        }
        self.tried = since;
        let silent = self.known.iter().filter(|(_, known)| known.newest < since);
        let mut silent: Vec<(Tick, Replica)> = silent.map(|(&replica, known)| (known.newest, replica)).collect();
        silent.sort_unstable();
        silent.truncate(self.known.len() - most / 2);
        for (newest, replica) in silent {
            if let Some(known) = self.known.remove(&replica).filter(|known| known.totals.outcomes.counted > 0) {
                self.folded = self.folded.plus(known.totals);
                self.folded_to = self.folded_to.max(Tick(newest.0 + 1));
            }
        }
    }
}

/// The hits in cells that hold no tick of the resolution before `first`.
fn hits_since(cells: &WriterCells, first: Tick, geometry: &Geometry) -> u64 {
    let since = cells.cells.iter().filter(|cell| cells.form.ticks(cell.tick, geometry.resolution()).0 >= first);
    hits_of(cells.form, since.map(|cell| cell.count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cell::outcome::Outcomes;

    fn totals(counted: u64) -> Totals {
        Totals { outcomes: Outcomes::from_array([counted, 1, 0, 0, 0]), ..Totals::default() }
    }

    fn replica(sequence: u64) -> Replica {
        Replica { process: 7, sequence }
    }

    /// The worker of that number reports at its tick that it has counted so many hits, `young` of them at that tick.
    fn say(replicas: &mut Replicas, number: u64, counted: u64, (tick, young): (u64, u64)) {
        let said = Said { totals: totals(counted), newest: Tick(tick) };
        let since = |first: Tick| if tick >= first.0 { young } else { 0 };
        replicas.merge(replica(number), said, Tick(tick), since);
    }

    fn counted(replicas: &Replicas) -> u64 {
        replicas.sum().outcomes.counted
    }

    /// Twenty workers of ten hits each, one a tick, of which no more than eight are known.
    fn folded() -> Replicas {
        let mut replicas = Replicas::default();
        for number in 0..20 {
            say(&mut replicas, number, 10, (100 + number, 10));
            replicas.fold(8, Tick(100 + number));
        }
        replicas
    }

    #[test]
    fn what_is_folded_is_in_the_sum_and_takes_no_room() {
        let replicas = folded();
        assert!((4..=8).contains(&replicas.known.len()), "{replicas:?}");
        assert_eq!(replicas.sum(), (0..20).fold(Totals::default(), |sum, _| sum.plus(totals(10))));
        assert_eq!(replicas.totals().len(), replicas.known.len() + 1);
    }

    #[test]
    fn a_replica_that_was_heard_of_lately_is_not_folded() {
        let mut replicas = Replicas::default();
        for number in 0..20 {
            say(&mut replicas, number, 10, (100, 10));
            replicas.fold(8, Tick(100));
        }
        assert_eq!((replicas.known.len(), counted(&replicas)), (20, 200));
    }

    #[test]
    fn an_old_snapshot_changes_nothing() {
        let mut replicas = folded();
        let before = replicas.sum();
        for _ in 0..2 {
            for number in 0..20 {
                say(&mut replicas, number, 10, (100 + number, 10));
                assert_eq!(replicas.sum(), before, "worker {number}");
            }
            replicas.fold(8, Tick(200));
            assert_eq!(replicas.sum(), before);
        }
    }

    #[test]
    fn a_worker_that_comes_back_adds_what_is_new() {
        let mut replicas = folded();
        say(&mut replicas, 0, 13, (200, 3));
        assert_eq!(counted(&replicas), 203);
        say(&mut replicas, 0, 13, (200, 3));
        say(&mut replicas, 0, 20, (201, 10));
        assert_eq!(counted(&replicas), 210);
        replicas.fold(0, Tick(300));
        say(&mut replicas, 0, 20, (201, 10));
        assert_eq!(counted(&replicas), 210);
    }

    #[test]
    fn a_new_worker_adds_what_cannot_be_folded() {
        let mut replicas = folded();
        say(&mut replicas, 50, 10, (200, 10));
        assert_eq!(counted(&replicas), 210);
        assert_eq!(replicas.sum().outcomes.late, 21);
        // Two of ten hits are young. The others may have been folded, and with them the hit that was late.
        say(&mut replicas, 51, 10, (200, 2));
        assert_eq!((counted(&replicas), replicas.sum().outcomes.late), (212, 21));
    }

    #[test]
    fn refused_hits_alone_are_not_counted_twice() {
        let mut replicas = folded();
        say(&mut replicas, 50, 0, (200, 0));
        let late = replicas.sum().outcomes.late;
        replicas.fold(0, Tick(300));
        say(&mut replicas, 50, 1, (400, 1));
        assert!((late..=late + 1).contains(&replicas.sum().outcomes.late));
        assert_eq!(counted(&replicas), 201);
    }

    #[test]
    fn a_restore_takes_the_sum_back_and_a_merge_does_not() {
        let replicas = folded();
        let mut restored = Replicas::default();
        restored.restore(&replicas.totals(), Tick(150), Tick(130));
        assert_eq!((restored.sum(), restored.totals()), (replicas.sum(), replicas.totals()));
        say(&mut restored, 0, 10, (100, 10));
        assert_eq!(restored.sum(), replicas.sum());
        let mut merged = Replicas::default();
        for (&replica, &totals) in &replicas.totals() {
            merged.merge(replica, Said { totals, newest: Tick(150) }, Tick(150), |_| 0);
        }
        assert_eq!(counted(&merged), 10 * replicas.known.len() as u64);
    }

    /// The ring of the model below.
    const RING: u64 = 10;

    /// A worker's hits by tick, of which the newest `RING` ticks are in its cells.
    type Hits = BTreeMap<u64, u64>;

    fn merge(replicas: &mut Replicas, number: u64, hits: &Hits, now: u64) {
        let newest = hits.last_key_value().map_or(0, |(&tick, _)| tick);
        let cells = hits.range((newest + 1).saturating_sub(RING)..);
        let said = Said { totals: totals(hits.values().sum()), newest: Tick(newest) };
        let since = |first: Tick| cells.filter(|&(&tick, _)| tick >= first.0).map(|(_, &count)| count).sum();
        replicas.merge(replica(number), said, Tick(now), since);
    }

    proptest! {
        /// In any order of merges, no hit is counted twice, no counted hit is taken back, and a snapshot that is merged
        /// again changes nothing. If there are few workers, all of them are counted.
        #[test]
        fn no_total_is_too_high(
            steps in prop::collection::vec((0..5u8, 0..12u64, any::<prop::sample::Index>()), 1..200),
            most in 1..16usize,
        ) {
            let (mut replicas, mut now) = (Replicas::default(), 100u64);
            let mut workers: BTreeMap<u64, Hits> = BTreeMap::new();
            let mut snapshots: Vec<(u64, Hits)> = Vec::new();
            let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
            for (kind, number, index) in steps {
                match kind {
                    0 => *workers.entry(number).or_default().entry(now - number.min(3)).or_default() += 1 + number,
                    1 => snapshots.extend(workers.get(&number).map(|hits| (number, hits.clone()))),
                    2 => now += if number > 8 { RING + number } else { number / 3 },
                    _ if snapshots.is_empty() => {}
                    _ => {
                        let (number, hits) = &snapshots[index.index(snapshots.len())];
                        let before = counted(&replicas);
                        merge(&mut replicas, *number, hits, now);
                        let after = counted(&replicas);
                        merge(&mut replicas, *number, hits, now);
                        prop_assert_eq!(counted(&replicas), after);
                        replicas.fold(most, Tick(now + 1 - RING));
                        prop_assert_eq!(counted(&replicas), after);
                        let known = merged.entry(*number).or_default();
                        *known = hits.values().sum::<u64>().max(*known);
                        let truth = merged.values().sum();
                        prop_assert!((before..=truth).contains(&after), "{} is not from {} to {}", after, before, truth);
                        prop_assert!(merged.len() > most || after == truth, "{} is not {}", after, truth);
                    }
                }
            }
        }
    }
}
