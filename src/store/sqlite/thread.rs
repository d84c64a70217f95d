//! [`SqliteStore`]: the queue of writes, and the thread that commits them.
//!
//! All writes that wait go into one transaction, so a commit to the disk serves as many as come during the one before.
//!
//! # A commit that failed
//! SQLite may have written a transaction into its log and failed to bring it to the disk. The transaction is not in the database then,
//! but a later start could find it in the log. So a write is refused only when that cannot be any more: when the thread has
//! committed another transaction, which lies in the same place of the log. Until then nothing is answered and nothing new is taken;
//! the thread opens the database anew and tries again each second.
//!
//! A panic of the thread ends the process: a transaction may be committed and not shown, and a start makes that good.
//!
//! Tests: below, `tests/python/integration/test_serve_resources.py`.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use rusqlite::Connection;

use super::commit::{Committer, Failure, Write, store_error};
use super::open::{Database, OpenError};
use super::resources;
use crate::shared::SharedRegistry;
use crate::store::{Done, Resource, Store, StoreError};
use crate::sync::{AtomicU32, Mutex, Ordering};

/// How many writes may wait.
pub const QUEUE: usize = 4_096;
/// How many are committed together.
const BATCH: usize = 1_024;
/// How long the thread waits before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// The database of a server. Dropping it does what waits, and ends the thread.
#[derive(Debug)]
pub struct SqliteStore {
    /// `None` once it is closed.
    open: Mutex<Option<Open>>,
    /// The same.
    reader: Mutex<Option<Connection>>,
    /// Whether a commit is unsettled: 0 or 1.
    unsettled: Arc<AtomicU32>,
}

#[derive(Debug)]
struct Open {
    queue: Sender<Write>,
    /// Dropped to tell the thread that it is not to wait for the disk any more.
    ending: Sender<()>,
    thread: JoinHandle<()>,
}

impl SqliteStore {
    /// Starts the thread. At most `most` writes wait for it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn start(database: Database, ring: Arc<SharedRegistry>, most: usize) -> Result<Self, OpenError> {
        let reader = Mutex::new(Some(database.reader()?));
        let (queue, writes) = bounded(most);
        let (ending, is_ending) = bounded(0);
        let unsettled = Arc::new(AtomicU32::new(0));
        let path = database.path().to_owned();
        let body = {
            let unsettled = Arc::clone(&unsettled);
            move || {
                let _ends = AbortOnPanic;
                write_all(&mut Committer::new(database, ring), &writes, &is_ending, &unsettled);
            }
        };
        let thread = std::thread::Builder::new().name("hitring-commit".to_owned()).spawn(body);
        let thread = thread.map_err(|error| OpenError::Failed { path, why: error.to_string() })?;
        Ok(Self { open: Mutex::new(Some(Open { queue, ending, thread })), reader, unsettled })
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        match &*self.reader.lock() {
            Some(reader) => read(reader).map_err(|error| store_error(&error)),
            None => Err(StoreError::Failed { why: "the server is ending".to_owned() }),
        }
    }

    fn submit(&self, write: Write) {
        let refused = match self.check() {
            Err(error) => Some((write, error)),
            Ok(()) => match &*self.open.lock() {
                None => Some((write, StoreError::Busy)),
                Some(open) => match open.queue.try_send(write) {
                    Ok(()) => None,
                    Err(TrySendError::Full(write) | TrySendError::Disconnected(write)) => {
                        Some((write, StoreError::Busy))
                    }
                },
            },
        };
        if let Some((write, error)) = refused {
            answer(write, error);
        }
    }
}

impl Store for SqliteStore {
    fn create(&self, resource: Resource, endpoint: String, done: Done<()>) {
        self.submit(Write::Create { resource, endpoint, done });
    }

    fn delete(&self, id: String, endpoint: String, done: Done<bool>) {
        self.submit(Write::Delete { id, endpoint, done });
    }

    fn resource(&self, id: &str) -> Result<Option<Resource>, StoreError> {
        self.read(|reader| resources::find(reader, id))
    }

