//! What a user of the crate sees: defaults, bounds, errors that name a cure, texts.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use hitring::{
    Clock, ConfigError, HitCounter, ManualClock, Outcome, QueryError, Snapshot, Strategy, SystemClock, TimeError,
    Timestamp,
};

const fn is_shared<T: Send + Sync + UnwindSafe + RefUnwindSafe>() {}
const _: () = {
    is_shared::<Snapshot>();
    is_shared::<Outcome>();
    is_shared::<QueryError>();
    is_shared::<ConfigError>();
};
const fn crosses_threads<T: Send + Sync>() {}
const _: () = {
    crosses_threads::<HitCounter>();
    crosses_threads::<ManualClock>();
    crosses_threads::<Clock>();
    crosses_threads::<hitring::GCounter>();
    crosses_threads::<hitring::Morris>();
    crosses_threads::<hitring::TopK>();
    crosses_threads::<hitring::Reservoir<Vec<u8>>>();
    crosses_threads::<hitring::BottomK<Vec<u8>>>();
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn defaults() {
    let counter = HitCounter::new();
    assert_eq!(counter.window(), Duration::from_secs(300));
    assert_eq!(counter.resolution(), SECOND);
    assert_eq!((counter.slack(), counter.slots()), (20, 320));
    assert_eq!(counter.strategy(), Strategy::Striped);
    assert_eq!(counter.max_skew(), None);
    assert!(matches!(counter.clock(), Clock::System));
    assert_eq!(
        format!("{counter:?}"),
        "HitCounter { window: 300s, resolution: 1s, slack: 20, strategy: Striped, max_skew: None, clock: SystemClock, .. }"
    );
    assert_eq!(HitCounter::builder().clock(SystemClock).build().expect("valid").max_skew(), Some(20 * SECOND));
}

#[test]
fn a_ring_never_has_fewer_than_64_slots_and_needs_no_slack() {
    let slots = |window, slack| HitCounter::builder().window(window).slack(slack).build().expect("valid").slots();
    assert_eq!(
        [slots(SECOND, 0), slots(60 * SECOND, 3), slots(60 * SECOND, 20), slots(300 * SECOND, 0)],
        [64, 64, 80, 300]
    );
}

#[test]
fn every_refused_configuration_says_what_would_do() {
    let refused = |builder: hitring::Builder| builder.build().expect_err("refused").to_string();
    let builder = HitCounter::builder;
    for (text, cure) in [
        (refused(builder().resolution(Duration::from_micros(10))), "at least 1ms"),
        (refused(builder().window(Duration::ZERO)), "at least one tick"),
        (refused(builder().window(Duration::from_millis(1_500))), "a multiple of the resolution"),
        (refused(builder().window(Duration::from_secs(1 << 22))), "use a resolution of 4s"),
        (refused(builder().slack(u32::MAX)), "give fewer"),
        (refused(builder().max_skew(21 * SECOND)), "raise the slack or lower max_skew"),
        (refused(builder().strategy(Strategy::Sliding { max_hits: 0 })), "raise max_hits"),
    ] {
        assert!(text.contains(cure), "{text:?} does not name {cure:?}");
    }
}

#[test]
fn every_refused_question_says_what_would_do() {
    let counter = HitCounter::new();
    let at = Timestamp::from(1_000u32);
    let longer = counter.count_at(at, 301 * SECOND).expect_err("longer than the window").to_string();
    assert!(longer.contains("ask for less"), "{longer}");
    let part = counter.count_at(at, Duration::from_millis(500)).expect_err("half a tick").to_string();
    assert!(part.contains("a multiple of the resolution"), "{part}");
    assert!(counter.record_at(Timestamp::from(1_400u32), 1).is_counted());
    let gone = counter.count_at(Timestamp::from(1_100u32), 300 * SECOND).expect_err("overwritten");
    assert_eq!(gone, QueryError::WindowExpired { at: Timestamp::from(1_100u32), last: 300 * SECOND });
    assert!(gone.to_string().contains("a later time"), "{gone}");
    assert_eq!(counter.get_hits(Timestamp::from(1_100u32)), 0);
    assert_eq!(counter.count_at(at, Duration::ZERO), Ok(0));
}

#[test]
fn the_example_of_leetcode_362() {
    let counter = HitCounter::new();
    let at = |second: u32| Timestamp::from(second);
    for second in [1, 2, 3] {
        counter.hit(at(second));
    }
    assert_eq!(counter.get_hits(at(4)), 3);
    counter.hit(at(300));
    assert_eq!([counter.get_hits(at(300)), counter.get_hits(at(301))], [4, 3]);
    counter.hit(at(301));
    assert_eq!(counter.count_at(at(300), 300 * SECOND), Ok(4), "slack keeps the last second of the window");
}

#[test]
fn amounts_are_counted_whole_or_not_at_all() {
    for strategy in [Strategy::Striped, Strategy::Ring, Strategy::SLIDING] {
        let counter = HitCounter::builder().strategy(strategy.clone()).build().expect("valid");
        let at = Timestamp::from(5u32);
        assert_eq!(counter.record_at(at, 0), Outcome::Counted);
        assert_eq!(counter.record_at(at, u64::MAX), Outcome::Saturated);
        assert_eq!(counter.record_at(at, 1 << 63), Outcome::Saturated);
        assert_eq!(counter.record_at(at, 8_000_000_000), Outcome::Counted);
        assert_eq!(counter.count_at(at, 300 * SECOND), Ok(8_000_000_000));
        assert_eq!(counter.outcomes().saturated, u64::MAX);
        assert_eq!(counter.outcomes().counted, 8_000_000_000);
    }
}

#[test]
fn the_first_and_the_last_second_there_are() {
    for strategy in [Strategy::Striped, Strategy::Ring, Strategy::SLIDING] {
        let counter = HitCounter::builder().strategy(strategy.clone()).build().expect("valid");
        assert_eq!(counter.record_at(Timestamp::ZERO, 2), Outcome::Counted);
        assert_eq!(counter.count_at(Timestamp::ZERO, 300 * SECOND), Ok(2));
        assert_eq!(counter.record_at(Timestamp::MAX, 3), Outcome::Counted);
        assert_eq!(counter.count_at(Timestamp::MAX, 300 * SECOND), Ok(3));
    }
    assert_eq!(Timestamp::try_from(253_402_300_800u64), Err(TimeError::TooLate));
}

#[test]
fn buckets_and_rate() {
    let counter = HitCounter::new();
    for (second, amount) in [(100, 1), (101, 2), (103, 4)] {
        assert!(counter.record_at(Timestamp::from(second), amount).is_counted());
    }
    let buckets = counter.buckets_at(Timestamp::from(103u32), 4 * SECOND).expect("nothing is gone");
    let told: Vec<_> = buckets.iter().map(|bucket| (bucket.start.secs(), bucket.count)).collect();
    assert_eq!(told, [(100, 1), (101, 2), (102, 0), (103, 4)]);
    let rate = counter.rate_at(Timestamp::from(103u32), 4 * SECOND).expect("nothing is gone");
    assert!((rate - 1.75).abs() < 1e-12, "{rate}");
    assert_eq!(counter.rate(Duration::ZERO), Ok(0.0));
    assert_eq!(
        counter.buckets_at(Timestamp::ZERO, 4 * SECOND).map(|b| b.len()),
        Ok(1),
        "there is nothing before second 0"
    );
}

#[test]
fn a_clone_goes_on_from_the_tick_of_its_original() {
    let clock = ManualClock::new(Timestamp::from(1_000u32));
    let counter = HitCounter::builder().clock(clock.clone()).build().expect("valid");
    assert!(counter.record_at(Timestamp::from(1_020u32), 1).is_counted());
    assert_eq!(counter.count(), Ok(0));
    clock.set(Timestamp::from(980u32));
    assert_eq!(counter.count(), Ok(0));
    assert_eq!(
        counter.clone().count(),
        Ok(0),
        "a clone that followed the clock back would find the window overwritten"
    );
}

#[test]
fn strategies_by_name() {
    for name in ["striped", "ring", "fixed", "sliding", "morris", "adaptive"] {
        let strategy: Strategy = name.parse().expect("a name");
        assert_eq!(strategy.to_string(), name);
    }
    let unknown = "deque".parse::<Strategy>().expect_err("no such strategy").to_string();
    assert!(unknown.contains("\"striped\", \"ring\", \"fixed\""), "{unknown}");
}
