//! The log: what the server tells on stderr, for people on a terminal and as JSON elsewhere.
//!
//! | level | what |
//! |---|---|
//! | `error` | why the server does not start, or does not end well; a panic |
//! | `warn` | what needs attention: hits that are not counted or not flushed; requests that are answered by 500 and above, ten a second at most |
//! | `info` | starting, stopping, and what a start restores |
//! | `debug` | each request |
//!
//! A line of a request has its method, path, status, time and id. The address of the client is in it only if that was asked for. The
//! id is that of the header `X-Request-Id`, which a proxy sets; without one it is made here. Each answer to a request that
//! has an id, or whose line was written, has the same header.
//!
//! A thread of its own writes. If stderr takes no lines, up to 128,000 wait, and later ones are dropped, so that no request waits
//! for a reader of the log.
//!
//! Tests: below, `tests/python/integration/test_serve_log.py`.

use std::io::{IsTerminal, stderr};
use std::net::IpAddr;
use std::panic;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tracing::{Level, debug, enabled, error, warn};
pub use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::LevelFilter;
use uuid::Uuid;

use crate::limit::Limiter;
use crate::limit::rate::Rate;
use crate::sync::{AtomicU64, Ordering};
use crate::time::clock::SteadyClock;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters of an id that is taken over.
const MOST_OF_ID: usize = 128;
/// How many failed requests are told a second.
const FAILURES: u64 = 10;

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As text on a terminal, as JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// An object of JSON.
    Json,
}

/// Begins to write the log of this process, from `level` on. What is told until the guard is dropped is written.
#[must_use = "what was told is written when it is dropped"]
pub fn begin(level: Level, format: Format) -> WorkerGuard {
    let (lines, guard) = tracing_appender::non_blocking(stderr());
    let is_terminal = stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_writer(lines).with_max_level(LevelFilter::from_level(level)).with_target(false);
    // A log that was begun in this process before goes on.
    let _ = match format {
        Format::Auto if is_terminal => log.with_ansi(has_colours()).try_init(),
        Format::Text => log.with_ansi(is_terminal && has_colours()).try_init(),
        Format::Auto | Format::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
    };
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map(ToString::to_string).unwrap_or_default();
        let payload = panicked.payload();
        let why = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let why = why.unwrap_or_default();
        error!(place, "a thread panicked: {why}");
    }));
    guard
}

/// Whether the user wants colours (no-color.org).
fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What is told of requests.
#[derive(Debug)]
pub struct Journal {
    has_addresses: bool,
    failures: Limiter,
    /// Failed requests that were not told.
    untold: AtomicU64,
}

impl Journal {
    /// Tells the addresses of clients, if it `has_addresses`.
    pub fn new(has_addresses: bool) -> Self {
        let rate = Rate::new(FAILURES, std::time::Duration::from_secs(1)).expect("it is possible");
        let failures = Limiter::builder(rate).build().expect("it is possible");
        Self { has_addresses, failures, untold: AtomicU64::new(0) }
    }

    /// Tells of a request that was answered by `status`, if it has to, and gives its id to the answer.
    pub fn answered(&self, request: &Parts, client: IpAddr, begun: u64, status: u16, answer: &mut HeaderMap) {
        let given = request.headers.get(REQUEST_ID).filter(|id| is_id(id));
        let is_failed = status >= 500;
        let is_told = if is_failed { self.failures.allow(1).allowed } else { enabled!(Level::DEBUG) };
        if is_failed && !is_told {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
        if !is_told && given.is_none() {
            return;
        }
        let id = given.cloned().unwrap_or_else(made_id);
        if is_told {
            let request_id = id.to_str().unwrap_or_default();
            let micros = SteadyClock.since_boot(false).saturating_sub(begun) / 1_000;
            let client = self.has_addresses.then(|| client.to_canonical().to_string());
            let (method, path) = (request.method.as_str(), request.uri.path());
            if is_failed {
                let untold = Some(self.untold.swap(0, Ordering::Relaxed)).filter(|&untold| untold > 0);
                warn!(method, path, status, micros, request_id, client, untold, "a request failed");
            } else {
                debug!(method, path, status, micros, request_id, client, "answered");
            }
        }
        answer.insert(REQUEST_ID, id);
    }
}

/// Whether the id that a client gives is taken over.
fn is_id(id: &HeaderValue) -> bool {
    (1..=MOST_OF_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn made_id() -> HeaderValue {
    HeaderValue::try_from(Uuid::now_v7().to_string()).expect("letters and digits")
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// The id of the answer by `status` to a request that gives `id`.
    fn answered(journal: &Journal, id: Option<&str>, status: u16) -> Option<String> {
        let mut request = Request::new(());
        if let Some(id) = id {
            request.headers_mut().insert(REQUEST_ID, HeaderValue::from_str(id).expect("a value"));
        }
        let (parts, ()) = request.into_parts();
        let mut answer = HeaderMap::new();
        journal.answered(&parts, [192, 0, 2, 1].into(), 0, status, &mut answer);
        answer.get(REQUEST_ID).map(|id| id.to_str().expect("visible").to_owned())
    }

    #[test]
    fn ids_are_taken_over_or_made() {
        let journal = Journal::new(false);
        let long = "x".repeat(MOST_OF_ID);
        for id in ["a", "8e03978e-40d5-43e8", "a/b=c", &long] {
            assert_eq!(answered(&journal, Some(id), 200).as_deref(), Some(id));
        }
        for id in [None, Some(""), Some("a b"), Some("\u{fc}"), Some(&*(long + "x"))] {
            assert_eq!(answered(&journal, id, 200), None, "{id:?}");
            let made = answered(&journal, id, 500).expect("it is told");
            assert!(Uuid::parse_str(&made).is_ok(), "{made}");
        }
    }

    #[test]
    fn no_more_than_some_failures_are_told() {
        let journal = Journal::new(false);
        let told = (0..10 * FAILURES).filter(|_| answered(&journal, None, 507).is_some()).count() as u64;
        // One more window, if it began meanwhile.
        assert!((FAILURES..=2 * FAILURES).contains(&told), "{told}");
        assert_eq!(journal.untold.load(Ordering::Relaxed), 10 * FAILURES - told);
    }
}
