//! One counter, hit by several threads: how many hits were there in the last minute?
//!
//! ```console
//! $ cargo run --example counter
//! ```

use std::time::Duration;

use hitring::{HitCounter, ManualClock, QueryError, Timestamp};

fn main() -> Result<(), QueryError> {
    // The last 300 seconds, by the second, on the system's clock.
    let counter = HitCounter::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let outcome = counter.record(1);
                    assert!(outcome.is_counted());
                }
            });
        }
    });
    println!("last minute: {}", counter.count_last(Duration::from_secs(60))?);
    assert_eq!(counter.count()?, 4_000);

    // A clock that a test moves.
    let clock = ManualClock::new(Timestamp::from(1_000));
    let counter = HitCounter::builder().window(Duration::from_secs(60)).clock(clock.clone()).build().expect("a window");
    counter.record(5);
    clock.set(Timestamp::from(1_059));
    assert_eq!(counter.count()?, 5, "the window is (999, 1059]");
    clock.set(Timestamp::from(1_060));
    assert_eq!(counter.count()?, 0, "the hits are 60 seconds old");
    println!("a minute later: {}", counter.count()?);
    Ok(())
}
