//! `Outcome` and `Outcomes`, which are Python's own (`hitring/_outcome.py`).
//!
//! The members of `Outcome` are looked up once, when the module is imported, so that answering one costs an increment
//! of its reference count.
//!
//! Tests: `tests/python/unit/test_outcomes.py`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::cell::outcome::{Outcome, Outcomes};

static PYTHON: PyOnceLock<Classes> = PyOnceLock::new();

#[derive(Debug)]
struct Classes {
    /// The members of `Outcome`, in the order of [`row`].
    members: [Py<PyAny>; 5],
    outcomes: Py<PyAny>,
}

const ALL: [Outcome; 5] = [Outcome::Counted, Outcome::Late, Outcome::Future, Outcome::Saturated, Outcome::Refused];

#[inline(always)]
const fn row(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Counted => 0,
        Outcome::Late => 1,
        Outcome::Future => 2,
        Outcome::Saturated => 3,
        Outcome::Refused => 4,
    }
}

/// Looks the classes up; the module's first act.
pub fn import(py: Python<'_>) -> PyResult<()> {
    PYTHON.get_or_try_init(py, || {
        let module = py.import("hitring._outcome")?;
        let class = module.getattr("Outcome")?;
        let mut members = [const { None }; 5];
        for outcome in ALL {
            members[row(outcome)] = Some(class.call1((outcome.as_str(),))?.unbind());
        }
        let members = members.map(|member| member.expect("each outcome has its row"));
        Ok::<_, PyErr>(Classes { members, outcomes: module.getattr("Outcomes")?.unbind() })
    })?;
    Ok(())
}

/// The member for `outcome`.
#[inline(always)]
pub fn member(py: Python<'_>, outcome: Outcome) -> Bound<'_, PyAny> {
    let classes = PYTHON.get(py).expect("the module was imported");
    classes.members[row(outcome)].bind(py).clone()
}

/// The tallies as `Outcomes`.
pub fn tallies(py: Python<'_>, outcomes: Outcomes) -> PyResult<Bound<'_, PyAny>> {
    let classes = PYTHON.get(py).expect("the module was imported");
    let Outcomes { counted, late, future, saturated, refused } = outcomes;
    classes.outcomes.bind(py).call1((counted, late, future, saturated, refused))
}
