//! Counters by type and id: `POST .../increment`, `GET`, `GET .../unique` of `/v1/counter/{type}/{id}`.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Ask, By, Hits, Time, some};
use super::later::Answered;
use super::problem::Problem;
use super::reply::Reply;
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

/// All that was ever added to a counter.
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

/// Add to a counter. It is made if there is none.
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

/// All that was ever added to a counter.
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
