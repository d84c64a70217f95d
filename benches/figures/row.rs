//! A row: a call that some threads repeat, all at once.
//!
//! | to write a row | what it is given |
//! |---|---|
//! | `Row::of` | things to call, one for each thread or one for all |
//! | `Row::new` | a call that wants the number of its thread, or its own number |
//! | `Row::timed` | a loop that takes its time itself, because it prepares something first or runs processes |
//! | `Row::once` | the same for one call, which takes so long that a round has one |
//!
//! How many threads there are comes from the machine: `threads()` is 1, 2, 4 and so on up to its cores.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hitring::{HitCounter, Outcome, Strategy};

/// Something to measure.
pub struct Row {
    /// What is done.
    pub name: String,
    /// How many threads or processes do it at once.
    pub threads: usize,
    /// How many times each of them does it in a round.
    pub calls: u64,
    time: Box<dyn Fn(u64) -> Duration>,
}

impl Row {
    /// Calls `call(thread, index)` with the number of the thread and of the call, and lets the optimiser believe that the
    /// answer is used.
    pub fn new<R>(name: impl Into<String>, threads: usize, call: impl Fn(usize, usize) -> R + Sync + 'static) -> Self {
        let run = move |thread: usize, calls: u64| {
            for index in 0..calls as usize {
                black_box(call(thread, index));
            }
        };
        Self::timed(name, threads, move |calls| at_once(threads, calls, &run))
    }

    /// Calls `call` with a thing of the thread's own, or with the only thing there is.
    pub fn of<T: Sync + 'static, R>(
        name: impl Into<String>,
        threads: usize,
        things: Vec<T>,
        call: impl Fn(&T) -> R + Sync + 'static,
    ) -> Self {
        let run = move |thread: usize, calls: u64| {
            let thing = &things[thread % things.len()];
            for _ in 0..calls {
                black_box(call(thing));
            }
        };
        Self::timed(name, threads, move |calls| at_once(threads, calls, &run))
    }

    /// The baseline: bare atomics.
    pub fn fetch_add(name: &str, threads: usize, words: usize) -> Self {
        let words = (0..words).map(|_| Alone(AtomicU64::new(0))).collect();
        Self::of(name, threads, words, |word| {
            word.0.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// A row that takes its time itself: `time(calls)` does it `calls` times in each of `threads` threads or processes,
    /// and returns how long the slowest of them took.
    pub fn timed(name: impl Into<String>, threads: usize, time: impl Fn(u64) -> Duration + 'static) -> Self {
        // Threads never begin at quite the same time. With more calls that does not matter.
        let calls = if threads == 1 { 200_000 } else { 500_000 };
        Self { name: name.into(), threads, calls, time: Box::new(time) }
    }

    /// A row that takes its time itself and is done once a round, because it takes long.
    pub fn once(name: impl Into<String>, time: impl Fn() -> Duration + 'static) -> Self {
        Self::timed(name, 1, move |calls| (0..calls).map(|_| time()).sum()).calls(1)
    }

    /// The same row with another number of calls in a round.
    pub fn calls(self, calls: u64) -> Self {
        Self { calls, ..self }
    }

    /// How long it takes to do it `calls` times in every thread at once.
    pub fn time(&self, calls: u64) -> Duration {
        (self.time)(calls)
    }
}

/// The time of the slowest thread. All begin together, once each has warmed up.
fn at_once(threads: usize, calls: u64, run: &(dyn Fn(usize, u64) + Sync)) -> Duration {
    if threads == 1 {
        let start = Instant::now();
        run(0, calls);
        return start.elapsed();
    }
    let ready = &AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let begin = |thread| {
            scope.spawn(move || {
                run(thread, calls / 100 + 1);
                ready.fetch_add(1, Ordering::AcqRel);
                while ready.load(Ordering::Acquire) < threads {
                    std::hint::spin_loop();
                }
                let start = Instant::now();
                run(thread, calls);
                start.elapsed()
            })
        };
        let running: Vec<_> = (0..threads).map(begin).collect();
        running.into_iter().map(|thread| thread.join().expect("a row does not panic")).max().unwrap_or_default()
    })
}

/// 1, 2, 4 and so on up to the cores of the machine, but 2 in any case, because figures ask for them.
pub fn threads() -> impl Iterator<Item = usize> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::iter::successors(Some(1), |threads| Some(threads * 2)).take_while(move |&threads| threads <= cores.max(2))
}

/// [`threads`] without the 1.
pub fn several() -> impl Iterator<Item = usize> {
    threads().skip(1)
}

/// On its own cache line, as any counter in use is.
#[repr(align(128))]
pub struct Alone<T>(pub T);

/// What hitring's own clock reading costs, without a counter.
#[inline]
pub fn coarse() -> i64 {
    #[cfg(target_os = "linux")]
    {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a valid timespec for the call to fill.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
        now.tv_sec
    }
    #[cfg(not(target_os = "linux"))]
    {
        hitring::Clock::System.now().secs() as i64
    }
}

/// A counter of the default window.
pub fn counter(strategy: Strategy) -> HitCounter {
    HitCounter::builder().strategy(strategy).build().expect("the defaults are valid")
}

/// The outcome of a hit that is to be counted.
#[inline]
pub fn counted(outcome: Outcome) -> Outcome {
    debug_assert!(outcome.is_counted(), "{outcome:?}");
    outcome
}
