//! Visits of pages: `POST` and `GET /visits/{page}`. And `GET /health`.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use serde::{Deserialize, Serialize};

use super::ask::{Ask, By, some};
use super::problem::Problem;
use super::reply::Reply;
use crate::service::Hit;
use crate::service::name::Name;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Visit<'a> {
    #[serde(borrow, default, deserialize_with = "some")]
    visitor: Option<By<'a>>,
}

#[derive(Serialize)]
struct Visits {
    visits: u64,
    served_via: &'static str,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

fn answer(visits: u64) -> Reply {
    Reply::json(200, &Visits { visits, served_via: "in_memory" })
}

/// `POST /visits/{page}`.
pub fn visit(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let Visit { visitor } = ask.body_or_default()?;
    let visitor = visitor.as_ref().map(|By(visitor)| &**visitor);
    let name = Name::page(ask.path[0])?;
    Ok(answer(ask.service.increment(&name, &Hit { count: 1, at: None, visitor })?))
}

/// `GET /visits/{page}`.
pub fn visits(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    Ok(answer(ask.service.visits(&Name::page(ask.path[0])?)?))
}

/// `GET /health`: the process answers.
pub fn health(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    Ok(Reply::json(200, &Health { status: "ok" }))
}
