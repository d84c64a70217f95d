//! Rates that are changed while a limiter is used: what was let through counts on, and nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hitring::limit::place::Place;
use hitring::limit::plan::{Form, Plan, State, Version};
use hitring::{KeyedLimiter, LimitError, Limiter, ManualClock, Rate, Rates, WhenKeysFull};
use proptest::prelude::*;

use super::{START, at, clocked, rate};
use crate::threads::together;

fn rates(text: &str) -> Rates {
    text.parse().expect("possible rates")
}

/// A limiter of `text` whose clock stands at the start.
fn limiter(text: &str, burst: Option<u64>) -> (Limiter, ManualClock) {
    let clock = ManualClock::new(at(0));
    let builder = Limiter::together(rates(text)).clock(clock.clone());
    let builder = burst.map_or(builder.clone(), |burst| builder.burst(burst));
    (builder.build().expect("it is possible"), clock)
}

#[test]
fn a_raised_limit_gives_the_difference_and_a_lowered_one_takes_it() {
    // Logs, sliding windows, several of both, and from one to the other.
    for (from, raised, lowered) in [
        ("10/minute", "12/minute", "8/minute"),
        ("100/minute", "102/minute", "98/minute"),
        ("10/minute", "102/minute", "8/minute"),
        ("100/minute;1000/hour", "102/minute;1000/hour", "98/minute;990/hour"),
        ("10/minute;1000/hour", "12/minute", "8/minute;9/hour"),
    ] {
        let limit = rates(from)[0].limit();
        let (limiter, clock) = limiter(from, None);
        assert!(limiter.allow(limit).allowed && !limiter.allow(1).allowed);
        limiter.set_rate(rates(raised), None).expect("it is possible");
        assert_eq!(limiter.rates(), rates(raised));
        let more = rates(raised)[0].limit() - limit;
        assert_eq!(limiter.peek(1).remaining, more, "{from} to {raised}");
        assert!(limiter.allow(more).allowed && !limiter.allow(1).allowed, "{from} to {raised}");
        limiter.set_rate(rates(lowered), None).expect("it is possible");
        assert_eq!(limiter.peek(1).remaining, 0);
        // All of it leaves at the same time, or a part of the window later.
        let wait = limiter.peek(1).retry_after.expect("it fits then");
        assert!((60..=62).contains(&wait.as_secs()) || wait.as_secs() == 3_660, "{from} to {lowered}: {wait:?}");
        clock.advance(wait).expect("it is no long time");
        assert!(limiter.allow(1).allowed, "{from} to {lowered}");
    }
}

#[test]
fn a_bucket_lacks_as_much_as_before() {
    let (limiter, clock) = limiter("60/minute", Some(10));
    assert!(limiter.allow(6).allowed);
    // 6 of 10 are missing; then 6 of 20.
    limiter.set_rate(rate(60, 60), Some(20)).expect("it is possible");
    assert_eq!((limiter.peek(1).remaining, limiter.burst()), (14, Some(20)));
    // The burst stays, the rate is ten times as high.
    limiter.set_rate(rate(600, 60), None).expect("it is possible");
    assert_eq!((limiter.peek(1).remaining, limiter.burst()), (14, Some(20)));
    clock.set(at(300));
    assert_eq!(limiter.peek(1).remaining, 17);
    // Only 2 at once, of which 3 are missing.
    limiter.set_rate(rate(60, 60), Some(2)).expect("it is possible");
    assert_eq!((limiter.peek(1).remaining, limiter.peek(2).retry_after), (0, Some(Duration::from_secs(3))));
    clock.set(at(2_300));
    assert!(limiter.allow(1).allowed && !limiter.allow(1).allowed);
    // A burst that goes down and up again gives nothing.
    limiter.set_rate(rate(1, 60), Some(50)).expect("it is possible");
    assert!(limiter.allow(48).allowed);
    for _ in 0..3 {
        limiter.set_rate(rate(1, 60), Some(1)).expect("it is possible");
        limiter.set_rate(rate(1, 60), Some(50)).expect("it is possible");
        assert!(!limiter.allow(1).allowed);
    }
}

