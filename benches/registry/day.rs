//! A day of 100 million hits over 10,000 endpoints, popular by Zipf's law (s = 1), on one core.
//!
//! A clock of the bench's own tells the day's seconds, 1,157 hits each, so that every hit takes the way that it takes in a
//! service: `record`, not its twin with a time, with endpoints that roll over, fall idle and are pruned. Whenever it is
//! asked it reads the system's coarse clock, too, and so takes as long as that. The order is drawn beforehand: two bytes a
//! hit, read in sequence.
//!
//! "In a burst" the same hits come as fast as they can, by the system's clock: nearly every hit then meets a tick that has
//! hits. In a day every second hit is its endpoint's first in the second.
//!
//! A tenth of the day is measured, which is 28 windows, and taken ten times. It is cut into pieces that all rows take in
//! turn.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hitring::{Clock, Handle, HitCounter, Registry, Strategy, Timestamp};
use prometheus::IntCounter;

use crate::by_name::{Adaptive, ByName, Dash, Metrics, Prometheus, Ring, registry};
use crate::names::{Random, names};
use crate::report::Report;
use crate::row::coarse;

const START: u32 = 1_700_000_000;
const ENDPOINTS: u16 = 10_000;
const HITS: u64 = 10_000_000;
const SECONDS: u64 = 8_640;
const TENTHS: f64 = 10.0;
const PIECES: u64 = 10;

/// As much of a day as is measured.
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

    /// Hits in the order of a piece, by the time that `clock` tells.
    #[inline(always)]
    fn piece(&self, piece: u64, clock: &DayClock, mut hit: impl FnMut(usize)) -> Duration {
        let start = Instant::now();
        for second in piece * self.seconds / PIECES..(piece + 1) * self.seconds / PIECES {
            clock.0.store(START + second as u32, Ordering::Relaxed);
            for &endpoint in self.of_second(second) {
                hit(endpoint.into());
            }
        }
        start.elapsed()
    }
}

/// Somebody who takes hits.
struct Taker<'a> {
    name: String,
    /// How long in seconds the whole day may take.
    reach: Option<f64>,
    /// Takes a piece, and says how long that took.
    piece: Box<dyn FnMut(u64) -> Duration + 'a>,
    /// All hits that it has counted.
    total: Box<dyn Fn() -> u64 + 'a>,
    took: Duration,
}

/// Measures, prints and judges the rows.
pub fn measure(report: &mut Report) {
    let day = Day::new(HITS, SECONDS);
    println!("\n{:56} {:>8} {:>10}", "100 M hits over 10,000 endpoints, one core", "s a day", "ns a hit");
    for taker in taken(&day) {
        let seconds = taker.took.as_secs_f64();
        println!("{:56} {:>8.2} {:>10.2}", taker.name, seconds * TENTHS, seconds * 1e9 / HITS as f64);
        if let Some(reach) = taker.reach {
            report.at_most(format!("a day of 100 M hits, {}, s", taker.name), seconds * TENTHS, reach);
        }
    }
    println!("Ten times what 10 M hits took: a tenth of the day, at the day's rate.");
}

/// Runs every row with few hits.
pub fn try_out() {
    taken(&Day::new(20_000, 20));
}

fn taken(day: &Day) -> Vec<Taker<'_>> {
    let mut takers = takers(day);
    for piece in 0..PIECES {
        for taker in &mut takers {
            taker.took += (taker.piece)(piece);
        }
    }
    for taker in &takers {
        assert_eq!((taker.total)(), day.hits, "{}: every hit is counted", taker.name);
    }
    takers
}

