//! The tally within its limits and beyond them.
//!
//! Tests: `tests/replay`.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::cli::log::hit::NONE;

fn tallied<S: AsRef<str>>(limits: Limits, asked: &[&str], hits: &[(i64, S, S)]) -> Counted {
    let only = Timed::Only(asked.iter().map(|path| path.as_bytes().to_vec()).collect());
    let mut tally = Tally::new(limits, if asked.is_empty() { Timed::All } else { only });
    for (time, client, path) in hits {
        let hit = Hit {
            time: *time,
            client: client.as_ref().as_bytes().into(),
            doubt: None,
            path: path.as_ref().as_bytes().into(),
            route: None,
            status: NONE,
            host: NONE,
        };
        tally.add(&hit.path, &hit);
    }
    tally.finish()
}

fn counted(hits: &[(i64, &str, &str)]) -> Counted {
    tallied(Limits::DEFAULT, &[], hits)
}

#[test]
fn top_paths_by_hits_then_by_bytes() {
    let counted = counted(&[
        (5, "a", "/b"),
        (1, "a", "/a"),
        (5, "b", "/b"),
        (5, "a", "/c"),
        (9, "a", "/b"),
        (7, "c", "/a"),
        (7, "c", "/B"),
        (7, "c", "/c"),
    ]);
    let top = |number| {
        let ids = counted.top(number).into_iter();
        ids.map(|id| (counted.path(id), counted.path_hits(id), counted.path_clients(id))).collect::<Vec<_>>()
    };
    let all: [(&[u8], u64, usize); 4] = [(b"/b", 3, 2), (b"/a", 2, 2), (b"/c", 2, 2), (b"/B", 1, 1)];
    for number in 0..=4 {
        assert_eq!(top(number), all[..number]);
    }
    assert_eq!(top(100), all);
    assert_eq!((counted.distinct_paths(), counted.distinct_clients()), (4, 3));
    assert_eq!((counted.estimates, counted.first_and_last()), (Estimates::default(), Some((1, 9))));
}

#[test]
fn windows_of_a_path_in_any_order_of_lines() {
    let counted = counted(&[(300, "a", "/x"), (1, "a", "/x"), (-9, "a", "/x"), (1, "a", "/y"), (1, "b", "/x")]);
    let path = counted.path_timeline(b"/x").expect("it has seconds");
    assert_eq!([path.hits(300, 300), path.hits(301, 300), path.hits(1, 1), path.hits(0, 100)], [3, 1, 2, 1]);
    assert_eq!(counted.path_timeline(b"/z").expect("it has no hits").hits(300, 300), 0);
    assert_eq!(counted.timeline().hits(1, 1), 3);
}

const NO_LIMITS: Limits = Limits {
    paths: usize::MAX,
    bytes_of_paths: usize::MAX,
    clients: usize::MAX,
    bytes_of_clients: usize::MAX,
    seconds: usize::MAX,
    pairs: usize::MAX,
};

/// 60,000 hits by 20,000 clients: a third of `/`, whose clients are all, and the others of 500 paths.
fn many() -> Vec<(i64, String, String)> {
    let hit = |n: u64| {
        let path = if n.is_multiple_of(3) { "/".to_owned() } else { format!("/{}", n * 7_919 % 500) };
        ((n / 10) as i64, format!("c{}", n / 3), path)
    };
    (0..60_000).map(hit).collect()
}

#[test]
fn too_many_clients_are_estimated() {
    for limits in [
        Limits { clients: 4_000, ..NO_LIMITS },
        Limits { bytes_of_clients: 24_000, ..NO_LIMITS },
        Limits { pairs: 20_000, ..NO_LIMITS },
    ] {
        let counted = tallied(limits, &[], &many());
        let error = counted.estimates.clients.expect("an estimate");
        assert!(error > 0.008 && error < 0.04, "{error}");
        let clients = counted.distinct_clients() as f64;
        assert!((clients / 20_000.0 - 1.0).abs() < 6.0 * error, "{clients} {error}");
        let top = counted.top(1)[0];
        assert_eq!((counted.path(top), counted.path_hits(top)), (&b"/"[..], 20_000), "hits stay exact");
        let at_the_root = counted.path_clients(top) as f64;
        assert!((at_the_root - clients.min(20_000.0)).abs() < 1e-9, "all clients were at the root, once each");
        assert_eq!(counted.distinct_paths(), 501);
    }
}

