//! [`HitCounter`]: one window, one clock, one strategy.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::builder::Builder;
use crate::clock::{Clock, TickClock};
use crate::copied::Copied;
use crate::counter::{Counter, Strategy};
use crate::error::{QueryError, SnapshotError};
use crate::outcome::{Outcome, Outcomes};
use crate::snapshot::{Cells, Snapshot};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::time::{Tick, Timestamp};
use crate::window::{Cell, Reading, Span};
use crate::writer::{Replica, Writer};

/// Counts hits from any thread and answers how many there were in the last N seconds.
///
/// A query at time `t` over `last` counts the ticks in `(t - last, t]`: with a window of 300 seconds a hit at second 1
/// is counted at second 300 and no longer at 301. (Some limiters and textbooks close the window on both sides; this
/// one does not.)
///
/// Recording with the default strategy is wait-free and shares nothing between threads. A count taken beside writers
/// includes every hit whose call returned before the query began, and none whose call began after it ended; when nobody
/// writes it is exact. Nothing is ever silently low: a range that newer hits have overwritten is an error.
///
/// ```
/// use hitring::{HitCounter, Outcome, Timestamp};
/// use std::time::Duration;
///
/// let counter = HitCounter::new();
/// let _ = counter.record(1);                      // now
/// assert_eq!(counter.count()?, 1);
///
/// // With timestamps of your own:
/// let counter = HitCounter::new();
/// let at = |secs: u32| Timestamp::from(secs);
/// for second in [1, 2, 3, 300] {
///     assert_eq!(counter.record_at(at(second), 1), Outcome::Counted);
/// }
/// assert_eq!(counter.count_at(at(300), Duration::from_secs(300))?, 4);
/// assert_eq!(counter.count_at(at(301), Duration::from_secs(300))?, 3);
/// # Ok::<(), hitring::QueryError>(())
/// ```
pub struct HitCounter {
    clock: TickClock,
    /// Whether hits with timestamps of their own are held against the clock.
    guarded: bool,
    /// Ticks are seconds and nothing is held against the clock: hits may go to the counter as they are.
    plain: bool,
    counter: Counter,
    /// The window in ticks of the counter's grain.
    window: u64,
    /// How many other writers' cells have been merged in; read by every query, so that those without pay one load.
    merged: AtomicU64,
    ledger: Mutex<Ledger>,
}

/// What only rare operations need.
#[derive(Debug)]
struct Ledger {
    writer: Writer,
    /// The process that `writer` counts in. A forked child counts on under a writer of its own.
    process: u32,
    /// Whether this is a forked child's copy that has not been reset since: a reset then only drops the copy, and does
    /// not begin an epoch, which would empty the parent's counter when the two are merged.
    forked: bool,
    /// The writers whose hits were inherited over forks, and are among the counter's own.
    inherited: Vec<Writer>,
    epoch: u64,
    others: BTreeMap<Writer, Copied>,
    /// Tallies of other writers' counters; they outlive a reset.
    tallies: BTreeMap<Replica, Outcomes>,
    /// The largest tallies ever answered: while a slot is being reused its hits are missing from a sum for a moment.
    floor: Outcomes,
}

/// The hits of one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When the tick begins.
    pub start: Timestamp,
    /// Its hits.
    pub count: u64,
}

