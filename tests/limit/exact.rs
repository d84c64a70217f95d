//! Against lists: what was let through, when, and what a log of it would say.

use std::time::Duration;

use hitring::Limiter;
use proptest::prelude::*;

use super::{at, clocked, rate};

/// What was let through, in milliseconds and units, in the order of time.
type Log = Vec<(u64, u64)>;

/// The most that any span of `window` milliseconds holds.
fn fullest(log: &Log, window: u64) -> u64 {
    let within =
        |from: u64| log.iter().filter(|(at, _)| (from..from + window).contains(at)).map(|(_, cost)| cost).sum();
    log.iter().map(|&(from, _)| within(from)).max().unwrap_or_default()
}

fn since(log: &Log, from: u64) -> u64 {
    log.iter().filter(|(at, _)| *at >= from).map(|(_, cost)| cost).sum()
}

proptest! {
    /// A window of 6 s in steps of a second.
    #[test]
    fn a_sliding_window_is_never_over_its_limit_and_never_wastes_more_than_a_step(
        asked in proptest::collection::vec((0u64..1_500, 0u64..6, any::<bool>()), 1..200),
        limit in 1u64..12,
    ) {
        let (builder, clock) = clocked(limit, 6);
        let limiter = builder.resolution(Duration::from_secs(1)).build().expect("it is possible");
        // Steps begin at the first time that is used.
        let _ = limiter.peek();
        let (mut now, mut log) = (0, Log::new());
        for (wait, cost, by_clock) in asked {
            now += wait;
            clock.set(at(now));
            let peeked = limiter.peek();
            let decision = if by_clock { limiter.allow(cost) } else { limiter.allow_at(at(now), cost) };
            // The window is all ticks that the last six seconds touch: seven, as the running one is not over.
            let used = since(&log, (now / 1_000 * 1_000).saturating_sub(6_000));
            prop_assert_eq!(decision.allowed, used + cost <= limit, "used {} of {} at {}", used, limit, now);
            prop_assert_eq!((peeked.remaining, peeked.allowed), (limit - used, used < limit));
            prop_assert_eq!(decision.remaining, if decision.allowed { limit - used - cost } else { limit - used });
            if decision.allowed {
                prop_assert_eq!(decision.retry_after, Duration::ZERO);
                log.push((now, cost));
            } else if cost > limit {
                prop_assert_eq!(decision.retry_after, Duration::MAX);
            } else {
                // Right then it fits, and not a millisecond before.
                let wait = decision.retry_after.as_millis() as u64;
                let fits = |at: u64| since(&log, (at / 1_000 * 1_000).saturating_sub(6_000)) + cost <= limit;
                prop_assert!(fits(now + wait) && !fits(now + wait - 1), "{} after {}", wait, now);
            }
            prop_assert!(fullest(&log, 6_000) <= limit, "{:?}", log);
        }
    }

    /// A bucket of `burst`, refilled by one every 500 ms.
    #[test]
    fn a_bucket_is_what_it_is_said_to_be(
        asked in proptest::collection::vec((0u64..1_500, 0u64..6), 1..200),
        burst in 1u64..8,
    ) {
        let (builder, clock) = clocked(120, 60);
        let limiter = builder.burst(burst).build().expect("it is possible");
        // Half-milliseconds of tokens: one is 1,000 of them, two come with each millisecond.
        let (mut now, mut tokens) = (0, burst * 500);
        for (wait, cost) in asked {
            now += wait;
            tokens = (tokens + wait).min(burst * 500);
            clock.set(at(now));
            prop_assert_eq!(limiter.peek().remaining, tokens / 500);
            let decision = limiter.allow(cost);
            prop_assert_eq!(decision.allowed, cost * 500 <= tokens);
            if decision.allowed {
                tokens -= cost * 500;
            } else if cost <= burst {
                prop_assert_eq!(decision.retry_after, Duration::from_millis(cost * 500 - tokens));
            } else {
                prop_assert_eq!(decision.retry_after, Duration::MAX);
            }
            prop_assert_eq!(decision.remaining, tokens / 500);
        }
    }

    /// Any order of times: what is early is decided as of the newest time.
    #[test]
    fn time_does_not_go_back(asked in proptest::collection::vec(0u64..100_000, 1..100)) {
        let made = || Limiter::builder(rate(5, 10)).build().expect("it is possible");
        let (any, forward) = (made(), made());
        // The first time is the earliest that a limiter knows.
        let mut newest = 0;
        for millis in std::iter::once(0).chain(asked) {
            let decision = any.allow_at(at(millis), 1);
            // A refused cost leaves no trace, so neither does its time.
            let expected = forward.allow_at(at(newest.max(millis)), 1);
            prop_assert_eq!((decision.allowed, decision.remaining), (expected.allowed, expected.remaining));
            if decision.allowed {
                newest = newest.max(millis);
            }
        }
    }

    /// A bucket does not know the newest time, and an earlier one finds less, never more.
    #[test]
    fn early_times_find_no_more_tokens(asked in proptest::collection::vec(0u64..20_000, 1..100)) {
        let made = || Limiter::builder(rate(5, 10)).burst(3).build().expect("it is possible");
        let (any, sorted) = (made(), made());
        let _ = (any.allow_at(at(0), 0), sorted.allow_at(at(0), 0));
        let allowed = asked.iter().filter(|&&millis| any.allow_at(at(millis), 1).allowed).count() as u64;
        let last = asked.iter().copied().max().unwrap_or_default();
        prop_assert!(allowed <= 3 + last / 2_000, "{} by {}", allowed, last);
        let mut log = asked.clone();
        log.sort_unstable();
        prop_assert!(log.iter().filter(|&&millis| sorted.allow_at(at(millis), 1).allowed).count() as u64 >= allowed);
    }
}

#[test]
fn who_asks_all_the_time_gets_nearly_the_rate() {
    for (burst, least) in [(None, 59), (Some(10), 60)] {
        let (builder, clock) = clocked(10, 60);
        let limiter = burst.map_or(builder.clone(), |burst| builder.burst(burst)).build().expect("it is possible");
        let mut allowed = 0;
        for millis in (0..6 * 60_000).step_by(10) {
            clock.set(at(millis));
            allowed += u64::from(limiter.allow(1).allowed);
        }
        // A window of 60 and a step of 1 s: 5.9 windows of them; a bucket also begins full.
        assert!((least..=70).contains(&allowed), "{burst:?}: {allowed}");
    }
}

#[test]
fn counts_and_ticks_wrap_without_a_trace() {
    // 8 bits of count are 255: thousands of units come round often.
    let (builder, clock) = clocked(20, 1);
    let limiter = builder.resolution(Duration::from_millis(100)).build().expect("it is possible");
    for round in 0..2_000u64 {
        clock.set(at(round * 1_100));
        for left in (0..20).rev() {
            let decision = limiter.allow(1);
            assert!(decision.allowed && decision.remaining == left, "round {round}: {decision:?}");
        }
        assert!(!limiter.allow(1).allowed, "round {round}");
    }
    // A thousand years later.
    clock.set(hitring::Timestamp::try_from(33_000_000_000u64).expect("before the year 9999"));
    assert_eq!(limiter.allow(20).remaining, 0);
    assert!(!limiter.allow(1).allowed);
}
