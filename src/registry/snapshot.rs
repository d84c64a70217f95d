//! Snapshots of registries: their contents, as bytes that can be kept, sent and merged.
//!
//! A value that may repeat is written once and referred to by its place in a table, so that an endpoint of two ticks
//! takes about 80 bytes and its name.
//!
//! # Format, version 1
//! The frame is that of `src/cell/frame.rs`, the kind 2. `docs/formats.md` has the same table with an example.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | resolution in microseconds |
//! | 4 + 4 | window in ticks, slack in slots |
//! | 8 | the highest epoch seen |
//! | 16 | the replica that took it (process, sequence) |
//! | 8 | first tick that is known of names without an endpoint |
//! | 4 | bits that choose the register of a visitor |
//! | 4 | number of replicas whose hits came over a fork, and for each: |
//! | 16 | replica |
//! | 4 | number of strategies, and for each: |
//! | 2 + n | length and text; the first is that of new endpoints |
//! | 4 | number of replicas, and for each: |
//! | 16 | replica |
//! | 4 | number of forms, and for each: |
//! | 8 + 8 + 8 | grain in microseconds, slots, grains a slot |
//! | 8 | base of the Morris registers as an IEEE 754 double; 0, cells are counts |
//! | 4 | number of endpoints, and for each, names ascending as bytes: |
//! | 2 + n | length and name |
//! | 8 + 8 | epoch, first tick that is known |
//! | 4 | place of its strategy |
//! | 4 | number of writers, plus 2^31 if visitors were told, and for each writer: |
//! | 4 + 8 | place of its replica, plus 2^31 if it counted in another epoch than the endpoint's; generation |
//! | 8 | that epoch, only if so (in version 1 never) |
//! | 4 | place of its form |
//! | 8 | all-time register, only if the form is of Morris registers |
//! | 4 | number of cells, and for each, ticks ascending: |
//! | 8 + 8 | tick in grains, count or register |
//! | 4 | number of ticks whose hits were dropped for room, and for each, ascending: |
//! | 8 | tick of the resolution |
//! | 4 | only if visitors were told: number of parts in which they came, all time among them, and for each, ascending: |
//! | 8 | number of the part (its first tick / ticks a part) plus 1; 0, all time |
//! | 4 | number of registers, and for each, ascending: |
//! | 4 | index * 64 + value |
//! | 4 | number of removed names, and for each, ascending: |
//! | 2 + n | length and name |
//! | 8 + 8 | the epoch that begins after it, the tick when it was removed |
//! | 4 | number of writers of which hits from that tick on were found, and for each, ascending: (version 1: not told, none) |
//! | 4 + 8 | place of its replica, generation |
//! | 4 | number of ticks with such hits, at least one, and for each, ascending: |
//! | 8 + 8 | tick, number of hits; all bits, all hits of the tick |
//! | 4 | number of totals, and for each, replicas ascending: |
//! | 16 + 40 + 16 | replica; hits counted, late, future, saturated, refused; hits and endpoints pruned |
//!
//! Tests: `tests/registry`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::time::Duration;

use crate::cell::form::{Cell, Form, Measure};
use crate::cell::frame::{In, Kind, Out};
use crate::cell::outcome::Outcomes;
use crate::cell::removal::{FoundHits, Removal, Voids};
use crate::cell::totals::Totals;
use crate::cell::writer::{Replica, Writer};
use crate::counter::copied::hits_of;
use crate::error::SnapshotError;
use crate::sketch::hyperloglog::precision::Precision;
use crate::sketch::morris::Base;
use crate::sketch::uniques::{self, Parts, Seen};
use crate::time::{Resolution, Tick};
use crate::window::geometry::{Geometry, MAX_TICKS};

/// A mark beside the number of an endpoint's writers: visitors follow. Few endpoints have visitors, so 4 bytes each
/// would cost a lot.
const VISITED: u32 = 1 << 31;

/// A mark beside the place of a writer's replica: the epoch in which it counted follows.
const ELSEWHEN: u32 = 1 << 31;

/// The most bytes a name may have.
const MAX_NAME: usize = 1_024;

/// The contents of a registry at one time. See [`Registry::snapshot`](crate::Registry::snapshot).
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrySnapshot {
    pub(crate) resolution: Duration,
    pub(crate) window: Duration,
    pub(crate) slack: u32,
    /// The strategy of new endpoints.
    pub(crate) strategy: String,
    /// The highest epoch seen.
    pub(crate) epoch: u64,
    /// The registry that took it.
    pub(crate) origin: Replica,
    /// Replicas whose hits came over a fork.
    pub(crate) inherited: Vec<Replica>,
    /// The first tick that is known of names without an endpoint.
    pub(crate) forgotten: Tick,
    /// How finely visitors are told apart.
    pub(crate) precision: Precision,
    /// In the order of their names.
    pub(crate) endpoints: Vec<EndpointCells>,
    /// In the order of their names.
    pub(crate) removed: Vec<Removed>,
    pub(crate) totals: BTreeMap<Replica, Totals>,
}

