//! What the documentation promises of registries, one by one.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use hitring::{
    ConfigError, EndpointError, Event, EventKind, EventSet, Hits, ManualClock, Outcome, QueryError, Received, Registry,
    RegistryBuilder, Shape, SnapshotError, Strategy, WhenFull,
};

use super::{START, at};
use crate::threads::together;

const MINUTE: Duration = Duration::from_secs(60);

/// A registry of a minute at a clock of its own.
fn clocked() -> (RegistryBuilder, ManualClock) {
    let clock = ManualClock::new(at(START));
    (Registry::builder().window(MINUTE).clock(clock.clone()), clock)
}

fn record(registry: &Registry, name: &str, amount: u64) -> Outcome {
    registry.record_hit(name, amount).expect("the name is possible")
}

fn count(registry: &Registry, name: &str) -> u64 {
    registry.query_hits(name, registry.window()).expect("the window is known").count
}

#[test]
fn names_are_1_to_1024_bytes() {
    let registry = Registry::new();
    for (name, length) in [(String::new(), 0), ("x".repeat(1_025), 1_025), ("ü".repeat(513), 1_026)] {
        assert_eq!(registry.record_hit(&name, 1), Err(EndpointError::Name { length }));
        assert_eq!(registry.counter(&name).err(), Some(EndpointError::Name { length }));
        assert_eq!(registry.query_hits(&name, MINUTE), Ok(Hits::NONE));
    }
    for name in ["x", " ", "\0", &"x".repeat(1_024)] {
        assert_eq!(record(&registry, name, 1), Outcome::Counted);
        assert_eq!(count(&registry, name), 1);
    }
    assert_eq!(registry.len(), 4);
}

#[test]
fn what_is_asked_wrongly_says_what_would_be_right() {
    let registry = Registry::builder().window(MINUTE).build().expect("a minute is possible");
    let _ = record(&registry, "a", 1);
    let long = Duration::from_secs(61);
    assert_eq!(registry.query_hits("a", long), Err(QueryError::LongerThanWindow { last: long, window: MINUTE }));
    assert_eq!(registry.query_hits("never", long), Err(QueryError::LongerThanWindow { last: long, window: MINUTE }));
    let half = Duration::from_millis(1_500);
    assert!(matches!(registry.query_hits("a", half), Err(QueryError::NotWhole { .. })));
    registry.swap_endpoint("a", &Strategy::Adaptive).expect("it suits");
    assert!(matches!(registry.query_hits("a", half), Err(QueryError::NotWhole { .. })));
    assert_eq!(registry.query_hits("a", Duration::ZERO), Ok(Hits::NONE));
    assert_eq!(Registry::builder().max_endpoints(0).build().err(), Some(ConfigError::NoEndpoints));
    let odd = Strategy::Fixed { window_size: Duration::from_millis(1_500) };
    assert!(matches!(registry.swap_strategy(&odd), Err(ConfigError::WindowSize { .. })));
    assert!(matches!(registry.swap_endpoint("never", &odd), Err(ConfigError::WindowSize { .. })));
    assert_eq!(registry.strategy_of("a"), Some((Strategy::Adaptive, Shape::Few)), "nothing was changed");
}

#[test]
fn a_sliding_endpoint_answers_to_the_microsecond() {
    let (builder, clock) = clocked();
    let registry = builder.strategy(Strategy::SLIDING).build().expect("a minute is possible");
    let _ = record(&registry, "a", 1);
    clock.advance(Duration::from_millis(1_500)).expect("before 9999");
    assert_eq!(registry.query_hits("a", Duration::from_micros(1_500_001)), Ok(Hits::exact(1)));
    assert_eq!(registry.query_hits("a", Duration::from_micros(1_500_000)), Ok(Hits::NONE));
}