    fn resources(&self, after: &str, most: usize) -> Result<Vec<Resource>, StoreError> {
        self.read(|reader| resources::after(reader, after, most))
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.unsettled.load(Ordering::Relaxed) == 0 { Ok(()) } else { Err(StoreError::Unsettled) }
    }

    fn waiting(&self) -> usize {
        self.open.lock().as_ref().map_or(0, |open| open.queue.len())
    }

    fn close(&self) {
        let Some(Open { queue, ending, thread }) = self.open.lock().take() else { return };
        // Before the thread's: the last connection takes the log into the file, and this one may not write.
        *self.reader.lock() = None;
        drop((queue, ending));
        // It panics only into an abort.
        let _ = thread.join();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// Refuses a write.
fn answer(write: Write, error: StoreError) {
    match write {
        Write::Create { done, .. } => done(Err(error)),
        Write::Delete { done, .. } => done(Err(error)),
    }
}

/// Does writes until there are no senders any more.
fn write_all(committer: &mut Committer, writes: &Receiver<Write>, is_ending: &Receiver<()>, unsettled: &AtomicU32) {
    while let Ok(first) = writes.recv() {
        let batch = std::iter::once(first).chain(writes.try_iter()).take(BATCH).collect();
        let (error, batch) = match committer.run(batch) {
            Ok(()) => continue,
            Err((Failure::Undone(error), batch)) => (error, batch),
            Err((Failure::Unsettled(error), batch)) => {
                unsettled.store(1, Ordering::Relaxed);
                if !settled(committer, is_ending) {
                    // The server ends. The clients' connections are closed without an answer.
                    return;
                }
                unsettled.store(0, Ordering::Relaxed);
                (error, batch)
            }
        };
        batch.into_iter().for_each(|write| answer(write, error.clone()));
    }
}

/// Tries until the failed commit cannot come back; false if the server ends before.
fn settled(committer: &mut Committer, is_ending: &Receiver<()>) -> bool {
    while committer.settle().is_err() {
        if is_ending.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
            return false;
        }
        if let Ok(database) = Database::open(committer.database.path()) {
            committer.database = database;
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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::commit::{Recovered, recover};
    use super::*;
    use crate::time::Timestamp;

    /// A data directory of the test's own.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("hitring-thread-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("it can be made");
            Self(folder)
        }

        fn database(&self) -> Database {
            Database::open(&self.0.join("hitring.db")).expect("it is whole")
        }

        fn ring(&self, max_endpoints: u32) -> Arc<SharedRegistry> {
            let ring = SharedRegistry::builder().max_endpoints(max_endpoints).create(self.0.join("hits.ring"));
            Arc::new(ring.expect("it is whole"))
        }

        fn store(&self, ring: &Arc<SharedRegistry>, most: usize) -> SqliteStore {
            SqliteStore::start(self.database(), Arc::clone(ring), most).expect("it starts")
        }

        fn recover(&self, ring: &SharedRegistry) -> Recovered {
            recover(&mut self.database(), ring, |id| Some(endpoint(id))).expect("it is whole")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn endpoint(id: &str) -> String {
        format!("hits/{id}")
    }

    fn resource(id: &str) -> Resource {
        let created = Timestamp::new(1_700_000_000, 123_456_000).expect("a time");
        Resource { id: id.to_owned(), name: format!("name of {id}"), created }
    }

    /// Hands a write over, and answers where its end is told.
    fn told<T: Send + 'static>(write: impl FnOnce(Done<T>)) -> Receiver<Result<T, StoreError>> {
        let (sender, receiver) = bounded(1);
        write(Box::new(move |done| sender.send(done).expect("it is waited for")));
        receiver
    }

    fn create(store: &SqliteStore, id: &str) -> Receiver<Result<(), StoreError>> {
        told(|done| store.create(resource(id), endpoint(id), done))
    }

    fn delete(store: &SqliteStore, id: &str) -> Receiver<Result<bool, StoreError>> {
        told(|done| store.delete(id.to_owned(), endpoint(id), done))
    }

    fn end<T>(told: &Receiver<T>) -> T {
        told.recv_timeout(Duration::from_secs(20)).expect("it ends")
    }

    /// A commit fails as often as the answer says, as it does where the log cannot be brought to the disk.
    fn failing_commits(committer: &mut Committer, times: u32) -> Arc<AtomicU32> {
        let left = Arc::new(AtomicU32::new(times));
        let counts = Arc::clone(&left);
        let fails =
            move || counts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        committer.database.connection.commit_hook(Some(fails)).expect("a hook");
        left
    }

    fn writes(all: &[(&str, bool)]) -> Vec<Write> {
        let write = |&(id, is_delete): &(&str, bool)| {
            let (id, endpoint) = (id.to_owned(), endpoint(id));
            match is_delete {
                true => Write::Delete { id, endpoint, done: Box::new(drop) },
                false => Write::Create { resource: resource(&id), endpoint, done: Box::new(drop) },
            }
        };
        all.iter().map(write).collect()
    }

    #[test]
    fn resources_are_made_listed_and_removed_with_their_hits() {
        let folder = Folder::new("made");
        let ring = folder.ring(20);
        {
            let store = folder.store(&ring, QUEUE);
            for id in ["b", "a", "c"] {
                assert_eq!(end(&create(&store, id)), Ok(()));
                assert!(ring.contains(&endpoint(id)));
            }
            assert_eq!(store.resources("", 2), Ok(vec![resource("a"), resource("b")]));
            assert_eq!(store.resources("b", 2), Ok(vec![resource("c")]));
            assert_eq!((store.resource("b"), store.resource("d")), (Ok(Some(resource("b"))), Ok(None)));
            for id in ["b", "made by its first hit"] {
                ring.record_hit(&endpoint(id), 5).expect("a name");
            }
            assert_eq!((end(&delete(&store, "b")), end(&delete(&store, "b"))), (Ok(true), Ok(false)));
            assert_eq!(end(&delete(&store, "made by its first hit")), Ok(true));
            assert_eq!((store.resource("b"), ring.total_ever(&endpoint("b"))), (Ok(None), 0));
        }
        assert_eq!(folder.recover(&ring), Recovered::default());
        let store = folder.store(&ring, QUEUE);
        assert_eq!(store.resources("", 9), Ok(vec![resource("a"), resource("c")]));
    }

    #[test]
    fn a_ring_without_room_makes_no_resource() {
        let folder = Folder::new("room");
        let ring = folder.ring(2);
        let store = folder.store(&ring, QUEUE);
        assert_eq!(end(&create(&store, "a")), Ok(()));
        ring.record_hit("other", 1).expect("a name");
        assert_eq!(end(&create(&store, "b")), Err(StoreError::NoRoom));
        assert_eq!(store.resources("", 9), Ok(vec![resource("a")]));
    }

    #[test]
    fn a_start_does_what_a_killed_server_left() {
        let folder = Folder::new("killed");
        let ring = folder.ring(20);
        let committed = |all: &[(&str, bool)]| {
            let mut committer = Committer::new(folder.database(), Arc::clone(&ring));
            // It is killed before it takes the transaction to the ring.
            committer.transact(&writes(all)).expect("it is committed");
        };
        committed(&[("a", false), ("b", false)]);
        assert!(!ring.contains(&endpoint("a")));
        assert_eq!(folder.recover(&ring), Recovered { begun: 2, ..Recovered::default() });
        for id in ["a", "b", "c"] {
            ring.record_hit(&endpoint(id), 7).expect("a name");
        }
        committed(&[("a", true), ("c", true)]);
        // While the server is down, another process removes one of them and counts under the name again.
        assert!(ring.remove(&endpoint("c")).expect("it can be written"));
        ring.record_hit(&endpoint("c"), 1).expect("a name");
        assert_eq!(folder.recover(&ring), Recovered { removals: 1, ..Recovered::default() });
        let totals = ["a", "b", "c"].map(|id| ring.total_ever(&endpoint(id)));
        assert_eq!((totals, ring.contains(&endpoint("a"))), ([0, 7, 1], false));
        assert_eq!(folder.recover(&ring), Recovered::default());
        // A ring that was lost is begun anew for them.
        std::fs::remove_file(folder.0.join("hits.ring")).expect("it is there");
        assert_eq!(folder.recover(&folder.ring(20)), Recovered { begun: 1, ..Recovered::default() });
    }

    #[test]
    fn a_removal_that_is_ended_twice_takes_no_later_hits() {
        let folder = Folder::new("twice");
        let ring = folder.ring(20);
        {
            let store = folder.store(&ring, QUEUE);
            assert_eq!(end(&create(&store, "a")), Ok(()));
            assert_eq!(end(&delete(&store, "a")), Ok(true));
            // The note of the removal is still there.
            ring.record_hit(&endpoint("a"), 3).expect("a name");
        }
        assert_eq!(folder.recover(&ring), Recovered::default());
        assert_eq!(ring.total_ever(&endpoint("a")), 3);
    }

    #[test]
    fn a_full_queue_and_a_lock_refuse_and_do_nothing() {
        let folder = Folder::new("queue");
        let ring = folder.ring(20);
        let store = folder.store(&ring, 2);
        let other = folder.database().connection;
        other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
        let first = create(&store, "a");
        // The thread has taken it, and waits for the lock.
        while store.open.lock().as_ref().is_some_and(|open| !open.queue.is_empty()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let rest = ["b", "c", "d", "e"].map(|id| create(&store, id));
        assert_eq!([&rest[2], &rest[3]].map(end), [Err(StoreError::Busy), Err(StoreError::Busy)]);
        assert!(first.is_empty() && rest[0].is_empty());
        other.execute_batch("ROLLBACK").expect("it has begun");
        assert_eq!([&first, &rest[0], &rest[1]].map(end), [Ok(()), Ok(()), Ok(())]);
        assert_eq!(store.resources("", 9), Ok(["a", "b", "c"].map(resource).to_vec()));
    }

    #[test]
    fn a_commit_that_failed_is_settled_before_anything_is_answered() {
        let folder = Folder::new("unsettled");
        let ring = folder.ring(20);
        let mut committer = Committer::new(folder.database(), Arc::clone(&ring));
        // The commit fails, and the first that is to take its place, too.
        let left = failing_commits(&mut committer, 2);
        let (queue, taken) = bounded(9);
        let (_ending, is_ending) = bounded(0);
        let unsettled = AtomicU32::new(0);
        let mut all = writes(&[("a", false), ("b", false)]);
        let told = told(|done: Done<()>| match &mut all[0] {
            Write::Create { done: there, .. } => *there = done,
            Write::Delete { .. } => unreachable!("the first is made"),
        });
        let all: Vec<Write> = all;
        std::thread::scope(|scope| {
            scope.spawn(|| write_all(&mut committer, &taken, &is_ending, &unsettled));
            all.into_iter().for_each(|write| queue.send(write).expect("there is room"));
            assert!(matches!(end(&told), Err(StoreError::Failed { .. })));
            assert_eq!((left.load(Ordering::Relaxed), unsettled.load(Ordering::Relaxed)), (0, 0));
            drop(queue);
        });
        // The database was opened anew, so later commits do not fail.
        assert_eq!(committer.run(writes(&[("c", false)])).map_err(|(failure, _)| failure), Ok(()));
        let there = ids(committer.database.path());
        assert!(!there.contains(&"a".to_owned()) && there.contains(&"c".to_owned()), "{there:?}");
    }

    fn ids(path: &Path) -> Vec<String> {
        let mut ids = Vec::new();
        let database = Database::open(path).expect("it is whole");
        resources::each_id(&database.connection, |id| ids.push(id.to_owned())).expect("rows");
        ids
    }
}
