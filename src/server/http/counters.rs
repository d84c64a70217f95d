//! Counters by type and id: `POST .../increment`, `GET`, `PUT`, `DELETE`, `GET .../unique` of `/v1/counter/{type}/{id}`.
//!
//! Tests: `tests/python/integration/test_serve.py`, `tests/python/integration/test_serve_counters.py`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Ask, By, Hits, Time, Wanted, some};
use super::later::{Answered, Later, later};
use super::problem::Problem;
use super::reply::Reply;
use super::write::Wants;
use super::{schema, write};
use crate::service::Hit;
use crate::service::name::Name;

/// What is added to a counter.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Increment<'a> {
    #[serde(default)]
    #[schema(value_type = schema::Amount)]
    amount: Hits,
    #[serde(borrow, default, deserialize_with = "some")]
    #[schema(value_type = schema::Visitor)]
    visitor: Option<By<'a>>,
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = schema::Time)]
    timestamp: Option<Time>,
}

/// What a counter is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewValue {
    #[schema(value_type = schema::Wanted)]
    value: Wanted,
}

/// All that was ever added to a counter, or what it was set to and all that was added since then.
#[derive(Serialize, ToSchema)]
pub struct Value<'a> {
    r#type: &'a str,
    id: &'a str,
    value: u64,
}

/// About how many different visitors a counter had.
#[derive(Serialize, ToSchema)]
pub struct Unique<'a> {
    r#type: &'a str,
    id: &'a str,
    /// The estimate.
    unique: u64,
    /// Its relative standard error.
    error: f64,
}

/// Add to a counter. It is made if it does not exist.
#[utoipa::path(
    post, path = "/v1/counter/{type}/{id}/increment",
    params(("type" = schema::CounterType, Path), ("id" = schema::CounterId, Path)),
    request_body(content = Option<Increment>, description = "Without a body 1 is added."),
    responses((status = 200, description = "The amount is added.", body = Value)),
)]
pub fn increment(ask: Ask<'_>) -> Result<Answered, Problem> {
    let [] = ask.query([])?;
    let Increment { amount: Hits(count), visitor, timestamp } = ask.body_or_default()?;
    let [kind, id] = [ask.path[0], ask.path[1]];
    let name = Name::counter(kind, id)?;
    let visitor = visitor.as_ref().map(|By(visitor)| &**visitor);
    let hit = Hit { count, at: timestamp.map(|Time(at)| at), visitor };
    write::hit(
        ask,
        &name,
        &hit,
        true,
        |value| counted(kind, id, value),
        || {
            let (kind, id) = (kind.to_owned(), id.to_owned());
            move |value| counted(&kind, &id, value)
        },
    )
}

fn counted(kind: &str, id: &str, value: u64) -> Reply {
    Reply::json(200, &Value { r#type: kind, id, value })
}

/// All that was ever added to a counter, or what it was set to and all that was added since then.
#[utoipa::path(
    get, path = "/v1/counter/{type}/{id}",
    params(("type" = schema::CounterType, Path), ("id" = schema::CounterId, Path)),
    responses((status = 200, description = "Its value.", body = Value)),
)]
pub fn value(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let [kind, id] = [ask.path[0], ask.path[1]];
    Ok(counted(kind, id, ask.service().total(&Name::counter(kind, id)?)?))
}

/// Set a counter. It survives a power failure from the answer on. Hits of before still count in questions about a time.
#[utoipa::path(
    put, path = "/v1/counter/{type}/{id}",
    params(("type" = schema::CounterType, Path), ("id" = schema::CounterId, Path)),
    request_body = NewValue,
    responses((status = 200, description = "The value is set.", body = Value)),
)]
pub fn set(ask: Ask<'_>) -> Result<Later, Problem> {
    let [] = ask.query([])?;
    let NewValue { value: Wanted(value) } = ask.body()?;
    let [kind, id] = [ask.path[0], ask.path[1]];
    let name = Name::counter(kind, id)?;
    let Wants { key, asked, .. } = ask.wants()?;
    let (answer, later) = later(asked);
    let (kind, id) = (kind.to_owned(), id.to_owned());
    ask.service().set(&name, value, key, move || counted(&kind, &id, value).kept(), |done| answer.give(done))?;
    Ok(later)
}

/// Remove a counter with all its hits. It does not come back after a power failure, either.
#[utoipa::path(
    delete, path = "/v1/counter/{type}/{id}",
    params(("type" = schema::CounterType, Path), ("id" = schema::CounterId, Path)),
    responses((status = 204, description = "The counter is gone.")),
)]
pub fn remove(ask: Ask<'_>) -> Result<Later, Problem> {
    let [] = ask.query([])?;
    let name = Name::counter(ask.path[0], ask.path[1])?;
    let Wants { key, asked, .. } = ask.wants()?;
    let (answer, later) = later(asked);
    ask.service().delete(&name, key, || Reply::empty(204).kept(), |done| answer.give(done))?;
    Ok(later)
}

/// About how many different visitors a counter had.
#[utoipa::path(
    get, path = "/v1/counter/{type}/{id}/unique",
    params(("type" = schema::CounterType, Path), ("id" = schema::CounterId, Path)),
    responses((status = 200, description = "The estimate.", body = Unique)),
)]
pub fn unique(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let [kind, id] = [ask.path[0], ask.path[1]];
    let found = ask.service().unique(&Name::counter(kind, id)?)?;
    Ok(Reply::json(200, &Unique { r#type: kind, id, unique: found.unique, error: found.error }))
}
