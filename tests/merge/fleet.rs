//! A fleet of counters that snapshot, merge, clone and reset in any order, each beside an oracle.
//!
//! The oracle of merging is as plain as that of counting. Every life of a counter is one log of hits that only grows, so
//! a counter knows a number of its first hits. A merge takes the longer beginning of each log:
//!
//! | merging | does |
//! |---|---|
//! | a snapshot of a lower epoch | nothing, `OlderEpoch` |
//! | one of the same epoch | the longer beginning of each log, by writer |
//! | one of a higher epoch | begins a new log in that epoch, with nothing but what the snapshot knows |
//!
//! In every case the larger tallies of each counter are kept. From this follow the laws: merging again, in another order
//! or by way of a third counter changes nothing, and a clone takes in of its original only what is new.

use std::collections::BTreeMap;
use std::time::Duration;

use hitring::{HitCounter, Outcomes, Snapshot, SnapshotError, Strategy};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use crate::oracle::{Answer, Log, Rules, allows, counter, timestamp};

/// Microseconds of a tick, and ticks of the window.
const GEOMETRIES: [(u64, u64); 5] = [(1_000_000, 5), (1_000_000, 60), (1_000_000, 300), (250_000, 70), (1_500_000, 64)];
const START: u64 = 1_700_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// A hit so many thousandths of a tick after the start.
    Record {
        who: usize,
        at: i64,
        amount: u64,
    },
    Snapshot {
        who: usize,
    },
    /// Merges a snapshot that was taken some time, by way of bytes if so asked.
    Merge {
        who: usize,
        which: prop::sample::Index,
        bytes: bool,
    },
    /// Merges what another counter holds now, or the counter itself.
    Pull {
        who: usize,
        from: usize,
    },
    Clone {
        who: usize,
        from: usize,
    },
    Reset {
        who: usize,
    },
    Query {
        who: usize,
        at: i64,
        ticks: u64,
    },
}

fn at() -> BoxedStrategy<i64> {
    prop_oneof![
        6 => 0i64..8_000,
        2 => 0i64..400_000,
        // About one ring behind or ahead.
        2 => (-2i64..3, prop::sample::select(vec![64, 65, 70, 80, 90, 300, 301, 320, 321])).prop_map(|(n, slots)| (n + slots) * 1_000),
    ]
    .boxed()
}

const COUNTERS: usize = 4;

fn steps() -> BoxedStrategy<Vec<Step>> {
    let who = || 0..COUNTERS;
    let step = prop_oneof![
        14 => (who(), at(), 1u64..1_000).prop_map(|(who, at, amount)| Step::Record { who, at, amount }),
        4 => who().prop_map(|who| Step::Snapshot { who }),
        6 => (who(), any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(who, which, bytes)| Step::Merge { who, which, bytes }),
        5 => (who(), who()).prop_map(|(who, from)| Step::Pull { who, from }),
        2 => (who(), who()).prop_map(|(who, from)| Step::Clone { who, from }),
        1 => who().prop_map(|who| Step::Reset { who }),
        8 => (who(), at(), 0u64..400).prop_map(|(who, at, ticks)| Step::Query { who, at, ticks }),
    ];
    prop::collection::vec(step.boxed(), 1..80).boxed()
}

type Tally = [u64; 5];

/// What is known: of each life so many of its first hits, of each counter its tallies.
#[derive(Clone, Default)]
struct Known {
    epoch: u64,
    lives: BTreeMap<usize, usize>,
    tallies: BTreeMap<usize, Tally>,
}

struct Member {
    counter: HitCounter,
    rules: Rules,
    known: Known,
    /// Which of the fleet's logs it writes.
    life: usize,
    /// Under which number its own tallies go.
    replica: usize,
    /// The tallies that were seen last: none may ever go down.
    seen: Outcomes,
}

struct Fleet {
    strategy: Strategy,
    logs: Vec<Log>,
    replicas: usize,
    members: Vec<Member>,
    snapshots: Vec<(Snapshot, Known)>,
}

