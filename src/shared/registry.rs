//! The public methods of the registry: each names an endpoint, and answers for all processes.
//!
//! Tests: below, `tests/shared`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::file;
use super::handle::SharedHandle;
use super::metrics::SharedRoom;
use super::rewrite;
use crate::cell::hits::{Bucket, Hits};
use crate::cell::outcome::{Outcome, Outcomes};
use crate::error::{EndpointError, QueryError, SharedError};
use crate::events::{Event, EventKind};
use crate::registry::Metrics;
use crate::registry::snapshot::RegistrySnapshot;
use crate::sketch::hyperloglog::hash::murmur;
use crate::sync::{AtomicPtr, Mutex, Ordering};
use crate::time::Timestamp;
use crate::time::clock::Clock;

/// Counts hits by endpoint in a file that any number of processes have open, as fast as in one process. All see every hit.
///
/// The counts survive restarts, and processes that are killed at any time. Recording takes no lock and starts no thread;
/// a forked child keeps counting in the same file.
///
/// ```
/// use hitring::SharedRegistry;
/// use std::time::Duration;
///
/// let path = std::env::temp_dir().join(format!("hits-{}.ring", std::process::id()));
/// let registry = SharedRegistry::builder().max_endpoints(100).create(&path)?;
/// registry.record_hit("/home", 2)?;
///
/// let another = SharedRegistry::open(&path)?; // in this process or any other
/// another.record_hit("/home", 1)?;
/// assert_eq!(registry.query_hits("/home", Duration::from_secs(60))?, 3);
/// assert_eq!(registry.total_ever("/home"), 3);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SharedRegistry {
    pub(super) inner: Arc<Inner>,
}

/// The file that is counted in, and those that were before a restore: handles may still be in them.
#[derive(Debug)]
pub struct Inner {
    current: AtomicPtr<Core>,
    all: Mutex<Vec<Arc<Core>>>,
}

impl Inner {
    #[inline(always)]
    pub fn core(&self) -> &Core {
        // SAFETY: it came from an `Arc` in `all`, from which nothing is taken out before `self` is dropped.
        unsafe { &*self.current.load(Ordering::Acquire) }
    }

    pub fn shared_core(&self) -> Arc<Core> {
        let core: *const Core = self.core();
        // SAFETY: it came from an `Arc` in `all`, which keeps it as long as `self` lives. No lock: a fork may find one taken.
        unsafe {
            Arc::increment_strong_count(core);
            Arc::from_raw(core)
        }
    }

    fn set(&self, core: Core) {
        let core = Arc::new(core);
        self.current.store(Arc::as_ptr(&core).cast_mut(), Ordering::Release);
        self.all.lock().push(core);
    }
}

impl SharedRegistry {
    pub(super) fn of(core: Core) -> Self {
        let core = Arc::new(core);
        let current = AtomicPtr::new(Arc::as_ptr(&core).cast_mut());
        Self { inner: Arc::new(Inner { current, all: Mutex::new(vec![core]) }) }
    }

    #[inline(always)]
    pub(super) fn core(&self) -> &Core {
        self.inner.core()
    }

    /// Counts `amount` hits of `endpoint` now. `Refused` also means that another endpoint does not fit, or that the file
    /// was cut.
    ///
    /// # Errors
    /// [`EndpointError::Name`] unless the name has 1 to 1,024 bytes; [`EndpointError::ReadOnly`].
    #[inline]
    pub fn record_hit(&self, endpoint: &str, amount: u64) -> Result<Outcome, EndpointError> {
        self.counted(|core| core.by_name(endpoint, None, amount, |life| core.record(life, endpoint, amount)))
    }

    /// Calls `record` with the current file, and again if another file took its place meanwhile, because it takes no hits then.
    #[inline(always)]
    fn counted(&self, record: impl Fn(&Core) -> Result<Outcome, EndpointError>) -> Result<Outcome, EndpointError> {
        self.counted_from(self.core(), record)
    }

    /// The same, by a thread that found `core` current.
    #[inline(always)]
    fn counted_from(
        &self,
        core: &Core,
        record: impl Fn(&Core) -> Result<Outcome, EndpointError>,
    ) -> Result<Outcome, EndpointError> {
        let outcome = record(core);
        if outcome == Ok(Outcome::Refused) && core.lives().is_closed() { record(self.core()) } else { outcome }
    }

