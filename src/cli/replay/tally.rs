//! What is counted while a log is read, and what can be asked of it afterwards.
//!
//! Hits go into cells (path, second) and (path, client), which are sorted, so that every answer is exact and the same in
//! any order of the lines. "Path" stands for whatever hits are counted under. Memory follows the number of distinct paths,
//! clients, seconds and pairs of them, up to [`Limits`]. Beyond, the tally keeps less, and says so ([`Estimates`]):
//!
//! | too many | what is given up | what is still true |
//! |---|---|---|
//! | clients, or pairs with them | half of the clients, drawn by their hash; so again if need be | numbers of clients are those of the drawn ones, times 2 for each halving |
//! | paths, or bytes of their names | those with the fewest hits | a path has at most [`Estimates::too_low_by`] hits more than is said; the number of paths is HyperLogLog's |
//! | pairs of path and second | the seconds of the paths with the fewest hits | windows of the others |
//! | seconds | every second one: they are joined by twos | windows, but times are rounded down to [`Estimates::step`] |
//!
//! The total of hits, their first and their last second are always exact. Drawing clients by their hashes is adaptive
//! sampling (Wegman; Flajolet 1990), keeping the paths with the most hits is lossy counting (Manku and Motwani 2002), with
//! the number of paths in place of an error.
//!
//! Tests: below, `tests/replay`.

use super::cells::{self, Cells, of_first};
use super::names::{Id, Names};
use super::seconds::Seconds;
use super::timeline::Timeline;
use crate::HyperLogLog;
use crate::cli::log::hit::Hit;

/// How much is kept exactly. At these limits a tally takes about half a gigabyte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) paths: usize,
    pub(super) bytes_of_paths: usize,
    pub(super) clients: usize,
    pub(super) bytes_of_clients: usize,
    pub(super) seconds: usize,
    /// Pairs of a path with a second, and of a path with a client.
    pub(super) pairs: usize,
}

impl Limits {
    /// A million paths and clients, 36 days of seconds, 4 million pairs of each kind.
    pub(super) const DEFAULT: Limits = Limits {
        paths: 1 << 20,
        bytes_of_paths: 128 << 20,
        clients: 1 << 20,
        bytes_of_clients: 64 << 20,
        seconds: 3 << 20,
        pairs: 1 << 22,
    };
}

/// What is not exact.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Estimates {
    /// The standard error of the number of paths, as a part of it.
    pub(super) paths: Option<f64>,
    /// The standard error of the number of all clients, as a part of it.
    pub(super) clients: Option<f64>,
    /// How many hits a path may have had more than is said.
    pub(super) too_low_by: Option<u64>,
    /// The seconds to which times in windows are rounded down.
    pub(super) step: Option<i64>,
}

/// Hits being counted.
pub(super) struct Tally {
    limits: Limits,
    /// Paths that are not given up while there are others.
    asked: Vec<Vec<u8>>,
    paths: Names,
    clients: Names,
    seconds: Seconds,
    hits_by_path: Vec<u64>,
    /// (path, second): hits.
    hits: Cells<u64>,
    /// (path, client).
    visitors: Cells<()>,
    first_and_last: Option<(i64, i64)>,
    /// How often half of the clients were given up.
    halvings: u32,
    /// All paths, once some were given up.
    all_paths: Option<HyperLogLog>,
    too_low_by: u64,
    /// The paths whose seconds were given up; empty if there are none.
    without_seconds: Vec<bool>,
}

impl Tally {
    pub(super) fn new(limits: Limits, asked: Vec<Vec<u8>>) -> Tally {
        Tally {
            limits,
            asked,
            paths: Names::default(),
            clients: Names::default(),
            seconds: Seconds::new(),
            hits_by_path: Vec::new(),
            hits: Cells::new(),
            visitors: Cells::new(),
            first_and_last: None,
            halvings: 0,
            all_paths: None,
            too_low_by: 0,
            without_seconds: Vec::new(),
        }
    }

