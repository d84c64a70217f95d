//! One list of demands for every strategy and geometry: each answer is the oracle's.
//!
//! * [`any_order`] gives hits and queries times of their own, in any order.
//! * [`clocked`] moves a clock, forwards and back.
//!
//! A new strategy is a row of [`STRATEGIES`].

mod any_order;
mod clocked;

use std::time::Duration;

use hitring::{HitCounter, QueryError, Strategy, Timestamp};
use proptest::prelude::*;
use proptest::strategy::Strategy as Any;

use crate::oracle::{Geometry, LAST_NANO, Oracle, allows, timestamp};

/// The last has so little room that it drops and refuses hits.
const STRATEGIES: [Strategy; 4] =
    [Strategy::Striped, Strategy::Ring, Strategy::SLIDING, Strategy::Sliding { max_hits: 6 }];

const GEOMETRIES: [Geometry; 16] = [
    (1_000_000, 1, 0),
    (1_000_000, 2, 20),
    (1_000_000, 5, 1),
    (1_000_000, 60, 20),
    (1_000_000, 64, 0),
    (1_000_000, 300, 20),
    (1_000_000, 300, 0),
    (1_000, 1_000, 20),
    (1_000, 1_000, 0),
    (250_000, 2, 1),
    (250_000, 300, 1),
    (60_000_000, 5, 20),
    (60_000_000, 300, 1),
    (1_500_000, 1, 20),
    (1_500_000, 60, 1),
    (1_500_000, 300, 0),
];

/// A time, seen from the run's own.
#[derive(Clone, Copy, Debug)]
enum When {
    From {
        windows: i8,
        slots: i32,
        ticks: i16,
        within: Within,
    },
    /// Thousandths of the window ago.
    Ago(u16),
    Zero,
    End,
}

/// Where in its tick a time lies.
#[derive(Clone, Copy, Debug)]
enum Within {
    Same,
    First,
    Second,
    Last,
    Nanos(u64),
}

fn within() -> BoxedStrategy<Within> {
    prop_oneof![
        5 => Just(Within::Same),
        2 => Just(Within::First),
        1 => Just(Within::Second),
        2 => Just(Within::Last),
        1 => any::<u64>().prop_map(Within::Nanos),
    ]
    .boxed()
}

// Boxed, as unions of unions take more stack than a test's thread has.
fn when() -> BoxedStrategy<When> {
    let from = |(windows, slots, ticks, within)| When::From { windows, slots, ticks, within };
    prop_oneof![
        10 => (Just(0), Just(0), Just(0), within()).prop_map(from),
        6 => (Just(0), Just(0), -2i16..=2, within()).prop_map(from),
        2 => (Just(0), Just(0), -30i16..=30, within()).prop_map(from),
        5 => (prop_oneof![3 => Just(-1i8), 1 => Just(1)], Just(0), -2i16..=2, within()).prop_map(from),
        4 => (Just(0), prop_oneof![2 => Just(-1), 3 => Just(1), 1 => Just(-2), 1 => Just(2)], -2i16..=2, within())
            .prop_map(from),
        3 => (0u16..1_000).prop_map(When::Ago),
        1 => Just(from((0, 1_000_003, 5, Within::Same))),
        1 => Just(When::Zero),
        1 => Just(When::End),
    ]
    .boxed()
}

/// The length of a query.
#[derive(Clone, Copy, Debug)]
enum Last {
    Window,
    Ticks(u64),
    LessThanWindow(u64),
    /// Thousandths of the window.
    Part(u64),
    Micros(u64),
    Longer,
    Nanos(u64),
    Longest,
}

fn last() -> BoxedStrategy<Last> {
    prop_oneof![
        12 => Just(Last::Window),
        6 => (0u64..4).prop_map(Last::Ticks),
        4 => (1u64..3).prop_map(Last::LessThanWindow),
        3 => (0u64..1_000).prop_map(Last::Part),
        2 => (0u64..5_000_000).prop_map(Last::Micros),
        1 => Just(Last::Longer),
        1 => (1u64..2_000).prop_map(Last::Nanos),
        1 => Just(Last::Longest),
    ]
    .boxed()
}

/// A counter beside its oracle.
struct Pair {
    counter: HitCounter,
    oracle: Oracle,
}

impl Pair {
    fn window(&self) -> u128 {
        self.oracle.rules.tick * u128::from(self.oracle.rules.window)
    }

    /// The time `when` is at `now`, in nanoseconds.
    fn time(&self, now: u128, when: When) -> u128 {
        let rules = &self.oracle.rules;
        let tick = rules.tick as i128;
        let at = match when {
            When::Zero => 0,
            When::End => LAST_NANO as i128,
            When::Ago(part) => now as i128 - (self.window() * u128::from(part) / 1_000) as i128,
            When::From { windows, slots, ticks, within } => {
                let whole = i128::from(windows) * i128::from(rules.window)
                    + i128::from(slots) * i128::from(rules.slots)
                    + i128::from(ticks);
                let (start, rest) = (now as i128 / tick * tick, now as i128 % tick);
                let rest = match within {
                    Within::Same => rest,
                    Within::First => 0,
                    Within::Second => 1_000,
                    Within::Last => tick - 1,
                    Within::Nanos(nanos) => i128::from(nanos) % tick,
                };
                start + whole * tick + rest
            }
        };
        at.clamp(0, LAST_NANO as i128) as u128
    }

