//! Rings and databases that are lost, put back, copied or restored: no hit counts twice, and none is lost that was flushed.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use hitring::SharedRegistry;
use hitring::store::sqlite::thread::{QUEUE, SqliteStore};
use hitring::store::{Answer, Store, StoreError};

use super::flushes::Server;
use super::{Folder, START, at, counted, delete, done, endpoint, hit, order, recovered, set, value, waiting};

impl Folder {
    /// Copies the ring or the database to another name, and gives a copy that name.
    fn keep(&self, file: &str, copy: &str) {
        fs::copy(self.0.join(file), self.0.join(copy)).expect("it is there");
    }

    fn rename(&self, file: &str, name: &str) {
        fs::rename(self.0.join(file), self.0.join(name)).expect("it is there");
    }
}

fn record(ring: &SharedRegistry, id: &str, hits: u64) {
    ring.record_hit(&endpoint(id), hits).expect("there is room");
}

/// Starts a server and answers the value of `a`, which a flush leaves as it is.
fn restarted(folder: &Folder) -> u64 {
    let ring = folder.ring(40);
    let mut server = Server::start(folder, &ring);
    let found = value(&server.committer, &ring, "a");
    server.pass(true);
    assert_eq!((value(&server.committer, &ring, "a"), server.unflushed()), (found, 0));
    found
}

#[test]
fn an_older_ring_gets_what_it_lacks_and_a_newer_one_no_more() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    record(&ring, "a", 50);
    server.pass(true);
    folder.keep("hits.ring", "old.ring");
    record(&ring, "a", 50);
    server.pass(true);
    drop((server, ring));
    folder.rename("hits.ring", "new.ring");
    folder.rename("old.ring", "hits.ring");
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    assert_eq!(value(&server.committer, &ring, "a"), 100);
    record(&ring, "a", 10);
    server.pass(true);
    drop((server, ring));
    folder.rename("new.ring", "hits.ring");
    assert_eq!([restarted(&folder), restarted(&folder)], [110, 110]);
}

#[test]
fn a_lost_ring_that_is_found_again_counts_once() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    record(&ring, "a", 100);
    server.pass(true);
    drop((server, ring));
    folder.rename("hits.ring", "lost.ring");
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    record(&ring, "a", 20);
    server.pass(true);
    assert_eq!(value(&server.committer, &ring, "a"), 120);
    drop((server, ring));
    folder.rename("lost.ring", "hits.ring");
    assert_eq!([restarted(&folder), restarted(&folder)], [120, 120]);
}

#[test]
fn an_older_ring_written_into_the_same_file_lacks_no_total() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    record(&ring, "a", 50);
    server.pass(true);
    folder.keep("hits.ring", "old.ring");
    record(&ring, "a", 50);
    server.pass(true);
    drop((server, ring));
    folder.keep("old.ring", "hits.ring");
    let ring = folder.ring(40);
    let server = Server::start(&folder, &ring);
    record(&ring, "b", 40);
    assert_eq!((value(&server.committer, &ring, "a"), server.unflushed()), (100, 40));
}

#[test]
fn hits_after_a_removal_survive_a_ring_without_the_removal() {
    for by_server in [true, false] {
        let folder = Folder::new();
        let ring = folder.ring(40);
        let mut server = Server::start(&folder, &ring);
        record(&ring, "a", 100);
        server.pass(true);
        // What the disk has of it when the machine fails.
        folder.keep("hits.ring", "disk.ring");
        if by_server {
            done(&mut server.committer, delete("a"), None).expect("it is there");
            done(&mut server.committer, hit("other", 1), None).expect("there is room");
        } else {
            ring.remove(&endpoint("a")).expect("it can be written");
        }
        record(&ring, "a", 30);
        server.pass(true);
        done(&mut server.committer, set("a", 5), None).expect("it is there");
        record(&ring, "a", 3);
        server.pass(true);
        drop((server, ring));
        folder.rename("disk.ring", "hits.ring");
        assert_eq!([restarted(&folder), restarted(&folder)], [8, 8], "by the server: {by_server}");
        let ring = folder.ring(40);
        assert_eq!(counted(&ring, "a"), (33, 33));
    }
}

