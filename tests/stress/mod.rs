//! Real threads against each other, behind a line that they spin on: a barrier would let them go one after the other.
//!
//! `HITRING_STRESS` multiplies the rounds; under ThreadSanitizer (`--cfg hitring_tsan`) there are fewer.

mod churn;
#[cfg(all(target_os = "linux", not(hitring_tsan)))]
mod fork;
mod rollovers;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hitring::{HitCounter, Strategy, Timestamp};

const STRATEGIES: [Strategy; 3] = [Strategy::Striped, Strategy::Ring, Strategy::SLIDING];

/// How often to repeat what takes `rounds` ordinarily.
pub fn rounds(rounds: usize) -> usize {
    let times = std::env::var("HITRING_STRESS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    if cfg!(hitring_tsan) { rounds.div_ceil(10) * times } else { rounds * times }
}

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

/// Runs `body` in `threads` threads that begin together, and answers what they answer.
pub fn together<T: Send>(threads: usize, body: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let waiting = AtomicUsize::new(threads);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let (waiting, body) = (&waiting, &body);
                scope.spawn(move || {
                    waiting.fetch_sub(1, Ordering::AcqRel);
                    let mut spins = 0u32;
                    while waiting.load(Ordering::Acquire) > 0 {
                        std::hint::spin_loop();
                        spins += 1;
                        // With more threads than cores the others must get to the line, too.
                        if spins.is_multiple_of(1 << 12) {
                            std::thread::yield_now();
                        }
                    }
                    body(thread)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    })
}
