//! What the faces of sketches have in common: merging, reading and pickling.
//!
//! | Python | does |
//! |---|---|
//! | `merge(other)` | takes in another of the same class |
//! | `merge(data)` | reads the bytes of one, and takes that in |
//! | `from_bytes(data)`, unpickling | one that knows what the bytes hold, and goes on by itself |
//!
//! No call releases the GIL, for the reason that `hit_counter` gives.

use pyo3::PyClass;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use crate::error::{SketchError, SnapshotError};
use crate::python::bytes;
use crate::python::errors;
use crate::python::number::type_name;

/// A class of Python that is the face of a sketch. Its pickles know it by its name.
pub trait Face: PyClass<Frozen = True> + Sync + Into<PyClassInitializer<Self>> {
    /// What it is the face of.
    type Sketch;

    fn of(sketch: Self::Sketch) -> Self;
    fn sketch(&self) -> &Self::Sketch;
    fn to_bytes(sketch: &Self::Sketch) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Result<Self::Sketch, SnapshotError>;
    fn merge(sketch: &Self::Sketch, other: &Self::Sketch) -> Result<(), SketchError>;
}

/// Takes in `other`, of the same class or as bytes.
pub fn merge<F: Face>(this: &F, other: &Bound<'_, PyAny>) -> PyResult<()> {
    merge_or(this, other, |bytes| F::from_bytes(bytes).map_err(|error| errors::snapshot(other.py(), &error)))
}

/// The same where `read` reads the bytes.
pub fn merge_or<F: Face>(
    this: &F,
    other: &Bound<'_, PyAny>,
    read: impl FnOnce(&[u8]) -> PyResult<F::Sketch>,
) -> PyResult<()> {
    let merged = if let Ok(other) = other.cast::<F>() {
        F::merge(this.sketch(), other.get().sketch())
    } else if is_bytes(other) {
        let bytes = bytes::given(other, "")?;
        F::merge(this.sketch(), &read(bytes.as_bytes())?)
    } else {
        let name = F::NAME;
        return Err(PyTypeError::new_err(format!(
            "merge takes another {name}, or bytes as its to_bytes() returns them, not {}",
            type_name(other)
        )));
    };
    merged.map_err(|error| errors::sketch(other.py(), &error))
}

fn is_bytes(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyBytes>() || value.is_instance_of::<PyByteArray>() || value.is_instance_of::<PyMemoryView>()
}

/// The sketch that `data` holds.
pub fn read<F: Face>(data: &Bound<'_, PyAny>) -> PyResult<F> {
    let bytes = bytes::given(data, "data must be bytes, as to_bytes() returns them")?;
    F::from_bytes(bytes.as_bytes()).map(F::of).map_err(|error| errors::snapshot(data.py(), &error))
}

/// The bytes of a sketch.
pub fn write<'py, F: Face>(py: Python<'py>, face: &F) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &F::to_bytes(face.sketch()))
}

/// What a pickle is made of.
pub fn reduce<'py, F: Face>(py: Python<'py>, face: &F) -> PyResult<Reduced<'py>> {
    Ok((py.import("hitring._hitring")?.getattr("_restore_sketch")?, (F::NAME, write(py, face))))
}

/// A function, and what it is called with to make the same again.
pub type Reduced<'py> = (Bound<'py, PyAny>, (&'static str, Bound<'py, PyBytes>));
