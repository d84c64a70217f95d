//! Thresholds in one thread: what matches, what is refused, and every crossing against an oracle that watches always.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use hitring::events::threshold::{Gauge, Thresholds};
use hitring::{ConfigError, Event, Tick};
use proptest::prelude::*;

const NONE: [u64; 0] = [];

fn seconds(ticks: u64) -> Duration {
    Duration::from_secs(ticks)
}

/// Hits, kept one by one, and a clock.
#[derive(Default)]
struct Log {
    now: Cell<u64>,
    hits: RefCell<Vec<(u64, u64)>>,
}

impl Log {
    fn record(&self, tick: u64, amount: u64) {
        self.hits.borrow_mut().push((tick, amount));
    }

    /// The hits in ticks after `until - last` and up to `upto`.
    fn sum(&self, until: u64, last: u64, upto: u64) -> u64 {
        let hits = self.hits.borrow();
        hits.iter().filter(|(tick, _)| tick + last > until && *tick <= upto).map(|(_, amount)| amount).sum()
    }
}

impl Gauge for Log {
    fn now(&self) -> Tick {
        Tick(self.now.get())
    }

    fn count(&self, until: Tick, last: Duration) -> Option<u64> {
        Some(self.sum(until.0, last.as_secs(), until.0))
    }

    fn before(&self, tick: Tick, last: Duration) -> Option<u64> {
        Some(self.sum(tick.0, last.as_secs(), tick.0.checked_sub(1)?))
    }
}

/// Records at `tick` by a clock that shows the same, and checks.
fn hit(thresholds: &Thresholds, log: &Log, tick: u64, amount: u64) -> Vec<u64> {
    log.now.set(tick);
    log.record(tick, amount);
    check(thresholds, log, tick)
}

fn check(thresholds: &Thresholds, log: &Log, tick: u64) -> Vec<u64> {
    counts(thresholds.check(&"a".into(), Tick(tick), log))
}

fn counts(events: Vec<Event>) -> Vec<u64> {
    let count = |event| match event {
        Event::ThresholdCrossed { hits, .. } => hits,
        other => panic!("{other:?} is no crossing"),
    };
    events.into_iter().map(count).collect()
}

#[test]
fn a_limit_or_range_of_nothing_is_refused() {
    let thresholds = Thresholds::new();
    assert_eq!(thresholds.add("a", seconds(1), 0), Err(ConfigError::NoLimit));
    assert_eq!(thresholds.add("a", seconds(0), 1), Err(ConfigError::NoSpan));
    assert!(thresholds.is_empty());
}

#[test]
fn patterns_are_names_or_globs() {
    let thresholds = Thresholds::new();
    for pattern in ["/a", "/b/*", "/c?", "[d]", "*é"] {
        thresholds.add(pattern, seconds(1), 1).expect("a valid watch");
    }
    for matching in ["/a", "/b/", "/b/x/y", "/c1", "/cü", "[d]", "é", "café"] {
        assert!(thresholds.matches_any(matching), "{matching}");
    }
    for other in ["", "/a/", "/A", "/b", "/c", "/c12", "d", "e"] {
        assert!(!thresholds.matches_any(other), "{other}");
    }
}

#[test]
fn a_crossing_says_what_crossed() {
    let thresholds = Thresholds::new();
    let exact = thresholds.add("a", seconds(10), 3).expect("a valid watch");
    let glob = thresholds.add("*", seconds(20), 5).expect("a valid watch");
    let log = Log::default();
    let endpoint: Arc<str> = "a".into();
    log.now.set(100);
    log.record(100, 5);
    let crossed = |last, limit, watch| Event::ThresholdCrossed {
        endpoint: Arc::clone(&endpoint),
        hits: 5,
        limit,
        last: seconds(last),
        watch,
    };
    assert_eq!(thresholds.check(&endpoint, Tick(100), &log), [crossed(10, 3, exact), crossed(20, 5, glob)]);
    assert_eq!(thresholds.check(&endpoint, Tick(100), &log), []);
    assert_eq!(thresholds.above(), 2);
    assert!(thresholds.remove(exact));
    assert!(!thresholds.remove(exact), "it is gone");
    assert_eq!(thresholds.above(), 1);
    assert!(thresholds.remove(glob));
    assert!(thresholds.is_empty());
    assert!(!thresholds.matches_any("a"));
}

