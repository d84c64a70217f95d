//! Hits in order of time, and how many of them a window held.
//!
//! A window of `last` seconds at T holds the hits in **(T - last, T]**: with last = 300, a hit at 1 is in at 300 and out
//! at 301. Any T may be asked, before, between and after the hits.
//!
//! Tests: below, `tests/replay`.

/// How many hits there were in each second that had one.
pub(super) struct Timeline {
    /// Ascending, each once.
    seconds: Vec<i64>,
    /// `before[i]` hits came before `seconds[i]`; one more entry at the end holds all of them.
    before: Vec<u64>,
}

impl Timeline {
    /// Takes (second, hits) in any order, each second once.
    pub(super) fn new(mut hits: Vec<(i64, u64)>) -> Timeline {
        hits.sort_unstable();
        let mut before = Vec::with_capacity(hits.len() + 1);
        let mut sum = 0;
        before.push(0);
        for (_, count) in &hits {
            sum += count;
            before.push(sum);
        }
        Timeline { seconds: hits.into_iter().map(|(second, _)| second).collect(), before }
    }

    pub(super) fn first(&self) -> Option<i64> {
        self.seconds.first().copied()
    }

    pub(super) fn last(&self) -> Option<i64> {
        self.seconds.last().copied()
    }

    /// Hits in (at - last, at].
    pub(super) fn hits(&self, at: i64, last: i64) -> u64 {
        // A window that begins before the earliest i64 begins before every hit.
        let left_out = at.checked_sub(last).map_or(0, |start| self.hits_until(start));
        self.hits_until(at) - left_out
    }

    /// Hits at or before `at`.
    fn hits_until(&self, at: i64) -> u64 {
        self.before[self.seconds.partition_point(|&second| second <= at)]
    }

    /// The earliest T whose window holds the most hits. Only seconds with a hit need to be tried: between two of them a
    /// window only loses hits.
    pub(super) fn busiest(&self, last: i64) -> Option<i64> {
        let mut best = None;
        for &at in &self.seconds {
            let hits = self.hits(at, last);
            if best.is_none_or(|(most, _)| hits > most) {
                best = Some((hits, at));
            }
        }
        best.map(|(_, at)| at)
    }

    /// Hits per column of `step` seconds, from the column that holds the first hit to that of the last. Columns begin at
    /// whole multiples of `step`.
    pub(super) fn columns(&self, step: i64) -> Vec<u64> {
        let (Some(first), Some(last)) = (self.first(), self.last()) else {
            return Vec::new();
        };
        let (first, last) = (first.div_euclid(step), last.div_euclid(step));
        (first..=last).map(|column| self.hits(column * step + step - 1, step)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_window_is_open_at_its_start_and_closed_at_its_end() {
        let timeline = Timeline::new(vec![(301, 2), (1, 1)]);
        assert_eq!((timeline.first(), timeline.last()), (Some(1), Some(301)));
        let hits: Vec<u64> = [0, 1, 300, 301, 600, 601].iter().map(|&at| timeline.hits(at, 300)).collect();
        assert_eq!(hits, [0, 1, 1, 2, 2, 0]);
        assert_eq!(timeline.hits(301, 301), 3);
        assert_eq!(timeline.hits(301, 0), 0);
    }

    #[test]
    fn the_ends_of_time() {
        let timeline = Timeline::new(vec![(-5, 1), (5, 1)]);
        assert_eq!(timeline.hits(i64::MAX, i64::MAX), 1);
        assert_eq!(timeline.hits(i64::MIN, i64::MAX), 0);
        assert_eq!(timeline.hits(i64::MAX, 0), 0);
        assert_eq!(timeline.hits(-1, i64::MAX), 1);
        assert_eq!(timeline.hits(5, i64::MAX), 2);
    }

    #[test]
    fn the_busiest_window_is_the_earliest() {
        let timeline = Timeline::new(vec![(10, 2), (14, 1), (100, 3), (200, 3)]);
        assert_eq!(timeline.busiest(5), Some(14));
        assert_eq!(timeline.busiest(4), Some(100));
        assert_eq!(timeline.busiest(1_000), Some(200));
        assert_eq!(timeline.busiest(0), Some(10));
    }

    #[test]
    fn no_hits() {
        let timeline = Timeline::new(Vec::new());
        assert_eq!((timeline.first(), timeline.last(), timeline.busiest(300)), (None, None, None));
        assert_eq!((timeline.hits(5, 300), timeline.columns(60)), (0, vec![]));
    }

    #[test]
    fn columns_begin_at_multiples() {
        let timeline = Timeline::new(vec![(-1, 1), (0, 2), (9, 3), (10, 4), (35, 5)]);
        assert_eq!(timeline.columns(10), [1, 5, 4, 0, 5]);
        assert_eq!(timeline.columns(1_000), [1, 14]);
    }

    proptest! {
        #[test]
        fn like_looking_at_every_hit(
            hits in proptest::collection::btree_map(-50_i64..50, 1_u64..9, 0..20),
            last in 0_i64..70,
        ) {
            let timeline = Timeline::new(hits.clone().into_iter().rev().collect());
            let by_looking = |at: i64| -> u64 {
                hits.iter().filter(|(second, _)| at - last < **second && **second <= at).map(|(_, count)| count).sum()
            };
            for at in -60..130 {
                prop_assert_eq!(timeline.hits(at, last), by_looking(at));
            }
            let most = (-60..130).map(by_looking).max().unwrap_or(0);
            let earliest = (-60..130).find(|&at| by_looking(at) == most);
            if last > 0 && !hits.is_empty() {
                prop_assert_eq!(timeline.busiest(last), earliest);
            }
        }
    }
}
