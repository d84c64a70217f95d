//! Errors as Python raises them.
//!
//! The classes are Python's (`hitring/_errors.py`) and mirror the Rust types: one for each kind of operation. What is
//! wrong with a time or an amount is a plain `ValueError`, what is of a wrong type a plain `TypeError`.
//!
//! | Rust | Python | also a |
//! |---|---|---|
//! | `ConfigError` | `ConfigError` | `ValueError` |
//! | `QueryError` | `QueryError` | `ValueError` |
//! | `QueryError::WindowExpired` | `WindowExpired` | `QueryError` |
//! | `SnapshotError` | `SnapshotError` | `ValueError` |
//! | `SketchError` | `SketchError` | `ValueError` |
//! | `SketchError` of what a sketch is made with | `ConfigError` | |
//! | `EndpointError::Full` | `RegistryFull` | `RuntimeError` |
//! | `EndpointError::Strategy` | `ConfigError` | |
//! | `EndpointError::Name` | `ValueError` | |
//! | `SubscribeError`, `UnknownEvent` | `ConfigError` | |
//! | `LimitError` | `LimitError` | `ValueError` |
//! | `SharedError`, `EndpointError::ReadOnly` | `SharedError` | `OSError` |
//! | `TimeError` | `ValueError` | |
//!
//! Tests: `tests/python/unit`.

use std::fmt::Display;
use std::path::Path;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;

#[cfg(target_os = "linux")]
use crate::error::SharedError;
use crate::error::{EndpointError, QueryError, SketchError, SnapshotError};

/// A class of exceptions.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// Python's own `ValueError`.
    Value,
    Config,
    Query,
    WindowExpired,
    Snapshot,
    Sketch,
    Limit,
    Full,
    Shared,
}

impl Class {
    /// An exception of this class, or the error that kept it from being made.
    pub fn error(self, py: Python<'_>, message: impl Display) -> PyErr {
        let name = match self {
            Self::Value => return PyValueError::new_err(message.to_string()),
            Self::Config => "ConfigError",
            Self::Query => "QueryError",
            Self::WindowExpired => "WindowExpired",
            Self::Snapshot => "SnapshotError",
            Self::Sketch => "SketchError",
            Self::Limit => "LimitError",
            Self::Full => "RegistryFull",
            Self::Shared => "SharedError",
        };
        let class = py.import("hitring._errors").and_then(|module| module.getattr(name));
        match class.and_then(|class| Ok(class.cast_into::<PyType>()?)) {
            Ok(class) => PyErr::from_type(class, message.to_string()),
            Err(error) => error,
        }
    }
}

/// The exception for a query that failed.
pub fn query(py: Python<'_>, error: &QueryError) -> PyErr {
    let class = match error {
        QueryError::WindowExpired { .. } => Class::WindowExpired,
        QueryError::LongerThanWindow { .. }
        | QueryError::NotWhole { .. }
        | QueryError::VisitorsFull
        | QueryError::FileLost => Class::Query,
    };
    class.error(py, error)
}

/// The exception for an endpoint that could not be found or made.
pub fn endpoint(py: Python<'_>, error: &EndpointError) -> PyErr {
    let class = match error {
        EndpointError::Name { .. } => Class::Value,
        EndpointError::Full { .. } => Class::Full,
        EndpointError::Strategy(_) => Class::Config,
        EndpointError::ReadOnly => Class::Shared,
    };
    class.error(py, error)
}

/// What the system says of the file at `path`.
pub fn file(error: &std::io::Error, path: &Path) -> PyErr {
    match error.raw_os_error() {
        // Python finds the subclass by the number, which it writes in front, as Rust does behind.
        Some(number) => {
            let text = error.to_string();
            let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text).to_owned();
            PyOSError::new_err((number, text, path.as_os_str().to_owned()))
        }
        None => PyOSError::new_err(format!("{}: {error}", path.display())),
    }
}

/// Why a sketch cannot be made, merged, read or written.
pub fn sketch(py: Python<'_>, error: &SketchError) -> PyErr {
    let class = match error {
        SketchError::ReplicaName { .. }
        | SketchError::Size { .. }
        | SketchError::Precision { .. }
        | SketchError::RedisPrecision { .. } => Class::Config,
        _ => Class::Sketch,
    };
    class.error(py, error)
}

/// The exception for bytes that are not a snapshot, or not one that can be merged.
pub fn snapshot(py: Python<'_>, error: &SnapshotError) -> PyErr {
    Class::Snapshot.error(py, error)
}

/// What the cure of an error is in Python, if the error itself does not say it.
#[cfg(target_os = "linux")]
fn in_python(error: &SharedError) -> &'static str {
    match error {
        SharedError::Settings { .. } | SharedError::Owner { .. } | SharedError::ReadOnly { .. } => " (mode='open')",
        _ => "",
    }
}

/// Why a shared file cannot be made, opened or changed. What the system says has its number, as Python's `OSError` has it.
#[cfg(target_os = "linux")]
pub fn shared(py: Python<'_>, error: &SharedError) -> PyErr {
    let (number, path) = match error {
        SharedError::Config(error) => return Class::Config.error(py, error),
        SharedError::Snapshot(error) => return snapshot(py, error),
        SharedError::Limit(error) => return Class::Limit.error(py, error),
        SharedError::Io { path, error, .. } => {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => Some(libc::ENOENT),
                std::io::ErrorKind::AlreadyExists => Some(libc::EEXIST),
                _ => None,
            };
            (error.raw_os_error().or(kind).unwrap_or(libc::EIO), path)
        }
        SharedError::NoSpace { path, .. } => (libc::ENOSPC, path),
        SharedError::TooLarge { path } => (libc::EFBIG, path),
        SharedError::InUse { path } => (libc::EBUSY, path),
        SharedError::Owner { path, .. } => (libc::EPERM, path),
        SharedError::ReadOnly { path } => (libc::EROFS, path),
        SharedError::Full { path, .. } => (libc::ENOSPC, path),
        SharedError::Foreign { path }
        | SharedError::Truncated { path, .. }
        | SharedError::Version { path, .. }
        | SharedError::Damaged { path, .. }
        | SharedError::Settings { path, .. }
        | SharedError::Network { path, .. } => (libc::EINVAL, path),
    };
    let made = || {
        let class = py.import("hitring._errors")?.getattr("SharedError")?.cast_into::<PyType>()?;
        // The message names the path; `filename` is for programs.
        let made = class.call1((number, format!("{error}{}", in_python(error))))?;
        made.setattr("filename", path.as_os_str())?;
        PyResult::Ok(PyErr::from_value(made))
    };
    made().unwrap_or_else(|error| error)
}
