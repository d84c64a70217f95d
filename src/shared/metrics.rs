//! What a shared registry holds, and how much room is left in its file.
//!
//! Tests: `tests/shared`.

use super::core::Core;
use super::format::layout::{Hot, Layout};
use super::format::sections::Sections;
use crate::counter::strategy::Strategy;
use crate::registry::Metrics;
use crate::sync::Ordering;

/// How much of a file is used. Only `compact` makes used room free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedRoom {
    /// Lives of endpoints that have begun: one for each name, one more after each removal, one for each merged registry and
    /// endpoint.
    pub lives: u64,
    /// How many there is room for.
    pub max_endpoints: u64,
    /// Bytes of names that are used.
    pub name_bytes: u64,
    /// How many there is room for.
    pub max_name_bytes: u64,
    /// Words of visitors that are used.
    pub visitors: u64,
    /// How many there is room for.
    pub max_visitors: u64,
    /// Keys of limiters that there is room for.
    pub max_limits: u64,
    /// The bytes of the file.
    pub file_bytes: u64,
}

impl Core {
    pub fn metrics(&self) -> Metrics {
        let (book, geometry) = (self.book(), self.geometry());
        let totals = book.own_totals().plus(book.known().sum());
        let (mut endpoints_count, mut memory_entries) = (0, 0);
        for life in book.alive() {
            endpoints_count += 1;
            memory_entries += life.row().cells(geometry).count() as u64;
            memory_entries += book.merged(life).map(|other| other.row().cells(geometry).count() as u64).sum::<u64>();
        }
        let [total_hits, late, future, saturated, refused] = totals.outcomes.to_array();
        Metrics {
            total_hits,
            endpoints_count,
            pruned_events: totals.pruned_events,
            pruned_endpoints: totals.pruned_endpoints,
            memory_entries,
            memory_bytes: self.header.layout.words as u64 * 8,
            strategy: Strategy::Ring.to_string(),
            late,
            future,
            saturated,
            refused,
            dropped_events: self.watch.dropped(),
        }
    }

    pub fn room(&self) -> SharedRoom {
        room_of(self.sections(), &self.header.layout)
    }
}

/// How much is used of a file with these sections.
pub fn room_of(sections: Sections<'_>, layout: &Layout) -> SharedRoom {
    SharedRoom {
        lives: sections.lives.begun() as u64,
        max_endpoints: layout.room.endpoints.into(),
        name_bytes: sections.hot(Hot::Names).load(Ordering::Relaxed).saturating_mul(8),
        max_name_bytes: layout.names.len() as u64 * 8,
        visitors: sections.hot(Hot::Visitors).load(Ordering::Relaxed),
        max_visitors: layout.room.visitors,
        max_limits: layout.room.limits,
        file_bytes: layout.words as u64 * 8,
    }
}