#[test]
fn a_full_registry_refuses_and_counts() {
    let (builder, clock) = clocked();
    let registry = builder.max_endpoints(2).build().expect("a minute is possible");
    assert_eq!([record(&registry, "a", 1), record(&registry, "b", 1)], [Outcome::Counted; 2]);
    assert_eq!(record(&registry, "c", 5), Outcome::Refused);
    assert_eq!(registry.counter("c").err(), Some(EndpointError::Full { max_endpoints: 2 }));
    assert_eq!((registry.metrics().refused, registry.len()), (5, 2));
    assert!(!registry.contains("c"));
    // What is idle goes by itself.
    clock.advance(Duration::from_secs(200)).expect("before 9999");
    assert_eq!(record(&registry, "c", 1), Outcome::Counted);
    assert_eq!(registry.endpoints(), ["c"]);
}

#[test]
fn the_idlest_makes_room() {
    let (builder, clock) = clocked();
    let registry = builder.max_endpoints(3).when_full(WhenFull::Prune).build().expect("a minute is possible");
    let kept = registry.counter("kept").expect("there is room");
    for name in ["a", "b"] {
        clock.advance(Duration::from_secs(1)).expect("before 9999");
        let _ = record(&registry, name, 7);
    }
    let _ = record(&registry, "a", 1);
    clock.advance(Duration::from_secs(1)).expect("before 9999");
    let _ = record(&registry, "a", 1);
    assert_eq!(record(&registry, "c", 1), Outcome::Counted);
    assert_eq!(registry.endpoints(), ["a", "c", "kept"], "b was idle for longest; that with a handle stays");
    assert_eq!((registry.metrics().pruned_events, registry.metrics().pruned_endpoints), (7, 1));
    assert_eq!(kept.record(1), Outcome::Counted);
    // With handles on all there is nothing to prune.
    let _all = ["a", "c"].map(|name| registry.counter(name).expect("it is there"));
    assert_eq!(record(&registry, "d", 1), Outcome::Refused);
}

#[test]
fn a_handle_of_a_removed_endpoint_refuses() {
    let registry = Registry::new();
    let old = registry.counter("a").expect("there is room");
    assert_eq!(old.record(3), Outcome::Counted);
    assert!(registry.remove("a") && !registry.remove("a"));
    assert_eq!((old.record(1), old.record_at(at(START), 1)), (Outcome::Refused, Outcome::Refused));
    assert_eq!((old.count(), old.is_live()), (Ok(Hits::NONE), false));
    let new = registry.counter("a").expect("there is room");
    assert_eq!((new.record(1), count(&registry, "a")), (Outcome::Counted, 1));
    assert_eq!(old.clone().record(1), Outcome::Refused);
    assert_eq!((registry.metrics().total_hits, registry.metrics().refused), (4, 3));
}

#[test]
fn hits_before_a_swap_stay_countable() {
    let (builder, clock) = clocked();
    let registry = builder.build().expect("a minute is possible");
    let strategies = [
        Strategy::SLIDING,
        Strategy::Striped,
        Strategy::Adaptive,
        Strategy::Fixed { window_size: Duration::from_secs(1) },
        Strategy::Ring,
    ];
    for (turn, strategy) in strategies.iter().enumerate() {
        let _ = record(&registry, "a", 10);
        assert_eq!(registry.swap_strategy(strategy), Ok(1), "{strategy}");
        assert_eq!(registry.swap_strategy(strategy), Ok(0), "{strategy}");
        let _ = record(&registry, "a", 1);
        assert_eq!(count(&registry, "a"), 11 * (turn as u64 + 1));
        clock.advance(Duration::from_secs(2)).expect("before 9999");
    }
    assert_eq!(registry.strategy(), Strategy::Ring);
    // They leave the window as they would have without.
    clock.advance(Duration::from_secs(49)).expect("before 9999");
    assert_eq!(count(&registry, "a"), 55);
    clock.advance(Duration::from_secs(1)).expect("before 9999");
    assert_eq!(count(&registry, "a"), 44);
    let before = registry.metrics().memory_bytes;
    clock.advance(Duration::from_secs(100)).expect("before 9999");
    let _ = record(&registry, "a", 1);
    assert!(registry.metrics().memory_bytes * 2 < before, "former generations are dropped");
    assert_eq!(count(&registry, "a"), 1);
    assert_eq!(registry.metrics().total_hits, 56);
}