    /// Counts one hit under `key`, which is its path or something else of it.
    pub(super) fn add(&mut self, key: &[u8], hit: &Hit<'_>) {
        let path = self.paths.id(key);
        match self.hits_by_path.get_mut(path as usize) {
            Some(hits) => *hits += 1,
            None => {
                self.hits_by_path.push(1); // A new path's id is the number of paths before it.
                if let Some(all) = &self.all_paths {
                    all.add(key);
                }
            }
        }
        let second = self.seconds.add(hit.time);
        if self.without_seconds.get(path as usize) != Some(&true) {
            self.hits.add(cells::key(path, second));
        }
        if self.halvings == 0 || self.clients.is_drawn(&hit.client, self.halvings) {
            self.visitors.add(cells::key(path, self.clients.id(&hit.client)));
        }
        let (first, last) = self.first_and_last.unwrap_or((hit.time, hit.time));
        self.first_and_last = Some((first.min(hit.time), last.max(hit.time)));
        self.keep_the_limits();
    }

    fn keep_the_limits(&mut self) {
        let Limits { paths, bytes_of_paths, clients, bytes_of_clients, seconds, pairs } = self.limits;
        if self.paths.len() > paths || self.paths.bytes() > bytes_of_paths {
            self.give_up_paths();
        }
        while self.clients.len() > clients || self.clients.bytes() > bytes_of_clients || self.visitors.len() > pairs {
            self.give_up_clients();
        }
        if self.seconds.len() > seconds {
            let new = self.seconds.join();
            self.hits.renumber(|path, second| Some((path, new[second as usize])));
        }
        if self.hits.len() > pairs {
            self.give_up_seconds();
        }
    }

    fn give_up_clients(&mut self) {
        // A client of more bytes than all may have is drawn however often; no hash has more zeros than this.
        self.halvings += 1;
        let halvings = self.halvings;
        let drawn: Vec<bool> =
            (0..).take(self.clients.len()).map(|id| self.clients.is_drawn(self.clients.name(id), halvings)).collect();
        let new = self.clients.retain(|id, _| drawn[id as usize] && halvings <= u32::BITS);
        self.visitors.renumber(|path, client| Some((path, new[client as usize]?)));
    }

    /// The paths in the order in which they are kept: those that were asked for, and then those with the most hits.
    fn by_importance(&self) -> Vec<Id> {
        let mut is_asked = vec![false; self.paths.len()];
        for id in self.asked.iter().filter_map(|path| self.paths.find(path)) {
            is_asked[id as usize] = true;
        }
        let mut ids: Vec<Id> = (0..).take(self.paths.len()).collect();
        ids.sort_by_key(|&id| {
            let hits = self.hits_by_path[id as usize];
            (!is_asked[id as usize], std::cmp::Reverse(hits))
        });
        ids
    }

    fn give_up_paths(&mut self) {
        if self.all_paths.is_none() {
            let all = HyperLogLog::new();
            for id in (0..).take(self.paths.len()) {
                all.add(self.paths.name(id));
            }
            self.all_paths = Some(all);
        }
        let mut is_kept = vec![false; self.paths.len()];
        let (mut number, mut bytes, mut most_given_up) = (0, 0, 0);
        for id in self.by_importance() {
            number += 1;
            bytes += self.paths.name(id).len();
            if number <= self.limits.paths / 2 && bytes <= self.limits.bytes_of_paths / 2 {
                is_kept[id as usize] = true;
            } else {
                most_given_up = most_given_up.max(self.hits_by_path[id as usize]);
            }
        }
        self.too_low_by += most_given_up;
        let new = self.paths.retain(|id, _| is_kept[id as usize]);
        let mut kept = is_kept.iter();
        self.hits_by_path.retain(|_| *kept.next().expect("one for each path"));
        let mut kept = is_kept.iter();
        self.without_seconds.retain(|_| *kept.next().expect("one for each path"));
        self.hits.renumber(|path, second| Some((new[path as usize]?, second)));
        self.visitors.renumber(|path, client| Some((new[path as usize]?, client)));
    }

    fn give_up_seconds(&mut self) {
        let order = self.by_importance();
        let cells = self.hits.settled();
        let mut left = self.limits.pairs / 2;
        let mut without = vec![true; self.paths.len()];
        for (place, id) in order.into_iter().enumerate() {
            let needed = of_first(cells, id).len();
            if place > 0 && needed > left {
                break;
            }
            left = left.saturating_sub(needed);
            let had = self.without_seconds.get(id as usize) != Some(&true);
            without[id as usize] = !had;
        }
        self.hits.renumber(|path, second| (!without[path as usize]).then_some((path, second)));
        self.without_seconds = without;
    }

