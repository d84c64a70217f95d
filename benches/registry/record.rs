//! One hit after the other: by handle, by name over 1,000 endpoints, by one thread and by two.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hitring::{Clock, EventKind, Handle, HitCounter, Registry, Shape, Strategy, Subscription, Timestamp};
use prometheus::IntCounter;

use crate::by_name::{Adaptive, ByName, Dash, Metrics, Prometheus, Ring, registry};
use crate::medians::Medians;
use crate::names::{Random, names};
use crate::report::Report;
use crate::row::{Alone, Row, coarse};

const ENDPOINTS: u16 = 1_000;
const ORDER: usize = 1 << 16;
const HOUR: Duration = Duration::from_secs(3_600);

/// What has to live, or to be looked at, once the rows have run.
struct Rows {
    rows: Vec<Row>,
    /// Handles and what must take their hits at the end.
    shapes: Vec<(&'static str, Handle, Shape)>,
    _prunes: Subscription,
}

/// Measures, prints and judges the rows.
pub fn measure(report: &mut Report) {
    let Rows { rows, shapes, _prunes } = rows();
    // Two threads never begin at quite the same time: they are given long enough for it not to matter.
    let medians = Medians::of(&rows, 31, |row| if row.threads == 1 { 200_000 } else { 500_000 });
    medians.print();
    println!("\nBy name: {ENDPOINTS} names of 23 bytes, drawn at random if not said otherwise.");
    println!("Endpoints in few cells have ticks of an hour, so that they stay there; that costs a division.");
    println!("Beside hitring nothing has a window or a clock.");
    for (what, handle, shape) in &shapes {
        let (_, found) = handle.strategy();
        if found != *shape {
            report.doubt(format!("{what}: {found:?} cells took the hits, which was to be {shape:?}"));
        }
    }
    if medians.get("fetch_add, both on one", 2) < 1.5 * medians.get("fetch_add", 1) {
        report.doubt("two threads did not run at once: their figures mean nothing");
    }
    let one = |name: &str| medians.get(name, 1);
    let rate = |ours: &str, theirs: &str| medians.get(theirs, 2) / medians.get(ours, 2);
    let loops = one("the order alone");
    for (handle, counter) in [
        ("handle, ring", "HitCounter, ring"),
        ("handle, adaptive in a ring", "HitCounter, ring"),
        ("handle, adaptive in its few cells", "HitCounter, ring, ticks of an hour"),
        ("handles of 1,000, ring", "HitCounters, 1,000, ring"),
    ] {
        report.at_most(format!("{handle} - {counter}, ns"), one(handle) - one(counter), 1.0);
    }
    for name in [Ring::NAME, "hitring, adaptive in rings", "hitring, adaptive in few cells"] {
        report.at_most(format!("by name: {name}, less the order alone, ns"), one(&by_name(name)) - loops, 25.0);
    }
    report.at_least(
        "two threads, rate of handles of two endpoints / of two HitCounters",
        rate("handles of two endpoints, ring", "HitCounters, one each, ring"),
        0.95,
    );
    report.at_least(
        "two threads, rate of one hot adaptive endpoint / of two HitCounters",
        rate("handle of one hot endpoint, adaptive from a ring", "HitCounters, one each, striped"),
        0.9,
    );
    for (two, one_thread) in [
        ("handles of two endpoints, ring", "handle, ring"),
        ("handle of one hot endpoint, adaptive from a ring", "handle, striped"),
    ] {
        let alone = one(one_thread) / medians.get(two, 2);
        report.figure(format!("two threads, each / one alone: {two}"), alone);
    }
    report.figure(
        "two threads, rate of one hot endpoint in its few cells / of two HitCounters",
        rate("handle of one hot endpoint, adaptive in few cells", "HitCounters, one each, striped"),
    );
    report.figure(
        "a subscriber to another kind of event costs a hit by handle, ns",
        one("handle, ring, a subscriber to prunes") - one("handle, ring"),
    );
    for theirs in [Dash::NAME, Metrics::NAME, Prometheus::NAME] {
        let (ours, theirs) = (by_name(Ring::NAME), by_name(theirs));
        report.figure(format!("{theirs} / ring"), one(&theirs) / one(&ours));
        report.figure(format!("{theirs} / ring, two threads"), medians.get(&theirs, 2) / medians.get(&ours, 2));
    }
}

/// Runs every row for some calls, unmeasured.
pub fn try_out() {
    let Rows { rows, .. } = rows();
    for row in &rows {
        let _ = row.time(200);
    }
}

fn by_name(kind: &str) -> String {
    format!("by name: {kind}")
}

fn in_turn(kind: &str) -> String {
    format!("by name, one after the other: {kind}")
}

fn counter(strategy: Strategy) -> HitCounter {
    HitCounter::builder().strategy(strategy).build().expect("the defaults are valid")
}

fn handle(registry: &Registry, endpoint: &str) -> Handle {
    registry.counter(endpoint).expect("there is room")
}

/// A row in which thread `t` hits counter `t` of `counters`, or the only one.
fn of_counters(name: &str, threads: usize, counters: Vec<HitCounter>) -> Row {
    Row::new(name, threads, move |thread, n| {
        let counter = &counters[thread % counters.len()];
        for _ in 0..n {
            let outcome = black_box(counter.record(1));
            debug_assert!(outcome.is_counted(), "{outcome:?}");
        }
    })
}

/// The same with handles.
fn of_handles(name: &str, threads: usize, handles: Vec<Handle>) -> Row {
    Row::new(name, threads, move |thread, n| {
        let handle = &handles[thread % handles.len()];
        for _ in 0..n {
            let outcome = black_box(handle.record(1));
            debug_assert!(outcome.is_counted(), "{outcome:?}");
        }
    })
}

/// Adaptive endpoints that have grown into rings: there were hits in each of the last 20 seconds.
fn in_rings(names: &[String]) -> Registry {
    let registry = registry(Strategy::Adaptive, Clock::System);
    let now = Clock::System.now().secs();
    for second in now - 19..=now {
        let at = Timestamp::try_from(second).expect("before the year 9999");
        for name in names {
            let outcome = registry.record_hit_at(name, at, 1).expect("a valid name");
            assert!(outcome.is_counted(), "{outcome:?}");
        }
    }
    registry
}

/// Adaptive endpoints that stay in their few cells: all hits of an hour fall into one tick. Such ticks take a division
/// more than seconds do.
fn in_few_cells() -> Registry {
    let builder = Registry::builder().strategy(Strategy::Adaptive).resolution(HOUR).window(HOUR * 300);
    builder.build().expect("300 ticks of an hour are possible")
}

/// Names in an order.
#[derive(Clone)]
struct Order {
    names: Arc<Vec<String>>,
    order: Arc<Vec<u16>>,
}

impl Order {
    fn random() -> Self {
        Self::in_order(Random::new().uniform(ENDPOINTS, ORDER))
    }