#[test]
fn what_cannot_be_kept_changes_nothing() {
    let (limiter, _) = limiter("5/minute", None);
    assert!(limiter.allow(3).allowed);
    for again in [false, true] {
        assert_eq!(limiter.set_rate(rate(5, 60), Some(5)), Err(LimitError::NoBucket { given: 5 }));
        let fine = Rate::new(1 << 32, Duration::from_millis(1)).expect("a possible rate");
        assert!(matches!(limiter.set_rate(fine, None), Err(LimitError::TooFine { .. })));
        assert_eq!((limiter.rate(), limiter.peek(1).remaining), (rate(5, 60), 2));
        // Setting the same rate again changes nothing.
        limiter.set_rate(rate(5, 60), None).expect("it is possible");
        assert_eq!(limiter.peek(1).remaining, 2);
        if !again {
            limiter.set_rate(rate(6, 60), None).expect("it is possible");
            limiter.set_rate(rate(5, 60), None).expect("it is possible");
        }
    }
    let bucket = Limiter::builder(rate(5, 60)).burst(5).build().expect("it is possible");
    assert_eq!(bucket.set_rate(rates("5/s;10/minute"), None), Err(LimitError::Several));
    assert_eq!(bucket.set_rate(rate(5, 60), Some(0)), Err(LimitError::Burst { given: 0 }));
}

#[test]
fn a_longer_window_knows_what_the_shorter_one_knew() {
    let (limiter, clock) = limiter("5/minute", None);
    for second in [0, 10, 20] {
        clock.set(at(second * 1_000));
        assert!(limiter.allow(1).allowed);
    }
    clock.set(at(30_000));
    limiter.set_rate(rates("5/hour"), None).expect("it is possible");
    assert_eq!(limiter.peek(1).remaining, 2);
    // A shorter one forgets what is older than it.
    limiter.set_rate(rates("5/15s"), None).expect("it is possible");
    assert_eq!(limiter.peek(1).remaining, 4);
}

#[test]
fn a_reset_forgets_everything_and_keeps_the_rate() {
    for (text, burst) in [("3/minute", None), ("100/minute", None), ("3/s;9/minute", None), ("3/minute", Some(3))] {
        let (limiter, _) = limiter(text, burst);
        let most = limiter.peek(1).remaining;
        for changed in [None, None, Some("2/minute")] {
            assert!(limiter.allow(most).allowed && !limiter.allow(1).allowed, "{text}");
            limiter.reset();
            assert_eq!((limiter.peek(1).remaining, limiter.rates()), (most, rates(text)));
            if let Some(changed) = changed {
                limiter.set_rate(rates(changed), None).expect("it is possible");
                assert_eq!(limiter.rates(), rates(changed));
            }
        }
    }
}

#[test]
fn times_of_the_caller_are_changed_as_of_one() {
    let limiter = Limiter::builder(rate(60, 60)).burst(10).build().expect("it is possible");
    assert!(limiter.allow_at(at(0), 10).allowed);
    limiter.set_rate_at(at(2_000), rate(600, 60), None).expect("it is possible");
    // 2 tokens in two seconds, then 10 a second.
    assert_eq!(limiter.peek_at(at(2_000), 1).remaining, 2);
    assert_eq!(limiter.peek_at(at(2_500), 1).remaining, 7);
}

#[test]
fn all_keys_get_the_new_rate() {
    let (builder, clock) = clocked(3, 60);
    let limiter: KeyedLimiter<String> = builder.keyed(1_000, WhenKeysFull::Refuse).expect("it is possible");
    let key = |nth: u64| format!("key {nth}");
    for nth in 0..500 {
        assert!(limiter.allow(key(nth).as_str(), nth % 3 + 1).allowed);
    }
    limiter.set_rate(rate(5, 60), None).expect("it is possible");
    assert_eq!((limiter.rate(), limiter.len()), (rate(5, 60), 500));
    assert!((0..500).all(|nth| limiter.peek(key(nth).as_str(), 1).remaining == 5 - (nth % 3 + 1)));
    assert_eq!(limiter.peek("a new one", 1).remaining, 5);
    limiter.set_rate(rates("2/minute;100/hour"), None).expect("it is possible");
    assert!((0..500).all(|nth| limiter.peek(key(nth).as_str(), 1).remaining == 1u64.saturating_sub(nth % 3)));
    // They are dropped as ever.
    clock.set(at(7_200_000));
    assert_eq!((limiter.prune(), limiter.len()), (500, 0));
}