#[test]
fn adaptive_grows_with_its_traffic_and_shrinks_when_idle() {
    let (builder, clock) = clocked();
    let registry = builder.strategy(Strategy::Adaptive).build().expect("a minute is possible");
    let shape = || registry.strategy_of("a").map(|(_, shape)| shape);
    for (ticks, expected) in [(4, Shape::Few), (1, Shape::Sparse), (15, Shape::Sparse), (1, Shape::Ring)] {
        for _ in 0..ticks {
            clock.advance(Duration::from_secs(1)).expect("before 9999");
            let _ = record(&registry, "a", 1);
        }
        assert_eq!(shape(), Some(expected));
    }
    assert_eq!(count(&registry, "a"), 21);
    let grown = registry.metrics().memory_bytes;
    // One hit a minute is not worth a ring.
    for _ in 0..4 {
        clock.advance(MINUTE).expect("before 9999");
        let _ = record(&registry, "a", 1);
        registry.prune();
    }
    assert_eq!(shape(), Some(Shape::Few));
    assert!(registry.metrics().memory_bytes + 500 < grown);
    assert_eq!(count(&registry, "a"), 1);
    // More in one tick than a cell holds.
    let _ = record(&registry, "b", 1 << 29);
    let _ = record(&registry, "b", 1 << 29);
    assert_eq!(count(&registry, "b"), 1 << 30);
}

#[test]
fn idle_endpoints_age_out() {
    let (builder, clock) = clocked();
    let registry = builder.build().expect("a minute is possible");
    let _ = record(&registry, "a", 2);
    clock.advance(MINUTE).expect("before 9999");
    let _ = record(&registry, "b", 1);
    assert_eq!(registry.prune(), 0, "the slack still holds it");
    assert_eq!((count(&registry, "a"), registry.contains("a")), (0, true));
    clock.advance(Duration::from_secs(20)).expect("before 9999");
    assert_eq!(registry.prune(), 1);
    assert_eq!(registry.endpoints(), ["b"]);
    assert_eq!((registry.metrics().pruned_events, registry.metrics().total_hits), (2, 3));
    // No count is silently low, because a pruned name expires instead of counting as 0.
    let then = registry.query_hits_at("a", at(START), MINUTE);
    assert!(matches!(then, Err(QueryError::WindowExpired { .. })), "{then:?}");
    assert_eq!(count(&registry, "a"), 0);
    // New endpoints look after old ones.
    clock.advance(Duration::from_secs(200)).expect("before 9999");
    let _ = record(&registry, "c", 1);
    assert_eq!(registry.endpoints(), ["c"]);
}

#[test]
fn without_a_clock_the_newest_hit_is_now() {
    let registry = Registry::builder().window(MINUTE).build().expect("a minute is possible");
    let hit = |name, second| registry.record_hit_at(name, at(second), 1).expect("the name is possible");
    assert_eq!(hit("a", 1), Outcome::Counted);
    assert_eq!(registry.prune(), 0);
    assert_eq!(hit("b", 500), Outcome::Counted);
    assert_eq!((registry.prune(), registry.endpoints()), (1, vec!["b".to_owned()]));
    // A stamp of the year 5138 is believed, but does not make the rest look idle.
    assert_eq!(hit("c", 100_000_000_000), Outcome::Counted);
    assert_eq!(hit("b", 501), Outcome::Counted);
    assert_eq!(registry.query_hits_at("b", at(501), MINUTE), Ok(Hits::exact(2)));
}

