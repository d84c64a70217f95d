//! Real threads that want more than there is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hitring::sync::Mutex;
use hitring::{KeyedLimiter, Limiter};

use super::{at, clocked, rate};
use crate::threads::together;

#[test]
fn threads_get_the_limit_and_not_one_more() {
    for burst in [None, Some(1_000)] {
        let (builder, _) = clocked(1_000, 60);
        let limiter = burst.map_or(builder.clone(), |burst| builder.burst(burst)).build().expect("it is possible");
        let allowed = AtomicU64::new(0);
        together(4, |_| {
            for _ in 0..5_000 {
                allowed.fetch_add(limiter.allow(1).allowed.into(), Ordering::Relaxed);
            }
        });
        assert_eq!(allowed.into_inner(), 1_000, "{burst:?}");
    }
}

/// Time goes on by 7 ms with each decision of any thread; times are written down after the decision, so the order of two
/// is that of their times at most a few decisions off.
#[test]
fn no_window_holds_more_while_time_goes_on() {
    const LIMIT: u64 = 50;
    let limiter = Limiter::builder(rate(LIMIT, 10)).resolution(Duration::from_millis(500)).build().expect("it fits");
    let time = AtomicU64::new(0);
    let log = Mutex::new(Vec::new());
    let _ = limiter.allow_at(at(0), 0);
    together(4, |_| {
        let mut ours = Vec::new();
        for _ in 0..20_000 {
            let millis = time.fetch_add(7, Ordering::Relaxed);
            let decision = limiter.allow_at(at(millis), 1);
            if decision.allowed {
                ours.push(millis);
            }
        }
        log.lock().extend(ours);
    });
    let mut log = log.lock();
    log.sort_unstable();
    let last = 4 * 20_000 * 7;
    // A stalled thread's time is taken for the newest, so its stamp may lie in an earlier window than its decision: sums
    // over many windows cannot be more than one limit off.
    let windows = last / 10_500;
    assert!(log.len() as u64 >= LIMIT * (windows - 1), "{} in {windows} windows", log.len());
    assert!(log.len() as u64 <= LIMIT * (last / 10_000 + 1), "{} in {windows} windows", log.len());
}

#[test]
fn threads_share_the_keys() {
    let (builder, _) = clocked(100, 60);
    let limiter: KeyedLimiter<String> = builder.keyed(50, hitring::WhenKeysFull::Refuse).expect("it is possible");
    let allowed = AtomicU64::new(0);
    together(4, |thread| {
        for turn in 0..20_000usize {
            let key = format!("key {}", (turn * 7 + thread) % 60);
            allowed.fetch_add(limiter.allow(key.as_str(), 1).allowed.into(), Ordering::Relaxed);
        }
    });
    // 50 keys found room, whichever they were, and each got its limit.
    assert_eq!((allowed.into_inner(), limiter.len()), (5_000, 50));
    assert!(limiter.metrics().refused > 0);
}
