//! Visits of pages: `POST` and `GET /visits/{page}`.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Ask, By, some};
use super::later::Answered;
use super::problem::Problem;
use super::reply::Reply;
use super::{schema, write};
use crate::service::Hit;
use crate::service::name::Name;

/// A visit of a page.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Visit<'a> {
    #[serde(borrow, default, deserialize_with = "some")]
    #[schema(value_type = schema::Visitor)]
    visitor: Option<By<'a>>,
}

/// All visits of a page ever.
#[derive(Serialize, ToSchema)]
pub struct Visits {
    visits: u64,
    /// `in_memory`: from the ring.
    served_via: &'static str,
}

fn answer(visits: u64) -> Reply {
    Reply::json(200, &Visits { visits, served_via: "in_memory" })
}

/// Count a visit of a page. It is made if it does not exist.
#[utoipa::path(
    post, path = "/visits/{page}",
    params(("page" = schema::Page, Path)),
    request_body(content = Option<Visit>, description = "Without a body the visitor is not known."),
    responses((status = 200, description = "The visit is counted.", body = Visits)),
)]
pub fn visit(ask: Ask<'_>) -> Result<Answered, Problem> {
    let [] = ask.query([])?;
    let Visit { visitor } = ask.body_or_default()?;
    let visitor = visitor.as_ref().map(|By(visitor)| &**visitor);
    let name = Name::page(ask.path[0])?;
    write::hit(ask, &name, &Hit { count: 1, at: None, visitor }, true, answer, || answer)
}

/// All visits of a page ever; 0 for one that has had none.
#[utoipa::path(
    get, path = "/visits/{page}",
    params(("page" = schema::Page, Path)),
    responses((status = 200, description = "Its visits.", body = Visits)),
)]
pub fn visits(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    Ok(answer(ask.service().visits(&Name::page(ask.path[0])?)?))
}