#[test]
fn totals_and_the_top() {
    let registry = Registry::builder().window(MINUTE).build().expect("a minute is possible");
    for (name, amount) in [("/api/a", 5), ("/api/b", 9), ("/c", 5), ("/none", 0)] {
        let _ = record(&registry, name, amount);
    }
    assert_eq!(registry.total(MINUTE), Ok(Hits::exact(19)));
    assert_eq!(registry.total_where(None, MINUTE, |name| name.starts_with("/api/")), Ok(Hits::exact(14)));
    let top = |n| -> Vec<(String, u64)> {
        let top = registry.top(n, MINUTE).expect("the window is known");
        top.into_iter().map(|(name, hits)| (name, hits.count)).collect()
    };
    let all = [("/api/b", 9), ("/api/a", 5), ("/c", 5)].map(|(name, hits)| (name.to_owned(), hits));
    for n in 0..=3 {
        assert_eq!(top(n), all[..n]);
    }
    assert_eq!(top(100), all);
    assert_eq!(registry.endpoints(), ["/api/a", "/api/b", "/c", "/none"]);
}

#[test]
fn metrics_tell_what_became_of_every_hit() {
    let (builder, _) = clocked();
    let registry = builder.strategy(Strategy::Ring).max_endpoints(1).build().expect("a minute is possible");
    let hit = |name, second, amount| registry.record_hit_at(name, at(second), amount).expect("the name is possible");
    assert_eq!(hit("a", START, 1), Outcome::Counted);
    assert_eq!(hit("a", START - 80, 2), Outcome::Late);
    assert_eq!(hit("a", START + 21, 3), Outcome::Future);
    assert_eq!(hit("a", START, 1 << 62), Outcome::Saturated);
    assert_eq!(hit("b", START, 5), Outcome::Refused);
    let metrics = registry.metrics();
    assert_eq!(
        [metrics.total_hits, metrics.late, metrics.future, metrics.saturated, metrics.refused],
        [1, 2, 3, 1 << 62, 5]
    );
    assert_eq!((metrics.endpoints_count, metrics.memory_entries, &*metrics.strategy), (1, 1, "ring"));
    assert!((700..4_000).contains(&metrics.memory_bytes), "{}", metrics.memory_bytes);
}

#[test]
fn a_restored_registry_is_the_one_that_was_saved() {
    let (builder, clock) = clocked();
    let registry = builder.build().expect("a minute is possible");
    let (kept, gone) = (registry.counter("kept").expect("there is room"), registry.counter("gone"));
    let _ = (kept.record(3), record(&registry, "sliding", 2));
    registry.remove("gone");
    registry.swap_endpoint("sliding", &Strategy::SLIDING).expect("it suits");
    let (saved, metrics) = (registry.snapshot(), registry.metrics());
    let _ = (kept.record(4), record(&registry, "late", 1));
    let late = registry.counter("late").expect("there is room");
    registry.swap_strategy(&Strategy::Adaptive).expect("it suits");
    assert_eq!(registry.restore(&saved), Ok(()));
    assert_eq!(registry.endpoints(), ["kept", "sliding"]);
    assert_eq!((count(&registry, "kept"), count(&registry, "sliding")), (3, 2));
    assert_eq!(registry.strategy(), Strategy::Ring);
    assert_eq!(registry.strategy_of("sliding"), Some((Strategy::SLIDING, Shape::Asked)));
    assert_eq!(registry.metrics().total_hits, metrics.total_hits);
    // Handles go on by name; that of a name that the snapshot has not refuses.
    assert_eq!((kept.record(1), kept.count()), (Outcome::Counted, Ok(Hits::exact(4))));
    assert_eq!((late.record(1), late.is_live()), (Outcome::Refused, false));
    assert_eq!(gone.expect("there was room").record(1), Outcome::Refused);
    assert_eq!(registry.metrics().total_hits, metrics.total_hits + 1);
    // Restored hits leave the window like others.
    clock.advance(Duration::from_secs(59)).expect("before 9999");
    assert_eq!(count(&registry, "kept"), 4);
    clock.advance(Duration::from_secs(1)).expect("before 9999");
    assert_eq!(count(&registry, "kept"), 0);
}

