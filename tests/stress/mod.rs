//! Real threads against each other.

mod churn;
#[cfg(all(target_os = "linux", not(hitring_tsan)))]
mod fork;
mod rollovers;

use std::time::Duration;

use hitring::{HitCounter, Strategy, Timestamp};

use crate::threads::{rounds, together};

const STRATEGIES: [Strategy; 3] = [Strategy::Striped, Strategy::Ring, Strategy::SLIDING];

fn at(second: u64) -> Timestamp {
    Timestamp::try_from(second).expect("before the year 9999")
}

const MINUTE: Duration = Duration::from_secs(60);

/// A counter of a minute whose every slot has been used by an older lap.
fn used(strategy: Strategy) -> HitCounter {
    let counter = HitCounter::builder().window(MINUTE).strategy(strategy.clone()).build().expect("a valid geometry");
    let slots = counter.slots() as u64;
    for second in 0..slots {
        assert!(counter.record_at(at(second), 1_000).is_counted());
    }
    counter
}
