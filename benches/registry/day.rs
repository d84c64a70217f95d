//! A day of 100 million hits over 10,000 endpoints, popular by Zipf's law (s = 1), on one core.
//!
//! A `ManualClock` tells the day's 86,400 seconds with 1,157 hits each, so that every hit takes the way that it takes in a
//! service: `record`, not its twin with a time, with endpoints that roll over, fall idle and are pruned. As that clock is
//! cheaper than the system's, each hit reads the system's coarse clock, too. The order is drawn beforehand: two bytes a
//! hit, read in sequence.
//!
//! The day is cut into ten, and all rows take each tenth in turn. Those without a window take the first tenth alone, and
//! their figure is ten times that: nothing of theirs depends on the time of day.

use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hitring::{Clock, Handle, ManualClock, Registry, Strategy, Timestamp};
use prometheus::IntCounter;

use crate::by_name::{Adaptive, ByName, Dash, Metrics, Prometheus, Ring, registry};
use crate::names::{Random, names};
use crate::report::Report;
use crate::row::coarse;

const START: u32 = 1_700_000_000;
const ENDPOINTS: u16 = 10_000;
const HITS: u64 = 100_000_000;
const SECONDS: u64 = 86_400;
const PARTS: u64 = 10;

/// A day, or as much of it as was drawn.
struct Day {
    hits: u64,
    seconds: u64,
    order: Vec<u16>,
    names: Vec<String>,
}

impl Day {
    fn new(hits: u64, seconds: u64) -> Self {
        let order = Random::new().zipf(ENDPOINTS, hits as usize);
        Self { hits, seconds, order, names: names(ENDPOINTS.into()) }
    }

    fn of_second(&self, second: u64) -> &[u16] {
        let begin = |second: u64| (second * self.hits / self.seconds) as usize;
        &self.order[begin(second)..begin(second + 1)]
    }

    fn seconds_of(&self, part: u64) -> Range<u64> {
        part * self.seconds / PARTS..(part + 1) * self.seconds / PARTS
    }

    fn hits_of(&self, parts: Range<u64>) -> u64 {
        let seconds = self.seconds_of(parts.start).start..self.seconds_of(parts.end - 1).end;
        seconds.map(|second| self.of_second(second).len() as u64).sum()
    }

    /// Hits in the order of a part of the day, by the time that `clock` is set to.
    #[inline(always)]
    fn part(&self, part: u64, clock: &ManualClock, mut hit: impl FnMut(usize)) -> Duration {
        let start = Instant::now();
        for second in self.seconds_of(part) {
            clock.set(Timestamp::from(START + second as u32));
            for &endpoint in self.of_second(second) {
                hit(endpoint.into());
            }
        }
        start.elapsed()
    }
}

/// Somebody who takes the hits of a part of the day.
struct Taker<'a> {
    name: String,
    /// How long in seconds the whole day may take.
    reach: Option<f64>,
    whole_day: bool,
    part: Box<dyn FnMut(u64) -> Duration + 'a>,
    /// All hits that it has counted.
    total: Box<dyn Fn() -> u64 + 'a>,
    took: Duration,
}

/// Measures, prints and judges the rows.
pub fn measure(report: &mut Report) {
    let day = Day::new(HITS, SECONDS);
    println!("\n{:56} {:>8} {:>10}", "100 M hits over 10,000 endpoints, one core", "s a day", "ns a hit");
    for taker in taken(&day) {
        let parts = if taker.whole_day { 1.0 } else { PARTS as f64 };
        let seconds = taker.took.as_secs_f64() * parts;
        let scaled = if taker.whole_day { "" } else { "   (ten times a tenth)" };
        println!("{:56} {seconds:>8.2} {:>10.2}{scaled}", taker.name, seconds * 1e9 / HITS as f64);
        if let Some(reach) = taker.reach {
            report.at_most(format!("a day of 100 M hits, {}, s", taker.name), seconds, reach);
        }
    }
}

