//! The database of the server: orders in batches, what a kill leaves between the database and the ring, keys, and a thread that
//! refuses what it cannot do.

mod batches;
mod flushes;
mod losses;
mod readers;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use hitring::store::sqlite::commit::{Committer, Waiting};
use hitring::store::sqlite::flushed::KEEP;
use hitring::store::sqlite::keys::Limits;
use hitring::store::sqlite::open::Database;
use hitring::store::sqlite::recover::Recovered;
use hitring::store::sqlite::resources;
use hitring::store::sqlite::thread::{QUEUE, SqliteStore};
use hitring::store::{Act, Answer, Answered, Effect, Key, Order, Resource, Store, StoreError};
use hitring::{ManualClock, Outcome, SharedRegistry, Timestamp};

const START: u64 = 1_700_000_000;
const MINUTE: Duration = Duration::from_secs(60);

fn at(second: u64) -> Timestamp {
    Timestamp::try_from(second).expect("before the year 9999")
}

/// A data directory of the test's own, by a clock that is moved by hand.
struct Folder(PathBuf, ManualClock);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("hitring-store-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        // In memory: each commit is brought to the disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.join(name) } else { std::env::temp_dir().join(name) };
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("it can be made");
        Self(folder, ManualClock::new(at(START)))
    }

    fn database(&self) -> Database {
        let database = Database::open(&self.0.join("hitring.db")).expect("it is whole");
        database.accept().expect("it is open");
        database
    }

    fn ring(&self, max_endpoints: u32) -> Arc<SharedRegistry> {
        let ring = SharedRegistry::builder().window(MINUTE).max_endpoints(max_endpoints).clock(self.1.clone());
        Arc::new(ring.create(self.0.join("hits.ring")).expect("it is whole"))
    }

    fn committer(&self, ring: &Arc<SharedRegistry>) -> Committer {
        Committer::new(self.database(), Arc::clone(ring), Limits::default(), KEEP).expect("it is whole")
    }

    fn store(&self, ring: &Arc<SharedRegistry>, most: usize) -> SqliteStore {
        let mut committer = self.committer(ring);
        recovered(&mut committer);
        SqliteStore::start(committer, most, Duration::from_secs(1)).expect("it starts")
    }

    /// What a start finds left to do.
    fn recover(&self, ring: &Arc<SharedRegistry>) -> Recovered {
        recovered(&mut self.committer(ring))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn recovered(committer: &mut Committer) -> Recovered {
    committer.recover(|id| Some(endpoint(id)), |endpoint| endpoint.starts_with("hits/made")).expect("it is whole")
}

fn endpoint(id: &str) -> String {
    format!("hits/{id}")
}

fn resource(id: &str) -> Resource {
    let created = Timestamp::new(START, 123_456_000).expect("a time");
    Resource { id: id.to_owned(), name: format!("name of {id}"), created }
}

fn create(id: &str) -> Act {
    Act::Create { resource: resource(id), endpoint: endpoint(id) }
}

fn delete(id: &str) -> Act {
    Act::Delete { id: Some(id.to_owned()), endpoint: endpoint(id) }
}

fn set(id: &str, value: u64) -> Act {
    Act::Set { endpoint: endpoint(id), value }
}

fn hit(id: &str, count: u64) -> Act {
    Act::Hit { endpoint: endpoint(id), count, at: None, visitor: None, creates: true }
}

fn key(key: &str, request: &str) -> Option<Key> {
    Some(Key { key: key.to_owned(), request: request.as_bytes().to_vec() })
}

/// An order whose answer says what was done.
fn order(act: Act, key: Option<Key>) -> Order {
    let answer = |effect: Effect| {
        let (status, body) = match effect {
            Effect::Created => (201, String::new()),
            Effect::Deleted => (204, String::new()),
            Effect::Set => (200, String::new()),
            Effect::Counted { value } => (200, value.to_string()),
        };
        Answer { status, headers: vec![("location".to_owned(), "/here".to_owned())], body: body.into_bytes() }
    };
    Order { act, key, is_disk: true, answer: Box::new(answer) }
}

type Ended = Result<Answered, StoreError>;
type Told = Receiver<Ended>;

/// An order, and the channel that receives its result.
fn waiting(act: Act, key: Option<Key>) -> (Waiting, Told) {
    let (sender, told) = bounded(1);
    let done = move |answered| sender.send(answered).expect("it is waited for");
    (Waiting { order: order(act, key), done: Box::new(done) }, told)
}

fn sent(store: &SqliteStore, act: Act) -> Told {
    let (Waiting { order, done }, told) = waiting(act, None);
    store.submit(order, done);
    told
}

/// The status of an answer.
fn end(told: &Told) -> Result<u16, StoreError> {
    told.recv_timeout(Duration::from_secs(20)).expect("it ends").map(|answered| answered.answer.status)
}

/// Does one order in a batch of its own; answers its body and whether it was done before.
fn done(committer: &mut Committer, act: Act, key: Option<Key>) -> Result<(String, bool), StoreError> {
    let (waiting, told) = waiting(act, key);
    assert!(committer.run(vec![waiting]).is_ok());
    let answered = told.try_recv().expect("it is told")?;
    Ok((String::from_utf8(answered.answer.body).expect("a text"), answered.is_replay))
}

/// Commits a batch and shows nothing of it, as a server does that is killed in between.
fn committed(folder: &Folder, ring: &Arc<SharedRegistry>, acts: Vec<Act>) {
    let mut committer = folder.committer(ring);
    recovered(&mut committer);
    let mut batch: Vec<Waiting> = acts.into_iter().map(|act| waiting(act, None).0).collect();
    assert!(committer.transact(&mut batch).is_ok());
}

fn counted(ring: &SharedRegistry, id: &str) -> (u64, u64) {
    (ring.query_hits(&endpoint(id), MINUTE).expect("exact").count, ring.total_ever(&endpoint(id)))
}

/// The value of an endpoint, as the server answers it; 0 if the endpoint does not exist.
fn value(committer: &Committer, ring: &SharedRegistry, id: &str) -> u64 {
    if !ring.contains(&endpoint(id)) {
        return 0;
    }
    let base = committer.bases.find(&endpoint(id)).filter(|base| base.epoch == ring.epoch(&endpoint(id)));
    ring.total_ever(&endpoint(id)).saturating_add_signed(base.map_or(0, |base| base.base))
}

#[test]
fn resources_are_made_listed_and_removed_with_their_hits() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    {
        let store = folder.store(&ring, QUEUE);
        for id in ["b", "a", "c"] {
            assert_eq!(end(&sent(&store, create(id))), Ok(201));
            assert!(ring.contains(&endpoint(id)) && !store.is_under_way(&endpoint(id)));
        }
        assert_eq!(store.resources("", 2), Ok(vec![resource("a"), resource("b")]));
        assert_eq!(store.resources("b", 2), Ok(vec![resource("c")]));
        assert_eq!((store.resource("b"), store.resource("d")), (Ok(Some(resource("b"))), Ok(None)));
        for id in ["b", "made by its first hit"] {
            ring.record_hit(&endpoint(id), 5).expect("a name");
            assert_eq!(end(&sent(&store, hit(id, 2))), Ok(200));
        }
        // Both at once: one of them does it.
        let both = [sent(&store, delete("b")), sent(&store, delete("b"))];
        assert_eq!(both.each_ref().map(end), [Ok(204), Err(StoreError::Unknown)]);
        assert_eq!(end(&sent(&store, delete("made by its first hit"))), Ok(204));
        assert_eq!((store.resource("b"), counted(&ring, "b")), (Ok(None), (0, 0)));
    }
    assert_eq!(folder.recover(&ring), Recovered::default());
    let store = folder.store(&ring, QUEUE);
    assert_eq!(store.resources("", 9), Ok(vec![resource("a"), resource("c")]));
    assert_eq!(counted(&ring, "b"), (0, 0));
}

