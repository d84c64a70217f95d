//! Registries that record, swap, remove, prune, snapshot, restore, merge and clone in any order, beside an oracle. Some may be
//! files, which are copied and compacted instead of being cloned (`tests/shared/fleet.rs`).
//!
//! The oracle is as plain as the idea: every life of a registry writes, for each life of a name, one list of hits that
//! only grows. A registry knows a number of its first hits. A merge takes the longer beginning of each list.
//!
//! A removal is an epoch, a second, and of each list how many of its hits it knew. Removals join: the higher epoch, the later
//! second, and of each list the longer beginning.
//!
//! | a hit of a list of a lower epoch | is |
//! |---|---|
//! | before the second of the removal | void |
//! | in that second or after it, and the removal knew it | void |
//! | else | counted |
//!
//! A worker that never hears of a removal goes on in its old epoch, and so does one that hears of it in a merge.
//!
//! From this follow the laws: merging again, in another order or by way of a third registry changes nothing; a restored or
//! cloned registry goes on under a life of its own; and no swap, prune or removal elsewhere loses or doubles a hit.

use std::collections::BTreeMap;
use std::time::Duration;

use hitring::{Hits, ManualClock, Outcome, QueryError, Registry, RegistrySnapshot, SnapshotError, Strategy, Timestamp};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use super::custom::listed;
use super::{START, at};

pub const WINDOW: u64 = 8;
const NAMES: [&str; 3] = ["a", "b", "c"];
const REGISTRIES: usize = 3;

/// A registry, in memory or in a file.
pub trait Site {
    fn query(&self, name: &str, last: Duration) -> Result<Hits, QueryError>;
    fn record_at(&self, name: &str, at: Timestamp, amount: u64) -> Outcome;
    fn has(&self, name: &str) -> bool;
    fn remove(&self, name: &str) -> bool;
    /// Removes all.
    fn clear(&self);
    fn snapshot(&self) -> RegistrySnapshot;
    fn restore(&self, snapshot: &RegistrySnapshot);
    fn merge(&self, snapshot: &RegistrySnapshot) -> Result<u64, SnapshotError>;
    fn total(&self) -> u64;
    /// Goes on with a copy of its file, if that is how it is cloned.
    fn renew(&mut self, compact: bool) -> bool;
    /// For what files cannot do.
    fn memory(&self) -> Option<&Registry>;
}

impl Site for Registry {
    fn query(&self, name: &str, last: Duration) -> Result<Hits, QueryError> {
        self.query_hits(name, last)
    }

    fn record_at(&self, name: &str, at: Timestamp, amount: u64) -> Outcome {
        self.record_hit_at(name, at, amount).expect("a name")
    }

    fn has(&self, name: &str) -> bool {
        self.contains(name)
    }

    fn remove(&self, name: &str) -> bool {
        self.remove(name)
    }

    fn clear(&self) {
        self.clear();
    }

    fn snapshot(&self) -> RegistrySnapshot {
        self.snapshot()
    }

    fn restore(&self, snapshot: &RegistrySnapshot) {
        self.restore(snapshot).expect("it fits");
    }

    fn merge(&self, snapshot: &RegistrySnapshot) -> Result<u64, SnapshotError> {
        self.merge(snapshot)
    }

    fn total(&self) -> u64 {
        self.metrics().total_hits
    }

    fn renew(&mut self, _: bool) -> bool {
        false
    }

    fn memory(&self) -> Option<&Registry> {
        Some(self)
    }
}

/// A registry in memory.
pub fn memory(clock: &ManualClock) -> Box<dyn Site> {
    let registry = Registry::builder().window(Duration::from_secs(WINDOW)).slack(4).clock(clock.clone()).build();
    Box::new(registry.expect("a window of eight seconds is possible"))
}

#[derive(Clone, Debug)]
pub enum Step {
    Record {
        who: usize,
        name: usize,
        /// Of the clock, which may be behind.
        ago: i64,
        amount: u64,
    },
    /// Through a handle that may be old.
    Handle {
        who: usize,
        name: usize,
        amount: u64,
    },
    Take {
        who: usize,
        name: usize,
    },
    Drop {
        who: usize,
    },
    Swap {
        who: usize,
        name: Option<usize>,
        strategy: usize,
    },
    Remove {
        who: usize,
        name: usize,
    },
    Prune {
        who: usize,
    },
    Clear {
        who: usize,
    },
    Snapshot {
        who: usize,
    },
    Restore {
        who: usize,
        which: prop::sample::Index,
    },
    Merge {
        who: usize,
        which: prop::sample::Index,
        bytes: bool,
    },
    Pull {
        who: usize,
        from: usize,
    },
    Clone {
        who: usize,
        from: usize,
    },
    /// A file is copied, or compacted, and the new one goes on.
    Renew {
        who: usize,
        compact: bool,
    },
    Advance {
        by: u64,
    },
    Query {
        who: usize,
        name: usize,
        last: u64,
    },
}