#[test]
fn a_snapshot_is_refused_whole_or_taken_whole() {
    let registry = Registry::builder().window(MINUTE).max_endpoints(2).build().expect("a minute is possible");
    let _ = (record(&registry, "a", 1), record(&registry, "b", 1));
    let before = registry.snapshot();
    assert_eq!(registry.merge(&before), Err(SnapshotError::Own));
    let other = Registry::builder().window(MINUTE * 2).build().expect("two minutes are possible").snapshot();
    assert!(matches!(registry.merge(&other), Err(SnapshotError::OtherGeometry { .. })));
    assert!(matches!(registry.restore(&other), Err(SnapshotError::OtherGeometry { .. })));
    let larger = Registry::builder().window(MINUTE).build().expect("a minute is possible");
    for name in ["a", "c", "d"] {
        let _ = record(&larger, name, 5);
    }
    let no_room = |endpoints| Err(SnapshotError::NoRoom { endpoints, max_endpoints: 2 });
    assert_eq!(registry.merge(&larger.snapshot()), no_room(4));
    assert_eq!(registry.restore(&larger.snapshot()).map(|()| 0), no_room(3));
    assert_eq!((registry.endpoints(), count(&registry, "a")), (vec!["a".to_owned(), "b".to_owned()], 1));
}

#[test]
fn removed_hits_do_not_come_back() {
    let (ours, theirs) = (Registry::new(), Registry::new());
    let _ = (record(&ours, "a", 1), record(&theirs, "a", 2));
    let old = theirs.snapshot();
    ours.merge(&old).expect("both are alike");
    assert_eq!(count(&ours, "a"), 3);
    ours.remove("a");
    ours.merge(&old).expect("both are alike");
    assert_eq!((count(&ours, "a"), ours.contains("a")), (0, false));
    let _ = record(&ours, "a", 5);
    ours.merge(&theirs.snapshot()).expect("both are alike");
    assert_eq!(count(&ours, "a"), 5);
    theirs.merge(&ours.snapshot()).expect("both are alike");
    assert_eq!(count(&theirs, "a"), 5, "the removal is merged, too");
}

#[test]
fn a_clone_counts_on_by_itself() {
    let registry = Registry::new();
    let _ = record(&registry, "a", 2);
    let clone = registry.clone();
    let _ = (record(&registry, "a", 1), record(&clone, "a", 4));
    assert_eq!((count(&registry, "a"), count(&clone, "a")), (3, 6));
    registry.merge(&clone.snapshot()).expect("both are alike");
    clone.merge(&registry.snapshot()).expect("both are alike");
    assert_eq!((count(&registry, "a"), count(&clone, "a")), (7, 7));
    assert_eq!((registry.metrics().total_hits, clone.metrics().total_hits), (7, 7));
}

#[test]
fn morris_says_how_far_off_it_may_be() {
    let (builder, _) = clocked();
    let registry =
        builder.strategy(Strategy::morris(0.05).expect("a usual error")).build().expect("a minute is possible");
    assert_eq!(record(&registry, "a", 100_000), Outcome::Counted);
    let hits = registry.query_hits("a", MINUTE).expect("the window is known");
    assert!(!hits.is_exact() && (50_000..150_000).contains(&hits.count), "{hits:?}");
    // The estimates of two replicas add up, however often they are merged.
    let other = registry.clone();
    let _ = record(&other, "a", 100_000);
    registry.merge(&other.snapshot()).expect("both are alike");
    let merged = registry.query_hits("a", MINUTE).expect("the window is known");
    registry.merge(&other.snapshot()).expect("both are alike");
    assert_eq!(registry.query_hits("a", MINUTE), Ok(merged));
    assert!((hits.count + 50_000..hits.count + 150_000).contains(&merged.count), "{merged:?}");
}

fn received(events: &Receiver<Event>) -> Event {
    events.recv_timeout(Duration::from_secs(10)).expect("the event comes")
}