#[test]
fn a_lost_ring_needs_no_more_than_two_places_for_a_name() {
    for (names, shown) in [(10, 10), (11, 9)] {
        let folder = Folder::new();
        let ring = folder.ring(20);
        let mut server = Server::start(&folder, &ring);
        for id in 0..names {
            record(&ring, &id.to_string(), 100);
        }
        server.pass(true);
        drop((server, ring));
        fs::remove_file(folder.0.join("hits.ring")).expect("it is there");
        let ring = folder.ring(20);
        let mut committer = folder.committer(&ring);
        let found = recovered(&mut committer);
        // A server does not start with some that it cannot show.
        assert_eq!(found.unshown, names - shown);
        let right = (0..names).filter(|id| counted(&ring, &id.to_string()) == (100, 100)).count();
        assert_eq!((right, found.lost), (shown, shown as u64 * 100));
    }
}

#[test]
fn a_name_that_is_removed_within_a_batch_takes_its_hits_along() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    done(&mut server.committer, hit("a", 1_000), None).expect("it counts");
    let (mut first, _told) = waiting(hit("a", 1), None);
    let of = Arc::clone(&ring);
    first.order.answer = Box::new(move |_| {
        // Another process, between the two orders of the batch.
        of.remove(&endpoint("a")).expect("it can be written");
        Answer { status: 200, headers: Vec::new(), body: Vec::new() }
    });
    let (second, _told) = waiting(set("a", 7), None);
    assert!(server.committer.run(vec![first, second]).is_ok());
    assert_eq!(value(&server.committer, &ring, "a"), 7);
    server.pass(true);
    drop((server, ring));
    assert_eq!(restarted(&folder), 7);
    assert_eq!(counted(&folder.ring(40), "a"), (0, 0));
}

#[test]
fn an_ended_name_hides_no_hits_that_wait() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    record(&ring, "a", 100);
    server.pass(true);
    let other = rusqlite::Connection::open(folder.0.join("hitring.db")).expect("it is whole");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    ring.remove(&endpoint("a")).expect("it can be written");
    record(&ring, "b", 60);
    assert_eq!(server.pass_beside(false, |_| ()), Err(StoreError::Locked));
    assert_eq!(server.unflushed(), 60);
}

#[test]
fn a_ring_restored_from_its_snapshot_counts_the_ledger_once() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    record(&ring, "a", 10);
    done(&mut server.committer, hit("a", 5), None).expect("it counts");
    server.pass(true);
    drop(server);
    ring.restore(&ring.snapshot()).expect("it is alone");
    drop(ring);
    for more in [1, 0] {
        let ring = folder.ring(40);
        let mut server = Server::start(&folder, &ring);
        if more > 0 {
            assert_eq!(done(&mut server.committer, hit("a", more), None), Ok(("16".to_owned(), false)));
        }
        server.pass(true);
        assert_eq!(counted(&ring, "a"), (16, 16));
        drop((server, ring));
        // A copy of the database alone.
        folder.keep("hitring.db", "copy.db");
        folder.rename("copy.db", "hitring.db");
    }
}

#[test]
fn copies_of_copies_take_no_more_places() {
    let folder = Folder::new();
    let mut ring = folder.ring(60);
    for copy in 1..40 {
        folder.1.set(at(START + 1_000 * copy));
        let mut server = Server::start(&folder, &ring);
        for id in ["a", "b", "c"] {
            assert_eq!(done(&mut server.committer, hit(id, 1), None), Ok((copy.to_string(), false)));
        }
        server.pass(true);
        assert!(ring.room().lives < 40, "{} of 60 after {copy} copies", ring.room().lives);
        drop((server, ring));
        for file in ["hits.ring", "hitring.db"] {
            folder.keep(file, "copy");
            folder.rename("copy", file);
        }
        ring = folder.ring(60);
    }
}

#[test]
fn a_clock_that_is_ahead_for_a_moment_deletes_no_cells() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    for second in 0..30 {
        folder.1.set(at(START + second));
        record(&ring, "a", 1);
        done(&mut server.committer, hit("b", 1), None).expect("it counts");
    }
    server.pass(true);
    // Its slot is not one of the others.
    folder.1.set(at(START + 2 * 3_600 + 45));
    record(&ring, "a", 1);
    done(&mut server.committer, hit("b", 1), None).expect("it counts");
    server.pass(false);
    folder.1.set(at(START + 31));
    server.pass(true);
    let written = server.written(0);
    assert_eq!((written[&endpoint("a")], written[&endpoint("b")]), ((31, 31), (31, 31)));
}

#[test]
fn servers_that_run_for_minutes_delete_old_cells() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut now = START;
    for _ in 0..80 {
        let mut server = Server::start(&folder, &ring);
        for _ in 0..80 {
            now += 10;
            folder.1.set(at(now));
            record(&ring, "a", 1);
            server.pass(false);
        }
    }
    let server = Server::start(&folder, &ring);
    let oldest = "SELECT min(start) FROM cell";
    let oldest: i64 = server.committer.database.connection.query_row(oldest, [], |row| row.get(0)).expect("a number");
    assert!(now as i64 - oldest < 4 * 3_600, "{} s", now as i64 - oldest);
}

