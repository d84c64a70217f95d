//! [`History`]: what windows let through and still remember, as one plan hands it on to another when the rate is changed.
//!
//! A log knows the time of each unit. A sliding window knows the tick, and says that its units came at the end of it, so a
//! history is never older than the truth. Several windows know different parts of the same units. Units are told by their
//! place: the newest is the first of each.
//!
//! Tests: below, `tests/limit/changed.rs`.

/// Units that were let through at one nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub at: u64,
    pub units: u64,
}

/// Units that were let through, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    units: Vec<Passed>,
    /// No other unit came later than this.
    others: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { units: Vec::new(), others: u64::MAX }
    }
}

impl History {
    /// Adds units that are older than all others.
    pub fn push(&mut self, at: u64, units: u64) {
        if units > 0 {
            self.units.push(Passed { at, units });
        }
    }

    /// Says that all other units had come by that time.
    pub fn others(self, others: u64) -> Self {
        Self { others, ..self }
    }

    /// The newest `most` units of these.
    pub fn newest(mut self, most: u64) -> Self {
        let mut left = most;
        for passed in &mut self.units {
            passed.units = passed.units.min(left);
            left -= passed.units;
        }
        self.units.retain(|passed| passed.units > 0);
        self
    }

    /// When the newest unit came.
    pub fn newest_at(&self) -> Option<u64> {
        self.units.first().map(|passed| passed.at)
    }

    /// The oldest first.
    pub fn oldest_first(&self) -> impl Iterator<Item = Passed> {
        self.units.iter().rev().copied()
    }

    /// What several windows know together of the same units. The least time that one of them knows is the nearest to the truth.
    pub fn merged(known: impl Iterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = known.collect();
        // The oldest first, so that the newest is taken from the end.
        parts.iter_mut().for_each(|part| part.units.reverse());
        let (mut merged, mut at) = (Self::default(), u64::MAX);
        loop {
            let heads = parts.iter().filter_map(|part| part.units.last());
            let Some(units) = heads.map(|passed| passed.units).min() else { return merged.others(at) };
            // No unit is newer than the one before.
            at = parts.iter().map(|part| part.units.last().map_or(part.others, |passed| passed.at)).fold(at, u64::min);
            merged.push(at, units);
            for Self { units: part, .. } in &mut parts {
                match part.last_mut() {
                    Some(passed) if passed.units > units => passed.units -= units,
                    _ => drop(part.pop()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(passed: &[(u64, u64)]) -> History {
        let mut history = History::default();
        passed.iter().for_each(|&(at, units)| history.push(at, units));
        history
    }

    #[test]
    fn the_newest_units_are_kept() {
        let all = history(&[(9, 2), (7, 3), (0, 0), (4, 1)]);
        let newest = |most| all.clone().newest(most);
        assert_eq!(newest(0), History::default());
        assert_eq!([newest(1), newest(2)], [history(&[(9, 1)]), history(&[(9, 2)])]);
        assert_eq!([newest(4), newest(99)], [history(&[(9, 2), (7, 2)]), all.clone()]);
        assert_eq!(all.oldest_first().map(|passed| passed.at).collect::<Vec<_>>(), [4, 7, 9]);
    }

    #[test]
    fn windows_that_know_different_parts_are_taken_together() {
        // A log of three units; a window in steps of ten; one in steps of a hundred, which knows older ones.
        let known = [
            history(&[(58, 1), (57, 1), (43, 1)]),
            history(&[(59, 2), (49, 2), (39, 1)]).others(29),
            history(&[(99, 7), (0, 3)]),
        ];
        let merged = history(&[(58, 1), (57, 1), (43, 1), (43, 1), (39, 1), (29, 2), (0, 3)]);
        assert_eq!(History::merged(known.into_iter()), merged.others(0));
        assert_eq!(History::merged([].into_iter()), History::default());
    }
}
