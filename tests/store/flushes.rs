//! The ring written down: after any hits, removals, kills and full disks the database has the same hits as the ring.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use hitring::store::sqlite::commit::Committer;
use hitring::store::sqlite::flush::{Flusher, Handed};
use hitring::store::{Act, StoreError};
use hitring::{Outcome, SharedRegistry};
use proptest::prelude::*;

use super::{Folder, MINUTE, START, at, counted, delete, done, endpoint, hit, recovered, set, value};

/// A server without its face: the thread that reads and the one that commits, step by step.
pub(super) struct Server {
    pub committer: Committer,
    flusher: Flusher,
    parts: Receiver<Handed>,
}

impl Server {
    pub fn start(folder: &Folder, ring: &Arc<SharedRegistry>) -> Self {
        let mut committer = folder.committer(ring);
        recovered(&mut committer);
        let (handed, parts) = bounded(0);
        let progress = Arc::clone(&committer.progress);
        let flusher = Flusher::new(ring, &committer.database.connection, progress, Duration::from_secs(1), handed);
        Self { flusher: flusher.expect("it is whole"), committer, parts }
    }

    /// Does a pass, and `meanwhile` before each part is written.
    pub fn pass_beside(&mut self, whole: bool, mut meanwhile: impl FnMut(&mut Committer)) -> Result<(), StoreError> {
        let Self { committer, flusher, parts } = self;
        std::thread::scope(|scope| {
            let pass = scope.spawn(|| flusher.pass(whole));
            loop {
                match parts.recv_timeout(Duration::from_millis(1)) {
                    Ok((part, told)) => {
                        meanwhile(committer);
                        told.send(committer.flush(&part)).expect("it is waited for");
                    }
                    Err(RecvTimeoutError::Timeout) if pass.is_finished() => break,
                    Err(_) => {}
                }
            }
            pass.join().expect("it does not panic")
        })
    }

    pub fn pass(&mut self, whole: bool) {
        assert_eq!(self.pass_beside(whole, |_| ()), Ok(()));
    }

    /// The hits that the database has: of each endpoint those of seconds from `since` on, and all.
    pub fn written(&self, since: u64) -> BTreeMap<String, (u64, u64)> {
        let sql = "SELECT name, counted + committed, (SELECT coalesce(sum(count), 0) FROM cell
                   WHERE endpoint = endpoint.id AND start >= ?1) FROM endpoint";
        let mut rows = self.committer.database.connection.prepare(sql).expect("a query");
        let rows = rows.query_map([since as i64], |row| {
            Ok((row.get(0)?, (row.get::<_, i64>(2)? as u64, row.get::<_, i64>(1)? as u64)))
        });
        rows.and_then(Iterator::collect).expect("rows")
    }

    pub fn unflushed(&self) -> u64 {
        self.committer.progress.waiting()
    }

    fn untimed(&self) -> u64 {
        self.committer.progress.untimed()
    }
}

/// What the ring has, in the same form.
fn shown(ring: &SharedRegistry) -> BTreeMap<String, (u64, u64)> {
    let hits = |name: &str| ring.query_hits(name, MINUTE).expect("exact").count;
    ring.endpoints().into_iter().map(|name| (name.clone(), (hits(&name), ring.total_ever(&name)))).collect()
}

