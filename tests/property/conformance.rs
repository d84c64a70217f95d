//! One list of demands, run over every strategy and many geometries.

use std::time::Duration;

use hitring::{HitCounter, ManualClock, Outcome, QueryError, Strategy, Timestamp};
use proptest::prelude::*;

use super::oracle::Oracle;

/// Strategies, with the microseconds of a grain where it is not a tick.
const STRATEGIES: [(Strategy, Option<u64>); 3] =
    [(Strategy::Striped, None), (Strategy::Ring, None), (Strategy::SLIDING, Some(1))];

/// Microseconds of a tick, ticks of the window, slack.
const GEOMETRIES: [(u64, u64, u32); 11] = [
    (1_000_000, 1, 0),
    (1_000_000, 2, 20),
    (1_000_000, 5, 1),
    (1_000_000, 60, 20),
    (1_000_000, 70, 0),
    (1_000_000, 300, 20),
    (1_000_000, 300, 0),
    (1_000, 1_000, 20),
    (250_000, 64, 3),
    (60_000_000, 100, 20),
    (1_500_000, 80, 7),
];

const LAST_MICROS: u64 = 253_402_300_799_999_999;

#[derive(Clone, Debug)]
enum Step {
    Record { time: Pick, amount: u64 },
    Query { time: Pick, last: u64 },
    Again { last: u64 },
    Buckets { time: Pick },
    Reset,
    Clone,
}

/// A time, from the newest one so far: so many windows, slots, ticks and microseconds on.
#[derive(Clone, Copy, Debug)]
enum Pick {
    From { windows: i64, slots: i64, ticks: i64, micros: i64 },
    Zero,
    Last,
}

fn pick() -> impl Strategy_<Value = Pick> {
    let from = |windows, slots, ticks, micros| Pick::From { windows, slots, ticks, micros };
    prop_oneof![
        8 => (0i64..3, -2i64..2_000_000).prop_map(move |(ticks, micros)| from(0, 0, ticks, micros)),
        4 => (-30i64..30, -3i64..3).prop_map(move |(ticks, micros)| from(0, 0, ticks, micros)),
        4 => (-2i64..3, -2i64..3, -1i64..2).prop_map(move |(windows, ticks, micros)| from(windows, 0, ticks, micros)),
        4 => (-2i64..3, -2i64..3).prop_map(move |(slots, ticks)| from(0, slots, ticks, 0)),
        1 => Just(from(0, 1_000_003, 5, 0)),
        1 => Just(Pick::Zero),
        1 => Just(Pick::Last),
    ]
}

fn amount() -> impl Strategy_<Value = u64> {
    prop_oneof![
        10 => 0u64..4,
        2 => 1u64..1_000_000,
        2 => (20u32..64).prop_map(|bits| (1 << bits) - 1),
        1 => (20u32..64).prop_map(|bits| 1 << bits),
        1 => Just(u64::MAX),
    ]
}

fn steps() -> impl Strategy_<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![
            12 => (pick(), amount()).prop_map(|(time, amount)| Step::Record { time, amount }),
            8 => (pick(), 0u64..=1_000).prop_map(|(time, last)| Step::Query { time, last }),
            6 => (0u64..=1_000).prop_map(|last| Step::Again { last }),
            1 => pick().prop_map(|time| Step::Buckets { time }),
            1 => Just(Step::Reset),
            1 => Just(Step::Clone),
        ],
        1..60,
    )
}

use proptest::strategy::Strategy as Strategy_;

struct Run {
    counter: HitCounter,
    oracle: Oracle,
    tick: u64,
    grain: u64,
    window: u64,
    now: u64,
}

impl Run {
    fn new(strategy: Strategy, grain: Option<u64>, (tick, window, slack): (u64, u64, u32), start: u64) -> Self {
        let counter = HitCounter::builder()
            .resolution(Duration::from_micros(tick))
            .window(Duration::from_micros(tick * window))
            .slack(slack)
            .strategy(strategy)
            .build()
            .expect("every geometry of the list is valid");
        let ring = (window + u64::from(slack)).max(64);
        let slots = if grain.is_some() { ring + 1 } else { ring };
        assert_eq!(counter.slots() as u64, slots);
        let grain = grain.unwrap_or(tick);
        let most = if grain == tick { most_of_a_slot(LAST_MICROS / tick, slots) } else { (1 << 41) - 1 };
        Self { counter, oracle: Oracle::new(slots, tick / grain, most), tick, grain, window, now: start }
    }

    /// The picked time in microseconds.
    fn time(&self, pick: Pick) -> u64 {
        let tick = self.tick as i64;
        match pick {
            Pick::Zero => 0,
            Pick::Last => LAST_MICROS,
            Pick::From { windows, slots, ticks, micros } => {
                let ahead = windows * self.window as i64 + slots * self.oracle.slots as i64 + ticks;
                (self.now as i64)
                    .saturating_add(ahead.saturating_mul(tick))
                    .saturating_add(micros)
                    .clamp(0, LAST_MICROS as i64) as u64
            }
        }
    }

