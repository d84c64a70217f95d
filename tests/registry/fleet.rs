//! Registries that record, swap, remove, prune, snapshot, restore, merge and clone in any order, beside an oracle.
//!
//! The oracle is as plain as the idea: every life of a registry writes, for each life of a name, one list of hits that
//! only grows; what anybody knows of it is how many of its first hits. A merge takes the longer beginning of each list.
//!
//! A removal is an epoch, a second, and of each list that it found a hit of that second in, how many of its hits it knew.
//! Removals join: the higher epoch, the later second, and what was found in that second.
//!
//! | a hit of a list of a lower epoch | is |
//! |---|---|
//! | before the second of the removal | void |
//! | in that second, and the removal knew it | void |
//! | in that second, of a list that the removal found, but later than what it knew | either: the removal names a writer and a tick |
//! | else | counted |
//!
//! A worker that never hears of a removal goes on in its old epoch, and so does one that hears of it in a merge.
//!
//! From this follow the laws: merging again, in another order or by way of a third registry changes nothing; a restored or
//! cloned registry goes on under a life of its own; and no swap, prune or removal elsewhere loses or doubles a hit.

use std::collections::BTreeMap;
use std::time::Duration;

use hitring::{ManualClock, Outcome, Registry, RegistrySnapshot, SnapshotError, Strategy};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use super::custom::listed;
use super::{START, at};

