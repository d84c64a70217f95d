//! What the documentation promises, one by one.

use std::sync::mpsc::channel;
use std::time::Duration;

use hitring::{
    Accuracy, EndpointError, EventKind, EventSet, Hits, ManualClock, Outcome, QueryError, SharedError, SharedRegistry,
};

use super::{Folder, MINUTE, START, at, made, small};
use crate::threads::together;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_one_records_the_others_see() {
    let made = made();
    let other = made.open(&made.path());
    assert_eq!(made.record_hit("/home", 2), Ok(Outcome::Counted));
    assert_eq!(other.record_hit("/home", 3), Ok(Outcome::Counted));
    let handle = other.counter("/home").expect("there is room");
    assert_eq!(handle.record(5), Outcome::Counted);
    assert_eq!(handle.name(), "/home");
    for registry in [&made.registry, &other] {
        assert_eq!(registry.query_hits("/home", MINUTE).expect("exact"), 10);
        assert_eq!(registry.query_hits("/none", MINUTE).expect("exact"), 0);
        assert_eq!(registry.total_ever("/home"), 10);
        assert_eq!((registry.endpoints(), registry.len()), (vec!["/home".to_owned()], 1));
        assert!(registry.contains("/home") && !registry.contains("/none") && !registry.is_empty());
    }
    assert_eq!(handle.count().expect("exact"), 10);
    assert_eq!((handle.total_ever(), handle.is_removed()), (10, false));
}

#[test]
fn hits_outlive_their_process_and_leave_the_window() {
    let made = made();
    let path = made.path();
    assert_eq!(made.record_hit("/home", 7), Ok(Outcome::Counted));
    let (clock, folder) = (made.clock, made.folder);
    drop(made.registry);
    clock.set(at(START + 59));
    let again = small().clock(clock.clone()).open(&path).expect("it is whole");
    assert_eq!(again.query_hits("/home", MINUTE).expect("exact"), 7);
    clock.set(at(START + 60));
    assert_eq!(again.query_hits("/home", MINUTE).expect("exact"), 0);
    assert_eq!(again.total_ever("/home"), 7);
    drop(folder);
}

#[test]
fn times_are_the_callers_or_the_clocks() {
    let made = made();
    assert_eq!(made.max_skew(), 20 * SECOND);
    for (second, outcome) in [
        (START - 1, Outcome::Counted),
        (START - 79, Outcome::Counted),
        (START + 20, Outcome::Counted),
        (START + 21, Outcome::Future),
        (START - 60, Outcome::Late),
    ] {
        assert_eq!(made.record_hit_at("/", at(second), 1), Ok(outcome), "{second}");
    }
    assert_eq!(made.query_hits_at("/", at(START), MINUTE).expect("exact"), 1);
    assert_eq!(made.query_hits_at("/", at(START + 20), MINUTE).expect("exact"), 2);
    assert!(matches!(made.query_hits_at("/", at(START - 20), MINUTE), Err(QueryError::WindowExpired { .. })));
    assert_eq!(made.record_hit("/", 1 << 60), Ok(Outcome::Saturated));
    assert_eq!(made.record_hit("/", 0), Ok(Outcome::Counted));
    let metrics = made.metrics();
    assert_eq!((metrics.total_hits, metrics.late, metrics.future, metrics.saturated), (3, 1, 1, 1 << 60));
    assert_eq!((metrics.endpoints_count, metrics.strategy.as_str()), (1, "ring"));
    assert!(matches!(made.query_hits("/", 2 * MINUTE), Err(QueryError::LongerThanWindow { .. })));
    assert!(matches!(made.query_hits("/", SECOND / 2), Err(QueryError::NotWhole { .. })));
    assert!(matches!(made.query_hits("/none", SECOND / 2), Err(QueryError::NotWhole { .. })));
    assert_eq!(made.query_hits("/", Duration::ZERO).expect("exact"), 0);
}

