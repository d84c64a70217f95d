//! What the documentation promises, one by one.

use std::time::Duration;

use hitring::{Decision, LimitError, Limiter, Rate, Rates};

use super::{at, clocked, rate};

#[test]
fn rates_are_read_as_people_write_them() {
    for (text, limit, millis) in [
        ("100/minute", 100, 60_000),
        ("5/s", 5, 1_000),
        ("5/sec", 5, 1_000),
        ("1000 per hour", 1_000, 3_600_000),
        ("1 Per Day", 1, 86_400_000),
        ("10/5m", 10, 300_000),
        ("10 / 5 minutes", 10, 300_000),
        ("3 per 30 seconds", 3, 30_000),
        ("7/250ms", 7, 250),
        (" 2/1.5h ", 2, 5_400_000),
        ("4294967296/d", 1 << 32, 86_400_000),
        ("7/week", 7, 7 * 86_400_000),
        ("3 per 2 months", 3, 60 * 86_400_000),
        ("1000/y", 1_000, 365 * 86_400_000),
    ] {
        let rate: Rate = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((rate.limit(), rate.window()), (limit, Duration::from_millis(millis)), "{text}");
        assert_eq!(rate.to_string().parse(), Ok(rate), "{text}");
    }
}

#[test]
fn text_that_is_not_a_rate_is_refused() {
    for text in ["", "100", "minute", "/", "100/", "100/fortnight", "-1/s", "1.5/s", "ten/s", "1//s", "1/-5s", "1/nans"]
    {
        let error = text.parse::<Rate>().expect_err(text);
        assert_eq!(error, LimitError::Rate { given: text.to_owned() });
        assert!(error.to_string().contains("'100/minute'"), "{error}");
    }
    assert_eq!("0/s".parse::<Rate>(), Err(LimitError::Limit { given: 0 }));
    assert_eq!("4294967297/s".parse::<Rate>(), Err(LimitError::Limit { given: (1 << 32) + 1 }));
    assert!(matches!("1/0s".parse::<Rate>(), Err(LimitError::Window { .. })));
    assert!(matches!("1/101 d".parse::<Rate>().map(|_| ()), Ok(())));
    assert!(matches!("1/99999999d".parse::<Rate>(), Err(LimitError::Window { .. })));
    let long = "9".repeat(1_000);
    assert!(matches!(long.parse::<Rate>(), Err(LimitError::Rate { given }) if given.len() == 80));
}

#[test]
fn several_rates_are_read_together() {
    for (text, told) in [
        ("5/second;100/hour", "5/1s;100/3600s"),
        (" 5/s , 10 per minute|3/d ", "5/1s;10/60s;3/86400s"),
        ("1/s", "1/1s"),
    ] {
        let rates: Rates = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((rates.to_string(), rates.to_string().parse()), (told.to_owned(), Ok(rates)));
    }
    let refused = |text: &str| text.parse::<Rates>().expect_err(text);
    assert_eq!(refused("1/s;2/s;3/s;4/s;5/s"), LimitError::Rates { given: 5 });
    assert_eq!(refused("5/s;"), LimitError::Rate { given: String::new() });
    assert_eq!(refused("5/s;six/m"), LimitError::Rate { given: "six/m".to_owned() });
    assert_eq!(Rates::new(&[]), Err(LimitError::Rates { given: 0 }));
    let together = || Limiter::together("5/s;9/m".parse().expect("two rates"));
    assert_eq!(together().burst(5).build().expect_err("a bucket"), LimitError::Several);
    assert_eq!(together().resolution(Duration::from_secs(1)).build().expect_err("a resolution"), LimitError::Several);
    let fast = Limiter::together("4294967296/ms;9/y".parse().expect("two rates"));
    let error = fast.build().expect_err("it does not fit");
    assert_eq!(error, LimitError::TooFineTogether { limit: 1 << 32, window: Duration::from_millis(1) });
}