#[test]
fn the_skew_is_the_new_window() {
    let (limiter, _) = limiter("5/minute", None);
    assert!(limiter.allow_at(at(61_000), 1).is_future && !limiter.allow_at(at(60_000), 1).is_future);
    limiter.set_rate(rates("5/hour"), None).expect("it is possible");
    assert!(!limiter.allow_at(at(61_000), 1).is_future && limiter.allow_at(at(3_601_000), 1).is_future);
}

#[test]
fn a_burst_of_before_the_change_is_not_asked_for() {
    let (limiter, _) = limiter("1000/s", Some(1_000_000));
    limiter.set_rate(rate(1, 1), Some(1)).expect("it is possible");
    // A million of these would take too long to come.
    let slow = Rate::new(1, Duration::from_secs(50 * 366 * 86_400)).expect("a possible rate");
    assert_eq!(limiter.set_rate(slow, None), Ok(()));
}

#[test]
fn without_room_a_new_key_waits_by_the_new_window() {
    let (builder, clock) = clocked(1, 365 * 86_400);
    let limiter: KeyedLimiter<String> = builder.keyed(1, WhenKeysFull::Refuse).expect("it is possible");
    assert!(limiter.allow("ann", 1).allowed && !limiter.allow("ben", 1).allowed);
    limiter.set_rate(rate(1, 1), None).expect("it is possible");
    clock.set(at(10_000));
    assert!(limiter.allow("ben", 1).allowed);
}

#[test]
fn a_change_as_of_the_future_shuts_nothing() {
    let (limiter, _) = limiter("60/minute", Some(10));
    assert!(limiter.allow_at(at(3_600_000), 1).is_future);
    limiter.set_rate_at(at(3_600_000), rate(600, 60), None).expect("it is possible");
    assert!(limiter.allow(10).allowed);
}

/// A window that began with units, and a thread two ticks ahead that has noted beginnings, and was frozen before its exchange.
#[test]
fn a_thread_ahead_of_a_change_hides_nothing() {
    let (form, second) = (Form { burst: None, resolution: None, ticks: 60, known: 0 }, 1_000_000_000);
    for text in ["100/60s", "100/60s;1000/hour"] {
        let first = Version::new(rates(text), form).expect("it fits");
        let second_one = first.changed(rates("101/60s"), None, 1_000 * second).expect("it fits");
        let again = first.changed(rates(text), None, 1_000 * second).expect("it fits");
        for middle in [&second_one, &again] {
            let state = first.plan.state(0);
            assert!(first.plan.decide(&state, 1_000 * second, 50, true).expect("it is open").allowed);
            assert!(state.freeze());
            let state = middle.carry(&first, &state, 0, 0);
            let State::Window(words) = &state else { panic!("it is a window") };
            let seen = words.seen().expect("it is open");
            match &middle.plan {
                Plan::Sliding(plan) => assert!(plan.begin(words, seen, plan.tick(1_003 * second))),
                Plan::Many(plan) => drop(plan.record(words, seen, 0, 1_003 * second)),
                _ => panic!("it slides"),
            }
            assert!(state.freeze());
            let last = first.changed(rates("100/60s"), None, 1_003 * second).expect("it fits");
            let state = last.carry(middle, &state, 0, 1_003 * second);
            let decision = last.plan.decide(&state, 1_003 * second, 1, false).expect("it is open");
            assert_eq!(decision.remaining, 50, "{text}");
        }
    }
}

#[test]
fn threads_that_come_after_a_reset_or_a_change_find_what_it_left() {
    for _ in 0..2_000 {
        let (builder, _) = clocked(100, 60);
        let (single, keys) = (builder.clone().build().expect("it is possible"), builder);
        let keys: KeyedLimiter<String> = keys.keyed(100, WhenKeysFull::Refuse).expect("it is possible");
        single.reset();
        let answers = together(3, |thread| {
            let is_allowed = thread == 2 || single.allow(1).allowed;
            if thread == 0 {
                assert!(keys.allow("key", 1).allowed);
            } else if thread == 1 {
                keys.set_rate(rate(2, 60), None).expect("it is possible");
                assert!(!keys.allow("key", 10).allowed, "the change was over");
            }
            is_allowed
        });
        assert_eq!(answers, [true; 3]);
    }
}

