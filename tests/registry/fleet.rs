//! Registries that record, swap, remove, prune, snapshot, restore, merge and clone in any order, beside an oracle.
//!
//! The oracle is as plain as the idea: every life of a registry writes, for each life of a name, one list of hits that
//! only grows; what anybody knows of it is how many of its first hits. A merge takes the longer beginning of each list.
//!
//! | merging what is known of a name in epoch `theirs` | does |
//! |---|---|
//! | `theirs` below ours, or below the epoch in which we removed it | nothing |
//! | `theirs` above ours | ours is forgotten, theirs is taken over |
//! | the same | the longer beginning of each list |
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

/// What is known: of each name that has an endpoint its epoch, the removals, and of each list how long a beginning.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The life of the registry that took it.
    life: usize,
    epochs: BTreeMap<usize, u64>,
    removed: BTreeMap<usize, u64>,
    highest: u64,
    lists: BTreeMap<Key, usize>,
    /// Hits counted by each life of a registry.
    totals: BTreeMap<usize, u64>,
}

impl Known {
    /// Forgets the life of a name.
    fn end(&mut self, name: usize) {
        self.epochs.remove(&name);
        self.lists.retain(|key, _| key.1 != name);
    }

    fn merge(&mut self, theirs: &Self) {
        for (&name, &epoch) in &theirs.removed {
            let grave = self.removed.entry(name).or_default();
            *grave = epoch.max(*grave);
            if self.epochs.get(&name).is_some_and(|&ours| ours < epoch) {
                self.end(name);
            }
        }
        for (&name, &epoch) in &theirs.epochs {
            if self.removed.get(&name).is_some_and(|&removed| epoch < removed) {
                continue;
            }
            if self.epochs.get(&name).is_some_and(|&ours| ours < epoch) {
                self.removed.insert(name, epoch);
                self.end(name);
            }
            if *self.epochs.entry(name).or_insert(epoch) == epoch {
                for (&key, &len) in theirs.lists.iter().filter(|(key, _)| key.1 == name) {
                    let ours = self.lists.entry(key).or_default();
                    *ours = len.max(*ours);
                }
            }
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
    /// Handles, and the list that each writes to while its endpoint lives.
    handles: Vec<(usize, hitring::Handle)>,
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
        let epoch = known.removed.get(&name).copied().unwrap_or_default();
        let epoch = *known.epochs.entry(name).or_insert(epoch);
        let key = (known.life, name, epoch);
        let list = self.lists.entry(key).or_default();
        list.push((second, amount));
        known.lists.insert(key, list.len());
        *known.totals.entry(known.life).or_default() += amount;
    }

    fn count(&self, who: usize, name: usize, last: u64) -> u64 {
        let known = &self.members[who].known;
        let lists = known.lists.iter().filter(|(key, _)| key.1 == name);
        let hits = lists.flat_map(|(key, &len)| &self.lists[key][..len]);
        hits.filter(|(second, _)| (self.now + 1 - last..=self.now).contains(second)).map(|(_, amount)| amount).sum()
    }

    fn check(&self, who: usize, name: usize, last: u64) -> Result<(), TestCaseError> {
        let told = self.members[who].registry.query_hits(NAMES[name], Duration::from_secs(last));
        prop_assert_eq!(told, Ok(hitring::Hits::exact(self.count(who, name, last))), "{} of {}", NAMES[name], who);
        Ok(())
    }

    fn merge(&mut self, who: usize, snapshot: &RegistrySnapshot, theirs: &Known) -> Result<(), TestCaseError> {
        let merged = self.members[who].registry.merge(snapshot);
        if theirs.life == self.members[who].known.life {
            prop_assert_eq!(merged, Err(SnapshotError::Own));
            return Ok(());
        }
        prop_assert_eq!(merged, Ok(()));
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
                let told = self.members[who].registry.record_hit_at(NAMES[name], at(second), amount);
                prop_assert_eq!(told, Ok(Outcome::Counted));
                self.note(who, name, second, amount);
            }
            Step::Take { who, name } => {
                let member = &mut self.members[who];
                let handle = member.registry.counter(NAMES[name]).expect("there is room");
                member.handles.push((name, handle));
                let epoch = member.known.removed.get(&name).copied().unwrap_or_default();
                member.known.epochs.entry(name).or_insert(epoch);
            }
            Step::Handle { who, name, amount } => {
                let found = self.members[who].handles.iter().find(|(of, _)| *of == name);
                let Some((_, handle)) = found else { return Ok(()) };
                let lives = handle.is_live();
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
                    member.known.highest += 1;
                    member.known.removed.insert(name, member.known.highest);
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
                    member.known.highest += 1;
                    member.known.removed.insert(index, member.known.highest);
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
                member.known = Known { life, highest, ..known };
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
                let known = Known { life: self.life(), ..self.members[from].known.clone() };
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