fn strategies() -> Vec<Strategy> {
    vec![Strategy::Ring, Strategy::Striped, Strategy::SLIDING, Strategy::Adaptive, listed()]
}

pub fn steps() -> BoxedStrategy<Vec<Step>> {
    let (who, name) = (|| 0..REGISTRIES, || 0..NAMES.len());
    let step = prop_oneof![
        14 => (who(), name(), -2i64..4, 1u64..100)
            .prop_map(|(who, name, ago, amount)| Step::Record { who, name, ago, amount }),
        4 => (who(), name(), 1u64..100).prop_map(|(who, name, amount)| Step::Handle { who, name, amount }),
        2 => (who(), name()).prop_map(|(who, name)| Step::Take { who, name }),
        1 => who().prop_map(|who| Step::Drop { who }),
        4 => (who(), prop::option::of(name()), 0..5usize)
            .prop_map(|(who, name, strategy)| Step::Swap { who, name, strategy }),
        2 => (who(), name()).prop_map(|(who, name)| Step::Remove { who, name }),
        3 => who().prop_map(|who| Step::Prune { who }),
        1 => who().prop_map(|who| Step::Clear { who }),
        4 => who().prop_map(|who| Step::Snapshot { who }),
        2 => (who(), any::<prop::sample::Index>()).prop_map(|(who, which)| Step::Restore { who, which }),
        4 => (who(), any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(who, which, bytes)| Step::Merge { who, which, bytes }),
        4 => (who(), who()).prop_map(|(who, from)| Step::Pull { who, from }),
        1 => (who(), who()).prop_map(|(who, from)| Step::Clone { who, from }),
        2 => (who(), any::<bool>()).prop_map(|(who, compact)| Step::Renew { who, compact }),
        4 => prop_oneof![4 => 1u64..4, 1 => 60u64..90].prop_map(|by| Step::Advance { by }),
        6 => (who(), name(), 1..=WINDOW).prop_map(|(who, name, last)| Step::Query { who, name, last }),
    ];
    prop::collection::vec(step, 1..90).boxed()
}

/// A list of hits: its writer, its name, and the epoch of the name.
type Key = (usize, usize, u64);

/// What is known of the removals of a name.
#[derive(Clone, Debug, Default)]
struct Removal {
    epoch: u64,
    second: u64,
    /// How many hits of each list were known.
    known: BTreeMap<Key, usize>,
}

impl Removal {
    fn join(&mut self, other: &Self) {
        self.epoch = self.epoch.max(other.epoch);
        self.second = self.second.max(other.second);
        for (&key, &len) in &other.known {
            let ours = self.known.entry(key).or_default();
            *ours = len.max(*ours);
        }
    }

    /// Whether a hit counts.
    fn keeps(&self, key: Key, place: usize, second: u64) -> bool {
        let is_known = self.known.get(&key).is_some_and(|&known| place < known);
        key.2 >= self.epoch || (second >= self.second && !is_known)
    }
}

/// What is known: of each name that has an endpoint its epoch, the removals, and of each list how long a beginning.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The life of the registry that took it.
    life: usize,
    epochs: BTreeMap<usize, u64>,
    removed: BTreeMap<usize, Removal>,
    highest: u64,
    lists: BTreeMap<Key, usize>,
    /// Hits counted by each life of a registry.
    totals: BTreeMap<usize, u64>,
}

impl Known {
    /// What a registry knows that was restored from this: its endpoints begin in the epochs of today.
    fn restored(mut self, life: usize) -> Self {
        for (&name, epoch) in &mut self.epochs {
            *epoch = self.removed.get(&name).map_or(0, |removal| removal.epoch).max(*epoch);
        }
        Self { life, ..self }
    }

    fn epoch_of_removed(&self, name: usize) -> u64 {
        self.removed.get(&name).map_or(0, |removal| removal.epoch)
    }

    /// Forgets the life of a name.
    fn end(&mut self, name: usize) {
        self.epochs.remove(&name);
        self.lists.retain(|key, _| key.1 != name);
    }

    /// Removes a name at `second`.
    fn remove(&mut self, name: usize, second: u64) {
        self.highest += 1;
        let known = self.lists.iter().filter(|(key, _)| key.1 == name);
        let known = known.map(|(&key, &len)| (key, len)).collect();
        self.removed.entry(name).or_default().join(&Removal { epoch: self.highest, second, known });
        self.end(name);
    }

