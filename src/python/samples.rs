//! `Reservoir` and `BottomK`, of any Python objects. Each method converts, calls and converts.
//!
//! A sample drops objects while it holds a lock of its own, and what an object does when it goes is Python code, which may
//! come back to the same sample, or let another thread run that waits for it. So objects that a sample drops are put aside
//! and go when the method is about to return ([`bury`]).

use std::cell::RefCell;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::python::configured::number;
use crate::python::errors;
use crate::python::number::seed;
use crate::sketch::bottom_k::BottomK;
use crate::sketch::reservoir::Reservoir;

thread_local! {
    static DROPPED: RefCell<Vec<Py<PyAny>>> = const { RefCell::new(Vec::new()) };
}

/// An object, which goes when it is buried.
#[derive(Debug)]
struct Object(Option<Py<PyAny>>);

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            // At the very end of a thread there is no list any more, and no sample's lock is held.
            let _ = DROPPED.try_with(|dropped| dropped.borrow_mut().push(object));
        }
    }
}

/// What a sample holds.
type Item = Arc<Object>;

fn item(object: &Bound<'_, PyAny>) -> Item {
    Arc::new(Object(Some(object.clone().unbind())))
}

fn objects(py: Python<'_>, items: Vec<Item>) -> Vec<Py<PyAny>> {
    items.iter().filter_map(|item| item.0.as_ref().map(|object| object.clone_ref(py))).collect()
}

/// Lets the objects go that samples have dropped in this thread.
fn bury() {
    let dropped = DROPPED.try_with(|dropped| std::mem::take(&mut *dropped.borrow_mut()));
    drop(dropped);
}

macro_rules! sample {
    ($class:ident, $name:literal, $sample:ident, $doc:literal) => {
        #[doc = $doc]
        #[pyclass(frozen, weakref, module = "hitring", name = $name)]
        #[derive(Debug)]
        pub struct $class {
            sample: Option<$sample<Item>>,
        }

        impl Drop for $class {
            fn drop(&mut self) {
                self.sample = None;
                bury();
            }
        }

        impl $class {
            fn sample(&self) -> &$sample<Item> {
                self.sample.as_ref().expect("there until it is dropped")
            }
        }

        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = (k, seed = None))]
            fn new(k: &Bound<'_, PyAny>, seed: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
                let size = number(k, "k")?;
                let made = match seed {
                    Some(given) => $sample::with_seed(size, self::seed(given)?),
                    None => $sample::new(size),
                };
                Ok(Self { sample: Some(made.map_err(|error| errors::sketch(k.py(), &error))?) })
            }

            /// Offer an item.
            fn add(&self, item: &Bound<'_, PyAny>) {
                self.sample().add(self::item(item));
                bury();
            }

            /// Offer each of `items`.
            fn update(&self, items: &Bound<'_, PyAny>) -> PyResult<()> {
                for item in items.try_iter()? {
                    self.sample().add(self::item(&item?));
                    bury();
                }
                Ok(())
            }

            /// The sample.
            fn items(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
                let objects = objects(py, self.sample().items());
                bury();
                objects
            }

            /// Take in another one.
            fn merge(&self, other: &Bound<'_, Self>) -> PyResult<()> {
                let merged = self.sample().merge(other.get().sample());
                bury();
                merged.map_err(|error| errors::sketch(other.py(), &error))
            }

            /// How many items the sample has room for.
            #[getter]
            fn k(&self) -> usize {
                self.sample().k()
            }

            fn __len__(&self) -> usize {
                let held = self.sample().items().len();
                bury();
                held
            }

            fn __copy__(&self) -> Self {
                Self { sample: Some(self.sample().clone()) }
            }

            /// So that annotations may say what is in it.
            #[classmethod]
            fn __class_getitem__<'py>(
                class: &Bound<'py, PyType>,
                item: &Bound<'py, PyAny>,
            ) -> PyResult<Bound<'py, PyAny>> {
                class.py().import("types")?.getattr("GenericAlias")?.call1((class, item))
            }

            fn __repr__(&self) -> String {
                format!(concat!("<hitring.", $name, " of {} items, room for {}>"), self.__len__(), self.k())
            }
        }
    };
}

sample!(PyReservoir, "Reservoir", Reservoir, "A sample of `k` of all items that were added.");
sample!(
    PyBottomK,
    "BottomK",
    BottomK,
    "A sample of `k` of all items that were added, the same in whatever order it is merged."
);