/// The most that any span of `window` milliseconds holds.
fn fullest(log: &[(u64, u64)], window: u64) -> u64 {
    let within =
        |from: u64| log.iter().filter(|(at, _)| (from..from + window).contains(at)).map(|(_, cost)| cost).sum();
    log.iter().map(|&(from, _)| within(from)).max().unwrap_or_default()
}

/// One or two rates, of logs and of windows that slide.
fn some_rates() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let one = (prop_oneof![1u64..10, 1u64..70, 60u64..200], prop_oneof![1u64..10, 1u64..100]);
    proptest::collection::vec(one, 1..3)
}

proptest! {
    /// Logs whose limit is changed decide as a list of all that was let through.
    #[test]
    fn a_log_that_is_changed_is_a_log(
        asked in proptest::collection::vec((0u64..3_000, 1u64..4, proptest::option::weighted(0.2, 1u64..9)), 1..150),
        keyed in any::<bool>(),
        together in any::<bool>(),
    ) {
        let window = 6_000;
        let rates_of = |limit: u64| match together {
            true => Rates::new(&[rate(limit, 6), rate(64, 30)]).expect("two rates"),
            false => rate(limit, 6).into(),
        };
        let clock = ManualClock::new(at(0));
        let builder = Limiter::together(rates_of(3)).clock(clock.clone());
        let (single, keys) = (
            builder.clone().build().expect("it is possible"),
            builder.keyed::<String>(3, WhenKeysFull::Refuse).expect("it is possible"),
        );
        let (mut now, mut limit, mut log) = (0, 3, Vec::new());
        for (wait, cost, changed) in asked {
            now += wait;
            clock.set(at(now));
            if let Some(changed) = changed {
                limit = changed;
                let rates = rates_of(limit);
                if keyed { keys.set_rate(rates, None) } else { single.set_rate(rates, None) }.expect("it is possible");
            }
            let used: u64 = log.iter().filter(|(at, _)| at + window > now).map(|(_, cost)| cost).sum();
            let decision = if keyed { keys.allow("ann", cost) } else { single.allow(cost) };
            prop_assert_eq!(decision.allowed, used + cost <= limit, "used {} of {} at {}", used, limit, now);
            if decision.allowed {
                log.push((now, cost));
            } else if cost <= limit {
                let wait = decision.retry_after.expect("it fits then").as_millis() as u64;
                let fits = |then: u64| {
                    log.iter().filter(|(at, _)| at + window > then).map(|(_, cost)| cost).sum::<u64>() + cost <= limit
                };
                prop_assert!(fits(now + wait) && !fits(now + wait - 1), "{} after {}", wait, now);
            }
        }
    }

    /// Windows that slide in seconds, some of them beside another: never too much, and no more than a part too little.
    #[test]
    fn a_window_that_is_changed_keeps_every_limit_since(
        asked in proptest::collection::vec((0u64..3_000, 1u64..40, proptest::option::weighted(0.2, 65u64..130)), 1..150),
        together in any::<bool>(),
    ) {
        let (window, part) = (60_000, 2_000);
        let rates_of = |limit: u64| match together {
            true => Rates::new(&[rate(limit, 60), rate(400, 600)]).expect("two rates"),
            false => rate(limit, 60).into(),
        };
        let clock = ManualClock::new(at(0));
        let limiter = Limiter::together(rates_of(100)).clock(clock.clone()).build().expect("it is possible");
        let (mut now, mut limit, mut log) = (0, 100, Vec::new());
        for (wait, cost, changed) in asked {
            now += wait;
            clock.set(at(now));
            if let Some(changed) = changed {
                limit = changed;
                limiter.set_rate(rates_of(limit), None).expect("it is possible");
            }
            let used = |window: u64| -> u64 {
                log.iter().filter(|(at, _)| at + window > now).map(|(_, cost)| cost).sum()
            };
            let (least, most) = (used(window), used(window + part));
            let others = if together { (used(600_000), used(600_000 + 20_000)) } else { (0, 0) };
            let decision = limiter.allow(cost);
            if decision.allowed {
                prop_assert!(least + cost <= limit && others.0 + cost <= 400, "{} of {} at {}", least, limit, now);
                log.push((now, cost));
            } else {
                prop_assert!(most + cost > limit || together && others.1 + cost > 400, "{} of {} at {}", most, limit, now);
                if let Some(wait) = decision.retry_after {
                    clock.advance(wait).expect("it is no long time");
                    prop_assert!(limiter.peek(cost).allowed, "{:?} after {}", wait, now);
                }
            }
        }
        let most = 130;
        prop_assert!(fullest(&log, window) <= most);
    }

    /// Any rates, one after the other: never more than one of them, by what is known, and the wait that is told is enough.
    #[test]
    fn changes_between_any_rates_forget_nothing_that_counts(
        asked in proptest::collection::vec((0u64..9, some_rates(), 0u64..150, 0u64..6_000), 1..60),
        keyed in any::<bool>(),
    ) {
        let clock = ManualClock::new(at(0));
        let of = |some: &[(u64, u64)]| {
            let some: Vec<Rate> = some.iter().map(|&(limit, seconds)| rate(limit, seconds)).collect();
            Rates::new(&some).expect("one or two")
        };
        let mut now_rates = vec![(5, 60)];
        let builder = Limiter::together(of(&now_rates)).clock(clock.clone());
        let single = builder.clone().build().expect("it is possible");
        let keys: KeyedLimiter<String> = builder.keyed(2, WhenKeysFull::Refuse).expect("it is possible");
        // What came, and whether it was in every longest window since.
        let (mut now, mut log) = (0, Vec::<(u64, u64, bool)>::new());
        for (what, next, cost, wait) in asked {
            match what {
                0 | 1 => {
                    let longest = now_rates.iter().map(|(_, seconds)| seconds * 1_000).max().unwrap_or_default();
                    log.iter_mut().filter(|(at, ..)| at + longest <= now).for_each(|(.., is_known)| *is_known = false);
                    let rates = of(&next);
                    if keyed { keys.set_rate(rates, None) } else { single.set_rate(rates, None) }.expect("it is possible");
                    now_rates = next;
                }
                2..5 => {
                    now += wait;
                    clock.set(at(now));
                }
                _ => {
                    let cost = if what < 7 { cost % 6 } else { cost };
                    let ask = |takes: bool| match (keyed, takes) {
                        (true, true) => keys.allow("key", cost),
                        (true, false) => keys.peek("key", cost),
                        (false, true) => single.allow(cost),
                        (false, false) => single.peek(cost),
                    };
                    let (peeked, decision) = (ask(false), ask(true));
                    prop_assert_eq!(peeked.allowed, decision.allowed);
                    if decision.allowed {
                        log.push((now, cost, true));
                        for &(limit, seconds) in &now_rates {
                            let counts = |&&(at, _, is_known): &&(u64, u64, bool)| is_known && at + seconds * 1_000 > now;
                            let used: u64 = log.iter().filter(counts).map(|(_, cost, _)| cost).sum();
                            prop_assert!(used <= limit || cost == 0, "{} of {}/{} s at {}", used, limit, seconds, now);
                        }
                    } else if let Some(wait) = decision.retry_after {
                        clock.advance(wait).expect("it is no long time");
                        prop_assert!(ask(false).allowed, "{:?} at {}", wait, now);
                        clock.set(at(now));
                    } else {
                        prop_assert!(now_rates.iter().any(|&(limit, _)| cost > limit));
                    }
                }
            }
        }
    }

    /// A bucket whose rate and burst are changed is the fraction of a token that a list says it is.
    #[test]
    fn a_bucket_that_is_changed_is_a_fraction(
        asked in proptest::collection::vec(
            (0u64..3_000, 1u64..4, proptest::option::weighted(0.2, (1u64..5, 1u64..9))), 1..150),
    ) {
        let (builder, clock) = clocked(7, 1);
        let limiter = builder.burst(5).build().expect("it is possible");
        // Missing, in thousandths of a token at a rate per second: exact as a float to far less than is compared.
        let (mut now, mut limit, mut burst, mut missing) = (0u64, 7u64, 5u64, 0.0f64);
        for (wait, cost, changed) in asked {
            now += wait;
            clock.set(at(now));
            missing = (missing - wait as f64 / 1_000.0 * limit as f64).max(0.0);
            if let Some((to, at_once)) = changed {
                (limit, burst) = (to, at_once);
                limiter.set_rate(rate(limit, 1), Some(burst)).expect("it is possible");
            }
            let (room, wanted) = (burst as f64 - missing, cost as f64);
            // Each change rounds up to a unit, which is less than two nanoseconds of the rate.
            let near = 1e-5;
            let decision = limiter.allow(cost);
            if (room - wanted).abs() > near {
                prop_assert_eq!(decision.allowed, room > wanted, "{} at {}", room, now);
            }
            if decision.allowed {
                missing += wanted;
            } else if cost <= burst {
                let wait = decision.retry_after.expect("it fits then").as_secs_f64();
                prop_assert!((wait - (wanted - room) / limit as f64).abs() < near, "{} at {}", wait, now);
            }
        }
    }
}

