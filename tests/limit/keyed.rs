//! Keys that come, go and are too many.

use std::time::Duration;

use hitring::sync::Mutex;
use hitring::{KeyedLimiter, LimitError, Limiter, ManualClock, WhenKeysFull};
use proptest::prelude::*;

use super::{at, clocked, rate};
use crate::threads::together;

fn limiter(limit: u64, max_keys: usize, when_full: WhenKeysFull) -> (KeyedLimiter<String>, ManualClock) {
    let (builder, clock) = clocked(limit, 12);
    (builder.keyed(max_keys, when_full).expect("it is possible"), clock)
}

#[test]
fn each_key_has_a_limit_of_its_own() {
    let (limiter, _) = limiter(2, 100, WhenKeysFull::Refuse);
    for key in ["a", "b", "", "ä", "a b"] {
        assert_eq!([1, 1, 1].map(|cost| limiter.allow(key, cost).allowed), [true, true, false], "{key:?}");
    }
    assert_eq!((limiter.len(), limiter.peek("a", 1).remaining, limiter.peek("new", 1).remaining), (5, 0, 2));
    assert_eq!(limiter.len(), 5, "a peek makes no key");
    assert!(!limiter.allow("costly", 3).allowed);
    assert!(limiter.allow("asks", 0).allowed && limiter.len() <= 6);
}

#[test]
fn keys_may_be_of_any_kind() {
    let limiter = KeyedLimiter::<Vec<u8>>::new(rate(1, 60), 10).expect("it is possible");
    assert_eq!([1, 1].map(|cost| limiter.allow(&b"key"[..], cost).allowed), [true, false]);
    assert_eq!(KeyedLimiter::<String>::new(rate(1, 60), 0).err(), Some(LimitError::NoKeys));
}

#[test]
fn what_is_too_much_is_refused_or_let_through_and_counted() {
    let (refusing, clock) = limiter(2, 3, WhenKeysFull::Refuse);
    for key in ["a", "b", "c"] {
        assert!(refusing.allow(key, 1).allowed);
    }
    let refused = refusing.allow("d", 1);
    assert!(!refused.allowed && refused.remaining == 0 && refused.retry_after > Some(Duration::ZERO), "{refused:?}");
    assert!(refusing.allow("a", 1).allowed, "known keys go on");
    let metrics = refusing.metrics();
    assert_eq!((metrics.keys, metrics.refused, metrics.unlimited, metrics.dropped), (3, 1, 0, 0));
    clock.set(at(13_000));
    assert!(refusing.allow("d", 1).allowed, "the others are idle by now");
    assert_eq!((refusing.len(), refusing.metrics().dropped), (1, 3));

    let (allowing, _) = limiter(2, 1, WhenKeysFull::Allow);
    let _ = allowing.allow("a", 2);
    assert!((0..100).all(|_| allowing.allow("b", 1).allowed) && !allowing.allow("a", 1).allowed);
    assert!(!allowing.allow("b", 3).allowed, "more than there ever is");
    assert_eq!(allowing.metrics().unlimited, 101);
}

#[test]
fn idle_keys_are_dropped_and_no_others() {
    // At 19.8 s a log has forgotten what came until 7.8 s, and a window what came before the tick of 7 s.
    for (limit, forgotten) in [(5, 40), (65, 35)] {
        let (limiter, clock) = limiter(limit, 1_000, WhenKeysFull::Refuse);
        for key in 0..100 {
            clock.set(at(key * 200));
            let _ = limiter.allow(key.to_string().as_str(), 1);
        }
        assert_eq!(limiter.prune(), forgotten);
        assert_eq!((limiter.len(), limiter.prune()), (100 - forgotten, 0));
        clock.set(at(100_000));
        assert_eq!(limiter.prune_at(at(100_000)), 100 - forgotten);
        assert!(limiter.is_empty());
    }
}

/// What a full limiter drops tells how many keys a decision looks at.
#[test]
fn a_new_key_looks_at_few_others() {
    let (limiter, clock) = limiter(2, 1_000, WhenKeysFull::Refuse);
    let allow = |key: u64| limiter.allow(key.to_string().as_str(), 1).allowed;
    assert!((0..1_000).all(allow));
    clock.set(at(13_000));
    // The keys in front are in use again, so that the first decisions find nothing.
    assert!((0..500).all(allow));
    let refused = (1_000..1_100).take_while(|&key| !allow(key)).count();
    assert_eq!((refused, limiter.metrics().dropped), (15, 512 - 500));
    let mut dropped = limiter.metrics().dropped;
    for key in 2_000..2_499 {
        assert!(allow(key), "{key}");
        let more = limiter.metrics().dropped - dropped;
        assert!(more <= 32, "{key}: {more}");
        dropped += more;
    }
    assert_eq!((dropped, limiter.len()), (500, 1_000));
    // All were looked at, and in this sixtieth of the window they are not looked at again.
    assert!((3_000..3_100).all(|key| !allow(key)));
    assert_eq!((limiter.metrics().dropped, limiter.prune()), (500, 0));
}

#[test]
fn memory_is_as_stated() {
    for (limit, least, most) in [(5, 140, 200), (64, 640, 680), (65, 190, 300)] {
        let (limiter, _) = limiter(limit, 1_000, WhenKeysFull::Refuse);
        (0..1_000).for_each(|key| _ = limiter.allow(key.to_string().as_str(), 1));
        let each = limiter.metrics().memory_bytes / 1_000;
        assert!((least..=most).contains(&each), "{limit}: {each}");
    }
}

