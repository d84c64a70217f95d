//! [`SqliteStore`]: the queue of orders, and the thread that commits them.
//!
//! All orders that wait go into one transaction, so a commit to the disk serves as many as come during the one before. The commit goes to
//! the disk if one of them wants that.
//!
//! # A commit that failed
//! SQLite may have written a transaction into its log and failed to bring it to the disk. The transaction is not in the database then,
//! but a later start could find it in the log. So an order is refused only when that cannot be any more: when the thread has
//! committed another transaction, which lies in the same place of the log. Until then nothing is answered and nothing new is taken;
//! the thread opens the database anew and tries again each second.
//!
//! The parts of a flush (flush.rs) are committed between batches. A part whose commit failed may be in the log. Its numbers are right
//! anyway, so it needs no settling.
//!
//! A panic of the thread ends the process: a transaction may be committed and not shown, and a start makes that good.
//!
//! Tests: `tests/store`, `tests/python/integration/test_serve_resources.py`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, Sender, TrySendError, bounded, never, select_biased};
use rusqlite::Connection;

use super::commit::{Bases, Committer, Failure, UnderWay, Waiting, store_error};
use super::flush::{Flusher, Handed, Progress};
use super::open::OpenError;
use super::resources;
use crate::store::{Answered, Base, Done, Order, Resource, Store, StoreError};
use crate::sync::{AtomicU32, Mutex, Ordering};

/// How many orders may wait.
pub const QUEUE: usize = 4_096;
/// How many are committed together.
const BATCH: usize = 1_024;
/// How long the thread waits before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// The database of a server. Closing it does what waits, and ends the thread.
#[derive(Debug)]
pub struct SqliteStore {
    /// `None` once it is closed.
    open: Mutex<Option<Open>>,
    /// The same.
    reader: Mutex<Option<Connection>>,
    under_way: UnderWay,
    bases: Bases,
    progress: Arc<Progress>,
    state: Arc<State>,
}

/// How it stands with the database.
#[derive(Debug)]
struct State {
    path: PathBuf,
    /// The device and the number of the file that is open.
    file: (u64, u64),
    /// Whether another file has its name, as of the last look: 0 or 1.
    lost: AtomicU32,
    /// Whether a commit is unsettled: 0 or 1.
    unsettled: AtomicU32,
    /// Why the last batch failed, if it did.
    failure: Mutex<Option<StoreError>>,
}

#[derive(Debug)]
struct Open {
    queue: Sender<Waiting>,
    /// Dropped to tell the thread that it is not to wait for the disk any more.
    ending: Sender<()>,
    thread: JoinHandle<()>,
    /// The thread that reads the ring, and what tells it to end.
    flusher: JoinHandle<()>,
    last: Sender<()>,
}

impl SqliteStore {
    /// Starts the threads. At most `most` orders wait; the ring is flushed `every` so often.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn start(mut committer: Committer, most: usize, every: Duration) -> Result<Self, OpenError> {
        committer.database.accept()?;
        let reader = Mutex::new(Some(committer.database.reader()?));
        let (queue, orders) = bounded(most);
        let (ending, is_ending) = bounded(0);
        let path = committer.database.path().to_owned();
        let failed = |error: io::Error| OpenError::Failed { path: path.clone(), why: error.to_string() };
        let state = Arc::new(State {
            file: file_of(&path).map_err(failed)?,
            path: path.clone(),
            lost: AtomicU32::new(0),
            unsettled: AtomicU32::new(0),
            failure: Mutex::new(None),
        });
        let (handed, parts) = bounded(0);
        let progress = Arc::clone(&committer.progress);
        let flusher =
            Flusher::new(&committer.ring, &committer.database.connection, Arc::clone(&progress), every, handed);
        let flusher = flusher.map_err(|error| committer.database.error(error))?;
        let (under_way, bases) = (committer.under_way.clone(), committer.bases.clone());
        let body = {
            let state = Arc::clone(&state);
            move || {
                let _ends = AbortOnPanic;
                work(&mut committer, orders, parts, &is_ending, &state);
            }
        };
        let thread = std::thread::Builder::new().name("hitring-commit".to_owned()).spawn(body);
        let thread = thread.map_err(failed)?;
        let (last, is_last) = bounded(0);
        let body = move || {
            let _ends = AbortOnPanic;
            flusher.run(&is_last);
        };
        let flusher = std::thread::Builder::new().name("hitring-flush".to_owned()).spawn(body);
        let flusher = flusher.map_err(failed)?;
        let open = Mutex::new(Some(Open { queue, ending, thread, flusher, last }));
        Ok(Self { open, reader, under_way, bases, progress, state })
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        match &*self.reader.lock() {
            Some(reader) => read(reader).map_err(|error| store_error(&error)),
            None => Err(StoreError::Failed { why: "the server is ending".to_owned() }),
        }
    }
}

