//! Snapshots: what a counter holds, as bytes that can be kept, sent and merged.
//!
//! A snapshot holds the absolute count of every tick, under the writer that counted it, and the tallies of outcomes. All of it only
//! grows, so merging is taking the larger value, and merging again changes nothing.
//!
//! # Format, version 1
//! The frame is that of `src/cell/frame.rs`, the kind 1. `docs/formats.md` has the same table.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | resolution in microseconds |
//! | 4 | window in ticks |
//! | 4 | slack in slots |
//! | 4 | grain: 0, cells are by tick; 1, cells are by microsecond |
//! | 8 | epoch |
//! | 4 | number of writers whose hits came over a fork, and for each: |
//! | 24 | replica (process, sequence) and generation |
//! | 4 | number of writers, and for each: |
//! | 24 | replica (process, sequence) and generation |
//! | 4 | slots of the writer's ring |
//! | 4 | number of cells, and for each: |
//! | 16 | tick, count; ticks ascend |
//! | 4 | number of ticks of the resolution whose hits were dropped for room, and for each: |
//! | 8 | tick; ticks ascend |
//! | 4 | number of tallies, and for each: |
//! | 16 + 40 | replica; hits counted, late, future, saturated, refused |
//!
//! Tests: `tests/conformance`, `tests/merge`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cell::form::Cell;
use crate::cell::frame::{In, Kind, Out};
use crate::cell::outcome::Outcomes;
use crate::cell::writer::{Replica, Writer};
use crate::error::SnapshotError;
use crate::time::{Resolution, Tick};
use crate::window::geometry::MAX_TICKS;

/// What a counter held at one time. See [`HitCounter::snapshot`](crate::HitCounter::snapshot).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub(crate) resolution: Duration,
    /// The width of the ticks that cells are given in.
    pub(crate) grain: Duration,
    pub(crate) window: Duration,
    pub(crate) slack: u32,
    pub(crate) epoch: u64,
    /// Writers whose hits are among those of the first one, over a fork.
    pub(crate) inherited: Vec<Writer>,
    pub(crate) cells: Vec<Cells>,
    pub(crate) tallies: BTreeMap<Replica, Outcomes>,
}

/// One writer's cells, in the order of their ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    pub(crate) writer: Writer,
    /// The slots of the writer's ring: a tick is gone once its slot has a newer one.
    pub(crate) slots: u64,
    pub(crate) cells: Vec<Cell>,
    /// Ticks of the resolution whose hits the writer dropped for room.
    pub(crate) dropped: Vec<Tick>,
}

impl Snapshot {
    /// The width of a tick of the counter.
    #[must_use]
    pub fn resolution(&self) -> Duration {
        self.resolution
    }

    /// The window of the counter.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// How many hits it holds, all ticks and writers together.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.cells.iter().flat_map(|c| &c.cells).fold(0, |sum, cell| sum.saturating_add(cell.count))
    }

    /// The snapshot as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let width = self.resolution.as_nanos().max(1);
        let mut out = Out::new(Kind::Counter);
        out.u64(self.resolution.as_micros() as u64);
        out.u32((self.window.as_nanos() / width) as u32);
        out.u32(self.slack);
        out.u32(u32::from(self.grain != self.resolution));
        out.u64(self.epoch);
        out.many(self.inherited.len());
        for writer in &self.inherited {
            out.writer(*writer);
        }
        out.many(self.cells.len());
        for Cells { writer, slots, cells, dropped } in &self.cells {
            out.writer(*writer);
            out.u32(*slots as u32);
            out.many(cells.len());
            for cell in cells {
                out.u64(cell.tick.0);
                out.u64(cell.count);
            }
            out.many(dropped.len());
            for tick in dropped {
                out.u64(tick.0);
            }
        }
        out.many(self.tallies.len());
        for (&replica, tally) in &self.tallies {
            out.replica(replica);
            for tally in tally.to_array() {
                out.u64(tally);
            }
        }
        out.finish()
    }

    /// The snapshot that `bytes` hold.
    ///
    /// # Errors
    /// [`SnapshotError`] unless `bytes` are exactly what [`to_bytes`](Self::to_bytes) of this or an older hitring made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut from = In::open(bytes, Kind::Counter)?;
        let invalid = |what| SnapshotError::Invalid { what };
        let resolution = Resolution::new(Duration::from_micros(from.u64()?)).map_err(|_| invalid("resolution"))?;
        let window = from.u32()?;
        let slack = from.u32()?;
        if !(1..=MAX_TICKS).contains(&window) || slack > MAX_TICKS {
            return Err(invalid("window"));
        }
        let grain = match from.u32()? {
            0 => resolution,
            1 => Resolution::MICROSECOND,
            _ => return Err(invalid("grain")),
        };
        let epoch = from.u64()?;
        let mut writers = BTreeSet::new();
        let mut inherited = Vec::new();
        for _ in 0..from.many(24)? {
            let writer = from.writer()?;
            if !writers.insert(writer) {
                return Err(invalid("writer"));
            }
            inherited.push(writer);
        }
        let mut cells = Vec::new();
        writers.clear();
        for _ in 0..from.u32()? {
            let writer = from.writer()?;
            if !writers.insert(writer) {
                return Err(invalid("writer"));
            }
            let slots = u64::from(from.u32()?);
            if !(u64::from(window)..=2 * u64::from(MAX_TICKS) + 1).contains(&slots) {
                return Err(invalid("number of slots"));
            }
            let mut of_writer: Vec<Cell> = Vec::new();
            for _ in 0..from.u32()? {
                let cell = Cell { tick: Tick(from.u64()?), count: from.u64()? };
                if cell.tick > grain.last_tick() || of_writer.last().is_some_and(|before| before.tick >= cell.tick) {
                    return Err(invalid("tick"));
                }
                if cell.count == 0 || cell.count > i64::MAX as u64 {
                    return Err(invalid("count"));
                }
                of_writer.push(cell);
            }
            let mut dropped: Vec<Tick> = Vec::new();
            for _ in 0..from.u32()? {
                let tick = Tick(from.u64()?);
                if tick > resolution.last_tick() || dropped.last().is_some_and(|&before| before >= tick) {
                    return Err(invalid("dropped tick"));
                }
                dropped.push(tick);
            }
            cells.push(Cells { writer, slots, cells: of_writer, dropped });
        }
        let mut tallies = BTreeMap::new();
        for _ in 0..from.u32()? {
            let replica = from.replica()?;
            if tallies.last_key_value().is_some_and(|(&before, _)| before >= replica) {
                return Err(invalid("replica"));
            }
            let mut tally = [0; 5];
            for word in &mut tally {
                *word = from.u64()?;
            }
            tallies.insert(replica, Outcomes::from_array(tally));
        }
        if !from.is_empty() {
            return Err(invalid("length"));
        }
        let (resolution, grain) = (resolution.width(), grain.width());
        Ok(Self { resolution, grain, window: resolution * window, slack, epoch, inherited, cells, tallies })
    }
}