    fn in_turn() -> Self {
        Self::in_order((0..ENDPOINTS).cycle().take(ORDER).collect())
    }

    fn in_order(order: Vec<u16>) -> Self {
        Self { names: Arc::new(names(ENDPOINTS.into())), order: Arc::new(order) }
    }

    /// Calls back with `n` of them; two threads begin at different places.
    #[inline(always)]
    fn each(&self, thread: usize, n: u64, mut hit: impl FnMut(usize)) {
        let begin = thread * (ORDER / 2);
        for step in 0..n as usize {
            hit(self.order[(begin + step) % ORDER].into());
        }
    }

    fn row<T: ByName>(&self, name: impl Into<String>, threads: usize, counters: T) -> Row {
        for name in self.names.iter() {
            counters.add(name, 1);
        }
        let drawn = self.clone();
        Row::new(name, threads, move |thread, n| {
            drawn.each(thread, n, |index| counters.add(&drawn.names[index], 1));
        })
    }
}

fn rows() -> Rows {
    let mut rows = Vec::new();
    let mut shapes = Vec::new();
    let word = Alone(AtomicU64::new(0));
    rows.push(Row::new("fetch_add", 1, move |_, n| {
        for _ in 0..n {
            word.0.fetch_add(1, Ordering::Relaxed);
        }
    }));
    rows.push(Row::new("coarse clock", 1, |_, n| {
        for _ in 0..n {
            black_box(coarse());
        }
    }));
    rows.push(of_counters("HitCounter, ring", 1, vec![counter(Strategy::Ring)]));
    rows.push(of_counters("HitCounter, striped", 1, vec![counter(Strategy::Striped)]));
    let builder = HitCounter::builder().strategy(Strategy::Ring).resolution(HOUR).window(HOUR * 300);
    let of_hours = builder.build().expect("300 ticks of an hour are possible");
    rows.push(of_counters("HitCounter, ring, ticks of an hour", 1, vec![of_hours]));
    for (name, strategy) in [("handle, ring", Strategy::Ring), ("handle, striped", Strategy::Striped)] {
        let registry = registry(strategy, Clock::System);
        rows.push(of_handles(name, 1, vec![handle(&registry, "/home")]));
    }
    for (name, registry, shape) in [
        ("handle, adaptive in a ring", in_rings(&["/home".to_owned()]), Shape::Ring),
        ("handle, adaptive in its few cells", in_few_cells(), Shape::Few),
    ] {
        shapes.push((name, handle(&registry, "/home"), shape));
        rows.push(of_handles(name, 1, vec![handle(&registry, "/home")]));
    }
    let watched = registry(Strategy::Ring, Clock::System);
    let prunes = watched.subscribe(EventKind::Pruned.into(), 16, |_| {}).expect("a thread can be started");
    rows.push(of_handles("handle, ring, a subscriber to prunes", 1, vec![handle(&watched, "/home")]));
    let held = IntCounter::new("hits", "Hits.").expect("a valid name");
    rows.push(Row::new("prometheus, a held IntCounter", 1, move |_, n| {
        for _ in 0..n {
            held.inc();
        }
    }));

    let two = |strategy: Strategy| vec![counter(strategy.clone()), counter(strategy)];
    let words = [Alone(AtomicU64::new(0)), Alone(AtomicU64::new(0))];
    rows.push(Row::new("fetch_add, one each", 2, move |thread, n| {
        for _ in 0..n {
            words[thread].0.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let word = Alone(AtomicU64::new(0));
    rows.push(Row::new("fetch_add, both on one", 2, move |_, n| {
        for _ in 0..n {
            word.0.fetch_add(1, Ordering::Relaxed);
        }
    }));
    rows.push(of_counters("HitCounters, one each, ring", 2, two(Strategy::Ring)));
    rows.push(of_counters("HitCounters, one each, striped", 2, two(Strategy::Striped)));
    for (name, registry) in [
        ("handles of two endpoints, ring", registry(Strategy::Ring, Clock::System)),
        ("handles of two endpoints, adaptive in few cells", in_few_cells()),
    ] {
        rows.push(of_handles(name, 2, ["/home", "/about"].map(|endpoint| handle(&registry, endpoint)).into()));
    }
    rows.push(of_counters("HitCounter of both, ring", 2, vec![counter(Strategy::Ring)]));
    for (name, registry, shape) in [
        // It becomes striped by itself, in the round that warms up.
        ("handle of one hot endpoint, adaptive from a ring", in_rings(&["/hot".to_owned()]), Shape::Striped),
        ("handle of one hot endpoint, adaptive in few cells", in_few_cells(), Shape::Few),
    ] {
        shapes.push((name, handle(&registry, "/hot"), shape));
        rows.push(of_handles(name, 2, vec![handle(&registry, "/hot")]));
    }

    let order = Order::random();
    let drawn = order.clone();
    rows.push(Row::new("the order alone", 1, move |thread, n| {
        drawn.each(thread, n, |index| {
            black_box(drawn.names[index].as_bytes()[0]);
        });
    }));
    let counters: Vec<_> = (0..ENDPOINTS).map(|_| counter(Strategy::Ring)).collect();
    let drawn = order.clone();
    rows.push(Row::new("HitCounters, 1,000, ring", 1, move |thread, n| {
        drawn.each(thread, n, |index| {
            let _ = black_box(counters[index].record(1));
        });
    }));
    let ring = registry(Strategy::Ring, Clock::System);
    let handles: Vec<_> = order.names.iter().map(|name| handle(&ring, name)).collect();
    let drawn = order.clone();
    rows.push(Row::new("handles of 1,000, ring", 1, move |thread, n| {
        drawn.each(thread, n, |index| {
            let _ = black_box(handles[index].record(1));
        });
    }));
    let turns = Order::in_turn();
    rows.push(turns.row(in_turn(Ring::NAME), 1, Ring::new(Clock::System)));
    rows.push(turns.row(in_turn(Dash::NAME), 1, Dash::new(Clock::System)));
    for threads in [1, 2] {
        rows.push(order.row(by_name(Ring::NAME), threads, Ring::new(Clock::System)));
        for (kind, registry, shape) in [
            ("hitring, adaptive in rings", in_rings(&order.names), Shape::Ring),
            ("hitring, adaptive in few cells", in_few_cells(), Shape::Few),
        ] {
            // Two threads may well be in each other's way now and then.
            if threads == 1 {
                shapes.push((kind, handle(&registry, &order.names[0]), shape));
            }
            rows.push(order.row(by_name(kind), threads, Adaptive(registry)));
        }
        rows.push(order.row(by_name(Dash::NAME), threads, Dash::new(Clock::System)));
        rows.push(order.row(by_name(Metrics::NAME), threads, Metrics::new(Clock::System)));
        rows.push(order.row(by_name(Prometheus::NAME), threads, Prometheus::new(Clock::System)));
    }
    Rows { rows, shapes, _prunes: prunes }
}
