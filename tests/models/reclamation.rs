//! Generations that were unlinked are freed only when no thread can read them.
//!
//! The collector here stands for seize, which the checkers do not know: it frees what was retired when no guard is left.
//! Freeing is a write and following a pointer of the chain a read of one watched cell, so a checker that finds an order in
//! which the two are not ordered finds a use after free. (`hitring::sync::Watched`.)

use std::time::Duration;

use hitring::cell::outcome::Tally;
use hitring::counter::query::Times;
use hitring::endpoint::generation::Generation;
use hitring::endpoint::{Endpoint, Gone, Reach, Shared, Unlinked};
use hitring::sync::mutant::{self, Mutant};
use hitring::sync::{AtomicU64, Mutex};
use hitring::window::geometry::Geometry;
use hitring::{Clock, ManualClock, Outcome, Resolution, Strategy, Tick, Timestamp};

use super::geometry;
use crate::explorer::{Arc, JoinHandle, check_within, fails, spawn};

/// What both checkers say when freed memory is read (loom its own words, shuttle those of `Watched`).
const FREED: &str = "ausality violation";

/// Frees what was retired when no guard is left.
struct Collector(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    guards: usize,
    retired: Vec<Unlinked>,
    /// Freed as far as the checkers know; the memory itself goes with the collector, so that a mutant does no harm.
    freed: Vec<Owned>,
}

/// A generation that the collector alone knows.
struct Owned(*mut Generation);

// SAFETY: a generation's counter is `Send` and `Sync`.
unsafe impl Send for Owned {}

struct Guard<'a>(&'a Collector);

impl Collector {
    fn enter(&self) -> Guard<'_> {
        let guarded = !mutant::is_on(Mutant::ReachUnguarded);
        self.0.lock().guards += usize::from(guarded);
        Guard(self)
    }
}

impl Guard<'_> {
    /// A guard that counts, also where a mutant lets readers go without.
    fn of_pruner(collector: &Collector) -> Guard<'_> {
        collector.0.lock().guards += 1;
        Guard(collector)
    }

    fn leave(self, counted: bool) {
        let mut inside = self.0.0.lock();
        inside.guards -= usize::from(counted);
        if inside.guards == 0 {
            for unlinked in std::mem::take(&mut inside.retired) {
                let generation = Owned(unlinked.into_raw());
                // SAFETY: the memory is there until the collector is dropped.
                unsafe { &*generation.0 }.watch_free();
                inside.freed.push(generation);
            }
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // A mutant may have put generations here that are still in the chain, or twice.
        let mutants = [Mutant::EndpointRetiresLinked, Mutant::EndpointIgnoresHandles, Mutant::ReachUnguarded];
        if !std::thread::panicking() && !mutants.into_iter().any(mutant::is_on) {
            let retired = std::mem::take(&mut self.retired).into_iter().map(Unlinked::into_raw);
            for generation in retired.chain(self.freed.iter().map(|owned| owned.0)) {
                // SAFETY: it came from a box, is out of the chain, and no thread is left.
                drop(unsafe { Box::from_raw(generation) });
            }
        }
    }
}

/// An endpoint of rings of three slots, whose former generation has hits in ticks 1 and 2 only.
struct Scene {
    geometry: Geometry,
    tally: Tally,
    generations: AtomicU64,
    times: Times,
    endpoint: Endpoint,
    collector: Collector,
}

impl Scene {
    fn swapped() -> Arc<Self> {
        let second = Resolution::new(Duration::from_secs(1)).expect("one second is a resolution");
        let (geometry, tally, generations) = (geometry(2, 3), Tally::default(), AtomicU64::new(0));
        let shared = Shared { geometry: &geometry, tally: &tally, generations: &generations };
        let endpoint = Endpoint::new(&Strategy::Ring, 0, Tick(0), shared).expect("a ring suits every geometry");
        let clock = Clock::from(ManualClock::new(Timestamp::ZERO));
        let times = Times::new(&clock, second, Duration::ZERO, false);
        let scene =
            Self { geometry, tally, generations, times, endpoint, collector: Collector(Mutex::new(Inside::default())) };
        // SAFETY: nothing is freed yet.
        let reach = unsafe { scene.endpoint.reach() };
        for tick in [1, 2] {
            assert_eq!(scene.record(reach, tick), Ok(Outcome::Counted));
        }
        assert!(reach.swap(&Strategy::Fixed { window_size: Duration::from_secs(1) }, scene.shared()).is_ok());
        Arc::new(scene)
    }

