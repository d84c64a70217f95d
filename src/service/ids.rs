//! [`Ids`]: the ids of resources.
//!
//! Tests: below.

use uuid::{ContextV7, Uuid};

use crate::sync::Mutex;
use crate::time::Timestamp;

/// Makes ids: UUIDs of version 7, each higher than those before it, also where the clock is set back.
#[derive(Debug)]
pub struct Ids(Mutex<(Timestamp, ContextV7)>);

impl Ids {
    /// No id was made yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new((Timestamp::ZERO, ContextV7::new())))
    }

    /// The next one, at `now`.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> String {
        let (latest, context) = &mut *self.0.lock();
        *latest = now.max(*latest);
        let time = uuid::Timestamp::from_unix(&*context, latest.secs(), latest.subsec_nanos());
        Uuid::new_v7(time).to_string()
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ones_are_higher_also_where_the_clock_is_set_back() {
        let (ids, at) =
            (Ids::new(), |millis: u64| Timestamp::new(1_700_000_000, millis as u32 * 1_000_000).expect("a time"));
        let times = (0..5_000).map(|number| if number % 100 == 99 { at(0) } else { at(number / 50) });
        let all: Vec<String> = times.map(|time| ids.next(time)).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(all.iter().all(|id| id.len() == 36 && Uuid::try_parse(id).is_ok_and(|id| id.get_version_num() == 7)));
    }
}
