//! Takes cells back that a database has and the file has lost.
//!
//! The cells are merged like those of a snapshot: each under the writer that counted it, and to the larger of the two counts. So
//! cells that are not lost change nothing, and taking the same cells back twice changes nothing.
//!
//! Tests: `tests/store`.

use std::collections::BTreeMap;

use super::exchange::ring_before;
use super::registry::SharedRegistry;
use crate::cell::form::Cell;
use crate::cell::writer::{Replica, Writer};
use crate::counter::strategy::Strategy;
use crate::error::{SharedError, SnapshotError};
use crate::registry::snapshot::{EndpointCells, RegistrySnapshot, WriterCells};
use crate::time::Tick;

/// Hits of an endpoint that one writer counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub endpoint: String,
    pub writer: Writer,
    /// The epoch in which the writer counted.
    pub epoch: u64,
    /// Ticks ascending.
    pub cells: Vec<(Tick, u64)>,
}

impl SharedRegistry {
    /// The first tick for which the rings of the file have a slot.
    pub(crate) fn oldest(&self) -> Tick {
        let core = self.core();
        ring_before(core.times.tick(), core.geometry())
    }

    /// Takes back cells, sorted by endpoint; returns how many endpoints do not fit.
    ///
    /// # Errors
    /// As [`merge`](Self::merge).
    pub(crate) fn take_back(&self, told: &[Told]) -> Result<usize, SharedError> {
        // In an empty file the cells go into the slots of the endpoints themselves, which takes one place for each.
        if self.is_empty() && !told.is_empty() {
            let replica = self.replica();
            let snapshot = RegistrySnapshot { removed: self.snapshot().removed, ..self.snapshot_of(told) };
            match self.restore_if(&snapshot, |core| core.lives().begun() == 0) {
                // The file is in use, or a second file does not fit on the disk. A merge works in both cases.
                Err(_) if self.replica() == replica => {}
                restored => return restored.map(|()| 0),
            }
        }
        let is_no_room = |error: &SharedError| {
            matches!(error, SharedError::Snapshot(SnapshotError::NoRoom { .. } | SnapshotError::NoNameRoom { .. }))
        };
        match self.merge(&self.snapshot_of(told)) {
            Err(error) if is_no_room(&error) => {}
            merged => return merged.map(|_| 0),
        }
        // Some endpoints may fit, so they are merged one by one.
        let mut without_room = 0;
        for told in told.chunk_by(|one, next| one.endpoint == next.endpoint) {
            match self.merge(&self.snapshot_of(told)) {
                Err(error) if is_no_room(&error) => without_room += 1,
                merged => _ = merged?,
            }
        }
        Ok(without_room)
    }

    fn snapshot_of(&self, told: &[Told]) -> RegistrySnapshot {
        let book = self.core().book();
        let (layout, form) = (&book.header.layout, book.form());
        let resolution = layout.geometry.resolution().width();
        let mut endpoints: BTreeMap<&str, EndpointCells> = BTreeMap::new();
        for Told { endpoint, writer, epoch, cells } in told {
            let of = endpoints.entry(endpoint).or_insert_with(|| EndpointCells {
                name: endpoint.as_str().into(),
                epoch: *epoch,
                forgotten: Tick(0),
                strategy: Strategy::Ring.to_string(),
                writers: Vec::new(),
                seen: Vec::new(),
            });
            let cells = cells.iter().map(|&(tick, count)| Cell { tick, count }).collect();
            of.writers.push(WriterCells { writer: *writer, epoch: *epoch, form, ever: 0, cells, dropped: Vec::new() });
        }
        RegistrySnapshot {
            resolution,
            window: resolution * layout.geometry.window(),
            slack: layout.geometry.slack(),
            strategy: Strategy::Ring.to_string(),
            epoch: told.iter().map(|told| told.epoch).max().unwrap_or(0),
            // A fresh replica: the cells belong to several registries.
            origin: Replica::new(),
            inherited: Vec::new(),
            forgotten: Tick(0),
            precision: layout.precision,
            endpoints: endpoints.into_values().collect(),
            removed: Vec::new(),
            totals: BTreeMap::new(),
        }
    }
}