#[test]
fn a_ring_without_room_makes_nothing() {
    let folder = Folder::new();
    let ring = folder.ring(2);
    let store = folder.store(&ring, QUEUE);
    assert_eq!(end(&sent(&store, create("a"))), Ok(201));
    ring.record_hit("other", 1).expect("a name");
    assert_eq!(end(&sent(&store, create("b"))), Err(StoreError::NoRoom));
    assert_eq!(end(&sent(&store, hit("c", 1))), Err(StoreError::NoRoom));
    assert_eq!(store.resources("", 9), Ok(vec![resource("a")]));
}

#[test]
fn a_start_does_what_a_killed_server_left() {
    let folder = Folder::new();
    let ring = folder.ring(60);
    committed(&folder, &ring, vec![create("a"), create("b"), hit("hit", 3), hit("hit", 4)]);
    assert_eq!(counted(&ring, "hit"), (0, 0), "it is not shown");
    for _ in 0..2 {
        assert_eq!(folder.recover(&ring), Recovered::default());
        assert_eq!(counted(&ring, "hit"), (7, 7));
    }
    for id in ["a", "b", "c"] {
        ring.record_hit(&endpoint(id), 7).expect("a name");
    }
    committed(&folder, &ring, vec![hit("a", 5), delete("a"), delete("c"), delete("hit")]);
    // While the server is down, another process removes one of them and counts under the name again.
    assert!(ring.remove(&endpoint("c")).expect("it can be written"));
    ring.record_hit(&endpoint("c"), 1).expect("a name");
    assert_eq!(folder.recover(&ring), Recovered { removals: 2, ..Recovered::default() });
    let totals = ["a", "b", "c", "hit"].map(|id| ring.total_ever(&endpoint(id)));
    assert_eq!((totals, ring.contains(&endpoint("a"))), ([0, 7, 1, 0], false));
    assert_eq!(folder.recover(&ring), Recovered::default());
    // The making of a resource that was not committed is undone; hits of such a name are not.
    for (id, hits) in [("made 1", 0), ("made 2", 1), ("other", 0)] {
        ring.record_hit(&endpoint(id), hits).expect("a name");
    }
    assert_eq!(folder.recover(&ring), Recovered { uncommitted: 1, ..Recovered::default() });
    assert!(
        !ring.contains(&endpoint("made 1")) && ring.contains(&endpoint("made 2")) && ring.contains(&endpoint("other"))
    );
}

