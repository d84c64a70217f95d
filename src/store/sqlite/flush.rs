//! [`Flusher`]: copies the hits of the ring into the database, once a second.
//!
//! ```text
//! flusher thread:  reads the changed lives --> parts of at most 4,096 cells, one at a time
//! commit thread:   commits a part between two batches of orders --> the flusher marks its lives as flushed
//! ```
//!
//! | pass | reads | writes |
//! |---|---|---|
//! | every | lives whose total differs from the mark, and lives that have ended | the cells since the life's last flush and the slack before it; all cells if these do not add up to the new hits, because some came late |
//! | the first, and one every half window | all lives | all cells of lives whose slots differ from the mark: a process was killed between a slot and its total |
//!
//! All numbers are absolute, and a write only raises them. So writing a part twice changes nothing, and a part that is lost with the
//! process is written by the next start. The commit thread skips a life that has ended since the flusher read it.
//!
//! The last part of a pass is synced to the disk, which also syncs the parts before it, and the writes with a key since the last sync.
//!
//! # A full disk
//! A part that fails ends the pass, and the next pass begins after the usual pause. Hits wait in the ring. If the ring reuses the slot of
//! a tick before it is flushed, the hits of the tick stay in the total alone. These hits are called *untimed*.
//!
//! Tests: `tests/store/flushes.rs`, `tests/python/integration/test_serve_flush.py`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::Connection;

use super::endpoints;
use crate::cell::writer::Writer;
use crate::shared::{LifeCells, SharedLedger, SharedRegistry};
use crate::store::StoreError;
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering};
use crate::time::Tick;
use crate::time::clock::SteadyClock;

/// How many cells, or lives, make a part. A part holds up orders for some milliseconds.
const PART: usize = 4_096;

/// What the database has of a life.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    pub total: u64,
    /// The tick of its last flush; 0 if this process has not flushed it.
    at: u64,
    /// The hits of the ticks from `at` less the slack on.
    recent: u64,
    /// A digest of all its cells.
    print: u64,
    /// Whether its rows are removed.
    has_ended: bool,
}

/// A part of a pass: the rows of one transaction.
#[derive(Debug, Default)]
pub struct Part {
    pub(super) lives: Vec<LifeRows>,
    pub(super) ended: Vec<Ended>,
    cells: usize,
    /// Whether its commit is synced to the disk.
    pub(super) is_last: bool,
}

impl Part {
    pub(super) fn is_empty(&self) -> bool {
        self.lives.is_empty() && self.ended.is_empty()
    }
}

/// A life, and the cells to write.
#[derive(Debug)]
pub(super) struct LifeRows {
    pub life: usize,
    pub endpoint: String,
    pub epoch: u64,
    pub cells: Vec<(Writer, Vec<(Tick, u64)>)>,
    /// Whether some new hits may be missing in the cells, because their slots were reused.
    pub is_unsure: bool,
    pub mark: Mark,
}

/// A life that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub life: usize,
    pub endpoint: String,
    pub epoch: u64,
}

/// A part, and the channel for its result.
pub type Handed = (Part, Sender<Result<(), StoreError>>);

/// How far the flush is. All threads read it.
#[derive(Debug)]
pub struct Progress {
    pub(super) shared: SharedLedger,
    /// 1 if something is committed and not synced to the disk.
    pub(super) unsynced: AtomicU32,
    /// The flushed hits of each life, by its number.
    flushed: Mutex<Vec<u64>>,
    /// Untimed hits in the database, and those that the next successful pass will add.
    pub(super) untimed: AtomicU64,
    will_be_untimed: AtomicU64,
    /// When the running pass began, in nanoseconds; 0 while no pass runs.
    begun: AtomicU64,
    /// How many lives the running pass has flushed.
    lives: AtomicU64,
    /// How long the last pass took, in nanoseconds.
    took: AtomicU64,
}

impl Progress {
    pub fn new(shared: SharedLedger) -> Self {
        let zero = || AtomicU64::new(0);
        let (flushed, untimed, will_be_untimed) = (Mutex::new(Vec::new()), zero(), zero());
        Self {
            shared,
            unsynced: AtomicU32::new(0),
            flushed,
            untimed,
            will_be_untimed,
            begun: zero(),
            lives: zero(),
            took: zero(),
        }
    }