impl HitCounter {
    /// A counter of the last 300 seconds, by the second, with the default strategy and the system clock.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build().expect("the defaults are valid")
    }

    /// A counter of another window, resolution, strategy or clock.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_parts(clock: TickClock, guarded: bool, counter: Counter) -> Self {
        let geometry = counter.geometry();
        let window = geometry.resolution().width() * geometry.window();
        let window = counter.grain().ticks(window).expect("a tick is a whole number of grains");
        let writer = Writer { replica: Replica::new(), generation: 0 };
        let ledger = Ledger {
            writer,
            process: std::process::id(),
            forked: false,
            inherited: Vec::new(),
            epoch: 0,
            others: BTreeMap::new(),
            tallies: BTreeMap::new(),
            floor: Outcomes::default(),
        };
        let plain = !guarded && counter.grain().is_second();
        Self { clock, guarded, plain, counter, window, merged: AtomicU64::new(0), ledger: Mutex::new(ledger) }
    }

    /// Counts `amount` hits now.
    ///
    /// `amount` is from 0 to 2^63 - 1; 0 is `Counted` and does nothing else, one that does not fit into the tick is
    /// `Saturated` and not counted in part.
    ///
    /// Wait-free with the striped strategy and the system clock; see the guarantee table.
    #[inline]
    pub fn record(&self, amount: u64) -> Outcome {
        self.record_tick(self.clock.now(), amount)
    }

    #[inline(always)]
    fn record_tick(&self, tick: Tick, amount: u64) -> Outcome {
        if self.counter.record_current(tick, amount) { Outcome::Counted } else { self.counter.record(tick, amount) }
    }

    /// Counts `amount` hits at `at`.
    ///
    /// Times need not come in order. A hit is `Late` when its slot already belongs to a newer tick: more than
    /// `slots() - 1` ticks behind the newest hit at the same place of the ring. Where a clock or a `max_skew` was
    /// given, a hit further ahead of the clock than `max_skew` is `Future`; without, a hit stamped far ahead is
    /// believed, and spoils one slot until the ring has come round to it.
    #[inline(always)]
    pub fn record_at(&self, at: Timestamp, amount: u64) -> Outcome {
        if self.plain { self.record_tick(Tick(at.secs()), amount) } else { self.record_at_other(at, amount) }
    }

    #[inline(never)]
    fn record_at_other(&self, at: Timestamp, amount: u64) -> Outcome {
        let tick = self.clock.tick(at);
        if self.guarded && tick.0 > self.clock.now().0.saturating_add(self.clock.skew()) && amount > 0 {
            self.counter.refuse(Outcome::Future, amount);
            return Outcome::Future;
        }
        self.counter.record(tick, amount)
    }

    /// The hits of the whole window up to now.
    ///
    /// # Errors
    /// [`QueryError::WindowExpired`] if hits stamped in the future have overwritten part of the window, which cannot
    /// happen with a configured clock.
    #[inline]
    pub fn count(&self) -> Result<u64, QueryError> {
        self.count_now(self.window)
    }

    /// The hits of the `last` up to now.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at).
    pub fn count_last(&self, last: Duration) -> Result<u64, QueryError> {
        self.count_now(self.ticks(last)?)
    }

    #[inline]
    fn count_now(&self, ticks: u64) -> Result<u64, QueryError> {
        let now = self.clock.now();
        match self.recall(now, ticks) {
            Some(count) => Ok(count),
            None => self.count_now_any(now, ticks),
        }
    }

    #[inline(never)]
    fn count_now_any(&self, mut now: Tick, ticks: u64) -> Result<u64, QueryError> {
        loop {
            let reading = self.sum(now, ticks, || true);
            if reading.exact {
                return Ok(reading.count);
            }
            // A reader that was stopped for longer than the slack asks about a time that is gone by now.
            let later = self.clock.now();
            if later == now {
                return Err(self.expired(now, ticks));
            }
            now = later;
        }
    }

    /// The hits in `(at - last, at]`.
    ///
    /// # Errors
    /// [`QueryError::WindowExpired`] if newer hits have overwritten part of that range,
    /// [`QueryError::LongerThanWindow`] or [`QueryError::NotWhole`] if `last` is not possible.
    #[inline]
    pub fn count_at(&self, at: Timestamp, last: Duration) -> Result<u64, QueryError> {
        let (to, ticks) = (self.clock.tick(at), self.ticks(last)?);
        match self.recall(to, ticks) {
            Some(count) => Ok(count),
            None => self.count_at_any(to, ticks),
        }
    }

    #[inline(never)]
    fn count_at_any(&self, to: Tick, ticks: u64) -> Result<u64, QueryError> {
        let reading = self.sum(to, ticks, || self.is_past(to));
        if reading.exact { Ok(reading.count) } else { Err(self.expired(to, ticks)) }
    }

    /// Counts one hit at `at`, as LeetCode 362 asks; [`outcomes`](Self::outcomes) tells what became of it.
    #[inline]
    pub fn hit(&self, at: Timestamp) {
        let _ = self.record_at(at, 1);
    }

    /// The hits of the window up to `at` that are still there, as LeetCode 362 asks. Unlike
    /// [`count_at`](Self::count_at) it answers without those that newer hits have overwritten.
    #[must_use]
    #[inline]
    pub fn get_hits(&self, at: Timestamp) -> u64 {
        let to = if self.plain { Tick(at.secs()) } else { self.clock.tick(at) };
        match self.recall(to, self.window) {
            Some(count) => count,
            None => self.get_hits_any(to),
        }
    }

    #[inline(never)]
    fn get_hits_any(&self, to: Tick) -> u64 {
        self.sum(to, self.window, || self.is_past(to)).count
    }

    /// [`get_hits`](Self::get_hits) now.
    #[must_use]
    pub fn get_hits_now(&self) -> u64 {
        let now = self.clock.now();
        self.recall(now, self.window).unwrap_or_else(|| self.sum(now, self.window, || true).count)
    }

    /// The hits of each tick in the `last` up to now, oldest first.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at); `last` must be a whole number of ticks, whatever the strategy.
    pub fn buckets(&self, last: Duration) -> Result<Vec<Bucket>, QueryError> {
        self.buckets_to(self.clock.now(), last)
    }

    /// The hits of each tick in `(at - last, at]`, oldest first; that of `at` itself holds the hits up to `at`.
    ///
    /// # Errors
    /// As [`buckets`](Self::buckets).
    pub fn buckets_at(&self, at: Timestamp, last: Duration) -> Result<Vec<Bucket>, QueryError> {
        self.buckets_to(self.clock.tick(at), last)
    }

    fn buckets_to(&self, to: Tick, last: Duration) -> Result<Vec<Bucket>, QueryError> {
        let resolution = self.counter.geometry().resolution();
        let ticks = resolution.ticks(last).ok_or(QueryError::NotWhole { last, resolution: resolution.width() })?;
        let grains = self.ticks(last)?;
        let width = self.counter.grain().ticks(resolution.width()).expect("a tick is a whole number of grains");
        let newest = to.0 / width;
        let mut buckets = Vec::new();
        for tick in (newest + 1).saturating_sub(ticks)..=newest {
            if ticks == 0 {
                break;
            }
            let span = Span { first: Tick(tick * width), to: Tick((tick * width + width - 1).min(to.0)) };
            let reading = self.sum_span(span, false);
            if !reading.exact {
                return Err(self.expired(to, grains));
            }
            buckets.push(Bucket { start: resolution.start(Tick(tick)), count: reading.count });
        }
        Ok(buckets)
    }

    /// Hits a second over the `last` up to now; 0 if `last` is 0.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at).
    pub fn rate(&self, last: Duration) -> Result<f64, QueryError> {
        Ok(per_second(self.count_last(last)?, last))
    }

    /// Hits a second in `(at - last, at]`; 0 if `last` is 0.
    ///
    /// # Errors
    /// As [`count_at`](Self::count_at).
    pub fn rate_at(&self, at: Timestamp, last: Duration) -> Result<f64, QueryError> {
        Ok(per_second(self.count_at(at, last)?, last))
    }

    /// What became of all hits since the counter was made, those of merged counters included. The tallies only grow,
    /// also over a [`reset`](Self::reset).
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        self.tallies(&mut self.ledger.lock())
    }

    fn tallies(&self, ledger: &mut Ledger) -> Outcomes {
        let others = ledger.tallies.values().fold(Outcomes::default(), |sum, &tally| sum.plus(tally));
        ledger.floor = ledger.floor.max(self.counter.outcomes().plus(others));
        ledger.floor
    }

    /// The number of slots of a ring: window and slack in ticks, at least 64.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.counter.slots()
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> Duration {
        let geometry = self.counter.geometry();
        geometry.resolution().width() * geometry.window()
    }

    /// The width of a tick.
    #[must_use]
    pub fn resolution(&self) -> Duration {
        self.counter.geometry().resolution().width()
    }

    /// The slack, in slots.
    #[must_use]
    pub fn slack(&self) -> u32 {
        self.counter.geometry().slack()
    }

    /// The strategy.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.counter.strategy()
    }

    /// How far ahead of the clock a hit may be stamped, if that is checked at all.
    #[must_use]
    pub fn max_skew(&self) -> Option<Duration> {
        self.guarded.then(|| self.skew())
    }

    fn skew(&self) -> Duration {
        self.counter.grain().start(Tick(self.clock.skew())).as_duration()
    }

    /// Where the time comes from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.clock.clock()
    }

    /// The bytes the counter takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let others = self.ledger.lock().others.values().map(Copied::bytes).sum::<usize>();
        size_of::<Self>() + self.counter.bytes() + others
    }

    /// Forgets all hits and begins a new epoch; snapshots taken before can no longer be merged.
    ///
    /// Hits whose call returned before are gone, hits whose call begins after are counted; one that is being recorded
    /// meanwhile may be either. In a forked child the first reset only drops what was inherited, so that the child's
    /// snapshots can be merged with the parent's.
    pub fn reset(&self) {
        let mut ledger = self.ledger();
        let epoch = ledger.epoch + u64::from(!ledger.forked);
        self.begin_epoch(&mut ledger, epoch);
    }

    fn begin_epoch(&self, ledger: &mut MutexGuard<'_, Ledger>, epoch: u64) {
        self.counter.reset();
        ledger.epoch = epoch;
        ledger.writer.generation += 1;
        ledger.forked = false;
        ledger.inherited.clear();
        ledger.others.clear();
        self.merged.store(0, Ordering::Release);
    }

    /// What the counter holds, as absolute counts that can be merged anywhere, any number of times.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut ledger = self.ledger();
        let _ = self.tallies(&mut ledger);
        let mut cells = vec![Cells {
            writer: ledger.writer,
            slots: self.counter.slots() as u64,
            cells: in_order(self.counter.cells()),
            dropped: self.counter.dropped(),
        }];
        cells.extend(ledger.others.iter().map(|(&writer, copied)| Cells {
            writer,
            slots: copied.slots(),
            cells: copied.cells(),
            dropped: copied.dropped(),
        }));
        let others = ledger.tallies.values().fold(Outcomes::default(), |sum, &tally| sum.plus(tally));
        let mut tallies = ledger.tallies.clone();
        tallies.insert(ledger.writer.replica, ledger.floor.minus(others));
        Snapshot {
            resolution: self.resolution(),
            grain: self.counter.grain().width(),
            window: self.window(),
            slack: self.slack(),
            epoch: ledger.epoch,
            inherited: ledger.inherited.clone(),
            cells,
            tallies,
        }
    }

    /// Adds the hits of another counter, as `snapshot` knows them. Merging the same snapshot again changes nothing, and
    /// a later one of the same counter adds just what is new.
    ///
    /// A snapshot of a later epoch (after a reset there) empties this counter first.
    ///
    /// # Errors
    /// [`SnapshotError::OtherGeometry`] unless resolution, window and kind of strategy are the same;
    /// [`SnapshotError::OlderEpoch`] if this counter was reset since; [`SnapshotError::Forked`] if the snapshot comes from
    /// the other side of a fork and holds hits that this counter has itself. Nothing is changed then.
    pub fn merge(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let other = |what| Err(SnapshotError::OtherGeometry { what });
        if snapshot.resolution != self.resolution() {
            return other(format!("resolution {:?}, not {:?}", snapshot.resolution, self.resolution()));
        }
        if snapshot.window != self.window() {
            return other(format!("window {:?}, not {:?}", snapshot.window, self.window()));
        }
        let grain = self.counter.grain().width();
        if snapshot.grain != grain {
            return other(format!("times to {:?}, not {grain:?}", snapshot.grain));
        }
        let mut ledger = self.ledger();
        if snapshot.epoch < ledger.epoch {
            return Err(SnapshotError::OlderEpoch { theirs: snapshot.epoch, ours: ledger.epoch });
        }
        let counts = |writer: &Writer| *writer == ledger.writer || ledger.others.contains_key(writer);
        let ours_too =
            snapshot.cells.iter().map(|theirs| &theirs.writer).any(|writer| ledger.inherited.contains(writer));
        if snapshot.epoch == ledger.epoch && (snapshot.inherited.iter().any(counts) || ours_too) {
            return Err(SnapshotError::Forked);
        }
        if snapshot.epoch > ledger.epoch {
            self.begin_epoch(&mut ledger, snapshot.epoch);
        }
        let grains = self.counter.grain().ticks(self.resolution()).expect("a tick is a whole number of grains");
        for theirs in &snapshot.cells {
            // Our own cells hold at least what a copy of them does.
            if theirs.writer == ledger.writer || theirs.cells.is_empty() && theirs.dropped.is_empty() {
                continue;
            }
            let copied = ledger.others.entry(theirs.writer).or_insert_with(|| Copied::new(theirs.slots, grains));
            copied.merge(&theirs.cells, &theirs.dropped);
        }
        for (&replica, &tally) in &snapshot.tallies {
            if replica != ledger.writer.replica {
                let ours = ledger.tallies.entry(replica).or_default();
                *ours = ours.max(tally);
            }
        }
        for writer in &snapshot.inherited {
            if !ledger.inherited.contains(writer) {
                ledger.inherited.push(*writer);
            }
        }
        self.merged.store(ledger.others.len() as u64, Ordering::Release);
        Ok(())
    }

    /// The ledger, under a writer of this process.
    ///
    /// A forked child has its parent's hits in its own slots and counts on in them. It becomes a writer of its own, whose
    /// hits include the inherited ones; merging them with the parent's would count those twice, so they are noted.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger.lock();
        let process = std::process::id();
        if ledger.process != process {
            let parent = std::mem::replace(&mut ledger.writer, Writer { replica: Replica::new(), generation: 0 });
            ledger.inherited.push(parent);
            ledger.forked = true;
            ledger.process = process;
        }
        ledger
    }

    /// How many grains `last` is.
    #[inline]
    fn ticks(&self, last: Duration) -> Result<u64, QueryError> {
        let grain = self.counter.grain();
        let ticks = grain.ticks(last).ok_or(QueryError::NotWhole { last, resolution: grain.width() })?;
        if ticks > self.window {
            return Err(QueryError::LongerThanWindow { last, window: self.window() });
        }
        Ok(ticks)
    }

    /// The hits of the `ticks` that end with `to`, if the last query's sum serves.
    #[inline(always)]
    fn recall(&self, to: Tick, ticks: u64) -> Option<u64> {
        if self.merged.load(Ordering::Acquire) == 0 { self.counter.recall(Span::ending(to, ticks)?) } else { None }
    }

    /// The hits of the `ticks` that end with `to`; `remember` is asked whether the next query may use the sum.
    fn sum(&self, to: Tick, ticks: u64, remember: impl FnOnce() -> bool) -> Reading {
        Span::ending(to, ticks).map_or(Reading::NONE, |span| self.sum_span(span, remember()))
    }

    fn sum_span(&self, span: Span, remember: bool) -> Reading {
        let reading = self.counter.sum(span, remember);
        if self.merged.load(Ordering::Acquire) == 0 {
            return reading;
        }
        let ledger = self.ledger.lock();
        ledger.others.values().map(|copied| copied.sum(span)).fold(reading, Reading::plus)
    }

    /// Whether a query at `to` may leave a sum behind: one in the future would make every hit before it a hit into a
    /// closed tick. Without a clock to go by, the future begins after the tick that follows the newest hit.
    fn is_past(&self, to: Tick) -> bool {
        to <= if self.guarded { self.clock.now() } else { Tick(self.counter.newest().0 + 1) }
    }

    #[cold]
    fn expired(&self, to: Tick, ticks: u64) -> QueryError {
        let grain = self.counter.grain();
        let last = grain.start(Tick(ticks)).as_duration();
        QueryError::WindowExpired { at: grain.start(to), last }
    }
}

