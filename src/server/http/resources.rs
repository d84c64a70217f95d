//! Resources: `POST /resources`, `GET /resources`, `GET` and `DELETE /resources/{resource_id}`.
//!
//! Tests: `tests/python/integration/test_serve_resources.py`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Ask, Called, MOST_OF_RESOURCES, RESOURCES};
use super::later::{Later, later};
use super::problem::Problem;
use super::reply::Reply;
use super::schema;
use super::write::Wants;
use crate::service::name::Name;
use crate::service::resources::Listed;
use crate::service::time;

/// A resource to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewResource {
    #[schema(value_type = schema::ResourceName)]
    name: Called,
}

/// A resource.
#[derive(Serialize, ToSchema)]
pub struct Resource {
    resource_id: String,
    /// What its maker calls it; its id, if its first hit made it.
    name: String,
    /// When it was made; null, if its first hit made it.
    #[schema(format = DateTime, required)]
    created_at: Option<String>,
}

/// Resources in the order of their ids.
#[derive(Serialize, ToSchema)]
pub struct Resources {
    resources: Vec<Resource>,
    /// What to give as `after` for those that follow; null, if these are the last.
    #[schema(required)]
    next: Option<String>,
}

impl From<Listed> for Resource {
    fn from(Listed { id, name, created }: Listed) -> Self {
        Self { resource_id: id, name, created_at: created.map(time::rfc_3339) }
    }
}

/// Make a resource. It survives a power failure from the answer on.
#[utoipa::path(
    post, path = "/resources",
    request_body = NewResource,
    responses((
        status = 201, description = "The resource is made.", body = Resource,
        headers(("location" = String, description = "Its path.")),
    )),
)]
pub fn create(ask: Ask<'_>) -> Result<Later, Problem> {
    let [] = ask.query([])?;
    let NewResource { name: Called(name) } = ask.body()?;
    let Wants { key, asked, .. } = ask.wants()?;
    let (answer, later) = later(asked);
    let made = |listed: Listed| {
        let location = Some(format!("/resources/{}", listed.id));
        Reply { location, ..Reply::json(201, &Resource::from(listed)) }.kept()
    };
    ask.service().create_resource(name, key, made, |done| answer.give(done))?;
    Ok(later)
}

/// All resources, also those that their first hit made.
#[utoipa::path(
    get, path = "/resources",
    params(
        ("after" = Option<schema::ResourceId>, Query, description = "Leave out this id and those before it."),
        ("limit" = Option<schema::Limit>, Query),
    ),
    responses((status = 200, description = "The resources.", body = Resources)),
)]
pub fn list(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [after, limit] = ask.query(["after", "limit"])?;
    let limit = ask.number("limit", limit.as_deref(), MOST_OF_RESOURCES, RESOURCES)?;
    if let Some(after) = &after {
        Name::resource(after)?;
    }
    let mut listed = ask.service().resources(after.as_deref().unwrap_or_default(), limit + 1)?;
    let has_more = listed.len() > limit;
    listed.truncate(limit);
    let next = listed.last().filter(|_| has_more).map(|last| last.id.clone());
    Ok(Reply::json(200, &Resources { resources: listed.into_iter().map(Resource::from).collect(), next }))
}

/// A resource.
#[utoipa::path(
    get, path = "/resources/{resource_id}",
    params(("resource_id" = schema::ResourceId, Path)),
    responses((status = 200, description = "The resource.", body = Resource)),
)]
pub fn find(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let id = ask.path[0];
    let listed = ask.service().resource(id, &Name::resource(id)?)?;
    Ok(Reply::json(200, &Resource::from(listed)))
}

/// Remove a resource with all its hits. It does not come back after a power failure, either.
#[utoipa::path(
    delete, path = "/resources/{resource_id}",
    params(("resource_id" = schema::ResourceId, Path)),
    responses((status = 204, description = "The resource is gone.")),
)]
pub fn delete(ask: Ask<'_>) -> Result<Later, Problem> {
    let [] = ask.query([])?;
    let id = ask.path[0];
    let name = Name::resource(id)?;
    let Wants { key, asked, .. } = ask.wants()?;
    let (answer, later) = later(asked);
    ask.service().delete_resource(id, &name, key, || Reply::empty(204).kept(), |done| answer.give(done))?;
    Ok(later)
}