/// The contents of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EndpointCells {
    pub(crate) name: Box<str>,
    pub(crate) epoch: u64,
    /// The first tick that is known.
    pub(crate) forgotten: Tick,
    pub(crate) strategy: String,
    pub(crate) writers: Vec<WriterCells>,
    /// The visitors, ascending.
    pub(crate) seen: Vec<Seen>,
}

/// One writer's cells, in the order of their ticks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WriterCells {
    pub(crate) writer: Writer,
    /// The epoch in which it counted.
    pub(crate) epoch: u64,
    pub(crate) form: Form,
    /// The all-time Morris register, else 0.
    pub(crate) ever: u64,
    pub(crate) cells: Vec<Cell>,
    /// Ticks of the resolution whose hits the writer dropped for room.
    pub(crate) dropped: Vec<Tick>,
}

impl WriterCells {
    /// The newest tick of the resolution that may have a hit.
    pub(crate) fn newest(&self, geometry: &Geometry) -> Tick {
        self.cells.last().map_or(Tick(0), |cell| self.form.ticks(cell.tick, geometry.resolution()).1)
    }
}

impl EndpointCells {
    /// Whether it holds no hits and no visitors.
    pub(crate) fn is_empty(&self) -> bool {
        self.writers.is_empty() && self.seen.is_empty()
    }

    /// The cells in which `removal` leaves hits, with their full counts; adds the hits that it voids beyond those of
    /// `before` to `left_out`.
    ///
    /// Visitors have no writers, and parts of the window instead of ticks. If the endpoint is of a lower epoch, the
    /// parts that begin after the removal stay. A part that the removal cuts is dropped, as its visitors may have come
    /// before.
    pub(crate) fn without_removed(
        &self,
        removal: &Removal,
        before: &Removal,
        resolution: Resolution,
        parts: Parts,
        left_out: &mut u64,
    ) -> Cow<'_, Self> {
        if removal.epoch == 0 {
            return Cow::Borrowed(self);
        }
        let mut kept = self.clone();
        for WriterCells { writer, epoch, form, cells, dropped, .. } in &mut kept.writers {
            let voids = removal.voids(*writer, *epoch);
            let hits = |voids: Voids<'_>| {
                let left = voids.left(cells, *form, resolution);
                hits_of(*form, left.into_iter().map(|cell| cell.count))
            };
            let void = hits(before.voids(*writer, *epoch)).saturating_sub(hits(voids));
            *left_out = left_out.saturating_add(void);
            *cells = voids.kept(cells, *form, resolution);
            dropped.retain(|&tick| tick >= voids.before());
        }
        kept.writers.retain(|cells| !cells.cells.is_empty() || !cells.dropped.is_empty());
        if self.epoch < removal.epoch {
            let from = parts.part(removal.at) + 1;
            kept.seen.retain(|seen| seen.part.is_some_and(|part| part >= from));
            let ever: BTreeSet<Seen> = kept.seen.iter().map(|seen| Seen { part: None, ..*seen }).collect();
            kept.seen.splice(..0, ever);
        }
        Cow::Owned(kept)
    }
}

/// A name that was removed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Removed {
    pub(crate) name: Box<str>,
    pub(crate) removal: Removal,
}

impl RegistrySnapshot {
    /// The width of a tick of the registry.
    #[must_use]
    pub fn resolution(&self) -> Duration {
        self.resolution
    }

