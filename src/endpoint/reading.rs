//! What an endpoint answers: the cells in line, all generations, and the cells of others, added up.
//!
//! A reader takes `head` first and then the generations behind it. A hit whose call returned before lies in a
//! generation that was in the chain then, and leaves the chain only when it is out of every window.
//!
//! Tests: `tests/registry`, `tests/models/endpoint.rs`.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use super::generation::{Generation, Shared, last_tick};
use super::reach::Reach;
use super::state::{Endpoint, Other, Rare};
use crate::cell::form::{Cell, Form, Measure, in_order};
use crate::cell::hits::{Accuracy, Hits};
use crate::cell::outcome::{Outcome, Outcomes};
use crate::cell::removal::Voids;
use crate::cell::writer::{Replica, Writer};
use crate::counter::Counter;
use crate::counter::copied::Copied;
use crate::counter::query::Query;
use crate::counter::strategy::Strategy;
use crate::error::QueryError;
use crate::sketch::morris::Base;
use crate::sketch::uniques::{Seen, Uniques};
use crate::sync::Mutex;
use crate::time::Tick;
use crate::window::Reading;
use crate::window::geometry::Geometry;

impl Reach<'_> {
    /// The hits of the query.
    ///
    /// # Errors
    /// [`QueryError::WindowExpired`] and [`QueryError::NotWhole`].
    pub fn sum(self, shared: Shared<'_>, query: &Query<'_>) -> Result<Hits, QueryError> {
        let geometry = shared.geometry;
        let mut hits = Hits::NONE;
        if self.is_adaptive() {
            // Even without hits to add up, the query has to be of whole ticks, because cells cannot answer for parts of
            // them.
            let _ = query.ticks()?;
        }
        let (outlived, touched) = (self.outlived().map(Mutex::lock), query.touched());
        // Whether void hits may lie in the span of the query. If so, all cells are read, else the fast path is taken.
        let reach = |voids: Voids<'_>| touched.is_some_and(|span| voids.reach(span.first));
        let voids = |number| outlived.as_ref().map_or(Voids::NONE, |outlived| outlived.of_own(number));
        // Computed once, for all generations.
        let remember = LazyCell::new(|| query.remembers(|| self.newest(shared)));
        // The newest generation first, so that a caller that saw a hit in it and asks again does not miss it.
        for generation in self.generations() {
            let counter = generation.counter();
            let voids = voids(generation.number());
            if reach(voids) {
                let reading = copy_of(counter, geometry).left(voids, geometry.resolution());
                hits = hits.plus(answer(&reading, counter.forgotten(), query, geometry)?);
                continue;
            }
            let Some(span) = query.span(counter)? else { continue };
            let first = if voids.before() == Tick(0) { Tick(0) } else { shared.input(counter, voids.before()) };
            let Some(span) = span.since(first) else { continue };
            let reading = match counter.recall(geometry, span) {
                Some(count) => Reading::exact(count),
                None => counter.sum(geometry, span, *remember),
            };
            if !reading.exact {
                return Err(query.expired());
            }
            hits = hits.plus(Hits::new(reading.count, accuracy(counter)));
        }
        let few = voids(self.first);
        if reach(few) {
            let mut cells = Copied::new(few_form(geometry));
            cells.merge(&in_order(self.in_line().cells(geometry).collect()), &[]);
            hits = hits.plus(answer(&cells.left(few, geometry.resolution()), self.forgotten(), query, geometry)?);
        } else if let Some(span) = touched.and_then(|span| span.since(few.before())) {
            let reading = self.in_line().sum(geometry, span);
            if !reading.exact {
                return Err(query.expired());
            }
            if reading.count > 0 {
                // Cells cannot answer for parts of ticks.
                let _ = query.ticks()?;
                hits = hits.plus(Hits::exact(reading.count));
            }
        }
        match self.others() {
            Some(others) => others.lock().iter().try_fold(hits, |hits, (&writer, Other { epoch, cells })| {
                let voids = outlived.as_ref().map_or(Voids::NONE, |outlived| outlived.of(writer, *epoch));
                let told = if reach(voids) {
                    answer(&cells.left(voids, geometry.resolution()), Tick(0), query, geometry)
                } else {
                    answer(cells, Tick(0), query, geometry)
                };
                Ok(hits.plus(told?))
            }),
            None => Ok(hits),
        }
    }

    /// The newest tick of the resolution that has a hit.
    pub fn newest(self, shared: Shared<'_>) -> Tick {
        let counters = self.generations().map(|g| shared.tick(g.counter(), g.counter().newest(shared.geometry)));
        let own = counters.chain([self.in_line().newest(shared.geometry)]).max().unwrap_or_default();
        let Some(others) = self.others() else { return own };
        let newest = |copied: &Copied| last_tick(copied.form(), copied.newest(), shared.geometry);
        others.lock().values().map(|other| newest(&other.cells)).fold(own, Tick::max)
    }

    /// The outcomes of all hits that were given to this endpoint and are not noted elsewhere.
    pub fn outcomes(self, shared: Shared<'_>) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for cell in self.in_line().cells(shared.geometry) {
            outcomes.add(Outcome::Counted, cell.count);
        }
        self.generations().map(|g| g.counter().outcomes(shared.geometry)).fold(outcomes, Outcomes::plus)
    }

    /// How many cells, timestamps and registers hold something.
    pub fn entries(self, shared: Shared<'_>) -> u64 {
        let own = self.in_line().cells(shared.geometry).count() as u64;
        let own = self.generations().map(|g| g.counter().entries(shared.geometry)).fold(own, u64::saturating_add);
        self.others()
            .map_or(own, |others| own + others.lock().values().map(|other| other.cells.len() as u64).sum::<u64>())
    }

    /// The bytes the endpoint takes, its name and its place in the registry not included.
    pub fn bytes(self) -> usize {
        let generation = |g: &Generation| size_of::<Generation>() - size_of::<Counter>() + g.counter().bytes();
        let own = size_of::<Endpoint>() + self.generations().map(generation).sum::<usize>();
        let Some(rare) = self.rare.get() else { return own };
        let own = own + size_of::<Rare>() - size_of::<Uniques>() + rare.uniques.bytes();
        self.others().map_or(own, |others| own + others.lock().values().map(|other| other.cells.bytes()).sum::<usize>())
    }

    /// Everything that the endpoint holds, generation by generation, its own ones by their numbers.
    pub fn export(self, shared: Shared<'_>) -> Exported {
        let geometry = shared.geometry;
        let own_of = |g: &Generation| Own {
            number: g.number(),
            form: g.counter().form(geometry),
            ever: g.counter().ever(),
            cells: in_order(g.counter().cells(geometry)),
            dropped: g.counter().dropped(),
            forgotten: g.counter().forgotten(),
        };
        let mut own: Vec<Own> = self.generations().map(own_of).collect();
        let few = in_order(self.in_line().cells(geometry).collect());
        if !few.is_empty() {
            let (form, ever, dropped) = (few_form(geometry), 0, Vec::new());
            own.push(Own { number: self.first, form, ever, cells: few, dropped, forgotten: Tick(0) });
        }
        if let Some(outlived) = self.outlived() {
            let (outlived, resolution) = (outlived.lock(), geometry.resolution());
            for own in &mut own {
                let voids = outlived.of_own(own.number);
                own.cells = voids.kept(&own.cells, own.form, resolution);
                own.dropped.retain(|&tick| tick >= voids.before());
            }
        }
        let others = self.others().map(|others| others.lock().clone()).unwrap_or_default();
        let forgotten = own.iter().map(|own| own.forgotten).fold(self.forgotten(), Tick::max);
        let seen = self.uniques().map(Uniques::cells).unwrap_or_default();
        Exported { own, others, seen, forgotten }
    }

    /// The cells of the live generation `number`, if it is this endpoint's.
    pub fn live(self, number: u64, shared: Shared<'_>) -> Option<Vec<Cell>> {
        if number == self.first {
            return Some(in_order(self.in_line().cells(shared.geometry).collect()));
        }
        let generation = self.generations().find(|g| g.number() == number)?;
        Some(in_order(generation.counter().cells(shared.geometry)))
    }
}