impl Fleet {
    fn new(strategies: [Strategy; COUNTERS], (tick, window): (u64, u64), slacks: [u32; COUNTERS]) -> Self {
        let mut fleet = Self {
            strategy: strategies[0].clone(),
            logs: Vec::new(),
            replicas: 0,
            members: Vec::new(),
            snapshots: Vec::new(),
        };
        for (strategy, slack) in strategies.into_iter().zip(slacks) {
            let geometry = (tick, window, slack);
            let member = fleet.member(counter(&strategy, geometry), Rules::new(&strategy, geometry), Known::default());
            fleet.members.push(member);
        }
        fleet
    }

    fn member(&mut self, counter: HitCounter, rules: Rules, mut known: Known) -> Member {
        let (life, replica) = (self.logs.len(), self.replicas);
        self.logs.push(Log::new(rules));
        self.replicas += 1;
        known.tallies.insert(replica, [0; 5]);
        Member { counter, rules, known, life, replica, seen: Outcomes::default() }
    }

    fn begin_life(&mut self, who: usize, epoch: u64) {
        let member = &mut self.members[who];
        member.known.epoch = epoch;
        member.known.lives.clear();
        member.life = self.logs.len();
        self.logs.push(Log::new(member.rules));
    }

    fn known(&self, who: usize) -> Known {
        let member = &self.members[who];
        let mut known = member.known.clone();
        known.lives.insert(member.life, self.logs[member.life].len());
        known
    }

    fn merge(&mut self, who: usize, snapshot: &Snapshot, theirs: &Known) -> Result<(), TestCaseError> {
        let ours = self.members[who].known.epoch;
        let told = self.members[who].counter.merge(snapshot);
        if theirs.epoch < ours {
            prop_assert_eq!(told, Err(SnapshotError::OlderEpoch { theirs: theirs.epoch, ours }));
            return Ok(());
        }
        prop_assert_eq!(told, Ok(()));
        if theirs.epoch > ours {
            self.begin_life(who, theirs.epoch);
        }
        let member = &mut self.members[who];
        for (&life, &len) in &theirs.lives {
            let known = member.known.lives.entry(life).or_default();
            *known = len.max(*known);
        }
        for (&replica, &tally) in &theirs.tallies {
            let known = member.known.tallies.entry(replica).or_default();
            *known = std::array::from_fn(|i| tally[i].max(known[i]));
        }
        Ok(())
    }

    fn read(&self, who: usize, first: u64, to: u64) -> Answer {
        let known = self.known(who);
        let logs = known.lives.iter().map(|(&life, &len)| self.logs[life].upto(len).read(first, to));
        logs.fold(Answer::default(), Answer::plus)
    }

    fn check(&self, who: usize, nanos: u128, ticks: u64) -> Result<(), TestCaseError> {
        let Member { counter, rules, .. } = &self.members[who];
        let at = timestamp(nanos);
        let to = rules.grain_of(at);
        let last = Duration::from_nanos(rules.tick as u64 * ticks);
        let told = counter.count_at(at, last);
        let answer = match ticks {
            0 => Answer::default(),
            _ => self.read(who, (to + 1).saturating_sub(ticks * rules.grains()), to),
        };
        prop_assert!(allows(answer, &told), "{:?} of {:?} to {}, not {:?}", told, last, at, answer);
        if ticks == rules.window {
            let hits = u128::from(counter.get_hits(at));
            prop_assert!(answer.left <= hits && hits <= answer.count, "{} hits to {}, not {:?}", hits, at, answer);
        }
        Ok(())
    }