#[test]
fn threads_that_decide_while_the_rate_changes_get_no_more_than_the_highest() {
    for (keyed, burst) in [(false, None), (true, None), (false, Some(1)), (true, Some(1))] {
        for _ in 0..200 {
            let clock = ManualClock::new(at(0));
            let builder = Limiter::builder(rate(4, 60)).clock(clock.clone());
            // A window of 4, or a bucket of 1 that gets no token meanwhile; and changes between 4 and 3, or 1 and 1.
            let builder = burst.map_or(builder.clone(), |burst| builder.burst(burst));
            let single = builder.clone().build().expect("it is possible");
            let keys: KeyedLimiter<String> = builder.keyed(10, WhenKeysFull::Refuse).expect("it is possible");
            let (is_over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
            let counted = together(3, |thread| {
                if thread == 0 {
                    for turn in 0u64.. {
                        let to = rate(4 - (turn + 1) % 2, 60);
                        if keyed { keys.set_rate(to, burst) } else { single.set_rate(to, burst) }
                            .expect("it is possible");
                        if asked.load(Ordering::Relaxed) == 2 {
                            break;
                        }
                    }
                    is_over.store(true, Ordering::Relaxed);
                    return 0;
                }
                let allow = || if keyed { keys.allow("key", 1) } else { single.allow(1) };
                let allowed = (0..50).map(|_| u64::from(allow().allowed)).sum::<u64>();
                asked.fetch_add(1, Ordering::Relaxed);
                allowed
            });
            let allowed: u64 = counted.iter().sum();
            let most = burst.unwrap_or(4);
            assert!(allowed <= most && allowed >= most - 1, "{allowed} of {most}, keyed: {keyed}");
            assert!(is_over.load(Ordering::Relaxed));
        }
    }
}

#[test]
fn new_keys_that_come_while_the_rate_changes_have_the_new_one() {
    let (builder, _) = clocked(1, 60);
    let limiter: KeyedLimiter<String> = builder.keyed(1_000_000, WhenKeysFull::Refuse).expect("it is possible");
    let changes = AtomicU64::new(1);
    let wrong = together(3, |thread| {
        if thread == 0 {
            for turn in 2..300 {
                limiter.set_rate(rate(turn, 60), None).expect("it is possible");
                changes.store(turn, Ordering::SeqCst);
            }
            changes.store(u64::MAX, Ordering::SeqCst);
            return 0;
        }
        let mut wrong = 0;
        for turn in 0u64.. {
            let before = changes.load(Ordering::SeqCst);
            if before == u64::MAX {
                break;
            }
            let key = format!("{thread} {}", turn % 300);
            // A change that was over before is known to every decision.
            let _ = limiter.allow(key.as_str(), 1);
            let decision = limiter.peek(key.as_str(), 1);
            wrong += u64::from(decision.remaining + 300 < before || limiter.rate().limit() < before);
            let used = changes.load(Ordering::SeqCst);
            wrong += u64::from(used == before && decision.remaining > before);
            if turn % 300 == 299 {
                limiter.prune_at(at(START));
            }
        }
        wrong
    });
    assert_eq!(wrong, [0, 0, 0]);
}
