//! A former generation is not freed while a thread reads it.
//!
//! In each test one thread, the walker, calls a method of the registry that walks over the generations of an endpoint. The
//! walk reaches a counter of this file, and a method of that counter runs until another thread, the recorder, has counted a
//! hit. The hit unlinks the counter, which is out of the window, and hands it to the collector together with enough others
//! that the collector frees all that no reader may see. The counter must not be dropped before its method returns, and must
//! be dropped once the walker has left.
//!
//! | step | walker | recorder |
//! |---|---|---|
//! | 1 | | counts a hit, and waits in `newest`, when it looks for former generations |
//! | 2 | walks, and waits in the method of the test | |
//! | 3 | | unlinks the counter and returns |
//! | 4 | looks whether the counter was dropped, and returns | |
//!
//! The hit is counted before the walk begins, because an endpoint that was removed takes no hit.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hitring::{
    Clock, CustomCounter, CustomStrategy, ManualClock, Outcome, Registry, RegistrySnapshot, Strategy, Timestamp,
    WhenFull,
};

use super::{START, at};

/// The idlest when there must be room.
const NAME: &str = "a";

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Walker,
    Recorder,
    Other,
}

thread_local! {
    static ROLE: Cell<Role> = const { Cell::new(Role::Other) };
}

/// A method of the counter.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    Newest,
    Cells,
    Counted,
}

/// What the threads know of each other.
#[derive(Debug)]
struct Scene {
    /// The walker waits in this method,
    method: Method,
    /// when it has called it so often before.
    calls_before: usize,
    calls: AtomicUsize,
    recorder_waits: AtomicBool,
    walker_waits: AtomicBool,
    recorded: AtomicBool,
    dropped: AtomicBool,
}

impl Scene {
    /// Counts a call of the method; answers whether the walker waits in this one.
    fn is_the_call(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst) == self.calls_before
    }
}

