//! The Python module `hitring._hitring`, which `python/hitring` dresses up: its stub `_hitring.pyi` is the manual.
//!
//! | file | what |
//! |---|---|
//! | `hit_counter` | `HitCounter` |
//! | `registry`, `exchange` | `Registry`; its copies, pickles and snapshots |
//! | `counter` | `Counter`, a registry's handle |
//! | `strategy` | `Strategy` |
//! | `hyperloglog`, `g_counter`, `morris`, `reservoir`, `bottom_k`, `top_k` | the classes of these names; `sketch`: what they have in common; `restore`: their pickles |
//! | `registries`, `registry_methods` | what the faces of both registries have in common: a trait, and the methods |
//! | `events` | what a subscription's thread waits for |
//! | `windowed_uniques` | `WindowedUniques` |
//! | `shared`, `shared_handles` | `SharedRegistry`, `compact`; `SharedCounter`, `SharedLimiter` |
//! | `limiter` | `Limiter`, `KeyedLimiter`, `Decision` |
//! | `clock` | `ManualClock`, `SystemClock` |
//! | `entry`, `fast` | the short way into the methods that are called for every hit |
//! | `batch` | what `record_many` takes |
//! | `time`, `number`, `endpoint`, `item`, `bytes`, `given` | what a method takes for a time, an amount, a name, an item, a snapshot, an optional argument |
//! | `configured` | what counters, registries and sketches are built with |
//! | `outcome`, `hits`, `errors` | the classes that are written in Python |
//! | `program` | the `hitring` program |
//!
//! Tests: `tests/python/unit`.

// A file imports only from files that stand above it here.

// What a method takes.
mod given;
mod written;
mod number;
mod errors;
mod bytes;
mod endpoint;
mod item;
mod time;
mod batch;
mod configured;
mod clock;
mod strategy;

// What it answers.
mod decision;
mod hits;
mod outcome;

// The classes.
mod hit_counter;
mod limiter;
mod windowed_uniques;
mod sketch;
mod bottom_k;
mod g_counter;
mod hyperloglog;
mod morris;
mod reservoir;
mod top_k;
mod restore;
mod registries;
mod events;
mod counter;
mod exchange;
mod registry_methods;
mod registry;
#[cfg(target_os = "linux")]
mod shared_handles;
#[cfg(target_os = "linux")]
mod changed;
#[cfg(target_os = "linux")]
mod shared;

// The short way into their methods.
mod entry;
mod fast;

mod program;

use pyo3::prelude::*;

/// The compiled part of hitring; import `hitring` instead.
#[pymodule(gil_used = false)]
fn _hitring(module: &Bound<'_, PyModule>) -> PyResult<()> {
    outcome::import(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    endpoint::import(module.py());
    module.add_class::<hit_counter::PyHitCounter>()?;
    module.add_class::<registry::PyRegistry>()?;
    module.add_class::<counter::PyCounter>()?;
    module.add_class::<strategy::PyStrategy>()?;
    module.add_class::<hyperloglog::PyHyperLogLog>()?;
    module.add_class::<g_counter::PyGCounter>()?;
    module.add_class::<morris::PyMorris>()?;
    module.add_class::<reservoir::PyReservoir>()?;
    module.add_class::<bottom_k::PyBottomK>()?;
    module.add_class::<top_k::PyTopK>()?;
    module.add_class::<windowed_uniques::PyWindowedUniques>()?;
    module.add_class::<limiter::PyLimiter>()?;
    module.add_class::<limiter::PyKeyedLimiter>()?;
    module.add_class::<decision::PyDecision>()?;
    #[cfg(target_os = "linux")]
    {
        module.add_class::<shared::PySharedRegistry>()?;
        module.add_class::<changed::PyMarks>()?;
        module.add_class::<shared_handles::PySharedCounter>()?;
        module.add_class::<shared_handles::PySharedLimiter>()?;
        module.add_function(wrap_pyfunction!(shared::_open_shared, module)?)?;
        module.add_function(wrap_pyfunction!(shared::compact, module)?)?;
    }
    module.add_class::<events::Listener>()?;
    module.add_class::<clock::PyManualClock>()?;
    module.add_class::<clock::PySystemClock>()?;
    fast::install(module.py())?;
    module.add_function(wrap_pyfunction!(hit_counter::_restore, module)?)?;
    module.add_function(wrap_pyfunction!(registry::default_registry, module)?)?;
    module.add_function(wrap_pyfunction!(registry::_restore_registry, module)?)?;
    module.add_function(wrap_pyfunction!(strategy::_restore_strategy, module)?)?;
    module.add_function(wrap_pyfunction!(clock::_restore_clock, module)?)?;
    module.add_function(wrap_pyfunction!(decision::_restore_decision, module)?)?;
    module.add_function(wrap_pyfunction!(restore::_restore_sketch, module)?)?;
    module.add_function(wrap_pyfunction!(windowed_uniques::_restore_uniques, module)?)?;
    module.add_function(wrap_pyfunction!(written::_look_up, module)?)?;
    module.add_function(wrap_pyfunction!(program::_run, module)?)
}