const WINDOW: u64 = 8;
const NAMES: [&str; 3] = ["a", "b", "c"];
const REGISTRIES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Record {
        who: usize,
        name: usize,
        ago: u64,
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

fn steps() -> BoxedStrategy<Vec<Step>> {
    let (who, name) = (|| 0..REGISTRIES, || 0..NAMES.len());
    let step = prop_oneof![
        14 => (who(), name(), 0u64..4, 1u64..100)
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
        4 => prop_oneof![4 => 1u64..4, 1 => 60u64..90].prop_map(|by| Step::Advance { by }),
        6 => (who(), name(), 1..=WINDOW).prop_map(|(who, name, last)| Step::Query { who, name, last }),
    ];
    prop::collection::vec(step, 1..90).boxed()
}

/// A list of hits: who wrote it, of which name, in which of the name's epochs.
type Key = (usize, usize, u64);

/// What is known of the removals of a name.
#[derive(Clone, Debug, Default)]
struct Removal {
    epoch: u64,
    second: u64,
    /// Of each list with a hit in that second, how many of its hits were known.
    found: BTreeMap<Key, usize>,
}

impl Removal {
    fn join(&mut self, other: &Self) {
        self.epoch = self.epoch.max(other.epoch);
        if self.second < other.second {
            (self.second, self.found) = (other.second, other.found.clone());
        } else if self.second == other.second {
            for (&key, &len) in &other.found {
                let ours = self.found.entry(key).or_default();
                *ours = len.max(*ours);
            }
        }
    }

    /// Whether a hit counts; `None` if it may or may not.
    fn keeps(&self, key: Key, place: usize, second: u64) -> Option<bool> {
        if key.2 >= self.epoch || second > self.second {
            return Some(true);
        }
        match self.found.get(&key) {
            _ if second < self.second => Some(false),
            None => Some(true),
            Some(&known) if place < known => Some(false),
            Some(_) => None,
        }
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
    fn remove(&mut self, name: usize, second: u64, lists: &BTreeMap<Key, Vec<(u64, u64)>>) {
        self.highest += 1;
        let known = self.lists.iter().filter(|(key, _)| key.1 == name);
        let found = known.filter(|&(key, &len)| lists[key][..len].iter().any(|hit| hit.0 >= second));
        let found = found.map(|(&key, &len)| (key, len)).collect();
        self.removed.entry(name).or_default().join(&Removal { epoch: self.highest, second, found });
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
    registry: Registry,
    known: Known,
    /// Handles, and whether each was found dead.
    handles: Vec<(usize, hitring::Handle, bool)>,
}

struct Fleet {
    clock: ManualClock,
    now: u64,
    lives: usize,
    /// Second and amount of each hit.
    lists: BTreeMap<Key, Vec<(u64, u64)>>,
    members: Vec<Member>,
    snapshots: Vec<(RegistrySnapshot, Known)>,
}

impl Fleet {
    fn new() -> Self {
        let clock = ManualClock::new(at(START));
        let mut fleet =
            Self { clock, now: START, lives: 0, lists: BTreeMap::new(), members: Vec::new(), snapshots: Vec::new() };
        for _ in 0..REGISTRIES {
            let registry = Registry::builder()
                .window(Duration::from_secs(WINDOW))
                .slack(4)
                .clock(fleet.clock.clone())
                .build()
                .expect("a window of eight seconds is possible");
            let known = Known { life: fleet.life(), ..Known::default() };
            fleet.members.push(Member { registry, known, handles: Vec::new() });
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

    /// The hits that count at least, and at most.
    fn count(&self, who: usize, name: usize, last: u64) -> (u64, u64) {
        let known = &self.members[who].known;
        let removal = known.removed.get(&name).cloned().unwrap_or_default();
        let (mut least, mut most) = (0, 0);
        for (&key, &len) in known.lists.iter().filter(|(key, _)| key.1 == name) {
            for (place, &(second, amount)) in self.lists[&key][..len].iter().enumerate() {
                if (self.now + 1 - last..=self.now).contains(&second) {
                    let keeps = removal.keeps(key, place, second);
                    least += if keeps == Some(true) { amount } else { 0 };
                    most += if keeps == Some(false) { 0 } else { amount };
                }
            }
        }
        (least, most)
    }

    fn check(&self, who: usize, name: usize, last: u64) -> Result<(), TestCaseError> {
        let told = self.members[who].registry.query_hits(NAMES[name], Duration::from_secs(last));
        let (least, most) = self.count(who, name, last);
        let right = matches!(&told, Ok(hits) if hits.is_exact() && (least..=most).contains(&hits.count));
        prop_assert!(right, "{} of {who}: {told:?}, not {least} to {most}", NAMES[name]);
        Ok(())
    }

    /// Forgets the epoch of an endpoint that was pruned, which the oracle does not follow otherwise.
    fn look(&mut self, who: usize, name: usize) {
        let member = &mut self.members[who];
        if !member.registry.contains(NAMES[name]) {
            member.known.epochs.remove(&name);
        }
    }

    fn merge(&mut self, who: usize, snapshot: &RegistrySnapshot, theirs: &Known) -> Result<(), TestCaseError> {
        // A merge may prune, and then make an endpoint of a pruned name anew: in another epoch.
        let _ = self.members[who].registry.prune();
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
                let second = self.now - ago;
                self.look(who, name);
                let told = self.members[who].registry.record_hit_at(NAMES[name], at(second), amount);
                prop_assert_eq!(told, Ok(Outcome::Counted));
                self.note(who, name, second, amount);
            }
            Step::Take { who, name } => {
                self.look(who, name);
                let member = &mut self.members[who];
                let handle = member.registry.counter(NAMES[name]).expect("there is room");
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
                let registry = &self.members[who].registry;
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
                    member.known.remove(name, self.now, &self.lists);
                }
                member.known.end(name);
            }
            Step::Clear { who } => {
                let member = &mut self.members[who];
                let names = member.registry.endpoints();
                member.registry.clear();
                prop_assert!(member.registry.is_empty());
                // One by one, in order.
                for name in names {
                    let index = NAMES.iter().position(|known| *known == name).expect("a name of the test");
                    member.known.remove(index, self.now, &self.lists);
                }
                (0..NAMES.len()).for_each(|name| member.known.end(name));
            }
            Step::Prune { who } => _ = self.members[who].registry.prune(),
            Step::Snapshot { who } => {
                let member = &self.members[who];
                self.snapshots.push((member.registry.snapshot(), member.known.clone()));
            }
            Step::Restore { who, ref which } => {
                let (snapshot, known) = self.snapshot(which);
                let life = self.life();
                let member = &mut self.members[who];
                prop_assert_eq!(member.registry.restore(&snapshot), Ok(()));
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
                let registry = self.members[from].registry.clone();
                let life = self.life();
                let known = self.members[from].known.clone().restored(life);
                self.members[who] = Member { registry, known, handles: Vec::new() };
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

proptest! {
    #[test]
    fn no_interleaving_loses_or_doubles_a_hit(steps in steps()) {
        let mut fleet = Fleet::new();
        for (number, step) in steps.iter().enumerate() {
            fleet.step(step).map_err(|error| TestCaseError::fail(format!("step {number} {step:?}: {error}")))?;
        }
        for who in 0..REGISTRIES {
            for name in 0..NAMES.len() {
                fleet.check(who, name, WINDOW)?;
            }
            let total: u64 = fleet.members[who].known.totals.values().sum();
            prop_assert_eq!(fleet.members[who].registry.metrics().total_hits, total, "total of {}", who);
        }
    }
}
