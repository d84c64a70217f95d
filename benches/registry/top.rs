//! `top(10)` over 100,000 endpoints: of 3 hits each, and all busy.
//!
//! All have as many hits, so that every name has to be compared: the hardest case.

use std::time::{Duration, Instant};

use hitring::{Clock, ManualClock, Registry, Strategy, Timestamp};

use crate::by_name::registry;
use crate::names::names;
use crate::report::Report;

const START: u32 = 1_700_000_000;
const ENDPOINTS: usize = 100_000;
const WINDOW: Duration = Duration::from_secs(300);

/// Milliseconds: of the very first call, of a call in a second that has not been asked for, of one that has.
struct Took {
    first: f64,
    new_second: f64,
    same_second: f64,
}

/// Measures, prints and judges the rows.
pub fn measure(report: &mut Report) {
    println!(
        "\n{:56} {:>8} {:>10} {:>8}",
        "top(10) of 100,000 endpoints, ms (median of 15)", "first", "new second", "again"
    );
    for (label, seconds, busy, reach) in
        [("adaptive, 3 hits each", 3, false, 10.0), ("adaptive, 5 hits in each of 300 s", 300, true, 100.0)]
    {
        let took = take(ENDPOINTS, seconds, busy, 15);
        println!("{label:56} {:>8.2} {:>10.2} {:>8.2}", took.first, took.new_second, took.same_second);
        report.at_most(format!("top(10), {label}, in a new second, ms"), took.new_second, reach);
    }
}

/// Runs every row with few endpoints.
pub fn try_out() {
    for (seconds, busy) in [(3, false), (30, true)] {
        take(200, seconds, busy, 2);
    }
}

/// A hit in each of `seconds` seconds, 5 if `busy`; then `rounds` rounds of a second each, with hits only if `busy`.
fn take(endpoints: usize, seconds: u32, busy: bool, rounds: u32) -> Took {
    let names = names(endpoints);
    let clock = ManualClock::new(Timestamp::from(START));
    let registry = registry(Strategy::Adaptive, Clock::from(clock.clone()));
    let amount = if busy { 5 } else { 1 };
    let hit_all = |second: u32| {
        clock.set(Timestamp::from(START + second));
        for name in &names {
            let outcome = registry.record_hit(name, amount).expect("a valid name");
            assert!(outcome.is_counted(), "{outcome:?}");
        }
    };
    for second in 0..seconds {
        hit_all(second);
    }
    let expected = |seconds: u32| u64::from(seconds.min(300)) * amount;
    let first = timed(&registry, &names, expected(seconds));
    let (mut new_second, mut same_second) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let counted = if busy {
            hit_all(seconds + round);
            seconds + round + 1
        } else {
            clock.set(Timestamp::from(START + seconds + round));
            seconds
        };
        new_second.push(timed(&registry, &names, expected(counted)));
        same_second.push(timed(&registry, &names, expected(counted)));
    }
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Took { first, new_second: median(new_second), same_second: median(same_second) }
}

/// How long a call takes that answers the first ten names with `expected` hits each.
fn timed(registry: &Registry, names: &[String], expected: u64) -> f64 {
    let start = Instant::now();
    let top = registry.top(10, WINDOW).expect("the window is whole");
    let took = start.elapsed().as_secs_f64() * 1e3;
    let wanted = names[..10].iter().map(|name| (name.as_str(), expected));
    assert!(top.iter().map(|(name, hits)| (name.as_str(), hits.count)).eq(wanted), "{top:?}");
    took
}
