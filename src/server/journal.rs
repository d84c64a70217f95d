//! The log: what the server tells on stderr, for people on a terminal and as JSON elsewhere.
//!
//! | level | what |
//! |---|---|
//! | `error` | why the server does not start, or does not end well; a panic |
//! | `warn` | what needs attention: hits that are not counted or not flushed; requests that are answered by 500 and above, ten a second at most, and how many others there were |
//! | `info` | starting, stopping, and what a start restores |
//! | `debug` | each request |
//!
//! A line of a request has its method, path, status, time and id. The address of the client is in it only if that was asked for. The
//! id is that of the header `X-Request-Id`, which a proxy sets; without one it is made here. Each answer to a request that
//! has an id, or whose line was written, has the same header.
//!
//! A thread of its own writes. If stderr takes no lines, up to [`WAITING`] wait, and later ones are dropped, so that no request waits
//! for a reader of the log. A later line says how many were dropped.
//!
//! Tests: below, `tests/python/integration/test_serve_log.py`.

use std::io::{self, IsTerminal, Write, stderr};
use std::net::IpAddr;
use std::panic;
use std::sync::OnceLock;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use crossbeam_channel::{Sender, bounded};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use tracing::{Level, debug, enabled, error, warn};
use tracing_subscriber::filter::LevelFilter;
use uuid::Uuid;

use crate::limit::Limiter;
use crate::limit::rate::Rate;
use crate::sync::{AtomicU64, Ordering};
use crate::time::clock::SteadyClock;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters of an id that is taken over.
const MOST_OF_ID: usize = 128;
/// How many failed requests have a line of their own in a second.
const FAILURES: u64 = 10;
/// How many lines wait for stderr.
const WAITING: usize = 8_192;
/// How long the last lines may take at the end.
const LAST: Duration = Duration::from_secs(2);

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

/// Begins to write the log of this process, from `level` on. Lines that are logged before the guard is dropped are written, if
/// stderr takes them within [`LAST`].
///
/// A process has one log. A log that was begun before continues with its own level and format.
#[must_use = "what was told is written when it is dropped"]
pub fn begin(level: Level, format: Format) -> Guard {
    let lines = Lines::of_process();
    let is_terminal = stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::from_level(level)).with_target(false);
    let log = log.with_writer(move || lines);
    // It fails where a log was begun before.
    let _ = match format {
        Format::Auto if is_terminal => log.with_ansi(has_colours()).try_init(),
        Format::Text => log.with_ansi(is_terminal && has_colours()).try_init(),
        Format::Auto | Format::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
    };
    let former = panic::take_hook();
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map(ToString::to_string).unwrap_or_default();
        let payload = panicked.payload();
        let why = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let why = why.unwrap_or_default();
        error!(place, "a thread panicked: {why}");
    }));
    Guard { lines, former: Some(former) }
}

type Hook = Box<dyn Fn(&panic::PanicHookInfo<'_>) + Sync + Send>;

/// Ends a log when it is dropped.
pub struct Guard {
    lines: &'static Lines,
    former: Option<Hook>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(former) = self.former.take().filter(|_| !std::thread::panicking()) {
            panic::set_hook(former);
        }
        self.lines.drain();
    }
}

/// Lines on their way to stderr.
struct Lines {
    queue: Sender<Line>,
    dropped: AtomicU64,
}

/// What the thread that writes is given.
enum Line {
    Text(Vec<u8>),
    /// Says when all before it is written.
    Last(Sender<()>),
}

impl Lines {
    /// Those of this process, which a thread of its own writes.
    fn of_process() -> &'static Self {
        static LINES: OnceLock<Lines> = OnceLock::new();
        LINES.get_or_init(|| {
            let (queue, lines) = bounded(WAITING);
            // Without the thread the queue fills up, and lines are dropped.
            let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || {
                for line in lines {
                    match line {
                        // A closed stderr leaves nowhere to complain to.
                        Line::Text(text) => drop(stderr().write_all(&text)),
                        Line::Last(written) => drop(written.try_send(())),
                    }
                }
            });
            Self { queue, dropped: AtomicU64::new(0) }
        })
    }

    /// Waits until all lines are written, but not for longer than [`LAST`].
    fn drain(&self) {
        let (told, written) = bounded(1);
        let end = SteadyClock.since_boot(false).saturating_add(LAST.as_nanos() as u64);
        if self.queue.send_timeout(Line::Last(told), LAST).is_ok() {
            let rest = end.saturating_sub(SteadyClock.since_boot(false));
            let _ = written.recv_timeout(Duration::from_nanos(rest));
        }
    }
}

