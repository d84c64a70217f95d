//! `SharedRegistry`: each method converts, calls and converts.
//!
//! What may wait for another process (opening, merging, compacting) and for the disk releases the GIL, but for restoring. Nothing
//! of the process is locked meanwhile that a forked child would need.
//!
//! Tests: `tests/python/integration/test_shared_processes.py`, `tests/python/unit/test_shared.py`.

use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::error::{EndpointError, QueryError, SharedError};
use crate::python::bytes;
use crate::python::changed::{self, PyMarks};
use crate::python::clock::clock;
use crate::python::configured::{configured, number, slots, span_of, within};
use crate::python::endpoint::{name, text};
use crate::python::errors::{self, Class};
use crate::python::events;
use crate::python::given::Given;
use crate::python::hits;
use crate::python::limiter::{Parts, when_full};
use crate::python::number::type_name;
use crate::python::registries::Face;
use crate::python::registry_methods::{self, methods};
use crate::python::shared_handles::{PySharedCounter, PySharedLimiter};
use crate::python::time::{self, seconds};
use crate::python::written;
use crate::registry::snapshot::RegistrySnapshot;
use crate::shared::{SharedBuilder, SharedRegistry, Wanted};
use crate::sketch::hyperloglog::precision::Precision;

/// A registry in a file that processes share.
#[pyclass(frozen, weakref, module = "hitring", name = "SharedRegistry")]
#[derive(Debug)]
pub struct PySharedRegistry {
    pub registry: SharedRegistry,
    /// The clock that was given.
    clock: Option<Py<PyAny>>,
    /// The relative standard error of visitors' estimates.
    error: f64,
}

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Create,
    Open,
    Read,
}

fn mode(value: Option<&Bound<'_, PyAny>>) -> PyResult<Mode> {
    let Some(value) = value else { return Ok(Mode::Create) };
    let Ok(text) = value.cast::<PyString>() else {
        let given = type_name(value);
        return Err(PyTypeError::new_err(format!("mode must be 'create', 'open' or 'read', not {given}")));
    };
    match &*text.to_cow()? {
        "create" => Ok(Mode::Create),
        "open" => Ok(Mode::Open),
        "read" => Ok(Mode::Read),
        other => Err(Class::Config
            .error(value.py(), format_args!("mode cannot be {other:?}; choose \"create\", \"open\" or \"read\""))),
    }
}

impl PySharedRegistry {
    fn open(
        py: Python<'_>,
        path: PathBuf,
        builder: SharedBuilder,
        mode: Mode,
        with_clock: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let builder = match &with_clock {
            Some(given) => builder.clock(clock(given)?),
            None => builder,
        };
        let opened = py.detach(|| match mode {
            Mode::Create => builder.create(&path),
            Mode::Open => builder.open(&path),
            Mode::Read => builder.read(&path),
        });
        let registry = opened.map_err(|error| errors::shared(py, &error))?;
        let error = Precision::new(registry.precision()).map_or(0.0, Precision::error);
        Ok(Self { registry, clock: with_clock.map(Bound::unbind), error })
    }

    /// Hands the snapshot that `value` holds to `take`.
    fn take_in<R: Send>(
        value: &Bound<'_, PyAny>,
        take: impl FnOnce(&RegistrySnapshot) -> Result<R, SharedError> + Send,
    ) -> PyResult<R> {
        let (py, held) = (value.py(), bytes::snapshot(value)?);
        let held = held.as_bytes().to_vec();
        let taken = py.detach(|| {
            let snapshot = RegistrySnapshot::from_bytes(&held).map_err(SharedError::from)?;
            take(&snapshot)
        });
        taken.map_err(|error| errors::shared(py, &error))
    }
}

impl Face for PySharedRegistry {
    type Registry = SharedRegistry;

    fn registry(&self) -> &SharedRegistry {
        &self.registry
    }

    fn uniques_error(&self) -> f64 {
        self.error
    }

    fn endpoint_error(&self, py: Python<'_>, error: &EndpointError) -> PyErr {
        match error {
            EndpointError::ReadOnly => errors::shared(py, &SharedError::ReadOnly { path: self.registry.path().into() }),
            _ => errors::endpoint(py, error),
        }
    }
}