fn takers(day: &Day) -> Vec<Taker<'_>> {
    let (clock, counted_by) = Time::Day.clocks();
    let counter = || HitCounter::builder().strategy(Strategy::Ring).clock(counted_by.clone()).build();
    let none = || Time::None.clocks().0;
    vec![
        held(
            day,
            "HitCounters, ring",
            clock,
            || counter().expect("the defaults are valid"),
            |counter| _ = black_box(counter.record(1)),
            |counter| counter.outcomes().counted,
        ),
        by_handles(day, "handles, ring", Strategy::Ring, Time::Day),
        by_handles(day, "handles, adaptive", Strategy::Adaptive, Time::Day),
        by_name::<Ring>(day, Time::Day),
        by_name::<Adaptive>(day, Time::Day),
        by_handles(day, "handles, ring, in a burst", Strategy::Ring, Time::Burst),
        by_handles(day, "handles, adaptive, in a burst", Strategy::Adaptive, Time::Burst),
        by_name::<Ring>(day, Time::Burst),
        by_name::<Adaptive>(day, Time::Burst),
        held(
            day,
            "fetch_add, 10,000 words",
            none(),
            AtomicU64::default,
            |word| _ = word.fetch_add(1, Ordering::Relaxed),
            |word| word.load(Ordering::Relaxed),
        ),
        held(
            day,
            "prometheus, held IntCounters",
            none(),
            || IntCounter::new("hits", "Hits.").expect("a valid name"),
            IntCounter::inc,
            IntCounter::get,
        ),
        by_name::<Dash>(day, Time::None),
        by_name::<Metrics>(day, Time::None),
        by_name::<Prometheus>(day, Time::None),
    ]
}

/// What tells the time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    Day,
    /// The system's clock.
    Burst,
    /// Nothing: there is no window.
    None,
}

impl Time {
    /// The clock that the pieces set, and the one that is counted by.
    fn clocks(self) -> (DayClock, Clock) {
        let day = DayClock(Arc::new(AtomicU32::new(START)));
        let counted_by = if self == Self::Day { day.clone().into() } else { Clock::System };
        (day, counted_by)
    }
}

/// Tells the second of the day, in the time that the system's clock takes.
#[derive(Clone)]
struct DayClock(Arc<AtomicU32>);

impl From<DayClock> for Clock {
    fn from(clock: DayClock) -> Self {
        Self::Custom(Arc::new(move || {
            black_box(coarse());
            Timestamp::from(clock.0.load(Ordering::Relaxed))
        }))
    }
}

fn by_handles<'a>(day: &'a Day, name: &str, strategy: Strategy, time: Time) -> Taker<'a> {
    let (clock, counted_by) = time.clocks();
    let registry: Registry = registry(strategy, counted_by);
    let handles: Vec<Handle> = day.names.iter().map(|name| registry.counter(name).expect("there is room")).collect();
    let piece = move |piece| {
        day.piece(piece, &clock, |endpoint| {
            let _ = black_box(handles[endpoint].record(1));
        })
    };
    Taker {
        name: name.to_owned(),
        reach: (time == Time::Day).then_some(3.0),
        piece: Box::new(piece),
        total: Box::new(move || registry.metrics().total_hits),
        took: Duration::ZERO,
    }
}

fn by_name<T: ByName>(day: &Day, time: Time) -> Taker<'_> {
    let (clock, counted_by) = time.clocks();
    let counters = Rc::new(T::new(counted_by));
    let counted = Rc::clone(&counters);
    let piece = move |piece| {
        day.piece(piece, &clock, |endpoint| {
            counters.add(&day.names[endpoint], 1);
        })
    };
    Taker {
        name: format!("by name: {}{}", T::NAME, if time == Time::Burst { ", in a burst" } else { "" }),
        reach: (time == Time::Day).then_some(8.0),
        piece: Box::new(piece),
        total: Box::new(move || counted.total()),
        took: Duration::ZERO,
    }
}

/// Counters that are held in a list: the floor of what handles could take.
fn held<'a, C: 'a>(
    day: &'a Day,
    name: &str,
    clock: DayClock,
    make: impl Fn() -> C,
    hit: impl Fn(&C) + 'a,
    read: impl Fn(&C) -> u64 + 'a,
) -> Taker<'a> {
    let counters: Rc<Vec<C>> = Rc::new((0..ENDPOINTS).map(|_| make()).collect());
    let counted = Rc::clone(&counters);
    Taker {
        name: name.to_owned(),
        reach: None,
        piece: Box::new(move |piece| day.piece(piece, &clock, |endpoint| hit(&counters[endpoint]))),
        total: Box::new(move || counted.iter().map(&read).sum()),
        took: Duration::ZERO,
    }
}
