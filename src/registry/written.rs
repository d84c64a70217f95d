//! [`WrittenCells`]: the cells of a snapshot, for programs that keep them outside a registry.
//!
//! Tests: `tests/registry/bytes.rs`.

use std::time::Duration;

use super::snapshot::RegistrySnapshot;
use crate::cell::form::{Cell, Measure};
use crate::cell::hits::Bucket;
use crate::cell::writer::{Replica, Writer};
use crate::time::{Tick, Timestamp};

/// The hits of one writer in a snapshot. See [`RegistrySnapshot::cells`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct WrittenCells<'a> {
    /// The endpoint.
    pub endpoint: &'a str,
    /// The writer that counted them. Hits of different writers add up. Of one writer and time, the larger number is the
    /// later.
    pub writer: Writer,
    /// How often the name had been removed when they were counted.
    pub epoch: u64,
    /// The length of the time that each cell covers.
    pub width: Duration,
    /// The base of the Morris counter, if the numbers are its registers; `None` if they are counts.
    pub base: Option<f64>,
    cells: &'a [Cell],
}

impl<'a> WrittenCells<'a> {
    /// The number of each cell that has hits, with the beginning of its time, oldest first.
    pub fn numbers(self) -> impl Iterator<Item = Bucket> + use<'a> {
        let start = move |tick: Tick| {
            let nanos = u128::from(tick.0).saturating_mul(self.width.as_nanos());
            let (secs, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            let start = u64::try_from(secs).ok().map(|secs| Duration::new(secs, rest as u32));
            start.and_then(|start| Timestamp::from_duration(start).ok()).unwrap_or(Timestamp::MAX)
        };
        self.cells.iter().map(move |cell| Bucket { start: start(cell.tick), count: cell.count })
    }
}

impl RegistrySnapshot {
    /// The replica under which the snapshot holds the registry's own hits.
    #[must_use]
    pub fn replica(&self) -> Replica {
        self.origin
    }

    /// The cells, endpoint by endpoint in the order of their names, and each writer's hits separately.
    ///
    /// ```
    /// use hitring::{ManualClock, Registry, Timestamp};
    ///
    /// let registry = Registry::builder().clock(ManualClock::new(Timestamp::try_from(1_000u64)?)).build()?;
    /// registry.record_hit("/home", 3)?;
    /// let snapshot = registry.snapshot();
    /// let cells = snapshot.cells().next().expect("one endpoint, one writer");
    /// assert_eq!((cells.endpoint, cells.writer.replica), ("/home", snapshot.replica()));
    /// let hits: Vec<_> = cells.numbers().map(|cell| (cell.start.as_duration().as_secs(), cell.count)).collect();
    /// assert_eq!(hits, [(1_000, 3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cells(&self) -> impl Iterator<Item = WrittenCells<'_>> {
        self.endpoints.iter().flat_map(|of| {
            of.writers.iter().map(|written| WrittenCells {
                endpoint: &of.name,
                writer: written.writer,
                epoch: written.epoch,
                width: written.form.grain,
                base: match written.form.measure {
                    Measure::Count => None,
                    Measure::Morris { base } => Some(base),
                },
                cells: &written.cells,
            })
        })
    }
}
