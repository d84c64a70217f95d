//! What counts by name, behind one trait: hitring's registry, and the crates that a service might use instead.
//!
//! The other crates have no window and read no clock. They count all hits, but not those of the last N seconds.

use std::hint::black_box;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use hitring::{Clock, Registry, Strategy};
use metrics_util::registry::{AtomicStorage, Registry as Recorded};
use prometheus::core::Collector;
use prometheus::{IntCounterVec, Opts};

/// Counts by name.
pub trait ByName: Send + Sync + Sized + 'static {
    const NAME: &'static str;

    /// With nothing counted yet. `metrics` has one recorder a process, so two of it count together.
    fn new(clock: Clock) -> Self;

    /// Counts `amount` hits of `endpoint`.
    fn add(&self, endpoint: &str, amount: u64);

    /// All hits that were counted.
    fn total(&self) -> u64;

    /// The bytes that it says it holds.
    fn claims(&self) -> Option<u64> {
        None
    }
}

/// A registry for as many endpoints as any row has.
pub fn registry(strategy: Strategy, clock: Clock) -> Registry {
    let builder = Registry::builder().strategy(strategy).clock(clock).max_endpoints(2_000_000);
    builder.build().expect("the other defaults are valid")
}

macro_rules! by_strategy {
    ($kind:ident, $name:literal, $strategy:expr) => {
        pub struct $kind(pub Registry);

        impl ByName for $kind {
            const NAME: &'static str = $name;

            fn new(clock: Clock) -> Self {
                Self(registry($strategy, clock))
            }

            #[inline]
            fn add(&self, endpoint: &str, amount: u64) {
                let outcome = black_box(self.0.record_hit(endpoint, amount));
                debug_assert!(outcome.is_ok_and(|outcome| outcome.is_counted()), "every hit is counted");
            }

            fn total(&self) -> u64 {
                self.0.metrics().total_hits
            }

            fn claims(&self) -> Option<u64> {
                Some(self.0.metrics().memory_bytes)
            }
        }
    };
}

by_strategy!(Ring, "hitring, ring", Strategy::Ring);
by_strategy!(Adaptive, "hitring, adaptive", Strategy::Adaptive);

/// `DashMap` of atomics, with the name copied only for a new entry.
pub struct Dash(DashMap<String, AtomicU64>);

impl ByName for Dash {
    const NAME: &'static str = "DashMap<String, AtomicU64>";

    fn new(_: Clock) -> Self {
        Self(DashMap::new())
    }

    #[inline]
    fn add(&self, endpoint: &str, amount: u64) {
        if let Some(count) = self.0.get(endpoint) {
            count.fetch_add(amount, Ordering::Relaxed);
        } else {
            self.0.entry(endpoint.to_owned()).or_default().fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|entry| entry.load(Ordering::Relaxed)).sum()
    }
}

/// The `metrics` facade with a label, recorded into the registry that its exporters are built of. A label's value has to
/// be owned, so each call copies the name.
pub struct Metrics;

struct Recorder(Recorded<metrics::Key, AtomicStorage>);

static RECORDER: LazyLock<Recorder> = LazyLock::new(|| Recorder(Recorded::atomic()));

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        self.0.get_or_create_counter(key, |counter| metrics::Counter::from_arc(counter.clone()))
    }

    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        self.0.get_or_create_gauge(key, |gauge| metrics::Gauge::from_arc(gauge.clone()))
    }

    fn register_histogram(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        self.0.get_or_create_histogram(key, |histogram| metrics::Histogram::from_arc(histogram.clone()))
    }
}

impl ByName for Metrics {
    const NAME: &'static str = "metrics, counter! with a label";

    fn new(_: Clock) -> Self {
        // The one recorder of the process; all but the first call find it set.
        let _ = metrics::set_global_recorder(&*RECORDER);
        RECORDER.0.clear();
        Self
    }

    #[inline]
    fn add(&self, endpoint: &str, amount: u64) {
        metrics::counter!("hits", "endpoint" => endpoint.to_owned()).increment(amount);
    }

    fn total(&self) -> u64 {
        let mut total = 0;
        RECORDER.0.visit_counters(|_, count| total += count.load(Ordering::Acquire));
        total
    }
}

/// `prometheus`, asked for the label's counter with each hit.
pub struct Prometheus(pub IntCounterVec);

impl ByName for Prometheus {
    const NAME: &'static str = "prometheus, with_label_values";

    fn new(_: Clock) -> Self {
        let counters = IntCounterVec::new(Opts::new("hits", "Hits by endpoint."), &["endpoint"]);
        Self(counters.expect("a valid name and label"))
    }

    #[inline]
    fn add(&self, endpoint: &str, amount: u64) {
        self.0.with_label_values(&[endpoint]).inc_by(amount);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it tells whole counts as floats")]
    fn total(&self) -> u64 {
        let families = self.0.collect();
        families
            .iter()
            .flat_map(|family| family.get_metric())
            .map(|metric| metric.get_counter().get_value())
            .sum::<f64>() as u64
    }
}
