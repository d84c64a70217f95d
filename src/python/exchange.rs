//! What leaves a registry and comes into it: copies, pickles, snapshots, files.
//!
//! A pickle is the configuration and a snapshot; unpickling restores it into a registry of its own. So is a deep copy.
//!
//! Tests: `tests/python/unit`.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::error::SnapshotError;
use crate::python::bytes;
use crate::python::clock::clock;
use crate::python::configured;
use crate::python::errors::{self, Class};
use crate::registry::snapshot::RegistrySnapshot;
use crate::registry::{Registry, RegistryBuilder};

/// What a pickle holds of a registry's configuration: resolution in microseconds, window in ticks, slack, strategy, skew in
/// ticks, the most endpoints, what happens when there are as many, how visitors are told apart. No float blurs it.
pub type Configuration = (u64, u32, u32, String, Option<u32>, usize, String, u8);

/// Hands the snapshot that `value` holds to `take`.
pub fn take_in<R>(
    value: &Bound<'_, PyAny>,
    take: impl FnOnce(&RegistrySnapshot) -> Result<R, SnapshotError>,
) -> PyResult<R> {
    let bytes = bytes::snapshot(value)?;
    let taken = RegistrySnapshot::from_bytes(bytes.as_bytes()).and_then(|snapshot| take(&snapshot));
    taken.map_err(|error| errors::snapshot(value.py(), &error))
}

/// Writes a snapshot to the file at `path`. Others go on while the disk works.
pub fn save(py: Python<'_>, registry: &Registry, path: PathBuf) -> PyResult<()> {
    let bytes = registry.snapshot().to_bytes();
    py.detach(|| crate::cell::file::write(&path, &bytes)).map_err(|error| errors::file(&error, &path))
}

/// Restores the snapshot in the file at `path`.
pub fn load(py: Python<'_>, registry: &Registry, path: PathBuf) -> PyResult<()> {
    let bytes = py.detach(|| std::fs::read(&path)).map_err(|error| errors::file(&error, &path))?;
    let taken = RegistrySnapshot::from_bytes(&bytes).and_then(|snapshot| registry.restore(&snapshot));
    taken.map_err(|error| errors::snapshot(py, &error))
}

/// What a pickle is made of.
pub fn reduce<'py>(
    registry: &Registry,
    clock: Option<&Py<PyAny>>,
    py: Python<'py>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
    let resolution = registry.resolution();
    // Both are whole numbers of ticks, and not too many for a u32.
    let ticks = |span: Duration| (span.as_nanos() / resolution.as_nanos()) as u32;
    let configuration: Configuration = (
        resolution.as_micros() as u64,
        ticks(registry.window()),
        registry.slack(),
        registry.strategy().to_text(),
        registry.max_skew().map(ticks),
        registry.max_endpoints(),
        configured::when_full_name(registry.when_full()).to_owned(),
        registry.precision(),
    );
    let snapshot = PyBytes::new(py, &registry.snapshot().to_bytes());
    let state = (configuration, clock.map(|clock| clock.bind(py)), snapshot);
    Ok((py.import("hitring._hitring")?.getattr("_restore_registry")?, state.into_pyobject(py)?))
}

/// The registry that was pickled.
pub fn restored(
    py: Python<'_>,
    configuration: Configuration,
    clock: Option<&Bound<'_, PyAny>>,
    snapshot: &Bound<'_, PyAny>,
) -> PyResult<Registry> {
    let (resolution, window, slack, strategy, max_skew, max_endpoints, when_full, precision) = configuration;
    let resolution = Duration::from_micros(resolution);
    let builder = Registry::builder()
        .resolution(resolution)
        .window(resolution * window)
        .slack(slack)
        .strategy(strategy.parse().map_err(|error| Class::Config.error(py, error))?)
        .max_endpoints(max_endpoints)
        .precision(precision)
        .when_full(configured::when_full(when_full.into_pyobject(py)?.as_any())?);
    let builder = match max_skew {
        Some(max_skew) => builder.max_skew(resolution * max_skew),
        None => builder,
    };
    let restored = build(py, builder, clock)?;
    take_in(snapshot, |snapshot| restored.restore(snapshot))?;
    Ok(restored)
}

/// A copy that uses `clock`.
pub fn copy(py: Python<'_>, registry: &Registry, clock: Option<&Bound<'_, PyAny>>) -> PyResult<Registry> {
    let builder = Registry::builder()
        .window(registry.window())
        .resolution(registry.resolution())
        .slack(registry.slack())
        .strategy(registry.strategy())
        .max_endpoints(registry.max_endpoints())
        .when_full(registry.when_full())
        .precision(registry.precision());
    let builder = match registry.max_skew() {
        Some(max_skew) => builder.max_skew(max_skew),
        None => builder,
    };
    let copy = build(py, builder, clock)?;
    copy.restore(&registry.snapshot()).map_err(|error| errors::snapshot(py, &error))?;
    Ok(copy)
}

/// The registry that `builder` makes with `clock`.
pub fn build(py: Python<'_>, builder: RegistryBuilder, clock: Option<&Bound<'_, PyAny>>) -> PyResult<Registry> {
    let builder = match clock {
        Some(given) => builder.clock(self::clock(given)?),
        None => builder,
    };
    builder.build().map_err(|error| Class::Config.error(py, error))
}