/// Cells by tick, each tick once.
fn in_order(mut cells: Vec<Cell>) -> Vec<Cell> {
    cells.sort_unstable();
    cells.dedup_by(|next, kept| {
        let same = next.tick == kept.tick;
        if same {
            kept.count = kept.count.saturating_add(next.count);
        }
        same
    });
    cells
}

#[expect(clippy::cast_precision_loss, reason = "a rate is a float")]
fn per_second(count: u64, last: Duration) -> f64 {
    if last.is_zero() { 0.0 } else { count as f64 / last.as_secs_f64() }
}

impl Default for HitCounter {
    fn default() -> Self {
        Self::new()
    }
}

/// A counter with the same configuration, clock and hits, that counts on by itself.
impl Clone for HitCounter {
    fn clone(&self) -> Self {
        let geometry = *self.counter.geometry();
        let counter = Counter::new(self.counter.strategy(), geometry);
        let clone = Self::from_parts(self.clock.copy(), self.guarded, counter);
        clone.merge(&self.snapshot()).expect("a clone has the geometry and no epoch of its own");
        clone
    }
}

impl fmt::Debug for HitCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HitCounter")
            .field("window", &self.window())
            .field("resolution", &self.resolution())
            .field("slack", &self.slack())
            .field("strategy", &self.strategy())
            .field("max_skew", &self.max_skew())
            .field("clock", self.clock())
            .finish_non_exhaustive()
    }
}