    fn check(&self, at: u64, len: u64) -> Result<(), TestCaseError> {
        let (time, last) = (timestamp(at), Duration::from_micros(len * self.grain));
        let answer = self.oracle.query(at / self.grain, len);
        match self.counter.count_at(time, last) {
            Ok(count) => prop_assert_eq!(count, answer.exact, "at {} over {:?}", time, last),
            Err(QueryError::WindowExpired { .. }) => {
                prop_assert!(answer.gone, "nothing of {:?} to {} is gone", last, time)
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Record { time, amount } => {
                let at = self.time(time);
                let outcome = self.counter.record_at(timestamp(at), amount);
                prop_assert_eq!(outcome, self.oracle.record(at / self.grain, amount), "hit at {}", timestamp(at));
                // A far stamp does not carry the others with it.
                if outcome == Outcome::Counted && at < self.now.saturating_add(10_000 * self.tick) {
                    self.now = self.now.max(at);
                }
            }
            Step::Query { time, last } => {
                self.check(self.time(time), last % (self.window * self.tick / self.grain + 1))?
            }
            Step::Again { last } => {
                let whole = self.window * self.tick / self.grain;
                self.check(self.now, whole)?;
                self.check(self.now, last % (whole + 1))?;
                self.check(self.now, whole)?;
                let answer = self.oracle.query(self.now / self.grain, whole);
                let seen = self.counter.get_hits(timestamp(self.now));
                prop_assert!(
                    answer.left <= seen && seen <= answer.exact,
                    "{} <= {} <= {}",
                    answer.left,
                    seen,
                    answer.exact
                );
            }
            Step::Buckets { time } => {
                let at = self.time(time);
                let ticks = self.window.min(7);
                let last = Duration::from_micros(ticks * self.tick);
                if let Ok(buckets) = self.counter.buckets_at(timestamp(at), last) {
                    // The first tick is whole, so the span is that of the ticks and not of `last`.
                    let first = (at / self.tick + 1).saturating_sub(ticks) * self.tick;
                    let len = (at - first) / self.grain + 1;
                    let sum: u64 = buckets.iter().map(|bucket| bucket.count).sum();
                    prop_assert_eq!(sum, self.oracle.query(at / self.grain, len).exact);
                    prop_assert_eq!(buckets.len() as u64, (at / self.tick + 1).min(ticks));
                    prop_assert_eq!(buckets[0].start, timestamp(first));
                }
            }
            Step::Reset => {
                self.counter.reset();
                self.oracle.reset();
            }
            Step::Clone => {
                self.counter = self.counter.clone();
                self.oracle.copied();
            }
        }
        Ok(())
    }
}

fn timestamp(micros: u64) -> Timestamp {
    Timestamp::new(micros / 1_000_000, (micros % 1_000_000) as u32 * 1_000).expect("before the year 9999")
}

/// The most hits a slot can hold, from the rule alone: a word has 64 bits, of which the laps up to the year 9999 take as
/// many as they need, and one is taken; and all slots together must stay below 2^63.
fn most_of_a_slot(last_tick: u64, slots: u64) -> u64 {
    let mut lap_bits = 0;
    while lap_bits < 64 && (last_tick / slots) >> lap_bits != 0 {
        lap_bits += 1;
    }
    let mut bits = 63 - lap_bits;
    while u128::from(slots.next_power_of_two()) << bits > 1 << 63 {
        bits -= 1;
    }
    (1 << bits) - 1
}

proptest! {
    /// Whatever the order of hits and queries, every outcome and every answer is the oracle's.
    #[test]
    fn answers_are_the_oracles(
        geometry in prop::sample::select(&GEOMETRIES[..]),
        start in prop_oneof![Just(0u64), Just(1), Just(299_000_000), Just(1_700_000_000_000_000), 0..LAST_MICROS],
        steps in steps(),
    ) {
        for (strategy, grain) in STRATEGIES {
            let mut run = Run::new(strategy, grain, geometry, start);
            for step in &steps {
                run.step(step)?;
            }
            let outcomes = run.counter.outcomes();
            prop_assert_eq!([outcomes.counted, outcomes.late, outcomes.saturated], run.oracle.told, "{}", strategy);
        }
    }

    /// With a clock, hits ahead of it are refused and `count` asks about now; and so no count ever expires.
    #[test]
    fn a_clock_refuses_the_future(
        strategy in prop::sample::select(&STRATEGIES[..]),
        (window, slack) in prop::sample::select(vec![(300u64, 20u32), (300, 0), (5, 1), (60, 60)]),
        moves in prop::collection::vec((0u64..40, -400i64..80, 0u64..3), 1..60),
    ) {
        let clock = ManualClock::new(timestamp(1_000_000_000));
        let counter = HitCounter::builder()
            .window(Duration::from_secs(window)).slack(slack).strategy(strategy.0).clock(clock.clone()).build()?;
        let grain = strategy.1.unwrap_or(1_000_000);
        let mut oracle = Oracle::new(counter.slots() as u64, 1_000_000 / grain, 1 << 30);
        for (ahead, offset, amount) in moves {
            let now = clock.advance(Duration::from_secs(ahead))?.secs();
            let at = now.saturating_add_signed(offset);
            let outcome = counter.record_at(timestamp(at * 1_000_000), amount);
            if at > now + u64::from(slack) && amount > 0 {
                prop_assert_eq!(outcome, Outcome::Future);
            } else {
                prop_assert_eq!(outcome, oracle.record(at * 1_000_000 / grain, amount));
            }
            prop_assert_eq!(counter.record(1), oracle.record(now * 1_000_000 / grain, 1));
            let whole = window * 1_000_000 / grain;
            prop_assert_eq!(counter.count()?, oracle.query(now * 1_000_000 / grain, whole).exact);
            prop_assert_eq!(counter.get_hits_now(), counter.count()?);
            let minute = window.min(60);
            prop_assert_eq!(
                counter.count_last(Duration::from_secs(minute))?,
                oracle.query(now * 1_000_000 / grain, minute * 1_000_000 / grain).exact
            );
            prop_assert!(oracle.newest() <= (now + u64::from(slack)) * 1_000_000 / grain);
        }
    }
}
