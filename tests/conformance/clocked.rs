//! Hits and queries by a clock that is moved forwards and back.
//!
//! The ticks of a clock stand still while it is behind the latest by no more than the skew, and follow it otherwise.

use super::*;
use hitring::{ManualClock, Outcome};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Moves the clock by slots, ticks and skews, and a thousandth part of a tick.
    Move {
        slots: i64,
        ticks: i64,
        skews: i64,
        part: i64,
    },
    Record(u64),
    RecordAt(When, u64),
    /// A hit so many skews, ticks and grains ahead of the ticks.
    Ahead {
        skews: u64,
        ticks: i64,
        grains: i64,
        amount: u64,
    },
    Count,
    CountLast(Last),
    CountAt(When, Last),
    Buckets(Last),
    Rate(Last),
    Reset,
    Clone,
}

fn steps() -> impl Any<Value = Vec<Step>> {
    let moved = |slots, ticks, skews, part| Step::Move { slots, ticks, skews, part };
    let step = prop_oneof![
        8 => (0i64..3, 0i64..1_000).prop_map(move |(ticks, part)| moved(0, ticks, 0, part)),
        2 => (-2i64..1, -1_000i64..1_000).prop_map(move |(ticks, part)| moved(0, ticks, 0, part)),
        2 => (-1i64..3).prop_map(move |ticks| moved(0, -ticks, -1, 0)),
        1 => (-2i64..3, -1i64..2).prop_map(move |(slots, ticks)| moved(slots, ticks, 0, 0)),
        1 => (0i64..70).prop_map(move |ticks| moved(0, ticks, 0, 0)),
        10 => (0u64..4).prop_map(Step::Record),
        4 => (when(), 0u64..4).prop_map(|(when, amount)| Step::RecordAt(when, amount)),
        4 => (0u64..=2, -1i64..=1, -1i64..=1, 0u64..3)
            .prop_map(|(skews, ticks, grains, amount)| Step::Ahead { skews, ticks, grains, amount }),
        8 => Just(Step::Count),
        4 => last().prop_map(Step::CountLast),
        4 => (when(), last()).prop_map(|(when, last)| Step::CountAt(when, last)),
        1 => last().prop_map(Step::Buckets),
        1 => last().prop_map(Step::Rate),
        1 => Just(Step::Reset),
        1 => Just(Step::Clone),
    ];
    prop::collection::vec(step.boxed(), 1..70)
}

struct Run {
    pair: Pair,
    clock: ManualClock,
    /// The grain that was handed out last.
    latest: u64,
    /// The newest that was handed out, to this counter or to one it was cloned from.
    newest: u64,
    /// In grains.
    skew: u64,
    /// Whether the ticks have never gone back.
    forwards: bool,
}

impl Run {
    /// The grain now, by the rule in the header.
    fn now(&mut self) -> u64 {
        let now = self.pair.oracle.rules.grain_of(self.clock.now());
        if now > self.latest || self.latest - now > self.skew {
            self.latest = now;
        }
        self.forwards &= self.latest >= self.newest;
        self.newest = self.newest.max(self.latest);
        self.latest
    }

    fn start_of(&self, grain: i128) -> u128 {
        (grain * self.pair.oracle.rules.grain as i128).clamp(0, LAST_NANO as i128) as u128
    }

