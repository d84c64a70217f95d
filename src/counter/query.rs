//! When a hit happened and what a query is about, in the ticks of whichever strategy asks.
//!
//! Tests: `tests/conformance`.

use std::time::Duration;

use crate::cell::form::Form;
use crate::counter::Counter;
use crate::error::QueryError;
use crate::time::clock::{Clock, TickClock};
use crate::time::{Resolution, Tick, Timestamp};
use crate::window::Span;
use crate::window::geometry::Geometry;

/// The clock of a registry, in ticks of its resolution and in microseconds.
#[derive(Debug)]
pub struct Times {
    ticks: TickClock,
    micros: TickClock,
    /// Whether hits with timestamps of their own are held against the clock.
    guarded: bool,
}

impl Times {
    /// The times of `clock`, which may step back by `skew` (a whole number of ticks) before ticks follow it.
    pub fn new(clock: &Clock, resolution: Resolution, skew: Duration, guarded: bool) -> Self {
        let ticks = |grain: Resolution| TickClock::new(clock.clone(), grain, grain.ticks(skew).unwrap_or_default());
        Self { ticks: ticks(resolution), micros: ticks(Resolution::MICROSECOND), guarded }
    }

    /// The same times for another registry.
    pub fn copy(&self) -> Self {
        Self { ticks: self.ticks.copy(), micros: self.micros.copy(), guarded: self.guarded }
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        self.ticks.clock()
    }

    /// Whether hits with timestamps of their own are held against the clock.
    pub fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// How many ticks a hit may lie ahead of the clock.
    pub fn skew(&self) -> u64 {
        self.ticks.skew()
    }

    /// The tick now.
    #[inline(always)]
    pub fn tick(&self) -> Tick {
        self.ticks.now()
    }

    /// Now, when the tick is `tick`.
    pub fn now(&self, tick: Tick) -> When<'_> {
        When { times: self, at: None, tick }
    }

    /// At `at`.
    pub fn at(&self, at: Timestamp) -> When<'_> {
        When { times: self, at: Some(at), tick: self.ticks.tick(at) }
    }
}

/// A point in time.
#[derive(Clone, Copy, Debug)]
pub struct When<'a> {
    times: &'a Times,
    /// `None` is now.
    at: Option<Timestamp>,
    tick: Tick,
}

impl When<'_> {
    /// The tick of the resolution.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// The microsecond. Only counters that keep exact times ask the clock for it.
    pub fn micros(&self) -> Tick {
        self.at.map_or_else(|| self.times.micros.now(), |at| self.times.micros.tick(at))
    }

    /// The time, as exactly as it is known.
    pub fn timestamp(&self) -> Timestamp {
        self.at.unwrap_or_else(|| self.times.clock().now())
    }

    /// In the ticks that `counter` is given.
    pub fn input(&self, counter: &Counter) -> Tick {
        if counter.is_exact_to_the_microsecond() { self.micros() } else { self.tick }
    }

    /// Whether a hit then lies further ahead of the clock than is believed.
    pub fn is_future(&self) -> bool {
        self.times.guarded && self.at.is_some() && self.tick.0 > self.times.tick().0.saturating_add(self.times.skew())
    }

    /// Whether a query then may leave a sum behind for the next one, in a counter whose newest hit is at `newest`.
    pub fn is_past(&self, newest: impl FnOnce() -> Tick) -> bool {
        self.at.is_none() || self.tick <= if self.times.guarded { self.times.tick() } else { Tick(newest().0 + 1) }
    }
}

/// The hits in `(when - last, when]`.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The end of the span.
    pub when: When<'a>,
    last: Duration,
    resolution: Resolution,
    /// `last` in ticks of the resolution, if it is a whole number of them.
    ticks: Option<u64>,
    remember: bool,
}

impl<'a> Query<'a> {
    /// # Errors
    /// [`QueryError::LongerThanWindow`]. Whether `last` is whole depends on the strategy, and is said when it is asked.
    pub fn new(when: When<'a>, last: Duration, geometry: &Geometry) -> Result<Self, QueryError> {
        let resolution = geometry.resolution();
        let window = resolution.width() * geometry.window();
        if last > window {
            return Err(QueryError::LongerThanWindow { last, window });
        }
        Ok(Self { when, last, resolution, ticks: resolution.ticks(last), remember: true })
    }

    /// The same, of every endpoint in turn: no sum is kept for another query of one endpoint.
    pub fn of_all(self) -> Self {
        Self { remember: false, ..self }
    }

    /// Whether a sum may be kept for the next query.
    pub fn remembers(&self, newest: impl FnOnce() -> Tick) -> bool {
        self.remember && self.when.is_past(newest)
    }

    /// The span in ticks of the resolution; `None` if it is empty.
    pub fn ticks(&self) -> Result<Option<Span>, QueryError> {
        let ticks = self.ticks.ok_or(QueryError::NotWhole { last: self.last, resolution: self.resolution.width() })?;
        Ok(Span::ending(self.when.tick(), ticks))
    }

    /// # Errors
    /// [`QueryError::NotWhole`] if a counter that is given times to the microsecond, or else one that is not, could not be
    /// asked.
    pub fn check(&self, exact_to_the_microsecond: bool) -> Result<(), QueryError> {
        if exact_to_the_microsecond { self.micros().map(drop) } else { self.ticks().map(drop) }
    }

    /// The span in ticks of the resolution, widened to whole ticks.
    pub fn touched(&self) -> Option<Span> {
        let width = self.resolution.width().as_nanos();
        let ticks = self.last.as_nanos().div_ceil(width);
        Span::ending(self.when.tick(), ticks as u64)
    }

    fn micros(&self) -> Result<Option<Span>, QueryError> {
        let micros = Resolution::MICROSECOND;
        let last =
            micros.ticks(self.last).ok_or(QueryError::NotWhole { last: self.last, resolution: micros.width() })?;
        Ok(Span::ending(self.when.micros(), last))
    }

    /// The span in the ticks that `counter` is given.
    pub fn span(&self, counter: &Counter) -> Result<Option<Span>, QueryError> {
        if counter.is_exact_to_the_microsecond() { self.micros() } else { self.ticks() }
    }

    /// The span in the grain of cells of `form`.
    pub fn cells(&self, form: &Form) -> Result<Option<Span>, QueryError> {
        if form.grain == self.resolution.width() {
            return self.ticks();
        }
        if form.grain < self.resolution.width() {
            return self.micros();
        }
        let buckets = (form.grain.as_nanos() / self.resolution.width().as_nanos()) as u64;
        Ok(self.ticks()?.map(|span| Span { first: Tick(span.first.0 / buckets), to: Tick(span.to.0 / buckets) }))
    }

    /// The error for a query that cannot be answered exactly.
    pub fn expired(&self) -> QueryError {
        let at = self.when.at.unwrap_or_else(|| self.resolution.start(self.when.tick));
        QueryError::WindowExpired { at, last: self.last }
    }
}
