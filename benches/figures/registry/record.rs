//! One hit after the other: by handle, and by name over 1,000 endpoints, by one thread and by several.
//!
//! The names have 23 bytes and are drawn at random if a row does not say otherwise. Endpoints in few cells have ticks of an
//! hour, so that they stay in those cells; such ticks cost a division. Beside hitring nothing has a window or a clock.

use std::sync::Arc;
use std::time::Duration;

use hitring::{Clock, EventKind, Handle, HitCounter, Registry, Shape, Strategy, Subscription, Timestamp};
use prometheus::IntCounter;

use super::by_name::{Adaptive, ByName, Dash, Metrics, Prometheus, Ring, registry};
use super::names::{Random, names};
use crate::harness::Reach::{AtLeast, AtMost, Nothing};
use crate::harness::Run;
use crate::row::{Row, coarse, counted, counter, several, threads};

const ENDPOINTS: u16 = 1_000;
const ORDER: usize = 1 << 16;
const HOUR: Duration = Duration::from_secs(3_600);

/// Handles, and the shape that is to hold their hits at the end.
type Shapes = Vec<(&'static str, Handle, Shape)>;

/// Measures and judges the rows.
pub fn figures(run: &mut Run) {
    let (rows, shapes, _prunes) = rows();
    run.measure(&rows);
    for (what, handle, shape) in &shapes {
        let (_, found) = handle.strategy();
        if found != *shape {
            run.doubt(format!("{what}: {found:?} cells took the hits, which was to be {shape:?}"));
        }
    }
    run.doubt_two_threads();
    let loops = run.one("the order alone");
    for (handle, counter) in [
        ("handle, ring", "HitCounter, ring"),
        ("handle, adaptive in a ring", "HitCounter, ring"),
        ("handle, adaptive in its few cells", "HitCounter, ring, ticks of an hour"),
        ("handles of 1,000, ring", "HitCounters, 1,000, ring"),
    ] {
        run.figure(format!("{handle} - {counter}, ns"), run.one(handle) - run.one(counter), AtMost(1.0));
    }
    for name in [Ring::NAME, "hitring, adaptive in rings", "hitring, adaptive in few cells"] {
        let beyond = run.one(&by_name(name)) - loops;
        run.figure(format!("by name: {name}, less the order alone, ns"), beyond, AtMost(25.0));
    }
    for (ours, theirs, reach) in [
        ("handles, an endpoint each, ring", "HitCounters, one each, ring", AtLeast(0.95)),
        ("handle of one hot endpoint, adaptive from a ring", "HitCounters, one each, striped", AtLeast(0.9)),
        ("handle of one hot endpoint, adaptive in few cells", "HitCounters, one each, striped", Nothing),
    ] {
        run.figure(format!("two threads, rate of {ours} / of {theirs}"), run.two(theirs) / run.two(ours), reach);
    }
    for (two, alone) in [
        ("handles, an endpoint each, ring", "handle, ring"),
        ("handle of one hot endpoint, adaptive from a ring", "handle, striped"),
    ] {
        run.figure(format!("two threads, each / one alone: {two}"), run.one(alone) / run.two(two), Nothing);
    }
    let listened = run.one("handle, ring, a subscriber to prunes") - run.one("handle, ring");
    run.figure("a subscriber to another kind of event costs a hit by handle, ns", listened, Nothing);
    for theirs in [Dash::NAME, Metrics::NAME, Prometheus::NAME] {
        let (ours, row) = (by_name(Ring::NAME), by_name(theirs));
        run.figure(format!("{theirs} / ring"), run.one(&row) / run.one(&ours), Nothing);
        run.figure(format!("{theirs} / ring, two threads"), run.two(&row) / run.two(&ours), Nothing);
    }
}

fn by_name(kind: &str) -> String {
    format!("by name: {kind}")
}

fn in_turn(kind: &str) -> String {
    format!("by name, one after the other: {kind}")
}

fn handle(registry: &Registry, endpoint: &str) -> Handle {
    registry.counter(endpoint).expect("there is room")
}

fn of_counters(name: &str, threads: usize, counters: Vec<HitCounter>) -> Row {
    Row::of(name, threads, counters, |counter| counted(counter.record(1)))
}

fn of_handles(name: &str, threads: usize, handles: Vec<Handle>) -> Row {
    Row::of(name, threads, handles, |handle| counted(handle.record(1)))
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

/// Adaptive endpoints that stay in their few cells, because all hits of an hour have one tick.
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
    fn new(order: Vec<u16>) -> Self {
        Self { names: Arc::new(names(ENDPOINTS.into())), order: Arc::new(order) }
    }

    /// A row that hits endpoint after endpoint. Each thread begins at a place of its own.
    fn row<R>(&self, name: impl Into<String>, threads: usize, hit: impl Fn(usize, &str) -> R + Sync + 'static) -> Row {
        let Self { names, order } = self.clone();
        let apart = ORDER / threads;
        Row::new(name, threads, move |thread, index| {
            let endpoint = usize::from(order[(thread * apart + index) % ORDER]);
            hit(endpoint, &names[endpoint])
        })
    }

    /// The same by name.
    fn by_name<T: ByName>(&self, name: impl Into<String>, threads: usize, counters: T) -> Row {
        for name in self.names.iter() {
            counters.add(name, 1);
        }
        self.row(name, threads, move |_, name| counters.add(name, 1))
    }
}

fn rows() -> (Vec<Row>, Shapes, Subscription) {
    let (mut rows, mut shapes) = (Vec::new(), Shapes::new());
    rows.push(Row::fetch_add("fetch_add", 1, 1));
    rows.push(Row::new("coarse clock", 1, |_, _| coarse()));
    rows.push(of_counters("HitCounter, ring", 1, vec![counter(Strategy::Ring)]));
    rows.push(of_counters("HitCounter, striped", 1, vec![counter(Strategy::Striped)]));
    let builder = HitCounter::builder().strategy(Strategy::Ring).resolution(HOUR).window(HOUR * 300);
    let of_hours = builder.build().expect("300 ticks of an hour are possible");
    rows.push(of_counters("HitCounter, ring, ticks of an hour", 1, vec![of_hours]));
    for (name, strategy) in [("handle, ring", Strategy::Ring), ("handle, striped", Strategy::Striped)] {
        rows.push(of_handles(name, 1, vec![handle(&registry(strategy, Clock::System), "/home")]));
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
    rows.push(Row::new("prometheus, a held IntCounter", 1, move |_, _| held.inc()));

    for threads in several() {
        let each = |strategy: Strategy| (0..threads).map(|_| counter(strategy.clone())).collect();
        rows.push(Row::fetch_add("fetch_add, one each", threads, threads));
        rows.push(Row::fetch_add("fetch_add", threads, 1));
        rows.push(of_counters("HitCounters, one each, ring", threads, each(Strategy::Ring)));
        rows.push(of_counters("HitCounters, one each, striped", threads, each(Strategy::Striped)));
        for (name, registry) in [
            ("handles, an endpoint each, ring", registry(Strategy::Ring, Clock::System)),
            ("handles, an endpoint each, adaptive in few cells", in_few_cells()),
        ] {
            rows.push(of_handles(name, threads, names(threads).iter().map(|name| handle(&registry, name)).collect()));
        }
        rows.push(of_counters("HitCounter of all, ring", threads, vec![counter(Strategy::Ring)]));
        for (name, registry, shape) in [
            // It becomes striped by itself, in the round that warms up.
            ("handle of one hot endpoint, adaptive from a ring", in_rings(&["/hot".to_owned()]), Shape::Striped),
            ("handle of one hot endpoint, adaptive in few cells", in_few_cells(), Shape::Few),
        ] {
            shapes.push((name, handle(&registry, "/hot"), shape));
            rows.push(of_handles(name, threads, vec![handle(&registry, "/hot")]));
        }
    }

    let order = Order::new(Random::new().uniform(ENDPOINTS, ORDER));
    rows.push(order.row("the order alone", 1, |_, name| name.as_bytes()[0]));
    let counters: Vec<_> = (0..ENDPOINTS).map(|_| counter(Strategy::Ring)).collect();
    rows.push(order.row("HitCounters, 1,000, ring", 1, move |endpoint, _| counters[endpoint].record(1)));
    let ring = registry(Strategy::Ring, Clock::System);
    let handles: Vec<_> = order.names.iter().map(|name| handle(&ring, name)).collect();
    rows.push(order.row("handles of 1,000, ring", 1, move |endpoint, _| handles[endpoint].record(1)));
    let turns = Order::new((0..ENDPOINTS).cycle().take(ORDER).collect());
    rows.push(turns.by_name(in_turn(Ring::NAME), 1, Ring::new(Clock::System)));
    rows.push(turns.by_name(in_turn(Dash::NAME), 1, Dash::new(Clock::System)));
    for threads in threads() {
        rows.push(order.by_name(by_name(Ring::NAME), threads, Ring::new(Clock::System)));
        for (kind, registry, shape) in [
            ("hitring, adaptive in rings", in_rings(&order.names), Shape::Ring),
            ("hitring, adaptive in few cells", in_few_cells(), Shape::Few),
        ] {
            // Several threads may well be in each other's way now and then.
            if threads == 1 {
                shapes.push((kind, handle(&registry, &order.names[0]), shape));
            }
            rows.push(order.by_name(by_name(kind), threads, Adaptive(registry)));
        }
        rows.push(order.by_name(by_name(Dash::NAME), threads, Dash::new(Clock::System)));
        rows.push(order.by_name(by_name(Metrics::NAME), threads, Metrics::new(Clock::System)));
        rows.push(order.by_name(by_name(Prometheus::NAME), threads, Prometheus::new(Clock::System)));
    }
    (rows, shapes, prunes)
}
