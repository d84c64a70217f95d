//! What goes: idle endpoints, and the idlest when a registry is full.
//!
//! | when | what |
//! |---|---|
//! | `prune` is called | every endpoint without handles goes whose hits all lie a ring behind; of the others, generations and log entries as old |
//! | a new endpoint is made, or a snapshot is merged | the same, at most once in a quarter of the window |
//! | there is no room for a new endpoint | the same, at most once in a tick |
//! | and still none, with [`WhenFull::Prune`] | the endpoint goes whose newest hit is the oldest, if it has no handle |
//!
//! The idlest are looked for a batch at a time: one walk over all endpoints finds the next 1/64 of them to go, and each goes
//! only if it was not hit since. So room for one endpoint costs 64 looks, not one for each endpoint there is.
//!
//! What is pruned as idle lies out of every window, and `forgotten` says up to when nothing is known of names without an
//! endpoint. What goes to make room may still have been in the window: its hits are lost, and counted as pruned.
//!
//! Tests: below, `tests/registry/behaviour.rs`, `tests/registry/threads.rs`.

use std::collections::VecDeque;

use super::state::{Core, Registry, WhenFull};
use crate::endpoint::Reach;
use crate::events::{Event, EventKind};
use crate::sync::Ordering;
use crate::time::{Tick, Timestamp};

/// How often the idlest are looked for anew before a hit is refused.
const ATTEMPTS: usize = 16;

impl Registry {
    /// Drops every endpoint without handles whose hits all left the window (and the slack) before now, and what others
    /// hold that is as old. Answers how many endpoints were dropped. Without a clock of its own a registry takes the newest
    /// hit for now, unless that is in the future.
    pub fn prune(&self) -> usize {
        self.core.prune(self.core.horizon())
    }

    /// The same as of `now`.
    pub fn prune_at(&self, now: Timestamp) -> usize {
        self.core.prune(self.core.times().at(now).tick())
    }
}

impl Core {
    /// What is taken for now when it is asked what is idle: the clock if hits are held against it. Without, the newest hit,
    /// as timestamps may be of any time; but not one in the future, which would make everything look idle.
    pub fn horizon(&self) -> Tick {
        let now = self.times().tick();
        if self.times().is_guarded() { now } else { self.newest().min(now) }
    }

    /// Prunes if it is time to; called for each new endpoint and each merge.
    pub fn sweep(&self) {
        let (now, due) = (self.horizon(), self.aging.due.load(Ordering::Relaxed));
        let next = Tick(now.0 + u64::from(self.geometry().window()).div_ceil(4));
        // Further ahead it is only after the clock was set back.
        if (now..=next).contains(&due) && now != due {
            return;
        }
        let ours = self.aging.due.compare_exchange_weak(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // There is nothing to prune at the very first.
        if ours && due != Tick(0) {
            let _ = self.prune(now);
        }
    }

    /// Notes, and tells, that hits of an endpoint were dropped since they left the window.
    pub fn note_pruned(&self, name: &str, removed: u64) {
        self.aging.note(removed, 0);
        self.watch.emit(EventKind::Pruned, || Event::Pruned { endpoint: name.into(), removed });
    }

    /// Prunes what lies a ring behind `horizon`; answers how many endpoints went.
    pub fn prune(&self, horizon: Tick) -> usize {
        let guard = self.guard();
        let shared = self.shared();
        let mut gone = 0;
        let query = self.query_now(self.window());
        let walked: Result<(), std::convert::Infallible> = self.each(|name, endpoint| {
            let endpoint = endpoint.reach();
            let newest = endpoint.newest(shared);
            let (removed, unlinked) = match endpoint.end_if_idle(shared, horizon) {
                Some(held) => {
                    self.aging.forget_before(Tick(newest.0 + 1).max(endpoint.forgotten()));
                    self.take_out(name, endpoint);
                    gone += 1;
                    self.aging.note(0, 1);
                    (held, Vec::new())
                }
                None => {
                    let pruned = endpoint.prune(shared, horizon);
                    if let Ok(query) = &query {
                        endpoint.demote(shared, query);
                    }
                    pruned
                }
            };
            self.map.retire(&guard, unlinked);
            if removed > 0 {
                self.note_pruned(name, removed);
            }
            Ok(())
        });
        let Ok(()) = walked;
        self.forget_graves(horizon);
        self.watch.changed();
        gone
    }

    /// Prunes the former generations of one endpoint.
    #[cold]
    pub fn prune_former(&self, endpoint: Reach<'_>) {
        let guard = self.guard();
        let (_, unlinked) = endpoint.prune(self.shared(), self.horizon());
        self.map.retire(&guard, unlinked);
    }

    /// Makes room for another endpoint, if there is a way.
    pub fn make_room(&self) -> bool {
        let tick = Tick(self.times().tick().0 + 1);
        let tried = self.aging.tried.load(Ordering::Relaxed);
        if tick != tried {
            let ours = self.aging.tried.compare_exchange_weak(tried, tick, Ordering::Relaxed, Ordering::Relaxed);
            if ours.is_ok() && self.prune(self.horizon()) > 0 {
                return true;
            }
        }
        self.when_full() == WhenFull::Prune && self.evict()
    }

    /// Ends the idlest endpoint that can be ended.
    fn evict(&self) -> bool {
        let guard = self.guard();
        let mut idlest = self.aging.idlest.lock();
        // A candidate that was hit or taken out meanwhile means that others got on; not for ever.
        for attempt in 1..=ATTEMPTS {
            while let Some((newest, name)) = idlest.pop_front() {
                let held = self.get(&name, &guard).and_then(|endpoint| {
                    let endpoint = endpoint.reach();
                    let idle = endpoint.newest(self.shared()) == newest;
                    let held = if idle { endpoint.end_if_unused(self.shared())? } else { return None };
                    self.take_out(&name, endpoint).then_some(held)
                });
                if let Some(removed) = held {
                    self.aging.note(removed, 1);
                    self.watch.emit(EventKind::Pruned, || Event::Pruned { endpoint: (*name).into(), removed });
                    return true;
                }
            }
            // More each time: the idlest may be one that a thread is about to count in, and that thread may not run for a while.
            *idlest = self.find_idlest(attempt);
        }
        false
    }

    /// The next endpoints to go, `least` of them at least, the idlest first, those hit last at the same tick by name.
    fn find_idlest(&self, least: usize) -> VecDeque<(Tick, Box<str>)> {
        let guard = self.guard();
        let shared = self.shared();
        let all = self.all(&guard).filter(|(_, endpoint)| !endpoint.is_used());
        let mut all: Vec<(Tick, &str)> = all.map(|(name, endpoint)| (endpoint.reach().newest(shared), name)).collect();
        let batch = (all.len() / 64).max(least).min(all.len());
        if batch == 0 {
            return VecDeque::new();
        }
        all.select_nth_unstable(batch - 1);
        all.truncate(batch);
        all.sort_unstable();
        all.into_iter().map(|(newest, name)| (newest, name.into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cell::outcome::Outcome;
    use crate::time::clock::ManualClock;

    /// As where the thread that ends the idlest endpoint does not run for a while.
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
}
