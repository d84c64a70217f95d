//! Threads that begin together, behind a line that they spin on: a barrier would let them go one after the other.
//!
//! `HITRING_STRESS` multiplies the rounds; under ThreadSanitizer (`--cfg hitring_tsan`) there are fewer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How often to repeat what takes `rounds` ordinarily.
pub fn rounds(rounds: usize) -> usize {
    let times = std::env::var("HITRING_STRESS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    if cfg!(hitring_tsan) { rounds.div_ceil(10) * times } else { rounds * times }
}

/// Sets the flag when it is dropped, also by a panic: threads that go on until then end, and the test fails instead of hanging.
#[must_use]
pub struct SetAtEnd<'a>(pub &'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
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