    /// The window of the registry.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// How many endpoints it holds.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// The snapshot as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let writers = || self.endpoints.iter().flat_map(|endpoint| &endpoint.writers);
        let own = std::iter::once(&*self.strategy);
        let strategies = Places::of(own.chain(self.endpoints.iter().map(|endpoint| &*endpoint.strategy)));
        let found = self.removed.iter().flat_map(|removed| removed.removal.found.keys());
        let replicas = Places::of(writers().map(|cells| &cells.writer).chain(found).map(|writer| writer.replica));
        let forms = Places::of(writers().map(|cells| FormBits::of(&cells.form)));
        let width = self.resolution.as_nanos().max(1);
        let mut out = Out::new(Kind::Registry);
        out.u64(self.resolution.as_micros() as u64);
        out.u32((self.window.as_nanos() / width) as u32);
        out.u32(self.slack);
        out.u64(self.epoch);
        out.replica(self.origin);
        out.u64(self.forgotten.0);
        out.u32(self.precision.bits().into());
        out.many(self.inherited.len());
        self.inherited.iter().for_each(|&replica| out.replica(replica));
        out.many(strategies.all.len());
        strategies.all.iter().for_each(|strategy| out.text(strategy));
        out.many(replicas.all.len());
        replicas.all.iter().for_each(|&replica| out.replica(replica));
        out.many(forms.all.len());
        for FormBits { grain, slots, grains, base } in &forms.all {
            [grain, slots, grains, base].into_iter().for_each(|&number| out.u64(number));
        }
        out.many(self.endpoints.len());
        for endpoint in &self.endpoints {
            out.text(&endpoint.name);
            out.u64(endpoint.epoch);
            out.u64(endpoint.forgotten.0);
            out.u32(strategies.place(&&*endpoint.strategy));
            let visited = if endpoint.seen.is_empty() { 0 } else { VISITED };
            out.u32(endpoint.writers.len() as u32 | visited);
            for WriterCells { writer, epoch, form, ever, cells, dropped } in &endpoint.writers {
                let elsewhen = *epoch != endpoint.epoch;
                out.u32(replicas.place(&writer.replica) | if elsewhen { ELSEWHEN } else { 0 });
                out.u64(writer.generation);
                if elsewhen {
                    out.u64(*epoch);
                }
                out.u32(forms.place(&FormBits::of(form)));
                if form.measure != Measure::Count {
                    out.u64(*ever);
                }
                out.many(cells.len());
                for cell in cells {
                    out.u64(cell.tick.0);
                    out.u64(cell.count);
                }
                out.many(dropped.len());
                dropped.iter().for_each(|tick| out.u64(tick.0));
            }
            if !endpoint.seen.is_empty() {
                uniques::form::write(&endpoint.seen, &mut out);
            }
        }
        out.many(self.removed.len());
        for Removed { name, removal: Removal { epoch, at, found } } in &self.removed {
            out.text(name);
            out.u64(*epoch);
            out.u64(at.0);
            out.many(found.len());
            for (writer, ticks) in found {
                out.u32(replicas.place(&writer.replica));
                out.u64(writer.generation);
                out.many(ticks.len());
                ticks.iter().for_each(|(tick, &count)| [tick.0, count].into_iter().for_each(|word| out.u64(word)));
            }
        }
        out.many(self.totals.len());
        for (&replica, totals) in &self.totals {
            out.replica(replica);
            totals.outcomes.to_array().into_iter().for_each(|tally| out.u64(tally));
            out.u64(totals.pruned_events);
            out.u64(totals.pruned_endpoints);
        }
        out.finish()
    }

    /// The snapshot that `bytes` hold.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) of this or an older hitring made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (mut from, version) = In::open_any(bytes, Kind::Registry)?;
        let resolution = Resolution::new(Duration::from_micros(from.u64()?)).map_err(|_| invalid("resolution"))?;
        let (window, slack) = (from.u32()?, from.u32()?);
        if !(1..=MAX_TICKS).contains(&window) || slack > MAX_TICKS {
            return Err(invalid("window"));
        }
        let (epoch, origin, forgotten) = (epoch(&mut from)?, from.replica()?, known(&mut from, &resolution)?);
        let bits = from.u32()?;
        let precision =
            u8::try_from(bits).ok().and_then(|bits| Precision::new(bits).ok()).ok_or(invalid("precision"))?;
        let geometry = Geometry::new(resolution, resolution.width() * window, slack).map_err(|_| invalid("window"))?;
        let parts = Parts::new(&geometry, precision);
        let inherited = list(&mut from, 16, In::replica)?;
        let strategies = list(&mut from, 2, |from| from.text())?;
        let strategy = strategies.first().ok_or(invalid("strategy"))?;
        let replicas = list(&mut from, 16, In::replica)?;
        let forms = list(&mut from, 32, |from| form(from, &resolution))?;
        let tables = Tables { version, resolution, parts, strategies: &strategies, replicas: &replicas, forms: &forms };
        let mut endpoints: Vec<EndpointCells> = Vec::new();
        for _ in 0..from.many(27)? {
            let endpoint = tables.endpoint(&mut from)?;
            if endpoints.last().is_some_and(|before| before.name.as_bytes() >= endpoint.name.as_bytes()) {
                return Err(invalid("order of names"));
            }
            endpoints.push(endpoint);
        }
        let mut removed: Vec<Removed> = Vec::new();
        for _ in 0..from.many(18)? {
            let name = name(&mut from)?;
            if removed.last().is_some_and(|before| before.name.as_bytes() >= name.as_bytes()) {
                return Err(invalid("order of names"));
            }
            removed.push(Removed { name, removal: tables.removal(&mut from)? });
        }
        let mut totals = BTreeMap::new();
        for _ in 0..from.many(72)? {
            let replica = from.replica()?;
            if totals.last_key_value().is_some_and(|(&before, _)| before >= replica) {
                return Err(invalid("replica"));
            }
            let mut tally = [0; 5];
            for word in &mut tally {
                *word = from.u64()?;
            }
            let (outcomes, pruned_events) = (Outcomes::from_array(tally), from.u64()?);
            totals.insert(replica, Totals { outcomes, pruned_events, pruned_endpoints: from.u64()? });
        }
        if !from.is_empty() {
            return Err(invalid("length"));
        }
        let strategy = (*strategy).to_owned();
        let (resolution, window) = (resolution.width(), resolution.width() * window);
        Ok(Self {
            resolution,
            window,
            slack,
            strategy,
            epoch,
            origin,
            inherited,
            forgotten,
            precision,
            endpoints,
            removed,
            totals,
        })
    }
}

