//! A strategy of your own: here a list of all hits, which is the simplest that is right.
//!
//! ```console
//! $ cargo run --example custom_strategy
//! ```
#![allow(clippy::disallowed_types, reason = "the house takes its locks from elsewhere")]

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hitring::{CustomCounter, CustomStrategy, Outcome, Registry, Strategy, Timestamp};

#[derive(Debug)]
struct ListStrategy;

#[derive(Debug, Default)]
struct List(Mutex<Vec<(Timestamp, u64)>>);

impl List {
    fn hits(&self) -> MutexGuard<'_, Vec<(Timestamp, u64)>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl CustomStrategy for ListStrategy {
    fn name(&self) -> &str {
        "list"
    }

    fn counter(&self, _window: Duration, _resolution: Duration) -> Box<dyn CustomCounter> {
        Box::new(List::default())
    }
}

impl CustomCounter for List {
    fn record(&self, at: Timestamp, amount: u64) -> Outcome {
        self.hits().push((at, amount));
        Outcome::Counted
    }

    fn count(&self, at: Timestamp, last: Duration) -> Option<u64> {
        let is_inside = |then: Timestamp| then <= at && then.saturating_add(last) > at;
        Some(self.hits().iter().filter(|(then, _)| is_inside(*then)).map(|(_, amount)| amount).sum())
    }

    fn newest(&self) -> Timestamp {
        self.hits().iter().map(|(at, _)| *at).max().unwrap_or_default()
    }

    fn cells(&self) -> Vec<(Timestamp, u64)> {
        self.hits().clone()
    }

    fn counted(&self) -> u64 {
        self.hits().iter().map(|(_, amount)| amount).sum()
    }

    fn memory_bytes(&self) -> usize {
        self.hits().capacity() * size_of::<(Timestamp, u64)>()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::builder().strategy(Strategy::Custom(Arc::new(ListStrategy))).build()?;
    registry.record_hit("/home", 3)?;
    let minute = Duration::from_secs(60);
    println!("in a list: {}", registry.query_hits("/home", minute)?.count);

    // Hits stay countable when another strategy takes over.
    registry.swap_strategy(&Strategy::Ring)?;
    registry.record_hit("/home", 1)?;
    assert_eq!(registry.query_hits("/home", minute)?.count, 4);
    println!("in a ring: {}", registry.query_hits("/home", minute)?.count);
    Ok(())
}