#[test]
fn names_are_what_they_are() {
    let made = made();
    let long = "\u{fc}".repeat(512);
    let names = ["a", "/", "/\u{1f522}", "exactly8", "exactly88", &long, "seven__"];
    for (index, name) in names.iter().enumerate() {
        assert_eq!(made.record_hit(name, index as u64 + 1), Ok(Outcome::Counted));
    }
    for (index, name) in names.iter().enumerate() {
        assert_eq!(made.query_hits(name, MINUTE).expect("exact"), index as u64 + 1, "{name}");
    }
    let mut sorted: Vec<String> = names.iter().map(ToString::to_string).collect();
    sorted.sort_unstable();
    assert_eq!(made.endpoints(), sorted);
    for length in [0, 1_025] {
        assert_eq!(made.record_hit(&"n".repeat(length), 1), Err(EndpointError::Name { length }));
        assert!(made.counter(&"n".repeat(length)).is_err());
    }
}

#[test]
fn the_busiest_come_first() {
    let made = made();
    for (name, amount) in [("/b", 5), ("/a", 5), ("/c", 9), ("/d", 1)] {
        assert!(made.record_hit(name, amount).is_ok_and(Outcome::is_counted));
    }
    let top = |n| made.top(n, MINUTE).expect("exact").into_iter().map(|(name, hits)| (name, hits.count)).collect();
    let expected = [("/c", 9), ("/a", 5), ("/b", 5), ("/d", 1)].map(|(name, count)| (name.to_owned(), count));
    let all: Vec<_> = top(10);
    assert_eq!(all, expected);
    let two: Vec<_> = top(2);
    assert_eq!(two, expected[..2]);
    let none: Vec<(String, u64)> = top(0);
    assert!(none.is_empty());
    assert_eq!(made.total(MINUTE).expect("exact"), 20);
    assert_eq!(made.total_where(None, MINUTE, |name| name < "/c").expect("exact"), 10);
    made.set(START + 61);
    assert!(made.top(10, MINUTE).expect("exact").is_empty());
    assert_eq!(made.total_at(at(START), MINUTE).expect("exact"), 20);
}

#[test]
fn a_removed_endpoint_takes_nothing_and_a_new_one_begins_at_nothing() {
    let made = made();
    let other = made.open(&made.path());
    let old = other.counter("/home").expect("there is room");
    assert_eq!(old.record(3), Outcome::Counted);
    assert!(made.remove("/home").expect("it can be written"));
    assert!(!made.remove("/home").expect("it can be written") && !made.remove("/none").expect("it can be written"));
    assert_eq!((old.record(1), old.record_at(at(START), 1)), (Outcome::Refused, Outcome::Refused));
    assert_eq!(old.count().expect("exact"), 0);
    assert_eq!((old.total_ever(), old.is_removed(), other.contains("/home")), (0, true, false));
    assert_eq!(other.query_hits("/home", MINUTE).expect("exact"), 0);
    assert_eq!(made.record_hit("/home", 2), Ok(Outcome::Counted));
    assert_eq!((old.record(1), made.total_ever("/home")), (Outcome::Refused, 2));
    assert_eq!(other.query_hits("/home", MINUTE).expect("exact"), 2);
    let metrics = other.metrics();
    assert_eq!((metrics.total_hits, metrics.refused, metrics.endpoints_count), (5, 3, 1));
}

