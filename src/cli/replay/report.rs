//! The answer, and its JSON form.
//!
//! ```text
//! {"lines", "malformed", "headers", "events", "first", "last",
//!  "distinct": {"path", "client"},
//!  "stripped": {kind: lines},
//!  "estimates": {"path", "unique_clients", "hits_too_low_by", "seconds"},
//!  "top": [{"path", "hits", "unique_clients"}],
//!  "windows": [{"at", "last", "hits", "by_path": {path: hits}}]}
//! ```
//!
//! Everything is an integer except estimated errors and paths, which are shown by the rule of `escape`. `first` and `last` are unix seconds,
//! null when nothing was hit. `windows` has one entry for each `--at`, in their order; without any it has the busiest
//! window and the one that ends at the last hit, and nothing when nothing was hit. `by_path` has the paths of `--path`,
//! in their order, zeros included; without any it has the paths of `top`. `stripped` has the kinds of prefixes that were
//! taken off lines. `client` and `unique_clients` are null when the clients are not known. With another key than the path,
//! its name stands for `path` in `distinct`, `top` and `estimates`. `estimates` is empty while all is exact (`tally.rs`).
//!
//! Tests: `tests/replay`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::names::Id;
use super::reading::Read;
use super::tally::Estimates;
use super::timeline::Timeline;
use crate::cli::columns::{grouped, length};
use crate::cli::escape::shown;
use crate::cli::log::key::{CLIENT, Key};
use crate::cli::log::prefix::Kind;

/// What is asked of the logs.
pub(super) struct Question {
    /// Window ends in unix seconds; none: the busiest and the last.
    pub(super) at: Vec<i64>,
    /// Window length in seconds.
    pub(super) last: i64,
    /// Paths to count in each window, each once; none: the top paths.
    pub(super) paths: Vec<Vec<u8>>,
    /// How many paths to list.
    pub(super) top: usize,
    pub(super) key: Key,
}

#[derive(serde::Serialize)]
pub(super) struct Report {
    pub(super) lines: u64,
    pub(super) malformed: u64,
    pub(super) headers: u64,
    pub(super) events: u64,
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    pub(super) distinct: Distinct,
    pub(super) stripped: Map<&'static str, u64>,
    pub(super) estimates: Estimated,
    pub(super) top: Vec<TopRow>,
    /// The keys that were asked for.
    #[serde(skip)]
    pub(super) named: Vec<TopRow>,
    pub(super) windows: Vec<Window>,
}

pub(super) struct Distinct {
    /// What hits are counted under, as in [`Key::name`].
    key_name: &'static str,
    pub(super) keys: usize,
    pub(super) clients: Option<usize>,
}

impl Serialize for Distinct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.key_name != CLIENT {
            map.serialize_entry(self.key_name, &self.keys)?;
        }
        map.serialize_entry(CLIENT, &self.clients)?;
        map.end()
    }
}

/// What is not exact, each with its error.
pub(super) struct Estimated {
    key_name: &'static str,
    pub(super) estimates: Estimates,
}

impl Estimated {
    /// What is not exact, as sentences about several of `plural`.
    pub(super) fn in_words(&self, plural: &str) -> Vec<String> {
        let Estimates { paths, clients, too_low_by, step } = self.estimates;
        let about = |what: &str, error: f64| {
            format!("the number of {what} is an estimate, with a standard error of {:.1} %", error * 100.0)
        };
        let all = [
            clients.map(|error| about("clients", error)),
            paths.filter(|_| self.key_name != CLIENT).map(|error| about(plural, error)),
            too_low_by.map(|by| format!("of one of the {plural} up to {} hits may be missing", grouped(by))),
            step.map(|step| format!("times in windows are rounded down to {}", length(step))),
        ];
        all.into_iter().flatten().collect()
    }

    fn new(estimates: &Estimates, key_name: &'static str) -> Estimated {
        Estimated { key_name, estimates: *estimates }
    }
}

