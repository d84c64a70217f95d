//! Pruning: which endpoints are dropped because they are idle, or because the registry is full.
//!
//! | when | what is dropped |
//! |---|---|
//! | `prune` is called | every endpoint without handles whose hits all lie a ring behind; in the others, generations and log entries as old |
//! | a snapshot is merged | the same, at most once in a quarter of the window |
//! | a hit has a new name | the same, for [`SETTLES`] endpoints: first for those that may be idle, then for the next ones of a round |
//! | a hit has a new name and the registry is full, with [`WhenFull::Prune`](super::WhenFull::Prune) | the endpoint whose newest hit is the oldest, if it has no handle |
//!
//! # The work of a hit is bounded
//! A [`Roll`] orders the endpoints by their newest hits, as they were when each endpoint was looked at. Hits do not
//! move them, because then each hit would take its lock. So the first of the roll is a guess, and a look checks it:
//!
//! | its newest hit is | then |
//! |---|---|
//! | as the roll says | no endpoint is idler, and it is dropped |
//! | newer | it moves to where it belongs, and the look is repeated with the new first |
//!
//! A hit takes [`LOOKS`] looks at most. If all of those endpoints were hit since, the idlest of them is dropped, which
//! is not always the idlest of all. Of endpoints whose newest hits are of the same tick, any may be dropped. An
//! endpoint that had a handle when it was looked at stays at the end of the roll; each eviction looks at [`HELD_LOOKS`]
//! of those again.
//!
//! If the first of the roll is not a ring behind, the others are not either, apart from those that had a handle; then
//! only a round looks at endpoints. So a hit can be refused although an endpoint is idle, until a look reaches that
//! endpoint.
//!
//! A round looks at all endpoints. A new name begins a round at most once in a quarter of the window, or when most of
//! the roll belongs to removed endpoints. Each new name takes the round [`SETTLES`] endpoints further.
//!
//! A hit of a known name does not run any of this. A new name waits for the lock of the roll to be entered, or to evict
//! another. The lock is held for a bounded number of looks. A thread that finds it taken does not prune.
//!
//! The hits of an endpoint that is pruned as idle lie before every window, and `forgotten` is the tick before which
//! nothing is known of names without an endpoint. An endpoint that is dropped to make room may still have hits in the
//! window: they are lost, and counted as pruned.
//!
//! Tests: below, `tests/registry/behaviour.rs`, `tests/registry/threads.rs`.

use std::collections::BTreeMap;

use papaya::LocalGuard;

use super::aging::{HELD, Place, Roll};
use super::state::{Core, Registry};
use crate::counter::query::Query;
use crate::endpoint::Reach;
use crate::events::{Event, EventKind};
use crate::sync::{Ordering, Typed};
use crate::time::{Tick, Timestamp};

/// How many endpoints a hit of a new name prunes.
const SETTLES: usize = 16;
/// How many endpoints it looks at to find the idlest.
const LOOKS: usize = 32;
/// How many endpoints that had a handle it checks for one.
const HELD_LOOKS: usize = 16;

impl Registry {
    /// Drops every endpoint without handles whose hits all left the window (and the slack) before now, and merged hits
    /// that are as old. Returns how many endpoints were dropped. A registry without a clock of its own takes the newest
    /// hit for now, unless that is in the future.
    pub fn prune(&self) -> usize {
        self.core.prune(self.core.horizon())
    }

    /// Prunes as of `now`.
    pub fn prune_at(&self, now: Timestamp) -> usize {
        self.core.prune(self.core.times().at(now).tick())
    }
}

/// An endpoint that was looked at, and its place since then.
struct Looked<'g> {
    place: Place,
    name: &'g str,
    endpoint: Reach<'g>,
    /// Whether it was never looked at before and has no hit, which means that a thread is about to count the first.
    is_new: bool,
}

impl Core {
    /// The time that decides what is idle: the clock if hits are checked against it. Without such a clock it is the
    /// newest hit, as timestamps may be of any time; but not a hit in the future, which would make everything look
    /// idle.
    pub fn horizon(&self) -> Tick {
        let now = self.times().tick();
        if self.times().is_guarded() { now } else { self.newest().min(now) }
    }

