//! What a call from Python costs when the method does nothing: the floors that the benchmark measures against.
//!
//! | class | its methods are entered |
//! |---|---|
//! | `Floor` | as PyO3 makes them |
//! | `FastFloor` | the short way, by the same code as hitring's own (`src/python/entry.rs`): the harder floor |

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::python::entry::{Fast, Given, put};
use crate::python::number::plain;

/// The files of hitring that the short way is made of.
#[path = "../../../../src/python"]
#[allow(dead_code, reason = "no file is used whole")]
mod python {
    pub mod entry;
    pub mod given;
    pub mod number;
}

macro_rules! floor {
    ($floor:ident) => {
        /// Methods that take what those of `HitCounter` and `Registry` take, and do nothing.
        #[pyclass(frozen)]
        struct $floor;

        #[pymethods]
        impl $floor {
            #[new]
            const fn new() -> Self {
                Self
            }

            /// Take what `HitCounter.hit` takes.
            #[pyo3(signature = (timestamp = None))]
            fn hit(&self, timestamp: Option<i64>) {
                let _ = timestamp;
            }

            /// Take what `HitCounter.getHits` takes.
            #[pyo3(name = "getHits", signature = (timestamp = None))]
            fn get_hits(&self, timestamp: Option<i64>) {
                let _ = timestamp;
            }

            /// Take what `HitCounter.record` takes.
            #[pyo3(signature = (amount = 1))]
            fn record(&self, amount: i64) {
                let _ = amount;
            }

            /// Take what `Registry.record_hit` takes.
            #[pyo3(signature = (endpoint, timestamp = None, amount = 1))]
            fn record_hit(&self, endpoint: &Bound<'_, PyString>, timestamp: Option<i64>, amount: i64) {
                let _ = (endpoint, timestamp, amount);
            }
        }
    };
}

floor!(Floor);
floor!(FastFloor);

macro_rules! fast {
    ($method:ident, $name:literal, $parameters:expr, $given:ident => $usual:expr) => {
        struct $method;

        impl Fast for $method {
            type Class = FastFloor;
            const NAME: &str = $name;
            const PARAMETERS: &[&CStr] = &$parameters;

            fn general() -> &'static PyOnceLock<Py<PyAny>> {
                static GENERAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                &GENERAL
            }

            #[inline(always)]
            fn call<'py>(_: &FastFloor, $given: Given<'_, 'py>, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
                if $usual { Some(py.None().into_bound(py)) } else { None }
            }
        }
    };
}

/// Whether a number was left out, or is an `int` that fits.
#[inline(always)]
fn usual(number: Option<&Bound<'_, PyAny>>) -> bool {
    number.is_none_or(|number| plain(number).is_some())
}

fast!(Hit, "hit", [c"timestamp"], given => usual(given[0]));
fast!(GetHits, "getHits", [c"timestamp"], given => usual(given[0]));
fast!(Record, "record", [c"amount"], given => usual(given[0]));
fast!(RecordHit, "record_hit", [c"endpoint", c"timestamp", c"amount"], given => match given {
    [Some(endpoint), None, None, None] => endpoint.is_exact_instance_of::<PyString>(),
    _ => false,
});

#[pymodule(gil_used = false)]
fn hitring_floor(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Floor>()?;
    module.add_class::<FastFloor>()?;
    put::<Hit>(module.py())?;
    put::<GetHits>(module.py())?;
    put::<Record>(module.py())?;
    put::<RecordHit>(module.py())
}
