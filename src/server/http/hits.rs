//! Hits of resources: `POST /hits`, `GET /hits/{resource_id}`.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::ask::{Ask, By, Hits, Time, some};
use super::problem::Problem;
use super::reply::Reply;
use crate::service::Hit;
use crate::service::name::Name;
use crate::service::range::Range;
use crate::service::time;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HitBody<'a> {
    #[serde(borrow)]
    resource_id: Cow<'a, str>,
    #[serde(default)]
    count: Hits,
    #[serde(default, deserialize_with = "some")]
    timestamp: Option<Time>,
    #[serde(borrow, default, deserialize_with = "some")]
    visitor: Option<By<'a>>,
}

#[derive(Serialize)]
struct Accepted<'a> {
    resource_id: &'a str,
    accepted: u64,
}

#[derive(Serialize)]
struct Count<'a> {
    resource_id: &'a str,
    count: u64,
    period: Period,
}

#[derive(Serialize)]
struct Period {
    start_time: String,
    end_time: String,
    /// Seconds of a tick.
    resolution: f64,
    exact: bool,
}

/// `POST /hits`.
pub fn record(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let HitBody { resource_id, count: Hits(count), timestamp, visitor } = ask.body()?;
    let name = Name::resource(&resource_id)?;
    let visitor = visitor.as_ref().map(|By(visitor)| &**visitor);
    ask.service.record(&name, &Hit { count, at: timestamp.map(|Time(at)| at), visitor })?;
    Ok(Reply::json(202, &Accepted { resource_id: &resource_id, accepted: count }))
}

/// `GET /hits/{resource_id}`.
pub fn count(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [start_time, end_time, start, end] = ask.query(["start_time", "end_time", "start", "end"])?;
    if start_time.is_some() && start.is_some() || end_time.is_some() && end.is_some() {
        return Err(Problem::schema("start is start_time, and end is end_time; give one of the two"));
    }
    let time = |text: Option<Cow<'_, str>>| text.map(|text| time::parse(&text)).transpose();
    let (start, end) = (time(start_time.or(start))?, time(end_time.or(end))?);
    let (id, ring) = (ask.path[0], ask.service.ring());
    let name = Name::resource(id)?;
    let range = Range::of(start, end, ask.service.now(), ring.window())?;
    let counted = ask.service.count(&name, range)?;
    let period = Period {
        start_time: time::rfc_3339(range.start),
        end_time: time::rfc_3339(range.end),
        resolution: ring.resolution().as_secs_f64(),
        exact: counted.exact,
    };
    Ok(Reply::json(200, &Count { resource_id: id, count: counted.count, period }))
}