    /// Whether the time `due` has come. If it has, sets `due` a quarter of the window ahead.
    fn is_due(&self, due: &Typed<Tick>, now: Tick) -> bool {
        let seen = due.load(Ordering::Relaxed);
        let next = Tick(now.0 + u64::from(self.geometry().window()).div_ceil(4));
        // `due` is further ahead only after the clock was set back.
        if (now..=next).contains(&seen) && now != seen {
            return false;
        }
        let ours = due.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // The first call has nothing to prune.
        ours && seen != Tick(0)
    }

    /// Prunes if it is due; called for each merge.
    pub fn sweep(&self) {
        let now = self.horizon();
        if self.is_due(&self.aging.due, now) {
            let _ = self.prune(now);
        }
    }

    /// Notes, and reports as an event, that hits of an endpoint were dropped because they left the window.
    pub fn note_pruned(&self, name: &str, removed: u64) {
        self.aging.note(removed, 0);
        self.watch.emit(EventKind::Pruned, || Event::Pruned { endpoint: name.into(), removed });
    }

    /// Prunes hits that lie a ring behind `horizon`; returns how many endpoints were dropped.
    pub fn prune(&self, horizon: Tick) -> usize {
        let guard = self.guard();
        let mut gone = 0;
        let query = self.query_now(self.window()).ok();
        let walked: Result<(), std::convert::Infallible> = self.each(|name, endpoint| {
            gone += usize::from(self.settle(name, endpoint.reach(), horizon, query.as_ref(), &guard));
            Ok(())
        });
        let Ok(()) = walked;
        self.forget_graves(horizon);
        self.watch.changed();
        gone
    }

    /// Prunes hits of one endpoint that lie a ring behind `horizon`; returns whether the endpoint was dropped with
    /// them.
    fn settle(
        &self,
        name: &str,
        endpoint: Reach<'_>,
        horizon: Tick,
        query: Option<&Query<'_>>,
        guard: &LocalGuard<'_>,
    ) -> bool {
        let shared = self.shared();
        let newest = endpoint.newest(shared);
        let held = endpoint.end_if_idle(shared, horizon);
        let (removed, unlinked) = match held {
            Some(held) => {
                self.aging.forget_before(Tick(newest.0 + 1).max(endpoint.forgotten()));
                self.take_out(name, endpoint);
                self.aging.note(0, 1);
                (held, Vec::new())
            }
            None => {
                let pruned = endpoint.prune(shared, horizon);
                if let Some(query) = query {
                    endpoint.demote(shared, query);
                }
                pruned
            }
        };
        self.map.retire(guard, unlinked);
        if removed > 0 {
            self.note_pruned(name, removed);
        }
        held.is_some()
    }

    /// Prunes the former generations of one endpoint.
    #[cold]
    pub fn prune_former(&self, endpoint: Reach<'_>) {
        let guard = self.guard();
        let (_, unlinked) = endpoint.prune(self.shared(), self.horizon());
        self.map.retire(&guard, unlinked);
    }

    /// Looks for idle endpoints: first at those that may be idle, then at the next ones of the round. Called for each
    /// hit that would make an endpoint. Does nothing if another thread is doing it.
    pub fn tend(&self) {
        let Some(mut roll) = self.aging.roll.try_lock() else { return };
        let horizon = self.horizon();
        if self.is_due(&self.aging.round, horizon) {
            self.forget_graves(horizon);
            roll.begin();
        } else if roll.len() > 2 * self.len() + LOOKS {
            // Most places belong to endpoints that were removed.
            roll.begin();
        }
        let guard = self.guard();
        let query = self.query_now(self.window()).ok();
        let mut gone = false;
        for _ in 0..SETTLES {
            let first = roll.first().filter(|&(tick, _)| tick == Tick(0) || self.is_behind(tick, horizon));
            let Some(place) = first.or_else(|| roll.next()) else { break };
            let Some(found) = self.look(&mut roll, place, &guard) else { continue };
            let settles = !found.is_new && self.settle(found.name, found.endpoint, horizon, query.as_ref(), &guard);
            if settles {
                roll.leave(found.place);
                gone = true;
            }
        }
        if gone {
            self.watch.changed();
        }
    }

