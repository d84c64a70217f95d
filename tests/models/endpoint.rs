//! An endpoint: swap, promotion, prune, remove, snapshot and handles, each against a hit.

use std::time::Duration;

use hitring::cell::outcome::Tally;
use hitring::counter::query::{Query, Times};
use hitring::endpoint::{Endpoint, Gone, Reach, Shared, Unlinked};
use hitring::sync::AtomicU64;
use hitring::sync::mutant::Mutant;
use hitring::window::geometry::Geometry;
use hitring::{Clock, ManualClock, Outcome, Resolution, Strategy, Tick, Timestamp};

use super::geometry;
use crate::explorer::{Arc, JoinHandle, ModelWord, Ordering, check, check_within, fails, spawn};

const LOST: &str = "a hit was lost or invented";
const DOWN: &str = "a count went down";
const LOW: &str = "a count is silently low";
const TOOK: &str = "an endpoint that is gone took a hit";
const PRUNED: &str = "an endpoint with a handle was pruned";

/// An endpoint and what it shares with others. A ring has three slots, windows have two ticks.
struct Scene {
    geometry: Geometry,
    tally: Tally,
    generations: AtomicU64,
    times: Times,
    endpoint: Endpoint,
    unlinked: std::sync::Mutex<Vec<Unlinked>>,
}

impl Scene {
    /// An endpoint of `strategy` with hits in ticks 1 and 2.
    fn used(strategy: &Strategy) -> Arc<Self> {
        let second = Resolution::new(Duration::from_secs(1)).expect("one second is a resolution");
        let (geometry, tally, generations) = (geometry(2, 3), Tally::default(), AtomicU64::new(0));
        let shared = Shared { geometry: &geometry, tally: &tally, generations: &generations };
        let endpoint = Endpoint::new(strategy, 0, Tick(0), shared).expect("the strategy suits every geometry");
        let clock = Clock::from(ManualClock::new(Timestamp::ZERO));
        let times = Times::new(&clock, second, Duration::ZERO, false);
        let scene = Self { geometry, tally, generations, times, endpoint, unlinked: std::sync::Mutex::default() };
        for tick in [1, 2] {
            assert_eq!(scene.record(tick), Ok(Outcome::Counted));
        }
        Arc::new(scene)
    }

    fn shared(&self) -> Shared<'_> {
        Shared { geometry: &self.geometry, tally: &self.tally, generations: &self.generations }
    }

    fn reach(&self) -> Reach<'_> {
        // SAFETY: what is unlinked is freed with the scene.
        unsafe { self.endpoint.reach() }
    }

    /// Counts one hit as a registry does: the short way if there is one, else the long one.
    fn record(&self, tick: u32) -> Result<Outcome, Gone> {
        if self.reach().record_current(&self.geometry, Tick(tick.into()), 1) {
            return Ok(Outcome::Counted);
        }
        self.reach().record(self.shared(), self.times.at(Timestamp::from(tick)), 1)
    }

    /// The hits of the two ticks that end with `tick`, if they are known.
    fn known(&self, tick: u32) -> Option<u64> {
        let when = self.times.at(Timestamp::from(tick));
        let query =
            Query::new(when, Duration::from_secs(2), &self.geometry).expect("a window is no longer than itself");
        self.reach().sum(self.shared(), &query.of_all()).ok().map(|hits| hits.count)
    }

    fn count(&self, tick: u32) -> u64 {
        self.known(tick).unwrap_or_else(|| panic!("{LOST}: the window was not recycled"))
    }

    fn prune(&self, horizon: u64) {
        let (_, unlinked) = self.reach().prune(self.shared(), Tick(horizon));
        self.unlinked.lock().expect("nobody panics under the lock").extend(unlinked);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for generation in self.unlinked.get_mut().expect("no thread panics under the lock").drain(..) {
            // SAFETY: it came from a box, was unlinked once, and no thread is left that could see it.
            drop(unsafe { Box::from_raw(generation.into_raw()) });
        }
    }
}

fn writer(scene: &Arc<Scene>, tick: u32) -> JoinHandle<Result<Outcome, Gone>> {
    let scene = Arc::clone(scene);
    spawn(move || scene.record(tick))
}

