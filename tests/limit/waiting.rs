//! Waiting for room, by real time: in threads, and in tasks of a runtime that is made of this thread alone.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hitring::{KeyedLimiter, Limiter};

use crate::threads::together;

const MILLI: Duration = Duration::from_millis(1);

fn limiter(rate: &str) -> Limiter {
    Limiter::builder(rate.parse().expect("a rate")).build().expect("it is possible")
}

#[test]
fn a_cost_waits_for_room_and_no_longer() {
    let limiter = limiter("3/100ms");
    let begun = Instant::now();
    assert!((0..7).all(|_| limiter.acquire(1, None).allowed));
    let took = begun.elapsed();
    // A busy machine wakes a thread late.
    assert!(took >= 200 * MILLI && took < 20_000 * MILLI, "{took:?}");
}

#[test]
fn a_wait_that_is_too_long_is_not_begun() {
    let limiter = limiter("1/hour");
    let keyed = KeyedLimiter::<String>::new("1/hour".parse().expect("a rate"), 10).expect("it is possible");
    assert!(limiter.acquire(1, None).allowed && keyed.acquire("ann", 1, None).allowed);
    let begun = Instant::now();
    for decision in [limiter.acquire(1, Some(60_000 * MILLI)), keyed.acquire("ann", 1, Some(Duration::ZERO))] {
        assert!(!decision.allowed && decision.retry_after > Some(3_000_000 * MILLI), "{decision:?}");
    }
    // What never fits is not waited for at all.
    assert!(limiter.acquire(2, None).retry_after.is_none());
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn threads_that_wait_get_the_rate_and_not_one_more() {
    let limiter = limiter("10/100ms");
    let begun = Instant::now();
    let got = together(4, |_| (0..20).filter(|_| limiter.acquire(1, Some(60_000 * MILLI)).allowed).count());
    let (all, took) = (got.iter().sum::<usize>() as u128, begun.elapsed().as_millis());
    assert!(all <= 10 * (took / 100 + 1), "{all} in {took} ms");
    assert!(all == 80, "{got:?} in {took} ms");
}

#[test]
fn tasks_wait_with_the_timer_of_their_runtime() {
    let (limiter, asked) = (limiter("2/60ms"), AtomicU64::new(0));
    let sleep = |wait: Duration| {
        asked.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + wait;
        std::future::poll_fn(move |_| if Instant::now() < until { Poll::Pending } else { Poll::Ready(()) })
    };
    // Two at a time, asked in turns.
    let tasks = async || {
        for _ in 0..3 {
            assert!(limiter.acquire_async(1, None, sleep).await.allowed);
        }
    };
    let (mut one, mut other) = (pin!(tasks()), pin!(tasks()));
    let (begun, mut context) = (Instant::now(), Context::from_waker(Waker::noop()));
    let (mut first, mut second) = (false, false);
    while !(first && second) {
        first = first || one.as_mut().poll(&mut context).is_ready();
        second = second || other.as_mut().poll(&mut context).is_ready();
    }
    assert!(begun.elapsed() >= 120 * MILLI, "{:?}", begun.elapsed());
    assert!(asked.load(Ordering::Relaxed) > 0);
    let late = limiter.acquire_async(1, Some(MILLI), sleep);
    assert!(matches!(pin!(late).poll(&mut context), Poll::Ready(decision) if !decision.allowed));
}