    /// Counts `amount` hits of `endpoint` at `at`.
    ///
    /// # Errors
    /// As [`record_hit`](Self::record_hit).
    pub fn record_hit_at(&self, endpoint: &str, at: Timestamp, amount: u64) -> Result<Outcome, EndpointError> {
        self.counted(|core| core.by_name(endpoint, Some(at), amount, |life| core.record_at(life, endpoint, at, amount)))
    }

    /// Counts `amount` hits of `endpoint` now, by `visitor`. See [`Registry::record_visit`](crate::Registry::record_visit).
    ///
    /// # Errors
    /// As [`record_hit`](Self::record_hit).
    pub fn record_visit(
        &self,
        endpoint: &str,
        visitor: impl AsRef<[u8]>,
        amount: u64,
    ) -> Result<Outcome, EndpointError> {
        let visitor = murmur(visitor.as_ref());
        self.counted(|core| {
            core.by_name(endpoint, None, amount, |life| {
                let tick = core.times.tick();
                let outcome = core.record(life, endpoint, amount)?;
                if outcome.is_counted() && amount > 0 {
                    core.see(life, tick, visitor);
                }
                Ok(outcome)
            })
        })
    }

    /// The same at `at`.
    ///
    /// # Errors
    /// As [`record_hit`](Self::record_hit).
    pub fn record_visit_at(
        &self,
        endpoint: &str,
        visitor: impl AsRef<[u8]>,
        at: Timestamp,
        amount: u64,
    ) -> Result<Outcome, EndpointError> {
        let visitor = murmur(visitor.as_ref());
        self.counted(|core| {
            core.by_name(endpoint, Some(at), amount, |life| {
                let outcome = core.record_at(life, endpoint, at, amount)?;
                if outcome.is_counted() && amount > 0 {
                    core.see(life, core.times.at(at).tick(), visitor);
                }
                Ok(outcome)
            })
        })
    }

    /// Counts `amount` hits of `endpoint` at `at`, or now, by `visitor` if it is given. It does not make an endpoint: if `endpoint`
    /// does not exist, the answer is `None` and nothing is counted.
    ///
    /// # Errors
    /// [`EndpointError::ReadOnly`].
    #[cfg(feature = "server")]
    pub(crate) fn record_known(
        &self,
        endpoint: &str,
        visitor: Option<&[u8]>,
        at: Option<Timestamp>,
        amount: u64,
    ) -> Result<Option<Outcome>, EndpointError> {
        self.core().record_known(endpoint, visitor.map(murmur), at, amount)
    }

    /// The hits of `endpoint` in the `last` up to now; 0 if the endpoint does not exist.
    ///
    /// # Errors
    /// [`QueryError`]: see [`Registry::query_hits`](crate::Registry::query_hits); [`QueryError::FileLost`].
    pub fn query_hits(&self, endpoint: &str, last: Duration) -> Result<Hits, QueryError> {
        let core = self.core();
        core.sum_of(endpoint, &core.query_now(last)?)
    }

