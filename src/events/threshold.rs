//! Thresholds: watches over endpoints whose count must not silently reach a limit.
//!
//! A watch has a pattern of endpoint names, a `limit`, and the length `last` of the range that it counts. An endpoint
//! **crosses** when its count rises from below the limit to the limit or above, and each crossing is reported once. A
//! count rises by a hit, and a check follows each hit. It falls as time passes, without a check. So a check also has to
//! find out whether the count fell since the last crossing:
//!
//! `count` is the count over `last` until now. `before` is the count over the same range without the hit's own tick:
//! the count that was left when the hit's tick began, which is the least since the hit before it.
//!
//! | watch and endpoint | at the check of a hit | becomes | reported |
//! |---|---|---|---|
//! | below | `count < limit` | below | |
//! | below | `count >= limit` | above since now | crossed |
//! | above since `t` | `count < limit` | below | |
//! | above since `t` | `count >= limit`, hit at or before `t` | above since `t` | |
//! | above since `t` | `count >= limit`, hit after `t`, `before >= limit` | above since `t` | |
//! | above since `t` | `count >= limit`, hit after `t`, `before < limit`: it fell, and rose again | above since now | crossed |
//! | any | the count is not known | as it was | |
//!
//! **Threads.** Several hits may be in the count before any of them is checked. The first check that finds the limit
//! reached reports it, and sets `t` to the time of its own count. The hits in this count are at or before `t`, so their
//! checks report nothing. To subtract a hit's own amount from the count instead of asking for `before` would be wrong
//! both ways: two hits of 5 that together reach 10 would both report, and two that rise from 5 to 15 would not.
//! Counting happens under the lock, or an older count could come after a newer one and undo what it set.
//!
//! A count that reaches the limit and falls again before the hit's check is not reported, and two crossings between two
//! checks are reported as one. A hit ahead of the clock counts when the clock gets there, so the next hit reports it. A
//! hit behind the clock that lifts a count back over the limit may not be reported, as it is part of `before` itself.
//!
//! **Memory.** One entry for each watch and endpoint that is above; [`Thresholds::forget`] drops an endpoint's.
//!
//! **Progress.** Below the limit while nothing is above: one lock for as long as an `Arc` takes to be copied, and one
//! count for each matching watch. Otherwise one lock of the watch's, held for at most two counts.
//!
//! **Forks.** Watches are `PerProcess`: a forked child has no watches, as it has no listeners.
//!
//! Tests: `tests/events`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use wildmatch::WildMatch;

use crate::error::ConfigError;
use crate::events::Event;
use crate::sync::per_process::PerProcess;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::time::Tick;

/// The questions that a check asks of the endpoint that was hit. Their answers may not record, nor add or remove
/// watches.
pub trait Gauge {
    /// The tick now. It should not go back. If it does, an endpoint that is above may cross unseen until the tick has
    /// caught up or a check has found the count below the limit.
    fn now(&self) -> Tick;
    /// The hits in the `last` until the end of the tick `until`; `None` if they are not known.
    fn count(&self, until: Tick, last: Duration) -> Option<u64>;
    /// The hits of [`count`](Self::count) that lie in ticks before `tick`, which is its last one. Count them directly:
    /// the difference of two counts is not this number while other threads record.
    fn before(&self, tick: Tick, last: Duration) -> Option<u64>;
}

/// A list of watches.
#[derive(Debug)]
pub struct Thresholds {
    next: AtomicU64,
    watches: PerProcess<Mutex<Arc<Watches>>>,
}

/// The watches, by the way in which an endpoint finds them.
#[derive(Clone, Debug, Default)]
struct Watches {
    exact: HashMap<String, Vec<Arc<Watch>>>,
    globs: Vec<(WildMatch, Arc<Watch>)>,
}

#[derive(Debug)]
struct Watch {
    id: u64,
    last: Duration,
    limit: u64,
    /// The endpoints that are above, and since when.
    above: Mutex<HashMap<String, Tick>>,
    /// The number of entries in `above`. Written under the lock.
    many: AtomicUsize,
}

impl Thresholds {
    /// A list without watches.
    #[must_use]
    pub fn new() -> Self {
        Self { next: AtomicU64::new(0), watches: PerProcess::new() }
    }

