//! Models of every protocol, each with the faults that it must find.
//!
//! The same models run under two explorers (`tests/loom.rs`, `tests/shuttle.rs`), which give `crate::explorer`:
//! `check` explores a model, `fails` explores it with a mutant switched on and demands that it fails with the message
//! of the property, `spawn` starts a model thread.
//!
//! Rules that keep a model from being falsely green:
//! * rings are small (3 or 4 slots), and their slots hold hits of an older lap before the threads start: on empty slots
//!   broken designs pass;
//! * readers are spawned last, and the model's own thread only waits for the others;
//! * `spawn` stores to a word of its own before the thread's first load (loom issues 166 and 392: without, executions
//!   are skipped).

mod endpoint;
#[cfg(target_os = "linux")]
mod finds;
mod g_counter;
mod hyperloglog;
mod ids;
mod limit;
mod morris;
#[cfg(target_os = "linux")]
mod others;
mod promises;
mod reclamation;
mod remembered;
mod reservoir;
mod ring;
#[cfg(target_os = "linux")]
mod shared;
mod shared_limit;
mod sliding;
mod slot;
mod sparse;
mod striped;
mod table;
mod uniques;

use hitring::cell::form::Cell;
use hitring::window::geometry::Geometry;
use hitring::window::{Reading, Span};
use hitring::{Outcome, Outcomes, Tick};
use std::time::Duration;

/// A ring of `slots` seconds of which the last `window` can be asked for.
fn geometry(window: u32, slots: u32) -> Geometry {
    let second = hitring::Resolution::new(Duration::from_secs(1)).expect("one second is a resolution");
    Geometry::with_slots(second, window, slots - window, slots)
}

fn span(first: u64, to: u64) -> Span {
    Span { first: Tick(first), to: Tick(to) }
}

/// A ring with its layout.
struct Ring {
    geometry: Geometry,
    ring: hitring::window::ring::Ring,
}

impl Ring {
    fn new(geometry: Geometry) -> Self {
        Self { geometry, ring: hitring::window::ring::Ring::new(&geometry) }
    }

    fn record(&self, tick: Tick, amount: u64) -> Outcome {
        self.ring.record(&self.geometry, tick, amount)
    }

    fn sum(&self, span: Span, remember: bool) -> Reading {
        self.ring.sum(&self.geometry, span, remember)
    }

    fn recall(&self, span: Span) -> Option<u64> {
        self.ring.recall(&self.geometry, span)
    }

    fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.ring.cells(&self.geometry)
    }

    fn outcomes(&self) -> Outcomes {
        self.ring.outcomes(&self.geometry)
    }

    fn reset(&self) {
        self.ring.reset(&self.geometry);
    }
}

/// Stripes with their layout.
struct Striped {
    geometry: Geometry,
    striped: hitring::window::striped::Striped,
}

impl Striped {
    fn new(geometry: Geometry) -> Self {
        Self { geometry, striped: hitring::window::striped::Striped::new() }
    }

    fn record(&self, tick: Tick, amount: u64) -> Outcome {
        self.striped.record(&self.geometry, tick, amount)
    }

    fn record_as(&self, id: usize, tick: Tick, amount: u64) -> Outcome {
        self.striped.record_as(&self.geometry, id, tick, amount)
    }

    fn sum(&self, span: Span, remember: bool) -> Reading {
        self.striped.sum(&self.geometry, span, remember)
    }

    fn recall(&self, span: Span) -> Option<u64> {
        self.striped.recall(&self.geometry, span)
    }

    fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.striped.cells(&self.geometry)
    }

    fn outcomes(&self) -> Outcomes {
        self.striped.outcomes(&self.geometry)
    }

    fn reset(&self) {
        self.striped.reset(&self.geometry);
    }
}

/// Counts as `HitCounter` does: the short way if there is one, else the long one.
fn record(ring: &Ring, tick: u64, amount: u64) -> Outcome {
    if ring.ring.record_current(&ring.geometry, Tick(tick), amount) {
        Outcome::Counted
    } else {
        ring.record(Tick(tick), amount)
    }
}