    /// The hits of `endpoint` in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn query_hits_at(&self, endpoint: &str, at: Timestamp, last: Duration) -> Result<Hits, QueryError> {
        let core = self.core();
        core.sum_of(endpoint, &core.query_at(at, last)?)
    }

    /// The hits of `endpoint` in each tick of the `last` up to now, oldest first; that of now so far. Each tick is read by
    /// itself: beside writers the sum may differ from [`query_hits`](Self::query_hits).
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn buckets(&self, endpoint: &str, last: Duration) -> Result<Vec<Bucket>, QueryError> {
        let core = self.core();
        core.buckets(endpoint, &core.query_now(last)?)
    }

    /// The same in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn buckets_at(&self, endpoint: &str, at: Timestamp, last: Duration) -> Result<Vec<Bucket>, QueryError> {
        let core = self.core();
        core.buckets(endpoint, &core.query_at(at, last)?)
    }

    /// The hits of `endpoint` that were ever counted in the file, since it was made or last removed; 0 if it does not exist.
    /// Merged and restored hits do not count; those of a [`ledger`](Self::ledger) do.
    #[must_use]
    pub fn total_ever(&self, endpoint: &str) -> u64 {
        let core = self.core();
        core.alive(endpoint).map_or(0, |life| core.book().total(life))
    }

    /// About how many different visitors `endpoint` had in the `last` up to now, and in up to a sixteenth of the window
    /// before. See [`Registry::query_uniques`](crate::Registry::query_uniques).
    ///
    /// # Errors
    /// As there; [`QueryError::VisitorsFull`] if some found no room in the file.
    pub fn query_uniques(&self, endpoint: &str, last: Duration) -> Result<u64, QueryError> {
        let core = self.core();
        let query = core.query_now(last)?;
        core.alive(endpoint).map_or(Ok(0), |life| core.uniques(life, &query))
    }

    /// The same of `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_uniques`](Self::query_uniques).
    pub fn query_uniques_at(&self, endpoint: &str, at: Timestamp, last: Duration) -> Result<u64, QueryError> {
        let core = self.core();
        let query = core.query_at(at, last)?;
        core.alive(endpoint).map_or(Ok(0), |life| core.uniques(life, &query))
    }

    /// About how many different visitors `endpoint` ever had.
    ///
    /// # Errors
    /// [`QueryError::VisitorsFull`] if some found no room in the file.
    pub fn uniques_ever(&self, endpoint: &str) -> Result<u64, QueryError> {
        let core = self.core();
        core.alive(endpoint).map_or(Ok(0), |life| core.uniques_ever(life))
    }

    /// A handle of `endpoint`, which is made if it does not exist.
    ///
    /// # Errors
    /// [`EndpointError`] if the name is not valid or does not fit, or if the file was opened for reading and does not have the
    /// endpoint.
    pub fn counter(&self, endpoint: &str) -> Result<SharedHandle, EndpointError> {
        self.counter_from(&self.inner.shared_core(), endpoint)
    }

    /// The same, by a thread that found `core` current.
    fn counter_from(&self, core: &Arc<Core>, endpoint: &str) -> Result<SharedHandle, EndpointError> {
        match SharedHandle::new(core, endpoint) {
            // Another file took the place of this one meanwhile.
            Err(EndpointError::Full { .. }) if core.lives().is_closed() => {
                SharedHandle::new(&self.inner.shared_core(), endpoint)
            }
            handle => handle,
        }
    }

    /// The hits of all endpoints in the `last` up to now.
    ///
    /// An endpoint that a process hit whose clock was ahead may have lost slots of the window. It is left out, the answer is
    /// [`AtLeast`](crate::Accuracy::AtLeast), and [`ahead`](Self::ahead) names it.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total(&self, last: Duration) -> Result<Hits, QueryError> {
        let core = self.core();
        core.total(&core.query_now(last)?, |_| true)
    }

    /// The hits of all endpoints in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total_at(&self, at: Timestamp, last: Duration) -> Result<Hits, QueryError> {
        let core = self.core();
        core.total(&core.query_at(at, last)?, |_| true)
    }

    /// The hits of all endpoints whose names `wanted` says yes to, in the `last` up to `at`, or up to now.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn total_where(
        &self,
        at: Option<Timestamp>,
        last: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Result<Hits, QueryError> {
        let core = self.core();
        core.total(&core.query(at, last)?, |life| core.name_of(life).is_some_and(|name| wanted(&name)))
    }

    /// The `n` endpoints with the most hits in the `last` up to now, the busiest first, those with as many by name. What
    /// [`total`](Self::total) leaves out is not among them.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn top(&self, n: usize, last: Duration) -> Result<Vec<(String, Hits)>, QueryError> {
        let core = self.core();
        core.top(n, &core.query_now(last)?, drop)
    }

    /// The same; calls `tell` with the names of the endpoints that are left out.
    #[cfg(feature = "server")]
    pub(crate) fn top_known(
        &self,
        n: usize,
        last: Duration,
        tell: impl FnMut(String),
    ) -> Result<Vec<(String, Hits)>, QueryError> {
        let core = self.core();
        core.top(n, &core.query_now(last)?, tell)
    }

    /// The same in `(at - last, at]`.
    ///
    /// # Errors
    /// As [`query_hits`](Self::query_hits).
    pub fn top_at(&self, n: usize, at: Timestamp, last: Duration) -> Result<Vec<(String, Hits)>, QueryError> {
        let core = self.core();
        core.top(n, &core.query_at(at, last)?, drop)
    }

    /// The endpoints with hits that are stamped further ahead than the slack, in order: a process whose clock was ahead brought
    /// them. Their slots are free again when the time has caught up, or when the endpoint is removed.
    #[must_use]
    pub fn ahead(&self) -> Vec<String> {
        self.core().ahead()
    }

    /// The names of all endpoints, in order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.core().names()
    }

    /// Whether the endpoint exists.
    #[must_use]
    pub fn contains(&self, endpoint: &str) -> bool {
        self.core().alive(endpoint).is_some()
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core().book().alive().count()
    }

    /// Whether there are 0 endpoints.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.core().book().alive().next().is_none()
    }

    /// Removes `endpoint` with its hits; answers whether there was one. Its handles, in whatever process, answer `Refused` from
    /// then on. A hit that comes later makes a new endpoint, in a higher epoch and another place of the file.
    ///
    /// # Errors
    /// [`SharedError::ReadOnly`].
    pub fn remove(&self, endpoint: &str) -> Result<bool, SharedError> {
        self.core().remove(endpoint)
    }

    /// What the registry holds, and the outcomes of the hits that all processes gave it.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.core().metrics()
    }

    /// The outcomes of all hits that the processes of this file gave it.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.core().book().own_totals().outcomes
    }

    /// How much room is left in the file.
    #[must_use]
    pub fn room(&self) -> SharedRoom {
        self.core().room()
    }

    /// What the file holds, to be kept, sent, or merged into another registry, in a file or in memory.
    #[must_use]
    pub fn snapshot(&self) -> RegistrySnapshot {
        let snapshot = self.core().book().snapshot();
        let endpoints_count = snapshot.endpoints() as u64;
        self.core().watch.emit(EventKind::SnapshotTaken, || Event::SnapshotTaken { endpoints_count });
        snapshot
    }

    /// Adds the hits of another registry, as its snapshot has them. Merging the same again changes nothing.
    ///
    /// Removals travel along, see [`Registry::merge`](crate::Registry::merge). The answer is how many hits were left
    /// out because they were removed, though the snapshot counts them.
    ///
    /// # Errors
    /// [`SharedError::Snapshot`] if it does not fit, which changes nothing; [`SharedError::InUse`] if another process merges
    /// for long; [`SharedError::ReadOnly`].
    pub fn merge(&self, snapshot: &RegistrySnapshot) -> Result<u64, SharedError> {
        let core = self.core();
        core.check_writable()?;
        let path = core.file.path();
        let locked = core.file.change().map_err(|error| SharedError::io(path, "it cannot be locked", error))?;
        let _changing = locked.ok_or_else(|| SharedError::InUse { path: path.into() })?;
        let left_out = core.book().merge(snapshot, core.times.tick())?;
        core.watch.changed();
        Ok(left_out)
    }

    /// Replaces everything that the file holds by `snapshot`: a new file takes its place, in one step, also if the
    /// machine fails in the middle of it. Only while no other process has the file open. Handles answer `Refused`
    /// afterwards; limits stay as they are, and limiters go on in the new file. The former file stays mapped until the registry is dropped. A thread that forks meanwhile waits for the last
    /// step.
    ///
    /// # Errors
    /// [`SharedError::InUse`] if another process, or another registry of this one, has it open, or a child of this process may
    /// have it that could not lock it: merge instead; [`SharedError::Snapshot`] if it does not fit;
    /// [`SharedError::ReadOnly`]. Nothing was changed then. Only the error "it is restored, but its folder cannot be brought to
    /// the disk" comes after the change: the registry counts in the new file, and a machine that fails now may have the old one.
    pub fn restore(&self, snapshot: &RegistrySnapshot) -> Result<(), SharedError> {
        self.restore_if(snapshot, |_| true)
    }

    /// The same, if the file `is_right` once this process has it alone; else [`SharedError::InUse`].
    pub(super) fn restore_if(
        &self,
        snapshot: &RegistrySnapshot,
        is_right: impl Fn(&Core) -> bool,
    ) -> Result<(), SharedError> {
        let core = self.core();
        core.check_writable()?;
        let given = core.file.path();
        // Not a link to it.
        let path = &given.canonicalize().map_err(|error| SharedError::io(given, "it cannot be found", error))?;
        let failed = |error| SharedError::io(path, "it cannot be locked", error);
        let in_use = || SharedError::InUse { path: path.into() };
        let _changing = core.file.change().map_err(failed)?.ok_or_else(in_use)?;
        file::sweep(path);
        let draft = rewrite::restored(path, &core.file, core.book(), snapshot)?;
        let (new, header) = draft.open(path, core.file.catches())?;
        let alone = core
            .file
            .alone()
            .map_err(failed)?
            .filter(|_| core.file.is_current() && is_right(core))
            .ok_or_else(in_use)?;
        core.set_moving(true);
        let replaced = draft.replace(path, core.book());
        if replaced.is_err() {
            core.set_moving(false);
        }
        replaced?;
        self.inner.set(Core::new(new, header, core.times.copy(), core.watch.clone()));
        // Closed after that, so that a thread that finds it closed finds the new file.
        core.lives().close();
        drop(alone);
        let core = self.core();
        core.watch.emit(EventKind::SnapshotRestored, || Event::SnapshotRestored);
        core.watch.changed();
        file::sync_folder(core.file.file(), path, "it is restored, but its folder cannot be brought to the disk")
    }

    /// Brings all counts to the disk, so that they survive a failure of the machine. They survive the end of a process, and other
    /// processes see them, without it.
    ///
    /// # Errors
    /// The error of the system.
    pub fn sync(&self) -> Result<(), SharedError> {
        let core = self.core();
        core.file.sync().map_err(|error| SharedError::io(core.file.path(), "it cannot be brought to the disk", error))
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.core().window()
    }

    /// The width of a tick.
    #[must_use]
    pub fn resolution(&self) -> Duration {
        self.core().geometry().resolution().width()
    }

    /// The slack, in slots.
    #[must_use]
    pub fn slack(&self) -> u32 {
        self.core().geometry().slack()
    }

    /// The most lives of endpoints that the file has room for.
    #[must_use]
    pub fn max_endpoints(&self) -> u32 {
        self.core().header.layout.room.endpoints
    }

    /// How far ahead of the clock a hit may be stamped.
    #[must_use]
    pub fn max_skew(&self) -> Duration {
        self.resolution() * (self.core().times.skew() as u32)
    }

    /// Where the time comes from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.core().times.clock()
    }

    /// The number of bits that tell visitors apart.
    #[must_use]
    pub fn precision(&self) -> u8 {
        self.core().parts.precision().bits()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.core().file.path()
    }

    /// Whether the file's name still means this file: not if it was removed, or replaced by a restore elsewhere.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.core().file.is_current()
    }

    /// Whether part of the file was cut off while it was open.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.core().file.is_gone()
    }

    /// Whether the process survives that the file is cut. See [`SharedBuilder::catch_sigbus`](crate::SharedBuilder::catch_sigbus).
    #[must_use]
    pub fn catches_sigbus(&self) -> bool {
        self.core().file.catches()
    }

    /// Whether hits can be recorded.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.core().file.is_writable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_found_the_former_file_goes_on_in_the_new_one() {
        let path = std::env::temp_dir().join(format!("hitring-former-{}.ring", std::process::id()));
        let registry = SharedRegistry::builder().max_endpoints(4).create(&path).expect("it can be made");
        assert_eq!(registry.record_hit("/a", 1), Ok(Outcome::Counted));
        let former = registry.inner.shared_core();
        // Children that other tests fork have it open for a moment.
        while let Err(error) = registry.restore(&registry.snapshot()) {
            assert!(matches!(error, SharedError::InUse { .. }), "{error}");
        }
        for name in ["/a", "/new"] {
            let record = |core: &Core| core.by_name(name, None, 1, |life| core.record(life, name, 1));
            assert_eq!((record(&former), former.lives().is_closed()), (Ok(Outcome::Refused), true));
            assert_eq!(registry.counted_from(&former, record), Ok(Outcome::Counted));
            let handle = registry.counter_from(&former, name).expect("there is room");
            assert_eq!((handle.record(1), registry.total_ever(name)), (Outcome::Counted, 2));
        }
        std::fs::remove_file(path).expect("it is ours");
    }
}