/// A hit, a swap, and a reader.
fn swap() {
    let scene = Scene::used(&Strategy::Ring);
    let writer = writer(&scene, 3);
    let swapper = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            let old = scene.reach().swap(&Strategy::Fixed { window_size: Duration::from_secs(1) }, scene.shared());
            assert_eq!(old, Ok(Some(Strategy::Ring)));
        })
    };
    let reader = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            let (first, second) = (scene.count(3), scene.count(3));
            assert!((1..=2).contains(&first) && first <= second && second <= 2, "{LOST}: {first}, {second}");
        })
    };
    assert_eq!(writer.join().expect("a model thread ends"), Ok(Outcome::Counted));
    swapper.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
    assert_eq!(scene.count(3), 2, "{LOST}");
}

/// Two threads hit one cell at once. The thread that loses the exchange makes the endpoint grow, and counts there.
fn crowding() {
    let scene = Scene::used(&Strategy::Adaptive);
    let writers = [writer(&scene, 2), writer(&scene, 2)];
    for writer in writers {
        assert_eq!(writer.join().expect("a model thread ends"), Ok(Outcome::Counted));
    }
    assert_eq!(scene.count(2), 4, "{LOST}");
}

/// The two cells in line are full; two threads bring tick 3, for which neither is a ring behind.
fn promotion() {
    let scene = Scene::used(&Strategy::Adaptive);
    let writers = [writer(&scene, 3), writer(&scene, 3)];
    for writer in writers {
        assert_eq!(writer.join().expect("a model thread ends"), Ok(Outcome::Counted));
    }
    assert_eq!(scene.count(3), 3, "{LOST}");
}

/// An idle endpoint is pruned while a hit comes.
fn prune() {
    let scene = Scene::used(&Strategy::Ring);
    let writer = writer(&scene, 8);
    let pruner = {
        let scene = Arc::clone(&scene);
        spawn(move || scene.reach().end_if_idle(scene.shared(), Tick(8)))
    };
    let counted = writer.join().expect("a model thread ends").is_ok();
    let ended = pruner.join().expect("a model thread ends").is_some();
    assert!(!(counted && ended), "{LOST}");
    assert!(counted || ended, "a hit was turned away by an endpoint that lives");
}

/// A generation is dropped after a swap while a hit comes that may have seen it.
fn drop_generation() {
    let scene = Scene::used(&Strategy::Ring);
    let writer = writer(&scene, 8);
    let pruner = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            let old = scene.reach().swap(&Strategy::Fixed { window_size: Duration::from_secs(1) }, scene.shared());
            assert_eq!(old, Ok(Some(Strategy::Ring)));
            scene.prune(8);
        })
    };
    assert_eq!(writer.join().expect("a model thread ends"), Ok(Outcome::Counted));
    pruner.join().expect("a model thread ends");
    assert_eq!(scene.count(8), 1, "{LOST}");
}

/// A handle records while the endpoint is removed, and afterwards.
fn remove() {
    let scene = Scene::used(&Strategy::Ring);
    let removed = Arc::new(ModelWord::new(0));
    let handle = {
        let (scene, removed) = (Arc::clone(&scene), Arc::clone(&removed));
        spawn(move || {
            let was_removed = removed.load(Ordering::Acquire) == 1;
            let recorded = scene.record(2);
            assert!(!was_removed || recorded == Err(Gone::Removed), "{TOOK}");
        })
    };
    let remover = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            let _ = scene.reach().end(Gone::Removed, scene.shared());
            removed.store(1, Ordering::Release);
        })
    };
    handle.join().expect("a model thread ends");
    remover.join().expect("a model thread ends");
    assert_eq!(scene.record(2), Err(Gone::Removed), "{TOOK}");
}

/// Somebody takes a handle while the endpoint is pruned.
fn handle() {
    let scene = Scene::used(&Strategy::Ring);
    let user = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            if scene.endpoint.acquire().is_ok() {
                assert_eq!(scene.record(2), Ok(Outcome::Counted), "{PRUNED}");
            }
        })
    };
    let pruner = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            let _ = scene.reach().end_if_idle(scene.shared(), Tick(8));
        })
    };
    user.join().expect("a model thread ends");
    pruner.join().expect("a model thread ends");
}

