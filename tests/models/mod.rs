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

mod ids;
mod ring;
mod sliding;
mod slot;
mod striped;
mod table;

use hitring::window::Span;
use hitring::window::geometry::Geometry;
use hitring::window::ring::Ring;
use hitring::{Outcome, Tick};
use std::time::Duration;

/// A ring of `slots` seconds of which the last `window` can be asked for.
fn geometry(window: u32, slots: u32) -> Geometry {
    let second = hitring::Resolution::new(Duration::from_secs(1)).expect("one second is a resolution");
    Geometry::with_slots(second, window, slots - window, slots)
}

fn span(first: u64, to: u64) -> Span {
    Span { first: Tick(first), to: Tick(to) }
}

/// Counts as `HitCounter` does: the short way if there is one, else the long one.
fn record(ring: &Ring, tick: u64, amount: u64) -> Outcome {
    if ring.record_current(Tick(tick), amount) { Outcome::Counted } else { ring.record(Tick(tick), amount) }
}