#[test]
fn events_tell_what_happens() {
    let (builder, clock) = clocked();
    let registry = builder.max_endpoints(2).build().expect("a minute is possible");
    let (sender, events) = channel();
    let wants: EventSet = EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::MetricsUpdated).collect();
    let told = move |event: &Event| sender.send(event.clone()).expect("the test still listens");
    let subscription = registry.subscribe(wants, 1_000, told).expect("a thread can be started");
    let _ = registry.record_hit_at("a", at(START - 1), 3);
    assert_eq!(received(&events), Event::EndpointCreated { endpoint: "a".into() });
    assert_eq!(received(&events), Event::HitRecorded { endpoint: "a".into(), at: at(START - 1), amount: 3 });
    let _ = (record(&registry, "b", 1), record(&registry, "c", 1));
    assert_eq!(received(&events), Event::EndpointCreated { endpoint: "b".into() });
    assert_eq!(received(&events), Event::HitRecorded { endpoint: "b".into(), at: at(START), amount: 1 });
    assert_eq!(received(&events), Event::EndpointRefused { endpoint: "c".into() });
    registry.swap_endpoint("a", &Strategy::SLIDING).expect("it suits");
    let swapped = |endpoint: Option<&str>, old: &str, new: &str| Event::StrategySwapped {
        endpoint: endpoint.map(Into::into),
        old: old.to_owned(),
        new: new.to_owned(),
    };
    assert_eq!(received(&events), swapped(Some("a"), "ring", "sliding"));
    registry.swap_strategy(&Strategy::Striped).expect("it suits");
    assert_eq!(received(&events), swapped(None, "ring", "striped"));
    let snapshot = registry.snapshot();
    assert_eq!(received(&events), Event::SnapshotTaken { endpoints_count: 2 });
    registry.restore(&snapshot).expect("it is its own");
    assert_eq!(received(&events), Event::SnapshotRestored);
    clock.advance(Duration::from_secs(100)).expect("before 9999");
    assert_eq!(registry.prune(), 2);
    let mut pruned = [received(&events), received(&events)];
    pruned.sort_by_key(|event| event.endpoint().map(ToString::to_string));
    let gone = |endpoint: &str, removed| Event::Pruned { endpoint: endpoint.into(), removed };
    assert_eq!(pruned, [gone("a", 3), gone("b", 1)]);
    subscription.close();
    let _ = record(&registry, "a", 1);
    assert!(events.try_recv().is_err(), "a closed subscription is told nothing");
}

#[test]
fn metrics_events_are_told_together() {
    let registry = Registry::new();
    let listener = registry.listen(EventKind::MetricsUpdated.into(), 10).expect("ten events may wait");
    for _ in 0..1_000 {
        let _ = record(&registry, "a", 1);
    }
    assert_eq!(listener.try_recv(), Received::MetricsDue);
    assert_eq!(listener.try_recv(), Received::Idle);
    assert_eq!((registry.metrics().total_hits, listener.dropped()), (1_000, 0));
}

#[test]
fn a_threshold_is_told_once_each_time_it_is_crossed() {
    let (builder, clock) = clocked();
    let registry = builder.build().expect("a minute is possible");
    let (sender, events) = channel();
    let told = move |event: &Event| sender.send(event.clone()).expect("the test still listens");
    let threshold = registry.on_threshold("/api/*", Duration::from_secs(10), 5, told).expect("it is possible");
    let hit = |name: &str, amount| assert_eq!(record(&registry, name, amount), Outcome::Counted);
    hit("/api/a", 4);
    hit("/other", 100);
    hit("/api/a", 3);
    hit("/api/a", 1);
    let crossed = received(&events);
    assert!(
        matches!(&crossed, Event::ThresholdCrossed { endpoint, hits: 7, limit: 5, .. } if &**endpoint == "/api/a"),
        "{crossed:?}"
    );
    clock.advance(Duration::from_secs(10)).expect("before 9999");
    hit("/api/a", 5);
    assert!(matches!(received(&events), Event::ThresholdCrossed { hits: 5, .. }));
    // The next endpoint of the name has crossed nothing yet.
    assert!(registry.remove("/api/a"));
    hit("/api/a", 6);
    assert!(matches!(received(&events), Event::ThresholdCrossed { hits: 6, .. }));
    threshold.close();
    hit("/api/b", 50);
    assert!(events.try_recv().is_err());
    let wrong = |last, limit| registry.watch("a", last, limit).expect_err("refused");
    assert_eq!(wrong(MINUTE, 0), ConfigError::NoLimit);
    assert_eq!(wrong(Duration::ZERO, 1), ConfigError::NoSpan);
    assert_eq!(wrong(MINUTE * 2, 1), ConfigError::ThresholdTooLong { last: MINUTE * 2, window: MINUTE });
    assert!(matches!(wrong(Duration::from_millis(1_500), 1), ConfigError::WindowNotWhole { .. }));
}