impl Endpoint {
    /// The replicas whose cells were merged in.
    pub fn merged_replicas(&self) -> Vec<Replica> {
        let Some(others) = self.others() else { return Vec::new() };
        others.lock().keys().map(|writer| writer.replica).collect()
    }
}

/// The contents of an endpoint.
#[derive(Debug)]
pub struct Exported {
    /// The cells of its own generations.
    pub own: Vec<Own>,
    /// The cells of other writers.
    pub others: BTreeMap<Writer, Other>,
    /// The visitors, of this endpoint and of merged ones.
    pub seen: Vec<Seen>,
    /// The first tick that is known.
    pub forgotten: Tick,
}

/// The contents of a generation.
#[derive(Debug)]
pub struct Own {
    /// The generation.
    pub number: u64,
    /// How the cells are to be read.
    pub form: Form,
    /// The all-time Morris register.
    pub ever: u64,
    /// Its cells, each tick once.
    pub cells: Vec<Cell>,
    /// Ticks whose hits were dropped for room.
    pub dropped: Vec<Tick>,
    forgotten: Tick,
}

/// All cells of a counter.
fn copy_of(counter: &Counter, geometry: &Geometry) -> Copied {
    let mut copy = Copied::new(counter.form(geometry));
    copy.merge(&in_order(counter.cells(geometry)), &counter.dropped());
    copy
}

/// The hits of a query that cells give, if the ticks before `forgotten` are not known.
fn answer(cells: &Copied, forgotten: Tick, query: &Query<'_>, geometry: &Geometry) -> Result<Hits, QueryError> {
    let Some(span) = query.cells(&cells.form())? else { return Ok(Hits::NONE) };
    let reading = cells.sum(span);
    let is_known = forgotten == Tick(0) || query.touched().is_none_or(|span| forgotten <= span.first);
    if !reading.exact || !is_known {
        return Err(query.expired());
    }
    Ok(Hits::new(reading.count, accuracy_of(cells.form(), geometry)))
}

fn few_form(geometry: &Geometry) -> Form {
    let grain = geometry.resolution().width();
    Form { grain, slots: geometry.slots() as u64, grains: 1, measure: Measure::Count }
}

fn accuracy(counter: &Counter) -> Accuracy {
    match counter.strategy() {
        Strategy::Fixed { window_size } => Accuracy::Buckets { window_size },
        Strategy::Morris { base } => Accuracy::Estimate { error: base.error() },
        _ => Accuracy::Exact,
    }
}

fn accuracy_of(form: Form, geometry: &Geometry) -> Accuracy {
    match form.measure {
        Measure::Morris { base } => Accuracy::Estimate { error: Base::new(base).map_or(1.0, Base::error) },
        Measure::Count if form.grain > geometry.resolution().width() => Accuracy::Buckets { window_size: form.grain },
        Measure::Count => Accuracy::Exact,
    }
}