/// The subscriber writes each line at once.
impl Write for &'static Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Line::Text(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until all logged lines are written, if stderr takes them within [`LAST`]. The queue has space for the last lines then.
pub fn drain() {
    Lines::of_process().drain();
}

/// Whether the user wants colours (no-color.org).
fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes the lines of requests into the log.
#[derive(Debug)]
pub struct Journal {
    has_addresses: bool,
    failures: Limiter,
    /// Failed requests that were not logged.
    untold: AtomicU64,
}

impl Journal {
    /// Tells the addresses of clients, if it `has_addresses`.
    pub fn new(has_addresses: bool) -> Self {
        let rate = Rate::new(FAILURES, Duration::from_secs(1)).expect("it is possible");
        let failures = Limiter::builder(rate).build().expect("it is possible");
        Self { has_addresses, failures, untold: AtomicU64::new(0) }
    }

    /// Tells of a request that was answered by `status`, if it has to, and gives its id to the answer.
    pub fn answered(&self, request: &Parts, client: IpAddr, begun: u64, status: u16, answer: &mut HeaderMap) {
        let given = request.headers.get(REQUEST_ID).filter(|id| is_id(id));
        let is_failed = status >= 500 && enabled!(Level::WARN);
        let is_warned = is_failed && self.failures.allow(1).allowed;
        let is_told = is_warned || enabled!(Level::DEBUG);
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
            let method = request.method.as_str();
            // Characters that a terminal obeys are among those that are not ASCII.
            let path = utf8_percent_encode(request.uri.path(), CONTROLS).to_string();
            if is_warned {
                warn!(method, path, status, micros, request_id, client, "a request failed");
            } else {
                debug!(method, path, status, micros, request_id, client, "answered");
            }
        }
        answer.insert(REQUEST_ID, id);
    }
}

impl Journal {
    /// Tells how many requests failed without a line of their own, and how many lines were dropped, since it was last called.
    pub fn rest(&self) {
        let untold = self.untold.swap(0, Ordering::Relaxed);
        if untold > 0 {
            warn!(requests = untold, "more requests failed");
        }
        let lines = Lines::of_process();
        // A full queue would drop this line, too.
        if !lines.queue.is_full() {
            let dropped = lines.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                warn!(lines = dropped, "lines of the log were dropped, because stderr took none");
            }
        }
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

    /// What `body` does while lines are written, which go nowhere.
    fn logged(body: impl FnOnce()) {
        let log = tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(io::sink).finish();
        tracing::subscriber::with_default(log, body);
    }

    #[test]
    fn ids_are_taken_over_or_made() {
        let journal = Journal::new(false);
        let long = "x".repeat(MOST_OF_ID);
        logged(|| {
            for id in ["a", "8e03978e-40d5-43e8", "a/b=c", &long] {
                assert_eq!(answered(&journal, Some(id), 200).as_deref(), Some(id));
            }
            for id in [None, Some(""), Some("a b"), Some("\u{fc}"), Some(&*(long.clone() + "x"))] {
                assert_eq!(answered(&journal, id, 200), None, "{id:?}");
                let made = answered(&journal, id, 500).expect("it is told");
                assert!(Uuid::parse_str(&made).is_ok(), "{made}");
            }
        });
        // No line, no id.
        assert_eq!(answered(&journal, None, 500), None);
    }

    #[test]
    fn no_more_than_some_failures_are_told() {
        let journal = Journal::new(false);
        logged(|| {
            let told = (0..10 * FAILURES).filter(|_| answered(&journal, None, 507).is_some()).count() as u64;
            // One more window, if it began meanwhile.
            assert!((FAILURES..=2 * FAILURES).contains(&told), "{told}");
            assert_eq!(journal.untold.load(Ordering::Relaxed), 10 * FAILURES - told);
            journal.rest();
            assert_eq!(journal.untold.load(Ordering::Relaxed), 0);
        });
    }
}