#[test]
fn a_span_that_cannot_be_asked_for_is_refused_whether_there_is_an_endpoint_or_not() {
    let half = Duration::from_millis(500);
    let refused = |told: Result<_, QueryError>| assert!(matches!(told, Err(QueryError::NotWhole { .. })), "{told:?}");
    let registry = Registry::new();
    for _ in 0..2 {
        refused(registry.query_hits("/a", half).map(drop));
        refused(registry.query_hits("/nobody", half).map(drop));
        refused(registry.total(half).map(drop));
        refused(registry.top(3, half).map(drop));
        assert_eq!(registry.record_hit("/a", 1), Ok(Outcome::Counted));
    }
    let removed = registry.counter("/b").expect("there is room");
    assert!(registry.remove("/b"));
    refused(removed.count_last(half).map(drop));
    let exact = Registry::builder().strategy(Strategy::SLIDING).build().expect("it is possible");
    assert!(exact.query_hits("/nobody", half).is_ok());
    assert!(exact.total(half).is_ok());
}

/// A removal may be forgotten when there were many and it is out of every window. Then it voids nothing that could be asked for,
/// and hits of a lower epoch count beside those of a higher.
#[test]
fn a_forgotten_removal_shuts_no_hits_out() {
    let (builder, clock) = clocked();
    let (ours, theirs) = (builder.clone().max_endpoints(2).build().expect("it is possible"), Registry::builder());
    let theirs = theirs.window(MINUTE).clock(clock.clone()).build().expect("it is possible");
    for name in ["/a", "/b", "/c"] {
        assert_eq!(record(&ours, name, 1), Outcome::Counted);
        assert!(ours.remove(name));
    }
    for minute in 0..3 {
        assert_eq!(record(&ours, "/a", 1), Outcome::Counted, "{minute}");
        clock.advance(MINUTE).expect("before 9999");
        ours.prune();
    }
    record(&ours, "/a", 10);
    record(&theirs, "/a", 100);
    let (later, earlier) = (ours.snapshot(), theirs.snapshot());
    assert_eq!(ours.merge(&earlier), Ok(0));
    assert_eq!(theirs.merge(&later), Ok(0));
    assert_eq!((count(&ours, "/a"), count(&theirs, "/a")), (110, 110));
}

#[test]
fn a_busy_adaptive_endpoint_keeps_its_ring() {
    let (builder, clock) = clocked();
    let registry = builder.strategy(Strategy::Adaptive).build().expect("it is possible");
    for second in 0..200 {
        record(&registry, "/busy", 3);
        clock.advance(Duration::from_secs(1)).expect("before 9999");
        registry.prune();
        if second > 30 {
            assert_eq!(registry.strategy_of("/busy"), Some((Strategy::Adaptive, Shape::Ring)), "{second}");
        }
    }
}

/// The idlest endpoints are sought a few at a time, so one that is on the list may have been hit since.
#[test]
fn who_was_hit_since_is_not_the_idlest_any_more() {
    let builder = Registry::builder().window(Duration::from_secs(600)).max_endpoints(256);
    let registry = builder.when_full(WhenFull::Prune).build().expect("it is possible");
    let names: Vec<String> = (0..258).map(|number| format!("/{number:03}")).collect();
    let hit = |name: &str, second: usize| {
        assert_eq!(registry.record_hit_at(name, at(START + second as u64), 1), Ok(Outcome::Counted));
    };
    names[..257].iter().zip(0..).for_each(|(name, second)| hit(name, second));
    assert!(!registry.contains(&names[0]));
    hit(&names[1], 258);
    hit(&names[257], 259);
    assert!(registry.contains(&names[1]) && !registry.contains(&names[2]) && registry.contains(&names[3]));
}

