//! `Morris`: each method converts, calls and converts.
//!
//! Tests: `tests/python/unit/test_morris.py`.

use pyo3::prelude::*;
use pyo3::types::PyFloat;

use crate::python::configured::seed as a_seed;
use crate::python::errors::Class;
use crate::python::given::Given;
use crate::python::number::{or_one, real};
use crate::python::outcome::member;
use crate::python::sketch::{Face, face};
use crate::sketch::morris_counter::Morris;

/// An approximate count in a word.
#[pyclass(frozen, weakref, module = "hitring", name = "Morris")]
#[derive(Debug)]
pub struct PyMorris(pub Box<Morris>);

face!(Morris => impl PyMorris {
    #[new]
    #[pyo3(signature = (error = None, base = None, seed = None))]
    fn new(
        py: Python<'_>,
        error: Option<Bound<'_, PyAny>>,
        base: Option<Bound<'_, PyAny>>,
        seed: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let counter = match (error, base) {
            (Some(_), Some(_)) => {
                return Err(Class::Config.error(py, "give error or base, not both"));
            }
            (Some(error), None) => Morris::with_error(real(&error, "error")?),
            (None, Some(base)) => Morris::with_base(real(&base, "base")?),
            (None, None) => Morris::with_error(0.05),
        };
        let counter = counter.map_err(|error| Class::Config.error(py, error))?;
        Ok(Self::of(match seed {
            Some(seed) => counter.seeded(a_seed(&seed)?),
            None => counter,
        }))
    }

    /// Count `amount` hits.
    #[pyo3(signature = (amount = Given::NOTHING), text_signature = "($self, amount=1)")]
    fn record<'py>(&self, py: Python<'py>, amount: Given<'_>) -> PyResult<Bound<'py, PyAny>> {
        Ok(member(py, self.0.record(or_one(&amount)?)))
    }

    /// How many hits there were, about.
    fn estimate(&self) -> f64 {
        self.0.estimate()
    }

    /// The relative standard error of the estimate.
    #[getter]
    fn error(&self) -> f64 {
        self.0.error()
    }

    /// What a raise of the register multiplies the estimate by, about.
    #[getter]
    fn base(&self) -> f64 {
        self.0.base()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Morris(base={})", PyFloat::new(py, self.base()).repr()?))
    }
});
