//! What the faces of sketches have in common: merging, reading and pickling.
//!
//! | Python | does |
//! |---|---|
//! | `merge(other)` | takes in another of the same class |
//! | `merge(data)` | reads the bytes of one, and takes that in |
//! | `from_bytes(data)`, unpickling | one that knows what the bytes hold, and goes on by itself |
//!
//! No call releases the GIL, for the reason that `hit_counter` gives.
//!
//! Tests: `tests/python/unit/test_sketches.py`.

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

    /// The sketch in the bytes that `merge` is given.
    fn other(py: Python<'_>, bytes: &[u8]) -> PyResult<Self::Sketch>;
}

/// Makes a class the face of the sketch that it boxes: its own methods, and after them those that all faces have.
/// `other` reads the bytes that `merge` is given, if those may be others than `to_bytes` returns.
macro_rules! face {
    ($sketch:ty => impl $class:ident { $($own:tt)* }) => {
        $crate::python::sketch::face!($sketch, $crate::python::sketch::own::<$class> => impl $class { $($own)* });
    };
    ($sketch:ty, $other:expr => impl $class:ident { $($own:tt)* }) => {
        impl $crate::python::sketch::Face for $class {
            type Sketch = $sketch;

            fn of(sketch: $sketch) -> Self {
                Self(Box::new(sketch))
            }

            fn sketch(&self) -> &$sketch {
                &self.0
            }

            fn to_bytes(sketch: &$sketch) -> Vec<u8> {
                sketch.to_bytes()
            }

            fn from_bytes(bytes: &[u8]) -> Result<$sketch, $crate::error::SnapshotError> {
                <$sketch>::from_bytes(bytes)
            }

            fn merge(sketch: &$sketch, other: &$sketch) -> Result<(), $crate::error::SketchError> {
                $crate::python::sketch::Merged::result(sketch.merge(other))
            }

            fn other(py: Python<'_>, bytes: &[u8]) -> PyResult<$sketch> {
                $other(py, bytes)
            }
        }

        #[pymethods]
        impl $class {
            $($own)*

            /// Take in another, or the bytes of one.
            fn merge(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
                $crate::python::sketch::merge(self, other)
            }

            /// What it knows, as bytes.
            fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, pyo3::types::PyBytes> {
                $crate::python::sketch::write(py, self)
            }

            /// One that knows what `data` holds.
            #[staticmethod]
            fn from_bytes(data: &Bound<'_, PyAny>) -> PyResult<Self> {
                $crate::python::sketch::read(data)
            }

            /// The same, which goes on by itself.
            fn __copy__(&self) -> Self {
                Self(self.0.clone())
            }

            fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
                self.__copy__()
            }

            fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<$crate::python::sketch::Reduced<'py>> {
                $crate::python::sketch::reduce(py, self)
            }
        }
    };
}
pub(crate) use face;

/// What merging a sketch answers; that of some always succeeds.
pub trait Merged {
    fn result(self) -> Result<(), SketchError>;
}

impl Merged for () {
    fn result(self) -> Result<(), SketchError> {
        Ok(self)
    }
}

impl Merged for Result<(), SketchError> {
    fn result(self) -> Self {
        self
    }
}

/// The sketch in bytes that `to_bytes` returned.
pub fn own<F: Face>(py: Python<'_>, bytes: &[u8]) -> PyResult<F::Sketch> {
    F::from_bytes(bytes).map_err(|error| errors::snapshot(py, &error))
}

/// Takes in `other`, of the same class or as bytes.
pub fn merge<F: Face>(this: &F, other: &Bound<'_, PyAny>) -> PyResult<()> {
    let merged = if let Ok(other) = other.cast::<F>() {
        F::merge(this.sketch(), other.get().sketch())
    } else if is_bytes(other) {
        let bytes = bytes::given(other, "")?;
        F::merge(this.sketch(), &F::other(other.py(), bytes.as_bytes())?)
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
    own::<F>(data.py(), bytes.as_bytes()).map(F::of)
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