/// A window that begins within a bucket touches one bucket more than fit into it.
#[test]
fn the_whole_window_can_be_asked_for_in_buckets() {
    let (window, window_size) = (Duration::from_secs(200), Duration::from_secs(2));
    let strategy = Strategy::Fixed { window_size };
    let clock = ManualClock::new(at(START));
    let registry = Registry::builder().window(window).slack(0).strategy(strategy).clock(clock.clone());
    let registry = registry.build().expect("it is possible");
    for second in 0..500 {
        record(&registry, "/a", 1);
        let hits = registry.query_hits("/a", window).expect("nothing of the window was recycled");
        let least = (second + 1).min(200);
        assert!((least..=least + 1).contains(&hits.count), "{second}: {hits:?}");
        clock.advance(Duration::from_secs(1)).expect("before 9999");
    }
}

#[test]
fn what_left_with_a_former_strategy_is_expired_and_not_nothing() {
    let (builder, clock) = clocked();
    let registry = builder.build().expect("it is possible");
    let then = clock.now();
    record(&registry, "/a", 5);
    registry.swap_strategy(&Strategy::SLIDING).expect("it suits");
    // In a slot that the first window has not: the new log has nothing that tells of it.
    clock.advance(Duration::from_secs(570)).expect("before 9999");
    record(&registry, "/a", 1);
    registry.prune();
    let told = registry.query_hits_at("/a", then, MINUTE);
    assert!(matches!(told, Err(QueryError::WindowExpired { .. })), "{told:?}");
    assert_eq!(count(&registry, "/a"), 1);
}

/// Threads that hit one adaptive endpoint at once get a ring, and then stripes, though all hits are of one tick.
#[test]
fn a_hot_adaptive_endpoint_is_striped_by_itself() {
    let (builder, clock) = clocked();
    let registry = builder.strategy(Strategy::Adaptive).build().expect("it is possible");
    let handle = registry.counter("/hot").expect("there is room");
    let mut hits = 0;
    // As many rounds as it takes for threads to meet, each longer than a busy machine lets one thread run alone.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(120) {
        together(4, |_| (0..200_000).for_each(|_| assert_eq!(handle.record(1), Outcome::Counted)));
        hits += 800_000;
        if registry.strategy_of("/hot") == Some((Strategy::Adaptive, Shape::Striped)) {
            break;
        }
        // What a ring has seen of crowding it acts on at a new tick.
        clock.advance(Duration::from_secs(1)).expect("before 9999");
    }
    assert_eq!(registry.strategy_of("/hot"), Some((Strategy::Adaptive, Shape::Striped)));
    assert_eq!(registry.metrics().total_hits, hits);
}

/// As the seed has it: a sliding log drops, on a record, what left the window, and says so.
#[test]
fn a_sliding_log_prunes_as_it_records() {
    let (builder, clock) = clocked();
    let registry = builder.strategy(Strategy::SLIDING).build().expect("it is possible");
    let listener = registry.listen(EventKind::Pruned.into(), 1_000).expect("it is possible");
    for _ in 0..200 {
        record(&registry, "/a", 3);
        clock.advance(Duration::from_secs(1)).expect("before 9999");
    }
    let metrics = registry.metrics();
    assert_eq!(metrics.total_hits, 600);
    assert_eq!(metrics.pruned_events + 3 * metrics.memory_entries, 600, "{metrics:?}");
    let mut told = 0;
    while let Received::Event(Event::Pruned { endpoint, removed }) = listener.try_recv() {
        assert_eq!(&*endpoint, "/a");
        told += removed;
    }
    assert_eq!((told, listener.dropped()), (metrics.pruned_events, 0));
    // What the log dropped before is not counted again when the endpoint goes.
    clock.advance(MINUTE * 10).expect("before 9999");
    assert_eq!(registry.prune(), 1);
    assert_eq!(registry.metrics().pruned_events, 600);
}