methods!(impl PySharedRegistry {
    #[new]
    #[pyo3(
        signature = (
            path, *, window = Given::NOTHING, resolution = Given::NOTHING, slack = Given::NOTHING,
            max_endpoints = Given::NOTHING, name_bytes = None, visitors = None, limits = None,
            precision = Given::NOTHING, max_skew = None, clock = None, mode = None, catch_sigbus = true,
        ),
        text_signature = "(path, *, window=300, resolution=1, slack=20, max_endpoints=10000, name_bytes=None, \
            visitors=None, limits=None, precision=14, max_skew=None, clock=None, mode='create', \
            catch_sigbus=True)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they are Python's, by name")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        window: Given<'_>,
        resolution: Given<'_>,
        slack: Given<'_>,
        max_endpoints: Given<'_>,
        name_bytes: Option<Bound<'_, PyAny>>,
        visitors: Option<Bound<'_, PyAny>>,
        limits: Option<Bound<'_, PyAny>>,
        precision: Given<'_>,
        max_skew: Option<Bound<'_, PyAny>>,
        clock: Option<Bound<'_, PyAny>>,
        mode: Option<Bound<'_, PyAny>>,
        catch_sigbus: bool,
    ) -> PyResult<Self> {
        let mode = self::mode(mode.as_ref())?;
        let settings = [
            ("window", window.0.is_some()),
            ("resolution", resolution.0.is_some()),
            ("slack", slack.0.is_some()),
            ("max_endpoints", max_endpoints.0.is_some()),
            ("name_bytes", name_bytes.is_some()),
            ("visitors", visitors.is_some()),
            ("limits", limits.is_some()),
            ("precision", precision.0.is_some()),
        ];
        if mode != Mode::Create
            && let Some((given, _)) = settings.into_iter().find(|(_, given)| *given)
        {
            let what = format!("{given} is what the file was made with; give it only with mode=\"create\"");
            return Err(Class::Config.error(py, what));
        }
        let mut builder = SharedRegistry::builder().catch_sigbus(catch_sigbus);
        if let Some(window) = window.0 {
            builder = builder.window(configured(&window, "window")?);
        }
        if let Some(resolution) = resolution.0 {
            builder = builder.resolution(configured(&resolution, "resolution")?);
        }
        if let Some(given) = slack.0 {
            builder = builder.slack(slots(&given)?);
        }
        if let Some(given) = max_endpoints.0 {
            let most = u32::try_from(number(&given, "max_endpoints")?);
            let most = most.map_err(|_| Class::Config.error(py, "max_endpoints does not fit; give up to 2**32 - 1"))?;
            builder = builder.max_endpoints(most);
        }
        if let Some(given) = name_bytes {
            builder = builder.name_bytes(number(&given, "name_bytes")? as u64);
        }
        if let Some(given) = visitors {
            builder = builder.visitors(number(&given, "visitors")? as u64);
        }
        if let Some(given) = limits {
            builder = builder.limits(number(&given, "limits")? as u64);
        }
        if let Some(given) = precision.0 {
            builder = builder.precision(within(&given, "precision", 4..=18)? as u8);
        }
        if let Some(max_skew) = max_skew {
            builder = builder.max_skew(configured(&max_skew, "max_skew")?);
        }
        Self::open(py, path, builder, mode, clock)
    }

    /// How many hits of `endpoint` the file ever counted.
    fn total_ever(&self, endpoint: &Bound<'_, PyAny>) -> PyResult<u64> {
        Ok(self.registry.total_ever(&name(endpoint, "endpoint")?))
    }

    /// How many different visitors `endpoint` ever had.
    fn uniques_ever<'py>(&self, endpoint: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = endpoint.py();
        let ever = self.registry.uniques_ever(&name(endpoint, "endpoint")?);
        hits::estimate(py, ever.map_err(|error| errors::query(py, &error))?, self.error)
    }

    /// The endpoints with all hits that the file ever counted of them.
    fn totals_ever<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = py.detach(|| self.registry.totals_ever());
        // What is cut off would be left out, as if it had never been counted.
        if self.registry.is_lost() {
            return Err(errors::query(py, &QueryError::FileLost));
        }
        totals.into_py_dict(py)
    }

    /// The start and the hits of each tick of the `last_seconds` up to `at`, or now.
    #[pyo3(signature = (endpoint, last_seconds = None, at = None))]
    fn buckets<'py>(
        &self,
        endpoint: &Bound<'py, PyAny>,
        last_seconds: Option<&Bound<'py, PyAny>>,
        at: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Vec<(Bound<'py, PyAny>, u64)>> {
        let (py, endpoint) = (endpoint.py(), name(endpoint, "endpoint")?);
        let buckets = match registry_methods::asked(self, last_seconds, at)? {
            (last, Some(at)) => self.registry.buckets_at(&endpoint, at, last),
            (last, None) => self.registry.buckets(&endpoint, last),
        };
        hits::pairs(py, self.registry.resolution(), buckets.map_err(|error| errors::query(py, &error))?)
    }

    /// The endpoints that have other hits than `marks` remembers, which remembers them.
    #[pyo3(signature = (marks, since = None))]
    fn changed<'py>(
        &self,
        py: Python<'py>,
        marks: &PyMarks,
        since: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        changed::changed(py, &self.registry, marks, time::moment(since, "since")?)
    }

    /// Under which the hits of this file are known elsewhere.
    #[getter]
    fn replica(&self) -> String {
        changed::replica_text(self.registry.replica())
    }

    /// A handle of `endpoint`, which is made if it does not exist.
    fn counter(&self, endpoint: &Bound<'_, PyAny>) -> PyResult<PySharedCounter> {
        let (py, endpoint) = (endpoint.py(), name(endpoint, "endpoint")?);
        let handle = self.registry.counter(&endpoint).map_err(|error| self.endpoint_error(py, &error))?;
        Ok(PySharedCounter { handle, window: self.registry.window(), error: self.error })
    }

    /// A limiter that all processes of the file keep together.
    #[pyo3(
        signature = (name, limit, window = None, *, burst = None, max_skew = None, when_full = None),
        text_signature = "($self, name, limit, window=None, *, burst=None, max_skew=None, when_full='refuse')"
    )]
    fn limiter(
        &self,
        name: &Bound<'_, PyAny>,
        limit: &Bound<'_, PyAny>,
        window: Option<&Bound<'_, PyAny>>,
        burst: Option<&Bound<'_, PyAny>>,
        max_skew: Option<&Bound<'_, PyAny>>,
        when_full: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PySharedLimiter> {
        let (py, name) = (name.py(), text(name, "name")?);
        let (rate, burst) = Parts { limit, window, burst, resolution: None, max_skew: None, clock: None }.one()?;
        let mut limiter = self.registry.limiter(&name, rate, burst).map_err(|error| errors::shared(py, &error))?;
        if let Some(max_skew) = max_skew {
            limiter = limiter.max_skew(span_of(max_skew, "max_skew", Class::Limit)?);
        }
        let when_full = when_full.map(self::when_full).transpose()?.unwrap_or_default();
        Ok(PySharedLimiter { limiter: Box::new(limiter.when_full(when_full)) })
    }

    /// The hits of all endpoints, or of some, in the `last_seconds` up to `at`, or now.
    #[pyo3(signature = (last_seconds = None, *, prefix = None, at = None))]
    fn total<'py>(
        &self,
        py: Python<'py>,
        last_seconds: Option<&Bound<'py, PyAny>>,
        prefix: Option<&Bound<'py, PyAny>>,
        at: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        registry_methods::total(self, py, registry_methods::asked(self, last_seconds, at)?, prefix)
    }

    /// Remove an endpoint with its hits.
    fn remove(&self, endpoint: &Bound<'_, PyAny>) -> PyResult<bool> {
        let removed = self.registry.remove(&name(endpoint, "endpoint")?);
        removed.map_err(|error| errors::shared(endpoint.py(), &error))
    }

    /// How much room is left in the file.
    fn room<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let room = self.registry.room();
        written::SHARED_ROOM.get(py)?.call1((
            room.lives,
            room.max_endpoints,
            room.name_bytes,
            room.max_name_bytes,
            room.visitors,
            room.max_visitors,
            room.max_limits,
            room.file_bytes,
        ))
    }

    /// Replace everything by a snapshot.
    fn restore(&self, snapshot: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::take_in(snapshot, |snapshot| self.registry.restore(snapshot))
    }

    /// Add the hits of another registry's snapshot.
    fn merge(&self, snapshot: &Bound<'_, PyAny>) -> PyResult<u64> {
        Self::take_in(snapshot, |snapshot| self.registry.merge(snapshot))
    }

    /// Bring what was counted to the disk.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.registry.sync()).map_err(|error| errors::shared(py, &error))
    }

    /// The endpoints with hits that are stamped further ahead than the slack.
    fn ahead(&self) -> Vec<String> {
        self.registry.ahead()
    }

    /// The file.
    #[getter]
    fn path(&self) -> PathBuf {
        self.registry.path().into()
    }

    /// Whether hits can be recorded.
    #[getter]
    fn writable(&self) -> bool {
        self.registry.is_writable()
    }

    /// Whether the path still means this file.
    #[getter]
    fn current(&self) -> bool {
        self.registry.is_current()
    }

    /// Whether part of the file was cut off while it was open.
    #[getter]
    fn lost(&self) -> bool {
        self.registry.is_lost()
    }

    /// The most places of endpoints that the file has.
    #[getter]
    fn max_endpoints(&self) -> u32 {
        self.registry.max_endpoints()
    }

    /// How many bits tell visitors apart.
    #[getter]
    fn precision(&self) -> u8 {
        self.registry.precision()
    }

    /// How far ahead of the clock a hit may be stamped, in seconds.
    #[getter]
    fn max_skew<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        seconds(py, self.registry.max_skew())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let path = self.path().into_pyobject(py)?.str()?.repr()?;
        let mode = if self.writable() { "" } else { ", mode='read'" };
        Ok(format!("SharedRegistry({path}, window={}{mode})", self.window(py)?.repr()?))
    }

    /// Another registry of the same file.
    fn __copy__(&self, py: Python<'_>) -> PyResult<Self> {
        let mode = if self.writable() { Mode::Open } else { Mode::Read };
        let builder = SharedRegistry::builder().max_skew(self.registry.max_skew()).catch_sigbus(self.registry.catches_sigbus());
        Self::open(py, self.path(), builder, mode, self.its_clock(py))
    }

    fn __deepcopy__(&self, memo: &Bound<'_, PyAny>) -> PyResult<Self> {
        self.__copy__(memo.py())
    }

    /// A pickle is the path, so unpickling opens the same file.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let options = PyDict::new(py);
        options.set_item("mode", if self.writable() { "open" } else { "read" })?;
        options.set_item("max_skew", self.max_skew(py)?)?;
        options.set_item("clock", self.its_clock(py))?;
        options.set_item("catch_sigbus", self.registry.catches_sigbus())?;
        // Absolute: the other process may be in another folder.
        let path = std::path::absolute(self.registry.path()).unwrap_or_else(|_| self.path());
        let arguments = (path, options).into_pyobject(py)?;
        Ok((py.import("hitring._hitring")?.getattr("_open_shared")?, arguments))
    }
});

