//! [`Tally`]: what the server has done, as `GET /metrics` tells it.
//!
//! | series | labels |
//! |---|---|
//! | `hitring_http_requests_total` | `method`, `route`, `status` (its class, `2xx` say) |
//! | `hitring_http_request_seconds` | `method`, `route` |
//! | `hitring_connections` | |
//! | `hitring_http_requests_limited_total` | `limit`: `client`, `global` or `room` |
//! | `hitring_limit_keys`, `hitring_limit_keys_max` | |
//! | `hitring_hits_total`, `hitring_hits_refused_total` | `reason` of the second |
//! | `hitring_endpoints`, `hitring_ring_*` | |
//! | `hitring_writes_waiting`, `hitring_unflushed_hits`, `hitring_untimed_hits`, `hitring_flush_seconds` | |
//! | `hitring_build_info` | `version` |
//!
//! A route is a path of the table of routes, with the names of its parts, so that there are never more series than routes.
//! Requests without a route, or with another method, are counted together.
//!
//! Tests: `tests/python/integration/test_serve_metrics.py`.

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::limits::{Limits, Why};
use crate::cell::outcome::Outcome;
use crate::service::Service;

/// The bounds of the times of answers, in seconds.
const BOUNDS: [f64; 11] = [0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 1.0, 10.0];
/// The classes of statuses that there are.
const CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];
/// The method and route of requests that do not match a route.
const ELSE: (&str, &str) = ("other", "other");

/// The media type of [`Tally::page`].
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The numbers of a server.
#[derive(Debug)]
pub struct Tally {
    registry: Registry,
    routes: Vec<Answers>,
    /// How many connections are open.
    pub connections: IntGauge,
    /// Requests that a limit refused, by why.
    limited: [IntCounter; Why::ALL.len()],
}

#[derive(Debug)]
struct Answers {
    classes: [IntCounter; CLASSES.len()],
    seconds: Histogram,
}

impl Tally {
    /// Nothing yet, of `routes` by method and path.
    ///
    /// # Errors
    /// What the library says of two routes that are one.
    pub fn new<'a>(routes: impl IntoIterator<Item = (&'a str, &'a str)>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = Opts::new("hitring_http_requests_total", "Requests that were answered.");
        let requests = IntCounterVec::new(requests, &["method", "route", "status"])?;
        let seconds = HistogramOpts::new("hitring_http_request_seconds", "From the head of a request to its answer.");
        let seconds = HistogramVec::new(seconds.buckets(BOUNDS.to_vec()), &["method", "route"])?;
        let connections = IntGauge::new("hitring_connections", "Connections that are open.")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        let limited = Opts::new("hitring_http_requests_limited_total", "Requests that a limit refused.");
        let limited = IntCounterVec::new(limited, &["limit"])?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(limited.clone()))?;
        let limited = Why::ALL.map(|why| limited.with_label_values(&[why.as_str()]));
        let answers = |(method, route)| Answers {
            classes: CLASSES.map(|class| requests.with_label_values(&[method, route, class])),
            seconds: seconds.with_label_values(&[method, route]),
        };
        let routes = routes.into_iter().chain([ELSE]).map(answers).collect();
        Ok(Self { registry, routes, connections, limited })
    }

    /// Adds an answer of the `route`th route that took `nanos`. Requests without a route are counted after the last one.
    pub fn answered(&self, route: usize, status: u16, nanos: u64) {
        let Some(answers) = self.routes.get(route.min(self.routes.len() - 1)) else { return };
        answers.classes[match status {
            ..400 => 0,
            400..500 => 1,
            _ => 2,
        }]
        .inc();
        answers.seconds.observe(nanos as f64 / 1e9);
    }

    /// Adds a request that a limit refused.
    pub fn limited(&self, why: Why) {
        self.limited[why as usize].inc();
    }

    /// All numbers, those of the ring and of `limits` among them, as text of Prometheus.
    ///
    /// # Errors
    /// What the library says.
    pub fn page(&self, service: &Service, limits: Option<&Limits>) -> prometheus::Result<Vec<u8>> {
        let mut families = self.registry.gather();
        families.extend(ring(service, limits)?.gather());
        let mut page = Vec::new();
        TextEncoder::new().encode(&families, &mut page)?;
        Ok(page)
    }
}

/// What the ring says at this instant.
fn ring(service: &Service, limits: Option<&Limits>) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    let add = |family: Box<dyn Collector>| registry.register(family);
    let gauge = |name: &str, help: &str, value: u64| {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        add(Box::new(gauge))
    };
    let is_ready = service.check().is_ok();
    gauge("hitring_ready", "1 if hits can be counted, else 0.", u64::from(is_ready))?;
    let build = IntGaugeVec::new(Opts::new("hitring_build_info", "The version."), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    add(Box::new(build))?;
    if !is_ready {
        // What a lost file seems to say would make counters go down.
        return Ok(registry);
    }
    let outcomes = service.outcomes();
    let counted = IntCounter::new("hitring_hits_total", "Hits that were counted, by this and other processes.")?;
    counted.inc_by(outcomes.counted);
    add(Box::new(counted))?;
    let refused = Opts::new("hitring_hits_refused_total", "Hits that were refused, by this and other processes.");
    let refused = IntCounterVec::new(refused, &["reason"])?;
    for (outcome, hits) in Outcome::ALL.into_iter().zip(outcomes.to_array()) {
        if !outcome.is_counted() {
            refused.with_label_values(&[outcome.as_str()]).inc_by(hits);
        }
    }
    add(Box::new(refused))?;
    let (ring, room) = (service.ring(), service.ring().room());
    gauge("hitring_endpoints", "Endpoints that there are.", ring.len() as u64)?;
    let store = service.store();
    gauge("hitring_writes_waiting", "Writes that wait for the disk.", store.waiting() as u64)?;
    gauge("hitring_unflushed_hits", "Hits of the ring that are not in the database yet.", store.unflushed())?;
    let untimed = "Hits whose second left the ring before it was in the database. They are in its totals.";
    gauge("hitring_untimed_hits", untimed, store.untimed())?;
    let took = Gauge::new("hitring_flush_seconds", "How long the last flush of the ring to the database took.")?;
    took.set(store.took().as_secs_f64());
    add(Box::new(took))?;
    for (part, help, used, most) in [
        (
            "lives",
            "Lives of endpoints: one for each name, and one more after each removal.",
            room.lives,
            room.max_endpoints,
        ),
        ("name_bytes", "Bytes of names.", room.name_bytes, room.max_name_bytes),
        ("visitor_words", "Words of visitors.", room.visitors, room.max_visitors),
    ] {
        gauge(&format!("hitring_ring_{part}"), &format!("{help} Used."), used)?;
        gauge(&format!("hitring_ring_{part}_max"), &format!("{help} Room for."), most)?;
    }
    if let Some(limits) = limits {
        let keys = "Clients whose requests are limited now, and keys of other limiters of the ring.";
        gauge("hitring_limit_keys", keys, limits.keys() as u64)?;
        gauge("hitring_limit_keys_max", "How many of them there is room for at least.", room.max_limits)?;
    }
    gauge("hitring_ring_bytes", "The size of the ring file.", room.file_bytes)?;
    gauge("hitring_ring_window_seconds", "The window of the ring.", ring.window().as_secs())?;
    Ok(registry)
}