#[test]
fn a_cost_that_one_limit_refuses_takes_nothing_from_the_others() {
    for text in ["2/s;5/minute", "5/minute;2/s", "2/s;5/minute;1000/d", "200/s;500/minute"] {
        let rates: Rates = text.parse().expect("rates");
        let scale = if text.starts_with("200") { 100 } else { 1 };
        let clock = hitring::ManualClock::new(at(0));
        let limiter = Limiter::together(rates).clock(clock.clone()).build().expect("they fit");
        for second in 0..2 {
            clock.set(at(second * 1_100));
            assert!(limiter.allow(2 * scale).allowed, "{text}");
            assert!(!limiter.allow(scale).allowed, "{text}");
        }
        // One is left of the slow one, however often the fast one refused.
        clock.set(at(2_200));
        assert_eq!(limiter.peek(1).remaining, scale, "{text}");
        let refused = limiter.allow(2 * scale);
        assert!(!refused.allowed && rates[usize::from(refused.which)].window().as_secs() == 60, "{text}: {refused:?}");
        assert!(limiter.allow(scale).allowed, "{text}");
        // It is not told that the fast one would let it through earlier.
        let wait = limiter.allow(1).retry_after.expect("it fits then");
        assert!(wait > Duration::from_secs(50), "{text}: {wait:?}");
    }
}

#[test]
fn windows_that_do_not_divide_each_other_slide_by_two_parts_at_most() {
    for millis in (1_001..6_000).step_by(37) {
        let rates: Rates = format!("100/1s;100/{millis}ms").parse().expect("rates");
        let window = Duration::from_millis(millis);
        for (most, limiter) in [(30, Limiter::together(rates)), (60, Limiter::builder(rates[1]))] {
            let limiter = limiter.build().expect("they fit");
            let _ = limiter.peek_at(at(0), 1);
            assert!(limiter.allow_at(at(777), 100).allowed);
            let wait = limiter.allow_at(at(777), 100).retry_after.expect("it fits then");
            assert!(
                wait >= window && wait <= window + window / most + Duration::from_nanos(60),
                "{wait:?} of {window:?}"
            );
        }
    }
}

#[test]
fn what_does_not_fit_together_says_what_would() {
    let builder = || Limiter::builder(rate(10, 60));
    let second = Duration::from_secs(1);
    let refused = |builder: hitring::LimiterBuilder| builder.build().expect_err("it does not fit").to_string();
    for (told, builder) in [
        ("a burst of 0", builder().burst(0)),
        ("leave out the burst or the resolution", builder().burst(5).resolution(second)),
        ("at least a 65536th of it", builder().resolution(Duration::ZERO)),
        ("give a step of at most the window", builder().resolution(61 * second)),
        ("at least a 65536th of it", builder().resolution(Duration::from_micros(1))),
        ("give a coarser resolution, or a burst", Limiter::builder("4294967296/ms".parse().expect("a rate"))),
    ] {
        let error = refused(builder);
        assert!(error.contains(told), "{error}");
    }
    assert!(Limiter::builder("4294967296/ms".parse().expect("a rate")).burst(100).build().is_ok());
    assert!(matches!(Limiter::new(0, second), Err(LimitError::Limit { given: 0 })));
    assert!(matches!(Limiter::new(1, Duration::ZERO), Err(LimitError::Window { .. })));
}

#[test]
fn a_refused_cost_consumes_nothing_and_a_peek_neither() {
    for burst in [None, Some(10)] {
        let (builder, _) = clocked(10, 60);
        let limiter = burst.map_or(builder.clone(), |burst| builder.burst(burst)).build().expect("it is possible");
        assert_eq!(limiter.allow(7).remaining, 3);
        for _ in 0..100 {
            let refused = limiter.allow(4);
            assert!(!refused.allowed && refused.remaining == 3 && refused.retry_after > Some(Duration::ZERO));
            let never = limiter.allow(11);
            assert_eq!(never, Decision { allowed: false, remaining: 3, retry_after: None, is_future: false, which: 0 });
            assert_eq!(limiter.allow(u64::MAX), never);
            assert_eq!(
                limiter.peek(1),
                Decision { allowed: true, remaining: 3, retry_after: Some(Duration::ZERO), is_future: false, which: 0 }
            );
            assert_eq!(
                limiter.allow(0),
                Decision { allowed: true, remaining: 3, retry_after: Some(Duration::ZERO), is_future: false, which: 0 }
            );
        }
        assert_eq!(limiter.allow(3).remaining, 0);
        let peeked = limiter.peek(1);
        assert!(!peeked.allowed && peeked.remaining == 0 && peeked.retry_after > Some(Duration::ZERO), "{peeked:?}");
    }
}