    fn nanos(&self, at: i64) -> u128 {
        let tick = self.members[0].rules.tick as i128;
        (i128::from(START) * 1_000_000_000 + i128::from(at) * tick / 1_000).max(0) as u128
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Record { who, at, amount } => {
                let at = timestamp(self.nanos(at));
                let member = &mut self.members[who];
                let outcome = self.logs[member.life].record(member.rules.grain_of(at), amount);
                prop_assert_eq!(member.counter.record_at(at, amount), outcome);
                let tally = member.known.tallies.entry(member.replica).or_default();
                tally[usize::from(!outcome.is_counted())] += amount;
            }
            Step::Snapshot { who } => {
                let snapshot = self.members[who].counter.snapshot();
                self.snapshots.push((snapshot, self.known(who)));
            }
            Step::Merge { who, ref which, bytes } if !self.snapshots.is_empty() => {
                let (mut snapshot, known) = which.get(&self.snapshots).clone();
                if bytes {
                    let read = Snapshot::from_bytes(&snapshot.to_bytes());
                    prop_assert_eq!(read.as_ref(), Ok(&snapshot));
                    snapshot = read.expect("just compared");
                }
                self.merge(who, &snapshot, &known)?;
            }
            Step::Merge { .. } => {}
            Step::Pull { who, from } => {
                let (snapshot, known) = (self.members[from].counter.snapshot(), self.known(from));
                self.merge(who, &snapshot, &known)?;
            }
            Step::Clone { who, from } => {
                let (counter, rules, known) =
                    (self.members[from].counter.clone(), self.members[from].rules, self.known(from));
                self.members[who] = self.member(counter, rules, known);
            }
            Step::Reset { who } => {
                self.members[who].counter.reset();
                self.begin_life(who, self.members[who].known.epoch + 1);
            }
            Step::Query { who, at, ticks } => {
                let window = self.members[who].rules.window;
                self.check(who, self.nanos(at), if ticks > window { window } else { ticks })?;
            }
        }
        self.check_tallies()
    }

    fn check_tallies(&mut self) -> Result<(), TestCaseError> {
        for member in &mut self.members {
            let outcomes = member.counter.outcomes();
            let sum = |i: usize| member.known.tallies.values().map(|tally| tally[i]).sum::<u64>();
            prop_assert_eq!([outcomes.counted, outcomes.late], [sum(0), sum(1)]);
            prop_assert_eq!(outcomes.max(member.seen), outcomes, "a tally went down");
            member.seen = outcomes;
        }
        Ok(())
    }

    /// Every counter answers like its oracle at every tick, and so does one restored from its snapshot.
    fn check_everywhere(&mut self) -> Result<(), TestCaseError> {
        let rules = self.members[0].rules;
        for who in 0..COUNTERS {
            let from = &self.members[who];
            let (snapshot, known) = (from.counter.snapshot(), self.known(who));
            let rules_of_restored = Rules::new(&self.strategy, (rules.tick as u64 / 1_000, rules.window, 3));
            let restored = counter(&self.strategy, (rules.tick as u64 / 1_000, rules.window, 3));
            for at in (0..8).chain(60..75).chain(rules.window as i64 - 2..rules.window as i64 + 10) {
                self.check(who, self.nanos(at * 1_000 + 500), rules.window)?;
            }
            let member = self.member(restored, rules_of_restored, Known::default());
            let live = std::mem::replace(&mut self.members[who], member);
            self.merge(who, &snapshot, &known)?;
            for at in (0..8).chain(60..75).chain(rules.window as i64 - 2..rules.window as i64 + 10) {
                let nanos = self.nanos(at * 1_000 + 500);
                let (at, last) = (timestamp(nanos), live.counter.window());
                self.check(who, nanos, rules.window)?;
                // It never had hits of its own to remember, so it answers what is there.
                let to = self.members[who].rules.grain_of(at);
                let window = rules.window * rules.grains();
                let left = self.read(who, (to + 1).saturating_sub(window), to).left;
                prop_assert_eq!(u128::from(self.members[who].counter.get_hits(at)), left, "hits to {}", at);
                // A live counter may still remember what is gone.
                if let Ok(count) = self.members[who].counter.count_at(at, last) {
                    prop_assert_eq!(live.counter.count_at(at, last), Ok(count));
                }
            }
            self.members[who] = live;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn counters_that_merge_know_the_longer_beginning_of_each_log(
        strategies in prop_oneof![
            2 => prop::array::uniform4(prop::sample::select(&[Strategy::Striped, Strategy::Ring][..])),
            1 => Just([Strategy::SLIDING; COUNTERS]),
        ],
        geometry in prop::sample::select(&GEOMETRIES[..]),
        slacks in prop::array::uniform4(prop::sample::select(&[0, 1, 20][..])),
        steps in steps(),
    ) {
        let mut fleet = Fleet::new(strategies, geometry, slacks);
        for (i, step) in steps.iter().enumerate() {
            fleet.step(step).map_err(|e| TestCaseError::fail(format!("step {i} {step:?}: {e}")))?;
        }
        fleet.check_everywhere()?;
    }
}