/// A handle counts by the short way and is given back while the endpoint is ended: the answer has the hit.
fn counted_by_a_handle() {
    let scene = Scene::used(&Strategy::Ring);
    let user = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            if scene.endpoint.acquire().is_err() {
                return 0;
            }
            let counted = scene.record(2).is_ok();
            scene.endpoint.release();
            u64::from(counted)
        })
    };
    let remover = {
        let scene = Arc::clone(&scene);
        spawn(move || scene.reach().end_if_unused(scene.shared()))
    };
    let counted = user.join().expect("a model thread ends");
    let held = remover.join().expect("a model thread ends");
    assert!(held.is_none_or(|held| held == 2 + counted), "{LOST}: {held:?}");
}

/// A generation is dropped beside a reader that asks for its ticks.
fn drop_what_is_asked_for() {
    let scene = Scene::used(&Strategy::Ring);
    assert!(scene.reach().swap(&Strategy::Fixed { window_size: Duration::from_secs(1) }, scene.shared()).is_ok());
    let pruner = {
        let scene = Arc::clone(&scene);
        spawn(move || scene.prune(8))
    };
    let reader = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            let known = scene.known(2);
            assert!(known.is_none_or(|count| count == 2), "{LOW}: {known:?}");
        })
    };
    pruner.join().expect("a model thread ends");
    reader.join().expect("a model thread ends");
    assert_eq!(scene.known(2), None, "{LOW}");
}

/// Two snapshots while hits make the endpoint grow.
fn snapshot() {
    let scene = Scene::used(&Strategy::Adaptive);
    let writer = {
        let scene = Arc::clone(&scene);
        // The one cell of the next shape takes tick 3, a ring takes tick 4.
        spawn(move || [3, 4].map(|tick| assert_eq!(scene.record(tick), Ok(Outcome::Counted))))
    };
    let taker = {
        let scene = Arc::clone(&scene);
        spawn(move || {
            let cells = || {
                let own = scene.reach().export(scene.shared()).own;
                own.into_iter().flat_map(|own| own.cells.into_iter().map(move |cell| (own.number, cell)))
            };
            let first: Vec<_> = cells().collect();
            let later: Vec<_> = cells().collect();
            for (number, cell) in first.into_iter().filter(|(_, cell)| cell.tick >= Tick(2)) {
                let same = later.iter().find(|(n, c)| *n == number && c.tick == cell.tick);
                assert!(same.is_some_and(|(_, c)| c.count >= cell.count), "{DOWN}: {cell:?} {later:?}");
            }
        })
    };
    writer.join().expect("a model thread ends");
    taker.join().expect("a model thread ends");
}

#[test]
fn threads_in_each_others_way_lose_no_hit() {
    check(crowding);
    fails(Mutant::SlotLoadStore, LOST, crowding);
}

#[test]
fn a_swap_loses_no_hit() {
    check_within(2, swap);
    fails(Mutant::EndpointSwapForgets, LOST, swap);
}

#[test]
fn a_promotion_loses_no_hit() {
    check_within(3, promotion);
    fails(Mutant::EndpointSwapForgets, LOST, promotion);
}

#[test]
fn a_pruned_endpoint_held_no_hit_of_the_window() {
    check_within(3, prune);
    fails(Mutant::GateKeepsClosing, LOST, prune);
    fails(Mutant::EndpointDropsUnseen, LOST, prune);
}

#[test]
fn a_dropped_generation_held_no_hit_of_the_window() {
    check_within(3, drop_generation);
    fails(Mutant::EndpointDropsInside, LOST, drop_generation);
}

#[test]
fn a_dropped_generation_is_known_to_be_gone() {
    check(drop_what_is_asked_for);
    fails(Mutant::EndpointForgetsLate, LOW, drop_what_is_asked_for);
}

#[test]
fn a_removed_endpoint_takes_no_hit() {
    check_within(3, remove);
    fails(Mutant::EndpointEndsQuietly, TOOK, remove);
}

#[test]
fn a_handle_keeps_its_endpoint() {
    check_within(3, handle);
    fails(Mutant::EndpointIgnoresHandles, PRUNED, handle);
}

#[test]
fn a_handle_that_was_given_back_leaves_its_hits() {
    check(counted_by_a_handle);
    fails(Mutant::EndpointIgnoresHandles, LOST, counted_by_a_handle);
}

#[test]
fn a_snapshot_never_takes_back() {
    check_within(2, snapshot);
    fails(Mutant::EndpointSwapForgets, DOWN, snapshot);
}
