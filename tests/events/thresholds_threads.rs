//! Thresholds under several threads, over a real counter: exactly one thread reports each crossing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hitring::events::threshold::{Gauge, Thresholds};
use hitring::{HitCounter, Strategy, Tick, Timestamp};

use super::{rounds, together};

const THREADS: usize = 4;
const LAST: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

fn at(second: u64) -> Timestamp {
    Timestamp::try_from(second).expect("before the year 9999")
}

/// A counter with a clock that the test moves.
struct Endpoint {
    counter: HitCounter,
    now: AtomicU64,
    thresholds: Thresholds,
    name: Arc<str>,
}

impl Gauge for Endpoint {
    fn now(&self) -> Tick {
        Tick(self.now.load(Ordering::Acquire))
    }

    fn count(&self, until: Tick, last: Duration) -> Option<u64> {
        self.counter.count_at(at(until.0), last).ok()
    }

    fn before(&self, tick: Tick, last: Duration) -> Option<u64> {
        self.counter.count_at(at(tick.0.checked_sub(1)?), last - SECOND).ok()
    }
}

impl Endpoint {
    fn new(strategy: Strategy, window: Duration, limit: u64) -> Self {
        let counter = HitCounter::builder().window(window).strategy(strategy).build().expect("a valid geometry");
        let thresholds = Thresholds::new();
        thresholds.add("e*", LAST.max(window), limit).expect("a valid watch");
        Self { counter, now: AtomicU64::new(1_000), thresholds, name: "endpoint".into() }
    }

    /// Records and checks; answers how many crossings were told.
    fn hit(&self, amount: u64) -> usize {
        let tick = self.now();
        assert!(self.counter.record_at(at(tick.0), amount).is_counted());
        self.thresholds.check(&self.name, tick, self).len()
    }

    /// Every thread hits by `amount`, `seconds` after the last.
    fn hits(&self, seconds: u64, amount: u64) -> usize {
        self.now.fetch_add(seconds, Ordering::AcqRel);
        together(THREADS, |_| self.hit(amount)).into_iter().sum()
    }
}

#[test]
fn one_thread_tells_of_each_crossing() {
    for strategy in [Strategy::Ring, Strategy::Striped] {
        let endpoint = Endpoint::new(strategy.clone(), LAST, 10);
        for round in 0..rounds(100) {
            let told = [
                endpoint.hits(20, 5), // 0 to 20
                endpoint.hits(20, 2), // 0 to 8
                endpoint.hits(1, 2),  // 8 to 16
                endpoint.hits(9, 3),  // 8 to 20: the first 8 left in silence
                endpoint.hits(1, 1),  // 12 to 16
            ];
            assert_eq!(told, [1, 0, 1, 1, 0], "{strategy}, round {round}");
        }
    }
}

#[test]
fn time_that_passes_between_a_hit_and_its_check_makes_no_crossing() {
    for _ in 0..rounds(20) {
        let endpoint = Endpoint::new(Strategy::Ring, Duration::from_secs(1 << 16), 1_000);
        let stop = AtomicBool::new(false);
        let told: usize = std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..60_000 {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    endpoint.now.fetch_add(1, Ordering::AcqRel);
                    (0..50).for_each(|_| std::hint::spin_loop());
                }
            });
            let told = together(THREADS, |_| (0..500).map(|_| endpoint.hit(1)).sum::<usize>()).into_iter().sum();
            stop.store(true, Ordering::Release);
            told
        });
        assert_eq!(told, 1, "the window is longer than all of it, so nothing ever falls");
    }
}