#[test]
fn a_ring_that_was_lost_gets_what_the_database_has() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut committer = folder.committer(&ring);
    assert_eq!(done(&mut committer, create("a"), None), Ok((String::new(), false)));
    for _ in 0..2 {
        done(&mut committer, hit("a", 4), None).expect("it counts");
        done(&mut committer, delete("again"), None).expect_err("it is not there at first");
        done(&mut committer, hit("again", 1), None).expect("it counts");
        done(&mut committer, delete("again"), None).expect("it is there");
    }
    assert!(ring.epoch(&endpoint("a")) == 0 && counted(&ring, "a") == (8, 8));
    drop(committer);
    std::fs::remove_file(folder.0.join("hits.ring")).expect("it is there");
    let ring = folder.ring(40);
    assert_eq!(folder.recover(&ring), Recovered::default());
    assert_eq!((counted(&ring, "a"), ring.contains(&endpoint("again"))), ((8, 8), false));
}

#[test]
fn a_removal_that_is_ended_twice_takes_no_later_hits() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    {
        let store = folder.store(&ring, QUEUE);
        assert_eq!((end(&sent(&store, create("a"))), end(&sent(&store, delete("a")))), (Ok(201), Ok(204)));
        // The note of the removal is still there.
        ring.record_hit(&endpoint("a"), 3).expect("a name");
    }
    assert_eq!(folder.recover(&ring), Recovered::default());
    assert_eq!(counted(&ring, "a"), (3, 3));
}

#[test]
fn hits_of_the_ledger_are_counted_once_and_refused_as_others() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let mut committer = folder.committer(&ring);
    ring.record_hit(&endpoint("a"), 10).expect("a name");
    assert_eq!(done(&mut committer, hit("a", 1), None), Ok(("11".to_owned(), false)));
    assert_eq!(done(&mut committer, hit("a", 2), key("k", "a 2")), Ok(("13".to_owned(), false)));
    ring.record_hit(&endpoint("a"), 10).expect("a name");
    // The same answer as the first time.
    assert_eq!(done(&mut committer, hit("a", 2), key("k", "a 2")), Ok(("13".to_owned(), true)));
    assert_eq!(done(&mut committer, hit("a", 3), key("k", "a 3")), Err(StoreError::KeyReused));
    assert_eq!(counted(&ring, "a"), (23, 23));
    let when = |second: u64, creates| Act::Hit {
        endpoint: endpoint("b"),
        count: 1,
        at: Some(at(second)),
        visitor: None,
        creates,
    };
    assert_eq!(done(&mut committer, when(START, false), None), Err(StoreError::Unknown));
    assert_eq!(done(&mut committer, when(START + 999, true), key("f", "")), Err(StoreError::Refused(Outcome::Future)));
    assert!(!ring.contains(&endpoint("b")), "a hit that is refused makes nothing");
    // A refused write may be tried again under its key.
    assert_eq!(done(&mut committer, when(START, true), key("f", "")), Ok(("1".to_owned(), false)));
    assert_eq!(done(&mut committer, when(START - 80, true), None), Err(StoreError::Refused(Outcome::Late)));
    // Visitors are noted, also by a start that shows what was committed.
    let visit =
        Act::Hit { endpoint: endpoint("v"), count: 1, at: None, visitor: Some("ann".to_owned()), creates: true };
    assert_eq!(done(&mut committer, visit, None), Ok(("1".to_owned(), false)));
    assert_eq!(ring.uniques_ever(&endpoint("v")), Ok(1));
    // A replay notes the visitor again, and counts nothing.
    let visit = |visitor: &str| Act::Hit {
        endpoint: endpoint("v"),
        count: 1,
        at: None,
        visitor: Some(visitor.to_owned()),
        creates: true,
    };
    let mut batch = vec![waiting(visit("ben"), key("v", "")).0];
    assert!(committer.transact(&mut batch).is_ok());
    drop(committer);
    let mut committer = folder.committer(&ring);
    recovered(&mut committer);
    assert_eq!((counted(&ring, "v"), ring.uniques_ever(&endpoint("v"))), ((2, 2), Ok(1)));
    assert_eq!(done(&mut committer, visit("ben"), key("v", "")), Ok(("2".to_owned(), true)));
    assert_eq!((counted(&ring, "v"), ring.uniques_ever(&endpoint("v"))), ((2, 2), Ok(2)));
}