    /// Ends the counting.
    pub(super) fn finish(self) -> Counted {
        let times = self.seconds.times().to_vec();
        let step = self.seconds.step();
        let estimates = Estimates {
            paths: self.all_paths.as_ref().map(HyperLogLog::error),
            clients: (self.halvings > 0).then(|| 1.0 / (self.clients.len().max(1) as f64).sqrt()),
            too_low_by: self.all_paths.is_some().then_some(self.too_low_by),
            step: (step > 1).then_some(step),
        };
        let kept = self.paths.len();
        Counted {
            estimates,
            distinct_paths: self.all_paths.map_or(kept, |all| usize::try_from(all.count()).unwrap_or(kept).max(kept)),
            paths: self.paths,
            clients: self.clients.len(),
            halvings: self.halvings,
            timeline: Timeline::new(self.seconds.into_hits()),
            times,
            first_and_last: self.first_and_last,
            hits_by_path: self.hits_by_path,
            hits: self.hits.into_sorted(),
            visitors: self.visitors.into_sorted(),
            without_seconds: self.without_seconds,
        }
    }
}

/// Hits that have been counted.
pub(super) struct Counted {
    pub(super) estimates: Estimates,
    distinct_paths: usize,
    paths: Names,
    clients: usize,
    halvings: u32,
    /// All hits.
    timeline: Timeline,
    /// The second that each second's id stands for.
    times: Vec<i64>,
    first_and_last: Option<(i64, i64)>,
    hits_by_path: Vec<u64>,
    hits: Vec<(u64, u64)>,
    visitors: Vec<(u64, ())>,
    without_seconds: Vec<bool>,
}

impl Counted {
    pub(super) fn distinct_paths(&self) -> usize {
        self.distinct_paths
    }

    pub(super) fn distinct_clients(&self) -> usize {
        self.clients << self.halvings
    }

    pub(super) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The seconds of the first hit and of the last.
    pub(super) fn first_and_last(&self) -> Option<(i64, i64)> {
        self.first_and_last
    }

    /// The `number` paths with the most hits, most first; equal ones in the order of their bytes.
    pub(super) fn top(&self, number: usize) -> Vec<Id> {
        let order = |a: &Id, b: &Id| {
            let by_hits = self.hits_by_path[*b as usize].cmp(&self.hits_by_path[*a as usize]);
            by_hits.then_with(|| self.paths.name(*a).cmp(self.paths.name(*b)))
        };
        let mut ids: Vec<Id> = (0..).take(self.paths.len()).collect();
        if number < ids.len() {
            ids.select_nth_unstable_by(number, order);
            ids.truncate(number);
        }
        ids.sort_unstable_by(order);
        ids
    }

    pub(super) fn path(&self, id: Id) -> &[u8] {
        self.paths.name(id)
    }

    pub(super) fn path_hits(&self, id: Id) -> u64 {
        self.hits_by_path[id as usize]
    }

    /// How many different clients asked for a path.
    pub(super) fn path_clients(&self, id: Id) -> usize {
        of_first(&self.visitors, id).len() << self.halvings
    }

    /// The hits of one path in order of time; none for a path that was never asked for. `None` if its seconds were given
    /// up.
    pub(super) fn path_timeline(&self, path: &[u8]) -> Option<Timeline> {
        let id = self.paths.find(path);
        if id.is_some_and(|id| self.without_seconds.get(id as usize) == Some(&true)) {
            return None;
        }
        let cells = id.map_or(&[][..], |id| of_first(&self.hits, id));
        Some(Timeline::new(cells.iter().map(|(key, hits)| (self.times[(*key as u32) as usize], *hits)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::cli::log::hit::NONE;

    fn tallied<S: AsRef<str>>(limits: Limits, asked: &[&str], hits: &[(i64, S, S)]) -> Counted {
        let mut tally = Tally::new(limits, asked.iter().map(|path| path.as_bytes().to_vec()).collect());
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
            assert!((counted.path_clients(top) as f64 / clients - 1.0).abs() < 1e-9, "all clients were at the root");
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
        let counted = tallied(Limits { pairs: 20_000, ..NO_LIMITS }, &["/17"], &many());
        let exact = tallied(NO_LIMITS, &[], &many());
        for path in ["/", "/17"] {
            let [got, want] = [&counted, &exact].map(|counted| counted.path_timeline(path.as_bytes()));
            let [got, want] = [got, want].map(|timeline| timeline.expect("it is the largest, or asked for"));
            assert_eq!(got.hits(3_000, 500), want.hits(3_000, 500), "{path}");
        }
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
}