#[test]
fn too_many_paths_are_given_up_from_the_smallest() {
    // Each path once but for three, two of which come at the beginning and one at the end, too.
    let mut hits: Vec<(i64, String, String)> = Vec::new();
    for n in 0..50_000 {
        let path = match n % 10 {
            0 => "/often".to_owned(),
            5 if n % 100 == 5 => "/seldom".to_owned(),
            _ => format!("/{n}"),
        };
        hits.push((n / 100, "c".to_owned(), path));
    }
    hits.push((0, "c".to_owned(), "/asked".to_owned()));
    hits.rotate_right(1);
    for limits in [Limits { paths: 2_000, ..NO_LIMITS }, Limits { bytes_of_paths: 12_000, ..NO_LIMITS }] {
        let counted = tallied(limits, &["/asked"], &hits);
        let Estimates { paths: Some(error), too_low_by: Some(too_low_by), clients: None, step: None } =
            counted.estimates
        else {
            panic!("{:?}", counted.estimates)
        };
        assert!(too_low_by < 60, "{too_low_by}");
        let top = counted.top(2);
        assert_eq!((counted.path(top[0]), counted.path_hits(top[0])), (&b"/often"[..], 5_000));
        let seldom = counted.path_hits(top[1]);
        assert!(seldom <= 500 && seldom + too_low_by >= 500, "{seldom} {too_low_by}");
        let asked = counted.path_timeline(b"/asked").expect("it was asked for");
        assert_eq!(asked.hits(0, 1), 1, "it is kept, however few hits it has");
        let distinct = counted.distinct_paths() as f64;
        assert!((distinct / 44_503.0 - 1.0).abs() < 6.0 * error, "{distinct} {error}");
        assert_eq!(counted.timeline().hits(499, 500), 50_001, "all hits are counted");
        assert!(counted.paths.len() <= limits.paths && counted.paths.bytes() <= limits.bytes_of_paths);
    }
}

#[test]
fn too_many_pairs_with_seconds_are_given_up_from_the_smallest_path() {
    let counted = tallied(Limits { pairs: 20_000, ..NO_LIMITS }, &[], &many());
    let only = tallied(Limits { pairs: 20_000, ..NO_LIMITS }, &["/17"], &many());
    let exact = tallied(NO_LIMITS, &[], &many());
    for (some, path) in [(&counted, b"/".as_slice()), (&only, b"/17")] {
        let [got, want] = [some, &exact].map(|counted| counted.path_timeline(path));
        let [got, want] = [got, want].map(|timeline| timeline.expect("it is the largest, or asked for"));
        assert_eq!(got.hits(3_000, 500), want.hits(3_000, 500));
    }
    assert!(only.path_timeline(b"/").is_none());
    let kept = (0..500).filter(|n| counted.path_timeline(format!("/{n}").as_bytes()).is_some()).count();
    assert!(kept < 400, "{kept}");
    assert_eq!(counted.timeline().hits(3_000, 500), exact.timeline().hits(3_000, 500));
    assert_eq!(counted.hits_by_path.iter().sum::<u64>(), 60_000);
}

#[test]
fn too_many_seconds_are_joined() {
    let counted = tallied(Limits { seconds: 1_000, ..NO_LIMITS }, &[], &many());
    assert_eq!((counted.estimates.step, counted.first_and_last()), (Some(8), Some((0, 5_999))));
    let exact = tallied(NO_LIMITS, &[], &many());
    for path in [&b"/"[..], b"/17"] {
        let [got, want] = [&counted, &exact].map(|counted| counted.path_timeline(path).expect("it has seconds"));
        for at in [7, 799, 5_999] {
            assert_eq!(got.hits(at, 80), want.hits(at, 80), "windows that end with a step are exact");
        }
    }
    assert_eq!(counted.timeline().hits(5_999, 6_000), 60_000);
}

/// All limits at once, on what is worst for each: everything new in every line.
#[test]
fn memory_is_bounded_whatever_comes() {
    let limits = Limits {
        paths: 500,
        bytes_of_paths: 1 << 20,
        clients: 500,
        bytes_of_clients: 1 << 20,
        seconds: 500,
        pairs: 40_000,
    };
    let new = |n: i64| (n * 1_000_003 % 999_983, format!("{n}"), format!("/{n}"));
    let counted = tallied(limits, &[], &(0..100_000).map(new).collect::<Vec<_>>());
    assert!(counted.paths.len() <= 500 && counted.clients <= 500 && counted.times.len() <= 500);
    assert!(counted.hits.len() <= 60_000 && counted.visitors.len() <= 60_000);
    let (paths, clients) = (counted.distinct_paths() as f64, counted.distinct_clients() as f64);
    assert!((paths / 1e5 - 1.0).abs() < 0.05 && (clients / 1e5 - 1.0).abs() < 0.4, "{paths} {clients}");
    let long = "x".repeat(3 << 20);
    let counted = tallied(limits, &[], &[(1, long.clone(), long.clone()), (1, "a".to_owned(), "/a".to_owned())]);
    assert!(counted.paths.bytes() < 1 << 20 && counted.clients <= 1, "a name of more bytes than all may have");
}

