//! The seconds that had hits, numbered, with how many each had.
//!
//! Logs are nearly in order of time, but only nearly, and a hostile line may name any year. So a second is found through
//! a small table of the recent ones, and when it is not there through a hash map, which has seconds that lie side by side
//! in one entry: the next second of a log is most often in the entry of the last one, or needs the only new one in eight.
//!
//! Tests: below, `tests/replay`.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::names::Id;

/// Recent seconds that are remembered: more than a usual log's disorder.
const RECENT: usize = 256;
/// Seconds of one entry: half a cache line of ids.
const BLOCK: i64 = 8;
/// No second has this id, because a tally keeps fewer.
const NONE: Id = Id::MAX;

pub(super) struct Seconds {
    /// By `second / BLOCK`.
    ids: HashMap<i64, [Id; BLOCK as usize], RandomState>,
    times: Vec<i64>,
    hits: Vec<u64>,
    /// At `second % RECENT`, the id of a second that lies there. It is right only if `times` says so.
    recent: [Id; RECENT],
    step: i64,
}

impl Seconds {
    pub(super) fn new() -> Seconds {
        Seconds { ids: HashMap::default(), times: Vec::new(), hits: Vec::new(), recent: [0; RECENT], step: 1 }
    }

    /// Adds the hits of other seconds, which are as long. Returns the id here of each of theirs.
    pub(super) fn merge(&mut self, other: &Seconds) -> Vec<Id> {
        let hits = other.times.iter().zip(&other.hits);
        let ids = hits.map(|(&time, &hits)| {
            let id = self.find_or_insert(time);
            self.hits[id as usize] += hits;
            id
        });
        ids.collect()
    }

    /// Counts a hit at `time`, in unix seconds, and returns the id of its second.
    pub(super) fn add(&mut self, time: i64) -> Id {
        let time = if self.step == 1 { time } else { self.whole(time) };
        let place = (time / self.step).rem_euclid(RECENT as i64) as usize;
        let mut id = self.recent[place];
        if self.times.get(id as usize) != Some(&time) {
            id = self.find_or_insert(time);
            self.recent[place] = id;
        }
        self.hits[id as usize] += 1;
        id
    }

    fn find_or_insert(&mut self, time: i64) -> Id {
        let second = time.div_euclid(self.step);
        let block = self.ids.entry(second.div_euclid(BLOCK)).or_insert([NONE; BLOCK as usize]);
        let id = &mut block[second.rem_euclid(BLOCK) as usize];
        if *id == NONE {
            *id = Id::try_from(self.times.len()).expect("a tally keeps fewer");
            self.times.push(time);
            self.hits.push(0);
        }
        *id
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// How long a second is: more than one when they were joined.
    pub(super) fn step(&self) -> i64 {
        self.step
    }

    /// Joins each two seconds that lie side by side in the calendar, which then go by the time of the first. Returns the
    /// new id of each old one.
    pub(super) fn join(&mut self) -> Vec<Id> {
        let mut old = std::mem::replace(self, Seconds { step: self.step * 2, ..Seconds::new() });
        old.times.iter_mut().for_each(|time| *time = self.whole(*time));
        self.merge(&old)
    }

    fn whole(&self, time: i64) -> i64 {
        time.div_euclid(self.step) * self.step
    }

    /// The second that each id stands for.
    pub(super) fn times(&self) -> &[i64] {
        &self.times
    }

    /// (second, hits) in the order of the ids.
    pub(super) fn into_hits(self) -> Vec<(i64, u64)> {
        let Seconds { ids, times, hits, .. } = self;
        drop(ids); // It is the largest, and what follows needs room.
        times.into_iter().zip(hits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_that_share_a_place_stay_apart() {
        let mut seconds = Seconds::new();
        let near = 1_000;
        let far = near + RECENT as i64;
        let order = [near, far, near, -1, far, 0, -1, i64::MIN, near, i64::MAX];
        let ids: Vec<Id> = order.iter().map(|&time| seconds.add(time)).collect();
        assert_eq!(ids, [0, 1, 0, 2, 1, 3, 2, 4, 0, 5]);
        assert_eq!(seconds.times(), [near, far, -1, 0, i64::MIN, i64::MAX]);
        let hits: Vec<u64> = seconds.into_hits().into_iter().map(|(_, hits)| hits).collect();
        assert_eq!(hits, [3, 2, 2, 1, 1, 1]);
    }

    #[test]
    fn seconds_of_one_entry_stay_apart() {
        let mut seconds = Seconds::new();
        let all: Vec<i64> = (-20..20).collect();
        let first: Vec<Id> = all.iter().map(|&time| seconds.find_or_insert(time)).collect();
        let again: Vec<Id> = all.iter().map(|&time| seconds.find_or_insert(time)).collect();
        assert_eq!(first, (0..40).collect::<Vec<Id>>());
        assert_eq!((again, seconds.times()), (first, &all[..]));
    }

    #[test]
    fn seconds_are_joined_by_twos() {
        let mut seconds = Seconds::new();
        for time in [5, 4, 6, -1, -2, 5, i64::MIN, i64::MAX] {
            seconds.add(time);
        }
        assert_eq!(seconds.join(), [0, 0, 1, 2, 2, 3, 4]);
        assert_eq!([seconds.add(5), seconds.add(7), seconds.add(8)], [0, 1, 5]);
        assert_eq!(seconds.join(), [0, 0, 1, 2, 3, 4]);
        assert_eq!((seconds.step(), seconds.len()), (4, 5));
        let expected = [(4, 6), (-4, 2), (i64::MIN, 1), (i64::MAX - 3, 1), (8, 1)];
        assert_eq!(seconds.into_hits(), expected);
    }
}
