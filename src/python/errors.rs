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

use std::fmt::Display;
use std::path::Path;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;

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
    /// An exception of this class; or why there is none.
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

/// Why a counter has no answer.
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

/// Why there is no such endpoint.
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
        // Python finds the subclass by the number.
        Some(number) => PyOSError::new_err((number, error.to_string(), path.as_os_str().to_owned())),
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

/// Why bytes are no snapshot, or none that can be merged.
pub fn snapshot(py: Python<'_>, error: &SnapshotError) -> PyErr {
    Class::Snapshot.error(py, error)
}