/// Merged tallies equal one tally that saw all hits, also where each of them gave up different things.
#[test]
fn merged_tallies() {
    let limits =
        [NO_LIMITS, Limits { clients: 4_000, seconds: 1_000, ..NO_LIMITS }, Limits { paths: 300, ..NO_LIMITS }];
    for limits in limits {
        let mut tallies = [0, 1, 2].map(|_| Tally::new(limits, Timed::All));
        for (n, (time, client, path)) in many().into_iter().enumerate() {
            let hit = Hit {
                time,
                client: client.into_bytes().into(),
                doubt: None,
                path: path.into_bytes().into(),
                route: None,
                status: NONE,
                host: NONE,
            };
            // The second sees few clients, seconds and paths, the third none.
            tallies[usize::from(n < 1_000)].add(&hit.path, &hit);
        }
        let [mut first, second, third] = tallies;
        first.merge(second);
        first.merge(third);
        let (got, want) = (first.finish(), tallied(limits, &[], &many()));
        assert_eq!(got.timeline().hits(5_999, 6_000), 60_000);
        assert_eq!(got.first_and_last(), want.first_and_last());
        assert_eq!(got.estimates.step, want.estimates.step);
        let near = |got: usize, want: usize, by: f64| (got as f64 / want as f64 - 1.0).abs() <= by;
        let error = got.estimates.clients.unwrap_or(0.0);
        assert!(near(got.distinct_clients(), 20_000, 6.0 * error), "{}", got.distinct_clients());
        assert!(near(got.distinct_paths(), 501, 6.0 * got.estimates.paths.unwrap_or(0.0)), "{}", got.distinct_paths());
        let too_low_by = got.estimates.too_low_by.unwrap_or(0);
        for path in [&b"/"[..], b"/17", b"/499"] {
            let [got, want] = [&got, &want].map(|counted| {
                let timeline = counted.path_timeline(path).expect("it has seconds");
                [timeline.hits(799, 80), timeline.hits(5_999, 6_000)]
            });
            let exact = limits.paths == usize::MAX;
            assert!(got == want || !exact && got[1] + too_low_by >= 80, "{got:?} {want:?}");
        }
    }
}

/// Each tally draws clients before they are merged, and none of the other's.
#[test]
fn merged_tallies_drew_the_same_clients() {
    let limits = Limits { clients: 2_000, ..NO_LIMITS };
    let part = |from: u64| {
        let mut tally = Tally::new(limits, Timed::All);
        for n in from..from + 10_000 {
            let client = format!("c{n}");
            let (client, path) = (client.as_bytes().into(), (&b"/"[..]).into());
            tally.add(b"/", &Hit { time: 0, client, doubt: None, path, route: None, status: NONE, host: NONE });
        }
        tally
    };
    let mut all = part(0);
    all.merge(part(10_000));
    all.merge(part(20_000));
    let all = all.finish();
    let error = all.estimates.clients.expect("an estimate");
    assert!((all.distinct_clients() as f64 / 30_000.0 - 1.0).abs() < 6.0 * error, "{}", all.distinct_clients());
}

#[test]
fn clients_of_a_path_are_not_more_than_its_hits() {
    let hits: Vec<(i64, String, String)> = (0..5_000).map(|n| (0, format!("c{n}"), format!("/{n}"))).collect();
    let counted = tallied(Limits { clients: 500, ..NO_LIMITS }, &[], &hits);
    assert!(counted.top(5_000).into_iter().all(|id| counted.path_clients(id) == 1));
}

/// In a log within the limits nothing is given up, and everything is as plain loops have it.
#[test]
fn within_the_limits_all_is_exact() {
    let counted = tallied(Limits::DEFAULT, &[], &many());
    let mut expected: BTreeMap<String, (u64, BTreeSet<String>)> = BTreeMap::new();
    for (_, client, path) in many() {
        let (hits, clients) = expected.entry(path).or_default();
        *hits += 1;
        clients.insert(client);
    }
    assert_eq!((counted.distinct_paths(), counted.distinct_clients()), (expected.len(), 20_000));
    for id in counted.top(1_000) {
        let (hits, clients) = &expected[std::str::from_utf8(counted.path(id)).expect("UTF-8")];
        assert_eq!((counted.path_hits(id), counted.path_clients(id)), (*hits, clients.len()));
    }
}

/// Paths that come, are given up, and come again: what is said of each, and the bound, hold the truth between them.
#[test]
fn a_path_that_comes_again_lacks_no_more_than_is_said() {
    let path = |n: u64| match n % 7 {
        // Two hits of each path, which lie ever further apart.
        0..=2 => format!("/{}", n / 2),
        3 => format!("/again{}", n % 1_000),
        _ => format!("/{n}-once"),
    };
    let hits: Vec<(i64, String, String)> = (0..40_000).map(|n| (0, "c".to_owned(), path(n))).collect();
    let mut truth: BTreeMap<&str, u64> = BTreeMap::new();
    hits.iter().for_each(|(_, _, path)| *truth.entry(path).or_default() += 1);
    let counted = tallied(Limits { paths: 600, ..NO_LIMITS }, &[], &hits);
    let too_low_by = counted.estimates.too_low_by.expect("some were given up");
    let mut lacking = 0;
    for id in counted.top(usize::MAX) {
        let true_hits = truth[std::str::from_utf8(counted.path(id)).expect("UTF-8")];
        let said = counted.path_hits(id);
        assert!(said <= true_hits && true_hits <= said + too_low_by, "{said} of {true_hits}, {too_low_by}");
        lacking += usize::from(said < true_hits);
    }
    assert!(lacking > 0, "or the bound is not tried");
}
