//! The Python module `hitring._hitring`, which `python/hitring` dresses up: its stub `_hitring.pyi` is the manual.
//!
//! | file | what |
//! |---|---|
//! | `hit_counter` | `HitCounter` |
//! | `clock` | `ManualClock`, `SystemClock` |
//! | `entry`, `fast` | the short way into the methods that are called for every hit |
//! | `batch` | what `record_many` takes |
//! | `time`, `number`, `given` | what a method takes for a time, a span, an amount, an optional argument |
//! | `outcome`, `errors` | the classes that are written in Python |
//! | `program` | the `hitring` program |
//! | `floor` | empty methods to measure against |

mod batch;
mod clock;
mod entry;
mod errors;
mod fast;
mod floor;
mod given;
mod hit_counter;
mod number;
mod outcome;
mod program;
mod time;

use pyo3::prelude::*;

/// The compiled part of hitring; import `hitring` instead.
#[pymodule(gil_used = false)]
fn _hitring(module: &Bound<'_, PyModule>) -> PyResult<()> {
    outcome::import(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<hit_counter::PyHitCounter>()?;
    module.add_class::<clock::PyManualClock>()?;
    module.add_class::<clock::PySystemClock>()?;
    module.add_class::<floor::Floor>()?;
    module.add_class::<floor::FastFloor>()?;
    fast::install(module.py())?;
    module.add_function(wrap_pyfunction!(hit_counter::_restore, module)?)?;
    module.add_function(wrap_pyfunction!(clock::_restore_clock, module)?)?;
    module.add_function(wrap_pyfunction!(program::_run, module)?)
}
