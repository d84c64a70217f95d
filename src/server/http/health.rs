//! About the server itself: `GET /health`, `/ready`, `/metrics`, `/openapi.json`.
//!
//! | `/ready` | when |
//! |---|---|
//! | 200 `ready` | hits are counted |
//! | 200 `degraded` | hits of known names are counted, but more names or visitors do not fit, or the database does not answer |
//! | 503 `unready` | the ring file is lost, or the server is ending |
//!
//! Tests: `tests/python/integration/test_serve_metrics.py`.

use serde::Serialize;
use utoipa::ToSchema;

use super::ask::Ask;
use super::problem::{Kind, Problem};
use super::reply::Reply;
use crate::server::tally::MEDIA_TYPE;
use crate::service::{LARGER, Refusal};

/// The bytes that the longest name takes of the file.
const LONGEST: u64 = 1_088;
/// The words that the first visitors of a name take.
const FEWEST: u64 = 16;

/// The server answers.
#[derive(Serialize, ToSchema)]
pub struct Health {
    status: &'static str,
}

/// Whether the server counts.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// `ready`, `degraded` or `unready`.
    status: &'static str,
    /// Why it is not `ready`.
    reasons: Vec<String>,
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/health", responses((status = 200, description = "The process answers.", body = Health)))]
pub fn health(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    Ok(Reply::json(200, &Health { status: "ok" }))
}

/// Whether hits are counted, and if not why.
#[utoipa::path(
    get, path = "/ready",
    responses(
        (status = 200, description = "Hits are counted.", body = Ready),
        (status = 503, description = "Hits are not counted, for the reasons given.", body = Ready),
    ),
)]
pub fn ready(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let mut reasons = Vec::new();
    if ask.context.is_ending() {
        reasons.push("the server is ending".to_owned());
    }
    ask.service().look();
    if let Err(refusal) = ask.service().check() {
        reasons.push(refusal.to_string());
    }
    if !reasons.is_empty() {
        return Ok(Reply::json(503, &Ready { status: "unready", reasons }));
    }
    let room = ask.service().ring().room();
    if room.lives >= room.max_endpoints || room.name_bytes + LONGEST > room.max_name_bytes {
        reasons.push(Refusal::Full { room }.to_string());
    }
    if room.visitors + FEWEST > room.max_visitors {
        reasons.push(format!(
            "the file has no room for the visitors of another name: {} of {} words are taken; {LARGER}",
            room.visitors, room.max_visitors
        ));
    }
    if let Err(error) = ask.service().store().check() {
        reasons.push(error.to_string());
    }
    let status = if reasons.is_empty() { "ready" } else { "degraded" };
    Ok(Reply::json(200, &Ready { status, reasons }))
}

/// All numbers of the server, for Prometheus.
#[utoipa::path(
    get, path = "/metrics",
    responses((status = 200, description = "Text of Prometheus, version 0.0.4.", content_type = "text/plain", body = String)),
)]
pub fn metrics(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let page = ask.context.tally.page(ask.service(), ask.context.limits.as_ref());
    let body = page.map_err(|error| Problem::new(Kind::FAILED, error.to_string()))?;
    Ok(Reply::of(200, MEDIA_TYPE, body))
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object)),
)]
pub fn openapi(ask: Ask<'_>) -> Result<Reply, Problem> {
    let [] = ask.query([])?;
    let body = ask.context.document.clone();
    Ok(Reply::of(200, "application/json", body))
}
