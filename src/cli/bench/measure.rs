//! Rows that take turns.
//!
//! The rows are measured round after round, and each row's figure is the median of its rounds. So a change of the machine's
//! speed meets all rows of a round, and does not become part of the ratio of two rows. Before that, each row is run until
//! it is known how many calls take [`TARGET`].
//!
//! Tests: `tests/bench`.

use std::hint::black_box;
use std::time::Duration;

use crate::sync::{AtomicUsize, Ordering};
use crate::time::clock::SystemClock;

/// How long a row runs in a round.
const TARGET: Duration = Duration::from_millis(4);
/// Odd, so that one round is the median.
const ROUNDS: usize = 21;
/// The same for a quick look.
const FEW_ROUNDS: usize = 3;

/// A call that some threads repeat, all at once.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) threads: usize,
    run: Box<dyn Fn(usize, u64) + Sync>,
}

impl Row {
    /// `call` is given the number of its thread, and of the call in a round.
    pub(super) fn new<R>(
        name: impl Into<String>,
        threads: usize,
        call: impl Fn(usize, u64) -> R + Sync + 'static,
    ) -> Row {
        let run = move |thread: usize, calls: u64| {
            for number in 0..calls {
                // The answer counts as used, so that no call is left out.
                black_box(call(thread, number));
            }
        };
        Row { name: name.into(), threads, run: Box::new(run) }
    }

    /// How long the slowest thread takes for `calls` calls of each.
    fn time(&self, calls: u64) -> Duration {
        if self.threads == 1 {
            return timed(|| (self.run)(0, calls));
        }
        let ready = &AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let begin = |thread| {
                scope.spawn(move || {
                    (self.run)(thread, calls / 100 + 1);
                    ready.fetch_add(1, Ordering::AcqRel);
                    // All begin at once.
                    while ready.load(Ordering::Acquire) < self.threads {
                        std::hint::spin_loop();
                    }
                    timed(|| (self.run)(thread, calls))
                })
            };
            let running: Vec<_> = (0..self.threads).map(begin).collect();
            running.into_iter().map(|thread| thread.join().expect("a row does not panic")).max().unwrap_or_default()
        })
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = SystemClock.now().as_duration();
    run();
    SystemClock.now().as_duration().saturating_sub(start)
}

/// What a call of a row takes.
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) threads: usize,
    pub(super) nanos: f64,
}

/// Measures all rows. A `quick` look has few rounds.
pub(super) fn measure(rows: &[Row], quick: bool) -> Vec<Measured> {
    let (rounds, target) = if quick { (FEW_ROUNDS, TARGET / 8) } else { (ROUNDS, TARGET) };
    let calls: Vec<u64> = rows.iter().map(|row| calls_in(row, target)).collect();
    let mut nanos = vec![Vec::with_capacity(rounds); rows.len()];
    for _ in 0..rounds {
        for ((row, &calls), nanos) in rows.iter().zip(&calls).zip(&mut nanos) {
            nanos.push(row.time(calls).as_nanos() as f64 / calls as f64);
        }
    }
    let medians = rows.iter().zip(nanos).map(|(row, mut all)| {
        all.sort_by(f64::total_cmp);
        Measured { name: row.name.clone(), threads: row.threads, nanos: all[all.len() / 2] }
    });
    medians.collect()
}

/// How many calls take about `target`.
fn calls_in(row: &Row, target: Duration) -> u64 {
    let mut calls = 64;
    loop {
        let taken = row.time(calls);
        if taken >= target / 4 || calls >= 1 << 30 {
            let share = target.as_secs_f64() / taken.as_secs_f64().max(1e-9);
            return ((calls as f64 * share) as u64).clamp(1, 1 << 30);
        }
        calls *= 4;
    }
}
