//! [`Reply`]: an answer, before it is one of HTTP.
//!
//! Tests: `tests/python/integration/test_serve.py`.

use serde::Serialize;

/// What goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub media_type: &'static str,
    pub body: Vec<u8>,
    /// Whether the connection ends after it.
    pub close: bool,
    /// After how many seconds to try again.
    pub retry_after: Option<u32>,
}

impl Reply {
    /// `value` as JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("structs of numbers and texts are JSON");
        Self { status, media_type: "application/json", body, close: false, retry_after: None }
    }
}