#[test]
fn a_peek_says_what_a_cost_would_be_told() {
    for (limit, burst) in [(5, None), (100, None), (5, Some(5))] {
        let (builder, clock) = clocked(limit, 60);
        let limiter = burst.map_or(builder.clone(), |burst| builder.burst(burst)).build().expect("it is possible");
        assert!(limiter.allow(limit - 1).allowed);
        clock.advance(Duration::from_secs(1)).expect("before the year 9999");
        for cost in [0, 1, 2, limit, limit + 1, u64::MAX] {
            let (peeked, same) = (limiter.peek(cost), limiter.peek(cost));
            assert_eq!((peeked, peeked.allowed, peeked.remaining), (same, cost <= 1, 1), "{cost} of {limit}");
            assert_eq!(peeked.retry_after.is_none(), cost > limit);
            if !peeked.allowed {
                assert_eq!(limiter.allow(cost), peeked);
            }
        }
    }
}

#[test]
fn a_peek_and_a_refusal_leave_no_trace_of_their_time() {
    for builder in
        [Limiter::builder(rate(1, 10)), Limiter::builder(rate(100, 10)), Limiter::builder(rate(1, 10)).burst(1)]
    {
        let limiter = builder.build().expect("it is possible");
        let all = limiter.peek_at(at(1_000_000_000), 1).remaining;
        assert!(!limiter.allow_at(at(1_000_000_000), all + 1).allowed);
        for millis in [0, 100_000, 200_000] {
            assert!(limiter.allow_at(at(millis), all).allowed, "{millis}");
            assert!(!limiter.allow_at(at(millis), 1).allowed, "{millis}");
        }
    }
}

#[test]
fn at_the_end_of_time_it_is_said_that_waiting_does_not_help() {
    let year = |year: u64| hitring::Timestamp::try_from((year - 1970) * 31_556_952).expect("before the year 9999");
    for (builder, all) in [
        (Limiter::builder(rate(5, 10)), 5),
        (Limiter::builder(rate(100, 10)), 100),
        (Limiter::builder(rate(5, 10)).burst(5), 5),
        (Limiter::together("5/10s;100/10s".parse().expect("rates")), 5),
    ] {
        let limiter = builder.build().expect("it is possible");
        // Idle for a century, nothing is in the way.
        assert!(limiter.allow_at(year(2020), all).allowed && limiter.allow_at(year(2130), all).allowed);
        let refused = limiter.allow_at(year(2130), 1);
        assert!(refused.retry_after.is_some_and(|wait| wait <= Duration::from_secs(11)), "{refused:?}");
        // From 2136 on time stands still.
        assert!(limiter.allow_at(year(2500), all).allowed);
        for later in [2500, 3000, 9998] {
            let refused = limiter.allow_at(year(later), 1);
            assert!(!refused.allowed && refused.retry_after.is_none(), "{later}: {refused:?}");
        }
    }
}