    fn record_at(&mut self, at: Timestamp, amount: u64) -> Result<(), TestCaseError> {
        let now = self.now();
        let oracle = &mut self.pair.oracle;
        let grain = oracle.rules.grain_of(at);
        let outcome = if grain > now + self.skew && amount > 0 {
            oracle.note(Outcome::Future, amount)
        } else {
            oracle.record(at, amount)
        };
        prop_assert_eq!(self.pair.counter.record_at(at, amount), outcome, "hit at {}, now {}", at, self.clock.now());
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let rules = self.pair.oracle.rules;
        if let Step::Move { slots, ticks, skews, part } = step {
            let tick = rules.tick as i128;
            let by = (i128::from(slots) * i128::from(rules.slots) + i128::from(ticks)) * tick
                + i128::from(skews) * i128::from(self.skew) * rules.grain as i128
                + i128::from(part) * tick / 1_000;
            let to = (self.clock.now().as_duration().as_nanos() as i128 + by).clamp(0, LAST_NANO as i128);
            self.clock.set(timestamp(to as u128));
            return Ok(());
        }
        // Both read the clock once after it was moved; from then on they agree on the tick.
        let now = self.now();
        let window = self.pair.counter.window();
        let told = self.pair.counter.count();
        prop_assert!(told.is_ok() || !self.forwards, "{:?}, and the clock never went back", told);
        self.pair.check_count(now, window, told)?;
        match step {
            Step::Record(amount) => {
                prop_assert_eq!(self.pair.counter.record(amount), self.pair.oracle.record_grain(now, amount));
            }
            Step::RecordAt(when, amount) => {
                let at = timestamp(self.pair.time(self.start_of(now.into()), when));
                self.record_at(at, amount)?;
            }
            Step::Ahead { skews, ticks, grains, amount } => {
                let ahead = i128::from(skews) * i128::from(self.skew)
                    + i128::from(ticks) * i128::from(rules.grains())
                    + i128::from(grains);
                self.record_at(timestamp(self.start_of(i128::from(now) + ahead)), amount)?;
            }
            Step::Count => {
                self.pair.check_hits(now, self.pair.counter.get_hits_now())?;
                self.pair.check_count(now, window, self.pair.counter.count())?;
            }
            Step::CountLast(last) => {
                let last = self.pair.duration(last);
                self.pair.check_count(now, last, self.pair.counter.count_last(last))?;
            }
            Step::CountAt(when, last) => {
                let at = timestamp(self.pair.time(self.start_of(now.into()), when));
                let last = self.pair.duration(last);
                self.pair.check_count(rules.grain_of(at), last, self.pair.counter.count_at(at, last))?;
            }
            Step::Buckets(last) => {
                let last = self.pair.duration(last);
                self.pair.check_buckets(now, last, self.pair.counter.buckets(last))?;
            }
            Step::Rate(last) => {
                let last = self.pair.duration(last);
                self.pair.check_rate(now, last, self.pair.counter.rate(last))?;
            }
            Step::Reset => {
                self.pair.counter.reset();
                self.pair.oracle.reset();
            }
            Step::Clone => {
                self.pair = self.pair.cloned();
            }
            Step::Move { .. } => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_clock_refuses_the_future_and_counts_never_expire(
        strategy in prop::sample::select(&STRATEGIES[..3]),
        geometry in prop::sample::select(&GEOMETRIES[..]),
        // Thousandths of the slack.
        skew in prop::option::of(prop_oneof![Just(0u64), Just(1_000), 0u64..1_000]),
        start in prop_oneof![
            1 => Just(0),
            4 => Just(1_700_000_000_123_456_789),
            2 => 0..LAST_NANO,
        ],
        steps in steps(),
    ) {
        let (micros, window, slack) = geometry;
        let clock = ManualClock::new(timestamp(start));
        let mut builder = HitCounter::builder()
            .resolution(Duration::from_micros(micros))
            .window(Duration::from_micros(micros * window))
            .slack(slack)
            .strategy(strategy.clone())
            .clock(clock.clone());
        let most = u64::from(slack) * micros;
        if let Some(part) = skew {
            builder = builder.max_skew(Duration::from_micros(most * part / 1_000));
        }
        let counter = builder.build()?;
        // Whole ticks, and no more than the slack.
        let ticks = most * skew.unwrap_or(1_000) / 1_000 / micros;
        prop_assert_eq!(counter.max_skew(), Some(Duration::from_micros(ticks * micros)));
        let oracle = Oracle::new(&strategy, geometry);
        let skew = ticks * oracle.rules.grains();
        let mut run = Run { pair: Pair { counter, oracle }, clock, latest: 0, newest: 0, skew, forwards: true };
        for (i, &step) in steps.iter().enumerate() {
            run.step(step).map_err(|e| TestCaseError::fail(format!("step {i} {step:?}: {e}")))?;
        }
        prop_assert_eq!(run.pair.counter.outcomes().to_array(), run.pair.oracle.outcomes());
    }
}