impl Serialize for Estimated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Estimates { paths, clients, too_low_by, step } = self.estimates;
        let mut map = serializer.serialize_map(None)?;
        let paths = paths.filter(|_| self.key_name != CLIENT);
        for (name, error) in [(self.key_name, paths), ("unique_clients", clients)] {
            error.map_or(Ok(()), |error| map.serialize_entry(name, &error))?;
        }
        too_low_by.map_or(Ok(()), |by| map.serialize_entry("hits_too_low_by", &by))?;
        step.map_or(Ok(()), |step| map.serialize_entry("seconds", &step))?;
        map.end()
    }
}

pub(super) struct TopRow {
    key_name: &'static str,
    pub(super) key: String,
    pub(super) hits: u64,
    pub(super) unique_clients: Option<usize>,
}

impl Serialize for TopRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry(self.key_name, &self.key)?;
        map.serialize_entry("hits", &self.hits)?;
        map.serialize_entry("unique_clients", &self.unique_clients)?;
        map.end()
    }
}

#[derive(serde::Serialize)]
pub(super) struct Window {
    pub(super) at: i64,
    pub(super) last: i64,
    pub(super) hits: u64,
    pub(super) by_path: Map<String, Option<u64>>,
    /// Why the window is in the report; empty if `--at` asked for it.
    #[serde(skip)]
    pub(super) why: &'static str,
}

/// Names with numbers, in a meaningful order.
pub(super) struct Map<N, V>(pub(super) Vec<(N, V)>);

impl<N: Serialize, V: Serialize> Serialize for Map<N, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, number) in &self.0 {
            map.serialize_entry(name, number)?;
        }
        map.end()
    }
}

impl Report {
    pub(super) fn new(read: &Read, question: &Question) -> Report {
        let counted = &read.counted;
        let timeline = counted.timeline();
        let top = counted.top(question.top);
        let by_path: Vec<(String, Option<Timeline>)> = if question.paths.is_empty() {
            top.iter().map(|&id| counted.path(id)).map(|path| (shown(path), counted.path_timeline(path))).collect()
        } else {
            question.paths.iter().map(|path| (shown(path), counted.path_timeline(path))).collect()
        };
        let window = |(at, why): (i64, &'static str)| {
            let hits_of = |(path, timeline): &(String, Option<Timeline>)| {
                (path.clone(), timeline.as_ref().map(|timeline| timeline.hits(at, question.last)))
            };
            Window {
                at,
                last: question.last,
                hits: timeline.hits(at, question.last),
                by_path: Map(by_path.iter().map(hits_of).collect()),
                why,
            }
        };
        let ends: Vec<(i64, &'static str)> = if question.at.is_empty() {
            let busiest = timeline.busiest(question.last).map(|at| (at, "busiest"));
            let last = counted.first_and_last().map(|(_, last)| (last, "last hit"));
            busiest.into_iter().chain(last).collect()
        } else {
            question.at.iter().map(|&at| (at, "")).collect()
        };
        let key_name = question.key.name();
        let known = |clients: usize| read.clients_are_known.then_some(clients);
        let row = |key: &[u8], id: Option<Id>| TopRow {
            key_name,
            key: shown(key),
            hits: id.map_or(0, |id| counted.path_hits(id)),
            unique_clients: known(match id {
                Some(_) if key_name == CLIENT => 1,
                Some(id) => counted.path_clients(id),
                None => 0,
            }),
        };
        let stripped = Kind::ALL.iter().map(|kind| kind.name()).zip(read.stripped);
        Report {
            lines: read.lines,
            malformed: read.malformed,
            headers: read.headers,
            events: read.lines - read.malformed - read.headers,
            first: counted.first_and_last().map(|(first, _)| first),
            last: counted.first_and_last().map(|(_, last)| last),
            distinct: Distinct { key_name, keys: counted.distinct_paths(), clients: known(counted.distinct_clients()) },
            estimates: Estimated::new(&counted.estimates, key_name),
            stripped: Map(stripped.filter(|(_, lines)| *lines > 0).collect()),
            top: top.iter().map(|&id| row(counted.path(id), Some(id))).collect(),
            named: question.paths.iter().map(|path| row(path, counted.id(path))).collect(),
            windows: ends.into_iter().map(window).collect(),
        }
    }
}
