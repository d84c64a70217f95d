//! `Marks`, and what `SharedRegistry.changed` tells.
//!
//! Tests: `tests/python/unit/test_shared.py`.

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::cell::hits::Bucket;
use crate::cell::writer::{Replica, Writer};
use crate::python::hits::pairs;
use crate::python::written;
use crate::shared::{Marks, SharedRegistry};
use crate::sync::Mutex;
use crate::time::{Resolution, Tick, Timestamp};

/// What was told of a registry. Its lock is held for moments only, and not while the GIL is released: a fork finds it free.
#[pyclass(frozen, module = "hitring", name = "Marks")]
#[derive(Debug)]
pub struct PyMarks(Mutex<Marks>);

#[pymethods]
impl PyMarks {
    #[new]
    fn new() -> Self {
        Self(Mutex::new(Marks::new()))
    }

    /// Let everything be told once more.
    fn forget(&self) {
        self.0.lock().forget();
    }
}

/// A replica as text.
pub fn replica_text(replica: Replica) -> String {
    let Replica { process, sequence } = replica;
    format!("{process:016x}{sequence:016x}")
}

fn writer_text(writer: Writer) -> String {
    format!("{}-{}", replica_text(writer.replica), writer.generation)
}

/// What has changed in `registry` since `marks`, in ticks from `since` on.
pub fn changed<'py>(
    py: Python<'py>,
    registry: &SharedRegistry,
    marks: &PyMarks,
    since: Option<Timestamp>,
) -> PyResult<Bound<'py, PyList>> {
    let width = registry.resolution();
    let resolution = Resolution::new(width).expect("a registry has a resolution");
    let since = since.map_or(Tick(0), |since| resolution.tick(since));
    // If two threads ask at once, the second one finds empty marks and gets everything again.
    let mut known = std::mem::take(&mut *marks.0.lock());
    let told = py.detach(|| {
        let mut told = Vec::new();
        registry.changed(&mut known, since, |changed| {
            let bucket = |&(tick, count): &(Tick, u64)| Bucket { start: resolution.start(tick), count };
            let buckets: Vec<Bucket> = changed.cells.iter().map(bucket).collect();
            let (writer, endpoint) = (writer_text(changed.writer), changed.endpoint.to_owned());
            told.push((endpoint, writer, changed.epoch, changed.total, buckets));
        });
        told
    });
    *marks.0.lock() = known;
    let class = written::CHANGED.get(py)?;
    let told = told.into_iter().map(|(endpoint, writer, epoch, total, buckets)| {
        class.call1((endpoint, writer, epoch, total, pairs(py, width, buckets)?))
    });
    PyList::new(py, told.collect::<PyResult<Vec<_>>>()?)
}