    fn merge(&mut self, theirs: &Self) {
        for (&name, removal) in &theirs.removed {
            self.removed.entry(name).or_default().join(removal);
        }
        for (&name, &epoch) in &theirs.epochs {
            let epoch = epoch.max(self.epoch_of_removed(name));
            self.epochs.entry(name).or_insert(epoch);
        }
        for (&key, &len) in &theirs.lists {
            let ours = self.lists.entry(key).or_default();
            *ours = len.max(*ours);
        }
        self.highest = self.highest.max(theirs.highest);
        for (&life, &total) in &theirs.totals {
            let ours = self.totals.entry(life).or_default();
            *ours = total.max(*ours);
        }
    }
}

struct Member {
    registry: Box<dyn Site>,
    known: Known,
    /// Handles, and whether each was found dead.
    handles: Vec<(usize, hitring::Handle, bool)>,
}

pub struct Fleet {
    clock: ManualClock,
    now: u64,
    lives: usize,
    /// Second and amount of each hit.
    lists: BTreeMap<Key, Vec<(u64, u64)>>,
    members: Vec<Member>,
    snapshots: Vec<(RegistrySnapshot, Known)>,
}

impl Fleet {
    /// A fleet of what `sites` make.
    pub fn new(sites: [impl Fn(&ManualClock) -> Box<dyn Site>; REGISTRIES]) -> Self {
        let clock = ManualClock::new(at(START));
        let mut fleet =
            Self { clock, now: START, lives: 0, lists: BTreeMap::new(), members: Vec::new(), snapshots: Vec::new() };
        for site in sites {
            let known = Known { life: fleet.life(), ..Known::default() };
            fleet.members.push(Member { registry: site(&fleet.clock), known, handles: Vec::new() });
        }
        fleet
    }

    fn life(&mut self) -> usize {
        self.lives += 1;
        self.lives
    }

    /// Notes a hit that was counted by `who`.
    fn note(&mut self, who: usize, name: usize, second: u64, amount: u64) {
        let known = &mut self.members[who].known;
        let epoch = known.epoch_of_removed(name);
        let epoch = *known.epochs.entry(name).or_insert(epoch);
        let key = (known.life, name, epoch);
        let list = self.lists.entry(key).or_default();
        list.push((second, amount));
        known.lists.insert(key, list.len());
        *known.totals.entry(known.life).or_default() += amount;
    }

    /// The hits that count.
    fn count(&self, who: usize, name: usize, last: u64) -> u64 {
        let known = &self.members[who].known;
        let removal = known.removed.get(&name).cloned().unwrap_or_default();
        let mut count = 0;
        for (&key, &len) in known.lists.iter().filter(|(key, _)| key.1 == name) {
            for (place, &(second, amount)) in self.lists[&key][..len].iter().enumerate() {
                let is_asked = (self.now + 1 - last..=self.now).contains(&second);
                count += if is_asked && removal.keeps(key, place, second) { amount } else { 0 };
            }
        }
        count
    }

    fn check(&self, who: usize, name: usize, last: u64) -> Result<(), TestCaseError> {
        let told = self.members[who].registry.query(NAMES[name], Duration::from_secs(last));
        let count = self.count(who, name, last);
        let right = matches!(&told, Ok(hits) if hits.is_exact() && hits.count == count);
        prop_assert!(right, "{} of {who}: {told:?}, not {count}", NAMES[name]);
        Ok(())
    }

    /// Forgets the epoch of an endpoint that was pruned, which the oracle does not follow otherwise.
    fn look(&mut self, who: usize, name: usize) {
        let member = &mut self.members[who];
        if !member.registry.has(NAMES[name]) {
            member.known.epochs.remove(&name);
        }
    }

    fn merge(&mut self, who: usize, snapshot: &RegistrySnapshot, theirs: &Known) -> Result<(), TestCaseError> {
        // A merge may prune, and then make an endpoint of a pruned name anew: in another epoch.
        let _ = self.members[who].registry.memory().map(Registry::prune);
        (0..NAMES.len()).for_each(|name| self.look(who, name));
        let merged = self.members[who].registry.merge(snapshot);
        if theirs.life == self.members[who].known.life {
            prop_assert_eq!(merged, Err(SnapshotError::Own));
            return Ok(());
        }
        prop_assert!(merged.is_ok(), "{merged:?}");
        self.members[who].known.merge(theirs);
        Ok(())
    }