/// The registry that was pickled.
#[pyfunction]
pub fn _open_shared<'py>(
    py: Python<'py>,
    path: Bound<'py, PyAny>,
    options: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    py.get_type::<PySharedRegistry>().call((path,), Some(options))
}

/// Make a new file of what is alive in an old one.
#[pyfunction]
#[pyo3(signature = (old, new, *, max_endpoints = None, window = None, limits = None))]
pub fn compact(
    py: Python<'_>,
    old: PathBuf,
    new: PathBuf,
    max_endpoints: Option<&Bound<'_, PyAny>>,
    window: Option<&Bound<'_, PyAny>>,
    limits: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let most = max_endpoints.map(|given| number(given, "max_endpoints")).transpose()?;
    let most = most
        .map(|most| u32::try_from(most).ok().filter(|&most| most > 0))
        .map(|most| most.ok_or_else(|| Class::Config.error(py, "max_endpoints does not fit; give 1 to 2**32 - 1")));
    let wanted = Wanted {
        max_endpoints: most.transpose()?,
        window: window.map(|window| configured(window, "window")).transpose()?,
        limits: limits.map(|given| number(given, "limits")).transpose()?.map(|limits| limits as u64),
    };
    let made = py.detach(|| crate::shared::compact(&old, &new, wanted));
    made.map_err(|error| errors::shared(py, &error))
}