    /// Watches the endpoints that `pattern` names, and returns the watch's id. In a pattern `*` stands for any
    /// characters and `?` for any one character; without either it is the name of one endpoint.
    ///
    /// # Errors
    /// [`ConfigError::NoLimit`] or [`ConfigError::NoSpan`] if `limit` or `last` is 0.
    pub fn add(&self, pattern: &str, last: Duration, limit: u64) -> Result<u64, ConfigError> {
        if limit == 0 {
            return Err(ConfigError::NoLimit);
        }
        if last.is_zero() {
            return Err(ConfigError::NoSpan);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let watch = Arc::new(Watch { id, last, limit, above: Mutex::new(HashMap::new()), many: AtomicUsize::new(0) });
        let mut watches = self.watches.here_or_make(|| Mutex::new(Arc::default())).lock();
        let watches = Arc::make_mut(&mut watches);
        if pattern.contains(['*', '?']) {
            watches.globs.push((WildMatch::new(pattern), watch));
        } else {
            watches.exact.entry(pattern.to_owned()).or_default().push(watch);
        }
        Ok(id)
    }

    /// Removes a watch; returns `false` if no watch has this id.
    pub fn remove(&self, id: u64) -> bool {
        let Some(watches) = self.watches.here() else { return false };
        let mut watches = watches.lock();
        let watches = Arc::make_mut(&mut watches);
        let mut removed = false;
        let mut keeps = |watch: &Arc<Watch>| {
            removed |= watch.id == id;
            watch.id != id
        };
        watches.globs.retain(|(_, watch)| keeps(watch));
        watches.exact.retain(|_, same| {
            same.retain(&mut keeps);
            !same.is_empty()
        });
        removed
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.watches().is_none_or(|watches| watches.exact.is_empty() && watches.globs.is_empty())
    }

    /// Whether any watch watches `endpoint`.
    #[must_use]
    pub fn matches_any(&self, endpoint: &str) -> bool {
        self.watches().is_some_and(|watches| watches.of(endpoint).next().is_some())
    }

    /// Checks `endpoint` after a hit at `hit` was recorded, and returns the crossings to report.
    #[must_use]
    pub fn check(&self, endpoint: &Arc<str>, hit: Tick, gauge: &impl Gauge) -> Vec<Event> {
        let Some(watches) = self.watches() else { return Vec::new() };
        watches
            .of(endpoint)
            .filter_map(|watch| {
                let hits = watch.check(endpoint, hit, gauge)?;
                let (endpoint, Watch { id, last, limit, .. }) = (Arc::clone(endpoint), &**watch);
                Some(Event::ThresholdCrossed { endpoint, hits, limit: *limit, last: *last, watch: *id })
            })
            .collect()
    }

    /// Forgets that `endpoint` is above any limit, because it has been removed.
    pub fn forget(&self, endpoint: &str) {
        if let Some(watches) = self.watches() {
            watches.of(endpoint).for_each(|watch| watch.forget(endpoint));
        }
    }

    /// The number of entries of endpoints that are above, over all watches.
    #[cfg(test)]
    pub fn above(&self) -> usize {
        self.watches().map_or(0, |watches| watches.all().map(|watch| watch.many.load(Ordering::Relaxed)).sum())
    }

    fn watches(&self) -> Option<Arc<Watches>> {
        Some(Arc::clone(&*self.watches.here()?.lock()))
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self::new()
    }
}

impl Watches {
    /// The watches of `endpoint`.
    fn of<'a>(&'a self, endpoint: &'a str) -> impl Iterator<Item = &'a Arc<Watch>> {
        let globs = self.globs.iter().filter(move |(glob, _)| glob.matches(endpoint)).map(|(_, watch)| watch);
        self.exact.get(endpoint).into_iter().flatten().chain(globs)
    }

    #[cfg(test)]
    fn all(&self) -> impl Iterator<Item = &Arc<Watch>> {
        self.exact.values().flatten().chain(self.globs.iter().map(|(_, watch)| watch))
    }
}

impl Watch {
    /// The count that crossed, if it did.
    fn check(&self, endpoint: &str, hit: Tick, gauge: &impl Gauge) -> Option<u64> {
        // Without the lock, for the many hits below a limit. If another thread meanwhile enters an endpoint that this
        // check should remove, the next check finds that out by `before`.
        if self.many.load(Ordering::Relaxed) == 0 && gauge.count(gauge.now(), self.last)? < self.limit {
            return None;
        }
        let mut above = self.above.lock();
        let now = gauge.now();
        let hits = gauge.count(now, self.last)?;
        // A hit ahead of the clock is checked as one at `now`, because `before` of a later tick would ask for time that
        // has not passed.
        let hit = hit.min(now);
        let since = above.get_mut(endpoint);
        if hits < self.limit {
            if since.is_some() {
                above.remove(endpoint);
                self.many.store(above.len(), Ordering::Relaxed);
            }
            return None;
        }
        match since {
            Some(since) if hit <= *since || gauge.before(hit, self.last)? >= self.limit => return None,
            Some(since) => *since = now,
            None => {
                above.insert(endpoint.to_owned(), now);
                self.many.store(above.len(), Ordering::Relaxed);
            }
        }
        Some(hits)
    }

    fn forget(&self, endpoint: &str) {
        let mut above = self.above.lock();
        above.remove(endpoint);
        self.many.store(above.len(), Ordering::Relaxed);
    }
}
