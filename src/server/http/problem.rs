//! [`Problem`]: why a request was not done, as a problem document (RFC 9457) that says what to change.
//!
//! 400 says that a request does not fit the schema, 409 that it does, but not this server's clock or counts.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use serde::Serialize;
use utoipa::ToSchema;

use super::reply::Reply;
use crate::service::Refusal;
use crate::service::name::NameError;
use crate::service::range::Reversed;
use crate::service::time::NoTime;
use crate::store::StoreError;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The most bytes of a detail, which may have text of the request in it.
const MOST_OF_DETAIL: usize = 2_048;

/// A kind of problem: the last part of its type, its title, its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(&'static str, &'static str, u16);

impl Kind {
    pub const SCHEMA: Self = Self("schema", "The request does not fit", 400);
    pub const RANGE: Self = Self("range", "The range ends before it begins", 400);
    pub const UNKNOWN: Self = Self("unknown", "The name does not exist", 404);
    pub const ROUTE: Self = Self("route", "The route does not exist", 404);
    pub const METHOD: Self = Self("method", "The route has no such method", 405);
    pub const SLOW: Self = Self("slow", "The body did not come in time", 408);
    pub const LATE: Self = Self("late", "The hit is too old", 409);
    pub const FUTURE: Self = Self("future", "The hit lies in the future", 409);
    pub const SATURATED: Self = Self("saturated", "The second is full", 409);
    pub const TOO_LARGE: Self = Self("too-large", "The body is too large", 413);
    pub const KEY_REUSED: Self = Self("key-reused", "The key was used for another request", 422);
    pub const LIMITED: Self = Self("limited", "There are too many requests", 429);
    pub const MEDIA_TYPE: Self = Self("media-type", "The body is not JSON", 415);
    pub const FAILED: Self = Self("failed", "The server failed", 500);
    pub const BUSY: Self = Self("busy", "The server is busy", 503);
    pub const LOST: Self = Self("lost", "The ring file is gone", 503);
    pub const DISK: Self = Self("disk", "The disk does not take it", 507);
    pub const FULL: Self = Self("full", "The file is full", 507);
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    /// Whether a body may be left that was not read.
    closes: bool,
}

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document<'a> {
    /// `urn:hitring:problem:` and the kind of problem.
    r#type: String,
    title: &'a str,
    status: u16,
    /// What was wrong, and what to change.
    detail: &'a str,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > MOST_OF_DETAIL {
            // The beginning says what was wrong, the end what to change.
            let boundary = |from: usize| (from..).find(|&at| detail.is_char_boundary(at)).unwrap_or(detail.len());
            let cut = boundary(MOST_OF_DETAIL / 2)..boundary(detail.len() - MOST_OF_DETAIL / 2);
            detail.replace_range(cut, " ... ");
        }
        // What may still come of a body that is too late or too long is not looked at.
        Self { kind, detail, closes: matches!(kind, Kind::SLOW | Kind::TOO_LARGE) }
    }

    /// The same, and the connection ends with it, as the body was not read.
    pub fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    pub fn schema(detail: impl Into<String>) -> Self {
        Self::new(Kind::SCHEMA, detail)
    }

    /// The answer.
    pub fn reply(&self) -> Reply {
        let Kind(name, title, status) = self.kind;
        let document = Document { r#type: format!("urn:hitring:problem:{name}"), title, status, detail: &self.detail };
        let mut reply = Reply::json(status, &document);
        reply.media_type = Some(MEDIA_TYPE);
        reply.close = self.closes;
        reply.retry_after = (self.kind == Kind::BUSY).then_some(1);
        reply
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Unknown => Kind::UNKNOWN,
            Refusal::Late => Kind::LATE,
            Refusal::Future => Kind::FUTURE,
            Refusal::Saturated => Kind::SATURATED,
            Refusal::Full { .. } | Refusal::VisitorsFull => Kind::FULL,
            Refusal::Lost => Kind::LOST,
            Refusal::Store(StoreError::Full | StoreError::Disk { .. }) => Kind::DISK,
            Refusal::Store(StoreError::Lost) => Kind::LOST,
            Refusal::Store(StoreError::KeyReused) => Kind::KEY_REUSED,
            Refusal::Store(StoreError::Failed { .. } | StoreError::Later { .. }) => Kind::FAILED,
            Refusal::Store(_) => Kind::BUSY,
            Refusal::Failed { .. } => Kind::FAILED,
        };
        Self::new(kind, refusal.to_string())
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::schema(error.to_string())
    }
}

impl From<NoTime> for Problem {
    fn from(error: NoTime) -> Self {
        Self::schema(error.to_string())
    }
}

impl From<Reversed> for Problem {
    fn from(error: Reversed) -> Self {
        Self::new(Kind::RANGE, error.to_string())
    }
}
