//! [`Reply`]: an answer, before it is one of HTTP.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use serde::Serialize;

use crate::server::durability::Durability;
use crate::store::Answer;

/// What goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// `None` if the answer does not have a body.
    pub media_type: Option<&'static str>,
    pub body: Vec<u8>,
    /// Whether the connection ends after it.
    pub close: bool,
    /// After how many seconds to try again.
    pub retry_after: Option<u32>,
    /// The path of what was made.
    pub location: Option<String>,
    /// The durability that was asked for, and is reached.
    pub applied: Option<Durability>,
    /// Whether it is the answer of an earlier request with the same key.
    pub is_replay: bool,
}

impl Reply {
    /// `value` as JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("structs of numbers and texts are JSON");
        Self::of(status, "application/json", body)
    }

    /// A body of `media_type`.
    pub fn of(status: u16, media_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            media_type: Some(media_type),
            body,
            close: false,
            retry_after: None,
            location: None,
            applied: None,
            is_replay: false,
        }
    }

    /// The same, for a store to keep.
    pub fn kept(self) -> Answer {
        let headers = self.location.map(|location| ("location".to_owned(), location));
        Answer { status: self.status, headers: headers.into_iter().collect(), body: self.body }
    }

    /// What a store kept. A body is JSON.
    pub fn of_kept(Answer { status, headers, body }: Answer) -> Self {
        let location = headers.into_iter().find(|(name, _)| name == "location").map(|(_, location)| location);
        let media_type = (!body.is_empty()).then_some("application/json");
        Self { media_type, location, ..Self::of(status, "", body) }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { media_type: None, ..Self::of(status, "", Vec::new()) }
    }
}