#[test]
fn the_state_table_row_by_row() {
    let thresholds = Thresholds::new();
    thresholds.add("a", seconds(10), 10).expect("a valid watch");
    let log = Log::default();
    assert_eq!(hit(&thresholds, &log, 100, 9), NONE, "below, stays below");
    assert_eq!(thresholds.above(), 0);
    assert_eq!(hit(&thresholds, &log, 101, 1), [10], "below, crosses");
    assert_eq!(hit(&thresholds, &log, 101, 5), NONE, "above, in the tick of the crossing");
    assert_eq!(hit(&thresholds, &log, 105, 5), NONE, "above, later");
    assert_eq!(hit(&thresholds, &log, 110, 1), NONE, "9 left, 11 still there");
    assert_eq!(hit(&thresholds, &log, 115, 1), NONE, "fell to 1, and stays below");
    assert_eq!(thresholds.above(), 0);
    assert_eq!(hit(&thresholds, &log, 116, 20), [22], "below, crosses");
    assert_eq!(hit(&thresholds, &log, 126, 10), [10], "fell to 0 in silence, and rose");
    assert_eq!(thresholds.above(), 1);
    thresholds.forget("a");
    assert_eq!(thresholds.above(), 0);
}

#[test]
fn an_unknown_count_changes_nothing() {
    struct Unknown;
    impl Gauge for Unknown {
        fn now(&self) -> Tick {
            Tick(500)
        }

        fn count(&self, _: Tick, _: Duration) -> Option<u64> {
            None
        }

        fn before(&self, _: Tick, _: Duration) -> Option<u64> {
            None
        }
    }
    let thresholds = Thresholds::new();
    thresholds.add("a", seconds(10), 10).expect("a valid watch");
    let log = Log::default();
    assert_eq!(thresholds.check(&"a".into(), Tick(500), &Unknown), []);
    assert_eq!(hit(&thresholds, &log, 100, 10), [10]);
    assert_eq!(thresholds.check(&"a".into(), Tick(500), &Unknown), []);
    assert_eq!(thresholds.above(), 1);
}

#[test]
fn hits_that_are_counted_before_their_check_cross_once() {
    let thresholds = Thresholds::new();
    thresholds.add("a", seconds(10), 10).expect("a valid watch");
    let log = Log::default();
    // Two threads record 5 each, in one tick or two, and check in either order.
    for (round, (first, second)) in [(0, 0), (0, 1), (1, 0)].into_iter().enumerate() {
        let tick = 100 + 100 * round as u64;
        log.now.set(tick + 1);
        log.record(tick + first, 5);
        log.record(tick + second, 5);
        assert_eq!([check(&thresholds, &log, tick + first), check(&thresholds, &log, tick + second)].concat(), [10]);
        // What was hit in the first ticks falls out, 5 stay, and two threads add 5 each.
        log.record(tick + 5, 5);
        assert_eq!(check(&thresholds, &log, tick + 5), NONE);
        log.now.set(tick + 13);
        log.record(tick + 12 + first, 5);
        log.record(tick + 12 + second, 5);
        let told = [check(&thresholds, &log, tick + 12 + first), check(&thresholds, &log, tick + 12 + second)];
        assert_eq!(told.concat(), [15], "5 rose to 15");
    }
}

#[test]
fn a_hit_ahead_of_the_clock_does_not_cross_twice() {
    let thresholds = Thresholds::new();
    thresholds.add("a", seconds(10), 10).expect("a valid watch");
    let log = Log::default();
    assert_eq!(hit(&thresholds, &log, 100, 10), [10]);
    log.now.set(108);
    log.record(112, 1);
    assert_eq!(check(&thresholds, &log, 112), NONE, "the ten are still there at 108");
}

#[test]
fn memory_is_kept_for_what_is_above_alone() {
    let thresholds = Thresholds::new();
    thresholds.add("*", seconds(10), 10).expect("a valid watch");
    let (low, high) = (Log::default(), Log::default());
    low.record(0, 1);
    high.record(0, 10);
    for number in 0..1_000 {
        let endpoint = format!("endpoint {number}").into();
        let log = if number % 10 == 0 { &high } else { &low };
        let _ = thresholds.check(&endpoint, Tick(0), log);
    }
    assert_eq!(thresholds.above(), 100);
}

proptest! {
    /// The oracle looks at the count in every tick, whether anything is hit in it or not.
    #[test]
    fn every_crossing_is_told_once(
        watches in proptest::collection::vec((1u64..8, 1u64..25), 1..4),
        hits in proptest::collection::vec((0u64..6, 1u64..9), 0..60),
    ) {
        let thresholds = Thresholds::new();
        let mut above = Vec::new();
        for (last, limit) in &watches {
            thresholds.add("a", seconds(*last), *limit).expect("a valid watch");
            above.push(false);
        }
        let log = Log::default();
        let mut now = 1_000;
        for (later, amount) in hits {
            for _ in 0..later {
                now += 1;
                for (above, (last, limit)) in above.iter_mut().zip(&watches) {
                    *above &= log.sum(now, *last, now) >= *limit;
                }
            }
            let told = hit(&thresholds, &log, now, amount);
            let mut expected = Vec::new();
            for (above, (last, limit)) in above.iter_mut().zip(&watches) {
                let count = log.sum(now, *last, now);
                if count >= *limit && !*above {
                    *above = true;
                    expected.push(count);
                }
            }
            prop_assert_eq!(told, expected);
        }
    }
}