/// Waits until `flag` is set; fails if that takes too long.
fn wait_for(flag: &AtomicBool, what: &str) {
    let began = Instant::now();
    while !flag.load(Ordering::SeqCst) {
        assert!(began.elapsed() < Duration::from_secs(10), "waited too long until {what}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[derive(Debug)]
struct Watched(Arc<Scene>);

/// A counter of one hit at the start.
#[derive(Debug)]
struct One(Arc<Scene>);

impl CustomStrategy for Watched {
    fn name(&self) -> &str {
        "watched"
    }

    fn counter(&self, _: Duration, _: Duration) -> Box<dyn CustomCounter> {
        Box::new(One(Arc::clone(&self.0)))
    }
}

impl One {
    fn enter(&self, method: Method) {
        // A copy, because `self` may be freed while this waits: that is the fault that the tests look for.
        let scene = Arc::clone(&self.0);
        match ROLE.get() {
            Role::Recorder if method == Method::Newest => {
                scene.recorder_waits.store(true, Ordering::SeqCst);
                wait_for(&scene.walker_waits, "the walker is in the method");
            }
            Role::Walker if method == scene.method && scene.is_the_call() => {
                scene.walker_waits.store(true, Ordering::SeqCst);
                wait_for(&scene.recorded, "the hit is counted");
                // Here and not after the walk, which would read what was freed and may crash.
                let dropped = scene.dropped.load(Ordering::SeqCst);
                assert!(!dropped, "the counter was dropped while its method {method:?} was running");
            }
            _ => {}
        }
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
    }
}

impl CustomCounter for One {
    fn record(&self, _: Timestamp, _: u64) -> Outcome {
        Outcome::Counted
    }

    fn count(&self, _: Timestamp, _: Duration) -> Option<u64> {
        Some(1)
    }

    fn newest(&self) -> Timestamp {
        self.enter(Method::Newest);
        at(START)
    }

    fn cells(&self) -> Vec<(Timestamp, u64)> {
        self.enter(Method::Cells);
        vec![(at(START), 1)]
    }

    fn counted(&self) -> u64 {
        self.enter(Method::Counted);
        1
    }

    fn memory_bytes(&self) -> usize {
        0
    }
}

fn registry(clock: &ManualClock, max_endpoints: usize) -> Registry {
    Registry::builder()
        .window(Duration::from_secs(4))
        .slack(1)
        .clock(Clock::from(clock.clone()))
        .max_endpoints(max_endpoints)
        .when_full(WhenFull::Prune)
        .build()
        .expect("a valid registry")
}

/// A registry that has the counter among the former generations of [`NAME`], out of the window.
struct Stage {
    registry: Arc<Registry>,
    scene: Arc<Scene>,
    /// Of another registry that has merged this one: it holds the counter's cells under this registry's name.
    theirs: RegistrySnapshot,
}

impl Stage {
    fn new(method: Method, calls_before: usize) -> Self {
        let scene = Arc::new(Scene {
            method,
            calls_before,
            calls: AtomicUsize::new(0),
            recorder_waits: AtomicBool::new(false),
            walker_waits: AtomicBool::new(false),
            recorded: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
        });
        let clock = ManualClock::new(at(START));
        let registry = registry(&clock, 2);
        let swap = |strategy: &Strategy| {
            assert_eq!(registry.swap_endpoint(NAME, strategy), Ok(true));
        };
        let hit = |registry: &Registry| assert_eq!(registry.record_hit(NAME, 1), Ok(Outcome::Counted));
        hit(&registry);
        // The collector frees in batches of as many as there are processors, rounded up to a power of two, at least 32.
        let batch = std::thread::available_parallelism().map_or(1, usize::from).max(32).next_power_of_two();
        // Each with a hit: a generation without is pruned by the next hit.
        for _ in 0..batch {
            swap(&Strategy::Striped);
            hit(&registry);
            swap(&Strategy::Ring);
            hit(&registry);
        }
        swap(&Strategy::Custom(Arc::new(Watched(Arc::clone(&scene)))));
        hit(&registry);
        swap(&Strategy::Ring);
        let other = self::registry(&clock, 2);
        other.merge(&registry.snapshot()).expect("it has the same geometry");
        let theirs = other.snapshot();
        clock.advance(Duration::from_secs(100)).expect("a time before the year 10000");
        Self { registry: Arc::new(registry), scene, theirs }
    }

    /// Does `walk` on this thread while the recorder counts.
    fn while_a_hit_unlinks(self, walk: impl FnOnce(&Self)) {
        let (registry, scene) = (Arc::clone(&self.registry), Arc::clone(&self.scene));
        let recorder = std::thread::spawn(move || {
            ROLE.set(Role::Recorder);
            let outcome = registry.record_hit(NAME, 1);
            scene.recorded.store(true, Ordering::SeqCst);
            outcome
        });
        wait_for(&self.scene.recorder_waits, "the recorder looks for former generations");
        ROLE.set(Role::Walker);
        walk(&self);
        ROLE.set(Role::Other);
        let (calls, wanted) = (self.scene.calls.load(Ordering::SeqCst), self.scene.calls_before);
        // Lets the recorder end where the walker never came so far.
        self.scene.walker_waits.store(true, Ordering::SeqCst);
        assert_eq!(recorder.join().expect("the recorder did not fail"), Ok(Outcome::Counted));
        assert!(calls > wanted, "{:?} was called {calls} times by the walker", self.scene.method);
        assert!(
            self.scene.dropped.load(Ordering::SeqCst),
            "the hit has not unlinked the counter, so nothing was tested"
        );
    }
}

/// Every removal asks an endpoint what it holds when it ends, and what it has counted when it leaves the map.
const OF_A_REMOVAL: [Method; 2] = [Method::Cells, Method::Counted];

#[test]
fn a_hit_frees_nothing_that_a_removal_reads() {
    for method in OF_A_REMOVAL {
        Stage::new(method, 0).while_a_hit_unlinks(|stage| assert!(stage.registry.remove(NAME)));
    }
}

#[test]
fn a_hit_frees_nothing_that_clear_reads() {
    for method in OF_A_REMOVAL {
        Stage::new(method, 0).while_a_hit_unlinks(|stage| stage.registry.clear());
    }
}

#[test]
fn a_hit_frees_nothing_that_a_restore_reads() {
    for method in OF_A_REMOVAL {
        Stage::new(method, 0).while_a_hit_unlinks(|stage| assert_eq!(stage.registry.restore(&stage.theirs), Ok(())));
    }
}

#[test]
fn a_hit_frees_nothing_that_a_merge_compares() {
    Stage::new(Method::Cells, 0).while_a_hit_unlinks(|stage| assert_eq!(stage.registry.merge(&stage.theirs), Ok(0)));
}

/// A merge reads the cells twice: when it checks the snapshot, and when it takes it in.
#[test]
fn a_hit_frees_nothing_that_a_merge_takes_in() {
    Stage::new(Method::Cells, 1).while_a_hit_unlinks(|stage| assert_eq!(stage.registry.merge(&stage.theirs), Ok(0)));
}

#[test]
fn a_hit_frees_nothing_that_an_eviction_reads() {
    let stage = Stage::new(Method::Counted, 0);
    let hit = |name| assert_eq!(stage.registry.record_hit(name, 1), Ok(Outcome::Counted));
    {
        // A full registry first prunes, once a second, which would take the counter away under a guard. So it prunes here,
        // while a handle keeps the counter.
        let _handle = stage.registry.counter(NAME).expect("it is there");
        hit("b");
        // Later than the recorder's hit: of endpoints whose newest hits are of one second, any may go.
        assert_eq!(stage.registry.record_hit_at("c", at(START + 101), 1), Ok(Outcome::Counted));
    }
    assert_eq!(stage.registry.endpoints(), [NAME, "c"]);
    stage.while_a_hit_unlinks(|stage| {
        assert_eq!(stage.registry.record_hit("d", 1), Ok(Outcome::Counted));
        assert_eq!(stage.registry.endpoints(), ["c", "d"]);
    });
}
