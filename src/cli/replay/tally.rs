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
//! Tests: `tests/replay`.

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

/// Of which paths the hits of each second are kept.
#[derive(Debug, Clone)]
pub(super) enum Timed {
    /// Of all that the limits allow.
    All,
    /// Of these, as far as the limits allow. They are given up last.
    Only(Vec<Vec<u8>>),
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
    timed: Timed,
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
    /// Whether the seconds of each path were given up; empty if all were kept.
    without_seconds: Vec<bool>,
}

impl Tally {
    pub(super) fn new(limits: Limits, timed: Timed) -> Tally {
        Tally {
            limits,
            timed,
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
        let is_timed = match &self.timed {
            Timed::All => self.without_seconds.get(path as usize) != Some(&true),
            Timed::Only(asked) => asked.iter().any(|asked| asked == key),
        };
        if is_timed {
            self.hits.add(cells::key(path, second));
        }
        if self.halvings == 0 || Names::is_drawn(&hit.client, self.halvings) {
            self.visitors.add(cells::key(path, self.clients.id(&hit.client)));
        }
        let (first, last) = self.first_and_last.unwrap_or((hit.time, hit.time));
        self.first_and_last = Some((first.min(hit.time), last.max(hit.time)));
        self.keep_the_limits();
    }

    /// Adds what another tally counted, of the same limits.
    pub(super) fn merge(&mut self, mut other: Tally) {
        while self.halvings < other.halvings {
            self.give_up_clients();
        }
        while self.halvings > other.halvings {
            other.give_up_clients();
        }
        while self.seconds.step() < other.seconds.step() {
            self.join_seconds();
        }
        while self.seconds.step() > other.seconds.step() {
            other.join_seconds();
        }
        if let Some(all) = &other.all_paths {
            self.count_all_paths().merge(all).expect("all are made alike");
        }
        let paths = self.paths.merge(&other.paths);
        self.hits_by_path.resize(self.paths.len(), 0);
        for (&path, (place, hits)) in paths.iter().zip(other.hits_by_path.iter().enumerate()) {
            self.hits_by_path[path as usize] += hits;
            if let Some(all) = &self.all_paths {
                all.add(other.paths.name(place as Id));
            }
            if other.without_seconds.get(place) == Some(&true) {
                self.without_seconds.resize(self.paths.len(), false);
                self.without_seconds[path as usize] = true;
            }
        }
        let clients = self.clients.merge(&other.clients);
        let seconds = self.seconds.merge(&other.seconds);
        self.hits.merge(other.hits, |path, second| Some((paths[path as usize], seconds[second as usize])));
        self.visitors.merge(other.visitors, |path, client| Some((paths[path as usize], clients[client as usize])));
        self.too_low_by += other.too_low_by;
        if let Some((first, last)) = other.first_and_last {
            let (own_first, own_last) = self.first_and_last.unwrap_or((first, last));
            self.first_and_last = Some((first.min(own_first), last.max(own_last)));
        }
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
            self.join_seconds();
        }
        if self.hits.len() > pairs {
            self.give_up_seconds();
        }
    }

    fn join_seconds(&mut self) {
        let new = self.seconds.join();
        self.hits.renumber(|path, second| Some((path, new[second as usize])));
    }

    /// The sketch of all paths, with those of now.
    fn count_all_paths(&mut self) -> &HyperLogLog {
        self.all_paths.get_or_insert_with(|| {
            let all = HyperLogLog::new();
            for id in (0..).take(self.paths.len()) {
                all.add(self.paths.name(id));
            }
            all
        })
    }

    fn give_up_clients(&mut self) {
        // A client of more bytes than all may have is drawn however often; no hash has more zeros than this.
        self.halvings += 1;
        let halvings = self.halvings;
        let new = self.clients.retain(|_, name| halvings <= u32::BITS && Names::is_drawn(name, halvings));
        self.visitors.renumber(|path, client| Some((path, new[client as usize]?)));
    }

    /// The paths in the order in which they are kept: those that were asked for, and then those with the most hits.
    fn by_importance(&self) -> Vec<Id> {
        let mut is_asked = vec![false; self.paths.len()];
        let asked: &[Vec<u8>] = if let Timed::Only(asked) = &self.timed { asked } else { &[] };
        for id in asked.iter().filter_map(|path| self.paths.find(path)) {
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
        self.count_all_paths();
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
        let hits = self.hits.into_sorted();
        let times = if hits.is_empty() { Vec::new() } else { self.seconds.times().to_vec() };
        let step = self.seconds.step();
        let estimates = Estimates {
            paths: self.all_paths.as_ref().map(HyperLogLog::error),
            clients: (self.halvings > 0).then(|| 1.0 / (self.clients.len().max(1) as f64).sqrt()),
            too_low_by: self.all_paths.is_some().then_some(self.too_low_by),
            step: (step > 1).then_some(step),
        };
        let kept = self.paths.len();
        Counted {
            timed: self.timed,
            estimates,
            distinct_paths: self.all_paths.map_or(kept, |all| usize::try_from(all.count()).unwrap_or(kept).max(kept)),
            paths: self.paths,
            clients: self.clients.len(),
            halvings: self.halvings,
            timeline: Timeline::new(self.seconds.into_hits()),
            times,
            first_and_last: self.first_and_last,
            hits_by_path: self.hits_by_path,
            hits,
            visitors: self.visitors.into_sorted(),
            without_seconds: self.without_seconds,
        }
    }
}

/// Hits that have been counted.
pub(super) struct Counted {
    timed: Timed,
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

    /// How many different clients asked for a path: at least one, and not more than there were hits.
    pub(super) fn path_clients(&self, id: Id) -> usize {
        let drawn = of_first(&self.visitors, id).len() << self.halvings;
        drawn.clamp(1, usize::try_from(self.path_hits(id)).unwrap_or(usize::MAX))
    }

    /// The id of a path that has hits, and was not given up.
    pub(super) fn id(&self, path: &[u8]) -> Option<Id> {
        self.paths.find(path)
    }

    /// The hits of one path in order of time; none for a path without hits. `None` if its seconds were not kept.
    pub(super) fn path_timeline(&self, path: &[u8]) -> Option<Timeline> {
        let id = self.paths.find(path);
        let is_timed = match &self.timed {
            Timed::All => true,
            Timed::Only(asked) => asked.iter().any(|asked| asked == path),
        };
        if !is_timed || id.is_some_and(|id| self.without_seconds.get(id as usize) == Some(&true)) {
            return None;
        }
        let cells = id.map_or(&[][..], |id| of_first(&self.hits, id));
        Some(Timeline::new(cells.iter().map(|(key, hits)| (self.times[(*key as u32) as usize], *hits)).collect()))
    }
}

#[cfg(test)]
mod tests;
