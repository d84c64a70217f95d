//! What is counted while a log is read, and what can be asked of it afterwards.
//!
//! Every answer is exact and the same in any order of the lines: hits go into cells (path, second) and (path, client),
//! which are sorted, and nothing is ever dropped. Memory follows the number of distinct paths, clients, seconds and
//! pairs of them.
//!
//! Tests: below, `tests/replay`.

use super::cells::{self, Cells, of_first};
use super::names::{Id, Names, TooManyNames};
use super::seconds::Seconds;
use super::timeline::Timeline;
use crate::cli::log::hit::Hit;

/// Hits being counted.
pub(super) struct Tally {
    paths: Names,
    clients: Names,
    seconds: Seconds,
    hits_by_path: Vec<u64>,
    /// (path, second): hits.
    hits: Cells<u64>,
    /// (path, client).
    visitors: Cells<()>,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally {
            paths: Names::default(),
            clients: Names::default(),
            seconds: Seconds::new(),
            hits_by_path: Vec::new(),
            hits: Cells::new(),
            visitors: Cells::new(),
        }
    }

    /// Counts one hit under `key`, which is its path or something else of it.
    pub(super) fn add(&mut self, key: &[u8], hit: &Hit<'_>) -> Result<(), TooManyNames> {
        let path = self.paths.id(key)?;
        let client = self.clients.id(&hit.client)?;
        let second = self.seconds.add(hit.time)?;
        match self.hits_by_path.get_mut(path as usize) {
            Some(hits) => *hits += 1,
            None => self.hits_by_path.push(1), // A new path's id is the number of paths before it.
        }
        self.hits.add(cells::key(path, second));
        self.visitors.add(cells::key(path, client));
        Ok(())
    }

    /// Ends the counting.
    pub(super) fn finish(self) -> Counted {
        let times = self.seconds.times().to_vec();
        Counted {
            paths: self.paths,
            clients: self.clients.len(),
            timeline: Timeline::new(self.seconds.into_hits()),
            times,
            hits_by_path: self.hits_by_path,
            hits: self.hits.into_sorted(),
            visitors: self.visitors.into_sorted(),
        }
    }
}

/// Hits that have been counted.
pub(super) struct Counted {
    paths: Names,
    clients: usize,
    /// All hits.
    timeline: Timeline,
    /// The second that each second's id stands for.
    times: Vec<i64>,
    hits_by_path: Vec<u64>,
    hits: Vec<(u64, u64)>,
    visitors: Vec<(u64, ())>,
}

impl Counted {
    pub(super) fn distinct_paths(&self) -> usize {
        self.paths.len()
    }

    pub(super) fn distinct_clients(&self) -> usize {
        self.clients
    }

    pub(super) fn timeline(&self) -> &Timeline {
        &self.timeline
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
        of_first(&self.visitors, id).len()
    }

    /// The hits of one path in order of time; none for a path that was never asked for.
    pub(super) fn path_timeline(&self, path: &[u8]) -> Timeline {
        let cells = self.paths.find(path).map_or(&[][..], |id| of_first(&self.hits, id));
        Timeline::new(cells.iter().map(|(key, hits)| (self.times[(*key as u32) as usize], *hits)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::log::hit::NONE;

    fn counted(hits: &[(i64, &str, &str)]) -> Counted {
        let mut tally = Tally::new();
        for (time, client, path) in hits {
            let hit = Hit {
                time: *time,
                client: client.as_bytes().into(),
                doubt: None,
                path: path.as_bytes().into(),
                route: None,
                status: NONE,
                host: NONE,
            };
            tally.add(&hit.path, &hit).expect("few names");
        }
        tally.finish()
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
    }

    #[test]
    fn windows_of_a_path_in_any_order_of_lines() {
        let counted = counted(&[(300, "a", "/x"), (1, "a", "/x"), (-9, "a", "/x"), (1, "a", "/y"), (1, "b", "/x")]);
        let path = counted.path_timeline(b"/x");
        assert_eq!([path.hits(300, 300), path.hits(301, 300), path.hits(1, 1), path.hits(0, 100)], [3, 1, 2, 1]);
        assert_eq!(counted.path_timeline(b"/z").hits(300, 300), 0);
        assert_eq!(counted.timeline().hits(1, 1), 3);
    }
}