    /// The snapshot that was taken some time, or what one holds now.
    fn snapshot(&self, which: &prop::sample::Index) -> (RegistrySnapshot, Known) {
        match self.snapshots.is_empty() {
            false => self.snapshots[which.index(self.snapshots.len())].clone(),
            true => (self.members[0].registry.snapshot(), self.members[0].known.clone()),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Record { who, name, ago, amount } => {
                let second = self.now.saturating_add_signed(-ago);
                self.look(who, name);
                let told = self.members[who].registry.record_at(NAMES[name], at(second), amount);
                prop_assert_eq!(told, Outcome::Counted);
                self.note(who, name, second, amount);
            }
            Step::Take { who, name } => {
                self.look(who, name);
                let member = &mut self.members[who];
                let Some(registry) = member.registry.memory() else { return Ok(()) };
                let handle = registry.counter(NAMES[name]).expect("there is room");
                member.handles.push((name, handle, false));
                let epoch = member.known.epoch_of_removed(name);
                member.known.epochs.entry(name).or_insert(epoch);
            }
            Step::Handle { who, name, amount } => {
                let found = self.members[who].handles.iter_mut().find(|(of, ..)| *of == name);
                let Some((_, handle, dead)) = found else { return Ok(()) };
                let lives = handle.is_live();
                prop_assert!(!(lives && *dead), "a dead handle of {} lives again", NAMES[name]);
                *dead = !lives;
                let outcome = handle.record(amount);
                prop_assert_eq!(outcome, if lives { Outcome::Counted } else { Outcome::Refused });
                if lives {
                    self.note(who, name, self.now, amount);
                }
            }
            Step::Drop { who } => self.members[who].handles.clear(),
            Step::Swap { who, name, strategy } => {
                let Some(registry) = self.members[who].registry.memory() else { return Ok(()) };
                let strategy = &strategies()[strategy];
                match name {
                    Some(name) => _ = registry.swap_endpoint(NAMES[name], strategy).expect("it suits"),
                    None => _ = registry.swap_strategy(strategy).expect("it suits"),
                }
            }
            Step::Remove { who, name } => {
                let member = &mut self.members[who];
                let was_there = member.known.epochs.contains_key(&name);
                // It may have been pruned, which the oracle does not follow.
                if member.registry.remove(NAMES[name]) {
                    prop_assert!(was_there);
                    member.known.remove(name, self.now);
                }
                member.known.end(name);
            }
            Step::Clear { who } => {
                let member = &mut self.members[who];
                let was_there = NAMES.map(|name| member.registry.has(name));
                member.registry.clear();
                prop_assert!(NAMES.iter().all(|name| !member.registry.has(name)));
                // One by one, in order.
                for (index, _) in was_there.into_iter().enumerate().filter(|&(_, was_there)| was_there) {
                    member.known.remove(index, self.now);
                }
                (0..NAMES.len()).for_each(|name| member.known.end(name));
            }
            Step::Prune { who } => _ = self.members[who].registry.memory().map(Registry::prune),
            Step::Snapshot { who } => {
                let member = &self.members[who];
                self.snapshots.push((member.registry.snapshot(), member.known.clone()));
            }
            Step::Restore { who, ref which } => {
                let (snapshot, known) = self.snapshot(which);
                let life = self.life();
                let member = &mut self.members[who];
                member.registry.restore(&snapshot);
                let highest = member.known.highest.max(known.highest);
                member.known = Known { highest, ..known.restored(life) };
            }
            Step::Merge { who, ref which, bytes } => {
                let (snapshot, theirs) = self.snapshot(which);
                let snapshot = if bytes {
                    RegistrySnapshot::from_bytes(&snapshot.to_bytes()).expect("bytes that were just made")
                } else {
                    snapshot
                };
                self.merge(who, &snapshot, &theirs)?;
            }
            Step::Pull { who, from } => {
                let (snapshot, theirs) = (self.members[from].registry.snapshot(), self.members[from].known.clone());
                self.merge(who, &snapshot, &theirs)?;
                // Again, and nothing changes.
                self.merge(who, &snapshot, &theirs)?;
            }
            Step::Clone { who, from } => {
                let Some(registry) = self.members[from].registry.memory().cloned() else { return Ok(()) };
                if self.members[who].registry.memory().is_none() {
                    return Ok(());
                }
                let registry = Box::new(registry);
                let life = self.life();
                let known = self.members[from].known.clone().restored(life);
                self.members[who] = Member { registry, known, handles: Vec::new() };
            }
            Step::Renew { who, compact } => {
                if self.members[who].registry.renew(compact) {
                    self.members[who].known.life = self.life();
                }
            }
            Step::Advance { by } => {
                self.now += by;
                self.clock.set(at(self.now));
            }
            Step::Query { who, name, last } => self.check(who, name, last)?,
        }
        Ok(())
    }
}

impl Fleet {
    /// Takes all steps; after them every answer is the oracle's.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        for (number, step) in steps.iter().enumerate() {
            self.step(step).map_err(|error| TestCaseError::fail(format!("step {number} {step:?}: {error}")))?;
        }
        for who in 0..REGISTRIES {
            for name in 0..NAMES.len() {
                self.check(who, name, WINDOW)?;
            }
            let total: u64 = self.members[who].known.totals.values().sum();
            prop_assert_eq!(self.members[who].registry.total(), total, "total of {}", who);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn no_interleaving_loses_or_doubles_a_hit(steps in steps()) {
        Fleet::new([memory; REGISTRIES]).run(&steps)?;
    }
}