    /// How many hits of the ring are not in the database now. Reads the totals of all lives.
    pub fn waiting(&self) -> u64 {
        let flushed = self.flushed.lock();
        let mut waiting = 0u64;
        self.shared.look(|life, total| {
            let flushed = flushed.get(life).copied().unwrap_or(0);
            waiting = waiting.saturating_add(total.unwrap_or(0).saturating_sub(flushed));
        });
        waiting
    }

    /// Notes how many hits of lives are flushed.
    fn note(&self, lives: impl Iterator<Item = (usize, u64)>) {
        let mut flushed = self.flushed.lock();
        for (life, total) in lives {
            if flushed.len() <= life {
                flushed.resize(life + 1, 0);
            }
            flushed[life] = total;
        }
    }

    /// How many hits are or will be in a total of the database alone, without their tick.
    pub fn untimed(&self) -> u64 {
        self.untimed.load(Ordering::Relaxed) + self.will_be_untimed.load(Ordering::Relaxed)
    }

    /// How long the last pass took.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.took.load(Ordering::Relaxed))
    }

    /// For how long the running pass has run, and how many endpoints it has flushed.
    pub fn pass(&self) -> Option<(Duration, u64)> {
        let begun = self.begun.load(Ordering::Relaxed);
        let since = Duration::from_nanos(SteadyClock.nanos(false).saturating_sub(begun));
        (begun != 0).then(|| (since, self.lives.load(Ordering::Relaxed)))
    }
}

/// Reads the ring in a thread of its own, and hands parts to the commit thread.
#[derive(Debug)]
pub struct Flusher {
    progress: Arc<Progress>,
    parts: Sender<Handed>,
    /// By the number of the life.
    marks: Vec<Mark>,
    slack: u64,
    slots: u64,
    every: Duration,
    /// Every so many passes one reads all lives.
    until_whole: u64,
}

impl Flusher {
    /// A flusher of `ring` that hands its parts to `parts`. Its marks begin with what the database has.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn new(
        ring: &SharedRegistry,
        connection: &Connection,
        progress: Arc<Progress>,
        every: Duration,
        parts: Sender<Handed>,
    ) -> rusqlite::Result<Self> {
        let slots = progress.shared.slots();
        let half = ring.window().as_nanos() / 2;
        let until_whole = (half / every.as_nanos().max(1)).max(1) as u64;
        let mut marks = vec![Mark::default(); progress.shared.lives()];
        endpoints::each(connection, |name, found| {
            if let Some((life, epoch)) = progress.shared.living(name)
                && epoch == found.epoch
                && let Some(mark) = marks.get_mut(life)
            {
                mark.total = found.counted;
                progress.note(std::iter::once((life, found.counted)));
            }
            Ok::<_, rusqlite::Error>(())
        })?;
        Ok(Self { progress, parts, marks, slack: ring.slack().into(), slots, every, until_whole })
    }

    /// Flushes after every pause, and once more when `ending` is dropped.
    pub fn run(mut self, ending: &Receiver<()>) {
        let mut passes = 0u64;
        loop {
            if self.pass(passes.is_multiple_of(self.until_whole)).is_ok() {
                passes += 1;
            }
            if ending.recv_timeout(self.every) != Err(RecvTimeoutError::Timeout) {
                // Once: a disk that refuses is not waited for.
                let _ = self.pass(false);
                return;
            }
        }
    }

    /// Flushes the lives that have changed; reads all lives if it is `whole`.
    ///
    /// # Errors
    /// Why the database refused a part. The parts before it are flushed.
    pub fn pass(&mut self, whole: bool) -> Result<(), StoreError> {
        let Self { progress, parts, marks, slack, slots, .. } = self;
        if progress.shared.is_gone() {
            return Ok(());
        }
        progress.lives.store(0, Ordering::Relaxed);
        progress.begun.store(SteadyClock.nanos(false), Ordering::Relaxed);
        let now = progress.shared.now().0;
        let oldest = Tick((now + 1).saturating_sub(*slots));
        marks.resize(marks.len().max(progress.shared.lives()), Mark::default());
        let marks = Cell::from_mut(&mut marks[..]).as_slice_of_cells();
        let (mut part, mut result, mut will_be_untimed) = (Part::default(), Ok(()), 0);
        let wanted = |life: usize, total: Option<u64>| {
            // A life that has begun since then is flushed by the next pass.
            let Some(mark) = marks.get(life).map(Cell::get) else { return false };
            total.map_or(!mark.has_ended, |total| whole || total != mark.total)
        };
        progress.shared.read_lives(wanted, |of| {
            // Not before another life comes: the last part of a pass is synced.
            if part.cells.max(part.lives.len()).max(part.ended.len()) >= PART {
                let full = std::mem::take(&mut part);
                if result.is_ok() {
                    result = hand(progress, parts, marks, full);
                }
            }
            let mark = marks[of.life].get();
            let row = match of.total {
                None => {
                    let endpoint = of.endpoint.to_owned();
                    part.ended.push(Ended { life: of.life, endpoint, epoch: of.epoch });
                    None
                }
                Some(total) => rows(of, total, mark, now, *slack, whole),
            };
            if let Some(row) = row {
                if mark.at < oldest.0 {
                    // No tick of the last flush is left in the ring, so all its cells are new.
                    let hits = sum(of.cells);
                    will_be_untimed += row.mark.total.saturating_sub(mark.total).saturating_sub(hits);
                }
                part.cells += row.cells.iter().map(|(_, cells)| cells.len()).sum::<usize>();
                part.lives.push(row);
            }
        });
        // Also without rows, if parts of this pass, or writes with a key, are not synced.
        if result.is_ok() && (!part.is_empty() || progress.unsynced.load(Ordering::Acquire) != 0) {
            part.is_last = true;
            result = hand(progress, parts, marks, part);
        }
        let will_be_untimed = if result.is_ok() { 0 } else { will_be_untimed };
        progress.will_be_untimed.store(will_be_untimed, Ordering::Relaxed);
        let begun = progress.begun.swap(0, Ordering::Relaxed);
        progress.took.store(SteadyClock.nanos(false).saturating_sub(begun), Ordering::Relaxed);
        result
    }
}

