//! Against lists: what was let through, when, and what a log of it would say.

use std::time::Duration;

use hitring::{Limiter, ManualClock, Rate, Rates, Timestamp};
use proptest::prelude::*;

use super::{START, at, clocked, rate};

/// What was let through, in milliseconds and units, in the order of time.
type Log = Vec<(u64, u64)>;

/// So many nanoseconds after the start.
fn at_nanos(nanos: u64) -> Timestamp {
    Timestamp::new(START + nanos / 1_000_000_000, (nanos % 1_000_000_000) as u32).expect("before the year 9999")
}

/// A bucket as fractions say it is: what is missing, in parts of a nanosecond of which `limit` are one, and when it was asked.
struct Exact {
    limit: u128,
    window: u128,
    burst: u128,
    full_at: u128,
}

impl Exact {
    fn new(limit: u64, window: u64, burst: u64) -> Self {
        Self { limit: limit.into(), window: window.into(), burst: burst.into(), full_at: 0 }
    }

    /// When there is room for `cost`, in such parts.
    fn room_at(&self, cost: u64) -> u128 {
        (self.full_at + u128::from(cost) * self.window).saturating_sub(self.burst * self.window)
    }

    fn take(&mut self, nanos: u64, cost: u64) {
        self.full_at = self.full_at.max(u128::from(nanos) * self.limit) + u128::from(cost) * self.window;
    }

    /// A unit of the bucket is less than 2 ns, or a token if that is less.
    fn unit(&self) -> u128 {
        if self.window < self.limit { self.window } else { 2 * self.limit }
    }
}

/// The most that any span of `window` milliseconds holds.
fn fullest(log: &Log, window: u64) -> u64 {
    let within =
        |from: u64| log.iter().filter(|(at, _)| (from..from + window).contains(at)).map(|(_, cost)| cost).sum();
    log.iter().map(|&(from, _)| within(from)).max().unwrap_or_default()
}

fn since(log: &Log, from: u64) -> u64 {
    log.iter().filter(|(at, _)| *at >= from).map(|(_, cost)| cost).sum()
}

/// Empties a bucket of `limit` a `window` at `begin`, in nanoseconds, and waits as long as it says.
fn tokens_are_back(limit: u64, window: u64, begin: u64) -> Result<u64, TestCaseError> {
    let rate = Rate::new(limit, Duration::from_nanos(window)).expect("a possible rate");
    let limiter = Limiter::builder(rate).burst(limit).build().expect("it fits");
    let _ = limiter.peek_at(at(0), 1);
    prop_assert!(limiter.allow_at(at_nanos(begin), limit).allowed);
    let wait = limiter.allow_at(at_nanos(begin), limit).retry_after.expect("it fits then").as_nanos() as u64;
    // A unit of more than a nanosecond may have begun in the nanosecond before. Then it does so a window later, too.
    let has_whole_units = window.is_multiple_of(limit) || window < limit;
    prop_assert!(wait == window || wait + 1 == window && !has_whole_units, "{} of {}", wait, window);
    prop_assert!(limiter.peek_at(at_nanos(begin + wait - 1), 1).remaining < limit);
    prop_assert!(limiter.allow_at(at_nanos(begin + wait), limit).allowed);
    Ok(wait)
}