#[test]
fn dropping_keys_lets_nothing_more_through() {
    // One key, ten a window, and a thread that drops whatever looks idle while time goes on.
    let (limiter, clock) = limiter(10, 10, WhenKeysFull::Refuse);
    let tick = std::sync::atomic::AtomicU64::new(0);
    let allowed: Vec<Mutex<Vec<u64>>> = (0..4).map(|_| Mutex::new(Vec::new())).collect();
    together(4, |thread| {
        for _ in 0..20_000 {
            if thread == 0 {
                let millis = tick.fetch_add(1, std::sync::atomic::Ordering::Relaxed) * 7;
                clock.set(at(millis));
                limiter.prune();
            } else {
                let millis = tick.load(std::sync::atomic::Ordering::Relaxed) * 7;
                if limiter.allow_at("key", at(millis), 1).allowed {
                    allowed[thread].lock().push(millis);
                }
            }
        }
    });
    let mut all: Vec<u64> = allowed.iter().flat_map(|of| of.lock().clone()).collect();
    all.sort_unstable();
    // Times are those that threads had read, and time does not go back: what is decided later counts as of a newer one.
    let windows = all.last().copied().unwrap_or_default() / 12_000 + 2;
    assert!(all.len() as u64 <= 10 * windows, "{} in {windows} windows", all.len());
    assert!(all.len() >= 10, "{}", all.len());
}

proptest! {
    /// Keys that may be dropped at any time decide as limiters that are never dropped.
    #[test]
    fn dropping_changes_no_decision(
        asked in proptest::collection::vec((0u64..3_000, 0usize..5, 0u64..5, any::<bool>()), 1..200),
        bucket in any::<bool>(),
    ) {
        let (builder, clock) = clocked(4, 12);
        let builder = if bucket { builder.burst(3) } else { builder.resolution(Duration::from_secs(1)) };
        let keyed = builder.clone().keyed::<String>(100, WhenKeysFull::Refuse).expect("it is possible");
        let single: Vec<Limiter> = (0..5).map(|_| builder.clone().build().expect("it is possible")).collect();
        let mut now = 0;
        for limiter in &single {
            // All begin at the same time, which is the earliest that they know.
            let _ = limiter.peek(1);
        }
        let _ = keyed.peek("0", 1);
        for (wait, key, cost, prunes) in asked {
            now += wait;
            clock.set(at(now));
            if prunes {
                keyed.prune();
            }
            prop_assert_eq!(keyed.allow(key.to_string().as_str(), cost), single[key].allow(cost));
        }
    }
}

#[test]
fn a_key_that_is_reset_begins_anew() {
    for (limit, burst) in [(3, None), (100, None), (3, Some(3))] {
        let (builder, clock) = clocked(limit, 60);
        let builder = burst.map_or(builder.clone(), |burst| builder.burst(burst));
        let limiter: KeyedLimiter<String> = builder.keyed(10, WhenKeysFull::Refuse).expect("it is possible");
        assert!(!limiter.reset("ann") && limiter.is_empty());
        assert!(limiter.allow("ann", limit).allowed && limiter.allow("ben", 1).allowed);
        clock.set(at(20_000));
        assert!(!limiter.allow("ann", 1).allowed || burst.is_some());
        assert!(limiter.reset("ann") && !limiter.reset("ann"));
        assert_eq!((limiter.len(), limiter.peek("ann", limit).remaining), (1, limit));
        assert!(limiter.allow("ann", limit).allowed && !limiter.allow("ann", 1).allowed);
        assert_eq!(limiter.peek("ben", 1).remaining, if burst.is_some() { 3 } else { limit - 1 });
    }
}

#[test]
fn threads_that_reset_leave_whole_limits() {
    let (limiter, _) = limiter(5, 10, WhenKeysFull::Refuse);
    let counted = together(4, |thread| {
        let turn = |_| u64::from(if thread == 0 { limiter.reset("key") } else { limiter.allow("key", 1).allowed });
        (0..20_000).map(turn).sum::<u64>()
    });
    // Each reset gives at most the limit, and what a thread let through just before it, which counts nowhere.
    let (resets, allowed) = (counted[0], counted[1..].iter().sum::<u64>());
    assert!(allowed <= (resets + 1) * (5 + 3), "{allowed} of {resets} resets");
    assert!(limiter.len() <= 1);
}

#[test]
fn pruning_as_of_the_future_shuts_nothing() {
    let (limiter, clock) = limiter(1, 10, WhenKeysFull::Refuse);
    assert!(limiter.allow("ann", 1).allowed);
    assert_eq!(limiter.prune_at(at(1_000_000_000)), 0);
    assert!(limiter.allow("ben", 1).allowed);
    clock.set(at(12_000));
    assert_eq!(limiter.prune_at(at(1_000_000_000)), 2);
    assert!(limiter.allow("cleo", 1).allowed && !limiter.allow("cleo", 1).allowed);
    clock.set(at(24_000));
    assert!(limiter.allow("cleo", 1).allowed);
    // Without a clock times are the caller's: what nothing is dropped at changes nothing.
    let limiter = KeyedLimiter::<String>::new("1/10s".parse().expect("a rate"), 10).expect("it is possible");
    assert!(limiter.allow_at("ann", at(1_000_000), 1).allowed && limiter.prune_at(at(1_000_000)) == 0);
    assert!([0, 100_000, 200_000].map(|millis| limiter.allow_at("ben", at(millis), 1).allowed) == [true; 3]);
}

#[test]
fn times_from_the_future_are_refused_for_keys() {
    let (limiter, _) = limiter(5, 10, WhenKeysFull::Refuse);
    let decision = limiter.allow_at("ann", at(12_001), 1);
    assert!(decision.is_future && decision.retry_after.is_none() && decision.remaining == 5, "{decision:?}");
    assert!(limiter.is_empty() && limiter.peek_at("ann", at(99_000), 1).is_future);
    assert!(limiter.allow_at("ann", at(12_000), 1).allowed);
}