const fn invalid(what: &'static str) -> SnapshotError {
    SnapshotError::Invalid { what }
}

fn list<'a, T>(
    from: &mut In<'a>,
    least: usize,
    mut item: impl FnMut(&mut In<'a>) -> Result<T, SnapshotError>,
) -> Result<Vec<T>, SnapshotError> {
    (0..from.many(least)?).map(|_| item(from)).collect()
}

fn name(from: &mut In<'_>) -> Result<Box<str>, SnapshotError> {
    let name = from.text()?;
    if (1..=MAX_NAME).contains(&name.len()) { Ok(name.into()) } else { Err(invalid("name")) }
}

fn tick(from: &mut In<'_>, grain: &Resolution) -> Result<Tick, SnapshotError> {
    let tick = Tick(from.u64()?);
    if tick <= grain.last_tick() { Ok(tick) } else { Err(invalid("tick")) }
}

/// The first tick that is known: at most one more than the largest tick.
fn known(from: &mut In<'_>, grain: &Resolution) -> Result<Tick, SnapshotError> {
    let tick = Tick(from.u64()?);
    if tick.0 <= grain.last_tick().0 + 1 { Ok(tick) } else { Err(invalid("tick")) }
}

/// An epoch, which always leaves room for the next one.
fn epoch(from: &mut In<'_>) -> Result<u64, SnapshotError> {
    from.u64().and_then(|epoch| if epoch <= i64::MAX as u64 { Ok(epoch) } else { Err(invalid("epoch")) })
}

/// A form, with the division of its grain.
fn form(from: &mut In<'_>, resolution: &Resolution) -> Result<(Form, Resolution), SnapshotError> {
    let grain = Duration::from_micros(from.u64()?);
    let division = if grain == Resolution::MICROSECOND.width() {
        Resolution::MICROSECOND
    } else {
        Resolution::new(grain).map_err(|_| invalid("grain"))?
    };
    let (slots, grains) = (from.u64()?, from.u64()?);
    if !(1..=4 * u64::from(MAX_TICKS)).contains(&slots) {
        return Err(invalid("number of slots"));
    }
    let micros = resolution.width().as_micros() as u64;
    if grains != 1 && (grain != Resolution::MICROSECOND.width() || grains != micros) {
        return Err(invalid("width of slots"));
    }
    let base = f64::from_bits(from.u64()?);
    let measure = if base.to_bits() == 0 {
        Measure::Count
    } else {
        Measure::Morris { base: Base::new(base).map_err(|_| invalid("base"))?.get() }
    };
    Ok((Form { grain, slots, grains, measure }, division))
}

/// The tables that endpoints refer to.
struct Tables<'a> {
    version: u16,
    resolution: Resolution,
    parts: Parts,
    strategies: &'a [&'a str],
    replicas: &'a [Replica],
    forms: &'a [(Form, Resolution)],
}

