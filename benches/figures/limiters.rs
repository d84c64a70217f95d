//! Rows of limiters, beside governor, which keeps no count of what remains.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{Quota, RateLimiter};
use hitring::{Decision, KeyedLimiter, Limiter, LimiterBuilder, Rate, Rates, WhenKeysFull};

use crate::harness::Reach::AtMost;
use crate::harness::Run;
use crate::registry::names::names;
use crate::row::{Row, threads};

const KEYS: usize = 1_000;
const DAY: Duration = Duration::from_secs(86_400);
/// So much in a minute that nothing is refused while it is measured.
const PLENTY: u64 = 100_000_000;

/// Measures and judges the rows.
pub fn figures(run: &mut Run) {
    run.measure(&rows());
    for kind in ["sliding window", "token bucket"] {
        let name = format!("Limiter allow, {kind}");
        let (one, two) = (run.one(&name), run.two(&name));
        run.figure(format!("{name}, ns"), one, AtMost(15.0));
        run.figure(format!("{name} / governor"), one / run.one("governor check"), AtMost(1.2));
        run.figure(format!("{name} / governor, two threads"), two / run.two("governor check"), AtMost(0.7));
        let keyed = run.one(&format!("KeyedLimiter allow, {kind}")) / run.one("governor check_key");
        run.figure(format!("KeyedLimiter allow, {kind} / governor"), keyed, AtMost(0.9));
    }
    let together = run.one("Limiter allow, two limits") / run.one("Limiter allow, sliding window");
    run.figure("Limiter allow, two limits / one sliding window", together, AtMost(1.6));
}

fn rate(limit: u64, window: Duration) -> Rate {
    Rate::new(limit, window).expect("a possible rate")
}

fn sliding(limit: u64, window: Duration) -> LimiterBuilder {
    Limiter::builder(rate(limit, window))
}

/// Two builders with the name of their kind: so much in a window, and a bucket of as many tokens.
fn kinds(limit: u64, window: Duration) -> [(&'static str, LimiterBuilder); 2] {
    [("sliding window", sliding(limit, window)), ("token bucket", sliding(limit, window).burst(limit))]
}

/// The decision on a hit that is to be allowed.
#[inline]
fn allowed(decision: Decision) -> Decision {
    assert!(decision.allowed, "{decision:?}");
    decision
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let (minute, most) = (Duration::from_secs(60), Quota::per_second(NonZeroU32::MAX));
    for threads in threads() {
        for (kind, builder) in kinds(PLENTY, minute) {
            let limiter = builder.build().expect("it fits");
            let allow = |limiter: &Limiter| allowed(limiter.allow(1));
            rows.push(Row::of(format!("Limiter allow, {kind}"), threads, vec![limiter], allow));
        }
        let theirs = vec![RateLimiter::direct(most)];
        rows.push(Row::of("governor check", threads, theirs, |limiter| limiter.check().is_ok()));
    }
    let two = Rates::new(&[rate(PLENTY, minute), rate(PLENTY, 60 * minute)]).expect("they are two");
    let together = vec![Limiter::together(two).build().expect("they fit")];
    rows.push(Row::of("Limiter allow, two limits", 1, together, |limiter: &Limiter| allowed(limiter.allow(1))));
    let small = vec![Limiter::builder(rate(64, Duration::from_millis(1))).build().expect("it fits")];
    rows.push(Row::of("Limiter allow, log of 64, mostly refused", 1, small, |limiter: &Limiter| limiter.allow(1)));
    for (kind, builder) in kinds(1, DAY) {
        let limiter = builder.build().expect("it fits");
        rows.push(Row::new(format!("Limiter allow, refused, {kind}"), 1, move |_, _| limiter.allow(1)));
    }
    let one_a_day = Quota::with_period(DAY).expect("a period").allow_burst(NonZeroU32::MIN);
    let theirs = RateLimiter::direct(one_a_day);
    rows.push(Row::new("governor check, refused", 1, move |_, _| theirs.check().is_ok()));
    for (kind, builder) in kinds(PLENTY, minute) {
        let keyed: KeyedLimiter<String> = builder.keyed(10_000, WhenKeysFull::Refuse).expect("it fits");
        let keys = names(KEYS);
        rows.push(Row::new(format!("KeyedLimiter allow, {kind}"), 1, move |_, index| {
            allowed(keyed.allow(keys[index % KEYS].as_str(), 1))
        }));
    }
    let (theirs, keys) = (RateLimiter::keyed(most), names(KEYS));
    rows.push(Row::new("governor check_key", 1, move |_, index| theirs.check_key(&keys[index % KEYS]).is_ok()));
    rows
}