impl Store for SqliteStore {
    fn submit(&self, order: Order, done: Done) {
        let refused = match (self.state.takes(), &*self.open.lock()) {
            (Err(error), _) => Some((done, error)),
            (Ok(()), None) => Some((done, StoreError::Busy)),
            (Ok(()), Some(open)) => match open.queue.try_send(Waiting { order, done }) {
                Ok(()) => None,
                Err(TrySendError::Full(Waiting { done, .. }) | TrySendError::Disconnected(Waiting { done, .. })) => {
                    Some((done, StoreError::Busy))
                }
            },
        };
        if let Some((done, error)) = refused {
            done(Err(error));
        }
    }

    fn resource(&self, id: &str) -> Result<Option<Resource>, StoreError> {
        self.read(|reader| resources::find(reader, id))
    }

    fn resources(&self, after: &str, most: usize) -> Result<Vec<Resource>, StoreError> {
        self.read(|reader| resources::after(reader, after, most))
    }

    fn base(&self, endpoint: &str) -> Option<Base> {
        self.bases.find(endpoint)
    }

    fn is_under_way(&self, endpoint: &str) -> bool {
        self.under_way.has(endpoint)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.state.takes()?;
        self.state.failure.lock().clone().map_or(Ok(()), Err)
    }

    fn look(&self) {
        // Not opened: to close it would give back the locks that SQLite has.
        let is_lost = file_of(&self.state.path).ok() != Some(self.state.file);
        self.state.lost.store(is_lost.into(), Ordering::Relaxed);
    }

    fn waiting(&self) -> usize {
        self.open.lock().as_ref().map_or(0, |open| open.queue.len())
    }

    fn close(&self) {
        let Some(Open { queue, ending, thread, flusher, last }) = self.open.lock().take() else { return };
        // Before the thread's: the last connection takes the log into the file, and this one may not write.
        *self.reader.lock() = None;
        drop((queue, ending, last));
        // A panic in either thread aborts the process. The flusher ends first: its last pass needs the commit thread.
        let _ = (flusher.join(), thread.join());
    }

    fn unflushed(&self) -> u64 {
        self.progress.waiting()
    }

    fn untimed(&self) -> u64 {
        self.progress.untimed()
    }

    fn took(&self) -> Duration {
        self.progress.took()
    }

    fn pass(&self) -> Option<(Duration, u64)> {
        self.progress.pass()
    }
}

impl State {
    /// Whether orders are taken.
    fn takes(&self) -> Result<(), StoreError> {
        if self.lost.load(Ordering::Relaxed) != 0 {
            return Err(StoreError::Lost);
        }
        if self.unsettled.load(Ordering::Relaxed) == 0 { Ok(()) } else { Err(StoreError::Unsettled) }
    }
}

fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|data| (data.dev(), data.ino()))
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// The next thing to do.
enum Next {
    Order(Waiting),
    Part(Handed),
    /// The senders of orders, or of parts, are gone.
    NoOrders,
    NoParts,
}

/// Waits for the next order or part. Parts come first: the flusher sends one at a time.
fn next(orders: &Receiver<Waiting>, parts: &Receiver<Handed>) -> Next {
    select_biased! {
        recv(parts) -> part => part.map_or_else(|RecvError| Next::NoParts, Next::Part),
        recv(orders) -> order => order.map_or_else(|RecvError| Next::NoOrders, Next::Order),
    }
}

