//! One battery for every strategy: each answer is the list's, or within what the strategy states.
//!
//! The oracle is the list of all hits that were counted. It knows nothing of slots: a hit is in a span or it is not.
//!
//! | strategy | the answer to `(at - last, at]` |
//! |---|---|
//! | `ring`, `striped`, `sliding`, `adaptive`, custom | the list's |
//! | `fixed` | at least the list's; at most that of the span widened by less than a bucket on both sides |
//! | `morris` | the list's, give or take ten standard errors and two hits |
//!
//! Queries up to the slack in the past must be answered; older ones may be expired, but are never wrong.

use std::time::Duration;

use hitring::{Accuracy, ManualClock, Outcome, QueryError, Registry, Strategy};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use super::custom::listed;
use super::{START, at};

const WINDOW: u64 = 10;
const SLACK: u64 = 5;
const NAMES: [&str; 3] = ["/", "/a", "/\u{fc} \u{1f522}"];

#[derive(Clone, Debug)]
enum Step {
    /// A hit so many seconds ago, or ahead.
    Record {
        name: usize,
        ago: i64,
        amount: u64,
    },
    /// A hit now.
    Now {
        name: usize,
        amount: u64,
    },
    Query {
        name: usize,
        ago: u64,
        last: u64,
    },
    Advance {
        by: u64,
    },
    Prune,
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let name = || 0..NAMES.len();
    let step = prop_oneof![
        8 => (name(), prop_oneof![8 => -2i64..12, 1 => -8i64..200], 1u64..2_000)
            .prop_map(|(name, ago, amount)| Step::Record { name, ago, amount }),
        4 => (name(), 0u64..5).prop_map(|(name, amount)| Step::Now { name, amount }),
        6 => (name(), prop_oneof![4 => Just(0), 2 => 0..SLACK, 1 => 0..100u64], 0..=WINDOW)
            .prop_map(|(name, ago, last)| Step::Query { name, ago, last }),
        4 => prop_oneof![6 => 1u64..4, 2 => 4u64..30, 1 => 60u64..90].prop_map(|by| Step::Advance { by }),
        1 => Just(Step::Prune),
    ];
    prop::collection::vec(step, 1..120)
}

/// The hits that were counted: name, second, amount.
#[derive(Default)]
struct List(Vec<(usize, u64, u64)>);

impl List {
    /// The hits of the seconds `first .. end`.
    fn count(&self, name: usize, first: u64, end: u64) -> u64 {
        self.0.iter().filter(|hit| hit.0 == name && (first..end).contains(&hit.1)).map(|hit| hit.2).sum()
    }
}

fn run(strategy: &Strategy, steps: &[Step]) -> Result<(), TestCaseError> {
    let clock = ManualClock::new(at(START));
    let registry = Registry::builder()
        .window(Duration::from_secs(WINDOW))
        .slack(SLACK as u32)
        .strategy(strategy.clone())
        .clock(clock.clone())
        .build()
        .expect("every strategy suits a window of ten seconds");
    let (mut list, mut now) = (List::default(), START);
    let mut tallies = [0u64; 5];
    for step in steps {
        match *step {
            Step::Record { name, ago, amount } => {
                let then = now.saturating_add_signed(-ago);
                let outcome = registry.record_hit_at(NAMES[name], at(then), amount).expect("the name is possible");
                match outcome {
                    Outcome::Counted => list.0.push((name, then, amount)),
                    Outcome::Late => prop_assert!(then + WINDOW < now, "a hit {ago} seconds ago is late"),
                    Outcome::Future => prop_assert!(then > now + SLACK),
                    other => prop_assert!(false, "{other}"),
                }
                prop_assert_eq!(outcome == Outcome::Future, then > now + SLACK);
                tallies[outcome as usize] += amount;
            }
            Step::Now { name, amount } => {
                prop_assert_eq!(registry.record_hit(NAMES[name], amount), Ok(Outcome::Counted));
                list.0.push((name, now, amount));
                tallies[0] += amount;
            }
            Step::Query { name, ago, last } => {
                let to = now - ago;
                let told = registry.query_hits_at(NAMES[name], at(to), Duration::from_secs(last));
                check(strategy, &list, name, (to, last), ago <= SLACK, told)?;
            }
            Step::Advance { by } => {
                now += by;
                clock.set(at(now));
            }
            Step::Prune => _ = registry.prune(),
        }
    }
    for (name, endpoint) in NAMES.into_iter().enumerate() {
        let told = registry.query_hits(endpoint, Duration::from_secs(WINDOW));
        check(strategy, &list, name, (now, WINDOW), true, told)?;
    }
    let metrics = registry.metrics();
    if !matches!(strategy, Strategy::Morris { .. }) {
        prop_assert_eq!(metrics.total_hits, tallies[0]);
    }
    prop_assert_eq!(
        [metrics.late, metrics.future, metrics.saturated, metrics.refused],
        [tallies[1], tallies[2], tallies[3], tallies[4]]
    );
    Ok(())
}