impl Tables<'_> {
    fn endpoint(&self, from: &mut In<'_>) -> Result<EndpointCells, SnapshotError> {
        let (name, epoch, forgotten) = (name(from)?, epoch(from)?, known(from, &self.resolution)?);
        let strategy = at(self.strategies, from, "strategy")?.to_owned();
        let mut writers: Vec<WriterCells> = Vec::new();
        let mut known = BTreeSet::new();
        let (number, visited) = from.many_marked(24, VISITED)?;
        for _ in 0..number {
            let cells = self.writer(from, epoch)?;
            if !known.insert(cells.writer) {
                return Err(invalid("writer"));
            }
            writers.push(cells);
        }
        let seen = if visited { uniques::form::read(from, self.parts, &self.resolution)? } else { Vec::new() };
        if visited && seen.is_empty() {
            return Err(invalid("visitors"));
        }
        Ok(EndpointCells { name, epoch, forgotten, strategy, writers, seen })
    }

    fn removal(&self, from: &mut In<'_>) -> Result<Removal, SnapshotError> {
        let (epoch, at) = (epoch(from)?, tick(from, &self.resolution)?);
        let mut found = BTreeMap::new();
        let told = if self.version == 1 { 0 } else { from.many(32)? };
        for _ in 0..told {
            let replica = self::at(self.replicas, from, "replica")?;
            let writer = Writer { replica, generation: from.u64()? };
            let mut ticks = FoundHits::new();
            for _ in 0..from.many(16)? {
                let (tick, count) = (tick(from, &self.resolution)?, from.u64()?);
                let is_next = ticks.last_key_value().is_none_or(|(&before, _)| before < tick);
                if tick < at || !is_next || count == 0 {
                    return Err(invalid("tick of a removal"));
                }
                ticks.insert(tick, count);
            }
            if ticks.is_empty() || found.last_key_value().is_some_and(|(&before, _)| before >= writer) {
                return Err(invalid("writer of a removal"));
            }
            found.insert(writer, ticks);
        }
        Ok(Removal { epoch, at, found })
    }

    fn writer(&self, from: &mut In<'_>, of_endpoint: u64) -> Result<WriterCells, SnapshotError> {
        let marked = from.u32()?;
        let (place, elsewhen) =
            if self.version == 1 { (marked, false) } else { (marked & !ELSEWHEN, marked & ELSEWHEN != 0) };
        let replica = self.replicas.get(place as usize).copied().ok_or(invalid("replica"))?;
        let writer = Writer { replica, generation: from.u64()? };
        let epoch = if elsewhen { epoch(from)? } else { of_endpoint };
        if elsewhen && epoch == of_endpoint {
            return Err(invalid("epoch"));
        }
        let (form, grain) = at(self.forms, from, "form")?;
        let ever = if form.measure == Measure::Count { 0 } else { from.u64()? };
        let mut cells: Vec<Cell> = Vec::new();
        for _ in 0..from.many(16)? {
            let cell = Cell { tick: tick(from, &grain)?, count: from.u64()? };
            if cells.last().is_some_and(|before| before.tick >= cell.tick) {
                return Err(invalid("tick"));
            }
            if cell.count == 0 || cell.count > i64::MAX as u64 {
                return Err(invalid("count"));
            }
            cells.push(cell);
        }
        let mut dropped: Vec<Tick> = Vec::new();
        for _ in 0..from.many(8)? {
            let tick = tick(from, &self.resolution)?;
            if dropped.last().is_some_and(|&before| before >= tick) {
                return Err(invalid("dropped tick"));
            }
            dropped.push(tick);
        }
        Ok(WriterCells { writer, epoch, form, ever, cells, dropped })
    }
}

fn at<T: Copy>(table: &[T], from: &mut In<'_>, what: &'static str) -> Result<T, SnapshotError> {
    table.get(from.u32()? as usize).copied().ok_or(invalid(what))
}

/// A form that can be looked up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FormBits {
    grain: u64,
    slots: u64,
    grains: u64,
    base: u64,
}

impl FormBits {
    fn of(form: &Form) -> Self {
        let base = match form.measure {
            Measure::Count => 0,
            Measure::Morris { base } => base.to_bits(),
        };
        Self { grain: form.grain.as_micros() as u64, slots: form.slots, grains: form.grains, base }
    }
}

/// Values, each written once, and the place of each.
struct Places<T> {
    all: Vec<T>,
    places: std::collections::HashMap<T, u32, foldhash::fast::RandomState>,
}

impl<T: Copy + Eq + Hash> Places<T> {
    fn of(things: impl Iterator<Item = T>) -> Self {
        let mut places = Self { all: Vec::new(), places: std::collections::HashMap::default() };
        for thing in things {
            places.places.entry(thing).or_insert_with(|| {
                places.all.push(thing);
                (places.all.len() - 1) as u32
            });
        }
        places
    }

    fn place(&self, thing: &T) -> u32 {
        self.places[thing]
    }
}
