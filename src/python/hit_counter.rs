//! `HitCounter`: each method converts, calls and converts.
//!
//! The counter is boxed because Python's allocator aligns to 16 bytes, and the counter's cache lines want more.
//!
//! No call releases the GIL: most are over sooner than that takes, and while it is held no other thread can fork the
//! process in the middle of a locked section. Without a GIL the counter is what keeps threads apart.
//!
//! Tests: `tests/python/unit`.

use std::fmt::Write;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::cell::hits::Bucket;
use crate::cell::outcome::Outcomes;
use crate::counter::strategy::Strategy;
use crate::error::QueryError;
use crate::hit_counter::HitCounter;
use crate::hit_counter::builder::Builder;
use crate::hit_counter::snapshot::Snapshot;
use crate::python::batch::Batch;
use crate::python::bytes;
use crate::python::clock::{clock, deepcopy};
use crate::python::configured::{self, configured, slots};
use crate::python::errors::{self, Class};
use crate::python::given::Given;
use crate::python::hits;
use crate::python::number::or_one;
use crate::python::outcome::{member, tallies};
use crate::python::strategy;
use crate::python::time::{self, seconds};

/// Counts hits, and how many there were in the last `window` seconds.
#[pyclass(frozen, weakref, module = "hitring", name = "HitCounter")]
#[derive(Debug)]
pub struct PyHitCounter {
    pub counter: Box<HitCounter>,
    /// The clock that was given.
    clock: Option<Py<PyAny>>,
}

impl PyHitCounter {
    fn build(py: Python<'_>, builder: Builder, with_clock: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let builder = match &with_clock {
            Some(given) => builder.clock(clock(given)?),
            None => builder,
        };
        let counter = builder.build().map_err(|error| Class::Config.error(py, error))?;
        Ok(Self { counter: Box::new(counter), clock: with_clock.map(Bound::unbind) })
    }

    /// A builder of this counter's configuration, but for the clock.
    fn builder(&self) -> Builder {
        let builder = HitCounter::builder()
            .window(self.counter.window())
            .resolution(self.counter.resolution())
            .slack(self.counter.slack())
            .strategy(self.counter.strategy());
        match self.counter.max_skew() {
            Some(max_skew) => builder.max_skew(max_skew),
            None => builder,
        }
    }

    /// How much of the past is asked for.
    fn last(&self, last: Option<&Bound<'_, PyAny>>) -> PyResult<Duration> {
        configured::last(last, "last", self.counter.window())
    }

    /// Buckets as pairs.
    fn pairs<'py>(
        &self,
        py: Python<'py>,
        buckets: Result<Vec<Bucket>, QueryError>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, u64)>> {
        hits::pairs(py, self.counter.resolution(), answer(py, buckets)?)
    }
}

/// Converts an answer's error.
fn answer<T>(py: Python<'_>, answer: Result<T, QueryError>) -> PyResult<T> {
    answer.map_err(|error| errors::query(py, &error))
}