/// Without endpoints that have no hits: a name that was only made need not be written.
fn with_hits(of: BTreeMap<String, (u64, u64)>) -> BTreeMap<String, (u64, u64)> {
    of.into_iter().filter(|(_, hits)| *hits != (0, 0)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// In the ring, by this process or another one.
    Record {
        id: u8,
        count: u64,
        ago: u64,
    },
    /// By the ledger.
    Hit {
        id: u8,
        count: u64,
        ago: u64,
    },
    Set(u8, u64),
    /// By the server, or by another process.
    Delete(u8),
    Remove(u8),
    Wait(u64),
    Flush(bool),
    /// A flush during which an endpoint is removed, by the server or by another process.
    FlushBeside(u8, bool),
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // A ring of a minute has 80 slots.
    // None leaves the ring before the next flush.
    let ago = || prop_oneof![5 => Just(0), 2 => 0..20u64, 1 => 0..60u64];
    let step = prop_oneof![
        8 => (0..4u8, 1..9u64, ago()).prop_map(|(id, count, ago)| Step::Record { id, count, ago }),
        2 => (0..4u8, 1..9u64, ago()).prop_map(|(id, count, ago)| Step::Hit { id, count, ago }),
        1 => (0..4u8, 0..9u64).prop_map(|(id, to)| Step::Set(id, to)),
        1 => (0..4u8).prop_map(Step::Delete),
        1 => (0..4u8).prop_map(Step::Remove),
        4 => prop_oneof![4 => 0..4u64, 1 => 0..50u64].prop_map(Step::Wait),
        4 => any::<bool>().prop_map(Step::Flush),
        1 => (0..4u8, any::<bool>()).prop_map(|(id, by)| Step::FlushBeside(id, by)),
        1 => Just(Step::Kill),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 48 } else { 256 }))]

    #[test]
    fn a_flush_is_the_ring_after_anything(steps in steps()) {
        let folder = Folder::new();
        let ring = folder.ring(400);
        let mut server = Server::start(&folder, &ring);
        let (mut now, mut flushed_at) = (START, START);
        for step in &steps {
            match *step {
                Step::Record { id, count, ago } => {
                    ring.record_hit_at(&endpoint(&id.to_string()), at(now - ago), count).expect("there is room");
                }
                Step::Hit { id, count, ago } => {
                    let endpoint = endpoint(&id.to_string());
                    let act = Act::Hit { endpoint, count, at: Some(at(now - ago)), visitor: None, creates: true };
                    let _ = done(&mut server.committer, act, None);
                }
                Step::Set(id, to) => {
                    done(&mut server.committer, set(&id.to_string(), to), None).expect("there is room");
                }
                Step::Delete(id) => {
                    let _ = done(&mut server.committer, delete(&id.to_string()), None);
                }
                Step::Remove(id) => {
                    ring.remove(&endpoint(&id.to_string())).expect("it can be written");
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    folder.1.set(at(now));
                }
                Step::Flush(whole) => {
                    server.pass(whole);
                    flushed_at = now;
                }
                Step::FlushBeside(id, by_server) => {
                    let id = id.to_string();
                    let flushed = server.pass_beside(false, |committer| {
                        if by_server {
                            let _ = done(committer, delete(&id), None);
                        } else {
                            ring.remove(&endpoint(&id)).expect("it can be written");
                        }
                    });
                    prop_assert_eq!(flushed, Ok(()));
                    flushed_at = now;
                }
                Step::Kill => server = Server::start(&folder, &ring),
            }
            // It was written down before any second left the ring, so all seconds are in the database.
            if now - flushed_at > 15 {
                server.pass(false);
                flushed_at = now;
            }
        }
        let values: Vec<u64> = (0..4).map(|id: u8| value(&server.committer, &ring, &id.to_string())).collect();
        server.pass(true);
        let since = now + 1 - MINUTE.as_secs();
        prop_assert_eq!(with_hits(server.written(since)), with_hits(shown(&ring)));
        prop_assert_eq!((server.unflushed(), server.untimed()), (0, 0));
        // And all of it after a kill, in a ring that was lost.
        drop((server, ring));
        std::fs::remove_file(folder.0.join("hits.ring")).expect("it is there");
        let ring = folder.ring(400);
        let server = Server::start(&folder, &ring);
        prop_assert_eq!(with_hits(server.written(since)), with_hits(shown(&ring)));
        for (id, before) in values.into_iter().enumerate() {
            prop_assert_eq!(value(&server.committer, &ring, &id.to_string()), before);
        }
    }
}

#[test]
fn a_pass_writes_what_has_changed_alone() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    for (id, hits) in [("a", 3), ("b", 4)] {
        ring.record_hit(&endpoint(id), hits).expect("a name");
    }
    assert_eq!(server.unflushed(), 7);
    server.pass(false);
    assert_eq!((server.unflushed(), server.written(0).len()), (0, 2));
    let mut parts = 0;
    for whole in [false, true] {
        assert_eq!(server.pass_beside(whole, |_| parts += 1), Ok(()));
    }
    assert_eq!(parts, 0, "nothing has changed");
    // A removal by another process is found, and what comes after it counts.
    ring.remove(&endpoint("a")).expect("it can be written");
    server.pass(false);
    assert_eq!(server.written(0).into_keys().collect::<Vec<_>>(), [endpoint("b")]);
    ring.record_hit(&endpoint("a"), 1).expect("a name");
    server.pass(false);
    assert_eq!(server.written(0)[&endpoint("a")], (1, 1));
}

#[test]
fn a_part_brings_no_row_back_that_was_removed_meanwhile() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    for id in ["a", "b"] {
        ring.record_hit(&endpoint(id), 3).expect("a name");
    }
    let removes = |committer: &mut Committer| _ = done(committer, delete("a"), None).expect("it is there");
    assert_eq!(server.pass_beside(false, removes), Ok(()));
    assert_eq!(server.written(0).into_keys().collect::<Vec<_>>(), [endpoint("b")]);
}

