//! Counters by type and id: `POST .../increment`, `GET`, `GET .../unique` of `/v1/counter/{type}/{id}`.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use serde::{Deserialize, Serialize};

use super::ask::{Ask, By, Hits, Time, some};
use super::problem::Problem;
use super::reply::Reply;
use crate::service::Hit;
use crate::service::name::Name;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Increment<'a> {
    #[serde(default)]
    amount: Hits,
    #[serde(borrow, default, deserialize_with = "some")]
    visitor: Option<By<'a>>,
    #[serde(default, deserialize_with = "some")]
    timestamp: Option<Time>,
}

#[derive(Serialize)]
struct Value<'a> {
    r#type: &'a str,
    id: &'a str,
    value: u64,
}

#[derive(Serialize)]
struct Unique<'a> {
    r#type: &'a str,
    id: &'a str,
    unique: u64,
    error: f64,
}

/// `POST /v1/counter/{type}/{id}/increment`.
pub fn increment(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let Increment { amount: Hits(count), visitor, timestamp } = ask.body_or_default()?;
    let [kind, id] = [ask.path[0], ask.path[1]];
    let name = Name::counter(kind, id)?;
    let visitor = visitor.as_ref().map(|By(visitor)| &**visitor);
    let value = ask.service.increment(&name, &Hit { count, at: timestamp.map(|Time(at)| at), visitor })?;
    Ok(Reply::json(200, &Value { r#type: kind, id, value }))
}

/// `GET /v1/counter/{type}/{id}`.
pub fn value(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let [kind, id] = [ask.path[0], ask.path[1]];
    let value = ask.service.total(&Name::counter(kind, id)?)?;
    Ok(Reply::json(200, &Value { r#type: kind, id, value }))
}

/// `GET /v1/counter/{type}/{id}/unique`.
pub fn unique(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let [kind, id] = [ask.path[0], ask.path[1]];
    let found = ask.service.unique(&Name::counter(kind, id)?)?;
    Ok(Reply::json(200, &Unique { r#type: kind, id, unique: found.unique, error: found.error }))
}