/// Does orders and writes parts until all senders are dropped.
fn work(
    committer: &mut Committer,
    mut orders: Receiver<Waiting>,
    mut parts: Receiver<Handed>,
    is_ending: &Receiver<()>,
    state: &State,
) {
    let (mut waiting, mut left) = (Vec::new(), 2);
    // A sync has failed: frames of the log may not be on the disk, and a later sync would not bring them there.
    let mut is_unsynced = false;
    while left > 0 || !waiting.is_empty() {
        if waiting.is_empty() {
            match next(&orders, &parts) {
                Next::Order(first) => waiting.push(first),
                Next::Part(part) => flush(committer, part, &mut is_unsynced, state),
                Next::NoOrders => (orders, left) = (never(), left - 1),
                Next::NoParts => (parts, left) = (never(), left - 1),
            }
        }
        if waiting.is_empty() {
            continue;
        }
        // Also while orders never cease to wait, as those that set one name again and again.
        if let Ok(part) = parts.try_recv() {
            flush(committer, part, &mut is_unsynced, state);
        }
        waiting.extend(orders.try_iter().take(BATCH.saturating_sub(waiting.len())));
        // Before the batch: a batch that is refused may take places of the ring.
        if let Err(error) = settle(committer, &mut is_unsynced) {
            refuse(committer, std::mem::take(&mut waiting), &error);
            continue;
        }
        let later = waiting.split_off(Committer::batch(&waiting));
        let batch = std::mem::replace(&mut waiting, later);
        let (error, batch) = match committer.run(batch) {
            Ok(()) => {
                *state.failure.lock() = None;
                continue;
            }
            Err((Failure::Undone(error), mut batch)) => {
                if error == StoreError::Locked {
                    // The others have waited as long.
                    batch.extend(waiting.drain(..).chain(orders.try_iter()));
                }
                (error, batch)
            }
            Err((Failure::Unsettled(error), batch)) => {
                state.unsettled.store(1, Ordering::Relaxed);
                if !settled(committer, is_ending) {
                    // The server ends. The clients' connections are closed without an answer.
                    return;
                }
                state.unsettled.store(0, Ordering::Relaxed);
                (error, batch)
            }
        };
        is_unsynced |= matches!(error, StoreError::Full | StoreError::Disk { .. });
        *state.failure.lock() = Some(error.clone());
        refuse(committer, batch, &error);
    }
}

/// Commits a part of a flush. The flusher waits for the result.
fn flush(committer: &mut Committer, (part, told): Handed, is_unsynced: &mut bool, state: &State) {
    let written = state.takes().and_then(|()| settle(committer, is_unsynced)).and_then(|()| committer.flush(&part));
    *is_unsynced |= matches!(written, Err(StoreError::Full | StoreError::Disk { .. }));
    *state.failure.lock() = written.clone().err();
    let _ = told.send(written);
}

/// Brings the log to the disk, if a sync has failed since it was there.
fn settle(committer: &mut Committer, is_unsynced: &mut bool) -> Result<(), StoreError> {
    if *is_unsynced {
        committer.settle().map_err(|error| store_error(&error))?;
        *is_unsynced = false;
    }
    Ok(())
}

/// Refuses orders, but for those that were done before: they are answered as the first time.
fn refuse(committer: &Committer, batch: Vec<Waiting>, error: &StoreError) {
    for Waiting { order, done } in batch {
        done(match committer.replay(&order) {
            Some(answer) if !order.is_disk => Ok(Answered { answer, is_replay: true }),
            _ => Err(error.clone()),
        });
    }
}

/// Tries until the failed commit cannot come back; false if the server ends before.
fn settled(committer: &mut Committer, is_ending: &Receiver<()>) -> bool {
    while committer.settle().is_err() {
        if is_ending.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
            return false;
        }
        if let Ok(connection) = committer.database.again() {
            committer.database.connection = connection;
        }
    }
    true
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