/// Runs every row with few hits.
pub fn try_out() {
    taken(&Day::new(20_000, 20));
}

fn taken(day: &Day) -> Vec<Taker<'_>> {
    let mut takers = takers(day);
    for part in 0..PARTS {
        for taker in &mut takers {
            if taker.whole_day || part == 0 {
                taker.took += (taker.part)(part);
            }
        }
    }
    for taker in &takers {
        let parts = if taker.whole_day { PARTS } else { 1 };
        assert_eq!((taker.total)(), day.hits_of(0..parts), "{}: every hit is counted", taker.name);
    }
    takers
}

fn takers(day: &Day) -> Vec<Taker<'_>> {
    vec![
        by_handles(day, "handles, ring", Strategy::Ring),
        by_handles(day, "handles, adaptive", Strategy::Adaptive),
        by_name::<Ring>(day, true),
        by_name::<Adaptive>(day, true),
        held(
            day,
            "fetch_add, 10,000 words",
            AtomicU64::default,
            |word| _ = word.fetch_add(1, Ordering::Relaxed),
            |word| word.load(Ordering::Relaxed),
        ),
        held(
            day,
            "prometheus, held IntCounters",
            || IntCounter::new("hits", "Hits.").expect("a valid name"),
            IntCounter::inc,
            IntCounter::get,
        ),
        by_name::<Dash>(day, false),
        by_name::<Metrics>(day, false),
        by_name::<Prometheus>(day, false),
    ]
}

fn manual() -> ManualClock {
    ManualClock::new(Timestamp::from(START))
}

fn by_handles<'a>(day: &'a Day, name: &str, strategy: Strategy) -> Taker<'a> {
    let clock = manual();
    let registry: Registry = registry(strategy, Clock::from(clock.clone()));
    let handles: Vec<Handle> = day.names.iter().map(|name| registry.counter(name).expect("there is room")).collect();
    let part = move |part| {
        day.part(part, &clock, |endpoint| {
            black_box(coarse());
            let _ = black_box(handles[endpoint].record(1));
        })
    };
    Taker {
        name: name.to_owned(),
        reach: Some(3.0),
        whole_day: true,
        part: Box::new(part),
        total: Box::new(move || registry.metrics().total_hits),
        took: Duration::ZERO,
    }
}

fn by_name<T: ByName>(day: &Day, has_window: bool) -> Taker<'_> {
    let clock = manual();
    let counters = std::rc::Rc::new(T::new(Clock::from(clock.clone())));
    let counted = std::rc::Rc::clone(&counters);
    let part = move |part| {
        day.part(part, &clock, |endpoint| {
            if has_window {
                black_box(coarse());
            }
            counters.add(&day.names[endpoint], 1);
        })
    };
    Taker {
        name: format!("by name: {}", T::NAME),
        reach: has_window.then_some(8.0),
        whole_day: has_window,
        part: Box::new(part),
        total: Box::new(move || counted.total()),
        took: Duration::ZERO,
    }
}

/// Counters that are held in a list: the floor of what handles could take.
fn held<'a, C: 'a>(
    day: &'a Day,
    name: &str,
    make: impl Fn() -> C,
    hit: impl Fn(&C) + 'a,
    read: impl Fn(&C) -> u64 + 'a,
) -> Taker<'a> {
    let clock = manual();
    let counters: std::rc::Rc<Vec<C>> = std::rc::Rc::new((0..ENDPOINTS).map(|_| make()).collect());
    let counted = std::rc::Rc::clone(&counters);
    Taker {
        name: name.to_owned(),
        reach: None,
        whole_day: false,
        part: Box::new(move |part| day.part(part, &clock, |endpoint| hit(&counters[endpoint]))),
        total: Box::new(move || counted.iter().map(&read).sum()),
        took: Duration::ZERO,
    }
}
