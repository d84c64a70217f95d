//! [`Range`]: the seconds that a query covers, and how many of their hits the ring still has.
//!
//! A range is closed: hits of the tick of its start and of the tick of its end count. The ring keeps the hits of a tick until it
//! needs the tick's slot for a newer one.
//!
//! | the range | count | exact |
//! |---|---|---|
//! | is at most as long as the window, and the ring has all its ticks | its hits | yes |
//! | is longer, or began before what the ring has | the hits that the ring has of its last ticks | if these are all hits that were ever counted |
//!
//! Tests: below, `tests/service`.

use std::fmt;
use std::time::Duration;

use crate::error::QueryError;
use crate::shared::SharedRegistry;
use crate::time::{Resolution, Tick, Timestamp};

/// The ticks from that of `start` to that of `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// When it begins.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
}

/// A range ends before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reversed(pub Range);

impl fmt::Display for Reversed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.0;
        write!(f, "the range begins at {start}, after its end at {end}; exchange them")
    }
}

impl std::error::Error for Reversed {}

/// How many hits there were in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Those that are known.
    pub count: u64,
    /// Whether that is all there were.
    pub exact: bool,
}

impl Range {
    /// The range from `start` to `end`; where one is missing, a window from or to the other; where both are, the last window.
    ///
    /// # Errors
    /// [`Reversed`].
    pub fn of(
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        now: Timestamp,
        window: Duration,
    ) -> Result<Self, Reversed> {
        let range = match (start, end) {
            (Some(start), Some(end)) => Self { start, end },
            (Some(start), None) => Self { start, end: start.saturating_add(all_but_one(window)) },
            (None, end) => Self::ending(end.unwrap_or(now), window),
        };
        if range.start <= range.end { Ok(range) } else { Err(Reversed(range)) }
    }

    /// The seconds of `span` that end with that of `end`.
    #[must_use]
    pub fn ending(end: Timestamp, span: Duration) -> Self {
        let start = end.as_duration().saturating_sub(all_but_one(span));
        Self { start: Timestamp::from_duration(start).unwrap_or_default(), end }
    }

    /// How many hits of `endpoint` the ring has.
    ///
    /// # Errors
    /// As [`SharedRegistry::query_hits`], but for [`QueryError::WindowExpired`].
    pub fn count(self, ring: &SharedRegistry, endpoint: &str) -> Result<Counted, QueryError> {
        let width = ring.resolution();
        let resolution = Resolution::new(width).expect("a registry has a resolution");
        let ticks = |span: Duration| (span.as_nanos() / width.as_nanos()) as u64;
        let (window, slack) = (ticks(ring.window()), u64::from(ring.slack()));
        // A hit cannot lie further ahead.
        let skew = ticks(ring.max_skew());
        let ahead = Tick(resolution.tick(ring.clock().now()).0 + skew);
        let (first, to) = (resolution.tick(self.start), resolution.tick(self.end).min(ahead));
        // Of a longer range the last ticks, as many as there are slots before now, because the ring cannot have more.
        let known = first.0.max((to.0 + 1).saturating_sub(window + slack + skew));
        let count = |from: u64| -> Result<u64, QueryError> {
            let (mut count, mut from) = (0u64, from);
            while from <= to.0 {
                let last = to.0.min(from + window - 1);
                let ticks = u32::try_from(last + 1 - from).unwrap_or(u32::MAX);
                let hits = ring.query_hits_at(endpoint, resolution.start(Tick(last)), width * ticks)?;
                count = count.saturating_add(hits.count);
                from = last + 1;
            }
            Ok(count)
        };
        let (count, whole) = match count(known) {
            Err(QueryError::WindowExpired { .. }) => {
                // Finds the first tick that the ring still has.
                let (mut unknown, mut from) = (known, to.0 + 1);
                while from - unknown > 1 {
                    let middle = unknown + (from - unknown) / 2;
                    match count(middle) {
                        Err(QueryError::WindowExpired { .. }) => unknown = middle,
                        _ => from = middle,
                    }
                }
                (count(from)?, false)
            }
            count => (count?, known == first.0),
        };
        Ok(Counted { count, exact: whole || count == ring.total_ever(endpoint) })
    }
}

/// `span` without its last second: the seconds at both ends of a range belong to it.
fn all_but_one(span: Duration) -> Duration {
    span.saturating_sub(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::outcome::Outcome;
    use crate::time::clock::ManualClock;

    fn at(second: u64) -> Timestamp {
        Timestamp::try_from(second).expect("before the year 9999")
    }

    #[test]
    fn what_the_ring_does_not_know_is_not_exact() {
        let path = std::env::temp_dir().join(format!("hitring-range-{}.ring", std::process::id()));
        let clock = ManualClock::new(at(1_000));
        let ring = SharedRegistry::builder().window(Duration::from_secs(10)).slack(4).clock(clock.clone());
        let ring = ring.max_endpoints(1).create(&path).expect("it can be made");
        let count = |start: u64, end: u64| {
            let Counted { count, exact } = Range { start: at(start), end: at(end) }.count(&ring, "a").expect("known");
            (count, exact)
        };
        for second in [990, 995, 1_000] {
            assert_eq!(ring.record_hit_at("a", at(second), 1), Ok(Outcome::Counted));
        }
        assert_eq!((count(990, 990), count(990, 1_000), count(991, 1_000)), ((1, true), (3, true), (2, true)));
        // All there ever were, whatever the ring knows of the time before.
        assert_eq!((count(0, 1_000), count(0, 253_402_300_799)), ((3, true), (3, true)));
        assert_eq!((count(0, 989), count(1_001, 5_000)), ((0, false), (0, true)));
        // The slot of 990 is used again: the smallest ring has 64 slots.
        clock.set(at(990 + 64));
        assert_eq!(ring.record_hit("a", 1), Ok(Outcome::Counted));
        assert_eq!((count(990, 990), count(988, 995), count(991, 1_000)), ((0, false), (1, false), (2, true)));
        assert_eq!(count(990, 1_054), (1, false));
        std::fs::remove_file(path).expect("it is ours");
    }

    #[test]
    fn what_is_missing_is_a_window() {
        let of = |start: Option<u64>, end: Option<u64>| {
            let range = Range::of(start.map(at), end.map(at), at(1_000), Duration::from_secs(300));
            range.map(|range| (range.start.secs(), range.end.secs()))
        };
        assert_eq!(of(None, None), Ok((701, 1_000)));
        assert_eq!(of(Some(100), None), Ok((100, 399)));
        assert_eq!(of(None, Some(100)), Ok((0, 100)));
        assert_eq!(of(Some(5), Some(5)), Ok((5, 5)));
        assert_eq!(of(Some(6), Some(5)), Err(Reversed(Range { start: at(6), end: at(5) })));
    }
}