/// The rows of a life, or `None` if the database has them already.
fn rows(of: &LifeCells<'_>, total: u64, mark: Mark, now: u64, slack: u64, whole: bool) -> Option<LifeRows> {
    let from = |tick: u64| &of.cells[of.cells.partition_point(|&(at, _)| at.0 < tick)..];
    let print = of.cells.iter().fold(0u64, |print, &(tick, count)| {
        // Odd factors: different cells give different products.
        let mixed = (tick.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ count).wrapping_mul(0xff51_afd7_ed55_8ccd);
        print.wrapping_add(mixed ^ mixed >> 32)
    });
    let is_first = mark.at == 0;
    if total == mark.total && of.cells.is_empty() && of.former.is_empty() {
        return None;
    }
    if !is_first && total == mark.total && print == mark.print {
        return None;
    }
    let since = mark.at.saturating_sub(slack);
    let recent = from(since);
    let has_all = sum(recent).saturating_sub(mark.recent) == total.saturating_sub(mark.total);
    let is_all = whole || is_first || !has_all;
    let own = if is_all { of.cells } else { recent };
    // A cell that is not written is in no digest, so that the next pass of all lives writes it.
    let print = if is_all { print } else { 0 };
    let mut cells = if is_first { of.former.clone() } else { Vec::new() };
    cells.push((of.writer, own.to_vec()));
    let is_unsure = total > mark.total && (is_first || !has_all);
    let mark = Mark { total, at: now.max(1), recent: sum(from(now.saturating_sub(slack))), print, has_ended: false };
    Some(LifeRows { life: of.life, endpoint: of.endpoint.to_owned(), epoch: of.epoch, cells, is_unsure, mark })
}

fn sum(cells: &[(Tick, u64)]) -> u64 {
    cells.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
}

/// Hands a part to the commit thread, and marks its lives as flushed.
fn hand(progress: &Progress, parts: &Sender<Handed>, marks: &[Cell<Mark>], part: Part) -> Result<(), StoreError> {
    let news: Vec<(usize, Mark)> = part.lives.iter().map(|row| (row.life, row.mark)).collect();
    let ended: Vec<usize> = part.ended.iter().map(|ended| ended.life).collect();
    let (told, is_done) = bounded(1);
    let ending = || StoreError::Failed { why: "the server is ending".to_owned() };
    parts.send((part, told)).map_err(|_| ending())?;
    is_done.recv().map_err(|_| ending())??;
    progress.note(news.iter().map(|&(life, mark)| (life, mark.total)));
    for (life, new) in news {
        marks[life].set(new);
        progress.lives.fetch_add(1, Ordering::Relaxed);
    }
    for life in ended {
        marks[life].set(Mark { has_ended: true, ..Mark::default() });
    }
    Ok(())
}
