//! A row of a bench: a loop that a number of threads run at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Something to measure: `run(thread, n)` does it `n` times.
pub struct Row {
    /// What is done.
    pub name: String,
    /// How many threads do it at once.
    pub threads: usize,
    run: Run,
}

enum Run {
    /// Does it `n` times in a thread.
    Threads(Box<dyn Fn(usize, u64) + Sync>),
    /// Does it `n` times by as many as do it at once, and says how long the slowest took.
    Timed(Box<dyn Fn(u64) -> Duration + Sync>),
}

impl Row {
    pub fn new(name: impl Into<String>, threads: usize, run: impl Fn(usize, u64) + Sync + 'static) -> Self {
        Self { name: name.into(), threads, run: Run::Threads(Box::new(run)) }
    }

    /// A row whose time is taken by `timed`: that of processes.
    pub fn timed(name: impl Into<String>, many: usize, timed: impl Fn(u64) -> Duration + Sync + 'static) -> Self {
        Self { name: name.into(), threads: many, run: Run::Timed(Box::new(timed)) }
    }

    /// How long it takes to do it `n` times in every thread at once: the slowest thread, from a spinning line on.
    pub fn time(&self, n: u64) -> Duration {
        let run = match &self.run {
            Run::Timed(timed) => return timed(n),
            Run::Threads(run) => run,
        };
        if self.threads == 1 {
            let start = Instant::now();
            run(0, n);
            return start.elapsed();
        }
        let ready = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let ready = &ready;
                    scope.spawn(move || {
                        run(thread, n / 100 + 1);
                        ready.fetch_add(1, Ordering::AcqRel);
                        while ready.load(Ordering::Acquire) < self.threads {
                            std::hint::spin_loop();
                        }
                        let start = Instant::now();
                        run(thread, n);
                        start.elapsed()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().expect("a row does not panic")).max().unwrap_or_default()
        })
    }
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
