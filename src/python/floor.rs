//! What a call from Python costs when the method does nothing: the floors that the benchmarks measure against.
//!
//! | class | its methods are entered |
//! |---|---|
//! | `_Floor` | as PyO3 makes them |
//! | `_FastFloor` | the short way, as `HitCounter`'s own (see `fast`): the harder floor |

use pyo3::prelude::*;
use pyo3::types::PyString;

macro_rules! floor {
    ($floor:ident, $name:literal) => {
        /// Methods that take what those of `HitCounter` and `Registry` take, and do nothing.
        #[pyclass(frozen, module = "hitring._hitring", name = $name)]
        #[derive(Debug)]
        pub struct $floor;

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

floor!(Floor, "_Floor");
floor!(FastFloor, "_FastFloor");
