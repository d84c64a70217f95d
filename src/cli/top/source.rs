//! Something that counts hits, looked at from outside.
//!
//! | source | counts | file |
//! |---|---|---|
//! | logs | here, as their lines are read | `logs.rs` |
//! | the file of a shared registry | in the processes that have it open | `shared.rs` |
//! | a server | there | `server.rs` |
//!
//! Tests: `tests/top`.

use std::time::Duration;

use crate::cli::escape::shown;
use crate::cli::failure::Failure;

/// The classes of statuses: 1xx to 5xx, and all others.
pub(super) const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// The facts of a source beside the hits of names.
#[derive(Debug, Default)]
pub(super) struct About {
    /// Unix seconds up to which is counted.
    pub(super) now: i64,
    /// Hits by status in the span that was asked for, in the order of [`STATUSES`].
    pub(super) statuses: Option<[u64; STATUSES.len()]>,
    /// Numbers of all time and what they are called, such as malformed lines.
    pub(super) facts: Vec<(&'static str, u64)>,
    /// A message for the user, such as that the file is gone.
    pub(super) notes: Vec<String>,
}

/// Hits in a span.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) all: u64,
    /// The names that have hits, in any order.
    pub(super) names: Vec<(String, u64)>,
}

/// Counted hits by name.
///
/// Spans are whole ticks, end with the moment of the last [`refresh`](Source::refresh), and are not longer than
/// [`window`](Source::window).
pub(super) trait Source {
    /// What it is called.
    fn title(&self) -> String;

    /// What its names are, such as `path`.
    fn key(&self) -> &'static str;

    /// A name as it is safe to show.
    fn label(&self, name: &str) -> String {
        shown(name.as_bytes())
    }

    /// Whether no hits will come any more.
    fn is_over(&self) -> bool {
        false
    }

    /// The longest span that can be asked for.
    fn window(&self) -> Duration;

    /// The width of a tick.
    fn resolution(&self) -> Duration;

    /// Fixes the moment up to which is counted, and returns the hits in `last`.
    fn refresh(&mut self, last: Duration) -> Result<Counted, Failure>;

    /// The hits of each of `names` in `columns` spans of `width` each, oldest first.
    fn histories(&mut self, names: &[&str], width: Duration, columns: usize) -> Vec<Vec<u64>>;

    /// The same of all names together.
    fn history(&mut self, width: Duration, columns: usize) -> Vec<u64>;

    /// The other facts of the source, over the span `last`.
    fn about(&mut self, last: Duration) -> About;
}