#[test]
fn a_full_file_refuses_new_names_and_goes_on_with_the_old() {
    let folder = Folder::new();
    let registry = small().max_endpoints(3).create(folder.file("full.ring")).expect("it can be made");
    for name in ["/a", "/b", "/c"] {
        assert_eq!(registry.record_hit(name, 1), Ok(Outcome::Counted));
    }
    assert_eq!(registry.record_hit("/d", 4), Ok(Outcome::Refused));
    assert_eq!(registry.counter("/d").map(drop), Err(EndpointError::Full { max_endpoints: 3 }));
    assert_eq!(registry.record_hit("/a", 1), Ok(Outcome::Counted));
    // A removed one keeps its place until the file is compacted.
    assert!(registry.remove("/a").expect("it can be written"));
    assert_eq!(registry.record_hit("/a", 1), Ok(Outcome::Refused));
    assert_eq!((registry.metrics().refused, registry.metrics().total_hits, registry.room().lives), (5, 4, 3));
    let names = small().name_bytes(128).create(folder.file("names.ring")).expect("it can be made");
    assert_eq!(names.record_hit(&"long".repeat(20), 1), Ok(Outcome::Counted));
    assert_eq!(names.record_hit("/", 1), Ok(Outcome::Refused));
}

#[test]
fn visitors_are_told_apart_by_all() {
    let made = made();
    let other = made.open(&made.path());
    for visitor in 0..1_000u32 {
        let registry = if visitor % 2 == 0 { &made.registry } else { &other };
        for _ in 0..2 {
            assert_eq!(registry.record_visit("/home", visitor.to_le_bytes(), 1), Ok(Outcome::Counted));
        }
    }
    let count = other.query_uniques("/home", MINUTE).expect("there is room for them");
    assert!((980..=1_020).contains(&count), "{count}");
    assert_eq!(made.uniques_ever("/home"), Ok(count));
    assert_eq!(made.query_hits("/home", MINUTE).expect("exact"), 2_000);
    let handle = made.counter("/few").expect("there is room");
    for visitor in ["ann", "bob", "ann"] {
        assert_eq!(handle.record_visit(visitor, 1), Outcome::Counted);
    }
    assert_eq!((handle.uniques(MINUTE), handle.uniques_ever()), (Ok(2), Ok(2)));
    made.set(START + 70);
    assert_eq!((handle.uniques(MINUTE), handle.uniques_ever()), (Ok(0), Ok(2)));
    assert_eq!(handle.record_visit_at("ann", at(START + 65), 1), Outcome::Counted);
    assert_eq!(handle.uniques(MINUTE), Ok(1));
    assert_eq!(other.query_uniques("/none", MINUTE), Ok(0));
}

#[test]
fn visitors_without_room_are_not_silently_left_out() {
    let folder = Folder::new();
    let registry = small().visitors(16).create(folder.file("few.ring")).expect("it can be made");
    for visitor in 0..14u32 {
        assert_eq!(registry.record_visit("/", visitor.to_le_bytes(), 1), Ok(Outcome::Counted));
    }
    assert_eq!(registry.query_uniques("/", MINUTE), Ok(14));
    assert_eq!(registry.record_visit("/", "one more", 1), Ok(Outcome::Counted));
    assert_eq!(registry.query_uniques("/", MINUTE), Err(QueryError::VisitorsFull));
    assert_eq!(registry.uniques_ever("/"), Err(QueryError::VisitorsFull));
    assert_eq!(registry.query_hits("/", MINUTE).expect("exact"), 15);
    // What others have is known as before.
    assert_eq!(registry.uniques_ever("/none"), Ok(0));
}