#[pymethods]
impl PyHitCounter {
    #[new]
    #[pyo3(
        signature = (
            window = Given::NOTHING, *, resolution = Given::NOTHING, slack = Given::NOTHING,
            strategy = Given::NOTHING, max_skew = None, clock = None,
        ),
        text_signature = "(window=300, *, resolution=1, slack=20, strategy='striped', max_skew=None, clock=None)"
    )]
    fn new(
        py: Python<'_>,
        window: Given<'_>,
        resolution: Given<'_>,
        slack: Given<'_>,
        strategy: Given<'_>,
        max_skew: Option<Bound<'_, PyAny>>,
        clock: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut builder = HitCounter::builder();
        if let Some(window) = window.0 {
            builder = builder.window(configured(&window, "window")?);
        }
        if let Some(resolution) = resolution.0 {
            builder = builder.resolution(configured(&resolution, "resolution")?);
        }
        if let Some(given) = slack.0 {
            builder = builder.slack(slots(&given)?);
        }
        if let Some(given) = strategy.0 {
            builder = builder.strategy(strategy::strategy(&given)?);
        }
        if let Some(max_skew) = max_skew {
            builder = builder.max_skew(configured(&max_skew, "max_skew")?);
        }
        Self::build(py, builder, clock)
    }

    /// Count one hit at `timestamp`, or now.
    #[pyo3(signature = (timestamp = None))]
    fn hit(&self, timestamp: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match timestamp {
            Some(at) => self.counter.hit(time::timestamp(at, "timestamp")?),
            None => _ = self.counter.record(1),
        }
        Ok(())
    }

    /// The hits in the window that ends at `timestamp`, or now.
    #[pyo3(name = "getHits", signature = (timestamp = None))]
    fn get_hits(&self, timestamp: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        Ok(match timestamp {
            Some(at) => self.counter.get_hits(time::timestamp(at, "timestamp")?),
            None => self.counter.get_hits_now(),
        })
    }

    /// Count `amount` hits now.
    #[pyo3(signature = (amount = Given::NOTHING), text_signature = "($self, amount=1)")]
    fn record<'py>(&self, py: Python<'py>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        Ok(member(py, self.counter.record(or_one(&amount)?)))
    }

    /// Count `amount` hits at `timestamp`.
    #[pyo3(signature = (timestamp, amount = Given::NOTHING), text_signature = "($self, timestamp, amount=1)")]
    fn record_at<'py>(&self, timestamp: &Bound<'py, PyAny>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        let at = time::timestamp(timestamp, "timestamp")?;
        Ok(member(timestamp.py(), self.counter.record_at(at, or_one(&amount)?)))
    }

    /// Count one hit at each of `timestamps`, or none if one of them is bad.
    fn record_many<'py>(&self, timestamps: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let batch = Batch::read(timestamps)?;
        let mut outcomes = Outcomes::default();
        batch.each(|at| outcomes.add(self.counter.record_at(at, 1), 1));
        tallies(timestamps.py(), outcomes)
    }

    /// The hits of the `last` seconds up to now.
    #[pyo3(signature = (last = None))]
    fn count(&self, py: Python<'_>, last: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        answer(
            py,
            match last {
                Some(_) => self.counter.count_last(self.last(last)?),
                None => self.counter.count(),
            },
        )
    }

    /// The hits of the `last` seconds up to `timestamp`.
    #[pyo3(signature = (timestamp, last = None))]
    fn count_at(&self, timestamp: &Bound<'_, PyAny>, last: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        let at = time::timestamp(timestamp, "timestamp")?;
        answer(timestamp.py(), self.counter.count_at(at, self.last(last)?))
    }

    /// The start and the hits of each tick of the `last` seconds up to now.
    #[pyo3(signature = (last = None))]
    fn buckets<'py>(
        &self,
        py: Python<'py>,
        last: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, u64)>> {
        self.pairs(py, self.counter.buckets(self.last(last)?))
    }

    /// The start and the hits of each tick of the `last` seconds up to `timestamp`.
    #[pyo3(signature = (timestamp, last = None))]
    fn buckets_at<'py>(
        &self,
        timestamp: &Bound<'py, PyAny>,
        last: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, u64)>> {
        let at = time::timestamp(timestamp, "timestamp")?;
        self.pairs(timestamp.py(), self.counter.buckets_at(at, self.last(last)?))
    }

    /// Hits a second over the `last` seconds up to now.
    #[pyo3(signature = (last = None))]
    fn rate(&self, py: Python<'_>, last: Option<&Bound<'_, PyAny>>) -> PyResult<f64> {
        answer(py, self.counter.rate(self.last(last)?))
    }

    /// Hits a second over the `last` seconds up to `timestamp`.
    #[pyo3(signature = (timestamp, last = None))]
    fn rate_at(&self, timestamp: &Bound<'_, PyAny>, last: Option<&Bound<'_, PyAny>>) -> PyResult<f64> {
        let at = time::timestamp(timestamp, "timestamp")?;
        answer(timestamp.py(), self.counter.rate_at(at, self.last(last)?))
    }

    /// What became of all hits so far.
    fn outcomes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        tallies(py, self.counter.outcomes())
    }

    /// Forget all hits.
    fn reset(&self) {
        self.counter.reset();
    }

    /// What the counter holds, as bytes that can be merged into another one.
    fn snapshot<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.counter.snapshot().to_bytes())
    }

    /// Add the hits of another counter's snapshot.
    fn merge(&self, snapshot: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = snapshot.py();
        let bytes = bytes::snapshot(snapshot)?;
        let merged = Snapshot::from_bytes(bytes.as_bytes()).and_then(|snapshot| self.counter.merge(&snapshot));
        merged.map_err(|error| errors::snapshot(py, &error))
    }

    /// The number of slots of a ring.
    #[getter]
    fn slots(&self) -> usize {
        self.counter.slots()
    }

    /// The longest span that can be asked for, in seconds.
    #[getter]
    fn window<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.counter.window())
    }

    /// The width of a tick, in seconds.
    #[getter]
    fn resolution<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.counter.resolution())
    }

    /// How many slots there are beyond the window.
    #[getter]
    fn slack(&self) -> u32 {
        self.counter.slack()
    }

    /// The strategy, by name.
    #[getter]
    fn strategy(&self) -> String {
        strategy::text(&self.counter.strategy())
    }

    /// How far ahead of the clock a hit may be stamped, in seconds; None if that is not checked.
    #[getter]
    fn max_skew<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.counter.max_skew().map(|skew| seconds(py, skew)).transpose()
    }

    /// The clock that was given.
    #[getter]
    fn clock<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.clock.as_ref().map(|clock| clock.bind(py).clone())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let defaults = HitCounter::new();
        let mut repr = format!("HitCounter(window={}", self.window(py)?.repr()?);
        // Writing to a String does not fail.
        if self.counter.resolution() != defaults.resolution() {
            let _ = write!(repr, ", resolution={}", self.resolution(py)?.repr()?);
        }
        if self.slack() != defaults.slack() {
            let _ = write!(repr, ", slack={}", self.slack());
        }
        if self.counter.strategy() != defaults.strategy() {
            let _ = write!(repr, ", strategy='{}'", self.strategy());
        }
        let by_default = self.clock.as_ref().map(|_| self.counter.resolution() * self.counter.slack());
        if let Some(max_skew) = self.counter.max_skew().filter(|&skew| Some(skew) != by_default) {
            let _ = write!(repr, ", max_skew={}", seconds(py, max_skew)?.repr()?);
        }
        if let Some(clock) = &self.clock {
            let _ = write!(repr, ", clock={}", clock.bind(py).repr()?);
        }
        repr.push(')');
        Ok(repr)
    }

    fn __sizeof__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let object: usize = slf.get_type().getattr("__basicsize__")?.extract()?;
        Ok(object + slf.get().counter.memory_bytes())
    }

    /// The same configuration, clock and hits; it counts on by itself.
    fn __copy__(&self, py: Python<'_>) -> Self {
        Self { counter: self.counter.clone(), clock: self.clock.as_ref().map(|clock| clock.clone_ref(py)) }
    }

    /// As `__copy__`, with a copy of the clock.
    fn __deepcopy__(&self, memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = memo.py();
        let copy = Self::build(py, self.builder(), deepcopy(self.clock.as_ref(), memo)?)?;
        copy.counter.merge(&self.counter.snapshot()).map_err(|error| errors::snapshot(py, &error))?;
        Ok(copy)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let resolution = self.counter.resolution();
        // Both are whole numbers of ticks, and not too many for a u32.
        let ticks = |span: Duration| (span.as_nanos() / resolution.as_nanos()) as u32;
        let configuration: Configuration = (
            resolution.as_micros() as u64,
            ticks(self.counter.window()),
            self.slack(),
            self.strategy(),
            self.counter.max_skew().map(ticks),
        );
        let state = (configuration, self.clock(py), self.snapshot(py));
        Ok((py.import("hitring._hitring")?.getattr("_restore")?, state.into_pyobject(py)?))
    }
}

/// What a pickle holds of a counter's configuration: resolution in microseconds, window in ticks, slack, strategy,
/// skew in ticks. No float blurs it.
type Configuration = (u64, u32, u32, String, Option<u32>);

/// The counter that was pickled.
#[pyfunction]
pub fn _restore(
    py: Python<'_>,
    configuration: Configuration,
    clock: Option<Bound<'_, PyAny>>,
    snapshot: &Bound<'_, PyAny>,
) -> PyResult<PyHitCounter> {
    let (resolution, window, slack, strategy, max_skew) = configuration;
    let resolution = Duration::from_micros(resolution);
    let strategy: Strategy = strategy.parse().map_err(|error| Class::Config.error(py, error))?;
    let builder =
        HitCounter::builder().resolution(resolution).window(resolution * window).slack(slack).strategy(strategy);
    let builder = match max_skew {
        Some(max_skew) => builder.max_skew(resolution * max_skew),
        None => builder,
    };
    let restored = PyHitCounter::build(py, builder, clock)?;
    restored.merge(snapshot)?;
    Ok(restored)
}
