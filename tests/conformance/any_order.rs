//! Hits and queries at times of their own, in any order.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Moves the run's own time, from which all others are seen.
    Move(When),
    Record(When, u64),
    Count(When, Last),
    /// Several queries to the run's own time, the first again at the end.
    Again(Vec<Last>),
    Hits(When),
    Buckets(When, Last),
    Rate(When, Last),
    /// A hit now, a count of the window, and the tick after: what a counter mostly sees.
    Tick {
        amount: u64,
        last: Last,
    },
    Reset,
    Clone,
}

/// Amounts from 0 up to more than any slot holds; `most` itself is made by the run.
fn amount() -> BoxedStrategy<u64> {
    prop_oneof![
        12 => 1u64..4,
        2 => Just(0),
        2 => 1u64..1_000_000,
        2 => (20u32..64).prop_map(|bits| (1 << bits) - 1),
        1 => (20u32..64).prop_map(|bits| 1 << bits),
        1 => Just(u64::MAX),
        1 => Just(i64::MAX as u64),
    ]
    .boxed()
}

fn steps() -> impl Any<Value = Vec<Step>> {
    let lasts = prop::collection::vec(last(), 1..4);
    let step = prop_oneof![
        14 => (when(), amount()).prop_map(|(when, amount)| Step::Record(when, amount)),
        12 => (1u64..4, last()).prop_map(|(amount, last)| Step::Tick { amount, last }),
        5 => (when(), last()).prop_map(|(when, last)| Step::Count(when, last)),
        5 => lasts.prop_map(Step::Again),
        4 => when().prop_filter("stays", |when| matches!(when, When::From { .. } | When::Ago(_))).prop_map(Step::Move),
        2 => when().prop_map(Step::Hits),
        1 => (when(), last()).prop_map(|(when, last)| Step::Buckets(when, last)),
        1 => (when(), last()).prop_map(|(when, last)| Step::Rate(when, last)),
        1 => Just(Step::Reset),
        1 => Just(Step::Clone),
    ];
    prop::collection::vec(step.boxed(), 1..70)
}

struct Run {
    pair: Pair,
    now: u128,
    /// The counters that were cloned: what happens to the clone is nothing to them.
    left_behind: Vec<Pair>,
}

impl Run {
    fn at(&self, when: When) -> (Timestamp, u64) {
        let at = timestamp(self.pair.time(self.now, when));
        (at, self.pair.oracle.rules.grain_of(at))
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Move(when) => self.now = self.pair.time(self.now, *when),
            Step::Record(when, amount) => {
                let (at, _) = self.at(*when);
                let (pair, amount) = (&mut self.pair, *amount);
                prop_assert_eq!(pair.counter.record_at(at, amount), pair.oracle.record(at, amount), "hit at {}", at);
            }
            Step::Count(when, last) => {
                let ((at, to), last) = (self.at(*when), self.pair.duration(*last));
                self.pair.check_count(to, last, self.pair.counter.count_at(at, last))?;
            }
            Step::Again(lasts) => {
                let (at, to) = (timestamp(self.now), self.pair.oracle.rules.grain_of(timestamp(self.now)));
                for last in lasts.iter().chain(lasts.first()) {
                    let last = self.pair.duration(*last);
                    self.pair.check_count(to, last, self.pair.counter.count_at(at, last))?;
                }
            }
            Step::Hits(when) => {
                let (at, to) = self.at(*when);
                self.pair.check_hits(to, self.pair.counter.get_hits(at))?;
            }
            Step::Buckets(when, last) => {
                let ((at, to), last) = (self.at(*when), self.pair.duration(*last));
                self.pair.check_buckets(to, last, self.pair.counter.buckets_at(at, last))?;
            }
            Step::Rate(when, last) => {
                let ((at, to), last) = (self.at(*when), self.pair.duration(*last));
                self.pair.check_rate(to, last, self.pair.counter.rate_at(at, last))?;
            }
            Step::Tick { amount, last } => {
                self.step(&Step::Record(NOW, *amount))?;
                self.step(&Step::Count(NOW, *last))?;
                self.now = (self.now + self.pair.oracle.rules.tick).min(LAST_NANO);
            }
            Step::Reset => {
                self.pair.counter.reset();
                self.pair.oracle.reset();
            }
            Step::Clone => {
                let clone = self.pair.cloned();
                self.left_behind.push(std::mem::replace(&mut self.pair, clone));
            }
        }
        Ok(())
    }
}

const NOW: When = When::From { windows: 0, slots: 0, ticks: 0, within: Within::Same };

fn run(strategy: Strategy, geometry: Geometry, start: u128, steps: &[Step]) -> Result<(), TestCaseError> {
    let pair = Pair { counter: crate::oracle::counter(&strategy, geometry), oracle: Oracle::new(&strategy, geometry) };
    let mut run = Run { pair, now: start, left_behind: Vec::new() };
    for (i, step) in steps.iter().enumerate() {
        run.step(step).map_err(|e| TestCaseError::fail(format!("{strategy:?} {geometry:?} step {i} {step:?}: {e}")))?;
    }
    let now = timestamp(run.now);
    for pair in run.left_behind.iter().chain([&run.pair]) {
        pair.check_all(now).map_err(|e| TestCaseError::fail(format!("{strategy:?} {geometry:?} at the end: {e}")))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_outcome_and_answer_is_the_oracles(
        geometry in prop::sample::select(&GEOMETRIES[..]),
        start in prop_oneof![
            2 => Just(0),
            1 => Just(299_999_999_999),
            4 => Just(1_700_000_000_123_456_789),
            2 => 0..LAST_NANO,
            1 => Just(LAST_NANO),
        ],
        steps in steps(),
    ) {
        for strategy in STRATEGIES {
            run(strategy, geometry, start, &steps)?;
        }
    }
}

/// The largest amount a tick takes is found to the hit, and what does not fit leaves no trace.
#[test]
fn a_slot_is_filled_to_the_hit() {
    for strategy in STRATEGIES {
        for geometry in GEOMETRIES {
            let mut pair =
                Pair { counter: crate::oracle::counter(&strategy, geometry), oracle: Oracle::new(&strategy, geometry) };
            let most = pair.oracle.rules.most;
            let start = 1_000 * pair.oracle.rules.tick * u128::from(pair.oracle.rules.slots);
            let amounts = [most + 1, most, 1, u64::MAX];
            let split = [most - 1, 2, 1, 1, 0];
            // In an empty slot, in one that is there, and in the slot of an older tick that was full.
            let slots = u128::from(pair.oracle.rules.slots) * pair.oracle.rules.tick;
            for (i, amount) in amounts.into_iter().chain(split).enumerate() {
                let lap = if i < amounts.len() { 0 } else { slots };
                let at = timestamp(start + lap);
                assert_eq!(
                    pair.counter.record_at(at, amount),
                    pair.oracle.record(at, amount),
                    "{strategy:?} {geometry:?} {amount}"
                );
                pair.check_all(at).expect("as the oracle says");
            }
            assert_eq!(pair.oracle.outcomes()[0], 2 * most);
        }
    }
}
