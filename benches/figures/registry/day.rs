//! A day of 100 million hits over 10,000 endpoints, popular by Zipf's law (s = 1), on one core.
//!
//! A clock of the bench's own tells the day's seconds, 1,157 hits each, so that every hit takes the way that it takes in a
//! service: `record`, not its twin with a time, with endpoints that roll over, fall idle and are pruned. Each reading of
//! this clock reads the system's coarse clock, too, and so takes as long. The order is drawn beforehand: two bytes a hit,
//! read in sequence.
//!
//! "In a burst" the same hits come as fast as they can, by the system's clock: nearly every hit then meets a tick that has
//! hits. In a day every second hit is its endpoint's first in the second.
//!
//! A round takes a hundredth of the day, which is three windows. It is that long because a round finds none of its memory
//! in a cache. The rounds of a burst lie in different seconds, so adaptive endpoints grow into rings there, too.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use hitring::{Clock, HitCounter, Strategy, Timestamp};
use prometheus::IntCounter;

use super::by_name::{Adaptive, ByName, Dash, Metrics, Prometheus, Ring, registry};
use super::names::{Random, names};
use crate::harness::Reach::{AtMost, Nothing};
use crate::harness::Run;
use crate::row::{Row, coarse};

const START: u32 = 1_700_000_000;
const ENDPOINTS: u16 = 10_000;
/// Hits in a second.
const RATE: usize = 1_157;
/// Seconds in a round.
const ROUND: usize = 864;
const SECONDS_A_DAY: f64 = 100e6 / 1e9;
const BURST: &str = ", in a burst";

/// Measures and judges the rows.
pub fn figures(run: &mut Run) {
    let rows = rows(if run.is_whole { 10 * ROUND } else { 20 });
    run.measure(&rows);
    for name in rows.iter().map(|row| row.name.as_str()) {
        let reach = match name {
            "handles, ring" | "handles, adaptive" => AtMost(3.0),
            _ if name.starts_with("by name: hitring") && !name.ends_with(BURST) => AtMost(8.0),
            _ => Nothing,
        };
        run.figure(format!("100 M hits over 10,000 endpoints, {name}, s"), run.one(name) * SECONDS_A_DAY, reach);
    }
}

/// What tells the time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    Day,
    /// The system's clock.
    Burst,
    /// Nothing, because there are no windows.
    None,
}

/// What all rows have in common.
#[derive(Clone)]
struct Day {
    /// Endpoint of each hit. It begins again at its end.
    order: Arc<Vec<u16>>,
    names: Arc<Vec<String>>,
}

impl Day {
    /// A row that hits the counters that `make` makes, by `hit`, and knows by `total` that each hit was counted.
    fn row<C: 'static>(
        &self,
        name: impl Into<String>,
        time: Time,
        make: impl FnOnce(Clock) -> C,
        hit: impl Fn(&C, usize) + 'static,
        total: impl Fn(&C) -> u64 + 'static,
    ) -> Row {
        let now = Arc::new(AtomicU32::new(START));
        let told = Arc::clone(&now);
        let clock = Clock::Custom(Arc::new(move || {
            black_box(coarse());
            Timestamp::from(told.load(Ordering::Relaxed))
        }));
        let counters = make(if time == Time::Day { clock } else { Clock::System });
        let (order, taken) = (Arc::clone(&self.order), Cell::new(0));
        let name = name.into() + if time == Time::Burst { BURST } else { "" };
        let next = move |calls: u64| {
            let mut at = taken.get();
            let end = at + calls as usize;
            let start = Instant::now();
            while at < end {
                let second = at / RATE;
                let until = end.min((second + 1) * RATE);
                now.store(START + second as u32, Ordering::Relaxed);
                let begin = at % order.len();
                for &endpoint in &order[begin..begin + until - at] {
                    hit(&counters, endpoint.into());
                }
                at = until;
            }
            let took = start.elapsed();
            taken.set(end);
            assert_eq!(total(&counters), end as u64, "every hit is counted");
            took
        };
        Row::timed(name, 1, next).calls((ROUND * RATE) as u64)
    }

    fn by_name<T: ByName>(&self, time: Time) -> Row {
        let names = Arc::clone(&self.names);
        let hit = move |counters: &T, endpoint: usize| counters.add(&names[endpoint], 1);
        self.row(format!("by name: {}", T::NAME), time, T::new, hit, T::total)
    }

    fn by_handles(&self, name: &str, strategy: Strategy, time: Time) -> Row {
        let make = |clock| {
            let registry = registry(strategy, clock);
            let handles = self.names.iter().map(|name| registry.counter(name).expect("there is room"));
            (handles.collect::<Vec<_>>(), registry)
        };
        self.row(
            name,
            time,
            make,
            |(handles, _), endpoint| _ = black_box(handles[endpoint].record(1)),
            |(_, registry)| registry.metrics().total_hits,
        )
    }

    /// Counters that are held in a list: the floor of what handles could take.
    fn held<C: 'static>(
        &self,
        name: &str,
        time: Time,
        make: impl Fn(&Clock) -> C,
        hit: impl Fn(&C) + 'static,
        read: impl Fn(&C) -> u64 + 'static,
    ) -> Row {
        self.row(
            name,
            time,
            |clock| (0..ENDPOINTS).map(|_| make(&clock)).collect::<Vec<_>>(),
            move |counters, endpoint| hit(&counters[endpoint]),
            move |counters| counters.iter().map(&read).sum(),
        )
    }
}

fn rows(seconds: usize) -> Vec<Row> {
    let order = Random::new().zipf(ENDPOINTS, seconds * RATE);
    let day = Day { order: Arc::new(order), names: Arc::new(names(ENDPOINTS.into())) };
    let counter = |clock: &Clock| HitCounter::builder().strategy(Strategy::Ring).clock(clock.clone()).build();
    vec![
        day.held(
            "HitCounters, ring",
            Time::Day,
            |clock| counter(clock).expect("the defaults are valid"),
            |counter| _ = black_box(counter.record(1)),
            |counter| counter.outcomes().counted,
        ),
        day.by_handles("handles, ring", Strategy::Ring, Time::Day),
        day.by_handles("handles, adaptive", Strategy::Adaptive, Time::Day),
        day.by_name::<Ring>(Time::Day),
        day.by_name::<Adaptive>(Time::Day),
        day.by_handles("handles, ring", Strategy::Ring, Time::Burst),
        day.by_handles("handles, adaptive", Strategy::Adaptive, Time::Burst),
        day.by_name::<Ring>(Time::Burst),
        day.by_name::<Adaptive>(Time::Burst),
        day.held(
            "fetch_add, 10,000 words",
            Time::None,
            |_| AtomicU64::default(),
            |word| _ = word.fetch_add(1, Ordering::Relaxed),
            |word| word.load(Ordering::Relaxed),
        ),
        day.held(
            "prometheus, held IntCounters",
            Time::None,
            |_| IntCounter::new("hits", "Hits.").expect("a valid name"),
            IntCounter::inc,
            IntCounter::get,
        ),
        day.by_name::<Dash>(Time::None),
        day.by_name::<Metrics>(Time::None),
        day.by_name::<Prometheus>(Time::None),
    ]
}