#[test]
fn who_only_reads_changes_nothing() {
    let made = made();
    assert_eq!(made.record_visit("/home", "ann", 3), Ok(Outcome::Counted));
    let before = std::fs::read(made.path()).expect("the file can be read");
    let reader = small().clock(made.clock.clone()).read(made.path()).expect("the file is whole");
    assert!(!reader.is_writable());
    assert_eq!(reader.query_hits("/home", MINUTE).expect("exact"), 3);
    assert_eq!((reader.query_uniques("/home", MINUTE), reader.total_ever("/home")), (Ok(1), 3));
    assert_eq!(reader.record_hit("/home", 1), Err(EndpointError::ReadOnly));
    assert_eq!(reader.record_hit("/new", 1), Err(EndpointError::ReadOnly));
    assert_eq!(reader.record_visit("/home", "bob", 1), Err(EndpointError::ReadOnly));
    let handle = reader.counter("/home").expect("there is one");
    assert_eq!((handle.record(1), handle.record_at(at(START), 1)), (Outcome::Refused, Outcome::Refused));
    assert_eq!(reader.counter("/new").map(drop), Err(EndpointError::ReadOnly));
    assert!(matches!(reader.remove("/home"), Err(SharedError::ReadOnly { .. })));
    assert!(matches!(reader.merge(&made.snapshot()), Err(SharedError::ReadOnly { .. })));
    assert!(matches!(reader.restore(&made.snapshot()), Err(SharedError::ReadOnly { .. })));
    assert_eq!(reader.snapshot(), made.snapshot());
    assert!(std::fs::read(made.path()).expect("the file can be read") == before, "something was written");
}

#[test]
fn threads_of_one_process_lose_nothing() {
    let made = made();
    let other = made.open(&made.path());
    together(4, |thread| {
        let registry = if thread % 2 == 0 { &made.registry } else { &other };
        for round in 0..20_000u64 {
            let name = format!("/{}", round % 40);
            assert_eq!(registry.record_hit(&name, 1), Ok(Outcome::Counted));
        }
    });
    assert_eq!(made.total(MINUTE).expect("exact"), 80_000);
    assert_eq!((made.len(), made.room().lives, made.metrics().total_hits), (40, 40, 80_000));
    for name in made.endpoints() {
        assert_eq!((other.query_hits(&name, MINUTE).expect("exact").count, other.total_ever(&name)), (2_000, 2_000));
    }
}

#[test]
fn events_are_of_the_process_that_records() {
    let made = made();
    let other = made.open(&made.path());
    let (sender, received) = channel();
    let subscription = made
        .subscribe(EventSet::ALL, 1_024, move |event| _ = sender.send(event.kind()))
        .expect("a thread can be started");
    let (crossed, crossings) = channel();
    let threshold = made
        .on_threshold("/*", MINUTE, 3, move |event| _ = crossed.send(event.clone()))
        .expect("a thread can be started");
    assert_eq!(other.record_hit("/home", 2), Ok(Outcome::Counted));
    assert_eq!(made.record_hit("/home", 1), Ok(Outcome::Counted));
    assert!(crossings.recv_timeout(Duration::from_secs(10)).is_ok(), "the hits of all count");
    assert_eq!(received.recv_timeout(Duration::from_secs(10)), Ok(EventKind::HitRecorded));
    subscription.close();
    threshold.close();
    let hits = received.try_iter().filter(|kind| *kind == EventKind::HitRecorded).count();
    assert_eq!(hits, 0, "what the other recorded is not told here");
}

#[test]
fn the_slots_are_as_fine_as_asked_for() {
    let folder = Folder::new();
    let clock = hitring::ManualClock::new(at(START));
    let builder = SharedRegistry::builder().window(SECOND).resolution(SECOND / 1_000).max_endpoints(2);
    let registry = builder.clock(clock.clone()).create(folder.file("fine.ring")).expect("it can be made");
    let millis = |ms: u32| hitring::Timestamp::new(START, ms * 1_000_000).expect("in range");
    for ms in [0, 5, 10] {
        assert_eq!(registry.record_hit_at("/", millis(ms), 1), Ok(Outcome::Counted));
    }
    let last = Duration::from_millis(6);
    assert_eq!(registry.query_hits_at("/", millis(10), last).expect("exact"), 2);
    assert_eq!(registry.resolution(), SECOND / 1_000);
}