/// How the last commit was brought to the disk.
fn level(server: &Server) -> i64 {
    let level = server.committer.database.connection.pragma_query_value(None, "synchronous", |row| row.get(0));
    level.expect("a number")
}

const NORMAL: i64 = 1;
const FULL: i64 = 2;

#[test]
fn a_pass_ends_with_a_sync() {
    let folder = Folder::new();
    let ring = SharedRegistry::builder().window(Duration::from_secs(5_000)).max_endpoints(4).clock(folder.1.clone());
    let ring = Arc::new(ring.create(folder.0.join("hits.ring")).expect("it can be made"));
    let mut server = Server::start(&folder, &ring);
    record(&ring, "a", 1);
    record(&ring, "unchanged", 1);
    server.pass(true);
    for second in 0..4_500 {
        folder.1.set(at(START + second));
        record(&ring, "a", 1);
    }
    for _ in 0..2 {
        server.committer.database.connection.pragma_update(None, "synchronous", "NORMAL").expect("it is known");
        record(&ring, "a", 1);
        // The only part is full before the life comes that has not changed.
        server.pass(true);
        assert_eq!((server.unflushed(), level(&server)), (0, FULL));
    }
}

#[test]
fn a_pass_syncs_writes_with_a_key() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    for _ in 0..2 {
        let (mut keyed, _told) = waiting(hit("a", 1), None);
        keyed.order.is_disk = false;
        assert!(server.committer.run(vec![keyed]).is_ok());
        assert_eq!(level(&server), NORMAL);
        server.pass(false);
        assert_eq!(level(&server), FULL);
        // Nothing is left to sync.
        assert_eq!(server.pass_beside(false, |_| panic!("there is a part")), Ok(()));
    }
}

/// Sets `a`, and again when that is done, until `has_ended`.
fn set_again_and_again(store: &Weak<SqliteStore>, has_ended: &Arc<AtomicBool>, ended: &Sender<()>) {
    let Some(open) = store.upgrade() else { return };
    let (again, flag, ended) = (Weak::clone(store), Arc::clone(has_ended), ended.clone());
    let done = move |answered: Result<_, StoreError>| {
        assert!(answered.is_ok());
        if flag.load(Ordering::Relaxed) {
            ended.send(()).expect("it is waited for");
        } else {
            set_again_and_again(&again, &flag, &ended);
        }
    };
    open.submit(order(set("a", 7), None), Box::new(done));
}

#[test]
fn orders_that_never_cease_hold_up_no_flush() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let store = Arc::new(folder.store(&ring, QUEUE));
    let (has_ended, (ended, is_ended)) = (Arc::new(AtomicBool::new(false)), bounded(2));
    // A batch sets a name once, so one of the two always waits.
    for _ in 0..2 {
        set_again_and_again(&Arc::downgrade(&store), &has_ended, &ended);
    }
    record(&ring, "b", 5);
    let begun = std::time::Instant::now();
    while store.unflushed() > 0 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    has_ended.store(true, Ordering::Relaxed);
    (0..2).for_each(|_| is_ended.recv().expect("both end"));
    assert_eq!(store.unflushed(), 0);
}

#[test]
fn a_database_that_is_put_back_after_another_one_counts_once() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    record(&ring, "a", 6);
    done(&mut server.committer, hit("a", 10), None).expect("it counts");
    server.pass(true);
    drop((server, ring));
    folder.rename("hitring.db", "former.db");
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    server.pass(true);
    assert_eq!(done(&mut server.committer, hit("a", 1), None), Ok(("17".to_owned(), false)));
    server.pass(true);
    drop((server, ring));
    for compacted in [false, true] {
        if compacted {
            // What former ledgers counted becomes the endpoint's own, once it has left the window.
            folder.1.set(at(START + 1_000));
            record(&folder.ring(40), "later", 1);
            let (from, to) = (folder.0.join("hits.ring"), folder.0.join("compact.ring"));
            hitring::shared::compact(&from, &to, hitring::shared::Wanted::default()).expect("it is closed");
            folder.rename("compact.ring", "hits.ring");
        }
        folder.rename("hitring.db", "other.db");
        folder.rename("former.db", "hitring.db");
        assert_eq!([restarted(&folder), restarted(&folder)], [17, 17], "compacted: {compacted}");
        folder.rename("hitring.db", "former.db");
        folder.rename("other.db", "hitring.db");
    }
}
