//! A strategy of the tests' own: every hit in a list.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hitring::{CustomCounter, CustomStrategy, Outcome, Strategy, Timestamp};

#[derive(Debug)]
struct Listed;

#[derive(Debug, Default)]
struct List(Mutex<Vec<(Timestamp, u64)>>);

pub fn listed() -> Strategy {
    Strategy::Custom(Arc::new(Listed))
}

impl CustomStrategy for Listed {
    fn name(&self) -> &str {
        "listed"
    }

    fn counter(&self, _: Duration, _: Duration) -> Box<dyn CustomCounter> {
        Box::new(List::default())
    }
}

impl List {
    fn hits(&self) -> Vec<(Timestamp, u64)> {
        self.0.lock().expect("nobody panics under the lock").clone()
    }
}

impl CustomCounter for List {
    fn record(&self, at: Timestamp, amount: u64) -> Outcome {
        self.0.lock().expect("nobody panics under the lock").push((at, amount));
        Outcome::Counted
    }

    fn count(&self, at: Timestamp, last: Duration) -> Option<u64> {
        let inside = |then: &Timestamp| *then <= at && then.saturating_add(last) > at;
        Some(self.hits().iter().filter(|(then, _)| inside(then)).map(|(_, amount)| amount).sum())
    }

    fn newest(&self) -> Timestamp {
        self.hits().iter().map(|(at, _)| *at).max().unwrap_or_default()
    }

    fn cells(&self) -> Vec<(Timestamp, u64)> {
        self.hits()
    }

    fn counted(&self) -> u64 {
        self.hits().iter().map(|(_, amount)| amount).sum()
    }

    fn memory_bytes(&self) -> usize {
        24 * self.hits().len()
    }
}