#[test]
fn the_last_hit_of_a_killed_process_is_there_after_a_whole_pass() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    let path = folder.0.join("hits.ring");
    ring.record_hit(&endpoint("a"), 5).expect("a name");
    server.pass(true);
    // One more hit, to see which word is the slot: the one before the total that grows with it.
    let before = std::fs::read(&path).expect("it is there");
    ring.record_hit(&endpoint("a"), 1).expect("a name");
    server.pass(false);
    let after = std::fs::read(&path).expect("it is there");
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let changed: Vec<usize> =
        (0..before.len()).step_by(8).filter(|&at| word(&before, at) != word(&after, at)).collect();
    let slot = *changed.iter().find(|&&at| word(&after, at) > 100).expect("a tick and a count");
    // A process was killed after its slot and before its total.
    let grown = word(&after, slot) + (word(&after, slot) - word(&before, slot));
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("it is there");
    file.write_all_at(&grown.to_le_bytes(), slot as u64).expect("it can be written");
    assert_eq!(counted(&ring, "a"), (7, 6));
    server.pass(false);
    assert_eq!(server.written(0)[&endpoint("a")], (6, 6));
    server.pass(true);
    assert_eq!(server.written(0)[&endpoint("a")], (7, 6));
}

#[test]
fn seconds_that_left_the_ring_unwritten_are_counted() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    ring.record_hit(&endpoint("a"), 5).expect("a name");
    server.pass(false);
    // The disk refuses: a transaction of another process.
    let other = rusqlite::Connection::open(folder.0.join("hitring.db")).expect("it is whole");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    for second in 0..200 {
        folder.1.set(at(START + second));
        assert_eq!(ring.record_hit(&endpoint("a"), 1), Ok(Outcome::Counted));
        if second % 50 == 49 {
            assert_eq!(server.pass_beside(false, |_| ()), Err(StoreError::Locked));
        }
    }
    // A ring of a minute has 80 slots; 120 seconds are gone.
    assert_eq!((server.unflushed(), server.untimed()), (200, 120));
    other.execute_batch("ROLLBACK").expect("it has begun");
    server.pass(false);
    assert_eq!((server.unflushed(), server.untimed()), (0, 120));
    assert_eq!(server.written(0)[&endpoint("a")], (85, 205));
    assert_eq!(server.written(START + 140)[&endpoint("a")].0, counted(&ring, "a").0);
    // A server that was killed meanwhile finds the same.
    for second in 200..400 {
        folder.1.set(at(START + second));
        ring.record_hit(&endpoint("a"), 1).expect("a name");
    }
    server = Server::start(&folder, &ring);
    server.pass(true);
    assert_eq!((server.unflushed(), server.untimed()), (0, 120));
    assert_eq!(server.written(0)[&endpoint("a")], (165, 405));
}

#[test]
fn a_slot_that_is_never_reused_keeps_no_other_cells() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    // Hits of every 20 seconds use 4 of the 80 slots, and never that of the first hit.
    for second in std::iter::once(7).chain((20..60_000).step_by(20)) {
        folder.1.set(at(START + second));
        ring.record_hit(&endpoint("a"), 1).expect("a name");
        done(&mut server.committer, hit("b", 1), None).expect("it counts");
        if second % 40 == 0 {
            server.pass(false);
        }
    }
    server.pass(true);
    let written = server.written(0);
    // An hour is 180 hits; some more until the next time that old ones go.
    for (id, most) in [("a", 240), ("b", 380)] {
        let (cells, total) = written[&endpoint(id)];
        assert!((180..most).contains(&cells) && total == 3_000, "{id}: {cells} of {total}");
    }
}

#[test]
fn old_cells_go_and_totals_stay() {
    let folder = Folder::new();
    let ring = folder.ring(40);
    let mut server = Server::start(&folder, &ring);
    for second in 0..8_000 {
        folder.1.set(at(START + second));
        ring.record_hit(&endpoint("a"), 1).expect("a name");
        done(&mut server.committer, hit("a", 1), None).expect("it counts");
        if second % 10 == 0 {
            server.pass(false);
        }
    }
    server.pass(false);
    let (cells, total) = server.written(0)[&endpoint("a")];
    // An hour of both, and what is kept until the next time that old ones go.
    assert!((7_200..=12_700).contains(&cells), "{cells}");
    assert_eq!((total, server.untimed()), (16_000, 0));
}