    fn shared(&self) -> Shared<'_> {
        Shared { geometry: &self.geometry, tally: &self.tally, generations: &self.generations }
    }

    fn record(&self, reach: Reach<'_>, tick: u32) -> Result<Outcome, Gone> {
        if reach.record_current(&self.geometry, Tick(tick.into()), 1) {
            return Ok(Outcome::Counted);
        }
        reach.record(self.shared(), self.times.at(Timestamp::from(tick)), 1)
    }

    /// Reads the endpoint as a thread does that came by name.
    fn by_name<R>(&self, read: impl FnOnce(Reach<'_>) -> R) -> R {
        let guard = self.collector.enter();
        // SAFETY: the guard, but where a mutant takes it away.
        let answer = read(unsafe { self.endpoint.reach() });
        guard.leave(!mutant::is_on(Mutant::ReachUnguarded));
        answer
    }

    /// Prunes what lies a ring behind tick 8: the former generation.
    fn prune(&self) {
        let guard = Guard::of_pruner(&self.collector);
        // SAFETY: the guard.
        let (_, unlinked) = unsafe { self.endpoint.reach() }.prune(self.shared(), Tick(8));
        self.collector.0.lock().retired.extend(unlinked);
        guard.leave(true);
    }
}

fn pruner(scene: &Arc<Scene>) -> JoinHandle<()> {
    let scene = Arc::clone(scene);
    spawn(move || scene.prune())
}

/// Prunes beside `other`, and reads everything once more.
fn beside(other: impl FnOnce(&Scene) + Send + 'static) {
    let scene = Scene::swapped();
    let pruner = pruner(&scene);
    let other = {
        let scene = Arc::clone(&scene);
        spawn(move || other(&scene))
    };
    pruner.join().expect("a model thread ends");
    other.join().expect("a model thread ends");
    scene.by_name(|reach| _ = reach.outcomes(scene.shared()));
}

fn hit_by_name() {
    beside(|scene| assert_eq!(scene.by_name(|reach| scene.record(reach, 8)), Ok(Outcome::Counted)));
}

fn hit_by_handle() {
    beside(|scene| {
        if scene.endpoint.acquire().is_ok() {
            // SAFETY: the handle.
            let reach = unsafe { scene.endpoint.reach() };
            assert_eq!(scene.record(reach, 8), Ok(Outcome::Counted));
            let _ = reach.newest(scene.shared());
            scene.endpoint.release();
        }
    });
}

/// A removal walks the generations for what they held, and then for what became of it.
fn removal() {
    beside(|scene| {
        scene.by_name(|reach| {
            let _ = reach.end(Gone::Removed, scene.shared());
            let _ = reach.outcomes(scene.shared());
        });
    });
}

fn swap() {
    beside(|scene| assert!(scene.by_name(|reach| reach.swap(&Strategy::Ring, scene.shared())).is_ok()));
}

/// A merge asks whether a writer of the snapshot is a generation that lives here.
fn merge() {
    beside(|scene| {
        for number in [0, 1] {
            scene.by_name(|reach| _ = reach.live(number, scene.shared()));
        }
    });
}

fn snapshot() {
    beside(|scene| scene.by_name(|reach| _ = reach.export(scene.shared())));
}

/// Two threads prune at once, and a third one walks.
fn two_pruners() {
    let scene = Scene::swapped();
    let pruners = [pruner(&scene), pruner(&scene)];
    let walker = {
        let scene = Arc::clone(&scene);
        spawn(move || scene.by_name(|reach| _ = reach.newest(scene.shared())))
    };
    pruners.into_iter().for_each(|pruner| pruner.join().expect("a model thread ends"));
    walker.join().expect("a model thread ends");
}

#[test]
fn a_hit_by_name_reads_no_freed_generation() {
    check_within(3, hit_by_name);
    fails(Mutant::EndpointRetiresLinked, FREED, hit_by_name);
}

#[test]
fn a_handle_reads_no_freed_generation() {
    check_within(3, hit_by_handle);
    fails(Mutant::EndpointIgnoresHandles, FREED, hit_by_handle);
}

#[test]
fn a_removal_reads_no_freed_generation() {
    check_within(3, removal);
    fails(Mutant::ReachUnguarded, FREED, removal);
}

#[test]
fn a_swap_reads_no_freed_generation() {
    check_within(2, swap);
    fails(Mutant::EndpointRetiresLinked, FREED, swap);
}

#[test]
fn a_merge_reads_no_freed_generation() {
    check_within(3, merge);
    fails(Mutant::ReachUnguarded, FREED, merge);
}

#[test]
fn a_snapshot_reads_no_freed_generation() {
    check_within(3, snapshot);
    fails(Mutant::ReachUnguarded, FREED, snapshot);
}

#[test]
fn two_prunes_free_a_generation_once() {
    check_within(2, two_pruners);
    fails(Mutant::EndpointRetiresLinked, FREED, two_pruners);
}