#[test]
fn no_hits_are_no_cells_however_far_ahead() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let mut committer = folder.committer(&ring);
    done(&mut committer, hit("a", 5), None).expect("it counts");
    for second in (0..100).chain([8_300_000_000]) {
        let none =
            Act::Hit { endpoint: endpoint("a"), count: 0, at: Some(at(START + second)), visitor: None, creates: true };
        assert_eq!(done(&mut committer, none, None), Ok(("5".to_owned(), false)));
    }
    assert_eq!(done(&mut committer, hit("a", 1), None), Ok(("6".to_owned(), false)));
    assert_eq!(done(&mut committer, hit("none", 0), None), Ok(("0".to_owned(), false)));
    assert!(ring.contains(&endpoint("none")), "its name is made");
    let cells = "SELECT count(*) FROM cell";
    let cells: i64 = committer.database.connection.query_row(cells, [], |row| row.get(0)).expect("a number");
    drop(committer);
    folder.recover(&ring);
    assert_eq!((cells, counted(&ring, "a")), (1, (6, 6)));
}

/// Holds the lock that a merge into a ring takes, like a merge that is stopped in the middle.
fn merging(ring: &SharedRegistry) -> std::fs::File {
    use std::os::fd::AsRawFd;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(ring.path()).expect("it is there");
    // SAFETY: zeroes are a valid `flock`, which is plain numbers; the descriptor is open.
    let locked = unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = libc::F_WRLCK as libc::c_short;
        (lock.l_start, lock.l_len) = (1, 1);
        libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock)
    };
    assert_eq!(locked, 0);
    file
}

#[test]
fn a_process_that_merges_for_long_holds_up_new_names_alone() {
    let folder = Folder::new();
    let ring = folder.ring(60);
    let mut committer = folder.committer(&ring);
    done(&mut committer, hit("known", 1), None).expect("it counts");
    let lock = merging(&ring);
    let begun = std::time::Instant::now();
    let names: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let (mut batch, told): (Vec<Waiting>, Vec<Told>) = names.iter().map(|name| waiting(hit(name, 1), None)).unzip();
    let (last, last_told) = waiting(hit("known", 1), None);
    batch.push(last);
    assert!(committer.run(batch).is_ok());
    // It waits a fifth of a second, once. For each name that would be 8.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(end(&last_told), Ok(200));
    for (name, told) in names.iter().zip(&told) {
        assert_eq!((end(told), ring.contains(&endpoint(name))), (Err(StoreError::RingLocked), false));
    }
    drop(lock);
    assert_eq!(done(&mut committer, hit("0", 1), None), Ok(("1".to_owned(), false)));
    drop(committer);
    // A start waits for it, and does not go on with less than was acknowledged.
    committed(&folder, &ring, vec![hit("known", 1)]);
    assert!(ring.remove(&endpoint("0")).is_ok());
    let ring = {
        drop(ring);
        std::fs::remove_file(folder.0.join("hits.ring")).expect("it is there");
        folder.ring(60)
    };
    let lock = merging(&ring);
    let mut committer = folder.committer(&ring);
    let refused = committer.recover(|id| Some(endpoint(id)), |_| false).map_err(|error| error.to_string());
    assert!(refused.as_ref().is_err_and(|error| error.contains("hits.ring")), "{refused:?}");
    drop(lock);
    assert_eq!((recovered(&mut committer).without_room, counted(&ring, "known")), (0, (3, 3)));
}

