//! `top(10)` over 100,000 endpoints: of 3 hits each in the window, and all busy.
//!
//! All have as many hits, so that every name has to be compared: the hardest case.

use std::time::{Duration, Instant};

use hitring::{Clock, ManualClock, Registry, Strategy, Timestamp};

use super::by_name::registry;
use super::names::names;
use crate::harness::Reach::AtMost;
use crate::harness::Run;
use crate::row::Row;

const START: u32 = 1_700_000_000;
const WINDOW: Duration = Duration::from_secs(300);

/// Measures and judges the rows.
pub fn figures(run: &mut Run) {
    let endpoints = if run.is_whole { 100_000 } else { 200 };
    for (label, every, hits, most) in
        [("adaptive, a hit in each 100 s", 100, 1, 10.0), ("adaptive, 5 hits in each second", 1, 5, 100.0)]
    {
        let filled = Filled::new(endpoints, every, hits);
        let row = format!("top(10), {label}, in a new second");
        run.measure(&[Row::once(&row, move || {
            filled.next_second();
            filled.top()
        })]);
        run.figure(format!("{row}, ms"), run.one(&row) / 1e6, AtMost(most));
    }
}

/// A registry whose endpoints all have as many hits.
struct Filled {
    registry: Registry,
    clock: ManualClock,
    names: Vec<String>,
    /// Seconds from hits to the next hits.
    every: u64,
    /// Hits of an endpoint in a second that has hits.
    hits: u64,
}

impl Filled {
    fn new(endpoints: usize, every: u64, hits: u64) -> Self {
        let clock = ManualClock::new(Timestamp::from(START));
        let registry = registry(Strategy::Adaptive, Clock::from(clock.clone()));
        let filled = Self { registry, clock, names: names(endpoints), every, hits };
        (0..WINDOW.as_secs()).for_each(|_| filled.next_second());
        filled
    }

    fn next_second(&self) {
        let now = self.clock.advance(Duration::from_secs(1)).expect("before the year 9999");
        if now.secs().is_multiple_of(self.every) {
            for name in &self.names {
                let outcome = self.registry.record_hit(name, self.hits).expect("a valid name");
                assert!(outcome.is_counted(), "{outcome:?}");
            }
        }
    }

    /// How long a call takes. It is to answer the first ten names.
    fn top(&self) -> Duration {
        let start = Instant::now();
        let top = self.registry.top(10, WINDOW).expect("the window is whole");
        let took = start.elapsed();
        let expected = WINDOW.as_secs() / self.every * self.hits;
        let wanted = self.names[..10].iter().map(|name| (name.as_str(), expected));
        assert!(top.iter().map(|(name, hits)| (name.as_str(), hits.count)).eq(wanted), "{top:?}");
        took
    }
}
