//! Questions about endpoints, whatever they count: `GET /v1/hits/{endpoint}`, `GET /v1/top`.
//!
//! Tests: `tests/python/integration/test_serve_queries.py`.

use serde::Serialize;
use utoipa::ToSchema;

use super::ask::{Ask, MOST_OF_TOP, TOP};
use super::problem::Problem;
use super::reply::Reply;
use super::schema;
use crate::service::last::Last;
use crate::service::name::Name;

/// Hits of an endpoint.
#[derive(Serialize, ToSchema)]
pub struct EndpointHits<'a> {
    endpoint: &'a str,
    count: u64,
    /// The seconds that were asked for.
    last: u64,
    /// Whether these are all hits of these seconds. If not, the ring no longer has some of them.
    exact: bool,
}

/// The busiest endpoints, the busiest first.
#[derive(Serialize, ToSchema)]
pub struct Top {
    /// The seconds that were asked for.
    last: u64,
    /// Whether these are all hits of these seconds. If not, the ring no longer has some of them, or they are more than the
    /// window, whose hits are compared then.
    exact: bool,
    top: Vec<Place>,
}

/// One of the busiest endpoints.
#[derive(Serialize, ToSchema)]
pub struct Place {
    endpoint: String,
    count: u64,
}

/// How many hits an endpoint had last; 0 for one that has had none.
#[utoipa::path(
    get, path = "/v1/hits/{endpoint}",
    params(("endpoint" = schema::Endpoint, Path), ("last" = Option<schema::Last>, Query)),
    responses((status = 200, description = "Its hits.", body = EndpointHits)),
)]
pub fn last(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [last] = ask.query(["last"])?;
    let (endpoint, last) = (ask.path[0], span(ask, last.as_deref())?);
    let counted = ask.service().last(&Name::whole(endpoint)?, last)?;
    Ok(Reply::json(200, &EndpointHits { endpoint, count: counted.count, last: last.secs(), exact: counted.exact }))
}

/// The endpoints that had the most hits last. An endpoint without a hit is left out.
#[utoipa::path(
    get, path = "/v1/top",
    params(("last" = Option<schema::Last>, Query), ("n" = Option<schema::N>, Query)),
    responses((status = 200, description = "The endpoints, the busiest first.", body = Top)),
)]
pub fn top(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [last, n] = ask.query(["last", "n"])?;
    let last = span(ask, last.as_deref())?;
    let n = ask.number("n", n.as_deref(), MOST_OF_TOP, TOP)?;
    let found = ask.service().top(n, last)?;
    let top = found.top.into_iter().map(|(endpoint, count)| Place { endpoint, count }).collect();
    Ok(Reply::json(200, &Top { last: last.secs(), exact: found.exact, top }))
}

/// What is asked for, or the window.
fn span(ask: Ask<'_>, last: Option<&str>) -> Result<Last, Problem> {
    let window = || Last::of(ask.service().ring().window());
    last.map_or_else(|| Ok(window()), |text| Last::parse(text).map_err(|error| Problem::schema(error.to_string())))
}
