//! Hits of resources: `POST /hits`, `GET /hits/{resource_id}`.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Ask, By, Hits, Time, some};
use super::later::Answered;
use super::problem::Problem;
use super::reply::Reply;
use super::{schema, write};
use crate::service::Hit;
use crate::service::name::Name;
use crate::service::range::Range;
use crate::service::time;

/// Hits of a resource.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHits<'a> {
    #[serde(borrow)]
    #[schema(value_type = schema::ResourceId)]
    resource_id: Cow<'a, str>,
    #[serde(default)]
    #[schema(value_type = schema::Amount)]
    count: Hits,
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = schema::Time)]
    timestamp: Option<Time>,
    #[serde(borrow, default, deserialize_with = "some")]
    #[schema(value_type = schema::Visitor)]
    visitor: Option<By<'a>>,
}

/// What was counted.
#[derive(Serialize, ToSchema)]
pub struct Accepted<'a> {
    resource_id: &'a str,
    accepted: u64,
}

/// Hits of a resource in a period.
#[derive(Serialize, ToSchema)]
pub struct ResourceHits<'a> {
    resource_id: &'a str,
    count: u64,
    period: Period,
}

/// The seconds from that of the start to that of the end.
#[derive(Serialize, ToSchema)]
pub struct Period {
    #[schema(format = DateTime)]
    start_time: String,
    #[schema(format = DateTime)]
    end_time: String,
    /// The seconds of a tick.
    resolution: f64,
    /// Whether these are all hits of the period. If not, the ring no longer has some of its seconds.
    exact: bool,
}

/// Count hits of a resource.
///
/// A resource that does not exist is made, unless the server is started with --auto-create false: then it is unknown.
#[utoipa::path(
    post, path = "/hits",
    request_body = NewHits,
    responses((status = 202, description = "The hits are counted.", body = Accepted)),
)]
pub fn record(ask: Ask<'_>) -> Result<Answered, Problem> {
    let [] = ask.query([])?;
    let NewHits { resource_id, count: Hits(count), timestamp, visitor } = ask.body()?;
    let name = Name::resource(&resource_id)?;
    let visitor = visitor.as_ref().map(|By(visitor)| &**visitor);
    let hit = Hit { count, at: timestamp.map(|Time(at)| at), visitor };
    let accepted = move |id: &str| Reply::json(202, &Accepted { resource_id: id, accepted: count });
    write::hit(
        ask,
        &name,
        &hit,
        ask.service().creates(),
        |_| accepted(&resource_id),
        || {
            let id = resource_id.clone().into_owned();
            move |_| accepted(&id)
        },
    )
}

/// How many hits a resource had in a period.
///
/// Without a start the period is as long as the window and ends then, without an end it is as long and begins then, and without
/// both it is the last window.
#[utoipa::path(
    get, path = "/hits/{resource_id}",
    params(
        ("resource_id" = schema::ResourceId, Path),
        ("start_time" = Option<schema::Time>, Query), ("end_time" = Option<schema::Time>, Query),
        ("start" = Option<schema::Time>, Query, description = "Short for start_time; give one of the two."),
        ("end" = Option<schema::Time>, Query, description = "Short for end_time; give one of the two."),
    ),
    responses((status = 200, description = "Its hits.", body = ResourceHits)),
)]
pub fn count(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [start_time, end_time, start, end] = ask.query(["start_time", "end_time", "start", "end"])?;
    if start_time.is_some() && start.is_some() || end_time.is_some() && end.is_some() {
        return Err(Problem::schema("start is start_time, and end is end_time; give one of the two"));
    }
    let time = |text: Option<Cow<'_, str>>| text.map(|text| time::parse(&text)).transpose();
    let (start, end) = (time(start_time.or(start))?, time(end_time.or(end))?);
    let (id, ring) = (ask.path[0], ask.service().ring());
    let name = Name::resource(id)?;
    let range = Range::of(start, end, ask.service().now(), ring.window())?;
    let counted = ask.service().count(&name, range)?;
    let period = Period {
        start_time: time::rfc_3339(range.start),
        end_time: time::rfc_3339(range.end),
        resolution: ring.resolution().as_secs_f64(),
        exact: counted.exact,
    };
    Ok(Reply::json(200, &ResourceHits { resource_id: id, count: counted.count, period }))
}