    fn duration(&self, last: Last) -> Duration {
        let (tick, window) = (self.oracle.rules.tick as u64, self.window() as u64);
        match last {
            Last::Window => Duration::from_nanos(window),
            Last::Ticks(ticks) => Duration::from_nanos(ticks * tick),
            Last::LessThanWindow(ticks) => Duration::from_nanos(window.saturating_sub(ticks * tick)),
            Last::Part(part) => Duration::from_nanos(self.oracle.rules.window * part / 1_000 * tick),
            Last::Micros(micros) => Duration::from_micros(micros),
            Last::Longer => Duration::from_nanos(window + tick),
            Last::Nanos(nanos) => Duration::from_nanos(nanos),
            Last::Longest => Duration::MAX,
        }
    }

    /// What the oracle says of an answer over `last` to the grain `to`: nothing, if it is right.
    fn fault(&self, to: u64, last: Duration, told: &Result<u64, QueryError>) -> Option<String> {
        let (rules, asked) = (&self.oracle.rules, last.as_nanos());
        let right = match rules.len_of(last) {
            Some(len) => allows(self.oracle.read(to, len), told),
            None => match told {
                Err(QueryError::NotWhole { .. }) => !asked.is_multiple_of(rules.grain),
                Err(QueryError::LongerThanWindow { .. }) => asked > self.window(),
                _ => false,
            },
        };
        if right {
            return None;
        }
        let answer = rules.len_of(last).map(|len| self.oracle.read(to, len));
        Some(format!("{told:?} of {last:?} to grain {to}, not {answer:?}"))
    }

    fn check_count(&self, to: u64, last: Duration, told: Result<u64, QueryError>) -> Result<(), TestCaseError> {
        match self.fault(to, last, &told) {
            None => Ok(()),
            Some(fault) => Err(TestCaseError::fail(fault)),
        }
    }

    fn check_rate(&self, to: u64, last: Duration, told: Result<f64, QueryError>) -> Result<(), TestCaseError> {
        let per_second = |count: u64| if last.is_zero() { 0.0 } else { count as f64 / last.as_secs_f64() };
        match told {
            Ok(rate) => {
                let len = self.oracle.rules.len_of(last);
                prop_assert!(len.is_some(), "a rate of {:?} was not refused", last);
                let exact = per_second(self.oracle.read(to, len.unwrap_or(0)).told());
                prop_assert!((rate - exact).abs() <= exact * 1e-12, "{} hits a second, not {}", rate, exact);
                Ok(())
            }
            Err(refused) => self.check_count(to, last, Err(refused)),
        }
    }

    fn check_hits(&self, to: u64, told: u64) -> Result<(), TestCaseError> {
        let answer = self.oracle.read(to, self.oracle.rules.len_of(self.counter.window()).expect("a whole window"));
        let least = if answer.gone { u64::try_from(answer.left).unwrap_or(u64::MAX) } else { answer.told() };
        prop_assert!((least..=answer.told()).contains(&told), "{} hits to grain {}, not {:?}", told, to, answer);
        Ok(())
    }

    fn check_buckets(
        &self,
        to: u64,
        last: Duration,
        told: Result<Vec<hitring::Bucket>, QueryError>,
    ) -> Result<(), TestCaseError> {
        let rules = &self.oracle.rules;
        let asked = last.as_nanos();
        if !asked.is_multiple_of(rules.tick) || asked > self.window() {
            let refused = match told {
                Err(QueryError::NotWhole { .. }) => !asked.is_multiple_of(rules.tick),
                Err(QueryError::LongerThanWindow { .. }) => asked > self.window(),
                _ => false,
            };
            prop_assert!(refused, "buckets of {:?}: {:?}", last, told);
            return Ok(());
        }
        let ticks = (asked / rules.tick) as u64;
        let exact = if ticks == 0 { Vec::new() } else { self.oracle.buckets(to, ticks) };
        match told {
            Ok(buckets) => {
                let told: Vec<_> = buckets.iter().map(|b| (b.start.as_duration().as_nanos(), b.count)).collect();
                let exact: Vec<_> = exact.iter().map(|(start, answer)| (*start, answer.told())).collect();
                prop_assert_eq!(told, exact, "buckets of {:?} to grain {}", last, to);
            }
            Err(QueryError::WindowExpired { .. }) => {
                prop_assert!(exact.iter().any(|(_, answer)| answer.gone), "no bucket to grain {} is gone", to)
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
        Ok(())
    }

    /// Everything that can be asked at one time.
    fn check_all(&self, at: Timestamp) -> Result<(), TestCaseError> {
        let to = self.oracle.rules.grain_of(at);
        self.check_hits(to, self.counter.get_hits(at))?;
        for last in [self.counter.window(), self.counter.resolution()] {
            self.check_count(to, last, self.counter.count_at(at, last))?;
            self.check_buckets(to, last, self.counter.buckets_at(at, last))?;
        }
        prop_assert_eq!(self.counter.outcomes().to_array(), self.oracle.outcomes());
        Ok(())
    }

    /// A clone, which from here on goes its own way.
    fn cloned(&self) -> Self {
        Self { counter: self.counter.clone(), oracle: self.oracle.cloned() }
    }
}