/// Chance finds a nanosecond that is the second one of its unit in one run of thirty.
#[test]
fn a_window_later_in_the_second_nanosecond_of_a_unit() {
    let waits = [999_462_552_088_726, 999_462_552_088_727]
        .map(|begin| tokens_are_back(1_464_927_235, 1_980_231_453_864, begin));
    assert_eq!(waits.map(|wait| wait.expect("they are back")), [1_980_231_453_864, 1_980_231_453_863]);
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
        let _ = limiter.peek(1);
        let (mut now, mut log) = (0, Log::new());
        for (wait, cost, by_clock) in asked {
            now += wait;
            clock.set(at(now));
            let peeked = limiter.peek(1);
            let decision = if by_clock { limiter.allow(cost) } else { limiter.allow_at(at(now), cost) };
            // The window is all ticks that the last six seconds touch: seven, as the running one is not over.
            let used = since(&log, (now / 1_000 * 1_000).saturating_sub(6_000));
            prop_assert_eq!(decision.allowed, used + cost <= limit, "used {} of {} at {}", used, limit, now);
            prop_assert_eq!((peeked.remaining, peeked.allowed), (limit - used, used < limit));
            prop_assert_eq!(decision.remaining, if decision.allowed { limit - used - cost } else { limit - used });
            if decision.allowed {
                prop_assert_eq!(decision.retry_after, Some(Duration::ZERO));
                log.push((now, cost));
            } else if cost > limit {
                prop_assert_eq!(decision.retry_after, None);
            } else {
                // Right then it fits, and not a millisecond before.
                let wait = decision.retry_after.expect("it fits then").as_millis() as u64;
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
            prop_assert_eq!(limiter.peek(1).remaining, tokens / 500);
            let decision = limiter.allow(cost);
            prop_assert_eq!(decision.allowed, cost * 500 <= tokens);
            if decision.allowed {
                tokens -= cost * 500;
            } else if cost <= burst {
                prop_assert_eq!(decision.retry_after, Some(Duration::from_millis(cost * 500 - tokens)));
            } else {
                prop_assert_eq!(decision.retry_after, None);
            }
            prop_assert_eq!(decision.remaining, tokens / 500);
        }
    }

    /// Rates that do not divide a nanosecond, at any time: never a unit too early or too late, however long.
    #[test]
    fn a_bucket_has_the_rate_of_a_fraction(
        limit in prop_oneof![1u64..100, 1u64..=1 << 32],
        window in prop_oneof![Just(1_000_000_000u64), Just(60_000_000_000), 1_000_000u64..=1 << 45],
        burst in prop_oneof![1u64..8, 1u64..1 << 20],
        asked in proptest::collection::vec((0u64..3, 0.0f64..3.0, 1u64..4), 1..120),
    ) {
        let clock = ManualClock::new(at(0));
        let rate = Rate::new(limit, Duration::from_nanos(window)).expect("a possible rate");
        // All of it comes within the time that there is.
        let burst = burst.min(((1u128 << 52) * u128::from(limit) / u128::from(window)) as u64).max(1);
        let limiter = Limiter::builder(rate).burst(burst).clock(clock.clone()).build().expect("it fits");
        let (mut now, mut exact) = (0u64, Exact::new(limit, window, burst));
        for (kind, wait, parts) in asked {
            // Some tokens, some bursts, or exactly as long as the last refusal says.
            let tokens = [wait, wait * burst as f64][kind as usize % 2];
            now += (tokens * window as f64 / limit as f64) as u64;
            let cost = (burst * parts / 3).clamp(1, burst);
            clock.set(at_nanos(now));
            let decision = limiter.allow(cost);
            let (room_at, unit) = (exact.room_at(cost), exact.unit());
            if decision.allowed {
                prop_assert!(room_at < u128::from(now) * exact.limit + unit, "{} of {} at {}", cost, rate, now);
                exact.take(now, cost);
                continue;
            }
            prop_assert!(room_at + unit > u128::from(now) * exact.limit, "{} of {} at {}", cost, rate, now);
            let wait = decision.retry_after.expect("it fits then").as_nanos() as u64;
            let waited = u128::from(now + wait) * exact.limit;
            prop_assert!(room_at < waited + unit && room_at + unit + exact.limit > waited, "{} after {}", wait, now);
            if kind == 2 {
                // Then it is let through, and not a nanosecond before.
                clock.set(at_nanos(now + wait - 1));
                prop_assert!(!limiter.allow(cost).allowed);
                now += wait;
                clock.set(at_nanos(now));
                prop_assert!(limiter.allow(cost).allowed, "{} of {} {} after {}", cost, rate, wait, now);
                exact.take(now, cost);
            }
        }
    }

    /// A bucket that was emptied has every token again when its time is over, and not before.
    #[test]
    fn a_window_later_a_windows_tokens_are_back(
        limit in prop_oneof![1u64..100, 1u64..=1 << 32], window in 1_000_000u64..=1 << 45, begin in 0u64..1 << 50,
    ) {
        tokens_are_back(limit, window, begin)?;
    }

    /// A small limit, at any nanosecond: a cost is let through exactly if it fits beside what came in the window before it.
    #[test]
    fn a_log_is_a_log(
        limit in 1u64..=64,
        asked in proptest::collection::vec((0u64..4, 0u64..2_000_000_000, 0u64..70), 1..200),
    ) {
        const WINDOW: u64 = 6_000_000_000;
        let (builder, clock) = clocked(limit, 6);
        let limiter = builder.build().expect("it is possible");
        let (mut now, mut log) = (0, Log::new());
        for (kind, wait, cost) in asked {
            // Often at the same time, or exactly when something leaves.
            let leaves = log.iter().map(|(at, _)| at + WINDOW).find(|&leaves| leaves > now);
            now = match kind {
                0 => now,
                1 => leaves.unwrap_or(now),
                2 => leaves.map_or(now, |leaves| leaves - 1),
                _ => now + wait,
            };
            clock.set(at_nanos(now));
            let cost = if cost > 64 { limit + cost - 64 } else { cost % (limit + 1) };
            // What came at `now - WINDOW` is out.
            let used = |now: u64| since(&log, (now + 1).saturating_sub(WINDOW));
            let left = limit - used(now);
            let peeked = limiter.peek(1);
            prop_assert_eq!((peeked.allowed, peeked.remaining), (left > 0, left));
            let decision = limiter.allow(cost);
            prop_assert_eq!(decision.allowed, cost <= left, "{} of {} at {}: {:?}", cost, left, now, log);
            prop_assert_eq!(decision.remaining, if decision.allowed { left - cost } else { left });
            if decision.allowed {
                prop_assert_eq!(decision.retry_after, Some(Duration::ZERO));
                log.push((now, cost));
            } else if cost > limit {
                prop_assert_eq!(decision.retry_after, None);
            } else {
                let then = now + decision.retry_after.expect("it fits then").as_nanos() as u64;
                let fits = |at: u64| log.iter().all(|(came, _)| *came <= at) && used(at) + cost <= limit;
                prop_assert!(fits(then) && !fits(then - 1), "{} after {}", then - now, now);
            }
        }
    }

    /// Several limits: a cost is let through exactly when each of them, alone, would let it through after the same history.
    #[test]
    fn several_limits_are_each_kept(
        limits in proptest::collection::vec((1u64..100, prop_oneof![Just(1u64), Just(2), Just(5), Just(30), Just(1_000)]), 2..=4),
        asked in proptest::collection::vec((0u64..4, 0u64..3_000_000_000, 0u64..40), 1..150),
    ) {
        let rates: Vec<Rate> = limits.iter().map(|&(limit, seconds)| rate(limit, seconds)).collect();
        let (clock, together) = (ManualClock::new(at(0)), Rates::new(&rates).expect("at most four"));
        let limiter = Limiter::together(together).clock(clock.clone()).build().expect("they fit");
        let _ = limiter.peek(0);
        let (mut now, mut log) = (0u64, Log::new());
        for (kind, wait, cost) in asked {
            now += [0, wait / 1_000, wait, wait * 20][kind as usize];
            clock.set(at_nanos(now));
            let decision = limiter.allow(cost);
            // What each leaves, at least, and at most: a window that slides may count what left it up to a part of it ago.
            let left = |rate: &Rate, parts: u64| {
                let window = rate.window().as_nanos() as u64;
                // The parts of a wider window are whole multiples of those of a narrower one, so up to twice as wide.
                let part = if rate.limit() > 64 { parts * (window / 60 * 2 + 60) } else { 0 };
                rate.limit().saturating_sub(since(&log, (now + 1).saturating_sub(window + part)))
            };
            let least_left = |parts| rates.iter().map(|rate| left(rate, parts)).min().unwrap_or_default();
            let (least, most) = (least_left(1), least_left(0));
            if cost <= least {
                prop_assert!(decision.allowed, "{} of {} at {}: {:?}", cost, together, now, log);
            }
            let before = decision.remaining + if decision.allowed { cost } else { 0 };
            prop_assert!((least..=most).contains(&before), "{} in {}..={} at {}", before, least, most, now);
            if decision.allowed {
                prop_assert!(cost <= most, "{} of {} at {}: {:?}", cost, together, now, log);
                log.push((now, cost));
                continue;
            }
            // The limit that is named refuses, and the wait is enough, and not a nanosecond too long.
            let named = rates[usize::from(decision.which)];
            let highest = rates.iter().map(Rate::limit).min().unwrap_or_default();
            prop_assert_eq!(decision.retry_after.is_none(), cost > highest);
            if let Some(wait) = decision.retry_after {
                let then = now + wait.as_nanos() as u64;
                prop_assert!(then <= now + named.window().as_nanos() as u64 * 31 / 30 + 60);
                clock.set(at_nanos(then - 1));
                prop_assert!(!limiter.peek(cost).allowed, "{} before {}", then - 1, now);
                clock.set(at_nanos(then));
                prop_assert!(limiter.peek(cost).allowed, "{} after {}", wait.as_nanos(), now);
            }
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
fn a_client_exactly_on_the_rate_is_let_through() {
    for (rate, millis) in [("1/s", 1_000), ("5/s", 200), ("1/100ms", 100), ("64/minute", 937), ("7/minute", 8_572)] {
        let clock = ManualClock::new(at(0));
        let parsed: Rate = rate.parse().expect("a rate");
        let made = || Limiter::builder(parsed).clock(clock.clone());
        let step = if rate == "64/minute" { millis + 1 } else { millis };
        for limiter in [made().build(), made().burst(1).build()].map(|built| built.expect("it fits")) {
            for turn in 0..500 {
                clock.set(at(turn * step + 17));
                assert!(limiter.allow(1).allowed, "{rate}, turn {turn}");
            }
            clock.set(at(0));
        }
    }
}

#[test]
fn rates_of_tokens_that_are_no_whole_number_of_nanoseconds_are_kept() {
    for (text, limit, seconds) in [
        ("3/s", 3, 1),
        ("7/minute", 7, 60),
        ("3/10s", 3, 10),
        ("30/7s", 30, 7),
        ("11/minute", 11, 60),
        ("300000/s", 300_000, 1),
        ("700000000/s", 700_000_000, 1),
        ("600000001/s", 600_000_001, 1),
        ("4294967296/s", 1 << 32, 1),
        ("4294967296/ms", 1 << 32, 1),
    ] {
        let limiter = Limiter::builder(text.parse().expect("a rate")).burst(limit).build().expect("it fits");
        for round in 0..10 {
            let decision = limiter.allow_at(at(round * seconds * 1_000), limit);
            assert!(decision.allowed && decision.remaining == 0, "{text}, round {round}: {decision:?}");
        }
    }
}

#[test]
fn the_words_of_fast_rates_come_round_without_a_trace() {
    // A lap of all words is 24.8 days.
    let limiter = Limiter::builder("4294967296/ms".parse().expect("a rate")).burst(1 << 32).build().expect("it fits");
    let mut now = 0;
    for round in 0..200u64 {
        assert!(limiter.allow_at(at(now), 1 << 32).allowed, "round {round}");
        assert!(!limiter.allow_at(at(now), 1).allowed, "round {round}");
        now += 1_000 * (1 + round * 7_919 % 86_400 * 3);
    }
}

#[test]
fn who_asks_all_the_time_gets_nearly_the_rate() {
    for (burst, least) in [(None, 59), (Some(10), 60)] {
        let (builder, clock) = clocked(10, 60);
        let sliding = builder.clone().resolution(Duration::from_secs(1));
        let limiter = burst.map_or(sliding, |burst| builder.burst(burst)).build().expect("it is possible");
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