fn check(
    strategy: &Strategy,
    list: &List,
    name: usize,
    (to, last): (u64, u64),
    must: bool,
    told: Result<hitring::Hits, QueryError>,
) -> Result<(), TestCaseError> {
    let exact = list.count(name, to + 1 - last, to + 1);
    let told = match told {
        Ok(told) => told,
        Err(QueryError::WindowExpired { .. }) if !must => return Ok(()),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    match *strategy {
        Strategy::Fixed { window_size } => {
            let bucket = window_size.as_secs();
            let most = if last == 0 { 0 } else { list.count(name, to + 2 - last - bucket, to + bucket) };
            prop_assert!((exact..=most).contains(&told.count), "{} is not from {exact} to {most}", told.count);
            if told.count > 0 {
                prop_assert_eq!(told.accuracy, Accuracy::Buckets { window_size });
            }
        }
        Strategy::Morris { base } => {
            let off = (told.count as f64 - exact as f64).abs();
            prop_assert!(off <= 10.0 * base.error() * exact as f64 + 2.0, "{} for {exact}", told.count);
            if told.count > 0 {
                prop_assert_eq!(told.accuracy, Accuracy::Estimate { error: base.error() });
            }
        }
        _ => prop_assert_eq!(told, hitring::Hits::exact(exact)),
    }
    Ok(())
}

/// Every strategy but the user's own.
pub fn strategies() -> Vec<Strategy> {
    vec![
        Strategy::Ring,
        Strategy::Striped,
        Strategy::SLIDING,
        Strategy::Adaptive,
        Strategy::Fixed { window_size: Duration::from_secs(1) },
        Strategy::Fixed { window_size: Duration::from_secs(4) },
        Strategy::Fixed { window_size: Duration::from_secs(10) },
        Strategy::morris(0.01).expect("a usual error"),
        listed(),
    ]
}

proptest! {
    #[test]
    fn every_strategy_answers_as_it_states(which in 0..9usize, steps in steps()) {
        run(&strategies()[which], &steps)?;
    }
}

/// Every strategy, whatever the random ones above happen to choose.
#[test]
fn every_strategy_passes_a_day() {
    let mut steps = Vec::new();
    for hour in 0..24u64 {
        for name in 0..NAMES.len() {
            steps.push(Step::Now { name, amount: hour + 1 });
            steps.push(Step::Record { name, ago: 3, amount: 5 });
            steps.push(Step::Query { name, ago: 0, last: WINDOW });
        }
        steps.push(Step::Advance { by: if hour % 3 == 0 { 3_600 } else { 2 } });
        steps.push(Step::Prune);
    }
    for strategy in strategies() {
        run(&strategy, &steps).unwrap_or_else(|error| panic!("{strategy}: {error}"));
    }
}