#[test]
fn a_key_that_is_reset_begins_anew_for_all() {
    let made = made();
    let other = made.open(&made.path());
    for (name, rate, burst) in
        [("log", "10/minute", None), ("sliding", "100/minute", None), ("bucket", "10/minute", Some(10))]
    {
        let limiter = |registry: &SharedRegistry| {
            registry.limiter(name, rate.parse().expect("a rate"), burst).expect("there is room")
        };
        let (here, there) = (limiter(&made), limiter(&other));
        let all = here.peek("ann", 1).remaining;
        assert!(!here.reset("ann"), "{name}: nothing was let through");
        for _ in 0..20 {
            assert!(here.allow("ann", all).allowed && here.allow("bob", 0).allowed, "{name}");
            assert!(!there.allow("ann", 1).allowed, "{name}");
            assert!(there.reset("ann") && !here.reset("ann"), "{name}");
            assert_eq!((here.peek("ann", all).allowed, there.peek("ann", 1).remaining), (true, all), "{name}");
        }
        assert_eq!((here.keys_in_use(), here.without_room()), (0, (0, 0)), "{name}");
    }
}

#[test]
fn limits_refuse_times_from_the_future() {
    let made = made();
    let rate = || "5/minute".parse().expect("a rate");
    let now = made.clock.now();
    let later =
        |time: Duration| hitring::Timestamp::from_duration(now.as_duration() + time).expect("before the year 9999");
    let guarded = made.limiter("logins", rate(), None).expect("there is room");
    // A window ahead is the most, unless told otherwise.
    assert!(guarded.allow_at("ann", later(MINUTE), 1).allowed);
    let strict = made.limiter("posts", rate(), Some(5)).expect("there is room").max_skew(SECOND);
    for (limiter, most) in [(&guarded, MINUTE), (&strict, SECOND)] {
        for time in [most + Duration::from_millis(1), 1_000_000 * MINUTE] {
            let refused = limiter.allow_at("ben", later(time), 1);
            assert!(refused.is_future && !refused.allowed && refused.retry_after.is_none(), "{refused:?}");
            assert!(limiter.peek_at("ben", later(time), 1).is_future);
        }
        assert!(limiter.allow("ben", 5).allowed, "it left no trace");
    }
}

#[test]
fn limits_are_kept_by_all_together() {
    let made = made();
    let other = made.open(&made.path());
    let rate = || "10/minute".parse().expect("a rate");
    for (name, burst) in [("logins", None), ("posts", Some(10))] {
        let (here, there) = (
            made.limiter(name, rate(), burst).expect("there is room"),
            other.limiter(name, rate(), burst).expect("there is room"),
        );
        assert!(here.allow("ann", 6).allowed);
        assert_eq!(there.peek("ann", 1).remaining, 4);
        assert!(!there.allow("ann", 5).allowed);
        assert_eq!(there.allow("ann", 4).remaining, 0);
        let refused = here.allow("ann", 1);
        assert!(!refused.allowed && refused.retry_after > Some(Duration::ZERO));
        assert!(here.allow("bob", 10).allowed);
        // Another name, another limiter.
        assert!(made.limiter(&name[1..], rate(), burst).expect("there is room").allow("ann", 10).allowed);
        made.clock.advance(MINUTE * 2).expect("in range");
        assert!(there.allow("ann", 10).allowed);
        assert_eq!((here.name(), here.rate(), here.burst()), (name, rate(), burst));
        made.clock.advance(MINUTE * 2).expect("in range");
    }
    let folder = Folder::new();
    let without = small().limits(0).create(folder.file("none.ring")).expect("it can be made");
    assert!(matches!(without.limiter("logins", rate(), None), Err(SharedError::Limit(_))));
    let reader = small().read(made.path()).expect("it is whole");
    assert!(matches!(reader.limiter("logins", rate(), None), Err(SharedError::ReadOnly { .. })));
}