#[test]
fn a_replay_that_asks_for_the_disk_gets_it() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let mut committer = folder.committer(&ring);
    let commits = |committer: &Committer| -> i64 {
        committer.database.connection.query_row("SELECT batch FROM meta", [], |row| row.get(0)).expect("a number")
    };
    done(&mut committer, hit("a", 1), key("k", "")).expect("it counts");
    let before = commits(&committer);
    let (mut waiting, told) = waiting(hit("a", 1), key("k", ""));
    waiting.order.is_disk = false;
    assert!(committer.run(vec![waiting]).is_ok() && end(&told) == Ok(200));
    assert_eq!(commits(&committer), before);
    done(&mut committer, hit("a", 1), key("k", "")).expect("it was done");
    assert_eq!((commits(&committer), counted(&ring, "a")), (before + 1, (1, 1)));
}

#[test]
fn a_name_that_another_process_removed_begins_anew() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let mut committer = folder.committer(&ring);
    done(&mut committer, hit("a", 5), None).expect("it counts");
    assert!(ring.remove(&endpoint("a")).expect("it can be written"));
    assert_eq!(done(&mut committer, hit("a", 1), None), Ok(("1".to_owned(), false)));
    assert!(ring.remove(&endpoint("a")).expect("it can be written"));
    drop(committer);
    assert_eq!(folder.recover(&ring), Recovered { dead: 1, ..Recovered::default() });
    assert_eq!((counted(&ring, "a"), ring.contains(&endpoint("a"))), ((0, 0), false));
}

#[test]
fn old_answers_are_forgotten() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let limits = Limits { age: Duration::from_secs(1_000), most: 250 };
    let mut committer = Committer::new(folder.database(), Arc::clone(&ring), limits, KEEP).expect("it is whole");
    for number in 0..1_000 {
        done(&mut committer, hit("a", 1), key(&number.to_string(), "")).expect("it counts");
    }
    let answers = |committer: &Committer| -> u64 {
        let count = "SELECT count(*) FROM answer";
        committer.database.connection.query_row(count, [], |row| row.get::<_, i64>(0)).expect("a number") as u64
    };
    assert!((250..=350).contains(&answers(&committer)), "{}", answers(&committer));
    assert_eq!(done(&mut committer, hit("a", 1), key("999", "")), Ok(("1000".to_owned(), true)));
    assert_eq!(done(&mut committer, hit("a", 1), key("0", "")), Ok(("1001".to_owned(), false)));
    // Of a server that ran for long since: the time is in the database.
    let later = "UPDATE meta SET age = age + 1001";
    committer.database.connection.execute(later, []).expect("a number");
    drop(committer);
    let mut committer = Committer::new(folder.database(), Arc::clone(&ring), limits, KEEP).expect("it is whole");
    recovered(&mut committer);
    assert_eq!(done(&mut committer, hit("a", 1), key("999", "")), Ok(("1002".to_owned(), false)));
}

#[test]
fn a_full_queue_and_a_lock_refuse_and_do_nothing() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let store = folder.store(&ring, 2);
    let other = folder.database().connection;
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    let first = sent(&store, create("a"));
    // The thread has taken it, and waits for the lock.
    while store.waiting() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let rest = ["b", "c", "d", "e"].map(|id| sent(&store, create(id)));
    assert_eq!([&rest[2], &rest[3]].map(end), [Err(StoreError::Busy), Err(StoreError::Busy)]);
    assert!(first.is_empty() && rest[0].is_empty());
    other.execute_batch("ROLLBACK").expect("it has begun");
    assert_eq!([&first, &rest[0], &rest[1]].map(end), [Ok(201), Ok(201), Ok(201)]);
    assert_eq!(store.resources("", 9), Ok(["a", "b", "c"].map(resource).to_vec()));
    // All that wait are refused when the first one is.
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    let first = sent(&store, create("f"));
    while store.waiting() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let rest = ["g", "h"].map(|id| sent(&store, create(id)));
    assert_eq!(end(&first), Err(StoreError::Locked));
    for told in &rest {
        // By itself each would wait 5 seconds more.
        assert_eq!(told.recv_timeout(Duration::from_secs(4)).expect("at once"), Err(StoreError::Locked));
    }
    assert_eq!(store.check(), Err(StoreError::Locked));
    other.execute_batch("ROLLBACK").expect("it has begun");
    assert_eq!((end(&sent(&store, create("f"))), store.check()), (Ok(201), Ok(())));
    assert!(!ring.contains(&endpoint("g")) && ring.contains(&endpoint("f")));
}

