//! A server, asked for what `GET /v1/top` and `GET /metrics` answer.
//!
//! A server tells how many hits a name had, not when. So the history is made of what was asked each second since this
//! began, of the [`MOST`] names that had the most hits in that second.
//!
//! Tests: `tests/top`.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::Deserialize;
use ureq::Agent;

use super::source::{About, Counted, Source};
use crate::cli::failure::Failure;
use crate::time::clock::SystemClock;

/// The most names that a server lists.
const MOST: usize = 1_000;
/// How long an answer may take. Keys wait as long.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer may have so many bytes: as many names as there may be, each as long as it may be, escaped.
const LONGEST_ANSWER: u64 = 16 << 20;
/// The numbers of `/metrics` that are shown, and what they are called.
const FACTS: [(&str, &str); 3] = [
    ("hitring_http_requests_total", "requests"),
    ("hitring_http_requests_limited_total", "limited"),
    ("hitring_hits_refused_total", "refused"),
];

#[derive(Deserialize)]
struct Top {
    last: u64,
    top: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    endpoint: String,
    count: u64,
}

pub(super) struct Server {
    /// The address, without a path.
    base: String,
    agent: Agent,
    window: Duration,
    now: u64,
    /// The hits of a second, by the second in which it was asked, oldest first.
    seconds: VecDeque<(u64, HashMap<String, u64>)>,
    last: Counted,
    facts: Vec<(&'static str, u64)>,
    note: Option<String>,
}

/// The address of a server, if `text` is one.
pub(super) fn address(text: &str) -> Option<Result<String, Failure>> {
    if text.starts_with("https://") {
        let cure = "give the server's own address with http://, from its host or through a tunnel";
        return Some(Err(Failure::Message(format!("{text}: https is not spoken here; {cure}"))));
    }
    let rest = text.strip_prefix("http://")?;
    let host = rest.trim_end_matches('/');
    let host = host.strip_suffix("/v1/top").unwrap_or(host);
    if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
        return Some(Err(Failure::Message(format!("{text}: give a server as http://HOST:PORT"))));
    }
    Some(Ok(format!("http://{host}")))
}

impl Server {
    pub(super) fn open(base: String) -> Result<Server, Failure> {
        let agent: Agent = Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
        let mut server = Server {
            base,
            agent,
            window: Duration::ZERO,
            now: SystemClock.now().secs(),
            seconds: VecDeque::new(),
            last: Counted::default(),
            facts: Vec::new(),
            note: None,
        };
        // Without a span it answers for its whole window.
        let whole = server.top("?n=1").map_err(|why| Failure::Message(format!("{}: {why}", server.base)))?;
        server.window = Duration::from_secs(whole.last);
        Ok(server)
    }

    fn get(&self, path: &str) -> Result<String, String> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        let mut answer = answer.map_err(|error| match error {
            ureq::Error::StatusCode(status) => format!("answers {path} with {status}; is it a server of hitring?"),
            other => format!("does not answer: {other}"),
        })?;
        let body = answer.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string();
        body.map_err(|error| format!("the answer cannot be read: {error}"))
    }

    fn top(&self, query: &str) -> Result<Top, String> {
        let answer = self.get(&format!("/v1/top{query}"))?;
        serde_json::from_str(&answer).map_err(|_| "the answer of /v1/top is not that of a server of hitring".to_owned())
    }

    fn ask(&mut self, last: Duration) -> Result<(), String> {
        let counted = self.top(&format!("?n={MOST}&last={}", last.as_secs()))?;
        let second = self.top(&format!("?n={MOST}&last=1"))?;
        let metrics = self.get("/metrics")?;
        self.facts = FACTS.map(|(name, fact)| (fact, sum_of(&metrics, name))).to_vec();
        let names: Vec<(String, u64)> = counted.top.into_iter().map(|place| (place.endpoint, place.count)).collect();
        self.last = Counted { all: names.iter().map(|(_, hits)| hits).sum(), names };
        // Asked twice in a second, the later answer has all that the first one has.
        if self.seconds.back().is_some_and(|(asked, _)| *asked == self.now) {
            self.seconds.pop_back();
        }
        self.seconds.push_back((self.now, second.top.into_iter().map(|place| (place.endpoint, place.count)).collect()));
        let oldest = self.now.saturating_sub(self.window.as_secs());
        while self.seconds.front().is_some_and(|(asked, _)| *asked <= oldest) {
            self.seconds.pop_front();
        }
        Ok(())
    }

    /// Adds up what `of` says of each second, by column.
    fn columns(&self, width: Duration, columns: usize, of: impl Fn(&HashMap<String, u64>) -> u64) -> Vec<u64> {
        let mut sums = vec![0_u64; columns];
        for (second, hits) in &self.seconds {
            let back = usize::try_from((self.now - second) / width.as_secs().max(1)).unwrap_or(usize::MAX);
            if let Some(at) = columns.checked_sub(1).and_then(|newest| newest.checked_sub(back)) {
                sums[at] = sums[at].saturating_add(of(hits));
            }
        }
        sums
    }
}

/// The sum of a metric over all labels.
fn sum_of(metrics: &str, name: &str) -> u64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { &rest[rest.rfind('}')? + 1..] } else { rest };
        rest.strip_prefix(' ')?.trim().parse::<f64>().ok()
    };
    metrics.lines().filter_map(value).sum::<f64>() as u64
}

impl Source for Server {
    fn title(&self) -> String {
        self.base.clone()
    }

    fn key(&self) -> &'static str {
        "endpoint"
    }

    fn window(&self) -> Duration {
        self.window
    }

    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// A server that does not answer is asked again next time; until then its last answer is shown.
    fn refresh(&mut self, last: Duration) -> Result<Counted, Failure> {
        // A clock that was set back would find seconds of the future.
        self.now = SystemClock.now().secs().max(self.now);
        self.note = self.ask(last).err();
        Ok(Counted { all: self.last.all, names: self.last.names.clone() })
    }

    fn histories(&mut self, names: &[&str], width: Duration, columns: usize) -> Vec<Vec<u64>> {
        let of = |name: &&str| self.columns(width, columns, |hits| hits.get(*name).copied().unwrap_or(0));
        names.iter().map(of).collect()
    }

    fn history(&mut self, width: Duration, columns: usize) -> Vec<u64> {
        self.columns(width, columns, |hits| hits.values().sum())
    }

    fn about(&mut self, _: Duration) -> About {
        let notes = self.note.iter().cloned();
        About { now: self.now.cast_signed(), statuses: None, facts: self.facts.clone(), notes: notes.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let ok = |text| address(text).and_then(Result::ok);
        assert_eq!(ok("http://127.0.0.1:8000").as_deref(), Some("http://127.0.0.1:8000"));
        assert_eq!(ok("http://[::1]:8000/v1/top/").as_deref(), Some("http://[::1]:8000"));
        assert!(address("access.log").is_none());
        for wrong in ["https://a", "http://", "http:///x", "http://a/b", "http://a?b"] {
            assert!(address(wrong).is_some_and(|address| address.is_err()), "{wrong}");
        }
    }

    #[test]
    fn metrics_are_summed_over_labels() {
        let page = "# HELP a_total x\na_total{x=\"1\"} 3\na_total{x=\"} 9\"} 4\na_total_more 5\nb 1e3\n";
        assert_eq!((sum_of(page, "a_total"), sum_of(page, "b"), sum_of(page, "c")), (7, 1_000, 0));
    }
}