    /// Ends the idlest endpoint that can be ended. If the roll is too far out of date, that is the idlest of those
    /// looked at.
    pub fn evict(&self) -> bool {
        let guard = self.guard();
        let mut roll = self.aging.roll.lock();
        for _ in 0..HELD_LOOKS {
            let Some(held) = roll.next_held() else { break };
            self.look(&mut roll, held, &guard);
        }
        let mut looked = BTreeMap::new();
        for _ in 0..LOOKS {
            let Some(first) = roll.first().filter(|&(tick, _)| tick != HELD) else { break };
            let Some(found) = self.look(&mut roll, first, &guard) else { continue };
            if found.place != first {
                looked.insert(found.place, found);
                continue;
            }
            if self.end(&mut roll, &found) {
                return true;
            }
            // A thread is about to count in it, or is taking a handle.
            roll.leave(first);
            roll.enter((self.later(), first.1));
        }
        looked.values().any(|found| !found.is_new && self.end(&mut roll, found))
    }

    /// Looks at the endpoint of `place` and moves it to where it belongs; `None` if it was removed.
    fn look<'g>(&self, roll: &mut Roll, place: Place, guard: &'g LocalGuard<'_>) -> Option<Looked<'g>> {
        #[cfg(test)]
        {
            roll.looks += 1;
        }
        roll.leave(place);
        let (name, endpoint) = self.map.get_hashed(place.1, guard)?;
        let newest = endpoint.reach().newest(self.shared());
        let is_new = newest == Tick(0) && place.0 == Tick(0);
        let tick = if endpoint.is_used() {
            HELD
        } else if is_new {
            self.later()
        } else if newest == Tick(0) && place.0 != HELD {
            place.0
        } else {
            newest
        };
        let place = (tick, place.1);
        roll.enter(place);
        Some(Looked { place, name, endpoint: endpoint.reach(), is_new })
    }

    /// Ends an endpoint that makes room, if it has no handle.
    fn end(&self, roll: &mut Roll, Looked { place, name, endpoint, .. }: &Looked<'_>) -> bool {
        let Some(removed) = endpoint.end_if_unused(self.shared()) else { return false };
        roll.leave(*place);
        let ours = self.take_out(name, *endpoint);
        if ours {
            self.aging.note(removed, 1);
            self.watch.emit(EventKind::Pruned, || Event::Pruned { endpoint: (*name).into(), removed });
        }
        ours
    }

    /// A tick behind which no endpoint has a hit.
    fn later(&self) -> Tick {
        Tick(self.horizon().max(self.newest()).0 + 1)
    }