#[test]
fn a_database_that_is_removed_takes_nothing() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let store = folder.store(&ring, 9);
    let (path, away) = (folder.0.join("hitring.db"), folder.0.join("away"));
    std::fs::rename(&path, &away).expect("it is there");
    store.look();
    assert_eq!((store.check(), end(&sent(&store, create("a")))), (Err(StoreError::Lost), Err(StoreError::Lost)));
    std::fs::copy(&away, &path).expect("it can be copied");
    store.look();
    assert_eq!(store.check(), Err(StoreError::Lost), "a copy is another file");
    std::fs::rename(&away, &path).expect("it is there");
    store.look();
    assert_eq!(end(&sent(&store, create("a"))), Ok(201));
}

#[test]
fn a_commit_that_failed_is_settled_before_anything_is_answered() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let mut committer = folder.committer(&ring);
    // The commit fails, and the first that is to take its place, too. That one opens the database anew.
    let left = Arc::new(AtomicU32::new(2));
    let counts = Arc::clone(&left);
    let fails = move || counts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    committer.database.connection.commit_hook(Some(fails)).expect("a hook");
    let store = SqliteStore::start(committer, 9, Duration::from_secs(1)).expect("it starts");
    let told = sent(&store, create("a"));
    let hits = sent(&store, hit("hit", 1));
    while store.check() != Err(StoreError::Unsettled) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(told.is_empty());
    assert_eq!(end(&sent(&store, create("b"))), Err(StoreError::Unsettled));
    assert!(matches!(end(&told), Err(StoreError::Failed { .. })));
    assert_eq!((left.load(Ordering::Relaxed), end(&sent(&store, create("c")))), (0, Ok(201)));
    assert_eq!(store.resources("", 9), Ok(vec![resource("c")]));
    let expected = if end(&hits).is_ok() { (1, 1) } else { (0, 0) };
    assert_eq!((counted(&ring, "hit"), ring.contains(&endpoint("a"))), (expected, false));
}

#[test]
fn a_batch_that_fails_takes_no_hits_of_others_along() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let mut committer = folder.committer(&ring);
    let others = Arc::clone(&ring);
    // While it is committed, another process counts under the name that it brought.
    let fails = move || others.record_hit(&endpoint("x"), 3).is_ok();
    committer.database.connection.commit_hook(Some(fails)).expect("a hook");
    assert!(committer.run(vec![waiting(hit("x", 1), None).0]).is_err());
    assert_eq!(counted(&ring, "x"), (3, 3));
    committer.database.connection.commit_hook(None::<fn() -> bool>).expect("a hook");
    assert_eq!(done(&mut committer, hit("x", 1), None), Ok(("4".to_owned(), false)));
}

#[test]
fn a_row_without_hits_ends_no_life_of_a_later_ring() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut committer = folder.committer(&ring);
    for _ in 0..2 {
        done(&mut committer, hit("a", 5), None).expect("it counts");
        assert!(ring.remove(&endpoint("a")).expect("it can be written"));
    }
    drop(committer);
    // A start finds that its hits are gone, and then the ring is lost.
    folder.recover(&ring);
    drop(ring);
    std::fs::remove_file(folder.0.join("hits.ring")).expect("it is there");
    let ring = folder.ring(40);
    let mut committer = folder.committer(&ring);
    recovered(&mut committer);
    ring.record_hit(&endpoint("a"), 7).expect("a name");
    assert_eq!(done(&mut committer, hit("a", 1), None), Ok(("8".to_owned(), false)));
    assert_eq!(counted(&ring, "a"), (8, 8));
}

#[test]
fn rows_of_resources_are_listed_by_id() {
    let folder = Folder::new();
    let ring = folder.ring(20);
    let mut committer = folder.committer(&ring);
    for id in ["b", "c", "a"] {
        done(&mut committer, create(id), None).expect("it is made");
    }
    let mut ids = Vec::new();
    resources::each_id(&committer.database.connection, |id| ids.push(id.to_owned())).expect("rows");
    assert_eq!(ids, ["a", "b", "c"]);
}