#[test]
fn times_from_the_future_are_refused_where_there_is_a_clock() {
    let (second, far) = (Duration::from_secs(1), hitring::Timestamp::try_from(16_000_000_000u64).expect("in 2477"));
    for burst in [None, Some(5)] {
        let kind = |builder: hitring::LimiterBuilder| {
            burst.map_or(builder.clone(), |burst| builder.burst(burst)).build().expect("it is possible")
        };
        let (builder, clock) = clocked(5, 60);
        // A window ahead is the most, unless told otherwise.
        for (limiter, most) in [(kind(builder.clone()), 60_000), (kind(builder.max_skew(second)), 1_000)] {
            assert!(limiter.allow_at(at(most), 1).allowed);
            for later in [at(most + 1), far] {
                let decision = limiter.allow_at(later, 1);
                assert!(!decision.allowed && decision.is_future && decision.retry_after.is_none(), "{decision:?}");
                assert_eq!(limiter.peek_at(later, 1), decision);
            }
            clock.set(at(1));
            assert!(limiter.allow_at(at(most + 1), 1).allowed);
            clock.set(at(0));
        }
        // The system's clock is one, too, where it or a skew is given.
        let system = || Limiter::builder(rate(5, 60));
        for limiter in [kind(system().clock(hitring::SystemClock)), kind(system().max_skew(second))] {
            assert!(limiter.allow_at(far, 1).is_future && limiter.allow(5).allowed);
        }
        // Without one all times are taken.
        let limiter = kind(system());
        assert!(limiter.allow_at(far, 5).allowed && !limiter.allow_at(at(0), 1).allowed);
    }
}

#[test]
fn after_the_time_that_was_told_it_is_let_through() {
    for burst in [None, Some(3)] {
        let (builder, clock) = clocked(3, 7);
        let limiter = burst.map_or(builder.clone(), |burst| builder.burst(burst)).build().expect("it is possible");
        for _ in 0..50 {
            while limiter.allow(1).allowed {}
            let wait = limiter.allow(2).retry_after.expect("it fits then");
            clock.advance(wait - Duration::from_nanos(1)).expect("before the year 9999");
            assert!(!limiter.allow(2).allowed, "{burst:?}: a nanosecond early");
            clock.advance(Duration::from_nanos(1)).expect("before the year 9999");
            assert!(limiter.allow(2).allowed, "{burst:?}: {wait:?}");
        }
    }
}

#[test]
fn the_systems_clock_is_waited_for_in_real_time() {
    for burst in [None, Some(2)] {
        let builder = Limiter::builder("2/200ms".parse().expect("a rate"));
        let limiter = burst.map_or(builder.clone(), |burst| builder.burst(burst)).build().expect("it is possible");
        assert!(limiter.allow(2).allowed);
        for _ in 0..3 {
            let refused = limiter.allow(1);
            assert!(!refused.allowed && refused.retry_after <= Some(Duration::from_millis(230)), "{refused:?}");
            std::thread::sleep(refused.retry_after.expect("it fits then"));
            assert!(limiter.allow(1).allowed, "{burst:?}");
            while limiter.allow(1).allowed {}
        }
    }
}

#[test]
fn times_of_the_caller_need_no_clock() {
    let seconds = |seconds| hitring::Timestamp::try_from(seconds).expect("before the year 9999");
    let log = Limiter::new(2, Duration::from_secs(60)).expect("it is possible");
    // In steps of a second.
    let sliding = Limiter::builder(rate(2, 60)).resolution(Duration::from_secs(1)).build().expect("it is possible");
    let large = Limiter::builder(rate(65, 60)).build().expect("it is possible");
    let allowed = |limiter: &Limiter, cost| {
        [0, 1, 2, 59, 60, 61, 62].map(|second: u64| limiter.allow_at(seconds(second), cost).allowed)
    };
    assert_eq!(allowed(&log, 1), [true, true, false, false, true, true, false]);
    assert_eq!(allowed(&sliding, 1), [true, true, false, false, false, true, true]);
    assert_eq!(allowed(&large, 32), [true, true, false, false, false, true, true]);
    assert_eq!((log.peek_at(seconds(62), 1).remaining, log.rate()), (0, rate(2, 60)));
    let bytes = [&log, &sliding, &large].map(Limiter::memory_bytes);
    assert!(bytes[0] < 430 && bytes[1] == bytes[2] && bytes[2] < 900, "{bytes:?}");
}