    fn is_behind(&self, tick: Tick, horizon: Tick) -> bool {
        tick.0.saturating_add(self.geometry().slots() as u64) <= horizon.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cell::outcome::Outcome;
    use crate::registry::WhenFull;
    use crate::time::clock::ManualClock;

    /// As if the thread that ends the idlest endpoint does not run for a while.
    #[test]
    fn an_idlest_endpoint_that_cannot_go_now_refuses_no_hit() {
        let clock = ManualClock::new(1_000u32.into());
        let registry = Registry::builder().max_endpoints(3).when_full(WhenFull::Prune).clock(clock.clone()).build();
        let registry = registry.expect("it is possible");
        for name in ["/idlest", "/next", "/last"] {
            assert_eq!(registry.record_hit(name, 1), Ok(Outcome::Counted));
            clock.advance(Duration::from_secs(1)).expect("before 9999");
        }
        let core = &registry.core;
        let guard = core.guard();
        let endpoint = core.get("/idlest", &guard).expect("it was hit");
        let recorded = endpoint.without_handles(|_| registry.record_hit("/new", 1));
        assert_eq!(recorded, Some(Ok(Outcome::Counted)));
        assert_eq!(registry.endpoints(), ["/idlest", "/last", "/new"]);
    }

    fn full(max_endpoints: u64, when_full: WhenFull) -> (Registry, ManualClock) {
        let clock = ManualClock::new(1_000u32.into());
        let builder = Registry::builder().window(Duration::from_secs(60)).max_endpoints(max_endpoints as usize);
        let registry = builder.when_full(when_full).clock(clock.clone()).build().expect("it is possible");
        for number in 0..max_endpoints {
            assert_eq!(registry.record_hit(&number.to_string(), 1), Ok(Outcome::Counted));
        }
        (registry, clock)
    }

    /// The outcome of a hit, and how many endpoints were looked at for it.
    fn looks_of(registry: &Registry, name: &str) -> (Outcome, usize) {
        let before = registry.core.aging.roll.lock().looks;
        let outcome = registry.record_hit(name, 1).expect("the name is possible");
        (outcome, registry.core.aging.roll.lock().looks - before)
    }

    #[test]
    fn a_refused_hit_looks_at_few_endpoints_and_at_none_when_none_can_be_idle() {
        let (registry, clock) = full(2_000, WhenFull::Refuse);
        let _ = looks_of(&registry, "the last of those that fit was not looked at");
        assert_eq!(looks_of(&registry, "new"), (Outcome::Refused, 0));
        // The first hits finish a round, the later ones look at nothing.
        clock.advance(Duration::from_secs(20)).expect("before 9999");
        let looks: Vec<usize> = (0..1_000).map(|_| looks_of(&registry, "new").1).collect();
        assert!(looks.iter().all(|&looks| looks <= SETTLES), "{looks:?}");
        assert_eq!((looks.iter().sum::<usize>(), looks[500..].iter().sum::<usize>()), (2_000, 0));
        // All endpoints are idle: each hit finds some, and takes a place.
        clock.advance(Duration::from_secs(200)).expect("before 9999");
        for number in 0..2_000 {
            let (outcome, looks) = looks_of(&registry, &format!("new {number}"));
            assert!(outcome == Outcome::Counted && looks <= SETTLES, "{number}: {outcome}, {looks}");
        }
    }

    #[test]
    fn a_hit_that_prunes_looks_at_few_endpoints_though_all_were_hit_since() {
        let (registry, clock) = full(2_000, WhenFull::Prune);
        let most = SETTLES + HELD_LOOKS + LOOKS;
        let _held: Vec<_> = (0..500).map(|number| registry.counter(&number.to_string())).collect();
        for second in 0..30 {
            clock.advance(Duration::from_secs(1)).expect("before 9999");
            for number in 0..2_000 {
                let _ = registry.core.record_known_now(&number.to_string(), 1);
            }
            for number in 0..20 {
                let (outcome, looks) = looks_of(&registry, &format!("new {second} {number}"));
                assert!(outcome == Outcome::Counted && looks <= most, "{second}: {outcome}, {looks}");
            }
        }
        assert!((0..500).all(|number| registry.contains(&number.to_string())), "they have handles");
    }

    #[test]
    fn the_idlest_goes_if_few_were_hit_since() {
        let clock = ManualClock::new(1_000u32.into());
        let builder = Registry::builder().max_endpoints(2_000).when_full(WhenFull::Prune).clock(clock.clone());
        let registry = builder.build().expect("it is possible");
        for number in 0..2_000 {
            clock.advance(Duration::from_millis(50)).expect("before 9999");
            assert_eq!(registry.record_hit(&number.to_string(), 1), Ok(Outcome::Counted));
        }
        let hit: Vec<u64> = (0..2_000).step_by(100).collect();
        hit.iter().for_each(|number| _ = registry.record_hit(&number.to_string(), 1));
        for number in 0..1_000 {
            assert_eq!(registry.record_hit(&format!("new {number}"), 1), Ok(Outcome::Counted));
            // Twenty endpoints have their newest hit in the same second: any of those may be dropped.
            let kept = |number: &u64| registry.contains(&number.to_string());
            assert!((number + 40..2_000).all(|number| kept(&number)) && hit.iter().all(kept), "{number}");
        }
    }

    /// The names of removed endpoints are forgotten, also before a window ends.
    #[test]
    fn names_that_come_and_go_take_no_more_room() {
        let (registry, _) = full(100, WhenFull::Refuse);
        for number in 0..10_000 {
            assert!(registry.remove(&if number == 0 { "0".to_owned() } else { format!("new {}", number - 1) }));
            assert_eq!(registry.record_hit(&format!("new {number}"), 1), Ok(Outcome::Counted));
        }
        let names = registry.core.aging.roll.lock().len();
        assert!(names <= 3 * 100 + LOOKS, "{names}");
    }
}
