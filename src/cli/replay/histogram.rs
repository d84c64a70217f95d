//! Hits over time as one line of bars.
//!
//! Tests: below, `tests/replay`.

use super::timeline::Timeline;
use crate::cli::columns::bar;

/// Lengths of time that a column may have, in seconds.
const STEPS: [i64; 23] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    2_592_000, 7_776_000, 31_536_000,
];
const DAY: i64 = 86_400;

pub(super) struct Histogram {
    /// Seconds in a column.
    pub(super) step: i64,
    /// The most hits of any column.
    pub(super) highest: u64,
    /// One character a column: a blank for no hit, else a bar.
    pub(super) bars: String,
}

/// Hits over time.
pub(super) struct Columns {
    /// Seconds in a column.
    pub(super) step: i64,
    /// When the first column begins.
    pub(super) first: i64,
    /// The hits of each column.
    pub(super) hits: Vec<u64>,
}

/// A length of time that people count in, of which at most `most` fit into `span` seconds.
pub(super) fn round_step(span: i64, most: i64) -> i64 {
    let fits = STEPS.into_iter().find(|&step| span / step <= most);
    fits.unwrap_or((span / most / DAY + 1) * DAY)
}

impl Columns {
    /// Hits over time in at most `room` columns, 2 or more. `None` without hits.
    pub(super) fn new(timeline: &Timeline, room: usize) -> Option<Columns> {
        let (first, last) = (timeline.first()?, timeline.last()?);
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let columns_of = |step: i64| last.div_euclid(step) - first.div_euclid(step) + 1;
        let step = STEPS.into_iter().find(|&step| columns_of(step) <= room);
        // A single hostile date spreads a log over millennia; any whole days that fit will do.
        let step = step.unwrap_or(((last - first) / (room - 1) / DAY + 1) * DAY);
        Some(Columns { step, first: first.div_euclid(step) * step, hits: timeline.columns(step) })
    }
}

impl Histogram {
    /// Hits over time in at most `room` columns, 2 or more. `None` without hits.
    pub(super) fn new(timeline: &Timeline, room: usize) -> Option<Histogram> {
        let Columns { step, hits: columns, .. } = Columns::new(timeline, room)?;
        let highest = columns.iter().copied().max()?;
        let bars = columns.iter().map(|&hits| bar(hits, highest)).collect();
        Some(Histogram { step, highest, bars })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_begin_at_whole_steps() {
        let columns = Columns::new(&Timeline::new(vec![(-1, 1), (7, 2), (59, 3)]), 7).expect("hits");
        assert_eq!((columns.step, columns.first, columns.hits), (10, -10, vec![1, 2, 0, 0, 0, 0, 3]));
        assert_eq!([round_step(60, 8), round_step(3_600, 8), round_step(100 * 86_400, 8)], [10, 600, 30 * 86_400]);
    }

    #[test]
    fn the_shortest_step_that_fits_is_taken() {
        let timeline = Timeline::new(vec![(0, 4), (59, 1), (119, 8)]);
        let of = |room| {
            let histogram = Histogram::new(&timeline, room).expect("there are hits");
            (histogram.step, histogram.highest, histogram.bars)
        };
        assert_eq!(of(2), (60, 8, "▅█".to_owned()));
        assert_eq!(of(4), (30, 8, "▄▁ █".to_owned()));
        assert_eq!(of(7).0, 30);
        assert_eq!(of(8), (15, 8, "▄  ▁   █".to_owned()));
        assert_eq!(of(120).0, 1);
        assert!(Histogram::new(&Timeline::new(Vec::new()), 10).is_none());
    }

    #[test]
    fn millennia_fit_too() {
        let timeline = Timeline::new(vec![(-62_135_596_800, 1), (253_402_300_799, 1)]);
        for room in [2, 3, 38, 78, 200] {
            let histogram = Histogram::new(&timeline, room).expect("there are hits");
            let columns = histogram.bars.chars().count();
            assert!(columns <= room && columns * 2 > room, "{columns} of {room}");
            assert_eq!(histogram.step % DAY, 0);
        }
    }
}