#[test]
fn a_limiter_without_room_says_so() {
    let folder = Folder::new();
    let clock = hitring::ManualClock::new(at(START));
    let registry = small().limits(8).clock(clock.clone()).create(folder.file("few.ring")).expect("it can be made");
    let rate = "1/minute".parse().expect("a rate");
    let refusing = registry.limiter("", rate, None).expect("there is room");
    let answers: Vec<bool> = (0..100u32).map(|key| refusing.allow(key.to_le_bytes(), 1).allowed).collect();
    let allowed = answers.iter().filter(|&&allowed| allowed).count();
    assert!((8..=16).contains(&allowed), "{allowed}");
    assert_eq!((refusing.keys_in_use(), refusing.without_room()), (allowed, (100 - allowed as u64, 0)));
    let allowing = refusing.when_full(hitring::WhenKeysFull::Allow);
    assert!((100..110u32).all(|key| allowing.allow(key.to_le_bytes(), 1).allowed));
    assert_eq!(allowing.without_room(), (100 - allowed as u64, 10));
    clock.set(at(START + 200));
    assert!((200..208u32).all(|key| allowing.allow(key.to_le_bytes(), 1).allowed));
}

#[test]
fn a_refused_hit_of_a_new_name_takes_no_place() {
    let made = made();
    for _ in 0..100 {
        assert_eq!(made.record_hit_at("/ahead", at(START + 1_000), 1), Ok(Outcome::Future));
        assert_eq!(made.record_visit_at("/ahead", "ann", at(START + 1_000), 1), Ok(Outcome::Future));
    }
    assert!(!made.contains("/ahead"));
    assert_eq!((made.room().lives, made.metrics().future), (0, 200));
    assert!(made.record_hit_at("", at(START + 1_000), 1).is_err(), "the name is looked at first");
}

#[test]
fn an_endpoint_that_was_hit_ahead_is_left_out_and_named() {
    let made = made();
    for (name, amount) in [("/a", 5), ("/b", 7), ("/c", 1)] {
        assert_eq!(made.record_hit(name, amount), Ok(Outcome::Counted));
    }
    let total = made.total(MINUTE).expect("known");
    assert!(total.is_exact() && total == 13);
    // A process whose clock is an hour ahead: the hits of two share a slot with those of another hour, one does not.
    let ahead = small().clock(ManualClock::new(at(START + 3_600))).open(made.path()).expect("it is whole");
    assert_eq!(ahead.record_hit("/a", 1), Ok(Outcome::Counted));
    let ahead = small().clock(ManualClock::new(at(START + 3_630))).open(made.path()).expect("it is whole");
    assert_eq!(ahead.record_hit("/b", 1), Ok(Outcome::Counted));
    assert_eq!(made.ahead(), ["/a", "/b"]);
    let slots = 80;
    let taken = |ahead: u64| (0..60).any(|past| (START - past) % slots == (START + ahead) % slots);
    assert!(taken(3_600) && taken(3_630), "both took a slot of the window");
    for _ in 0..2 {
        let total = made.total(MINUTE).expect("the rest is known");
        assert_eq!((total.count, total.accuracy), (1, Accuracy::AtLeast));
        let wanted = |name: &str| name != "/a" && name != "/b";
        assert!(made.total_where(None, MINUTE, wanted).expect("known").is_exact());
        let top: Vec<_> = made.top(9, MINUTE).expect("the rest is known");
        assert_eq!(top, [("/c".to_owned(), Hits::exact(1))]);
        assert!(matches!(made.query_hits("/a", MINUTE), Err(QueryError::WindowExpired { .. })));
    }
    // What was asked for too late is an error as ever.
    made.set(START + 50);
    assert_eq!(made.record_hit("/c", 1), Ok(Outcome::Counted));
    made.set(START + 100);
    assert_eq!(made.record_hit("/c", 1), Ok(Outcome::Counted));
    assert!(matches!(made.total_at(at(START), MINUTE), Err(QueryError::WindowExpired { .. })));
    assert!(made.remove("/a").expect("it is there") && made.remove("/b").expect("it is there"));
    assert_eq!((made.ahead(), made.total(MINUTE).expect("known")), (Vec::new(), Hits::exact(2)));
}
